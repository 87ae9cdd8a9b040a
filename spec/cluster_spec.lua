local array = require "bclua.array"
local cluster = require "bclua.cluster"
local sampling = require "bclua.sampling"
local system = require "bclua.system"

-- The same from the definitions, step by step, for a few rows.
local twin = {}

function twin.squares(x)
   local rows, d = x:table(), {}
   for i, a in ipairs(rows) do
      d[i] = {}
      for j, b in ipairs(rows) do
         local sum = 0
         for c = 1, #a do sum = sum + (a[c] - b[c]) ^ 2 end
         d[i][j] = sum
      end
   end
   return d
end

function twin.reach(x, least)
   local d, core = twin.squares(x), {}
   for i, row in ipairs(d) do
      local sorted = table.move(row, 1, #row, 1, {})
      table.sort(sorted)
      core[i] = sorted[math.min(least, #sorted)]
   end
   for i, row in ipairs(d) do
      for j, v in ipairs(row) do row[j] = math.max(v, core[i], core[j]) end
   end
   return d
end

-- The components of some rows, joined where they are nearer than t.
local function components(rows, d, t)
   local parts, seen = {}, {}
   for _, row in ipairs(rows) do
      if not seen[row] then
         local part, at = {row}, 1
         seen[row] = true
         while part[at] do
            for _, other in ipairs(rows) do
               if not seen[other] and d[part[at]][other] < t then
                  seen[other] = true
                  part[#part + 1] = other
               end
            end
            at = at + 1
         end
         parts[#parts + 1] = part
      end
   end
   return parts
end

-- The largest distance at which these rows come apart, and into what.
local function come_apart(rows, d)
   local heights = {}
   for _, a in ipairs(rows) do
      for _, b in ipairs(rows) do
         if a ~= b then heights[#heights + 1] = d[a][b] end
      end
   end
   table.sort(heights)
   local low, high = 1, #heights -- at `low` they come apart, above `high` they do not
   while low < high do
      local middle = (low + high + 1) // 2
      if #components(rows, d, heights[middle]) > 1 then low = middle else high = middle - 1 end
   end
   return heights[low], components(rows, d, heights[low])
end

local function grow(c, rows, d, least)
   if #rows < 2 then return end
   local h, parts = come_apart(rows, d)
   local density = math.min(1 / math.sqrt(h), 1e150)
   local large = 0
   for _, part in ipairs(parts) do large = large + (#part >= least and 1 or 0) end
   for _, part in ipairs(parts) do
      if #part < least or large > 1 then
         c.stability = c.stability + #part * (density - c.birth)
         c.death = math.max(c.death, density)
      end
      if #part < least then
         for _, row in ipairs(part) do c.leaves[row] = density end
      elseif large > 1 then
         local child = {birth = density, death = density, stability = 0, rows = part, leaves = {}}
         c[#c + 1] = child
         grow(child, part, d, least)
      else
         grow(c, part, d, least)
      end
   end
end

local function choose(c, is_root)
   local chosen, sum = {}, 0
   for _, child in ipairs(c) do
      local below, s = choose(child)
      table.move(below, 1, #below, #chosen + 1, chosen)
      sum = sum + s
   end
   if is_root or sum > c.stability then return chosen, sum end
   return {c}, c.stability
end

local function last_density(c, row)
   if c.leaves[row] then return c.leaves[row] end
   for _, child in ipairs(c) do
      local density = last_density(child, row)
      if density then return density end
   end
end

function twin.hdbscan(x, least)
   local rows, root = {}, {birth = 0, death = 0, stability = 0, leaves = {}}
   for i = 1, x:shape(1) do rows[i] = i end
   grow(root, rows, twin.reach(x, least), least)
   local chosen, r = choose(root, true), {labels = {}, probability = {}, stability = {}}
   for _, c in ipairs(chosen) do table.sort(c.rows) end
   table.sort(chosen, function(a, b)
      return #a.rows > #b.rows or #a.rows == #b.rows and a.rows[1] < b.rows[1]
   end)
   for i in ipairs(rows) do r.labels[i], r.probability[i] = 0, 0 end
   for k, c in ipairs(chosen) do
      r.stability[k] = c.stability
      for _, row in ipairs(c.rows) do
         r.labels[row], r.probability[row] = k, math.min(last_density(c, row) / c.death, 1)
      end
   end
   return r
end

describe("cluster.hdbscan", function()
   local function compare(x, least)
      local found, plain = cluster.hdbscan(x, {least = least}), twin.hdbscan(x, least)
      assert.same(plain.labels, found.labels:table())
      for i, p in ipairs(plain.probability) do assert.near(p, found.probability[i], 1e-12) end
      assert.equal(#plain.stability, #found.stability)
      for k, s in ipairs(plain.stability) do assert.near(s, found.stability[k], 1e-9 * s) end
      return found
   end

   -- Clouds of several widths around points of a grid, and as many rows anywhere.
   local function clouds(n, seed)
      local g = sampling.generator(seed)
      local x, place = g:normal(3 * n):copy("f64"):reshape{n, 3}, g:uniform(3 * n):copy("f64"):reshape{n, 3}
      for i = 1, n do
         local kind = i % 4
         local scale = kind == 0 and place[i] * 20 or x[i] * (0.2 * kind) + 5 * kind
         x[i]:fill(scale)
      end
      return x
   end

   it("is what the definitions say", function()
      local most = 0
      for seed = 1, 3 do
         for _, least in ipairs{2, 4, 9} do most = math.max(most, #compare(clouds(50, seed), least).sizes) end
      end
      assert.is_true(most >= 3)
   end)

   it("is so where most distances are equal", function()
      for seed = 1, 3 do
         local grid = sampling.generator(seed):uniform(100):copy("f64"):reshape{50, 2}
         for i = 1, 50 do
            for c = 1, 2 do grid:set(i, c, grid:at(i, c) * 7 // 1) end
         end
         for _, least in ipairs{2, 3, 5} do compare(grid, least) end
      end
   end)

   it("finds clouds of different density, and leaves the rest", function()
      local found = cluster.hdbscan(clouds(400, 1), {least = 15})
      assert.equal(3, #found.sizes)
      for i = 1, 400 do
         if i % 4 > 0 and i > 8 then assert.equal(found.labels[i % 4 + 4], found.labels[i]) end
      end
   end)

   it("does not depend on the order of the rows", function()
      local x = clouds(300, 2)
      local a, order = cluster.hdbscan(x, {least = 8}), sampling.generator(3):shuffle(300)
      local y = array.zeros({300, 3}, "f64")
      for i = 1, 300 do y[i]:fill(x[order[i]]) end
      local b, name = cluster.hdbscan(y, {least = 8}), {}
      for i = 1, 300 do
         local label = a.labels[order[i]]
         name[label] = name[label] or b.labels[i]
         assert.equal(name[label], b.labels[i])
         assert.equal(a.probability[order[i]], b.probability[i])
      end
   end)

   it("is the same to the bit on any number of threads, and by any instructions", function()
      local x = clouds(3000, 4)
      local now, level = system.threads(), system.instructions()
      system.threads(1)
      local one = cluster.hdbscan(x)
      system.threads(3)
      system.instructions("plain")
      local three = cluster.hdbscan(x)
      system.threads(now)
      system.instructions(level)
      assert.is_true(array.equal(one.labels, three.labels))
      assert.is_true(array.equal(one.probability, three.probability))
      assert.same(one.stability, three.stability)
   end)

   it("by cosine looks at directions only", function()
      local x = clouds(60, 5)
      local y = x:copy()
      for i = 1, 60 do
         local length = math.sqrt((x[i] * x[i]):sum())
         y[i]:fill(x[i] / length)
         x[i]:fill(x[i] * (i % 7 + 0.5))
      end
      assert.same(twin.hdbscan(y, 5).labels, cluster.hdbscan(x, {least = 5, metric = "cosine"}).labels:table())
   end)

   it("takes no rows, one row, equal rows, and a row of zeros", function()
      assert.equal(0, #cluster.hdbscan(array.zeros({0, 3})).labels)
      assert.same({0}, cluster.hdbscan(array.zeros({1, 3})).labels:table())
      local equal = cluster.hdbscan(array.full({30, 2}, 3), {metric = "cosine"})
      assert.equal(0, equal.labels:max())
      local twice = array.zeros({30, 2})
      twice:slice(1, 1, 12):fill(1)
      assert.same({18, 12}, cluster.hdbscan(twice, {least = 5}).sizes:table())
   end)

   it("names what it rejects", function()
      local x = array.zeros({4, 2})
      x:set(3, 2, 0 / 0)
      assert.error_matches(function() cluster.hdbscan(x) end, "row 3: a value of")
      assert.error_matches(function() cluster.hdbscan(array.zeros({4, 0})) end, "no columns")
      assert.error_matches(function() cluster.hdbscan(array.zeros({4, 2}), {least = 1}) end, "least")
   end)
end)

-- t-SNE by the formulas of van der Maaten & Hinton, all rows being neighbours, from the same start.
function twin.affinities(x, perplexity)
   local d, p, n = twin.squares(x), {}, x:shape(1)
   for i = 1, n do
      local low, high, beta, row = 0, math.huge, 1, nil
      for _ = 1, 200 do
         local sum, entropy = 0, 0
         row = {}
         for j = 1, n do row[j] = j == i and 0 or math.exp(-beta * d[i][j]); sum = sum + row[j] end
         for j = 1, n do
            row[j] = row[j] / sum
            if row[j] > 0 then entropy = entropy - row[j] * math.log(row[j]) end
         end
         if entropy > math.log(perplexity) then low = beta else high = beta end
         beta = high == math.huge and beta * 2 or (low + high) / 2
      end
      p[i] = row
   end
   local both = {}
   for i = 1, n do
      both[i] = {}
      for j = 1, n do both[i][j] = (p[i][j] + p[j][i]) / (2 * n) end
   end
   return both
end

-- The loss that t-SNE makes small: how far the affinities on the map are from those of the rows.
function twin.divergence(p, place)
   local d, z, loss = twin.squares(place), 0, 0
   for i, row in ipairs(d) do
      for j, v in ipairs(row) do
         if i ~= j then z = z + 1 / (1 + v) end
      end
   end
   for i, row in ipairs(d) do
      for j, v in ipairs(row) do
         if i ~= j then loss = loss + p[i][j] * math.log(p[i][j] * z * (1 + v)) end
      end
   end
   return loss
end

describe("cluster.tsne", function()
   local function rows(n, d, seed) return sampling.generator(seed):normal(n * d):copy("f64"):reshape{n, d} end

   it("ends where no point can be moved to advantage", function()
      local x = rows(13, 4, 2)
      local p, place = twin.affinities(x, 4), cluster.tsne(x)
      local least = twin.divergence(p, place)
      assert.is_true(least < 0.6 * twin.divergence(p, rows(13, 2, 3)))
      for i = 1, 13 do
         for c = 1, 2 do
            local at = place:at(i, c)
            place:set(i, c, at + 1e-3)
            local up = twin.divergence(p, place)
            place:set(i, c, at - 1e-3)
            local down = twin.divergence(p, place)
            place:set(i, c, at)
            assert.near(0, (up - down) / 2e-3, 2e-4)
         end
      end
   end)

   it("keeps clouds apart", function()
      local x = rows(120, 10, 1)
      for i = 1, 120 do x[i]:fill(x[i] + 8 * (i % 3)) end
      local place = cluster.tsne(x, {perplexity = 10})
      local found = cluster.hdbscan(place, {least = 20})
      assert.same({40, 40, 40}, found.sizes:table())
      for i = 4, 120 do assert.equal(found.labels[i - 3], found.labels[i]) end
   end)

   it("is the same to the bit on any number of threads, and by any instructions", function()
      local x, now, level = rows(150, 5, 4), system.threads(), system.instructions()
      system.threads(1)
      local one = cluster.tsne(x, {metric = "cosine"})
      system.threads(3)
      system.instructions("plain")
      local three = cluster.tsne(x * 4, {metric = "cosine"})
      system.threads(now)
      system.instructions(level)
      assert.is_true(array.equal(one, three))
   end)

   it("takes no rows, few, equal ones, and one column", function()
      assert.same({0, 2}, cluster.tsne(array.zeros({0, 3})):shape())
      assert.same({{0, 0}}, cluster.tsne(array.full({1, 3}, 2)):table())
      assert.same({2, 2}, cluster.tsne(rows(2, 3, 1)):shape())
      assert.is_true(cluster.tsne(rows(40, 1, 1)):is_finite())
      assert.equal(0, cluster.tsne(array.full({20, 2}, 5)):abs():max())
   end)
end)
