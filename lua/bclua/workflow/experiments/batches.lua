--- Batches for experiments on training: from the triplets of a pipeline's run, or from others.
-- @module bclua.workflow.experiments.batches
-- @usage
-- local b = assert(batches.open{run = "runs/demo", batch_size = 8})
-- local net = require("bclua.tilenet").new(b.network)
-- local source <close> = assert(b.loader(1))
-- print(net:train_step(source:next(), b.step).loss)
local cli = require "bclua.cli"
local files = require "bclua.files"
local pipeline = require "bclua.workflow.pipeline"
local check_options = require("bclua.options").check

local batches = {}

--- The command-line options that `open` takes: `--triplets`, `--tiles`, `--dataset-root`, `--batch-size`, `--widths`,
-- `--dim`.
-- @param parser of argparse
-- @tparam table defaults `batch_size`
function batches.options(parser, defaults)
   parser:option("--triplets", "Parquet from `motif generate-triplets` (default: the run's)."):argname("FILE")
   parser:option("--tiles", "Folder from `motif extract-triplets` (default: the run's)."):argname("DIR")
   parser:option("--dataset-root", "Cut windows from the recordings below this folder instead."):argname("DIR")
   parser:option("--batch-size", "Triplets of a batch.", tostring(defaults.batch_size)):argname("N")
      :convert(cli.integer("--batch-size", 1, 65536))
   parser:option("--widths", "Channels of the network's first four stages (default: the run's).")
      :argname("A,B,C,D"):convert(cli.rule("--widths", require("bclua.train.options").widths))
   parser:option("--dim", "Values of the embedding (default: the run's)."):argname("N")
      :convert(cli.integer("--dim", 1, 65536))
   return parser
end

-- Options of a training step beside the rate, from those of `fit`.
local function step_of(fit)
   local step = {betas = {fit.beta1, fit.beta2}, clip_norm = fit.clip_norm > 0 and fit.clip_norm or nil,
      margin = fit.margin > 0 and fit.margin or nil}
   for _, key in ipairs{"eps", "weight_decay", "loss", "l2", "temperature", "roles"} do step[key] = fit[key] end
   return step
end

local function of_run(o)
   local about, message = require("bclua.workflow.experiments.trial").open(o.run)
   if not about then return nil, message end
   local found = {settings = about.settings, triplets = o.run .. "/triplets.parquet", root = about.root}
   if files.exists(o.run .. "/tiles/index.parquet") then found.tiles = o.run .. "/tiles" end
   if not files.exists(found.triplets) then return nil, found.triplets .. ": no such file (the run is not finished)" end
   return found
end

local OPTIONS = {run = "string", triplets = "string", tiles = "string", dataset_root = "string",
   batch_size = {"integer", default = 16, least = 1, most = 1 << 20}, widths = {"list", of = "integer"},
   dim = {"integer", least = 1}}

--- Where batches come from, and what network and training they are for.
-- @tparam table options `run` (folder of a pipeline's run), or `triplets` (Parquet) with `tiles` or `dataset_root`
--  (windows are cut from the recordings); `batch_size` (16), `widths`, `dim` (the run's, or the pipeline's defaults)
-- @treturn[1] table
--
--  * `loader` f(seed): a `bclua.data.loader`; or nil and a message
--  * `network`: options of `bclua.tilenet`; `step`: options of `net:train_step` but the rate; `fit`: the settings of
--    the training that they are from
--  * `settings`: what it is, for the record
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function batches.open(options)
   local o = check_options(options, OPTIONS)
   local found, message = {settings = pipeline.defaults, triplets = o.triplets}, nil
   if not o.triplets then found, message = of_run(o) end
   if not found then return nil, message end
   if o.tiles or o.dataset_root then found.tiles, found.root = o.tiles, o.dataset_root end
   if not found.tiles and not found.root then
      return nil, o.triplets .. ": --tiles or --dataset-root must say where the sound is"
   end
   local network, fit = {}, found.settings.fit
   for key, value in pairs(found.settings.network) do network[key] = value end
   network.widths, network.z = o.widths or network.widths, o.dim or network.z
   network, message = require("bclua.workflow.fit").project(network, fit.loss, found.triplets)
   if not network then return nil, message end
   local source = {triplets = found.triplets, tiles = found.tiles, dataset_root = not found.tiles and found.root or nil,
      batch_size = o.batch_size, augment = fit.augment ~= "" and fit.augment or nil}
   local function loader(seed)
      local with_seed = {seed = seed}
      for key, value in pairs(source) do with_seed[key] = value end
      return require("bclua.data.loader").new(with_seed)
   end
   local first
   first, message = loader(1)
   if not first then return nil, message end
   first:close()
   return {loader = loader, network = network, step = step_of(fit), fit = fit,
      settings = {source = source, network = network}}
end

return batches
