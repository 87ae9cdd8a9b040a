--- Scripts by their names: `bclua motif` runs `motif.lua` of the first of these folders that has it: `./scripts`, the
-- user's own (`$XDG_DATA_HOME/bclua/scripts`, else `~/.local/share/bclua/scripts`), and what came with the program.
-- @module bclua.commands
local files = require "bclua.files"
local system = require "bclua.system"

local commands = {}

-- The folder that has the program's own lua/ and scripts/.
local function home()
   local here = assert(package.searchpath("bclua.commands", package.path))
   return here:match("^(.*)/lua/bclua/commands%.lua$") or "."
end

local function folders()
   local data = os.getenv "XDG_DATA_HOME"
   if not data or data == "" then data = (os.getenv "HOME" or "") .. "/.local/share" end
   return {"scripts", data .. "/bclua/scripts", home() .. "/scripts"}
end

-- The first line of a script that says what it is for: scripts begin with a line of usage, which is left out.
local function purpose(path)
   local file = io.open(path)
   if not file then return "" end
   for line in file:lines() do
      local text = line:match("^%-%-+%s*(.*)$")
      if not text then break end
      if not text:find("^usage:") then
         file:close()
         return text
      end
   end
   file:close()
   return ""
end

--- Scripts that a name is enough for.
-- @treturn {table,...} `name`, `path`, `text` (what it is for, may be ""), by name
function commands.list()
   local found, list = {}, {}
   for _, folder in ipairs(folders()) do
      for _, file in ipairs(files.is_folder(folder) and system.list(folder) or {}) do
         local name, path = file:match("^([%w_-]+)%.lua$"), folder .. "/" .. file
         if name and not found[name] and files.is_file(path) then
            found[name] = {name = name, path = path, text = purpose(path)}
            list[#list + 1] = found[name]
         end
      end
   end
   table.sort(list, function(a, b) return a.name < b.name end)
   return list
end

--- The list as text, a line each.
-- @treturn string
function commands.text()
   local lines, width = {}, 0
   local list = commands.list()
   for _, c in ipairs(list) do width = math.max(width, #c.name) end
   for i, c in ipairs(list) do lines[i] = ("  %s%s  %s"):format(c.name, (" "):rep(width - #c.name), c.text) end
   return table.concat(lines, "\n")
end

--- The script that is meant where there is no file of that name.
-- @tparam string name `motif`; or a path, as `scripts/motif.lua`, of what came with the program
-- @treturn[1] string path; of a path that is nowhere itself, so that the error names it
-- @treturn[2] nil
-- @treturn[2] string message: no such command
function commands.find(name)
   if name:find("[/.]") then
      local path = home() .. "/" .. name
      return name:sub(1, 1) ~= "/" and files.is_file(path) and path or name
   end
   local paths = {}
   for _, c in ipairs(commands.list()) do paths[c.name] = c.path end
   if paths[name] then return paths[name] end
   local near = system.nearest(name, paths)
   return nil, ("no command '%s'%s (bclua --help lists them)"):format(name,
      near and (", did you mean '%s'?"):format(near) or "")
end

return commands
