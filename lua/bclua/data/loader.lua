--- Batches of triplets: out of tiles, out of the recordings themselves, or on a walk over all of them.
--
-- Threads in C read ahead of who takes the batches. What a batch holds follows from the seed and its
-- place in the order alone: not from the number of threads, nor from what was read before.
-- @module bclua.data.loader
-- @usage
-- local l <close> = assert(loader.new{triplets = "triplets.parquet", tiles = "tiles",
--    augment = "noise=5:40,gain=20"})
-- local batch = assert(l:next())
-- print(batch.anchor, batch.provenance.anchor.file[1], batch.provenance.anchor.seconds[1])
local array = require "bclua.array"
local augment = require "bclua.data.augment"
local files = require "bclua.files"
local options_of = require "bclua.options"
local system = require "bclua.system"
local tables = require "bclua.data.tables"

--- The text of an augmentation as a table: `parse` of `bclua.data.augment`.
-- @function augmentation
-- @tparam string text
-- @treturn table
local loader = {augmentation = augment.parse}


-- ---- Tables ----

-- The group of each role, and all groups as a query; tables of earlier versions name species alone.
local function groups_in(relation)
   local of, all = {}, {}
   for i, role in ipairs{"a", "b", "c"} do
      of[i] = ("coalesce(%s_group, %s_species, %s)"):format(role, role, role)
      all[i] = ("select %s as name from %s"):format(of[i], relation)
   end
   return of, table.concat(all, " union ")
end

--- How many groups a table of triplets has: their numbers in batches go from 0 to one less.
-- @tparam string triplets Parquet
-- @tparam[opt] string loc_unit as of `bclua.data.legacy`
-- @treturn[1] integer
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function loader.count_groups(triplets, loc_unit)
   local relation, message = require("bclua.data.legacy").relation(triplets, loc_unit)
   if not relation then return nil, message end
   local rows
   rows, message = require("bclua.sql").query(("select count(*) as n from (%s)"):format(select(2, groups_in(relation))))
   return rows and rows[1].n, message
end

-- What a table of triplets holds, compactly: `sources` (names) and their `channels` (0: the mean of all), columns `a`,
-- `b`, `c` (numbers of sources from 0), their locations and groups (numbers). Names become numbers by types of the
-- database.
local function read_triplets(db, relation, path)
   local distinct = ("select a as name from %s union select b from %s union select c from %s order by name"):format(
      relation, relation, relation)
   local sources, message = db:columns(([[select name, coalesce(min(channel), 0)::integer as channel from
      (select a as name, a_channel as channel from %s union select b, b_channel from %s union select c, c_channel from %s)
      group by name order by name]]):format(relation, relation, relation))
   if not sources then return nil, message end
   if #sources.name == 0 then return nil, path .. ": no triplets" end
   local of, all = groups_in(relation)
   local ok, t
   ok, message = db:exec(("create type recording as enum (%s); create type of_group as enum (%s order by name)"):format(
      distinct, all))
   if not ok then return nil, message end
   t, message = db:columns(([[select enum_code(a::recording)::integer as a, enum_code(b::recording)::integer as b,
      enum_code(c::recording)::integer as c, a_loc::double as a_loc, b_loc::double as b_loc, c_loc::double as c_loc,
      enum_code((%s)::of_group)::integer as a_group, enum_code((%s)::of_group)::integer as b_group,
      enum_code((%s)::of_group)::integer as c_group from %s]]):format(of[1], of[2], of[3], relation))
   if not t then return nil, message end
   t.sources, t.channels = sources.name, sources.channel
   return t
end

-- What a folder of tiles says of itself; those of older versions hold a file a tile.
local function describe(tiles)
   local provenance, schemas = require "bclua.data.provenance", require "bclua.data.schemas"
   local index = tiles .. "/index.parquet"
   if not files.exists(index) then return nil, index .. ": no such file (run `motif extract-triplets` first)" end
   local relation, has = tables.open(index, schemas.tiles, {"source", "loc", "tile", "first?", "scale?"})
   if not relation then return nil, has end
   local about = provenance.of_parquet(index) or {}
   local wrong = tables.fault(about, schemas.tiles_made)
   if wrong then return nil, ("%s: metadata: %s"):format(index, wrong) end
   about.store = about.store or "npy"
   about.placed = has.first ~= nil and has.scale ~= nil
   if not about.placed and about.store ~= "npy" then
      return nil, ("%s: no columns 'first' and 'scale', which the store '%s' needs"):format(index, about.store)
   end
   about.relation = relation
   return about
end

-- The windows of an index, sorted by source and location, of those recordings that the triplets name;
-- and the paths of their files.
local function read_windows(db, about, tiles)
   local sql = require "bclua.sql"
   local index, first, scale = about.relation, '"first"', "scale"
   if not about.placed then first, scale = "0", "1" end
   local ok, message = db:exec(("create type file as enum (select distinct tile from %s order by tile)")
      :format(index))
   if not ok then return nil, message end
   local windows, paths
   windows, message = db:columns(([[
      select enum_code(r)::integer as "source", loc, enum_code(tile::file)::integer as file,
         (%s)::bigint as "first", (%s)::double as scale
      from (select *, try_cast("source" as recording) as r from %s) where r is not null
      order by r, loc, tile, "first"]]):format(first, scale, index))
   if not windows then return nil, message end
   paths, message = db:columns(("select %s || '/' || unnest(enum_range(null::file)) as path"):format(sql.quote(tiles)))
   if not paths then return nil, message end
   return windows, paths.path
end

local function of_tiles(db, options, t)
   local about, message = describe(options.tiles)
   if not about then return nil, message end
   local windows, paths = read_windows(db, about, options.tiles)
   if not windows then return nil, paths end
   local ids = require("bclua.loading").match(windows, t)
   if #ids.place == 0 then
      return nil, ("%s: none of its %d triplets has its tiles in %s"):format(options.triplets, #t.a, options.tiles)
   end
   windows.anchor, windows.neighbor, windows.distant = ids.anchor, ids.neighbor, ids.distant
   return {store = about.store, windows = windows, paths = paths, sources = t.sources, place = ids.place,
      total = #t.a, duration = about.duration or 7, sample_rate = about.sample_rate or 32000}
end

local function of_recordings(_, options, t)
   local root, paths = options.dataset_root, {}
   if not files.is_folder(root) then return nil, root .. ": no such folder (--dataset-root)" end
   for i, name in ipairs(t.sources) do paths[i] = root .. "/" .. name end
   local heard, message = require("bclua.data.hearing").of_parquet(options.triplets)
   if not heard then return nil, message end
   return {store = "none", paths = paths, channels = t.channels, sources = t.sources, drawn_rate = heard.sample_rate,
      windows = {anchor = {source = t.a, loc = t.a_loc}, neighbor = {source = t.b, loc = t.b_loc},
         distant = {source = t.c, loc = t.c_loc}}}
end

local function read(options)
   local relation, message = require("bclua.data.legacy").relation(options.triplets, options.loc_unit)
   if not relation then return nil, message end
   local db <close>, why = require("bclua.sql").open()
   if not db then return nil, why end
   local t
   t, message = read_triplets(db, relation, options.triplets)
   if not t then return nil, message end
   local data
   data, message = (options.tiles and of_tiles or of_recordings)(db, options, t)
   if not data then return nil, message end
   return data, {t.a_group, t.b_group, t.c_group}
end

-- ---- The object ----

local Loader = {}
Loader.__index = Loader

-- Settle crop, tile and shift, which depend on each other.
local function settle(options, data, effects)
   local seconds, shift = options.seconds, augment.largest_shift(effects)
   local where = options.tiles or options.triplets or options.input
   local rate = options.sample_rate or data.sample_rate or data.drawn_rate
   if data.sample_rate and rate ~= data.sample_rate then
      return nil, ("%s: tiles at %g Hz, not %d Hz"):format(options.tiles, data.sample_rate, rate)
   end
   local duration = data.duration or options.duration or math.max(7, seconds + 2 * shift)
   if seconds > duration then
      return nil, ("%s: crops of %g s out of tiles of %g s"):format(where, seconds, duration)
   end
   if shift > (duration - seconds) / 2 + 1e-9 then
      return nil, ("%s: a shift of %g s needs tiles of %g s, these have %g s"):format(where, shift, seconds + 2 * shift,
         duration)
   end
   return seconds, math.tointeger(rate), duration
end

local function open(options, data, effects)
   local seconds, rate, duration = settle(options, data, effects)
   if not seconds then return nil, rate end
   local backgrounds, message = augment.backgrounds(effects)
   if backgrounds == nil then return nil, message end
   if augment.needs_pitch(effects) and not require("bclua.loading").pitch_library() then
      return nil, "pitch: SoundTouch is missing (install libsoundtouch1)"
   end
   local self = setmetatable({seed = options.seed, batch_size = options.batch_size, store = data.store,
      samples = math.floor(seconds * rate + 0.5), sample_rate = rate, failures = {}, replaced = 0,
      sources = data.sources, place = data.place, named = {}}, Loader)
   local all = data.windows.anchor
   self.triplets = #(data.windows.source and all or all.loc)
   self.dropped = (data.total or self.triplets) - self.triplets
   if self.dropped == 0 then self.place = nil end
   local limit = options.limit and options.limit > 0 and options.limit or nil
   self.core = require("bclua.loading").new({store = data.store, paths = data.paths, channels = data.channels,
      sources = data.sources,
      windows = data.windows, duration = duration, sample_rate = rate, samples = self.samples,
      batch_size = self.batch_size, seed = self.seed, limit = limit,
      workers = options.workers > 0 and options.workers or math.min(2, system.threads()),
      prefetch = options.prefetch,
      cache_bytes = math.floor(options.cache_mb * 1e6), open = options.open,
      effects = effects, backgrounds = backgrounds or nil, first = data.first, walkers = options.walkers,
      part = options.part and options.part - 1, parts = options.parts})
   if limit then self.triplets = math.min(self.triplets, limit) end
   return self
end

-- What is wrong with a text that describes an augmentation.
local function wrong_augmentation(text)
   if text == "" then return nil end
   local effects, message = augment.parse(text)
   return not effects and message or nil
end

--- A schema: the settings that the command line has, too.
loader.settings = {
   batch_size = {"integer", default = 64, least = 1, most = 1 << 20, record = "always", text = "Triplets in a batch."},
   limit = {"integer", default = 0, least = 0, most = (1 << 32) - 1,
      text = "Use only N triplets of the table, shuffled by --seed (0: all)."},
   seed = {"integer", default = 1, least = 0, record = "always",
      text = "Seed of the first weights, the order of triplets and validation."},
   augment = {"string", default = "", check = wrong_augmentation, arg = "LIST",
      text = "Effects on each crop, as in shift=1,noise=5:40,gain=20,pitch=2."},
   workers = {"integer", default = 0, least = 0, most = 256, record = "never",
      text = "Threads that make batches (0: 1 or 2)."},
   prefetch = {"integer", default = 2, least = 1, most = 1024, record = "never", was = "ahead",
      text = "Batches made before they are needed."},
   cache_mb = {"number", default = 256, least = 0, most = 1 << 30, record = "never", unit = "MB",
      text = "Decoded sound to keep in memory."},
}

local COMMON = options_of.extend(loader.settings, {
   dataset_root = "string",
   seconds = {"number", least = 0.001, most = 3600, default = 5},
   sample_rate = {"integer", least = 1000, most = 768000},
   augment = "any",
   open = {"integer", least = 1, most = 65536, default = 64},
})
local NEW = options_of.extend(COMMON, {
   triplets = {"string", needed = true},
   tiles = "string",
   duration = {"number", least = 0.001, most = 36000},
   part = {"integer", least = 1, default = 1},
   parts = {"integer", least = 1, default = 1},
   loc_unit = {"choice", {"seconds", "frames"}},
})

--- A loader of triplets.
-- @tparam table options `triplets` (Parquet of `generate-triplets`) and either `tiles`, a folder that
-- `extract-triplets` wrote (any store), or `dataset_root`: then there are no tiles, and crops are cut from
-- the recordings, where `duration` (7 s) takes the place of a tile's length. Further `batch_size` (64),
-- `seconds` (5) of a crop, `sample_rate` (that of the tiles, or of the table), `seed` (1), `limit` (of the table,
-- shuffled by the seed, take as many; 0: all), `augment` (see `augmentation`; a text or a table; without it a crop lies
-- anywhere in its tile),
-- `workers` (threads; 0: 1 or 2), `prefetch` (2: batches made or ready), `cache_mb` (256: decoded sound kept),
-- `open` (64: files kept open); `part` (1) of `parts` (1): of each batch only these rows, batch_size / parts of
-- them, are read and given, for processes that share batches; `batch_size` and states are those of whole batches
-- @treturn[1] Loader with the fields `triplets` (in use), `dropped` (those without tiles), `store`, `sources` (names of
-- all recordings of the table),
-- `failures` (`{path=, step=, reason=}`, a recording once: it could not be read), `replaced` (triplets whose place
-- others took because of that)
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
-- @raise a wrong option
function loader.new(options)
   local o = options_of.check(options, NEW)
   if not o.tiles and not o.dataset_root then error("option 'tiles' or 'dataset_root' is missing", 2) end
   if o.batch_size % o.parts ~= 0 or o.part > o.parts then
      error(("part %d of %d of a batch of %d"):format(o.part, o.parts, o.batch_size), 2)
   end
   if o.tiles and o.duration then error("option 'duration' is for a loader without tiles", 2) end
   local effects = augment.check(o.augment, 3)
   local data, groups = read(o)
   if not data then return nil, groups end
   local self, message = open(o, data, effects)
   if not self then return nil, message end
   self.groups = groups
   return self
end

local WALK = options_of.extend(COMMON, {
   limit = false,
   input = {"string", needed = true},
   dataset_root = {"string", needed = true},
   walkers = {"integer", least = 1, most = 65536},
})

--- A loader that walks over every slice of every recording.
-- The anchor is a slice of `seconds`; the neighbour the window that its matrix profile index points to; the
-- distant one the anchor of another recording of the batch. A round takes every slice once: recordings in random
-- order, `walkers` of them at a time, one slice of each in turn.
-- @tparam table options `input` (Parquet of `consolidate`, or the folder that `extract` wrote), `dataset_root`,
-- `walkers` (16), and `batch_size`, `seconds`, `sample_rate`, `seed`, `augment`, `workers`, `prefetch`, `cache_mb`,
-- `open` as in `new`; a crop is shifted only if `augment` says so
-- @treturn[1] Loader as of `new`; `triplets`: slices of a round
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
-- @raise a wrong option
function loader.walk(options)
   local o = options_of.check(options, WALK)
   local effects = augment.check(o.augment, 3)
   if not files.is_folder(o.dataset_root) then
      return nil, o.dataset_root .. ": no such folder (--dataset-root)"
   end
   local data, message = require("bclua.data.walk").read(o.input, o.dataset_root, o.seconds)
   if not data then return nil, message end
   data.duration = o.seconds + 2 * augment.largest_shift(effects)
   return open(o, data, effects)
end

-- Groups of the windows of these triplets, roles one after the other.
local function groups_of(groups, rows)
   local b = #rows
   local list = array.zeros(3 * b, "i32")
   for role, column in ipairs(groups) do
      for i, row in ipairs(rows) do list[(role - 1) * b + i] = column[row] end
   end
   return list
end

--- The next batch. It waits until the threads have made it.
-- @treturn[1] table `anchor`, `neighbor`, `distant`: f32 (batch_size, samples); `rows`: which triplets (rows of
-- the table, from 1; of a walk slices); `groups` (not of a walk): i32 (3 batch_size), the numbers of the groups of
-- anchors, neighbours and distant ones, for `nn.loss`; `provenance.anchor` ...: `file` (list of source names),
-- `seconds` (f64 (B), where the crop begins in the recording; NaN for tiles of a whole short recording), and what
-- was drawn for effects that are in use: `pitch` (semitones), `mix_db`, `noise_db`, `gain_db` (f64 (B))
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path: a tile cannot be read, or no recording at all can
-- @raise "interrupted" after Ctrl-C; the loader can go on
function Loader:next()
   local batch, message = self.core:next()
   if not batch then return nil, message end
   if self.place then
      for i, row in ipairs(batch.rows) do batch.rows[i] = self.place[row] + 1 end
   end
   if self.groups then batch.groups = groups_of(self.groups, batch.rows) end
   local last
   for _, failure in ipairs(batch.read_failures or {}) do
      if failure.row ~= last then self.replaced = self.replaced + 1 end
      last = failure.row
      if not self.named[failure.file] then
         self.named[failure.file] = true
         table.insert(self.failures, {path = failure.file, step = "load", reason = failure.reason})
      end
   end
   batch.read_failures = nil
   return batch
end

--- Seconds that `next` has waited so far, all calls together.
-- @treturn number
function Loader:waited() return self.core:waited() end

--- What the loader holds at this moment.
-- @treturn integer bytes of decoded sound
-- @treturn integer files open
function Loader:held() return self.core:held() end

--- Where the loader is, as a line of text: a few numbers. What was read ahead does not count.
-- @treturn string
function Loader:state()
   return files.json({seed = self.seed, position = self.core:position(), triplets = self.triplets})
end

--- Go on exactly where `state` was taken.
-- @tparam string state
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message: not a state, or of another table
function Loader:restore(state)
   local t = require("bclua.json").decode(state)
   local function is_integer(x) return math.type(x) == "integer" end
   if type(t) ~= "table" or not (is_integer(t.seed) and is_integer(t.position)) or t.position < 0 then
      return nil, "not the state of a loader"
   end
   if t.triplets and t.triplets ~= self.triplets then
      return nil, ("state of a loader of %s triplets, this one has %d"):format(t.triplets, self.triplets)
   end
   self.seed = t.seed
   self.core:seek(t.seed, t.position)
   return true
end

--- Stop the threads and give back the memory. Also at the end of a `<close>` variable.
function Loader:close() self.core:close() end
Loader.__close = Loader.close

return loader
