local command = require "support.command"
local files = require "bclua.files"
local mined = require "support.mined"
local trial = require "bclua.workflow.experiments.trial"

teardown(mined.remove)

describe("a trial", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   local function run(settings, more)
      local o = {run = mined.run(), folder = dir .. "/trial", settings = settings, quiet = true}
      for k, v in pairs(more or {}) do o[k] = v end
      return trial.run(o)
   end

   it("trains with the run's settings and says in numbers what came out", function()
      local r = assert(run())
      for _, name in ipairs{"loss", "validation", "species", "species_spread", "species_untrained", "species_mel",
         "group", "group_spread", "group_untrained", "group_mel", "seconds", "parameters"} do
         assert.equal("number", type(r[name]), name)
      end
      assert.equal(1, r.fit.rounds)
      assert.equal(r.evaluation.rows[1].accuracy, r.species)
      assert.equal(r.evaluation.group.rows[3].accuracy, r.group_mel)
   end)

   it("changes the settings that it is told to, and no others", function()
      local r = assert(run{network = {z = 8}, fit = {max_rounds = 2}})
      local _, metadata = require("bclua.format.safetensors").load(r.fit.checkpoint)
      assert.equal(2, r.fit.rounds)
      assert.matches('"z":8', metadata.tilenet)
      assert.matches('"widths":%[2,2,2,2%]', metadata.tilenet)
   end)

   it("differs with the seed in the weights, not in the recordings kept for evaluation", function()
      local a = assert(run(nil, {seed = 1}))
      local b = assert(run(nil, {seed = 2, folder = dir .. "/other"}))
      local again = assert(run(nil, {seed = 2, folder = dir .. "/again"}))
      assert.not_equal(a.loss, b.loss)
      assert.equal(b.loss, again.loss)
      local function held(r)
         return select(2, require("bclua.format.safetensors").load(r.fit.checkpoint)).holdout_recordings
      end
      assert.equal(held(a), held(b))
   end)

   it("leaves the run as it is", function()
      local before = files.read(mined.run() .. "/motif.parquet")
      assert(run{triplets = {samples = 20}})
      assert.equal(before, files.read(mined.run() .. "/motif.parquet"))
      assert.is_false(files.exists(mined.run() .. "/checkpoints"))
   end)

   it("scores the recordings once, and again when the motifs are newer", function()
      local calls = {triplets = {pick = "calls", calls = 2}}
      local scores = mined.run() .. "/experiments/scores-2.parquet"
      assert(run(calls))
      local function backdate(path, seconds) require("lfs").touch(path, os.time() - seconds, os.time() - seconds) end
      backdate(mined.run() .. "/motif.parquet", 100)
      backdate(scores, 50)
      local before = select(2, files.stamp(scores))
      assert(run(calls, {folder = dir .. "/second"}))
      assert.equal(before, select(2, files.stamp(scores)))
      backdate(mined.run() .. "/motif.parquet", 10)
      assert(run(calls, {folder = dir .. "/third"}))
      assert.is_true(select(2, files.stamp(scores)) > before)
   end)

   it("names settings that do not exist, and folders that are no run", function()
      assert.same({nil, "no setting named 'network.zz'"}, {run{network = {zz = 1}}})
      local _, message = run(nil, {run = dir .. "/none"})
      assert.equal(dir .. "/none/config.json: no such file (a folder that `bclua pipeline --run` has " ..
         "made is needed)", message)
      assert(files.write_json(dir .. "/config.json", {config = 1}))
      _, message = run(nil, {run = dir})
      assert.matches("config.json: key 'config' must be an object, got 1", message, 1, true)
      assert.error_matches(function() trial.run{run = dir, foldr = dir} end, "unknown option 'foldr'")
      assert.error_matches(function() trial.run{run = dir} end, "option 'folder' is missing")
   end)
end)
