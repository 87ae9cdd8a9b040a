local command = require "support.command"
local system = require "bclua.system"

local quote = command.quote

describe("rocks/arrows.lua", function()
   local folder

   before_each(function()
      folder = command.folder()
      local _, status = command.shell(("mkdir %s/doc %s/lua && cp doc/architecture.md %s/doc && cp -R csrc %s && " ..
         "cp -R lua/bclua %s/lua"):gsub("%%s", (quote(folder):gsub("%%", "%%%%"))))
      assert.equal(0, status)
   end)
   after_each(function() command.remove(folder) end)

   local function check() return command.shell("lua5.4 rocks/arrows.lua " .. quote(folder)) end

   -- Put a line before all others of a file, which need not be there.
   local function plant(file, line)
      local path = folder .. "/" .. file
      command.write(path, line .. "\n" .. (io.open(path) and command.read(path) or ""))
   end

   local function change(file, from, to)
      local text, n = command.read(folder .. "/" .. file):gsub(from, to)
      assert.equal(1, n)
      command.write(folder .. "/" .. file, text)
   end

   local function finds(message)
      local out, status = check()
      assert.equal(message .. "\n", out)
      assert.equal(1, status)
   end

   it("finds nothing in what is there", function() assert.same({"", 0}, {check()}) end)

   it("names a require of what is above", function()
      plant("lua/bclua/text.lua", 'local sql = require "bclua.sql"')
      finds("lua/bclua/text.lua:1: 'text' (values) requires 'sql' of a layer above (data)")
   end)

   it("names one inside a function, and one of a folder", function()
      plant("lua/bclua/json.lua", '\nlocal function f(name) return require("bclua.workflow." .. name) end')
      finds("lua/bclua/json.lua:2: 'json' (values) requires 'workflow.' of a layer above (workflow)")
   end)

   it("takes no comment for a require", function()
      plant("lua/bclua/json.lua", '-- local fit = require "bclua.workflow.fit"')
      assert.same({"", 0}, {check()})
   end)

   it("names a circle", function()
      plant("lua/bclua/sun.lua", "local a = require 'bclua.clock'")
      plant("lua/bclua/clock.lua", "local b = require('bclua.sun')")
      finds("lua/bclua/sun.lua:1: a circle of require: clock -> sun -> clock")
   end)

   it("names a module that there is not", function()
      plant("lua/bclua/json.lua", 'require "bclua.nowhere"')
      finds("lua/bclua/json.lua:1: 'json' requires 'nowhere', which there is not")
   end)

   it("names a kernel that knows Lua, itself or through a binding's header", function()
      plant("csrc/stomp/simple.c", "#include <lauxlib.h>")
      plant("csrc/stomp/merge.c", '\n#  include "../array/lua_array.h"')
      finds("csrc/stomp/merge.c:2: a kernel includes ../array/lua_array.h\n" ..
         "csrc/stomp/simple.c:1: a kernel includes lauxlib.h")
   end)

   it("names an include against the arrows, between folders inside a folder, too", function()
      plant("csrc/stomp/simple.c", '#include "../cens/cens.h"')
      plant("csrc/nn/conv/direct.c", '#include "../op/norm.h"')
      finds("csrc/nn/conv/direct.c:1: 'nn/conv' may not include 'nn/op'\n" ..
         "csrc/stomp/simple.c:1: 'stomp' may not include 'cens'")
   end)

   it("names what is not in the map", function()
      assert(system.mkdir(folder .. "/csrc/new"))
      assert(system.mkdir(folder .. "/lua/bclua/new"))
      plant("csrc/new/new.c", "int x;")
      plant("lua/bclua/flat.lua", "return {}")
      plant("lua/bclua/new/deep.lua", "return {}")
      plant("lua/bclua/new/style.css", "a {}")
      finds("csrc/new/new.c:1: the folder 'new' is not in the map\n" ..
         "lua/bclua/flat.lua:1: the module 'flat' is not in the map\n" ..
         "lua/bclua/new/deep.lua:1: the module 'new.deep' is not in the map\n" ..
         "lua/bclua/new/style.css:1: is not in the map")
   end)

   it("names what the map has and the folders have not", function()
      change("doc/architecture.md", "`json` `clock`", "`json` `jsonb` `sql` `clock`")
      change("doc/architecture.md", "| `http` |", "| `ftp` | `tcp` | What nobody has. |\n| `http` |")
      local out, status = check()
      assert.matches("doc/architecture.md:%d+: `jsonb`: no such module in lua/bclua\n", out)
      assert.matches("doc/architecture.md:%d+: `sql` is in two layers\n", out)
      assert.matches("doc/architecture.md:%d+: `ftp` may include `tcp`, which no row above it describes\n", out)
      assert.matches("doc/architecture.md:%d+: `ftp`: no such folder in csrc\n", out)
      assert.equal(1, status)
   end)
end)
