--- Options in a table: one way to say which there are, and one check of what was given.
--
-- A schema is a table of rules by name. A rule is a type ("integer", "number", "string", "boolean", "function",
-- "table", "list", "array", "any"; "output": an open file, or a table with a method `write`), or a table of it and of
-- what else holds:
--
--    local KNN = {
--       k = {"integer", default = 5, least = 1},
--       metric = {"choice", {"cosine", "euclidean"}, default = "cosine"},
--       run = {"string", needed = true},
--       seeds = {"list", of = {"integer", least = 0}, shortest = 1},
--       on_step = "function",
--    }
--    local o = options.check(given, KNN)
--
-- `default`: in place of nil; that value is always allowed, whatever the type (`false`, say, for "off"). `needed`: must
-- be given. Numbers: `least`, `most`, `above`, `below`; NaN is refused, and infinity, too, unless `most = math.huge`
-- allows it; a float that is whole counts as an integer, and becomes one. Strings: `shortest`, `longest` (bytes).
-- Numbers and integers: `word`, which is allowed in place of one ("auto").
-- Lists: `of` (the rule of an item), `shortest`, `longest`. Tables: `of` (a schema). `check`: a function of the value
-- that returns what is wrong, as in "'x.jpg' does not end in .png". `was`: the name that the option had: it still
-- works, and a line on stderr says the new one.
--
-- For people, on the command line (`bclua.cli`) and in doc/settings.md: `text`, `unit` ("s", "Hz", "MB"), `arg` (what
-- stands for the value, "FILE" say), `option` (its name there, where it is another one), `argument` (its name as an
-- argument by position), `asked` (must be given there), `repeated` (a list: the option is given once an item).
-- `record`: see `options.recorded`.
-- @module bclua.options
local array = require "bclua.array"
local system = require "bclua.system"

local options = {}

local NOUN = {integer = "an integer", number = "a number", string = "a string", boolean = "true or false",
   ["function"] = "a function", table = "a table", list = "a list", array = "an array",
   output = "an open file"}

local function shown(x)
   if math.type(x) == "float" and x == math.floor(x) then return ("%.14g"):format(x) end
   return tostring(x)
end

local function limits(rule)
   local least, most = rule.least, rule.most ~= math.huge and rule.most or nil
   if least and most then return (" from %s to %s"):format(shown(least), shown(most)) end
   local words = {}
   if least then words[#words + 1] = "of at least " .. shown(least) end
   if rule.above then words[#words + 1] = "above " .. shown(rule.above) end
   if most then words[#words + 1] = "of at most " .. shown(most) end
   if rule.below then words[#words + 1] = "below " .. shown(rule.below) end
   return #words > 0 and " " .. table.concat(words, " and ") or ""
end

local function is_in(rule, x)
   if x ~= x or x == -math.huge or x == math.huge and rule.most ~= x then return false end
   return x >= (rule.least or x) and x <= (rule.most or x) and x > (rule.above or -math.huge)
      and not (rule.below and x >= rule.below)
end

local function expected(rule)
   if rule[1] == "choice" then return "one of " .. table.concat(rule[2], ", ") end
   if rule[1] == "string" and rule.longest then
      return ("a string of %d to %d bytes"):format(rule.shortest or 0, rule.longest)
   end
   local items = rule[1] == "list" and rule.of and " of " .. (rule.items or "items") or ""
   local shortest = rule.shortest and rule.shortest > 0 and (", %d or more"):format(rule.shortest) or ""
   if rule.shortest and rule.shortest == rule.longest then shortest = (", %d of them"):format(rule.shortest) end
   return NOUN[rule[1]] .. limits(rule) .. items .. shortest .. (rule.word and (" or '%s'"):format(rule.word) or "")
end

local function text(value)
   if type(value) == "string" then return "'" .. value .. "'" end
   if type(value) == "table" or type(value) == "function" or type(value) == "userdata" then
      return "a " .. type(value)
   end
   return tostring(value)
end

local check_table

local function is_list(rule, value)
   if type(value) ~= "table" then return false end
   local count = 0
   for key in next, value do
      if math.type(key) ~= "integer" then return false end
      count = count + 1
   end
   return count == #value and count >= (rule.shortest or 0) and count <= (rule.longest or count)
end

local is = {
   any = function() return true end,
   array = function(_, value) return array.is_array(value) end,
   output = function(_, value)
      return io.type(value) == "file" or type(value) == "table" and type(value.write) == "function"
   end,
   list = is_list,
   choice = function(rule, value)
      for _, word in ipairs(rule[2]) do
         if value == word then return true end
      end
      return false
   end,
   number = function(rule, value) return type(value) == "number" and is_in(rule, value) end,
   integer = function(rule, value)
      return type(value) == "number" and math.tointeger(value) ~= nil and is_in(rule, value)
   end,
   string = function(rule, value)
      return type(value) == "string" and #value >= (rule.shortest or 0) and #value <= (rule.longest or #value)
   end,
}

local function is_right(rule, value)
   if rule.word and value == rule.word then return true end
   local right = is[rule[1]] or function(_, v) return type(v) == rule[1] end
   return right(rule, value)
end

-- The value as it is used; or nil and what is wrong with it.
local function checked(name, value, rule)
   if type(rule) == "string" then rule = {rule} end
   if value == nil or value == rule.default then return value end
   local kind = rule[1]
   if not is_right(rule, value) then
      return nil, ("option '%s' must be %s, got %s"):format(name, expected(rule), text(value))
   end
   local wrong = rule.check and rule.check(value)
   if wrong then return nil, ("option '%s': %s"):format(name, wrong) end
   if kind == "integer" and value ~= rule.word then return math.tointeger(value) end
   if kind == "table" and rule.of then return check_table(value, rule.of, name .. ".") end
   if kind ~= "list" or not rule.of then return value end
   local list = {}
   for i, item in ipairs(value) do
      local message
      list[i], message = checked(("%s[%d]"):format(name, i), item, rule.of)
      if message then return nil, message end
   end
   return list
end

local function unknown(name, schema, prefix)
   local names = {}
   for known in pairs(schema) do names[#names + 1] = known end
   table.sort(names)
   local near = type(name) == "string" and system.nearest(name, schema)
   return ("unknown option '%s%s' (%sknown: %s)"):format(prefix, tostring(name),
      near and ("did you mean '%s'? "):format(near) or "", table.concat(names, ", "))
end

local function default_of(rule)
   if type(rule) == "table" then return rule.default end
end

-- New names by those of before.
local function old_names(schema)
   local names = {}
   for name, rule in pairs(schema) do
      if type(rule) == "table" and rule.was then names[rule.was] = name end
   end
   return names
end

local said = {} -- once each

--- Say on stderr, once, that something has another name now.
-- @tparam string old
-- @tparam string new
function options.say_renamed(old, new)
   if said[old] then return end
   said[old] = true
   io.stderr:write(("'%s' is called '%s' now\n"):format(old, new))
end

--- What was given, with the names of today.
-- @tparam table given
-- @tparam table schema whose rules have `was`
-- @tparam[opt] function say called with the old and the new name of each; default: `say_renamed`
-- @treturn table the same one where no name is old
function options.renamed(given, schema, say)
   local result
   for old, new in pairs(old_names(schema)) do
      if given[old] ~= nil and schema[old] == nil and given[new] == nil then
         if not result then
            result = {}
            for k, v in next, given do result[k] = v end
         end
         result[new], result[old] = given[old], nil;
         (say or options.say_renamed)(old, new)
      end
   end
   return result or given
end

function check_table(given, schema, prefix)
   local o, names = {}, {}
   given = options.renamed(given, schema)
   for name in pairs(given) do
      if schema[name] == nil then return nil, unknown(name, schema, prefix) end
   end
   for name in pairs(schema) do names[#names + 1] = name end
   table.sort(names) -- of several faults always the same one is named
   for _, name in ipairs(names) do
      local rule = schema[name]
      local value, message = checked(prefix .. name, given[name], rule)
      if message then return nil, message end
      if value == nil then value = default_of(rule) end
      if value == nil and type(rule) == "table" and rule.needed then
         return nil, ("option '%s%s' is missing"):format(prefix, name)
      end
      o[name] = value
   end
   return o
end

--- What was given, checked against a schema, without raising.
-- @tparam table given
-- @tparam table schema
-- @treturn[1] table a copy, with defaults
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function options.try(given, schema) return check_table(given, schema, "") end

--- Check the options of a public function.
-- @tparam ?table given as the caller gave them; nil: none
-- @tparam table schema
-- @tparam[opt=3] integer level of the caller, as for `error`: 3 is who called the function that calls `check`
-- @treturn table a copy, with defaults
-- @raise on an option that is unknown, missing, of a wrong type or out of range
function options.check(given, schema, level)
   if given ~= nil and type(given) ~= "table" then
      error(("options: a table expected, got %s"):format(text(given)), level or 3)
   end
   local o, message = check_table(given or {}, schema, "")
   if not o then error(message, level or 3) end
   return o
end

--- What a rule asks for, in words: as in "an integer of at least 1".
-- @function expected
-- @tparam table rule
-- @treturn string
options.expected = expected

--- Is a value what a rule asks for? What a list or table holds is not looked at, nor is `check` asked.
-- @function is_right
-- @tparam table rule
-- @param value not nil
-- @treturn boolean
options.is_right = is_right

--- The defaults of a schema.
-- @tparam table schema
-- @treturn table
function options.defaults(schema)
   local values = {}
   for name, rule in pairs(schema) do values[name] = default_of(rule) end
   return values
end

--- Of checked options those that a schema has: to hand them on.
-- @tparam table values
-- @tparam table schema
-- @treturn table
function options.subset(values, schema)
   local some = {}
   for name in pairs(schema) do some[name] = values[name] end
   return some
end

--- Of checked options those that a record of how something was made has: by `record` of their rule "always",
-- "never", or, without it, where they are not the default, so that records of before there was an option hold.
-- @tparam table values
-- @tparam table schema
-- @treturn table also what the schema does not know
function options.recorded(values, schema)
   local made = {}
   for name, value in pairs(values) do
      local rule = schema[name]
      local record = type(rule) == "table" and rule.record
      if record == "always" or record ~= "never" and value ~= default_of(rule) then made[name] = value end
   end
   return made
end

--- A schema with others laid over it.
-- @tparam table schema
-- @tparam table ... more schemas; `false` takes an option out
-- @treturn table
function options.extend(schema, ...)
   local all = {}
   for _, part in ipairs{schema, ...} do
      for name, rule in pairs(part) do all[name] = rule or nil end
   end
   return all
end

return options
