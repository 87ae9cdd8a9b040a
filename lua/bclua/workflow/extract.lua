--- Step 1: features, matrix profile, motif and discord of every recording.
-- @module bclua.workflow.extract
local account = require "bclua.workflow.account"
local claims = require "bclua.data.claims"
local deadline = require "bclua.deadline"
local deployments = require "bclua.data.deployments"
local extracted = require "bclua.data.extracted"
local features = require "bclua.workflow.features"
local files = require "bclua.files"
local hearing = require "bclua.data.hearing"
local layouts = require "bclua.data.layouts"
local lock = require "bclua.lock"
local manifest = require "bclua.data.manifest"
local pieces = require "bclua.workflow.pieces"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local rules = require "bclua.data.rules"
local system = require "bclua.system"
local options_of = require "bclua.options"
local shards = require "bclua.data.shards"
local check_options = options_of.check

local extract = {}

--- What `run` takes; the first four, and those of `bclua.data.hearing`, are parameters of the results.
extract.options = options_of.extend(hearing.settings, {
   cens_sample_rate = {"integer", default = 10, least = 1, most = 1000, option = "cens-sr", unit = "frames/s",
      text = "Feature frames per second."},
   matrix_profile_window = {"integer", default = 50, least = 1, most = 100000, option = "mp-window", unit = "frames",
      text = "Length of a window in frames."},
   exclusion = {"integer", least = 0, unit = "frames",
      text = "Frames on either side of a window that cannot match it (default: half the window)."},
   features = features.rule,
   input = {"string", needed = true, arg = "DIR", text = "Folder of recordings: SPECIES/ID.ogg, SITE/DATE/ID.wav, " ..
      "ID.wav."},
   output = {"string", needed = true, arg = "DIR", text = "Folder for the results."},
   species = options_of.extend(rules.species, {text = "Only this species (a folder of the input)."}),
   data_layout = {"choice", layouts.names, default = "auto", text = "What the first folders are: species, site, " ..
      "flat (nothing); auto guesses, and says what it took them for."},
   layout = {"choice", extracted.layouts, default = "parts", text = "How a new folder keeps results: parts (Parquet " ..
      "files of some hundred recordings each) or files (a folder per recording). One that has results stays as it is."},
   sample_k = {"integer", least = 1, arg = "K", text = "Only K recordings, drawn by --seed."},
   seed = {"integer", default = 1, least = 0, text = "Seed of --sample-k."},
   strict_audio = {"boolean", default = false, text = "Refuse recordings that are truncated, damaged, or not as " ..
      "long as their header says; by default all that can be decoded is used, with a warning."},
   deployments = options_of.extend(rules.deployments, {text = rules.deployments.text .. " A second run with another " ..
      "one computes nothing anew; `consolidate` then takes it."}),
   shard = shards.rules.shard, claim = claims.rules.claim, stale = claims.rules.stale,
   time_limit = shards.rules.time_limit,
   force = "boolean", quiet = "boolean"})

--- What is wrong with settings that must fit each other.
-- @tparam table o `sample_rate`, `cens_sample_rate`, `fmin`, `fmax`
-- @treturn ?string nil: nothing
function extract.wrong(o)
   local hop = o.sample_rate / o.cens_sample_rate
   if hop ~= math.floor(hop) or hop < 1 then
      return ("--cens-sr %g: does not divide the sample rate %d"):format(o.cens_sample_rate, o.sample_rate)
   end
   local message = hearing.wrong(o)
   if message then return message end
   local ok, why = require("bclua.workflow.analysis").check_band(o)
   return not ok and why or nil
end

--- One recording, on a worker state.
-- @tparam table item `{path=, source_name=, species=, folder=, output=}`
-- @tparam table p see `analysis.analyse`, and `layout`, see `extracted.layouts`
-- @treturn[1] table `{seconds=, motif=, warning=, kept=}` what was found, and `kept`, from `extracted.keep`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function extract.one(item, p)
   extracted.forget(item, p)
   local r, message = require("bclua.workflow.analysis").analyse(item.path, p,
      progress.slow("extract: " .. item.source_name, {quiet = p.quiet}))
   if not r then return nil, message end
   local info = require("bclua.audio").info(item.path) or {} -- gone since
   local fields
   fields, r.clock_warning = require("bclua.data.recorded").of(item.source_name, info.tags)
   for key, value in pairs(fields) do r[key] = value end
   r.site = item.site or r.site
   local kept
   kept, message = extracted.keep(item, r, p)
   if not kept then return nil, message end
   return {seconds = r.duration_seconds, motif = r.motif_0 ~= nil, warning = extracted.warning_of(r, item.path),
      kept = kept}
end

local function select_recordings(list, options)
   local chosen = {}
   local species = options.species
   for _, item in ipairs(list) do
      if not species or item.species == species then chosen[#chosen + 1] = item end
   end
   if #chosen == 0 then return nil, ("%s: no recordings of species '%s'"):format(options.input, species) end
   if options.sample_k and options.sample_k < #chosen then
      local order = require("bclua.sampling").generator(options.seed):shuffle(#chosen)
      local sample = {}
      for i = 1, options.sample_k do sample[i] = chosen[order[i]] end
      table.sort(sample, function(a, b) return a.source_name < b.source_name end)
      chosen = sample
   end
   return chosen
end

local function fail(result, path, reason)
   result.failures[#result.failures + 1] = {path = path, step = "extract", reason = reason}
end

-- The source names of all recordings.
local function names_of(list)
   local names = {}
   for _, item in ipairs(list) do
      if utf8.len(item.source_name) then names[#names + 1] = item.source_name end
   end
   return names
end

-- The parameters of the results.
local function parameters_of(options)
   local p = {cens_sample_rate = options.cens_sample_rate, matrix_profile_window = options.matrix_profile_window,
      exclusion = options.exclusion, features = options.features ~= features.rule.default and options.features or nil}
   for name, value in pairs(hearing.changed(options)) do p[name] = value end
   p.sample_rate = options.sample_rate
   return p
end

-- The folder of results, and in it what `consolidate` must know: parameters and deployments.
local function open_output(options, p)
   local ok, message = provenance.open_folder(options.output, p, options.force)
   if ok and options.deployments then
      local kept
      kept, message = files.read(options.deployments)
      if not kept then return nil, message end
      ok, message = system.write_file(options.output .. "/" .. deployments.file, kept)
   end
   return ok, message
end

-- The same, and which recordings there are and what their folders were taken for.
local function begin_output(options, p, all, layout)
   local ok, message = open_output(options, p)
   if not ok then return nil, message end
   return files.write_json(options.output .. "/recordings.json", {layout = layout, names = names_of(all)})
end

-- Recordings that are to be done; of the others the result says what became of them.
local function find_todo(list, results, result)
   local todo = {}
   for _, item in ipairs(list) do
      local done, warning = results:look_up(item)
      if done == nil then return nil, warning end
      if not utf8.len(item.source_name) then -- neither JSON nor Parquet holds such a text
         fail(result, item.path, item.path .. ": a name that is not UTF-8")
      elseif done then
         result.skipped = result.skipped + 1
         result.warnings[#result.warnings + 1] = warning
      else
         todo[#todo + 1] = item
      end
   end
   return todo
end

-- How results are kept: as those that are there, else as it is asked for.
local function layout_in(options)
   local there = extracted.layout_of(options.output)
   if there and there ~= options.layout then
      progress.note(("extract: %s: goes on as it began, with --layout %s"):format(options.output, there), options.quiet)
   end
   return there or options.layout
end

local function do_all(todo, p, results, result, bar, is_late)
   for i, found, why in require("bclua.parallel").map(todo, "bclua.workflow.extract", "one", p) do
      if found then
         result.done, result.seconds = result.done + 1, result.seconds + found.seconds
         result.warnings[#result.warnings + 1] = found.warning
         local ok, message = results:add(found.kept)
         if not ok then return nil, message end
      else
         fail(result, todo[i].path, why)
         results:fail(todo[i])
      end
      bar:update(i)
      result.stopped = i < #todo and is_late()
      if result.stopped then break end
   end
   return results:flush()
end

-- What is said at the end, and written beside the results.
local function account_for(result, options, others, bar)
   bar:finish(("%s; %s of sound in %s%s%s"):format(account.text(result.counts), progress.duration(result.seconds),
      progress.duration(bar:elapsed()), provenance.listed(result.failures, "failed", options.output .. "/failures.csv"),
      provenance.listed(result.warnings, "with a warning", options.output .. "/warnings.csv")))
   local about = require("bclua.data.sounds").about(others)
   if about then progress.note("extract: " .. about, options.quiet) end
   local ok, message = account.write(options.output .. "/counts.json", result.counts)
   if ok then ok, message = provenance.write_failures(options.output .. "/failures.csv", result.failures) end
   if ok then ok, message = provenance.write_warnings(options.output .. "/warnings.csv", result.warnings) end
   return ok, message
end

-- List the recordings for all shards, and begin their folder.
local function begin_shards(options, p)
   local all, left_out, _, taken = require("bclua.data.recordings").list(options.input, options.data_layout)
   if not all then return nil, left_out end
   local list, message = select_recordings(all, options)
   if not list then return nil, message end
   local ok
   ok, message = begin_output(options, p, all, taken.layout)
   if not ok then return nil, message end
   progress.note("extract: " .. layouts.words(all, taken), options.quiet)
   local named, failures = {}, provenance.left_out(left_out, "extract", options.quiet)
   for _, item in ipairs(list) do
      if utf8.len(item.source_name) then
         named[#named + 1] = item
      else
         fail({failures = failures}, item.path, item.path .. ": a name that is not UTF-8")
      end
   end
   ok, message = provenance.write_failures(options.output .. "/failures.csv", failures)
   return ok and named, message
end

-- The pieces of a manifest, for `bclua.workflow.pieces`.
local function step_of(options, p)
   local step = {name = "extract", folder = options.output}
   local function set_folders(list)
      for _, item in ipairs(list) do item.folder = (item.species and item.species .. "/" or "") .. item.id end
      return list
   end
   function step.path(number) return pieces.path(options.output, number) end
   function step.look(number, list) return extracted.piece(options.output, number, set_folders(list), p) end
   function step.run(list, keep)
      for i, found, why in require("bclua.parallel").map(list, "bclua.workflow.extract", "one", p) do
         local goes_on, message = keep(list[i], found, why)
         if not goes_on then return goes_on, message end
      end
      return true
   end
   function step.write(number, rows, reasons) return extracted.write_piece(options.output, number, rows, reasons) end
   return step
end

-- Only a shard of the work, beside other processes.
local function run_shard(options, p)
   if options.layout ~= "parts" then return nil, "shards: need --layout parts" end
   local settings = {species = options.species, sample_k = options.sample_k, seed = options.sample_k and options.seed,
      data_layout = options.data_layout}
   local ok, message = system.mkdir(options.output)
   if not ok then return nil, message end
   local frozen
   frozen, message = manifest.open(options.output, options.input, settings, function()
      return begin_shards(options, p)
   end)
   if not frozen then return nil, message end
   ok, message = open_output(options, p)
   if not ok then return nil, message end
   p.layout, p.strict_audio, p.quiet = "parts", options.strict_audio, options.quiet
   return pieces.run(frozen, step_of(options, p), options)
end

--- Extract all recordings of a folder.
-- @tparam table options `input`, `output` (folders); `cens_sample_rate` (10),
-- `matrix_profile_window` (50), `exclusion` (round(w/2)), `features` ("cens"); `sample_rate` (32000), `channel`
-- ("mix"), `fmin`, `fmax`: see `bclua.data.hearing`;
-- `layout`: a new folder of results is kept as Parquet files of some hundred recordings each (`parts`) or a folder a
-- recording (`files`); one that is there goes on as it is;
-- `data_layout` ("auto": what the folders are, see `bclua.data.layouts`);
-- `species`, `sample_k`, `seed` to take only some; `shard` (`3/64`: only this part of the work, see
-- `bclua.workflow.pieces`), or `claim` (true: whatever no other process is at) and `stale` (seconds after which
-- what another one has claimed is taken over); `time_limit` (minutes, after which it stops and keeps what is done);
-- `deployments` (a CSV, see `bclua.data.deployments`, that is kept for `consolidate`); `strict_audio` (false: of what
-- is truncated or damaged, or not as long as its header says, all that can be decoded is used, with a warning);
-- `force`; `quiet`
-- @treturn[1] table `{done=, skipped=, failures={{path=, step=, reason=},...}, seconds=,
-- warnings={{path=, step=, what=, seconds=, claimed_s=},...}, counts=, stopped=}`, `counts` from `account.of`;
-- stopped: time was up before all was done
-- @treturn[2] nil
-- @treturn[2] string message: nothing could be done
function extract.run(options)
   options = check_options(options, extract.options)
   local p, message = parameters_of(options), extract.wrong(options)
   if message then return nil, message end
   if options.deployments then -- before anything takes long
      local placed
      placed, message = deployments.read(options.deployments)
      if not placed then return nil, message end
   end
   if options.shard or options.claim or manifest.is_in(options.output) then return run_shard(options, p) end
   local all, left_out, others, taken = require("bclua.data.recordings").list(options.input, options.data_layout)
   if not all then return nil, left_out end
   local list
   list, message = select_recordings(all, options)
   if not list then return nil, message end
   local locked <close>, busy = lock.folder(options.output)
   if not locked then return nil, busy end
   local is_new = not files.exists(options.output .. "/parameters.json")
   local ok
   ok, message = begin_output(options, p, all, taken.layout)
   if not ok then return nil, message end
   progress.note("extract: " .. layouts.words(all, taken), options.quiet)

   p.layout = layout_in(options)
   p.strict_audio, p.quiet = options.strict_audio, options.quiet -- which decide nothing about what comes out
   for _, item in ipairs(list) do
      item.folder = (item.species and item.species .. "/" or "") .. item.id
      item.output = options.output .. "/" .. item.folder
   end
   local results <close> = extracted.open(options.output, p.layout, list, p)
   local result = {done = 0, skipped = 0, seconds = 0, warnings = {},
      failures = provenance.left_out(left_out, "extract", options.quiet)}
   local todo
   todo, message = find_todo(list, results, result)
   if not todo then return nil, message end
   local bar = progress.new("extract", #list, {unit = "recordings", kept = true, done = result.skipped,
      quiet = options.quiet})
   ok, message = do_all(todo, p, results, result, bar, deadline.new(options.time_limit))
   if not ok then return nil, message end
   result.counts = account.of(others, result, #all - #list)
   ok, message = account_for(result, options, others, bar)
   if not ok then return nil, message end
   if result.done + result.skipped == 0 then
      if is_new then os.remove(options.output .. "/parameters.json") end -- nothing was made with them
      return nil, options.input .. ": " .. account.all_failed(#result.failures, result.failures)
   end
   return result
end

return extract
