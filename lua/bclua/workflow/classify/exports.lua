--- Detections for people and other programs: files beside `detections.parquet`.
-- @module bclua.workflow.classify.exports
local detect = require "bclua.detect"
local files = require "bclua.files"
local layouts = require "bclua.detect.layouts"
local schemas = require "bclua.data.schemas"
local sql = require "bclua.sql"
local system = require "bclua.system"
local tables = require "bclua.data.tables"

local exports = {}

--- Layouts that are written.
exports.formats = {"csv", "raven", "audacity", "birdnet", "kaleidoscope"}

local SUMMARY = {"day", "site", "label", "recordings", "hours", "detections", "seconds", "with_detections", "best"}

-- All recordings in order, and the seconds of each.
local function recordings_of(folder)
   local rows, message = sql.query(("select file, max(end_s) as seconds from %s group by file order by file"):format(
      sql.parquet(folder .. "/scores.parquet")))
   if not rows then return nil, message end
   local list, seconds = {}, {}
   for i, row in ipairs(rows) do list[i], seconds[row.file] = row.file, row.seconds end
   return list, seconds
end

-- A path below the folder, whatever the recording's path is.
local function track_path(folder, file)
   local inside = file:gsub("^/+", ""):gsub("%f[^/\0]%.%.%f[/\0]", "__")
   return files.fit(folder .. "/audacity/" .. inside, ".txt")
end

-- A track for each recording, also an empty one, so that none is left of other thresholds.
local function write_tracks(folder, rows, list)
   local tracks = layouts.audacity(rows)
   for _, file in ipairs(list) do
      local path = track_path(folder, file)
      local ok, message = system.mkdir(files.dirname(path))
      if ok then ok, message = system.write_file(path, tracks[file] or "") end
      if not ok then return nil, message end
   end
   return true
end

-- The layout that is asked for; those that are not, and would be of other thresholds, go.
local function write_layout(folder, rows, options)
   for format, name in pairs(layouts.files) do
      if format ~= options.format then os.remove(folder .. "/" .. name) end
   end
   if options.format ~= "audacity" then
      local ok, message = files.remove(folder .. "/audacity")
      if not ok then return nil, message end
   end
   if not options.format then return true end
   local list, seconds = recordings_of(folder)
   if not list then return nil, seconds end
   if options.format == "audacity" then return write_tracks(folder, rows, list) end
   local text = layouts[options.format](rows, {columns = detect.columns, files = list, seconds = seconds,
      sample_rate = options.sample_rate})
   return system.write_file(folder .. "/" .. layouts.files[options.format], text)
end

-- How much of each class there is.
local function count(rows, thresholds)
   local of, list, seen = {}, {}, {}
   for _, t in ipairs(thresholds) do
      if t.threshold then
         list[#list + 1] = {label = t.label, threshold = t.threshold, precision = t.precision, recall = t.recall,
            detections = 0, seconds = 0, recordings = 0}
         of[t.label], seen[t.label] = list[#list], {}
      end
   end
   for _, d in ipairs(rows) do
      local c = of[d.label]
      c.detections, c.seconds = c.detections + 1, c.seconds + d.end_s - d.start_s
      if not seen[d.label][d.file] then seen[d.label][d.file], c.recordings = true, c.recordings + 1 end
   end
   return list
end

--- Write `summary.csv` and a layout.
-- @tparam string folder with `scores.parquet` and `detections.parquet`
-- @tparam {table,...} thresholds from `detect.find`
-- @tparam table options `format`, `sample_rate`
-- @treturn[1] table `by_class`, `detections`
-- @treturn[2] nil
-- @treturn[2] string message
function exports.write(folder, thresholds, options)
   local scores, detections = folder .. "/scores.parquet", folder .. "/detections.parquet"
   local relation, message = tables.open(detections, schemas.detections, detect.columns)
   if not relation then return nil, message end
   local rows, summary, ok
   rows, message = sql.query("from " .. relation .. " order by file, start_s, label")
   if not rows then return nil, message end
   summary, message = detect.summary(scores, detections, thresholds)
   if not summary then return nil, message end
   for _, row in ipairs(summary) do
      for _, name in ipairs{"hours", "seconds", "best"} do row[name] = row[name] and ("%.6g"):format(row[name]) end
   end
   ok, message = system.write_file(folder .. "/summary.csv", files.csv(SUMMARY, summary))
   if ok then ok, message = write_layout(folder, rows, options) end
   if not ok then return nil, message end
   return {by_class = count(rows, thresholds), detections = #rows}
end

return exports
