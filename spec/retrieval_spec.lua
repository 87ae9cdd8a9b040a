local array = require "bclua.array"
local retrieval = require "bclua.evaluate.retrieval"

-- Six windows of four recordings, of two sites, on a plane.
local x = array.from({{1, 0}, {0.9, 0.1}, {0, 1}, {0.8, 0.3}, {0.1, 1}, {0, 0.8}}, "f64")
local recordings = {"a", "a", "b", "b", "c", "d"}

describe("retrieval", function()
   local function one(...)
      local r, message = retrieval.measure({{name = "x", x = x}}, ...)
      return r and r.rows[1] or r, r or message
   end

   it("by recording counts windows whose nearest is of the same one; what has none to find does not count", function()
      local row, r = one(recordings)
      -- a's windows have each other; those of b have c's and a's
      assert.same({euclidean = 0.5, cosine = 0.5}, row.nearest)
      assert.same(row.nearest, row.precision) -- there is one to be found
      assert.same({2, 4, 5}, {r.classes, r.windows, r.k})
      assert.near(1 / 5, r.chance, 1e-12)
   end)

   it("by site never looks at the own recording", function()
      local row, r = one(recordings, {"s", "s", "s", "s", "t", "t"})
      -- of s all but (0, 1) have their site's other recording nearest; c has b's (0, 1), and d has that, too
      assert.same(0.375, row.nearest.euclidean)
      assert.same({2, 6}, {r.classes, r.windows})
      -- four of s have 2 of 4 windows of other recordings to find; two of t have 1 of 5
      assert.near((0.5 + 0.2) / 2, r.chance, 1e-12)
      local one_only = one(recordings, {"s", "s", "s", "s", "t", "t"}, {k = 1})
      assert.same(row.nearest, one_only.precision)
   end)

   it("leaves windows without a class in the way of others", function()
      local _, r = one(recordings, {"s", "s", "s", "s", nil, "t"})
      assert.equal("retrieval needs two classes with two recordings each, got 1", r)
      _, r = one(recordings, {"s", "s", "t", "t", "t", "s"})
      local _, fewer = one(recordings, {"s", nil, "t", "t", "t", "s"})
      assert.is_true(fewer.windows == r.windows - 1)
   end)

   it("is whole where an embedding has nothing but the recording, and chance where it has nothing", function()
      local g, n = require("bclua.sampling").generator(1), 120
      local names, exact = {}, array.zeros({n, 4}, "f64")
      for i = 1, n do
         names[i] = ("r%d"):format(i % 4 + 1)
         exact:set(i, i % 4 + 1, 1.0)
      end
      local r = retrieval.measure({{name = "exact", x = exact}, {name = "noise", x = g:normal(8 * n):reshape{n, 8}},
         {name = "scaled", x = exact * 1e-3, standardise = true}}, names, nil, {k = 29})
      for _, i in ipairs{1, 3} do
         assert.same({cosine = 1, euclidean = 1}, r.rows[i].nearest)
         assert.same({cosine = 1, euclidean = 1}, r.rows[i].precision)
      end
      assert.near(29 / 119, r.chance, 1e-12)
      assert.near(r.chance, r.rows[2].precision.cosine, 0.03)
      assert.near(r.chance, r.rows[2].nearest.euclidean, 0.1)
   end)

   it("takes its options like all others", function()
      assert.error_matches(function() one(recordings, nil, {k = 0}) end, "option 'k' must be an integer", 1, true)
   end)
end)
