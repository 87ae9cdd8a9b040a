-- usage: bclua pipeline [--data DIR] [--run DIR] [--config FILE.lua]
-- The whole job: recordings in, an embedding and a report out.
local advice = require "bclua.workflow.evaluate.advice"
local cli = require "bclua.cli"
local display = require "bclua.display"
local evaluate = require "bclua.workflow.evaluate"
local pipeline = require "bclua.workflow.pipeline"
local progress = require "bclua.progress"

local parser = cli.parser("pipeline", "From a folder of recordings to a trained embedding and a report.", [[
A second run skips what is finished and retries what failed. Without --data, a small
synthetic data set is made. The configuration file returns the settings that are to
differ from the defaults (doc/settings.md):
  return {triplets = {samples = 5000}, fit = {batch_size = 32, max_rounds = 20}}
What the folders are, a CSV about the recordings and the groups of triplets:
  return {data = {layout = "site", metadata = "sites.csv", group = "habitat"}}
Examples:
  bclua pipeline --data birds
  bclua pipeline --data birds --run runs/wide --config wide.lua]])
parser:option("--data", "Folder of recordings: train_audio/SPECIES/ID.ogg and a taxonomy CSV, SPECIES/ID.ogg, " ..
   "SITE/DATE/ID.wav, or ID.wav."):argname("DIR")
parser:option("--run", "Folder for everything that is made (default: runs/NAME of the data)."):argname("DIR")
parser:option("--config", "Lua file that returns a table of settings."):argname("FILE")
cli.options(parser, pipeline.hearing, "sample_rate channel fmin fmax")
cli.verbose(cli.threads(cli.outcome(parser)))
local o = parser:parse()
local _ <close> = cli.command("pipeline")

local command = {"bclua", arg[0], table.unpack(arg)}
local run, message = pipeline.run({data = o.data, run = o.run, config = o.config, force = o.force,
   sample_rate = o.sample_rate, channel = o.channel, fmin = o.fmin, fmax = o.fmax,
   command = table.concat(command, " ")})
if not run then cli.finish("pipeline", run, message) end
local times = {}
for i, t in ipairs(run.times) do
   times[i] = ("%s %s"):format(t.step, progress.duration(t.seconds)):gsub(" ", "\u{A0}") -- a line does not end in it
end
print((display.wrap(table.concat(times, ", "), progress.columns() or 80):gsub("\u{A0}", " ")))
if run.evaluation then
   if #run.failures > 0 then print(("%d failed: %s/failures.csv"):format(#run.failures, run.folder)) end
   print(progress.verbose and evaluate.text(run.evaluation) or
      display.wrap(evaluate.verdict(run.evaluation), progress.columns() or 80))
   for _, help in ipairs(advice.of(run)) do print(display.line("what may help: " .. help)) end
else
   if #run.failures > 0 then print(("%d failed: %s/failures.csv"):format(#run.failures, run.folder)) end
   print("no evaluation: " .. display.line(tostring(run.evaluation_message)))
end
print("report: " .. run.report)
cli.finish("pipeline", run, nil, o)
