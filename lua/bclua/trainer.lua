--- The training loop: rounds of a fixed number of batches, a line of metrics a
-- step, a checkpoint a round.
-- @module bclua.trainer
local cjson = require "cjson.safe"
local files = require "bclua.files"
local system = require "bclua.system"

local trainer = {}

local DEFAULT = {max_epochs = 10, batches_per_epoch = 100, lr = 1e-3, lr_step = 0, lr_gamma = 0.1, margin = 50,
   l2 = 0.01}
local OTHER = {run = true, resume = true, metadata = true, on_start = true, on_batch = true}

local function check(options)
   local o = {}
   for k, v in pairs(DEFAULT) do o[k] = v end
   for k, v in pairs(options) do
      if DEFAULT[k] == nil and not OTHER[k] then error("unknown option '" .. tostring(k) .. "'", 3) end
      o[k] = v
   end
   return o
end

--- The learning rate of a round: `lr`, multiplied by `lr_gamma` after every
-- `lr_step` rounds (0: never).
-- @tparam table o lr, lr_step, lr_gamma
-- @tparam integer epoch from 1
function trainer.learning_rate(o, epoch)
   if o.lr_step < 1 then return o.lr end
   return o.lr * o.lr_gamma ^ ((epoch - 1) // o.lr_step)
end

-- Lines of steps that the checkpoint does not know are dropped: they come again.
local function open_metrics(path, step)
   local kept = {}
   for line in (files.read(path) or ""):gmatch("[^\n]+") do
      local m = cjson.decode(line)
      if type(m) == "table" and type(m.step) == "number" and m.step <= step then kept[#kept + 1] = line .. "\n" end
   end
   local ok, message = system.write_file(path, table.concat(kept))
   if not ok then return nil, message end
   return io.open(path, "a")
end

local function resume(net, loader, path)
   local metadata, message = net:load(path, {optimizer = true})
   if not metadata then return nil, message end
   local state = cjson.decode(metadata.trainer or "")
   if type(state) ~= "table" or type(state.epoch) ~= "number" or type(state.loader) ~= "table" then
      return nil, path .. ": says nothing of a training that could go on"
   end
   for k, v in pairs(state.loader) do state.loader[k] = math.tointeger(v) or v end
   loader:restore(state.loader)
   return math.tointeger(state.epoch)
end

local function save(net, loader, o, epoch)
   local metadata = {trainer = files.json({epoch = epoch, loader = loader:state()})}
   for k, v in pairs(o.metadata or {}) do metadata[k] = v end
   return net:save(o.run .. "/checkpoints/last.safetensors", {optimizer = true, metadata = metadata})
end

-- One round; returns the mean loss, or nil and why it ended.
local function round(net, loader, o, epoch, metrics)
   local lr, sum = trainer.learning_rate(o, epoch), 0
   for i = 1, o.batches_per_epoch do
      local started = system.clock()
      local batch, message = loader:next()
      if not batch then return nil, message end
      local loaded = system.clock()
      local info
      info, message = net:train_step(batch, {lr = lr, margin = o.margin, l2 = o.l2})
      if not info then
         return nil, ("%s in step %d (round %d, batch %d); the weights are those of step %d"):format(message,
            net.step + 1, epoch, i, net.step)
      end
      local ended = system.clock()
      info.epoch, info.step, info.lr = epoch, net.step, lr
      info.triplets_per_second = #batch.anchor / (ended - started)
      info.wait = (loaded - started) / (ended - started)
      sum = sum + info.loss
      local ok
      ok, message = metrics:write(files.json(info), "\n")
      if ok then ok, message = metrics:flush() end
      if not ok then return nil, o.run .. "/metrics.jsonl: " .. tostring(message) end
      if o.on_batch then o.on_batch(info) end
   end
   return sum / o.batches_per_epoch
end

--- Train.
-- @tparam network net see `bclua.nn`
-- @tparam table loader `:next()` gives `{anchor=, neighbor=, distant=}`, arrays (B, samples), or
-- nil and a message; `:state()` and `:restore(state)` for going on
-- @tparam table options `run`: folder for `metrics.jsonl` and `checkpoints/last.safetensors`;
-- `max_epochs` (10), `batches_per_epoch` (100), `lr` (1e-3), `lr_step` (0), `lr_gamma` (0.1), `margin`
-- (50), `l2` (0.01); `resume`: a checkpoint to go on from; `metadata` (string → string) for the
-- checkpoints; `on_start(epochs done)`, `on_batch(info)`
-- @treturn[1] table `epochs` (all so far), `loss` (mean of the last round; nil if there was none to do)
-- @treturn[2] nil
-- @treturn[2] string message: a file, or a loss or gradient that is not finite; the last
-- checkpoint stays
function trainer.fit(net, loader, options)
   local o = check(options)
   local ok, message = system.mkdir(o.run .. "/checkpoints")
   if not ok then return nil, message end
   local done = 0
   if o.resume then
      done, message = resume(net, loader, o.resume)
      if not done then return nil, message end
   end
   if o.on_start then o.on_start(done) end
   local metrics
   metrics, message = open_metrics(o.run .. "/metrics.jsonl", net.step)
   if not metrics then return nil, message end
   local closing <close> = metrics -- luacheck: ignore
   local loss
   for epoch = done + 1, o.max_epochs do
      loss, message = round(net, loader, o, epoch, metrics)
      if not loss then return nil, message end
      ok, message = save(net, loader, o, epoch)
      if not ok then return nil, message end
   end
   return {epochs = math.max(done, o.max_epochs), loss = loss}
end

return trainer
