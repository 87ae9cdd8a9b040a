--- Step 2: one Parquet file out of all recordings' metadata and profiles.
-- @module bclua.workflow.consolidate
local array = require "bclua.array"
local deployments = require "bclua.data.deployments"
local display = require "bclua.display"
local extracted = require "bclua.data.extracted"
local files = require "bclua.files"
local layouts = require "bclua.data.layouts"
local lock = require "bclua.lock"
local manifest = require "bclua.data.manifest"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local recorded = require "bclua.data.recorded"
local sql = require "bclua.sql"
local options_of = require "bclua.options"
local rules = require "bclua.data.rules"

local consolidate = {}

-- Of columns that may hold nothing: no recording has a motif, say.
local TYPES = {motif_0 = "bigint", motif_1 = "bigint", discord_0 = "bigint", discord_1 = "bigint", tuning = "double",
   source_sample_rate = "bigint", species = "varchar", part_file = "varchar", mp = "double[]", pi = "bigint[]",
   recorded_at = "varchar", site = "varchar", latitude = "double", longitude = "double", recorder = "varchar",
   gain = "varchar", temperature_c = "double", battery_v = "double", silence = "double[]", channel = "bigint"}

--- The columns of the file, in their order.
consolidate.columns = {"source_name", "species", "cens_sample_rate", "matrix_profile_window", "sample_rate",
   "duration_cens", "duration_samples", "duration_seconds", "motif_0", "motif_1", "discord_0", "discord_1",
   "tuning", "mp", "pi", "folder", "part_file", "source_sample_rate", "silence", "channel",
   table.unpack(recorded.fields)}

-- Columns that SQL puts beside the others: they are most of it, and never come to Lua where they are in Parquet.
local PROFILE = {"mp", "pi"}
local is_profile = {mp = true, pi = true}

-- The others.
local REST = {}
for _, name in ipairs(consolidate.columns) do
   if not is_profile[name] then REST[#REST + 1] = name end
end

local STAGED = 1 << 26 -- bytes of profiles that are in files of their own, at once

--- What to say of a table in which no recording has a motif, behind its path.
consolidate.no_motif = "no recording has a motif: each is shorter than one and a half windows (a shorter window: " ..
   "--mp-window of `motif extract`, extract.matrix_profile_window of the pipeline)"

local function absolute(path)
   if path:sub(1, 1) ~= "/" then path = require("lfs").currentdir() .. "/" .. path end
   path = (path .. "/"):gsub("/[/.]*/", function(between) return between:find("..", 1, true) and between or "/" end)
   return (path:gsub("(.)/$", "%1"))
end

--- The folder that a Parquet file was consolidated from, in which its column
-- `folder` begins: where it was then, or else one of that name beside the file.
-- @tparam string parquet
-- @treturn[1] string path
-- @treturn[2] nil if the file does not say, or cannot be read
-- @treturn[2] string message, beginning with the path
function consolidate.source(parquet)
   local metadata, message = sql.parquet_metadata(parquet)
   if not metadata then return nil, message end
   local folder = metadata.bclua_folder
   if not folder then return nil, parquet .. ": does not say from which folder it was consolidated" end
   local beside = files.dirname(parquet) .. "/" .. files.basename(folder)
   return not files.is_folder(folder) and files.is_folder(beside) and beside or folder
end

--- What `run` takes.
consolidate.options = {
   input = {"string", needed = true, arg = "DIR", text = "Folder that `extract` wrote."},
   output = {"string", needed = true, text = "Parquet file to write."},
   deployments = options_of.extend(rules.deployments, {text = rules.deployments.text .. " Default: the one that " ..
      "`extract` was given."}),
   force = "boolean", quiet = "boolean"}

-- The deployments that are asked for, else those that `extract` was given.
local function read_deployments(options)
   local kept = options.input .. "/" .. deployments.file
   local path = options.deployments or files.exists(kept) and kept
   if not path then return nil end
   return deployments.read(path)
end

-- The source names that the last `extract` saw, and the layout that it took their folders for; nil where none has
-- said it.
local function read_listing(folder)
   local listing = files.read_json(folder .. "/recordings.json")
   if type(listing) ~= "table" then return nil end
   local there = {}
   for _, name in ipairs(type(listing.names) == "table" and listing.names or listing) do there[name] = true end
   return there, listing.layout
end

-- Species and site are what the folders were taken for last, whatever that was when a recording was done; a site that
-- only the file knows stays.
local function place(m, layout)
   if layout then
      local site
      m.species, site = layouts.of(m.source_name:match("^[^/]*/(.*)$") or m.source_name, layout)
      m.site = site or m.site
   else -- kept by an earlier version
      m.species = m.species or m.source_name:match("([^/]+)/[^/]*$") or "unknown"
   end
end

-- Recordings that shards failed at, or have not come to.
local function missing_of(folder, columns, quiet)
   if not manifest.is_in(folder) then return {} end
   local there = {}
   for _, name in ipairs(columns.source_name) do there[name] = true end
   local missing, message = manifest.missing(folder, there)
   if missing and missing[1] then
      progress.note(("consolidate: missing: %s, the first: %s"):format(display.count(#missing, "recording"),
         missing[1].reason),
         quiet)
   end
   return missing, message
end

-- Profiles for SQL: the parts that have them, and files that are made of those that are no parts.
local Profiles = {}
Profiles.__index = Profiles

local function new_profiles(output)
   return setmetatable({output = output, parts = {}, scratch = files.scratch(), rows = {}, bytes = 0}, Profiles)
end

function Profiles:flush()
   if #self.rows == 0 then return true end
   local path = ("%s.profiles-%d.parquet"):format(self.output, #self.scratch + 1)
   self.scratch[#self.scratch + 1] = path
   local columns = sql.to_columns(self.rows, {"source_name", "mp", "pi"})
   self.rows, self.bytes = {}, 0
   return sql.write_parquet(path, columns, {types = TYPES})
end

-- Of a recording: nil and a message where it cannot be kept.
function Profiles:add(m)
   if m.part_file then
      self.parts[m.part_file] = true
      return true
   end
   self.rows[#self.rows + 1] = {source_name = m.source_name, mp = m.mp, pi = m.pi}
   self.bytes = self.bytes + (m.mp and m.mp:bytes() + m.pi:bytes() or 0)
   return self.bytes < STAGED or self:flush()
end

-- As a relation: `part_file`, `source_name`, `mp`, `pi`.
function Profiles:relation(folder)
   local paths = table.move(self.scratch, 1, #self.scratch, 1, {})
   for name in pairs(self.parts) do paths[#paths + 1] = folder .. "/" .. name end
   return ("(select %s as part_file, source_name, mp::double[] as mp, pi::bigint[] as pi from %s)"):format(
      next(self.parts) and "parse_filename(filename)" or "null::varchar", sql.parquet(paths, "filename = true"))
end

function Profiles:__close() getmetatable(self.scratch).__close(self.scratch) end

-- The recordings of a folder as columns, but for their profiles; failures go to `failures`. Second value: how many are
-- no longer there; third: what is to be said of time and place.
local function read_all(folder, placed, profiles, failures, quiet)
   local there, layout = read_listing(folder)
   local columns, n, gone, warnings, trouble = {}, 0, 0, {}, nil
   for _, name in ipairs(REST) do columns[name] = {} end
   local names = table.move(extracted.keys, 1, #extracted.keys, 1, {})
   if extracted.layout_of(folder) == "files" then table.move(PROFILE, 1, 2, #names + 1, names) end
   local failed, left_out = extracted.each(folder, names, function(m)
      if there and not there[m.source_name] then
         gone = gone + 1
         return
      end
      for key, value in pairs(recorded.of(m.source_name)) do -- extracted before files were asked: its name says it
         if m[key] == nil then m[key] = value end
      end
      place(m, layout)
      local what = deployments.place(m, placed, m.source_name)
      if what then
         warnings[#warnings + 1] = {path = m.source_name, step = "consolidate", what = what,
            seconds = m.duration_seconds}
      end
      n = n + 1
      for _, name in ipairs(REST) do columns[name][n] = m[name] end
      local ok, message = profiles:add(m)
      trouble = trouble or not ok and message
   end, PROFILE)
   if not failed or trouble then return nil, trouble or left_out end
   for _, name in ipairs(REST) do columns[name].n = n end
   left_out = provenance.left_out(left_out, "consolidate", quiet)
   table.move(left_out, 1, #left_out, #failures + 1, failures)
   local missing, message = missing_of(folder, columns, quiet)
   if not missing then return nil, message end
   table.move(missing, 1, #missing, #failed + 1, failed)
   for _, one in ipairs(failed) do
      failures[#failures + 1] = {path = one.path, step = "consolidate", reason = one.reason}
   end
   table.sort(warnings, function(a, b) return a.path < b.path end)
   return columns, gone, warnings
end

-- Recordings and profiles, in order of the names: by SQL, in memory that does not grow with the profiles.
local function write(options, columns, profiles, parameters)
   local metadata, select = provenance.for_parquet(parameters), {}
   metadata.bclua_folder = absolute(options.input)
   local ok, message = profiles:flush()
   if not ok then return nil, message end
   local rest = options.output .. ".recordings.parquet"
   local scratch <close> = files.scratch()
   scratch[1] = rest
   columns.duration_seconds = array.from(columns.duration_seconds, "f64")
   ok, message = sql.write_parquet(rest, columns, {order = REST, types = TYPES})
   if not ok then return nil, message end
   for i, name in ipairs(consolidate.columns) do select[i] = (is_profile[name] and "p." or "r.") .. name end
   return sql.write_parquet(options.output, ("select %s from %s r left join %s p on p.source_name = r.source_name " ..
      "and p.part_file is not distinct from r.part_file order by r.source_name"):format(table.concat(select, ", "),
      sql.parquet(rest), profiles:relation(options.input)), {metadata = metadata})
end

--- Consolidate a folder that `extract` wrote.
-- @tparam table options `input` (folder), `output` (Parquet file), `deployments` (a CSV, see `bclua.data.deployments`;
-- default: the one that `extract` was given, if any), `force`, `quiet`
-- @treturn[1] table `{recordings=, failures=, warnings=, gone=}`; gone: recordings that were extracted and are
-- no longer there, which are left out
-- @treturn[2] nil
-- @treturn[2] string message
function consolidate.run(options)
   options = options_of.check(options, consolidate.options)
   if not files.is_folder(options.input) then return nil, options.input .. ": no such folder" end
   if not extracted.layout_of(options.input) then
      return nil, options.input .. ": no results below it (run `motif extract` first)"
   end
   local locked <close>, busy = lock.file(options.output)
   if not locked then return nil, busy end
   local placed, message = read_deployments(options)
   if message then return nil, message end
   local parameters, ok
   parameters, message = provenance.of_folder(options.input)
   if message then return nil, message end
   parameters = parameters or {}
   parameters.version = nil
   ok, message = provenance.check(options.output, provenance.of_parquet(options.output), parameters, options.force)
   if not ok then return nil, message end

   local failures, profiles <close> = {}, new_profiles(options.output)
   local columns, gone, warnings = read_all(options.input, placed, profiles, failures, options.quiet)
   if not columns then return nil, gone end
   local count = columns.source_name.n
   if count == 0 then
      return nil, failures[1] and failures[1].reason or options.input .. ": its recordings are no longer there"
   end
   ok, message = write(options, columns, profiles, parameters)
   if ok then ok, message = provenance.write_failures(provenance.failures_of(options.output), failures) end
   if ok then ok, message = provenance.write_warnings(options.output .. ".warnings.csv", warnings) end
   if not ok then return nil, message end
   progress.note(("consolidate: %s, %d failed%s%s%s"):format(display.count(count, "recording"), #failures,
      gone > 0 and (", %d no longer there and left out"):format(gone) or "",
      provenance.listed(failures, "failed", provenance.failures_of(options.output)),
      provenance.listed(warnings, "with a warning", options.output .. ".warnings.csv")), options.quiet)
   return {recordings = count, failures = failures, warnings = warnings, gone = gone}
end

return consolidate
