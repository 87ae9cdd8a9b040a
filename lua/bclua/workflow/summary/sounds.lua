--- Sounds of a report: parts of recordings that are in the page, and where the page finds the recordings themselves.
-- @module bclua.workflow.summary.sounds
local audio = require "bclua.audio"
local lfs = require "lfs"

local sounds = {}

local QUALITY = 0 -- of Vorbis: 3 kB a second
--- At higher sample rates (Hz) sound is played slower,
sounds.ultrasound = 96000
--- by this factor.
sounds.slower = 10

--- Part of a recording.
-- @tparam string path
-- @tparam table heard `sample_rate` and `channel`
-- @tparam number start_s
-- @tparam number seconds
-- @tparam string caption
-- @treturn[1] table for `Report:players`: `bytes`, `type`, `caption`
-- @treturn[1] array the samples
-- @treturn[2] nil
-- @treturn[2] string message
function sounds.part(path, heard, start_s, seconds, caption)
   local rate = heard.sample_rate
   local y, message = audio.load(path, {sample_rate = rate, channel = heard.channel, start_s = start_s,
      seconds = seconds})
   if not y then return nil, message end
   if rate > sounds.ultrasound then
      rate, caption = rate // sounds.slower, ("%s (%d times slower)"):format(caption, sounds.slower)
   end
   local bytes
   bytes, message = audio.encode(y, rate, {format = "ogg", quality = QUALITY})
   if not bytes then return nil, message end
   return {bytes = bytes, type = "audio/ogg", caption = caption}, y
end

-- The parts of an absolute path, without "." and "..".
local function parts_of(path)
   local list = {}
   if path:sub(1, 1) ~= "/" then path = lfs.currentdir() .. "/" .. path end
   for part in path:gmatch("[^/]+") do
      if part == ".." then list[#list] = nil elseif part ~= "." then list[#list + 1] = part end
   end
   return list
end

--- How one folder is reached from another: what a page in `from` puts in front of the names of files in `to`.
-- @tparam string from
-- @tparam string to
-- @treturn string
function sounds.relative(from, to)
   local a, b, same = parts_of(from), parts_of(to), 0
   while a[same + 1] and a[same + 1] == b[same + 1] do same = same + 1 end
   local words = {}
   for _ = same + 1, #a do words[#words + 1] = ".." end
   return #words + #b == same and "." or table.concat(table.move(b, same + 1, #b, #words + 1, words), "/")
end

return sounds
