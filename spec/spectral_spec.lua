local array = require "bclua.array"
local spectral = require "bclua.spectral"

local nan, inf = 0 / 0, math.huge

local function samples(n, f, dtype)
   local t = {}
   for i = 1, n do t[i] = f(i - 1) end
   return array.from(t, dtype or "f32")
end

local function noise(n, seed)
   math.randomseed(seed)
   return samples(n, function() return math.random() - 0.5 end)
end

-- |DFT|^2 at bin k of n samples from `first` (0-based; may be outside) under a
-- periodic Hann window; outside(i) gives what is not in y.
local function power(y, first, n, k, outside)
   local re, im = 0, 0
   for i = 0, n - 1 do
      local at = first + i
      local x = (at >= 0 and at < #y) and y[at + 1] or outside(at)
      x = x * (0.5 - 0.5 * math.cos(2 * math.pi * i / n))
      re = re + x * math.cos(2 * math.pi * k * i / n)
      im = im - x * math.sin(2 * math.pi * k * i / n)
   end
   return re * re + im * im, re, im
end

local function zero() return 0 end

local function reflected(y)
   return function(i)
      local period = 2 * (#y - 1)
      i = i % period
      return y[(i < #y and i or period - i) + 1]
   end
end

local function assert_close(expected, got, relative)
   if got ~= got or math.abs(expected - got) > relative * math.abs(expected) + 1e-9 then
      error(("expected %.9g, got %.9g"):format(expected, got), 2)
   end
end

describe("spectral.stft", function()
   it("is the Fourier transform of windowed, centred frames", function()
      local y = noise(300, 1)
      for _, n in ipairs{64, 63, 30} do -- a power of two, odd, neither
         local re, im = spectral.stft(y, {n_fft = n, hop = 20})
         assert.same({n // 2 + 1, 1 + (300 - n % 2) // 20}, re:shape())
         for _, at in ipairs{{0, 0}, {3, 7}, {n // 2, 14}, {1, re:shape(2) - 1}} do
            local k, t = at[1], at[2]
            local _, er, ei = power(y, t * 20 - n // 2, n, k, zero)
            assert.near(er, re:at(k + 1, t + 1), 1e-5)
            assert.near(ei, im:at(k + 1, t + 1), 1e-5)
         end
      end
   end)

   it("pads by reflection, back and forth, or not at all", function()
      local y = noise(20, 2)
      local re = spectral.stft(y, {n_fft = 64, hop = 20, pad = "reflect"})
      assert.same({33, 2}, re:shape())
      local _, expected = power(y, -32, 64, 5, reflected(y))
      assert.near(expected, re:at(6, 1), 1e-5)

      y = noise(100, 3)
      re = spectral.stft(y, {n_fft = 64, hop = 20, pad = "none"})
      assert.same({33, 2}, re:shape())
      _, expected = power(y, 20, 64, 9, zero)
      assert.near(expected, re:at(10, 2), 1e-5)
      assert.same({33, 0}, spectral.stft(noise(63, 4), {n_fft = 64, pad = "none"}):shape())
   end)

   it("has a window of ones, too", function()
      local re, im = spectral.stft(array.full(64, 2), {n_fft = 16, hop = 32, window = "ones"})
      assert.near(32, re:at(1, 2), 1e-5)
      assert.near(0, re:at(5, 2), 1e-5)
      assert.near(0, im:at(1, 2), 1e-5)
   end)

   it("has the windows of scipy, in the middle of n_fft", function()
      local formula = {hann = function(t) return 0.5 - 0.5 * math.cos(t) end,
         hamming = function(t) return 0.54 - 0.46 * math.cos(t) end,
         blackman = function(t) return 0.42 - 0.5 * math.cos(t) + 0.08 * math.cos(2 * t) end,
         ones = function() return 1 end}
      for name, f in pairs(formula) do
         for _, length in ipairs{16, 15, 6, 1} do
            local first = (16 - length) // 2
            for i = 0, 15 do -- the spectrum of one sample is flat, and as large as the window there
               local y, k = array.zeros(16), i - first
               y:set(i + 1, 1)
               local s = spectral.spectrogram(y, {n_fft = 16, window = name, win_length = length, pad = "none",
                  power = 1})
               local inside = k >= 0 and k < length
               local expected = inside and (length == 1 and 1 or f(2 * math.pi * k / length)) or 0
               assert.near(expected, s:at(4, 1), 1e-6)
               local m = spectral.mel(y, {sample_rate = 8000, n_fft = 16, n_mels = 1, norm = "none", window = name,
                  win_length = length, pad = "none"})
               local bank = spectral.mel_filterbank{sample_rate = 8000, n_fft = 16, n_mels = 1, norm = "none"}
               assert.near(expected ^ 2 * bank:sum(), m:at(1, 1), 1e-5)
            end
         end
      end
      assert.error_matches(function() spectral.stft(array.zeros(9), {n_fft = 8, win_length = 9}) end,
         "'win_length' must be 1..8, got 9")
   end)

   it("gives no frames for no samples, one for one", function()
      assert.same({1025, 0}, spectral.stft(array.zeros(0)):shape())
      local re = spectral.stft(array.full(1, 3), {n_fft = 8, hop = 2})
      assert.same({5, 1}, re:shape())
      assert.near(3, re:at(1, 1), 1e-6) -- the window is 1 at its middle
      local reflect = spectral.stft(array.full(1, 3), {n_fft = 8, hop = 2, pad = "reflect"})
      assert.near(12, reflect:at(1, 1), 1e-5) -- the same sample everywhere
   end)

   it("keeps NaN and infinity to the frames they are in", function()
      for _, bad in ipairs{nan, inf} do
         local y = noise(400, 5)
         y[200] = bad
         local s = spectral.spectrogram(y, {n_fft = 32, hop = 16})
         for t = 1, s:shape(2) do
            local centre = (t - 1) * 16
            local touched = centre - 16 <= 199 and 199 < centre + 16
            assert.equal(touched, not s:T()[t]:is_finite())
         end
      end
   end)

   it("has a window longer than the data, denormals and silence", function()
      local y = noise(50, 10)
      local re, im = spectral.stft(y, {n_fft = 256, hop = 64})
      assert.same({129, 1}, re:shape())
      local _, expected_re, expected_im = power(y, -128, 256, 3, zero)
      assert.near(expected_re, re:at(4, 1), 1e-5)
      assert.near(expected_im, im:at(4, 1), 1e-5)
      re = spectral.stft(array.full(64, 1e-40), {n_fft = 16, window = "ones"})
      assert.near(16e-40, re:at(1, 3), 1e-44)
      assert.equal(0, spectral.spectrogram(array.zeros(64), {n_fft = 16}):max())
   end)

   it("takes any dtype and any layout", function()
      local y = (noise(200, 6) * 1000):copy("i16")
      local expected = spectral.stft(y:copy("f32"), {n_fft = 32})
      assert.is_true(array.equal(expected, spectral.stft(y, {n_fft = 32})))
      local wide = array.zeros({200, 2})
      wide:T()[2]:fill(y:copy("f32"))
      assert.is_true(array.equal(expected, spectral.stft(wide:T()[2], {n_fft = 32})))
   end)

   it("names what it rejects", function()
      local function fails(o, message)
         assert.error_matches(function() spectral.stft(array.zeros(10), o) end, message)
      end
      fails({n_fft = 0}, "'n_fft' must be 1")
      fails({n_fft = 2.5}, "'n_fft' must be an integer")
      fails({hop = 0}, "'hop' must be 1")
      fails({hop = -1}, "'hop' must be 1")
      fails({n_fft = -8}, "'n_fft' must be 1")
      fails({pad = "wrap"}, "'pad' must be one of constant, reflect, none")
      fails({window = "flat"}, "'window' must be one of hann, hamming, blackman, ones")
      fails({nfft = 3}, "unknown option 'nfft'")
      assert.error_matches(function() spectral.stft(array.zeros({2, 2})) end, "1 axes expected, got 2")
      assert.error_matches(function() spectral.stft("y") end, "array expected, got string")
   end)
end)

describe("spectral.spectrogram", function()
   it("is the magnitude to a power", function()
      local y = noise(100, 7)
      local re, im = spectral.stft(y, {n_fft = 32})
      local square = re * re + im * im
      assert.is_true(array.allclose(spectral.spectrogram(y, {n_fft = 32}), square, 1e-5))
      assert.is_true(array.allclose(spectral.spectrogram(y, {n_fft = 32, power = 1}), square:sqrt(), 1e-5))
      assert.is_true(array.allclose(spectral.spectrogram(y, {n_fft = 32, power = 0.5}),
         square:sqrt():sqrt(), 1e-5))
      assert.error_matches(function() spectral.spectrogram(y, {power = 0}) end, "'power' must be positive")
   end)
end)

describe("spectral.mel_frequencies", function()
   it("has the values of librosa's documentation", function()
      local f = spectral.mel_frequencies(40, 0, 11025)
      local expected = {[1] = 0, [2] = 85.317, [12] = 938.49, [13] = 1024.856, [20] = 1897.337, [40] = 11025}
      for i, hz in pairs(expected) do assert.near(hz, f[i], 1e-3) end
   end)

   it("has HTK's scale, too", function()
      local f = spectral.mel_frequencies(3, 0, 700, true)
      assert.near(700 * (math.sqrt(2) - 1), f[2], 1e-9)
      assert.near(700, f[3], 1e-9)
   end)

   it("takes small numbers, not strange ones", function()
      assert.equal(0, spectral.mel_frequencies(0, 0, 100):size())
      assert.near(50, spectral.mel_frequencies(1, 50, 100)[1], 1e-9)
      assert.error_matches(function() spectral.mel_frequencies(-1, 0, 9) end, "0 or more expected")
      assert.error_matches(function() spectral.mel_frequencies(3, 9, 8) end, "fmin or more expected")
   end)
end)

describe("spectral.mel_filterbank", function()
   it("has triangles of area 1 between neighbouring mel frequencies", function()
      for _, htk in ipairs{false, true} do
         local m = spectral.mel_filterbank{sample_rate = 8000, n_fft = 8192, n_mels = 10, htk = htk}
         local edges = spectral.mel_frequencies(12, 0, 4000, htk)
         assert.same({10, 4097}, m:shape())
         local hz = 8000 / 8192
         for i = 1, 10 do
            assert.near(1, m[i]:sum() * hz, 1e-2)
            assert.near(edges[i + 1], (m[i]:argmax() - 1) * hz, hz)
            local wrong = 0
            for k = 0, 4096 do
               local outside = k * hz <= edges[i] or k * hz >= edges[i + 2]
               if outside == (m:at(i, k + 1) > 0) then wrong = wrong + 1 end
            end
            assert.equal(0, wrong)
         end
      end
   end)

   it("has a norm that leaves the peaks at 1", function()
      local m = spectral.mel_filterbank{sample_rate = 8000, n_fft = 8192, n_mels = 10, norm = "none"}
      for i = 1, 10 do assert.near(1, m[i]:max(), 0.02) end
   end)

   it("keeps to fmin and fmax", function()
      local m = spectral.mel_filterbank{sample_rate = 8000, n_fft = 512, n_mels = 8, fmin = 500, fmax = 2000}
      local total = m:sum(1)
      for k = 0, 256 do
         local hz = k * 8000 / 512
         assert.equal(hz > 500 and hz < 2000, total[k + 1] > 0)
      end
   end)

   it("names what it rejects", function()
      local function fails(o, message)
         assert.error_matches(function() spectral.mel_filterbank(o) end, message)
      end
      fails({}, "option 'sample_rate' %(Hz%) is missing")
      fails({sample_rate = -1}, "'sample_rate' must be positive")
      fails({sample_rate = 8000, n_mels = 0}, "'n_mels' must be 1..65536, got 0")
      fails({sample_rate = 8000, fmin = 3000, fmax = 2000}, "fmin must be 0 or more and less than fmax")
      fails({sample_rate = 8000, fmin = 4000}, "fmin must be 0 or more and less than fmax")
      fails({sample_rate = 8000, norm = "l1"}, "'norm' must be one of slaney, none")
      fails({sample_rate = 8000, mels = 8}, "unknown option 'mels'")
      fails(nil, "table expected")
   end)
end)

describe("spectral.mel", function()
   local y = noise(1500, 8)

   it("is the filter bank times the power spectrogram", function()
      for _, pad in ipairs{"constant", "reflect", "none"} do
         for _, n_fft in ipairs{4, 256, 200, 2} do -- powers of two go another way
            local o = {sample_rate = 8000, n_fft = n_fft, hop = 60, n_mels = 6, pad = pad}
            local m = spectral.mel(y, o)
            local s = spectral.spectrogram(y, {n_fft = n_fft, hop = 60, pad = pad})
            local f = spectral.mel_filterbank{sample_rate = 8000, n_fft = n_fft, n_mels = 6}
            assert.same({6, s:shape(2)}, m:shape())
            for _, t in ipairs{1, 2, s:shape(2)} do
               for band = 1, 6 do assert_close((f[band] * s:T()[t]):sum(), m:at(band, t), 1e-4) end
            end
         end
      end
   end)

   it("agrees with the definition", function()
      local o = {sample_rate = 8000, n_fft = 64, hop = 50, n_mels = 3, pad = "reflect"}
      local m, f = spectral.mel(y, o), spectral.mel_filterbank(o)
      for _, t in ipairs{0, 11, 30} do
         for band = 1, 3 do
            local sum = 0
            for k = 0, 32 do
               sum = sum + f:at(band, k + 1) * power(y, t * 50 - 32, 64, k, reflected(y))
            end
            assert_close(sum, m:at(band, t + 1), 1e-4)
         end
      end
   end)

   it("has the frames that the network expects", function()
      local o = {sample_rate = 32000, n_fft = 4096, hop = 1227, fmax = 16000, pad = "reflect"}
      local m = spectral.mel(array.zeros(160000), o)
      assert.same({128, 131}, m:shape())
      assert.same({0, 0}, {m:min(), m:max()})
   end)

   it("gives no frames for no samples, one for one", function()
      assert.same({128, 0}, spectral.mel(array.zeros(0), {sample_rate = 8000}):shape())
      local m = spectral.mel(array.full(1, 1), {sample_rate = 8000, pad = "reflect"})
      assert.same({128, 1}, m:shape())
      assert.is_true(m:is_finite())
   end)

   it("keeps NaN to the frames it is in", function()
      local bad = y:copy()
      bad[700] = nan
      local o = {sample_rate = 8000, n_fft = 128, hop = 64, n_mels = 4}
      local m, good = spectral.mel(bad, o), spectral.mel(y, o)
      for t = 1, m:shape(2) do
         local centre = (t - 1) * 64
         if centre - 64 <= 699 and 699 < centre + 64 then
            assert.is_false(m:T()[t]:is_finite())
         else
            assert.is_true(array.equal(good:T()[t]:copy(), m:T()[t]:copy()))
         end
      end
   end)

   it("takes any dtype and any layout, denormals and a window longer than the data", function()
      local o = {sample_rate = 8000, n_fft = 2048, n_mels = 4}
      local whole = (y * 1000):copy("i16")
      local expected = spectral.mel(whole:copy("f32"), o)
      assert.is_true(array.equal(expected, spectral.mel(whole, o)))
      local wide = array.zeros({1500, 2})
      wide:T()[2]:fill(whole:copy("f32"))
      assert.is_true(array.equal(expected, spectral.mel(wide:T()[2], o)))
      assert.equal(0, spectral.mel(array.full(300, 1e-40), o):max())
      assert.error_matches(function() spectral.mel(array.zeros({2, 9}), o) end, "1 axes expected, got 2")
   end)

   it("names what it rejects", function()
      assert.error_matches(function() spectral.mel(y) end, "table expected")
      assert.error_matches(function() spectral.mel(y, {n_fft = 64}) end, "'sample_rate' %(Hz%) is missing")
      assert.error_matches(function() spectral.mel(y, {sample_rate = 8000, n_fft = 1}) end, "'n_fft' must be 2")
      assert.error_matches(function() spectral.mel(y, {sample_rate = 8000, window = "flat"}) end,
         "'window' must be one of hann, hamming, blackman, ones")
   end)
end)

describe("spectral.power_to_db", function()
   local function db(values, o) return spectral.power_to_db(array.from(values, "f32"), o):table() end

   it("is ten times the logarithm", function()
      for i, v in ipairs(db{1, 10, 0.01}) do assert.near(({0, 10, -20})[i], v, 1e-5) end
      for i, v in ipairs(db({1, 10}, {ref = 100})) do assert.near(({-20, -10})[i], v, 1e-5) end
      for i, v in ipairs(db({1, 10}, {ref = "max"})) do assert.near(({-10, 0})[i], v, 1e-5) end
   end)

   it("is limited below the largest value and by amin", function()
      assert.same({0, -80, -80}, db{1, 1e-9, 0})
      assert.same({0, -20}, db({1, 0}, {top_db = 20}))
      assert.near(-100, db({1, 0}, {top_db = inf})[2], 1e-4)
      assert.near(-50, db({1, 0}, {amin = 1e-5})[2], 1e-4)
   end)

   it("takes silence, NaN, infinity and nothing", function()
      assert.same({-100, -100}, db{0, 0})
      assert.same({0, 0}, db({0, 0}, {ref = "max"}))
      assert.same({0, -80, -80}, db{1, nan, -3})
      assert.same({inf, 0}, db{inf, 1})
      assert.equal(0, spectral.power_to_db(array.zeros({3, 0})):size())
   end)

   it("keeps the shape", function()
      assert.same({2, 3, 4}, spectral.power_to_db(array.zeros({2, 3, 4})):shape())
   end)

   it("names what it rejects", function()
      assert.error_matches(function() db({1}, {ref = "mean"}) end,
         "'ref' must be a positive number or \"max\", got mean")
      assert.error_matches(function() db({1}, {ref = -1}) end, "'ref' must be a positive number")
      assert.error_matches(function() db({1}, {amin = 0}) end, "'amin' must be positive")
      assert.error_matches(function() db({1}, {top_db = -1}) end, "'top_db' must be 0 or more")
   end)
end)

describe("spectral.log_mel", function()
   it("is mel in decibels", function()
      local y = noise(3000, 9)
      local expected = spectral.power_to_db(spectral.mel(y, {sample_rate = 8000, n_mels = 8}), {ref = "max"})
      assert.is_true(array.equal(expected, spectral.log_mel(y, {sample_rate = 8000, n_mels = 8, ref = "max"})))
      assert.equal(0, expected:max())
   end)
end)

describe("spectral.pcen", function()
   -- The definition, one band.
   local function expected(e, o)
      local t = o.time_constant * o.sample_rate / o.hop
      local b = (math.sqrt(1 + 4 * t * t) - 1) / (2 * t * t)
      local past, out = 1, {}
      for i, x in ipairs(e) do
         past = (1 - b) * past + b * x
         out[i] = (x / (o.eps + past) ^ o.gain + o.bias) ^ o.power - o.bias ^ o.power
      end
      return out
   end

   it("follows its definition", function()
      local defaults = {sample_rate = 22050, hop = 512, time_constant = 0.4, gain = 0.98, bias = 2,
         power = 0.5, eps = 1e-6}
      local other = {sample_rate = 32000, hop = 320, time_constant = 0.06, gain = 0.8, bias = 10,
         power = 0.25, eps = 1e-3}
      local e = {{0.5, 3, 0, 0.001, 40, 2}, {0, 0, 0, 7, 7, 7}}
      for _, o in ipairs{defaults, other} do
         local got = spectral.pcen(array.from(e, "f32"), o ~= defaults and o or nil)
         for band = 1, 2 do
            for i, x in ipairs(expected(e[band], o)) do assert_close(x, got:at(band, i), 1e-4) end
         end
      end
   end)

   it("has limits at power 0 and bias 0", function()
      local e = array.from({{4, 4, 4}}, "f32")
      local log = spectral.pcen(e, {power = 0, gain = 0})
      assert.near(math.log(5), log:at(1, 2), 1e-6)
      local root = spectral.pcen(e, {bias = 0, gain = 0})
      assert.near(2, root:at(1, 2), 1e-6)
   end)

   it("keeps NaN and infinity to what follows them in their band", function()
      local m = spectral.pcen(array.from({{1, nan, 2}, {1, inf, 2}, {1, 2, 3}}, "f32"))
      assert.same({true, false, false}, {m:at(1, 1) == m:at(1, 1), m:at(1, 2) == m:at(1, 2), m:at(1, 3) == m:at(1, 3)})
      assert.is_true(m:at(2, 1) > 0 and m:at(2, 2) ~= m:at(2, 2))
      assert.is_true(m[3]:is_finite())
      assert.is_true(spectral.pcen(array.full({2, 3}, 1e-40)):is_finite())
   end)

   it("takes any dtype and any layout", function()
      local e = array.from({{1, 5}, {2, 6}, {3, 7}}, "f32")
      local wanted = spectral.pcen(e:T():copy())
      assert.is_true(array.equal(wanted, (spectral.pcen(e:T()))))
      assert.is_true(array.equal(wanted, (spectral.pcen(e:T():copy("u8")))))
   end)

   it("keeps silence silent, and nothing nothing", function()
      assert.equal(0, spectral.pcen(array.zeros({3, 5})):abs():max())
      assert.same({3, 0}, spectral.pcen(array.zeros({3, 0})):shape())
   end)

   it("names what it rejects", function()
      assert.error_matches(function() spectral.pcen(array.zeros(5)) end, "2 axes expected, got 1")
      assert.error_matches(function() spectral.pcen(array.zeros({1, 1}), {eps = 0}) end, "'eps' must be positive")
      assert.error_matches(function() spectral.pcen(array.zeros({1, 1}), {gain = -1}) end, "'gain' must be 0 or more")
      assert.error_matches(function() spectral.pcen(array.zeros({1, 1}), {tau = 1}) end, "unknown option 'tau'")
   end)
end)

describe("spectral.mfcc", function()
   it("is the orthonormal cosine transform of each frame", function()
      local bands, x = 7, require("bclua.sampling").generator(3):normal(7 * 4):reshape{7, 4}
      local c = spectral.mfcc(x, {n_mfcc = 5})
      assert.same({5, 4}, c:shape())
      for k = 0, 4 do
         for t = 1, 4 do
            local sum = 0
            for b = 0, bands - 1 do
               sum = sum + x:at(b + 1, t) * math.cos(math.pi * k * (2 * b + 1) / (2 * bands))
            end
            assert.near(sum * math.sqrt((k == 0 and 1 or 2) / bands), c:at(k + 1, t), 1e-5)
         end
      end
      local all = spectral.mfcc(x) -- orthonormal: it keeps lengths
      assert.near((x * x):sum(), (all * all):sum(), 1e-4)
   end)

   it("has scipy's values", function() -- scipy.fft.dct([4, 3, 5, 10], norm="ortho")
      local c = spectral.mfcc(array.from{4, 3, 5, 10}:reshape{4, 1})
      for k, v in ipairs{11, -4.46088499, 3, -0.31702534} do assert.near(v, c:at(k, 1), 1e-6) end
   end)

   it("names what it rejects", function()
      assert.error_matches(function() spectral.mfcc(array.zeros{4, 2}, {n_mfcc = 5}) end,
         "'n_mfcc' must be 1..4, got 5")
      assert.error_matches(function() spectral.mfcc(array.zeros(4)) end, "2 axes expected, got 1")
      assert.error_matches(function() spectral.mfcc(array.zeros{0, 2}) end, "at least one band expected")
      assert.same({3, 0}, spectral.mfcc(array.zeros{3, 0}):shape())
   end)
end)

describe("spectral warns", function()
   it("of bands without a bin, where warnings are on", function()
      local command = require "support.command"
      local code = [[require("bclua.spectral").mel_filterbank{sample_rate = 32000, n_fft = 256, n_mels = 128}]]
      local out = command.shell(("%s -e %s 2>&1"):format(command.quote(command.program), command.quote('warn "@on" ' ..
         code)))
      assert.matches("spectral: %d+ of 128 mel bands are narrower than the spectrum and always 0", out)
      out = command.shell(("%s -e %s 2>&1"):format(command.quote(command.program), command.quote(code)))
      assert.equal("", out)
   end)
end)
