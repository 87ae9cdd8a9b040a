--- Sound to the loudspeaker, through whatever player the system has: what
-- `audio.play` does.
-- @module bclua.play
local files = require "bclua.files"
local lfs = require "lfs"
local shell = require("bclua.display").shell
local system = require "bclua.system"

local play = {}

-- Commands before the name of a WAV file, the best first.
local PLAYERS = {"pw-play", "paplay", "aplay -q", "ffplay -nodisp -autoexit -loglevel error", "play -q", "afplay"}

-- The players that are there; one question to the shell.
local function find_players()
   local chosen = os.getenv("BCLUA_PLAYER")
   if chosen and chosen ~= "" then return {chosen} end
   local words, found = {}, {}
   for i, player in ipairs(PLAYERS) do words[i] = player:match("%S+") end
   local pipe <close> = io.popen("for p in " .. table.concat(words, " ") ..
      "; do command -v $p >/dev/null 2>&1 && echo $p; done; :")
   for line in pipe and pipe:lines() or function() end do
      for i, word in ipairs(words) do
         if word == line then found[#found + 1] = PLAYERS[i] end
      end
   end
   if #found > 0 then return found end
   return nil, "no player found (pw-play, paplay, aplay, ffplay, sox's play or afplay; " ..
      "Debian package alsa-utils has aplay), and BCLUA_PLAYER names none"
end

-- Is there anything that a player could play on: a card of ALSA, or a server of PulseAudio or PipeWire?
local function has_device()
   for name in files.is_folder "/dev/snd" and lfs.dir "/dev/snd" or function() end do
      if name:find("^pcm.*p$") then return true end
   end
   local folder = os.getenv("XDG_RUNTIME_DIR") or ""
   return (os.getenv("PULSE_SERVER") or "") ~= "" or files.exists(folder .. "/pulse/native") or
      files.exists(folder .. "/pipewire-0")
end

-- An error of audio.save, as one of play: its first argument is no path.
local function as_ours(message)
   return (message:gsub("#(%d) to '[^']*'", function(n) return ("#%d to 'play'"):format(tonumber(n) - 1) end))
end

local LOOK_EVERY_S = 0.02

local function take(path)
   local f = io.open(path, "rb")
   local text = f and f:read("a")
   if f then f:close() end
   return text
end

-- Run the player until it ends. It runs in the background of a shell that says its
-- number first, and leaves its status in a file: to wait for it in a read would miss a
-- signal that comes just before. Whatever stops us, Ctrl-C too, stops the player.
local function run(player, path)
   local said, done = path .. ".said", path .. ".done"
   local pipe, message = io.popen(("%s %s </dev/null >/dev/null 2>%s & p=$!; echo $p; wait $p; echo $? >%s"):format(
      player, shell(path), shell(said), shell(done)))
   if not pipe then return nil, message end
   local number, status
   local _ <close> = setmetatable({}, {__close = function()
      number = number or pipe:read("l") -- Ctrl-C may come before it
      if number and not status then os.execute("kill " .. number .. " 2>/dev/null") end
      pipe:close()
      for _, name in ipairs({said, done}) do os.remove(name) end
   end})
   number = pipe:read("l")
   while not status do
      if system.interrupted() then error("interrupted!", 0) end
      system.sleep(LOOK_EVERY_S)
      status = (take(done) or ""):match("^(%d+)\n")
   end
   if status == "0" then return true end
   local last = (take(said) or ""):match("([^\n]*%S)%s*$") -- libraries say much before it
   return nil, ("%s: %s"):format(player:match("%S+"), last or "ended with status " .. status)
end

--- Play samples, and wait for the end; Ctrl-C stops it.
-- The variable `BCLUA_PLAYER` names the command that gets the name of a WAV file
-- (16 bits; samples beyond -1..1 are cut off). Of no samples there is nothing to hear.
-- @tparam array y f32 (samples) or (channels, samples), all finite
-- @tparam integer sample_rate Hz
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message: there is no player, no device, or what the player said
function play.play(y, sample_rate)
   local audio = require "bclua.audio"
   local scratch <close> = files.scratch()
   local path = os.tmpname()
   scratch[1] = path
   local ok, saved, message = pcall(audio.save, path, y, sample_rate, {format = "wav"})
   if not ok then error(as_ours(saved), 2) end
   if not saved then return nil, message end
   if y:size() == 0 then return true end
   local players
   players, message = find_players()
   for _, player in ipairs(players or {}) do -- one may be there without the server that it plays to
      ok, message = run(player, path)
      if ok then return true end
   end
   if players and not has_device() then
      message = "no sound device here: audio.save writes what can be heard elsewhere (" .. message .. ")"
   end
   return nil, message
end

return play
