--- Which sets of windows, and which single ones, of all recordings are one call: those whose spectrograms correlate
-- (Clark, Marler and Beeman, Ethology 1987), at some shift of up to half a window. Unlike the distance within a
-- recording, correlation does not depend on how loud and how even the background is.
-- @module bclua.workflow.discover.join
local array = require "bclua.array"
local learn = require "bclua.learn"
local stomp = require "bclua.stomp"

local join = {}

--- The least correlation of what is one call.
join.alike = 0.8

local DIRECTIONS, LEARNT_FROM = 63, 4000 -- of sketches, see `stomp.alike`; windows, evenly spread

local function directions_of(rows)
   local n, d = rows:shape(1), rows:shape(2)
   local list, count = {}, math.min(n, LEARNT_FROM)
   for k = 0, count - 1 do list[k + 1] = rows:slice(1, k * n // count + 1, k * n // count + 1) end
   return learn.pca(array.concat(list, 1):copy("f64"), {components = math.min(DIRECTIONS, count, d)}).components
end

--- The first windows of all sets, ready to be compared with.
-- @tparam {table,...} sets with `at` (list) and `row`, those of a row one behind the other
-- @tparam integer window frames
-- @tparam function features of a row: (dims, frames), or nil and a message
-- @treturn[1] ?table for `find`; nil: there is no set
-- @treturn[2] nil
-- @treturn[2] string message
function join.table(sets, window, features)
   local rows, x, row = nil, nil, nil
   for i, set in ipairs(sets) do
      if set.row ~= row then
         local message
         row, x, message = set.row, features(set.row)
         if not x then return nil, message end
      end
      rows = rows or array.zeros({#sets, x:shape(1) * window}, "f32")
      rows:slice(1, i, i):fill(stomp.unit_windows(x:slice(2, set.at[1] + 1, set.at[1] + window), window))
   end
   if not rows then return nil end
   local basis = directions_of(rows)
   return {rows = rows, basis = basis, sketches = stomp.sketch(rows, basis)}
end

--- What sets of one recording are alike.
-- @tparam {table,...} sets of it
-- @tparam array x its features
-- @tparam integer window frames
-- @tparam table t from `table`
-- @treturn {table,...} of each set `{[number of another] = correlation}`, and of itself: the largest one with the first
-- window of that, at a shift of up to half a window
function join.find(sets, x, window, t)
   local list, counts, half = {}, {}, window // 2
   for k, set in ipairs(sets) do
      local from, to = math.max(0, set.at[1] - half) + 1, math.min(x:shape(2), set.at[1] + window + half)
      list[k] = stomp.unit_windows(x:slice(2, from, to), window)
      counts[k] = list[k]:shape(1)
   end
   return stomp.alike(array.concat(list, 1), t.rows, {basis = t.basis, sketches = t.sketches, least = join.alike,
      counts = counts})
end

-- The larger correlation of the two ways, and none with itself.
local function both_ways(found)
   for i, of in ipairs(found) do
      of[i] = nil
      local larger = {}
      for j, r in pairs(of) do larger[j] = math.max(r, found[j][i] or r) end
      for j, r in pairs(larger) do of[j], found[j][i] = r, r end
   end
   return found
end

-- How many windows would be one call with each set, and a function that takes sets out.
local function count(sets, of)
   local sums = {}
   for i, set in ipairs(sets) do
      sums[i] = #set.at
      for j in pairs(of[i]) do sums[i] = sums[i] + #sets[j].at end
   end
   return sums, function(i)
      sums[i] = 0
      for j in pairs(of[i]) do
         sums[j], of[j][i] = sums[j] - #sets[i].at, nil
      end
   end
end

--- Number the calls: the set around which there are most windows is the centre of the first, with all that are alike;
-- then the same among what is left (after Lin, Keogh, Lonardi and Patel, 2002).
-- @tparam {table,...} sets with `at` (list); each gets its `call`, and `correlation` with the centre; nil: it is of
-- none
-- @tparam {table,...} found of each set what it is alike to, as from `find`; it is changed
-- @tparam integer fewest windows of a call
-- @treturn integer how many calls there are
function join.number(sets, found, fewest)
   local of, calls = both_ways(found), 0
   local sums, take = count(sets, of)
   local by_sum, most = {}, 0 -- sums only fall: who has a smaller one by now is put below, to wait for its turn
   local function put(i)
      by_sum[sums[i]] = by_sum[sums[i]] or {}
      table.insert(by_sum[sums[i]], i)
   end
   for i, sum in ipairs(sums) do
      put(i)
      most = math.max(most, sum)
   end
   for sum = most, fewest, -1 do
      local list = by_sum[sum] or {}
      table.sort(list, function(a, b)
         if #sets[a].at ~= #sets[b].at then return #sets[a].at > #sets[b].at end
         return a < b
      end)
      for _, i in ipairs(list) do
         if sums[i] == sum then
            calls = calls + 1
            local members = {[i] = 1.0}
            for j, r in pairs(of[i]) do members[j] = r end
            for j, r in pairs(members) do
               sets[j].call, sets[j].correlation = calls, r
               take(j)
            end
         else
            put(i)
         end
      end
   end
   return calls
end

return join
