local command = require "support.command"
local legacy = require "bclua.data.legacy"
local sql = require "bclua.sql"

describe("tables of triplets", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   local function write(select)
      local path = dir .. "/t.parquet"
      assert(sql.exec(("copy (%s) to %s (format parquet)"):format(select, sql.quote(path))))
      return path
   end

   local function original(a_loc, b_loc, c_loc)
      return write(("select 't/x/1.ogg' a, %s::double a_loc, 't/x/1.ogg' b, %s::double b_loc, 't/y/2.ogg' c, " ..
         "%s::double c_loc"):format(a_loc, b_loc, c_loc))
   end

   local function rows(...) return sql.query("select * from " .. assert(legacy.relation(...))) end

   it("of the original system are refused until --loc-unit says what a location is", function()
      local path = original(120, 7, 33.3)
      local relation, message = legacy.relation(path)
      assert.is_nil(relation)
      assert.equal(path .. ": no columns a_species, b_species, c_species, neighbor, distant, as in a table of the " ..
         "original Python system, whose locations of motifs are frames: say --loc-unit frames, or --loc-unit " ..
         "seconds if they are seconds", message)
   end)

   it("turn the start of a window in frames into the second of its centre", function()
      local r = rows(original(120, 7, 40), "frames")[1]
      assert.near(14.5, r.a_loc, 1e-12)
      assert.near(3.2, r.b_loc, 1e-12)
      assert.near(6.5, r.c_loc, 1e-12)
      assert.equal("motif", r.distant)
   end)

   it("keep a clip's random second and -1", function()
      local r = rows(original(-1, -1, 40.25), "frames")[1]
      assert.same({-1.0, -1.0, 40.25, "clip"}, {r.a_loc, r.b_loc, r.c_loc, r.distant})
   end)

   it("get the columns that are missing from the others", function()
      local r = rows(original(1, 2, 3.5), "frames")[1]
      assert.same({"x", "x", "y", "self"}, {r.a_species, r.b_species, r.c_species, r.neighbor})
   end)

   it("keep seconds with --loc-unit seconds", function()
      local r = rows(original(12, 7, 40.5), "seconds")[1]
      assert.same({12.0, 7.0, 40.5}, {r.a_loc, r.b_loc, r.c_loc})
      assert.equal("motif", r.distant)
   end)

   it("of ours pass as they are, and are not converted", function()
      local path = write("select 't/x/1.ogg' a, 12.0::double a_loc, 't/x/2.ogg' b, 7.0::double b_loc, " ..
         "'t/y/2.ogg' c, 3.0::double c_loc, 'x' a_species, 'x' b_species, 'y' c_species, " ..
         "'group' neighbor, 'clip' distant, 5 more")
      local relation, is_foreign = legacy.relation(path)
      assert.is_false(is_foreign)
      assert.equal(12, sql.query("select a_loc from " .. relation)[1].a_loc)
      assert.matches("t.parquet: %-%-loc%-unit frames: .* its locations are seconds", select(2,
         legacy.relation(path, "frames")))
   end)

   it("name the row of a location that is none", function()
      for _, bad in ipairs({"'nan'", "'inf'", "null", "-2", "-0.5"}) do
         local relation, message = legacy.relation(original(3, bad, 4), "seconds")
         assert.is_nil(relation)
         assert.matches("t.parquet: column 'b_loc', row 1: must be seconds from 0 to 1000000, or %-1", message)
      end
   end)

   it("name a missing column and a file that is not there", function()
      assert.matches("t.parquet: no column 'a_loc' %(has: a%)", select(2, legacy.relation(write("select 1 a"))))
      assert.matches("^/none.parquet", select(2, legacy.relation("/none.parquet", "frames")))
      assert.error_matches(function() legacy.relation(dir .. "/t.parquet", "minutes") end,
         "loc_unit must be 'seconds' or 'frames', got minutes")
   end)
end)
