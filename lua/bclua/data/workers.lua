--- Who is at work on the pieces of a manifest: a file for each process, `workers/HOST-PROCESS-NUMBER.json`, touched as
-- long as it lives. What a killed one leaves grows old.
-- @module bclua.data.workers
local files = require "bclua.files"
local lfs = require "lfs"
local process = require "bclua.process"
local system = require "bclua.system"
local tables = require "bclua.data.tables"

local workers = {}

local BEAT_S = 5 -- from one sign of life to the next, at least

local ABOUT = {shard = "string", host = {"string", needed = true}, process = {"integer", needed = true}, job = "string"}

local Worker = {}
Worker.__index = Worker

--- The name of this machine, of letters that a file's name may have.
-- @treturn string
function workers.host()
   return ((files.read("/proc/sys/kernel/hostname") or "host"):gsub("[^%w.-]", ""))
end

local function job_of()
   local job, task = os.getenv("SLURM_ARRAY_JOB_ID"), os.getenv("SLURM_ARRAY_TASK_ID")
   return job and task and job .. "_" .. task or os.getenv("SLURM_JOB_ID")
end

--- Begin; where the folder cannot be written, or is gone because another process was the last, nobody is told.
-- @tparam string folder of the manifest
-- @tparam ?string shard `3/64`; nil: whatever it claims
-- @treturn worker to be closed
function workers.open(folder, shard)
   local about = {shard = shard, host = workers.host(), process = process.number(), job = job_of()}
   local path = ("%s/workers/%s-%d-%08x.json"):format(folder, about.host, about.process, math.random(0, 0xFFFFFFFF))
   lfs.mkdir(folder .. "/workers")
   files.write_json(path, about)
   return setmetatable({path = path, last = system.clock()}, Worker)
end

--- Give a sign of life.
function Worker:beat()
   if system.clock() - self.last < BEAT_S then return end
   lfs.touch(self.path)
   self.last = system.clock()
end

--- The end.
function Worker:close() os.remove(self.path) end

Worker.__close = Worker.close

-- Now, by the clock of who keeps the files, else by ours.
local function now(folder)
   local path = ("%s/%s-%d.now"):format(folder, workers.host(), process.number())
   local at = system.write_file(path, "") and lfs.attributes(path, "modification")
   os.remove(path)
   return at or os.time()
end

--- Those that have begun and not ended.
-- @tparam string folder of the manifest
-- @treturn {table,...} `shard`, `host`, `process`, `job`, and `age_s` of the last sign of life, by name
-- @treturn integer now, by the clock that ages are of
function workers.list(folder)
   local at, list = now(folder), {}
   for _, name in ipairs(system.list(folder .. "/workers") or {}) do
      local path = folder .. "/workers/" .. name
      local touched = name:find("%.json$") and lfs.attributes(path, "modification")
      local about = touched and tables.read_json(path, ABOUT)
      if about then
         about.name, about.age_s = name, at - touched
         list[#list + 1] = about
      end
   end
   table.sort(list, function(a, b) return a.name < b.name end)
   return list, at
end

return workers
