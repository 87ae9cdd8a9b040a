--- What an evaluation found, as files: JSON, Parquet and pictures.
-- @module bclua.workflow.evaluate.files
local clock = require "bclua.clock"
local evaluation_set = require "bclua.workflow.evaluation_set"
local files = require "bclua.files"
local pictures = require "bclua.evaluate.pictures"
local provenance = require "bclua.data.provenance"
local sql = require "bclua.sql"

local evaluate_files = {}

-- As a name of a column or a file.
local function plain(name) return (name:lower():gsub("[^%w]+", "_"):gsub("^_+", ""):gsub("_+$", "")) end

-- The measures by species (labels) and by group, with their name; none where there were no labels.
local function levels(result)
   if result.retrieval then return {} end
   return {{name = result.truth, part = result}, result.group and {name = "group", part = result.group} or nil}
end

-- Windows along two principal components, for the first and the last features.
local function add_pca(list, features, labels, name, words)
   for _, f in ipairs{features[1], #features > 1 and features[#features] or nil} do
      list[#list + 1] = {name = ("pca-%s-%s"):format((plain(f.name):gsub("_", "-")), name),
         caption = ("%s: windows along the first two principal components, by %s"):format(f.name, words),
         draw = function(path, options)
            local x = f.standardise and require("bclua.evaluate").standardise(f.x) or f.x
            return pictures.pca(x, labels, path, options)
         end}
   end
end

--- The pictures of an evaluation: windows along two principal components, for the first and the last features (the
-- embedding, and what needs no network); whom the first ones take for whom, where there are labels.
-- @tparam table result from `bclua.workflow.evaluate.judge`
-- @tparam table detail its second value
-- @treturn {table,...} `name` (of the file, without ending), `caption`, `draw` (function of a path and options)
function evaluate_files.pictures(result, detail)
   local list, features = {}, detail.features
   local words = {species = "species", label = "label", group = "group (family)"}
   for _, level in ipairs(levels(result)) do
      local labels = level.name == "group" and detail.groups or detail.species
      add_pca(list, features, labels, level.name, words[level.name])
      local part = level.part
      list[#list + 1] = {name = "confusion-" .. level.name,
         caption = ("%s: what the windows of each %s were called, summed over the splits"):format(features[1].name,
            words[level.name]),
         draw = function(path, options)
            return pictures.confusion(part.rows[1].confusion, part.names, path, options)
         end}
   end
   if result.retrieval then
      local name, labels = next(detail.sites) and "site" or "recording", {}
      for i, recording in ipairs(detail.recordings) do
         labels[i] = name == "recording" and recording or detail.sites[i] or "unknown"
      end
      add_pca(list, features, labels, name, name)
   end
   return list
end

-- What is large is in Parquet.
local function clean(v)
   if type(v) ~= "table" then return v end
   local out = {}
   for key, value in pairs(v) do
      if key ~= "confusion" then out[key] = clean(value) end
   end
   return out
end

local function confusion_rows(result)
   local rows = {}
   for _, level in ipairs(levels(result)) do
      for _, r in ipairs(level.part.rows) do
         for i, row in ipairs(r.confusion) do
            for j, n in ipairs(row) do
               rows[#rows + 1] = {level = level.name, features = r.name, class = level.part.names[i],
                  called = level.part.names[j], windows = n}
            end
         end
      end
   end
   return rows, {"level", "features", "class", "called", "windows"}
end

local function class_rows(result)
   local rows = {}
   for _, level in ipairs(levels(result)) do
      for _, r in ipairs(level.part.rows) do
         for i, c in ipairs(level.part.counts) do
            rows[#rows + 1] = {level = level.name, features = r.name, class = c.name, recordings = c.recordings,
               windows = c.windows, accuracy = r.by_class[i]}
         end
      end
   end
   return rows, {"level", "features", "class", "recordings", "windows", "accuracy"}
end

local function split_rows(result)
   local rows = {}
   for _, level in ipairs(levels(result)) do
      for _, r in ipairs(level.part.rows) do
         for s, accuracy in ipairs(r.splits) do
            rows[#rows + 1] = {level = level.name, features = r.name, split = s, accuracy = accuracy}
         end
      end
   end
   return rows, {"level", "features", "split", "accuracy"}
end

local function retrieval_rows(result)
   local rows = {}
   for _, part in ipairs(result.retrieval) do
      for _, r in ipairs(part.rows) do
         for metric, nearest in pairs(r.nearest) do
            rows[#rows + 1] = {level = part.name, features = r.name, metric = metric, nearest = nearest,
               precision = r.precision[metric], chance = part.chance, k = part.k, classes = part.classes,
               windows = part.windows}
         end
      end
   end
   table.sort(rows, function(a, b)
      if a.level ~= b.level then return a.level < b.level end
      if a.features ~= b.features then return a.features < b.features end
      return a.metric < b.metric
   end)
   return rows, {"level", "features", "metric", "nearest", "precision", "chance", "k", "classes", "windows"}
end

-- Where each window lies, what it is (in the column `truth`), and its features as lists.
local function window_columns(detail, truth)
   local n = #detail.starts
   local columns = {file = detail.recordings, start_s = {}, end_s = {}, clock_time = {n = n},
      [truth] = table.move(detail.species, 1, n, 1, {n = n}), site = table.move(detail.sites, 1, n, 1, {n = n}),
      group = detail.groups and table.move(detail.groups, 1, n, 1, {n = n})}
   for i, s in ipairs(detail.starts) do
      columns.start_s[i], columns.end_s[i] = s + 0.0, s + evaluation_set.seconds + 0.0
      columns.clock_time[i] = clock.at(detail.recorded_at[detail.recordings[i]], s)
   end
   local order = {"file", "start_s", "end_s", "clock_time", truth, "site", detail.groups and "group" or nil}
   for _, f in ipairs(detail.features) do
      order[#order + 1] = plain(f.name)
      columns[plain(f.name)] = f.x
   end
   return columns, order
end

--- The parameters of a folder with results.
function evaluate_files.parameters(options)
   return {checkpoint = options.checkpoint, motif = options.motif, dataset_root = options.dataset_root,
      labels = options.labels, windows = options.windows, motifs = options.motifs, splits = options.splits,
      seed = options.seed, k = options.k}
end

--- May results be written into `options.output`? Makes the folder.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message: it holds those of other parameters, and there is no `force`
function evaluate_files.open(options)
   return provenance.open_folder(options.output, evaluate_files.parameters(options), options.force)
end

--- Write everything: `evaluation.json`, `splits.parquet`, `classes.parquet`, `confusion.parquet`, or, where there were
-- no labels, `retrieval.parquet`; `embeddings.parquet`, `failures.csv` and the pictures (SVG).
-- @tparam table options of `bclua.workflow.evaluate.run`, with `output`
-- @tparam table result
-- @tparam table detail
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
function evaluate_files.write(options, result, detail)
   local folder = options.output
   local parameters = evaluate_files.parameters(options)
   local metadata = provenance.for_parquet(parameters)
   local json = clean(result)
   json.parameters = parameters
   local ok, message = files.write_json(folder .. "/evaluation.json", json)
   local by_label = {splits = split_rows, classes = class_rows, confusion = confusion_rows}
   for name, make in pairs(result.retrieval and {retrieval = retrieval_rows} or by_label) do
      if not ok then return nil, message end
      local rows, order = make(result)
      ok, message = sql.write_parquet(("%s/%s.parquet"):format(folder, name), rows,
         {order = order, metadata = metadata})
   end
   if not ok then return nil, message end
   local columns, order = window_columns(detail, result.truth or "species")
   ok, message = sql.write_parquet(folder .. "/embeddings.parquet", columns,
      {order = order, metadata = metadata, types = {clock_time = "varchar", site = "varchar",
      [result.truth or "species"] = "varchar"}})
   if ok then ok, message = provenance.write_failures(folder .. "/failures.csv", result.failures) end
   for _, p in ipairs(evaluate_files.pictures(result, detail)) do
      if not ok then return nil, message end
      ok, message = p.draw(("%s/%s.svg"):format(folder, p.name))
   end
   return ok, message
end

return evaluate_files
