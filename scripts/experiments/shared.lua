-- usage: bclua scripts/experiments/shared.lua --input motif.parquet [--windows L] [--least N]
-- Do the consensus motif and the contrast of half the recordings of a species find the other half?
local cli = require "bclua.cli"
local experiment = require "bclua.experiment"
local shared_trial = require "bclua.workflow.experiments.shared_trial"

local parser = experiment.parser("scripts/experiments/shared.lua",
   "Does what the recordings of a species have in common find others of it?", [[
Example:
  bclua scripts/experiments/shared.lua --input motif.parquet --windows 1,2,5]], {seeds = 1})
parser:option("--input", "Parquet file from `motif consolidate`."):argname("FILE"):count(1)
parser:option("--windows", "Seconds.", "2"):argname("LIST"):convert(cli.numbers("--windows", nil, 0.1))
parser:option("--least", "Recordings of a species.", "6"):argname("N"):convert(cli.integer("--least", 4))
local o = parser:parse()
local _ <close> = cli.command("shared")

local settings, rows = {input = o.input, windows_s = o.windows, least = o.least}, {}
for i, seconds in ipairs(o.windows) do
   local message
   rows[i], message = shared_trial.run{input = o.input, seconds = seconds, least = o.least}
   if not rows[i] then cli.finish("shared", nil, message) end
   rows[i].seconds = seconds
end
local e = experiment.open{run = o.run, name = "shared", title = "What do the recordings of a species have in common?",
   settings = settings}
e:say("ROC-AUC: the share of pairs of a recording of the species and another one in which the first is nearer.")
e:table(rows, {"seconds", "species", "trials", "motif", "consensus", "contrast"})
cli.finish("shared", e:close())
