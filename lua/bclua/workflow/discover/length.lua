--- How long is a call: the longest window whose sets cover about as much of the sound as those of any. Parts of a call
-- are repeated as often as the call, so that shorter windows may cover as much, but not more.
-- @module bclua.workflow.discover.length
local extracted = require "bclua.data.extracted"
local parallel = require "bclua.parallel"
local progress = require "bclua.progress"
local search = require "bclua.workflow.search"
local windows = require "bclua.workflow.discover.windows"

local length = {}

--- The lengths that are tried, in seconds.
length.tried = {1, 1.5, 2, 2.5, 3, 4, 5}

local RECORDINGS = 200 -- that are listened to, evenly spread
local ABOUT = 0.95 -- of what the sets cover that cover most
local USUAL_S = 2 -- where there is no set of any length

--- One recording, on a worker state.
-- @tparam table item from `extracted.locate`
-- @tparam table o `rate` (frames a second), `share`, `fewest`
-- @treturn[1] {integer,...} frames in windows of sets, by number of `tried`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function length.one(item, o)
   local x, message = extracted.features(item)
   if not x then return nil, message end
   local covered = {}
   for i, seconds in ipairs(length.tried) do
      local window = math.floor(seconds * o.rate + 0.5)
      covered[i] = 0
      for _, set in ipairs(windows.sets(x, {window = window, share = o.share, fewest = o.fewest})) do
         covered[i] = covered[i] + #set.at * window -- no two overlap
      end
   end
   return covered
end

--- The length for recordings.
-- @tparam table c `rows`, `features`, `rate`
-- @tparam table options `share`, `fewest`, `quiet`
-- @treturn number seconds
function length.learn(c, options)
   local items, frames, step = {}, 0, math.max(1, #c.rows / RECORDINGS)
   for k = 0, math.min(#c.rows, RECORDINGS) - 1 do
      local row = c.rows[math.floor(k * step) + 1]
      items[k + 1], frames = search.locate(row, c.features), frames + row.duration_cens
   end
   local sums, chosen = {}, USUAL_S
   for i in ipairs(length.tried) do sums[i] = 0 end
   local bar = progress.new("length", #items, {unit = "recordings", quiet = options.quiet})
   for k, covered in parallel.map(items, "bclua.workflow.discover.length", "one", {rate = c.rate,
      share = options.share, fewest = options.fewest}) do
      for i, n in ipairs(covered or {}) do sums[i] = sums[i] + n end -- who fails here fails again, and is named then
      bar:update(k)
   end
   bar:finish()
   local words, most = {}, math.max(table.unpack(sums))
   for i, seconds in ipairs(length.tried) do
      if most > 0 and sums[i] >= ABOUT * most then chosen = seconds end
      words[i] = ("%g s %.0f %%"):format(seconds, 100 * sums[i] / math.max(1, frames))
   end
   progress.note(("discover: windows of %g s; their sets cover, of the sound of %d recordings: %s%s"):format(chosen,
      #items, table.concat(words, ", "), chosen == length.tried[1] and "; this is the shortest that is tried, so " ..
      "calls may have no common length: compare with --seconds 2" or ""), options.quiet)
   return chosen
end

return length
