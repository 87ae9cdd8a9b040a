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

   it("of earlier versions are those of today", function()
      local made = pipeline.change(pipeline.defaults, {triplets = {group = "family", samples = 7}})
      assert.same({"family", nil, 7}, {made.data.group, made.triplets.group, made.triplets.samples})
      assert.equal("species", pipeline.change(pipeline.defaults, {triplets = {samples = 7}}).data.group)
      assert.same({nil, "no setting named 'triplets.group'"}, {pipeline.change(pipeline.defaults, {data = {group = "a"},
         triplets = {group = "b"}})})
   end)

   it("name what no default has, and what is of another type", function()
      assert.same({nil, "no setting named 'a.y'"}, {pipeline.merge(defaults, {a = {y = 1}})})
      assert.same({nil, "setting 'a' must be a table, got one"}, {pipeline.merge(defaults, {a = "one"})})
      local config = pipeline.merge(pipeline.defaults, {fit = {lr = "one"}})
      assert.equal("setting 'fit.lr' must be a number of at least 0, got 'one'", pipeline.wrong(config))
   end)
end)

describe("a configuration file", function()
   local dir
   setup(function()
      dir = command.folder()
      command.shell(("mkdir -p %s/data/a && touch %s/data/a/x.wav"):format(dir, dir))
   end)
   teardown(function() command.remove(dir) end)

   -- What is said of one, before anything is made, without the file's name.
   local function refused(text, path)
      path = path or command.write(dir .. "/config.lua", text)
      local out, status = command.bclua{"scripts/pipeline.lua", "--data", dir .. "/data", "--run", dir .. "/run",
         "--config", path}
      assert.equal(1, status, out)
      assert.is_false(require("bclua.files").exists(dir .. "/run"))
      assert.equal("pipeline: " .. path .. ":", out:sub(1, #path + 11))
      return (out:sub(#path + 12):gsub("^%s", ""):gsub("\n$", ""))
   end

   it("names a setting that is not as the command line would have it, and what is allowed", function()
      local cases = {
         ["triplets = {pick = 'x'}"] = "'triplets.pick' must be one of motif, discord, best, calls, got 'x'",
         ["data = {layout = 'tree'}"] = "'data.layout' must be one of auto, species, site, flat, got 'tree'",
         ["data = {group = 7}"] = "'data.group' must be a string, got 7",
         ["data = {metadata = '/nope.csv'}"] = "'data.metadata': /nope.csv: no such file",
         ["triplets = {calls = -1}"] = "'triplets.calls' must be an integer from 1 to 10000, got -1",
         ["triplets = {[true] = 1}"] = "no setting named 'triplets.true'",
         ["triplets = {mixture = {a = 1}}"] = "'triplets.mixture' must be a list of numbers, 4 of them, got a table",
         ["triplets = {mixture = {0, 0, 0, 0}}"] = "'triplets.mixture': at least one weight must be more than 0",
         ["extract = {layout = 'tree'}"] = "'extract.layout' must be one of parts, files, got 'tree'",
         ["extract = {cens_sample_rate = 7}"] = "'extract.cens_sample_rate': 7 does not divide 32000",
         ["data = {deployments = '/no.csv'}"] = "'data.deployments': /no.csv: no such file",
         ["triplets = {labels = '/no.parquet'}"] = "'triplets.labels': /no.parquet: no such file",
         ["evaluate = {labels = '/no.parquet'}"] = "'evaluate.labels': /no.parquet: no such file",
         ["triplets = {labels = 'x', pick = 'motif'}"] =
            "'triplets.pick': not with 'triplets.labels', which are the windows",
         ["evaluate = {labels = 'x', windows = 'all'}"] =
            "'evaluate.windows': not with 'evaluate.labels', which are the windows",
         ["evaluate = {splits = 0}"] = "'evaluate.splits' must be an integer from 1 to 10000, got 0",
         ["fit = {batch_size = 0}"] = "'fit.batch_size' must be an integer from 1 to 1048576, got 0",
         ["fit = {beta1 = 1}"] = "'fit.beta1' must be a number of at least 0 and below 1, got 1",
         ["fit = {lr = 0 / 0}"] = "'fit.lr' must be a number of at least 0, got -nan",
         ["network = {widths = {8}}"] = "'network.widths' must be a list of integers, 4 of them, got a table",
      }
      for text, message in pairs(cases) do
         local said = refused("return {" .. text .. "}")
         assert.equal(message, (said:gsub("^setting ", "")))
      end
   end)

   it("ends nothing, writes nothing, and has an end", function()
      assert.matches("^1: attempt to call a nil value %(field 'exit'%)", refused("os.exit(0)"))
      assert.matches("^1: attempt to index a nil value %(global 'io'%)", refused("io.open('x', 'w')"))
      assert.equal("raised a table", refused("error({})"))
      assert.equal("must return a table of settings", refused(""))
      assert.equal("longer than 1 MiB: no configuration", refused(nil, "/dev/zero"))
      assert.equal("Is a directory", refused(nil, dir))
      assert.is_function(string.rep) -- what it does to its tables is not done to ours
      refused("string.rep = nil table.concat = nil")
   end)

   it("may ask for variables, and is stopped by Ctrl-C", function()
      assert.matches("got 'me'", refused("return {triplets = {pick = os.getenv('WHO') or 'me'}}"))
      local path = command.write(dir .. "/endless.lua", "while true do end")
      local out, status = command.shell(("timeout -s INT 1 %s scripts/pipeline.lua --data %s/data --config %s"):format(
         command.quote(command.program), dir, path))
      assert.equal("bclua: pipeline: interrupted; run the same command again\n", out)
      assert.equal(124, status)
   end)
end)

describe("pipeline over one group", function()
   it("has nothing to learn from, and reports the motifs all the same", function()
      local dir = command.folder()
      assert(require("bclua.data.dataset").make(dir .. "/all", {families = 2, species = 1, recordings = 2, short = 0,
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

describe("pipeline with labels", function()
   it("draws triplets of them and judges them, in recordings without species; its commands do the same", function()
      local dir, sql = command.folder(), require "bclua.sql"
      assert(require("bclua.data.dataset").make(dir .. "/all", {families = 2, species = 1, recordings = 5, short = 0,
         least_s = 12, most_s = 13}))
      command.shell(("mkdir %s/card && mv %s/all/train_audio/*/* %s/card/"):format(dir, dir, dir))
      local labels = dir .. "/labels.parquet"
      assert(sql.write_parquet(labels, ("select 'card/' || split_part(file, '/', 3) as source_name, start_s::double " ..
         "as start_s, end_s::double as end_s, split_part(file, '/', 2) as label from %s"):format(
         sql.csv(dir .. "/all/calls.csv"))))
      local config = command.write(dir .. "/config.lua", ([[return {triplets = {samples = 40, labels = "%s"},
         network = {widths = {2, 2, 2, 2}, z = 4}, audit = {limit = 0}, evaluate = {splits = 2, labels = "%s"},
         fit = {batch_size = 2, batches_per_round = 2, max_rounds = 1, validation_triplets = 4}}]]):format(labels,
         labels))
      local result = assert(pipeline.run{data = dir .. "/card", run = dir .. "/run", config = config})
      assert.same({"label", 2}, {result.triplets.group, result.evaluation.classes})
      local made = require("bclua.data.provenance").of_parquet(result.triplets_path)
      assert.same({labels, {0, 0, 1, 0}, 5}, {made.labels, made.mixture, made.self_distance})
      local page = command.read(result.report)
      assert.matches("Groups are by label.", page, 1, true)
      assert.matches("Which label is this window?", page, 1, true)
      assert.matches("windows around labels of 4 recordings that were not used in training; the truth", page, 1, true)
      local list = require("bclua.workflow.summary.commands").list(result)
      for _, i in ipairs{3, 7} do
         assert.matches(" --labels " .. labels, list[i], 1, true)
         local out, status = command.shell(list[i]:gsub("^bclua", command.quote(command.program)))
         assert.equal(0, status, out)
      end
      command.remove(dir)
   end)
end)
