--- What is the matter with a table of triplets, before anything is trained on it?
--
-- Tiles that are silent, clipped, mostly padding, or the same sound under two names; triplets whose
-- windows overlap; how many triplets each class and partition has; and what to do about it.
-- The recordings are decoded once each, in parallel.
-- @module bclua.workflow.audit
local account = require "bclua.workflow.account"
local rules = require "bclua.data.rules"
local array = require "bclua.array"
local display = require "bclua.display"
local files = require "bclua.files"
local legacy = require "bclua.data.legacy"
local hearing = require "bclua.data.hearing"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local triplet_warnings = require "bclua.workflow.triplets.warnings"
local schemas = require "bclua.data.schemas"
local segments = require "bclua.workflow.segments"
local tables = require "bclua.data.tables"
local check_options = require("bclua.options").check

local audit = {}

--- A tile is `silent` when the peak of what is recorded of it is below -60 dBFS; `clipped` when at least this share
-- of it is at 0.99 or above; `padded` when more than this share of it lies outside the recording.
audit.limits = {silent = 1e-3, clipped = 1e-3, padded = 0.5}

--- The share of tiles (overlap: of triplets) above which there is a warning.
audit.accepted = {silent = 0, clipped = 0.01, padded = 0.05, duplicate = 0.01, overlap = 0.05}

--- What is looked for in tiles, in the order of the report.
audit.checks = {"silent", "clipped", "padded", "duplicate"}

local WINDOW_S = 5 -- where the table does not say
local MOST_RECORDINGS = 20 -- that are listed, where there are no species
local UNEVEN = 10 -- times as many triplets of one class as of another

-- ---- Tiles, on workers ----

--- Measure the tiles of one recording, on a worker state; it is decoded once.
-- @tparam table item `{path=, channel=, locs={seconds,...}}`
-- @tparam table o `seconds` of a tile, `sample_rate`
-- @treturn[1] table columns, one row a tile: `loc`, `padding` (share), `peak`, `rms` (of what is recorded), `clipped`
-- (share of that), `hash` (i64); and `past`, the number of locations behind the end: they have no row
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function audit.one(item, o)
   local sampling = require "bclua.sampling"
   local length, found = segments.length(o.seconds, o.sample_rate), {}
   local past, duration = segments.read(item.path, item.locs, {seconds = o.seconds, sample_rate = o.sample_rate,
      channel = item.channel}, function(samples, windows)
      for _, w in ipairs(windows) do
         local peak, energy, clipped, hash = sampling.measure(samples:slice(1, w.offset + 1, w.offset + length))
         found[#found + 1] = {loc = item.locs[w.index], peak = peak, energy = energy, clipped = clipped, hash = hash}
      end
      return true
   end)
   if not past then return nil, duration end
   local t = {hash = array.zeros(#found, "i64"), past = #past}
   for _, name in ipairs({"loc", "padding", "peak", "rms", "clipped"}) do t[name] = array.zeros(#found, "f64") end
   local total = duration and math.floor(duration * o.sample_rate + 0.5) or math.huge
   for i, tile in ipairs(found) do
      local first = segments.first(tile.loc, o.seconds, o.sample_rate, total)
      local recorded = math.max(0, math.min(total, first + length) - math.max(0, first))
      t.loc[i], t.padding[i], t.peak[i], t.hash[i] = tile.loc, 1 - recorded / length, tile.peak, tile.hash
      t.rms[i] = recorded > 0 and math.sqrt(tile.energy / recorded) or 0
      t.clipped[i] = recorded > 0 and tile.clipped / recorded or 0
   end
   return t
end

-- Distinct locations by recording, so many recordings at most.
local function read_sources(relation, path, limit, seed)
   local rows, message = segments.of_triplets(relation, path)
   if not rows then return nil, message end
   local chosen, tiles = rows, 0
   for _, row in ipairs(rows) do tiles = tiles + #row.locs end
   if limit > 0 and limit < #rows then
      local order = require("bclua.sampling").generator(seed):shuffle(#rows)
      chosen = {}
      for i = 1, limit do chosen[i] = rows[order[i]] end
      table.sort(chosen, function(a, b) return a.source < b.source end)
   end
   for _, row in ipairs(chosen) do
      if array.is_array(row.locs) then row.locs = row.locs:table() end
   end
   return chosen, #rows, tiles
end

local COLUMNS = {"source", "loc", "padding", "peak", "rms", "clipped", "hash"}

-- Measure all sources into the table `tile` of the database.
local function measure(db, sources, o, options, result)
   local parallel = require "bclua.parallel"
   db:exec("create table tile (source varchar, loc double, padding double, peak double, rms double, " ..
      "clipped double, hash bigint)")
   local bar = progress.new("audit", #sources, {unit = "recordings", quiet = options.quiet})
   local items = {}
   for i, s in ipairs(sources) do items[i] = {path = o.root .. "/" .. s.source, channel = s.channel, locs = s.locs} end
   for i, t, why in parallel.map(items, "bclua.workflow.audit", "one", o) do
      if t then
         result.audited, result.past = result.audited + 1, result.past + t.past
         t.source = {n = #t.loc}
         for k = 1, #t.loc do t.source[k] = sources[i].source end
         if #t.loc > 0 then db:append("tile", t, {order = COLUMNS}) end
         if t.past > 0 then
            table.insert(result.failures, {path = items[i].path, step = "audit",
               reason = ("%s: %s behind its end (changed since `extract`?)"):format(items[i].path,
               display.count(t.past, "window lies", "windows lie"))})
         end
      else
         table.insert(result.failures, {path = items[i].path, step = "audit", reason = why})
      end
      bar:update(i)
   end
   bar:finish(("%s, %d failed, in %s"):format(display.count(result.audited, "recording"), #sources - result.audited,
      progress.duration(bar:elapsed())))
end

-- ---- What the tables say ----

-- Flags of tiles: a duplicate has the sound of another tile, which is not silence.
local FLAGS = [[
   create table flagged as
   with f as (select *, peak < %.9g as silent, clipped >= %.9g as is_clipped, padding > %.9g as padded from tile),
        labels as (select a as source, a_species as species from %s union select b, b_species from %s
                   union select c, c_species from %s),
        twins as (select hash, count(distinct (source, loc)) as n, count(distinct species) as species
                  from f left join labels using (source) where not silent group by hash)
   select f.source, f.loc, f.padding, f.peak, f.rms, f.clipped as clipped_share, f.hash, silent, is_clipped as clipped,
      padded, not silent and n > 1 as duplicate, not silent and n > 1 and t.species > 1 as across
   from f left join twins t using (hash)]]

local function check_tiles(db, relation, result)
   db:exec(FLAGS:format(audit.limits.silent, audit.limits.clipped, audit.limits.padded, relation, relation, relation))
   result.tiles = db:query("select count(*)::bigint n from flagged")[1].n
   local uses = db:query(("select count(*)::bigint n, %s from (select a as source, a_loc as loc from %s union all " ..
      "select b, b_loc from %s union all select c, c_loc from %s) join flagged using (source, loc)"):format(
      "sum(silent::int)::bigint silent, sum(clipped::int)::bigint clipped, sum(padded::int)::bigint padded, " ..
      "sum(duplicate::int)::bigint duplicate", relation, relation, relation))[1]
   for i, name in ipairs(audit.checks) do
      local r = db:query(("select count(*)::bigint n, min(source || ' at ' || (case when loc < 0 then 'whole' else " ..
         "round(loc, 1)::varchar || ' s' end)) example from flagged where %s"):format(name))[1]
      result.checks[i] = {name = name, tiles = r.n, share = result.tiles > 0 and r.n / result.tiles or 0,
         uses = uses.n > 0 and (uses[name] or 0) / uses.n or 0, example = r.example}
   end
   result.across = db:query("select count(distinct hash)::bigint n from flagged where across")[1].n
   local pair = db:query("select list(source || ' at ' || round(loc, 1) || ' s' order by source, loc)[1:2] p " ..
      "from flagged where duplicate group by hash order by bool_or(across) desc, min(source) limit 1")[1]
   if pair then result.checks[4].example = table.concat(pair.p, " and ") end
end

-- Windows of a triplet that share sound: of one recording, and centred nearer than a window.
local OVERLAP = "(%s = %s and abs(%s_loc - %s_loc) < %.9g)"

local function check_table(db, relation, window_s, result)
   local function overlap(p, q) return OVERLAP:format(p, q, p, q, window_s) end
   local r = db:query(([[select count(*)::bigint n, sum((%s or %s or %s)::int)::bigint overlap,
      count(*) filter (a = b)::bigint self,
      avg(1 - abs(a_loc - b_loc) / %.9g) filter (%s) shared from %s]]):format(overlap("a", "b"), overlap("a", "c"),
      overlap("b", "c"), window_s, overlap("a", "b"), relation))[1]
   result.triplets, result.window_s = r.n, window_s
   result.overlap = {triplets = r.overlap, share = r.overlap / r.n, shared = r.shared or 0, self = r.self}
   result.warnings[1], result.overlap.same = triplet_warnings.same(relation)
   result.overlap.same = result.overlap.same or 0
   result.partitions = db:query(("select neighbor, distant, count(*)::bigint n from %s group by all order by all")
      :format(relation))
   result.classes = db:query(([[select coalesce(a_species, a) as class, a_species as species, count(*)::bigint triplets,
      count(distinct a)::bigint recordings,
      count(*) filter (neighbor = 'self')::bigint self, count(*) filter (neighbor <> 'self')::bigint "group",
      count(*) filter (distant = 'motif')::bigint motif, count(*) filter (distant <> 'motif')::bigint clip
      from %s group by 1, 2 order by 3 desc, 1]]):format(relation))
   result.class_is = "recording"
   for _, c in ipairs(result.classes) do
      if c.species then result.class_is = "species" end
   end
end

-- ---- What to do ----

local ADVICE = {
   silent = "nothing can be learnt from them: leave their recordings out, or draw anew with --pick best",
   clipped = "clipping adds harmonics that are no bird's: leave the recordings out, or get them with less gain",
   padded = "most of them is silence beside short recordings: leave out recordings shorter than half a tile, or cut " ..
      "shorter ones (--duration)",
   duplicate = "the same sound under several names or places: remove copies, or they leak from training into " ..
      "evaluation",
}

local WORDS = {silent = "silent", clipped = "clipped", padded = "mostly padding", duplicate = "duplicates"}
--- The checks in words.
audit.words = WORDS

local function percent(x) return ("%.3g %%"):format(100 * x) end

local function set_warnings(result)
   local list = result.warnings
   local function add(...) list[#list + 1] = (...):format(select(2, ...)) end
   for _, c in ipairs(result.checks) do
      if c.tiles > 0 and c.share > audit.accepted[c.name] then
         add("%s: %d of %d tiles (%s), such as %s: %s", WORDS[c.name], c.tiles, result.tiles, percent(c.share),
            c.example, ADVICE[c.name])
      end
   end
   if result.across > 0 then
      add("%s under several species, such as %s: one of the labels is wrong; correct it or remove both",
         display.count(result.across, "sound occurs", "sounds occur"), result.checks[4].example)
   end
   if result.overlap.share > audit.accepted.overlap then
      add("in %d of %d triplets (%s) two windows overlap (on average by %s): the network can match them by their " ..
         "common sound; draw with --self-distance %g", result.overlap.triplets, result.triplets,
         percent(result.overlap.share), percent(result.overlap.shared), result.window_s)
   end
   if result.past > 0 then
      add("windows behind the end of their recording: %d; run `extract`, `consolidate` and `generate-triplets` again",
         result.past)
   end
   local classes = result.classes
   if #classes > 1 and classes[1].triplets > UNEVEN * classes[#classes].triplets then
      add("%s is the anchor's %s in %d triplets, %s in %d: draw with --shares equal or sqrt, or group by %s",
         classes[1].class, result.class_is, classes[1].triplets, classes[#classes].class, classes[#classes].triplets,
         result.class_is)
   end
   if #result.failures > 0 then
      add("%s could not be audited, the first: %s", display.count(#result.failures, "recording"),
         result.failures[1].reason)
   end
end

--- The result as rows for a table: what, tiles, share of tiles, share of their uses in triplets.
-- @tparam table result of `run`
-- @treturn {string,...} heads
-- @treturn {table,...} rows
function audit.rows(result)
   local rows = {}
   for i, c in ipairs(result.checks) do
      rows[i] = {WORDS[c.name], c.tiles, percent(c.share), percent(c.uses)}
   end
   rows[#rows + 1] = {"overlapping within a triplet", "", "", percent(result.overlap.share)}
   return {"tiles that are", "tiles", "share of tiles", "share of uses"}, rows
end

--- One sentence: what was looked at.
function audit.sentence(result)
   local some = result.audited < result.recordings and
      (" (a sample: --limit 0 takes all of the %d)"):format(result.recordings) or ""
   return ("%d triplets of %d distinct tiles; %d tiles of %g s in %d recordings were looked at%s"):format(
      result.triplets, result.distinct_tiles, result.tiles, result.duration, result.audited, some)
end

local function aligned(lines, heads, rows)
   local all, right = {heads}, {}
   for i, row in ipairs(rows) do
      all[i + 1] = {}
      for k, v in ipairs(row) do all[i + 1][k] = tostring(v) end
   end
   for k = 2, #heads do right[k] = true end
   local columns = progress.columns()
   for _, line in ipairs(display.lines(all, right, columns and columns - 2)) do lines[#lines + 1] = "  " .. line end
   lines[#lines + 1] = ""
end

--- The result as text.
function audit.text(result)
   local lines = {audit.sentence(result), ""}
   aligned(lines, audit.rows(result))
   local rows = {}
   for i, p in ipairs(result.partitions) do
      rows[i] = {p.neighbor .. ", " .. p.distant, p.n, percent(p.n / result.triplets)}
   end
   aligned(lines, {"partition", "triplets", "share"}, rows)
   rows = {}
   local shown = result.class_is == "species" and #result.classes or math.min(#result.classes, MOST_RECORDINGS)
   for i = 1, shown do
      local c = result.classes[i]
      rows[i] = {c.class, c.triplets, c.recordings, c.self, c.group, c.motif, c.clip}
   end
   if shown < #result.classes then rows[shown + 1] = {("and %d more"):format(#result.classes - shown)} end
   aligned(lines, {"anchor's " .. result.class_is, "triplets", "recordings", "self", "group", "motif", "clip"}, rows)
   for _, w in ipairs(result.warnings) do lines[#lines + 1] = display.line("warning: " .. w) end
   if #result.warnings == 0 then lines[#lines + 1] = "nothing to warn of" end
   return table.concat(lines, "\n") .. "\n"
end

-- ---- The step ----

local function write(db, path, result)
   local lower = path:lower()
   if lower:find("%.json$") then return files.write_json(path, result) end
   local select = "select source, loc, padding, peak, rms, clipped_share, silent, clipped, padded, duplicate, " ..
      "printf('%016x', hash) as sound from flagged order by source, loc"
   if lower:find("%.csv$") then return db:write_csv(path, select, {guard = true}) end
   return db:write_parquet(path, select, {metadata = provenance.for_parquet({limits = audit.limits,
      duration = result.duration})})
end

local function check_output(path)
   for _, ending in ipairs({"%.json$", "%.csv$", "%.parquet$"}) do
      if not path or path:lower():find(ending) then return true end
   end
   return nil, path .. ": --output must end in .json, .csv or .parquet"
end

--- What `run` takes.
audit.options = {
   input = rules.triplets,
   dataset_root = rules.needed_root,
   limit = {"integer", default = 1000, least = 0, text = "Check only N recordings, drawn by --seed (0: all)."},
   seed = {"integer", default = 1, least = 0, text = "Seed of --limit."},
   duration = rules.duration, loc_unit = legacy.loc_unit,
   output = {"string", text = "All of it as .json, or a row per tile as .csv or .parquet."},
   quiet = "boolean"}

--- Audit a table of triplets.
-- @tparam table options `input` (Parquet), `dataset_root` (the folder in which source names begin), `limit` (1000: so
-- many recordings, drawn by `seed`, 1; 0: all), `duration` (7: seconds of a tile), `loc_unit` (of foreign tables: see
-- `bclua.data.legacy`), `output` (.json: everything; .csv or .parquet: a row a tile), `quiet`
-- @treturn[1] table `triplets`, `recordings`, `audited`, `distinct_tiles`, `tiles` (looked at), `checks`
-- (`{name=, tiles=, share=, uses=, example=}`), `overlap` (`{triplets=, share=, shared=, self=, same=}`), `partitions`,
-- `classes` (by species of the anchor, by recording where it has none: `class_is`), `past`, `warnings`, `failures`
-- @treturn[2] nil
-- @treturn[2] string message
function audit.run(options)
   options = check_options(options, audit.options)
   local sql = require "bclua.sql"
   local ok, message = check_output(options.output)
   if not ok then return nil, message end
   if not files.is_folder(options.dataset_root) then
      return nil, options.dataset_root .. ": no such folder (--dataset-root)"
   end
   local relation
   relation, message = legacy.relation(options.input, options.loc_unit)
   if not relation then return nil, message end
   local sources, recordings, distinct = read_sources(relation, options.input, options.limit, options.seed)
   if not sources then return nil, recordings end
   local made = provenance.of_parquet(options.input) or {}
   local wrong = tables.fault(made, schemas.drawn)
   if wrong then return nil, ("%s: metadata: %s"):format(options.input, wrong) end
   local heard, why = hearing.of_parquet(options.input)
   if not heard then return nil, why end
   local o = {root = options.dataset_root, seconds = options.duration, sample_rate = heard.sample_rate}
   local result = {recordings = recordings, distinct_tiles = distinct, duration = o.seconds, audited = 0, past = 0,
      checks = {}, warnings = {}, failures = {}}
   local db <close> = assert(sql.open())
   measure(db, sources, o, options, result)
   if result.audited == 0 then
      return nil, options.input .. ": " .. account.all_failed(#sources, result.failures)
   end
   check_table(db, relation, made.window_s or WINDOW_S, result)
   check_tiles(db, relation, result)
   set_warnings(result)
   if options.output then
      ok, message = write(db, options.output, result)
      if not ok then return nil, message end
   end
   return result
end

return audit
