--- Values as text, for the REPL and for messages.
-- @module bclua.repl.show
local check_options = require("bclua.options").check
local count = require("bclua.display").count

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

-- The keys in order, and how many there are. Of a list that is longer than what
-- is shown only so many: sorting millions would take long.
local function sorted_keys(t, most)
   local keys, n, listed = {}, 0, rawlen(t)
   for k in next, t do
      n = n + 1
      if listed <= most then keys[n] = k end
   end
   if listed > most then
      for i = 1, most + 1 do keys[i] = i end
   else
      table.sort(keys, by_type_and_value)
   end
   return keys, n
end

local LONGEST = 2000 -- bytes of a string
local MOST_ELEMENTS = 5e7 -- of an array whose range and mean are looked for

local function is_array(v) return type(v) == "userdata" and (debug.getmetatable(v) or {}).__name == "bclua.array" end

-- Range and mean of the numbers of an array with NaN among them.
local function without_nan(a)
   local low, high, sum, n = math.huge, -math.huge, 0, 0
   local flat = a:reshape({a:size()})
   for i = 1, a:size() do
      local x = flat[i]
      if x == x then
         low, high, sum, n = math.min(low, x), math.max(high, x), sum + x, n + 1
      end
   end
   return low, high, n > 0 and sum / n or nil, a:size() - n
end

local function statistics(a)
   local size = a:size()
   if size == 0 then return "" end
   if size > MOST_ELEMENTS then return ("  %.3g elements"):format(size) end
   local low, high, mean, missing = a:min(), a:max(), a:mean(), 0
   if low ~= low then
      if size > MOST_ELEMENTS / 25 then return "  with NaN" end
      low, high, mean, missing = without_nan(a)
   end
   local nan = missing > 0 and (", %d NaN"):format(missing) or ""
   if missing == size then return "  all NaN" end
   return ("  %.5g to %.5g, mean %.5g%s"):format(low, high, mean, nan)
end

--- The first line that an array is shown with: dtype, shape, range, mean.
-- NaN is left out of both and counted; an empty array has neither.
-- @tparam bclua.array a
-- @treturn string
function show.array_head(a)
   return ("%s (%s)%s"):format(a:dtype(), table.concat(a:shape(), ", "), statistics(a))
end

local function array_text(a)
   local _, values = tostring(a):match("^([^\n]*)(.*)$")
   return show.array_head(a) .. values
end

local function function_text(f)
   local info = debug.getinfo(f, "Su")
   if info.what == "C" then return tostring(f):gsub("^builtin ", "") .. " (in C)" end
   local names = {}
   for i = 1, info.nparams do names[i] = debug.getlocal(f, i) end
   if info.isvararg then names[#names + 1] = "..." end
   return ("function (%s) at %s:%d"):format(table.concat(names, ", "), info.short_src, info.linedefined)
end

local function quoted(s)
   local cut = #s > LONGEST and (" … (%d bytes)"):format(#s) or ""
   local text = ("%q"):format(s:sub(1, LONGEST)):gsub("\\\n", "\\n")
   text = text:gsub("\\\\", "\0"):gsub("\\13%f[%D]", "\\r"):gsub("\\9%f[%D]", "\\t"):gsub("%z", "\\\\")
   return text .. cut
end

-- A value inside a table: one line.
local function scalar(v)
   if type(v) == "string" then return quoted(v) end
   if type(v) == "function" then return "function" end
   local text = tostring(v)
   local first, rest = text:match("^([^\n]*)\n(.*)$") -- an array inside a table: only its head
   return rest and first or text
end

-- `__metatable` may hide the metatable, or be no table at all.
local function has_text(v) return (debug.getmetatable(v) or {}).__tostring ~= nil end

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
   local keys, all = sorted_keys(t, state.width)
   for _, k in ipairs(keys) do
      n = n + 1
      if n > state.width then
         parts[#parts + 1] = ("... (%d in all)"):format(all)
         break
      end
      local piece = {}
      if not (math.type(k) == "integer" and k >= 1 and k <= listed) then
         piece[1] = is_name(k) and k .. " = " or "[" .. scalar(k) .. "] = "
      end
      local v = rawget(t, k)
      if type(v) == "table" and not has_text(v) then
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

-- A table of SQL, cut where the terminal ends.
local function fit(text, columns)
   if not columns then return text end
   return (text:gsub("[^\n]+", function(line)
      local n = utf8.len(line)
      if not n or n <= columns then return nil end
      return line:sub(1, utf8.offset(line, columns) - 1) .. "…"
   end))
end

local LIMITS = {
   depth = {"integer", least = 0, default = 4},
   width = {"integer", least = 0, default = 40},
   columns = {"integer", least = 1},
}

--- One value as text: arrays with dtype, shape, range, mean and some values;
-- strings quoted; tables with their fields (cycles are safe); results of SQL as
-- aligned tables; functions with their parameters; all else by `tostring`.
-- @param v any value
-- @tparam[opt] table limits `depth` (4), `width` (40 fields a table), `columns` of
--  the terminal: results of SQL are cut there
-- @treturn string
function show.value(v, limits)
   local o = check_options(limits, LIMITS)
   if type(v) == "string" then return quoted(v) end
   if type(v) == "function" then return function_text(v) end
   if is_array(v) then return array_text(v) end
   if type(v) ~= "table" then return tostring(v) end
   if has_text(v) then return fit(tostring(v), o.columns) end
   local out = {}
   add_table(out, v, {seen = {}, depth = o.depth, width = o.width}, 0)
   return table.concat(out)
end

--- Several values, as the REPL prints the results of one line: tab separated,
-- or a line each if one of them needs several lines.
-- @treturn string
function show.values(...) return show.pack(table.pack(...)) end

--- The same for a list that `table.pack` made.
-- @tparam table list
-- @tparam[opt] table limits
-- @treturn string
function show.pack(list, limits)
   local parts, long = {}, false
   for i = 1, list.n do
      parts[i] = show.value(list[i], limits)
      long = long or parts[i]:find("\n", 1, true) ~= nil
   end
   return table.concat(parts, long and "\n" or "\t")
end

--- In a few words what a value is, as `:type` and `:who` say it.
-- @treturn string
function show.kind(v)
   if is_array(v) then return ("%s (%s)"):format(v:dtype(), table.concat(v:shape(), ", ")) end
   local kind = math.type(v) or type(v)
   local name = (debug.getmetatable(v) or {}).__name
   if type(v) == "userdata" then return type(name) == "string" and name or kind end
   if kind == "string" then return "string, " .. count(#v, "byte") end
   if kind == "function" then return (function_text(v):gsub("^function: %S+ ", "function ")) end
   if kind ~= "table" then return kind end
   local n = 0
   for _ in next, v do n = n + 1 end
   local list = rawlen(v)
   local text = "table, " .. count(n, "field")
   if list > 0 and list == n then text = ("list of %d"):format(n) end
   return type(name) == "string" and name .. ", " .. text or text
end

return show
