--- Which calls are repeated, and where: sets of windows that are alike, in each recording, and which sets of different
-- recordings are the same.
--
-- Sets are those of `stomp.motif_sets`, of the features that `extract` kept. Their radius is a share of what is usual
-- in the recording: the median distance of two windows of it, taken at many lags. Stretches in which nothing stands
-- out take no part.
-- @module bclua.workflow.discover
local clock = require "bclua.clock"
local extracted = require "bclua.data.extracted"
local join = require "bclua.workflow.discover.join"
local options_of = require "bclua.options"
local pieces = require "bclua.workflow.pieces"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local rules = require "bclua.data.rules"
local search = require "bclua.workflow.search"
local shards = require "bclua.workflow.discover.shards"
local stomp = require "bclua.stomp"
local windows = require "bclua.workflow.discover.windows"

local discover = {}

--- The columns of the table.
discover.columns = {"source_name", "species", "call", "set", "member", "start_s", "end_s", "clock_time", "distance",
   "members", "usual"}

--- What `sets` takes, as in `run`.
discover.rules = {
   seconds = {"number", default = 2, least = 0.1, most = 3600, unit = "s", text = "Length of a window."},
   share = {"number", default = 0.2, above = 0, most = 1, text = "Alike are windows nearer to each other than this " ..
      "share of the usual distance of two windows of the recording."},
   fewest = {"integer", default = 3, least = 2, most = 100000, text = "Members of a set, at least."}}

--- The sets of a recording.
-- @tparam array x features, (dimensions, frames)
-- @tparam table o `window` (frames), `share`, `fewest`
-- @treturn {table,...} as from `stomp.motif_sets`, no two windows overlapping
-- @treturn ?number what is usual; nil: the recording is too short
function discover.sets(x, o)
   if x:shape(2) < 2 * o.window then return {} end
   x = x:copy("f64")
   local usual = windows.usual(x, o.window)
   if not (usual and usual > 0 and usual < math.huge) then return {} end
   return stomp.motif_sets(x, o.window, {radius = o.share * usual, exclusion = o.window - 1, fewest = o.fewest,
      among = windows.with_sound(x, o.window)}), usual
end

--- One recording, on a worker state.
-- @tparam table item from `extracted.locate`
-- @tparam table o as for `sets`
-- @treturn[1] {table,...} as from `sets`, with `number`, `usual`, and for `discover.join` `around` and `offset`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function discover.one(item, o)
   local x, message = extracted.features(item)
   if not x then return nil, message end
   local sets, usual = discover.sets(x, o)
   for k, set in ipairs(sets) do
      local from, half = set.at[1], o.window // 2
      local first = math.max(0, from - half)
      set.number, set.usual, set.offset = k, usual, from - first
      set.around = x:slice(2, first + 1, math.min(x:shape(2), from + o.window + half)):copy("f32")
   end
   return sets
end

-- A row a window, in order of calls, the larger sets first.
local function rows_of(sets, rate, o)
   table.sort(sets, function(a, b)
      if a.call ~= b.call then return a.call < b.call end
      if #a.at ~= #b.at then return #a.at > #b.at end
      if a.row.source_name ~= b.row.source_name then return a.row.source_name < b.row.source_name end
      return a.number < b.number
   end)
   local rows = {}
   for _, set in ipairs(sets) do
      for m, at in ipairs(set.at) do
         local start_s = at / rate
         rows[#rows + 1] = {source_name = set.row.source_name, species = set.row.species, call = set.call,
            set = set.number, member = m, start_s = start_s, end_s = start_s + o.window / rate,
            clock_time = clock.at(set.row.recorded_at, start_s), distance = set.distance[m], members = #set.at,
            usual = set.usual, channel = set.row.channel}
      end
   end
   return rows
end

--- What `run` takes.
discover.options = options_of.extend(discover.rules, {
   input = rules.motif,
   output = {"string", text = "The windows, as a .parquet or .csv file."},
   features = search.options.features,
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

local function compare(items, rows, o, quiet)
   local sets, failures = {}, {}
   local bar = progress.new("discover", #items, {unit = "recordings", quiet = quiet})
   for i, found, why in require("bclua.parallel").map(items, "bclua.workflow.discover", "one", o) do
      for _, set in ipairs(found or {}) do
         set.row = rows[i]
         sets[#sets + 1] = set
      end
      if not found then failures[#failures + 1] = {path = items[i].name, step = "discover", reason = why} end
      bar:update(i)
   end
   bar:finish(("%d recordings, %d sets, %d failed, in %s"):format(#items - #failures, #sets, #failures,
      progress.duration(bar:elapsed())))
   return sets, failures
end

-- From the sets of all recordings to what was asked for.
local function finish(sets, failures, rate, o, options)
   local r = {calls = join.number(sets, o.window), sets = #sets, failures = failures}
   r.rows = rows_of(sets, rate, o)
   if options.output then
      local ok, message = discover.write(options.output, r.rows, o.parameters)
      if ok then ok, message = provenance.write_failures(options.output .. ".failures.csv", r.failures) end
      if not ok then return nil, message end
   end
   if options.track then
      local message
      r.track, message = require("bclua.workflow.listen").examples(r.rows, {dataset_root = options.dataset_root,
         output = options.track, examples = options.examples, sample_rate = o.sample_rate, seconds = options.seconds,
         quiet = options.quiet})
      if not r.track then return nil, message end
   end
   return r
end

--- Find the sets of all recordings of a table.
-- @tparam table options `input` (Parquet from `consolidate`), `seconds` (2), `share` (0.2), `fewest` (3), `group`: see
-- `bclua.workflow.discover.groups`, and `others` (100), `seed` (1), which are for it; `output`
-- (.parquet or .csv), `features` (the folder that `extract` wrote; default: the one that was consolidated), `track`,
-- `dataset_root`, `examples` (4), `shard` (`3/64`: only this part of the work, see `bclua.workflow.pieces`),
-- `time_limit` (minutes), `force`, `quiet`
-- @treturn[1] table `rows` (see `columns`), `sets`, `calls` (numbers), `failures`; with a shard or a time limit as
-- from `pieces.run`
-- @treturn[2] nil
-- @treturn[2] string message
function discover.run(options)
   options = options_of.check(options, discover.options)
   if options.track and not options.dataset_root then return nil, "--track: needs --dataset-root" end
   if options.group then
      if options.shard or options.time_limit then return nil, "--shard and --time-limit are not for --group" end
      return require("bclua.workflow.discover.groups").run(options)
   end
   local rows, p = search.read_corpus(options.input)
   if not rows then return nil, p end
   local rate = p.cens_sample_rate
   local parameters = {seconds = options.seconds, share = options.share, fewest = options.fewest}
   local o = {window = math.floor(options.seconds * rate + 0.5), share = options.share, fewest = options.fewest,
      sample_rate = p.sample_rate, parameters = parameters}
   if o.window < 2 then return nil, ("--seconds %g is less than two frames"):format(options.seconds) end
   local features, message = search.find_features({input = options.input, features = options.features}, rows)
   if not features then return nil, message end
   local ok
   ok, message = search.check_output(options, parameters)
   if not ok then return nil, message end
   if p.features ~= "mel" then
      progress.note("discover: of CENS; calls are found by `motif extract --features mel`", options.quiet)
   end
   local items = {}
   for i, row in ipairs(rows) do items[i] = search.locate(row, features) end
   local shared = options.output and pieces.is_shared(options, pieces.folder(options.output))
   if options.shard or options.time_limit or shared then
      return shards.run(items, rows, rate, o, options, function(sets, failures)
         return finish(sets, failures, rate, o, options)
      end)
   end
   local sets, failures = compare(items, rows, o, options.quiet)
   if #failures == #rows then
      return nil, ("%s: all %d recordings failed, the first: %s"):format(options.input, #rows, failures[1].reason)
   end
   return finish(sets, failures, rate, o, options)
end

--- Write the table.
-- @treturn[2] nil, message beginning with the path
function discover.write(path, rows, parameters)
   local sql, columns = require "bclua.sql", provenance.columns(rows, discover.columns)
   if path:lower():find("%.csv$") then
      return sql.write_csv(path, columns, {order = discover.columns, guard = true})
   end
   local types = {source_name = "varchar", species = "varchar", clock_time = "varchar", call = "bigint", set = "bigint",
      member = "bigint", members = "bigint", start_s = "double", end_s = "double", distance = "double",
      usual = "double"}
   return sql.write_parquet(path, columns, {order = discover.columns, types = types,
      metadata = provenance.for_parquet(parameters)})
end

--- The calls that rows are of, in their order.
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
   return list
end

local SHOWN = 20

--- The largest calls as text.
-- @tparam table r from `run`
-- @treturn string
function discover.text(r)
   if r.groups then return require("bclua.workflow.discover.groups").text(r) end
   local order = discover.calls(r.rows)
   table.sort(order, function(x, y)
      if x.windows ~= y.windows then return x.windows > y.windows end
      return x.example.call < y.example.call
   end)
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
