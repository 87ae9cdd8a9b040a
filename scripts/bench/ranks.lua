-- usage: bclua scripts/bench/ranks.lua [REPEATS [RANKS]]
-- Training that ranks of MPI share: a step with one thread in one process, in one process with batches in RANKS (2)
-- virtual shards, and in RANKS processes on this machine, with gradients in full and in 16 bits. Median of REPEATS (5)
-- by wall clock and of the first rank's processor time, which on a machine that others use says more; efficiency is
-- that of RANKS times as many processors. And what a rank sends, and how long it waits for others in a step.
require("bclua.cli").help_by_comment()
local array = require "bclua.array"
local system = require "bclua.system"

local SIZES = {
   full = {widths = {64, 128, 256, 512}, z = 512, batch = 16},
   narrow = {widths = {8, 16, 32, 64}, z = 32, batch = 64},
}

local function noise(n, samples)
   local row = array.zeros(samples)
   for i = 1, samples do row[i] = math.random() - 0.5 end
   local a = array.zeros{n, samples}
   for i = 1, n do a[i]:fill(row * (0.5 + i / n)) end
   return a
end

local function median(list)
   table.sort(list)
   return list[(#list + 1) // 2]
end

-- One rank: seconds of a step, of the processor in it, of the sum of all gradients, waited in a step, and bytes sent.
local function measure(size, repeats, shards, gradients)
   local mpi = require "bclua.mpi"
   local net = require("bclua.tilenet").new{widths = size.widths, z = size.z, threads = 1}
   local batch, ranks = {}, mpi.size() > 1 and mpi or false
   math.randomseed(1 + mpi.rank())
   for _, role in ipairs{"anchor", "neighbor", "distant"} do
      batch[role] = noise(size.batch // mpi.size(), net.samples)
   end
   local wall, cpu, sums, waits, sent = {}, {}, {}, {}, nil
   for i = 0, repeats do
      mpi.barrier()
      local before, waited, start, cpu_start = mpi.sent(), mpi.waited(), system.clock(), system.cpu_clock()
      assert(net:train_step(batch, {loss = "nt_xent", batch_shards = shards, ranks = ranks, gradients = gradients}))
      sent, waits[i] = mpi.sent() - before, mpi.waited() - waited
      if i > 0 then wall[i], cpu[i] = system.clock() - start, system.cpu_clock() - cpu_start end
   end
   for i = 1, repeats do
      local start = system.clock()
      mpi.sum(net.core:gradients(), gradients)
      sums[i] = system.clock() - start
   end
   if mpi.rank() == 0 then print(median(wall), median(cpu), median(sums), median(waits), sent) end
end

local function run(name, repeats, shards, ranks, gradients)
   local environment = "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1 " ..
      "OMPI_MCA_rmaps_base_oversubscribe=1 "
   local pipe <close> = assert(io.popen(("%s mpirun -n %d %q --threads 1 %q step %s %d %d %s"):format(environment,
      ranks, arg[-1], arg[0], name, repeats, shards, gradients or "full")))
   local wall, cpu, sum, wait, sent = pipe:read("n", "n", "n", "n", "n")
   return assert(wall, "mpirun failed"), cpu, sum, wait, sent
end

local function main(repeats, ranks)
   if not os.execute("command -v mpirun >/dev/null") then
      print("ranks: mpirun is not installed")
      return
   end
   for _, name in ipairs{"full", "narrow"} do
      local plain, plain_cpu = run(name, repeats, 1, 1)
      local one, one_cpu = run(name, repeats, ranks, 1)
      print(("ranks  %-6s batch %d, 1 thread: one process %.3f s (cpu %.3f); %d shards %.3f s (cpu %.3f)"):format(name,
         SIZES[name].batch, plain, plain_cpu, ranks, one, one_cpu))
      for _, gradients in ipairs{"full", "bf16"} do
         local all, all_cpu, sum, wait, sent = run(name, repeats, ranks, ranks, gradients)
         print(("   %d ranks, gradients %s: %.3f s (cpu %.3f), efficiency %.0f %% (cpu %.0f %%)"):format(ranks,
            gradients, all, all_cpu, 100 * plain / all / ranks, 100 * plain_cpu / all_cpu / ranks))
         print(("   the sum of gradients takes %.1f ms; a rank waits %.1f ms and sends %.2f MB a step"):format(
            1000 * sum, 1000 * wait, sent / 1e6))
      end
   end
end

if arg[1] == "step" then
   measure(SIZES[arg[2]], tonumber(arg[3]), tonumber(arg[4]), arg[5])
else
   main(tonumber(arg[1]) or 5, tonumber(arg[2]) or 2)
end
