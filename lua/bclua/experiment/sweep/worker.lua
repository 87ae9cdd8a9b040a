--- One trial: call the function, measure, and keep what comes; here or in a process of its own.
-- @module bclua.experiment.sweep.worker
local child = require "bclua.child"
local system = require "bclua.system"

local worker = {}

local function reset_peak()
   local f = io.open("/proc/self/clear_refs", "w")
   if not f then return end
   f:write("5")
   f:close()
end

-- Numbers, texts and truth values of what the function returned.
local function take(result, message)
   if type(result) == "number" then return {value = result} end
   if type(result) ~= "table" then
      return nil, message ~= nil and tostring(message) or
         ("returned %s, not a table of metrics"):format(result == nil and "nothing" or type(result))
   end
   local metrics = {}
   for k, v in pairs(result) do
      local kind = type(v)
      if type(k) == "string" and (kind == "number" or kind == "string" or kind == "boolean") then metrics[k] = v end
   end
   return metrics
end

--- Call a trial's function.
-- @tparam function f
-- @tparam table parameters
-- @tparam table context
-- @treturn table `metrics`, or `error` and `traceback`; `wall_s`, `cpu_s`, `peak_bytes` (of the whole process);
-- `interrupted`
function worker.call(f, parameters, context)
   collectgarbage()
   reset_peak()
   local wall, cpu = system.clock(), system.cpu_clock()
   local traceback
   local ok, result, message = xpcall(f, function(e)
      traceback = debug.traceback(tostring(e), 2)
      return e
   end, parameters, context)
   local outcome = {wall_s = system.clock() - wall, cpu_s = system.cpu_clock() - cpu, traceback = traceback}
   local peak = child.memory()
   if peak > 0 then outcome.peak_bytes = peak end
   if ok then
      outcome.metrics, outcome.error = take(result, message)
   else
      outcome.error = tostring(result)
   end
   if outcome.error then
      outcome.interrupted = system.interrupted() or not ok and outcome.error:find("interrupted!", 1, true) ~= nil
   end
   return outcome
end

local loading

--- The function that a job names: of a module, or of a Lua file that returns it or a table with it.
-- @tparam string module
-- @tparam string name
-- @treturn function
-- @raise there is none
function worker.find(module, name)
   local found
   if module:match("%.lua$") then
      if loading then error(module .. ": begins a sweep itself; put the function into a file of its own", 0) end
      local chunk, message = loadfile(module)
      if not chunk then error(message, 0) end
      loading = true
      local ok, result = pcall(chunk)
      loading = false
      if not ok then error(result, 0) end
      found = result
   else
      local here, message = package.searchpath(module, package.path)
      if not (here or package.loaded[module] or package.preload[module]) then
         error(("no module '%s': %s"):format(module, message), 0)
      end
      found = require(module)
   end
   local f = type(found) == "table" and found[name] or found
   if type(f) ~= "function" then error(("%s: has no function '%s'"):format(module, name), 0) end
   return f
end

--- Do a trial in a process of its own, see `bclua.child`.
-- @tparam table job `module`, `name`, `key`, `parameters`, `context`
-- @tparam function note keeps the outcome
function worker.work(job, note)
   local ok, f = pcall(worker.find, job.module, job.name)
   local outcome = ok and worker.call(f, job.parameters, job.context) or {error = tostring(f), wall_s = 0, cpu_s = 0}
   if outcome.interrupted then error("interrupted!", 0) end
   if outcome.traceback then io.stderr:write(outcome.traceback, "\n") end
   outcome.key = job.key
   note(outcome)
end

return worker
