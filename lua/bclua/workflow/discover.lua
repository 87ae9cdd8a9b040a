--- Which calls are repeated, and where: sets of windows that are alike, in each recording, and which sets of different
-- recordings are the same.
--
-- Sets are those of `stomp.motif_sets`, of the features that `extract` kept. Their radius is a share of what is usual
-- in the recording: the median distance of two windows of it, taken at many lags. Stretches in which nothing stands
-- out take no part.
-- @module bclua.workflow.discover
local array = require "bclua.array"
local clock = require "bclua.clock"
local extracted = require "bclua.data.extracted"
local options_of = require "bclua.options"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local rules = require "bclua.data.rules"
local search = require "bclua.workflow.search"
local stomp = require "bclua.stomp"

local discover = {}

local LAGS, STEP = 40, 7 -- of the windows that tell what is usual

--- The columns of the table.
discover.columns = {"source_name", "species", "call", "set", "member", "start_s", "end_s", "clock_time", "distance",
   "members", "usual"}

--- What `sets` takes, as in `run`.
discover.rules = {
   seconds = {"number", default = 2, least = 0.1, most = 3600, unit = "s", text = "Length of a window."},
   share = {"number", default = 0.2, above = 0, most = 1, text = "Alike are windows nearer to each other than this " ..
      "share of the usual distance of two windows of the recording."},
   fewest = {"integer", default = 3, least = 2, most = 100000, text = "Members of a set, at least."}}

--- The median distance of two windows of a recording.
-- @tparam array x f64 (dimensions, frames)
-- @tparam integer window frames
-- @treturn ?number nil: it is too short to say
function discover.usual(x, window)
   local frames, list = x:shape(2), {}
   local n = frames - window + 1
   for lag = window, n - 1, math.max(1, n // LAGS) do
      local d = x:slice(2, 1, frames - lag) - x:slice(2, lag + 1, frames)
      local c, sum = (d * d):sum(1):table(), 0
      for t = 1, #c do
         sum = sum + c[t] - (c[t - window] or 0)
         if t >= window and t % STEP == 0 then list[#list + 1] = sum end
      end
   end
   table.sort(list)
   return list[#list // 2 + 1]
end

-- 0 for windows in most of whose frames all dimensions are alike: nothing stands out; else 1.
local function with_sound(x, window)
   local spread = (x:max(1) - x:min(1)):table()
   local among, even = array.full(#spread - window + 1, 1), 0
   for t = 1, #spread do
      even = even + (spread[t] < 1e-6 and 1 or 0)
      if t > window then even = even - (spread[t - window] < 1e-6 and 1 or 0) end
      if t >= window and 2 * even > window then among[t - window + 1] = 0 end
   end
   return among
end

--- The sets of a recording.
-- @tparam array x features, (dimensions, frames)
-- @tparam table o `window` (frames), `share`, `fewest`
-- @treturn {table,...} as from `stomp.motif_sets`, no two windows overlapping
-- @treturn ?number what is usual; nil: the recording is too short
function discover.sets(x, o)
   if x:shape(2) < 2 * o.window then return {} end
   x = x:copy("f64")
   local usual = discover.usual(x, o.window)
   if not (usual and usual > 0 and usual < math.huge) then return {} end
   return stomp.motif_sets(x, o.window, {radius = o.share * usual, exclusion = o.window - 1, fewest = o.fewest,
      among = with_sound(x, o.window)}), usual
end

--- One recording, on a worker state.
-- @tparam table item from `extracted.locate`
-- @tparam table o as for `sets`
-- @treturn[1] table `sets`, each with `centre`: the features of its first window and half a window around it; `usual`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function discover.one(item, o)
   local x, message = extracted.features(item)
   if not x then return nil, message end
   local sets, usual = discover.sets(x, o)
   for _, set in ipairs(sets) do
      local from, half = set.at[1], o.window // 2
      set.centre = x:slice(2, math.max(0, from - half) + 1, math.min(x:shape(2), from + o.window + half)):copy("f64")
      set.query = x:slice(2, from + 1, from + o.window):copy("f64")
   end
   return {sets = sets, usual = usual}
end

-- Sets of all recordings, the largest first, each with the number of its call: that of the first set whose centre
-- is within the radius of its own, at some shift, else a new one.
local function join(sets)
   table.sort(sets, function(a, b)
      if #a.at ~= #b.at then return #a.at > #b.at end
      if a.row.source_name ~= b.row.source_name then return a.row.source_name < b.row.source_name end
      return a.number < b.number
   end)
   local leaders = {}
   for _, set in ipairs(sets) do
      for call, leader in ipairs(leaders) do
         local hit = stomp.matches(leader.query, set.centre, {k = 1})[1]
         if hit and hit.distance <= math.min(set.radius, leader.radius) then
            set.call = call
            break
         end
      end
      if not set.call then
         leaders[#leaders + 1] = set
         set.call = #leaders
      end
   end
   return #leaders
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
   track = {"string", text = "Sound file (.flac, .ogg or .wav) with examples of each call, and beside it, as .txt, " ..
      "a label track for Audacity."},
   dataset_root = options_of.extend(rules.dataset_root, {text = "For --track: the folder that source_name begins in."}),
   examples = {"integer", default = 4, least = 1, most = 100, text = "Of each call in the track, at most."},
   force = "boolean", quiet = "boolean"})

local function compare(rows, features, o, options)
   local r = {failures = {}, sets = {}, searched = 0}
   local items = {}
   for i, row in ipairs(rows) do items[i] = search.locate(row, features) end
   local bar = progress.new("discover", #items, {unit = "recordings", quiet = options.quiet})
   for i, found, why in require("bclua.parallel").map(items, "bclua.workflow.discover", "one", o) do
      if found then
         r.searched = r.searched + 1
         for k, set in ipairs(found.sets) do
            set.row, set.number, set.usual, set.radius = rows[i], k, found.usual, o.share * found.usual
            r.sets[#r.sets + 1] = set
         end
      else
         r.failures[#r.failures + 1] = {path = items[i].name, step = "discover", reason = why}
      end
      bar:update(i)
   end
   r.calls = join(r.sets)
   bar:finish(("%d recordings, %d sets, %d calls, %d failed, in %s"):format(r.searched, #r.sets, r.calls, #r.failures,
      progress.duration(bar:elapsed())))
   return r
end

--- Find the sets of all recordings of a table.
-- @tparam table options `input` (Parquet from `consolidate`), `seconds` (2), `share` (0.2), `fewest` (3), `output`
-- (.parquet or .csv), `features` (the folder that `extract` wrote; default: the one that was consolidated), `track`,
-- `dataset_root`, `examples` (4), `force`, `quiet`
-- @treturn[1] table `rows` (see `columns`), `sets`, `calls` (numbers), `searched`, `failures`
-- @treturn[2] nil
-- @treturn[2] string message
function discover.run(options)
   options = options_of.check(options, discover.options)
   if options.track and not options.dataset_root then return nil, "--track: needs --dataset-root" end
   local rows, p = search.read_corpus(options.input)
   if not rows then return nil, p end
   local o = {window = math.floor(options.seconds * p.cens_sample_rate + 0.5), share = options.share,
      fewest = options.fewest}
   if o.window < 2 then return nil, ("--seconds %g is less than two frames"):format(options.seconds) end
   local features, message = search.find_features({input = options.input, features = options.features}, rows)
   if not features then return nil, message end
   local parameters = {seconds = options.seconds, share = options.share, fewest = options.fewest}
   local ok
   ok, message = search.check_output(options, parameters)
   if not ok then return nil, message end
   if p.features ~= "mel" then
      progress.note("discover: of CENS; calls are found by `motif extract --features mel`", options.quiet)
   end
   local r = compare(rows, features, o, options)
   if r.searched == 0 then
      return nil, ("%s: all %d recordings failed, the first: %s"):format(options.input, #rows, r.failures[1].reason)
   end
   r.rows, r.sets = rows_of(r.sets, p.cens_sample_rate, o), #r.sets
   if options.output then
      ok, message = discover.write(options.output, r.rows, parameters)
      if ok then ok, message = provenance.write_failures(options.output .. ".failures.csv", r.failures) end
      if not ok then return nil, message end
   end
   if options.track then
      r.track, message = require("bclua.workflow.listen").examples(r.rows, {dataset_root = options.dataset_root,
         output = options.track, examples = options.examples, sample_rate = p.sample_rate, seconds = options.seconds,
         quiet = options.quiet})
      if not r.track then return nil, message end
   end
   return r
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

local SHOWN = 20

--- The largest calls as text.
-- @tparam table r from `run`
-- @treturn string
function discover.text(r)
   local calls, order = {}, {}
   for _, row in ipairs(r.rows) do
      local c = calls[row.call]
      if not c then
         c = {call = row.call, windows = 0, recordings = {}, n = 0, first = row}
         calls[row.call], order[#order + 1] = c, c
      end
      c.windows = c.windows + 1
      if not c.recordings[row.source_name] then c.recordings[row.source_name], c.n = true, c.n + 1 end
   end
   table.sort(order, function(a, b)
      if a.windows ~= b.windows then return a.windows > b.windows end
      return a.call < b.call
   end)
   local lines = {{"call", "windows", "recordings", "example", "start_s"}}
   for i = 1, math.min(SHOWN, #order) do
      local c = order[i]
      lines[i + 1] = {("%d"):format(c.call), ("%d"):format(c.windows), ("%d"):format(c.n), c.first.source_name,
         ("%.1f"):format(c.first.start_s)}
   end
   local text = table.concat(require("bclua.display").lines(lines, {true, true, true, false, true}), "\n") .. "\n"
   return text .. (#order > SHOWN and ("and %d more\n"):format(#order - SHOWN) or "")
end

return discover
