--- Which recordings belong together: by species, family, site, hour, any column of a table; or each by itself.
-- @module bclua.workflow.triplets.groups
local count = require("bclua.display").count
local files = require "bclua.files"

local groups = {}

-- Names of the column that says of what a row is, the first one that is there: a recording, else a species.
local RECORDING_KEYS = {"source_name", "filename", "file_name", "file", "path", "recording"}
local SPECIES_KEYS = {"species_code", "species", "primary_label", "ebird_code"}
local NAMED = 5 -- names that a warning tells of many

-- The column of that name, in any case.
local function find(columns, name)
   for _, c in ipairs(columns) do
      if c == name then return c end
   end
   for _, c in ipairs(columns) do
      if c:lower() == name:lower() then return c end
   end
   return nil
end

local function find_first(columns, names)
   for _, name in ipairs(names) do
      local c = find(columns, name)
      if c then return c end
   end
   return nil
end

-- What a recording may be called in a CSV, the fullest name first.
local function names_of(source_name)
   local base = files.basename(source_name)
   return {source_name, source_name:match("^[^/]*/(.+)$") or source_name, base, files.stem(base)}
end

local AS_TEXT = "header = true, all_varchar = true"

-- Values by key.
local function read(path, key, column)
   local sql = require "bclua.sql"
   local rows, message = sql.query(("select %s k, %s v from %s"):format(sql.identifier(key), sql.identifier(column),
      sql.csv(path, AS_TEXT)))
   if not rows then return nil, message end
   local values, twice = {}, nil
   for _, row in ipairs(rows) do
      local k = row.k and row.k:gsub("^%./", "")
      if k and row.v and row.v ~= "" then
         if values[k] and values[k] ~= row.v then twice = twice or k end
         values[k] = values[k] or row.v
      end
   end
   return values, twice
end

-- The columns of a CSV, and the one that says of what its rows are.
local function describe(path)
   local sql = require "bclua.sql"
   local described, message = sql.query("describe from " .. sql.csv(path, AS_TEXT))
   if not described then return nil, message end
   local t = {columns = {}, of = "recording"}
   for i, row in ipairs(described) do t.columns[i] = row.column_name end
   t.has = table.concat(t.columns, ", ")
   t.key = find_first(t.columns, RECORDING_KEYS)
   if not t.key then t.key, t.of = find_first(t.columns, SPECIES_KEYS), "species" end
   return t
end

local function no_key(path, t)
   return ("%s: no column 'SPECIES_CODE' or 'source_name' that says what its rows are of (has: %s)"):format(path, t.has)
end

--- Is this a CSV whose rows are of recordings, or of species?
-- @tparam string path
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function groups.check(path)
   local t, message = describe(path)
   if not t then return nil, message end
   if not t.key then return nil, no_key(path, t) end
   return true
end

--- Values of a column of a CSV, and what they are of.
-- The key is the column `source_name`, `filename`, `file` or `path` (a recording: its source name, that
-- without the first folder, the file's name, or that without extension), else `SPECIES_CODE`, `species`,
-- `primary_label` or `ebird_code`.
-- @tparam string path
-- @tparam string column its name, in any case
-- @treturn[1] table `values` by key, `of` ("recording" or "species"), `key`, `column` (as the file has
-- them), `twice`: a key that the file has with two values (the first counts)
-- @treturn[2] nil
-- @treturn[2] string message
function groups.read(path, column)
   local t, message = describe(path)
   if not t then return nil, message end
   local found = find(t.columns, column)
   if not found then return nil, ("%s: no column '%s' (has: %s)"):format(path, column, t.has) end
   if not t.key then return nil, no_key(path, t) end
   local values, twice = read(path, t.key, found)
   if not values then return nil, twice end
   return {values = values, of = t.of, key = t.key, column = found, twice = twice}
end

local function lookup(t, row)
   if t.of == "species" then return t.values[row.species] end
   for _, name in ipairs(names_of(row.source_name)) do
      if t.values[name] then return t.values[name] end
   end
   return nil
end

--- The first of a list of names: "a, b, c and 7 more".
function groups.names(list)
   if #list <= NAMED then return table.concat(list, ", ") end
   return ("%s and %d more"):format(table.concat(list, ", ", 1, NAMED), #list - NAMED)
end

-- ---- Columns of the table of motifs ----

-- What else can be asked for, out of `recorded_at` (ISO 8601, local time).
local OF_TIME = {hour = "substr(recorded_at, 12, 2)", date = "substr(recorded_at, 1, 10)"}

-- As `groups.read`, of the table from `consolidate`; `hour` and `date` follow from its `recorded_at`.
local function read_table(path, column)
   local sql = require "bclua.sql"
   local described, message = sql.query("describe from " .. sql.parquet(path))
   if not described then return nil, message end
   local columns, words = {}, {}
   for i, row in ipairs(described) do
      columns[i] = row.column_name
      if not row.column_type:find("[", 1, true) then words[#words + 1] = row.column_name end
   end
   local found = find(columns, column)
   local value = found and sql.identifier(found) or find(columns, "recorded_at") and OF_TIME[column:lower()]
   if not value then
      return nil, ("no such column in %s (has: %s)"):format(path, table.concat(words, ", "))
   end
   local rows
   rows, message = sql.query(("select source_name k, nullif((%s)::varchar, '') v from %s"):format(value,
      sql.parquet(path)))
   if not rows then return nil, message end
   local t = {values = {}, of = "recording", column = found or column:lower()}
   for _, row in ipairs(rows) do t.values[row.k] = row.v end
   if not next(t.values) then return nil, ("no recording of %s has one"):format(path) end
   return t
end

-- ---- Groups ----

local function missing_warnings(t, path, unknown, has_species)
   if #unknown == 0 then return {} end
   table.sort(unknown)
   if t.of == "species" then
      local list = {}
      for i, name in ipairs(unknown) do
         list[i] = ("species '%s' is not in %s: it is a group of its own"):format(name, files.basename(path))
      end
      return list
   end
   return {("no '%s' in %s: %s, %s: %s"):format(t.column, files.basename(path), count(#unknown, "recording"),
      has_species and "grouped by species" or "each a group of its own", groups.names(unknown))}
end

local NO_COLUMN = {species = true, recording = true, source_name = true}

-- The column of that name out of the first table that has it, and the table's path; false: none is needed.
local function choose(name, options)
   if NO_COLUMN[name:lower()] then return false end
   local is_family = name:lower() == "family"
   local csv = is_family and options.taxonomy or options.metadata
   local path, t, message, why = csv, nil, nil, nil
   if csv then t, message = groups.read(csv, name) end
   if not t and options.motif then
      t, why = read_table(options.motif, name)
      path = options.motif
   end
   if not t and options.taxonomy and options.taxonomy ~= csv then
      t, path = groups.read(options.taxonomy, name), options.taxonomy
   end
   if t then return t, path end
   return nil, message or ("--group %s: needs a CSV with that column (%s)%s"):format(name, is_family and
      "--taxonomy or --metadata" or "--metadata", why and "; " .. why or "")
end

-- What a row is without a value: of its species, else by itself.
local function own(row) return row.species or row.source_name end

--- Give every row its `group`.
-- @tparam {table,...} rows with source_name and, where it is known, species
-- @tparam table options `group`: "species" (where no row has one, "recording"), "recording", "family", or a column;
-- none or "": family with a `taxonomy`, else species; `metadata`, `taxonomy`: CSV files; `motif`: the table of the
-- rows. Family is looked for in the taxonomy first, other columns in the metadata, then in the table, in which `hour`
-- and `date` follow from `recorded_at`
-- @treturn[1] table `name` of the column, "species" or "recording"; `species`: group by species where every species is
-- in one group; `warnings`
-- @treturn[2] nil
-- @treturn[2] string message
function groups.set(rows, options)
   local name = options.group
   if not name or name == "" then name = options.taxonomy and "family" or "species" end
   local t, path = choose(name, options)
   if t == nil then return nil, path end
   local warnings, has_species = {}, false
   for _, row in ipairs(rows) do has_species = has_species or row.species ~= nil end
   if t and t.of == "species" and not has_species then
      return nil, ("%s: its rows are of species ('%s'), and no recording has one; a column 'filename' says of " ..
         "which recordings they are"):format(path, t.key)
   end
   if t and t.twice then
      warnings[1] = ("%s: '%s' is there twice with different values of '%s'; the first counts"):format(path, t.twice,
         t.column)
   end
   local by_recording = not t and (name:lower() ~= "species" or not has_species)
   local unknown, seen, of_species, mixed = {}, {}, {}, false
   for _, row in ipairs(rows) do
      local value = t and lookup(t, row)
      row.group = value or by_recording and row.source_name or own(row)
      local is = t and (t.of == "species" and row.species or row.source_name)
      if t and not value and not seen[is] then
         seen[is], unknown[#unknown + 1] = true, is
      end
      if row.species then
         mixed = mixed or (of_species[row.species] or row.group) ~= row.group
         of_species[row.species] = row.group
      end
   end
   if t then
      table.move(missing_warnings(t, path, unknown, has_species), 1, #unknown, #warnings + 1, warnings)
   end
   return {name = t and t.column or by_recording and "recording" or "species",
      species = not mixed and of_species or {}, warnings = warnings}
end

return groups
