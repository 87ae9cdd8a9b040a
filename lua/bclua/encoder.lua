--- Networks that turn windows of sound into values: checkpoints of our own, and anybody's as ONNX.
--
-- Beside `birds.onnx` lies its description, `birds.json`:
--
--    {"sample_rate": 48000, "seconds": 3, "input": "audio", "embedding": "embedding",
--     "logits": "scores", "labels": "labels.txt"}
--
-- `sample_rate` (Hz) and `seconds` of a window; names of the network's `input` (where it has several) and of the
-- outputs, of which one is enough: `embedding`, and `logits`, one a class, with the names of the classes in `labels`: a
-- list, or a text file beside the description, one a line. With `"values": "probabilities"` these are no logits but
-- probabilities. `peak`: each window is scaled to this largest sample.
--
-- A network that takes no samples but a mel spectrogram has `mel`: `n_fft`, `hop`, `n_mels`, `fmin`, `fmax`, `htk`,
-- `norm` and `pad` as for `bclua.spectral`'s `mel`; `scale`: `power`, `decibel` or `log` (the natural logarithm) of
-- what is at least `least`, with `top_db` below the largest; then `mean` is taken off, and divided by `deviation`;
-- `order`: `bands_frames` or `frames_bands`.
-- @module bclua.encoder
-- @usage
-- local net = assert(encoder.open("birds.onnx"))
-- local z = net:forward(windows) -- (n, samples) to (n, values)
local array = require "bclua.array"
local check_options = require("bclua.options").check
local files = require "bclua.files"
local json = require "bclua.json"
local sql = require "bclua.sql"
local tables = require "bclua.data.tables"
local tilenet = require "bclua.tilenet"

local encoder = {}

local BATCH = 16
local MOST_AXES = 3 -- of a window: an array has four

local NAME = {"string", shortest = 1, longest = 200}

local MEL = {
   n_fft = {"integer", needed = true, least = 2, most = 1 << 20}, hop = {"integer", needed = true, least = 1},
   n_mels = {"integer", needed = true, least = 1, most = 4096}, fmin = {"number", least = 0},
   fmax = {"number", above = 0}, htk = {"boolean"}, norm = {"choice", {"slaney", "none"}},
   pad = {"choice", {"constant", "reflect", "none"}}, scale = {"choice", {"power", "decibel", "log"}},
   least = {"number", above = 0}, top_db = {"number", least = 0}, mean = {"number"},
   deviation = {"number", above = 0}, order = {"choice", {"bands_frames", "frames_bands"}}}

local DESCRIPTION = {
   sample_rate = {"number", needed = true, least = 1000, most = 768000},
   seconds = {"number", needed = true, above = 0, most = 600}, input = NAME, embedding = NAME, logits = NAME,
   labels = {"any"}, values = {"choice", {"logits", "probabilities"}}, peak = {"number", above = 0},
   mel = {"table", of = MEL}}

--- Is a path that of an ONNX file?
function encoder.is_onnx(path) return path:lower():find("%.onnx$") ~= nil end

--- The option that names one.
encoder.rule = {"string", arg = "FILE.onnx",
   check = function(path) return not encoder.is_onnx(path) and ("'%s' does not end in .onnx"):format(path) or nil end}

-- ---- The description ----

-- The names of the classes; nil, message where they are none.
local function labels_of(path, d)
   local list = d.labels
   if type(list) == "string" then
      local text, message = files.read(files.dirname(path) .. "/" .. list)
      if not text then return nil, message end
      list = {}
      for line in text:gmatch("[^\r\n]+") do list[#list + 1] = line end
   end
   local seen = {}
   for _, name in ipairs(type(list) == "table" and list or {}) do
      if type(name) ~= "string" or name == "" or seen[name] then
         return nil, ("%s: labels: '%s' is no name, or one twice"):format(path, tostring(name))
      end
      seen[name] = true
   end
   if next(seen) == nil then return nil, path .. ": labels: a list of names expected, or the name of a file of them" end
   return list
end

local function unknown_key(given, schema)
   for name in pairs(given) do
      if not schema[name] then return name end
   end
   return nil
end

--- What lies beside an ONNX file.
-- @tparam string path of the ONNX file
-- @treturn[1] table as above; `labels` is a list where there are logits
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function encoder.description(path)
   local beside = path:sub(1, -#".onnx" - 1) .. ".json"
   if not files.is_file(path) then return nil, path .. ": no such file" end
   if not files.is_file(beside) then
      return nil, ("%s: no such file: it has to say what %s takes and gives (doc/detect.md)"):format(beside, path)
   end
   local d, message = tables.read_json(beside, DESCRIPTION)
   if not d then return nil, message end
   local unknown = unknown_key(d, DESCRIPTION) or d.mel and unknown_key(d.mel, MEL)
   if unknown then return nil, ("%s: unknown key '%s'"):format(beside, unknown) end
   if not (d.embedding or d.logits) then return nil, beside .. ": names no output: embedding, logits, or both" end
   if d.logits then
      d.labels, message = labels_of(beside, d)
      if not d.labels then return nil, message end
   end
   return d
end

-- ---- What a network takes ----

local function shape_text(shape)
   local words = {}
   for i, n in ipairs(shape) do words[i] = n < 0 and "any" or ("%d"):format(n) end
   return "(" .. table.concat(words, ", ") .. ")"
end

-- The value of a name among inputs or outputs.
local function find(list, name, what, path)
   local known = {}
   for i, v in ipairs(list) do
      known[i] = v.name
      if v.name == name or not name and #list == 1 then return v end
   end
   local names = table.concat(known, ", ")
   if name then return nil, ("%s: no %s '%s' (its %ss: %s)"):format(path, what, name, what, names) end
   return nil, ("%s: its description has to say which %s: %s"):format(path, what, names)
end

-- The extents of one window as an input takes it, whose axes from `first` on are to be `wanted`, with axes of 1 where
-- it has them. Nil: it takes something else.
local function fit(shape, first, wanted)
   local out, k = {}, 1
   for i = first, #shape do
      local has_spare = #shape - i > #wanted - k
      if has_spare and shape[i] == 1 then
         out[#out + 1] = 1
      elseif wanted[k] and (shape[i] < 0 or shape[i] == wanted[k]) then
         out[#out + 1], k = wanted[k], k + 1
      else
         return nil
      end
   end
   return k > #wanted and out or nil
end

local function spectrogram(y, d)
   local m = d.mel
   local o = {sample_rate = d.sample_rate}
   for _, name in ipairs{"n_fft", "hop", "n_mels", "fmin", "fmax", "htk", "norm", "pad"} do o[name] = m[name] end
   local spectral = require "bclua.spectral"
   local s = spectral.mel(y, o)
   if m.scale == "decibel" or m.scale == "log" then
      s = spectral.power_to_db(s, {amin = m.least, top_db = m.top_db or math.huge})
      if m.scale == "log" then s = s * (math.log(10) / 10) end
   end
   s = (s - (m.mean or 0)) / (m.deviation or 1)
   return m.order == "frames_bands" and s:T():copy() or s
end

-- What one window becomes: an array whose shape the input's has to be.
local function prepare(y, d)
   if d.peak then
      local peak = y:abs():max()
      if peak > 0 then y = y * (d.peak / peak) end
   end
   return d.mel and spectrogram(y, d) or y
end

-- ---- The network ----

local Net = {}
Net.__index = Net

-- Windows first to last as the network takes them; where it takes more at once, silence follows.
local function input_of(self, windows, first, last)
   local n = self.fixed or last - first + 1
   local x = array.zeros({n, self.size}, "f32")
   for i = first, last do x[i - first + 1]:fill(prepare(windows[i], self.description):reshape{self.size}) end
   return x:reshape(self.is_single and self.extents or {n, table.unpack(self.extents)})
end

local LEAST = 1e-7 -- of a probability

-- Logarithms of odds.
local function logits(p)
   p = p:copy("f64"):maximum(LEAST):minimum(1 - LEAST)
   return (p / (1 - p)):log():copy("f32")
end

-- Values (windows, values) of windows first to last; nil, message.
local function values_of(self, windows, first, last)
   local n = last - first + 1
   local y, shape = self.session:run(self.input, input_of(self, windows, first, last), self.output)
   if not y then return nil, shape end
   local rows = self.fixed or n
   if #y == 0 or not self.is_single and shape[1] ~= rows then
      return nil, ("%s: output '%s' has the shape %s for %d windows"):format(self.path, self.output, shape_text(shape),
         rows)
   end
   y = y:reshape{rows, #y // rows}:slice(1, 1, n)
   return self.is_odds and logits(y) or y:copy()
end

--- The values of windows: embeddings, or logits.
-- @tparam array windows f32 (n, samples)
-- @tparam[opt] table options `batch_size` (16): windows at once, where the network leaves that open
-- @treturn array f32 (n, values)
-- @raise what the network does not do
function Net:forward(windows, options)
   local parts, n = {}, windows:shape(1)
   local at_once = self.fixed or options and options.batch_size or BATCH
   for first = 1, n, at_once do
      local y, message = values_of(self, windows, first, math.min(first + at_once - 1, n))
      if not y then error(message, 0) end
      parts[#parts + 1] = y:reshape{y:size()}
   end
   return array.concat(parts):reshape{n, self.options.z}
end

--- Free it.
function Net:close() self.session:close() end

-- Which input it is, and in which shape that takes a window.
local function find_input(net, d)
   local input, message = find(net.session:inputs(), d.input, "input", net.path)
   if not input then return nil, message end
   local made, silence = pcall(prepare, array.zeros({net.samples}, "f32"), d)
   if not made then return nil, ("%s: its description: mel: %s"):format(net.path, silence) end
   local wanted, shape = silence:shape(), input.shape
   local extents = fit(shape, 2, wanted)
   net.is_single = not extents
   net.input, net.size, net.extents = input.name, silence:size(), extents or fit(shape, 1, wanted)
   net.fixed = net.is_single and 1 or shape[1] > 0 and shape[1] or nil
   if input.type == "f32" and net.extents and #net.extents <= MOST_AXES then return true end
   return nil, ("%s: input '%s' takes %s %s, the description makes %s of a window: f32 %s"):format(net.path, input.name,
      input.type, shape_text(shape), d.mel and "a mel spectrogram" or "the samples", shape_text(wanted))
end

-- How many values it gives of a window, by giving it one; or what does not fit.
local function try(net, d)
   local ok, message = find(net.session:outputs(), net.output, "output", net.path)
   if ok then ok, message = find_input(net, d) end
   if not ok then return nil, message end
   local y
   y, message = values_of(net, array.zeros({1, net.samples}, "f32"), 1, 1)
   if not y then return nil, message end
   local z = y:shape(2)
   if net.kind == "embedding" or z == #d.labels then return z end
   return nil, ("%s: output '%s' has %d values, there are %d labels"):format(net.path, net.output, z, #d.labels)
end

local function open_onnx(path, o)
   if o.precision and o.precision ~= "f32" then
      return nil, ("%s: an ONNX network computes as it was made to (--precision %s)"):format(path, o.precision)
   end
   local d, message = encoder.description(path)
   if not d then return nil, message end
   local net = setmetatable({path = path, description = d, output = d[o.output], kind = o.output,
      samples = math.floor(d.seconds * d.sample_rate + 0.5), options = {sample_rate = d.sample_rate,
      seconds = d.seconds}}, Net)
   net.is_odds = o.output == "logits" and d.values == "probabilities"
   if not net.output then
      return nil, ("%s: its description names no output with %s"):format(path, o.output == "logits" and
         "logits of classes: train a classifier on its embeddings (classify train)" or "an embedding")
   end
   net.session, message = require("bclua.onnxruntime").open(path, {threads = o.threads})
   if not net.session then return nil, message end
   net.options.z, message = try(net, d)
   if net.options.z then return net, {} end
   net:close()
   return nil, message
end

-- ---- Both kinds ----

--- Open a network.
-- @tparam string path a checkpoint (.safetensors), or an ONNX file with its description beside it
-- @tparam[opt] table options `threads`, `precision` (of a checkpoint), `output` (`embedding`, or `logits` of an ONNX
-- file)
-- @treturn[1] network `forward`, `close`, `samples` (of a window), `options`: `sample_rate`, `seconds`, `z` (values)
-- @treturn[1] table metadata: of a checkpoint, its own
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function encoder.open(path, options)
   local o = check_options(options, {threads = "integer", precision = "string",
      output = {"choice", {"embedding", "logits"}, default = "embedding"}})
   if encoder.is_onnx(path) then return open_onnx(path, o) end
   return tilenet.open(path, {threads = o.threads, precision = o.precision})
end

local function md5(text) return assert(sql.query(("select md5(%s) as hash"):format(sql.quote(text))))[1].hash end

--- A text that follows from what a network computes alone: of a checkpoint from its weights, not from where it is, nor
-- from what else it holds; of an ONNX file from its bytes, its description and the output.
-- @tparam network net from `open`, or of `bclua.tilenet`
-- @treturn string
function encoder.identity(net)
   if net.session then
      local file = assert(sql.query("select md5(content) as hash from read_blob(" .. sql.path(net.path) .. ")"))[1]
      return md5(file.hash .. net.kind .. json.encode(net.description))
   end
   local names, sums = {}, {}
   local state = net:state()
   for name in pairs(state) do names[#names + 1] = name end
   table.sort(names)
   for i, name in ipairs(names) do
      local t = state[name]:copy("f64")
      sums[i] = ("%s %a %a"):format(name, t:sum(), (t * t):sum())
   end
   return md5(table.concat(sums, "\n"))
end

return encoder
