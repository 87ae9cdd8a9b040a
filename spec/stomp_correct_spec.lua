local array = require "bclua.array"
local sampling = require "bclua.sampling"
local stomp = require "bclua.stomp"

describe("stomp.correct", function()
   local x = sampling.generator(1):normal(2 * 120):reshape{2, 120}
   for t = 1, 10 do -- one shape three times, the last two a little less alike
      for d = 1, 2 do
         x:set(d, 30 + t, x[d][t])
         x:set(d, 60 + t, x[d][t] + 0.1)
         x:set(d, 100 + t, x[d][t] + 0.2)
      end
   end
   local p = stomp.self_join(x, 10)

   it("adds the largest distance times what is missing to 1", function()
      local weights = sampling.generator(2):uniform(#p.distance)
      local most = p.distance:max()
      local want = p.distance + (weights * -1 + 1) * most
      local got = stomp.correct(p, weights)
      assert.is_true(array.max_difference(got.distance, want) < 1e-12)
      assert.is_true(array.equal(p.index, got.index))
      assert.same({10, p.exclusion, "self"}, {got.window, got.exclusion, got.kind})
      assert.equal(p.index[5], (got:neighbor(4)))
      assert.is_true(array.equal(p.distance, stomp.correct(p, array.full(#p.distance, 1)).distance))
   end)

   it("moves the motif to what weighs", function()
      assert.same({0, 30}, {stomp.motifs(p)[1].at, stomp.motifs(p)[1].twin})
      local weights = array.full(#p.distance, 1)
      weights:slice(1, 1, 40):fill(0)
      local m = stomp.motifs(stomp.correct(p, weights))[1]
      assert.is_true(m.at == 60 or m.at == 100)
   end)

   it("takes discords from what weighs not", function()
      local worst = stomp.discords(p)[1].at
      local weights = array.full(#p.distance, 1)
      weights:set(worst + 1, 0)
      local got = stomp.correct(p, weights, "discords")
      assert.equal(0, got.distance[worst + 1])
      assert.not_equal(worst, stomp.discords(got)[1].at)
   end)

   it("leaves windows without a neighbour as they are", function()
      local y = x:copy()
      y:set(1, 50, 0 / 0)
      local q = stomp.self_join(y, 10)
      for _, which in ipairs{"motifs", "discords"} do
         local got = stomp.correct(q, array.zeros(#q.distance), which)
         assert.equal(math.huge, got.distance[50])
         assert.equal(-1, got.index[50])
      end
   end)

   it("names what it rejects", function()
      local n = #p.distance
      for message, f in pairs{
         [n .. " weights expected, one a window, got 3"] = function() stomp.correct(p, array.zeros(3)) end,
         ["weight 1 is 2.0, outside 0..1"] = function() stomp.correct(p, array.full(n, 2)) end,
         ["outside 0..1"] = function() stomp.correct(p, array.full(n, 0 / 0)) end,
         ["no array 'distance'"] = function() stomp.correct({}, array.zeros(3)) end,
         ["invalid option 'x'"] = function() stomp.correct(p, array.full(n, 1), "x") end} do
         local ok, got = pcall(f)
         assert.is_false(ok)
         assert.matches(message, got, 1, true)
      end
   end)
end)
