local array = require "bclua.array"
local audio = require "bclua.audio"
local audit = require "bclua.workflow.audit"
local cjson = require "cjson"
local command = require "support.command"
local files = require "bclua.files"
local mined = require "support.mined"
local sampling = require "bclua.sampling"
local sql = require "bclua.sql"
local system = require "bclua.system"

local RATE = 32000

teardown(mined.remove)

local made = {} -- 10 s by seed

local function noise(seconds, seed, level)
   made[seed] = made[seed] or (sampling.generator(seed):uniform(10 * RATE) - 0.5):copy("f32")
   local y = array.zeros(seconds * RATE)
   for at = 0, seconds - 1, 10 do -- other sound, even if of the same numbers: louder each time
      local n = math.min(10, seconds - at) * RATE
      y:slice(1, at * RATE + 1, at * RATE + n):fill(made[seed]:slice(1, 1, n) * ((level or 0.2) * (1 + at / 100)))
   end
   return y
end

describe("sampling.measure", function()
   it("tells peak, energy, clipped samples and the same sound", function()
      local x = array.from({0.5, -0.75, 0.25, 0}, "f32")
      local peak, energy, clipped, hash = sampling.measure(x)
      assert.same({0.75, 0.875, 0}, {peak, energy, clipped})
      assert.equal(hash, select(4, sampling.measure(x + 1e-6))) -- the same 16 bits
      assert.not_equal(hash, select(4, sampling.measure(array.from({-0.75, 0.5, 0.25, 0}, "f32"))))
      assert.equal(3, (select(3, sampling.measure(array.from({0.99, -1.5, 0.98, 1, -0.98}, "f32")))))
      assert.equal(2, (select(3, sampling.measure(x, 0.5))))
   end)

   it("has a result for nothing, and for what is not finite", function()
      local peak, energy, clipped = sampling.measure(array.zeros(0))
      assert.same({0, 0, 0}, {peak, energy, clipped})
      peak, energy, clipped = sampling.measure(array.from({0 / 0, math.huge, 0.5}, "f32"))
      assert.same({0.5, 0.25, 0}, {peak, energy, clipped})
      assert.error_matches(function() sampling.measure(array.zeros(3), 0) end, "limit must be more than 0")
   end)
end)

describe("audit", function()
   local dir, table_path
   before_each(function()
      dir = command.folder()
      table_path = dir .. "/triplets.parquet"
   end)
   after_each(function() command.remove(dir) end)

   local function put(name, y)
      local path = dir .. "/train_audio/" .. name
      assert(system.mkdir(files.dirname(path)))
      assert(audio.save(path, y, RATE))
   end

   -- A table of lines like "a/one 5, a/one 15, b/two 3".
   local function triplets(...)
      local columns, n = {a = {}, b = {}, c = {}, neighbor = {}, distant = {}, a_species = {}, b_species = {},
         c_species = {}}, select("#", ...)
      for _, role in ipairs({"a", "b", "c"}) do columns[role .. "_loc"] = array.zeros(n, "f64") end
      for i, line in ipairs({...}) do
         local roles = {"a", "b", "c"}
         for name, loc in line:gmatch("(%S+) ([%d.-]+)") do
            local role = table.remove(roles, 1)
            columns[role][i], columns[role .. "_loc"][i] = "train_audio/" .. name .. ".wav", tonumber(loc)
            columns[role .. "_species"][i] = name:match("^[^/]+")
         end
         columns.neighbor[i] = columns.a[i] == columns.b[i] and "self" or "group"
         columns.distant[i] = "motif"
      end
      assert(sql.write_parquet(table_path, columns))
   end

   local function run(options)
      local o = {input = table_path, dataset_root = dir, quiet = true}
      for k, v in pairs(options or {}) do o[k] = v end
      return audit.run(o)
   end

   local function check(result, name)
      for _, c in ipairs(result.checks) do
         if c.name == name then return c end
      end
   end

   local function warned(result, text)
      for _, w in ipairs(result.warnings) do
         if w:find(text, 1, true) then return w end
      end
      return nil
   end

   it("finds nothing wrong with sound triplets", function()
      put("x/one.wav", noise(30, 1))
      put("x/two.wav", noise(30, 2))
      put("y/three.wav", noise(30, 3))
      triplets("x/one 5 x/one 20 y/three 5", "x/two 5 x/one 20 y/three 20", "y/three 5 y/three 20 x/one 12")
      local result = assert(run())
      assert.same({3, 3, 3, 6, 6}, {result.triplets, result.recordings, result.audited, result.distinct_tiles,
         result.tiles})
      for _, c in ipairs(result.checks) do assert.same({0, 0}, {c.tiles, c.share}) end
      assert.equal(0, result.overlap.triplets)
      assert.same({}, result.warnings)
      assert.matches("nothing to warn of", audit.text(result))
   end)

   it("finds planted silence, clipping and padding, and counts their uses", function()
      local y = noise(40, 1)
      y:slice(1, 10 * RATE + 1, 20 * RATE):fill(0)
      local loud = y:slice(1, 30 * RATE + 1, 31 * RATE)
      for i = 1, #loud, 20 do loud[i] = 1 end -- 5 % of a second, 0.7 % of a tile
      put("x/one.wav", y)
      put("x/short.wav", noise(3, 2))
      put("y/good.wav", noise(30, 3))
      triplets("x/one 15 x/one 33 y/good 5", "x/one 15 x/short 1.5 y/good 15", "y/good 5 y/good 20 x/short -1",
         "x/one 6 x/short 1.5 y/good 5", "x/one 36.4 x/short 1.5 y/good 5")
      local result = assert(run())
      local function of(name)
         local c = check(result, name)
         return {c.tiles, c.uses}
      end
      assert.equal(9, result.tiles)
      assert.same({1, 2 / 15}, of("silent")) -- one at 15, used twice; at 6 half of it is sound
      assert.same({1, 1 / 15}, of("clipped")) -- at 33 from 29.5 on; at 36.4 from 32.9 on: no longer
      assert.same({2, 4 / 15}, of("padded")) -- of 7 s 3 are there; the same for the whole
      assert.equal("train_audio/x/one.wav at 15.0 s", check(result, "silent").example)
      assert.matches("silent: 1 of 9 tiles (11.1 %), such as train_audio/x/one.wav at 15.0 s: nothing can be learnt",
         warned(result, "silent"), 1, true)
      assert.matches("leave out recordings shorter than half a tile", warned(result, "mostly padding"), 1, true)
      assert.is_string(warned(result, "clipping adds harmonics"))
      result = assert(run({duration = 5}))
      assert.equal(0, check(result, "padded").tiles) -- 3 of 5 s
   end)

   it("finds the same sound under two names, and under two species", function()
      local y = noise(20, 1)
      put("x/one.wav", y)
      put("x/copy.wav", y)
      put("y/other.wav", noise(20, 2))
      triplets("x/one 5 x/copy 5 y/other 5", "x/one 15 x/copy 10 y/other 15")
      local result = assert(run())
      assert.equal(2, check(result, "duplicate").tiles)
      assert.equal("train_audio/x/copy.wav at 5.0 s and train_audio/x/one.wav at 5.0 s",
         check(result, "duplicate").example)
      assert.matches("remove copies", warned(result, "duplicates"))
      assert.is_nil(warned(result, "several species"))
      put("y/other.wav", y)
      result = assert(run())
      assert.equal(5, check(result, "duplicate").tiles)
      assert.matches("2 sounds occur under several species, such as .*: one of the labels is wrong",
         warned(result, "several species"))
   end)

   it("does not take silence for copies of silence", function()
      put("x/one.wav", array.zeros(20 * RATE))
      put("y/two.wav", array.zeros(20 * RATE))
      triplets("x/one 5 x/one 15 y/two 5")
      local result = assert(run())
      assert.equal(0, check(result, "duplicate").tiles)
      assert.equal(1, check(result, "silent").share)
   end)

   it("finds windows of a triplet that overlap", function()
      put("x/one.wav", noise(30, 1))
      put("y/two.wav", noise(30, 2))
      triplets("x/one 5 x/one 7.5 y/two 5", "x/one 5 x/one 10 y/two 5", "x/one 5 y/two 6 y/two 7",
         "x/one 5 x/one 20 y/two 5")
      local result = assert(run())
      assert.same({2, 0.5}, {result.overlap.triplets, result.overlap.share})
      assert.near(0.5, result.overlap.shared, 1e-9) -- of anchor and neighbour
      assert.matches("in 2 of 4 triplets %(50 %%%) two windows overlap .*%-%-self%-distance 5",
         warned(result, "overlap"))
   end)

   it("says how many neighbours are the anchor's own window", function()
      put("x/one.wav", noise(30, 1))
      put("y/two.wav", noise(30, 2))
      triplets("x/one 5 x/one 20 y/two 5", "y/two 5 y/two 5 x/one 10", "x/one 5 x/one 5 y/two 7",
         "y/two 5 y/two 5 x/one 9")
      local result = assert(run())
      assert.equal(3, result.overlap.same)
      assert.matches("in 3 of 4 triplets the neighbour is the anchor's own window (recordings that have no other " ..
         "and are alone in their groups: 2)", warned(result, "own window"), 1, true)
      triplets("x/one 5 x/one 20 y/two 5")
      result = assert(run())
      assert.equal(0, result.overlap.same)
      assert.is_nil(warned(result, "own window"))
   end)

   it("counts triplets per partition and class, and says when they are uneven", function()
      put("x/one.wav", noise(30, 1))
      put("x/three.wav", noise(30, 3))
      put("y/two.wav", noise(30, 2))
      local lines = {"y/two 5 y/two 20 x/one 5"}
      for _ = 1, 11 do lines[#lines + 1] = "x/one 5 x/three 20 y/two 5" end
      triplets(table.unpack(lines))
      local result = assert(run())
      local partitions = {}
      for i, p in ipairs(result.partitions) do partitions[i] = {p.neighbor, p.distant, p.n} end
      assert.same({{"group", "motif", 11}, {"self", "motif", 1}}, partitions)
      local x = result.classes[1]
      assert.same({"x", 11, 1}, {x.species, x.triplets, x.recordings})
      assert.same({0, 11, 11, 0}, {x.self, x.group, x.motif, x.clip})
      assert.matches("x is the anchor's species in 11 triplets, y in 1", warned(result, "anchor's species"), 1, true)
   end)

   it("lists recordings that are gone, broken or shorter, and goes on", function()
      put("x/one.wav", noise(30, 1))
      put("y/two.wav", noise(8, 2))
      command.write(dir .. "/train_audio/y/bad.wav", "no sound")
      triplets("x/one 5 x/one 20 y/two 4", "x/one 5 x/gone 20 y/bad 4", "y/two 20 y/two 25 x/one 5")
      local result = assert(run())
      assert.same({4, 2, 2}, {result.recordings, result.audited, result.past})
      local reasons = {}
      for i, f in ipairs(result.failures) do
         assert.equal("audit", f.step)
         reasons[i] = files.basename(f.path) .. " " .. f.reason
      end
      table.sort(reasons)
      assert.matches("^bad.wav ", reasons[1])
      assert.matches("^gone.wav ", reasons[2])
      assert.matches("^two.wav .*2 windows lie behind its end", reasons[3])
      assert.is_string(warned(result, "`extract`, `consolidate` and `generate-triplets` again"))
      assert.is_string(warned(result, "3 recordings could not be audited"))
   end)

   it("listens to some of many recordings, and says so", function()
      local lines = {}
      for i = 1, 6 do
         put(("x/%d.wav"):format(i), noise(8, i))
         lines[i] = ("x/%d 4 x/%d 4 x/%d 4"):format(i, i % 6 + 1, (i + 1) % 6 + 1)
      end
      triplets(table.unpack(lines))
      local result = assert(run({limit = 2}))
      assert.same({6, 2, 2, 6}, {result.recordings, result.audited, result.tiles, result.distinct_tiles})
      assert.matches("2 tiles of 7 s in 2 recordings were looked at (a sample: --limit 0 takes all of the 6)",
         audit.sentence(result), 1, true)
      assert.equal(6, run({limit = 0}).audited)
   end)

   it("refuses a foreign table until told what its locations are", function()
      put("x/one.wav", noise(30, 1))
      put("y/two.wav", noise(30, 2))
      assert(sql.write_parquet(table_path, {a = {"train_audio/x/one.wav"}, b = {"train_audio/x/one.wav"},
         c = {"train_audio/y/two.wav"}, a_loc = array.from({50}, "f64"), b_loc = array.from({150}, "f64"),
         c_loc = array.from({12.5}, "f64")}))
      local _, message = run()
      assert.matches("--loc-unit frames", message, 1, true)
      local result = assert(run({loc_unit = "frames", output = dir .. "/tiles.csv"}))
      assert.equal(1, result.classes[1].clip)
      assert.matches("train_audio/x/one.wav,7.5,", command.read(dir .. "/tiles.csv"), 1, true)
   end)

   it("writes JSON, or a row a tile as CSV or Parquet", function()
      put("x/one.wav", noise(30, 1))
      put("y/two.wav", noise(30, 2, 1e-5))
      triplets("x/one 5 x/one 20 y/two 1")
      local result = assert(run({output = dir .. "/a.json"}))
      local read = cjson.decode(command.read(dir .. "/a.json"))
      assert.same({1, 3, result.warnings}, {read.triplets, read.tiles, read.warnings})
      assert(run({output = dir .. "/a.parquet"}))
      local rows = sql.query(("select * from read_parquet('%s/a.parquet')"):format(dir))
      assert.same({"source", "loc", "padding", "peak", "rms", "clipped_share", "silent", "clipped", "padded",
         "duplicate", "sound"}, rows.columns)
      assert.equal(3, #rows)
      assert.near(0.2 / math.sqrt(12), rows[1].rms, 2e-3)
      assert.near(1 - 4.5 / 7, rows[3].padding, 1e-6)
      assert.same({false, true}, {rows[1].silent, rows[3].silent})
      assert.matches("must end in .json, .csv or .parquet", select(2, run({output = dir .. "/a.txt"})), 1, true)
   end)

   it("names what is missing", function()
      put("x/one.wav", noise(8, 1))
      triplets("x/gone 5 x/gone 6 x/away 1")
      assert.matches("triplets.parquet: all 2 recordings failed, the first: ", select(2, run()))
      assert.matches("^/nope: no such folder", select(2, run({dataset_root = "/nope"})))
      assert.matches("^/none.parquet", select(2, run({input = "/none.parquet"})))
   end)

   it("is a command", function()
      local m = mined.get()
      local out, status = command.bclua({"scripts/motif.lua", "audit", m.triplets, "--dataset-root", m.data,
         "--output", dir .. "/a.json"})
      assert.equal(0, status, out)
      assert.matches("40 triplets of %d+ distinct tiles; %d+ tiles of 7 s in %d+ recordings were looked at", out)
      assert.matches("overlapping within a triplet", out)
      assert.is_true(files.exists(dir .. "/a.json"))
      out, status = command.bclua({"scripts/motif.lua", "audit", m.triplets, "--dataset-root", m.data, "--limit=-1"})
      assert.not_equal(0, status)
      assert.matches("--limit: '-1' is below 0", out, 1, true)
   end)
end)
