local array = require "bclua.array"
local command = require "support.command"
local mpi = require "bclua.mpi"
local parallel = require "bclua.parallel"
local ranks = require "support.ranks"

-- Lines of the output that begin with "> ", without that, sorted: ranks write in any order.
local function said(out)
   local lines = {}
   for line in out:gmatch("> ([^\n]*)") do lines[#lines + 1] = line end
   table.sort(lines)
   return lines
end

-- What `text` says on n ranks; it says it with `say`.
local function run(n, text)
   local out, status = ranks.script(n, "local function say(...) io.write('> ' .. string.format(...) .. '\\n') end " ..
      "local rank, size = mpi.rank(), mpi.size() " .. text)
   assert.equal(0, status, out)
   return said(out)
end

describe("mpi without a launcher", function()
   it("has one rank, for which all functions work", function()
      assert.same({0, 1}, {mpi.rank(), mpi.size()})
      assert.is_nil(mpi.library())
      mpi.barrier()
      local a = array.from{1, 2, 3}
      assert.equal(a, mpi.sum(a))
      assert.same({1, 2, 3}, a:table())
      assert.same({"x"}, mpi.all_gather("x"))
      assert.equal("x", mpi.broadcast("x"))
   end)

   it("has nobody to send to, and sends arrays and strings only", function()
      assert.error_matches(function() mpi.send("x", 0) end, "rank 0 is not another of the 1")
      assert.error_matches(function() mpi.receive(1) end, "rank 1 is not another of the 1")
      assert.error_matches(function() mpi.broadcast("x", 1) end, "rank 1 is none of the 1")
      assert.error_matches(function() mpi.all_gather(nil) end, "array or string expected, got nil")
      assert.error_matches(function() mpi.sum(array.from({1}, "i32")) end, "array of f32 or f64")
      assert.error_matches(function() mpi.sum(array.zeros{3, 3}:T()) end, "contiguous array")
      assert.error_matches(function() mpi.sum(array.zeros(2, "f64"), "bf16") end, "bf16 are of arrays of f32")
      assert.error_matches(function() mpi.begin_sum(array.zeros(2)):ready(4) end, "no such element")
   end)

   it("is one rank where a launcher started it alone", function()
      local out = command.bclua({"-e", "print(require('bclua.mpi').size())"},
         {env = "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=1"})
      assert.equal("1\n", out)
   end)

   it("refuses variables of a launcher that is not there", function()
      if not ranks.launcher() then return end
      local out, status = command.bclua({"-e", "print(require('bclua.mpi').size())"},
         {env = "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2"})
      assert.not_equal(0, status)
      assert.matches("OMPI_COMM_WORLD_SIZE is 2, but libmpi.- finds no other rank", out)
   end)

   it("is for the main thread only", function()
      local why
      for _, _, message in parallel.map({1, 2}, "bclua.mpi", "rank", {}, {threads = 2}) do why = message end
      assert.matches("main thread only", why)
   end)
end)

describe("mpi with ranks", function()
   it("sends, broadcasts and gathers arrays and strings as they are", function()
      if not ranks.launcher() then return end
      assert.same({"0 of 3: f32 2 3: 5.5, i64 0, a, , bb, f64", "1 of 3: f32 2 3: 5.5, i64 0, a, , bb, f64",
         "2 of 3: f32 2 3: 5.5, i64 0, a, , bb, f64"}, run(3, [[
         local a = mpi.broadcast(rank == 1 and array.full({2, 3}, 5.5, "f32") or nil, 1)
         local empty = mpi.broadcast(rank == 0 and array.zeros({0}, "i64") or "ignored")
         local g = mpi.all_gather(({"a", "", "bb"})[rank + 1])
         assert(tostring(select(2, pcall(mpi.sum, array.zeros(4)))):find("a sum of 3 ranks: not a power of two"))
         local mixed = mpi.all_gather(rank == 2 and array.zeros(1, "f64") or "text")
         mpi.barrier()
         local left, right = (rank + 2) % 3, (rank + 1) % 3
         if rank == 0 then mpi.send("round", right) assert(mpi.receive(left) == "round")
         else mpi.send(mpi.receive(left), right) end
         say("%d of %d: %s %d %d: %g, %s %d, %s, %s", rank, size, a:dtype(), a:shape(1), a:shape(2), a:at(2, 3),
            empty:dtype(), #empty, table.concat(g, ", "), mixed[3]:dtype())]]))
   end)

   it("sums along the tree of the ranks, to the bit", function()
      if not ranks.launcher() then return end
      -- The plain twin: numbers whose sum depends on the order.
      local function value(rank, i) return math.sin(1 + rank * 37 + i) * 10.0 ^ ((rank * 7 + i) % 5) end
      local texts = {}
      for _, dtype in ipairs{"f32", "f64"} do
         local parts = {}
         for rank = 0, 3 do
            parts[rank] = array.zeros(11, dtype)
            for i = 1, 11 do parts[rank][i] = value(rank, i) end
         end
         local tree = (parts[0] + parts[1]) + (parts[2] + parts[3])
         assert.is_false(array.equal(tree, ((parts[0] + parts[1]) + parts[2]) + parts[3]))
         for _ = 1, 4 do texts[#texts + 1] = dtype .. " " .. table.concat(tree:table(), " ") end
      end
      assert.same(texts, run(4, [[for _, dtype in ipairs{"f32", "f64"} do
         local a = array.zeros(11, dtype)
         for i = 1, 11 do a[i] = math.sin(1 + rank * 37 + i) * 10.0 ^ ((rank * 7 + i) % 5) end
         say("%s %s", dtype, table.concat(mpi.sum(a):table(), " ")) end]]))
   end)

   it("sums in 16 bits, each sum of two rounded, to the bit", function()
      if not ranks.launcher() then return end
      local function round(a) return a:copy():round_bf16() end
      local parts = {}
      for rank = 0, 3 do
         parts[rank] = array.zeros(11)
         for i = 1, 11 do parts[rank][i] = math.sin(1 + rank * 37 + i) * 10.0 ^ ((rank * 7 + i) % 5) end
      end
      local r = {}
      for rank = 0, 3 do r[rank] = round(parts[rank]) end
      local tree = table.concat(round(round(r[0] + r[1]) + round(r[2] + r[3])):table(), " ")
      assert.same({tree, tree, tree, tree}, run(4, [[local a = array.zeros(11)
         for i = 1, 11 do a[i] = math.sin(1 + rank * 37 + i) * 10.0 ^ ((rank * 7 + i) % 5) end
         say("%s", table.concat(mpi.sum(a, "bf16"):table(), " "))]]))
   end)

   it("sums what is made piece by piece, in blocks, as if it were there at once", function()
      if not ranks.launcher() then return end
      local found = run(4, [[local n = 600001
         for _, number in ipairs{"full", "bf16"} do
            local a = array.arange(n, "f32") * (0.37 + rank) + 0.1
            local whole, sent = mpi.sum(a:copy(), number), mpi.sent()
            local sum = mpi.begin_sum(a, number)
            for _, from in ipairs{n + 1, 599999, 300000, 299999, 262145, 262144, 5, 1} do sum:ready(from) end
            sum:finish()
            assert(not pcall(sum.finish, sum))
            say("%s %s %d %s", number, array.equal(a, whole), (mpi.sent() - sent) // 10000, mpi.waited() > 0)
         end]])
      local full, half = "full true 360 true", "bf16 true 180 true" -- 2 (1 - 1 / 4) 600001 numbers
      assert.same({half, half, half, half, full, full, full, full}, found)
   end)

   it("ends all when one fails, or is killed", function()
      if not ranks.launcher() then return end
      local out, status = ranks.script(2, "if mpi.rank() == 1 then error('broken here') end mpi.receive(1)")
      assert.matches("broken here", out)
      assert.equal(1, status)
      out, status = ranks.script(2, [[if mpi.rank() == 1 then
         os.execute("kill -9 " .. require("bclua.process").number()) end mpi.receive(1)]])
      assert.not_equal(0, status, out)
      assert.not_equal(124, status, out)
   end)

   it("is ended by Ctrl-C while it waits", function()
      if not ranks.launcher() then return end
      local out, status = ranks.script(2, [[
         mpi.barrier()
         if mpi.rank() == 0 then io.popen("kill -INT " .. require("bclua.process").number()):close() end
         mpi.receive(1 - mpi.rank())]])
      assert.matches("interrupted!", out)
      assert.not_equal(0, status)
      assert.not_equal(124, status) -- of `timeout`
   end)

   it("has ranks only, no programs that they start", function()
      if not ranks.launcher() then return end
      assert.same({"2 1", "2 1"}, run(2, ([[local p = io.popen(%q .. " -e 'print(require(\"bclua.mpi\").size())'")
         say("%%d %%s", size, p:read("l"))]]):format(command.program)))
   end)
end)
