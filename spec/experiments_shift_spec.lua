local command = require "support.command"
local files = require "bclua.files"
local mined = require "support.mined"
local sql = require "bclua.sql"

teardown(mined.remove)

describe("scripts/experiments/shift.lua", function()
   local function run(...) return command.bclua{"scripts/experiments/shift.lua", ...} end

   it("trains with each shift and says what came of it; a second run repeats nothing", function()
      local folder = mined.run()
      local out, status = run("--run", folder, "--shifts", "0,1.5", "--seeds", "1", "--rounds", "1", "--shard", "2/2")
      assert.equal(0, status, out)
      assert.matches("shift: left to other shards: 1 of 2 trials", out, 1, true)
      assert.is_nil(out:find("Best: a", 1, true))
      out, status = run("--run", folder, "--shifts", "0,1.5", "--seeds", "1", "--rounds", "1", "--shard", "1/2")
      assert.equal(0, status, out)
      assert.matches("Best: a shift of ", out, 1, true)
      local place = folder .. "/experiments/shift/"
      local rows = sql.query("from " .. sql.quote(place .. "shift.parquet"))
      assert.same({0, 1.5}, {rows[1].shift, rows[2].shift})
      assert.same({5, 8}, {rows[1].tile_s, rows[2].tile_s})
      assert.is_true(rows[1].species >= 0 and rows[1].species <= 1)
      assert.not_equal(rows[1].loss, rows[2].loss)
      assert.is_true(files.exists(place .. "species.svg"))
      assert.matches("What the time shift contributes", command.read(folder .. "/report.html"), 1, true)
      local before = command.read(place .. "shift.parquet")
      out, status = run("--run", folder, "--shifts", "0,1.5", "--seeds", "1", "--rounds", "1")
      assert.equal(0, status, out)
      assert.matches("2 trials, 0 of them new", out, 1, true)
      assert.equal(before, command.read(place .. "shift.parquet"))
   end)

   it("goes past a training that fails, and says why; other settings need --force", function()
      local folder = mined.run()
      local out, status = run("--run", folder, "--shifts", "0,5000", "--seeds", "1", "--rounds", "1")
      assert.equal(0, status, out)
      assert.matches('shift: {"shift":5000}, seed 1: .-must be a number from 0 to 3600', out)
      local rows = sql.query(("from '%s/experiments/shift/shift.parquet'"):format(folder))
      assert.same({0, 1}, {rows[1].failed, rows[2].failed})
      out, status = run("--run", folder, "--shifts", "0", "--seeds", "1", "--rounds", "2")
      assert.equal(1, status)
      assert.matches("max_rounds = 1, now 2", out, 1, true)
      out, status = run("--run", folder, "--shifts", "5000", "--seeds", "1", "--rounds", "2", "--force")
      assert.equal(1, status)
      assert.matches("its only trial failed: ", out, 1, true)
   end)

   it("names a wrong option, and a run that is none", function()
      assert.matches("--shifts: '-1' is below 0", run("--shifts", "0,-1"), 1, true)
      assert.matches("--shard: '3/2' is outside", run("--shard", "3/2"), 1, true)
      local out, status = run("--run", "nowhere")
      assert.equal(1, status)
      assert.matches("shift: nowhere/config.json: no such file", out, 1, true)
   end)
end)
