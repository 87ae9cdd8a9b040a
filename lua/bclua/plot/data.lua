--- Numbers for pictures: what is finite, between which limits, thinned to what a
-- picture can show.
-- @module bclua.plot.data
local array = require "bclua.array"
local is_finite = require("bclua.numbers").is_finite

local data = {}

--- A list or an array as an array of f64.
function data.array(values, name, level)
   if array.is_array(values) then return values:dtype() == "f64" and values or values:copy("f64") end
   if type(values) ~= "table" then
      error(("%s: an array or a list of numbers expected, got %s"):format(name, type(values)), (level or 1) + 1)
   end
   return #values > 0 and array.from(values, "f64") or array.zeros({0}, "f64")
end

local HUGE = math.huge

--- The least and the greatest finite value of arrays; nil if there is none.
-- @tparam {array,...} list
-- @tparam[opt] boolean positive count only values above 0, as a logarithmic axis does
function data.limits(list, positive)
   local low, high = HUGE, -HUGE
   for _, a in ipairs(list) do
      if a:size() > 0 and not positive and a:is_finite() then
         low, high = math.min(low, a:min()), math.max(high, a:max())
      else
         local flat = a:reshape({a:size()})
         for i = 1, a:size() do
            local x = flat[i]
            if is_finite(x) and (not positive or x > 0) then low, high = math.min(low, x), math.max(high, x) end
         end
      end
   end
   if low > high then return nil end
   return low, high
end

--- Limits of an axis around values: wider by a share, never empty.
-- @treturn {number,number}
function data.range(low, high, share, logarithmic)
   if not low then return logarithmic and {1, 10} or {0, 1} end
   if logarithmic then
      if low == high then return {low / 2, high * 2} end
      local by = (high / low) ^ share
      return {low / by, high * by}
   end
   if low == high then
      local by = low == 0 and 1 or math.abs(low) * 0.1
      return {low - by, high + by}
   end
   local by = (high - low) * share
   return {low - by, high + by}
end

--- A line of very many points as one of few that looks the same: the least and the
-- greatest value of each stretch.
function data.thin(x, y, most)
   local n = #y
   if n <= most then return x, y end
   local stretch = math.ceil(2 * n / most)
   local xs, ys = {}, {}
   for first = 1, n, stretch do
      local low, high
      for i = first, math.min(n, first + stretch - 1) do
         local v = y[i]
         if v == v then
            if not low or v < y[low] then low = i end
            if not high or v > y[high] then high = i end
         end
      end
      low, high = low or first, high or first -- nothing but NaN: a gap
      for _, i in ipairs(low <= high and {low, high} or {high, low}) do
         xs[#xs + 1], ys[#ys + 1] = x[i], y[i]
      end
   end
   return array.from(xs, "f64"), array.from(ys, "f64")
end

-- Means of k columns each; the last column is of what is left.
local function pool(m, k)
   local rows, columns = m:shape(1), m:shape(2)
   local whole = columns // k
   local parts = {}
   if whole > 0 then
      parts[1] = m:slice(2, 1, whole * k):reshape({rows, whole, k}):mean(3):reshape({rows, whole})
   end
   if whole * k < columns then
      parts[#parts + 1] = m:slice(2, whole * k + 1, columns):mean(2):reshape({rows, 1})
   end
   return #parts == 1 and parts[1] or array.concat({parts[1]:copy("f32"), parts[2]:copy("f32")}, 2)
end

--- A matrix with at most so many columns: neighbours become their mean.
-- @treturn array
-- @treturn integer how many columns became one
function data.pool(m, most)
   local k = math.ceil(m:shape(2) / most)
   if k <= 1 then return m, 1 end
   return pool(m, k), k
end

--- The same of a matrix that comes part by part: means of k neighbouring columns.
-- @tparam function each called with a function that takes the next part, (rows, some); `nil, message` goes through
-- @tparam integer k
-- @treturn[1] array
-- @treturn[2] nil
-- @treturn[2] string message
function data.pool_parts(each, k)
   local done, rest = {}, nil
   local ok, message = each(function(part)
      if rest then part = array.concat({rest, part}, 2) end
      local whole = part:shape(2) // k * k
      if whole > 0 then done[#done + 1] = pool(part:slice(2, 1, whole), k):copy("f32") end
      rest = whole < part:shape(2) and part:slice(2, whole + 1):copy() or nil
   end)
   if not ok then return nil, message end
   if rest then done[#done + 1] = pool(rest, k):copy("f32") end
   return array.concat(done, 2)
end

--- Round numbers between two limits, about so many.
function data.ticks(low, high, count)
   local span = high - low
   local list = {}
   if not is_finite(span) or span <= 0 then return list, 1 end
   local step = 10 ^ math.floor(math.log(span / count, 10))
   for _, factor in ipairs({1, 2, 5, 10}) do
      if span / (step * factor) <= count + 0.5 then
         step = step * factor
         break
      end
   end
   for i = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) do list[#list + 1] = i * step end
   return list, step
end

return data
