--- Time zones: how far ahead of UTC the clocks of a place are.
--
-- A zone is an offset (`+02:00`, `UTC-3`, `Z`) or a name of the IANA (`Europe/Berlin`), whose rules DuckDB's library
-- has in it: the system needs no tzdata.
-- @module bclua.data.zones
local clock = require "bclua.clock"
local system = require "bclua.system"

local zones = {}

local STEP_S, MARGIN_S = 1800, 2 * 86400 -- offsets change on a half hour of UTC

local names -- of all zones, as they are written, by their small letters

local function all_names()
   if names then return names end
   local ok, rows, message = pcall(require("bclua.sql").query, "select name from pg_timezone_names()")
   if not ok or not rows then return nil, "no names of time zones in DuckDB's library: " .. (ok and message or rows) end
   names = {}
   for _, row in ipairs(rows) do names[row.name:lower()] = row.name end
   return names
end

--- Is there such a zone?
-- @tparam string zone
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
function zones.check(zone)
   if clock.offset(zone) then return true end
   local list, message = all_names()
   if not list then return nil, message end
   if list[zone:lower()] then return true end
   local near = system.nearest(zone:lower(), list)
   return nil, ("'%s' is no time zone, as in Europe/Berlin or +02:00%s"):format(zone,
      near and ("; did you mean %s?"):format(list[near]) or "")
end

local known = {} -- by zone and year: from when on which offset, {{utc_s, offset_s}, ...}

local function changes(zone, year)
   local key = zone .. " " .. year
   if known[key] then return known[key] end
   local sql = require "bclua.sql"
   local from, to = clock.seconds(year, 1, 1) - MARGIN_S, clock.seconds(year + 1, 1, 1) + MARGIN_S
   known[key] = assert(sql.query(([[
      with hours as (select range as utc_s from range(%d, %d, %d)),
           offsets as (select utc_s, epoch(timezone(%s, to_timestamp(utc_s)))::bigint - utc_s as offset_s from hours),
           changes as (select *, lag(offset_s) over (order by utc_s) as earlier from offsets)
      select utc_s, offset_s from changes where earlier is distinct from offset_s order by utc_s]]):format(from, to,
      STEP_S, sql.quote(assert(all_names())[zone:lower()]))))
   return known[key]
end

--- The offset at a time of UTC.
-- @tparam string zone that there is
-- @tparam number utc_s seconds since 1970-01-01T00:00:00Z
-- @treturn integer seconds ahead of UTC
function zones.offset(zone, utc_s)
   local fixed = clock.offset(zone)
   if fixed then return fixed end
   local list = changes(zone, (clock.calendar(utc_s)))
   local offset = list[1].offset_s
   for _, change in ipairs(list) do
      if change.utc_s <= utc_s then offset = change.offset_s end
   end
   return offset
end

--- The offset at a time of the clocks there. Where they are put back, an hour is there twice: it is the first one.
-- Where they are put forward, an hour is not there: it is as if they had not been.
-- @tparam string zone that there is
-- @tparam number local_s what they show, as seconds since they showed 1970-01-01T00:00:00
-- @treturn integer seconds ahead of UTC
function zones.offset_of_local(zone, local_s)
   local fixed = clock.offset(zone)
   if fixed then return fixed end
   local list = changes(zone, (clock.calendar(local_s)))
   for i, change in ipairs(list) do
      local next_one = list[i + 1]
      if not next_one or local_s - math.max(change.offset_s, next_one.offset_s) < next_one.utc_s then
         return change.offset_s
      end
   end
end

return zones
