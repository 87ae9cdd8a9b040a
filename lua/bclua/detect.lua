--- Detections: where a classifier hears its classes, out of the scores of the windows of recordings.
-- @module bclua.detect
-- @usage
-- local model = assert(classifier.load("calls.safetensors"))
-- local found = assert(detect.find("scores.parquet", model, {precision = 0.9}))
-- print(found.rows[1].file, found.rows[1].start_s, found.rows[1].label, found.rows[1].probability)
local schemas = require "bclua.data.schemas"
local sql = require "bclua.sql"
local tables = require "bclua.data.tables"
local check_options = require("bclua.options").check

local detect = {}

--- The columns of detections.
detect.columns = {"file", "start_s", "end_s", "clock_time", "site", "label", "score", "probability", "windows"}

local SCORES = {"file", "start_s", "end_s", "clock_time?", "site?", "score"}

local EDGE_S = 1e-6 -- windows that touch go on

--- What chooses thresholds.
detect.options = {
   threshold = {"number", least = 0, most = 1, arg = "P",
      text = "Call all classes from this probability up (without --precision: 0.5)."},
   precision = {"number", above = 0, most = 1, arg = "P", text = "Call each class from the probability at which " ..
      "this share of its windows, on recordings held back in training, was right."}}

--- From which probability on each class is called.
-- @tparam model model of `bclua.classifier`
-- @tparam table options `threshold` (the same for all; 0.5 without either), or `precision`: the least probability at
-- which a class had it, on recordings held back
-- @treturn[1] {table,...} of each class `label`, `threshold`, and `precision` and `recall` where the model's table was
-- asked; `threshold` is nil where no probability is so precise, `best` then the best precision
-- @treturn[2] nil
-- @treturn[2] string message
function detect.thresholds(model, options)
   local o = check_options(options, detect.options)
   if o.threshold and o.precision then return nil, "either a threshold or a precision (--threshold, --precision)" end
   local list, reached = {}, not o.precision
   for k, class in ipairs(model.classes) do
      local t = {label = class.name, threshold = o.threshold or 0.5}
      if o.precision then
         t.threshold, t.precision, t.recall = model:threshold(k, o.precision)
         if not t.threshold then t.best, t.precision = t.precision, nil end
         reached = reached or t.threshold ~= nil
      end
      list[k] = t
   end
   if not reached then
      local words = {}
      for i, t in ipairs(list) do words[i] = ("%s %.2f"):format(t.label, t.best) end
      return nil, ("no class was called with a precision of %g (at best: %s)"):format(o.precision,
         table.concat(words, ", "))
   end
   return list
end

-- The classes as rows of SQL: number, name, slope and offset of the probability, threshold.
local function classes_sql(model, thresholds)
   local rows = {}
   for k, t in ipairs(thresholds) do
      if t.threshold then
         rows[#rows + 1] = ("(%d, %s, %.17g::double, %.17g::double, %.17g::double)"):format(k, sql.quote(t.label),
            model.calibration:at(k, 1), model.calibration:at(k, 2), t.threshold)
      end
   end
   return "(values " .. table.concat(rows, ", ") .. ") classes(k, label, slope, offset_, threshold)"
end

-- Windows that are called; those that go on where the one before of the same class ended, as one.
local FIND = [[
with called as (
   select file, start_s, end_s, clock_time, site, label, threshold, score[k] as score,
      1 / (1 + exp(-(slope * score[k] + offset_))) as probability
   from %s, %s where not isnan(score[k]) and isfinite(score[k])),
began as (
   select *, coalesce(start_s > max(end_s) over (partition by file, label order by start_s
      rows between unbounded preceding and 1 preceding) + %g, true)::integer as begins
   from called where probability >= threshold),
numbered as (
   select *, sum(begins) over (partition by file, label order by start_s rows unbounded preceding) as number from began)
select file, min(start_s) as start_s, max(end_s) as end_s, arg_min(clock_time, start_s) as clock_time,
   any_value(site) as site, label, max(score)::double as score, max(probability) as probability,
   count(*)::bigint as windows
from numbered group by file, label, number order by file, start_s, label]]

local SUMMARY = [[
with heard as (
   select coalesce(left(clock_time, 10), '') as day, coalesce(site, '') as site, file,
      least(end_s, coalesce(lead(start_s) over (partition by file order by start_s), end_s)) - start_s as seconds
   from %s),
days as (select day, site, sum(seconds) / 3600 as hours, count(distinct file)::bigint as recordings
   from heard group by 1, 2),
found as (select coalesce(left(clock_time, 10), '') as day, coalesce(site, '') as site, label,
   count(*)::bigint as detections, sum(end_s - start_s) as seconds, count(distinct file)::bigint as with_detections,
   max(probability) as best from %s group by 1, 2, 3)
select days.day, days.site, classes.label, recordings, hours, coalesce(detections, 0)::bigint as detections,
   coalesce(seconds, 0.0) as seconds, coalesce(with_detections, 0)::bigint as with_detections, best
from days cross join %s left join found using (day, site, label) order by days.day, days.site, classes.label]]

--- The detections in a table of scores: windows in which the probability of a class reaches its threshold, those that
-- overlap or touch as one. Its `score` and `probability` are those of its best window.
-- @tparam string scores Parquet of `classify predict`
-- @tparam model model of `bclua.classifier`
-- @tparam table options as for `thresholds`, and `output`: Parquet to write, instead of returning rows; `metadata` of
-- it
-- @treturn[1] table `thresholds`, and `rows`: of each detection `file`, `start_s`, `end_s`, `clock_time`, `site`,
-- `label`, `score`, `probability`, `windows`, by file and time
-- @treturn[2] nil
-- @treturn[2] string message
function detect.find(scores, model, options)
   local o = check_options(options, {threshold = detect.options.threshold, precision = detect.options.precision,
      output = "string", metadata = "table"})
   local thresholds, message = detect.thresholds(model, {threshold = o.threshold, precision = o.precision})
   if not thresholds then return nil, message end
   local relation
   relation, message = tables.open(scores, schemas.scored_windows, SCORES)
   if not relation then return nil, message end
   local query, result = FIND:format(relation, classes_sql(model, thresholds), EDGE_S), {thresholds = thresholds}
   if o.output then
      local ok
      ok, message = sql.write_parquet(o.output, query, {metadata = o.metadata})
      return ok and result, message
   end
   result.rows, message = sql.query(query)
   return result.rows and result, message
end

--- How much of each class was found on each day at each site, also where that is nothing.
-- @tparam string scores Parquet of `classify predict`
-- @tparam string detections Parquet of `find`
-- @tparam {table,...} thresholds from `find`
-- @treturn[1] {table,...} `day`, `site` (empty where not known), `label`, `recordings`, `hours` (of sound),
-- `detections`, `seconds` (of them), `with_detections` (recordings that have any), `best` (probability; nil where there
-- is none)
-- @treturn[2] nil
-- @treturn[2] string message
function detect.summary(scores, detections, thresholds)
   local relation, message = tables.open(scores, schemas.scored_windows, SCORES)
   if not relation then return nil, message end
   local labels = {}
   for _, t in ipairs(thresholds) do
      if t.threshold then labels[#labels + 1] = ("(%s)"):format(sql.quote(t.label)) end
   end
   return sql.query(SUMMARY:format(relation, sql.parquet(detections),
      #labels > 0 and "(values " .. table.concat(labels, ", ") .. ") classes(label)" or
      "(select '' as label where false) classes"))
end

return detect
