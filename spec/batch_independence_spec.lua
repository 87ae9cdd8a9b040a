local array = require "bclua.array"
local gradient = require "support.gradient"
local independence = require "bclua.evaluate.batch_independence"
local nn = require "bclua.nn"
local tilenet = require "bclua.tilenet"

local noise = gradient.noise

-- A small network of maps around the layers in question.
local function network(...)
   return nn.network({{"conv2d", name = "first", out = 4, kernel = 3, padding = 1}, {...},
      {"relu", name = "open"}, {"conv2d", name = "last", out = 2, kernel = 1}, {"average_pool", global = true}},
      {input = {2, 5, 6}, seed = 4})
end

local x = noise({4, 2, 5, 6}, 1, "f32")

describe("batch_independence.test", function()
   it("names batch norm in training, and no other layer", function()
      local r = independence.test(network({"batch_norm", name = "bn"}), x)
      assert.is_false(r.isolated)
      assert.is_true(r.alive)
      assert.is_false(r.passed)
      assert.same({"bn"}, r.mixing)
      assert(r.ratio > 0.01 and r.ratio < 1)
      assert.matches("What mixes them (batch_norm): bn.", r.explanation, 1, true)
      assert.matches("no mistake in the network", r.advice)
      assert.matches("bn +batch_norm .* mixes", tostring(r))
   end)

   it("passes a network with batch norm in eval mode", function()
      local r = independence.test(network({"batch_norm", name = "bn"}), x, {mode = "eval"})
      assert.is_true(r.passed)
      assert.same({}, r.mixing)
      assert.equal(0, r.others)
      assert(r.own > 0)
      assert.matches("does not depend on the others", r.explanation)
      assert.is_nil(r.advice)
   end)

   it("passes without a norm, with group norm and with dropout, in training", function()
      for _, layers in ipairs{{}, {{"group_norm", groups = 2}}, {{"dropout", rate = 0.3}}} do
         local r = independence.test(network(layers), x)
         assert.is_true(r.passed)
         assert.equal(0, r.others)
      end
   end)

   it("finds each of several norms where they are, and those of one branch", function()
      local r = independence.test(nn.network({{"conv2d", name = "a", out = 3, kernel = 1}, {"batch_norm", name = "one"},
         {"relu"}, {"group_norm", groups = 3, name = "two"}, {"conv2d", from = "a", out = 3, kernel = 1},
         {"batch_norm", name = "three"}, {"add", from = {"two", "three"}}}, {input = {2, 5, 6}}), x)
      assert.same({"one", "three"}, r.mixing)
   end)

   it("keeps samples apart that are in groups of their own, as the roles of a triplet are", function()
      local m = independence.test(network{"batch_norm"}, x, {groups = 2}).matrix
      assert(m[1][2] > 0 and m[4][3] > 0)
      for _, at in ipairs{{1, 3}, {1, 4}, {2, 3}, {3, 1}, {4, 2}} do assert.equal(0, m[at[1]][at[2]]) end
   end)

   it("does not pass a dead network, whose gradients are all zero, and says where it ends", function()
      local net = nn.network({{"conv2d", name = "first", out = 4, kernel = 3, bias = true}, {"relu", name = "shut"},
         {"conv2d", out = 2, kernel = 1}, {"average_pool", global = true}}, {input = {2, 5, 6}})
      net:state()["first.bias"]:fill(-1000)
      local r = independence.test(net, x)
      assert.is_true(r.isolated)
      assert.is_false(r.alive)
      assert.is_false(r.passed)
      assert.same({"shut"}, r.dead)
      assert.same({1, 2, 3, 4}, r.dead_samples)
      assert.matches("own gradient of sample 1, 2, 3, 4 is zero.*It ends at shut", r.explanation)
   end)

   it("names weights of zero, and a sample that alone is dead", function()
      local net = network()
      net:state()["last.weight"]:fill(0)
      assert.same({"last"}, independence.test(net, x).dead)
      local floor = nn.network({{"decibel", name = "db"}, {"linear", out = 3}}, {input = {2, 5, 6}})
      local one_silent = x:abs() + 0.1
      one_silent[3]:fill(0)
      local r = independence.test(floor, one_silent)
      assert.same({3}, r.dead_samples)
      assert.same({"db"}, r.dead)
   end)

   it("leaves the network as it was, gradients and step too", function()
      local net = network{"batch_norm", name = "bn"}
      local b = {anchor = x, neighbor = x + 0.1, distant = x * 2}
      net:train_step(b)
      local before, gradients = {}, {}
      for name, a in pairs(net:state()) do before[name] = a:copy() end
      for name, a in pairs(net:gradients()) do gradients[name] = a:copy() end
      independence.test(net, x)
      for name, a in pairs(net:state()) do assert(array.equal(a, before[name]), name) end
      for name, a in pairs(net:gradients()) do assert(array.equal(a, gradients[name]), name) end
      assert.equal(1, net.step)
   end)

   it("tests a network of audio: the front end by exchange, the rest by gradients", function()
      local layers, about = tilenet.layers{widths = {4, 4, 4, 4}, z = 4, seconds = 1, n_fft = 512}
      local audio = noise({3, about.input[1]}, 2, "f32")
      local net = nn.network(layers, about)
      local r = independence.test(net, audio)
      assert.equal("mel", r.layers[1].layer)
      assert.equal("change", r.layers[1].by)
      assert.is_false(r.layers[1].mixes)
      assert(r.layers[1].own > 0)
      assert.equal("bn1", r.mixing[1])
      for _, row in ipairs(r.layers) do assert.equal(row.kind == "batch_norm", row.mixes, row.layer) end
      local without = nn.network(independence.with_group_norm(layers, 2), about)
      assert.is_true(independence.test(without, audio).passed)
      assert.equal("batch_norm", layers[4][1])
   end)

   it("has no opinion on nothing: one sample, wrong options, NaN", function()
      local net = network()
      assert.error_matches(function() independence.test(net, x:slice(1, 1, 1)) end, "batch: an array of at least two")
      assert.error_matches(function() independence.test(net, x, {mood = 1}) end, "unknown option 'mood'")
      assert.error_matches(function() independence.test(net, x, {mode = "test"}) end,
         "option 'mode' must be one of train, eval, got 'test'")
      assert.error_matches(function() independence.test(net, x, {groups = 4}) end, "4 samples are not 4 equal groups")
      assert.error_matches(function() independence.test(net, x * (0 / 0)) end, "batch: it holds NaN")
      assert.error_matches(function() independence.test({}, x) end, "net: a network")
      local audio = nn.network({{"mel", sample_rate = 8000, n_fft = 64, hop = 32}}, {input = {900}})
      assert.error_matches(function() independence.test(audio, noise({2, 900}, 1, "f32")) end,
         "no layer hands a gradient")
   end)
end)

describe("batch_independence.gradient", function()
   for _, mode in ipairs{"train", "eval"} do
      it("is what finite differences give, for the own sample and for others, in " .. mode .. " mode", function()
         local g, w, f, values = independence.gradient(network{"batch_norm"}, x, 2, {mode = mode})
         assert.equal(2, #w)
         local scale, eps = g:abs():max(), 1e-5
         for j = 1, 4 do
            for _, k in ipairs{1, 17, 44} do
               local at, slope = values[j]:reshape{60}, g[j]:reshape{60}[k]
               local old = at[k]
               at[k] = old + eps
               local up = f(values)
               at[k] = old - eps
               local down = f(values)
               at[k] = old
               assert.near((up - down) / (2 * eps), slope, 1e-7 * scale)
               assert.equal(mode == "eval" and j ~= 2, slope == 0)
            end
         end
      end)
   end

   it("wants a sample of the batch", function()
      assert.error_matches(function() independence.gradient(network(), x, 5) end, "sample: 1 to 4 expected, got 5")
   end)
end)

it("batch_independence is still there by its old name, isolation", function()
   assert.equal(independence.test, require("bclua.isolation").test)
end)
