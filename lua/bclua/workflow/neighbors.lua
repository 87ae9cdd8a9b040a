--- What is nearest to a motif in other recordings: by the embedding that a run has learnt, and,
-- where it has learnt none, by the features that the motifs were found with.
-- @module bclua.workflow.neighbors
local cjson = require "cjson"
local files = require "bclua.files"

local neighbors = {}

local SAMPLE_RATE, SECONDS = 32000, 5
local QUERIES, NEAREST = 3, 3
local MOST = 200 -- recordings that are embedded

local function read(path)
   local sql = require "bclua.sql"
   local rows, message = sql.query(("select source_name, species, motif_0, cens_sample_rate, matrix_profile_window, " ..
      "duration_seconds from read_parquet(%s) where motif_0 is not null order by source_name"):format(sql.quote(path)))
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

-- One recording each of some species.
local function choose_queries(rows)
   local first, names = {}, {}
   for i, row in ipairs(rows) do
      if not first[row.species] then
         first[row.species] = i
         names[#names + 1] = row.species
      end
   end
   table.sort(names)
   local chosen = {}
   for i, name in ipairs(thin(names, QUERIES)) do chosen[i] = first[name] end
   return chosen
end

--- The window around a recording's motif, on a worker.
-- @tparam table item `{path=, centre=}`
-- @treturn[1] array f32 (samples)
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function neighbors.one(item)
   local y, message = require("bclua.audio").load(item.path, {sample_rate = SAMPLE_RATE})
   if not y then return nil, message end
   return require("bclua.sampling").cut(y, SAMPLE_RATE, item.centre, SECONDS)
end

-- Recordings that training did not see, if they are known and enough.
local function unseen(rows, metadata)
   local ok, names = pcall(cjson.decode, metadata.holdout_recordings or "")
   local held, list = {}, {}
   for _, name in ipairs(ok and type(names) == "table" and names or {}) do held[name] = true end
   for _, row in ipairs(rows) do
      if held[row.source_name] then list[#list + 1] = row end
   end
   if #list > NEAREST then return list, true end
   return rows, false
end

local function embed(net, rows, root)
   local items, kept, embeddings = {}, {}, {}
   for i, row in ipairs(rows) do
      items[i] = {path = root .. "/" .. row.source_name, centre = row.motif_0 / row.cens_sample_rate + row.window_s / 2}
   end
   for i, window in require("bclua.parallel").map(items, "bclua.workflow.neighbors", "one") do
      if window then
         kept[#kept + 1] = rows[i]
         embeddings[#embeddings + 1] = net:forward(window:reshape({1, #window})):copy("f64")
      end
   end
   return kept, embeddings
end

--- By an embedding: Euclidean distance of the windows of 5 s around the best motifs.
-- @tparam table options `checkpoint`, `motif` (Parquet from `consolidate`), `dataset_root`
-- @treturn[1] {table,...} `query` and `hits`, nearest first; each `source_name`, `species`, `start_s`, `seconds`,
-- `distance`
-- @treturn[1] string what was compared, in words
-- @treturn[2] nil
-- @treturn[2] string message
function neighbors.of_embedding(options)
   local net, metadata = require("bclua.tilenet").open(options.checkpoint)
   if not net then return nil, metadata end
   local rows, message = read(options.motif)
   if not rows then return nil, message end
   local list, are_unseen = unseen(rows, metadata)
   local kept, embeddings = embed(net, thin(list, MOST), options.dataset_root)
   net:close()
   local function place(i, distance)
      local row = kept[i]
      return {source_name = row.source_name, species = row.species, seconds = SECONDS, distance = distance,
         start_s = math.max(0, row.motif_0 / row.cens_sample_rate + (row.window_s - SECONDS) / 2)}
   end
   local result = {}
   for n, q in ipairs(choose_queries(kept)) do
      local hits = {}
      for i, e in ipairs(embeddings) do
         local d = e - embeddings[q]
         if i ~= q then hits[#hits + 1] = place(i, math.sqrt((d * d):sum())) end
      end
      table.sort(hits, function(a, b)
         if a.distance ~= b.distance then return a.distance < b.distance end
         return a.source_name < b.source_name
      end)
      for i = NEAREST + 1, #hits do hits[i] = nil end
      result[n] = {query = place(q), hits = hits}
   end
   return result, ("Euclidean distance of embeddings of the motifs of %d recordings%s"):format(#kept,
      are_unseen and " that training did not see" or "")
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
         start_s = row.motif_0 / row.cens_sample_rate, seconds = row.window_s}}
   end
   return result, ("squared distance of CENS, to all windows of %d other recordings"):format(#rows - 1)
end

--- By the embedding, if there is a checkpoint, else by CENS.
function neighbors.run(options)
   if options.checkpoint and files.exists(options.checkpoint) then return neighbors.of_embedding(options) end
   return neighbors.of_features(options)
end

return neighbors
