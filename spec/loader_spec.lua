local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local loader = require "bclua.data.loader"
local mined = require "support.mined"
local sampling = require "bclua.sampling"
local sql = require "bclua.sql"
local tiles = require "bclua.workflow.tiles"
local triplets = require "bclua.workflow.triplets"

local ROLES = {"anchor", "neighbor", "distant"}
local STORES = {"npy", "packed", "flac", "none"}

teardown(mined.remove)

describe("loader", function()
   local folders, dir = {}, nil
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   -- The triplets of the small data set in every store.
   local function store(name)
      local m = mined.get()
      if not folders[name] then
         folders[name] = ("%s/store_%s"):format(m.dir, name)
         assert(tiles.run({input = m.triplets, dataset_root = m.data, output = folders[name], store = name,
            quiet = true}))
      end
      return folders[name]
   end

   local function options(name, more)
      local m = mined.get()
      local o = {triplets = m.triplets, batch_size = 4, seed = 3}
      if name == "none" then o.dataset_root = m.data else o.tiles = store(name) end
      for k, v in pairs(more or {}) do o[k] = v end
      return o
   end

   local function new(name, more) return assert(loader.new(options(name, more))) end

   local function same(a, b)
      assert.same(a.rows, b.rows)
      assert.is_true(array.equal(a.groups, b.groups))
      for _, role in ipairs(ROLES) do
         assert.is_true(array.equal(a[role], b[role]), role)
         assert.same(a.provenance[role].file, b.provenance[role].file)
      end
   end

   local function batches(l, n)
      local list = {}
      for i = 1, n do list[i] = assert(l:next()) end
      l:close()
      return list
   end

   local function fails(o, pattern)
      local l, message = loader.new(o)
      if l then l, message = l:next() end
      assert.is_nil(l)
      assert.matches(pattern, message)
   end

   -- What cp -l has linked must be written anew.
   local function rewrite(path, bytes)
      os.remove(path)
      command.write(path, bytes)
   end

   -- A copy of a store with its files changed.
   local function spoil(name, change)
      command.shell(("cp -rl %s %s/tiles"):format(command.quote(store(name)), dir))
      local rows = sql.query(("select distinct tile from read_parquet('%s/index.parquet') order by tile"):format(
         store(name)))
      for _, row in ipairs(rows) do change(dir .. "/tiles/" .. row.tile) end
      return options(name, {tiles = dir .. "/tiles"})
   end

   -- A copy of a store whose index is what a query makes of it, given as %s.
   local function with_index(name, query)
      local metadata = sql.parquet_metadata(store(name) .. "/index.parquet")
      command.shell(("cp -rl %s %s/tiles"):format(command.quote(store(name)), dir))
      assert(sql.write_parquet(dir .. "/tiles/index.parquet",
         query:format(("read_parquet('%s/index.parquet')"):format(store(name))), {metadata = metadata}))
      return options(name, {tiles = dir .. "/tiles"})
   end

   describe("of any store", function()
      it("gives the same crops, those of 16 bits within half a step", function()
         local got = {}
         for _, name in ipairs(STORES) do got[name] = batches(new(name), 5) end
         for i = 1, 5 do
            same(got.npy[i], got.none[i])
            same(got.packed[i], got.flac[i])
            assert.same(got.npy[i].rows, got.packed[i].rows)
            for _, role in ipairs(ROLES) do
               assert.same({4, 160000}, got.npy[i][role]:shape())
               assert.is_true(array.max_difference(got.npy[i][role], got.packed[i][role]) <= 0.51 / 32767)
            end
         end
      end)

      it("says where in the recording each crop begins", function()
         local m, seen = mined.get(), 0
         for _, name in ipairs({"npy", "none"}) do
            for _, batch in ipairs(batches(new(name), 3)) do
               for _, role in ipairs(ROLES) do
                  local p = batch.provenance[role]
                  for i, file in ipairs(p.file) do
                     local y = assert(audio.load(m.data .. "/" .. file))
                     local first = math.floor(p.seconds[i] * 32000 + 0.5)
                     if first >= 0 and first + 160000 <= #y then
                        seen = seen + 1
                        assert.is_true(array.equal(y:slice(1, first + 1, first + 160000), batch[role][i]))
                     end
                  end
               end
            end
         end
         assert.is_true(seen > 20)
      end)

      it("says of which group each window is", function()
         local m = mined.get()
         local of_species = m.dir .. "/of_species.parquet"
         assert(triplets.run({input = m.motif, output = of_species, samples = 40, group = "species", quiet = true}))
         for path, column in pairs({[m.triplets] = "%s_group", [of_species] = "%s_species"}) do
            local names = {}
            for i, role in ipairs({"a", "b", "c"}) do names[i] = column:format(role) end
            local rows = sql.query(("select %s from read_parquet('%s')"):format(table.concat(names, ", "), path))
            local numbers, groups = {}, {}
            for _, batch in ipairs(batches(new("none", {triplets = path}), 10)) do
               assert.same({12}, batch.groups:shape())
               for i, row in ipairs(batch.rows) do
                  for role, name in ipairs(names) do
                     local group, number = rows[row][name], batch.groups[(role - 1) * 4 + i]
                     assert.equal(numbers[group] or number, number)
                     assert.equal(groups[number] or group, group)
                     numbers[group], groups[number] = number, group
                  end
               end
            end
            assert.is_true(#groups >= 1)
         end
      end)

      it("does not depend on the number of threads, nor the crops on the size of the batch", function()
         for _, name in ipairs(STORES) do
            local one = batches(new(name, {workers = 1}), 4)
            for _, workers in ipairs({2, 4}) do
               for i, batch in ipairs(batches(new(name, {workers = workers, prefetch = workers}), 4)) do
                  same(one[i], batch)
               end
            end
            local wide = batches(new(name, {batch_size = 8, workers = 2}), 1)[1]
            for i = 1, 8 do
               local from = one[(i - 1) // 4 + 1]
               assert.equal(from.rows[(i - 1) % 4 + 1], wide.rows[i])
               assert.is_true(array.equal(from.distant[(i - 1) % 4 + 1], wide.distant[i]))
            end
         end
      end)
   end)

   describe("order", function()
      it("gives parts of batches as a whole one has them, through rounds and resumes", function()
      for _, name in ipairs{"npy", "none"} do
         local whole = new(name)
         local n = 2 + whole.triplets // 4 -- into the next round
         local all = batches(whole, n)
         for part = 1, 2 do
            local l = new(name, {part = part, parts = 2})
            local state
            for i = 1, n do
               if i == 3 then
                  state = l:state()
                  l:close()
                  l = new(name, {part = part, parts = 2})
                  assert(l:restore(state))
               end
               local b = assert(l:next())
               assert.equal(2, #b.anchor)
               assert.same({table.unpack(all[i].rows, 2 * part - 1, 2 * part)}, b.rows)
               for r, role in ipairs(ROLES) do
                  assert.is_true(array.equal(all[i][role]:slice(1, 2 * part - 1, 2 * part), b[role]))
                  assert.is_true(array.equal(all[i].groups:slice(1, 4 * r + 2 * part - 5, 4 * r + 2 * part - 4),
                     b.groups:slice(1, 2 * r - 1, 2 * r)))
               end
            end
            l:close()
         end
      end
      assert.error_matches(function() new("npy", {part = 2, parts = 3}) end, "part 2 of 3 of a batch of 4")
   end)

   it("takes every triplet once a round, in an order that seed and round decide", function()
         local l <close> = new("npy", {batch_size = 8})
         local rounds = {}
         for round = 1, 2 do
            local seen = {}
            rounds[round] = {}
            for _ = 1, 5 do
               for _, row in ipairs(l:next().rows) do
                  assert.is_nil(seen[row])
                  seen[row] = true
                  table.insert(rounds[round], row)
               end
            end
         end
         assert.not_same(rounds[1], rounds[2])
         assert.same(batches(new("npy"), 1)[1].rows, batches(new("npy"), 1)[1].rows)
         assert.not_same(batches(new("npy"), 1)[1].rows, batches(new("npy", {seed = 4}), 1)[1].rows)
      end)

      it("begins the next round in the middle of a batch", function()
         local small, large = new("npy", {batch_size = 1}), new("npy", {batch_size = 12})
         local rows = {}
         for i = 1, 48 do rows[i] = small:next().rows[1] end
         for b = 0, 3 do
            assert.same({table.unpack(rows, b * 12 + 1, b * 12 + 12)}, large:next().rows)
         end
         small:close()
         large:close()
      end)

      it("takes a share of the table on request, the same for a seed", function()
         local function rows(limit, seed)
            local set, n = {}, 0
            for _, batch in ipairs(batches(new("npy", {limit = limit, seed = seed, batch_size = 5}), 2)) do
               for _, row in ipairs(batch.rows) do
                  if not set[row] then n = n + 1 end
                  set[row] = true
               end
            end
            return set, n
         end
         local set, n = rows(10, 1)
         assert.equal(10, n)
         assert.same(set, (rows(10, 1)))
         assert.not_same(set, (rows(10, 2)))
         assert.equal(5, select(2, rows(5, 1)))
         assert.equal(10, new("npy", {limit = 10}).triplets)
         assert.equal(40, new("npy", {limit = 1000}).triplets)
      end)
   end)

   describe("state", function()
      it("goes on exactly where it was taken, whatever was made ahead", function()
         for _, name in ipairs(STORES) do
            local l <close> = new(name, {workers = 2, prefetch = 4})
            for _ = 1, 3 do assert(l:next()) end
            local state = l:state()
            local expected = {l:next(), l:next()}
            local other <close> = new(name, {workers = 1})
            assert(other:next())
            assert.is_true(other:restore(state))
            same(expected[1], other:next())
            same(expected[2], other:next())
         end
      end)

      it("goes on in the order of a seed that a double does not hold", function()
         local l <close> = new("npy", {seed = (1 << 60) + 1})
         l:next()
         local other <close> = new("npy")
         assert(other:restore(l:state()))
         assert.equal('{"position":4,"seed":1152921504606846977,"triplets":40}', other:state())
         same(l:next(), other:next())
      end)

      it("is a line of a few numbers, also after another seed", function()
         local l <close> = new("npy")
         l:next()
         assert.equal('{"position":4,"seed":3,"triplets":40}', l:state())
         local other <close> = new("npy", {seed = 9})
         other:restore(l:state())
         same(l:next(), other:next())
         assert.equal(l:state(), other:state())
      end)

      it("refuses what is no state, and that of another table", function()
         local l <close> = new("npy")
         for _, text in ipairs({"", "3", "{}", '{"seed":1.5,"position":0}', '{"seed":1,"position":-1}'}) do
            local ok, message = l:restore(text)
            assert.is_nil(ok)
            assert.equal("not the state of a loader", message)
         end
         local _, message = l:restore('{"position":4,"seed":3,"triplets":41}')
         assert.equal("state of a loader of 41 triplets, this one has 40", message)
      end)
   end)

   describe("without tiles", function()
      it("centres a recording that is too short in silence", function()
         local m, path = mined.get(), dir .. "/whole.parquet"
         local short = sql.query(("select source_name s from read_parquet('%s') where motif_0 is null"):format(m.motif))
         assert.is_true(#short > 0)
         assert(sql.exec(("copy (select s as a, -1.0 as a_loc, s as b, -1.0 as b_loc, s as c, -1.0 as c_loc from " ..
            "(values ('%s')) v(s)) to '%s' (format parquet)"):format(short[1].s, path)))
         local l <close> = new("none", {triplets = path, batch_size = 1, seconds = 7, loc_unit = "seconds"})
         local y = assert(audio.load(m.data .. "/" .. short[1].s))
         local batch = l:next()
         assert.is_true(array.equal(sampling.cut(y, 32000, -1, 7), batch.anchor[1]))
         assert.equal(-((224000 - #y) // 2) / 32000, batch.provenance.anchor.seconds[1])
      end)

      it("mixes down and converts to what the whole recording gives", function()
         local g = sampling.generator(2)
         local y = array.zeros({2, 44100 * 20})
         for c = 1, 2 do y[c]:fill(g:normal(44100 * 20):copy("f32") * 0.1) end
         assert(audio.save(dir .. "/s.wav", y, 44100, {subtype = "float"}))
         local whole = assert(audio.load(dir .. "/s.wav", {sample_rate = 32000}))
         local s = {"s.wav", "s.wav"}
         assert(sql.write_parquet(dir .. "/t.parquet", {a = s, b = s, c = s, a_loc = {1.5, 9.25}, b_loc = {12.1, 19.3},
            c_loc = {3.7, 0.01}}))
         local l <close> = assert(loader.new({triplets = dir .. "/t.parquet", dataset_root = dir, batch_size = 2,
            loc_unit = "seconds"}))
         for _ = 1, 5 do
            local batch = assert(l:next())
            for _, role in ipairs(ROLES) do
               for i = 1, 2 do
                  local first = math.floor(batch.provenance[role].seconds[i] * 32000 + 0.5)
                  local from, to = math.max(first, 0), math.min(first + 160000, #whole)
                  local inside = batch[role][i]:slice(1, from - first + 1, to - first)
                  assert.is_true(array.max_difference(whole:slice(1, from + 1, to), inside) < 1e-6)
                  if from > first then assert.equal(0, batch[role][i]:slice(1, 1, from - first):abs():max()) end
               end
            end
         end
      end)

      it("keeps no more decoded sound and open files than it may", function()
         local l <close> = new("none", {cache_mb = 2, open = 3, workers = 2})
         for _ = 1, 4 do
            assert(l:next())
            local bytes, open = l:held()
            assert.is_true(bytes <= 2e6 and bytes > 1e6)
            assert.is_true(open <= 3)
         end
         local none <close> = new("none", {cache_mb = 0})
         same(batches(new("none"), 1)[1], none:next())
         assert.equal(0, (none:held()))
      end)

      local function damaged()
         local m = mined.get()
         command.shell(("cp -r %s %s/data"):format(command.quote(m.data), dir))
         local rows = sql.query(("select a, count(*)::bigint n from read_parquet(%s) where a_loc > 1 group by a " ..
            "order by n desc, a"):format(sql.quote(m.triplets)))
         os.remove(dir .. "/data/" .. rows[1].a)
         local bytes = command.read(dir .. "/data/" .. rows[2].a)
         command.write(dir .. "/data/" .. rows[2].a, bytes:sub(1, #bytes // 2))
         assert(audio.save(dir .. "/data/" .. rows[3].a, array.zeros(32000), 32000))
         return rows
      end

      it("puts others in the place of triplets it cannot read, and names the recordings once", function()
         local rows, lists = damaged(), {}
         local there = audio.info(dir .. "/data/" .. rows[2].a).seconds
         for k, workers in ipairs({1, 4}) do
            local l <close> = new("none", {dataset_root = dir .. "/data", workers = workers})
            lists[k] = {}
            for i = 1, 10 do lists[k][i] = assert(l:next()) end
            local reasons = {}
            for _, f in ipairs(l.failures) do
               assert.is_nil(reasons[f.path])
               reasons[f.path] = f.reason
            end
            assert.matches("No such file", reasons[rows[1].a])
            assert.matches("ends at %d%.%d+ s %(changed", reasons[rows[2].a])
            assert.matches("ends at 1.000 s %(changed", reasons[rows[3].a])
            assert.is_true(l.replaced >= rows[1].n)
            lists[k].failures, lists[k].replaced = l.failures, l.replaced
         end
         assert.same(lists[1].failures, lists[2].failures)
         assert.equal(lists[1].replaced, lists[2].replaced)
         local second <close> = new("none", {dataset_root = dir .. "/data", part = 2, parts = 2})
         for i = 1, 10 do -- part 2 alone: the same in their place
            local b = assert(second:next())
            assert.same({table.unpack(lists[1][i].rows, 3, 4)}, b.rows)
            assert.is_true(array.equal(lists[1][i].anchor:slice(1, 3, 4), b.anchor))
         end
         for i = 1, 10 do
            same(lists[1][i], lists[2][i])
            for _, role in ipairs(ROLES) do
               local p = lists[1][i].provenance[role]
               for row, file in ipairs(p.file) do
                  assert.is_true(file ~= rows[1].a)
                  assert.is_true(file ~= rows[2].a or p.seconds[row] + 3.5 < there) -- the middle of a tile
               end
            end
         end
      end)

      it("gives nothing that a damaged page of an Ogg file moved, with a cache or without", function()
         local m, lists = mined.get(), {}
         command.shell(("cp -r %s %s/data"):format(command.quote(m.data), dir))
         local rows = sql.query(("select a, count(*)::bigint n from read_parquet(%s) where a_loc > 1 group by a " ..
            "order by n desc, a limit 4"):format(sql.quote(m.triplets)))
         for _, row in ipairs(rows) do
            local path = dir .. "/data/" .. row.a
            local bytes = command.read(path)
            command.write(path, bytes:sub(1, #bytes // 2) .. ("x"):rep(40) .. bytes:sub(#bytes // 2 + 41))
         end
         for k, o in ipairs({{cache_mb = 0, workers = 1}, {cache_mb = 64, workers = 2}}) do
            o.dataset_root = dir .. "/data"
            local l <close> = new("none", o)
            lists[k] = {}
            for i = 1, 10 do lists[k][i] = assert(l:next()) end
            assert.is_true(#l.failures > 0)
            for _, f in ipairs(l.failures) do assert.matches("damaged", f.reason) end
         end
         for i = 1, 10 do
            same(lists[1][i], lists[2][i])
            for _, role in ipairs(ROLES) do
               local p = lists[1][i].provenance[role]
               for row = 1, 4 do
                  local y = assert(audio.load(m.data .. "/" .. p.file[row]))
                  local tile = sampling.cut(y, 32000, p.seconds[row] + 2.5, 5)
                  assert.is_true(array.equal(tile, lists[1][i][role][row]))
               end
            end
         end
      end)

      it("goes on from a state with the same replacements", function()
         damaged()
         local l <close> = new("none", {dataset_root = dir .. "/data"})
         for _ = 1, 5 do l:next() end
         local other <close> = new("none", {dataset_root = dir .. "/data"})
         assert(other:restore(l:state()))
         for _ = 1, 5 do same(l:next(), other:next()) end
      end)

      it("fails when no recording can be read", function()
         local o = options("none", {dataset_root = dir})
         fails(o, "No such file.*999 other triplets")
         fails(options("none", {dataset_root = dir .. "/nope"}), "nope: no such folder")
      end)
   end)

   describe("bad input", function()
      it("names a file that is no tile, is cut, or holds other numbers", function()
         for _, name in ipairs({"npy", "packed", "flac"}) do
            fails(spoil(name, function(path) rewrite(path, "no tile") end),
               name == "flac" and "flac%-%d+%.flac: not a readable" or "npy: not an npy file")
            command.remove(dir .. "/tiles")
            fails(spoil(name, function(path)
               local bytes = command.read(path)
               rewrite(path, bytes:sub(1, #bytes // 2))
            end), name == "flac" and "flac%-%d+%.flac: " or "npy: truncated")
            command.remove(dir .. "/tiles")
            fails(spoil(name, function(path) os.remove(path) end), "No such file")
            command.remove(dir .. "/tiles")
         end
         fails(spoil("npy", function(path) array.save(path, array.zeros(224000, "i16")) end), "npy: i16 with 1 axes")
         command.remove(dir .. "/tiles")
         fails(spoil("packed", function(path) array.save(path, array.zeros({2, 224000}, "i16")) end),
            "packed%-%d+%.npy: i16 with 2 axes")
         command.remove(dir .. "/tiles")
         fails(spoil("flac", function(path) audio.save(path, array.zeros(224000), 16000) end),
            "flac%-%d+%.flac: 1 channels at 16000 Hz")
         command.remove(dir .. "/tiles")
         fails(spoil("npy", function(path) array.save(path, array.zeros(100)) end), "tile of 100 samples, 160000")
      end)

      it("names the place of a tile that is not in its file", function()
         fails(with_index("packed", 'select * replace ("first" + 1000000000 as "first") from %s'),
            "packed%-%d+%.npy: has %d+ samples, the index has a tile of 224000 at sample 10+")
         command.remove(dir .. "/tiles")
         fails(with_index("flac", 'select * replace (-1::bigint as "first") from %s'),
            "column 'first', row 1: must be an integer of at least 0, got %-1")
         command.remove(dir .. "/tiles")
         fails(with_index("npy", 'select * replace (5::bigint as "first") from %s'),
            "the index has a tile of 224000 at sample 5")
      end)

      it("notices that a packed file is cut while it is in use", function()
         local paths = {}
         local o = spoil("packed", function(p)
            rewrite(p, command.read(p))
            paths[#paths + 1] = command.quote(p)
         end)
         o.prefetch, o.workers = 1, 1
         local l <close> = assert(loader.new(o))
         assert(l:next())
         os.execute("truncate -s 1000 " .. table.concat(paths, " "))
         local _, message = l:next()
         if not message then _, message = l:next() end -- one was made before
         assert.matches("packed%-%d+%.npy: truncated npy file", message)
      end)

      it("can go on when the file is back", function()
         local bytes = {}
         local o = spoil("packed", function(p)
            bytes[p] = command.read(p)
            rewrite(p, "")
         end)
         local l <close> = assert(loader.new(o))
         assert.is_nil((l:next()))
         for path, text in pairs(bytes) do command.write(path, text) end
         same(batches(new("packed"), 1)[1], assert(l:next()))
      end)

      it("reads a folder of before there were stores as a file a tile", function()
         command.shell(("cp -rl %s %s/tiles"):format(command.quote(store("npy")), dir))
         assert(sql.write_parquet(dir .. "/tiles/index.parquet",
            ("select source, loc, tile from read_parquet('%s/index.parquet')"):format(store("npy"))))
         local l <close> = new("npy", {tiles = dir .. "/tiles"})
         same(batches(new("npy"), 1)[1], l:next())
      end)

      it("leaves out triplets without tiles, counts them, and keeps the rows' numbers", function()
         local o = with_index("npy", "select * from %s where hash(loc) %% 10 > 0")
         local l <close> = assert(loader.new(o))
         assert.is_true(l.dropped > 0)
         assert.equal(40, l.triplets + l.dropped)
         local rows = sql.query(("select a, row_number() over () i from read_parquet('%s')"):format(o.triplets))
         local batch = l:next()
         for i, row in ipairs(batch.rows) do assert.equal(rows[row].a, batch.provenance.anchor.file[i]) end
         fails(with_index("npy", "select * from %s where loc > 1e6"), "none of its 40 triplets has its tiles")
      end)

      it("names a missing index, and a table without the columns", function()
         fails(options("npy", {tiles = dir}), "index.parquet: no such file")
         fails(options("npy", {triplets = mined.get().motif}), "motif.parquet: no column 'a'")
      end)

      it("refuses crops that are longer than the tiles", function()
         fails(options("npy", {seconds = 8}), "crops of 8 s out of tiles of 7 s")
         fails(options("npy", {augment = "shift=2"}), "a shift of 2 s needs tiles of 9 s, these have 7 s")
         fails(options("npy", {sample_rate = 16000}), "tiles at 32000 Hz, not 16000 Hz")
      end)

      it("raises for options that are unknown, missing or out of range", function()
         local function raises(o, pattern) assert.error_matches(function() loader.new(o) end, pattern) end
         raises({tiles = "x"}, "option 'triplets' is missing")
         raises({triplets = "x"}, "option 'tiles' or 'dataset_root' is missing")
         raises({triplets = "x", tiles = "y", colour = 1}, "unknown option 'colour'")
         raises({triplets = "x", tiles = "y", batch_size = 0},
            "option 'batch_size' must be an integer from 1 to 1048576, got 0")
         raises({triplets = "x", tiles = "y", batch_size = 1.5}, "must be an integer from 1 to 1048576, got 1.5")
         raises({triplets = "x", tiles = "y", seconds = 0 / 0}, "option 'seconds' must be")
         raises({triplets = "x", tiles = "y", duration = 7}, "option 'duration' is for a loader without tiles")
         raises(3, "options: a table expected, got 3")
      end)
   end)

   describe("as an object", function()
      it("is closed by hand, twice, and at the end of its block", function()
         local l = new("npy")
         do
            local inner <close> = l
            assert(inner:next())
         end
         l:close()
         assert.error_matches(function() l:next() end, "closed loader")
      end)

      it("gives memory of batches that nobody looks at to the next ones", function()
         local l <close> = new("npy", {prefetch = 1})
         local kept = l:next()
         local copy = kept.anchor:copy()
         for _ = 1, 10 do l:next() end
         assert.is_true(array.equal(copy, kept.anchor))
         collectgarbage()
         local function live() return (require("bclua.system").memory()) end
         local before = live()
         for _ = 1, 30 do l:next() end
         assert.is_true(live() - before <= 4 * 3 * 4 * 160000 * 4)
      end)

      it("counts the time that was waited", function()
         local l <close> = new("none")
         assert.equal(0, l:waited())
         l:next()
         assert.is_true(l:waited() > 0)
      end)

      it("stops within a second on Ctrl-C", function()
         local m = mined.get()
         local script = command.write(dir .. "/forever.lua", ([[
            local l = assert(require("bclua.data.loader").new{triplets = %q, dataset_root = %q, batch_size = 64, cache_mb = 0})
            print("ready") io.stdout:flush()
            while true do assert(l:next()) end]]):format(m.triplets, m.data))
         local out, status = command.shell(([[timeout 60 %s %s >%s/out 2>&1 & pid=$!
            for i in $(seq 300); do grep -q ready %s/out && break; sleep 0.1; done
            kill -INT $pid; sleep 1; kill -0 $pid 2>/dev/null && echo still there; cat %s/out; wait $pid]]):format(
            command.quote(BCLUA), script, dir, dir, dir))
         assert.matches("ready", out)
         assert.not_matches("still there", out)
         assert.is_true(status ~= 0)
      end)
   end)
end)
