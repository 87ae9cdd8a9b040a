local array = require "bclua.array"
local command = require "support.command"
local sampling = require "bclua.sampling"
local stomp = require "bclua.stomp"
local system = require "bclua.system"

local function noise(dims, frames, seed)
   local x = sampling.generator(seed):normal(dims * frames)
   return dims == 1 and x or x:reshape{dims, frames}
end

-- The definitions, term by term.
local function plain_distances(x, window, z)
   local rows = {}
   if x:ndim() == 1 then x = x:reshape{1, #x} end
   for d = 1, x:shape(1) do rows[d] = x[d]:table() end
   local n = x:shape(2) - window + 1
   local function normal(row, i)
      local mean, sum, out = 0, 0, {}
      for k = 1, window do mean = mean + row[i + k] / window end
      for k = 1, window do sum = sum + (row[i + k] - mean) ^ 2 end
      local sd = math.sqrt(sum / window)
      for k = 1, window do out[k] = sd > 0 and (row[i + k] - mean) / sd or 0 end
      return out
   end
   local d = {}
   for i = 0, n - 1 do
      d[i] = {}
      for j = 0, n - 1 do
         local sum = 0
         for _, row in ipairs(rows) do
            local a, b = z and normal(row, i), z and normal(row, j)
            for k = 1, window do sum = sum + ((a and a[k] or row[i + k]) - (b and b[k] or row[j + k])) ^ 2 end
         end
         d[i][j] = z and math.sqrt(sum) or sum
      end
   end
   return d, n
end

local function extent_of(d, set)
   local most = 0
   for i = 1, #set do
      for j = 1, i - 1 do most = math.max(most, d[set[i]][set[j]]) end
   end
   return most
end

-- The least extent of any k windows, all of them tried.
local function plain_motiflet(d, n, k, zone)
   local best, set = math.huge, {}
   local function extend(from)
      if #set == k then
         best = math.min(best, extent_of(d, set))
         return
      end
      for i = from, n - 1 do
         set[#set + 1] = i
         if extent_of(d, set) < best then extend(i + zone + 1) end
         set[#set] = nil
      end
   end
   extend(0)
   return best
end

local function check_set(d, set, zone)
   for i, at in ipairs(set.at) do
      if i > 1 then assert.is_true(at - set.at[i - 1] > zone) end
   end
   assert.near(extent_of(d, set.at), set.extent, 1e-9)
end

-- Noise with a shape put into it at some places.
local function planted(dims, frames, seed, places, length)
   local x, shape = noise(dims, frames, seed), noise(dims, length, seed + 1000) * 3
   if dims == 1 then x, shape = x:reshape{1, frames}, shape:reshape{1, length} end
   for _, at in ipairs(places) do
      for d = 1, dims do
         for k = 1, length do x:set(d, at + k, shape[d][k] + 0.3 * x[d][at + k]) end
      end
   end
   return dims == 1 and x[1] or x
end

for _, z in ipairs{false, true} do
   local motiflets = z and stomp.z_motiflets or stomp.motiflets
   local motif_sets = z and stomp.z_motif_sets or stomp.motif_sets
   local name, dims = z and "z_" or "", z and 1 or 2

   describe("stomp." .. name .. "motiflets", function()
      it("is within its bound of the best of all sets, and mostly the best", function()
         local equal, all = 0, 0
         for seed = 1, 6 do
            local x, window, zone = noise(dims, 30, seed), 5, 3
            local d, n = plain_distances(x, window, z)
            local sets = motiflets(x, window, {k_max = 5, exclusion = zone})
            for k = 2, 5 do
               local set, best = sets[k - 1], plain_motiflet(d, n, k, zone)
               assert.equal(k, set.k)
               check_set(d, set, zone)
               assert.is_true(set.least <= best + 1e-9 and best <= set.extent + 1e-9)
               assert.is_true(set.extent <= (z and 2 or 4) * set.least + 1e-9)
               equal, all = equal + (set.extent <= best + 1e-9 and 1 or 0), all + 1
               if k == 2 then assert.near(best, set.extent, 1e-9) end
            end
         end
         assert.is_true(equal >= 0.7 * all)
      end)

      it("finds what was put in, and how often", function()
         local places = {20, 61, 105, 170, 222}
         local x = planted(dims, 300, 3, places, 16)
         local sets, k = motiflets(x, 16, {k_max = 9})
         assert.equal(5, k)
         assert.same(places, sets[4].at)
      end)

      it("is the same for any number of threads, over several blocks of rows", function()
         local usual = system.threads()
         local x, before = planted(dims, 900, 5, {100, 400, 700, 850}, 20), nil
         for _, threads in ipairs{1, 2, 5} do
            system.threads(threads)
            local sets = {motiflets(x, 20, {k_max = 6}), motif_sets(x, 20, {radius = z and 4 or 60})}
            assert.same(before or sets, sets)
            before = sets
         end
         system.threads(usual)
      end)
   end)

   describe("stomp." .. name .. "motif_sets", function()
      -- As the definition says, with the most of each centre by trying all sets.
      local function plain_sets(d, n, radius, fewest, zone)
         local usable, list = {}, {}
         for i = 0, n - 1 do usable[i] = true end
         local function around(i)
            local near = {}
            for j = 0, n - 1 do
               if usable[j] and math.abs(i - j) > zone and d[i][j] <= radius then near[#near + 1] = j end
            end
            return near
         end
         local function most_of(i, near, from, last)
            local best = 0
            for p = from, #near do
               if near[p] - last > zone and math.abs(near[p] - i) > zone then
                  best = math.max(best, 1 + most_of(i, near, p + 1, near[p]))
               end
            end
            return best
         end
         local function greedy(i, near)
            table.sort(near, function(a, b) return d[i][a] < d[i][b] or d[i][a] == d[i][b] and a < b end)
            local set, sum = {}, 0
            for _, j in ipairs(near) do
               local free = true
               for _, m in ipairs(set) do free = free and math.abs(m - j) > zone end
               if free then set[#set + 1], sum = j, sum + d[i][j] end
            end
            return set, sum
         end
         local sums = {}
         for i = 0, n - 1 do sums[i] = select(2, greedy(i, around(i))) end
         while true do
            local best, count
            for i = 0, n - 1 do
               local c = usable[i] and most_of(i, around(i), 1, -zone - 1)
               if c and c > 0 and (not best or c > count or c == count and sums[i] < sums[best]) then
                  best, count = i, c
               end
            end
            if not best then return list end
            local set = greedy(best, around(best))
            if #set + 1 < fewest then return list end
            table.insert(set, 1, best)
            list[#list + 1] = set
            for _, m in ipairs(set) do
               for j = m - zone, m + zone do usable[j] = false end
            end
         end
      end

      it("is what its definition says", function()
         for seed = 1, 5 do
            local x, window, zone = noise(dims, 40, seed), 5, 3
            local d, n = plain_distances(x, window, z)
            local radius = z and 2.2 or 12
            local sets = motif_sets(x, window, {radius = radius, exclusion = zone})
            local want = plain_sets(d, n, radius, 2, zone)
            assert.is_true(#want > 0)
            assert.equal(#want, #sets)
            for s, set in ipairs(sets) do
               assert.same(want[s], set.at)
               for i, at in ipairs(set.at) do assert.near(d[set.at[1]][at], set.distance[i], 1e-6) end
            end
         end
      end)

      it("tells two kinds of call apart", function()
         local x = planted(dims, 400, 7, {10, 120, 190, 300}, 16)
         local other = planted(dims, 400, 8, {60, 230, 350}, 16)
         for _, at in ipairs{60, 230, 350} do
            for d = 1, dims do
               local from, to = dims == 1 and other or other[d], dims == 1 and x or x[d]
               for k = 1, 16 do to[at + k] = from[at + k] end
            end
         end
         local sets = motif_sets(x, 16, {exclusion = 15, radius = z and 1.2 or 15, fewest = 3})
         assert.equal(2, #sets)
         for _, set in ipairs(sets) do table.sort(set.at) end
         assert.same({10, 120, 190, 300}, sets[1].at)
         assert.same({60, 230, 350}, sets[2].at)
         local among = array.full(400 - 15, 1)
         among:slice(1, 180, 400 - 15):fill(0)
         sets = motif_sets(x, 16, {exclusion = 15, radius = z and 1.2 or 15, among = among})
         table.sort(sets[1].at)
         for i, at in ipairs(sets[1].at) do assert.near(({10, 120})[i], at, 1) end
         assert.equal(1, #motif_sets(x, 16, {exclusion = 15, radius = z and 1.2 or 15, sets = 1}))
      end)
   end)
end

describe("stomp.motiflets and motif_sets", function()
   it("leave out what is not finite", function()
      local x = planted(2, 200, 9, {20, 80, 140}, 12)
      x:set(1, 85, 0 / 0)
      for i, at in ipairs(stomp.motiflets(x, 12)[1].at) do assert.near(({20, 140})[i], at, 1) end
      x:fill(0 / 0)
      assert.same({{}, nil}, {stomp.motiflets(x, 12)})
      assert.same({}, stomp.motif_sets(x, 12, {radius = 1}))
   end)

   it("have as many as there is room for", function()
      local x = noise(1, 30, 1)
      assert.equal(2, #stomp.motiflets(x, 10, {exclusion = 9})) -- k = 2 and 3
      assert.same({{}, nil}, {stomp.motiflets(x, 30)})
      local same = array.zeros{3, 50}
      assert.equal(0, stomp.motiflets(same, 10, {k_max = 3})[2].extent)
      assert.equal(0, stomp.z_motiflets(array.zeros(50), 10, {k_max = 3})[2].extent)
   end)

   it("name what they reject", function()
      local x = noise(2, 30, 1)
      for message, f in pairs{
         ["window 31 outside 1..30"] = function() stomp.motiflets(x, 31) end,
         ["option 'k_max' must be 2..1000, got 1"] = function() stomp.motiflets(x, 5, {k_max = 1}) end,
         ["option 'among': 26 windows expected, got 3"] = function()
            stomp.motiflets(x, 5, {among = array.zeros(3)})
         end,
         ["expected an option 'radius'"] = function() stomp.motif_sets(x, 5) end,
         ["option 'fewest' must be at least 2"] = function() stomp.motif_sets(x, 5, {radius = 1, fewest = 1}) end,
         ["expected one dimension"] = function() stomp.z_motiflets(x, 5) end} do
         local ok, got = pcall(f)
         assert.is_false(ok)
         assert.matches(message, got, 1, true)
      end
   end)

   it("stop at Ctrl-C", function()
      local out, status = command.shell(("timeout -s INT 1 %s -e %s"):format(command.quote(command.program),
         command.quote([[local s = require "bclua.stomp"
            s.motiflets(require("bclua.sampling").generator(1):normal(60000), 50)]])))
      assert.is_true(status ~= 0, out)
      assert.matches("interrupted", out)
   end)
end)
