-- usage: bclua scripts/bench/sets.lua [FRAMES ...]
-- Motiflets and motif sets of FRAMES (600, 3000, 12000) frames of 32 dimensions, windows of 25: seconds and rate.
require("bclua.cli").help_by_comment()
local bench = require "bclua.experiment.bench"
local sampling = require "bclua.sampling"
local stomp = require "bclua.stomp"
local system = require "bclua.system"

local DIMS, WINDOW = 32, 25
local counts = {}
for i, text in ipairs(arg) do counts[i] = assert(math.tointeger(tonumber(text)), "FRAMES: a whole number expected") end
if #counts == 0 then counts = {600, 3000, 12000} end

print(("%d threads"):format(system.threads()))
for _, frames in ipairs(counts) do
   local x, cells = sampling.generator(1):normal(DIMS * frames):reshape{DIMS, frames}, (frames - WINDOW + 1) ^ 2
   local seconds = bench.time(1, function() stomp.motiflets(x, WINDOW, {k_max = 10}) end)
   print(("motiflets, k to 10  %6d frames  %8.2f s  %7.1f Mcell/s"):format(frames, seconds, 1e-6 * cells / seconds))
   seconds = bench.time(1, function() stomp.motif_sets(x, WINDOW, {radius = 1000}) end)
   print(("motif sets          %6d frames  %8.2f s  %7.1f Mcell/s"):format(frames, seconds, 1e-6 * cells / seconds))
end
