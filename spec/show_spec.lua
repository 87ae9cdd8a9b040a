local array = require "bclua.array"
local show = require "bclua.repl.show"

describe("show", function()
   it("shows nested tables, cycles and arrays inside tables", function()
      local t = {1, 2, name = "x", deep = {{}}}
      t.self = t
      assert.equal('{1, 2, deep = {{}}, name = "x", self = <cycle>}', show.value(t))
      assert.equal("{a = f32 (2)}", show.value({a = array.zeros(2)}))
      local shared = {1}
      assert.equal("{{1}, {1}}", show.value({shared, shared}))
   end)

   it("quotes strings and keys as Lua does", function()
      assert.equal('"a\\nb\\r\\"\\0"', show.value('a\nb\r"\0'))
      assert.equal([["\\13 \\9 \t \\"]], show.value("\\13 \\9 \t \\"))
      assert.equal('{[1.5] = true, ["a b"] = 1, ["end"] = 2}', show.value({["a b"] = 1, ["end"] = 2, [1.5] = true}))
      assert.matches('^"x+" … %(5000 bytes%)$', show.value(("x"):rep(5000)))
   end)

   it("cuts what is too deep or too wide", function()
      assert.equal("{{{{{...}}}}}", show.value({{{{{1}}}}}, {depth = 4}):gsub("%.%.%.", "...", 1))
      assert.equal("{1, 2, ... (4 in all)}", show.value({1, 2, 3, 4}, {width = 2}))
      local long = {}
      for i = 1, 1000 do long[i] = i end
      long.name = "x"
      assert.equal("{1, 2, ... (1001 in all)}", show.value(long, {width = 2}))
   end)

   it("runs no metamethod but __tostring", function()
      local function ran() error("ran user code") end
      assert.equal("{1}", show.value(setmetatable({1}, {__index = ran, __pairs = ran, __len = ran, __eq = ran})))
      assert.equal("mine", show.value(setmetatable({}, {__tostring = function() return "mine" end})))
      assert.equal("{}", show.value(setmetatable({}, {__metatable = false})))
   end)

   describe("of arrays", function()
      it("says dtype, shape, range and mean before some values", function()
         assert.matches("^f64 %(2, 2%)  1 to 4, mean 2%.5\n +1 +2\n +3 +4$",
            show.value(array.from({{1, 2}, {3, 4}}, "f64")))
         assert.matches("^i16 %(3%)  %-5 to 5, mean 0\n", show.value(array.from({-5, 0, 5}, "i16")))
         assert.matches("^f32 %(1000%)  0 to 999, mean 499%.5\n[^\n]*%.%.%.[^\n]*$", show.value(array.arange(1000)))
      end)

      it("leaves NaN out, and counts it", function()
         assert.equal("f32 (3)  1 to 3, mean 2, 1 NaN", show.array_head(array.from({1, 0 / 0, 3})))
         assert.equal("f32 (2, 1)  all NaN", show.array_head(array.from({{0 / 0}, {0 / 0}})))
         assert.matches("^f32 %(2%)  %-inf to inf, mean %-?nan$", show.array_head(array.from({-1 / 0, 1 / 0})))
      end)

      it("has neither for nothing", function()
         assert.equal("f32 (0)", show.value(array.zeros({0})))
         assert.equal("f32 (3, 0)", show.array_head(array.zeros({3, 0})))
      end)
   end)

   it("shows functions with their parameters", function()
      assert.matches("^function %(a, %.%.%.%) at .*show_spec%.lua:%d+$", show.value(function(a, ...) return a, ... end))
      assert.matches("%(in C%)$", show.value(print))
      assert.equal("{f = function}", show.value({f = print}))
   end)

   it("aligns results of SQL, and cuts them where the terminal ends", function()
      local rows = require("bclua.sql").query("select 1 a, 'xyz' as name union all select 22, 'ü' order by 1")
      assert.equal(" a  name\n--  ----\n 1  xyz\n22  ü\n(2 rows)", show.value(rows))
      assert.equal(" a …\n-- …\n 1 …\n22  ü\n(2 …", show.value(rows, {columns = 4}):gsub("22 …", "22  ü"))
   end)

   it("prints several values with tabs, or a line each", function()
      assert.equal("1\tnil\tfalse", show.values(1, nil, false))
      assert.equal("", show.values())
      assert.matches('^"a"\nf32 %(2%)', show.values("a", array.zeros(2)))
   end)

   it("says in a few words what a value is", function()
      local kinds = {[1] = "integer", [1.5] = "float", ["ab"] = "string, 2 bytes", [true] = "boolean"}
      for value, kind in pairs(kinds) do assert.equal(kind, show.kind(value)) end
      assert.equal("nil", show.kind(nil))
      assert.equal("f32 (2, 3)", show.kind(array.zeros({2, 3})))
      assert.equal("list of 2", show.kind({1, 2}))
      assert.equal("table, 1 field", show.kind({a = 1}))
      assert.equal("table, 3 fields", show.kind({1, 2, a = 1}))
      assert.matches("^bclua%.", show.kind(require("bclua.sampling").generator(1)))
   end)
end)
