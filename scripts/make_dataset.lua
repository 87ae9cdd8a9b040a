-- usage: bclua make_dataset --output DIR [options]
-- Makes a data set of synthetic bird songs in the BirdCLEF layout.
local cli = require "bclua.cli"
local dataset = require "bclua.data.dataset"
local display = require "bclua.display"
local options_of = require "bclua.options"
local progress = require "bclua.progress"
local soundscapes = require "bclua.data.soundscapes"

local parser = cli.parser("make_dataset", "Make a data set of synthetic bird songs.",
   "Writes DIR/train_audio/<species>/<id>.ogg, DIR/taxonomy.csv and the true times, DIR/calls.csv.")
parser:option("--output", "Folder to make."):argname("DIR"):count(1)
cli.options(parser, dataset.options, "families species recordings short least_s most_s others sample_rate seed")
cli.options(parser, soundscapes.options, "soundscapes kinds least_calls most_calls song snr")
cli.threads(parser)
local o = parser:parse()
local _ <close> = cli.command("make_dataset")
if o.soundscapes then
   local made, why = soundscapes.make(o.output, options_of.subset(o, soundscapes.options))
   cli.finish("make_dataset", made, why)
   print(("%s: %s, %.0f s, %s"):format(o.output, display.count(made.recordings, "soundscape"), made.seconds,
      display.count(made.calls, "song")))
   os.exit(true, true)
end
if o.most_s < o.least_s then parser:error("--most is below --least") end

local bar
local options = options_of.subset(o, dataset.options)
function options.progress(done, total)
   bar = bar or progress.new("make_dataset", total, {unit = "recordings", kept = true})
   bar:update(done)
end
local result, message = dataset.make(o.output, options)
if bar then bar:finish() end
cli.finish("make_dataset", result, message)
print(("%s: %d species, %s, %.0f s, %s"):format(o.output, result.species,
   display.count(result.recordings, "recording"), result.seconds, display.count(result.calls, "song")))
