--- What `extract` computes of one recording: decoded sound, CENS, matrix profile, motif and discord.
-- @module bclua.workflow.analysis
local audio = require "bclua.audio"
local cens = require "bclua.cens"
local stomp = require "bclua.stomp"

local analysis = {}

--- CENS of samples in memory; p as for `analyse`.
-- @treturn array f32 (12, frames)
-- @treturn table what `cens.cens` tells, `tuning` among it
function analysis.cens(y, p)
   return cens.cens(y, {sample_rate = p.sample_rate, hop = p.sample_rate // p.cens_sample_rate})
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
function analysis.analyse(y, p)
   local window = p.matrix_profile_window
   local c, info = analysis.cens(y, p)
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
function analysis.silence(path)
   local y = audio.load(path, {mono = false})
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
function analysis.decode(path, sample_rate, strict)
   local y, message, warning = audio.load(path, {sample_rate = sample_rate, strict = strict})
   if not y then return nil, message end
   if #y == 0 then return nil, path .. ": no samples" end
   if y:max() == y:min() then return nil, analysis.silence(path) end
   return y, warning
end

local LEAST_SHARE = 0.05 -- of the power that is left after conversion; with less there is a warning

--- Most of the sound of a recorder of ultrasound may lie above the frequencies that are looked at.
-- @tparam string path
-- @tparam array y what was decoded of it
-- @tparam table p `sample_rate`
-- @tparam ?integer source_rate Hz, of the file
-- @treturn ?string what is to be said of it
function analysis.ultrasound(path, y, p, source_rate)
   if not source_rate or source_rate < 2 * p.sample_rate then return nil end
   local reader <close> = audio.open(path)
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

return analysis
