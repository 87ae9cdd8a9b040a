local command = require "support.command"
local dimension = require "bclua.workflow.experiments.dimension"
local mined = require "support.mined"
local sql = require "bclua.sql"
local trial = require "bclua.workflow.experiments.trial"

teardown(mined.remove)

local function run(...)
   return command.bclua{"scripts/experiments/dimension.lua", "--run", mined.run(), "--splits", "2", "--motifs", "24",
      ...}
end

describe("scripts/experiments/dimension.lua", function()
   it("has a row for each size, a picture and a section, and does nothing twice", function()
      local out, status = run("--sizes", "4,6")
      assert.equal(0, status, out)
      assert.matches("Logistic regression on %d+ motif windows of 7 recordings of syn.*chance is 0.333", out)
      local place = mined.run() .. "/experiments/dimension/"
      local rows = sql.query("from " .. sql.quote(place .. "dimension.parquet"))
      assert.same({4, 6}, {rows[1]["network.z"], rows[2]["network.z"]})
      for _, row in ipairs(rows) do
         for _, name in ipairs({"accuracy", "untrained", "mel", "species"}) do
            assert.is_true(row[name] >= 0 and row[name] <= 1, name)
         end
         assert.is_true(row.accuracy_spread >= 0 and row.parameters > 0 and row.loss > 0 and row.peak_mb > 1)
      end
      assert.is_true(rows[1].parameters < rows[2].parameters)
      assert.matches("svg", command.read(place .. "accuracy.svg"))
      assert.matches("How large must an embedding be?", command.read(mined.run() .. "/report.html"), 1, true)

      out, status = run("--sizes", "4,6")
      assert.equal(0, status, out)
      assert.matches("2 trials, 0 of them new", out, 1, true)
      out, status = run("--sizes", "4,6", "--species", "2")
      assert.equal(1, status)
      assert.matches("dimension: .*trials.parquet: was made by another sweep %(fixed.species", out)
   end)

   it("names what it cannot use", function()
      command.refuses(run, {
         ["--sizes 4,5.5"] = "'5.5' is not a whole number", ["--species 1"] = "'1' is below 2",
         ["--holdout 0.9"] = "outside 0.01..0.5", ["--size 3"] = "unknown option '--size'",
         ["--species 9"] = "/motif.parquet: 4 species with motifs, 9 are needed",
         ["--run nowhere"] = "dimension: nowhere/config.json: no such file",
      })
   end)
end)

describe("a trial of a sweep", function()
   local dir

   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   it("is told of settings by names with dots, and of those that do not exist", function()
      local r, message = trial.point({run = mined.run(), seed = 1, ["fit.lrr"] = 1}, {folder = dir})
      assert.is_nil(r)
      assert.matches("no setting named 'fit.lrr'", message, 1, true)
      assert.error_matches(function()
         require("bclua.experiment.sweep").run{path = dir .. "/s.parquet", module = "bclua.workflow.experiments.trial",
            name = "point", grid = {["fit.lrr"] = {1}}, fixed = {run = "x"}, known = trial.parameters()}
      end, "no parameter named 'fit.lrr' (did you mean 'fit.lr'?)", 1, true)
      assert.equal(14, trial.parameters().fit.max_epochs) -- as max_rounds was called
   end)

   it("fails where no recording of the species was kept away", function()
      local r, message = dimension.run({run = mined.run(), seed = 1, species = {"nosuch"}, motifs = 6, splits = 2},
         {folder = dir})
      assert.is_nil(r)
      assert.equal("no recording of these species was kept away from training", message)
   end)
end)
