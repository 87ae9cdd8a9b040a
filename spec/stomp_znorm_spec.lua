local array = require "bclua.array"
local profiles = require "support.profiles"
local sampling = require "bclua.sampling"
local stomp = require "bclua.stomp"

local inf, nan = math.huge, 0 / 0

local assert_same_profile, ways = profiles.assert_same_profile, profiles.ways

describe("stomp.z_self_join and stomp.z_join", function()
   -- A random walk; uniform noise if step is false.
   local function series(n, seed, noise)
      local x, v = array.zeros(n, "f64"), 0
      math.randomseed(seed)
      for t = 1, n do
         v = noise and math.random() or v + math.random() - 0.5
         x[t] = v
      end
      return x
   end

   local function assert_profile(expected, got)
      assert.same(expected.index:table(), got.index:table())
      for i, d in ipairs(expected.distance:table()) do
         assert.is_true(d == got.distance[i] or math.abs(d - got.distance[i]) < 1e-12)
      end
   end

   it("find what the definition finds", function()
      for _, case in ipairs{{300, 37}, {200, 3}, {260, 64}, {90, 44}} do
         for _, noise in ipairs{false, true} do
            local x = series(case[1], 41, noise)
            local p = stomp.z_self_join(x, case[2])
            assert_profile(stomp.z_self_join(x, case[2], {method = "brute"}), p)
            local y = series(113, 42, noise)
            local brute = stomp.z_join(x, y, case[2], {method = "brute"})
            assert_profile(brute, stomp.z_join(x, y, case[2]))
            brute = stomp.z_join(y, x, case[2], {method = "brute"})
            assert_profile(brute, stomp.z_join(y, x, case[2]))
         end
      end
   end)

   it("give the same bits with all instructions and methods", function()
      local x = series(900, 43)
      for t = 300, 350 do x[t] = 1 end
      for t = 1, 60 do x[600 + t] = x[100 + t] end
      x[800] = nan
      local y = x:slice(1, 200, 700)
      for _, m in ipairs{8, 31, 50} do
         local p, q = stomp.z_self_join(x, m), stomp.z_join(x, y, m)
         for _, way in ipairs(ways()) do
            assert_same_profile(p, stomp.z_self_join(x, m, way))
            assert_same_profile(q, stomp.z_join(x, y, m, way))
         end
      end
   end)

   it("do not see scale and offset", function()
      local x = series(500, 44)
      local y = x:copy()
      for t = 1, 500 do y[t] = 1024 * x[t] end
      local p = stomp.z_self_join(x, 25)
      assert_same_profile(p, stomp.z_self_join(y, 25))
      for _, factor in ipairs{1e150, 1e-150} do
         for t = 1, 500 do y[t] = factor * x[t] end
         assert_profile(p, stomp.z_self_join(y, 25))
      end
      for t = 1, 500 do y[t] = x[t] + 1000 end
      for i, d in ipairs(stomp.z_self_join(y, 25).distance:table()) do
         assert.near(p.distance[i], d, 1e-9)
      end
   end)

   -- A pattern at several gains, noise, and a drift, 40 frames each: what lies far from 0 is small.
   local function far_from_zero(offset)
      local g, x = sampling.generator(55), array.zeros(320, "f64")
      local pattern = g:normal(40)
      for part = 0, 7 do
         local gain, noise = 10 ^ (2 - part), g:normal(40)
         for t = 1, 40 do
            x[40 * part + t] = offset + (part < 5 and gain * pattern[t] or part < 7 and noise[t] or noise[t] + 10 * t)
         end
      end
      return x
   end

   it("do not see an offset, however large", function()
      for _, offset in ipairs{-1e6, 1e8, 1e10, 1e12} do
         local x = far_from_zero(offset)
         local y = x - offset -- exact
         local p, q = stomp.z_self_join(y, 8), stomp.z_join(y:slice(1, 1, 90), y:slice(1, 91, 320), 8)
         for _, way in ipairs(ways()) do
            local shifted = stomp.z_self_join(x, 8, way)
            assert_profile(p, shifted)
            assert_same_profile(stomp.z_self_join(x, 8), shifted)
            assert_profile(q, stomp.z_join(x:slice(1, 1, 90), y:slice(1, 91, 320), 8, way))
         end
         assert_profile(p, stomp.z_pan(x, {8})[1])
         assert_profile(p, stomp.z_self_join(x, 8, {k = 2}))
         local m = stomp.z_matches(x:slice(1, 1, 20), y, {k = 3})
         for i, one in ipairs(stomp.z_matches(y:slice(1, 1, 20), y, {k = 3})) do
            assert.equal(one.at, m[i].at)
            assert.near(one.distance, m[i].distance, 1e-12)
         end
         for i, d in ipairs(stomp.z_self_join(x, 8, {method = "brute"}).distance:table()) do
            assert.near(p.distance[i], d, 1e-12)
         end
      end
   end)

   it("see a step of one unit in the last place", function()
      local x = array.full(40, 0.1, "f64")
      x[21] = 0.1 + 2 ^ -56
      for _, factor in ipairs{1, 2 ^ 600, 2 ^ -600} do
         local p = stomp.z_self_join(x * factor, 8)
         assert_profile(stomp.z_self_join(x * factor, 8, {method = "brute"}), p)
         assert.near(math.sqrt(8), p.distance[20], 1e-12) -- of a constant one
      end
   end)

   it("give 0 to identical windows, however far apart and whatever lies between", function()
      local x = series(700, 45)
      x[350] = 1e9
      for t = 1, 60 do x[550 + t] = x[50 + t] end
      for _, way in ipairs(ways()) do
         local p = stomp.z_self_join(x, 32, way)
         for i = 50, 110 - 32 do
            assert.equal(0, p.distance[i + 1])
            assert.equal(i + 500, p.index[i + 1])
            assert.equal(i, p.index[i + 501])
         end
      end
   end)

   it("do not lose small sounds beside a huge one", function()
      local x = series(400, 46)
      for t = 100, 110 do x[t] = 1e8 * x[t] end
      assert_profile(stomp.z_self_join(x, 16, {method = "brute"}), stomp.z_self_join(x, 16))
   end)

   it("give constant windows stumpy's meaning", function()
      local x, m = series(200, 47), 16
      for t = 40, 70 do x[t] = 3 end
      for t = 120, 150 do x[t] = -1 end
      local p = stomp.z_self_join(x, m)
      for i = 39, 70 - m do
         assert.equal(0, p.distance[i + 1]) -- a constant and another constant
         assert.equal(i > 43 and 39 or i + 5 <= 54 and i + 5 or 119, p.index[i + 1])
      end
      assert_profile(stomp.z_self_join(x, m, {method = "brute"}), p)
      local flat = stomp.z_join(array.full({30}, 2, "f32"), series(90, 48), m)
      assert.equal(4, flat.distance[1]) -- a constant and another: sqrt(m)
      assert.equal(0, flat.index[1])
      flat = stomp.z_join(series(90, 48), array.full({30}, 2, "f32"), m)
      assert.equal(4, flat.distance[75])
      assert.equal(0, flat.index[75])
      p = stomp.z_self_join(array.zeros(60, "f32"), 8)
      assert.same({0, 3}, {p.distance[1], p.index[1]})
      assert.same({0, 0}, {p.distance[53], p.index[53]})
      assert.equal(0, stomp.z_self_join(x, 1).distance[7]) -- one frame is constant
   end)

   it("know a constant window whose mean is rounded", function()
      local x = series(120, 53)
      for t = 41, 53 do x[t], x[t + 40] = 0.1, 0.3 end
      local p = stomp.z_self_join(x, 13)
      assert.same({0, 80}, {p.distance[41], p.index[41]})
      assert.same({0, 40}, {p.distance[81], p.index[81]})
   end)

   it("give ties to the lowest index", function()
      local x = series(600, 54)
      for t = 1, 50 do
         for k = 1, 4 do x[120 * k + t] = x[t] end
      end
      for _, way in ipairs(ways()) do
         local p = stomp.z_self_join(x, 30, way)
         for i = 0, 20 do
            assert.equal(120 + i, p.index[i + 1])
            for k = 1, 4 do assert.equal(i, p.index[120 * k + i + 1]) end
         end
      end
   end)

   it("give windows with NaN or infinity no neighbour and choose none", function()
      for _, bad in ipairs{nan, inf, -inf} do
         local x = series(200, 49)
         x[90] = bad
         local p = stomp.z_self_join(x, 12)
         assert_profile(stomp.z_self_join(x, 12, {method = "brute"}), p)
         for i = 78, 89 do
            assert.equal(inf, p.distance[i + 1])
            assert.equal(-1, p.index[i + 1])
         end
      end
      assert.equal(-1, stomp.z_self_join(array.full({40}, nan, "f32"), 4).index[20])
   end)

   it("exclude a quarter of the window, rounded up, or what they are told", function()
      local x = series(120, 50)
      assert.equal(4, stomp.z_self_join(x, 16).exclusion)
      assert.equal(5, stomp.z_self_join(x, 17).exclusion)
      for _, zone in ipairs{0, 3, 50, 103} do
         local brute = stomp.z_self_join(x, 17, {exclusion = zone, method = "brute"})
         assert_profile(brute, stomp.z_self_join(x, 17, {exclusion = zone}))
      end
      assert.equal(inf, stomp.z_self_join(x, 17, {exclusion = 200}).distance[1])
      assert.equal(-1, stomp.z_self_join(array.zeros(1, "f32"), 1).index[1])
   end)

   it("take denormals: their variance is 0, and they are constant", function()
      local x = array.from{1e-310, 2e-310, 5e-310, 1e-310, 2e-310, 5e-310, 7e-310, 3, 1, 4, 1, 5, 9}
      local p = stomp.z_self_join(x, 3, {exclusion = 0})
      assert_profile(stomp.z_self_join(x, 3, {exclusion = 0, method = "brute"}), p)
      assert.same({0, 0, 0, 0}, p.distance:slice(1, 1, 4):table())
      assert.is_true(p.distance:is_finite())
   end)

   it("take any dtype, views, and series of different dtypes", function()
      local a, b = array.zeros(60), array.zeros({80, 2}, "f64")
      for t = 1, 60 do a[t] = (t * t) % 31 end
      for t = 1, 80 do b:set(t, 2, (t * t + 3 * t) % 29) end
      local view = b:T()[2]
      assert.is_false(view:is_contiguous())
      local expected = stomp.z_join(a:copy("f64"), view:copy(), 8)
      for _, dtype in ipairs{"f32", "i16", "u8"} do assert_profile(expected, stomp.z_join(a:copy(dtype), view, 8)) end
      assert_profile(stomp.z_self_join(view:copy(), 8), stomp.z_self_join(view, 8))
   end)

   it("name the argument they reject", function()
      assert.error_matches(function() stomp.z_self_join(array.zeros(0), 1) end,
         "bad argument #1 to 'z_self_join' (expected at least one dimension and one frame", 1, true)
      assert.error_matches(function() stomp.z_join(array.zeros(5), array.zeros(0), 1) end,
         "bad argument #2 to 'z_join' (expected at least one dimension and one frame", 1, true)
      assert.error_matches(function() stomp.z_self_join(array.zeros(5), -2) end,
         "bad argument #2 to 'z_self_join' (window -2 outside 1..5)", 1, true)
      local x = series(40, 51)
      assert.error_matches(function() stomp.z_self_join(array.zeros({2, 40}, "f64"), 5) end,
         "bad argument #1 to 'z_self_join' (expected one dimension, got 2)", 1, true)
      assert.error_matches(function() stomp.z_self_join(x, 41) end,
         "bad argument #2 to 'z_self_join' (window 41 outside 1..40)", 1, true)
      assert.error_matches(function() stomp.z_join(x, x, 0) end,
         "bad argument #3 to 'z_join' (window 0 outside 1..40)", 1, true)
      assert.error_matches(function() stomp.z_join(x, x, 5, {exclusion = 2}) end, "unknown option 'exclusion'")
   end)
end)
