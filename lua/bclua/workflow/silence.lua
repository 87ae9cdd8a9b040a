--- What is no sound: digital silence and constants, as recorders leave them where they pad, pause below a trigger or
-- lose a microphone; and channels that cancel each other.
-- @module bclua.workflow.silence
local count = require("bclua.display").count

local silence = {}

local CONSTANT = 1e-6 -- peak to peak of a frame in which there is no sound; a step of 16 bits is 3e-5
local FRAME_S = 0.1
local BLOCK = 1 << 19 -- samples

--- Is there no sound in a frame? A few samples tell most that have some.
-- @tparam array y f32 (samples)
-- @tparam integer first its first sample, from 1
-- @tparam integer n samples
-- @treturn boolean
function silence.is_constant(y, first, n)
   local value = y[first]
   for k = 1, 7 do
      if math.abs(y[first + k * n // 8] - value) >= CONSTANT then return false end
   end
   local frame = y:slice(1, first, first + n - 1)
   return frame:max() - frame:min() < CONSTANT
end

--- Is there no sound in more than a share of a window, by its tenths of seconds?
-- @tparam array y f32 (samples), 1 or more
-- @tparam integer sample_rate Hz
-- @tparam[opt=0.5] number share
-- @treturn boolean
function silence.covers(y, sample_rate, share)
   local n = math.min(#y, math.max(1, math.floor(FRAME_S * sample_rate)))
   local frames = #y // n
   local left = frames * (1 - (share or 0.5)) -- frames with sound that there may be, and no more
   for i = 0, frames - 1 do
      if not silence.is_constant(y, i * n + 1, n) then left = left - 1 end
      if left <= 0 then return false end
   end
   return true
end

-- The least and the largest sample of a file, all its channels or one.
local function range(path, options)
   local least, most = math.huge, -math.huge
   local reader <close> = require("bclua.audio").open(path, options)
   local y = reader and reader:read(BLOCK)
   while y and least >= most do
      least, most = math.min(least, y:min()), math.max(most, y:max())
      y = reader:read(BLOCK)
   end
   return least, most
end

--- Why there is nothing to be heard in a recording that was found silent.
-- @tparam string path
-- @tparam[opt] integer channel the one that was looked at; none: the mean of all
-- @treturn string without the path
function silence.why(path, channel)
   if channel then return ("channel %d is silent (every sample is the same)"):format(channel) end
   local least, most = range(path, {mono = false})
   if least < most then
      return "its channels cancel each other: opposite phase (a microphone wired the wrong way round?)"
   end
   return "silent (every sample is the same)"
end

--- What is to be said of windows of which some are silent.
-- @tparam string path
-- @tparam integer silent windows
-- @tparam integer all
-- @tparam[opt] integer channel
-- @treturn ?string without the path; nil: none is
function silence.about(path, silent, all, channel)
   if silent == 0 then return nil end
   if silent < all then return ("silent or constant: %d of its %s"):format(silent, count(all, "window")) end
   local mono = channel and {channel = channel} or nil
   local least, most = range(path, mono)
   if least < most then return "silent or constant wherever it was looked at" end
   return silence.why(path, channel)
end

return silence
