--- Options of networks and of steps of training that several functions have, as rules of `bclua.options`.
-- @module bclua.train.options
local options_of = require "bclua.options"
local schedule = require "bclua.train.schedule"

local training_options = {}

--- How values and gradients of layers are stored.
training_options.precision = {"choice", {"f32", "bf16", "f16", "f64"},
   text = "How values are stored: f32, bf16, f16 (half the memory) or f64."}

--- What training computes again for the backward pass instead of keeping it.
training_options.recompute = {"choice", {"auto", "cheap", "none", "stage", "role"}, was = "checkpoint",
   text = "What is computed again for the backward pass instead of being kept: none, cheap (what costs little), " ..
      "auto (cheap if keeping all takes over 1 GiB), stage (most: a third more work) or role (one role at a time)."}

--- Channels of a tilenet's first four stages.
training_options.widths = {"list", of = {"integer", least = 1, most = 65536}, items = "integers", shortest = 4,
   longest = 4, default = {64, 128, 256, 512}, record = "always", arg = "A,B,C,D",
   text = "Channels of the network's first four stages."}

--- How the three roles of a batch go through the network.
training_options.roles = {"choice", {"separate", "joint"}, default = "separate",
   text = "Batch norm takes its statistics per role (separate) or over all three (joint)."}

--- The losses.
training_options.losses = {"triplet", "triplet_cosine", "semi_hard", "batch_hard", "nt_xent", "supcon", "cross_entropy"}

--- The margin of each loss; of those that have none 0.
training_options.margins = {triplet = 50, semi_hard = 50, batch_hard = 50, triplet_cosine = 0.5, nt_xent = 0,
   supcon = 0, cross_entropy = 0}

local function not_power_of_two(n)
   if n & n - 1 ~= 0 then return n .. " is not a power of two" end
end

--- A schema: every setting of a training; 0 turns off what can be off. What tables, sound and files a training has are
-- settings of `bclua.data.loader` and `bclua.workflow.fit`.
training_options.settings = {
   batches_per_round = {"integer", default = 100, least = 1, record = "always", was = "batches_per_epoch",
      text = "Batches in a round."},
   round_minutes = {"number", default = 0, least = 0, unit = "min",
      text = "End a round after this time instead (0: count batches)."},
   max_rounds = {"integer", default = 10, least = 1, record = "never", was = "max_epochs", text = "Rounds to train."},
   patience = {"integer", default = 0, least = 0, record = "never",
      text = "Stop after N rounds without improvement in validation (0: never)."},
   lr = {"number", default = 1e-3, least = 0, record = "always", text = "Learning rate."},
   schedule = {"choice", schedule.names, default = "constant",
      text = "How the learning rate changes: constant, step, cosine or one_cycle."},
   warmup = {"integer", default = 0, least = 0, text = "Steps over which the learning rate first rises from 0."},
   lr_step = {"integer", default = 0, least = 0, record = "always",
      text = "With --schedule step: rounds between reductions of the rate."},
   lr_gamma = {"number", default = 0.1, least = 0, most = 1, record = "always",
      text = "With --schedule step: factor of each reduction."},
   lr_final = {"number", default = 0, least = 0, text = "With --schedule cosine: the learning rate at the end."},
   beta1 = {"number", default = 0.5, least = 0, below = 1, text = "Decay rate of the running mean of gradients."},
   beta2 = {"number", default = 0.999, least = 0, below = 1, text = "Decay rate of the running mean of their squares."},
   eps = {"number", default = 1e-8, above = 0, text = "AdamW's epsilon."},
   weight_decay = {"number", default = 0.01, least = 0, text = "Decoupled weight decay."},
   clip_norm = {"number", default = 0, least = 0, text = "Scale longer gradients down to this norm (0: none)."},
   accumulate = {"integer", default = 1, least = 1,
      text = "Batches per step: the mean of their gradients, in the memory of one."},
   batch_shards = {"integer", default = 1, least = 1, most = 1024, check = not_power_of_two,
      text = "Virtual shards of a batch (a power of two), each with batch statistics of its own, which ranks of MPI " ..
         "share. Where several ranks train, 1 stands for what the run has, at first 8."},
   gradients = {"choice", {"full", "bf16"}, default = "full",
      text = "How gradients of virtual shards are added up: full, or rounded to bf16, half the bytes between ranks."},
   loss = {"choice", training_options.losses, default = "supcon", record = "always",
      text = "cross_entropy (of groups), supcon or nt_xent (contrastive), triplet, triplet_cosine, semi_hard or " ..
         "batch_hard."},
   margin = {"number", default = 0, least = 0, record = "always",
      text = "Margin of the triplet losses (0: the loss's own: 50, for cosines 0.5)."},
   l2 = {"number", default = 0.01, least = 0, record = "always",
      text = "Weight of the penalty on the norm of embeddings."},
   temperature = {"number", default = 0.1, least = 1e-6, text = "Temperature of nt_xent and supcon."},
   roles = training_options.roles,
   keep = {"integer", default = 3, least = 1, record = "never", text = "Keep the checkpoints of the newest N rounds."},
   keep_best = {"integer", default = 3, least = 0, record = "never", text = "Keep those of the best N rounds, too."},
   checkpoint_minutes = {"number", default = 10, least = 0, record = "never", unit = "min",
      text = "Time between checkpoints within a round (0: none)."},
   on_nonfinite = {"choice", {"stop", "skip"}, default = "stop", record = "never",
      text = "What to do with a batch whose loss or gradient is NaN or infinite: stop, or skip it."},
}
local settings = training_options.settings

--- A schema: what decides the loss of a batch. `margin`, `l2` and `temperature` have the engine's defaults.
training_options.measure = {
   loss = options_of.extend(settings.loss, {default = "triplet"}),
   margin = {"number", least = 0},
   l2 = {"number", least = 0},
   temperature = {"number", above = 0},
   roles = training_options.roles,
}

--- A schema: what decides how much memory a step takes; `precision` and `recompute` are the network's otherwise.
training_options.memory = {
   batch_size = {"integer", least = 1, needed = true},
   precision = training_options.precision,
   recompute = training_options.recompute,
   roles = training_options.roles,
   shards = {"integer", least = 1, default = 1},
}

--- A schema: the options of a step.
training_options.step = options_of.extend(training_options.measure,
   options_of.subset(settings, {lr = true, eps = true, weight_decay = true, accumulate = true,
      batch_shards = true, gradients = true}), {
   ranks = {"table", default = false},
   betas = {"list", of = {"number", least = 0, below = 1}, items = "numbers", shortest = 2, longest = 2,
      default = {settings.beta1.default, settings.beta2.default}},
   clip_norm = {"number", above = 0, default = false},
})

return training_options
