--- What a profile is of: the features of a recording, frame by frame.
--
-- `cens`: chroma, normalised and smoothed over seconds (see `bclua.cens`): alike is what has the same pitches, also at
-- another tempo or played otherwise, as music has it. `mel`: the bands that stand out against the recording's own
-- background (see `sampling.call_features`): alike is what has the same spectrogram. Which finds what is in
-- doc/experiments.md.
-- @module bclua.workflow.features
local array = require "bclua.array"
local cens = require "bclua.cens"
local sampling = require "bclua.sampling"
local score = require "bclua.workflow.score"
local spectral = require "bclua.spectral"

local features = {}

--- Their names; the first is the default.
features.names = {"cens", "mel"}

--- A rule of `bclua.options`.
features.rule = {"choice", features.names, default = "cens",
   text = "What windows are compared by: cens (chroma, as music is) or mel (the bands that stand out, as calls do)."}

local BANDS = 32
local OVERLAP = 0.75 -- of a spectrum: the step between two, at most

--- How many dimensions they have.
-- @tparam table o as for `compute`
-- @treturn integer
function features.dims(o) return o.features == "mel" and score.mel(o, BANDS).n_mels or 12 end

-- A mel spectrogram of several spectra a frame.
local function mel_options(o)
   local options = {}
   for k, v in pairs(score.mel(o, BANDS)) do options[k] = v end
   local hop, parts = o.sample_rate // o.cens_sample_rate, 1
   while hop // parts > OVERLAP * options.n_fft or hop % parts > 0 do
      parts = parts + 1
      if hop // parts < options.n_fft // 8 then -- no such divisor: one long spectrum a frame
         parts = 1
         while hop > OVERLAP * options.n_fft do options.n_fft = 2 * options.n_fft end
         break
      end
   end
   options.hop = hop // parts
   return options, parts
end

-- The mean of every n columns; of those at the end also of fewer.
local function mean_of_columns(m, n)
   local bands, whole, rest = m:shape(1), m:shape(2) // n, m:shape(2) % n
   local list = {m:slice(2, 1, whole * n):reshape{bands, whole, n}:mean(3)}
   if rest > 0 then list[2] = m:slice(2, whole * n + 1, whole * n + rest):mean(2):reshape{bands, 1} end
   return array.concat(list, 2)
end

-- Power of bands, (bands, frames), frame by frame as CENS has them; nil and a message where the source fails.
local function frames_of_power(source, o)
   local options, parts = mel_options(o)
   local list, left = {}, nil
   local function keep(m)
      if left then m = array.concat({left, m}, 2) end
      local whole = m:shape(2) // parts * parts
      left = whole < m:shape(2) and m:slice(2, whole + 1, m:shape(2)):copy() or nil
      if whole > 0 then list[#list + 1] = mean_of_columns(m:slice(2, 1, whole):copy(), parts) end
   end
   if array.is_array(source) then
      keep(spectral.mel(source, options))
   else
      options.each = keep
      local ok, message = spectral.mel(source, options)
      if not ok then return nil, message end
   end
   if left then list[#list + 1] = mean_of_columns(left, parts) end
   return #list > 0 and array.concat(list, 2) or array.zeros{options.n_mels, 0}
end

--- Features of sound.
-- @tparam array|function source samples, or a function that gives them block by block
-- @tparam table o `features` (`names`), `sample_rate` (Hz), `cens_sample_rate` (frames a second, which divide it),
-- `fmin`, `fmax` (Hz; 0: see `score.mel`); of `cens` also `band`, see `cens.cens`, in place of these two
-- @tparam[opt] function rewind of a function: begin again
-- @treturn[1] array f32 (dimensions, frames): 12, or 32 bands, fewer where there is no room for them
-- @treturn[1] number tuning of `cens`; nil of `mel`
-- @treturn[2] nil
-- @treturn[2] string message
function features.compute(source, o, rewind)
   if o.features == "mel" then
      local m, message = frames_of_power(source, o)
      if not m then return nil, message end
      return sampling.call_features(m)
   end
   local c, told = cens.cens(source, {sample_rate = o.sample_rate, hop = o.sample_rate // o.cens_sample_rate,
      rewind = rewind, band = o.band, tuning = o.band and 0 or nil})
   if not c then return nil, told end
   return c, told and told.tuning
end

return features
