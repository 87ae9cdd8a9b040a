local command = require "support.command"
local bclua = command.bclua

describe("bclua", function()
   local dir
   setup(function() dir = command.folder() end)
   teardown(function() command.remove(dir) end)

   it("runs a script with its arguments, as lua does", function()
      local script = command.write(dir .. "/a.lua", "print(arg[0], arg[1], arg[2], #arg, ...)")
      local out, status = bclua({script, "x", "-y"})
      assert.equal(script .. "\tx\t-y\t2\tx\t-y\n", out)
      assert.equal(0, status)
   end)

   it("executes -e and -l in order, before the script", function()
      local script = command.write(dir .. "/b.lua", "print(x, s.upper 'a')")
      assert.equal("4\tA\n", (bclua({"-e", "x = 3", "-ls=string", "-e", "x = x + 1", script})))
   end)

   it("reads standard input, also as -", function()
      assert.equal("5\n", (bclua({}, {stdin = "print(5)"})))
      assert.equal("a\n", (bclua({"-", "a"}, {stdin = "print(...)"})))
   end)

   it("shows version and help", function()
      assert.matches("^bclua .*Lua 5%.4", (bclua({"-v"})))
      local out, status = bclua({"--help"})
      assert.matches("^usage: bclua", out)
      assert.equal(0, status)
      for line in out:gmatch("[^\n]+") do assert(#line <= 80, line) end
   end)

   it("names a wrong option and exits 1", function()
      local out, status = bclua({"--nope"})
      assert.matches("^bclua: wrong option or missing value: '%-%-nope'\nusage:", out)
      assert.equal(1, status)
      assert.matches("'%-e'", (bclua({"-e"})))
      assert.matches("'%-%-threads'", (bclua({"--threads", "zero", "-e", ""})))
   end)

   it("has one setting for threads", function()
      local code = "print(require'bclua.system'.threads())"
      assert.equal("3\n", (bclua({"--threads", "3", "-e", code})))
      assert.equal("5\n", (bclua({"-e", code}, {env = "BCLUA_THREADS=5"})))
      for _, wrong in ipairs{"0", "1025", "many", "-1"} do
         local out, status = bclua({"-e", code}, {env = "BCLUA_THREADS=" .. wrong})
         assert.equal(("bclua: BCLUA_THREADS: '%s' is not a number from 1 to 1024\n"):format(wrong), out)
         assert.equal(1, status)
      end
   end)

   it("finds its modules wherever it is started from, and Debian's", function()
      local code = "require'bclua.array' require'bclua.repl.show' require'cjson' require'lfs' print('ok')"
      assert.equal("ok\n", (bclua({"-e", code}, {dir = dir})))
   end)

   it("finds its own scripts from everywhere, but the user's first", function()
      assert.matches("^Usage: bclua motif", (bclua({"scripts/motif.lua", "--help"}, {dir = dir})))
      assert(require("bclua.system").mkdir(dir .. "/scripts"))
      command.write(dir .. "/scripts/motif.lua", "print('mine')")
      assert.equal("mine\n", (bclua({"scripts/motif.lua"}, {dir = dir})))
   end)

   it("runs scripts by their names, the folder's own and the user's, too", function()
      local place = dir .. "/commands"
      for _, folder in ipairs{place .. "/scripts", place .. "/data/bclua/scripts", place .. "/embed"} do
         assert(require("bclua.system").mkdir(folder))
      end
      command.write(place .. "/scripts/near.lua", "-- usage: near\n-- What is near.\nprint('near', ...)")
      command.write(place .. "/data/bclua/scripts/far.lua", "print('far', arg[0])")
      local function run(words) return bclua(words, {dir = place, env = "XDG_DATA_HOME=" .. place .. "/data"}) end
      assert.equal("near\t-x\n", (run{"near", "-x"}))
      assert.equal("far\tfar\n", (run{"far"}))
      assert.matches("^Usage: bclua embed .*\n   fit ", (run{"embed", "--help"})) -- beside a folder of that name
      local help = run{"--help"}
      assert.matches("\n  near +What is near%.\n", help)
      assert.matches("\n  far +\n", help)
      assert.matches("\n  pipeline +The whole job", help)
      assert.same({"bclua: no command 'motive', did you mean 'motif'? (bclua --help lists them)\n", 1},
         {run{"motive"}})
      assert.same({"bclua: no command 'zzz' (bclua --help lists them)\n", 1}, {run{"zzz"}})
   end)

   it("passes LUA_PATH through", function()
      command.write(dir .. "/mine.lua", "return 'mine'")
      assert.equal("mine\n", (bclua({"-e", "print((require 'mine'))"}, {env = "LUA_PATH='" .. dir .. "/?.lua;;'"})))
   end)

   it("exits 1 with a traceback on an error", function()
      local script = command.write(dir .. "/c.lua", "local function f() error('broken') end\nf()\n")
      local out, status = bclua({script})
      assert.matches("^bclua: .*c%.lua:1: broken\nstack traceback:\n.*c%.lua:2: in main chunk", out)
      assert.equal(1, status)
      assert.equal(1, select(2, bclua({"-e", "x ="})))
      out, status = bclua({dir .. "/none.lua"})
      assert.matches("cannot open .*none%.lua", out)
      assert.equal(1, status)
   end)

   it("keeps a script's own exit status", function()
      assert.equal(7, select(2, bclua({"-e", "os.exit(7, true)"})))
   end)

   -- Run a script that says by started() when it is at work, and do this with its number `$pid` then.
   local function disturb(text, deed, before)
      local script = command.write(dir .. "/disturbed.lua",
         ("local function started() io.open('%s/started', 'w'):close() end\n%s"):format(dir, text))
      os.remove(dir .. "/started")
      return command.shell(("%s %s %s & pid=$!; while [ ! -e %s/started ]; do sleep 0.01; done; %s; wait $pid"):format(
         before or "env --default-signal=HUP", command.program, script, dir, deed))
   end

   it("stops on Ctrl-C, SIGTERM and SIGHUP, with a line and no stack", function()
      for signal, expected in pairs({INT = 130, TERM = 143, HUP = 129}) do
         local out, status = disturb("started() while true do end", "kill -" .. signal .. " $pid")
         assert.equal("bclua: interrupted!\n", out)
         assert.equal(expected, status)
      end
   end)

   it("obeys the first of two signals that come together, and dies of one that comes later", function()
      local closing = "local _ <close> = setmetatable({}, {__close = function() %s print 'closed' end})\n" ..
         "started() while true do end"
      local out, status = disturb(closing:format("for _ = 1, 1e5 do end"),
         "kill -TERM $pid; kill -TERM $pid")
      assert.equal(143, status)
      assert.matches("closed\n", out)
      out, status = disturb(closing:format("while true do pcall(print) end"),
         "kill -TERM $pid; sleep 2.1; kill -TERM $pid")
      assert.equal(143, status)
      assert.not_matches("closed", out)
   end)

   it("stops what catches the interruption and goes on", function()
      local out, status = disturb("pcall(function() started() while true do end end) while true do end",
         "kill -INT $pid")
      assert.matches("interrupted!\n$", out)
      assert.equal(130, status)
   end)

   it("goes on after SIGHUP where it was told to ignore it", function()
      local out, status = disturb("started() require('bclua.system').sleep(0.3) print 'done'", "kill -HUP $pid",
         "trap '' HUP;")
      assert.equal("done\n", out)
      assert.equal(0, status)
   end)

   it("holds Ctrl-C off while it is told to, and obeys it then", function()
      local out, status = disturb([[
         local system = require "bclua.system"
         system.hold_interrupts(true)
         started()
         while not system.interrupted() do system.sleep(0.01) end
         print "still here"
         system.hold_interrupts(false)
         print "never here"]], "kill -TERM $pid")
      assert.matches("^still here\n.*interrupted!", out)
      assert.not_matches("never", out)
      assert.equal(143, status)
   end)

   it("does what must be done before it obeys Ctrl-C, be it before or meanwhile", function()
      local out, status = disturb(([[
         local sql, system = require "bclua.sql", require "bclua.system"
         local function last(x)
            for i = 1, 3e6 do x = x + 0 * i end
            return sql.query("select sum(range)::bigint as n from range(200000)")[1].n + x, system.interrupted()
         end
         local ok, message = pcall(system.uninterrupted, error, "mine", 0)
         print(ok, message, pcall(system.uninterrupted, 7))
         local _ <close> = setmetatable({}, {__close = function() print(system.uninterrupted(last, 1)) end})
         system.uninterrupted(function()
            started()
            while not require("bclua.files").exists("%s/stop") do end
            print(system.uninterrupted(last, 2))
         end)
         print "never here"]]):format(dir), "kill -INT $pid; touch " .. dir .. "/stop")
      assert.matches("^false\tmine\tfalse\tbad argument #1 [^\n]*\n19999900002\tfalse\t0\n19999900001\tfalse\t0\n" ..
         "[^\n]*interrupted!\n$", out)
      assert.equal(130, status)
   end)

   it("stops a map over workers on Ctrl-C", function()
      command.write(dir .. "/spinner.lua", "return {spin = function() while true do end end}")
      local out, status = disturb(([[
         package.path = "%s/?.lua;" .. package.path
         started()
         for _ in require("bclua.parallel").map({1, 2, 3}, "spinner", "spin") do end]]):format(dir),
         "sleep 0.1; kill -INT $pid")
      assert.matches("interrupted!", out)
      assert.equal(130, status)
   end)

   it("starts no threads before they are needed, BLAS none at all", function()
      if os.getenv("BCLUA_SANITIZED") then return pending("a sanitizer has threads of its own") end
      local out = command.bclua{"-e", [[require "bclua.learn" print(io.open("/proc/self/status"):read("a"))]]}
      assert.matches("\nThreads:%s*1\n", out)
   end)
end)

describe("standard output", function()
   local function run(arguments, to)
      return command.shell(command.program .. " " .. arguments .. " " .. to)
   end

   it("that does not take everything is an error, whatever was to end with 0", function()
      local few, many = [[-e 'print(1)']], [[-e 'for i = 1, 1e5 do io.write(i, "\n") end']]
      for _, arguments in ipairs({few, many, few .. " -e 'os.exit(0)'", few .. " -e 'os.exit(true, true)'", "--version",
         "--help", "scripts/motif.lua --help"}) do
         for _, to in ipairs({">/dev/full", ">&-"}) do
            local out, status = run(arguments, to)
            assert.equal(1, status, arguments .. to)
            assert.matches("^bclua: standard output: [^\n]+\n$", out)
         end
      end
      assert.same({"", 0}, {run("-e 'os.exit(0)'", ">/dev/full")})
      assert.same({"", 0}, {run("-e 'local x = 1'", ">&-")})
   end)

   it("that nobody reads ends quietly", function()
      local out = command.shell(("{ %s -e 'for i = 1, 1e5 do print(i) end'; echo $? >&2; } | head -n 1"):format(
         command.program))
      assert.equal("1\n141\n", out)
   end)

   it("that is closed is not where the next file is", function()
      local dir = command.folder()
      local out = run(([[-e 'local f = io.open("%s/x", "w") print("lost") f:write("kept")']]):format(dir), ">&-")
      assert.matches("standard output", out)
      assert.equal("kept", command.read(dir .. "/x"))
      command.remove(dir)
   end)
end)

describe("system", function()
   local system = require "bclua.system"

   it("writes files whole", function()
      local path = os.tmpname()
      assert.is_true(system.write_file(path, "a\0b"))
      assert.equal("a\0b", command.read(path))
      os.remove(path)
      local ok, message = system.write_file("/nowhere/x", "")
      assert.is_nil(ok)
      assert.equal("/nowhere/x: No such file or directory", message)
   end)

   it("leaves the old file when the new one cannot be written", function()
      local dir = command.folder()
      local path = command.write(dir .. "/x", "old")
      -- a limit on file size stands for a full disk: both show when writing
      local out = command.shell(("ulimit -f 1; trap '' XFSZ; %s -e \"print(require'bclua.system'." ..
         "write_file('%s', ('x'):rep(100000)))\""):format(command.program, path))
      assert.matches("^nil\t" .. path:gsub("%p", "%%%0") .. ": File too large", out)
      assert.equal("old", command.read(path))
      assert.equal("x\n", (command.shell("ls " .. dir)))
      command.remove(dir)
   end)

   it("reports a full disk, and leaves devices what they are", function()
      local ok, message = system.write_file("/dev/full", ("x"):rep(100000))
      assert.is_nil(ok)
      assert.equal("/dev/full: No space left on device", message)
      assert.equal("char device", require("lfs").attributes("/dev/full", "mode"))
      assert.is_true(system.write_file("/dev/null", "x"))
      assert.matches("^/tmp: Is a directory", select(2, system.write_file("/tmp", "x")))
   end)

   it("makes folders with their parents", function()
      local dir = command.folder()
      assert.is_true(system.mkdir(dir .. "/a/b/c"))
      assert.is_true(system.mkdir(dir .. "/a/b/c/"))
      command.write(dir .. "/file", "")
      local ok, message = system.mkdir(dir .. "/file/x")
      assert.is_nil(ok)
      assert.matches("/file/x: Not a directory", message)
      command.remove(dir)
   end)
end)
