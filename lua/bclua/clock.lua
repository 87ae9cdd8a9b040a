--- Clock times as text (ISO 8601): `2023-05-14T04:30:00`, with `Z` or `+02:00` behind it where the time zone is known.
--
-- A time in parts is a table of `local_s`, what the clock shows as seconds since it showed 1970-01-01T00:00:00, and
-- `offset_s`, by how much it is ahead of UTC, nil where nobody knows. `is_date`: only the day is known.
-- @module bclua.clock
local clock = {}

local DAY = 86400

-- Days from 1970-01-01 to a day of the Gregorian calendar, and back (years that begin in March, eras of 400 years).
local function days_of(year, month, day)
   local y = month > 2 and year or year - 1
   local era, m = y // 400, (month + 9) % 12
   local in_era = y - era * 400
   return era * 146097 + in_era * 365 + in_era // 4 - in_era // 100 + (153 * m + 2) // 5 + day - 1 - 719468
end

local function date_of(days)
   days = days + 719468
   local era = days // 146097
   local d = days - era * 146097
   local y = (d - d // 1460 + d // 36524 - d // 146096) // 365
   d = d - (365 * y + y // 4 - y // 100)
   local m = (5 * d + 2) // 153
   local month = (m + 2) % 12 + 1
   return y + era * 400 + (month <= 2 and 1 or 0), month, d - (153 * m + 2) // 5 + 1
end

--- What a calendar and a clock show, as seconds.
-- @tparam integer year
-- @tparam integer month 1 to 12
-- @tparam integer day 1 to the last of that month
-- @tparam[opt=0] integer hour
-- @tparam[opt=0] integer minute
-- @tparam[opt=0] number second below 60
-- @treturn ?number since 1970-01-01T00:00:00; nil: there is no such day or time
function clock.seconds(year, month, day, hour, minute, second)
   hour, minute, second = hour or 0, minute or 0, second or 0
   if month < 1 or month > 12 or day < 1 or hour > 23 or minute > 59 or second >= 60 then return nil end
   local days = days_of(year, month, day)
   local _, same = date_of(days)
   if same ~= month then return nil end
   return days * DAY + hour * 3600 + minute * 60 + second
end

--- Year, month, day, and seconds since midnight.
-- @tparam number local_s
-- @treturn integer
-- @treturn integer
-- @treturn integer
-- @treturn number
function clock.calendar(local_s)
   local days = local_s // DAY
   local year, month, day = date_of(math.tointeger(days))
   return year, month, day, local_s - days * DAY
end

--- A time zone as `Z`, `UTC`, `UTC+2`, `+02:00`, `-0330` at the begin of a text.
-- @tparam string text
-- @treturn ?integer seconds ahead of UTC
function clock.offset(text)
   local rest = text:upper():match("^%s*(.*)")
   local bare = rest:gsub("^UTC%s*", ""):gsub("^GMT%s*", "")
   local sign, hours, minutes = bare:match("^([+-])(%d%d?):?(%d?%d?)")
   local h, m = tonumber(hours), tonumber(minutes) or 0
   if sign and h <= 14 and m % 15 == 0 and m < 60 and #minutes ~= 1 then
      return (sign == "-" and -1 or 1) * (h * 3600 + m * 60)
   end
   local is_utc = rest:find "^Z%f[%W]" or #bare < #rest and not bare:find "^[%w+-]"
   return is_utc and 0 or nil
end

local function whole(...)
   local list = {...}
   for i, text in ipairs(list) do list[i] = math.tointeger(tonumber(text)) end
   return table.unpack(list)
end

--- A time out of a text: a year, a month and a day, in this order, then hours, minutes and, maybe, seconds and a zone,
-- as ISO 8601 has it or with other signs in between.
-- @tparam string text
-- @treturn[1] table `local_s`, `offset_s`, `is_date`
-- @treturn[2] nil
-- @treturn[2] ?string what looks like a time and is none, as in `2023-13-05`; nil: nothing does
function clock.parse(text)
   local year, month, day, rest = text:match("^%s*(%d%d%d%d)[-/:._ ]?(%d%d)[-/:._ ]?(%d%d)(.*)$")
   if not year then return nil end
   local wrong = text:match("^%s*(.-)%s*$"):sub(1, 40)
   local y, mo, d = whole(year, month, day)
   if rest:find "^%s*$" then
      local s = clock.seconds(y, mo, d)
      if not s then return nil, wrong end
      return {local_s = s, is_date = true}
   end
   local hour, sign, minute, behind = rest:match("^[T_ ]+(%d%d)([-:._]?)(%d%d)(.*)$")
   if not hour then return nil end
   local second, zone = behind:match("^" .. sign:gsub("%p", "%%%0") .. "(%d%d%.?%d*)(.*)$")
   local h, mi = whole(hour, minute)
   local s = clock.seconds(y, mo, d, h, mi, tonumber(second) or 0)
   if not s then return nil, wrong end
   return {local_s = s, offset_s = clock.offset(zone or behind)}
end

--- A time as text, to the millisecond where it has any.
-- @tparam table t `local_s`, `offset_s`, `is_date`
-- @treturn string
function clock.text(t)
   local ms = math.floor(t.local_s * 1000 + 0.5)
   local year, month, day = date_of(ms // (DAY * 1000))
   local text = ("%04d-%02d-%02d"):format(year, month, day)
   if t.is_date then return text end
   local s = ms // 1000 % DAY
   text = ("%sT%02d:%02d:%02d"):format(text, s // 3600, s // 60 % 60, s % 60)
   if ms % 1000 ~= 0 then text = text .. ("%.3f"):format(ms % 1000 / 1000):sub(2):gsub("0+$", "") end
   if not t.offset_s then return text end
   if t.offset_s == 0 then return text .. "Z" end
   local minutes = math.abs(t.offset_s) // 60
   return ("%s%s%02d:%02d"):format(text, t.offset_s < 0 and "-" or "+", minutes // 60, minutes % 60)
end

--- The clock time of a place in a recording.
-- @tparam ?string recorded_at of its first sample
-- @tparam number seconds from there
-- @treturn ?string nil where the time of the first sample is not known; by the recording's own zone, also where
-- daylight-saving time begins or ends in it
-- @usage row.clock_time = clock.at(row.recorded_at, row.start_s)
function clock.at(recorded_at, seconds)
   local t = recorded_at and clock.parse(recorded_at)
   if not t or t.is_date then return nil end
   t.local_s = t.local_s + seconds
   return clock.text(t)
end

return clock
