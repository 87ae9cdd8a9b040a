local command = require "support.command"
local files = require "bclua.files"
local sql = require "bclua.sql"

describe("scripts/experiments/batch_size.lua", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   local function run(words)
      local list = {"scripts/experiments/batch_size.lua", "--run", dir, "--widths", "4,4,4,4", "--dim", "4"}
      for word in words:gmatch("%S+") do list[#list + 1] = word end
      return command.bclua(list)
   end

   it("finds the largest batch for a budget, in a table, a picture and a report", function()
      local out, status = run("--memory 80 --precision f32,bf16 --recompute none --steps 1 --most-seconds 60")
      assert.equal(0, status, out)
      local place = dir .. "/experiments/batch_size/"
      local rows = sql.query("from " .. sql.quote(place .. "batch_size.parquet"))
      assert.equal(2, #rows)
      assert(rows[2].largest > rows[1].largest)
      for _, row in ipairs(rows) do
         assert.is_true(row.confirmed)
         assert(row.peak_mb <= 80 and row.above_mb > 80 and row.above_size > row.largest)
         local last = sql.query(("select max(batch_size) n from %s where precision = '%s'"):format(
            sql.quote(place .. "speeds.parquet"), row.precision))
         assert.equal(row.largest, last[1].n)
      end
      assert.is_true(files.exists(place .. "speed.svg"))
      assert.matches("Batch size, memory and speed", command.read(dir .. "/report.html"))
   end)

   it("says what a budget that is too small would have to be", function()
      local out, status = run("--memory 2 --precision f32 --checkpoint none")
      assert.equal(1, status)
      assert.matches("^'%-%-checkpoint' is called '%-%-recompute' now\n", out)
      assert.matches("a budget of 2 MB is less than a single triplet takes: %d+ MB", out)
      assert.is_false(files.exists(dir .. "/report.html"))
   end)

   it("names what it cannot use", function()
      command.refuses(function(option, value) return run(option .. " " .. value) end, {
         ["--memory much"] = "'much' is not a number", ["--precision f64"] = "'f64' is not one of",
         ["--recompute some"] = "'some' is not one of", ["--steps 0"] = "'0' is outside 1..1000",
      })
   end)
end)
