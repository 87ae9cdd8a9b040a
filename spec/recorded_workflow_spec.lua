-- When and where recordings were made, from the files to the tables.
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
      field.mine(dir)
      local path = dir .. "/motif/card/moor_20230514_053000Z/metadata.json"
      local old = assert(files.read_json(path))
      for _, key in ipairs(require("bclua.recorded").fields) do old[key] = nil end
      assert(files.write_json(path, old))
      assert.equal(0, field.mine(dir).done)
      assert.same({{recorded_at = "2023-05-14T05:30:00Z", site = "moor"}}, {rows("recorded_at, site, gain")[1]})
   end)

   it("are refused where a table says what can be no time or place", function()
      field.wav(dir .. "/card/moor_20230514_053000Z.wav")
      field.mine(dir)
      local path = dir .. "/motif.parquet"
      local schemas, tables = require "bclua.workflow.schemas", require "bclua.tables"
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
