-- usage: bclua scripts/experiments/shift.lua [--run DIR] [--shifts LIST] [--seeds N] [--rounds N] ...
-- What does it contribute that crops shift in time? A training for each shift and seed, all else as in the run;
-- windows are cut from the recordings as they are needed. From tiles, a shift of s needs 5 + 2 s seconds.
local cli, experiment = require "bclua.cli", require "bclua.experiment"
local sweep = require "bclua.experiment.sweep"
local trial, trials = require "bclua.workflow.experiments.trial", require "bclua.workflow.experiments.trials"

local parser = trials.options(experiment.parser("scripts/experiments/shift.lua",
   "What does the time shift of crops contribute?", [[
Examples:
  bclua scripts/experiments/shift.lua --run runs/birds
  bclua scripts/experiments/shift.lua --run runs/birds --shifts 0,1,4 --seeds 5 --rounds 4]]))
parser:option("--shifts", "Seconds before or behind the window's place, at most.", "0,0.25,0.5,1,2"):argname("LIST")
   :convert(cli.numbers("--shifts", nil, 0))
local o = trials.shard(parser):parse()
local _ <close> = cli.command("shift")

local about, message = trial.open(o.run)
if not about then cli.finish("shift", nil, message) end
local others = {} -- what else the run does to crops
for part in about.settings.fit.augment:gmatch("[^,]+") do
   if not part:find("shift=", 1, true) then others[#others + 1] = part end
end
local e = experiment.open{run = o.run, name = "shift", title = "What the time shift contributes", settings = {
   shifts = o.shifts, seeds = experiment.seeds(o), rounds = o.rounds, batches = o.batches, others = others,
   config = about.settings}}
local r
r, message = trials.run{run = o.run, path = assert(e:path("trials.parquet")), name = "shift", options = o,
   grid = {shift = o.shifts}, seeds = experiment.seeds(o), changes = function(p)
      return {fit = {augment = table.concat({("shift=%g"):format(p.shift), table.unpack(others)}, ",")}}
   end}
if not r then cli.finish("shift", nil, message) end
trials.leave_to_others("shift", r)

e:say("Accuracies are of recordings that training did not see, mean and deviation over seeds; ordered is the share " ..
   "of their triplets whose neighbour is nearer than the distant one; tile_s the tiles that hold such shifts.")
local rows = trials.table(r, e)
for _, row in ipairs(rows) do row.tile_s = 5 + 2 * row.shift end
table.insert(rows.columns, 2, "tile_s")
e:table(rows)
local best = assert(sweep.best(r))
e:say(("Best: a shift of %g s, species %.3f."):format(best.parameters.shift, best.mean))
e:picture("species.svg", "accuracy by species over the shift (s), deviation over seeds", function(path)
   return sweep.plot(r, "shift", path, {xlabel = "shift (s)", ylabel = "accuracy"})
end)
cli.finish("shift", e:close())
