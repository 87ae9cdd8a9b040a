local array = require "bclua.array"
local command = require "support.command"
local sql = require "bclua.sql"
local system = require "bclua.system"

describe("sql", function()
   local folder

   setup(function() folder = command.folder() end)
   teardown(function() command.remove(folder) end)

   local function path(name) return folder .. "/" .. name end
   local function from(name) return "from " .. sql.quote(path(name)) end

   -- The only value of a query of one row and one column.
   local function value(text, params)
      local rows = assert(sql.query(text, params))
      return rows[1][rows.columns[1]]
   end

   describe("path, parquet and csv", function()
      local lfs = require "lfs"
      local names = {"x[12]", "a*", "q?", "it's", '"q"', "back\\slash", "x[1]\\s", "new\nline", "~home", "~/b",
         "s3://c", "md:d", "a=9/e", "**/f", "[!x]", "]", "{a,b}", "$(g)", "%s"}
      local decoys = {"x1", "aa", "qq", "xx1", "x[1]zs", "zz/f", "a", "b"}
      local home

      local function make(name, a)
         assert(system.mkdir((name:match("^(.*)/") or ".")))
         assert(sql.write_parquet(name .. ".parquet", {a = {a}}, {metadata = {name = name}}))
         assert(sql.write_csv(name .. ".csv", {a = {a}}))
         local db <close> = assert(sql.open(name .. ".db"))
         db:exec("create table t as select ? as a", {a})
      end

      setup(function()
         home = lfs.currentdir()
         assert(system.mkdir(folder .. "/odd"))
         lfs.chdir(folder .. "/odd")
         for i, name in ipairs(names) do make(name, i) end
         for _, name in ipairs(decoys) do make(name, -1) end
      end)
      teardown(function() lfs.chdir(home) end)

      it("mean the file of that very name, whatever letters it has", function()
         for _, prefix in ipairs({"", "./", folder .. "/odd/"}) do
            for i, name in ipairs(names) do
               local file = prefix .. name
               for _, from_file in ipairs({sql.parquet(file .. ".parquet"), sql.csv(file .. ".csv")}) do
                  local rows = assert(sql.query("from " .. from_file))
                  assert.same({columns = {"a"}, n = 1, a = i}, {columns = rows.columns, n = #rows, a = rows[1].a}, file)
               end
               assert.equal(i, value("select a from read_parquet(" .. sql.path(file .. ".parquet") ..
                  ", hive_partitioning = false)"))
               assert.same({name = name}, sql.parquet_metadata(file .. ".parquet"))
               assert.is_true(sql.require_columns(file .. ".parquet", {"a"}))
               assert.is_true(sql.require_columns(file .. ".csv", {"a"}))
            end
         end
         for i, name in ipairs(names) do
            local db <close> = assert(sql.open(name .. ".db"))
            assert.equal(i, db:query("from t")[1].a)
         end
         local rows = sql.query("from " .. sql.parquet({"x[12].parquet", "~home.parquet"}) .. " order by a")
         assert.same({1, 9}, {rows[1].a, rows[2].a})
      end)

      it("name a file that is missing or damaged as the user did", function()
         for _, name in ipairs({"no[1]", "~no", "no*", "no?", "s3://no", "no\\[x]", "no"}) do
            for _, write in ipairs({sql.parquet, sql.csv}) do
               assert.same({nil, name .. ": no such file"}, {sql.query("from " .. write(name))})
            end
         end
         assert.same({nil, "caf\u{FFFD}.csv: a name that is not UTF-8"}, {sql.query("from " .. sql.csv("caf\xe9.csv"))})
         command.write("bad[1].parquet", "PAR1 nothing of the sort PAR1")
         local rows, message = sql.query("from " .. sql.parquet("bad[1].parquet"))
         assert.is_nil(rows)
         assert.equal("bad[1].parquet: ", message:sub(1, 16))
      end)

      it("are how all modules put paths into SQL", function()
         local root = home .. "/lua/"
         for _, name in ipairs(require("bclua.files").find(root, function(name) return name:find("%.lua$") end)) do
            local text = command.read(root .. name)
            assert.is_nil(name ~= "bclua/sql.lua" and (text:find("read_parquet") or text:find("read_csv")) or nil, name)
         end
      end)
   end)

   describe("query", function()
      it("gives rows by column name, with names and types in order", function()
         local rows = sql.query "select 2 as b, 'x' as a union all select 3, 'y' order by b"
         assert.same({b = 2, a = "x"}, rows[1])
         assert.same({b = 3, a = "y"}, rows[2])
         assert.equal(2, #rows)
         assert.same({"b", "a"}, rows.columns)
         assert.same({"INTEGER", "VARCHAR"}, rows.types)
      end)

      it("gives an empty list with names when there are no rows", function()
         local rows = sql.query "select 1 a, 'x' b where false"
         assert.equal(0, #rows)
         assert.same({"a", "b"}, rows.columns)
      end)

      it("gives no rows for a statement that has none", function()
         assert.equal(0, #sql.query "create or replace temp table nothing (a int)")
      end)

      it("gives NULL as nil", function()
         assert.same({}, sql.query("select null a, null::double b, null::varchar c, null::int[] d")[1])
      end)

      it("keeps integers whole up to 64 bits", function()
         local row = sql.query([[select 9223372036854775807 a, -9223372036854775808 b, 255::utinyint c,
            (-128)::tinyint d, (-32768)::smallint e, 65535::usmallint f, 4294967295::uinteger g, 7::ubigint h]])[1]
         assert.same({a = math.maxinteger, b = math.mininteger, c = 255, d = -128, e = -32768, f = 65535,
            g = 4294967295, h = 7}, row)
         for _, x in pairs(row) do assert.equal("integer", math.type(x)) end
      end)

      it("gives integers beyond 64 bits as floats", function()
         assert.equal(2.0 ^ 64 - 2 ^ 11, value "select 18446744073709549568::ubigint")
         assert.equal(2.0 ^ 100, value "select 1267650600228229401496703205376::hugeint")
         assert.equal(-2.0 ^ 100, value "select -1267650600228229401496703205376::hugeint")
         assert.equal(2.0 ^ 127, value "select 170141183460469231731687303715884105728::uhugeint")
         assert.equal(10, value "select sum(range) from range(5)")
         assert.equal("integer", math.type(value "select sum(range) from range(5)"))
         assert.equal(-10, value "select sum(-range) from range(5)")
      end)

      it("gives floats, NaN and infinities", function()
         local row = sql.query "select 0.1::double a, 0.5::float b, 'nan'::double c, '-inf'::double d"[1]
         assert.equal(0.1, row.a)
         assert.equal(0.5, row.b)
         assert.is_true(row.c ~= row.c)
         assert.equal(-math.huge, row.d)
      end)

      it("gives decimals of every width as numbers", function()
         local row = sql.query [[select 1.5::decimal(4,1) a, -1.25::decimal(9,2) b, 1.125::decimal(18,3) c,
            123456789.5::decimal(38,1) d, -0.01::decimal(38,2) e]][1]
         assert.same({a = 1.5, b = -1.25, c = 1.125, d = 123456789.5, e = -0.01}, row)
      end)

      it("gives booleans", function()
         assert.same({a = true, b = false}, sql.query("select true a, false b")[1])
      end)

      it("gives text of any length and script", function()
         local long = ("Ø"):rep(5000)
         assert.equal("Zaunkönig 鳥 🐦", value "select 'Zaunkönig 鳥 🐦'")
         assert.equal("", value "select ''")
         assert.equal("twelve bytes", value "select 'twelve bytes'")
         assert.equal("thirteen byte", value "select 'thirteen byte'")
         assert.equal(long, value("select '" .. long .. "'"))
      end)

      it("gives blobs byte for byte", function()
         assert.equal("\0a\255", value [[select '\x00a\xFF'::blob]])
      end)

      it("gives enums as text", function()
         sql.exec "create or replace temp table e (m enum('calm', 'wild')); insert into e values ('wild'), (null)"
         assert.equal("wild", value "from e where m is not null")
      end)

      it("gives lists of numbers as arrays", function()
         local row = sql.query [[select [1.5::double, 2] a, [1::bigint, 2] b, [1::int] c, [1::smallint] d,
            [1::utinyint] e, [1::float] f, []::double[] g, [1, null, 3]::double[] h]][1]
         assert.same({1.5, 2}, row.a:table())
         local dtypes = {a = "f64", b = "i64", c = "i32", d = "i16", e = "u8", f = "f32", g = "f64"}
         for name, dtype in pairs(dtypes) do assert.equal(dtype, row[name]:dtype()) end
         assert.equal(0, #row.g)
         assert.is_true(row.h:at(2) ~= row.h:at(2))
         assert.equal(3, row.h:at(3))
      end)

      it("gives other lists as Lua lists with n", function()
         local row = sql.query "select ['a', null, 'c'] a, [1, null] b, [true] c, [[1], [2, 3]] d, [null, null] e"[1]
         assert.same({"a", nil, "c", n = 3}, row.a)
         assert.same({1, n = 2}, row.b)
         assert.same({true, n = 1}, row.c)
         assert.same({2, 3}, row.d[2]:table())
         assert.same({n = 2}, row.e)
      end)

      it("gives structs, maps and fixed arrays", function()
         local row = sql.query [[select {'a': 1, 'b': {'c': 'x'}} s, map {'k': 1, 'l': 2} m, [1, 2]::float[2] f,
            row(7, 'y') r, map {1: ['a']} n]][1]
         assert.same({a = 1, b = {c = "x"}}, row.s)
         assert.same({k = 1, l = 2}, row.m)
         assert.same({1, 2}, row.f:table())
         assert.same({7, "y"}, row.r)
         assert.same({{"a", n = 1}}, row.n)
      end)

      it("gives dates, times, intervals and UUIDs as SQL shows them", function()
         local texts = {
            "date '2024-02-29'", "date '0001-01-01'", "date '1969-12-31'", "date '0044-03-15 (BC)'",
            "date '12345-06-07'", "'infinity'::date", "time '01:02:03.50'", "time '23:59:59'",
            "timestamp '2024-02-29 12:34:56.000789'", "timestamp '1900-01-01 00:00:00.1'",
            "'-infinity'::timestamp", "timestamp '0044-03-15 (BC) 01:00:00'",
            "'2024-01-02 03:04:05'::timestamp_s", "'2024-01-02 03:04:05.006'::timestamp_ms",
            "'2024-01-02 03:04:05.000000007'::timestamp_ns", "interval '1 year 2 months 3 days 4 hours'",
            "interval '-14 months'", "interval '-90 seconds'", "interval '0 days'", "interval '1 day'",
            "interval '1.5 seconds'", "'01:02:03+05:30'::timetz", "'01:02:03-08'::timetz",
            "uuid '00112233-4455-6677-8899-aabbccddeeff'", "uuid 'f0112233-4455-6677-8899-aabbccddeeff'",
         }
         for _, text in ipairs(texts) do
            local row = sql.query(("select %s a, cast(%s as varchar) b"):format(text, text))[1]
            assert.equal(row.b, row.a)
         end
      end)

      it("gives times with a zone in UTC", function()
         assert.equal("2024-01-02 01:04:05+00", value "select '2024-01-02 03:04:05+02'::timestamptz")
      end)

      it("names the type that has no Lua value", function()
         assert.error_matches(function() sql.query "select '101'::bit" end, "type BIT has no Lua value")
         assert.equal("101", value "select '101'::bit::varchar")
      end)

      it("writes out nested types", function()
         local rows = sql.query [=[select [[1.5::double]] a, {'x': 1, 'y': 'z'} b, 1.5::decimal(9,2) c,
            map {'k': true} d, [1]::float[1] e]=]
         assert.same({"DOUBLE[][]", "STRUCT(x INTEGER, y VARCHAR)", "DECIMAL(9,2)", "MAP(VARCHAR, BOOLEAN)",
            "FLOAT[1]"}, rows.types)
      end)

      it("names a second column of one name as SQL does", function()
         local rows = sql.query "select 1 x, 2 x, 3 x"
         assert.same({"x", "x_1", "x_2"}, rows.columns)
         assert.same({x = 1, x_1 = 2, x_2 = 3}, rows[1])
      end)

      it("reads results of more than one chunk in order", function()
         local rows = sql.query "select range a from range(5000) order by a"
         assert.equal(5000, #rows)
         for i, row in ipairs(rows) do assert.equal(i - 1, row.a) end
      end)

      it("runs several statements and returns the last", function()
         local rows = sql.query(
            "create or replace temp table s (a int); insert into s values (4); from s where a = ?;", {4})
         assert.equal(4, rows[1].a)
      end)

      it("raises at the caller's line, with DuckDB's message", function()
         local ok, message = pcall(function() sql.query "selec 1" end)
         assert.is_false(ok)
         assert.matches("^[^\n]*sql_spec.lua:%d+: Parser Error: syntax error at or near \"selec\"", message)
         assert.error_matches(function() sql.query "from no_such_table" end,
            "Catalog Error: Table with name no_such_table")
         assert.error_matches(function() sql.query "select 'x'::int" end, "Conversion Error")
         assert.error_matches(function() sql.query "" end, "no statement")
         assert.error_matches(function() sql.query "select 1; select a" end, "Binder Error")
         assert.error_matches(function() sql.query "select error('mine')" end, "mine")
         assert.error_matches(function() sql.query(7 == 8) end, "bad argument #1 to 'query'")
         assert.error_matches(function() sql.query "select 1\0" end, "zero byte")
         assert.error_matches(function() sql.query "select 'caf\xe9'" end, "text that is not UTF%-8")
      end)

      it("goes on working after an error", function()
         pcall(sql.query, "selec 1")
         assert.equal(1, value "select 1")
      end)
   end)

   describe("parameters", function()
      it("come from a list, or by name", function()
         local row = sql.query("select ? a, ? b, ? c, ? d", {1, 2.5, "x'y", true})[1]
         assert.same({a = 1, b = 2.5, c = "x'y", d = true}, row)
         assert.equal("integer", math.type(row.a))
         assert.same({a = 2, b = 1, c = 2}, sql.query("select $2 a, $1 b, $2 c", {1, 2})[1])
         assert.same({a = "l", b = 3}, sql.query("select $low a, $high b", {low = "l", high = 3})[1])
      end)

      it("may be nil where n says so", function()
         assert.same({b = 1}, sql.query("select ? a, ? b, ? c", {nil, 1, nil, n = 3})[1])
      end)

      it("may be lists and arrays", function()
         assert.equal(2, value("select count(*) from range(10) where list_contains(?, range)", {{3, 5, 50}}))
         assert.equal(1, value("select 1 where 'b' in (select unnest(?))", {{"a", "b"}}))
         assert.same({1.5, -2}, value("select ?", {array.from({1.5, -2}, "f64")}):table())
         assert.equal(0, #value("select ?::double[]", {{}}))
         assert.equal(0, #value("select ?", {array.zeros(0, "f64")}))
      end)

      it("may name files", function()
         sql.write_parquet(path "parameter.parquet", {a = {1, 2}})
         assert.equal(3, value("select sum(a) from read_parquet(?)", {path "parameter.parquet"}))
         local rows, message = sql.query("from read_parquet(?)", {path "none.parquet"})
         assert.is_nil(rows)
         assert.equal(path "none.parquet" .. ": no such file", message)
      end)

      it("are counted, and named when they are wrong", function()
         assert.error_matches(function() sql.query("select ?, ?", {1}) end, "parameter 2 is missing")
         assert.error_matches(function() sql.query "select ?" end, "parameter 1 is missing")
         assert.error_matches(function() sql.query("select $a", {b = 1}) end, "parameter a is missing")
         assert.error_matches(function() sql.query("select ?", {1, 2}) end, "2 parameters given, the statement has 1")
         assert.error_matches(function() sql.query("select ?", {print}) end, "parameter 1 is a function")
         assert.error_matches(function() sql.query("select ?", {"caf\xe9"}) end,
            "parameter 1 is text that is not UTF%-8")
         assert.error_matches(function() sql.query("select ?", {{{1}}}) end, "parameter 1 is a list of lists")
         assert.error_matches(function() sql.query("select 1", 7) end, "bad argument #2 to 'query'")
      end)
   end)

   describe("columns", function()
      it("gives arrays of the dtype that fits, and lists of text", function()
         local columns = sql.columns [[select range::double a, range::float b, range c, range::int d,
            range::smallint e, range::utinyint f, range::tinyint g, range::usmallint h, range::uinteger i,
            range::ubigint j, range::hugeint k, range::decimal(5,1) l, range > 1 m, 't' || range n from range(3)]]
         assert.same({"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"}, sql.names(columns))
         local dtypes = {a = "f64", b = "f32", c = "i64", d = "i32", e = "i16", f = "u8", g = "i16", h = "i32",
            i = "i64", j = "f64", k = "f64", l = "f64"}
         for name, dtype in pairs(dtypes) do
            assert.equal(dtype, columns[name]:dtype())
            assert.same({0, 1, 2}, columns[name]:table())
         end
         assert.same({0, 0, 1}, columns.m:table())
         assert.same({"t0", "t1", "t2", n = 3}, columns.n)
      end)

      it("keeps the extremes of integers", function()
         local c = sql.columns [[select -9223372036854775808 a, 4294967295::uinteger b, (-128)::tinyint c,
            65535::usmallint d]]
         assert.equal(math.mininteger, c.a:at(1))
         assert.equal(4294967295, c.b:at(1))
         assert.equal(-128, c.c:at(1))
         assert.equal(65535, c.d:at(1))
      end)

      it("gives NaN for NULL among floats, and the option null for all", function()
         local c = sql.columns "select unnest([1.5, null]::double[]) a"
         assert.is_true(c.a:at(2) ~= c.a:at(2))
         c = sql.columns("select unnest([1, null]) a, unnest([null, 2.5]::double[]) b", nil, {null = -1})
         assert.same({1, -1}, c.a:table())
         assert.same({-1, 2.5}, c.b:table())
         assert.equal(255, sql.columns("select null::utinyint a", nil, {null = 1000}).a:at(1))
      end)

      it("refuses NULL among integers, naming column and row", function()
         assert.error_matches(function() sql.columns "select unnest([1, null, 3]) a" end,
            "column 'a' is NULL in row 2: say what stands for it with the option null")
      end)

      it("gives fixed arrays as matrices", function()
         local c = sql.columns "select [range, range + 0.5]::float[2] e from range(3000) order by range"
         assert.same({3000, 2}, c.e:shape())
         assert.equal(2999.5, c.e:at(3000, 2))
         c = sql.columns "select unnest([[1, 2], null]::double[2][]) e"
         assert.same({1, 2}, c.e:table()[1])
         assert.is_true(c.e:at(2, 1) ~= c.e:at(2, 1))
         assert.error_matches(function() sql.columns "select unnest([[1, 2], null]::int[2][]) e" end, "NULL in row 2")
         c = sql.columns("select unnest([[1, 2], null]::int[2][]) e", nil, {null = 9})
         assert.same({{1, 2}, {9, 9}}, c.e:table())
      end)

      it("gives lists of arrays for list columns", function()
         local c = sql.columns [[select case when range = 1 then null else [range::double] end l
            from range(3) order by range]]
         assert.equal(3, c.l.n)
         assert.same({2}, c.l[3]:table())
         assert.is_nil(c.l[2])
      end)

      it("reads more than one chunk", function()
         local c = sql.columns "select range a, range::varchar b from range(5000) order by range"
         assert.equal(4999, c.a:at(5000))
         assert.equal("4999", c.b[5000])
         assert.equal(5000, c.b.n)
      end)

      it("gives empty columns for no rows", function()
         local c = sql.columns "select 1 a, 'x' b, [1]::float[1] e where false"
         assert.equal(0, #c.a)
         assert.same({n = 0}, c.b)
         assert.same({0, 1}, c.e:shape())
      end)

      it("takes parameters and refuses unknown options", function()
         assert.same({7}, sql.columns("select ? a", {7}).a:table())
         assert.error_matches(function() sql.columns("select 1", nil, {nul = 1}) end, "unknown option 'nul'")
      end)
   end)

   describe("exec", function()
      it("says how many rows changed", function()
         assert.equal(0, sql.exec "create or replace temp table x (a int)")
         assert.equal(3, sql.exec "insert into x values (1), (2), (3)")
         assert.equal(2, sql.exec("delete from x where a > ?", {1}))
      end)
   end)

   it("reads a file anew that is written over in the same second, with the same size", function()
      local texts, p = {}, path("over.parquet")
      for v = 1, 2 do
         assert(sql.write_parquet(p, ("select %d::bigint as v from range(2000)"):format(v),
            {compression = "uncompressed"}))
         texts[v] = command.read(p)
      end
      assert.equal(#texts[1], #texts[2])
      for i = 1, 6 do
         command.write(p, texts[i % 2 + 1])
         assert.equal(i % 2 + 1, value("select max(v) " .. from("over.parquet")))
      end
   end)

   describe("connections", function()
      it("have databases of their own", function()
         local a <close> = sql.open()
         local b <close> = sql.open()
         a:exec "create table mine as select 1 x"
         assert.equal(1, a:query("from mine")[1].x)
         assert.error_matches(function() b:query "from mine" end, "mine")
         assert.error_matches(function() sql.query "from mine" end, "mine")
      end)

      it("keep a file", function()
         do
            local db <close> = assert(sql.open(path "kept.duckdb"))
            db:exec "create table t as select 42 a"
         end
         local one <close> = sql.open(path "kept.duckdb")
         local two <close> = sql.open(path "kept.duckdb")
         assert.equal(42, one:query("from t")[1].a)
         two:exec "insert into t values (43)"
         assert.equal(2, #one:query "from t")
         one:write_csv(path "kept.csv", "from t")
         assert.equal("a\n42\n43\n", command.read(path "kept.csv"))
      end)

      it("give nil and the path for a file that is no database", function()
         command.write(path "no.duckdb", ("no database "):rep(2000))
         local db, message = sql.open(path "no.duckdb")
         assert.is_nil(db)
         assert.matches("^" .. path("no.duckdb"):gsub("%p", "%%%0") .. ": ", message)
         db, message = sql.open(path "nowhere/a.duckdb")
         assert.is_nil(db)
         assert.matches("^" .. path("nowhere/a.duckdb"):gsub("%p", "%%%0") .. ": ", message)
      end)

      it("say so when they are closed", function()
         local db = sql.open()
         assert.matches("^bclua.sql connection %(:memory:%)$", tostring(db))
         db:close()
         db:close()
         assert.equal("bclua.sql connection (closed)", tostring(db))
         assert.error_matches(function() db:query "select 1" end, "the connection is closed")
         assert.error_matches(function() db:append("t", {a = {1}}) end, "the connection is closed")
      end)

      it("of this module come back after being closed", function()
         sql.default():close()
         assert.equal(1, value "select 1")
      end)

      it("may be left to the collector in the midst of errors", function()
         for _ = 1, 20 do
            local db = sql.open()
            pcall(db.query, db, "select error('x') from range(10)")
            pcall(db.append, db, "t", {a = {1}})
         end
         collectgarbage()
         collectgarbage()
      end)
   end)

   describe("quoting", function()
      it("makes literals and names", function()
         assert.equal("'it''s'", sql.quote "it's")
         assert.equal('"a ""b"""', sql.identifier 'a "b"')
         assert.equal("it's", value("select " .. sql.quote "it's"))
         assert.same({['a "b"'] = 1}, sql.query("select 1 " .. sql.identifier 'a "b"')[1])
         assert.error_matches(function() sql.quote(nil) end, "^bad argument #1 to 'quote'")
      end)
   end)

   describe("table", function()
      it("aligns rows, numbers to the right", function()
         local rows = sql.query "select * from (values ('wren', 12, 0.5), ('Zaunkönig', 7, null)) t(species, n, x)"
         assert.equal("species     n     x\n" ..
            "---------  --  ----\n" ..
            "wren       12   0.5\n" ..
            "Zaunkönig   7  NULL\n(2 rows)", tostring(rows))
         assert.equal(tostring(rows), sql.table(rows))
      end)

      it("says what lists hold, and cuts what is long", function()
         local row = {a = array.zeros(3, "f64"), b = {1, 2}, c = ("ä"):rep(60), d = "x\ny"}
         local text = sql.table({row}, {width = 5})
         assert.matches("f64 %(3%)  %(2 values%)  ääää…  x\\n", text)
      end)

      it("leaves out the middle of many rows", function()
         local text = sql.table(sql.query "from range(100)", {limit = 4})
         local _, lines = text:gsub("\n", "")
         assert.equal(7, lines)
         assert.matches("\n +0\n +1\n…\n +98\n +99\n%(100 rows%)$", text)
      end)

      it("shows no rows, and one", function()
         assert.equal("a\n-\n(0 rows)", tostring(sql.query "select 1 a where false"))
         assert.equal("a\n-\n1\n(1 row)", tostring(sql.query "select 1 a"))
      end)
   end)

   describe("surroundings", function()
      it("report the version", function() assert.matches("^v%d+%.%d+%.%d+", sql.version()) end)

      it("obey the one setting for threads", function()
         local before = system.threads()
         system.threads(3)
         assert.equal(3, value "select current_setting('threads')")
         system.threads(before)
         assert.equal(before, value "select current_setting('threads')")
      end)

      it("never load extensions from elsewhere", function()
         assert.is_false(value "select current_setting('autoload_known_extensions')")
         assert.is_false(value "select current_setting('autoinstall_known_extensions')")
         assert.equal(2, value [[select count(*) from duckdb_extensions()
            where loaded and extension_name in ('parquet', 'json')]])
      end)

      it("stop a long query on Ctrl-C", function()
         local script = command.write(path "long.lua", [[
            local sql = require "bclua.sql"
            io.stdout:write("ready\n"):flush()
            print(pcall(sql.query, "select sum(a.range * b.range % 7) from range(1000000) a, range(1000000) b"))]])
         local out, status = command.shell(("timeout --foreground -s INT 1 %s %s; echo status $?"):format(
            command.quote(command.program), command.quote(script)))
         assert.matches("ready", out)
         assert.matches("interrupted", out)
         assert.equal(0, status)
      end)

      it("say which library is missing", function()
         local out = command.bclua({"-e", "print(require('bclua.sql').query('select 1'))"},
            {env = "DUCKDB_LIB=/nowhere/libduckdb.so"})
         assert.matches("^nil\t/nowhere/libduckdb.so: cannot be loaded", out)
      end)

      it("serve several Lua states at once", function()
         local parallel = require "bclua.parallel"
         sql.write_parquet(path "shared.parquet", "select range a, range % 10 b from range(20000)")
         local paths, done = {}, 0
         for i = 1, 16 do paths[i] = path "shared.parquet" end
         for _, result, err in parallel.map(paths, "support.jobs_sql", "sum", {}) do
            assert.is_nil(err)
            assert.equal(199990000, result)
            done = done + 1
         end
         assert.equal(16, done)
      end)
   end)
end)
