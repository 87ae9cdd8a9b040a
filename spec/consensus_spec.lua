local array = require "bclua.array"
local consensus = require "bclua.consensus"
local sampling = require "bclua.sampling"

local WINDOW = 4

local function series(count, dims, frames, seed)
   local g, list = sampling.generator(seed), {}
   for i = 1, count do list[i] = g:normal(dims * (frames + i)):reshape{dims, frames + i} end
   return list
end

-- The squared distance of two windows, term by term.
local function distance(x, i, y, j)
   local sum = 0
   for d = 1, x:shape(1) do
      for k = 1, WINDOW do sum = sum + (x[d]:at(i + k) - y[d]:at(j + k)) ^ 2 end
   end
   return sum
end

local function to_nearest(x, i, y)
   local best, at = math.huge, nil
   for j = 0, y:shape(2) - WINDOW do
      local d = distance(x, i, y, j)
      if d < best then best, at = d, j end
   end
   return best, at
end

-- By the definitions: every window of every series against all others.
local function plain(list, others, among)
   local best = {value = -math.huge}
   for s, x in ipairs(list) do
      for i = 0, x:shape(2) - WINDOW do
         local radius, outside = 0, math.huge
         for t, y in ipairs(list) do
            if t ~= s then radius = math.max(radius, (to_nearest(x, i, y))) end
         end
         for _, y in ipairs(others or {}) do outside = math.min(outside, (to_nearest(x, i, y))) end
         local value = others and math.sqrt(outside) - math.sqrt(radius) or -radius
         if value > best.value and not (among and among[s]:at(i + 1) == 0) then
            best = {value = value, series = s, at = i, radius = radius, outside = outside}
         end
      end
   end
   return best
end

describe("consensus", function()
   it("finds the window that all series contain most nearly", function()
      for seed = 1, 8 do
         local list = series(4, 2, 14, seed)
         local m, want = consensus.motif(list, WINDOW), plain(list)
         assert.same({want.series, want.at}, {m.series, m.at})
         assert.near(want.radius, m.radius, 1e-9)
         for j, x in ipairs(list) do
            local d, at = to_nearest(list[m.series], m.at, x)
            assert.equal(at, m.nearest[j].at)
            assert.near(d, m.nearest[j].distance, 1e-9)
         end
      end
   end)

   it("finds the window that these series have and those lack", function()
      for seed = 1, 8 do
         local list, others = series(3, 2, 14, seed), series(3, 2, 15, 100 + seed)
         local m, want = consensus.contrast(list, others, WINDOW), plain(list, others)
         assert.same({want.series, want.at}, {m.series, m.at})
         assert.near(want.value, m.contrast, 1e-9)
         assert.near(want.radius, m.radius, 1e-9)
         assert.near(want.outside, m.outside, 1e-9)
      end
   end)

   it("has no contrast in what the others have too, however near it is", function()
      local list, others = series(3, 1, 60, 1), series(2, 1, 60, 2)
      local common, own = {5, -5, 5, -5}, {4, 4, -4, -4}
      local function put(x, at, shape, error)
         for k, v in ipairs(shape) do x:set(1, at + k, v + error) end
      end
      for i, x in ipairs(list) do
         put(x, 10 * i, common, 0)
         put(x, 55 - 10 * i, own, 0.01 * i)
      end
      for _, x in ipairs(others) do put(x, 20, common, 0) end
      local m = consensus.motif(list, WINDOW)
      assert.same({1, 10, 0}, {m.series, m.at, m.radius})
      assert.same({10, 20, 30}, {m.nearest[1].at, m.nearest[2].at, m.nearest[3].at})
      m = consensus.contrast(list, others, WINDOW)
      assert.same({2, 35}, {m.series, m.at})
   end)

   it("leaves out what takes no part, and what is not finite", function()
      local list, among = series(3, 2, 14, 3), {}
      for i, x in ipairs(list) do among[i] = array.full(x:shape(2) - WINDOW + 1, 1) end
      local first = consensus.motif(list, WINDOW)
      among[first.series]:set(first.at + 1, 0)
      local m, want = consensus.motif(list, WINDOW, {among = among}), plain(list, nil, among)
      assert.same({want.series, want.at}, {m.series, m.at})
      for i in ipairs(list) do among[i]:fill(0) end
      assert.is_nil(consensus.motif(list, WINDOW, {among = among}))
      assert.is_nil(consensus.contrast(list, list, WINDOW, {among = among}))
      list[2]:fill(0 / 0)
      assert.is_nil(consensus.motif(list, WINDOW))
   end)

   it("names what it rejects", function()
      local list = series(2, 1, 14, 1)
      assert.error_matches(function() consensus.motif({list[1]}, WINDOW) end, "at least 2 series expected, got 1")
      assert.error_matches(function() consensus.contrast(list, {}, WINDOW) end, "at least 1 series expected, got 0")
      assert.error_matches(function() consensus.motif(list, 16) end, "series 1 is shorter than the window")
   end)
end)
