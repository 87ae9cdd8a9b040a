local array = require "bclua.array"
local gradient = require "support.gradient"
local nn = require "bclua.nn"
local sampling = require "bclua.sampling"
local spectral = require "bclua.spectral"
local tilenet = require "bclua.tilenet"

local nan = 0 / 0
local noise = gradient.noise

local function check(layers, input, options)
   local o = options or {}
   local net = gradient.double(layers, input, {input_gradient = o.input_gradient ~= false})
   local x = noise({o.n or 4, table.unpack(input)}, 7)
   if o.positive then x = x + 0.6 end
   local worst = gradient.worst(net, x, o)
   assert(worst < (o.limit or 1e-6), ("off by %g"):format(worst))
   net:close()
end

local function flat(a) return a:reshape(a:size()) end

describe("group_norm", function()
   it("has the gradient that central differences give, alone and before a relu", function()
      check({{"group_norm", groups = 2}}, {4, 3, 5})
      check({{"conv2d", out = 6, kernel = 3}, {"group_norm", groups = 3}, {"relu"}, {"conv2d", out = 2, kernel = 1}},
         {2, 5, 6})
      check({{"group_norm", name = "a", groups = 1}, {"group_norm", name = "b", groups = 4, from = "input"},
             {"add", from = {"a", "b"}}}, {4, 2, 9})
   end)

   it("gives each group of each sample mean 0 and variance 1", function()
      local y = nn.network({{"group_norm", groups = 2}}, {input = {4, 3, 5}}):forward(noise({3, 4, 3, 5}, 1, "f32") * 9)
      for i = 1, 3 do
         local g = y[i]:reshape{2, 30}
         for k = 1, 2 do
            assert.near(0, g[k]:mean(), 1e-5)
            assert.near(1, (g[k] * g[k]):mean(), 1e-3)
         end
      end
   end)

   it("is the same in training, in eval mode, and for any batch", function()
      local net, x = nn.network({{"group_norm", groups = 2}}, {input = {4, 2, 3}}), noise({3, 4, 2, 3}, 1, "f32")
      local y = net:forward(x)
      assert(array.equal(y, net.core:forward({x}, {train = true})))
      assert(array.equal(y:slice(1, 2, 2), net:forward(x:slice(1, 2, 2))))
      assert(net.core:forward({x:slice(1, 1, 1)}, {train = true}):is_finite())
   end)

   it("is finite for constant input and refuses groups that do not divide the channels", function()
      local net = nn.network({{"group_norm", name = "g", groups = 2}}, {input = {4, 2, 2}})
      assert.equal(0, net.core:forward({array.full({2, 4, 2, 2}, 3)}, {train = true}):abs():max())
      net.core:backward(noise({2, 16}, 1, "f32"))
      assert(net:gradients()["g.weight"]:is_finite())
      assert.error_matches(function() nn.network({{"group_norm", groups = 3}}, {input = {4, 2, 2}}) end,
         "4 channels are not 3 equal groups", 1, true)
   end)
end)

describe("dropout", function()
   local function network(rate, options)
      local o = {input = {6, 20, 10}}
      for key, value in pairs(options or {}) do o[key] = value end
      return nn.network({{"dropout", name = "d", rate = rate}}, o)
   end
   local ones = array.full({4, 6, 20, 10}, 1)
   local function dropped(net, seed, o)
      local options = {train = true, seed = seed}
      for key, value in pairs(o or {}) do options[key] = value end
      return net.core:forward({ones}, options)
   end

   it("drops the share it is told, scales the rest, and in eval mode does nothing", function()
      local y = dropped(network(0.25), 3)
      local kept = 0
      for _, v in ipairs(flat(y):table()) do
         assert(v == 0 or math.abs(v - 4 / 3) < 1e-6)
         if v > 0 then kept = kept + 1 end
      end
      assert.near(0.75, kept / y:size(), 0.03)
      assert(array.equal(ones:reshape(y:shape()), network(0.25):forward(ones)))
   end)

   it("draws by seed, sample and layer, on any number of threads", function()
      local y = dropped(network(0.5), 3)
      assert(array.equal(y, dropped(network(0.5, {threads = 3}), 3)))
      assert(not array.equal(y, dropped(network(0.5), 4)))
      assert(not array.equal(y[1], y[2]))
      local core, o = network(0.5).core, {train = true, seed = 3, groups = 2}
      assert(array.equal(y:slice(1, 1, 2), core:forward({ones:slice(1, 1, 2)}, o)))
      o.first_group = 2
      assert(array.equal(y:slice(1, 3, 4), core:forward({ones:slice(1, 3, 4)}, o)))
   end)

   it("has the gradient that central differences give", function()
      check({{"conv2d", out = 3, kernel = 1}, {"dropout", rate = 0.4}, {"relu"}}, {2, 4, 5})
   end)

   it("draws anew for every step, and takes no rate of 1", function()
      local net = nn.network({{"dropout"}, {"linear", name = "l", out = 3}}, {input = {6, 4, 4}})
      local x = noise({4, 6, 4, 4}, 1, "f32")
      local first = assert(net:train_step({anchor = x, neighbor = x, distant = x}, {lr = 0})).loss
      assert.not_equal(first, assert(net:train_step({anchor = x, neighbor = x, distant = x}, {lr = 0})).loss)
      assert.error_matches(function() network(1) end, "'rate' must be below 1")
   end)
end)

describe("going back in eval mode", function()
   -- Running statistics that are not where they start.
   local function settle(net, x)
      for _ = 1, 3 do
         net.core:forward({x}, {train = true})
         net.core:commit()
      end
   end

   for name, layers in pairs{
      ["batch norm"] = {{"batch_norm"}},
      ["batch norm, sum and relu"] = {{"conv2d", out = 3, kernel = 1}, {"batch_norm"}, {"add", from = "input"},
         {"relu"}, {"conv2d", out = 2, kernel = 1}},
      ["group norm and dropout"] = {{"conv2d", out = 4, kernel = 1}, {"group_norm", groups = 2}, {"relu"},
         {"dropout"}},
   } do
      it("has the gradient that central differences give: " .. name, function()
         for _, recompute in ipairs{"none", "cheap"} do
            local net, x = gradient.double(layers, {3, 2, 4}, {recompute = recompute}), noise({4, 3, 2, 4}, 7)
            settle(net, x * 3 + 1)
            local worst = gradient.worst(net, x, {eval = true})
            assert(worst < 1e-6, ("off by %g"):format(worst))
         end
      end)
   end

   it("sees the running statistics, not the batch's", function()
      local net, x = gradient.double({{"batch_norm", name = "bn"}}, {1, 1, 2}), noise({3, 1, 1, 2}, 7)
      net:state()["bn.running_var"]:fill(4 - 1e-5)
      net.core:forward({x}, {backward = true})
      net.core:backward(array.full({3, 2}, 1, "f64"))
      assert(array.allclose(net.core:input_gradient(), array.full({3, 1, 1, 2}, 0.5, "f64"), 1e-9, 0))
   end)
end)

describe("a trained front end", function()
   local SAMPLES = 900

   it("has gradients that central differences give: mel matrix and Fourier kernels", function()
      local bank = {"filterbank", sample_rate = 8000, n_mels = 6}
      check({bank, {"decibel"}}, {1, 5, 33}, {n = 3, positive = true, limit = 1e-5})
      check({{"fourier", n_fft = 32, hop = 20}, bank}, {1, 1, 300}, {n = 2, input_gradient = false})
   end)

   it("starts as the fixed one", function()
      local x = noise({2, SAMPLES}, 1, "f32")
      local mel = {"mel", sample_rate = 8000, n_fft = 64, hop = 30, n_mels = 10}
      local expected = nn.network({mel}, {input = {SAMPLES}}):forward(x)
      for _, first in ipairs{"spectrum", "fourier"} do
         local y = nn.network({{first, n_fft = 64, hop = 30}, {"filterbank", sample_rate = 8000, n_mels = 10}},
            {input = {SAMPLES}}):forward(x)
         assert(array.allclose(y, expected, 1e-4, 1e-5 * expected:max()), first)
      end
      assert(spectral.mel)
   end)

   it("is finite for silence, and for a matrix that training turned negative", function()
      local net = nn.network({{"fourier", n_fft = 64, hop = 30}, {"filterbank", name = "mel", sample_rate = 8000,
         n_mels = 10}, {"pcen", frame_rate = 250}}, {input = {SAMPLES}})
      net:state()["mel.weight"]:fill(-1)
      for _, x in ipairs{array.zeros{2, SAMPLES}, noise({2, SAMPLES}, 1, "f32")} do
         local y = net.core:forward({x}, {train = true})
         assert(y:is_finite())
         net.core:backward(noise(y:shape(), 2, "f32"))
         for name, g in pairs(net:gradients()) do assert(g:is_finite(), name) end
      end
   end)

   it("is trained with the rest of the network, the same on any number of threads", function()
      for _, front in ipairs{"mel_trained", "fourier_trained"} do
         local states = {}
         for threads = 1, 2 do
            local net = tilenet.new{widths = {4, 4, 4, 4}, z = 4, seconds = 1, n_fft = 256,
                                    front_end = front, threads = threads}
            local before = net:state()["mel.weight"]:copy()
            local x = noise({2, 32000}, 3, "f32")
            assert(net:train_step{anchor = x, neighbor = x, distant = x * 0.5})
            assert(not array.equal(before, net:state()["mel.weight"]), front)
            states[threads] = net:state()
         end
         assert.equal(front == "fourier_trained", states[1]["stft.wcos"] ~= nil)
         for name, a in pairs(states[1]) do assert(array.equal(a, states[2][name]), name) end
      end
   end)

   it("names what it cannot use", function()
      assert.error_matches(function() tilenet.new{front_end = "cqt"} end, "'front_end' must be one of fft", 1, true)
      assert.error_matches(function() nn.network({{"fourier", n_fft = 64, hop = 8}}, {input = {2, 900}}) end,
         "fourier takes audio", 1, true)
      assert.error_matches(function() nn.network({{"spectrum", n_fft = 64, hop = 8}}, {input = {32}}) end,
         "32 samples are too few for n_fft 64", 1, true)
      local net = nn.network({{"fourier", n_fft = 64, hop = 8}}, {input = {900}, input_gradient = true})
      assert.error_matches(function() net.core:forward({array.zeros{1, 900}}, {train = true}) end, "hands no gradient")
   end)
end)

describe("the other layers", function()
   local function run(layer, input, x) return nn.network({layer}, {input = input}):forward(x) end

   it("max_pool takes the largest, and the gradient goes to the first of equals", function()
      local x = array.from({{1, 7, 3, 9, 0}, {4, 2, 7, 7, 0}, {8, 8, 8, 8, 8}}, "f64"):reshape{1, 1, 3, 5}
      assert.same({{7, 9}}, run({"max_pool", kernel = 2}, {1, 3, 5}, x:copy("f32")):table())
      local net = nn.network({{"max_pool", kernel = 2}}, {input = {1, 2, 2}, precision = "f64", input_gradient = true})
      net.core:forward({array.full({1, 1, 2, 2}, 3, "f64")}, {train = true})
      net.core:backward(array.full({1, 1}, 1, "f64"))
      assert.same({1, 0, 0, 0}, net.core:input_gradient():reshape{4}:table())
      local y = run({"max_pool", global = true}, {1, 1, 3}, array.from{1, nan, 2}:reshape{1, 1, 1, 3})
      assert.equal("nan", tostring(y:at(1, 1)):match("nan"))
   end)
   it("average_pool does not see what is behind the last whole window", function()
      local x = array.from{{{{1, 2, 3, 4, 99}, {5, 6, 7, 8, 99}, {99, 99, 99, 99, 99}}}}
      assert.same({{3.5, 5.5}}, run({"average_pool", kernel = 2}, {1, 3, 5}, x):table())
   end)

   it("pools take wide windows as narrow ones, wherever the largest value or a NaN is", function()
      local x = sampling.generator(5):normal(3 * 70):copy("f32"):reshape{1, 1, 3, 70}
      local rows = x:slice(3, 1, 2):slice(4, 1, 67):copy()
      local mean = run({"average_pool", kernel = {2, 67}}, {1, 3, 70}, x)
      assert.near(rows:copy("f64"):mean(), mean:at(1, 1), 1e-7)
      for k = 1, 67 do
         local y = x:copy()
         y:set(1, 1, 2, k, 9)
         assert.equal(9, run({"max_pool", kernel = {2, 67}}, {1, 3, 70}, y):at(1, 1))
         y:set(1, 1, 2, k, nan)
         assert.equal("nan", tostring(run({"max_pool", kernel = {2, 67}}, {1, 3, 70}, y):at(1, 1)):match("nan"))
      end
      assert.near(rows:max(), run({"max_pool", kernel = {2, 67}}, {1, 3, 70}, x):at(1, 1), 0)
   end)

   it("relu keeps NaN, so that nothing hides it", function()
      local y = run({"relu"}, {1, 1, 3}, array.from{{{{-1, nan, 2}}}})
      assert.equal(0, y:at(1, 1))
      assert(y:at(1, 2) ~= y:at(1, 2))
      assert.equal(2, y:at(1, 3))
   end)

   it("decibel has a floor, center makes silence zero", function()
      local y = run({"decibel"}, {1, 1, 3}, array.from{{{{0, 1, 100}}}})
      for i, v in ipairs{-100, 0, 20} do assert.near(v, y:at(1, i), 1e-5) end
      local z = nn.network({{"decibel"}, {"center"}}, {input = {1, 4, 4}}):forward(array.zeros{2, 1, 4, 4})
      assert.equal(0, z:abs():max())
   end)

   it("decibel is 10 times the logarithm to the last place, at any power", function()
      local power, n = {math.huge, nan, 1}, 400
      for i = 4, n do power[i] = 10 ^ (i / 20 - 10) * (1 + math.sin(i) / 3) end
      for precision, error in pairs{f64 = 2 ^ -50, f32 = 2 ^ -23} do
         local x = array.from(power, precision):reshape{1, 1, 1, n}
         local y = nn.network({{"decibel"}}, {input = {1, 1, n}, precision = precision}):forward(x)
         assert.equal(math.huge, y:at(1, 1))
         assert(y:at(1, 2) ~= y:at(1, 2))
         assert.equal(0, y:at(1, 3))
         for i = 4, n do
            local exact = 10 * math.log(math.max(1e-10, x:reshape{n}:at(i)), 10)
            assert.near(exact, y:at(1, i), error * math.abs(exact))
         end
      end
   end)

   it("center takes the mean of each clip, or of each of its bands", function()
      local x = array.from{{{{1, 3}, {5, 7}}}, {{{0, 0}, {4, 4}}}}
      assert.same({{-3, -1, 1, 3}, {-2, -2, 2, 2}}, run({"center"}, {1, 2, 2}, x):table())
      assert.same({{-2, 2, -2, 2}, {0, 0, 0, 0}}, run({"center", over = "band", scale = 2}, {1, 2, 2}, x):table())
   end)

   it("pcen agrees with bclua.spectral", function()
      local s = noise({5, 40}, 3, "f32"):abs()
      local expected = spectral.pcen(s * 2 ^ 31, {sample_rate = 32000, hop = 1227})
      local y = run({"pcen", frame_rate = 32000 / 1227}, {1, 5, 40}, s:reshape{1, 1, 5, 40})
      assert(array.allclose(y:reshape{5, 40}, expected:copy("f32"), 1e-4, 1e-4))
   end)

   it("mel agrees with bclua.spectral and takes audio only", function()
      local y = noise({2, 3000}, 3, "f32")
      local layer = {"mel", sample_rate = 8000, n_fft = 512, hop = 200, n_mels = 20, pad = "constant"}
      local m = run(layer, {3000}, y)
      local expected = spectral.mel(y[2], {sample_rate = 8000, n_fft = 512, hop = 200, n_mels = 20})
      assert(array.allclose(m[2]:reshape(expected:shape()), expected:copy("f32"), 1e-5, 1e-8))
      assert.error_matches(function() nn.network({layer}, {input = {2, 3000}}) end, "mel takes audio")
      assert.error_matches(function() nn.network({layer}, {input = {256}}) end,
         "256 samples are too few for n_fft 512 (at least 257)", 1, true)
   end)

   it("mel in a network of doubles, clip by clip, is the f32 one, whose lanes are of several, converted", function()
      local y = noise({5, 2700}, 3, "f32")
      local layer = {"mel", sample_rate = 8000, n_fft = 512, hop = 200, n_mels = 20}
      local single = nn.network({layer}, {input = {2700}}):forward(y)
      local net = nn.network({layer}, {input = {2700}, precision = "f64"})
      assert(array.equal(single, net:forward(y):copy("f32")))
   end)
end)
