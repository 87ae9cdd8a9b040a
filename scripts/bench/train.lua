-- usage: bclua scripts/bench/train.lua [REPEATS [BATCH [PRECISION]]]
-- Speed of training and of encoding: a whole step (forward for three roles,
-- loss, backward, AdamW) and eval mode, the network that the pipeline trains by
-- itself (encoding also as it is read when training is over) and the full one,
-- on all threads and on one. BATCH: triplets (16 and 8).
-- Best and median of REPEATS (5), by wall clock; and per second of processor time
-- (best), which says more on a machine that others use too.
require("bclua.cli").help_by_comment()
local array = require "bclua.array"
local bench = require "bclua.experiment.bench"
local pipeline = require "bclua.workflow.pipeline"
local system = require "bclua.system"
local tilenet = require "bclua.tilenet"

local SIZES = {
   {name = "default", batch = 16, network = pipeline.defaults.network,
    loss = pipeline.defaults.fit.loss, readouts = {"stages", "kernels"}},
   {name = "full", batch = 8, network = {widths = {64, 128, 256, 512}, z = 512}},
}

-- Noise, so that no value is denormal and no ReLU is idle.
local function noise(n, samples, seed)
   local a, x = array.zeros{n, samples}, seed
   for i = 1, n do
      for k = 1, samples, 7 do
         x = (x * 1103515245 + 12345) % 2147483648
         a:set(i, k, x / 2147483648 - 0.5)
      end
   end
   return a
end

local function time(repeats, work)
   local cpu = math.huge
   work() -- lays out the plan and warms the caches
   local best, median = bench.time(repeats, function()
      local start = system.cpu_clock()
      work()
      cpu = math.min(cpu, system.cpu_clock() - start)
   end)
   return best, median, cpu
end

local function print_profile(net)
   local kinds, total = net:profile(), 0
   for _, k in pairs(kinds) do total = total + k.forward + k.backward end
   local names = {}
   for name in pairs(kinds) do names[#names + 1] = name end
   table.sort(names, function(a, b)
      return kinds[a].forward + kinds[a].backward > kinds[b].forward + kinds[b].backward
   end)
   for _, name in ipairs(names) do
      local k = kinds[name]
      if k.forward + k.backward > 0 then
         print(("   %-13s forward %5.1f %%  backward %5.1f %%"):format(name, 100 * k.forward / total,
            100 * k.backward / total))
      end
   end
end

local function encode(label, net, windows, repeats)
   local n = #windows
   local best, median, cpu = time(repeats, function() net:forward(windows, {batch_size = n}) end)
   print(("%s  n=%d  best %8.1f ms  median %8.1f ms  %6.2f windows/s  %6.2f per CPU second"):format(label, n,
      best * 1e3, median * 1e3, n / median, n / cpu))
   net:close()
end

local function measure(size, threads, repeats, batch, precision)
   local options = {threads = threads, precision = precision}
   for key, value in pairs(size.network) do options[key] = value end
   local net, roles, step = tilenet.new(options), {}, {loss = size.loss}
   for i, role in ipairs{"anchor", "neighbor", "distant"} do roles[role] = noise(batch, net.samples, i) end
   local memory = net:summary{batch_size = batch}.memory
   local best, median, cpu = time(repeats, function() assert(net:train_step(roles, step)) end)
   local label = ("%-7s %d thread%s"):format(size.name, threads, threads == 1 and " " or "s")
   print(("%s train  B=%d  best %8.1f ms  median %8.1f ms  %6.2f triplets/s  %6.2f per CPU second  arena %5.1f MB per "
      .. "triplet"):format(label, batch, best * 1e3, median * 1e3, batch / median, batch / cpu,
      memory.arena / batch / 1e6))
   print_profile(net)
   local windows = array.concat{roles.anchor, roles.neighbor, roles.distant}
   encode(label .. " encode", net, windows, repeats)
   options.projection = 0
   for _, readout in ipairs(size.readouts or {}) do
      options.readout = readout
      encode(("%s encode, read from %s"):format(label, readout), tilenet.new(options), windows, repeats)
   end
end

local repeats, batch, precision = tonumber(arg[1]) or 5, tonumber(arg[2]), arg[3] or "f32"
local all = system.threads()
print(("bclua %s, %d threads, %s, median of %d"):format(system.version(), all, precision, repeats))
for _, size in ipairs(SIZES) do
   for threads = all, 1, all > 1 and 1 - all or -1 do
      measure(size, threads, repeats, batch or size.batch, precision)
   end
end
print(("peak memory of the process: %.0f MB"):format(select(2, system.memory()) / 1e6))
