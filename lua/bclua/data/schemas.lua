--- What the columns of our tables have to be, and the keys of our JSON files (doc/formats.md): schemas of
-- `bclua.data.tables`, for those who read them.
-- @module bclua.data.schemas
local clock = require "bclua.clock"
local files = require "bclua.files"
local options = require "bclua.options"

local schemas = {}

local LONGEST_S = 1e6 -- a recording of 11 days; what is longer is no recording
local LONGEST_PATH = 4096

-- A path below some folder.
local PATH = {"string", needed = true, shortest = 1, longest = LONGEST_PATH,
   holds = function(name) return utf8.len(name) and files.is_inside(name) end,
   sql = "not starts_with(%s, '/') and not contains(%s, chr(0)) and " .. -- of ten million names few have the dots
      "case when contains(%s, '..') then not contains('/' || %s || '/', '/../') else true end",
   words = ("must be a path below a folder, of 1 to %d bytes"):format(LONGEST_PATH)}

local function optional(rule) return options.extend(rule, {needed = false}) end
local function needed(rule) return options.extend(rule, {needed = true}) end

local TEXT = {"string", needed = true, longest = LONGEST_PATH}
local SECONDS = {"number", needed = true, least = 0, most = LONGEST_S}
local LENGTH = {"number", needed = true, above = 0, most = LONGEST_S}
local NUMBER = {"number", needed = true}
local HERTZ = {"number", least = 0}
local COUNT = {"integer", needed = true, least = 0}
local FRAME = {"integer", least = 0}
local RATE = {"integer", needed = true, least = 1, most = 10000000}

local CHANNEL = {"integer", least = 1, most = 1024} -- null: the mean of all

-- A centre of a window.
local LOC = {"number", needed = true, sql = ("%%s >= 0 and %%s <= %.0f or %%s = -1"):format(LONGEST_S),
   words = ("must be seconds from 0 to %.0f, or -1 for the whole recording"):format(LONGEST_S)}

-- Start and end of each silence.
local SILENCE = {"list", of = {"number", least = 0, most = LONGEST_S}, items = "seconds",
   holds = function(list)
      for i = 2, #list do
         if list[i] < list[i - 1] then return false end
      end
      return #list % 2 == 0
   end,
   sql = "mod(len(%s), 2) = 0 and %s = list_sort(%s)",
   words = "must be seconds in order, start and end of each silence"}

local function together(name, with, sql, words)
   return {name, with = {with}, sql = sql, words = words}
end

-- Bytes by name of a file.
local function are_sizes(sizes)
   for name, bytes in pairs(sizes) do
      sizes[name] = math.tointeger(bytes)
      if not sizes[name] then return false end
   end
   return true
end

-- A day, or a time with or without its zone.
local CLOCK = {"string", sql = [[regexp_full_match(%s, '\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?)?')]],
   holds = function(text) return clock.parse(text) ~= nil end, words = "must be a time as in 2023-05-14T04:30:00+02:00"}

--- `consolidate`.
schemas.motif = {
   recorded_at = CLOCK, site = {"string", longest = LONGEST_PATH}, recorder = {"string", longest = LONGEST_PATH},
   gain = {"string", longest = LONGEST_PATH}, latitude = {"number", least = -90, most = 90},
   longitude = {"number", least = -180, most = 180}, temperature_c = "number", battery_v = "number",
   source_name = PATH, species = optional(PATH), folder = optional(PATH), part_file = optional(PATH),
   cens_sample_rate = RATE, sample_rate = RATE, source_sample_rate = optional(RATE),
   matrix_profile_window = {"integer", needed = true, least = 1, most = 1000000},
   duration_cens = COUNT, duration_samples = COUNT, duration_seconds = SECONDS,
   motif_0 = FRAME, motif_1 = FRAME, discord_0 = FRAME, discord_1 = FRAME, tuning = "number",
   silence = SILENCE, channel = CHANNEL,
   mp = {"list", of = {"number", least = 0, most = math.huge}, items = "numbers"},
   pi = {"list", of = {"integer", least = -1}, items = "frames"},
   together("motif_1", "motif_0", "(motif_1 is null) = (motif_0 is null)", "must be there where 'motif_0' is"),
   together("discord_0", "motif_0", "(discord_0 is null) = (motif_0 is null)", "must be there where 'motif_0' is"),
   together("mp", "motif_0", "motif_0 is null or motif_0 < len(mp)", "must have a value for 'motif_0'"),
   together("pi", "mp", "pi is null and mp is null or len(pi) = len(mp)", "must be as long as 'mp'"),
   together("pi", "mp", "pi is null or len(pi) = 0 or list_max(pi) < len(mp)", "must be frames that 'mp' has"),
}

--- metadata.json of `extract`: what `consolidate` makes columns of.
schemas.metadata = options.extend(schemas.motif, {mp = false, pi = false, folder = false, part_file = false})

--- The parts of `extract`, but for their features, `cens`.
schemas.extracted = options.extend(schemas.motif, {part_file = false, cens_file = optional(PATH), exclusion = FRAME,
   version = optional(TEXT),
   source_bytes = optional(COUNT), source_modified = "integer", warning = "string", clock_warning = "string",
   claimed_seconds = "number", is_best_channel = "boolean", fmin = HERTZ, fmax = HERTZ,
   features = {"choice", {"cens", "mel"}}})

--- manifest.parquet of steps with `--shard`; paths may lead anywhere, as those on a command line.
schemas.manifest = {piece = {"integer", needed = true, least = 1}, source_name = TEXT, below = TEXT,
   species = optional(TEXT), site = optional(TEXT), id = optional(TEXT), bytes = COUNT,
   modified = {"integer", needed = true}, seconds = SECONDS}

--- What the metadata of a piece say.
schemas.piece = {files = {"list", needed = true, of = {"table", of = {file = TEXT, bytes = COUNT,
   modified = {"integer", needed = true}}}}}

--- config.json of the pipeline; the settings are `pipeline.merge`'s.
schemas.config = {config = {"table", needed = true, words = "must be an object"}, data = {"string", needed = true}}

--- `generate-triplets`.
schemas.triplets = {a = PATH, b = PATH, c = PATH, a_loc = LOC, b_loc = LOC, c_loc = LOC,
   a_channel = CHANNEL, b_channel = CHANNEL, c_channel = CHANNEL,
   a_species = optional(TEXT), b_species = optional(TEXT), c_species = optional(TEXT),
   a_group = optional(TEXT), b_group = optional(TEXT), c_group = optional(TEXT),
   neighbor = {"choice", {"self", "group"}, needed = true}, distant = {"choice", {"motif", "clip"}, needed = true}}

-- Names by name.
local function are_names(map)
   for key, name in pairs(map) do
      if type(key) ~= "string" or type(name) ~= "string" then return false end
   end
   return true
end

local NAMES = {"table", holds = are_names, words = "must be names by species"}

--- How triplets were drawn, in their metadata.
schemas.drawn = {window_s = optional(LENGTH), holdout_recordings = {"list", of = {"string"}},
   holdout_groups = {"list", of = {"string"}}, group = "string",
   groups = NAMES, families = NAMES, seed = "integer",
   shares = {"choice", {"equal", "natural", "sqrt"}}, mixture = {"list", of = {"number", least = 0}, shortest = 4,
   longest = 4}, exclude_own = "boolean", self_distance = {"number", least = 0}, clip_distance = {"number", least = 0},
   clips = {"integer", least = 0}, calls = {"integer", least = 1}, labels = "string"}

--- index.parquet of `extract-triplets`.
schemas.tiles = {source = PATH, channel = CHANNEL, loc = LOC, tile = PATH, first = COUNT, source_bytes = COUNT,
   source_modified = COUNT,
   scale = {"number", needed = true, least = 0, most = 1e30}}

--- What the index says of its tiles, in its metadata.
schemas.tiles_made = {store = {"choice", {"npy", "packed", "flac"}}, duration = optional(LENGTH),
   sample_rate = optional(RATE), sizes = {"table", holds = are_sizes, words = "must be bytes by name"}}

--- `score`.
schemas.scores = {clock_time = CLOCK, source_name = PATH, species = optional(TEXT),
   kind = {"choice", {"motif", "discord", "call"}, needed = true},
   start_s = SECONDS, energy = NUMBER, contrast = NUMBER, score = NUMBER, pick = {"boolean", needed = true}}

--- `import-labels`.
schemas.labels = {source_name = PATH, start_s = SECONDS, end_s = SECONDS, low_hz = HERTZ, high_hz = HERTZ,
   label = optional(TEXT), score = "number", verdict = {"choice", {"yes", "no", "unsure"}}, origin = optional(TEXT),
   line = {"integer", least = 1},
   together("end_s", "start_s", "end_s >= start_s", "must not be before 'start_s'")}

--- accepted.csv of `browse`.
schemas.accepted = {clock_time = CLOCK, source_name = PATH, species = optional(TEXT), start_s = SECONDS,
   twin_start_s = SECONDS, seconds = LENGTH,
   distance = {"number", needed = true, least = 0, most = math.huge},
   verdict = {"choice", {"accepted", "rejected"}, needed = true}}

--- `embed predict`.
schemas.embeddings = {clock_time = CLOCK, site = optional(TEXT), file = TEXT,
   start_s = {"number", needed = true, least = 0}, end_s = {"number", needed = true, least = 0},
   embedding = {"list", of = {"number", nan = true}, items = "numbers", needed = true}}

local TIME = schemas.embeddings.start_s

--- `embed cluster`.
schemas.clusters = {cluster = {"integer", needed = true, least = 1}, name = optional(TEXT), windows = COUNT,
   recordings = COUNT, medoid_file = TEXT, medoid_start_s = TIME, hours = {"list", of = {"integer", least = 0},
   items = "counts"}, label = optional(TEXT), purity = "number"}

--- Its windows.
schemas.clustered = {file = TEXT, start_s = TIME, cluster = COUNT, probability = NUMBER, x = "number", y = "number"}

--- `classify predict`: windows with the scores of all classes.
schemas.scored_windows = options.extend(schemas.embeddings, {embedding = false, score = schemas.embeddings.embedding})

--- `classify predict`: detections.
schemas.detections = {file = TEXT, start_s = schemas.embeddings.start_s, end_s = schemas.embeddings.end_s,
   clock_time = CLOCK, site = optional(TEXT), label = TEXT, score = NUMBER,
   probability = {"number", needed = true, least = 0, most = 1}, windows = COUNT}

--- review.csv of `classify predict --review`, with verdicts.
schemas.reviewed = options.extend(schemas.labels, {score = NUMBER,
   probability = {"number", needed = true, least = 0, most = 1},
   band = {"number", needed = true, least = 0, most = 1}, band_windows = {"integer", needed = true, least = 1}})

--- What `bclua.index` says of the table that it is of.
schemas.index = {bytes = COUNT, modified = COUNT}

--- A line of the journal of `embed predict`; its output, too, has `files`.
schemas.journal = {files = {"list", needed = true, of = {"table", of = {file = TEXT, bytes = COUNT, modified = COUNT,
   windows = COUNT}}}, serial = optional(COUNT), replaced = {"list", of = {"string"}}}

--- calls.csv of a synthetic data set.
schemas.calls = {file = PATH, start_s = SECONDS, end_s = SECONDS, song = TEXT}

--- The columns of a sweep that are not of its own choosing.
schemas.sweep = {id = needed(TEXT), rung = "integer", seed = "integer", wall_s = "number", cpu_s = "number",
   peak_bytes = "integer", error = "string", point = {"string", needed = true, words = "must be a JSON object",
   sql = "case when json_valid(%s) then json_type(%s) = 'OBJECT' else false end"}}

--- What the file of a sweep says of it, in its metadata.
schemas.about_sweep = {identity = {"table", needed = true, words = "must be an object"}, metric = "string",
   maximise = "boolean", parameters = {"list", of = {"string"}, needed = true}, resource = "string"}

return schemas
