local array = require "bclua.array"
local chi_square = require "support.chi_square"
local command = require "support.command"
local sampling = require "bclua.sampling"

describe("sampling", function()
   local assert_distribution, tally = chi_square.check, chi_square.tally

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

      it("ends where the sound ends, and on Ctrl-C", function()
         sampling.add_syllable(array.zeros(1000), 1e9, {seconds = 1e4}) -- hours of work, if it went on
         local script = 'require("bclua.sampling").add_syllable(require("bclua.array").zeros(9), 1e9, ' ..
            '{start_s = -1e4, seconds = 1e4})'
         local output, status = command.shell(("timeout -s INT 0.5 %s -e %s"):format(command.quote(command.program),
            command.quote(script)))
         assert.matches("interrupted", output)
         assert.not_equal(0, status)
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
