-- motif search: one query against the features of many recordings.
local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local consolidate = require "bclua.workflow.consolidate"
local analysis = require "bclua.workflow.analysis"
local extract = require "bclua.workflow.extract"
local extracted = require "bclua.data.extracted"
local files = require "bclua.files"
local mined = require "support.mined"
local part_writer = require "bclua.data.part_writer"
local results = require "support.results"
local search = require "bclua.workflow.search"
local sql = require "bclua.sql"
local system = require "bclua.system"

local P = {cens_sample_rate = 10, matrix_profile_window = 50, sample_rate = 32000}

teardown(mined.remove)

-- The i-th of the recordings that are longer than the window.
local function row(i)
   local m = mined.get()
   return sql.query(("select * from read_parquet(%s) where motif_0 is not null order by source_name"):format(
      sql.quote(m.motif)))[i]
end

local function run(options)
   local m = mined.get()
   local o = {query = m.data .. "/" .. row(2).source_name, input = m.motif, quiet = true}
   for k, v in pairs(options or {}) do o[k] = v end
   return search.run(o)
end

local function fails(options, message)
   local result, why = run(options)
   assert.is_nil(result)
   assert.is_truthy(why:find(message, 1, true), why)
end

-- Copy of the extracted folder and its table, to damage.
local function copy_of_corpus()
   local dir = command.folder()
   results.as_files(mined.get().dir .. "/motif", dir .. "/motif")
   assert(consolidate.run{input = dir .. "/motif", output = dir .. "/motif.parquet", quiet = true})
   return dir
end

local function write_tone(path, seconds)
   local second, y = {}, {}
   for i = 1, 32000 do second[i] = 0.3 * math.sin(2 * math.pi * 1500 * i / 32000) end
   for k = 1, seconds do y[k] = array.from(second, "f32") * (0.5 + 0.1 * (k % 3)) end
   assert(audio.save(path, array.concat(y), 32000))
   return path
end

describe("search", function()
   it("finds the query's own window in its recording, at distance 0", function()
      local r = assert(run{with_query = true, start = 3, seconds = 4, top = 1})
      assert.equal(17, r.searched)
      assert.same({{rank = 1, source_name = row(2).source_name, species = row(2).species, start_s = 3.0,
         distance = 0.0}}, r.hits)
   end)

   it("leaves out the recording that is the query", function()
      local r = assert(run())
      assert.same({1, 15, 0}, {r.left_out, r.searched, #r.failures})
      assert.equal(15, #r.hits)
      for _, hit in ipairs(r.hits) do assert.not_equal(row(2).source_name, hit.source_name) end
   end)

   it("gives every recording the distance of its nearest window", function()
      local m = mined.get()
      local r = assert(run{top = 100})
      local q = r.query.cens:table()
      assert.equal(50, r.query.window)
      for _, hit in ipairs({r.hits[1], r.hits[#r.hits]}) do
         local c = assert(analysis.features(m.data .. "/" .. hit.source_name, P))
         local frames, x = c:shape(2), c:table()
         local least, at = math.huge, nil
         for j = 0, frames - 50 do
            local sum = 0
            for d = 1, 12 do
               for k = 1, 50 do sum = sum + (x[d][j + k] - q[d][k]) ^ 2 end
            end
            if sum < least then least, at = sum, j end
         end
         assert.near(least, hit.distance, 1e-9)
         assert.equal(at / 10, hit.start_s)
      end
   end)

   it("ranks by distance over the whole corpus, and keeps the top", function()
      local all, some = assert(run{top = 100}).hits, assert(run{top = 3}).hits
      for i = 2, #all do assert.is_true(all[i - 1].distance <= all[i].distance) end
      assert.same({all[1], all[2], all[3]}, some)
      assert.equal(3, some[3].rank)
   end)

   it("finds recordings of the query's species before others", function()
      local hits, same = assert(run()).hits, 0
      for i = 1, 3 do
         if hits[i].species == row(2).species then same = same + 1 end
      end
      assert.equal(3, same)
   end)

   it("gives hits of one recording that do not overlap, the best first", function()
      local one = assert(run{seconds = 3, top = 500}).hits
      local more = assert(run{seconds = 3, top = 500, per_recording = 3}).hits
      assert.is_true(#more > 2 * #one)
      local best, places = {}, {}
      for _, hit in ipairs(more) do
         best[hit.source_name] = best[hit.source_name] or hit.distance
         local others = places[hit.source_name] or {}
         places[hit.source_name] = others
         for _, s in ipairs(others) do assert.is_true(math.abs(s - hit.start_s) > 2.99) end
         others[#others + 1] = hit.start_s
         assert.is_true(#others <= 3)
      end
      for _, hit in ipairs(one) do assert.equal(best[hit.source_name], hit.distance) end
   end)

   it("passes over recordings shorter than the query, and counts them", function()
      local r = assert(run())
      assert.same({15, 1}, {r.searched, r.short})
      local path = os.tmpname()
      write_tone(path .. ".wav", 20)
      fails({query = path .. ".wav", seconds = 20}, "no recording is as long as the query")
      r = assert(run{query = path .. ".wav", seconds = 13})
      assert.is_true(r.short > 1 and r.searched > 0)
      assert.equal(17, r.short + r.searched)
      os.remove(path)
      os.remove(path .. ".wav")
   end)

   it("is the same on any number of threads", function()
      local before = system.threads()
      local function with(n)
         system.threads(n)
         return assert(run{top = 100, per_recording = 2}).hits
      end
      local one, two = with(1), with(2)
      system.threads(before)
      assert.same(one, two)
   end)
end)

describe("the query of a search", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   it("is the best motif window of a long file", function()
      local q = assert(search.query(mined.get().data .. "/" .. row(1).source_name, P))
      assert.same({row(1).motif_0, 50}, {q.first, q.window})
   end)

   it("is all of a short one", function()
      local q = assert(search.query(write_tone(dir .. "/a.wav", 3), P))
      assert.same({0, 31, 0.0}, {q.first, q.window, q.start_s})
      assert.same({12, 31}, q.cens:shape())
   end)

   it("is what start and seconds say", function()
      local path = write_tone(dir .. "/a.wav", 9)
      local function window(options)
         local q = assert(search.query(path, P, options))
         return {q.first, q.window}
      end
      assert.same({20, 30}, window{start = 2, seconds = 3})
      assert.same({20, 50}, window{start = 2})
      assert.same({60, 31}, window{start = 6})
      assert.same({0, 15}, window{seconds = 1.5})
   end)

   it("must lie in the file, and be no silence", function()
      local path = write_tone(dir .. "/a.wav", 9)
      local function why(options, file) return select(2, search.query(file or path, P, options)) end
      assert.equal(path .. ": --start 10 is past its end at 9.0 s", why{start = 10})
      assert.equal(path .. ": the window of 3 s from 7 s on ends after the recording (9.0 s)",
         why{start = 7, seconds = 3})
      assert.equal(path .. ": --seconds 0.01 is less than a frame (0.1 s)", why{seconds = 0.01})
      assert.matches("^/no%.ogg: ", why({}, "/no.ogg"))
      command.write(dir .. "/b.ogg", "no sound")
      assert.matches("/b%.ogg: ", why({}, dir .. "/b.ogg"))
      assert(audio.save(dir .. "/c.wav", array.zeros(64000), 32000))
      assert.matches("/c%.wav: silent", why({}, dir .. "/c.wav"))
      local half = array.concat{array.zeros(32000 * 12), (audio.load(path))}
      assert(audio.save(dir .. "/d.wav", half, 32000))
      assert.matches("/d%.wav: silent in the 2 s from 1 s on$", why({start = 1, seconds = 2}, dir .. "/d.wav"))
   end)
end)

describe("the features of a search", function()
   local dir
   after_each(function() command.remove(dir) end)

   it("are found where they were, or beside the table when both were moved", function()
      dir = command.folder()
      local folder, path = dir .. "/here/motif", dir .. "/m.parquet"
      command.shell(("mkdir %s/here && cp -r %s/motif %s/here"):format(dir, mined.get().dir, dir))
      assert(consolidate.run{input = folder .. "/", output = path, quiet = true})
      assert.equal(folder, consolidate.source(path))
      assert.same(assert(run()).hits, assert(run{input = path}).hits)
      command.shell(("mv %s/here %s/there && mv %s %s/there"):format(dir, dir, path, dir))
      assert.equal(dir .. "/there/motif", consolidate.source(dir .. "/there/m.parquet"))
      assert.same(assert(run()).hits, assert(run{input = dir .. "/there/m.parquet"}).hits)
      command.shell(("mv %s/there/motif %s/else"):format(dir, dir))
      assert.same(assert(run()).hits, assert(run{input = dir .. "/there/m.parquet", features = dir .. "/else"}).hits)
   end)

   it("are computed from the recordings where they were not kept", function()
      dir = copy_of_corpus()
      local input = dir .. "/motif.parquet"
      command.shell(("rm %s/motif/*/*/cens.npy"):format(dir))
      fails({input = input}, "all 15 recordings failed, the first: " .. dir .. "/motif/")
      fails({input = input}, "cens.npy: No such file or directory (run `motif extract` again, or give --dataset-root)")
      assert.same(assert(run()).hits, assert(run{input = input, dataset_root = mined.get().data}).hits)
      command.remove(dir .. "/motif")
      fails({input = input}, dir .. "/motif: no such folder, and that is where its features were")
      assert.same(assert(run()).hits, assert(run{input = input, dataset_root = mined.get().data}).hits)
   end)

   it("are passed over and listed where they are damaged", function()
      dir = copy_of_corpus()
      local folders = {}
      for _, i in ipairs({3, 4, 5, 6}) do folders[#folders + 1] = dir .. "/motif/" .. row(i).folder .. "/cens.npy" end
      os.remove(folders[1])
      command.write(folders[2], "x")
      array.save(folders[3], array.zeros({11, 120}))
      array.save(folders[4], array.zeros({12, 7}))
      local r = assert(run{input = dir .. "/motif.parquet"})
      assert.same({11, 4}, {r.searched, #r.failures})
      for i, message in ipairs({"No such file", "not an npy file", "expected the shape %(12, frames%)",
         "has 7 frames, the table says %d+ %(run `motif consolidate` again"}) do
         assert.matches(message, r.failures[i].reason)
         assert.equal(folders[i], r.failures[i].reason:sub(1, #folders[i]))
      end
   end)

   it("of a window of silence are far from everything, and NaN is near nothing", function()
      dir = copy_of_corpus()
      local r3, r4 = row(3), row(4)
      array.save(dir .. "/motif/" .. r3.folder .. "/cens.npy", array.zeros({12, r3.duration_cens}))
      array.save(dir .. "/motif/" .. r4.folder .. "/cens.npy", array.full({12, r4.duration_cens}, 0 / 0))
      local r = assert(run{input = dir .. "/motif.parquet"})
      assert.equal(r3.source_name, r.hits[#r.hits].source_name)
      for _, hit in ipairs(r.hits) do assert.not_equal(r4.source_name, hit.source_name) end
   end)

   it("need a table that fits", function()
      dir = command.folder()
      fails({input = dir .. "/no.parquet"}, dir .. "/no.parquet: ")
      sql.exec(("copy (select 1 as x) to %s (format parquet)"):format(sql.quote(dir .. "/x.parquet")))
      fails({input = dir .. "/x.parquet"}, dir .. "/x.parquet: no column 'source_name'")
      fails({features = dir .. "/no"}, dir .. "/no: no such folder (--features)")
      fails({dataset_root = dir .. "/no"}, dir .. "/no: no such folder (--dataset-root)")
      sql.exec(("copy (select * exclude (folder) from read_parquet(%s)) to %s (format parquet)"):format(
         sql.quote(mined.get().motif), sql.quote(dir .. "/old.parquet")))
      fails({input = dir .. "/old.parquet"}, "give --features or --dataset-root")
      assert.same(assert(run()).hits, assert(run{input = dir .. "/old.parquet",
         features = mined.get().dir .. "/motif"}).hits)
      sql.exec(("copy (select * replace (40 + 10 * (row_number() over ()) %% 20 as matrix_profile_window) " ..
         "from read_parquet(%s)) to %s (format parquet)"):format(sql.quote(mined.get().motif),
         sql.quote(dir .. "/mixed.parquet")))
      fails({input = dir .. "/mixed.parquet"}, "recordings were extracted with different parameters")
   end)
end)

describe("motif.lua search", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   local function call(...)
      local m = mined.get()
      local query = m.data .. "/" .. row(2).source_name
      return command.bclua({"scripts/motif.lua", "search", query, "--input", m.motif, ...}, {env = "BCLUA_QUIET=1"})
   end

   it("prints a table of hits", function()
      local out, status = call("--top", "3", "--start", "2", "--seconds", "4")
      assert.equal(0, status)
      local lines = {}
      for line in out:gmatch("[^\n]+") do lines[#lines + 1] = line end
      assert.equal(5, #lines)
      assert.matches("%.ogg, 2%.0 s to 6%.0 s$", lines[1])
      assert.matches("^rank  source_name +species +start_s +distance$", lines[2])
      assert.matches("^   1  train_audio/%S+%.ogg  %S+ +%d+%.%d +%d+%.%d%d%d%d$", lines[3])
   end)

   it("writes Parquet and CSV, and refuses other parameters without --force", function()
      local hits = assert(run{top = 4}).hits
      for _, name in ipairs({"parquet", "csv"}) do
         assert.equal(0, select(2, call("--top", "4", "--output", dir .. "/h." .. name)))
         local rows = sql.query("select * from " .. sql.quote(dir .. "/h." .. name))
         assert.same(search.columns, rows.columns)
         for i, hit in ipairs(hits) do assert.same(hit, rows[i]) end
      end
      local out, status = call("--top", "5", "--output", dir .. "/h.parquet")
      assert.equal(1, status)
      assert.matches("top = 4, now 5%); use %-%-force", out)
      assert.equal(0, select(2, call("--top", "5", "--output", dir .. "/h.parquet", "--force")))
   end)

   it("names what is wrong", function()
      for _, case in ipairs({
         {"--top: '0' is outside", "--top", "0"}, {"--start: 'x' is not a number", "--start", "x"},
         {"--seconds: '-1' is outside", "--seconds=-1"}, {"--per-recording: '0' is outside", "--per-recording", "0"},
         {"h.txt: must end in .parquet or .csv (--output)", "--output", "h.txt"},
         {"--start 99 is past its end", "--start", "99"},
      }) do
         local out, status = call(table.unpack(case, 2))
         assert.equal(1, status)
         assert.is_truthy(out:find(case[1], 1, true), out)
      end
      assert.matches("missing option '%-%-input'", (command.bclua{"scripts/motif.lua", "search", "x.ogg"}))
   end)
end)

describe("extract, for a search", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   it("keeps CENS of every recording", function()
      local folder = mined.get().dir .. "/motif"
      local kept, n = results.of(folder)
      assert.equal(17, n)
      for _, m in pairs(kept) do
         local c = assert(extracted.features(extracted.locate(folder, m)))
         assert.equal("f32", c:dtype())
         assert.same({12, m.duration_cens}, c:shape())
      end
   end)

   it("adds it to a folder that has none", function()
      write_tone(dir .. "/a.wav", 6)
      local o = {input = dir, output = dir .. "/motif", layout = "files", quiet = true}
      assert.equal(1, extract.run(o).done)
      assert.equal(1, extract.run(o).skipped)
      local found = files.find(dir .. "/motif", function(n) return n == "cens.npy" end)
      os.remove(dir .. "/motif/" .. found[1])
      assert.equal(1, extract.run(o).done)
      assert.is_true(files.exists(dir .. "/motif/" .. found[1]))
   end)

   it("gives the same bytes on one thread and on two", function()
      local before, every_s = system.threads(), part_writer.every_s
      part_writer.every_s = math.huge -- how many parts there are is up to the clock else
      for n = 1, 2 do
         system.threads(n)
         assert(extract.run{input = mined.get().data .. "/train_audio", output = dir .. "/" .. n, quiet = true})
      end
      system.threads(before)
      part_writer.every_s = every_s
      local out, status = command.shell(("diff -r %s/1 %s/2 && find %s/2 -name 'part-*' | wc -l"):format(dir, dir, dir))
      assert.equal(0, status, out)
      assert.equal(1, tonumber(out))
   end)
end)
