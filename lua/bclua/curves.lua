--- Curves that scatter: smoothed, and where they fall fastest.
-- @module bclua.curves
local array = require "bclua.array"
local is_finite = require("bclua.numbers").is_finite

local curves = {}

--- The mean of so many values around each, as many before as after it; fewer at both
-- ends, so that the curve does not lag behind.
-- @tparam array|{number,...} y values that are not finite are left out, and stay NaN
-- @tparam integer count
-- @treturn array f64 (n)
function curves.smooth(y, count)
   local at, sums = {}, {[0] = 0}
   for i = 1, #y do
      if is_finite(y[i]) then
         at[#at + 1] = i
         sums[#at] = sums[#at - 1] + y[i]
      end
   end
   local out = array.full({#y}, 0 / 0, "f64")
   for k = 1, #at do
      local half = math.min(count // 2, k - 1, #at - k)
      out[at[k]] = (sums[k + half] - sums[k - half - 1]) / (2 * half + 1)
   end
   return out
end

--- Where a curve over a logarithmic axis falls fastest.
-- @tparam array|{number,...} x above 0, ascending
-- @tparam array|{number,...} y
-- @tparam[opt=0] integer half of the values that each was smoothed over: the slope at a point is that between
--  the points so far (at least 1) before and after it; as many at both ends, hardly smoothed, are left out
-- @treturn ?integer position; nil: it falls nowhere
function curves.steepest(x, y, half)
   local best, where = 0, nil
   half = half or 0
   local reach = math.max(1, half)
   for i = 1 + half + reach, #y - half - reach do
      local before, after = i - reach, i + reach
      local slope = (y[after] - y[before]) / (math.log(x[after]) - math.log(x[before]))
      if slope == slope and slope < best then best, where = slope, i end
   end
   return where
end

return curves
