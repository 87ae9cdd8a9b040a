--- What `workflow.discover` asks of the windows of one recording.
-- @module bclua.workflow.discover.windows
local array = require "bclua.array"
local stomp = require "bclua.stomp"

local windows = {}

local LAGS, STEP = 40, 7 -- of the windows that tell what is usual

--- The median distance of two windows of a recording.
-- @tparam array x f64 (dimensions, frames)
-- @tparam integer window frames
-- @treturn ?number nil: it is too short to say
function windows.usual(x, window)
   local frames, list = x:shape(2), {}
   local n = frames - window + 1
   for lag = window, n - 1, math.max(1, n // LAGS) do
      local d = x:slice(2, 1, frames - lag) - x:slice(2, lag + 1, frames)
      local c, sum = (d * d):sum(1):table(), 0
      for t = 1, #c do
         sum = sum + c[t] - (c[t - window] or 0)
         if t >= window and t % STEP == 0 then list[#list + 1] = sum end
      end
   end
   table.sort(list)
   return list[#list // 2 + 1]
end

--- In which windows does something stand out: not in those in most of whose frames all dimensions are alike.
-- @tparam array x as above
-- @tparam integer window frames
-- @treturn array f64 (windows) of 0 and 1
function windows.with_sound(x, window)
   local spread = (x:max(1) - x:min(1)):table()
   local among, even = array.full(#spread - window + 1, 1), 0
   for t = 1, #spread do
      even = even + (spread[t] < 1e-6 and 1 or 0)
      if t > window then even = even - (spread[t - window] < 1e-6 and 1 or 0) end
      if t >= window and 2 * even > window then among[t - window + 1] = 0 end
   end
   return among
end

--- The sets of a recording.
-- @tparam array x features, (dimensions, frames)
-- @tparam table o `window` (frames), `share`, `fewest`
-- @treturn {table,...} as from `stomp.motif_sets`, no two windows overlapping
-- @treturn ?number what is usual; nil: the recording is too short
function windows.sets(x, o)
   if x:shape(2) < 2 * o.window then return {} end
   x = x:copy("f64")
   local usual = windows.usual(x, o.window)
   if not (usual and usual > 0 and usual < math.huge) then return {} end
   return stomp.motif_sets(x, o.window, {radius = o.share * usual, exclusion = o.window - 1, fewest = o.fewest,
      among = windows.with_sound(x, o.window)}), usual
end

--- The windows whose values are most uneven: of frames of length 1 those in which few bands stand out, as calls do.
-- @tparam array x as above
-- @tparam integer window frames
-- @tparam integer count at most
-- @tparam {integer,...} taken frames of windows that none may overlap
-- @treturn {integer,...} frames of windows with sound that do not overlap, the most uneven first
function windows.uneven(x, window, count, taken)
   local among, n, sums = windows.with_sound(x, window), x:shape(2) - window + 1, {}
   for k, of in ipairs{x, x * x} do
      local total = array.concat({array.zeros{1}, of:sum(1):cumsum()})
      sums[k] = total:slice(1, window + 1, window + n) - total:slice(1, 1, n)
   end
   local order = (sums[1] * sums[1] / (window * x:shape(1)) - sums[2]):argsort():table()
   local chosen, busy = {}, table.move(taken, 1, #taken, 1, {})
   for _, i in ipairs(order) do
      if #chosen == count then break end
      local is_free = among:at(i) ~= 0
      for _, at in ipairs(busy) do is_free = is_free and math.abs(at - i + 1) >= window end
      if is_free then chosen[#chosen + 1], busy[#busy + 1] = i - 1, i - 1 end
   end
   return chosen
end

return windows
