local cjson = require "cjson"
local json = require "bclua.json"
local sql = require "bclua.sql"

local inf, nan = math.huge, 0 / 0

describe("json", function()
   local function same(value)
      local text = json.encode(value)
      local back = json.decode(text)
      assert(back == value and math.type(back) == math.type(value), ("%s became %s"):format(value, text))
   end

   it("keeps integers of 64 bits", function()
      for _, i in ipairs{0, -1, 10 ^ 14 | 0, 123456789012345, (1 << 53) + 1, math.maxinteger, math.mininteger} do
         same(i)
      end
      assert.equal("9007199254740993", json.encode(9007199254740993))
      assert.equal("[1,[2,-3]]", json.encode(json.decode " [ 1 , [2,\t-3 ]\n] "))
      local beyond = json.decode "[9223372036854775808]"[1]
      assert.same({"float", 2.0 ^ 63}, {math.type(beyond), beyond})
   end)

   it("keeps floats to the bit, and whole ones as floats", function()
      math.randomseed(3)
      for _, x in ipairs{0.1, 1 / 3, 1e15, 2.0 ^ 53, 1e300, 5e-324, 1.0, -2.5e-7, inf, -inf, 1e23} do same(x) end
      for _ = 1, 1000 do
         local x = string.unpack("<d", string.pack("<i8", math.random(0)))
         if x == x then same(x) end
      end
      assert.equal("[0.1,1.0,100000.0,1e+20,0.30000000000000004,-0.0]",
         json.encode{0.1, 1.0, 1e5, 1e20, 0.1 + 0.2, -0.0})
      assert.equal("float", math.type(json.decode "[1e2]"[1]))
   end)

   it("writes infinities as numbers beyond the range, and NaN as null", function()
      assert.equal('{"a":1e999,"b":-1e999,"c":null}', json.encode{a = inf, b = -inf, c = nan})
      assert.same({a = inf, b = -inf}, json.decode '{"a":1e999,"b":-1e999,"c":null}')
      assert.same({a = inf, b = -inf}, cjson.decode '{"a":1e999,"b":-1e999}') -- others read them, too
   end)

   it("keeps empty lists, marked or read", function()
      assert.equal('{"a":[],"b":{}}', json.encode{a = json.list{}, b = {}})
      local text = '{"a":[],"b":{},"c":[[],[{}]]}'
      assert.equal(text, json.encode(json.decode('{"b":{ },"a":[ ],"c":[[],[{}]]}')))
      local list = json.decode "[]"
      list[1] = 5
      assert.equal("[5]", json.encode(list))
   end)

   it("does not touch what is in strings", function()
      local strings = {"[]", "1", '"', "\\", '\\"', '"[1]\\', "a\n\0b", "é/\u{1F600}", "[0]", "-", '\\\\"1'}
      assert.same(strings, json.decode(json.encode(strings)))
      assert.same(strings, cjson.decode(json.encode(strings)))
      assert.same({["[] 1"] = 2, ['"'] = {"3"}}, json.decode '{"[] 1":2,"\\"":["3"]}')
      assert.same({"1[]/é"}, json.decode '["\\u0031[]\\/\\u00e9"]')
   end)

   it("sorts keys, and writes one a line if asked", function()
      assert.equal('{"a":1,"b":{"10":true,"c":null}}', json.encode{b = {c = json.null, [10] = true}, a = 1})
      assert.equal('{\n  "a": [1, {\n      "b": 2\n    }],\n  "c": {}\n}',
         json.encode({a = {1, {b = 2}}, c = {}}, true))
   end)

   it("writes rows of a query as a list", function()
      assert.equal('[{"a":1,"b":"x"}]', json.encode(sql.query "select 1 a, 'x' b"))
   end)

   it("reads null as nil", function()
      assert.same({b = {1, nil, 3}}, json.decode '{"a":null,"b":[1,null,3]}')
      assert.same({}, {json.decode "null"})
   end)

   it("refuses what is no JSON", function()
      for _, text in ipairs{"", "{", "[1,]", "[01]", "[-01]", "[1.]", "[1.e3]", "[.5]", "[+1]", "[-]", "[1e]", "[--1]",
         "[0x10]", "[NaN]", "[Infinity]", "[nan]", '{"a"}', '"a', '["a" 1]', "[1 2]", "[1][",
         '["\\"]', "nul", "{1:2}"} do
         local value, message = json.decode(text)
         assert.is_nil(value)
         assert(message and message:find "^not JSON: ", text)
      end
   end)

   it("names what it cannot write", function()
      assert.error_matches(function() json.encode{a = print} end, "a function has no JSON", 1, true)
      assert.error_matches(function() json.encode{1, 2, n = 2} end, "a list with the key 'n' has no JSON", 1, true)
      assert.error_matches(function() json.encode{[true] = 1} end, "a boolean is no key of a JSON object", 1, true)
      local circle = {}
      circle[1] = circle
      assert.error_matches(function() json.encode(circle) end, "tables nested deeper than 100", 1, true)
   end)
end)
