-- When and where recordings were made, from the files to the tables.
local clock = require "bclua.clock"
local command = require "support.command"
local field = require "support.field"
local files = require "bclua.files"
local sql = require "bclua.sql"

describe("recordings of a card", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   local function rows(columns)
      return assert(sql.query(("select %s from %s order by source_name"):format(columns,
         sql.parquet(dir .. "/motif.parquet"))))
   end

   it("have time, place and recorder as columns", function()
      field.wav(dir .. "/card/20230514_043000.WAV", {comment = "Recorded at 04:30:00 14/05/2023 (UTC+2) by " ..
         "AudioMoth 24F3 at medium gain while battery was 4.1V and temperature was 17.2C."})
      field.wav(dir .. "/card/moor_20230514_053000.wav", {guano = "Loc Position: 52.5 13.4\nSite: M\xf6or"})
      field.wav(dir .. "/card/tape.wav")
      local done = field.mine(dir)
      assert.same({3, 0}, {done.done, #done.warnings})
      local list = rows("recorded_at, site, latitude, longitude, recorder, gain, temperature_c, battery_v")
      assert.same({recorded_at = "2023-05-14T04:30:00+02:00", recorder = "AudioMoth 24F3", gain = "medium",
         temperature_c = 17.2, battery_v = 4.1}, list[1])
      assert.same({recorded_at = "2023-05-14T05:30:00", site = "Möor", latitude = 52.5, longitude = 13.4}, list[2])
      assert.same({}, list[3])
      local types = sql.query(("select string_agg(column_type, ',') as t from (describe from %s) where column_name " ..
         "in ('site', 'gain', 'battery_v')"):format(sql.parquet(dir .. "/motif.parquet")))
      assert.equal("VARCHAR,VARCHAR,DOUBLE", types[1].t)
   end)

   it("are named where their clocks do not agree, or cannot be right; the sound is used", function()
      field.wav(dir .. "/card/20230514_053000.WAV", {comment = "Recorded at 04:30:00 14/05/2023 (UTC)"})
      field.wav(dir .. "/card/20231399_043000.WAV")
      field.wav(dir .. "/card/20000101_000007.WAV")
      assert.equal(3, #field.mine(dir).warnings)
      assert.same({"2023-05-14T04:30:00Z"}, {rows("recorded_at")[2].recorded_at, rows("recorded_at")[1].recorded_at,
         rows("recorded_at")[3].recorded_at})
      local csv = command.read(dir .. "/motif/warnings.csv")
      for _, words in ipairs{"its comment says 2023-05-14T04:30:00Z, its name says 2023-05-14T05:30:00",
         "its name has '2023-13-99 04:30:00': no such date or time",
         "its name says 2000-01-01T00:00:07: a clock that was never set"} do
         assert.matches(words, csv, 1, true)
      end
      local again = field.mine(dir)
      assert.same({0, 3, 3}, {again.done, again.skipped, #again.warnings})
      assert.equal(csv, command.read(dir .. "/motif/warnings.csv"))
   end)

   it("have what their names say where an earlier version extracted them", function()
      field.wav(dir .. "/card/moor_20230514_053000Z.wav")
      field.mine(dir, {layout = "files"})
      local path = dir .. "/motif/moor_20230514_053000Z/metadata.json"
      local old = assert(files.read_json(path))
      for _, key in ipairs(require("bclua.data.recorded").fields) do old[key] = nil end
      assert(files.write_json(path, old))
      assert.equal(0, field.mine(dir).done)
      assert.same({{recorded_at = "2023-05-14T05:30:00Z", site = "moor"}}, {rows("recorded_at, site, gain")[1]})
   end)

   it("get place and zone from deployments, another time from others, and nothing is computed anew", function()
      field.wav(dir .. "/card/moor/20230514_233000.wav")
      field.wav(dir .. "/card/lake/20230514_233000.wav")
      local csv = dir .. "/d.csv"
      command.write(csv, "site,latitude,longitude,timezone\nmoor,52.5,13.25,Europe/Berlin\n")
      local done, table_of = field.mine(dir, {deployments = csv})
      assert.same({2, 1}, {done.done, #table_of.warnings})
      assert.same({{recorded_at = "2023-05-14T23:30:00", site = "lake"}, {recorded_at = "2023-05-14T23:30:00+02:00",
         site = "moor", latitude = 52.5, longitude = 13.25}}, {table.unpack(rows(
         "recorded_at, site, latitude, longitude"))})
      assert.equal("path,step,what,seconds,claimed_s\ncard/lake/20230514_233000.wav,consolidate,no deployment is of " ..
         "it,8.0,\n", command.read(dir .. "/motif.parquet.warnings.csv"))
      assert.equal("2023-05-14T23:30:00+02:00", select(2, field.mine(dir)) and rows("recorded_at")[2].recorded_at)
      command.write(csv, "site,timezone,shift_s\nmoor,UTC,3600\nlake,-03:00,\n")
      done, table_of = field.mine(dir, {deployments = csv})
      assert.same({0, 2, 0}, {done.done, done.skipped, #table_of.warnings})
      assert.is_false(files.exists(dir .. "/motif.parquet.warnings.csv"))
      assert.same({{recorded_at = "2023-05-14T23:30:00-03:00", site = "lake"}, {recorded_at = "2023-05-15T00:30:00Z",
         site = "moor"}}, {table.unpack(rows("recorded_at, site, latitude, longitude"))})
      local consolidate, extract = require "bclua.workflow.consolidate", require "bclua.workflow.extract"
      command.write(csv, "site\nmoor\nlake\n")
      assert(consolidate.run{input = dir .. "/motif", output = dir .. "/motif.parquet", deployments = csv,
         quiet = true})
      assert.equal("2023-05-14T23:30:00", rows("recorded_at")[2].recorded_at)
      command.write(csv, "site,latitude,longitude\nmoor,91,0\n")
      local _, message = extract.run{input = dir .. "/card", output = dir .. "/new", deployments = csv, quiet = true}
      assert.matches("d.csv: line 2: latitude must be", message, 1, true)
      assert.is_false(files.exists(dir .. "/new"))
      _, message = consolidate.run{input = dir .. "/motif", output = dir .. "/motif.parquet", deployments = csv,
         quiet = true}
      assert.matches("d.csv: line 2: latitude must be", message, 1, true)
   end)

   it("are refused where a table says what can be no time or place", function()
      field.wav(dir .. "/card/moor_20230514_053000Z.wav")
      field.mine(dir)
      local path = dir .. "/motif.parquet"
      local schemas, tables = require "bclua.data.schemas", require "bclua.data.tables"
      for column, value in pairs{recorded_at = "'yesterday'", latitude = "91.0", longitude = "-181.0"} do
         local bad = ("%s/%s.parquet"):format(dir, column)
         local from = ("select * replace (%s as %s) from %s"):format(value, column, sql.parquet(path))
         assert(sql.write_parquet(bad, from))
         local _, message = tables.open(bad, schemas.motif, {column})
         assert.matches("column '" .. column .. "', row 1: must be", message)
      end
      assert.is_truthy(tables.open(path, schemas.motif, {"recorded_at", "latitude"}))
   end)
end)

describe("windows", function()
   local START = "2023-05-14T23:59:58+02:00"
   local dir, motif
   setup(function()
      dir = command.folder()
      field.wav(dir .. "/card/20230514_235958.wav", {guano = "Timestamp:" .. START})
      field.wav(dir .. "/card/untimed.wav")
      field.mine(dir)
      motif = dir .. "/motif.parquet"
   end)
   teardown(function() command.remove(dir) end)

   -- Rows of the recording whose time is known have the time of their second, the others none.
   local function check(rows, name, start_name, clock_name)
      local timed, untimed = 0, 0
      for _, row in ipairs(rows) do
         local expected
         if row[name or "source_name"]:find("235958", 1, true) then
            timed, expected = timed + 1, clock.at(START, row[start_name or "start_s"])
            assert.matches("^2023%-05%-1[45]T%d%d:%d%d:%d%d%.?%d*%+02:00$", expected)
         else
            untimed = untimed + 1
         end
         assert.equal(expected, row[clock_name or "clock_time"])
      end
      return timed, untimed
   end

   local function read(path)
      return assert(sql.query("from " .. (path:find("csv$") and sql.csv(path, "header = true, all_varchar = true")
         or sql.parquet(path))))
   end

   it("have the time of day beside their second in scores", function()
      for _, ending in ipairs{"parquet", "csv"} do
         local path = dir .. "/scores." .. ending
         local r = assert(require("bclua.workflow.score").run{input = motif, dataset_root = dir, output = path,
            calls = 2, quiet = true})
         local timed, untimed = check(r.rows)
         assert.is_true(timed > 2 and untimed > 2)
         for i, row in ipairs(read(path)) do assert.equal(r.rows[i].clock_time, row.clock_time) end
      end
      assert.is_truthy(require("bclua.workflow.score").call_starts(dir .. "/scores.csv"))
   end)

   it("in labels", function()
      local labels = require "bclua.workflow.labels"
      assert(labels.run{input = motif, format = "csv", output = dir .. "/labels.csv", quiet = true})
      assert.same({3, 3}, {check(read(dir .. "/labels.csv"))})
      assert(labels.run{input = motif, format = "raven", output = dir .. "/raven.txt", quiet = true})
      local n = 0
      for line in command.read(dir .. "/raven.txt"):gmatch("[^\n]+") do
         local cells = {}
         for cell in (line .. "\t"):gmatch("([^\t]*)\t") do cells[#cells + 1] = cell end
         if cells[9] == "20230514_235958.wav" then
            n = n + 1
            assert.equal(clock.at(START, tonumber(cells[10])), cells[11])
         else
            assert.equal(n == 0 and "Clock Time" or "", cells[11])
         end
      end
      assert.equal(3, n)
   end)

   it("in hits of a search, and of one for all pairs", function()
      local search, pairs_of = require "bclua.workflow.search", require "bclua.workflow.search.pairs"
      local query = dir .. "/card/untimed.wav"
      for _, ending in ipairs{"parquet", "csv"} do
         local r = assert(search.run{query = query, input = motif, with_query = true, quiet = true,
            output = dir .. "/hits." .. ending})
         assert.same({1, 1}, {check(r.hits)})
         assert.same({1, 1}, {check(read(dir .. "/hits." .. ending))})
         assert.matches("rank +source_name +species +start_s +clock_time +distance\n", search.text(r, query))
         assert.matches(" 2023-05-14T23:59:58", search.text(r, query), 1, true)
         r = assert(search.run{query = dir .. "/card/20230514_235958.wav", input = motif, quiet = true})
         assert.matches("rank +source_name +species +start_s +distance\n", search.text(r, query))
      end
      local r = assert(pairs_of.run{input = motif, output = dir .. "/pairs.parquet", quiet = true})
      assert.equal(1, #r.hits)
      for _, rows in ipairs{r.hits, read(dir .. "/pairs.parquet")} do
         check(rows)
         check(rows, "other_source_name", "other_start_s", "other_clock_time")
      end
      assert.matches("start_s +clock_time +other_source_name +other_start_s +distance\n", pairs_of.text(r))
   end)

   it("in embeddings, also beside those of an earlier version", function()
      local predict, tilenet = require "bclua.workflow.predict", require "bclua.tilenet"
      local net, path = tilenet.new{widths = {2, 2, 2, 2}, z = 4, seed = 3}, dir .. "/embeddings.parquet"
      local function run(list)
         return assert(predict.with_network(net, list, {output = path, hop = 2.5, quiet = true}))
      end
      local timed, untimed = dir .. "/card/20230514_235958.wav", dir .. "/card/untimed.wav"
      run{untimed}
      local metadata = sql.parquet_metadata(path)
      assert(sql.write_parquet(dir .. "/old.parquet", "select * exclude (clock_time, site) from " .. sql.parquet(path),
         {metadata = metadata}))
      assert(os.rename(dir .. "/old.parquet", path))
      assert.equal(0, run{untimed}.done)
      assert.equal(1, run{untimed, timed}.done)
      assert.same({3, 3}, {check(read(path), "file")})
      command.write(untimed, command.read(untimed):sub(1, -2001)) -- it is done again
      assert.equal(1, run{untimed, timed}.done)
      assert.same({3, 3}, {check(read(path), "file")})
      net:close()
   end)

   it("and sites in embeddings, as a table of deployments has them", function()
      local predict, tilenet = require "bclua.workflow.predict", require "bclua.tilenet"
      local net, path = tilenet.new{widths = {2, 2, 2, 2}, z = 4, seed = 3}, dir .. "/placed.parquet"
      local timed, untimed = dir .. "/card/20230514_235958.wav", dir .. "/card/untimed.wav"
      local csv = command.write(dir .. "/sites.csv", "folder,site,timezone,clock_shift\ncard,Moor,+02:00,1:00:00\n")
      local function run(list, table)
         return predict.with_network(net, list, {output = path, hop = 2.5, deployments = table, quiet = true})
      end
      assert.equal(2, assert(run({timed, untimed}, csv)).done)
      for _, row in ipairs(read(path)) do
         assert.equal("Moor", row.site)
         assert.equal(row.file == timed and clock.at("2023-05-15T00:59:58+02:00", row.start_s) or nil, row.clock_time)
      end
      assert.equal(0, assert(run({timed, untimed}, csv)).done)
      command.write(csv, "folder,site\nelsewhere,Fen\n")
      assert.matches("other parameters %(deployments = ", select(2, run({timed}, csv)))
      os.remove(path)
      local r = assert(run({timed}, csv))
      assert.matches("no deployment", r.warnings[1].what)
      assert.is_nil(read(path)[1].site)
      assert.matches("nix.csv: no such file", select(2, run({timed}, dir .. "/nix.csv")))
      net:close()
   end)

   it("in what is looked through in a browser", function()
      local verdicts, browse = require "bclua.workflow.verdicts", require "bclua.workflow.browse"
      local pages = require "bclua.workflow.browse.pages"
      local b = assert(browse.open{run = dir, dataset_root = dir})
      for _, row in ipairs(b.recordings) do
         local m, page = b:best_motifs(row)[1], pages.recording(b, row, "token")
         assert(b:judge(row, m.at, m.twin, "accepted"))
         local time = row.recorded_at and clock.at(START, m.at / 10):gsub("T", " ")
         assert.equal(time and 1 or 0, select(2, page:gsub(time and time:gsub("%p", "%%%0") .. ", distance" or
            "2023%-", "")))
         assert.equal(time ~= nil, page:find(', 2023-05-14 23:59:58+02:00</span>', 1, true) ~= nil)
      end
      assert.same({1, 1}, {check(verdicts.read(dir .. "/accepted.csv"))})
      local csv = command.read(dir .. "/accepted.csv")
      command.write(dir .. "/accepted.csv", (csv:gsub("([^\n,]*,[^,]*,[^,]*),[^,]*(,[^\n]*\n)", "%1%2"))) -- column 4
      assert.equal(2, #assert(verdicts.read(dir .. "/accepted.csv"))) -- as an earlier version wrote it
      assert.equal(0, check(assert(verdicts.read(dir .. "/accepted.csv")), "verdict"))
   end)
end)
