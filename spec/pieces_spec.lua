-- Steps other than `extract` by shards: the same bytes for any N, in any order, whoever is killed.
local command = require "support.command"
local files = require "bclua.files"
local lfs = require "lfs"
local mined = require "support.mined"
local predict = require "bclua.workflow.predict"
local score = require "bclua.workflow.score"
local sql = require "bclua.sql"
local tilenet = require "bclua.tilenet"
local tiles = require "bclua.workflow.tiles"

local m, dir, few

setup(function()
   m = mined.get()
   dir = command.folder()
   few = dir .. "/few.parquet" -- 8 recordings of about 13 s, as a piece is a minute at least
   assert(sql.write_parquet(few, ("from %s order by source_name limit 8"):format(sql.parquet(m.motif)),
      {metadata = {bclua = sql.parquet_metadata(m.motif).bclua}}))
end)
teardown(function()
   command.remove(dir)
   mined.remove()
end)

local serial = 0
local function new(ending)
   serial = serial + 1
   return ("%s/%d%s"):format(dir, serial, ending)
end

-- Run the shards of several numbers and orders with `run(output, more)`; `read(output)` is the same after each.
local function assert_same(run, ending, read)
   local whole
   for _, order in ipairs{{2, 1}, {3, 1, 2}} do
      local output = new(ending)
      for k, i in ipairs(order) do
         local r, message = run(output, {shard = i .. "/" .. #order})
         assert.is_truthy(r, message)
         assert.is_true(r.merged or k < #order)
      end
      whole = whole or read(output)
      assert.is_true(whole == read(output), ending .. " by " .. #order)
   end
   return whole
end

local function touched(path, f)
   local before = lfs.attributes(path, "modification")
   assert(lfs.touch(path, before + 5))
   f()
   assert(lfs.touch(path, before))
end

describe("discover by shards", function()
   it("finds what one process finds", function()
      local function run(output, more)
         local o = {input = few, features = m.dir .. "/motif", output = output, seconds = 1, share = 0.5, fewest = 2,
            quiet = true}
         for k, v in pairs(more or {}) do o[k] = v end
         return require("bclua.workflow.discover").run(o)
      end
      local whole = assert_same(run, ".parquet", files.read)
      local alone = new(".parquet")
      assert(run(alone))
      assert.is_true(whole == files.read(alone))
      assert.is_true(#sql.query(("from '%s'"):format(alone)) > 10)
      assert.matches("needs %-%-output", select(2, run(nil, {shard = "1/2"})))
   end)
end)

describe("score by shards", function()
   local function run(output, more)
      local o = {input = few, dataset_root = m.data, output = output, calls = 2, quiet = true}
      for k, v in pairs(more or {}) do o[k] = v end
      return score.run(o)
   end

   it("makes the bytes of one process, for any N and order, also as CSV", function()
      local plain, csv = new(".parquet"), new(".csv")
      assert(run(plain))
      assert.is_true(assert_same(run, ".parquet", command.read) == command.read(plain))
      for i = 1, 2 do assert(run(csv, {shard = i .. "/2"})) end
      plain = new(".csv")
      assert(run(plain))
      assert.is_true(command.read(plain) == command.read(csv))
   end)

   it("goes on after another N, without any, and does a piece again that is gone or damaged", function()
      local output, plain = new(".parquet"), new(".parquet")
      assert(run(plain))
      local first = assert(run(output, {shard = "1/2"}))
      assert.is_true(first.done > 0 and not first.merged and not files.exists(output))
      local folder = output .. ".shards"
      os.remove(folder .. "/part-000001.parquet")
      command.write(folder .. "/part-000002.parquet", "damaged")
      local r = assert(run(output))
      assert.is_true(r.merged and r.done > 0)
      assert.is_true(command.read(plain) == command.read(output))
      r = assert(run(output, {shard = "3/7"}))
      assert.same({0, true}, {r.done, r.merged})
   end)

   it("keeps what is done when time is up, is killed, and goes on", function()
      local output, plain = new(".parquet"), new(".parquet")
      assert(run(plain))
      local words = ("%s scripts/motif.lua score --input %s --dataset-root %s --output %s --calls 2 --threads 1 ")
         :format(command.quote(command.program), command.quote(few), command.quote(m.data), command.quote(output))
      local out, status = command.shell(words .. "--time-limit 0.0001")
      assert.equal(75, status, out)
      assert.matches("motif score: time is up", out)
      command.shell(words .. "--shard 2/2 & two=$!; " .. words .. "--shard 1/2 & one=$!; sleep 0.3; " ..
         "kill -KILL $two; wait $one")
      out, status = command.shell("SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_COUNT=2 " .. words)
      assert.equal(0, status, out)
      assert.matches("score: --shard 2/2, by SLURM_ARRAY_TASK_ID\n", out, 1, true)
      assert.is_true(command.read(plain) == command.read(output))
      os.remove(output)
      command.remove(output .. ".shards")
      for _ = 1, 2 do -- a job that is no array, and writes over what is there
         out, status = command.shell(("SLURM_JOB_END_TIME=%d %s"):format(os.time(), words))
         assert.equal(0, status, out)
         assert.is_false(files.exists(output .. ".shards"))
      end
      out, status = command.shell(words .. "--shard 3/2")
      assert.not_equal(0, status)
      assert.matches("'3/2' is outside 1/2..2/2", out, 1, true)
   end)

   it("is claimed piece by piece, also after a kill, to the same bytes", function()
      local output, plain = new(".parquet"), new(".parquet")
      assert(run(plain))
      local words = ("%s scripts/motif.lua score --input %s --dataset-root %s --output %s --calls 2 --threads 1 " ..
         "--claim --stale 1"):format(command.quote(command.program), command.quote(few), command.quote(m.data),
         command.quote(output))
      local out, status = command.shell(words .. " & p=$!; sleep 0.2; kill -KILL $p; " .. words .. " & a=$!; " ..
         words .. " & b=$!; wait $a && wait $b")
      assert.equal(0, status, out)
      assert.equal(2, select(2, out:gsub("made of 2 pieces", "")), out)
      assert.is_true(command.read(plain) == command.read(output))
      local _, message = run(output, {shard = "1/2", claim = true, stale = 1})
      assert.equal("--shard and --claim exclude each other", message)
   end)

   it("counts recordings that cannot be read, and tries them again", function()
      local root = new("")
      assert.equal("", command.shell(("cp -r %s %s"):format(command.quote(m.data), command.quote(root))))
      local name = sql.query("from " .. sql.parquet(m.motif) .. " order by source_name")[2].source_name
      assert(os.rename(root .. "/" .. name, root .. "/away"))
      command.write(root .. "/" .. name, "no sound")
      local output = new(".parquet")
      for i = 1, 2 do assert(run(output, {shard = i .. "/2", dataset_root = root})) end
      assert.matches(name, command.read(output .. ".failures.csv"), 1, true)
      local _, message
      touched(root .. "/" .. name, function()
         _, message = run(output, {shard = "1/2", dataset_root = root})
      end)
      assert.matches(name .. ": was changed since " .. output .. ".shards/manifest.parquet was frozen", message, 1,
         true)
   end)

   it("refuses other settings, and a table that was made without shards", function()
      local output = new(".parquet")
      assert(run(output, {shard = "1/2"}))
      local _, message = run(output, {shard = "2/2", calls = 3})
      assert.matches("manifest.parquet: was frozen with other settings (calls = 2, now 3)", message, 1, true)
      output = new(".parquet")
      assert(run(output))
      _, message = run(output, {shard = "2/2"})
      assert.matches("was made without shards", message, 1, true)
   end)
end)

describe("predict by shards", function()
   local checkpoint

   setup(function()
      local net <close> = tilenet.new{widths = {2, 2, 2, 2}, z = 8, seed = 3, sample_rate = 8000}
      checkpoint = dir .. "/net.safetensors"
      assert(net:save(checkpoint))
   end)

   local function run(output, more)
      local o = {checkpoint = checkpoint, inputs = {m.data .. "/train_audio/synfin1", m.data ..
         "/train_audio/synwre1"}, output = output, quiet = true}
      for k, v in pairs(more or {}) do o[k] = v end
      return predict.run(o)
   end

   local function rows(path)
      local list = assert(sql.query("from " .. sql.parquet(path)))
      for _, row in ipairs(list) do row.embedding = row.embedding:table() end
      return list
   end

   it("has the rows of one process, and the same bytes for any N and order", function()
      local plain = new(".parquet")
      assert(run(plain))
      local last
      assert_same(run, ".parquet", function(path)
         last = path
         return command.read(path)
      end)
      assert.same(rows(plain), rows(last))
      local r = assert(run(last))
      assert.same({0, true}, {r.done, r.merged})
      local claimed = new(".parquet")
      r = assert(run(claimed, {claim = true}))
      assert.same({9, true}, {r.done, r.merged})
      assert.is_true(command.read(last) == command.read(claimed))
      command.remove(last .. ".shards")
      r = assert(run(last)) -- is an output as any other
      assert.same({0, 9}, {r.done, r.skipped})
   end)

   it("counts what cannot be read, keeps what is done when time is up, and refuses other settings", function()
      local input, output = new(""), new(".parquet")
      assert.equal("", command.shell(("cp -r %s %s"):format(command.quote(m.data .. "/train_audio/synfin1"),
         command.quote(input))))
      command.write(input .. "/bad.wav", "no sound")
      for _, shard in ipairs{"2/2", "1/2"} do assert(run(output, {inputs = {input}, shard = shard})) end
      assert.matches("bad.wav", command.read(output .. ".failures.csv"), 1, true)
      local _, message = run(output, {inputs = {input}, shard = "1/2", hop = 2.5})
      assert.matches("was frozen with other settings (hop_s = 5, now 2.5)", message, 1, true)
      command.remove(output .. ".shards")
      _, message = run(output, {inputs = {input}, shard = "1/2"})
      assert.matches("was made without shards", message, 1, true)
      output = new(".parquet")
      local runs = 0
      repeat runs = runs + 1 until not assert(run(output, {time_limit = 1e-9})).stopped or runs > 30
      assert.is_true(runs > 5)
      assert.same(9, #assert(sql.query("select distinct file from " .. sql.parquet(output))))
   end)
end)

describe("tiles by shards", function()
   local function run(output, more)
      local o = {input = m.triplets, dataset_root = m.data, output = output, quiet = true}
      for k, v in pairs(more or {}) do o[k] = v end
      return tiles.run(o)
   end

   -- All files of a folder but those that say which version made it.
   local function read(folder)
      local texts = {}
      for i, name in ipairs(assert(files.find(folder))) do
         texts[i] = name .. "\n" .. command.read(folder .. "/" .. name)
      end
      return table.concat(texts, "\n")
   end

   it("makes the files of one process, for any N and order, and stores", function()
      for _, store in ipairs{"packed", "npy"} do
         local plain = new("")
         assert(run(plain, {store = store}))
         assert.is_true(read(plain) == assert_same(function(output, more)
            more.store = store
            return run(output, more)
         end, "", read))
         local r = assert(run(plain, {store = store, shard = "1/2"})) -- nothing is left
         assert.equal(0, r.made)
      end
   end)

   it("keeps what is done when time is up, is killed, and goes on, with a shard or without", function()
      local plain, output = new(""), new("")
      assert(run(plain))
      local words = ("%s scripts/motif.lua extract-triplets %s --dataset-root %s --output %s --threads 1 ")
         :format(command.quote(command.program), command.quote(m.triplets), command.quote(m.data),
         command.quote(output))
      local out, status = command.shell(words .. "--time-limit 0.0001")
      assert.equal(75, status, out)
      command.shell(words .. "--shard 2/3 & two=$!; sleep 0.2; kill -KILL $two")
      out, status = command.shell(words .. "--shard 3/3")
      assert.equal(0, status, out)
      out, status = command.shell(words)
      assert.equal(0, status, out)
      assert.is_true(read(plain) == read(output))
   end)

   it("counts what cannot be read", function()
      local root, output = new(""), new("")
      assert.equal("", command.shell(("cp -r %s %s"):format(command.quote(m.data), command.quote(root))))
      local name = assert(sql.query("select source from " .. sql.parquet(m.tiles .. "/index.parquet")))[1].source
      command.write(root .. "/" .. name, "no sound")
      for i = 1, 2 do assert(run(output, {shard = i .. "/2", dataset_root = root})) end
      assert.matches(name, command.read(output .. "/failures.csv"), 1, true)
      assert.is_false(files.exists(output .. "/unfinished"))
      local r = assert(run(output)) -- which tries it again
      assert.is_true(r.made > 0)
      assert.same({}, r.failures)
   end)
end)
