--- The read-eval-print loop. The core (`new`, `feed`, `complete`) knows no
-- terminal; `bclua.repl.terminal` gives it one.
--
-- Results are printed, `_` is the last one, `_1`, `_2`, … `_9` those before it; a
-- `;` at the end hides what a line gives. A `local` at top level stays usable on
-- the next line (`bclua.repl.locals` says how). Lines that begin with `:` are
-- commands; `:help` lists them.
-- @module bclua.repl
local check_options = require("bclua.options").check
local commands = require "bclua.repl.commands"
local complete = require "bclua.repl.complete"
local errors = require "bclua.repl.errors"
local locals = require "bclua.repl.locals"
local names = require "bclua.repl.names"
local show = require "bclua.repl.show"

local repl = {}

--- Modules that the REPL knows without `require`, loaded at first use.
repl.preloaded = {"array", "audio", "cens", "nn", "parallel", "plot", "sampling", "spectral", "sql",
   "stomp", "system", "tilenet"}

local KEPT_RESULTS = 9

local Session = {}
Session.__index = Session

local NEW = {
   env = "table",
   call = {"function", default = pcall},
   colour = "boolean",
   columns = {"function", default = function() return nil end},
   preload = "boolean",
   shell = "function",
   page = {"function", default = function(text) return text end},
   on_entry = {"function", default = function() end},
}

--- A session.
-- @tparam[opt] table options `env`: the globals (default `_G`); `call`: how a
-- chunk is run, `ok, ... = call(f)` (default `pcall`); `colour`: of errors, for a
-- terminal; `columns`: a function that gives the terminal's width; `preload`: the
-- modules in `repl.preloaded` are globals, loaded at first use; `shell`: runs a
-- command (default `os.execute`); `page`: shows help that is long, and returns what is still to be printed of it;
-- `on_entry`: called with all lines of what is complete, before it is run
-- @treturn Session
function repl.new(options)
   local o = check_options(options, NEW)
   local self = setmetatable({
      env = o.env or _G,
      call = o.call,
      colour = o.colour,
      columns = o.columns,
      shell = o.shell or os.execute,
      page = o.page,
      on_entry = o.on_entry,
      locals = locals.new(),
      sources = {}, -- what was typed: chunk name -> text
      entries = {}, -- what was run without an error, in order
      count = 0,
      preloads = {},
   }, Session)
   if o.preload then self:preload() end
   self.builtin = names.fields(self.env)
   return self
end

--- Have the modules there by their short names, each loaded when it is first used.
function Session:preload()
   if getmetatable(self.env) then return end
   local known = self.preloads
   for _, name in ipairs(repl.preloaded) do known[name] = "bclua." .. name end
   setmetatable(self.env, {__index = function(t, name)
      if not known[name] then return nil end
      local module = require(known[name])
      rawset(t, name, module)
      return module
   end})
end

--- The value of a local or global, read raw; a preloaded module is loaded.
function Session:value(name)
   local value, found = self.locals:get(name)
   if found then return value end
   value = names.field(self.env, name)
   if value == nil and self.preloads[name] then return require(self.preloads[name]) end
   return value
end

--- Everything that a line can name: globals, kept locals, preloaded modules.
-- @treturn table name -> anything
function Session:globals()
   local all = names.fields(self.env)
   for _, name in ipairs(self.locals:names()) do all[name] = true end
   for name in pairs(self.preloads) do all[name] = true end
   return all
end

--- Run f so that Ctrl-C stops it; its results, or false and what the handler made
-- of the error. Frames below `lowest` are ours.
function Session:protect(f, lowest)
   local handler = errors.handler(lowest or f)
   return self.call(function() return xpcall(f, handler) end)
end

-- The call outside and the xpcall inside both say if all went well.
local function settle(outer, inner, ...)
   if not outer then return table.pack(false, inner) end
   return table.pack(inner, ...)
end

--- Run a function; errors come back as the text that the user sees.
-- @tparam function f
-- @tparam[opt=f] function lowest the last frame that a traceback shows
-- @treturn table packed: true and the results, or false and the text
function Session:run(f, lowest)
   local results = settle(self:protect(f, lowest))
   if not results[1] then
      local ok, text = pcall(errors.text, self, results[2], self.colour)
      return table.pack(false, ok and text or tostring(results[2]))
   end
   return results
end

--- Make a value `_`, and the earlier ones `_1`, `_2`, …
function Session:remember(value)
   for i = KEPT_RESULTS, 2, -1 do rawset(self.env, "_" .. i, rawget(self.env, "_" .. i - 1)) end
   rawset(self.env, "_1", rawget(self.env, "_"))
   rawset(self.env, "_", value)
end

--- Results as text, which may run the user's __tostring and take long.
function Session:print(results)
   local list = table.pack(table.unpack(results, 2, results.n))
   local text = self:run(function() return show.pack(list, {columns = self.columns()}) end)
   return text[1] and "ok" or "error", text[2]
end

--- Compile and run a source text.
-- @tparam string source
-- @tparam string name of the chunk, "@FILE" or "=[3]"
-- @tparam[opt] function before called with the source when it is complete, before it is run
-- @treturn string "ok", "error" or "more": the text is not complete
-- @treturn string what to print; may be empty
function Session:execute(source, name, before)
   self.sources[name:sub(2)] = source
   local chunk, shown = self.locals:compile(source, name, self.env)
   if not chunk and shown:sub(-5) == "<eof>" then return "more", shown end
   if before then before(source) end
   if not chunk then return "error", errors.text(self, shown, self.colour) end
   local results = self:run(chunk)
   if not results[1] then return "error", results[2] end
   self.entries[#self.entries + 1] = source
   if results.n == 1 then return "ok", "" end
   self:remember(results[2])
   if not shown then return "ok", "" end
   return self:print(results)
end

-- The command that a line stands for: `:help x`, or as beginners and users of other prompts have it, `x?`, `help`,
-- `exit`, `quit`; nil: it is Lua.
local function command_of(session, line)
   local command = line:match("^%s*:(%a.-)%s*$")
   if command then return command end
   local name = line:match("^%s*([%a_][%w_%.:]*)%s*%?%s*$")
   if name then return "help " .. name end
   local word = line:match("^%s*(%a+)%s*$")
   if word == "exit" then command = "quit" else command = (word == "help" or word == "quit") and word end
   return command and session:value(word) == nil and command or nil
end

--- Take one line, or several that were pasted together.
-- @tparam string line
-- @treturn string "more" (the statement goes on), "ok", "error" or "quit"
-- @treturn string what to print: results or the error; may be empty
function Session:feed(line)
   local source = self.pending and self.pending .. "\n" .. line or line
   if source:match("^%s*$") then
      self.pending = nil
      return "ok", ""
   end
   local command = not self.pending and command_of(self, source)
   if command then
      self.on_entry(source)
      return commands.run(self, command)
   end
   self.count = self.count + 1
   local name = ("=[%d]"):format(self.count)
   self.pending = nil
   local status, text = self:execute(source, name, self.on_entry)
   if status == "more" then
      self.pending = source
      self.count = self.count - 1
      self.sources[name:sub(2)] = nil
      return "more", ""
   end
   return status, text
end

--- Give up an unfinished statement.
function Session:cancel() self.pending = nil end

--- Words that can stand at the end of a line: names, fields, methods, modules,
-- files, commands and their options. Runs no user code.
-- @tparam string line up to the cursor
-- @tparam[opt] integer start where the word begins that the terminal will replace
-- @treturn {string,...} sorted; each replaces the line from `start` on
function Session:complete(line, start) return complete.words(self, line, start) end

--- Run on the terminal until Ctrl-D or `:quit`.
function repl.run() require("bclua.repl.terminal").run(repl) end

return repl
