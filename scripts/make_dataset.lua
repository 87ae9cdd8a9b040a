-- usage: bclua scripts/make_dataset.lua --output DIR [options]
-- Makes a data set of synthetic bird songs in the BirdCLEF layout.
local cli = require "bclua.cli"
local dataset = require "bclua.data.dataset"
local progress = require "bclua.progress"

local default = dataset.defaults
local parser = cli.parser("scripts/make_dataset.lua", "Make a data set of synthetic bird songs.",
   "Writes DIR/train_audio/<species>/<id>.ogg, DIR/taxonomy.csv and the true times, DIR/calls.csv.")
parser:option("--output", "Folder to make."):argname("DIR"):count(1)
local function number(name, what, argument, fallback, kind, least, most)
   parser:option(name, what, tostring(fallback)):argname(argument):convert(kind(name, least, most))
end
number("--families", "Families, each with its style of song.", "N", default.families, cli.integer, 1, 8)
number("--species", "Species per family.", "N", default.species, cli.integer, 1, 9)
number("--recordings", "Recordings per species.", "N", default.recordings, cli.integer, 1, 900)
number("--short", "Species with one more recording, below 5 s.", "N", default.short, cli.integer, 0, 1000)
number("--least", "Length of the shortest of the others.", "S", default.least_s, cli.number, 12, 3600)
number("--most", "Length of the longest.", "S", default.most_s, cli.number, 12, 3600)
number("--sample-rate", "In Hz.", "HZ", default.sample_rate, cli.integer, 16000, 192000)
number("--seed", "Another seed gives other birds.", "N", default.seed, cli.integer, 0, 2 ^ 31)
cli.threads(parser)
local o = parser:parse()
local _ <close> = cli.command("make_dataset")
if o.most < o.least then parser:error("--most is below --least") end

local bar
local result, message = dataset.make(o.output, {families = o.families, species = o.species,
   recordings = o.recordings, short = o.short, least_s = o.least, most_s = o.most,
   sample_rate = o.sample_rate, seed = o.seed, progress = function(done, total)
      bar = bar or progress.new("make_dataset", total, {unit = "recordings", kept = true})
      bar:update(done)
   end})
if bar then bar:finish() end
cli.finish("make_dataset", result, message)
print(("%s: %d species, %d recordings, %.0f s, %d songs"):format(o.output, result.species, result.recordings,
   result.seconds, result.calls))
