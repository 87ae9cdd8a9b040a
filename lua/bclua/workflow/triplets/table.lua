--- The table of triplets: recordings and windows as the sampler takes them, what it draws as Parquet.
-- @module bclua.workflow.triplets.table
local array = require "bclua.array"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"

local triplet_table = {}

local CHUNK = 1 << 17 -- triplets drawn at once
local PART = 1 << 19 -- triplets in memory at once; more go through files beside the output

--- Numbers for names, from 1, in the order of the sorted names.
-- @tparam {string,...} list some may be the same
-- @treturn table number by name
function triplet_table.number_names(list)
   local names, ids = {}, {}
   for _, name in ipairs(list) do
      if not ids[name] then
         ids[name] = 0
         names[#names + 1] = name
      end
   end
   table.sort(names)
   for i, name in ipairs(names) do ids[name] = i end
   return ids
end

-- The same of a field of rows; what has none is of one name.
local function number_field(rows, key)
   local list = {}
   for i, row in ipairs(rows) do list[i] = row[key] or "" end
   return triplet_table.number_names(list)
end

local function column(rows, f, dtype)
   local a = array.zeros(#rows, dtype)
   for i, row in ipairs(rows) do a[i] = f(row) end
   return a
end

-- Lists of all rows as one, and where each row's ends.
local function joined(rows, key)
   local all, ends = {}, array.zeros(#rows, "i64")
   for i, row in ipairs(rows) do
      local list = row[key] or {}
      for k = 1, #list do all[#all + 1] = list[k] end
      ends[i] = #all
   end
   return array.from(all, "f64"), ends
end

--- What rows are to the sampler: columns for `bclua.sampling.triplets`.
-- @tparam {table,...} rows with `group`, and the windows that `bclua.workflow.triplets.windows` gives them
-- @tparam number window_s
-- @tparam ?boolean is_labelled may a recording have several rows?
-- @treturn table
function triplet_table.columns_for(rows, window_s, is_labelled)
   local group, species = number_field(rows, "group"), number_field(rows, "species")
   local function seconds(key) return column(rows, function(r) return r[key] or -1 end, "f64") end
   local anchor_s = seconds("anchor_s")
   local columns = {
      group = column(rows, function(r) return group[r.group] end, "i64"),
      species = column(rows, function(r) return species[r.species or ""] end, "i64"),
      anchor_s = anchor_s, self_s = seconds("self_s"), neighbor_s = seconds("neighbor_s"), distant_s = anchor_s,
      avoid_0_s = anchor_s, avoid_1_s = seconds("twin_s"), duration_s = seconds("duration_seconds"),
      window_s = window_s,
   }
   if rows[1] and rows[1].places then columns.places_s, columns.places_end = joined(rows, "places") end
   if is_labelled then
      local source = number_field(rows, "source_name")
      columns.source = column(rows, function(r) return source[r.source_name] end, "i64")
   end
   local silent_s, silent_end = joined(rows, "silence")
   if #silent_s > 0 then columns.silent_s, columns.silent_end = silent_s, silent_end end
   return columns
end

-- ---- The table ----

-- Texts become codes of DuckDB enums, for which Parquet's dictionaries need no hashing; and joins
-- that may not change sides keep the order of the triplets.
local PREPARE = [[
   set threads = 1;
   set disabled_optimizers = 'join_order,build_side_probe_side';
   create type source_name as enum (select source_name from texts group by source_name order by min(i));
   create type species as enum (select distinct species from texts where species is not null order by species);
   create type of_group as enum (select distinct "group" from texts where "group" is not null order by "group");
   create table names as select i, source_name::source_name as source_name, species::species as species, channel,
      "group"::of_group as "group" from texts;
   create type neighbor as enum ('self', 'group');
   create type distant as enum ('motif', 'clip');
   create table drawn (a int, b int, c int, a_loc double, b_loc double, c_loc double, neighbor utinyint,
      distant utinyint)]]

local DRAWN = {"a", "b", "c", "a_loc", "b_loc", "c_loc", "neighbor", "distant"}

local SELECT = [[
   select a.source_name as a, a_loc, b.source_name as b, b_loc, c.source_name as c, c_loc,
      a.species as a_species, b.species as b_species, c.species as c_species,
      (case neighbor when 1 then 'self' else 'group' end)::neighbor as neighbor,
      (case distant when 1 then 'motif' else 'clip' end)::distant as distant%s
   from %s as t left join names as a on a.i = t.a left join names as b on b.i = t.b left join names as c on c.i = t.c]]

-- Columns that are there where they say something: not everything that is heard, another group than the species.
local CHANNELS = ", a.channel as a_channel, b.channel as b_channel, c.channel as c_channel"
local GROUPS = ', a."group" as a_group, b."group" as b_group, c."group" as c_group'

local function part_name(path, i) return ("%s.part%d"):format(path, i) end

-- Draw all triplets into the database's table `drawn`, or, when they are many, into
-- files beside the output. Returns SQL for where they are.
local function draw(db, path, columns, p, options, parts)
   local core, sampling, sql = require "bclua.sql.core", require "bclua.sampling", require "bclua.sql"
   local bar = progress.new("generate-triplets", p.samples, {unit = "triplets", quiet = options.quiet})
   local many = p.samples > PART
   for first = 0, p.samples - 1, CHUNK do
      local n = math.min(CHUNK, p.samples - first)
      local t, message = sampling.triplets(columns, {samples = n, first = first, seed = p.seed, shares = p.shares,
         mixture = p.mixture, exclude_own = p.exclude_own, self_distance_s = p.self_distance,
         clip_distance_s = p.clip_distance, clips = p.clips})
      if not t then return nil, message, true end
      core.fill(db, "drawn", t, DRAWN) -- into the table itself: `append` is all or none, at the price of a copy
      if many and ((first + n) % PART == 0 or first + n == p.samples) then
         local part = part_name(path, #parts + 1)
         parts[#parts + 1] = part
         local ok
         ok, message = db:write_parquet(part, "select * from drawn", {compression = "lz4"})
         if not ok then return nil, message end
         db:exec("truncate drawn")
      end
      bar:update(first + n)
      collectgarbage() -- a chunk is large, but not for Lua's collector to see
   end
   if not many then return "drawn" end
   return sql.parquet(parts)
end

-- Draw and write; `parts` are files that are to be removed whatever happens.
local function write(path, rows, columns, p, options, parts)
   local sql = require "bclua.sql"
   local old = 1 -- what a run that was killed has left
   while os.remove(part_name(path, old)) do old = old + 1 end
   local db <close> = assert(sql.open())
   local names = {i = column(rows, function(r) return r.i end, "i32"), source_name = {}, species = {n = #rows},
      channel = {n = #rows}, group = {n = #rows}}
   local channels, groups = "", ""
   for i, row in ipairs(rows) do
      names.source_name[i], names.species[i], names.channel[i] = row.source_name, row.species, row.channel
      names.group[i] = row.group
      if row.channel then channels = CHANNELS end
      if row.group ~= row.species then groups = GROUPS end
   end
   db:exec('create table texts (i int, source_name varchar, species varchar, channel int, "group" varchar)')
   db:append("texts", names)
   db:exec(PREPARE)
   local from, message, no_triplets = draw(db, path, columns, p, options, parts)
   if not from then return nil, message, no_triplets end
   return db:write_parquet(path, SELECT:format(channels .. groups, from),
      {metadata = provenance.for_parquet(p.metadata)})
end

--- Draw triplets and write their table; many go through files beside it, of which none is left behind.
-- @tparam {table,...} rows as for `columns_for`, and `source_name`, `species`, `channel`
-- @tparam table p parameters of the draw, `window_s`, `labels`, `metadata`
-- @tparam table options `output`, `quiet`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] ?boolean true if it is the recordings that allow no triplets
function triplet_table.write(rows, p, options)
   local parts = {}
   for i, row in ipairs(rows) do row.i = i end
   local function finish(done, ...)
      for _, part in ipairs(parts) do os.remove(part) end
      if not done then error(..., 0) end
      return ...
   end
   return finish(pcall(write, options.output, rows, triplet_table.columns_for(rows, p.window_s, p.labels), p, options,
      parts))
end

return triplet_table
