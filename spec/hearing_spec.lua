-- What of a recording is heard, channel, sample rate and band, and that all steps after `extract` keep to it.
local array = require "bclua.array"
local analysis = require "bclua.workflow.analysis"
local audio = require "bclua.audio"
local command = require "support.command"
local extract = require "bclua.workflow.extract"
local files = require "bclua.files"
local best_channel = require "bclua.workflow.best_channel"
local hearing = require "bclua.data.hearing"
local provenance = require "bclua.data.provenance"
local sampling = require "bclua.sampling"
local score = require "bclua.workflow.score"
local sql = require "bclua.sql"
local system = require "bclua.system"
local tilenet = require "bclua.tilenet"

local dir
setup(function() dir = command.folder() end)
teardown(function() command.remove(dir) end)

local function noise(n, seed, level) return (sampling.generator(seed):normal(n) * (level or 0.01)):copy("f32") end

-- Add calls of a second around hz.
local function add_calls(y, rate, hz, level, ...)
   for _, at in ipairs{...} do
      local phase = 0
      for k = 0, rate - 1 do
         phase = phase + 2 * math.pi * hz * (1 + 0.1 * math.sin(20 * k / rate)) / rate
         local i = math.floor(at * rate) + k + 1
         if k / rate % 0.4 < 0.25 then y[i] = y[i] + level * math.sin(phase) end
      end
   end
   return y
end

local function save(path, rate, ...)
   local rows, n = {...}, #(...)
   assert(system.mkdir(files.dirname(path)))
   assert(audio.save(path, #rows > 1 and array.concat(rows):reshape{#rows, n} or rows[1], rate))
   return path
end

describe("settings of what is heard", function()
   it("are kept where they are not the default", function()
      assert.same({}, hearing.changed{sample_rate = 32000, channel = "mix", fmin = 0, fmax = 0})
      assert.same({sample_rate = 8000, channel = 2, fmin = 100, fmax = 3000}, hearing.changed{sample_rate = 8000,
         channel = "right", fmin = 100, fmax = 3000})
      assert.same({1, 3, "best"}, {hearing.changed{channel = "left"}.channel, hearing.changed{channel = "3"}.channel,
         hearing.changed{channel = "best"}.channel})
      assert.same({sample_rate = 32000, fmin = 0, fmax = 0}, hearing.of(nil))
      assert.same({sample_rate = 8000, channel = "best", fmin = 5, fmax = 0}, hearing.of{sample_rate = 8000,
         channel = "best", fmin = 5, samples = 7})
      assert.same({nil, "key 'channel' must be 'best' or a number from 1, got 'left'"}, {hearing.of{channel = "left"}})
   end)

   it("must fit each other", function()
      local function wrong(o)
         local all = {sample_rate = 32000, cens_sample_rate = 10, fmin = 0, fmax = 0}
         for k, v in pairs(o) do all[k] = v end
         return extract.wrong(all)
      end
      assert.is_nil(wrong{})
      assert.is_nil(wrong{sample_rate = 256000, fmin = 15000, fmax = 128000})
      assert.is_nil(wrong{sample_rate = 1000})
      assert.equal("--fmin 3000: not below --fmax 2000", wrong{fmin = 3000, fmax = 2000})
      assert.equal("--fmin 4000: not below half the sample rate, 4000 Hz", wrong{sample_rate = 8000, fmin = 4000})
      assert.equal("--fmax 17000: above half the sample rate, 16000 Hz (--sample-rate)", wrong{fmax = 17000})
      assert.equal("--cens-sr 10: does not divide the sample rate 11025", wrong{sample_rate = 11025})
      assert.equal("band from 100 to 100.5 Hz holds none of 36 bins an octave", wrong{fmin = 100, fmax = 100.5})
   end)

   it("are refused on the command line, and in a configuration", function()
      local function call(...)
         return (command.bclua({"scripts/motif.lua", "extract", "--input", dir, "--output", dir .. "/x", ...}))
      end
      assert.matches("%-%-channel: 'middle' is not one of mix, left, right, best, or a number from 1",
         call("--channel", "middle"))
      assert.matches("%-%-sample%-rate: '10' is outside 1000..768000", call("--sample-rate", "10"))
      local pipeline = require "bclua.workflow.pipeline"
      local function wrong(e) return pipeline.wrong(assert(pipeline.merge(pipeline.defaults, {extract = e}))) end
      assert.is_nil(wrong{channel = 2, sample_rate = 8000, fmin = 100})
      assert.matches("setting 'extract.channel': '0' is not one of mix", wrong{channel = 0})
      assert.matches("settings 'extract': %-%-fmin 20000: not below half", wrong{fmin = 20000})
      assert.matches("'extract.cens_sample_rate': 10 does not divide 22055", wrong{sample_rate = 22055})
   end)
end)

describe("the best channel", function()
   local rate = 16000
   local function best(name, ...) return best_channel.choose(save(dir .. "/" .. name, rate, ...), "best", rate) end
   local quiet, loud = noise(10 * rate, 1), noise(10 * rate, 2, 0.1)
   local calls = add_calls(noise(10 * rate, 3), rate, 2000, 0.1, 2, 6)

   it("is the one in which most stands out, not the loudest", function()
      assert.equal(2, best("a.flac", quiet, calls))
      assert.equal(1, best("b.flac", calls, loud))
      assert.equal(3, best("c.flac", loud, quiet, add_calls(quiet:copy(), rate, 2000, 0.1, 2, 6)))
      assert.equal(1, best("d.flac", calls, calls)) -- of equal ones the first
      assert.equal(1, best("e.flac", calls))
      assert.equal(2, best("f.flac", add_calls(loud:copy(), rate, 2000, 0.1, 2, 6), calls))
   end)

   it("is none that is dead, drops out, or is clipped", function()
      assert.equal(2, best("g.flac", array.zeros(10 * rate), quiet))
      local dropping = calls:copy()
      dropping:slice(1, 1, 5 * rate):fill(0)
      assert.equal(2, best("h.flac", dropping, calls))
      local clipped = calls * 30
      for i = 1, #clipped do clipped[i] = math.max(-1, math.min(1, clipped[i])) end
      assert.equal(2, best("i.flac", clipped, calls))
   end)

   it("is found in long recordings by pieces", function()
      local pieces, piece = best_channel.pieces, best_channel.piece
      best_channel.pieces, best_channel.piece = 3, rate
      local long, other = noise(rate * 20, 5), noise(rate * 20, 6)
      assert.equal(2, best("long.flac", other, add_calls(long:copy(), rate, 1500, 0.1, 18.9))) -- in the last piece
      add_calls(other, rate, 1500, 0.1, 3, 15) -- between pieces
      assert.equal(2, best("missed.flac", other, add_calls(long, rate, 1500, 0.1, 9.5)))
      best_channel.pieces, best_channel.piece = pieces, piece
   end)

   it("is nothing where the file is none", function()
      assert.same({nil, "/nowhere.wav: No such file or directory"}, {best_channel.choose("/nowhere.wav", "best", rate)})
      assert.is_false(best_channel.choose("/nowhere.wav", nil, rate))
      assert.equal(2, best_channel.choose("/nowhere.wav", 2, rate))
   end)
end)

-- A small set of recordings through the steps. Channel 1 of each is its calls, or channel 2; the other is noise.
local function chain(name, rate, options, hz)
   local at = {dir = dir .. "/" .. name}
   at.root, at.motif, at.triplets, at.tiles = at.dir, at.dir .. "/motif.parquet", at.dir .. "/t.parquet",
      at.dir .. "/tiles"
   for s, species in ipairs{"a", "b"} do
      for i = 1, 2 do
         local calls = add_calls(noise(9 * rate, 10 * s + i), rate, hz * s, 0.2, 1 + i * 0.3, 7 - i * 0.4)
         local other = noise(9 * rate, 50 + 10 * s + i)
         local rows = i == 1 and {calls, other} or {other, calls}
         save(("%s/rec/%s/%d.flac"):format(at.dir, species, i), rate, table.unpack(rows))
      end
   end
   local function step(module, o)
      o.quiet = true
      return assert(require("bclua.workflow." .. module).run(o))
   end
   local o = {input = at.dir .. "/rec", output = at.dir .. "/motif"}
   for k, v in pairs(options) do o[k] = v end
   at.extracted = step("extract", o)
   step("consolidate", {input = at.dir .. "/motif", output = at.motif})
   at.scores = step("score", {input = at.motif, dataset_root = at.root, output = at.dir .. "/scores.parquet",
      calls = 2})
   step("triplets", {input = at.motif, output = at.triplets, samples = 30, holdout = 0, pick = "calls",
      scores = at.dir .. "/scores.parquet"})
   step("tiles", {input = at.triplets, dataset_root = at.root, output = at.tiles})
   at.step = step
   return at
end

local function rows(text) return assert(sql.query(text)) end

-- Each tile is what `audio.load` gives of the channel and rate.
local function check_tiles(at, rate)
   for _, row in ipairs(rows(("from '%s/index.parquet'"):format(at.tiles))) do
      local i = tonumber(row.source:match("(%d)%.flac"))
      assert.equal(i, row.channel)
      local y = assert(audio.load(at.root .. "/" .. row.source, {sample_rate = rate, channel = i}))
      local expected = sampling.cut(y, rate, row.loc, 7)
      local got = assert(array.load(at.tiles .. "/" .. row.tile)):copy("f32")
      got = got:slice(1, row.first + 1, row.first + 7 * rate)
      assert.is_true(array.max_difference(expected, got * row.scale) < 1e-4)
   end
end

describe("a chain with the best channel", function()
   local at
   setup(function() at = chain("stereo", 16000, {sample_rate = 16000, channel = "best"}, 800) end)

   it("remembers it, a column of the table, in every step", function()
      for _, row in ipairs(rows("from '" .. at.motif .. "'")) do
         assert.equal(tonumber(row.source_name:match("(%d)%.flac")), row.channel)
      end
      local made = provenance.of_parquet(at.triplets)
      assert.same({16000, "best"}, {made.sample_rate, made.channel})
      for _, list in pairs(at.scores.calls) do
         for _, start_s in ipairs(list) do assert.is_true(start_s >= 0 and start_s <= 4) end
      end
      check_tiles(at, 16000)
   end)

   it("trains from tiles and from recordings on the same sound", function()
      local loader = require "bclua.data.loader"
      local a <close> = assert(loader.new{triplets = at.triplets, tiles = at.tiles, batch_size = 4})
      local b <close> = assert(loader.new{triplets = at.triplets, dataset_root = at.root, batch_size = 4})
      assert.same({16000, 16000}, {a.sample_rate, b.sample_rate})
      local x, y = assert(a:next()), assert(b:next())
      for _, role in ipairs{"anchor", "neighbor", "distant"} do
         assert.is_true(array.max_difference(x[role], y[role]) < 1e-4)
      end
      local w <close> = assert(loader.walk{input = at.motif, dataset_root = at.root, batch_size = 2})
      local f <close> = assert(loader.walk{input = at.dir .. "/motif", dataset_root = at.root, batch_size = 2})
      assert.same({16000, 16000}, {w.sample_rate, f.sample_rate})
      x, y = assert(w:next()), assert(f:next())
      assert.is_true(array.equal(x.anchor, y.anchor))
      local file, start_s = x.provenance.anchor.file[1], x.provenance.anchor.seconds[1]
      local row = assert(audio.load(at.root .. "/" .. file, {start_s = start_s, seconds = 5,
         channel = tonumber(file:match("(%d)%.flac"))}))
      assert.is_true(array.max_difference(x.anchor[1], row) < 1e-6)
   end)

   it("is that of the checkpoint, and of what it predicts", function()
      local run = at.step("fit", {triplets = at.triplets, tiles = at.tiles, run = at.dir .. "/run",
         network = {widths = {2, 2, 2, 2}, z = 4}, batch_size = 2, batches_per_round = 1, max_rounds = 1,
         validation_triplets = 0})
      local net, metadata = assert(tilenet.open(run.checkpoint))
      assert.same({16000, 2048, "best"}, {net.options.sample_rate, net.options.n_fft, metadata.channel})
      local list = {at.root .. "/rec/a/1.flac", at.root .. "/rec/a/2.flac"}
      local output = at.dir .. "/e.parquet"
      at.step("predict", {checkpoint = run.checkpoint, inputs = list, output = output})
      local m = sql.parquet_metadata(output)
      for i, file in ipairs(require("bclua.json").decode(m.bclua_files)) do assert.equal(i, file.channel) end
      assert.same({16000, "best"}, {provenance.of_parquet(output).sample_rate, provenance.of_parquet(output).channel})
      local got = rows(("from '%s' where start_s = 0 order by file"):format(output))
      for i, path in ipairs(list) do
         local y = assert(audio.load(path, {sample_rate = 16000, channel = i, seconds = 5}))
         local e = net:forward(y:reshape{1, 80000})[1]
         assert.is_true(array.max_difference(e, array.from(got[i].embedding:table(), "f32")) < 1e-4)
      end
      local _, message = require("bclua.workflow.predict").run{checkpoint = run.checkpoint, inputs = list,
         output = output, channel = "left", quiet = true}
      assert.matches("other parameters %(channel = best, now 1%)", message)
      net:close()
   end)

   it("is heard in labels, tracks and searches", function()
      at.step("labels", {input = at.motif, format = "raven", output = at.dir .. "/raven.txt", dataset_root = at.root})
      local seen = 0
      for line in command.read(at.dir .. "/raven.txt"):gmatch("[^\n]+") do
         local channel, name = line:match("^%d+\tSpectrogram 1\t(%d)\t.-(%d)%.flac")
         if channel then
            seen = seen + 1
            assert.equal(name, channel)
         end
      end
      assert.is_true(seen >= 12)
      local found = at.step("search", {query = at.root .. "/rec/a/2.flac", input = at.motif, top = 1})
      local copied = at.step("search", {query = at.root .. "/rec/a/2.flac", input = at.motif, top = 1,
         features = dir, dataset_root = at.root})
      assert.same(found.hits, copied.hits) -- computed anew of the same channels
      local other = at.step("search", {query = at.root .. "/rec/a/2.flac", input = at.motif, top = 1, channel = "left"})
      assert.is_true(other.hits[1].distance > found.hits[1].distance)
      at.step("audit", {input = at.triplets, dataset_root = at.root})
   end)

   it("is done again with another one, and only then", function()
      local function again(channel, force)
         return extract.run{input = at.dir .. "/rec", output = at.dir .. "/motif", sample_rate = 16000,
            channel = channel, force = force, quiet = true}
      end
      assert.equal(4, again("best").skipped)
      local _, message = again("left")
      assert.matches("channel = best, now 1", message)
      assert.equal(0, again("left", true).skipped)
      assert.equal(4, again(1).skipped)
      local result = again(3, true)
      assert.is_nil(result)
   end)
end)

describe("a chain at another sample rate", function()
   it("hears what is above 16 kHz, in a band of its own", function()
      local at = chain("bats", 64000, {sample_rate = 64000, channel = "best", fmin = 10000, fmax = 30000}, 12000)
      local made = provenance.of_parquet(at.triplets)
      assert.same({64000, 10000, 30000}, {made.sample_rate, made.fmin, made.fmax})
      local mel = score.mel(made)
      assert.same({64000, 2048, 10000, 30000}, {mel.sample_rate, mel.n_fft, mel.fmin, mel.fmax})
      check_tiles(at, 64000)
      local run = at.step("fit", {triplets = at.triplets, run = at.dir .. "/run", dataset_root = at.root,
         network = {widths = {2, 2, 2, 2}, z = 4}, batch_size = 2, batches_per_round = 1, max_rounds = 1,
         validation_triplets = 0})
      local net = assert(tilenet.open(run.checkpoint))
      assert.same({64000, 10000, 30000, 320000}, {net.options.sample_rate, net.options.fmin, net.options.fmax,
         net.samples})
      net:close()
      local set = at.step("evaluation_set", {motif = at.motif, dataset_root = at.root})
      assert(set:each(function(windows) assert.equal(320000, windows:shape(2)) end))
      at.step("labels", {input = at.motif, format = "csv", output = at.dir .. "/l.csv"})
      for _, row in ipairs(rows(("from '%s/l.csv'"):format(at.dir))) do
         assert.same({10000, 30000}, {row.low_hz, row.high_hz})
      end
   end)

   it("has as many octaves as fit, and warns where a file holds less than is looked at", function()
      local y = add_calls(noise(10 * 8000, 1), 8000, 1500, 0.2, 2, 6)
      local path = save(dir .. "/low.wav", 8000, y)
      local p = {sample_rate = 8000, cens_sample_rate = 10, matrix_profile_window = 30}
      local r = assert(analysis.analyse(path, p))
      assert.same({80000, 8000}, {r.duration_samples, r.source_sample_rate})
      assert.is_nil(r.warning)
      assert.is_true(r.cens:max() > 0)
      p.sample_rate = 32000
      assert.equal("its own sample rate is 8 kHz: there is nothing above 4 kHz", analysis.analyse(path, p).warning)
   end)
end)

describe("a band", function()
   it("is all that is looked at", function()
      local rate, hum = 32000, array.zeros(32000 * 8)
      for i = 1, #hum do hum[i] = 0.4 * math.sin(2 * math.pi * (90 + 20 * math.sin(i / 20000)) * i / rate) end
      local y = add_calls(noise(8 * rate, 4), rate, 2500, 0.1, 1, 5)
      local calm, windy = save(dir .. "/calm.flac", rate, y), save(dir .. "/windy.flac", rate, y + hum)
      local function both(p)
         p.sample_rate, p.cens_sample_rate = rate, 10
         return array.max_difference(assert(analysis.features(calm, p)), assert(analysis.features(windy, p)))
      end
      assert.is_true(both{} > 0.2)
      assert.is_true(both{fmin = 1000} < 0.05, both{fmin = 1000})
      assert.is_true(both{fmin = 3000, fmax = 8000} < 0.05)
      assert.is_true(both{fmax = 1000} > 0.2)
      local function measure(path, heard)
         return assert(score.measure(assert(audio.load(path)), {1, 4}, 3, nil, heard))
      end
      local a, b = measure(calm, {fmin = 1000, fmax = 8000}), measure(windy, {fmin = 1000, fmax = 8000})
      for i = 1, 2 do assert.near(a[i].score, b[i].score, 0.2) end
   end)

   it("has fewer mel bands where it has no room for all", function()
      assert.same({sample_rate = 32000, n_fft = 1024, hop = 512, n_mels = 64, fmin = 150, fmax = 15000}, score.mel())
      for _, heard in ipairs{{sample_rate = 8000}, {sample_rate = 256000}, {fmin = 2000, fmax = 2500}, {fmin = 15500},
         {sample_rate = 1000}} do
         local o = score.mel(heard)
         assert.is_true(o.fmin < o.fmax and o.fmax <= o.sample_rate / 2)
         local filters = require("bclua.spectral").mel_filterbank{sample_rate = o.sample_rate, n_fft = o.n_fft,
            n_mels = o.n_mels, fmin = o.fmin, fmax = o.fmax}
         assert.is_true(filters:max(2):min() > 0)
      end
   end)
end)
