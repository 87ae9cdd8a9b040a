local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local loading = require "bclua.loading"

local nan = 0 / 0

describe("bclua.loading", function()
   local folder, paths

   setup(function()
      folder = command.folder()
      paths = {folder .. "/a.flac", folder .. "/b.flac"}
      for _, path in ipairs(paths) do assert(audio.save(path, array.full(8000, 0.1), 8000)) end
   end)
   teardown(function() command.remove(folder) end)

   local function windows(n)
      return {source = array.from({0, 0, 1, 1, 1, 1}, "i32"):slice(1, 1, n), loc = array.full(n, 0.5, "f64")}
   end

   local function options(more)
      local o = {store = "none", paths = paths, sources = paths, sample_rate = 8000, samples = 800, duration = 0.2,
         batch_size = 3, windows = {anchor = windows(4), neighbor = windows(4), distant = windows(4)}}
      for name, value in pairs(more or {}) do o[name] = value end
      return o
   end

   local function walk(first, more)
      local o = options(more)
      o.windows.distant, o.first = nil, array.from(first, "i64")
      return o
   end

   local function raises(text, o)
      assert.error_matches(function() loading.new(o) end, text, 1, true)
   end

   it("goes over the slices of a walk", function()
      local l <close> = loading.new(walk{0, 2, 4})
      local seen = {}
      for _ = 1, 4 do
         for _, row in ipairs(assert(l:next()).rows) do seen[row] = (seen[row] or 0) + 1 end
      end
      assert.same({3, 3, 3, 3}, seen)
   end)

   it("reads the channel of each recording that it is told, else the mean", function()
      local both = folder .. "/both.flac"
      local rows = array.zeros{2, 8000}
      rows[1]:fill(0.5)
      rows[2]:fill(-0.25)
      assert(audio.save(both, rows, 8000))
      local function level(channels)
         local l <close> = loading.new(options{paths = {both, paths[2]}, batch_size = 4,
            channels = channels and array.from(channels, "i32")})
         local batch, levels = assert(l:next()), {}
         for i, file in ipairs(batch.provenance.anchor.file) do levels[file] = batch.anchor:at(i, 400) end
         return {levels[paths[1]], levels[paths[2]]}
      end
      local alone = math.floor(0.1 * 32768 + 0.5) / 32768
      assert.same({0.125, alone}, level(nil))
      assert.same({0.5, alone}, level{1, 0})
      assert.same({-0.25, alone}, level{2, 1})
      raises("channels must be 0 or more", options{channels = array.from({-1, 0}, "i32")})
      raises("column 'channels' has 1 rows, not 2", options{channels = array.from({1}, "i32")})
      local l <close> = loading.new(options{channels = array.from({2, 2}, "i32")})
      local batch, message = l:next()
      assert.is_nil(batch)
      assert.matches("no channel 2 %(it has 1%)", message)
   end)

   it("refuses slices that are not those of its windows", function()
      for _, first in ipairs{{0, 2, 5}, {0, 2, 3}, {0, 5, 4}, {1, 2, 4}, {-1, 2, 4}, {0}, {4}, {0, 1 << 62, 4}} do
         raises("column 'first' must rise from 0 to the number of slices, 4", walk(first))
      end
      local o = walk{0}
      o.first = array.zeros(0, "i64")
      raises("column 'first' must rise", o)
      raises("option 'limit' is not for a walk", walk({0, 2, 4}, {limit = 2}))
   end)

   it("refuses columns that do not belong together", function()
      raises("3 windows of role 'neighbor', not 4", options{windows = {anchor = windows(4), neighbor = windows(3),
         distant = windows(4)}})
      local w = windows(4)
      for _, role in ipairs{"anchor", "neighbor", "distant"} do w[role] = array.from({0, 1, 2, 3}, "i32") end
      w.distant = array.from({0, 1, 2, 4}, "i32")
      raises("window 4 of row 3 is none of 4", options{windows = w})
      w.distant = array.from({0, 1, 2}, "i32")
      raises("column 'distant' has 3 rows, not 4", options{windows = w})
   end)

   it("looks at every column of every role, also where they share one", function()
      local source, loc = array.zeros(2, "i32"), array.zeros(2)
      local ours = {source = source, loc = loc}
      local function new(of_neighbor)
         return options{windows = {anchor = ours, neighbor = {source = source, loc = of_neighbor.loc or loc,
            file = of_neighbor.file}, distant = ours}}
      end
      raises("file 7 of row 1 is none of 2", new{file = array.from({0, 7}, "i32")})
      for _, bad in ipairs{nan, math.huge, -math.huge, 1e300} do
         raises("of row 1", new{loc = array.from({0, bad}, "f64")})
      end
   end)

   it("names the option it refuses", function()
      for name, bad in pairs{batch_size = {0, 1 << 40}, workers = {0, -1, 1 << 32}, prefetch = {0}, open = {0, 1 << 62},
         samples = {0, 1 << 62}, sample_rate = {0, -1, 1 << 31}, duration = {nan, math.huge, -1},
         cache_bytes = {-1, 1 << 62}} do
         for _, value in ipairs(bad) do raises(("option '%s' must be"):format(name), options{[name] = value}) end
      end
      raises("unknown option 'worker' (did you mean 'workers'?", options{worker = 1})
      raises("option 'walkers' must be 1 to", walk({0, 2, 4}, {walkers = 0}))
      for name, bad in pairs{shift = nan, gain = math.huge, pitch = 25, noise = {0, nan}, mix = {0}} do
         raises(("effect '%s' must be"):format(name), options{effects = {anchor = {[name] = bad}}})
      end
   end)

   it("does not take a lack of file descriptors for a fault of the recordings", function()
      local script = ([[
         local loading, array = require "bclua.loading", require "bclua.array"
         local w = {source = array.from({0, 1}, "i32"), loc = array.full(2, 0.5, "f64")}
         local l = loading.new{store = "none", paths = {%q, %q}, sources = {"a", "b"}, sample_rate = 8000, samples = 800,
            duration = 0.2, batch_size = 2, open = 2, windows = {anchor = w, neighbor = w, distant = w}}
         local held = {}
         while true do
            local f = io.open("/dev/null")
            if not f then break end
            held[#held + 1] = f
         end
         print(select(2, l:next()))
         for _, f in ipairs(held) do f:close() end
         local b = assert(l:next())
         print(#b.rows, b.read_failures)
      ]]):format(table.unpack(paths))
      command.write(folder .. "/busy.lua", script)
      local out = command.shell(("ulimit -n 64; %s %s/busy.lua"):format(command.quote(command.program), folder))
      assert.matches("^[^\n]*%.flac: Too many open files\n2\tnil\n$", out)
   end)

   it("goes on at positions that there are", function()
      local l <close> = loading.new(options())
      l:seek(1, 6)
      assert.equal(6, l:position())
      for _, bad in ipairs{-1, math.mininteger, math.maxinteger} do
         assert.error_matches(function() l:seek(1, bad) end, "bad argument #2 to 'seek'", 1, true)
      end
   end)

   it("finds the windows of triplets, and none outside of the table", function()
      local w = {source = array.from({0, 0, 2}, "i32"), loc = array.from({-1, 2.5, 2.5}, "f64")}
      local function match(source, loc)
         local a, at = array.from(source, "i32"), array.from(loc, "f64")
         return loading.match(w, {a = a, b = a, c = a, a_loc = at, b_loc = at, c_loc = at})
      end
      local found = match({0, 2, 0, 1, 3, -1, (1 << 31) - 1, 0}, {2.5, 2.5, -1, 2.5, 2.5, -1, 2.5, nan})
      assert.same({0, 1, 2}, found.place:table())
      for _, role in ipairs{"anchor", "neighbor", "distant"} do assert.same({1, 2, 0}, found[role]:table()) end
      w = {source = array.zeros(0, "i32"), loc = array.zeros(0, "f64")}
      assert.equal(0, #match({0}, {0}).place)
   end)
end)
