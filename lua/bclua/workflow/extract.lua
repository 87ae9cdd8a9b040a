--- Step 1: CENS, matrix profile, motif and discord of every recording.
-- @module bclua.workflow.extract
local account = require "bclua.workflow.account"
local deployments = require "bclua.deployments"
local extracted = require "bclua.workflow.extracted"
local files = require "bclua.files"
local hearing = require "bclua.workflow.hearing"
local layouts = require "bclua.recordings.layouts"
local lock = require "bclua.lock"
local record = require "bclua.workflow.record"
local system = require "bclua.system"
local options_of = require "bclua.options"
local check_options = options_of.check

local extract = {}

--- What `run` takes; the first three, and those of `bclua.workflow.hearing`, are parameters of the results.
extract.options = options_of.extend(hearing.settings, {
   cens_sample_rate = {"integer", default = 10, least = 1, most = 1000},
   matrix_profile_window = {"integer", default = 50, least = 1, most = 100000}, exclusion = {"integer", least = 0},
   input = {"string", needed = true}, output = {"string", needed = true}, species = "string",
   data_layout = {"choice", layouts.names, default = "auto"}, strict_audio = {"boolean", default = false},
   sample_k = {"integer", least = 1}, deployments = "string",
   seed = {"integer", default = 1, least = 0}, force = "boolean", quiet = "boolean"})

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
-- @tparam table item `{path=, source_name=, species=, output=}`
-- @tparam table p see `analysis.analyse`
-- @treturn[1] table `{seconds=, motif=}` what was found
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function extract.one(item, p)
   os.remove(item.output .. "/metadata.json") -- what it says is no longer so
   local r, message = require("bclua.workflow.analysis").analyse(item.path, p,
      require("bclua.progress").slow("extract: " .. item.source_name, {quiet = p.quiet}))
   if not r then return nil, message end
   local info = require("bclua.audio").info(item.path) or {} -- gone since
   local fields
   fields, r.clock_warning = require("bclua.recorded").of(item.source_name, info.tags)
   for key, value in pairs(fields) do r[key] = value end
   r.site = item.site or r.site
   local ok
   ok, message = extracted.write(item, r, p)
   if not ok then return nil, message end
   return {seconds = r.duration_seconds, motif = r.motif_0 ~= nil, warning = extracted.warning_of(r, item.path)}
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

-- The source names of all recordings.
local function names_of(list)
   local names = {}
   for _, item in ipairs(list) do
      if utf8.len(item.source_name) then names[#names + 1] = item.source_name end
   end
   return names
end

--- Extract all recordings of a folder.
-- @tparam table options `input`, `output` (folders); `cens_sample_rate` (10),
-- `matrix_profile_window` (50), `exclusion` (round(w/2)); `sample_rate` (32000), `channel` ("mix"), `fmin`, `fmax`: see
-- `bclua.workflow.hearing`;
-- `data_layout` ("auto": what the folders are, see `bclua.recordings.layouts`);
-- `species`, `sample_k`, `seed` to take only some; `deployments` (a CSV, see `bclua.deployments`, that is kept for
-- `consolidate`); `strict_audio` (false: of what is truncated or damaged, or not as
-- long as its header says, all that can be decoded is used, with a warning); `force`; `quiet`
-- @treturn[1] table `{done=, skipped=, failures={{path=, step=, reason=},...}, seconds=,
-- warnings={{path=, step=, what=, seconds=, claimed_s=},...}, counts=}`, the last from `account.of`
-- @treturn[2] nil
-- @treturn[2] string message: nothing could be done
function extract.run(options)
   local recordings = require "bclua.recordings"
   options = check_options(options, extract.options)
   local p = {cens_sample_rate = options.cens_sample_rate, matrix_profile_window = options.matrix_profile_window,
      exclusion = options.exclusion}
   for name, value in pairs(hearing.changed(options)) do p[name] = value end
   p.sample_rate = options.sample_rate
   local message = extract.wrong(options)
   if message then return nil, message end
   local placed
   if options.deployments then -- before anything takes long
      placed, message = deployments.read(options.deployments)
      if not placed then return nil, message end
   end
   local all, left_out, others, taken = recordings.list(options.input, options.data_layout)
   if not all then return nil, left_out end
   local list
   list, message = select_recordings(all, options)
   if not list then return nil, message end
   local locked <close>, busy = lock.folder(options.output)
   if not locked then return nil, busy end
   local ok
   ok, message = record.open_folder(options.output, p, options.force)
   if ok and placed then
      ok, message = system.write_file(options.output .. "/" .. deployments.file, files.read(options.deployments))
   end
   if ok then -- what is there, and what its folders are: for `consolidate`
      ok, message = files.write_json(options.output .. "/recordings.json", {layout = taken.layout,
         names = names_of(all)})
   end
   if not ok then return nil, message end
   local progress = require "bclua.progress"
   progress.note("extract: " .. layouts.words(all, taken), options.quiet)

   p.strict_audio, p.quiet = options.strict_audio, options.quiet -- which decide nothing about what comes out
   local todo, failures, skipped, warnings = {}, record.left_out(left_out, "extract", options.quiet), 0, {}
   for _, item in ipairs(list) do
      item.output = ("%s/%s%s"):format(options.output, item.species and item.species .. "/" or "", item.id)
      ok, message = extracted.carry_over(item)
      if not ok then return nil, message end
      local done, warning = extracted.is_done(item, p)
      if not utf8.len(item.source_name) then -- neither JSON nor Parquet holds such a text
         failures[#failures + 1] = {path = item.path, step = "extract",
            reason = item.path .. ": a name that is not UTF-8"}
      elseif done then
         skipped = skipped + 1
         warnings[#warnings + 1] = warning
      else
         todo[#todo + 1] = item
      end
   end
   local parallel = require "bclua.parallel"
   local bar = progress.new("extract", #list, {unit = "recordings", kept = true, done = skipped, quiet = options.quiet})
   local seconds, done = 0, 0
   for i, result, why in parallel.map(todo, "bclua.workflow.extract", "one", p) do
      if result then
         done, seconds = done + 1, seconds + result.seconds
         warnings[#warnings + 1] = result.warning
      else
         failures[#failures + 1] = {path = todo[i].path, step = "extract", reason = why}
      end
      bar:update(i)
   end
   local result = {done = done, skipped = skipped, failures = failures, warnings = warnings, seconds = seconds}
   result.counts = account.of(others, result, #all - #list)
   bar:finish(("%s; %s of sound in %s%s"):format(account.text(result.counts), progress.duration(seconds),
      progress.duration(bar:elapsed()), #warnings > 0 and
      ("; %d with a warning: %s/warnings.csv"):format(#warnings, options.output) or ""))
   local about = require("bclua.recordings.sounds").about(others)
   if about then progress.note("extract: " .. about, options.quiet) end
   ok, message = account.write(options.output .. "/counts.json", result.counts)
   if ok then ok, message = record.write_failures(options.output .. "/failures.csv", failures) end
   if ok then ok, message = record.write_warnings(options.output .. "/warnings.csv", warnings) end
   if not ok then return nil, message end
   if done + skipped == 0 then
      return nil, ("%s: all %d recordings failed, the first: %s"):format(options.input, #failures, failures[1].reason)
   end
   return result
end

return extract
