local array = require "bclua.array"
local command = require "support.command"
local provenance = require "bclua.data.provenance"
local sql = require "bclua.sql"
local triplets = require "bclua.workflow.triplets"

-- Twelve recordings (or `count`) of two sites at three hours, no species; motifs at 10 and 60 frames of 10 a second.
-- The last one has no site.
local function consolidated(path, change, count)
   count = count or 12
   local columns = {source_name = {}, species = {n = count}, site = {n = count}, recorded_at = {}}
   for i = 1, count do
      columns.source_name[i] = ("card/%02d.wav"):format(i)
      columns.site[i] = i < count and (i % 2 == 0 and "north" or "south") or nil
      columns.recorded_at[i] = ("2023-05-14T%02d:30:00+02:00"):format(4 + i % 3)
   end
   for name, value in pairs{cens_sample_rate = 10, matrix_profile_window = 50, motif_0 = 10, motif_1 = 60} do
      columns[name] = array.full(count, value, "i64")
   end
   columns.duration_seconds = array.full(count, 20, "f64")
   if change then change(columns) end
   assert(sql.write_parquet(path, columns, {types = {species = "varchar", site = "varchar"}}))
   return path
end

describe("triplets without species", function()
   local dir, motif
   before_each(function()
      dir = command.folder()
      motif = consolidated(dir .. "/motif.parquet")
   end)
   after_each(function() command.remove(dir) end)

   local function run(options)
      local o = {input = motif, output = dir .. "/t.parquet", samples = 600, holdout = 0, quiet = true, force = true}
      for k, v in pairs(options or {}) do o[k] = v end
      return triplets.run(o)
   end

   local function query(text) return sql.query((text:gsub("T", "read_parquet('" .. dir .. "/t.parquet')"))) end

   local function made() return provenance.of_parquet(dir .. "/t.parquet") end

   it("have their neighbours in the same recording, at its other window, and their distant ones in others", function()
      for _, group in ipairs{false, "species", "recording"} do
         local result = assert(run{group = group or nil})
         local r = query([[select count(distinct a)::bigint n, bool_and(a = b) same, bool_and(a_loc = 3.5) a,
            bool_and(b_loc = 8.5) b, bool_and(a <> c) other, count(a_species)::bigint s from T]])[1]
         assert.same({n = 12, same = true, a = true, b = true, other = true, s = 0}, r)
         assert.equal("recording", made().group)
         assert.equal(1, #result.warnings) -- on 600 triplets of 12 pairs, none on groups of one
         assert.matches("only 12 distinct pairs", result.warnings[1])
      end
   end)

   it("are drawn by site, hour or date, whatever the case of the name", function()
      assert(run{group = "SITE"})
      local sites = {}
      for i = 1, 11 do sites[("card/%02d.wav"):format(i)] = i % 2 == 0 and "north" or "south" end
      for _, row in ipairs(query("select distinct a, b, c from T")) do
         assert.equal(sites[row.a], sites[row.b])
         assert.is_true(sites[row.a] ~= sites[row.c])
      end
      assert.equal("site", made().group)
      assert(run{group = "hour"})
      assert.is_true(query("select bool_and((a[6:7]::int - b[6:7]::int) % 3 = 0) fit from T")[1].fit)
      local _, message = run{group = "date"}
      assert.matches("two groups or more, got 1: the date '2023-05-14' (recordings: 12", message, 1, true)
      assert.matches("--group species, recording, site,", message, 1, true)
   end)

   it("say which recordings have no value", function()
      assert.matches("no 'site' in motif.parquet: 1 recording, each a group of its own: card/12.wav",
         run{group = "site"}.warnings[1], 1, true)
   end)

   it("are drawn by a column of a CSV first", function()
      local lines = {"filename,Habitat,site"}
      for i = 1, 12 do lines[i + 1] = ("%02d.wav,%s,x%d"):format(i, i < 7 and "fen" or "wood", i % 2) end
      command.write(dir .. "/m.csv", table.concat(lines, "\n") .. "\n")
      assert(run{group = "habitat", metadata = dir .. "/m.csv"})
      assert.is_true(query("select bool_and((a < 'card/07') = (b < 'card/07')) fit from T")[1].fit)
      assert(run{group = "site", metadata = dir .. "/m.csv", holdout = 0.25})
      for _, name in ipairs(made().holdout_groups) do assert.matches("^x[01]$", name) end
      command.write(dir .. "/s.csv", "SPECIES_CODE,FAMILY\na,b\n")
      assert.equal(dir .. "/s.csv: its rows are of species ('SPECIES_CODE'), and no recording has one; a column " ..
         "'filename' says of which recordings they are", select(2, run{taxonomy = dir .. "/s.csv"}))
      assert(run{taxonomy = dir .. "/s.csv", group = "species"})
   end)

   it("name a column that is nowhere, or empty", function()
      assert.equal(("--group moon: needs a CSV with that column (--metadata); no such column in %s (has: " ..
         "cens_sample_rate, duration_seconds, matrix_profile_window, motif_0, motif_1, recorded_at, site, " ..
         "source_name, species)"):format(motif), select(2, run{group = "moon"}))
      consolidated(motif, function(c) c.site = {n = 12} end)
      assert.matches("no recording of " .. motif .. " has one", select(2, run{group = "site"}), 1, true)
   end)

   it("keep a share of each site for evaluation, with their groups", function()
      assert(run{holdout = 0.25, group = "hour"})
      local of, north = {}, 0
      for i, name in ipairs(made().holdout_recordings) do
         local n = math.tointeger(tonumber(name:match("%d+")))
         north = north + (n % 2 == 0 and 1 or 0)
         assert.equal(("%02d"):format(4 + n % 3), made().holdout_groups[i])
         of[name] = made().holdout_groups[i]
      end
      assert.same({4, 2}, {#made().holdout_recordings, north}) -- two of five, two of six, none of one
      local function held() return triplets.held_out{triplets = dir .. "/t.parquet", input = motif, samples = 40} end
      local drawn, names = held()
      if drawn then -- by their hours
         for i = 1, 40 do
            assert.equal(of[names[drawn.a[i]]], of[names[drawn.b[i]]])
            assert.is_true(of[names[drawn.a[i]]] ~= of[names[drawn.c[i]]])
         end
      end
      assert(run{holdout = 0.25})
      drawn = assert(held())
      for i = 1, 40 do assert.is_true(drawn.a[i] == drawn.b[i] and drawn.a[i] ~= drawn.c[i]) end
   end)

   it("are validated on a few recordings where a few triplets are drawn", function()
      consolidated(motif, nil, 18)
      assert(run{holdout = 0.5})
      local kept = made().holdout_recordings
      assert.equal(10, #kept)
      for samples, known in pairs{[1] = {kept[1], kept[3], kept[5], kept[7], kept[9]}, [40] = kept} do
         assert.same(known, select(2, triplets.held_out{triplets = dir .. "/t.parquet", input = motif,
            samples = samples}))
      end
   end)

   it("say what to do with a single recording, and where none of the own recording are wanted", function()
      consolidated(motif, function(c)
         for name, column in pairs(c) do
            c[name] = type(column) == "table" and {column[1], n = 1} or column:slice(1, 1, 1)
         end
      end)
      local result, message, no_groups = run()
      assert.is_nil(result)
      assert.is_true(no_groups)
      assert.equal(motif .. ": triplets need two groups or more, got 1: the recording 'card/01.wav' (recordings: 1, " ..
         "and 0 kept for evaluation); groups are recordings: add recordings, or cut a long one into several", message)
      assert.matches("--no-self: groups are recordings", select(2, run{exclude_own = true}), 1, true)
   end)

   it("group a recording without species by itself among those with one", function()
      consolidated(motif, function(c)
         for i = 1, 11 do c.species[i] = i < 6 and "a" or "b" end
      end)
      local result = assert(run())
      assert.equal("species", made().group)
      assert.equal("card/12.wav", query("select distinct a from T where a_species is null")[1].a)
      assert.is_true(query([[select bool_and(a_species = b_species and a_species is distinct from c_species) fit from T
         where a_species is not null]])[1].fit)
      assert.matches("1 group has one recording (card/12.wav)", result.warnings[1], 1, true)
   end)
end)
