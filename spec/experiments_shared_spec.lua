local mined = require "support.mined"
local shared_trial = require "bclua.workflow.experiments.shared_trial"

describe("experiment: shared", function()
   local m
   setup(function() m = mined.get() end)
   teardown(function() mined.remove() end)

   it("finds the other half of a species by what one half shares", function()
      local r = assert(shared_trial.run{input = m.motif, seconds = 2, least = 4, quiet = true})
      assert.is_true(r.species >= 2)
      assert.equal(2 * r.species, r.trials)
      for _, kind in ipairs(shared_trial.kinds) do assert.is_true(r[kind] >= 0 and r[kind] <= 1) end
      assert.is_true(r.contrast > 0.6, r.contrast) -- made-up species: by chance 0.5
      local again = assert(shared_trial.run{input = m.motif, seconds = 2, least = 4, quiet = true})
      assert.same(r, again)
   end)

   it("names what it cannot use", function()
      assert.matches("two species of at least 1000 recordings are needed", select(2, shared_trial.run{input = m.motif,
         least = 1000, quiet = true}))
      assert.matches("/nowhere", select(2, shared_trial.run{input = "/nowhere.parquet", quiet = true}))
   end)
end)
