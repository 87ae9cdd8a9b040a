--- The recordings of a data set, and what they are called: in folders of species, as in the BirdCLEF layout
-- `train_audio/<species>/<id>.ogg`, of sites, or in none.
-- @module bclua.data.recordings
local files = require "bclua.files"
local layouts = require "bclua.data.layouts"
local sounds = require "bclua.data.sounds"
local system = require "bclua.system"

local recordings = {}

local function is_taxonomy(name) return name:lower():match("taxonomy.*%.csv$") ~= nil end

-- Which layout it is, and whether that is said or plain.
local function choose_layout(layout, root, read, all)
   if layout and layout ~= "auto" then return layout, true end
   local base = files.basename(root == "." and require("lfs").currentdir() or root)
   local has_taxonomy = false
   for _, path in ipairs(all) do
      has_taxonomy = has_taxonomy or is_taxonomy(path) and not path:find("/", 1, true)
   end
   return layouts.guess(base, read, has_taxonomy)
end

-- Where what was found out about each recording is kept below a folder of results: its path without extension,
-- with it where two would share one.
local function set_ids(list)
   local users = {}
   local function key(r) return (r.species or "") .. "/" .. r.id end
   for _, r in ipairs(list) do
      r.id = r.rest:match("^(.*[^/])%.[^./]*$") or r.rest
      users[key(r)] = (users[key(r)] or 0) + 1
   end
   for _, r in ipairs(list) do
      if users[key(r)] > 1 then r.id = r.rest end
   end
   for _, r in ipairs(list) do r.rest = nil end
end

--- All recordings below a folder.
-- Species and site are as `bclua.data.layouts` says; the id is the path below the species, or below `root`,
-- without extension; where two files would share one, with it.
-- @tparam string root the folder whose name begins every `source_name`
-- @tparam[opt="auto"] string layout one of `layouts.names`
-- @treturn[1] {table,...} `{path=, source_name=, species=, site=, id=}`, sorted by source_name; species and site
-- are nil where there is none
-- @treturn[1] {table,...} what was left out, see `files.find`
-- @treturn[1] table how many files there are, and what becomes of the others: see `bclua.data.sounds`
-- @treturn[1] table `layout`: the one that was taken; `is_sure`: it was asked for, or is no guess
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function recordings.list(root, layout)
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
   local taken, list = {}, {}
   taken.layout, taken.is_sure = choose_layout(layout, root, found, all)
   for i, path in ipairs(found) do
      local species, site = layouts.of(path, taken.layout)
      list[i] = {path = root .. "/" .. path, source_name = base .. "/" .. path, species = species, site = site,
         rest = species and path:sub(#species + 2) or path}
   end
   set_ids(list)
   return list, left_out, others, taken
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
      if is_taxonomy(name) then csv[#csv + 1] = name end
   end
   table.sort(csv)
   layout.taxonomy = csv[1] and dir .. "/" .. csv[1] or nil
   return layout
end

return recordings
