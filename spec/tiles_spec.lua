local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local files = require "bclua.files"
local sampling = require "bclua.sampling"
local segments = require "bclua.workflow.segments"
local sql = require "bclua.sql"
local system = require "bclua.system"
local tiles = require "bclua.workflow.tiles"

local RATE, LENGTH = 32000, 224000
local dir, quote = nil, command.quote

-- A different piece of the same noise for each number.
local NOISE = (sampling.generator(1):uniform(50 * RATE) * 0.4 - 0.2):copy("f32")
local function noise(seconds, number, rate)
   local n = math.floor(seconds * (rate or RATE))
   return NOISE:slice(1, number * 1009 + 1, number * 1009 + n)
end

local function put(name, y, rate, options)
   local path = dir .. "/data/t/" .. name
   assert(system.mkdir(files.dirname(path)))
   assert(audio.save(path, y, rate or RATE, options))
   return path
end

-- A table of triplets out of windows {source, loc}, three a row.
local function triplets(windows, name)
   local path = dir .. "/" .. (name or "triplets") .. ".parquet"
   local columns, n = {}, (#windows + 2) // 3
   for k, role in ipairs({"a", "b", "c"}) do
      local source, loc, species = {n = n}, array.zeros(n, "f64"), {n = n}
      for i = 1, n do
         local w = windows[(i - 1) * 3 + k] or windows[1]
         source[i], loc[i], species[i] = "t/" .. w[1], w[2], "x"
      end
      columns[role], columns[role .. "_loc"], columns[role .. "_species"] = source, loc, species
   end
   columns.neighbor, columns.distant = {n = n}, {n = n}
   for i = 1, n do columns.neighbor[i], columns.distant[i] = "group", "clip" end
   assert(sql.write_parquet(path, columns, {order = {"a", "a_loc", "b", "b_loc", "c", "c_loc", "a_species", "b_species",
      "c_species", "neighbor", "distant"}}))
   return path
end

local function run(input, options)
   local o = {input = input, dataset_root = dir .. "/data", output = dir .. "/tiles", quiet = true}
   for k, v in pairs(options or {}) do o[k] = v end
   return tiles.run(o)
end

local function index(folder)
   local path = (folder or dir .. "/tiles") .. "/index.parquet"
   return sql.query(("select * from read_parquet(%s)"):format(sql.quote(path)))
end

-- The samples of a row of the index, f32.
local function read(row, folder)
   local path = (folder or dir .. "/tiles") .. "/" .. row.tile
   local y
   if path:find("%.flac$") then
      y = assert(audio.load(path)) * 32768
   else
      y = assert(array.load(path, {mmap = true})):copy("f32")
   end
   return y:slice(1, row.first + 1, row.first + LENGTH) * row.scale
end

local function recording(source) return assert(audio.load(dir .. "/data/" .. source, {sample_rate = RATE})) end

local function assert_right(rows, tolerance)
   for _, row in ipairs(rows) do
      local expected = sampling.cut(recording(row.source), RATE, row.loc, 7)
      local got = read(row)
      assert.equal(LENGTH, #got)
      local off = array.max_difference(expected, got)
      assert.is_true(off <= tolerance, ("%s at %g: off by %g"):format(row.source, row.loc, off))
   end
end

local function same_folders(a, b) return (command.shell(("diff -r %s %s"):format(quote(a), quote(b)))) end

local function cli(words, prefix)
   return command.shell(("%s BCLUA_QUIET=1 %s scripts/motif.lua extract-triplets %s"):format(prefix or "",
      quote(command.program), (words:gsub("@", dir))))
end

before_each(function() dir = command.folder() end)
after_each(function() command.remove(dir) end)

describe("spans", function()
   it("hold windows that overlap or touch, in order", function()
      local list = segments.merge({30, 0, 5, 10, 100}, 10, 1000)
      assert.equal(3, #list)
      assert.same({first = 0, last = 20, windows = {2, 3, 4}}, list[1])
      assert.same({first = 30, last = 40, windows = {1}}, list[2])
      assert.same({5}, list[3].windows)
   end)

   it("end where they would be too long", function()
      local list = segments.merge({0, 5, 10, 15}, 10, 20)
      assert.same({{0, 20}, {15, 25}}, {{list[1].first, list[1].last}, {list[2].first, list[2].last}})
   end)

   it("give the same samples whatever their limit", function()
      put("a/1.wav", noise(40, 1))
      local locs = {0.5, 3, 6, 9.25, 12, 18, 31, 39.9}
      local path, limit = dir .. "/data/t/a/1.wav", segments.longest_s
      finally(function() segments.longest_s = limit end)
      local function all(longest_s)
         local got = {}
         segments.longest_s = longest_s
         assert(segments.read(path, locs, {seconds = 7, sample_rate = RATE}, function(samples, windows)
            for _, w in ipairs(windows) do got[w.index] = samples:slice(1, w.offset + 1, w.offset + LENGTH):copy() end
            return true
         end))
         return got
      end
      local expected = all(limit)
      for _, longest_s in ipairs({7, 9, 15}) do
         local got = all(longest_s)
         for i = 1, #locs do assert.is_true(array.equal(expected[i], got[i]), longest_s .. " " .. i) end
      end
   end)
end)

describe("extract-triplets", function()
   local WINDOWS = {{"a/1.wav", 10}, {"a/1.wav", 12.5}, {"b/2.wav", -1}, {"a/1.wav", 25.123}, {"a/1.wav", 0},
      {"b/3.wav", 29.99}, {"b/3.wav", 15}, {"b/4.ogg", -1}, {"b/4.ogg", 10}}

   local function data()
      put("a/1.wav", noise(30, 1))
      put("b/2.wav", noise(3.3, 2))
      local y = noise(30, 3, 44100)
      put("b/3.wav", array.concat({y:reshape({1, #y}), (y * 0.5):reshape({1, #y})}), 44100)
      put("b/4.ogg", noise(12, 4))
   end

   for store, tolerance in pairs({packed = 0.51 / 32767, flac = 0.51 / 32767, npy = 0}) do
      it(store .. " holds every distinct window, centred where the table says", function()
         data()
         local result = assert(run(triplets(WINDOWS), {store = store}))
         assert.same({9, 0, 0}, {result.made, result.skipped, #result.failures})
         local rows = index()
         assert.equal(9, #rows)
         assert_right(rows, tolerance + 1e-9)
         assert.is_false(files.exists(dir .. "/tiles/unfinished"))
         assert.is_false(files.exists(dir .. "/tiles/failures.csv"))
      end)

      it(store .. " is the same on any number of threads, and does nothing the second time", function()
         data()
         local windows = {table.unpack(WINDOWS)}
         for i = 5, 24 do
            put(("c/%d.wav"):format(i), noise(8, i))
            windows[#windows + 1] = {("c/%d.wav"):format(i), i / 7}
         end
         local t = triplets(windows)
         local before = system.threads()
         for _, n in ipairs({1, 3}) do
            system.threads(n)
            assert.equal(29, run(t, {store = store, output = dir .. "/tiles" .. n}).made)
         end
         system.threads(before)
         assert.equal("", same_folders(dir .. "/tiles1", dir .. "/tiles3"))
         command.shell(("cp -a %s %s"):format(quote(dir .. "/tiles1"), quote(dir .. "/again")))
         local result = assert(run(t, {store = store, output = dir .. "/again"}))
         assert.same({0, 29}, {result.made, result.skipped})
         assert.equal("", same_folders(dir .. "/tiles1", dir .. "/again"))
      end)

      it(store .. " goes on after SIGKILL, to the bytes of an unbroken run", function()
         local windows = {}
         for i = 1, 16 do -- their conversion takes a while
            put(("c/%d.wav"):format(i), noise(12, i, 44100), 44100)
            for k = 1, 3 do windows[#windows + 1] = {("c/%d.wav"):format(i), 3.5 * k} end
         end
         local t = triplets(windows)
         assert(run(t, {store = store, output = dir .. "/whole"}))
         local words = ("%s --dataset-root @/data --output @/tiles --store %s --threads 1"):format(t, store)
         local out = command.shell(([[BCLUA_QUIET=1 %s scripts/motif.lua extract-triplets %s & pid=$!
            until [ -e %s/tiles/unfinished/00000.json ]; do kill -0 $pid || exit 9; done
            kill -9 $pid; wait $pid; echo "status $?"]]):format(quote(command.program), (words:gsub("@", dir)), dir))
         assert.matches("status 137", out)
         assert.is_false(files.exists(dir .. "/tiles/index.parquet"))
         local result = assert(run(t, {store = store}))
         assert.is_true(result.skipped > 0 and result.made > 0 and result.made + result.skipped == 48,
            ("%d made, %d skipped"):format(result.made, result.skipped))
         assert.equal("", same_folders(dir .. "/whole", dir .. "/tiles"))
      end)
   end

   it("cuts no silence without a word", function()
      local gated, y = noise(20, 1):copy(), noise(12, 2)
      gated:slice(1, 8 * RATE + 1, 20 * RATE):fill(0.125)
      put("gated.flac", gated)
      put("opposite.wav", array.concat{y, y * -1}:reshape{2, #y})
      put("short.wav", noise(2, 3))
      put("fine.wav", noise(12, 4))
      local result = assert(run(triplets{{"gated.flac", 5}, {"gated.flac", 13}, {"opposite.wav", 5}, {"short.wav", -1},
         {"fine.wav", 3.5}, {"opposite.wav", 8}}))
      assert.same({6, 0, 2}, {result.made, #result.failures, #result.warnings})
      local text = command.read(dir .. "/tiles/warnings.csv")
      assert.matches("gated.flac,extract-triplets,silent or constant: 1 of its 2 windows", text, 1, true)
      assert.matches("opposite.wav,extract-triplets,its channels cancel each other: opposite phase", text, 1, true)
   end)

   it("tries once more what could not be read", function()
      local path = put("a/1.wav", noise(8, 1))
      local t, good = triplets({{"a/1.wav", 4}}), command.read(path)
      local function become(bytes) -- another content; size and time stay, as where it is only not to be had for a while
         command.write(path, bytes)
         command.shell("touch -d @1700000000 " .. quote(path))
      end
      become(("x"):rep(#good))
      assert.matches("its only recording failed", select(2, run(t)), 1, true)
      become(good)
      assert.same({1, 0}, {assert(run(t)).made, #assert(run(t)).failures})
      assert_right(index(), 0.51 / 32767)
   end)

   it("stores once what windows share", function()
      put("a/1.wav", noise(30, 1))
      assert(run(triplets({{"a/1.wav", 10}, {"a/1.wav", 12}, {"a/1.wav", 16}})))
      assert.equal((7 + 6) * RATE, #array.load(dir .. "/tiles/packed-00000.npy"))
      assert_right(index(), 0.51 / 32767)
   end)

   it("keeps what is louder than full scale", function()
      put("a/1.wav", noise(8, 1) * 20, RATE, {subtype = "float"})
      for _, store in ipairs({"packed", "flac"}) do
         assert(run(triplets({{"a/1.wav", 4}}), {store = store, output = dir .. "/" .. store}))
         local row = index(dir .. "/" .. store)[1]
         local y = sampling.cut(recording("t/a/1.wav"), RATE, 4, 7)
         assert.near(y:abs():max() / 32767, row.scale, 1e-9)
         assert.is_true(array.max_difference(y, read(row, dir .. "/" .. store)) <= 0.51 * row.scale)
      end
   end)

   it("adds only what is missing when more triplets come", function()
      data()
      assert(run(triplets(WINDOWS)))
      local first = command.read(dir .. "/tiles/packed-00000.npy")
      put("c/9.wav", noise(9, 9))
      local more = triplets({{"a/1.wav", 10}, {"a/1.wav", 20}, {"c/9.wav", 3}}, "more")
      local result = assert(run(more))
      assert.same({2, 1}, {result.made, result.skipped})
      assert.is_true(first == command.read(dir .. "/tiles/packed-00000.npy"))
      assert.equal(11, #index())
      assert_right(index(), 0.51 / 32767)
   end)

   it("lists recordings that are missing or damaged, goes on, and cuts them when they are repaired", function()
      data()
      local whole = command.read(dir .. "/data/t/b/4.ogg")
      command.write(dir .. "/data/t/b/4.ogg", whole:sub(1, #whole // 2))
      os.rename(dir .. "/data/t/a/1.wav", dir .. "/data/t/a/moved.wav")
      local t = triplets(WINDOWS)
      local result = assert(run(t))
      assert.same({4, 2}, {result.made, #result.failures}) -- of what is left of 4.ogg the whole is a tile
      assert.matches("t/a/1.wav: No such file or directory", result.failures[1].reason)
      assert.matches("t/b/4.ogg: .*10", result.failures[2].reason)
      assert.matches("path,step,reason\n.*4%.ogg,extract%-triplets,", command.read(dir .. "/tiles/failures.csv"))
      local again = assert(run(t))
      assert.same({0, 4, 2}, {again.made, again.skipped, #again.failures})
      command.write(dir .. "/data/t/b/4.ogg", whole)
      result = assert(run(t))
      assert.same({2, 3, 1}, {result.made, result.skipped, #result.failures})
      os.rename(dir .. "/data/t/a/moved.wav", dir .. "/data/t/a/1.wav")
      result = assert(run(t))
      assert.same({4, 5, 0}, {result.made, result.skipped, #result.failures})
      assert.is_false(files.exists(dir .. "/tiles/failures.csv"))
      assert_right(index(), 0.51 / 32767)
   end)

   it("cuts a changed recording anew, and only that", function()
      data()
      local t = triplets(WINDOWS)
      assert(run(t))
      put("b/3.wav", noise(31, 77))
      local result = assert(run(t))
      assert.same({2, 7}, {result.made, result.skipped})
      assert.equal(9, #index())
      assert_right(index(), 0.51 / 32767)
   end)

   it("leaves out a changed recording that is damaged now", function()
      data()
      local t = triplets(WINDOWS)
      assert(run(t))
      command.write(dir .. "/data/t/b/3.wav", "no sound")
      local result = assert(run(t))
      assert.same({0, 7, 1}, {result.made, result.skipped, #result.failures})
      assert.equal(7, #index())
   end)

   it("keeps the tiles of a recording that is gone", function()
      data()
      local t = triplets(WINDOWS)
      assert(run(t))
      os.remove(dir .. "/data/t/a/1.wav")
      local result = assert(run(t))
      assert.same({0, 9, 0}, {result.made, result.skipped, #result.failures})
   end)

   it("removes a file that no row needs", function()
      put("a/1.wav", noise(10, 1))
      local t = triplets({{"a/1.wav", 5}})
      assert(run(t))
      put("a/1.wav", noise(11, 2))
      assert(run(t))
      assert.is_false(files.exists(dir .. "/tiles/packed-00000.npy"))
      assert_right(index(), 0.51 / 32767)
   end)

   it("lists a window past the end alone", function()
      put("a/1.wav", noise(10, 1))
      local result = assert(run(triplets({{"a/1.wav", 5}, {"a/1.wav", 9.99}, {"a/1.wav", 10}})))
      assert.same({2, 1}, {result.made, #result.failures})
      assert.matches("t/a/1.wav: a window at 10.000 s, but it ends at 10.000 s", result.failures[1].reason)
      assert_right(index(), 0.51 / 32767)
   end)

   it("fails when every recording did", function()
      put("a/1.wav", noise(10, 1))
      local result, message = run(triplets({{"a/1.wav", 50}, {"a/2.wav", 10}, {"a/1.wav", 60}}))
      assert.is_nil(result)
      assert.matches("triplets.parquet: all 2 recordings failed, the first: .*1.wav: a window at 50", message)
   end)

   it("cuts again what lay in a file that was truncated or removed", function()
      data()
      local t = triplets(WINDOWS)
      for _, store in ipairs({"packed", "flac", "npy"}) do
         local o = {store = store, output = dir .. "/" .. store}
         assert(run(t, o))
         local path = o.output .. "/" .. index(o.output)[1].tile
         local bytes = command.read(path)
         command.write(path, bytes:sub(1, #bytes // 2))
         assert.is_true(run(t, o).made > 0)
         os.remove(o.output .. "/" .. index(o.output)[1].tile)
         assert.is_true(run(t, o).made > 0)
         for _, row in ipairs(index(o.output)) do
            local y = sampling.cut(recording(row.source), RATE, row.loc, 7)
            assert.is_true(array.max_difference(y, read(row, o.output)) <= 0.51 / 32767)
         end
      end
   end)

   it("refuses a folder of another store or length, and redoes it with --force", function()
      data()
      local t = triplets(WINDOWS)
      assert(run(t, {store = "npy"}))
      assert.matches("tiles: was made with other parameters %(store = npy, now packed%)", select(2, run(t)))
      assert(run(t, {force = true}))
      assert.same({"packed-00000.npy"}, files.find(dir .. "/tiles", function(name) return name:find("%.npy$") end))
      assert_right(index(), 0.51 / 32767)
      assert.matches("duration = 7, now 5", select(2, run(t, {duration = 5})))
   end)

   it("names what of a killed process lies about, and removes it", function()
      data()
      assert(system.mkdir(dir .. "/tiles"))
      command.write(dir .. "/tiles/packed-00000.npy.tmp99999999-3", "half")
      assert(run(triplets(WINDOWS)))
      assert.is_false(files.exists(dir .. "/tiles/packed-00000.npy.tmp99999999-3"))
   end)

   it("only looks whether recordings are there with --store none", function()
      data()
      local t = triplets(WINDOWS)
      os.remove(dir .. "/data/t/a/1.wav")
      local result = assert(run(t, {store = "none", output = false}))
      assert.equal(1, #result.failures)
      local words = ("extract-triplets %s --dataset-root %s --store none"):format(t, dir .. "/data")
      local out, status = command.shell(quote(command.program) .. " scripts/motif.lua " .. words)
      assert.equal(0, status)
      assert.matches("9 windows of 4 recordings %(1 are missing%)", out)
      assert.matches("embed fit %S+/triplets.parquet %-%-dataset%-root %S+/data", out)
   end)

   it("takes a table of the original system with --loc-unit frames", function()
      put("x/1.wav", noise(30, 1))
      local path = dir .. "/old.parquet"
      sql.exec(("copy (select 't/x/1.wav' a, 100.0 a_loc, 't/x/1.wav' b, 7.0 b_loc, 't/x/1.wav' c, 20.5 c_loc) " ..
         "to %s (format parquet)"):format(sql.quote(path)))
      assert.matches("old.parquet: no columns .* say %-%-loc%-unit frames", select(2, run(path)))
      assert(run(path, {loc_unit = "frames"}))
      local locs = {}
      for i, row in ipairs(index()) do locs[i] = row.loc end
      assert.same({3.2, 12.5, 20.5}, locs)
      assert_right(index(), 0.51 / 32767)
   end)

   it("says before it begins that the disk is too small, for each store", function()
      local sources = {{source = "t/a/1.ogg", id = "1", locs = {1, 2, 30}}}
      local function check(store, free)
         return tiles.check_room(sources, {store = store, output = "/nowhere", seconds = 7, sample_rate = RATE}, free)
      end
      assert.equal(2 * 15 * RATE, check("packed", 1e6))
      assert.equal(3 * (128 + 4 * LENGTH), check("npy", 3e6))
      assert.is_true(check("flac", 1e6) < check("packed", 1e6))
      assert.same({nil, "/nowhere: no room for 3 tiles of 7 s: they take 0.0 GB, 0.0 GB are free (draw fewer " ..
         "triplets, choose another --output, or --store none)"}, {check("npy", 2e6)})
      assert.matches("they take about 0.0 GB", select(2, check("flac", 1e5)))
   end)

   it("loses nothing when the disk is full in the middle", function()
      local windows = {}
      for i = 1, 36 do
         put(("c/%d.wav"):format(i), noise(i < 20 and 6 or 25, i))
         windows[#windows + 1] = {("c/%d.wav"):format(i), 3}
         if i >= 20 then windows[#windows + 1] = {("c/%d.wav"):format(i), 15} end
      end
      local t = triplets(windows)
      assert(run(t, {output = dir .. "/whole"}))
      local words = t .. " --dataset-root @/data --output @/tiles --threads 1"
      local sizes = files.find(dir .. "/whole", function(name) return name:find("^packed") ~= nil end)
      local least, most = math.huge, 0
      for _, name in ipairs(sizes) do
         local bytes = files.stamp(dir .. "/whole/" .. name)
         least, most = math.min(least, bytes), math.max(most, bytes)
      end
      assert.is_true(least < most)
      local out, status = cli(words, ("ulimit -f %d; trap '' XFSZ;"):format((least + most) // 2 // 512))
      assert.equal(1, status, out)
      assert.matches("^motif extract%-triplets: %S+/tiles/packed%-%d+.npy: File too large\n$", out)
      assert.equal("", (command.shell(("find %s/tiles -name '*.tmp*' -o -name index.parquet"):format(dir))))
      out, status = cli(words)
      assert.equal(0, status, out)
      assert.equal("", same_folders(dir .. "/whole", dir .. "/tiles"))
   end)

   it("names a table without the columns, and a folder that is not there", function()
      local path = dir .. "/x.parquet"
      sql.exec(("copy (select 1 as x) to %s (format parquet)"):format(sql.quote(path)))
      assert(system.mkdir(dir .. "/data"))
      assert.matches("x.parquet: no column 'a'", select(2, run(path)))
      assert.matches("/nope: no such folder", select(2, run(path, {dataset_root = "/nope"})))
      assert.matches("triplets.parquet: no triplets", select(2, run(triplets({}))))
      assert.error_matches(function() run(path, {store = "zip"}) end,
         "option 'store' must be one of packed, flac, npy, none, got 'zip'")
   end)
end)
