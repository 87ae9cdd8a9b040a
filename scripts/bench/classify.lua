-- usage: bclua scripts/bench/classify.lua [WINDOWS [DIMENSIONS [CLASSES [SCORED]]]]
-- Training a classifier on WINDOWS (5000) made-up windows of 100 recordings, DIMENSIONS (64) values and CLASSES (10),
-- with cross-validation of its strength and with a given one; one class alone, as `browse` learns it; and detections
-- out of the scores of SCORED (1000000) windows.
-- Processor time, as it does not depend on what else the machine does, and the process's memory.
require("bclua.cli").help_by_comment()
local array, classifier, detect = require "bclua.array", require "bclua.classifier", require "bclua.detect"
local sampling, sql, system = require "bclua.sampling", require "bclua.sql", require "bclua.system"

local n, d, k = tonumber(arg[1]) or 5000, tonumber(arg[2]) or 64, tonumber(arg[3]) or 10
local scored = tonumber(arg[4]) or 1000000

local function measure(what, f)
   local start = system.cpu_clock()
   local result = f()
   print(("%-40s %6.2f s of processor time, process at most %.0f MB"):format(what, system.cpu_clock() - start,
      select(2, system.memory()) / 1e6))
   return result
end

-- Half of the windows are of a class each, by four values that are somewhat higher.
local g = sampling.generator(1)
local set = {x = g:normal(n * d):copy("f32"):reshape{n, d}, classes = {}, truth = array.zeros({k, n}, "f64"),
   groups = {}}
for c = 1, k do set.classes[c] = "class " .. c end
for i = 1, n do
   local c = g:integer(2 * k)
   for j = 1, c <= k and 4 or 0 do set.x:set(i, (c * 5 + j) % d + 1, set.x:at(i, (c * 5 + j) % d + 1) + 1.2) end
   if c <= k then set.truth:set(c, i, 1) end
   set.groups[i] = "r" .. i * 100 // (n + 1)
end
print(("%d windows of %d values, %d classes"):format(n, d, k))
local model = measure("train", function() return assert(classifier.train(set)) end)
measure("the same with a given strength", function() return assert(classifier.train(set, {c = model.c})) end)
measure("the same with ten samples of recordings", function()
   return assert(classifier.train(set, {c = model.c, samples = 10}))
end)

local loop, answers = require("bclua.classifier.active").new(set.x), {yes = {}, no = {}}
for i = 1, n do table.insert(set.truth:at(1, i) == 1 and answers.yes or answers.no, i) end
measure("one class, as `browse` learns it", function() return loop:scores(answers) end)

local scratch <close> = require("bclua.files").scratch()
scratch[3] = os.tmpname()
scratch[1], scratch[2] = scratch[3] .. ".scores.parquet", scratch[3] .. ".detections.parquet"
assert(sql.write_parquet(scratch[1], ([[select 'r' || lpad((i // 720)::varchar, 6, '0') || '.wav' as file,
   (i %% 720) * 5.0::double as start_s, (i %% 720) * 5.0::double + 5 as end_s,
   [(hash(i * %d + k) %% 10000) / 1000.0 - 9.5 for k in range(%d)]::float[] as score from range(%d) t(i)]]):format(k, k,
   scored)))
for c = 1, k do -- one window of twenty is called
   model.calibration:set(c, 1, 1)
   model.calibration:set(c, 2, 0)
end
measure(("detections in %d windows"):format(scored), function()
   return assert(detect.find(scratch[1], model, {output = scratch[2]}))
end)
print(("%d detections"):format(sql.query("select count(*)::bigint as n from " .. sql.parquet(scratch[2]))[1].n))
