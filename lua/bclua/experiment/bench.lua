--- Timing for the benchmarks.
-- @module bclua.experiment.bench
local check_options = require("bclua.options").check
local system = require "bclua.system"
local training_options = require "bclua.train.options"

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

-- n windows of noise that no threshold of the network treats as silence.
local function noise(n, samples, seed)
   local array = require "bclua.array"
   local a, x = array.full({n, samples}, 1e-3), seed
   for i = 1, n do
      local row = a[i]
      for k = 1, samples, 97 do
         x = (x * 1103515245 + 12345) % 2147483648
         row[k] = x / 2147483648 - 0.5
      end
   end
   return a
end

local MEMORY = {
   batch_size = training_options.memory.batch_size,
   precision = training_options.precision,
   recompute = training_options.recompute,
   widths = training_options.widths,
   steps = {"integer", least = 1, default = 2},
}

--- What a training step's memory is said to be, and what this process then takes: to be
-- called once in a process, for its peak is what is measured.
-- @tparam table options `batch_size`, `precision`, `recompute`, `widths`, `steps` (2)
-- @treturn table `planned` (see `network:memory`), `taken` (bytes), `cpu_s`
function bench.training_memory(options)
   local o = check_options(options, MEMORY)
   local net = require("bclua.tilenet").new{widths = o.widths, z = o.widths[4], precision = o.precision,
      recompute = o.recompute}
   local planned, batch = net:memory{batch_size = o.batch_size}, {}
   for i, role in ipairs{"anchor", "neighbor", "distant"} do batch[role] = noise(o.batch_size, net.samples, i) end
   local start = system.cpu_clock()
   for _ = 1, o.steps do assert(net:train_step(batch)) end
   return {planned = planned, taken = select(2, system.memory()), cpu_s = system.cpu_clock() - start}
end

return bench
