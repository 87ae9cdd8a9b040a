local array = require "bclua.array"
local sampling = require "bclua.sampling"

describe("sampling", function()
   -- sum of (observed - expected)^2 / expected, for counts that should be `share` of their sum
   local function chi_square(counts, shares)
      local n, chi = 0, 0
      for key in pairs(shares) do n = n + (counts[key] or 0) end
      for key in pairs(counts) do assert(shares[key], "unexpected " .. tostring(key)) end
      for key, share in pairs(shares) do
         chi = chi + ((counts[key] or 0) - n * share) ^ 2 / (n * share)
      end
      return chi
   end

   -- the value that a chi-square variable of df degrees exceeds once in 10 000 (Wilson and Hilferty)
   local function limit(df) return df * (1 - 2 / (9 * df) + 3.719 * math.sqrt(2 / (9 * df))) ^ 3 end

   local function assert_distribution(counts, shares)
      local df = -1
      for _ in pairs(shares) do df = df + 1 end
      local chi = chi_square(counts, shares)
      assert.is_true(chi < limit(df), ("chi-square %.1f of %d degrees"):format(chi, df))
   end

   local function tally(values, key)
      local counts = {}
      for i = 1, #values do
         local k = values[i]
         if key then k = key(k, i) end
         if k ~= nil then counts[k] = (counts[k] or 0) + 1 end
      end
      return counts
   end

   describe("generator", function()
      it("gives the same numbers for a seed and stream, others for others", function()
         local a = sampling.generator(7):uniform(100)
         assert.is_true(array.equal(a, sampling.generator(7, 0):uniform(100)))
         assert.is_false(array.equal(a, sampling.generator(8):uniform(100)))
         assert.is_false(array.equal(a, sampling.generator(7, 1):uniform(100)))
         assert.equal(a[1], sampling.generator(7):uniform())
      end)

      it("draws integers evenly from 1..n", function()
         local g, counts, shares = sampling.generator(1), {}, {}
         for _ = 1, 12000 do
            local k = g:integer(12)
            counts[k] = (counts[k] or 0) + 1
         end
         for k = 1, 12 do shares[k] = 1 / 12 end
         assert_distribution(counts, shares)
         assert.equal(1, g:integer(1))
         assert.error_matches(function() g:integer(0) end, "expected 1 or more, got 0")
      end)

      it("draws uniform and normal numbers", function()
         local g = sampling.generator(2)
         local u = g:uniform(20000)
         assert.is_true(u:min() >= 0 and u:max() < 1)
         assert.near(0.5, u:mean(), 0.01)
         local z = g:normal(20000)
         assert.near(0, z:mean(), 0.03)
         assert.near(1, z:std(), 0.03)
         assert.equal(0, #g:normal(0))
      end)

      it("shuffles 1..n into each order equally often", function()
         local g = sampling.generator(3)
         local counts, shares = {}, {}
         for _ = 1, 6000 do
            local key = table.concat(g:shuffle(3):table(), " ")
            counts[key] = (counts[key] or 0) + 1
         end
         for _, key in ipairs({"1 2 3", "1 3 2", "2 1 3", "2 3 1", "3 1 2", "3 2 1"}) do
            shares[key] = 1 / 6
         end
         assert_distribution(counts, shares)
         local order = g:shuffle(1000):table()
         table.sort(order)
         for i = 1, 1000 do assert.equal(i, order[i]) end
         assert.equal(0, #g:shuffle(0))
         assert.error_matches(function() g:shuffle(-1) end, "expected a count, got %-1")
      end)
   end)

   describe("triplets", function()
      -- group 1: species 10 (recordings 1-3) and 9 (4); group 2: species 20 (5, 6);
      -- group 3: species 30 (7), one recording only
      local function recordings()
         return {
            group = array.from({1, 1, 1, 1, 2, 2, 3}, "i64"),
            species = array.from({10, 10, 10, 9, 20, 20, 30}, "i64"),
            motif_0_s = array.from({3, 4, 5, 6, 7, 8, 9}, "f64"),
            motif_1_s = array.from({13, 14, 15, 16, 17, 18, 19}, "f64"),
            duration_s = array.from({30, 30, 30, 30, 30, 30, 30}, "f64"),
            window_s = 5,
         }
      end
      local group_of = {1, 1, 1, 1, 2, 2, 3}
      local n = 60000
      local t = sampling.triplets(recordings(), {samples = n, seed = 5})
      local columns = {}
      for name, column in pairs(t) do columns[name] = column:table() end

      it("has eight columns of n", function()
         local dtypes = {a = "i64", b = "i64", c = "i64", a_loc = "f64", b_loc = "f64", c_loc = "f64",
            neighbor = "u8", distant = "u8"}
         for name, dtype in pairs(dtypes) do
            assert.equal(dtype, t[name]:dtype())
            assert.equal(n, #t[name])
         end
      end)

      it("gives groups, their species and their recordings equal shares as anchors", function()
         assert_distribution(tally(columns.a),
            {1 / 18, 1 / 18, 1 / 18, 1 / 6, 1 / 6, 1 / 6, 1 / 3})
      end)

      it("draws neighbour and distant kinds independently, half and half", function()
         local kinds = tally(columns.neighbor, function(kind, i)
            if columns.a[i] ~= 7 then return kind .. " " .. columns.distant[i] end
         end)
         assert_distribution(kinds, {["1 1"] = 1 / 4, ["1 2"] = 1 / 4, ["2 1"] = 1 / 4, ["2 2"] = 1 / 4})
         assert.same({"self", "group"}, sampling.neighbor_names)
         assert.same({"motif", "clip"}, sampling.distant_names)
      end)

      it("takes a self neighbour from the second motif of the same recording", function()
         for i = 1, n do
            assert(columns.a_loc[i] == columns.a[i] + 2)
            if columns.neighbor[i] == 1 then
               assert(columns.b[i] == columns.a[i] and columns.b_loc[i] == columns.a[i] + 12)
            else
               assert(columns.b[i] ~= columns.a[i] and columns.b_loc[i] == columns.b[i] + 2)
               assert(group_of[columns.b[i]] == group_of[columns.a[i]])
            end
         end
      end)

      it("gives the species of a group equal shares as neighbours, without the anchor", function()
         local function neighbors(anchor)
            return tally(columns.b, function(b, i)
               if columns.a[i] == anchor and columns.neighbor[i] == 2 then return b end
            end)
         end
         assert_distribution(neighbors(1), {[2] = 1 / 4, [3] = 1 / 4, [4] = 1 / 2})
         assert_distribution(neighbors(2), {[1] = 1 / 4, [3] = 1 / 4, [4] = 1 / 2})
         assert_distribution(neighbors(4), {1 / 3, 1 / 3, 1 / 3})
         assert.same({}, neighbors(7)) -- a group of one recording has none
         assert.same({[6] = neighbors(5)[6]}, neighbors(5))
      end)

      it("gives the other groups equal shares as distant ones", function()
         local function distant(group)
            return tally(columns.c, function(c, i)
               if group_of[columns.a[i]] == group then return c end
            end)
         end
         assert_distribution(distant(1), {[5] = 1 / 4, [6] = 1 / 4, [7] = 1 / 2})
         assert_distribution(distant(2),
            {1 / 12, 1 / 12, 1 / 12, 1 / 4, [7] = 1 / 2})
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
         for k = 0, 9 do shares[k] = 0.1 end
         assert_distribution(bins, shares)
      end)

      it("makes a small table the beginning of a large one, and any part alone", function()
         local few = sampling.triplets(recordings(), {samples = 100, seed = 5})
         local part = sampling.triplets(recordings(), {samples = 10, seed = 5, first = 90})
         local other = sampling.triplets(recordings(), {samples = 100, seed = 6})
         for name in pairs(t) do
            assert.is_true(array.equal(few[name], t[name]:slice(1, 1, 100)))
            assert.is_true(array.equal(part[name], few[name]:slice(1, 91, 100)))
         end
         assert.is_false(array.equal(other.a, few.a))
      end)

      it("gives recordings without motif, or too short for a clip, location -1", function()
         local r = recordings()
         r.motif_0_s[1] = 0 / 0
         r.motif_1_s[2] = -1
         r.duration_s[7] = 4.9
         r.duration_s[6] = 5
         local x = sampling.triplets(r, {samples = 5000, seed = 1})
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

      it("takes species of one number in two groups for two", function()
         local r = recordings()
         r.species:fill(1)
         local counts = tally(sampling.triplets(r, {samples = 20000}).a:table())
         assert_distribution(counts, {1 / 12, 1 / 12, 1 / 12, 1 / 12, 1 / 6, 1 / 6, 1 / 3})
      end)

      it("needs two groups", function()
         local r = recordings()
         r.group:fill(1)
         local none, message = sampling.triplets(r, {samples = 1})
         assert.is_nil(none)
         assert.equal("triplets need two groups or more, got 1 (of 7 recordings)", message)
         for _, name in ipairs({"group", "species"}) do r[name] = array.zeros(0, "i64") end
         for _, name in ipairs({"motif_0_s", "motif_1_s", "duration_s"}) do
            r[name] = array.zeros(0, "f64")
         end
         assert.matches("got 0 %(of 0", select(2, sampling.triplets(r, {samples = 1})))
      end)

      it("names the column or option it rejects", function()
         local function rejects(pattern, change, options)
            local r = recordings()
            change(r)
            assert.error_matches(function() sampling.triplets(r, options or {samples = 1}) end, pattern)
         end
         rejects("column 'motif_1_s' must be an array, got nil", function(r) r.motif_1_s = nil end)
         rejects("column 'species' must have one axis of 7, got 3",
            function(r) r.species = array.zeros(3, "i64") end)
         rejects("duration_s%[2%] must be 0 s or more", function(r) r.duration_s[2] = 0 / 0 end)
         rejects("window_s must be more than 0 s, got nil", function(r) r.window_s = nil end)
         rejects("'samples' must be 0 or more", function() end, {})
         rejects("'samples' must be an integer", function() end, {samples = 1.5})
         rejects("unknown option 'n'", function() end, {n = 1})
         assert.equal(0, #sampling.triplets(recordings(), {samples = 0}).a)
      end)
   end)

   describe("cut", function()
      local y = array.zeros(20) -- samples 1..20 at 10 Hz: two seconds
      for i = 1, 20 do y[i] = i end

      it("takes round(seconds * rate) samples around the centre", function()
         assert.same({6, 7, 8, 9, 10}, sampling.cut(y, 10, 0.75, 0.5):table())
         assert.equal(4, #sampling.cut(y, 10, 1, 0.36))
         assert.equal("f32", sampling.cut(y, 10, 1, 0.36):dtype())
      end)

      it("is silent where it leaves the recording", function()
         assert.same({0, 0, 1, 2, 3, 4}, sampling.cut(y, 10, 0.1, 0.6):table())
         assert.same({19, 20, 0, 0}, sampling.cut(y, 10, 2, 0.4):table())
         assert.same({0, 0}, sampling.cut(y, 10, 1e6, 0.2):table())
         assert.same({0, 1, 2, 3, 0, 0}, sampling.cut(y:slice(1, 1, 3), 10, 0.2, 0.6):table())
         assert.same({0, 0}, sampling.cut(array.zeros(0), 10, 0, 0.2):table())
      end)

      it("puts the whole recording in the middle for centre -1", function()
         assert.same({0, 1, 2, 3, 0, 0}, sampling.cut(y:slice(1, 1, 3), 10, -1, 0.6):table())
         assert.same({9, 10, 11, 12}, sampling.cut(y, 10, -1, 0.4):table())
         assert.same(y:table(), sampling.cut(y, 10, -1, 2):table())
      end)

      it("cuts several at once", function()
         local tiles = sampling.cut(y, 10, array.from({0.75, -1}, "f64"), 0.4)
         assert.same({2, 4}, tiles:shape())
         assert.same(sampling.cut(y, 10, 0.75, 0.4):table(), tiles[1]:table())
         assert.same({9, 10, 11, 12}, tiles[2]:table())
      end)

      it("names the argument it rejects", function()
         assert.error_matches(function() sampling.cut(y, 10, -2, 1) end, "#3 .*0 s or more, or %-1, got %-2")
         assert.error_matches(function() sampling.cut(y, 10, 0 / 0, 1) end, "#3")
         assert.error_matches(function() sampling.cut(y, 0, 1, 1) end, "#2 .*sample rate")
         assert.error_matches(function() sampling.cut(y, 10, 1, 0) end, "#4 .*seconds")
         assert.error_matches(function() sampling.cut(array.zeros({2, 2}), 10, 1, 1) end, "1 axes")
      end)
   end)

   describe("crop", function()
      it("keeps a run of every row, each place equally often", function()
         local tiles = array.zeros({6000, 10})
         for i = 1, 10 do tiles:T()[i]:fill(i) end
         local out, offset = sampling.crop(tiles, 7, sampling.generator(4))
         assert.same({6000, 7}, out:shape())
         local first, offsets = out:T()[1]:table(), offset:table()
         for i = 1, 6000, 97 do
            for k = 1, 7 do assert.equal(offsets[i] + k, out:at(i, k)) end
         end
         for i = 1, 6000 do assert(first[i] == offsets[i] + 1) end
         assert_distribution(tally(offsets), {[0] = 1 / 4, 1 / 4, 1 / 4, 1 / 4})
      end)

      it("copies rows of full length, and takes none of none", function()
         local tiles = array.from({{1, 2}, {3, 4}}, "f32")
         assert.same(tiles:table(), (sampling.crop(tiles, 2, sampling.generator(1))):table())
         assert.same({0, 2}, sampling.crop(array.zeros({0, 3}), 2, sampling.generator(1)):shape())
      end)

      it("names the length it rejects", function()
         assert.error_matches(function() sampling.crop(array.zeros({2, 3}), 4, sampling.generator(1)) end,
            "#2 .*length must be 0 to 3 samples, got 4")
         assert.error_matches(function() sampling.crop(array.zeros({2, 3}), 2, 1) end, "#3")
      end)
   end)

   describe("add_syllable", function()
      it("adds a tone of the pitch, level and place asked for", function()
         local y = array.zeros(8000)
         sampling.add_syllable(y, 8000, {start_s = 0.25, seconds = 0.5, start_hz = 500, level = 0.3})
         assert.equal(0, y:slice(1, 1, 2000):abs():max())
         assert.equal(0, y:slice(1, 6002, 8000):abs():max())
         assert.near(0.3, y:max(), 0.003)
         local crossings = 0
         for i = 2001, 5999 do
            if y[i] < 0 and y[i + 1] >= 0 then crossings = crossings + 1 end
         end
         assert.near(250, crossings, 1)
      end)

      it("leaves out what lies outside, and adds to what is there", function()
         local whole, part = array.zeros(4000), array.full(2000, 1)
         sampling.add_syllable(whole, 8000, {seconds = 0.5})
         sampling.add_syllable(part, 8000, {start_s = -0.125, seconds = 0.5})
         assert.is_true(array.max_difference(part - 1, whole:slice(1, 1001, 3000)) < 1e-6)
         assert.equal(0, #sampling.add_syllable(array.zeros(0), 8000, {}))
      end)

      it("leaves out harmonics past half the sample rate", function()
         local y = array.zeros(4000)
         sampling.add_syllable(y, 8000, {start_hz = 3900, seconds = 0.5, harmonics = 20})
         assert.equal(0, y:abs():max())
      end)

      it("rejects what it cannot write to", function()
         assert.error_matches(function() sampling.add_syllable(array.zeros(10, "f64"), 8000) end, "#1 .*f32")
         assert.error_matches(function() sampling.add_syllable(array.zeros(10), 8000, {start_hz = 0}) end,
            "'start_hz' must be")
      end)
   end)

   describe("add_noise", function()
      it("adds noise of the level asked for, the same for a seed", function()
         for kind, near in pairs({wind = 0.6, insects = 0.95, rain = 0.01}) do
            local function make()
               local silence = array.zeros(320000)
               return sampling.add_noise(silence, 32000, kind, sampling.generator(1), {level = 0.5})
            end
            local y = make()
            local rms = (y * y):mean() ^ 0.5
            assert.is_true(y:is_finite())
            assert.is_true(rms > 0.5 * near and rms < 0.6, kind .. " " .. rms)
            assert.is_true(array.equal(y, make()))
         end
      end)

      it("adds nothing to nothing, and knows three kinds", function()
         local g = sampling.generator(1)
         for _, kind in ipairs({"wind", "rain", "insects"}) do
            assert.equal(0, #sampling.add_noise(array.zeros(0), 32000, kind, g))
         end
         assert.error_matches(function() sampling.add_noise(array.zeros(9), 8000, "snow", g) end,
            "invalid option 'snow'")
      end)
   end)
end)
