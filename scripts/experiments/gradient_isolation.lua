-- usage: bclua scripts/experiments/gradient_isolation.lua [--batch N] [--widths A,B,C,D] [--checkpoint FILE] ...
-- Is the gradient of one sample's output with respect to the other samples' inputs zero, and the own one
-- not? Asked of one network in training and in eval mode, and with group norm in place of batch norm.
local array, sampling = require "bclua.array", require "bclua.sampling"
local cli, experiment = require "bclua.cli", require "bclua.experiment"
local independence, nn = require "bclua.evaluate.batch_independence", require "bclua.nn"
local plot, tilenet = require "bclua.plot", require "bclua.tilenet"

local parser = experiment.parser("scripts/experiments/gradient_isolation.lua",
   "Does the output for a sample depend on the other samples of its batch, and through which layers?", [[
The network sees noise: no data is needed, --run is only where the results go. Each seed has other noise.
Examples:
  bclua scripts/experiments/gradient_isolation.lua
  bclua scripts/experiments/gradient_isolation.lua --checkpoint runs/demo/checkpoints/best.safetensors]], {seeds = 1})
parser:option("--batch", "Samples; rounded up to an even number.", "4"):argname("N")
   :convert(cli.integer("--batch", 4, 64))
parser:option("--widths", "Channels of the first four stages; the last is also the embedding's size.", "8,16,32,64")
   :argname("A,B,C,D"):convert(cli.rule("--widths", require("bclua.train.options").widths))
parser:option("--groups", "Of group norm: they must divide the widths.", "4"):argname("N")
   :convert(cli.integer("--groups", 1))
parser:option("--checkpoint", "Test this trained network, not a new one."):argname("FILE")
local o = parser:parse()
local _ <close> = cli.command("gradient_isolation")

local net, message = tilenet.new{widths = o.widths, z = o.widths[4], seed = o.seed}, nil
if o.checkpoint then net, message = tilenet.open(o.checkpoint) end
if not net then cli.finish("gradient_isolation", nil, message) end
local layers, about = tilenet.layers(net.options)
local ok, grouped = pcall(nn.network, independence.with_group_norm(layers, o.groups), about)
if not ok then cli.finish("gradient_isolation", nil, ("--groups %d: %s"):format(o.groups, grouped)) end

local n = o.batch + o.batch % 2
local e = experiment.open{run = o.run, name = "gradient_isolation", title = "Which layers mix the samples of a batch?",
   settings = {batch = n, groups = o.groups, seeds = experiment.seeds(o), checkpoint = o.checkpoint,
      network = net.options}}
local CASES = {{"batch norm, training", net, {mode = "train"}}, {"the same in two groups", net, {groups = 2}},
   {"the same in eval mode", net, {mode = "eval"}}, {"group norm, training", grouped, {mode = "train"}}}
local rows, kinds, map, advice = {}, {}, array.full({n, #CASES * (n + 1) - 1}, 0 / 0, "f64"), nil
for _, seed in ipairs(experiment.seeds(o)) do
   local batch = (sampling.generator(seed):normal(n * net.samples) * 0.1):reshape{n, net.samples}
   for k, case in ipairs(CASES) do
      local r = independence.test(case[2], batch, {mode = case[3].mode, groups = case[3].groups, seed = seed})
      rows[#rows + 1] = {seed = seed, network = case[1], own = r.own, others = r.others, ratio = r.ratio,
         mixing = #r.mixing, dead = #r.dead, passed = r.passed}
      for _, kind in ipairs(independence.by_kind(r)) do
         kind.seed, kind.network = seed, case[1]
         kinds[#kinds + 1] = kind
      end
      advice = advice or r.advice
      e:say(("%s: %s"):format(case[1], r.explanation))
      for i = 1, n do -- of the last seed
         for j = 1, n do map[i][(k - 1) * (n + 1) + j] = r.matrix[i][j] / math.max(r.matrix[i][i], 1e-300) end
      end
   end
end
if advice then e:say(advice) end
e:table(rows, {"seed", "network", "own", "others", "ratio", "mixing", "dead", "passed"})
local names, samples = {}, {}
for i = 1, n do samples[i] = i end
for i = 1, #CASES * (n + 1) - 1 do names[i] = "" end
for k, case in ipairs(CASES) do names[(k - 1) * (n + 1) + (n + 1) // 2] = case[1] end
e:picture("gradients.svg", "gradient of each sample's output (rows) with respect to each sample's input (columns), " ..
   "as a part of its own", function(path)
   return plot.heat(map, path, {xnames = names, ynames = samples, ylabel = "output of sample",
      label = "part of the own gradient", size = {900, 320}})
end)
e:table(kinds, {"seed", "network", "kind", "layers", "own", "others", "mixing", "dead"}, {name = "kinds"})
e:close()
