--- What scores on rows that training has not seen say of a class: measures, probabilities, thresholds.
-- @module bclua.classifier.judge
local array = require "bclua.array"
local learn = require "bclua.learn"

local judge = {}

--- The measures, in the order of `learn.ranking_bootstrap`'s columns.
judge.measures = {"precision", "recall", "average_precision", "roc_auc"}

--- How many thresholds are kept of a class.
judge.points = 100

local INTERVAL = 0.95
local FREE = 1e6 -- `c` of a fit that nothing holds back

--- What makes probabilities of scores: 1 / (1 + exp(-(slope * score + offset))), fitted on scores of rows that training
-- has not seen (Platt, 1999, with his targets, which no finite sample makes certain). Scores that are no better than
-- none all get the share of the class.
-- @tparam array scores f64 (rows)
-- @tparam array truth i64 (rows), 1 and 0, of both at least one
-- @tparam[opt] array weights f64 (rows): of how many each is one
-- @treturn number slope, 0 or more
-- @treturn number offset
function judge.calibrate(scores, truth, weights)
   local n, own = #scores, truth:sum()
   local t = truth:copy("f64")
   local targets = t * ((own + 1) / (own + 2)) + (1 - t) * (1 / (n - own + 2))
   weights = weights and weights / weights:mean() or array.full(n, 1, "f64")
   local mean, deviation = scores:mean(), scores:std()
   if deviation > 1e-12 then
      local x = ((scores - mean) / deviation):reshape{n, 1}
      local w = learn.binary_fit(x, targets:reshape{1, n}, weights:reshape{1, n}, {c = FREE / n, tolerance = 1e-9})
      local slope = w:at(1, 1) / deviation
      if slope > 0 then return slope, w:at(1, 2) - slope * mean end
   end
   local share = (targets * weights):mean()
   return 0.0, math.log(share / (1 - share))
end

--- Thresholds and what they give: the i-th of n finds i / n of the class's rows, or the few more that equal scores
-- bring along.
-- @tparam array scores (rows)
-- @tparam array truth i64 (rows)
-- @tparam[opt] array weights f64 (rows): of how many each is one
-- @treturn array f64 (n, 3): threshold, precision and recall of the rows that score as much or more
function judge.operating_points(scores, truth, weights)
   weights = weights or array.full(#scores, 1, "f64")
   local order, own, n = {}, (truth:copy("f64") * weights):sum(), judge.points
   for i = 1, #scores do order[i] = i end
   table.sort(order, function(a, b) return scores[a] > scores[b] or scores[a] == scores[b] and a < b end)
   local points, found, called, at = array.zeros({n, 3}, "f64"), 0, 0, 1
   for i, row in ipairs(order) do
      found, called = found + weights[row] * truth[row], called + weights[row]
      local is_last = i == #order or scores[order[i + 1]] < scores[row]
      while is_last and at <= n and found >= at * own / n * (1 - 1e-12) and found > 0 do
         points:set(at, 1, scores[row])
         points:set(at, 2, found / called)
         points:set(at, 3, found / own)
         at = at + 1
      end
   end
   return points
end

-- The bounds between which the middle of some values lies; NaN counts not.
local function interval(values)
   local list = {}
   for i = 1, #values do
      if values[i] == values[i] then list[#list + 1] = values[i] end
   end
   table.sort(list)
   if #list == 0 then return 0 / 0, 0 / 0 end
   local function quantile(q) return list[math.max(1, math.min(#list, math.floor(q * (#list - 1) + 1.5)))] end
   return quantile((1 - INTERVAL) / 2), quantile((1 + INTERVAL) / 2)
end

--- The measures of a class, each with the interval in which 95 % of samples of the recordings have it.
-- @tparam array scores (rows)
-- @tparam array truth i64 (rows)
-- @tparam array groups i64 (rows), 1..G
-- @tparam table options `threshold` of precision and recall, `times`, `seed` of the samples
-- @treturn table by name `value`, `low`, `high`; NaN where there is none
function judge.measure(scores, truth, groups, options)
   local r = learn.ranking(scores, truth, {threshold = options.threshold})
   local samples = learn.ranking_bootstrap(scores, truth, groups,
      {threshold = options.threshold, times = options.times, seed = options.seed}):T():copy()
   local result = {}
   for i, name in ipairs(judge.measures) do
      local low, high = interval(samples[i])
      result[name] = {value = r[name], low = low, high = high}
   end
   return result
end

return judge
