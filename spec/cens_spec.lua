local array = require "bclua.array"
local audio = require "bclua.audio"
local cens = require "bclua.cens"
local cjson = require "cjson"
local lfs = require "lfs"
local parallel = require "bclua.parallel"

local nan, inf = 0 / 0, math.huge
local C1 = 440 * 2 ^ (-45 / 12)

local function samples(n, f, dtype)
   local t = {}
   for i = 1, n do t[i] = f(i - 1) end
   return array.from(t, dtype or "f32")
end

-- Sines of some bins of 36 an octave, from C1.
local function tone(seconds, sample_rate, ...)
   local bins = {...}
   return samples(math.floor(seconds * sample_rate), function(i)
      local y = 0
      for _, bin in ipairs(bins) do
         y = y + math.sin(2 * math.pi * C1 * 2 ^ (bin / 36) * i / sample_rate) / #bins
      end
      return y
   end)
end

local function noise(n, seed)
   math.randomseed(seed)
   return samples(n, function() return math.random() - 0.5 end)
end

local function read(path)
   local f = io.open(path, "rb")
   if not f then return nil end
   local text = f:read("a")
   f:close()
   return text
end

-- Every case in spec/fixtures/cens and in $BCLUA_REFERENCE/cens.
local function cases()
   local list = {}
   local outside = os.getenv("BCLUA_REFERENCE")
   for _, root in ipairs{"spec/fixtures", outside} do
      local folder = root .. "/cens"
      if lfs.attributes(folder, "mode") == "directory" then
         for name in lfs.dir(folder) do
            local text = read(folder .. "/" .. name .. "/reference.json")
            if text then
               local case = cjson.decode(text)
               case.name, case.folder = folder .. "/" .. name, folder .. "/" .. name .. "/"
               local source = read(case.folder .. "source.txt")
               case.audio = source and root .. "/../birds/train_audio/" .. source:match("%S+")
                  or case.folder .. "audio.ogg"
               list[#list + 1] = case
            end
         end
      end
   end
   table.sort(list, function(a, b) return a.name < b.name end)
   return list
end

local function differences(a, b)
   assert.same(b:shape(), a:shape())
   local d = (a - b):abs():reshape(a:size()):table()
   table.sort(d)
   return d
end

describe("cens, against librosa:", function()
   local list = cases()

   it("has a case of its own", function() assert.is_true(#list >= 1) end)

   for _, case in ipairs(list) do
      it(case.name, function()
         local y = assert(audio.load(case.audio, {sample_rate = case.sr}))
         assert.equal(case.samples, y:size())
         local function expected(name) return array.load(case.folder .. name .. ".npy") end
         local options = {sample_rate = case.sr, hop = case.hop}

         local c, info = cens.cens(y, options)
         assert.equal(case.tuning, info.tuning)
         assert.equal(case.tuning, cens.tuning(y, {sample_rate = case.sr}))
         local d = differences(c, expected "chroma_cens")
         assert.is_true(d[#d] <= 1e-3)
         assert.is_true(d[(#d + 1) // 2] <= 1e-6)

         local raw = cens.chroma(y, options)
         local reference = expected "chroma_raw"
         assert.is_true(array.max_difference(raw, reference) <= 2e-6 * reference:max())

         local different = 0
         for _, x in ipairs(differences(cens.quantize(raw), expected "chroma_quant")) do
            if x ~= 0 then different = different + 1 end
         end
         assert.is_true(different <= 1e-4 * raw:size())
      end)
   end
end)

describe("cens.cqt", function()
   -- A full-scale sine of filter length L has magnitude sqrt(L) / 2.
   local function check(sample_rate, hop, bins)
      for _, bin in ipairs(bins) do
         local length = 51.943439342838 * sample_rate / (C1 * 2 ^ (bin / 36))
         local y = tone(1.1 * length / sample_rate + 0.3, sample_rate, bin)
         local v = cens.cqt(y, {sample_rate = sample_rate, hop = hop, tuning = 0})
         local middle = v:T()[v:shape(2) // 2 + 1]
         assert.equal(bin + 1, middle:argmax())
         assert.near(1, middle:max() / (0.5 * math.sqrt(length)), 2e-3)
      end
   end

   it("finds a tone in every octave, at its magnitude", function()
      check(32000, 3200, {20, 40, 80, 120, 160, 200, 251})
   end)

   it("works at other rates and hops", function()
      check(22050, 2176, {60, 251})
      check(44100, 4410, {60, 251})
      check(8500, 850, {20, 251})
   end)

   it("works where the rate cannot be halved, and where it is halved first", function()
      check(32000, 3201, {100})
      check(96000, 9600, {60, 251})
   end)

   it("gives the same at full and at halved rates", function()
      local y = noise(20000, 1)
      local halved = cens.cqt(y, {sample_rate = 32000, hop = 3200, tuning = 0.1}):T()[1]
      local full = cens.cqt(y, {sample_rate = 32000, hop = 3201, tuning = 0.1}):T()[1]
      assert.is_true(array.max_difference(halved, full) <= 0.03 * full:max())
   end)

   it("follows tuning, n_octaves and fmin", function()
      local y = tone(1, 32000, 100.4)
      local function peak(options)
         options.sample_rate, options.hop = 32000, 3200
         local v = cens.cqt(y, options)
         return v:T()[5]:max(), v:T()[5]:argmax() - 1, v:shape(1)
      end
      local tuned, bin, rows = peak{tuning = 0.4}
      assert.same({100, 252}, {bin, rows})
      assert.is_true(tuned > peak{tuning = 0})
      assert.same({64, 36 * 3}, {select(2, peak{tuning = 0.4, n_octaves = 3, fmin = 2 * C1})})
   end)

   it("puts a click in the frame it is in", function()
      local y = array.zeros(64000)
      y[32001] = 1
      local v = cens.cqt(y, {sample_rate = 32000, hop = 3200, tuning = 0})
      assert.equal(11, v:slice(1, 217, 252):sum(1):argmax()) -- frame 10, highest octave
   end)
end)

describe("cens.tuning", function()
   it("finds how far tones are off", function()
      -- 22050 Hz: no frequency is at the centre of an FFT bin
      for _, off in ipairs{-0.4, -0.13, 0.2, 0.47} do
         local t = cens.tuning(tone(0.5, 22050, 150 + off, 174 + off, 186 + off), {sample_rate = 22050})
         assert.near(off, t, 0.03)
      end
   end)

   it("is 0 without peaks, and says so where warnings are on", function()
      local command = require "support.command"
      local code = [[require("bclua.cens").tuning(require("bclua.array").zeros(9000), {sample_rate = 32000})]]
      local out = command.shell(("%s -e %s 2>&1"):format(command.quote(command.program), command.quote('warn "@on" ' ..
         code)))
      assert.matches("cens: no spectral peak to estimate the tuning from, so it is 0", out)
      assert.equal(0, cens.tuning(array.zeros(9000), {sample_rate = 32000}))
      assert.equal(0, cens.tuning(array.zeros(0), {sample_rate = 32000}))
      assert.equal(0, cens.tuning(array.full(9000, 0.5), {sample_rate = 200}))
   end)

   it("is one of 100 steps", function()
      local t = cens.tuning(noise(20000, 2), {sample_rate = 32000})
      assert.is_true(t >= -0.5 and t < 0.5)
      assert.near(0, (t * 100 + 0.5) % 1 - 0.5, 1e-9)
   end)
end)

describe("cens.chroma", function()
   it("puts three bins in each semitone, C first", function()
      local pitches = {[107] = 1, [108] = 1, [109] = 1, [110] = 2, [135] = 10, [142] = 12, [143] = 1, [251] = 1}
      for bin, pitch in pairs(pitches) do
         local c = cens.chroma(tone(0.4, 32000, bin), {sample_rate = 32000, hop = 3200, tuning = 0})
         assert.equal(pitch, c:T()[3]:argmax())
      end
   end)

   it("starts with C whatever fmin is", function()
      local y = tone(1, 32000, 135) -- A3
      local c = cens.chroma(y, {sample_rate = 32000, hop = 3200, tuning = 0, fmin = 55, n_octaves = 6})
      assert.equal(10, c:T()[6]:argmax())
   end)

   it("looks at a band alone, as far as it fits below half the sample rate", function()
      local function strongest(hz, rate, band)
         local y = samples(rate, function(i) return math.sin(2 * math.pi * hz * i / rate) end)
         local row = cens.chroma(y, {sample_rate = rate, tuning = 0, band = band}):mean(2)
         local at = 1
         for i = 2, 12 do at = row[i] > row[at] and i or at end
         return at, row[at]
      end
      -- A is the tenth: recorders of 8 kHz, and of ultrasound
      for _, case in ipairs{{8000, {C1, inf}, {55, 440, 3520}}, {256000, {C1, inf}, {440, 28160, 112640}},
         {256000, {20000, 60000}, {28160, 56320}}, {32000, {2000, 8000}, {3520, 7040}}} do
         for _, hz in ipairs(case[3]) do assert.equal(10, (strongest(hz, case[1], case[2]))) end
      end
      local _, inside = strongest(3520, 32000, {2000, 4000})
      local _, below = strongest(880, 32000, {2000, 4000})
      local _, above = strongest(7040, 32000, {2000, 4000})
      assert.is_true(below < inside / 100 and above < inside / 100)
      local function octaves(rate, band)
         return cens.cqt(array.zeros(rate), {sample_rate = rate, tuning = 0, band = band}):shape(1) / 36
      end
      assert.same({7, 7, 12, 2}, {octaves(32000, {C1, 128 * C1}), octaves(8000, {C1, 128 * C1}),
         octaves(256000, {C1, inf}), octaves(256000, {20000, 60000})})
      local y = noise(64000, 3)
      local function chroma(o)
         o.sample_rate = 32000
         return cens.chroma(y, o)
      end
      assert.same(chroma({}):table(), chroma({band = {C1, 128 * C1}}):table())
   end)

   it("is the sum of the magnitudes", function()
      local y, options = noise(20000, 3), {sample_rate = 32000, hop = 3200, tuning = 0.2}
      local v, c = cens.cqt(y, options):T()[4], cens.chroma(y, options):T()[4]
      for pitch = 1, 12 do
         local sum = 0
         for bin = 0, 251 do
            if (bin + 1) // 3 % 12 == pitch - 1 then sum = sum + v[bin + 1] end
         end
         assert.near(sum, c[pitch], 1e-5 * sum)
      end
   end)
end)

describe("cens.quantize", function()
   it("counts the steps that a share is above", function()
      local x = array.from{{0.41}, {0.2}, {0.21}, {0.1}, {0.05}, {0.03}, {0}, {0}, {0}, {0}, {0}, {0}}
      assert.same({1, 0.5, 0.75, 0.25, 0, 0}, cens.quantize(x:copy("f32")):T()[1]:slice(1, 1, 6):table())
   end)

   it("leaves silence silent", function()
      assert.equal(0, cens.quantize(array.zeros({12, 3})):max())
   end)

   it("has other steps and weights", function()
      local x = array.from{{0.5}, {0.3}, {0.2}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}}
      local q = cens.quantize(x:copy("f32"), {quant_steps = {0.1, 0.25}, quant_weights = {1, 2}}):T()[1]
      assert.same({3, 3, 1, 0}, q:slice(1, 1, 4):table())
      assert.equal(0, cens.quantize(x:copy("f32"), {quant_steps = {}, quant_weights = {}}):max())
      assert.is_true(array.equal(cens.quantize(x:copy("f32")), cens.quantize(x:copy("f32"),
         {quant_steps = {0.4, 0.2, 0.1, 0.05}, quant_weights = {0.25, 0.25, 0.25, 0.25}})))
   end)

   it("wants 12 rows", function()
      assert.error_matches(function() cens.quantize(array.zeros({11, 3})) end, "12 rows expected, got 11")
      assert.error_matches(function() cens.quantize(array.zeros(12)) end, "2 axes expected, got 1")
   end)
end)

describe("cens.cens", function()
   local options = {sample_rate = 32000, hop = 3200}

   it("says what it did", function()
      local c, info = cens.cens(tone(1, 32000, 100), {sample_rate = 32000, tuning = 0.25})
      assert.same({tuning = 0.25, sample_rate = 32000, hop = 3200, frames_per_second = 10}, info)
      assert.same({12, 11}, c:shape())
      assert.equal("f32", c:dtype())
   end)

   it("smooths over 41 frames, or as told", function()
      local y = array.zeros(3200 * 80)
      y:slice(1, 3200 * 40 - 499, 3200 * 40 + 500):fill(tone(1 / 32, 32000, 150))
      local function reach(smoothing)
         local c = cens.cens(y, {sample_rate = 32000, tuning = 0, smoothing = smoothing})
         local n, first = 0, nil
         for t = 1, c:shape(2) do
            if c:T()[t]:max() > 0 then n, first = n + 1, first or t end
         end
         return n, first
      end
      local plain, first = reach(0)
      assert.same({plain + 1, first - 1}, {reach(2)}) -- this frame and the next
      assert.equal(plain + 40, reach(nil))
      assert.equal(plain + 40, reach(41))
      assert.equal(plain + 4, reach(5))
      assert.equal(plain + 5, reach(6))
   end)

   it("takes frames per second instead of hop", function()
      local y = noise(20000, 9)
      local c, info = cens.cens(y, {sample_rate = 32000, frames_per_second = 12.5})
      assert.equal(2560, info.hop)
      assert.equal(12.5, info.frames_per_second)
      assert.is_true(array.equal(c, (cens.cens(y, {sample_rate = 32000, hop = 2560}))))
   end)

   it("quantises by other steps", function()
      local y = noise(20000, 9)
      local raw = cens.chroma(y, options)
      local levels = {quant_steps = {0.09}, quant_weights = {2}}
      local c = cens.cens(y, {sample_rate = 32000, smoothing = 0, norm = false,
         quant_steps = levels.quant_steps, quant_weights = levels.quant_weights})
      assert.is_true(array.equal(cens.quantize(raw, levels), c))
      assert.is_true(c:max() == 2 and c:min() == 0)
   end)

   it("has the norms 1, 2, infinity and none", function()
      local y = noise(20000, 9)
      local plain = cens.cens(y, {sample_rate = 32000, norm = false})
      local function ratio(norm, of)
         local c = cens.cens(y, {sample_rate = 32000, norm = norm})
         for t = 1, c:shape(2) do
            local column = plain:T()[t]
            assert.is_true(array.allclose(c:T()[t], column / of(column), 1e-6))
         end
      end
      ratio(1, function(x) return x:sum() end)
      ratio(2, function(x) return math.sqrt((x * x):sum()) end)
      ratio(inf, function(x) return x:max() end)
      assert.is_true(array.equal(cens.cens(y, {sample_rate = 32000, norm = 2}), (cens.cens(y, options))))
      assert.equal(0, cens.cens(array.zeros(9000), {sample_rate = 32000, norm = inf}):max())
   end)

   it("gives frames of norm 1 or 0", function()
      local c = cens.cens(noise(40000, 4), options)
      for t = 1, c:shape(2) do
         local column = c:T()[t]
         assert.near(1, (column * column):sum(), 1e-6)
      end
   end)

   it("takes any dtype and any layout", function()
      local y = noise(30000, 5)
      local expected = cens.cens(y, options)
      assert.is_true(array.equal(expected, cens.cens(y:copy("f64"), options)))
      local wide = array.zeros({30000, 2})
      wide:T()[1]:fill(y)
      assert.is_false(wide:T()[1]:is_contiguous())
      assert.is_true(array.equal(expected, cens.cens(wide:T()[1], options)))
      local whole = (y * 1000):copy("i16")
      assert.is_true(array.equal(cens.cens(whole:copy("f32"), options), cens.cens(whole, options)))
   end)

   it("does not depend on the scale", function()
      local y = noise(30000, 6)
      assert.is_true(array.equal(cens.cens(y, options), cens.cens(y * 2 ^ 20, options)))
      assert.is_true(array.equal(cens.cens(y, options), cens.cens(y * 2 ^ -20, options)))
   end)

   it("does not change its input", function()
      local y = noise(5000, 7)
      local copy = y:copy()
      cens.cens(y, options)
      assert.is_true(array.equal(copy, y))
   end)

   it("gives zeros for silence", function()
      local c, info = cens.cens(array.zeros(30000), options)
      assert.equal(0, info.tuning)
      assert.same({12, 10}, c:shape())
      assert.same({0, 0}, {c:min(), c:max()})
   end)

   it("keeps digital silence silent beside a loud sound", function()
      local y = array.zeros(160000)
      y:slice(1, 1, 32000):fill(noise(32000, 8))
      local c = cens.chroma(y, {sample_rate = 32000, hop = 3200, tuning = 0})
      assert.equal(0, c:slice(2, 40, c:shape(2)):max())
      assert.is_true(c:slice(2, 1, 11):min() > 0)
   end)

   it("gives zeros for denormals, and for samples whose magnitudes overflow", function()
      for _, scale in ipairs{1e-41, 6e38} do
         local y = noise(30000, 9):copy("f64") * scale
         local c, info = cens.cens(y, options)
         assert.same({12, 10}, c:shape())
         assert.same({0, 0, 0}, {c:min(), c:max(), info.tuning})
      end
   end)

   it("may be smoothed over more frames than there are", function()
      local c = cens.cens(noise(5000, 10), {sample_rate = 32000, smoothing = 100000})
      assert.same({12, 2}, c:shape())
      assert.is_true(c:is_finite() and c:max() > 0)
   end)

   it("gives frames for a constant, all of them finite", function()
      local c = cens.cens(array.full(20000, 1), options)
      assert.same({12, 7}, c:shape())
      assert.is_true(c:is_finite())
   end)

   it("gives 1 + n // hop frames, none for no samples", function()
      for n, frames in pairs{[0] = 0, [1] = 1, [3199] = 1, [3200] = 2, [6401] = 3} do
         local c = cens.cens(array.full(n, 0.5), options)
         assert.same({12, frames}, c:shape())
         assert.is_true(c:is_finite())
      end
   end)

   it("names the sample that is not a number", function()
      for value, name in pairs{[inf] = "infinite", [-inf] = "infinite", x = "NaN"} do
         local y = array.zeros(5000)
         y[4321] = value == "x" and nan or value
         assert.error_matches(function() cens.cens(y, options) end, "#1 to 'cens' %(sample 4321 is " .. name)
         assert.error_matches(function() cens.tuning(y, {sample_rate = 32000}) end, "sample 4321 is " .. name)
      end
   end)

   it("names the option it rejects", function()
      local function fails(o, message)
         assert.error_matches(function() cens.cens(array.zeros(10), o) end, message)
      end
      fails({}, "option 'sample_rate' %(Hz%) is missing")
      fails({sample_rate = 0}, "'sample_rate' must be above 0")
      fails({sample_rate = nan}, "'sample_rate' must be above 0")
      fails({sample_rate = 1e300}, "'sample_rate' must be above 0")
      fails({sample_rate = 8000}, "sample_rate must be at least 8331 for 7 octaves from 32.7 Hz, got 8000")
      fails({sample_rate = 32000, hop = 0}, "'hop' must be 1")
      fails({sample_rate = 32000, hop = -5}, "'hop' must be 1..2147483647, got %-5")
      fails({sample_rate = 32000, hop = 2.5}, "'hop' must be an integer, got 2.5")
      fails({sample_rate = 32000, tuning = 99}, "tuning must be %-36..36 bins, got 99")
      fails({sample_rate = 32000, tuning = nan}, "tuning must be")
      fails({sample_rate = 32000, tuning = "low"}, "'tuning' must be a number")
      fails({sample_rate = 32000, n_octaves = 17}, "n_octaves must be 1..16, got 17")
      fails({sample_rate = 32000, n_octaves = 9}, "sample_rate must be at least %d+ for 9 octaves")
      fails({sample_rate = 32000, fmin = 0}, "fmin must be positive")
      fails({sample_rate = 32000, fmin = 1e-9, n_octaves = 1}, "fmin must be higher")
      fails({sample_rate = 32000, fmin = 0.39, n_octaves = 1}, "fmin must be higher")
      fails({sample_rate = 32000, smoothing = -1}, "'smoothing' must be 0")
      fails({sample_rate = 32000, hops = 3200}, "unknown option 'hops'")
      fails({sample_rate = 32000, frames_per_second = 3}, "must divide the sample rate 32000.0, got 3")
      fails({sample_rate = 32000, frames_per_second = 0}, "'frames_per_second' must divide")
      fails({sample_rate = 32000, frames_per_second = 64000}, "'frames_per_second' must divide")
      fails({sample_rate = 32000, frames_per_second = 10, hop = 3200}, "'frames_per_second' expected, got both")
      fails({sample_rate = 32000, norm = 3}, "'norm' must be 1, 2, math.huge or false, got 3")
      fails({sample_rate = 32000, norm = true}, "'norm' must be")
      fails({sample_rate = 32000, quant_steps = {0.1}}, "must be equally long, got 1 and 4")
      fails({sample_rate = 32000, quant_steps = 0.1}, "'quant_steps' must be a list")
      fails({sample_rate = 32000, quant_steps = {1, 2, 3, nan}}, "'quant_steps' must be a list of numbers")
      assert.error_matches(function() cens.cens(array.zeros(10)) end, "table expected")
      assert.error_matches(function() cens.cens(array.zeros({2, 5}), options) end, "1 axes expected, got 2")
      assert.error_matches(function() cens.cens({1, 2}, options) end, "array expected, got table")
      assert.error_matches(function() cens.chroma(array.zeros(10), {sample_rate = 32000, smoothing = 3}) end,
         "unknown option 'smoothing'")
   end)

   it("names a band that cannot be", function()
      local function raises(text, band, more)
         local o = {sample_rate = 8000, band = band}
         for k, v in pairs(more or {}) do o[k] = v end
         assert.error_matches(function() cens.cens(array.zeros(100), o) end, text, 1, true)
      end
      raises("option band from 5000 to 6000 Hz: nothing of it fits below half of 8000 Hz", {5000, 6000})
      raises("option band must be two frequencies, the lower one first, got 200 and 100", {200, 100})
      raises("option band must be two frequencies, the lower one first, got 0 and 100", {0, 100})
      raises("option band must be two frequencies, the lower one first, got", {nan, 100})
      raises("option 'band' must be a list of two numbers", 100)
      raises("got both", {100, 200}, {fmin = 50})
      raises("option band from 100 to 100.5 Hz holds none of 36 bins an octave", {100, 100.5})
   end)

   it("gives the same on several threads at once", function()
      local list, expected = {}, {}
      for i = 1, 8 do
         list[i] = noise(8000, i)
         expected[i] = cens.cens(list[i], options)
      end
      for i, c in parallel.map(list, "bclua.cens", "cens", options, {threads = 4}) do
         assert.is_true(array.equal(expected[i], c))
      end
   end)

   it("reuses filters without mixing them up, past the size of their cache", function()
      local y = tone(0.2, 32000, 150)
      local function bins(tuning)
         return cens.cqt(y, {sample_rate = 32000, tuning = tuning, n_octaves = 1, fmin = 500})
      end
      local first = bins(0)
      for i = 1, 140 do bins(i / 1000) end
      assert.is_true(array.equal(first, bins(0)))
      assert.is_false(array.equal(first, bins(0.14)))
   end)
end)
