-- terminal.lua: the REPL in a pseudo-terminal, driven key by key: script(1) makes
-- the terminal, and what appears on it is read from a file.
local command = require "support.command"
local system = require "bclua.system"

local terminal = {}
terminal.__index = terminal

local PATIENCE_S = 30

--- Can a pseudo-terminal be had? Not without script(1), nor where /dev/pts is not mounted.
function terminal.available()
   local _, status = command.shell("script -qec true /dev/null </dev/null")
   return status == 0
end

--- Start it; options: `home` (a folder), `env` ("A=b"), `arguments`.
function terminal.start(options)
   local self = setmetatable({folder = command.folder(), at = 1}, terminal)
   self.out = self.folder .. "/out"
   local words = {"env -u BCLUA_HISTORY -u NO_COLOR HOME=" .. command.quote(options.home or self.folder),
      "TERM=xterm", options.env or "", "timeout -k 5 60 script -qefc",
      command.quote(command.program .. " " .. (options.arguments or "")), command.quote(self.out), ">/dev/null 2>&1"}
   self.pipe = assert(io.popen(table.concat(words, " "), "w"))
   self.pipe:setvbuf("no")
   return self
end

function terminal:text()
   local f = io.open(self.out, "rb")
   if not f then return "" end
   local text = f:read("a")
   f:close()
   -- without the codes of bracketed paste and carriage returns
   return (text:gsub("\27%[%?2004[hl]", ""):gsub("\r", ""))
end

--- Wait until a pattern appears after what was waited for before.
function terminal:wait(pattern)
   local deadline = system.clock() + PATIENCE_S
   while true do
      local text = self:text()
      local _, last = text:find(pattern, self.at)
      if last then
         self.at = last + 1
         return text
      end
      if system.clock() > deadline then
         error(("no %q in %q"):format(pattern, text:sub(self.at)), 2)
      end
      system.sleep(0.01)
   end
end

function terminal:send(keys) self.pipe:write(keys) end

--- Wait for its end; returns all that was shown, and the exit status.
function terminal:finish()
   local deadline = system.clock() + PATIENCE_S
   repeat system.sleep(0.01) until self:text():find("Script done", 1, true) or system.clock() > deadline
   local _, _, status = self.pipe:close()
   local text = self:text()
   command.remove(self.folder)
   return text, status
end

return terminal
