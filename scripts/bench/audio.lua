-- usage: bclua scripts/bench/audio.lua [RUNS [FILE]]
-- Decoding, conversion, encoding and cropping, on one core: best and median
-- of RUNS (5). Without FILE: 30 s of a synthetic recording at 32 kHz.
require("bclua.cli").help_by_comment()
local array = require "bclua.array"
local audio = require "bclua.audio"
local bench = require "bclua.experiment.bench"
local dataset = require "bclua.data.dataset"
local sampling = require "bclua.sampling"
local system = require "bclua.system"

local runs = tonumber(arg[1]) or 5

local function measure(name, amount, unit, run)
   local best, median = bench.time(runs, function() assert(run()) end)
   print(("%-44s best %8.2f ms %8.0f %s   median %8.2f ms"):format(name, 1e3 * best, amount / best, unit,
      1e3 * median))
end

local folder = os.tmpname()
os.remove(folder)
assert(system.mkdir(folder))

local function synthetic()
   local p = {}
   for name, value in pairs(dataset.defaults) do p[name] = value end
   p.least_s, p.most_s = 30, 30
   return dataset.render(dataset.recording(dataset.species(p)[1], 1, p), p), p.sample_rate
end

local y, sample_rate
if arg[2] then
   y, sample_rate = assert(audio.load(arg[2]))
else
   y, sample_rate = synthetic()
end
local seconds = #y / sample_rate
print(("%s: %.1f s at %d Hz; one thread; %d runs"):format(arg[2] or "synthetic", seconds, sample_rate, runs))
local real_time = "x real time"

for _, format in ipairs({"ogg", "flac", "wav"}) do
   local path = folder .. "/a." .. format
   measure("encode " .. format, seconds, real_time, function()
      return audio.encode(y, sample_rate, {format = format})
   end)
   assert(audio.save(path, y, sample_rate))
   measure("load " .. format, seconds, real_time, function() return audio.load(path) end)
   measure("load 5 s from the middle, " .. format, 1, "a second", function()
      return audio.load(path, {start_s = seconds / 2, seconds = 5})
   end)
end
for _, format in ipairs(audio.ffmpeg() and {"m4a", "wv"} or {}) do -- through a pipe
   local path = folder .. "/a." .. format
   assert(os.execute(("ffmpeg -v error -nostdin -y -i '%s/a.wav' '%s'"):format(folder, path)))
   measure("load " .. format .. " by ffmpeg", seconds, real_time, function() return audio.load(path) end)
   local at = 0
   measure("load 5 s from the middle, " .. format, 1, "a second", function()
      at = at + 0.1 -- from the third part on, out of what is kept
      return audio.load(path, {start_s = seconds / 2 + at, seconds = 5})
   end)
end
if arg[2] then
   measure("load the file itself", seconds, real_time, function() return audio.load(arg[2]) end)
end
measure("info", 1, "a second", function() return audio.info(folder .. "/a.ogg") end)
measure("resample to 44100 Hz", seconds, real_time, function() return audio.resample(y, sample_rate, 44100) end)
measure("resample to half the rate", seconds, real_time, function()
   return audio.resample(y, 2 * sample_rate, sample_rate)
end)

local g = sampling.generator(1)
local tiles = array.zeros({64, 7 * 32000})
measure("crop 64 tiles of 7 s to 5 s", 64, "a second", function() return sampling.crop(tiles, 5 * 32000, g) end)

os.execute("rm -r '" .. folder .. "'")
