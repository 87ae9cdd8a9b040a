local command = require "support.command"
local lfs = require "lfs"
local modules = require "support.modules"

local quote = command.quote
-- `make test` runs us: what it exports must not reach the make that we run.
local clean = "env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES -u DESTDIR "

describe("make install", function()
   -- A sanitized bclua.so installs as any other, but there is nothing new to see.
   if os.getenv("BCLUA_SANITIZED") then return pending("not for a sanitized build") end

   local folder, prefix

   setup(function()
      folder = command.folder()
      prefix = folder .. "/first"
      local build = command.program:match("^(.*)/[^/]*$") or "build"
      local out, status = command.shell(("%smake --no-print-directory install B=%s PREFIX=%s"):format(
         clean, quote(build), quote(prefix)))
      assert(status == 0, out)
   end)

   teardown(function() command.remove(folder) end)

   -- Run Lua in the installed program, elsewhere and with next to no environment.
   local function run(text)
      local script = command.write(folder .. "/script.lua", text)
      return command.shell(("cd / && env -i PATH=/usr/bin:/bin HOME=%s %s/bin/bclua %s </dev/null"):format(
         quote(folder .. "/home"), quote(prefix), quote(script)))
   end

   it("loads every module from where it was installed", function()
      local names = modules.in_c()
      table.move(modules.in_lua(), 1, #modules.in_lua(), #names + 1, names)
      assert.is_true(#names > 10)
      local out, status = run(([[
         local prefix, names = %q, {%s}
         for _, name in ipairs(names) do
            assert(require(name), name)
            local lua = package.searchpath(name, package.path)
            local so = package.searchpath("bclua", package.cpath)
            assert((lua or so):sub(1, #prefix) == prefix, name .. " is from " .. (lua or so))
         end
         print("loaded", #names)]]):format(prefix, '"' .. table.concat(names, '", "') .. '"'))
      assert.equal("loaded\t" .. #names .. "\n", out)
      assert.equal(0, status)
   end)

   it("runs SQL with the library that came along", function()
      local out = run "print(require('bclua.sql').query('select 6 * 7 answer')[1].answer)"
      assert.equal("42\n", out)
   end)

   it("has the scripts", function()
      for file in lfs.dir("scripts") do
         if file:find("%.lua$") then
            assert.equal(command.read("scripts/" .. file), command.read(prefix .. "/share/bclua/scripts/" .. file))
         end
      end
   end)

   it("has the style and scripts of the pages", function()
      local n = 0
      for file in lfs.dir("lua/bclua/web") do
         if file:find("%.%a+$") then
            n = n + 1
            assert.equal(command.read("lua/bclua/web/" .. file),
               (run("io.write(require('bclua.web').read('" .. file .. "'))")))
         end
      end
      assert.equal(7, n)
   end)

   it("has the man page, completion, and what :help shows", function()
      for from, to in pairs({["doc/bclua.1"] = "man/man1/bclua.1", ["build/bclua.bash"] =
         "bash-completion/completions/bclua", ["build/_bclua"] = "zsh/site-functions/_bclua"}) do
         local build = command.program:match("^(.*)/[^/]*$") or "build"
         assert.equal(command.read((from:gsub("^build", build))), command.read(prefix .. "/share/" .. to))
      end
      assert.equal("stomp.motifs\n", (run "print(require('bclua.help').find('motifs')[1].topic)"))
   end)

   it("holds no links into the checkout", function()
      assert.equal("", (command.shell("find " .. quote(prefix) .. " -type l")))
   end)

   it("may be moved, and installed over", function()
      local moved = folder .. "/moved here"
      assert(os.rename(prefix, moved))
      prefix = moved
      assert.equal("1\n", (run "print(require('bclua.sql').query('select 1 a')[1].a)"))
      command.write(prefix .. "/share/bclua/lua/bclua/gone.lua", "return {}")
      local build = command.program:match("^(.*)/[^/]*$") or "build"
      local _, status = command.shell(("sh rocks/install.sh %s %s"):format(quote(build), quote(prefix)))
      assert.equal(0, status)
      assert.is_nil(lfs.attributes(prefix .. "/share/bclua/lua/bclua/gone.lua"))
      assert.equal("1\n", (run "print(require('bclua.sql').query('select 1 a')[1].a)"))
   end)

   it("refuses a folder where nothing is built", function()
      local out, status = command.shell(("sh rocks/install.sh %s %s"):format(quote(folder), quote(folder .. "/x")))
      assert.matches("install: .*/bclua is not built: run make", out)
      assert.equal(1, status)
      out, status = command.shell("sh rocks/install.sh build")
      assert.matches("usage: ", out)
      assert.equal(1, status)
   end)
end)

describe("make uninstall", function()
   if os.getenv("BCLUA_SANITIZED") then return pending("not for a sanitized build") end

   local folder
   local build = command.program:match("^(.*)/[^/]*$") or "build"
   before_each(function() folder = command.folder() end)
   after_each(function() command.remove(folder) end)

   local function make(target)
      return command.shell(("%smake --no-print-directory %s B=%s PREFIX=/usr/local DESTDIR=%s"):format(clean, target,
         quote(build), quote(folder .. "/root")))
   end

   local function tree()
      return (command.shell(("cd %s && find . -mindepth 1 | LC_ALL=C sort"):format(quote(folder))))
   end

   it("leaves nothing of what was installed, once or twice", function()
      for _ = 1, 2 do assert.equal(0, select(2, make("install"))) end
      assert.is_truthy(lfs.attributes(folder .. "/root/usr/local/bin/bclua"))
      local out, status = make("uninstall")
      assert.equal("removed: " .. folder .. "/root/usr/local/bin/bclua\n", out)
      assert.equal(0, status)
      assert.equal("", tree())
   end)

   it("leaves what was there before, and what came afterwards", function()
      local root = folder .. "/root/usr/local/"
      command.shell("mkdir -p " .. quote(root .. "bin"))
      make("install")
      command.write(root .. "share/bclua/scripts/mine.lua", "return 1")
      local out, status = make("uninstall")
      assert.equal(0, status)
      assert.equal(("kept, there is something else in it: %sshare/bclua/scripts/\n" ..
         "kept, there is something else in it: %sshare/bclua/\nkept, there is something else in it: %sshare/\n" ..
         "removed: %sbin/bclua\n"):format(root, root, root, root), out)
      assert.equal("./root\n./root/usr\n./root/usr/local\n./root/usr/local/bin\n./root/usr/local/share\n" ..
         "./root/usr/local/share/bclua\n./root/usr/local/share/bclua/scripts\n" ..
         "./root/usr/local/share/bclua/scripts/mine.lua\n", tree())
   end)

   it("touches nothing where nothing was installed", function()
      command.write(folder .. "/bclua", "another")
      local out, status = make("uninstall")
      assert.matches("uninstall: .*/root/usr/local/lib/bclua/installed: no such file", out)
      assert.equal(2, status)
      assert.equal("./bclua\n", tree())
   end)
end)

describe("make help", function()
   it("lists every target", function()
      local help = command.shell(clean .. "make --no-print-directory help")
      local n = 0
      for _, file in ipairs{"Makefile", "rocks/sanitize.mk", "rocks/fuzz.mk", "rocks/doc.mk"} do
         for target in command.read(file):match("\n%.PHONY: ([^\n]*)\n"):gmatch("%S+") do
            n = n + 1
            if target ~= "FORCE" and target ~= "all" then
               assert.matches("make " .. target:gsub("%-", "%%-") .. " ", help)
            end
         end
      end
      assert.is_true(n > 15)
   end)
end)

describe("rocks/deps.sh", function()
   local folder, tools

   setup(function()
      folder = command.folder()
      tools = folder .. "/tools"
      assert(lfs.mkdir(tools))
   end)

   teardown(function() command.remove(folder) end)

   -- Run it where only some commands are there; `lacking` are left out.
   local function deps(arguments, lacking, env)
      command.shell("rm -f " .. quote(tools) .. "/*")
      for name in ("sh dirname uname cat id basename ln mkdir cc pkg-config lua5.4 make gnuplot luacheck " ..
         "mpirun luarocks npm sha256sum cut grep awk ls"):gmatch("%S+") do
         if not lacking[name] then
            command.shell(("found=$(command -v %s) && ln -s $found %s/"):format(name, quote(tools)))
         end
      end
      return command.shell(("env -u DUCKDB_LIB -u CC PATH=%s %s /bin/sh rocks/deps.sh %s"):format(
         quote(tools), env or "", arguments))
   end

   it("finds everything, and says nothing", function()
      local out, status = deps("check build", {})
      assert.equal("", out)
      assert.equal(0, status)
   end)

   it("names what is missing and the command that installs it", function()
      local out, status = deps("check build", {gnuplot = true, luacheck = true})
      assert.matches("these Debian packages are missing: gnuplot%-nox\n", out)
      assert.matches("for 'make test' and 'make check' these Debian packages are missing: lua%-check\n", out)
      assert.matches("install with:  make deps\n", out)
      assert.matches("apt%-get install %-%-no%-install%-recommends gnuplot%-nox lua%-check\n", out)
      assert.equal(1, status)
   end)

   it("lets a build go on without what only tests need", function()
      local _, status = deps("check build", {luarocks = true, luacheck = true})
      assert.equal(0, status)
   end)

   it("names the libraries when it cannot ask for them", function()
      local out = deps("check build", {["pkg-config"] = true})
      for _, package in ipairs({"pkg-config", "liblua5.4-dev", "libsndfile1-dev", "libmpg123-dev", "libsoxr-dev",
         "libfftw3-dev", "libopenblas-dev"}) do
         assert.is_truthy(out:find(package, 1, true), package)
      end
   end)

   it("asks for root only to install, and fails where there is no apt-get", function()
      local out, status = deps("install " .. quote(folder .. "/b"), {gnuplot = true})
      assert.matches("no apt%-get here: install them by hand", out)
      assert.equal(1, status)
   end)

   it("installs with apt-get, then looks again", function()
      -- An apt-get that brings gnuplot, as root would.
      command.shell("rm -f " .. quote(tools) .. "/*")
      local log = folder .. "/apt.log"
      local fake = folder .. "/fake"
      lfs.mkdir(fake)
      command.write(fake .. "/apt-get", ([[#!/bin/sh
         if [ $3 = --print-uris ]; then
            printf "Reading...\n'http://a/a_1_all.deb' a_1_all.deb 1500000 MD5Sum:0\n'http://a/b.deb' b.deb 700000 \n"
            exit
         fi
         echo "$DEBIAN_FRONTEND $*" >>%s
         ln -sf /bin/true %s/gnuplot
      ]]):format(log, tools))
      command.write(fake .. "/apt-cache", "#!/bin/sh\nexit 0\n")
      command.write(fake .. "/sudo", "#!/bin/sh\nexec \"$@\"\n")
      command.shell("chmod +x " .. quote(fake) .. "/*")
      local out, status = deps("install " .. quote(folder .. "/b"), {gnuplot = true},
         "PATH=" .. quote(tools .. ":" .. fake) .. " DUCKDB_LIB=" .. quote(lfs.currentdir() .. "/build/libduckdb.so"))
      assert.equal(0, status, out)
      assert.equal("noninteractive -q -y install --no-install-recommends gnuplot-nox\n", command.read(log))
      assert.equal("deps: going to install, with what they need: gnuplot-nox\n" ..
         "deps: to be fetched: 2 packages, 2.2 MB\n" ..
         "deps: optional, for m4a, wma, 3gp and others: apt-get install --no-install-recommends ffmpeg\n", out)
      assert.equal(lfs.currentdir() .. "/build/libduckdb.so",
         lfs.symlinkattributes(folder .. "/b/libduckdb.so", "target"))
   end)

   it("says what it is going to fetch before it installs anything", function()
      local root, fake = folder .. "/bare", folder .. "/says"
      command.shell(("mkdir -p %s/rocks %s && cp rocks/*.sh %s/rocks"):format(quote(root), quote(fake),
         quote(root)))
      command.write(fake .. "/apt-get", "#!/bin/sh\nexit 100\n")
      command.write(fake .. "/sudo", "#!/bin/sh\nexit 1\n")
      command.write(fake .. "/id", "#!/bin/sh\necho 1000\n")
      command.shell("chmod +x " .. quote(fake) .. "/*")
      deps("check build", {gnuplot = true}) -- which tools there are
      local out = command.shell(("env -u DUCKDB_LIB -u CC PATH=%s:%s /bin/sh %s/rocks/deps.sh install " ..
         "%s/build"):format(quote(fake), quote(tools), quote(root), quote(root)))
      assert.matches("^deps: going to install, with what they need: gnuplot%-nox[%w -]*\n" .. -- and curl, without npm
         "deps: going to fetch: DuckDB's library, %d+ MB from the npm registry\ndeps: that failed", out)
   end)

   it("says what root is to do when it cannot become root", function()
      local fake = folder .. "/refusing"
      lfs.mkdir(fake)
      command.write(fake .. "/apt-get", "#!/bin/sh\nexit 100\n")
      for _, name in ipairs({"sudo", "su"}) do
         command.write(fake .. "/" .. name, "#!/bin/sh\necho " .. name .. ": no >&2\nexit 1\n")
      end
      command.write(fake .. "/id", "#!/bin/sh\necho 1000\n")
      command.shell("chmod +x " .. quote(fake) .. "/*")
      local out, status = deps("install " .. quote(folder .. "/b"), {gnuplot = true},
         "PATH=" .. quote(fake .. ":" .. tools))
      assert.equal("deps: going to install, with what they need: gnuplot-nox\n" ..
         "sudo: no\ndeps: that failed. As root, run:\n" ..
         "deps:   apt-get update && apt-get install --no-install-recommends gnuplot-nox\n", out)
      assert.equal(1, status)
   end)

   it("runs the demonstration without what only tests need", function()
      local out, status = deps("run " .. quote(folder .. "/r"), {luacheck = true, luarocks = true})
      assert.equal("", out)
      assert.equal(0, status)
   end)

   describe("without npm", function()
      local root, fake

      -- a checkout of its own, without the library, and a curl that says what it is asked for
      before_each(function()
         root, fake = folder .. "/root", folder .. "/fake"
         command.shell(("rm -rf %s %s; mkdir -p %s/rocks %s && cp rocks/*.sh %s/rocks"):format(quote(root), quote(fake),
            quote(root), quote(fake), quote(root)))
         command.shell(("ln -s $(command -v tar) $(command -v gzip) $(command -v mktemp) $(command -v rm) " ..
            "$(command -v chmod) $(command -v touch) $(command -v mv) %s"):format(quote(fake)))
         deps("check build", {npm = true})
      end)

      local function duckdb(curl, env)
         command.write(fake .. "/curl", "#!/bin/sh\nfor url; do :; done; echo $url >&2\n" .. curl)
         command.shell("chmod +x " .. quote(fake) .. "/curl")
         return command.shell(("env -u DUCKDB_LIB -u npm_config_registry -u NPM_CONFIG_REGISTRY PATH=%s %s " ..
            "/bin/sh %s/rocks/deps.sh duckdb %s/build"):format(quote(tools .. ":" .. fake), env or "", quote(root),
            quote(root)))
      end

      local function nothing_left()
         assert.equal("", (command.shell("ls -A " .. quote(root .. "/build"))))
      end

      it("says what is fetched, from where, and what to do when it cannot be had", function()
         local out, status = duckdb("echo 'curl: (6) Could not resolve host' >&2; exit 6\n")
         assert.equal(1, status)
         local arch, version, url = out:match("fetching @duckdb/(node%-bindings%-linux%-%w+) (%S+) %(%d+ MB%)\n(%S+)\n")
         assert.equal(("https://registry.npmjs.org/@duckdb/%s/-/%s-%s.tgz"):format(arch, arch, version), url)
         assert.matches("Could not resolve host", out)
         assert.matches("give make DUCKDB_LIB=/path/libduckdb.so\n$", out)
         nothing_left()
      end)

      it("asks the registry that npm would", function()
         local out = duckdb("exit 22\n", "npm_config_registry=https://npm.example/mirror/")
         assert.matches("\nhttps://npm.example/mirror/@duckdb/", out, 1, true)
      end)

      it("takes the library out of the package, if it is the pinned one", function()
         local package = folder .. "/package"
         command.shell(("mkdir -p %s && cp build/libduckdb.so %s"):format(quote(package), quote(package)))
         command.shell(("tar -czf %s/duckdb.tgz -C %s package"):format(quote(folder), quote(folder)))
         local curl = "while [ \"$1\" != -o ]; do shift; done; /bin/cp %s/duckdb.tgz \"$2\"\n"
         local out, status = duckdb(curl:format(quote(folder)))
         assert.equal(0, status, out)
         local size = lfs.attributes("build/libduckdb.so", "size")
         assert.equal(size, lfs.attributes(root .. "/build/libduckdb.so", "size"))
         command.shell("rm -r " .. quote(root .. "/build"))
         command.write(package .. "/libduckdb.so", "another")
         command.shell(("tar -czf %s/duckdb.tgz -C %s package"):format(quote(folder), quote(folder)))
         out, status = duckdb(curl:format(quote(folder)))
         assert.equal(1, status)
         assert.matches("the checksum %x+ is not the pinned %x+\n$", out)
         nothing_left()
      end)
   end)

   it("refuses a DUCKDB_LIB that is not there", function()
      for _, mode in ipairs({"check", "duckdb"}) do
         local out, status = deps(mode .. " " .. quote(folder .. "/c"), {}, "DUCKDB_LIB=/nowhere/x.so")
         assert.equal("deps: DUCKDB_LIB=/nowhere/x.so: no such file\n", out)
         assert.equal(1, status)
      end
   end)

   it("shares one library among build folders", function()
      local _, status = deps("duckdb " .. quote(folder .. "/d/e"), {})
      assert.equal(0, status)
      assert.equal(lfs.attributes("build/libduckdb.so", "size"),
         lfs.attributes(folder .. "/d/e/libduckdb.so", "size"))
   end)

   it("names an unknown mode", function()
      local out, status = deps("frobnicate", {})
      assert.equal("deps: unknown mode 'frobnicate' (check, install, run, cluster, duckdb)\n", out)
      assert.equal(1, status)
   end)
end)
