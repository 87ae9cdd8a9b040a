--- Options of networks and of steps of training that several functions have, as rules of `bclua.options`.
-- @module bclua.train.options
local options_of = require "bclua.options"

local training_options = {}

--- How values and gradients of layers are stored.
training_options.precision = {"choice", {"f32", "f64", "bf16", "f16"}}

--- What training computes again for the backward pass instead of keeping it.
training_options.recompute = {"choice", {"auto", "cheap", "none", "stage", "role"}, was = "checkpoint"}

--- Channels of a tilenet's first four stages.
training_options.widths = {"list", of = {"integer", least = 1}, items = "integers", shortest = 4, longest = 4,
   default = {64, 128, 256, 512}}

--- How the three roles of a batch go through the network.
training_options.roles = {"choice", {"separate", "joint"}, default = "separate"}

--- The losses.
training_options.losses = {"triplet", "triplet_cosine", "semi_hard", "batch_hard", "nt_xent", "supcon"}

--- The margin of each loss; of those that have none 0.
training_options.margins = {triplet = 50, semi_hard = 50, batch_hard = 50, triplet_cosine = 0.5, nt_xent = 0,
   supcon = 0}

--- A schema: what decides the loss of a batch. `margin`, `l2` and `temperature` have the engine's defaults.
training_options.measure = {
   loss = {"choice", training_options.losses, default = "triplet"},
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
}

--- A schema: the options of a step.
training_options.step = options_of.extend(training_options.measure, {
   lr = {"number", least = 0, default = 1e-3},
   betas = {"list", of = {"number", least = 0, below = 1}, items = "numbers", shortest = 2, longest = 2,
      default = {0.5, 0.999}},
   eps = {"number", above = 0, default = 1e-8},
   weight_decay = {"number", least = 0, default = 0.01},
   clip_norm = {"number", above = 0, default = false},
   accumulate = {"integer", least = 1, default = 1},
})

return training_options
