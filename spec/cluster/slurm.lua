-- What doc/cluster.md says of Slurm and MPI, with a real scheduler and processes that are killed; run.sh starts this.
local command = require "support.command"
local files = require "bclua.files"
local mined = require "support.mined"
local process = require "bclua.process"
local safetensors = require "bclua.format.safetensors"
local slurm = require "support.slurm"
local sql = require "bclua.sql"
local system = require "bclua.system"
local workers = require "bclua.data.workers"

local COPIES = 12 -- of each recording: some 40 minutes in all, 45 pieces
local ENVIRONMENT = "OMPI_MCA_btl_tcp_if_include=lo OMPI_MCA_mpi_yield_when_idle=1 "

local m, dir, run, whole, cluster

local function absolute(path) return path:sub(1, 1) == "/" and path or require("lfs").currentdir() .. "/" .. path end

local function bclua(text)
   local out, status = cluster:shell(("%s %s"):format(absolute(command.program), text))
   assert.equal(0, status, out)
   return out
end

setup(function()
   m, dir = mined.get(), command.folder()
   run = dir .. "/run"
   for path in command.shell(("find %s/train_audio -name '*.ogg'"):format(m.data)):gmatch("[^\n]+") do
      local below = path:match("train_audio/(.*)%.ogg$")
      assert(system.mkdir(dir .. "/data/" .. files.dirname(below)))
      for i = 1, COPIES do command.shell(("cp %s %s/data/%s-%d.ogg"):format(path, dir, below, i)) end
   end
   cluster = slurm.start()
   bclua(("scripts/motif.lua extract --input %s/data --output %s/whole"):format(dir, dir))
   bclua(("scripts/motif.lua consolidate --input %s/whole --output %s/whole.parquet"):format(dir, dir))
end)

teardown(function()
   if cluster then cluster:close() end
   command.remove(dir)
   mined.remove()
end)

-- The rows of a run that was not divided, and the bytes of all others that were.
local function assert_whole()
   bclua(("scripts/motif.lua consolidate --input %s --output %s.parquet"):format(run, run))
   local rows = "(select * exclude part_file from %s)"
   local a, b = rows:format(sql.parquet(run .. ".parquet")), rows:format(sql.parquet(dir .. "/whole.parquet"))
   local apart = assert(sql.query(("from %s except all from %s union all (from %s except all from %s)"):format(a, b, b,
      a)))
   assert.equal(0, #apart)
   whole = whole or command.read(run .. ".parquet")
   assert.is_true(whole == command.read(run .. ".parquet"))
   command.remove(run)
end

describe("an array of 8 shards", function()
   -- Do something to some tasks as soon as they are at work, which is for a second only: `harm[shard](worker)`.
   local function disturb(harm)
      slurm.await("tasks to disturb", 60, function()
         for _, one in ipairs(workers.list(run)) do
            if harm[one.shard] then harm[one.shard](one) end
            harm[one.shard] = nil
         end
         return next(harm) == nil
      end)
   end

   -- A task that was killed does not say so: it is not heard of any more.
   local function assert_resubmits(words)
      local out
      assert.is_true(pcall(slurm.await, "", 20, function()
         out = bclua("scripts/cluster.lua resubmit --stale 2 " .. run)
         return out:find(words, 1, true)
      end), out)
   end

   it("loses nothing when tasks are killed, told to end, and cancelled", function()
      bclua(("scripts/cluster.lua plan --tasks 8 --cpus 1 -- scripts/motif.lua extract --input %s/data --output %s")
         :format(dir, run))
      local job = tonumber((cluster:shell("sbatch --parsable " .. run .. "/job.sh")))
      disturb{["2/8"] = function(one) command.shell("kill -KILL " .. one.process) end,
         ["5/8"] = function(one) command.shell("kill -TERM " .. one.process) end,
         ["7/8"] = function(one) cluster:shell("scancel " .. one.job) end}
      cluster:wait(job)
      assert.matches("JobState=FAILED", cluster:task(job, 2), 1, true)
      assert.matches("JobState=COMPLETED.* Restarts=1 ", cluster:task(job, 5)) -- by job.sh, after status 75
      assert.matches("JobState=CANCELLED", cluster:task(job, 7), 1, true)
      assert_resubmits("sbatch --array=2,7 ")
      cluster:shell(("scontrol requeue %d_2"):format(job))
      cluster:wait(job)
      assert_resubmits("sbatch --array=7 ")
      local out = bclua(("scripts/cluster.lua resubmit --submit %s"):format(run))
      cluster:wait(tonumber(out:match("Submitted batch job (%d+)")))
      assert_resubmits("tasks that lack something: 0")
      assert.matches("\nleft     0 pieces", bclua("scripts/cluster.lua status " .. run), 1, true)
      assert_whole()
   end)
end)

describe("training by srun", function()
   local O = "--widths 4,8,8,8 --dim 8 --batch-size 8 --batch-shards 8 --batches-per-round 40 --max-rounds 2 " ..
      "--checkpoint-minutes 0.0001"
   local one

   local function words(name)
      return ("%s --threads 1 scripts/embed.lua fit %s %s --run %s/%s %s"):format(absolute(command.program), m.triplets,
         m.tiles, dir, name, O)
   end

   local function srun(n, name)
      return ("%s srun -K --mpi=pmix -N 2 -n %d %s"):format(ENVIRONMENT, n, words(name))
   end

   local function newest(name) return ("%s/%s/checkpoints/last.safetensors"):format(dir, name) end

   local function assert_same(name) assert.is_true(command.read(newest(name)) == one, name) end

   setup(function()
      local out, status = cluster:shell(words("one"))
      assert.equal(0, status, out)
      one = command.read(newest("one"))
   end)

   -- Otherwise the case is skipped, not passed.
   local function has_pmix()
      if cluster:shell("srun --mpi=list"):find("pmix", 1, true) then return true end
      pending("Slurm has no PMIx: libpmix-dev is missing (make cluster-deps)")
   end

   for _, n in ipairs{2, 4} do
      it(("gives the bits of one process on %d ranks of two nodes"):format(n), function()
         if not has_pmix() then return end
         local out, status = cluster:shell(srun(n, "of" .. n))
         assert.equal(0, status, out)
         assert.matches(n .. " ranks of libmpi", out, 1, true)
         assert_same("of" .. n)
      end)
   end

   -- The process of a rank, by what its launcher told it.
   local function find_rank(rank, name)
      for pid in require("lfs").dir("/proc") do
         local line, variables = files.read("/proc/" .. pid .. "/cmdline"), files.read("/proc/" .. pid .. "/environ")
         if line and variables and line:find(dir .. "/" .. name, 1, true) and
            ("\0" .. variables):find("\0PMIX_RANK=" .. rank .. "\0", 1, true) then return pid end
      end
   end

   it("comes to the same bits when a rank was killed, from the newest checkpoint and on another number", function()
      if not has_pmix() then return end
      local step <close> = cluster:start("step", srun(2, "killed"))
      local pid = slurm.await("a checkpoint", 60, function()
         return files.exists(newest("killed")) and find_rank(1, "killed")
      end)
      command.shell("kill -KILL " .. pid)
      local how, status = slurm.await("the end of the step", 60, function() return step:ended() end)
      assert.is_false(how == "exit" and status == 0)
      local at = tonumber(select(2, safetensors.load(newest("killed"))).step)
      assert.is_true(at > 0 and at < 80, at)
      local out
      out, status = cluster:shell(srun(4, "killed"))
      assert.equal(0, status, out)
      assert_same("killed")
   end)
end)

describe("workers by claims", function()
   local KILLS, WORKERS = 100, 4
   local serial = 0

   local function start()
      serial = serial + 1
      return assert(process.start({absolute(command.program), "--threads", "1", "scripts/motif.lua", "extract",
         "--input", dir .. "/data", "--output", run, "--claim", "--stale", "1"}, {log = dir .. "/claims.log"}))
   end

   -- Fill a folder; of the workers, one after the other is killed at some moment, and another one begins.
   local function fill(kills)
      local list, killed = {}, 0
      for i = 1, WORKERS do list[i] = start() end
      while list[1] do
         system.sleep(0.4 * math.random())
         local i = math.random(#list)
         local how, code = list[i]:ended()
         if how then
            assert.same({"exit", 0}, {how, code}, command.read(dir .. "/claims.log"))
            table.remove(list, i)
         elseif killed < kills then
            list[i]:close()
            killed, list[i] = killed + 1, start()
         end
      end
      return killed
   end

   it("leave the bytes of one run, however many are killed", function()
      math.randomseed(1)
      local kills, round = 0, 0
      while kills < KILLS do
         round = round + 1
         kills = kills + fill(KILLS - kills)
         assert.same({}, files.find(run, function(name) return name:find("%.tmp") ~= nil end))
         assert_whole()
      end
      print(("   %d kills, %d workers, %d runs"):format(kills, serial, round))
   end)
end)
