--- Which sets of windows, and which single ones, of all recordings are one call: those whose spectrograms correlate
-- (Clark, Marler and Beeman, Ethology 1987), at some shift of up to half a window. Unlike the distance within a
-- recording, correlation does not depend on how loud and how even the background is.
-- @module bclua.workflow.discover.join
local array = require "bclua.array"
local progress = require "bclua.progress"

local join = {}

--- The least correlation of what is one call.
join.alike = 0.8

local PACKED = 4096 -- centres side by side

-- All windows of features, a row each, with mean 0 and length 1.
local function windows_of(x, window)
   local list, size, n = {}, x:shape(1) * window, x:shape(2) - window + 1
   for first = 1, n do list[first] = x:slice(2, first, first + window - 1):copy("f32"):reshape{1, size} end
   local rows = array.concat(list, 1)
   rows = rows - rows:mean(2):reshape{n, 1}:copy("f32")
   return rows / ((rows * rows):sum(2):reshape{n, 1} + 1e-12):sqrt():copy("f32")
end

-- The first windows of all sets as columns, PACKED a block; and of each set the features around it.
local function read(sets, window, features)
   local around, columns, blocks, x, row = {}, {}, {}, nil, nil
   for i, set in ipairs(sets) do
      if set.row ~= row then
         local message
         row, x, message = set.row, features(set.row)
         if not x then return nil, message end
      end
      local at, half = set.at[1], window // 2
      around[i] = x:slice(2, math.max(0, at - half) + 1, math.min(x:shape(2), at + window + half)):copy("f32")
      columns[#columns + 1] = windows_of(x:slice(2, at + 1, at + window), window):T()
      if #columns == PACKED or i == #sets then blocks[#blocks + 1], columns = array.concat(columns, 2), {} end
   end
   return around, blocks
end

-- Of each set those that are alike: the larger correlation of the two ways.
local function neighbors(around, blocks, window, quiet)
   local of, bar = {}, progress.new("join", #around, {unit = "windows", quiet = quiet})
   for i = 1, #around do of[i] = {} end
   for i, x in ipairs(around) do
      local rows = windows_of(x, window)
      for b, block in ipairs(blocks) do
         local r = array.matmul(rows, block):max(1)
         if r:max() >= join.alike then
            for k, value in ipairs(r:table()) do
               local j = (b - 1) * PACKED + k
               if value >= join.alike and j ~= i then
                  of[i][j] = math.max(of[i][j] or -1, value)
                  of[j][i] = of[i][j]
               end
            end
         end
      end
      bar:update(i)
   end
   bar:finish()
   return of
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
-- then the same among what is left (after Lin, Keogh, Lonardi and Patel, 2002). All pairs are compared: for n sets and
-- windows of w frames and d dimensions n^2 * w^2 * d steps.
-- @tparam {table,...} sets with `at` (list) and `row`, those of a row one behind the other; each gets its `call`, and
-- `correlation` with the centre; nil: it is of none
-- @tparam integer window frames
-- @tparam integer fewest windows of a call
-- @tparam function features of a row: (dims, frames), or nil and a message
-- @tparam boolean quiet no bar
-- @treturn[1] integer how many calls there are
-- @treturn[2] nil
-- @treturn[2] string message
function join.number(sets, window, fewest, features, quiet)
   local around, blocks = read(sets, window, features)
   if not around then return nil, blocks end
   local of, calls = neighbors(around, blocks, window, quiet), 0
   local sums, take = count(sets, of)
   while true do
      local best
      for i, sum in ipairs(sums) do
         if sum >= fewest and (not best or sum > sums[best] or sum == sums[best] and #sets[i].at > #sets[best].at) then
            best = i
         end
      end
      if not best then return calls end
      calls = calls + 1
      local members = {{best, 1.0}}
      for j, r in pairs(of[best]) do members[#members + 1] = {j, r} end
      for _, m in ipairs(members) do
         sets[m[1]].call, sets[m[1]].correlation = calls, m[2]
         take(m[1])
      end
   end
end

return join
