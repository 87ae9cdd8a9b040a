-- usage: bclua spec/fuzz/seeds.lua DIR
-- Small files of every kind that we can write, for the fuzzers to start from: a
-- folder for each target.
local array = require "bclua.array"
local audio = require "bclua.audio"
local system = require "bclua.system"

local folder
local function target(name)
   folder = arg[1] .. "/" .. name
   assert(system.mkdir(folder))
end

target "pipeline"

local function put(name, bytes)
   local f <close> = assert(io.open(folder .. "/" .. name, "wb"))
   assert(f:write(bytes))
end

-- Two tones that take turns; louder with every channel.
local function song(rate, seconds, channels)
   local rows = {}
   for c = 1, channels do
      local y = {}
      for i = 1, math.floor(rate * seconds) do
         local hz = i * 8 // rate % 2 == 0 and 440 or 660
         y[i] = 0.2 * c * math.sin(2 * math.pi * hz * i / rate)
      end
      rows[c] = array.from(y, "f32"):reshape({1, #y})
   end
   return array.concat(rows)
end

for _, case in ipairs({{8000, 0.4, 1}, {8000, 0.2, 2}, {32000, 0.1, 1}, {44100, 0.05, 2}, {16000, 0.002, 1}}) do
   local y = song(table.unpack(case))
   local rate = case[1]
   local name = ("%d_%g_%d."):format(table.unpack(case))
   put(name .. "ogg", assert(audio.encode(y, rate, {format = "ogg", quality = 0})))
   put(name .. "flac", assert(audio.encode(y, rate, {format = "flac"})))
   put(name .. "wav", assert(audio.encode(y, rate, {format = "wav"})))
   put(name .. "f32.wav", assert(audio.encode(y * 1e30, rate, {format = "wav", subtype = "float"})))
   put(name .. "s24.wav", assert(audio.encode(y, rate, {format = "wav", subtype = "pcm24"})))
end
put("silence.flac", assert(audio.encode(array.zeros({1, 9000}), 9000, {format = "flac"})))
put("silence.ogg", assert(audio.encode(array.zeros({1, 9000}), 9000, {format = "ogg"})))
put("none.wav", assert(audio.encode(array.zeros({1, 0}), 8000, {format = "wav"})))
put("nothing", "")

target "npy"
local arrays = {}
for _, dtype in ipairs{"f32", "f64", "i64", "i32", "i16", "u8"} do
   arrays[dtype] = array.arange(6, dtype)
   assert(array.save(("%s/%s.npy"):format(folder, dtype), arrays[dtype]:reshape{2, 3}))
end
assert(array.save(folder .. "/none.npy", array.zeros{0, 3}))
assert(array.save(folder .. "/deep.npy", array.zeros{1, 2, 1, 2}))

target "safetensors"
local safetensors = require "bclua.format.safetensors"
assert(safetensors.save(folder .. "/all.safetensors", arrays, {note = "line\nbreak", empty = ""}))
assert(safetensors.save(folder .. "/one.safetensors", {["a.weight"] = array.zeros{2, 1, 1, 2}}))
assert(safetensors.save(folder .. "/none.safetensors", {}))
