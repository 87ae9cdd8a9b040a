--- Tables and JSON objects out of files, checked before anything uses them.
--
-- A schema says of each column, or key, what it has to be, in the rules of `bclua.options`: "string", "integer",
-- "number", "boolean", "choice", and "list" of these; `needed`: it is never null. Of a list of numbers, `nan` lets any
-- float in. What else must hold is said in `sql`, a condition on `%s`, for JSON in `holds`, a function of the value,
-- and in `words`, as in "must be a name". In the schema's list part are rules of several columns, which count where all
-- of them are read: `{"b", with = {"a"}, sql = "b > a", words = "must be above 'a'"}` (column b is to blame).
--
-- Other columns are allowed, as are types that become the right one without loss: integers for numbers, whole
-- floats for integers, a column of nothing but null for whatever may be null. A table is checked with one query.
-- @module bclua.data.tables
-- @usage
-- local relation = assert(tables.open("motif.parquet", schemas.motif, {"source_name", "motif_0", "folder?"}))
-- local rows = sql.query("select * from " .. relation)
local display = require "bclua.display"
local files = require "bclua.files"
local lfs = require "lfs"
local options = require "bclua.options"

local tables = {}

local WHOLE = 1 << 53 -- up to here floats hold all integers
local LARGEST = 1.7976931348623157e308
local SHOWN = 40 -- characters of a value in a message
local CSV = [[header = true, delim = ',', quote = '"', escape = '"', all_varchar = true]]
local LISTED = 300 -- bytes of the names of columns in a message

local SQL_TYPES = {string = "varchar", choice = "varchar", integer = "bigint", number = "double", boolean = "boolean"}

local INTEGERS = {TINYINT = true, SMALLINT = true, INTEGER = true, BIGINT = true, HUGEINT = true, UTINYINT = true,
   USMALLINT = true, UINTEGER = true, UBIGINT = true, UHUGEINT = true}
local FLOATS = {FLOAT = true, DOUBLE = true, DECIMAL = true}

local function rule_of(schema, name)
   local rule = schema[name]
   return type(rule) == "string" and {rule} or rule
end

local function words_of(rule) return rule.words or "must be " .. options.expected(rule) end

--- The type in SQL of what a rule asks for.
-- @tparam table|string rule
-- @treturn string as in "bigint[]"
function tables.sql_type(rule)
   if type(rule) == "string" then return SQL_TYPES[rule] end
   return rule[1] == "list" and tables.sql_type(rule.of) .. "[]" or SQL_TYPES[rule[1]]
end

local sql_type = tables.sql_type

-- ---- Conditions ----

local function literal(x)
   if math.type(x) == "integer" then return ("%d"):format(x) end
   return x == math.huge and "'infinity'::double" or ("%.17g::double"):format(x)
end

-- Of the least and the greatest of some numbers; NaN is above all others in SQL.
local function in_limits(rule, least, most)
   local limit = rule[1] == "integer" and WHOLE or LARGEST
   local sql = ("%s >= %s and %s <= %s"):format(least, literal(rule.least or -limit), most, literal(rule.most or limit))
   if rule.above then sql = ("%s and %s > %s"):format(sql, least, literal(rule.above)) end
   return sql
end

local conditions = {
   boolean = function() return "true" end,
   number = function(rule, x) return in_limits(rule, x, x) end,
}

function conditions.integer(rule, x, kind)
   local sql = in_limits(rule, x, x)
   return INTEGERS[kind] and sql or ("%s and %s = trunc(%s)"):format(sql, x, x)
end

function conditions.string(rule, x)
   return ("strlen(%s) between %d and %d"):format(x, rule.shortest or 0, rule.longest or WHOLE)
end

function conditions.choice(rule, x)
   local words = {}
   for i, word in ipairs(rule[2]) do words[i] = require("bclua.sql").quote(word) end
   return ("%s in (%s)"):format(x, table.concat(words, ", "))
end

function conditions.list(rule, x, kind)
   local of, sql = rule.of, ("list_count(%s) = len(%s)"):format(x, x) -- no null in it
   if of.nan or SQL_TYPES[of[1]] == "varchar" then return sql end
   if of[1] == "integer" and not INTEGERS[kind:match("^%u+")] then
      sql = ("%s and try_cast(%s as bigint[])::double[] = %s::double[]"):format(sql, x, x)
   end
   return ("%s and (len(%s) = 0 or %s)"):format(sql, x, in_limits(of, ("list_min(%s)"):format(x),
      ("list_max(%s)"):format(x)))
end

-- Can this type be what the rule asks for?
local function is_kind(rule, kind)
   if rule[1] == "list" then
      local item = kind:match("^(.*)%[%d*%]$")
      return item ~= nil and is_kind(rule.of, item)
   end
   local base = kind:match("^(%u+)%(.*%)$") or kind -- DECIMAL(18,3)
   if SQL_TYPES[rule[1]] == "varchar" then return base == "VARCHAR" or base == "ENUM" end
   if rule[1] == "boolean" then return base == "BOOLEAN" end
   return (INTEGERS[base] or FLOATS[base]) == true
end

local function is_plain(kind)
   for plain in pairs(SQL_TYPES) do
      if is_kind({plain}, kind) then return true end
   end
   return false
end

-- A column: SQL of its value, and of when it is wrong. Columns of text (CSV) are cast to what they should be.
local function column(name, rule, kind, is_text)
   local quoted = require("bclua.sql").identifier(name)
   local c, value = {name = name, rule = rule, kind = kind, fits = true}, quoted
   if is_text and SQL_TYPES[rule[1]] ~= "varchar" then
      value, kind = ("try_cast(%s as %s)"):format(quoted, rule[1] == "boolean" and "boolean" or "double"),
         rule[1] == "boolean" and "BOOLEAN" or "DOUBLE"
   end
   if is_kind(rule, kind) then
      local right = conditions[rule[1]](rule, value, kind)
      if rule.sql then right = ("%s and (%s)"):format(right, (rule.sql:gsub("%%s", value))) end
      c.bad = ("%s is not null and not coalesce(%s, false)"):format(quoted, right)
      c.value = ("%s::%s"):format(value, sql_type(rule))
   else
      c.fits, c.bad, c.value = false, quoted .. " is not null", "null::" .. sql_type(rule)
   end
   if rule.needed then c.bad = ("%s is null or %s"):format(quoted, c.bad) end
   c.words = words_of(rule)
   return c
end

-- ---- Tables ----

-- How to read a file, its columns' types by name and their names in order.
local function describe(path)
   local sql = require "bclua.sql"
   local mode = lfs.attributes(path, "mode")
   if mode and mode ~= "file" then return nil, ("%s: a %s, no file"):format(path, mode) end
   local is_text = path:lower():find("%.csv$") ~= nil
   local from = is_text and sql.csv(path, CSV) or sql.parquet(path)
   local rows, message = sql.query("describe from " .. from)
   if not rows then return nil, message end
   local kinds, names = {}, {}
   for i, row in ipairs(rows) do kinds[row.column_name], names[i] = row.column_type, row.column_name end
   return {path = path, from = from, kinds = kinds, names = names, is_text = is_text}
end

local function shortened(text, longest)
   if #text <= longest then return text end
   return text:sub(1, (utf8.offset(text, 0, longest + 1) or longest + 1) - 1) .. "..."
end

-- The columns that are asked for and there.
local function wanted(t, schema, names)
   local list = {}
   for _, asked in ipairs(names) do
      local name, optional = asked:match("^(.-)([?*]?)$")
      if t.kinds[name] then
         list[#list + 1] = column(name, rule_of(schema, name), t.kinds[name], t.is_text)
         list[name] = list[#list]
      elseif optional == "" then
         return nil, ("%s: no column '%s' (has: %s)"):format(t.path, name,
            shortened(table.concat(t.names, ", "), LISTED))
      end
   end
   return list
end

-- A rule's condition on the values of its columns, which in CSV are text until they are cast.
local function rule_sql(t, list, rule)
   local sql = rule.sql
   for _, name in ipairs(t.is_text and {rule[1], table.unpack(rule.with)} or {}) do
      sql = sql:gsub("%f[%w_]" .. name .. "%f[^%w_]", (list[name].value:gsub("%%", "%%%%")))
   end
   return sql
end

-- The rules of several columns, all of which are read.
local function add_rules(t, list, schema)
   for _, rule in ipairs(schema) do
      local here = list[rule[1]] and list[rule[1]].fits
      for _, other in ipairs(rule.with) do here = here and list[other] and list[other].fits end
      if here then
         list[#list + 1] = {name = rule[1], bad = ("not coalesce(%s, false)"):format(rule_sql(t, list, rule)),
            words = rule.words,
            kind = list[rule[1]].kind, fits = true, is_rule = true}
      end
   end
end

local function shown(value, kind)
   if value == nil then return "NULL" end
   if utf8.len(value) > SHOWN then value = value:sub(1, utf8.offset(value, SHOWN + 1) - 1) .. "..." end
   value = value:gsub("%c", " ")
   local is_text = kind == "VARCHAR" or kind == "BLOB" or kind:find("^ENUM")
   return is_text and "'" .. value .. "'" or value
end

-- The first row with a wrong value, in words; nil: there is none.
local function find_fault(t, list)
   local sql, firsts = require "bclua.sql", {}
   if #list == 0 then return nil end
   for i, c in ipairs(list) do firsts[i] = ("min(row_from_0) filter (where %s) as c%d"):format(c.bad, i) end
   local number = not t.is_text and not t.kinds.file_row_number and "file_row_number" or "row_number() over () - 1"
   local rows = ("(select *, %s as row_from_0 from %s)"):format(number, t.from)
   local found, message = sql.query(("select %s from %s"):format(table.concat(firsts, ", "), rows))
   if not found then return message end
   local first, c
   for i, one in ipairs(list) do
      local row = found[1]["c" .. i]
      if row and (not first or row < first) then first, c = row, one end
   end
   if not first then return nil end
   local got
   got, message = sql.query(("select left(%s::varchar, %d) as got from %s where row_from_0 = %d"):format(
      sql.identifier(c.name), SHOWN + 1, rows, first))
   if not got then return message end
   return ("%s: column '%s', row %d: %s, got %s%s"):format(t.path, c.name, first + 1, c.words,
      shown(got[1].got, c.kind), c.fits and "" or (" (%s)"):format(shortened(c.kind, SHOWN)))
end

--- A table as a relation of SQL, all of whose values are what the schema asks for.
-- @tparam string path Parquet, or CSV by its name's end
-- @tparam table schema
-- @tparam {string,...} names of the columns that are read, all of the schema; `name?`: null where it is missing;
-- `*`, last: all columns that are not of the schema, as text those that are no numbers, texts or booleans
-- @treturn[1] string for `select ... from <relation>`: these columns, in this order, as VARCHAR, BIGINT, DOUBLE,
-- BOOLEAN and lists of these
-- @treturn[1] table types of all columns of the file, by name
-- @treturn[2] nil
-- @treturn[2] string message: `PATH: column 'mp', row 3: must be a list of numbers, got 'abc' (VARCHAR)`; rows count
-- from 1
function tables.open(path, schema, names)
   local sql = require "bclua.sql"
   local t, message = describe(path)
   if not t then return nil, message end
   local list
   list, message = wanted(t, schema, names)
   if not list then return nil, message end
   add_rules(t, list, schema)
   message = find_fault(t, list)
   if message then return nil, message end
   local select = {}
   local function add(name, value) select[#select + 1] = ("%s as %s"):format(value, sql.identifier(name)) end
   for _, asked in ipairs(names) do
      local name = asked:gsub("[?*]$", "")
      if name ~= "" then add(name, list[name] and list[name].value or "null::" .. sql_type(rule_of(schema, name))) end
   end
   for _, name in ipairs(names[#names] == "*" and t.names or {}) do
      if not schema[name] then add(name, sql.identifier(name) .. (is_plain(t.kinds[name]) and "" or "::varchar")) end
   end
   return ("(select %s from %s)"):format(table.concat(select, ", "), t.from), t.kinds
end

-- ---- Objects ----

local function shown_value(value)
   if type(value) == "string" then return shown(display.utf8(value), "VARCHAR") end
   if type(value) == "table" then return #value > 0 and "a list" or "an object" end
   return type(value) == "userdata" and "null" or tostring(value)
end

local check_object

local function check_value(rule, value, name)
   if not options.is_right(rule, value) or rule.holds and not rule.holds(value) then
      return ("key '%s' %s, got %s"):format(name, words_of(rule), shown_value(value))
   end
   if rule[1] == "table" then return rule.of and check_object(value, rule.of, name .. ".") end
   for i, item in ipairs(rule[1] == "list" and rule.of and value or {}) do
      local wrong = check_value(rule.of, item, ("%s[%d]"):format(name, i))
      if wrong then return wrong end
   end
   return nil
end

function check_object(value, schema, prefix)
   if type(value) ~= "table" or #value > 0 then return ("must be an object, got %s"):format(shown_value(value)) end
   local names = {}
   for name in pairs(schema) do
      if type(name) == "string" then names[#names + 1] = name end
   end
   table.sort(names)
   for _, name in ipairs(names) do
      local rule = rule_of(schema, name)
      if value[name] == nil then
         if rule.needed then return ("no key '%s'"):format(prefix .. name) end
      else
         local wrong = check_value(rule, value[name], prefix .. name)
         if wrong then return wrong end
         if rule[1] == "integer" then value[name] = math.tointeger(value[name]) end
      end
   end
   return nil
end

--- What is wrong with a JSON object; floats that stand for integers become integers.
-- @param value as it was decoded
-- @tparam table schema other keys are allowed
-- @treturn ?string as in "key 'motif_0' must be an integer of at least 0, got 'x'"; nil: nothing
function tables.fault(value, schema) return check_object(value, schema, "") end

--- A JSON object out of a file.
-- @tparam string path
-- @tparam table schema other keys are allowed
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function tables.read_json(path, schema)
   local value, message = files.read_json(path)
   if message then return nil, message end
   local wrong = tables.fault(value, schema)
   if wrong then return nil, path .. ": " .. wrong end
   return value
end

return tables
