--- Doc comments as data: the `/*** … */` of the bindings in C and those of the
-- Lua modules (three dashes), in LDoc's format. The build writes what is found into help.lua,
-- which `bclua.help` reads, so that `:help` is never out of date.
-- @module bclua.helpdoc
local helpdoc = {}

local function trim(text) return (text:gsub("^%s+", ""):gsub("%s+$", "")) end

-- Blocks of a file: `{text, following line of code}`.
local function blocks_of_c(source)
   local list, at = {}, 1
   source = source:gsub("\n///([^\n]*)", "\n/***%1*/")
   while true do
      local first, last, text = source:find("/%*%*%*(.-)%*/", at)
      if not first then return list end
      list[#list + 1] = {text = text, code = source:match("^%s*([^\n]*)", last + 1) or ""}
      at = last + 1
   end
end

local function blocks_of_lua(source)
   local list, lines = {}, nil
   for line in (source .. "\n"):gmatch("([^\n]*)\n") do
      local opening, more = line:match("^%-%-%-%s?(.*)$"), line:match("^%-%-%s?(.*)$")
      if opening and not line:find("^%-%-%-%-") then
         lines = {opening}
      elseif lines and more and not line:find("^%-%-%-%-") then
         lines[#lines + 1] = more
      elseif lines then
         list[#list + 1] = {text = table.concat(lines, "\n"), code = line}
         lines = nil
      end
   end
   return list
end

-- `[opt=1] integer k how many` and the like.
local function parameter(typed, text)
   local option, rest = text:match("^%[([^%]]*)%]%s*(.*)$")
   rest = rest or text
   local p = {}
   if option then
      p.optional = option:find("^opt") and true or nil
      p.default = option:match("^opt=(.*)$")
      p.alternative = math.tointeger(tonumber(option))
   end
   if typed then p.type, rest = rest:match("^%s*(%S+)%s*(.*)$") end
   return p, rest or ""
end

-- The tags of one block into an item.
local TAGS = {}

local function add(item, list, value)
   item[list] = item[list] or {}
   item[list][#item[list] + 1] = value
end

local function add_param(typed)
   return function(item, modifier, text)
      local p, rest = parameter(typed, modifier .. " " .. text)
      p.name, p.text = rest:match("^(%S+)%s*(.*)$")
      if p.name then add(item, "params", p) end
   end
end

local function add_return(typed)
   return function(item, modifier, text)
      local r, rest = parameter(typed, modifier .. " " .. text)
      r.text = rest:match("^%s*(.*)$")
      add(item, "returns", r)
   end
end

-- `@string path` is short for `@tparam string path`.
for tag, kind in pairs({string = "string", number = "number", int = "integer", bool = "boolean", tab = "table",
   func = "function"}) do
   TAGS[tag] = function(item, modifier, text) add_param(true)(item, modifier, kind .. " " .. text) end
end
TAGS.param, TAGS.tparam = add_param(false), add_param(true)
TAGS["return"], TAGS.treturn = add_return(false), add_return(true)
TAGS["function"] = function(item, _, text) item.name = text:match("%S+") end
TAGS.module = function(item, _, text) item.module = text:match("%S+") end
TAGS.type = function(item, _, text) item.class = text:match("%S+") end
TAGS.usage = function(item, _, text) add(item, "usage", text) end
TAGS.raise = function(item, _, text) add(item, "raises", text) end

local function item_of(block)
   local item, tag, modifier, lines = {}, nil, "", {}
   local function finish()
      local text = trim(table.concat(lines, "\n"))
      if not tag then
         item.text = text
      elseif TAGS[tag] then
         TAGS[tag](item, modifier, text)
      end
   end
   for line in (block.text .. "\n"):gmatch("([^\n]*)\n") do
      local name, bracket, rest = line:match("^%s*@(%a+)(%b[])%s?(.*)$")
      if not name then
         name, rest = line:match("^%s*@(%a+)%s?(.*)$")
         bracket = ""
      end
      if name then
         finish()
         tag, modifier, lines = name, bracket, {rest}
      else
         lines[#lines + 1] = line
      end
   end
   finish()
   return item
end

-- The public function that a line of Lua defines: "name" or "Class:name".
local function defined(code, owner)
   local holder, separator, name = code:match("^function ([%w_]+)([%.:])([%w_]+)")
   if not holder then
      holder, name = code:match("^([%w_]+)%.([%w_]+) = ")
      separator = "."
   end
   if not holder then return nil end
   if separator == ":" then return holder .. ":" .. name end
   return holder == owner and name or nil
end

-- The module of a file in C that does not say it.
local function module_of_c(path, source)
   local opened = source:match("int luaopen_bclua_([%w_]+)%(lua_State %*L%)")
   if opened then return "bclua." .. opened:gsub("_core$", "") end
   return "bclua." .. (path:match("([^/]+)/[^/]*$") or "")
end

local function module_of_lua(path, source)
   local inside = path:match("lua/(bclua.*)%.lua$")
   return source:match("\n%-%- @module%s+(%S+)") or (inside and inside:gsub("/", ".")) or path
end

--- What one file documents.
-- @tparam string path ends with .c or .lua
-- @tparam string source
-- @treturn {table,...} items: `{module=, name=, text=, params=, returns=, usage=}`; one
--  without a name describes the module
function helpdoc.parse(path, source)
   local in_lua = path:sub(-4) == ".lua"
   local module = in_lua and module_of_lua(path, source) or module_of_c(path, source)
   local owner = source:match("\nreturn ([%w_]+)%s*$") or module:match("[%w_]+$")
   local list, class = {}, nil
   for _, block in ipairs(in_lua and blocks_of_lua(source) or blocks_of_c(source)) do
      local item = item_of(block)
      module = item.module or module
      if item.class then class = item.class end
      if in_lua and not item.name then item.name = defined(block.code, owner) end
      if item.name and class and not in_lua and not item.name:find(":") then
         item.name = class .. ":" .. item.name
      end
      local describes = item.module ~= nil
      item.module, item.class = module, nil
      if item.name or describes and item.text ~= "" then list[#list + 1] = item end
   end
   return list
end

local function literal(value)
   if type(value) ~= "table" then return ("%q"):format(value):gsub("\\\n", "\\n") end
   local parts, keys = {}, {}
   for k in pairs(value) do keys[#keys + 1] = k end
   table.sort(keys, function(a, b)
      if type(a) == type(b) then return a < b end
      return type(a) == "number"
   end)
   for _, k in ipairs(keys) do
      local v = literal(value[k])
      parts[#parts + 1] = type(k) == "number" and v or ("[%q]=%s"):format(k, v)
   end
   return "{" .. table.concat(parts, ",") .. "}"
end

--- The text of help.lua.
-- @tparam {string,...} paths of source files
-- @tparam table versions of libraries: name -> version
-- @treturn string
function helpdoc.generate(paths, versions)
   local items = {}
   for _, path in ipairs(paths) do
      local f = assert(io.open(path, "rb"))
      for _, item in ipairs(helpdoc.parse(path, f:read("a"))) do items[#items + 1] = item end
      f:close()
   end
   local lines = {"-- Generated from the doc comments when bclua was built: do not edit.",
      "return {versions=" .. literal(versions) .. ",items={"}
   for _, item in ipairs(items) do lines[#lines + 1] = literal(item) .. "," end
   lines[#lines + 1] = "}}\n"
   return table.concat(lines, "\n")
end

return helpdoc
