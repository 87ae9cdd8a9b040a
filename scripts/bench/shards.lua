-- usage: bclua scripts/bench/shards.lua [RECORDINGS [SECONDS]]
-- Time and memory of `consolidate` over the parts of many shards, rows made up: so many recordings of so many seconds.
require("bclua.cli").help_by_comment()
local array = require "bclua.array"
local extracted = require "bclua.data.extracted"
local files = require "bclua.files"
local manifest = require "bclua.data.manifest"
local system = require "bclua.system"

local recordings, seconds = math.tointeger(tonumber(arg[1] or 1e5)), math.tointeger(tonumber(arg[2] or 30))
local IN_PIECE, WINDOW = 100, 50
local frames = seconds * 10

local scratch <close> = files.scratch()
local folder = os.tmpname()
os.remove(folder)
scratch[1], scratch[2] = folder, folder .. ".parquet"
assert(system.mkdir(folder))
assert(files.write_json(folder .. "/parameters.json", {cens_sample_rate = 10, matrix_profile_window = WINDOW}))

local cens, distance = array.zeros({12, frames}, "f32"), array.zeros(frames - WINDOW + 1, "f64")
for i = 1, #distance do distance[i] = (i * 7919 % 1000) / 1000 end
local index = distance:copy("i64")

local function row(i)
   local name = ("birds/s%03d/r%07d.ogg"):format(i % 200, i)
   return {source_name = name, species = name:match("/(.-)/"), id = name:match("([^/]*)%.ogg"), path = name,
      folder = name:match("/(.*)%.ogg"), source_bytes = i, source_modified = i, cens_sample_rate = 10,
      matrix_profile_window = WINDOW, sample_rate = 32000, duration_cens = frames, duration_samples = seconds * 32000,
      duration_seconds = seconds + 0.0, motif_0 = 1, motif_1 = 90, discord_0 = 7, discord_1 = 33, tuning = 0.0,
      source_sample_rate = 32000, cens = cens, mp = distance, pi = index}
end

local rows = {}
for i = 1, recordings do rows[i] = row(i) end
assert(manifest.open(folder, "birds", {}, function() return rows end))
local parts = (recordings + IN_PIECE - 1) // IN_PIECE
for part = 1, parts do
   assert(extracted.write_piece(folder, part, table.move(rows, (part - 1) * IN_PIECE + 1,
      math.min(part * IN_PIECE, recordings), 1, {}), {}))
   if part % 50 == 0 then collectgarbage() end
end
rows = nil

local CHILD = [[
local s, files = require "bclua.system", require "bclua.files"
local from, cpu = s.clock(), s.cpu_clock()
local r = assert(require("bclua.workflow.consolidate").run{input = %q, output = %q, quiet = true})
print(("%%d recordings of %d parts: %%.1f s (processor time %%.1f s), process at most %%.0f MB"):format(r.recordings,
   s.clock() - from, s.cpu_clock() - cpu, files.read("/proc/self/status"):match("VmHWM:%%s*(%%d+)") / 1024))
]]
scratch[3] = folder .. ".lua"
assert(system.write_file(scratch[3], CHILD:format(folder, scratch[2], parts)))
assert(os.execute((arg[-1] or "bclua") .. " " .. scratch[3]))
