--- Where motifs, discords and likely calls are, for people who look and listen: label tracks for Audacity,
-- selection tables for Raven, CSV.
-- @module bclua.workflow.labels
local rules = require "bclua.data.rules"
local array = require "bclua.array"
local clock = require "bclua.clock"
local extracted_metadata = require "bclua.data.extracted_metadata"
local files = require "bclua.files"
local hearing = require "bclua.data.hearing"
local options_of = require "bclua.options"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local schemas = require "bclua.data.schemas"
local system = require "bclua.system"
local tables = require "bclua.data.tables"

local labels = {}

--- Which windows become labels.
labels.kinds = {"motif", "discord", "both", "calls", "all"}
--- Formats that are written.
labels.formats = {"audacity", "raven", "csv"}

local CHUNK = 256 -- recordings whose profiles are in memory
local N_FFT, ABOVE = 1024, 2.5
local SHARE, LOWEST_HZ = 0.05, 100 -- of the energy below and above the band; wind is below this

-- ---- which windows ----

local COLUMNS = {"source_name", "species", "cens_sample_rate", "matrix_profile_window", "sample_rate",
   "duration_seconds", "mp", "pi", "folder?", "source_sample_rate?", "recorded_at?", "channel?"}

local function profile(row)
   local mp, pi = row.mp, row.pi
   if not mp or not pi or #mp == 0 then return nil end
   if not array.is_array(mp) then mp = array.from(mp, "f64") end
   if not array.is_array(pi) then pi = array.from(pi, "i64") end
   return {distance = mp:copy("f64"), index = pi:copy("i64")}
end

local OF_KIND = {motif = {motif = true}, discord = {discord = true}, both = {motif = true, discord = true},
   calls = {call = true}, all = {motif = true, discord = true, call = true}}

-- The windows of a recording, of each kind the best first.
local function marks_of(row, options, exclusion, calls)
   local stomp = require "bclua.stomp"
   local wanted, rate, list = OF_KIND[options.kind], row.cens_sample_rate, {}
   local p = (wanted.motif or wanted.discord) and profile(row)
   local o = {exclusion = exclusion or (row.matrix_profile_window + 1) // 2}
   local function add(kind, rank, part, start_s, distance, score)
      list[#list + 1] = {kind = kind, rank = rank, part = part, start_s = start_s, distance = distance, score = score,
         end_s = math.min(row.duration_seconds, start_s + row.matrix_profile_window / rate)}
   end
   for rank, m in ipairs(p and wanted.motif and stomp.motifs(p, options.top, o) or {}) do
      add("motif", rank, "a", m.at / rate, m.distance)
      add("motif", rank, "b", m.twin / rate, m.distance)
   end
   for rank, d in ipairs(p and wanted.discord and stomp.discords(p, options.top, o) or {}) do
      add("discord", rank, "", d.at / rate, d.distance)
   end
   for rank, call in ipairs(calls or {}) do
      if rank <= options.calls then add("call", rank, "", call.start_s, nil, call.score) end
   end
   return list
end

-- The likely calls of recordings by source name, the highest score first; none where they are not asked for.
local function read_calls(options)
   if not OF_KIND[options.kind].call then return {}, {} end
   local score = require "bclua.workflow.score"
   if options.scores then return score.calls_by_score(options.scores) end
   if not options.dataset_root then
      return nil, ("--kind %s: needs --scores (what `score` wrote) or --dataset-root"):format(options.kind)
   end
   local result, message = score.run{input = options.input, dataset_root = options.dataset_root, calls = options.calls,
      quiet = options.quiet}
   if not result then return nil, message end
   return score.by_score(result.rows), result.failures
end

local function read_names(options, relation)
   local sql = require "bclua.sql"
   local where = options.species and "where species = " .. sql.quote(options.species) or ""
   local rows, message = sql.query(("select source_name from %s %s order by source_name"):format(relation, where))
   if not rows then return nil, message end
   if #rows == 0 then
      return nil, options.species and ("%s: no recordings of species '%s'"):format(options.input, options.species)
         or options.input .. ": no recordings"
   end
   return rows
end

local function read_chunk(options, relation, first, last, exclusion, calls, list)
   local sql = require "bclua.sql"
   local species = options.species and "and species = " .. sql.quote(options.species) or ""
   local rows, message = sql.query(("from %s where source_name between %s and %s %s order by source_name"):format(
      relation, sql.quote(first), sql.quote(last), species))
   if not rows then return nil, message end
   for _, row in ipairs(rows) do
      list[#list + 1] = {source = row.source_name, species = row.species, duration_s = row.duration_seconds,
         recorded_at = row.recorded_at, channel = row.channel,
         folder = extracted_metadata.folder_of(row), sample_rate = row.sample_rate,
         nyquist = math.min(row.sample_rate, row.source_sample_rate or row.sample_rate) / 2,
         window_s = row.matrix_profile_window / row.cens_sample_rate,
         marks = marks_of(row, options, exclusion, calls[row.source_name])}
   end
   return true
end

--- What chooses windows, here and in `bclua.workflow.listen`.
labels.marks = {
   input = options_of.extend(rules.motif, {argument = "input"}),
   kind = {"choice", labels.kinds, default = "both", text = "motif, discord or both; calls (what looks most like " ..
      "calls, see `score`); or all."},
   top = {"integer", default = 1, least = 1, most = 1000, arg = "K", text = "Motifs and discords per recording."},
   calls = {"integer", default = 6, least = 1, most = 10000, text = "Likely calls per recording, at most."},
   scores = {"string", text = "What `score` wrote, for calls (default: they are found below --dataset-root)."},
   dataset_root = {"string", default = false, arg = "DIR", text = rules.dataset_root.text},
   species = rules.species, quiet = "boolean"}

--- The motif and discord windows, and likely calls, of all recordings of a consolidated table.
-- @tparam table options `input` (Parquet from `consolidate`), `kind` (`motif`, `discord`,
-- `both`, the default, `calls` or `all`), `top` (1: motifs and discords a recording), `calls` (6: likely calls a
-- recording at most), `scores` (what `score` wrote, for the calls; without, they are computed from the recordings below
-- `dataset_root`), `species` (only this one), `quiet`
-- @treturn[1] {table,...} a recording each, by name: `source`, `species`, `folder`, `duration_s`,
-- `recorded_at`, `channel`, `sample_rate`, `window_s`, `marks`: `{kind=, rank=, part=, start_s=, end_s=, distance=,
-- score=}`; part
-- is `a` and `b` for the two windows of a motif, else empty; `call` has a score, the others a distance
-- @treturn[1] {table,...} recordings whose calls could not be found: `path`, `step`, `reason`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function labels.read(options)
   options = options_of.check(options, labels.marks)
   local relation, message = tables.open(options.input, schemas.motif, COLUMNS)
   if not relation then return nil, message end
   local names
   names, message = read_names(options, relation)
   if not names then return nil, message end
   local calls, failures = read_calls(options)
   if not calls then return nil, failures end
   local exclusion = math.tointeger((provenance.of_parquet(options.input) or {}).exclusion)
   local list = {}
   for i = 1, #names, CHUNK do
      local ok
      ok, message = read_chunk(options, relation, names[i].source_name,
         names[math.min(#names, i + CHUNK - 1)].source_name, exclusion, calls, list)
      if not ok then return nil, message end
   end
   return list, failures
end

-- ---- which band ----

--- The band of a window: the frequencies between which all but a tenth of the energy lies that
-- comes and goes, that is what of the mean power at a frequency is more than 2.5 times the median
-- over the window (of steady noise it is 1.4 times). Below 100 Hz nothing counts. Sound that does not
-- change, and silence, give the full band.
-- @tparam array y f32 (samples)
-- @tparam number sample_rate
-- @tparam[opt] number fmin Hz: nothing below counts
-- @tparam[opt] number fmax Hz: nothing above counts (0: half the sample rate)
-- @treturn number Hz
-- @treturn number Hz
function labels.band(y, sample_rate, fmin, fmax)
   fmin, fmax = (fmin or 0) + 0.0, fmax and fmax > 0 and math.min(fmax, sample_rate / 2) or sample_rate / 2
   if #y < N_FFT then return fmin, fmax end
   local s = require("bclua.spectral").spectrogram(y, {n_fft = N_FFT, hop = N_FFT, pad = "none"})
   local bins, frames = s:shape(1), s:shape(2)
   local excess, total = {}, 0
   for k = 1, bins do
      local row = s[k]:table()
      table.sort(row)
      local hz = (k - 1) * sample_rate / N_FFT
      local counts = hz >= math.max(LOWEST_HZ, fmin) and hz <= fmax and k < bins -- the last one is noisier
      excess[k] = counts and math.max(0, s[k]:mean() - ABOVE * row[(frames + 1) // 2]) or 0
      total = total + excess[k]
   end
   if total == 0 then return fmin, fmax end
   local low, high, sum = fmin, fmax, 0
   for k = 1, bins do
      local before = sum
      sum = sum + excess[k]
      local hz = (k - 1) * sample_rate / N_FFT
      if before < SHARE * total and sum >= SHARE * total then low = math.max(fmin, hz - sample_rate / N_FFT / 2) end
      if before < (1 - SHARE) * total and sum >= (1 - SHARE) * total then
         high = math.min(fmax, hz + sample_rate / N_FFT / 2)
      end
   end
   return low, high
end

--- The bands of a recording's windows, on a worker.
-- @tparam table item from `read`
-- @tparam table o `root`, `fmin`, `fmax`
-- @treturn[1] {table,...} `{low_hz, high_hz}` for each mark
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function labels.one(item, o)
   local audio = require "bclua.audio"
   local bands, path = {}, o.root .. "/" .. item.source
   for i, mark in ipairs(item.marks) do
      local y, message = audio.load(path, {sample_rate = item.sample_rate, channel = item.channel,
         start_s = mark.start_s, seconds = item.window_s})
      if not y then return nil, message end
      bands[i] = {labels.band(y, item.sample_rate, o.fmin, o.fmax)}
   end
   return bands
end

--- The full band of all marks: what was looked at and the file can hold.
-- @tparam {table,...} list from `read`, or `accepted.marks`
-- @tparam table heard `fmin`, `fmax`: see `bclua.data.hearing`
function labels.set_full_bands(list, heard)
   for _, item in ipairs(list) do
      local high = heard.fmax > 0 and math.min(heard.fmax, item.nyquist) or item.nyquist
      for _, mark in ipairs(item.marks) do mark.low_hz, mark.high_hz = math.min(heard.fmin, high) + 0.0, high end
   end
end

-- Sets low_hz and high_hz of all marks; returns the failures.
local function set_bands(list, options, heard)
   local failures = {}
   labels.set_full_bands(list, heard)
   if not options.dataset_root then return failures end
   local bar = progress.new("labels", #list, {unit = "recordings", quiet = options.quiet})
   for i, bands, why in require("bclua.parallel").map(list, "bclua.workflow.labels", "one",
      {root = options.dataset_root, fmin = heard.fmin, fmax = heard.fmax}) do
      for k, mark in ipairs(list[i].marks) do
         if bands then mark.low_hz, mark.high_hz = bands[k][1], math.min(bands[k][2], list[i].nyquist) end
      end
      if not bands then
         failures[#failures + 1] = {path = options.dataset_root .. "/" .. list[i].source, step = "labels", reason = why}
      end
      bar:update(i)
   end
   bar:finish()
   return failures
end

-- Those that are not known: what cannot be read fails in both.
local function add_failures(failures, others)
   local known = {}
   for _, f in ipairs(failures) do known[f.path] = true end
   for _, f in ipairs(others) do
      if not known[f.path] then failures[#failures + 1] = f end
   end
end

-- ---- as text ----

local function clean(text) return (tostring(text):gsub("[%c]", " ")) end

--- The name of a mark, as in `motif 1a` or `discord 2`.
function labels.name(mark) return ("%s %d%s"):format(mark.kind, mark.rank, mark.part) end

-- The same with the score, if it has one: `call 1 (14.2)`.
local function named(mark)
   return mark.score and ("%s (%.1f)"):format(labels.name(mark), mark.score) or labels.name(mark)
end

local function number(x) return x and ("%.6g"):format(x) or "" end

--- A label track of Audacity: start, end and text, tab separated, in order of time; where marks have
-- a band a second line with the frequencies.
-- @tparam {table,...} marks `start_s`, `end_s`, `text` and, optionally, `low_hz`, `high_hz`
-- @treturn string
function labels.audacity(marks)
   local sorted, lines = table.move(marks, 1, #marks, 1, {}), {}
   table.sort(sorted, function(a, b)
      if a.start_s ~= b.start_s then return a.start_s < b.start_s end
      return a.text < b.text
   end)
   for _, m in ipairs(sorted) do
      lines[#lines + 1] = ("%.6f\t%.6f\t%s\n"):format(m.start_s, m.end_s, clean(m.text))
      if m.low_hz then lines[#lines + 1] = ("\\\t%.6f\t%.6f\n"):format(m.low_hz, m.high_hz) end
   end
   return table.concat(lines)
end

local RAVEN = {"Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)",
   "Begin Path", "Begin File", "File Offset (s)", "Clock Time", "Species", "Kind", "Rank", "Distance",
   "Score"}
local ROW = "%d\tSpectrogram 1\t%d\t%.6f\t%.6f\t%.1f\t%.1f\t%s\t%s\t%.6f\t%s\t%s\t%s\t%d\t%s\t%s"

--- A selection table of Raven for a sequence of files: times count from the start of the first one.
-- @tparam {table,...} list from `read`, with bands
-- @tparam[opt] string root folder in which the sources begin
-- @treturn string
function labels.raven(list, root)
   local lines, n, before = {table.concat(RAVEN, "\t")}, 0, 0
   for _, item in ipairs(list) do
      local sorted = table.move(item.marks, 1, #item.marks, 1, {})
      table.sort(sorted, function(a, b)
         if a.start_s ~= b.start_s then return a.start_s < b.start_s end
         return labels.name(a) < labels.name(b)
      end)
      for _, m in ipairs(sorted) do
         n = n + 1
         lines[#lines + 1] = ROW:format(n, item.channel or 1, before + m.start_s, before + m.end_s, m.low_hz, m.high_hz,
            clean(root and root .. "/" .. item.source or item.source), clean(files.basename(item.source)), m.start_s,
            clock.at(item.recorded_at, m.start_s) or "", clean(item.species or ""),
            m.part == "" and m.kind or m.kind .. " " .. m.part, m.rank, number(m.distance),
            number(m.score))
      end
      before = before + item.duration_s
   end
   return table.concat(lines, "\n") .. "\n"
end

local CSV = {"source_name", "species", "kind", "rank", "part", "start_s", "end_s", "clock_time", "low_hz",
   "high_hz", "distance", "score"}

--- The same as CSV: a row a window, by recording, kind, rank and part.
function labels.csv(list)
   local rows = {}
   for _, item in ipairs(list) do
      for _, m in ipairs(item.marks) do
         local row = {source_name = item.source, species = item.species,
            clock_time = clock.at(item.recorded_at, m.start_s)}
         for k, v in pairs(m) do row[k] = math.type(v) == "float" and ("%.9g"):format(v) or v end
         rows[#rows + 1] = row
      end
   end
   return files.csv(CSV, rows)
end

local function write_tracks(list, output)
   local written = 0
   for _, item in ipairs(list) do
      if #item.marks > 0 then
         for _, m in ipairs(item.marks) do m.text = named(m) end
         local path = files.fit(output .. "/" .. item.folder, ".txt")
         local ok, message = system.mkdir(files.dirname(path))
         if ok then ok, message = system.write_file(path, labels.audacity(item.marks)) end
         if not ok then return nil, message end
         written = written + 1
      end
   end
   return written
end

--- What `run` takes.
labels.options = options_of.extend(labels.marks, {
   dataset_root = {"string", default = false, arg = "DIR", text = rules.dataset_root.text .. " Looks for the " ..
      "frequency band of each window (else: the full band)."},
   format = {"choice", labels.formats, default = "audacity", text = "audacity (a label track per recording), raven " ..
      "(one selection table, the recordings in sequence, by name) or csv."},
   output = {"string", needed = true, arg = "PATH", text = "Folder for audacity: PATH.txt; file for the others."},
   accepted = {"string", text = "accepted.csv of `browse`: only the motifs accepted there."}})

--- Write labels.
-- @tparam table options those of `read`; `format` (`audacity`: a folder of label tracks,
-- `<path>.txt`; `raven`, `csv`: one file), `output`; `dataset_root` also looks for the band of
-- each window in the recording (without it, and where that fails, the band is the full one); `accepted` (a file of
-- `browse`: its accepted motifs, in place of those that the profiles give)
-- @treturn[1] table `{recordings=, labels=, failures=}`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function labels.run(options)
   options = options_of.check(options, labels.options)
   if options.dataset_root and not files.is_folder(options.dataset_root) then
      return nil, options.dataset_root .. ": no such folder (--dataset-root)"
   end
   local list, message
   if options.accepted then
      list, message = require("bclua.workflow.verdicts").marks(options)
   else
      list, message = labels.read(options_of.subset(options, labels.marks))
   end
   if not list then return nil, message end
   local unscored = not options.accepted and message or {}
   local heard, wrong = hearing.of_parquet(options.input)
   if not heard then return nil, wrong end
   local n = 0
   for _, item in ipairs(list) do n = n + #item.marks end
   local failures = set_bands(list, options, heard)
   add_failures(failures, unscored)
   local ok
   if options.format == "audacity" then
      ok, message = write_tracks(list, options.output)
   elseif options.format == "raven" then
      ok, message = system.write_file(options.output, labels.raven(list, options.dataset_root))
   else
      ok, message = system.write_file(options.output, labels.csv(list))
   end
   if not ok then return nil, message end
   progress.note(("labels: %d windows of %d recordings, %d failed%s"):format(n, #list, #failures,
      failures[1] and ", the first: " .. failures[1].reason or ""), options.quiet)
   return {recordings = #list, labels = n, failures = failures}
end

return labels
