-- damage.lua: a table with one column spoilt in all ways that we know of.
local command = require "support.command"
local sql = require "bclua.sql"

local damage = {}

--- SQL of values that a column should not hold, by name.
damage.faults = {null = "null", nan = "'nan'::double", infinity = "'infinity'::double", huge = "1e300::double",
   negative = "-7", text = "'abc'", list = "[1, 2]", lists = "[[1, 2]]", struct = "{'a': 1}", map = "map {'a': 1}",
   blob = "'\\xFF'::blob", long = "repeat('x', 100000)", outside = "'x/../../y'", date = "date '2020-01-01'"}

-- Those that can be in one row of a column which is right otherwise.
local NUMBERS = {nan = true, infinity = true, huge = true, negative = true}
local TEXTS = {long = true, outside = true}

--- A copy of a Parquet file, its metadata as well, with one column spoilt.
-- @treturn integer the row, from 1, in which the fault is first
function damage.column(from, to, column, fault)
   local kind = sql.query(("select typeof(%s) kind from %s limit 1"):format(sql.identifier(column),
      sql.quote(from)))[1].kind
   local one = fault == "null" or kind == "VARCHAR" and TEXTS[fault] or
      (kind == "DOUBLE" or kind:find("INT")) and not kind:find("[", 1, true) and NUMBERS[fault]
   local value = damage.faults[fault]
   if one then value = ("case when file_row_number = 1 then %s else %s end"):format(value, sql.identifier(column)) end
   local quoted = {}
   for key, text in pairs(sql.parquet_metadata(from)) do
      quoted[#quoted + 1] = sql.identifier(key) .. ": " .. sql.quote(text)
   end
   sql.exec(("copy (select * replace (%s as %s) from %s) to %s (format parquet, kv_metadata {%s})"):format(value,
      sql.identifier(column), sql.quote(from), sql.quote(to), table.concat(quoted, ", ")))
   return one and 2 or 1
end

--- The names of the faults, sorted.
function damage.names()
   local list = {}
   for name in pairs(damage.faults) do list[#list + 1] = name end
   table.sort(list)
   return list
end

--- Files that are no table, by name: functions of a path and of the file that should be there.
damage.files = {
   empty = function(path) command.write(path, "") end,
   junk = function(path) command.write(path, ("no table\n"):rep(50)) end,
   truncated = function(path, from)
      local text = command.read(from)
      command.write(path, text:sub(1, #text // 2))
   end,
   folder = function(path) assert(require("bclua.system").mkdir(path)) end,
   missing = function() end,
   ["without rows"] = function(path, from)
      sql.exec(("copy (from %s limit 0) to %s (format parquet)"):format(sql.quote(from), sql.quote(path)))
   end,
}

return damage
