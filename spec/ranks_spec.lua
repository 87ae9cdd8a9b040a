-- ranks: training that several processes share has the bits of one.
local array = require "bclua.array"
local batch_shards = require "bclua.train.batch_shards"
local command = require "support.command"
local fit = require "bclua.workflow.fit"
local mined = require "support.mined"
local nn = require "bclua.nn"
local ranks = require "support.ranks"
local safetensors = require "bclua.format.safetensors"
local training = require "support.training"

local SCRIPT = "spec/support/training.lua"

-- Under a sanitizer mpi_spec is enough: what ranks do beside talking, one process does, too.
local function launched()
   if not os.getenv("BCLUA_SANITIZED") then return ranks.launcher() end
   pending("many processes are slow under a sanitizer")
end

local function same_weights(a, b)
   local x, y = assert(safetensors.load(a)), assert(safetensors.load(b))
   local n = 0
   for name, value in pairs(x) do
      assert.is_true(array.equal(value, y[name]), name)
      n = n + 1
   end
   assert.is_true(n > 10)
end

local function batch()
   local b, list = training.loader():next(), {}
   for _, role in ipairs{"anchor", "neighbor", "distant"} do list[#list + 1] = b[role] end
   b.groups = array.from({1, 1, 2, -1, 1, 1, 2, -1, 3, 4, 5, 6}, "i32")
   return b, list
end

describe("virtual shards", function()
   it("have the loss of all embeddings, and the mean of the shards' statistics", function()
      local net, plain, o = training.network("f64"), training.network("f64"), {loss = "supcon", l2 = 0}
      local b, parts = batch()
      -- The plain twin: each shard a batch of its own in a network of its own.
      local e, mean = {}, nil
      for i = 0, 1 do
         local shard = batch_shards.new(parts, 2):cut(i)
         e[i + 1] = plain.core:forward(shard, {train = true, groups = 3})
         local seen = plain.core:statistics()
         mean = mean and (mean + seen) / 2 or seen
      end
      local rows = {}
      for role = 0, 2 do
         for i = 1, 2 do rows[#rows + 1] = e[i]:slice(1, 2 * role + 1, 2 * role + 2) end
      end
      local all = array.concat(rows)
      local expected = nn.loss(all, {loss = "supcon", l2 = 0, groups = b.groups})
      o.batch_shards = 2
      local info = assert(net:train_step(b, o))
      assert.equal(expected.loss, info.loss)
      plain.core:forward(parts, {train = true, groups = 3})
      plain.core:commit(mean)
      for _, name in ipairs{"bn1.running_mean", "bn1.running_var", "bn1.num_batches_tracked"} do
         assert.is_true(array.equal(plain:state()[name], net:state()[name]), name)
      end
   end)

   it("have the gradient that finite differences of that loss give", function()
      local net, o = training.network("f64"), {loss = "triplet", margin = 1, batch_shards = 4, lr = 0, weight_decay = 0}
      local b = batch()
      assert(net:train_step(b, o))
      for _, name in ipairs{"conv1.weight", "bn1.weight", "head.bias"} do
         local flat = net:state()[name]:reshape(net:state()[name]:size())
         assert(net:train_step(b, o))
         local gradient = net:gradients()[name]:reshape(#flat)
         local wanted, value, eps = gradient[2], flat[2], 1e-6
         flat[2] = value + eps
         local up = assert(net:train_step(b, o)).loss
         flat[2] = value - eps
         local down = assert(net:train_step(b, o)).loss
         flat[2] = value
         assert.near((up - down) / (2 * eps), wanted, 1e-6)
      end
   end)

   it("accumulate, keep the bits with every kind of recomputation, and with none where there is one", function()
      local found = {}
      for i, kind in ipairs{"none", "stage", "cheap"} do
         local net = nn.network({{"conv2d", name = "c", out = 4, kernel = 3}, {"batch_norm", name = "b"}, {"relu"},
            {"dropout", rate = 0.2}, {"average_pool", global = true}}, {input = {1, 6, 6}, recompute = kind})
         for _ = 1, 4 do assert(net:train_step(batch(), {batch_shards = 4, accumulate = 2, margin = 1})) end
         assert.equal(2, net.step)
         found[i] = net:state()["c.weight"]:copy()
      end
      assert.is_true(array.equal(found[1], found[2]) and array.equal(found[1], found[3]))
      local one, none = training.network(), training.network()
      assert(one:train_step(batch(), {batch_shards = 1}))
      assert(none:train_step(batch(), {}))
      assert.is_true(array.equal(one:state()["conv1.weight"], none:state()["conv1.weight"]))
   end)

   it("sum along a binary tree", function()
      local shards, levels = batch_shards.new({array.zeros(8), array.zeros(8), array.zeros(8)}, 8), {}
      local x, sum = {}, nil
      for i = 0, 7 do
         x[i] = array.from({math.sin(i + 1) * 10.0 ^ (i % 4), 1}, "f32")
         sum = x[i]:copy()
         shards:join(levels, i, sum)
      end
      local tree = ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]))
      assert.is_true(array.equal(tree, sum))
   end)

   it("sum gradients in 16 bits where that is wanted, each sum of two rounded", function()
      local function round(a) return a:copy():round_bf16() end
      local shards, levels = batch_shards.new({array.zeros(4), array.zeros(4), array.zeros(4)}, 4), {}
      local x, sum = {}, nil
      for i = 0, 3 do
         x[i] = array.from({math.sin(i + 1) * 10.0 ^ i, 1 + i / 1000, -i}, "f32")
         sum = x[i]:copy()
         shards:join(levels, i, sum, "bf16")
         x[i]:round_bf16()
      end
      assert.is_true(array.equal(round(round(x[0] + x[1]) + round(x[2] + x[3])), sum))
      local weights = {}
      for i, o in ipairs{{}, {gradients = "bf16"}, {gradients = "bf16", batch_shards = 1}, {batch_shards = 1}} do
         local net = training.network()
         o.batch_shards, o.margin = o.batch_shards or 4, 1
         assert(net:train_step(batch(), o))
         local g = net.core:gradients():copy()
         assert.equal(i == 2, array.equal(g, round(g)))
         weights[i] = g
      end
      assert.is_true(array.allclose(weights[1], weights[2], 0.1, 1e-3) and array.equal(weights[3], weights[4]))
   end)

   it("know the memory that they take, and refuse what they cannot be cut into", function()
      local net, b = training.network(), batch()
      assert(net:train_step(b, {batch_shards = 2}))
      local m, held = net:memory{batch_size = 4, shards = 2}, net.core:held()
      assert.is_true(m.arena + m.scratch + m.weights <= held and held <= m.total, held .. " of " .. m.total)
      assert.error_matches(function() net:train_step(b, {batch_shards = 8}) end, "4 triplets in 8 virtual shards")
      assert.error_matches(function() net:train_step(b, {batch_shards = 3}) end, "3 is not a power of two")
      assert.error_matches(function() net:memory{batch_size = 4, shards = 3} end, "4 triplets in 3 shards")
   end)
end)

describe("trainer.fit on ranks of MPI", function()
   local dir
   setup(function() dir = command.folder() end)
   teardown(function() command.remove(dir) end)

   local O = "batch_shards = 4, batches_per_round = 3, max_rounds = 3, margin = 1, accumulate = 1, keep_best = 2, " ..
      "checkpoint_batches = 1, schedule = 'cosine', validate = true"

   local function last(name) return ("%s/%s/checkpoints/last.safetensors"):format(dir, name) end

   local function alone(name, more)
      local out, status = command.bclua{"--threads", "2", SCRIPT, dir .. "/" .. name, ("{%s%s}"):format(O, more or "")}
      assert.equal(0, status, out)
      return last(name)
   end

   local function shared(n, name, more)
      return ranks.run(n, {"--threads", "1", SCRIPT, dir .. "/" .. name, ("{%s, ranks = true%s}"):format(O,
         more or "")})
   end

   it("gives the bits of one process on 2 and 4, and after a kill on another number", function()
      if not launched() then return end
      local one = alone("one")
      for _, n in ipairs{2, 4} do
         local out, status = shared(n, "of" .. n)
         assert.equal(0, status, out)
         assert.equal("9\n", out) -- the others are silent
         same_weights(one, last("of" .. n))
         local notes = command.read(dir .. "/of" .. n .. "/metrics.jsonl")
         assert.equal(12, select(2, notes:gsub("\n", "")))
      end
      local out, status = shared(2, "killed", ", kill = 5, kill_rank = 1")
      assert.not_equal(0, status, out)
      assert.not_equal(124, status, out)
      local metadata = select(2, safetensors.load(last("killed")))
      assert.equal("5", metadata.step)
      out, status = shared(4, "killed", (", resume = %q"):format(last("killed")))
      assert.equal(0, status, out)
      same_weights(one, last("killed"))
   end)

   it("gives the bits of one process with gradients of 16 bits, too", function()
      if not launched() then return end
      local one = alone("narrow1", ", gradients = 'bf16'")
      for _, n in ipairs{2, 4} do
         local out, status = shared(n, "narrow" .. n, ", gradients = 'bf16'")
         assert.equal(0, status, out)
         same_weights(one, last("narrow" .. n))
      end
      local plain = safetensors.load(alone("full"))
      assert.is_false(array.equal(plain["head.weight"], safetensors.load(one)["head.weight"]))
   end)

   it("names the sample of another rank that is not finite, and ends all with a checkpoint", function()
      if not launched() then return end
      local out, status = shared(4, "spoilt", ", spoil = 4")
      assert.equal(1, status, out)
      assert.matches("step 4: the loss is nan: distant, sample 2, holds NaN", out)
      assert.equal("3", select(2, safetensors.load(last("spoilt"))).step)
   end)

   it("does not begin where ranks are not in the same place", function()
      if not launched() then return end
      local out, status = ranks.script(2, ([[package.path = "spec/?.lua;" .. package.path
         local training = require "support.training"
         local net = training.network()
         if mpi.rank() == 1 then net:parameters()["head.bias"]:fill(1) end
         print(require("bclua.train.trainer").fit(net, training.loader(), {run = %q, ranks = mpi}))]]):format(
         dir .. "/apart"))
      assert.equal(0, status)
      assert.matches("rank 1 would train", out)
   end)
end)

describe("embed.lua fit on ranks of MPI", function()
   local dir
   setup(function() dir = command.folder() end)
   teardown(function()
      command.remove(dir)
      mined.remove()
   end)

   local function words(run, more)
      local m = mined.get()
      local list = {"--threads", "1", "scripts/embed.lua", "fit", m.triplets, m.tiles, "--run", dir .. "/" .. run}
      for word in ("--widths 2,2,2,2 --dim 4 --batches-per-round 2 " .. more):gmatch("%S+") do
         list[#list + 1] = word
      end
      return list
   end

   it("shares batches of 8 shards; one process goes on to the same bits", function()
      if not launched() then return end
      local out, status = command.bclua(words("one", "--batch-size 8 --max-rounds 2 --batch-shards 8"))
      assert.equal(0, status, out)
      out, status = ranks.run(2, words("two", "--batch-size 8 --max-rounds 1"))
      assert.equal(0, status, out)
      assert.matches("2 ranks of libmpi.* share batches of 8 virtual shards", out)
      assert.equal(1, select(2, out:gsub("round 1: loss", "")))
      out, status = command.bclua(words("two", "--batch-size 8 --max-rounds 2"))
      assert.equal(0, status, out)
      same_weights(dir .. "/one/checkpoints/last.safetensors", dir .. "/two/checkpoints/last.safetensors")
   end)

   it("shares the memory of a machine with the ranks on it", function()
      local of = {all_gather = function(host) return {host, "another\n", host, host} end}
      local share = fit.free_memory(of) / fit.free_memory()
      assert.is_true(share > 0.2 and share < 0.5, share) -- others take and give memory all the time
   end)

   it("says that the launcher's library is missing", function()
      local result, message = fit.run{triplets = "none", ranks = {size = function() error("no libmpi", 0) end}}
      assert.same({nil, "no libmpi"}, {result, message})
   end)

   it("says which ranks and batches do not fit each other", function()
      local out, status = command.bclua(words("wrong", "--batch-size 6 --batch-shards 4"))
      assert.equal(1, status)
      assert.matches("a batch of 6 triplets in 4 virtual shards: --batch-size must be a multiple", out, 1, true)
      if not launched() then return end
      out, status = ranks.run(3, words("wrong", "--batch-size 8"))
      assert.equal(1, status)
      assert.matches("3 ranks cannot share a batch in 8 virtual shards equally", out, 1, true)
   end)
end)
