-- usage: bclua scripts/bench/cens.lua [FILE [RUNS [HOURS]]]
-- CENS and its stages, and the network's mel spectrogram, on one core, samples
-- in memory: milliseconds and times real time, best and median of RUNS (5), and
-- for the stages their share of the best. Then a whole recording, decode + CENS +
-- self-join, against decoding alone in the same run (the median is that of the
-- ratios of runs side by side). Then CENS of HOURS (1) of noise that comes block by block, and the memory.
-- FILE: a recording (default: the synthetic clip of the specs, 28.8 s).
require("bclua.cli").help_by_comment()
local array = require "bclua.array"
local audio = require "bclua.audio"
local bench = require "bclua.experiment.bench"
local cens = require "bclua.cens"
local spectral = require "bclua.spectral"
local stomp = require "bclua.stomp"
local system = require "bclua.system"

local root = arg[0]:match("^(.*)/scripts/bench/[^/]*$") or "."
local path = arg[1] or root .. "/spec/fixtures/cens/synthetic/audio.ogg"
local runs = tonumber(arg[2]) or 5
local hours = tonumber(arg[3]) or 1
local sample_rate, hop = 32000, 3200

local function measure(name, seconds, run)
   run() -- filters and plans are made once and kept
   local best, median = bench.time(runs, run)
   print(("%-34s best %8.2f ms %8.0f x real time   median %8.2f ms %8.0f x"):format(
      name, 1e3 * best, seconds / best, 1e3 * median, seconds / median))
   return best
end

local y, err = audio.load(path, {sample_rate = sample_rate})
if not y then
   io.stderr:write("cens: ", err, "\n")
   os.exit(1)
end
local seconds = y:size() / sample_rate
local tuning = cens.tuning(y, {sample_rate = sample_rate})
local known = {sample_rate = sample_rate, hop = hop, tuning = tuning}

print(("%s: %d samples, %.1f s at %d Hz, hop %d; one thread; %d runs"):format(
   path, y:size(), seconds, sample_rate, hop, runs))
local function share(name, part, whole)
   print(("%-34s %13.2f ms %7.0f %%"):format(name, 1e3 * math.max(part, 0), 100 * math.max(part, 0) / whole))
end
local whole = measure("cens", seconds, function() cens.cens(y, {sample_rate = sample_rate, hop = hop}) end)
local tune = measure("  tuning", seconds, function() cens.tuning(y, {sample_rate = sample_rate}) end)
measure("  cqt, tuning given", seconds, function() cens.cqt(y, known) end)
local chroma = measure("  chroma, tuning given", seconds, function() cens.chroma(y, known) end)
local rest = measure("  cens, tuning given", seconds, function() cens.cens(y, known) end)
share("  stage: tuning", tune, whole)
share("  stage: cqt and chroma", chroma, whole)
share("  stage: quantise, smooth, norm", rest - chroma, whole)

-- The whole of a recording, as `motif extract` does it but for writing.
local function chain()
   local samples = audio.load(path, {sample_rate = sample_rate})
   stomp.self_join(cens.cens(samples, {sample_rate = sample_rate, hop = hop}), 50)
end
local ratios, decode_s, chain_s = {}, math.huge, math.huge
for k = 1, runs do
   local t0 = system.clock()
   audio.load(path, {sample_rate = sample_rate})
   local t1 = system.clock()
   chain()
   local t2 = system.clock()
   decode_s, chain_s = math.min(decode_s, t1 - t0), math.min(chain_s, t2 - t1)
   ratios[k] = (t2 - t1) / (t1 - t0)
end
table.sort(ratios)
print(("decode %.2f ms; decode + cens + self-join %.2f ms: %.2f x decode, median %.2f x"):format(1e3 * decode_s,
   1e3 * chain_s, chain_s / decode_s, ratios[(runs + 1) // 2]))

local start = system.clock()
local other = {sample_rate = sample_rate, hop = hop, tuning = tuning + 0.005}
cens.cens(array.zeros(1), other)
print(("%-34s %13.2f ms"):format("  filters, once a tuning", 1e3 * (system.clock() - start)))

local clip = y:slice(1, 1, math.min(5 * sample_rate, y:size()))
local options = {sample_rate = sample_rate, n_fft = 4096, hop = (160000 - 4096) // 127, fmax = 16000,
   pad = "reflect"}
measure("mel, 5 s, n_fft 4096", clip:size() / sample_rate, function() spectral.mel(clip, options) end)

-- Louder and quieter through the day, so that the tuning takes both passes.
local function stream()
   local size, at, loud = 1 << 16, 0, {}
   local last, passes = math.floor(hours * 3600 * sample_rate) // size, 1
   local values = {}
   for i = 1, size do values[i] = math.random() - 0.5 end
   for i = 1, 8 do loud[i] = array.from(values, "f32") * 0.3 ^ i end
   local function source()
      at = at + 1
      return at <= last and loud[(at - 1) * 8 // last + 1] or nil
   end
   local function rewind() at, passes = 0, passes + 1 end
   local began = system.clock()
   local c = cens.cens(source, {sample_rate = sample_rate, hop = hop, rewind = rewind})
   local took, now, most = system.clock() - began, system.memory()
   print(("cens of %g h in blocks of %d: %d frames, %.1f s, %.0f x real time, %d passes"):format(
      hours, size, c:shape(2), took, hours * 3600 / took, passes))
   print(("memory of the process: %.0f MB, at most %.0f MB"):format(now / 1e6, most / 1e6))
end
math.randomseed(1)
stream()
