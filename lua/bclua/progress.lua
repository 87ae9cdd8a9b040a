--- Progress of long work: a bar on a terminal, a plain line every few seconds
-- elsewhere. Everything goes to stderr, so that results stay clean.
-- @module bclua.progress
local check_options = require("bclua.options").check
local display = require "bclua.display"
local system = require "bclua.system"

local progress = {}

local BAR, SHORT_BAR, LINE_EVERY_S, DRAW_EVERY_S = 24, 8, 5, 0.1
local USUAL_COLUMNS = 80

--- Do bars also show what only some want to know (`-v`)?
progress.verbose = os.getenv("BCLUA_VERBOSE") == "1"

local drawn -- where a bar stands in the line of the cursor; nil: nowhere

--- Columns of the terminal that stdout is; nil: it is none.
-- @treturn ?integer
function progress.columns()
   local columns = system.is_terminal(1) and system.columns(1) or 0
   return columns > 0 and columns or nil
end

--- Seconds as people read them: 7 s, 2 min 05 s, 3 h 20 min.
function progress.duration(seconds)
   if seconds < 0 or seconds ~= seconds or seconds == math.huge then return "?" end
   if seconds < 10 then return ("%.1f s"):format(seconds) end
   if seconds < 60 then return ("%.0f s"):format(seconds) end
   local minutes = math.floor(seconds / 60)
   if minutes < 60 then return ("%d min %02d s"):format(minutes, math.floor(seconds % 60)) end
   return ("%d h %02d min"):format(minutes // 60, minutes % 60)
end

--- The text of a state; a pure function, so that it can be tested.
-- @tparam table s name, done, total, elapsed (seconds), unit, extra
function progress.text(s)
   local rate = s.elapsed >= DRAW_EVERY_S and s.done / s.elapsed or 0 -- before that it says nothing
   local left = rate > 0 and progress.duration((s.total - s.done) / rate) or "?"
   local text = ("%s %d/%d %s  %.3g/s  %s left"):format(s.name, s.done, s.total, s.unit, rate, left)
   if s.extra and s.extra ~= "" then text = text .. "  " .. s.extra end
   return text
end

--- The line of a bar; a pure function, so that it can be tested. Where there is no room for both, the
-- bar becomes shorter first, then the text is cut.
-- @tparam number share of the work that is done, 0 to 1
-- @tparam string text
-- @tparam integer columns of the terminal, of which the last stays free: some begin a new line after it
-- @treturn string
function progress.line(share, text, columns)
   local bar = math.max(SHORT_BAR, math.min(BAR, columns - 1 - #"[] " - display.width(text)))
   local full = math.floor(share * bar + 0.5)
   return display.cut(("[%s%s] %s"):format(("#"):rep(full), ("."):rep(bar - full), text), columns - 1)
end

--- Wipe away the bar in the line of the cursor, if there is one, so that what is written next has the line
-- to itself.
function progress.clear()
   if drawn then drawn:write("\r\27[K") end
   drawn = nil
end

local function is_quiet(quiet) return quiet or os.getenv("BCLUA_QUIET") == "1" end

-- A text of one line; on a terminal of fewer columns broken at blanks.
local function write(out, text, is_terminal, columns)
   columns = is_terminal and (columns or system.columns(2)) or 0
   text = display.line(text)
   out:write(columns > 0 and display.wrap(text, columns) or text, "\n")
end

--- A line about work that is done, unless all is to be quiet; a bar makes way for it.
function progress.note(text, quiet)
   if is_quiet(quiet) then return end
   progress.clear()
   write(io.stderr, text, system.is_terminal(2))
end

local SLOW_S, AGAIN_S = 20, 60

--- Lines about one piece of work, should it take long: the first after 20 s, then one a minute. May be used on a worker
-- state, beside a bar.
-- @tparam string what
-- @tparam[opt] table options `quiet`, `out` (stderr), `after_s` (20), `again_s` (60)
-- @treturn function (part, share): how much of a part of it, in words, is done, 0 to 1
function progress.slow(what, options)
   local o = check_options(options, {quiet = "boolean", out = "output",
      after_s = {"number", least = 0, default = SLOW_S}, again_s = {"number", least = 0, default = AGAIN_S}})
   local out, quiet, started = o.out or io.stderr, is_quiet(o.quiet), system.clock()
   local next_s, current_part, part_s = o.after_s, nil, 0
   return function(name, share)
      local now = system.clock() - started
      if name ~= current_part then current_part, part_s = name, now end
      if quiet or now < next_s then return end
      next_s = now + o.again_s
      local left = share > 0 and progress.duration((now - part_s) * (1 - share) / share) or "?"
      out:write(("%s%s: %s, %.0f %%, %s left\n"):format(system.is_terminal(2) and "\r\27[K" or "", what, name,
         100 * share, left))
      out:flush()
   end
end

local Progress = {}
Progress.__index = Progress

local current -- the last that began and has not ended

local NEW = {
   unit = {"string", default = "items"},
   done = {"number", least = 0, default = 0},
   kept = "any",
   quiet = "boolean",
   out = "output",
   terminal = "boolean",
   columns = {"integer", least = 1},
}

--- Begin.
-- @tparam string name of the work
-- @tparam integer total how much there is to do
-- @tparam[opt] table options `unit` ("items"), `done` (finished before this run;
-- not part of the rate), `kept` (what is done stays where the rest is broken off: true, or where it is), `quiet`,
-- `out` (default stderr), `terminal` (default: is it one?), `columns` (of the terminal; default: what it says at every
-- drawing)
function progress.new(name, total, options)
   local o = check_options(options, NEW)
   local terminal = o.terminal
   if terminal == nil then terminal = system.is_terminal(2) end
   current = setmetatable({
      name = name, total = total, unit = o.unit, done = 0, before = o.done,
      started = system.clock(), shown = -math.huge, out = o.out or io.stderr,
      terminal = terminal, columns = o.columns, quiet = is_quiet(o.quiet), kept = o.kept,
   }, Progress)
   return current
end

--- Seconds since it began.
function Progress:elapsed() return system.clock() - self.started end

--- What `text` takes.
function Progress:state(extra)
   return {name = self.name, done = self.done, total = self.total - self.before, unit = self.unit,
      elapsed = self:elapsed(), extra = extra}
end

--- Say how much is done.
-- @tparam integer done in this run
-- @tparam[opt] string extra shown at the end of the line where `progress.verbose` is set
function Progress:update(done, extra)
   self.done = done
   local now = system.clock()
   if self.quiet or now - self.shown < (self.terminal and DRAW_EVERY_S or LINE_EVERY_S) then return end
   if not self.terminal and self.shown == -math.huge then -- no line for what is quick
      self.shown = now
      return
   end
   self.shown = now
   local text = display.line(progress.text(self:state(progress.verbose and extra or nil)))
   if self.terminal then
      local columns = self.columns or system.columns(2) or 0
      self.out:write("\r\27[K", progress.line(self.total > 0 and (self.before + done) / self.total or 1, text,
         columns > 0 and columns or USUAL_COLUMNS))
      drawn = self.out
   else
      self.out:write(text, "\n")
   end
   self.out:flush()
end

--- The end: one line that stays.
-- @tparam[opt] string summary default: how much in how long
function Progress:finish(summary)
   if current == self then current = nil end
   if self.quiet then return end
   local elapsed = self:elapsed()
   summary = summary or ("%s in %s"):format(display.count(self.done, (self.unit:gsub("s$", "")), self.unit),
      progress.duration(elapsed))
   progress.clear()
   write(self.out, self.name .. ": " .. summary, self.terminal, self.columns)
   self.out:flush()
end

local part -- of the command

--- Say which part of a command begins; what came before is kept.
-- @tparam string name
function progress.begin_part(name) part, current = name, nil end

--- What is left of work that is broken off now, and how to go on; a bar makes way for it.
-- @treturn string
function progress.interrupted()
   local bar = current
   progress.clear()
   local words = {"interrupted" .. (part and " in " .. part or "")}
   if bar and bar.kept then
      words[2] = ("%d of %d %s done%s"):format(bar.before + bar.done, bar.total, bar.unit,
         bar.kept ~= true and (" (%s)"):format(bar.kept) or "")
   elseif part then
      words[2] = "what came before it is kept"
   end
   return ("%s; run the same command %s"):format(table.concat(words, ": "), words[2] and "to go on" or "again")
end

return progress
