local array = require "bclua.array"
local command = require "support.command"
local sql = require "bclua.sql"

local folder
setup(function() folder = command.folder() end)
teardown(function() command.remove(folder) end)

local function path(name) return folder .. "/" .. name end
local function from(name) return "from " .. sql.quote(path(name)) end

describe("sql: files that are not as they should be", function()
   it("are named where the name of a column is not UTF-8", function()
      local p = path("name.parquet")
      assert(sql.write_parquet(p, {abcdefg = {1, 2}}))
      command.write(p, (command.read(p):gsub("abcdefg", "abc\xffefg", 1)))
      local rows, message = sql.query("describe " .. from("name.parquet"))
      assert.is_nil(rows)
      assert.matches("^" .. p:gsub("%p", "%%%0") .. ": Invalid unicode", message)
   end)

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
