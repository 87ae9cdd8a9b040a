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
local function write_layout(folder, relation, options)
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
   local rows, message = sql.query("from " .. relation .. " order by file, start_s, label")
   if not rows then return nil, message end
   if options.format == "audacity" then return write_tracks(folder, rows, list) end
   local text = layouts[options.format](rows, {columns = detect.columns, files = list, seconds = seconds,
      sample_rate = options.sample_rate})
   return system.write_file(folder .. "/" .. layouts.files[options.format], text)
end

-- How much of each class there is.
local function count(relation, thresholds)
   local rows, message = sql.query(([[select label, count(*)::bigint as detections, sum(end_s - start_s) as seconds,
      count(distinct file)::bigint as recordings from %s group by label]]):format(relation))
   if not rows then return nil, message end
   local of, list, all = {}, {}, 0
   for _, row in ipairs(rows) do of[row.label] = row end
   for _, t in ipairs(thresholds) do
      local row = of[t.label] or {detections = 0, seconds = 0, recordings = 0}
      if t.threshold then
         list[#list + 1] = {label = t.label, threshold = t.threshold, precision = t.precision, recall = t.recall,
            detections = row.detections, seconds = row.seconds, recordings = row.recordings}
         all = all + row.detections
      end
   end
   return {by_class = list, detections = all}
end

local function write_summary(folder, thresholds)
   local summary, message = detect.summary(folder .. "/scores.parquet", folder .. "/detections.parquet", thresholds)
   if not summary then return nil, message end
   for _, row in ipairs(summary) do
      for _, name in ipairs{"hours", "seconds", "best"} do row[name] = row[name] and ("%.6g"):format(row[name]) end
   end
   return system.write_file(folder .. "/summary.csv", files.csv(SUMMARY, summary))
end

--- Write `summary.csv` and a layout.
-- @tparam string folder with `scores.parquet` and `detections.parquet`
-- @tparam {table,...} thresholds from `detect.find`
-- @tparam table options `format`, `sample_rate`
-- @treturn[1] table `by_class`, `detections`
-- @treturn[2] nil
-- @treturn[2] string message
function exports.write(folder, thresholds, options)
   local relation, message = tables.open(folder .. "/detections.parquet", schemas.detections, detect.columns)
   if not relation then return nil, message end
   local result, ok
   result, message = count(relation, thresholds)
   if not result then return nil, message end
   ok, message = write_summary(folder, thresholds)
   if ok then ok, message = write_layout(folder, relation, options) end
   return ok and result, message
end

return exports
