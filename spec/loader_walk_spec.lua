local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local loader = require "bclua.data.loader"
local mined = require "support.mined"
local sql = require "bclua.sql"

local ROLES = {"anchor", "neighbor", "distant"}

teardown(mined.remove)

describe("walk", function()
   local function new(more)
      local m = mined.get()
      local o = {input = m.motif, dataset_root = m.data, batch_size = 4, seed = 3}
      for k, v in pairs(more or {}) do o[k] = v end
      return assert(loader.walk(o))
   end

   -- What a round must visit: file, start of the slice, start of its nearest window.
   local function slices()
      local list, n = {}, 0
      for _, row in ipairs(sql.query(("select source_name s, pi from read_parquet('%s') where len(pi) > 0"):format(
         mined.get().motif))) do
         for frame = 0, #row.pi - 1, 50 do
            list[("%s %.1f"):format(row.s, frame / 10)] = row.pi[frame + 1] / 10
            n = n + 1
         end
      end
      return list, n
   end

   local function same(a, b)
      assert.same(a.rows, b.rows)
      for _, role in ipairs(ROLES) do
         assert.is_true(array.equal(a[role], b[role]))
         assert.same(a.provenance[role].file, b.provenance[role].file)
      end
   end

   it("takes every slice once a round, with the window its profile points to, and a stranger", function()
      local wanted, n = slices()
      local l <close> = new({batch_size = 1, seconds = 5})
      assert.equal(n, l.triplets)
      for _ = 1, n do
         local p = l:next().provenance
         local key = ("%s %.1f"):format(p.anchor.file[1], p.anchor.seconds[1])
         assert.near(wanted[key], p.neighbor.seconds[1], 1e-9)
         assert.equal(p.anchor.file[1], p.neighbor.file[1])
         assert.not_equal(p.anchor.file[1], p.distant.file[1])
         wanted[key] = nil
      end
      assert.is_nil(next(wanted))
   end)

   it("takes the distant slice from the batch", function()
      local l <close> = new({batch_size = 12})
      for _ = 1, 2 do
         local p = l:next().provenance
         local anchors = {}
         for i, file in ipairs(p.anchor.file) do anchors[file .. p.anchor.seconds[i]] = true end
         for i, file in ipairs(p.distant.file) do
            assert.not_equal(p.anchor.file[i], file)
            assert.is_true(anchors[file .. p.distant.seconds[i]])
         end
      end
   end)

   it("gives the sound of the slices", function()
      local m = mined.get()
      local l <close> = new()
      local batch = l:next()
      for _, role in ipairs(ROLES) do
         for i, file in ipairs(batch.provenance[role].file) do
            local y = assert(audio.load(m.data .. "/" .. file))
            local at = math.floor(batch.provenance[role].seconds[i] * 32000 + 0.5)
            assert.is_true(array.equal(y:slice(1, at + 1, at + 160000), batch[role][i]))
         end
      end
   end)

   it("goes over a few recordings at a time, from the beginning of each", function()
      local l <close> = new({walkers = 2, batch_size = 1})
      local last, open, most = {}, {}, 0
      local left = {}
      for key in pairs((slices())) do
         local file = key:match("^%S+")
         left[file] = (left[file] or 0) + 1
      end
      for _ = 1, l.triplets do
         local p = l:next().provenance.anchor
         local file = p.file[1]
         assert.is_true(p.seconds[1] > (last[file] or -1))
         last[file], open[file] = p.seconds[1], true
         local n = 0
         for _ in pairs(open) do n = n + 1 end
         most = math.max(most, n)
         left[file] = left[file] - 1
         if left[file] == 0 then open[file] = nil end
      end
      assert.equal(2, most)
   end)

   it("does not depend on the number of threads, and goes on where its state was taken", function()
      local one <close> = new({workers = 1})
      local four <close> = new({workers = 4, prefetch = 3})
      for _ = 1, 3 do same(one:next(), four:next()) end
      local other <close> = new()
      assert(other:restore(one:state()))
      for _ = 1, 8 do same(one:next(), other:next()) end -- into the next round
   end)

   it("reads the folder of extract as well as the table of consolidate", function()
      local m = mined.get()
      local a <close> = new()
      local b <close> = new({input = m.dir .. "/motif"})
      assert.equal(a.triplets, b.triplets)
      for _ = 1, 3 do same(a:next(), b:next()) end
   end)

   it("shifts slices only on request", function()
      local l <close> = new({augment = "shift=0.5"})
      local plain <close> = new()
      local a, b = l:next().provenance.anchor.seconds, plain:next().provenance.anchor.seconds
      assert.is_true((a - b):abs():max() > 0.05)
      assert.is_true((a - b):abs():max() <= 0.5)
   end)

   it("passes by a recording that is gone", function()
      local m, dir = mined.get(), command.folder()
      command.shell(("cp -rl %s %s/data"):format(command.quote(m.data), dir))
      local gone = (next((slices()))):match("^%S+")
      os.remove(dir .. "/data/" .. gone)
      local l <close> = new({dataset_root = dir .. "/data", batch_size = 8})
      for _ = 1, l.triplets // 8 do
         local p = l:next().provenance
         for i = 1, 8 do
            for _, role in ipairs(ROLES) do assert.not_equal(gone, p[role].file[i]) end
            assert.not_equal(p.anchor.file[i], p.distant.file[i])
         end
      end
      assert.is_true(l.replaced > 0)
      assert.equal(1, #l.failures)
      assert.equal(gone, l.failures[1].path)
      command.remove(dir)
   end)

   it("says what is missing", function()
      local m, dir = mined.get(), command.folder()
      local function fails(o, pattern)
         local l, message = loader.walk(o)
         assert.is_nil(l)
         assert.matches(pattern, message)
      end
      fails({input = m.motif, dataset_root = "/nope"}, "/nope: no such folder")
      fails({input = m.triplets, dataset_root = m.data}, "triplets.parquet: no column 'source_name'")
      fails({input = dir .. "/none.parquet", dataset_root = m.data}, "none.parquet")
      assert(sql.write_parquet(dir .. "/one.parquet",
         ("select * from read_parquet('%s') where len(pi) > 0 limit 1"):format(m.motif)))
      fails({input = dir .. "/one.parquet", dataset_root = m.data},
         "one.parquet: a walk needs 2 recordings with a matrix profile, got 1")
      fails({input = dir, dataset_root = m.data}, ": a walk needs 2 recordings with a matrix profile, got 0")
      assert.error_matches(function() loader.walk({input = "x"}) end, "option 'dataset_root' is missing")
      assert.error_matches(function() loader.walk({input = "x", dataset_root = "y", tiles = "z"}) end,
         "unknown option 'tiles'")
      command.remove(dir)
   end)
end)
