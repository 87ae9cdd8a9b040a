--- What is nearest to a motif in other recordings: by the embedding that a run has learnt, and,
-- where it has learnt none, by the features that the motifs were found with.
-- @module bclua.workflow.summary.neighbors
local array = require "bclua.array"
local clock = require "bclua.clock"
local count = require("bclua.display").count
local json = require "bclua.json"
local files = require "bclua.files"
local schemas = require "bclua.data.schemas"
local tables = require "bclua.data.tables"
local check_options = require("bclua.options").check

local neighbors = {}

local SECONDS = 5
local QUERIES, NEAREST = 3, 3
local MOST = 200 -- recordings that are embedded

local COLUMNS = {"source_name", "species", "motif_0", "cens_sample_rate", "matrix_profile_window", "duration_seconds",
   "recorded_at?", "site?"}

local function read(path)
   local relation, message = tables.open(path, schemas.motif, COLUMNS)
   if not relation then return nil, message end
   local rows
   rows, message = require("bclua.sql").query("from " .. relation .. " where motif_0 is not null order by source_name")
   if not rows then return nil, message end
   for _, row in ipairs(rows) do row.window_s = row.matrix_profile_window / row.cens_sample_rate end
   return rows
end

-- So many of a list, evenly.
local function thin(list, most)
   if #list <= most then return list end
   local chosen = {}
   for i = 1, most do chosen[i] = list[1 + (i - 1) * #list // most] end
   return chosen
end

-- One recording each of some species; of some sites where there are no species, else just some.
local function choose_queries(rows)
   local first, names = {}, {}
   for i, row in ipairs(rows) do
      local of = row.species or row.site or row.source_name
      if not first[of] then
         first[of] = i
         names[#names + 1] = of
      end
   end
   table.sort(names)
   local chosen = {}
   for i, name in ipairs(thin(names, QUERIES)) do chosen[i] = first[name] end
   return chosen
end

-- Recordings that training did not see, if they are known and enough.
local function unseen(rows, metadata)
   local names = json.decode(metadata.holdout_recordings or "")
   local held, list = {}, {}
   for _, name in ipairs(type(names) == "table" and names or {}) do held[name] = true end
   for _, row in ipairs(rows) do
      if held[row.source_name] then list[#list + 1] = row end
   end
   if #list > NEAREST then return list, true end
   return rows, false
end

-- For one window each of some recordings (see `choose_queries`) the nearest ones of other recordings.
local function rank(x, windows)
   local numbers = require("bclua.evaluate.distances").numbers
   local index, distance = require("bclua.learn").nearest(x, numbers(windows.recordings),
      {k = NEAREST, metric = "cosine"})
   local function place(i, d)
      return {source_name = windows.recordings[i], species = windows.species[i], seconds = SECONDS, distance = d,
         start_s = math.max(0, windows.starts[i]),
         clock_time = clock.at(windows.recorded_at[windows.recordings[i]], math.max(0, windows.starts[i]))}
   end
   local rows, result = {}, {}
   for i, name in ipairs(windows.recordings) do
      rows[i] = {species = windows.species[i], site = windows.sites[i], source_name = name}
   end
   for n, q in ipairs(choose_queries(rows)) do
      local hits = {}
      for r = 1, NEAREST do
         local i = index:at(q, r)
         if i > 0 then hits[r] = place(i, distance:at(q, r)) end
      end
      result[n] = {query = place(q), hits = hits}
   end
   return result
end

--- By an embedding that was judged: 1 - cosine of the windows of 5 s that it was judged on.
-- @tparam table judged second value of `bclua.workflow.evaluate.run`
-- @treturn {table,...} `query` and `hits`, nearest first; each `source_name`, `species`, `start_s`, `seconds`,
-- `distance`, `clock_time` (or nil)
-- @treturn string what was compared, in words
function neighbors.of_judged(judged)
   return rank(judged.features[1].x, judged), ("1 - cosine of embeddings of the windows that were judged (%d), of " ..
      "recordings that training did not see"):format(#judged.starts)
end

--- By an embedding: 1 - cosine of the windows of 5 s around the best motifs.
-- @tparam table options `checkpoint`, `motif` (Parquet from `consolidate`), `dataset_root`
-- @treturn[1] {table,...} `query` and `hits`, as from `of_judged`
-- @treturn[1] string what was compared, in words
-- @treturn[2] nil
-- @treturn[2] string message
function neighbors.of_embedding(options)
   local net, metadata = require("bclua.tilenet").open(options.checkpoint)
   if not net then return nil, metadata end
   local rows, message = read(options.motif)
   if not rows then return nil, message end
   local list, are_unseen = unseen(rows, metadata)
   local names, parts = {}, {}
   for i, row in ipairs(thin(list, MOST)) do names[i] = row.source_name end
   local set
   set, message = require("bclua.workflow.evaluation_set").run{motif = options.motif,
      dataset_root = options.dataset_root, recordings = names, windows = "motif", motifs = 1,
      sample_rate = math.tointeger(net.options.sample_rate), quiet = true}
   if not set then return nil, message end
   local ok
   ok, message = set:each(function(windows) parts[#parts + 1] = net:forward(windows) end)
   net:close()
   if not ok then return nil, message end
   local x = array.concat(parts)
   if not x:is_finite() then return nil, options.checkpoint .. ": embeddings that are not finite" end
   return rank(x, {species = set.labels, sites = set.sites, recordings = set.recordings, starts = set.starts,
      recorded_at = set.recorded_at}), ("1 - cosine of embeddings of the motifs of %s%s"):format(count(set.files,
      "recording"), are_unseen and " that training did not see" or "")
end

--- By CENS, as `motif search` has it: squared distance of a motif to all windows of other recordings.
-- @tparam table options `motif`, `dataset_root`
-- @treturn[1] as `of_embedding`
-- @treturn[2] nil
-- @treturn[2] string message
function neighbors.of_features(options)
   local rows, message = read(options.motif)
   if not rows then return nil, message end
   local result = {}
   for n, q in ipairs(choose_queries(rows)) do
      local row = rows[q]
      local found
      found, message = require("bclua.workflow.search").run({query = options.dataset_root .. "/" .. row.source_name,
         input = options.motif, start = row.motif_0 / row.cens_sample_rate, top = NEAREST, quiet = true,
         dataset_root = options.dataset_root})
      if not found then return nil, message end
      for _, hit in ipairs(found.hits) do hit.seconds = row.window_s end
      result[n] = {hits = found.hits, query = {source_name = row.source_name, species = row.species,
         start_s = row.motif_0 / row.cens_sample_rate, seconds = row.window_s,
         clock_time = clock.at(row.recorded_at, row.motif_0 / row.cens_sample_rate)}}
   end
   return result, ("squared distance of CENS, to all windows of %d other recordings"):format(#rows - 1)
end

local OPTIONS = {judged = "table", checkpoint = "string", motif = "string", dataset_root = "string"}

--- By the embedding, if it was judged (`judged`) or there is a checkpoint, else by CENS.
function neighbors.run(options)
   options = check_options(options, OPTIONS)
   if options.judged then return neighbors.of_judged(options.judged) end
   if options.checkpoint and files.exists(options.checkpoint) then return neighbors.of_embedding(options) end
   return neighbors.of_features(options)
end

return neighbors
