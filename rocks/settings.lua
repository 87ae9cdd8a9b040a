-- usage: bclua rocks/settings.lua OUT
-- Write doc/settings.md: every option of the scripts, and every setting of the pipeline, with default, limits and unit,
-- out of the parsers that the scripts make and the rules of their options. `make settings` runs it.
local cli = require "bclua.cli"
local options_of = require "bclua.options"
local pipeline = require "bclua.workflow.pipeline"

local SCRIPTS = {"pipeline", "motif", "embed", "classify", "cluster", "browse", "make_dataset"}

-- Of nearly all commands, and always the same: said once.
local COMMON = {["--threads"] = true, ["--strict"] = true, ["-h"] = true}

local HEAD = [[
# Settings

Every option of the scripts, and what the configuration of the pipeline calls it. `make settings`
writes this page. A configuration is a Lua file that returns what is to differ from the pipeline's
defaults (`bclua pipeline --data birds --config mine.lua`):

<!-- file: mine.lua -->
```lua
return {extract = {fmin = 200}, fit = {batch_size = 32, max_rounds = 20}}
```

If the pipeline has a default of its own, it follows the setting's name in brackets. What has no
default and is not marked as needed can be left out. Nearly all commands also take `--threads N`
(default: `BCLUA_THREADS`, else all cores) and `--strict` (exit with an error if any recording
failed).
]]

local function typed(value)
   if type(value) == "table" then return table.concat(value, ",") end
   return type(value) == "number" and ("%.14g"):format(value) or tostring(value)
end

-- Name and default of the pipeline's settings by their rules: each is named once, where its rule is first.
local function settings_by_rule()
   local of, left = {}, 0
   for step, rules in pairs(pipeline.schema()) do
      for name, rule in pairs(rules.of) do
         of[rule], left = {name = step .. "." .. name, default = pipeline.defaults[step][name]}, left + 1
      end
   end
   return of, left
end

local of, left = settings_by_rule()

local function setting_of(rule)
   local found = of[rule]
   if not found then return "" end
   of[rule], left = nil, left - 1
   local default = found.default
   local is_own = default ~= nil and typed(default) ~= "" and typed(default) ~= typed(rule.default or "")
   return ("`%s`%s"):format(found.name, is_own and (" (%s)"):format(typed(default)) or "")
end

local UNTYPED = {boolean = true, string = true, any = true}
local function values_of(rule)
   local kind = rule[1]
   if not kind or UNTYPED[kind] or kind == "list" and rule.of == "string" then return "" end
   if kind == "choice" then return "`" .. table.concat(rule[2], "`, `") .. "`" end
   return options_of.expected(rule) .. (rule.unit and ", " .. rule.unit or "")
end

local function cell(text) return (text:gsub("%s+", " "):gsub("|", "\\|")) end

-- Lines of at most 100 characters.
local function wrapped(text)
   local lines = {""}
   for word in text:gmatch("%S+") do
      if #lines[#lines] + #word >= 100 then lines[#lines + 1] = "" end
      lines[#lines] = lines[#lines] .. (lines[#lines] ~= "" and " " or "") .. word
   end
   return table.concat(lines, "\n")
end

-- An option and what stands for its value, or an argument.
local function name_of(element)
   local aliases = element._public_aliases
   if not aliases then return ("`<%s>`"):format(element._name) end
   return ("`%s%s`"):format(aliases[#aliases], element._argname and " " .. element._argname or "")
end

local function row(element)
   local rule = element.setting and element.setting.rule or {}
   local needed = element._public_aliases and element._mincount or element._minargs -- of an option, of an argument
   local default = needed > 0 and "needed" or element._default or ""
   return ("| %s | %s | %s | %s | %s |"):format(name_of(element), default, values_of(rule), setting_of(rule),
      cell(element._description or ""))
end

local function add_parser(lines, title, parser)
   local rows = {}
   for _, element in ipairs(parser._arguments) do rows[#rows + 1] = row(element) end
   for _, element in ipairs(parser._options) do
      if not COMMON[element._public_aliases[1]] then rows[#rows + 1] = row(element) end
   end
   if #rows == 0 then return end
   local head = {"", "## `" .. title .. "`", "", wrapped(parser._description), "",
      "| option | default | values | setting | |", "|---|---|---|---|---|"}
   table.move(head, 1, #head, #lines + 1, lines)
   table.move(rows, 1, #rows, #lines + 1, lines)
end

local lines = {HEAD:sub(1, -2)}
for _, name in ipairs(SCRIPTS) do
   local parser = cli.parser_of("scripts/" .. name .. ".lua")
   add_parser(lines, name, parser)
   for _, command in ipairs(parser._commands) do add_parser(lines, name .. " " .. command._name, command) end
end
assert(left == 0, "a setting of the pipeline has no option: " .. tostring((select(2, next(of)) or {}).name))
local f <close> = assert(io.open(arg[1], "w"))
assert(f:write(table.concat(lines, "\n"), "\n"))
