--- The read-eval-print loop. The core (`new`, `feed`, `complete`) knows no
-- terminal; `run` gives it one.
-- @module bclua.repl
local show = require "bclua.show"

local repl = {}

-- Modules that the REPL knows without `require`, loaded at first use.
local PRELOADED = {"array", "audio", "cens", "nn", "parallel", "plot", "sampling", "spectral", "sql",
   "stomp", "system", "tilenet"}

local Session = {}
Session.__index = Session

--- A session.
-- @tparam[opt] table options `env`: the globals (default `_G`); `call`: how a
-- chunk is run, `ok, ... = call(f)` (default: `xpcall` with a traceback)
-- @treturn Session
function repl.new(options)
   options = options or {}
   return setmetatable({
      env = options.env or _G,
      call = options.call or function(f) return xpcall(f, debug.traceback) end,
      pending = nil,
   }, Session)
end

local function is_incomplete(message)
   return message:sub(-5) == "<eof>"
end

local function compile(source, env)
   local chunk = load("return " .. source, "=stdin", "t", env)
   if chunk then return chunk end
   return load(source, "=stdin", "t", env)
end

--- Take one line.
-- @tparam string line
-- @treturn string "more" (the statement goes on), "ok" or "error"
-- @treturn string what to print: results or the error; may be empty
function Session:feed(line)
   local source = self.pending and self.pending .. "\n" .. line or line
   if source:match("^%s*$") then
      self.pending = nil
      return "ok", ""
   end
   local chunk, message = compile(source, self.env)
   if not chunk then
      if is_incomplete(message) then
         self.pending = source
         return "more", ""
      end
      self.pending = nil
      return "error", message
   end
   self.pending = nil
   local results = table.pack(self.call(chunk))
   if not results[1] then return "error", tostring(results[2]) end
   if results.n == 1 then return "ok", "" end
   local ok, text = pcall(show.values, table.unpack(results, 2, results.n))
   if not ok then return "error", text end
   return "ok", text
end

--- Give up an unfinished statement.
function Session:cancel() self.pending = nil end

-- The table whose fields may follow "a.b." or "a.b:"; reads raw, so that
-- completion runs no user code.
local function container(env, path)
   local at = env
   for name in path:gmatch("[%a_][%w_]*") do
      if type(at) == "userdata" then
         local methods = (debug.getmetatable(at) or {}).__index
         if type(methods) == "function" then -- an array keeps its methods in an upvalue
            local _, upvalue = debug.getupvalue(methods, 1)
            methods = upvalue
         end
         at = methods
      end
      if type(at) ~= "table" then return nil end
      at = rawget(at, name)
   end
   return at
end

local function fields(value)
   local seen, meta = {}, debug.getmetatable(value)
   local function add(t)
      if type(t) ~= "table" then return end
      for k in next, t do
         if type(k) == "string" then seen[k] = true end
      end
   end
   if type(value) == "table" then add(value) end
   if meta then
      local index = meta.__index
      if type(index) == "function" then
         local _, upvalue = debug.getupvalue(index, 1)
         index = upvalue
      end
      add(index)
   end
   return seen
end

--- Words that can stand at the end of a line: globals, fields and methods.
-- @tparam string line up to the cursor
-- @tparam integer start where the word begins that readline will replace
-- @tparam[opt=_G] table env
-- @treturn {string,...} sorted
function repl.complete(line, start, env)
   env = env or _G
   local path, separator, word = line:match("([%a_][%w_%.]*)([%.:])([%w_]*)$")
   local candidates
   if path then
      candidates = fields(container(env, path))
   else
      separator, word = "", line:match("([%a_][%w_]*)$") or ""
      candidates = fields(env)
      for _, name in ipairs(PRELOADED) do candidates[name] = true end
   end
   local prefix = path and line:sub(start, #line - #word - #separator) .. separator or ""
   -- readline breaks words at ':' but not at '.'
   if separator == ":" then prefix = "" end
   local words = {}
   for name in pairs(candidates) do
      if name:sub(1, #word) == word and name:match("^[%a_][%w_]*$") then
         words[#words + 1] = prefix .. name
      end
   end
   table.sort(words)
   return words
end

local function preload()
   local known = {}
   for _, name in ipairs(PRELOADED) do known[name] = true end
   if getmetatable(_G) then return end
   setmetatable(_G, {__index = function(t, name)
      if not known[name] then return nil end
      local module = require("bclua." .. name)
      rawset(t, name, module)
      return module
   end})
end

local function history_path()
   local home = os.getenv("HOME")
   return os.getenv("BCLUA_HISTORY") or (home and home .. "/.bclua_history")
end

--- Run on the terminal until Ctrl-D.
function repl.run()
   local host = require "bclua.host"
   local session = repl.new({call = host.call})
   local history = history_path()
   preload()
   if history then host.read_history(history) end
   host.set_completer(function(line, start) return repl.complete(line, start) end)
   while true do
      local line = host.readline(session.pending and ">> " or "> ")
      if line == nil then break end
      if line == false then
         session:cancel()
      else
         if line:match("%S") then host.add_history(line) end
         local status, text = session:feed(line)
         if text ~= "" then
            local out = status == "error" and io.stderr or io.stdout
            out:write(text, "\n")
            out:flush()
         end
      end
   end
   if history then host.write_history(history) end
end

return repl
