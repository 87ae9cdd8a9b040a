-- usage: bclua scripts/experiments/partition.lua [--run DIR] [--seeds N] [--rounds N] [--batches N] ...
-- What does each of the four partitions of triplets contribute? The neighbour is of the anchor's own recording (self)
-- or of its group, the distant window a motif or any clip: each alone, each left out, all.
local cli, experiment = require "bclua.cli", require "bclua.experiment"
local plot = require "bclua.plot"
local trial, trials = require "bclua.workflow.experiments.trial", require "bclua.workflow.experiments.trials"

local parser = trials.options(experiment.parser("scripts/experiments/partition.lua",
   "What does each partition of the triplets contribute?", [[
Example:
  bclua scripts/experiments/partition.lua --run runs/birds --seeds 5]]))
local o = trials.shard(parser):parse()
local _ <close> = cli.command("partition")

local about, message = trial.open(o.run)
if not about then cli.finish("partition", nil, message) end
local PARTITIONS = {"self, motif", "self, clip", "group, motif", "group, clip"}
local names, weights = {"all"}, {all = {1, 1, 1, 1}}
for _, only in ipairs{true, false} do
   for i, partition in ipairs(PARTITIONS) do
      local name, w = (only and "only " or "without ") .. partition, {}
      for k = 1, 4 do w[k] = (k == i) == only and 1 or 0 end
      names[#names + 1], weights[name] = name, w
   end
end
local e = experiment.open{run = o.run, name = "partition", title = "What each partition of the triplets contributes",
   settings = {mixtures = weights, seeds = experiment.seeds(o), rounds = o.rounds, batches = o.batches,
   config = about.settings}}
local r
r, message = trials.run{run = o.run, path = assert(e:path("trials.parquet")), name = "partition", options = o,
   grid = {partitions = names}, seeds = experiment.seeds(o), changes = function(p)
      return {triplets = {mixture = weights[p.partitions]}}
   end}
if not r then cli.finish("partition", nil, message) end
trials.leave_to_others("partition", r)

e:say("Accuracies are of recordings that training did not see, mean and deviation over seeds. Loss, validation and " ..
   "ordered are of each mixture's own triplets and do not compare; gain is species minus that of all partitions.")
local rows = trials.table(r, e)
local values, labels = {}, {}
for i, row in ipairs(rows) do
   row.gain = row.species and rows[1].species and row.species - rows[1].species
   labels[i], values[i] = row.partitions, row.species or 0
end
table.insert(rows.columns, 3, "gain")
e:table(rows)
e:picture("species.svg", "accuracy by species, mean over seeds", function(path)
   return plot.bar(labels, values, path, {xlabel = "accuracy"})
end)
cli.finish("partition", e:close())
