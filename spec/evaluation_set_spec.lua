-- The windows that evaluations judge.
local array = require "bclua.array"
local command = require "support.command"
local evaluate = require "bclua.workflow.evaluate"
local evaluations = require "support.evaluations"
local sql = require "bclua.sql"

local judge, set_of = evaluations.judge, evaluations.set_of
local m, dir, holdout
setup(function() m, dir, holdout = evaluations.open() end)
teardown(evaluations.close)

-- The windows of all recordings, by what `windows` says, if anything: collected once, and only read.
local sets = {}
local function shared(windows)
   local name = windows or "plain"
   sets[name] = sets[name] or assert(set_of{windows = windows})
   return sets[name]
end

-- A copy of the recordings without some.
local function without(name, names)
   local copy = dir .. "/" .. name
   command.shell(("cp -r %s %s"):format(command.quote(m.data), command.quote(copy)))
   for _, gone in ipairs(names) do os.remove(copy .. "/" .. gone) end
   return copy
end

describe("collected windows", function()
   it("of the motifs: five seconds each, none overlapping, named", function()
      local set = shared()
      assert.equal(#holdout, set.files)
      assert.same({#set.labels, 256}, set.plain:shape())
      for i = 1, #set.starts do
         for j = 1, i - 1 do
            assert.is_true(set.recordings[i] ~= set.recordings[j] or math.abs(set.starts[i] - set.starts[j]) >= 5)
         end
         assert.matches("/" .. set.labels[i] .. "/", set.recordings[i], 1, true)
      end
      local first
      set:each(function(windows, at) if at == 1 then first = windows[1] end end)
      local y = assert(require("bclua.audio").load(m.data .. "/" .. set.recordings[1], {sample_rate = 32000}))
      local at = math.floor(set.starts[1] * 32000 + 0.5)
      assert.is_true(array.equal(first, y:slice(1, at + 1, at + 160000)))
   end)

   it("of the best call score: as many at most, in order of time, with more song than the first seconds", function()
      local set = assert(set_of{windows = "best", motifs = 1})
      local calls = sql.query(("select file, start_s, end_s from %s"):format(sql.quote(m.data .. "/calls.csv")))
      local function song(file, from)
         local sum = 0
         for _, c in ipairs(calls) do
            if c.file == file then sum = sum + math.max(0, math.min(from + 5, c.end_s) - math.max(from, c.start_s)) end
         end
         return sum
      end
      local most = {}
      for i, start in ipairs(set.starts) do
         local name = set.recordings[i]
         assert.is_true(start >= 0)
         assert.is_true(i == 1 or name ~= set.recordings[i - 1] or start >= set.starts[i - 1] + 5)
         assert.is_true(i < 3 or name ~= set.recordings[i - 2])
         most[name] = math.max(most[name] or 0, song(name, start))
      end
      local better = 0
      for name, seconds in pairs(most) do better = better + (seconds > song(name, 0) and 1 or 0) end
      assert.is_true(better >= 14, better .. " of 16")
   end)

   it("all of them: one behind the other", function()
      local set = shared("all")
      local rows = sql.query(("select duration_seconds s from %s where source_name = %s"):format(sql.quote(m.motif),
         sql.quote(holdout[1])))
      local n = math.floor(rows[1].s / 5)
      for i = 1, n do
         assert.equal(holdout[1], set.recordings[i])
         assert.equal(5 * (i - 1), set.starts[i])
      end
      assert.equal(holdout[2], set.recordings[n + 1])
   end)

   it("are the same where there is no memory to keep them", function()
      local kept, again = shared("all"), assert(set_of{windows = "all", memory_mb = 1})
      local function sound(set)
         local parts = {}
         assert(set:each(function(windows, at)
            assert.equal(1 + (parts.n or 0), at)
            parts[#parts + 1], parts.n = windows, (parts.n or 0) + #windows
         end))
         return array.concat(parts)
      end
      assert.is_nil(again.sound)
      assert.is_true(array.equal(sound(kept), sound(again)))
   end)

   it("name a species none of whose recordings can be read", function()
      local gone = {}
      for _, name in ipairs(holdout) do
         if name:find("synfin1", 1, true) then gone[#gone + 1] = name end
      end
      local root = without("gone", gone)
      local set = assert(set_of{dataset_root = root})
      assert.same({"synfin1"}, set.missing)
      assert.equal(#gone, #set.failures)
      local result = assert(judge{dataset_root = root})
      assert.equal(3, result.classes)
      assert.matches("none of their recordings could be read: synfin1", evaluate.text(result), 1, true)
   end)

   it("leave out silence and constants, and name recordings that have nothing else", function()
      local audio = require "bclua.audio"
      local root = without("silent", {})
      local function change(name, f)
         local y, rate = assert(audio.load(root .. "/" .. name))
         assert(audio.save(root .. "/" .. name, f(y:copy()), rate, {format = "flac"})) -- zeros stay zeros
      end
      change(holdout[1], function(y)
         y:slice(1, 1, 5 * 32000):fill(0)
         return y
      end)
      change(holdout[2], function(y) return array.concat{y, y * -1}:reshape{2, #y} end)
      local names = {holdout[1], holdout[2], holdout[3]}
      local all = assert(set_of{windows = "all", recordings = names})
      for _, memory_mb in ipairs{1024, 0} do
         local set = assert(set_of{windows = "all", recordings = names, dataset_root = root, memory_mb = memory_mb})
         local seen, of_second = 0, 0
         for _, name in ipairs(all.recordings) do of_second = of_second + (name == holdout[2] and 1 or 0) end
         assert.equal(#all.starts - 1 - of_second, #set.starts)
         assert.equal(1 + of_second, set.silent)
         assert.same({holdout[1], 5}, {set.recordings[1], set.starts[1]})
         assert.equal(root .. "/" .. holdout[2], set.failures[1].path)
         assert.matches("its channels cancel each other", set.failures[1].reason)
         assert(set:each(function(windows) seen = seen + #windows end))
         assert.same({#set.starts, #set.starts}, {seen, #set.plain})
      end
      local best = assert(set_of{recordings = names, dataset_root = root})
      assert.matches("its channels cancel each other", best.failures[1].reason)
      assert.equal(0, best.silent)
      assert.matches("left out, silent or constant: %d windows", evaluate.text((assert(judge{windows = "all",
         dataset_root = root}))))
   end)

   it("fail where nothing can be read, and take no other names", function()
      local _, message = set_of{dataset_root = without("empty", holdout)}
      assert.matches("^" .. dir .. "/empty/", message)
      assert.matches("/nope: no such folder", select(2, set_of{dataset_root = "/nope"}))
      _, message = set_of{recordings = {"no such"}}
      assert.matches("none of the recordings kept for evaluation has a motif", message)
      assert.error_matches(function() set_of{windows = "worst"} end,
         "option 'windows' must be one of motif, best, all, got 'worst'")
      assert.error_matches(function() set_of{window = "best"} end, "unknown option 'window'")
   end)
end)
