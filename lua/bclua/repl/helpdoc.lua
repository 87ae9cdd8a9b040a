--- Doc comments as data: the `/*** … */` of the bindings in C and those of the
-- Lua modules (three dashes), in LDoc's format. The build writes what is found into help.lua,
-- which `bclua.help` reads, so that `:help` is never out of date.
-- @module bclua.repl.helpdoc
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
   return p, trim(rest or "")
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
TAGS.field = TAGS["function"] -- of a module, what is no function
TAGS.module = function(item, _, text) item.module = text:match("%S+") end
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

--- The module that a file is: what `require` takes.
-- @tparam string path
-- @tparam string source
-- @treturn ?string nil for a file in C that is a part of a module
function helpdoc.module(path, source)
   if path:sub(-4) == ".lua" then
      local inside = path:match("lua/(bclua.*)%.lua$")
      return inside and inside:gsub("/", ".") or path
   end
   local opened = source:match("int luaopen_bclua_([%w_]+)%(lua_State %*L%)")
   return opened and "bclua." .. opened:gsub("_", ".")
end

--- What one file documents. A method is one by its name, `type:method`.
-- @tparam string path ends with .c or .lua
-- @tparam string source
-- @treturn {table,...} items: `{module=, name=, text=, params=, returns=, usage=}`; one
--  without a name describes the module
function helpdoc.parse(path, source)
   local in_lua = path:sub(-4) == ".lua"
   local module = in_lua and source:match("\n%-%- @module%s+(%S+)") or helpdoc.module(path, source) or
      "bclua." .. (path:match("([^/]+)/[^/]*$") or "")
   local owner = source:match("\nreturn ([%w_]+)%s*$") or module:match("[%w_]+$")
   local list = {}
   for _, block in ipairs(in_lua and blocks_of_lua(source) or blocks_of_c(source)) do
      local item = item_of(block)
      module = item.module or module
      if in_lua and not item.name then item.name = defined(block.code, owner) end
      local describes = item.module ~= nil
      item.module = module
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

--- Everything that source files document, by module, held against the modules themselves. What a module in C
-- keeps for a module in Lua (`bclua.nn.core`) is checked, too.
-- @tparam {string,...} paths of source files
-- @treturn {table,...} items, in the order of the files
-- @treturn {string,...} what is wrong
function helpdoc.collect(paths)
   local live = require "bclua.repl.helplive"
   local items, of, names, wrong = {}, {}, {}, {}
   local function group(module)
      if not of[module] then of[module], names[#names + 1] = {}, module end
      return of[module]
   end
   for _, path in ipairs(paths) do
      local f <close> = assert(io.open(path, "rb"))
      local source = f:read("a")
      local parsed, own = helpdoc.parse(path, source), helpdoc.module(path, source)
      if own and (not parsed[1] or parsed[1].module == own) then group(own) end
      for _, item in ipairs(parsed) do
         items[#items + 1] = item
         table.insert(group(item.module), item)
      end
   end
   for _, name in ipairs(names) do
      local module = require(name)
      local list = type(module) == "table" and live.check(name, module, of[name]) or {}
      table.move(list, 1, #list, #wrong + 1, wrong)
   end
   return items, wrong
end

--- The text of help.lua: all that a user can `require`.
-- @tparam {table,...} items
-- @tparam table versions of libraries: name -> version
-- @treturn string
function helpdoc.text(items, versions)
   local lines = {"-- Generated from the doc comments when bclua was built: do not edit.",
      "return {versions=" .. literal(versions) .. ",items={"}
   for _, item in ipairs(items) do
      if not item.module:find("%.core$") then lines[#lines + 1] = literal(item) .. "," end
   end
   lines[#lines + 1] = "}}\n"
   return table.concat(lines, "\n")
end

return helpdoc
