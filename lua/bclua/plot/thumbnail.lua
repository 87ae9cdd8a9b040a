--- Small spectrograms that a page draws itself: a byte a value, a tenth of a PNG, in the colours of the page.
-- @module bclua.plot.thumbnail
local options_of = require "bclua.options"
local spectral = require "bclua.spectral"

local thumbnail = {}

local N_FFT, RANGE_DB = 1024, 70

local MEL = {bands = {"integer", default = 96, least = 1, most = 1024}, hop_s = {"number", default = 0.016, above = 0}}

--- Log-mel bands over time, 0 to 255 over 70 dB below the loudest.
-- @tparam array y mono samples
-- @tparam integer sample_rate Hz
-- @tparam[opt] table options `bands` (96), `hop_s` (0.016): seconds from frame to frame
-- @treturn string bands, frames (two bytes each, little endian), then a byte a value, the lowest band first
function thumbnail.mel(y, sample_rate, options)
   local o = options_of.check(options, MEL)
   local db = spectral.log_mel(y, {sample_rate = sample_rate, n_fft = N_FFT,
      hop = math.max(1, math.floor(o.hop_s * sample_rate)), n_mels = o.bands, top_db = RANGE_DB})
   local low, high = db:min(), db:max()
   local grey = ((db - low) * (255 / math.max(high - low, 1e-6))):copy("u8")
   return string.pack("<I2I2", db:shape(1), db:shape(2)) .. grey:string()
end

return thumbnail
