local repl = require "bclua.repl"
local command = require "support.command"

describe("the REPL's commands", function()
   local session, env, dir

   setup(function() dir = command.folder() end)
   teardown(function() command.remove(dir) end)

   before_each(function()
      env = setmetatable({}, {__index = _G})
      session = repl.new({env = env})
   end)

   local function run(line)
      local status, text = session:feed(line)
      assert.equal("ok", status, text)
      return text
   end

   local function fail(line)
      local status, text = session:feed(line)
      assert.equal("error", status, text)
      return text
   end

   it("may be shortened, and a wrong one is named", function()
      assert.equal("integer", run(":ty 1"))
      assert.equal("no command :tpye, did you mean :type?; :help lists them", fail(":tpye 1"))
      assert.matches("^no command :s, ", fail(":s")) -- save, sh, sql
      assert.equal("no command :xyzzy; :help lists them", fail(":xyzzy"))
   end)

   it("are no statements, and labels are no commands", function()
      session:feed("for i = 1, 2 do")
      assert.equal("more", (session:feed("::again::")))
      assert.equal("ok", (session:feed("end")))
      assert.equal("ok", (session:feed("::a:: x = 1")))
   end)

   describe(":help", function()
      it("lists commands and modules", function()
         local text = run(":help")
         for line in text:gmatch("[^\n]+") do assert(#line <= 80, line) end
         for _, word in ipairs({":time", ":quit", "stomp", "`_`", "Ctrl%-D"}) do assert.matches(word, text) end
      end)

      it("explains a function, a module, a command", function()
         assert.matches("^stomp%.motifs%(profile%[, k = 1%[, options%]%]%)\n", run(":help stomp.motifs"))
         assert.matches("\nreturns\n   {table,...}  `{at=, twin=, distance=}`", run(":help stomp.motifs"))
         assert.matches("^bclua%.audio\nSound files in and out%.", run(":help audio"))
         assert.matches("audio%.load +Decode a file", run(":help bclua.audio"))
         assert.matches("^:time %[%-n RUNS%] EXPR", run(":help :time"))
         assert.matches("www%.lua%.org/manual/5%.4/.*pdf%-string%.rep$", run(":help string.rep"))
      end)

      it("finds methods and bare names", function()
         run("local y = require('bclua.array').zeros(2)")
         run("local find = require('bclua.stomp').motifs")
         assert.matches("^array:reshape%(shape%)", run(":help y:reshape"))
         assert.matches("^stomp%.motifs%(", run(":help find"))
         assert.matches("^stomp%.self_join%(", run(":help self_join"))
         local both = run(":help load")
         assert.matches("array%.load +Read an npy file", both)
         assert.matches("audio%.load +Decode a file", both)
      end)

      it("says what is near to a name that has none", function()
         assert.equal("no documentation of 'stomp.motfis'; did you mean stomp.motifs?", fail(":help stomp.motfis"))
         assert.equal("no documentation of 'qqqqqqqq'", fail(":help qqqqqqqq"))
      end)
   end)

   it(":type says what an expression gives", function()
      assert.equal("f32 (2, 3)", run(":type require('bclua.array').zeros({2, 3})"))
      assert.equal("integer\nstring, 1 byte\nnil", run(":type 1, 'a', nil"))
      assert.equal("no value", run(":type (function() end)()"))
      assert.matches("nil value", fail(":type nothing.at.all"))
      assert.equal("an expression is missing", fail(":type"))
      assert.equal("nil", run("_"))
   end)

   describe(":time", function()
      it("gives best and median of several runs, and keeps no result", function()
         assert.matches("^best [%d%.e+]+ [nµm]*s, median [%d%.e+]+ [nµm]*s of %d+ runs of %d+$", run(":time 1 + 1"))
         assert.equal("nil", run("_"))
      end)

      it("runs as often as it is told, and one time more before", function()
         run("n = 0 local sleep = require('bclua.system').sleep")
         assert.matches(" of 4 runs$", run(":time -n 4 (function() n = n + 1 sleep(0.002) end)()"))
         assert.equal("5", run("n"))
      end)

      it("takes the middle of the runs, and the shortest", function()
         local system = require "bclua.system"
         local clock, now, n = system.clock, 0, 0
         local lengths = {9, 0.005, 0.001, 0.003, 0.009, 0.0072} -- seconds; the first one does not count
         system.clock = function()
            n = n + 1
            if n % 2 == 0 then now = now + lengths[n // 2] end
            return now
         end
         local odd = run(":time -n 3 1")
         n = 0
         local even = run(":time -n 4 1")
         system.clock = clock
         assert.equal("best 1 ms, median 3 ms of 3 runs", odd)
         assert.equal("best 1 ms, median 4 ms of 4 runs", even)
      end)

      it("times statements with kept locals", function()
         run("local t = {}")
         assert.matches("^best ", run(":time -n 1 for i = 1, 10 do t[i] = i end"))
         assert.equal("10", run("#t"))
      end)

      it("shows an error of the user's without our frames", function()
         local text = fail(":time error('bad')")
         assert.matches("bad", text)
         assert.is_nil(text:find("measure"))
         assert.equal("an expression is missing", fail(":time"))
         assert.matches("unexpected symbol", fail(":time = 1"))
      end)
   end)

   it(":mem shows the process, Lua and the largest arrays", function()
      run("local big = require('bclua.array').zeros(1 << 18)")
      run("small = require('bclua.array').zeros(2)")
      run("middle = require('bclua.array').zeros(1023 * 256)")
      local text = run(":mem -c")
      assert.matches("^process  [%d%.]+ %a+, at most [%d%.]+ %a+ so far\nLua      [%d%.]+ %a+\n", text)
      assert.matches("\nbig +1 MiB  f32 %(262144%)\nmiddle +1023 KiB  f32 %(261888%)\nsmall +8 bytes  f32 %(2%)$", text)
      assert.equal("usage: :mem [-c]", fail(":mem -x"))
   end)

   it(":who lists what the user has made", function()
      assert.equal("nothing yet", run(":who"))
      run("local x = 1")
      run("list = {1, 2}")
      run("1 + 1")
      assert.equal("list  global  list of 2\nx     local   integer", run(":who"))
      assert.equal("x     local   integer", run(":who x"))
      assert.equal("nothing with 'zz'", run(":who zz"))
   end)

   it(":sql prints the rows and keeps them", function()
      assert.equal("a  b\n-  -\n1  x\n(1 row)", run(":sql select 1 as a, 'x' as b"))
      assert.equal("1", run("_[1].a"))
      assert.matches("syntax error", fail(":sql selct 1"))
      assert.equal("a query is missing", fail(":sql"))
   end)

   it(":sh runs a command", function()
      assert.equal("", run(":sh echo here >" .. dir .. "/out"))
      assert.equal("here\n", command.read(dir .. "/out"))
      assert.equal("exit status 3", fail(":sh exit 3"))
   end)

   describe(":load", function()
      it("runs a file as if it were typed", function()
         local path = command.write(dir .. "/a.lua", "#!/usr/bin/env bclua\n" ..
            "local a = 1\nlocal function f() return a end\nb = 2\n")
         assert.equal("", run(":load " .. path))
         assert.equal("1\t2", run("f(), b"))
      end)

      it("names the file and line of an error", function()
         local path = command.write(dir .. "/bad.lua", "local a = {}\nlocal b = a.x.y\n")
         assert.matches("bad%.lua:2: attempt to index a nil value %(field 'x'%)\n   local b = a%.x%.y\n",
            fail(":load " .. path))
         assert.equal("{}", run("a"))
         command.write(path, "for i = 1, 2 do\n")
         assert.matches("bad%.lua:2: 'end' expected", fail(":load " .. path))
         assert.equal("2", run("1 + 1"))
         assert.equal(dir .. "/none.lua: No such file or directory", fail(":load " .. dir .. "/none.lua"))
      end)
   end)

   describe(":save", function()
      it("writes a script that runs by itself", function()
         session = repl.new({env = setmetatable({require = require, print = function() end}, nil), preload = true})
         run("local a = array.from({1, 2})")
         run("a:sum()")
         run("_ + 1")
         run("'text'")
         session:feed("error('not this')")
         run(":who")
         session:feed("for i = 1, 2 do")
         session:feed("print(i) end")
         local path = dir .. "/session.lua"
         os.remove(path)
         assert.equal("5 entries in " .. path, run(":save " .. path))
         assert.equal('-- a session of bclua\nlocal array = require "bclua.array"\nlocal a = array.from({1, 2})\n' ..
            "_ = a:sum()\n_ = _ + 1\n_ = 'text'\nfor i = 1, 2 do\nprint(i) end\n", command.read(path))
         assert.equal("1\n2\n", (command.bclua({path})))
      end)

      it("overwrites only when told to", function()
         local path = command.write(dir .. "/old.lua", "mine")
         run("x = 1")
         assert.equal(path .. ": is there already; :save -f overwrites it", fail(":save " .. path))
         assert.equal("mine", command.read(path))
         assert.equal("1 entry in " .. path, run(":save -f " .. path))
         assert.matches("^/nowhere/x: ", fail(":save /nowhere/x"))
         assert.matches("^usage: ", fail(":save"))
      end)
   end)

   describe(":edit", function()
      local commands_given
      before_each(function()
         commands_given = {}
         session.shell = function(text)
            commands_given[#commands_given + 1] = text
            local path = text:match("(%S+)$")
            command.write(path, (command.read(path):gsub("1", "2")))
            return true
         end
      end)

      it("runs the last entry as it was edited", function()
         run("local x = 1")
         assert.equal("", run(":edit"))
         assert.equal("2", run("x"))
         assert.matches("%.lua$", commands_given[1])
         assert.is_nil(io.open(commands_given[1]:match("(%S+)$")))
      end)

      it("runs nothing where nothing was changed", function()
         run("n = (n or 0) + 3")
         assert.equal("nothing changed, nothing run", run(":edit"))
         assert.equal("3", run("n"))
      end)

      it("edits a file and runs it", function()
         local path = command.write(dir .. "/e.lua", "local z = 11")
         run(":edit " .. path)
         assert.equal("22", run("z"))
         session.shell = function() return nil, "exit", 1 end
         assert.matches("^the editor failed: ", fail(":edit " .. path))
      end)
   end)

   it(":quit leaves, and so do quit and exit, where nothing has that name", function()
      for _, line in ipairs{":quit", "quit", " exit "} do assert.same({"quit", ""}, {session:feed(line)}) end
      env.exit = 5
      assert.equal("5", run("exit"))
   end)

   it("are also what help and name? stand for", function()
      assert.equal(run(":help"), run("help"))
      assert.equal(run(":help stomp.motifs"), run("stomp.motifs?"))
      assert.matches("^stomp%.motifs%(", run(" stomp.motifs ? "))
      assert.equal("no documentation of 'motfis'; did you mean motifs?", fail("motfis?"))
   end)

   it("say nothing of their own code", function()
      assert.matches("^Catalog Error: [^\n]*no_such_table", fail(":sql select * from no_such_table"))
   end)
end)
