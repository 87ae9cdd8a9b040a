local clock = require "bclua.clock"
local command = require "support.command"
local deployments = require "bclua.data.deployments"
local recorded = require "bclua.data.recorded"
local zones = require "bclua.data.zones"

local function seconds(time) return clock.parse(time).local_s end

describe("time zones", function()
   it("have the offsets of their days, without tzdata", function()
      for time, hours in pairs{["2023-03-26T00:59:59"] = 1, ["2023-03-26T01:00:00"] = 2, ["2023-10-29T00:59:59"] = 2,
         ["2023-10-29T01:00:00"] = 1, ["2023-12-31T23:59:59"] = 1, ["1985-07-01T00:00:00"] = 2} do
         assert.equal(hours * 3600, zones.offset("Europe/Berlin", seconds(time)), time)
      end
      assert.equal(-9000, zones.offset("America/St_Johns", seconds("2023-07-01T00:00:00")))
      assert.equal(37800, zones.offset("Australia/Lord_Howe", seconds("2023-07-01T00:00:00")))
      assert.equal(-12600, zones.offset("-03:30", 0))
   end)

   it("take the first of two hours, and go on through one that is not there", function()
      for time, hours in pairs{["2023-03-26T01:59:59"] = 1, ["2023-03-26T02:30:00"] = 1, ["2023-03-26T03:00:00"] = 2,
         ["2023-10-29T01:59:59"] = 2, ["2023-10-29T02:30:00"] = 2, ["2023-10-29T03:00:00"] = 1,
         ["2023-01-01T00:00:00"] = 1, ["2023-12-31T23:59:59"] = 1} do
         assert.equal(hours * 3600, zones.offset_of_local("Europe/Berlin", seconds(time)), time)
      end
      assert.equal(12 * 3600, zones.offset_of_local("Pacific/Auckland", seconds("2023-06-30T12:00:00")))
      assert.equal(13 * 3600, zones.offset_of_local("Pacific/Auckland", seconds("2023-01-01T00:00:00")))
      assert.equal(7200, zones.offset_of_local("UTC+2", 0))
   end)

   it("are known by name, in any case", function()
      for _, zone in ipairs{"Europe/Berlin", "europe/berlin", "Z", "+02:00", "UTC", "Etc/GMT+3"} do
         assert.is_true(zones.check(zone))
      end
      assert.equal(3600, zones.offset("europe/berlin", 0))
      assert.equal("'Europe/Berlni' is no time zone, as in Europe/Berlin or +02:00; did you mean Europe/Berlin?",
         select(2, zones.check("Europe/Berlni")))
      for _, zone in ipairs{"Mars", "", "'); drop table x; --", "+25:00"} do
         assert.matches("is no time zone", select(2, zones.check(zone)), 1, true)
      end
   end)
end)

describe("deployments", function()
   local dir, path
   before_each(function()
      dir = command.folder()
      path = dir .. "/d.csv"
   end)
   after_each(function() command.remove(dir) end)

   local function read(...)
      command.write(path, table.concat({...}, "\n") .. "\n")
      return deployments.read(path)
   end

   -- Fields of a recording with them, in one text; and what is said.
   local function place(list, name, tags)
      local fields = recorded.of(name, tags)
      local said = deployments.place(fields, list, name)
      local words = {}
      for _, key in ipairs{"recorded_at", "site", "latitude", "longitude"} do
         words[#words + 1] = tostring(fields[key] or "-")
      end
      return table.concat(words, " "), said
   end

   local UTC = {comment = "Recorded at 22:30:00 14/05/2023 (UTC) by AudioMoth 24F3AA"}

   it("give place and zone, by site, folder or recorder, and time", function()
      local list = assert(read("site,latitude,longitude,from,to,timezone,recorder,folder,who",
         "moor,52.5,13.25,2023-05-01,2023-05-31,Europe/Berlin,,,me",
         "moor,-33.5,151,2023-06-01T12:00,,Australia/Sydney,,,",
         "lake,1,2,,,,24F3AA,,", "hill,3,4,,,+01:00,,area/B/,"))
      for name, expected in pairs{
         ["moor_20230514_043000.wav"] = "2023-05-14T04:30:00+02:00 moor 52.5 13.25",
         ["card/Moor/20230531_235959.wav"] = "2023-05-31T23:59:59+02:00 moor 52.5 13.25",
         ["card/moor/20230514_223000Z.wav"] = "2023-05-15T00:30:00+02:00 moor 52.5 13.25",
         ["card/moor/20230531_220000Z.wav"] = "2023-05-31T22:00:00Z - - -", -- there it is June
         ["card/moor/20230601_120000.wav"] = "2023-06-01T12:00:00+10:00 moor -33.5 151.0",
         ["card/moor/20230601_115959.wav"] = "2023-06-01T11:59:59 - - -",
         ["data/area/b/20230514_043000.wav"] = "2023-05-14T04:30:00+01:00 hill 3.0 4.0",
         ["data/b/20230514_043000.wav"] = "2023-05-14T04:30:00 - - -",
         ["moor/20230514.wav"] = "2023-05-14 moor 52.5 13.25", ["moor/20230601.wav"] = "2023-06-01 moor -33.5 151.0",
      } do assert.equal(expected, (place(list, name)), name) end
      assert.same({"2023-05-14T22:30:00Z lake 1.0 2.0"}, {place(list, "x/1.wav", UTC)})
      assert.same({"2023-05-14T04:30:00Z lake 1.0 2.0"}, {place(list, "24f3aa/20230514_043000Z.wav")})
   end)

   it("set clocks right, also those that were never set", function()
      local list = assert(read("site;shift_s;from;to;timezone", "a;3600;;;", "b;-1:00:00;;;Europe/Berlin",
         "c;1684000000;01.05.2023;31.5.2023;", "d;;1999-12-01;2000-02-01;"))
      for name, expected in pairs{["a_20230514_233000.wav"] = "2023-05-15T00:30:00 a - -",
         ["b_20230326_030000.wav"] = "2023-03-26T02:00:00+01:00 b - -",
         ["b_20230326_013000Z.wav"] = "2023-03-26T01:30:00+01:00 b - -",
         ["c_19700101_001000.wav"] = "2023-05-13T17:56:40 c - -",
         ["d_20000115_000000.wav"] = "2000-01-15T00:00:00 d - -"} do
         assert.same({expected}, {place(list, name)}, name)
      end
      assert.equal("- a - -", (place(list, "a_20000115_000000.wav"))) -- the place is known, the time is not
      assert.equal("- x - -", (place(nil, "x_20000115_000000.wav")))
   end)

   it("are named where they are of no recording, of two at a time, or far away", function()
      local list = assert(read("site,latitude,longitude,from,to", "a,1,2,2023-01-01,2023-12-31", "a,3,4,2023-06-01,"))
      local function said(...) return select(2, place(list, ...)) end
      assert.equal("no deployment is of it", said("b_20230514_043000.wav"))
      assert.equal("2024-05-14T04:30:00 is in no deployment of 'a'",
         select(2, place(assert(read("site,to", "a,2023-12-31")), "a_20240514_043000.wav")))
      assert.is_nil(said("a_20230514_043000.wav"))
      assert.equal("lines 2 and 3 of the deployments are of it; the first counts", said("a_20230714_043000.wav"))
      assert.equal("2 deployments of 'a', and its time is not known", said("a/x.wav"))
      assert.equal("its own position is 111 km from that of its deployment",
         said("a_20230514_043000.wav", {guano = "Loc Position: 2.0 2.0"}))
      assert.is_nil(said("a_20230514_043000.wav", {guano = "Loc Position: 1.001 2.0"}))
      list = assert(read("site,longitude,latitude", "a,179.999,0"))
      assert.is_nil(said("a/1.wav", {guano = "Loc Position: 0 -179.999"}))
      assert.equal("- a 0.0 179.999", (place(list, "a/1.wav")))
   end)

   it("are read whatever their delimiter, encoding and decimals", function()
      for _, text in ipairs{"SITE; Latitude;longitude\r\nm\xf6or;52,5;13,25\r\n", "site\tlatitude\tlongitude\n" ..
         "möor\t52.5\t13.25", "\xef\xbb\xbfsite,latitude,longitude\n\n\"möor\",\"52,5\",13.25\n",
         "longitude|site|latitude\n13.25| möor |52.5\n"} do
         command.write(path, text)
         assert.equal("- möor 52.5 13.25", (place(assert(deployments.read(path)), "möor/x.wav")))
      end
   end)

   it("are refused with the line that is wrong", function()
      local function wrong(message, ...)
         assert.same({nil, path .. ": " .. message}, {read(...)})
      end
      wrong("line 3: latitude must be a number from -90 to 90, got '91'", "site,latitude,longitude", "a,1,2", "a,91,2")
      wrong("line 2: longitude must be a number from -180 to 180, got 'x'", "site,latitude,longitude", "a,1,x")
      wrong("line 2: latitude and longitude belong together", "site,latitude,longitude", "a,1,")
      wrong("line 2: from must be a day or a time, as in 2023-05-14 or 2023-05-14T04:30, got '5/14/2023'",
         "site,from", "a,5/14/2023")
      wrong("line 2: to must be a day or a time, as in 2023-05-14 or 2023-05-14T04:30, got '31.2.2023'", "site,to",
         "a,31.2.2023")
      wrong("line 2: from is not before to", "site,from,to", "a,2023-05-14T04:30,2023-05-14T04:30")
      wrong("line 2: clock_shift must be seconds, or hours as in -1:00:00, got 'late'", "site,clock_shift", "a,late")
      wrong("line 3: neither site nor recorder nor folder says of which recordings it is", "site,from", "a,",
         ",2023-05-14")
      wrong("no column 'site', 'recorder' or 'folder' in its first line (the others: from, to, latitude, longitude, " ..
         "timezone, clock_shift)", "place,from", "a,2023-05-14")
      wrong("no rows", "site,from")
      assert.same({nil, dir .. "/no.csv: no such file"}, {deployments.read(dir .. "/no.csv")})
      assert.same({nil, dir .. ": no file"}, {deployments.read(dir)})
      command.write(path, "")
      assert.matches("no column 'site'", select(2, deployments.read(path)))
   end)
end)
