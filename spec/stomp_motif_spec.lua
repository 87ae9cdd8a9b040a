local array = require "bclua.array"
local profiles = require "support.profiles"
local stomp = require "bclua.stomp"

local inf = math.huge

local walk = profiles.walk

local distance, assert_near = profiles.distance, profiles.assert_near

describe("a profile's neighbor", function()
   local x = walk(1, 120, 40)

   it("takes a frame and gives a frame, and the distance", function()
      local p, q = stomp.self_join(x, 10), stomp.join(x, walk(1, 60, 41), 10)
      for _, profile in ipairs{p, q, stomp.z_self_join(x, 10), stomp.pan(x, {10})[1], stomp.z_pan(x, {10}).best} do
         for frame = 0, 110 do
            local at, d = profile:neighbor(frame)
            assert.same({profile.index[frame + 1], profile.distance[frame + 1]}, {at, d})
            assert.equal("integer", math.type(at))
         end
      end
   end)

   it("is nil, infinitely far, where a window has none", function()
      local p = stomp.self_join(x, 100)
      assert.equal(-1, p.index[1])
      assert.same({n = 2, nil, inf}, table.pack(p:neighbor(0)))
   end)

   it("is the k-th nearest, or the one before and after", function()
      local p, sides = stomp.self_join(x, 10, {k = 3}), stomp.self_join(x, 10, {left_right = true})
      for frame = 0, 110 do
         for k = 1, 3 do
            assert.same({p.indices:at(frame + 1, k), p.distances:at(frame + 1, k)}, {p:neighbor(frame, k)})
         end
         for _, side in ipairs{"left", "right"} do
            local at, d = sides:neighbor(frame, side)
            assert.same({sides[side .. "_index"][frame + 1], sides[side .. "_distance"][frame + 1]}, {at or -1, d})
         end
      end
   end)

   it("says what is wrong with its arguments", function()
      local p, k = stomp.self_join(x, 10), stomp.self_join(x, 10, {k = 2})
      for message, f in pairs{
         ["frame 111 outside 0%.%.110"] = function() return p:neighbor(111) end,
         ["frame %-1 outside 0%.%.110"] = function() return p:neighbor(-1) end,
         ["number has no integer representation"] = function() return p:neighbor(1.5) end,
         ["the profile has no arrays 'indices' and 'distances'"] = function() return p:neighbor(0, 1) end,
         ["the profile has no arrays 'left_index' and 'left_distance'"] = function() return p:neighbor(0, "left") end,
         ["neighbour 3 outside 1%.%.2"] = function() return k:neighbor(0, 3) end,
         ["neighbour 0 outside 1%.%.2"] = function() return k:neighbor(0, 0) end,
         ["invalid option 'up'"] = function() return p:neighbor(0, "up") end,
         ["'index' and 'distance' have different shapes"] = function()
            return p.neighbor({index = p.index, distance = p.distance:slice(1, 1, 5)}, 0)
         end,
      } do
         local ok, text = pcall(f)
         assert.is_false(ok)
         assert.matches(message, text)
      end
   end)

   it("is a method of a table that has only its fields", function()
      local p, names = stomp.self_join(x, 10), {}
      for name in pairs(p) do names[#names + 1] = name end
      table.sort(names)
      assert.same({"distance", "exclusion", "index", "kind", "window"}, names)
      assert.is_nil(rawget(p, "neighbor"))
      p.neighbor = 7
      assert.equal(7, p.neighbor)
      local bare = {distance = p.distance, index = p.index}
      assert.is_nil(bare.neighbor)
      assert.equal(p.index[5], (stomp.merge{bare}:neighbor(4)))
   end)
end)

describe("stomp.motifs and stomp.discords", function()
   local function profile(distances, indices, more)
      local p = {distance = array.from(distances, "f64"), index = array.from(indices, "i64"), window = 2}
      for k, v in pairs(more or {}) do p[k] = v end
      return p
   end

   it("begin with the extremes of the profile", function()
      local p = stomp.self_join(walk(3, 400, 31), 20)
      local distances, low, high = p.distance:table(), 1, 1
      for i, d in ipairs(distances) do
         if d < distances[low] then low = i end
         if d > distances[high] then high = i end
      end
      local m, d = stomp.motifs(p), stomp.discords(p)
      assert.same({{at = low - 1, twin = p.index[low], distance = distances[low]}}, m)
      assert.same({{at = high - 1, twin = p.index[high], distance = distances[high]}}, d)
   end)

   it("do not overlap", function()
      local p = stomp.self_join(walk(3, 600, 32), 20)
      local m, taken = stomp.motifs(p, 5), {}
      assert.equal(5, #m)
      for k, one in ipairs(m) do
         assert.is_true(k == 1 or one.distance >= m[k - 1].distance)
         for _, t in ipairs(taken) do
            assert.is_true(math.abs(t - one.at) > 10 and math.abs(t - one.twin) > 10)
         end
         taken[#taken + 1], taken[#taken + 2] = one.at, one.twin
      end
      local d = stomp.discords(p, 5)
      for k = 2, 5 do
         assert.is_true(d[k].distance <= d[k - 1].distance)
         for l = 1, k - 1 do assert.is_true(math.abs(d[l].at - d[k].at) > 10) end
      end
   end)

   it("take the first on ties and end when nothing is left", function()
      local p = profile({2, 1, 5, 1, 5, 3}, {3, 3, 0, 1, 0, 2}, {exclusion = 1})
      assert.same({{at = 1, twin = 3, distance = 1}}, stomp.motifs(p, 10))
      assert.same({{at = 2, twin = 0, distance = 5}, {at = 4, twin = 0, distance = 5},
         {at = 0, twin = 3, distance = 2}}, stomp.discords(p, 10))
   end)

   it("pass over windows without a neighbour", function()
      local p = profile({inf, 4, inf}, {-1, 2, -1})
      assert.equal(1, stomp.motifs(p)[1].at)
      assert.equal(1, stomp.discords(p)[1].at)
      assert.same({}, stomp.motifs(profile({inf}, {-1})))
      assert.same({}, stomp.discords(profile({inf}, {-1})))
   end)

   it("compare at with at and twin with twin in a join", function()
      local p = profile({1, 9, 9, 9, 2}, {4, 9, 9, 9, 0}, {kind = "join", exclusion = 1})
      assert.equal(4, stomp.motifs(p, 2)[2].at)
      p.kind = "self"
      assert.equal(2, stomp.motifs(p, 2)[2].at)
   end)

   it("want a profile, a count and a zone", function()
      local p = profile({1, 2}, {1, 0})
      assert.error_matches(function() stomp.motifs({}) end,
         "expected a profile with vectors 'distance' and 'index'")
      assert.error_matches(function() stomp.motifs({distance = 1, index = 2}) end,
         "bad argument #1 to 'motifs'")
      assert.error_matches(function() stomp.motifs(p, 0) end, "expected a count of at least 1, got 0")
      p.window = nil
      assert.error_matches(function() stomp.discords(p, 1) end, "option 'exclusion' is missing")
      assert.equal(1, #stomp.discords(p, 1, {exclusion = 3}))
      p.index = array.from({1}, "i64")
      assert.error_matches(function() stomp.motifs(p, 1, {exclusion = 3}) end,
         "'distance' has 2 elements, 'index' 1")
   end)
end)

describe("stomp.matches and stomp.z_matches", function()
   local nan = 0 / 0

   local function matches(z, query, x, options)
      if z then return stomp.z_matches(query[1], x[1], options) end
      return stomp.matches(query, x, options)
   end

   -- The distance of the query to each window, by joins of single windows.
   local function distances(z, query, x)
      local w, list = query:shape(2), {}
      for j = 0, x:shape(2) - w do
         local window = x:slice(2, j + 1, j + w)
         local p = z and stomp.z_join(query[1], window[1], w) or stomp.join(query, window, w)
         list[j + 1] = p.distance[1]
      end
      return list
   end

   it("find the nearest windows that do not overlap", function()
      for _, z in ipairs{false, true} do
         local x = walk(2, 400, 41)
         local query = x:slice(2, 101, 120):copy()
         for d = 1, 2 do
            x:set(d, 300, nan)
            for t = 1, 20 do
               x:set(d, 40 + t, query:at(d, t))
               x:set(d, 220 + t, 0)
            end
         end
         local list, free, expected = distances(z, query, x), {}, {}
         repeat
            local best
            for j, d in ipairs(list) do
               if d < inf and not free[j] and (not best or d < list[best]) then best = j end
            end
            if best then
               expected[#expected + 1] = {at = best - 1, distance = list[best]}
               for j = best - 10, best + 10 do free[j] = true end
            end
         until not best
         local all = matches(z, query, x, {k = 1000, exclusion = 10})
         assert.same(expected, all)
         assert.same({{at = 40, distance = 0}, {at = 100, distance = 0}},
            matches(z, query, x, {k = 2, exclusion = 10}))
         local radius = expected[7].distance
         local near = matches(z, query, x, {radius = radius, exclusion = 10})
         assert.same({table.unpack(expected, 1, 7)}, near)
         assert.same({table.unpack(expected, 1, 3)},
            matches(z, query, x, {radius = radius, k = 3, exclusion = 10}))
         assert.same(matches(z, query, x, {k = 99, exclusion = z and 5 or 10}),
            matches(z, query, x, {k = 99}))
      end
   end)

   it("give all windows without an exclusion, ties to the first", function()
      for _, z in ipairs{false, true} do
         local all = matches(z, array.zeros({1, 4}, "f64"), array.zeros({1, 9}, "f64"),
            {radius = 0, exclusion = 0})
         assert.equal(6, #all)
         for m, one in ipairs(all) do assert.same({at = m - 1, distance = 0}, one) end
         assert.equal(1, #matches(z, array.zeros({1, 4}, "f64"), array.zeros({1, 9}, "f64"),
            {radius = 0, exclusion = math.maxinteger}))
      end
   end)

   it("give nothing to a query with a NaN, and nothing beyond the radius", function()
      for _, z in ipairs{false, true} do
         local x = walk(1, 100, 42)
         local query = x:slice(2, 11, 20):copy()
         query:set(1, 1, query:at(1, 1) + 0.5)
         assert.same({}, matches(z, query, x, {radius = 0}))
         query:set(1, 4, nan)
         assert.same({}, matches(z, query, x, {k = 5}))
      end
   end)

   it("name what they reject", function()
      local x = walk(2, 30, 43)
      local function rejects(text, ...)
         local arguments = table.pack(...)
         assert.error_matches(function() stomp.matches(table.unpack(arguments, 1, arguments.n)) end, text, 1, true)
      end
      rejects("expected an option 'radius' or 'k'", x, x, {})
      rejects("expected an option 'radius' or 'k'", x, x)
      rejects("bad argument #1 to 'matches' (a query of 30 frames is longer than the series, which has 20)",
         x, x:slice(2, 1, 20), {k = 1})
      rejects("bad argument #2 to 'matches' (expected 2 dimensions as in argument 1, got 1)",
         x, walk(1, 30, 44), {k = 1})
      rejects("option 'k' must be at least 1, got 0", x, x, {k = 0})
      rejects("option 'radius' must be at least 0, got -1", x, x, {radius = -1})
      rejects("option 'radius' must be at least 0", x, x, {radius = nan})
      rejects("option 'exclusion' must be at least 0, got -2", x, x, {k = 1, exclusion = -2})
      rejects("unknown option 'count'", x, x, {count = 1})
      assert.error_matches(function() stomp.z_matches(x, x, {k = 1}) end, "expected one dimension, got 2")
   end)
end)

describe("stomp against the reference", function()
   local lfs, json = require "lfs", require "cjson"
   local folders = {}
   local function collect(root)
      if lfs.attributes(root, "mode") ~= "directory" then return end
      for name in lfs.dir(root) do
         local folder = root .. "/" .. name
         if lfs.attributes(folder .. "/mp.npy") then folders[#folders + 1] = folder end
      end
   end
   collect("spec/fixtures/cens")
   local reference = os.getenv("BCLUA_REFERENCE")
   if reference then collect(reference .. "/cens") end
   table.sort(folders)

   local function same_pair(a, b, at, twin)
      return (a == at and b == twin) or (a == twin and b == at)
   end

   for _, folder in ipairs(folders) do
      it("has the profile, motif and discord of " .. folder, function()
         local x = assert(array.load(folder .. "/chroma_cens.npy"))
         local f <close> = assert(io.open(folder .. "/reference.json"))
         local expected = json.decode(f:read("a"))
         local p = stomp.self_join(x, expected.win)
         local brute = stomp.self_join(x, expected.win, {method = "brute"})
         assert_near(brute.distance:table(), p.distance:table(), 1e-9)

         local mp = assert(array.load(folder .. "/mp.npy")):table()
         local pi = assert(array.load(folder .. "/pi.npy")):table()
         local largest = math.max(table.unpack(mp))
         for i = 2, #mp do -- in row 0 the reference's exclusion zone is a frame shorter
            assert.near(mp[i], p.distance[i], 1e-3 * largest)
            if p.index[i] ~= pi[i] then -- a tie within the reference's rounding
               assert.near(p.distance[i], distance(x, i - 1, x, pi[i], expected.win), 1e-4 * largest)
            end
         end
         -- A motif's two windows have the same distance: the reference's
         -- rounding decides which it names first, ours names the first.
         local m, d = stomp.motifs(p)[1], stomp.discords(p)[1]
         assert.is_true(same_pair(m.at, m.twin, expected.motif_0, expected.motif_1))
         assert.equal(expected.discord_0, d.at)
         assert.equal(expected.discord_1, d.twin)
      end)
   end
end)
