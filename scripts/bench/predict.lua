-- usage: bclua scripts/bench/predict.lua [MINUTES [WIDTH [RUNS]]]
-- `embed predict` of one long recording (60 minutes of synthetic sound, OGG at 32 kHz): windows a second of
-- decoding alone, of the network alone, of both together, and of `classify predict` with ten classes, best and median
-- of RUNS (3), and processor time, which tells what they cost when the machine has other work; and the process's memory
-- after a sixth of the recording and at the end, which shows that it does not grow.
-- WIDTH: of the first stage (8; the full network has 64).
require("bclua.cli").help_by_comment()
local array, audio = require "bclua.array", require "bclua.audio"
local bench, files = require "bclua.experiment.bench", require "bclua.files"
local predict = require "bclua.workflow.predict"
local system = require "bclua.system"
local windows = require "bclua.workflow.predict.windows"

local minutes, width, runs = tonumber(arg[1]) or 60, tonumber(arg[2]) or 8, tonumber(arg[3]) or 3
local scratch = os.tmpname()
os.remove(scratch)
assert(system.mkdir(scratch))

-- So many minutes: one recording of the synthetic set after the other.
local function synthesize(path, length)
   assert(require("bclua.data.dataset").make(scratch .. "/data", {families = 1, species = 1, recordings = 4,
      short = 0}))
   local list, at = assert(require("bclua.data.recordings").list(scratch .. "/data/train_audio")), 0
   local w = assert(audio.create(path, 32000))
   while w:tell() < length do
      at = at % #list + 1
      local y = assert(audio.load(list[at].path, {sample_rate = 32000}))
      assert(w:write(y:slice(1, 1, math.min(#y, length - w:tell()))))
   end
   assert(w:commit())
end

local net = require("bclua.tilenet").new{widths = {width, 2 * width, 4 * width, 8 * width}, z = 8 * width}
local o = {sample_rate = 32000, length = net.samples, hop_s = 5, block = 16}
local count = math.ceil(minutes * 60 / 5)
local function measure(what, share, f) -- f does a share of the recording
   local cpu = math.huge
   local best, median = bench.time(runs, function()
      local start = system.cpu_clock()
      f()
      cpu = math.min(cpu, system.cpu_clock() - start)
   end)
   local n = count * share
   print(("%-16s %8.1f / %8.1f windows/s   %6.0f x real time   processor time %.2f ms a window"):format(what, n / best,
      n / median, minutes * 60 * share / best, 1000 * cpu / n))
end

local function decode(path)
   for block in windows.blocks({path}, o, 1) do assert(not block.message, block.message) end
end

local function run(path, job)
   os.remove(scratch .. "/out.parquet")
   assert(predict.with_network(net, {path}, {output = scratch .. "/out.parquet", quiet = true}, nil, nil, job))
   return system.memory() / 1e6, select(2, system.memory()) / 1e6
end

print(("%g minutes, %d windows of 5 s, widths %d to %d, %d threads; best / median of %d"):format(minutes, count,
   width, 8 * width, system.threads(), runs))
synthesize(scratch .. "/short.ogg", math.floor(minutes * 60 * 32000 / 6))
synthesize(scratch .. "/long.ogg", math.floor(minutes * 60 * 32000))
local _, peak = run(scratch .. "/short.ogg")
print(("memory of a sixth of it: process at most %.0f MB"):format(peak))
_, peak = run(scratch .. "/long.ogg")
print(("memory of all of it: process at most %.0f MB; the table %.1f MB"):format(peak,
   files.stamp(scratch .. "/out.parquet") / 1e6))
measure("predict", 1, function() run(scratch .. "/long.ogg") end)
local weights = require("bclua.sampling").generator(1):normal(10 * (net.options.z + 1)):reshape{10, net.options.z + 1}
local scores = {step = "classify", kind = require("bclua.workflow.predict.partitioned_writer").kinds.scores,
   of = function(z) return require("bclua.learn").binary_scores(weights, z) end}
measure("classify", 1, function() run(scratch .. "/long.ogg", scores) end)
measure("decoding alone", 1, function() decode(scratch .. "/long.ogg") end)
local some = array.zeros({math.min(64, count), net.samples})
for i = 1, #some do some[i]:fill(require("bclua.sampling").generator(i):normal(net.samples)) end
measure("network alone", #some / count, function() net:forward(some) end)
net:close()
os.execute("rm -rf '" .. scratch .. "'")
