local array = require "bclua.array"
local audio = require "bclua.audio"
local lfs = require "lfs"
local sampling = require "bclua.sampling"

describe("audio", function()
   local folder

   local function path(name) return folder .. "/" .. name end

   local function read_bytes(name)
      local f <close> = assert(io.open(path(name), "rb"))
      return f:read("a")
   end

   local function write_bytes(name, bytes)
      local f <close> = assert(io.open(path(name), "wb"))
      f:write(bytes)
      return path(name)
   end

   local function tone(samples, sample_rate, hertz, level)
      local y = array.zeros(samples)
      for i = 1, samples do
         y[i] = (level or 0.5) * math.sin(2 * math.pi * hertz * (i - 1) / sample_rate)
      end
      return y
   end

   -- noise that an encoder cannot make small, the same every time
   local function noise(samples)
      local y, state = array.zeros(samples), 1
      for i = 1, samples do
         state = state * 6364136223846793005 + 1442695040888963407
         y[i] = (state >> 40) / (1 << 24) - 0.5
      end
      return y
   end

   local function save(name, y, sample_rate, options)
      assert.is_true(audio.save(path(name), y, sample_rate, options))
      return path(name)
   end

   local function fails(pattern, value, message)
      assert.is_nil(value)
      assert.matches(pattern, message)
      assert.equal(folder, message:sub(1, #folder)) -- begins with the path
   end

   setup(function()
      folder = os.tmpname()
      os.remove(folder)
      assert(lfs.mkdir(folder))
   end)

   teardown(function()
      for name in lfs.dir(folder) do os.remove(path(name)) end
      lfs.rmdir(folder)
   end)

   describe("load", function()
      it("gives back the very samples of a float WAV, above full scale too", function()
         local y = array.from({0, 0.25, -1.5, 3, 1e-30}, "f32")
         local z, sample_rate = audio.load(save("f.wav", y, 8000, {subtype = "float"}))
         assert.same(y:table(), z:table())
         assert.equal("f32", z:dtype())
         assert.equal(8000, sample_rate)
      end)

      it("reads 16-bit samples as fractions of 32768", function()
         local y = array.from({0.5, -1, 1 / 32768}, "f32")
         for _, name in ipairs({"p.wav", "p.flac"}) do
            assert.same(y:table(), audio.load(save(name, y, 44100)):table())
         end
      end)

      it("comes close to what was written to Ogg", function()
         local y = tone(16000, 32000, 1000)
         local z, sample_rate = audio.load(save("t.ogg", y, 32000))
         assert.equal(32000, sample_rate)
         assert.equal(16000, #z)
         assert.is_true(array.max_difference(y, z) < 0.05)
      end)

      it("takes the mean of the channels in f32, or keeps them", function()
         local y = array.from({{0.5, -0.25, 1}, {0.25, 0.25, -1}}, "f32")
         local file = save("stereo.wav", y, 8000, {subtype = "float"})
         assert.same({0.375, 0, 0}, audio.load(file):table())
         local both = audio.load(file, {mono = false})
         assert.same(y:table(), both:table())
         local three = array.from({{0.1}, {0.2}, {0.4}}, "f32")
         local mean = audio.load(save("three.wav", three, 8000, {subtype = "float"}))[1]
         local function f32(x) return array.from({x}, "f32")[1] end
         assert.equal(f32(f32(f32(f32(0.1) + f32(0.2)) + f32(0.4)) / 3), mean)
      end)

      it("takes one channel, before conversion, and names a file that has fewer", function()
         local rows = array.from({{0.5, 0.25, -0.5, 0.125}, {-0.5, 0, 0.25, 0.5}, {0.25, 0.5, 0, 0}}, "f32")
         local file = save("three.wav", rows, 8000, {subtype = "float"})
         for channel, name in ipairs{"left", "right"} do
            assert.same(rows[channel]:table(), audio.load(file, {channel = channel}):table())
            assert.same(rows[channel]:table(), audio.load(file, {channel = name}):table())
         end
         assert.same(rows[3]:table(), audio.load(file, {channel = 3}):table())
         assert.same({0.25, 0.5}, audio.load(file, {channel = 2, start_s = 2 / 8000}):table())
         assert.same(audio.load(file):table(), audio.load(file, {channel = "mix"}):table())
         local alone = save("alone.wav", rows[2], 8000, {subtype = "float"})
         assert.same(audio.load(alone, {sample_rate = 32000}):table(),
            audio.load(file, {sample_rate = 32000, channel = 2}):table())
         fails("three.wav: no channel 4 %(it has 3%)$", audio.load(file, {channel = 4}))
         fails("alone.wav: no channel 2 %(it has 1%)$", audio.open(alone, {channel = "right"}))
         assert.same(rows[2]:table(), audio.load(alone, {channel = "left"}):table())
         for value, text in pairs{[0] = "must be 1 to 1024, got 0", middle = "one of mix, left, right, got 'middle'",
            [1.5] = "must be an integer"} do
            assert.error_matches(function() audio.load(file, {channel = value}) end, text, 1, true)
         end
         assert.error_matches(function() audio.load(file, {channel = 1, mono = false}) end, "'mono = false' is for all")
      end)

      it("does not look at the other channels", function()
         local rows = array.from({{0.5, 0.25}, {0 / 0, 1}}, "f32") -- as bytes: `save` refuses what is not finite
         local file = write_bytes("nan.wav", "RIFF" .. ("<I4"):pack(52) .. "WAVEfmt " ..
            ("<I4I2I2I4I4I2I2"):pack(16, 3, 2, 8000, 64000, 8, 32) .. "data" .. ("<I4ffff"):pack(16, rows:at(1, 1),
            rows:at(2, 1), rows:at(1, 2), rows:at(2, 2)))
         assert.same({0.5, 0.25}, audio.load(file, {channel = 1}):table())
         fails("sample 0", audio.load(file, {channel = 2, strict = true}))
         fails("sample 0", audio.load(file, {strict = true}))
      end)

      it("keeps an axis of one channel if not mono", function()
         local file = save("one_channel.wav", tone(10, 8000, 440), 8000)
         assert.same({1, 10}, audio.load(file, {mono = false}):shape())
      end)

      it("reads a part by seconds, cut at the end of the file", function()
         local y = tone(8000, 8000, 440)
         local file = save("part.wav", y, 8000, {subtype = "float"})
         local part = audio.load(file, {start_s = 0.25, seconds = 0.5})
         assert.same(y:slice(1, 2001, 6000):table(), part:table())
         assert.equal(800, #audio.load(file, {start_s = 0.9, seconds = 5}))
         assert.equal(0, #audio.load(file, {start_s = 7}))
         assert.equal(0, #audio.load(file, {seconds = 0}))
      end)

      it("finds the same samples by seeking in Ogg and FLAC", function()
         local y = tone(40000, 32000, 1234, 0.3)
         for _, name in ipairs({"seek.ogg", "seek.flac"}) do
            local file = save(name, y, 32000)
            local whole = audio.load(file)
            for _, start_s in ipairs({0, 0.1, 0.5004, 1.2}) do
               local first = math.floor(start_s * 32000 + 0.5)
               local part = audio.load(file, {start_s = start_s, seconds = 0.03})
               assert.equal(960, #part)
               assert.same(whole:slice(1, first + 1, first + 960):table(), part:table())
            end
         end
      end)

      it("converts the rate, and a part gives what the whole gives there", function()
         local file = save("44.wav", tone(44100, 44100, 3000), 44100, {subtype = "float"})
         local whole, sample_rate = audio.load(file, {sample_rate = 32000})
         assert.equal(32000, sample_rate)
         assert.equal(32000, #whole)
         assert.is_true(array.max_difference(whole:slice(1, 1001, 31000),
            tone(32000, 32000, 3000):slice(1, 1001, 31000)) < 1e-5)
         for _, start_s in ipairs({0.02, 0.3333, 0.9}) do
            local first = math.floor(start_s * 32000 + 0.5)
            local part = audio.load(file, {sample_rate = 32000, start_s = start_s, seconds = 0.08})
            assert.equal(2560, #part)
            assert.is_true(array.max_difference(part, whole:slice(1, first + 1, first + 2560)) < 2e-6)
         end
      end)

      it("converts several channels each by itself", function()
         local y = array.zeros({2, 2205})
         y[1]:fill(tone(2205, 22050, 500))
         y[2]:fill(tone(2205, 22050, 900))
         local file = save("22.wav", y, 22050, {subtype = "float"})
         local z = audio.load(file, {sample_rate = 32000, mono = false})
         assert.same({2, 3200}, z:shape())
         assert.is_true(array.max_difference(z, audio.resample(y, 22050, 32000)) < 1e-6)
      end)

      it("reads silence and a single sample, to the sample", function()
         for _, name in ipairs({"s.wav", "s.flac", "s.ogg"}) do
            local y = audio.load(save(name, array.zeros(5000), 32000))
            assert.equal(5000, #y)
            assert.equal(0, y:abs():max())
            assert.equal(1, #audio.load(save("1" .. name, array.from({0.5}, "f32"), 32000)))
            assert.equal(2, #audio.load(path("1" .. name), {sample_rate = 44100}))
         end
      end)

      it("reads a file without samples as none", function()
         for _, name in ipairs({"0.wav", "0.ogg"}) do
            local y, sample_rate = audio.load(save(name, array.zeros(0), 32000))
            assert.equal(0, #y)
            assert.equal(32000, sample_rate)
            assert.equal(0, #audio.load(path(name), {sample_rate = 8000}))
         end
      end)

      it("reads more than it believes a header about", function()
         local n = (1 << 24) + 1000 -- past the size that is read in one piece
         local y = array.zeros(n)
         y[n] = 0.5
         y[n - 1100] = 0.25
         local z = audio.load(save("long.flac", y, 32000))
         assert.equal(n, #z)
         assert.equal(0.5, z[n])
         assert.equal(0.25, z[n - 1100])
         os.remove(path("long.flac"))
      end)

      it("names the path of what it cannot read", function()
         fails("missing.ogg: No such file", audio.load(path("missing.ogg")))
         fails(": is a directory", audio.load(folder))
         fails("empty.ogg: empty file", audio.load(write_bytes("empty.ogg", "")))
         fails("text.ogg: not a readable sound file",
            audio.load(write_bytes("text.ogg", ("not audio at all\n"):rep(100))))
         fails("ogg.ogg: not a readable sound file", audio.load(write_bytes("ogg.ogg", "OggS")))
         fails("null: not a regular file", (function()
            os.execute("ln -s /dev/null " .. path("null"))
            return audio.load(path("null"))
         end)())
      end)

      it("raises on a wrong option", function()
         local file = save("o.wav", array.zeros(10), 8000)
         local function rejects(options, pattern)
            assert.error_matches(function() audio.load(file, options) end, pattern)
         end
         rejects({rate = 1}, "unknown option 'rate'")
         rejects({sample_rate = 0}, "'sample_rate' must be 1 to 10000000 Hz, got 0")
         rejects({sample_rate = 0.5}, "'sample_rate' must be an integer")
         rejects({start_s = -1}, "'start_s' must be 0 s or more")
         rejects({seconds = 0 / 0}, "'seconds' must be 0 s or more")
         assert.error_matches(function() audio.load() end, "string expected")
      end)
   end)

   describe("a truncated or damaged file", function()
      local STRICT = {strict = true}

      local function cut(name, fraction)
         local bytes = read_bytes(name)
         return write_bytes("cut_" .. name, bytes:sub(1, math.floor(#bytes * fraction)))
      end

      it("fails, saying where it ends, for Ogg, if strict", function()
         save("a.ogg", noise(96000), 32000)
         local file = cut("a.ogg", 0.6)
         fails("cut_a.ogg: truncated after %d%.%d+ s", audio.load(file, STRICT))
         fails("truncated", audio.load(file, {seconds = 0.5, strict = true}))
         fails("truncated", audio.open(file, STRICT))
         fails("truncated before its first sample", audio.load(cut("a.ogg", 0.02)))
      end)

      it("fails for an Ogg that lacks only its last byte", function()
         save("b.ogg", noise(96000), 32000)
         local bytes = read_bytes("b.ogg")
         fails("truncated", audio.load(write_bytes("cut_b.ogg", bytes:sub(1, -2)), STRICT))
      end)

      it("passes for an Ogg with something behind its last page", function()
         save("c.ogg", tone(9600, 32000, 1000), 32000)
         local tagged = write_bytes("tagged.ogg", read_bytes("c.ogg") .. "TAG" .. ("\0"):rep(125))
         assert.equal(9600, #assert(audio.load(tagged)))
      end)

      it("fails for a WAV without all of its data, and for a FLAC", function()
         save("d.wav", tone(9600, 32000, 1000), 32000)
         fails("cut_d.wav: truncated after 0.15", audio.load(cut("d.wav", 0.5), STRICT))
         save("d.flac", noise(96000), 32000)
         fails("cut_d.flac: .* s", audio.load(cut("d.flac", 0.5), STRICT))
      end)

      it("fails when bytes in the middle of an Ogg were overwritten", function()
         save("e.ogg", noise(320000), 32000)
         local bytes = read_bytes("e.ogg")
         local middle = #bytes // 2
         local file = write_bytes("hole.ogg",
            bytes:sub(1, middle) .. ("\xff"):rep(16) .. bytes:sub(middle + 17))
         fails("hole.ogg: damaged after %d%.%d+ s", audio.load(file, STRICT))
      end)

      it("gives what it holds, and says where that ends", function()
         save("g.ogg", noise(96000), 32000)
         local whole = audio.load(path("g.ogg"))
         local part, sample_rate, warning = audio.load(cut("g.ogg", 0.6))
         assert.equal(32000, sample_rate)
         assert.equal(("truncated after %.3f s"):format(#part / 32000), warning)
         assert.is_true(#part > 20000 and #part < 96000)
         assert.same(whole:slice(1, 1, #part):table(), part:table())
         local later = audio.load(path("cut_g.ogg"), {start_s = 0.25, seconds = 0.1})
         assert.same(whole:slice(1, 8001, 11200):table(), later:table())
         assert.equal(#part, #audio.load(path("cut_g.ogg"), {seconds = 60}))
         save("g.wav", tone(9600, 32000, 1000), 32000)
         local wav, _, why = audio.load(cut("g.wav", 0.5))
         assert.equal(("its header says 0.300 s, %.3f s are there"):format(#wav / 32000), why)
      end)

      it("has silence for samples that are not finite, and says how many; strict fails at the first", function()
         save("n.wav", array.zeros(4000), 8000, {subtype = "float"})
         local bytes = read_bytes("n.wav")
         for _, bad in ipairs({0 / 0, 1 / 0, -1 / 0}) do
            local at = #bytes - 4 * 3000
            local file = write_bytes("nan.wav", bytes:sub(1, at) .. ("<f"):pack(bad) .. bytes:sub(at + 5))
            fails("nan.wav: sample 1000 %(0.125 s%) is not finite", audio.load(file, {strict = true}))
            assert.equal(1000, #audio.load(file, {seconds = 0.125, strict = true}))
            local y, _, why = assert(audio.load(file, {sample_rate = 16000}))
            assert.same({8000, 0}, {#y, y:max() - y:min()})
            assert.equal("1 samples are NaN or infinite, from 0.125 s on: taken for silence", why)
         end
         local one, two = ("<f"):pack(0.25), ("<f"):pack(0 / 0)
         save("s.wav", array.zeros({2, 3000}), 8000, {subtype = "float"})
         bytes = read_bytes("s.wav")
         local file = write_bytes("nan2.wav", bytes:sub(1, #bytes - 8 * 100) .. (one .. two):rep(100))
         local y, _, why = assert(audio.load(file, {mono = false}))
         assert.same({0.25, 0}, {y[1][2950], y[2][2950]})
         assert.equal("100 samples are NaN or infinite, from 0.362 s on: taken for silence", why)
         assert.is_nil(select(3, audio.load(file, {channel = 1})))
         local reader <close> = assert(audio.open(file, {channel = 2})) -- read twice, counted once
         for _ = 1, 2 do
            reader:seek_s(0)
            reader:read(3000)
         end
         assert.equal(why, reader:warning())
      end)

      it("fails where conversion takes finite samples past the largest float", function()
         local y = array.zeros(4000)
         for i = 1, #y do y[i] = i // 7 % 2 == 0 and 3.4e38 or -3.4e38 end
         save("huge.wav", y, 8000, {subtype = "float"})
         assert.is_true(audio.load(path("huge.wav")):is_finite())
         fails("huge.wav: samples near %d%.%d+ s are too large to convert to 32000 Hz",
            audio.load(path("huge.wav"), {sample_rate = 32000}))
      end)
   end)

   it("takes every recording of the reference set for whole", function()
      local reference = os.getenv("BCLUA_REFERENCE")
      if not reference then return end
      local birds = reference .. "/../birds/train_audio"
      for _, name in ipairs(assert(require("bclua.files").find(birds))) do
         local info = assert(audio.info(birds .. "/" .. name))
         assert.is_true(info.complete, name)
         assert.equal(16000, #assert(audio.load(birds .. "/" .. name, {start_s = info.seconds - 0.5})))
      end
   end)

   describe("info", function()
      it("tells what the header says", function()
         local file = save("i.ogg", array.zeros({2, 16000}), 32000)
         assert.same({frames = 16000, seconds = 0.5, channels = 2, sample_rate = 32000, format = "ogg",
            subtype = "vorbis", complete = true, tags = {encoder = "libsndfile"}}, audio.info(file))
         local wav = audio.info(save("i.wav", array.zeros(10), 8000, {subtype = "float"}))
         assert.equal("wav float", wav.format .. " " .. wav.subtype)
         local flac = audio.info(save("i.flac", array.zeros(10), 8000, {subtype = "pcm24"}))
         assert.equal("flac pcm24", flac.format .. " " .. flac.subtype)
      end)

      it("tells where a truncated Ogg ends", function()
         save("j.ogg", noise(96000), 32000)
         local info = audio.info(write_bytes("cut_j.ogg", read_bytes("j.ogg"):sub(1, -1000)))
         assert.is_false(info.complete)
         assert.equal(info.frames, info.seconds * 32000)
         assert.is_true(info.seconds > 1 and info.seconds < 3)
         assert.equal(info.frames, #audio.load(path("cut_j.ogg")))
      end)

      it("names the path of what it cannot read", function()
         fails("No such file", audio.info(path("missing.wav")))
         fails("is a directory", audio.info(folder))
      end)
   end)

   describe("save", function()
      it("gives the same bytes for the same samples", function()
         local y = tone(40000, 32000, 700)
         for _, format in ipairs({"ogg", "flac", "wav"}) do
            local a, b = audio.encode(y, 32000, {format = format}), audio.encode(y, 32000, {format = format})
            assert.is_true(a == b)
            save("same." .. format, y, 32000)
            assert.is_true(a == read_bytes("same." .. format))
         end
         assert.is_false(audio.encode(y, 32000) == audio.encode(y * 0.5, 32000))
      end)

      it("writes several channels", function()
         local y = array.from({{0.5, 0.25}, {-0.5, 0}, {1 / 4, -1}}, "f32")
         local z = audio.load(save("multi.flac", y, 32000), {mono = false})
         assert.same(y:table(), z:table())
      end)

      it("rounds and saturates integers at full scale", function()
         local y = array.from({2, -2, 1, 0.4 / 32768, 0.6 / 32768}, "f32")
         local z = audio.load(save("clip.wav", y, 8000)) * 32768
         assert.same({32767, -32768, 32767, 0, 1}, z:table())
      end)

      it("takes other dtypes and views", function()
         local y = array.from({{0.5, 9}, {0.25, 9}}, "f64"):T()[1]
         assert.same({0.5, 0.25}, audio.load(save("view.wav", y, 8000)):table())
      end)

      it("spends bytes by quality", function()
         local y = noise(32000)
         assert.is_true(#audio.encode(y, 32000, {quality = 0.1}) < #audio.encode(y, 32000, {quality = 0.9}))
      end)

      it("raises on samples, rates and options that make no sense", function()
         local y = array.zeros(10)
         local function rejects(pattern, ...)
            local arguments = table.pack(...)
            assert.error_matches(function() audio.save(table.unpack(arguments, 1, arguments.n)) end, pattern)
         end
         rejects("sample 3 is not finite", path("x.wav"), array.from({0, 0, 0, 0 / 0}), 8000)
         rejects("#3 .*sample rate must be 1 to", path("x.wav"), y, 0)
         rejects("%(channels, samples%), got 3 axes", path("x.wav"), array.zeros({1, 1, 1}), 8000)
         rejects("ends in .wav, .flac or .ogg", path("x.dat"), y, 8000)
         rejects("'subtype' is not for ogg", path("x.ogg"), y, 8000, {subtype = "pcm16"})
         rejects("must be pcm16 or pcm24 for flac", path("x.flac"), y, 8000, {subtype = "float"})
         rejects("'quality' must be 0 to 1", path("x.ogg"), y, 8000, {quality = 5})
         rejects("'quality' is not for wav", path("x.wav"), y, 8000, {quality = 0.5})
         rejects("'format' must be one of wav, flac, ogg", path("x.wav"), y, 8000, {format = "mp4"})
         assert.is_nil(lfs.attributes(path("x.wav")))
      end)

      it("says when the format cannot hold it", function()
         local nine = array.zeros({9, 10})
         fails("x.flac: the format does not hold 9 channels", audio.save(path("x.flac"), nine, 8000))
         fails("x.flac: flac holds one sample", audio.save(path("x.flac"), array.zeros(0), 8000))
         fails("x.ogg: the format does not hold 1 channels at 9999999 Hz",
            audio.save(path("x.ogg"), array.zeros(10), 9999999))
      end)

      it("fails on a folder that is not there, leaving nothing", function()
         fails("No such file", audio.save(path("no/x.wav"), array.zeros(10), 8000))
      end)

      it("reports a full disk and leaves nothing behind", function()
         local script = write_bytes("full.lua", ([[
            local audio, array = require "bclua.audio", require "bclua.array"
            print(audio.save(%q, array.full(200000, 0.5), 8000))]]):format(path("full.wav")))
         -- a limit on the size of a file stands for the disk
         local shell = "trap '' XFSZ; ulimit -f 32; exec '" .. _G.BCLUA .. "' '" .. script .. "' 2>&1"
         local out <close> = io.popen("sh -c " .. ("%q"):format(shell))
         assert.matches("^nil\t.*full.wav: File too large", out:read("a"))
         for name in lfs.dir(folder) do assert.is_nil(name:match("^full.wav")) end
      end)
   end)

   describe("encode", function()
      it("makes a file in a string", function()
         local y = tone(3200, 32000, 700)
         assert.equal("OggS", audio.encode(y, 32000):sub(1, 4))
         assert.equal("fLaC", audio.encode(y, 32000, {format = "flac"}):sub(1, 4))
         local file = write_bytes("enc.wav", audio.encode(y, 32000, {format = "wav", subtype = "float"}))
         assert.same(y:table(), audio.load(file):table())
      end)
   end)

   describe("reader", function()
      it("reads blocks that make up the whole", function()
         local file = save("r.ogg", tone(50000, 32000, 700), 32000)
         for _, options in ipairs({{}, {sample_rate = 22050}, {mono = false},
            {sample_rate = 44100, mono = false}}) do
            local r <close> = audio.open(file, options)
            local blocks = {}
            for block in function() return r:read(7001) end do
               blocks[#blocks + 1] = block
               assert.equal(math.min(7001, block:shape(block:ndim())), block:shape(block:ndim()))
            end
            local whole = audio.load(file, options)
            local joined = array.concat(blocks, whole:ndim())
            assert.same(whole:shape(), joined:shape())
            assert.is_true(array.max_difference(whole, joined) < 1e-6)
         end
      end)

      -- libsndfile's own seeks forward, and into the last page of an Ogg file, are off by up to 960 samples
      it("finds any place of an Ogg file exactly, forward, backward and in its last page", function()
         local g = sampling.generator(5)
         local loud = array.concat({g:normal(70000) * 0.01, g:normal(9000) * 0.5, g:normal(41000) * 0.01}, 1)
         local file = save("places.ogg", loud, 32000)
         local y = assert(audio.load(file))
         local r <close> = assert(audio.open(file))
         for k = 1, 200 do
            local first = k % 4 == 0 and #y - k or g:integer(#y - 700)
            r:seek_s((first - 1) / 32000)
            local part = assert(r:read(math.min(700, #y - first + 1)))
            assert.is_true(array.equal(y:slice(1, first, first + #part - 1), part), "at " .. first)
         end
      end)

      it("seeks by seconds, tells where it is, and stops at the end", function()
         local y = tone(16000, 32000, 700)
         local r = audio.open(save("s.flac", y, 32000))
         assert.equal(0.25, r:seek_s(0.25))
         assert.equal(8000, r:tell())
         local block = r:read(100)
         assert.is_true(array.max_difference(block, y:slice(1, 8001, 8100)) < 1e-4)
         assert.equal(8100, r:tell())
         assert.equal(0.5, r:seek_s(99))
         assert.is_nil(r:read(1))
         assert.equal(0, r:seek_s(0))
         assert.equal(16000, #r:read(1 << 40))
         assert.is_nil(r:read(1))
         assert.error_matches(function() r:read(0) end, "1 sample or more, got 0")
         assert.error_matches(function() r:seek_s(-1) end, "0 s or more")
         r:close()
      end)

      it("tells about the file and about what it gives", function()
         local r <close> = audio.open(save("t.flac", array.zeros({2, 8000}), 8000), {sample_rate = 32000})
         local info = r:info()
         assert.equal(8000, info.sample_rate)
         assert.equal(32000, info.read_rate)
         assert.equal(1, info.read_rows)
         assert.equal(32000, info.read_length)
      end)

      it("says that it is closed, and closes twice without harm", function()
         local r = audio.open(save("u.flac", array.zeros(8000), 8000))
         assert.matches("flac, 1 channels, 8000 Hz", tostring(r))
         r:close()
         r:close()
         assert.matches("closed", tostring(r))
         assert.error_matches(function() r:read(1) end, "closed recording")
         assert.error_matches(function() r:seek_s(1) end, "closed recording")
      end)

      it("finds back to the beginning, and to other places, behind damage", function()
         save("v.flac", noise(320000), 32000)
         local bytes = read_bytes("v.flac")
         local middle = #bytes // 2
         local file = write_bytes("w.flac", bytes:sub(1, middle) .. ("\0"):rep(5000) .. bytes:sub(middle + 5001))
         local whole = audio.load(file)
         local r <close> = audio.open(file)
         assert.is_true(#whole > 100000 and array.equal(whole, r:read(320000)))
         for _, at_s in ipairs{0, 1, 2.5} do
            assert.equal(at_s, r:seek_s(at_s))
            assert.is_true(array.equal(whole:slice(1, at_s * 32000 + 1, #whole), r:read(320000)))
         end
      end)

      it("reports damage where it comes to it", function()
         save("v.ogg", noise(320000), 32000)
         local bytes = read_bytes("v.ogg")
         local middle = #bytes // 2
         local file = write_bytes("w.ogg", bytes:sub(1, middle) .. ("\0"):rep(16) .. bytes:sub(middle + 17))
         for _, strict in ipairs{true, false} do
            local r <close> = audio.open(file, {strict = strict})
            local message
            assert.equal(32000, #r:read(32000))
            assert.is_nil(r:warning())
            repeat
               local block, err = r:read(32000)
               message = err
            until not block
            if strict then
               assert.matches("w.ogg: damaged after %d%.%d+ s", message)
            else
               assert.is_nil(message)
               assert.matches("^damaged after %d%.%d+ s", r:warning())
            end
         end
      end)
   end)
end)
