-- usage: bclua scripts/experiments/noise.lua [--run DIR] [--snr LIST | --sigma LIST] [--train] ...
-- Gaussian noise on the samples that the spectrogram layer gets, over a range of levels: loss, evaluation, finite or
-- not. On a trained network; with --train also as augmentation of trainings, one for each level and seed.
local array, cli = require "bclua.array", require "bclua.cli"
local experiment, fit = require "bclua.experiment", require "bclua.workflow.fit"
local noise, plot = require "bclua.workflow.experiments.noise", require "bclua.plot"
local sweep = require "bclua.experiment.sweep"
local trial, trials = require "bclua.workflow.experiments.trial", require "bclua.workflow.experiments.trials"

local parser = trials.options(experiment.parser("scripts/experiments/noise.lua",
   "What do loss and embedding become with noise on the input?", [[
Examples:
  bclua scripts/experiments/noise.lua --run runs/birds
  bclua scripts/experiments/noise.lua --run runs/birds --sigma 0.001,0.01,0.1,1,10 --precision f16
  bclua scripts/experiments/noise.lua --run runs/birds --train --seeds 2]]))
parser:option("--snr", "Levels in dB, of each window's own power over the noise.", "40,30,20,10,0,-10")
   :argname("LIST"):convert(cli.numbers("--snr", nil, -20))
parser:option("--sigma", "Deviations instead; full scale is 1."):argname("LIST")
   :convert(cli.numbers("--sigma", nil, 0))
parser:option("--checkpoint", "Default: the best, else the last, of the run."):argname("FILE")
parser:option("--precision", "How values are stored: f32, bf16, f16 or f64.", "f32"):argname("KIND")
   :convert(cli.choice("--precision", {"f32", "bf16", "f16", "f64"}))
parser:flag("--train", "Train with each of --snr, too; judged without noise.")
local o = trials.shard(parser):parse()
if o.shard and not o.train then parser:error("--shard shares out the trainings of --train") end
local _ <close> = cli.command("noise")

local about, message = trial.open(o.run)
local checkpoint = o.checkpoint
if about and not checkpoint then checkpoint, message = noise.checkpoint(o.run) end
if not (about and checkpoint) then cli.finish("noise", nil, message) end
local c, kind, seeds = about.settings, o.sigma and "sigma" or "snr", experiment.seeds(o)
local settings = {checkpoint = checkpoint, kind = kind, levels = o.sigma or o.snr, seeds = seeds,
   precision = o.precision, windows = c.evaluate.windows, motifs = c.evaluate.motifs, splits = c.evaluate.splits,
   loss = {loss = c.fit.loss, margin = fit.margin(c.fit), l2 = c.fit.l2, temperature = c.fit.temperature,
      batch_size = c.fit.batch_size}, validation_triplets = math.max(1, c.fit.validation_triplets)}
local e = experiment.open{run = o.run, name = "noise", title = "Noise on the input", settings = settings}
settings.motif, settings.dataset_root, settings.triplets = about.motif, about.root, o.run .. "/triplets.parquet"
settings.folder = assert(e:path("windows"))
local r
if o.train then -- first, as shards that leave the rest to others end here
   r, message = trials.run{run = o.run, path = assert(e:path("trials.parquet")), name = "noise", options = o,
      grid = {snr = o.snr}, seeds = seeds, changes = function(p)
         local others = c.fit.augment:gsub("[%w_.]*noise=[^,]*,?", ""):gsub("[%w_.]*snr=[^,]*,?", "")
         return {fit = {augment = ("noise=%g:%g,%s"):format(p.snr, p.snr, others):gsub(",$", "")}}
      end}
   if not r then cli.finish("noise", nil, message) end
   trials.leave_to_others("noise", r)
end
local rows, no_loss = noise.run(settings)
if not rows then cli.finish("noise", nil, no_loss) end
if no_loss then e:warn("no loss: " .. no_loss) end
if rows[1].message then e:warn("no accuracy: " .. rows[1].message) end

local unit = kind == "snr" and "signal to noise (dB)" or "deviation of the noise"
e:say(("On %s, %s; the first row is without noise. Drift: how far embeddings move, as a part of their spread; " ..
   "finite: share of embeddings that are."):format(checkpoint, unit))
local list = noise.summarise(rows)
e:table(list, {"noise", "loss", "ordered", "species", "species_deviation", "group", "drift", "finite", "seeds"})
local x, species, drift = {}, {}, {}
for i = 2, #list do
   x[i - 1], species[i - 1], drift[i - 1] = list[i].level, list[i].species or 0 / 0, list[i].drift
end
local function lines(y, label, is_level)
   local clean = array.full({#x}, is_level and list[1].species or 0, "f64")
   local series = {{x = x, y = y, title = "with noise"}, {x = x, y = clean, title = "without"}}
   return function(path) return plot.line(series, path, {xlabel = unit, ylabel = label, logx = kind == "sigma"}) end
end
e:picture("species.svg", "accuracy by species", lines(species, "accuracy", true))
e:picture("drift.svg", "how far embeddings move", lines(drift, "part of their spread"))

if r then
   e:say("Trained with noise of that level on every crop, judged without.")
   e:table(trials.table(r, e), nil, {name = "trained"})
   e:picture("trained.svg", "accuracy by species after training with noise", function(path)
      return sweep.plot(r, "snr", path, {xlabel = unit, ylabel = "accuracy"})
   end)
end
cli.finish("noise", e:close())
