local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local loader = require "bclua.data.loader"
local loading = require "bclua.loading"
local sampling = require "bclua.sampling"
local sql = require "bclua.sql"

local ROLES = {"anchor", "neighbor", "distant"}
local RATE = 32000

local function tone(hz, samples, level)
   local y = array.zeros(samples)
   for i = 1, samples do y[i] = (level or 0.1) * math.sin(2 * math.pi * hz * (i - 1) / RATE) end
   return y
end

local function power(y)
   y = y:copy("f64")
   return (y * y):sum() / #y
end

local function decibels(x) return 10 * math.log(x, 10) end

-- Frequency of a steady tone: between the first and the last upward crossing.
local function frequency(y)
   local first, last, n
   for i = 2, #y do
      if y[i - 1] < 0 and y[i] >= 0 then
         local at = i - 1 + y[i - 1] / (y[i - 1] - y[i])
         if first then n, last = n + 1, at else first, n = at, 0 end
      end
   end
   return n * RATE / (last - first)
end

-- Chi-square of values against an even distribution over [low, high].
local function chi_square(values, low, high, bins)
   local counts, sum = {}, 0
   for b = 1, bins do counts[b] = 0 end
   for _, x in ipairs(values) do
      assert(x >= low and x <= high)
      local b = math.min(bins, math.floor((x - low) / (high - low) * bins) + 1)
      counts[b] = counts[b] + 1
   end
   local expected = #values / bins
   for b = 1, bins do sum = sum + (counts[b] - expected) ^ 2 / expected end
   return sum
end

describe("augmentation", function()
   local dir
   -- Four recordings: two tones and noise of 20 s, and one of silence.
   setup(function()
      dir = command.folder()
      assert(require("bclua.system").mkdir(dir .. "/t"))
      local g = sampling.generator(1)
      local long = 20 * RATE
      local sounds = {tone(1000, long), tone(2500, long, 0.3), g:normal(long):copy("f32") * 0.05, array.zeros(long)}
      for i, y in ipairs(sounds) do
         assert(audio.save(("%s/t/%d.wav"):format(dir, i), y, RATE, {subtype = "float"}))
      end
      local t = {a = {}, b = {}, c = {}, a_loc = {}, b_loc = {}, c_loc = {}}
      for i = 1, 64 do
         t.a[i], t.b[i], t.c[i] = "t/1.wav", "t/2.wav", i % 2 == 0 and "t/4.wav" or "t/3.wav"
         t.a_loc[i], t.b_loc[i], t.c_loc[i] = 5 + i % 10, 6.5, 9.25
      end
      assert(sql.write_parquet(dir .. "/triplets.parquet", t))
   end)
   teardown(function() command.remove(dir) end)

   local function new(augment, more)
      local o = {triplets = dir .. "/triplets.parquet", dataset_root = dir, batch_size = 16, augment = augment,
         seed = 5, seconds = 1, duration = 3, loc_unit = "seconds"}
      for k, v in pairs(more or {}) do o[k] = v or nil end
      return assert(loader.new(o))
   end

   local function first(augment, more)
      local l <close> = new(augment, more)
      return assert(l:next())
   end

   it("shifts a crop as far as it is told, from the middle of its tile", function()
      local plain, none, half = first(nil), first("shift=0"), first("shift=0.5")
      local values, l = {}, new("shift=0.25", {batch_size = 64, seconds = 0.1})
      for _ = 1, 10 do
         local batch = l:next()
         for i, s in ipairs(batch.provenance.neighbor.seconds:table()) do
            values[#values + 1] = s - (6.5 - 0.05)
            assert.equal("t/2.wav", batch.provenance.neighbor.file[i])
         end
      end
      l:close()
      assert.is_true(chi_square(values, -0.25 - 1e-5, 0.25 + 1e-5, 10) < 27.9) -- 0.1 % for 9 degrees of freedom
      for i = 1, 16 do
         assert.equal(6, none.provenance.neighbor.seconds[i])
         assert.is_true(math.abs(half.provenance.neighbor.seconds[i] - 6) <= 0.5)
         assert.is_true(math.abs(plain.provenance.neighbor.seconds[i] - 6) <= 1)
      end
      local far = first("shift=4", {duration = 9}).provenance.neighbor.seconds
      assert.is_true((far - 6):abs():max() > 2)
   end)

   it("makes crops louder or softer by as many decibels as it says", function()
      local plain, batch = first("shift=0"), first("shift=0,gain=20")
      for i = 1, 16 do
         local db = batch.provenance.anchor.gain_db[i]
         assert.near(db, decibels(power(batch.anchor[i]) / power(plain.anchor[i])), 1e-4)
      end
      assert.is_nil(plain.provenance.anchor.gain_db)
   end)

   it("adds white noise at the ratio that it says, and none to silence", function()
      local plain, batch = first("shift=0"), first("shift=0,noise=5:40")
      local low, high = 99, -99
      for _, role in ipairs(ROLES) do
         for i = 1, 16 do
            local db, noise = batch.provenance[role].noise_db[i], batch[role][i] - plain[role][i]
            if batch.provenance[role].file[i] == "t/4.wav" then
               assert.equal(0, batch[role][i]:abs():max())
            else
               low, high = math.min(low, db), math.max(high, db)
               assert.near(db, decibels(power(plain[role][i]) / power(noise)), 0.15)
               assert.near(0, noise:sum() / #noise, 4 * math.sqrt(power(noise) / #noise))
               -- white: neighbouring samples have nothing to do with each other
               local product = noise:slice(1, 1, #noise - 1):copy() * noise:slice(1, 2, #noise):copy()
               assert.near(0, product:sum() / #product / power(noise), 4 / math.sqrt(#noise))
            end
         end
      end
      assert.is_true(low < 10 and high > 35)
   end)

   it("shifts the pitch by the ratio that it says, and keeps the length", function()
      local batch = first("shift=0,pitch=4", {batch_size = 6, seconds = 2})
      for i = 1, 6 do
         local ratio = 2 ^ (batch.provenance.anchor.pitch[i] / 12)
         local y = batch.anchor[i]
         assert.equal(2 * RATE, #y)
         assert.near(1000 * ratio, frequency(y:slice(1, 8001, 56000)), 2)
         assert.near(0, decibels(power(y:slice(1, 8001, 56000)) / 0.005), 0.5)
      end
   end)

   it("leaves times where they are when it shifts the pitch", function()
      local y = array.zeros(RATE * 2)
      y:slice(1, 24001, 40000):fill(tone(3000, 16000))
      for _, semitones in ipairs({-4, 0, 4}) do
         local z = assert(loading.pitch_shift(y, RATE, semitones))
         assert.equal(#y, #z)
         assert.near(3000 * 2 ^ (semitones / 12), frequency(z:slice(1, 28001, 36000)), 8)
         local from, to
         for i = 1, #z do
            if math.abs(z[i]) > 0.03 then from, to = from or i, i end
         end
         assert.near(24001, from, 0.05 * RATE)
         assert.near(40000, to, 0.05 * RATE)
      end
      assert.equal(0, #loading.pitch_shift(array.zeros(0), RATE, 2))
      assert.error_matches(function() loading.pitch_shift(y, RATE, 25) end, "%-24 to 24 semitones")
   end)

   it("mixes with places of background recordings, at the ratio that it says", function()
      local folder = dir .. "/background"
      assert(require("bclua.system").mkdir(folder))
      assert(audio.save(folder .. "/long.wav", tone(5000, 3 * RATE), RATE))
      assert(audio.save(folder .. "/short.wav", tone(6000, RATE // 2), RATE))
      local plain = first("shift=0")
      local batch = first("shift=0,mix_snr=0:20,mix=" .. folder)
      local heard = {}
      for _, role in ipairs({"anchor", "neighbor"}) do
         for i = 1, 16 do
            local added = batch[role][i] - plain[role][i]
            assert.near(batch.provenance[role].mix_db[i], decibels(power(plain[role][i]) / power(added)), 0.01)
            local hz = math.floor(frequency(added) / 100 + 0.5) * 100
            heard[hz] = true
         end
      end
      assert.is_true(heard[5000] and heard[6000])
      for i, file in ipairs(batch.provenance.distant.file) do
         if file == "t/4.wav" then assert.equal(0, batch.distant[i]:abs():max()) end
      end
      command.write(folder .. "/broken.wav", "no sound") -- gives its turn to another
      first("mix=" .. folder, {batch_size = 32})
      local l <close> = new("mix=" .. command.write(dir .. "/bad.wav", "no sound"))
      local _, message = l:next()
      assert.matches("bad.wav: not a readable sound file", message)
   end)

   it("mixes with other windows of the triplets, of all roles, from tiles and from recordings", function()
      local tiles = dir .. "/tiles"
      assert(require("bclua.workflow.tiles").run({input = dir .. "/triplets.parquet", dataset_root = dir,
         output = tiles, duration = 3, store = "packed", loc_unit = "seconds", quiet = true}))
      for _, where in ipairs({{}, {tiles = tiles, dataset_root = false, duration = false}}) do
         local plain, batch = first("shift=0", where), first("shift=0,mix_snr=0:20,mix=triplets", where)
         local heard = {[1000] = 0, [2500] = 0, other = 0, silence = 0}
         for i = 1, 16 do
            local added = batch.anchor[i] - plain.anchor[i]
            if added:abs():max() == 0 then
               heard.silence = heard.silence + 1
            else
               assert.near(batch.provenance.anchor.mix_db[i], decibels(power(plain.anchor[i]) / power(added)), 0.1)
               local hz = math.floor(frequency(added) / 100 + 0.5) * 100
               heard[heard[hz] and hz or "other"] = heard[heard[hz] and hz or "other"] + 1
            end
         end
         for kind, n in pairs(heard) do assert.is_true(n > 0, kind) end
         assert.is_true(array.equal(batch.anchor, first("shift=0,mix_snr=0:20,mix=triplets",
            {workers = 4, tiles = where.tiles, dataset_root = where.dataset_root, duration = where.duration}).anchor))
      end
   end)

   it("draws evenly from its ranges", function()
      local l <close> = new("noise=5:40,gain=20,mix=" .. dir .. "/t,mix_snr=-3:12,pitch=4",
         {batch_size = 64, seconds = 0.005, duration = 0.01})
      local values = {noise_db = {}, gain_db = {}, mix_db = {}, pitch = {}}
      for _ = 1, 10 do
         local batch = l:next()
         for _, role in ipairs(ROLES) do
            for name, list in pairs(values) do
               for _, x in ipairs(batch.provenance[role][name]:table()) do list[#list + 1] = x end
            end
         end
      end
      local ranges = {noise_db = {5, 40}, gain_db = {-20, 20}, mix_db = {-3, 12}, pitch = {-4, 4}}
      for name, list in pairs(values) do
         assert.equal(1920, #list)
         assert.is_true(chi_square(list, ranges[name][1], ranges[name][2], 20) < 43.8, name) -- 0.1 %, 19 degrees
      end
   end)

   it("does one role what another is spared", function()
      local plain, batch = first("shift=0"), first("shift=0,anchor.gain=6,distant.noise=10")
      assert.not_nil(batch.provenance.anchor.gain_db)
      assert.is_nil(batch.provenance.anchor.noise_db)
      assert.not_nil(batch.provenance.distant.noise_db)
      assert.is_true(array.equal(plain.neighbor, batch.neighbor))
      assert.is_false(array.equal(plain.anchor, batch.anchor))
      assert.is_false(array.equal(plain.distant, batch.distant))
   end)

   it("depends on seed and place alone: not on threads, batches, or other effects", function()
      local text = "noise=5:40,gain=20,pitch=4,mix=" .. dir .. "/t"
      local one, small = first(text, {workers = 1}), first(text, {workers = 4, batch_size = 4})
      for _, role in ipairs(ROLES) do
         assert.is_true(array.equal(one[role], first(text, {workers = 4})[role]))
         assert.is_true(array.equal(one[role]:slice(1, 1, 4):copy(), small[role]))
         assert.same(one.provenance[role].gain_db:table(), first("gain=20").provenance[role].gain_db:table())
         assert.same(one.provenance[role].seconds:table(), first(nil).provenance[role].seconds:table())
      end
      assert.is_false(array.equal(one.anchor, first(text, {seed = 6}).anchor))
      local l <close> = new(text)
      l:next()
      local other <close> = new(text)
      other:restore(l:state())
      assert.is_true(array.equal(l:next().anchor, other:next().anchor))
   end)

   it("is read from a line of text", function()
      assert.same({shift = 1, gain = 20, noise = {5, 40}, pitch = 4, mix = "folder"},
         loader.augmentation("shift=1,gain=20,snr=5:40,pitch=4,mix=folder"))
      assert.same({noise = {7, 7}, anchor = {gain = 3}}, loader.augmentation(" noise=7, anchor.gain=3"))
      local function refuses(text, pattern)
         local t, message = loader.augmentation(text)
         assert.is_nil(t)
         assert.matches(pattern, message)
      end
      refuses("louder", "'louder' is not of the form effect=value")
      refuses("volume=3", "unknown effect 'volume' %(known: gain, mix, mix_snr, noise, pitch, shift%)")
      refuses("gain=x", "gain: 'x' is no value for it")
      refuses("gain=99", "option 'gain' must be a number from 0 to 60, got 99")
      refuses("noise=40:5", "option 'noise': two numbers expected, %-20 <= low <= high <= 100 dB")
      refuses("first.gain=3", "'first' is no role")
      refuses("mix_snr=3", "'mix_snr' without 'mix'")
      refuses("mix=", "mix: '' is no value for it")
   end)

   it("refuses a table that is wrong", function()
      local function raises(augment, pattern) assert.error_matches(function() new(augment) end, pattern) end
      raises({volume = 1}, "augment: unknown option 'volume' %(known: anchor, .*gain, mix, mix_snr")
      raises({pitch = 13}, "option 'pitch' must be a number from 0 to 12, got 13")
      raises({noise = {1}}, "option 'noise': two numbers expected")
      raises({anchor = 3}, "option 'anchor' must be a table, got 3")
      raises({distant = {pitch = -1}}, "option 'distant.pitch' must be a number from 0 to 12, got %-1")
      raises({mix = 3}, "option 'mix': a folder, a file or a list of files expected")
      raises(7, "table or text expected, got 7")
      raises("gain=x", "augment: gain: 'x' is no value")
      local l, message = loader.new({triplets = dir .. "/triplets.parquet", dataset_root = dir, loc_unit = "seconds",
         augment = "mix=/nowhere"})
      assert.is_nil(l)
      assert.equal("/nowhere: no such file or folder (mix)", message)
   end)
end)
