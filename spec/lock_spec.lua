-- lock: what two programs in one folder may do to each other, which is nothing.
local browse = require "bclua.workflow.browse"
local command = require "support.command"
local files = require "bclua.files"
local lock = require "bclua.lock"
local mined = require "support.mined"
local process = require "bclua.process"
local sql = require "bclua.sql"
local system = require "bclua.system"

local dir
setup(function() dir = command.folder() end)
teardown(function()
   command.remove(dir)
   mined.remove()
end)

-- Another program that holds the lock of a path; to be closed, which kills it.
local function other(path)
   local log = dir .. "/other.log"
   local p = assert(process.start({command.program, "-e", ([[local l = assert(require("bclua.lock").take(%q))
      print "held" io.stdout:flush() while true do require("bclua.system").sleep(1) end]]):format(path)}, {log = log}))
   while not (files.read(log) or ""):find("held", 1, true) do
      assert(not p:ended(), files.read(log))
      system.sleep(0.01)
   end
   return p
end

local function folder(name)
   local path = dir .. "/" .. name
   assert(system.mkdir(path))
   return path
end

describe("lock", function()
   it("names the program that has it: command, process, host, time", function()
      local path = folder("named")
      local p <close> = other(path)
      local ok, message = lock.take(path)
      assert.is_nil(ok)
      local host = files.read("/proc/sys/kernel/hostname"):gsub("%s", "")
      assert.equal(("%s: bclua, process %d on %s since %s"):format(path, p:pid(), host, os.date("%Y-%m-%d %H:%M")),
         (message:gsub(", is at work on it$", "")))
      assert.matches("bclua scripts/motif%.lua extract, process", command.bclua{"-e",
         ([[arg = {[0] = "scripts/motif.lua", "extract", "--input"}
         local l <close> = require("bclua.lock").take(%q)
         print(require("bclua.files").read(%q))]]):format(dir .. "/file", dir .. "/file.lock")})
   end)

   it("goes with the process, and leaves no file where it is let go", function()
      local path = folder("killed")
      other(path):close()
      assert.is_true(files.exists(path .. "/.lock"))
      local l = assert(lock.take(path))
      assert.matches("process " .. process.number() .. " ", files.read(path .. "/.lock"))
      l:close()
      l:close()
      assert.is_false(files.exists(path .. "/.lock"))
   end)

   it("may be taken again by who has it, under another name, too", function()
      local path = folder("nested")
      local outer = assert(lock.take(path))
      do
         local inner <close> = assert(lock.take(path .. "/../nested/"))
         assert.is_table(inner)
      end
      assert.matches("is at work on it", command.bclua{"-e", ("print(require('bclua.lock').take(%q))"):format(path)})
      outer:close()
      assert.matches("^table", command.bclua{"-e", ("print(require('bclua.lock').take(%q))"):format(path)})
   end)

   it("is not dropped by reading its file", function() -- as that of fcntl is, with every close
      local path = folder("read")
      local l <close> = assert(lock.take(path))
      assert.is_string(files.read(path .. "/.lock"))
      assert.matches("is at work on it", command.bclua{"-e", ("print(require('bclua.lock').take(%q))"):format(path)})
      assert.is_table(l)
   end)

   it("is waited for, if told so", function()
      local path = dir .. "/waited.csv"
      local p = other(path)
      os.execute(("(sleep 0.3; kill -9 %d) &"):format(p:pid()))
      local l <close> = assert(lock.take(path, 20))
      assert.is_table(l)
      p:close()
   end)

   it("of a step is not to be had below a folder that another program holds", function()
      local path = folder("run")
      local p <close> = other(path)
      assert.is_userdata(p)
      for _, message in ipairs{select(2, lock.folder(path .. "/motif")), (select(2, lock.file(path .. "/b")))} do
         assert.matches("^" .. path:gsub("%p", "%%%0") .. ": bclua, process", message)
      end
      assert.is_table(lock.take(path .. "/accepted.csv")) -- but that of a verdict is
   end)

   it("says of a folder that nobody may write in what the system says", function()
      assert.same({nil, "/proc/x: No such file or directory"}, {lock.take("/proc/x")})
      assert.is_table(lock.take("/dev/null"))
      assert.is_false(files.exists("/dev/null.lock"))
   end)

   it("is no pipe or device, which stays as it is", function()
      local path = dir .. "/pipe"
      command.shell("mkfifo " .. path)
      assert.same({nil, path .. ": Invalid argument"}, {require("bclua.lock_core").take(path, "x")})
      assert.equal("named pipe", require("lfs").attributes(path, "mode"))
   end)
end)

describe("two programs", function()
   -- What each command is told to write, and the words that it needs.
   local COMMANDS = {
      ["motif.lua extract"] = {"out", "--input DATA/train_audio --output @"},
      ["motif.lua consolidate"] = {"out.parquet", "--input DIR/motif --output @"},
      ["motif.lua generate-triplets"] = {"out.parquet", "--input DIR/motif.parquet --samples 20 --output @"},
      ["motif.lua extract-triplets"] = {"out", "DIR/triplets.parquet --dataset-root DATA --output @"},
      ["motif.lua search"] = {"out.parquet", "--all --input DIR/motif.parquet --output @"},
      ["embed.lua fit"] = {"out", "DIR/triplets.parquet DIR/tiles --widths 2,2,2,2 --dim 4 --batch-size 2 " ..
         "--batches-per-round 1 --max-rounds 1 --run @"},
      ["embed.lua predict"] = {"out.parquet", "DIR/net.safetensors DATA/train_audio --output @"},
      ["embed.lua evaluate"] = {"out", "DIR/net.safetensors DIR/motif.parquet --dataset-root DATA --output @"},
      ["make_dataset.lua"] = {"out", "--families 1 --species 1 --recordings 1 --output @"},
      ["pipeline.lua"] = {"out", "--data DATA --run @"},
   }

   for name, c in pairs(COMMANDS) do
      it("do not both write what " .. name .. " writes", function()
         local m = mined.get()
         if not files.exists(m.dir .. "/net.safetensors") then
            local net = require("bclua.tilenet").new{widths = {2, 2, 2, 2}, z = 4}
            assert(net:save(m.dir .. "/net.safetensors"))
            net:close()
         end
         local output = dir .. "/" .. name:gsub("%A", "") .. "/" .. c[1]
         assert(system.mkdir(c[1] == "out" and output or files.dirname(output)))
         local p <close> = other(output)
         local words = {}
         for word in ("scripts/" .. name .. " " .. c[2]):gmatch("%S+") do
            words[#words + 1] = word:gsub("DATA", m.data):gsub("DIR", m.dir):gsub("@", output)
         end
         local out, status = command.bclua(words)
         assert.equal(1, status, out)
         assert.matches((": %s: bclua, process %d on "):format(output:gsub("%p", "%%%0"), p:pid()), out)
         assert.not_matches("traceback", out)
         assert.same(c[1] == "out" and {} or {c[1] .. ".lock"}, files.find(files.dirname(output)))
      end)
   end

   it("one of which writes leave the other its reading, and its verdicts", function()
      local m = mined.get()
      local run = mined.run()
      local p <close> = other(run)
      assert.is_userdata(p)
      assert.equal(m.consolidated.recordings, #assert(sql.query("from read_parquet(" .. sql.quote(m.motif) .. ")")))
      local b = assert(browse.open{run = run})
      local row = b:recording(1)
      local motif = b:best_motifs(row)[1]
      assert(b:judge(row, motif.at, motif.twin, "accepted"))
      assert.matches("accepted\n$", files.read(run .. "/accepted.csv"))
      os.remove(run .. "/accepted.csv")
   end)

   it("that judge motifs wait for each other", function()
      local run = mined.run()
      local b = assert(browse.open{run = run})
      local row = b:recording(1)
      local motif = b:best_motifs(row)[1]
      local p = other(run .. "/accepted.csv")
      os.execute(("(sleep 0.2; kill -9 %d) &"):format(p:pid()))
      assert(b:judge(row, motif.at, motif.twin, "rejected"))
      p:close()
      assert.matches("rejected\n$", files.read(run .. "/accepted.csv"))
      os.remove(run .. "/accepted.csv")
   end)
end)
