--- JSON that keeps what it is given: integers of 64 bits exactly, floats to the bit (a whole one as `1.0`, so that it
-- stays a float), keys sorted, so that equal values give equal texts.
--
-- An empty table is written as `{}`, one that `json.list` marked as `[]`; a list that was read is marked. A nil, or
-- `json.null`, within a list is written as `null`, and `null` is read as nil. JSON has neither infinities nor NaN:
-- these are written as 1e999 and -1e999, which readers take for infinities, and as `null`.
-- @module bclua.json
local cjson = require "cjson"

local parser = cjson.new()
parser.decode_invalid_numbers(false)

local json = {}

local DEEPEST = 100

--- Stands for `null` in what is written.
json.null = cjson.null

local List = {}

--- Mark a table as a list, so that it is written as `[]` when it is empty.
-- @tparam table t
-- @treturn table the same
function json.list(t) return setmetatable(t, List) end

-- The shortest text that is read as the same number.
local function number(x)
   if math.type(x) == "integer" then return ("%d"):format(x) end
   if x ~= x then return "null" end
   if x == math.huge or x == -math.huge then return x > 0 and "1e999" or "-1e999" end
   local text
   for digits = 15, 17 do
      text = ("%." .. digits .. "g"):format(x)
      if tonumber(text) == x then break end
   end
   return text:find "[.e]" and text or text .. ".0"
end

local function scalar(value)
   if type(value) == "number" then return number(value) end
   if type(value) == "string" then return (cjson.encode(value):gsub("\\/", "/")) end
   if type(value) == "boolean" then return tostring(value) end
   if value == nil or value == json.null then return "null" end
   error(("a %s has no JSON"):format(type(value)), 0)
end

local write

local function write_list(list, inner, depth)
   local parts, kind = {}, getmetatable(list)
   local plain = kind == nil or kind == List -- rows of bclua.sql have a field `columns`, too
   for i = 1, #list do parts[i] = write(list[i], inner, depth) end
   for k in pairs(list) do
      if plain and math.type(k) ~= "integer" then
         error(("a list with the key '%s' has no JSON"):format(tostring(k)), 0)
      end
   end
   return "[" .. table.concat(parts, inner and ", " or ",") .. "]"
end

local function write_object(object, indent, depth)
   local inner = indent and indent .. "  "
   local keys, values, parts = {}, {}, {}
   for k, v in pairs(object) do
      local key = type(k) == "number" and number(k) or k
      if type(key) ~= "string" then error(("a %s is no key of a JSON object"):format(type(k)), 0) end
      keys[#keys + 1], values[key] = key, v
   end
   if #keys == 0 then return "{}" end
   table.sort(keys)
   for i, k in ipairs(keys) do parts[i] = scalar(k) .. (inner and ": " or ":") .. write(values[k], inner, depth) end
   if not inner then return "{" .. table.concat(parts, ",") .. "}" end
   return "{\n" .. inner .. table.concat(parts, ",\n" .. inner) .. "\n" .. indent .. "}"
end

function write(value, indent, depth)
   if type(value) ~= "table" then return scalar(value) end
   if depth > DEEPEST then error(("tables nested deeper than %d"):format(DEEPEST), 0) end
   if #value > 0 or getmetatable(value) == List then return write_list(value, indent and indent .. "  ", depth + 1) end
   return write_object(value, indent, depth + 1)
end

--- A value as JSON.
-- @param value nil, boolean, number, string, `json.null`, or a table of such: a list if it has a first element or is
-- marked, else an object, whose keys are strings or numbers. Of the rows of a query only the rows are written.
-- @tparam[opt=false] boolean pretty one key a line
-- @treturn string
-- @raise if there is something else in it, or tables are nested deeper than 100
function json.encode(value, pretty)
   local ok, text = pcall(write, value, pretty and "" or nil, 1)
   if not ok then error(text, 2) end
   return text
end

-- cjson reads every number as a double, and [] as {}. So it is given a text in which each number is replaced by its
-- place in a list of them, and each [] by [0].
local function replace_numbers(text)
   local numbers, n = {}, 0
   local function replace(token)
      local x = tonumber(token)
      local wrong = not x or token:find "^-?0%d" or (token .. "e"):find "%.%D" -- in JSON, not in Lua
      if wrong then error(("'%s' is no number"):format(token), 0) end
      n = n + 1
      numbers[n] = x
      return n
   end
   if text:find("\\", 1, true) then -- \" in another way, so that a string ends at the next quotation mark
      text = text:gsub('\\([\\"])', {['\\'] = "\\u005c", ['"'] = "\\u0022"})
   end
   local any_empty = text:find "%[%s*%]"
   text = text:gsub('([^"]*)("?[^"]*"?)', function(between, string)
      local replaced, count = between:gsub("[-%d][%d.eE+-]*", replace)
      if any_empty then replaced = replaced:gsub("%[%s*%]", "[0]") end
      return (count > 0 or any_empty) and replaced .. string or nil
   end)
   return text, numbers
end

local function restore(value, numbers)
   if type(value) == "number" then return numbers[value] end
   if value == cjson.null then return nil end
   if type(value) ~= "table" then return value end
   if value[1] ~= nil then
      json.list(value)
      if value[1] == 0 then value[1] = nil end
   end
   for k, v in pairs(value) do value[k] = restore(v, numbers) end
   return value
end

--- What a JSON text says: numbers without point and exponent as integers (beyond 64 bits as floats), lists marked,
-- `null` as nil.
-- @tparam string text
-- @treturn[1] value nil for `null`
-- @treturn[2] nil
-- @treturn[2] string message
function json.decode(text)
   local ok, value, numbers = pcall(replace_numbers, text)
   if ok then ok, value = pcall(parser.decode, value) end
   if not ok then return nil, "not JSON: " .. value end
   return restore(value, numbers)
end

return json
