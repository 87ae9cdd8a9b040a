local command = require "support.command"
local sql = require "bclua.sql"
local tables = require "bclua.data.tables"

describe("tables", function()
   local dir
   setup(function() dir = command.folder() end)
   teardown(function() command.remove(dir) end)

   local SCHEMA = {
      name = {"string", needed = true, shortest = 1, longest = 5}, n = {"integer", needed = true, least = 1, most = 9},
      x = {"number", least = 0}, y = {"number", above = 0, most = math.huge}, is = {"boolean", needed = true},
      kind = {"choice", {"a", "b'c"}}, xs = {"list", of = {"number", least = 0}, items = "numbers"},
      ns = {"list", of = {"integer", least = -1}, items = "frames"}, any = {"list", of = {"number", nan = true}},
      {"ns", with = {"xs"}, sql = "len(ns) = len(xs)", words = "must be as long as 'xs'"},
   }

   local function write(select)
      local path = dir .. "/t.parquet"
      sql.exec(("copy (%s) to %s (format parquet)"):format(select, sql.quote(path)))
      return path
   end

   -- What the check says of a column of these values.
   local function fault(column, values)
      local path = write(("select unnest([%s]) as %s"):format(values, column))
      local relation, message = tables.open(path, SCHEMA, {column})
      if relation then return nil end
      assert.equal(path .. ": column '" .. column .. "', ", message:sub(1, #path + #column + 13))
      return message:sub(#path + #column + 14)
   end

   it("name the first wrong row, what must be there and what is", function()
      assert.equal("row 2: must be an integer from 1 to 9, got 10", fault("n", "1, 10, 11"))
      assert.equal("row 3: must be an integer from 1 to 9, got 2.5", fault("n", "1.0::double, 2, 2.5"))
      assert.equal("row 1: must be an integer from 1 to 9, got NULL", fault("n", "null, 3"))
      assert.equal("row 1: must be a number of at least 0, got nan", fault("x", "'nan'::double"))
      assert.equal("row 1: must be a number of at least 0, got inf", fault("x", "'inf'::double"))
      assert.equal("row 1: must be a number above 0, got 0.0", fault("y", "0.0::double"))
      assert.equal("row 1: must be a number above 0, got nan", fault("y", "'nan'::double"))
      assert.equal("row 2: must be a string of 1 to 5 bytes, got 'Töööö'", fault("name", "'a', 'Töööö'"))
      assert.equal("row 1: must be one of a, b'c, got 'c'", fault("kind", "'c'"))
      assert.equal("row 2: must be a list of numbers, got [1.0, -1.0]", fault("xs", "[1, 2]::double[], [1, -1]"))
      assert.equal("row 1: must be a list of numbers, got [NULL]", fault("xs", "[null]::double[]"))
      assert.equal("row 1: must be a list of numbers, got [nan]", fault("xs", "['nan'::double]"))
      assert.equal("row 1: must be a list of frames, got [0.5]", fault("ns", "[0.5::double]"))
      assert.equal("row 1: must be a list of frames, got [1e+300]", fault("ns", "[1e300::double]"))
   end)

   it("name a wrong type", function()
      assert.equal("row 1: must be an integer from 1 to 9, got '5' (VARCHAR)", fault("n", "'5'"))
      assert.equal("row 2: must be a list of numbers, got 5 (INTEGER)", fault("xs", "null, 5"))
      assert.equal("row 1: must be a string of 1 to 5 bytes, got '\\xFF' (BLOB)", fault("name", "'\\xFF'::blob"))
      assert.equal("row 1: must be true or false, got 1 (INTEGER)", fault("is", "1"))
      assert.matches("^row 1: must be a number of at least 0, got {'a': 1} %(STRUCT", fault("x", "{'a': 1}"))
      assert.matches("^row 1: must be a list of numbers, got .* %(INTEGER%[%]%[%]%)", fault("xs", "[[1]]"))
   end)

   it("shorten what is long, and keep it on one line", function()
      assert.equal("row 1: must be a string of 1 to 5 bytes, got '" .. ("é"):rep(40) .. "...'",
         fault("name", "repeat('é', 100000)"))
      assert.equal("row 1: must be a string of 1 to 5 bytes, got 'a b c d'", fault("name", "'a\nb\nc\td'"))
   end)

   it("take what becomes the right type without loss", function()
      local path = write("select 'a' as name, 3.0::decimal(9, 2) as n, 2::utinyint as x, 'inf'::float as y, " ..
         "true as is, null as kind, [1, 2]::smallint[] as xs, [3.0, -1]::float[] as ns, 1 as more, {'a': 1} as s, " ..
         "['nan'::float] as any, 5 as file_row_number")
      local relation = assert(tables.open(path, SCHEMA, {"name", "n", "x", "y", "is", "kind", "xs", "ns", "any"}))
      local row = sql.query("from " .. relation)[1]
      assert.same({"a", 3, 2.0, math.huge, true}, {row.name, row.n, row.x, row.y, row.is})
      assert.equal("integer", math.type(row.n))
      assert.equal("float", math.type(row.x))
      assert.is_nil(row.kind)
      assert.same({"f64", "i64"}, {row.xs:dtype(), row.ns:dtype()})
      assert.is_nil(row.more)
   end)

   it("let columns be missing that need not be there", function()
      local path = write("select 'a' as name, '2020-01-01'::date as day, 7 as n")
      local relation, kinds = tables.open(path, SCHEMA, {"name", "xs?", "*"})
      assert.same({"name", "xs", "day"}, sql.query("from " .. relation).columns)
      assert.same({{name = "a", day = "2020-01-01"}}, table.move(sql.query("from " .. relation), 1, 1, 1, {}))
      assert.same({name = "VARCHAR", day = "DATE", n = "INTEGER"}, kinds)
      assert.same({nil, path .. ": no column 'x' (has: name, day, n)"}, {tables.open(path, SCHEMA, {"x"})})
   end)

   it("hold columns against each other", function()
      local path = write("select unnest([[1], [1, 2]]) as xs, [4] as ns")
      assert.same({nil, path .. ": column 'ns', row 2: must be as long as 'xs', got [4]"},
         {tables.open(path, SCHEMA, {"xs", "ns"})})
      assert(tables.open(path, SCHEMA, {"ns"}))
   end)

   it("read CSV by the same rules", function()
      local path = command.write(dir .. "/t.csv", "name,n,is\na,1,true\n\"b,\",2.0,false\n")
      local relation = assert(tables.open(path, SCHEMA, {"name", "n", "is", "x?"}))
      local rows = sql.query("from " .. relation)
      assert.same({name = "b,", n = 2, is = false}, rows[2])
      command.write(path, "name,n\na,1\nb,x\n")
      assert.same({nil, path .. ": column 'n', row 2: must be an integer from 1 to 9, got 'x'"},
         {tables.open(path, SCHEMA, {"name", "n"})})
      command.write(path, "name,n\na,\n")
      assert.same({nil, path .. ": column 'n', row 1: must be an integer from 1 to 9, got NULL"},
         {tables.open(path, SCHEMA, {"name", "n"})})
   end)

   it("hold columns of CSV against each other as numbers", function()
      local schema = {from = "number", to = "number", {"to", with = {"from"}, sql = "to >= from", words = "is before"}}
      local path = command.write(dir .. "/t.csv", "from,to\n7,10\n")
      assert(tables.open(path, schema, {"from", "to"}))
      command.write(path, "from,to\n10,7\n")
      assert.same({nil, path .. ": column 'to', row 1: is before, got '7'"},
         {tables.open(path, schema, {"from", "to"})})
   end)

   it("of JSON say which key is wrong", function()
      local path = dir .. "/t.json"
      local function read(text) return tables.read_json(command.write(path, text), SCHEMA) end
      assert.same({name = "a", n = 3, is = true, xs = {1}}, read('{"name": "a", "n": 3.0, "is": true, "xs": [1]}'))
      for text, said in pairs{["[1]"] = "must be an object, got a list", ["7"] = "must be an object, got 7",
         ["null"] = "null", ['{"n": 1, "is": true}'] = "no key 'name'",
         ['{"name": "a", "n": 0, "is": true}'] = "key 'n' must be an integer from 1 to 9, got 0",
         ['{"name": {}, "n": 1, "is": true}'] = "key 'name' must be a string of 1 to 5 bytes, got an object",
         ['{"name": "a", "n": 1, "is": true, "xs": [1, "b"]}'] = "key 'xs[2]' must be a number of at least 0, got 'b'",
         ['{"name": "a", "n": 1, "is": true, "xs": "b"}'] = "key 'xs' must be a list of numbers, got 'b'"} do
         local value, message = read(text)
         assert.is_nil(value)
         assert.equal(path .. ": " .. said, (message:gsub("%.0$", "")))
      end
   end)
end)
