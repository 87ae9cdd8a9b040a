-- usage: bclua scripts/bench/evaluate.lua [WINDOWS [DIMENSIONS [CLASSES [RUNS]]]]
-- What the evaluation of an embedding costs beside decoding and the network: each measure by itself, for made-up
-- embeddings (2000 windows of 128 values, 15 classes, 20 windows a recording); best and median of RUNS (5).
require("bclua.cli").help_by_comment()
local bench = require "bclua.experiment.bench"
local evaluate, learn = require "bclua.evaluate", require "bclua.learn"
local numbers = require("bclua.evaluate.distances").numbers
local sampling, system = require "bclua.sampling", require "bclua.system"

local n, d = tonumber(arg[1]) or 2000, tonumber(arg[2]) or 128
local classes, runs = tonumber(arg[3]) or 15, tonumber(arg[4]) or 5

local x, labels, recordings = sampling.generator(1):normal(n * d):reshape{n, d}, {}, {}
for i = 1, n do
   local recording = (i - 1) // 20
   labels[i], recordings[i] = "class" .. recording % classes, "recording" .. recording
   local j = recording % classes % d + 1
   x:set(i, j, x:at(i, j) + 1) -- a little of the class
end
local groups, features = numbers(recordings), {{name = "x", x = x:copy("f32")}}

print(("%d windows, %d values, %d classes, %d threads; best / median of %d"):format(n, d, classes, system.threads(),
   runs))
local function measure(name, f)
   local best, median = bench.time(runs, f)
   print(("%-42s %8.3f / %8.3f s"):format(name, best, median))
end
measure("10 splits of logistic regression", function() assert(evaluate.accuracy(features, labels, recordings)) end)
for _, metric in ipairs{"cosine", "euclidean"} do
   local o = {k = 5, metric = metric}
   measure("5 nearest of other recordings, " .. metric, function() learn.nearest(x, groups, o) end)
end
measure("silhouette", function() evaluate.silhouette(x, labels, recordings) end)
measure("principal components", function() evaluate.pca(x) end)
measure("all of it", function() assert(evaluate.measures(features, labels, recordings)) end)
print(("process at most %.0f MB, the embedding %.1f MB"):format(select(2, system.memory()) / 1e6,
   features[1].x:bytes() / 1e6))
