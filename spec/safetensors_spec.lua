local array = require "bclua.array"
local command = require "support.command"
local safetensors = require "bclua.format.safetensors"

describe("safetensors", function()
   local folder, path
   before_each(function()
      folder = command.folder()
      path = folder .. "/t.safetensors"
   end)
   after_each(function() command.remove(folder) end)

   -- A file with this header and this many bytes behind it.
   local function file(header, bytes, length)
      return command.write(path, string.pack("<I8", length or #header) .. header .. ("\1"):rep(bytes or 0))
   end

   local function refuses(text, ...)
      file(...)
      local tensors, message = safetensors.load(path)
      assert.is_nil(tensors)
      assert.equal(path .. ": ", message:sub(1, #path + 2))
      assert(message:find(text, 1, true), message)
   end

   it("gives back what it was given: all dtypes, shapes and words", function()
      local tensors = {
         ["a.weight"] = array.from({{1.5, -2}, {3, 4}}, "f32"), b = array.from({1e300, 0.1}, "f64"),
         ["é \"quoted\""] = array.from({1, -2, 3}, "i64"), d = array.from({{{7}}}, "i32"),
         e = array.from({-5, 5, 32767}, "i16"), f = array.from({255}, "u8"), empty = array.zeros({0, 3}, "f32"),
      }
      local words = {note = "line\nbreak", z = "9", a = ""}
      assert.is_true(safetensors.save(path, tensors, words))
      local found, metadata = safetensors.load(path)
      assert.same(words, metadata)
      for name, a in pairs(tensors) do
         assert(array.equal(a, found[name]), name)
         found[name] = nil
      end
      assert.is_nil(next(found))
   end)

   it("writes views, and the same bytes every time", function()
      local m = array.from{{1, 2, 3}, {4, 5, 6}}
      local texts = {}
      for i = 1, 2 do
         local tensors = {}
         for k = 1, 20 do tensors["t" .. (i == 1 and k or 21 - k)] = m:T() end
         assert(safetensors.save(path, tensors, {b = "1", a = "2"}))
         texts[i] = command.read(path)
      end
      assert.equal(texts[1], texts[2])
      assert.same({{1, 4}, {2, 5}, {3, 6}}, safetensors.load(path).t7:table())
      local length = string.unpack("<I8", texts[1])
      assert.equal(0, length % 8)
      assert.matches('^{"__metadata__":{"a":"2","b":"1"},"t1":{"dtype":"F32","shape":%[3,2%],"data_offsets":%[0,24%]}',
         texts[1]:sub(9))
   end)

   it("reads what others write: scalars, any order, elements on odd bytes", function()
      file('{"y":{"dtype":"F32","shape":[1],"data_offsets":[1,5]},'
         .. '"x":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}', 5)
      local t, metadata = safetensors.load(path)
      assert.same({1}, t.x:table())
      assert.same({(string.unpack("<f", "\1\1\1\1"))}, t.y:table())
      assert.same({}, metadata)
   end)

   it("reads the dtypes that arrays have not: half precision, unsigned, booleans", function()
      local cases = {
         F16 = {"f32", "<I2I2I2", {0x3c00, 0x7bff, 0xfc00}, {1, 65504, -math.huge}},
         BF16 = {"f32", "<I2I2I2", {0x3f80, 0xc0a0, 0x7f80}, {1, -5, math.huge}},
         I8 = {"i16", "i1i1i1", {1, -1, -128}}, U16 = {"i32", "<I2I2I2", {0, 1, 65535}},
         U32 = {"i64", "<I4I4I4", {0, 1, 0xffffffff}}, U64 = {"i64", "<I8I8I8", {0, 1, math.maxinteger}},
         BOOL = {"u8", "BBB", {0, 1, 1}},
      }
      for name, case in pairs(cases) do
         local bytes = string.pack(case[2], table.unpack(case[3]))
         local header = ('{"x":{"dtype":"%s","shape":[3],"data_offsets":[0,%d]}}'):format(name, #bytes)
         command.write(path, string.pack("<s8", header) .. bytes)
         local x = assert(safetensors.load(path)).x
         assert.equal(case[1], x:dtype())
         assert(array.equal(array.from(case[4] or case[3], case[1]), x), name)
      end
      local header = '{"x":{"dtype":"U64","shape":[1],"data_offsets":[0,8]}}'
      command.write(path, string.pack("<s8", header) .. ("\xff"):rep(8))
      local _, message = safetensors.load(path)
      assert.equal(path .. ": tensor 'x' has an integer above 2^63 - 1", message)
   end)

   it("says what is wrong with a file that is none", function()
      local t, message = safetensors.load(folder .. "/none")
      assert.is_nil(t)
      assert.equal(folder .. "/none: No such file or directory", message)
      t, message = safetensors.load(folder)
      assert.is_nil(t)
      assert.equal(folder .. ": not a regular file", message)
      command.write(path, "")
      assert.matches("0 bytes are no safetensors file", select(2, safetensors.load(path)))
      refuses("not JSON", "hello")
      refuses("not JSON", "")
      refuses("not JSON", "3")
      refuses("is a list", "[1]")
   end)

   it("does not trust lengths", function()
      refuses("header of 1000000 bytes in a file of 10", "{}", 0, 1000000)
      refuses("header of 18446744073709551615 bytes", "{}", 0, -1)
      local function entry(fields) return '{"x":{' .. fields .. "}}" end
      local good = '"dtype":"F32","shape":[2],'
      refuses("ends at byte 8 of 7", entry(good .. '"data_offsets":[0,8]'), 7)
      refuses("ends at byte 9007199254740992", entry(good .. '"data_offsets":[9007199254740984,9007199254740992]'), 8)
      refuses("has 4 bytes, its shape asks for 8", entry(good .. '"data_offsets":[0,4]'), 4)
      refuses("no data_offsets", entry(good .. '"data_offsets":[8,0]'), 8)
      refuses("no data_offsets", entry(good .. '"data_offsets":[-8,0]'), 8)
      refuses("no data_offsets", entry(good .. '"data_offsets":[0,1e300]'), 8)
      refuses("no data_offsets", entry(good .. '"data_offsets":["0","8"]'), 8)
      refuses("no data_offsets", entry(good .. '"data_offsets":8'), 8)
      refuses("extent that is no count", entry '"dtype":"F32","shape":[-2],"data_offsets":[0,8]', 8)
      refuses("extent that is no count", entry '"dtype":"F32","shape":[1.5],"data_offsets":[0,6]', 6)
      refuses("impossible shape", entry '"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]')
      refuses("has 5 axes", entry '"dtype":"F32","shape":[1,1,1,1,1],"data_offsets":[0,4]', 4)
      refuses("has no shape", entry '"dtype":"F32","data_offsets":[0,4]', 4)
      refuses("'F8_E4M3' (one of BF16 BOOL F16 F32", entry '"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]', 2)
      refuses("has no dtype", entry '"shape":[2],"data_offsets":[0,2]', 2)
      refuses("tensor 'x' is no object", '{"x":1}')
      refuses("__metadata__ is no object", '{"__metadata__":1}')
   end)

   it("refuses overlaps and gaps", function()
      local function two(a, b)
         local one = '"%s":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]}'
         return "{" .. one:format("a", a[2] - a[1], a[1], a[2]) .. ","
            .. one:format("b", b[2] - b[1], b[1], b[2]) .. "}"
      end
      refuses("tensor 'b' overlaps another", two({0, 4}, {3, 8}), 8)
      refuses("overlaps another", two({0, 4}, {0, 4}), 4)
      refuses("1 unused bytes before 'b'", two({0, 4}, {5, 8}), 8)
      refuses("2 unused bytes at the end", two({0, 4}, {4, 8}), 10)
   end)

   it("survives any damage", function()
      assert(safetensors.save(path, {a = array.arange(6), b = array.arange(3, "i64")}, {k = "v"}))
      local text = command.read(path)
      math.randomseed(11)
      for i = 1, 400 do
         local damaged
         if i % 2 == 0 then
            damaged = text:sub(1, math.random(0, #text - 1))
         else
            local at = math.random(#text)
            damaged = text:sub(1, at - 1) .. string.char(math.random(0, 255)) .. text:sub(at + 1)
         end
         command.write(path, damaged)
         local tensors, message = safetensors.load(path)
         assert(tensors or message:sub(1, #path) == path)
      end
   end)

   it("writes whole files or none", function()
      assert(safetensors.save(path, {a = array.arange(3)}))
      local ok, message = safetensors.save(folder .. "/no/where.safetensors", {a = array.arange(3)})
      assert.is_nil(ok)
      assert.equal(folder .. "/no/where.safetensors: No such file or directory", message)
      local names = {}
      for name in require("lfs").dir(folder) do names[#names + 1] = name end
      table.sort(names)
      assert.same({".", "..", "t.safetensors"}, names)
      assert.error_matches(function() safetensors.save(path, {["__metadata__"] = array.arange(1)}) end, "__metadata__")
      assert.error_matches(function() safetensors.save(path, {}, {a = 1}) end, "metadata 'a' must be a string")
      assert.error_matches(function() safetensors.save(path, {array.arange(1)}) end, "names must be strings")
   end)

   it("writes the arrays that a list has, whatever its length claims", function()
      local core = require "bclua.format.safetensors.core"
      local header = '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}'
      for _, n in ipairs{0, -1, 7, 1 << 61, math.maxinteger} do
         local list = setmetatable({array.from({1, 2}, "u8")}, {__len = function() return n end})
         assert(core.write(path, header, list))
         assert.same({1, 2}, safetensors.load(path).a:table())
      end
   end)
end)
