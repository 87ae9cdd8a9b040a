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

   local function files()
      local names = {}
      for name in require("lfs").dir(folder) do
         if name:sub(1, 1) ~= "." then names[#names + 1] = name end
      end
      return names
   end

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

   describe("files that are not as they should be", function()
      local function fails(pattern, text)
         local rows, message = sql.query(text)
         assert.is_nil(rows)
         assert.matches(pattern, message)
         local start = message:sub(1, #folder)
         assert.equal(folder, start)
         assert.is_nil(message:find("LINE", 1, true))
      end

      it("that are missing give nil and a message", function()
         fails("/none.parquet: no such file$", from "none.parquet")
         fails("/none.csv: no such file$", from "none.csv")
         fails("/none.json: no such file$", from "none.json")
         fails("/%*.parquet: no file matches$", from "nowhere/*.parquet")
         fails("no such file", "select a, (select count(*) " .. from "none.parquet" .. ") from range(3) t(a)")
      end)

      it("that are no Parquet give nil and a message", function()
         command.write(path "text.parquet", "this is no Parquet file, but it is long enough to be one")
         fails("/text.parquet: No magic bytes", from "text.parquet")
         command.write(path "empty.parquet", "")
         fails("/empty.parquet: .*too small", from "empty.parquet")
      end)

      it("with a quote in their name are named whole", function()
         command.write(path "it's.parquet", "this is no Parquet file, but it is long enough to be one")
         fails("/it's.parquet: No magic bytes", from "it's.parquet")
      end)

      it("that are damaged or cut give nil and a message", function()
         local numbers, texts = array.arange(2000, "f64"), {}
         for i = 1, 2000 do texts[i] = "recording " .. i * 7919 end
         sql.write_parquet(path "good.parquet", {a = numbers, b = texts}, {compression = "snappy"})
         local good = command.read(path "good.parquet")
         local footer = #good - 200
         command.write(path "cut.parquet", good:sub(1, #good // 2))
         fails("/cut.parquet: ", "select sum(a) " .. from "cut.parquet")
         command.write(path "footer.parquet", good:sub(1, footer) .. ("\255"):rep(40) .. good:sub(footer + 41))
         fails("/footer.parquet: ", "select sum(a), max(b) " .. from "footer.parquet")
         command.write(path "page.parquet", good:sub(1, 400) .. ("\255"):rep(4000) .. good:sub(4401))
         fails("/page.parquet: ", "select sum(a), max(b) " .. from "page.parquet")
      end)

      it("that are no CSV or JSON as expected give nil and a message", function()
         command.write(path "type.csv", "a,b\n1,2\nx,3\n")
         fails("/type.csv: CSV Error on Line: 3",
            ("from read_csv(%s, columns = {'a': 'INT', 'b': 'INT'})"):format(sql.quote(path "type.csv")))
         command.write(path "bad.json", '{"a":1}\n{"a":')
         fails("/bad.json: Malformed JSON", from "bad.json")
         command.write(path "bad.csv.gz", "not gzip")
         fails("/bad.csv.gz: Input is not a GZIP stream", from "bad.csv.gz")
      end)

      it("that have a name that is not UTF-8 give nil and a message", function()
         local name = path "caf\xe9.parquet"
         local expected = {nil, name .. ": a name that is not UTF-8"}
         assert.same(expected, {sql.write_parquet(name, {a = {1}})})
         assert.same(expected, {sql.parquet_metadata(name)})
         assert.same(expected, {sql.require_columns(name, {"a"})})
      end)

      it("lack a column: wrong SQL, unless asked before", function()
         sql.write_parquet(path "two.parquet", {["b c"] = {1}, d = {2}})
         assert.error_matches(function() sql.query("select a " .. from "two.parquet") end,
            "Binder Error.*\"a\" not found")
         assert.is_true(sql.require_columns(path "two.parquet", {"d", "b c"}))
         assert.same({nil, path "two.parquet" .. ": no column 'a' (has: b c, d)"},
            {sql.require_columns(path "two.parquet", {"d", "a"})})
         assert.same({nil, path "none.parquet" .. ": no such file"},
            {sql.require_columns(path "none.parquet", {"a"})})
         command.write(path "two.csv", "a;b\n1;2\n")
         assert.is_true(sql.require_columns(path "two.csv", {"a", "b"}))
      end)
   end)

   describe("write_parquet", function()
      it("writes arrays of every dtype, and reads them back", function()
         local source, dtypes = {}, {a = "f64", b = "f32", c = "i64", d = "i32", e = "i16", f = "u8"}
         for name, dtype in pairs(dtypes) do source[name] = array.from({1, 0, 7}, dtype) end
         assert.is_true(sql.write_parquet(path "dtypes.parquet", source))
         local columns = sql.columns(from "dtypes.parquet")
         assert.same({"a", "b", "c", "d", "e", "f"}, sql.names(columns))
         for name, dtype in pairs(dtypes) do
            assert.equal(dtype, columns[name]:dtype())
            assert.same({1, 0, 7}, columns[name]:table())
         end
      end)

      it("writes views that are not contiguous", function()
         local m = array.from({{1, 2}, {3, 4}, {5, 6}}, "f64")
         sql.write_parquet(path "view.parquet", {a = m:T()[2], b = m:slice(2, 2)})
         local columns = sql.columns(from "view.parquet")
         assert.same({2, 4, 6}, columns.a:table())
         assert.same({{2, n = 1}, {4, n = 1}, {6, n = 1}},
            {{columns.b[1]:at(1), n = 1}, {columns.b[2]:at(1), n = 1}, {columns.b[3]:at(1), n = 1}})
      end)

      it("writes text, numbers, booleans and nil", function()
         local source = {t = {"å", nil, "", n = 3}, i = {1, nil, math.maxinteger, n = 3}, x = {1, 2.5, nil, n = 3},
            b = {true, false, nil, n = 3}}
         assert.is_true(sql.write_parquet(path "values.parquet", source))
         local rows = sql.query(from "values.parquet")
         assert.same({"BOOLEAN", "BIGINT", "VARCHAR", "DOUBLE"}, rows.types)
         assert.same({b = true, i = 1, t = "å", x = 1.0}, rows[1])
         assert.same({b = false, x = 2.5}, rows[2])
         assert.same({i = math.maxinteger, t = ""}, rows[3])
      end)

      it("writes lists of arrays, with nil and empty ones", function()
         local source = {mp = {array.from({1.5, 2}, "f64"), nil, array.zeros(0, "f64"), n = 3},
            pi = {array.from({1, 2}, "i64"), array.from({3}, "i64"), nil, n = 3},
            mixed = {array.from({1}, "i32"), array.from({2.5}, "f32"), nil, n = 3},
            words = {{"a", "b"}, {}, nil, n = 3}, deep = {{{1}, {2, 3}}, nil, {}, n = 3}}
         assert.is_true(sql.write_parquet(path "lists.parquet", source))
         local rows = sql.query("select mp, pi, mixed, words, deep " .. from "lists.parquet")
         assert.same({"DOUBLE[]", "BIGINT[]", "DOUBLE[]", "VARCHAR[]", "BIGINT[][]"}, rows.types)
         assert.same({1.5, 2}, rows[1].mp:table())
         assert.is_nil(rows[2].mp)
         assert.equal(0, #rows[3].mp)
         assert.same({3}, rows[2].pi:table())
         assert.same({2.5}, rows[2].mixed:table())
         assert.same({"a", "b", n = 2}, rows[1].words)
         assert.same({n = 0}, rows[2].words)
         assert.same({2, 3}, rows[1].deep[2]:table())
      end)

      it("writes a matrix as a list for each row", function()
         local m = array.from({{1, 2}, {3, 4}, {5, 6}}, "f32")
         sql.write_parquet(path "matrix.parquet", {e = m, t = m:T():T()})
         local rows = sql.query(from "matrix.parquet")
         assert.same({"FLOAT[]", "FLOAT[]"}, rows.types)
         assert.same({5, 6}, rows[3].e:table())
         local columns = sql.columns("select e::float[2] e " .. from "matrix.parquet")
         assert.same({{1, 2}, {3, 4}, {5, 6}}, columns.e:table())
      end)

      it("writes more rows than a chunk holds, lists too", function()
         local n, lists, texts = 5000, {}, {}
         for i = 1, n do
            lists[i] = i % 3 == 0 and array.zeros(0, "f64") or array.full({i % 5}, i, "f64")
            texts[i] = ("recording %d of many"):format(i)
         end
         sql.write_parquet(path "long.parquet", {l = lists, t = texts, a = array.arange(n, "i64", 1)})
         local rows = sql.query(from "long.parquet" .. " order by a")
         assert.equal(n, #rows)
         for i, row in ipairs(rows) do
            assert.equal(texts[i], row.t)
            assert.equal(#lists[i], #row.l)
            if #row.l > 0 then assert.equal(i, row.l:at(1)) end
         end
      end)

      it("writes lists that are longer together than a chunk should be", function()
         local lists = {}
         for i = 1, 5 do lists[i] = array.full({300000}, i, "f32") end
         sql.write_parquet(path "heavy.parquet", {l = lists, m = array.full({5, 300000}, 1, "u8")})
         local rows = sql.query("select len(l) n, list_sum(l) s, list_sum(m) m " .. from "heavy.parquet")
         for i = 1, 5 do assert.same({n = 300000, s = i * 300000.0, m = 300000}, rows[i]) end
         assert.equal(0, value "select count(*) from duckdb_tables() where table_name like 'bclua_columns_%'")
      end)

      it("writes rows, and what query returned", function()
         sql.write_parquet(path "rows.parquet", {{id = "a", n = 1}, {id = "b"}, {n = 3}})
         local rows = sql.query(from "rows.parquet")
         assert.same({{id = "a", n = 1}, {id = "b"}, {n = 3}}, {rows[1], rows[2], rows[3]})
         sql.write_parquet(path "again.parquet", sql.query("select n z, id a " .. from "rows.parquet"))
         assert.same({"z", "a"}, sql.query(from "again.parquet").columns)
      end)

      it("writes what SQL selects", function()
         assert.is_true(sql.write_parquet(path "sql.parquet", "select range a from range(4) -- all\n;"))
         assert.equal(6, value("select sum(a) " .. from "sql.parquet"))
         local done, message = sql.write_parquet(path "no.parquet", from "none.parquet")
         assert.is_nil(done)
         assert.equal(path "none.parquet" .. ": no such file", message)
         assert.error_matches(function() sql.write_parquet(path "no.parquet", "selec") end, "^Parser Error")
      end)

      it("writes no rows", function()
         sql.write_parquet(path "none-a.parquet", {a = array.zeros(0, "i64"), b = {}})
         assert.same({"BIGINT", "VARCHAR"}, sql.query(from "none-a.parquet").types)
         sql.write_parquet(path "none-b.parquet", {}, {order = {"x", "y"}, types = {y = "DOUBLE"}})
         assert.same({"VARCHAR", "DOUBLE"}, sql.query(from "none-b.parquet").types)
         sql.write_parquet(path "none-c.parquet", sql.query "select 1 a where false", {types = {a = "INTEGER"}})
         assert.same({"INTEGER"}, sql.query(from "none-c.parquet").types)
      end)

      it("obeys order, types and metadata", function()
         sql.write_parquet(path "options.parquet", {a = {1, 2}, b = {nil, nil, n = 2}, c = {3, 4}},
            {order = {"c", "b"}, types = {b = "BIGINT"}, row_group_size = 4096, compression = "uncompressed",
               metadata = {version = "1.0 'beta'", ["a \"key\""] = 7, flag = true, ["ü"] = "ö"}})
         local rows = sql.query(from "options.parquet")
         assert.same({"c", "b"}, rows.columns)
         assert.same({"BIGINT", "BIGINT"}, rows.types)
         assert.same({version = "1.0 'beta'", ["a \"key\""] = "7", flag = "true", ["ü"] = "ö"},
            sql.parquet_metadata(path "options.parquet"))
         assert.same({}, sql.parquet_metadata(path "two.parquet"))
      end)

      it("gives the same bytes for the same source", function()
         local up, down = {}, {} -- equal tables that pairs goes through in different orders
         for i = 1, 40 do up["key" .. i], down["key" .. 41 - i] = i, 41 - i end
         local source = {a = array.arange(3000, "f64"), b = {}, c = {}}
         for i = 1, 3000 do source.b[i], source.c[i] = "t" .. i, i end
         sql.write_parquet(path "same1.parquet", source, {metadata = up})
         sql.write_parquet(path "same2.parquet", source, {metadata = down})
         assert.is_true(command.read(path "same1.parquet") == command.read(path "same2.parquet"))
      end)

      it("replaces a file, and leaves none beside it", function()
         sql.write_parquet(path "twice.parquet", {a = {1}})
         sql.write_parquet(path "twice.parquet", {a = {2}})
         assert.equal(2, value("select a " .. from "twice.parquet"))
         for _, name in ipairs(files()) do assert.is_nil(name:find("tmp", 1, true)) end
      end)

      it("returns nil and the path where it cannot write", function()
         local done, message = sql.write_parquet(path "nowhere/x.parquet", {a = {1}})
         assert.is_nil(done)
         assert.equal(path "nowhere/x.parquet" .. ": No such file or directory", message)
         done, message = sql.write_parquet(folder, {a = {1}})
         assert.is_nil(done)
         assert.matches("^" .. folder:gsub("%p", "%%%0") .. ": ", message)
      end)

      it("returns nil and the path on a full disk, and keeps the old file", function()
         sql.write_parquet(path "full.parquet", {a = {1}})
         local script = command.write(path "full.lua", ([[
            local sql, array = require "bclua.sql", require "bclua.array"
            print(sql.write_parquet(%q, "select range a, hash(range) b from range(200000)"))
            print(sql.write_csv(%q, {a = array.zeros(100000)}))]]):format(path "full.parquet", path "full.csv"))
         -- A file size limit stands in for the disk.
         local out = command.shell(("trap '' XFSZ; ulimit -f 100; %s %s"):format(
            command.quote(command.program), command.quote(script)))
         assert.matches("nil\t" .. path("full.parquet"):gsub("%p", "%%%0") .. ": File too large", out)
         assert.matches("nil\t" .. path("full.csv"):gsub("%p", "%%%0") .. ": File too large", out)
         assert.equal(1, value("select a " .. from "full.parquet"))
         for _, name in ipairs(files()) do assert.is_nil(name:find("tmp", 1, true)) end
      end)

      it("names what is wrong with the source, at the caller's line", function()
         local function refuses(pattern, ...)
            local arguments = table.pack(...)
            local ok, message = pcall(function()
               sql.write_parquet(path "no.parquet", table.unpack(arguments, 1, arguments.n))
            end)
            assert.is_false(ok)
            assert.matches("sql_spec.lua:%d+: .*" .. pattern, message)
         end
         refuses("column 'a' has 2 rows, column 'b' has 1", {a = {1, 2}, b = {1}})
         refuses("column 'a': element 2 is a number, unlike those before it", {a = {"x", 1}})
         refuses("column 'a': element 2 is a table, unlike those before it", {a = {1, {1}}})
         refuses("column 'a': a function cannot be stored", {a = {print}})
         refuses("column 'a': text that is not UTF%-8", {a = {"caf\xe9"}})
         refuses("column 'a' is a number, not an array or a list", {a = 1, b = {1}})
         refuses("there is no column 'z'", {a = {1}}, {order = {"z"}})
         refuses("there are no columns", {})
         refuses("column 'a': an array of 3 axes", {a = array.zeros({1, 1, 1})})
         refuses("Conversion Error", {a = {"x"}}, {types = {a = "INTEGER"}})
         refuses("unknown option 'ordre'", {a = {1}}, {ordre = {}})
         refuses("bad argument #2 to 'write_parquet'", 7)
         assert.error_matches(function() sql.write_parquet(nil, {}) end, "bad argument #1 to 'write_parquet'")
      end)
   end)

   describe("write_csv", function()
      it("writes text that reads back", function()
         assert.is_true(sql.write_csv(path "a.csv", {a = {1, 2}, b = {'x,"y"', nil, n = 2}}))
         assert.equal('a,b\n1,"x,""y"""\n2,\n', command.read(path "a.csv"))
         assert.same({{a = 1, b = 'x,"y"'}, {a = 2}}, {table.unpack(sql.query(from "a.csv"))})
      end)

      it("obeys its options", function()
         sql.write_csv(path "b.csv", {{a = 1, b = "x"}, {a = 2}},
            {delimiter = "\t", header = false, null = "NA", order = {"b", "a"}})
         assert.equal("x\t1\nNA\t2\n", command.read(path "b.csv"))
      end)

      it("compresses by the name's end", function()
         sql.write_csv(path "c.csv.gz", "select 42 a")
         assert.equal("\x1f\x8b", command.read(path "c.csv.gz"):sub(1, 2))
         assert.equal(42, value("select a " .. from "c.csv.gz"))
      end)
   end)

   describe("append", function()
      it("adds columns or rows to a table", function()
         local db <close> = sql.open()
         db:exec "create table t (id varchar, x double default 7, l integer[])"
         assert.equal(2, db:append("t", {id = {"a", "b"}, x = array.from({1, 2}, "f32"), l = {{1}, {2, 3}}}))
         assert.equal(1, db:append("t", {{id = "c"}}))
         local rows = db:query "from t order by id"
         assert.equal(2, rows[2].x)
         assert.same({2, 3}, rows[2].l:table())
         assert.equal(7, rows[3].x)
      end)

      it("adds all rows or none", function()
         local db <close> = sql.open()
         db:exec "create table t (a integer check (a < 5000))"
         assert.error_matches(function() db:append("t", {a = array.arange(6000, "i64")}) end, "CHECK constraint")
         assert.error_matches(function() db:append("t", {a = {"1", "x"}}) end, "Could not convert string 'x'")
         assert.equal(0, db:query("select count(*) n from t")[1].n)
         assert.equal(1, db:append("t", {a = {1}}))
      end)

      it("joins a transaction that is open", function()
         local db <close> = sql.open()
         db:exec "create table t (a integer); begin"
         db:append("t", {a = {1, 2}})
         db:exec "rollback"
         assert.equal(0, db:query("select count(*) n from t")[1].n)
      end)

      it("names the table or column that is not there", function()
         assert.error_matches(function() sql.append("no_table", {a = {1}}) end, "no_table")
         sql.exec "create or replace temp table has (a int)"
         assert.error_matches(function() sql.append("has", {b = {1}}) end, "b")
         assert.error_matches(function() sql.append("has") end, "bad argument #2 to 'append'")
      end)
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
         assert.matches("f64 %(3%)  %(2 values%)  ääää…  x y", text)
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
