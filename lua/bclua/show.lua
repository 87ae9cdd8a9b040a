--- Values as text, for the REPL and for messages.
-- @module bclua.show
local show = {}

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
   return then true until while]]):gmatch("%a+") do KEYWORDS[word] = true end

local function is_name(s)
   return type(s) == "string" and s:match("^[%a_][%w_]*$") and not KEYWORDS[s]
end

local function by_type_and_value(a, b)
   local ta, tb = type(a), type(b)
   if ta ~= tb then return ta < tb end
   if ta == "number" or ta == "string" then return a < b end
   return tostring(a) < tostring(b)
end

local function sorted_keys(t)
   local keys = {}
   for k in next, t do keys[#keys + 1] = k end
   table.sort(keys, by_type_and_value)
   return keys
end

local function scalar(v)
   if type(v) == "string" then return (("%q"):format(v):gsub("\\\n", "\\n"):gsub("\r", "\\r")) end
   local text = tostring(v)
   local first, rest = text:match("^([^\n]*)\n(.*)$") -- an array inside a table: only its head
   return rest and first or text
end

local function add_table(out, t, state, depth)
   if state.seen[t] then
      out[#out + 1] = "<cycle>"
      return
   end
   if depth == state.depth then
      out[#out + 1] = next(t) == nil and "{}" or "{...}"
      return
   end
   state.seen[t] = true
   local parts, listed, n = {}, rawlen(t), 0
   for _, k in ipairs(sorted_keys(t)) do
      n = n + 1
      if n > state.width then
         parts[#parts + 1] = "..."
         break
      end
      local piece = {}
      if not (math.type(k) == "integer" and k >= 1 and k <= listed) then
         piece[1] = is_name(k) and k .. " = " or "[" .. scalar(k) .. "] = "
      end
      local v = rawget(t, k)
      if type(v) == "table" and not (getmetatable(v) or {}).__tostring then
         add_table(piece, v, state, depth + 1)
      else
         piece[#piece + 1] = scalar(v)
      end
      parts[#parts + 1] = table.concat(piece)
   end
   state.seen[t] = nil
   local line = "{" .. table.concat(parts, ", ") .. "}"
   if #line > 78 then
      local indent = ("   "):rep(depth + 1)
      line = "{\n" .. indent .. table.concat(parts, ",\n" .. indent) .. "\n" .. ("   "):rep(depth) .. "}"
   end
   out[#out + 1] = line
end

--- One value as text: strings quoted, tables with their fields (cycles are
-- safe), everything else by `tostring`.
-- @param v any value
-- @tparam[opt] table limits `depth` (4) and `width` (40 fields a table)
-- @treturn string
function show.value(v, limits)
   limits = limits or {}
   if type(v) == "string" then return scalar(v) end
   if type(v) ~= "table" or (getmetatable(v) or {}).__tostring then return tostring(v) end
   local out = {}
   add_table(out, v, {seen = {}, depth = limits.depth or 4, width = limits.width or 40}, 0)
   return table.concat(out)
end

--- Several values, as the REPL prints the results of one line: tab separated,
-- or a line each if one of them needs several lines.
-- @treturn string
function show.values(...)
   local parts, long = {}, false
   for i = 1, select("#", ...) do
      parts[i] = show.value((select(i, ...)))
      long = long or parts[i]:find("\n", 1, true) ~= nil
   end
   return table.concat(parts, long and "\n" or "\t")
end

return show
