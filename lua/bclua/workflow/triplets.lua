--- Step 3: triplets of windows (anchor, neighbour, distant) as a Parquet table.
-- @module bclua.workflow.triplets
local array = require "bclua.array"
local progress = require "bclua.progress"
local record = require "bclua.workflow.record"

local triplets = {}

triplets.defaults = {samples = 500000, seed = 1, holdout = 0.25}

local COLUMNS = {"source_name", "species", "cens_sample_rate", "matrix_profile_window", "duration_seconds",
   "motif_0", "motif_1"}

-- A number that depends on the text alone, well mixed (FNV-1a, then a finaliser).
local function hash(text)
   local h = -3750763034362895579 -- 0xcbf29ce484222325
   for i = 1, #text do h = (h ~ text:byte(i)) * 1099511628211 end
   h = (h ~ (h >> 33)) * -49064778989728563
   return h ~ (h >> 29)
end

--- Which recordings are kept away from training, for evaluation.
-- Of every species the same share, at least two if there are four or more; which
-- ones depends on the names and the seed alone.
-- @tparam {table,...} rows with source_name and species
-- @tparam number share 0..0.5
-- @tparam integer seed
-- @treturn table set of source names
function triplets.holdout(rows, share, seed)
   local by_species, set = {}, {}
   for _, row in ipairs(rows) do
      by_species[row.species] = by_species[row.species] or {}
      table.insert(by_species[row.species], row.source_name)
   end
   if share <= 0 then return set end
   for _, names in pairs(by_species) do
      local keys = {}
      for _, name in ipairs(names) do keys[name] = hash(seed .. "/" .. name) end
      table.sort(names, function(a, b) return keys[a] < keys[b] or (keys[a] == keys[b] and a < b) end)
      local n = math.floor(#names * share + 0.5)
      if n < 2 and #names >= 4 then n = 2 end
      for i = 1, n do set[names[i]] = true end
   end
   return set
end

--- Groups by a taxonomy CSV with the columns SPECIES_CODE and FAMILY.
-- @treturn[1] table species → family
-- @treturn[2] nil
-- @treturn[2] string message
function triplets.families(path)
   local sql = require "bclua.sql"
   local ok, message = sql.require_columns(path, {"SPECIES_CODE", "FAMILY"})
   if not ok then return nil, message end
   local rows
   rows, message = sql.query(("select SPECIES_CODE::varchar s, FAMILY::varchar f from read_csv(%s, header = true)")
      :format(sql.quote(path)))
   if not rows then return nil, message end
   local family = {}
   for _, row in ipairs(rows) do
      if row.s and row.f then family[row.s] = row.f end
   end
   return family
end

-- Numbers for names, in the order of the sorted names.
local function number_names(rows, key)
   local names, ids = {}, {}
   for _, row in ipairs(rows) do
      if not ids[row[key]] then
         ids[row[key]] = 0
         names[#names + 1] = row[key]
      end
   end
   table.sort(names)
   for i, name in ipairs(names) do ids[name] = i end
   return ids
end

local function column(rows, f, dtype)
   local a = array.zeros(#rows, dtype)
   for i, row in ipairs(rows) do a[i] = f(row) end
   return a
end

local function read(options)
   local sql = require "bclua.sql"
   local ok, message = sql.require_columns(options.input, COLUMNS)
   if not ok then return nil, message end
   local rows
   rows, message = sql.query(("select %s from read_parquet(%s) order by source_name"):format(
      table.concat(COLUMNS, ", "), sql.quote(options.input)))
   if not rows then return nil, message end
   if #rows == 0 then return nil, options.input .. ": no recordings" end
   return rows
end

local function set_groups(rows, taxonomy)
   local family = {}
   if taxonomy then
      local read_families, message = triplets.families(taxonomy)
      if not read_families then return nil, message end
      family = read_families
   end
   local unknown = {}
   for _, row in ipairs(rows) do
      row.group = family[row.species] or row.species
      if taxonomy and not family[row.species] then unknown[row.species] = true end
   end
   return unknown
end

local function motif_centre(row, frame)
   if not frame then return -1 end
   return (frame + row.matrix_profile_window / 2) / row.cens_sample_rate
end

local NEIGHBOR, DISTANT = {"self", "group"}, {"motif", "clip"}

local function table_of(rows, t)
   local n = #t.a
   local columns = {a_loc = t.a_loc, b_loc = t.b_loc, c_loc = t.c_loc, neighbor = {n = n}, distant = {n = n}}
   for _, role in ipairs({"a", "b", "c"}) do
      local names, species, index = {n = n}, {n = n}, t[role]
      for i = 1, n do
         local row = rows[index[i]]
         names[i], species[i] = row.source_name, row.species
      end
      columns[role], columns[role .. "_species"] = names, species
   end
   for i = 1, n do
      columns.neighbor[i], columns.distant[i] = NEIGHBOR[t.neighbor[i]], DISTANT[t.distant[i]]
   end
   return columns
end

triplets.columns = {"a", "a_loc", "b", "b_loc", "c", "c_loc", "a_species", "b_species", "c_species",
   "neighbor", "distant"}

--- Draw triplets.
-- @tparam table options `input` (Parquet from `consolidate`), `output` (Parquet),
-- `samples` (500 000), `seed` (1), `taxonomy` (CSV: groups are families; else species),
-- `holdout` (0.25: share of each species that is kept for evaluation), `force`, `quiet`
-- @treturn[1] table `{samples=, recordings=, holdout=, warnings=, partitions=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] boolean true if it is the recordings that allow no triplets
function triplets.run(options)
   local sampling, sql = require "bclua.sampling", require "bclua.sql"
   local p = {samples = options.samples or 500000, seed = options.seed or 1,
      holdout = options.holdout or triplets.defaults.holdout, taxonomy = options.taxonomy and true or false}
   local all, message = read(options)
   if not all then return nil, message end
   local unknown
   unknown, message = set_groups(all, options.taxonomy)
   if not unknown then return nil, message end
   local held = triplets.holdout(all, p.holdout, p.seed)
   local rows, names = {}, {}
   for _, row in ipairs(all) do
      if held[row.source_name] then names[#names + 1] = row.source_name else rows[#rows + 1] = row end
   end
   p.window_s = all[1].matrix_profile_window / all[1].cens_sample_rate
   local ok
   local made = record.of_parquet(options.output)
   if made then made.recordings, made.holdout_recordings, made.groups = nil, nil, nil end
   ok, message = record.check(options.output, made, p, options.force)
   if not ok then return nil, message end

   local groups, species = number_names(rows, "group"), number_names(rows, "species")
   local drawn
   drawn, message = sampling.triplets({
      group = column(rows, function(r) return groups[r.group] end, "i64"),
      species = column(rows, function(r) return species[r.species] end, "i64"),
      motif_0_s = column(rows, function(r) return motif_centre(r, r.motif_0) end, "f64"),
      motif_1_s = column(rows, function(r) return motif_centre(r, r.motif_1) end, "f64"),
      duration_s = column(rows, function(r) return r.duration_seconds end, "f64"),
      window_s = p.window_s,
   }, {samples = p.samples, seed = p.seed})
   if not drawn then return nil, options.input .. ": " .. message, true end

   p.recordings, p.holdout_recordings, p.groups = #all, names, {}
   for _, row in ipairs(all) do p.groups[row.species] = row.group end
   ok, message = sql.write_parquet(options.output, table_of(rows, drawn),
      {order = triplets.columns, metadata = record.for_parquet(p)})
   if not ok then return nil, message end
   local warnings = {}
   for name in pairs(unknown) do
      warnings[#warnings + 1] = ("species '%s' is not in the taxonomy: it is a group of its own"):format(name)
   end
   table.sort(warnings)
   local partitions = sql.query(("select neighbor, distant, count(*)::bigint n from read_parquet(%s) " ..
      "group by all order by all"):format(sql.quote(options.output)))
   for _, w in ipairs(warnings) do progress.note("generate-triplets: " .. w, options.quiet) end
   progress.note(("generate-triplets: %d triplets from %d recordings, %d kept for evaluation"):format(p.samples, #rows,
      #names), options.quiet)
   return {samples = p.samples, recordings = #rows, holdout = names, warnings = warnings, partitions = partitions}
end

return triplets
