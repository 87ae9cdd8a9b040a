local command = require "support.command"
local pipeline = require "bclua.workflow.pipeline"

describe("pipeline settings", function()
   local defaults = {a = {x = 1, list = {1, 2}}, b = "text"}

   it("are laid over the defaults, lists whole", function()
      assert.same({a = {x = 5, list = {3}}, b = "text"}, pipeline.merge(defaults, {a = {x = 5, list = {3}}}))
      assert.same({a = {x = 1, list = {1, 2}}, b = "text"}, defaults)
   end)

   it("stay whole numbers where the default is one", function()
      local made = pipeline.merge({n = 2, x = 0.5, list = {1}}, {n = 3.0, x = 1.0, list = {4.0, 5.0}})
      assert.equal("integer float integer", ("%s %s %s"):format(math.type(made.n), math.type(made.x),
         math.type(made.list[2])))
   end)

   it("name what no default has, and what is of another type", function()
      assert.same({nil, "no setting named 'a.y'"}, {pipeline.merge(defaults, {a = {y = 1}})})
      assert.same({nil, "setting 'a.x' must be a number, got one"}, {pipeline.merge(defaults, {a = {x = "one"}})})
   end)
end)

describe("pipeline over one group", function()
   it("has nothing to learn from, and reports the motifs all the same", function()
      local dir = command.folder()
      assert(require("bclua.dataset").make(dir .. "/all", {families = 2, species = 1, recordings = 2, short = 0,
         least_s = 12, most_s = 13}))
      command.shell(("mkdir %s/data && mv %s/all/train_audio/synfin1 %s/data/"):format(dir, dir, dir))
      local out, status = command.bclua({"scripts/pipeline.lua", "--data", dir .. "/data", "--run", dir .. "/run"})
      assert.equal(0, status)
      assert.matches("two groups or more, got 1", out)
      local page = command.read(dir .. "/run/report.html")
      assert.matches("nothing to learn from", page)
      assert.matches("data:audio/ogg;base64,", page)
      command.remove(dir)
   end)
end)
