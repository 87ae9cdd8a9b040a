--- SQL over Parquet, CSV and JSON files, and over tables in memory: DuckDB.
--
-- Every function works on one database in memory that all Lua states of the
-- process share. `sql.open` gives connections to other databases; what is a
-- function here is a method there.
--
-- @module bclua.sql
-- @usage
-- local sql = require "bclua.sql"
-- print(sql.query "select species, count(*) n from 'motif.parquet' group by all")
-- sql.write_parquet("loud.parquet", {id = {"XC1", "XC2"}, level = array.from{-3.5, -7}})

local array = require "bclua.array"
local check_options = require("bclua.options").check
local core = require "bclua.sql.core"
local display = require "bclua.display"

local sql = {
   open = core.open,
   default = core.default,
   query = core.query,
   columns = core.columns,
   exec = core.exec,
   version = core.version,
}

local methods = core.methods

-- Make `name` a method of connections, and a function on the default one.
-- The tail call keeps the caller at level 2 for error().
local function export(name, method)
   methods[name] = method
   sql[name] = function(...)
      local connection, err = core.default()
      if not connection then return nil, err end
      return method(connection, ...)
   end
end

-- Raise at the caller of the function that calls this.
local function bad_argument(position, name, expected, value)
   error(("bad argument #%d to '%s' (%s expected, got %s)"):format(position, name, expected, type(value)), 4)
end

local function check(position, name, expected, value)
   if type(value) ~= expected then bad_argument(position, name, expected, value) end
end

-- DuckDB opens files by UTF-8 names only: nil and a message for another one.
local function check_path(path)
   if utf8.len(path) then return true end
   return nil, path .. ": a name that is not UTF-8"
end

-- Called through pcall, the C functions raise without a position; the caller
-- of a public function gets its own.
local function pass(level, ok, ...)
   if ok then return ... end
   error((...), level)
end

local function call(f, ...) return pass(0, pcall(f, ...)) end

-- Rows, not columns: what query returned, or a list of tables; empty, too.
local function is_rows(source)
   return getmetatable(source) == core.rows or type(source[1]) == "table" or next(source) == nil
end

--- A string literal: in single quotes, those inside doubled.
-- @tparam string text
-- @treturn string
-- @usage sql.query("select * from calls where species = " .. sql.quote(name))
function sql.quote(text)
   check(1, "quote", "string", text)
   return "'" .. text:gsub("'", "''") .. "'"
end

--- A path as a string literal that stands for that very file: DuckDB takes `* ? [` for a pattern,
-- a leading `~` for the home folder, and `s3://...` for an address.
-- @tparam string path
-- @treturn string
-- @usage sql.query("select * from " .. sql.path("run[1]/motif.parquet"))
function sql.path(path)
   check(1, "path", "string", path)
   path = display.utf8(path) -- DuckDB knows no other names: it finds no such file, and fault.c says why
   if path:find("[*?[]") then
      -- In a pattern a letter in brackets is itself; a backslash parts folders there, unless it lies between others.
      path = path:gsub("[*?[\\]", function(letter) return letter == "\\" and "[[-^]" or "[" .. letter .. "]" end)
   end
   if path:find("^~") or path:find("^[^/]*:") then path = "./" .. path end
   return sql.quote(path)
end

local function reader(name, paths, options)
   check(1, name, type(paths) == "table" and "table" or "string", paths)
   local list = {}
   for i, path in ipairs(type(paths) == "table" and paths or {paths}) do list[i] = sql.path(path) end
   -- By default a folder `species=synfin1` would be a column, in place of the file's own.
   return ("read_%s([%s], hive_partitioning = false%s)"):format(name, table.concat(list, ", "),
      options and ", " .. options or "")
end

--- What stands for the rows of Parquet files in a `from`. No letter of a path is taken for a pattern, and no
-- folder for a column.
-- @tparam string|{string,...} paths one, or several
-- @tparam[opt] string options more arguments of DuckDB's `read_parquet`
-- @treturn string
-- @usage sql.query("select count(*) n from " .. sql.parquet(path))
function sql.parquet(paths, options) return reader("parquet", paths, options) end

--- The same of CSV files.
-- @tparam string|{string,...} paths
-- @tparam[opt] string options more arguments of DuckDB's `read_csv`
-- @treturn string
-- @usage sql.query("from " .. sql.csv("calls.csv", "header = true, all_varchar = true"))
function sql.csv(paths, options) return reader("csv", paths, options) end

--- A name of a column or table, in double quotes.
-- @tparam string name
-- @treturn string
function sql.identifier(name)
   check(1, "identifier", "string", name)
   return '"' .. name:gsub('"', '""') .. '"'
end

--- The names of columns in order: of what `query` or `columns` returned, as the
-- SQL had them; of rows or columns made by hand, sorted.
-- @tparam table source rows or columns
-- @treturn {string,...}
function sql.names(source)
   check(1, "names", "table", source)
   local meta = getmetatable(source)
   if meta == core.rows then return source.columns end
   if meta and meta.names then return meta.names end
   local seen, names = {}, {}
   local function add(row)
      for name in pairs(row) do
         if not seen[name] then names[#names + 1] = name end
         seen[name] = true
      end
   end
   if is_rows(source) then
      for _, row in ipairs(source) do add(row) end
   else
      add(source)
   end
   table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
   return names
end

--- Turn rows into columns.
-- @tparam {table,...} rows tables by column name, as `query` returns them or made by hand
-- @tparam[opt] {string,...} names which columns; by default `names(rows)`
-- @treturn table lists by name, each with its length in `n`
function sql.to_columns(rows, names)
   check(1, "to_columns", "table", rows)
   local columns = {}
   for _, name in ipairs(names or sql.names(rows)) do
      local list = {n = #rows}
      for i, row in ipairs(rows) do list[i] = row[name] end
      columns[name] = list
   end
   return columns
end

-- What write_* and append take, as columns and their names in order.
local function take_columns(source, order)
   local names = order or sql.names(source)
   if is_rows(source) then source = sql.to_columns(source, names) end
   return source, names
end

local serial = 0

-- Put columns into a temporary table, hand SQL that selects them (and their
-- names) to `use`, and drop it.
local function with_table(self, source, options, use)
   local columns, names = take_columns(source, options.order)
   local types = call(core.declare, columns, names)
   serial = serial + 1
   local name, quoted, declared, selected = "bclua_columns_" .. serial, {}, {}, {}
   for i, column in ipairs(names) do
      quoted[i] = sql.identifier(column)
      declared[i] = quoted[i] .. " " .. types[i]
      local wanted = options.types and options.types[column]
      selected[i] = wanted and ("%s::%s as %s"):format(quoted[i], wanted, quoted[i]) or quoted[i]
   end
   call(self.exec, self, ("create temp table %s (%s)"):format(name, table.concat(declared, ", ")))
   local function finish(...)
      core.drop(self, name)
      return pass(0, ...)
   end
   return finish(pcall(function()
      call(core.fill, self, name, columns, names)
      return use(("select %s from %s"):format(table.concat(selected, ", "), name), table.concat(quoted, ", "))
   end))
end

local NAMES = {"list", of = "string", items = "names"}
local APPEND = {order = NAMES}

--- Append columns, or rows, to a table that is there: all of them or none. Values
-- are cast to the table's types; columns of the table that are not given get
-- their defaults.
-- @function append
-- @tparam string table its name, without a schema
-- @tparam table source as in `write_parquet`, but no SQL
-- @tparam[opt] table options `order`: the names of the columns to take
-- @treturn integer the number of rows
-- @raise a column that the table has not, columns of different lengths, values that
--   do not fit
export("append", function(self, name, source, options)
   check(1, "append", "string", name)
   check(2, "append", "table", source)
   local o = check_options(options, APPEND)
   local function insert(select, names)
      return call(self.exec, self, ("insert into %s (%s) %s"):format(sql.identifier(name), names, select))
   end
   return pass(2, pcall(with_table, self, source, o, insert))
end)

-- What files.guard does, in SQL.
local GUARD = [[case when regexp_matches(%s::varchar, '^''*[=+\-@\t\r]') and try_cast(%s::varchar as double) is null
   then '''' || %s::varchar else %s::varchar end as %s]]

-- The same rows, texts guarded for spreadsheets.
local function guarded(self, select)
   local columns, err = call(self.query, self, "describe " .. select)
   if not columns then return nil, err end
   local cells = {}
   for i, column in ipairs(columns) do
      local name, kind = sql.identifier(column.column_name), column.column_type
      local is_text = kind == "VARCHAR" or kind:find("^ENUM")
      cells[i] = is_text and GUARD:format(name, name, name, name, name) or name
   end
   return ("select %s from (%s\n)"):format(table.concat(cells, ", "), select)
end

-- COPY a source (columns, rows or SQL) into a file.
local function write(self, path, source, options, copy_options)
   local ok, err = check_path(path)
   if not ok then return nil, err end
   local settings = table.concat(copy_options, ", ")
   local function copy(select)
      if options.guard then
         local why
         select, why = guarded(self, select)
         if not select then return nil, why end
      end
      return call(core.copy, self, select, path, settings)
   end
   if type(source) == "string" then return copy((source:gsub("[%s;]+$", ""))) end
   return with_table(self, source, options, copy)
end

local function check_write(name, path, source)
   if type(path) ~= "string" then bad_argument(1, name, "string", path) end
   if type(source) ~= "table" and type(source) ~= "string" then
      bad_argument(2, name, "table or SQL", source)
   end
end

local WRITE_PARQUET = {
   order = NAMES,
   types = "table",
   metadata = {"table", default = {}},
   compression = {"choice", {"zstd", "snappy", "gzip", "lz4", "uncompressed"}, default = "zstd"},
   row_group_size = {"integer", least = 1},
}

--- Write a Parquet file, whole or not at all.
--
-- The source is one of
--
-- - columns by name: 1-D arrays; 2-D arrays (a list for each row); Lua lists of
--   strings, numbers, booleans, arrays or lists, all of one sort, with nil for NULL
--   (then `n` says how many, up to 2^24 more than the list has). Integers and floats mixed become DOUBLE. A column of
--   nothing but NULL is VARCHAR unless `types` says otherwise;
-- - rows: a list of tables by column name, as `query` returns;
-- - SQL: a SELECT, whose rows never come to Lua.
--
-- f32, f64, i64, i32, i16 and u8 become FLOAT, DOUBLE, BIGINT, INTEGER, SMALLINT and
-- UTINYINT. The same source gives the same bytes.
-- @function write_parquet
-- @tparam string path
-- @tparam table|string source
-- @tparam[opt] table options `order`: names of the columns to write, in order (default:
--   sorted by name; of rows, as they came from `query`); `types`: SQL types by column
--   name; `metadata`: strings, numbers or booleans by key, kept as text;
--   `compression`: `zstd` (default), `snappy`, `gzip`, `lz4`, `uncompressed`;
--   `row_group_size` in rows
-- @treturn boolean true
-- @treturn[2] nil if the file cannot be written (a missing folder, a full disk), or
--   a file that the SQL reads cannot be read
-- @treturn[2] string the message, which begins with the file's path
-- @raise columns of different lengths, values of different sorts in one column, wrong SQL
-- @usage sql.write_parquet("motif.parquet", {id = ids, mp = profiles}, {order = {"id", "mp"}})
export("write_parquet", function(self, path, source, options)
   check_write("write_parquet", path, source)
   local o = check_options(options, WRITE_PARQUET)
   local copy = {"format parquet", "use_tmp_file false",
      "compression " .. sql.quote(o.compression)}
   if o.row_group_size then
      copy[#copy + 1] = ("row_group_size %d"):format(o.row_group_size)
   end
   local pairs_text = {}
   for key, value in pairs(o.metadata) do
      pairs_text[#pairs_text + 1] = sql.identifier(key) .. ": " .. sql.quote(display.utf8(tostring(value)))
   end
   table.sort(pairs_text)
   if #pairs_text > 0 then
      copy[#copy + 1] = "kv_metadata {" .. table.concat(pairs_text, ", ") .. "}"
   end
   return pass(2, pcall(write, self, path, source, o, copy))
end)

local WRITE_CSV = {
   order = NAMES,
   types = "table",
   header = {"boolean", default = true},
   delimiter = {"string", default = ","},
   null = {"string", default = ""},
   guard = {"boolean", default = false},
}

--- Write a CSV file, whole or not at all; one that ends in `.gz` or `.zst` is compressed.
-- Source and failures are as in `write_parquet`. Lists become text: `[1.0, 2.0]`.
-- @function write_csv
-- @tparam string path
-- @tparam table|string source
-- @tparam[opt] table options `order` and `types` as in `write_parquet`; `header`
--   (default true); `delimiter` (default `,`); `null`: the text for NULL (default empty);
--   `guard` (default false): texts as `files.guard` has them, for spreadsheets
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string the message, which begins with the file's path
export("write_csv", function(self, path, source, options)
   check_write("write_csv", path, source)
   local o = check_options(options, WRITE_CSV)
   local compression = path:find("%.gz$") and "gzip" or path:find("%.zst$") and "zstd" or "none"
   local copy = {"format csv", "use_tmp_file false",
      "header " .. tostring(o.header),
      "delimiter " .. sql.quote(o.delimiter),
      "nullstr " .. sql.quote(o.null),
      "compression " .. sql.quote(compression)}
   return pass(2, pcall(write, self, path, source, o, copy))
end)

--- The key-value metadata of a Parquet file.
-- @function parquet_metadata
-- @tparam string path
-- @treturn table strings by key; empty if the file has none
-- @treturn[2] nil if it is missing or no Parquet file
-- @treturn[2] string the message, which begins with the path
export("parquet_metadata", function(self, path)
   check(1, "parquet_metadata", "string", path)
   local ok, err = check_path(path)
   if not ok then return nil, err end
   local rows
   rows, err = self:query("select key, value from parquet_kv_metadata(" .. sql.path(path) .. ")")
   if not rows then return nil, err end
   local metadata = {}
   for _, row in ipairs(rows) do metadata[row.key] = row.value end
   return metadata
end)

--- Does a file have these columns? Parquet, or CSV or JSON by the name's end.
-- @function require_columns
-- @tparam string path
-- @tparam {string,...} names
-- @treturn boolean true
-- @treturn[2] nil if one is missing, or the file cannot be read
-- @treturn[2] string the message: `PATH: no column 'a' (has: b, c)`
export("require_columns", function(self, path, names)
   check(1, "require_columns", "string", path)
   check(2, "require_columns", "table", names)
   local ok, err = check_path(path)
   if not ok then return nil, err end
   local kind = "parquet"
   if path:find("%.[ct]sv$") or path:find("%.[ct]sv%.%w+$") then kind = "csv" end
   if path:find("%.jsonl?$") then kind = "json" end
   local rows
   rows, err = self:query("describe from " .. reader(kind, path))
   if not rows then return nil, err end
   local has, list = {}, {}
   for i, row in ipairs(rows) do
      has[row.column_name] = true
      list[i] = row.column_name
   end
   for _, name in ipairs(names) do
      if not has[name] then
         return nil, ("%s: no column '%s' (has: %s)"):format(path, name, table.concat(list, ", "))
      end
   end
   return true
end)

-- ---- Rows as an aligned table ----

local function cell(value, width)
   if value == nil then return "NULL" end
   if value ~= value then return "nan" end
   if math.type(value) == "float" then return ("%.7g"):format(value) end
   if type(value) == "table" then return ("(%d values)"):format(value.n or #value) end
   if array.is_array(value) then
      return ("%s (%s)"):format(value:dtype(), table.concat(value:shape(), ", "))
   end
   local line = display.line(tostring(value))
   return display.width(line) <= width and line or display.cut(line, width - 1) .. "…"
end

local TABLE = {
   limit = {"integer", least = 0, default = 40},
   width = {"integer", least = 1, default = 48},
   order = NAMES,
}

--- Rows as aligned text; also what tostring gives of a query's result.
-- @tparam {table,...} rows what `query` returns, or a list of tables
-- @tparam[opt] table options `limit`: rows shown (default 40; more leave out the middle),
--   `width`: of a column at most (default 48), `order`: names of the columns to show
-- @treturn string lines, without a new line at the end
function sql.table(rows, options)
   check(1, "table", "table", rows)
   local o = check_options(options, TABLE)
   local limit, width = o.limit, o.width
   local names = o.order or sql.names(rows)
   local widths, right, lines = {}, {}, {}
   for c, name in ipairs(names) do
      widths[c] = display.width(name)
      right[c] = true
   end
   local shown = {}
   for i, row in ipairs(rows) do
      if #rows <= limit or i <= (limit + 1) // 2 or i > #rows - limit // 2 then
         local cells = {}
         for c, name in ipairs(names) do
            cells[c] = cell(row[name], width)
            widths[c] = math.max(widths[c], display.width(cells[c]))
            right[c] = right[c] and (row[name] == nil or type(row[name]) == "number")
         end
         shown[#shown + 1] = cells
      elseif i == (limit + 1) // 2 + 1 then
         shown[#shown + 1] = false
      end
   end
   local function line(cells)
      local out = {}
      for c = 1, #names do out[c] = display.pad(cells[c], widths[c], right[c]) end
      lines[#lines + 1] = (table.concat(out, "  "):gsub("%s+$", ""))
   end
   local rule = {}
   for c = 1, #names do rule[c] = ("-"):rep(widths[c]) end
   line(names)
   line(rule)
   for _, cells in ipairs(shown) do
      if cells then line(cells) else lines[#lines + 1] = "…" end
   end
   lines[#lines + 1] = ("(%s)"):format(display.count(#rows, "row"))
   return table.concat(lines, "\n")
end

core.rows.__tostring = function(rows) return sql.table(rows) end

return sql
