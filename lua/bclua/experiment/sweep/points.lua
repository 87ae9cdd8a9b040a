--- Which points a sweep has: grids, random draws, and their names.
-- A point is a table of parameters; with a seed it is a trial.
-- @module bclua.experiment.sweep.points
local is_finite = require("bclua.numbers").is_finite
local json = require "bclua.json"
local system = require "bclua.system"

local points = {}

--- Points of one sweep.
points.most = 100000

local ATTEMPTS = 50 -- draws for each point that is to differ from all others

-- Columns of the file, and of tables, that are no parameters.
local RESERVED = {}
for name in ("id point rung seed wall_s cpu_s peak_bytes error trials failed peak_mb"):gmatch("%S+") do
   RESERVED[name] = true
end

--- Names that no parameter can have: the other columns of the table, as a set.
points.reserved = RESERVED

local function fail(text, ...) error(text:format(...), 0) end

--- The keys of a table, sorted.
function points.sorted(t)
   local keys = {}
   for k in pairs(t) do keys[#keys + 1] = k end
   table.sort(keys)
   return keys
end
local sorted = points.sorted

--- A value as JSON: equal values give equal texts.
-- @param value a parameter: number, text, boolean, or a list or table of such
-- @treturn string
function points.text(value)
   if type(value) == "number" then return json.encode(math.tointeger(value) or value) end -- 1 and 1.0 are the same
   if type(value) ~= "table" then return json.encode(value) end
   local parts = {}
   if #value > 0 or next(value) == nil then
      for i = 1, #value do parts[i] = points.text(value[i]) end
      return "[" .. table.concat(parts, ",") .. "]"
   end
   for i, k in ipairs(sorted(value)) do parts[i] = points.text(k) .. ":" .. points.text(value[k]) end
   return "{" .. table.concat(parts, ",") .. "}"
end

--- A short name out of a text: FNV-1a, 64 bits, in hexadecimal.
-- @tparam string text
-- @treturn string
function points.hash(text)
   local h = 0xcbf29ce484222325
   for i = 1, #text do h = (h ~ text:byte(i)) * 0x100000001b3 end
   return ("%016x"):format(h)
end

--- Can a value be kept? Raises naming it if not.
-- @param value
-- @tparam string name for the message
function points.check_value(value, name)
   local kind = type(value)
   if kind == "number" then
      if not is_finite(value) then
         fail("%s: a finite number expected, got %s", name, value ~= value and "nan" or value)
      end
   elseif kind == "table" then
      for k, v in pairs(value) do
         if type(k) ~= "string" and not (math.type(k) == "integer" and k >= 1 and k <= #value) then
            fail("%s: a list, or a table with texts as keys expected", name)
         end
         points.check_value(v, name .. "." .. k)
      end
   elseif kind ~= "string" and kind ~= "boolean" then
      fail("%s: number, text, boolean or table of such expected, got %s", name, kind)
   end
end

-- ---- names ----

-- Names of nested defaults, joined by dots, and the values.
local function flatten(defaults, prefix, found)
   for k, v in pairs(defaults) do
      local name = prefix .. tostring(k)
      found[name] = {value = v}
      if type(v) == "table" and #v == 0 then flatten(v, name .. ".", found) end
   end
   return found
end

local function known_names(known)
   if type(known) ~= "table" then
      fail("known: a list of names or a table of defaults expected, got %s", type(known))
   end
   if #known == 0 then return flatten(known, "", {}) end
   local found = {}
   for _, name in ipairs(known) do found[tostring(name)] = {} end
   return found
end

--- A check of names of parameters, and of the types of their values.
-- @tparam ?table known a list of names, or a table of defaults, nested or not: `{fit = {lr = 1e-3}}` knows
-- `fit.lr`. nil: every name is known
-- @treturn function(name, where, value): raises if there is no such parameter, or its default is of another type
function points.checker(known)
   local found = known and known_names(known)
   return function(name, where, value)
      if type(name) ~= "string" or name == "" then
         fail("%s: names of parameters expected, got %s", where, tostring(name))
      end
      if RESERVED[name] then fail("%s: '%s' is a name of the sweep's own", where, name) end
      if not found then return end
      if not found[name] then
         local near = system.nearest(name, found)
         fail("%s: no parameter named '%s'%s", where, name, near and (" (did you mean '%s'?)"):format(near) or "")
      end
      local default = found[name].value
      if value ~= nil and default ~= nil and type(value) ~= type(default) then
         fail("%s: parameter '%s' must be a %s, got %s", where, name, type(default), tostring(value))
      end
   end
end

-- ---- grid ----

local function check_list(list, where)
   if type(list) ~= "table" or #list == 0 then
      fail("%s: a list of one value or more expected, got %s", where, type(list) == "table" and "none" or type(list))
   end
   local seen = {}
   for i = 1, #list do
      points.check_value(list[i], where)
      local text = points.text(list[i])
      if seen[text] then fail("%s: %s comes twice", where, text) end
      seen[text] = true
   end
end

--- All combinations of the values of a grid; the last parameter, by name, changes fastest.
-- @tparam table grid lists of values by name
-- @tparam function check from `checker`
-- @treturn {table,...} points
function points.grid(grid, check)
   if type(grid) ~= "table" then fail("grid: lists of values by name expected, got %s", type(grid)) end
   if next(grid) == nil then fail("grid: is empty") end
   for name, list in pairs(grid) do
      check(name, "grid")
      check_list(list, "grid." .. name)
      for _, value in ipairs(list) do check(name, "grid", value) end
   end
   local result = {{}}
   for _, name in ipairs(sorted(grid)) do
      local longer = {}
      if #result * #grid[name] > points.most then fail("grid: has more than %d points", points.most) end
      for _, point in ipairs(result) do
         for _, value in ipairs(grid[name]) do
            local p = {[name] = value}
            for k, v in pairs(point) do p[k] = v end
            longer[#longer + 1] = p
         end
      end
      result = longer
   end
   return result
end

-- ---- random draws ----

local Choice = {}

local function limits(what, least, most)
   for _, x in ipairs({least, most}) do
      if not is_finite(x) then
         error(("bad argument to '%s' (finite numbers expected, got %s)"):format(what, tostring(x)), 3)
      end
   end
   if type(most) ~= "number" or most < least then
      error(("bad argument to '%s' (least and most expected, got %s, %s)"):format(what, least, tostring(most)), 3)
   end
end

-- Six digits are more than a search needs, and can be read.
local function rounded(x, least, most) return math.max(least, math.min(most, tonumber(("%.6g"):format(x)))) end

--- See `bclua.experiment.sweep.uniform`.
function points.uniform(least, most)
   limits("uniform", least, most)
   return setmetatable({draw = function(u) return rounded(least + u * (most - least), least, most) end}, Choice)
end

--- See `bclua.experiment.sweep.log_uniform`.
function points.log_uniform(least, most)
   limits("log_uniform", least, most)
   if least <= 0 then error(("bad argument #1 to 'log_uniform' (more than 0 expected, got %s)"):format(least), 2) end
   local a, b = math.log(least), math.log(most)
   return setmetatable({draw = function(u) return rounded(math.exp(a + u * (b - a)), least, most) end}, Choice)
end

--- See `bclua.experiment.sweep.integer`.
function points.integer(least, most)
   limits("integer", least, most)
   local a, b = math.tointeger(least), math.tointeger(most)
   if not (a and b) then error("bad argument to 'integer' (whole numbers expected)", 2) end
   return setmetatable({draw = function(u) return a + math.floor(u * (b - a + 1)) end}, Choice)
end

--- See `bclua.experiment.sweep.choice`.
function points.choice(list)
   check_list(list, "choice")
   return setmetatable({draw = function(u) return list[1 + math.floor(u * #list)] end, list = list}, Choice)
end

--- Points drawn at random; the first of them are the same whatever their number.
-- @tparam table random by name what to draw from, or a list
-- @tparam integer count fewer if there are not so many
-- @tparam integer seed
-- @tparam function check
-- @treturn {table,...} points, all different
function points.random(random, count, seed, check)
   if type(random) ~= "table" then fail("random: what to draw from by name expected, got %s", type(random)) end
   if next(random) == nil then fail("random: is empty") end
   if math.type(count) ~= "integer" or count < 1 or count > points.most then
      fail("trials: 1..%d expected, got %s", points.most, tostring(count))
   end
   local from, order = {}, {}
   for name, what in pairs(random) do
      check(name, "random")
      order[#order + 1] = name
      if getmetatable(what) ~= Choice then
         check_list(what, "random." .. name)
         what = points.choice(what)
      end
      for _, value in ipairs(what.list or {what.draw(0)}) do check(name, "random", value) end
      from[name] = what
   end
   table.sort(order)
   local sampling = require "bclua.sampling"
   local result, seen = {}, {}
   for stream = 1, count * ATTEMPTS do
      if #result == count then break end
      local generator, point = sampling.generator(seed, stream), {}
      for _, name in ipairs(order) do point[name] = from[name].draw(generator:uniform()) end
      local text = points.text(point)
      if not seen[text] then result[#result + 1] = point end
      seen[text] = true
   end
   return result
end

return points
