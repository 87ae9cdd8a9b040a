local command = require "support.command"
local files = require "bclua.files"
local sql = require "bclua.sql"

describe("scripts/experiments/gradient_isolation.lua", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   local function run(...)
      return command.bclua{"scripts/experiments/gradient_isolation.lua", "--run", dir, ...}
   end

   it("tells who mixes, in a table, a picture and a report", function()
      local out, status = run("--widths", "4,4,4,4", "--groups", "2")
      assert.equal(0, status, out)
      assert.matches("the same in eval mode: In eval mode the output for a sample does not depend", out, 1, true)
      assert.matches("group norm, training: In training the output for a sample does not depend", out, 1, true)
      local place = dir .. "/experiments/gradient_isolation/"
      local rows = sql.query("from " .. sql.quote(place .. "gradient_isolation.parquet"))
      local passed = {}
      for i, row in ipairs(rows) do
         passed[i] = row.passed
         assert.equal(row.passed and 0 or 25, row.mixing)
         assert(row.own > 0)
      end
      assert.same({false, false, true, true}, passed)
      local kinds = sql.query(("select distinct kind from %s where mixing > 0"):format(
         sql.quote(place .. "kinds.parquet")))
      assert.equal(1, #kinds)
      assert.equal("batch_norm", kinds[1].kind)
      assert.is_true(files.exists(place .. "gradients.svg"))
      assert.matches("Which layers mix the samples", command.read(dir .. "/report.html"))
   end)

   it("names what it cannot use, and writes nothing", function()
      command.refuses(run, {
         ["--groups 3"] = "--groups 3: ", ["--batch 2"] = "'2' is outside 4..64",
         ["--checkpoint none.safetensors"] = "gradient_isolation: none.safetensors: ",
         ["--widths 4,4"] = "'4,4' is not 4 numbers", ["--samples 2"] = "unknown option '--samples'",
      })
      assert.is_false(files.exists(dir .. "/experiments"))
   end)
end)
