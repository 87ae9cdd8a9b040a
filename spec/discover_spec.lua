local array = require "bclua.array"
local command = require "support.command"
local dataset = require "bclua.data.dataset"
local discover = require "bclua.workflow.discover"
local files = require "bclua.files"
local lfs = require "lfs"
local jobs = require "bclua.workflow.jobs"
local join = require "bclua.workflow.discover.join"
local prom = require "bclua.evaluate.prom"
local sampling = require "bclua.sampling"
local soundscapes = require "bclua.data.soundscapes"
local sql = require "bclua.sql"
local system = require "bclua.system"
local windows = require "bclua.workflow.discover.windows"

describe("prom.judge", function()
   -- Windows of one second at these times.
   local function set(...)
      local list = {}
      for i, t in ipairs{...} do list[i] = {t, t + 1} end
      return list
   end

   -- The most that agrees over all ways to match sets.
   local function plain(counts, i, taken)
      if i > #counts then return 0 end
      local best = plain(counts, i + 1, taken)
      for j = 1, #counts[i] do
         if not taken[j] then
            taken[j] = true
            best = math.max(best, counts[i][j] + plain(counts, i + 1, taken))
            taken[j] = nil
         end
      end
      return best
   end

   it("is 1 where all sets are found, in any order", function()
      local r = prom.judge({set(1, 5, 9), set(20, 30)}, {set(30.2, 19.9), set(9, 1.3, 5)})
      assert.same({1, 1, 1, 5}, {r.precision, r.recall, r.f1, r.agreeing})
   end)

   it("counts windows that are of no set, missing, or in another one", function()
      local r = prom.judge({set(1, 5, 9), set(20, 30)}, {set(1, 5, 20), set(30, 40, 50)})
      assert.same({3, 6, 5}, {r.agreeing, r.found, r["true"]})
      assert.near(2 * 0.5 * 0.6 / 1.1, r.f1, 1e-9)
      r = prom.judge({set(1, 5)}, {set(1.4, 5.4)}) -- they overlap by .6 of 1.4 s
      assert.equal(0, r.agreeing)
      r = prom.judge({set(1, 5)}, {set(1, 1.1, 5)}) -- one window is found once
      assert.equal(2, r.agreeing)
   end)

   it("has no division by nothing", function()
      assert.equal(0, prom.judge({}, {}).f1)
      assert.equal(0, prom.judge({set(1)}, {}).recall)
      assert.equal(0, prom.judge({}, {set(1)}).precision)
   end)

   it("matches sets so that most agrees", function()
      local g = sampling.generator(1)
      for _ = 1, 40 do
         local rows, columns, t, truth, found, counts = 1 + g:integer(4) - 1, 1 + g:integer(4) - 1, 0, {}, {}, {}
         for i = 1, rows do truth[i] = {} end
         for j = 1, columns do found[j] = {} end
         for i = 1, rows do
            counts[i] = {}
            for j = 1, columns do
               counts[i][j] = g:integer(5) - 1
               for _ = 1, counts[i][j] do
                  table.insert(truth[i], {t, t + 1})
                  table.insert(found[j], {t, t + 1})
                  t = t + 2
               end
            end
         end
         assert.equal(plain(counts, 1, {}), prom.judge(truth, found).agreeing)
      end
   end)
end)

-- All of `discover.join`, as the workflow does it recording by recording.
local function number(sets, window, fewest, features)
   local t, message = join.table(sets, window, features)
   if not t then return t, message end
   local found, i = {}, 1
   while i <= #sets do
      local own, first = {}, #found
      while sets[i] and (#own == 0 or sets[i].row == own[1].row) do own[#own + 1], i = sets[i], i + 1 end
      for k, of in ipairs(join.find(own, features(own[1].row), window, t)) do found[first + k] = of end
   end
   return join.number(sets, found, fewest)
end

describe("discover", function()
   local dir, made = command.folder(), nil
   local O = {soundscapes = 2, kinds = 2, most_calls = 5, snr = 5, sample_rate = 16000}

   setup(function()
      made = assert(soundscapes.make(dir .. "/data", O))
      assert(require("bclua.workflow.extract").run{input = dir .. "/data/train_audio", output = dir .. "/motif",
         features = "mel", sample_rate = 16000, quiet = true})
      assert(require("bclua.workflow.consolidate").run{input = dir .. "/motif", output = dir .. "/motif.parquet",
         quiet = true})
   end)
   teardown(function() command.remove(dir) end)

   local function run(options)
      options.input, options.quiet = dir .. "/motif.parquet", true
      return discover.run(options)
   end

   it("finds the songs of soundscapes, and which are the same", function()
      local r = assert(run{output = dir .. "/calls.parquet"})
      local _, by_file = dataset.calls(dir .. "/data")
      local sum = {agreeing = 0, found = 0, ["true"] = 0}
      for file, calls in pairs(by_file) do
         local truth, found = {}, {}
         for _, c in ipairs(calls) do
            truth[c.species] = truth[c.species] or {}
            table.insert(truth[c.species], {c.start_s, c.end_s})
         end
         for _, row in ipairs(r.rows) do
            if row.source_name == file then
               found[row.set] = found[row.set] or {}
               table.insert(found[row.set], {row.start_s, row.end_s})
            end
         end
         local list = {}
         for _, set in pairs(truth) do list[#list + 1] = set end
         local one = prom.judge(list, found)
         for name in pairs(sum) do sum[name] = sum[name] + one[name] end
      end
      assert.equal(made.calls, sum["true"])
      assert.is_true(prom.of(sum).f1 > 0.8, sum.f1)
      local rows = sql.query(("from '%s/calls.parquet'"):format(dir))
      assert.equal(#r.rows, #rows)
      assert.equal(0, rows[1].distance)
      assert.is_true(rows[2].distance <= 0.2 * rows[2].usual)
      assert.matches("call  windows  recordings", discover.text(r))
   end)

   it("is the same for any number of threads", function()
      local usual, before = system.threads(), nil
      for _, threads in ipairs{1, 3} do
         system.threads(threads)
         assert(run{output = dir .. "/again.csv"})
         local text = files.read(dir .. "/again.csv")
         assert.equal(before or text, text)
         before = text
      end
      system.threads(usual)
   end)

   it("learns the length of a window by what its sets cover", function()
      local extracted, length = require "bclua.data.extracted", require "bclua.workflow.discover.length"
      local features, g = extracted.features, sampling.generator(8)
      local x, call = g:normal(4 * 400):reshape{4, 400}, g:normal(4 * 22):reshape{4, 22}
      for i = 1, 8 do
         local at = 45 * i
         x:slice(2, at + 1, at + 22):fill(call + x:slice(2, at + 1, at + 22) * 0.1)
      end
      finally(function() extracted.features = features end)
      function extracted.features() return x end
      local covered, best = length.one({}, {rate = 10, share = 0.2, fewest = 3}), 1
      for i, n in ipairs(covered) do best = n > covered[best] and i or best end
      assert.same({2.5, 8 * 25, 8 * 20}, {length.tried[best], covered[best], covered[best - 1]})
      extracted.features = features

      local auto = assert(run{seconds = "auto"}).rows
      local seconds = auto[1].end_s - auto[1].start_s
      assert.is_true(seconds > 1.4 and seconds < 3.1, seconds) -- songs have some 2.4 s
      assert.same(auto, run{seconds = math.floor(2 * seconds + 0.5) / 2}.rows)
      local none = assert(run{seconds = "auto", share = 1e-9}) -- no set of any length: single windows of 2 s
      assert.equal(0, none.sets)
      assert.near(2, none.rows[1].end_s - none.rows[1].start_s, 1e-9)
   end)

   it("gives the same bytes from any number of shards, and again where some were lost", function()
      assert(run{output = dir .. "/whole.parquet"})
      local whole = files.read(dir .. "/whole.parquet")
      local r = assert(run{output = dir .. "/parts.parquet", shard = "1/2"})
      assert.same({nil, false}, {r.merged, files.exists(dir .. "/parts.parquet")}) -- the other half is missing
      assert.equal(0, assert(jobs.status{run = dir .. "/parts.parquet"}).done.pieces)
      assert.is_true(run{output = dir .. "/parts.parquet", shard = "2/2"}.merged)
      r = assert(jobs.status{run = dir .. "/parts.parquet"}) -- of the join, once that has begun
      assert.matches("^%d+ sets to join, [%d.]+ s of work of one core, in (%d+) pieces?\ndone     %1 pieces?, ",
         jobs.text(r))
      assert.is_true(whole == files.read(dir .. "/parts.parquet"))
      local joined = {}
      for path in lfs.dir(dir .. "/parts.parquet.shards") do joined[#joined + 1] = path:match("^join%-%x+%.shards$") end
      assert.equal(1, #joined)
      os.remove(dir .. "/parts.parquet")
      os.remove(("%s/parts.parquet.shards/%s/piece-000001.json"):format(dir, joined[1]))
      assert.is_true(run{output = dir .. "/parts.parquet", shard = "2/2"}.merged)
      assert.is_true(whole == files.read(dir .. "/parts.parquet"))
      local none = assert(run{output = dir .. "/none.parquet", share = 1e-9, singles = 0, time_limit = 1})
      assert.same({0, {}}, {none.calls, none.rows})
   end)

   it("takes first the call of most windows, as the definition does", function()
      local g = sampling.generator(7)
      local sets, found, n = {}, {}, 60
      for i = 1, n do
         sets[i], found[i] = {at = {}}, {}
         for m = 1, 1 + (g:uniform() < 0.3 and g:integer(4) or 0) do sets[i].at[m] = m end
      end
      local of = {}
      for i = 1, n do
         of[i] = {}
         for j = 1, i - 1 do
            if g:uniform() < 0.08 then of[i][j], of[j][i] = 0.9, 0.9 end
         end
      end
      for i = 1, n do
         for j, r in pairs(of[i]) do found[i][j] = r end
      end
      local calls, call = 0, {}
      while true do -- sums anew for each call
         local best, most, size
         for i = 1, n do
            local sum = 0
            for j = 1, n do
               if not call[j] and not call[i] and (j == i or of[i][j]) then sum = sum + #sets[j].at end
            end
            if sum >= 3 and (not best or sum > most or sum == most and #sets[i].at > size) then
               best, most, size = i, sum, #sets[i].at
            end
         end
         if not best then break end
         calls = calls + 1
         for j = 1, n do
            if not call[j] and (j == best or of[best][j]) then call[j] = calls end
         end
      end
      assert.equal(calls, join.number(sets, found, 3))
      for i = 1, n do assert.equal(call[i], sets[i].call) end
      assert.is_true(calls > 5)
   end)

   it("makes a track of examples with labels", function()
      local r = assert(run{track = dir .. "/calls.flac", dataset_root = dir .. "/data", examples = 2})
      local y = assert(require("bclua.audio").load(dir .. "/calls.flac"))
      assert.near(#y / 16000, r.track.seconds, 1e-6)
      local lines = select(2, files.read(dir .. "/calls.txt"):gsub("call %d", ""))
      assert.equal(r.track.windows, lines)
      assert.is_true(lines >= 2 and lines <= 2 * r.calls)
   end)

   it("finds what the recordings of a group have in common", function()
      local r = assert(run{group = "species", output = dir .. "/shared.parquet", track = dir .. "/shared.flac",
         dataset_root = dir .. "/data"})
      assert.equal(1, r.groups) -- both are of one: nobody else to tell from
      local rows = sql.query(("from '%s/shared.parquet'"):format(dir))
      assert.equal(2, #rows)
      assert.same({"consensus", "consensus", 0}, {rows[1].kind, rows[2].kind, rows[1].distance})
      assert.is_true(rows[1].source_name ~= rows[2].source_name and rows[2].distance > 0)
      assert.near(2, rows[2].end_s - rows[2].start_s, 1e-9)
      assert.matches("soundscape  consensus           2", discover.text(r))
      assert.matches("soundscape consensus", files.read(dir .. "/shared.txt"))
      assert.matches("no recording has a site", select(2, run{group = "site"}))
      assert.matches("its only group failed: soundscape: 0 recordings of at least a window", select(2,
         run{group = "species", seconds = 3600}))
      for i = 1, 2 do assert(run{group = "species", output = dir .. "/pieces.parquet", shard = i .. "/2"}) end
      assert.is_true(files.read(dir .. "/shared.parquet") == files.read(dir .. "/pieces.parquet"))
   end)

   it("tells groups apart by what they have alone", function()
      local g = sampling.generator(4)
      local call, common = g:normal(4 * 10):reshape{4, 10}, g:normal(4 * 10):reshape{4, 10}
      local items, kept = {inside = {}, outside = {}}, {}
      for i = 1, 5 do
         local x = g:normal(4 * 100):reshape{4, 100}
         for d = 1, 4 do
            for k = 1, 10 do
               x:set(d, 20 + 5 * i + k, common[d][k])
               if i <= 3 then x:set(d, 60 + 5 * i + k, call[d][k] + 0.01 * i) end
            end
         end
         kept[i] = x
         table.insert(i <= 3 and items.inside or items.outside, i)
      end
      local extracted = require "bclua.data.extracted"
      local features = extracted.features
      finally(function() extracted.features = features end)
      function extracted.features(i) return kept[i] end
      local r = require("bclua.workflow.discover.groups").one(items, {window = 10})
      assert.same({25, 30, 35}, {r.consensus.nearest[1].at, r.consensus.nearest[2].at, r.consensus.nearest[3].at})
      assert.equal(70, r.contrast.nearest[1].at) -- in the middle: the farthest of the others is nearest to it
      assert.equal(2, r.contrast.nearest[1].which)
   end)

   it("joins sets and single windows by correlation, whatever their level and background", function()
      local g = sampling.generator(5)
      local calls, x, sets = {}, {}, {}
      for c = 1, 3 do calls[c] = g:normal(4 * 10):reshape{4, 10} end
      local function add(name, at, call, members)
         local row = x[name] or {source_name = name, x = g:normal(4 * 60):reshape{4, 60}}
         x[name] = row
         for d = 1, 4 do
            for k = 1, call and 10 or 0 do row.x:set(d, at + k, call[d][k]) end
         end
         local set = {at = {at}, row = row}
         for m = 2, members or 1 do set.at[m] = at + 10 * m end
         sets[#sets + 1] = set
         return set
      end
      local a, b = add("a", 5, calls[1], 3), add("a", 18, calls[2] * 0.5 - 1)
      local later, alone = add("b", 23, calls[1] * 3 + 7), add("b", 45)
      later.at[1] = 20 -- cut three frames early
      local c, d, few = add("c", 0, calls[2]), add("d", 30, calls[2] * 2), {add("c", 30, calls[3]),
         add("d", 10, calls[3])}
      assert.equal(2, number(sets, 10, 3, function(row) return row.x end))
      assert.same({1, 1}, {a.call, later.call})
      assert.same({2, 2, 2}, {b.call, c.call, d.call})
      assert.same({}, {alone.call, few[1].call, few[2].call}) -- of one window, and of two
      assert.same({1.0, true}, {a.correlation, later.correlation > 0.999 and later.correlation < 1.001})
      local found, message = number(sets, 10, 3, function(row)
         if row.source_name == "b" then return nil, "b: gone" end
         return row.x
      end)
      assert.same({nil, "b: gone"}, {found, message})
   end)

   it("does not count a window for two calls", function()
      local g = sampling.generator(6)
      local function unit(a) return (a - a:mean()) / ((a - a:mean()) * (a - a:mean())):sum() ^ 0.5 end
      local u, v = unit(g:normal(40)), unit(g:normal(40))
      v = unit(v - u * (u * v):sum())
      -- Windows that are alike (0.87) where they are 30 degrees apart, in recordings of nothing else.
      local sets = {}
      for i, degrees in ipairs{0, -30, 30, 60, 60} do
         local x = array.zeros({4, 10}, "f64")
         x:fill((u * math.cos(math.rad(degrees)) + v * math.sin(math.rad(degrees))):reshape{4, 10})
         sets[i] = {at = i == 2 and {0, 10, 20, 30, 40} or {0}, row = {source_name = ("r%d"):format(i), x = x}}
      end
      assert.equal(1, number(sets, 10, 3, function(row) return row.x end))
      local calls = {}
      for i, set in ipairs(sets) do calls[i] = set.call or 0 end
      assert.same({1, 1, 1, 0, 0}, calls) -- the third would have made the last two a call of three windows
   end)

   it("finds a call that each recording has once", function()
      local once, o = command.folder(), {soundscapes = 4, kinds = 8, least_calls = 1, most_calls = 1, snr = 10,
         sample_rate = 16000, seed = 3}
      assert(soundscapes.make(once .. "/data", o))
      assert(require("bclua.workflow.extract").run{input = once .. "/data/train_audio", output = once .. "/motif",
         features = "mel", sample_rate = 16000, quiet = true})
      assert(require("bclua.workflow.consolidate").run{input = once .. "/motif", output = once .. "/motif.parquet",
         quiet = true})
      local r = assert(discover.run{input = once .. "/motif.parquet", quiet = true})
      local _, by_file = dataset.calls(once .. "/data")
      local right = 0
      for _, row in ipairs(r.rows) do
         for _, c in ipairs(by_file[row.source_name]) do
            if math.min(c.end_s, row.end_s) - math.max(c.start_s, row.start_s) > 1 then right = right + 1 end
         end
      end
      assert.equal(0, r.sets)
      assert.is_true(r.calls >= 3 and right > 0.6 * #r.rows, ("%d of %d, %d calls"):format(right, #r.rows, r.calls))
      assert.same({}, discover.run{input = once .. "/motif.parquet", singles = 0, quiet = true}.rows)
      command.remove(once)
   end)

   it("takes as single windows the most uneven ones, that overlap nothing", function()
      local g = sampling.generator(2)
      local x, taken = g:normal(3 * 80):reshape{3, 80}, {40}
      x:slice(2, 21, 30):fill(0.5) -- no sound
      local chosen = windows.uneven(x, 8, 4, taken)
      local function spread(at)
         local w = x:slice(2, at + 1, at + 8):copy()
         return (w * w):sum() - w:sum() ^ 2 / w:size()
      end
      local busy, among = {40}, windows.with_sound(x, 8)
      for k = 1, 4 do
         local best
         for at = 0, 72 do
            local is_free = among:at(at + 1) ~= 0
            for _, other in ipairs(busy) do is_free = is_free and math.abs(at - other) >= 8 end
            if is_free and (not best or spread(at) > spread(best)) then best = at end
         end
         assert.equal(best, chosen[k])
         busy[#busy + 1] = best
      end
      assert.equal(4, #chosen)
   end)

   it("is swept over lengths and shares, against the truth", function()
      local r = assert(require("bclua.workflow.experiments.set_sweep").run{data = dir .. "/data", windows_s = {1, 2},
         shares = {0.2}, sample_rate = 16000, quiet = true})
      local row = r.rows[2]
      assert.same({2, 2, 2, 0.2}, {#r.rows, r.recordings, row.window_s, row.share})
      assert.is_true(row.f1 > 0.8 and row.f1 > r.rows[1].f1 and row.rank > 0.5)
      assert.near(2 * row.found / made.seconds, row.cover, 1e-9)
   end)

   it("counts windows and recordings of a call, the most frequent first", function()
      local rows = {}
      for i, of in ipairs{{1, "a"}, {1, "b"}, {2, "a"}, {2, "a"}, {2, "a"}, {3, "b"}, {3, "b"}} do
         rows[i] = {call = of[1], source_name = of[2]}
      end
      local list = discover.calls(rows)
      for i, c in ipairs(list) do list[i] = {c.example.call, c.windows, c.recordings} end
      assert.same({{2, 3, 1}, {1, 2, 2}, {3, 2, 1}}, list)
   end)

   it("is a chapter of the report", function()
      local repeated, report = require "bclua.workflow.summary.repeated", require "bclua.report"
      local function chapter(features, count)
         local r, heard = report.new("t"), {}
         for _, row in ipairs(sql.query(("from '%s/motif.parquet'"):format(dir))) do heard[row.source_name] = row end
         repeated.chapter(r, {motif = dir .. "/motif.parquet", root = dir .. "/data",
            config = {extract = {features = features}}}, heard, count)
         return r:text()
      end
      local text, calls = chapter("mel", 2), assert(run{}).calls
      assert.matches(("%d calls are heard three times or more"):format(calls), text)
      assert.equal(calls, select(2, text:gsub('<figure class="call">', "")))
      assert.matches("bclua motif discover %-%-input .*motif.parquet", text)
      assert.is_nil(text:find('class="warning"', 1, true))
      assert.equal(0, select(2, chapter("mel", 1e5):gsub('<figure class="call">', ""))) -- only the command
      assert.matches("bclua motif discover", chapter("mel", 1e5))
      assert.is_nil(chapter("cens", 2):find("Repeated calls", 1, true))
   end)

   it("names what it cannot use", function()
      assert.matches("needs %-%-dataset%-root", select(2, run{track = dir .. "/x.flac"}))
      assert.matches("less than two frames", select(2, run{seconds = 0.1}))
      assert.matches("must end in .parquet or .csv", select(2, run{output = dir .. "/x.txt"}))
      assert.matches("does not end in .flac", select(2, run{track = dir .. "/x.mp3", dataset_root = dir}))
      os.rename(dir .. "/motif/part-000001.parquet", dir .. "/kept")
      assert.matches("all 2 recordings failed", select(2, run{}))
      os.rename(dir .. "/kept", dir .. "/motif/part-000001.parquet")
   end)

   it("has no sets of silence, of what is short, or of noise", function()
      local o = {window = 10, share = 0.25, fewest = 3}
      assert.same({}, (windows.sets(array.full({4, 200}, 0.5), o)))
      assert.same({}, (windows.sets(array.zeros{4, 19}, o)))
      local x = sampling.generator(1):normal(4 * 300):reshape{4, 300}
      assert.same({}, (windows.sets(x, o)))
      x:slice(2, 1, 100):fill(0.5) -- would be the largest set
      assert.same({}, (windows.sets(x, o)))
   end)
end)

describe("soundscapes", function()
   it("have as many songs as they say, apart from each other, and the noise that is asked for", function()
      local p = {kinds = 3, least_calls = 3, most_calls = 6, snr = 0, sample_rate = 16000, seed = 2}
      local r = soundscapes.plan(1, p)
      local count, last = {}, 0
      for _, e in ipairs(r.events) do
         count[e.species.code] = (count[e.species.code] or 0) + 1
         assert.is_true(e.start_s > last)
         last = e.end_s
      end
      local kinds = 0
      for _, n in pairs(count) do
         kinds = kinds + 1
         assert.is_true(n >= 3 and n <= 6)
      end
      assert.equal(3, kinds)
      assert.is_true(last < r.seconds)
      local y = soundscapes.render(r, p)
      assert.equal(r.seconds * 16000, #y)
      local e = r.events[1]
      local function power(from, to)
         local part = y:slice(1, math.floor(from * 16000) + 1, math.floor(to * 16000))
         return (part * part):mean()
      end
      local noise = power(0, e.start_s - 0.1)
      assert.is_true(power(e.start_s, e.end_s) > 1.3 * noise)
      assert.is_true(array.equal(y, soundscapes.render(soundscapes.plan(1, p), p)))
   end)

   it("refuse a folder that is there", function()
      local dir = command.folder()
      assert.matches("is there already", select(2, soundscapes.make(dir, {soundscapes = 1})))
      command.remove(dir)
   end)
end)
