--- How much of the species is in an embedding.
--
-- Every measure splits, or compares, by recording: windows of one recording never judge each other. Accuracies and
-- precisions are means over classes, so that common classes do not count more.
-- @module bclua.evaluate
-- @usage
-- local result = assert(evaluate.measures({{name = "mine", x = x}, {name = "theirs", x = y}}, labels, recordings))
-- print(result.rows[1].accuracy, result.rows[1].knn.cosine, result.comparisons[1].difference)
local array = require "bclua.array"
local distances = require "bclua.evaluate.distances"
local learn = require "bclua.learn"
local sampling = require "bclua.sampling"
local check_options, extend = require("bclua.options").check, require("bclua.options").extend

local evaluate = {}

-- Of a class's recordings, in random order, `test` are tested on, the rest trains; those that a class before has put on
-- a side stay there, as far as there are others neither side is empty.
local function share_out(names, test, side)
   local taken, free = 0, {}
   for _, name in ipairs(names) do
      if side[name] == nil then free[#free + 1] = name end
      if side[name] == "test" then taken = taken + 1 end
   end
   for i, name in ipairs(free) do side[name] = i <= test - taken and "test" or "train" end
end

-- Of every class a third of the recordings, at least one, to test, the rest to train. A recording with windows of
-- several classes is on one side; the classes with fewest recordings have it first. Windows of classes that are not
-- learnt are not tested.
local function split(by_class, generator)
   local orders, turns, side, train, test = {}, {}, {}, {}, {}
   for k, class in ipairs(by_class) do
      turns[k], orders[k] = k, {}
      local order = generator:shuffle(#class)
      for i = 1, #class do orders[k][i] = class.names[order[i]] end
   end
   table.sort(turns, function(a, b)
      return #orders[a] < #orders[b] or #orders[a] == #orders[b] and a < b
   end)
   for _, k in ipairs(turns) do share_out(orders[k], math.max(1, #orders[k] // 3), side) end
   for k, class in ipairs(by_class) do
      local learnt = false
      for _, name in ipairs(orders[k]) do learnt = learnt or side[name] == "train" end
      for _, name in ipairs(orders[k]) do
         local into = side[name] == "train" and train or learnt and test or {}
         for _, row in ipairs(class.at[name]) do into[#into + 1] = row end
      end
   end
   return train, test
end

--- Some rows of a matrix.
-- @tparam array x (n, dimensions)
-- @tparam {integer,...} rows from 1
-- @treturn array f64 (#rows, dimensions)
function evaluate.take(x, rows)
   local out = array.zeros({#rows, x:shape(2)}, "f64")
   for i, row in ipairs(rows) do out[i]:fill(x[row]) end
   return out
end

--- What takes the columns of x to mean 0 and deviation 1, what does not vary to 0: `(x - mean) * scale`.
-- @tparam array x f64 (windows, dimensions)
-- @treturn array f64 (dimensions) mean
-- @treturn array f64 (dimensions) scale
function evaluate.scaling(x)
   local mean, deviation = x:mean(1), x:std(1)
   local scale = array.zeros(#deviation, "f64")
   for i = 1, #deviation do
      -- the deviation of a constant is its rounding
      scale[i] = deviation[i] > math.max(1e-12, 1e-12 * math.abs(mean[i])) and 1 / deviation[i] or 0
   end
   return mean, scale
end

--- Columns with mean 0 and deviation 1, zeros where a column does not vary.
-- @tparam array x (windows, dimensions)
-- @treturn array f64
function evaluate.standardise(x)
   x = x:copy("f64")
   local mean, scale = evaluate.scaling(x)
   return (x - mean) * scale
end

local function pick(values, rows)
   local out = array.zeros(#rows, "i64")
   for i, row in ipairs(rows) do out[i] = values[row] end
   return out
end

local function mean_and_spread(values)
   local a = array.from(values, "f64")
   return a:mean(), #values > 1 and a:std() * math.sqrt(#values / (#values - 1)) or 0
end

-- The rows of each recording of each class; classes with one recording are dropped.
local function group(labels, recordings)
   local classes, order, dropped = {}, {}, {}
   for row, label in ipairs(labels) do
      if not classes[label] then
         classes[label] = {at = {}, names = {}}
         order[#order + 1] = label
      end
      local class, name = classes[label], recordings[row]
      if not class.at[name] then
         class.at[name] = {}
         class[#class + 1], class.names[#class + 1] = class.at[name], name
      end
      table.insert(class.at[name], row)
   end
   table.sort(order)
   local kept, ids, names = {}, {}, {}
   for _, label in ipairs(order) do
      if #classes[label] >= 2 then
         kept[#kept + 1] = classes[label]
         ids[label], names[#kept] = #kept, label
      else
         dropped[#dropped + 1] = label
      end
   end
   return kept, ids, names, dropped
end

local function check(features, labels, recordings)
   if #labels ~= #recordings then
      error(("%d labels and %d recordings"):format(#labels, #recordings), 3)
   end
   for _, f in ipairs(features) do
      if not array.is_array(f.x) or f.x:ndim() ~= 2 or f.x:shape(1) ~= #labels then
         error(("features '%s': an array of %d rows expected"):format(tostring(f.name), #labels), 3)
      end
      if not f.x:is_finite() then error(("features '%s': a value is not finite"):format(tostring(f.name)), 3) end
   end
end

local function square(n)
   local m = {}
   for i = 1, n do
      m[i] = {}
      for j = 1, n do m[i][j] = 0 end
   end
   return m
end

-- For each class, the share of its windows, over all splits, that were classified correctly.
local function by_class(confusion)
   local shares = {}
   for k, row in ipairs(confusion) do
      local all = 0
      for _, n in ipairs(row) do all = all + n end
      shares[k] = all > 0 and row[k] / all or 0 / 0
   end
   return shares
end

--- The first features against each of the others, split by split: what varies from split to split is the same
-- for both, so that a difference can be seen that is smaller than the spread of either.
-- @tparam {table,...} rows from `accuracy`
-- @treturn {table,...} `name` of the other; `difference` (mean over splits of first minus other), `spread` (standard
-- deviation over splits), `won` and `lost` (shares of the splits), `splits` (the differences)
function evaluate.compare(rows)
   local list = {}
   for i = 2, #rows do
      local differences, won, lost = {}, 0, 0
      for s, a in ipairs(rows[1].splits) do
         local d = a - rows[i].splits[s]
         differences[s] = d
         won, lost = won + (d > 0 and 1 or 0), lost + (d < 0 and 1 or 0)
      end
      local difference, spread = mean_and_spread(differences)
      list[i - 1] = {name = rows[i].name, difference = difference, spread = spread, won = won / #differences,
         lost = lost / #differences, splits = differences}
   end
   return list
end

-- Accuracy on all splits, into the rows.
local function regress(rows, features, classes, numbers, options)
   local doubles = {}
   for i, f in ipairs(features) do
      rows[i].splits, rows[i].confusion, doubles[i] = {}, square(#classes), f.x:copy("f64")
   end
   for s = 1, options.splits do
      local train, test = split(classes, sampling.generator(options.seed, s))
      local truth, taught = pick(numbers, test), pick(numbers, train)
      for i, all in ipairs(doubles) do
         local x = evaluate.take(all, train)
         local mean, scale = evaluate.scaling(x)
         local w = learn.logistic_fit((x - mean) * scale, taught, {c = options.c})
         local guess = learn.logistic_predict(w, (evaluate.take(all, test) - mean) * scale)
         rows[i].splits[s] = evaluate.balanced(guess, truth, #classes)
         local confusion = rows[i].confusion
         for t = 1, #truth do confusion[truth[t]][guess[t]] = confusion[truth[t]][guess[t]] + 1 end
      end
   end
   for _, row in ipairs(rows) do
      row.accuracy, row.spread = mean_and_spread(row.splits)
      row.by_class = by_class(row.confusion)
   end
end

-- Classes that can be judged, and what is common to all measures of them.
local function prepare(features, labels, recordings)
   local classes, ids, names, dropped = group(labels, recordings)
   if #classes < 2 then
      return nil, ("evaluation needs two classes with two recordings each, got %d%s"):format(#classes,
         #dropped > 0 and (" (with one recording: %s)"):format(table.concat(dropped, ", ")) or "")
   end
   local numbers, kept, count = {}, {}, {}
   for row, label in ipairs(labels) do
      numbers[row] = ids[label]
      if ids[label] then kept[#kept + 1] = row end
   end
   for k, class in ipairs(classes) do
      local windows = 0
      for _, rows in ipairs(class) do windows = windows + #rows end
      count[k] = {name = names[k], recordings = #class, windows = windows}
   end
   local rows = {}
   for i, f in ipairs(features) do rows[i] = {name = f.name} end
   return {rows = rows, classes = #classes, names = names, counts = count, chance = 1 / #classes, windows = #kept,
      dropped = dropped}, classes, numbers, kept
end

local ACCURACY = {splits = {"integer", default = 10, least = 1, most = 100000},
   seed = {"integer", default = 1, least = 0}, c = {"number", default = 1, above = 0}}

--- Accuracy of a logistic regression on features, over random splits by recording:
-- windows of one recording are never on both sides. A third of each class's recordings
-- (at least one) tests, the rest trains, as far as recordings with several classes allow: of a class that is not in
-- what trains no window tests. Accuracy is the mean over classes of the share of
-- their test windows that are classified correctly, so that common classes do not count more.
-- @tparam {table,...} features `{name=, x=array (windows, dimensions), finite}`: all are judged
-- on the same splits
-- @tparam {string,...} labels of the windows
-- @tparam {string,...} recordings of the windows
-- @tparam[opt] table options `splits` (10), `seed` (1), `c` (1)
-- @treturn[1] table
--
--  * `rows`: of each features `name`, `accuracy`, `spread`, `splits` (accuracy of each), `confusion` (of each true
--    class the counts of what it was called, summed over splits), `by_class` (share of right ones of each class)
--  * `comparisons`: see `compare`
--  * `classes` (how many), `names`, `counts` (of each class `name`, `recordings`, `windows`), `chance`, `windows`,
--    `dropped` (classes with one recording)
-- @treturn[2] nil
-- @treturn[2] string message: fewer than two classes with two recordings
function evaluate.accuracy(features, labels, recordings, options)
   check(features, labels, recordings)
   local o = check_options(options, ACCURACY)
   local result, classes, numbers = prepare(features, labels, recordings)
   if not result then return nil, classes end
   regress(result.rows, features, classes, numbers, o)
   result.comparisons = evaluate.compare(result.rows)
   return result
end

local STRENGTHS, FOLDS = {0.001, 0.01, 0.1, 1}, 3

-- The strength by which a regression names most windows of recordings of the same set that it is not taught by.
local function strength(x, labels, recordings)
   local best, most
   for _, c in ipairs(STRENGTHS) do
      local r, message = evaluate.accuracy({{x = x}}, labels, recordings, {c = c, splits = FOLDS})
      if not r then return nil, message end
      if not most or r.rows[1].accuracy > most then best, most = c, r.rows[1].accuracy end
   end
   return best
end

--- Accuracy on the windows of some recordings of a logistic regression that all windows of others teach, its strength
-- (0.001, 0.01, 0.1 or 1) chosen on splits of the latter by recording.
-- @tparam table taught `x` (array (windows, dimensions), finite), `labels` and `recordings` of the windows
-- @tparam table asked `x`, `labels`; windows of a class that is not taught are left out
-- @treturn[1] number mean over classes
-- @treturn[2] nil
-- @treturn[2] string message: fewer than two classes with two recordings are taught, or none of them is asked for
function evaluate.taught(taught, asked)
   local c, message = strength(taught.x, taught.labels, taught.recordings)
   if not c then return nil, message end
   local ids, classes, numbers, rows = {}, 0, {}, {}
   for i, label in ipairs(taught.labels) do
      if not ids[label] then classes, ids[label] = classes + 1, classes + 1 end
      numbers[i] = ids[label]
   end
   for i, label in ipairs(asked.labels) do
      if ids[label] then rows[#rows + 1] = i end
   end
   if #rows == 0 then return nil, "no window is of a class that is taught" end
   local x, truth = taught.x:copy("f64"), {}
   for i, row in ipairs(rows) do truth[i] = ids[asked.labels[row]] end
   local mean, scale = evaluate.scaling(x)
   local w = learn.logistic_fit((x - mean) * scale, array.from(numbers, "i64"), {c = c})
   return evaluate.balanced(learn.logistic_predict(w, (evaluate.take(asked.x, rows) - mean) * scale), truth, classes)
end

local METRICS = {"cosine", "euclidean"}

-- The nearest rows do not depend on what they are called: kept in `memo` for other labels of the same rows.
local function nearest_rows(memo, key, all, find)
   if not (memo and all) then return find() end
   memo[key] = memo[key] or find()
   return memo[key]
end

local MEASURES = extend(ACCURACY, {k = {"integer", default = 5, least = 1, most = 10000}, memo = "table"})

--- All measures: those of `accuracy`, and by distances, of the windows of the classes that are not dropped, the
-- own recording excluded: `knn` (accuracy of the `k` nearest), `precision` (at `k`), both tables by metric (`cosine`,
-- `euclidean`), and `silhouette` (Euclidean).
-- @tparam {table,...} features as for `accuracy`; with `standardise` their columns are brought to one scale before
-- distances are taken (the regression does so always)
-- @tparam {string,...} labels
-- @tparam {string,...} recordings
-- @tparam[opt] table options those of `accuracy`, and `k` (5); `memo`: a table that keeps the nearest windows from
-- one call to the next with the same features and recordings, but other labels
-- @treturn[1] table as from `accuracy`; and `k`, `knn_chance` and `precision_chance` (of a random order)
-- @treturn[2] nil
-- @treturn[2] string message
function evaluate.measures(features, labels, recordings, options)
   check(features, labels, recordings)
   options = check_options(options, MEASURES)
   local result, classes, numbers, kept = prepare(features, labels, recordings)
   if not result then return nil, classes end
   regress(result.rows, features, classes, numbers, options)
   result.comparisons = evaluate.compare(result.rows)
   local truth, names, kept_labels = pick(numbers, kept), {}, {}
   for i, row in ipairs(kept) do names[i], kept_labels[i] = recordings[row], labels[row] end
   local groups, k = distances.numbers(names), options.k
   result.k, result.precision_chance = k, distances.chance(truth, groups)
   result.knn_chance = distances.vote_chance(truth, groups, k)
   for i, f in ipairs(features) do
      local x, row = evaluate.take(f.x, kept), result.rows[i]
      if f.standardise then x = evaluate.standardise(x) end
      row.knn, row.precision = {}, {}
      for _, metric in ipairs(METRICS) do
         local nearest = nearest_rows(options.memo, i .. metric, #kept == #labels, function()
            return (learn.nearest(x, groups, {k = k, metric = metric}))
         end)
         row.knn[metric] = distances.vote(nearest, truth, k)
         row.precision[metric] = distances.hits(nearest, truth, k)
      end
      row.silhouette = distances.silhouette(x, kept_labels, names)
   end
   return result
end

--- Mean over classes of the share of right answers.
function evaluate.balanced(guess, truth, classes)
   local right, all = {}, {}
   for k = 1, classes do right[k], all[k] = 0, 0 end
   for i = 1, #truth do
      local k = truth[i]
      all[k] = all[k] + 1
      if guess[i] == k then right[k] = right[k] + 1 end
   end
   local sum, n = 0, 0
   for k = 1, classes do
      if all[k] > 0 then sum, n = sum + right[k] / all[k], n + 1 end
   end
   return sum / n
end

--- Accuracy of k nearest neighbours.
-- @function knn
-- @see bclua.evaluate.distances
evaluate.knn = distances.knn
--- Share of the same class among the k nearest.
-- @function precision
-- @see bclua.evaluate.distances
evaluate.precision = distances.precision
--- The mean silhouette.
-- @function silhouette
-- @see bclua.evaluate.distances
evaluate.silhouette = distances.silhouette

--- Principal components, and the share of the variance that each has.
-- @tparam array x (windows, dimensions), finite
-- @tparam[opt] integer components (2; fewer where x has fewer rows or columns)
-- @treturn table `scores` f64 (windows, k), `components` f64 (k, dimensions), `shares` (list, 0 to 1), see `learn.pca`
function evaluate.pca(x, components)
   local k = math.max(1, math.min(components or 2, x:shape(1), x:shape(2)))
   local p = learn.pca(x, {components = k})
   p.shares = {}
   for i = 1, k do p.shares[i] = p.total > 0 and p.variance[i] / p.total or 0.0 end
   return p
end

return evaluate
