--- Rules of `bclua.options` that several steps share.
-- @module bclua.data.rules
local options_of = require "bclua.options"

local rules = {}

--- Where the recordings of a table are.
rules.dataset_root = {"string", arg = "DIR",
   text = "Folder in which the source names begin (the one above train_audio)."}

--- The same for steps that cannot do without.
rules.needed_root = options_of.extend(rules.dataset_root, {needed = true})

--- The table of all recordings.
rules.motif = {"string", needed = true, text = "Parquet file from `motif consolidate`."}

--- A table of triplets.
rules.triplets = {"string", needed = true, argument = "triplets", text = "Parquet file from `motif generate-triplets`."}

--- A file of weights.
rules.checkpoint = {"string", needed = true, argument = "checkpoint", text = "A .safetensors file from `embed fit`."}

--- Recorders.
rules.deployments = {"string", arg = "CSV", text = "Table of recorders, one deployment per row (site, recorder or " ..
   "folder; from, to, latitude, longitude, timezone, clock_shift): for clock times and sites."}

--- The length of tiles.
rules.duration = {"number", default = 7, least = 0.1, most = 600, unit = "s",
   text = "Length of a tile; training crops 5 s out of it."}

--- One species of many.
rules.species = {"string", arg = "NAME", text = "Only this species."}

return rules
