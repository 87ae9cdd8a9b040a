--- Step 5: train the network on triplets of tiles.
-- @module bclua.workflow.fit
local files = require "bclua.files"
local hearing = require "bclua.data.hearing"
local lock = require "bclua.lock"
local options_of = require "bclua.options"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local schedule = require "bclua.train.schedule"
local system = require "bclua.system"
local training_options = require "bclua.train.options"

local fit = {}

-- What is wrong with a text that describes an augmentation.
local function wrong_augmentation(text)
   if text == "" then return nil end
   local effects, message = require("bclua.data.loader").augmentation(text)
   return not effects and message or nil
end

--- Every setting of a training, as `bclua.options` has them; 0 turns off what can be off.
fit.settings = {
   batch_size = {"integer", default = 64, least = 1, most = 1 << 20},
   batches_per_epoch = {"integer", default = 100, least = 1},
   round_minutes = {"number", default = 0, least = 0},
   max_epochs = {"integer", default = 10, least = 1},
   limit = {"integer", default = 0, least = 0, most = (1 << 32) - 1},
   lr = {"number", default = 1e-3, least = 0},
   schedule = {"choice", schedule.names, default = "constant"},
   warmup = {"integer", default = 0, least = 0},
   lr_step = {"integer", default = 0, least = 0},
   lr_gamma = {"number", default = 0.1, least = 0, most = 1},
   lr_final = {"number", default = 0, least = 0},
   beta1 = {"number", default = 0.5, least = 0, below = 1},
   beta2 = {"number", default = 0.999, least = 0, below = 1},
   eps = {"number", default = 1e-8, above = 0},
   weight_decay = {"number", default = 0.01, least = 0},
   clip_norm = {"number", default = 0, least = 0},
   accumulate = {"integer", default = 1, least = 1},
   loss = {"choice", training_options.losses, default = "nt_xent"},
   margin = {"number", default = 0, least = 0},
   l2 = {"number", default = 0.01, least = 0},
   temperature = {"number", default = 0.1, least = 1e-6},
   roles = {"choice", {"separate", "joint"}, default = "separate"},
   precision = {"choice", {"f32", "bf16", "f16", "f64"}, default = "f32"},
   recompute = {"choice", {"auto", "cheap", "none", "stage", "role"}, default = "auto"},
   seed = {"integer", default = 1, least = 0},
   patience = {"integer", default = 0, least = 0},
   keep = {"integer", default = 3, least = 1},
   keep_best = {"integer", default = 3, least = 0},
   checkpoint_minutes = {"number", default = 10, least = 0},
   on_nonfinite = {"choice", {"stop", "skip"}, default = "stop"},
   validation_triplets = {"integer", default = 256, least = 0},
   augment = {"string", default = "", check = wrong_augmentation},
   workers = {"integer", default = 0, least = 0, most = 256},
   ahead = {"integer", default = 2, least = 1, most = 1024},
   cache_mb = {"number", default = 256, least = 0, most = 1 << 30},
}

--- Their defaults.
fit.defaults = options_of.defaults(fit.settings)

--- What `run` takes.
fit.options = options_of.extend(fit.settings, {triplets = {"string", needed = true}, tiles = "string",
   run = {"string", needed = true}, network = {"table", default = {}}, motif = "string", dataset_root = "string",
   loc_unit = {"choice", {"seconds", "frames"}}, checkpoint = "string", force = "boolean", follow_data = "boolean",
   free_memory = {"integer", least = 0}, quiet = "boolean"})

-- These change nothing in the weights that a number of steps gives.
local FREE = {"max_epochs", "patience", "keep", "keep_best", "checkpoint_minutes", "on_nonfinite",
   "validation_triplets", "recompute", "workers", "ahead", "cache_mb"}
-- These were always recorded; the others where they are not the default, so that a
-- run of before they came goes on.
local ALWAYS = {"batch_size", "batches_per_epoch", "lr", "lr_step", "lr_gamma", "l2", "seed"}
local MUCH_WAITING = 0.2 -- of the time, for batches
local MOST_REPORTS = 3 -- of skipped batches: each holds the batch and the weights

--- The margin of a loss: 0 stands for the loss's own.
-- @tparam table p `loss`, `margin`
function fit.margin(p) return p.margin ~= 0 and p.margin or training_options.margins[p.loss] end

-- What was made with other parameters is in the way of a new training: it is kept
-- under other names, for it may have taken hours.
local function set_aside(run)
   local n = 1
   while files.exists(("%s/checkpoints.%d"):format(run, n)) or files.exists(("%s/metrics.%d.jsonl"):format(run, n)) do
      n = n + 1
   end
   local aside = ("%s/checkpoints.%d"):format(run, n)
   os.rename(run .. "/metrics.jsonl", ("%s/metrics.%d.jsonl"):format(run, n))
   os.rename(run .. "/tensorboard", ("%s/tensorboard.%d"):format(run, n))
   local ok, message = os.rename(run .. "/checkpoints", aside) -- last: while they are there, all is set aside again
   if not ok then return nil, message end
   return aside
end

-- Is it only that the triplets were drawn from another number of recordings?
local function only_more_recordings(made, wanted)
   local a, b = type(made.triplets) == "table" and made.triplets.recordings, wanted.triplets.recordings
   if not a or a == b then return false end
   made.triplets.recordings = b
   local same = provenance.difference(made, wanted) == nil
   made.triplets.recordings = a
   return same
end

-- The folder of the checkpoints, cleared of those of another training.
local function open_checkpoints(options, wanted)
   local folder = options.run .. "/checkpoints"
   local made, damaged = provenance.of_folder(folder)
   local difference = damaged or made and provenance.difference(made, wanted)
   if difference and (options.force or made and options.follow_data and only_more_recordings(made, wanted)) then
      local aside, message = set_aside(options.run)
      if not aside then return nil, message end
      progress.note(("fit: begins anew (%s); the training before is kept in %s"):format(difference, aside),
         options.quiet)
   end
   local ok, message = provenance.open_folder(folder, wanted, options.force)
   if not ok then return nil, message end
   return folder
end

local function parameters(p, network, triplets)
   local made = provenance.of_parquet(triplets) or {}
   made.version = nil
   for _, name in ipairs{"holdout_recordings", "holdout_groups", "groups", "families"} do made[name] = nil end
   local wanted = {network = network, triplets = made, margin = p.margin}
   for key, default in pairs(fit.defaults) do
      if p[key] ~= default then wanted[key] = p[key] end
   end
   for _, key in ipairs(ALWAYS) do wanted[key] = p[key] end
   for _, key in ipairs(FREE) do wanted[key] = nil end
   if schedule.needs_total(p.schedule) then wanted.max_epochs = p.max_epochs end
   return wanted
end

-- A bar that begins with the first batch of this run: by then it is known how
-- many were done before. Rounds by the clock are counted in seconds.
local function reporter(p, quiet)
   local bar, n = nil, 0
   local function on_batch(info)
      local timed = p.round_minutes > 0
      local round = timed and 60 * p.round_minutes or p.batches_per_epoch
      local now = timed and info.round_seconds or info.batch
      local before = (info.epoch - 1) * round + now - (timed and info.seconds or 1)
      bar = bar or progress.new("fit", p.max_epochs * round, {unit = timed and "s" or "batches", done = before,
         quiet = quiet})
      n = timed and n + info.seconds or n + 1
      bar:update(timed and math.floor(n) or n, ("round %d  loss %.3f  n %.2f  d %.2f  active %.0f %%  spread %.3g  "
         .. "%.3g triplets/s  waiting %.0f %%%s"):format(info.epoch, info.loss, info.loss_n, info.loss_d,
         100 * info.active, info.spread, info.triplets_per_second, 100 * info.wait_share,
         info.skipped > 0 and ("  %d skipped"):format(info.skipped) or ""))
   end
   local function say(text) progress.note("fit: " .. text, quiet) end
   local function on_checkpoint(path)
      if bar then bar.kept = path end
   end
   return on_batch, on_checkpoint, say, function() if bar then bar:finish() end end
end

local function settings(options)
   local p = {}
   for k in pairs(fit.settings) do p[k] = options[k] end
   p.margin = fit.margin(p)
   return p
end

local function gigabytes(bytes)
   return bytes < 1e9 and ("%.0f MB"):format(bytes / 1e6) or ("%.2f GB"):format(bytes / 1e9)
end

-- Bytes that training on batches of a size takes beside what the process has: the
-- network's, the batches that the loader makes ahead, and the sound that it keeps.
local function need(net, p, size, recompute)
   local m = net:memory({batch_size = size, roles = p.roles, recompute = recompute})
   return m.total - m.process + p.ahead * m.batch + (p.tiles and 0 or p.cache_mb * 1e6)
end

-- The largest batch up to the wanted one that fits; 0: not even one.
local function largest(net, p, free, recompute)
   local low, high = 0, p.batch_size
   while low < high do
      local middle = (low + high + 1) // 2
      local ok, bytes = pcall(need, net, p, middle, recompute) -- batch norm refuses a batch of one value
      if not ok or bytes <= free then low = middle else high = middle - 1 end
   end
   return low
end

--- Does training on such batches fit into memory? Said before anything is allocated.
-- @tparam network net
-- @tparam table p `batch_size`, `roles`, `recompute`, `ahead`, `cache_mb`, `tiles` (are there any?)
-- @tparam[opt] integer free bytes; default: what the system says
-- @treturn[1] integer bytes that it takes
-- @treturn[2] nil
-- @treturn[2] string message that proposes a batch size
function fit.check_memory(net, p, free)
   local bytes = need(net, p, p.batch_size)
   free = free or system.memory_free()
   if not free or bytes <= free then return bytes end
   local advice = {}
   for _, kind in ipairs{p.recompute, p.recompute ~= "stage" and "stage" or nil} do
      local fits = largest(net, p, free, kind)
      if fits > 0 then
         advice[#advice + 1] = ("--batch-size %d fits%s%s"):format(fits,
            kind ~= p.recompute and " with --recompute " .. kind or "",
            fits < p.batch_size and (" (--accumulate %d for as many triplets a step)"):format(
               (p.batch_size - 1) // fits + 1) or "")
      end
   end
   if #advice == 0 then advice[1] = "not even a batch of 1 fits: choose narrower --widths" end
   return nil, ("training on batches of %d triplets takes %s of memory, %s are free: %s"):format(p.batch_size,
      gigabytes(bytes), gigabytes(free), table.concat(advice, "; "))
end

local function load_triplets(p, options, net)
   local o = {triplets = options.triplets, sample_rate = math.tointeger(net.options.sample_rate), tiles = options.tiles,
      batch_size = p.batch_size, seed = p.seed,
      loc_unit = options.loc_unit, prefetch = p.ahead, cache_mb = p.cache_mb,
      augment = p.augment ~= "" and p.augment or nil,
      limit = p.limit > 0 and p.limit or nil, workers = p.workers > 0 and p.workers or nil}
   if not o.tiles then
      if not options.dataset_root then return nil, "without tiles, --dataset-root must say where the recordings are" end
      o.dataset_root = options.dataset_root
   end
   return require("bclua.data.loader").new(o)
end

-- The options of the network: it hears what the triplets were made of, unless it is told otherwise.
local function network_of(options)
   local heard, message = hearing.of_parquet(options.triplets)
   if not heard then return nil, message end
   local network = hearing.changed(heard)
   network.channel = nil
   for k, v in pairs(options.network) do network[k] = v end
   -- as of trainings before there was another
   if network.pooling == "mean" then network.pooling = nil end
   if network.projection == 0 then network.projection = nil end
   return network, heard.channel
end

-- The network, within memory.
local function build(p, options, of_network)
   local network = {seed = p.seed, precision = p.precision, recompute = p.recompute}
   for k, v in pairs(of_network) do network[k] = v end
   local net = require("bclua.tilenet").new(network)
   p.tiles = options.tiles ~= nil
   local bytes, message = fit.check_memory(net, p, options.free_memory)
   if not bytes then
      net:close()
      return nil, message
   end
   return net, bytes
end

-- Validation triplets, if it is said of which recordings; false: none.
local function validation(p, options, net, say)
   if p.validation_triplets == 0 or not options.motif then
      if p.patience > 0 then return nil, "--patience needs validation: --motif and --dataset-root" end
      return false
   end
   local v, message, no_triplets = require("bclua.workflow.fit.validation").new({triplets = options.triplets,
      motif = options.motif, dataset_root = options.dataset_root or ".", folder = options.run .. "/validation",
      count = p.validation_triplets, seed = p.seed, sample_rate = math.tointeger(net.options.sample_rate),
      quiet = options.quiet})
   if not v and no_triplets and p.patience == 0 then
      say("no validation: " .. message)
      return false
   end
   if not v then return nil, message end
   say(("validation on %d triplets of %d recordings that training does not see%s"):format(v.triplets, v.recordings,
      #v.failures > 0 and (", %d more failed"):format(#v.failures) or ""))
   return v
end

local function round_text(info)
   local text = ("round %d: loss %.4g"):format(info.epoch, info.loss or 0 / 0)
   local v = info.validation
   if v then
      text = text .. (", validation %.4g, %.1f %% correctly ordered%s"):format(v.loss, 100 * v.ordered,
         info.best_epoch == info.epoch and " (best so far)" or "")
   end
   return text
end

-- The trainer's options. Nothing is said and cut where there is nothing left to do.
local function trainer_options(p, options, net, say, about)
   local o = {run = options.run, betas = {p.beta1, p.beta2}, lr_step = p.lr_step > 0 and p.lr_step or nil}
   for _, key in ipairs{"batches_per_epoch", "round_minutes", "max_epochs", "lr", "schedule", "warmup", "lr_gamma",
      "lr_final", "eps", "weight_decay", "clip_norm", "accumulate", "loss", "margin", "l2", "temperature", "roles",
      "patience", "keep", "keep_best", "checkpoint_minutes", "on_nonfinite"} do
      o[key] = p[key]
   end
   local judge
   function o.on_start()
      for _, text in ipairs(about) do say(text) end
      local message
      judge, message = validation(p, options, net, say)
      return judge ~= nil, message
   end
   function o.validate(trained)
      return judge and judge:measure(trained, {loss = p.loss, margin = p.margin, l2 = p.l2,
         temperature = p.temperature, batch_size = p.batch_size})
   end
   function o.on_warning(text) say("warning: " .. text) end
   function o.on_epoch(info)
      say(round_text(info))
      if (info.wait_share or 0) > MUCH_WAITING then
         say(("%.0f %% of the time went into waiting for batches: more --workers, or tiles in place of recordings")
            :format(100 * info.wait_share))
      end
   end
   function o.report_nonfinite(batch, step_options, skipped)
      if skipped >= MOST_REPORTS then return nil end
      return require("bclua.workflow.fit.nonfinite").report({run = options.run, net = net, batch = batch,
         options = step_options})
   end
   return o
end

--- Train, or go on training.
-- @tparam table options `triplets` (Parquet), `tiles` (folder; without, windows are cut from the recordings),
-- `run` (folder for checkpoints and metrics), `network` (options of `bclua.tilenet`; `sample_rate`, `fmin` and `fmax`
-- are those of the triplets unless they say otherwise); any of `fit.defaults`, which
-- are those of `bclua.train.trainer`, and: `batch_size`, `limit` (triplets of the shuffled table that are used; 0:
-- all), `precision`, `recompute` (as of `bclua.nn`: what is computed again instead of kept), `margin`
-- (0: the loss's own), `validation_triplets`, `augment`, `workers` (0: the loader's own), `ahead`, `cache_mb` (as of
-- `bclua.data.loader`);
-- `motif` (Parquet from `consolidate`) and `dataset_root`: for validation on the recordings that
-- the triplets leave out; `loc_unit` (of foreign tables: see `bclua.data.legacy`);
-- `checkpoint` (go on from this file), `force` (begin anew where the parameters
-- differ; what was there is set aside), `follow_data` (the same when only the number of recordings
-- differs), `quiet`
-- @treturn[1] table `checkpoint` (path of the last one), `best` (path, with validation), `parameters`,
-- `batch_size`, `epochs`, `loss` and `validation` (of the last round), `stopped`, `failures` (recordings
-- that could not be read)
-- @treturn[2] nil
-- @treturn[2] string message
function fit.run(options)
   options = options_of.check(options, fit.options)
   local p = settings(options)
   local network, channel = network_of(options)
   if not network then return nil, channel end
   local net, bytes = build(p, options, network)
   if not net then return nil, bytes end
   local l <close>, message = load_triplets(p, options, net)
   if not l then return nil, message end
   local wanted = parameters(p, network, options.triplets)
   local locked <close>, busy = lock.folder(options.run)
   if not locked then return nil, busy end
   local folder
   folder, message = open_checkpoints(options, wanted)
   if not folder then return nil, message end

   local on_batch, on_checkpoint, say, finish = reporter(p, options.quiet)
   local last = folder .. "/last.safetensors"
   local from = options.checkpoint or (files.exists(last) and last) or nil
   local parameter_count = net:summary().parameters
   local about = {("%d triplets, %d parameters, training takes %s of memory"):format(l.triplets, parameter_count,
      gigabytes(bytes))}
   if l.dropped > 0 then
      table.insert(about, 1, ("%d of %d triplets have no tiles and are left out"):format(l.dropped,
         l.dropped + l.triplets))
   end
   local about_triplets = provenance.of_parquet(options.triplets) or {}
   local o = trainer_options(p, options, net, say, about)
   o.resume, o.on_batch, o.on_checkpoint = from, on_batch, on_checkpoint
   o.metadata = {holdout_recordings = files.json(about_triplets.holdout_recordings or {}),
      training_recordings = files.json(table.move(l.sources, 1, #l.sources, 1, {})),
      holdout_groups = files.json(about_triplets.holdout_groups or {}), group = about_triplets.group,
      groups = files.json(about_triplets.families or about_triplets.groups or {}), version = system.version(),
      fit = files.json(wanted), channel = channel and tostring(channel)}
   local result
   result, message = require("bclua.train.trainer").fit(net, l, o)
   net:close()
   if not result then return nil, message end
   finish()
   for _, failure in ipairs(l.failures) do say(("%s: left out: %s"):format(failure.path, failure.reason)) end
   if result.stopped then say("ended early: " .. result.stopped) end
   return {checkpoint = result.checkpoint or from, best = result.best, parameters = parameter_count,
      batch_size = p.batch_size, epochs = result.epoch, loss = result.loss, validation = result.validation,
      stopped = result.stopped, history = result.history, failures = l.failures}
end

return fit
