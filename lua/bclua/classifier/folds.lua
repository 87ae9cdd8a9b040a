--- Recordings (or sites) in folds for cross-validation: windows of one are never on both sides.
-- @module bclua.classifier.folds
local sampling = require "bclua.sampling"

local folds = {}

-- The groups of each class's windows, each once, in the order of the rows; of the class first those with fewest.
local function groups_by_class(truth, groups)
   local of = {}
   for k = 1, truth:shape(1) do
      local row, seen = truth[k], {}
      of[k] = {k = k}
      for i = 1, #groups do
         local g = groups[i]
         if row[i] == 1 and not seen[g] then seen[g], of[k][#of[k] + 1] = true, g end
      end
   end
   table.sort(of, function(a, b) return #a < #b or #a == #b and a.k < b.k end)
   return of
end

-- The fold with fewest groups of a class, of equals that with fewest groups, of equals the first.
local function emptiest(own, all)
   local best = 1
   for f = 2, #all do
      if own[f] < own[best] or own[f] == own[best] and all[f] < all[best] then best = f end
   end
   return best
end

local function zeros(n)
   local list = {}
   for i = 1, n do list[i] = 0 end
   return list
end

--- A fold for each group. The groups of a class are spread over as many folds as can be, those of the rarest class
-- first.
-- @tparam array truth f64 (classes, rows): 1 where a row is of a class
-- @tparam array groups i64 (rows), 1..G
-- @tparam integer count of groups, G
-- @tparam integer wanted folds; there are G at most
-- @tparam integer seed of the order in which groups are dealt
-- @treturn {integer,...} the fold of each group
-- @treturn integer how many folds there are
function folds.assign(truth, groups, count, wanted, seed)
   local n, of, generator = math.min(wanted, count), {}, sampling.generator(seed)
   local all = zeros(n)
   local function deal(list)
      local own, order = zeros(n), generator:shuffle(math.max(1, #list))
      for _, g in ipairs(list) do
         if of[g] then own[of[g]] = own[of[g]] + 1 end
      end
      for i = 1, #list do
         local g = list[order[i]]
         if not of[g] then
            local f = emptiest(own, all)
            of[g], own[f], all[f] = f, own[f] + 1, all[f] + 1
         end
      end
   end
   for _, list in ipairs(groups_by_class(truth, groups)) do deal(list) end
   local rest = {}
   for g = 1, count do
      if not of[g] then rest[#rest + 1] = g end
   end
   deal(rest)
   return of, n
end

return folds
