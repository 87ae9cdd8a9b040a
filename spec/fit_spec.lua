local command = require "support.command"
local files = require "bclua.files"
local fit = require "bclua.workflow.fit"
local mined = require "support.mined"
local safetensors = require "bclua.format.safetensors"

teardown(mined.remove)

local function run(folder, options)
   local m = mined.get()
   local o = {triplets = m.triplets, tiles = m.tiles, run = folder, network = {widths = {2, 2, 2, 2}, z = 4},
      batch_size = 2, batches_per_round = 2, max_rounds = 1, readout = "head", quiet = true}
   for k, v in pairs(options or {}) do o[k] = v end
   o.tiles = o.tiles or nil
   return fit.run(o)
end

describe("fit", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   it("reads the embedding from all stages, once, and from the head if told to", function()
      local function read(folder, options)
         local path = assert(run(folder, options)).checkpoint
         local all, metadata = safetensors.load(path)
         return path, command.read(path), all, metadata, require("bclua.json").decode(metadata.tilenet)
      end
      local stages = {readout = "stages"}
      local _, _, all = read(dir)
      assert.is_nil(all["readout.max5.weight"])
      local path, bytes, metadata, network
      path, bytes, all, _, network = read(dir, stages)
      assert.equal("stages", network.readout)
      assert(all["readout.max5.weight"]:is_finite() and all["optimizer.step"])
      assert.equal(bytes, (select(2, read(dir, stages))))
      assert.equal(path, (read(dir .. "/other", {readout = "stages", checkpoint = path}))) -- nothing left to do
      assert.equal(bytes, command.read(path))
      _, _, _, metadata = read(dir, {readout = "stages", max_rounds = 2}) -- goes on from there
      assert.equal("2", metadata.round)
      _, _, all, metadata, network = read(dir, {max_rounds = 2})
      assert.same({"2", "head"}, {metadata.round, network.readout})
      assert.is_nil(all["readout.max5.weight"])
   end)

   it("leaves a checkpoint that says what it was made of", function()
      local result = assert(run(dir))
      assert.equal(1, result.rounds)
      local _, metadata = safetensors.load(result.checkpoint)
      assert.matches("synfin1", metadata.groups)
      assert.equal(files.json(mined.get().drawn.holdout), metadata.holdout_recordings)
      local used = require("cjson").decode(metadata.training_recordings)
      assert.is_true(#used > 1)
      for _, name in ipairs(used) do assert.is_nil(metadata.holdout_recordings:find(name, 1, true), name) end
      assert.equal(3, select(2, command.read(dir .. "/metrics.jsonl"):gsub("\n", "\n")))
   end)

   it("keeps families for evaluation where triplets were drawn by species", function()
      local m, triplets = mined.get(), dir .. "/by_species.parquet"
      assert(require("bclua.workflow.triplets").run({input = m.motif, output = triplets, samples = 40, quiet = true,
         taxonomy = m.data .. "/taxonomy.csv", group = "species"}))
      local result = assert(run(dir, {triplets = triplets}))
      local _, metadata = safetensors.load(result.checkpoint)
      local family = require("cjson").decode(metadata.groups)
      assert.equal(family.synfin1, family.synfin2)
      assert.not_equal(family.synfin1, family.synwre1)
   end)

   it("goes on to more rounds as an unbroken run would, and stops when there are none", function()
      assert(run(dir .. "/a"))
      local second = assert(run(dir .. "/a", {max_rounds = 2}))
      assert.equal(2, second.rounds)
      local whole = assert(run(dir .. "/b", {max_rounds = 2}))
      local a, b = safetensors.load(second.checkpoint), safetensors.load(whole.checkpoint)
      for name, value in pairs(a) do
         assert.is_true(require("bclua.array").equal(value, b[name]), name)
      end
      local before = command.read(second.checkpoint)
      assert(run(dir .. "/a", {max_rounds = 2}))
      assert.equal(before, command.read(second.checkpoint))
   end)

   it("refuses another network or rate, naming it; --force begins anew", function()
      assert(run(dir))
      local result, message = run(dir, {lr = 0.01})
      assert.is_nil(result)
      assert.matches("lr = 0.001, now 0.01", message, 1, true)
      message = select(2, run(dir, {network = {widths = {2, 2, 2, 2}, z = 8}}))
      assert.matches("network.z = 4, now 8", message, 1, true)
      local before = command.read(dir .. "/checkpoints/last.safetensors")
      assert(run(dir, {lr = 0.01, force = true}))
      assert.equal(before, command.read(dir .. "/checkpoints.1/last.safetensors"))
      assert.is_true(files.exists(dir .. "/metrics.1.jsonl"))
      assert.equal(3, select(2, command.read(dir .. "/metrics.jsonl"):gsub("\n", "\n")))
   end)

   it("records what it was made with as trainings did before there was a schema, and takes old names", function()
      local network = {widths = {2, 2, 2, 2}, z = 4, compression = "log", pooling = "mean", projection = 0}
      local result = assert(run(dir, {ahead = 3, workers = 1, patience = 0, warmup = 1, schedule = "cosine",
         network = network}))
      assert.equal(1, result.rounds)
      local made = files.read_json(dir .. "/checkpoints/parameters.json")
      made.version, made.triplets = nil, nil
      assert.same({batch_size = 2, batches_per_round = 2, lr = 0.001, lr_step = 0, lr_gamma = 0.1, l2 = 0.01, seed = 1,
         margin = 0, loss = "supcon", warmup = 1, schedule = "cosine", max_rounds = 1,
         network = {widths = {2, 2, 2, 2}, z = 4, compression = "log"}}, made)
      assert.error_matches(function() run(dir, {network = {widht = 1}}) end, "unknown option 'network.widht'")
      local path = dir .. "/checkpoints/parameters.json"
      local text = command.read(path):gsub("batches_per_round", "batches_per_epoch")
      command.write(path, (text:gsub("max_rounds", "max_epochs")))
      assert(run(dir, {warmup = 1, schedule = "cosine", network = network}))
   end)

   it("begins anew for more recordings only where it is told to follow the data", function()
      assert(run(dir))
      local path = dir .. "/checkpoints/parameters.json"
      command.write(path, (command.read(path):gsub('"recordings": 17', '"recordings": 16')))
      assert.matches("triplets.recordings = 16, now 17", select(2, run(dir)))
      assert.matches("lr = 0.001, now 0.01", select(2, run(dir, {lr = 0.01, follow_data = true})))
      assert(run(dir, {follow_data = true}))
      assert.is_true(files.exists(dir .. "/checkpoints.1/last.safetensors"))
   end)

   it("names a checkpoint of another network, and a table without its columns", function()
      local other = assert(run(dir .. "/a", {network = {widths = {2, 2, 2, 2}, z = 8}}))
      local result, message = run(dir .. "/b", {checkpoint = other.checkpoint})
      assert.is_nil(result)
      assert.equal(other.checkpoint, message:sub(1, #other.checkpoint))
      assert.matches("tensor", message)
      assert.matches("no column 'a'", select(2, run(dir .. "/c", {triplets = mined.get().motif})))
   end)

   it("judges every round on recordings that the triplets leave out, and keeps the best", function()
      local m = mined.get()
      local o = {motif = m.motif, dataset_root = m.data, validation_triplets = 12, max_rounds = 2}
      local result = assert(run(dir .. "/a", o))
      assert.equal(12, result.validation.triplets)
      assert.is_true(result.validation.ordered >= 0 and result.validation.ordered <= 1)
      assert.equal(dir .. "/a/checkpoints/best.safetensors", result.best)
      local lines = {}
      for line in command.read(dir .. "/a/metrics.jsonl"):gmatch("[^\n]+") do
         local l = require("cjson").decode(line)
         if l.kind == "round" then lines[#lines + 1] = l.validation.loss end
      end
      assert.equal(2, #lines)
      assert.equal(result.validation.loss, run(dir .. "/b", o).validation.loss)
      -- it cuts windows of none but these
      local held = {}
      for _, name in ipairs(m.drawn.holdout) do held[name] = true end
      local stamp = require("cjson").decode(command.read(dir .. "/a/validation/parameters.json"))
      for _, item in ipairs(stamp.recordings) do assert.is_true(held[item[1]], item[1]) end
      assert(#stamp.recordings >= 2)
      assert.same({m.data, 32000}, {stamp.dataset_root, stamp.sample_rate})
   end)

   it("has a score of each group for the cross-entropy, which the embedding is without", function()
      local m = mined.get()
      local result = assert(run(dir, {loss = "cross_entropy", motif = m.motif, dataset_root = m.data,
         validation_triplets = 4}))
      local groups = require("bclua.data.loader").count_groups(m.triplets)
      assert.is_true(groups > 1)
      local tensors = safetensors.load(result.checkpoint)
      assert.same({groups, 4}, tensors["projection.linear.weight"]:shape())
      assert.equal(groups, files.read_json(dir .. "/checkpoints/parameters.json").network.projection)
      local net = assert(require("bclua.tilenet").open(result.checkpoint))
      assert.same({1, 4}, net:forward(require("bclua.array").zeros{1, net.samples}):shape())
      net:close()
      assert.is_true(result.validation.loss > 0)
   end)

   it("judges on likely calls where the triplets are of likely calls", function()
      local m = mined.get()
      local triplets = dir .. "/calls.parquet"
      assert(require("bclua.workflow.triplets").run({input = m.motif, output = triplets, samples = 40, quiet = true,
         pick = "calls", calls = 2, dataset_root = m.data, taxonomy = m.data .. "/taxonomy.csv"}))
      local calls = assert(require("bclua.workflow.score").run({input = m.motif, dataset_root = m.data, calls = 2,
         recordings = m.drawn.holdout, quiet = true})).calls
      local result = assert(run(dir .. "/a", {triplets = triplets, tiles = false, motif = m.motif,
         dataset_root = m.data, validation_triplets = 12}))
      assert.equal(12, result.validation.triplets)
      local seen = 0
      local drawn, names = require("bclua.workflow.triplets").held_out({triplets = triplets, input = m.motif,
         samples = 100, seed = 1, dataset_root = m.data, quiet = true})
      for i = 1, 100 do
         local starts = calls[names[drawn.a[i]]]
         if drawn.a_loc[i] >= 0 then
            assert.is_true(drawn.a_loc[i] == starts[1] + 2.5 or drawn.a_loc[i] == starts[2] + 2.5)
            seen = seen + 1
         end
      end
      assert.is_true(seen > 50)
   end)

   it("orders validation triplets by the distance that the loss has", function()
      local validation = require "bclua.workflow.fit.validation"
      local array = require "bclua.array"
      local m = mined.get()
      local v = assert(validation.new({triplets = m.triplets, motif = m.motif, dataset_root = m.data, folder = dir,
         count = 6, quiet = true}))
      local of = {{1, 0}, {9, 0}, {1, 1}} -- the second in the first's direction, and farther away than the third
      local rows = 0
      for _, block in ipairs(v.blocks) do rows = rows + #block end
      v.at = {a = {1, 1, 1}, b = {2, 2, 2}, c = {3, 3, 3}}
      v.triplets = 3
      local next_row = 0
      local net = {forward = function(_, block)
         local out = array.zeros({#block, 2})
         for i = 1, #block do
            next_row = next_row + 1
            local e = of[math.min(next_row, 3)]
            out:set(i, 1, e[1])
            out:set(i, 2, e[2])
         end
         return out
      end}
      assert.is_true(rows >= 3)
      assert.equal(1, v:measure(net, {loss = "nt_xent", batch_size = 3, l2 = 0, temperature = 0.1}).ordered)
      next_row = 0
      assert.equal(0, v:measure(net, {loss = "triplet", margin = 1, batch_size = 3, l2 = 0}).ordered)
   end)

   it("names what validation lacks", function()
      local m = mined.get()
      assert.matches("--patience needs validation", select(2, run(dir, {patience = 2})), 1, true)
      assert.matches("/nope: no such folder", select(2, run(dir, {motif = m.motif, dataset_root = "/nope"})), 1, true)
      local message = select(2, run(dir, {motif = m.triplets, dataset_root = m.data}))
      assert.equal(m.triplets .. ": no column", message:sub(1, #m.triplets + 11))
   end)

   it("refuses a batch that memory cannot hold before it takes it, and proposes one", function()
      local result, message = run(dir, {batch_size = 64, free_memory = 150e6})
      assert.is_nil(result)
      assert.matches("batches of 64 triplets takes %d+ MB of memory, 150 MB are free: %-%-batch%-size %d+ f", message)
      local fits = tonumber(message:match("batch%-size (%d+)"))
      assert(fits >= 1 and fits < 64)
      assert.is_false(files.exists(dir .. "/checkpoints"))
      assert(run(dir, {batch_size = fits, free_memory = 150e6, batches_per_round = 1}))
      assert.matches("not even a batch of 1 fits", select(2, run(dir, {free_memory = 1e3})))
   end)

   it("trains on recordings without tiles, on part of the table, and on altered sound", function()
      local m = mined.get()
      local result = assert(run(dir .. "/a", {tiles = false, dataset_root = m.data, limit = 6, augment = "gain=6"}))
      assert.equal(1, result.rounds)
      assert.same({}, result.failures)
      assert.matches("limit = 6, now none", select(2, run(dir .. "/a", {tiles = false, dataset_root = m.data,
         augment = "gain=6"})), 1, true)
      assert.matches("--dataset-root", select(2, run(dir .. "/b", {tiles = false})), 1, true)
   end)

   -- Tiles of floats, in each of which one sample is made to something else.
   local function spoiled(value)
      local array, m = require "bclua.array", mined.get()
      assert(require("bclua.workflow.tiles").run({input = m.triplets, dataset_root = m.data, output = dir .. "/tiles",
         store = "npy", quiet = true}))
      for _, path in ipairs(assert(files.find(dir .. "/tiles", function(name) return name:find("%.npy$") end))) do
         local tile = array.load(dir .. "/tiles/" .. path)
         tile[#tile // 2] = value
         assert(array.save(dir .. "/tiles/" .. path, tile))
      end
      return dir .. "/tiles"
   end

   it("stops at a tile with a NaN, and keeps what shows it again", function()
      for name, value in pairs{nan = 0 / 0, inf = math.huge} do
         local tiles = spoiled(value)
         local folder = dir .. "/" .. name
         local result, message = run(folder, {tiles = tiles})
         assert.is_nil(result)
         assert.matches("^round 1: step 1: .*weights left as they were\n", message)
         assert.matches("sample %d%).*; train_audio/.* at %d+%.%d+ s\n", message)
         local kept = message:match("to see it again: bclua embed replay (%S+)")
         assert.equal(folder .. "/nonfinite-1", kept)
         local report = files.read_json(kept .. "/report.json")
         assert.matches("^%a+$", report.role)
         assert.is_number(report.offset_s)
         assert.is_true(files.exists(mined.get().data .. "/" .. report.recording))
         local sound = assert(require("bclua.audio").load(kept .. "/sample.wav"))
         assert.equal(160000, #sound)
         local out, status = command.bclua({"scripts/embed.lua", "replay", kept})
         assert.equal(0, status)
         assert.matches("^again: ", out)
         assert.matches(("(%s, sample %d)"):format(report.role, report.sample), out, 1, true)
         command.remove(tiles)
      end
   end)

   it("skips such batches if it is told to", function()
      local _, message = run(dir .. "/run", {tiles = spoiled(0 / 0), on_nonfinite = "skip", batches_per_round = 30})
      assert.matches("20 batches in a row", message)
      assert.is_true(files.exists(dir .. "/run/nonfinite-1-3/report.json"))
      assert.is_false(files.exists(dir .. "/run/nonfinite-1-4"))
   end)

   it("says when it is the weights that are ill, and that a step is not", function()
      local nonfinite, tilenet = require "bclua.workflow.fit.nonfinite", require "bclua.tilenet"
      local m = mined.get()
      local net = tilenet.new({widths = {2, 2, 2, 2}, z = 4})
      local batch = assert(require("bclua.data.loader").new({triplets = m.triplets, tiles = m.tiles,
         batch_size = 2})):next()
      local text = nonfinite.report({run = dir, net = net, batch = batch, options = {lr = 1e-3}})
      local folder = text:match("replay (%S+)$")
      assert.is_false(nonfinite.replay({folder = folder}).reproduced)
      local out, status = command.bclua({"scripts/embed.lua", "replay", folder})
      assert.equal(1, status)
      assert.matches("the step is finite here", out)
      net:state()["layer3.0.conv1.weight"]:fill(0 / 0)
      text = nonfinite.report({run = dir, net = net, batch = batch, options = {lr = 1e-3}})
      assert.matches("^tensor 'layer3.0.conv1.weight': ", text)
      local again = assert(nonfinite.replay({folder = text:match("replay (%S+)$")}))
      assert.is_true(again.reproduced)
      assert.is_nil(nonfinite.replay({folder = dir}))
   end)
end)
