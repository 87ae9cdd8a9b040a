local array = require "bclua.array"
local audio = require "bclua.audio"
local cjson = require "cjson"
local command = require "support.command"
local consolidate = require "bclua.workflow.consolidate"
local dataset = require "bclua.data.dataset"
local extract = require "bclua.workflow.extract"
local files = require "bclua.files"
local mined = require "support.mined"
local recordings = require "bclua.data.recordings"
local results = require "support.results"
local sounds = require "bclua.data.sounds"
local sql = require "bclua.sql"
local triplets = require "bclua.workflow.triplets"

local function tone(seconds, hz, rate)
   local y = array.zeros(math.floor(seconds * rate))
   for i = 1, #y do y[i] = 0.3 * math.sin(2 * math.pi * hz * (i - 1) / rate) * (0.5 + 0.5 * math.sin(i / 9000)) end
   return y
end

teardown(mined.remove)

describe("recordings", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   local function touch(path)
      assert(require("bclua.system").mkdir(files.dirname(dir .. "/" .. path)))
      command.write(dir .. "/" .. path, "")
   end

   it("takes species from folders, and none without any", function()
      touch("train_audio/a/XC1.ogg")
      touch("train_audio/XC2.MP3")
      touch("train_audio/a/deep/XC3.wav")
      touch("train_audio/a/notes.txt")
      touch("train_audio/.hidden.ogg")
      local list = recordings.list(dir .. "/train_audio/")
      assert.equal(3, #list)
      assert.same({path = dir .. "/train_audio/a/XC1.ogg", source_name = "train_audio/a/XC1.ogg", species = "a",
         id = "XC1"}, list[2])
      assert.same({path = dir .. "/train_audio/XC2.MP3", source_name = "train_audio/XC2.MP3", id = "XC2"}, list[1])
      assert.equal("a", list[3].species)
   end)

   it("keeps ids apart that would be the same", function()
      touch("t/a/1.ogg")
      touch("t/a/1.wav")
      local list = recordings.list(dir .. "/t")
      assert.same({"1.ogg", "1.wav"}, {list[1].id, list[2].id})
   end)

   describe("count", function()
      local has_ffmpeg = audio.ffmpeg
      after_each(function() audio.ffmpeg = has_ffmpeg end)

      it("what is not read, by its kind, and what is no sound", function()
         for _, name in ipairs{"a.m4a", "b.M4A", "c.wma", "CONFIG.TXT", "noext", "d.ogg", "e.wac"} do
            touch("t/" .. name)
         end
         assert(audio.save(dir .. "/t/north_0430.wav", tone(1, 900, 8000), 8000))
         for _, name in ipairs{"north_0430", "d.wav.bak"} do
            command.write(dir .. "/t/" .. name, command.read(dir .. "/t/north_0430.wav"))
         end
         os.remove(dir .. "/t/north_0430.wav")
         command.write(dir .. "/t/memo", "\0\0\0\28ftypM4A \0\0\0\0")
         command.write(dir .. "/t/film.mov", "\0\0\0\28ftypqt  \0\0\0\0")
         audio.ffmpeg = function() return false end
         local list, left_out, others = recordings.list(dir .. "/t")
         assert.same({"t/d.ogg", "t/north_0430"}, {list[1].source_name, list[2].source_name})
         assert.same({2, 0}, {#list, #left_out})
         assert.same({found = 11, not_read = 6, ignored = 3, hidden = 0,
            extensions = {[""] = 1, bak = 1, m4a = 2, wac = 1, wma = 1}}, others)
         assert.equal("6 files not read: 1 .bak, 1 .wac, 1 .wma, 1 without extension, 2 .m4a; convert .wac; " ..
            "install ffmpeg; rename, if they are no copies: .bak; 3 other files ignored", sounds.about(others))
         assert.is_nil(sounds.about(sounds.none(4)))
         touch("u/a.m4a")
         assert.matches("no recordings .*; 1 file not read: 1 .m4a; install ffmpeg$",
            select(2, recordings.list(dir .. "/u")))
      end)

      it("what ffmpeg reads among the recordings, where it is there", function()
         for _, name in ipairs{"a.m4a", "b.WMA", "c.wac", "d.txt"} do touch("t/" .. name) end
         audio.ffmpeg = function() return true end
         local list, _, others = recordings.list(dir .. "/t")
         assert.same({"t/a.m4a", "t/b.WMA"}, {list[1].source_name, list[2].source_name})
         assert.same({found = 4, not_read = 1, ignored = 1, hidden = 0, extensions = {wac = 1}}, others)
      end)
   end)

   it("names a folder that is missing, empty, or a file", function()
      assert.same({nil, dir .. "/no: no such folder"}, {recordings.list(dir .. "/no")})
      assert.matches("no recordings", select(2, recordings.list(dir)))
      touch("x.ogg")
      assert.same({nil, dir .. "/x.ogg: not a folder"}, {recordings.list(dir .. "/x.ogg")})
   end)

   it("finds audio and taxonomy of a data set", function()
      touch("train_audio/a/1.ogg")
      touch("eBird_Taxonomy_v2021.csv")
      assert.same({audio = dir .. "/train_audio", root = dir, taxonomy = dir .. "/eBird_Taxonomy_v2021.csv"},
         recordings.layout(dir))
      assert.equal(dir, recordings.layout(dir .. "/train_audio/").root)
   end)
end)

describe("extract", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   local function kept(root, name) return (results.of(root .. "/motif"))["train_audio/" .. name] end

   local function run(options)
      local o = {input = dir .. "/train_audio", output = dir .. "/motif", quiet = true}
      for k, v in pairs(options or {}) do o[k] = v end
      return extract.run(o)
   end

   local function put(name, y, rate, options)
      local path = dir .. "/train_audio/" .. name
      assert(require("bclua.system").mkdir(files.dirname(path)))
      if type(y) == "string" then command.write(path, y) else assert(audio.save(path, y, rate or 32000, options)) end
      return path
   end

   it("writes metadata and profile as the file format says", function()
      local m = mined.get()
      assert.equal(17, m.extracted.done)
      local list = recordings.list(m.data .. "/train_audio")
      local meta = kept(m.dir, list[2].source_name:match("/(.*)"))
      assert.equal(list[2].source_name, meta.source_name)
      for _, key in ipairs({"cens_sample_rate", "matrix_profile_window", "sample_rate", "duration_cens",
         "duration_samples", "duration_seconds", "motif_0", "motif_1", "discord_0", "discord_1"}) do
         assert.is_number(meta[key], key)
      end
      local mp, pi = meta.mp, meta.pi
      assert.equal("f64", mp:dtype())
      assert.equal("i64", pi:dtype())
      assert.equal(meta.duration_cens - 49, #mp)
      assert.equal(mp:min(), mp[meta.motif_0 + 1])
      assert.equal(meta.motif_1, pi[meta.motif_0 + 1])
      assert.equal(mp:max(), mp[meta.discord_0 + 1])
   end)

   it("writes files, if asked, as the file format says", function()
      put("a/one.wav", tone(12, 1500, 32000))
      put("a/short.wav", tone(3, 1000, 32000))
      assert.equal(2, run({layout = "files"}).done)
      local folder = dir .. "/motif/a/one/"
      local meta = cjson.decode(command.read(folder .. "metadata.json"))
      local mp, pi, c = array.load(folder .. "mp.npy"), array.load(folder .. "pi.npy"), array.load(folder .. "cens.npy")
      assert.same({"f64", "i64", "f32"}, {mp:dtype(), pi:dtype(), c:dtype()})
      assert.same({#mp, #pi, 12}, {meta.duration_cens - 49, meta.duration_cens - 49, c:shape(1)})
      assert.equal("train_audio/a/one.wav", meta.source_name)
      assert.equal(mp:min(), mp[math.tointeger(meta.motif_0) + 1])
      local text = command.read(dir .. "/motif/a/short/metadata.json")
      assert.matches('"motif_0": null', text)
      assert.matches('"discord_1": null', text)
      assert.is_false(files.exists(dir .. "/motif/a/short/mp.npy"))
   end)

   it("gives a recording shorter than the window nulls and no profile", function()
      put("a/short.wav", tone(3, 1000, 32000))
      assert.equal(1, run().done)
      local row = kept(dir, "a/short.wav")
      assert.same({30}, {row.duration_cens - 1, row.motif_0, row.discord_1, row.mp, row.pi})
   end)

   it("takes stereo and 44.1 kHz as mono at 32 kHz", function()
      local y = tone(8, 1200, 44100)
      put("a/stereo.wav", array.concat({y:reshape({1, #y}), (y * 0.5):reshape({1, #y})}), 44100)
      assert.equal(1, run().done)
      local meta = kept(dir, "a/stereo.wav")
      assert.equal(256000, meta.duration_samples)
      assert.equal(8.0, meta.duration_seconds)
   end)

   it("goes on past every kind of bad file and lists it", function()
      local good = put("a/good.ogg", tone(7, 1500, 32000))
      local ogg = command.read(good)
      put("b/text.ogg", "this is no sound")
      put("b/truncated.ogg", ogg:sub(1, #ogg // 2))
      put("b/empty.ogg", "")
      put("b/silent.wav", array.zeros(32000 * 7))
      put("b/none.wav", array.zeros(0))
      local y = tone(7, 900, 32000)
      y[100] = 0 / 0
      put("b/nan.wav", "RIFF" .. string.pack("<I4", 36 + y:bytes()) .. "WAVEfmt " ..
         string.pack("<I4I2I2I4I4I2I2", 16, 3, 1, 32000, 128000, 4, 32) .. "data" ..
         string.pack("<I4", y:bytes()) .. y:string())
      local result = run()
      assert.equal(2, result.done)
      assert.matches("b/nan.wav,extract,\"?1 samples are NaN or infinite, from 0.003 s on: taken for silence",
         command.read(dir .. "/motif/warnings.csv"))
      local reasons = {}
      for _, f in ipairs(result.failures) do
         assert.equal("extract", f.step)
         assert.equal(f.path, f.reason:sub(1, #f.path), "the reason begins with the path")
         reasons[files.basename(f.path)] = f.reason
      end
      assert.matches("silent", reasons["silent.wav"])
      assert.matches("no samples", reasons["none.wav"])
      assert.matches("truncated", reasons["truncated.ogg"])
      assert.is_string(reasons["text.ogg"])
      assert.is_string(reasons["empty.ogg"])
      local csv = command.read(dir .. "/motif/failures.csv")
      assert.matches("^path,step,reason\n", csv)
      assert.equal(6, select(2, csv:gsub("\n", "\n")))
   end)

   it("gives each recording a place of its own, which namesakes that come later do not take", function()
      local a, b = tone(7, 1500, 32000), tone(7, 1000, 32000)
      put("x/dep/A/1.wav", a)
      put("x/a/b_c.wav", a)
      assert.equal(2, run().done)
      put("x/dep/B/1.wav", b)
      put("x/a_b/c.wav", b)
      put("x/a/b_c.flac", b)
      local second = run()
      assert.same({3, 2, 0}, {second.done, second.skipped, #second.failures})
      assert.same({0, 5, 0}, {run().done, run().skipped, #run().failures})
      local function names()
         assert(consolidate.run{input = dir .. "/motif", output = dir .. "/m.parquet", quiet = true, force = true})
         local list = {}
         for i, row in ipairs(sql.query("select source_name as n from '" .. dir .. "/m.parquet' order by 1")) do
            list[i] = row.n:match("x/(.*)")
         end
         return list
      end
      assert.same({"a/b_c.flac", "a/b_c.wav", "a_b/c.wav", "dep/A/1.wav", "dep/B/1.wav"}, names())
      os.remove(dir .. "/train_audio/x/a/b_c.flac")
      os.rename(dir .. "/train_audio/x/dep/A/1.wav", dir .. "/train_audio/x/dep/A/2.wav")
      local third = run()
      assert.same({1, 3, 0}, {third.done, third.skipped, #third.failures})
      assert.same({"a/b_c.wav", "a_b/c.wav", "dep/A/2.wav", "dep/B/1.wav"}, names())
   end)

   it("takes over what an earlier version kept under another name", function()
      put("x/sub/1.wav", tone(7, 1500, 32000))
      assert.equal(1, run({layout = "files"}).done)
      for _, old in ipairs{"1", "sub_1", "sub_1.wav"} do
         assert(os.rename(dir .. "/motif/x/sub/1", dir .. "/motif/x/" .. old))
         assert.same({0, 1}, {run().done, run().skipped})
         assert.is_true(files.exists(dir .. "/motif/x/sub/1/metadata.json"))
         assert.is_false(files.exists(dir .. "/motif/x/" .. old))
      end
   end)

   it("keeps recordings without species under their paths, and takes over what had the folder for a species", function()
      put("20230514_043000.wav", tone(7, 1500, 32000))
      put("20230514_044000.wav", tone(7, 1000, 32000))
      command.shell(("mv %s/train_audio %s/card"):format(dir, dir))
      local function table_of(options)
         local o = {input = dir .. "/card", layout = "files"}
         for k, v in pairs(options or {}) do o[k] = v end
         local r = run(o)
         assert(consolidate.run{input = dir .. "/motif", output = dir .. "/m.parquet", quiet = true, force = true})
         return {r.done, r.skipped}, sql.query("select source_name, species, site, folder from '" .. dir ..
            "/m.parquet' order by 1")
      end
      local counts, rows = table_of()
      assert.same({2, 0}, counts)
      assert.equal(2, #rows)
      assert.same({source_name = "card/20230514_043000.wav", folder = "20230514_043000"}, rows[1])
      assert.matches('"species": null', command.read(dir .. "/motif/20230514_043000/metadata.json"))
      -- as it was kept before
      command.shell(("cd %s/motif && rm recordings.json && mkdir card && mv 2023* card && " ..
         "sed -i 's/\"species\": null/\"species\": \"card\"/' card/*/metadata.json"):format(dir))
      assert(consolidate.run{input = dir .. "/motif", output = dir .. "/old.parquet", quiet = true})
      assert.equal("card", sql.query("select species from '" .. dir .. "/old.parquet'")[1].species)
      counts, rows = table_of()
      assert.same({0, 2}, counts)
      assert.same({nil, "20230514_043000"}, {rows[1].species, rows[1].folder})
      assert.is_false(files.exists(dir .. "/motif/card"))
   end)

   it("does nothing anew where folders are taken for something else", function()
      for _, name in ipairs{"a/1.wav", "b/1.wav"} do put(name, tone(7, 1500, 32000)) end
      for _, case in ipairs{{"auto", "a", nil}, {"site", nil, "a"}, {"flat", nil, nil}, {"species", "a", nil}} do
         local r = run{data_layout = case[1]}
         assert.equal(2, r.done + r.skipped)
         assert.equal(case[1] == "auto" and 2 or 0, r.done)
         assert(consolidate.run{input = dir .. "/motif", output = dir .. "/m.parquet", quiet = true})
         local row = sql.query("select species, site, folder from '" .. dir .. "/m.parquet' order by source_name")[1]
         assert.same({species = case[2], site = case[3], folder = "a/1"}, row, case[1])
      end
      assert.error_matches(function() run{data_layout = "tree"} end, "one of auto, species, site, flat", 1, true)
   end)

   it("uses all of a recording whose header is wrong, and what is left of a truncated one, with a warning", function()
      local path = put("a/cut.wav", tone(9, 1500, 32000))
      command.write(path, command.read(path):sub(1, 44 + 7 * 64000))
      local whole = put("a/more.wav", tone(7, 1000, 32000))
      local bytes = command.read(whole)
      command.write(whole, bytes:sub(1, 40) .. ("<I4"):pack(128000) .. bytes:sub(45))
      local csv = "path,step,what,seconds,claimed_s\n" ..
         path .. ',extract,"its header says 9.000 s, 7.000 s are there",7.0,9.0\n' ..
         whole .. ',extract,"its header says 2.000 s, 7.000 s are there",7.0,2.0\n'
      for _, skipped in ipairs{0, 2} do -- a second run says it again
         local result = run()
         assert.same({2 - skipped, skipped, 0, 2}, {result.done, result.skipped, #result.failures, #result.warnings})
         assert.equal(csv, command.read(dir .. "/motif/warnings.csv"))
      end
      put("a/good.wav", tone(6, 900, 32000))
      local strict = run{strict_audio = true}
      assert.same({1, 0, 2, 0}, {strict.done, strict.skipped, #strict.failures, #strict.warnings})
      assert.matches("a/cut.wav: truncated after 7.000 s", strict.failures[1].reason)
      assert.matches("a/more.wav: its header says 2.000 s", strict.failures[2].reason)
      assert.is_false(files.exists(dir .. "/motif/warnings.csv"))
   end)

   it("hides windows that are mostly silent or constant: they are no motif, and nobody's neighbour", function()
      local call = require("bclua.sampling").generator(5):normal(3 * 32000):copy("f32") * 0.1
      for name, level in pairs{["zeros.wav"] = 0, ["constant.flac"] = 0.25} do
         local y = (array.zeros(40 * 32000) + level):copy("f32")
         for _, at_s in ipairs{5, 28} do
            y:slice(1, at_s * 32000 + 1, (at_s + 3) * 32000):fill(call)
         end
         put("a/" .. name, y)
      end
      assert.equal(2, run().done)
      for _, name in ipairs{"zeros.wav", "constant.flac"} do
         local m = kept(dir, "a/" .. name)
         local mp, pi = m.mp, m.pi
         assert.is_true(m.motif_0 > 30 and m.motif_0 <= 55, name)
         assert.near(230, m.motif_1 - m.motif_0, 5)
         local hidden = 0
         for i = 1, #mp do
            local calls = 0 -- frames of the window in which there is a call
            for f = i - 1, i + 48 do calls = calls + ((f >= 50 and f < 80 or f >= 280 and f < 310) and 1 or 0) end
            if calls == 0 then assert.same({math.huge, -1}, {mp[i], pi[i]}, name) end
            if calls == 30 then assert.is_true(mp[i] < math.huge) end
            hidden = hidden + (pi[i] == -1 and 1 or 0)
         end
         assert.is_true(mp[m.discord_0 + 1] < math.huge)
         assert.is_true(hidden > 200)
         local calls = require("bclua.workflow.score").calls(audio.load(require("bclua.data.recordings").list(
            dir .. "/train_audio")[1].path, {sample_rate = 32000}), 40, 5, 6)
         assert.is_true(#calls >= 2)
         for _, c in ipairs(calls) do
            local middle = c.start_s + 2.5
            assert.is_true(math.abs(middle - 6.5) < 4 or math.abs(middle - 29.5) < 4)
         end
      end
   end)

   it("warns where nearly all of the sound is above what is looked at", function()
      put("a/bat.flac", tone(6, 40000, 192000), 192000)
      put("a/bird.flac", tone(6, 4000, 192000), 192000)
      local result = run()
      assert.same({2, 1}, {result.done, #result.warnings})
      assert.matches("a/bat.flac", result.warnings[1].path)
      assert.equal("100 % of its sound lies above 16 kHz, which is not looked at", result.warnings[1].what)
   end)

   it("names channels that cancel each other", function()
      local y = tone(7, 1200, 32000)
      put("a/good.wav", y)
      put("a/opposite.wav", array.concat({y:reshape({1, #y}), (y * -1):reshape({1, #y})}))
      local result = run()
      assert.equal(1, #result.failures)
      assert.matches("a/opposite.wav: its channels cancel each other", result.failures[1].reason)
   end)

   it("skips what is finished, retries what failed, redoes what changed", function()
      put("a/one.wav", tone(7, 1500, 32000))
      put("a/two.wav", "bad")
      assert.equal(1, #run().failures)
      put("a/two.wav", tone(6, 1000, 32000))
      local second = run()
      assert.same({1, 1, 0}, {second.done, second.skipped, #second.failures})
      assert.is_false(files.exists(dir .. "/motif/failures.csv"))
      put("a/one.wav", tone(9, 1500, 32000))
      assert.equal(1, run().done)
      assert.equal(2, run().skipped)
   end)

   it("refuses other parameters, naming the difference, unless forced", function()
      put("a/one.wav", tone(7, 1500, 32000))
      run()
      local result, message = run({matrix_profile_window = 40})
      assert.is_nil(result)
      assert.matches("matrix_profile_window = 50, now 40", message, 1, true)
      assert.equal(1, run({matrix_profile_window = 40, force = true}).done)
      assert.equal(1, run({matrix_profile_window = 40}).skipped)
   end)

   it("fails when nothing could be done", function()
      put("a/bad.ogg", "bad")
      put("a/worse.wav", "")
      put("notes.txt", "")
      local result, message = run()
      assert.is_nil(result)
      assert.matches("all 2 recordings failed, the first: .*a/bad.ogg: ", message)
      assert.matches("a/worse.wav: empty file", command.read(dir .. "/motif/failures.csv"))
      local counts = files.read_json(dir .. "/motif/counts.json")
      assert.same({3, 0, 2, 1}, {counts.found, counts.done, counts.failed, counts.ignored})
   end)

   it("asks for no --force after parameters with which nothing could be done", function()
      put("a/1.wav", tone(12, 440, 32000))
      local result, message = run({channel = 3})
      assert.is_nil(result)
      assert.matches("no channel 3", message)
      assert.equal(1, assert(run()).done)
      assert.is_nil(run({channel = 3}))
      assert.is_true(files.exists(dir .. "/motif/parameters.json"))
   end)

   it("says where every file went, and the sum is right", function()
      put("a/good.wav", tone(7, 1500, 32000))
      put("a/other.wav", tone(7, 1000, 32000))
      put("b/good.wav", tone(7, 1200, 32000))
      for _, name in ipairs({"a/bad.ogg", "a/memo.wac", "a/CONFIG.TXT", "a/._good.wav", "a/.DS_Store"}) do
         put(name, "no sound")
      end
      for _, folder in ipairs({".Trashes", "$RECYCLE.BIN", "System Volume Information"}) do
         put(folder .. "/deleted.wav", tone(7, 800, 32000))
      end
      local _, status = command.shell(("cd %s/train_audio && ln -s nowhere a/gone.wav && ln -s .. a/up && " ..
         "mkfifo a/pipe && ln -s a/good.wav again.wav"):format(dir))
      assert.equal(0, status)
      local function counted(r)
         local c = r.counts
         assert.equal(c.found, c.done + c.finished_before + c.failed + c.not_read + c.ignored + c.not_selected)
         assert.same(c, files.read_json(dir .. "/motif/counts.json"))
         assert.equal(#r.failures, c.failed)
         return require("bclua.workflow.account").text(c)
      end
      assert.equal("15 found: 4 done, 0 finished before, 4 failed, 1 not read, 6 ignored", counted(run()))
      assert.equal("15 found: 0 done, 4 finished before, 4 failed, 1 not read, 6 ignored", counted(run()))
      assert.equal("15 found: 0 done, 1 finished before, 3 failed, 1 not read, 6 ignored, 4 not selected",
         counted(run({species = "b"})))
      local sample = run({sample_k = 2}).counts
      assert.same({15, 3}, {sample.found, sample.not_selected})
      counted(run({sample_k = 2}))
   end)

   it("takes one species, or a sample that the seed decides", function()
      for _, name in ipairs({"a/1.wav", "a/2.wav", "b/3.wav", "b/4.wav"}) do put(name, tone(2, 1500, 32000)) end
      assert.equal(2, run({species = "a"}).done)
      assert.matches("no recordings of species 'zzz'", select(2, run({species = "zzz"})))
      local function sample(seed)
         command.remove(dir .. "/motif")
         run({sample_k = 2, seed = seed})
         local list = {}
         for i, row in ipairs(sql.query(("select source_name from '%s/motif/part-000001.parquet'"):format(dir))) do
            list[i] = row.source_name
         end
         return list
      end
      assert.equal(2, #sample(1))
      assert.same(sample(7), sample(7))
   end)

   it("reports a full disk and loses nothing", function()
      put("a/one.wav", tone(12, 1500, 32000))
      local out, status = command.shell(("ulimit -f 0; trap '' XFSZ; BCLUA_QUIET=1 %s scripts/motif.lua extract " ..
         "--input %s/train_audio --output %s/motif"):format(command.program, dir, dir))
      assert.equal(1, status)
      assert.matches("File too large", out)
      assert.equal(1, run().done)
   end)

   it("finds the calls: both motif windows are full of song far more often than chance", function()
      assert(dataset.make(dir, {families = 2, species = 2, recordings = 3, short = 0, least_s = 30, most_s = 40}))
      assert(run())
      assert(consolidate.run({input = dir .. "/motif", output = dir .. "/motif.parquet", quiet = true}))
      local _, calls = dataset.calls(dir)
      local rows = sql.query(("select source_name, motif_0, motif_1, duration_seconds from read_parquet(%s)"):format(
         sql.quote(dir .. "/motif.parquet")))
      local function is_song(row, frame)
         return dataset.covered_s(calls[row.source_name], frame / 10, frame / 10 + 5) >= 3.5
      end
      local found, expected = 0, 0
      for _, row in ipairs(rows) do
         if is_song(row, row.motif_0) and is_song(row, row.motif_1) then found = found + 1 end
         local last, hits = math.floor(row.duration_seconds * 10) - 50, 0
         for frame = 0, last do
            if is_song(row, frame) then hits = hits + 1 end
         end
         expected = expected + (hits / (last + 1)) ^ 2 -- of two windows drawn at random
      end
      assert.equal(12, #rows)
      assert.is_true(found >= 7 and found > 2 * expected,
         ("both windows are song in %d of 12 recordings, by chance in %.1f"):format(found, expected))
   end)
end)

describe("consolidate", function()
   it("gives every recording a row, with profiles as lists", function()
      local m = mined.get()
      assert.equal(17, m.consolidated.recordings)
      local r = sql.query(("select count(*)::bigint n, count(mp)::bigint mp, count(motif_0)::bigint motif, " ..
         "bool_and(len(mp) = duration_cens - 49) fits from read_parquet(%s)"):format(sql.quote(m.motif)))[1]
      assert.same({17, 16, 16, true}, {r.n, r.mp, r.motif, r.fits})
   end)

   it("lists damaged results and goes on", function()
      local dir = command.folder()
      assert(extract.run{input = mined.get().data .. "/train_audio", output = dir .. "/motif", layout = "files",
         quiet = true})
      local found = files.find(dir .. "/motif", function(n) return n == "metadata.json" end)
      command.write(dir .. "/motif/" .. found[1], "{")
      command.write(dir .. "/motif/" .. files.dirname(found[3]) .. "/mp.npy", "x")
      local result = consolidate.run({input = dir .. "/motif", output = dir .. "/m.parquet", quiet = true})
      assert.equal(15, result.recordings)
      assert.equal(2, #result.failures)
      assert.matches("metadata.json: not JSON", result.failures[1].reason)
      assert.matches("mp.npy: not an npy file", result.failures[2].reason)
      command.remove(dir)
   end)

   it("names a folder without results", function()
      local dir = command.folder()
      local result, message = consolidate.run({input = dir, output = dir .. "/m.parquet", quiet = true})
      assert.is_nil(result)
      assert.matches("no results below it", message)
      assert.matches("/nope: no such folder", select(2, consolidate.run({input = "/nope", output = "x"})))
      command.remove(dir)
   end)
end)

describe("generate-triplets", function()
   it("names columns, groups and units as the file format says", function()
      local m = mined.get()
      local rows = sql.query(("select * from read_parquet(%s)"):format(sql.quote(m.triplets)))
      assert.same({"a", "a_loc", "b", "b_loc", "c", "c_loc", "a_species", "b_species", "c_species", "neighbor",
         "distant", "a_group", "b_group", "c_group"}, rows.columns)
      assert.equal(40, #rows)
      local family = require("bclua.workflow.triplets.groups").read(m.data .. "/taxonomy.csv", "family").values
      for _, r in ipairs(rows) do
         assert.not_equal(family[r.a_species], family[r.c_species])
         assert.equal(family[r.a_species], family[r.b_species])
         assert.equal(r.neighbor == "self", r.a == r.b)
         assert.is_true(r.a_loc == -1 or (r.a_loc >= 2.5 and r.a_loc <= 13))
      end
   end)

   it("gives the centre of the motif window in seconds", function()
      local m = mined.get()
      local r = sql.query(("select count(*)::bigint n, bool_and(abs(a_loc - (motif_0 + 25) / 10) < 1e-9) ok " ..
         "from read_parquet(%s) t join read_parquet(%s) m on m.source_name = t.a where motif_0 is not null"):format(
         sql.quote(m.triplets), sql.quote(m.motif)))[1]
      assert.is_true(r.n > 0 and r.ok)
   end)

   it("keeps the held-out recordings away, and says which", function()
      local m = mined.get()
      assert.is_true(#m.drawn.holdout >= 8)
      local out = {}
      for _, name in ipairs(m.drawn.holdout) do out[name] = true end
      for _, r in ipairs(sql.query(("select a, b, c from read_parquet(%s)"):format(sql.quote(m.triplets)))) do
         assert.is_nil(out[r.a] or out[r.b] or out[r.c])
      end
      local made_with = require("bclua.data.provenance").of_parquet(m.triplets)
      assert.same(m.drawn.holdout, made_with.holdout_recordings)
   end)

   it("is the same for the same seed, and refuses another without --force", function()
      local m = mined.get()
      local path = m.dir .. "/again.parquet"
      local o = {input = m.motif, output = path, samples = 40, taxonomy = m.data .. "/taxonomy.csv", quiet = true}
      assert(triplets.run(o))
      assert.equal(command.read(m.triplets), command.read(path))
      o.seed = 2
      local result, message = triplets.run(o)
      assert.is_nil(result)
      assert.matches("seed = 1, now 2", message)
      o.force = true
      assert(triplets.run(o))
      assert.not_equal(command.read(m.triplets), command.read(path))
   end)

   it("names a missing column, a missing file, a taxonomy without columns", function()
      local dir = command.folder()
      sql.exec(("copy (select 1 as x) to %s (format parquet)"):format(sql.quote(dir .. "/x.parquet")))
      local _, message = triplets.run({input = dir .. "/x.parquet", output = dir .. "/t.parquet", quiet = true})
      assert.matches("x.parquet: no column 'source_name'", message)
      assert.matches("^/none.parquet", select(2, triplets.run({input = "/none.parquet", output = "x"})))
      command.write(dir .. "/t.csv", "A,B\n1,2\n")
      _, message = triplets.run({input = mined.get().motif, output = dir .. "/t.parquet", taxonomy = dir .. "/t.csv"})
      assert.matches("t.csv: no column 'family' (has: A, B)", message, 1, true)
      command.remove(dir)
   end)

   it("needs two groups", function()
      local m = mined.get()
      local path = m.dir .. "/one.parquet"
      sql.exec(("copy (select * from read_parquet(%s) where species = (select min(species) from read_parquet(%s))) " ..
         "to %s (format parquet)"):format(sql.quote(m.motif), sql.quote(m.motif), sql.quote(path)))
      local result, message = triplets.run({input = path, output = m.dir .. "/t1.parquet", quiet = true})
      assert.is_nil(result)
      assert.matches("two groups", message)
   end)
end)
