local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local files = require "bclua.files"
local labels = require "bclua.workflow.labels"
local listen = require "bclua.workflow.listen"
local mined = require "support.mined"
local sampling = require "bclua.sampling"
local score = require "bclua.workflow.score"
local sql = require "bclua.sql"
local stomp = require "bclua.stomp"

local dir, m
setup(function() m = mined.get() end)
teardown(mined.remove)
before_each(function() dir = command.folder() end)
after_each(function() command.remove(dir) end)

local function with(options)
   local o = {input = m.motif, dataset_root = m.data, quiet = true}
   for k, v in pairs(options or {}) do o[k] = v end
   return o
end

-- The fields of a line, empty ones too.
local function fields(line)
   local list = {}
   for field in (line .. "\t"):gmatch("([^\t]*)\t") do list[#list + 1] = field end
   return list
end

-- A label track as Audacity reads it.
local function read_track(path)
   local list = {}
   for line in command.read(path):gmatch("[^\n]+") do
      local f = fields(line)
      if f[1] == "\\" then
         list[#list].low_hz, list[#list].high_hz = tonumber(f[2]), tonumber(f[3])
      else
         list[#list + 1] = {start_s = tonumber(f[1]), end_s = tonumber(f[2]), text = f[3]}
      end
   end
   return list
end

describe("marks", function()
   it("are the motifs and discords of the stored profiles", function()
      local list = assert(labels.read({input = m.motif, top = 3}))
      assert.equal(17, #list)
      local row = sql.query(("select mp, pi from read_parquet(%s) where source_name = %s"):format(sql.quote(m.motif),
         sql.quote(list[2].source)))[1]
      local p = {distance = row.mp, index = row.pi}
      local motifs, discords = stomp.motifs(p, 3, {exclusion = 25}), stomp.discords(p, 3, {exclusion = 25})
      assert.is_true(#motifs >= 1 and #discords >= 1)
      assert.equal(2 * #motifs + #discords, #list[2].marks)
      local a, b, d = list[2].marks[1], list[2].marks[2], list[2].marks[2 * #motifs + 1]
      assert.same({"motif", 1, "a", motifs[1].at / 10, motifs[1].distance}, {a.kind, a.rank, a.part, a.start_s,
         a.distance})
      assert.same({"b", motifs[1].twin / 10}, {b.part, b.start_s})
      assert.same({"discord", 1, "", discords[1].at / 10}, {d.kind, d.rank, d.part, d.start_s})
      assert.near(a.start_s + 5, a.end_s, 1e-9)
   end)

   it("are none where a recording is shorter than the window", function()
      local n = 0
      for _, item in ipairs(assert(labels.read({input = m.motif}))) do
         if item.duration_s < 5 then
            n = n + 1
            assert.same({}, item.marks)
         end
      end
      assert.is_true(n > 0)
   end)

   it("reach up to what the file itself can hold", function()
      local place = command.folder()
      for name, rate in pairs{a = 8000, b = 44100} do
         assert(require("bclua.system").mkdir(place .. "/in/x"))
         local y = sampling.generator(3):normal(rate * 12):copy("f32") * 0.1
         assert(audio.save(("%s/in/x/%s.wav"):format(place, name), y, rate))
      end
      assert(require("bclua.workflow.extract").run{input = place .. "/in", output = place .. "/motif", quiet = true})
      assert(require("bclua.workflow.consolidate").run{input = place .. "/motif", output = place .. "/m.parquet",
         quiet = true})
      for _, root in ipairs{false, place} do
         assert(labels.run{input = place .. "/m.parquet", format = "csv", output = place .. "/l.csv",
            dataset_root = root, quiet = true})
         local most = {}
         for name, high in command.read(place .. "/l.csv"):gmatch("in/x/(%a).wav,x,[^\n]-,[%d.]+,([%d.]+),[%d.]+,\n") do
            most[name] = math.max(most[name] or 0, tonumber(high))
         end
         assert.equal(4000, most.a)
         assert.equal(16000, most.b)
      end
      command.remove(place)
   end)

   it("are of one kind, one species, when asked", function()
      local all = assert(labels.read({input = m.motif, kind = "discord"}))
      for _, item in ipairs(all) do
         for _, mark in ipairs(item.marks) do assert.equal("discord", mark.kind) end
      end
      local some = assert(labels.read({input = m.motif, species = all[1].species}))
      assert.is_true(#some < #all)
      for _, item in ipairs(some) do assert.equal(all[1].species, item.species) end
      assert.matches("motif.parquet: no recordings of species 'nix'", select(2, labels.read({input = m.motif,
         species = "nix"})))
   end)
end)

describe("the band of a window", function()
   local function burst(low, high)
      local y = (sampling.generator(1):normal(160000) * 1e-3):copy("f32")
      sampling.add_syllable(y, 32000, {start_s = 2, seconds = 0.8, level = 0.5, start_hz = low, end_hz = high})
      return y
   end

   it("holds a call", function()
      local low, high = labels.band(burst(2000, 3500), 32000)
      assert.is_true(low >= 1900 and low <= 2200, low)
      assert.is_true(high >= 3300 and high <= 3600, high)
   end)

   it("is the full one for steady noise, silence, and almost nothing", function()
      local y = sampling.generator(1):normal(160000):copy("f32")
      for _, sound in ipairs({y, array.zeros(160000), array.zeros(10), array.zeros(0)}) do
         assert.same({0.0, 16000.0}, {labels.band(sound, 32000)})
      end
   end)
end)

describe("labels", function()
   it("for Audacity read back: time, name and frequencies, a track a recording", function()
      local result = assert(labels.run(with({format = "audacity", output = dir .. "/out", top = 2})))
      local list = assert(labels.read({input = m.motif, top = 2}))
      local n, tracks = 0, 0
      for _, item in ipairs(list) do
         local path = ("%s/out/%s.txt"):format(dir, item.folder)
         if #item.marks == 0 then
            assert.is_false(files.exists(path))
         else
            tracks = tracks + 1
            local wanted = {}
            for _, mark in ipairs(item.marks) do wanted[labels.name(mark)] = mark end
            local last = 0
            for _, label in ipairs(read_track(path)) do
               local mark = wanted[label.text]
               wanted[label.text] = nil
               assert.near(mark.start_s, label.start_s, 1e-6)
               assert.near(mark.end_s, label.end_s, 1e-6)
               assert.is_true(label.start_s >= last)
               assert.is_true(label.low_hz >= 0 and label.low_hz < label.high_hz and label.high_hz <= 16000)
               last, n = label.start_s, n + 1
            end
            assert.is_nil(next(wanted))
         end
      end
      assert.equal(16, tracks)
      assert.same({17, n, 0}, {result.recordings, result.labels, #result.failures})
   end)

   it("for Raven read back: times count on through the sequence of files", function()
      assert(labels.run(with({format = "raven", output = dir .. "/r.txt"})))
      local rows, names = {}, nil
      for line in command.read(dir .. "/r.txt"):gmatch("[^\n]+") do
         local f = fields(line)
         if names then
            local row = {}
            for i, name in ipairs(names) do row[name] = f[i] end
            rows[#rows + 1] = row
         end
         names = names or f
      end
      local begins, before = {}, 0
      for _, item in ipairs(assert(labels.read({input = m.motif}))) do
         begins[files.basename(item.source)] = before
         before = before + item.duration_s
      end
      assert.equal(16 * 3, #rows)
      for i, row in ipairs(rows) do
         assert.equal(i, tonumber(row.Selection))
         local offset, start = tonumber(row["File Offset (s)"]), tonumber(row["Begin Time (s)"])
         assert.near(begins[row["Begin File"]] + offset, start, 1e-5)
         assert.is_true(tonumber(row["End Time (s)"]) > start)
         assert.is_true(files.exists(row["Begin Path"]))
         assert.is_true(tonumber(row["Low Freq (Hz)"]) < tonumber(row["High Freq (Hz)"]))
      end
   end)

   it("as CSV read back", function()
      assert(labels.run(with({format = "csv", output = dir .. "/l.csv", kind = "motif"})))
      local rows = assert(sql.query(("select * from read_csv(%s, header = true)"):format(sql.quote(dir .. "/l.csv"))))
      assert.equal("source_name species kind rank part start_s end_s clock_time low_hz high_hz distance score",
         table.concat(rows.columns, " "))
      assert.equal(32, #rows)
      local r = sql.query(("select count(*)::bigint n from read_csv(%s) l join read_parquet(%s) p " ..
         "using (source_name) where abs(l.start_s - p.motif_0 / 10) < 1e-9 and l.part = 'a' " ..
         "and abs(distance - mp[motif_0 + 1]) < 1e-6"):format(sql.quote(dir .. "/l.csv"), sql.quote(m.motif)))[1]
      assert.equal(16, r.n)
   end)

   it("have the full band without recordings, and where one is missing", function()
      assert(labels.run(with({format = "csv", output = dir .. "/l.csv", dataset_root = false})))
      local r = sql.query(("select max(low_hz) low, min(high_hz) high from read_csv(%s)"):format(
         sql.quote(dir .. "/l.csv")))[1]
      assert.same({0, 16000}, {r.low, r.high})
      local result = assert(labels.run(with({format = "csv", output = dir .. "/l.csv", dataset_root = dir})))
      assert.equal(16, #result.failures)
      assert.matches("No such file", result.failures[1].reason)
   end)

   it("are the likely calls, ranked by score, from a table of scores or found", function()
      local scores = dir .. "/scores.parquet"
      assert(score.run{input = m.motif, dataset_root = m.data, output = scores, quiet = true})
      local expected = sql.query("select source_name, start_s, score, row_number() over (partition by source_name " ..
         "order by score desc, start_s) as rank from " .. sql.parquet(scores) .. " where kind = 'call' " ..
         "qualify rank <= 2 order by source_name, rank")
      assert.is_true(#expected > 16)
      for _, given in ipairs{scores, false} do
         assert(labels.run(with{format = "csv", kind = "calls", calls = 2, scores = given or nil,
            output = dir .. "/c.csv"}))
         local rows = sql.query("from " .. sql.csv(dir .. "/c.csv"))
         assert.equal(#expected, #rows)
         for i, row in ipairs(rows) do
            local e = expected[i]
            assert.same({e.source_name, "call", e.rank, e.start_s}, {row.source_name, row.kind, row.rank, row.start_s})
            assert.near(e.score, row.score, 1e-6)
            assert.is_nil(row.distance)
         end
      end
      local ok, message = labels.run(with{format = "csv", kind = "calls", output = dir .. "/c.csv",
         dataset_root = false})
      assert.is_nil(ok)
      assert.matches("needs --scores (what `score` wrote) or --dataset-root", message, 1, true)
      assert(labels.run(with{kind = "all", scores = scores, output = dir .. "/all", dataset_root = false}))
      local names, item = {}, labels.read{input = m.motif}[2]
      for _, label in ipairs(read_track(("%s/all/%s.txt"):format(dir, item.folder))) do
         names[label.text:gsub("%(.*%)", "(%%s)")] = label.text
      end
      assert.is_truthy(names["motif 1a"] and names["discord 1"])
      for _, e in ipairs(expected) do
         if e.source_name == item.source and e.rank == 1 then
            assert.equal(("call 1 (%.1f)"):format(e.score), names["call 1 (%s)"])
         end
      end
   end)

   it("of accepted motifs count the seconds of all recordings", function()
      local list = assert(labels.read{input = m.motif})
      local last, before = list[#list], 0
      for i = 1, #list - 1 do before = before + list[i].duration_s end
      assert(require("bclua.workflow.verdicts").write(dir .. "/accepted.csv", {{source_name = last.source,
         species = last.species, start_s = 1, twin_start_s = 6, seconds = 5, distance = 2, verdict = "accepted"}}))
      assert(labels.run(with{format = "raven", accepted = dir .. "/accepted.csv", output = dir .. "/r.txt",
         dataset_root = false}))
      local line = fields(command.read(dir .. "/r.txt"):match("\n([^\n]+)"))
      assert.near(before + 1, tonumber(line[4]), 1e-5)
   end)

   it("keep a tab in a name out of the table", function()
      assert.equal("1.000000\t2.000000\ta b\n", labels.audacity({{start_s = 1, end_s = 2, text = "a\tb"}}))
   end)
end)

describe("motif-track", function()
   it("plays every window where its label says", function()
      local result = assert(listen.track(with({output = dir .. "/m.flac", kind = "both", gap = 0.25})))
      local track, rate = audio.load(dir .. "/m.flac")
      assert.equal(32000, rate)
      local list = read_track(dir .. "/m.txt")
      assert.equal(16 * 3, #list)
      assert.equal(16 * 3, result.windows)
      assert.near(#track / rate, 16 * 3 * 5 + (16 * 3 - 1) * 0.25, 1e-6)
      local marks = {}
      for _, item in ipairs(labels.read({input = m.motif})) do
         for _, mark in ipairs(item.marks) do
            marks[("%s %s %.1f s"):format(item.folder, labels.name(mark), mark.start_s)] = {item, mark}
         end
      end
      for i = 1, #list, 7 do
         local item, mark = table.unpack(marks[list[i].text])
         local y = audio.load(m.data .. "/" .. item.source, {start_s = mark.start_s, seconds = 5})
         local first = math.floor(list[i].start_s * rate + 0.5)
         local inside = {1000, #y - 1000} -- the ends are faded
         local got = track:slice(1, first + inside[1], first + inside[2])
         assert.is_true(array.max_difference(y:slice(1, inside[1], inside[2]), got) <= 1 / 32768)
         assert.equal(0, track[first + 1])
      end
   end)

   it("is the same on any number of threads", function()
      local system = require "bclua.system"
      local before = system.threads()
      for _, n in ipairs({1, 3}) do
         system.threads(n)
         assert(listen.track(with({output = ("%s/%d.ogg"):format(dir, n)})))
      end
      system.threads(before)
      assert.is_true(command.read(dir .. "/1.ogg") == command.read(dir .. "/3.ogg"))
   end)

   it("goes on without a recording, and fails without any", function()
      command.shell(("cp -r %s %s/data"):format(m.data, dir))
      os.remove(dir .. "/data/" .. labels.read({input = m.motif})[2].source)
      local out, status = command.bclua({"scripts/motif.lua", "motif-track", m.motif, "--dataset-root", dir .. "/data",
         "--output", dir .. "/m.wav"})
      assert.equal(0, status, out)
      assert.matches("motif-track: 30 windows of 15 recordings, ", out, 1, true)
      assert.matches("; 1 failed: " .. dir .. "/m.wav.failures.csv\n", out, 1, true)
      assert.matches("motif%-track,", command.read(dir .. "/m.wav.failures.csv"))
      local result, message = listen.track(with({output = dir .. "/n.wav", dataset_root = dir}))
      assert.is_nil(result)
      assert.matches("motif.parquet: all 16 recordings failed, the first: ", message)
      assert.is_false(files.exists(dir .. "/n.wav"))
      assert.same({nil, "/nope: no such folder (--dataset-root)"},
         {listen.track(with({dataset_root = "/nope", output = dir .. "/x.flac"}))})
   end)
end)

describe("extract-top-motif", function()
   it("writes each window as a file that says what it is", function()
      local result = assert(listen.top(with({output = dir .. "/top", top = 2, format = "wav"})))
      local n = 0
      for _, item in ipairs(labels.read({input = m.motif, top = 2})) do
         for _, mark in ipairs(item.marks) do
            n = n + 1
            local name = ("%s_%s_%.1f.wav"):format(item.folder, labels.name(mark):gsub(" ", ""), mark.start_s)
            local path = dir .. "/top/" .. name
            assert.equal(160000, audio.info(path).frames)
         end
      end
      assert.equal(n, result.files)
      assert.equal(n, #files.find(dir .. "/top"))
   end)
end)
