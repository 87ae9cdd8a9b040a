--- This program again, in processes of its own that do a job each.
--
-- Each is started anew: a copy (`fork`) of a program that has threads cannot go on safely. All that it shares with the
-- one that started it is a folder: it reads `job.lua` there and writes `result.lua`; what it prints goes to `log.txt`.
-- A process that dies takes nothing with it; when the one that started it ends, it is killed.
-- @module bclua.child
local files = require "bclua.files"
local lfs = require "lfs"
local process = require "bclua.process"
local system = require "bclua.system"

local child = {}

local SIGNALS = {[6] = "SIGABRT", [7] = "SIGBUS", [8] = "SIGFPE", [9] = "SIGKILL, out of memory?", [11] = "SIGSEGV",
   [15] = "SIGTERM"}

local START = [[package.path, package.cpath = %q, %q require("bclua.child").main(%q, %q, %d)]]

-- A value as Lua source: numbers to the last bit.
local function literal(value)
   if type(value) ~= "table" then return ("%q"):format(value) end
   local parts = {}
   for k, v in pairs(value) do parts[#parts + 1] = ("[%q]=%s"):format(k, literal(v)) end
   table.sort(parts)
   return "{" .. table.concat(parts, ",") .. "}"
end

--- Write a job or a result.
-- @tparam string path
-- @tparam table value of numbers, texts, truth values, and tables of such
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
function child.write(path, value) return system.write_file(path, literal(value)) end

--- Read what `write` wrote.
-- @tparam string path
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string message
function child.read(path)
   local text, message = files.read(path)
   if not text then return nil, message end
   local chunk
   chunk, message = load("return " .. text, "=" .. path, "t", {})
   if not chunk then return nil, message end
   return chunk()
end

--- Start a process.
-- @tparam string folder for its job, result and log; made if need be. A result of before is removed
-- @tparam string module has a function `work`, see `main`
-- @tparam table job see `write`
-- @tparam[opt] table options `env`: changes to the environment; `before`: words of a command that starts the program
-- @treturn[1] process see `bclua.process`
-- @treturn[2] nil
-- @treturn[2] string message
function child.start(folder, module, job, options)
   options = options or {}
   os.remove(folder .. "/result.lua")
   local ok, message = system.mkdir(folder)
   if ok then ok, message = child.write(folder .. "/job.lua", job) end
   if not ok then return nil, message end
   local words = {table.unpack(options.before or {})}
   words[#words + 1] = lfs.symlinkattributes("/proc/self/exe", "target"):gsub(" %(deleted%)$", "") -- it was built anew
   words[#words + 1] = "-e"
   words[#words + 1] = START:format(package.path, package.cpath, folder, module, process.number())
   local env = {BCLUA_QUIET = "1"}
   for name, value in pairs(options.env or {}) do env[name] = value end
   return process.start(words, {log = folder .. "/log.txt", env = env})
end

--- How a process ended, in words.
-- @tparam string how "exit" or "signal", as of `process:ended`
-- @tparam integer code
-- @treturn string as in "killed by signal 11 (SIGSEGV)" and "ended with status 1"
function child.ending(how, code)
   if how == "exit" then return ("ended with status %d"):format(code) end
   return ("killed by signal %d%s"):format(code, SIGNALS[code] and (" (%s)"):format(SIGNALS[code]) or "")
end

--- The memory of a process that runs, bytes; 0 where the system does not say.
-- @tparam[opt] integer pid default: this process
-- @treturn integer the most that was resident
-- @treturn integer addresses that are not resident now
function child.memory(pid)
   local text = files.read(("/proc/%s/status"):format(pid or "self")) or ""
   local function bytes(name) return (tonumber(text:match(name .. ":%s*(%d+)")) or 0) * 1024 end
   return bytes("VmHWM"), bytes("VmSize") - bytes("VmRSS")
end

--- The whole life of such a process: read the job, do it, write the result.
-- @tparam string folder
-- @tparam string module its `work(job, note)` does the job; `note(result)` keeps what there is so far
-- @tparam integer parent number of the process that started this one
function child.main(folder, module, parent)
   local job = assert(child.read(folder .. "/job.lua"))
   if not process.follow(parent) then os.exit(1) end
   require(module).work(job, function(result) assert(child.write(folder .. "/result.lua", result)) end)
end

return child
