--- Command lines: argparse with what all our scripts have in common.
-- @module bclua.cli
local argparse = require "argparse"
local deadline = require "bclua.deadline"
local display = require "bclua.display"
local options_of = require "bclua.options"
local progress = require "bclua.progress"
local shards = require "bclua.data.shards"
local system = require "bclua.system"

local cli = {}

local MIN_COLUMNS, MAX_COLUMNS = 60, 98 -- of the help

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

--- A parser whose name is how the user calls the script; `--level -3` is `--level=-3`. One with commands lists them
-- where it gets none.
-- @tparam string script its name, as in `motif`, or its path
-- @tparam string description
-- @tparam[opt] string epilog examples
function cli.parser(script, description, epilog)
   local columns = math.max(MIN_COLUMNS, math.min(MAX_COLUMNS, progress.columns() or MAX_COLUMNS))
   local parser = argparse("bclua " .. script, description):help_max_width(columns)
   local parse, help = parser.parse, parser.get_help
   function parser.get_help(self)
      return help(self) .. (epilog and "\n\n" .. epilog:gsub("[^\n]+", function(line)
         return not line:find("^  ") and display.wrap(line, columns) or nil -- commands stay whole, to be copied
      end) or "")
   end
   function parser.parse(self, words)
      words = words or arg
      if #words == 0 and #self._commands > 0 then
         io.stderr:write(self:get_help(), "\n\nError: a command is required\n")
         os.exit(1)
      end
      return parse(self, with_values(words))
   end
   return parser
end

--- The parser that a script makes: it is run as far as it parses its command line.
-- @tparam string path of the script
-- @return nil: it makes none
-- @raise what goes wrong before
function cli.parser_of(path)
   local made, parser, done = cli.parser, nil, {}
   cli.parser = function(...)
      parser = made(...)
      for _, name in ipairs({"parse", "pparse"}) do parser[name] = function() error(done, 0) end end
      return parser
   end
   local before = arg
   arg = {[0] = path} -- luacheck: ignore
   local ok, message = pcall(dofile, path)
   arg, cli.parser = before, made -- luacheck: ignore
   if not ok and message ~= done then error(message, 0) end
   return parser
end

--- `--threads`, obeyed at once.
function cli.threads(parser)
   parser:option("--threads", "Threads for everything (default: BCLUA_THREADS, else all cores)."):argname("N")
      :convert(cli.integer("--threads", 1, 1024)):action(function(_, _, n) system.threads(n) end)
   return parser
end

--- `--help` of a script that only has arguments: the comment that it begins with.
function cli.help_by_comment()
   if arg[1] ~= "--help" and arg[1] ~= "-h" then return end
   for line in io.lines(arg[0]) do
      local text = line:match("^%-%- ?(.*)")
      if not text then break end
      print(text)
   end
   os.exit(0, true)
end

--- `-v`: bars also say what only some want to know.
function cli.verbose(parser)
   parser:flag("-v --verbose", "Say more: loss and speed beside the bar of training, tables of the evaluation.")
      :action(function() progress.verbose = true end)
   return parser
end

--- `--strict`.
function cli.strict(parser)
   parser:flag("--strict", "Exit with an error if any recording failed.")
   return parser
end

--- `--force` and `--strict`.
function cli.outcome(parser)
   parser:flag("--force", "Redo output that was made with other parameters.")
   return cli.strict(parser)
end

local goes_on = false -- Is the command part of a job that is started again for what is left?

--- Run a step whose work many processes may share: its `shard`, where none is given, is what a scheduler says, which a
-- line on stderr tells, and its `time_limit` the end of the job; SIGTERM ends it with status 75 where it has a shard or
-- a time limit.
-- @tparam string name of the step
-- @tparam table o its options
-- @tparam function run
-- @tparam[opt] boolean by_pieces without a shard or a limit of its own the step cannot stop half-way, and so the end
-- of the job is nothing to it
-- @return what `run` does; or nil and a message
function cli.shared(name, o, run, by_pieces)
   if not o.shard and not o.claim then
      local shard, variable = shards.of_environment()
      if not shard and variable then return nil, variable end
      o.shard = shard
      if shard then progress.note(("%s: --shard %s, by %s"):format(name, shard, variable)) end
   end
   if o.shard or o.claim or o.time_limit or not by_pieces then
      o.time_limit = deadline.minutes(o.time_limit)
   end
   goes_on = o.shard ~= nil or o.claim or o.time_limit ~= nil
   return run(o)
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
   if rule.word then
      local other = cli.rule(option, options_of.extend(rule, {word = false}))
      return function(text)
         if text == rule.word then return text end
         local x, message = other(text)
         return x, message and ("%s (or '%s')"):format(message, rule.word)
      end
   end
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
      return parser:argument(rule.argument, rule.text):target(name)
         :args(is_list and (rule.needed and "+" or "*") or rule.needed and 1 or "?"):convert(cli.rule(rule.argument,
         is_list and rule.of or rule))
   end
   if rule.was then cli.renamed(option_of(rule.was, {}), option) end
   if rule[1] == "boolean" then return parser:flag(option, rule.text):target(name) end
   if rule.repeated then
      return parser:option(option, rule.text):argname(rule.arg):target(name):count(rule.needed and "+" or "*")
         :convert(cli.rule(option, rule.of))
   end
   return parser:option(option, rule.text):argname(rule.arg or UNIT[rule.unit] or VALUE[rule[1]]):target(name)
      :count((rule.needed or rule.asked) and 1 or "?"):default(typed(rule.default)):convert(cli.rule(option, rule))
end

--- A command of a script that does one step: its options are those of the step, `--threads`, `--strict`, and `--force`
-- where the step has that.
-- @param parser
-- @tparam string name
-- @tparam string description
-- @tparam table schema
-- @tparam string names as for `options`
-- @return the command; and a function that gives, of what was parsed, the step's options
function cli.step(parser, name, description, schema, names)
   local c = parser:command(name, description)
   cli.options(c, schema, names)
   cli.threads(schema.force and cli.outcome(c) or cli.strict(c))
   return c, function(parsed) return options_of.subset(parsed, schema) end
end

--- Of what was parsed: where an option stands for a command's first argument, all arguments are of the second, a list.
-- @param parser
-- @tparam table parsed is changed
-- @tparam string option as in `encoder`
-- @tparam string first as in `checkpoint`
-- @tparam string rest as in `inputs`
-- @treturn table parsed
function cli.instead(parser, parsed, option, first, rest)
   if parsed[option] then
      table.insert(parsed[rest], 1, parsed[first])
      parsed[first] = nil
   end
   local missing = not (parsed[option] or parsed[first]) and first or #parsed[rest] == 0 and rest
   if missing then parser:error(("missing argument '%s'"):format(missing)) end
   return parsed
end

--- What a command does that runs a step and prints what came of it, and where that is written.
-- @tparam table workflow the step: `run(options)`, `options` (their schema), `text(result)`
-- @treturn function of what was parsed: the step's result, or nil and a message
function cli.tells(workflow)
   return function(parsed)
      local result, message = workflow.run(options_of.subset(parsed, workflow.options))
      if result then print(workflow.text(result) .. "\nwritten: " .. parsed.output) end
      return result, message
   end
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

local SIGTERM = 15 -- a scheduler's

local Command = {__close = function(self, e)
   local is_interrupted, signal = system.interrupted()
   if e == nil or not is_interrupted then return end
   local message = self.name .. ": " .. progress.interrupted()
   if not goes_on or signal ~= SIGTERM then error(message, 0) end
   io.stderr:write("bclua: ", display.line(message), "\n")
   os.exit(deadline.again, true)
end}

--- From here on the script is at its work: Ctrl-C, SIGTERM or SIGHUP end it with a line that says what is kept.
-- @tparam string name of the command, for the message
-- @treturn table to be held in a variable that is closed with the script
-- @usage local _ <close> = cli.command("motif extract")
function cli.command(name) return setmetatable({name = name}, Command) end

--- End the script: after `nil, message` with the message on stderr and status 1; with status 75 where `stopped` says
-- that time was up.
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
   if type(result) == "table" and result.stopped then
      io.stderr:write(name, ": time is up; run the same command to go on\n")
      os.exit(deadline.again, true)
   end
   local failures = type(result) == "table" and result.failures or {}
   if options and options.strict and #failures > 0 then
      io.stderr:write(name, ": ", #failures, " failed (--strict)\n")
      os.exit(1, true)
   end
end

return cli
