-- usage: lua5.4 rocks/arrows.lua [ROOT]
-- Hold csrc/ and lua/bclua/ against the tables of doc/architecture.md, which name every folder and module and who may
-- use whom. A line `FILE:LINE: what is wrong` for each fault, and status 1. Needs no build.
local root = arg[1] or "."
local PAGE = "doc/architecture.md"
local faults = {}

local function fault(file, line, ...)
   faults[#faults + 1] = {file = file, line = line, text = ("%s:%d: %s"):format(file, line, string.format(...))}
end

local function lines(file)
   local list = {}
   for line in assert(io.open(root .. "/" .. file)):lines() do list[#list + 1] = line end
   return list
end

local function find(folder, pattern)
   local list = {}
   local pipe <close> = assert(io.popen(("cd '%s' && find %s -type f -name '%s' | LC_ALL=C sort"):format(root, folder,
      pattern)))
   for file in pipe:lines() do list[#list + 1] = file end
   return list
end

-- ---- The page ----

-- The rows of the table below a heading: {line = its number, its cells...}.
local function rows(page, heading)
   local list, inside = {}, false
   for n, line in ipairs(page) do
      if line:match("^#") then inside = line == heading end
      if inside and line:match("^|") and not line:match("^|[-|]*$") then
         local row = {line = n}
         for cell in line:gmatch("|([^|]*)") do row[#row + 1] = cell end
         list[#list + 1] = row
      end
   end
   assert(#list > 1, PAGE .. ": no table below " .. heading)
   table.remove(list, 1) -- the names of the columns
   return list
end

-- The words in backquotes of a cell.
local function names(cell)
   local list = {}
   for name in cell:gmatch("`([^`]+)`") do list[#list + 1] = name end
   return list
end

-- ---- C: folder by folder ----

local function read_folders(page)
   local folders = {}
   for _, row in ipairs(rows(page, "## C")) do
      local name = names(row[1])[1]
      folders[name] = {line = row.line, may = {[name] = true}}
      for _, other in ipairs(names(row[2])) do
         if not folders[other] then
            fault(PAGE, row.line, "`%s` may include `%s`, which no row above it describes", name, other)
         end
         folders[name].may[other] = true
      end
   end
   return folders
end

local function resolve(folder, path)
   path = folder .. "/" .. path
   repeat
      local shorter, n = path:gsub("[^/.]+/%.%./", "", 1)
      path = shorter
   until n == 0
   return path
end

local LUA = {["lua.h"] = true, ["lauxlib.h"] = true, ["lualib.h"] = true, ["luaconf.h"] = true}

local function check_c(folders)
   local used = {}
   for _, file in ipairs(find("csrc", "*")) do
      local folder, base = file:match("^csrc/(.*)/([^/]*)$")
      local is_kernel = not base:match("^lua_") and folder ~= "host"
      used[folder] = true
      if not folders[folder] then
         fault(file, 1, "the folder '%s' is not in the map", folder)
      else
         for n, line in ipairs(lines(file)) do
            local header = line:match('^%s*#%s*include%s*[<"]([^>"]+)[>"]')
            local name = header and header:match("[^/]*$")
            if is_kernel and name and (LUA[name] or name:match("^lua_")) then
               fault(file, n, "a kernel includes %s", header)
            end
            local other = header and line:match('"') and resolve(folder, header):match("^(.*)/")
            if other and not folders[folder].may[other] then
               fault(file, n, "'%s' may not include '%s'", folder, other)
            end
         end
      end
   end
   for folder, row in pairs(folders) do
      if not used[folder] then fault(PAGE, row.line, "`%s`: no such folder in csrc", folder) end
   end
end

-- ---- Lua: layer by layer ----

-- The layer of each module (a number, from the bottom), by its name below `bclua.`; `name.*` is a folder.
local function read_layers(page)
   local layers = {}
   for layer, row in ipairs(rows(page, "## Lua")) do
      for _, name in ipairs(names(row[2])) do
         if layers[name] then fault(PAGE, row.line, "`%s` is in two layers", name) end
         layers[name] = {layer = layer, name = row[1]:match("^%s*(.-)%s*$"), line = row.line}
      end
   end
   return layers
end

local function layer_of(layers, module)
   local found = layers[module]
   while not found and module:find(".", 1, true) do
      module = module:match("^(.*)%.")
      found = layers[module .. ".*"]
   end
   if found then found.used = true end
   return found
end

-- What a module requires: lists {name, line}; comments do not count.
local function requires(file)
   local list = {}
   for n, line in ipairs(lines(file)) do
      local code = line:gsub("%-%-.*", "")
      for name in code:gmatch("require%s*%(?%s*[\"']bclua%.([%w_.]+)[\"']") do
         list[#list + 1] = {name = name, line = n}
      end
   end
   return list
end

local function read_modules()
   local modules, others = {}, {}
   for _, file in ipairs(find("lua/bclua", "*")) do
      local name, kind = file:match("^lua/bclua/(.*)%.([^.]*)$")
      name = name:gsub("/", ".")
      if kind == "lua" then modules[name] = {file = file, requires = requires(file)} else others[name] = file end
   end
   return modules, others
end

-- The modules written in C.
local function read_bindings()
   local bindings = {}
   for _, file in ipairs(find("csrc", "*.c")) do
      for _, line in ipairs(lines(file)) do
         local name = line:match("luaopen_bclua_([%w_]+)")
         if name then bindings[name] = true end
      end
   end
   return bindings
end

local function check_circles(modules)
   local state, path = {}, {}
   local function visit(name)
      state[name], path[#path + 1] = "open", name
      local seen = {[name] = true} -- its own name a module has in texts that children run
      for _, r in ipairs(modules[name].requires) do
         if seen[r.name] then goto continue end
         seen[r.name] = true
         if state[r.name] == "open" then
            local from = #path
            while path[from] ~= r.name do from = from - 1 end
            fault(modules[name].file, r.line, "a circle of require: %s -> %s", table.concat(path, " -> ", from), r.name)
         elseif modules[r.name] and not state[r.name] then
            visit(r.name)
         end
         ::continue::
      end
      state[name], path[#path] = "done", nil
   end
   local sorted = {}
   for name in pairs(modules) do sorted[#sorted + 1] = name end
   table.sort(sorted)
   for _, name in ipairs(sorted) do
      if not state[name] then visit(name) end
   end
end

local function check_lua(layers)
   local modules, others = read_modules()
   local bindings = read_bindings()
   for name, file in pairs(others) do
      if not layer_of(layers, name) then fault(file, 1, "is not in the map") end
   end
   for name, module in pairs(modules) do
      local own = layer_of(layers, name)
      if not own then fault(module.file, 1, "the module '%s' is not in the map", name) end
      for _, r in ipairs(own and module.requires or {}) do
         local is_folder = r.name:match("%.$") -- `require("bclua.workflow." .. step)`
         local other = (is_folder or modules[r.name]) and layer_of(layers, r.name)
         if other and other.layer > own.layer then
            fault(module.file, r.line, "'%s' (%s) requires '%s' of a layer above (%s)", name, own.name, r.name,
               other.name)
         elseif not other and not bindings[r.name:gsub("%.", "_")] then
            fault(module.file, r.line, "'%s' requires '%s', which there is not", name, r.name)
         end
      end
   end
   check_circles(modules)
   for name, entry in pairs(layers) do
      if not entry.used then fault(PAGE, entry.line, "`%s`: no such module in lua/bclua", name) end
   end
end

local page = lines(PAGE)
check_c(read_folders(page))
check_lua(read_layers(page))
table.sort(faults, function(a, b)
   if a.file ~= b.file then return a.file < b.file end
   return a.line == b.line and a.text < b.text or a.line < b.line
end)
for _, one in ipairs(faults) do io.stderr:write(one.text, "\n") end
if #faults > 0 then os.exit(1) end
