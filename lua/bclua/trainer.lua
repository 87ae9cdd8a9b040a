--- The training loop: rounds of batches, metrics, checkpoints, going on where
-- a run stopped.
-- @module bclua.trainer
local cjson = require "cjson.safe"
local files = require "bclua.files"
local lfs = require "lfs"
local system = require "bclua.system"

local trainer = {}

local DEFAULT = {
   batches_per_epoch = 100, max_epochs = 10, lr = 1e-3, lr_gamma = 0.1, betas = {0.5, 0.999}, eps = 1e-8,
   weight_decay = 0.01, margin = 50, l2 = 0.01, keep = 3,
}
local OPTIONAL = {run = "string", lr_step = "number", resume = "string", metadata = "table", on_batch = "function",
                  on_epoch = "function"}
local TOTALS = {"triplets", "seconds", "wait"}
local MEANS = {"loss", "loss_n", "loss_d", "active", "spread", "gradient_norm"}

local function check_options(options)
   local o = {}
   for key, value in pairs(options) do
      local wanted = OPTIONAL[key] or DEFAULT[key] ~= nil and type(DEFAULT[key])
      if not wanted then error(("unknown option '%s'"):format(tostring(key)), 3) end
      if type(value) ~= wanted then
         error(("option '%s' must be a %s, got a %s"):format(key, wanted, type(value)), 3)
      end
      o[key] = value
   end
   for key, value in pairs(DEFAULT) do
      if o[key] == nil then o[key] = value end
   end
   for _, key in ipairs{"batches_per_epoch", "max_epochs", "lr_step", "keep"} do
      if o[key] and not (math.tointeger(o[key]) and o[key] >= 1) then
         error(("option '%s' must be an integer of at least 1, got %s"):format(key, o[key]), 3)
      end
   end
   if not o.run then error("option 'run', the folder to write to, is missing", 3) end
   return o
end

--- The learning rate of an epoch: `lr`, times `lr_gamma` every `lr_step` epochs.
function trainer.learning_rate(o, epoch)
   return o.lr_step and o.lr * o.lr_gamma ^ ((epoch - 1) // o.lr_step) or o.lr
end

-- Metrics of steps behind the checkpoint that we go on from were written by a
-- run that was cut off; they will be made again.
local function drop_later_metrics(path, step)
   if not files.exists(path) then return true end
   local text, message = files.read(path)
   if not text then return nil, message end
   local kept = {}
   for line in text:gmatch("[^\n]+") do
      local entry = cjson.decode(line)
      if type(entry) == "table" and (tonumber(entry.step) or 0) <= step then kept[#kept + 1] = line .. "\n" end
   end
   return system.write_file(path, table.concat(kept))
end

local function append(f, path, entry)
   local ok, message = f:write(files.json(entry), "\n")
   if ok then ok, message = f:flush() end
   if ok then return true end
   return nil, path .. ": " .. message
end

-- last.safetensors is another name of the newest epoch's file; a copy where the
-- file system knows no links.
local function name_last(folder, path)
   local last, temporary = folder .. "/last.safetensors", folder .. "/last.tmp"
   os.remove(temporary)
   if lfs.link(path, temporary) then
      local ok, message = os.rename(temporary, last)
      if not ok then return nil, ("%s: %s"):format(last, message) end
      return last
   end
   local bytes, message = files.read(path)
   if not bytes then return nil, message end
   local ok
   ok, message = system.write_file(last, bytes)
   return ok and last, message
end

local function save(net, loader, o, epoch)
   local metadata = {}
   for key, value in pairs(o.metadata or {}) do metadata[key] = value end
   metadata.epoch = tostring(epoch)
   metadata.step = tostring(net.step)
   if loader.state then metadata.loader = loader:state() end
   local folder = o.run .. "/checkpoints"
   local path = ("%s/epoch-%d.safetensors"):format(folder, epoch)
   local ok, message = net:save(path, {optimizer = true, metadata = metadata})
   if not ok then return nil, message end
   local last
   last, message = name_last(folder, path)
   if last then os.remove(("%s/epoch-%d.safetensors"):format(folder, epoch - o.keep)) end
   return last, message
end

-- Weights, optimiser and loader as the checkpoint left them; its epoch.
local function resume(net, loader, path)
   local metadata, message = net:load(path, {optimizer = true})
   if not metadata then return nil, message end
   local epoch = math.tointeger(tonumber(metadata.epoch))
   if not epoch then return nil, path .. ": no checkpoint of a training run (its metadata have no epoch)" end
   if loader.restore then
      if not metadata.loader then return nil, path .. ": holds no state of the loader" end
      local ok, why = loader:restore(metadata.loader)
      if not ok then return nil, ("%s: loader: %s"):format(path, why) end
   end
   return epoch
end

-- One batch: what is known of it, or nil and a message.
local function train_batch(net, loader, o, lr)
   local start = system.clock()
   local batch, message = loader:next()
   if not batch then return nil, message or "the loader has no more triplets" end
   local loaded = system.clock()
   local info, why = net:train_step(batch, {lr = lr, betas = o.betas, eps = o.eps, weight_decay = o.weight_decay,
                                            margin = o.margin, l2 = o.l2})
   if not info then return nil, ("step %d: %s; weights left as they were"):format(net.step + 1, why) end
   local seconds = system.clock() - start
   info.step, info.lr, info.triplets = net.step, lr, #batch.anchor
   info.seconds, info.wait = seconds, loaded - start
   info.triplets_per_second = info.triplets / seconds
   info.wait_share = info.wait / seconds
   return info
end

local function line_of(info, kind)
   local line = {kind = kind, epoch = info.epoch, step = info.step, lr = info.lr,
                 triplets_per_second = info.triplets_per_second, wait_share = info.wait_share}
   for _, key in ipairs(MEANS) do line[key] = info[key] end
   return line
end

-- One round of batches; its means, or nil and a message.
local function train_epoch(net, loader, o, epoch, write)
   local lr = trainer.learning_rate(o, epoch)
   local sum = {}
   for b = 1, o.batches_per_epoch do
      local info, message = train_batch(net, loader, o, lr)
      if not info then return nil, ("epoch %d: %s"):format(epoch, message) end
      info.epoch, info.batch, info.batches_per_epoch, info.max_epochs = epoch, b, o.batches_per_epoch, o.max_epochs
      local ok, why = write(line_of(info, "batch"))
      if not ok then return nil, why end
      for _, key in ipairs(TOTALS) do sum[key] = (sum[key] or 0) + info[key] end
      for _, key in ipairs(MEANS) do sum[key] = (sum[key] or 0) + info[key] / o.batches_per_epoch end
      if o.on_batch then o.on_batch(info) end
   end
   sum.epoch, sum.max_epochs, sum.step, sum.lr = epoch, o.max_epochs, net.step, lr
   sum.triplets_per_second, sum.wait_share = sum.triplets / sum.seconds, sum.wait / sum.seconds
   return sum
end

local function run_epochs(net, loader, o, first, write)
   local result = {epoch = first, step = net.step, checkpoint = o.resume}
   for epoch = first + 1, o.max_epochs do
      local info, message = train_epoch(net, loader, o, epoch, write)
      if not info then return nil, message end
      local ok, why = write(line_of(info, "epoch"))
      if not ok then return nil, why end
      info.checkpoint, why = save(net, loader, o, epoch)
      if not info.checkpoint then return nil, why end
      result = info
      if o.on_epoch and o.on_epoch(info) == false then break end
   end
   return result
end

--- Train a network.
-- An epoch is a fixed number of batches. At its end a checkpoint is written to
-- `<run>/checkpoints/epoch-N.safetensors` (weights, optimiser, and the loader's
-- state if it has one), `last.safetensors` becomes another name of it, and only
-- the newest `keep` are kept.
-- `<run>/metrics.jsonl` gets a line per batch (`kind` "batch") and one per epoch
-- ("epoch", means): epoch, step, loss, loss_n, loss_d, active, spread,
-- gradient_norm, lr, triplets_per_second, wait_share. A new run starts it anew;
-- one that goes on keeps the lines up to its checkpoint.
-- @tparam network net
-- @tparam table loader `loader:next()` gives `{anchor=, neighbor=, distant=}`,
--  arrays (B, samples), or nil and a message; optional `loader:state()` -> string
--  and `loader:restore(string)` -> true, or nil and a message, to go on from there
-- @tparam table options `run`: folder to write to; `batches_per_epoch` (100),
--  `max_epochs` (10), `lr` (1e-3), `lr_step` (none) epochs after which it falls by
--  `lr_gamma` (0.1), `betas` ({0.5, 0.999}), `eps` (1e-8), `weight_decay` (0.01),
--  `margin` (50), `l2` (0.01); `keep` (3) checkpoints; `resume`: checkpoint to go on from; `metadata`: words
--  for the checkpoints; `on_batch(info)`, `on_epoch(info)`: called after each; false
--  from `on_epoch` ends the training
-- @treturn[1] table the last epoch's means, with `epoch`, `step`, `checkpoint`
-- @treturn[2] nil
-- @treturn[2] string message; of a loss or gradient that is not finite, with the
--  step, before it touches the weights
function trainer.fit(net, loader, options)
   local o = check_options(options)
   local ok, message = system.mkdir(o.run .. "/checkpoints")
   if not ok then return nil, message end
   local first = 0
   if o.resume then
      first, message = resume(net, loader, o.resume)
      if not first then return nil, message end
   end
   local path = o.run .. "/metrics.jsonl"
   ok, message = drop_later_metrics(path, o.resume and net.step or -1)
   if not ok then return nil, message end
   local f <close>, why = io.open(path, "a")
   if not f then return nil, why end
   return run_epochs(net, loader, o, first, function(entry) return append(f, path, entry) end)
end

return trainer
