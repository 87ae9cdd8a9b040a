local array = require "bclua.array"
local command = require "support.command"
local sql = require "bclua.sql"

describe("sql: writing", function()
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
         sql.write_parquet(path "bare.parquet", {a = {1}})
         assert.same({}, sql.parquet_metadata(path "bare.parquet"))
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
            assert.matches("sql_write_spec.lua:%d+: .*" .. pattern, message)
         end
         refuses("column 'a' has 2 rows, column 'b' has 1", {a = {1, 2}, b = {1}})
         refuses("column 'a': element 2 is a number, unlike those before it", {a = {"x", 1}})
         refuses("column 'a': element 2 is a table, unlike those before it", {a = {1, {1}}})
         refuses("column 'a': a function cannot be stored", {a = {print}})
         local own = {}
         own[1] = own
         refuses("column 'a': lists nested deeper than 32, or in a cycle", {a = {own}})
         refuses("column 'a': text that is not UTF%-8", {a = {"caf\xe9"}})
         refuses("column 'a' is a number, not an array or a list", {a = 1, b = {1}})
         refuses("there is no column 'z'", {a = {1}}, {order = {"z"}})
         refuses("there are no columns", {})
         refuses("column 'a': an array of 3 axes", {a = array.zeros({1, 1, 1})})
         for _, n in ipairs{1 << 32, (1 << 24) + 2, 1e18, -1, 0.5, math.maxinteger} do
            refuses("a list's n is not a number of elements: 0 to 16777217", {a = {n = n, "x"}})
            refuses("a list's n is not a number of elements: 0 to 16777217", {a = {{n = n, "x"}}})
         end
         refuses("Conversion Error", {a = {"x"}}, {types = {a = "INTEGER"}})
         refuses("unknown option 'ordre' %(did you mean 'order'%?", {a = {1}}, {ordre = {}})
         refuses("option 'compression' must be one of zstd, snappy, gzip, lz4, uncompressed, got 'zip'", {a = {1}},
            {compression = "zip"})
         refuses("option 'row_group_size' must be an integer of at least 1, got 0.5", {a = {1}}, {row_group_size = 0.5})
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

end)
