--- How well sets of windows agree with the true ones: PROM (Van Wesenbeeck, Yurtman, Meert and Blockeel: LoCoMotif,
-- Data Mining and Knowledge Discovery 2024).
--
-- A found window is a true one where they overlap by more than half of what both cover; each is taken once. Found and
-- true sets are matched one to one so that most windows agree, and what agrees within matched sets counts.
-- @module bclua.evaluate.prom
local prom = {}

local function overlap(a, b)
   local common = math.min(a[2], b[2]) - math.max(a[1], b[1])
   return common > 0 and common / (math.max(a[2], b[2]) - math.min(a[1], b[1])) or 0
end

-- The pairs of windows that agree, those that overlap most first.
local function agreeing(truth, found)
   local list = {}
   for i, set in ipairs(truth) do
      for p, a in ipairs(set) do
         for j, other in ipairs(found) do
            for q, b in ipairs(other) do
               local share = overlap(a, b)
               if share > 0.5 then list[#list + 1] = {share = share, i = i, p = p, j = j, q = q} end
            end
         end
      end
   end
   table.sort(list, function(x, y)
      if x.share ~= y.share then return x.share > y.share end
      if x.i ~= y.i then return x.i < y.i end
      if x.p ~= y.p then return x.p < y.p end
      if x.j ~= y.j then return x.j < y.j end
      return x.q < y.q
   end)
   return list
end

-- How many windows of true set i are found in set j: counts[i][j].
local function count(truth, found)
   local counts, taken = {}, {}
   for i = 1, #truth do
      counts[i] = {}
      for j = 1, #found do counts[i][j] = 0 end
   end
   for _, x in ipairs(agreeing(truth, found)) do
      local a, b = ("t%d %d"):format(x.i, x.p), ("f%d %d"):format(x.j, x.q)
      if not taken[a] and not taken[b] then
         taken[a], taken[b] = true, true
         counts[x.i][x.j] = counts[x.i][x.j] + 1
      end
   end
   return counts
end

-- The most of one entry a row and a column (Kuhn 1955, Munkres 1957), rows at most as many as columns.
local function assign(counts, rows, columns)
   local u, v, of, way = {}, {}, {}, {}
   for i = 0, rows do u[i] = 0 end
   for j = 0, columns do v[j], of[j] = 0, 0 end
   for i = 1, rows do
      local at, least, used = 0, {}, {}
      of[0] = i
      for j = 0, columns do least[j], used[j] = math.huge, false end
      repeat
         used[at] = true
         local row, delta, next_at = of[at], math.huge, nil
         for j = 1, columns do
            if not used[j] then
               local cost = -counts[row][j] - u[row] - v[j]
               if cost < least[j] then least[j], way[j] = cost, at end
               if least[j] < delta then delta, next_at = least[j], j end
            end
         end
         for j = 0, columns do
            if used[j] then
               u[of[j]], v[j] = u[of[j]] + delta, v[j] - delta
            else
               least[j] = least[j] - delta
            end
         end
         at = next_at
      until of[at] == 0
      repeat
         local from = way[at]
         of[at] = of[from]
         at = from
      until at == 0
   end
   local sum = 0
   for j = 1, columns do sum = sum + (of[j] > 0 and counts[of[j]][j] or 0) end
   return sum
end

local function transposed(counts, rows, columns)
   local t = {}
   for j = 1, columns do
      t[j] = {}
      for i = 1, rows do t[j][i] = counts[i][j] end
   end
   return t
end

--- Judge sets.
-- @tparam {table,...} truth true sets, each a list of windows `{start, end}`
-- @tparam {table,...} found
-- @treturn table `precision`: what agrees, of all that was found; `recall`: of all that is true; `f1`; and the numbers
-- behind them, `agreeing`, `found`, `true`
function prom.judge(truth, found)
   local r = {found = 0, ["true"] = 0}
   for _, set in ipairs(truth) do r["true"] = r["true"] + #set end
   for _, set in ipairs(found) do r.found = r.found + #set end
   local counts, rows, columns = count(truth, found), #truth, #found
   if rows > columns then counts, rows, columns = transposed(counts, rows, columns), columns, rows end
   r.agreeing = rows > 0 and assign(counts, rows, columns) or 0
   return prom.of(r)
end

--- Precision, recall and F1 of numbers, which may be sums over recordings.
-- @tparam table r `agreeing`, `found`, `true`
-- @treturn table r
function prom.of(r)
   r.precision = r.found > 0 and r.agreeing / r.found or 0
   r.recall = r["true"] > 0 and r.agreeing / r["true"] or 0
   r.f1 = r.agreeing > 0 and 2 * r.precision * r.recall / (r.precision + r.recall) or 0
   return r
end

return prom
