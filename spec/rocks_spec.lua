local command = require "support.command"
local modules = require "support.modules"

local quote = command.quote

describe("the rock", function()
   -- A sanitized bclua.so cannot be loaded into a lua that is not.
   if os.getenv("BCLUA_SANITIZED") then return pending("not for a sanitized build") end
   for _, program in ipairs({"luarocks", "lua5.4"}) do
      if select(2, command.shell("command -v " .. program)) ~= 0 then
         return pending(program .. " is missing")
      end
   end

   local folder, tree

   setup(function()
      folder = command.folder()
      tree = folder .. "/tree"
      local build = command.program:match("^(.*)/[^/]*$") or "build"
      local out, status = command.shell(("env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES HOME=%s B=%s " ..
         "luarocks --lua-version 5.4 make --deps-mode none rocks/bclua-1.0.0-1.rockspec --tree %s"):format(
         quote(folder), quote(build), quote(tree)))
      assert(status == 0, out)
   end)

   teardown(function() command.remove(folder) end)

   -- Run Lua in the stock interpreter, which sees the rock and Debian's packages.
   local function run(text)
      local script = command.write(folder .. "/script.lua", text)
      return command.shell(("cd %s && env -u LUA_INIT LUA_PATH_5_4='%s/share/lua/5.4/?.lua;;' " ..
         "LUA_CPATH_5_4='%s/lib/lua/5.4/?.so;;' lua5.4 %s"):format(quote(folder), tree, tree, quote(script)))
   end

   it("is built with luarocks' variables", function()
      local out = command.shell(("env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES HOME=%s B=%s " ..
         "luarocks --lua-version 5.4 make --deps-mode none rocks/bclua-1.0.0-1.rockspec --tree %s MAKE='make -n' " ..
         "CC=another-cc LUA_INCDIR=/usr/include/./lua5.4 CFLAGS=-DOWN LIBFLAG='-shared -DLINKED'"):format(
         quote(folder), quote(folder .. "/b"), quote(folder .. "/none")))
      assert.matches("another%-cc %-std=gnu11[^\n]* %-I/usr/include/%./lua5%.4 [^\n]*%-DOWN %-O3 [^\n]*/array%.c\n",
         out)
      assert.matches("another%-cc %-DOWN %-O3 [^\n]*%-shared %-DLINKED [^\n]*/bclua.so", out)
   end)

   it("has every C module", function()
      local names = modules.in_c()
      assert.is_true(#names >= 3)
      for _, name in ipairs(names) do
         local out = run(("local m = require %q; print(type(m), next(m) ~= nil)"):format(name))
         assert.equal("table\ttrue\n", out, name)
      end
   end)

   it("has every Lua module", function()
      local names = modules.in_lua()
      local out = run(([[
         for _, name in ipairs {"%s"} do assert(package.searchpath(name, %q), name) end
         print "all"]]):format(table.concat(names, '", "'), tree .. "/share/lua/5.4/?.lua"))
      assert.equal("all\n", out)
   end)

   it("has what pages look like", function()
      assert.equal(#require("bclua.report").new("t"):text() .. "\n",
         (run "print(#require('bclua.report').new('t'):text())"))
   end)

   it("computes, and runs SQL with the library that came along", function()
      assert.equal("6.0\n", (run "print(require('bclua.array').from({1, 2, 3}):sum())"))
      assert.equal("42\n", (run "print(require('bclua.sql').query('select 6 * 7 answer')[1].answer)"))
   end)
end)
