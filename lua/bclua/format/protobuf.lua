--- Protocol buffers on the wire, as far as the files that we write need them:
-- fields are given by number, a message is the concatenation of its fields.
-- https://protobuf.dev/programming-guides/encoding
-- @module bclua.format.protobuf
local protobuf = {}

local VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
local DEEPEST = 10 -- bytes of the longest varint

--- An integer in groups of seven bits; a negative one takes ten bytes.
-- @tparam integer n
-- @treturn string
function protobuf.varint(n)
   local bytes = {}
   repeat
      local low = n & 0x7f
      n = n >> 7
      bytes[#bytes + 1] = string.char(n ~= 0 and low | 0x80 or low)
   until n == 0
   return table.concat(bytes)
end

local function key(number, wire) return protobuf.varint(number << 3 | wire) end

--- A field of type int32, int64, bool or enum.
function protobuf.integer(number, n) return key(number, VARINT) .. protobuf.varint(n) end

--- A field of type string, bytes or message.
function protobuf.bytes(number, s) return key(number, BYTES) .. protobuf.varint(#s) .. s end

--- A field of type float.
function protobuf.float(number, x) return key(number, FIXED32) .. string.pack("<f", x) end

--- A field of type double.
function protobuf.double(number, x) return key(number, FIXED64) .. string.pack("<d", x) end

--- A repeated field of int64, packed.
function protobuf.integers(number, list)
   local parts = {}
   for i, n in ipairs(list) do parts[i] = protobuf.varint(n) end
   return protobuf.bytes(number, table.concat(parts))
end

-- Integer and the place behind it; nil if it is cut off or too long.
local function read_varint(s, at)
   local n = 0
   for i = 0, DEEPEST - 1 do
      local byte = s:byte(at + i)
      if not byte then return nil end
      n = n | (byte & 0x7f) << 7 * i
      if byte < 0x80 then return n, at + i + 1 end
   end
   return nil
end

local FORMAT = {[FIXED64] = "<d", [FIXED32] = "<f"}
local WIDTH = {[FIXED64] = 8, [FIXED32] = 4}

--- The fields of a message, in their order. Nothing is known of their meaning:
-- 32 and 64 bits come as floats, messages as their bytes.
-- @tparam string s
-- @treturn[1] {table,...} `{number=, value=}`
-- @treturn[2] nil
-- @treturn[2] string message: not a message
function protobuf.parse(s)
   local fields, at = {}, 1
   while at <= #s do
      local tag, behind = read_varint(s, at)
      if not tag then return nil, ("byte %d: a key is cut off"):format(at) end
      local number, wire, value = tag >> 3, tag & 7, nil
      if wire == VARINT then
         value, behind = read_varint(s, behind)
      elseif wire == BYTES then
         local n
         n, behind = read_varint(s, behind)
         if n and n >= 0 and n <= #s - behind + 1 then
            value, behind = s:sub(behind, behind + n - 1), behind + n
         end
      elseif WIDTH[wire] and #s - behind + 1 >= WIDTH[wire] then
         value, behind = string.unpack(FORMAT[wire], s, behind)
      end
      if not value or number < 1 then
         return nil, ("byte %d: field %d of wire type %d is wrong or cut off"):format(at, number, wire)
      end
      fields[#fields + 1], at = {number = number, value = value}, behind
   end
   return fields
end

return protobuf
