local repl = require "bclua.repl"
local array = require "bclua.array"
local command = require "support.command"

describe("repl", function()
   local session, env
   before_each(function()
      env = setmetatable({}, {__index = _G})
      session = repl.new({env = env})
   end)

   local function feed(line)
      local status, text = session:feed(line)
      return {status, text}
   end

   -- The output of the last of several lines, all without an error.
   local function run(...)
      local status, text
      for _, line in ipairs({...}) do
         status, text = session:feed(line)
         assert.not_equal("error", status, text)
      end
      return text
   end

   describe("results", function()
      it("are printed, nils too", function()
         assert.same({"ok", "3"}, feed("1 + 2"))
         assert.same({"ok", 'nil\t"a"\tfalse'}, feed("nil, 'a', false"))
         assert.same({"ok", "nil"}, feed("nil"))
      end)

      it("are not printed of statements", function()
         assert.same({"ok", ""}, feed("x = 5"))
         assert.equal(5, env.x)
         assert.same({"ok", ""}, feed("   "))
         assert.same({"ok", ""}, feed("-- a comment"))
         assert.same({"ok", ""}, feed(";"))
         assert.same({"ok", ""}, feed("(function() end)()"))
      end)

      it("are hidden by a semicolon at the end, but kept", function()
         assert.same({"ok", ""}, feed("1 + 2; -- hidden"))
         assert.equal("3", run("_"))
         assert.equal('";"', run("';'"))
      end)

      it("are printed of the last statement of several", function()
         assert.equal("6", run("x = 3 x * 2"))
         assert.equal("7", run("local y = 7\ny"))
      end)

      it("stay in _, _1, _2, ...", function()
         run("'a'", "'b', 'c'", "x = 1", "'d'")
         assert.equal('"d"\t"b"\t"a"\tnil', run("_, _1, _2, _3"))
         for i = 1, 12 do run(tostring(i)) end
         assert.equal("12\t3\tnil", run("_, _9, _10"))
      end)

      it("may be something that cannot be printed", function()
         local r = feed("setmetatable({}, {__tostring = function() error('no text') end})")
         assert.equal("error", r[1])
         assert.matches("no text", r[2])
         assert.equal("1", run("1"))
      end)
   end)

   describe("a statement of several lines", function()
      it("asks for more until it is complete, and comes back whole", function()
         assert.same({"more", ""}, feed("for i = 1, 2 do"))
         assert.same({"more", ""}, feed("y = i"))
         local entry
         session.on_entry = function(text) entry = text end
         local status = session:feed("end")
         assert.equal("ok", status)
         assert.equal("for i = 1, 2 do\ny = i\nend", entry)
         assert.equal(2, env.y)
      end)

      it("may be an expression", function()
         assert.equal("more", feed("1 +")[1])
         assert.equal("3", run("2"))
         assert.equal("more", feed("[[a")[1])
         assert.equal('"a\\nb"', run("b]]"))
      end)

      it("may be given up", function()
         feed("for i = 1, 2 do")
         session:cancel()
         assert.equal("2", run("1 + 1"))
      end)

      it("is no typo", function()
         local r = feed("x = = 1")
         assert.equal("error", r[1])
         assert.matches("unexpected symbol near '='", r[2])
      end)

      it("runs once when it is pasted", function()
         run("n = 0")
         local entry
         session.on_entry = function(source) entry = source end
         local status, text = session:feed("for i = 1, 2 do\n   n = n + 1\nend\nn")
         assert.same({"ok", "2", "for i = 1, 2 do\n   n = n + 1\nend\nn"}, {status, text, entry})
      end)
   end)

   describe("errors", function()
      it("name the line, show it, and the session goes on", function()
         local r = feed("local a = nil\nerror('bad')")
         assert.equal("error", r[1])
         assert.equal("[1]:2: bad\n   error('bad')", r[2])
         assert.equal("1", run("1"))
      end)

      it("are of the line of a field that ends it", function()
         assert.matches("^%[1%]:1: attempt to index .*\n   nowhere%.motifs\n   %^+\n?", feed("nowhere.motifs")[2])
         assert.equal("2", run("1 + 1 -- two"))
      end)

      it("show the frames that are the user's, and no others", function()
         run("function f(x) return g(x) + 1 end", "function g(x) return x.a.b end")
         local text = feed("f({})")[2]
         assert.matches("^%[2%]:1: attempt to index a nil value %(field 'a'%)\n" ..
            "   function g%(x%) return x%.a%.b end\n +%^\n", text)
         assert.matches("%[2%]:1 +in global 'g'\n +%[1%]:1 +in global 'f'\n +%[3%]:1 +in the line typed$", text)
         assert.is_nil(text:find("xpcall"))
         assert.is_nil(text:find("repl"))
      end)

      it("cut a traceback that never ends", function()
         local text = feed("local function f() return 1 + f() end f()")[2]
         assert.matches("stack overflow", text)
         assert.matches("… %(%d+ more%)", text)
         assert.is_true(select(2, text:gsub("\n", "")) < 30)
      end)

      it("show the line of a file", function()
         local path = os.tmpname()
         command.write(path, "local x = 1\nreturn x.y.z\n")
         local text = feed(("dofile('%s')"):format(path))[2]
         os.remove(path)
         assert.matches("\n   return x%.y%.z\n", text)
      end)

      it("suggest the nearest name for a misspelt one", function()
         env.stomp = {self_join = print, motifs = print}
         assert.matches("did you mean stomp%.self_join%?", feed("stomp.self_jion(1)")[2])
         assert.matches("did you mean print%?", feed("prnt(1)")[2])
         assert.matches("did you mean a:reshape%?", (run("local a = array_", "a = nil") and
            (function() env.array_ = array.zeros({2}) run("local a = array_") return feed("a:reshap({2})")[2] end)()))
         assert.matches("did you mean string%.upper%?", feed("string.uper('a')")[2])
         assert.matches("did you mean t%.distance%?", feed("local t = {distance = {}} return t.distanec.x")[2])
      end)

      it("suggest nothing where nothing is near, or nothing was misspelt", function()
         assert.is_nil(feed("zzyzx(1)")[2]:find("did you mean"))
         assert.is_nil(feed("local t = {} return t.a.b")[2]:find("did you mean"))
         assert.is_nil(feed("error('global stomp')")[2]:find("did you mean"))
      end)

      it("may be any value", function()
         assert.equal("(error object is a table value)", feed("error({})")[2])
         assert.equal("(error object is a nil value)", feed("error()")[2])
         assert.equal("mine", feed("error(setmetatable({}, {__tostring = function() return 'mine' end}))")[2])
         assert.equal("error", feed("error(setmetatable({}, {__tostring = error}))")[1])
      end)

      it("have colour only where it is wanted", function()
         assert.is_nil(feed("prnt()")[2]:find("\27"))
         session = repl.new({env = env, colour = true})
         assert.matches("^\27%[1;31m%[1%]:1: .*\27%[0m\n   \27%[1mprnt\27%[0m%(%)\n   %^%^%^%^\ndid you mean \27",
            feed("prnt()")[2])
      end)
   end)

   describe("local", function()
      it("stays usable on the next line", function()
         run("local x, y = 3, 4")
         assert.equal("7", run("x + y"))
         assert.is_nil(env.x)
         run("x = 10")
         assert.equal("10", run("x"))
         assert.is_nil(env.x)
      end)

      it("is one variable with the functions that close over it", function()
         run("local n = 0", "local function count() n = n + 1 return n end", "count()", "n = 10")
         assert.equal("11", run("count()"))
         assert.equal("11", run("n"))
         run("local m = 1 function add() m = m + 1 end add()")
         assert.equal("2", run("m"))
         run("add()")
         assert.equal("3", run("m"))
      end)

      it("shadows an earlier one, whose functions keep it", function()
         run("local x = 'old'", "function old() return x end", "local x = 'new'")
         assert.equal('"old"\t"new"', run("old(), x"))
         run("x = 'newer'")
         assert.equal('"old"\t"newer"', run("old(), x"))
         run("local x = 1 local x = x + 1")
         assert.equal("2", run("x"))
         run("print = 5", "local print = 6")
         assert.equal("6\t5", run("print, _ENV.print"))
      end)

      it("is a function that may call itself", function()
         run("local function fac(n) return n < 2 and 1 or n * fac(n - 1) end")
         assert.equal("120", run("fac(5)"))
      end)

      it("ends with its block where it is in one", function()
         run("do local inner = 1 end", "for i = 1, 2 do local j = i end", "if true then local k = 1 end",
            "repeat local u = 1 until u == 1", "f = function(a) local v = a end", "while false do local w end")
         assert.equal("nil\tnil\tnil\tnil\tnil\tnil\tnil", run("inner, i, j, k, u, v, w"))
      end)

      it("is kept when a later statement of the line fails", function()
         assert.equal("error", feed("local a = 1; error('x')")[1])
         assert.equal("1", run("a"))
         assert.equal("error", feed("local b = 2\nlocal c = nil + 1")[1])
         assert.equal("2\tnil", run("b, c"))
      end)

      it("may be constant, and stays so", function()
         run("local k <const>, t <const> = 5, {1}")
         assert.equal("5\t{1}", run("k, t"))
         assert.matches("attempt to assign to const variable 'k'", feed("k = 6")[2])
         run("local k = 7", "k = 8")
         assert.equal("8", run("k"))
      end)

      it("is closed at the end of its line if it is to be closed", function()
         run("closed = 0", "local c <close> = setmetatable({}, {__close = function() closed = closed + 1 end})")
         assert.equal("1", run("closed"))
      end)

      it("is not confused by what only looks like one", function()
         run("s = 'local a = 1'", "-- local b = 2", "u = [[local c = 3]] --[[ local d = 4 ]] v = 5",
            "t = {['end'] = 1, x = function() return 'end' end}", "local z = t.x() local y = 2")
         assert.equal('nil\tnil\tnil\tnil\t"end"\t2', run("a, b, c, d, z, y"))
      end)

      it("may come before a return, and with numbers of all kinds", function()
         assert.equal("0x1p4", run("local h, e, f = 0x10, 1e-3, 3. return '0x1p4'"):gsub('"', ""))
         assert.equal("16\t0.001\t3.0", run("h, e, f"))
      end)

      it("may be many", function()
         for i = 1, 300 do run(("local v%d = %d"):format(i, i)) end
         assert.equal("301", run("v1 + v300"))
      end)
   end)

   describe("completion", function()
      it("knows globals, kept locals and keywords", function()
         env = {string = string, stomp = 1}
         session = repl.new({env = env})
         run("local streams = 1")
         assert.same({"streams", "string"}, session:complete("str"))
         assert.same({"streams", "string"}, session:complete("print(1, str", 10))
         assert.same({"function"}, session:complete("x = func"))
      end)

      it("knows the options of a function, where one can begin", function()
         session = repl.new({env = {}, preload = true})
         assert.same({"sample_rate = "}, session:complete("y = audio.load('x.wav', {sam"))
         assert.same({"widths = "}, session:complete("net = tilenet.new{z = 64, wi"))
         assert.same({"exclusion = "}, session:complete("stomp.motifs(p, (1 + 1), {"))
         for _, line in ipairs{"t = {wid", "tilenet.new{z = wid", "tilenet.new({z = 4}, wid", "nothing{wid"} do
            assert.same({}, session:complete(line))
         end
      end)

      it("knows fields and methods, along __index", function()
         env.stomp = {self_join = print, selfish = 2}
         env.child = setmetatable({own = 1}, {__index = setmetatable({base = print}, {__index = {root = 3}})})
         run("local a = require('bclua.array').zeros(2)", "local s = 'x'")
         assert.same({"stomp.self_join", "stomp.selfish"}, session:complete("stomp.sel", 1))
         assert.same({"base", "own", "root"}, session:complete("child."))
         assert.same({"base"}, session:complete("child:"))
         assert.same({"reshape"}, session:complete("print(a:resh", 9))
         assert.same({"upper"}, session:complete("s:upp"))
         assert.same({}, session:complete("nothing.at.all"))
         assert.same({}, session:complete("f().x"))
         assert.same({"string"}, session:complete("'a' .. stri"))
      end)

      it("runs no user code", function()
         local function ran() error("ran user code") end
         env.trap = setmetatable({}, {__index = ran, __pairs = ran, __len = ran, __tostring = ran, __name = ran})
         env.loop = {}
         setmetatable(env.loop, {__index = env.loop})
         assert.same({}, session:complete("trap."))
         assert.same({}, session:complete("trap.a.b"))
         assert.same({}, session:complete("trap:"))
         assert.same({}, session:complete("loop.a"))
      end)

      it("knows the modules of require", function()
         assert.same({"bclua.stomp"}, session:complete('require "bclua.sto'))
         assert.same({"bclua.workflow.consolidate"}, session:complete("local t = require('bclua.workflow.consol"))
         local all = session:complete('require "bclua.')
         for _, name in ipairs({"bclua.audio", "bclua.repl.show", "bclua.repl.", "bclua.workflow."}) do
            assert.is_truthy((" " .. table.concat(all, " ") .. " "):find(" " .. name .. " ", 1, true), name)
         end
      end)

      it("knows files in strings", function()
         local dir = command.folder()
         command.write(dir .. "/XC1 a.ogg", "")
         command.write(dir .. "/XC2.ogg", "")
         command.write(dir .. "/.hidden", "")
         assert(require("bclua.system").mkdir(dir .. "/XD"))
         assert.same({dir .. "/XC1 a.ogg", dir .. "/XC2.ogg"}, session:complete('audio.load("' .. dir .. "/XC"))
         assert.same({"XC1 a.ogg", "XC2.ogg", "XD/"},
            session:complete("audio.load('" .. dir .. "/", #dir + 14))
         assert.same({}, session:complete('"' .. dir .. "/none/"))
         command.remove(dir)
      end)

      it("knows the commands, their options, and what they take", function()
         assert.same({"save", "sh", "sql"}, session:complete(":s"))
         assert.same({"-f"}, session:complete(":save -"))
         assert.same({"-n"}, session:complete(":time -"))
         assert.same({"stomp.motifs"}, session:complete(":help stomp.motifs"))
         assert.same({"string"}, session:complete(":time stri"))
         assert.same({"spec/repl_spec.lua"}, session:complete(":load spec/repl_sp"))
         assert.same({"spec/repl_spec.lua"}, session:complete(":sql select * from 'spec/repl_sp"))
         assert.same({}, session:complete(":nothing x"))
      end)
   end)

   describe("preloaded modules", function()
      before_each(function()
         env = {require = require, print = print, package = package}
         session = repl.new({env = env, preload = true})
      end)

      it("come with the first touch", function()
         assert.is_nil(rawget(env, "stomp"))
         assert.equal(require("bclua.stomp"), (function() run("s = stomp") return env.s end)())
         assert.equal(require("bclua.stomp"), rawget(env, "stomp"))
         assert.equal("nil", run("no_module"))
      end)

      it("are seen by completion and :who before that", function()
         assert.same({"stomp"}, session:complete("sto"))
         assert.same({"stomp.self_join"}, session:complete("stomp.self", 1))
         assert.matches("modules: array, audio, cens,", run(":who"))
         assert.matches("did you mean stomp%?", feed("stmop.self_join()")[2])
         assert.matches("did you mean stomp%.motifs%?", feed("stomp.motfis()")[2])
      end)

      it("are nowhere else", function()
         assert.equal("nil\n", (command.bclua({"-e", "print(stomp)"})))
      end)
   end)

   it("passes what it runs to the caller's protection", function()
      local calls = 0
      session = repl.new({env = env, call = function(f)
         calls = calls + 1
         return pcall(f)
      end})
      assert.equal("2", run("1 + 1"))
      assert.equal(2, calls) -- the line, and the printing of its results
      session = repl.new({env = env, call = function() return false, "interrupted!" end})
      assert.same({"error", "interrupted"}, feed("1"))
   end)
end)
