-- usage: bclua scripts/experiments/loop.lua [HOURS [FAMILIES [SPECIES [QUESTIONS]]]]
-- How many answers does it take to find a call? Soundscapes of HOURS (1), of FAMILIES (4) with SPECIES (1) each, a main
-- one and two others in each recording of 30 s, as statistics of log-mel bands; three examples of each species, drawn
-- at random, then up to QUESTIONS (50), asked as `browse` asks them and answered from the truth. Average precision of
-- all windows that were not asked about.
require("bclua.cli").help_by_comment()
local active = require "bclua.classifier.active"
local soundscapes = require "bclua.workflow.experiments.soundscapes"
local system = require "bclua.system"

local hours, families, species = tonumber(arg[1]) or 1, tonumber(arg[2]) or 4, tonumber(arg[3]) or 1
local questions = tonumber(arg[4]) or 50

local start = system.clock()
local x, list, of = soundscapes.make{families = families, species = species, short = 0, least_s = 30, most_s = 30,
   others = 2, sample_rate = 16000, recordings = math.max(1, math.floor(hours * 120 / families / species + 0.5))}
print(("%d windows, made in %.0f s"):format(#of, system.clock() - start))
print("species  windows  examples alone  half of the questions  all  yes no unsure  s")
local sum, least = 0, 1
for _, one in ipairs(list) do
   local own = 0
   for i = 1, #of do own = own + (one.truth[i] == "yes" and 1 or 0) end
   start = system.clock()
   local steps = active.replay(x, one.truth, {questions = questions, skip = soundscapes.neighbours(of)})
   local last = steps[#steps]
   sum, least = sum + last.precision, math.min(least, last.precision)
   print(("%s  %d  %.3f  %.3f  %.3f  %d %d %d  %.1f"):format(one.name, own, steps[1].precision,
      steps[(#steps + 1) // 2].precision, last.precision, last.yes, last.no, last.unsure, system.clock() - start))
end
print(("mean %.3f, least %.3f"):format(sum / #list, least))
