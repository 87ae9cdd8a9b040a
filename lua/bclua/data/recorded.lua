--- When, where and by what a recording was made: out of its name and of what its file says of itself.
--
-- Sources, in order of trust: GUANO, the comment of an AudioMoth, `bext`, the chunk `wamd` of Wildlife Acoustics,
-- dates of Vorbis comments and ID3, the name. Of each field the first source that has it counts; where two do not
-- agree on the time there is a warning.
-- @module bclua.data.recorded
local clock = require "bclua.clock"
local files = require "bclua.files"
local text = require "bclua.text"

local recorded = {}

--- The fields, which are columns of our tables.
recorded.fields = {"recorded_at", "site", "latitude", "longitude", "recorder", "gain", "temperature_c", "battery_v"}

local AGREE_S = 60 -- clocks that differ by no more agree
local LONGEST = 200 -- bytes of a text

-- ---- Texts ----

--- A text of a file in UTF-8, up to its first zero; see `bclua.text`.
-- @tparam string bytes
-- @treturn string
function recorded.utf8(bytes) return (text.decode(bytes):gsub("%z.*", "")) end

-- A text that can be a cell of a table, or nil.
local function cell(value)
   value = text.cell(value)
   if value and #value > LONGEST then value = value:sub(1, (utf8.offset(value, 0, LONGEST + 1) or LONGEST + 1) - 1) end
   return value
end

-- The first number in a text, if it can be one of that kind; a comma may stand for the point.
local function number(value, least, most)
   local x = text.number((value or ""):match("[-+]?%d[%d.,]*%d") or (value or ""):match("[-+]?%d") or "")
   return x and x >= least and x <= most and x + 0.0 or nil
end

local function place(fields, latitude, longitude)
   local lat, lon = number(latitude, -90, 90), number(longitude, -180, 180)
   if not lat or not lon or lat == 0 and lon == 0 then return end -- a receiver without a fix says 0, 0
   fields.latitude, fields.longitude = lat, lon
end

-- ---- What a file says ----

local function is_serial(value) -- of Song Meters, as in SMA01234, S4A01234, 2MM01234
   return value:find "^S[M%d]%w%d%d%d%d%d$" or value:find "^%dM%w%d%d%d%d%d$"
end

-- What stands in front of the time in a name: a place, or the number of a recorder.
local function prefix(fields, value)
   value = cell(value)
   if not value then return end
   if value:find(("^" .. ("%x"):rep(16) .. "$")) then
      fields.recorder = "AudioMoth " .. value:upper()
   elseif is_serial(value) then
      fields.recorder = value
   else
      fields.site = value
   end
end

local GUANO = {} -- by key in small letters, without its namespace

GUANO["timestamp"] = function(f, v) f.clock, f.wrong = clock.parse(v) end
GUANO["loc position"] = function(f, v) place(f, v:match("^(%S-)[, ]+(%S+)")) end
GUANO["serial"] = function(f, v) f.serial = cell(v) end
GUANO["model"] = function(f, v) f.model = cell(v) end
GUANO["temperature ext"] = function(f, v) f.temperature_c = number(v, -100, 100) end
GUANO["temperature int"] = function(f, v) f.inside_c = number(v, -100, 100) end
GUANO["battery voltage"] = function(f, v) f.battery_v = number(v, 0, 1000) end
GUANO["gain"] = function(f, v) f.gain = cell(v) end
GUANO["recording settings"] = function(f, v) f.gain = f.gain or v:match("GAIN (%w+)") end -- of AudioMoths
GUANO["audio settings"] = function(f, v) f.gain = f.gain or v:match('"gain":"?([^,"}%]]+)') end -- of Song Meters
GUANO["prefix"] = function(f, v) if not f.site then prefix(f, v) end end
GUANO["site"] = function(f, v) f.site = cell(v) end
GUANO["site name"] = GUANO["site"]

-- Lines of a key, a colon and a value; namespaces of makers stand in front of a bar.
local function from_guano(tags)
   if not tags.guano then return nil end
   local f = {}
   for line in recorded.utf8(tags.guano):gmatch("[^\r\n]+") do
      local key, value = line:match("^([^:]*):%s*(.-)%s*$")
      local set = key and GUANO[(key:match("[^|]*$"):lower():match("^%s*(.-)%s*$"))]
      if set and value ~= "" then set(f, value) end
   end
   f.temperature_c = f.temperature_c or f.inside_c
   if f.serial then f.recorder = f.model == "AudioMoth" and "AudioMoth " .. f.serial or f.serial end
   return f
end

-- "Recorded at 04:30:00 14/05/2023 (UTC+2) by AudioMoth 24F3... at medium gain while battery was 4.1V and temperature
-- was 17.2C."; the words changed from firmware to firmware.
local function from_audiomoth(tags)
   local said
   for _, name in ipairs{"comment", "description", "bext_description"} do
      local found = tags[name] and recorded.utf8(tags[name])
      if found and found:find "Recorded at %d" then said = said or found end
   end
   if not said then return nil end
   local f = {}
   local time, day, month, year, rest = said:match("Recorded at (%d%d:%d%d:%d%d%.?%d*) (%d%d)/(%d%d)/(%d%d%d%d)(.*)$")
   if time then
      local zone = rest:match("^ %((UTC[^)]*)%)") or "UTC" -- the first firmware knew no other
      f.clock, f.wrong = clock.parse(("%s-%s-%sT%s%s"):format(year, month, day, time, zone))
   end
   local id = said:match("by (AudioMoth %x+)") or recorded.utf8(tags.artist or ""):match("^AudioMoth %x+")
   f.recorder, f.site = id, said:match("during deployment (%x+)")
   f.gain = said:match("at ([%a-]+) gain") or said:match("at gain setting (%d)")
   f.battery_v = number(said:match("battery (.-)V"), 0, 1000)
   f.temperature_c = number(said:match("temperature was (%S+)C"), -100, 100)
   return f
end

local function from_bext(tags)
   local date, time = recorded.utf8(tags.bext_date or ""), recorded.utf8(tags.bext_time or "")
   local f = {recorder = cell(recorded.utf8(tags.bext_originator or ""))}
   if date:find "[1-9]" then f.clock, f.wrong = clock.parse(date .. (time:find "%d" and "T" .. time or "")) end
   return next(f) and f or nil
end

local WAMD = {} -- by number

WAMD[2] = function(f, v) f.recorder = cell(v) end
WAMD[4] = function(f, v) prefix(f, v) end
WAMD[5] = function(f, v) f.clock, f.wrong = clock.parse(v) end
WAMD[6] = function(f, v) -- WGS84, 52.5, N, 13.4, E, 34; or WGS84, 52.5, 13.4
   local lat, ns, lon, ew = v:match("^[^,]*,%s*([%d.]+),%s*([NS]),%s*([%d.]+),%s*([EW])")
   if lat then
      place(f, (ns == "S" and "-" or "") .. lat, (ew == "W" and "-" or "") .. lon)
   else
      place(f, v:match("^[^,]*,%s*([-%d.]+),%s*([-%d.]+)"))
   end
end
WAMD[0x15] = function(f, v) f.inside_c = number(v, -100, 100) end
WAMD[0x16] = function(f, v) f.temperature_c = number(v, -100, 100) end

-- Entries of a number, a length and a value.
local function from_wamd(tags)
   local bytes, at, f = tags.wamd, 1, {}
   if not bytes then return nil end
   while at + 5 <= #bytes do
      local kind, length = ("<I2I4"):unpack(bytes, at)
      at = at + 6
      if length > #bytes - at + 1 then break end
      local value = recorded.utf8(bytes:sub(at, at + length - 1))
      if WAMD[kind] and value ~= "" then WAMD[kind](f, value) end
      at = at + length
   end
   f.temperature_c = f.temperature_c or f.inside_c
   return f
end

-- Dates of Vorbis comments and ID3, the fullest first; a year alone says nothing.
local function from_dates(tags)
   local list = {tags.recordingstart, tags.creation_time, tags.date}
   if tags.origination_date and tags.origination_time then -- of bext, as ffmpeg keeps it
      table.insert(list, 1, tags.origination_date .. "T" .. tags.origination_time)
   end
   local day, month = (tags.day_month or ""):match("^(%d%d)(%d%d)") -- ID3 of old
   if tags.year and day then
      local time = (tags.time or ""):match("^%d%d%d%d")
      list[#list + 1] = ("%s-%s-%s%s"):format(tags.year, month, day, time and "T" .. time or "")
   end
   local f
   for i = 1, 5 do
      local t, wrong = clock.parse(recorded.utf8(list[i] or ""))
      if t and (not f or not f.clock or f.clock.is_date and not t.is_date) then f = {clock = t} end
      f = f or wrong and {wrong = wrong}
   end
   return f
end

-- ---- What a name says ----

local YEAR = "%f[%d](%d%d%d%d)"
local FORMS = { -- year, sign, month, day, hour, sign, minute, second
   YEAR .. "([-_.]?)(%d%d)%2(%d%d)[T_$ -]*(%d%d)([-_:.]?)(%d%d)%6(%d%d)%f[%D]",
   YEAR .. "([-_.]?)(%d%d)%2(%d%d)%-birdnet%-(%d%d)([-_:.]?)(%d%d)%6(%d%d)%f[%D]",
   YEAR .. "([-_.]?)(%d%d)%2(%d%d)[T_$ -]+(%d%d)([-_:.]?)(%d%d)%f[%D]",
}
local DAY = "^(%d%d%d%d)([-_.]?)(%d%d)%2(%d%d)$"

local function is_year(year) return year >= "1900" and year < "2100" end

-- A time in a stem and where it stands; `wrong`: it looks like one.
local function time_in(stem)
   for _, form in ipairs(FORMS) do
      local from, to, year, _, month, day, hour, _, minute, second = stem:find(form)
      if from and is_year(year) then
         local t, wrong = clock.parse(("%s-%s-%s %s:%s:%s"):format(year, month, day, hour, minute, second or "00"))
         return {from = from, to = to, clock = t, wrong = wrong}
      end
   end
   return nil
end

-- Zones behind the time: 20230514_043000_UTC, ...Z, ...+0200.
local function zone_in(rest)
   local bare = rest:match("^[_ ]?([+-]%d%d:?%d%d)%f[%D]") or rest:match("^[_ ]?(UTC)%f[%A]") or
      rest:match("^[_ -]?(Z)%f[%W]") or rest:match("^[_ ]?(Z)_")
   return bare and clock.offset(bare)
end

-- Song Meters put the channel in front of the time: SITE_0_, SITE+1_, SITE_0+1_. SITE_1 is a site.
local function without_channel(name)
   name = name:gsub("[_%-$ ]+$", "")
   return (name:gsub("_[-+]?0[-+]1$", ""):gsub("_[-+]?0$", ""):gsub("%+[01]$", ""))
end

local HEX_FROM, DAY_S = 0x52C00000, 86400 -- there were no AudioMoths before 2014

-- The old AudioMoth: seconds since 1970 in eight digits, 5E90A4D4.WAV.
local function hexadecimal(stem, extension)
   local s = stem:find("^[%dA-F]+$") and #stem == 8 and tonumber(stem, 16)
   if not s or extension:lower() ~= "wav" or s < HEX_FROM or s > os.time() + DAY_S then return nil end
   return {clock = {local_s = s, offset_s = 0}}
end

local function from_name(name)
   local base = files.basename(name)
   local stem, extension = base:match("^(.+)%.([^.]*)$")
   stem, extension = stem or base, extension or ""
   local found = time_in(stem)
   if found then
      if found.clock then found.clock.offset_s = zone_in(stem:sub(found.to + 1)) end
      if utf8.len(name) then prefix(found, without_channel(stem:sub(1, found.from - 1))) end
      return found
   end
   local f = hexadecimal(stem, extension)
   if f then return f end
   if stem:find(DAY) and is_year(stem) then return {clock = clock.parse(stem)} end
   local hour, minute, second = stem:match("^(%d%d)[-_:.]?(%d%d)[-_:.]?(%d?%d?)$")
   local day = files.basename(files.dirname(name))
   if hour and #second ~= 1 and day:find(DAY) and is_year(day) then -- 2023-05-14/0430.wav
      local t, wrong = clock.parse(("%s %s:%s:%s"):format(day, hour, minute, second == "" and "00" or second))
      return {clock = t, wrong = wrong}
   end
   return nil
end

-- ---- All of it ----

local SOURCES = {{"GUANO", from_guano}, {"its comment", from_audiomoth}, {"bext", from_bext}, {"wamd", from_wamd},
   {"a tag", from_dates}}

-- Do two clocks agree? One may show UTC where the other knows no zone.
local function agree(a, b)
   if a.is_date or b.is_date then return a.local_s // DAY_S == b.local_s // DAY_S end
   local function near(x, y) return math.abs(x - y) <= AGREE_S end
   if a.offset_s and b.offset_s then return near(a.local_s - a.offset_s, b.local_s - b.offset_s) end
   return near(a.local_s, b.local_s) or near(a.local_s - (a.offset_s or 0), b.local_s - (b.offset_s or 0))
end

-- A clock that was never set begins at one of these days.
local BEGINS = {[1970] = true, [1980] = true, [2000] = true}

--- Is a time none at which anything was recorded: the first month of a clock that was never set, or the future?
-- @tparam table t in parts, see `bclua.clock`
-- @treturn ?string what is the matter with it
function recorded.doubt(t)
   local year, month = clock.calendar(t.local_s)
   if BEGINS[year] and month == 1 then return "a clock that was never set" end
   if t.local_s > os.time() + 2 * DAY_S then return "in the future" end
   return nil
end

--- A time that is not in doubt, or nil.
-- @tparam ?string recorded_at
-- @treturn ?string
function recorded.sure(recorded_at)
   local t = recorded_at and clock.parse(recorded_at)
   return t and not recorded.doubt(t) and recorded_at or nil
end

-- The most trusted time of those that are full, and not in doubt; else what there is. A zone that only another one
-- knows is taken over.
local function choose(found)
   local best
   local function rank(f) return (recorded.doubt(f.clock) and 0 or 2) + (f.clock.is_date and 0 or 1) end
   for _, f in ipairs(found) do
      if f.clock and (not best or rank(f) > rank(best)) then best = f end
   end
   for _, f in ipairs(best and found or {}) do
      local same = f.clock and not f.clock.is_date and math.abs(f.clock.local_s - best.clock.local_s) <= AGREE_S
      if same and not best.clock.is_date then best.clock.offset_s = best.clock.offset_s or f.clock.offset_s end
   end
   return best
end

local function warnings(found, best)
   local words = {}
   for _, f in ipairs(found) do
      if f.wrong then words[#words + 1] = ("%s has '%s': no such date or time"):format(f.source, cell(f.wrong)) end
      local doubt = f.clock and recorded.doubt(f.clock)
      if doubt then
         words[#words + 1] = ("%s says %s: %s"):format(f.source, clock.text(f.clock), doubt)
      elseif f.clock and not agree(f.clock, best.clock) then
         words[#words + 1] = ("%s says %s, %s says %s"):format(best.source, clock.text(best.clock), f.source,
            clock.text(f.clock))
      end
   end
   return #words > 0 and table.concat(words, "; ") or nil
end

--- The fields of a recording.
-- @tparam string name its path, the folder of the data set in front or not
-- @tparam[opt] table tags of the file, from `audio.info`
-- @treturn table those of `recorded.fields` that are known; `recorded_at` is what the clock said, be it in doubt: see
-- `recorded.sure`
-- @treturn ?string what is to be said: sources that do not agree, dates that there are not, clocks that were never set
function recorded.of(name, tags)
   local found, r = {}, {}
   for _, source in ipairs(SOURCES) do
      local f = source[2](tags or {})
      if f then
         f.source = source[1]
         found[#found + 1] = f
      end
   end
   found[#found + 1] = from_name(name)
   if found[#found] and not found[#found].source then found[#found].source = "its name" end
   local best = choose(found)
   for _, f in ipairs(found) do
      if not r.latitude then r.latitude, r.longitude = f.latitude, f.longitude end
      for _, key in ipairs{"site", "recorder", "gain", "temperature_c", "battery_v"} do r[key] = r[key] or f[key] end
   end
   r.recorded_at = best and clock.text(best.clock)
   return r, warnings(found, best)
end

--- The fields of a file, its time only where it is not in doubt.
-- @tparam string path
-- @treturn table as from `of`; what the name says of a file that cannot be read
function recorded.of_file(path)
   local info = require("bclua.audio").info(path)
   local fields = recorded.of(path, info and info.tags)
   fields.recorded_at = recorded.sure(fields.recorded_at)
   return fields
end

return recorded
