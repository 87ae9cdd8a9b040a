-- Times by hour and day: the table, the picture, the chapter of the report.
local clock = require "bclua.clock"
local command = require "support.command"
local daily = require "bclua.workflow.summary.daily"
local diel = require "bclua.plot.diel"
local plot = require "bclua.plot"
local report = require "bclua.report"
local sql = require "bclua.sql"

local function is_nan(x) return x ~= x end

describe("a table of hours by days", function()
   local TIMES = {"2023-05-14T04:30:00+02:00", "2023-05-14T04:59:59.9+02:00", "2023-05-16T23:59:59+02:00",
      "2023-05-16T00:00:00", "2023-05-15", "noon"}

   it("counts by the local clock; days without a time do not count", function()
      local t = diel.table(TIMES, {minutes = 60})
      assert.same({4, 3, 1}, {t.n, t.columns, t.step})
      assert.same({24, 3}, t.counts:shape())
      assert.equal(4, t.counts:sum())
      assert.same({2, 1, 1}, {t.counts:at(5, 1), t.counts:at(24, 3), t.counts:at(1, 3)})
      assert.equal(clock.seconds(2023, 5, 14) // 86400, t.first)
      local fine = diel.table(TIMES, {minutes = 10}).counts
      assert.same({1, 1}, {fine:at(28, 1), fine:at(30, 1)})
      assert.equal(0, diel.table({}, {minutes = 60}).columns)
   end)

   it("is empty where nothing was recorded", function()
      local t = diel.table({TIMES[1]}, {minutes = 60, recordings = {{recorded_at = "2023-05-14T03:59:00",
         seconds = 7200}, {recorded_at = "2023-05-15T23:30:00", seconds = 3600}, {recorded_at = "2023-05-16",
         seconds = 60}, {seconds = 1}}})
      assert.equal(3, t.columns)
      for hour, expected in pairs{[2] = false, [3] = 0, [4] = 1, [5] = 0, [6] = false} do
         local x = t.counts:at(hour + 1, 1)
         assert.equal(expected, not is_nan(x) and x)
      end
      assert.same({0, 0, true}, {t.counts:at(24, 2), t.counts:at(1, 3), is_nan(t.counts:at(2, 3))})
   end)

   it("has several days in a column where there are very many", function()
      local t = diel.table({"2000-02-01T12:00:00", "2023-02-01T12:00:00", "2023-02-02T12:00:00"}, {minutes = 720})
      assert.is_true(t.columns <= 800 and t.step > 1)
      assert.equal(3, t.counts:sum())
      assert.is_true(#diel.tics(t, 7) <= 7)
   end)

   it("has sunrise and sunset where place and zone are known", function()
      local o = {minutes = 60, latitude = 52.52, longitude = 13.405}
      local t = diel.table({"2023-06-21T12:00:00+02:00", "2023-06-23T12:00:00"}, o)
      assert.near(4 + 43 / 60, t.sun.rise[1], 0.05)
      assert.near(21 + 33 / 60, t.sun.set[4], 0.05)
      assert.same({-0.5, 2.5}, {t.sun.x[1], t.sun.x[4]})
      assert.is_nil(diel.table({"2023-06-21T12:00:00"}, o).sun)
      o.timezone = "Europe/Berlin"
      t = diel.table({"2023-03-24T12:00:00", "2023-03-27T12:00:00"}, o)
      assert.near(1, t.sun.rise[4] - t.sun.rise[1], 0.15) -- summer time begins
      o.latitude = 69.65
      assert.is_nil(diel.table({"2023-06-21T12:00:00"}, o).sun)
      o.latitude, o.longitude, o.timezone = 64.147, -21.943, "Z" -- it sets around midnight
      t = diel.table({"2023-06-01T12:00:00", "2023-07-20T12:00:00"}, o)
      local gaps = 0
      for i = 1, #t.sun.set do gaps = gaps + (is_nan(t.sun.set[i]) and 1 or 0) end
      assert.is_true(gaps >= 1 and gaps <= 4)
      assert.is_nil(diel.table({"2023-06-21T12:00:00Z"}, {minutes = 60}).sun)
   end)
end)

describe("plot.diel", function()
   local dir
   setup(function() dir = command.folder() end)
   teardown(function() command.remove(dir) end)

   it("draws dates, hours and the sun", function()
      local path = dir .. "/d.svg"
      assert.is_true(plot.diel({"2023-06-21T04:30:00+02:00", "2023-06-22T05:30:00+02:00"}, path,
         {latitude = 52.5, longitude = 13.4, minutes = 30}))
      local svg = command.read(path)
      for _, words in ipairs{"2023-06-21", "2023-06-22", "06:00", "24:00", "sunrise", "sunset", "hour of the day",
         "count", "<image"} do assert.matches(words, svg, 1, true) end
      assert.is_true(plot.diel({"2023-06-21T04:30:00"}, path, {latitude = 52.5, longitude = 13.4}))
      assert.is_nil(command.read(path):find("sunrise", 1, true)) -- no zone
      assert.matches("<image", command.read(path), 1, true) -- a single day
      assert.is_true(plot.diel({}, path))
      assert.matches("no data", command.read(path), 1, true)
   end)

   it("checks its options", function()
      for words, options in pairs{["7 does not divide a day"] = {minutes = 7},
         ["is no time zone"] = {timezone = "Mars"},
         ["belong together"] = {latitude = 1},
         ["'latitude' must be"] = {latitude = 91, longitude = 0}} do
         assert.error_matches(function() plot.diel({}, dir .. "/x.svg", options) end, words, 1, true)
      end
   end)
end)

describe("the chapter on the time of day", function()
   local dir, motif, scores
   before_each(function()
      dir = command.folder()
      motif, scores = dir .. "/motif.parquet", dir .. "/scores.parquet"
   end)
   after_each(function() command.remove(dir) end)

   local function write(recordings, calls)
      assert(sql.write_parquet(motif, recordings, {order = {"source_name", "site", "recorder", "latitude", "longitude",
         "recorded_at", "duration_seconds"}, types = {site = "varchar", recorder = "varchar", latitude = "double",
         longitude = "double", recorded_at = "varchar", duration_seconds = "double"}}))
      assert(sql.write_parquet(scores, calls, {order = {"source_name", "kind", "clock_time", "score"},
         types = {clock_time = "varchar"}}))
   end

   local function columns(rows, names)
      local result = {}
      for _, name in ipairs(names) do
         result[name] = {n = #rows}
         for i, row in ipairs(rows) do result[name][i] = row[name] end
      end
      return result
   end

   local function fill()
      local recordings = {
         {source_name = "a", site = "moor", recorded_at = "2023-05-14T04:00:00+02:00"},
         {source_name = "b", site = "moor", recorded_at = "2023-05-15T05:00:00+02:00"},
         {source_name = "c", recorder = "SMA1", recorded_at = "2023-05-14T20:00:00"},
         {source_name = "d", recorded_at = "2023-05-14"}, {source_name = "e"}}
      for _, row in ipairs(recordings) do
         row.duration_seconds = 1800.0
         if row.site then row.latitude, row.longitude = 52.5, 13.4 end
      end
      local calls = {}
      for i, c in ipairs{{"a", "2023-05-14T04:10:00+02:00", 9}, {"a", "2023-05-14T04:20:00+02:00", 8},
         {"b", "2023-05-15T05:10:00+02:00", 7}, {"b", "2023-05-15T05:20:00+02:00", 1}, {"c", "2023-05-14T20:10:00", 6},
         {"e", nil, 0}, {"a", "2023-05-14T04:25:00+02:00", 2}} do
         calls[i] = {source_name = c[1], kind = "call", clock_time = c[2], score = c[3] + 0.0}
      end
      calls[#calls + 1] = {source_name = "a", kind = "motif", clock_time = "2023-05-14T04:00:00+02:00", score = 99.0}
      write(columns(recordings, {"source_name", "site", "recorder", "latitude", "longitude", "recorded_at",
         "duration_seconds"}), columns(calls, {"source_name", "kind", "clock_time", "score"}))
   end

   it("counts the better half of the calls, by site or recorder", function()
      fill()
      assert.equal(3, daily.known(motif))
      local sites = daily.sites(motif, scores)
      assert.equal(2, #sites)
      local moor, recorder = sites[1], sites[2]
      assert.same({"moor", 2, 1.0, 3, "04", 52.5, 13.4, true, false}, {moor.site, moor.recordings, moor.hours,
         moor.calls, moor.busiest, moor.latitude, moor.longitude, moor.has_zone, moor.is_utc})
      assert.same({"SMA1", 1, 1, "20", false}, {recorder.site, recorder.recordings, recorder.calls, recorder.busiest,
         recorder.has_zone})
      assert.is_nil(recorder.latitude)
      assert.same({3, 2}, {#moor.times, #moor.spans})
   end)

   it("has a table, a picture for each site, and says why there are no lines of the sun", function()
      fill()
      local r, drawn = report.new("t"), {}
      daily.chapter(r, daily.sites(motif, scores), 5, function(name, caption, draw)
         drawn[#drawn + 1] = caption
         assert.is_true(draw(dir .. "/" .. name))
      end)
      local text = r:text()
      for _, words in ipairs{"The clock of 3 of 5 recordings is known", "moor", "04:00 to 05:00", "SMA1",
         "No lines of sunrise and sunset where these are not known", "SMA1 (position and time zone)."} do
         assert.matches(words, text, 1, true)
      end
      assert.is_nil(text:find("moor (", 1, true))
      assert.equal(2, #drawn)
      assert.matches("sunrise", command.read(dir .. "/day-1.svg"), 1, true)
      assert.is_nil(command.read(dir .. "/day-2.svg"):find("sunrise", 1, true))
   end)

   it("is for tables with clocks alone", function()
      assert(sql.write_parquet(motif, "select 'a' as source_name, 'x' as species")) -- of an earlier version
      assert.equal(0, daily.known(motif))
      assert(sql.write_parquet(motif, "select 'a' as source_name, null::varchar as recorded_at, " ..
         "null::varchar as site, null::varchar as recorder, 0.0 as latitude, 0.0 as longitude, " ..
         "1.0 as duration_seconds"))
      assert.equal(0, daily.known(motif))
   end)

   it("makes no place of recordings that are far apart", function()
      fill()
      local far = "select * replace (case when source_name = 'b' then 60 else latitude end as latitude) from "
      assert(sql.write_parquet(dir .. "/m.parquet", far .. sql.parquet(motif)))
      assert.is_nil(daily.sites(dir .. "/m.parquet", scores)[1].latitude)
   end)
end)
