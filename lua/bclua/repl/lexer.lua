--- Lua source as tokens, for what the REPL must know before it compiles a line:
-- which locals it declares at top level, and where its statements begin.
-- @module bclua.repl.lexer
local lexer = {}

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
   return then true until while]]):gmatch("%a+") do KEYWORDS[word] = true end
--- The words that Lua keeps for itself, as a set.
lexer.keywords = KEYWORDS

local LONG = {"...", "::", "..", "==", "~=", "<=", ">=", "<<", ">>", "//"}

-- The end of a string that begins at `at`; nil if it has none.
local function string_end(source, at)
   local quote = source:sub(at, at)
   local i = at + 1
   while true do
      local c = source:sub(i, i)
      if c == "" then return nil end
      if c == quote then return i end
      i = i + (c == "\\" and 2 or 1)
   end
end

-- Where the long bracket that begins at `at` ends; false if none begins there.
local function bracket_end(source, at)
   local level = source:match("^%[(=*)%[", at)
   if not level then return false end
   local _, stop = source:find("]" .. level .. "]", at + #level + 2, true)
   return stop
end

-- As Lua's own scanner: letters, digits and points, and a sign after the exponent.
local function number_end(source, at)
   local mark = source:find("^0[xX]", at) and "[pP]" or "[eE]"
   local last = at
   while true do
      local next_char, c = source:sub(last + 1, last + 1), source:sub(last, last)
      if not (next_char:find("[%w_%.]") or next_char:find("[%+%-]") and c:find(mark)) then return last end
      last = last + 1
   end
end

-- Blanks and comments from `at` on: where the next token begins; nil in a long
-- comment without an end.
local function skip(source, at)
   while true do
      at = source:find("%S", at)
      if not at then return #source + 1 end
      if source:sub(at, at + 1) ~= "--" then return at end
      local stop = bracket_end(source, at + 2)
      if stop == nil then return nil end
      at = (stop or source:find("\n", at, true) or #source) + 1
   end
end

--- The tokens of a source text.
-- @tparam string source
-- @treturn[1] {table,...} `{kind=, text=, first=, last=}`, kind "name", "keyword",
-- "string", "number" or "operator", bytes from 1
-- @treturn[2] nil where a string or a comment has no end
function lexer.tokens(source)
   local list, at = {}, 1
   while true do
      at = skip(source, at)
      if not at then return nil end
      if at > #source then return list end
      local c, kind, last = source:sub(at, at), "operator", at
      if c:find("[%a_]") then
         last = source:match("^[%w_]+()", at) - 1
         kind = KEYWORDS[source:sub(at, last)] and "keyword" or "name"
      elseif c:find("%d") or source:find("^%.%d", at) then
         kind, last = "number", number_end(source, at)
      elseif c == '"' or c == "'" then
         kind, last = "string", string_end(source, at)
      elseif bracket_end(source, at) ~= false then
         kind, last = "string", bracket_end(source, at)
      else
         for _, text in ipairs(LONG) do
            if source:sub(at, at + #text - 1) == text then
               last = at + #text - 1
               break
            end
         end
      end
      if not last then return nil end
      list[#list + 1] = {kind = kind, text = source:sub(at, last), first = at, last = last}
      at = last + 1
   end
end

local OPENS = {["function"] = 1, ["do"] = 1, ["if"] = 1, ["repeat"] = 1, ["{"] = 1, ["("] = 1, ["["] = 1,
   ["end"] = -1, ["until"] = -1, ["}"] = -1, [")"] = -1, ["]"] = -1}
-- These always begin a statement, where no block and no bracket is open.
local BEGINS = {["local"] = true, ["for"] = true, ["while"] = true, ["if"] = true, ["repeat"] = true,
   ["return"] = true, ["goto"] = true, ["break"] = true}
-- After these an expression may be complete, so that a name begins the next statement.
local ENDS = {[")"] = true, ["]"] = true, ["}"] = true, ["end"] = true, ["nil"] = true, ["true"] = true,
   ["false"] = true, ["..."] = true, [";"] = true, ["break"] = true}

local function is_code(t) return t.kind == "keyword" or t.kind == "operator" end

local function begins_statement(t, before)
   if not before then return true end
   if t.kind == "keyword" then return BEGINS[t.text] or before.text == ";" and is_code(before) end
   if t.kind ~= "name" then return before.text == ";" and is_code(before) end
   if before.kind == "keyword" or before.kind == "operator" then return ENDS[before.text] or false end
   return true
end

-- The names that `local` at tokens[i] declares, with their attributes.
local function declared(tokens, i)
   local names = {}
   local t = tokens[i + 1]
   if t and t.text == "function" and t.kind == "keyword" then
      return tokens[i + 2] and {{name = tokens[i + 2].text}} or names
   end
   i = i + 1
   while tokens[i] and tokens[i].kind == "name" do
      local entry = {name = tokens[i].text}
      i = i + 1
      if tokens[i] and tokens[i].text == "<" and tokens[i + 2] and tokens[i + 2].text == ">" then
         entry.attribute = tokens[i + 1].text
         i = i + 3
      end
      names[#names + 1] = entry
      if not (tokens[i] and tokens[i].text == ",") then break end
      i = i + 1
   end
   return names
end

--- The statements at top level.
-- @tparam {table,...} tokens
-- @treturn {table,...} `{first=, token=, locals=}`: where one begins (byte, and
-- index of its token) and the locals it declares (`{name=, attribute=}`)
function lexer.statements(tokens)
   local list, depth = {}, 0
   for i, t in ipairs(tokens) do
      if depth == 0 and begins_statement(t, tokens[i - 1]) and not (t.text == ";" and is_code(t)) then
         list[#list + 1] = {first = t.first, token = i,
            locals = t.kind == "keyword" and t.text == "local" and declared(tokens, i) or {}}
      end
      if is_code(t) then depth = depth + (OPENS[t.text] or 0) end
   end
   return list
end

return lexer
