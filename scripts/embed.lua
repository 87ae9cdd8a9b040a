-- usage: bclua scripts/embed.lua COMMAND [options]; --help for the commands
-- Train the network on triplets, look at it, evaluate it, hand it on.
local cli = require "bclua.cli"
local fit = require "bclua.workflow.fit"
local options_of = require "bclua.options"
local system = require "bclua.system"

local function network_options(c)
   return c:option("--dim", "Values of the embedding."):argname("N"):default("512")
         :convert(cli.integer("--dim", 1, 65536)),
      c:option("--widths", "Channels of the first four stages."):argname("A,B,C,D"):default("64,128,256,512")
         :convert(cli.widths("--widths")),
      c:option("--compression", "What becomes of mel power: log, power or pcen."):argname("KIND"):default("log")
         :convert(cli.choice("--compression", {"log", "power", "pcen"})),
      c:option("--pooling", "From maps to the embedding: mean (over frequency and time) or bands (mean and " ..
         "maximum over time, then a linear map of all bands)."):argname("KIND"):default("mean")
         :convert(cli.choice("--pooling", {"mean", "bands"})),
      c:option("--projection", "Values of a linear map of the embedding that only the loss sees; 0: none.")
         :argname("N"):default("0"):convert(cli.integer("--projection", 0, 65536)),
      c:option("--front-end", "What is trained before it: fft (nothing), mel_trained (the mel matrix) or " ..
         "fourier_trained (dense Fourier kernels too: 16.8 million weights, slow)."):argname("KIND"):default("fft")
         :convert(cli.choice("--front-end", {"fft", "mel_trained", "fourier_trained"}))
end

local function network_of(o)
   return {widths = o.widths, z = o.dim, compression = o.compression,
      pooling = o.pooling ~= "mean" and o.pooling or nil, projection = o.projection > 0 and o.projection or nil,
      front_end = o.front_end ~= "fft" and o.front_end or nil}
end

local function recompute(setting)
   return setting("--recompute", "KIND", "What is computed again, not kept: cheap (what costs little), none, auto " ..
      "(cheap where keeping all takes more than 1 GiB), stage (most: a third more work), role (one role at a time).")
end

local function precision(setting)
   return setting("--precision", "KIND", "How values are stored: f32, bf16, f16 (half the memory) or f64.")
end

local function fit_options(c)
   local setting = cli.settings(c, fit.options)
   c:group("The network", network_options(c))
   c:group("How long",
      setting("--batch-size", "N", "Triplets a batch."),
      setting("--accumulate", "N", "Batches a step: their gradients' mean, in the memory of one."),
      setting("--batches-per-epoch", "N", "Batches a round."),
      setting("--round-minutes", "X", "A round by the clock instead."),
      setting("--max-epochs", "N", "Rounds."),
      setting("--limit", "N", "Use only N triplets of the table, shuffled by --seed (0: all)."),
      setting("--seed", "N", "Of the first weights, of the order of triplets, of validation."))
   c:group("Steps of AdamW",
      setting("--lr", "X", "Learning rate."),
      setting("--schedule", "KIND", "Of the rate: constant, step, cosine or one_cycle."),
      setting("--warmup", "N", "Steps in which it rises from 0."),
      setting("--lr-step", "N", "Rounds after which it falls (schedule step),"),
      setting("--lr-gamma", "X", "by this factor."),
      setting("--lr-final", "X", "Where cosine ends."),
      setting("--beta1", "X", "Memory of the mean gradient."),
      setting("--beta2", "X", "Memory of its square."),
      setting("--weight-decay", "X", "Pull of the weights to 0."),
      setting("--clip-norm", "X", "Longest gradient (0: any)."))
   c:group("The loss",
      setting("--loss", "KIND", "nt_xent or supcon (contrastive), triplet, triplet_cosine, semi_hard or batch_hard."),
      setting("--margin", "X", "Of the triplet losses (0: the loss's own: 50, for cosines 0.5)."),
      setting("--l2", "X", "Weight of the embeddings' norms."),
      setting("--temperature", "X", "Of nt_xent and supcon."),
      setting("--roles", "KIND", "Statistics of batch norm per role, or of all together: " ..
         "separate or joint."))
   c:group("Batches",
      setting("--augment", "LIST", "Effects on each crop, as in shift=1,noise=5:40,gain=20,pitch=2.")
         :show_default(false),
      setting("--workers", "N", "Threads that make batches (0: 1 or 2)."),
      setting("--ahead", "N", "Batches made before they are needed."),
      setting("--cache-mb", "X", "Decoded sound that is kept."))
   c:group("Memory", precision(setting), recompute(setting))
   c:group("Validation",
      c:option("--motif", "Parquet file from `motif consolidate`: judge every round on recordings that the triplets " ..
         "leave out."):argname("FILE"),
      c:option("--dataset-root", "Folder that holds the source names (the one above train_audio)."):argname("DIR"),
      setting("--validation-triplets", "N", "How many (0: no validation)."),
      setting("--patience", "N", "Stop after N rounds without improvement (0: never)."))
   c:group("Checkpoints and trouble",
      c:option("--run", "Folder for checkpoints and metrics."):argname("DIR"):default("runs/fit"),
      setting("--checkpoint-minutes", "X", "Between checkpoints within a round (0: none)."),
      setting("--keep", "N", "Newest rounds that stay."),
      setting("--keep-best", "N", "Best rounds that stay."),
      c:option("--checkpoint", "Go on from this file (default: the run's last one)."):argname("FILE"),
      setting("--on-nonfinite", "KIND", "Where loss or gradient is NaN or infinite: stop, or skip it."),
      c:flag("--force", "Begin anew where other parameters were used; the training before is set aside."))
end

local function train(parser)
   local c = parser:command("fit", "Train the network on triplets; a second run goes on where the first stopped.")
   c:argument("triplets", "Parquet file from `motif generate-triplets`.")
   c:argument("tiles", "Folder from `motif extract-triplets`; without it, windows are cut from the recordings " ..
      "below --dataset-root."):args("?")
   fit_options(c)
   cli.threads(cli.loc_unit(c))
   return function(o)
      local options = {triplets = o.triplets, tiles = o.tiles, run = o.run, motif = o.motif,
         dataset_root = o.dataset_root, checkpoint = o.checkpoint, loc_unit = o.loc_unit, force = o.force,
         network = network_of(o)}
      for key in pairs(fit.settings) do options[key] = o[key] end
      if o.motif and not o.dataset_root then
         return nil, "validation needs both --motif and --dataset-root"
      end
      local result, message = fit.run(options)
      if result then
         print(("%s: %d round%s%s"):format(result.checkpoint, result.epochs, result.epochs == 1 and "" or "s",
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

local function summary(parser)
   local c = parser:command("summary", "Layers, shapes, parameters, multiply-adds, and the memory of a step.")
   local setting = cli.settings(c, options_of.extend(fit.settings, {batch_size = {"integer", least = 1}}))
   network_options(c)
   c:option("--sample-rate", "Of the recordings, as `motif extract` had it, in Hz."):argname("HZ"):default("32000")
      :convert(cli.integer("--sample-rate", 1000, 768000))
   precision(setting)
   recompute(setting)
   setting("--batch-size", "N", "Also the memory of a training step with that many triplets.")
   return function(o)
      local network = network_of(o)
      network.precision, network.recompute, network.sample_rate = o.precision, o.recompute, o.sample_rate
      local net = require("bclua.tilenet").new(network)
      print(net:summary({batch_size = o.batch_size}))
      local free = system.memory_free()
      if o.batch_size and free then print(("free memory: %.1f MB"):format(free / 1e6)) end
      return true
   end
end

local function evaluate(parser)
   local c = parser:command("evaluate",
      "How much of the species is in the embedding, on recordings that training did not see; where there are no " ..
      "species, are windows nearest to those of their own recording, their own site?")
   c:argument("checkpoint", "A .safetensors file from `fit`.")
   c:argument("motif", "Parquet file from `motif consolidate`.")
   c:option("--dataset-root", "Folder that holds the source names (the one above train_audio)."):argname("DIR"):count(1)
   local setting = cli.settings(c, require("bclua.workflow.evaluate").options)
   setting("--windows", "KIND", "Which 5 s are judged: best (default: with the best call score), motif (as many, of " ..
      "the best motifs) or all.")
   setting("--motifs", "N", "Pairs of windows a recording, of motif and best (default: 3).")
   setting("--labels", "FILE", "Table from `motif import-labels`: judged are the 5 s around each label, whose text " ..
      "is in place of the species.")
   setting("--splits", "N", "Random splits by recording.")
   setting("--seed", "N", "Of the splits.")
   setting("--neighbors", "K", "Nearest windows of other recordings that vote.", "k")
   c:flag("--by-class", "Also a line for each species (and group), where there are any.")
   c:option("--output", "Folder for evaluation.json, for embeddings, splits, classes and confusion (without species " ..
      "retrieval) as Parquet, and for pictures."):argname("DIR")
   cli.threads(cli.outcome(c))
   return function(o)
      local workflow = require "bclua.workflow.evaluate"
      local result, message = workflow.run({checkpoint = o.checkpoint, motif = o.motif,
         dataset_root = o.dataset_root, windows = o.windows, motifs = o.motifs, labels = o.labels, splits = o.splits,
         seed = o.seed, k = o.neighbors, output = o.output, force = o.force})
      if result then
         print(workflow.text(result, {classes = o.by_class}))
         if o.output then print("written: " .. o.output) end
      end
      return result, message
   end
end

local function predict(parser)
   local c = parser:command("predict", "The embedding of every window of any recordings, as one Parquet file.")
   c:argument("checkpoint", "A .safetensors file from `fit`.")
   c:argument("inputs", "Recordings, and folders of them."):args("+")
   c:option("--output", "File to write; what is in it already is not done again."):argname("FILE.parquet"):count(1)
   local setting = cli.settings(c, require("bclua.workflow.predict").options)
   setting("--hop", "S", "Seconds from window to window (default: the length of a window, 5).")
   setting("--partial", "KIND", "A last window that the recording does not fill: pad it with silence, " ..
      "or drop it.")
   setting("--deployments", "CSV", "Where each recorder was and when (see `motif extract`): for clock times and sites.")
   setting("--channel", "C", "mix (the mean of all), left, right, best or a number (default: as in training).")
   precision(setting)
   setting("--batch", "N", "Windows at once: memory only.")
   cli.outcome(cli.threads(c))
   return function(o)
      local result, message = require("bclua.workflow.predict").run({checkpoint = o.checkpoint, inputs = o.inputs,
         output = o.output, hop = o.hop, partial = o.partial, channel = o.channel, deployments = o.deployments,
         precision = o.precision,
         batch = o.batch, force = o.force})
      if result then print(("%s: %d windows"):format(o.output, result.rows)) end
      return result, message
   end
end

local parser = cli.parser("scripts/embed.lua", "Train an embedding of calls on triplets, look at it, evaluate it.", [[
Example:
  bclua scripts/embed.lua summary --dim 512 --batch-size 64
  bclua scripts/embed.lua fit triplets.parquet tiles --dim 128 --batch-size 32 --run runs/first
  bclua scripts/embed.lua fit triplets.parquet tiles --schedule one_cycle --lr 3e-3
    --motif motif.parquet --dataset-root birds --patience 5
  bclua scripts/embed.lua evaluate runs/fit/checkpoints/best.safetensors motif.parquet
    --dataset-root birds
  bclua scripts/embed.lua predict runs/fit/checkpoints/best.safetensors night.flac july
    --output calls.parquet
  bclua scripts/embed.lua export runs/fit/checkpoints/best.safetensors --output calls.onnx]])
   :require_command(true):command_target("command")
local commands = {fit = train(parser), summary = summary(parser), evaluate = evaluate(parser),
   predict = predict(parser), export = export(parser), replay = replay(parser)}

local options = parser:parse()
local name = "embed " .. options.command
local _ <close> = cli.command(name)
local result, message = commands[options.command](options)
cli.finish(name, result, message, options)
