local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local files = require "bclua.files"
local partitioned_writer = require "bclua.workflow.predict.partitioned_writer"
local predict = require "bclua.workflow.predict"
local sampling = require "bclua.sampling"
local sql = require "bclua.sql"
local system = require "bclua.system"
local tilenet = require "bclua.tilenet"
local windows = require "bclua.workflow.predict.windows"

local RATE = 32000

describe("windows.count", function()
   local function count(total, hop_s, drop)
      return windows.count(total, {sample_rate = 10, length = 50, hop_s = hop_s, drop = drop})
   end

   it("covers all sound, with at most one window that sticks out", function()
      assert.same({0, 1, 1, 2}, {count(0, 5), count(1, 5), count(50, 5), count(51, 5)})
      assert.same({2, 3}, {count(100, 5), count(101, 5)})
      assert.same({1, 2, 2, 3}, {count(50, 1), count(51, 1), count(60, 1), count(61, 1)})
   end)

   it("leaves out what sticks out, if told so", function()
      assert.same({0, 1, 1, 2}, {count(49, 5, true), count(50, 5, true), count(99, 5, true), count(100, 5, true)})
   end)

   it("leaves gaps where the hop is longer than a window", function()
      assert.same({1, 1, 2, 2}, {count(50, 7), count(70, 7), count(71, 7), count(120, 7)})
      assert.equal(1, count(71, 7, true))
   end)

   it("rounds each start, so that a hop of no whole number of samples does not drift", function()
      assert.equal(31, count(50 + 100, 1 / 3))
   end)
end)

describe("predict", function()
   local dir, checkpoint, net, paths

   local function noise(n, seed)
      return sampling.generator(seed):normal(n):copy("f32") * 0.1
   end

   setup(function()
      dir = command.folder()
      net = tilenet.new{widths = {4, 8, 16, 32}, z = 32, seed = 3}
      checkpoint = dir .. "/net.safetensors"
      assert(net:save(checkpoint))
      assert(system.mkdir(dir .. "/in"))
      paths = {dir .. "/in/a.wav", dir .. "/in/b.flac", dir .. "/in/c.ogg"}
      local n = 44100 * 12
      assert(audio.save(paths[1], array.concat{noise(n, 1), noise(n, 2)}:reshape{2, n}, 44100))
      assert(audio.save(paths[2], noise(RATE * 10, 3), RATE))
      assert(audio.save(paths[3], noise(RATE * 3, 4), RATE))
   end)

   teardown(function()
      net:close()
      command.remove(dir)
   end)

   local serial = 0
   local function run(options)
      serial = serial + 1
      local o = {checkpoint = checkpoint, inputs = {dir .. "/in"}, output = ("%s/%d.parquet"):format(dir, serial),
         quiet = true}
      for k, v in pairs(options or {}) do o[k] = v end
      local result, message = predict.run(o)
      return result, message, o.output
   end

   local function read(path)
      return assert(sql.query(("select * from read_parquet(%s)"):format(sql.quote(path))))
   end

   -- What it should be: windows of the whole recording, one by one.
   local function expected(path, starts)
      local y = assert(audio.load(path, {sample_rate = RATE}))
      local list = {}
      for i, start_s in ipairs(starts) do
         local w, first = array.zeros(net.samples), math.floor(start_s * RATE + 0.5)
         local n = math.min(#y - first, net.samples)
         w:slice(1, 1, n):fill(y:slice(1, first + 1, first + n))
         list[i] = net:forward(w)[1]
      end
      return list
   end

   local function assert_rows(rows, path, starts, ends)
      local own = {}
      for _, row in ipairs(rows) do
         if row.file == path then own[#own + 1] = row end
      end
      assert.equal(#starts, #own)
      local e = expected(path, starts)
      for i, row in ipairs(own) do
         assert.near(starts[i], row.start_s, 1e-9)
         assert.near(ends[i], row.end_s, 1e-9)
         assert.equal(32, #row.embedding)
         assert.is_true((row.embedding - e[i]):abs():max() < 1e-7)
      end
   end

   it("embeds each window as the network does the same window of the whole recording", function()
      local result, _, output = run()
      assert.same({3, 6, 0}, {result.done, result.windows, #result.failures})
      local rows = read(output)
      assert.same({"file", "start_s", "end_s", "clock_time", "site", "embedding"}, sql.names(rows))
      assert_rows(rows, paths[1], {0, 5, 10}, {5, 10, 12})
      assert_rows(rows, paths[2], {0, 5}, {5, 10})
      assert_rows(rows, paths[3], {0}, {3})
   end)

   it("takes windows that overlap, that have gaps, and only whole ones", function()
      local _, _, output = run{hop = 1.7, batch = 3}
      assert_rows(read(output), paths[1], {0, 1.7, 3.4, 5.1, 6.8, 8.5}, {5, 6.7, 8.4, 10.1, 11.8, 12})
      _, _, output = run{hop = 6, batch = 2}
      assert_rows(read(output), paths[1], {0, 6}, {5, 11})
      _, _, output = run{partial = "drop"}
      local rows = read(output)
      assert.equal(4, #rows)
      assert_rows(rows, paths[1], {0, 5}, {5, 10})
   end)

   it("finds the end of a recording whose header does not say its length", function()
      local path, bytes = dir .. "/endless.flac", command.read(paths[2])
      command.write(path, bytes:sub(1, 22) .. "\0\0\0\0" .. bytes:sub(27))
      assert.equal(10 * RATE, audio.info(path).frames)
      for batch = 1, 3 do
         local _, _, output = run{inputs = {path}, batch = batch}
         assert_rows(read(output), path, {0, 5}, {5, 10})
      end
   end)

   it("writes the same on any number of threads, and of windows in a part", function()
      local texts, most = {}, partitioned_writer.rows
      for i, case in ipairs{{1, most}, {6, most}, {2, 2}} do
         local before = system.threads()
         system.threads(case[1])
         partitioned_writer.rows = case[2]
         local _, _, output = run{batch = 2}
         system.threads(before)
         texts[i] = {}
         for k, row in ipairs(read(output)) do
            texts[i][k] = row.file .. row.start_s .. table.concat(row.embedding:table(), " ")
         end
      end
      partitioned_writer.rows = most
      assert.same(texts[1], texts[2])
      assert.same(texts[1], texts[3])
   end)

   it("names checkpoint, parameters and recordings in the metadata", function()
      local _, _, output = run()
      local m = sql.parquet_metadata(output)
      assert.equal(checkpoint, m.bclua_checkpoint)
      local p = require("cjson").decode(m.bclua)
      assert.same({5, 5, "pad", "f32"}, {p.hop_s, p.window_s, p.partial, p.precision})
      assert.equal(3, #require("cjson").decode(m.bclua_files))
   end)

   it("goes past bad recordings and lists them", function()
      local bad = dir .. "/bad.wav"
      command.write(bad, "no sound at all")
      local output = dir .. "/listed.parquet"
      local out, status = command.bclua{"scripts/embed.lua", "predict", checkpoint, bad, paths[3],
         dir .. "/missing.ogg", "--output", output}
      assert.equal(0, status, out)
      assert.matches("3 found: 1 done, 0 finished before, 2 failed, ", out, 1, true)
      assert.matches("; 2 failed: " .. output .. ".failures.csv\n", out, 1, true)
      assert.matches("bad.wav", command.read(output .. ".failures.csv"), 1, true)
      assert.equal(1, #read(output))
   end)

   it("says so when nothing could be done, and leaves nothing behind", function()
      local bad = command.write(dir .. "/bad.wav", "no sound at all")
      local result, message, output = run{inputs = {bad}}
      assert.is_nil(result)
      assert.matches("its only recording failed: " .. bad, message, 1, true)
      assert.is_false(files.exists(output))
      assert.is_false(files.exists(output .. ".parts"))
      assert.matches(bad .. ",predict,", command.read(output .. ".failures.csv"), 1, true)
   end)

   it("says where every file of folders and lists went", function()
      local folder = dir .. "/card"
      assert(require("bclua.system").mkdir(folder))
      assert(audio.save(folder .. "/a.wav", noise(RATE * 6, 7), RATE))
      for _, name in ipairs({"bad.wav", "memo.wac", "CONFIG.TXT", "._a.wav"}) do
         command.write(folder .. "/" .. name, "")
      end
      command.shell("ln -s nowhere " .. folder .. "/gone.wav")
      local text = require("bclua.workflow.account").text
      local inputs = {folder, folder .. "/a.wav", paths[3], dir .. "/missing.ogg"}
      local result, _, output = run{inputs = inputs}
      assert.equal("8 found: 2 done, 0 finished before, 3 failed, 1 not read, 2 ignored", text(result.counts))
      result = run{inputs = inputs, output = output}
      assert.equal("8 found: 0 done, 2 finished before, 3 failed, 1 not read, 2 ignored", text(result.counts))
      assert.equal(3, #result.failures)
   end)

   it("embeds no silence without a word", function()
      local y = noise(RATE * 6, 7)
      local path = dir .. "/opposite.wav"
      assert(audio.save(path, array.concat{y, y * -1}:reshape{2, #y}, RATE))
      local result, _, output = run{inputs = {path, paths[2]}}
      assert.same({2, 4, 1}, {result.done, result.rows, #result.warnings})
      assert.matches("opposite.wav,predict,its channels cancel each other", command.read(output .. ".warnings.csv"))
   end)

   it("says how many windows of a recording are silent, constant, or padded by its recorder", function()
      local gated, padded, short = dir .. "/gated.flac", dir .. "/padded.flac", dir .. "/short.flac"
      local y = noise(RATE * 20, 8) -- silent where its recorder paused: 3.5 to 18.5 s
      y:slice(1, 3.5 * RATE + 1, 18.5 * RATE):fill(0)
      assert(audio.save(gated, y, RATE))
      y = noise(RATE * 12, 9)
      y:slice(1, 1, 6 * RATE):fill(0.25)
      assert(audio.save(padded, y, RATE))
      assert(audio.save(short, noise(RATE * 6, 9), RATE)) -- four seconds behind its end are no silence of its own
      local result, _, output = run{inputs = {gated, padded, short}}
      assert.same({3, 9, 2}, {result.done, result.rows, #result.warnings})
      local text = command.read(output .. ".warnings.csv")
      assert.matches("gated.flac,predict,silent or constant: 3 of its 4 windows,20", text, 1, true)
      assert.matches("padded.flac,predict,silent or constant: 1 of its 3 windows,12", text, 1, true)
   end)

   it("takes a recording up to where it turns out damaged, and says so, in a second run, too", function()
      local path = dir .. "/damaged.flac"
      assert(audio.save(path, noise(RATE * 40, 5), RATE))
      local bytes = command.read(path)
      local middle = #bytes // 2
      command.write(path, bytes:sub(1, middle) .. ("\0"):rep(9000) .. bytes:sub(middle + 9001))
      local most = partitioned_writer.rows
      partitioned_writer.rows = 2
      local result, _, output = run{inputs = {path, paths[2]}, batch = 1}
      partitioned_writer.rows = most
      local there = #assert(audio.load(path)) / RATE
      assert.is_true(there > 15 and there < 20)
      assert.same({2, 6, 0}, {result.done, result.rows, #result.failures})
      assert_rows(read(output), path, {0, 5, 10, 15}, {5, 10, 15, there})
      assert_rows(read(output), paths[2], {0, 5}, {5, 10})
      local text = command.read(output .. ".warnings.csv")
      assert.matches("^path,step,what,seconds,claimed_s\n.*damaged.flac,predict,truncated or damaged: gives 1%d", text)
      assert.equal(0, run{inputs = {path, paths[2]}, output = output}.done)
      assert.equal(text, command.read(output .. ".warnings.csv"))
   end)

   it("a second run skips what is done, redoes what has changed, adds what is new", function()
      local own = dir .. "/own.wav"
      assert(audio.save(own, noise(RATE * 6, 6), RATE))
      local _, _, output = run{inputs = {paths[2], own}}
      local result = run{inputs = {paths[2], own}, output = output}
      assert.same({0, 2, 4}, {result.done, result.skipped, result.rows})
      assert(audio.save(own, noise(RATE * 11, 7), RATE))
      result = run{inputs = {paths[3], own}, output = output}
      assert.same({2, 0, 6}, {result.done, result.skipped, result.rows})
      local rows = read(output)
      assert.equal(6, #rows)
      assert_rows(rows, paths[2], {0, 5}, {5, 10})
      assert_rows(rows, own, {0, 5, 10}, {5, 10, 11})
      assert_rows(rows, paths[3], {0}, {3})
      assert.is_false(files.exists(output .. ".parts"))
   end)

   it("does a recording again whose time has changed", function()
      local own = dir .. "/touched.wav"
      assert(audio.save(own, noise(RATE * 6, 8), RATE))
      local _, _, output = run{inputs = {own}}
      require("lfs").touch(own, 1e9, 1e9)
      assert.equal(1, run({inputs = {own}, output = output}).done)
   end)

   it("refuses other parameters and other weights, unless forced", function()
      local _, _, output = run()
      local result, message = run{hop = 2.5, output = output}
      assert.is_nil(result)
      assert.matches("hop_s = 5, now 2.5", message, 1, true)
      local other = tilenet.new{widths = {4, 8, 16, 32}, z = 32, seed = 4}
      assert(other:save(dir .. "/other.safetensors"))
      other:close()
      result, message = run{checkpoint = dir .. "/other.safetensors", output = output}
      assert.is_nil(result)
      assert.matches("weights = ", message, 1, true)
      result = run{hop = 2.5, output = output, force = true}
      assert.equal(#read(output), result.windows)
   end)

   it("does not replace a file that it has not made", function()
      local other = dir .. "/others.parquet"
      assert(sql.write_parquet(other, {x = {1, 2}}))
      local result, message = run{output = other}
      assert.is_nil(result)
      assert.matches("not of `embed predict`", message, 1, true)
   end)

   it("names what is wrong with its arguments", function()
      local function message_of(options) return select(2, run(options)) end
      assert.matches("/nowhere: no such file", message_of{inputs = {dir .. "/nowhere"}}, 1, true)
      assert.matches("must end in .parquet", message_of{output = dir .. "/x.csv"}, 1, true)
      assert.matches("no such folder", message_of{output = dir .. "/no/x.parquet"}, 1, true)
      assert.matches("/no.safetensors: ", message_of{checkpoint = dir .. "/no.safetensors"}, 1, true)
   end)
end)

describe("parts", function()
   local dir
   setup(function() dir = command.folder() end)
   teardown(function() command.remove(dir) end)

   local P = {z = 2}
   local function chunk(file, n, value)
      local times = array.from({0, 5, 10, 15}, "f64"):slice(1, 1, n)
      return {file = file, start_s = times, end_s = times + 5, embedding = array.full({n, 2}, value)}
   end
   local function add(store, file, n, value)
      assert(store:add(chunk(file, n, value)))
      assert(store:finish{file = file, bytes = 1, modified = 2, windows = n})
   end
   local function names(path)
      local list = {}
      for i, row in ipairs(assert(sql.query(("select file, embedding[1] e from read_parquet('%s')"):format(path)))) do
         list[i] = row.file .. row.e
      end
      return table.concat(list, " ")
   end

   it("goes on behind what a killed run has written", function()
      local path = dir .. "/killed.parquet"
      local store = assert(partitioned_writer.open(path, P))
      add(store, "a", 2, 1)
      assert(store:flush())
      add(store, "b", 1, 2) -- never written
      command.write(path .. ".parts/part-000009.parquet", "torn")
      local f = io.open(path .. ".parts/journal.jsonl", "a")
      f:write('{"parts": ["part-0')
      f:close()
      store = assert(partitioned_writer.open(path, P))
      assert.equal(2, store.done.a.windows)
      assert.is_nil(store.done.b)
      assert.is_false(files.exists(path .. ".parts/part-000009.parquet"))
      add(store, "b", 1, 3)
      assert.equal(3, store:commit{})
      assert.equal("a1.0 a1.0 b3.0", names(path))
   end)

   it("loses nothing that comes behind a line that was torn", function()
      local path = dir .. "/torn.parquet"
      local store = assert(partitioned_writer.open(path, P))
      add(store, "a", 1, 1)
      assert(store:flush())
      local f = io.open(path .. ".parts/journal.jsonl", "a")
      f:write('{"parts": ["part-0')
      f:close()
      store = assert(partitioned_writer.open(path, P))
      add(store, "b", 1, 2)
      assert(store:flush())
      store = assert(partitioned_writer.open(path, P)) -- killed once more
      assert.equal(1, store.done.b.windows)
      assert.equal(2, store:commit{})
      assert.equal("a1.0 b2.0", names(path))
   end)

   it("takes no rows in twice where it was killed with the table there and the parts, too", function()
      local path = dir .. "/twice.parquet"
      local store = assert(partitioned_writer.open(path, P))
      add(store, "a", 1, 1)
      assert.equal(1, store:commit{})
      store = assert(partitioned_writer.open(path, P))
      add(store, "b", 2, 2)
      assert(store:flush())
      command.shell(("cp -r %s.parts %s.kept"):format(path, path))
      assert.equal(3, store:commit{})
      command.shell(("cp -r %s.kept %s.parts"):format(path, path))
      store = assert(partitioned_writer.open(path, P))
      assert.equal(2, store.done.b.windows)
      assert.equal(3, store:commit{})
      assert.equal("a1.0 b2.0 b2.0", names(path))
      assert.is_false(files.exists(path .. ".parts"))
      store = assert(partitioned_writer.open(path, P))
      add(store, "c", 1, 3)
      assert.equal(4, store:commit{})
      assert.equal("a1.0 b2.0 b2.0 c3.0", names(path))
   end)

   it("leaves out a recording that was replaced, wherever it was", function()
      local path = dir .. "/replaced.parquet"
      local store = assert(partitioned_writer.open(path, P))
      add(store, "a", 1, 1)
      add(store, "b", 1, 1)
      assert.equal(2, store:commit{})
      store = assert(partitioned_writer.open(path, P))
      assert(store:replace{"a"})
      add(store, "a", 2, 2)
      assert(store:flush())
      store = assert(partitioned_writer.open(path, P)) -- broken off there, and a changes again
      assert.equal(2, store.done.a.windows)
      assert(store:replace{"a"})
      add(store, "a", 1, 3)
      assert.equal(2, store:commit{})
      assert.equal("b1.0 a3.0", names(path))
   end)

   it("still leaves it out after the run that replaced it was broken off", function()
      local path = dir .. "/broken.parquet"
      local store = assert(partitioned_writer.open(path, P))
      add(store, "a", 1, 1)
      assert.equal(1, store:commit{})
      store = assert(partitioned_writer.open(path, P))
      assert(store:replace{"a"})
      store = assert(partitioned_writer.open(path, P))
      assert.is_nil(store.done.a)
      add(store, "a", 2, 2)
      assert.equal(2, store:commit{})
      assert.equal("a2.0 a2.0", names(path))
   end)

   it("refuses to go on with other parameters", function()
      local path = dir .. "/other.parquet"
      local store = assert(partitioned_writer.open(path, P))
      add(store, "a", 1, 1)
      assert(store:flush())
      local _, message = partitioned_writer.open(path, {z = 3})
      assert.matches("z = 2, now 3", message, 1, true)
      store = assert(partitioned_writer.open(path, {z = 3}, true))
      assert.is_nil(store.done.a)
   end)

   it("makes an empty table where no recording has a window", function()
      local path = dir .. "/empty.parquet"
      local store = assert(partitioned_writer.open(path, P))
      assert(store:finish{file = "short", bytes = 1, modified = 2, windows = 0})
      assert.equal(0, store:commit{})
      assert.equal("", names(path))
      assert.equal(0, assert(partitioned_writer.open(path, P)).done.short.windows)
   end)
end)
