-- Modules under the names they had.
local command = require "support.command"
local moved = require "bclua.moved"

describe("old names of modules", function()
   it("give the module itself", function()
      local count = 0
      for old, new in pairs(moved.names) do
         assert.is_nil(package.searchpath(old, package.path), old)
         assert.equal(require(new), require(old))
         count = count + 1
      end
      assert.is_true(count > 70)
   end)

   it("give the new one where warnings are on, and are silent where they are not", function()
      local script = "local a, b = require 'bclua.trainer', require 'bclua.train.trainer' print(a == b)"
      assert.equal("true\n", (command.bclua({"-e", script})))
      assert.equal("Lua warning: bclua.trainer is now bclua.train.trainer\ntrue\n",
         (command.bclua({"-e", "warn '@on'" .. script})))
   end)

   it("are known to threads", function()
      for _, kind, why in require("bclua.parallel").map({"bclua.loader", "bclua.show"}, "support.jobs", "required", nil,
         {threads = 2}) do
         assert.equal("table", kind, why)
      end
   end)

   it("are of no other module", function()
      assert.error_matches(function() require "bclua.nowhere" end, "module 'bclua.nowhere' not found")
   end)
end)
