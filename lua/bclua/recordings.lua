--- The recordings of a data set in the BirdCLEF layout,
-- `train_audio/<species>/<id>.ogg`; other layouts are read as best they can.
-- @module bclua.recordings
local files = require "bclua.files"
local sounds = require "bclua.recordings.sounds"
local system = require "bclua.system"

local recordings = {}

--- All recordings below a folder.
-- The species is the first folder below `root`; a file directly in `root` takes
-- the name of `root` itself. The id is the path below the species without extension; where
-- two files would share one, with it.
-- @tparam string root the folder whose name begins every `source_name`
-- @treturn[1] {table,...} `{path=, source_name=, species=, id=}`, sorted by source_name
-- @treturn[1] {table,...} what was left out, see `files.find`
-- @treturn[1] table how many files there are, and what becomes of the others: see `bclua.recordings.sounds`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function recordings.list(root)
   root = root:gsub("(.)/+$", "%1")
   local all, left_out, hidden = files.find(root)
   if not all then return nil, left_out end
   local found, others = sounds.sort_out(root, all, left_out, hidden)
   if #found == 0 then
      local about = sounds.about(others)
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
