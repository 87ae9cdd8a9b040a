local array = require "bclua.array"
local command = require "support.command"
local consolidate = require "bclua.workflow.consolidate"
local extracted = require "bclua.data.extracted"
local extracted_parts = require "bclua.data.extracted_parts"
local field = require "support.field"
local files = require "bclua.files"
local pairs_of = require "bclua.workflow.search.pairs"
local part_writer = require "bclua.data.part_writer"
local search = require "bclua.workflow.search"
local sql = require "bclua.sql"

local dir
before_each(function() dir = command.folder() end)
after_each(function() command.remove(dir) end)

local function put(...)
   for _, name in ipairs{...} do field.wav(("%s/card/%s"):format(dir, name)) end
end

-- A recording that was recorded once more: another length is another stamp.
local function change(name) field.wav(("%s/card/%s"):format(dir, name), {seconds = 10}) end

local function rows(columns)
   return {table.unpack(sql.query(("select %s from %s order by source_name"):format(columns,
      sql.parquet(dir .. "/motif.parquet"))))}
end

local function names_in(path)
   local list = {}
   for i, row in ipairs(sql.query(("select source_name as n from %s order by 1"):format(sql.parquet(path)))) do
      list[i] = files.basename(row.n)
   end
   return list
end

local function parts() return (extracted_parts.list(dir .. "/motif")) end

local function command_line(...)
   return (command.bclua{"scripts/motif.lua", "extract", "--input", dir .. "/card", "--output", dir .. "/motif",
      "--sample-rate", "16000", "--mp-window", "20", ...})
end

-- Each recording in a part of its own.
local function in_small_parts(f)
   local bytes = extracted_parts.bytes
   extracted_parts.bytes = 1
   local ok, message = pcall(f)
   extracted_parts.bytes = bytes
   assert(ok, message)
end

describe("results in parts", function()
   -- What there may be of a recording: none, silences, a place and a time, a warning.
   local function put_all_kinds()
      put("a/one.wav", "a/two.wav", "b/SITE_20230514_043000.wav", "b/sub/three.wav", "c/line\nbreak.wav", "c/Case.wav",
         "c/case.wav", "four.wav")
      field.wav(dir .. "/card/a/short.wav", {seconds = 3})
      field.wav(dir .. "/card/b/guano.wav", {guano = "GUANO|Version: 1.0\nLoc Position: 52.5 13.25\n" ..
         "Temperature Int: 7.5"})
      local path = field.wav(dir .. "/card/b/cut.wav")
      command.write(path, command.read(path):sub(1, -4000))
      local y = array.zeros(20 * field.RATE)
      for i = 1, 3 * field.RATE do y[i], y[#y - i + 1] = math.sin(i * i / 90000), math.sin(i * i / 70000) end
      assert(require("bclua.audio").save(dir .. "/card/c/pause.flac", y, field.RATE))
   end

   local function of_layout(layout, f)
      command.remove(dir .. "/motif")
      local done, table_of = field.mine(dir, {layout = layout})
      assert.equal(layout, extracted.layout_of(dir .. "/motif"))
      return f(done, table_of)
   end

   it("give the same table, to the bit, as a folder a recording", function()
      put_all_kinds()
      local counts = {}
      for _, layout in ipairs(extracted.layouts) do
         of_layout(layout, function(done, table_of)
            counts[#counts + 1] = {done.done, #done.warnings, table_of.recordings, #table_of.failures}
            sql.write_parquet(("%s/%s.parquet"):format(dir, layout), "select * exclude (part_file) from " ..
               sql.parquet(dir .. "/motif.parquet"))
         end)
      end
      assert.same({12, 1, 12, 0}, counts[1])
      assert.same(counts[1], counts[2])
      local bytes = {}
      for i, layout in ipairs(extracted.layouts) do bytes[i] = command.read(("%s/%s.parquet"):format(dir, layout)) end
      assert.is_true(bytes[1] == bytes[2])
   end)

   it("are found by search and pairs, and walked over, as the others are", function()
      put("a/one.wav", "a/two.wav", "b/three.wav", "b/four.wav")
      local found = {}
      for i, layout in ipairs(extracted.layouts) do
         of_layout(layout, function()
            local input = dir .. "/motif.parquet"
            local hits = assert(search.run{query = dir .. "/card/a/one.wav", input = input, quiet = true, start = 0.5,
               seconds = 2}).hits
            local shared = assert(pairs_of.run{input = input, quiet = true}).hits
            local slices = assert(require("bclua.data.walk").read(dir .. "/motif", dir, 2))
            local of_table = assert(require("bclua.data.walk").read(input, dir, 2))
            found[i] = {hits, shared, slices.paths, slices.windows.neighbor.loc:table(), slices.first:table(),
               of_table.windows.neighbor.loc:table()}
            assert.same({3, 6}, {#hits, #shared})
         end)
      end
      assert.same(found[2], found[1])
   end)

   it("have long features in files of their own, which are done again where they are lost", function()
      put("a.wav", "b.wav")
      field.mine(dir)
      local input, long = dir .. "/motif.parquet", extracted_parts.long
      local function hits()
         return assert(search.run{query = dir .. "/card/a.wav", input = input, quiet = true, start = 0.5, seconds = 2})
      end
      local expected = hits().hits
      command.remove(dir .. "/motif")
      field.wav(dir .. "/card/b.wav", {seconds = 8.2})
      field.wav(dir .. "/card/c.wav", {seconds = 4})
      extracted_parts.long = 12 * 4 * 60
      field.mine(dir)
      local function shown(part)
         local list = {}
         for i, row in ipairs(sql.query(("select cens_file as f, cens is null as n from '%s/motif/%s' order by " ..
            "source_name"):format(dir, part))) do
            list[i] = ("%s %s"):format(row.f, row.n)
         end
         return list
      end
      assert.same({"part-000001-1.npy true", "part-000001-2.npy true", "nil false"}, shown("part-000001.parquet"))
      assert.same({2, {}}, {hits().searched, hits().failures})
      assert.same({0, 3}, {field.mine(dir).done, field.mine(dir).skipped})
      os.remove(dir .. "/motif/part-000001-2.npy")
      assert.equal(dir .. "/motif/part-000001-2.npy: ", hits().failures[1].reason:sub(1, #dir + 26))
      assert.equal(1, field.mine(dir).done)
      assert.same({"part-000002-1.npy true"}, shown("part-000002.parquet"))
      change("a.wav")
      change("c.wav")
      assert.equal(2, field.mine(dir).done)
      field.mine(dir)
      assert.same({"part-000002.parquet", "part-000003.parquet"}, parts())
      assert.is_false(files.exists(dir .. "/motif/part-000001-1.npy"))
      field.wav(dir .. "/card/b.wav") -- as it was
      os.remove(dir .. "/card/c.wav")
      put("a.wav")
      field.mine(dir)
      extracted_parts.long = long
      assert.same(expected, hits().hits)
   end)

   it("have a recording's features as `cens`, metadata as columns", function()
      put("a/one.wav", "a/two.wav")
      field.mine(dir)
      assert.same({"part-000001.parquet"}, parts())
      local row = sql.query("from " .. sql.parquet(dir .. "/motif/part-000001.parquet"))[1]
      assert.same({"card/a/one.wav", "a/one", 20, 16000}, {row.source_name, row.folder, row.matrix_profile_window,
         row.sample_rate})
      assert.same({12, row.duration_cens}, {#row.cens, #row.cens[1]})
      local c = assert(require("bclua.workflow.analysis").features(dir .. "/card/a/one.wav", {cens_sample_rate = 10,
         sample_rate = field.RATE}))
      local item = extracted.locate(dir .. "/motif", rows("*")[1])
      assert.is_true(array.equal(c, assert(extracted.features(item))))
      assert.same(c[12]:table(), row.cens[12]:table())
   end)

   it("take up what is done as it becomes large, or old", function()
      put("a.wav", "b.wav", "c.wav")
      in_small_parts(function() field.mine(dir) end)
      assert.equal(3, #parts())
      command.remove(dir .. "/motif")
      local every_s = part_writer.every_s
      part_writer.every_s = 0
      field.mine(dir)
      part_writer.every_s = every_s
      assert.equal(3, #parts())
      assert.same({{p = "part-000001.parquet"}, {p = "part-000002.parquet"}, {p = "part-000003.parquet"}},
         rows("part_file as p"))
   end)

   it("go on, and of a recording that was done again the last counts", function()
      put("a.wav", "b.wav")
      field.mine(dir)
      put("c.wav")
      change("b.wav")
      local done = field.mine(dir)
      assert.same({2, 1, 0}, {done.done, done.skipped, #done.failures})
      assert.same({{part = "part-000001.parquet", s = 8.0}, {part = "part-000002.parquet", s = 10.0},
         {part = "part-000002.parquet", s = 8.0}}, rows("part_file as part, duration_seconds as s"))
      assert.same({0, 3}, {field.mine(dir).done, field.mine(dir).skipped})
      change("a.wav")
      field.mine(dir)
      assert.equal(3, #parts())
      field.mine(dir) -- of the first nothing counts
      assert.same({"part-000002.parquet", "part-000003.parquet"}, parts())
      assert.same({10.0, 10.0, 8.0}, {rows("duration_seconds")[1].duration_seconds,
         rows("duration_seconds")[2].duration_seconds, rows("duration_seconds")[3].duration_seconds})
   end)

   it("are redone with other parameters if forced, and refuse them else", function()
      put("a.wav", "b.wav")
      field.mine(dir)
      local o = {input = dir .. "/card", output = dir .. "/motif", sample_rate = field.RATE, matrix_profile_window = 30,
         quiet = true}
      assert.matches("matrix_profile_window = 20, now 30", select(2, require("bclua.workflow.extract").run(o)), 1, true)
      assert.equal(2, field.mine(dir, {matrix_profile_window = 30, force = true}).done)
      assert.same({{w = 30}, {w = 30}}, rows("matrix_profile_window as w"))
      assert.equal(2, field.mine(dir, {matrix_profile_window = 30}).skipped)
      assert.same({"part-000002.parquet"}, parts())
   end)

   it("leave out what is gone, was renamed, or has gone bad since, until it is well again", function()
      put("a.wav", "b.wav", "c.wav", "d.wav")
      field.mine(dir)
      os.remove(dir .. "/card/a.wav")
      os.rename(dir .. "/card/b.wav", dir .. "/card/e.wav")
      command.write(dir .. "/card/c.wav", "no sound")
      local done, table_of = field.mine(dir)
      assert.same({1, 1, 1}, {done.done, done.skipped, #done.failures})
      assert.same({2, 2}, {table_of.recordings, table_of.gone})
      local function shown()
         local list = {}
         for i, row in ipairs(rows("source_name as n")) do list[i] = files.basename(row.n) end
         return table.concat(list, " ")
      end
      assert.equal("d.wav e.wav", shown())
      command.write(dir .. "/card/d.wav", "no sound") -- nothing but a failure: a part without rows
      done = field.mine(dir)
      assert.same({0, 1, 2}, {done.done, done.skipped, #done.failures})
      assert.equal("e.wav", shown())
      assert.same({}, names_in(dir .. "/motif/part-000003.parquet"))
      field.mine(dir)
      assert.equal("e.wav", shown())
      put("c.wav", "d.wav")
      assert.same({2, 1}, {field.mine(dir).done, field.mine(dir).skipped - 2})
      assert.equal("c.wav d.wav e.wav", shown())
   end)

   it("say the warnings of finished recordings again", function()
      put("a.wav", "b.wav")
      local path = dir .. "/card/b.wav"
      command.write(path, command.read(path):sub(1, -4000))
      local first = field.mine(dir)
      local csv = command.read(dir .. "/motif/warnings.csv")
      local again = field.mine(dir)
      assert.equal(1, #first.warnings)
      assert.same({first.warnings, 0}, {again.warnings, again.done})
      assert.equal(csv, command.read(dir .. "/motif/warnings.csv"))
      local strict = field.mine(dir, {strict_audio = true})
      assert.same({0, 1, 1}, {strict.done, strict.skipped, #strict.failures})
   end)
end)

describe("a folder of results", function()
   it("goes on as it began", function()
      put("a/one.wav")
      for _, layout in ipairs(extracted.layouts) do
         local other = layout == "files" and "parts" or "files"
         command.remove(dir .. "/motif")
         field.mine(dir, {layout = layout})
         local out = command_line("--layout", other)
         assert.matches(("motif: goes on as it began, with --layout %s\n"):format(layout), out, 1, true)
         assert.matches("0 done, 1 finished before", out, 1, true)
         assert.equal(layout, extracted.layout_of(dir .. "/motif"))
      end
   end)

   it("is known where its folders are links", function()
      put("a/one.wav")
      field.mine(dir, {layout = "files"})
      command.shell(("mv %s/motif/a %s/elsewhere && ln -s %s/elsewhere %s/motif/a"):format(dir, dir, dir, dir))
      assert.equal("files", extracted.layout_of(dir .. "/motif"))
      command.shell(("rm %s/elsewhere/one/metadata.json && ln -s .. %s/elsewhere/up"):format(dir, dir))
      assert.is_nil(extracted.layout_of(dir .. "/motif"))
   end)

   it("is that of a choice", function()
      assert.error_matches(function() field.mine(dir, {layout = "tree"}) end, "one of parts, files", 1, true)
   end)
end)

describe("a part", function()
   local function consolidated()
      return consolidate.run{input = dir .. "/motif", output = dir .. "/motif.parquet", quiet = true}
   end

   local function mined_in_three()
      put("a.wav", "b.wav", "c.wav")
      in_small_parts(function() field.mine(dir) end)
      return dir .. "/motif/part-000002.parquet"
   end

   it("that is damaged is named, set aside, and its recordings alone are done again", function()
      local path = mined_in_three()
      local good = command.read(path)
      local middle = #good // 2
      local torn = good:sub(1, 4) .. ("\255"):rep(#good - 200) .. good:sub(-196)
      for i, text in ipairs{"", "x", good:sub(1, middle), torn} do
         command.write(path, text)
         local result = assert(consolidated())
         assert.same({2, path, "consolidate"}, {result.recordings, result.failures[1].path, result.failures[1].step})
         assert.equal(path .. ": ", result.failures[1].reason:sub(1, #path + 2))
         local out = command_line()
         assert.matches("1 done, 2 finished before, 0 failed", out, 1, true)
         assert.matches(("%s.damaged; its recordings are done again"):format(files.basename(path)), out, 1, true)
         path = ("%s/motif/part-%06d.parquet"):format(dir, i + 3)
         assert.same({3, 0}, {assert(consolidated()).recordings, #consolidated().failures})
         assert.same({"part-000001.parquet", "part-000003.parquet", files.basename(path)}, parts())
      end
   end)

   it("whose columns are not what they should be is named with column and row", function()
      local path = mined_in_three()
      local good = dir .. "/good.parquet"
      os.rename(path, good)
      for _, case in ipairs{{"duration_cens", "-1", "column 'duration_cens', row 1: must be an integer of at least 0"},
         {"source_name", "'../x.wav'", "column 'source_name', row 1: must be a path below a folder"},
         {"mp", "[]::double[]", "column 'mp', row 1: must have a value for 'motif_0'"}} do
         sql.write_parquet(path, ("select * replace (%s as %s) from %s"):format(case[2], case[1], sql.parquet(good)))
         local result = assert(consolidated())
         assert.equal(2, result.recordings)
         assert.matches(path .. ": " .. case[3], result.failures[1].reason, 1, true)
      end
      sql.write_parquet(path, "from " .. sql.parquet(good), {metadata = {bclua_failed = "[1]"}})
      assert.equal(path .. ": metadata bclua_failed: no list of names", assert(consolidated()).failures[1].reason)
   end)

   it("that is missing costs its recordings alone", function()
      local path = mined_in_three()
      os.remove(path)
      local o = {query = dir .. "/card/a.wav", input = dir .. "/motif.parquet", quiet = true}
      local r = assert(search.run(o))
      assert.same({1, {{path = "card/b.wav", step = "search", reason = path .. ": No such file or directory (run " ..
         "`motif extract` and `motif consolidate` again, or give --dataset-root)"}}}, {r.searched, r.failures})
      o.dataset_root = dir
      assert.same({2, {}}, {assert(search.run(o)).searched, search.run(o).failures})
      assert.equal(2, consolidated().recordings)
      assert.same({1, 2}, {field.mine(dir).done, field.mine(dir).skipped - 1})
      assert.equal("part-000004.parquet", rows("part_file")[2].part_file)
   end)

   it("without the features that the table counts on is named", function()
      local path = mined_in_three()
      local good = dir .. "/good.parquet"
      os.rename(path, good)
      local input = dir .. "/motif.parquet"
      for _, case in ipairs{{"exclude (cens)", "column 'cens' must be FLOAT[][], got none"},
         {"replace ('x' as cens)", "column 'cens' must be FLOAT[][], got VARCHAR"},
         {"replace ('else.wav' as source_name)", "card/b.wav: is not in it"},
         {"replace ([c[:73] for c in cens] as cens)", "card/b.wav: has 73 frames, the table says 81 (run `motif"},
         {"replace (null::float[][] as cens)", "card/b.wav: is not in it"},
         {"replace ('../x.npy' as cens_file)", "column 'cens_file', row 1: must be a path below a folder"},
         {"replace (cens[:5] as cens)", "card/b.wav: expected the shape (12, frames)"}} do
         sql.write_parquet(path, ("select * %s from %s"):format(case[1], sql.parquet(good)))
         local r = assert(search.run{query = dir .. "/card/a.wav", input = input, quiet = true})
         assert.equal(1, r.searched)
         assert.matches(path .. ": " .. case[2], r.failures[1].reason, 1, true)
         local all = assert(pairs_of.run{input = input, quiet = true})
         assert.same({"card/b.wav", 1, 1}, {all.failures[1].path, #all.failures, #all.hits})
      end
   end)

   it("is written whole or not at all, whenever the program is killed", function()
      put("a.wav", "b.wav", "c.wav", "d.wav", "e.wav", "f.wav")
      -- Killed after so many recordings, in the middle of a part's file.
      local out, status = command.bclua({"-e", ([[
         local sql, writes = require "bclua.sql", 0
         local write = sql.write_parquet
         function sql.write_parquet(path, columns, options)
            writes = writes + 1
            local ok, message = write(path, columns, options)
            if writes == 3 then
               local f = io.open(path, "rb")
               local text = f:read("a")
               f:close()
               os.rename(path, path .. ".tmp-1-1")
               f = io.open(path .. ".tmp-1-1", "wb")
               f:write(text:sub(1, #text // 2))
               f:close()
               os.execute("kill -9 $PPID")
            end
            return ok, message
         end
         require("bclua.data.extracted_parts").bytes = 1
         require("bclua.workflow.extract").run{input = %q, output = %q, sample_rate = 16000, matrix_profile_window = 20,
            quiet = true}]]):format(dir .. "/card", dir .. "/motif")})
      assert.equal(137, status, out)
      assert.same({"part-000001.parquet", "part-000002.parquet"}, parts())
      assert.equal(2, assert(consolidated()).recordings)
      assert.same({4, 2}, {field.mine(dir).done, field.mine(dir).skipped - 4})
      assert.equal(6, assert(consolidated()).recordings)
   end)
end)
