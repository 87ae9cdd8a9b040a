local command = require "support.command"
local metrics = require "bclua.train.metrics"
local pb = require "bclua.format.protobuf"
local tensorboard = require "bclua.format.tensorboard"

-- CRC-32C bit by bit, from its polynomial 0x11EDC6F41 as it is written, most
-- significant bit first: bits reversed on the way in and out.
local function slow_crc(s)
   local function reverse(x, bits)
      local r = 0
      for i = 0, bits - 1 do r = r | (x >> i & 1) << bits - 1 - i end
      return r
   end
   local c = 0xffffffff
   for i = 1, #s do
      c = c ~ reverse(s:byte(i), 8) << 24
      for _ = 1, 8 do c = (c & 0x80000000 ~= 0 and c << 1 ~ 0x1edc6f41 or c << 1) & 0xffffffff end
   end
   return reverse(c, 32) ~ 0xffffffff
end

local function unmask(m)
   m = m - 0xa282ead8 & 0xffffffff
   return (m >> 17 | m << 15) & 0xffffffff
end

-- Events of a file: {step, version=, start=, values = {tag = x}}; every CRC is checked.
local function events(path)
   local bytes, at, list = command.read(path), 1, {}
   while at <= #bytes do
      local length, length_crc = string.unpack("<I8I4", bytes, at)
      assert.equal(slow_crc(bytes:sub(at, at + 7)), unmask(length_crc))
      local data = bytes:sub(at + 12, at + 11 + length)
      assert.equal(length, #data)
      assert.equal(slow_crc(data), unmask((string.unpack("<I4", bytes, at + 12 + length))))
      at = at + 16 + length
      local e = {values = {}}
      for _, field in ipairs(assert(pb.parse(data))) do
         if field.number == 1 then e.time = field.value end
         if field.number == 2 then e.step = field.value end
         if field.number == 3 then e.version = field.value end
         if field.number == 7 then e.start = pb.parse(field.value)[1].value end
         for _, value in ipairs(field.number == 5 and pb.parse(field.value) or {}) do
            local v = pb.parse(value.value)
            e.values[v[1].value] = v[2].value
         end
      end
      list[#list + 1] = e
   end
   return list
end

local function files_of(folder)
   local names = {}
   for name in require("lfs").dir(folder) do
      if name:sub(1, 1) ~= "." then names[#names + 1] = folder .. "/" .. name end
   end
   table.sort(names)
   return names
end

describe("tensorboard", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   it("has the CRC-32C of RFC 3720", function()
      assert.equal(0x8a9136aa, tensorboard.crc32c(("\0"):rep(32)))
      assert.equal(0x62a8ab43, tensorboard.crc32c(("\xff"):rep(32)))
      assert.equal(0xe3069283, tensorboard.crc32c("123456789"))
      assert.equal(slow_crc("bclua"), tensorboard.crc32c("bclua"))
   end)

   it("writes events that another reader understands", function()
      local w = assert(tensorboard.open(dir, 0))
      assert(w:scalars(3, {["batch/loss"] = 0.5, ["batch/lr"] = -2}))
      assert(w:scalars(70000, {x = 1e30}))
      w:close()
      local list = events(w.path)
      assert.equal(3, #list)
      assert.equal("brain.Event:2", list[1].version)
      assert.near(os.time(), list[1].time, 5)
      assert.equal(3, list[2].step)
      assert.same({["batch/loss"] = 0.5, ["batch/lr"] = -2}, list[2].values)
      assert.equal(70000, list[3].step)
      assert.near(1e30, list[3].values.x, 1e23)
      assert.matches("/events%.out%.tfevents%.%d+%.[%w._-]+%.0$", w.path)
   end)

   it("tells TensorBoard what was cut off, and never writes over a file", function()
      assert(tensorboard.open(dir, 0)):close()
      local w = assert(tensorboard.open(dir, 41))
      w:close()
      assert.equal(2, #files_of(dir))
      local list = events(w.path)
      assert.equal(1, list[2].start)
      assert.equal(42, list[2].step)
   end)

   it("names the step and the tag that it cannot write", function()
      local writer <close> = assert(tensorboard.open(dir, 0))
      assert(writer:scalars(3.0, {loss = 1, rate = 0 / 0}))
      assert.error_matches(function() writer:scalars(7.5, {loss = 1}) end, "step: an integer expected, got 7.5")
      assert.error_matches(function() writer:scalars("8", {loss = 1}) end, "step: an integer expected, got 8")
      assert.error_matches(function() writer:scalars(8, {loss = "x"}) end, "loss: a number expected, got a string")
      assert.error_matches(function() writer:scalars(8, {1}) end, "tag 1: a string expected")
      assert.equal(2, #events(files_of(dir)[1])) -- nothing of them was written
   end)

   it("names a folder that is not there", function()
      local w, message = tensorboard.open(dir .. "/none", 0)
      assert.is_nil(w)
      assert.matches("^" .. dir:gsub("%p", "%%%0") .. "/none/events", message)
   end)

   it("gets what metrics.jsonl gets", function()
      local m = assert(metrics.open(dir))
      assert(m:write({kind = "batch", step = 1, loss = 2.5, round = 1}))
      assert(m:write({kind = "round", step = 1, loss = 2.5, validation = {loss = 3, ordered = 0.75}}))
      assert(m:write({kind = "skipped", step = 1, message = "nan"}))
      m:close()
      assert.equal(3, select(2, command.read(dir .. "/metrics.jsonl"):gsub("\n", "\n")))
      local list = events(files_of(dir .. "/tensorboard")[1])
      assert.equal(3, #list)
      assert.same({["batch/loss"] = 2.5, ["batch/round"] = 1}, list[2].values)
      assert.same({["round/loss"] = 2.5, ["validation/loss"] = 3, ["validation/ordered"] = 0.75}, list[3].values)
   end)

   it("drops lines behind a checkpoint, and a round's line when the round goes on", function()
      local function left(at)
         local text = ""
         for _, l in ipairs{{"batch", 1, 1}, {"skipped", 1, 2}, {"round", 1}, {"batch", 2, 1}} do
            text = text .. ('{"kind":"%s","round":%d%s}\n'):format(l[1], l[2], l[3] and ',"batch":' .. l[3] or "")
         end
         command.write(dir .. "/metrics.jsonl", text .. '{"kind":"ba')
         assert(metrics.open(dir, at)):close()
         return select(2, command.read(dir .. "/metrics.jsonl"):gsub("\n", "\n"))
      end
      assert.equal(1, left{rounds = 0, batch = 1, step = 1})
      assert.equal(2, left{rounds = 0, batch = 2, step = 1})
      assert.equal(3, left{rounds = 1, batch = 0, step = 2})
      assert.equal(4, left{rounds = 1, batch = 1, step = 3})
      assert.equal(0, left())
   end)
end)
