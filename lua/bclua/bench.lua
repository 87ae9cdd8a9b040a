--- Timing for the benchmarks.
-- @module bclua.bench
local system = require "bclua.system"

local bench = {}

--- Run a function several times.
-- @tparam integer runs
-- @tparam function run
-- @treturn number the shortest wall-clock time, in seconds
-- @treturn number the median (of an even number the lower middle one)
function bench.time(runs, run)
   local times = {}
   for k = 1, runs do
      local start = system.clock()
      run()
      times[k] = system.clock() - start
   end
   table.sort(times)
   return times[1], times[(runs + 1) // 2]
end

return bench
