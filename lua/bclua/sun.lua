--- When the sun rises and sets.
--
-- The sun's place is that of Meeus, "Astronomical Algorithms" (1998), chapter 25, of low accuracy (0.01 degrees), as
-- NOAA's calculator has it (https://gml.noaa.gov/grad/solcalc/calcdetails.html). It rises and sets when its upper edge
-- is on a level horizon, where the air's refraction lifts it by 34 minutes of arc: its centre is 0.833 degrees below.
-- For 1901 to 2099 that is within a minute or so up to 65 degrees of latitude; hills and the air's whims are more.
-- @module bclua.sun
local clock = require "bclua.clock"

local sun = {}

local DAY_S = 86400
local BELOW = -0.833 -- degrees, of the centre
local J2000_DAYS = 10957.5 -- from 1970-01-01T00:00Z to 2000-01-01T12:00Z

local rad, sin, cos, tan, asin, acos = math.rad, math.sin, math.cos, math.tan, math.asin, math.acos

-- Declination (radians) and equation of time (seconds by which a sundial is ahead of the clock) at a time.
local function place(utc_s)
   local T = (utc_s / DAY_S - J2000_DAYS) / 36525 -- centuries from J2000
   local L = rad((280.46646 + T * (36000.76983 + T * 0.0003032)) % 360) -- mean longitude
   local M = rad(357.52911 + T * (35999.05029 - 0.0001537 * T)) -- mean anomaly
   local e = 0.016708634 - T * (0.000042037 + 0.0000001267 * T) -- eccentricity of the orbit
   local centre = sin(M) * (1.914602 - T * (0.004817 + 0.000014 * T)) + sin(2 * M) * (0.019993 - 0.000101 * T)
      + sin(3 * M) * 0.000289
   local omega = rad(125.04 - 1934.136 * T)
   local lambda = L + rad(centre - 0.00569 - 0.00478 * sin(omega)) -- apparent longitude
   local obliquity = rad(23.439291 - T * (0.0130042 + T * 1.64e-7) + 0.00256 * cos(omega))
   local y = tan(obliquity / 2) ^ 2
   local equation = y * sin(2 * L) - 2 * e * sin(M) + 4 * e * y * sin(M) * cos(2 * L) - y * y / 2 * sin(4 * L)
      - 1.25 * e * e * sin(2 * M)
   return asin(sin(obliquity) * sin(lambda)), equation * DAY_S / (2 * math.pi)
end

-- When, from noon there on the day, the sun is at the horizon: way -1 before, 1 after noon; nil, and whether it stays
-- up, if it is not that day.
local function crossing(noon_s, latitude, way)
   local at = noon_s
   for _ = 1, 5 do -- the sun moves on meanwhile
      local declination, ahead_s = place(at)
      local x = sin(rad(BELOW)) / (cos(rad(latitude)) * cos(declination)) - tan(rad(latitude)) * tan(declination)
      if x < -1 or x > 1 then return nil, x < -1 end
      at = noon_s - ahead_s + way * acos(x) * DAY_S / (2 * math.pi)
   end
   return at
end

--- Sunrise and sunset of a day.
-- @tparam integer year
-- @tparam integer month
-- @tparam integer day
-- @tparam number latitude degrees, north above 0
-- @tparam number longitude degrees, east above 0
-- @treturn ?number rise, seconds of UTC since 1970; nil if it does not rise that day
-- @treturn ?number set
-- @treturn ?boolean where it does not: does it stay up?
function sun.day(year, month, day, latitude, longitude)
   latitude = math.max(-89.99, math.min(89.99, latitude)) -- at the poles there are no directions
   local noon_s = clock.seconds(year, month, day) + DAY_S / 2 - longitude * 240 -- of the mean sun
   local rise, is_up = crossing(noon_s, latitude, -1)
   local set, stays_up = crossing(noon_s, latitude, 1)
   if not rise or not set then return nil, nil, is_up or stays_up or false end
   return rise, set
end

return sun
