-- command.lua: start this program, and others, from a spec.
local command = {}

command.program = BCLUA

local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end
command.quote = quote

--- Run a shell command; returns output (stderr included) and exit status.
function command.shell(text)
   local p = assert(io.popen("( " .. text .. " ) 2>&1", "r"))
   local out = p:read("a")
   local _, _, status = p:close()
   return out, status
end

--- Run bclua with arguments; options: stdin (text), dir, env ("A=b C=d").
function command.bclua(arguments, options)
   options = options or {}
   local program = command.program
   if program:find("/", 1, true) and program:sub(1, 1) ~= "/" then
      program = require("lfs").currentdir() .. "/" .. program
   end
   local words = {options.env and "env " .. options.env or "", quote(program)}
   for _, a in ipairs(arguments) do words[#words + 1] = quote(a) end
   local text = table.concat(words, " ")
   if options.stdin then
      text = "printf '%s' " .. quote(options.stdin) .. " | " .. text
   else
      text = text .. " </dev/null"
   end
   if options.dir then text = "cd " .. quote(options.dir) .. " && " .. text end
   return command.shell(text)
end

--- A new empty folder, removed by command.remove.
function command.folder()
   local path = os.tmpname()
   os.remove(path)
   assert(require("bclua.system").mkdir(path))
   return path
end

function command.remove(path) os.execute("rm -rf " .. quote(path)) end

function command.write(path, text)
   local f = assert(io.open(path, "wb"))
   f:write(text)
   f:close()
   return path
end

function command.read(path)
   local f = assert(io.open(path, "rb"))
   local text = f:read("a")
   f:close()
   return text
end

--- Does a process run that has this text in its command line?
function command.is_running(text)
   for pid in require("lfs").dir("/proc") do
      local f = pid:find("^%d+$") and io.open("/proc/" .. pid .. "/cmdline", "rb") -- it may have ended just now
      local words = f and f:read("a") or ""
      if f then f:close() end
      if words:find(text, 1, true) then return true end
   end
   return false
end

--- Run a script with wrong words: it fails, says what is wrong, and shows no traceback.
-- @tparam function run takes the words, returns output and status, as `command.bclua`
-- @tparam table cases what must be said by option and value: `["--steps 0"] = "'0' is outside"`
function command.refuses(run, cases)
   local assert = require "luassert"
   for words, text in pairs(cases) do
      local option, value = words:match("(%S+) (%S+)")
      local out, status = run(option, value)
      assert.not_equal(0, status)
      assert.matches(text, out, 1, true)
      assert.is_nil(out:find("traceback", 1, true), out)
   end
end

return command
