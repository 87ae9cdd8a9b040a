--- How good an embedding is where there are no labels: are the nearest windows of the same recording, of the same site?
--
-- By recording all other windows are looked at; by anything else those of other recordings only. A recording's windows
-- share its birds, and also its place, its noise and its microphone: what counts is the distance to features
-- that nobody trained, which have all of that, too.
-- @module bclua.evaluate.retrieval
-- @usage
-- local r = retrieval.measure({{name = "mine", x = x}, {name = "theirs", x = y}}, recordings, sites, {k = 5})
-- print(r.rows[1].nearest.cosine, r.chance)
local distances = require "bclua.evaluate.distances"
local learn = require "bclua.learn"
local check_options = require("bclua.options").check

local retrieval = {}

local METRICS = {"cosine", "euclidean"}

-- For each row the number of hits there are: rows of its class and another group.
local function count_hits(classes, groups)
   local of_class, of_both, list = {}, {}, {}
   for row = 1, #classes do
      local c, g = classes[row], groups[row]
      of_class[c], of_both[c] = (of_class[c] or 0) + 1, of_both[c] or {}
      of_both[c][g] = (of_both[c][g] or 0) + 1
   end
   for row = 1, #classes do list[row] = of_class[classes[row]] - of_both[classes[row]][groups[row]] end
   return list
end

-- The share of hits among the k nearest, of as many as there are at most; mean over the classes that have any.
local function precision(nearest, classes, hits, k)
   local shares = {}
   for row = 1, #classes do
      local list, n, found = nearest[row], math.min(k, hits[row]), 0
      for i = 1, n do
         if list[i] > 0 and classes[list[i]] == classes[row] then found = found + 1 end
      end
      if n > 0 then shares[row] = found / n end
   end
   return distances.class_mean(shares, classes)
end

-- The same in a random order.
local function chance(classes, groups, hits)
   local of_group, shares = {}, {}
   for row = 1, #groups do of_group[groups[row]] = (of_group[groups[row]] or 0) + 1 end
   for row = 1, #classes do
      if hits[row] > 0 then shares[row] = hits[row] / (#classes - of_group[groups[row]]) end
   end
   return distances.class_mean(shares, classes)
end

-- Classes and windows that have hits.
local function count_judged(classes, hits)
   local seen, n, windows = {}, 0, 0
   for row = 1, #classes do
      if hits[row] > 0 then
         windows = windows + 1
         if not seen[classes[row]] then seen[classes[row]], n = true, n + 1 end
      end
   end
   return n, windows
end

local OPTIONS = {k = {"integer", default = 5, least = 1, most = 10000}}

--- Are the nearest windows of the same recording, or class?
-- @tparam {table,...} features `{name=, x=array (windows, dimensions), finite}`; with `standardise` their columns are
-- brought to one scale
-- @tparam {string,...} recordings of the windows
-- @tparam ?table classes of the windows, their sites say; nil where there is none: such a window is only in the way of
-- others. Without classes the recordings are what is to be found
-- @tparam[opt] table options `k` (5)
-- @treturn[1] table `rows` (of each features `name`; `nearest`: share of the windows whose nearest one is of their
-- class; `precision`: share of the `k` nearest that are, of at most as many as there are; both by metric, `cosine` and
-- `euclidean`, means over classes), `chance` (of both, in a random order), `k`, `classes` (how many, with a hit),
-- `windows` (that have one)
-- @treturn[2] nil
-- @treturn[2] string message: fewer than two classes that can be found again
function retrieval.measure(features, recordings, classes, options)
   local k = check_options(options, OPTIONS).k
   local groups, names = distances.numbers(recordings), {}
   for row, recording in ipairs(recordings) do names[row] = classes and classes[row] or "\0" .. recording end
   local truth = distances.numbers(names)
   if not classes then
      for row = 1, #groups do groups[row] = row end -- a window is not compared with itself
   end
   local hits = count_hits(truth, groups)
   local n, windows = count_judged(truth, hits)
   if n < 2 then
      return nil, ("retrieval needs two %s, got %d"):format(classes and "classes with two recordings each" or
         "recordings with two windows each", n)
   end
   local result = {rows = {}, chance = chance(truth, groups, hits), k = k, classes = n, windows = windows}
   for i, f in ipairs(features) do
      local x = f.standardise and require("bclua.evaluate").standardise(f.x) or f.x
      local row = {name = f.name, nearest = {}, precision = {}}
      for _, metric in ipairs(METRICS) do
         local nearest = learn.nearest(x, groups, {k = k, metric = metric})
         row.nearest[metric] = precision(nearest, truth, hits, 1)
         row.precision[metric] = precision(nearest, truth, hits, k)
      end
      result.rows[i] = row
   end
   return result
end

return retrieval
