-- output.lua: busted output: a line a file, every failure in full, how long the slowest took, one closing line.
local times = require "support.times"

local function describe(t)
   local where = t.trace and ("%s:%s"):format(t.trace.short_src, t.trace.currentline) or "?"
   local message = t.message
   if type(message) ~= "string" then message = require("pl.pretty").write(message) end
   if t.trace and t.trace.traceback and t.isError then message = message .. t.trace.traceback end
   return ("%s\n  %s\n  %s"):format(t.name, where, (message:gsub("\n", "\n  ")))
end

return function()
   local busted = require "busted"
   local system = require "bclua.system"
   local handler = require("busted.outputHandlers.base")()
   local started, before, took = 0, 0, {}

   handler.fileStart = function(file)
      started, before = system.clock(), handler.successesCount
      io.write(("%-44s"):format(file.name))
      io.flush()
      return nil, true
   end

   handler.fileEnd = function(file)
      local seconds = system.clock() - started
      took[#took + 1] = {name = file.name, seconds = seconds}
      io.write(("%4d passed  %6.2f s\n"):format(handler.successesCount - before, seconds))
      io.flush()
      return nil, true
   end

   handler.suiteEnd = function()
      for _, t in ipairs(handler.pendings) do
         print(("\nskipped: %s\n  %s"):format(t.name, t.message or ""))
      end
      for _, t in ipairs(handler.failures) do print("\nFAILED: " .. describe(t)) end
      for _, t in ipairs(handler.errors) do print("\nERROR: " .. describe(t)) end
      local failed = handler.failuresCount + handler.errorsCount
      local line = ("%d passed, %d failed"):format(handler.successesCount, failed)
      if handler.pendingsCount > 0 then line = line .. (", %d skipped"):format(handler.pendingsCount) end
      io.write(times.text(took))
      print("\n" .. line)
      io.flush()
      return nil, true
   end

   handler.error = function(element, _, message)
      if element.descriptor ~= "it" then
         io.stderr:write("\nerror in ", tostring(element.name), ": ", tostring(message), "\n")
      end
      return nil, true
   end

   busted.subscribe({"file", "start"}, handler.fileStart)
   busted.subscribe({"file", "end"}, handler.fileEnd)
   busted.subscribe({"suite", "end"}, handler.suiteEnd)
   busted.subscribe({"error"}, handler.error)
   return handler
end
