--- What the nearest rows of other recordings say: nearest neighbours, retrieval, silhouette.
--
-- Rows are windows. Windows of one recording are never compared: they share its microphone, its noise and
-- its bird, and would be hits whatever the embedding has learnt.
-- @module bclua.evaluate.distances
local array = require "bclua.array"
local learn = require "bclua.learn"
local check_options = require("bclua.options").check

local distances = {}

local function check(x, labels, recordings)
   if #labels ~= x:shape(1) or recordings and #recordings ~= x:shape(1) then
      error(("%d labels and %d recordings for %d rows"):format(#labels, recordings and #recordings or 0, x:shape(1)), 3)
   end
end

--- Numbers from 1, as i64, for the names in a list, and the names in order.
function distances.numbers(list)
   local number, names = {}, {}
   for _, name in ipairs(list) do
      if not number[name] then
         number[name] = true
         names[#names + 1] = name
      end
   end
   table.sort(names)
   for i, name in ipairs(names) do number[name] = i end
   local out = array.zeros(#list, "i64")
   for i, name in ipairs(list) do out[i] = number[name] end
   return out, names
end

--- The mean over classes of the means of their values; rows without a value (nil) do not count.
-- @tparam table values by row
-- @tparam array classes i64 (rows)
-- @treturn number NaN if there is no value
function distances.class_mean(values, classes)
   local sum, count, order = {}, {}, {}
   for row = 1, #classes do
      local v, k = values[row], classes[row]
      if v then
         if not sum[k] then
            sum[k], count[k] = 0, 0
            order[#order + 1] = k
         end
         sum[k], count[k] = sum[k] + v, count[k] + 1
      end
   end
   table.sort(order)
   local mean = 0
   for _, k in ipairs(order) do mean = mean + sum[k] / count[k] / #order end
   return #order > 0 and mean or 0 / 0
end

-- What most of the k nearest are; of equally many the class of the one that is nearest.
local function vote(nearest, classes, k)
   local votes, best, most = {}, nil, 0
   for i = 1, k do
      local at = nearest[i]
      if at == 0 then break end
      votes[classes[at]] = (votes[classes[at]] or 0) + 1
      most = math.max(most, votes[classes[at]])
   end
   for i = 1, k do
      local at = nearest[i]
      if at == 0 then break end
      if votes[classes[at]] == most then
         best = classes[at]
         break
      end
   end
   return best
end

--- Accuracy of a vote of the k nearest rows, from rows that are found already.
-- @tparam array nearest i64 (rows, k or more), from `learn.nearest`
-- @tparam array classes i64 (rows)
-- @tparam integer k
-- @treturn number mean over classes
function distances.vote(nearest, classes, k)
   local right = {}
   for row = 1, #classes do
      local guess = vote(nearest[row], classes, k)
      if guess then right[row] = guess == classes[row] and 1 or 0 end
   end
   return distances.class_mean(right, classes)
end

--- Share of the k nearest rows that are of the row's own class, mean over classes; where the
-- other recordings have fewer than k rows, of those.
function distances.hits(nearest, classes, k)
   local share = {}
   for row = 1, #classes do
      local list, hits, n = nearest[row], 0, 0
      for i = 1, k do
         if list[i] == 0 then break end
         n = n + 1
         if classes[list[i]] == classes[row] then hits = hits + 1 end
      end
      if n > 0 then share[row] = hits / n end
   end
   return distances.class_mean(share, classes)
end

--- What `hits` is where order is chance: the share of a row's class among the rows of other recordings.
function distances.chance(classes, groups)
   local of_class, of_group, of_both = {}, {}, {}
   local n = #classes
   for row = 1, n do
      local c, g = classes[row], groups[row]
      of_class[c], of_group[g] = (of_class[c] or 0) + 1, (of_group[g] or 0) + 1
      of_both[c] = of_both[c] or {}
      of_both[c][g] = (of_both[c][g] or 0) + 1
   end
   local share = {}
   for row = 1, n do
      local c, g = classes[row], groups[row]
      if n > of_group[g] then share[row] = (of_class[c] - of_both[c][g]) / (n - of_group[g]) end
   end
   return distances.class_mean(share, classes)
end

local LEAST_DRAWS = 10000

-- k rows of other groups at random, each once; 0 behind the last.
local function draw(generator, row, groups, others, k)
   local n, list, taken = #groups, {}, {}
   if 2 * k > others then -- few would be free at last
      local order = generator:shuffle(n)
      for i = 1, n do
         if #list < k and groups[order[i]] ~= groups[row] then list[#list + 1] = order[i] end
      end
   else
      for i = 1, k do
         local at = generator:integer(n)
         while taken[at] or groups[at] == groups[row] do at = generator:integer(n) end
         list[i], taken[at] = at, true
      end
   end
   if #list < k then list[#list + 1] = 0 end
   return list
end

--- What `vote` is where order is chance: by drawing the k rows, some 10 000 times and at least ten times each row. It
-- is below one in the number of classes, since a row's own recording, which is of its class, has no vote.
-- @tparam array classes i64 (rows)
-- @tparam array groups i64 (rows)
-- @tparam integer k
-- @treturn number mean over classes
function distances.vote_chance(classes, groups, k)
   local n, of_group, right = #classes, {}, {}
   local generator, rounds = require("bclua.sampling").generator(1), math.max(10, LEAST_DRAWS // math.max(1, n))
   for row = 1, n do of_group[groups[row]] = (of_group[groups[row]] or 0) + 1 end
   for row = 1, n do
      local others, hits = n - of_group[groups[row]], 0
      if others > 0 then
         for _ = 1, rounds do
            if vote(draw(generator, row, groups, others, k), classes, k) == classes[row] then hits = hits + 1 end
         end
         right[row] = hits / rounds
      end
   end
   return distances.class_mean(right, classes)
end

local NEAREST = {k = {"integer", default = 5, least = 1, most = 10000},
   metric = {"choice", {"euclidean", "cosine"}, default = "euclidean"}}

--- Accuracy of k nearest neighbours: each window is given the class that most of the k nearest windows of other
-- recordings have (of equally many the nearest's). Mean over classes of the share that is right.
-- @tparam array x (windows, dimensions), finite
-- @tparam {string,...} labels
-- @tparam {string,...} recordings
-- @tparam[opt] table options `k` (5), `metric` ("euclidean"; or "cosine")
-- @treturn number 0 to 1; NaN where there is only one recording
function distances.knn(x, labels, recordings, options)
   check(x, labels, recordings)
   local o = check_options(options, NEAREST)
   return distances.vote(learn.nearest(x, distances.numbers(recordings), o), distances.numbers(labels), o.k)
end

--- Precision at k: the share of the k nearest windows of other recordings that are of a window's class, mean over
-- classes of the mean over windows. Where other recordings have fewer than k windows, of those.
-- @tparam array x (windows, dimensions), finite
-- @tparam {string,...} labels
-- @tparam {string,...} recordings
-- @tparam[opt] table options `k` (5), `metric` ("euclidean"; or "cosine")
-- @treturn number 0 to 1; NaN where there is only one recording
-- @treturn number what a random order would give
function distances.precision(x, labels, recordings, options)
   check(x, labels, recordings)
   local o, groups, classes = check_options(options, NEAREST), distances.numbers(recordings), distances.numbers(labels)
   return distances.hits(learn.nearest(x, groups, o), classes, o.k), distances.chance(classes, groups)
end

-- Rows of each class, and of each class in each group.
local function counts(classes, groups)
   local all, own = {}, {}
   for row = 1, #classes do
      local c, g = classes[row], groups[row]
      all[c] = (all[c] or 0) + 1
      own[g] = own[g] or {}
      own[g][c] = (own[g][c] or 0) + 1
   end
   return all, own
end

local SILHOUETTE = {metric = NEAREST.metric}

--- The silhouette (Rousseeuw, 1987): (b - a) / max(a, b) with a the mean distance of a window to those of its
-- class, b that to those of the nearest other class; 0 for a window without another of its class. From -1
-- to 1, mean over windows. Without recordings the same as scikit-learn's `silhouette_score`.
-- @tparam array x (windows, dimensions), finite
-- @tparam {string,...} labels
-- @tparam ?{string,...} recordings if given, windows of one recording are not compared
-- @tparam[opt] table options `metric` ("euclidean"; or "cosine")
-- @treturn number NaN where there is one class only
-- @treturn array f64 (windows): of each
function distances.silhouette(x, labels, recordings, options)
   check(x, labels, recordings)
   options = check_options(options, SILHOUETTE)
   local classes, names = distances.numbers(labels)
   local groups = recordings and distances.numbers(recordings) or array.arange(#classes, "i64")
   local sums = learn.class_distances(x, groups, classes, options)
   local all, own = counts(classes, groups)
   local values = array.zeros(#classes, "f64")
   for row = 1, #classes do
      local sum, mine, a, b = sums[row], own[groups[row]], nil, nil
      for c = 1, #names do
         local n = all[c] - (mine[c] or 0)
         if n > 0 and c == classes[row] then
            a = sum[c] / n
         elseif n > 0 then
            b = math.min(b or math.huge, sum[c] / n)
         end
      end
      if a and b and math.max(a, b) > 0 then values[row] = (b - a) / math.max(a, b) end
   end
   return #names > 1 and values:mean() or 0 / 0, values
end

return distances
