local array = require "bclua.array"
local gradient = require "support.gradient"
local nn = require "bclua.nn"

local nan, inf = 0 / 0, math.huge

local noise, double, worst_gradient = gradient.noise, gradient.double, gradient.worst

local function flat(a) return a:reshape(a:size()) end

describe("gradients in double precision agree with central differences:", function()
   local function check_once(layers, input, o)
      local net = double(layers, input)
      local x = noise({o.n or 4, table.unpack(input)}, 7)
      if o.positive then x = (x + 0.6) * o.positive end
      local worst = worst_gradient(net, x, o)
      assert(worst < 1e-6, ("off by %g"):format(worst))
      net:close()
   end

   -- A single layer also twice side by side, where the second adds its gradient
   -- to that of the first.
   local function check(layers, input, options)
      check_once(layers, input, options or {})
      if #layers > 1 then return end
      local twins = {}
      for i, name in ipairs{"a", "b"} do
         twins[i] = {name = name, from = "input"}
         for key, value in pairs(layers[1]) do twins[i][key] = value end
      end
      twins[3] = {"add", from = {"a", "b"}}
      check_once(twins, input, options or {})
   end

   for _, algorithm in ipairs{"im2col", "plain"} do
      it("conv2d, " .. algorithm, function()
         for _, shape in ipairs{
            {kernel = 3, padding = 1}, {kernel = 3, padding = 1, stride = 2}, {kernel = 1},
            {kernel = 1, stride = 2}, {kernel = 3}, {kernel = {2, 3}, stride = {1, 2}, padding = {0, 1}},
            {kernel = 2, padding = 2}, {kernel = 5, padding = 1, stride = 3, bias = true},
         } do
            local layer = {"conv2d", out = 3, algorithm = algorithm}
            for key, value in pairs(shape) do layer[key] = value end
            check({layer}, {2, 7, 6})
         end
      end)
   end

   it("linear", function()
      check({{"linear", out = 5}}, {2, 3, 2})
      check({{"linear", out = 3, bias = false}, {"linear", out = 4}}, {6, 1, 1})
   end)
   it("batch norm", function() check({{"batch_norm"}}, {3, 4, 5}) end)
   it("batch norm, a batch in three groups", function()
      check({{"batch_norm"}}, {3, 2, 2}, {n = 6, groups = 3})
   end)
   it("a norm added to what it normalised", function()
      check({{"conv2d", name = "a", out = 3, kernel = 1}, {"batch_norm"}, {"add", from = "a"}, {"relu"},
         {"conv2d", out = 2, kernel = 1}}, {3, 2, 4})
   end)
   it("relu", function() check({{"relu"}}, {3, 4, 5}) end)
   it("add, of two layers, of one with the input, and of one with itself", function()
      check({{"conv2d", name = "a", out = 2, kernel = 1}, {"conv2d", name = "b", from = "input", out = 2, kernel = 1},
             {"add", from = {"a", "b"}}}, {2, 3, 3})
      check({{"conv2d", out = 2, kernel = 1}, {"add", from = "input"}}, {2, 3, 3})
      check({{"conv2d", name = "a", out = 2, kernel = 1}, {"add", from = {"a", "a"}}}, {2, 3, 3})
   end)
   it("average pool", function()
      check({{"average_pool", kernel = 2}}, {2, 4, 5})
      check({{"average_pool", kernel = {3, 2}, stride = {1, 2}}}, {2, 5, 5})
      check({{"average_pool", global = true}}, {3, 4, 5})
   end)
   it("max pool, of one layer with an average pool", function()
      check({{"max_pool", kernel = 2}}, {2, 4, 5})
      check({{"max_pool", kernel = {3, 2}, stride = {1, 2}}}, {2, 5, 5})
      check({{"conv2d", name = "a", out = 2, kernel = 1}, {"average_pool", name = "mean", kernel = {1, 4}},
         {"max_pool", name = "most", from = "a", kernel = {1, 4}}, {"add", from = {"mean", "most"}}}, {2, 3, 4})
   end)
   it("decibel", function() check({{"decibel"}}, {1, 4, 5}, {positive = 3}) end)
   it("center", function()
      check({{"center", over = "clip", scale = 0.3}}, {2, 4, 5})
      check({{"center", over = "band", scale = 2}}, {2, 4, 5})
   end)
   it("pcen", function()
      check({{"pcen", frame_rate = 26, scale = 1000}}, {1, 3, 9}, {positive = 1})
   end)
   it("a whole residual network, with one value read by several layers", function()
      check({
         {"conv2d", out = 4, kernel = 3, stride = 2, padding = 1}, {"batch_norm"}, {"relu", name = "stem"},
         {"conv2d", out = 6, kernel = 3, stride = 2, padding = 1}, {"batch_norm"}, {"relu"},
         {"conv2d", out = 6, kernel = 3, padding = 1}, {"batch_norm", name = "main"},
         {"conv2d", from = "stem", out = 6, kernel = 1, stride = 2}, {"batch_norm", name = "short"},
         {"add", from = {"main", "short"}}, {"relu", name = "block"},
         {"conv2d", out = 6, kernel = 3, padding = 1}, {"batch_norm"}, {"add", from = "block"}, {"relu"},
         {"average_pool", kernel = 2}, {"linear", out = 3},
      }, {1, 11, 10}, {n = 6, groups = 3})
   end)
end)

describe("batch_norm", function()
   local function network(options)
      return nn.network({{"batch_norm", name = "bn"}}, {input = {2, 1, 2}, precision = "f64",
         seed = options and options.seed})
   end
   local x = array.from({{{{1, 2}}, {{10, 10}}}, {{{3, 6}}, {{10, 10}}}}, "f64")

   it("normalises with the batch's own mean and biased variance in training", function()
      local y = network().core:forward({x}, {train = true})
      local s = 1 / math.sqrt(3.5 + 1e-5) -- of 1 2 3 6: mean 3, variance 14/4
      for i, v in ipairs{-2 * s, -s, 0, 0} do assert.near(v, y:at(1, i), 1e-12) end
      for i, v in ipairs{0, 3 * s, 0, 0} do assert.near(v, y:at(2, i), 1e-12) end
   end)

   it("keeps running statistics as PyTorch does, group after group, when told to commit", function()
      local net = network()
      net.core:forward({x, x}, {train = true, groups = 2})
      local s = net:state()
      assert.same({0, 0}, s["bn.running_mean"]:table())
      net.core:commit()
      assert.near(0.9 * 0.3 + 0.3, s["bn.running_mean"][1], 1e-12)
      assert.near(0.9 * 1 + 1, s["bn.running_mean"][2], 1e-12)
      local unbiased = 14 / 3
      assert.near(0.9 * (0.9 + 0.1 * unbiased) + 0.1 * unbiased, s["bn.running_var"][1], 1e-12)
      assert.near(0.81, s["bn.running_var"][2], 1e-12)
      assert.equal(2, s["bn.num_batches_tracked"][1])
   end)

   it("uses the running statistics in eval mode", function()
      local net = network()
      local s = net:state()
      s["bn.running_mean"]:fill(array.from({1, 4}, "f64"))
      s["bn.running_var"]:fill(array.from({4, 9}, "f64"))
      s["bn.weight"][1], s["bn.bias"][1] = 3, 0.5
      local y = net:forward(x)
      assert.near(3 * (6 - 1) / math.sqrt(4 + 1e-5) + 0.5, y:at(2, 2), 1e-12)
      assert.near((10 - 4) / math.sqrt(9 + 1e-5), y:at(1, 4), 1e-12)
   end)

   it("is finite for a constant batch, forward and back", function()
      local net = network()
      local y = net.core:forward({array.full({3, 2, 1, 2}, 7, "f64")}, {train = true})
      assert.equal(0, y:abs():max())
      net.core:backward(noise({3, 4}, 1))
      assert(net:gradients()["bn.weight"]:is_finite())
   end)

   it("refuses a batch that has one value per channel, in training only", function()
      local net = nn.network({{"conv2d", out = 2, kernel = 2}, {"batch_norm", name = "last"}}, {input = {1, 2, 2}})
      assert.error_matches(function() net.core:forward({array.zeros{1, 1, 2, 2}}, {train = true}) end,
         "batch norm 'last' would see a single value per channel", 1, true)
      local three = {array.zeros{1, 1, 2, 2}, array.zeros{1, 1, 2, 2}, array.zeros{1, 1, 2, 2}}
      assert.error_matches(function() net.core:forward(three, {train = true, groups = 3}) end, "single value")
      assert.same({1, 2}, net:forward(array.zeros{1, 1, 2, 2}):shape())
   end)
end)

describe("a pass back that tells what is ready", function()
   it("is final from there on, and stops where its listener fails", function()
      local net = nn.network({
         {"conv2d", name = "first", out = 3, kernel = 3, padding = 1}, {"batch_norm"}, {"relu", name = "fork"},
         {"conv2d", out = 3, kernel = 3, padding = 1}, {"batch_norm", name = "long"},
         {"conv2d", name = "short", out = 3, kernel = 1, from = "fork"}, {"add", from = {"long", "short"}},
         {"average_pool", global = true}, {"linear", out = 2}}, {input = {1, 5, 5}})
      local core, x, dy = net.core, noise({4, 1, 5, 5}, 1, "f32"), noise({4, 2}, 2, "f32")
      core:forward({x}, {train = true})
      local g, told, at = core:gradients(), {}, nil
      core:backward(dy, nil, function(from)
         assert(from <= (at or from))
         if from ~= at then told[#told + 1] = {from = from, copy = g:slice(1, from, #g):copy()} end
         at = from
         assert.error_matches(function() core:close() end, "the network is at work")
      end)
      assert.equal(1, at)
      assert.is_true(#told >= 4 and told[2].from > #g / 2, #told)
      for _, t in ipairs(told) do
         assert.is_true(array.equal(t.copy, g:slice(1, t.from, #g)), t.from)
      end
      core:forward({x}, {train = true})
      assert.error_matches(function() core:backward(dy, nil, function() error("heard enough") end) end, "heard enough")
      assert.error_matches(function() core:backward(dy) end, "no forward pass")
   end)
end)

describe("triplet_loss", function()
   it("is the mean hinge of distances plus the weighed norms", function()
      local e = array.from({{0, 0}, {1, 0}, {3, 4}, {1, 0}, {0, 8}, {1, 9}}, "f64")
      local info = nn.triplet_loss(e, 10, 0.1)
      -- |p-n| 5, 0; |p-d| 8, 9; hinges 7, 1; norms 0+5+8 and 1+1+sqrt(82)
      assert.near((7 + 1 + 0.1 * (13 + 2 + math.sqrt(82))) / 2, info.loss, 1e-12)
      assert.near(2.5, info.loss_n, 1e-12)
      assert.near(8.5, info.loss_d, 1e-12)
      assert.equal(1, info.active)
      assert.equal(0.5, nn.triplet_loss(e, 5, 0).active)
   end)

   it("has the gradient that central differences give", function()
      local e = noise({9, 4}, 5)
      local _, de = nn.triplet_loss(e, 0.1, 0.3)
      local x, g, eps = flat(e), flat(de), 1e-6
      for i = 1, #x do
         local old = x[i]
         x[i] = old + eps
         local up = nn.triplet_loss(e, 0.1, 0.3).loss
         x[i] = old - eps
         local down = nn.triplet_loss(e, 0.1, 0.3).loss
         x[i] = old
         assert.near((up - down) / (2 * eps), g[i], 1e-8)
      end
   end)

   it("has gradient 0 where a norm is 0: equal embeddings, silent ones", function()
      local info, de = nn.triplet_loss(array.full({6, 3}, 0.5))
      assert.equal(50, info.loss_n + info.loss_d + math.floor(info.loss))
      assert(de:is_finite())
      local _, zero = nn.triplet_loss(array.zeros{6, 3})
      assert.equal(0, zero:abs():max())
   end)

   it("is NaN when an embedding is, and spread measures collapse", function()
      local e = noise({6, 3}, 1)
      assert(nn.triplet_loss(e).spread > 0.1)
      assert.near(0, nn.triplet_loss(array.full({6, 3}, 0.5)).spread, 1e-12)
      e:set(2, 2, nan)
      local loss = nn.triplet_loss(e).loss
      assert(loss ~= loss)
   end)

   it("names what it cannot use", function()
      assert.error_matches(function() nn.triplet_loss(array.zeros{4, 2}) end, "(3 B, z) expected, got (4, 2)", 1, true)
   end)
end)

describe("adamw", function()
   it("makes PyTorch's steps", function()
      local net = nn.network({{"linear", name = "l", out = 2, bias = false}}, {input = {2, 1, 1}, precision = "f64"})
      local w, g = flat(net:state()["l.weight"]), flat(net:gradients()["l.weight"])
      local lr, b1, b2, eps, decay = 0.01, 0.5, 0.999, 1e-8, 0.1
      local x, m, v = w:table(), {0, 0, 0, 0}, {0, 0, 0, 0}
      for step = 1, 3 do
         for i = 1, 4 do
            g[i] = math.sin(step * 5 + i)
            x[i] = x[i] * (1 - lr * decay)
            m[i] = b1 * m[i] + (1 - b1) * g[i]
            v[i] = b2 * v[i] + (1 - b2) * g[i] ^ 2
            x[i] = x[i] - lr / (1 - b1 ^ step) * m[i] / (math.sqrt(v[i]) / math.sqrt(1 - b2 ^ step) + eps)
         end
         net.core:adamw{lr = lr, beta1 = b1, beta2 = b2, eps = eps, weight_decay = decay, step = step}
      end
      for i = 1, 4 do assert.near(x[i], w[i], 1e-14) end
      assert.near(math.sqrt((g * g):sum()), net.core:gradient_norm(), 1e-14)
   end)

   it("refuses senseless settings", function()
      local net = nn.network({{"linear", out = 1}}, {input = {1, 1, 1}})
      for _, bad in ipairs{{lr = -1}, {beta1 = 1}, {eps = 0}, {weight_decay = nan}, {step = 0}} do
         assert.error_matches(function() net.core:adamw(bad) end, "needs lr >= 0")
      end
      assert.error_matches(function() net.core:adamw{lrr = 1} end, "unknown option 'lrr'")
   end)
end)

-- A small network of all kinds of buffers, for the tests below.
local function small_layers()
   local block = gradient.residual_block
   return {
      {"conv2d", name = "conv1", out = 20, kernel = 3, padding = 1}, {"batch_norm"}, {"relu", name = "stem"},
      block("one", "stem", 20, 1), block("two", "one", 24, 2), {"average_pool", global = true, name = "pool"},
   }
end

local function small_batch(seed)
   return {anchor = noise({3, 1, 16, 17}, seed, "f32"), neighbor = noise({3, 1, 16, 17}, seed + 1, "f32"),
           distant = noise({3, 1, 16, 17}, seed + 2, "f32")}
end

describe("a network", function()
   it("gives the same bits on any number of threads", function()
      local states = {}
      for threads = 1, 3 do
         local net = nn.network(small_layers(), {input = {1, 16, 17}, threads = threads})
         for seed = 1, 2 do assert(net:train_step(small_batch(seed))) end
         states[threads] = net:state()
         states[threads].embedding = net:forward(small_batch(5).anchor)
      end
      for name, a in pairs(states[1]) do
         assert(array.equal(a, states[2][name]), name)
         assert(array.equal(a, states[3][name]), name)
      end
   end)

   it("shares memory between buffers without mixing them up", function()
      local names, results = {}, {}
      for round, keep_all in ipairs{false, true} do
         local net = double(small_layers(), {1, 9, 8})
         for i, layer in ipairs(net.core:layers()) do names[i] = layer.name end
         local e = net.core:forward({noise({6, 1, 9, 8}, 1)},
            {train = true, groups = 3, keep = keep_all and names or nil})
         net.core:backward(noise(e:shape(), 2))
         local r = net:gradients()
         r.embedding, r.input = e, net.core:input_gradient()
         results[round] = r
      end
      for name, a in pairs(results[1]) do assert(array.equal(a, results[2][name]), name) end
   end)

   it("takes less memory than its values, and less again in eval mode", function()
      local net = nn.network(small_layers(), {input = {1, 64, 64}})
      local values = 0
      for _, l in ipairs(net.core:layers()) do values = values + 4 * 6 * l.c * l.h * l.w end
      local train, eval = net.core:memory_estimate(6, {groups = 3, train = true}), net.core:memory_estimate(6)
      assert(train.arena < 1.2 * values, "training: gradients and values together")
      assert(eval.arena < 0.4 * values)
      assert(train.kept <= train.arena)
      assert.equal(2 * train.gradients, train.moments)
      assert.equal(0, eval.gradients + eval.moments)
   end)

   it("learns: the loss of a fixed batch falls", function()
      local net, batch = nn.network(small_layers(), {input = {1, 16, 17}}), small_batch(1)
      local first, last = assert(net:train_step(batch, {margin = 1})).loss, nil
      for _ = 1, 30 do last = assert(net:train_step(batch, {margin = 1})).loss end
      assert(last < 0.5 * first, ("%g -> %g"):format(first, last))
      assert.equal(31, net.step)
   end)

   it("leaves everything as it was when the loss is not finite", function()
      local net, batch = nn.network(small_layers(), {input = {1, 16, 17}}), small_batch(1)
      assert(net:train_step(batch))
      local before = {}
      for name, a in pairs(net:state()) do before[name] = a:copy() end
      for _, bad in ipairs{nan, inf} do
         batch.neighbor:set(2, 1, 3, 4, bad)
         local info, message = net:train_step(batch)
         assert.is_nil(info)
         assert.matches("the loss is %-?nan", message)
      end
      for name, a in pairs(net:state()) do assert(array.equal(before[name], a), name) end
      assert.equal(1, net.step)
      assert(net:train_step(small_batch(1)), "and it goes on")
   end)

   it("encodes batches of any size as it encodes parts of them", function()
      local net, x = nn.network(small_layers(), {input = {1, 16, 17}}), noise({5, 1, 16, 17}, 2, "f32")
      local whole = net:forward(x)
      assert.same({5, 24}, whole:shape())
      assert(array.allclose(whole, net:forward(x, {batch_size = 2}), 1e-5, 1e-6))
   end)

   it("lets one look at any layer", function()
      local net, x = nn.network(small_layers(), {input = {1, 16, 17}}), noise({2, 1, 16, 17}, 2, "f32")
      local a, out = net:activations({x}, {"stem", "one", "two"})
      assert.same({2, 20, 16, 17}, a.stem:shape())
      assert.same({2, 24, 8, 9}, a.two:shape())
      assert.near(out:at(2, 5), a.two[2][5]:mean(), 1e-5)
      assert.error_matches(function() net.core:value("conv1") end, "did not keep the output of 'conv1'")
   end)

   it("is changed in five lines", function()
      local layers = small_layers()
      layers[#layers] = {{"average_pool", kernel = 4}, {"linear", name = "head", out = 7}}
      local net = nn.network(layers, {input = {1, 16, 17}})
      assert.same({2, 7}, net:forward(noise({2, 1, 16, 17}, 1, "f32")):shape())
      assert(net:state()["head.bias"])
   end)

   it("adds up parameters and multiply-adds", function()
      local s = nn.network({{"conv2d", out = 4, kernel = 3, padding = 1}, {"batch_norm"}, {"linear", out = 2}},
         {input = {1, 5, 6}}):summary{batch_size = 2}
      assert.equal(36 + 8 + 4 * 30 * 2 + 2, s.parameters)
      assert.equal(36 * 30 + 4 * 30 * 2, s.multiply_adds)
      assert.matches("conv2d_1 +conv2d +4 x 5 x 6 +36 +1080", tostring(s))
      assert(s.memory.total > 0)
   end)

   it("tells how long its layers took", function()
      local net = nn.network(small_layers(), {input = {1, 16, 17}})
      net:train_step(small_batch(1))
      local kinds = net:profile()
      assert(kinds.conv2d.forward > 0 and kinds.conv2d.backward > 0)
      assert.equal(0, net:profile().conv2d.forward)
   end)
end)

describe("a mistake is named:", function()
   local function raises(text, layers, options)
      assert.error_matches(function() nn.network(layers, options or {input = {2, 8, 8}}) end, text, 1, true)
   end

   it("unknown layers and options", function()
      raises("layer 2: unknown kind 'conv' (did you mean 'conv2d'? known: mel, spectrum, ", {{"relu"}, {"conv"}})
      raises("layer 2: unknown kind 'wood' (known: mel, ", {{"relu"}, {"wood"}})
      raises("layer 1: conv2d has no option 'kernl' (did you mean 'kernel'? known: from, name, out, ",
         {{"conv2d", out = 1, kernl = 3}})
      raises("layer 1: option 'kernel' is missing", {{"conv2d", out = 1}})
      raises("option 'out' must be an integer", {{"conv2d", out = 1.5, kernel = 3}})
      raises("option 'out' must be an integer", {{"conv2d", out = "4", kernel = 3}})
      raises("option 'out' must be an integer", {{"conv2d", out = nan, kernel = 3}})
      raises("option 'stride' must be an integer", {{"conv2d", out = 1, kernel = 3, stride = {0, 1}}})
      raises("option 'over' must be one of clip, band", {{"center", over = "clips"}})
      raises("option 'bias' must be true or false", {{"linear", out = 1, bias = 1}})
      raises("layer 1: a table expected, got string", {"relu"})
      raises("at least one layer", {})
      raises("unknown option 'sead'", {{"relu"}}, {input = {1, 1, 1}, sead = 1})
   end)

   it("shapes and connections that do not fit", function()
      raises("there is no layer 'b' before it", {{"relu", name = "a"}, {"relu", from = "b"}})
      raises("two layers are called 'a'", {{"relu", name = "a"}, {"relu", name = "a"}})
      raises("add needs from", {{"relu"}, {"add"}})
      raises("add takes 2 inputs", {{"relu", name = "a"}, {"add", from = {"a", "a", "a"}}})
      raises("its inputs are 3 x 8 x 8 and 2 x 8 x 8", {{"conv2d", out = 3, kernel = 1}, {"add", from = "input"}})
      raises("a 9 x 9 window does not fit into 8 x 8", {{"conv2d", out = 3, kernel = 9}})
      raises("needs kernel, or global = true", {{"average_pool"}})
      raises("option 'input' must be a list", {{"relu"}}, {})
      raises("extents of option 'input'", {{"relu"}}, {input = {0, 1, 1}})
      raises("option 'input' must have 1 to 3 extents", {{"relu"}}, {input = {1, 1, 1, 1}})
      raises("too large", {{"conv2d", out = 1000000000, kernel = 3}})
      raises("hands no gradient", {{"conv2d", out = 1, kernel = 1}, {"mel", sample_rate = 8000, n_fft = 64, hop = 9}},
         {input = {1, 1, 900}})
   end)

   it("batches that do not fit", function()
      local net = nn.network({{"conv2d", out = 1, kernel = 3}}, {input = {2, 8, 8}})
      local x = array.zeros{3, 2, 8, 8}
      assert.error_matches(function() net:forward(array.zeros{3, 2, 8, 7}) end, "expected, got (3, 2, 8, 7)", 1, true)
      assert.error_matches(function() net:forward(array.zeros{0, 2, 8, 8}) end, "no samples")
      assert.error_matches(function() net:forward("x") end, "element 1 is not an array")
      assert.error_matches(function() net.core:forward({x, array.zeros{2, 2, 8, 8}}) end, "another number of samples")
      assert.error_matches(function() net.core:forward({x}, {groups = 2}) end, "3 samples are not 2 equal groups")
      assert.error_matches(function() net.core:forward({x}, {keep = {"y"}}) end, "there is no layer 'y'")
      assert.error_matches(function() net:train_step({anchor = x}) end, "batch.neighbor: an array expected")
      assert.error_matches(function() net:train_step({}, {learning_rate = 1}) end, "unknown option 'learning_rate'")
   end)

   it("going back without having gone forward", function()
      local net = nn.network({{"conv2d", out = 1, kernel = 8}}, {input = {2, 8, 8}})
      local x, g = array.zeros{3, 2, 8, 8}, array.zeros{3, 1}
      assert.error_matches(function() net.core:backward(g) end, "no forward pass in train mode")
      net:forward(x)
      assert.error_matches(function() net.core:backward(g) end, "no forward pass in train mode")
      assert.error_matches(function() net.core:commit() end, "no forward pass in train mode")
      net.core:forward({x}, {train = true})
      assert.error_matches(function() net.core:backward(array.zeros{3, 2}) end, "gradient of (3, 1) expected", 1, true)
      net.core:backward(g)
      assert.error_matches(function() net.core:backward(g) end, "gone back already")
      assert.error_matches(function() net.core:input_gradient() end, "no gradient of the input")
   end)

   it("the gradient of audio before a mel front end", function()
      local net = nn.network({{"mel", sample_rate = 8000, n_fft = 64, hop = 32}},
         {input = {900}, input_gradient = true})
      assert.error_matches(function() net.core:forward({array.zeros{1, 900}}, {train = true}) end, "hands no gradient")
   end)

   it("groups before which some were never seen", function()
      local net = nn.network({{"batch_norm", name = "bn"}, {"linear", out = 2}}, {input = {1, 1, 4}})
      local x, state = noise({3, 1, 1, 4}, 1, "f32"), net:state()
      local before = state["bn.running_mean"]:copy()
      local function forward(first) net.core:forward({x}, {train = true, first_group = first}) end
      for _, first in ipairs{5, 1, 1023} do
         assert.error_matches(function() forward(first) end, ("number %d, and 0 were seen"):format(first), 1, true)
      end
      assert.error_matches(function() net.core:commit() end, "no forward pass in train mode")
      assert(array.equal(before, state["bn.running_mean"]))
      forward(0)
      forward(1)
      assert.error_matches(function() forward(3) end, "number 3, and 2 were seen", 1, true)
      net.core:commit()
      assert.near((1 - 0.9 ^ 2) * x:mean(), state["bn.running_mean"][1], 1e-6)
      assert.error_matches(function() forward(1) end, "number 1, and 0 were seen", 1, true)
      net.core:forward({x}, {first_group = 7}) -- nothing is kept of it
   end)

   it("to be closed by what it is given", function()
      local net = nn.network({{"linear", out = 2}}, {input = {1, 1, 4}})
      local core, closes = net.core, 0
      local function close() closes = closes + 1 core:close() end
      local liar = setmetatable({}, {__len = function() return 2 end, __index = close})
      assert.error_matches(function() core:forward(liar) end, "list of 1 to 16 arrays expected, got 0")
      local x = array.zeros{3, 1, 1, 4}
      core:forward({x}, {keep = liar})
      assert.error_matches(function() core:forward({x}, setmetatable({}, {__index = close})) end,
         "bad argument #2 to 'forward' (options with a metatable: a plain table expected)", 1, true)
      assert.equal(0, closes)
   end)

   it("to be closed, or inspected, while it is inspected", function()
      local net = nn.network({{"linear", out = 2}}, {input = {1, 1, 4}})
      local core, x = net.core, array.zeros{3, 1, 1, 4}
      for _, method in ipairs{"close", "inspect"} do
         assert.error_matches(function()
            core:inspect(function() core[method](core, print) end)
         end, "the network is at work", 1, true)
      end
      assert.equal(1, #core:inspect(function() core:forward({x}) end))
      core:close()
   end)

   it("a closed network", function()
      local net = nn.network({{"relu"}}, {input = {1, 1, 1}})
      local view = nn.network({{"linear", name = "l", out = 1}}, {input = {1, 1, 1}}):state()["l.weight"]
      net:close()
      net:close()
      assert.error_matches(function() net:forward(array.zeros{1, 1, 1, 1}) end, "network is closed")
      collectgarbage()
      assert(view:is_finite(), "a view outlives its network")
   end)
end)
