--- What `extract` computes of one recording: features, matrix profile, motif and discord. Its sound is read block by
-- block, so that a recording of a day takes little more memory than its results.
-- @module bclua.workflow.analysis
local array = require "bclua.array"
local audio = require "bclua.audio"
local best_channel = require "bclua.workflow.best_channel"
local cens = require "bclua.cens"
local features = require "bclua.workflow.features"
local hearing = require "bclua.data.hearing"
local silence = require "bclua.workflow.silence"
local stomp = require "bclua.stomp"

local analysis = {}

local BLOCK, KEPT = 1 << 18, 64 -- samples; blocks of a recording that is decoded only once

-- Add the next block, which begins with frame `at`: runs {first, last} of frames (from 0) that are constant: padding,
-- dropouts, pauses below a recorder's trigger.
local function add_constant_runs(runs, y, at, hop)
   for i = 0, #y // hop - 1 do
      if silence.is_constant(y, i * hop + 1, hop) then
         local run = runs[#runs]
         if not run or run[2] < at + i - 1 then
            run = {at + i}
            runs[#runs + 1] = run
         end
         run[2] = at + i
      end
   end
end

-- The blocks of a recording from its beginning, and a function that begins again. `look` sees each block once. What is
-- short is kept rather than decoded again.
local function blocks_of(reader, size, look, tell)
   local kept, at, complete, passes = {}, 0, false, 0
   local blocks = math.ceil((reader:info().read_length or math.huge) / size)
   local function next_block()
      at = at + 1
      if complete and kept then return kept[at] end
      if tell then tell(("reading, pass %d"):format(passes + 1), math.min(1, at / blocks)) end
      local y, message = reader:read(size)
      if complete then return y, message end
      complete = not y
      if not y then return nil, message end
      look(y)
      if at > KEPT then kept = nil end
      if kept then kept[at] = y end
      return y
   end
   local function rewind()
      at, passes = 0, passes + 1
      if complete and kept then return true end
      return reader:seek_s(0)
   end
   return next_block, rewind
end

-- Calls f with the blocks of a recording as it is stored, until it returns true.
local function each_block(path, options, f)
   local reader <close> = audio.open(path, options)
   local block = reader and reader:read(BLOCK)
   while block and not f(block) do block = reader:read(BLOCK) end
end

local LEAST_SHARE = 0.05 -- of the power that is left after conversion; with less there is a warning

-- What is to be said of the sound of a recorder of ultrasound, where most of it lies above the frequencies that are
-- looked at.
local function ultrasound(path, channel, power, rate)
   local sum, n = 0, 0
   each_block(path, {channel = channel}, function(y) sum, n = sum + (y * y):sum(), n + #y end)
   local share = sum > 0 and power / (sum / n) or 1
   if share >= LEAST_SHARE then return nil end
   return ("%.0f %% of its sound lies above %g kHz, which is not looked at"):format(100 * (1 - share), rate / 2000)
end

local C1, C8 = 440 * 2 ^ (-45 / 12), 440 * 2 ^ (39 / 12) -- Hz
local LEAST_RATE, USUAL_RATE = 8413, 48000 -- between them these seven octaves are looked at

-- The band of frequencies that CENS looks at; nil: from C1 to C8, as it does by itself.
local function band_of(p)
   local fmin, fmax = p.fmin or 0, p.fmax or 0
   local is_usual = p.sample_rate >= LEAST_RATE and p.sample_rate <= USUAL_RATE
   if fmin == 0 and fmax == 0 and is_usual then return nil end
   if fmax == 0 then fmax = (not is_usual and p.sample_rate > USUAL_RATE or 2 * fmin > C8) and math.huge or C8 end
   return {fmin > 0 and fmin or C1, fmax}
end

--- Can CENS look at this band at all?
-- @tparam table p `sample_rate`, `cens_sample_rate`, `fmin`, `fmax`, `features`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
function analysis.check_band(p)
   if p.features == "mel" then return true end
   local band = band_of(p)
   local ok, message = pcall(cens.cens, array.zeros(0), {sample_rate = p.sample_rate, band = band,
      hop = p.sample_rate // p.cens_sample_rate})
   return ok or nil, not ok and message:match("%(option (.*)%)$") or message
end

--- Features of a recording, in mono; silence is refused. Of CENS with a band, and at sample rates that have no room
-- for the usual one or are those of ultrasound, the tuning, which is that of audible sound, is taken for 0.
-- @tparam string path
-- @tparam table p `sample_rate` (Hz), `cens_sample_rate` (frames a second), and optionally `channel`, `fmin`, `fmax`
-- (see `bclua.data.hearing`), `features` (see `bclua.workflow.features`), `strict_audio` (refuse what is truncated,
-- damaged, or not as long as its header says)
-- and `block` (samples that are read at once, about)
-- @tparam[opt] function tell called with words and a share, as from `progress.slow`
-- @treturn[1] array f32 (dimensions, frames)
-- @treturn[1] table of the sound: `tuning`, `samples`, `channel` (nil: the mean), `constant` (runs {first, last} of
-- frames in which nothing moves), `source_sample_rate`, and where there is something to be said `warning` and
-- `claimed_seconds`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function analysis.features(path, p, tell)
   local channel, message = best_channel.choose(path, p.channel, p.sample_rate)
   if channel == nil then return nil, message end
   channel = channel or nil
   local reader <close>, why = audio.open(path, {sample_rate = p.sample_rate, channel = channel,
      strict = p.strict_audio})
   if not reader then return nil, why end
   local hop, info = p.sample_rate // p.cens_sample_rate, reader:info()
   local wide = info.sample_rate >= 2 * p.sample_rate
   local sound = {samples = 0, constant = {}, source_sample_rate = info.sample_rate, channel = channel}
   local least, most, power = math.huge, -math.huge, 0
   local block = hop * math.max(1, (p.block or BLOCK) // hop) -- whole frames
   local next_block, rewind = blocks_of(reader, block, function(y)
      least, most = math.min(least, y:min()), math.max(most, y:max())
      add_constant_runs(sound.constant, y, sound.samples // hop, hop)
      if wide then power = power + (y * y):sum() end
      sound.samples = sound.samples + #y
   end, tell)
   local c, tuning = features.compute(next_block, {features = p.features, sample_rate = p.sample_rate,
      cens_sample_rate = p.cens_sample_rate, fmin = p.fmin, fmax = p.fmax, band = band_of(p)}, rewind)
   if not c then return nil, tuning end
   if sound.samples == 0 then return nil, path .. ": no samples" end
   if least == most then return nil, path .. ": " .. silence.why(path, channel) end
   sound.tuning, sound.claimed_seconds = tuning, reader:info().claimed_s -- some are known at the end only
   sound.warning = reader:warning() or wide and ultrasound(path, channel, power / sound.samples, p.sample_rate)
      or hearing.about_rate(info.sample_rate, p.sample_rate)
   return c, sound
end

-- Where a recording is silent for more than half a window: start and end of each in seconds; nil: nowhere.
local function long_silences(constant, window, rate)
   local list = {}
   for _, run in ipairs(constant) do
      if run[2] - run[1] + 1 > window // 2 then
         list[#list + 1], list[#list + 2] = run[1] / rate, (run[2] + 1) / rate
      end
   end
   return list[1] and list
end

-- Features for the profile: NaN in the middle of constant sound, so that no window of which it is the larger part has a
-- neighbour or is one (see `stomp.self_join`). Half a window of it may be at either end of a window with sound.
local function without_silence(c, constant, window)
   local half, hidden = window // 2, nil
   for _, run in ipairs(constant) do
      local length = run[2] - run[1] + 1
      if length > half then
         local margin = math.min(half, (length - 1) // 2)
         hidden = hidden or c:copy()
         hidden:slice(2, run[1] + margin + 1, math.min(run[2] - margin + 1, c:shape(2))):fill(0 / 0)
      end
   end
   return hidden or c
end

--- Features and profile of a recording. Windows most of which are silent or constant have no neighbour
-- (distance infinite, index -1).
-- @tparam string path
-- @tparam table p as for `features`, and `matrix_profile_window` (frames), optionally `exclusion` (frames)
-- @tparam[opt] function tell as for `features`
-- @treturn[1] table the keys of metadata.json that come from the sound, and `profile`
-- (nil when the recording is shorter than the window), `cens`: the features, whatever they are
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function analysis.analyse(path, p, tell)
   local window = p.matrix_profile_window
   local c, sound = analysis.features(path, p, tell)
   if not c then return nil, sound end
   local r = {cens_sample_rate = p.cens_sample_rate, matrix_profile_window = window,
      sample_rate = p.sample_rate, duration_cens = c:shape(2), duration_samples = sound.samples,
      duration_seconds = sound.samples / p.sample_rate, tuning = sound.tuning, cens = c, warning = sound.warning,
      claimed_seconds = sound.claimed_seconds, source_sample_rate = sound.source_sample_rate,
      silence = long_silences(sound.constant, window, p.cens_sample_rate), channel = sound.channel,
      is_best_channel = p.channel == "best" or nil, fmin = p.fmin, fmax = p.fmax,
      features = p.features}
   if c:shape(2) >= window and sound.samples >= window * (p.sample_rate // p.cens_sample_rate) then
      local profile = stomp.self_join(without_silence(c, sound.constant, window), window, {exclusion = p.exclusion,
         progress = tell and function(done, total) tell("matrix profile", done / total) end})
      local motif, discord = stomp.motifs(profile, 1)[1], stomp.discords(profile, 1)[1]
      if motif and discord then -- none where the exclusion zone leaves no pair
         r.profile, r.motif_0, r.motif_1 = profile, motif.at, motif.twin
         r.discord_0, r.discord_1 = discord.at, discord.twin
      end
   end
   return r
end

return analysis
