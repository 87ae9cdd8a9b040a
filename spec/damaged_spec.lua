-- Every reader of our tables against every fault in every column that it reads: a message that names file, column
-- and row, never an error.
local command = require "support.command"
local damage = require "support.damage"
local files = require "bclua.files"
local mined = require "support.mined"
local results = require "support.results"
local sql = require "bclua.sql"
local sweep = require "bclua.experiment.sweep"

local m, dir, scores, verdicts, trials

local function step(name, f)
   return function(options)
      options.quiet = true
      return require("bclua.workflow." .. name)[f or "run"](options)
   end
end

local function output(name) return dir .. "/out/" .. name end

-- A file, or what is there in its place, in another place.
local function put(from, to)
   files.remove(to)
   if files.is_folder(from) then
      assert(require("bclua.system").mkdir(to))
   elseif files.exists(from) then
      command.write(to, command.read(from))
   end
end

-- A pipeline's run with that motif.parquet in it.
local function run_with(motif)
   put(motif, dir .. "/run/motif.parquet")
   return dir .. "/run"
end

-- The commands, by what they read: functions of its path, and the columns that they read.
local PLACES = {"source_name", "species", "cens_sample_rate", "matrix_profile_window"}

local function columns(...) return table.move({...}, 1, select("#", ...), #PLACES + 1, {table.unpack(PLACES)}) end

local motif = {
   ["generate-triplets"] = {columns("duration_seconds", "motif_0", "motif_1"), function(path)
      return step("triplets")({input = path, output = output("t.parquet"), samples = 4})
   end},
   ["generate-triplets --pick discord"] = {{"discord_0"}, function(path)
      return step("triplets")({input = path, output = output("d.parquet"), samples = 4, pick = "discord"})
   end},
   score = {columns("duration_seconds", "motif_0", "discord_0"), function(path)
      return step("score")({input = path, dataset_root = m.data, output = output("s.parquet")})
   end},
   search = {columns("sample_rate", "duration_cens", "folder"), function(path)
      return step("search")({input = path, query = m.query, dataset_root = m.data})
   end},
   ["search --all"] = {columns("sample_rate", "duration_cens", "folder"), function(path)
      return step("pairs")({input = path, features = m.dir .. "/motif"})
   end},
   labels = {columns("sample_rate", "duration_seconds", "mp", "pi", "folder"), function(path)
      return step("labels")({input = path, format = "csv", output = output("l.csv")})
   end},
   ["labels --accepted"] = {{"source_name", "species", "sample_rate", "duration_seconds", "folder"}, function(path)
      return step("labels")({input = path, format = "raven", output = output("l.txt"), accepted = verdicts})
   end, takes = "without rows"},
   ["motif-track"] = {columns("sample_rate", "duration_seconds", "mp", "pi", "folder"), function(path)
      return step("listen", "track")({input = path, output = output("m.flac"), dataset_root = m.data})
   end},
   browse = {columns("sample_rate", "duration_seconds", "duration_cens", "motif_0", "discord_0", "mp", "pi", "folder"),
      function(path)
         return require("bclua.workflow.browse").open({run = run_with(path), dataset_root = m.data})
      end,
      takes = "without rows"},
   evaluate = {columns("duration_seconds", "motif_0", "mp", "pi", "site"), function(path)
      return step("evaluation_set")({motif = path, dataset_root = m.data, windows = "motif", motifs = 1})
   end},
   report = {columns("motif_0", "duration_seconds"), function(path)
      return step("neighbors", "of_features")({motif = path, dataset_root = m.data})
   end, takes = "without rows"},
   ["fit --walk"] = {{"source_name", "cens_sample_rate", "pi"}, function(path)
      return require("bclua.data.loader").walk({input = path, dataset_root = m.data})
   end},
}

local ROLES = {"a", "a_loc", "b", "b_loc", "c", "c_loc", "a_species", "b_species", "c_species", "neighbor", "distant"}

local triplets = {
   ["extract-triplets"] = {ROLES, function(path)
      return step("tiles")({input = path, dataset_root = m.data, output = output("tiles"), store = "none"})
   end},
   audit = {ROLES, function(path) return step("audit")({input = path, dataset_root = m.data, limit = 1}) end},
   fit = {ROLES, function(path)
      return require("bclua.data.loader").new({triplets = path, dataset_root = m.data})
   end},
}

-- An index lies in the folder of its tiles.
local function index_at(path)
   put(path, dir .. "/tiles/index.parquet")
   return dir .. "/tiles"
end

local tiles = {
   ["extract-triplets"] = {{"source", "loc", "tile", "first", "scale", "source_bytes", "source_modified"},
      function(path)
         return step("tiles")({input = m.triplets, dataset_root = m.data, output = index_at(path)})
      end, takes = "missing without rows"},
   fit = {{"source", "loc", "tile", "first", "scale"}, function(path)
      return require("bclua.data.loader").new({triplets = m.triplets, tiles = index_at(path)})
   end},
}

local scored = {
   ["generate-triplets --pick best"] = {{"source_name", "kind", "pick"}, function(path)
      return step("triplets")({input = m.motif, output = output("b.parquet"), samples = 4, pick = "best",
         scores = path})
   end},
   ["generate-triplets --pick calls"] = {{"source_name", "kind", "start_s"}, function(path)
      return step("triplets")({input = m.motif, output = output("c.parquet"), samples = 4, pick = "calls",
         scores = path})
   end},
}

local sweeps = {
   best = {{"id", "rung", "seed", "wall_s", "cpu_s", "peak_bytes", "error", "point"}, function(path)
      return sweep.best(path)
   end},
   run = {{"id", "point"}, function(path)
      return sweep.run({path = path, grid = {x = {1, 2}}, metric = "loss", quiet = true, f = m.trial})
   end, takes = "missing without rows"},
}

-- What a column holds, and faults that are none there; with a question mark null is none, either.
local KINDS = {source_name = "path", species = "path?", site = "text?", folder = "path?", a = "path",
   b = "path", c = "path", source = "path", tile = "path", a_species = "text?", b_species = "text?",
   c_species = "text?", id = "text", error = "long text?", motif_0 = "frame?", motif_1 = "frame?",
   discord_0 = "frame?", mp = "list?", pi = "list?", rung = "integer?", seed = "integer?", peak_bytes = "integer?",
   wall_s = "number?", cpu_s = "number?"}
local FITS = {path = {text = true}, text = {text = true, outside = true}, list = {list = true},
   ["long text"] = {text = true, outside = true, long = true}, integer = {negative = true},
   number = {negative = true, huge = true}}

local function fits(column, fault)
   local kind, optional = (KINDS[column] or ""):match("^(.-)(%??)$")
   return fault == "null" and optional == "?" or FITS[kind] and FITS[kind][fault]
end

local function calls(f, path)
   local ok, result, message = pcall(f, path)
   assert.is_true(ok, result)
   if type(result) == "table" and result.close then result:close() end
   return result, message
end

-- The commands that read a column, in order of their names.
local function readers_of(commands, column)
   local list = {}
   for name, c in pairs(commands) do
      if (" " .. table.concat(c[1], " ") .. " "):find(" " .. column .. " ", 1, true) then list[#list + 1] = name end
   end
   table.sort(list)
   return list
end

local function expect_fault(f, path, column, row, what)
   local result, message = calls(f, path)
   assert.is_nil(result, what)
   local place = ("^[^:\n]+%%.parquet: column '%s', row %d: must be [^\n]+, got [^\n]+$"):format(column, row)
   assert.is_truthy(message:find(place), what .. ": " .. message)
end

-- Each column that some command reads, spoilt in each way. Those that read it take turns, so that each of them meets
-- several faults in each of its columns.
local function try_all(commands, from, path)
   local turn, list = 0, {}
   for _, c in pairs(commands) do
      for _, column in ipairs(c[1]) do
         if not list[column] then list[#list + 1], list[column] = column, true end
      end
   end
   table.sort(list)
   for _, column in ipairs(list) do
      local readers = readers_of(commands, column)
      for _, fault in ipairs(damage.names()) do
         if not fits(column, fault) then
            local row = damage.column(from, path, column, fault)
            turn = turn + 1
            local name = readers[turn % #readers + 1]
            expect_fault(commands[name][2], path, column, row, ("%s of %s: %s"):format(fault, column, name))
         end
      end
   end
   return turn
end

local function try_files(commands, from, path)
   for what, make in pairs(damage.files) do
      for name, c in pairs(commands) do
         files.remove(path)
         make(path, from)
         local result, message = calls(c[2], path)
         if not (c.takes or ""):find(what) then
            assert.is_nil(result, what .. ": " .. name)
            assert.is_truthy(message:find("^/[^:\n]+: [^\n]+$"), ("%s: %s: %s"):format(what, name, message))
         end
      end
   end
   files.remove(path)
end

setup(function()
   m, dir = mined.get(), command.folder()
   os.execute(("mkdir %s/out %s/run; cp -r %s %s/tiles"):format(dir, dir, m.tiles, dir))
   m.query = m.data .. "/" .. sql.query(("select source_name s from %s where motif_0 is not null limit 1"):format(
      sql.quote(m.motif)))[1].s
   scores = dir .. "/scores.parquet"
   assert(step("score")({input = m.motif, dataset_root = m.data, output = scores}))
   verdicts = dir .. "/accepted.csv"
   local rows = {}
   for i, row in ipairs(sql.query("select source_name, species, motif_0, motif_1 from " .. sql.quote(m.motif) ..
      " where motif_0 is not null")) do
      rows[i] = {source_name = row.source_name, species = row.species, start_s = row.motif_0 / 10,
         twin_start_s = row.motif_1 / 10, seconds = 5, distance = 1, verdict = "accepted"}
   end
   assert(require("bclua.workflow.verdicts").write(verdicts, rows))
   trials = dir .. "/trials.parquet"
   m.trial = function(p) return {loss = p.x} end
   assert(sweeps.run[2](trials))
end)
teardown(function()
   command.remove(dir)
   mined.remove()
end)

describe("a damaged", function()
   local function of(commands, from)
      local path = dir .. "/bad.parquet"
      for name, c in pairs(commands) do
         put(from(), path)
         local result, message = calls(c[2], path)
         assert.is_truthy(result, ("%s: %s"):format(name, message)) -- what is whole is taken
      end
      assert.is_true(try_all(commands, from(), path) > 20)
      try_files(commands, from(), path)
   end

   it("motif.parquet is refused by all who read it", function() of(motif, function() return m.motif end) end)
   it("table of triplets is, too", function() of(triplets, function() return m.triplets end) end)
   it("index of tiles is, too", function() of(tiles, function() return m.tiles .. "/index.parquet" end) end)
   it("table of scores is, too", function() of(scored, function() return scores end) end)
   it("table of a sweep is, too", function() of(sweeps, function() return trials end) end)

   it("file of verdicts is, too", function()
      local text, path = command.read(verdicts), dir .. "/bad.csv"
      local head = text:match("^[^\n]*")
      local numbers = {start_s = true, twin_start_s = true, seconds = true, distance = true}
      local names = {"source_name", "species", "start_s", "clock_time", "twin_start_s", "seconds", "distance",
         "verdict"}
      for place, column in ipairs(names) do
         local bad = numbers[column] and {"", "abc", "nan", "-1", "1e999x"} or {("x"):rep(5000),
            column ~= "species" and "" or nil}
         for _, value in ipairs(column == "clock_time" and {"noon"} or bad) do
            local cells = {"a/b.ogg", "a", "1", "", "2", "5", "0", "accepted"}
            cells[place] = value
            command.write(path, ("%s\na/b.ogg,a,1,,2,5,0,accepted\n%s\n"):format(head, table.concat(cells, ",")))
            local what = ("^[^:\n]+%%.csv: column '%s', row 2: must be [^\n]+, got [^\n]+$"):format(column)
            for _, f in ipairs({
               function() return step("labels")({input = m.motif, format = "csv", output = output("l.csv"),
                  accepted = path}) end,
               function() return step("triplets")({input = m.motif, output = output("a.parquet"), samples = 4,
                  accepted = path}) end}) do
               local result, message = calls(f)
               assert.is_nil(result)
               assert.matches(what, message)
            end
         end
      end
   end)
end)

-- What may stand in JSON in place of a value.
local VALUES = {"null", "true", "-1", "0.5", "1e300", '"abc"', "[1]", "{}", '"' .. ("x"):rep(5000) .. '"'}
local TEXTS = {"", "{", "[1]", "7", "null", '"abc"', "\xff\xfe"}

describe("damaged JSON", function()
   local function is_message(path, key, result, message)
      assert.is_nil(result)
      assert.equal(path .. ": ", message:sub(1, #path + 2))
      assert.is_nil(message:find("\n", 1, true))
      if key then assert.matches("key '" .. key .. "'", message, 1, true) end
   end

   it("of a recording is named with its key", function()
      local folder = dir .. "/one/motif"
      results.as_files(m.dir .. "/motif", dir .. "/as_files")
      local found = files.find(dir .. "/as_files", function(name) return name == "metadata.json" end)
      os.execute(("mkdir -p %s && cp %s/as_files/%s/* %s"):format(folder, dir, files.dirname(found[1]), folder))
      local path = folder .. "/metadata.json"
      local good = files.read_json(path)
      local function consolidate()
         return step("consolidate")({input = dir .. "/one", output = output("one.parquet")})
      end
      assert.is_truthy(calls(consolidate))
      local fine = {source_name = '"abc"', species = 'null "abc"', duration_seconds = "0.5", exclusion = "null",
         tuning = "null -1 0.5 1e300"}
      for _, key in ipairs({"source_name", "species", "cens_sample_rate", "matrix_profile_window", "sample_rate",
         "duration_cens", "duration_samples", "duration_seconds", "motif_1", "discord_0", "discord_1", "tuning"}) do
         for _, value in ipairs(VALUES) do
            if not (" " .. (fine[key] or "") .. " "):find(" " .. value .. " ", 1, true) then
               local kept = good[key]
               good[key] = "@"
               command.write(path, (files.json(good):gsub('"@"', function() return value end)))
               good[key] = kept
               is_message(path, key, calls(consolidate))
            end
         end
      end
      for _, text in ipairs(TEXTS) do
         command.write(path, text)
         is_message(path, nil, calls(consolidate))
         is_message(path, nil, calls(function()
            return require("bclua.data.loader").walk({input = dir .. "/one", dataset_root = m.data})
         end))
      end
   end)

   it("of a folder's parameters is named", function()
      local folder = dir .. "/parameters"
      os.execute(("mkdir %s && cp -r %s/one/motif %s/ 2>/dev/null"):format(folder, dir, folder))
      local path = folder .. "/parameters.json"
      for _, text in ipairs(TEXTS) do
         command.write(path, text)
         is_message(path, nil, calls(function()
            return step("consolidate")({input = folder, output = output("c.parquet")})
         end))
         is_message(path, nil, calls(function()
            return step("extract")({input = m.data .. "/train_audio", output = folder})
         end))
         is_message(path, nil, calls(function()
            return step("tiles")({input = m.triplets, dataset_root = m.data, output = folder})
         end))
      end
   end)

   it("of a run is named with its key", function()
      local run = run_with(m.motif)
      local path = run .. "/config.json"
      local function trial() return require("bclua.workflow.experiments.trial").open(run) end
      local function browse() return require("bclua.workflow.browse").open({run = run}) end
      for _, text in ipairs(TEXTS) do
         command.write(path, text)
         is_message(path, nil, calls(trial))
         is_message(path, nil, calls(browse))
      end
      for _, value in ipairs({"null", "1", '"abc"', "[1]", '{"fit": 3}', '{"fit": {"lr": "x"}}', '{"none": 1}'}) do
         command.write(path, ('{"data": "%s", "config": %s}'):format(m.data, value))
         is_message(path, nil, calls(trial))
      end
      for _, value in ipairs({"null", "1", "[1]", "{}"}) do
         command.write(path, ('{"data": %s, "config": {}}'):format(value))
         is_message(path, "data", calls(trial))
         is_message(path, "data", calls(browse))
      end
   end)
end)

describe("a damaged journal", function()
   it("is left out from its first wrong line on", function()
      local partitioned_writer = require "bclua.workflow.predict.partitioned_writer"
      local array = require "bclua.array"
      local file = dir .. "/e.parquet"
      local function item(name) return {file = name, bytes = 1, modified = 2, windows = 1} end
      local function add(store, name)
         assert(store:add({file = name, start_s = array.from({0}, "f64"), end_s = array.from({5}, "f64"),
            embedding = array.zeros({1, 2})}))
         assert(store:finish(item(name)))
         assert(store:flush())
      end
      local store = assert(partitioned_writer.open(file, {x = 1}))
      add(store, "a.wav")
      add(store, "b.wav")
      local path = file .. ".parts/journal.jsonl"
      local first, second = command.read(path):match("^([^\n]*\n)([^\n]*\n)$")
      for _, line in ipairs({"{", "[1]", "7", "{}", second:gsub("part%-000002", "part-000009"),
         second:gsub("part%-000002", "../part-000001"), second:gsub('"bytes":1', '"bytes":"x"'),
         second:gsub('"files":%b[]', '"files":3'), second:gsub('"serial":2', '"serial":1.5'), "\xff"}) do
         command.write(path, first .. line .. "\n" .. second)
         local again = calls(function() return partitioned_writer.open(file, {x = 1}) end)
         assert.is_not_nil(again.done["a.wav"])
         assert.is_nil(again.done["b.wav"])
         assert.equal(first, command.read(path))
         assert.is_false(files.exists(file .. ".parts/part-000002.parquet"))
         add(again, "b.wav")
         assert.equal(first .. second, command.read(path))
      end
   end)
end)

describe("a command", function()
   it("says what is wrong with a table in one line, with status 1", function()
      local path = dir .. "/bad.parquet"
      damage.column(m.motif, path, "duration_seconds", "infinity")
      local out, status = command.bclua({"scripts/motif.lua", "generate-triplets", "--input", path, "--output",
         output("t.parquet"), "--samples", "4"})
      assert.equal(1, status)
      assert.equal(("motif generate-triplets: %s: column 'duration_seconds', row 2: must be a number from 0 to " ..
         "1000000, got inf\n"):format(path), out)
   end)
end)
