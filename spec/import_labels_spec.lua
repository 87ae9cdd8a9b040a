local audio = require "bclua.audio"
local command = require "support.command"
local files = require "bclua.files"
local import_labels = require "bclua.workflow.import_labels"
local labels = require "bclua.workflow.labels"
local mined = require "support.mined"
local sampling = require "bclua.sampling"
local sql = require "bclua.sql"

local m, dir
setup(function() m = mined.get() end)
teardown(mined.remove)
before_each(function() dir = command.folder() end)
after_each(function() command.remove(dir) end)

local function run(list, options)
   local o = {files = list, output = dir .. "/labels.parquet", input = m.motif, quiet = true}
   for k, v in pairs(options or {}) do o[k] = v or nil end
   return import_labels.run(o)
end

local function table_of(path) return sql.query("from " .. sql.parquet(path or dir .. "/labels.parquet")) end

local function write(name, text)
   local path = dir .. "/" .. name
   assert(require("bclua.system").mkdir(files.dirname(path)))
   return command.write(path, text)
end

local function unmatched()
   return sql.query("from " .. sql.csv(dir .. "/labels.parquet.unmatched.csv", "header = true, all_varchar = true"))
end

local function noise(path, seconds)
   assert(require("bclua.system").mkdir(files.dirname(path)))
   assert(audio.save(path, sampling.generator(1):normal(math.floor(seconds * 8000)):copy("f32") * 0.1, 8000))
end

describe("import-labels", function()
   it("reads our own labels back, whatever their form", function()
      local expected, n = {}, 0
      for _, item in ipairs(assert(labels.read{input = m.motif, top = 2})) do
         for _, mark in ipairs(item.marks) do
            expected[("%s %.5f %.5f"):format(item.source, mark.start_s, mark.end_s)], n = true, n + 1
         end
      end
      for format, name in pairs{audacity = "tracks", raven = "r.txt", csv = "l.csv"} do
         assert(labels.run{input = m.motif, top = 2, format = format, output = dir .. "/" .. name, quiet = true})
         local result = assert(run({dir .. "/" .. name}, {output = dir .. "/" .. format .. ".parquet"}))
         assert.same({n, 0, 0}, {#result.rows, #result.unmatched, #result.failures})
         for _, row in ipairs(table_of(dir .. "/" .. format .. ".parquet")) do
            assert.is_true(expected[("%s %.5f %.5f"):format(row.source_name, row.start_s, row.end_s)], row.source_name)
            assert.same({0, 16000}, {row.low_hz, row.high_hz})
            if format == "audacity" then
               assert.is_truthy(row.label:find("^motif [12][ab]$") or row.label:find("^discord [12]$"), row.label)
            else
               assert.equal(row.source_name:match("/(.-)/"), row.label)
            end
         end
      end
   end)

   it("takes each line, or names it", function()
      local item
      for _, one in ipairs(labels.read{input = m.motif}) do item = item or #one.marks > 0 and one end
      local name, past = files.basename(item.source), item.duration_s + 1
      local path = write("l.csv", table.concat({"filename,start_s,end_s,label", name .. ",1,2,a", name .. ",x,2,b",
         ("%s,%.3f,%.3f,c"):format(name, past, past + 1), ("%s,1,%.3f,d"):format(name, past), "nix.ogg,1,2,e",
         name .. ",2,1,f", name .. ",-1,2,g", name .. ",1,2,", item.source .. ",3,3,h",
         ("%s,1,%.3f,i"):format(name, item.duration_s + 0.01)}, "\n"))
      local result = assert(run{path})
      local rows = table_of()
      assert.equal(10, #rows + #result.unmatched)
      assert.equal(6, #result.unmatched)
      assert.equal(1, result.unlabelled)
      local first = rows[1]
      assert.same({item.source, 1, 2, "a", path, 2}, {first.source_name, first.start_s, first.end_s, first.label,
         first.origin, first.line})
      assert.near(item.duration_s, rows[3].end_s, 1e-9)
      local said = {}
      for _, row in ipairs(unmatched()) do said[tonumber(row.line)] = row.reason end
      assert.matches("^no number: 'x'", said[3])
      assert.matches("^past the end: the recording has", said[4])
      assert.matches("^past the end", said[5])
      assert.equal("no recording is called so", said[6])
      assert.equal("ends before it starts", said[7])
      assert.equal("starts before the recording", said[8])
   end)

   it("names what its readers would not take, and writes the rest", function()
      local path = write("a.csv", "file,start_s,end_s,label\nx/a.wav,1,2," .. ("x"):rep(4097) ..
         "\nx/a.wav,1,2," .. ("y"):rep(4096) .. "\nx/a.wav,1,2000000,z\n")
      assert(run({path}, {input = false}))
      local of = assert(require("bclua.workflow.labelled").read(dir .. "/labels.parquet", {"x/a.wav"}))
      assert.equal(("y"):rep(4096), of["x/a.wav"][1].label)
      local said = unmatched()
      assert.same({1, 2}, {#of["x/a.wav"], #said})
      assert.matches("^column 'label' must be a string of 0 to 4096 bytes, got 'xxx", said[1].reason)
      assert.matches("^column 'end_s' must be a number from 0 to 1000000, got 2000000", said[2].reason)
   end)

   it("leaves no list behind where all lines were taken", function()
      local item = labels.read{input = m.motif}[2]
      local path = write("l.csv", "file,start,end,label\nnix,1,2,a\n" .. item.source .. ",1,2,a\n")
      assert(run{path})
      assert.is_true(files.exists(dir .. "/labels.parquet.unmatched.csv"))
      write("l.csv", "file,start,end,label\n" .. item.source .. ",1,2,a\n")
      assert(run{path})
      assert.is_false(files.exists(dir .. "/labels.parquet.unmatched.csv"))
      local ok, message = run({path}, {column = "label"})
      assert.is_nil(ok)
      assert.matches("other parameters %(column = none, now label%)", message)
      assert(run({path}, {column = "label", force = true}))
   end)

   it("goes on past files that are none", function()
      local item = labels.read{input = m.motif}[2]
      write("in/a.csv", "file,start,end,label\n" .. item.source .. ",1,2,a\n")
      write("in/sub/b.txt", "no labels\n")
      write("in/photo.jpg", "x")
      local result = assert(run{dir .. "/in", dir .. "/missing.csv"})
      assert.equal(1, #result.rows)
      assert.equal(2, #result.failures)
      assert.matches("in/sub/b.txt: no table of labels", result.failures[1].reason)
      assert.matches("missing.csv", command.read(dir .. "/labels.parquet.failures.csv"))
      local ok, message = run({dir .. "/in/sub/b.txt"}, {force = true})
      assert.is_nil(ok)
      assert.matches("b.txt: no table of labels", message)
   end)

   it("finds recordings below a folder, and how long they are", function()
      noise(dir .. "/data/north/A.wav", 4)
      noise(dir .. "/data/south/A.wav", 8)
      local path = write("l.csv", "file,start,end,label\n/card/south/A.wav,5,6,x\nnorth/A.wav,5,6,y\nA.wav,1,2,z\n")
      local track = write("tracks/north/A.txt", "1\t2\tt\n")
      local result = assert(run({path, track}, {input = false, dataset_root = dir .. "/data"}))
      local rows = table_of()
      assert.same({"north/A.wav", "t", "south/A.wav", "x"}, {rows[1].source_name, rows[1].label, rows[2].source_name,
         rows[2].label})
      assert.equal(2, #result.unmatched)
      assert.matches("past the end: the recording has 4.000 s", result.unmatched[1].reason)
      assert.matches("several recordings are called so: north/A.wav, south/A.wav", result.unmatched[2].reason)
   end)

   it("does not take two recordings of one name for one", function()
      noise(dir .. "/data/north/A.wav", 4)
      local path = write("l.csv", "file,start,end,label\nnorth/A.wav,1,2,x\nsouth/A.wav,1,2,y\nA.wav,1,2,z\n")
      assert(run({path}, {input = false, dataset_root = dir .. "/data"}))
      local rows = table_of()
      assert.same({2, "x", "z"}, {#rows, rows[1].label, rows[2].label})
      assert.equal("no recording is called so in this folder", unmatched()[1].reason)
   end)

   it("cuts what BirdNET heard in the silence behind the end", function()
      noise(dir .. "/data/A.wav", 4)
      local path = write("A.BirdNET.results.csv", "Start (s),End (s),Scientific name,Common name,Confidence\n" ..
         "0.0,3.0,A b,B,0.9\n3.0,6.0,A b,B,0.8\n6.0,9.0,A b,B,0.8\n")
      local result = assert(run({path}, {input = false, dataset_root = dir .. "/data"}))
      assert.equal(1, #result.unmatched)
      assert.same({3, 4, 0.8}, {result.rows[2].start_s, result.rows[2].end_s, result.rows[2].score})
   end)

   it("without recordings calls them as the labels do", function()
      local path = write("l.csv", "file,start,end,label\nC:\\x\\..\\A.wav,1,2,x\n")
      local track = write("night.Table.1.selections.txt", "Begin Time (s)\tEnd Time (s)\tSpecies\n1\t2\ty\n")
      assert(run({path, track}, {input = false}))
      local rows = table_of()
      assert.equal("x/A.wav", rows[2].source_name)
      assert.matches("/night$", rows[1].source_name)
   end)

   it("writes CSV, too, and says what it cannot write", function()
      local item = labels.read{input = m.motif}[2]
      local path = write("l.csv", "file,start,end,label\n" .. item.source .. ",1,2,=a\n")
      assert(run({path}, {output = dir .. "/out.csv"}))
      assert.matches(item.source .. ",1.0,2.0,,,'=a,,", command.read(dir .. "/out.csv"), 1, true)
      assert.equal("=a", assert(run({dir .. "/out.csv"})).rows[1].label)
      assert.error_matches(function() run({path}, {output = dir .. "/out.txt"}) end, "does not end in .parquet or .csv")
   end)
end)
