--- Event files for TensorBoard: scalars over steps.
--
-- Each is a sequence of TFRecords (length, masked CRC32C of the length, data,
-- masked CRC32C of the data) that hold `Event` messages (event.proto, summary.proto).
-- @module bclua.format.tensorboard
local files = require "bclua.files"
local pb = require "bclua.format.protobuf"

local tensorboard = {}

-- CRC-32C (Castagnoli), reflected.
local TABLE = {}
for i = 0, 255 do
   local c = i
   for _ = 1, 8 do c = c & 1 == 1 and c >> 1 ~ 0x82f63b78 or c >> 1 end
   TABLE[i] = c
end

--- CRC-32C of a string.
function tensorboard.crc32c(s)
   local c = 0xffffffff
   for i = 1, #s do c = TABLE[(c ~ s:byte(i)) & 0xff] ~ c >> 8 end
   return c ~ 0xffffffff
end

-- So that a CRC of data that holds CRCs is no trivial number.
local function masked(s)
   local c = tensorboard.crc32c(s)
   return ((c >> 15 | c << 17) + 0xa282ead8) & 0xffffffff
end

--- A TFRecord.
function tensorboard.record(data)
   local length = string.pack("<I8", #data)
   return length .. string.pack("<I4", masked(length)) .. data .. string.pack("<I4", masked(data))
end

local function event(step, field) return pb.double(1, os.time()) .. pb.integer(2, step) .. field end

local Writer = {}
Writer.__index = Writer

--- Write an event.
-- @tparam string data as protobuf
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
function Writer:write(data)
   local ok, message = self.file:write(tensorboard.record(data))
   if ok then ok, message = self.file:flush() end
   if ok then return true end
   return nil, self.path .. ": " .. message
end

--- A new event file in a folder, beside those of earlier runs.
-- @tparam string folder
-- @tparam integer step what older files hold behind this step was cut off by a
--  stop: TensorBoard leaves it out
-- @treturn[1] Writer
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function tensorboard.open(folder, step)
   local host = (files.read("/proc/sys/kernel/hostname") or "host"):match("^%s*([%w._-]+)") or "host"
   local path
   local n = 0
   repeat
      path = ("%s/events.out.tfevents.%010d.%s.%d"):format(folder, os.time(), host, n)
      n = n + 1
   until not files.exists(path)
   local file, message = io.open(path, "wb")
   if not file then return nil, message end
   local self = setmetatable({file = file, path = path}, Writer)
   local ok
   ok, message = self:write(event(0, pb.bytes(3, "brain.Event:2")))
   -- SessionLog.START
   if ok and step > 0 then ok, message = self:write(event(step + 1, pb.bytes(7, pb.integer(1, 1)))) end
   if ok then return self end
   file:close()
   return nil, message
end

--- Add values at a step.
-- @tparam integer step
-- @tparam table values tag -> number; NaN and infinities are shown as such
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function Writer:scalars(step, values)
   local whole = type(step) == "number" and math.tointeger(step)
   local tags, parts = {}, {}
   if not whole then error(("step: an integer expected, got %s"):format(tostring(step)), 2) end
   for tag, value in pairs(values) do
      if type(tag) ~= "string" then error(("tag %s: a string expected"):format(tostring(tag)), 2) end
      if type(value) ~= "number" then error(("%s: a number expected, got a %s"):format(tag, type(value)), 2) end
      tags[#tags + 1] = tag
   end
   table.sort(tags)
   for i, tag in ipairs(tags) do parts[i] = pb.bytes(1, pb.bytes(1, tag) .. pb.float(2, values[tag])) end
   return self:write(event(whole, pb.bytes(5, table.concat(parts))))
end

--- Close the file.
function Writer:close() self.file:close() end
Writer.__close = Writer.close

return tensorboard
