-- usage: bclua scripts/embed.lua COMMAND [options]; --help for the commands
-- Train the network on triplets, look at it, evaluate it.
local cli = require "bclua.cli"

local function widths(text)
   local list = {}
   for n in text:gmatch("[^,]+") do list[#list + 1] = math.tointeger(tonumber(n)) or 0 end
   local ok = #list == 4
   for _, n in ipairs(list) do ok = ok and n >= 1 and n <= 65536 end
   if not ok then return nil, ("--widths: '%s' is not four whole numbers, as in 64,128,256,512"):format(text) end
   return list
end

local function network_options(c)
   c:option("--dim", "Values of the embedding."):argname("N"):default("512"):convert(cli.integer("--dim", 1, 65536))
   c:option("--widths", "Channels of the first four stages."):argname("A,B,C,D"):default("64,128,256,512")
      :convert(widths)
   c:option("--compression", "What becomes of mel power: log, power or pcen."):argname("KIND"):default("log")
      :convert(cli.choice("--compression", {"log", "power", "pcen"}))
end

local function fit(parser)
   local c = parser:command("fit", "Train the network on triplets.")
   c:argument("triplets", "Parquet file from `motif generate-triplets`.")
   c:argument("tiles", "Folder from `motif extract-triplets`.")
   network_options(c)
   c:option("--run", "Folder for checkpoints and metrics."):argname("DIR"):default("runs/fit")
   c:option("--batch-size", "Triplets a batch."):argname("N"):default("64"):convert(cli.integer("--batch-size", 1))
   c:option("--batches-per-epoch", "Batches a round."):argname("N"):default("100")
      :convert(cli.integer("--batches-per-epoch", 1))
   c:option("--max-epochs", "Rounds."):argname("N"):default("10"):convert(cli.integer("--max-epochs", 1))
   c:option("--lr", "Learning rate of AdamW."):argname("X"):default("1e-3"):convert(cli.number("--lr", 0))
   c:option("--lr-step", "Rounds after which the rate falls (0: never)."):argname("N"):default("0")
      :convert(cli.integer("--lr-step", 0))
   c:option("--lr-gamma", "By this factor."):argname("X"):default("0.1"):convert(cli.number("--lr-gamma", 0, 1))
   c:option("--margin", "Margin of the triplet loss."):argname("X"):default("50"):convert(cli.number("--margin", 0))
   c:option("--l2", "Weight of the embeddings' norms in the loss."):argname("X"):default("0.01")
      :convert(cli.number("--l2", 0))
   c:option("--seed", "Of the first weights and of the order of triplets."):argname("N"):default("1")
      :convert(cli.integer("--seed", 0))
   c:option("--checkpoint", "Go on from this file (default: the run's last one)."):argname("FILE")
   cli.threads(c):flag("--force", "Begin anew where other parameters were used.")
   return function(o)
      local result, message = require("bclua.workflow.fit").run({triplets = o.triplets, tiles = o.tiles, run = o.run,
         network = {widths = o.widths, z = o.dim, compression = o.compression}, batch_size = o.batch_size,
         batches_per_epoch = o.batches_per_epoch, max_epochs = o.max_epochs, lr = o.lr, lr_step = o.lr_step,
         lr_gamma = o.lr_gamma, margin = o.margin, l2 = o.l2, seed = o.seed, checkpoint = o.checkpoint,
         force = o.force})
      if result then
         print(("%s: %d rounds%s"):format(result.checkpoint, result.epochs,
            result.loss and (", loss %.4g"):format(result.loss) or ", nothing left to do"))
      end
      return result, message
   end
end

local function summary(parser)
   local c = parser:command("summary", "Layers, shapes, parameters and multiply-adds.")
   network_options(c)
   c:option("--batch-size", "Also the memory of a training step with that many triplets."):argname("N")
      :convert(cli.integer("--batch-size", 1))
   return function(o)
      local net = require("bclua.tilenet").new({widths = o.widths, z = o.dim, compression = o.compression})
      print(net:summary({batch_size = o.batch_size}))
      return true
   end
end

local function evaluate(parser)
   local c = parser:command("evaluate", "Accuracy on recordings that were not used in training.")
   c:argument("checkpoint", "A .safetensors file from `fit`.")
   c:argument("motif", "Parquet file from `motif consolidate`.")
   c:option("--dataset-root", "Folder that holds the source names (the one above train_audio)."):argname("DIR"):count(1)
   c:option("--motifs", "Pairs of motif windows a recording."):argname("N"):default("3")
      :convert(cli.integer("--motifs", 1, 1000))
   c:option("--splits", "Random splits by recording."):argname("N"):default("10")
      :convert(cli.integer("--splits", 1, 10000))
   c:option("--seed", "Of the splits."):argname("N"):default("1"):convert(cli.integer("--seed", 0))
   cli.threads(c):flag("--strict", "Exit with an error if any recording failed.")
   return function(o)
      local workflow = require "bclua.workflow.evaluate"
      local result, message = workflow.run({checkpoint = o.checkpoint, motif = o.motif,
         dataset_root = o.dataset_root, motifs = o.motifs, splits = o.splits, seed = o.seed})
      if result then print(workflow.text(result)) end
      return result, message
   end
end

local parser = cli.parser("scripts/embed.lua", "Train an embedding of calls on triplets, look at it, evaluate it.", [[
Example:
  bclua scripts/embed.lua summary --dim 512 --batch-size 64
  bclua scripts/embed.lua fit triplets.parquet tiles --dim 128 --batch-size 32 --run runs/first
  bclua scripts/embed.lua evaluate runs/first/checkpoints/last.safetensors motif.parquet --dataset-root birds]])
   :require_command(true):command_target("command")
local commands = {fit = fit(parser), summary = summary(parser), evaluate = evaluate(parser)}

local options = parser:parse()
local result, message = commands[options.command](options)
cli.finish("embed " .. options.command, result, message, options)
