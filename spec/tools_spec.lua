local command = require "support.command"
local files = require "bclua.files"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local sql = require "bclua.sql"

describe("files", function()
   it("takes paths apart", function()
      assert.equal("c.ogg", files.basename("a/b/c.ogg"))
      assert.equal("b", files.basename("a/b//"))
      assert.equal("a.b", files.stem("x/a.b.ogg"))
      assert.equal(".hidden", files.stem(".hidden"))
      assert.equal("a/b", files.dirname("a/b/c"))
      assert.equal(".", files.dirname("c"))
      assert.equal("/", files.dirname("/c"))
   end)

   it("writes JSON with sorted keys that comes back", function()
      local path = os.tmpname()
      local value = {b = {1, 2.5, "x/y\n"}, a = {c = true}, e = {}}
      assert(files.write_json(path, value))
      assert.matches('^{\n  "a": {', command.read(path))
      assert.matches('"x/y\\n"', command.read(path), 1, true)
      assert.same(value, files.read_json(path))
      command.write(path, '{"a": null, "b": [1')
      local ok, message = files.read_json(path)
      assert.is_nil(ok)
      assert.equal(path .. ": not JSON", message:sub(1, #path + 10))
      os.remove(path)
   end)

   it("removes scratch files whatever ends the work", function()
      local file, folder
      pcall(function()
         local scratch <close> = files.scratch()
         file, folder = os.tmpname(), command.folder()
         scratch[1], scratch[2] = file, folder
         command.write(folder .. "/inside", "x")
         error("the end")
      end)
      assert.is_false(files.exists(file) or files.exists(folder))
   end)

   it("quotes CSV fields that need it", function()
      assert.equal('a,b\n"x,""y""",\n', files.csv({"a", "b"}, {{a = 'x,"y"'}}))
   end)
end)

describe("files.find", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function()
      command.shell("chmod -R u+rwx " .. dir)
      command.remove(dir)
   end)

   -- Make files and links; what is found, and the reasons of what is left out, without the folder's name.
   local function find(text, wanted)
      local _, status = command.shell("cd " .. dir .. " && " .. text)
      assert.equal(0, status)
      local found, left_out = files.find(dir, wanted)
      local reasons = {}
      for i, item in ipairs(left_out) do
         assert.equal(item.path, item.reason:sub(1, #item.path))
         reasons[i] = item.reason:sub(#dir + 2)
      end
      return table.concat(found, " "), table.concat(reasons, "; ")
   end

   it("names links that lead nowhere or round, pipes, and nothing that is not wanted", function()
      local found, reasons = find("mkdir a; touch a/x.wav a/notes; ln -s ../gone a/old; mkfifo a/p.wav a/q; ln -s m m",
         function(name) return name:find("%.wav$") end)
      assert.equal("a/x.wav", found)
      assert.equal("a/old: a link that leads nowhere; a/p.wav: a named pipe, no file; m: a link that leads nowhere",
         reasons)
   end)

   it("counts what is hidden, a folder as one", function()
      command.shell("cd " .. dir .. " && mkdir -p a/.git/x '$RECYCLE.BIN' && touch .a a/._b a/.git/x/c.wav a/d.wav " ..
         "'$RECYCLE.BIN/e.wav'")
      local found, left_out, hidden = files.find(dir)
      assert.same({{"a/d.wav"}, 0, 4}, {found, #left_out, hidden})
   end)

   it("reads each folder once, under its own name", function()
      local found, reasons = find("mkdir -p b/c; touch b/c/x b/y; ln -s .. b/c/up; ln -s . b/one; ln -s . b/two; " ..
         "ln -s b a")
      assert.equal("b/c/x b/y", found)
      assert.equal("a b/c/up b/one b/two", (reasons:gsub(": a link to a folder that is read already;?", "")))
   end)

   it("follows links to folders elsewhere, and those in them", function()
      local found, reasons = find("mkdir -p ../$(basename $PWD).else/in; touch ../$(basename $PWD).else/in/x; " ..
         "ln -s ../$(basename $PWD).else other; ln -s ../$(basename $PWD).else again; ln -s .. other/in/out")
      command.remove(dir .. ".else")
      assert.equal("again/in/x", found)
      assert.equal("other again/in/out", (reasons:gsub(": a link to a folder that is read already;?", "")))
   end)

   it("goes as deep as the folders do", function()
      local deep = ("d/"):rep(40)
      assert.equal(deep .. "x", (find("mkdir -p " .. deep .. "; touch " .. deep .. "x")))
   end)

   -- Root may read everything: as somebody who may not.
   local as = "setpriv --bounding-set -dac_override,-dac_read_search --"
   local closed = "mkdir -m 0 /tmp/no.$$; ls /tmp/no.$$; status=$?; rmdir /tmp/no.$$; exit $status"
   if select(2, command.shell(closed)) ~= 0 then as = "" end

   it("names folders that must not be read or entered, and goes on", function()
      command.shell(("cd %s && mkdir a b c && touch a/x b/x c/x && chmod 0 a && chmod 600 b"):format(dir))
      local out, status = command.shell(("%s %s -e %s"):format(as, command.quote(command.program), command.quote(([[
         local found, left_out = require("bclua.files").find(%q)
         print(table.concat(found, " "))
         for _, item in ipairs(left_out) do print(item.reason) end]]):format(dir))))
      if out:find("setpriv", 1, true) then return pending("cannot become somebody who may not read") end
      assert.equal(0, status, out)
      assert.equal(("c/x\n@/a: Permission denied\n@/b/x: Permission denied\n"):gsub("@", dir), out)
   end)

   it("tells an error from the end of a folder", function()
      command.write(dir .. "/x", "")
      local out = command.shell(("strace -o /dev/null -e inject=getdents64:error=EIO:when=2 %s -e %s"):format(
         command.quote(command.program), command.quote(([[
         local found, left_out = require("bclua.files").find(%q)
         print(found[1], left_out[1].reason)]]):format(dir))))
      if not out:find("x", 1, true) or out:find("ptrace", 1, true) then return pending("strace is missing") end
      assert.equal(("x\t%s: Input/output error\n"):format(dir), out)
   end)
end)

describe("progress", function()
   it("of one piece of work has a line where it takes long, and again", function()
      local function lines(options)
         local list = {}
         options.out = {write = function(_, text) list[#list + 1] = text end, flush = function() end}
         options.quiet = options.quiet or false
         local tell = progress.slow("extract: night.wav", options)
         tell("reading", 0.5)
         tell("matrix profile", 0)
         tell("matrix profile", 0.25)
         return list
      end
      assert.same({}, lines{})
      assert.same({}, lines{after_s = 0, again_s = 0, quiet = true})
      local all = lines{after_s = 0, again_s = 0}
      assert.matches("extract: night.wav: reading, 50 %%, 0.0 s left\n$", all[1])
      assert.matches("matrix profile, 0 %%, %? left\n$", all[2])
      assert.matches("matrix profile, 25 %%, 0.0 s left\n$", all[3])
      assert.equal(1, #lines{after_s = 0})
   end)

   it("shows rate and time left", function()
      assert.equal("extract 10/40 recordings  5/s  6.0 s left", progress.text({name = "extract", done = 10,
         total = 40, elapsed = 2, unit = "recordings"}))
      assert.equal("x 1/4 items  0/s  ? left",
         progress.text({name = "x", done = 1, total = 4, elapsed = 1e-5, unit = "items"}))
      assert.equal("x 0/4 items  0/s  ? left",
         progress.text({name = "x", done = 0, total = 4, elapsed = 0, unit = "items"}))
   end)

   it("writes durations as people do", function()
      assert.equal("2.5 s", progress.duration(2.5))
      assert.equal("42 s", progress.duration(42))
      assert.equal("2 min 05 s", progress.duration(125))
      assert.equal("3 h 20 min", progress.duration(12000))
   end)

   it("knows what is kept of work that is broken off", function()
      local function begin(kept)
         local bar = progress.new("work", 40, {unit = "recordings", done = 10, kept = kept, quiet = true})
         bar:update(2)
         return bar
      end
      begin(true)
      assert.equal("interrupted: 12 of 40 recordings done; run the same command to go on", progress.interrupted())
      begin("last.safetensors")
      assert.matches("12 of 40 recordings done (last.safetensors);", progress.interrupted(), 1, true)
      begin(nil)
      assert.equal("interrupted; run the same command again", progress.interrupted())
      begin(true):finish()
      assert.equal("interrupted; run the same command again", progress.interrupted())
      progress.begin_part("extract")
      assert.equal("interrupted in extract: what came before it is kept; run the same command to go on",
         progress.interrupted())
      begin(true)
      assert.equal("interrupted in extract: 12 of 40 recordings done; run the same command to go on",
         progress.interrupted())
      progress.begin_part(nil)
   end)

   local function collector()
      local out = {text = ""}
      function out:write(...) self.text = self.text .. table.concat({...}) return self end
      function out.flush() end
      return out
   end

   it("draws a bar on a terminal and only a last line elsewhere", function()
      local out = collector()
      local bar = progress.new("work", 4, {out = out, terminal = true, quiet = false})
      bar.quiet = false
      bar:update(2)
      assert.matches("[############............] work 2/4 items", out.text, 1, true)
      out = collector()
      bar = progress.new("work", 4, {out = out, terminal = false})
      bar.quiet = false
      for i = 1, 4 do bar:update(i) end
      assert.equal("", out.text)
      bar:finish()
      assert.matches("^work: 4 items in ", out.text)
   end)
end)

describe("a progress bar", function()
   it("keeps to the width of the terminal: it becomes shorter, then the text is cut", function()
      assert.equal("[######" .. ("."):rep(18) .. "] name 1/4", progress.line(0.25, "name 1/4", 80))
      assert.equal("[####......] " .. ("x"):rep(66), progress.line(0.4, ("x"):rep(66), 80))
      assert.equal("[########] " .. ("x"):rep(68), progress.line(1, ("x"):rep(140), 80))
      assert.equal("[........] é", progress.line(0, "éé", 13))
      assert.equal("[...", progress.line(0, "name", 5))
   end)

   -- What a script writes to a terminal of 60 columns.
   local function on_terminal(script)
      local path = command.write(os.tmpname(), script)
      local out = command.shell("env -u BCLUA_QUIET BCLUA_VERBOSE=1 script -qec " .. command.quote(
         ("stty cols 60; %s %s"):format(command.quote(command.program), path)) .. " /dev/null </dev/null")
      os.remove(path)
      return (out:gsub("\r\n", "\n"))
   end

   it("has notes and last lines that are broken at blanks where the terminal ends", function()
      if not require("support.terminal").available() then return pending("no pseudo-terminal can be had") end
      local out = on_terminal([[
         local progress = require "bclua.progress"
         progress.note(("word "):rep(20))
         progress.new("work", 9):finish(("part "):rep(13))]])
      local function line(head, word, n) return head .. (" " .. word):rep(n) .. "\n" end
      assert.equal(line("word", "word", 11) .. line("word", "word", 7) .. line("work:", "part", 11) .. "part part\n",
         (out:gsub("\r?\27%[K", "")))
   end)

   it("follows the terminal when it is resized, and makes way for messages and errors", function()
      if not require("support.terminal").available() then return pending("no pseudo-terminal can be had") end
      local out = on_terminal([[
         local progress, system = require "bclua.progress", require "bclua.system"
         local bar = progress.new("work", 9)
         local function draw(n) bar:update(n, ("x"):rep(140)) system.sleep(0.11) end
         draw(1)
         os.execute("stty cols 40 <&2")
         draw(2)
         progress.note("a note")
         draw(3)
         error("an error", 0)]])
      local lines = {}
      for line in (out .. "\27[K"):gmatch("(.-)\r?\27%[K") do lines[#lines + 1] = line end
      assert.equal(6, #lines, out)
      assert.same({59, 39, 39}, {#lines[2], #lines[3], #lines[5]})
      assert.matches("^%[#%.%.%.%.%.%.%.%] work 1/9 items .*x$", lines[2])
      assert.equal("a note\n", lines[4])
      assert.matches("^bclua: an error\n", lines[6])
   end)
end)

describe("record", function()
   it("names the first difference, and takes 50 and 50.0 for the same", function()
      assert.is_nil(provenance.difference({a = 50, v = {1, 2}}, {a = 50.0, v = {1.0, 2}}))
      assert.equal("a = 1, now 2", provenance.difference({a = 1}, {a = 2}))
      assert.equal("a = none, now 2", provenance.difference({version = "1"}, {a = 2, version = "2"}))
      assert.equal("n.w = {8, 16}, now {8, 32}", provenance.difference({n = {w = {8, 16}}}, {n = {w = {8, 32}}}))
      assert.equal("seed = 9007199254740993, now 9007199254740992",
         provenance.difference({seed = (1 << 53) + 1}, {seed = 1 << 53}))
      assert.equal("a = 0.30000000000000004, now 0.3", provenance.difference({a = 0.1 + 0.2}, {a = 0.3}))
   end)

   it("keeps parameters exactly, in folders and in Parquet", function()
      local folder = command.folder()
      local made = {seed = 123456789012345678, rate = 0.1 + 0.2, whole = 2.0, none = {}}
      assert(provenance.open_folder(folder, made))
      assert(provenance.open_folder(folder, made))
      made.seed, made.whole = made.seed + 1, 2
      local ok, message = provenance.open_folder(folder, made)
      assert.is_nil(ok)
      assert.matches("seed = 123456789012345678, now 123456789012345679", message, 1, true)
      assert(sql.write_parquet(folder .. "/t.parquet", {a = {1}}, {metadata = provenance.for_parquet(made)}))
      local back = provenance.of_parquet(folder .. "/t.parquet")
      assert.same({made.seed, made.rate, "integer"}, {back.seed, back.rate, math.type(back.whole)})
      command.remove(folder)
   end)
end)
