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

--- Evaluate a checkpoint on the recordings that its triplets left out.
-- @tparam table options `checkpoint` (safetensors), `motif` (Parquet from `consolidate`),
-- `dataset_root`, `motifs` (3 pairs a recording), `splits` (10), `seed` (1), `quiet`
-- @treturn[1] table as `bclua.evaluate.accuracy`, and `recordings`, `splits`, `failures`
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
   local result
   result, message = require("bclua.evaluate").accuracy({
      {name = "embedding", x = embed(net, all.windows)},
      {name = "untrained network", x = embed(untrained, all.windows)},
      {name = "log-mel mean and deviation", x = all.plain},
   }, all.labels, all.recordings, {splits = options.splits or 10, seed = options.seed or 1})
   net:close()
   untrained:close()
   if not result then return nil, message end
   result.recordings, result.splits, result.failures = #items - #all.failures, options.splits or 10, all.failures
   return result
end

--- The result as text, a line a kind of features.
function evaluate.text(result)
   local lines = {("%-28s %8s %8s"):format("features", "accuracy", "spread")}
   for _, row in ipairs(result.rows) do
      lines[#lines + 1] = ("%-28s %8.3f %8.3f"):format(row.name, row.accuracy, row.spread)
   end
   lines[#lines + 1] = ("%-28s %8.3f   (%d classes, %d windows of %d recordings, %d splits)"):format("chance",
      result.chance, result.classes, result.windows, result.recordings, result.splits)
   return table.concat(lines, "\n")
end

return evaluate
