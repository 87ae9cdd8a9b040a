-- usage: bclua scripts/experiments/protocol.lua [--run DIR] [--set NAME=VALUE]... [--name NAME] [--against NAME] ...
-- How good is a training, and is one better than another? Trainings on five choices of recordings and of species, with
-- two seeds each, judged beside rivals that need none; differences are of pairs, with an interval.
local cli, experiment = require "bclua.cli", require "bclua.experiment"
local protocol = require "bclua.workflow.experiments.protocol"
local trial = require "bclua.workflow.experiments.trial"
local trials = require "bclua.workflow.experiments.trials"

local parser = trials.options(experiment.parser("scripts/experiments/protocol.lua",
   "How good is a training, and is it better than another?", [[
Examples:
  bclua scripts/experiments/protocol.lua --run runs/birds
  bclua scripts/experiments/protocol.lua --run runs/birds --set fit.loss=supcon --name supcon --against protocol]],
   {seeds = 2}))
parser:option("--set", "A setting of the pipeline that is not the run's, as fit.loss=supcon; several.")
   :argname("NAME=VALUE"):count("*"):convert(protocol.setting)
parser:option("--name", "Of this training; its results are in RUN/experiments/NAME.", "protocol"):argname("NAME")
parser:option("--against", "Name of an earlier one, with the same splits and seeds, to compare it with.")
   :argname("NAME")
parser:option("--splits", "Choices of recordings, and of species, that are kept away.", "5"):argname("N")
   :convert(cli.integer("--splits", 1, 1000))
parser:option("--windows", "What is judged: best (likely calls), motif or all.", "best")
   :choices(require("bclua.workflow.evaluation_set").kinds)
local o = trials.shard(parser):parse()
local _ <close> = cli.command("protocol")

local set = {}
for _, setting in ipairs(o.set) do set[setting.name] = setting.value end
local about, message = trial.open(o.run)
if not about then cli.finish("protocol", nil, message) end
local e = experiment.open{run = o.run, name = o.name, title = "How good the training is: " .. o.name, settings = {
   set = set, splits = o.splits, seeds = experiment.seeds(o), windows = o.windows, rounds = o.rounds,
   batches = o.batches, config = about.settings}}
local r
r, message = protocol.trials{run = o.run, path = assert(e:path("trials.parquet")), set = set, splits = o.splits,
   seeds = experiment.seeds(o), windows = o.windows, options = o}
if not r then cli.finish("protocol", nil, message) end
trials.leave_to_others("protocol", r)
cli.finish("protocol", require("bclua.workflow.experiments.protocol_verdicts").tell(e, r.rows, o.against))
cli.finish("protocol", e:close())
