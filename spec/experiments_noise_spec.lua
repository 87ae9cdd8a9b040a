local array = require "bclua.array"
local command = require "support.command"
local files = require "bclua.files"
local mined = require "support.mined"
local nn = require "bclua.nn"
local noise = require "bclua.workflow.experiments.noise"
local sql = require "bclua.sql"
local trial = require "bclua.workflow.experiments.trial"

teardown(mined.remove)

describe("noise.wrap", function()
   local heard
   local net = {forward = function(_, batch)
      heard = batch
      return batch:slice(2, 1, 2)
   end}
   local x = array.full({2, 20000}, 0.5)
   x[2]:fill(0)

   local function deviation(row) return ((row * row):mean() - row:mean() ^ 2) ^ 0.5 end

   it("adds noise so many decibels below each window's own power, and none to silence", function()
      noise.wrap(net, "snr", 20, 1):forward(x)
      assert.near(0.05, deviation(heard[1]:copy("f64")), 0.001)
      assert.equal(0, heard[2]:abs():max())
      assert.equal(0.5, x[1]:min())
   end)

   it("adds noise of a deviation to every window", function()
      noise.wrap(net, "sigma", 0.25, 1):forward(x)
      assert.near(0.25, deviation(heard[1]:copy("f64")), 0.005)
      assert.near(0.25, deviation(heard[2]:copy("f64")), 0.005)
   end)

   it("adds the same noise at every level, another with another seed", function()
      local function added(level, seed)
         noise.wrap(net, "sigma", level, seed):forward(x)
         return heard[2] / level
      end
      local a = added(0.1, 1)
      assert.is_true((a - added(0.4, 1)):abs():max() < 1e-5)
      assert.is_true((a - added(0.1, 2)):abs():max() > 1)
   end)

   it("leaves the input alone without a level, and counts what is finite", function()
      local w = noise.wrap(net, "snr", nil, 1)
      w:forward(x)
      assert.equal(x, heard)
      w:forward(array.full({1, 20000}, 0 / 0))
      assert.same({3, 2}, {w.windows, w.finite})
   end)

   it("is a network to a network", function()
      local real = nn.network({{"linear", out = 2}}, {input = {3}})
      local e = noise.wrap(real, "sigma", 1, 1):forward(array.zeros{4, 3})
      assert.same({4, 2}, e:shape())
   end)
end)

describe("scripts/experiments/noise.lua", function()
   local function run(...) return command.bclua{"scripts/experiments/noise.lua", ...} end

   local function trained()
      local folder = mined.run()
      if not files.exists(folder .. "/checkpoints") then
         local dir = command.folder()
         local r = assert(trial.run{run = folder, folder = dir, quiet = true})
         assert(require("bclua.system").mkdir(folder .. "/checkpoints"))
         command.shell(("cp %s %s/checkpoints/last.safetensors && cp %s/triplets.parquet %s"):format(r.fit.checkpoint,
            folder, dir, folder))
         command.remove(dir)
      end
      return folder
   end

   it("judges a trained network at each level", function()
      local folder = trained()
      local out, status = run("--run", folder, "--snr", "30,0", "--seeds", "2")
      assert.equal(0, status, out)
      local place = folder .. "/experiments/noise/"
      local rows = sql.query("from " .. sql.quote(place .. "noise.parquet"))
      assert.same({"none", "30", "0"}, {rows[1].noise, rows[2].noise, rows[3].noise})
      assert.same({0, 1}, {rows[1].drift, rows[1].seeds})
      assert.is_true(rows[3].drift > 0)
      for _, row in ipairs(rows) do
         assert.equal(1, row.finite)
         assert.is_true(row.species >= 0 and row.species <= 1 and row.loss > 0)
      end
      for _, name in ipairs{"species", "drift"} do assert.is_true(files.exists(place .. name .. ".svg")) end
      assert.matches("Noise on the input", command.read(folder .. "/report.html"), 1, true)
   end)

   it("says that nothing is finite where noise is beyond all numbers", function()
      local folder = trained()
      local out, status = run("--run", folder, "--sigma", "1e30", "--seeds", "1")
      assert.equal(0, status, out)
      local rows = sql.query(("from '%s/experiments/noise/noise.parquet'"):format(folder))
      assert.same({1, 0}, {rows[1].finite, rows[2].finite})
      assert.is_nil(rows[2].species)
   end)

   it("trains with noise, too", function()
      local folder = trained()
      local out, status = run("--run", folder, "--snr", "10", "--seeds", "1", "--train", "--batches", "1")
      assert.equal(0, status, out)
      local rows = sql.query(("from '%s/experiments/noise/trained.parquet'"):format(folder))
      assert.same({1, 10}, {#rows, rows[1].snr})
   end)

   it("names a wrong option, and a run without a network", function()
      assert.matches("--snr: '-30' is below -20", run("--snr", "0,-30"), 1, true)
      assert.matches("noise: nowhere/config.json: no such file", run("--run", "nowhere"), 1, true)
      local out, status = run("--run", trained(), "--checkpoint", "none.safetensors")
      assert.equal(1, status)
      assert.matches("noise: none.safetensors: ", out, 1, true)
   end)
end)
