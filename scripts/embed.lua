-- usage: bclua embed COMMAND [options]; --help for the commands
-- Train the network on triplets, evaluate it, hand it on.
local cli = require "bclua.cli"
local display = require "bclua.display"
local fit = require "bclua.workflow.fit"
local options_of = require "bclua.options"
local system = require "bclua.system"
local tilenet = require "bclua.tilenet"

local NETWORK = "z widths compression pooling projection front_end"

local function fit_options(c)
   local function group(title, names) c:group(title, cli.options(c, fit.options, names)) end
   c:group("The network", cli.options(c, fit.network, NETWORK))
   group("What is kept of it", "readout")
   group("How long", "batch_size batch_shards gradients accumulate batches_per_round round_minutes max_rounds limit " ..
      "seed")
   group("Steps of AdamW", "lr schedule warmup lr_step lr_gamma lr_final beta1 beta2 eps weight_decay clip_norm")
   group("The loss", "loss margin l2 temperature roles")
   group("Batches", "augment workers prefetch cache_mb")
   group("Memory", "precision recompute")
   group("Validation", "motif dataset_root validation_triplets patience")
   group("Checkpoints and trouble",
      "run checkpoint_minutes keep keep_best checkpoint on_nonfinite force")
end

local function train(parser)
   local c = parser:command("fit", "Train the network on triplets; a second run goes on where the first stopped.")
   cli.options(c, fit.options, "triplets tiles")
   fit_options(c)
   cli.options(c, fit.options, "loc_unit")
   cli.verbose(cli.threads(c))
   return function(o)
      local options = options_of.subset(o, fit.options)
      options.network = options_of.subset(o, fit.network)
      options.ranks = require "bclua.mpi"
      if o.motif and not o.dataset_root then
         return nil, "validation needs both --motif and --dataset-root"
      end
      local result, message = fit.run(options)
      if result and result.is_first then
         print(("%s: %d round%s%s"):format(result.checkpoint, result.rounds, result.rounds == 1 and "" or "s",
            result.loss and (", loss %.4g"):format(result.loss) or ", nothing left to do"))
         if result.best then print(("best: %s"):format(result.best)) end
      end
      return result, message
   end
end

local function replay(parser)
   local c = parser:command("replay", "Do a step again whose loss or gradient was not finite.")
   c:argument("folder", "RUN/nonfinite-STEP, as `fit` named it.")
   cli.threads(c)
   return function(o)
      local result, message = require("bclua.workflow.fit.nonfinite").replay({folder = o.folder})
      if not result then return nil, message end
      print(("%s: %s\n%s"):format(result.reproduced and "again" or "not so here", result.message, result.text))
      return result.reproduced or nil, o.folder .. ": the step is finite here"
   end
end

local function export(parser)
   local c = parser:command("export", "Write the network as ONNX, from the samples of a window to the embedding.")
   c:argument("checkpoint", "A .safetensors file from `fit`.")
   c:option("--output", "File to write."):argname("FILE.onnx"):count(1)
   c:flag("--stft", "Use the STFT operator, not a convolution: a smaller file, for runtimes that have it.")
   return function(o)
      local net, message = require("bclua.tilenet").open(o.checkpoint)
      if not net then return nil, message end
      local bytes
      bytes, message = require("bclua.format.onnx").export(net, o.output, {stft = o.stft})
      if not bytes then return nil, message end
      print(("%s: %.1f MB; input audio (n, %d) f32, output embedding (n, %d)"):format(o.output, bytes / 1e6,
         net.samples, net.options.z))
      return true
   end
end

local SUMMARY = options_of.extend(tilenet.options, fit.network, {
   sample_rate = {"integer", default = 32000, least = 1000, most = 768000, unit = "Hz",
      text = "Sample rate of the recordings, as `motif extract` had it."},
   precision = fit.settings.precision, recompute = fit.settings.recompute,
   batch_size = {"integer", least = 1, text = "Also show the memory of a training step with N triplets."}})

local function summary(parser)
   local c = parser:command("summary", "Layers, shapes, parameters, multiply-adds, and the memory of a step.")
   cli.options(c, SUMMARY, NETWORK .. " sample_rate precision recompute batch_size")
   return function(o)
      local network = options_of.subset(o, tilenet.options)
      local net = tilenet.new(network)
      print(net:summary({batch_size = o.batch_size}))
      local free = system.memory_free()
      if o.batch_size and free then print(("free memory: %.1f MB"):format(free / 1e6)) end
      return true
   end
end

local function evaluate(parser)
   local workflow = require "bclua.workflow.evaluate"
   local c, of = cli.step(parser, "evaluate", "How much of the species is in the embedding, on recordings that " ..
      "training did not see; where there are no species, are windows nearest to those of their own recording, their " ..
      "own site?", workflow.options, "checkpoint motif dataset_root windows motifs labels splits seed k output")
   c:flag("--by-class", "Also a line for each species (and group), where there are any.")
   return function(o)
      local result, message = workflow.run(of(o))
      if result then
         print(workflow.text(result, {classes = o.by_class}))
         if o.output then print("written: " .. o.output) end
      end
      return result, message
   end
end

local function predict(parser)
   local workflow = require "bclua.workflow.predict"
   local c, of = cli.step(parser, "predict", "The embedding of every window of any recordings, as one Parquet file.",
      workflow.options, "checkpoint inputs output encoder hop partial deployments channel precision batch shard " ..
      "claim stale time_limit")
   return function(o)
      cli.instead(c, o, "encoder", "checkpoint", "inputs")
      local result, message = cli.shared("predict", of(o), workflow.run)
      if result and result.rows then print(("%s: %s"):format(o.output, display.count(result.rows, "window"))) end
      return result, message
   end
end

local function cluster(parser)
   local workflow = require "bclua.workflow.cluster"
   local c = parser:command("cluster", "What is in the recordings: clusters of their windows, each with an example, " ..
      "and a map.")
   cli.options(c, workflow.options, "embeddings output least metric whiten column scores labels " ..
      "names map force")
   cli.threads(c)
   return cli.tells(workflow)
end

local function search(parser)
   local workflow = require "bclua.workflow.similar"
   local c = parser:command("search", "The windows of a table of embeddings that sound most like an example.")
   cli.options(c, workflow.options, "query embeddings checkpoint top metric whiten verify candidates channel " ..
      "with_query output")
   cli.outcome(cli.threads(c))
   return function(o)
      local result, message = workflow.run(options_of.subset(o, workflow.options))
      if result then print(workflow.text(result)) end
      return result, message
   end
end

local parser = cli.parser("embed", "Train an embedding of calls on triplets, look at it, evaluate it.", [[
Example:
  bclua embed summary --dim 512 --batch-size 64
  bclua embed fit triplets.parquet tiles --dim 128 --batch-size 32 --run runs/first
  bclua embed fit triplets.parquet tiles --schedule one_cycle --lr 3e-3 \
    --motif motif.parquet --dataset-root birds --patience 5
  bclua embed evaluate runs/fit/checkpoints/best.safetensors motif.parquet \
    --dataset-root birds
  bclua embed predict runs/fit/checkpoints/best.safetensors night.flac july \
    --output calls.parquet
  bclua embed cluster calls.parquet --output clusters.parquet
  bclua embed search night.flac@12.5 --embeddings calls.parquet --verify
  bclua embed export runs/fit/checkpoints/best.safetensors --output calls.onnx]])
   :require_command(true):command_target("command")
local commands = {fit = train(parser), summary = summary(parser), evaluate = evaluate(parser),
   predict = predict(parser), cluster = cluster(parser), search = search(parser), export = export(parser),
   replay = replay(parser)}

local options = parser:parse()
local name = "embed " .. options.command
local _ <close> = cli.command(name)
local result, message = commands[options.command](options)
cli.finish(name, result, message, options)
