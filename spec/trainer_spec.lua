local array = require "bclua.array"
local cjson = require "cjson"
local command = require "support.command"
local safetensors = require "bclua.format.safetensors"
local trainer = require "bclua.train.trainer"
local training = require "support.training"

local small_network, new_loader = training.network, training.loader

describe("trainer.fit", function()
   local run
   before_each(function() run = command.folder() end)
   after_each(function() command.remove(run) end)

   local function fit(net, loader, options)
      local o = {run = run, batches_per_round = 3, max_rounds = 2, margin = 1}
      for key, value in pairs(options or {}) do o[key] = value or nil end -- false: not given
      return trainer.fit(net, loader, o)
   end

   local function metrics()
      local lines = {}
      for line in command.read(run .. "/metrics.jsonl"):gmatch("[^\n]+") do lines[#lines + 1] = cjson.decode(line) end
      return lines
   end

   it("trains for rounds of batches and notes every one", function()
      local seen = {}
      local result = assert(fit(small_network(), new_loader(), {max_rounds = 8, lr = 0.03,
         on_batch = function(i) seen[#seen + 1] = ("%d.%d/%d"):format(i.round, i.batch, i.batches_per_round) end,
         on_round = function(info) seen[#seen + 1] = "round " .. info.round end}))
      assert.equal(24, result.step)
      assert.equal(8, result.round)
      assert.same({"1.1/3", "1.2/3", "1.3/3", "round 1", "2.1/3"}, {table.unpack(seen, 1, 5)})
      local lines = metrics()
      assert.equal(32, #lines)
      for i, line in ipairs(lines) do
         assert.equal(i % 4 == 0 and "round" or "batch", line.kind)
         for _, key in ipairs{"round", "step", "loss", "loss_n", "loss_d", "active", "spread", "lr", "gradient_norm",
            "triplets_per_second", "wait_share"} do
            assert.is_number(line[key], key)
         end
      end
      assert.near((lines[1].loss + lines[2].loss + lines[3].loss) / 3, lines[4].loss, 1e-9)
      assert.equal(3, lines[4].step)
      assert(lines[32].loss < 0.8 * lines[4].loss, ("%g -> %g"):format(lines[4].loss, lines[32].loss))
   end)

   it("writes a checkpoint per round, the last under two names", function()
      local net = small_network()
      local result = assert(fit(net, new_loader()))
      local folder = run .. "/checkpoints"
      assert.equal(folder .. "/last.safetensors", result.checkpoint)
      assert.equal(command.read(folder .. "/round-2.safetensors"), command.read(result.checkpoint))
      assert.not_equal(command.read(folder .. "/round-1.safetensors"), command.read(result.checkpoint))
      local names = {}
      for name in require("lfs").dir(folder) do names[#names + 1] = name end
      table.sort(names)
      assert.same({".", "..", "last.safetensors", "round-1.safetensors", "round-2.safetensors"}, names)
      local again = small_network()
      local metadata = assert(again:load(result.checkpoint))
      assert.equal("2", metadata.round)
      assert.equal("6", metadata.step)
      assert(array.equal(net:state()["head.weight"], again:state()["head.weight"]))
   end)

   it("writes the file that a symbolic link as last checkpoint leads to", function()
      local lfs = require "lfs"
      assert(require("bclua.system").mkdir(run .. "/checkpoints"))
      lfs.link(run .. "/disk", run .. "/checkpoints/last.safetensors", true)
      assert(fit(small_network(), new_loader(), {max_rounds = 1}))
      assert.equal("link", lfs.symlinkattributes(run .. "/checkpoints/last.safetensors", "mode"))
      assert.equal(command.read(run .. "/checkpoints/round-1.safetensors"), command.read(run .. "/disk"))
   end)

   it("keeps the newest checkpoints only, and copies where links are unknown", function()
      local lfs = require "lfs"
      local link = lfs.link
      lfs.link = function() return nil, "Operation not permitted" end
      local ok, result = pcall(fit, small_network(), new_loader(), {max_rounds = 4, keep = 2})
      lfs.link = link
      assert.is_true(ok)
      local names = {}
      for name in lfs.dir(run .. "/checkpoints") do names[#names + 1] = name end
      table.sort(names)
      assert.same({".", "..", "last.safetensors", "round-3.safetensors", "round-4.safetensors"}, names)
      assert.equal(command.read(run .. "/checkpoints/round-4.safetensors"), command.read(result.checkpoint))
   end)

   it("goes on from a checkpoint to the same bits as an unbroken run, even after a kill", function()
      local whole = small_network()
      assert(fit(whole, new_loader(), {max_rounds = 4}))
      local all = metrics()
      local first = small_network()
      assert.error_matches(function()
         fit(first, new_loader(), {max_rounds = 4,
            on_batch = function(info) if info.step == 8 then error("killed") end end})
      end, "killed")
      assert.equal(8 + 2, #metrics())
      local second = small_network()
      assert(fit(second, new_loader(), {max_rounds = 4, resume = run .. "/checkpoints/last.safetensors"}))
      for name, a in pairs(whole:state()) do assert(array.equal(a, second:state()[name]), name) end
      local lines = metrics()
      assert.equal(#all, #lines)
      for i, line in ipairs(lines) do
         assert.equal(all[i].step, line.step)
         assert.equal(all[i].loss, line.loss)
      end
   end)

   it("lowers the learning rate in steps", function()
      assert(fit(small_network(), new_loader(), {max_rounds = 5, lr = 0.01, lr_step = 2, lr_gamma = 0.5}))
      local rates = {}
      for _, line in ipairs(metrics()) do rates[line.round] = line.lr end
      assert.same({0.01, 0.01, 0.005, 0.005, 0.0025}, rates)
   end)

   it("stops before a loss that is not finite touches the weights, and names the step", function()
      local net = small_network()
      local result, message = fit(net, new_loader(5))
      assert.is_nil(result)
      assert.matches("^round 2: step 5: the loss is %-?nan.*; weights left as they were$", message)
      assert.equal(4, net.step)
      local other = small_network()
      assert(fit(other, new_loader(), {batches_per_round = 4, max_rounds = 1}))
      for name, a in pairs(net:state()) do assert(array.equal(a, other:state()[name]), name) end
   end)

   it("hands on what the loader says", function()
      local result, message = fit(small_network(), {next = function() return nil, "x.npy: truncated" end})
      assert.is_nil(result)
      assert.equal("round 1: x.npy: truncated", message)
      assert.matches("no more triplets", select(2, fit(small_network(), {next = function() end})))
   end)

   it("ends when on_round says so", function()
      local result = assert(fit(small_network(), new_loader(), {max_rounds = 9,
         on_round = function(info) return info.round < 2 end}))
      assert.equal(2, result.round)
   end)

   it("says why it cannot go on from a file", function()
      local net = small_network()
      local path = run .. "/w.safetensors"
      assert.equal(path .. ": No such file or directory", select(2, fit(net, new_loader(), {resume = path})))
      assert(net:save(path))
      assert.matches("optimizer", select(2, fit(net, new_loader(), {resume = path})))
      assert(net:save(path, {optimizer = true}))
      assert.matches("no checkpoint of a training run", select(2, fit(net, new_loader(), {resume = path})))
      assert(net:save(path, {optimizer = true, metadata = {round = "1"}}))
      assert.matches("holds no state of the loader", select(2, fit(net, new_loader(), {resume = path})))
      assert(net:save(path, {optimizer = true, metadata = {round = "1", loader = "?"}}))
      assert.equal(path .. ": loader: not a number", select(2, fit(net, new_loader(), {resume = path})))
   end)

   it("names a folder that it cannot write to", function()
      command.write(run .. "/file", "")
      local result, message = fit(small_network(), new_loader(), {run = run .. "/file"})
      assert.is_nil(result)
      assert.equal(run .. "/file", message:sub(1, #run + 5))
   end)

   it("names the option it rejects", function()
      local function raises(text, options)
         assert.error_matches(function() fit(small_network(), new_loader(), options) end, text, 1, true)
      end
      raises("unknown option 'learning_rate'", {learning_rate = 1})
      raises("option 'lr' must be a number of at least 0, got '1'", {lr = "1"})
      raises("option 'max_rounds' must be an integer of at least 1", {max_rounds = 0})
      raises("option 'batches_per_round' must be an integer", {batches_per_round = 1.5})
      assert.error_matches(function() trainer.fit(small_network(), new_loader(), {}) end, "option 'run' is missing")
   end)

   it("needs what an option builds on", function()
      local function raises(text, options)
         assert.error_matches(function() fit(small_network(), new_loader(), options) end, text, 1, true)
      end
      raises("option 'patience' needs option 'validate'", {patience = 2})
      raises("schedule 'step' needs option 'lr_step'", {schedule = "step"})
      raises("option 'schedule' must be one of constant, step, cosine, one_cycle, got 'linear'", {schedule = "linear"})
      raises("option 'loss' must be one of triplet, triplet_cosine, semi_hard, batch_hard, nt_xent, supcon, " ..
         "cross_entropy, got 'hinge'",
         {loss = "hinge"})
      raises("option 'on_nonfinite' must be one of stop, skip, got 'ignore'", {on_nonfinite = "ignore"})
   end)

   it("follows a schedule batch by batch", function()
      assert(fit(small_network(), new_loader(), {schedule = "one_cycle", lr = 1e-2, batches_per_round = 5}))
      local rates = {}
      for _, line in ipairs(metrics()) do
         if line.kind == "batch" then rates[line.step] = line.lr end
      end
      for i, x in ipairs{0.04, 0.52, 1, 0.9504846320, 0.8117456539, 0.6112620219, 0.3887419781, 0.1882583460,
         0.04951936799, 4e-6} do
         assert.near(1e-2 * x, rates[i], 1e-11)
      end
   end)

   it("ends a round by the clock", function()
      local result = assert(fit(small_network(), new_loader(), {round_minutes = 0.02 / 60, max_rounds = 3}))
      assert.equal(3, result.round)
      assert(result.seconds >= 0.02)
      local n = {}
      for _, line in ipairs(metrics()) do
         if line.kind == "batch" then n[line.round] = (n[line.round] or 0) + 1 end
      end
      assert.equal(result.step, n[1] + n[2] + n[3])
   end)

   it("takes a step after so many batches, and ends a round with one", function()
      local result = assert(fit(small_network(), new_loader(), {accumulate = 2, batches_per_round = 3}))
      assert.equal(4, result.step)
      assert.equal(4, result.batches)
      local same = small_network()
      local loader = new_loader()
      for _ = 1, 8 do
         assert(same:train_step(loader:next(), {accumulate = 2, margin = 1, clip_norm = false}))
      end
      local got = small_network()
      assert(got:load(result.checkpoint))
      for name, a in pairs(same:state()) do assert(array.equal(a, got:state()[name]), name) end
   end)

   it("shortens gradients to --clip-norm", function()
      local free, clipped = small_network(), small_network()
      assert(fit(free, new_loader(), {lr = 0.1}))
      assert(fit(clipped, new_loader(), {lr = 0.1, clip_norm = 1e-6, eps = 1}))
      local before = small_network():state()["head.weight"]
      assert(array.max_difference(clipped:state()["head.weight"], before) <
         0.2 * array.max_difference(free:state()["head.weight"], before))
   end)

   -- Losses of validation, round by round.
   local function judge(scores)
      local n = 0
      return function()
         n = n + 1
         return {loss = scores[n], ordered = 0.5}
      end
   end

   it("goes on where validation is not finite, and says so", function()
      local warnings = {}
      local result = assert(fit(small_network(), new_loader(), {validate = judge{0 / 0, 3},
         on_warning = function(text) warnings[#warnings + 1] = text end}))
      assert.equal(2, result.best_round)
      assert.matches("^round 1: the loss of validation is %-?nan$", warnings[1])
   end)

   -- What an earlier version, to which rounds were epochs, would have left.
   local function make_old(folder)
      for name in require("lfs").dir(folder .. "/checkpoints") do
         if name:find("safetensors") then
            local path = folder .. "/checkpoints/" .. name
            local tensors, metadata = assert(safetensors.load(path))
            metadata.epoch, metadata.round = metadata.round, nil
            metadata.training = metadata.training:gsub('"round', '"epoch')
            assert(safetensors.save(path:gsub("round", "epoch"), tensors, metadata))
            if path:find("round") then assert(os.remove(path)) end
         end
      end
      local path = folder .. "/metrics.jsonl"
      command.write(path, (command.read(path):gsub('"round"', '"epoch"')))
   end

   it("goes on with what an earlier version left, and takes the names that options had", function()
      local losses, whole = {5, 1, 2, 3}, small_network()
      assert(fit(whole, new_loader(), {max_rounds = 4, validate = judge(losses)}))
      local folder, options, names = run .. "/old", require "bclua.options", {}
      assert(fit(small_network(), new_loader(), {run = folder, validate = judge(losses)}))
      make_old(folder)
      local say = options.say_renamed
      finally(function() options.say_renamed = say end)
      function options.say_renamed(old, new) names[old] = new end
      local net, rounds = small_network(), {}
      local result = assert(fit(net, new_loader(), {run = folder, resume = folder .. "/checkpoints/last.safetensors",
         max_epochs = 4, keep = 1, keep_best = 1, validate = judge{2, 3}, max_rounds = false,
         on_epoch = function(info) rounds[#rounds + 1] = info.round end}))
      assert.same({max_epochs = "max_rounds", on_epoch = "on_round"}, names)
      assert.same({3, 4}, rounds)
      assert.equal(2, result.best_round)
      for i, past in ipairs(result.history) do assert.same({i, losses[i]}, {past.round, past.validation}) end
      for name, a in pairs(whole:state()) do assert(array.equal(a, net:state()[name]), name) end
      local kept = {}
      for name in require("lfs").dir(folder .. "/checkpoints") do kept[#kept + 1] = name end
      table.sort(kept)
      assert.same({".", "..", "best.safetensors", "epoch-2.safetensors", "last.safetensors", "round-4.safetensors"},
         kept)
      assert.equal(command.read(folder .. "/checkpoints/epoch-2.safetensors"),
         command.read(folder .. "/checkpoints/best.safetensors"))
      assert.equal(4 * 4, select(2, command.read(folder .. "/metrics.jsonl"):gsub("\n", "\n")))
   end)

   it("keeps the best rounds and stops when none is better", function()
      local result = assert(fit(small_network(), new_loader(), {max_rounds = 9, patience = 3, keep = 1, keep_best = 2,
         validate = judge{5, 2, 4, 3, 6, 1}}))
      assert.equal(5, result.round)
      assert.equal("no better validation in 3 rounds", result.stopped)
      local folder = run .. "/checkpoints"
      local names = {}
      for name in require("lfs").dir(folder) do names[#names + 1] = name end
      table.sort(names)
      assert.same({".", "..", "best.safetensors", "last.safetensors", "round-2.safetensors", "round-4.safetensors",
         "round-5.safetensors"}, names)
      assert.equal(command.read(folder .. "/round-2.safetensors"), command.read(folder .. "/best.safetensors"))
      local lines = metrics()
      assert.same({loss = 6, ordered = 0.5}, lines[#lines].validation)
   end)

   it("skips batches that are not finite, and says how many", function()
      local net, warnings = small_network(), {}
      local result = assert(fit(net, new_loader(5), {on_nonfinite = "skip",
         on_warning = function(text) warnings[#warnings + 1] = text end}))
      assert.equal(5, result.step)
      assert.equal(1, result.skipped)
      assert.matches("^skipped round 2: step 5: .*distant, sample 2", warnings[1])
      for name, a in pairs(net:state()) do assert(a:is_finite(), name) end
      net:state()["conv1.weight"]:fill(0 / 0)
      local _, message = fit(net, new_loader(), {on_nonfinite = "skip", batches_per_round = 40})
      assert.matches("20 batches in a row: it is not the batches$", message)
   end)

   it("says what the reporter found, and keeps the state before the batch", function()
      local asked
      local _, message = fit(small_network(), new_loader(5), {report_nonfinite = function(batch, options, skipped)
         asked = {#batch.anchor, options.margin, skipped}
         return "heard at 3 s"
      end})
      assert.matches("step 5: .*\nheard at 3 s$", message)
      assert.same({4, 1, 0}, asked)
      local _, metadata = safetensors.load(run .. "/checkpoints/last.safetensors")
      assert.equal("4", metadata.step)
      assert.equal("4", metadata.loader)
   end)

   it("goes back to the last step when a batch that waits for it is not finite", function()
      local o = {accumulate = 3, batches_per_round = 6, lr = 0.02}
      local whole = small_network()
      assert(fit(whole, new_loader(), o))
      local _, message = fit(small_network(), new_loader(8), o)
      assert.matches("step 3: ", message)
      o.resume = run .. "/checkpoints/last.safetensors"
      local _, metadata = safetensors.load(o.resume)
      assert.equal("6", metadata.loader)
      command.shell("rm " .. run .. "/checkpoints/round-*")
      local net = small_network()
      _, message = fit(net, new_loader(11), {accumulate = 3, batches_per_round = 6, lr = 0.02, resume = o.resume,
         report_nonfinite = function(batch, options) -- as a diagnosis does
            net:measure(new_loader():next(), {margin = options.margin})
            return #batch.anchor .. " triplets"
         end})
      assert.matches("step 4: ", message)
      local again = small_network()
      assert(fit(again, new_loader(), o))
      for name, a in pairs(whole:state()) do assert(array.equal(a, again:state()[name]), name) end
   end)

   it("warns when everything gets the same embedding", function()
      local warnings = {}
      local net = small_network()
      net:state()["head.weight"]:fill(0)
      assert(fit(net, new_loader(), {lr = 1e-9, batches_per_round = 60, max_rounds = 1, margin = 50,
         on_warning = function(text) warnings[#warnings + 1] = text end}))
      assert.equal(1, #warnings)
      assert.matches("^step 50: ", warnings[1])
   end)
end)

describe("a run in a process of its own", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   local function train(name, options, env)
      return command.bclua({"spec/support/training.lua", dir .. "/" .. name, options}, {env = env})
   end

   local function same_weights(a, b)
      local path = "/checkpoints/last.safetensors"
      local first, one = safetensors.load(dir .. "/" .. a .. path)
      local second, two = safetensors.load(dir .. "/" .. b .. path)
      for name, value in pairs(first) do assert(array.equal(value, second[name]), name) end
      for _, key in ipairs{"step", "round", "loader", "training"} do assert.equal(one[key], two[key], key) end
      local function lines(run)
         local list = {}
         for line in command.read(dir .. "/" .. run .. "/metrics.jsonl"):gmatch("[^\n]+") do
            local l = cjson.decode(line)
            list[#list + 1] = ("%s %d.%s %d %.14g %.14g"):format(l.kind, l.round, l.batch, l.step, l.loss, l.lr)
         end
         return list
      end
      assert.same(lines(a), lines(b))
   end

   local function broken_off(options, threads)
      local out = train("whole", "{" .. options .. "}")
      assert.matches("^%d+\n$", out)
      local _, status = train("broken", "{" .. options .. ", kill = 8}")
      assert.equal(137, status)
      local _, metadata = safetensors.load(dir .. "/broken/checkpoints/last.safetensors")
      assert.equal("7", metadata.step)
      train("broken", ("{%s, resume = '%s/broken/checkpoints/last.safetensors'}"):format(options, dir),
         "BCLUA_THREADS=" .. threads)
      same_weights("whole", "broken")
   end

   it("reaches the same bits after SIGKILL in the middle of a round, on any number of threads", function()
      local options = "margin = 1, batches_per_round = 5, max_rounds = 3, checkpoint_batches = 2, lr = 0.02, "
         .. "schedule = 'cosine', warmup = 3, clip_norm = 0.5, validate = true"
      broken_off(options, 1)
      command.remove(dir .. "/whole")
      command.remove(dir .. "/broken")
      broken_off(options, 4)
   end)

   it("does so in the middle of batches that wait for their step", function()
      broken_off("margin = 1, batches_per_round = 9, max_rounds = 4, checkpoint_batches = 1, lr = 0.02, "
         .. "accumulate = 3, schedule = 'one_cycle'", 2)
   end)

   it("does so in f16, whose scale of the loss moves", function()
      broken_off("margin = 1, batches_per_round = 70, max_rounds = 3, checkpoint_batches = 7, lr = 0.02, "
         .. "precision = 'f16'", 2)
   end)

   it("keeps its state on Ctrl-C and SIGTERM, and goes on from it", function()
      local options = "margin = 1, batches_per_round = 10, max_rounds = 2, slow = true"
      train("whole", "{" .. options .. "}")
      for signal, expected in pairs{INT = 130, TERM = 143} do
         command.remove(dir .. "/broken")
         local out, status = command.shell(("%s spec/support/training.lua %s/broken '{%s}' & pid=$!; " ..
            "while [ ! -e %s/broken/started ]; do sleep 0.01; done; kill -%s $pid; wait $pid"):format(
            command.quote(command.program), dir, options, dir, signal))
         assert.equal(expected, status)
         assert.matches("interrupted!", out)
         local _, metadata = safetensors.load(dir .. "/broken/checkpoints/last.safetensors")
         local step = tonumber(metadata.step)
         assert(step >= 2 and step < 20, metadata.step)
         train("broken", ("{%s, resume = '%s/broken/checkpoints/last.safetensors'}"):format(options, dir))
         same_weights("whole", "broken")
      end
   end)
end)
