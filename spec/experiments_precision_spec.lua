local command = require "support.command"
local files = require "bclua.files"
local mined = require "support.mined"
local sql = require "bclua.sql"

teardown(mined.remove)

local function run(...) return command.bclua{"scripts/experiments/precision.lua", "--run", mined.run(), ...} end

describe("scripts/experiments/precision.lua", function()
   it("trains side by side: tables, pictures, a section", function()
      local out, status = run("--batch-size", "2", "--steps", "3", "--seeds", "2")
      assert.equal(0, status, out)
      local place = mined.get().dir .. "/experiments/precision/"
      local function read(name) return sql.query("from " .. sql.quote(place .. name .. ".parquet")) end
      assert.equal(6, #read "precision")
      assert.equal(18, #read "steps")
      local rows = read "precision"
      for _, row in ipairs(rows) do assert(row.steps == 3 and row.step_ms > 0 and row.held_mb > 0) end
      assert.not_equal(rows[1].loss_start, rows[4].loss_start)
      assert(#read "ranges" > 60)
      for _, name in ipairs{"loss.svg", "ranges.svg"} do assert.is_true(files.exists(place .. name)) end
      assert.matches("Training in several precisions", command.read(mined.get().dir .. "/report.html"))
   end)

   it("names what it cannot use", function()
      command.refuses(run, {
         ["--steps 0"] = "'0' is outside 1..1000000", ["--precision f8"] = "'f8' is not one of f32, bf16, f16",
         ["--triplets none.parquet"] = "--tiles or --dataset-root must say where the sound is",
         ["--run nowhere"] = "nowhere/config.json: no such file",
      })
   end)
end)
