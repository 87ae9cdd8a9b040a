local array = require "bclua.array"
local stomp = require "bclua.stomp"

local inf, nan = math.huge, 0 / 0

-- A smoothed random walk a row: neighbours are alike, as in music.
local function walk(dims, frames, seed)
   math.randomseed(seed)
   local x = array.zeros({dims, frames}, "f64")
   for d = 1, dims do
      local v = 0
      for t = 1, frames do
         v = 0.9 * v + math.random() - 0.5
         x:set(d, t, v)
      end
   end
   return x
end

local function column(x, t, value)
   for d = 1, x:shape(1) do x:set(d, t, value) end
end

-- Paste `frames` frames of x from frame `from` at frame `to` (both from 0).
local function paste(x, from, to, frames)
   for d = 1, x:shape(1) do
      for t = 1, frames do x:set(d, to + t, x:at(d, from + t)) end
   end
end

-- The definition of one distance.
local function distance(a, i, b, j, w)
   local sum = 0
   for d = 1, a:shape(1) do
      for k = 1, w do sum = sum + (a:at(d, i + k) - b:at(d, j + k)) ^ 2 end
   end
   return sum
end

local function assert_near(expected, got, relative)
   assert.equal(#expected, #got)
   for i = 1, #expected do
      local e, g = expected[i], got[i]
      if not (e == g or math.abs(e - g) <= relative * math.abs(e)) then
         error(("element %d: expected %.17g, got %.17g"):format(i, e, g), 2)
      end
   end
end

local function assert_same_profile(expected, got)
   assert.is_true(array.equal(expected.distance, got.distance))
   assert.is_true(array.equal(expected.index, got.index))
end

-- Every way through the cells that this machine has.
local function ways()
   local list = {}
   for _, instructions in ipairs(stomp.instructions()) do
      for _, method in ipairs{"filter", "sweep"} do
         list[#list + 1] = {instructions = instructions, method = method}
      end
   end
   return list
end

describe("stomp.self_join", function()
   it("finds what the definition finds", function()
      for _, case in ipairs{{12, 300, 50}, {1, 200, 7}, {3, 150, 1}, {2, 90, 44}, {5, 131, 33}} do
         local x = walk(case[1], case[2], 1)
         local p = stomp.self_join(x, case[3])
         local brute = stomp.self_join(x, case[3], {method = "brute"})
         assert.equal(case[2] - case[3] + 1, #p.distance)
         assert_near(brute.distance:table(), p.distance:table(), 1e-13)
         assert.same(brute.index:table(), p.index:table())
         local i = #p.distance // 2
         assert.near(distance(x, i, x, p.index[i + 1], case[3]), p.distance[i + 1], 1e-12)
      end
   end)

   it("gives the same bits with all instructions and methods", function()
      local x = walk(4, 700, 2)
      paste(x, 100, 500, 60)
      for t = 300, 340 do column(x, t, 0) end
      for _, w in ipairs{1, 2, 19, 32, 50} do
         local expected = stomp.self_join(x, w)
         for _, way in ipairs(ways()) do assert_same_profile(expected, stomp.self_join(x, w, way)) end
      end
   end)

   it("returns f64 distances, i64 indices and its parameters", function()
      local p = stomp.self_join(walk(2, 40, 3), 5)
      assert.equal("f64", p.distance:dtype())
      assert.equal("i64", p.index:dtype())
      assert.equal(5, p.window)
      assert.equal(2, p.exclusion)
      assert.equal("self", p.kind)
   end)

   it("excludes half a window, halves rounded to even, or what it is told", function()
      local x = walk(1, 200, 4)
      assert.equal(25, stomp.self_join(x, 50).exclusion)
      assert.equal(0, stomp.self_join(x, 1).exclusion)
      assert.equal(2, stomp.self_join(x, 3).exclusion)
      assert.equal(26, stomp.self_join(x, 51).exclusion)
      for _, zone in ipairs{0, 1, 7, 90} do
         local p, closest = stomp.self_join(x, 10, {exclusion = zone}), inf
         local brute = stomp.self_join(x, 10, {exclusion = zone, method = "brute"})
         assert.same(brute.index:table(), p.index:table())
         for i, j in ipairs(p.index:table()) do
            if j >= 0 then closest = math.min(closest, math.abs(i - 1 - j)) end
         end
         assert.is_true(closest > zone)
      end
   end)

   it("leaves windows without an allowed neighbour at infinity and -1", function()
      local x = walk(2, 30, 5)
      for _, zone in ipairs{20, 21, 1000, math.maxinteger} do
         local p = stomp.self_join(x, 10, {exclusion = zone})
         for i = 1, 21 do
            assert.equal(inf, p.distance[i])
            assert.equal(-1, p.index[i])
         end
      end
      local p = stomp.self_join(x, 10, {exclusion = 12}) -- only the ends reach across
      assert.equal(-1, p.index[11])
      assert.equal(13, p.index[1] >= 13 and 13)
   end)

   it("gives exactly 0 for identical windows, anywhere", function()
      local x = walk(3, 900, 6)
      column(x, 450, 1e6) -- a spike must not blur what is around it
      paste(x, 20, 700, 80)
      for _, w in ipairs{16, 50, 61} do
         local p = stomp.self_join(x, w)
         for i = 20, 100 - w do
            assert.equal(0, p.distance[i + 1])
            assert.equal(i + 680, p.index[i + 1])
            assert.equal(0, p.distance[i + 681])
            assert.equal(i, p.index[i + 681])
         end
      end
   end)

   it("keeps the relative error after a huge spike", function()
      local x = walk(3, 400, 7)
      column(x, 30, 1e150)
      column(x, 200, -3e9)
      local p = stomp.self_join(x, 20)
      local brute = stomp.self_join(x, 20, {method = "brute"})
      assert_near(brute.distance:table(), p.distance:table(), 1e-13)
   end)

   it("gives ties to the lowest index", function()
      local period = walk(3, 20, 8)
      local x = array.zeros({3, 400}, "f64")
      for d = 1, 3 do for t = 1, 400 do x:set(d, t, period:at(d, (t - 1) % 20 + 1)) end end
      for _, way in ipairs(ways()) do
         local p = stomp.self_join(x, 15, way)
         for i = 0, 385 do
            assert.equal(0, p.distance[i + 1])
            assert.equal(i < 20 and i + 20 or i % 20, p.index[i + 1])
         end
      end
      -- neighbours that tie at a distance above 0: silence, heard from noise
      x = walk(3, 500, 9)
      for d = 1, 3 do for t = 101, 350 do x:set(d, t, 0) end end
      local brute = stomp.self_join(x, 30, {method = "brute"})
      for _, way in ipairs(ways()) do
         assert.same(brute.index:table(), stomp.self_join(x, 30, way).index:table())
      end
   end)

   it("pairs constant and all-zero frames with the first allowed window", function()
      for _, value in ipairs{0, 3.25, -1e300} do
         local p = stomp.self_join(array.full({2, 100}, value, "f64"), 10)
         for i = 0, 90 do
            assert.equal(0, p.distance[i + 1])
            assert.equal(i <= 5 and i + 6 or 0, p.index[i + 1])
         end
      end
   end)

   it("gives windows with NaN or infinity no neighbour and chooses none", function()
      for _, bad in ipairs{nan, inf, -inf} do
         local x = walk(2, 200, 10)
         local y = x:copy()
         x:set(2, 120, bad)
         column(y, 120, 1e100) -- never near anything
         local p, q = stomp.self_join(x, 12), stomp.self_join(y, 12)
         for i = 0, 188 do
            if i >= 108 and i <= 119 then
               assert.equal(inf, p.distance[i + 1])
               assert.equal(-1, p.index[i + 1])
            else
               assert.equal(q.distance[i + 1], p.distance[i + 1])
               assert.equal(q.index[i + 1], p.index[i + 1])
            end
         end
      end
      local p = stomp.self_join(array.full({2, 30}, nan, "f64"), 5)
      assert.equal(inf, p.distance[1])
      assert.equal(-1, p.index[26])
   end)

   it("counts an overflowing distance as none", function()
      local x = array.from({{1e200, 0, 5e199, 0, 1e200, 7}}, "f64")
      local p = stomp.self_join(x, 1)
      assert.same({0, 0, inf, 0, 0, 49}, p.distance:table())
      assert.same({4, 3, -1, 1, 0, 1}, p.index:table())
   end)

   it("takes denormals for what they are", function()
      local x = walk(2, 120, 11)
      for d = 1, 2 do for t = 1, 120 do x:set(d, t, x:at(d, t) * 1e-155) end end
      local p, brute = stomp.self_join(x, 8), stomp.self_join(x, 8, {method = "brute"})
      assert_near(brute.distance:table(), p.distance:table(), 1e-9)
      for d = 1, 2 do for t = 1, 120 do x:set(d, t, x:at(d, t) * 1e-155) end end
      p = stomp.self_join(x, 8) -- squares are 0 now, and all windows tie
      assert.equal(0, p.distance[60])
      assert.equal(0, p.index[60])
   end)

   it("takes any dtype, views and vectors", function()
      local x = walk(3, 90, 12)
      for d = 1, 3 do for t = 1, 90 do x:set(d, t, math.floor(x:at(d, t) * 100)) end end
      local expected = stomp.self_join(x, 9)
      for _, dtype in ipairs{"f32", "i16", "i32", "i64"} do
         local y = array.zeros({3, 90}, dtype)
         for d = 1, 3 do for t = 1, 90 do y:set(d, t, x:at(d, t)) end end
         assert_same_profile(expected, stomp.self_join(y, 9))
      end
      local turned = array.zeros({90, 3}, "f64")
      for d = 1, 3 do for t = 1, 90 do turned:set(t, d, x:at(d, t)) end end
      assert_same_profile(expected, stomp.self_join(turned:T(), 9))
      local row = array.from({x[2]:table()}, "f64")
      assert_same_profile(stomp.self_join(row, 9), stomp.self_join(x[2], 9))
   end)

   it("handles one frame and a window as long as the data", function()
      local p = stomp.self_join(array.zeros({12, 1}, "f32"), 1)
      assert.same({inf}, p.distance:table())
      assert.same({-1}, p.index:table())
      p = stomp.self_join(walk(2, 64, 13), 64, {exclusion = 0})
      assert.same({-1}, p.index:table())
   end)

   it("names the argument it rejects", function()
      local x = walk(2, 40, 14)
      local function rejects(text, ...)
         local arguments = table.pack(...)
         assert.error_matches(function() stomp.self_join(table.unpack(arguments, 1, arguments.n)) end,
            text, 1, true)
      end
      rejects("bad argument #2 to 'self_join' (window 41 outside 1..40)", x, 41)
      rejects("bad argument #2 to 'self_join' (window 0 outside 1..40)", x, 0)
      rejects("bad argument #2 to 'self_join' (window -3 outside 1..40)", x, -3)
      rejects("bad argument #2 to 'self_join'", x, 2.5)
      rejects("bad argument #1 to 'self_join' (expected at least one dimension and one frame, got (12, 0))",
         array.zeros({12, 0}, "f32"), 1)
      rejects("got (0, 12)", array.zeros({0, 12}, "f32"), 1)
      rejects("bad argument #1 to 'self_join' (expected (dims, frames), got 3 axes)",
         array.zeros({2, 2, 2}, "f32"), 1)
      rejects("bad argument #1 to 'self_join'", {1, 2, 3}, 1)
      rejects("option 'exclusion' must be at least 0, got -1", x, 5, {exclusion = -1})
      rejects("unknown option 'zone'", x, 5, {zone = 1})
      rejects("option 'method' must be one of auto, filter, sweep, brute", x, 5, {method = "fast"})
   end)

   it("does not drift over a long series", function()
      local x = walk(1, 20000, 15)
      local p = stomp.self_join(x, 40, {exclusion = 19500})
      for i = 0, 440, 60 do
         local best = inf
         for j = i + 19501, 19960 do best = math.min(best, distance(x, i, x, j, 40)) end
         assert.near(best, p.distance[i + 1], 1e-12 * best)
      end
   end)
end)

describe("stomp.join", function()
   it("finds what the definition finds, in both directions", function()
      for _, case in ipairs{{12, 300, 120, 50}, {2, 20, 400, 20}, {3, 33, 33, 1}, {1, 500, 9, 4}} do
         local a, b, w = walk(case[1], case[2], 21), walk(case[1], case[3], 22), case[4]
         for _, pair in ipairs{{a, b}, {b, a}} do
            local brute = stomp.join(pair[1], pair[2], w, {method = "brute"})
            local p = stomp.join(pair[1], pair[2], w)
            assert_near(brute.distance:table(), p.distance:table(), 1e-13)
            assert.same(brute.index:table(), p.index:table())
            for _, way in ipairs(ways()) do assert_same_profile(p, stomp.join(pair[1], pair[2], w, way)) end
         end
      end
   end)

   it("finds a series in itself at distance 0, without an exclusion zone", function()
      local x = walk(3, 100, 23)
      local p = stomp.join(x, x, 10)
      for i = 0, 90 do
         assert.equal(0, p.distance[i + 1])
         assert.equal(i, p.index[i + 1])
      end
      assert.is_nil(p.exclusion)
      assert.equal("join", p.kind)
   end)

   it("gives ties to the lowest index and passes over NaN", function()
      local b = array.zeros({2, 50}, "f64")
      column(b, 3, nan)
      local p = stomp.join(array.zeros({2, 20}, "f32"), b, 4)
      for i = 1, 17 do
         assert.equal(0, p.distance[i])
         assert.equal(3, p.index[i])
      end
      p = stomp.join(b, array.zeros({2, 20}, "f32"), 4)
      assert.equal(-1, p.index[1])
      assert.equal(inf, p.distance[3])
      assert.equal(0, p.index[4])
   end)

   it("names the argument it rejects", function()
      local a, b = walk(3, 40, 24), walk(2, 30, 25)
      assert.error_matches(function() stomp.join(a, b, 5) end,
         "bad argument #2 to 'join' (expected 3 dimensions as in argument 1, got 2)", 1, true)
      assert.error_matches(function() stomp.join(a, walk(3, 30, 26), 31) end,
         "bad argument #3 to 'join' (window 31 outside 1..30)", 1, true)
      assert.error_matches(function() stomp.join(a, a, 5, {exclusion = 3}) end, "unknown option 'exclusion'")
   end)
end)

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

   it("name the argument they reject", function()
      local x = series(40, 51)
      assert.error_matches(function() stomp.z_self_join(walk(2, 40, 52), 5) end,
         "bad argument #1 to 'z_self_join' (expected one dimension, got 2)", 1, true)
      assert.error_matches(function() stomp.z_self_join(x, 41) end,
         "bad argument #2 to 'z_self_join' (window 41 outside 1..40)", 1, true)
      assert.error_matches(function() stomp.z_join(x, x, 0) end,
         "bad argument #3 to 'z_join' (window 0 outside 1..40)", 1, true)
      assert.error_matches(function() stomp.z_join(x, x, 5, {exclusion = 2}) end, "unknown option 'exclusion'")
   end)
end)

describe("stomp.motifs and stomp.discords", function()
   local function profile(distances, indices, more)
      local p = {distance = array.from(distances, "f64"), index = array.from(indices, "i64"), window = 2}
      for k, v in pairs(more or {}) do p[k] = v end
      return p
   end

   it("begin with the extremes of the profile", function()
      local p = stomp.self_join(walk(3, 400, 31), 20)
      local distances, low, high = p.distance:table(), 1, 1
      for i, d in ipairs(distances) do
         if d < distances[low] then low = i end
         if d > distances[high] then high = i end
      end
      local m, d = stomp.motifs(p), stomp.discords(p)
      assert.same({{at = low - 1, twin = p.index[low], distance = distances[low]}}, m)
      assert.same({{at = high - 1, twin = p.index[high], distance = distances[high]}}, d)
   end)

   it("do not overlap", function()
      local p = stomp.self_join(walk(3, 600, 32), 20)
      local m, taken = stomp.motifs(p, 5), {}
      assert.equal(5, #m)
      for k, one in ipairs(m) do
         assert.is_true(k == 1 or one.distance >= m[k - 1].distance)
         for _, t in ipairs(taken) do
            assert.is_true(math.abs(t - one.at) > 10 and math.abs(t - one.twin) > 10)
         end
         taken[#taken + 1], taken[#taken + 2] = one.at, one.twin
      end
      local d = stomp.discords(p, 5)
      for k = 2, 5 do
         assert.is_true(d[k].distance <= d[k - 1].distance)
         for l = 1, k - 1 do assert.is_true(math.abs(d[l].at - d[k].at) > 10) end
      end
   end)

   it("take the first on ties and end when nothing is left", function()
      local p = profile({2, 1, 5, 1, 5, 3}, {3, 3, 0, 1, 0, 2}, {exclusion = 1})
      assert.same({{at = 1, twin = 3, distance = 1}}, stomp.motifs(p, 10))
      assert.same({{at = 2, twin = 0, distance = 5}, {at = 4, twin = 0, distance = 5},
         {at = 0, twin = 3, distance = 2}}, stomp.discords(p, 10))
   end)

   it("pass over windows without a neighbour", function()
      local p = profile({inf, 4, inf}, {-1, 2, -1})
      assert.equal(1, stomp.motifs(p)[1].at)
      assert.equal(1, stomp.discords(p)[1].at)
      assert.same({}, stomp.motifs(profile({inf}, {-1})))
      assert.same({}, stomp.discords(profile({inf}, {-1})))
   end)

   it("compare at with at and twin with twin in a join", function()
      local p = profile({1, 9, 9, 9, 2}, {4, 9, 9, 9, 0}, {kind = "join", exclusion = 1})
      assert.equal(4, stomp.motifs(p, 2)[2].at)
      p.kind = "self"
      assert.equal(2, stomp.motifs(p, 2)[2].at)
   end)

   it("want a profile, a count and a zone", function()
      local p = profile({1, 2}, {1, 0})
      assert.error_matches(function() stomp.motifs({}) end,
         "expected a profile with vectors 'distance' and 'index'")
      assert.error_matches(function() stomp.motifs({distance = 1, index = 2}) end,
         "bad argument #1 to 'motifs'")
      assert.error_matches(function() stomp.motifs(p, 0) end, "expected a count of at least 1, got 0")
      p.window = nil
      assert.error_matches(function() stomp.discords(p, 1) end, "option 'exclusion' is missing")
      assert.equal(1, #stomp.discords(p, 1, {exclusion = 3}))
      p.index = array.from({1}, "i64")
      assert.error_matches(function() stomp.motifs(p, 1, {exclusion = 3}) end,
         "'distance' has 2 elements, 'index' 1")
   end)
end)

describe("stomp against the reference", function()
   local lfs, json = require "lfs", require "cjson"
   local folders = {}
   local function collect(root)
      if lfs.attributes(root, "mode") ~= "directory" then return end
      for name in lfs.dir(root) do
         local folder = root .. "/" .. name
         if lfs.attributes(folder .. "/mp.npy") then folders[#folders + 1] = folder end
      end
   end
   collect("spec/fixtures/cens")
   local reference = os.getenv("BCLUA_REFERENCE")
   if reference then collect(reference .. "/cens") end
   table.sort(folders)

   local function same_pair(a, b, at, twin)
      return (a == at and b == twin) or (a == twin and b == at)
   end

   for _, folder in ipairs(folders) do
      it("has the profile, motif and discord of " .. folder, function()
         local x = assert(array.load(folder .. "/chroma_cens.npy"))
         local f <close> = assert(io.open(folder .. "/reference.json"))
         local expected = json.decode(f:read("a"))
         local p = stomp.self_join(x, expected.win)
         local brute = stomp.self_join(x, expected.win, {method = "brute"})
         assert_near(brute.distance:table(), p.distance:table(), 1e-9)

         local mp = assert(array.load(folder .. "/mp.npy")):table()
         local pi = assert(array.load(folder .. "/pi.npy")):table()
         local largest = math.max(table.unpack(mp))
         for i = 2, #mp do -- in row 0 the reference's exclusion zone is a frame shorter
            assert.near(mp[i], p.distance[i], 1e-3 * largest)
            if p.index[i] ~= pi[i] then -- a tie within the reference's rounding
               assert.near(p.distance[i], distance(x, i - 1, x, pi[i], expected.win), 1e-4 * largest)
            end
         end
         -- A motif's two windows have the same distance: the reference's
         -- rounding decides which it names first, ours names the first.
         local m, d = stomp.motifs(p)[1], stomp.discords(p)[1]
         assert.is_true(same_pair(m.at, m.twin, expected.motif_0, expected.motif_1))
         assert.equal(expected.discord_0, d.at)
         assert.equal(expected.discord_1, d.twin)
      end)
   end
end)
