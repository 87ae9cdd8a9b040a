-- field.lua: recordings as recorders leave them: WAV with a comment, short and cheap to extract.
local audio = require "bclua.audio"
local command = require "support.command"
local files = require "bclua.files"
local sampling = require "bclua.sampling"
local system = require "bclua.system"

local field = {RATE = 16000}

local function chunk(id, text) return id .. ("<s4"):pack(text) .. (#text % 2 == 1 and "\0" or "") end

--- A WAV file, noise with two calls that are alike.
-- @tparam string path its folder is made
-- @tparam[opt] table o `seconds` (8), `comment`, `guano`
function field.wav(path, o)
   o = o or {}
   local y = (sampling.generator(#path):normal((o.seconds or 8) * field.RATE) * 0.01):copy("f32")
   for _, first in ipairs{field.RATE, #y - 2 * field.RATE} do
      for i = 1, field.RATE do y[first + i] = y[first + i] + 0.5 * math.sin(i * (0.5 + 0.3 * math.sin(i / 700))) end
   end
   local samples = audio.encode(y, field.RATE, {format = "wav"}):sub(-2 * #y)
   local list = o.comment and chunk("LIST", "INFO" .. chunk("ICMT", o.comment)) or ""
   local body = "WAVE" .. chunk("fmt ", ("<I2I2I4I4I2I2"):pack(1, 1, field.RATE, 2 * field.RATE, 2, 16)) .. list ..
      chunk("data", samples) .. (o.guano and chunk("guan", o.guano) or "")
   assert(system.mkdir(files.dirname(path)))
   return command.write(path, "RIFF" .. ("<s4"):pack(body))
end

--- Extract and consolidate a folder, quickly.
-- @tparam string dir with a folder `card`; results in `motif` and `motif.parquet`
-- @tparam[opt] table more options of `extract`
-- @treturn table what `extract` returned
-- @treturn table what `consolidate` returned
function field.mine(dir, more)
   local o = {input = dir .. "/card", output = dir .. "/motif", sample_rate = field.RATE, matrix_profile_window = 20,
      quiet = true}
   for k, v in pairs(more or {}) do o[k] = v end
   local done = assert(require("bclua.workflow.extract").run(o))
   return done, assert(require("bclua.workflow.consolidate").run{input = dir .. "/motif",
      output = dir .. "/motif.parquet", quiet = true, force = true})
end

return field
