-- encoder: other people's networks, from their values to detections.
local array = require "bclua.array"
local audio = require "bclua.audio"
local browse = require "bclua.workflow.browse"
local command = require "support.command"
local encoder = require "bclua.encoder"
local files = require "bclua.files"
local nn = require "bclua.nn"
local onnx = require "bclua.onnxruntime"
local onnx_export = require "bclua.format.onnx"
local onnx_file = require "support.onnx_file"
local sampling = require "bclua.sampling"
local spectral = require "bclua.spectral"
local sql = require "bclua.sql"
local system = require "bclua.system"
local tilenet = require "bclua.tilenet"

local why_not = onnx_file.no_runtime()
if why_not then
   describe("encoder", function() it("needs onnxruntime", function() pending(why_not) end) end)
   return
end

local RATE, SECONDS = 8000, 3
local dir

local function noise(n, seed) return sampling.generator(seed):normal(n):copy("f32") * 0.05 end

local function describe_as(path, d)
   assert(files.write_json(path:gsub("%.onnx$", ".json"), d))
   return path
end

-- How loud it is, in two ways: `embedding`, the mean square and the mean of the samples' sizes; `logits` of "loud" and
-- "quiet" by the mean square, .0025 being as likely one as the other.
local function loudness(path, o)
   o = o or {}
   onnx_file.write(path, {inputs = {[o.input or "audio"] = o.shape or {"n", RATE * SECONDS}},
      outputs = {embedding = {o.n or "n", 2}, logits = {o.n or "n", 2}, scores = {o.n or "n", 2}},
      tensors = {weight = {1e4, -1e4, dims = {1, 2}}, bias = {-25, 25, dims = {2}}},
      nodes = {{"Flatten", from = {o.input or "audio"}, to = "flat", with = {axis = o.axis or 1}},
         {"Mul", from = {"flat", "flat"}, to = "square"}, {"Abs", from = {"flat"}, to = "size"},
         {"ReduceMean", from = {"square"}, to = "energy", with = {axes = {1}}},
         {"ReduceMean", from = {"size"}, to = "mean", with = {axes = {1}}},
         {"Concat", from = {"energy", "mean"}, to = "embedding", with = {axis = 1}},
         {"Gemm", from = {"energy", "weight", "bias"}, to = "logits"}, {"Sigmoid", from = {"logits"}, to = "scores"}}})
   return path
end

local WINDOWS = {} -- (5, samples), silence and noise of several strengths
local DESCRIPTION = {sample_rate = RATE, seconds = SECONDS, embedding = "embedding", logits = "logits",
   labels = {"loud", "quiet"}}

local function with(changes)
   local d = {}
   for k, v in pairs(DESCRIPTION) do d[k] = v end
   for k, v in pairs(changes) do d[k] = v or nil end
   return d
end

setup(function()
   dir = command.folder()
   local x = array.zeros({5, RATE * SECONDS}, "f32")
   for i = 1, 5 do x[i]:fill(noise(RATE * SECONDS, i) * (i - 1)) end
   WINDOWS = x
end)
teardown(function() command.remove(dir) end)

local function expected(x)
   local z = array.zeros({x:shape(1), 2}, "f32")
   for i = 1, x:shape(1) do
      z:set(i, 1, (x[i] * x[i]):mean())
      z:set(i, 2, x[i]:abs():mean())
   end
   return z
end

describe("onnx", function()
   it("says what a network takes and gives", function()
      local s <close> = assert(onnx.open(loudness(dir .. "/plain.onnx")))
      assert.same({{name = "audio", type = "f32", shape = {-1, RATE * SECONDS}}}, s:inputs())
      assert.equal(3, #s:outputs())
      assert.matches("^1%.%d+%.%d", onnx.version())
   end)

   it("frees a network once, and says when it is closed", function()
      local s = assert(onnx.open(loudness(dir .. "/plain.onnx"), {threads = 1}))
      s:close()
      s:close()
      assert.error_matches(function() s:inputs() end, "the network is closed", 1, true)
   end)

   it("says how the library is had where there is none", function()
      local say = "print(require('bclua.onnxruntime').version())"
      local out = command.bclua({"-e", say}, {env = "ORT_LIB=/nowhere/libonnxruntime.so"})
      assert.matches("^nil\tonnxruntime, which computes ONNX networks, cannot be loaded %(/nowhere/.*make onnxruntime",
         out)
   end)
end)

describe("encoder", function()
   it("gives what our network gives, exported", function()
      local net = tilenet.new{widths = {4, 6, 6, 8}, z = 8, seconds = 1, sample_rate = RATE}
      local path = describe_as(dir .. "/own.onnx", {sample_rate = RATE, seconds = 1, embedding = "embedding"})
      assert(onnx_export.export(net, path))
      local own = assert(encoder.open(path))
      assert.same({RATE, {sample_rate = RATE, seconds = 1, z = 8}}, {own.samples, own.options})
      local x = array.zeros({5, RATE}, "f32")
      for i = 1, 5 do x[i]:fill(noise(RATE, i)) end
      local z = net:forward(x)
      for _, batch in ipairs{1, 2, 16} do
         assert.is_true(array.max_difference(z, own:forward(x, {batch_size = batch})) < 1e-4 * z:abs():max())
      end
      own:close()
   end)

   it("takes windows in whatever shape they are wanted", function()
      local z = expected(WINDOWS)
      for name, o in pairs{free = {shape = {"n", "samples"}}, channel = {shape = {"n", 1, RATE * SECONDS}},
         four = {shape = {4, RATE * SECONDS}, n = 4}, one = {shape = {1, 1, 1, RATE * SECONDS}, n = 1},
         single = {shape = {RATE * SECONDS}, axis = 0, n = 1}} do
         local net = assert(encoder.open(describe_as(loudness(("%s/%s.onnx"):format(dir, name), o), DESCRIPTION)))
         assert.is_true(array.max_difference(z, net:forward(WINDOWS)) < 1e-7, name)
         net:close()
      end
   end)

   it("gives logits, also of probabilities", function()
      local path = describe_as(loudness(dir .. "/logits.onnx"), DESCRIPTION)
      local net = assert(encoder.open(path, {output = "logits"}))
      local logits = net:forward(WINDOWS)
      for i = 1, 5 do assert.near(1e4 * expected(WINDOWS):at(i, 1) - 25, logits:at(i, 1), 1e-2) end
      local other = assert(encoder.open(describe_as(loudness(dir .. "/scores.onnx"), with{logits = "scores",
         values = "probabilities"}), {output = "logits"}))
      for i = 1, 5 do -- of a probability of 0 or 1 only a finite number is left
         local wanted = math.max(-16.118, math.min(16.118, logits:at(i, 1)))
         assert.near(wanted, other:forward(WINDOWS):at(i, 1), 0.1)
      end
      net:close()
      other:close()
   end)

   it("scales windows to a peak", function()
      local net = assert(encoder.open(describe_as(loudness(dir .. "/peak.onnx"), with{peak = 0.5})))
      local z = net:forward(WINDOWS)
      for i = 2, 5 do
         local y = WINDOWS[i] * (0.5 / WINDOWS[i]:abs():max())
         assert.near((y * y):mean(), z:at(i, 1), 1e-6)
      end
      assert.equal(0, z:at(1, 1)) -- silence stays silence
      net:close()
   end)

   -- A network of maps, and what mel spectrograms it gets.
   local function of_mel(name, layout, m)
      local samples, o = RATE * SECONDS, {sample_rate = RATE, n_fft = 512, hop = 200, n_mels = 32, fmin = 100}
      local frames = samples // 200 + 1
      local extents = layout == "bands_frames" and {1, 32, frames} or {1, frames, 32}
      local net = nn.network({{"conv2d", out = 3, kernel = 3, stride = 2}, {"relu"}, {"average_pool", global = true}},
         {input = extents, seed = 2})
      local path = ("%s/%s.onnx"):format(dir, name)
      assert(onnx_export.export(net, path))
      local mel = {n_fft = 512, hop = 200, n_mels = 32, fmin = 100, order = layout}
      for k, v in pairs(m) do mel[k] = v end
      local other = assert(encoder.open(describe_as(path, {sample_rate = RATE, seconds = SECONDS,
         embedding = "embedding", mel = mel})))
      return net, other, o, extents
   end

   it("gives mel spectrograms to whoever wants them", function()
      for name, case in pairs{
         decibel = {"bands_frames", {scale = "decibel", top_db = 60, least = 1e-8, mean = -30, deviation = 20},
            function(s) return (spectral.power_to_db(s, {amin = 1e-8, top_db = 60}) + 30) / 20 end},
         log = {"frames_bands", {scale = "log", least = 1e-6},
            function(s) return s:maximum(1e-6):log():T():copy() end},
         power = {"bands_frames", {}, function(s) return s end}} do
         local net, other, o, extents = of_mel(name, case[1], case[2])
         local x = array.zeros({5, extents[2] * extents[3]}, "f32")
         for i = 1, 5 do x[i]:fill(case[3](spectral.mel(WINDOWS[i], o)):reshape{x:shape(2)}) end
         local z = net:forward(x:reshape{5, table.unpack(extents)})
         assert.is_true(array.max_difference(z:reshape{5, 3}, other:forward(WINDOWS)) < 1e-4 * z:abs():max(), name)
         other:close()
      end
   end)

   it("has an identity that its name has no part in, but all that it computes", function()
      local seen = {}
      local function identity(d, output, path)
         local net = assert(encoder.open(describe_as(loudness(path or dir .. "/i.onnx"), with(d)), {output = output}))
         local text = encoder.identity(net)
         net:close()
         return text
      end
      local first = identity{}
      assert.equal(first, identity({}, nil, dir .. "/other [1].onnx"))
      for _, other in ipairs{identity({}, "logits"), identity{peak = 1}, identity{embedding = "scores"}} do
         assert.is_nil(seen[other])
         assert.not_equal(first, other)
         seen[other] = true
      end
   end)
end)

describe("encoder, of what does not fit,", function()
   local function message(d, options, o, name)
      local path = loudness(("%s/%s.onnx"):format(dir, name or "bad"), o)
      if d then describe_as(path, d) end
      local net, why = encoder.open(path, options)
      assert.is_nil(net)
      return (why:gsub(dir .. "/", ""))
   end

   it("names the file and what is wrong with it", function()
      assert.equal("nowhere.onnx: no such file", select(2, encoder.open("nowhere.onnx")))
      assert.equal("lonely.json: no such file: it has to say what lonely.onnx takes and gives " ..
         "(doc/detect.md)", message(nil, nil, nil, "lonely"))
      for text, d in pairs{
         ["bad.json: key 'sample_rate' must be a number from 1000 to 768000, got '48 kHz'"] =
            with{sample_rate = "48 kHz"},
         ["bad.json: no key 'seconds'"] = with{seconds = false},
         ["bad.json: unknown key 'second'"] = with{second = 3},
         ["bad.json: unknown key 'fft'"] = with{mel = {n_fft = 512, hop = 128, n_mels = 20, fft = 1}},
         ["bad.json: names no output: embedding, logits, or both"] = with{embedding = false, logits = false},
         ["bad.json: labels: a list of names expected, or the name of a file of them"] = with{labels = false},
         ["labels.txt: No such file or directory"] = with{labels = "labels.txt"},
         ["bad.onnx: no output 'z' (its outputs: embedding, logits, scores)"] =
            with{embedding = "z"},
         ["bad.onnx: no input 'x' (its inputs: audio)"] = with{input = "x"},
         ["bad.onnx: input 'audio' takes f32 (any, 24000), the description makes the samples of a window: f32 " ..
            "(48000)"] = with{sample_rate = 16000},
         ["bad.onnx: input 'audio' takes f32 (any, 24000), the description makes a mel spectrogram of a window: " ..
            "f32 (20, 188)"] = with{mel = {n_fft = 512, hop = 128, n_mels = 20}},
      } do assert.equal(text, message(d)) end
      assert.matches("^bad.onnx: its description: mel: .*fmax", message(with{mel = {n_fft = 512, hop = 128, n_mels = 20,
         fmin = 9000}}))
      assert.equal("bad.onnx: output 'logits' has 2 values, there are 3 labels",
         message(with{labels = {"a", "b", "c"}}, {output = "logits"}))
      assert.matches("^bad.json: labels: 'a' is no name, or one twice", message(with{labels = {"a", "a"}}))
      assert.matches("names no output with logits", message(with{logits = false}, {output = "logits"}))
      assert.matches("computes as it was made to", message(with{}, {precision = "bf16"}))
   end)

   it("says that a file is no network", function()
      local path = describe_as(command.write(dir .. "/none.onnx", "no network"), DESCRIPTION)
      local net, why = encoder.open(path)
      assert.is_nil(net)
      assert.equal(path .. ": Load model from " .. path .. " failed:Protobuf parsing failed.", why)
      describe_as(command.write(dir .. "/broken.onnx", "{"), DESCRIPTION)
      command.write(dir .. "/broken.json", "{")
      assert.matches("broken.json: ", select(2, encoder.open(dir .. "/broken.onnx")))
   end)
end)

describe("a network of others", function()
   local folder, path, labels, words

   -- Six recordings of 30 s at two sites, loud from second 9 to 15 and, every other one, from 21 to 24.
   setup(function()
      folder, path = dir .. "/in", describe_as(loudness(dir .. "/net.onnx"), DESCRIPTION)
      words, labels = {"--encoder", path, folder, "--threads", "1"}, {"source_name,start_s,end_s,label"}
      for i = 1, 6 do
         local y, name = noise(30 * RATE, 20 + i), ("S%d/r%d.wav"):format(i % 2, i)
         for _, part in ipairs{{9, 15}, i % 2 == 0 and {21, 24} or nil} do
            y:slice(1, part[1] * RATE + 1, part[2] * RATE):fill(noise((part[2] - part[1]) * RATE, 40 + i) * 4)
            labels[#labels + 1] = ("%s,%g,%g,loud"):format(name, part[1], part[2])
         end
         assert(system.mkdir(folder .. "/" .. files.dirname(name)))
         assert(audio.save(folder .. "/" .. name, y, RATE))
      end
      labels = command.write(dir .. "/labels.csv", table.concat(labels, "\n") .. "\n")
   end)

   local function run(script, list, more)
      local all = {"scripts/" .. script}
      table.move(list, 1, #list, 2, all)
      table.move(more or {}, 1, #(more or {}), #all + 1, all)
      local out, status = command.bclua(all)
      assert(status == 0, out)
      return out
   end

   it("is as good as one of ours: embed, cluster, search, classify, browse", function()
      local table_ = dir .. "/calls.parquet"
      assert.matches("60 windows", run("embed.lua", {"predict"}, {"--output", table_, table.unpack(words)}))
      local rows = assert(sql.query("select * from " .. sql.parquet(table_) .. " where embedding[2] > .1"))
      assert.equal(15, #rows) -- windows of 3 s, of two values each
      assert.same({2, 3}, {#rows[1].embedding, rows[1].end_s - rows[1].start_s})
      assert.matches("nothing to do", run("embed.lua", {"predict"}, {"--output", table_, table.unpack(words)}))
      assert.matches("clusters", run("embed.lua", {"cluster", table_, "--output", dir .. "/clusters.parquet", "--least",
         "5"}))
      local hits = run("embed.lua", {"search", folder .. "/S1/r1.wav@9", "--embeddings", table_, "--top", "5",
         "--metric", "euclidean"})
      assert.matches("profile_distance", run("embed.lua", {"search", folder .. "/S1/r1.wav@9", "--embeddings", table_,
         "--verify"}))
      for file, start in hits:gmatch("(%S+r%d.wav)%s+(%d+)") do
         assert.is_true(({[9] = true, [12] = true, [21] = true})[tonumber(start)], file .. " " .. start)
      end
      assert.matches("loud", run("classify.lua", {"train", "--labels", labels, "--embeddings", table_, "--output",
         dir .. "/loud.safetensors", "--samples", "10"}))
      run("classify.lua", {"predict", dir .. "/loud.safetensors", folder, "--output", dir .. "/found"})
      local found = assert(sql.query("from " .. sql.parquet(dir .. "/found/detections.parquet")))
      assert.equal(9, #found)
      assert.same({9, 15, "loud"}, {found[1].start_s, found[1].end_s, found[1].label})
      assert(system.mkdir(dir .. "/run"))
      local b = assert(browse.open{run = dir .. "/run", embeddings = table_, clusters = dir .. "/clusters.parquet"})
      local w = b.windows
      local row = w:row_of(folder .. "/S1/r1.wav", 9)
      assert.is_true(#w:picture(row) > 1000)
      assert.equal(44 + 2 * 3 * RATE, #w:sound(row))
      assert.is_true(#w:like(row) > 0)
   end)

   it("finds what it has classes for, at the threshold that is given", function()
      local out = run("classify.lua", {"predict"}, {"--output", dir .. "/own", "--threshold", "0.9", "--format",
         "raven", "--review", "4", table.unpack(words)})
      assert.matches("loud%s+0.900%s+9%s+6", out)
      assert.matches("found: 1 of the 2 classes; probabilities are the network's own, not held against labels", out)
      local rows = assert(sql.query("from " .. sql.parquet(dir .. "/own/detections.parquet") ..
         " where label = 'loud' order by file, start_s"))
      assert.same({9, 9, 15}, {#rows, rows[1].start_s, rows[1].end_s})
      assert.is_true(files.is_file(dir .. "/own/detections.selections.txt"))
      assert.is_true(files.is_file(dir .. "/own/review.csv"))
   end)

   it("refuses what has no meaning", function()
      local function fails(script, list, text)
         local out, status = command.bclua{"scripts/" .. script, table.unpack(list)}
         assert.equal(1, status, out)
         assert.is_truthy(out:find(text, 1, true), out)
         assert.is_nil(out:find("traceback"))
      end
      fails("classify.lua", {"predict", "--encoder", path, folder, "--output", dir .. "/x", "--precision", "0.9"},
         path .. ": its probabilities were never held against labels: choose a --threshold")
      fails("embed.lua", {"predict", "--encoder", path, "--output", dir .. "/x.parquet"}, "missing argument 'inputs'")
      fails("embed.lua", {"predict", folder, "--output", dir .. "/x.parquet"}, "missing argument 'inputs'")
      fails("classify.lua", {"predict", "--output", dir .. "/x"}, "missing argument 'model'")
      fails("classify.lua", {"predict", path, folder, "--output", dir .. "/x"}, "a network, no model: say --encoder")
      fails("embed.lua", {"predict", "--encoder", labels, folder, "--output", dir .. "/x.parquet"},
         ("--encoder: '%s' does not end in .onnx"):format(labels))
      fails("embed.lua", {"predict", "--encoder", path, folder, "--output", dir .. "/x.parquet", "--precision", "f16"},
         "computes as it was made to")
      -- a table of another network
      local other = describe_as(loudness(dir .. "/other.onnx"), with{embedding = "scores"})
      local table_ = dir .. "/another.parquet"
      run("embed.lua", {"predict"}, {"--output", table_, table.unpack(words)})
      fails("embed.lua", {"predict", "--encoder", other, folder, "--output", table_}, "weights")
      fails("embed.lua", {"search", folder .. "/S1/r1.wav@9", "--embeddings", table_, "--checkpoint", other},
         ("%s: was made with another network than %s"):format(table_, other))
   end)
end)
