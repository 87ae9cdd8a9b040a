--- Jobs of a scheduler around steps that shards share: a script to submit, what has become of it, what is missing.
-- All of it is in files: `manifest.parquet` and pieces, `workers/`, and `job.sh`.
-- @module bclua.workflow.jobs
local audio = require "bclua.audio"
local cli = require "bclua.cli"
local commands = require "bclua.commands"
local display = require "bclua.display"
local files = require "bclua.files"
local lfs = require "lfs"
local manifest = require "bclua.data.manifest"
local pairs_of = require "bclua.workflow.search.pairs"
local part_writer = require "bclua.data.part_writer"
local pieces = require "bclua.workflow.pieces"
local progress = require "bclua.progress"
local recordings = require "bclua.data.recordings"
local shards = require "bclua.data.shards"
local sql = require "bclua.sql"
local system = require "bclua.system"
local workers = require "bclua.data.workers"
local options_of = require "bclua.options"

local jobs = {}

-- Of each step that takes --shard: seconds of sound in a second of a core, and megabytes of a thread and of an hour of
-- the longest recording: doc/performance.md.
local STEPS = {
   ["motif extract"] = {rate = 500, thread_mb = 130, hour_mb = 13},
   ["motif score"] = {rate = 350, thread_mb = 185, hour_mb = 10},
   ["motif extract-triplets"] = {rate = 950, thread_mb = 90, hour_mb = 1},
   ["embed predict"] = {rate = 550, thread_mb = 115, hour_mb = 3},
   ["classify predict"] = {rate = 550, thread_mb = 115, hour_mb = 3},
   ["motif search"] = {rate = 1, thread_mb = 100, hour_mb = 0}} -- of work: see `pairs_of.work_s`

local BASE_MB, STEP_MB, LEAST_MB = 100, 100, 1000
local SPARE = 2 -- times what was measured: disks and processors differ
local LEAST_MIN = 10
local WINDOW_S = 3600 -- of the time that has passed, how fast it goes

local JOB, LOGS = "job.sh", "logs"

-- ---- Where things are ----

-- Where a step's script and logs are, of its output.
local function job_folder(step, output)
   return (step == "motif extract" or step == "motif extract-triplets" or step == "classify predict") and output or
      pieces.folder(output)
end

local function find(run, name, inner)
   for _, folder in ipairs{run, table.unpack(inner)} do
      if files.is_file(folder .. "/" .. name) then return folder end
   end
   return nil
end

-- The folder of a run's manifest; nil where it has none yet.
local function find_manifest(run)
   return find(run, "manifest.parquet", {pieces.folder(run), run .. "/unfinished",
      pieces.folder(run .. "/scores.parquet")})
end

-- Where `discover` joins the sets of all recordings, once it has found them: a manifest of its own, the newest one.
local function find_join(folder)
   local found, newest = nil, 0
   for name in lfs.dir(folder) do
      local inner = folder .. "/" .. name
      local _, modified = files.stamp(inner .. "/manifest.parquet")
      if name:find("^join%-") and modified and modified > newest then found, newest = inner, modified end
   end
   return found
end

local function find_job(run) return find(run, JOB, {pieces.folder(run)}) end

-- The file of a piece: a part, the note of a shard of tiles, or what `search --all` or `discover` found.
local function file_of(folder, frozen, number)
   local made = frozen.settings
   if made.first then return ("%s/%05d.json"):format(folder, made.first + number - 1) end
   if made.pieces == "search" or made.pieces == "discover" then return ("%s/piece-%06d.json"):format(folder, number) end
   return part_writer.path(folder, number)
end

-- ---- Status ----

-- Which pieces are there, and since when.
local function look(folder, frozen)
   local there = {}
   for _, sum in ipairs(frozen.sums) do
      local _, modified = files.stamp(file_of(folder, frozen, sum.piece))
      there[sum.piece] = modified
   end
   return there
end

local function is_done(frozen, there, shard)
   for _, number in ipairs(frozen:pieces(shard)) do
      if not there[number] then return false end
   end
   return true
end

-- Seconds of sound done in a second of late; nil where that cannot be told.
local function rate_of(frozen, there, now)
   local first, sum = math.huge, 0
   for _, modified in pairs(there) do first = math.min(first, modified) end
   local from = math.max(first, now - WINDOW_S)
   for _, one in ipairs(frozen.sums) do
      if there[one.piece] and there[one.piece] > from then sum = sum + one.seconds end
   end
   return sum > 0 and now > from and sum / (now - from) or nil
end

local function count_failed(folder, frozen, there)
   local n = 0
   for number in pairs(there) do
      local path = file_of(folder, frozen, number)
      local m = path:find("%.parquet$") and sql.parquet_metadata(path)
      for _ in pairs(m and m.bclua_reasons and require("bclua.json").decode(m.bclua_reasons) or {}) do n = n + 1 end
   end
   return n
end

--- What `status` and `resubmit` take.
jobs.options = {
   run = {"string", needed = true, argument = "run", text = "The output of the step, or the folder beside it."},
   stale = {"number", default = 600, least = 1, unit = "s",
      text = "Who was not heard of for S seconds is lost (more than the longest recording takes)."},
   submit = {"boolean", text = "Run sbatch, in place of only showing how."}}

local STATUS = options_of.extend(jobs.options, {submit = false})

--- What has become of a run, from its files alone.
-- @tparam table options `run`, `stale`
-- @treturn[1] table `folder`; `pieces`, `seconds`, `recordings`: all; `done`: `{pieces=, seconds=}`; `failed`
-- (recordings); `running` and `lost`, as from `workers.list`; `rate` (seconds of sound in a second; nil: unknown),
-- `left_s` (of sound), `frozen`, `there` (the time of each piece that is done, by number)
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function jobs.status(options)
   options = options_of.check(options, STATUS)
   local folder = find_manifest(options.run)
   if not folder then
      return nil, options.run .. ": no manifest of shards: no step with --shard has begun, or it is finished"
   end
   folder = find_join(folder) or folder
   local frozen, message = manifest.read(folder)
   if not frozen then return nil, message end
   local there, r = look(folder, frozen), {folder = folder, frozen = frozen, pieces = #frozen.sums,
      seconds = frozen.total, recordings = 0, done = {pieces = 0, seconds = 0}, running = {}, lost = {}}
   for _, sum in ipairs(frozen.sums) do
      r.recordings = r.recordings + sum.n
      if there[sum.piece] then
         r.done.pieces, r.done.seconds = r.done.pieces + 1, r.done.seconds + sum.seconds
      end
   end
   local list, now = workers.list(folder)
   for _, one in ipairs(list) do
      local shard = one.shard and shards.parse(one.shard)
      if one.age_s <= options.stale then
         r.running[#r.running + 1] = one
      elseif not (shard and is_done(frozen, there, shard)) and r.done.pieces < r.pieces then
         r.lost[#r.lost + 1] = one
      end
   end
   r.there, r.failed, r.left_s = there, count_failed(folder, frozen, there), r.seconds - r.done.seconds
   r.rate = rate_of(frozen, there, now)
   return r
end

local function who(one)
   return ("%s on %s, process %d%s, heard of %s ago"):format(one.shard and "shard " .. one.shard or "by claims",
      one.host, one.process, one.job and ", job " .. one.job or "", progress.duration(one.age_s))
end

--- That as text.
-- @tparam table r from `status`
-- @treturn string
function jobs.text(r)
   local made, count = r.frozen.settings, display.count
   local what, of = made.sets and count(made.sets, "set") .. " to join" or count(r.recordings, "recording"), "sound"
   if made.sets or made.pieces == "search" then of = "work of one core" end
   local lines = {("%s, %s of %s, in %s"):format(what, progress.duration(r.seconds), of, count(r.pieces, "piece"))}
   local function add(...) lines[#lines + 1] = string.format(...) end
   add("done     %s, %s (%.1f %%)%s", count(r.done.pieces, "piece"), progress.duration(r.done.seconds),
      100 * r.done.seconds / r.seconds, r.failed > 0 and (", %s failed"):format(count(r.failed, "recording")) or "")
   add("left     %s, %s%s", count(r.pieces - r.done.pieces, "piece"), progress.duration(r.left_s), r.rate and
      r.left_s > 0 and #r.running > 0 and
      ("; as fast as of late: %s more"):format(progress.duration(r.left_s / r.rate)) or "")
   for _, kind in ipairs{"running", "lost"} do
      add("%-8s %d", kind, #r[kind])
      for _, one in ipairs(r[kind]) do add("         %s", display.line(who(one))) end
   end
   return table.concat(lines, "\n")
end

-- ---- Submit again ----

-- Numbers as Slurm takes them: 3,7-9.
local function ranges(list)
   local parts, i = {}, 1
   while i <= #list do
      local k = i
      while list[k + 1] == list[k] + 1 do k = k + 1 end
      parts[#parts + 1] = k > i and list[i] .. "-" .. list[k] or tostring(list[i])
      i = k + 1
   end
   return table.concat(parts, ",")
end

-- Into how many shards a script divides the work.
local function tasks_of(path)
   local text, message = files.read(path)
   if not text then return nil, message end
   local n = math.tointeger(tonumber(text:match("%-%-shard%s+\"?%${?SLURM_ARRAY_TASK_ID}?/(%d+)")))
   if not n or n < 1 then return nil, path .. ": has no --shard $SLURM_ARRAY_TASK_ID/N" end
   return n
end

-- The tasks whose pieces are not all there, and how many of them are at work.
local function missing_tasks(options, count)
   local all = {}
   for i = 1, count do all[i] = i end
   if not find_manifest(options.run) then return all, 0 end
   local r, message = jobs.status(options_of.subset(options, STATUS))
   if not r then return nil, message end
   local busy, list, at_work = {}, {}, 0
   for _, one in ipairs(r.running) do busy[one.shard or ""] = true end
   for i = 1, count do
      if not is_done(r.frozen, r.there, {index = i, count = count}) then
         if busy[i .. "/" .. count] then at_work = at_work + 1 else list[#list + 1] = i end
      end
   end
   return list, at_work
end

--- Submit again what is missing: the tasks whose pieces are not all there and which nobody is at.
-- @tparam table options `run`, `stale`, `submit` (run `sbatch`)
-- @treturn[1] table `tasks` (numbers), `at_work` (how many others), `command` (nil: nothing is missing)
-- @treturn[2] nil
-- @treturn[2] string message
function jobs.resubmit(options)
   options = options_of.check(options, jobs.options)
   local folder = find_job(options.run)
   if not folder then return nil, options.run .. ": no " .. JOB .. " (`cluster plan` writes one)" end
   local path = folder .. "/" .. JOB
   local count, message = tasks_of(path)
   if not count then return nil, message end
   local r = {}
   r.tasks, r.at_work = missing_tasks(options, count)
   if not r.tasks then return nil, r.at_work end
   if #r.tasks == 0 then return r end
   r.command = ("sbatch --array=%s %s"):format(ranges(r.tasks), display.shell(path))
   if options.submit then
      local ok, _, status = os.execute(r.command)
      if not ok then return nil, ("%s: status %d"):format(r.command, status) end
   end
   return r
end

-- ---- Plan ----

--- What `plan` takes.
jobs.plan_options = {
   words = {"list", of = "string", needed = true, shortest = 2, argument = "command",
      text = "Behind --: the command of the step, without --shard: motif extract --input ..."},
   tasks = {"integer", default = 64, least = 1, most = 100000, text = "Tasks of the array."},
   cpus = {"integer", default = 4, least = 1, most = 1024, text = "Cores of a task."},
   minutes = {"integer", least = 2, unit = "min", text = "Time of a task (default: by measured rates, and spare)."},
   memory = {"integer", least = 1, unit = "MB", text = "Memory of a task (default: as measured, and spare)."},
   partition = {"string", arg = "NAME", text = "Partition to submit to."},
   modules = {"string", arg = "NAMES", text = "Modules to load first, with blanks between them."},
   force = {"boolean", text = "Write over a script that is there."}}

-- The command as its own parser reads it.
local function parse(words)
   local script, message = words[1], nil
   if not files.is_file(script) then script, message = commands.find(script) end
   if not script then return nil, message end
   if not files.is_file(script) then return nil, script .. ": no such file" end
   local made, parser = pcall(cli.parser_of, script)
   if not made or not parser then return nil, script .. ": no script of bclua" end
   parser.parse, parser.pparse = nil, nil -- which end the script: those of its class
   local ok, parsed = parser:pparse(table.move(words, 2, #words, 1, {}))
   if not ok then return nil, ("%s: %s"):format(script, parsed) end
   local name = files.stem(script) .. " " .. tostring(parsed.command)
   if name == "motif discover" then return nil, name .. ": no rate is known to plan by: write its array by hand" end
   if not STEPS[name] then return nil, name .. ": cannot be divided: it takes no --shard" end
   if name == "motif search" and not parsed.all then return nil, name .. ": only --all can be divided" end
   if parsed.shard or parsed.claim then return nil, "--shard, --claim: the script says what a task does" end
   if type(parsed.output) ~= "string" then return nil, name .. ": no --output" end
   return parsed, name
end

-- Seconds of all recordings by their headers, and of the longest.
local function measure_files(inputs)
   local sum, longest = 0, 0
   for _, input in ipairs(inputs) do
      local list, message = {{path = input}}, nil
      if files.is_folder(input) then list, message = recordings.list(input) end
      if not list then return nil, message end
      for _, item in ipairs(list) do
         local info = audio.info(item.path)
         local seconds = info and info.seconds or 0
         sum, longest = sum + seconds, math.max(longest, seconds)
      end
   end
   return sum, longest
end

-- Seconds of sound to do, and of the longest recording.
local function measure(parsed, step)
   local function of(query)
      local rows, message = sql.query(query)
      if not rows then return nil, message end
      return rows[1].seconds or 0, rows[1].longest or 0
   end
   local folder = find_manifest(parsed.output)
   if folder then
      return of("select sum(seconds) as seconds, max(seconds) as longest from " ..
         sql.parquet(folder .. "/manifest.parquet"))
   end
   if step == "motif score" then
      return of("select sum(duration_seconds) as seconds, max(duration_seconds) as longest from " ..
         sql.parquet(parsed.input))
   end
   if step == "motif search" then
      return of(("select %s as seconds, 0 as longest from %s"):format(pairs_of.work_s("sum(duration_cens)"),
         sql.parquet(parsed.input)))
   end
   if step == "motif extract-triplets" then -- three windows each, at most
      return of(("select count(*) * 3 * %.17g as seconds, 3600 as longest from %s"):format(parsed.duration,
         sql.parquet(parsed.input)))
   end
   return measure_files(parsed.inputs or {parsed.input})
end

local function clock(minutes) return ("%02d:%02d:00"):format(minutes // 60, minutes % 60) end

-- Minutes and megabytes of a task.
local function estimate(step, seconds, longest_s, options)
   local s = STEPS[step]
   local work_s = math.max(seconds / options.tasks, longest_s) / (s.rate * options.cpus)
   local minutes = math.max(LEAST_MIN, math.ceil(SPARE * work_s / 60) + 1)
   local mb = SPARE * (BASE_MB + options.cpus * (s.thread_mb + s.hour_mb * longest_s / 3600))
   return minutes, math.max(LEAST_MB, math.ceil(mb / STEP_MB) * STEP_MB)
end

local SCRIPT = [[
#!/bin/sh
# %s: %d tasks. `bclua cluster plan` wrote this; read it, change it, and submit it:
#    sbatch %s
# %s, at %d x real time a core (doc/performance.md), are %s a task, of which there is twice as much here.
#SBATCH --job-name=%s
#SBATCH --array=1-%d
#SBATCH --cpus-per-task=%d
#SBATCH --mem=%dM
#SBATCH --time=%s
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%s
%s
%s
cd %s || exit 1
%s --shard "$SLURM_ARRAY_TASK_ID/%d" --threads %d
status=$?
# 75: time was up, and what is done is kept. With RequeueExit=75 in slurm.conf Slurm itself queues the task again.
if [ $status -eq 75 ]; then
   scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit $status
]]

local function absolute(path) return path:sub(1, 1) == "/" and path or lfs.currentdir() .. "/" .. path end

-- This program, as a job finds it.
local function program()
   local name = arg and arg[-1] or "bclua"
   return name:find("/", 1, true) and absolute(name) or name
end

local function script_of(step, options, folder, r)
   local words = {display.shell(r.program)}
   for i, word in ipairs(options.words) do words[i + 1] = display.shell(word) end
   local s = STEPS[step]
   return SCRIPT:format(step, options.tasks, display.shell(folder .. "/" .. JOB),
      progress.duration(r.seconds) .. (step == "motif search" and " of work of one core" or " of sound"), s.rate,
      progress.duration(r.seconds / options.tasks / s.rate / options.cpus), step:gsub("^%S+ ", ""), options.tasks,
      options.cpus, r.memory, clock(r.minutes), folder .. "/" .. LOGS .. "/%A_%a.log",
      options.partition and "#SBATCH --partition=" .. options.partition or "##SBATCH --partition=NAME",
      options.modules and "module load " .. options.modules or "# module load NAME", display.shell(lfs.currentdir()),
      table.concat(words, " "), options.tasks, options.cpus)
end

--- Write a job script for a step.
-- @tparam table options `words` (the command: script, step, its options), `tasks`, `cpus`, `minutes`, `memory`,
-- `partition`, `modules`, `force`
-- @treturn[1] table `path` of the script, `seconds` of sound, `minutes` and `memory` (MB) of a task
-- @treturn[2] nil
-- @treturn[2] string message
function jobs.plan(options)
   options = options_of.check(options, jobs.plan_options)
   local parsed, step = parse(options.words)
   if not parsed then return nil, step end
   local folder = absolute(job_folder(step, parsed.output))
   local path = folder .. "/" .. JOB
   if files.exists(path) and not options.force then return nil, path .. ": is there; use --force to write over it" end
   local seconds, longest = measure(parsed, step)
   if not seconds then return nil, longest end
   local minutes, memory = estimate(step, seconds, longest, options)
   local r = {path = path, program = program(), seconds = seconds, minutes = options.minutes or minutes,
      memory = options.memory or memory}
   local ok, message = system.mkdir(folder .. "/" .. LOGS)
   if ok then ok, message = system.write_file(path, script_of(step, options, folder, r)) end
   if not ok then return nil, message end
   return r
end

return jobs
