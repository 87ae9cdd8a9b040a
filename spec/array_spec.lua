local array = require "bclua.array"
local system = require "bclua.system"

describe("array", function()
   local function matrix() return array.from({{1, 2, 3}, {4, 5, 6}}) end
   local path
   before_each(function() path = os.tmpname() end)
   after_each(function() os.remove(path) end)

   it("knows denormals, on every thread, after a library that switches them off", function()
      require("bclua.loading").pitch_library()
      assert.near(2e-40, (array.full(2, 1e-40) * 2)[1], 3e-45)
      assert.equal(2e-310, array.full(1, 1e-310, "f64"):sum() * 2)
      for _, root in require("bclua.parallel").map({1e-310, 4e-310}, "math", "sqrt", nil, {threads = 2}) do
         assert.is_true(root > 0)
      end
   end)

   it("knows its shape, dtype and size", function()
      local a = array.zeros({2, 3, 4}, "i16")
      assert.same({2, 3, 4}, a:shape())
      assert.equal(3, a:shape(2))
      assert.equal("i16", a:dtype())
      assert.equal(24, a:size())
      assert.equal(48, a:bytes())
      assert.equal(2, #a)
   end)

   it("copies from itself as if it were another", function()
      local m = array.arange(9, "i32"):reshape{3, 3}
      m:fill(m:T())
      assert.same({{0, 3, 6}, {1, 4, 7}, {2, 5, 8}}, m:table())
      local v = array.arange(6)
      v:slice(1, 2, 5):fill(v:slice(1, 1, 4))
      assert.same({0, 0, 1, 2, 3, 5}, v:table())
      v = array.arange(6)
      v:slice(1, 1, 4):fill(v:slice(1, 2, 5))
      assert.same({1, 2, 3, 4, 4, 5}, v:table())
      assert.same(v:table(), v:fill(v):table())
   end)

   it("adds in place, of one shape and type", function()
      for _, dtype in ipairs{"f32", "f64"} do
         local a, b = array.from({{1, 2}, {3, 0.1}}, dtype), array.from({{0.25, 0}, {-3, 0.2}}, dtype)
         local sum = a + b
         assert.equal(a, a:add(b))
         assert.is_true(array.equal(sum, a))
         assert.is_true(array.equal(sum + sum, a:add(a)))
         assert.error_matches(function() a:add(b:T()) end, "bad argument #1 to 'add' .*the same shape")
         assert.error_matches(function() a:add(b:reshape(4)) end, "the same shape")
         assert.error_matches(function() a:add(b:copy(dtype == "f32" and "f64" or "f32")) end, "and dtype")
      end
      assert.error_matches(function() array.zeros(2, "i32"):add(array.zeros(2, "i32")) end, "f32 or f64")
   end)

   -- The plain twin: of the two numbers of 16 bits beside x the nearer one, or that whose last bit is 0.
   local function nearest_bf16(x)
      local bits = string.unpack("<I4", string.pack("<f", x))
      local function value(b) return (string.unpack("<f", string.pack("<I4", b))) end
      if bits & 0x7f800000 == 0x7f800000 then return x end
      local inner = bits & 0xffff0000
      local outer = inner + 0x10000
      local a, b = math.abs(x - value(inner)), math.abs(value(outer) - x)
      if outer & 0x7fffffff == 0x7f800000 then b = 2.0 ^ 120 - a end -- infinity counts as the next power of two
      return value((a < b or a == b and inner & 0x10000 == 0) and inner or outer)
   end

   it("rounds to 16 bits in place, by any instructions", function()
      local list = {0, -0.0, 1, 1 + 2.0 ^ -8, 1 + 3 * 2.0 ^ -8, -1 - 2.0 ^ -8, 1 + 2.0 ^ -8 + 2.0 ^ -20, 1e-40,
         2.0 ^ -149, 3.3895e38, 3.3963e38, -3.4028e38, 1 / 0, -1 / 0}
      for _ = 1, 5000 do list[#list + 1] = (math.random() - 0.5) * 2.0 ^ math.random(-140, 127) end
      local x, now = array.from(list, "f32"), system.instructions()
      local y = x:copy()
      assert.equal(y, y:round_bf16())
      for i = 1, #x do assert.equal(nearest_bf16(x[i]), y[i], x[i]) end
      assert.equal(1 / 0, y[11]) -- rounded beyond the range
      assert.not_equal(1 / 0, y[10])
      system.instructions("plain")
      local z = x:copy():round_bf16()
      system.instructions(now)
      assert.is_true(array.equal(y, z))
      assert.is_false(array.from({0 / 0}, "f32"):round_bf16()[1] == 0)
      assert.error_matches(function() array.zeros(2, "f64"):round_bf16() end, "array of f32")
      assert.error_matches(function() array.zeros{3, 3}:T():round_bf16() end, "contiguous")
   end)

   it("keeps integers above 2^53 as they are", function()
      local big = (1 << 53) + 1
      local a = array.from({{big, 1 - big, big - 1}, {-5, math.maxinteger, math.mininteger}}, "i64")
      assert.equal("9223372036854775807", tostring(a:max()))
      assert.equal("-9223372036854775808", tostring(a:min()))
      assert.same({math.maxinteger, math.mininteger}, {a[2]:max(), a[2]:min()})
      assert.same({big, math.maxinteger}, a:max(2):table())
      assert.same({1 - big, math.mininteger}, a:min(2):table())
      assert.same({1, 2}, a:argmax(2):table())
      assert.same({{-big, big - 1, 1 - big}, {5, -math.maxinteger, math.mininteger}}, (-a):table())
      assert.same({{big, big - 1, big - 1}, {5, math.maxinteger, math.mininteger}}, a:abs():table())
      local b = a:copy()
      b:set(1, 1, big - 1)
      assert.is_false(array.equal(a, b))
      assert.is_true(array.equal(a, a:copy()))
      assert.equal(1, array.max_difference(a, b))
      assert.is_false(array.allclose(a, b, 0, 0.5))
      assert.is_true(array.allclose(a, b, 0, 1))
      local ends = array.from({math.mininteger}, "i64")
      assert.equal(2^64, array.max_difference(ends, -1 - ends))
      assert.same({0, 3}, {array.zeros({0, 3}, "i64"):min(2):shape(1), array.zeros({0, 3}, "i64"):max(1):shape(1)})
      assert.is_false(array.zeros({0, 3}, "i64"):max(1):is_finite())
   end)

   it("takes lists by what they hold, whatever their length claims", function()
      local function claims(n, list) return setmetatable(list, {__len = function() return n end}) end
      for _, n in ipairs{-1, 5, 1 << 40, math.mininteger} do
         assert.same({{1, 2}}, array.from{claims(n, {1, 2})}:table())
         assert.same({1, 2}, array.concat(claims(n, {array.from{1}, array.from{2}})):table())
      end
   end)

   it("has a metatable that nobody can call", function()
      assert.equal("bclua.array", getmetatable(array.zeros(1)))
      assert.error_matches(function() setmetatable(array.zeros(1), {}) end, "table expected")
   end)

   it("names the shape, dtype or option it rejects", function()
      assert.error_matches(function() array.zeros({2, -1}) end, "extent 2 must be an integer >= 0, got %-1")
      assert.error_matches(function() array.zeros({1, 2, 3, 4, 5}) end, "1 to 4 extents expected, got 5")
      assert.error_matches(function() array.zeros(3, "f16") end, "dtype 'f16' is not one of f32")
      assert.error_matches(function() array.load(path, {map = true}) end, "unknown option 'map'")
      assert.error_matches(function() array.zeros({1 << 40, 1 << 40}) end, "not enough memory")
      assert.error_matches(function() array.zeros({2, -3}) end, "extent 2 must be an integer >= 0, got -3", 1, true)
      local none = array.zeros({0, 1 << 62}, "u8")
      for _, axis in ipairs{0, 4, 5, math.mininteger, math.maxinteger} do
         assert.error_matches(function() array.concat({none}, axis) end,
            "bad argument #2 to 'concat' (no such axis)", 1, true)
      end
      assert.error_matches(function() array.concat({none, none}, 2) end,
         "bad argument #1 to 'concat' (more rows than can be counted)", 1, true)
   end)

   it("reads and writes elements by 1-based index", function()
      local a = matrix()
      assert.equal(6, a:at(2, 3))
      a:set(2, 3, 60)
      assert.equal(60, a[2][3])
      assert.error_matches(function() a:at(3, 1) end, "index 3 outside 1..2")
      assert.is_nil(a[3])
      local v = array.zeros(2)
      v[2] = 7
      assert.same({0, 7}, v:table())
   end)

   it("keeps 64-bit integers exact", function()
      local a = array.from({9007199254740993}, "i64")
      assert.equal(9007199254740993, a[1])
   end)

   it("truncates and saturates floats stored in integers", function()
      local a = array.from({1.9, -1.9, 1e9, -1e9, 0 / 0, math.huge}, "f64"):copy("i16")
      assert.same({1, -1, 32767, -32768, 0, 32767}, a:table())
   end)

   it("makes views that share elements", function()
      local a = matrix()
      a:slice(2, 2, 3):fill(0)
      assert.same({{1, 0, 0}, {4, 0, 0}}, a:table())
      a:T()[1]:fill(9)
      assert.same({{9, 0, 0}, {9, 0, 0}}, a:table())
      a:reshape(6)[6] = 5
      assert.equal(5, a:at(2, 3))
   end)

   it("copies when a view cannot be reshaped in place", function()
      assert.same({1, 4, 2, 5, 3, 6}, matrix():T():reshape(6):table())
      assert.error_matches(function() matrix():reshape({4}) end, "does not hold the array's 6 elements")
   end)

   it("keeps the elements alive as long as any view", function()
      local view = array.full(1000, 3):slice(1, 11, 20)
      collectgarbage()
      collectgarbage()
      assert.equal(30, view:sum())
   end)

   it("broadcasts as numpy does", function()
      local a = matrix()
      assert.same({{11, 22, 33}, {14, 25, 36}}, (a + array.from({10, 20, 30})):table())
      assert.same({{0, 1, 2}, {2, 3, 4}}, (a - array.from({{1}, {2}})):table())
      assert.same({{2, 4, 6}, {8, 10, 12}}, (2 * a):table())
      assert.error_matches(function() return a + array.zeros(2) end, "do not broadcast")
   end)

   it("promotes dtypes without losing values", function()
      local i = array.from({3, 4}, "i32")
      assert.equal("i32", (i * 2):dtype())
      assert.equal("f64", (i / 2):dtype())
      assert.same({1.5, 2}, (i / 2):table())
      assert.equal("f64", (i + 0.5):dtype())
      assert.equal("f32", (array.zeros(2) + 0.5):dtype())
      assert.same({1003, 1004}, (i + 1000):table())
   end)

   it("multiplies matrices, views and dtypes as they come", function()
      local a, b = array.from({{1, 2, 3}, {4, 5, 6}}, "f32"), array.from({{1, 0}, {0, 2}, {1, 1}}, "f32")
      assert.same({{4, 7}, {10, 16}}, array.matmul(a, b):table())
      assert.equal("f32", array.matmul(a, b):dtype())
      local views = array.matmul(b:T(), a:T():copy("i32"))
      assert.equal("f64", views:dtype())
      assert.same({{4, 10}, {7, 16}}, views:table())
      assert.same({2, 0}, array.matmul(a, array.zeros{3, 0}):shape())
      assert.same({{0, 0}}, array.matmul(array.zeros{1, 0}, array.zeros{0, 2}):table())
      assert.error_matches(function() array.matmul(a, a) end, "array of 3 rows expected, got 2", 1, true)
      assert.error_matches(function() array.matmul(a, b[1]) end, "2")
   end)

   it("reduces over everything or along an axis", function()
      local a = matrix()
      assert.equal(21, a:sum())
      assert.same({5, 7, 9}, a:sum(1):table())
      assert.same({2, 5}, a:mean(2):table())
      assert.near(math.sqrt(35 / 12), a:std(), 1e-12)
      assert.equal(6, a:argmax())
      assert.same({1, 1}, a:argmin(2):table())
   end)

   it("has a stated result for nothing and for NaN", function()
      local none, nan = array.zeros(0), array.from({1, 0 / 0, 3})
      assert.equal(0, none:sum())
      assert.is_true(none:mean() ~= none:mean())
      assert.is_nil(none:argmax())
      assert.is_true(nan:max() ~= nan:max())
      assert.equal(2, nan:argmin())
      assert.is_false(nan:is_finite())
   end)

   it("joins along an axis", function()
      local a = matrix()
      assert.same({4, 3}, array.concat({a, a}):shape())
      assert.same({{1, 2, 3, 1, 2, 3}, {4, 5, 6, 4, 5, 6}}, array.concat({a, a}, 2):table())
      assert.error_matches(function() array.concat({a, a:T()}) end, "element 2 has another shape")
   end)

   it("writes npy files that come back equal, views too", function()
      for _, dtype in ipairs({"f32", "f64", "i64", "i32", "i16", "u8"}) do
         local a = matrix():copy(dtype)
         assert.is_true(array.save(path, a:T()))
         assert.is_true(array.equal(a:T(), array.load(path)))
         assert.is_true(array.equal(a:T(), array.load(path, {mmap = true})))
      end
      array.save(path, array.zeros({0, 3}))
      assert.same({0, 3}, array.load(path):shape())
   end)

   it("does not write through a mapping", function()
      array.save(path, matrix())
      local a = array.load(path, {mmap = true})
      assert.error_matches(function() a:fill(0) end, "read%-only")
   end)

   it("reads numpy's own header, Fortran order too", function()
      local header = "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3), }"
      header = header .. (" "):rep(118 - #header - 1) .. "\n"
      local f = assert(io.open(path, "wb"))
      f:write("\x93NUMPY\1\0", string.pack("<I2", #header), header)
      for _, x in ipairs({1, 4, 2, 5, 3, 6}) do f:write(string.pack("<d", x)) end
      f:close()
      assert.same({{1, 2, 3}, {4, 5, 6}}, array.load(path):table())
   end)

   -- An npy file with this header and these bytes.
   local function npy_file(header, bytes)
      local f = assert(io.open(path, "wb"))
      f:write("\x93NUMPY\1\0", string.pack("<s2", header), bytes)
      f:close()
   end

   it("reads what other programs store: either order of bytes, half precision, unsigned, booleans", function()
      local inf = math.huge
      local cases = {
         {">f4", ">fff", "f32", {1.5, -2, 1e30}}, {">f8", ">ddd", "f64", {0.1, -1e300, inf}},
         {">i8", ">jjj", "i64", {2 ^ 53 + 1 | 0, -1, math.mininteger}}, {">i4", ">i4i4i4", "i32", {1, -2, 1 << 30}},
         {">i2", ">i2i2i2", "i16", {1, -2, -32768}}, {">u2", ">I2I2I2", "i32", {1, 2, 65535}},
         {"|i1", "i1i1i1", "i16", {1, -1, -128}}, {"<u2", "<I2I2I2", "i32", {1, 2, 65535}},
         {"<u4", "<I4I4I4", "i64", {0, 7, 0xffffffff}}, {">u8", ">I8I8I8", "i64", {1, 0, math.maxinteger}},
         {"=i4", "<i4i4i4", "i32", {3, 4, -5}}, {"f4", "<fff", "f32", {3, 4, -5}},
      }
      for _, case in ipairs(cases) do
         npy_file(('{"descr": "%s", "fortran_order": False, "shape": (3,), }'):format(case[1]),
            string.pack(case[2], table.unpack(case[4])))
         for _, options in ipairs{{}, {mmap = true}} do
            local a = assert(array.load(path, options))
            assert.equal(case[3], a:dtype())
            assert(array.equal(array.from(case[4], case[3]), a), case[1])
         end
      end
      for _, type in ipairs{"<f2", ">f2"} do
         npy_file(("{'descr': '%s', 'fortran_order': True, 'shape': (2L, 4L), }"):format(type),
            string.pack((type:sub(1, 1) .. "I2"):rep(8), 0x3c00, 0xc000, 0x7bff, 1, 0x83ff, 0x7c00, 0xfc00, 0x3555))
         assert.same({{1, 65504, -1023 * 2 ^ -24, -inf}, {-2, 2 ^ -24, inf, 0x555p-12}}, array.load(path):table())
      end
      npy_file("{'descr': '<f2', 'fortran_order': False, 'shape': (1,), }", "\1\x7e")
      assert(array.load(path)[1] ~= array.load(path)[1])
      npy_file("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", "\0\1\2")
      assert.same({0, 1, 1}, array.load(path):table())
      npy_file("{'descr': '<u8', 'fortran_order': False, 'shape': (1,), }", ("\xff"):rep(8))
      assert.same({nil, path .. ": an integer above 2^63 - 1"}, {array.load(path)})
   end)

   it("reports a missing, foreign, truncated or hostile npy file", function()
      local function refused(text, pattern)
         local f = assert(io.open(path, "wb"))
         f:write(text)
         f:close()
         local a, message = array.load(path)
         assert.is_nil(a)
         assert.equal(path, message:sub(1, #path))
         assert.matches(pattern, message)
      end
      local function npy(header) return "\x93NUMPY\1\0" .. string.pack("<s2", header) end
      local _, message = array.load("/nowhere/x.npy")
      assert.equal("/nowhere/x.npy: No such file or directory", message)
      refused("", "not an npy file")
      refused("RIFF0000WAVEfmt ", "not an npy file")
      refused("\x93NUMPY\1\0\xff\xff", "truncated")
      refused(npy("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }"), "dtype '<c8' %(one of f2 ")
      refused(npy("{'descr': [('x', '<f4'), ('y', '<f4')], 'fortran_order': False, 'shape': (1,), }"),
         "dtype %[%('x', '<f4'%), %('y', '<f4'%)%] %(one of")
      refused(npy("{'descr': '<f4"), "fortran_order")
      refused(npy("{'fortran_order': False, 'descr': '<f4"), "dtype '<f4 %(")
      refused(npy("{'descr': '>f2', 'fortran_order': False, 'shape': (9,), }"), "truncated")
      refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9,), }"), "truncated")
      refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4611686018427387904, 4611686018427387904), }"),
         "truncated")
      refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"), "shape")
      refused(npy("{'shape': (1,), }"), "fortran_order")
   end)

   it("reports a folder that does not exist and a full disk", function()
      local ok, message = array.save("/nowhere/x.npy", matrix())
      assert.is_nil(ok)
      assert.matches("^/nowhere/x.npy: ", message)
   end)

   it("prints dtype, shape and values", function()
      assert.equal("i32 (2)\n      1      2", tostring(array.from({1, 2}, "i32")))
      assert.matches("^f32 %(100, 100%)\n", tostring(array.zeros({100, 100})))
      assert.is_true(#tostring(array.zeros({1000, 1000})) < 2000)
   end)

   it("gives memory back without being asked", function()
      if os.getenv("BCLUA_SANITIZED") then
         pending("the sanitizer keeps freed memory for a while")
         return
      end
      collectgarbage()
      local before = system.memory()
      for _ = 1, 100 do array.full({1024, 1024}, 1) end
      assert.is_true(system.memory() - before < 300e6)
   end)

   it("compares, and chooses where", function()
      local x = array.from({1, 5, 0 / 0, 3})
      assert.same({0, 1, 0, 0}, x:greater(3):table())
      assert.same({1, 0, 0, 0}, x:less(array.from{2, 5, 2, 3}):table())
      assert.equal("u8", x:less(1):dtype())
      local big = array.from({2 ^ 53 | 0, (2 ^ 53 | 0) + 1}, "i64")
      assert.same({0, 1}, big:greater(2 ^ 53 | 0):table()) -- as integers, which f64 cannot tell apart
      assert.same({0, 5, 0, 0}, array.where(x:greater(3), x, 0):table())
      assert.same({{1, -1}, {1, 2}}, array.where(array.from({0, 1}, "u8"):reshape{2, 1}, array.from{1, 2},
         array.from{1, -1}):table())
      assert.equal("i64", array.where(big:greater(0), big, 1):dtype())
      assert.same({2, 2}, array.where(array.from({1, 1}, "u8"), 2, 3):table())
      assert.error_matches(function() array.where(x, array.zeros(3), 1) end, "shapes that do not broadcast")
   end)

   it("sums up", function()
      local x = array.from{{1, 2, 3}, {4, 5, 6}}
      assert.same({1, 3, 6, 10, 15, 21}, x:cumsum():table())
      assert.same({{1, 2, 3}, {5, 7, 9}}, x:cumsum(1):table())
      assert.same({{1, 3, 6}, {4, 9, 15}}, x:cumsum(2):table())
      assert.same({{1, 5}, {2, 7}, {3, 9}}, x:T():cumsum(2):table())
      assert.same({1, 5, 7}, array.from({1, 4, 2}, "i32"):cumsum():table())
      assert.same({1, 5, 7, 12, 15, 21}, x:T():cumsum():table())
      assert.equal("i64", array.from({1}, "u8"):cumsum():dtype())
      assert.same({}, array.zeros(0):cumsum():table())
   end)

   it("sorts", function()
      local x = array.from{3, 1, 0 / 0, 2, 1}
      assert.same({2, 5, 4, 1, 3}, x:argsort():table())
      assert.same({1, 4, 2, 5, 3}, x:argsort("falling"):table())
      assert.same({3, 2, 1, 1}, x:sort("falling"):slice(1, 1, 4):table())
      assert.same({3, 1}, array.from({{1, 2}, {3, 4}}, "i32"):T()[1]:sort("falling"):table())
      assert.equal("i32", array.from({1}, "i32"):sort():dtype())
      local big = array.from({(2 ^ 53 | 0) + 1, 2 ^ 53 | 0}, "i64")
      assert.same({2, 1}, big:argsort():table())
      assert.error_matches(function() array.zeros{2, 2}:sort() end, "vector expected")
   end)
end)
