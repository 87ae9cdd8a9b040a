--- The channel of a recording that has most to say.
-- @module bclua.workflow.best_channel
local array = require "bclua.array"
local audio = require "bclua.audio"
local sampling = require "bclua.sampling"
local score = require "bclua.workflow.score"
local silence = require "bclua.workflow.silence"
local spectral = require "bclua.spectral"

local best_channel = {}

--- Of long recordings the best channel is found by so many pieces, from beginning to end.
best_channel.pieces = 32
--- The samples of a piece.
best_channel.piece = 1 << 19

local CLIPPED, CLIPPED_SHARE = 0.99, 1e-3
local TOP = 0.95 -- the quantile of a channel's frames that judges it

-- Pieces of one channel without its silence; how many samples there were.
local function read_channel(path, channel, sample_rate)
   local reader <close>, message = audio.open(path, {sample_rate = sample_rate, channel = channel})
   if not reader then return nil, message end
   local length, n = reader:info().read_length, math.floor(sample_rate / 10)
   local kept, all, pieces, piece = {}, 0, best_channel.pieces, best_channel.piece
   for k = 0, pieces - 1 do
      if length and length > pieces * piece then
         local ok, why = reader:seek_s(k * (length - piece) / (pieces - 1) / sample_rate)
         if not ok then return nil, why end
      end
      local y, why = reader:read(piece)
      if why then return nil, why end
      if not y then break end
      all = all + #y
      for first = 1, #y - n + 1, n do
         if not silence.is_constant(y, first, n) then kept[#kept + 1] = y:slice(1, first, first + n - 1) end
      end
   end
   return #kept > 0 and array.concat(kept) or array.zeros(0), all
end

-- How much a channel has to say: the score (see `bclua.workflow.score`) that a twentieth of its frames exceed, times
-- the share of it that is no silence; and is it clipped?
local function judge(path, channel, sample_rate)
   local y, all = read_channel(path, channel, sample_rate)
   if not y then return nil, all end
   if #y == 0 then return {score = -math.huge, clipped = false} end
   local energy, contrast = sampling.call_measures(spectral.mel(y, score.mel{sample_rate = sample_rate,
      fmin = 0, fmax = 0}))
   local frames = (energy + contrast):table()
   table.sort(frames)
   local _, _, clipped = sampling.measure(y, CLIPPED)
   return {score = frames[math.max(1, math.floor(TOP * #frames))] * #y / all, clipped = clipped > CLIPPED_SHARE * #y}
end

local function loudest(path, sample_rate)
   local info, message = audio.info(path)
   if not info then return nil, message end
   local best, at = nil, 1
   for channel = 1, info.channels > 1 and info.channels or 0 do
      local judged, why = judge(path, channel, sample_rate)
      if not judged then return nil, why end
      if not best or best.clipped and not judged.clipped
         or best.clipped == judged.clipped and judged.score > best.score then
         best, at = judged, channel
      end
   end
   return at
end

--- The channel of a recording that a setting means. The best one is the one that is not clipped, if there is such, in
-- which most stands out from the background: of whose frames the loudest twentieth has the highest call score.
-- @tparam string path
-- @tparam ?string|integer channel as in parameters: nil, a number, or "best"
-- @tparam integer sample_rate Hz
-- @treturn[1] integer|boolean from 1; false: the mean of all
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function best_channel.choose(path, channel, sample_rate)
   if channel == "best" then return loudest(path, sample_rate) end
   return channel or false
end

return best_channel
