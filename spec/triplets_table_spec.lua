local array = require "bclua.array"
local chi_square = require "support.chi_square"
local command = require "support.command"
local files = require "bclua.files"
local groups = require "bclua.workflow.triplets.groups"
local provenance = require "bclua.data.provenance"
local sampling = require "bclua.sampling"
local sql = require "bclua.sql"
local triplets = require "bclua.workflow.triplets"

-- 24 recordings: species s1 (12), s2 (6) of family A, s3 (4), s4 (1), s5 (1); sites north and south.
-- Motifs are at 10 and 60, discords at 30 and 90 frames of 10 a second.
local SIZES = {s1 = 12, s2 = 6, s3 = 4, s4 = 1, s5 = 1}

local function consolidated(dir)
   local columns = {source_name = {}, species = {}}
   for species, size in pairs(SIZES) do
      for i = 1, size do
         table.insert(columns.source_name, ("train_audio/%s/%s-%d.ogg"):format(species, species, i))
         table.insert(columns.species, species)
      end
   end
   local n = #columns.species
   local frames = {cens_sample_rate = 10, matrix_profile_window = 50, motif_0 = 10, motif_1 = 60, discord_0 = 30,
      discord_1 = 90}
   for name, value in pairs(frames) do columns[name] = array.full(n, value, "i64") end
   columns.duration_seconds = array.full(n, 20, "f64")
   local path = dir .. "/motif.parquet"
   assert(sql.write_parquet(path, columns))
   return path
end

describe("generate-triplets", function()
   local dir, motif
   before_each(function()
      dir = command.folder()
      motif = consolidated(dir)
   end)
   after_each(function() command.remove(dir) end)

   local function run(options)
      local o = {input = motif, output = dir .. "/t.parquet", samples = 20000, holdout = 0, quiet = true, force = true}
      for k, v in pairs(options or {}) do o[k] = v end
      return triplets.run(o)
   end

   local function rows(text)
      return sql.query((text:gsub("T", "read_parquet(" .. sql.quote(dir .. "/t.parquet") .. ")")))
   end

   local function counts(what)
      local list = {}
      for _, row in ipairs(rows(("select %s k, count(*)::bigint n from T group by 1"):format(what))) do
         list[row.k] = row.n
      end
      return list
   end

   it("keeps the order of the draws, whatever the number of threads, and in parts", function()
      local function drawn(first, n)
         local list = sql.query(("select source_name, species from '%s' order by source_name"):format(motif))
         local species = {s1 = 1, s2 = 2, s3 = 3, s4 = 4, s5 = 5}
         local function all(value) return array.full(#list, value, "f64") end
         local group = array.zeros(#list, "i64")
         for i, row in ipairs(list) do group[i] = species[row.species] end
         local t = sampling.triplets({group = group, species = group, anchor_s = all(3.5), self_s = all(8.5),
            duration_s = all(20), window_s = 5}, {samples = n, first = first, seed = 1})
         return t, list
      end
      local function check(first, n)
         local t, list = drawn(first, n)
         local table_rows = rows(("select a, b, c, b_loc, c_loc from T limit %d offset %d"):format(n, first))
         for i, row in ipairs(table_rows) do
            assert(row.a == list[t.a[i]].source_name and row.b == list[t.b[i]].source_name)
            assert(row.c == list[t.c[i]].source_name and row.b_loc == t.b_loc[i] and row.c_loc == t.c_loc[i])
         end
         assert.equal(n, #table_rows)
      end
      assert(run({samples = 7})) -- fewer than recordings: a join might change sides
      check(0, 7)
      local many = (1 << 19) + 1000
      assert(run({samples = many}))
      check(0, 100)
      check((1 << 19) - 50, 100)
      check(many - 100, 100)
      assert.equal(many, rows("select count(*)::bigint n from T")[1].n)
      assert.same({"motif.parquet", "t.parquet"}, assert(files.find(dir)))
   end)

   it("gives the same bytes on one thread and on three", function()
      for i, threads in ipairs({1, 3}) do
         local out, status = command.bclua({"scripts/motif.lua", "generate-triplets", "--input", motif, "--output",
            ("%s/%d.parquet"):format(dir, i), "--samples", "3e5"}, {env = "BCLUA_THREADS=" .. threads})
         assert.equal(0, status, out)
      end
      assert.equal(command.read(dir .. "/1.parquet"), command.read(dir .. "/2.parquet"))
   end)

   it("groups by species, family, or any column of a CSV", function()
      command.write(dir .. "/tax.csv", "SPECIES_CODE,FAMILY\ns1,A\ns2,A\ns3,C\n")
      local result = assert(run({taxonomy = dir .. "/tax.csv"}))
      chi_square.check(counts("a_species"), {s1 = 1 / 2, s2 = 1 / 2, s3 = 1, s4 = 1, s5 = 1}, "by family")
      assert.matches("species 's4' is not in tax.csv: it is a group of its own", result.warnings[1], 1, true)
      assert.same({s1 = "A", s2 = "A", s3 = "C", s4 = "s4", s5 = "s5"},
         provenance.of_parquet(dir .. "/t.parquet").groups)
      assert(run({taxonomy = dir .. "/tax.csv", group = "species"}))
      chi_square.check(counts("a_species"), {s1 = 1, s2 = 1, s3 = 1, s4 = 1, s5 = 1}, "by species")
      local made_of = provenance.of_parquet(dir .. "/t.parquet")
      assert.same({s1 = "s1", s2 = "s2", s3 = "s3", s4 = "s4", s5 = "s5"}, made_of.groups)
      assert.same({s1 = "A", s2 = "A", s3 = "C", s4 = "s4", s5 = "s5"}, made_of.families) -- for evaluation

      local lines = {"file,Site"}
      for species, size in pairs(SIZES) do
         for i = 1, size do
            lines[#lines + 1] = ("%s-%d.ogg,%s"):format(species, i, i % 2 == 0 and "north" or "south")
         end
      end
      command.write(dir .. "/meta.csv", table.concat(lines, "\n") .. "\n")
      result = assert(run({group = "site", metadata = dir .. "/meta.csv", shares = "natural"}))
      assert.matches("distinct pairs", result.warnings[1])
      chi_square.check(counts("a_species"), SIZES, "by site, natural")
      local site = groups.read(dir .. "/meta.csv", "SITE").values
      for _, row in ipairs(rows("select * from T limit 200")) do
         local a, b, c = files.basename(row.a), files.basename(row.b), files.basename(row.c)
         assert(site[a] == site[b] and site[a] ~= site[c])
      end
      local made = provenance.of_parquet(dir .. "/t.parquet")
      assert.equal("Site", made.group)
      assert.is_nil(next(made.groups)) -- a species is in both
   end)

   it("says of recordings that a CSV does not name how they are grouped", function()
      local name = "train_audio/s1/s1-1.ogg"
      command.write(dir .. "/meta.csv", ("source_name,site\n%s,here\n%s,there\n"):format(name, name))
      local result = assert(run({group = "site", metadata = dir .. "/meta.csv"}))
      assert.matches("meta.csv: 'train_audio/s1/s1-1.ogg' is there twice with different values of 'site'",
         result.warnings[1], 1, true)
      assert.matches("no 'site' in meta.csv: 23 recordings, grouped by species: .* and 18 more",
         result.warnings[2])
   end)

   it("names what is wrong with a grouping", function()
      command.write(dir .. "/x.csv", "a,b\n1,2\n")
      command.write(dir .. "/tax.csv", "SPECIES_CODE,FAMILY\ns1,A\ns2,A\ns3,A\ns4,A\ns5,A\n")
      local function message(options) return select(2, run(options)) end
      assert.matches("--group family: needs a CSV with that column (--taxonomy or --metadata)",
         message({group = "family"}), 1, true)
      assert.matches("--group site: needs a CSV", message({group = "site"}), 1, true)
      local x = dir .. "/x.csv"
      assert.matches("x.csv: no column 'site' (has: a, b)", message({group = "site", metadata = x}), 1, true)
      assert.matches("x.csv: no column 'SPECIES_CODE' or 'source_name'", message({group = "a", metadata = x}))
      assert.matches("^/none.csv", message({group = "a", metadata = "/none.csv"}))
      local none, one, no_groups = run({taxonomy = dir .. "/tax.csv"})
      assert.is_nil(none)
      assert.is_true(no_groups)
      assert.matches("need two groups or more, got 1: the FAMILY 'A' (recordings: 24, and 0 kept for evaluation); " ..
         "group by something else (--group species,", one, 1, true)
   end)

   it("mixes, excludes and keeps apart as the options say", function()
      assert(run({self = 0.8, motif = 0.25, shares = "natural"}))
      -- s4 and s5 have no other recording and are always self
      local kinds = {}
      for _, row in ipairs(rows("select neighbor, distant, count(*)::bigint n from T " ..
         "where a_species not in ('s4', 's5') group by all")) do
         kinds[row.neighbor .. " " .. row.distant] = row.n
      end
      chi_square.check(kinds, {["self motif"] = 0.2, ["self clip"] = 0.6, ["group motif"] = 0.05,
         ["group clip"] = 0.15}, "--self 0.8 --motif 0.25")
      assert(run({mixture = {0, 0, 1, 3}, shares = "natural"}))
      chi_square.check(counts("case when a_species in ('s4', 's5') then neighbor else neighbor || distant end"),
         {self = 2 / 24, groupmotif = 22 / 96, groupclip = 66 / 96}, "--mixture 0,0,1,3")
      local result = assert(run({exclude_own = true}))
      assert.equal(0, rows("select count(*)::bigint n from T where a = b")[1].n)
      assert.matches("2 groups have one recording each (s4, s5): no anchors (--no-self)", result.warnings[1], 1, true)
      result = assert(run({clip_distance = 3.5}))
      -- windows are at 3.5 and 8.5
      assert.equal(0, rows("select count(*)::bigint n from T where distant = 'clip' and " ..
         "least(abs(c_loc - 3.5), abs(c_loc - 8.5)) < 3.5 - 1e-9")[1].n)
      assert.matches("always their own second window", result.warnings[1])
      result = assert(run({clip_distance = 19}))
      assert.matches("no room for a clip 19 s from the windows: 24 recordings", result.warnings[#result.warnings])
      assert(run({self_distance = 5.1}))
      assert.equal(0, rows("select count(*)::bigint n from T where a = b and a_species not in ('s4', 's5')")[1].n)
      assert(run({clips = 2}))
      assert.equal(2, rows("select max(n) n from (select count(distinct c_loc)::bigint n from T " ..
         "where distant = 'clip' group by c)")[1].n)
   end)

   it("takes the discord as anchor, as neighbour, or both", function()
      -- centres: motif 3.5 and 8.5, discord 5.5 and 11.5
      local function windows()
         local r = rows("select list(distinct a_loc) a, list(distinct b_loc) filter (neighbor = 'self') s, " ..
            "list(distinct b_loc) filter (neighbor = 'group') g, " ..
            "list(distinct c_loc) filter (distant = 'motif') c from T")[1]
         return {r.a:table(), r.s:table(), r.g:table(), r.c:table()}
      end
      assert(run())
      assert.same({{3.5}, {8.5}, {3.5}, {3.5}}, windows())
      assert(run({pick = "discord"}))
      assert.same({{5.5}, {11.5}, {5.5}, {5.5}}, windows())
      assert(run({anchor = "discord"}))
      assert.same({{5.5}, {3.5}, {3.5}, {5.5}}, windows())
      assert(run({neighbor = "discord"}))
      assert.same({{3.5}, {5.5}, {5.5}, {3.5}}, windows())
   end)

   it("says how often a neighbour is the anchor's own window", function()
      assert.is_nil(table.concat(assert(run()).warnings):find "own window")
      -- s5 is too short for two windows
      local db <close> = assert(sql.open())
      local select = "select * replace (case when species = 's5' then null else motif_0 end as motif_0, " ..
         "case when species = 's5' then null else motif_1 end as motif_1) from '%s'"
      assert(db:write_parquet(dir .. "/short.parquet", select:format(motif)))
      local warnings = assert(run({input = dir .. "/short.parquet"})).warnings
      local same = rows("select count(*)::bigint n from T where a = b and a_loc = b_loc")[1].n
      assert(same > 3000)
      assert.equal(same, rows("select count(*)::bigint n from T where a_species = 's5'")[1].n)
      assert.matches(("in %d of 20000 triplets the neighbour is the anchor's own window (recordings"):format(same),
         warnings[#warnings], 1, true)
   end)

   it("warns with numbers when more triplets are wanted than there are pairs", function()
      local by_hand = 12 + 6 + 4 + 2 + 12 * 11 + 6 * 5 + 4 * 3
      local result = assert(run())
      assert.matches(("20000 triplets, but only %d distinct pairs of anchor and neighbour"):format(by_hand),
         result.warnings[2], 1, true)
      result = assert(run({samples = by_hand}))
      assert.equal(1, #result.warnings)
      -- two of a recording itself: one each
      assert.matches("only 24 distinct", run({mixture = {1, 1, 0, 0}, samples = 25}).warnings[2])
      assert.equal(1, #run({mixture = {1, 1, 0, 0}, samples = 24}).warnings)
   end)

   it("refuses other parameters, and options that contradict each other", function()
      assert(run())
      local _, message = run({force = false, shares = "sqrt"})
      assert.matches("shares = equal, now sqrt", message, 1, true)
      _, message = run({force = false, mixture = {1, 0, 0, 0}})
      assert.matches("mixture", message)
      assert(run({force = false}))
      _, message = run({mixture = {1, 0, 0, 0}, self = 0.1})
      assert.matches("--mixture says it all", message, 1, true)
      _, message = run({mixture = {1, 0, 0, 0}, exclude_own = true})
      assert.matches("--no-self: the mixture has no neighbours of the group", message, 1, true)
   end)

   it("says on the command line which option is wrong", function()
      local function out(...)
         local text, status = command.bclua({"scripts/motif.lua", "generate-triplets", "--input", motif, "--output",
            dir .. "/x.parquet", ...})
         assert.not_equal(0, status)
         return text
      end
      assert.matches("--shares: 'fair' is not one of equal, natural, sqrt", out("--shares", "fair"), 1, true)
      assert.matches("--mixture: '1,2' is not 4 numbers", out("--mixture", "1,2"), 1, true)
      assert.matches("--mixture: 'x' is not a number", out("--mixture", "1,x,1,1"), 1, true)
      assert.matches("--self: '2' is outside 0..1", out("--self", "2"), 1, true)
      assert.is_false(files.exists(dir .. "/x.parquet"))
   end)
end)
