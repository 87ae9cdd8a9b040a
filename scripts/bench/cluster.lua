-- usage: bclua scripts/bench/cluster.lua [ROWS ...]
-- Clusters by density of ROWS (5000, 20000, 50000) rows of 64 values, a quarter of them noise: seconds and rate. A pair
-- of rows counts once. And a map of the first number of ROWS.
require("bclua.cli").help_by_comment()
local bench = require "bclua.experiment.bench"
local cluster = require "bclua.cluster"
local sampling = require "bclua.sampling"
local system = require "bclua.system"

local COLUMNS, CLOUDS = 64, 20
local counts = {}
for i, text in ipairs(arg) do counts[i] = assert(tonumber(text), "ROWS: a number expected") end
if #counts == 0 then counts = {5000, 20000, 50000} end

local function clouds(rows)
   local g = sampling.generator(1)
   local x = g:normal(rows * COLUMNS):copy("f64"):reshape{rows, COLUMNS}
   local centre = g:normal(CLOUDS * COLUMNS):copy("f64"):reshape{CLOUDS, COLUMNS}
   for i = 1, rows do
      if i % 4 > 0 then x[i]:fill(x[i] * 0.3 + centre[i % CLOUDS + 1] * 2) end
   end
   return x
end

print(("instructions: %s; %d threads"):format(system.instructions(), system.threads()))
for _, rows in ipairs(counts) do
   local x, found = clouds(math.tointeger(rows)), nil
   collectgarbage()
   local seconds = bench.time(1, function() found = cluster.hdbscan(x, {least = 10}) end)
   print(("hdbscan %6d x %d  %8.2f s  %7.1f Mpair/s  %d clusters"):format(rows, COLUMNS, seconds,
      1e-6 * rows ^ 2 / 2 / seconds, #found.sizes))
end
do
   local x = clouds(math.tointeger(counts[1]))
   print(("tsne    %6d x %d  %8.2f s"):format(counts[1], COLUMNS, bench.time(1, function() cluster.tsne(x) end)))
end
