--- Clock times as a table of hours by days, and when the sun rises and sets there.
-- @module bclua.plot.diel
local array = require "bclua.array"
local clock = require "bclua.clock"
local sun = require "bclua.sun"
local zones = require "bclua.data.zones"

local diel = {}

local DAY_S, MOST_DAYS = 86400, 800 -- columns of a picture

-- Times with a time of day, in parts.
local function parse(times)
   local list = {}
   for _, time in ipairs(times) do
      local t = clock.parse(time)
      if t and not t.is_date then list[#list + 1] = t end
   end
   return list
end

-- First and last day of recordings and times, days since 1970.
local function day_range(list, spans)
   local first, last = math.huge, -math.huge
   local function see(local_s) first, last = math.min(first, local_s // DAY_S), math.max(last, local_s // DAY_S) end
   for _, t in ipairs(list) do see(t.local_s) end
   for _, s in ipairs(spans) do
      see(s.from)
      see(math.max(s.from, s.to - 1))
   end
   return first, last
end

local function spans_of(recordings)
   local spans = {}
   for _, r in ipairs(recordings or {}) do
      local t = r.recorded_at and clock.parse(r.recorded_at)
      if t and not t.is_date then
         spans[#spans + 1] = {from = t.local_s, to = t.local_s + r.seconds, offset_s = t.offset_s}
      end
   end
   return spans
end

-- Offsets of UTC by day, of a zone, or as recordings and times have them, the nearest earlier one.
local function offsets(list, spans, zone)
   local by_day, last = {}, nil
   for _, source in ipairs{spans, list} do
      for _, t in ipairs(source) do
         local day = (t.local_s or t.from) // DAY_S
         by_day[day] = by_day[day] or t.offset_s
         last = last or t.offset_s
      end
   end
   return function(day)
      if zone then return zones.offset_of_local(zone, (day + 0.5) * DAY_S) end
      last = by_day[day] or last
      return last
   end
end

-- Sunrise and sunset over the picture, from its left edge to its right, in hours; NaN where the sun does neither, or
-- the line would jump at midnight.
local function sun_lines(t, offset_of, latitude, longitude)
   local n = t.columns + 1
   local x, rise = array.arange(n, "f64") * t.step - 0.5, array.full({n}, 0 / 0, "f64")
   local set, any = rise:copy(), false
   for i = 1, n do
      local day = t.first + (i - 1) * t.step
      local offset_s = offset_of(day)
      local year, month, of_month = clock.calendar(day * DAY_S)
      local up_s, down_s
      if offset_s then up_s, down_s = sun.day(year, month, of_month, latitude, longitude) end
      if up_s then
         rise[i], set[i], any = (up_s + offset_s) % DAY_S / 3600, (down_s + offset_s) % DAY_S / 3600, true
      end
   end
   for _, line in ipairs{rise, set} do
      for i = n, 2, -1 do
         if math.abs(line[i] - line[i - 1]) > 12 then line[i] = 0 / 0 end
      end
   end
   return any and {x = x, rise = rise, set = set} or nil
end

--- Count times by hour of the day and day.
-- @tparam {string,...} times ISO 8601; days without a time do not count
-- @tparam table o `minutes` of a row; `recordings` `{recorded_at=, seconds=}` or nil: where none is, the count is NaN;
-- `latitude`, `longitude` or nil; `timezone` or nil: as the times have it
-- @treturn table `counts` (f64, (rows, columns)), `first` (day since 1970), `step` (days of a column), `columns`, `n`
-- (times that count), `sun`: nil, or `x` (days since the first), `rise` and `set` (hours)
function diel.table(times, o)
   local list, spans = parse(times), spans_of(o.recordings)
   local rows = 1440 // o.minutes
   if #list + #spans == 0 then return {counts = array.zeros({0, 0}), first = 0, step = 1, columns = 0, n = 0} end
   local first, last = day_range(list, spans)
   local t = {first = math.tointeger(first), n = #list}
   t.step = math.tointeger((last - first) // MOST_DAYS + 1)
   t.columns = math.tointeger((last - first) // t.step + 1)
   t.counts = array.full({rows, t.columns}, #spans > 0 and 0 / 0 or 0, "f64")
   local function cell(local_s)
      local day = local_s // DAY_S
      return math.tointeger((local_s - day * DAY_S) // (o.minutes * 60) + 1),
         math.tointeger((day - first) // t.step + 1)
   end
   for _, s in ipairs(spans) do
      local width = o.minutes * 60
      for at = s.from // width * width, s.to - 1e-6, width do
         local row, column = cell(at)
         t.counts[row][column] = 0
      end
   end
   for _, time in ipairs(list) do
      local row, column = cell(time.local_s)
      local before = t.counts:at(row, column)
      t.counts[row][column] = (before == before and before or 0) + 1
   end
   if o.latitude then t.sun = sun_lines(t, offsets(list, spans, o.timezone), o.latitude, o.longitude) end
   return t
end

--- Names of some days for the axis: `{place, name}`, at most so many.
-- @tparam table t from `table`
-- @tparam integer most
-- @treturn {table,...}
function diel.tics(t, most)
   local days = t.columns * t.step
   local every = math.max(1, math.ceil(days / most))
   local tics = {}
   for day = 0, days - 1, every do
      local year, month, of_month = clock.calendar((t.first + day) * DAY_S)
      tics[#tics + 1] = {day, ("%04d-%02d-%02d"):format(year, month, of_month)}
   end
   return tics
end

return diel
