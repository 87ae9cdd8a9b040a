-- usage: bclua spec/fuzz/seams.lua FOLDER [CALLS [SECONDS [SEED [JOBS]]]]
-- Calls every function and method of the C modules with wrong arguments, in processes of BATCH
-- calls (calls.lua), each of a seed of its own. Ends with status 1 at the first that crashes, leaks,
-- takes a gigabyte in a call, or goes on for seconds although it was asked to stop; then it tells
-- the call and how to repeat it.
local lfs = require "lfs"
local process = require "bclua.process"
local system = require "bclua.system"
local files = require "bclua.files"

local BATCH = 5000
local LONG_S, STOP_S, START_S = 1, 4, 60 -- a call; from Ctrl-C to the end; start, and the leak check

local folder, calls, seconds = arg[1], tonumber(arg[2] or 1e6), tonumber(arg[3] or math.huge)
local seed, jobs = tonumber(arg[4] or os.time()), tonumber(arg[5] or 1)
local here = arg[0]:match("^(.*)/[^/]*$")
local made, stopped = 0, 0

local function start()
   local path = ("%s/%d"):format(folder, seed)
   assert(files.remove(path))
   local words = {arg[-1], here .. "/calls.lua", tostring(seed), tostring(BATCH), path}
   local job = {path = path, words = words, size = 0, since = system.clock(),
      process = assert(process.start(words, {log = path .. ".log"}))}
   seed = seed + 1
   return job
end

-- The last whole line of what the process is about to call, and its number.
local function last_call(job)
   local f <close> = io.open(job.path .. "/calls", "rb")
   if not f then return "", 0 end
   local line, count = "", 0
   for text in f:lines() do
      if text:find("^%d") then line, count = text, math.tointeger(text:match("^%d+")) end
   end
   return line, count
end

local function tail(job)
   local f <close> = io.open(job.path .. "/calls", "rb")
   if not f then return "" end
   f:seek("end", -math.min(f:seek("end"), 20))
   return f:read("a"):match("([^\n]*)\n$") or ""
end

local function fail(job, what)
   job.process:close()
   local f <close> = assert(io.open(job.path .. ".log"))
   io.stdout:write((f:read("a"):sub(1, 6000)), "\n", ("fuzz: %s in\n  %s\nagain: %s\n"):format(what,
      (last_call(job)), table.concat(job.words, " ")))
   os.exit(1, true)
end

local function finish(job, how, code)
   if how ~= "exit" or code ~= 0 then fail(job, ("%s %d"):format(how, code)) end
   local _, count = last_call(job)
   made = made + count
   if tail(job) == "stopped" then stopped = stopped + 1 end
   assert(files.remove(job.path))
   assert(files.remove(job.path .. ".log"))
end

-- True while it goes on.
local function watch(job)
   local how, code = job.process:ended()
   if how then return finish(job, how, code) end
   local now, size = system.clock(), lfs.attributes(job.path .. "/calls", "size") or 0
   if size ~= job.size then job.size, job.since = size, now end
   local waited, last = now - job.since, tail(job)
   local ends = size == 0 or last == "done" or last == "stopped" or last == "failed"
   if ends and waited > START_S then fail(job, "no start, or no end") end
   if not ends and waited > LONG_S and not job.asked then
      job.asked = now
      job.process:stop()
   end
   if not ends and job.asked and now - job.asked > STOP_S then fail(job, "no end after Ctrl-C") end
   return true
end

assert(system.mkdir(folder))
local running, begun, told = {}, system.clock(), 0
io.stdout:setvbuf("line")
print(("fuzz: seams from seed %d"):format(seed))
repeat
   local over = made >= calls or system.clock() - begun > seconds
   while not over and #running < jobs do running[#running + 1] = start() end
   for i = #running, 1, -1 do
      if not watch(running[i]) then table.remove(running, i) end
   end
   system.sleep(0.02)
   if system.clock() - told > 30 then
      told = system.clock()
      print(("fuzz: %d calls, %d stopped after a second, %.0f s"):format(made, stopped, told - begun))
   end
until over and #running == 0
print(("fuzz: %d calls, %d stopped after a second, %.0f s"):format(made, stopped, system.clock() - begun))
