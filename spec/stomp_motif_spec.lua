local array = require "bclua.array"
local stomp = require "bclua.stomp"

local inf = math.huge

-- A smoothed random walk a row: neighbours are alike, as in music.
local function walk(dims, frames, seed)
   math.randomseed(seed)
   local x = array.zeros({dims, frames}, "f64")
   for d = 1, dims do
      local v = 0
      for t = 1, frames do
         v = 0.9 * v + math.random() - 0.5
         x:set(d, t, v)
      end
   end
   return x
end

-- The definition of one distance.
local function distance(a, i, b, j, w)
   local sum = 0
   for d = 1, a:shape(1) do
      for k = 1, w do sum = sum + (a:at(d, i + k) - b:at(d, j + k)) ^ 2 end
   end
   return sum
end

local function assert_near(expected, got, relative)
   assert.equal(#expected, #got)
   for i = 1, #expected do
      local e, g = expected[i], got[i]
      if not (e == g or math.abs(e - g) <= relative * math.abs(e)) then
         error(("element %d: expected %.17g, got %.17g"):format(i, e, g), 2)
      end
   end
end

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
