--- Step 1: CENS, matrix profile, motif and discord of every recording.
-- @module bclua.workflow.extract
local array = require "bclua.array"
local files = require "bclua.files"
local json = require "bclua.json"
local lock = require "bclua.lock"
local record = require "bclua.workflow.record"
local system = require "bclua.system"
local check_options = require("bclua.options").check

local extract = {}

--- What `run` takes; the first four are parameters of the results.
extract.options = {cens_sample_rate = {"integer", default = 10, least = 1, most = 1000},
   matrix_profile_window = {"integer", default = 50, least = 1, most = 100000},
   sample_rate = {"integer", default = 32000, least = 1000, most = 768000}, exclusion = {"integer", least = 0},
   input = {"string", needed = true}, output = {"string", needed = true}, species = "string",
   strict_audio = {"boolean", default = false}, sample_k = {"integer", least = 1},
   seed = {"integer", default = 1, least = 0}, force = "boolean", quiet = "boolean"}

local function check_parameters(p)
   local hop = p.sample_rate / p.cens_sample_rate
   if hop ~= math.floor(hop) or hop < 1 then
      return nil, ("--cens-sr %g: does not divide the sample rate %d"):format(p.cens_sample_rate, p.sample_rate)
   end
   return math.tointeger(hop)
end

local function seconds_of(frame, p) return frame and frame / p.cens_sample_rate end

--- Where a frame begins, in seconds; nil for nil.
-- @function seconds_of
extract.seconds_of = seconds_of

--- CENS of samples in memory; p as for `analyse`.
-- @treturn array f32 (12, frames)
-- @treturn table what `cens.cens` tells, `tuning` among it
function extract.cens(y, p)
   return require("bclua.cens").cens(y, {sample_rate = p.sample_rate, hop = p.sample_rate // p.cens_sample_rate})
end

local BLOCK = 1 << 20 -- samples
local CONSTANT = 1e-6 -- peak to peak of a frame in which there is no sound; a step of 16 bits is 3e-5

-- A few samples tell most frames with sound in them.
local function is_constant(y, first, hop)
   local value = y[first]
   for k = 1, 7 do
      if math.abs(y[first + k * hop // 8] - value) >= CONSTANT then return false end
   end
   local frame = y:slice(1, first, first + hop - 1)
   return frame:max() - frame:min() < CONSTANT
end

-- Runs {first, last} of frames (from 0) that are constant: padding, dropouts, pauses below a recorder's trigger.
local function constant_runs(y, hop)
   local n, runs, first = #y // hop, {}, nil
   for i = 1, n + 1 do
      if i <= n and is_constant(y, (i - 1) * hop + 1, hop) then
         first = first or i - 1
      elseif first then
         runs[#runs + 1], first = {first, i - 2}, nil
      end
   end
   return runs
end

-- CENS for the profile: NaN in the middle of constant sound, so that no window of which it is the larger part has a
-- neighbour or is one (see `stomp.self_join`). Half a window of it may be at either end of a window with sound.
local function without_silence(c, y, window, hop)
   local half, hidden = window // 2, nil
   for _, run in ipairs(constant_runs(y, hop)) do
      local length = run[2] - run[1] + 1
      if length > half then
         local margin = math.min(half, (length - 1) // 2)
         hidden = hidden or c:copy()
         hidden:slice(2, run[1] + margin + 1, math.min(run[2] - margin + 1, c:shape(2))):fill(0 / 0)
      end
   end
   return hidden or c
end

--- Features and profile of samples in memory. Windows most of which are silent or constant have no neighbour
-- (distance infinite, index -1).
-- @tparam array y mono samples
-- @tparam table p cens_sample_rate (frames a second), matrix_profile_window (frames),
-- sample_rate (Hz), and optionally exclusion (frames)
-- @treturn table the keys of metadata.json that come from the sound, and `profile`
-- (nil when the recording is shorter than the window), `cens`
function extract.analyse(y, p)
   local stomp = require "bclua.stomp"
   local window = p.matrix_profile_window
   local c, info = extract.cens(y, p)
   local r = {cens_sample_rate = p.cens_sample_rate, matrix_profile_window = window,
      sample_rate = p.sample_rate, duration_cens = c:shape(2), duration_samples = #y,
      duration_seconds = #y / p.sample_rate, tuning = info.tuning, cens = c}
   if c:shape(2) >= window and #y >= window * p.sample_rate // p.cens_sample_rate then
      local heard = without_silence(c, y, window, p.sample_rate // p.cens_sample_rate)
      local profile = stomp.self_join(heard, window, {exclusion = p.exclusion})
      local motif, discord = stomp.motifs(profile, 1)[1], stomp.discords(profile, 1)[1]
      if motif and discord then -- none where the exclusion zone leaves no pair
         r.profile, r.motif_0, r.motif_1 = profile, motif.at, motif.twin
         r.discord_0, r.discord_1 = discord.at, discord.twin
      end
   end
   return r
end

--- Why there is nothing to be heard in the mean of all channels of a recording.
-- @tparam string path
-- @treturn string beginning with the path
function extract.silence(path)
   local y = require("bclua.audio").load(path, {mono = false})
   if y and y:ndim() == 2 and y:max() > y:min() then
      return path .. ": its channels cancel each other: opposite phase (a microphone wired the wrong way round?)"
   end
   return path .. ": silent (every sample is the same)"
end

--- A whole recording, mono; silence is refused.
-- @tparam string path
-- @tparam integer sample_rate Hz
-- @tparam[opt=false] boolean strict refuse what is truncated, damaged, or not as long as its header says
-- @treturn[1] array f32 samples
-- @treturn[1] ?string a warning, as from `audio.load`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function extract.decode(path, sample_rate, strict)
   local y, message, warning = require("bclua.audio").load(path, {sample_rate = sample_rate, strict = strict})
   if not y then return nil, message end
   if #y == 0 then return nil, path .. ": no samples" end
   if y:max() == y:min() then return nil, extract.silence(path) end
   return y, warning
end

local LEAST_SHARE = 0.05 -- of the power that is left after conversion; with less there is a warning

-- Most of the sound of a recorder of ultrasound may lie above the frequencies that are looked at.
local function ultrasound(path, y, p, source_rate)
   if not source_rate or source_rate < 2 * p.sample_rate then return nil end
   local reader <close> = require("bclua.audio").open(path)
   local sum, n = 0, 0
   local block = reader and reader:read(BLOCK)
   while block do
      sum, n = sum + (block * block):sum(), n + #block
      block = reader:read(BLOCK)
   end
   local share = sum > 0 and (y * y):mean() / (sum / n) or 1
   if share >= LEAST_SHARE then return nil end
   return ("%.0f %% of its sound lies above %g kHz, which is not looked at"):format(100 * (1 - share),
      p.sample_rate / 2000)
end

-- What there is to say about a recording that was read all the same.
local function warning_of(m, path)
   return m.warning and {path = path, step = "extract", what = m.warning, seconds = m.duration_seconds,
      claimed_s = m.claimed_seconds}
end

local KEYS = {"cens_sample_rate", "matrix_profile_window", "sample_rate", "duration_cens", "duration_samples",
   "duration_seconds", "motif_0", "motif_1", "discord_0", "discord_1", "tuning",
   "warning", "claimed_seconds", "source_sample_rate"}

local function write(item, r, p)
   local folder = item.output
   local ok, message = system.mkdir(folder)
   if not ok then return nil, message end
   if r.profile then
      ok, message = array.save(folder .. "/mp.npy", r.profile.distance)
      if ok then ok, message = array.save(folder .. "/pi.npy", r.profile.index) end
      if not ok then return nil, message end
   else
      os.remove(folder .. "/mp.npy")
      os.remove(folder .. "/pi.npy")
   end
   ok, message = array.save(folder .. "/cens.npy", r.cens)
   if not ok then return nil, message end
   local metadata = {source_name = item.source_name, species = item.species, version = system.version(),
      exclusion = p.exclusion or json.null}
   for _, key in ipairs(KEYS) do metadata[key] = r[key] == nil and json.null or r[key] end
   metadata.source_bytes, metadata.source_modified = files.stamp(item.path)
   -- last, for it says that the rest is there
   return files.write_json(folder .. "/metadata.json", metadata)
end

--- One recording, on a worker state.
-- @tparam table item `{path=, source_name=, species=, output=}`
-- @tparam table p see `analyse`
-- @treturn[1] table `{seconds=, motif=}` what was found
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function extract.one(item, p)
   os.remove(item.output .. "/metadata.json") -- what it says is no longer so
   local y, message = extract.decode(item.path, p.sample_rate, p.strict_audio)
   if not y then return nil, message end
   local r = extract.analyse(y, p)
   local info = require("bclua.audio").info(item.path) or {} -- gone since
   r.claimed_seconds, r.source_sample_rate = info.claimed_s, info.sample_rate
   r.warning = message or ultrasound(item.path, y, p, info.sample_rate)
   local ok
   ok, message = write(item, r, p)
   if not ok then return nil, message end
   return {seconds = r.duration_seconds, motif = r.motif_0 ~= nil, warning = warning_of(r, item.path)}
end

-- Was this recording done before, with these parameters, from this very file?
local function is_done(item, p)
   local m = files.read_json(item.output .. "/metadata.json")
   if type(m) ~= "table" then return false end
   local size, modified = files.stamp(item.path)
   if m.source_bytes ~= size or m.source_modified ~= modified or m.source_name ~= item.source_name then
      return false
   end
   for _, key in ipairs({"cens_sample_rate", "matrix_profile_window", "sample_rate", "exclusion"}) do
      if m[key] ~= p[key] then return false end
   end
   if p.strict_audio and m.warning or not files.exists(item.output .. "/cens.npy") then return false end
   if m.motif_0 and not (files.exists(item.output .. "/mp.npy") and files.exists(item.output .. "/pi.npy")) then
      return false
   end
   return true, warning_of(m, item.path)
end

-- What was made of a recording under another id, by an earlier version or before it had a namesake, moves to its own.
local function carry_over(item)
   if files.exists(item.output .. "/metadata.json") then return true end
   local above, name = item.output:sub(1, -#item.id - 2), files.basename(item.source_name)
   local extension = name:match("%.[^.]*$") or ""
   for _, id in ipairs{item.id:match("^(.*)%.[^./]*$") or item.id, item.id .. extension, files.stem(name),
      (item.id:gsub("/", "_")), ((item.id .. extension):gsub("/", "_"))} do
      local folder = above .. "/" .. id
      local m = files.read_json(folder .. "/metadata.json")
      if type(m) == "table" and m.source_name == item.source_name then
         local ok, message = system.mkdir(item.output)
         for _, file in ipairs{"cens.npy", "mp.npy", "pi.npy", "metadata.json"} do -- which says that the rest is there
            local from = folder .. "/" .. file
            if ok and files.exists(from) then ok, message = os.rename(from, item.output .. "/" .. file) end
         end
         os.remove(folder) -- if nothing else is in it
         return ok, message
      end
   end
   return true
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

-- The source names of all recordings, for `consolidate` to know what is no longer there.
local function names_of(list)
   local names = {}
   for _, item in ipairs(list) do
      if utf8.len(item.source_name) then names[#names + 1] = item.source_name end
   end
   return names
end

--- Extract all recordings of a folder.
-- @tparam table options `input`, `output` (folders); `cens_sample_rate` (10),
-- `matrix_profile_window` (50), `sample_rate` (32000), `exclusion` (round(w/2));
-- `species`, `sample_k`, `seed` to take only some; `strict_audio` (false: of what is truncated or damaged, or not as
-- long as its header says, all that can be decoded is used, with a warning); `force`; `quiet`
-- @treturn[1] table `{done=, skipped=, not_read=, ignored=, failures={{path=, step=, reason=},...}, seconds=,
-- warnings={{path=, step=, what=, seconds=, claimed_s=},...}}`
-- @treturn[2] nil
-- @treturn[2] string message: nothing could be done
function extract.run(options)
   local recordings = require "bclua.recordings"
   options = check_options(options, extract.options)
   local p = {cens_sample_rate = options.cens_sample_rate, matrix_profile_window = options.matrix_profile_window,
      sample_rate = options.sample_rate, exclusion = options.exclusion}
   local hop, message = check_parameters(p)
   if not hop then return nil, message end
   local list, left_out, others = recordings.list(options.input)
   if not list then return nil, left_out end
   list, message = select_recordings(list, options)
   if not list then return nil, message end
   local locked <close>, busy = lock.folder(options.output)
   if not locked then return nil, busy end
   local ok
   ok, message = record.open_folder(options.output, p, options.force)
   if not ok then return nil, message end

   p.strict_audio = options.strict_audio -- it decides what is refused, not what comes out
   local todo, failures, skipped, warnings = {}, record.left_out(left_out, "extract", options.quiet), 0, {}
   for _, item in ipairs(list) do
      item.output = ("%s/%s/%s"):format(options.output, item.species, item.id)
      ok, message = carry_over(item)
      if not ok then return nil, message end
      local done, warning = is_done(item, p)
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
   local parallel, progress = require "bclua.parallel", require "bclua.progress"
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
   bar:finish(("%d done, %d skipped (finished before), %d failed; %s of sound in %s%s"):format(done, skipped,
      #failures, progress.duration(seconds), progress.duration(bar:elapsed()), #warnings > 0 and
      ("; %d with a warning: %s/warnings.csv"):format(#warnings, options.output) or ""))
   local about = recordings.about(others)
   if about then progress.note("extract: " .. about, options.quiet) end
   if not (options.species or options.sample_k) then
      ok, message = files.write_json(options.output .. "/recordings.json", names_of(list))
   end
   if ok then ok, message = record.write_failures(options.output .. "/failures.csv", failures) end
   if ok then ok, message = record.write_warnings(options.output .. "/warnings.csv", warnings) end
   if not ok then return nil, message end
   if done + skipped == 0 then
      return nil, ("%s: all %d recordings failed, the first: %s"):format(options.input, #failures, failures[1].reason)
   end
   return {done = done, skipped = skipped, failures = failures, warnings = warnings, seconds = seconds,
      not_read = others.not_read, ignored = others.ignored}
end

return extract
