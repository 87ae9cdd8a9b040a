local clock = require "bclua.clock"
local sun = require "bclua.sun"

describe("the sun", function()
   -- Seconds by which a time is off what is published, to the minute, by clocks of an offset in hours.
   local function off(day, latitude, longitude, offset, which, published)
      local rise_s, set_s = sun.day(day[1], day[2], day[3], latitude, longitude)
      return (which == "rise" and rise_s or set_s) + offset * 3600 - clock.parse(published).local_s
   end

   it("rises and sets as published, within two minutes", function()
      for _, c in ipairs{
         -- the example of the Almanac for Computers, 1990
         {{1990, 6, 25}, 40.9, -74.3, -4, "1990-06-25T05:26"},
         -- timeanddate.com
         {{2023, 6, 21}, 52.52, 13.405, 2, "2023-06-21T04:43", "2023-06-21T21:33"},
         {{2023, 12, 21}, 51.507, -0.128, 0, "2023-12-21T08:03", "2023-12-21T15:53"},
         {{2023, 1, 1}, -33.87, 151.21, 11, "2023-01-01T05:47", "2023-01-01T20:09"},
         {{2023, 6, 21}, 64.147, -21.943, 0, "2023-06-21T02:55", "2023-06-22T00:04"},
         {{2023, 3, 20}, 0, 0, 0, "2023-03-20T06:04", "2023-03-20T18:11"},
      } do
         for i, which in ipairs{"rise", "set"} do
            local published = c[4 + i]
            if published then
               assert.is_true(math.abs(off(c[1], c[2], c[3], c[4], which, published)) <= 120, published)
            end
         end
      end
   end)

   it("does neither where it is day or night all day long", function()
      assert.same({nil, nil, true}, {sun.day(2023, 6, 21, 69.65, 18.96)})
      assert.same({nil, nil, false}, {sun.day(2023, 12, 21, 69.65, 18.96)})
      assert.same({nil, nil, false}, {sun.day(2023, 6, 21, -90, 0)})
      assert.same({nil, nil, true}, {sun.day(2023, 6, 21, 90, 0)})
   end)

   it("is up for half a day at the equinox, everywhere, and on the day that is asked for", function()
      for latitude = -60, 60, 20 do
         for longitude = -180, 180, 45 do
            local rise_s, set_s = sun.day(2023, 3, 20, latitude, longitude)
            assert.near(12, (set_s - rise_s) / 3600, 0.35)
            local noon_s = clock.seconds(2023, 3, 20, 12) - longitude * 240
            assert.near(noon_s, (rise_s + set_s) / 2, 1200)
         end
      end
   end)
end)
