--- Which files of a folder are recordings, and what becomes of the others.
-- @module bclua.data.sounds
local audio = require "bclua.audio"
local count = require("bclua.display").count
local files = require "bclua.files"

local sounds = {}

local function set(words)
   local names = {}
   for word in words:gmatch("%S+") do names[word] = true end
   return names
end

-- By their extension: what is read here; what ffmpeg reads; sound that nobody reads.
local READ = set [[8svx aif aifc aiff au bwf caf flac mp1 mp2 mp3 mpga nist oga ogg opus rf64 snd sph svx voc w64 wav
   wave]]
local BY_FFMPEG = set [[3g2 3ga 3gp 3gpp aac ac3 adts alac amr ape awb dff dsf dts eac3 ec3 m4a m4b m4r mka mp4 mpc mp+
   mpp ra rm shn spx tak tta weba webm wma wv]]
local BY_NOBODY = set "at3 oma wac w4v"
-- Formats that hold pictures more often than sound alone, where a name does not say so.
local PICTURES = set "mp4 matroska asf"

--- The numbers of no file, or of files that are all recordings.
-- @tparam[opt=0] integer found
-- @treturn table `found` = recordings + what was left out + `not_read` + `ignored` (`hidden` among them);
-- `extensions`: how many are not read, by their extension in small letters
function sounds.none(found) return {found = found or 0, not_read = 0, ignored = 0, hidden = 0, extensions = {}} end

--- Add the numbers of another folder.
-- @tparam table sum changed
-- @tparam table others
function sounds.add(sum, others)
   for _, key in ipairs({"found", "not_read", "ignored", "hidden"}) do sum[key] = sum[key] + others[key] end
   for extension, n in pairs(others.extensions) do sum.extensions[extension] = (sum.extensions[extension] or 0) + n end
end

-- What is a file whose name does not say so? "read", "not_read" or "ignored".
local function by_content(path, extension, has_ffmpeg)
   local reader, format = audio.kind(path)
   if not reader or extension ~= "" and PICTURES[format] then return "ignored" end
   if reader == "ffmpeg" and not has_ffmpeg then return "not_read" end
   if not audio.info(path) then return "ignored" end
   return extension == "" and "read" or "not_read" -- a copy, perhaps, or a part of a recording that is there as well
end

local function place(path, extension, has_ffmpeg)
   if READ[extension] then return "read" end
   if BY_FFMPEG[extension] then return has_ffmpeg and "read" or "not_read" end
   if BY_NOBODY[extension] then return "not_read" end
   return by_content(path, extension, has_ffmpeg)
end

--- Files by what becomes of them.
-- @tparam string root
-- @tparam {string,...} found from `files.find`, as the next two
-- @tparam {table,...} left_out
-- @tparam integer hidden
-- @treturn {string,...} the recordings, of `found`
-- @treturn table the numbers, as from `none`
function sounds.sort_out(root, found, left_out, hidden)
   local read, others, has_ffmpeg = {}, sounds.none(#found + #left_out + hidden), audio.ffmpeg()
   others.hidden, others.ignored = hidden, hidden
   for _, path in ipairs(found) do
      local extension = (files.basename(path):match("%.([^.]*)$") or ""):lower()
      local where = place(root .. "/" .. path, extension, has_ffmpeg)
      if where == "read" then
         read[#read + 1] = path
      else
         others[where] = others[where] + 1
         if where == "not_read" then others.extensions[extension] = (others.extensions[extension] or 0) + 1 end
      end
   end
   return read, others
end

-- The extensions that are not read, as words, and what to do about them.
local function unread(extensions)
   local words, todo = {}, {}
   for extension, n in pairs(extensions) do
      words[#words + 1] = extension == "" and ("%d without extension"):format(n) or ("%d .%s"):format(n, extension)
      local key = (BY_FFMPEG[extension] or extension == "") and "install ffmpeg" or BY_NOBODY[extension] and "convert"
         or "rename, if they are no copies:"
      todo[key] = todo[key] or {}
      table.insert(todo[key], extension ~= "" and "." .. extension or nil)
   end
   table.sort(words)
   local steps = {}
   for step, names in pairs(todo) do
      table.sort(names)
      steps[#steps + 1] = step == "install ffmpeg" and step or step .. " " .. table.concat(names, ", ")
   end
   table.sort(steps)
   return table.concat(words, ", ") .. "; " .. table.concat(steps, "; ")
end

--- What is to be said of files that are no recordings, or cannot be read.
-- @tparam table others from `sort_out`
-- @treturn ?string nil: nothing
function sounds.about(others)
   local parts = {}
   if others.not_read > 0 then
      parts[1] = ("%s not read: %s"):format(count(others.not_read, "file"), unread(others.extensions))
   end
   if others.ignored > 0 then
      parts[#parts + 1] = ("%s ignored%s"):format(count(others.ignored, "other file"),
         others.hidden > 0 and (" (%d hidden)"):format(others.hidden) or "")
   end
   return #parts > 0 and table.concat(parts, "; ") or nil
end

return sounds
