--- An experiment: what it prints is kept, as Parquet, pictures and a section of the report.
--
-- All that an experiment makes is in one folder, `RUN/experiments/NAME`; `section.json` there says
-- what belongs to it and in which order. `RUN/report.html` takes the sections of all experiments in.
-- @module bclua.experiment
-- @usage
-- local experiment = require "bclua.experiment"
-- local e = assert(experiment.open{run = "runs/demo", name = "noise", title = "Noise", settings = {seed = 1}})
-- e:say("One step at each level.")
-- e:table({{level = 0, loss = 50.1}, {level = 0.1, loss = 50.3}}, {"level", "loss"})
-- e:picture("loss.svg", "loss over noise", function(path) return plot.line({50.1, 50.3}, path) end)
-- e:close()
local check_options = require("bclua.options").check
local cli = require "bclua.cli"
local display = require "bclua.display"
local files = require "bclua.files"
local json = require "bclua.json"
local lfs = require "lfs"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local report = require "bclua.report"
local sql = require "bclua.sql"
local system = require "bclua.system"

local experiment = {}

local PLACE = "experiments" -- in the page, and the folder
local LONG = 200 -- letters of a table of settings

local PARSER = {
   run = {"string", default = "runs/demo"},
   seed = {"integer", least = 0, most = 1 << 53, default = 1},
   seeds = {"integer", least = 0, most = 1000, default = 3},
}

--- A parser with what all experiments have in common: `--run`, `--seed`, `--seeds`, `--threads`.
-- @tparam string script as in `scripts/experiments/noise.lua`
-- @tparam string description
-- @tparam[opt] string epilog examples
-- @tparam[opt] table defaults `run` ("runs/demo"), `seed` (1), `seeds` (3; 0: it has no use for seeds)
-- @return an argparse parser
function experiment.parser(script, description, epilog, defaults)
   local o = check_options(defaults, PARSER)
   local parser = cli.parser(script, description, epilog)
   parser:option("--run", "Folder of a run of bclua pipeline; results go to RUN/experiments.",
      o.run):argname("DIR")
   if o.seeds == 0 then return cli.threads(parser) end
   parser:option("--seed", "The first seed.", tostring(o.seed)):argname("N")
      :convert(cli.integer("--seed", 0, 2 ^ 53))
   parser:option("--seeds", "How many seeds, counted from the first.", tostring(o.seeds)):argname("N")
      :convert(cli.integer("--seeds", 1, 1000))
   return cli.threads(parser)
end

--- The seeds that `--seed` and `--seeds` ask for.
-- @tparam table o `seed`, `seeds`
-- @treturn {integer,...}
function experiment.seeds(o)
   local list = {}
   for i = 1, o.seeds do list[i] = o.seed + i - 1 end
   return list
end

-- A value as JSON can hold it: infinite numbers and NaN become text.
local function plain(value, where)
   local kind = type(value)
   if value ~= value then return "nan" end
   if value == math.huge or value == -math.huge then return tostring(value) end
   if kind == "table" then
      local copy = {}
      for k, v in pairs(value) do copy[k] = plain(v, where .. "." .. tostring(k)) end
      return copy
   end
   if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
      error(("bad value of '%s' (number, text, boolean or table expected, got %s)"):format(where, kind), 3)
   end
   return value
end

local function wrong_name(name)
   if type(name) == "string" and name:match("^[%w_][%w_%-.]*$") then return nil end
   return ("'%s' is no name (letters, digits, _, - and . expected)"):format(tostring(name))
end

-- Settings for a line on the terminal: of long tables inside others only that they are there.
local function brief(value, depth)
   if type(value) ~= "table" or #files.json(value) <= LONG then return value end
   if depth > 1 then return "..." end
   local copy = {}
   for k, v in pairs(value) do copy[k] = brief(v, depth + 1) end
   return copy
end

local Experiment = {}
Experiment.__index = Experiment

local OPEN = {
   run = {"string", needed = true},
   name = {"string", needed = true, check = wrong_name},
   title = "string",
   settings = {"table", default = {}},
   needs = {"list", of = "string", items = "strings", default = {}},
   out = "output",
}

--- Begin an experiment: says what it is and its settings. Nothing is written yet.
-- @tparam table options `run`: a folder; `name`; `title` (default: the name); `settings`: all that decides
-- the results; `needs`: files that must be in `run`, as `{"motif.parquet"}`; `out`: where it is printed
-- (default: `io.stdout`)
-- @treturn[1] table `folder`, `RUN/experiments/NAME`, which need not be there yet, and the methods below
-- @treturn[2] nil
-- @treturn[2] string message: a file of `needs` is missing
function experiment.open(options)
   local o = check_options(options, OPEN)
   local run = o.run:gsub("(.)/+$", "%1")
   local settings = plain(o.settings, "settings")
   for _, file in ipairs(o.needs) do
      if not files.exists(run .. "/" .. file) then
         return nil, ("%s/%s: no such file (bclua pipeline --run %s makes it)"):format(run, file, run)
      end
   end
   local self = setmetatable({name = o.name, title = o.title or o.name, run = run, settings = settings,
      folder = ("%s/%s/%s"):format(run, PLACE, o.name), out = o.out or io.stdout, parts = {}, made = {},
      sound_count = 0}, Experiment)
   self:print(self.title)
   self:print(files.json(brief(settings, 0)))
   return self
end

--- Print a line; the section does not have it.
function Experiment:print(text)
   progress.clear()
   self.out:write(text, "\n")
   self.out:flush()
end

--- Put a part into the section.
-- @tparam table part `kind` and what that needs: `text`, `warning`, `table`, `picture`, `sounds`
function Experiment:add(part) self.parts[#self.parts + 1] = part end

--- Say what could not be written, whatever the script does about it.
-- @tparam string message
-- @treturn nil
-- @treturn string message
function Experiment:failed(message)
   self:warn(message)
   return nil, message
end

--- The path of a file of this experiment, in a folder that is there.
-- @tparam string name
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function Experiment:path(name)
   local ok, message = system.mkdir(self.folder)
   if not ok then return nil, message end
   return self.folder .. "/" .. name
end

--- Print a text; it becomes a paragraph.
-- @tparam string text
function Experiment:say(text)
   self:print(text)
   self:add({kind = "text", text = text})
end

--- Something that went wrong and is not the end: to stderr, and marked in the section.
-- @tparam string text
function Experiment:warn(text)
   progress.clear()
   io.stderr:write(display.line(self.name .. ": " .. text), "\n")
   self:add({kind = "warning", text = text})
end

local TABLE = {name = {"string", check = wrong_name}, limit = {"integer", least = 1}}

--- Print rows, write them to `RUN/experiments/NAME/NAME.parquet`, put them into the section.
-- @tparam {table,...} rows by column name
-- @tparam[opt] {string,...} columns in order (default: sorted)
-- @tparam[opt] table options `name` of the file, without extension (default: the experiment's); `limit`: so many rows
-- are shown (default: all), the middle is in the file only
-- @treturn[1] string path of the Parquet file
-- @treturn[2] nil
-- @treturn[2] string message
function Experiment:table(rows, columns, options)
   local o = check_options(options, TABLE)
   local name = o.name or self.name
   columns = columns or sql.names(rows)
   local kept, cells, limit = {}, {}, o.limit or math.max(#rows, 1)
   for i, row in ipairs(rows) do
      kept[i] = {}
      for _, column in ipairs(columns) do
         local v = row[column]
         kept[i][column] = type(v) == "table" and plain(v, column) or v
      end
   end
   local data = provenance.columns(kept, columns)
   for i in ipairs(rows) do
      if i <= (limit + 1) // 2 or i > #rows - limit // 2 then
         local line = {}
         for c, column in ipairs(columns) do
            local v = data[column][i]
            line[c] = v == nil and json.null or plain(v, column)
         end
         cells[#cells + 1] = line
      end
   end
   self:print(sql.table(rows, {order = columns, limit = limit}))
   self:add({kind = "table", columns = columns, rows = cells})
   if #cells < #rows then
      local text = ("The first and last of %d rows; all are in %s.parquet."):format(#rows, name)
      self:add({kind = "text", text = text})
   end
   local path, message = self:path(name .. ".parquet")
   if not path then return self:failed(message) end
   local ok
   ok, message = sql.write_parquet(path, data, {order = columns, metadata = provenance.for_parquet(self.settings)})
   if not ok then return self:failed(message) end
   self.made[#self.made + 1] = path
   return path
end

--- Draw a picture, and put it into the section. What goes wrong is a warning, not the end.
-- @tparam string name of the file, which ends in .svg or .png
-- @tparam string caption
-- @tparam function draw is called with the path; returns true, or nil and a message
-- @treturn boolean is there a picture?
function Experiment:picture(name, caption, draw)
   local wrong = wrong_name(name)
   if wrong then error("picture: " .. wrong, 2) end
   if not (name:match("%.svg$") or name:match("%.png$")) then
      error(("bad name of a picture '%s' (.svg or .png expected)"):format(name), 2)
   end
   local path, message = self:path(name)
   if path then
      local ok, done, why = pcall(draw, path)
      if not ok and system.interrupted() then error(done, 0) end
      message = not ok and done or not done and (why or "not drawn") or nil
   end
   if message then
      self:warn("no picture: " .. tostring(message))
      return false
   end
   self.made[#self.made + 1] = path
   self:add({kind = "picture", file = name, caption = caption})
   return true
end

--- Put sounds into the section, side by side.
-- @tparam {table,...} sounds `{bytes=, type="audio/ogg", caption=}`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
function Experiment:sounds(sounds)
   local list = {}
   for i, s in ipairs(sounds) do
      self.sound_count = self.sound_count + 1
      local file = ("sound-%d.%s"):format(self.sound_count, (s.type:match("/(%w+)$")))
      local path, message = self:path(file)
      local ok = path
      if ok then ok, message = system.write_file(path, s.bytes) end
      if not ok then return self:failed(message) end
      list[i] = {file = file, type = s.type, caption = s.caption}
   end
   self:add({kind = "sounds", sounds = list})
   return true
end

local draw = {
   text = function(r, part) r:paragraph(part.text) end,
   warning = function(r, part) r:warning(part.text) end,
   table = function(r, part) r:table(part.columns, part.rows) end,
   picture = function(r, part, folder)
      local ok, message = r:picture(folder .. "/" .. part.file, part.caption)
      if not ok then r:warning("no picture: " .. message) end
   end,
   sounds = function(r, part, folder)
      local sounds = {}
      for _, s in ipairs(part.sounds) do
         local bytes, message = files.read(folder .. "/" .. s.file)
         if bytes then
            sounds[#sounds + 1] = {bytes = bytes, type = s.type, caption = s.caption}
         else
            r:warning("no sound: " .. message)
         end
      end
      r:players(sounds)
   end,
}

local function write_section(r, section, folder)
   r:section("Experiment: " .. section.title)
   r:paragraph(("%s, bclua %s"):format(section.date, section.version))
   if section.command then r:code(section.command) end
   for _, part in ipairs(section.parts) do draw[part.kind](r, part, folder) end
   r:code(files.json(section.settings, true), "Settings")
end

-- The folders of the experiments of a run that came to their end, sorted.
local function folders(run)
   local root, list = run .. "/" .. PLACE, {}
   local ok, iterator, state = pcall(lfs.dir, root)
   if not ok then return list end
   for name in iterator, state do
      if files.exists(("%s/%s/section.json"):format(root, name)) then list[#list + 1] = root .. "/" .. name end
   end
   table.sort(list)
   return list
end

-- The sections of all experiments of a run, by name. What cannot be read is a warning there.
local function sections(run)
   local r = report.new(PLACE, "e")
   for _, folder in ipairs(folders(run)) do
      local section, message = files.read_json(folder .. "/section.json")
      local part = report.new("", "e")
      part.sections = table.move(r.sections, 1, #r.sections, 1, {}) -- anchors count on
      local ok, why = pcall(write_section, part, section, folder)
      if section and ok then
         r.sections = part.sections
         table.move(part.parts, 1, #part.parts, #r.parts + 1, r.parts)
      else
         r:section("Experiment: " .. files.basename(folder))
         r:warning(message or ("%s/section.json: not a section: %s"):format(folder, tostring(why)))
      end
   end
   return r
end

--- Put the sections of a run's experiments into its report, where `close` can renew them.
-- @tparam table r a report
-- @tparam string run the folder
function experiment.place(r, run) r:place(PLACE, sections(run)) end

--- Renew the experiments in `RUN/report.html`; without one, make one of nothing else.
-- @tparam string run the folder
-- @treturn[1] string path of the report
-- @treturn[2] nil
-- @treturn[2] string message
function experiment.refresh(run)
   local path = run .. "/report.html"
   local text, message
   if files.is_file(path) then
      local page
      page, message = files.read(path)
      if not page then return nil, message end
      text = report.refill(page, PLACE, sections(run))
      if not text then
         return nil, path .. ": has no place for experiments (made by another version; bclua pipeline renews it)"
      end
   else
      local r = report.new("bclua: " .. files.basename(run))
      experiment.place(r, run)
      text = r:text()
   end
   local ok
   ok, message = system.write_file(path, text)
   if not ok then return nil, message end
   return path
end

-- How the script was called; nil in the REPL and in specs.
local function command_line()
   local words = {}
   for i, word in ipairs(_G.arg or {}) do words[i] = display.shell(word) end
   return _G.arg and _G.arg[0] and table.concat({"bclua", _G.arg[0], table.unpack(words)}, " ") or nil
end

--- The end: writes `section.json`, renews the report, says where things are.
-- @treturn[1] table the section: `name`, `title`, `date`, `version`, `command`, `settings`, `parts`, and `report`,
-- the path
-- @treturn[2] nil
-- @treturn[2] string message
function Experiment:close()
   local section = {name = self.name, title = self.title, date = os.date("%Y-%m-%d %H:%M"), version = system.version(),
      command = command_line(), settings = self.settings, parts = self.parts}
   local path, message = self:path("section.json")
   if not path then return nil, message end
   local ok
   ok, message = files.write_json(path, section)
   if not ok then return nil, message end
   for _, made in ipairs(self.made) do self:print(made) end
   section.report, message = experiment.refresh(self.run)
   if section.report then
      self:print("report: " .. section.report)
   else
      io.stderr:write(self.name, ": no report: ", message, "\n")
   end
   return section
end

return experiment
