local repl = require "bclua.repl"
local show = require "bclua.show"

describe("repl", function()
   local session, env
   before_each(function()
      env = setmetatable({}, {__index = _G})
      session = repl.new({env = env})
   end)

   local function feed(line) return table.pack(session:feed(line)) end

   it("prints the results of expressions, nils too", function()
      assert.same({"ok", "3", n = 2}, feed("1 + 2"))
      assert.same({"ok", 'nil\t"a"\tfalse', n = 2}, feed("nil, 'a', false"))
   end)

   it("runs statements and prints nothing", function()
      assert.same({"ok", "", n = 2}, feed("x = 5"))
      assert.equal(5, env.x)
      assert.same({"ok", "", n = 2}, feed("   "))
   end)

   it("asks for more until the statement is complete", function()
      assert.equal("more", feed("for i = 1, 2 do")[1])
      assert.equal("more", feed("y = i")[1])
      assert.equal("ok", feed("end")[1])
      assert.equal(2, env.y)
   end)

   it("takes a typo for an error, not for an unfinished line", function()
      local r = feed("x = = 1")
      assert.equal("error", r[1])
      assert.matches("unexpected symbol near '='", r[2])
   end)

   it("shows errors with a traceback and goes on", function()
      local r = feed("error('bad')")
      assert.equal("error", r[1])
      assert.matches("bad\nstack traceback", r[2])
      assert.equal("1", feed("1")[2])
   end)

   it("survives a value that cannot be printed", function()
      local r = feed("setmetatable({}, {__tostring = function() error('no text') end})")
      assert.equal("error", r[1])
      assert.matches("no text", r[2])
   end)

   it("gives up an unfinished statement", function()
      feed("for i = 1, 2 do")
      session:cancel()
      assert.equal("2", feed("1 + 1")[2])
   end)

   it("completes globals, fields and methods without running user code", function()
      env = {string = string, stomp = {self_join = 1, selfish = 2}, s = "x",
         trap = setmetatable({}, {__index = function() error("ran user code") end})}
      assert.same({"string"}, repl.complete("str", 1, env))
      assert.same({"stomp.self_join", "stomp.selfish"}, repl.complete("stomp.sel", 1, env))
      assert.same({"upper"}, repl.complete("s:upp", 3, env))
      assert.same({}, repl.complete("trap.a.b", 1, env))
      env.a = require("bclua.array").zeros(2)
      assert.same({"reshape"}, repl.complete("print(a:resh", 9, env))
   end)
end)

describe("the REPL on a terminal", function()
   local command = require "support.command"

   -- What it prints when these keys come, one after the other with a pause.
   local function session(keys)
      local words = {"sleep 0.5"}
      for _, k in ipairs(keys) do words[#words + 1] = ("printf %s; sleep 0.3"):format(command.quote(k)) end
      local dir = command.folder()
      local out = command.shell(("(%s) | HOME=%s TERM=xterm timeout 20 script -qec %s /dev/null"):format(
         table.concat(words, "; "), dir, command.quote(command.program)))
      local history = command.read(dir .. "/.bclua_history")
      command.remove(dir)
      return out, history
   end

   it("prints results, stops on Ctrl-C without losing a key, leaves on Ctrl-D", function()
      local out, history = session({"1 + 1\\n", "while true do end\\n", "\\003", "for i = 1, 2 do\\n", "\\003",
         "half a li", "\\003", "40 + 2\\n", "string.up\\t('a')\\n", "\\004"})
      out = out:gsub("\27%[[%d;?]*%a", ""):gsub("\r", "")
      assert.matches("\n2\n", out)
      assert.matches("interrupted!\nstack traceback", out)
      assert.matches("\n42\n", out)
      assert.matches('\n"A"\n', out)
      assert.equal("40 + 2\nstring.upper('a')\n", history:sub(-25))
   end)
end)

describe("show", function()
   it("shows nested tables, cycles and arrays inside tables", function()
      local t = {1, 2, name = "x", deep = {{}}}
      t.self = t
      assert.equal('{1, 2, deep = {{}}, name = "x", self = <cycle>}', show.value(t))
      assert.equal("{a = f32 (2)}", show.value({a = require("bclua.array").zeros(2)}))
   end)

   it("cuts what is too deep or too wide", function()
      assert.equal("{{{{{...}}}}}", show.value({{{{{1}}}}}, {depth = 4}):gsub("%.%.%.", "...", 1))
      assert.equal("{1, 2, ...}", show.value({1, 2, 3, 4}, {width = 2}))
   end)
end)
