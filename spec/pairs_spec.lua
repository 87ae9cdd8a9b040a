-- motif search --all: every recording against every other.
local array = require "bclua.array"
local command = require "support.command"
local consolidate = require "bclua.workflow.consolidate"
local extracted = require "bclua.data.extracted"
local files = require "bclua.files"
local mined = require "support.mined"
local sampling = require "bclua.sampling"
local sql = require "bclua.sql"
local stomp = require "bclua.stomp"
local system = require "bclua.system"
local pairs_of = require "bclua.workflow.search.pairs"

local WINDOW = 50

teardown(mined.remove)

local function run(options)
   local o = {input = mined.get().motif, quiet = true}
   for k, v in pairs(options or {}) do o[k] = v end
   return pairs_of.run(o)
end

local function fails(options, message)
   local result, why = run(options)
   assert.is_nil(result)
   assert.is_truthy(why:find(message, 1, true), why)
end

-- A folder with features of recordings r1, r2, .. as extract leaves it, and its table.
local function write_corpus(dir, features)
   for i, c in ipairs(features) do
      local folder = ("%s/motif/sp/r%d"):format(dir, i)
      assert(system.mkdir(folder))
      assert(array.save(folder .. "/cens.npy", c))
      assert(files.write_json(folder .. "/metadata.json", {source_name = ("train_audio/sp/r%d.ogg"):format(i),
         species = "sp", cens_sample_rate = 10, matrix_profile_window = WINDOW, sample_rate = 32000,
         duration_cens = c:shape(2), duration_samples = 3200 * c:shape(2), duration_seconds = c:shape(2) / 10}))
   end
   assert(consolidate.run{input = dir .. "/motif", output = dir .. "/motif.parquet", quiet = true})
   return dir .. "/motif.parquet"
end

local function noise(frames, seed)
   return sampling.generator(seed):uniform(12 * frames):reshape({12, frames}):copy("f32")
end

local function rows_of(path)
   return sql.query(("from read_parquet(%s) order by source_name"):format(sql.quote(path)))
end

-- The definition: the motifs of the join of every two recordings, best first.
local function expected(path, window, per_pair, top)
   local folder, rows, hits = consolidate.source(path), rows_of(path), {}
   local c = {}
   for i, row in ipairs(rows) do c[i] = assert(extracted.features(extracted.locate(folder, row))) end
   for i = 1, #rows do
      for j = i + 1, #rows do
         if c[i]:shape(2) >= window and c[j]:shape(2) >= window then
            local found = stomp.motifs(stomp.join(c[i], c[j], window), per_pair, {exclusion = window - 1})
            for _, m in ipairs(found) do
               hits[#hits + 1] = {source_name = rows[i].source_name, start_s = m.at / 10,
                  other_source_name = rows[j].source_name, other_start_s = m.twin / 10, distance = m.distance}
            end
         end
      end
   end
   table.sort(hits, function(a, b)
      if a.distance ~= b.distance then return a.distance < b.distance end
      if a.source_name ~= b.source_name then return a.source_name < b.source_name end
      if a.other_source_name ~= b.other_source_name then return a.other_source_name < b.other_source_name end
      return a.start_s < b.start_s
   end)
   for i = top + 1, #hits do hits[i] = nil end
   return hits
end

local function without_names(hits)
   local list = {}
   for i, h in ipairs(hits) do
      assert.equal(i, h.rank)
      list[i] = {source_name = h.source_name, start_s = h.start_s, other_source_name = h.other_source_name,
         other_start_s = h.other_start_s, distance = h.distance}
   end
   return list
end

describe("search of all recordings", function()
   it("finds the nearest windows of every two, best first", function()
      local r = assert(run{top = 1000})
      assert.same({16, 1, 0, 120}, {r.searched, r.short, #r.failures, r.compared})
      assert.equal(120, #r.hits)
      assert.same(expected(mined.get().motif, WINDOW, 1, 1000), without_names(r.hits))
   end)

   it("keeps the top over the whole corpus", function()
      for _, top in ipairs{1, 7, 40} do
         assert.same(expected(mined.get().motif, WINDOW, 1, top), without_names(assert(run{top = top}).hits))
      end
   end)

   it("gives several pairs of the same two recordings that do not overlap", function()
      local r = assert(run{top = 60, per_recording = 3, seconds = 3})
      assert.equal(3.0, r.seconds)
      assert.same(expected(mined.get().motif, 30, 3, 60), without_names(r.hits))
   end)

   it("is the same on any number of threads", function()
      local before = system.threads()
      local function with(n)
         system.threads(n)
         return assert(run{top = 30, per_recording = 2}).hits
      end
      local one, two = with(1), with(2)
      system.threads(before)
      assert.same(one, two)
   end)

   it("finds recordings of one species before others", function()
      local same = 0
      for _, hit in ipairs(assert(run{top = 10}).hits) do
         if hit.species == hit.other_species then same = same + 1 end
      end
      assert.is_true(same >= 8)
   end)
end)

describe("a corpus of planted calls", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   it("has them at the top, wherever the groups are cut", function()
      local features = {}
      for i = 1, 30 do features[i] = noise(100 + 17 * i, i) end
      local call, other = noise(WINDOW, 98), noise(WINDOW, 99)
      features[3]:slice(2, 41, 90):fill(call)
      features[28]:slice(2, 201, 250):fill(call)
      features[28]:slice(2, 11, 60):fill(other)
      features[29]:slice(2, 21, 70):fill(other * 1.01)
      features[29]:slice(2, 101, 150):fill(other)
      local r = assert(run{input = write_corpus(dir, features), top = 3})
      local function hit(rank, a, at, b, twin)
         local h = r.hits[rank]
         assert.same({("train_audio/sp/r%d.ogg"):format(a), at, ("train_audio/sp/r%d.ogg"):format(b), twin},
            {h.source_name, h.start_s, h.other_source_name, h.other_start_s})
         return h.distance
      end
      -- by name r28 is before r29 and r3
      assert.equal(0, hit(1, 28, 1.0, 29, 10.0))
      assert.equal(0, hit(2, 28, 20.0, 3, 4.0))
      assert.is_true(r.hits[3].distance > 10)
   end)

   it("leaves out windows with digital silence, and NaN", function()
      local features = {noise(300, 1), noise(300, 2), noise(300, 3), array.zeros({12, 200})}
      features[1]:slice(2, 101, 160):fill(0)
      features[2]:slice(2, 21, 120):fill(0)
      features[3]:slice(2, 1, 250):fill(0 / 0)
      local r = assert(run{input = write_corpus(dir, features), top = 50, per_recording = 20})
      assert.is_true(#r.hits > 2)
      for _, h in ipairs(r.hits) do
         local function outside(name, start_s)
            local at = math.floor(start_s * 10 + 0.5)
            if name:find "r1" then assert.is_true(at + WINDOW <= 100 or at >= 160) end
            if name:find "r2" then assert.is_true(at + WINDOW <= 20 or at >= 120) end
            if name:find "r3" then assert.is_true(at >= 250) end
            assert.is_nil(name:find "r4")
         end
         outside(h.source_name, h.start_s)
         outside(h.other_source_name, h.other_start_s)
      end
   end)

   it("is searched without what is damaged, which is listed once", function()
      local features = {}
      for i = 1, 12 do features[i] = noise(120, i) end
      local input = write_corpus(dir, features)
      os.remove(dir .. "/motif/sp/r2/cens.npy")
      command.write(dir .. "/motif/sp/r5/cens.npy", "x")
      array.save(dir .. "/motif/sp/r7/cens.npy", array.zeros({12, 9}))
      local r = assert(run{input = input, top = 1000, output = dir .. "/pairs.csv"})
      assert.equal(9 * 8 / 2, #r.hits)
      assert.equal(3, #r.failures)
      assert.matches("r7,search,.*has 9 frames", command.read(dir .. "/pairs.csv.failures.csv"))
      local reasons = {}
      for _, f in ipairs(r.failures) do reasons[#reasons + 1] = f.reason end
      local all = table.concat(reasons, "\n")
      for _, text in ipairs{"r2/cens.npy: No such file", "r5/cens.npy: not an npy file", "r7/cens.npy: has 9 frames"} do
         assert.is_truthy(all:find(text, 1, true), all)
      end
      for i = 1, 12 do os.remove(("%s/motif/sp/r%d/cens.npy"):format(dir, i)) end
      fails({input = input}, "all 12 recordings failed, the first: " .. dir)
   end)

   it("needs two recordings as long as the window", function()
      local input = write_corpus(dir, {noise(100, 1), noise(40, 2)})
      fails({input = input}, "fewer than two recordings are as long as the window (5 s)")
      assert.equal(1, #assert(run{input = input, seconds = 4}).hits)
      fails({input = input, seconds = 0.01}, "--seconds 0.01 is less than a frame")
      fails({input = input, features = dir .. "/no"}, "no such folder (--features)")
      fails({input = dir .. "/no.parquet"}, "no.parquet: ")
   end)
end)

describe("an interrupted search of all recordings", function()
   local dir, write_json = nil, files.write_json
   before_each(function() dir = command.folder() end)
   after_each(function()
      files.write_json = write_json
      command.remove(dir)
   end)

   -- A run that is stopped after some parts.
   local function stop_after(n, options)
      local count = 0
      files.write_json = function(...)
         count = count + 1
         if count > n then error("interrupted!") end
         return write_json(...)
      end
      assert.error_matches(function() run(options) end, "interrupted!")
      files.write_json = write_json
   end

   it("goes on where it stopped, to the same hits", function()
      local o = {top = 25, output = dir .. "/pairs.csv", save_every = 0}
      stop_after(10, o)
      assert.is_true(files.exists(dir .. "/pairs.csv.partial"))
      local r = assert(run(o))
      assert.equal(10, r.resumed)
      assert.is_true(r.compared < 120)
      assert.same(assert(run{top = 25}).hits, r.hits)
      assert.is_false(files.exists(dir .. "/pairs.csv.partial"))
   end)

   it("begins again for other parameters, another table, or a broken record", function()
      local o = {top = 25, output = dir .. "/pairs.csv", save_every = 0}
      stop_after(5, o)
      o.top = 26
      assert.equal(0, assert(run(o)).resumed)
      command.write(dir .. "/pairs.csv.partial", "{")
      assert.equal(0, assert(run(o)).resumed)
      command.write(dir .. "/pairs.csv.partial", '{"done": 3}')
      assert.equal(0, assert(run(o)).resumed)
   end)
end)

describe("a search of all recordings by shards", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   it("finds the same pairs, to the byte, for any N and order", function()
      local plain = dir .. "/plain.parquet"
      assert(run{top = 25, output = plain})
      for _, order in ipairs{{2, 1}, {4, 2, 5, 1, 3}} do
         local output = ("%s/%d.parquet"):format(dir, #order)
         for k, i in ipairs(order) do
            local r = assert(run{top = 25, output = output, piece_s = 1e-4, shard = i .. "/" .. #order})
            assert.is_true(r.done > 0)
            assert.equal(k == #order or nil, r.merged)
         end
         assert.is_true(command.read(plain) == command.read(output))
         assert.is_true(#files.find(output .. ".shards", function(name) return name:find("piece") end) > 5)
      end
      local output = dir .. "/claimed.parquet"
      assert(run{top = 25, output = output, piece_s = 1e-4, shard = "2/3"})
      assert.is_true(assert(run{top = 25, output = output, piece_s = 1e-4, claim = true}).merged)
      assert.is_true(command.read(plain) == command.read(output))
   end)

   it("keeps what is done, does again what is gone, and refuses another table or other parameters", function()
      local input, output = write_corpus(dir, {noise(90, 1), noise(200, 2), noise(70, 3), noise(60, 4)}),
         dir .. "/hits.csv"
      local function search(more)
         local o = {input = input, output = output, piece_s = 1e-9}
         for key, value in pairs(more or {}) do o[key] = value end
         return run(o)
      end
      assert.is_true(assert(search{time_limit = 1e-9}).stopped)
      local r = assert(search{})
      assert.same({9, 1, true}, {r.done, r.skipped, r.merged})
      os.remove(output .. ".shards/piece-000003.json")
      command.write(output .. ".shards/piece-000004.json", "damaged")
      r = assert(search{})
      assert.same({2, 8}, {r.done, r.skipped})
      assert.equal(6, #sql.query("from " .. sql.csv(output)))
      local _, message = search{top = 3}
      assert.matches("was frozen with other settings (top = 20, now 3)", message, 1, true)
      _, message = run{input = input, shard = "1/2"}
      assert.matches("need --output", message, 1, true)
   end)
end)

describe("motif.lua search --all", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   local function call(...)
      return command.bclua({"scripts/motif.lua", "search", "--input", mined.get().motif, ...},
         {env = "BCLUA_QUIET=1"})
   end

   it("prints a table of pairs", function()
      local out, status = call("--all", "--top", "3")
      assert.equal(0, status)
      local lines = {}
      for line in out:gmatch("[^\n]+") do lines[#lines + 1] = line end
      assert.equal(5, #lines)
      assert.equal("windows of 5.0 s", lines[1])
      assert.matches("^rank  source_name +start_s  other_source_name +other_start_s +distance$", lines[2])
      assert.matches("^   1  train_audio/%S+ +%d+%.%d  train_audio/%S+ +%d+%.%d +%d+%.%d%d%d%d$", lines[3])
   end)

   it("writes Parquet and CSV, and refuses other parameters without --force", function()
      local hits = assert(run{top = 4}).hits
      for _, name in ipairs({"parquet", "csv"}) do
         assert.equal(0, select(2, call("--all", "--top", "4", "--output", dir .. "/h." .. name)))
         local rows = sql.query("select * from " .. sql.quote(dir .. "/h." .. name))
         assert.same(pairs_of.columns, rows.columns)
         for i, hit in ipairs(hits) do assert.same(hit, rows[i]) end
      end
      local out, status = call("--all", "--top", "5", "--output", dir .. "/h.parquet")
      assert.equal(1, status)
      assert.matches("top = 4, now 5%); use %-%-force", out)
   end)

   it("wants either a query or --all", function()
      assert.matches("expected a query or %-%-all", (call()))
      assert.matches("expected a query or %-%-all", (call("x.ogg", "--all")))
      assert.matches("are for a query", (call("--all", "--start", "3")))
      local out, status = call("--all", "--output", "h.txt")
      assert.equal(1, status)
      assert.matches("must end in .parquet or .csv", out)
   end)

   it("stops on Ctrl-C within a second", function()
      local features = {}
      for i = 1, 40 do features[i] = noise(3000, i) end
      local input = write_corpus(dir, features)
      local out, status = command.shell(("%s scripts/motif.lua search --all --input %s --output %s/p.csv & pid=$!; " ..
         "while [ $(ls /proc/$pid/task | wc -l) -lt 2 ]; do sleep 0.02; done; sleep 0.3; " ..
         "kill -INT $pid; start=$(date +%%s%%N); wait $pid; code=$?; " ..
         "echo ms $(( ($(date +%%s%%N) - start) / 1000000 )); exit $code"):format(command.program, input, dir))
      assert.equal(130, status, out)
      assert.matches("interrupted: %d+ of 780 pairs of recordings done; run the same command to go on", out)
      assert.is_true(tonumber(out:match("ms (%d+)")) < 2000, out) -- under load, too
      assert.is_false(files.exists(dir .. "/p.csv"))
   end)
end)
