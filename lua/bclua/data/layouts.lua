--- What the folders of recordings are: species, sites, or nothing that is known. This is the one place that says so.
--
--  * `species`: `SPECIES/ID.ogg`, `SPECIES/.../ID.ogg`; the first folder is the species
--  * `site`: `SITE/DATE/*.WAV`, `SITE/*.WAV`, `DATE/SITE/*.WAV`; there are no species, and the site is the first
--    folder that is no date (`2023-05-14`, `20230514`, `14.05.2023`, `2023`, `2023/05/14`) and no card's own (`DATA`,
--    `DCIM`, ...)
--  * `flat`: neither, be there folders or not
--
-- What lies directly in the data folder has neither in any of them. `auto` takes
--
--  1. `species` where the data folder is called `train_audio` or `train_short_audio`, or has a taxonomy (a CSV with
--     `taxonomy` in its name)
--  2. `flat` where half of the recordings or more lie directly in it
--  3. `site` where half of the others or more look like a recorder's: a date in the name of a folder, a first folder
--     that is a date or called like a site or a recorder (`site 3`, `plot_b`, `SMM01234`, `24F319046453AABC`), or a
--     file named by date and time (`20230514_043000`, `NORTH_20230514_043000`)
--  4. else `species`
-- @module bclua.data.layouts
local display = require "bclua.display"
local files = require "bclua.files"

local layouts = {}

--- The choices.
layouts.names = {"auto", "species", "site", "flat"}

local function set(words)
   local names = {}
   for word in words:gmatch("%S+") do names[word] = true end
   return names
end

local DATA_SETS = set "train_audio train_short_audio"
local CARDS_OWN = set "data dcim audio wav wave flac mp3 ogg raw records recording recordings sound sounds"
local PLACES = set("site sites plot point station stn transect location loc deployment dep recorder rec logger unit " ..
   "camp trap grid aru mic sensor audiomoth am songmeter sm card sd")

local function is_day(year, month, day)
   year, month, day = tonumber(year), tonumber(month), tonumber(day)
   return year >= 1950 and year < 2100 and month >= 1 and month <= 12 and day >= 1 and day <= 31
end

-- Is there a date in the name? What is behind the first one as second value.
local function find_date(name)
   for at in name:gmatch("()%f[%d]") do
      local year, month, day, rest = name:match("^(%d%d%d%d)[-_.]?(%d%d)[-_.]?(%d%d)(.*)$", at)
      if year and is_day(year, month, day) then return true, rest end
      day, month, year = name:match("^(%d%d)[-_.](%d%d)[-_.](%d%d%d%d)%f[%D]", at)
      if year and is_day(year, month, day) then return true, "" end
   end
   return false
end

-- Is the name nothing but a date, a month or a year?
local function is_date(name)
   if name:find("[^%d%-_. ]") then return false end
   local year, month = name:match("^(%d%d%d%d)[-_.]?(%d?%d?)$")
   return find_date(name) or year ~= nil and is_day(year, month == "" and 1 or month, 1)
end

-- Is a file of this name, which has no extension, named by date and time?
local function is_dated(stem)
   local found, rest = find_date(stem)
   local hour, minute, tail = (found and rest or ""):match("^[T_ $-]?(%d%d)[-_.:]?(%d%d)(.*)$")
   return hour ~= nil and tonumber(hour) < 24 and tonumber(minute) < 60
      and not tail:gsub("UTC", ""):gsub("Z$", ""):find("[%a.]")
end

-- Is it called like a place or a recorder?
local function is_place(name)
   local word, number = name:lower():match("^(%l+)[%s_.-]*(%d*%l?)$")
   if word and number ~= "" and PLACES[word] then return true end
   return name:find("^[%u%d][%u%d]%u%d%d%d%d+$") ~= nil -- Song Meter
      or name:find("^%x+$") ~= nil and #name >= 8 and name:find("%d") ~= nil -- AudioMoth
end

local function folders_of(path)
   local list = {}
   for name in path:gmatch("([^/]+)/") do list[#list + 1] = name end
   return list
end

local function looks_recorded(path)
   local folders = folders_of(path)
   if is_date(folders[1]) or is_place(folders[1]) or is_dated(files.stem(path)) then return true end
   for _, name in ipairs(folders) do
      if find_date(name) then return true end
   end
   return false
end

--- The layout of some recordings.
-- @tparam string base the name of the data folder
-- @tparam {string,...} paths of the recordings, below it
-- @tparam boolean has_taxonomy is there a taxonomy in it?
-- @treturn string one of `names` but `auto`
-- @treturn boolean is it sure, and no guess?
function layouts.guess(base, paths, has_taxonomy)
   if DATA_SETS[base] or has_taxonomy then return "species", true end
   local direct, recorded = 0, 0
   for _, path in ipairs(paths) do
      if not path:find("/", 1, true) then
         direct = direct + 1
      elseif looks_recorded(path) then
         recorded = recorded + 1
      end
   end
   if 2 * direct >= #paths then return "flat", direct == #paths end
   return 2 * recorded >= #paths - direct and "site" or "species", false
end

local function site_of(path)
   local in_date = false
   for _, name in ipairs(folders_of(path)) do
      if is_date(name) then
         in_date = true
      elseif not (CARDS_OWN[name:lower()] or in_date and name:find("^%d%d?$")) then
         return name
      end
   end
   return nil
end

--- Species and site of a recording.
-- @tparam string path below the data folder
-- @tparam string layout one of `names` but `auto`
-- @treturn ?string species
-- @treturn ?string site
function layouts.of(path, layout)
   if layout == "species" then return path:match("^([^/]+)/"), nil end
   return nil, layout == "site" and site_of(path) or nil
end

local function count(list, key)
   local seen, n, without = {}, 0, 0
   for _, item in ipairs(list) do
      local name = item[key]
      if not name then
         without = without + 1
      elseif not seen[name] then
         seen[name], n = true, n + 1
      end
   end
   return n, without
end

--- What was taken for what, in a sentence.
-- @tparam {table,...} list from `recordings.list`
-- @tparam table taken its fourth value
-- @treturn string
function layouts.words(list, taken)
   local species, without = count(list, "species")
   local text
   if species > 0 then
      text = ("%d species%s"):format(species, without > 0 and (", %s without"):format(display.count(without,
         "recording")) or "")
   else
      local sites = count(list, "site")
      text = (sites > 0 and display.count(sites, "site") .. ", " or "") .. "no species: groups are recordings"
   end
   if taken.is_sure then return text end
   return ("%s; if the folders are %s: --data-layout %s (data.layout of the pipeline)"):format(text,
      species > 0 and "sites" or "species", species > 0 and "site" or "species")
end

return layouts
