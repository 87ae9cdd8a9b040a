local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local lfs = require "lfs"
local nn = require "bclua.nn"
local safetensors = require "bclua.format.safetensors"
local sampling = require "bclua.sampling"
local tilenet = require "bclua.tilenet"

local NARROW = {widths = {8, 16, 32, 64}, z = 32}

local function narrow(options)
   local o = {widths = NARROW.widths, z = NARROW.z}
   for key, value in pairs(options or {}) do o[key] = value end
   return tilenet.new(o)
end

local function noise(n, seed, loudness)
   math.randomseed(seed)
   local a = array.zeros{n, 160000}
   for i = 1, n do
      local row = a[i]
      for k = 1, 160000, 5 do row[k] = (math.random() - 0.5) * (loudness or 1) end
   end
   return a
end

-- Folders with a network that PyTorch ran: ours, and those of BCLUA_REFERENCE.
local function cases()
   local found = {}
   for _, root in ipairs{"spec/fixtures", os.getenv("BCLUA_REFERENCE") or false} do
      local folder = root and root .. "/tilenet"
      if folder and lfs.attributes(folder .. "/expected.safetensors", "mode") == "file" then
         found[#found + 1] = folder
      end
   end
   return found
end

-- (roles, triplets, samples)
local function read_audio(folder)
   local tensors = safetensors.load(folder .. "/audio.safetensors")
   if tensors then return tensors.audio end
   return assert(audio.load(folder .. "/audio.flac")):reshape{3, 3, 160000}
end

-- Everything PyTorch noted down, computed here: name -> array.
local function one_step(folder, precision)
   local net = narrow{compression = "power", precision = precision}
   assert(net:load(folder .. "/weights.safetensors"))
   local clips = read_audio(folder)
   local got = {embedding_eval = net:forward(clips[1])}
   local layers, e = net:activations({clips[1], clips[2], clips[3]}, {"mel", "stem", "layer5.1"},
      {train = true, groups = 3})
   for name, layer in pairs{mel = "mel", stem = "stem", layer5 = "layer5.1"} do
      got["activation." .. name] = layers[layer]:slice(1, 1, 3)
   end
   got.embedding_p, got.embedding_n, got.embedding_d = e:slice(1, 1, 3), e:slice(1, 4, 6), e:slice(1, 7, 9)
   local info = assert(net:train_step({anchor = clips[1], neighbor = clips[2], distant = clips[3]},
      {lr = 1e-3, betas = {0.5, 0.999}, eps = 1e-8, weight_decay = 0.01, margin = 50, l2 = 0.01}))
   for _, name in ipairs{"loss", "loss_n", "loss_d"} do got[name] = array.from({info[name]}, "f64") end
   for name, a in pairs(net:gradients()) do got["grad." .. name] = a end
   for name, a in pairs(net:state()) do got["after." .. name] = a end
   return got
end

-- Largest differences relative to the tensor's largest value: name -> number.
local function differences(folder, precision)
   local expected, got = assert(safetensors.load(folder .. "/expected.safetensors")), one_step(folder, precision)
   local out, all = {}, {}
   for name, reference in pairs(expected) do
      local a = assert(got[name], name):copy("f64"):reshape(reference:shape())
      reference = reference:copy("f64")
      out[name] = array.max_difference(a, reference) / math.max(reference:abs():max(), 1e-300)
      all[#all + 1] = out[name]
      got[name] = nil
   end
   assert.is_nil(next(got), "a tensor that PyTorch does not have")
   table.sort(all)
   return out, all[(#all + 1) // 2]
end

describe("the network that PyTorch ran", function()
   for _, folder in ipairs(cases()) do
      it("gives the same values, gradients and weights in double precision, " .. folder, function()
         local out, median = differences(folder, "f64")
         assert(median < 1e-6, "median " .. median)
         for name, d in pairs(out) do assert(d < 5e-5, ("%s differs by %g"):format(name, d)) end
      end)

      it("gives them in single precision, " .. folder, function()
         local out, median = differences(folder, "f32")
         assert(median < 1e-5, "median " .. median)
         for name, d in pairs(out) do
            -- A ReLU whose input is within rounding of 0 (one of 1.3e-8 is) may switch; the gradients
            -- before it then move, and AdamW's first step turns the sign of a tiny gradient into lr.
            local limit = (name:find("^grad") or name:find("^after")) and 0.1 or 1e-5
            assert(d < limit, ("%s differs by %g"):format(name, d))
         end
      end)
   end
end)

describe("tilenet", function()
   it("has the shapes of the original", function()
      local net = tilenet.new()
      local shapes = {}
      for _, l in ipairs(net.core:layers()) do shapes[l.name] = {l.c, l.h, l.w} end
      assert.same({1, 128, 131}, shapes.mel)
      assert.same({64, 64, 66}, shapes.stem)
      assert.same({64, 64, 66}, shapes["layer1.1"])
      assert.same({128, 32, 33}, shapes["layer2.1"])
      assert.same({512, 8, 9}, shapes["layer4.1"])
      assert.same({512, 4, 5}, shapes["layer5.1"])
      assert.same({512, 1, 1}, shapes.pool)
      assert.same({256, 128, 1, 1}, net:state()["layer3.0.shortcut.0.weight"]:shape())
      assert.is_nil(net:state()["layer1.0.shortcut.0.weight"])
      local s = net:summary{batch_size = 64}
      assert.equal(20872128, s.parameters)
      assert(s.memory.total / 64 < 80 * 2 ^ 20, "less than PyTorch takes")
      net:close()
   end)

   it("with pooling by bands knows how high a sound is, in values with signs", function()
      local net = tilenet.new{widths = {4, 4, 4, 4}, z = 6, pooling = "bands"}
      local shapes = {}
      for _, l in ipairs(net.core:layers()) do shapes[l.name] = {l.c, l.h, l.w} end
      assert.same({4, 4, 5}, shapes["layer5.1"])
      assert.same({4, 4, 1}, shapes.mean)
      assert.same({4, 4, 1}, shapes.max)
      assert.same({6, 1, 1}, shapes.head)
      assert.same({6, 4, 4, 1}, net:state()["head.max.weight"]:shape())
      local x = sampling.generator(2):normal(3 * net.samples):reshape{3, net.samples}:copy("f32")
      local e = net:forward(x)
      assert.same({3, 6}, e:shape())
      assert(e:min() < 0 and e:max() > 0)
      local path = os.tmpname()
      assert(net:save(path))
      local again = assert(tilenet.open(path))
      assert(array.equal(e, again:forward(x)))
      os.remove(path)
      local info = assert(net:train_step({anchor = x, neighbor = x * 0.5, distant = x * 0.1}, {loss = "nt_xent"}))
      assert(info.gradient_norm > 0)
      net:close()
      again:close()
      -- other sizes of what comes in: the last maps are no longer 4 x 5
      net = tilenet.new{widths = {2, 2, 2, 2}, z = 3, pooling = "bands", seconds = 8, n_mels = 200}
      assert.same({1, 3}, net:forward(array.zeros({1, net.samples}, "f32")):shape())
      net:close()
   end)

   it("shows the loss a projection of the embedding, which a checkpoint's network is without", function()
      local net = narrow{pooling = "bands", projection = 3, z = 6}
      local x = noise(3, 5)
      assert.same({3, 3}, net:forward(x):shape())
      local info = assert(net:train_step({anchor = x, neighbor = x * 0.5, distant = x * 0.1}, {loss = "nt_xent"}))
      assert(info.gradient_norm > 0)
      local path = os.tmpname()
      assert(net:save(path, {optimizer = true}))
      local again = assert(tilenet.open(path))
      assert.equal(0, again.options.projection)
      assert(array.equal(net:activations({x}, {"head"}).head:reshape{3, 6}, again:forward(x)))
      -- training goes on with it
      local further = narrow{pooling = "bands", projection = 3, z = 6, seed = 9}
      assert(further:load(path, {optimizer = true}))
      assert(array.equal(net:forward(x), further:forward(x)))
      assert.error_matches(function() assert(again:load(path)) end, "'projection.linear.[a-z]+' is not one of")
      os.remove(path)
      for _, n in ipairs{net, again, further} do n:close() end
   end)

   it("has a projected shortcut where the stride or the width changes, only there", function()
      assert(narrow():state()["layer5.0.shortcut.1.running_var"])
      assert.is_nil(narrow{widths = {8, 8, 8, 8}}:state()["layer1.0.shortcut.0.weight"])
   end)

   it("does not hear how loud a recording is, nor fail on silence", function()
      local net = narrow{seed = 2}
      local quiet, loud = net:forward(noise(1, 3, 0.01)), net:forward(noise(1, 3, 1))
      assert(array.allclose(quiet, loud, 1e-3, 1e-4))
      for _, compression in ipairs{"log", "pcen", "power"} do
         net = narrow{compression = compression}
         local silent = array.zeros{2, 160000}
         assert(net:forward(silent):is_finite(), compression)
         local info = assert(net:train_step({anchor = silent, neighbor = silent, distant = silent}))
         assert(info.loss == info.loss and info.gradient_norm < math.huge)
         for name, a in pairs(net:state()) do assert(a:is_finite(), name) end
      end
   end)

   it("stays finite on silent, constant and repeated input, in every precision and compression", function()
      local samples = 32000
      local tone = array.zeros{2, samples}
      for i = 1, 2 do
         for k = 1, samples do tone:set(i, k, math.sin(k * 0.3)) end
      end
      for _, precision in ipairs{"f32", "bf16", "f16"} do
         for _, compression in ipairs{"log", "pcen", "power"} do
            local net = tilenet.new{widths = {4, 4, 4, 4}, z = 4, seconds = 1, n_fft = 1024, precision = precision,
                                    compression = compression}
            for _, x in ipairs{array.zeros{2, samples}, array.full({2, samples}, 0.5), tone} do
               local name = precision .. " " .. compression
               local info, message = net:train_step{anchor = x, neighbor = x, distant = x}
               assert(info and info.stepped, ("%s: %s"):format(name, message))
               assert(net:forward(x):is_finite(), name)
               for tensor, a in pairs(net:state()) do assert(a:is_finite(), name .. " " .. tensor) end
            end
         end
      end
   end)

   it("keeps power in f32 in front of f16, and shows what f16 could not hold", function()
      local x = array.zeros{2, 32000}
      for i = 1, 2 do
         for k = 1, 32000 do x:set(i, k, math.sin(k * 0.3)) end
      end
      local net = tilenet.new{widths = {4, 4, 4, 4}, z = 4, seconds = 1, n_fft = 1024, precision = "f16",
                              compression = "power", front_end = "mel_trained"}
      local rows = net:ranges{anchor = x, neighbor = x, distant = x}
      assert.equal("stft", rows[1].layer)
      assert(rows[1].value.over == 0 and rows[1].value.most > 6e4)
      x = x * 2 -- the power of four times as much is beyond 65504
      rows = net:ranges{anchor = x, neighbor = x, distant = x}
      assert(rows[1].value.over > 0 and rows[1].value.most > 65504)
      assert(net:train_step{anchor = x, neighbor = x, distant = x})
   end)

   it("takes one window as a vector", function()
      local net, x = narrow(), noise(1, 1)
      assert(array.equal(net:forward(x), net:forward(x[1])))
   end)

   it("learns to tell two sounds apart", function()
      local net = narrow{seconds = 1, n_fft = 1024}
      local function tones(seed, hz)
         math.randomseed(seed)
         local a = array.zeros{4, net.samples}
         for i = 1, 4 do
            for k = 1, net.samples do
               a:set(i, k, math.sin(2 * math.pi * hz * k / 32000) + 0.3 * (math.random() - 0.5))
            end
         end
         return a
      end
      local batch = {anchor = tones(1, 2000), neighbor = tones(2, 2000), distant = tones(3, 5000)}
      local first, last = assert(net:train_step(batch, {margin = 5})), nil
      for _ = 1, 10 do last = assert(net:train_step(batch, {margin = 5})) end
      assert(last.loss < 0.6 * first.loss, ("%g -> %g"):format(first.loss, last.loss))
      assert(last.loss_d > 2 * last.loss_n)
   end)

   it("starts from its seed", function()
      local function first(seed) return narrow{seed = seed}:state()["layer2.1.conv2.weight"] end
      assert(array.equal(first(1), first(1)))
      assert(not array.equal(first(1), first(2)))
   end)

   it("gives its layers to be changed", function()
      local layers, o = tilenet.layers(NARROW)
      layers[#layers] = {{"average_pool", global = true}, {"linear", name = "head", out = 16}}
      local net = nn.network(layers, o)
      assert.same({2, 16}, net:forward(noise(2, 1)):shape())
   end)

   it("is as small as its pool allows, and says which option makes it smaller", function()
      local small = {widths = {4, 4, 4, 4}, z = 8}
      small.n_mels, small.hop = 97, 1650 -- 97 frames
      assert.same({1, 8}, tilenet.new(small):forward(array.zeros{1, 160000}):shape())
      small.hop = 1667
      assert.error_matches(function() tilenet.new(small) end, "at a hop of 1667 are 96 frames, 97 are needed")
      small.hop, small.n_mels = nil, 96
      assert.error_matches(function() tilenet.new(small) end,
         "option 'n_mels' must be an integer of at least 97, got 96")
   end)

   it("has frames of an eighth of a second at any rate", function()
      for rate, n_fft in pairs{[8000] = 1024, [32000] = 4096, [44100] = 4096, [48000] = 8192, [256000] = 32768} do
         local net = tilenet.new{widths = {4, 4, 4, 4}, z = 8, sample_rate = rate}
         assert.same({n_fft, 5 * rate}, {net.options.n_fft, net.samples})
         assert.same({1, 8}, net:forward(array.zeros{1, net.samples}):shape())
         net:close()
      end
      assert.same({4096, 1227}, {tilenet.frames(32000, 160000)})
      assert.same({512, 1255}, {tilenet.frames(32000, 160000, 512)})
      assert.same({2, 1}, {tilenet.frames(1, 1)})
   end)

   it("names the option it rejects", function()
      local function raises(text, options)
         assert.error_matches(function() tilenet.new(options) end, text, 1, true)
      end
      raises("unknown option 'width' (did you mean 'widths'?", {width = 3})
      raises("option 'widths' must be a list of integers, 4 of them, got a table", {widths = {1, 2}})
      raises("must be one of log, power, pcen, got 'lag'", {compression = "lag"})
      raises("must be one of mean, bands, got 'max'", {pooling = "max"})
      raises("are 3200 samples: the front end needs more than n_fft = 4096", {seconds = 0.1})
      raises("option 'seconds' must be a number above 0 and of at most 3600, got '5'", {seconds = "5"})
      raises("option 'z' must be an integer from 1 to 65536, got 0", {z = 0})
      assert.error_matches(function() narrow():forward(array.zeros{2, 80000}) end, "got (2, 80000)", 1, true)
   end)
end)

describe("a checkpoint", function()
   local folder, path
   before_each(function()
      folder = command.folder()
      path = folder .. "/net.safetensors"
   end)
   after_each(function() command.remove(folder) end)

   local small = {widths = {4, 4, 4, 4}, z = 4, seconds = 1, n_fft = 1024}

   it("brings back the network, its options and its optimiser", function()
      local net = tilenet.new(small)
      local function batch(seed)
         math.randomseed(seed)
         local b = {}
         for _, role in ipairs{"anchor", "neighbor", "distant"} do
            b[role] = array.zeros{2, net.samples}
            for k = 1, net.samples, 3 do b[role]:set(1, k, math.random()) end
         end
         return b
      end
      net:train_step(batch(1))
      assert.is_true(net:save(path, {optimizer = true, metadata = {note = "x"}}))
      local again, metadata = assert(tilenet.open(path))
      assert.equal("x", metadata.note)
      assert.same(net.options, again.options)
      assert(again:load(path, {optimizer = true}))
      assert.equal(1, again.step)
      net:train_step(batch(2))
      again:train_step(batch(2))
      for name, a in pairs(net:state()) do assert(array.equal(a, again:state()[name]), name) end
   end)

   it("has PyTorch's names and nothing else, unless asked", function()
      local net = tilenet.new(small)
      assert(net:save(path))
      local tensors = safetensors.load(path)
      for name in pairs(net:state()) do assert(tensors[name]) end
      for name in pairs(tensors) do assert(net:state()[name], name) end
      assert.same({"optimizer.step"}, (function()
         assert(net:save(path, {optimizer = true}))
         local extra = {}
         for name in pairs(safetensors.load(path)) do
            if not net:state()[name] and not name:find("^optimizer%.exp_avg") then extra[#extra + 1] = name end
         end
         return extra
      end)())
   end)

   it("that does not fit is refused whole, naming file and tensor", function()
      local net, other = tilenet.new(small), tilenet.new(small)
      local function refuses(text, change)
         assert(other:save(path))
         local tensors = safetensors.load(path)
         change(tensors)
         assert(safetensors.save(path, tensors))
         local before = net:state()["layer5.1.bn2.bias"]:copy()
         local ok, message = net:load(path)
         assert.is_nil(ok)
         assert.equal(path .. ": " .. text, message)
         assert(array.equal(before, net:state()["layer5.1.bn2.bias"]))
      end
      other:state()["layer5.1.bn2.bias"]:fill(3)
      refuses("tensor 'conv1.weight' is missing", function(t) t["conv1.weight"] = nil end)
      refuses("tensor 'bn1.bias' is (5), the network's is (4)", function(t) t["bn1.bias"] = array.zeros(5) end)
      refuses("tensor 'layer4.0.conv1.weight' holds NaN or infinities",
         function(t) t["layer4.0.conv1.weight"]:set(1, 1, 1, 1, 0 / 0) end)
      refuses("tensor 'fc.weight' is not one of the network's", function(t) t["fc.weight"] = array.zeros(5) end)
      assert(other:save(path))
      local ok, message = net:load(path, {optimizer = true})
      assert.is_nil(ok)
      assert.matches("tensor 'optimizer.exp_avg", message, 1, true)
      assert.equal(path .. ".no: No such file or directory", select(2, net:load(path .. ".no")))
      assert(net:load(path))
      assert.equal(3, net:state()["layer5.1.bn2.bias"][1])
   end)

   it("without options or with wrong ones cannot be opened", function()
      assert(safetensors.save(path, {}))
      assert.equal(path .. ": no metadata of a tilenet", select(2, tilenet.open(path)))
      assert(safetensors.save(path, {}, {tilenet = '{"z":-1}'}))
      local net, message = tilenet.open(path)
      assert.is_nil(net)
      assert.equal(path .. ": ", message:sub(1, #path + 2))
      assert(safetensors.save(path, {}, {tilenet = '{"widths":[4,4,4,4],"z":4}'}))
      assert.equal(path .. ": tensor 'conv1.weight' is missing", select(2, tilenet.open(path)))
   end)
end)
