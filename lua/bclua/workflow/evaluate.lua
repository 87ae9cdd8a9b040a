--- Step 6: what a trained embedding knows of recordings that it has not seen.
-- @module bclua.workflow.evaluate
local rules = require "bclua.data.rules"
local array = require "bclua.array"
local json = require "bclua.json"
local evaluation_set = require "bclua.workflow.evaluation_set"
local tables = require "bclua.workflow.evaluate.tables"
local options_of = require "bclua.options"

local evaluate = {}

--- Collect the windows of some recordings once, to judge several networks on them.
-- @function collect
-- @see bclua.workflow.evaluation_set
-- @usage local set = assert(evaluate.collect{motif = "motif.parquet", dataset_root = "birds", recordings = names})
-- local result = assert(evaluate.judge(set, {{name = "mine", net = net}, {name = "plain", x = set.plain}}))
evaluate.collect = evaluation_set.run

-- The features of all subjects: networks see each window once, while its sound is there.
local function features_of(set, subjects)
   local features, networks = {}, {}
   for i, s in ipairs(subjects) do
      features[i] = {name = s.name, x = s.x, standardise = s.standardise}
      if s.net then networks[#networks + 1] = {net = s.net, parts = {}, feature = features[i]} end
   end
   if #networks == 0 then return features end
   local ok, message = set:each(function(windows)
      for _, n in ipairs(networks) do n.parts[#n.parts + 1] = n.net:forward(windows) end
   end)
   if not ok then return nil, message end
   for _, n in ipairs(networks) do n.feature.x = array.concat(n.parts) end
   return features
end

-- The rows that are finite in all features, and labelled, where any is; of which features how many are not finite.
local function finite_rows(features, labels, n)
   local rows, bad, whole, has_labels = {}, {}, true, next(labels) ~= nil
   for _, f in ipairs(features) do whole = whole and f.x:is_finite() end
   for row = 1, n do
      local ok = true
      for _, f in ipairs(whole and {} or features) do
         if not f.x[row]:is_finite() then
            ok, bad[f.name] = false, (bad[f.name] or 0) + 1
         end
      end
      if ok and (labels[row] or not has_labels) then rows[#rows + 1] = row end
   end
   return rows, bad
end

local function take(list, rows)
   local out = {}
   for i, row in ipairs(rows) do out[i] = list[row] end
   return out
end

-- Features, and what is known of the windows, without those that are not finite in some features: all features
-- are judged on the same windows.
local function finite(set, features)
   local n = #set.recordings
   local rows, bad = finite_rows(features, set.labels, n)
   local detail = {species = take(set.labels, rows), sites = take(set.sites, rows),
      recordings = take(set.recordings, rows), starts = take(set.starts, rows),
      recorded_at = set.recorded_at or {}, features = features, nonfinite = {}, unlabelled = 0}
   for row = 1, n do
      if next(set.labels) and not set.labels[row] then detail.unlabelled = detail.unlabelled + 1 end
   end
   for _, f in ipairs(features) do
      if bad[f.name] == n then return nil, ("%s: NaN or infinite in all %d windows"):format(f.name, n) end
      if bad[f.name] then detail.nonfinite[#detail.nonfinite + 1] = {name = f.name, windows = bad[f.name]} end
      if #rows < n and #rows > 0 then
         local x = array.zeros({#rows, f.x:shape(2)}, f.x:dtype())
         for i, row in ipairs(rows) do x[i]:fill(f.x[row]) end
         f.x = x
      end
   end
   if #rows == 0 then return nil, ("no window of %d is finite in all features"):format(n) end
   return detail
end

-- Group names by window, where groups are more than species: triplets draw the species of a
-- group together, so that is what the network can have learnt.
local function group_labels(species, group_of)
   local labels, member, several = {}, {}, false
   for i, name in ipairs(species) do
      local label = group_of[name] or name
      labels[i], member[label] = label, member[label] or name
      several = several or member[label] ~= name
   end
   return several and labels or nil
end

-- Where there are no labels: by recording, by site, and by what the triplets were grouped by, where that can be.
local function retrieve(features, detail, options)
   local measure = require("bclua.evaluate.retrieval").measure
   local of, levels = options.recording_groups, {}
   local function add(name, classes)
      local part, message = measure(features, detail.recordings, classes, {k = options.k})
      if part then
         part.name = name
         levels[#levels + 1] = part
      end
      return part, message
   end
   local _, message = add("recording")
   if next(detail.sites) then add("site", detail.sites) end
   if of.name and of.name ~= "site" then
      detail.groups = {}
      for i, name in ipairs(detail.recordings) do detail.groups[i] = of.groups[name] end
      add(of.name, detail.groups)
   end
   if #levels == 0 then
      return nil, "no labels, and " .. message .. " (more recordings, or keep more for evaluation: --holdout)"
   end
   return {retrieval = levels, windows = #detail.recordings, k = options.k, dropped = {}}
end

-- Why labels cannot be judged, and what there is of them.
local function too_few(about, message)
   local warnings = require("bclua.workflow.labelled").warnings(about)
   table.insert(warnings, 1, ("%d labels of %d names can be judged"):format(about.labels, about.names))
   return ("%s: %s (%s)"):format(about.path, message, table.concat(warnings, "; "))
end

local JUDGE = {
   splits = {"integer", default = 10, least = 1, most = 10000, text = "Random splits by recording."},
   seed = {"integer", default = 1, least = 0, text = "Seed of the splits."},
   c = {"number", default = 1, above = 0},
   k = {"integer", default = 5, least = 1, most = 10000, option = "neighbors", arg = "K",
      text = "Nearest windows of other recordings that vote."},
   groups = {"table", default = {}}, recording_groups = {"table", default = {}}}

--- Judge networks or features on a set of windows, all on the same splits.
-- @tparam table set from `collect`
-- @tparam {table,...} subjects `{name=, net=network}` or `{name=, x=array (windows, dimensions)}`, as `set.plain`; with
-- `standardise` columns are brought to one scale before distances are taken. The first is compared with the others
-- @tparam[opt] table options `splits` (10), `seed` (1), `c` (1), `k` (5), `groups` (table: group, e.g. family, by
-- species), `recording_groups` (`name`; `groups` by recording: looked at where no recording has a species)
-- @treturn[1] table as `bclua.evaluate.measures` by species; and `recordings` (how many), `splits`, `failures`,
-- `missing` (species none of whose recordings could be read), `silent` (windows left out because they have no sound),
-- `nonfinite` (list of `name` of features, `windows` left out because they have NaN or infinite values), `kind`;
-- `truth`: "species", or "label" where the windows are those of labels, and of these `labelled`, as in the set;
-- `group`: the same measures by group, if a group has several species; `unlabelled` (windows without a species, left
-- out where others have one). Where no window has a species there are, in place of the measures, `retrieval`: of each
-- level ("recording", "site", a group) a table as from `bclua.evaluate.retrieval`, with its `name`
-- @treturn[1] table what was judged, by window: `species`, `sites`, `recordings`, `starts` (seconds), `groups` (or
-- nil), and `features` (list of `name`, `x`); `recorded_at` by recording
-- @treturn[2] nil
-- @treturn[2] string message
function evaluate.judge(set, subjects, options)
   options = options_of.check(options, JUDGE)
   local features, message = features_of(set, subjects)
   if not features then return nil, message end
   local detail
   detail, message = finite(set, features)
   if not detail then return nil, message end
   local measures, has_labels = require("bclua.evaluate").measures, next(detail.species) ~= nil
   local how = {splits = options.splits, seed = options.seed, c = options.c, k = options.k, memo = {}}
   local result
   if has_labels then
      result, message = measures(features, detail.species, detail.recordings, how)
   else
      result, message = retrieve(features, detail, options)
   end
   if not result then return nil, set.labelled and too_few(set.labelled, message) or message end
   result.truth, result.labelled = has_labels and (set.labelled and "label" or "species") or nil, set.labelled
   result.recordings, result.failures, result.missing, result.kind = set.files, set.failures, set.missing, set.kind
   result.splits, result.nonfinite, result.silent = how.splits, detail.nonfinite, set.silent
   result.unlabelled = detail.unlabelled
   if has_labels then
      detail.groups = group_labels(detail.species, options.groups)
      if detail.groups then result.group = measures(features, detail.groups, detail.recordings, how) end
   end
   return result, detail
end

--- A network as it was before training.
-- @tparam network net of `bclua.tilenet`
-- @tparam integer seed of its weights
-- @treturn network
function evaluate.untrained(net, seed)
   local options = {}
   for k, v in pairs(net.options) do options[k] = v end
   options.seed = seed
   return require("bclua.tilenet").new(options)
end

-- The source names of a table from `consolidate`, as a set.
local function names_of(motif)
   local relation, message = require("bclua.data.tables").open(motif, require("bclua.data.schemas").motif,
         {"source_name"})
   if not relation then return nil, message end
   local rows
   rows, message = require("bclua.sql").columns("from " .. relation)
   if not rows then return nil, message end
   local set = {}
   for _, name in ipairs(rows.source_name) do set[name] = true end
   return set
end

-- Of a table's recordings those that a training has not used, and which these are: those that its triplets left out
-- ("held out"); where the table has none of them, as other people's recordings, all that no triplet names ("others");
-- all, where the checkpoint does not say which those are ("unknown").
local function unseen(path, known, held, trained)
   local list, used = {}, {}
   for _, name in ipairs(held) do
      if known[name] then list[#list + 1] = name end
   end
   if #list > 0 then return list, "held out" end
   for _, name in ipairs(trained) do used[name] = true end
   for name in pairs(known) do
      if not used[name] then list[#list + 1] = name end
   end
   table.sort(list)
   if #list > 0 then return list, #trained > 0 and "others" or "unknown" end
   return nil, path .. ": training used all recordings of this table (generate-triplets --holdout)"
end

-- Of a checkpoint: the recordings to judge it on, the groups that its triplets were drawn by, those of these
-- recordings, with their name, and which recordings they are.
local function read_metadata(path, metadata, motif)
   local function list(name)
      local value = json.decode(metadata[name] or "")
      return type(value) == "table" and value or {}
   end
   local held, of = list "holdout_recordings", list "holdout_groups"
   local known, message = names_of(motif)
   if not known then return nil, message end
   local recordings, which = unseen(path, known, held, list "training_recordings")
   if not recordings then return nil, which end
   local named = {name = #of > 0 and metadata.group ~= "recording" and metadata.group or nil, groups = {}}
   for i, name in ipairs(held) do named.groups[name] = of[i] end
   return recordings, list "groups", named, which
end

--- What `run` takes.
evaluate.options = {
   checkpoint = rules.checkpoint,
   motif = options_of.extend(rules.motif, {argument = "motif"}),
   dataset_root = rules.needed_root,
   labels = {"string", text = "Table from `motif import-labels`: judge the 5 s around each label, its text in place " ..
      "of the species."},
   windows = {"choice", evaluation_set.kinds, text = "Which 5 s to judge: best (default: with the best call score), " ..
      "motif (as many, of the best motifs) or all."},
   motifs = {"integer", least = 1, most = 1000,
      text = "Pairs of windows per recording, of motif and best (default: 3)."},
   splits = JUDGE.splits, seed = JUDGE.seed, k = JUDGE.k,
   output = {"string", arg = "DIR", text = "Folder for evaluation.json, for embeddings, splits, classes and " ..
      "confusion (without species retrieval) as Parquet, and for pictures."},
   force = "boolean", quiet = "boolean"}

--- The settings `evaluate` of the pipeline as `run` takes them: without a choice of windows where there are labels.
-- @tparam table e
function evaluate.of_settings(e)
   local options = {}
   for k, v in pairs(e) do options[k] = v end
   if e.labels == "" then options.labels = nil else options.windows, options.motifs = nil, nil end
   return options
end

-- What is judged: windows of a kind, or those of labels.
local function set_windows(options)
   for name, default in pairs{windows = "best", motifs = 3} do
      if options.labels and options[name] then
         return nil, ("labels are the windows (--labels): use it without --%s"):format(name)
      end
      if not options.labels then options[name] = options[name] or default end
   end
   return true
end

--- Evaluate a checkpoint on the recordings that its triplets left out, or, of a table that has none of these, on all
-- that training did not use: by species, where no recording has one by retrieval.
-- @tparam table options `checkpoint` (safetensors), `motif` (Parquet from `consolidate`),
-- `dataset_root`, `windows` ("best"), `motifs` (3 pairs a recording), or in place of these `labels` (what
-- `import-labels` wrote: a window around each label, its text in place of the species); `splits` (10),
-- `seed` (1), `k` (5: neighbours), `output` (folder for tables and pictures), `force`, `quiet`
-- @treturn[1] table as from `judge`, and `unseen`: which recordings these are: "held out", "others" (that training did
-- not use), "unknown" (the checkpoint does not say what it was trained on)
-- @treturn[1] table as from `judge`
-- @treturn[2] nil
-- @treturn[2] string message
function evaluate.run(options)
   options = options_of.check(options, evaluate.options)
   local ok, message = set_windows(options)
   if not ok then return nil, message end
   local lock = require "bclua.lock"
   local locked <close>, busy = (options.output and lock.folder or lock.take)(options.output)
   if not locked then return nil, busy end
   if options.output then
      ok, message = require("bclua.workflow.evaluate.files").open(options)
      if not ok then return nil, message end
   end
   local net, metadata = require("bclua.tilenet").open(options.checkpoint)
   if not net then return nil, metadata end
   local recordings, groups, of_recordings, which = read_metadata(options.checkpoint, metadata, options.motif)
   local set
   message = groups
   if recordings then
      set, message = evaluate.collect{motif = options.motif, dataset_root = options.dataset_root,
         recordings = recordings, windows = options.windows, motifs = options.motifs, labels = options.labels,
         quiet = options.quiet,
         sample_rate = math.tointeger(net.options.sample_rate), fmin = net.options.fmin, fmax = net.options.fmax}
   end
   local result, detail
   if set then
      local fresh = evaluate.untrained(net, options.seed)
      result, detail = evaluate.judge(set, {{name = "embedding", net = net}, {name = "untrained network", net = fresh},
         {name = "log-mel mean and deviation", x = set.plain, standardise = true}},
         {splits = options.splits, seed = options.seed, k = options.k, groups = groups,
            recording_groups = of_recordings})
      fresh:close()
      message = detail
   end
   net:close()
   if not result then return nil, message end
   result.unseen = which
   if options.output then
      ok, message = require("bclua.workflow.evaluate.files").write(options, result, detail)
      if not ok then return nil, message end
   end
   return result, detail
end

--- The result as text, see `bclua.workflow.evaluate.tables`.
evaluate.text = tables.text
--- What it comes to in a sentence or two.
evaluate.verdict = tables.verdict

return evaluate
