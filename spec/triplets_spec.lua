local array = require "bclua.array"
local chi_square = require "support.chi_square"
local sampling = require "bclua.sampling"

local tally = chi_square.tally

-- group 1: species 10 (recordings 1-3) and 9 (4); group 2: species 20 (5, 6);
-- group 3: species 30 (7), one recording only
local function recordings()
   return {
      group = array.from({1, 1, 1, 1, 2, 2, 3}, "i64"),
      species = array.from({10, 10, 10, 9, 20, 20, 30}, "i64"),
      anchor_s = array.from({3, 4, 5, 6, 7, 8, 9}, "f64"),
      self_s = array.from({13, 14, 15, 16, 17, 18, 19}, "f64"),
      duration_s = array.from({30, 30, 30, 30, 30, 30, 30}, "f64"),
      window_s = 5,
   }
end
local GROUP_OF = {1, 1, 1, 1, 2, 2, 3}

-- Columns of so many triplets as Lua lists.
local function draw(n, options, change)
   local r, o = recordings(), {samples = n, seed = 5}
   if change then change(r) end
   for k, v in pairs(options or {}) do o[k] = v end
   local t = assert(sampling.triplets(r, o))
   local lists = {}
   for name, column in pairs(t) do lists[name] = column:table() end
   return lists, t
end

describe("sampling.triplets", function()
   local n = 60000
   local columns, t = draw(n)

   it("has eight columns of n", function()
      local dtypes = {a = "i32", b = "i32", c = "i32", a_loc = "f64", b_loc = "f64", c_loc = "f64",
         neighbor = "u8", distant = "u8"}
      for name, dtype in pairs(dtypes) do
         assert.equal(dtype, t[name]:dtype())
         assert.equal(n, #t[name])
      end
   end)

   it("gives groups, their species and their recordings equal shares as anchors", function()
      chi_square.check(tally(columns.a), {1 / 18, 1 / 18, 1 / 18, 1 / 6, 1 / 6, 1 / 6, 1 / 3}, "anchors, equal")
   end)

   it("draws neighbour and distant kinds independently, half and half", function()
      local kinds = tally(columns.neighbor, function(kind, i)
         if columns.a[i] ~= 7 then return kind .. " " .. columns.distant[i] end
      end)
      chi_square.check(kinds, {["1 1"] = 1, ["1 2"] = 1, ["2 1"] = 1, ["2 2"] = 1}, "partitions, default")
      assert.same({"self", "group"}, sampling.neighbor_names)
      assert.same({"motif", "clip"}, sampling.distant_names)
   end)

   it("takes a self neighbour from the second window of the same recording", function()
      for i = 1, n do
         assert(columns.a_loc[i] == columns.a[i] + 2)
         if columns.neighbor[i] == 1 then
            assert(columns.b[i] == columns.a[i] and columns.b_loc[i] == columns.a[i] + 12)
         else
            assert(columns.b[i] ~= columns.a[i] and columns.b_loc[i] == columns.b[i] + 2)
            assert(GROUP_OF[columns.b[i]] == GROUP_OF[columns.a[i]])
         end
      end
   end)

   local function neighbors(of, anchor)
      return tally(of.b, function(b, i)
         if of.a[i] == anchor and of.neighbor[i] == 2 then return b end
      end)
   end

   local function distant(of, group)
      return tally(of.c, function(c, i)
         if GROUP_OF[of.a[i]] == group then return c end
      end)
   end

   it("gives the species of a group equal shares as neighbours, without the anchor", function()
      chi_square.check(neighbors(columns, 1), {[2] = 1, [3] = 1, [4] = 2}, "neighbours of 1, equal")
      chi_square.check(neighbors(columns, 2), {[1] = 1, [3] = 1, [4] = 2}, "neighbours of 2, equal")
      chi_square.check(neighbors(columns, 4), {1, 1, 1}, "neighbours of 4, equal")
      assert.same({}, neighbors(columns, 7)) -- a group of one recording has none
      assert.same({[6] = neighbors(columns, 5)[6]}, neighbors(columns, 5))
   end)

   it("gives the other groups equal shares as distant ones", function()
      chi_square.check(distant(columns, 1), {[5] = 1, [6] = 1, [7] = 2}, "distant of group 1, equal")
      chi_square.check(distant(columns, 2), {1, 1, 1, 3, [7] = 6}, "distant of group 2, equal")
      chi_square.check(distant(columns, 3), {1, 1, 1, 3, 3, 3}, "distant of group 3, equal")
   end)

   it("puts clips evenly where a whole window fits", function()
      local bins = tally(columns.c_loc, function(loc, i)
         if columns.distant[i] == 1 then
            assert(loc == columns.c[i] + 2)
            return nil
         end
         assert(loc >= 2.5 and loc <= 27.5)
         return math.min(9, math.floor((loc - 2.5) / 2.5))
      end)
      local shares = {}
      for k = 0, 9 do shares[k] = 1 end
      chi_square.check(bins, shares, "clips")
   end)

   it("shares draws by the number of recordings, or by its root", function()
      local natural = draw(n, {shares = "natural"})
      chi_square.check(tally(natural.a), {1, 1, 1, 1, 1, 1, 1}, "anchors, natural")
      chi_square.check(neighbors(natural, 1), {[2] = 1, [3] = 1, [4] = 1}, "neighbours of 1, natural")
      chi_square.check(distant(natural, 2), {1, 1, 1, 1, [7] = 1}, "distant of group 2, natural")
      local root = draw(n, {shares = "sqrt"})
      local s2, s3 = math.sqrt(2), math.sqrt(3)
      -- group 1 has 4 recordings in species of 3 and 1: weight 2, of which species 10 has s3 / (s3 + 1)
      local one, alone = 2 * s3 / (s3 + 1) / 3, 2 / (s3 + 1)
      chi_square.check(tally(root.a), {one, one, one, alone, s2 / 2, s2 / 2, 1}, "anchors, sqrt")
      chi_square.check(neighbors(root, 1), {[2] = s2 / 2, [3] = s2 / 2, [4] = 1}, "neighbours of 1, sqrt")
      chi_square.check(distant(root, 1), {[5] = s2 / 2, [6] = s2 / 2, [7] = 1}, "distant of group 1, sqrt")
   end)

   it("leaves the anchor out of its species, wherever that stands among the others", function()
      -- one group of four species with 2, 3, 1 and 4 recordings, and another group
      local sizes, r = {2, 3, 1, 4}, {group = {}, species = {}, window_s = 5}
      for species, size in ipairs(sizes) do
         for _ = 1, size do table.insert(r.species, species) end
      end
      for i = 1, 10 do r.group[i] = 1 end
      r.species[11], r.group[11] = 5, 2
      local of = r.species
      r.species, r.group = array.from(r.species, "i64"), array.from(r.group, "i64")
      for _, name in ipairs({"anchor_s", "self_s", "duration_s"}) do r[name] = array.full(11, 9, "f64") end
      for _, shares in ipairs({"equal", "natural", "sqrt"}) do
         local f = {equal = function(k) return math.min(k, 1) end, natural = function(k) return k end, sqrt = math.sqrt}
         local drawn = sampling.triplets(r, {samples = 120000, seed = 2, shares = shares, mixture = {0, 0, 1, 0}})
         local a, b = drawn.a:table(), drawn.b:table()
         for _, anchor in ipairs({1, 4, 6, 10}) do
            local expected = {}
            for i = 1, 10 do
               local left = sizes[of[i]] - (of[i] == of[anchor] and 1 or 0)
               expected[i] = i ~= anchor and f[shares](left) / left or 0
            end
            chi_square.check(tally(b, function(i, k) if a[k] == anchor then return i end end), expected,
               ("neighbours of %d among four species, %s"):format(anchor, shares))
         end
      end
   end)

   it("mixes the four partitions as told", function()
      local function kinds(mixture)
         local mixed = draw(20000, {mixture = mixture})
         return tally(mixed.neighbor, function(kind, i)
            if mixed.a[i] ~= 7 then return kind .. " " .. mixed.distant[i] end
         end)
      end
      chi_square.check(kinds({1, 2, 3, 4}), {["1 1"] = 1, ["1 2"] = 2, ["2 1"] = 3, ["2 2"] = 4}, "mixture 1,2,3,4")
      chi_square.check(kinds({0, 0.3, 0.7, 0}), {["1 2"] = 3, ["2 1"] = 7}, "mixture 0,0.3,0.7,0")
      for kind in pairs(kinds({0, 0, 0, 5})) do assert.equal("2 2", kind) end
   end)

   it("never takes the anchor's own recording when told so, and no anchor of a group of one", function()
      local own = draw(n, {exclude_own = true})
      for i = 1, n do assert(own.a[i] ~= own.b[i] and own.neighbor[i] == 2) end
      chi_square.check(tally(own.a), {1 / 6, 1 / 6, 1 / 6, 1 / 2, 1 / 2, 1 / 2}, "anchors, exclude_own")
      chi_square.check(distant(own, 1), {[5] = 1, [6] = 1, [7] = 2}, "distant of group 1, exclude_own")
      local none, message = sampling.triplets({group = array.from({1, 2}, "i64"), species = array.from({1, 2}, "i64"),
         anchor_s = array.zeros(2), self_s = array.zeros(2), duration_s = array.zeros(2), window_s = 5},
         {samples = 1, exclude_own = true})
      assert.is_nil(none)
      assert.matches("no group has two recordings", message)
   end)

   it("replaces self neighbours that are too near by ones of the group", function()
      local function nearer(r)
         r.self_s[1] = 7.9 -- 4.9 s from its anchor
         r.self_s[2] = 9 -- 5 s
         r.self_s[3] = -1
         r.self_s[7] = 10
      end
      local apart = draw(n, {self_distance_s = 5}, nearer)
      local kinds = tally(apart.neighbor, function(kind, i) return apart.a[i] .. " " .. kind end)
      assert.same({nil, nil}, {kinds["1 1"], kinds["3 1"]})
      chi_square.check({kinds["2 1"], kinds["2 2"]}, {1, 1}, "kinds of 2, self_distance")
      assert.is_true(kinds["7 1"] > 0 and not kinds["7 2"]) -- it has nobody else
   end)

   it("pairs no window with itself while the group has another recording", function()
      local drawn = draw(20000, nil, function(r)
         r.anchor_s[1], r.self_s[1] = -1, -1
         r.self_s[2] = r.anchor_s[2]
         r.self_s[7] = r.anchor_s[7]
      end)
      local kinds = tally(drawn.neighbor, function(kind, i) return drawn.a[i] .. " " .. kind end)
      assert.same({nil, nil, nil}, {kinds["1 1"], kinds["2 1"], kinds["7 2"]})
      assert.is_true(kinds["3 1"] > 0 and kinds["7 1"] > 0)
   end)

   it("keeps clips away from the windows, where there is room", function()
      -- of recording 5 to 7 windows are at 7 and 17, 8 and 18, 9 and 19
      local far = draw(n, {clip_distance_s = 4, mixture = {0, 1, 0, 0}})
      local bins = tally(far.c_loc, function(loc, i)
         if far.c[i] ~= 7 then return nil end
         assert(math.abs(loc - 9) >= 4 - 1e-9 and math.abs(loc - 19) >= 4 - 1e-9, loc)
         return loc <= 5 and 1 or loc < 16 and 2 or 3
      end)
      chi_square.check(bins, {2.5, 2, 4.5}, "clips apart: 2.5..5, 13..15, 23..27.5")
      local nowhere = draw(20000, {clip_distance_s = 15, mixture = {0, 1, 0, 0}})
      local least = math.min(table.unpack(nowhere.c_loc, 1, 200))
      assert.is_true(least >= 2.5 and least < 4) -- from anywhere
   end)

   describe("where recordings are silent", function()
      -- recording 7 of 30 s: silent but for 10..13, 14..16.6 and 21..24; 6: all but its first second; 5: 2 s
      local function silent(r)
         r.silent_s = array.from({6, 8, 1, 30, 0, 10, 13, 14, 16.6, 21, 24, 30}, "f64")
         r.silent_end = array.from({0, 0, 0, 0, 2, 4, 12}, "i64")
      end

      it("centres no clip in a silence longer than half a window", function()
         local some = draw(n, {mixture = {0, 1, 0, 0}}, silent)
         local bins = tally(some.c_loc, function(loc, i)
            if some.c[i] ~= 7 then return nil end
            local at = loc >= 10 and loc <= 16.6 and 1 or loc >= 21 and loc <= 24 and 2
            return assert(at, loc)
         end)
         chi_square.check(bins, {6.6, 3}, "clips in sound")
         bins = tally(some.c_loc, function(loc, i) -- 2 s are no reason to keep away
            return some.c[i] == 5 and math.min(9, math.floor((loc - 2.5) / 2.5)) or nil
         end)
         chi_square.check(bins, {[0] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, "clips of recording 5")
         assert.same(draw(1000).c_loc, draw(1000, nil, function(r)
            r.silent_s, r.silent_end = array.zeros(0), array.zeros(7, "i64")
         end).c_loc)
      end)

      it("takes the window of a recording that has no sound where a clip fits", function()
         local some, seen = draw(20000, {mixture = {0, 1, 0, 1}}, silent), 0
         for i, c in ipairs(some.c) do
            if c == 6 then
               seen = seen + 1
               assert(some.c_loc[i] == 8 and some.distant[i] == 1)
            end
         end
         assert(seen > 1000)
         local places = draw(20000, {mixture = {0, 1, 0, 1}}, function(r)
            silent(r)
            r.places_s, r.places_end = array.from({0.5}, "f64"), array.from({0, 0, 0, 0, 0, 1, 1}, "i64")
         end)
         for i, c in ipairs(places.c) do
            if c == 6 then assert(places.c_loc[i] == 0.5 and places.distant[i] == 1) end
         end
      end)

      it("keeps clips away from windows as far as the sound between goes", function()
         -- windows of 7 at 9 and 19: 4 s away from them is 13 .. 15 (13..14 is silent, but only a second) and 23 ..
         local far = draw(n, {clip_distance_s = 4, mixture = {0, 1, 0, 0}}, silent)
         local bins = tally(far.c_loc, function(loc, i)
            return far.c[i] == 7 and assert(loc >= 13 and loc <= 15 and 1 or loc >= 23 and loc <= 24 and 2, loc) or nil
         end)
         chi_square.check(bins, {2, 1}, "clips apart, in sound")
         local near = draw(2000, {clip_distance_s = 9, mixture = {0, 1, 0, 0}}, silent) -- only silence is that far away
         for i, c in ipairs(near.c) do
            local loc = near.c_loc[i]
            assert(c ~= 7 or loc >= 10 and loc <= 16.6 or loc >= 21 and loc <= 24, loc)
         end
      end)

      it("refuses what is not in order", function()
         local function raises(text, silences, ends)
            assert.error_matches(function()
               draw(1, nil, function(r)
                  r.silent_s, r.silent_end = array.from(silences, "f64"), array.from(ends, "i64")
               end)
            end, text, 1, true)
         end
         raises("silent_end[7] must be pairs behind 0, at most 2, got 4", {1, 2}, {0, 0, 0, 0, 0, 0, 4})
         raises("silent_end[2] must be pairs behind 0, at most 2, got 1", {1, 2}, {0, 1, 2, 2, 2, 2, 2})
         raises("silent_s[2] must be in order, got 0.5", {1, 0.5}, {0, 0, 0, 0, 0, 0, 2})
         raises("silent_s[1] must be in order", {0 / 0, 0.5}, {0, 0, 0, 0, 0, 0, 2})
         raises("silent_s[2] must be in order", {0, math.huge}, {0, 0, 0, 0, 0, 0, 2})
      end)
   end)

   it("gives a recording so many clips and no more", function()
      local few, seen, counts = draw(n, {clips = 3, mixture = {0, 1, 0, 1}}), {}, {}
      for i = 1, n do
         local key = few.c[i] .. " " .. few.c_loc[i]
         counts[few.c[i]] = (counts[few.c[i]] or 0) + (seen[key] and 0 or 1)
         seen[key] = (seen[key] or 0) + 1
      end
      assert.same({3, 3, 3, 3, 3, 3, 3}, counts)
      local of_7 = {}
      for key, count in pairs(seen) do
         if key:match("^7 ") then of_7[#of_7 + 1] = count end
      end
      chi_square.check(of_7, {1, 1, 1}, "the three clips of recording 7")
      local again = draw(100, {clips = 3, mixture = {0, 1, 0, 1}})
      for i = 1, 100 do assert(seen[again.c[i] .. " " .. again.c_loc[i]]) end
   end)

   it("takes each role's own window", function()
      local roles = draw(2000, {}, function(r)
         r.neighbor_s = r.anchor_s + 100
         r.distant_s = r.anchor_s + 200
      end)
      for i = 1, 2000 do
         assert(roles.a_loc[i] == roles.a[i] + 2)
         if roles.neighbor[i] == 2 then assert(roles.b_loc[i] == roles.b[i] + 102) end
         if roles.distant[i] == 1 then assert(roles.c_loc[i] == roles.c[i] + 202) end
      end
   end)

   it("makes a small table the beginning of a large one, and any part alone", function()
      local _, few = draw(100)
      local _, part = draw(10, {first = 90})
      local _, other = draw(100, {seed = 6})
      for name in pairs(t) do
         assert.is_true(array.equal(few[name], t[name]:slice(1, 1, 100)))
         assert.is_true(array.equal(part[name], few[name]:slice(1, 91, 100)))
      end
      assert.is_false(array.equal(other.a, few.a))
   end)

   it("gives recordings without window, or too short for a clip, location -1", function()
      local x = draw(5000, {}, function(r)
         r.anchor_s[1], r.self_s[1] = 0 / 0, 0 / 0
         r.anchor_s[2], r.self_s[2] = -1, -1
         r.duration_s[7] = 4.9
         r.duration_s[6] = 5
      end)
      local seen = 0
      for i = 1, 5000 do
         if x.a[i] <= 2 then assert.equal(-1, x.a_loc[i]) end
         if x.b[i] <= 2 then assert.equal(-1, x.b_loc[i]) end
         if x.distant[i] == 2 and x.c[i] == 7 then
            assert.equal(-1, x.c_loc[i])
            seen = seen + 1
         elseif x.distant[i] == 2 and x.c[i] == 6 then
            assert.equal(2.5, x.c_loc[i])
            seen = seen + 1
         end
      end
      assert.is_true(seen > 100)
   end)

   describe("with several places a recording", function()
      local PLACES = {{3, 10, 20}, {4, 25}, {5}, {6, 12, 18}, {7, 14}, {8}, {9}}
      local function places(r)
         local all, ends = {}, {}
         for i, list in ipairs(PLACES) do
            table.move(list, 1, #list, #all + 1, all)
            ends[i] = #all
         end
         r.places_s, r.places_end = array.from(all, "f64"), array.from(ends, "i64")
      end
      local function has(i, x)
         for _, place in ipairs(PLACES[i]) do
            if place == x then return true end
         end
      end
      local c = draw(n, nil, places)

      it("draws each role's window evenly among its recording's", function()
         local at_a, at_c = {}, {}
         for i = 1, n do
            assert(has(c.a[i], c.a_loc[i]) and has(c.b[i], c.b_loc[i]))
            if c.a[i] == 4 then at_a[c.a_loc[i]] = (at_a[c.a_loc[i]] or 0) + 1 end
            if c.distant[i] == 1 then
               assert(has(c.c[i], c.c_loc[i]))
               if c.c[i] == 5 then at_c[c.c_loc[i]] = (at_c[c.c_loc[i]] or 0) + 1 end
            end
         end
         chi_square.check(at_a, {[6] = 1 / 3, [12] = 1 / 3, [18] = 1 / 3}, "places of anchors")
         chi_square.check(at_c, {[7] = 1 / 2, [14] = 1 / 2}, "places of distant ones")
      end)

      it("takes another place for a self neighbour, or a recording of the group, or what there is", function()
         local pairs_of = {}
         for i = 1, n do
            if c.neighbor[i] == 1 then
               assert(c.a[i] == c.b[i])
               assert(c.a_loc[i] ~= c.b_loc[i] or c.a[i] == 7) -- the only recording of its group has one place
               assert(c.a[i] ~= 3 and c.a[i] ~= 6)
               if c.a[i] == 1 then
                  local key = c.a_loc[i] .. " " .. c.b_loc[i]
                  pairs_of[key] = (pairs_of[key] or 0) + 1
               end
            else
               assert(c.a[i] ~= c.b[i] and GROUP_OF[c.a[i]] == GROUP_OF[c.b[i]])
            end
         end
         local shares = {}
         for _, p in ipairs{"3.0 10.0", "3.0 20.0", "10.0 3.0", "10.0 20.0", "20.0 3.0", "20.0 10.0"} do
            shares[p] = 1 / 6
         end
         chi_square.check(pairs_of, shares, "pairs of places")
      end)

      it("keeps self neighbours as far apart as told", function()
         local far = draw(20000, {self_distance_s = 8}, places)
         for i = 1, 20000 do
            if far.neighbor[i] == 1 and far.a[i] ~= 7 then assert(math.abs(far.a_loc[i] - far.b_loc[i]) >= 8) end
            assert(far.neighbor[i] == 2 or far.a[i] ~= 5) -- 7 and 14 are not
         end
      end)

      it("takes another place of a recording that is alone, a nearer one if need be", function()
         for _, distance in ipairs{0, 8, 100} do
            local far, nearer = draw(20000, {self_distance_s = distance}, function(r)
               places(r)
               r.places_s = array.from({3, 10, 20, 4, 25, 5, 6, 12, 18, 7, 14, 8, 9, 12, 30}, "f64")
               r.places_end[7] = 15
            end), 0
            for i = 1, 20000 do
               if far.a[i] == 7 then
                  local apart = math.abs(far.a_loc[i] - far.b_loc[i])
                  assert(far.b[i] == 7 and apart > 0)
                  if apart < distance then nearer = nearer + 1 end
               end
            end
            assert.equal(distance == 100, nearer > 0)
         end
      end)

      -- Recordings 1, 4 and 7 are one, as are 2 and 5: groups are what is heard in it.
      local function sources(r)
         places(r)
         r.source = array.from({1, 2, 3, 1, 2, 4, 1}, "i64")
      end

      it("keeps distant windows away from the anchor's group in their recording", function()
         local source, near = {1, 2, 3, 1, 2, 4, 1}, {[false] = 0, [true] = 0}
         local function count(drawn, key)
            for i = 1, #drawn.a do
               for k, list in ipairs(PLACES) do
                  if GROUP_OF[k] == GROUP_OF[drawn.a[i]] and source[k] == source[drawn.c[i]] then
                     local at = false
                     for _, x in ipairs(list) do at = at or math.abs(x - drawn.c_loc[i]) < 5 end
                     if at then near[key] = near[key] + 1 end
                  end
               end
            end
         end
         for _, mixture in ipairs{{1, 0, 1, 0}, {0, 1, 0, 1}} do
            count(draw(20000, {mixture = mixture}, sources), true)
            count(draw(20000, {mixture = mixture}, places), false)
         end
         assert.equal(0, near[true])
         assert.is_true(near[false] > 1000)
      end)

      it("has no anchors of a group with a single place", function()
         local drawn = draw(20000, nil, sources)
         for i = 1, 20000 do
            assert(drawn.a[i] ~= 7 and (drawn.a_loc[i] ~= drawn.b_loc[i] or drawn.a[i] ~= drawn.b[i]))
         end
         local two = array.from({1, 2}, "i64")
         local none, message = sampling.triplets({group = two, species = two, anchor_s = array.zeros(2),
            self_s = array.zeros(2), duration_s = array.zeros(2), window_s = 5,
            places_s = array.from({1, 2}, "f64"), places_end = two, source = array.from({1, 1}, "i64")}, {samples = 1})
         assert.is_nil(none)
         assert.matches("no group has two places", message)
      end)

      it("wants places of sources in order", function()
         assert.error_matches(function()
            draw(1, nil, function(r)
               sources(r)
               r.places_s[2] = 1
            end)
         end, "places_s%[2%] must be in order, got 1")
      end)

      it("gives recordings without places location -1", function()
         local none = draw(2000, nil, function(r)
            r.places_s, r.places_end = array.zeros(0, "f64"), array.zeros(7, "i64")
         end)
         for i = 1, 2000 do assert(none.a_loc[i] == -1 and none.b_loc[i] == -1) end
      end)

      it("names a list of ends that cannot be", function()
         local function ends(list, which)
            return function()
               draw(1, nil, function(r)
                  places(r)
                  r.places_end = array.from(list, "i64")
               end)
            end, which
         end
         assert.error_matches(ends({3, 2, 6, 9, 11, 12, 13}, "places_end%[2%] must be 3 to 13, got 2"))
         assert.error_matches(ends({3, 5, 6, 9, 11, 12, 14}, "places_end%[7%] must be 12 to 13, got 14"))
         assert.error_matches(ends({3}, "column 'places_end' must have one axis of 7"))
         assert.error_matches(function() draw(1, nil, function(r) r.places_s = array.zeros(3, "f64") end) end,
            "column 'places_end'")
      end)
   end)

   it("takes species of one number in two groups for two", function()
      local same = draw(20000, {}, function(r) r.species:fill(1) end)
      chi_square.check(tally(same.a), {1 / 12, 1 / 12, 1 / 12, 1 / 12, 1 / 6, 1 / 6, 1 / 3}, "species of one number")
   end)

   it("needs two groups", function()
      local r = recordings()
      r.group:fill(1)
      local none, message = sampling.triplets(r, {samples = 1})
      assert.is_nil(none)
      assert.equal("triplets need two groups or more, got 1 (of 7 recordings)", message)
      for _, name in ipairs({"group", "species"}) do r[name] = array.zeros(0, "i64") end
      for _, name in ipairs({"anchor_s", "self_s", "duration_s"}) do r[name] = array.zeros(0, "f64") end
      assert.matches("got 0 %(of 0", select(2, sampling.triplets(r, {samples = 1})))
   end)

   it("names the column or option it rejects", function()
      local function rejects(pattern, change, options)
         local r = recordings()
         change(r)
         assert.error_matches(function() sampling.triplets(r, options or {samples = 1}) end, pattern)
      end
      local function nothing() end
      rejects("column 'self_s' must be an array, got nil", function(r) r.self_s = nil end)
      rejects("column 'species' must have one axis of 7, got 3", function(r) r.species = array.zeros(3, "i64") end)
      rejects("column 'distant_s' must have one axis of 7", function(r) r.distant_s = array.zeros(3, "f64") end)
      rejects("duration_s%[2%] must be 0 s or more", function(r) r.duration_s[2] = 0 / 0 end)
      rejects("window_s must be more than 0 s, got nil", function(r) r.window_s = nil end)
      rejects("'samples' must be 0 or more", nothing, {})
      rejects("'samples' must be an integer", nothing, {samples = 1.5})
      rejects("unknown option 'n'", nothing, {n = 1})
      rejects("'shares'", nothing, {samples = 1, shares = "fair"})
      rejects("'mixture' must be a list of four numbers", nothing, {samples = 1, mixture = {1, 2}})
      rejects("'mixture': element 2 must be 0 or more, got %-1", nothing, {samples = 1, mixture = {1, -1, 0, 0}})
      rejects("'mixture' leaves no partition%)", nothing, {samples = 1, mixture = {0, 0, 0, 0}})
      rejects("'mixture' leaves no partition with 'exclude_own'", nothing,
         {samples = 1, mixture = {1, 1, 0, 0}, exclude_own = true})
      rejects("'self_distance_s' must be 0 s or more", nothing, {samples = 1, self_distance_s = -1})
      rejects("'clips' must be 0 or more", nothing, {samples = 1, clips = -1})
      assert.equal(0, #sampling.triplets(recordings(), {samples = 0}).a)
   end)
end)
