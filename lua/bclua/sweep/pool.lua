--- Trials in processes of their own, several at a time.
--
-- Each process is this program again, started anew: a copy (`fork`) of one that has threads cannot
-- go on safely. It has a share of the threads; what it prints goes to `log.txt` in the trial's folder. A
-- process that dies takes nothing with it; when the sweep is killed its processes are, too.
-- @module bclua.sweep.pool
local files = require "bclua.files"
local lfs = require "lfs"
local process = require "bclua.process"
local system = require "bclua.system"
local worker = require "bclua.sweep.worker"

local pool = {}

local GRACE_S = 0.6 -- from the request to end to the end
local SAMPLE_S = 0.1 -- between looks at a process's memory
local SIGNALS = {[6] = "SIGABRT", [7] = "SIGBUS", [8] = "SIGFPE", [9] = "SIGKILL, out of memory?", [11] = "SIGSEGV",
   [15] = "SIGTERM"}

local START = [[package.path, package.cpath = %q, %q require("bclua.sweep.worker").main(%q)]]

-- Begin a trial; nil and a message if its process cannot be started.
local function start(trial, options)
   local folder = trial.folder
   os.remove(folder .. "/result.lua")
   local job = {module = options.module, name = options.name, key = trial.key, parameters = trial.parameters,
      context = trial.context, path = package.path, cpath = package.cpath, parent = process.number()}
   local ok, message = system.mkdir(folder)
   if ok then ok, message = system.write_file(folder .. "/job.lua", worker.literal(job)) end
   if not ok then return nil, message end
   local program = lfs.symlinkattributes("/proc/self/exe", "target"):gsub(" %(deleted%)$", "") -- it was built anew
   local child
   child, message = process.start({program, "-e", START:format(package.path, package.cpath, folder)},
      {log = folder .. "/log.txt", env = {BCLUA_THREADS = options.threads, BCLUA_QUIET = "1"}})
   if not child then return nil, message end
   return {child = child, trial = trial, started = system.clock(), sampled = 0}
end

-- The most memory a process has had, as long as it runs.
local function sample(one)
   local now = system.clock()
   if now - one.sampled < SAMPLE_S then return end
   one.sampled = now
   local text = files.read(("/proc/%d/status"):format(one.child:pid()))
   local kilobytes = text and text:match("VmHWM:%s*(%d+)")
   one.peak_bytes = kilobytes and tonumber(kilobytes) * 1024 or one.peak_bytes
end

local function last_line(path)
   local text = files.read(path) or ""
   return text:match("([^\n]*%S[^\n]*)%s*$")
end

-- What became of a process that has ended.
local function outcome_of(one, how, code)
   local result = how == "exit" and worker.read(one.trial.folder .. "/result.lua")
   if result and result.key == one.trial.key then return result end
   local text = how == "signal" and ("killed by signal %d%s"):format(code,
      SIGNALS[code] and (" (%s)"):format(SIGNALS[code]) or "") or ("ended with status %d and no result"):format(code)
   local line = last_line(one.trial.folder .. "/log.txt")
   return {error = line and text .. ": " .. line or text, wall_s = system.clock() - one.started,
      peak_bytes = one.peak_bytes}
end

-- Ask all to end, and wait a little; who is left will be killed.
local function stop(running)
   for _, one in ipairs(running) do one.child:stop() end
   local till = system.clock() + GRACE_S
   while #running > 0 and system.clock() < till do
      for i = #running, 1, -1 do
         if running[i].child:ended() then table.remove(running, i) end
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
         local done = worker.read(trial.folder .. "/result.lua") -- finished, but not yet in the file
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
         local how, code = one.child:ended()
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
   for _, one in ipairs(running) do one.child:close() end
   system.hold_interrupts(false)
   if not ok then error(message, 0) end
end

return pool
