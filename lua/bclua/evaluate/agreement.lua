--- How far two ways to divide the same windows agree: clusters and species, say.
-- @module bclua.evaluate.agreement
local agreement = {}

-- How often each label, and each pair of labels, occurs.
local function count(a, b)
   local of_a, of_b, both = {}, {}, {}
   for i, x in ipairs(a) do
      local y = b[i]
      of_a[x], of_b[y] = (of_a[x] or 0) + 1, (of_b[y] or 0) + 1
      both[x] = both[x] or {}
      both[x][y] = (both[x][y] or 0) + 1
   end
   return of_a, of_b, both
end

local function sizes(counts)
   local list = {}
   for _, n in pairs(counts) do list[#list + 1] = n end
   table.sort(list) -- sums in one order give one result
   return list
end

local function entropy(list, n)
   local sum = 0
   for _, k in ipairs(list) do sum = sum - k / n * math.log(k / n) end
   return sum
end

local function mutual_information(of_a, of_b, both, n)
   local terms = {}
   for x, row in pairs(both) do
      for y, k in pairs(row) do terms[#terms + 1] = k / n * math.log(n * k / (of_a[x] * of_b[y])) end
   end
   table.sort(terms)
   local sum = 0
   for _, t in ipairs(terms) do sum = sum + t end
   return sum
end

-- Its mean over all ways to divide the windows into classes of these sizes; how many two classes share is
-- hypergeometric.
local function expected_information(sizes_a, sizes_b, n)
   local lf = {[0] = 0} -- logarithms of factorials
   for i = 1, n do lf[i] = lf[i - 1] + math.log(i) end
   local sum = 0
   for _, a in ipairs(sizes_a) do
      for _, b in ipairs(sizes_b) do
         local fixed = lf[a] + lf[b] + lf[n - a] + lf[n - b] - lf[n]
         for k = math.max(1, a + b - n), math.min(a, b) do
            local chance = math.exp(fixed - lf[k] - lf[a - k] - lf[b - k] - lf[n - a - b + k])
            sum = sum + k / n * math.log(n * k / (a * b)) * chance
         end
      end
   end
   return sum
end

--- Adjusted mutual information (Vinh, Epps & Bailey, 2010), divided by the mean of both entropies, as in
-- scikit-learn: 1 where both divide the windows alike, about 0 where they agree by chance, whatever the number of
-- classes.
-- @tparam list a labels, of any kind
-- @tparam list b as many
-- @treturn number
-- @raise if there are none, or not as many
-- @usage agreement.adjusted_mutual_information({1, 1, 2, 2}, {"x", "x", "y", "y"}) --> 1.0
function agreement.adjusted_mutual_information(a, b)
   if #a ~= #b then error(("%d labels and %d labels"):format(#a, #b), 2) end
   if #a == 0 then error("no labels", 2) end
   local of_a, of_b, both = count(a, b)
   local sizes_a, sizes_b, n = sizes(of_a), sizes(of_b), #a
   if #sizes_a == #sizes_b and (#sizes_a == 1 or #sizes_a == n) then return 1.0 end
   local expected = expected_information(sizes_a, sizes_b, n)
   local most = (entropy(sizes_a, n) + entropy(sizes_b, n)) / 2
   local room = most - expected
   if math.abs(room) < 1e-15 then return 0.0 end
   return (mutual_information(of_a, of_b, both, n) - expected) / room
end

return agreement
