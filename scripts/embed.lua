-- usage: bclua scripts/embed.lua COMMAND [options]; --help for the commands
-- Train the network on triplets, look at it, evaluate it, hand it on.
local cli = require "bclua.cli"
local fit = require "bclua.workflow.fit"
local schedule = require "bclua.schedule"
local system = require "bclua.system"

local function network_options(c)
   return c:option("--dim", "Values of the embedding."):argname("N"):default("512")
         :convert(cli.integer("--dim", 1, 65536)),
      c:option("--widths", "Channels of the first four stages."):argname("A,B,C,D"):default("64,128,256,512")
         :convert(cli.widths("--widths")),
      c:option("--compression", "What becomes of mel power: log, power or pcen."):argname("KIND"):default("log")
         :convert(cli.choice("--compression", {"log", "power", "pcen"})),
      c:option("--front-end", "What is trained before it: fft (nothing), mel_trained (the mel matrix) or " ..
         "fourier_trained (dense Fourier kernels too: 16.8 million weights, slow)."):argname("KIND"):default("fft")
         :convert(cli.choice("--front-end", {"fft", "mel_trained", "fourier_trained"}))
end

local function network_of(o)
   return {widths = o.widths, z = o.dim, compression = o.compression,
      front_end = o.front_end ~= "fft" and o.front_end or nil}
end

-- Options whose names and defaults are those of the workflow.
local function setting(c, option, argname, convert, text)
   local default = fit.defaults[option:sub(3):gsub("-", "_")]
   if type(default) == "number" then default = ("%.14g"):format(default) end
   return c:option(option, text):argname(argname):default(default):convert(convert)
end

local function integer(c, option, least, text)
   return setting(c, option, "N", cli.integer(option, least), text)
end

local function number(c, option, least, most, text)
   return setting(c, option, "X", cli.number(option, least, most), text)
end

local function choice(c, option, words, text)
   return c:option(option, text):argname("KIND"):default(words[1]):convert(cli.choice(option, words))
end

local function precision(c)
   return c:option("--precision", "How values are stored: f32, bf16, f16 (half the memory) or f64."):argname("KIND")
      :default("f32"):convert(cli.choice("--precision", {"f32", "bf16", "f16", "f64"}))
end

local function recompute(c)
   return choice(c, "--recompute", {"auto", "cheap", "none", "stage", "role"}, "What is computed again, not kept: " ..
      "cheap (what costs little), none, auto (cheap where keeping all takes more than 1 GiB), " ..
      "stage (most: a third more work), role (one role at a time).")
end

local function augmentation(text)
   if text == "" then return text end
   local effects, message = require("bclua.loader").augmentation(text)
   return effects and text, "--augment: " .. tostring(message)
end

local function fit_options(c)
   c:group("The network", network_options(c))
   c:group("How long",
      integer(c, "--batch-size", 1, "Triplets a batch."),
      integer(c, "--accumulate", 1, "Batches a step: their gradients' mean, in the memory of one."),
      integer(c, "--batches-per-epoch", 1, "Batches a round."),
      number(c, "--round-minutes", 0, nil, "A round by the clock instead."),
      integer(c, "--max-epochs", 1, "Rounds."),
      integer(c, "--limit", 0, "Use so many triplets of the table, shuffled by --seed (0: all)."),
      integer(c, "--seed", 0, "Of the first weights, of the order of triplets, of validation."))
   c:group("Steps of AdamW",
      number(c, "--lr", 0, nil, "Learning rate."),
      choice(c, "--schedule", schedule.names, "Of the rate: constant, step, cosine or one_cycle."),
      integer(c, "--warmup", 0, "Steps in which it rises from 0."),
      integer(c, "--lr-step", 0, "Rounds after which it falls (schedule step),"),
      number(c, "--lr-gamma", 0, 1, "by this factor."),
      number(c, "--lr-final", 0, nil, "Where cosine ends."),
      number(c, "--beta1", 0, 1, "Memory of the mean gradient."),
      number(c, "--beta2", 0, 1, "Memory of its square."),
      number(c, "--weight-decay", 0, nil, "Pull of the weights to 0."),
      number(c, "--clip-norm", 0, nil, "Longest gradient (0: any)."))
   c:group("The loss",
      choice(c, "--loss", {"nt_xent", "triplet", "triplet_cosine", "semi_hard", "batch_hard"},
         "nt_xent (contrastive), triplet, triplet_cosine, semi_hard or batch_hard."),
      number(c, "--margin", 0, nil, "Of the triplet losses (0: the loss's own: 50, for cosines 0.5)."),
      number(c, "--l2", 0, nil, "Weight of the embeddings' norms."),
      number(c, "--temperature", 1e-6, nil, "Of nt_xent."),
      choice(c, "--roles", {"separate", "joint"}, "Statistics of batch norm per role, or of all together: " ..
         "separate or joint."))
   c:group("Batches",
      setting(c, "--augment", "LIST", augmentation, "Effects on each crop, as in shift=1,noise=5:40,gain=20,pitch=2.")
         :show_default(false),
      integer(c, "--workers", 0, "Threads that make batches (0: 1 or 2)."),
      integer(c, "--ahead", 1, "Batches made before they are needed."),
      number(c, "--cache-mb", 0, nil, "Decoded sound that is kept."))
   c:group("Memory", precision(c), recompute(c))
   c:group("Validation",
      c:option("--motif", "Parquet file from `motif consolidate`: judge every round on recordings that the triplets " ..
         "leave out."):argname("FILE"),
      c:option("--dataset-root", "Folder that holds the source names (the one above train_audio)."):argname("DIR"),
      integer(c, "--validation-triplets", 0, "How many (0: no validation)."),
      integer(c, "--patience", 0, "End after so many rounds that were not better (0: never)."))
   c:group("Checkpoints and trouble",
      c:option("--run", "Folder for checkpoints and metrics."):argname("DIR"):default("runs/fit"),
      number(c, "--checkpoint-minutes", 0, nil, "Between checkpoints within a round (0: none)."),
      integer(c, "--keep", 1, "Newest rounds that stay."),
      integer(c, "--keep-best", 0, "Best rounds that stay."),
      c:option("--checkpoint", "Go on from this file (default: the run's last one)."):argname("FILE"),
      choice(c, "--on-nonfinite", {"stop", "skip"}, "Where loss or gradient is NaN or infinite: stop, or skip it."),
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
      for key in pairs(fit.defaults) do options[key] = o[key] end
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
      local result, message = require("bclua.workflow.nonfinite").replay({folder = o.folder})
      if not result then return nil, message end
      print(("%s: %s\n%s"):format(result.reproduced and "again" or "not so here", result.message, result.text))
      return result.reproduced or nil, o.folder .. ": the step is finite here"
   end
end

local function export(parser)
   local c = parser:command("export", "Write the network as ONNX, from 5 s of sound at 32 kHz to the embedding.")
   c:argument("checkpoint", "A .safetensors file from `fit`.")
   c:option("--output", "File to write."):argname("FILE.onnx"):count(1)
   c:flag("--stft", "Use the STFT operator, not a convolution: a smaller file, for runtimes that have it.")
   return function(o)
      local net, message = require("bclua.tilenet").open(o.checkpoint)
      if not net then return nil, message end
      local bytes
      bytes, message = require("bclua.onnx").export(net, o.output, {stft = o.stft})
      if not bytes then return nil, message end
      print(("%s: %.1f MB; input audio (n, %d) f32, output embedding (n, %d)"):format(o.output, bytes / 1e6,
         net.samples, net.options.z))
      return true
   end
end

local function summary(parser)
   local c = parser:command("summary", "Layers, shapes, parameters, multiply-adds, and the memory of a step.")
   network_options(c)
   precision(c)
   recompute(c)
   c:option("--batch-size", "Also the memory of a training step with that many triplets."):argname("N")
      :convert(cli.integer("--batch-size", 1))
   return function(o)
      local network = network_of(o)
      network.precision, network.checkpoint = o.precision, o.recompute
      local net = require("bclua.tilenet").new(network)
      print(net:summary({batch_size = o.batch_size}))
      local free = system.memory_free()
      if o.batch_size and free then print(("free memory: %.1f MB"):format(free / 1e6)) end
      return true
   end
end

local function evaluate(parser)
   local c = parser:command("evaluate",
      "How much of the species is in the embedding, on recordings that training did not see.")
   c:argument("checkpoint", "A .safetensors file from `fit`.")
   c:argument("motif", "Parquet file from `motif consolidate`.")
   c:option("--dataset-root", "Folder that holds the source names (the one above train_audio)."):argname("DIR"):count(1)
   c:option("--windows", "Which 5 s are judged: best (with the best call score), motif (as many, of the best motifs) "
      .. "or all."):argname("KIND"):default("best"):convert(cli.choice("--windows", {"best", "motif", "all"}))
   c:option("--motifs", "Pairs of windows a recording, of motif and best."):argname("N"):default("3")
      :convert(cli.integer("--motifs", 1, 1000))
   c:option("--splits", "Random splits by recording."):argname("N"):default("10")
      :convert(cli.integer("--splits", 1, 10000))
   c:option("--seed", "Of the splits."):argname("N"):default("1"):convert(cli.integer("--seed", 0))
   c:option("--neighbors", "Nearest windows of other recordings that vote."):argname("K"):default("5")
      :convert(cli.integer("--neighbors", 1, 1000))
   c:flag("--by-class", "Also a line for each species (and group).")
   c:option("--output", "Folder for evaluation.json, for embeddings, splits, classes and confusion as Parquet, and " ..
      "for pictures."):argname("DIR")
   cli.threads(cli.outcome(c))
   return function(o)
      local workflow = require "bclua.workflow.evaluate"
      local result, message = workflow.run({checkpoint = o.checkpoint, motif = o.motif,
         dataset_root = o.dataset_root, windows = o.windows, motifs = o.motifs, splits = o.splits,
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
   c:option("--hop", "Seconds from window to window (default: the length of a window, 5)."):argname("S")
      :convert(cli.number("--hop", 0.01))
   choice(c, "--partial", {"pad", "drop"}, "A last window that the recording does not fill: pad it with silence, " ..
      "or drop it.")
   precision(c)
   c:option("--batch", "Windows at once: memory only."):argname("N"):default("16")
      :convert(cli.integer("--batch", 1, 4096))
   cli.outcome(cli.threads(c))
   return function(o)
      local result, message = require("bclua.workflow.predict").run({checkpoint = o.checkpoint, inputs = o.inputs,
         output = o.output, hop = o.hop, partial = o.partial, precision = o.precision, batch = o.batch,
         force = o.force})
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
local result, message = commands[options.command](options)
cli.finish("embed " .. options.command, result, message, options)
