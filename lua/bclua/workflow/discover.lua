--- Which calls are repeated, and where: sets of windows that are alike, in each recording, and which sets of different
-- recordings, and single windows of them, are the same.
--
-- Sets are those of `stomp.motif_sets`, of the features that `extract` kept. Their radius is a share of what is usual
-- in the recording: the median distance of two windows of it, taken at many lags. Stretches in which nothing stands
-- out take no part. Single windows are those whose spectrogram is most uneven. Calls are of `discover.join`.
-- @module bclua.workflow.discover
local clock = require "bclua.clock"
local extracted = require "bclua.data.extracted"
local join = require "bclua.workflow.discover.join"
local options_of = require "bclua.options"
local parallel = require "bclua.parallel"
local pieces = require "bclua.workflow.pieces"
local progress = require "bclua.progress"
local rules = require "bclua.data.rules"
local search = require "bclua.workflow.search"
local windows = require "bclua.workflow.discover.windows"
local work = require "bclua.workflow.discover.work"

local discover = {}

--- The columns of the table.
discover.columns = {"source_name", "species", "call", "set", "member", "start_s", "end_s", "clock_time", "distance",
   "members", "usual", "correlation"}

--- What `windows.sets` takes, as in `run`.
discover.rules = {
   seconds = {"number", default = 2, least = 0.1, most = 3600, unit = "s", word = "auto", text = "Length of a " ..
      "window, about that of a call; auto: the longest, of 1 to 5 s, whose sets cover as much of the sound as any."},
   share = {"number", default = 0.2, above = 0, most = 1, text = "Alike are windows nearer to each other than this " ..
      "share of the usual distance of two windows of the recording."},
   fewest = {"integer", default = 3, least = 2, most = 100000, text = "Windows of a set, and of a call, at least."}}

--- One recording, on a worker state.
-- @tparam table item from `extracted.locate`
-- @tparam table o as for `sets`, and `singles`
-- @treturn[1] {table,...} as from `sets`, with `number` and `usual`; then single windows that may be calls of others
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function discover.one(item, o)
   local x, message = extracted.features(item)
   if not x then return nil, message end
   local sets, usual = windows.sets(x, o)
   local taken = {}
   for _, set in ipairs(sets) do table.move(set.at, 1, #set.at, #taken + 1, taken) end
   if x:shape(2) >= o.window then
      for _, at in ipairs(windows.uneven(x:copy("f64"), o.window, o.singles, taken)) do
         sets[#sets + 1] = {at = {at}, distance = {0.0}}
      end
   end
   for k, set in ipairs(sets) do set.number, set.usual = k, usual end
   return sets
end

-- A row a window, in order of calls, the sets first that are most like the centre.
local function rows_of(all, rate, window)
   local sets = {}
   for _, set in ipairs(all) do sets[#sets + 1] = set.call and set end
   table.sort(sets, function(a, b)
      if a.call ~= b.call then return a.call < b.call end
      if a.correlation ~= b.correlation then return a.correlation > b.correlation end
      if a.row.source_name ~= b.row.source_name then return a.row.source_name < b.row.source_name end
      return a.number < b.number
   end)
   local rows = {}
   for _, set in ipairs(sets) do
      for m, at in ipairs(set.at) do
         local start_s = at / rate
         rows[#rows + 1] = {source_name = set.row.source_name, species = set.row.species, call = set.call,
            set = set.number, member = m, start_s = start_s, end_s = start_s + window / rate,
            clock_time = clock.at(set.row.recorded_at, start_s), distance = set.distance[m], members = #set.at,
            usual = set.usual, correlation = set.correlation, channel = set.row.channel}
      end
   end
   return rows
end

--- What `run` takes.
discover.options = options_of.extend(discover.rules, {
   input = rules.motif,
   output = {"string", text = "The windows, as a .parquet or .csv file."},
   features = search.options.features,
   singles = {"integer", default = 20, least = 0, most = 100000,
      text = "Windows of each recording that are in no set of it and may be calls of others, at most."},
   group = {"choice", {"species", "site", "recorder"}, text = "Instead of sets, of each species (or site, ...) the " ..
      "window that all of its recordings contain most nearly, and the one that they have and others have not."},
   others = {"integer", default = 100, least = 1, most = 100000,
      text = "With --group: recordings of other groups, at most, that each is compared with."},
   seed = {"integer", default = 1, least = 0, text = "Of the choice of these."},
   track = {"string", text = "Sound file (.flac, .ogg or .wav) with examples of each call, and beside it, as .txt, " ..
      "a label track for Audacity."},
   dataset_root = options_of.extend(rules.dataset_root, {text = "For --track: the folder that source_name begins in."}),
   examples = {"integer", default = 4, least = 1, most = 100, text = "Of each call in the track, at most."},
   shard = pieces.rules.shard, time_limit = pieces.rules.time_limit, force = "boolean", quiet = "boolean"})

local SETS = {"list", items = "sets", of = {"table", of = {number = {"integer", needed = true, least = 1},
   usual = {"number"}, distance = {"list", needed = true, of = {"number"}, items = "numbers"},
   at = {"list", needed = true, of = {"integer", least = 0}, items = "integers"}}}}

local COMPARED_A_SECOND = 2e6 -- windows with windows, at all shifts: by it work is divided

-- What sets of a recording are alike, as JSON has it.
local FOUND = {"list", items = "sets", of = {"table", of = {
   with = {"list", needed = true, of = {"integer", least = 1}, items = "numbers"},
   correlation = {"list", needed = true, of = {"number"}, items = "numbers"}}}}

-- The task that joins sets, which are those of one recording after the other.
local function join_task(c, sets, o, many)
   local items, sum = {}, 0
   for i, set in ipairs(sets) do
      local last = items[#items]
      if last and last.item.row == set.row then
         last.item.last = i
      else
         items[#items + 1] = {name = set.row.source_name, item = {row = set.row, first = i, last = i}}
      end
      for _, at in ipairs(set.at) do sum = (sum * 31 + at + i) % (1 << 40) end
   end
   for _, item in ipairs(items) do -- pieces are of about as much work
      item.seconds = (item.item.last - item.item.first + 1) * #sets / COMPARED_A_SECOND
   end
   local t
   local function features(row) return extracted.features(c.item_of[row]) end
   local function one(item)
      local message
      if not t then t, message = join.table(sets, c.window, features) end
      local x = t
      if x then x, message = features(item.row) end
      if not x then return nil, message end
      local list = {}
      for k, of in ipairs(join.find(table.move(sets, item.first, item.last, 1, {}), x, c.window, t)) do
         list[k] = {with = {}, correlation = {}}
         for j in pairs(of) do table.insert(list[k].with, j) end
         table.sort(list[k].with)
         for m, j in ipairs(list[k].with) do list[k].correlation[m] = of[j] end
      end
      return list
   end
   local function map(list)
      local i = 0
      return function()
         i = i + 1
         if list[i] then return i, one(list[i]) end
      end
   end
   local function sum_up(found)
      local of = {}
      for i, item in ipairs(items) do
         local first, last = item.item.first, item.item.last
         for k = first, last do
            local set = found[i] and found[i][k - first + 1] or {with = {}}
            of[k] = {}
            for m, j in ipairs(set.with) do of[k][j] = set.correlation[m] end
         end
      end
      return {calls = join.number(sets, of, o.fewest), sets = many, rows = rows_of(sets, c.rate, c.window)}
   end
   return {name = "join", key = ("join-%x"):format(sum), items = items, unit = "recording", map = map,
      settings = {sets = #sets}, rules = FOUND, sum_up = sum_up, columns = discover.columns, parameters = o,
      sample_rate = c.sample_rate}
end

-- The task of all recordings, for `work.run`.
local function sets_task(c, options)
   local items, o = {}, {seconds = options.seconds, share = options.share, fewest = options.fewest,
      singles = options.singles}
   c.item_of = {}
   for i, row in ipairs(c.rows) do
      c.item_of[row] = search.locate(row, c.features)
      items[i] = {name = row.source_name, item = c.item_of[row], seconds = row.duration_cens / c.rate}
   end
   local with_window = options_of.extend(o, {window = c.window})
   local function map(list) return parallel.map(list, "bclua.workflow.discover", "one", with_window) end
   local function following(found)
      local sets, many = {}, 0
      for i, row in ipairs(c.rows) do
         for _, set in ipairs(found[i] or {}) do
            set.row, sets[#sets + 1], many = row, set, many + (#set.at > 1 and 1 or 0)
         end
      end
      return join_task(c, sets, o, many)
   end
   return {name = "discover", items = items, unit = "recording", map = map, settings = with_window, rules = SETS,
      next = following, parameters = o}
end

--- Find the sets of all recordings of a table, or what groups of recordings have in common.
-- @tparam table options `input` (Parquet from `consolidate`), `seconds` (2; or "auto"), `share` (0.2), `fewest` (3),
-- `singles` (20, of a recording: windows that are in no set of it); `group`: see `bclua.workflow.discover.groups`, and
-- `others` (100), `seed` (1), which are for it; `output` (.parquet or .csv), `features` (the folder that `extract`
-- wrote; default: the one that was consolidated), `track`, `dataset_root`, `examples` (4), `shard` (`3/64`: only this
-- part of the work, see `bclua.workflow.pieces`), `time_limit` (minutes), `force`, `quiet`
-- @treturn[1] table `rows` (see `columns`), `calls` (how many), `sets` (of recordings), or with `group` `rows` and
-- `groups`; `failures`, `track`; with a shard or a time limit as from `pieces.run`
-- @treturn[2] nil
-- @treturn[2] string message
function discover.run(options)
   options = options_of.check(options, discover.options)
   if options.track and not options.dataset_root then return nil, "--track: needs --dataset-root" end
   local rows, p = search.read_corpus(options.input)
   if not rows then return nil, p end
   local c, ok, task, message = {rows = rows, rate = p.cens_sample_rate, sample_rate = p.sample_rate}
   c.features, message = search.find_features({input = options.input, features = options.features}, rows)
   if not c.features then return nil, message end
   if options.seconds == "auto" then
      options.seconds = require("bclua.workflow.discover.length").learn(c, options)
   end
   c.window = math.floor(options.seconds * c.rate + 0.5)
   if c.window < 2 then return nil, ("--seconds %g is less than two frames"):format(options.seconds) end
   task, message = (options.group and require("bclua.workflow.discover.groups").task or sets_task)(c, options)
   if not task then return nil, message end
   ok, message = search.check_output(options, task.parameters)
   if not ok then return nil, message end
   if p.features ~= "mel" then
      progress.note("discover: of CENS; calls are found by `motif extract --features mel`", options.quiet)
   end
   return work.run(task, options)
end

--- The calls that rows are of, those of most windows first: noise is in most recordings, but seldom in one.
-- @tparam {table,...} rows of a result
-- @treturn {table,...} `example` (its first row), `windows`, `recordings` (numbers)
function discover.calls(rows)
   local of, list, seen = {}, {}, {}
   for _, row in ipairs(rows) do
      local c = of[row.call]
      if not c then
         c = {example = row, windows = 0, recordings = 0}
         of[row.call], list[#list + 1], seen[c] = c, c, {}
      end
      c.windows = c.windows + 1
      if not seen[c][row.source_name] then seen[c][row.source_name], c.recordings = true, c.recordings + 1 end
   end
   table.sort(list, function(x, y)
      if x.windows ~= y.windows then return x.windows > y.windows end
      return x.example.call < y.example.call
   end)
   return list
end

local SHOWN = 20

--- The largest calls as text.
-- @tparam table r from `run`
-- @treturn string
function discover.text(r)
   if r.groups then return require("bclua.workflow.discover.groups").text(r) end
   local order = discover.calls(r.rows)
   local lines = {{"call", "windows", "recordings", "example", "start_s"}}
   for i = 1, math.min(SHOWN, #order) do
      local c = order[i]
      lines[i + 1] = {("%d"):format(c.example.call), ("%d"):format(c.windows), ("%d"):format(c.recordings),
         c.example.source_name, ("%.1f"):format(c.example.start_s)}
   end
   local text = table.concat(require("bclua.display").lines(lines, {true, true, true, false, true}), "\n") .. "\n"
   return text .. (#order > SHOWN and ("and %d more\n"):format(#order - SHOWN) or "")
end

return discover
