local batches = require "bclua.workflow.experiments.batches"
local command = require "support.command"
local files = require "bclua.files"
local mined = require "support.mined"
local tilenet = require "bclua.tilenet"

teardown(mined.remove)

describe("batches for experiments", function()
   it("come from a run, with its network and training", function()
      local b = assert(batches.open{run = mined.run(), batch_size = 3})
      assert.same({2, 2, 2, 2}, b.network.widths)
      assert.equal(4, b.network.z)
      assert.equal(2, b.fit.batch_size)
      assert.equal(mined.get().tiles, b.settings.source.tiles)
      local source <close> = assert(b.loader(1))
      local batch = source:next()
      assert.equal(3, #batch.anchor)
      local net = tilenet.new(b.network)
      assert(net:train_step(batch, b.step))
      net:close()
      assert.is_nil(b.settings.source.seed)
   end)

   it("are others with another seed, and the same with the same", function()
      local b = assert(batches.open{run = mined.run(), batch_size = 3})
      local rows = {}
      for i, seed in ipairs{1, 1, 2} do
         local source <close> = assert(b.loader(seed))
         rows[i] = files.json(source:next().rows)
      end
      assert.equal(rows[1], rows[2])
      assert.not_equal(rows[1], rows[3])
   end)

   it("come from other triplets, from the recordings, for another network", function()
      local m = mined.get()
      local b = assert(batches.open{triplets = m.triplets, dataset_root = m.data, batch_size = 2, widths = {4, 4, 4, 4},
         dim = 8})
      assert.equal(8, b.network.z)
      assert.equal("log", b.network.compression)
      local source <close> = assert(b.loader(1))
      assert.equal(2, #source:next().anchor)
      b = assert(batches.open{run = mined.run(), dataset_root = m.data})
      assert.is_nil(b.settings.source.tiles)
      assert.equal(16, b.settings.source.batch_size)
   end)

   it("say what is missing", function()
      local function says(text, options)
         local b, message = batches.open(options)
         assert.is_nil(b)
         assert.matches(text, message, 1, true)
      end
      local dir = command.folder()
      says("/none/config.json: no such file", {run = dir .. "/none"})
      says("--tiles or --dataset-root must say", {triplets = mined.get().triplets})
      says(dir .. "/x.parquet: no such file", {triplets = dir .. "/x.parquet", tiles = mined.get().tiles})
      says(dir .. "/index.parquet: no such file", {run = mined.run(), tiles = dir})
      command.remove(dir)
   end)

   it("train with the losses that a run's settings name", function()
      local fit = require("bclua.workflow.fit").defaults
      local b = assert(batches.open{run = mined.run()})
      assert.same({fit.beta1, fit.beta2}, b.step.betas)
      assert.is_nil(b.step.margin)
      assert.is_nil(b.step.clip_norm)
   end)
end)
