-- usage: bclua scripts/experiments/sets.lua --data DIR [--features L] [--windows L] [--shares L] ...
-- Features x length of the window x share of the usual distance: which of them find the sets of repeated calls that
-- are known (of a data set with calls.csv), and how much their windows look like calls.
local cli = require "bclua.cli"
local experiment = require "bclua.experiment"
local features = require "bclua.workflow.features"
local set_sweep = require "bclua.workflow.experiments.set_sweep"

local parser = experiment.parser("scripts/experiments/sets.lua", "Which settings find the sets of repeated calls?", [[
Example:
  bclua make_dataset --output soundscapes --soundscapes 8 --snr 0
  bclua scripts/experiments/sets.lua --data soundscapes --windows 1.5,2,3]], {seeds = 1})
parser:option("--data", "Folder of recordings."):argname("DIR"):count(1)
parser:option("--features", "What windows are compared by.", "mel"):argname("LIST")
   :convert(cli.choices("--features", features.names))
parser:option("--windows", "Seconds.", "2"):argname("LIST"):convert(cli.numbers("--windows", nil, 0.1))
parser:option("--shares", "Of the usual distance.", "0.15,0.2,0.25,0.3"):argname("LIST")
   :convert(cli.numbers("--shares", nil, 0.001))
local o = parser:parse()
local _ <close> = cli.command("sets")

local settings = {data = o.data, features = o.features, windows_s = o.windows, shares = o.shares}
local r, message = set_sweep.run(settings)
if not r then cli.finish("sets", nil, message) end
local e = experiment.open{run = o.run, name = "sets", title = "Which settings find sets of calls?", settings = settings}
e:say(("%d recordings, %d failed. rank: mean over windows, of all windows of the recording with a lower call score.")
   :format(r.recordings, #r.failures))
local columns = {"features", "window_s", "share", "recordings", "sets", "found", "cover", "rank"}
if r.has_calls then table.move({"precision", "recall", "f1"}, 1, 3, #columns + 1, columns) end
e:table(r.rows, columns)
cli.finish("sets", e:close())
