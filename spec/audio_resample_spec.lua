local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local sampling = require "bclua.sampling"

local folder
setup(function() folder = command.folder() end)
teardown(function() command.remove(folder) end)

describe("audio.resample", function()
   -- half impulse response of soxr HQ 2:1, as measured:
   -- c sinc(ck) I0(beta sqrt(1 - (k/M)^2)) / I0(beta)
   local function taps()
      local c, beta, m = 0.47843591, 13.04003665, 194.5
      local function bessel(x)
         local sum, term = 1, 1
         for k = 1, 60 do
            term = term * (x / (2 * k)) ^ 2
            sum = sum + term
         end
         return sum
      end
      local h = {[0] = c}
      for k = 1, 194 do
         h[k] = math.sin(math.pi * c * k) / (math.pi * k)
            * bessel(beta * math.sqrt(1 - (k / m) ^ 2)) / bessel(beta)
      end
      return h
   end

   it("halves the rate with the filter of soxr HQ", function()
      local h, y = taps(), (sampling.generator(1):uniform(3000) - 0.5):copy("f32")
      local x = y:table()
      local z = audio.resample(y, 32000, 16000)
      assert.equal(1500, #z)
      for j = 0, 1499, 7 do
         local sum = 0
         for k = -194, 194 do sum = sum + h[math.abs(k)] * (x[2 * j - k + 1] or 0) end
         assert.near(sum, z[j + 1], 1e-6)
      end
   end)

   it("gives ceil(n * to / from) samples", function()
      for _, case in ipairs({{44100, 44100, 32000}, {1, 44100, 32000}, {1, 8000, 32000},
         {1001, 32000, 16000}, {441, 44100, 32000}, {442, 44100, 32000}}) do
         local n, from, to = table.unpack(case)
         assert.equal((n * to + from - 1) // from, #audio.resample(array.zeros(n), from, to))
      end
   end)

   it("copies at equal rates, and gives nothing for nothing", function()
      local y = array.from({1, 2, 3}, "f32")
      local z = audio.resample(y, 8000, 8000)
      z[1] = 9
      assert.same({1, 2, 3}, y:table())
      assert.equal(0, #audio.resample(array.zeros(0), 8000, 32000))
      assert.same({2, 0}, audio.resample(array.zeros({2, 0}), 8000, 32000):shape())
   end)

   it("names the rate it rejects", function()
      assert.error_matches(function() audio.resample(array.zeros(3), 0, 1) end, "#2 .*got 0")
      assert.error_matches(function() audio.resample(array.zeros(3), 1, 1.5) end, "#3")
   end)

   it("names the size that is too large", function()
      assert.error_matches(function() audio.resample(array.zeros(20000000, "u8"), 1, 65535) end,
         "#3 .*20000000 samples at 1 Hz would become 1310700000000 at 65535 Hz: too many")
   end)

   it("names rates that are too far apart, also those of a file", function()
      assert.equal(1, #audio.resample(array.full(1000, 1), 65535, 1))
      assert.equal(65535, #audio.resample(array.full(1, 1), 1, 65535))
      for _, rates in ipairs{{1, 65536}, {65536, 1}, {1, 10000000}, {10000000, 100}} do
         local y, high, low = array.full(1000, 0.5), math.max(table.unpack(rates)), math.min(table.unpack(rates))
         assert.error_matches(function() audio.resample(y, rates[1], rates[2]) end,
            ("#3 .*%d Hz is 65536 times %d Hz or more"):format(high, low))
         local file = folder .. "/apart.wav"
         assert(audio.save(file, y, rates[1]))
         for _, name in ipairs{"load", "open"} do
            local got, message = audio[name](file, {sample_rate = rates[2]})
            assert.is_nil(got)
            assert.equal(("%s: cannot be converted from %d to %d Hz: 65536 times or more"):format(file, rates[1],
               rates[2]), message)
         end
      end
   end)
end)
