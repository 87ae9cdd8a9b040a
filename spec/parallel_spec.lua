local array = require "bclua.array"
local parallel = require "bclua.parallel"

describe("parallel.map", function()
   local module = "support.jobs"

   local function collect(items, name, options, settings)
      local results, errors = {}, {}
      for i, result, err in parallel.map(items, module, name, options, settings) do
         results[i], errors[i] = result, err
      end
      return results, errors
   end

   it("gives results in the order of the items, on any number of threads", function()
      local items, expected = {}, {}
      for i = 1, 200 do items[i], expected[i] = i, i * i + 1 end
      for _, threads in ipairs({1, 2, 5}) do
         assert.same(expected, (collect(items, "square", {add = 1}, {threads = threads})))
      end
   end)

   it("works without threads where none can be started", function()
      if os.getenv("BCLUA_SANITIZED") then return pending("the leak check needs a thread") end
      local command = require "support.command"
      -- root has no limit of processes
      local as = command.shell("id -u") == "0\n" and "setpriv --reuid=65534 --regid=65534 --clear-groups " or ""
      local readme = require("lfs").currentdir() .. "/README.md"
      if select(2, command.shell(as .. "test -r " .. command.quote(readme))) == 1 then
         return pending("somebody else, with a limit, may not read this folder")
      end
      local out, status = command.shell(("%sprlimit --nproc=1:1 -- %s -e %s"):format(as, command.quote(command.program),
         command.quote("for i, r, e in require('bclua.parallel').map({'a', {}, 'b'}, 'bclua.files', 'stem', nil, " ..
         "{ahead = 2}) do print(i, r, e and e:match('bad argument #1')) end " ..
         "print(io.open('/proc/self/status'):read('a'):match('Threads:%s*%d+'))")))
      if status == 126 or status == 127 then return pending("cannot be somebody with a limit") end
      assert.equal("1\ta\tnil\n2\tnil\t", out:sub(1, 14), out)
      assert.matches("3\tb\tnil\nThreads:\t1\n$", out)
   end)

   it("takes no more items than it is to be ahead", function()
      local asked = 0
      local items = setmetatable({}, {__len = function() return 100 end, __index = function(_, i)
         asked = math.max(asked, i)
         return i
      end})
      for i, result in parallel.map(items, module, "square", {add = 1}, {threads = 2, ahead = 3}) do
         assert.equal(i * i + 1, result)
         assert.is_true(asked <= i + 2)
      end
      assert.equal(100, asked)
   end)

   it("does nothing for no items", function()
      assert.same({}, (collect({}, "square", {add = 1})))
   end)

   it("passes tables, and arrays without a copy", function()
      local a = array.zeros(3)
      local results = collect({{name = "x", values = a, deep = {1, {2}}}}, "touch")
      assert.same({1, {2}}, results[1].deep)
      assert.same({7, 7, 7}, a:table())
      assert.equal(21, results[1].values:sum())
   end)

   it("keeps going after an error, and reports it", function()
      local results, errors = collect({1, 2, 3}, "fail_on_two")
      assert.same({1, nil, 3}, {results[1], results[2], results[3]})
      assert.matches("two is bad", errors[2])
      assert.not_matches("traceback", errors[2])
      results, errors = collect({"a"}, "world_failure")
      assert.is_nil(results[1])
      assert.equal("a: no such file", errors[1])
   end)

   it("names what cannot cross threads", function()
      assert.error_matches(function() collect({print}, "square") end, "item 1: functions cannot cross")
      local cycle = {}
      cycle[1] = cycle
      assert.error_matches(function() collect({cycle}, "square") end, "cycle")
      local _, errors = collect({1}, "returns_function")
      assert.matches("functions cannot cross", errors[1])
   end)

   it("names options that cannot cross threads, before anything is started", function()
      for _, options in ipairs{{f = print}, {ahead = 64, {print}}, coroutine.create(print), print} do
         for _, threads in ipairs{1, 3} do
            assert.error_matches(function() parallel.map({1, 2, 3}, module, "square", options, {threads = threads}) end,
               "bad argument #4 to 'map' (options: ", 1, true)
         end
      end
      assert.same({1, 4, 9}, (collect({1, 2, 3}, "square", {add = 0})))
   end)

   it("asks a list for its length once", function()
      local n = 3
      local list = setmetatable({}, {__len = function() n = n - 1 return n end, __index = function(_, i) return i end})
      local out = {}
      for i, result in parallel.map(list, module, "square", {add = 0}, {ahead = 1}) do out[i] = result end
      assert.same({1, 4}, out)
      n = 0
      assert.error_matches(function() parallel.map(list, module, "square") end,
         "bad argument #1 to 'map' (negative length)", 1, true)
   end)

   it("ends when its list closes it, or takes from it", function()
      for _, method in ipairs{"__close", "next"} do
         local step, map, asked
         local list = setmetatable({}, {__len = function() return 9 end, __index = function(_, i)
            if i == 2 and not asked then
               asked = true
               if method == "next" then step(map) else getmetatable(map).__close(map) end
            end
            return i
         end})
         step, map = parallel.map(list, module, "square", {add = 0}, {threads = 2, ahead = 4})
         assert.error_matches(function() step(map) end, "map: used by its own list of items", 1, true)
      end
   end)

   it("names a missing module or function at once", function()
      assert.error_matches(function() parallel.map({1}, "no.such.module", "f") end, "no.such.module")
      assert.error_matches(function() parallel.map({1}, module, "nope") end, "no function 'nope'")
      assert.error_matches(function() parallel.map({1}, module, "square", nil, {threads = 0}) end,
         "option 'threads' outside 1..1024: 0")
      assert.error_matches(function() parallel.map({1}, module, "square", nil, {ahead = 0}) end,
         "option 'ahead' outside 1..8208: 0")
   end)

   it("stops its workers when the loop is left early", function()
      local seen = 0
      local items = {}
      for i = 1, 1000 do items[i] = i end
      for _ in parallel.map(items, module, "square", {add = 0}) do
         seen = seen + 1
         if seen == 3 then break end
      end
      assert.equal(3, seen)
   end)
end)
