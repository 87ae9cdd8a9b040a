--- Trials in processes of their own, several at a time.
--
-- Each process (see `bclua.child`) has a share of the threads.
-- @module bclua.experiment.sweep.pool
local child = require "bclua.child"
local files = require "bclua.files"
local system = require "bclua.system"

local pool = {}

local GRACE_S = 0.6 -- from the request to end to the end
local SAMPLE_S = 0.1 -- between looks at a process's memory

-- Begin a trial; nil and a message if its process cannot be started.
local function start(trial, options)
   local job = {module = options.module, name = options.name, key = trial.key, parameters = trial.parameters,
      context = trial.context}
   local process, message = child.start(trial.folder, "bclua.experiment.sweep.worker", job,
      {env = {BCLUA_THREADS = options.threads}})
   if not process then return nil, message end
   return {process = process, trial = trial, started = system.clock(), sampled = 0}
end

-- The most memory a process has had, as long as it runs.
local function sample(one)
   local now = system.clock()
   if now - one.sampled < SAMPLE_S then return end
   one.sampled = now
   local peak = child.memory(one.process:pid())
   if peak > 0 then one.peak_bytes = peak end
end

local function last_line(path)
   local text = files.read(path) or ""
   return text:match("([^\n]*%S[^\n]*)%s*$")
end

-- What became of a process that has ended.
local function outcome_of(one, how, code)
   local result = how == "exit" and child.read(one.trial.folder .. "/result.lua")
   if result and result.key == one.trial.key then return result end
   local text = child.ending(how, code) .. (how == "exit" and " and no result" or "")
   local line = last_line(one.trial.folder .. "/log.txt")
   return {error = line and text .. ": " .. line or text, wall_s = system.clock() - one.started,
      peak_bytes = one.peak_bytes}
end

-- Ask all to end, and wait a little; who is left will be killed.
local function stop(running)
   for _, one in ipairs(running) do one.process:stop() end
   local till = system.clock() + GRACE_S
   while #running > 0 and system.clock() < till do
      for i = #running, 1, -1 do
         if running[i].process:ended() then table.remove(running, i) end
      end
      system.sleep(0.01)
   end
end

local function loop(trials, options, finished, running)
   local following, pause = 1, 0.001
   while following <= #trials or #running > 0 do
      if system.interrupted() then return stop(running) end
      while following <= #trials and #running < options.workers do
         local trial = trials[following]
         following = following + 1
         local done = child.read(trial.folder .. "/result.lua") -- finished, but not yet in the file
         if done and done.key == trial.key then
            finished(trial, done)
         else
            local one, message = start(trial, options)
            if one then running[#running + 1] = one else finished(trial, {error = message, wall_s = 0}) end
         end
      end
      system.sleep(pause)
      pause = math.min(0.02, pause * 1.5)
      for i = #running, 1, -1 do
         local one = running[i]
         sample(one)
         local how, code = one.process:ended()
         if how then
            table.remove(running, i)
            finished(one.trial, outcome_of(one, how, code))
            pause = 0.001
         end
      end
   end
end

--- Do trials; Ctrl-C ends their processes within a second, and raises.
-- @tparam {table,...} trials `{folder=, parameters=, context=, key=}`
-- @tparam table options `module`, `name`, `workers`, `threads` (of each)
-- @tparam function finished is called with a trial and its outcome
function pool.run(trials, options, finished)
   local running <const> = {}
   system.hold_interrupts(true)
   local ok, message = xpcall(loop, function(e) return e end, trials, options, finished, running)
   for _, one in ipairs(running) do one.process:close() end
   system.hold_interrupts(false)
   if not ok then error(message, 0) end
end

return pool
