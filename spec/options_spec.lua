local array = require "bclua.array"
local command = require "support.command"
local options = require "bclua.options"
local system = require "bclua.system"

describe("options", function()
   local SCHEMA = {
      k = {"integer", default = 5, least = 1, most = 9},
      rate = {"number", above = 0, below = 1},
      reach = {"number", least = 0, most = math.huge},
      clip = {"number", above = 0, default = false},
      metric = {"choice", {"cosine", "euclidean"}, default = "cosine"},
      path = {"string", check = function(v) return not v:find("%.png$") and v .. " does not end in .png" or nil end},
      seeds = {"list", of = {"integer", least = 0}, items = "integers", shortest = 1},
      size = {"table", of = {width = {"integer", least = 1, needed = true}, height = "integer"}},
      x = "array",
      out = "output",
      on_step = "function",
      anything = "any",
   }

   local function try(given) return options.check(given, SCHEMA, 2) end

   local function raises(message, given)
      local ok, got = pcall(try, given)
      assert.is_false(ok)
      assert.equal(message, (got:gsub("^[^ ]+:%d+: ", "")))
   end

   it("are a copy with defaults", function()
      local given, step = {k = 2, anything = false}, print
      given.on_step = step
      local o = try(given)
      assert.same({k = 2, metric = "cosine", clip = false, on_step = step, anything = false}, o)
      assert.same({k = 5, metric = "cosine", clip = false}, try(nil))
      assert.is_nil(given.metric)
   end)

   it("name what is unknown, and what was meant", function()
      raises("unknown option 'metrics' (did you mean 'metric'? known: anything, clip, k, metric, on_step, out, " ..
         "path, rate, reach, seeds, size, x)", {metrics = "cosine"})
      assert.error_matches(function() try{zzzzz = 1} end, "unknown option 'zzzzz' %(known: anything")
      assert.error_matches(function() try{true} end, "unknown option '1'")
      assert.error_matches(function() try("cosine") end, "options: a table expected, got 'cosine'")
   end)

   it("say what is allowed and what came", function()
      raises("option 'k' must be an integer from 1 to 9, got 0", {k = 0})
      raises("option 'k' must be an integer from 1 to 9, got 1.5", {k = 1.5})
      raises("option 'k' must be an integer from 1 to 9, got '3'", {k = "3"})
      raises("option 'rate' must be a number above 0 and below 1, got 1", {rate = 1})
      raises("option 'metric' must be one of cosine, euclidean, got 'l1'", {metric = "l1"})
      raises("option 'path': x.jpg does not end in .png", {path = "x.jpg"})
      raises("option 'on_step' must be a function, got true", {on_step = true})
      raises("option 'x' must be an array, got a table", {x = {1, 2}})
      raises("option 'out' must be an open file, got a table", {out = {}})
      assert.equal(io.stderr, try{out = io.stderr}.out)
      assert.equal(2, #try{x = array.from{1, 2}}.x)
   end)

   it("take a word in place of a number, where a rule has one", function()
      local schema = {seconds = {"number", least = 1, word = "auto"}, k = {"integer", least = 1, word = "all"}}
      assert.same({seconds = "auto", k = "all"}, options.check({seconds = "auto", k = "all"}, schema))
      assert.same({seconds = 2.5, k = 3}, options.check({seconds = 2.5, k = 3.0}, schema))
      assert.matches("option 'seconds' must be a number of at least 1 or 'auto', got 'all'", select(2,
         options.try({seconds = "all"}, schema)))
      local converter = require("bclua.cli").rule("--seconds", schema.seconds)
      assert.same({"auto", 2.5}, {converter("auto"), (converter("2.5"))})
      assert.same({nil, "--seconds: 'otto' is not a number (or 'auto')"}, {converter("otto")})
      assert.same({nil, "--seconds: '0.5' is below 1 (or 'auto')"}, {converter("0.5")})
   end)

   it("take no NaN, and infinity only where it is a limit", function()
      for _, x in ipairs{0 / 0, math.huge, -math.huge} do
         assert.has_error(function() try{rate = x} end)
         assert.has_error(function() try{clip = x} end)
         assert.has_error(function() try{k = x} end)
      end
      assert.equal(math.huge, try{reach = math.huge}.reach)
      assert.has_error(function() try{reach = -math.huge} end)
      assert.has_error(function() try{reach = 0 / 0} end)
   end)

   it("make integers of whole floats", function()
      assert.equal("integer", math.type(try{k = 3.0}.k))
      assert.equal("integer", math.type(try{seeds = {1e3}}.seeds[1]))
   end)

   it("look into lists and tables", function()
      raises("option 'seeds' must be a list of integers, 1 or more, got a table", {seeds = {}})
      raises("option 'seeds' must be a list of integers, 1 or more, got a table", {seeds = {1, nil, 3}})
      raises("option 'seeds[2]' must be an integer of at least 0, got -1", {seeds = {1, -1}})
      raises("option 'size.width' is missing", {size = {height = 2}})
      raises("option 'size.height' must be an integer, got 1.5", {size = {width = 1, height = 1.5}})
      raises("unknown option 'size.heigth' (did you mean 'height'? known: height, width)", {size = {heigth = 1}})
   end)

   it("blame the caller of the function that checks", function()
      local function public(given) options.check(given, SCHEMA) end
      local ok, message = pcall(function()
         public{k = 0}
         return 1
      end)
      assert.is_false(ok)
      assert.matches("options_spec.lua:%d+: option 'k'", message)
   end)

   it("are checked without raising, too", function()
      local o, message = options.try({k = 0}, SCHEMA)
      assert.is_nil(o)
      assert.equal("option 'k' must be an integer from 1 to 9, got 0", message)
   end)

   it("take the name that one had, and say the new one once", function()
      local out = command.bclua({"-e", [[
         local options = require "bclua.options"
         local schema = {most = {"integer", was = "limit", default = 1}, inner = {"table", of = {b = {"string", was = "a"}}}}
         local given = {limit = 3, inner = {a = "x"}}
         for _ = 1, 2 do
            local o = options.check(given, schema)
            print(o.most, o.limit, o.inner.b, given.limit)
         end
         print(options.check({}, schema).most, select(2, options.try({limit = "x"}, schema)))
         print(select(2, options.try({limit = 1, most = 2}, schema)))
         print(require("bclua.tilenet").new({widths = {2, 2, 2, 2}, checkpoint = "role"}).recompute)]]})
      assert.equal("'limit' is called 'most' now\n'a' is called 'b' now\n3\tnil\tx\t3\n3\tnil\tx\t3\n" ..
         "1\toption 'most' must be an integer, got 'x'\nunknown option 'limit' (known: inner, most)\n" ..
         "'checkpoint' is called 'recompute' now\nrole\n", out)
   end)

   it("are recorded always, never, or where they are not the default", function()
      local schema = {lr = {"number", default = 1, record = "always"},
         keep = {"integer", default = 3, record = "never"}, clip = {"number", default = 0}, path = "string"}
      assert.same({lr = 1}, options.recorded({lr = 1, keep = 5, clip = 0.0}, schema))
      assert.same({lr = 2, clip = 1, path = "x", other = 7},
         options.recorded({lr = 2, clip = 1, path = "x", other = 7}, schema))
   end)

   it("extend a schema", function()
      local more = options.extend(SCHEMA, {k = {"integer", default = 7}, path = false})
      assert.equal(7, options.check({}, more).k)
      assert.has_error(function() options.check({path = "x.png"}, more) end)
      assert.equal(5, options.check({}, SCHEMA).k)
   end)
end)

describe("every step", function()
   it("refuses an option that it does not know, before anything is made", function()
      local steps = {"audit.run", "experiments.batches.open", "browse.open", "browse.server.run",
         "evaluation_set.run", "consolidate.run", "evaluate.run", "extract.run", "fit.run", "labels.read", "labels.run",
         "listen.top", "listen.track", "experiments.motif_sweep.run", "summary.neighbors.run", "experiments.noise.run",
         "fit.nonfinite.replay", "search.pairs.run", "pipeline.run", "predict.run", "score.run", "search.run",
         "tiles.run", "experiments.trial.run", "experiments.trials.run", "triplets.run", "fit.validation.new"}
      for _, name in ipairs(steps) do
         local module, f = name:match("(.*)%.(.*)")
         assert.error_matches(function() require("bclua.workflow." .. module)[f]{no_such_option = 1} end,
            "unknown option 'no_such_option' %(known: ", nil, nil, name)
      end
   end)

   it("has limits that settings of the pipeline and the command line share", function()
      local pipeline = require "bclua.workflow.pipeline"
      local function wrong(changes) return pipeline.wrong(assert(pipeline.merge(pipeline.defaults, changes))) end
      assert.is_nil(wrong{})
      assert.is_nil(wrong(pipeline.demo))
      assert.equal("setting 'triplets.pick' must be one of motif, discord, best, calls, got 'x'",
         wrong{triplets = {pick = "x"}})
      assert.equal("setting 'fit.batch_size' must be an integer from 1 to 1048576, got 0",
         wrong{fit = {batch_size = 0}})
      assert.equal("setting 'evaluate.splits' must be an integer from 1 to 10000, got 0",
         wrong{evaluate = {splits = 0}})
      assert.equal("setting 'network.widths' must be a list of integers, 4 of them, got a table",
         wrong{network = {widths = {8}}})
      assert.equal("setting 'fit.lr' must be a number of at least 0, got " .. tostring(0 / 0),
         wrong{fit = {lr = 0 / 0}})
      local said = {}
      local changed = assert(pipeline.change(pipeline.defaults, {fit = {ahead = 5}, triplets = {group = "site"}},
         function(...) said[#said + 1] = table.concat({...}, " ") end))
      assert.same({5, "site", nil, "ahead prefetch"},
         {changed.fit.prefetch, changed.data.group, changed.triplets.group, said[1]})
      assert.equal("setting 'triplets.mixture[2]' must be a number of at least 0, got -1",
         wrong{triplets = {mixture = {1, -1, 0, 0}}})
   end)
end)

describe("the nearest name", function()
   it("differs by one letter in three at most", function()
      local names = {exclusion = 1, window = 1, k = 1, [1] = "exclusio"}
      assert.equal("exclusion", system.nearest("exlcusion", names))
      assert.equal("window", system.nearest("Windows", names))
      assert.equal("k", system.nearest("n", names))
      assert.is_nil(system.nearest("radius", names))
      assert.is_nil(system.nearest("k", {k = 1}))
      assert.is_nil(system.nearest(("x"):rep(1000), {[("x"):rep(999)] = 1}))
   end)

   it("is the first in the alphabet of equally near ones", function()
      assert.equal("aab", system.nearest("aaa", {aac = 1, aab = 1, aad = 1}))
   end)

   it("is named by kernels' options", function()
      local stomp = require "bclua.stomp"
      assert.error_matches(function() stomp.self_join(array.zeros{12, 40}, 5, {exclusoin = 3}) end,
         "unknown option 'exclusoin' %(did you mean 'exclusion'%? known: ")
   end)
end)
