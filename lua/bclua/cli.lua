--- Command lines: argparse with what all our scripts have in common.
-- @module bclua.cli
local argparse = require "argparse"
local display = require "bclua.display"
local options_of = require "bclua.options"
local progress = require "bclua.progress"
local system = require "bclua.system"

local cli = {}

local new_names = {} -- of options, by those of before

-- `--new` or `--new=VALUE` in place of the old name of an option.
local function renamed(word)
   local old, value = word:match("^(%-%-[^=]+)(.*)$")
   local new = new_names[old]
   if not new then return word end
   options_of.say_renamed(old, new)
   return new .. value
end

--- An option has another name now; the one before still works, and says so on stderr.
-- @tparam string old as in `--ahead`
-- @tparam string new as in `--prefetch`
function cli.renamed(old, new) new_names[old] = new end

-- argparse takes every word with a dash in front for an option; a number behind one is its value.
local function with_values(words)
   local list = {}
   for _, word in ipairs(words) do
      word = renamed(word)
      local last = list[#list]
      if last and last:find("^%-%-[^=]+$") and word:find("^%-%.?%d") then
         list[#list] = last .. "=" .. word
      else
         list[#list + 1] = word
      end
   end
   return list
end

--- A parser whose name is how the user calls the script; `--level -3` is `--level=-3`.
-- @tparam string script as in `scripts/motif.lua`
-- @tparam string description
-- @tparam[opt] string epilog examples
function cli.parser(script, description, epilog)
   local parser = argparse("bclua " .. script, description, epilog):help_max_width(98)
   local parse = parser.parse
   function parser.parse(self, words) return parse(self, with_values(words or arg)) end
   return parser
end

--- `--threads`, obeyed at once.
function cli.threads(parser)
   parser:option("--threads", "Threads for everything (default: BCLUA_THREADS, else all cores)."):argname("N")
      :convert(cli.integer("--threads", 1, 1024)):action(function(_, _, n) system.threads(n) end)
   return parser
end

--- `--force` and `--strict`.
function cli.outcome(parser)
   parser:flag("--force", "Redo output that was made with other parameters.")
   parser:flag("--strict", "Exit with an error if any recording failed.")
   return parser
end

local function within(option, text, x, least, most)
   if x >= least and (not most or x <= most) then return x end
   local limits = most and ("outside %.14g..%.14g"):format(least, most) or ("below %.14g"):format(least)
   return nil, ("%s: '%s' is %s"):format(option, text, limits)
end

--- A converter for argparse: an integer (1e5 counts as one) within limits.
-- @tparam string option its name, for the message
-- @tparam number least
-- @tparam[opt] number most
function cli.integer(option, least, most)
   return function(text)
      local x = math.tointeger(tonumber(text))
      if not x then return nil, ("%s: '%s' is not a whole number"):format(option, text) end
      return within(option, text, x, least, most)
   end
end

--- The same for a number.
function cli.number(option, least, most)
   return function(text)
      local x = tonumber(text)
      if not x or x ~= x then return nil, ("%s: '%s' is not a number"):format(option, text) end
      return within(option, text, x, least, most)
   end
end

-- Values with commas between them, each by a converter of its own.
local function list_of(one, option, count)
   return function(text)
      local list = {}
      for word in (text .. ","):gmatch("%s*([^,]*),") do
         local x, message = one(word)
         if not x then return nil, message end
         list[#list + 1] = x
      end
      if #list == (count or #list) then return list end
      return nil, ("%s: '%s' is not %d numbers with commas between them"):format(option, text, count)
   end
end

--- The same for so many numbers with commas between them, as a list.
-- @tparam string option
-- @tparam ?integer count nil: one or more
-- @tparam number least
function cli.numbers(option, count, least) return list_of(cli.number(option, least), option, count) end

--- The same for integers.
-- @tparam string option
-- @tparam ?integer count nil: one or more
-- @tparam integer least
function cli.integers(option, count, least) return list_of(cli.integer(option, least), option, count) end

--- The same for the name of a sound file that can be written.
-- @tparam string option
function cli.sound_file(option)
   return function(text)
      local extension = (text:match("%.(%w+)$") or ""):lower()
      if extension == "flac" or extension == "ogg" or extension == "wav" then return text end
      return nil, ("%s: '%s' does not end in .flac, .ogg or .wav"):format(option, text)
   end
end

--- The same for one of several words.
-- @tparam string option
-- @tparam {string,...} words
function cli.choice(option, words)
   return function(text)
      for _, word in ipairs(words) do
         if text == word then return word end
      end
      return nil, ("%s: '%s' is not one of %s"):format(option, text, table.concat(words, ", "))
   end
end

--- The same for what a rule of `bclua.options` allows: an integer, a number, one of some words,
-- or several with commas between them; else any text.
-- @tparam string option
-- @tparam table rule
function cli.rule(option, rule)
   if rule[1] == "integer" then return cli.integer(option, rule.least, rule.most) end
   if rule[1] == "number" then
      local number = cli.number(option, rule.least or -math.huge, rule.most)
      return function(text)
         local x, message = number(text)
         if x and not options_of.is_right(rule, x) then
            return nil, ("%s: '%s' is not %s"):format(option, text, options_of.expected(rule))
         end
         return x, message
      end
   end
   if rule[1] == "choice" then return cli.choice(option, rule[2]) end
   if rule[1] == "list" then
      return list_of(cli.rule(option, rule.of), option, rule.shortest == rule.longest and rule.shortest or nil)
   end
   return function(text)
      local wrong = rule.check and rule.check(text)
      if wrong then return nil, ("%s: %s"):format(option, wrong) end
      return text
   end
end

--- What adds options to a parser whose limits and defaults are those of a schema of `bclua.options`.
-- @param parser
-- @tparam table schema
-- @treturn function (option, argname, text[, name]): adds one; `name` of its rule, where it is another than the
-- option's (`--batch-size`: `batch_size`); returns the option
function cli.settings(parser, schema)
   return function(option, argname, text, name)
      local rule = schema[name or option:sub(3):gsub("-", "_")]
      local default = rule.default
      if rule.was then cli.renamed("--" .. rule.was:gsub("_", "-"), option) end
      if type(default) == "number" then default = ("%.14g"):format(default) end
      return parser:option(option, text):argname(argname):default(default):convert(cli.rule(option, rule))
   end
end

-- What stands for a value in the help, by unit and by type.
local UNIT = {s = "S", min = "MIN", Hz = "HZ", MB = "MB"}
local VALUE = {integer = "N", number = "X", choice = "KIND", string = "FILE", list = "LIST", any = "VALUE"}

-- The name on the command line.
local function option_of(name, rule) return "--" .. (rule.option or name):gsub("_", "-") end

-- A default as it would be typed; nil: there is none to show.
local function typed(value)
   if type(value) == "table" then return value[1] and table.concat(value, ",") or nil end
   if type(value) == "number" then return ("%.14g"):format(value) end
   return type(value) == "string" and value ~= "" and value or nil
end

local function add(parser, name, rule)
   local option = option_of(name, rule)
   if rule.argument then
      local is_list = rule[1] == "list"
      return parser:argument(rule.argument, rule.text):target(name):args(is_list and "+" or rule.needed and 1 or "?")
         :convert(cli.rule(rule.argument, is_list and rule.of or rule))
   end
   if rule.was then cli.renamed(option_of(rule.was, {}), option) end
   if rule[1] == "boolean" then return parser:flag(option, rule.text):target(name) end
   return parser:option(option, rule.text):argname(rule.arg or UNIT[rule.unit] or VALUE[rule[1]]):target(name)
      :count(rule.needed and 1 or "?"):default(typed(rule.default)):convert(cli.rule(option, rule))
end

--- Add options, and arguments, to a parser: what they are called, say, take and are by default is what a schema of
-- `bclua.options` has. Their values are found under the names in the schema: `options.subset(parsed, schema)`.
-- @param parser
-- @tparam table schema
-- @tparam string names of some of its options, with blanks between them, in the order of the help
-- @return the options, for a group
function cli.options(parser, schema, names)
   local list = {}
   for name in names:gmatch("%S+") do
      local rule = assert(schema[name], name)
      local option = add(parser, name, rule)
      option.setting, list[#list + 1] = {name = name, rule = rule}, option
   end
   return table.unpack(list)
end

--- Options of what is heard of recordings (see `bclua.data.hearing`), for a command that begins a chain.
-- @tparam function setting from `cli.settings`
function cli.hearing(setting)
   setting("--sample-rate", "HZ", "Rate at which recordings are looked at, here and in all later steps.")
   setting("--channel", "C", "mix (the mean of all), left, right, best (in which most stands out), or a number.")
   setting("--fmin", "HZ", "Look at nothing below, against wind say (0: no limit of its own).")
   setting("--fmax", "HZ", "Look at nothing above (0: no limit of its own).")
end

--- The same for a list of such words, with commas between them.
-- @tparam string option
-- @tparam {string,...} words
function cli.choices(option, words)
   local one = cli.choice(option, words)
   return function(text)
      local list, seen = {}, {}
      for word in (text .. ","):gmatch("([^,]*),") do
         local x, message = one(word)
         if not x then return nil, message end
         if seen[x] then return nil, ("%s: '%s' is named twice"):format(option, x) end
         list[#list + 1], seen[x] = x, true
      end
      return list
   end
end

local Command = {__close = function(self, e)
   if e ~= nil and system.interrupted() then error(self.name .. ": " .. progress.interrupted(), 0) end
end}

--- From here on the script is at its work: Ctrl-C, SIGTERM or SIGHUP end it with a line that says what is kept.
-- @tparam string name of the command, for the message
-- @treturn table to be held in a variable that is closed with the script
-- @usage local _ <close> = cli.command("motif extract")
function cli.command(name) return setmetatable({name = name}, Command) end

--- End the script: after `nil, message` with the message on stderr and status 1.
-- @tparam string name of the command, for the message
-- @param result what the work returned
-- @tparam[opt] string message
-- @tparam[opt] table options `strict`: failures count
function cli.finish(name, result, message, options)
   progress.clear()
   if not result then
      if system.interrupted() then error("interrupted!", 0) end
      io.stderr:write(display.line(name .. ": " .. tostring(message)), "\n")
      os.exit(1, true)
   end
   local failures = type(result) == "table" and result.failures or {}
   if options and options.strict and #failures > 0 then
      io.stderr:write(name, ": ", #failures, " failed (--strict)\n")
      os.exit(1, true)
   end
end

return cli
