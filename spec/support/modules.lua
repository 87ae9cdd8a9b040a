-- modules.lua: the modules of the checkout, found and not listed.
local lfs = require "lfs"

local modules = {}

local function read(path)
   local f <close> = assert(io.open(path, "rb"))
   return f:read("a")
end

--- The C modules: every luaopen_ that a binding defines.
function modules.in_c()
   local names, seen = {}, {}
   for part in lfs.dir("csrc") do
      local folder = "csrc/" .. part
      if part:sub(1, 1) ~= "." and part ~= "host" and lfs.attributes(folder, "mode") == "directory" then
         for file in lfs.dir(folder) do
            if file:find("%.c$") then
               for name in read(folder .. "/" .. file):gmatch("int luaopen_bclua_([%w_]+)%(lua_State %*L%)") do
                  name = "bclua." .. name:gsub("_", ".")
                  if not seen[name] then names[#names + 1] = name end
                  seen[name] = true
               end
            end
         end
      end
   end
   table.sort(names)
   return names
end

--- The Lua modules under lua/.
function modules.in_lua()
   local names = {}
   local function walk(folder, prefix)
      for file in lfs.dir(folder) do
         local path = folder .. "/" .. file
         if file:find("%.lua$") then
            names[#names + 1] = prefix .. file:gsub("%.lua$", "")
         elseif file:sub(1, 1) ~= "." and lfs.attributes(path, "mode") == "directory" then
            walk(path, prefix .. file .. ".")
         end
      end
   end
   walk("lua", "")
   table.sort(names)
   return names
end

return modules
