--- Step 5: train the network on triplets of tiles.
-- @module bclua.workflow.fit
local files = require "bclua.files"
local progress = require "bclua.progress"
local record = require "bclua.workflow.record"
local system = require "bclua.system"

local fit = {}

fit.defaults = {batch_size = 64, batches_per_epoch = 100, max_epochs = 10, lr = 1e-3, lr_step = 0, lr_gamma = 0.1,
   margin = 50, l2 = 0.01, seed = 1}

-- What was made with other parameters is in the way of a new training: it is kept
-- under other names, for it may have taken hours.
local function set_aside(run)
   local n = 1
   while files.exists(("%s/checkpoints.%d"):format(run, n)) or files.exists(("%s/metrics.%d.jsonl"):format(run, n)) do
      n = n + 1
   end
   local aside = ("%s/checkpoints.%d"):format(run, n)
   local ok, message = os.rename(run .. "/checkpoints", aside)
   if not ok then return nil, message end
   os.rename(run .. "/metrics.jsonl", ("%s/metrics.%d.jsonl"):format(run, n))
   return aside
end

-- Is it only that the triplets were drawn from another number of recordings?
local function only_more_recordings(made, wanted)
   local a, b = made.triplets and made.triplets.recordings, wanted.triplets.recordings
   if not a or a == b then return false end
   made.triplets.recordings = b
   local same = record.difference(made, wanted) == nil
   made.triplets.recordings = a
   return same
end

-- The folder of the checkpoints, cleared of those of another training.
local function open_checkpoints(options, wanted)
   local folder = options.run .. "/checkpoints"
   local made = files.read_json(folder .. "/parameters.json")
   if made and record.difference(made, wanted) and
      (options.force or (options.follow_data and only_more_recordings(made, wanted))) then
      local aside, message = set_aside(options.run)
      if not aside then return nil, message end
      progress.note(("fit: begins anew (%s); the training before is kept in %s"):format(
         record.difference(made, wanted), aside), options.quiet)
   end
   local ok, message = record.open_folder(folder, wanted, options.force)
   if not ok then return nil, message end
   return folder
end

local function parameters(p, network, triplets)
   local made = record.of_parquet(triplets) or {}
   made.version, made.holdout_recordings, made.groups = nil, nil, nil
   return {network = network, batch_size = p.batch_size, batches_per_epoch = p.batches_per_epoch, lr = p.lr,
      lr_step = p.lr_step, lr_gamma = p.lr_gamma, margin = p.margin, l2 = p.l2, seed = p.seed, triplets = made}
end

-- A bar that begins with the first batch of this run: by then it is known how
-- many rounds were done before.
local function reporter(p, quiet)
   local bar, n = nil, 0
   local function on_batch(info)
      local before = (info.epoch - 1) * p.batches_per_epoch + info.batch - 1
      bar = bar or progress.new("fit", p.max_epochs * p.batches_per_epoch, {unit = "batches", done = before,
         quiet = quiet})
      n = n + 1
      bar:update(n, ("loss %.3f  n %.2f  d %.2f  active %.0f %%  %.3g triplets/s  waiting %.0f %%"):format(info.loss,
         info.loss_n, info.loss_d, 100 * info.active, info.triplets_per_second, 100 * info.wait_share))
   end
   return on_batch, function() if bar then bar:finish() end end
end

--- Train, or go on training.
-- @tparam table options `triplets` (Parquet), `tiles` (folder), `run` (folder for checkpoints
-- and metrics), `network` (options of `bclua.tilenet`), `batch_size` (64), `batches_per_epoch`
-- (100), `max_epochs` (10), `lr` (1e-3), `lr_step` (0: constant; else epochs after which the rate
-- is multiplied by `lr_gamma`, 0.1), `margin` (50), `l2` (0.01), `seed` (1), `checkpoint` (go on from
-- this file), `force` (begin anew where the parameters differ; what was there is set aside),
-- `follow_data` (the same when only the number of recordings differs), `quiet`
-- @treturn[1] table `checkpoint` (path of the last one), `parameters`, `batch_size`, `epochs`,
-- `loss` (mean of the last epoch)
-- @treturn[2] nil
-- @treturn[2] string message
function fit.run(options)
   local tilenet, trainer = require "bclua.tilenet", require "bclua.trainer"
   local p = {}
   for k, v in pairs(fit.defaults) do p[k] = options[k] == nil and v or options[k] end
   local l, message = require("bclua.loader").new({triplets = options.triplets, tiles = options.tiles,
      batch_size = p.batch_size, seed = p.seed})
   if not l then return nil, message end
   local wanted = parameters(p, options.network or {}, options.triplets)
   local folder
   folder, message = open_checkpoints(options, wanted)
   if not folder then return nil, message end

   local last = folder .. "/last.safetensors"
   local from = options.checkpoint or (files.exists(last) and last) or nil
   local network = {seed = p.seed}
   for k, v in pairs(options.network or {}) do network[k] = v end
   local net = tilenet.new(network)
   local about = net:summary()
   if l.dropped > 0 then
      progress.note(("fit: %d of %d triplets have no tiles and are left out"):format(l.dropped,
         l.dropped + l.triplets), options.quiet)
   end
   local about_triplets = record.of_parquet(options.triplets) or {}
   local on_batch, finish = reporter(p, options.quiet)
   local result
   result, message = trainer.fit(net, l, {run = options.run, resume = from, max_epochs = p.max_epochs,
      batches_per_epoch = p.batches_per_epoch, lr = p.lr, lr_step = p.lr_step > 0 and p.lr_step or nil,
      lr_gamma = p.lr_gamma, margin = p.margin, l2 = p.l2, on_batch = on_batch,
      metadata = {holdout_recordings = files.json(about_triplets.holdout_recordings or {}),
         groups = files.json(about_triplets.groups or {}), version = system.version(), fit = files.json(wanted)}})
   net:close()
   if not result then return nil, message end
   finish()
   return {checkpoint = result.checkpoint or from, parameters = about.parameters, batch_size = p.batch_size,
      epochs = result.epoch, loss = result.loss}
end

return fit
