local command = require "support.command"
local evaluate = require "bclua.workflow.evaluate"
local files = require "bclua.files"
local fit = require "bclua.workflow.fit"
local mined = require "support.mined"
local safetensors = require "bclua.safetensors"

teardown(mined.remove)

local function run(folder, options)
   local m = mined.get()
   local o = {triplets = m.triplets, tiles = m.tiles, run = folder, network = {widths = {2, 2, 2, 2}, z = 4},
      batch_size = 2, batches_per_epoch = 2, max_epochs = 1, quiet = true}
   for k, v in pairs(options or {}) do o[k] = v end
   return fit.run(o)
end

describe("fit", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   it("leaves a checkpoint that says what it was made of", function()
      local result = assert(run(dir))
      assert.equal(1, result.epochs)
      local _, metadata = safetensors.load(result.checkpoint)
      assert.matches("synfin1", metadata.groups)
      assert.equal(files.json(mined.get().drawn.holdout), metadata.holdout_recordings)
      assert.equal(3, select(2, command.read(dir .. "/metrics.jsonl"):gsub("\n", "\n")))
   end)

   it("goes on to more rounds as an unbroken run would, and stops when there are none", function()
      assert(run(dir .. "/a"))
      local second = assert(run(dir .. "/a", {max_epochs = 2}))
      assert.equal(2, second.epochs)
      local whole = assert(run(dir .. "/b", {max_epochs = 2}))
      local a, b = safetensors.load(second.checkpoint), safetensors.load(whole.checkpoint)
      for name, value in pairs(a) do
         assert.is_true(require("bclua.array").equal(value, b[name]), name)
      end
      local before = command.read(second.checkpoint)
      assert(run(dir .. "/a", {max_epochs = 2}))
      assert.equal(before, command.read(second.checkpoint))
   end)

   it("refuses another network or rate, naming it; --force begins anew", function()
      assert(run(dir))
      local result, message = run(dir, {lr = 0.01})
      assert.is_nil(result)
      assert.matches("lr = 0.001, now 0.01", message, 1, true)
      message = select(2, run(dir, {network = {widths = {2, 2, 2, 2}, z = 8}}))
      assert.matches("network.z = 4, now 8", message, 1, true)
      local before = command.read(dir .. "/checkpoints/last.safetensors")
      assert(run(dir, {lr = 0.01, force = true}))
      assert.equal(before, command.read(dir .. "/checkpoints.1/last.safetensors"))
      assert.is_true(files.exists(dir .. "/metrics.1.jsonl"))
      assert.equal(3, select(2, command.read(dir .. "/metrics.jsonl"):gsub("\n", "\n")))
   end)

   it("begins anew for more recordings only where it is told to follow the data", function()
      assert(run(dir))
      local path = dir .. "/checkpoints/parameters.json"
      command.write(path, (command.read(path):gsub('"recordings": 17', '"recordings": 16')))
      assert.matches("triplets.recordings = 16, now 17", select(2, run(dir)))
      assert.matches("lr = 0.001, now 0.01", select(2, run(dir, {lr = 0.01, follow_data = true})))
      assert(run(dir, {follow_data = true}))
      assert.is_true(files.exists(dir .. "/checkpoints.1/last.safetensors"))
   end)

   it("names a checkpoint of another network, and a table without its columns", function()
      local other = assert(run(dir .. "/a", {network = {widths = {2, 2, 2, 2}, z = 8}}))
      local result, message = run(dir .. "/b", {checkpoint = other.checkpoint})
      assert.is_nil(result)
      assert.equal(other.checkpoint, message:sub(1, #other.checkpoint))
      assert.matches("tensor", message)
      assert.matches("no column 'a'", select(2, run(dir .. "/c", {triplets = mined.get().motif})))
   end)
end)

describe("evaluate workflow", function()
   local dir, checkpoint
   setup(function()
      dir = command.folder()
      checkpoint = assert(run(dir)).checkpoint
   end)
   teardown(function() command.remove(dir) end)

   local function judge(options)
      local m = mined.get()
      local o = {checkpoint = checkpoint, motif = m.motif, dataset_root = m.data, splits = 3, quiet = true}
      for k, v in pairs(options or {}) do o[k] = v end
      return evaluate.run(o)
   end

   it("judges embedding, untrained network and plain features on held-out recordings", function()
      local result = assert(judge())
      assert.same({"embedding", "untrained network", "log-mel mean and deviation"},
         {result.rows[1].name, result.rows[2].name, result.rows[3].name})
      assert.equal(4, result.classes)
      assert.equal(2, result.group.classes)
      assert.equal(8, result.recordings)
      for _, row in ipairs(result.rows) do
         assert.equal(3, #row.splits)
         assert.is_true(row.accuracy >= 0 and row.accuracy <= 1)
      end
      assert.matches("embedding .*untrained network .*log%-mel.*chance", evaluate.text(result))
      assert.same(result.rows, judge().rows)
   end)

   it("goes on past a recording that is gone", function()
      local m = mined.get()
      command.shell(("cp -r %s %s/data"):format(m.data, dir))
      os.remove(dir .. "/data/" .. m.drawn.holdout[1])
      local result = assert(judge({dataset_root = dir .. "/data"}))
      assert.equal(1, #result.failures)
      assert.equal(7, result.recordings)
   end)

   it("names a file that is no checkpoint, and one that held nothing back", function()
      local m = mined.get()
      local _, message = judge({checkpoint = m.motif})
      assert.equal(m.motif, message:sub(1, #m.motif))
      require("bclua.tilenet").new({widths = {2, 2, 2, 2}, z = 4}):save(dir .. "/bare.safetensors")
      assert.matches("kept away from training", select(2, judge({checkpoint = dir .. "/bare.safetensors"})))
      assert.matches("/nope: no such folder", select(2, judge({dataset_root = "/nope"})))
   end)
end)
