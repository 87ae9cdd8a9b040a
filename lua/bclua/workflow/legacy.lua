--- Tables of triplets, ours and those of the original Python system.
--
-- The original's tables have the columns `a`, `a_loc`, `b`, `b_loc`, `c`, `c_loc` and
-- nothing that says what a location is. Its motifs are at the frame where their window
-- starts (10 frames a second, windows of 50), its random clips at the second of their
-- centre, both in the column `c_loc`; -1 is the whole recording in both systems. A frame
-- is a whole number and a clip's random second is not, which tells them apart.
-- @module bclua.workflow.legacy
local record = require "bclua.workflow.record"

local legacy = {}

--- What `loc_unit` may be.
legacy.units = {"seconds", "frames"}

-- What the original ran with.
local CENS_SAMPLE_RATE, WINDOW = 10, 50

local REQUIRED = {"a", "a_loc", "b", "b_loc", "c", "c_loc"}
local OURS = {"a_species", "b_species", "c_species", "neighbor", "distant"}

-- A location in seconds, out of one that is a frame if it is whole. 2^53: what has no
-- fraction because it is large, infinite or not a number is no frame.
local function from_frames(column)
   return ("case when %s = -1 then -1.0 when %s = floor(%s) and abs(%s) < 9007199254740992 then (%s + %d) / %d " ..
      "else %s end"):format(column, column, column, column, column, WINDOW // 2, CENS_SAMPLE_RATE, column)
end

-- The columns that are missing, as they follow from the others.
local function derived(name)
   if name == "neighbor" then return "case when a = b then 'self' else 'group' end" end
   if name == "distant" then return "case when is_clip then 'clip' else 'motif' end" end
   return ("coalesce(nullif(regexp_extract(%s, '([^/]+)/[^/]*$', 1), ''), '.')"):format(name:sub(1, 1))
end

local function columns_of(path)
   local sql = require "bclua.sql"
   local ok, message = sql.require_columns(path, REQUIRED)
   if not ok then return nil, message end
   local rows
   rows, message = sql.query("describe from " .. sql.parquet(path))
   if not rows then return nil, message end
   local has = {}
   for _, row in ipairs(rows) do has[row.column_name] = true end
   return has
end

local function check_unit(unit)
   for _, known in ipairs(legacy.units) do
      if unit == nil or unit == known then return end
   end
   error(("loc_unit must be 'seconds' or 'frames', got %s"):format(tostring(unit)), 3)
end

-- A location is -1 or a second of a recording.
local function check_locations(path, relation)
   local sql = require "bclua.sql"
   for _, role in ipairs({"a", "b", "c"}) do
      local loc = role .. "_loc"
      local bad, message = sql.query(([[
         select count(*)::bigint n, min(place)::bigint place, arg_min(%s, place)::varchar got
         from (select *, row_number() over () place from %s)
         where %s is null or not isfinite(%s) or (%s < 0 and %s <> -1) or %s is null]]):format(loc, relation, loc, loc,
         loc, loc, role))
      if not bad then return nil, path .. ": " .. message end
      if bad[1].n > 0 then
         return nil, ("%s: column '%s' is %s in row %d (expected seconds from 0, or -1: the whole recording); so in " ..
            "%d rows"):format(path, loc, bad[1].got or "empty", bad[1].place, bad[1].n)
      end
   end
   return true
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
   local sql = require "bclua.sql"
   local has, message = columns_of(path)
   if not has then return nil, message end
   local missing, list = {}, {}
   for _, name in ipairs(OURS) do
      if not has[name] then
         missing[name] = true
         list[#list + 1] = name
      end
   end
   local from = sql.parquet(path)
   local is_ours = not (missing.neighbor or missing.distant) or record.of_parquet(path) ~= nil
   if is_ours and loc_unit == "frames" then
      return nil, path .. ": --loc-unit frames: `generate-triplets` wrote this table, its locations are seconds"
   end
   if not is_ours and not loc_unit then
      return nil, ("%s: no columns %s, as in a table of the original Python system, whose locations of motifs are " ..
         "frames: say --loc-unit frames, or --loc-unit seconds if they are seconds"):format(path,
         table.concat(list, ", "))
   end
   if #list > 0 then
      local frames = loc_unit == "frames"
      local select = {"a", "b", "c"}
      for _, role in ipairs({"a", "b", "c"}) do
         local loc = role .. "_loc::double"
         select[#select + 1] = (frames and from_frames(loc) or loc) .. " as " .. role .. "_loc"
      end
      for _, name in ipairs(OURS) do
         select[#select + 1] = missing[name] and derived(name) .. " as " .. name or name
      end
      from = ("(select %s from (select *, %s as is_clip from %s))"):format(table.concat(select, ", "),
         frames and "c_loc <> floor(c_loc)" or "false", from)
   end
   local ok
   ok, message = check_locations(path, from)
   if not ok then return nil, message end
   return from, not is_ours
end

return legacy
