-- usage: bclua motif COMMAND [options]; --help for the commands
-- From recordings to triplets and tiles, one step a command.
local cli = require "bclua.cli"
local options_of = require "bclua.options"

local function extract(parser)
   local workflow = require "bclua.workflow.extract"
   local _, of = cli.step(parser, "extract", "Features, matrix profile, motif and discord of every recording.",
      workflow.options, "input output species features cens_sample_rate matrix_profile_window sample_rate channel " ..
      "fmin fmax exclusion deployments data_layout layout sample_k seed strict_audio shard claim stale time_limit")
   return function(o) return cli.shared("extract", of(o), workflow.run) end
end

local function consolidate(parser)
   local workflow = require "bclua.workflow.consolidate"
   local _, of = cli.step(parser, "consolidate", "One Parquet file out of all metadata and profiles.",
      workflow.options, "input output deployments")
   return function(o) return workflow.run(of(o)) end
end

local function generate(parser)
   local workflow = require "bclua.workflow.triplets"
   local _, of = cli.step(parser, "generate-triplets", "Draw triplets (anchor, neighbour, distant) of windows.",
      workflow.options, "input output samples group metadata taxonomy shares self motif mixture exclude_own " ..
      "self_distance clip_distance clips pick calls anchor neighbor scores labels accepted_only accepted " ..
      "dataset_root holdout seed")
   return function(o) return workflow.run(of(o)) end
end

local function score(parser)
   local workflow = require "bclua.workflow.score"
   local _, of = cli.step(parser, "score", "What looks like a call: the motif of a recording or its discord, and " ..
      "what else?", workflow.options, "input dataset_root output calls fmin fmax shard claim stale time_limit")
   return function(o) return cli.shared("score", of(o), workflow.run, true) end
end

local function cut(parser)
   local workflow = require "bclua.workflow.tiles"
   local c, of = cli.step(parser, "extract-triplets", "Cut the windows of all triplets out of the recordings.",
      workflow.options, "input dataset_root output store duration loc_unit shard time_limit")
   return function(o)
      if not o.output and o.store ~= "none" then c:error("missing option '--output'") end
      return cli.shared("extract-triplets", of(o), workflow.run)
   end
end

local function audit(parser)
   local workflow = require "bclua.workflow.audit"
   local _, of = cli.step(parser, "audit", "What is the matter with a table of triplets: look before you train.",
      workflow.options, "input dataset_root output limit duration loc_unit seed")
   return function(o)
      local result, message = workflow.run(of(o))
      if result then io.write(workflow.text(result)) end
      return result, message
   end
end

local function search(parser)
   local workflow, pairs_of = require "bclua.workflow.search", require "bclua.workflow.search.pairs"
   local options = options_of.extend(workflow.options, {
      query = options_of.extend(workflow.options.query, {needed = false}),
      all = {"boolean", text = "No query: every recording against every other, the best pairs of windows."},
      shard = pairs_of.options.shard, claim = pairs_of.options.claim, stale = pairs_of.options.stale,
      time_limit = pairs_of.options.time_limit})
   local c = cli.step(parser, "search", "Which recordings contain this call? The nearest windows of all " ..
      "recordings.", options, "query all input top per_recording start seconds channel features dataset_root " ..
      "with_query output shard claim stale time_limit")
   return function(o)
      if (o.query ~= nil) == (o.all == true) then c:error("expected a query or --all") end
      if o.all and (o.start or o.dataset_root or o.with_query or o.channel) then
         c:error("--start, --dataset-root, --with-query and --channel are for a query")
      end
      local result, message
      if o.all then
         result, message = cli.shared("search", options_of.subset(o, pairs_of.options), pairs_of.run, true)
         if result and result.hits then io.write(pairs_of.text(result)) end
      else
         if o.shard or o.claim or o.time_limit then c:error("--shard, --claim and --time-limit are for --all") end
         result, message = workflow.run(options_of.subset(o, workflow.options))
         if result then io.write(workflow.text(result, o.query)) end
      end
      return result, message
   end
end

local function discover(parser)
   local workflow = require "bclua.workflow.discover"
   local _, of = cli.step(parser, "discover", "Which calls are repeated, how often and where: sets of windows " ..
      "that are alike.", workflow.options, "input seconds share fewest singles group others seed features output " ..
      "track dataset_root examples shard time_limit")
   return function(o)
      local result, message = cli.shared("discover", of(o), workflow.run, true)
      if result and result.rows then io.write(workflow.text(result)) end
      return result, message
   end
end

local MARKS = "input kind top calls scores species dataset_root output "

local function track(parser)
   local workflow = require "bclua.workflow.listen"
   local options = options_of.extend(workflow.track_options, {
      kind = options_of.extend(workflow.track_options.kind, {default = "motif"})})
   local _, of = cli.step(parser, "motif-track", "All motifs, discords or likely calls as one sound file, with " ..
      "labels.", options, MARKS .. "gap")
   return function(o) return workflow.track(of(o)) end
end

local function top_motif(parser)
   local workflow = require "bclua.workflow.listen"
   local _, of = cli.step(parser, "extract-top-motif", "Motifs, discords or likely calls of each recording as " ..
      "files.", workflow.top_options, MARKS .. "format")
   return function(o) return workflow.top(of(o)) end
end

local function labels(parser)
   local workflow = require "bclua.workflow.labels"
   local _, of = cli.step(parser, "labels", "Where motifs, discords and likely calls are: for Audacity, Raven, or " ..
      "as CSV.", workflow.options, MARKS .. "format accepted")
   return function(o) return workflow.run(of(o)) end
end

local function import_labels(parser)
   local workflow = require "bclua.workflow.import_labels"
   local _, of = cli.step(parser, "import-labels", "Labels of Raven, Audacity, BirdNET, Kaleidoscope, any CSV as " ..
      "one table.", workflow.options, "files output input dataset_root column")
   return function(o) return workflow.run(of(o)) end
end

local parser = cli.parser("motif", "Find the repeated calls of recordings and sample triplets of them.", [[
Example, from recordings to tiles:
  bclua motif extract --input birds/train_audio --output motif
  bclua motif consolidate --input motif --output motif.parquet
  bclua motif generate-triplets --input motif.parquet --output triplets.parquet --samples 1e5
  bclua motif extract-triplets triplets.parquet --dataset-root birds --output tiles

Before training, what is the matter with the triplets:
  bclua motif audit triplets.parquet --dataset-root birds

Of each recording the window that looks more like a call, motif or discord:
  bclua motif score --input motif.parquet --dataset-root birds --output scores.parquet
  bclua motif generate-triplets --input motif.parquet --output triplets.parquet \
    --pick best --scores scores.parquet

Which other recordings contain this call?
  bclua motif search call.ogg --input motif.parquet
Which recordings share a call?
  bclua motif search --all --input motif.parquet --top 20

Which calls are there, how often and where?
  bclua motif discover --input motif.parquet --output calls.parquet --dataset-root birds \
    --track calls.flac
What have the recordings of each species in common?
  bclua motif discover --input motif.parquet --group species --output shared.parquet

Listen to all motifs, and label them in Audacity or Raven:
  bclua motif motif-track motif.parquet --dataset-root birds --output motifs.flac
  bclua motif labels motif.parquet --dataset-root birds --output labels
  bclua motif labels motif.parquet --kind calls --scores scores.parquet --format raven \
    --output calls.txt

What others have labelled, as one table:
  bclua motif import-labels raven/*.txt birdnet.csv --input motif.parquet --output labels.parquet
  bclua motif generate-triplets --input motif.parquet --labels labels.parquet \
    --output triplets.parquet]])
   :require_command(true):command_target("command")
local commands = {extract = extract(parser), consolidate = consolidate(parser), score = score(parser),
   ["generate-triplets"] = generate(parser), ["extract-triplets"] = cut(parser), audit = audit(parser),
   search = search(parser), discover = discover(parser),
   ["motif-track"] = track(parser), ["extract-top-motif"] = top_motif(parser),
   labels = labels(parser), ["import-labels"] = import_labels(parser)}

local options = parser:parse()
local name = "motif " .. options.command
local _ <close> = cli.command(name)
local result, message = commands[options.command](options)
cli.finish(name, result, message, options)
