--- Classifiers of windows: for each class, by itself, how probable is it that a window is of it?
--
-- Logistic regressions on embeddings, one a class, so that a window may be of several classes or of none. How strongly
-- weights are held back, and which features are used, cross-validation over recordings (or sites) decides. The same
-- held-back scores give the measures of each class, its probabilities and its thresholds: they say how the classifier
-- does on recordings like those of the labels.
-- @module bclua.classifier
-- @usage
-- local model = assert(classifier.train{x = x, classes = {"crake"}, truth = truth, groups = recordings})
-- print(model:text())
-- local p = model:probabilities(model:scores(other_x))
local array = require "bclua.array"
local display = require "bclua.display"
local distances = require "bclua.evaluate.distances"
local evaluate = require "bclua.evaluate"
local folds = require "bclua.classifier.folds"
local json = require "bclua.json"
local judge = require "bclua.classifier.judge"
local learn = require "bclua.learn"
local safetensors = require "bclua.format.safetensors"
local sql = require "bclua.sql"
local tables = require "bclua.data.tables"
local check_options = require("bclua.options").check

local classifier = {}

local Model = {}
Model.__index = Model

--- The strengths that cross-validation tries: the weight of the data against that of small weights.
classifier.strengths = {1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1, 3, 10, 30}

--- The probability from which on a window counts as called in the measures of precision and recall.
classifier.threshold = 0.5

--- What `train` takes beside the set.
classifier.options = {
   c = {"number", above = 0, most = 1e6,
      text = "Inverse strength of regularisation (default: chosen by cross-validation)."},
   folds = {"integer", default = 5, least = 2, most = 100, text = "Folds of cross-validation."},
   balance = {"choice", {"equal", "none"}, default = "equal",
      text = "equal: windows that are of a class weigh as much as all others; none."},
   seed = {"integer", default = 1, least = 0, text = "Seed of folds and samples."},
   samples = {"integer", default = 1000, least = 10, most = 100000,
      text = "Bootstrap samples of recordings, for the intervals."}}

-- ---- The set ----

local function check_features(features, rows)
   for i, f in ipairs(features) do
      if not array.is_array(f.x) or f.x:ndim() ~= 2 or f.x:shape(1) ~= rows then
         error(("features %d: an array of %d rows expected"):format(i, rows), 4)
      end
      if not f.x:is_finite() then return nil, ("%s: NaN or infinite values"):format(f.name) end
   end
   return true
end

-- Truth without NaN (classes, rows), and 1 where it is known.
local function split_known(truth)
   local known = array.zeros({truth:shape(1), truth:shape(2)}, "f64")
   local filled = truth:copy("f64")
   for k = 1, truth:shape(1) do
      local from, to, mark = truth[k], filled[k], known[k]
      for i = 1, truth:shape(2) do
         local t = from[i]
         if t == t then mark[i] = 1 else to[i] = 0 end
      end
   end
   return filled, known
end

-- Windows and recordings that are of a class, and recordings that are not.
local function count(truth, known, groups)
   local own, others, c = {}, {}, {windows = 0, recordings = 0, others = 0}
   for i = 1, #groups do
      if known[i] == 1 then
         local seen, g = truth[i] == 1 and own or others, groups[i]
         if truth[i] == 1 then c.windows = c.windows + 1 end
         if not seen[g] then
            seen[g] = true
            local key = truth[i] == 1 and "recordings" or "others"
            c[key] = c[key] + 1
         end
      end
   end
   return c
end

local function why_not(c, unit)
   if c.windows == 0 then return "no window is of it" end
   if c.recordings < 2 then return "all its windows are of one " .. unit end
   if c.others == 0 then return "no window is known not to be of it" end
   if c.others < 2 then return ("all windows that are not of it are of one %s"):format(unit) end
   return nil
end

-- Which classes can be learnt: numbers of their rows, what is known of them, and why the others cannot.
local function choose(set, truth, known, groups)
   local rows, classes, dropped = {}, {}, {}
   for k, name in ipairs(set.classes) do
      local c = count(truth[k], known[k], groups)
      local reason = why_not(c, set.unit or "recording")
      if reason then
         dropped[#dropped + 1] = {name = name, reason = reason}
      else
         rows[#rows + 1], classes[#classes + 1] = k, {name = name, windows = c.windows, recordings = c.recordings}
      end
   end
   return rows, classes, dropped
end

-- ---- Cross-validation ----

-- How much each row counts for each class (classes, rows): where it is known, and where classes are balanced, half of
-- all for rows that are of the class.
local function weights_of(truth, known, balance)
   if balance == "none" then return known end
   local own = known * truth
   local other = known - own
   local k = known:shape(1)
   local sums, of, rest = known:sum(2), own:sum(2), other:sum(2)
   local a, b = array.zeros({k, 1}, "f64"), array.zeros({k, 1}, "f64")
   for i = 1, k do
      if of[i] > 0 and rest[i] > 0 then a:set(i, 1, sums[i] / 2 / of[i]); b:set(i, 1, sums[i] / 2 / rest[i]) end
   end
   return own * a + other * b
end

-- The part of a fold in training: 1 for rows whose group is in another one.
local function training_rows(groups, fold_of, fold)
   local mask = array.zeros(#groups, "f64")
   for i = 1, #groups do
      if fold_of[groups[i]] ~= fold then mask[i] = 1 end
   end
   return mask
end

-- Scores of rows whose groups did not train (classes, rows), for each strength.
local function held_back(x, truth, known, groups, o)
   local fold_of, n = folds.assign(truth, groups, o.groups, o.folds, o.seed)
   local scores = {}
   for i = 1, #o.strengths do scores[i] = array.zeros({truth:shape(1), truth:shape(2)}, "f64") end
   for fold = 1, n do
      local mask = training_rows(groups, fold_of, fold)
      local weights, w = weights_of(truth, known * mask, o.balance), nil
      for i, c in ipairs(o.strengths) do
         w = learn.binary_fit(x, truth, weights, {c = c, from = w})
         scores[i] = scores[i] + learn.binary_scores(w, x):T() * (1 - mask)
      end
   end
   return scores, n
end

-- Scores, truth (integers) and groups of the rows of which it is known whether they are of a class.
local function known_rows(k, scores, truth, known, groups)
   local rows = {}
   for i = 1, #groups do
      if known:at(k, i) == 1 then rows[#rows + 1] = i end
   end
   local s, t, g = array.zeros(#rows, "f64"), array.zeros(#rows, "i64"), array.zeros(#rows, "i64")
   local from, true_of = scores[k], truth[k]
   for i, row in ipairs(rows) do s[i], t[i], g[i] = from[row], true_of[row] > 0.5 and 1 or 0, groups[row] end
   return s, t, g
end

-- Mean over classes of the average precision.
local function mean_precision(scores, truth, known, groups)
   local sum, k = 0, truth:shape(1)
   for i = 1, k do
      local s, t = known_rows(i, scores, truth, known, groups)
      sum = sum + learn.ranking(s, t).average_precision
   end
   return sum / k
end

-- Columns of some features with mean 0 and deviation 1, and what takes them there.
local function scaled(feature)
   local x = feature.x:copy("f64")
   local mean, scale = evaluate.scaling(x)
   return (x - mean) * scale, mean, scale
end

-- The best strength for each features, the least of equals; of these the best features, the first of equals.
local function validate(features, truth, known, groups, o)
   local best, tried = nil, {}
   for i, f in ipairs(features) do
      local x, mean, scale = scaled(f)
      local scores, n = held_back(x, truth, known, groups, o)
      local own
      for s, c in ipairs(o.strengths) do
         local precision = mean_precision(scores[s], truth, known, groups)
         if not own or precision > own.average_precision then
            own = {name = f.name, x = x, mean = mean, scale = scale, c = c, scores = scores[s], folds = n,
               average_precision = precision}
         end
      end
      tried[i] = {name = f.name, c = own.c, average_precision = own.average_precision}
      if not best or own.average_precision > best.average_precision then best = own end
   end
   return best, tried
end

-- What the scores on held-back rows say of each class, and the thresholds of all.
local function judge_classes(classes, scores, truth, known, groups, o)
   local calibration = array.zeros({#classes, 2}, "f64")
   local points = array.zeros({#classes, judge.points, 3}, "f64")
   for k, class in ipairs(classes) do
      local s, t, g = known_rows(k, scores, truth, known, groups)
      local slope, offset = judge.calibrate(s, t)
      calibration:set(k, 1, slope)
      calibration:set(k, 2, offset)
      local p = 1 / (1 + (-(s * slope + offset)):exp())
      points[k]:fill(judge.operating_points(p, t))
      class.examined = #t
      class.measures = judge.measure(p, t, g, {threshold = classifier.threshold, times = o.samples, seed = o.seed})
   end
   return calibration, points
end

-- Weights and biases for features as they are, out of those for scaled ones.
local function unscaled(w, mean, scale)
   local k, d = w:shape(1), w:shape(2) - 1
   local weight = w:slice(2, 1, d):copy() * scale
   return weight, w:slice(2, d + 1, d + 1):copy():reshape{k} - (weight * mean):sum(2)
end

-- ---- Training ----

-- Why there is nothing to be learnt.
local function nothing(dropped)
   local words = {}
   for i, d in ipairs(dropped) do words[i] = ("%s: %s"):format(d.name, d.reason) end
   return "no class can be learnt (" .. table.concat(words, "; ") .. ")"
end

local function check_set(set, features)
   local k, n = set.truth:shape(1), set.truth:shape(2)
   if k ~= #set.classes then error(("%d classes and %d rows of truth"):format(#set.classes, k), 3) end
   if #set.groups ~= n then error(("%d groups and %d columns of truth"):format(#set.groups, n), 3) end
   return check_features(features, n)
end

--- Train a classifier.
-- @tparam table set `features`: a list of what may be used, `{name=, x=array (windows, dimensions)}`, or `x` alone;
-- `classes` (names), `truth` (array (classes, windows): 1 where a window is of the class, 0 where it is not, NaN where
-- nobody knows), `groups` (of each window the recording, or the site, that is wholly in training or wholly held back),
-- `unit` (what a group is called in messages: "recording")
-- @tparam[opt] table options `c` (the strength; default: the best of `strengths`), `folds` (5), `balance` (`equal`:
-- windows that are of a class weigh as much as all that are not; `none`: each window weighs the same), `seed` (1),
-- `samples` (1000: of recordings, for the intervals)
-- @treturn[1] model `classes`: of each `name`, `windows` and `recordings` that are of it, `examined` (windows of which
-- it is known), `measures` (`precision`, `recall` at a probability of 0.5, `average_precision`, `roc_auc`, each with
-- `value`, `low`, `high`); `features` (the name), `c`, `folds`, `tried` (of each features the best), `dropped` (classes
-- that cannot be learnt: `name`, `reason`)
-- @treturn[2] nil
-- @treturn[2] string message: values that are not finite, or no class can be learnt
function classifier.train(set, options)
   local o = check_options(options, classifier.options)
   local features = set.features or {{name = "embedding", x = set.x}}
   local ok, message = check_set(set, features)
   if not ok then return nil, message end
   local groups, names = distances.numbers(set.groups)
   if #names < 2 then
      return nil, ("all windows are of one %s: two are needed, so that one can judge the other"):format(
         set.unit or "recording")
   end
   o.groups, o.strengths = #names, o.c and {o.c} or classifier.strengths
   local truth, known = split_known(set.truth)
   local rows, classes, dropped = choose(set, truth, known, groups)
   if #rows == 0 then return nil, nothing(dropped) end
   truth, known = evaluate.take(truth, rows), evaluate.take(known, rows)
   local best, tried = validate(features, truth, known, groups, o)
   local model = setmetatable({classes = classes, features = best.name, c = best.c, folds = best.folds, tried = tried,
      dropped = dropped, balance = o.balance, about = {}}, Model)
   model.calibration, model.points = judge_classes(classes, best.scores, truth, known, groups, o)
   local w = learn.binary_fit(best.x, truth, weights_of(truth, known, o.balance), {c = best.c, tolerance = 1e-6,
      iterations = 1000})
   model.weight, model.bias = unscaled(w, best.mean, best.scale)
   return model
end

-- ---- The model ----

--- Scores: the logarithm of the odds, as training weighed them. What is not finite gives NaN.
-- @tparam array x (windows, dimensions)
-- @treturn array f64 (windows, classes)
function Model:scores(x)
   local k, d = self.weight:shape(1), self.weight:shape(2)
   if x:shape(2) ~= d then error(("%d values a window, the model has %d"):format(x:shape(2), d), 2) end
   local w = array.zeros({k, d + 1}, "f64")
   w:slice(2, 1, d):fill(self.weight)
   w:slice(2, d + 1, d + 1):fill(self.bias:reshape{k, 1})
   return learn.binary_scores(w, x)
end

--- Probabilities of scores, see `bclua.classifier.judge`.
-- @tparam array scores (windows, classes)
-- @treturn array f64 (windows, classes), 0 to 1
function Model:probabilities(scores)
   local slope, offset = self.calibration:slice(2, 1, 1):copy(), self.calibration:slice(2, 2, 2):copy()
   local k = #self.classes
   return 1 / (1 + (-(scores:copy("f64") * slope:reshape{k} + offset:reshape{k})):exp())
end

--- The least probability from which on a class was called with a precision.
-- @tparam integer k number of the class
-- @tparam number precision 0 to 1
-- @treturn[1] number probability
-- @treturn[1] number the precision at it
-- @treturn[1] number the recall at it
-- @treturn[2] nil where none is so precise
-- @treturn[2] number the best precision of any
function Model:threshold(k, precision)
   local points, best = self.points[k], 0
   for i = points:shape(1), 1, -1 do
      local p = points:at(i, 2)
      if p >= precision then return points:at(i, 1), p, points:at(i, 3) end
      best = math.max(best, p)
   end
   return nil, best
end

--- A text that follows from the scores that a model gives alone.
-- @treturn string
function Model:identity()
   local names, numbers = {}, {}
   for k, c in ipairs(self.classes) do names[k] = c.name end
   for k = 1, #names do
      local row = self.weight[k]
      for i = 1, #row do numbers[#numbers + 1] = ("%a"):format(row[i]) end
      numbers[#numbers + 1] = ("%a"):format(self.bias[k])
   end
   return sql.query(("select md5(%s) as hash"):format(sql.quote(json.encode(names) .. table.concat(numbers, " "))))[1]
      .hash
end

local NAMES = {average_precision = "average precision", roc_auc = "ROC-AUC"}

local function shown(m)
   if m.value ~= m.value then return "none" end
   return ("%.3f (%.3f to %.3f)"):format(m.value, m.low, m.high)
end

--- The measures as a table of text, a line a class.
-- @treturn string
function Model:text()
   local rows, right = {{"class", "recordings", "windows"}}, {false, true, true}
   for _, name in ipairs(judge.measures) do table.insert(rows[1], NAMES[name] or name) end
   for _, c in ipairs(self.classes) do
      local row = {c.name, tostring(c.recordings), tostring(c.windows)}
      for _, name in ipairs(judge.measures) do row[#row + 1] = shown(c.measures[name]) end
      rows[#rows + 1] = row
   end
   return table.concat(display.lines(rows, right, require("bclua.progress").columns()), "\n")
end

-- ---- Files ----

local SHARE = {"number", least = 0, most = 1}
local MEASURE = {"table", needed = true, of = {value = SHARE, low = SHARE, high = SHARE}}
local MEASURES = {}
for _, name in ipairs(judge.measures) do MEASURES[name] = MEASURE end

-- What the metadata say.
local SAVED = {classes = {"list", needed = true, shortest = 1, of = {"table", of = {name = {"string", needed = true},
      windows = {"integer", needed = true, least = 1}, recordings = {"integer", needed = true, least = 1},
      examined = {"integer", needed = true, least = 1}, measures = {"table", needed = true, of = MEASURES}}}},
   features = {"string", needed = true}, c = {"number", needed = true, above = 0},
   folds = {"integer", needed = true, least = 2}, balance = {"string", needed = true},
   about = {"table", needed = true}}

--- Save a model as safetensors: `weight` (classes, dimensions), `bias`, `calibration` (classes, 2: slope and offset),
-- `points` (classes, 100, 3: thresholds with their precision and recall), and all else as JSON in the metadata.
-- @tparam string path
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
function Model:save(path)
   return safetensors.save(path, {weight = self.weight, bias = self.bias, calibration = self.calibration,
      points = self.points}, {bclua_classifier = json.encode{classes = self.classes, features = self.features,
      c = self.c, folds = self.folds, balance = self.balance, tried = self.tried, dropped = self.dropped,
      about = self.about}})
end

-- JSON has no NaN: what is not there was one.
local function add_nan(classes)
   for _, c in ipairs(classes) do
      for _, m in pairs(c.measures) do
         for _, key in ipairs{"value", "low", "high"} do
            if type(m[key]) ~= "number" then m[key] = 0 / 0 end
         end
      end
   end
end

-- What is wrong with the tensors.
local function wrong_tensors(t, k)
   local d = t.weight and t.weight:ndim() == 2 and t.weight:shape(2) or 1
   for name, shape in pairs{weight = {k, d}, bias = {k}, calibration = {k, 2}, points = {k, judge.points, 3}} do
      if not t[name] then return ("no tensor '%s'"):format(name) end
      if table.concat(t[name]:shape(), ",") ~= table.concat(shape, ",") or t[name]:dtype() ~= "f64" then
         return ("tensor '%s' must be f64 (%s)"):format(name, table.concat(shape, ", "))
      end
      if not t[name]:is_finite() then return ("tensor '%s': a value is not finite"):format(name) end
   end
   return nil
end

--- Open a model.
-- @tparam string path
-- @treturn[1] model
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function classifier.load(path)
   local tensors, metadata = safetensors.load(path)
   if not tensors then return nil, metadata end
   local saved = json.decode(metadata.bclua_classifier or "")
   if not saved then return nil, path .. ": is no classifier (of `classify train`)" end
   local wrong = tables.fault(saved, SAVED) or wrong_tensors(tensors, #saved.classes)
   if wrong then return nil, path .. ": " .. wrong end
   add_nan(saved.classes)
   for name, tensor in pairs(tensors) do saved[name] = tensor end
   return setmetatable(saved, Model)
end

return classifier
