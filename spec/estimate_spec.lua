local estimate = require "bclua.workflow.pipeline.estimate"
local array = require "bclua.array"
local command = require "support.command"
local pipeline = require "bclua.workflow.pipeline"

describe("the estimate of a run", function()
   local folder, list
   setup(function()
      folder, list = command.folder(), {}
      for i = 1, 3 do
         list[i] = {path = ("%s/%d.wav"):format(folder, i)}
         assert(require("bclua.audio").save(list[i].path, array.zeros(8000 * 10 * i), 8000))
      end
      list[4] = {path = command.write(folder .. "/4.wav", "no sound")}
   end)
   teardown(function() command.remove(folder) end)

   it("knows how long recordings are, of those that can be opened", function()
      local e = estimate.of(list, pipeline.defaults)
      assert.near(80, e.sound_s, 1e-6)
      assert.is_true(e.motif_s > 0 and e.motif_s < 2)
      assert.is_true(e.training_s > 60 and e.training_s < 600)
      assert.is_true(e.bytes > 80 * 64000 and e.bytes < 200e6)
      assert.matches("^4 recordings, about 1 min 20 s of sound: motifs and tiles about .* s, training %d min", (
         estimate.text(e, 4)))
   end)

   it("says nothing of a training that nobody has measured, and nothing at all without recordings", function()
      local config = assert(pipeline.merge(pipeline.defaults, {network = {widths = {4, 4, 4, 4}},
         tiles = {store = "none"}}))
      local e = estimate.of(list, config)
      assert.is_nil(e.training_s)
      assert.is_true(e.bytes < 20e6)
      assert.matches("known after its first batches", estimate.text(e, 4), 1, true)
      assert.is_nil(estimate.of({list[4]}, config))
   end)
end)
