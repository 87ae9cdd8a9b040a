--- Windows to be judged by ear, drawn from all probabilities, and what the verdicts say of thresholds.
--
-- Of each class as many windows are drawn from every band of probability, as far as there are so many: those near a
-- threshold would be few among all. What a verdict stands for is the windows of its band divided by those judged in it
-- (stratified sampling; Cochran 1977), so that precision and recall are those of all windows of these recordings.
-- @module bclua.workflow.classify.review
local answers = require "bclua.workflow.classify.answers"
local array = require "bclua.array"
local classifier = require "bclua.classifier"
local files = require "bclua.files"
local judge = require "bclua.classifier.judge"
local schemas = require "bclua.data.schemas"
local sql = require "bclua.sql"
local system = require "bclua.system"
local tables = require "bclua.data.tables"

local review = {}

--- The bands' lower ends.
review.bands = {0, 0.1, 0.3, 0.5, 0.7, 0.9}

local COLUMNS = {"source_name", "start_s", "end_s", "label", "verdict", "clip", "score", "probability", "band",
   "band_windows"}

-- Windows of all classes with their band, in an order that has nothing to do with what they are.
local DRAW = [[
with windows as (
   select file, start_s, end_s, label, score[k] as score, 1 / (1 + exp(-(slope * score[k] + offset_))) as probability
   from %s, %s where isfinite(score[k])),
banded as (
   select *, list_count(list_filter(%s, x -> x <= probability)) as band from windows),
ranked as (
   select *, row_number() over (partition by label, band order by key, file, start_s) as rank,
      count(*) over (partition by label, band) as band_windows
   from (select *, md5(concat_ws('|', '%d', label, file, start_s)) as key from banded))
select * from ranked where rank <= %d order by label, key, file, start_s]]

-- Of windows that are there in each band, how many are drawn: alike, and what some lack, others give.
local function shares(there, wanted)
   local given, left = {}, wanted
   for band in pairs(there) do given[band] = 0 end
   local moved = true
   while left > 0 and moved do
      moved = false
      for band = #review.bands, 1, -1 do
         if left > 0 and (there[band] or 0) > (given[band] or 0) then
            given[band], left, moved = given[band] + 1, left - 1, true
         end
      end
   end
   return given
end

local function choose(rows, wanted)
   local there, given, list = {}, {}, {}
   for _, row in ipairs(rows) do
      there[row.label] = there[row.label] or {}
      there[row.label][row.band] = row.band_windows
   end
   for label, of in pairs(there) do given[label] = shares(of, wanted) end
   for _, row in ipairs(rows) do
      if row.rank <= given[row.label][row.band] then list[#list + 1] = row end
   end
   return list
end

-- The sound of a window into a file; returns its name, or nil where the recording cannot be read.
local function cut(folder, number, row, sample_rate)
   local audio = require "bclua.audio"
   local y = audio.load(row.file, {sample_rate = sample_rate, start_s = row.start_s, seconds = row.end_s - row.start_s})
   local name = ("review/%04d.flac"):format(number)
   return y and audio.save(folder .. "/" .. name, y, sample_rate) and name or nil
end

local function classes_sql(model)
   local rows = {}
   for k, c in ipairs(model.classes) do
      rows[k] = ("(%d, %s, %.17g::double, %.17g::double)"):format(k, sql.quote(c.name), model.calibration:at(k, 1),
         model.calibration:at(k, 2))
   end
   return "(values " .. table.concat(rows, ", ") .. ") classes(k, label, slope, offset_)"
end

--- Draw windows into `review.csv`, with an empty column `verdict` for `yes`, `no` or `unsure`, and cut their sound into
-- `review/`. A table that is there stays.
-- @tparam string folder of `classify predict`
-- @tparam model model of `bclua.classifier`
-- @tparam table options `windows` (of each class), `seed`
-- @treturn[1] integer how many windows; 0: there was a table
-- @treturn[2] nil
-- @treturn[2] string message
function review.draw(folder, model, options)
   local path = folder .. "/review.csv"
   if files.exists(path) then return 0 end
   local relation, message = tables.open(folder .. "/scores.parquet", schemas.scored_windows,
      {"file", "start_s", "end_s", "score"})
   if not relation then return nil, message end
   local rows
   rows, message = sql.query(DRAW:format(relation, classes_sql(model), "[" .. table.concat(review.bands, ", ") .. "]",
      options.seed, options.windows))
   if not rows then return nil, message end
   local ok
   ok, message = system.mkdir(folder .. "/review")
   if not ok then return nil, message end
   local list = choose(rows, options.windows)
   for i, row in ipairs(list) do
      row.clip, row.source_name = cut(folder, i, row, model.about.sample_rate), answers.name(row.file)
      row.verdict, row.band = "", ("%g"):format(review.bands[row.band])
      row.probability, row.score = ("%.6f"):format(row.probability), ("%.9g"):format(row.score)
   end
   ok, message = system.write_file(path, files.csv(COLUMNS, list))
   return ok and #list, message
end

-- ---- What the verdicts say ----

--- A table of `draw`, checked.
-- @tparam string path
-- @treturn[1] string for `select ... from <relation>`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path: a column is missing or wrong
function review.check(path)
   return tables.open(path, schemas.reviewed, {"source_name", "start_s", "end_s", "label", "verdict", "score",
      "probability", "band", "band_windows"})
end

-- A verdict stands for the windows of its band.
local MEASURES = [=[
with judged as (select label, verdict = 'yes' as yes, probability,
   band_windows / count(*) over (partition by label, band) as weight from %s where verdict in ('yes', 'no'))
select label, t as threshold, count(*)::bigint as judged,
   sum(weight) filter (yes and probability >= t) / sum(weight) filter (probability >= t) as precision,
   sum(weight) filter (yes and probability >= t) / sum(weight) filter (yes) as recall
from judged, (values (0.5), (0.7), (0.9)) thresholds(t) group by label, t order by label, t]=]

--- What the verdicts so far say of precision and recall in these recordings.
-- @tparam string path of a table of `draw`
-- @treturn[1] {table,...} of each class that has verdicts and of probabilities of 0.5, 0.7 and 0.9: `label`,
-- `threshold`, `judged`; `precision`, `recall`, nil where nothing of that kind was judged
-- @treturn[2] nil
-- @treturn[2] string message
function review.measures(path)
   local relation, message = review.check(path)
   if not relation then return nil, message end
   local rows
   rows, message = sql.query(MEASURES:format(relation))
   for _, row in ipairs(rows or {}) do row.label = files.unguard(row.label) end
   return rows, message
end

-- The judged windows of each class.
local function read(path)
   local relation, message = review.check(path)
   if not relation then return nil, message end
   local rows
   rows, message = sql.query("from " .. relation .. " where verdict in ('yes', 'no')")
   if not rows then return nil, message end
   local of = {}
   for _, row in ipairs(rows) do
      row.label = files.unguard(row.label)
      local class = of[row.label] or {judged = {}}
      of[row.label] = class
      class[#class + 1] = row
      class.judged[row.band] = (class.judged[row.band] or 0) + 1
   end
   return of
end

-- Scores, truth and weights of judged windows.
local function arrays(class)
   local n = #class
   local scores, truth, weights = array.zeros(n, "f64"), array.zeros(n, "i64"), array.zeros(n, "f64")
   for i, row in ipairs(class) do
      scores[i], truth[i] = row.score, row.verdict == "yes" and 1 or 0
      weights[i] = row.band_windows / class.judged[row.band]
   end
   return scores, truth, weights
end

-- Probabilities and thresholds of a class by its verdicts; nil where these are all alike.
local function judge_again(model, k, class)
   local scores, truth, weights = arrays(class)
   local yes = truth:sum()
   if yes == 0 or yes == #truth then return nil end
   local slope, offset = judge.calibrate(scores, truth, weights)
   model.calibration:set(k, 1, slope)
   model.calibration:set(k, 2, offset)
   model.points[k]:fill(judge.operating_points(1 / (1 + (-(scores * slope + offset)):exp()), truth, weights))
   return yes
end

--- Write a model whose probabilities and thresholds are those of verdicts.
-- @tparam table options `model`, `review` (a table of `draw` with verdicts), `output`
-- @treturn[1] table `classes`: of each that has verdicts `label`, `judged`, `yes`, and `used`: are there both `yes` and
-- `no`?
-- @treturn[2] nil
-- @treturn[2] string message
function review.update(options)
   local model, message = classifier.load(options.model)
   if not model then return nil, message end
   local of
   of, message = read(options.review)
   if not of then return nil, message end
   local list, used = {}, false
   for k, class in ipairs(model.classes) do
      local own = of[class.name]
      if own then
         local yes = judge_again(model, k, own)
         list[#list + 1] = {label = class.name, judged = #own, used = yes ~= nil,
            yes = yes or own[1].verdict == "yes" and #own or 0}
         class.reviewed, used = {windows = #own, yes = list[#list].yes}, used or yes ~= nil
      end
   end
   if not used then
      return nil, options.review .. ": no class has verdicts of both kinds, yes and no"
   end
   local ok
   ok, message = model:save(options.output)
   return ok and {classes = list, model = model}, message
end

return review
