--- When in the day likely calls happen, by site: a chapter of the report.
-- @module bclua.workflow.summary.daily
local plot = require "bclua.plot"
local sql = require "bclua.sql"

local daily = {}

local MOST_SITES = 6 -- with a picture
local NO_SITE = "all recordings"
local SAME_PLACE = 1 -- degrees: recordings of a site that are further apart are of no one place

-- Recordings whose time of day is known, under the name of their site, else of their recorder.
local RECORDINGS = [[(select source_name, coalesce(site, recorder, '%s') as site, latitude, longitude, recorded_at,
   duration_seconds as seconds from %s where recorded_at like '%%T%%')]]

-- Likely calls of these recordings; those that are in the better half of all.
local CALLS = [[(select site, s.clock_time, s.score from %s s join %s using (source_name) where s.kind = 'call'
   and s.score >= (select median(score) from %s where kind = 'call'))]]

local SITES = [[select site, count(*)::bigint as recordings, sum(seconds) / 3600 as hours,
      case when max(latitude) - min(latitude) < %d and max(longitude) - min(longitude) < %d then median(latitude) end
      as latitude, median(longitude) as longitude,
      bool_or(regexp_matches(recorded_at, '(Z|[+-]\d\d:\d\d)$')) as has_zone,
      bool_and(recorded_at like '%%Z') as is_utc,
      coalesce(first(calls), 0)::bigint as calls, first(busiest) as busiest
   from %s left join (select site, count(*) as calls, mode(substr(clock_time, 12, 2)) as busiest from %s group by 1)
   using (site) group by 1 order by calls desc, site]]

--- Sites with recordings whose time of day is known.
-- @tparam string motif Parquet from `consolidate`
-- @treturn integer such recordings
function daily.known(motif)
   local relation = RECORDINGS:format(NO_SITE, sql.parquet(motif))
   local is_there = sql.query(("select count(*)::bigint n from (describe from %s) where column_name = 'recorded_at'")
      :format(sql.parquet(motif)))[1].n > 0
   return is_there and sql.query("select count(*)::bigint n from " .. relation)[1].n or 0
end

--- What there is to show.
-- @tparam string motif Parquet from `consolidate`
-- @tparam string scores Parquet from `score`
-- @treturn {table,...} by site, most calls first: `site`, `recordings`, `hours` (of sound), `calls`, `busiest` (hour,
-- or nil), `latitude` and `longitude` (or nil), `has_zone`, `is_utc`, `times` and `spans` for `plot.diel`
function daily.sites(motif, scores)
   local recordings = RECORDINGS:format(NO_SITE, sql.parquet(motif))
   local calls = CALLS:format(sql.parquet(scores), recordings, sql.parquet(scores))
   local sites = assert(sql.query(SITES:format(SAME_PLACE, SAME_PLACE, recordings, calls)))
   for i = 1, math.min(#sites, MOST_SITES) do
      local where = " where site = " .. sql.quote(sites[i].site)
      sites[i].times = {}
      for k, row in ipairs(sql.query("select clock_time from " .. calls .. where)) do
         sites[i].times[k] = row.clock_time
      end
      sites[i].spans = {}
      for k, row in ipairs(sql.query("select recorded_at, seconds from " .. recordings .. where)) do
         sites[i].spans[k] = {recorded_at = row.recorded_at, seconds = row.seconds}
      end
   end
   return sites
end

local function hour_of(text)
   local hour = tonumber(text)
   return hour and ("%02d:00 to %02d:00"):format(hour, hour + 1)
end

-- Why a site has no lines of sunrise and sunset.
local function without_sun(sites)
   local words = {}
   for _, s in ipairs(sites) do
      if s.times and not (s.latitude and s.has_zone) then
         local lacks = s.latitude and "time zone" or s.has_zone and "position" or "position and time zone"
         words[#words + 1] = ("%s (%s)"):format(s.site, lacks)
      end
   end
   return #words > 0 and table.concat(words, ", ")
end

local function draw(s, path)
   return plot.diel(s.times, path, {recordings = s.spans, latitude = s.latitude,
      longitude = s.latitude and s.longitude, label = "likely calls",
      ylabel = s.is_utc and "hour of the day (UTC)" or "hour of the day"})
end

--- Write the chapter.
-- @tparam report r
-- @tparam {table,...} sites from `daily.sites`
-- @tparam integer total recordings of the run
-- @tparam function picture `picture(name, caption, draw)`: draws into a file and puts it into the report
function daily.chapter(r, sites, total, picture)
   local known, calls, rows = 0, 0, {}
   for i, s in ipairs(sites) do
      known, calls = known + s.recordings, calls + s.calls
      rows[i] = {s.site, s.recordings, ("%.1f"):format(s.hours), s.calls, ("%.1f"):format(s.calls / s.hours),
         hour_of(s.busiest)}
   end
   r:section("Time of day")
   r:paragraph(("The clock of %d of %d recordings is known. Counted are those of their likely calls whose score is " ..
      "in the upper half of all, %d, each in the hour in which it begins, by the clock of its recording."):format(
      known, total, calls))
   r:table({"site", "recordings", "hours", "likely calls", "an hour", "most from"}, rows)
   for i, s in ipairs(sites) do
      if s.times then
         picture(("day-%d.svg"):format(i), s.site .. ": likely calls by day and hour; where nothing was recorded it " ..
            "is empty", function(path) return draw(s, path) end)
      end
   end
   if #sites > MOST_SITES then
      r:paragraph(("The %d sites with most calls have a picture."):format(MOST_SITES))
   end
   local lacking = without_sun(sites)
   if lacking then
      r:paragraph("No lines of sunrise and sunset where these are not known (a table of deployments can say them): " ..
         lacking .. ".")
   end
end

return daily
