--- Pictures on the terminal: kitty's or sixel graphics where the terminal has them,
-- Unicode characters in colour elsewhere.
-- @module bclua.plot.screen
local cells = require "bclua.plot.cells"
local files = require "bclua.files"
local gnuplot = require "bclua.plot.gnuplot"
local system = require "bclua.system"

local screen = {}

-- An empty variable is none.
local function env(name)
   local value = os.getenv(name)
   return value ~= "" and value or nil
end

local KINDS = {kitty = true, sixel = true, blocks = true}

local has_host, host = pcall(require, "bclua.host") -- not in a stock Lua

--- Columns, rows, width and height in pixels (0: unknown) of the terminal.
function screen.window()
   if has_host then
      local columns, rows, width, height = host.window()
      if columns then return columns, rows, width, height end
   end
   return math.tointeger(tonumber(env("COLUMNS"))) or 80, math.tointeger(tonumber(env("LINES"))) or 24, 0, 0
end

-- What the terminal says of itself: kitty's graphics answer "OK"; attribute 4 among
-- the device attributes is sixel. A terminal that knows neither answers only the
-- second question, one that answers nothing costs a fifth of a second, once.
local QUESTION = "\27_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\27\\\27[c"

--- What an answer to that question means.
function screen.understand(answer)
   if answer:find("_Gi=31;OK", 1, true) then return "kitty" end
   local attributes = answer:match("\27%[%?([%d;]+)c")
   if attributes and (";" .. attributes .. ";"):find(";4;", 1, true) then return "sixel" end
   return "blocks"
end

local answered

--- The best that the terminal at stdout can show: "kitty", "sixel" or "blocks".
-- `BCLUA_GRAPHICS` decides where it is set. Inside tmux and screen, which would
-- swallow pictures, and where stdout is no terminal, it is "blocks".
-- @treturn string
function screen.kind()
   local wanted = env("BCLUA_GRAPHICS")
   if wanted and KINDS[wanted] then return wanted end
   local term = env("TERM") or ""
   if not system.is_terminal(1) or env("TMUX") or term:find("^screen") then return "blocks" end
   if env("KITTY_WINDOW_ID") then return "kitty" end
   if not answered then
      local answer = has_host and term ~= "dumb" and host.ask(QUESTION, 0.2)
      answered = answer and screen.understand(answer) or "blocks"
   end
   return answered
end

--- How many colours characters may have: "true", "256" or "none".
function screen.colours()
   if env("NO_COLOR") or env("TERM") == "dumb" then return "none" end
   local depth, term = env("COLORTERM") or "", env("TERM") or ""
   if depth == "truecolor" or depth == "24bit" or term:find("kitty") or term:find("direct") then return "true" end
   return "256"
end

local function base64(bytes) return require("bclua.report").base64(bytes) end

--- A PNG in kitty's protocol.
function screen.kitty(png)
   local text, parts = base64(png), {}
   for first = 1, #text, 4096 do
      parts[#parts + 1] = ("\27_G%sm=%d;%s\27\\"):format(first == 1 and "a=T,f=100," or "",
         first + 4096 <= #text and 1 or 0, text:sub(first, first + 4095))
   end
   return table.concat(parts)
end

local function drawn(figure, kind, size)
   local scratch <close> = files.scratch()
   local path = os.tmpname()
   scratch[1] = path
   local ok, message = gnuplot.draw(figure, path, kind == "kitty" and "png" or "sixel", size, false)
   if not ok then return nil, message end
   local f = assert(io.open(path, "rb"))
   local bytes = f:read("a")
   f:close()
   return kind == "kitty" and screen.kitty(bytes) or bytes
end

--- Show a figure.
-- @tparam table figure
-- @tparam table options `terminal` (a kind; default: the best), `size` in pixels,
--  `columns`, `rows`, `colours`, `out`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
function screen.show(figure, options)
   local out = options.out or io.stdout
   local kind = options.terminal or screen.kind()
   local columns, rows, width = screen.window()
   local text, message
   if kind == "blocks" then
      local plain = not options.out and not system.is_terminal(1)
      text = cells.draw(figure, {columns = options.columns or math.min(columns - 1, 120),
         rows = options.rows or math.max(8, math.min(rows - 3, 24)),
         colours = options.colours or (plain and "none" or screen.colours())})
   else
      local size = options.size or figure.size
      if width > 0 and size[1] > width and not options.size then
         size = {width, math.floor(size[2] * width / size[1])}
      end
      text, message = drawn(figure, kind, size)
      if not text then return nil, message end
   end
   out:write(text, "\n")
   if out.flush then out:flush() end
   return true
end

return screen
