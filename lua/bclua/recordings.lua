--- The recordings of a data set in the BirdCLEF layout,
-- `train_audio/<species>/<id>.ogg`; other layouts are read as best they can.
-- @module bclua.recordings
local files = require "bclua.files"
local system = require "bclua.system"

local recordings = {}

local function set(words)
   local names = {}
   for word in words:gmatch("%S+") do names[word] = true end
   return names
end

local READ = set "ogg oga opus flac wav wave mp3 mp2 mp1 mpga aif aiff aifc caf w64 rf64 au snd"
-- Sound that is not decoded here.
local NOT_READ = set "3g2 3gp 3gpp aac ac3 alac amr ape dsf dts m4a m4b mka mpc ra ram spx tta wac weba wma wv"

--- What `list` tells of other files, where there are none.
-- @tparam[opt=0] integer found
-- @treturn table
function recordings.none(found) return {found = found or 0, not_read = 0, ignored = 0, hidden = 0, extensions = {}} end

--- Add what `list` tells of the other files of one folder to that of others.
-- @tparam table sum changed
-- @tparam table others
function recordings.add(sum, others)
   for _, key in ipairs({"found", "not_read", "ignored", "hidden"}) do sum[key] = sum[key] + others[key] end
   for extension, n in pairs(others.extensions) do sum.extensions[extension] = (sum.extensions[extension] or 0) + n end
end

-- Is the file of this path, whose name has no extension, a sound file all the same?
local function holds_sound(path) return require("bclua.audio").info(path) ~= nil end

-- Files by what becomes of them: those that can be read as a list, the others counted.
local function sort_out(root, found, left_out, hidden)
   local read, others = {}, recordings.none(#found + #left_out + hidden)
   others.hidden, others.ignored = hidden, hidden
   for _, path in ipairs(found) do
      local extension = (files.basename(path):match("%.([^.]*)$") or ""):lower()
      if READ[extension] or extension == "" and holds_sound(root .. "/" .. path) then
         read[#read + 1] = path
      elseif NOT_READ[extension] then
         others.not_read = others.not_read + 1
         others.extensions[extension] = (others.extensions[extension] or 0) + 1
      else
         others.ignored = others.ignored + 1
      end
   end
   return read, others
end

--- What is to be said of files that are no recordings, or cannot be read.
-- @tparam table others the third value of `list`
-- @treturn ?string nil: nothing
function recordings.about(others)
   local words, parts = {}, {}
   for extension, n in pairs(others.extensions) do words[#words + 1] = ("%d .%s"):format(n, extension) end
   table.sort(words)
   if others.not_read > 0 then
      parts[1] = ("%d sound files not read: %s (formats that are not decoded here: convert them, to FLAC say)"):format(
         others.not_read, table.concat(words, ", "))
   end
   if others.ignored > 0 then
      parts[#parts + 1] = ("%d other files ignored%s"):format(others.ignored,
         others.hidden > 0 and (" (%d hidden)"):format(others.hidden) or "")
   end
   return #parts > 0 and table.concat(parts, "; ") or nil
end

--- All recordings below a folder.
-- The species is the first folder below `root`; a file directly in `root` takes
-- the name of `root` itself. The id is the path below the species without extension; where
-- two files would share one, with it.
-- @tparam string root the folder whose name begins every `source_name`
-- @treturn[1] {table,...} `{path=, source_name=, species=, id=}`, sorted by source_name
-- @treturn[1] {table,...} what was left out, see `files.find`
-- @treturn[1] table how many files there are: `found` (all, and what was left out), `not_read` of them (sound in a
-- format that is not decoded here; by their `extensions`), `ignored` (no sound, and what is `hidden`, a folder as one)
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function recordings.list(root)
   root = root:gsub("(.)/+$", "%1")
   local all, left_out, hidden = files.find(root)
   if not all then return nil, left_out end
   local found, others = sort_out(root, all, left_out, hidden)
   if #found == 0 then
      local about = recordings.about(others)
      return nil, ("%s: no recordings (ogg, flac, wav, mp3, ...)%s%s"):format(root, about and "; " .. about or "",
         left_out[1] and ("; %d left out, the first: %s"):format(#left_out, left_out[1].reason) or "")
   end
   local base = files.basename(root)
   if base == "" or base == "." or base == ".." then base = "train_audio" end
   local list, users = {}, {}
   for i, path in ipairs(found) do
      local species, rest = path:match("^([^/]+)/(.+)$")
      local r = {path = root .. "/" .. path, source_name = base .. "/" .. path,
         species = species or base, rest = rest or path}
      r.id = r.rest:match("^(.*[^/])%.[^./]*$") or r.rest
      local key = r.species .. "/" .. r.id
      users[key] = (users[key] or 0) + 1
      list[i] = r
   end
   for _, r in ipairs(list) do
      if users[r.species .. "/" .. r.id] > 1 then r.id = r.rest end
      r.rest = nil
   end
   return list, left_out, others
end

--- Where a data set keeps its parts: `DIR/train_audio` (else DIR itself) and the
-- first taxonomy CSV in DIR, if there is one.
-- @tparam string dir
-- @treturn[1] table `{audio=, root=, taxonomy=}`; root .. "/" .. source_name is a file
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function recordings.layout(dir)
   dir = dir:gsub("(.)/+$", "%1")
   if not files.exists(dir) then return nil, dir .. ": no such folder" end
   if not files.is_folder(dir) then return nil, dir .. ": not a folder" end
   local layout = {audio = dir, root = files.dirname(dir)}
   for _, name in ipairs({"train_audio", "train_short_audio"}) do
      if files.is_folder(dir .. "/" .. name) then
         layout = {audio = dir .. "/" .. name, root = dir}
         break
      end
   end
   local names, message = system.list(dir)
   if not names then return nil, message end
   local csv = {}
   for _, name in ipairs(names) do
      if name:lower():match("taxonomy.*%.csv$") then csv[#csv + 1] = name end
   end
   table.sort(csv)
   layout.taxonomy = csv[1] and dir .. "/" .. csv[1] or nil
   return layout
end

return recordings
