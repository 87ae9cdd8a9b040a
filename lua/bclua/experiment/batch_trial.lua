--- What is done in a process of its own, where it may fail: steps of training on noise.
-- @module bclua.experiment.batch_trial
local array = require "bclua.array"
local memory = require("bclua.child").memory
local sampling = require "bclua.sampling"
local system = require "bclua.system"

local trial = {}

local SMALL = 2 -- triplets of the step after which a process has all that it needs beside the batch
local LATER = 1.2 -- a step is let begin if it is likely to end in time, this much uncertain

-- If the machine runs out of memory all the same, it is this process that goes.
local function volunteer()
   local f = io.open("/proc/self/oom_score_adj", "w")
   if not f then return end
   f:write("1000")
   f:close()
end

-- The same noise for every triplet: only the size matters, and nothing is denormal or silent.
local function noise(n, samples)
   local batch = {}
   for i, role in ipairs{"anchor", "neighbor", "distant"} do
      batch[role] = array.zeros{n, samples}
      local sound = (sampling.generator(i):normal(samples) * 0.1):copy("f32")
      for k = 1, n do batch[role][k]:fill(sound) end
   end
   collectgarbage() -- what the noise was made of is no part of a step
   return batch
end

local function network(job)
   local o = {precision = job.precision, recompute = job.recompute}
   for key, value in pairs(job.network) do o[key] = value end
   return require("bclua.tilenet").new(o)
end

-- Seconds by the wall and of processors.
local function step(net, batch)
   local start, cpu = system.clock(), system.cpu_clock()
   local info, message = net:train_step(batch)
   if not info then return nil, message end
   return system.clock() - start, system.cpu_clock() - cpu
end

local function small_step(net)
   assert(step(net, noise(SMALL, net.samples)))
   collectgarbage()
end

-- nil where the plan refuses the size.
local function need(net, n)
   local ok, m = pcall(net.memory, net, {batch_size = n})
   if ok then return m.total end
   return nil, (tostring(m):gsub("^%S+:%d+: ", "")) -- without the place in our code
end

local jobs = {}

--- What the plan says: the largest batch for `memory` bytes, its bytes, and those of one more.
function jobs.plan(job)
   local net = network(job)
   small_step(net)
   local n = net:largest_batch{memory = job.memory}
   local r = {largest = n, gap = select(2, memory())}
   r.one = need(net, 1) or need(net, 2)
   if n > 0 then r.bytes = need(net, n) end
   r.above, r.refusal = need(net, n + 1)
   return r
end

--- Steps at ascending sizes while there is time: `sizes`, `steps` of each, `most_seconds`.
function jobs.steps(job, note)
   local net, start, r = network(job), system.clock(), {sizes = {}}
   local rate
   for _, n in ipairs(job.sizes) do
      local left = job.most_seconds - (system.clock() - start)
      if rate and n / rate * LATER > left then
         r.stopped = ("a step on %d would take some %.0f s"):format(n, n / rate)
         break
      end
      local planned = need(net, n)
      local batch, best, least, done = noise(n, net.samples), math.huge, math.huge, 0
      for _ = 1, job.steps do
         local seconds, cpu = step(net, batch)
         if not seconds then
            r.stopped = cpu
            return r
         end
         best, least, done = math.min(best, seconds), math.min(least, cpu), done + 1
         if system.clock() - start + LATER * seconds > job.most_seconds then break end
      end
      rate = n / best
      r.sizes[#r.sizes + 1] = {batch_size = n, seconds = best, cpu_seconds = least, steps = done, planned = planned,
         peak = (memory())}
      batch = nil -- luacheck: ignore 311
      collectgarbage()
      note(r)
   end
   return r
end

--- Does the engine refuse a batch of `size` in this process, which has a limit?
function jobs.refuse(job)
   local net = network(job)
   small_step(net)
   local batch = {} -- luacheck: ignore 241 (it is there for its memory)
   for i = 1, 3 do batch[i] = array.zeros{job.size, net.samples} end
   local message = net:too_large(job.size, "separate")
   return {refusal = message and message:match("^[^:]*")} -- its advice counts this batch twice
end

--- Do a job in a process of its own, see `bclua.child`.
-- @tparam table job `kind`: one of those above, and its fields
-- @tparam function note keeps what there is so far
function trial.work(job, note)
   volunteer()
   local so_far = {}
   local ok, result = pcall(jobs[job.kind], job, function(r)
      so_far = r
      note(r)
   end)
   if not ok then
      so_far.failure = tostring(result)
      result = so_far
   end
   note(result)
end

return trial
