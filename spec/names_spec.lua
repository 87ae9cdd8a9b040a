-- Odd names of recordings, and odd recordings, through the steps.
local verdicts = require "bclua.workflow.verdicts"
local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local consolidate = require "bclua.workflow.consolidate"
local extract = require "bclua.workflow.extract"
local files = require "bclua.files"
local labels = require "bclua.workflow.labels"
local listen = require "bclua.workflow.listen"
local pairs_of = require "bclua.workflow.search.pairs"
local score = require "bclua.workflow.score"
local search = require "bclua.workflow.search"
local sql = require "bclua.sql"
local system = require "bclua.system"
local tiles = require "bclua.workflow.tiles"

local RATE = 8000

local dir
before_each(function() dir = command.folder() end)
after_each(function() command.remove(dir) end)

-- A recording with the same two calls in noise.
local function record(name, seconds)
   local sampling = require "bclua.sampling"
   local y = (sampling.generator(#name + name:byte(1)):normal(seconds * RATE) * 0.01):copy("f32")
   local call = {}
   for i = 1, RATE do call[i] = 0.4 * math.sin(2 * math.pi * (800 + 400 * (i * 8 // RATE)) * i / RATE) end
   for _, at in ipairs({1, seconds - 3}) do y:slice(1, at * RATE + 1, (at + 1) * RATE):fill(array.from(call, "f32")) end
   local path = dir .. "/card/" .. name
   assert(system.mkdir(files.dirname(path)))
   assert(audio.save(path, y, RATE))
   return path
end

local function mine(options)
   local o = {input = dir .. "/card", output = dir .. "/motif", quiet = true}
   for k, v in pairs(options or {}) do o[k] = v end
   local extracted = assert(extract.run(o))
   return extracted, assert(consolidate.run({input = dir .. "/motif", output = dir .. "/motif.parquet", quiet = true}))
end

describe("files", function()
   it("fit names to what a file may have, apart from each other", function()
      assert.equal("a/b.txt", files.fit("a/b", ".txt"))
      assert.equal("x" .. ("b"):rep(250) .. ".txt", files.fit("x" .. ("b"):rep(250), ".txt"))
      local long = "a/" .. ("é"):rep(126)
      local one, two = files.fit(long .. "1", ".txt"), files.fit(long .. "2", ".txt")
      assert.not_equal(one, two)
      for _, path in ipairs({one, two}) do
         assert.matches("^a/[^/]+%-%x%x%x%x%x%x%x%x%.txt$", path)
         assert.is_true(#path - 2 > 250 and #path - 2 <= 255)
         assert.truthy(utf8.len(path))
      end
   end)

   it("know names that lead out of a folder", function()
      for _, name in ipairs({"a", "a/b.ogg", "./a", "a..b/..c", "..."}) do
         assert.is_true(files.is_inside(name), name)
      end
      for _, name in ipairs({"..", "../a", "a/..", "a/../b", "/a", "a\0b"}) do
         assert.is_false(files.is_inside(name), name)
      end
   end)
end)

describe("a name", function()
   it("that is not UTF-8 is a line among the failures", function()
      record("site/a.wav", 10)
      local odd = record("site/Zaunk\xf6nig.wav", 10)
      local extracted, consolidated = mine()
      assert.same({{path = odd, step = "extract", reason = odd .. ": a name that is not UTF-8"}}, extracted.failures)
      assert.equal(1, consolidated.recordings)
      local text = command.read(dir .. "/motif/failures.csv")
      assert.truthy(utf8.len(text))
      assert.matches("Zaunk\u{FFFD}nig.wav", text, 1, true)
   end)

   it("that is not UTF-8 in the metadata fails alone", function()
      record("site/a.wav", 10)
      record("site/b.wav", 10)
      mine({layout = "files"})
      local path = dir .. "/motif/site/b/metadata.json"
      command.write(path, (command.read(path):gsub("b%.wav", "\xf6.wav")))
      local _, consolidated = mine({species = "site"})
      assert.equal(2, consolidated.recordings) -- extracted anew, for the name was another
      command.write(path, (command.read(path):gsub("b%.wav", "\xf6.wav")))
      consolidated = assert(consolidate.run({input = dir .. "/motif", output = dir .. "/motif.parquet", quiet = true}))
      assert.same({1, path .. ": key 'source_name' must be a path below a folder, of 1 to 4096 bytes, got " ..
         "'card/site/\u{FFFD}.wav'"},
         {consolidated.recordings, consolidated.failures[1].reason})
   end)

   it("of more than 99 bytes stands in the tables of hits, columns below each other", function()
      local long = ("鳥"):rep(60) .. ".wav"
      record(long, 10)
      local query = record("b.wav", 10)
      mine()
      local found = assert(search.run({input = dir .. "/motif.parquet", query = query, quiet = true}))
      local text = search.text(found, "b.wav")
      assert.matches("card/" .. long .. "  ", text, 1, true)
      assert.matches("source_name" .. (" "):rep(120 + 9 - 11) .. "  species", text, 1, true)
      local both = assert(pairs_of.run({input = dir .. "/motif.parquet", quiet = true}))
      assert.matches("card/" .. long, pairs_of.text(both), 1, true)
   end)

   it("of 250 bytes gets labels and sounds", function()
      local long = ("n"):rep(251)
      record(long .. ".wav", 10)
      mine()
      local input = dir .. "/motif.parquet"
      assert.equal(1, assert(labels.run({input = input, output = dir .. "/labels", quiet = true})).recordings)
      assert.same({long .. ".txt"}, files.find(dir .. "/labels"))
      local sounds = listen.top({input = input, output = dir .. "/top", dataset_root = dir, quiet = true})
      assert.equal(3, sounds.files)
      local found = files.find(dir .. "/top")
      assert.equal(3, #found)
      for _, path in ipairs(found) do assert.matches("^n+%-%x+_%l+%d%l?_%d+%.%d%.flac$", path) end
   end)

   it("with control characters and ends of lines is done, exact in tables, and one line on the screen", function()
      local NAMES = {"sp\none/a\nb.wav", "sp\none/t\tab, \"quoted\".wav", "sp\ttwo/e\27[31msc\27[2J.wav",
         "sp\ttwo/c\rr\7\127.wav", "sp\ttwo/\u{2028}ls\u{85}.wav"}
      for _, name in ipairs(NAMES) do record(name, 10) end
      command.write(dir .. "/card/bro\nken\27[1m.wav", "")
      command.shell(("ln -s nowhere %s"):format(command.quote(dir .. "/card/gone\27.wav")))
      local input = dir .. "/motif.parquet"
      local function motif(lines, ...)
         local out, status = command.bclua({"scripts/motif.lua", ...})
         assert.equal(0, status, out)
         assert.is_nil(out:gsub("\n", ""):find("%c"), out)
         for _, bad in ipairs({"\u{2028}", "\u{85}"}) do assert.is_nil(out:find(bad, 1, true), out) end
         assert.equal(lines, select(2, out:gsub("\n", "")), out)
         return out
      end
      local function rows(path, column)
         local list = {}
         for i, row in ipairs(assert(sql.query(("select distinct %s as v from %s order by 1"):format(column,
            sql.csv(path, "header = true, quote = '\"', escape = '\"'"))))) do list[i] = row.v end
         return list
      end
      local sources = {}
      for i, name in ipairs(NAMES) do sources[i] = "card/" .. name end
      table.sort(sources)
      local said = motif(3, "extract", "--input", dir .. "/card", "--output", dir .. "/motif")
      assert.matches("left out: " .. dir .. "/card/gone\\x1b.wav: a link that leads nowhere\n", said, 1, true)
      assert.matches("7 found: 5 done, 0 finished before, 2 failed, ", said, 1, true)
      assert.same({dir .. "/card/bro\nken\27[1m.wav", dir .. "/card/gone\27.wav"},
         rows(dir .. "/motif/failures.csv", "path"))
      motif(1, "consolidate", "--input", dir .. "/motif", "--output", input)
      said = motif(7, "search", dir .. "/card/" .. NAMES[1], "--input", input)
      assert.matches("^.*/card/sp\\none/a\\nb.wav, ", said)
      assert.matches("card/sp\\ttwo/e\\x1b[31msc\\x1b[2J.wav  sp\\ttwo ", said, 1, true)
      motif(14, "search", "--all", "--input", input)
      motif(1, "labels", input, "--format", "csv", "--output", dir .. "/l.csv")
      assert.same(sources, rows(dir .. "/l.csv", "source_name"))
      motif(1, "labels", input, "--format", "raven", "--output", dir .. "/raven.txt")
      local columns
      for line in command.read(dir .. "/raven.txt"):gmatch("[^\n]*\n") do
         local n = select(2, line:gsub("\t", ""))
         columns = columns or n
         assert.equal(columns, n, line)
      end
      motif(1, "labels", input, "--output", dir .. "/labels")
      assert.equal(5, #files.find(dir .. "/labels"))
      motif(1, "score", "--input", input, "--dataset-root", dir, "--output", dir .. "/s.csv")
      assert.same(sources, rows(dir .. "/s.csv", "source_name"))
   end)

   it("that leads out of the folder is not written to", function()
      record("a.wav", 10)
      mine()
      local input, output = dir .. "/motif.parquet", dir .. "/out/er"
      for _, case in ipairs({{"source_name", "../a.wav"}, {"folder", "../../gone"}, {"folder", "/tmp/x"}}) do
         local bad = dir .. "/bad.parquet"
         assert(sql.write_parquet(bad, ("select * replace (%s as %s) from %s"):format(sql.quote(case[2]), case[1],
            sql.parquet(input))))
         local message = ("%s: column '%s', row 1: must be a path below a folder, of 1 to 4096 bytes, got '%s'"):format(
            bad, case[1], case[2])
         assert.same({nil, message}, {labels.run({input = bad, output = output, quiet = true})})
         assert.same({nil, message}, {listen.top({input = bad, output = output, dataset_root = dir, quiet = true})})
      end
      local names = {a = {"card/a.wav"}, b = {"../card/a.wav"}, c = {"card/a.wav"},
         a_loc = {5}, b_loc = {5}, c_loc = {5},
         a_species = {"x"}, b_species = {"x"}, c_species = {"x"}, neighbor = {"self"}, distant = {"motif"}}
      assert(sql.write_parquet(dir .. "/t.parquet", names))
      for _, store in ipairs({"npy", "packed"}) do
         local o = {input = dir .. "/t.parquet", dataset_root = dir, output = output, store = store, quiet = true}
         assert.same({nil, o.input .. ": column 'b', row 1: must be a path below a folder, of 1 to 4096 bytes, got " ..
            "'../card/a.wav'"}, {tiles.run(o)})
      end
      assert.is_false(files.exists(dir .. "/gone.txt"))
   end)
end)

describe("an output that is no regular file", function()
   it("gets what a file would, and nothing is read from it", function()
      for _, name in ipairs({"x/a.wav", "x/b.wav", "y/c.wav", "y/d.wav"}) do record(name, 10) end
      mine()
      local steps = {consolidate = {input = dir .. "/motif", quiet = true},
         triplets = {input = dir .. "/motif.parquet", samples = 20, holdout = 0, quiet = true}}
      command.shell("mkfifo " .. dir .. "/pipe")
      for name, o in pairs(steps) do
         local step = require("bclua.workflow." .. name)
         o.output = "/dev/null"
         assert(step.run(o))
         o.output = dir .. "/" .. name .. ".parquet"
         assert(step.run(o))
         local whole, got = command.read(o.output), dir .. "/got." .. name
         os.execute(("cat %s/pipe > %s &"):format(dir, got))
         o.output = dir .. "/pipe"
         assert(step.run(o))
         for _ = 1, 1000 do
            if files.stamp(got) == #whole then break end
            system.sleep(0.01)
         end
         assert.is_true(command.read(got) == whole, name)
      end
      assert.equal("", (command.shell("ls /dev | grep ^null.")))
   end)
end)

describe("a cell of CSV that a spreadsheet takes for a formula", function()
   local FORMULAS = {"=1+1", "+a", "-a", "@a", "\ta", "\ra", "=", "-", "'=1", "''-x", "=cmd|' /C calc'!A0"}
   local PLAIN = {"", "a", "-1", "+2.5e3", "-nan", "-inf", "'a", "'", "1=1", " ", "0"}

   it("has an apostrophe in front, numbers have none, and all come back", function()
      local guarded = {}
      for _, text in ipairs(FORMULAS) do
         guarded[#guarded + 1] = files.guard(text)
         assert.equal("'" .. text, files.guard(text))
      end
      for _, text in ipairs(PLAIN) do assert.equal(text, files.guard(text)) end
      for _, list in ipairs({FORMULAS, PLAIN, guarded}) do
         for _, text in ipairs(list) do assert.equal(text, files.unguard(files.guard(text))) end
      end
      assert.equal("a,b\n'=1,-1\n", files.csv({"a", "b"}, {{a = "=1", b = -1}}))
   end)

   it("is written so by SQL if told, and else as it is", function()
      local all = {}
      for _, list in ipairs({FORMULAS, PLAIN}) do table.move(list, 1, #list, #all + 1, all) end
      local numbers = {}
      for i = 1, #all do numbers[i] = -i end
      local select = "select text, number, text::enum('-') as e from (values ('-', -1)) t(text, number)"
      for _, source in ipairs({{text = all, number = numbers}, select}) do
         for _, guard in ipairs({true, false}) do
            assert(sql.write_csv(dir .. "/a.csv", source, {guard = guard}))
            local rows = assert(sql.query("from " .. sql.csv(dir .. "/a.csv", [[quote = '"', nullstr = 'x',
               types = {text: varchar}]])))
            for i, row in ipairs(rows) do
               local wanted = type(source) == "table" and all[i] or "-"
               assert.equal(guard and files.guard(wanted) or wanted, row.text)
               assert.equal(-i, row.number)
               if row.e then assert.equal(row.text, row.e) end
            end
         end
      end
   end)

   it("comes back from the verdicts of browse, and from scores", function()
      local row = {source_name = "=a/-b.wav", species = "@c", start_s = 1, twin_start_s = 6, seconds = 5, distance = 2,
         verdict = "accepted"}
      assert(verdicts.write(dir .. "/accepted.csv", {row}))
      assert.matches("'=a/-b.wav,'@c,", command.read(dir .. "/accepted.csv"), 1, true)
      assert.same(row, verdicts.read(dir .. "/accepted.csv")[1])
      record("=x/a.wav", 10)
      mine({input = dir .. "/card/=x"})
      local o = {input = dir .. "/motif.parquet", dataset_root = dir .. "/card", output = dir .. "/s.csv", quiet = true}
      assert(score.run(o))
      assert.matches("\n'=x/a.wav,,motif,", command.read(o.output), 1, true)
      assert.truthy(score.picks(o.output)["=x/a.wav"])
      assert.is_true(#score.call_starts(o.output)["=x/a.wav"] > 0)
   end)
end)

describe("a set without a motif", function()
   it("has columns of the usual types, and says what to do", function()
      record("a.wav", 5)
      mine()
      local input = dir .. "/motif.parquet"
      local types = {}
      for _, row in ipairs(sql.query("describe from " .. sql.parquet(input))) do
         types[row.column_name] = row.column_type
      end
      assert.same({"BIGINT", "BIGINT", "DOUBLE[]", "BIGINT[]"}, {types.motif_0, types.discord_1, types.mp, types.pi})
      local message = select(2, listen.top({input = input, output = dir .. "/top", dataset_root = dir, quiet = true}))
      assert.equal(input .. ": " .. consolidate.no_motif, message)
      assert.matches("--mp-window", message, 1, true)
   end)

   it("may have been written without types for what is empty", function()
      local path = dir .. "/old.parquet"
      assert(sql.write_parquet(path, {source_name = {"a", "b"}, cens_sample_rate = {10, 10}, pi = {n = 2}}))
      assert.same({nil, path .. ": a walk needs 2 recordings with a matrix profile, got 0"},
         {require("bclua.data.walk").read(path, dir, 5)})
   end)

   it("is searched for a file of just the window's length", function()
      record("a.wav", 12)
      local query = record("../five.wav", 5)
      mine()
      local r = assert(search.run({input = dir .. "/motif.parquet", query = query, quiet = true}))
      assert.same({0, 5.0, 1}, {r.query.start_s, r.query.seconds, #r.hits})
   end)
end)
