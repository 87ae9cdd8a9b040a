local array = require "bclua.array"
local profiles = require "support.profiles"
local stomp = require "bclua.stomp"

local inf, nan = math.huge, 0 / 0

local walk = profiles.walk

local function column(x, t, value)
   for d = 1, x:shape(1) do x:set(d, t, value) end
end

-- Paste `frames` frames of x from frame `from` at frame `to` (both from 0).
local function paste(x, from, to, frames)
   for d = 1, x:shape(1) do
      for t = 1, frames do x:set(d, to + t, x:at(d, from + t)) end
   end
end

local distance, assert_near = profiles.distance, profiles.assert_near
local assert_same_profile, ways = profiles.assert_same_profile, profiles.ways

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

   it("gives the same bits in a filter where a spike or a long window leaves much open", function()
      for _, case in ipairs{{3, 600, 20, 1000}, {12, 700, 50, 10}, {2, 900, 300, 0}} do
         local x = walk(case[1], case[2], 11)
         if case[4] > 0 then column(x, 300, case[4]) end
         local expected = stomp.self_join(x, case[3], {method = "sweep"})
         for _, instructions in ipairs(stomp.instructions()) do
            assert_same_profile(expected, stomp.self_join(x, case[3],
               {method = "filter", instructions = instructions}))
         end
      end
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

   it("filters around frames that are not finite, to the bit", function()
      for seed, window in ipairs{1, 5, 20, 130} do
         local x, y = walk(3, 1200, seed), walk(3, 700, seed + 10)
         for _, at in ipairs{1, 2, 300, 340, 1199} do x:slice(2, at, at):fill(at % 2 == 0 and nan or inf) end
         x:slice(2, 600, 760):fill(nan)
         x:set(2, 900, -inf) -- one dimension is enough
         y:slice(2, 100, 130):fill(nan)
         for name, join in pairs{
            self = function(o) return stomp.self_join(x, window, o) end,
            sides = function(o) o.left_right = true return stomp.self_join(x, window, o) end,
            tile = function(o) o.tile = {2, 3} return stomp.self_join(x, window, o) end,
            nearest = function(o) o.k = 3 return stomp.self_join(x, window, o) end,
            join = function(o) return stomp.join(x, y, window, o) end,
            finite = function(o) return stomp.join(walk(3, 400, 20), y, window, o) end,
         } do
            for _, instructions in ipairs(stomp.instructions()) do
               local filter = join{method = "filter", instructions = instructions}
               local sweep = join{method = "sweep", instructions = instructions}
               for key, values in pairs(sweep) do
                  if array.is_array(values) then
                     assert.is_true(array.equal(values, filter[key]), ("%s %s window %d"):format(name, key, window))
                  end
               end
            end
         end
      end
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

   it("takes series of different dtypes, and views", function()
      local a, b = array.zeros({3, 60}, "f64"), array.zeros({80, 3}, "f64")
      for d = 1, 3 do
         for t = 1, 60 do a:set(d, t, (t * t + 7 * d) % 31) end
         for t = 1, 80 do b:set(t, d, (t * t + 3 * d) % 29) end
      end
      local expected = stomp.join(a, b:T():copy(), 8)
      for _, dtype in ipairs{"f32", "i16", "u8"} do
         local c = array.zeros({3, 60}, dtype)
         for d = 1, 3 do for t = 1, 60 do c:set(d, t, a:at(d, t)) end end
         assert_same_profile(expected, stomp.join(c, b:T(), 8))
      end
   end)

   it("takes an empty array for an error and one frame for a series", function()
      local empty, one = array.zeros({2, 0}, "f32"), array.zeros({2, 1}, "f32")
      assert.error_matches(function() stomp.join(one, empty, 1) end,
         "bad argument #2 to 'join' (expected at least one dimension and one frame, got (2, 0))", 1, true)
      local p = stomp.join(one, one, 1)
      assert.same({{0}, {0}}, {p.distance:table(), p.index:table()})
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
