--- The REPL's own commands: lines that begin with a colon.
-- @module bclua.repl.commands
local display = require "bclua.display"
local lexer = require "bclua.repl.lexer"
local names = require "bclua.repl.names"
local show = require "bclua.repl.show"
local system = require "bclua.system"

local commands = {}

--- The commands: `{names=, help=, run=}` each.
commands.list = {}

local list = commands.list

local function is_array(v) return type(v) == "userdata" and (debug.getmetatable(v) or {}).__name == "bclua.array" end

-- A `~/` that the user typed.
local function expand(path)
   if path:sub(1, 2) ~= "~/" then return path end
   return (os.getenv("HOME") or "~") .. path:sub(2)
end

-- The options that an argument begins with, and the rest.
local function take_option(argument, option)
   local rest = argument:match("^" .. option:gsub("%p", "%%%0") .. "%f[%s%z]%s*(.*)$")
   return rest ~= nil, rest or argument
end

-- Compile an expression, with the kept locals; a closure that can be called again.
local function compile(session, source)
   session.sources["command"] = source
   local f, message = session.locals:compile(source, "=command", session.env)
   if not f then return nil, message end
   return f
end

-- What a user's function returns, packed: true first, or false and the error's text.
local function evaluate(session, source)
   if source == "" then return {false, "an expression is missing"} end
   local f, message = compile(session, source)
   if not f then return {false, message} end
   return session:run(f)
end

-- ---- help ----

-- What a prompt has use for: modules of the first level, without the ones that others are made of.
local INNER = {child = true, cli = true, commands = true, curves = true, deadline = true, display = true, files = true,
   json = true, lock = true, lock_core = true, moved = true, numbers = true, options = true, progress = true,
   text = true, web = true}

local function overview()
   local help = require "bclua.help"
   local lines, width = {"Lua expressions and statements are run; these are the REPL's own commands:"}, 0
   local words = {}
   for word, entry in pairs(list) do
      words[#words + 1] = word
      width = math.max(width, #entry.usage)
   end
   table.sort(words)
   for _, word in ipairs(words) do
      lines[#lines + 1] = ("   %-" .. width .. "s  %s"):format(list[word].usage, list[word].text)
   end
   lines[#lines + 1] = "`_` is the last result, `_1` the one before; a `;` at the end hides what a line gives."
   lines[#lines + 1] = "Tab completes; Ctrl-R searches the history; Ctrl-C stops; Ctrl-D leaves.\n"
   local modules = {}
   for _, name in ipairs(help.modules()) do
      local short = name:gsub("^bclua%.", "")
      if not short:find("%.") and not INNER[short] then modules[#modules + 1] = short end
   end
   lines[#lines + 1] = "Modules: " .. table.concat(modules, ", ")
   lines[#lines + 1] = "`:help stomp` lists the functions of one, `:help stomp.motifs` or `stomp.motifs?` explains one."
   return table.concat(lines, "\n")
end

--- The topic of what a name stands for here: `y:reshape`, `motifs` kept in a local.
-- @tparam table session
-- @tparam string name
-- @treturn ?string
function commands.topic(session, name)
   local help = require "bclua.help"
   local value = names.resolve(function(word) return session:value(word) end, name)
   local topic = type(value) == "function" and help.topic_of(value)
   if topic then return topic end
   local path, method = name:match("^(.-)[%.:]([%w_]+)$")
   local holder = path and names.resolve(function(word) return session:value(word) end, path)
   local kind = holder ~= nil and (debug.getmetatable(holder) or {}).__name
   if type(kind) == "string" then return kind:match("[%w_]+$") .. ":" .. method end
end

local function unknown(name)
   local help = require "bclua.help"
   local topics = {}
   for _, topic in ipairs(help.topics()) do
      topics[topic] = true
      topics[topic:match("[^%.:]+$")] = true
   end
   local near = system.nearest(name, topics)
   return ("no documentation of '%s'%s"):format(name, near and "; did you mean " .. near .. "?" or "")
end

local function documentation(session, argument)
   local help = require "bclua.help"
   if argument == "" then return overview() end
   local command = list[argument:match("^:?(%a+)$") or ""]
   if command and (argument:sub(1, 1) == ":" or #help.find(argument) == 0) then
      return command.usage .. "  " .. command.text .. (command.more and "\n" .. command.more or "")
   end
   -- what the user has given a name of their own comes first
   local value = session:value(argument)
   local topic_of_value = type(value) == "function" and help.topic_of(value)
   local found = help.find(topic_of_value or argument)
   if #found == 0 then
      local topic = commands.topic(session, argument)
      found = topic and help.find(topic) or found
   end
   local library, name = argument:match("^(%a+)%.(%a+)$")
   if #found == 0 and library and type((rawget(_G, library) or {})[name]) == "function" or
      #found == 0 and session.builtin[argument] ~= nil and type(rawget(_G, argument)) == "function" then
      return ("%s is Lua's own: https://www.lua.org/manual/5.4/manual.html#pdf-%s"):format(argument, argument)
   end
   if #found == 0 then return nil, unknown(argument) end
   if #found == 1 then return help.text(found[1]) end
   local lines = {}
   for _, item in ipairs(found) do lines[#lines + 1] = ("%-28s %s"):format(item.topic, help.summary(item)) end
   return table.concat(lines, "\n")
end

list.help = {usage = ":help [NAME]", text = "documentation of a function or module", takes = "documentation",
   run = function(session, argument)
      local text, message = documentation(session, argument)
      return text and session.page(display.fit(text, session.columns() or 80)), message
   end}

-- ---- looking at values ----

list.type = {usage = ":type EXPR", text = "what an expression gives: type, dtype, shape", takes = "expression",
   run = function(session, argument)
      local results = evaluate(session, argument)
      if not results[1] then return nil, results[2] end
      local kinds = {}
      for i = 2, results.n do kinds[#kinds + 1] = show.kind(results[i]) end
      return #kinds > 0 and table.concat(kinds, "\n") or "no value"
   end}

-- Three digits, never as a power of ten.
local function digits(x) return (x >= 999.5 and "%.0f" or "%.3g"):format(x) end

local function duration(s)
   for _, unit in ipairs({{1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}}) do
      if s >= unit[1] * 0.9995 then return ("%s %s"):format(digits(s / unit[1]), unit[2]) end
   end
   return digits(s * 1e9) .. " ns"
end

local ENOUGH_S, LEAST_S = 1, 1e-3 -- of all runs together; of one measurement

-- Seconds of each of several runs of f. What is quick is run many times in one.
local function measure(f, runs)
   local clock = require("bclua.system").clock
   local function once(n)
      local start = clock()
      for _ = 1, n do f() end
      return (clock() - start) / n
   end
   local first = once(1) -- caches are cold, libraries still come
   local times = {once(1)}
   local loops = math.max(1, math.ceil(LEAST_S / math.max(times[1], 1e-8)))
   if loops > 1 then times = {once(loops)} end
   if not runs then
      local each = math.max(times[1] * loops, LEAST_S)
      runs = math.min(25, math.max(3, math.floor(ENOUGH_S / each)))
      if first > 5 * ENOUGH_S then runs = 1 end
   end
   while #times < runs do times[#times + 1] = once(loops) end
   table.sort(times)
   return times, loops
end

list.time = {usage = ":time [-n RUNS] EXPR", text = "how long it takes: best and median of several runs",
   takes = "expression", options = {"-n"},
   more = "   One run goes before, uncounted. What takes less than a millisecond is run in a loop.",
   run = function(session, argument)
      local runs, rest = argument:match("^%-n%s+(%d+)%s+(.*)$")
      runs = runs and math.max(1, math.tointeger(tonumber(runs)))
      local source = rest or argument
      if source == "" then return nil, "an expression is missing" end
      local f, message = compile(session, source)
      if not f then return nil, message end
      local results = session:run(function() return measure(f, runs) end, f)
      if not results[1] then return nil, results[2] end
      local times, loops = results[2], results[3]
      local n = #times
      local median = (times[(n + 1) // 2] + times[n // 2 + 1]) / 2
      return ("best %s, median %s of %s%s"):format(duration(times[1]), duration(median), display.count(n, "run"),
         loops > 1 and (" of %d"):format(loops) or "")
   end}

local function bytes(n)
   for _, unit in ipairs({{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}}) do
      if n >= unit[1] then return ("%s %s"):format(digits(n / unit[1]), unit[2]) end
   end
   return display.count(n, "byte")
end

-- What the user has made: `{name=, value=, where=}`, sorted by name.
local function own(session)
   local found = {}
   for _, name in ipairs(session.locals:names()) do
      found[#found + 1] = {name = name, value = session.locals:get(name), where = "local"}
   end
   for name, value in pairs(names.fields(session.env)) do
      local is_result = name == "_" or name:find("^_%d$")
      local is_module = session.preloads[name] and package.loaded[session.preloads[name]] == value
      if not is_result and not is_module and not rawequal(session.builtin[name], value) then
         found[#found + 1] = {name = name, value = value, where = "global"}
      end
   end
   table.sort(found, function(a, b) return a.name < b.name end)
   return found
end

list.mem = {usage = ":mem [-c]", text = "memory of process and Lua, the largest arrays (-c: collect garbage first)",
   options = {"-c"},
   run = function(session, argument)
      local collect, rest = take_option(argument, "-c")
      if rest ~= "" then return nil, "usage: " .. list.mem.usage end
      if collect then collectgarbage() end
      local now, peak = require("bclua.system").memory()
      local lines = {("process  %s, at most %s so far"):format(bytes(now), bytes(peak)),
         ("Lua      %s"):format(bytes(collectgarbage("count") * 1024))}
      local arrays = {}
      for _, entry in ipairs(own(session)) do
         if is_array(entry.value) then arrays[#arrays + 1] = entry end
      end
      for i = 0, 9 do
         local name = i == 0 and "_" or "_" .. i
         local value = rawget(session.env, name)
         if is_array(value) then arrays[#arrays + 1] = {name = name, value = value} end
      end
      table.sort(arrays, function(a, b) return a.value:bytes() > b.value:bytes() end)
      for i = 1, math.min(#arrays, 8) do
         local a = arrays[i]
         lines[#lines + 1] = ("%-8s %s  %s"):format(a.name, bytes(a.value:bytes()), show.kind(a.value))
      end
      return table.concat(lines, "\n")
   end}

list.who = {usage = ":who [PART]", text = "what you have made: locals and globals (with PART in their names)",
   takes = "expression",
   run = function(session, argument)
      local lines, width = {}, 0
      local found = own(session)
      for _, entry in ipairs(found) do width = math.max(width, display.width(entry.name)) end
      for _, entry in ipairs(found) do
         if entry.name:find(argument, 1, true) then
            lines[#lines + 1] = ("%s  %-6s  %s"):format(display.pad(entry.name, width), entry.where,
               show.kind(entry.value))
         end
      end
      if #lines == 0 then lines[1] = argument == "" and "nothing yet" or "nothing with '" .. argument .. "'" end
      local modules = {}
      for name in pairs(session.preloads) do
         if name:find(argument, 1, true) then modules[#modules + 1] = name end
      end
      table.sort(modules)
      if #modules > 0 then lines[#lines + 1] = "modules: " .. table.concat(modules, ", ") end
      return table.concat(lines, "\n")
   end}

-- ---- the world ----

list.sql = {usage = ":sql QUERY", text = "run a query of DuckDB's; the rows are `_`", takes = "query",
   run = function(session, argument)
      if argument == "" then return nil, "a query is missing" end
      local results = session:run(function()
         return table.pack(pcall(require("bclua.sql").query, argument))
      end)
      if not results[1] then return nil, results[2] end
      local ok, rows, message = table.unpack(results[2], 1, 3)
      if not (ok and rows) then return nil, tostring(message or rows) end
      session:remember(rows)
      results[2] = rows
      local status, text = session:print(results)
      if status == "error" then return nil, text end
      return text
   end}

list.sh = {usage = ":sh COMMAND", text = "run a command of the shell", takes = "file",
   run = function(session, argument)
      if argument == "" then return nil, "a command is missing" end
      local ok, kind, status = session.shell(argument)
      if ok then return "" end
      return nil, ("%s %d"):format(kind == "signal" and "ended by signal" or "exit status", status)
   end}

-- Run a text that did not come from the prompt.
local function run_text(session, source, name)
   local status, text = session:execute(source, name)
   if status == "more" then
      return nil, require("bclua.repl.errors").text(session, text, session.colour)
   end
   if status == "error" then return nil, text end
   return text
end

list.load = {usage = ":load FILE", text = "run a file as if it were typed: its locals stay", takes = "file",
   run = function(session, argument)
      if argument == "" then return nil, "usage: " .. list.load.usage end
      local path = expand(argument)
      local f, message = io.open(path, "rb")
      if not f then return nil, message end
      local source
      source, message = f:read("a")
      f:close()
      if not source then return nil, path .. ": " .. message end
      return run_text(session, source:gsub("^#[^\n]*", ""), "@" .. path)
   end}

-- An entry as a statement: `1 + 2` alone would be none.
local function as_statement(source, keep)
   local plain = load(source, "=entry", "t")
   if plain and not keep then return source end
   local tokens = lexer.tokens(source) or {}
   local statements = lexer.statements(tokens)
   local last = statements[#statements]
   if not last or not load("return " .. source:sub(last.first):gsub(";%s*$", ""), "=entry", "t") then return source end
   return source:sub(1, last.first - 1) .. "_ = " .. source:sub(last.first)
end

-- The session as a script that runs by itself.
local function script_of(session)
   local used, mentions = {}, {}
   for i, source in ipairs(session.entries) do
      for _, t in ipairs(lexer.tokens(source) or {}) do
         if t.kind == "name" and session.preloads[t.text] then used[t.text] = true end
         if t.text == "_" then mentions[i] = true end
      end
   end
   local lines, modules = {"-- a session of bclua"}, {}
   for name in pairs(used) do modules[#modules + 1] = name end
   table.sort(modules)
   for _, name in ipairs(modules) do
      lines[#lines + 1] = ('local %s = require "%s"'):format(name, session.preloads[name])
   end
   for i, source in ipairs(session.entries) do lines[#lines + 1] = as_statement(source, mentions[i + 1]) end
   return table.concat(lines, "\n") .. "\n"
end

list.save = {usage = ":save [-f] FILE", text = "write what ran without an error as a script (-f: over an old one)",
   takes = "file", options = {"-f"},
   run = function(session, argument)
      local force, path = take_option(argument, "-f")
      if path == "" then return nil, "usage: " .. list.save.usage end
      path = expand(path)
      local old = io.open(path, "r")
      if old then
         old:close()
         if not force then return nil, path .. ": is there already; :save -f overwrites it" end
      end
      local ok, message = require("bclua.system").write_file(path, script_of(session))
      if not ok then return nil, message end
      return ("%s in %s"):format(display.count(#session.entries, "entry", "entries"), path)
   end}

list.edit = {usage = ":edit [FILE]", text = "edit the last entry, or a file, then run it", takes = "file",
   more = "   The editor is $VISUAL, else $EDITOR, else vi.",
   run = function(session, argument)
      local editor = os.getenv("VISUAL") or os.getenv("EDITOR") or "vi"
      local path, before = expand(argument), nil
      if argument == "" then
         path = os.tmpname()
         os.remove(path)
         path = path .. ".lua"
         before = (session.entries[#session.entries] or "") .. "\n"
         local ok, message = require("bclua.system").write_file(path, before)
         if not ok then return nil, message end
      end
      local ok = session.shell(editor .. " " .. display.shell(path))
      local f = io.open(path, "rb")
      local source = f and f:read("a") or ""
      if f then f:close() end
      if argument == "" then os.remove(path) end
      if not ok then return nil, "the editor failed: " .. editor end
      if source == before or not source:find("%S") then return "nothing changed, nothing run" end
      if argument ~= "" then return run_text(session, source, "@" .. path) end
      session.count = session.count + 1
      return run_text(session, source:gsub("%s+$", ""), ("=[%d]"):format(session.count))
   end}

list.quit = {usage = ":quit", text = "leave, as Ctrl-D does", run = function() return "" end}

-- ---- running them ----

-- `:h` is enough where only one command begins so.
local function find(word)
   if list[word] then return list[word] end
   local found
   for name, entry in pairs(list) do
      if name:sub(1, #word) == word then
         if found then return nil end
         found = entry
      end
   end
   return found
end

--- Run a command.
-- @tparam table session
-- @tparam string line without the colon
-- @treturn string "ok", "error" or "quit"
-- @treturn string what to print; may be empty
function commands.run(session, line)
   local word, argument = line:match("^(%a*)%s*(.-)%s*$")
   local entry = find(word)
   if not entry then
      local near = system.nearest(word, list)
      local question = near and ", did you mean :" .. near .. "?" or ""
      return "error", ("no command :%s%s; :help lists them"):format(word, question)
   end
   if entry == list.quit then return "quit", "" end
   local text, message = entry.run(session, argument)
   if text then return "ok", text end
   return "error", message
end

return commands
