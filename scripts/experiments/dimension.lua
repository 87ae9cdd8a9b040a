-- usage: bclua scripts/experiments/dimension.lua [--run DIR] [--sizes LIST] [--species N] [--motifs K] ...
-- How large must an embedding be? The accuracy table of the paper: logistic regression on the motifs of three
-- species, mean and spread of ten splits by recording, for embeddings of 64 to 512 numbers.
local cli, experiment = require "bclua.cli", require "bclua.experiment"
local dimension, sweep = require "bclua.workflow.experiments.dimension", require "bclua.experiment.sweep"
local trial, trials = require "bclua.workflow.experiments.trial", require "bclua.workflow.experiments.trials"

local parser = experiment.parser("scripts/experiments/dimension.lua",
   "Train embeddings of several sizes; how well do they tell three species apart?", [[
Each size is trained once for each seed, with the settings of the run. The species are
those with most recordings; only recordings that were kept away from training are judged.
A second call goes on where the first was stopped.
Examples:
  bclua scripts/experiments/dimension.lua --run runs/birds
  bclua scripts/experiments/dimension.lua --run runs/birds --sizes 64,512 --rounds 4 --seeds 3]], {seeds = 1})
parser:option("--sizes", "Sizes of the embedding.", "64,128,256,512"):argname("LIST")
   :convert(cli.integers("--sizes", nil, 1))
parser:option("--species", "How many.", "3"):argname("N"):convert(cli.integer("--species", 2))
parser:option("--motifs", "About this many of their motif windows, if there are.", "300"):argname("K")
   :convert(cli.integer("--motifs", 1))
parser:option("--splits", "Into training and test recordings of the regression.", "10"):argname("N")
   :convert(cli.integer("--splits", 1))
parser:option("--holdout", "Share of recordings kept away from training.", "0.5"):argname("SHARE")
   :convert(cli.number("--holdout", 0.01, 0.5))
parser:option("--workers", "Trainings at a time; they share the threads.", "1"):argname("N")
   :convert(cli.integer("--workers", 1))
local o = trials.shard(trials.options(parser)):parse()
local _ <close> = cli.command("dimension")

local about, message = trial.open(o.run)
if not about then cli.finish("dimension", nil, message) end
local species
species, message = dimension.species(about.motif, o.species)
if not species then cli.finish("dimension", nil, message) end
local fixed = {run = o.run, species = species, motifs = o.motifs, splits = o.splits, config = about.settings,
   ["triplets.holdout"] = o.holdout, ["fit.max_rounds"] = o.rounds, ["fit.batches_per_round"] = o.batches}
local e = experiment.open{run = o.run, name = "dimension", title = "How large must an embedding be?",
   settings = {sizes = o.sizes, seeds = experiment.seeds(o), fixed = fixed}}

local found
found, message = sweep.run{path = e.folder .. "/trials.parquet", module = "bclua.workflow.experiments.dimension",
   name = "run", grid = {["network.z"] = o.sizes}, seeds = experiment.seeds(o), fixed = fixed, metric = "accuracy",
   maximise = true, workers = o.workers, force = o.force, retry = o.retry,
   shard = o.shard}
if not found then cli.finish("dimension", nil, message) end
trials.leave_to_others("dimension", found)
for _, row in ipairs(found.rows) do
   if row.error then e:warn(("size %s, seed %d: %s"):format(row["network.z"], row.seed, row.error)) end
end
local best = sweep.best(found)
if not best then cli.finish("dimension", nil, "no training came to its end: see the errors above") end

local r = best.rows[1]
e:say(("Logistic regression on %d motif windows of %d recordings of %s that training did not see; chance is %.3f. " ..
   "Accuracy is the mean over species, mean and standard deviation over %d splits by recording."):format(r.windows,
   r.recordings, table.concat(species, ", "), r.chance, o.splits))
e:say(("Best: %s numbers, %.3f ± %.3f; untrained %.3f, log-mel mean and deviation %.3f. The paper has 0.53 to " ..
   "0.54 for 64 to 512."):format(best.parameters["network.z"], best.mean, r.accuracy_spread, r.untrained, r.mel))
e:table(sweep.table(found, {metrics = {"accuracy", "accuracy_spread", "untrained", "mel", "species", "loss",
   "parameters"}}))
e:picture("accuracy.svg", "accuracy against the size of the embedding; bars: standard deviation over splits",
   function(path)
      return sweep.plot(found, "network.z", path, {spread = "accuracy_spread", xlabel = "size of the embedding",
         size = {700, 400}})
   end)
cli.finish("dimension", e:close())
