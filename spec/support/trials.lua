-- trials.lua: functions for sweeps whose trials have processes of their own.
local system = require "bclua.system"

local trials = {}

local function note(p, text)
   if not p.notes then return end
   local f = io.open(p.notes, "a")
   f:write(text, "\n")
   f:close()
end

--- What becomes of a trial is up to the parameter `what`.
function trials.run(p, context)
   note(p, ("%s %d"):format(p.what, p.seed))
   print("here is " .. p.what)
   if p.what == "raises" then error("too big") end
   if p.what == "message" then return nil, "XC1.ogg: not there" end
   if p.what == "killed" then os.execute("kill -9 $PPID") end
   if p.what == "exits" then os.exit(7) end
   if p.what == "nan" then return {score = 0 / 0} end
   if p.what == "slow" then system.sleep(30) end
   if p.what == "deaf" then os.execute("trap '' TERM; sleep 30") end
   return {score = p.seed + 1 / 3, threads = system.threads(), folder = context.folder, whole = 2 ^ 53 | 0}
end

return trials
