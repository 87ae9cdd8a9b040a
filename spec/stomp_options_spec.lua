local array = require "bclua.array"
local command = require "support.command"
local profiles = require "support.profiles"
local sampling = require "bclua.sampling"
local stomp = require "bclua.stomp"

local inf, nan = math.huge, 0 / 0

-- A smoothed random walk a row, with a silence, a repeat and a NaN.
local function series(dims, frames, seed)
   local x = profiles.walk(dims, frames, seed)
   for d = 1, dims do
      for t = frames // 4, frames // 4 + 40 do x:set(d, t, 0) end
      for t = 1, 50 do x:set(d, frames - 60 + t, x:at(d, t + 3)) end
      x:set(d, frames // 2, nan)
   end
   return x
end

local function same(a, b, ...)
   for _, name in ipairs{...} do
      assert(a[name] and b[name], "no " .. name)
      assert(array.equal(a[name], b[name]), "not the same " .. name)
   end
end

-- The four joins, with short names for what they take.
local function self_join(x, w, options) return stomp.self_join(x, w, options) end
local function z_self_join(x, w, options) return stomp.z_self_join(x[1], w, options) end
local function join(x, w, options) return stomp.join(x:slice(2, 1, 150), x, w, options) end
local function z_join(x, w, options) return stomp.z_join(x[1]:slice(1, 1, 150), x[1], w, options) end
local joins = {self_join = self_join, z_self_join = z_self_join, join = join, z_join = z_join}

-- All pairs (distance, index) that window i (from 0) may have, nearest first.
local function all_neighbours(x, i, w, zone, z)
   local n, list = x:shape(2) - w + 1, {}
   for j = 0, n - 1 do
      if math.abs(i - j) > zone then
         local a, b = x:slice(2, i + 1, i + w), x:slice(2, j + 1, j + w)
         local p
         if z then p = stomp.z_join(a[1], b[1], w) else p = stomp.join(a, b, w) end
         if p.index[1] >= 0 then list[#list + 1] = {p.distance[1], j} end
      end
   end
   table.sort(list, function(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end)
   return list
end

describe("stomp option left_right", function()
   it("gives the nearest window before and after each one", function()
      local x, w, zone = series(2, 260, 1), 16, 8
      for _, z in ipairs{false, true} do
         local self = z and z_self_join or self_join
         local p = self(x, w, {left_right = true, exclusion = zone})
         for i = 0, 244, 12 do
            local expected = {left = {inf, -1}, right = {inf, -1}}
            for _, one in ipairs(all_neighbours(x, i, w, zone, z)) do
               local side = one[2] < i and "left" or "right"
               if expected[side][2] < 0 then expected[side] = one end
            end
            for side, one in pairs(expected) do
               assert.equal(one[2], p[side .. "_index"][i + 1])
               assert.near(one[1] < inf and one[1] or 0,
                  one[1] < inf and p[side .. "_distance"][i + 1] or 0, 1e-12)
               if one[1] == inf then assert.equal(inf, p[side .. "_distance"][i + 1]) end
            end
         end
      end
   end)

   it("leaves the profile as it is, and gives the same bits all ways", function()
      local x = series(3, 700, 2)
      for _, self in ipairs{self_join, z_self_join} do
         local expected = self(x, 30, {left_right = true})
         same(expected, self(x, 30), "distance", "index")
         for _, instructions in ipairs(stomp.instructions()) do
            for _, method in ipairs{"filter", "sweep"} do
               local p = self(x, 30, {left_right = true, instructions = instructions, method = method})
               same(expected, p, "distance", "index", "left_distance", "left_index", "right_distance",
                  "right_index")
            end
         end
      end
   end)

   it("has nothing before the first and after the last window", function()
      for _, self in ipairs{self_join, z_self_join} do
         local p = self(series(1, 200, 3), 20, {left_right = true, exclusion = 0})
         assert.same({-1, inf}, {p.left_index[1], p.left_distance[1]})
         assert.same({-1, inf}, {p.right_index[181], p.right_distance[181]})
         p = self(series(1, 200, 3), 20, {left_right = true, exclusion = 1000})
         assert.same({-1, -1}, {p.left_index[90], p.right_index[90]})
      end
   end)

   it("is not for joins of two series, k and the yardstick", function()
      local x = series(1, 200, 4)
      assert.error_matches(function() join(x, 20, {left_right = true}) end, "unknown option 'left_right'")
      assert.error_matches(function() self_join(x, 20, {left_right = true, k = 2}) end,
         "bad argument #3 to 'self_join' (options 'k' and 'left_right' exclude each other)", 1, true)
      assert.error_matches(function() self_join(x, 20, {left_right = true, method = "brute"}) end,
         "method 'brute' has no options 'k', 'left_right' and 'tile'", 1, true)
   end)
end)

describe("stomp option k", function()
   it("gives the k nearest windows outside the zone, nearest first", function()
      local x, w, k = series(2, 240, 5), 12, 5
      for _, z in ipairs{false, true} do
         local self = z and z_self_join or self_join
         local p = self(x, w, {k = k, exclusion = 4})
         assert.same({229, k}, {p.distances:shape(1), p.distances:shape(2)})
         for i = 0, 228, 19 do
            local list = all_neighbours(x, i, w, 4, z)
            for m = 1, k do
               local one = list[m] or {inf, -1}
               assert.equal(one[2], p.indices:at(i + 1, m))
               if one[2] < 0 then assert.equal(inf, p.distances:at(i + 1, m))
               else assert.near(one[1], p.distances:at(i + 1, m), 1e-12) end
            end
         end
      end
   end)

   it("has the profile in its first column", function()
      local x = series(3, 600, 6)
      for _, run in pairs(joins) do
         for _, k in ipairs{1, 4} do
            local p, q = run(x, 25), run(x, 25, {k = k})
            same(p, q, "distance", "index")
            assert.equal(p.distance[100], q.distances:at(100, 1))
            assert.equal(p.index[100], q.indices:at(100, 1))
         end
      end
   end)

   it("gives the same bits with all instructions and methods", function()
      local x = series(3, 600, 7)
      for _, run in pairs(joins) do
         local expected = run(x, 25, {k = 6})
         for _, instructions in ipairs(stomp.instructions()) do
            for _, method in ipairs{"filter", "sweep"} do
               same(expected, run(x, 25, {k = 6, instructions = instructions, method = method}),
                  "distances", "indices")
            end
         end
      end
   end)

   it("fills up with infinity and -1", function()
      for _, run in pairs(joins) do
         local p = run(series(1, 200, 8), 20, {k = 300})
         assert.equal(-1, p.indices:at(5, 300))
         assert.equal(inf, p.distances:at(5, 300))
         assert.equal(-1, p.indices:at(95, 1)) -- a window with a NaN has none
      end
   end)

   it("gives ties to the lowest indices", function()
      for _, self in ipairs{self_join, z_self_join} do
         local p = self(array.zeros({1, 60}, "f64"), 5, {k = 3, exclusion = 2})
         assert.same({3, 4, 5}, p.indices[1]:table())
         assert.same({0, 1, 2}, p.indices[51]:table())
         assert.same({0, 0, 0}, p.distances[51]:table())
      end
   end)

   it("must be at least 1 and at most 10000", function()
      assert.error_matches(function() self_join(series(1, 200, 9), 20, {k = 0}) end,
         "option 'k' must be at least 1, got 0", 1, true)
      assert.error_matches(function() self_join(series(1, 200, 9), 20, {k = 10001}) end,
         "option 'k' must be at most 10000, got 10001", 1, true)
   end)
end)

describe("stomp option tile and stomp.merge", function()
   it("give the whole, bit for bit", function()
      local x = series(3, 900, 10)
      for name, run in pairs(joins) do
         for _, count in ipairs{1, 2, 7} do
            for _, more in ipairs{{k = 3}, {left_right = true}, {}} do
               local is_self = name:find("self") ~= nil
               if is_self or not more.left_right then
                  local whole, tiles = run(x, 30, more), {}
                  for i = 1, count do
                     tiles[i] = run(x, 30, {tile = {i, count}, k = more.k, left_right = more.left_right})
                  end
                  local merged = stomp.merge(tiles)
                  same(whole, merged, "distance", "index")
                  if more.k then same(whole, merged, "distances", "indices") end
                  if more.left_right then
                     same(whole, merged, "left_distance", "left_index", "right_distance", "right_index")
                  end
                  assert.same({whole.window, whole.kind, whole.exclusion},
                     {merged.window, merged.kind, merged.exclusion})
               end
            end
         end
      end
   end)

   it("go on from what was kept in files", function()
      local folder = os.tmpname()
      os.remove(folder)
      local x, kept = series(2, 500, 11), {}
      for i = 1, 3 do
         local p = self_join(x, 20, {tile = {i, 3}})
         assert(array.save(folder .. i .. ".d.npy", p.distance))
         assert(array.save(folder .. i .. ".i.npy", p.index))
      end
      for i = 1, 3 do
         kept[i] = {distance = assert(array.load(folder .. i .. ".d.npy")),
            index = assert(array.load(folder .. i .. ".i.npy"))}
         os.remove(folder .. i .. ".d.npy")
         os.remove(folder .. i .. ".i.npy")
      end
      same(self_join(x, 20), stomp.merge(kept), "distance", "index")
   end)

   it("share the pairs out", function()
      local x = series(1, 500, 12)
      local whole, seen = self_join(x, 20), 0
      for i = 1, 4 do
         local p = self_join(x, 20, {tile = {i, 4}})
         for at, d in ipairs(p.distance:table()) do
            assert.is_true(d >= whole.distance[at])
            if p.index[at] >= 0 and p.index[at] == whole.index[at] then seen = seen + 1 end
         end
         assert.is_false(array.equal(whole.index, p.index))
      end
      assert.is_true(seen >= 460)
   end)

   it("give equal distances to the lowest index, as the whole does", function()
      local g = sampling.generator(71)
      for _, levels in ipairs{1, 2, 4} do
         local x = array.zeros({1, 300}, "f64")
         for t = 1, 300 do x:set(1, t, math.floor(levels * g:normal() + 0.5)) end
         for name, run in pairs(joins) do
            for _, more in ipairs{{}, {k = 4}, name:find "self" and {left_right = true} or {k = 1}} do
               local whole, tiles = run(x, 7, more), {}
               for i = 1, 5 do tiles[i] = run(x, 7, {tile = {i, 5}, k = more.k, left_right = more.left_right}) end
               local merged = stomp.merge(tiles)
               for field in pairs(whole) do
                  if type(whole[field]) == "userdata" then same(whole, merged, field) end
               end
            end
         end
         for i = 0, 293, 7 do
            local first = all_neighbours(x, i, 7, 2, true)[1]
            local p = z_self_join(x, 7)
            assert.same(first, {p.distance[i + 1], p.index[i + 1]})
         end
      end
   end)

   it("may have more tiles than lags", function()
      local x, tiles = series(1, 120, 13), {}
      for i = 1, 40 do tiles[i] = self_join(x, 100, {tile = {i, 40}, exclusion = 5}) end
      same(self_join(x, 100, {exclusion = 5}), stomp.merge(tiles), "distance", "index")
   end)

   it("name what they reject", function()
      local x = series(1, 200, 14)
      for _, tile in ipairs{{0, 2}, {3, 2}, {}, {1}, {"a", 2}} do
         assert.error_matches(function() self_join(x, 20, {tile = tile}) end,
            "option 'tile' must be {i, n} with 1 <= i <= n", 1, true)
      end
      assert.error_matches(function() self_join(x, 20, {tile = 2}) end, "option 'tile' must be a table")
      assert.error_matches(function() stomp.merge{} end, "expected at least one profile")
      assert.error_matches(function() stomp.merge{{}} end, "profile 1 has no arrays 'distance' and 'index'")
      assert.error_matches(function() stomp.merge{1} end, "expected a list of profiles, element 1 is a number")
      assert.error_matches(function() stomp.merge{self_join(x, 20), self_join(x, 21)} end,
         "profile 2: 'distance' and 'index' must have the shapes of profile 1's", 1, true)
   end)
end)

describe("stomp option progress", function()
   it("is told how far it is, and the end", function()
      for _, run in pairs(joins) do
         local calls = {}
         run(series(2, 400, 15), 20, {progress = function(done, total) calls[#calls + 1] = {done, total} end})
         assert.is_true(#calls >= 2)
         assert.equal(0, calls[1][1])
         assert.is_true(calls[1][2] > 0)
         assert.equal(calls[#calls][2], calls[#calls][1])
      end
   end)

   it("leaves the result as it is", function()
      local x = series(2, 400, 16)
      same(self_join(x, 20), self_join(x, 20, {progress = function() end}), "distance", "index")
   end)

   it("ends the join with its error", function()
      for _, run in pairs(joins) do
         local problem = {}
         local ok, e = pcall(run, series(2, 400, 17), 20, {progress = function() error(problem) end})
         assert.is_false(ok)
         assert.equal(problem, e)
      end
   end)

   for _, what in ipairs{"self_join", "z_self_join"} do
      it("is at hand when Ctrl-C stops " .. what .. " within a second", function()
         local dir = command.folder()
         local started = dir .. "/started"
         local script = command.write(dir .. "/join.lua", ([[
            local array, stomp = require "bclua.array", require "bclua.stomp"
            local x = array.zeros({1, 300000}, "f64")
            for t = 1, 300000 do x:set(1, t, math.random()) end
            stomp.%s(x, 100, {progress = function(done)
               if done > 0 then io.open("%s", "w"):close() end
            end})]]):format(what, started))
         local out, status = command.shell(([[
            %s %s & job=$!
            while [ ! -e %s ] && kill -0 $job; do sleep 0.01; done
            begin=$(date +%%s%%N)
            kill -INT $job
            wait $job
            status=$?
            echo took $((($(date +%%s%%N) - begin) / 300000)) ms
            exit $status]]):format(command.program, script, started))
         command.remove(dir)
         assert.equal(130, status, out)
         assert.matches("interrupted!", out)
         assert.is_true(tonumber(out:match("took (%d+) ms")) < 1000 or os.getenv("BCLUA_SANITIZED") ~= nil, out)
      end)
   end

   it("must be a function", function()
      assert.error_matches(function() self_join(series(1, 200, 18), 20, {progress = true}) end,
         "option 'progress' must be a function, got boolean", 1, true)
   end)
end)
