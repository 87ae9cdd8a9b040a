--- Tables of triplets, ours and those of the original Python system.
--
-- The original's tables have the columns `a`, `a_loc`, `b`, `b_loc`, `c`, `c_loc` and
-- nothing that says what a location is. Its motifs are at the frame where their window
-- starts (10 frames a second, windows of 50), its random clips at the second of their
-- centre, both in the column `c_loc`; -1 is the whole recording in both systems. A frame
-- is a whole number and a clip's random second is not, which tells them apart.
-- @module bclua.data.legacy
local options = require "bclua.options"
local provenance = require "bclua.data.provenance"
local schemas = require "bclua.data.schemas"
local tables = require "bclua.data.tables"

local legacy = {}

--- The rule of the option `loc_unit`.
legacy.loc_unit = {"choice", {"seconds", "frames"}, arg = "UNIT", text = "Unit of the locations in a table from " ..
   "another system: seconds, or frames (the original Python system's)."}

-- What the original ran with.
local CENS_SAMPLE_RATE, WINDOW = 10, 50

local COLUMNS = {"a", "a_loc", "b", "b_loc", "c", "c_loc", "a_species?", "b_species?", "c_species?", "neighbor?",
   "distant?", "a_channel?", "b_channel?", "c_channel?", "a_group?", "b_group?", "c_group?"}
local OURS = {"a_species", "b_species", "c_species", "neighbor", "distant"}

local LOC = options.extend(schemas.triplets.a_loc, {sql = "%s >= 0 and %s <= 1e7 or %s = -1",
   words = "must be frames from 0 to 10000000, seconds of a clip, or -1 for the whole recording"})
local FRAMES = options.extend(schemas.triplets, {a_loc = LOC, b_loc = LOC, c_loc = LOC})

-- A location in seconds, out of one that is a frame if it is whole.
local function from_frames(column)
   return ("case when %s = -1 then -1.0 when %s = floor(%s) then (%s + %d) / %d else %s end"):format(column, column,
      column, column, WINDOW // 2, CENS_SAMPLE_RATE, column)
end

-- The columns that are missing, as they follow from the others.
local function derived(name)
   if name == "neighbor" then return "case when a = b then 'self' else 'group' end" end
   if name == "distant" then return "case when is_clip then 'clip' else 'motif' end" end
   return ("coalesce(nullif(regexp_extract(%s, '([^/]+)/[^/]*$', 1), ''), '.')"):format(name:sub(1, 1))
end

local function check_unit(unit)
   for _, known in ipairs(legacy.loc_unit[2]) do
      if unit == nil or unit == known then return end
   end
   error(("loc_unit must be 'seconds' or 'frames', got %s"):format(tostring(unit)), 3)
end

--- A table of triplets as a relation of SQL with all columns that
-- `generate-triplets` writes (doc/formats.md), locations in seconds.
--
-- A table without our columns is refused unless `loc_unit` says what its locations are:
-- `seconds` takes them as they are, `frames` converts as this page's head says: frame *f*
-- to (*f* + 25) / 10 s, the centre of its window. Columns that are missing follow from the
-- others: species from the folder of the source, `neighbor` `self` if a and b are one
-- recording, `distant` `clip` where `c_loc` has a fraction (with `frames` only; else `motif`).
-- @tparam string path Parquet file
-- @tparam[opt] string loc_unit `seconds` or `frames`
-- @treturn[1] string for `select ... from <relation>`
-- @treturn[1] boolean is it one of the original system, or by another hand?
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
-- @raise if loc_unit is something else
-- @usage local t = assert(legacy.relation("triplets.parquet"))
--   sql.query("select a, a_loc from " .. t)
function legacy.relation(path, loc_unit)
   check_unit(loc_unit)
   local frames = loc_unit == "frames"
   local from, has = tables.open(path, frames and FRAMES or schemas.triplets, COLUMNS)
   if not from then return nil, has end
   local missing = {}
   for _, name in ipairs(OURS) do
      if not has[name] then missing[#missing + 1] = name end
   end
   local is_ours = has.neighbor and has.distant or provenance.of_parquet(path) ~= nil
   if is_ours and frames then
      return nil, path .. ": --loc-unit frames: `generate-triplets` wrote this table, its locations are seconds"
   end
   if not is_ours and not loc_unit then
      return nil, ("%s: no columns %s, as in a table of the original Python system, whose locations of motifs are " ..
         "frames: say --loc-unit frames, or --loc-unit seconds if they are seconds"):format(path,
         table.concat(missing, ", "))
   end
   if #missing == 0 then return from, not is_ours end
   local replaced = {}
   for i, name in ipairs(missing) do replaced[i] = derived(name) .. " as " .. name end
   for _, loc in ipairs(frames and {"a_loc", "b_loc", "c_loc"} or {}) do
      replaced[#replaced + 1] = from_frames(loc) .. " as " .. loc
   end
   return ("(select * exclude (is_clip) replace (%s) from (select *, %s as is_clip from %s))"):format(
      table.concat(replaced, ", "), frames and "c_loc <> floor(c_loc)" or "false", from), not is_ours
end

return legacy
