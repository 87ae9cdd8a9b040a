--- Completion: what can stand at the end of a line. Tables are read raw, and only
-- our own modules are loaded, so that no user code runs.
-- @module bclua.repl.complete
local lexer = require "bclua.repl.lexer"
local names = require "bclua.repl.names"

local complete = {}

-- Is the end of the line within a string? Then where its contents begin.
local function open_string(line)
   local at, quote = 1, nil
   local start
   while at <= #line do
      local c = line:sub(at, at)
      if quote then
         if c == "\\" then
            at = at + 1
         elseif c == quote then
            quote = nil
         end
      elseif c == '"' or c == "'" then
         quote, start = c, at + 1
      elseif line:sub(at, at + 1) == "--" then
         return nil
      end
      at = at + 1
   end
   return quote and start or nil
end

local function folder_entries(folder)
   local lfs = require "lfs"
   local list = {}
   local ok, iterator, state = pcall(lfs.dir, folder)
   if not ok then return list end
   for name in iterator, state do
      if name ~= "." and name ~= ".." then
         list[name] = lfs.attributes(folder .. "/" .. name, "mode") == "directory"
      end
   end
   return list
end

-- Files that begin with `typed`; folders end with a slash.
local function files(typed)
   local folder, word = typed:match("^(.*/)([^/]*)$")
   folder, word = folder or "", word or typed
   local place = folder == "" and "." or folder
   if place:sub(1, 2) == "~/" then place = (os.getenv("HOME") or "~") .. place:sub(2) end
   local list = {}
   for name, is_folder in pairs(folder_entries(place)) do
      if name:sub(1, #word) == word and (word ~= "" or name:sub(1, 1) ~= ".") then
         list[#list + 1] = folder .. name .. (is_folder and "/" or "")
      end
   end
   return list
end

-- Modules that `require` would find: along package.path, and those in bclua.so.
local function modules(typed)
   local seen = {}
   for name in pairs(package.loaded) do seen[name] = true end
   for name in pairs(package.preload) do seen[name] = true end
   for _, name in ipairs(require("bclua.help").modules()) do seen[name] = true end
   local parent = typed:match("^(.*%.)") or ""
   for template in (package.path .. ";" .. package.cpath):gmatch("[^;]+") do
      local head, tail = template:match("^(.-)%?(.*)$")
      if head and (tail == ".lua" or tail == ".so" or tail == "/init.lua") then
         local folder = head .. parent:gsub("%.", "/")
         for name, is_folder in pairs(folder_entries(folder == "" and "." or folder)) do
            local base = is_folder and name
            if not base and tail ~= "/init.lua" and name:sub(-#tail) == tail then base = name:sub(1, -#tail - 1) end
            if base and base:find("^[%a_][%w_]*$") then
               seen[parent .. base .. (is_folder and tail == ".lua" and "." or "")] = true
            end
         end
      end
   end
   return seen
end

local function matching(candidates, typed, prefix)
   local list = {}
   for name in pairs(candidates) do
      if name:sub(1, #typed) == typed then list[#list + 1] = (prefix or "") .. name end
   end
   return list
end

-- Tokens backwards from `at`: where the bracket opens that they stand in; nil: in none.
local function opening(tokens, at)
   local depth = 0
   for i = at, 1, -1 do
      local t = tokens[i].text
      if tokens[i].kind == "operator" and t:find("^[%)%]}]$") then depth = depth + 1 end
      if tokens[i].kind == "operator" and t:find("^[%(%[{]$") then
         if depth == 0 then return i end
         depth = depth - 1
      end
   end
end

-- `a.b:c` that ends with token `at`.
local function path_to(tokens, at)
   local parts = {}
   while at > 0 and tokens[at].kind == "name" do
      table.insert(parts, 1, tokens[at].text)
      local joint = at > 2 and tokens[at - 1].text
      if joint ~= "." and joint ~= ":" then break end
      table.insert(parts, 1, joint)
      at = at - 2
   end
   return table.concat(parts)
end

-- The options that may begin here: in a table that is an argument of a documented function.
local function options_at(session, line)
   local tokens = lexer.tokens((session.pending and session.pending .. "\n" or "") .. line)
   local last = tokens and tokens[#tokens]
   if not last or last.text ~= "{" and last.text ~= "," then return {} end
   local brace = opening(tokens, #tokens)
   if not brace or tokens[brace].text ~= "{" then return {} end
   local before = brace - 1
   if before > 0 and tokens[before].kind ~= "name" then
      before = opening(tokens, before)
      if not before or tokens[before].text ~= "(" then return {} end
      before = before - 1
   end
   local path = before > 0 and path_to(tokens, before) or ""
   if path == "" then return {} end
   local topic = require("bclua.repl.commands").topic(session, path)
   return topic and require("bclua.help").options(topic) or {}
end

local function expression(session, line)
   local path, separator, word = line:match("([%a_][%w_%.:]*)([%.:])([%w_]*)$")
   if path then
      local value = names.resolve(function(name) return session:value(name) end, path)
      local candidates = value ~= nil and names.fields(value) or {}
      if separator == ":" then -- what cannot be called is no method
         for name, field in pairs(candidates) do
            if type(field) ~= "function" then candidates[name] = nil end
         end
      end
      return matching(candidates, word), #line - #word + 1
   end
   if line:find("[%.:][%w_]*$") and not line:find("%.%.[%w_]*$") then return {}, #line + 1 end -- f().x
   word = line:match("([%a_][%w_]*)$") or ""
   local candidates = options_at(session, line:sub(1, #line - #word))
   if next(candidates) then
      local list = matching(candidates, word)
      for i, name in ipairs(list) do list[i] = name .. " = " end
      if #list > 0 then return list, #line - #word + 1 end
   end
   candidates = session:globals()
   if #word > 1 then
      for name in pairs(lexer.keywords) do candidates[name] = true end
   end
   return matching(candidates, word), #line - #word + 1
end

local function within_string(line, start)
   local typed = line:sub(start)
   if line:sub(1, start - 2):find("require%s*%(?%s*$") then return matching(modules(typed), typed), start end
   return files(typed), start
end

-- After `:command `: what that command takes.
local function command(session, line)
   local commands = require "bclua.repl.commands"
   local name, rest = line:match("^%s*:(%a*)(.*)$")
   if rest == "" then return matching(commands.list, name), #line - #name + 1 end
   local entry = commands.list[name]
   if not entry then return {}, #line + 1 end
   local word = line:match("(%S*)$")
   local start = #line - #word + 1
   if word:sub(1, 1) == "-" then
      local options = {}
      for _, option in ipairs(entry.options or {}) do options[option] = true end
      return matching(options, word), start
   end
   if entry.takes == "file" then return files(word), start end
   if entry.takes == "documentation" then
      local topics = {}
      for _, topic in ipairs(require("bclua.help").topics()) do topics[topic] = true end
      for topic in pairs(commands.list) do topics[":" .. topic] = true end
      return matching(topics, word), start
   end
   local quoted = open_string(line)
   if quoted then return within_string(line, quoted) end
   if entry.takes == "expression" then return expression(session, line) end
   return {}, #line + 1
end

--- See `Session:complete`.
function complete.words(session, line, start)
   local words, from
   local quoted = open_string(line)
   if not session.pending and line:find("^%s*:%a*") and not line:find("^%s*::") then
      words, from = command(session, line)
   elseif quoted then
      words, from = within_string(line, quoted)
   else
      words, from = expression(session, line)
   end
   start = start or from
   for i, word in ipairs(words) do
      if start <= from then
         words[i] = line:sub(start, from - 1) .. word
      else
         words[i] = word:sub(start - from + 1)
      end
   end
   table.sort(words)
   return words
end

return complete
