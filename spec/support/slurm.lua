-- slurm.lua: Slurm on this machine: munged, slurmctld and two slurmd, all that they keep in one folder. It needs an
-- address that is not the loopback's, and ports that nobody has: spec/cluster/run.sh gives it a network of its own.
local command = require "support.command"
local files = require "bclua.files"
local lfs = require "lfs"
local process = require "bclua.process"
local system = require "bclua.system"

local slurm = {}

local ADDRESS = "10.77.0.1"
local NODES = {"n1", "n2"}

-- Nodes have more cores than there are, so that 8 tasks run at once; RequeueExit is what doc/cluster.md says.
local CONF = [[
ClusterName=test
SlurmctldHost=HOST(ADDRESS)
SlurmctldPort=17001
AuthType=auth/munge
AuthInfo=socket=DIR/munge.sock,cred_expire=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation=DIR/state
SlurmctldPidFile=DIR/slurmctld.pid
SlurmdPidFile=DIR/%n.pid
SlurmdSpoolDir=DIR/spool-%n
TmpFS=DIR/tmp-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=1
KillWait=2
RequeueExit=75
MailProg=/bin/true
NodeName=n1 NodeAddr=ADDRESS Port=17002 CPUs=4 RealMemory=4000
NodeName=n2 NodeAddr=ADDRESS Port=17003 CPUs=4 RealMemory=4000
PartitionName=all Nodes=n1,n2 Default=YES State=UP
]]

--- Wait until a function returns something true, which is returned.
function slurm.await(what, seconds, f)
   local till = system.clock() + seconds
   repeat
      local value, more = f()
      if value then return value, more end
      system.sleep(0.02)
   until system.clock() > till
   error(("%s: not within %g s"):format(what, seconds))
end

local Slurm = {}
Slurm.__index = Slurm

local function start(self, name, words)
   local log = ("%s/%s.log"):format(self.folder, name)
   table.insert(self.daemons, 1, {name = name, log = log, process = assert(process.start(words, {log = log,
      env = {SLURM_CONF = self.conf, PATH = os.getenv("PATH") .. ":/usr/sbin"}}))})
end

-- The daemons that have ended, with what they said last.
local function dead(self)
   for _, d in ipairs(self.daemons) do
      if d.process:ended() then error(("%s ended: %s"):format(d.name, (files.read(d.log) or ""):sub(-2000)), 0) end
   end
end

--- Start it; to be closed.
function slurm.start()
   local folder = command.folder()
   local self = setmetatable({folder = folder, conf = folder .. "/slurm.conf", daemons = {}}, Slurm)
   for _, name in ipairs{"state", "spool-n1", "spool-n2", "tmp-n1", "tmp-n2"} do
      assert(lfs.mkdir(folder .. "/" .. name))
   end
   local own = {HOST = command.shell("hostname"):gsub("%s", ""), ADDRESS = ADDRESS, DIR = folder}
   command.write(self.conf, (CONF:gsub("%u+", own)))
   command.write(folder .. "/cgroup.conf", "CgroupPlugin=cgroup/v1\n")
   command.shell(("head -c 128 /dev/urandom > %s/munge.key; chmod 600 %s/munge.key"):format(folder, folder))
   start(self, "munged", {"munged", "-F", "--force", "--key-file=" .. folder .. "/munge.key",
      "--socket=" .. folder .. "/munge.sock", "--pid-file=" .. folder .. "/munged.pid",
      "--log-file=" .. folder .. "/munge.log", "--seed-file=" .. folder .. "/munge.seed"})
   local ok, message = pcall(function()
      slurm.await("munge", 20, function()
         dead(self)
         return files.exists(folder .. "/munge.sock")
      end)
      start(self, "slurmctld", {"slurmctld", "-D", "-c"})
      for _, node in ipairs(NODES) do start(self, node, {"slurmd", "-D", "-N", node}) end
      slurm.await("two idle nodes", 30, function()
         dead(self)
         return self:shell("timeout 5 sinfo -h -t idle -o %D"):match("^2%s")
      end)
   end)
   if ok then return self end
   self:close()
   error(message, 0)
end

--- Run a shell command in it; output (stderr included) and exit status.
function Slurm:shell(text)
   return command.shell(("export SLURM_CONF=%s; "):format(command.quote(self.conf)) .. text)
end

--- Start a shell command in it, with a log in its folder; see `bclua.process`.
function Slurm:start(name, text)
   return assert(process.start({"sh", "-c", "exec env " .. text}, {log = ("%s/%s.log"):format(self.folder, name),
      env = {SLURM_CONF = self.conf}}))
end

--- What Slurm knows of a task of a job.
function Slurm:task(job, task) return self:shell(("scontrol show -o job %d_%d"):format(job, task)) end

--- Wait until no task of a job is left.
function Slurm:wait(job)
   slurm.await("job " .. job, 120, function()
      dead(self)
      system.sleep(0.2)
      return self:shell("squeue -h -j " .. job) == ""
   end)
end

--- End all jobs, and the daemons, the last one first.
function Slurm:close()
   if #self.daemons == 4 then
      self:shell("timeout 5 scancel --full --signal=KILL --user=root; timeout 5 scancel --user=root")
   end
   for _, d in ipairs(self.daemons) do
      d.process:stop()
      pcall(slurm.await, d.name, 10, function() return d.process:ended() end)
      d.process:close()
   end
   command.remove(self.folder)
end

return slurm
