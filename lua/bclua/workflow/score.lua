--- Is it the motif of a recording that is the call, or the discord?
--
-- In a short recording the call may be what occurs once, and the motif background. Both windows
-- are compared with the recording's own background: `energy` is the mean over the window's frames of the
-- decibels above background, `contrast` that of the spectral contrast, less its median over the
-- recording, and `score` their sum (see `bclua.sampling.call_measures` for the sources).
-- Noise that comes and goes (a gust, a step) has energy but no contrast.
-- Beside the two, the windows of the recording with the highest scores: its likely calls.
-- @module bclua.workflow.score
local account = require "bclua.workflow.account"
local array = require "bclua.array"
local clock = require "bclua.clock"
local display = require "bclua.display"
local files = require "bclua.files"
local hearing = require "bclua.data.hearing"
local pieces = require "bclua.workflow.pieces"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local schemas = require "bclua.data.schemas"
local silence = require "bclua.workflow.silence"
local tables = require "bclua.data.tables"
local options_of = require "bclua.options"
local rules = require "bclua.data.rules"

local score = {}

-- 32 ms windows, 16 ms apart, of 64 bands; below 150 Hz is wind, above 15 kHz of 16 is what lossy codecs drop.
local FRAME_S, BANDS, LOW, HIGH = 0.032, 64, 150, 15 / 32
local LEAST_BANDS = 8

local SILENCE = 1e-9 -- mel power of a frame without sound: of a constant, say

local FRAMES = 1 << 17 -- 35 min: of which the background is estimated at most

local NO_CALLS = ": no rows of the kind 'call' (written without --calls?)"

local STEP_S = 0.5 -- between windows that can be a likely call
--- The columns of the table.
score.columns = {"source_name", "species", "kind", "start_s", "clock_time", "energy", "contrast", "score", "pick"}

local COLUMNS = {"source_name", "species", "cens_sample_rate", "matrix_profile_window", "motif_0", "discord_0",
   "duration_seconds", "recorded_at?", "channel?"}

local function median(a)
   local list = a:table()
   table.sort(list)
   return list[(#list + 1) // 2]
end

local made = {} -- options of mel spectrograms

local function make_mel(rate, fmin, fmax, bands)
   local o = {sample_rate = rate, n_fft = math.tointeger(2 ^ math.floor(math.log(FRAME_S * rate, 2) + 0.5)),
      n_mels = bands, fmax = fmax > 0 and fmax or math.tointeger(HIGH * rate) or HIGH * rate}
   if o.fmax <= fmin then o.fmax = rate / 2 end
   o.hop, o.fmin = o.n_fft // 2, fmin > 0 and fmin or math.min(LOW, o.fmax / 2)
   local filters = require("bclua.spectral").mel_filterbank
   local function some_are_empty()
      return filters({sample_rate = rate, n_fft = o.n_fft, n_mels = o.n_mels, fmin = o.fmin, fmax = o.fmax}):max(2)
         :min() == 0
   end
   while o.n_mels > LEAST_BANDS and some_are_empty() do o.n_mels = o.n_mels // 2 end
   return o
end

--- The mel spectrogram that scores are of; fewer bands where the frequencies have no room for 64.
-- @tparam[opt] table heard `sample_rate` (32000), `fmin` (0: 150 Hz), `fmax` (0: 15/32 of the sample rate)
-- @tparam[opt=64] integer bands
-- @treturn table options of `spectral.mel`
function score.mel(heard, bands)
   heard = heard or {}
   local rate, fmin, fmax = heard.sample_rate or 32000, heard.fmin or 0, heard.fmax or 0
   local key = ("%.17g %.17g %.17g %d"):format(rate, fmin, fmax, bands or BANDS)
   made[key] = made[key] or make_mel(rate, fmin, fmax, bands or BANDS)
   return made[key]
end

-- Every step-th column of m, whose first is number `first` (from 0) of all.
local function thin(m, step, first)
   if step == 1 then return m end
   local from, bands = -first % step, m:shape(1)
   local n = math.max(0, m:shape(2) - from)
   local whole, parts = n // step, {m:slice(2, 1, 0)}
   if whole > 0 then
      parts[2] = m:slice(2, from + 1, from + whole * step):reshape{bands, whole, step}:T()[1]:T()
   end
   if n % step > 0 then parts[#parts + 1] = m:slice(2, from + whole * step + 1, from + whole * step + 1) end
   return array.concat(parts, 2)
end

-- The mel spectrogram of a source, part by part.
local function each_mel(source, o, f)
   local options = {each = f}
   for k, v in pairs(o) do options[k] = v end
   return require("bclua.spectral").mel(source(), options)
end

-- All frames of the mel spectrogram, or as many as the background is estimated of: every second one, fourth, ...
local function sample(source, o, most)
   local parts, count, step = {}, 0, 1
   local ok, message = each_mel(source, o, function(part, first)
      parts[#parts + 1] = thin(part, step, first)
      count = count + parts[#parts]:shape(2)
      if count > most then
         parts, step = {thin(array.concat(parts, 2), 2, 0)}, 2 * step
         count = parts[1]:shape(2)
      end
   end)
   if not ok then return nil, message end
   return #parts > 0 and array.concat(parts, 2) or array.zeros{o.n_mels, 0}, step
end

-- Energy, contrast and the loudest band of all frames, and what contrast is usual; a long recording is read twice.
local function measure_frames(source, o, most)
   local sampling = require "bclua.sampling"
   local mel, step = sample(source, o, most)
   if not mel then return nil, step end
   local background = sampling.call_background(mel)
   local energy, contrast = sampling.call_measures(mel, {background = background})
   if #energy == 0 then return {energy = energy, contrast = contrast, usual = 0} end
   local usual = median(contrast)
   if step == 1 then return {energy = energy, contrast = contrast, loudest = mel:max(1), usual = usual} end
   local parts = {energy = {}, contrast = {}, loudest = {}}
   local ok, message = each_mel(source, o, function(part)
      local n = #parts.energy + 1
      parts.energy[n], parts.contrast[n] = sampling.call_measures(part, {background = background})
      parts.loudest[n] = part:max(1)
   end)
   if not ok then return nil, message end
   for key, list in pairs(parts) do parts[key] = array.concat(list) end
   parts.usual = usual
   return parts
end

-- A reader begins anew by itself, samples in memory are one block.
local function source_of(y)
   if not array.is_array(y) then return function() return y end end
   return function()
      local block = y
      return function()
         local next_block = block
         block = nil
         return next_block
      end
   end
end

--- Measure windows of a recording. The background is that of all frames, or, of more than half an hour, of every second
-- one, fourth ... so that memory is bounded.
-- @tparam bclua.array|reader y mono, or a reader of it
-- @tparam {number,...} starts_s
-- @tparam number seconds of a window
-- @tparam[opt=131072] integer most frames of which the background is estimated
-- @tparam[opt] table heard what `y` is: `sample_rate` (32000), `fmin`, `fmax`
-- @treturn[1] {table,...} `energy`, `contrast`, `score` (decibels) for each; zeros where a
-- window lies outside the recording; `silent` where there is no sound in most of it
-- @treturn[2] nil
-- @treturn[2] string message
function score.measure(y, starts_s, seconds, most, heard)
   local o = score.mel(heard)
   local frames_per_second = o.sample_rate / o.hop
   local m, message = measure_frames(source_of(y), o, most or FRAMES)
   if not m then return nil, message end
   local energy, contrast, loudest, usual = m.energy, m.contrast, m.loudest, m.usual
   local n, list = #energy, {}
   for i, start_s in ipairs(starts_s) do
      local first = math.max(1, math.floor(start_s * frames_per_second + 0.5) + 1)
      local last = math.min(n, math.floor((start_s + seconds) * frames_per_second + 0.5))
      local r = {energy = 0.0, contrast = 0.0}
      if last >= first then
         r.energy, r.contrast = energy:slice(1, first, last):mean(), contrast:slice(1, first, last):mean() - usual
         local loud = 0
         for k = first, last do loud = loud + (loudest[k] > SILENCE and 1 or 0) end
         r.silent = 2 * loud < last - first + 1
      end
      r.score = r.energy + r.contrast
      list[i] = r
   end
   return list
end

--- The windows of a recording with the highest scores, none overlapping, in order of time.
-- @tparam bclua.array|reader y mono, or a reader of it
-- @tparam number duration_s
-- @tparam number seconds of a window; windows start every half second
-- @tparam integer count at most so many; where fewer fit, fewer
-- @tparam[opt] {number,...} starts_s other windows that are measured in passing
-- @tparam[opt] table heard as for `measure`
-- @treturn[1] {table,...} `start_s`, `energy`, `contrast`, `score`
-- @treturn[1] {table,...} of the other windows, as from `measure`
-- @treturn[2] nil
-- @treturn[2] string message
function score.calls(y, duration_s, seconds, count, starts_s, heard)
   local starts = {table.unpack(starts_s or {})}
   local others = #starts
   for i = 0, math.max(0, math.floor((duration_s - seconds) / STEP_S)) do starts[#starts + 1] = i * STEP_S end
   local list, message = score.measure(y, starts, seconds, nil, heard)
   if not list then return nil, message end
   for i, r in ipairs(list) do r.start_s = starts[i] + 0.0 end
   local order = table.move(list, others + 1, #list, 1, {})
   table.sort(order, function(a, b)
      if a.score ~= b.score then return a.score > b.score end
      return a.start_s < b.start_s
   end)
   local chosen = {}
   for _, r in ipairs(order) do
      local free = #chosen < count and not r.silent
      for _, other in ipairs(chosen) do free = free and math.abs(other.start_s - r.start_s) >= seconds end
      if free then chosen[#chosen + 1] = r end
   end
   table.sort(chosen, function(a, b) return a.start_s < b.start_s end)
   return chosen, table.move(list, 1, others, 1, {})
end

--- One recording, on a worker state.
-- @tparam table item `{path=, channel=, duration_s=, windows={{kind=, start_s=},...}}`
-- @tparam table o `{seconds=, calls=, sample_rate=, fmin=, fmax=}`: length of a window, number of likely calls, and
-- what is heard
-- @treturn[1] table `windows`, `calls`: as from `measure` and `calls`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function score.one(item, o)
   local audio = require "bclua.audio"
   local reader <close>, message = audio.open(item.path, {sample_rate = o.sample_rate,
      channel = item.channel})
   if not reader then return nil, message end
   local starts = {}
   for i, w in ipairs(item.windows) do starts[i] = w.start_s end
   local calls, windows = score.calls(reader, item.duration_s, o.seconds, o.calls, starts, o)
   if not calls then return nil, windows end
   local heard = #calls > 0
   for _, w in ipairs(windows) do heard = heard or not w.silent end
   if not heard then return nil, item.path .. ": " .. silence.about(item.path, #windows, #windows,
      item.channel) end
   return {windows = windows, calls = calls}
end

local function read(options)
   local relation, message = tables.open(options.input, schemas.motif, COLUMNS)
   if not relation then return nil, message end
   local rows
   rows, message = require("bclua.sql").query(("from %s where motif_0 is not null or duration_seconds >= " ..
      "(matrix_profile_window - 1) / cens_sample_rate order by source_name"):format(relation)) -- less a frame: rounding
   if not rows then return nil, message end
   local items, wanted = {}, {}
   for _, name in ipairs(options.recordings or {}) do wanted[name] = true end
   for _, row in ipairs(rows) do
      local rate = row.cens_sample_rate
      local item = {path = options.dataset_root .. "/" .. row.source_name, source_name = row.source_name,
         species = row.species, channel = row.channel, recorded_at = row.recorded_at,
         seconds = row.matrix_profile_window / rate, duration_s = row.duration_seconds, windows = {}}
      if row.motif_0 then
         item.windows = {{kind = "motif", start_s = row.motif_0 / rate}, {kind = "discord",
            start_s = row.discord_0 / rate}}
      end
      if wanted[row.source_name] or not options.recordings then items[#items + 1] = item end
   end
   if #items == 0 then return nil, options.input .. ": " .. require("bclua.workflow.consolidate").no_motif end
   return items
end

-- Rows as columns, or SQL of them, into the table that was asked for.
local function write(options, source)
   local sql = require "bclua.sql"
   if options.output:lower():find("%.csv$") then
      return sql.write_csv(options.output, source, {order = score.columns, guard = true})
   end
   return sql.write_parquet(options.output, source, {order = score.columns, types = {clock_time = "varchar"},
      metadata = provenance.for_parquet({mel = score.mel(options.heard), window_s = options.window_s,
         calls = options.calls})})
end

-- What the input was made with, but for a band of our own.
local function heard_of(options)
   local heard, message = hearing.of_parquet(options.input)
   if not heard then return nil, message end
   heard.fmin, heard.fmax = options.fmin or heard.fmin, options.fmax or heard.fmax
   message = hearing.wrong(heard)
   return not message and heard or nil, message
end

local function check_output(path)
   local lower = path:lower()
   if lower:find("%.csv$") or lower:find("%.parquet$") then return true end
   return nil, path .. ": --output must end in .parquet or .csv"
end

-- Rows of one recording, the pick marked: the higher score; of equal ones the motif. Returns the kind of the pick, if
-- the recording has any.
local function add(list, item, measured)
   local windows = measured.windows
   local best = #windows > 1 and windows[2].score > windows[1].score and 2 or 1
   local function row(m, kind, pick)
      list[#list + 1] = {source_name = item.source_name, species = item.species, kind = kind, start_s = m.start_s,
         clock_time = clock.at(item.recorded_at, m.start_s), energy = m.energy, contrast = m.contrast,
         score = m.score, pick = pick}
   end
   for i, m in ipairs(windows) do row(m, item.windows[i].kind, i == best) end
   for _, m in ipairs(measured.calls) do row(m, "call", false) end
   return windows[best] and item.windows[best].kind
end

local function from_table(path, columns, where)
   local relation, message = tables.open(path, schemas.scores, columns)
   if not relation then return nil, message end
   local rows
   rows, message = require("bclua.sql").query(("from %s where %s"):format(relation, where))
   for _, row in ipairs(path:lower():find("%.csv$") and rows or {}) do
      row.source_name = files.unguard(row.source_name)
   end
   return rows, message
end

--- Which window of each recording, from a table that `run` wrote.
-- @tparam string path Parquet or CSV
-- @treturn[1] table `motif` or `discord` by source name
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function score.picks(path)
   local rows, message = from_table(path, {"source_name", "kind", "pick"}, "pick and kind <> 'call'")
   if not rows then return nil, message end
   if #rows == 0 then return nil, path .. ": no window is picked" end
   local picks = {}
   for _, row in ipairs(rows) do picks[row.source_name] = row.kind end
   return picks
end

-- Starts of the rows that are calls, by source name.
local function starts_of(rows)
   local calls = {}
   for _, row in ipairs(rows) do
      if row.kind == "call" then
         calls[row.source_name] = calls[row.source_name] or {}
         table.insert(calls[row.source_name], row.start_s)
      end
   end
   return calls
end

--- The likely calls of each recording, from a table that `run` wrote.
-- @tparam string path Parquet or CSV
-- @treturn[1] table lists of starts in seconds by source name
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function score.call_starts(path)
   local rows, message = from_table(path, {"source_name", "kind", "start_s"}, "kind = 'call' order by start_s")
   if not rows then return nil, message end
   if #rows == 0 then return nil, path .. NO_CALLS end
   return starts_of(rows)
end

--- The likely calls among some rows, the highest score first.
-- @tparam {table,...} rows of the table
-- @treturn table lists of rows by source name
function score.by_score(rows)
   local calls = {}
   for _, row in ipairs(rows) do
      if row.kind == "call" then
         calls[row.source_name] = calls[row.source_name] or {}
         table.insert(calls[row.source_name], row)
      end
   end
   for _, list in pairs(calls) do
      table.sort(list, function(a, b)
         if a.score ~= b.score then return a.score > b.score end
         return a.start_s < b.start_s
      end)
   end
   return calls
end

--- The same of a table that `run` wrote.
-- @tparam string path Parquet or CSV
-- @treturn[1] table lists of `start_s`, `score` by source name
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function score.calls_by_score(path)
   local rows, message = from_table(path, {"source_name", "kind", "start_s", "score"}, "kind = 'call'")
   if not rows then return nil, message end
   if #rows == 0 then return nil, path .. NO_CALLS end
   return score.by_score(rows)
end

--- What `run` takes.
score.options = {
   input = rules.motif,
   dataset_root = options_of.extend(rules.dataset_root, {asked = true}),
   output = {"string", asked = true, text = "The scores, as a .parquet or .csv file."},
   calls = {"integer", default = 6, least = 0, most = 10000,
      text = "Likely calls to list per recording, at most: the windows with the highest scores."},
   recordings = {"list", of = "string"},
   fmin = options_of.extend(hearing.given.fmin,
      {text = "Ignore what lies below (0: 150 Hz; default: as --input was made)."}),
   fmax = options_of.extend(hearing.given.fmax,
      {text = "Ignore what lies above (0: 15/32 of the sample rate; default: as --input was made)."}),
   shard = pieces.rules.shard, claim = pieces.rules.claim, stale = pieces.rules.stale,
   time_limit = pieces.rules.time_limit, quiet = "boolean"}

-- What a worker needs to know.
local function settings_of(options)
   return {seconds = options.window_s, calls = options.calls, sample_rate = options.heard.sample_rate,
      fmin = options.heard.fmin, fmax = options.heard.fmax}
end

local PART_TYPES = {source_name = "varchar", species = "varchar", kind = "varchar", start_s = "double",
   clock_time = "varchar", energy = "double", contrast = "double", score = "double", pick = "boolean"}

-- The pieces of a manifest, for `bclua.workflow.pieces`.
local function step_of(options, items, frozen)
   local sql, by_name, folder = require "bclua.sql", {}, pieces.folder(options.output)
   for _, item in ipairs(items) do by_name[item.source_name] = item end
   local step = {name = "score", folder = folder, output = options.output}
   function step.path(number) return pieces.path(folder, number) end
   function step.look(number, list) return pieces.look(step.path(number), list) end
   function step.run(list, keep)
      local todo = {}
      for i, row in ipairs(list) do todo[i] = by_name[row.source_name] end
      for i, measured, why in require("bclua.parallel").map(todo, "bclua.workflow.score", "one",
         settings_of(options)) do
         local rows, row = {}, list[i]
         if measured then add(rows, todo[i], measured) end
         local goes_on, message = keep(row, measured and {seconds = row.seconds, kept = {rows = rows,
            file = {file = row.source_name, bytes = row.bytes, modified = row.modified}}}, why)
         if not goes_on then return goes_on, message end
      end
      return true
   end
   function step.write(number, kept, reasons)
      local rows, done = {}, {}
      for i, one in ipairs(kept) do
         table.move(one.rows, 1, #one.rows, #rows + 1, rows)
         done[i] = one.file
      end
      return sql.write_parquet(step.path(number), provenance.columns(rows, score.columns), {order = score.columns,
         types = PART_TYPES, metadata = pieces.metadata(done, reasons)})
   end
   function step.merge(paths)
      local all, failures = pieces.gather(frozen, paths, "score")
      if not all then return nil, failures end
      local ok, message = write(options, ("select %s from %s order by file_index, file_row_number"):format(
         table.concat(score.columns, ", "), sql.parquet(paths, "file_row_number = true")))
      if not ok then return nil, message end
      return provenance.write_failures(provenance.failures_of(options.output), failures)
   end
   return step
end

-- Only a shard of the work, beside other processes.
local function run_shard(options, items)
   local bytes, modified = files.stamp(options.input)
   local settings = settings_of(options)
   settings.input = {bytes = bytes, modified = modified}
   local frozen, message = pieces.open(options.output, options.dataset_root, settings, function()
      local list = {}
      for i, item in ipairs(items) do
         list[i] = {source_name = item.source_name, path = item.path, seconds = item.duration_s}
      end
      return list
   end)
   if not frozen then return nil, message end
   return pieces.run(frozen, step_of(options, items, frozen), options)
end

--- Score motif and discord of all recordings that have them, and find the likely calls of these and of those that
-- are only as long as a window.
-- @tparam table options `input` (Parquet from `consolidate`), `dataset_root` (the folder in which source
-- names begin), `output` (.parquet or .csv; none: only the result), `calls` (6 likely calls of a recording at
-- most), `recordings` (list of source names: only these), `fmin`, `fmax` (Hz: what is looked at, 0: 150 Hz to 15/32 of
-- the sample rate; default: what the input was made with), `shard` (`3/64`: only this part of the work, see
-- `bclua.workflow.pieces`), or `claim` and `stale` as for `extract`, `time_limit` (minutes, after which it stops and
-- keeps what is done), `quiet`
-- @treturn[1] table `picks` (`motif` or `discord` by source name), `calls` (starts in seconds by source name),
-- `rows`, `scored`, `discords` (recordings), `failures`; with a shard or a time limit as from `pieces.run`
-- @treturn[2] nil
-- @treturn[2] string message
function score.run(options)
   options = options_of.check(options, score.options)
   local parallel = require "bclua.parallel"
   local ok, message = true, nil
   if options.output then ok, message = check_output(options.output) end
   if not ok then return nil, message end
   if not options.dataset_root then return nil, "--dataset-root: the recordings are needed to score their windows" end
   if not files.is_folder(options.dataset_root) then
      return nil, options.dataset_root .. ": no such folder (--dataset-root)"
   end
   local items, heard
   heard, message = heard_of(options)
   if not heard then return nil, message end
   items, message = read(options)
   if not items then return nil, message end
   options.window_s, options.heard = items[1].seconds, heard
   if options.output and (options.time_limit or pieces.is_shared(options, pieces.folder(options.output))) then
      return run_shard(options, items)
   end
   local bar = progress.new("score", #items, {unit = "recordings", quiet = options.quiet})
   local result = {picks = {}, rows = {}, scored = 0, discords = 0, failures = {}}
   for i, measured, why in parallel.map(items, "bclua.workflow.score", "one", settings_of(options)) do
      if measured then
         local pick = add(result.rows, items[i], measured)
         result.picks[items[i].source_name] = pick
         result.scored, result.discords = result.scored + 1, result.discords + (pick == "discord" and 1 or 0)
      else
         result.failures[#result.failures + 1] = {path = items[i].path, step = "score", reason = why}
      end
      bar:update(i)
   end
   if result.scored == 0 then
      return nil, options.input .. ": " .. account.all_failed(#items, result.failures)
   end
   bar:finish(("%s, %d failed; the discord looks more like a call than the motif in %d (%.0f %%), in %s%s")
      :format(display.count(result.scored, "recording"), #result.failures, result.discords,
      100 * result.discords / result.scored, progress.duration(bar:elapsed()),
      provenance.listed(result.failures, "failed", provenance.failures_of(options.output))))
   result.calls = starts_of(result.rows)
   if options.output then
      ok, message = write(options, provenance.columns(result.rows, score.columns))
      if ok then ok, message = provenance.write_failures(provenance.failures_of(options.output), result.failures) end
      if not ok then return nil, message end
   end
   return result
end

return score
