--- Which recordings belong together: by species, family, or any column of a CSV.
-- @module bclua.workflow.groups
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
   local sql = require "bclua.sql"
   local described, message = sql.query("describe from " .. sql.csv(path, AS_TEXT))
   if not described then return nil, message end
   local columns = {}
   for i, row in ipairs(described) do columns[i] = row.column_name end
   local has = table.concat(columns, ", ")
   local found = find(columns, column)
   if not found then return nil, ("%s: no column '%s' (has: %s)"):format(path, column, has) end
   local key, of = find_first(columns, RECORDING_KEYS), "recording"
   if not key then key, of = find_first(columns, SPECIES_KEYS), "species" end
   if not key then
      return nil, ("%s: no column 'SPECIES_CODE' or 'source_name' that says what its rows are of (has: %s)"):format(
         path, has)
   end
   local values, twice = read(path, key, found)
   if not values then return nil, twice end
   return {values = values, of = of, key = key, column = found, twice = twice}
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

local function missing_warnings(t, path, unknown)
   if #unknown == 0 then return {} end
   table.sort(unknown)
   if t.of == "species" then
      local list = {}
      for i, name in ipairs(unknown) do
         list[i] = ("species '%s' is not in %s: it is a group of its own"):format(name, files.basename(path))
      end
      return list
   end
   return {("%d recordings have no '%s' in %s and are grouped by species: %s"):format(#unknown, t.column,
      files.basename(path), groups.names(unknown))}
end

--- Give every row its `group`.
-- @tparam {table,...} rows with source_name and species
-- @tparam table options `group`: "species", "family", or a column; none or "": family with a `taxonomy`, else species;
-- `metadata`, `taxonomy`: CSV files (family is looked for in the taxonomy first, other columns in the metadata)
-- @treturn[1] table `name` of the column, `species`: group by species where every species is in one group,
-- `warnings`
-- @treturn[2] nil
-- @treturn[2] string message
function groups.set(rows, options)
   local name = options.group
   if not name or name == "" then name = options.taxonomy and "family" or "species" end
   local warnings, t, path = {}, nil, nil
   if name ~= "species" then
      path = name:lower() == "family" and (options.taxonomy or options.metadata) or options.metadata or options.taxonomy
      if not path then
         return nil, ("--group %s: needs a CSV with that column (%s)"):format(name,
            name == "family" and "--taxonomy or --metadata" or "--metadata")
      end
      local message
      t, message = groups.read(path, name)
      if not t then return nil, message end
      if t.twice then
         warnings[1] = ("%s: '%s' is there twice with different values of '%s'; the first counts"):format(path, t.twice,
            t.column)
      end
   end
   local unknown, seen, of_species, mixed = {}, {}, {}, false
   for _, row in ipairs(rows) do
      local value = t and lookup(t, row)
      row.group = value or row.species
      local is = t and (t.of == "species" and row.species or row.source_name)
      if t and not value and not seen[is] then
         seen[is], unknown[#unknown + 1] = true, is
      end
      mixed = mixed or (of_species[row.species] or row.group) ~= row.group
      of_species[row.species] = row.group
   end
   if t then table.move(missing_warnings(t, path, unknown), 1, #unknown, #warnings + 1, warnings) end
   return {name = t and t.column or "species", species = not mixed and of_species or {}, warnings = warnings}
end

return groups
