--- Step 6: what a trained embedding knows of recordings that it has not seen.
-- @module bclua.workflow.evaluate
local array = require "bclua.array"
local cjson = require "cjson"
local files = require "bclua.files"

local evaluate = {}

local SAMPLE_RATE, SECONDS = 32000, 5

--- The motif windows of one recording, and plain features of them; on a worker state.
-- @tparam table item `{path=, centres={seconds,...}}`
-- @treturn[1] table `{windows= f32 (k, samples), plain= f32 (k, 256)}`: mean and
-- standard deviation over time of 128 log-mel bands
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function evaluate.one(item)
   local audio, sampling, spectral = require "bclua.audio", require "bclua.sampling", require "bclua.spectral"
   local y, message = audio.load(item.path, {sample_rate = SAMPLE_RATE})
   if not y then return nil, message end
   local k = #item.centres
   local windows = sampling.cut(y, SAMPLE_RATE, array.from(item.centres, "f64"), SECONDS)
   local plain = array.zeros({k, 256})
   for i = 1, k do
      local db = spectral.log_mel(windows[i], {sample_rate = SAMPLE_RATE, n_fft = 4096, hop = 1227, n_mels = 128})
      plain[i]:slice(1, 1, 128):fill(db:mean(2))
      plain[i]:slice(1, 129, 256):fill(db:std(2))
   end
   return {windows = windows, plain = plain}
end

-- Centres of the windows of the best motifs: both of each pair, none overlapping.
local function centres(row, k)
   local stomp = require "bclua.stomp"
   local list = {}
   local function add(frame)
      local c = (frame + row.matrix_profile_window / 2) / row.cens_sample_rate
      for _, other in ipairs(list) do
         if math.abs(other - c) < SECONDS then return end
      end
      list[#list + 1] = c
   end
   local profile = {distance = row.mp, index = row.pi}
   for _, m in ipairs(stomp.motifs(profile, k, {exclusion = row.matrix_profile_window})) do
      add(m.at)
      add(m.twin)
   end
   return list
end

local function read(options, holdout)
   local sql = require "bclua.sql"
   local ok, message = sql.require_columns(options.motif, {"source_name", "species", "cens_sample_rate",
      "matrix_profile_window", "motif_0", "mp", "pi"})
   if not ok then return nil, message end
   local rows
   rows, message = sql.query(([[select source_name, species, cens_sample_rate, matrix_profile_window, mp, pi
      from read_parquet(%s) where motif_0 is not null order by source_name]]):format(sql.quote(options.motif)))
   if not rows then return nil, message end
   local wanted, items = {}, {}
   for _, name in ipairs(holdout) do wanted[name] = true end
   for _, row in ipairs(rows) do
      if wanted[row.source_name] then
         items[#items + 1] = {path = options.dataset_root .. "/" .. row.source_name, name = row.source_name,
            species = row.species, centres = centres(row, options.motifs or 3)}
      end
   end
   if #items == 0 then return nil, options.motif .. ": none of the recordings kept for evaluation has a motif" end
   return items
end

-- All windows of all items, with what they are called.
local function collect(items, quiet)
   local parallel, progress = require "bclua.parallel", require "bclua.progress"
   local bar = progress.new("evaluate", #items, {unit = "recordings", quiet = quiet})
   local all = {windows = {}, plain = {}, labels = {}, recordings = {}, failures = {}}
   for i, result, why in parallel.map(items, "bclua.workflow.evaluate", "one") do
      if result then
         all.windows[#all.windows + 1], all.plain[#all.plain + 1] = result.windows, result.plain
         for _ = 1, #result.windows do
            all.labels[#all.labels + 1], all.recordings[#all.recordings + 1] = items[i].species, items[i].name
         end
      else
         all.failures[#all.failures + 1] = {path = items[i].path, step = "evaluate", reason = why}
      end
      bar:update(i)
   end
   if #all.windows == 0 then return nil, all.failures[1].reason end
   all.plain = array.concat(all.plain)
   bar:finish()
   return all
end

local function embed(net, windows)
   local list = {}
   for i, w in ipairs(windows) do list[i] = net:forward(w) end
   return array.concat(list)
end

-- The same judgement by group, where groups are more than species: triplets draw the
-- species of a group together, so that is what the network can have learnt.
local function by_group(features, all, metadata, options)
   local ok, group_of = pcall(cjson.decode, metadata.groups or "")
   if not ok or type(group_of) ~= "table" then return nil end
   local labels, several = {}, false
   for i, species in ipairs(all.labels) do
      labels[i] = group_of[species] or species
      several = several or labels[i] ~= species
   end
   if not several then return nil end
   return require("bclua.evaluate").accuracy(features, labels, all.recordings, options)
end

--- Evaluate a checkpoint on the recordings that its triplets left out.
-- @tparam table options `checkpoint` (safetensors), `motif` (Parquet from `consolidate`),
-- `dataset_root`, `motifs` (3 pairs a recording), `splits` (10), `seed` (1), `quiet`
-- @treturn[1] table as `bclua.evaluate.accuracy` by species, and `recordings`, `splits`, `failures`;
-- `group`: the same by group (family), if the triplets were drawn by one
-- @treturn[2] nil
-- @treturn[2] string message
function evaluate.run(options)
   local tilenet = require "bclua.tilenet"
   local net, metadata = tilenet.open(options.checkpoint)
   if not net then return nil, metadata end
   local ok, holdout = pcall(cjson.decode, metadata.holdout_recordings or "")
   if not ok or type(holdout) ~= "table" or #holdout == 0 then
      return nil, options.checkpoint .. ": says of no recordings that they were kept away from training " ..
         "(generate-triplets --holdout)"
   end
   if not files.is_folder(options.dataset_root) then return nil, options.dataset_root .. ": no such folder" end
   local items, message = read(options, holdout)
   if not items then return nil, message end
   local all
   all, message = collect(items, options.quiet)
   if not all then return nil, message end
   local untrained_options = {}
   for k, v in pairs(net.options) do untrained_options[k] = v end
   untrained_options.seed = options.seed or 1
   local untrained = tilenet.new(untrained_options)
   local features = {
      {name = "embedding", x = embed(net, all.windows)},
      {name = "untrained network", x = embed(untrained, all.windows)},
      {name = "log-mel mean and deviation", x = all.plain},
   }
   local how = {splits = options.splits or 10, seed = options.seed or 1}
   local result
   result, message = require("bclua.evaluate").accuracy(features, all.labels, all.recordings, how)
   net:close()
   untrained:close()
   if not result then return nil, message end
   result.recordings, result.splits, result.failures = #items - #all.failures, how.splits, all.failures
   result.group = by_group(features, all, metadata, how)
   return result
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
   return ("%d motif windows of %d recordings that were not used in training; %d species%s; accuracy is the mean " ..
      "over classes, mean and standard deviation over %d splits by recording"):format(result.windows,
      result.recordings, result.classes, result.group and (" in %d groups"):format(result.group.classes) or "",
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
