local command = require "support.command"
local process = require "bclua.process"
local system = require "bclua.system"

describe("process", function()
   local dir

   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   local function start(text, env)
      return assert(process.start({"sh", "-c", text}, {log = dir .. "/log", env = env}))
   end

   local function ended(p)
      for _ = 1, 500 do
         local how, code = p:ended()
         if how then return how, code end
         system.sleep(0.01)
      end
   end

   it("starts a program, whose output goes to a file", function()
      local p = start("cat; echo out; echo err >&2; exit 3")
      assert.is_true(p:pid() ~= process.number())
      assert.same({"exit", 3}, {ended(p)})
      assert.equal("out\nerr\n", command.read(dir .. "/log"))
      assert.matches("^process %d+ %(ended%)$", tostring(p))
      assert.error_matches(function() p:ended() end, "this process has ended")
   end)

   it("changes the environment", function()
      ended(start("echo $HOME-$BCLUA_TEST-$PATH", {HOME = "here", BCLUA_TEST = 5}))
      assert.equal("here-5-" .. os.getenv("PATH") .. "\n", command.read(dir .. "/log"))
   end)

   it("is asked to stop, with all that it started", function()
      local p = start("trap 'echo bye; exit 4' TERM; echo $$; sleep 20 & wait")
      while command.read(dir .. "/log") == "" do system.sleep(0.01) end
      assert.is_nil(p:ended())
      p:stop()
      assert.same({"exit", 4}, {ended(p)})
      assert.matches("bye", command.read(dir .. "/log"))
   end)

   it("is killed when it is closed, twice is fine", function()
      local p = start("trap '' TERM; sleep 20")
      p:close()
      p:close()
      p:stop()
      local _, status = command.shell("kill -0 " .. p:pid())
      assert.equal(1, status)
   end)

   it("tells the signal that ended it", function()
      assert.same({"signal", 11}, {ended(start("kill -SEGV $$"))})
   end)

   it("is not started without a program or a place for the log", function()
      local p, message = process.start({"nonesuch"}, {log = dir .. "/log"})
      assert.is_nil(p)
      assert.equal(("nonesuch: cannot be started with its output in %s/log: No such file or directory"):format(dir),
         message)
      p, message = process.start({"ls"}, {log = dir .. "/nowhere/log"})
      assert.is_nil(p)
      assert.matches("nowhere/log", message)
   end)

   it("rejects what is no list of words, and unknown options", function()
      assert.error_matches(function() process.start({}, {log = "x"}) end, "got an empty list")
      local many = setmetatable({}, {__len = function() return 1 << 61 end, __index = function() return "ls" end})
      assert.error_matches(function() process.start(many, {log = "x"}) end, "got an empty list")
      assert.error_matches(function() process.start({"ls", 5}, {log = "x"}) end, "word 2: string expected, got number")
      assert.error_matches(function() process.start({"ls"}, {}) end, "option 'log': path expected, got nil")
      assert.error_matches(function() process.start({"ls"}, {log = "x", evn = {}}) end, "unknown option 'evn'")
      assert.error_matches(function() process.start({"ls"}, {log = "x", env = {1}}) end, "texts by name expected")
   end)
end)
