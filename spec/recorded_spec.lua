local clock = require "bclua.clock"
local recorded = require "bclua.data.recorded"

-- What a name says, the fields in one text.
local function of(name, tags)
   local fields, said = recorded.of(name, tags)
   local words = {}
   for _, key in ipairs(recorded.fields) do words[#words + 1] = fields[key] and key .. "=" .. fields[key] end
   return table.concat(words, " "), said
end

describe("what the name of a recording says", function()
   local T = "recorded_at=2023-05-14T04:30:00"

   local function check(names)
      for name, expected in pairs(names) do assert.same({expected}, {of(name)}, name) end
   end

   it("is its time, in the forms of many recorders", function()
      check{["20230514_043000.WAV"] = T, ["card/20230514-043000.wav"] = T, ["20230514T043000.flac"] = T,
         ["20230514_043000T.WAV"] = T, ["2023-05-14T04-30-00.wav"] = T, ["2023-05-14 04.30.00.mp3"] = T,
         ["2023_05_14_04_30_00.wav"] = T, ["20230514_0430.wav"] = T, ["20230514043000.ogg"] = T,
         ["20230514_043000_007.wav"] = T, ["20230514_043000(2).wav"] = T, ["2023-05-14/0430.ogg"] = T,
         ["20230514/043000.wav"] = T, ["north/2023-05-14/04-30-00.wav"] = T, ["20230514_043000"] = T,
         ["2023-05-14-birdnet-04:30:00.mp3"] = T, ["20230514.wav"] = "recorded_at=2023-05-14"}
   end)

   it("is the zone behind it", function()
      check{["20230514_043000_UTC.wav"] = T .. "Z", ["20230514_043000Z.wav"] = T .. "Z",
         ["20230514_043000+0200.wav"] = T .. "+02:00", ["20230514T043000-0330_REC.flac"] = T .. "-03:30",
         ["20230514_043000+02:00.wav"] = T .. "+02:00", ["20230514_043000_Zoo.wav"] = T,
         ["20230514_043000-0001.wav"] = T, ["20230514_043000_UTCx.wav"] = T}
   end)

   it("is the place or the recorder in front, the channel of Song Meters left out", function()
      check{["SITE_20230514_043000.wav"] = T .. " site=SITE", ["SITE_0_20230514_043000.wav"] = T .. " site=SITE",
         ["SITE+1_20230514$043000.wav"] = T .. " site=SITE", ["SITE_0+1_20230514$043000.wav"] = T .. " site=SITE",
         ["SITE_-0_20230514_043000.wav"] = T .. " site=SITE", ["FOREST_1_20230514_043000.wav"] = T .. " site=FOREST_1",
         ["PLOT-1_20230514_043000.wav"] = T .. " site=PLOT-1",
         ["Moor West 20230514_043000.wav"] = T .. " site=Moor West",
         ["SMA00123_20230514_043000.wav"] = T .. " recorder=SMA00123",
         ["S4A04430_0_20230514_043000.wav"] = T .. " recorder=S4A04430",
         ["2MM01234_20230514_043000.wav"] = T .. " recorder=2MM01234",
         ["24f319055fdf2205_20230514_043000.WAV"] = T .. " recorder=AudioMoth 24F319055FDF2205"}
   end)

   it("is seconds in hexadecimal digits, of the first AudioMoths", function()
      check{["5E90A4D4.WAV"] = "recorded_at=2020-04-10T16:54:44Z", ["5E90A4D4.mp3"] = "", ["5e90a4d4.WAV"] = "",
         ["12345678.WAV"] = "", ["FFFFFFFF.WAV"] = "", ["5E90A4D.WAV"] = ""}
   end)

   it("is nothing where there is no time in it", function()
      check{["XC123456.ogg"] = "", ["12345678_123456.wav"] = "", ["120230514_043000.wav"] = "", ["0430.wav"] = "",
         ["call.wav"] = "", ["99991231_235959.wav"] = ""}
      assert.same({T}, {of("Zaunk\xf6nig_20230514_043000.wav")}) -- no table holds that site
   end)

   it("can be no date, or a clock that was never set", function()
      assert.same({"", "its name has '2023-13-05 04:30:00': no such date or time"}, {of("20231305_043000.wav")})
      assert.same({"", "its name has '2023-02-29 04:30:00': no such date or time"}, {of("20230229_043000.wav")})
      assert.same({"", "its name has '2023-05-14 25:00:00': no such date or time"}, {of("x/2023-05-14/2500.wav")})
      for name, year in pairs{["19700101_000312.wav"] = 1970, ["20000102_000312.wav"] = 2000} do
         local fields, said = recorded.of(name)
         assert.matches("^its name says " .. year .. "%S+: a clock that was never set$", said)
         assert.is_nil(recorded.sure(fields.recorded_at))
      end
      local fields, said = recorded.of("20990514_043000.wav")
      assert.equal("its name says 2099-05-14T04:30:00: in the future", said)
      assert.is_nil(recorded.sure(fields.recorded_at))
      assert.equal("1970-06-01T05:00:00", recorded.sure(recorded.of("19700601_050000.wav").recorded_at))
   end)
end)

describe("what a file says of itself", function()
   it("is the comment of an AudioMoth, whatever its firmware", function()
      local T = "recorded_at=2023-05-14T04:30:00"
      local function check(comment, expected, artist)
         assert.same({expected}, {of("x.wav", {comment = comment, artist = artist})})
      end
      check("Recorded at 04:30:00 14/05/2023 by AudioMoth 0fe081f80fe081f0 at gain setting 2 while battery state " ..
         "was < 3.6V", T .. "Z recorder=AudioMoth 0fe081f80fe081f0 gain=2 battery_v=3.6")
      check("Recorded at 04:30:00 14/05/2023 (UTC) by AudioMoth 24F3 at gain setting 2 while battery state was 4.5V",
         T .. "Z recorder=AudioMoth 24F3 gain=2 battery_v=4.5")
      check("Recorded at 04:30:00 14/05/2023 (UTC+2) by AudioMoth 24F3 at medium gain setting while battery state " ..
         "was 4.1V and temperature was 17.2C.",
         T .. "+02:00 recorder=AudioMoth 24F3 gain=medium temperature_c=17.2 battery_v=4.1")
      check("Recorded at 04:30:00 14/05/2023 (UTC-3:30) by AudioMoth 24F3 at low-medium gain while battery was less " ..
         "than 2.5V and temperature was -0.5C. Amplitude threshold was 512.",
         T .. "-03:30 recorder=AudioMoth 24F3 gain=low-medium temperature_c=-0.5 battery_v=2.5")
      check("Recorded at 04:30:00 14/05/2023 (UTC+0:30) during deployment 0123456789ABCDEF using external " ..
         "microphone at high gain while battery was greater than 4.9V and temperature was 31.0C. Recording " ..
         "stopped due to low voltage.", T .. "+00:30 site=0123456789ABCDEF recorder=AudioMoth 24F3 gain=high " ..
         "temperature_c=31.0 battery_v=4.9", "AudioMoth 24F3")
      check("Recorded at noon", "")
      check("Recorded at 04:30:00 14/05/2023 (UTC)\0\0\0 by AudioMoth", T .. "Z")
      assert.equal(T .. "Z", of("x.flac", {description = "Recorded at 04:30:00 14/05/2023 (UTC)"})) -- ffmpeg's name
   end)

   it("counts in order of trust", function()
      local at = "Recorded at 04:30:00 14/05/2023 (UTC+2) by AudioMoth 24F319055FDF2205 at %s gain while " ..
         "battery was 4.1V"
      local tags = {guano = "Site:moor\nGain:high", comment = at:format("medium"), bext_originator = "AudioMoth",
         date = "2021-01-01T00:00:00"}
      local fields = recorded.of("FOREST_20230514_043000.wav", tags)
      assert.same({"moor", "high", 4.1, "AudioMoth 24F319055FDF2205", "2023-05-14T04:30:00+02:00"},
         {fields.site, fields.gain, fields.battery_v, fields.recorder, fields.recorded_at})
      tags.guano = nil
      fields = recorded.of("FOREST_20230514_043000.wav", tags)
      assert.same({"FOREST", "medium"}, {fields.site, fields.gain})
   end)

   it("is GUANO", function()
      assert.equal("recorded_at=2023-05-14T04:30:00.5+02:00 site=north latitude=-52.5 longitude=13.4 " ..
         "recorder=AudioMoth 24F3 gain=2 temperature_c=21.5 battery_v=4.8", of("x.wav", {guano =
         "GUANO|Version: 1.0\r\nTimestamp:2023-05-14T04:30:00.5+02:00\nLoc Position: -52.5 13.4\nModel:AudioMoth\n" ..
         "Serial:24F3\nOAD|Recording Settings:48000 GAIN 2\nOAD|Battery Voltage:4.8\nTemperature Int:21.5\n" ..
         "NABat|Site Name:north\nno line\n:\n"}))
      assert.equal("recorded_at=2023-05-14T04:30:00 recorder=SMA00123 gain=18 temperature_c=9.0", of("x.wav", {guano =
         'Timestamp: 2023-05-14 04:30:00\nSerial:SMA00123\nWA|Song Meter|Prefix:SMA00123\nTemperature Ext:9\n' ..
         'Temperature Int:21\nWA|Song Meter|Audio settings:[{"rate":24000,"gain":18}]'}))
      assert.equal("", of("x.wav", {guano = "Loc Position: 0 0\nTemperature Int: hot\nOAD|Battery Voltage:-1"}))
      assert.equal("", of("x.wav", {guano = "Loc Position: 91 13\nTimestamp:"}))
   end)

   it("is bext, the chunk of Wildlife Acoustics, and dates of other tags", function()
      local T = "recorded_at=2023-05-14T04:30:00"
      assert.equal(T .. " recorder=ZOOM F3", of("x.wav", {bext_date = "2023/05/14", bext_time = "04-30-00",
         bext_originator = "ZOOM F3"}))
      assert.same({""}, {of("x.wav", {bext_date = "0000-00-00", bext_time = "00:00:00"})})
      local wamd = ("<I2s4I2s4I2s4I2s4I2s4"):pack(0xffff, "", 2, "SMA00123", 5, "2023-05-14 04:30:00-05:00", 6,
         "WGS84, 42.5, S, 71.25, W, 3", 0x15, "25.75C")
      assert.equal(T .. "-05:00 latitude=-42.5 longitude=-71.25 recorder=SMA00123 temperature_c=25.75",
         of("x.wav", {wamd = wamd}))
      assert.equal("recorder=SMA00123", of("x.wav", {wamd = wamd:sub(1, 30)}))
      assert.equal("latitude=42.5 longitude=-71.25", of("x.wav", {wamd = ("<I2s4"):pack(6, "WGS84,42.5,-71.25")}))
      assert.equal(T, of("x.ogg", {date = "2023-05-14T04:30"}))
      assert.equal(T .. "+10:00", of("x.flac", {date = "2023", recordingstart = "2023-05-14T04:30:00+1000"}))
      assert.equal(T, of("x.flac", {date = "2023", origination_date = "2023-05-14", origination_time = "04:30:00"}))
      assert.equal(T, of("x.mp3", {year = "2023", day_month = "1405", time = "0430"}))
      assert.equal("", of("x.mp3", {year = "2023"}))
      assert.equal("recorded_at=2023-05-14", of("x.mp3", {date = "2023-05-14"}))
   end)

   it("counts in order of trust, and what does not agree is said", function()
      local name = "20230514_053000.wav"
      local tags = {guano = "Timestamp:2023-05-14T04:30:00+02:00", bext_date = "2023-05-14", bext_time = "04:30:20"}
      assert.same({"recorded_at=2023-05-14T04:30:00+02:00", "GUANO says 2023-05-14T04:30:00+02:00, its name says " ..
         "2023-05-14T05:30:00"}, {of(name, tags)})
      tags.guano = "Timestamp:2023-05-14T07:30:00+02:00" -- the name shows UTC, bext agrees with nothing
      assert.matches("^GUANO says %S+, bext says 2023%-05%-14T04:30:20$", select(2, of(name, tags)))
      assert.same({"recorded_at=2023-05-14T05:30:00"}, {of(name, {date = "2023-05-14"})})
      assert.same({"recorded_at=2023-05-14T05:30:10Z site=a"}, {of("a_20230514_053000Z.wav",
         {date = "2023-05-14T05:30:10"})}) -- the zone of the name
      assert.same({"recorded_at=2023-05-14T05:30:00", "a tag says 2000-01-01T00:00:09: a clock that was never set"},
         {of(name, {date = "2000-01-01T00:00:09"})})
   end)

   it("becomes UTF-8, in one line", function()
      assert.equal("Zäun", recorded.utf8("Z\xe4un"))
      assert.equal("Zäun", recorded.utf8("Zäun\0\0rest"))
      assert.equal("Zä🐦", recorded.utf8("\xff\xfeZ\0\xe4\0\x3d\xd8\x26\xdc"))
      assert.equal("Zä", recorded.utf8("\xfe\xff\0Z\0\xe4"))
      assert.equal("Zä", recorded.utf8("\xef\xbb\xbfZä"))
      assert.equal("site=Z ä", of("x.wav", {guano = "Site: Z\t\xe4"}))
      local site = recorded.of("x.wav", {guano = "Site:" .. ("ä"):rep(500)}).site
      assert.is_true(#site <= 200 and utf8.len(site) == 100)
      for byte = 0, 255 do -- whatever is in them
         local tags = {}
         for _, tag in ipairs{"comment", "guano", "bext_date", "wamd", "date"} do
            tags[tag] = string.char(byte):rep(99)
         end
         assert.is_truthy(utf8.len((of("x.wav", tags))))
      end
   end)

   it("has a time that the calendar knows", function()
      local t = clock.parse(recorded.of("x.wav", {comment = "Recorded at 23:59:59 31/12/2023 (UTC+2)"}).recorded_at)
      assert.equal(7200, t.offset_s)
      assert.same({2023, 12, 31, 86399}, {clock.calendar(t.local_s)})
      assert.same({"", "its comment has '2023-13-14T04:30:00UTC': no such date or time"},
         {of("x.wav", {comment = "Recorded at 04:30:00 14/13/2023 (UTC)"})})
   end)
end)
