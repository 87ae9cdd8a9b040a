--- The REPL on a terminal: prompt, history, completion, the line at the start.
-- @module bclua.repl.terminal
local display = require "bclua.display"

local terminal = {}

local PROMPT, MORE = "> ", ">> "

local function history_path()
   local home = os.getenv("HOME")
   return os.getenv("BCLUA_HISTORY") or (home and home .. "/.bclua_history")
end

--- What the REPL says first: versions of the libraries and the number of threads.
-- DuckDB's is the one that the build found, as its library is large and comes
-- with the first query; the others speak for themselves.
-- @treturn string
function terminal.banner()
   local system = require "bclua.system"
   local parts = {"bclua " .. system.version(), _VERSION}
   local duckdb = require("bclua.help").versions().DuckDB
   if duckdb then parts[#parts + 1] = "DuckDB " .. duckdb:gsub("^v", "") end
   local blas = require("bclua.nn.core").version():match("^%S+ %S+")
   parts[#parts + 1] = blas
   local fftw = require("bclua.spectral").version():match("fftw%-([%d%.]+)")
   if fftw then parts[#parts + 1] = "FFTW " .. fftw end
   for name, version in require("bclua.audio").version():gmatch("(lib%a+)%-([%d%.]+)") do
      parts[#parts + 1] = name .. " " .. version
   end
   local text = table.concat(parts, ", ") .. ", " .. display.count(system.threads(), "thread")
   return display.wrap(text, (require("bclua.host").window()) or 80) .. "\n:help explains"
end

local function write(status, text)
   local progress = package.loaded["bclua.progress"]
   if progress then progress.clear() end -- the bar of what was stopped
   if text == "" then return end
   local out = status == "error" and io.stderr or io.stdout
   out:write(text, "\n")
   out:flush()
end

-- A text that is longer than the terminal goes to the pager; without one it is printed as all others are.
local function page(text)
   local _, rows = require("bclua.host").window()
   local _, breaks = text:gsub("\n", "")
   if not rows or breaks + 2 < rows then return text end
   io.stdout:flush()
   local pager = io.popen("LESS=${LESS-FRX} ${PAGER:-less} 2>/dev/null || cat", "w")
   if not pager then return text end
   pager:write(text, "\n") -- fails where the pager was left: nobody reads on
   pager:close()
   return ""
end

--- Run until Ctrl-D or `:quit`.
-- @tparam table repl the module bclua.repl
function terminal.run(repl)
   local host, system = require "bclua.host", require "bclua.system"
   local history = history_path()
   local session = repl.new({call = host.call, preload = true, on_entry = function(entry)
      host.add_history(entry, history) -- before it runs: it may be the last that this process does
   end, columns = function() return (host.window()) end, page = page,
      colour = system.is_terminal(2) and (os.getenv("NO_COLOR") or "") == "" and os.getenv("TERM") ~= "dumb"})
   if history then host.read_history(history) end
   host.set_completer(function(line, start) return session:complete(line, start) end)
   if system.is_terminal(1) then write("ok", terminal.banner()) end
   while true do
      local line = host.readline(session.pending and MORE or PROMPT)
      if line == nil then break end
      if line == false then
         session:cancel()
      else
         local status, text = session:feed(line)
         write(status, text)
         if status == "quit" then break end
      end
   end
end

return terminal
