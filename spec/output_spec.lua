-- What every function that writes a file does with links, devices, pipes, permissions, and leftovers.
local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local files = require "bclua.files"
local lfs = require "lfs"
local safetensors = require "bclua.format.safetensors"
local sql = require "bclua.sql"
local system = require "bclua.system"

local y = array.full(3000, 0.25)

-- Of each writer: name of a file, and how it is written.
local writers = {
   ["system.write_file"] = {"a.txt", function(path) return system.write_file(path, "new") end},
   ["files.write_json"] = {"a.json", function(path) return files.write_json(path, {a = 1}) end},
   ["array.save"] = {"a.npy", function(path) return array.save(path, y) end},
   ["array.create"] = {"a.npy", function(path)
      local w <close> = assert(array.create(path, "f32", 3000))
      w:append(y)
      return w:commit()
   end},
   ["audio.save"] = {"a.wav", function(path) return audio.save(path, y, 8000, {format = "wav"}) end},
   ["audio.create"] = {"a.ogg", function(path)
      local w <close> = assert(audio.create(path, 8000, {format = "ogg"}))
      w:write(y)
      return w:commit()
   end},
   ["safetensors.save"] = {"a.safetensors", function(path) return safetensors.save(path, {a = y}) end},
   ["sql.write_parquet"] = {"a.parquet", function(path) return sql.write_parquet(path, {a = {1, 2}}) end},
   ["sql.write_csv"] = {"a.csv", function(path) return sql.write_csv(path, {a = {1, 2}}) end},
}

local dir
before_each(function() dir = command.folder() end)
after_each(function() command.remove(dir) end)

local function listing(folder) return (command.shell("ls -A " .. command.quote(folder or dir))) end

for name, writer in pairs(writers) do
   local file, write = table.unpack(writer)

   describe(name, function()
      local path, whole
      before_each(function()
         assert(system.mkdir(dir .. "/plain"))
         assert(write(dir .. "/plain/" .. file))
         whole = command.read(dir .. "/plain/" .. file)
         path = dir .. "/" .. file
      end)

      it("writes the file that links lead to, there or not, and leaves the links", function()
         assert(system.mkdir(dir .. "/disk"))
         command.write(dir .. "/disk/old", "old")
         lfs.link("disk/old", dir .. "/second", true)
         lfs.link(dir .. "/second", path, true)
         assert.truthy(write(path))
         assert.equal("link", lfs.symlinkattributes(path, "mode"))
         assert.equal("link", lfs.symlinkattributes(dir .. "/second", "mode"))
         assert.is_true(command.read(dir .. "/disk/old") == whole)
         os.remove(dir .. "/disk/old")
         assert.truthy(write(path))
         assert.is_true(command.read(dir .. "/disk/old") == whole)
         assert.equal("old\n", listing(dir .. "/disk"))
      end)

      it("names a path that leads in a circle", function()
         lfs.link(file, path, true)
         local ok, result, message = pcall(write, path)
         message = ok and message or result
         assert.matches(path .. ": Too many levels of symbolic links", message, 1, true)
         assert.equal("link", lfs.symlinkattributes(path, "mode"))
      end)

      it("writes devices and pipes straight", function()
         assert.truthy(write("/dev/null"))
         assert.equal("char device", lfs.attributes("/dev/null", "mode"))
         os.execute(("mkfifo %s; cat %s > %s/got &"):format(path, path, dir))
         assert.truthy(write(path))
         for _ = 1, 500 do
            if files.stamp(dir .. "/got") == #whole then break end
            system.sleep(0.01)
         end
         assert.is_true(command.read(dir .. "/got") == whole)
         assert.equal("named pipe", lfs.attributes(path, "mode"))
      end)

      it("keeps the permissions of the file, and follows the umask with a new one", function()
         command.write(path, "old")
         os.execute("chmod 606 " .. path)
         assert.truthy(write(path))
         assert.equal("rw----rw-", lfs.attributes(path, "permissions"))
         local mask = command.shell("umask"):gsub("%s", "")
         local wanted = command.shell(("umask %s; touch %s/new; stat -c %%a %s/new"):format(mask, dir, dir))
         assert.equal(wanted, (command.shell(("stat -c %%a %s/plain/%s"):format(dir, file))))
      end)

      it("leaves nothing else, whatever the length of the name", function()
         local long = ("é"):rep(120) .. file
         assert.truthy(write(dir .. "/plain/" .. long))
         assert.is_true(command.read(dir .. "/plain/" .. long) == whole)
         os.remove(dir .. "/plain/" .. long)
         assert.equal(file .. "\n", listing(dir .. "/plain"))
         assert.matches("/nowhere/" .. file .. ": No such file or directory",
            select(2, pcall(function() return assert(write("/nowhere/" .. file)) end)), 1, true)
      end)
   end)
end

-- Lua text that begins to write a file and waits until a file `go` is there.
local BEGIN = [[
   local array, lfs, system = require "bclua.array", require "lfs", require "bclua.system"
   local w = assert(array.create(arg[1] .. "/a.npy", "f32", 3))
   w:append(array.zeros(3))
   while not lfs.attributes(arg[1] .. "/go") do system.sleep(0.01) end
   assert(w:commit())]]

-- Start a script in the background; its process id.
local function start(script, folder)
   command.write(folder .. "/script.lua", script)
   local text = "%s %s/script.lua %s >%s/said 2>&1 & echo $!"
   local id = command.shell(text:format(command.program, folder, folder, folder))
   return id:match("%d+")
end

local function wait_for(pattern, folder)
   for _ = 1, 1000 do
      local found = listing(folder):match("[^\n]*" .. pattern .. "[^\n]*")
      if found then return found end
      system.sleep(0.01)
   end
   error(listing(folder) .. command.read(folder .. "/said"))
end

describe("a temporary file", function()
   it("goes when its process was killed, and stays while it lives", function()
      local living = start(BEGIN, dir)
      local kept = wait_for("a%.npy%.tmp" .. living .. "%-0", dir)
      local killed = start(BEGIN, dir)
      wait_for("a%.npy%.tmp" .. killed, dir)
      command.shell("kill -9 " .. killed)
      command.write(dir .. "/b.txt.tmp1-0", "of a process that lives, but not of this file")
      for _ = 1, 500 do -- until the kernel has let the lock go
         assert(system.write_file(dir .. "/new", ""))
         if not listing():find("tmp" .. killed) then break end
         system.sleep(0.01)
      end
      assert.equal(kept .. "\nnew\nsaid\nscript.lua\n", listing())
      command.write(dir .. "/go", "")
      wait_for("a%.npy\n", dir)
      assert.equal("", command.read(dir .. "/said"))
   end)

   it("of another user stays", function()
      command.write(dir .. "/a.txt.tmp1-0", "")
      local said = command.shell("chown 12345 " .. dir .. "/a.txt.tmp1-0")
      if said ~= "" then return pending("only root gives files away") end
      assert(system.write_file(dir .. "/b.txt", ""))
      assert.equal("a.txt.tmp1-0\nb.txt\n", listing())
   end)

   it("of a table that DuckDB writes goes as well", function()
      local killed = start([[
         require "bclua.sql".write_csv(arg[1] .. "/a.csv", "select range from range(1000000000000)")]], dir)
      wait_for("a%.csv%.tmp" .. killed .. "%-0%-data", dir)
      assert(system.write_file(dir .. "/new", ""))
      assert.matches("tmp" .. killed .. "%-0%-data", listing())
      command.shell("kill -9 " .. killed)
      for _ = 1, 500 do
         assert(sql.write_csv(dir .. "/a.csv", {a = {1}}))
         if not listing():find("tmp" .. killed) then break end
         system.sleep(0.01)
      end
      assert.equal("a.csv\nnew\nsaid\nscript.lua\n", listing())
   end)

   it("is made anew: what was put in its place is not written", function()
      command.write(dir .. "/other", "kept")
      local out = command.shell("sh -c " .. command.quote(([[d=%s
         ln -s other $d/x.txt.tmp$$-0
         ln -s other $d/x.csv.tmp$$-2 # 1 is what is written after that
         exec %s -e "assert(require 'bclua.system'.write_file('$d/x.txt', 'new'))
            assert(require 'bclua.sql'.write_csv('$d/x.csv', {a = {1}}))"]]):format(dir, command.program)))
      assert.equal("", out)
      assert.matches("x.txt.tmp%d+%-0\n", listing()) -- the link is there, and was in the way
      assert.equal("kept", command.read(dir .. "/other"))
      assert.equal("new", command.read(dir .. "/x.txt"))
      assert.equal("a\n1\n", command.read(dir .. "/x.csv"))
   end)
end)

describe("/dev/stdout", function()
   local program = command.quote([[
      io.write("before\n")
      assert(require "bclua.sql".write_csv("/dev/stdout", {a = {1}}))
      assert(require "bclua.system".write_file("/dev/fd/1", "text\n"))
      print("after")]])

   it("is where the results go among what is printed, to a pipe or a file", function()
      local run = command.program .. " -e " .. program
      local wanted = "before\na\n1\ntext\nafter\n"
      assert.equal(wanted, (command.shell(run)))
      command.shell(run .. " > " .. dir .. "/out")
      assert.equal(wanted, command.read(dir .. "/out"))
      assert.equal("link", lfs.symlinkattributes("/dev/stdout", "mode"))
   end)

   it("may be another descriptor, as of a process substitution", function()
      local out = command.shell(("%s -e %s 5>%s/five"):format(command.program,
         command.quote [[assert(require "bclua.sql".write_parquet("/dev/fd/5", {a = {42}}))]], dir))
      assert.equal("", out)
      assert.equal(42, sql.query("from read_parquet('" .. dir .. "/five')")[1].a)
   end)
end)

describe("an odd path", function()
   it("is said whole, and why", function()
      local long = ("folder/"):rep(500) .. "a"
      for path, why in pairs({[long] = "No such file or directory", [("x"):rep(256)] = "File name too long",
         [""] = "No such file or directory"}) do
         assert.same({nil, path .. ": " .. why}, {system.write_file(path, "")})
         assert.same({nil, path .. ": " .. why}, {sql.write_csv(path, {a = {1}})})
      end
      assert.same({nil, long .. ": no such file"}, {sql.query("from " .. sql.csv(long))})
   end)

   it("is not taken for somebody's home, an address or a pattern", function()
      local names = {"~a", "~/b", "s3://bucket/c", "file:/d", "[12]*?", "it's", "\"q\"", "back\\slash", "new\nline"}
      for i, name in ipairs(names) do
         local folder = files.dirname(name)
         if folder ~= "." then assert(system.mkdir(dir .. "/" .. folder)) end
         names[i] = ("assert(require 'bclua.sql'.write_csv(%q, {a = {%d}}))"):format(name, i)
      end
      assert.equal("", (command.bclua({"-e", table.concat(names, " ")}, {dir = dir, env = "HOME=/nowhere"})))
      assert.equal("a\n1\n", command.read(dir .. "/~a"))
      assert.equal("a\n2\n", command.read(dir .. "/~/b"))
      assert.equal("a\n3\n", command.read(dir .. "/s3:/bucket/c"))
      assert.equal("a\n4\n", command.read(dir .. "/file:/d"))
      assert.equal("a\n5\n", command.read(dir .. "/[12]*?"))
      assert.equal("a\n9\n", command.read(dir .. "/new\nline"))
   end)
end)
