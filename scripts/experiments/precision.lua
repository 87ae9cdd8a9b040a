-- usage: bclua scripts/experiments/precision.lua [--run DIR] [--steps N] [--lr X] [--precision LIST] ...
-- The same training in f32, bf16 and f16 on the same batches: time, memory, loss, steps left out, and
-- which layers' values f16 cannot hold.
local batches = require "bclua.workflow.experiments.batches"
local cli, experiment = require "bclua.cli", require "bclua.experiment"
local plot, progress = require "bclua.plot", require "bclua.progress"
local precision_test, tilenet = require "bclua.experiment.precision_test", require "bclua.tilenet"

local parser = batches.options(experiment.parser("scripts/experiments/precision.lua",
   "Training in several precisions, side by side.", [[
Each seed is a training of its own, with other weights and other batches. Examples:
  bclua scripts/experiments/precision.lua --run runs/demo
  bclua scripts/experiments/precision.lua --run runs/demo --steps 300 --seeds 3 --precision f32,f16]], {seeds = 1}),
   {batch_size = 16})
parser:option("--steps", "Steps of training.", "60"):argname("N"):convert(cli.integer("--steps", 1, 1000000))
parser:option("--lr", "Learning rate.", "1e-3"):argname("X"):convert(cli.number("--lr", 0, 1e6))
parser:option("--precision", "One or more of f32, bf16, f16.", "f32,bf16,f16"):argname("LIST")
   :convert(cli.choices("--precision", {"f32", "bf16", "f16"}))
local o = parser:parse()
local _ <close> = cli.command("precision")
local function fail(message) cli.finish("precision", nil, message) end

local b, message = batches.open{run = o.run, triplets = o.triplets, tiles = o.tiles, dataset_root = o.dataset_root,
   batch_size = o.batch_size, widths = o.widths, dim = o.dim}
if not b then fail(message) end
local seeds = experiment.seeds(o)
local e = experiment.open{run = o.run, name = "precision", title = "Training in several precisions", settings = {
   seeds = seeds, steps = o.steps, lr = o.lr, precision = o.precision, batches = b.settings, step = b.step}}

local summary, rows, ranges, curve = {}, {}, {}, {step = {}}
local function add(list, more, seed)
   for _, row in ipairs(more) do
      row.seed = seed
      list[#list + 1] = row
   end
end
for _, seed in ipairs(seeds) do
   local source <close>, why = b.loader(seed)
   if not source then fail(why) end
   b.network.seed = seed
   local bar = progress.new(("seed %d"):format(seed), o.steps, {unit = "steps"})
   local r
   r, why = precision_test.run(function(precision)
      b.network.precision = precision
      return tilenet.new(b.network)
   end, source, {precisions = o.precision, steps = o.steps, lr = o.lr, step = b.step,
      on_step = function(row) bar:update(row.step, ("%s %.4g"):format(row.precision, row.loss)) end})
   if not r then fail(why) end
   bar:finish()
   add(summary, r.summary, seed)
   add(rows, r.rows, seed)
   if seed == o.seed then ranges = r.ranges end
end
for k = 1, o.steps do curve.step[k] = k end
for _, precision in ipairs(o.precision) do curve[precision] = precision_test.losses(rows, precision, o.steps) end
for _, s in ipairs(summary) do
   if s.ended then e:say(("%s, seed %d: ended after %d steps: %s"):format(s.precision, s.seed, s.steps, s.ended)) end
end
e:table(summary, {"seed", "precision", "steps", "step_ms", "median_ms", "cpu_ms", "held_mb", "loss_start", "loss_end",
   "skipped", "loss_scale"})
e:picture("loss.svg", "loss, mean of the seeds: pale each step, over it the mean of those around it", function(path)
   return plot.curve(curve, path, {y = o.precision, ylabel = "loss"})
end)
e:table(rows, {"seed", "precision", "step", "loss", "skipped", "loss_scale", "seconds"}, {name = "steps", limit = 6})
e:say("Ranges: the largest magnitudes, and the shares that f16 loses, too large (over) or too small (under).")
e:table(ranges, precision_test.columns, {name = "ranges", limit = 4})
e:say(("In %s those that lose most:"):format(o.precision[1]))
e:table(precision_test.losing(ranges, o.precision[1], 10), precision_test.columns, {name = "losing"})
e:picture("ranges.svg", "the largest gradient of each layer's values, and what f16 can hold", function(path)
   return plot.line(precision_test.range_lines(ranges), path, {logy = true, xlabel = "layer",
      ylabel = "largest gradient"})
end)
e:close()
