local array = require "bclua.array"
local cjson = require "cjson"
local command = require "support.command"
local nn = require "bclua.nn"
local trainer = require "bclua.trainer"

local function small_network()
   return nn.network({
      {"conv2d", name = "conv1", out = 6, kernel = 3, padding = 1}, {"batch_norm", name = "bn1"}, {"relu"},
      {"average_pool", global = true}, {"linear", name = "head", out = 4},
   }, {input = {1, 6, 6}})
end

-- Batches that depend on their number alone, so that a loader can go on from
-- one; `spoil` is the number of a batch with a NaN in it.
local function new_loader(spoil)
   local loader = {at = 0}
   function loader:next()
      self.at = self.at + 1
      math.randomseed(self.at)
      local batch = {}
      for r, role in ipairs{"anchor", "neighbor", "distant"} do
         local a = array.zeros{4, 1, 6, 6}
         local flat = a:reshape(a:size())
         for i = 1, #flat do flat[i] = math.random() + (r == 3 and i % 2 or 0) end
         batch[role] = a
      end
      if self.at == spoil then batch.distant:set(2, 1, 3, 3, 0 / 0) end
      return batch
   end
   function loader:state() return tostring(self.at) end
   function loader:restore(text)
      self.at = tonumber(text)
      if self.at then return true end
      return nil, "not a number"
   end
   return loader
end

describe("trainer.fit", function()
   local run
   before_each(function() run = command.folder() end)
   after_each(function() command.remove(run) end)

   local function fit(net, loader, options)
      local o = {run = run, batches_per_epoch = 3, max_epochs = 2, margin = 1}
      for key, value in pairs(options or {}) do o[key] = value end
      return trainer.fit(net, loader, o)
   end

   local function metrics()
      local lines = {}
      for line in command.read(run .. "/metrics.jsonl"):gmatch("[^\n]+") do lines[#lines + 1] = cjson.decode(line) end
      return lines
   end

   it("trains for rounds of batches and notes every one", function()
      local seen = {}
      local result = assert(fit(small_network(), new_loader(), {max_epochs = 8, lr = 0.03,
         on_batch = function(i) seen[#seen + 1] = ("%d.%d/%d"):format(i.epoch, i.batch, i.batches_per_epoch) end,
         on_epoch = function(info) seen[#seen + 1] = "epoch " .. info.epoch end}))
      assert.equal(24, result.step)
      assert.equal(8, result.epoch)
      assert.same({"1.1/3", "1.2/3", "1.3/3", "epoch 1", "2.1/3"}, {table.unpack(seen, 1, 5)})
      local lines = metrics()
      assert.equal(32, #lines)
      for i, line in ipairs(lines) do
         assert.equal(i % 4 == 0 and "epoch" or "batch", line.kind)
         for _, key in ipairs{"epoch", "step", "loss", "loss_n", "loss_d", "active", "spread", "lr", "gradient_norm",
            "triplets_per_second", "wait_share"} do
            assert.is_number(line[key], key)
         end
      end
      assert.near((lines[1].loss + lines[2].loss + lines[3].loss) / 3, lines[4].loss, 1e-9)
      assert.equal(3, lines[4].step)
      assert(lines[32].loss < 0.8 * lines[4].loss, ("%g -> %g"):format(lines[4].loss, lines[32].loss))
   end)

   it("writes a checkpoint per epoch, the last under two names", function()
      local net = small_network()
      local result = assert(fit(net, new_loader()))
      local folder = run .. "/checkpoints"
      assert.equal(folder .. "/last.safetensors", result.checkpoint)
      assert.equal(command.read(folder .. "/epoch-2.safetensors"), command.read(result.checkpoint))
      assert.not_equal(command.read(folder .. "/epoch-1.safetensors"), command.read(result.checkpoint))
      local names = {}
      for name in require("lfs").dir(folder) do names[#names + 1] = name end
      table.sort(names)
      assert.same({".", "..", "epoch-1.safetensors", "epoch-2.safetensors", "last.safetensors"}, names)
      local again = small_network()
      local metadata = assert(again:load(result.checkpoint))
      assert.equal("2", metadata.epoch)
      assert.equal("6", metadata.step)
      assert(array.equal(net:state()["head.weight"], again:state()["head.weight"]))
   end)

   it("keeps the newest checkpoints only, and copies where links are unknown", function()
      local lfs = require "lfs"
      local link = lfs.link
      lfs.link = function() return nil, "Operation not permitted" end
      local ok, result = pcall(fit, small_network(), new_loader(), {max_epochs = 4, keep = 2})
      lfs.link = link
      assert.is_true(ok)
      local names = {}
      for name in lfs.dir(run .. "/checkpoints") do names[#names + 1] = name end
      table.sort(names)
      assert.same({".", "..", "epoch-3.safetensors", "epoch-4.safetensors", "last.safetensors"}, names)
      assert.equal(command.read(run .. "/checkpoints/epoch-4.safetensors"), command.read(result.checkpoint))
   end)

   it("goes on from a checkpoint to the same bits as an unbroken run, even after a kill", function()
      local whole = small_network()
      assert(fit(whole, new_loader(), {max_epochs = 4}))
      local all = metrics()
      local first = small_network()
      assert.error_matches(function()
         fit(first, new_loader(), {max_epochs = 4,
            on_batch = function(info) if info.step == 8 then error("killed") end end})
      end, "killed")
      assert.equal(8 + 2, #metrics())
      local second = small_network()
      assert(fit(second, new_loader(), {max_epochs = 4, resume = run .. "/checkpoints/last.safetensors"}))
      for name, a in pairs(whole:state()) do assert(array.equal(a, second:state()[name]), name) end
      local lines = metrics()
      assert.equal(#all, #lines)
      for i, line in ipairs(lines) do
         assert.equal(all[i].step, line.step)
         assert.equal(all[i].loss, line.loss)
      end
   end)

   it("lowers the learning rate in steps", function()
      assert(fit(small_network(), new_loader(), {max_epochs = 5, lr = 0.01, lr_step = 2, lr_gamma = 0.5}))
      local rates = {}
      for _, line in ipairs(metrics()) do rates[line.epoch] = line.lr end
      assert.same({0.01, 0.01, 0.005, 0.005, 0.0025}, rates)
   end)

   it("stops before a loss that is not finite touches the weights, and names the step", function()
      local net = small_network()
      local result, message = fit(net, new_loader(5))
      assert.is_nil(result)
      assert.matches("^epoch 2: step 5: the loss is %-?nan.*; weights left as they were$", message)
      assert.equal(4, net.step)
      local other = small_network()
      assert(fit(other, new_loader(), {batches_per_epoch = 4, max_epochs = 1}))
      for name, a in pairs(net:state()) do assert(array.equal(a, other:state()[name]), name) end
   end)

   it("hands on what the loader says", function()
      local result, message = fit(small_network(), {next = function() return nil, "x.npy: truncated" end})
      assert.is_nil(result)
      assert.equal("epoch 1: x.npy: truncated", message)
      assert.matches("no more triplets", select(2, fit(small_network(), {next = function() end})))
   end)

   it("ends when on_epoch says so", function()
      local result = assert(fit(small_network(), new_loader(), {max_epochs = 9,
         on_epoch = function(info) return info.epoch < 2 end}))
      assert.equal(2, result.epoch)
   end)

   it("says why it cannot go on from a file", function()
      local net = small_network()
      local path = run .. "/w.safetensors"
      assert.equal(path .. ": No such file or directory", select(2, fit(net, new_loader(), {resume = path})))
      assert(net:save(path))
      assert.matches("optimizer", select(2, fit(net, new_loader(), {resume = path})))
      assert(net:save(path, {optimizer = true}))
      assert.matches("no checkpoint of a training run", select(2, fit(net, new_loader(), {resume = path})))
      assert(net:save(path, {optimizer = true, metadata = {epoch = "1"}}))
      assert.matches("holds no state of the loader", select(2, fit(net, new_loader(), {resume = path})))
      assert(net:save(path, {optimizer = true, metadata = {epoch = "1", loader = "?"}}))
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
      raises("option 'lr' must be a number, got a string", {lr = "1"})
      raises("option 'max_epochs' must be an integer of at least 1", {max_epochs = 0})
      raises("option 'batches_per_epoch' must be an integer", {batches_per_epoch = 1.5})
      assert.error_matches(function() trainer.fit(small_network(), new_loader(), {}) end, "option 'run'")
   end)
end)
