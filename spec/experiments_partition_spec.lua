local command = require "support.command"
local files = require "bclua.files"
local mined = require "support.mined"
local pipeline = require "bclua.workflow.pipeline"
local sql = require "bclua.sql"
local trial = require "bclua.workflow.experiments.trial"
local triplets = require "bclua.workflow.triplets"

teardown(mined.remove)

describe("scripts/experiments/partition.lua", function()
   local function run(...) return command.bclua{"scripts/experiments/partition.lua", ...} end

   it("trains with each partition alone, without each, and with all", function()
      local folder = mined.run()
      local out, status = run("--run", folder, "--seeds", "1", "--rounds", "1", "--batches", "1")
      assert.equal(0, status, out)
      local place = folder .. "/experiments/partition/"
      local rows = sql.query("from " .. sql.quote(place .. "partition.parquet"))
      assert.equal(9, #rows)
      assert.same({"all", "only self, motif", "without self, motif"}, {rows[1].partitions, rows[2].partitions,
         rows[6].partitions})
      assert.equal(0, rows[1].gain)
      assert.near(rows[2].species - rows[1].species, rows[2].gain, 1e-9)
      assert.is_true(files.exists(place .. "species.svg"))
      assert.matches("What each partition of the triplets contributes", command.read(folder .. "/report.html"), 1, true)
   end)

   it("names a wrong option, and a run that is none", function()
      assert.matches("--seeds: '0' is outside", run("--seeds", "0"), 1, true)
      assert.matches("partition: nowhere/config.json: no such file", run("--run", "nowhere"), 1, true)
   end)
end)

describe("the setting triplets.mixture", function()
   it("takes the place of self and motif", function()
      local t = pipeline.merge(pipeline.defaults, {triplets = {mixture = {0, 1, 0, 0}}}).triplets
      local options = triplets.of_settings(t)
      assert.same({0, 1, 0, 0}, options.mixture)
      assert.is_nil(options.self)
      options = triplets.of_settings(pipeline.defaults.triplets)
      assert.is_nil(options.mixture)
      assert.equal(0.5, options.motif)
   end)

   it("decides which triplets there are", function()
      local dir = command.folder()
      assert(trial.run{run = mined.run(), folder = dir, quiet = true, settings = {triplets = {mixture = {0, 1, 0, 0},
         pick = "motif"}}})
      local rows = sql.query(("select distinct neighbor, distant from '%s/triplets.parquet' where a_loc >= 0"):format(
         dir)) -- a recording that is one window has no other of its own
      assert.equal(1, #rows)
      assert.same({"self", "clip"}, {rows[1].neighbor, rows[1].distant})
      command.remove(dir)
   end)
end)
