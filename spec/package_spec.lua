-- The release archive (make dist), the Debian package (make deb), and that all places have one version.
local command = require "support.command"

local quote = command.quote

describe("a release", function()
   if os.getenv("BCLUA_SANITIZED") then return pending("not of a sanitized build") end
   local folder
   setup(function() folder = command.folder() end)
   teardown(function() command.remove(folder) end)

   local number = command.read("VERSION"):match("^(%d+%.%d+%.%d+)\n$")

   local function has(program) return select(2, command.shell("command -v " .. program)) == 0 end

   it("has one version: in VERSION, the change log, the rock and what bclua says", function()
      assert.is_string(number)
      assert.equal(number, command.read("CHANGELOG.md"):match("\n## ([^\n]+)\n"))
      local rock = command.read(("rocks/bclua-%s-1.rockspec"):format(number))
      assert.matches(('version = "%s-1"'):format(number), rock, 1, true)
      assert.equal("bclua " .. number, (command.bclua({"-v"})):match("^bclua [%d.]+"))
   end)

   describe("as an archive", function()
      if not has("git") then return pending("git is missing") end
      if select(2, command.shell("git -c safe.directory='*' rev-parse HEAD")) ~= 0 then
         return pending("not a checkout")
      end

      it("has what a build needs, and its version without git", function()
         local out, status = command.shell("sh rocks/dist.sh " .. quote(folder))
         assert.equal(0, status, out)
         local name = "bclua-" .. number
         out, status = command.shell(("cd %s && sha256sum -c %s.tar.gz.sha256 && tar xzf %s.tar.gz && cd %s && " ..
            "ls && make -n B=b build | grep -o 'DBCLUA_VERSION=[^ ]*'"):format(quote(folder), name, name, name))
         assert.equal(0, status, out)
         for _, part in ipairs{"CHANGELOG.md", "LICENSE", "README.md", "VERSION", "csrc", "doc", "lua", "rocks"} do
            assert.matches("\n" .. part .. "\n", out, 1, true)
         end
         assert.matches(("DBCLUA_VERSION='\"%s\"'"):format(number), out, 1, true)
         assert.matches("sum=%x+", command.read(("%s/%s/rocks/deps.sh"):format(folder, name)))
      end)
   end)

   describe("as a Debian package", function()
      for _, program in ipairs{"dpkg-deb", "readelf"} do
         if not has(program) then return pending(program .. " is missing") end
      end

      local deb
      setup(function()
         local build = command.program:match("^(.*)/[^/]*$") or "build"
         assert(os.execute(("cd %s && mkdir built && for f in bclua bclua.so libduckdb.so help.lua " ..
            "bclua.bash _bclua; do ln -s \"$OLDPWD/%s/$f\" built/ 2>/dev/null || exit 1; done"):format(
            quote(folder), build)))
         local out, status = command.shell(("sh rocks/deb.sh %s -Znone"):format(quote(folder .. "/built")))
         assert(status == 0, out)
         deb = out:match("([^\n]+)\n$")
      end)

      it("depends on packages that have all its libraries", function()
         local depends = command.shell("dpkg-deb -f " .. quote(deb) .. " Depends")
         for _, name in ipairs{"libc6", "libsndfile1", "libopenblas0", "libmicrohttpd12", "lua-cjson", "gnuplot-nox"} do
            assert.is_truthy((", " .. depends):find("[ ,]" .. name:gsub("%-", "%%-") .. "[,|%s]"), name)
         end
         for name in depends:gmatch("[^,\n]+") do
            name = name:match("[%w.+-]+")
            local out, status = command.shell("apt-cache show " .. name .. " >/dev/null 2>&1 || dpkg -s " .. name)
            assert.equal(0, status, out)
         end
      end)

      it("is installed into a bare folder, runs there, and leaves nothing when it is removed", function()
         if command.shell("id -u") ~= "0\n" then return pending("dpkg --root needs root") end
         local root = folder .. "/root"
         local dpkg = ("dpkg --force-depends --force-script-chrootless --force-unsafe-io --log=/dev/null " ..
            "--root=%s "):format(quote(root))
         local out, status = command.shell(("mkdir -p %s/var/lib/dpkg/updates %s/var/lib/dpkg/info && " ..
            "touch %s/var/lib/dpkg/status && "):format(quote(root), quote(root), quote(root)) .. dpkg .. "-i " ..
            quote(deb))
         assert.equal(0, status, out)
         local program = quote(root .. "/usr/bin/bclua")
         out, status = command.shell(("cd / && env -i PATH=/usr/bin:/bin %s motif --help && " ..
            "env -i PATH=/usr/bin:/bin %s -e 'print(require(\"bclua.sql\").query(\"select 6 * 7 n\")[1].n)'"):format(
            program, program))
         assert.equal(0, status, out)
         assert.matches("extract.*\n42\n$", out)
         out, status = command.shell(dpkg .. "-P bclua && find " .. quote(root) .. " -name '*bclua*'")
         assert.equal(0, status, out)
         assert.is_nil(out:find("/usr/", 1, true), out)
      end)
   end)
end)
