--- Which sets of windows of different recordings are one call: those whose spectrograms correlate (Clark, Marler and
-- Beeman, Ethology 1987), at some shift of up to half a window. Unlike the distance within a recording, correlation
-- does not depend on how loud and how even the background is.
-- @module bclua.workflow.discover.join
local array = require "bclua.array"

local join = {}

--- The least correlation of what is one call.
join.alike = 0.85

local PACKED = 64 -- leaders side by side

-- All windows of a set's surroundings, a row each, with mean 0 and length 1; and which row is its first member.
local function windows_of(set, window)
   local list, size = {}, set.around:shape(1) * window
   for first = 1, set.around:shape(2) - window + 1 do
      list[first] = set.around:slice(2, first, first + window - 1):copy("f32"):reshape{1, size}
   end
   local x, n = array.concat(list, 1), #list
   x = x - x:mean(2):reshape{n, 1}:copy("f32")
   return x / ((x * x):sum(2):reshape{n, 1} + 1e-12):sqrt():copy("f32"), set.offset + 1
end

-- The leader that correlates most with any of the windows, and how much; nil: there is none yet.
local function nearest(x, leaders)
   local best, number = -1, nil
   local function look(block, first)
      local r = array.matmul(x, block):max(1)
      if r:max() > best then best, number = r:max(), first + r:argmax() - 1 end
   end
   for k, block in ipairs(leaders.blocks) do look(block, (k - 1) * PACKED + 1) end
   for k, column in ipairs(leaders.rest) do look(column, #leaders.blocks * PACKED + k) end
   return number, best
end

local function add(leaders, column)
   table.insert(leaders.rest, column)
   if #leaders.rest == PACKED then
      table.insert(leaders.blocks, array.concat(leaders.rest, 2))
      leaders.rest = {}
   end
   return #leaders.blocks * PACKED + #leaders.rest
end

--- Number the calls: the largest set begins one, and so does each whose windows do not correlate with the first window
-- of the first set of any.
-- @tparam {table,...} sets with `at` (list), `row` (`source_name`), `number`, `around` (dims, frames): the features of
-- the first window and around it, and `offset`, where in these it begins; each gets its `call`
-- @tparam integer window frames
-- @treturn integer how many calls there are
function join.number(sets, window)
   table.sort(sets, function(a, b)
      if #a.at ~= #b.at then return #a.at > #b.at end
      if a.row.source_name ~= b.row.source_name then return a.row.source_name < b.row.source_name end
      return a.number < b.number
   end)
   local leaders, calls = {blocks = {}, rest = {}}, 0
   for _, set in ipairs(sets) do
      local x, own = windows_of(set, window)
      local number, r = nearest(x, leaders)
      if r >= join.alike then
         set.call = number
      else
         set.call = add(leaders, x:slice(1, own, own):T():copy())
         calls = set.call
      end
   end
   return calls
end

return join
