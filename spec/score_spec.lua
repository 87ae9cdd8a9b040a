local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local dataset = require "bclua.data.dataset"
local files = require "bclua.files"
local mined = require "support.mined"
local provenance = require "bclua.data.provenance"
local sampling = require "bclua.sampling"
local score = require "bclua.workflow.score"
local sql = require "bclua.sql"
local triplets = require "bclua.workflow.triplets"

local RATE = 32000

teardown(mined.remove)

describe("sampling.call_measures", function()
   -- 10 bands of 1, but for what each spec adds
   local function flat(frames) return array.full({10, frames}, 1) end

   it("measures power over each band's own background", function()
      local mel = flat(100)
      mel[3]:fill(50) -- a band that is always loud is background
      mel:set(8, 61, 91) -- one band of ten at 91: the mean ratio is 10
      local energy, contrast = sampling.call_measures(mel)
      assert.same({100, 100}, {#energy, #contrast})
      assert.near(0, energy[60], 1e-5)
      assert.near(10, energy[61], 1e-5)
      assert.near(0, contrast[60], 1e-5)
      assert.near(10 * math.log((91 + 1) / 2, 10), contrast[61], 1e-4) -- the strongest two against the weakest two
      mel:T()[62]:fill(7) -- all bands louder: that is energy (but for band 3) without contrast
      mel:set(3, 62, 350)
      energy, contrast = sampling.call_measures(mel)
      assert.near(10 * math.log(7, 10), energy[62], 1e-4)
      assert.near(0, contrast[62], 1e-4)
   end)

   it("takes the background where the quantile says", function()
      local mel = flat(11)
      for k = 1, 10 do
         for t = 1, 11 do mel:set(k, t, 2 ^ ((7 * t) % 11)) end -- 1, 2, 4 ... 1024 in some order
      end
      local function background(q) return 2 ^ 7 / 10 ^ (sampling.call_measures(mel, {quantile = q})[1] / 10) end
      assert.near(1, background(0), 1e-4)
      assert.near(4, background(0.2), 1e-3)
      assert.near(32, background(0.5), 1e-2)
      assert.near(1024, background(1), 0.5)
   end)

   it("gives silence, and what is not finite, -30 dB and no contrast", function()
      local energy, contrast = sampling.call_measures(array.zeros({4, 5}))
      assert.same({-30, -30, -30, -30, -30}, energy:table())
      assert.same({0, 0, 0, 0, 0}, contrast:table())
      local mel = flat(20)
      mel:T()[5]:fill(0 / 0)
      mel:T()[6]:fill(math.huge)
      energy, contrast = sampling.call_measures(mel)
      assert.same({-30, -30, 0, 0}, {energy[5], energy[6], contrast[5], contrast[6]})
      assert.near(0, energy[7], 1e-5)
      assert.equal(0, #sampling.call_measures(array.zeros({3, 0})))
      energy = sampling.call_measures(array.from({{0, 0, 0, 0, 5}}, "f32")) -- mostly digital silence
      assert.is_true(energy:is_finite() and energy[5] > 50)
   end)

   it("names what it rejects", function()
      assert.error_matches(function() sampling.call_measures(array.zeros({0, 3})) end, "no bands")
      assert.error_matches(function() sampling.call_measures(flat(3), {background = array.zeros(1)}) end,
         "option 'background': 10 bands expected, got 1")
      assert.error_matches(function() sampling.call_measures(flat(3), {quantile = 2}) end, "'quantile' must be 0 to 1")
      assert.error_matches(function() sampling.call_measures(flat(3), {q = 2}) end, "unknown option 'q'")
   end)
end)

describe("score", function()
   it("tells call windows from background windows", function()
      local dir = command.folder()
      assert(dataset.make(dir, {families = 4, species = 1, recordings = 2, short = 0, least_s = 30, most_s = 40}))
      local _, calls = dataset.calls(dir)
      local song, other = {}, {}
      for file, list in pairs(calls) do
         local y = assert(audio.load(dir .. "/" .. file, {sample_rate = RATE}))
         local starts = {}
         for start_s = 0, #y / RATE - 5, 1.25 do starts[#starts + 1] = start_s end
         for i, r in ipairs(assert(score.measure(y, starts, 5))) do
            local covered = dataset.covered_s(list, starts[i], starts[i] + 5)
            if covered >= 3 then song[#song + 1] = r.score end
            if covered <= 0.25 then other[#other + 1] = r.score end
         end
      end
      command.remove(dir)
      local above = 0
      for _, p in ipairs(song) do
         for _, q in ipairs(other) do above = above + (p > q and 1 or 0) end
      end
      local auc = above / (#song * #other)
      assert.is_true(#song > 50 and #other > 10, #song .. " " .. #other)
      assert.is_true(auc > 0.97, ("area under the curve %.3f"):format(auc))
   end)

   it("is not taken in by a gust of noise", function()
      local g = sampling.generator(1)
      local y = array.zeros(30 * RATE)
      y:fill(g:normal(#y):copy("f32") * 0.001)
      local gust = y:slice(1, 5 * RATE + 1, 10 * RATE)
      gust:fill(gust * 10)
      for k = 0, 4 do
         sampling.add_syllable(y, RATE, {start_s = 20.2 + k, seconds = 0.6, start_hz = 3000, level = 0.1})
      end
      local gusty, call, none, outside = table.unpack(score.measure(y, {5, 20, 12, 100}, 5))
      assert.is_true(gusty.energy > none.energy + 10) -- it has energy
      assert.near(0, gusty.contrast, 1)
      assert.is_true(call.contrast > 5)
      assert.same({0, 0, 0}, {outside.energy, outside.contrast, outside.score})
      local louder = score.measure(y * 0.1, {20}, 5)[1] -- the level of a recording says nothing
      assert.near(call.score, louder.score, 0.05)
   end)

   it("is the same from a file as from memory", function()
      local dir = command.folder()
      local y = sampling.generator(1):normal(8 * RATE):copy("f32") * 0.1
      assert(audio.save(dir .. "/a.wav", y, RATE))
      y = audio.load(dir .. "/a.wav")
      local one = assert(score.one({path = dir .. "/a.wav", duration_s = 8,
         windows = {{kind = "motif", start_s = 1}}}, {seconds = 5, calls = 1}))
      assert.same(score.measure(y, {1}, 5)[1].score, one.windows[1].score)
      assert.same(score.calls(y, 8, 5, 1), one.calls)
      command.remove(dir)
   end)

   it("takes the background of a long recording from every second frame, fourth ..., and reads it twice", function()
      local dir = command.folder()
      local y = sampling.generator(3):normal(60 * RATE):copy("f32") * 0.01
      for k = 0, 9 do
         sampling.add_syllable(y, RATE, {start_s = 20 + k, seconds = 0.6, start_hz = 3000, level = 0.2})
      end
      assert(audio.save(dir .. "/a.wav", y, RATE, {subtype = "float"}))
      local starts, spectral = {3, 20, 41}, require "bclua.spectral"
      local whole = score.measure(y, starts, 5)
      for most, step in pairs{[3750] = 2, [1000] = 4, [300] = 16} do -- of 3751 frames
         local reader <close> = audio.open(dir .. "/a.wav")
         local measured = score.measure(reader, starts, 5, most)
         assert.same(measured, score.measure(y, starts, 5, most))
         local mel = spectral.mel(y, {sample_rate = RATE, n_fft = 1024, hop = 512, n_mels = 64, fmin = 150,
            fmax = 15000})
         local columns = {}
         for t = 1, mel:shape(2), step do columns[#columns + 1] = mel:slice(2, t, t) end
         local background = sampling.call_background(array.concat(columns, 2))
         local energy, contrast = sampling.call_measures(mel, {background = background})
         local _, some = sampling.call_measures(array.concat(columns, 2), {background = background})
         local usual = some:table()
         table.sort(usual)
         for i, r in ipairs(measured) do
            local first, last = starts[i] * RATE // 512 + 1, (starts[i] + 5) * RATE // 512
            assert.near(energy:slice(1, first + 1, last):mean(), r.energy, 0.1)
            assert.near(contrast:slice(1, first + 1, last):mean() - usual[(#usual + 1) // 2], r.contrast, 0.1)
            assert.near(whole[i].score, r.score, 1)
         end
      end
      command.remove(dir)
   end)

   it("finds the windows with the calls, none overlapping, in order of time", function()
      local y = array.zeros(40 * RATE)
      y:fill(sampling.generator(1):normal(#y):copy("f32") * 0.001)
      for _, at in ipairs({6, 17, 30}) do
         for k = 0, 3 do
            sampling.add_syllable(y, RATE, {start_s = at + k, seconds = 0.9, start_hz = 3000, level = 0.1})
         end
      end
      local calls = assert(score.calls(y, 40, 5, 3))
      assert.equal(3, #calls)
      for i, at in ipairs({6, 17, 30}) do
         assert.is_true(calls[i].start_s <= at and calls[i].start_s + 5 >= at + 3.9)
         assert.near(calls[i].score, score.measure(y, {calls[i].start_s}, 5)[1].score, 1e-9)
      end
      local all = #score.calls(y, 40, 5, 100)
      assert.is_true(all > 3 and all <= 8) -- no more fit
      assert.equal(1, #score.calls(y:slice(1, 1, 4 * RATE), 4, 5, 3))
      assert.equal(0, #score.calls(y, 40, 5, 0))
   end)

   local m, dir, output
   before_each(function()
      m, dir = mined.get(), command.folder()
      output = dir .. "/scores.parquet"
   end)
   after_each(function() command.remove(dir) end)

   local function run(options)
      local o = {input = m.motif, dataset_root = m.data, output = output, quiet = true}
      for k, v in pairs(options or {}) do o[k] = v end
      return score.run(o)
   end

   it("writes both windows of each recording and picks the better one", function()
      local result = assert(run())
      assert.equal(16, result.scored)
      local rows = sql.query(("select * from read_parquet(%s) where kind <> 'call'"):format(sql.quote(output)))
      assert.same(score.columns, rows.columns)
      assert.equal(32, #rows)
      local discords = 0
      for i = 1, 32, 2 do
         local motif, discord = rows[i], rows[i + 1]
         assert.same({"motif", "discord"}, {motif.kind, discord.kind})
         assert.equal(motif.source_name, discord.source_name)
         assert.equal(motif.score >= discord.score, motif.pick)
         assert.equal(not motif.pick, discord.pick)
         assert.near(motif.score, motif.energy + motif.contrast, 1e-6)
         discords = discords + (discord.pick and 1 or 0)
      end
      assert.equal(discords, result.discords)
      assert(run({output = dir .. "/s.csv"}))
      assert.same(result.picks, score.picks(dir .. "/s.csv"))
      assert.same(result.picks, score.picks(output))
   end)

   it("lists the likely calls of each recording, as many as asked for", function()
      local result = assert(run({calls = 2}))
      local listed = assert(score.call_starts(output))
      assert.same(result.calls, listed)
      local n, song, all = 0, 0, 0
      local _, calls = dataset.calls(m.data)
      for name, starts in pairs(listed) do
         n = n + 1
         assert.is_true(#starts <= 2 and (#starts < 2 or starts[2] - starts[1] >= 5))
         for _, start_s in ipairs(starts) do
            song, all = song + dataset.covered_s(calls[name], start_s, start_s + 5), all + 5
         end
      end
      assert.equal(16, n)
      assert.is_true(song / all > 0.6, song / all)
      assert(run({calls = 0, output = dir .. "/none.csv"}))
      assert.matches("none.csv: no rows of the kind 'call'", select(2, score.call_starts(dir .. "/none.csv")), 1, true)
   end)

   it("takes a recording of just a window for a likely call, as do triplets", function()
      local function put(name, seconds)
         local y = sampling.generator(#name):normal(math.floor(seconds * RATE)):copy("f32") * 0.1
         assert(audio.save(dir .. "/card/" .. name, y, RATE))
      end
      command.shell("mkdir " .. dir .. "/card")
      for i = 1, 3 do put(i .. ".wav", 5) end
      put("short.wav", 4.8)
      assert(require("bclua.workflow.extract").run{input = dir .. "/card", output = dir .. "/motif", quiet = true})
      local motif = dir .. "/motif.parquet"
      assert(require("bclua.workflow.consolidate").run{input = dir .. "/motif", output = motif, quiet = true})
      local result = assert(run{input = motif, dataset_root = dir})
      assert.same({3, 0, 0}, {result.scored, result.discords, #result.rows - 3})
      for i = 1, 3 do
         assert.same({"call", 0, false}, {result.rows[i].kind, result.rows[i].start_s, result.rows[i].pick})
      end
      local drawn = assert(triplets.run{input = motif, output = dir .. "/t.parquet", samples = 50, holdout = 0,
         pick = "calls", scores = output, quiet = true})
      local r = sql.query(("select count(*) filter (a_loc = 2.5)::bigint n, count(*) filter (a = b)::bigint own " ..
         "from '%s'"):format(dir .. "/t.parquet"))[1]
      assert.is_true(r.n > 20 and r.own == 50)
      assert.matches("the neighbour is the anchor's own window", table.concat(drawn.warnings, "\n"), 1, true)
   end)

   it("gives triplets drawn with --pick calls their windows", function()
      local calls = assert(run({calls = 3})).calls
      local function check(options)
         local o = {input = m.motif, output = dir .. "/t.parquet", samples = 300, holdout = 0, quiet = true,
            pick = "calls", calls = 3, force = true}
         for k, v in pairs(options) do o[k] = v end
         local result = assert(triplets.run(o))
         local seen = 0
         for _, row in ipairs(sql.query(("select a, a_loc, b, b_loc, neighbor from '%s' where a_loc >= 0"):format(
            dir .. "/t.parquet"))) do
            local is_call = false
            for _, start_s in ipairs(calls[row.a]) do is_call = is_call or start_s + 2.5 == row.a_loc end
            assert.is_true(is_call)
            if row.neighbor == "self" then
               assert.is_true(math.abs(row.a_loc - row.b_loc) >= 5)
               seen = seen + 1
            end
         end
         assert.is_true(seen > 20)
         return result
      end
      check({scores = output})
      assert.matches("distinct pairs", check({dataset_root = m.data, samples = 5000}).warnings[1] or "")
      assert.same({nil, "calls are of anchors and neighbours alike: --pick calls, without --anchor and --neighbor"},
         {triplets.run({input = m.motif, output = dir .. "/u.parquet", pick = "calls", neighbor = "motif"})})
   end)

   it("joins a single likely call by the motif's windows, where a recording is alone in its group", function()
      assert(run({calls = 1}))
      assert(sql.write_csv(dir .. "/own.csv", ("select source_name, source_name as own from '%s'"):format(m.motif)))
      assert(triplets.run({input = m.motif, output = dir .. "/t.parquet", samples = 300, holdout = 0, quiet = true,
         pick = "calls", calls = 1, scores = output, metadata = dir .. "/own.csv", group = "own"}))
      local r = sql.query(("select count(*)::bigint n, count(*) filter (a <> b)::bigint mixed, " ..
         "count(*) filter (a_loc = b_loc)::bigint same from '%s' where a_loc >= 0"):format(dir .. "/t.parquet"))[1]
      assert(r.n > 200)
      assert.same({0, 0}, {r.mixed, r.same})
   end)

   it("lists recordings that fail and goes on", function()
      command.shell(("cp -r %s %s/data"):format(m.data, dir))
      local first = sql.query(("select min(source_name) n from '%s' where motif_0 is not null"):format(m.motif))[1].n
      command.write(dir .. "/data/" .. first, "no sound")
      local out, status = command.bclua({"scripts/motif.lua", "score", "--input", m.motif, "--dataset-root",
         dir .. "/data", "--output", output})
      assert.equal(0, status, out)
      assert.matches("score: 15 recordings, 1 failed; ", out, 1, true)
      assert.matches("; 1 failed: " .. output .. ".failures.csv\n", out, 1, true)
      assert.matches("\n" .. dir .. "/data/" .. first, command.read(output .. ".failures.csv"), 1, true)
   end)

   it("names recordings in which there is nothing to hear, and takes no silence for a call", function()
      command.shell(("cp -r %s %s/mute"):format(m.data, dir))
      local names = {}
      for i, row in ipairs(sql.query(("select source_name n from '%s' where motif_0 is not null order by 1 limit 2")
         :format(m.motif))) do names[i] = row.n end
      local y, rate = assert(audio.load(dir .. "/mute/" .. names[1]))
      assert(audio.save(dir .. "/mute/" .. names[1], array.concat{y, y * -1}:reshape{2, #y}, rate, {format = "flac"}))
      y, rate = assert(audio.load(dir .. "/mute/" .. names[2]))
      y = y:copy()
      y:slice(1, 3 * rate + 1, 9 * rate):fill(0)
      assert(audio.save(dir .. "/mute/" .. names[2], y, rate, {format = "flac"}))
      local result = assert(run({dataset_root = dir .. "/mute", recordings = names}))
      assert.same({1, 1}, {result.scored, #result.failures})
      assert.matches(names[1] .. ": its channels cancel each other", result.failures[1].reason, 1, true)
      for _, start_s in ipairs(result.calls[names[2]]) do assert.is_true(start_s <= 0.5 or start_s >= 6.5, start_s) end
   end)

   it("names what is missing", function()
      assert.matches("%-%-output must end in .parquet or .csv", select(2, run({output = dir .. "/s.txt"})))
      assert.matches("^/nope: no such folder", select(2, run({dataset_root = "/nope"})))
      assert.matches("all 16 recordings failed", select(2, run({dataset_root = dir})))
      command.write(dir .. "/x.csv", "source_name,kind\n")
      assert.matches("x.csv: no column 'pick'", select(2, score.picks(dir .. "/x.csv")))
      command.write(dir .. "/y.csv", "source_name,kind,pick\na,other,true\n")
      assert.matches("y.csv: column 'kind', row 1: must be one of motif, discord, call, got 'other'",
         select(2, score.picks(dir .. "/y.csv")), 1, true)
   end)

   it("decides the windows of triplets drawn with --pick best", function()
      local picks = assert(run()).picks
      local function draw(options)
         local o = {input = m.motif, output = dir .. "/t.parquet", samples = 500, holdout = 0, quiet = true,
            pick = "best"}
         for k, v in pairs(options) do o[k] = v end
         return triplets.run(o)
      end
      local function check()
         local rows = sql.query(([[select a, any_value(a_loc) loc, count(distinct a_loc)::bigint n,
            any_value((motif_0 + 25) / 10.0::double) motif, any_value((discord_0 + 25) / 10.0::double) discord
            from '%s' t join '%s' m on m.source_name = t.a where motif_0 is not null group by a]]):format(
            dir .. "/t.parquet", m.motif))
         assert.equal(16, #rows)
         for _, row in ipairs(rows) do
            assert.equal(1, row.n)
            assert.near(row[picks[row.a]], row.loc, 1e-9)
         end
      end
      assert(draw({scores = output}))
      check()
      local drawn, discords = command.read(dir .. "/t.parquet"), 0
      for _, pick in pairs(picks) do discords = discords + (pick == "discord" and 1 or 0) end
      assert.equal(discords, provenance.of_parquet(dir .. "/t.parquet").discords)
      assert(draw({dataset_root = m.data}))
      check()
      assert.equal(drawn, command.read(dir .. "/t.parquet"))
      command.write(dir .. "/few.csv", "source_name,kind,pick\nnone,discord,true\n")
      assert.matches("no score in .*few.csv: 16 recordings; their motif is taken",
         draw({scores = dir .. "/few.csv", force = true}).warnings[1])
      assert.matches("--dataset-root", select(2, draw({})), 1, true)
      assert.matches("^/none", select(2, draw({scores = "/none.parquet"})))
   end)

   it("is a command", function()
      local out, status = command.bclua({"scripts/motif.lua", "score", "--input", m.motif, "--dataset-root", m.data,
         "--output", output})
      assert.equal(0, status, out)
      assert.matches("score: 16 recordings, 0 failed; the discord looks more like a call than the motif in %d+", out)
      assert.is_true(files.exists(output))
      out, status = command.bclua({"scripts/motif.lua", "score", "--input", m.motif})
      assert.not_equal(0, status)
      assert.matches("dataset%-root", out)
   end)
end)
