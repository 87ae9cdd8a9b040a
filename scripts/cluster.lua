-- usage: bclua cluster plan|status|resubmit ... [options]
-- Steps that shards share, as jobs of Slurm.
local cli = require "bclua.cli"
local display = require "bclua.display"
local jobs = require "bclua.workflow.jobs"
local options_of = require "bclua.options"

local function plan(parser)
   local c = parser:command("plan", "Write a job script for a step, to read, change and submit.")
   cli.options(c, jobs.plan_options, "words tasks cpus minutes memory partition modules force")
   return function(o)
      local r, message = jobs.plan(options_of.subset(o, jobs.plan_options))
      if r then
         print(("%d tasks of %d cores, %d min and %d MB each\nread it, then: sbatch %s"):format(o.tasks, o.cpus,
            r.minutes, r.memory, display.shell(r.path)))
      end
      return r, message
   end
end

local function status(parser)
   local c = parser:command("status", "What is done, who is at work, who is lost, and what is left.")
   cli.options(c, jobs.options, "run stale")
   return function(o)
      local r, message = jobs.status(options_of.subset(o, jobs.options))
      if r then print(jobs.text(r)) end
      return r, message
   end
end

local function resubmit(parser)
   local c = parser:command("resubmit", "Submit again the tasks of which something is missing.")
   cli.options(c, jobs.options, "run stale submit")
   return function(o)
      local r, message = jobs.resubmit(options_of.subset(o, jobs.options))
      if r and not o.submit and r.command then print(r.command) end
      if r then
         io.stderr:write(("tasks that lack something: %d%s\n"):format(#r.tasks, r.at_work > 0 and
            ("; %d more are at work"):format(r.at_work) or ""))
      end
      return r, message
   end
end

local parser = cli.parser("cluster", "Steps that take --shard, as jobs of Slurm.", [[
Example:
  bclua cluster plan --tasks 64 --cpus 4 -- motif extract \
    --input birds/train_audio --output motif
  sbatch motif/job.sh
  bclua cluster status motif
  bclua cluster resubmit motif --submit]]):require_command(true):command_target("command")
local commands = {plan = plan(parser), status = status(parser), resubmit = resubmit(parser)}

local options = parser:parse()
local name = "cluster " .. options.command
local _ <close> = cli.command(name)
local result, message = commands[options.command](options)
cli.finish(name, result, message)
