--- Whitening within recordings: what differs between windows of one recording weighs less.
--
-- Windows of a recording share its microphone and its place, and mostly its species: how they differ from each other is
-- noise to whoever asks for the species. It is the first half of a linear discriminant analysis (Fisher 1936), with
-- recordings for classes, so that no label is needed.
-- @module bclua.whiten
-- @usage
-- local whiten = require "bclua.whiten"
-- local map = whiten.fit(x, recordings)
-- local y, query = map:apply(x), map:apply(another)
local array = require "bclua.array"
local learn = require "bclua.learn"
local check_options = require("bclua.options").check

local whiten = {}

local SHRINK = 0.1 -- of the mean variance, added to each: few windows do not know the small ones

local FIT = {components = {"integer", least = 1}}

local Map = {}
Map.__index = Map

-- Rows less the mean of their recording.
local function within(x, recordings)
   local sum, count, out = {}, {}, array.zeros(x:shape(), "f64")
   for row, name in ipairs(recordings) do
      sum[name] = sum[name] and sum[name] + x[row] or x[row]:copy()
      count[name] = (count[name] or 0) + 1
   end
   for row, name in ipairs(recordings) do out[row]:fill(x[row] - sum[name] / count[name]) end
   return out
end

--- The map of features along the directions in which windows of one recording differ, each divided by how much they do.
-- @tparam array x (windows, dimensions), finite
-- @tparam ?{string,...} recordings of the windows; nil: the directions in which any two windows differ
-- @tparam[opt] table options `components`: at most so many directions, those of most difference first (all)
-- @treturn Map `mean` f64 (1, dimensions) and `matrix` f64 (dimensions, k), k at most the lesser of windows and
-- dimensions
function whiten.fit(x, recordings, options)
   local o = check_options(options, FIT)
   x = x:copy("f64")
   local all = math.min(x:shape(1), x:shape(2))
   local k = math.min(o.components or all, all)
   local p = learn.pca(recordings and within(x, recordings) or x, {components = k})
   local added = SHRINK * p.total / all
   local matrix = array.zeros({k, x:shape(2)}, "f64")
   for i = 1, k do
      local variance = math.max(0, p.variance[i]) + added
      if variance > 0 then matrix[i]:fill(p.components[i] / math.sqrt(variance)) end
   end
   return whiten.map(x:mean(1):reshape{1, x:shape(2)}, matrix:T():copy())
end

--- A map that is known.
-- @tparam array mean
-- @tparam array matrix
-- @treturn Map
function whiten.map(mean, matrix) return setmetatable({mean = mean, matrix = matrix}, Map) end

--- Features mapped.
-- @tparam array x (windows, dimensions)
-- @treturn array f64 (windows, k)
function Map:apply(x) return array.matmul(x - self.mean, self.matrix) end

--- Features of windows by their own map.
-- @tparam array x (windows, dimensions), finite
-- @tparam {string,...} recordings of the windows
-- @treturn array f64 (windows, k), of mean 0
function whiten.within(x, recordings) return whiten.fit(x, recordings):apply(x) end

return whiten
