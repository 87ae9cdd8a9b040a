--- Names that the user may mean: what a word can be completed to, and what is
-- nearest to a misspelt one. Everything is read raw, so that no user code runs.
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

-- How many letters must be inserted, removed, replaced or swapped with their
-- neighbour (optimal string alignment).
local function distance(a, b)
   local before, last = nil, {}
   for j = 0, #b do last[j] = j end
   for i = 1, #a do
      local row = {[0] = i}
      for j = 1, #b do
         local same = a:byte(i) == b:byte(j)
         row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
         if before and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
            row[j] = math.min(row[j], before[j - 2] + 1)
         end
      end
      before, last = last, row
   end
   return last[#b]
end

--- The nearest of the candidates, if one is near: one letter in three at most.
-- @tparam string word
-- @tparam table candidates its keys
-- @treturn ?string
function names.nearest(word, candidates)
   local best, least = nil, math.max(1, #word // 3) + 0.5
   for name in next, candidates do
      if name ~= word and type(name) == "string" and math.abs(#name - #word) <= least then
         local d = distance(word:lower(), name:lower())
         if d < least or d == least and best and name < best then best, least = name, d end
      end
   end
   return best
end

return names
