--- The windows on which embeddings are judged: collected once, for as many networks as one likes.
-- @module bclua.workflow.evaluation_set
local array = require "bclua.array"
local files = require "bclua.files"
local hearing = require "bclua.data.hearing"
local labelled = require "bclua.workflow.labelled"
local schemas = require "bclua.data.schemas"
local silence = require "bclua.workflow.silence"
local tables = require "bclua.data.tables"
local check_options = require("bclua.options").check

local evaluation_set = {}

local SECONDS = 5
local TOLERANCE_S = 0.1 -- of a recording of just a window's length, and its conversion to another sample rate
local PIECE = 32 -- windows that a worker hands over at once, at most: 20 MB at 32 kHz
local function piece_of(sample_rate) return math.max(1, math.min(PIECE, PIECE * 32000 // sample_rate)) end

--- Which windows of a recording can be judged.
--
--  * `motif`: both windows of its best motifs, none overlapping
--  * `best`: as many with the highest call score (`bclua.workflow.score`), none overlapping: the likely calls
--  * `all`: from its start to its end, one behind the other
evaluation_set.kinds = {"motif", "best", "all"}

--- Length of a window.
evaluation_set.seconds = SECONDS

--- Those kinds in words; and `label`, of the windows around labels.
evaluation_set.words = {motif = "motif windows", best = "windows with the best call score", all = "windows",
   label = "windows around labels"}

-- ---- On a worker ----

--- Of each window the mean and the deviation over time of 128 log-mel bands, in decibels.
-- @tparam array windows f32 (n, samples)
-- @tparam table o `sample_rate`, `fmin` and `fmax` in Hz (0: half the sample rate)
-- @treturn array f32 (n, 256)
function evaluation_set.statistics(windows, o)
   local spectral = require "bclua.spectral"
   local plain = array.zeros({#windows, 256})
   local n_fft, hop = require("bclua.tilenet").frames(o.sample_rate, windows:shape(2))
   for i = 1, #windows do
      local db = spectral.log_mel(windows[i], {sample_rate = o.sample_rate, n_fft = n_fft, hop = hop, n_mels = 128,
         fmin = o.fmin, fmax = o.fmax > 0 and o.fmax or nil})
      plain[i]:slice(1, 1, 128):fill(db:mean(2))
      plain[i]:slice(1, 129, 256):fill(db:std(2))
   end
   return plain
end

--- The windows of a recording that look most like calls; on a worker state.
-- @tparam table item `{path=, channel=, seconds=}`
-- @tparam table o `{count=, scored=}`: how many at most, and what scores are of (see `bclua.data.hearing`)
-- @treturn[1] {number,...} their centres
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function evaluation_set.best(item, o)
   local reader <close>, message = require("bclua.audio").open(item.path, {sample_rate = o.scored.sample_rate,
      channel = item.channel})
   if not reader then return nil, message end
   local calls
   calls, message = require("bclua.workflow.score").calls(reader, item.seconds, SECONDS, o.count, nil, o.scored)
   if not calls then return nil, message end
   if #calls == 0 then return nil, item.path .. ": " .. silence.about(item.path, 1, 1, item.channel) end
   local centres = {}
   for i, call in ipairs(calls) do centres[i] = call.start_s + SECONDS / 2 end
   return centres
end

-- Windows in whose part of the recording there is sound, and which ones these are.
local function with_sound(windows, item, sample_rate)
   local kept, which = {}, {}
   for i, c in ipairs(item.centres) do
      local first = math.max(0, math.floor((SECONDS / 2 - c) * sample_rate + 0.5))
      local last = math.min(SECONDS, item.duration_s - c + SECONDS / 2) * sample_rate
      if not silence.covers(windows[i]:slice(1, first + 1, math.max(first + 1, math.floor(last))), sample_rate) then
         kept[#kept + 1], which[#which + 1] = windows[i], i
      end
   end
   if #kept == #item.centres or #kept == 0 then return windows:slice(1, 1, #kept), which end
   return array.concat(kept):reshape{#kept, windows:shape(2)}, which
end

--- Some windows of one recording; on a worker state.
-- @tparam table item `{path=, channel=, centres={seconds,...}, duration_s=, from_s=, seconds=}`: with `from_s` only
-- that part is decoded
-- @tparam table o `sample_rate`; `plain`: the plain features, too, of `fmin` to `fmax`
-- @treturn[1] table `{windows= f32 (k, samples), plain= f32 (k, 256), which=}`: mean and standard deviation over time
-- of 128 log-mel bands; of the windows that have sound in them: `which` of the centres these are
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function evaluation_set.one(item, o)
   collectgarbage() -- Lua does not see how large the windows before were
   local windows, message
   if item.from_s then
      local y
      y, message = require("bclua.audio").load(item.path, {sample_rate = o.sample_rate, channel = item.channel,
         start_s = item.from_s, seconds = item.seconds})
      if not y then return nil, message end
      local centres = array.from(item.centres, "f64") - item.from_s
      windows = require("bclua.sampling").cut(y, o.sample_rate, centres, SECONDS)
   else
      windows, message = require("bclua.workflow.segments").rows(item.path, item.centres,
         {seconds = SECONDS, sample_rate = o.sample_rate, channel = item.channel})
      if not windows then return nil, message end
   end
   local which
   windows, which = with_sound(windows, item, o.sample_rate)
   return {windows = windows, which = which, plain = o.plain and evaluation_set.statistics(windows, o) or nil}
end

-- ---- Which windows ----

-- Centres of the windows of the best motifs: both of each pair, none overlapping.
local function motif_centres(row, k)
   local list = {}
   local function add(frame)
      local c = (frame + row.matrix_profile_window / 2) / row.cens_sample_rate
      for _, other in ipairs(list) do
         if math.abs(other - c) < SECONDS then return end
      end
      list[#list + 1] = c
   end
   local profile = {distance = row.mp, index = row.pi}
   for _, m in ipairs(require("bclua.stomp").motifs(profile, k, {exclusion = row.matrix_profile_window})) do
      add(m.at)
      add(m.twin)
   end
   return list
end

-- Some windows of a recording, which a worker takes at once.
local function new_piece(item, centres)
   return {path = item.path, name = item.name, species = item.species, site = item.site, channel = item.channel,
      duration_s = item.seconds, centres = centres}
end

-- Pieces of a recording from its start to its end, each decoded by itself.
local function all_pieces(item, size)
   local pieces, n = {}, math.max(1, math.floor(item.seconds / SECONDS + 1e-6))
   for first = 0, n - 1, size do
      local piece = new_piece(item, {})
      piece.from_s = first * SECONDS
      for i = first, math.min(n, first + size) - 1 do
         piece.centres[#piece.centres + 1] = (i + 0.5) * SECONDS
      end
      piece.seconds = #piece.centres * SECONDS
      pieces[#pieces + 1] = piece
   end
   return pieces
end

-- Pieces of a recording, each some windows around labels that are near each other, decoded by itself.
local function label_pieces(item, size)
   local pieces, piece = {}, nil
   for i, c in ipairs(item.centres) do
      if not piece or #piece.centres == size or c + SECONDS / 2 - piece.from_s > size * SECONDS then
         piece = new_piece(item, {})
         piece.names, piece.from_s = {}, math.floor(math.max(0, c - SECONDS / 2)) -- on a sample at any rate
         pieces[#pieces + 1] = piece
      end
      piece.centres[#piece.centres + 1], piece.names[#piece.names + 1] = c, item.names[i]
      piece.seconds = c + SECONDS / 2 - piece.from_s
   end
   return pieces
end

local COLUMNS = {"source_name", "species", "cens_sample_rate", "matrix_profile_window", "duration_seconds", "motif_0",
   "recorded_at?", "site?", "channel?"}

-- Which recordings have windows of a kind, in SQL.
local function has_windows(kind)
   if kind == "label" then return "true" end
   return "motif_0 is not null" .. (kind == "motif" and "" or
      (" or duration_seconds >= %g"):format(SECONDS - TOLERANCE_S))
end

-- Of these rows those that are wanted, with the centres of their windows where these are known already.
local function items_of(rows, options, wanted, truth)
   local items = {}
   for _, row in ipairs(rows) do
      local found = truth and truth[row.source_name]
      if wanted[row.source_name] and (found or not truth) then
         items[#items + 1] = {path = options.dataset_root .. "/" .. row.source_name, name = row.source_name,
            species = row.species, site = row.site, channel = row.channel, seconds = row.duration_seconds,
            recorded_at = row.recorded_at, names = found and found.names,
            centres = options.windows == "motif" and motif_centres(row, options.motifs) or found and found.centres}
      end
   end
   return items
end

local function read(options)
   local columns = {table.unpack(COLUMNS)}
   if options.windows == "motif" then columns[#columns + 1], columns[#columns + 2] = "mp", "pi" end
   local relation, message = tables.open(options.motif, schemas.motif, columns)
   if not relation then return nil, message end
   local rows
   rows, message = require("bclua.sql").query(("from %s where %s order by source_name"):format(relation,
      has_windows(options.windows)))
   if not rows then return nil, message end
   local wanted, truth, about = {}, nil, nil
   for _, name in ipairs(options.recordings or {}) do wanted[name] = true end
   if not options.recordings then
      for _, row in ipairs(rows) do wanted[row.source_name] = true end
   end
   if options.labels then
      truth, about = labelled.truth(rows, options.labels, SECONDS, wanted)
      if not truth then return nil, about end
   end
   local items = items_of(rows, options, wanted, truth)
   if #items == 0 then
      return nil, ("%s: none of the recordings kept for evaluation %s"):format(options.motif,
         options.windows == "motif" and "has a motif" or "has a motif, or is as long as a window")
   end
   return items, about
end

-- ---- The set ----

local Set = {}
Set.__index = Set

-- The pieces of all items: {path=, name=, species=, site=, centres=, ...}
local function pieces_of(set, items, options)
   local pieces, cut = {}, ({all = all_pieces, label = label_pieces})[options.windows]
   if cut then
      for _, item in ipairs(items) do
         for _, piece in ipairs(cut(item, piece_of(options.sample_rate))) do pieces[#pieces + 1] = piece end
      end
      return pieces
   end
   if options.windows == "motif" then
      for i, item in ipairs(items) do pieces[i] = new_piece(item, item.centres) end
      return pieces
   end
   local bar = require("bclua.progress").new("score", #items, {unit = "recordings", quiet = options.quiet})
   for i, centres, why in require("bclua.parallel").map(items, "bclua.workflow.evaluation_set", "best",
      {count = 2 * options.motifs, scored = options.scored}) do
      if centres then pieces[#pieces + 1] = new_piece(items[i], centres) else set:fail(items[i].path, why) end
      bar:update(i)
   end
   bar:finish()
   return pieces
end

--- Remember what could not be read, once each.
function Set:fail(path, why)
   for _, f in ipairs(self.failures) do
      if f.path == path then return end
   end
   self.failures[#self.failures + 1] = {path = path, step = "evaluate", reason = why}
end

-- Windows of pieces; few ahead, as each can be 20 MB.
local function map(pieces, o)
   return require("bclua.parallel").map(pieces, "bclua.workflow.evaluation_set", "one", o,
      {ahead = require("bclua.system").threads() + 2})
end

-- What a piece gave becomes rows; the sound stays while there is room for it.
local function add_piece(set, piece, result, limit)
   local centres, names = {}, piece.names and {}
   for k, i in ipairs(result.which) do
      centres[k] = piece.centres[i]
      if names then names[k] = piece.names[i] end
   end
   set.silent = set.silent + #piece.centres - #centres
   piece.centres, piece.names = centres, names
   if #piece.centres == 0 then return end
   set.pieces[#set.pieces + 1] = piece
   for i, c in ipairs(piece.centres) do
      local n = #set.recordings + 1
      set.recordings[n], set.starts[n] = piece.name, c - SECONDS / 2
      set.sites[n] = piece.site
      if names then set.labels[n] = names[i] else set.labels[n] = piece.species end
   end
   set.bytes = set.bytes + result.windows:bytes()
   if set.sound then set.sound[#set.sound + 1] = result.windows end
   if set.bytes > limit then set.sound = nil end
end

-- Recordings that were read, and none of whose windows has sound in it, are failures.
local function name_silent(set, pieces)
   local heard = {}
   for _, piece in ipairs(set.pieces) do heard[piece.path] = true end
   for _, failure in ipairs(set.failures) do heard[failure.path] = true end
   for _, piece in ipairs(pieces) do
      if not heard[piece.path] then set:fail(piece.path, piece.path .. ": " .. silence.about(piece.path, 1, 1,
         piece.channel)) end
      heard[piece.path] = true
   end
end

-- Species (labels) all of whose recordings failed, and how many recordings were read.
local function count(set, items)
   local read_names, seen, missing = {}, {}, {}
   local function each(of, f)
      for _, name in ipairs(of.names or {of.species}) do
         if not seen[name] then seen[name] = true; f(name) end
      end
   end
   for _, piece in ipairs(set.pieces) do
      each(piece, function() end)
      if not read_names[piece.name] then read_names[piece.name], set.files = true, set.files + 1 end
   end
   for _, item in ipairs(items) do
      each(item, function(name) missing[#missing + 1] = name end)
   end
   table.sort(missing)
   set.missing = missing
end

local OPTIONS = {motif = {"string", needed = true}, dataset_root = {"string", needed = true},
   recordings = {"list", of = "string"}, labels = "string",
   windows = {"choice", evaluation_set.kinds, default = "best"},
   motifs = {"integer", default = 3, least = 1, most = 1000}, memory_mb = {"number", default = 1024, least = 0},
   sample_rate = {"integer", least = 1, most = 1000000}, fmin = {"number", least = 0}, fmax = {"number", least = 0},
   quiet = "boolean"}

--- Collect the windows of some recordings, what they are called, and plain features of them.
-- @tparam table options `motif` (Parquet from `consolidate`), `dataset_root`, `recordings` (list of source names; none:
-- all that have a motif, or, but for "motif", are as long as a window), `windows` ("best"; see `evaluation_set.kinds`),
-- `labels` (Parquet from `import-labels`: the windows are those around labels, whose texts are in place of species),
-- `motifs` (3: pairs a recording, for "best" twice as many windows), `memory_mb` (1024: sound that is kept; what does
-- not fit is decoded again for each judgement), `sample_rate`, `fmin`, `fmax` (of the windows and their plain features;
-- default: what the table was made with), `quiet`
-- @treturn[1] table set: by window `labels` (species, or texts of labels) and `sites` (both with holes where there are
-- none), `recordings` (source names), `starts` (seconds) and `plain` (f32 (n, 256): mean and deviation of log-mel
-- bands, decibels); `recorded_at` (by source name); `files` (recordings read), `missing` (species none of whose
-- recordings could be read), `silent` (windows without sound, which are left out), `failures`, `kind`; `labelled`: with
-- `labels`, how many of them are used, and how many not (see `bclua.workflow.labelled`)
-- @treturn[2] nil
-- @treturn[2] string message
function evaluation_set.run(options)
   local o = check_options(options, OPTIONS)
   if not files.is_folder(o.dataset_root) then return nil, o.dataset_root .. ": no such folder" end
   local message
   o.scored, message = hearing.of_parquet(o.motif)
   if not o.scored then return nil, message end
   for _, name in ipairs{"sample_rate", "fmin", "fmax"} do o[name] = o[name] or o.scored[name] end
   if o.labels then o.windows = "label" end
   local items, about = read(o)
   if not items then return nil, about end
   local set = setmetatable({labels = {}, sites = {}, recordings = {}, starts = {}, failures = {}, pieces = {},
      sound = {}, bytes = 0, files = 0, silent = 0, recorded_at = {}, sample_rate = o.sample_rate,
      kind = o.windows, labelled = about, quiet = o.quiet}, Set)
   local pieces, plain = pieces_of(set, items, o), {}
   local bar = require("bclua.progress").new("evaluate", #pieces,
      {unit = (o.windows == "all" or o.labels) and "pieces" or "recordings", quiet = o.quiet})
   for i, result, why in map(pieces, {plain = true, sample_rate = o.sample_rate, fmin = o.fmin,
      fmax = o.fmax}) do
      if result then
         if #result.which > 0 then plain[#plain + 1] = result.plain end
         add_piece(set, pieces[i], result, o.memory_mb * 1e6)
         if not set.sound then collectgarbage() end
      else
         set:fail(pieces[i].path, why)
      end
      bar:update(i)
   end
   bar:finish()
   name_silent(set, pieces)
   if #plain == 0 then return nil, set.failures[1].reason end
   set.plain = array.concat(plain)
   count(set, items)
   for _, item in ipairs(items) do set.recorded_at[item.name] = item.recorded_at end
   return set
end

--- Call f(windows, first) with the sound of some windows, f32 (k, samples), and the number of the first of
-- them, for all of the set in order.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message: a recording that was there before cannot be read
function Set:each(f)
   local first, size = 1, piece_of(self.sample_rate)
   local function hand(windows)
      for at = 1, #windows, size do
         f(windows:slice(1, at, math.min(#windows, at + size - 1)), first + at - 1)
      end
      first = first + #windows
   end
   if self.sound then
      for _, windows in ipairs(self.sound) do hand(windows) end
      return true
   end
   local bar = require("bclua.progress").new("embed", #self.pieces, {unit = "pieces", quiet = self.quiet})
   for i, result, why in map(self.pieces, {sample_rate = self.sample_rate}) do
      if not result then return nil, why end
      hand(result.windows)
      collectgarbage()
      bar:update(i)
   end
   bar:finish()
   return true
end

return evaluation_set
