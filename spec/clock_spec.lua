local clock = require "bclua.clock"

describe("clock", function()
   it("knows the calendar", function()
      for _, case in ipairs{{{1970, 1, 1}, 0}, {{2000, 3, 1}, 951868800}, {{2024, 2, 29, 23, 59, 59.5}, 1709251199.5},
         {{1899, 12, 31}, -2209075200}, {{2023, 2, 29}}, {{2100, 2, 29}}, {{2023, 4, 31}}, {{2023, 13, 1}},
         {{2023, 0, 1}}, {{2023, 1, 0}}, {{2023, 1, 1, 24}}, {{2023, 1, 1, 0, 60}}, {{2023, 1, 1, 0, 0, 60}}} do
         assert.equal(case[2], clock.seconds(table.unpack(case[1])))
      end
      for days = -800000, 800000, 7919 do
         local year, month, day, rest = clock.calendar(days * 86400 + 5)
         assert.equal(days * 86400, clock.seconds(year, month, day))
         assert.equal(5, rest)
         assert.equal(os.date("!%Y-%m-%d", days * 86400), ("%d-%02d-%02d"):format(year, month, day))
      end
   end)

   it("reads time zones", function()
      for text, offset in pairs{Z = 0, UTC = 0, GMT = 0, ["UTC+2"] = 7200, ["UTC-3:30"] = -12600, ["+02:00"] = 7200,
         ["-0330"] = -12600, ["+14"] = 50400, [" +5:45"] = 20700, ["Z.wav"] = 0} do
         assert.equal(offset, clock.offset(text), text)
      end
      for _, text in ipairs{"", "Zulu", "UTCx", "+15", "+02:07", "-0001", "_REC", "5"} do
         assert.is_nil(clock.offset(text), text)
      end
   end)

   it("reads times as files write them, and writes them in one way", function()
      for text, same in pairs{["2023-05-14T04:30:00"] = true, ["2023-05-14T04:30:00Z"] = true,
         ["2023-05-14T04:30:00.125-03:30"] = true, ["2023-05-14"] = true,
         ["2023:05:14 04:30:00"] = "2023-05-14T04:30:00", ["20230514T043000+0200"] = "2023-05-14T04:30:00+02:00",
         ["2023-05-14 04:30"] = "2023-05-14T04:30:00",
         ["2023-05-14T04:30-03:30"] = "2023-05-14T04:30:00-03:30", ["2023/05/14"] = "2023-05-14",
         ["2023-05-14T04-30-07 UTC"] = "2023-05-14T04:30:07Z"} do
         local t = assert(clock.parse(text), text)
         assert.equal(same == true and text or same, clock.text(t))
         assert.equal(#clock.text(t) == 10 or nil, t.is_date)
      end
      for _, text in ipairs{"2023", "2023-05", "noon", "", "14.05.2023", "2023-05-14 noon"} do
         assert.same({}, {clock.parse(text)})
      end
      for _, text in ipairs{"2023-13-05", "2023-02-30T00:00:00", "2023-05-14T24:00:00", "2023-05-14T04:61"} do
         assert.same({nil, text}, {clock.parse(text)})
      end
   end)

   it("gives the time of a place in a recording", function()
      assert.equal("2023-05-14T04:30:12.5", clock.at("2023-05-14T04:30:00", 12.5))
      assert.equal("2024-03-01T00:00:01Z", clock.at("2024-02-29T23:59:59Z", 2))
      assert.equal("2023-03-26T02:30:00+01:00", clock.at("2023-03-26T01:59:59.9+01:00", 1800.1))
      assert.equal("2023-05-14T04:30:01", clock.at("2023-05-14T04:30:00", 0.9996))
      assert.equal("2023-05-14T04:30:00.001", clock.at("2023-05-14T04:30:00", 0.0006))
      assert.is_nil(clock.at("2023-05-14", 1))
      assert.is_nil(clock.at(nil, 1))
   end)
end)
