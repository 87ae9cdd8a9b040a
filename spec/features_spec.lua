local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local extracted = require "bclua.data.extracted"
local features = require "bclua.workflow.features"
local mined = require "support.mined"
local provenance = require "bclua.data.provenance"
local sampling = require "bclua.sampling"
local search = require "bclua.workflow.search"
local sql = require "bclua.sql"

local RATE = 32000
local O = {features = "mel", sample_rate = RATE, cens_sample_rate = 10}

teardown(mined.remove)

local function noise(n, seed) return sampling.generator(seed):uniform(n):copy("f32") - 0.5 end

describe("sampling.call_features", function()
   -- The definition, term by term.
   local function plain(mel)
      local bands, frames = mel:shape(1), mel:shape(2)
      local least, background, out = 1e-9 * mel:copy("f64"):mean(), {}, array.zeros({bands, frames}, "f64")
      for k = 1, bands do
         local sorted = mel[k]:table()
         table.sort(sorted)
         background[k] = math.max(least, sorted[math.floor(0.5 * (frames - 1) + 0.5) + 1])
      end
      for t = 1, frames do
         local db, sorted, sum = {}, {}, 0
         for k = 1, bands do
            db[k] = 10 * math.log(math.max(math.max(mel[k][t], least) / background[k], 1e-3), 10)
            sorted[k] = db[k]
         end
         table.sort(sorted)
         local shift = math.min(0, sorted[bands // 2 + 1])
         for k = 1, bands do
            db[k] = math.max(0, db[k] - shift)
            sum = sum + db[k] ^ 2
         end
         for k = 1, bands do out:set(k, t, sum > 0 and db[k] / math.sqrt(sum) or 1 / math.sqrt(bands)) end
      end
      return out
   end

   it("brings what stands out to length 1, as its definition says", function()
      for _, bands in ipairs{1, 2, 7, 32} do
         local mel = sampling.generator(bands):uniform(bands * 50):reshape{bands, 50}:copy("f32") ^ 4
         local got = sampling.call_features(mel)
         assert.is_true(array.max_difference(got, plain(mel)) < 2e-5)
         assert.is_true(array.max_difference((got * got):sum(1), array.full(50, 1)) < 1e-5)
      end
   end)

   it("does not see the level of a recording, or that of a quiet passage", function()
      local mel = sampling.generator(1):uniform(16 * 60):reshape{16, 60}:copy("f32")
      local got = sampling.call_features(mel)
      assert.is_true(array.max_difference(sampling.call_features(mel * 1000), got) < 1e-4)
      local function passage(level)
         local m = mel:copy()
         for k = 1, 16 do
            for t = 1, 10 do m:set(k, t, m[k][t] * level) end
         end
         return sampling.call_features(m):slice(2, 1, 10)
      end
      assert.is_true(array.max_difference(passage(0.01), passage(0.02)) < 0.05)
   end)

   it("sees nothing in bands that a codec left out", function()
      local mel = sampling.generator(2):uniform(8 * 40):reshape{8, 40}:copy("f32")
      for k = 4, 8 do mel[k]:fill(k == 8 and 1e-14 or 0) end
      mel[1]:slice(1, 1, 9):fill(2) -- elsewhere there may be nothing at all
      local got = sampling.call_features(mel)
      assert.equal(0, got:slice(1, 4, 8):slice(2, 1, 9):max())
   end)

   it("has all bands alike where there is nothing", function()
      local mel = array.zeros{4, 3}
      assert.is_true(array.allclose(sampling.call_features(mel), array.full({4, 3}, 0.5)))
      assert.same({4, 0}, sampling.call_features(array.zeros{4, 0}):shape())
      mel = array.full({4, 3}, 1)
      mel:T()[2]:fill(0 / 0)
      assert.is_true(sampling.call_features(mel):is_finite())
   end)

   it("names what it rejects", function()
      assert.error_matches(function() sampling.call_features(array.zeros{0, 3}) end, "no bands")
   end)
end)

describe("features", function()
   -- Blocks of some length, as a reader gives them.
   local function blocks(y, size)
      local at = 0
      return function()
         if at >= #y then return nil end
         local block = y:slice(1, at + 1, math.min(#y, at + size)):copy()
         at = at + size
         return block
      end
   end

   it("are the same of blocks of any length, and as many frames as CENS has", function()
      local y = noise(3 * RATE + 777, 1)
      local whole = features.compute(y, O)
      assert.same({32, features.compute(y, {features = "cens", sample_rate = RATE, cens_sample_rate = 10}):shape(2)},
         whole:shape())
      for _, size in ipairs{3200, 4001, 1 << 18} do
         assert.is_true(array.equal(whole, (features.compute(blocks(y, size), O))))
      end
   end)

   it("fit any rate of frames", function()
      for _, rates in ipairs{{32000, 20}, {44100, 10}, {8000, 10}, {22050, 50}, {48000, 1}, {31991, 1}} do
         local o = {features = "mel", sample_rate = rates[1], cens_sample_rate = rates[2]}
         local f = features.compute(noise(2 * rates[1], 2), o)
         assert.same({features.dims(o), 2 * rates[2] + 1}, f:shape())
         assert.is_true(f:is_finite())
      end
   end)

   it("have a frame where its sound is", function()
      local y = noise(4 * RATE, 3) * 1e-3
      for i = 1, 3 * RATE // 10 do y[2 * RATE + i] = math.sin(2 * math.pi * 3000 * i / RATE) end
      local f = features.compute(y, O)
      local tone = f:slice(2, 22, 22)
      for t = 1, 41 do -- frames 21 and 22 from 0 have nothing else; 20 and 23 a click
         local like = (tone * f:slice(2, t, t)):sum()
         if t == 22 or t == 23 then assert.is_true(like > 0.95) end
         if t < 21 or t > 24 then assert.is_true(like < 0.85) end
      end
   end)

   it("pass on why the source fails", function()
      local got, message = features.compute(function() return nil, "x.wav: broken" end, O)
      assert.same({nil, "x.wav: broken"}, {got, message})
   end)
end)

describe("extract with features 'mel'", function()
   it("is what all later steps go by", function()
      local m, dir = mined.get(), command.folder()
      local extract = require "bclua.workflow.extract"
      local input = m.data .. "/train_audio"
      assert(extract.run{input = input, output = dir .. "/motif", features = "mel", species = "synfin1", quiet = true})
      assert.equal("mel", provenance.of_folder(dir .. "/motif").features)
      local _, message = extract.run{input = input, output = dir .. "/motif", species = "synfin1", quiet = true}
      assert.matches("was made with other parameters %(features = mel, now none%)", message)
      local again = assert(extract.run{input = input, output = dir .. "/motif", features = "mel", species = "synfin1",
         quiet = true})
      assert.equal(0, again.done)
      local path = dir .. "/motif.parquet"
      assert(require("bclua.workflow.consolidate").run{input = dir .. "/motif", output = path, quiet = true})
      local rows, p = search.read_corpus(path)
      assert.same({"mel", 32}, {p.features, rows[1].dims})
      local c = assert(extracted.features(extracted.locate(dir .. "/motif", rows[1])))
      assert.same({32, rows[1].duration_cens}, c:shape())
      local y = assert(audio.load(m.data .. "/" .. rows[1].source_name, {sample_rate = RATE}))
      assert.is_true(array.equal(c, (features.compute(y, O))))
      local query = m.data .. "/" .. rows[1].source_name
      local kept = assert(search.run{query = query, input = path, quiet = true})
      assert.is_true(#kept.hits > 2)
      _, message = search.run{query = query, input = path, features = m.dir .. "/motif", quiet = true}
      assert.matches("expected the shape %(32, frames%)", message) -- those are CENS
      assert(require("bclua.workflow.score").run{input = path, dataset_root = m.data, quiet = true})
      assert.equal(1, #sql.query(("select 1 from '%s' where motif_0 is not null limit 1"):format(path)))
      command.remove(dir)
   end)
end)
