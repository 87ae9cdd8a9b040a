-- usage: bclua scripts/bench/sets.lua [FRAMES ...]
-- Sets of FRAMES (600, 3000, 12000) frames of noise of 32 dimensions, windows of 25: motiflets, motif sets, the left
-- profile frame by frame, and the consensus motif of five parts of it. Seconds of processor time.
require("bclua.cli").help_by_comment()
local consensus = require "bclua.consensus"
local sampling = require "bclua.sampling"
local stomp = require "bclua.stomp"
local system = require "bclua.system"

local DIMS, WINDOW, PARTS = 32, 25, 5
local counts = {}
for i, text in ipairs(arg) do counts[i] = assert(math.tointeger(tonumber(text)), "FRAMES: a whole number expected") end
if #counts == 0 then counts = {600, 3000, 12000} end

local function show(name, frames, cells, run)
   local start = os.clock()
   run()
   local seconds = os.clock() - start
   print(("%-22s %6d frames  %8.3f s  %7.1f Mcell/s"):format(name, frames, seconds, 1e-6 * cells / seconds))
end

-- Frame by frame, as a stream comes.
local function append_all(x, frames, enough)
   local stream <close> = stomp.incremental(DIMS, WINDOW, {enough = enough})
   for t = 1, frames do stream:append(x:slice(2, t, t)) end
end

print(("%d threads"):format(system.threads()))
for _, frames in ipairs(counts) do
   local x, n = sampling.generator(1):normal(DIMS * frames):reshape{DIMS, frames}, frames - WINDOW + 1
   local parts, each = {}, frames // PARTS
   for k = 1, PARTS do parts[k] = x:slice(2, (k - 1) * each + 1, k * each):copy() end
   local joined = PARTS * (PARTS - 1) * (each - WINDOW + 1) ^ 2
   show("self-join", frames, n ^ 2, function() stomp.self_join(x, WINDOW) end)
   show("motiflets, k to 10", frames, n ^ 2, function() stomp.motiflets(x, WINDOW, {k_max = 10}) end)
   show("motif sets", frames, n ^ 2, function() stomp.motif_sets(x, WINDOW, {radius = 1000}) end)
   show("incremental", frames, n ^ 2 / 2, function() append_all(x, frames) end)
   show("incremental, enough", frames, n ^ 2 / 2, function() append_all(x, frames, 1500) end)
   show("consensus of 5 parts", frames, joined, function() consensus.motif(parts, WINDOW) end)
end
