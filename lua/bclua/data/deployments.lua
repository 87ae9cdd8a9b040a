--- Which recorder was where and when: a CSV of deployments, one a row. What it says stands above what recorders say.
--
-- Columns, in any order and case: `site`, `recorder` and `folder` say of which recordings a row is; `from` and `to`
-- when (a day or a time there; `to` a day: up to its end); `latitude` and `longitude` (degrees), `timezone`
-- (`Europe/Berlin`, `+02:00`) and `clock_shift` (or `shift_s`: seconds, or as in `-1:00:00`, that the recorder's clock
-- was behind) are given to them. Others are left alone. Cells may be empty; delimiter, decimal comma and encoding do
-- not matter.
--
-- A row is of a recording if its `folder` is part of the recording's path and its `recorder` is the recording's, as far
-- as they are given; without both, if `site` is the recording's site or recorder, or one of its folders.
-- @module bclua.data.deployments
local clock = require "bclua.clock"
local files = require "bclua.files"
local recorded = require "bclua.data.recorded"
local text = require "bclua.text"
local zones = require "bclua.data.zones"

local deployments = {}

--- The name of the copy that `extract` keeps in its folder, for `consolidate`.
deployments.file = "deployments.csv"

local DELIMITERS = {",", ";", "\t", "|"}
local KNOWN = {site = "site", recorder = "recorder", folder = "folder", from = "from", to = "to",
   latitude = "latitude", longitude = "longitude", timezone = "timezone", clock_shift = "shift", shift_s = "shift"}
local DAY_S = 86400
local LONGEST_SHIFT_S = 1e10 -- of a clock that began at 1970
local FAR_KM, KM_A_DEGREE = 1, 111.2

-- ---- Reading ----

-- The columns of a first line by their role, and their delimiter: that which finds most of them.
local function read_header(line)
   local best, most, by = nil, 0, nil
   for _, delimiter in ipairs(DELIMITERS) do
      local _, names = text.rows({line}, 1, delimiter, 0)()
      local at, n = {}, 0
      for i, name in ipairs(names or {}) do
         local role = KNOWN[(text.cell(name) or ""):lower()]
         if role and not at[role] then at[role], n = i, n + 1 end
      end
      if n > most then best, most, by = at, n, delimiter end
   end
   return best, by
end

local function degrees(name, cell, most)
   local x = text.number(cell)
   if x and x >= -most and x <= most then return x end
   return nil, ("%s must be a number from -%d to %d, got '%s'"):format(name, most, most, cell)
end

local function time(name, cell)
   local day, month, year, rest = cell:match("^(%d%d?)%.(%d%d?)%.(%d%d%d%d)(.*)$")
   local t = clock.parse(day and ("%s-%02d-%02d%s"):format(year, tonumber(month), tonumber(day), rest) or cell)
   if t then return t end
   return nil, ("%s must be a day or a time, as in 2023-05-14 or 2023-05-14T04:30, got '%s'"):format(name, cell)
end

local READ = {
   latitude = function(cell) return degrees("latitude", cell, 90) end,
   longitude = function(cell) return degrees("longitude", cell, 180) end,
   from = function(cell) return time("from", cell) end,
   to = function(cell) return time("to", cell) end,
   timezone = function(cell)
      local ok, message = zones.check(cell)
      return ok and cell, "timezone: " .. tostring(message)
   end,
   shift = function(cell)
      local sign, rest = cell:match("^([+-]?)(.*)$")
      local s = text.number(rest)
      if s and s <= LONGEST_SHIFT_S then return sign == "-" and -s or s end
      return nil, ("clock_shift must be seconds, or hours as in -1:00:00, got '%s'"):format(cell)
   end,
}

-- Seconds that the clocks of the row's place showed.
local function local_seconds(t, zone)
   if not t.offset_s or not zone then return t.local_s end
   local utc_s = t.local_s - t.offset_s
   return utc_s + zones.offset(zone, utc_s)
end

local function read_row(at, cells)
   local row = {}
   for role, i in pairs(at) do
      local cell = text.cell(cells[i])
      if cell then
         local value, message = cell, nil
         if READ[role] then value, message = READ[role](cell) end
         if not value then return nil, message end
         row[role] = value
      end
   end
   if not (row.site or row.recorder or row.folder) then
      return nil, "neither site nor recorder nor folder says of which recordings it is"
   end
   if (row.latitude == nil) ~= (row.longitude == nil) then return nil, "latitude and longitude belong together" end
   row.is_bounded = row.from ~= nil or row.to ~= nil
   row.from = row.from and local_seconds(row.from, row.timezone) or -math.huge
   row.to = row.to and local_seconds(row.to, row.timezone) + (row.to.is_date and DAY_S or 0) or math.huge
   if row.to <= row.from then return nil, "from is not before to" end
   row.folder = row.folder and text.cell((row.folder:gsub("\\", "/"):gsub("^[./]+", ""):gsub("/+$", ""):lower()))
   return row
end

-- What leads to a row from a recording, in small letters.
local function key_of(row) return (row.folder and files.basename(row.folder) or row.recorder or row.site):lower() end

--- Read a CSV of deployments.
-- @tparam string path
-- @treturn[1] table for `place`; its list part are the rows
-- @treturn[2] nil
-- @treturn[2] string message: `d.csv: line 3: latitude must be a number from -90 to 90, got 'x'`
function deployments.read(path)
   if not files.is_file(path) then return nil, path .. (files.exists(path) and ": no file" or ": no such file") end
   local bytes, message = files.read(path)
   if not bytes then return nil, message end
   local lines = text.lines(text.decode(bytes))
   local at, delimiter = read_header(lines[1])
   if not at or not (at.site or at.recorder or at.folder) then
      return nil, path .. ": no column 'site', 'recorder' or 'folder' in its first line (the others: from, to, " ..
         "latitude, longitude, timezone, clock_shift)"
   end
   local list = {path = path, by_key = {}}
   for number, cells in text.rows(lines, 2, delimiter, 0) do
      local row
      row, message = read_row(at, cells)
      if not row then return nil, ("%s: line %d: %s"):format(path, number, message) end
      list[#list + 1], row.line, row.number = row, number, #list + 1
      local key = key_of(row)
      list.by_key[key] = list.by_key[key] or {}
      table.insert(list.by_key[key], row)
   end
   if #list == 0 then return nil, path .. ": no rows" end
   return list
end

-- ---- Which row ----

-- What a recording may be called in a row.
local function names_of(fields, source_name)
   local names, said = {}, recorded.of(source_name)
   local function add(name)
      if name then names[name:lower()] = true end
   end
   for folder in files.dirname(source_name):gmatch("[^/]+") do add(folder) end
   for _, f in ipairs{fields, said} do
      add(f.site)
      add(f.recorder)
      add(f.recorder and f.recorder:match("%S+$")) -- "AudioMoth 24F3...": the number alone
   end
   return names
end

local function is_of(row, names, folder)
   if row.folder and not folder:find("/" .. row.folder .. "/", 1, true) then return false end
   if row.recorder and not names[row.recorder:lower()] then return false end
   return (row.folder or row.recorder or names[row.site:lower()]) and true or false
end

-- The rows of a recording, whenever, in the file's order.
local function candidates(list, names, folder)
   local rows = {}
   for name in pairs(names) do
      for _, row in ipairs(list.by_key[name] or {}) do
         if is_of(row, names, folder) then rows[#rows + 1] = row end
      end
   end
   table.sort(rows, function(a, b) return a.number < b.number end)
   return rows
end

-- A clock set right and, where both zones are known, to that of the row.
local function set(t, row)
   if t.is_date then return t end
   local s, offset_s = t.local_s + (row.shift or 0), t.offset_s
   if row.timezone and offset_s then
      local utc_s = s - offset_s
      offset_s = zones.offset(row.timezone, utc_s)
      return {local_s = utc_s + offset_s, offset_s = offset_s}
   end
   return {local_s = s, offset_s = row.timezone and zones.offset_of_local(row.timezone, s) or offset_s}
end

local function covers(row, t)
   local last = t.is_date and t.local_s + DAY_S - 1 or t.local_s
   return last >= row.from and t.local_s < row.to
end

-- The rows that cover a time; without one, all.
local function at_time(rows, t)
   if not t then return rows end
   local fits = {}
   for _, row in ipairs(rows) do
      local there = set(t, row)
      if covers(row, there) or not row.is_bounded and recorded.doubt(there) then fits[#fits + 1] = row end
   end
   return fits
end

local function differ(a, b)
   for _, key in ipairs{"site", "latitude", "longitude", "timezone", "shift"} do
      if a[key] ~= b[key] then return true end
   end
   return false
end

local function distance_km(a, b)
   local x = (a.longitude - b.longitude + 540) % 360 - 180
   return KM_A_DEGREE * math.sqrt((a.latitude - b.latitude) ^ 2 + (x * math.cos(math.rad(a.latitude))) ^ 2)
end

-- The row that counts; nil and why there is none, or also what is to be said of it.
local function choose(list, fields, source_name, t)
   local folder = "/" .. files.dirname(source_name):lower() .. "/"
   local rows = candidates(list, names_of(fields, source_name), folder)
   if #rows == 0 then return nil, "no deployment is of it" end
   local fits = at_time(rows, t)
   local name = rows[1].site or rows[1].recorder or rows[1].folder
   if #fits == 0 then return nil, ("%s is in no deployment of '%s'"):format(clock.text(t), name) end
   for i = 2, #fits do
      if differ(fits[1], fits[i]) then
         if not t then return nil, ("%d deployments of '%s', and its time is not known"):format(#fits, name) end
         return fits[1], ("lines %d and %d of the deployments are of it; the first counts"):format(fits[1].line,
            fits[i].line)
      end
   end
   return fits[1]
end

--- What a recording's fields are in the light of its deployment: its row gives `site`, `latitude` and `longitude`, and
-- sets `recorded_at` right and to its zone. A time that is in doubt (see `recorded.doubt`) goes, unless the row has
-- `from` or `to`.
-- @tparam table fields from `recorded.of`; changed
-- @tparam ?table list from `read`; nil: there are none
-- @tparam string source_name
-- @treturn ?string what is to be said: no deployment, or several, or another place than the recorder's own
function deployments.place(fields, list, source_name)
   local t = fields.recorded_at and clock.parse(fields.recorded_at)
   local row, said
   if list then row, said = choose(list, fields, source_name, t) end
   if not row then
      fields.recorded_at = recorded.sure(fields.recorded_at)
      return said
   end
   if t then
      t = set(t, row)
      fields.recorded_at = (row.is_bounded or not recorded.doubt(t)) and clock.text(t) or nil
   end
   fields.site = row.site or fields.site
   if row.latitude then
      local km = fields.latitude and distance_km(fields, row) or 0
      if km > FAR_KM and not said then said = ("its own position is %.0f km from that of its deployment"):format(km) end
      fields.latitude, fields.longitude = row.latitude, row.longitude
   end
   return said
end

return deployments
