--- `local` at the prompt stays usable on the next line.
--
-- Lua's own locals end with the chunk. Each line is therefore compiled as a
-- function within a function, and after each of its statements that declare
-- locals at top level a closure over them is handed to us:
--
--     local _bclua_keep, _bclua_pass = ...
--     local x                          -- kept from an earlier line, and named in this one
--     return function(...)
--        local y = x + 1 _bclua_keep(function() return y end)
--     end
--
-- `debug.upvaluejoin` then makes the line's upvalue `x` the very variable that the
-- earlier line declared. Nothing is copied: functions of all lines that close over
-- a local share it, assignments on later lines included. A second `local x` is a
-- new variable, as in Lua: functions made before it keep theirs.
--
-- What was declared before a statement that fails is kept as well. A `<const>` stays
-- one; a `<close>` is closed at the end of its line, as its block ends there.
-- @module bclua.repl.locals
local lexer = require "bclua.repl.lexer"

local locals = {}

local Locals = {}
Locals.__index = Locals

--- No locals yet.
-- @treturn Locals
function locals.new() return setmetatable({cells = {}}, Locals) end

--- Names of the kept locals, sorted.
function Locals:names()
   local list = {}
   for name in pairs(self.cells) do list[#list + 1] = name end
   table.sort(list)
   return list
end

--- The value of a kept local; second result: is there one?
function Locals:get(name)
   local cell = self.cells[name]
   if not cell then return nil, false end
   local _, value = debug.getupvalue(cell.closure, cell.index)
   return value, true
end

-- A closure with one upvalue that holds the value: for what cannot be joined,
-- because the compiler knew it as a constant.
local function boxed(value) return function() return value end end

--- Keep the upvalues of these names that a closure has.
function Locals:keep(closure, names)
   local found = {}
   for i = 1, math.huge do
      local name = debug.getupvalue(closure, i)
      if not name then break end
      found[name] = i
   end
   local values
   for i, entry in ipairs(names) do
      local cell = {constant = entry.attribute ~= nil}
      if found[entry.name] then
         cell.closure, cell.index = closure, found[entry.name]
      else
         values = values or table.pack(closure())
         cell.closure, cell.index = boxed(values[i]), 1
      end
      self.cells[entry.name] = cell
   end
end

-- The source with a call of `keep` after each statement that declares locals, and
-- the lists of names that these calls refer to. Nil if there is nothing to keep.
local function instrument(source, tokens)
   local statements, pieces, lists, at = lexer.statements(tokens), {}, {}, 1
   for i, statement in ipairs(statements) do
      local names = {}
      for _, entry in ipairs(statement.locals) do
         if entry.name ~= "_ENV" then names[#names + 1] = entry end
      end
      if #names > 0 then
         local following = statements[i + 1]
         local last = tokens[following and following.token - 1 or #tokens].last
         local words = {}
         for k, entry in ipairs(names) do words[k] = entry.name end
         lists[#lists + 1] = names
         pieces[#pieces + 1] = source:sub(at, last)
         pieces[#pieces + 1] = (" _bclua_keep(function() return %s end, %d);"):format(table.concat(words, ", "), #lists)
         at = last + 1
      end
   end
   if #lists == 0 then return nil end
   pieces[#pieces + 1] = source:sub(at)
   return table.concat(pieces), lists
end

--- The kept locals that a source names.
function Locals:used(tokens)
   local list, seen = {}, {}
   for _, t in ipairs(tokens) do
      if t.kind == "name" and self.cells[t.text] and not seen[t.text] then
         seen[t.text] = true
         list[#list + 1] = t.text
      end
   end
   return list
end

--- Compile `body` as the inner function, and join its upvalues to the kept locals.
function Locals:wrap(body, used, lists, name, env)
   local head = {"local _bclua_keep, _bclua_pass = ... "}
   for _, word in ipairs(used) do
      head[#head + 1] = ("local %s%s = ... "):format(word, self.cells[word].constant and " <const>" or "")
   end
   head[#head + 1] = "return function(...) "
   local outer, message = load(table.concat(head) .. body .. "\nend", name, "t", env)
   if not outer then return nil, message end
   local function keep(closure, i) self:keep(closure, lists[i]) end
   local function pass(...) return ... end
   local inner = outer(keep, pass)
   for i = 1, math.huge do
      local word = debug.getupvalue(inner, i)
      if not word then break end
      local cell = word ~= "_ENV" and self.cells[word]
      if cell then debug.upvaluejoin(inner, i, cell.closure, cell.index) end
   end
   return inner
end

-- `return` before the last statement, if that makes it an expression.
local function with_result(source, tokens, name)
   local statements = lexer.statements(tokens)
   if #statements == 0 then return nil end
   local first = statements[#statements].first
   local before, expression = source:sub(1, first - 1), source:sub(first)
   local last = tokens[#tokens]
   if last.text == ";" and last.kind == "operator" then
      expression = source:sub(first, last.first - 1)
   end
   if not load("return " .. expression, name, "t") then return nil end
   -- not as a tail call: its frame would be gone from the traceback; in a further line only behind a comment, as
   -- errors of a last field are of the line of what follows
   local call = "return _bclua_pass(" .. expression
   return before .. call .. (load(call .. ")", name, "t") and ")" or "\n)")
end

--- Compile a line.
-- @tparam string source
-- @tparam string name of the chunk, as `load` takes it
-- @tparam table env
-- @treturn[1] function
-- @treturn[1] boolean does it have results that the user wants to see?
-- @treturn[2] nil
-- @treturn[2] string message of Lua's compiler
function Locals:compile(source, name, env)
   local tokens = lexer.tokens(source)
   local last = tokens and tokens[#tokens]
   local shown = not (last and last.text == ";" and last.kind == "operator")
   local chunk, message = load(source, name, "t", env)
   if not tokens then return nil, message end
   local used = self:used(tokens)
   local text = with_result(source, tokens, name)
   if text then
      local kept, lists = instrument(text, lexer.tokens(text))
      local f = self:wrap(kept or text, used, lists, name, env)
      if f then return f, shown end
   end
   if not chunk then
      local _, other = load("return " .. source, name, "t", env)
      if other and other:sub(-5) == "<eof>" then message = other end
      return nil, message
   end
   local kept, lists = instrument(source, tokens)
   local f
   -- a label at the end, or more than 200 locals, can leave no room for the call
   if kept then f = self:wrap(kept, used, lists, name, env) end
   if not f then f, message = self:wrap(source, used, nil, name, env) end
   return f, f and shown or message
end

return locals
