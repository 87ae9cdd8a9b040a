local command = require "support.command"
local files = require "bclua.files"
local mined = require "support.mined"
local sql = require "bclua.sql"

teardown(mined.remove)

local function run(...)
   return command.bclua{"scripts/experiments/learning_rate.lua", "--run", mined.run(), ...}
end

describe("scripts/experiments/learning_rate.lua", function()
   it("sweeps every seed under every precision: a table, a picture, a section", function()
      local out, status = run("--batch-size", "2", "--steps", "10", "--seeds", "2", "--precision", "f32,f16",
         "--smooth", "3")
      assert.equal(0, status, out)
      local place = mined.get().dir .. "/experiments/learning_rate/"
      local sweeps = sql.query(([[select precision, seed, count(*)::int n, min(learning_rate) least,
         max(learning_rate) most from %s group by 1, 2 order by 1, 2]]):format(sql.quote(place .. "sweeps.parquet")))
      assert.equal(4, #sweeps)
      for _, sweep in ipairs(sweeps) do
         assert.equal(10, sweep.n)
         assert.near(1e-5, sweep.least, 1e-12)
         assert.near(1, sweep.most, 1e-9)
      end
      local rows = sql.query("from " .. sql.quote(place .. "learning_rate.parquet"))
      assert.same({"f32", "f16"}, {rows[1].precision, rows[2].precision})
      assert.equal(10, rows[1].rates)
      assert.is_true(files.exists(place .. "sweep.svg"))
      assert.matches("Learning%-rate test", command.read(mined.get().dir .. "/report.html"))
   end)

   it("names what it cannot use", function()
      command.refuses(run, {
         ["--most 1e-9"] = "--most 1e-09 must be above --least 1e-05", ["--steps 3"] = "'3' is outside 10..100000",
         ["--precision f32,f64"] = "'f64' is not one of f32, bf16, f16", ["--precision f32,f32"] = "is named twice",
         ["--run nowhere"] = "nowhere/config.json: no such file", ["--rate 1"] = "unknown option '--rate'",
         ["--tiles nowhere"] = "nowhere/index.parquet: no such file",
      })
   end)
end)
