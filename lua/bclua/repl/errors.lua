--- What the REPL says about an error: the message, the line where it happened, the
-- nearest name where one was misspelt, and the frames that are the user's.
-- @module bclua.repl.errors
local names = require "bclua.repl.names"
local system = require "bclua.system"

local errors = {}

local MOST_FRAMES = 12 -- shown

-- What debug.getlocal gives of a frame, as name -> value.
local function locals_of(level)
   local list = {}
   for i = 1, 255 do
      local name, value = debug.getlocal(level + 1, i)
      if not name then break end
      if name:sub(1, 1) ~= "(" then list[name] = value end
   end
   return list
end

-- The deepest level that there is, as seen by the caller: a stack that overflowed
-- has 200000, and looking at one takes as long as it is deep.
local function deepest()
   local low, high = 1, 1
   while debug.getinfo(high + 1, "l") do low, high = high, high * 2 end
   while low < high do
      local middle = (low + high + 1) // 2
      if debug.getinfo(middle + 1, "l") then low = middle else high = middle - 1 end
   end
   return low
end

--- A message handler for `xpcall`: takes the frames down to the function that is
-- called by it, so that nothing of the host is shown.
-- @tparam function lowest the last frame that is shown
-- @treturn function
function errors.handler(lowest)
   return function(value)
      local found, last = {value = value, frames = {}}, deepest()
      while last > 2 and debug.getinfo(last, "f").func ~= lowest do last = last - 1 end
      local level = 2
      while level <= last do
         local info = debug.getinfo(level, "Slnf")
         if info.what ~= "C" and not found.locals then found.locals = locals_of(level) end
         info.lowest = level == last
         local ours = info.name == "_bclua_pass" or info.source:find("/bclua/repl/show.lua", 1, true)
         if not ours then found.frames[#found.frames + 1] = info end
         if #found.frames == MOST_FRAMES // 2 and last - level > MOST_FRAMES // 2 then
            info.skipped = last - MOST_FRAMES // 2 - level
            level = level + info.skipped
         end
         level = level + 1
      end
      return found
   end
end

local function text_of(value)
   if type(value) == "string" then return value end
   local meta = debug.getmetatable(value)
   if type(meta) == "table" and meta.__tostring then
      local ok, text = pcall(tostring, value)
      if ok then return text end
   end
   if math.type(value) then return tostring(value) end
   return ("(error object is a %s value)"):format(type(value))
end

local function line_of(text, number)
   local n = 0
   for line in (text .. "\n"):gmatch("([^\n]*)\n") do
      n = n + 1
      if n == number then return line end
   end
end

-- The line of a chunk: of one typed before, or of a file.
local function source_line(sources, name, number)
   if sources[name] then return line_of(sources[name], number) end
   local f = io.open(name, "r")
   if not f then return nil end
   local n = 0
   for line in f:lines() do
      n = n + 1
      if n == number then
         f:close()
         return line
      end
   end
   f:close()
end

-- Where a word stands in a line as a whole one; fields after their dot first.
local function find_word(line, word)
   local escaped = word:gsub("%p", "%%%0")
   local at = line:find("[%.:]%s*" .. escaped .. "%f[^%w_]")
   if at then return line:find(word, at, true) end
   if word:find("^[%w_]+$") then return line:find("%f[%w_]" .. escaped .. "%f[^%w_]") end
   return line:find(word, 1, true)
end

-- The kind of name and the name that a message of Lua is about.
local function culprit(message)
   local kind, word = message:match("%((%a+) '([^']+)'%)")
   if kind then return kind, word end
   return nil, message:match("near '([^']+)'")
end

local function hint(session, message, line, found)
   local kind, word = culprit(message)
   if not kind or not message:find("nil value", 1, true) then return nil end
   local function root(name)
      if found.locals and found.locals[name] ~= nil then return found.locals[name] end
      return session:value(name)
   end
   if kind == "global" then
      return system.nearest(word, session:globals())
   end
   if (kind == "field" or kind == "method") and line then
      local path, separator = line:match("([%a_][%w_%.]*)([%.:])%s*" .. word .. "%f[^%w_]")
      local container = path and names.resolve(root, path)
      local near = container ~= nil and system.nearest(word, names.fields(container))
      return near and path .. separator .. near or nil
   end
end

local function describe(info)
   local where = info.currentline > 0 and ("%s:%d"):format(info.short_src, info.currentline) or "in C"
   local what
   if info.lowest then
      what = "the line typed"
   elseif info.name then
      what = ("%s '%s'"):format(info.namewhat ~= "" and info.namewhat or "function", info.name)
   elseif info.what == "main" then
      what = "main chunk"
   else
      what = ("function <%s:%d>"):format(info.short_src, info.linedefined)
   end
   return where, what
end

local function traceback(frames)
   local lines = {}
   -- the only frame is the line typed: the message has said it all
   -- and so it has of the function in C that raised it
   while frames[1] and frames[1].what == "C" do table.remove(frames, 1) end
   if #frames <= 1 then return lines end
   for _, info in ipairs(frames) do
      local where, what = describe(info)
      lines[#lines + 1] = ("   %-20s in %s"):format(where, what)
      if info.skipped then lines[#lines + 1] = ("   … (%d more)"):format(info.skipped) end
   end
   return lines
end

local PLAIN = setmetatable({}, {__index = function() return "" end})
local COLOURS = {red = "\27[1;31m", dim = "\27[2m", bold = "\27[1m", off = "\27[0m"}

--- The text of an error.
-- @tparam table session what `repl.new` returned
-- @param found what a handler returned, or a message
-- @tparam boolean coloured with the terminal's codes for colour?
-- @treturn string
function errors.text(session, found, coloured)
   if type(found) ~= "table" or not found.frames then found = {value = found, frames = {}} end
   local c, message = coloured and COLOURS or PLAIN, text_of(found.value)
   if message:find("interrupted!", 1, true) then return c.red .. "interrupted" .. c.off end
   local out = {c.red .. message .. c.off}
   local chunk, number = message:match("^(.-):(%d+): ")
   local line = chunk and source_line(session.sources, chunk, math.tointeger(tonumber(number)))
   if line and line:find("%S") then
      line = line:match("^%s*(.-)%s*$")
      local _, word = culprit(message)
      local first, last
      if word then first, last = find_word(line, word) end
      if first then
         line = line:sub(1, first - 1) .. c.bold .. line:sub(first, last) .. c.off .. line:sub(last + 1) ..
            "\n   " .. (" "):rep((utf8.len(line:sub(1, first - 1)) or first - 1)) .. ("^"):rep(last - first + 1)
      end
      out[#out + 1] = "   " .. line
   end
   local near = hint(session, message, line and line:gsub("\27%[[%d;]*m", ""), found)
   if near then out[#out + 1] = "did you mean " .. c.bold .. near .. c.off .. "?" end
   local frames = traceback(found.frames)
   if #frames > 0 then out[#out + 1] = c.dim .. table.concat(frames, "\n") .. c.off end
   return table.concat(out, "\n")
end

return errors
