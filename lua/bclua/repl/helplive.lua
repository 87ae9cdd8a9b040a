--- Documentation held against what is there: the build fails where the two differ. What a doc comment does
-- not say and the function itself knows, its arguments, is taken from the function.
-- @module bclua.repl.helplive
local helplive = {}

-- The methods behind a metatable: a table, or a function that looks into one.
local function methods_of(metatable)
   local index = rawget(metatable, "__index")
   if type(index) == "function" then index = select(2, debug.getupvalue(index, 1)) end
   return type(index) == "table" and index or nil
end

-- Metatables in C: the type bclua.audio.reader is the class reader of bclua.audio, the type bclua.array
-- the class array of bclua.array.
local function classes_in_c(name, classes)
   name = name:gsub("[._]core$", "")
   for key, value in pairs(debug.getregistry()) do
      if type(key) == "string" and type(value) == "table" and rawget(value, "__name") == key then
         local class = key == name and name:match("[^.]+$") or key:match("^" .. name:gsub("%.", "%%.") .. "%.([^.]+)$")
         if class then classes[class] = methods_of(value) end
      end
   end
end

local function source_of(f)
   local info = type(f) == "function" and debug.getinfo(f, "S")
   return info and info.what ~= "C" and info.source
end

-- Metatables in Lua: local tables with an __index that functions of the module use, and with a method of its own.
local function classes_in_lua(module, classes)
   local seen = {}
   local visit

   local function visit_class(name, value, source)
      local methods, own = rawget(value, "__index"), false
      if seen[value] or type(methods) ~= "table" then return end
      seen[value] = true
      for _, method in pairs(methods) do
         own = own or source_of(method) == source
         visit(method, source)
      end
      if own then classes[name] = methods end
   end

   function visit(f, source)
      if seen[f] or not source or source_of(f) ~= source then return end
      seen[f] = true
      for i = 1, math.huge do
         local name, value = debug.getupvalue(f, i)
         if not name then return end
         if type(value) == "table" then visit_class(name, value, source) end
         visit(value, source)
      end
   end

   for _, f in pairs(module) do visit(f, source_of(f)) end
end

--- The classes that a module has.
-- @tparam string name of the module
-- @tparam table module
-- @treturn table name of the class -> its methods
function helplive.classes(name, module)
   local classes = {}
   classes_in_c(name, classes)
   classes_in_lua(module, classes)
   return classes
end

-- The arguments of a function; nil where it does not tell: one in C, and one that hands all to another.
local function arguments_of(f, is_method)
   local info = debug.getinfo(f, "Su")
   if info.what == "C" then return nil end
   local names = {}
   for i = 1, info.nparams do names[i] = debug.getlocal(f, i) end
   if info.isvararg then
      if #names == 0 then return nil end
      names[#names + 1] = "..."
   end
   if is_method then table.remove(names, 1) end
   return names
end

-- Arguments of an item: as the function has them, or what is wrong with those that the doc comment has.
local function check_arguments(item, f, complain)
   local names = arguments_of(f, item.name:find(":", 1, true))
   if not names then return end
   if not item.params and #names > 0 then
      item.params = {}
      for i, name in ipairs(names) do item.params[i] = {name = name, text = ""} end
      return
   end
   local documented = {}
   for i, p in ipairs(item.params or {}) do documented[i] = p.name end
   local told, live = table.concat(documented, ", "), table.concat(names, ", ")
   if told == live then return end
   complain(item.name, ("has the arguments (%s), and (%s) in its doc comment"):format(live, told))
end

-- What is documented and not there.
local function check_items(module, classes, items, complain)
   for _, item in ipairs(items) do
      local class, name = (item.name or ""):match("^(.*):(.*)$")
      local holder = module
      if class then holder = classes[class] else name = item.name end
      local value = holder and name and holder[name]
      if name and value == nil then
         complain(item.name, "is documented, and not there")
      elseif type(value) == "function" then
         check_arguments(item, value, complain)
      elseif name then
         item.is_value = true
      end
   end
end

-- What is there and not documented: all that a module has, and methods of classes that have one
-- with a doc comment.
local function check_live(module, classes, items, complain)
   local documented, public = {}, {}
   for _, item in ipairs(items) do
      documented[item.name or ""] = true
      public[(item.name or ""):match("^(.*):") or ""] = true
   end
   local function check(holder, prefix)
      for name, value in pairs(holder) do
         local is_public = type(name) == "string" and name:sub(1, 2) ~= "__" and
            (holder == module or type(value) == "function")
         -- a method may be documented as a function of the same name: see bclua.sql
         if is_public and not documented[prefix .. name] and not documented[name] then
            complain(prefix .. name, "has no doc comment")
         end
      end
   end
   check(module, "")
   for class, methods in pairs(classes) do
      if public[class] then check(methods, class .. ":") end
   end
end

--- Hold documentation against a module; what a module in Lua keeps in C for itself (`bclua.nn.core`) may have
-- more than is documented. Items that do not say which arguments a function in Lua has get them
-- from the function; those of what is no function get `is_value`.
-- @tparam string name of the module
-- @tparam table module
-- @tparam {table,...} items of that module, as `bclua.repl.helpdoc.parse` gives them
-- @treturn {string,...} what is wrong; sorted
function helplive.check(name, module, items)
   local list, classes = {}, helplive.classes(name, module)
   local function complain(of, text) list[#list + 1] = ("%s: %s %s"):format(name, of, text) end
   check_items(module, classes, items, complain)
   if not name:find("%.core$") then check_live(module, classes, items, complain) end
   table.sort(list)
   return list
end

return helplive
