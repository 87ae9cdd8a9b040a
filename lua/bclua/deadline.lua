--- When a program has to be done: what it has not begun by then waits for the next run.
-- @module bclua.deadline
local system = require "bclua.system"

local deadline = {}

--- The status of a program that kept what was done and is to be started again: EX_TEMPFAIL of sysexits.h, with which
-- Slurm's `RequeueExit=75` puts a job back.
deadline.again = 75

--- Seconds before a job's end at which it stops by itself, to write what is done.
deadline.margin_s = 60

--- How long a program may work, of a limit of its own and the end of Slurm's job, `SLURM_JOB_END_TIME`.
-- @tparam ?number minutes its own
-- @tparam[opt] function get the value of an environment variable by its name; default: `os.getenv`
-- @treturn ?number minutes; nil: as long as it takes
function deadline.minutes(minutes, get)
   local job_end = tonumber((get or os.getenv)("SLURM_JOB_END_TIME"))
   if not job_end then return minutes end
   local left = math.max(job_end - os.time() - deadline.margin_s, 0.001) / 60
   return math.min(minutes or left, left)
end

--- A function that says whether it is time to stop.
-- @tparam ?number minutes from now on; nil: never
-- @treturn function
function deadline.new(minutes)
   local at = system.clock() + (minutes or math.huge) * 60
   return function() return system.clock() >= at end
end

return deadline
