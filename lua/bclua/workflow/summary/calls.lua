--- Calls to look at and listen to: one of each species, cluster or site, how often it is heard, where and when.
-- @module bclua.workflow.summary.calls
local sql = require "bclua.sql"

local calls = {}

-- What recordings are sorted by; a likely call is one of the better half, as in the chapter on the time of day.
local KINDS = [[with m as (select coalesce(%s, 'unknown') as name, * from %s),
   c as (select m.name, m.source_name, m.site, m.recorded_at, m.matrix_profile_window / m.cens_sample_rate as seconds,
      m.sample_rate, m.channel, %s),
   best as (select *, row_number() over (partition by name order by score desc, source_name, start_s) as place from c),
   n as (select name, count(*)::bigint as of from m group by 1),
   often as (select name, count(*) filter (is_call)::bigint as calls,
      count(distinct source_name) filter (is_call)::bigint as recordings, count(distinct site)::bigint as sites,
      min(site) as site, mode(substr(clock_time, 12, 2)) filter (is_call and clock_time like '%%T%%') as busiest
      from c group by 1)
   select best.*, n.of, often.calls, often.recordings, often.sites, often.site as a_site, often.busiest
   from best join n using (name) join often using (name) where place = 1 order by calls desc, recordings desc, name]]

local BY_SCORE = [[s.start_s, s.clock_time, s.score,
      s.score >= (select median(score) from %s where kind = 'call') as is_call
      from %s s join m using (source_name) where s.kind = 'call']]
local BY_MOTIF = [[motif_0 / cens_sample_rate as start_s, null::varchar as clock_time, true as is_call,
      list_median(mp::double[]) - list_min(mp::double[]) as score from m where motif_0 is not null]]

--- The best call of each species, or site; of each recording where there are neither.
-- @tparam string motif Parquet from `consolidate`
-- @tparam ?string scores Parquet from `score`; without it the motif that stands out most
-- @tparam string by `species`, `site` or `source_name`
-- @treturn {table,...} most calls first: `name`, `source_name`, `start_s`, `seconds`, `sample_rate`, `channel`,
-- `recorded_at`, `of` (recordings), `calls` (likely ones; motifs without scores), `recordings` (that have one),
-- `sites`, `a_site`, `busiest` (hour)
function calls.best(motif, scores, by)
   local from = scores and BY_SCORE:format(sql.parquet(scores), sql.parquet(scores)) or BY_MOTIF
   local key = by == "source_name" and "source_name" or by
   return assert(sql.query(KINDS:format(key, sql.parquet(motif), from)))
end

--- The example of each cluster of a map as a call.
-- @tparam table m from `bclua.workflow.summary.map`
-- @tparam table rows of the motif table by source name
-- @treturn {table,...} as from `best`
function calls.of_clusters(m, rows)
   local list = {}
   for c, found in ipairs(m.list) do
      local name = m.recording[found.example]
      local row = rows[name]
      list[c] = {name = ("cluster %d"):format(c), source_name = name, start_s = m.start_s[found.example],
         seconds = 5, sample_rate = row.sample_rate, channel = row.channel, recorded_at = row.recorded_at,
         calls = found.windows, recordings = found.recordings, sites = 0, busiest = found.busiest}
   end
   return list
end

return calls
