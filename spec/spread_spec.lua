local command = require "support.command"

describe("spec/run.lua --jobs", function()
   local dir
   setup(function()
      dir = command.folder()
      local function spec(name, body)
         local text = ('describe(%q, function() it("is so", function() %s end) end)'):format(name, body)
         command.write(("%s/%s_spec.lua"):format(dir, name), text)
      end
      spec("passes", "assert.equal(1, 1)")
      spec("waits", "pending('for more')")
      spec("fails", "assert.equal('is', 'should be')")
      spec("exits", "os.exit(0)")
      spec("dies", "io.stderr:write('last words\\n') os.execute('kill -9 $PPID')")
      -- as the leak check does: all passed, but
      spec("leaks", "debug.getregistry().last = setmetatable({}, {__gc = function() os.exit(23) end})")
   end)
   teardown(function() command.remove(dir) end)

   local function run(...)
      local arguments = {"spec/run.lua", "--jobs=2"}
      for _, name in ipairs({...}) do arguments[#arguments + 1] = dir .. name end
      return command.bclua(arguments)
   end

   it("adds up what each process says", function()
      local out, status = run("/passes_spec.lua", "/waits_spec.lua", "/passes_spec.lua")
      assert.matches("/passes_spec.lua%s+1 passed +[%d.]+ s\n", out)
      assert.matches("\nskipped: waits is so\n", out)
      assert.matches("\n\n2 passed, 0 failed, 1 skipped\n$", out)
      assert.equal(0, status)
   end)

   it("says how long all took, and which took longest", function()
      local function seconds(out)
         local sum, first = out:match("\n%d files, ([%d.]+) s; the slowest:\n +([%d.]+) s  [^\n]*/sleeps_spec.lua\n")
         assert.is_true(tonumber(first) >= 0.2)
         assert.is_true(tonumber(sum) >= tonumber(first))
         assert.matches("\n +[%d.]+ s  [^\n]*/passes_spec.lua\n\n2 passed, 0 failed\n$", out)
      end
      command.write(dir .. "/sleeps_spec.lua", 'it("sleeps", function() require("bclua.system").sleep(0.2) end)')
      seconds((run("/passes_spec.lua", "/sleeps_spec.lua")))
      seconds((command.bclua{"spec/run.lua", dir .. "/passes_spec.lua", dir .. "/sleeps_spec.lua"}))
      assert(os.remove(dir .. "/sleeps_spec.lua"))
   end)

   it("counts as failed what ends without a word, by a signal, or badly", function()
      local out, status = run("")
      assert.matches("\nFAILED: fails is so\n", out)
      assert.matches("\nFAILED: [^\n]*/exits_spec.lua\n  ended by exit 0\n", out)
      assert.matches("\nFAILED: [^\n]*/dies_spec.lua\n  ended by signal 9\n[^\n]*last words\n", out)
      assert.matches("\nFAILED: [^\n]*/leaks_spec.lua\n  ended by exit 23\n", out)
      assert.matches("\n\n1 passed, 4 failed, 1 skipped\n$", out)
      assert.equal(1, status)
   end)

   it("fails where there is nothing to run", function()
      local out, status = run("/nothing_spec.lua")
      assert.matches("Cannot find file or directory: [^\n]*/nothing_spec.lua", out)
      assert.equal(1, status)
      out, status = command.bclua({"spec/run.lua", "--jobs=2", "doc"})
      assert.equal("run.lua: no *_spec.lua there\n", out)
      assert.equal(1, status)
   end)
end)
