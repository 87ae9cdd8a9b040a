local array = require "bclua.array"
local whiten = require "bclua.whiten"

describe("whitening within recordings", function()
   -- Recordings differ along the first axis, windows of one along the second, 200 times as much.
   local function data()
      math.randomseed(5)
      local x, recordings = array.zeros({60, 3}, "f64"), {}
      for i = 1, 60 do
         local r = (i - 1) // 6
         recordings[i] = "r" .. r
         x:set(i, 1, r + 0.1 * (math.random() - 0.5))
         x:set(i, 2, 20 * (math.random() - 0.5))
         x:set(i, 3, 7)
      end
      return x, recordings
   end

   it("makes windows of one recording differ as much in every direction that has more than the least", function()
      local x, recordings = data()
      local y = whiten.within(x, recordings)
      assert.same({60, 3}, y:shape())
      assert(y:is_finite())
      local spread = {}
      for axis = 1, 3 do
         local column, sum = y:slice(2, axis, axis):reshape(60), 0
         for r = 0, 9 do sum = sum + column:slice(1, 6 * r + 1, 6 * r + 6):std() end
         spread[axis] = sum / 10
      end
      table.sort(spread, function(a, b) return a > b end)
      assert(spread[1] > 0.7 and spread[1] < 1, spread[1]) -- the deviation of six is not that of all
      assert(spread[2] < 0.1)
      assert.near(0, y:mean(1):abs():max(), 1e-9)
   end)

   it("makes the nearest window one of a recording like it, which it was not before", function()
      local x, recordings = data()
      local function share(z)
         local classes = {}
         for i = 1, #recordings do classes[i] = recordings[i] < "r5" and "low" or "high" end
         return require("bclua.evaluate").knn(z, classes, recordings, {k = 1, metric = "cosine"})
      end
      assert(share(whiten.within(x, recordings)) > share(x) + 0.05)
   end)

   it("is a map that others can be put through, row by row", function()
      local x, recordings = data()
      local map = whiten.fit(x, recordings)
      local all = map:apply(x)
      assert.is_true(array.equal(all, whiten.within(x, recordings)))
      assert(array.allclose(all:slice(1, 7, 7), map:apply(x:slice(1, 7, 7)), 1e-12, 1e-12))
      local single = whiten.map(map.mean:copy("f32"), map.matrix:copy("f32")):apply(x:copy("f32"))
      assert.equal("f32", single:dtype())
      assert(array.allclose(single, all, 1e-4, 1e-4))
   end)

   it("gives zeros where nothing differs", function()
      local y = whiten.within(array.full({4, 2}, 3), {"a", "a", "b", "b"})
      assert.equal(0, y:abs():max())
   end)
end)
