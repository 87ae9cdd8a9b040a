--- Paths, folders and small JSON files.
-- @module bclua.files
local display = require "bclua.display"
local json = require "bclua.json"
local lfs = require "lfs"
local system = require "bclua.system"

local files = {}

--- The last part of a path.
function files.basename(path) return (path:gsub("/+$", ""):match("([^/]*)$")) end

--- A file name without folder and without its last extension.
function files.stem(path)
   local name = files.basename(path)
   return name:match("^(.+)%.[^.]*$") or name
end

--- Everything before the last part; "." if there is nothing.
function files.dirname(path)
   local dir = path:gsub("/+$", ""):match("^(.*)/[^/]*$")
   return dir == nil and "." or dir == "" and "/" or dir
end

local LONGEST = 255 -- bytes of a name, on all usual file systems

--- A path and an ending, the name shortened where it would be too long for a file; then a checksum of the
-- whole name tells it from others that begin alike.
-- @tparam string path
-- @tparam string ending
-- @treturn string
-- @usage files.fit("labels/" .. id, ".txt")
function files.fit(path, ending)
   local name = files.basename(path)
   if #name + #ending <= LONGEST then return path .. ending end
   local sum, room = 2166136261, LONGEST - #ending - #"-12345678"
   for _, byte in ipairs({name:byte(1, -1)}) do sum = ((sum ~ byte) * 16777619) & 0xFFFFFFFF end -- FNV-1a
   while room > 0 and name:byte(room + 1) & 0xC0 == 0x80 do room = room - 1 end -- not within a letter
   return ("%s%s-%08x%s"):format(path:sub(1, #path - #name), name:sub(1, room), sum, ending)
end

--- Does a name that a table gives stay within the folder that it is put behind? Where it does not, nothing
-- is read or written by it.
-- @tparam string name
-- @treturn boolean
function files.is_inside(name)
   return name:sub(1, 1) ~= "/" and not name:find("\0", 1, true) and not ("/" .. name .. "/"):find("/../", 1, true)
end

--- Is there anything of this name?
function files.exists(path) return lfs.attributes(path, "mode") ~= nil end

--- Is it a regular file? To read a pipe would be to wait for who writes it.
function files.is_file(path) return lfs.attributes(path, "mode") == "file" end

--- Is it a folder?
function files.is_folder(path) return lfs.attributes(path, "mode") == "directory" end

--- Size in bytes and time of last change; nil if there is no such file.
function files.stamp(path)
   local a = lfs.attributes(path)
   if a then return a.size, a.modification end
   return nil
end

-- Names that systems hide, and their own folders on a card: what was thrown away is in one of them.
local function is_hidden(name)
   return name:sub(1, 1) == "." or name:lower() == "$recycle.bin" or name == "System Volume Information"
end

local Walk = {}
Walk.__index = Walk

function Walk:leave_out(path, reason)
   self.left_out[#self.left_out + 1] = {path = path, reason = path .. ": " .. reason}
end

-- One name of a folder. Links to folders wait until all that is really there has been seen.
function Walk:look_at(path, name)
   local full = self.root .. "/" .. path
   local a, why = lfs.attributes(full)
   local is_link = (not a or a.mode == "directory") and lfs.symlinkattributes(full, "mode") == "link"
   if not a then
      self:leave_out(full, is_link and "a link that leads nowhere" or why:match(": ([^:]*)$") or why)
   elseif is_link then
      self.links[#self.links + 1] = {path = path, key = a.dev .. ":" .. a.ino}
   elseif a.mode == "directory" then
      self:enter(path, a.dev .. ":" .. a.ino)
   elseif self.wanted(name) and a.mode == "file" then
      self.found[#self.found + 1] = path
   elseif self.wanted(name) then
      self:leave_out(full, "a " .. a.mode .. ", no file")
   end
end

-- A folder; nil and a message if nothing of it can be read.
function Walk:enter(below, key)
   self.seen[key] = true
   local full = below == "" and self.root or self.root .. "/" .. below
   local names, message = system.list(full)
   if message then self:leave_out(full, message:sub(#full + 3)) end
   if not names then return nil, message end
   table.sort(names)
   for _, name in ipairs(names) do
      if is_hidden(name) then
         self.hidden = self.hidden + 1
      else
         self:look_at(below == "" and name or below .. "/" .. name, name)
      end
   end
   return true
end

--- All files below a folder but hidden ones: names that begin with a dot, and the folders `$RECYCLE.BIN` and
-- `System Volume Information`. Links are followed, but each folder is read once, under the name
-- that leads to it without a link if there is one. What cannot be read costs only itself.
-- @tparam string root
-- @tparam[opt] function wanted is the file of this name wanted? (default: all)
-- @treturn[1] {string,...} paths relative to root, sorted
-- @treturn[1] {table,...} what was left out: `path`, and the `reason`, which begins with it: folders and wanted files
-- that cannot be read, links that lead nowhere or to a folder that was read, pipes and devices
-- @treturn[1] integer how many hidden files and folders were passed over, those in a hidden folder not counted
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function files.find(root, wanted)
   local a = lfs.attributes(root)
   if not a then return nil, root .. ": no such folder" end
   if a.mode ~= "directory" then return nil, root .. ": not a folder" end
   local w = setmetatable({root = root, wanted = wanted or function() return true end, found = {}, left_out = {},
      hidden = 0, links = {}, seen = {}}, Walk)
   local ok, message = w:enter("", a.dev .. ":" .. a.ino)
   if not ok then return nil, message end
   local at = 1
   while w.links[at] do -- there may be more behind them
      local link = w.links[at]
      if w.seen[link.key] then
         w:leave_out(root .. "/" .. link.path, "a link to a folder that is read already")
      else
         w:enter(link.path, link.key)
      end
      at = at + 1
   end
   table.sort(w.found)
   return w.found, w.left_out, w.hidden
end

--- Remove a file, or a folder and all that is in it; links are removed, not followed.
-- @tparam string path it need not be there
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function files.remove(path)
   local mode = lfs.symlinkattributes(path, "mode")
   if not mode then return true end
   if mode == "directory" then
      for name in lfs.dir(path) do
         if name ~= "." and name ~= ".." then
            local ok, message = files.remove(path .. "/" .. name)
            if not ok then return nil, message end
         end
      end
   end
   return os.remove(path)
end

local Scratch = {__close = function(names)
   for _, name in ipairs(names) do files.remove(name) end
end}

--- A list of files and folders that are removed when the variable that holds it is closed, whatever ends the work.
-- @treturn {string,...}
-- @usage local scratch <close> = files.scratch()
-- scratch[1] = os.tmpname()
function files.scratch() return setmetatable({}, Scratch) end

--- The whole text of a file.
-- @treturn[2] nil, message beginning with the path
function files.read(path)
   local f, message = io.open(path, "rb")
   if not f then return nil, message end
   local text, why = f:read("a")
   f:close()
   if not text then return nil, path .. ": " .. why end
   return text
end

--- A JSON file as a Lua value; see `bclua.json`.
-- @treturn[2] nil, message beginning with the path
function files.read_json(path)
   local text, message = files.read(path)
   if not text then return nil, message end
   local value, why = json.decode(text)
   if value == nil then return nil, path .. ": " .. (why or "null") end
   return value
end

--- A Lua value as JSON with sorted keys: `bclua.json`'s `encode`.
-- @function json
-- @param value
-- @tparam[opt=false] boolean pretty one key a line
files.json = json.encode

--- Write a value as JSON, whole or not at all.
-- @treturn[2] nil, message beginning with the path
function files.write_json(path, value)
   return system.write_file(path, files.json(value, true) .. "\n")
end

-- A spreadsheet takes a text for a formula that begins so; after apostrophes, for `unguard` to be exact.
local FORMULA = "^'*[=+%-@\t\r]"

local function is_number(text) return tonumber(text) or text == "-nan" or text == "-inf" end

--- A text as a cell of a CSV that spreadsheets open: with an apostrophe in front where it begins with `=`, `+`,
-- `-`, `@`, tab or carriage return and is no number (or begins so after apostrophes of its own).
-- @tparam string text
-- @treturn string
function files.guard(text)
   return text:find(FORMULA) and not is_number(text) and "'" .. text or text
end

--- The text that `guard` was given.
-- @tparam string text
-- @treturn string
function files.unguard(text)
   return text:sub(1, 1) == "'" and text:find(FORMULA) and text:sub(2) or text
end

--- Rows as CSV (RFC 4180), in UTF-8 whatever the names of files are, cells as `guard` has them.
-- @tparam {string,...} columns
-- @tparam {table,...} rows each a table by column name
function files.csv(columns, rows)
   local function field(v)
      local text = v == nil and "" or files.guard(display.utf8(tostring(v)))
      if text:find('[",\r\n]') then text = '"' .. text:gsub('"', '""') .. '"' end
      return text
   end
   local lines = {table.concat(columns, ",")}
   for _, row in ipairs(rows) do
      local fields = {}
      for i, name in ipairs(columns) do fields[i] = field(row[name]) end
      lines[#lines + 1] = table.concat(fields, ",")
   end
   return table.concat(lines, "\n") .. "\n"
end

return files
