--- Step 5: train the network on triplets of tiles.
-- @module bclua.workflow.fit
local augment = require "bclua.data.augment"
local count = require("bclua.display").count
local files = require "bclua.files"
local hearing = require "bclua.data.hearing"
local json = require "bclua.json"
local legacy = require "bclua.data.legacy"
local loader = require "bclua.data.loader"
local lock = require "bclua.lock"
local options_of = require "bclua.options"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local readout = require "bclua.train.readout"
local rules = require "bclua.data.rules"
local schedule = require "bclua.train.schedule"
local system = require "bclua.system"
local tilenet = require "bclua.tilenet"
local trainer = require "bclua.train.trainer"
local training_options = require "bclua.train.options"

local fit = {}

--- A schema: every setting of a training, as `bclua.options` has them.
fit.settings = options_of.extend(loader.settings, training_options.settings, {
   precision = options_of.extend(training_options.precision, {default = "f32"}),
   recompute = options_of.extend(training_options.recompute, {default = "auto", record = "never", was = false}),
   readout = readout.rule,
   validation_triplets = {"integer", default = 256, least = 0, record = "never",
      text = "Triplets to validate on (0: no validation)."},
})

--- Their defaults.
fit.defaults = options_of.defaults(fit.settings)

local function with_default(rule, value) return options_of.extend(rule, {default = value}) end
local of = tilenet.network_options

--- A schema: the network that is trained. What travelled best to other recordings is the default, not what
-- `bclua.tilenet` makes by itself: the original's.
fit.network = options_of.extend(of, {widths = with_default(of.widths, {8, 16, 32, 64}), z = with_default(of.z, 256),
   pooling = with_default(of.pooling, "bands"), projection = with_default(of.projection, 64)})

--- What `run` takes.
fit.options = options_of.extend(fit.settings, {
   triplets = rules.triplets,
   tiles = {"string", argument = "tiles", text = "Folder from `motif extract-triplets`; without it, windows are cut " ..
      "from the recordings below --dataset-root."},
   run = {"string", default = "runs/fit", arg = "DIR", text = "Folder for checkpoints and metrics."},
   network = {"table", of = fit.network, default = {}},
   motif = {"string", arg = "FILE", text = "Parquet file from `motif consolidate`: validate every round on " ..
      "recordings that the triplets leave out."},
   dataset_root = rules.dataset_root, loc_unit = legacy.loc_unit,
   checkpoint = {"string", arg = "FILE", text = "Resume from this file (default: the run's last one)."},
   force = {"boolean", text = "Start over if other parameters were used; the training before is set aside."},
   ranks = "table", follow_data = "boolean", free_memory = {"integer", least = 0}, quiet = "boolean"})

local RANKS_SHARDS = 8 -- of a batch, where several ranks train and nobody says
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
   local made, damaged = provenance.of_folder(folder, fit.settings)
   local difference = damaged or made and provenance.difference(made, wanted)
   if difference and (options.force or made and options.follow_data and only_more_recordings(made, wanted)) then
      local aside, message = set_aside(options.run)
      if not aside then return nil, message end
      progress.note(("fit: begins anew (%s); the training before is kept in %s"):format(difference, aside),
         options.quiet)
   end
   local ok, message = provenance.open_folder(folder, wanted, options.force, fit.settings)
   if not ok then return nil, message end
   return folder
end

local function parameters(p, network, triplets)
   local made = provenance.of_parquet(triplets) or {}
   made.version = nil
   for _, name in ipairs{"holdout_recordings", "holdout_groups", "groups", "families"} do made[name] = nil end
   local wanted = options_of.recorded(options_of.subset(p, fit.settings), fit.settings)
   wanted.network, wanted.triplets = network, made
   if schedule.needs_total(p.schedule) then wanted.max_rounds = p.max_rounds end
   return wanted
end

-- A bar that begins with the first batch of this run: by then it is known how
-- many were done before. Rounds by the clock are counted in seconds.
local function reporter(p, quiet)
   local bar, n = nil, 0
   local function on_batch(info)
      local timed = p.round_minutes > 0
      local round = timed and 60 * p.round_minutes or p.batches_per_round
      local now = timed and info.round_seconds or info.batch
      local before = (info.round - 1) * round + now - (timed and info.seconds or 1)
      bar = bar or progress.new("fit", p.max_rounds * round, {unit = timed and "s" or "batches", done = before,
         quiet = quiet})
      n = timed and n + info.seconds or n + 1
      bar:update(timed and math.floor(n) or n, ("round %d  loss %.3f  n %.2f  d %.2f  active %.0f %%  spread %.3g  "
         .. "%.3g triplets/s  waiting %.0f %%%s"):format(info.round, info.loss, info.loss_n, info.loss_d,
         100 * info.active, info.spread, info.triplets_per_second, 100 * info.wait_share,
         info.skipped > 0 and ("  %d skipped"):format(info.skipped) or ""))
   end
   local function say(text) progress.note("fit: " .. text, quiet) end
   local function on_checkpoint(path)
      if bar then bar.kept = path end
   end
   return on_batch, on_checkpoint, say, function() if bar then bar:finish() end end
end

-- Ranks cannot share a batch of one shard: what the run was begun with, or a number for a new one.
local function shards_of(options, size, folder)
   if options.batch_shards > 1 then return options.batch_shards end
   local made = not options.force and provenance.of_folder(folder, fit.settings)
   return made and (made.batch_shards or 1) or size > 1 and RANKS_SHARDS or 1
end

-- Settings, with `parts`, `part`: the loader's share of each batch; and `shards` of it.
local function settings(options, ranks)
   local p = options_of.subset(options, fit.settings)
   p.margin = fit.margin(p)
   p.parts, p.part = ranks and ranks.size() or 1, ranks and ranks.rank() + 1 or 1
   p.batch_shards = shards_of(options, p.parts, options.run .. "/checkpoints")
   if p.batch_shards % p.parts ~= 0 then
      return nil, ("%d ranks cannot share a batch in %s equally: start as many as divide it, or say "
         .. "--batch-shards N for a new run"):format(p.parts, count(p.batch_shards, "virtual shard"))
   end
   if p.batch_size % p.batch_shards ~= 0 then
      return nil, ("a batch of %d triplets in %d virtual shards: --batch-size must be a multiple"):format(p.batch_size,
         p.batch_shards)
   end
   if p.gradients == "bf16" and p.precision == "f64" then
      return nil, "--gradients bf16 is not for --precision f64: its gradients are of 64 bits"
   end
   p.shards = p.batch_shards // p.parts
   return p
end

local function gigabytes(bytes)
   return bytes < 1e9 and ("%.0f MB"):format(bytes / 1e6) or ("%.2f GB"):format(bytes / 1e9)
end

-- Bytes that training on batches of a size takes beside what the process has: the
-- network's, the batches that the loader prefetches, and the sound that it keeps.
local function need(net, p, size, recompute)
   local m = net:memory({batch_size = size // (p.parts or 1), roles = p.roles, recompute = recompute,
      shards = p.shards})
   return m.total - m.process + p.prefetch * m.batch + (p.tiles and 0 or p.cache_mb * 1e6)
end

-- The largest batch up to the wanted one that fits; 0: not even one.
local function largest(net, p, free, recompute)
   local unit = p.batch_shards or 1
   local low, high = 0, p.batch_size // unit
   while low < high do
      local middle = (low + high + 1) // 2
      local ok, bytes = pcall(need, net, p, middle * unit, recompute) -- batch norm refuses a batch of one value
      if not ok or bytes <= free then low = middle else high = middle - 1 end
   end
   return low * unit
end

--- Does training on such batches fit into memory? Said before anything is allocated.
-- @tparam network net
-- @tparam table p `batch_size`, `roles`, `recompute`, `prefetch`, `cache_mb`, `tiles` (are there any?); where ranks
-- share batches `parts`, `batch_shards`, `shards` (of a part)
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

--- Free memory of this machine, or, where ranks are to train, of it the share of each that is there.
-- @tparam ?table ranks `bclua.mpi`; all must call this
-- @treturn ?integer bytes; nil: the system does not say
function fit.free_memory(ranks)
   local free, host, here = system.memory_free(), files.read("/proc/sys/kernel/hostname") or "", 0
   for _, other in ipairs(ranks and ranks.all_gather(host) or {host}) do
      if other == host then here = here + 1 end
   end
   return free and free // here
end

local function load_triplets(p, options, net)
   local o = options_of.subset(p, loader.settings)
   o.triplets, o.tiles, o.loc_unit = options.triplets, options.tiles, options.loc_unit
   o.sample_rate = math.tointeger(net.options.sample_rate)
   o.part, o.parts = p.part, p.parts
   if not o.tiles then
      if not options.dataset_root then return nil, "without tiles, --dataset-root must say where the recordings are" end
      o.dataset_root = options.dataset_root
   end
   return loader.new(o)
end

--- What the loss sees of a network: for `cross_entropy` a score of each group of the triplets.
-- @tparam table network options of `bclua.tilenet`; `projection` is changed
-- @tparam string loss
-- @tparam string triplets Parquet
-- @tparam[opt] string loc_unit as of `bclua.data.legacy`
-- @treturn[1] table network
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function fit.project(network, loss, triplets, loc_unit)
   if loss ~= "cross_entropy" then return network end
   local n, message = loader.count_groups(triplets, loc_unit)
   network.projection = n
   return n and network, message
end

-- The options of the network: it hears what the triplets were made of, unless it is told otherwise.
local function network_of(options)
   local heard, message = hearing.of_parquet(options.triplets)
   if not heard then return nil, message end
   local network = hearing.changed(heard)
   network.channel = nil
   for k, v in pairs(options_of.recorded(options.network, tilenet.network_options)) do network[k] = v end
   network, message = fit.project(network, options.loss, options.triplets, options.loc_unit)
   return network, network and heard.channel or message
end

-- The network, within memory.
local function build(p, options, of_network, ranks)
   local network = {seed = p.seed, precision = p.precision, recompute = p.recompute}
   for k, v in pairs(of_network) do network[k] = v end
   local net = tilenet.new(network)
   p.tiles = options.tiles ~= nil
   local bytes, message = fit.check_memory(net, p, options.free_memory or fit.free_memory(ranks))
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
   local text = ("round %d: loss %.4g"):format(info.round, info.loss or 0 / 0)
   local v = info.validation
   if v then
      text = text .. (", validation %.4g, %.1f %% correctly ordered%s"):format(v.loss, 100 * v.ordered,
         info.best_round == info.round and " (best so far)" or "")
   end
   return text
end

-- The folder of the checkpoints, and the one to go on from. Of ranks the first looks, and clears the folder, for all.
local function begin(options, wanted, ranks)
   if ranks and ranks.rank() > 0 then
      local from = ranks.broadcast()
      return options.run .. "/checkpoints", from ~= "" and from or nil
   end
   local folder, message = open_checkpoints(options, wanted)
   if not folder then return nil, message end
   local last = folder .. "/last.safetensors"
   local from = options.checkpoint or (files.exists(last) and last) or nil
   if ranks then ranks.broadcast(from or "") end
   return folder, from
end

-- Recordings that could not be read, by whichever rank.
local function failures_of(l, ranks)
   if not ranks then return l.failures end
   local all, seen = {}, {}
   for _, text in ipairs(ranks.all_gather(files.json(l.failures))) do
      for _, failure in ipairs(json.decode(text)) do
         if not seen[failure.path] then all[#all + 1], seen[failure.path] = failure, true end
      end
   end
   return all
end

-- What there is to say before the first batch.
local function about(p, l, parameter_count, bytes, ranks)
   local list = {}
   if l.dropped > 0 then
      list[1] = ("left out, without tiles: %d of %d triplets"):format(l.dropped, l.dropped + l.triplets)
   end
   list[#list + 1] = ("%s, %d parameters, training takes %s of memory%s"):format(count(l.triplets, "triplet"),
      parameter_count, gigabytes(bytes), ranks and " in each process" or "")
   if ranks then
      list[#list + 1] = ("%d ranks of %s share batches of %d virtual shards (one process gives the same bits with "
         .. "--batch-shards %d)"):format(p.parts, ranks.library(), p.batch_shards, p.batch_shards)
   end
   return list
end

-- The trainer's options. Nothing is said and cut where there is nothing left to do.
local function trainer_options(p, options, net, say, words)
   local o = options_of.subset(p, trainer.settings)
   o.run, o.betas = options.run, {p.beta1, p.beta2}
   local judge
   function o.on_start()
      for _, text in ipairs(words) do say(text) end
      local message
      judge, message = validation(p, options, net, say)
      return judge ~= nil, message
   end
   function o.validate(trained)
      return judge and judge:measure(trained, {loss = p.loss, margin = p.margin, l2 = p.l2,
         temperature = p.temperature, batch_size = p.batch_size})
   end
   function o.on_warning(text) say("warning: " .. text) end
   function o.on_round(info)
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

-- The ranks, if there are several; nil, and perhaps why their library is missing.
local function several(ranks)
   if not ranks then return nil end
   local ok, size = pcall(ranks.size)
   if not ok then return nil, size end
   return size > 1 and ranks or nil
end

-- The newest checkpoint, with the embedding as it is to be read.
local function read_out(p, options, net, path, say)
   local folder = path:match("^(.*)/")
   local done, message = readout.is_in(path, p.readout)
   if done ~= false then return done, message end
   if p.readout == "head" then return readout.write(net, folder, "head") end
   local start = system.clock()
   -- without other recordings in them: how windows of one recording differ is looked at
   local shift = augment.largest_shift(augment.check(p.augment))
   local l <close>, wrong = load_triplets(options_of.extend(p, {part = 1, parts = 1,
      augment = shift > 0 and ("shift=%.17g"):format(shift) or false}), options, net)
   if not l then return nil, wrong end
   done, message = readout.write(net, folder, p.readout, l)
   say(("the embedding is read from the maps of all stages%s, in %.1f s"):format(
      p.readout == "kernels" and " and random kernels" or "", system.clock() - start))
   return done, message
end

local function take(run)
   if run then return lock.folder(run) end
end

--- Train, or go on training.
-- @tparam table options `triplets` (Parquet), `tiles` (folder; without, windows are cut from the recordings),
-- `run` (folder for checkpoints and metrics), `network` (options of `bclua.tilenet`; `sample_rate`, `fmin` and `fmax`
-- are those of the triplets unless they say otherwise); any of `fit.defaults`, which
-- are those of `bclua.train.trainer`, and: `batch_size`, `limit` (triplets of the shuffled table that are used; 0:
-- all), `precision`, `recompute` (as of `bclua.nn`: what is computed again instead of kept), `readout` ("kernels",
-- "stages" or "head": see `bclua.train.readout`), `margin` (0: the loss's own), `validation_triplets`, `augment`,
-- `workers` (0: the loader's own), `prefetch`, `cache_mb` (as of `bclua.data.loader`);
-- `motif` (Parquet from `consolidate`) and `dataset_root`: for validation on the recordings that
-- the triplets leave out; `loc_unit` (of foreign tables: see `bclua.data.legacy`);
-- `checkpoint` (go on from this file), `force` (begin anew where the parameters
-- differ; what was there is set aside), `follow_data` (the same when only the number of recordings
-- differs), `quiet`;
-- `ranks`: `bclua.mpi`, if its ranks are to share the batches: all call this with the same options; the first one
-- writes and speaks. The bits depend on `batch_shards`, not on the number of ranks
-- @treturn[1] table `checkpoint` (path of the last one), `best` (path, with validation), `parameters`,
-- `batch_size`, `rounds`, `loss` and `validation` (of the last round), `stopped`, `failures` (recordings
-- that could not be read), `is_first` (false: another rank says it)
-- @treturn[2] nil
-- @treturn[2] string message
function fit.run(options)
   options = options_of.check(options, fit.options)
   local ranks, missing = several(options.ranks)
   if missing then return nil, missing end
   local is_first = not ranks or ranks.rank() == 0
   options.quiet = options.quiet or not is_first
   local p, wrong = settings(options, ranks)
   if not p then return nil, wrong end
   local network, channel = network_of(options)
   if not network then return nil, channel end
   local net, bytes = build(p, options, network, ranks)
   if not net then return nil, bytes end
   local l <close>, message = load_triplets(p, options, net)
   if not l then return nil, message end
   local wanted = parameters(p, network, options.triplets)
   local locked <close>, busy = take(is_first and options.run) -- luacheck: ignore
   if busy then return nil, busy end
   local folder, from = begin(options, wanted, ranks)
   if not folder then return nil, from end

   local on_batch, on_checkpoint, say, finish = reporter(p, options.quiet)
   local parameter_count = net:summary().parameters
   local about_triplets = provenance.of_parquet(options.triplets) or {}
   local o = trainer_options(p, options, net, say, about(p, l, parameter_count, bytes, ranks))
   o.resume, o.on_batch, o.on_checkpoint, o.ranks = from, on_batch, on_checkpoint, ranks
   o.metadata = {holdout_recordings = files.json(about_triplets.holdout_recordings or {}),
      training_recordings = files.json(table.move(l.sources, 1, #l.sources, 1, {})),
      holdout_groups = files.json(about_triplets.holdout_groups or {}), group = about_triplets.group,
      groups = files.json(about_triplets.families or about_triplets.groups or {}), version = system.version(),
      fit = files.json(wanted), channel = channel and tostring(channel)}
   local result
   result, message = trainer.fit(net, l, o)
   finish()
   local ok = result ~= nil
   if ok and is_first and result.checkpoint == folder .. "/last.safetensors" then -- not what lies elsewhere
      ok, message = read_out(p, options, net, result.checkpoint, say)
   end
   net:close()
   if not ok then return nil, message end
   local failures = failures_of(l, ranks)
   for _, failure in ipairs(failures) do say(("%s: left out: %s"):format(failure.path, failure.reason)) end
   if result.stopped then say("ended early: " .. result.stopped) end
   return {checkpoint = result.checkpoint or from, best = result.best, parameters = parameter_count,
      batch_size = p.batch_size, rounds = result.round, loss = result.loss, validation = result.validation,
      stopped = result.stopped, history = result.history, failures = failures, is_first = is_first}
end

return fit
