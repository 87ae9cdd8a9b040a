-- The convolutions: every algorithm against the definition.
local array = require "bclua.array"
local nn = require "bclua.nn"
local noise = require("support.gradient").noise
local system = require "bclua.system"

describe("conv2d", function()
   it("gives what its definition in loops gives", function()
      for i, shape in ipairs{
         {kernel = 3, padding = 1, input = {5, 9, 11}, out = 7},
         {kernel = 3, padding = 1, stride = 2, input = {3, 8, 9}, out = 4},
         {kernel = 1, input = {4, 5, 6}, out = 3}, {kernel = 1, stride = 2, input = {4, 5, 6}, out = 3},
         {kernel = {1, 4}, stride = {1, 3}, padding = {0, 2}, input = {2, 1, 70}, out = 3, bias = true},
         {kernel = 3, padding = 1, input = {20, 4, 5}, out = 70}, -- several items of channels and outputs
         {kernel = 5, padding = 1, stride = 3, input = {13, 17, 16}, out = 9},
         {kernel = 3, padding = 1, stride = 2, input = {70, 9, 8}, out = 130}, -- several parts of either
         {kernel = 1, padding = 2, stride = 2, input = {20, 5, 5}, out = 40},
      } do
         local x, results = noise({5, table.unpack(shape.input)}, i, "f32"), {}
         for _, algorithm in ipairs{"direct", "planar", "im2col", "plain"} do
            local net = nn.network({{"conv2d", out = shape.out, kernel = shape.kernel, stride = shape.stride,
               padding = shape.padding, bias = shape.bias, algorithm = algorithm}},
               {input = shape.input, seed = 5, input_gradient = true})
            local y = net.core:forward({x}, {train = true})
            net.core:backward(noise(y:shape(), 8, "f32"))
            local g = net:gradients()
            results[algorithm] = {y, net.core:input_gradient(), g["conv2d_1.weight"], g["conv2d_1.bias"]}
         end
         for k, plain in ipairs(results.plain) do
            assert.near(0, array.max_difference(results.im2col[k], plain), 2e-5 * plain:abs():max())
            assert.near(0, array.max_difference(results.direct[k], plain), 2e-5 * plain:abs():max())
            assert.near(0, array.max_difference(results.planar[k], plain), 2e-5 * plain:abs():max())
         end
      end
   end)

   it("gives the same with a quarter of the products, at any size and padding, added to a gradient or not", function()
      for i, c in ipairs{
         {5, 9, 11, out = 7, padding = 1, n = 5}, {13, 17, 16, out = 9, n = 2}, {3, 5, 4, out = 2, padding = 2, n = 7},
         {1, 3, 3, out = 1, padding = 1, n = 1}, {8, 33, 7, out = 8, padding = {2, 0}, n = 2},
         {16, 4, 5, out = 24, padding = 1, n = 9}, {17, 40, 70, out = 10, padding = 1, n = 3},
      } do
         local results, x = {}, noise({c.n, c[1], c[2], c[3]}, i, "f32")
         for _, algorithm in ipairs{"winograd", "direct", "planar", "plain"} do
            local layer = {"conv2d", name = "a", out = c.out, kernel = 3, padding = c.padding, bias = true,
               algorithm = algorithm}
            local twin = {name = "b", from = "input"}
            for key, value in pairs(layer) do twin[key] = twin[key] or value end
            local net = nn.network({layer, twin, {"add", from = {"a", "b"}}},
               {input = {c[1], c[2], c[3]}, seed = 5, input_gradient = true})
            local y = net.core:forward({x}, {train = true})
            net.core:backward(noise(y:shape(), 8, "f32"))
            local g = net:gradients()
            results[algorithm] = {y, net.core:input_gradient(), g["a.weight"], g["b.weight"], g["b.bias"]}
         end
         for k, plain in ipairs(results.plain) do
            assert.near(0, array.max_difference(results.winograd[k], plain), 2e-5 * plain:abs():max())
            assert.near(0, array.max_difference(results.direct[k], plain), 2e-5 * plain:abs():max())
            assert.near(0, array.max_difference(results.planar[k], plain), 2e-5 * plain:abs():max())
         end
      end
   end)

   it("gives the same from values and gradients in 16 bits, but for their rounding", function()
      for i, c in ipairs{
         {64, 16, 18, out = 96, kernel = 3, padding = 1, stride = 2}, {64, 20, 31, out = 64, kernel = 3, padding = 1},
         {70, 8, 9, out = 33, kernel = 3, padding = 1, stride = 2}, {40, 9, 8, out = 24, kernel = 1, stride = 2},
         {7, 9, 8, out = 5, kernel = 3, padding = 1},
      } do
         local x, results = noise({3, c[1], c[2], c[3]}, i, "f32"), {}
         for _, precision in ipairs{"f32", "bf16", "f16"} do
            local layer = {"conv2d", name = "a", out = c.out, kernel = c.kernel, padding = c.padding, stride = c.stride,
               bias = true}
            local twin = {name = "b", from = "before"}
            for key, value in pairs(layer) do twin[key] = twin[key] or value end
            local net = nn.network({{"conv2d", name = "before", out = c[1], kernel = 1}, layer, twin,
               {"add", from = {"a", "b"}}, {"conv2d", name = "after", out = 3, kernel = 1}},
               {input = {c[1], c[2], c[3]}, seed = 5, input_gradient = true, precision = precision})
            local y = net.core:forward({x}, {train = true})
            net.core:backward(noise(y:shape(), 8, "f32"))
            local g = net:gradients()
            results[precision] = {y, net.core:input_gradient(), g["a.weight"], g["a.bias"], g["before.weight"]}
         end
         for k, single in ipairs(results.f32) do
            local scale = single:abs():max()
            assert.near(0, array.max_difference(results.bf16[k], single), 2.5e-2 * scale)
            assert.near(0, array.max_difference(results.f16[k], single), 2e-3 * scale)
         end
      end
   end)

   it("sums gradients of weights in single precision from values in bf16", function()
      finally(function() system.instructions("best") end)
      for i, c in ipairs{
         {64, 9, 10, out = 96, kernel = 3, padding = 1, stride = 2}, {70, 5, 5, out = 33, kernel = {3, 4}, padding = 1},
         {32, 40, 31, out = 33, kernel = {3, 4}, padding = 1}, {40, 9, 8, out = 140, kernel = 1, stride = 2},
         {33, 7, 20, out = 32, kernel = {2, 3}, padding = {0, 2}, stride = {1, 3}},
      } do
         local x, found = noise({5, c[1], c[2], c[3]}, i, "f32"), {}
         -- but for the first, in f32, of the same values
         for _, run in ipairs{{"best", "auto"}, {"best", "direct"}, {"avx512", "auto"}, {"plain", "auto"}} do
            local instructions, algorithm = run[1], run[2]
            if not pcall(system.instructions, instructions) then system.instructions("plain") end
            local net = nn.network({{"relu"}, {"conv2d", name = "a", out = c.out, kernel = c.kernel,
               padding = c.padding, stride = c.stride, algorithm = algorithm}, {"average_pool", kernel = 1}},
               {input = {c[1], c[2], c[3]}, seed = 5, precision = "bf16"})
            local y = net.core:forward({x}, {train = true})
            net.core:backward(noise(y:shape(), 8, "f32"))
            found[#found + 1] = net:gradients()["a.weight"]
         end
         for k = 2, #found do
            assert.near(0, array.max_difference(found[1], found[k]), 5e-6 * found[k]:abs():max())
         end
      end
   end)

   it("multiplies in bf16 with the same bits in plain code and in vectors", function()
      finally(function() system.instructions("best") end)
      for i, c in ipairs{
         {33, 9, 11, out = 70, kernel = 3, padding = 1}, {48, 4, 5, out = 32, kernel = 3, padding = 1},
         {180, 4, 5, out = 190, kernel = 3, padding = 1}, {64, 16, 18, out = 96, kernel = 3, padding = 1, stride = 2},
         {40, 9, 8, out = 140, kernel = 1, stride = 2}, {33, 7, 20, out = 37, kernel = {2, 3}, padding = {0, 2}},
      } do
         local x, expected = noise({5, c[1], c[2], c[3]}, i, "f32")
         for _, code in ipairs{"plain", "avx512", "avx512_bf16"} do
            if pcall(system.instructions, code) then
               -- as stored: what a layer of its own reads is what the caller has
               local net = nn.network({{"relu"}, {"conv2d", name = "a", out = c.out, kernel = c.kernel,
                  padding = c.padding, stride = c.stride, algorithm = "bf16"}, {"average_pool", kernel = 1}},
                  {input = {c[1], c[2], c[3]}, seed = 5, precision = "bf16", input_gradient = true})
               local y = net.core:forward({x}, {train = true})
               net.core:backward(noise(y:shape(), 8, "f32"))
               local got = {y, net.core:input_gradient(), net:gradients()["a.weight"]}
               expected = expected or got
               for k, values in ipairs(got) do assert.equal(expected[k]:string(), values:string()) end
            end
         end
      end
   end)

   it("rounds points of Winograd's method to bf16, for an error of some hundredths", function()
      local x, results = noise({4, 64, 17, 19}, 3, "f32"), {}
      for _, precision in ipairs{"f32", "bf16"} do
         local net = nn.network({{"relu"}, {"conv2d", name = "a", out = 48, kernel = 3, padding = 1,
            algorithm = "bf16"}, {"average_pool", kernel = 1}},
            {input = {64, 17, 19}, seed = 5, precision = precision, input_gradient = true})
         local y = net.core:forward({x}, {train = true})
         net.core:backward(noise(y:shape(), 8, "f32"))
         results[precision] = {y, net.core:input_gradient(), net:gradients()["a.weight"]}
      end
      for k, single in ipairs(results.f32) do
         local off = results.bf16[k] - single
         assert.near(0, (off * off):mean() ^ 0.5, 0.015 * (single * single):mean() ^ 0.5)
      end
   end)

   it("gives the same with all instructions, but for rounding", function()
      local results, known = {}, {"plain", "avx2", "avx512", "avx512_bf16", "amx"}
      finally(function() system.instructions("best") end)
      for _, code in ipairs(known) do
         if pcall(system.instructions, code) then
            for _, precision in ipairs{"f32", "bf16", "f16"} do
               local net = nn.network({{"conv2d", out = 40, kernel = 3, padding = 1, stride = 2, bias = true},
                  {"conv2d", out = 33, kernel = 3, padding = 1}, {"conv2d", out = 7, kernel = 1},
                  {"conv2d", out = 5, kernel = 3, padding = 1}},
                  {input = {3, 21, 34}, seed = 5, input_gradient = true, precision = precision})
               local y = net.core:forward({noise({6, 3, 21, 34}, 1, "f32")}, {train = true})
               net.core:backward(noise(y:shape(), 8, "f32"))
               local now = {y, net.core:input_gradient()}
               for _, name in ipairs{"conv2d_1.weight", "conv2d_1.bias", "conv2d_2.weight", "conv2d_3.weight"} do
                  now[#now + 1] = net:gradients()[name]
               end
               results[precision] = results[precision] or now
               for k, plain in ipairs(results[precision]) do
                  assert.near(0, array.max_difference(now[k], plain), ({f32 = 1e-5, bf16 = 2e-2, f16 = 4e-3})[precision]
                     * plain:abs():max())
               end
            end
         end
      end
   end)

   it("refuses algorithms for windows that they do not know", function()
      for _, wrong in ipairs{{kernel = 5}, {kernel = 3, stride = 2}, {kernel = 3, padding = 3}} do
         local layer = {"conv2d", out = 2, algorithm = "winograd"}
         for key, value in pairs(wrong) do layer[key] = value end
         assert.error_matches(function() nn.network({layer}, {input = {1, 8, 8}}) end, "winograd needs a 3x3 kernel")
      end
      assert.error_matches(function()
         nn.network({{"conv2d", out = 2, kernel = 6, algorithm = "planar"}}, {input = {1, 8, 8}})
      end, "planar takes windows of at most 25 values")
   end)

   it("counts neighbours with a kernel of ones", function()
      local net = nn.network({{"conv2d", name = "c", out = 1, kernel = 3, padding = 1}}, {input = {1, 3, 4}})
      net:state()["c.weight"]:fill(1)
      assert.same({{4, 6, 6, 4, 6, 9, 9, 6, 4, 6, 6, 4}}, net:forward(array.full({1, 1, 3, 4}, 1)):table())
   end)

   it("starts as PyTorch starts: uniform within 1/sqrt(fan in), by the seed alone", function()
      local function weights(seed)
         return nn.network({{"conv2d", name = "c", out = 40, kernel = 3, bias = true}},
            {input = {10, 5, 5}, seed = seed}):state()
      end
      local w, bound = weights(4)["c.weight"], 1 / math.sqrt(90)
      assert(w:max() <= bound and w:min() >= -bound)
      assert.near(0, w:mean(), 0.05 * bound)
      assert.near(bound / math.sqrt(3), w:std(), 0.05 * bound)
      assert(weights(4)["c.bias"]:abs():max() <= bound)
      assert(array.equal(w, weights(4)["c.weight"]))
      assert(not array.equal(w, weights(5)["c.weight"]))
   end)
end)
