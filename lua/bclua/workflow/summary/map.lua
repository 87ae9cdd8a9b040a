--- The windows that an embedding was judged on as points of a map, and in clusters: chapters of the report.
-- @module bclua.workflow.summary.map
local array = require "bclua.array"
local clock = require "bclua.clock"
local cluster = require "bclua.cluster"
local clusters = require "bclua.workflow.cluster"

local map = {}

local MOST = 2000 -- windows
local LEAST, SHARE = 4, 20 -- windows of a cluster: at least so many, and at least one in so many of all, up to 10

local function thin(x, most)
   local rows, n = {}, x:shape(1)
   for k = 1, math.min(most, n) do rows[k] = (k - 1) * n // math.min(most, n) + 1 end
   if #rows == n then return rows, x end
   local some = array.zeros({#rows, x:shape(2)}, "f64")
   for k, i in ipairs(rows) do some[k]:fill(x[i]) end
   return rows, some
end

--- Places and clusters of the windows of an evaluation; of more than 2000 some, evenly.
-- @tparam table judged second value of `bclua.workflow.evaluate.run`
-- @treturn ?table of each window `recording`, `start_s`, `x`, `y`, `cluster` (0: none), `name` (species, or site; or
-- nil); `n`; `list` of the clusters: `windows`, `recordings`, `name` (the most frequent), `purity`, `busiest` (hour),
-- `example` (a window). nil: too few windows
function map.of(judged)
   local rows, x = thin(judged.features[1].x, MOST)
   if #rows < LEAST then return nil end
   local place = cluster.tsne(x, {metric = "cosine"})
   local found = cluster.hdbscan(x, {least = math.max(LEAST, math.min(10, #rows // SHARE)), metric = "cosine"})
   local m = {n = #rows, recording = {}, start_s = {}, x = {}, y = {}, cluster = {}, name = {}, clock_time = {}}
   for k, i in ipairs(rows) do
      m.recording[k], m.start_s[k] = judged.recordings[i], math.max(0, judged.starts[i])
      m.x[k], m.y[k], m.cluster[k] = place:at(k, 1), place:at(k, 2), found.labels[k]
      m.name[k] = judged.species[i] or judged.sites[i]
      m.clock_time[k] = clock.at(judged.recorded_at[m.recording[k]], m.start_s[k])
   end
   m.list = map.describe(m, clusters.medoids(x, found, "cosine"))
   return m
end

-- The value that is there most often, how often, and how many kinds there are.
local function commonest(values)
   local counts, best, kinds, all = {}, nil, 0, 0
   for _, v in ipairs(values) do
      if not counts[v] then kinds = kinds + 1 end
      counts[v], all = (counts[v] or 0) + 1, all + 1
      if not best or counts[v] > counts[best] or counts[v] == counts[best] and v < best then best = v end
   end
   return best, best and counts[best] / all, kinds
end

--- What the clusters are like, see `of`.
function map.describe(m, medoids)
   local of = {}
   for c = 1, #medoids do of[c] = {windows = 0, recordings = {}, names = {}, hours = {}} end
   for k = 1, m.n do
      local c = of[m.cluster[k]]
      if c then
         c.windows = c.windows + 1
         c.recordings[#c.recordings + 1], c.names[#c.names + 1] = m.recording[k], m.name[k]
         c.hours[#c.hours + 1] = m.clock_time[k] and m.clock_time[k]:match("T(%d%d)")
      end
   end
   local list = {}
   for c, o in ipairs(of) do
      local name, purity = commonest(o.names)
      local _, _, recordings = commonest(o.recordings)
      list[c] = {windows = o.windows, recordings = recordings, name = name, purity = purity,
         busiest = commonest(o.hours), example = medoids[c]}
   end
   return list
end

return map
