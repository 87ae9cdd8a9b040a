-- usage: bclua scripts/experiments/learning_rate.lua [--run DIR] [--least X] [--most X] [--steps N] ...
-- Which learning rate? The loss of some training steps while the rate grows from step to step, over several
-- seeds; a good rate is where it falls fastest, or a tenth of where it is least.
local batches = require "bclua.workflow.experiments.batches"
local cli, experiment = require "bclua.cli", require "bclua.experiment"
local plot, progress = require "bclua.plot", require "bclua.progress"
local rate_test, system = require "bclua.experiment.rate_test", require "bclua.system"
local tilenet = require "bclua.tilenet"

local parser = batches.options(experiment.parser("scripts/experiments/learning_rate.lua",
   "A learning-rate range test.", [[
Each seed has other batches; all sweeps begin with the same weights. Examples:
  bclua scripts/experiments/learning_rate.lua --run runs/demo
  bclua scripts/experiments/learning_rate.lua --run runs/demo --precision f32,bf16,f16 --seeds 2]]), {batch_size = 16})
parser:option("--least", "Rate of the first step.", "1e-5"):argname("X"):convert(cli.number("--least", 1e-12))
parser:option("--most", "Rate of the last step.", "1"):argname("X"):convert(cli.number("--most", 1e-12, 1e6))
parser:option("--steps", "Steps of a sweep.", "200"):argname("N"):convert(cli.integer("--steps", 10, 100000))
parser:option("--smooth", "Losses that each mean is over (default: a tenth of the steps)."):argname("N")
   :convert(cli.integer("--smooth", 0))
parser:option("--precision", "One or more of f32, bf16, f16.", "f32"):argname("LIST")
   :convert(cli.choices("--precision", {"f32", "bf16", "f16"}))
local o = parser:parse()
local _ <close> = cli.command("learning_rate")
local function fail(message) cli.finish("learning_rate", nil, message) end
if o.most <= o.least then fail(("--most %g must be above --least %g"):format(o.most, o.least)) end

local b, message = batches.open{run = o.run, triplets = o.triplets, tiles = o.tiles, dataset_root = o.dataset_root,
   batch_size = o.batch_size, widths = o.widths, dim = o.dim}
if not b then fail(message) end
local seeds = experiment.seeds(o)
local e = experiment.open{run = o.run, name = "learning_rate", title = "Learning-rate test", settings = {seeds = seeds,
   least = o.least, most = o.most, steps = o.steps, smooth = o.smooth, precision = o.precision,
   batches = b.settings, step = b.step}}

local summary, rows, results, smooth, falls = {}, {}, {}, 1, false
for _, precision in ipairs(o.precision) do
   b.network.seed, b.network.precision = o.seed, precision
   local net, start = tilenet.new(b.network), system.clock()
   local bar, done = progress.new(precision, #seeds * o.steps, {unit = "steps"}), 0
   local r, why = rate_test.run(net, b.loader, {least = o.least, most = o.most, steps = o.steps, smooth = o.smooth,
      seeds = seeds, step = b.step, on_step = function()
         done = done + 1
         bar:update(done)
      end})
   net:close()
   if not r then fail(why) end
   bar:finish()
   e:say(("%s: %s"):format(precision, rate_test.text(r)))
   local skipped = 0
   for _, sweep in ipairs(r.sweeps) do
      skipped = skipped + sweep.skipped
      local ended = sweep.ended
      if ended then e:say(("Seed %d ended at %.2g: %s"):format(sweep.seed, ended.learning_rate, ended.message)) end
   end
   for _, row in ipairs(rate_test.rows(r)) do
      row.precision = precision
      rows[#rows + 1] = row
   end
   summary[#summary + 1] = {precision = precision, steepest = r.steepest, minimum = r.minimum, tenth = r.tenth,
      rates = #r.loss, skipped = skipped, seconds = system.clock() - start}
   results[precision], smooth, falls = r, r.smooth, falls or r.falls
end
e:table(summary, {"precision", "steepest", "minimum", "tenth", "rates", "skipped", "seconds"})
e:table(rows, {"precision", "seed", "step", "learning_rate", "loss"}, {name = "sweeps", limit = 6})
e:picture("sweep.svg", "loss over the rate, mean of the seeds: pale each step, over it the mean of those around it",
   function(path)
      return plot.curve(rate_test.columns(results), path, {x = "learning_rate", y = o.precision, logx = true,
         test = falls, smooth = smooth, ylabel = "loss"})
   end)
e:close()
