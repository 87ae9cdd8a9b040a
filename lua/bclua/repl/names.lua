--- Names that the user may mean: what a word can be completed to. Everything is read raw, so that no user code runs.
-- @module bclua.repl.names
local names = {}

-- The table behind `__index`. Arrays keep theirs in an upvalue of a C function.
local function index_of(value)
   local meta = debug.getmetatable(value)
   local index = type(meta) == "table" and rawget(meta, "__index")
   if type(index) == "function" and debug.getinfo(index, "S").what == "C" then
      local _, upvalue = debug.getupvalue(index, 1)
      index = upvalue
   end
   return type(index) == "table" and index or nil
end

local MOST_STEPS = 100 -- along __index; a chain may be a circle

--- A field, along `__index` where that is a table.
function names.field(value, key)
   for _ = 1, MOST_STEPS do
      if type(value) == "table" then
         local found = rawget(value, key)
         if found ~= nil then return found end
      end
      value = index_of(value)
      if value == nil then return nil end
   end
end

--- All fields and methods of a value whose names are words.
-- @param value
-- @tparam[opt] table into
-- @treturn table name -> value
function names.fields(value, into)
   into = into or {}
   for _ = 1, MOST_STEPS do
      if type(value) == "table" then
         for k, v in next, value do
            if type(k) == "string" and k:find("^[%a_][%w_]*$") and into[k] == nil then into[k] = v end
         end
      end
      value = index_of(value)
      if value == nil then break end
   end
   return into
end

--- The value that a path like `a.b.c` or `s:m` leads to.
-- @tparam function root name -> value
-- @tparam string path
function names.resolve(root, path)
   local value, first = nil, true
   for name in path:gmatch("[%a_][%w_]*") do
      if first then value = root(name) else value = names.field(value, name) end
      if value == nil then return nil end
      first = false
   end
   return value
end

return names
