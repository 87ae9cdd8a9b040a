--- Whitening within recordings: what differs between windows of one recording weighs less.
--
-- Windows of a recording share its microphone and its place, and mostly its species: how they differ from each other is
-- noise to whoever asks for the species. It is the first half of a linear discriminant analysis (Fisher 1936), with
-- recordings for classes, so that no label is needed.
-- @module bclua.evaluate.whiten
local array = require "bclua.array"
local distances = require "bclua.evaluate.distances"
local learn = require "bclua.learn"

local SHRINK = 0.1 -- of the mean variance, added to each: few windows do not know the small ones

-- Rows less the mean of their recording.
local function within(x, recordings)
   local number, names = distances.numbers(recordings)
   local mean, count = array.zeros({#names, x:shape(2)}, "f64"), {}
   for row = 1, #x do
      local k = number[row]
      mean[k]:fill(mean[k] + x[row])
      count[k] = (count[k] or 0) + 1
   end
   local out = array.zeros(x:shape(), "f64")
   for row = 1, #x do out[row]:fill(x[row] - mean[number[row]] / count[number[row]]) end
   return out
end

--- Features along the directions in which windows of one recording differ, each divided by how much they do.
-- @tparam array x (windows, dimensions), finite
-- @tparam {string,...} recordings of the windows
-- @treturn array f64 (windows, k), k at most the lesser of windows and dimensions; from the mean of all rows
local function whiten(x, recordings)
   x = x:copy("f64")
   local k = math.min(x:shape(1), x:shape(2))
   local p = learn.pca(within(x, recordings), {components = k})
   local added = SHRINK * p.total / k
   local centred, out = x - x:mean(1), array.zeros({#x, k}, "f64")
   for i = 1, k do
      local variance = math.max(0, p.variance[i]) + added
      if variance > 0 then
         local along = (centred * p.components[i]):sum(2) / math.sqrt(variance)
         out:slice(2, i, i):fill(along:reshape{#x, 1})
      end
   end
   return out
end

return whiten
