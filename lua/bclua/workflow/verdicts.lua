--- Motifs that somebody has looked at: `accepted.csv` of a run, which `browse` writes, and
-- `generate-triplets --accepted-only` and `labels --accepted` read.
-- @module bclua.workflow.verdicts
local extracted_metadata = require "bclua.data.extracted_metadata"
local files = require "bclua.files"
local schemas = require "bclua.data.schemas"
local system = require "bclua.system"
local tables = require "bclua.data.tables"

local verdicts = {}

--- The name of the file in a run.
verdicts.file = "accepted.csv"

local COLUMNS = {"source_name", "species", "start_s", "clock_time", "twin_start_s", "seconds", "distance", "verdict"}
local NUMBERS = {"start_s", "twin_start_s", "seconds", "distance"}

--- All verdicts of a file; none where there is no file.
-- @tparam string path
-- @treturn[1] {table,...} `source_name`, `species`, `start_s` and `twin_start_s` (the two windows),
-- `clock_time` (of the first one, or nil), `seconds` (their length), `distance`, `verdict` (`accepted` or
-- `rejected`), in the file's order
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function verdicts.read(path)
   if not files.exists(path) then return {} end
   local asked = table.move(COLUMNS, 1, #COLUMNS, 1, {})
   asked[4] = "clock_time?" -- earlier versions wrote none
   local relation, message = tables.open(path, schemas.accepted, asked)
   if not relation then return nil, message end
   local rows
   rows, message = require("bclua.sql").query("from " .. relation)
   if not rows then return nil, message end
   local list = {}
   for i, row in ipairs(rows) do
      list[i], row.source_name = row, files.unguard(row.source_name)
      row.species = row.species and files.unguard(row.species)
   end
   return list
end

--- Write verdicts, whole or not at all, by source name and time.
-- @treturn[2] nil, message beginning with the path
function verdicts.write(path, rows)
   local sorted = {}
   for i, row in ipairs(rows) do
      sorted[i] = {source_name = row.source_name, species = row.species, verdict = row.verdict,
         clock_time = row.clock_time}
      for _, name in ipairs(NUMBERS) do sorted[i][name] = ("%.9g"):format(row[name]) end
   end
   table.sort(sorted, function(a, b)
      if a.source_name ~= b.source_name then return a.source_name < b.source_name end
      if a.start_s ~= b.start_s then return tonumber(a.start_s) < tonumber(b.start_s) end
      return tonumber(a.twin_start_s) < tonumber(b.twin_start_s)
   end)
   return system.write_file(path, files.csv(COLUMNS, sorted))
end

--- The accepted motifs alone, best first, by source name.
-- @tparam string path
-- @treturn[1] table lists of rows, by source name
-- @treturn[1] integer how many motifs
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function verdicts.by_source(path)
   if not files.exists(path) then
      return nil, path .. ": no such file; accept motifs with `bclua browse RUN`"
   end
   local rows, message = verdicts.read(path)
   if not rows then return nil, message end
   local by_source, n = {}, 0
   for _, row in ipairs(rows) do
      if row.verdict == "accepted" then
         by_source[row.source_name] = by_source[row.source_name] or {}
         table.insert(by_source[row.source_name], row)
         n = n + 1
      end
   end
   for _, list in pairs(by_source) do
      table.sort(list, function(a, b)
         if a.distance ~= b.distance then return a.distance < b.distance end
         return a.start_s < b.start_s
      end)
   end
   return by_source, n
end

--- Of rows of recordings those with an accepted motif; it, of several the best, becomes their motif.
-- @tparam {table,...} rows `source_name`, `cens_sample_rate`, `matrix_profile_window`, `motif_0`, `motif_1`
-- @tparam string path
-- @treturn[1] {table,...}
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function verdicts.choose(rows, path)
   local by_source, message = verdicts.by_source(path)
   if not by_source then return nil, message end
   local chosen = {}
   for _, row in ipairs(rows) do
      local best = by_source[row.source_name] and by_source[row.source_name][1]
      if best then
         local rate = row.cens_sample_rate
         if math.abs(best.seconds * rate - row.matrix_profile_window) > 0.5 then
            return nil, ("%s: %s: a motif of %g s, but the windows are of %g s now; look at them again"):format(path,
               row.source_name, best.seconds, row.matrix_profile_window / rate)
         end
         row.motif_0 = math.floor(best.start_s * rate + 0.5)
         row.motif_1 = math.floor(best.twin_start_s * rate + 0.5)
         chosen[#chosen + 1] = row
      end
   end
   if #chosen == 0 then return nil, path .. ": no motif of these recordings is accepted" end
   return chosen
end

--- The accepted motifs as `labels.read` has them: for `labels`.
-- @tparam table options `accepted` (path), `input` (Parquet from `consolidate`), `species`
-- @treturn[1] {table,...}
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function verdicts.marks(options)
   local by_source, message = verdicts.by_source(options.accepted)
   if not by_source then return nil, message end
   local relation, rows
   relation, message = tables.open(options.input, schemas.motif, {"source_name", "species", "duration_seconds",
      "sample_rate", "folder?", "source_sample_rate?", "recorded_at?", "channel?"})
   if not relation then return nil, message end
   rows, message = require("bclua.sql").query(("from %s order by source_name"):format(relation))
   if not rows then return nil, message end
   local list = {}
   for _, row in ipairs(rows) do
      local motifs = by_source[row.source_name] or {}
      if not options.species or options.species == row.species then -- without motifs, too: a sequence of files has all
         local marks = {}
         for rank, m in ipairs(motifs) do
            for part, start_s in pairs({a = m.start_s, b = m.twin_start_s}) do
               marks[#marks + 1] = {kind = "motif", rank = rank, part = part, start_s = start_s,
                  end_s = math.min(row.duration_seconds, start_s + m.seconds), distance = m.distance}
            end
         end
         table.sort(marks, function(a, b)
            if a.rank ~= b.rank then return a.rank < b.rank end
            return a.part < b.part
         end)
         list[#list + 1] = {source = row.source_name, species = row.species, duration_s = row.duration_seconds,
            recorded_at = row.recorded_at, channel = row.channel,
            folder = extracted_metadata.folder_of(row), sample_rate = row.sample_rate,
            nyquist = math.min(row.sample_rate, row.source_sample_rate or row.sample_rate) / 2,
            window_s = motifs[1] and motifs[1].seconds, marks = marks}
      end
   end
   return list
end

return verdicts
