--- Step 6: what a trained embedding knows of recordings that it has not seen.
-- @module bclua.workflow.evaluate
local array = require "bclua.array"
local cjson = require "cjson"
local collect = require "bclua.workflow.collect"

local evaluate = {}

--- Collect the windows of some recordings once, to judge several networks on them.
-- @function collect
-- @see bclua.workflow.collect
-- @usage local set = assert(evaluate.collect{motif = "motif.parquet", dataset_root = "birds", recordings = names})
-- local result = assert(evaluate.judge(set, {{name = "mine", net = net}, {name = "plain", x = set.plain}}))
evaluate.collect = collect.run

-- The features of all subjects: networks see each window once, while its sound is there.
local function features_of(set, subjects)
   local features, networks = {}, {}
   for i, s in ipairs(subjects) do
      features[i] = {name = s.name, x = s.x}
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

-- Group names by window, where groups are more than species: triplets draw the species of a
-- group together, so that is what the network can have learnt.
local function group_labels(set, group_of)
   local labels, several = {}, false
   for i, species in ipairs(set.labels) do
      labels[i] = group_of[species] or species
      several = several or labels[i] ~= species
   end
   return several and labels or nil
end

--- Judge networks or features on a set of windows, all on the same splits.
-- @tparam table set from `collect`
-- @tparam {table,...} subjects `{name=, net=network}` or `{name=, x=array (windows, dimensions)}`, as `set.plain`
-- @tparam[opt] table options `splits` (10), `seed` (1), `groups` (table: group, e.g. family, by species)
-- @treturn[1] table as `bclua.evaluate.accuracy` by species, and `recordings`, `splits`, `failures`;
-- `group`: the same by group, if there are groups of several species
-- @treturn[2] nil
-- @treturn[2] string message
function evaluate.judge(set, subjects, options)
   options = options or {}
   local features, message = features_of(set, subjects)
   if not features then return nil, message end
   local judge = require("bclua.evaluate").accuracy
   local how = {splits = options.splits or 10, seed = options.seed or 1}
   local result
   result, message = judge(features, set.labels, set.recordings, how)
   if not result then return nil, message end
   result.recordings, result.failures, result.kind = set.files, set.failures, set.kind
   result.splits = how.splits
   local labels = group_labels(set, options.groups or {})
   if labels then result.group = judge(features, labels, set.recordings, how) end
   return result
end

-- The network as it was before training.
local function untrained(net, seed)
   local options = {}
   for k, v in pairs(net.options) do options[k] = v end
   options.seed = seed
   return require("bclua.tilenet").new(options)
end

-- Of a checkpoint: the recordings that its triplets left out, and the groups that they were drawn by.
local function read_metadata(path, metadata)
   local ok, recordings = pcall(cjson.decode, metadata.holdout_recordings or "")
   if not ok or type(recordings) ~= "table" or #recordings == 0 then
      return nil, path .. ": says of no recordings that they were kept away from training (generate-triplets --holdout)"
   end
   local groups
   ok, groups = pcall(cjson.decode, metadata.groups or "")
   return recordings, ok and type(groups) == "table" and groups or {}
end

--- Evaluate a checkpoint on the recordings that its triplets left out.
-- @tparam table options `checkpoint` (safetensors), `motif` (Parquet from `consolidate`),
-- `dataset_root`, `windows` ("motif"), `motifs` (3 pairs a recording), `splits` (10), `seed` (1), `quiet`
-- @treturn[1] table as from `judge`
-- @treturn[2] nil
-- @treturn[2] string message
function evaluate.run(options)
   local net, metadata = require("bclua.tilenet").open(options.checkpoint)
   if not net then return nil, metadata end
   local recordings, groups = read_metadata(options.checkpoint, metadata)
   local set, message = nil, groups
   if recordings then
      set, message = evaluate.collect{motif = options.motif, dataset_root = options.dataset_root,
         recordings = recordings, windows = options.windows, motifs = options.motifs, quiet = options.quiet}
   end
   local result
   if set then
      local fresh = untrained(net, options.seed or 1)
      result, message = evaluate.judge(set, {{name = "embedding", net = net}, {name = "untrained network", net = fresh},
         {name = "log-mel mean and deviation", x = set.plain}},
         {splits = options.splits, seed = options.seed, groups = groups})
      fresh:close()
   end
   net:close()
   return result, message
end

--- Header and rows of the result, for a table.
function evaluate.rows(result)
   local header, rows = {"features", "species: accuracy", "spread"}, {}
   if result.group then header[4], header[5] = "group: accuracy", "spread" end
   local function add(name, of)
      local row = {name}
      for _, part in ipairs({result, result.group}) do
         local accuracy, spread = of(part)
         row[#row + 1] = ("%.3f"):format(accuracy)
         row[#row + 1] = spread and ("%.3f"):format(spread) or ""
      end
      rows[#rows + 1] = row
   end
   for i, r in ipairs(result.rows) do
      add(r.name, function(part) return part.rows[i].accuracy, part.rows[i].spread end)
   end
   add("chance", function(part) return part.chance end)
   return header, rows
end

--- What was evaluated, in a sentence.
function evaluate.sentence(result)
   return ("%d %s of %d recordings that were not used in training; %d species%s; accuracy is the mean over " ..
      "classes, mean and standard deviation over %d splits by recording"):format(result.windows,
      collect.words[result.kind], result.recordings, result.classes, result.group and (" in %d groups"):format(result.group.classes) or "",
      result.splits)
end

--- The result as text, a line a kind of features.
function evaluate.text(result)
   local header, rows = evaluate.rows(result)
   local lines = {evaluate.sentence(result)}
   for _, row in ipairs({header, table.unpack(rows)}) do
      local cells = {("%-28s"):format(row[1])}
      for i = 2, #row do cells[i] = ("%" .. #header[i] .. "s"):format(row[i]) end
      lines[#lines + 1] = table.concat(cells, "  ")
   end
   return table.concat(lines, "\n")
end

return evaluate
