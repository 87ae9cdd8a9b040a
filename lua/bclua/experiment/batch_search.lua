--- The largest batch that fits into an amount of memory, and how fast batches of each size are.
--
-- First the engine's plan says it, without taking the memory. Then a step of training is taken at that
-- size, on noise, in a process of its own that cannot take more: what fails there, fails there. How many
-- triplets a data set has, has no part in it.
-- @module bclua.experiment.batch_search
-- @usage
-- local r = assert(batch_search.run{network = {widths = {8, 16, 32, 64}, z = 64}, memory = 2e9})
-- print(r.largest, r.confirmed, r.triplets_per_second, r.levels_off)
local child = require "bclua.child"
local files = require "bclua.files"
local options_of = require "bclua.options"
local system = require "bclua.system"
local tilenet = require "bclua.tilenet"
local training_options = require "bclua.train.options"

local batch_search = {}

local SHARE = 0.9 -- of what is free: others want some, too
local SLACK, SLACK_SHARE = 32 << 20, 0.01 -- of the limit in a step that should succeed: small things, not of the plan
local NEARLY = 0.95 -- of the highest speed, from where on it levels off
local ATTEMPTS = 4
local FOR_SPEED = 0.4 -- of the time; the rest is for the step at the largest size

--- Bytes that a training may take on this machine: nine tenths of what is free.
-- @treturn ?integer nil where the system does not say
function batch_search.budget()
   local free = system.memory_free()
   return free and math.floor(SHARE * free)
end

-- --- processes ---------------------------------------------------------------------------

-- Do a job in a process that has `limit` bytes of addresses (nil: no limit); its result, with
-- `failure` if it did not come to its end; or nil and a message.
local function in_child(job, limit)
   local scratch <close> = files.scratch()
   local folder = os.tmpname()
   scratch[1] = folder
   os.remove(folder)
   -- One thread of OpenBLAS, which the engine does not use: each takes 128 MB of addresses at some time, and asks
   -- for them without end where there are none.
   local process <close>, message = child.start(folder, "bclua.experiment.batch_trial", job, {
      before = limit and {"sh", "-c", 'ulimit -v "$1"; shift; exec "$@"', "sh", ("%d"):format(limit // 1024)},
      env = {BCLUA_THREADS = ("%d"):format(system.threads()), OPENBLAS_NUM_THREADS = "1", MALLOC_ARENA_MAX = "1"}})
   if not process then return nil, message end
   local how, code
   repeat
      how, code = process:ended()
      if not how then system.sleep(0.01) end
      if system.interrupted() then return nil, "interrupted" end
   until how
   local result = child.read(folder .. "/result.lua") or {}
   if how == "signal" or code ~= 0 then
      result.failure = (how == "signal" and "the process was " or "the process ") .. child.ending(how, code)
   end
   return result
end

local function job_of(o, kind, more)
   local job = {kind = kind, network = o.network, precision = o.precision, recompute = o.recompute}
   for key, value in pairs(more) do job[key] = value end
   return job
end

-- --- the search -----------------------------------------------------------------------------

local function megabytes(bytes) return ("%.0f MB"):format(bytes / 1e6) end

local function ask_plan(o)
   local plan, message = in_child(job_of(o, "plan", {memory = o.memory}))
   if not plan then return nil, message end
   if plan.failure then return nil, plan.failure end
   if plan.largest > 0 then return plan end
   return nil, ("a budget of %s is less than a single triplet takes: %s (%s, recomputation '%s')"):format(
      megabytes(o.memory), megabytes(plan.one), o.precision, o.recompute)
end

-- Powers of two below n.
local function sizes_below(n)
   local list, k = {}, 1
   while k < n do list[#list + 1], k = k, 2 * k end
   return list
end

local function fastest(speeds)
   local best
   for _, s in ipairs(speeds) do
      if not best or s.triplets_per_second > best.triplets_per_second then best = s end
   end
   return best
end

local function add_speeds(speeds, sizes)
   for _, s in ipairs(sizes) do
      s.triplets_per_second, s.triplets_per_cpu_second = s.batch_size / s.seconds, s.batch_size / s.cpu_seconds
      speeds[#speeds + 1] = s
   end
end

-- Speeds of batches that fit, as it turned out.
local function up_to(speeds, largest)
   local list = {}
   for _, s in ipairs(speeds) do
      if s.batch_size <= largest then list[#list + 1] = s end
   end
   return list
end

-- A step at the largest size; where it takes more than it may, at a smaller one.
local function confirm(o, r, left)
   for _ = 1, ATTEMPTS do
      local best = fastest(r.speeds)
      local likely = best and r.largest / best.triplets_per_second or 0
      if likely > left() then
         r.remark = ("not tried: a step on %d would take some %.0f s, %.0f are left (--most-seconds)"):format(r.largest,
            likely, math.max(0, left()))
         return true
      end
      o.on_note(("a step on %d triplets"):format(r.largest))
      local limit = math.floor((o.memory + r.gap) * (1 + SLACK_SHARE)) + SLACK
      local done, message = in_child(job_of(o, "steps", {sizes = {r.largest}, steps = 1, most_seconds = 1e9}), limit)
      if not done then return nil, message end
      local s = done.sizes and done.sizes[1]
      if s and s.peak <= o.memory then
         add_speeds(r.speeds, done.sizes)
         r.peak, r.bytes, r.confirmed = s.peak, s.planned, true
         return true
      end
      r.remark = s and ("a step on %d took %s"):format(r.largest, megabytes(s.peak))
         or ("a step on %d failed: %s"):format(r.largest, done.failure or done.stopped or "no result")
      r.above_size, r.above = r.largest, s and s.peak
      r.largest = r.largest - (s and math.ceil((s.peak - o.memory) / r.each) or r.largest // 10 + 1)
      if r.largest < 1 then break end
   end
   return true
end

local OPTIONS = {
   network = {"table", of = tilenet.network_options, default = {}},
   precision = {"choice", {"f32", "bf16", "f16"}, default = "f32"},
   recompute = {"choice", training_options.recompute[2], default = "none", was = "checkpoint"},
   memory = {"number", least = 1, most = 1 << 53},
   steps = {"integer", least = 1, default = 3},
   most_seconds = {"number", least = 0, most = math.huge, default = 120},
   on_note = {"function", default = function() end},
}

local function settle(options)
   local o = options_of.check(options, OPTIONS, 4)
   o.memory = o.memory or batch_search.budget()
   if not o.memory then error("option 'memory' is missing, and the system does not say what is free", 3) end
   o.memory = math.floor(o.memory)
   return o
end

--- Search.
-- @tparam[opt] table options `network`: options of `bclua.tilenet`; `precision` ("f32", "bf16", "f16"); `recompute`
--  ("none": without recomputation; "cheap", "stage", "role", "auto"); `memory`: bytes for the whole process
--  (default: `budget()`); `steps` (3) at each size, of which the fastest counts; `most_seconds` (120): sizes that would
--  take longer are left out; `on_note` f(text) is called with what is done next
-- @treturn[1] table
--
--  * `largest` batch, in triplets; `bytes` that the plan says it takes; `memory`: the budget
--  * `confirmed`: a step of that size was taken, at its `peak` (bytes, resident) within the budget; else a `remark`
--    says why not
--  * `above_size`: the next size that does not fit, and the bytes that it takes, `above`: by the plan; or measured,
--    where the plan promised too much and `largest` is smaller than `planned_largest`
--  * `refusal`: what the engine says to a batch of one more than planned in a process that has the budget; nil: it
--    would try
--  * `speeds`: `{batch_size=, steps=, seconds=, cpu_seconds=, triplets_per_second=, triplets_per_cpu_second=,
--    planned=, peak=}`, sizes ascending
--  * `triplets_per_second`: the highest; `levels_off`: the smallest size that has 95 % of it
-- @treturn[2] nil
-- @treturn[2] string message: the budget is less than one triplet takes; "interrupted"
function batch_search.run(options)
   local o = settle(options)
   local start = system.clock()
   local function left() return o.most_seconds - (system.clock() - start) end
   o.on_note("the plan")
   local plan, message = ask_plan(o)
   if not plan then return nil, message end
   local r = {memory = o.memory, largest = plan.largest, planned_largest = plan.largest, bytes = plan.bytes,
      above_size = plan.largest + 1, above = plan.above, gap = plan.gap, refusal = plan.refusal, confirmed = false,
      each = math.max(1, (plan.above or plan.bytes) - (plan.above and plan.bytes or 0)), speeds = {}}
   o.on_note(("batches of 1 to %d triplets"):format(r.largest))
   local timed
   timed, message = in_child(job_of(o, "steps", {sizes = sizes_below(r.largest), steps = o.steps,
      most_seconds = math.max(0, FOR_SPEED * left())}), math.floor(o.memory + r.gap) + SLACK)
   if not timed then return nil, message end
   add_speeds(r.speeds, timed.sizes or {})
   local ok
   ok, message = confirm(o, r, left)
   if not ok then return nil, message end
   r.speeds = up_to(r.speeds, r.largest)
   if not r.refusal then
      local asked
      asked, message = in_child(job_of(o, "refuse", {size = r.planned_largest + 1}), o.memory + r.gap)
      if not asked then return nil, message end
      r.refusal = asked.refusal or asked.failure
   end
   local best = fastest(r.speeds)
   r.triplets_per_second = best and best.triplets_per_second
   for _, s in ipairs(r.speeds) do
      if s.triplets_per_second >= NEARLY * r.triplets_per_second then
         r.levels_off = s.batch_size
         break
      end
   end
   return r
end

--- The result in a sentence or two.
-- @tparam table r of `run`
-- @treturn string
function batch_search.text(r)
   local parts = {("%d triplets fit into %s"):format(r.largest, megabytes(r.memory))}
   if r.confirmed then
      parts[1] = ("%s: a step took %s (planned: %s)"):format(parts[1], megabytes(r.peak), megabytes(r.bytes))
   elseif r.remark then
      parts[1] = ("%s by the plan; %s"):format(parts[1], r.remark)
   end
   if r.above then
      parts[2] = ("%d %s %s"):format(r.above_size, r.above_size > r.planned_largest and "would take" or "took",
         megabytes(r.above))
   elseif r.refusal then
      parts[2] = r.refusal -- no matter how much memory there is
   end
   if r.levels_off then
      parts[#parts + 1] = ("at most %.3g triplets a second, and 95 %% of that with batches of %d"):format(
         r.triplets_per_second, r.levels_off)
   end
   return table.concat(parts, "; ")
end

--- The result as a row of a table.
-- @tparam table r of `run`
-- @tparam[opt] table row to be filled
-- @treturn table `largest`, `planned_mb`, `peak_mb`, `confirmed`, `above_size`, `above_mb`, `refused`,
-- `triplets_per_second`, `levels_off`
function batch_search.row(r, row)
   row = row or {}
   for _, name in ipairs{"largest", "confirmed", "above_size", "triplets_per_second", "levels_off"} do
      row[name] = r[name]
   end
   row.planned_mb, row.peak_mb, row.above_mb = r.bytes / 1e6, r.peak and r.peak / 1e6, r.above and r.above / 1e6
   row.refused = r.refusal ~= nil
   return row
end

return batch_search
