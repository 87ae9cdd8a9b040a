-- spread.lua: spec files spread over processes, several at a time, each this program anew.
-- What they print is put together: a line a file as it ends, then what failed or was skipped, one closing line.
local command = require "support.command"
local files = require "bclua.files"
local process = require "bclua.process"
local system = require "bclua.system"
local times = require "support.times"

local spread = {}

local LOOK_EVERY_S = 0.02
-- They take longest and begin first, so that none of them is left to run alone at the end.
local LONG = {"docs", "loader", "fit", "workflow", "report", "tiles", "search", "package"}

local function is_spec(name) return name:find("_spec%.lua$") ~= nil end

-- The files that the arguments name, and the options among them.
local function sort_out(arguments)
   local names, options = {}, {}
   for _, word in ipairs(arguments) do
      local found = files.find(word, is_spec)
      if found then
         for _, below in ipairs(found) do names[#names + 1] = word .. "/" .. below end
      else
         table.insert(word:sub(1, 1) == "-" and options or names, word)
      end
   end
   for i = #LONG, 1, -1 do
      for at, name in ipairs(names) do
         if name:match("([^/]*)_spec%.lua$") == LONG[i] then table.insert(names, 1, table.remove(names, at)) end
      end
   end
   return names, options
end

-- Add what one file's process has printed to the sums. Without a closing line, or with a status that it
-- does not explain (a crash, a leak), the whole counts as one failure.
local function add(sums, file, text, how, code)
   local line, details, passed, failed, more = text:match("^(.-\n)(.*)\n(%d+) passed, (%d+) failed([^\n]*)\n")
   if not line or code ~= 0 and tonumber(failed) == 0 then
      line, passed, failed, more = ("%-44s%s %d\n"):format(file, how, code), 0, 1, ""
      details = ("\nFAILED: %s\n  ended by %s %d\n%s\n"):format(file, how, code, (text:gsub("%s+$", "")))
   end
   io.write(line)
   io.flush()
   sums.passed, sums.failed = sums.passed + passed, sums.failed + failed
   sums.skipped = sums.skipped + (more:match("(%d+) skipped") or 0)
   sums.details[#sums.details + 1] = details
   local seconds = tonumber(line:match("([%d.]+) s\n$"))
   if seconds then table.insert(sums.times, {name = file, seconds = seconds}) end
end

-- Start the process of one file.
local function start(file, options, log)
   local words = {command.program, arg[0], table.unpack(options)}
   words[#words + 1] = file
   return {file = file, log = log, child = assert(process.start(words, {log = log}))}
end

--- Run spec files.
-- @tparam {string,...} arguments of run.lua: files, folders with `*_spec.lua` somewhere in them, options of busted
-- @tparam integer jobs processes at a time
-- @treturn boolean did all pass?
function spread.run(arguments, jobs)
   local names, options = sort_out(arguments)
   if #names == 0 then
      io.stderr:write("run.lua: no *_spec.lua there\n")
      return false
   end
   local sums = {passed = 0, failed = 0, skipped = 0, details = {}, times = {}}
   local at, running, folder = 0, {}, command.folder()
   local _ <close> = setmetatable({}, {__close = function()
      for _, one in pairs(running) do one.child:close() end
      command.remove(folder)
   end})
   repeat
      for job = 1, jobs do
         local one, how, code = running[job], nil, nil
         if one then how, code = one.child:ended() end
         if how then
            add(sums, one.file, assert(files.read(one.log)), how, code)
            running[job], one = nil, nil
         end
         if not one and at < #names then
            at = at + 1
            running[job] = start(names[at], options, ("%s/%d"):format(folder, job))
         end
      end
      system.sleep(LOOK_EVERY_S)
   until at == #names and not next(running)
   io.write(table.concat(sums.details), times.text(sums.times))
   print(("\n%d passed, %d failed%s"):format(sums.passed, sums.failed,
      sums.skipped > 0 and (", %d skipped"):format(sums.skipped) or ""))
   return sums.failed == 0
end

return spread
