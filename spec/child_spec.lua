local child = require "bclua.child"
local command = require "support.command"
local files = require "bclua.files"
local system = require "bclua.system"

describe("child", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   -- Start a process whose module is this source, and wait for its end.
   local function run(source, job, options)
      local path = package.path
      package.path = dir .. "/?.lua;" .. path
      command.write(dir .. "/deed.lua", source)
      local process <close> = assert(child.start(dir .. "/a/b", "deed", job, options))
      package.path = path
      local how, code = process:ended()
      while not how do
         system.sleep(0.005)
         how, code = process:ended()
      end
      return how, code, child.read(dir .. "/a/b/result.lua")
   end

   it("does a job, and gives numbers and texts back to the last bit", function()
      local job = {0.1, -0.0, math.huge, math.mininteger, "a\n\0\"é\xff", {x = true, ["y z"] = 1e-320}}
      local how, code, result = run([[return {work = function(job, note)
         print("said") io.stderr:write(os.getenv("ENV"), os.getenv("BCLUA_QUIET"))
         note(job)
      end}]], job, {env = {ENV = "of ours"}})
      assert.same({"exit", 0}, {how, code})
      assert.same(job, result)
      assert.equal("-0.0", tostring(result[2]))
      assert.equal("integer", math.type(result[4]))
      local log = files.read(dir .. "/a/b/log.txt")
      assert.matches("said\n", log)
      assert.matches("of ours1", log)
   end)

   it("keeps what was noted before the end, and nothing of a process before", function()
      local how, code, result = run("return {work = function(_, note) note{7} os.exit(3) end}", {})
      assert.same({"exit", 3, {7}}, {how, code, result})
      assert.equal("ended with status 3", child.ending(how, code))
      how, code, result = run("return {work = function() os.execute('kill -KILL $PPID') end}", {})
      assert.equal("killed by signal 9 (SIGKILL, out of memory?)", child.ending(how, code))
      assert.equal("killed by signal 11 (SIGSEGV)", child.ending("signal", 11))
      assert.equal("killed by signal 33", child.ending("signal", 33))
      assert.is_nil(result)
   end)

   it("starts the program by way of a command", function()
      local _, _, result = run("return {work = function(_, note) note{os.getenv('BY')} end}", {},
         {before = {"env", "BY=env"}})
      assert.same({"env"}, result)
   end)

   it("is refused where its folder cannot be", function()
      command.write(dir .. "/file", "")
      local process, message = child.start(dir .. "/file/x", "deed", {})
      assert.is_nil(process)
      assert.matches(dir .. "/file", message, 1, true)
   end)

   it("says how much memory a process has had", function()
      local most, other = child.memory()
      assert(most > 1e6 and other >= 0)
      assert.equal(0, (child.memory(2 ^ 30 // 1)))
   end)
end)
