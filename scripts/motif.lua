-- usage: bclua scripts/motif.lua COMMAND [options]; --help for the commands
-- From a folder of recordings to triplets and tiles, one step a command.
local cli = require "bclua.cli"

local DEPLOYMENTS = "Which recorder was where and when, one deployment a row: site, recorder or folder; from, to, " ..
   "latitude, longitude, timezone, clock_shift."

local function extract(parser)
   local c = parser:command("extract", "CENS, matrix profile, motif and discord of every recording.")
   c:option("--input", "Folder of recordings: SPECIES/ID.ogg, SITE/DATE/ID.wav, ID.wav."):argname("DIR"):count(1)
   c:option("--output", "Folder for the results."):argname("DIR"):count(1)
   c:option("--species", "Only this species (a folder of the input)."):argname("S")
   local setting = cli.settings(c, require("bclua.workflow.extract").options)
   setting("--cens-sr", "N", "CENS frames a second.", "cens_sample_rate")
   setting("--mp-window", "N", "Window in CENS frames.", "matrix_profile_window")
   cli.hearing(setting)
   setting("--exclusion", "N", "Frames on either side that are no match (default: half the window).")
   c:option("--deployments", DEPLOYMENTS .. " A second run with another one computes nothing anew; `consolidate` " ..
      "then takes that."):argname("CSV")
   setting("--data-layout", "KIND", "What the first folders are: species, site, flat (nothing); auto guesses, and " ..
      "says what it took.")
   setting("--layout", "KIND", "Results of a new folder: parts, Parquet files of some hundred recordings each, or " ..
      "files, a folder a recording. One that has results goes on as it began.")
   setting("--sample-k", "K", "Only K recordings, drawn by --seed.")
   setting("--seed", "N", "Seed of --sample-k.")
   c:flag("--strict-audio", "Refuse what is truncated or damaged, or not as long as its header says; by default all " ..
      "that can be decoded is used, with a warning.")
   cli.threads(cli.outcome(c))
   return function(o)
      return require("bclua.workflow.extract").run({input = o.input, output = o.output, species = o.species,
         cens_sample_rate = o.cens_sr, matrix_profile_window = o.mp_window, exclusion = o.exclusion,
         sample_rate = o.sample_rate, channel = o.channel, fmin = o.fmin, fmax = o.fmax,
         data_layout = o.data_layout, layout = o.layout, sample_k = o.sample_k, seed = o.seed,
         strict_audio = o.strict_audio, deployments = o.deployments, force = o.force})
   end
end

local function consolidate(parser)
   local c = parser:command("consolidate", "One Parquet file out of all metadata and profiles.")
   c:option("--input", "Folder that `extract` wrote."):argname("DIR"):count(1)
   c:option("--output", "Parquet file."):argname("FILE"):count(1)
   c:option("--deployments", DEPLOYMENTS .. " Default: the one that `extract` was given."):argname("CSV")
   cli.outcome(c)
   return function(o)
      return require("bclua.workflow.consolidate").run({input = o.input, output = o.output,
         deployments = o.deployments, force = o.force})
   end
end

local function grouping(c)
   c:option("--group", "What makes a group: species (default; where there are none, recording), recording, family, " ..
      "site, hour, date, or a column of --metadata or --input."):argname("COLUMN")
   c:option("--metadata", "CSV of recordings (column source_name, filename, ...) or species (SPECIES_CODE, " ..
      "primary_label, ...)."):argname("CSV")
   c:option("--taxonomy", "CSV with SPECIES_CODE and FAMILY: groups are families (else species)."):argname("CSV")
end

local function mixing(c, setting)
   setting("--shares", "S", "Draws of a group or species: equal, natural (as many as it has recordings), sqrt.")
   setting("--self", "X", "Share of neighbours from the anchor's own recording (0.5; with --labels 0).")
   setting("--motif", "X", "Share of distant windows that are motifs; the others are random clips (0.5; with " ..
      "--labels 1).")
   c:option("--mixture", "Weights of self and motif, self and clip, group and motif, group and clip.")
      :argname("A,B,C,D"):convert(cli.numbers("--mixture", 4, 0))
   c:flag("--no-self", "Never a neighbour from the anchor's own recording.")
   setting("--self-distance", "S", "A neighbour in the same recording is centred so far from the anchor, or the " ..
      "group gives another (default: 0; with --labels a window).")
   setting("--clip-distance", "S", "A clip is centred so far from the windows of its recording.")
   setting("--clips", "K", "Different clips of a recording (0: no limit); a limit bounds the tiles to store.")
end

local function generate(parser)
   local c = parser:command("generate-triplets", "Draw triplets (anchor, neighbour, distant) of windows.")
   c:option("--input", "Parquet file from `consolidate`."):argname("FILE"):count(1)
   c:option("--output", "Parquet file."):argname("FILE"):count(1)
   local setting = cli.settings(c, require("bclua.workflow.triplets").options)
   setting("--samples", "N", "How many.")
   grouping(c)
   mixing(c, setting)
   setting("--pick", "KIND", "The window of a recording: motif, discord, best (of the two, see `score`); or calls, " ..
      "any of some that look most like calls.")
   setting("--calls", "N", "How many of those a recording has at most.")
   setting("--anchor", "KIND", "The same of anchors and distant windows only.")
   setting("--neighbor", "KIND", "The same of neighbours only.")
   c:option("--scores", "What `score` wrote, for best and calls."):argname("FILE")
   c:option("--labels", "What `import-labels` wrote: windows are around labels, groups are labels, neighbours of " ..
      "other recordings, distant windows of other labels."):argname("FILE")
   c:flag("--accepted-only", "Only motifs that were accepted in `browse`, of the file accepted.csv beside the input.")
   c:option("--accepted", "The same, of this file."):argname("FILE")
   c:option("--dataset-root", "Folder that holds the source names, to compute scores without --scores."):argname("DIR")
   setting("--holdout", "X", "Share of each species', or site's, recordings kept away for evaluation.")
   setting("--seed", "N", "Same seed, same triplets.")
   cli.threads(cli.outcome(c))
   return function(o)
      return require("bclua.workflow.triplets").run({input = o.input, output = o.output, samples = o.samples,
         group = o.group, metadata = o.metadata, taxonomy = o.taxonomy, shares = o.shares, mixture = o.mixture,
         self = o.self, motif = o.motif, exclude_own = o.no_self, self_distance = o.self_distance,
         clip_distance = o.clip_distance, clips = o.clips, pick = o.pick, anchor = o.anchor, neighbor = o.neighbor,
         calls = o.calls, scores = o.scores, dataset_root = o.dataset_root, holdout = o.holdout, seed = o.seed,
         force = o.force, accepted = o.accepted, accepted_only = o.accepted_only, labels = o.labels})
   end
end

local function score(parser)
   local c = parser:command("score", "What looks like a call: the motif of a recording or its discord, and what else?")
   c:option("--input", "Parquet file from `consolidate`."):argname("FILE"):count(1)
   c:option("--dataset-root", "Folder that holds the source names (the one above train_audio)."):argname("DIR"):count(1)
   c:option("--output", "The scores, as a .parquet or .csv file."):argname("FILE"):count(1)
   local setting = cli.settings(c, require("bclua.workflow.score").options)
   setting("--calls", "N", "Windows of a recording with the highest scores that are listed too.")
   setting("--fmin", "HZ", "Look at nothing below (0: 150; default: as --input was made).")
   setting("--fmax", "HZ", "Look at nothing above (0: 15/32 of the sample rate; default: as --input was made).")
   c:flag("--strict", "Exit with an error if any recording failed.")
   cli.threads(c)
   return function(o)
      return require("bclua.workflow.score").run({input = o.input, dataset_root = o.dataset_root, output = o.output,
         calls = o.calls, fmin = o.fmin, fmax = o.fmax})
   end
end

local function cut(parser)
   local c = parser:command("extract-triplets", "Cut the windows of all triplets out of the recordings.")
   c:argument("triplets", "Parquet file from `generate-triplets`.")
   c:option("--dataset-root", "Folder that holds the source names (the one above train_audio)."):argname("DIR"):count(1)
   c:option("--output", "Folder for the tiles (not for --store none)."):argname("DIR")
   local setting = cli.settings(c, require("bclua.workflow.tiles").options)
   setting("--store", "KIND", "packed: 16 bits in a few files; flac: the same, compressed; npy: a file a tile; " ..
      "none: nothing, train from the recordings.")
   setting("--duration", "S", "Seconds of a tile; training crops 5 s out of it.")
   cli.options(c, require("bclua.workflow.tiles").options, "loc_unit")
   cli.threads(cli.outcome(c))
   return function(o)
      if not o.output and o.store ~= "none" then parser:error("missing option '--output'") end
      return require("bclua.workflow.tiles").run({input = o.triplets, dataset_root = o.dataset_root,
         output = o.output, store = o.store, duration = o.duration, loc_unit = o.loc_unit, force = o.force})
   end
end

local function audit(parser)
   local c = parser:command("audit", "What is the matter with a table of triplets: look before you train.")
   c:argument("triplets", "Parquet file from `generate-triplets`.")
   c:option("--dataset-root", "Folder that holds the source names (the one above train_audio)."):argname("DIR"):count(1)
   c:option("--output", "All of it as .json, or a row a tile as .csv or .parquet."):argname("FILE")
   local setting = cli.settings(c, require("bclua.workflow.audit").options)
   setting("--limit", "N", "Check only N recordings, drawn by --seed (0: all).")
   setting("--duration", "S", "Seconds of a tile.")
   setting("--loc-unit", "UNIT", "What the locations of a foreign table are: seconds or frames.")
   setting("--seed", "N", "Seed of --limit.")
   c:flag("--strict", "Exit with an error if any recording failed.")
   cli.threads(c)
   return function(o)
      local look = require "bclua.workflow.audit"
      local result, message = look.run({input = o.triplets, dataset_root = o.dataset_root, output = o.output,
         limit = o.limit, duration = o.duration, loc_unit = o.loc_unit, seed = o.seed})
      if result then io.write(look.text(result)) end
      return result, message
   end
end

local function search(parser)
   local c = parser:command("search", "Which recordings contain this call? The nearest windows of all recordings.")
   c:argument("query", "Sound file; the recording that it is itself is left out."):args("?")
   c:flag("--all", "No query: every recording against every other, the best pairs of windows.")
   c:option("--input", "Parquet file from `consolidate`."):argname("FILE"):count(1)
   local setting = cli.settings(c, require("bclua.workflow.search").options)
   setting("--top", "K", "How many hits.")
   setting("--per-recording", "N", "Hits of one recording (--all: of two) at most.")
   setting("--start", "S", "Search for the window that starts here (default: all of a short file, else its best " ..
      "motif).")
   setting("--seconds", "S", "Its length (default: the matrix profile's window).")
   setting("--channel", "C", "Of the query: mix, left, right, best or a number (default: as --input was made).")
   c:option("--features", "Folder that `extract` wrote (default: the one that was consolidated)."):argname("DIR")
   c:option("--dataset-root", "Folder that holds the source names: computes features that were not kept.")
      :argname("DIR")
   c:flag("--with-query", "Do not leave out the recording that is the query.")
   c:option("--output", "The hits as a .parquet or .csv file, too."):argname("FILE")
   cli.threads(cli.outcome(c))
   return function(o)
      if (o.query ~= nil) == (o.all == true) then c:error("expected a query or --all") end
      if o.all and (o.start or o.dataset_root or o.with_query or o.channel) then
         c:error("--start, --dataset-root, --with-query and --channel are for a query")
      end
      local module = require(o.all and "bclua.workflow.search.pairs" or "bclua.workflow.search")
      local result, message = module.run({query = o.query, input = o.input, top = o.top,
         per_recording = o.per_recording, start = o.start, seconds = o.seconds, features = o.features,
         dataset_root = o.dataset_root, with_query = o.with_query, output = o.output, force = o.force,
         channel = o.channel})
      if result then io.write(module.text(result, o.query)) end
      return result, message
   end
end

-- What the commands that show motifs have in common.
local function marks(c, schema, kind)
   local setting = cli.settings(c, schema)
   c:argument("input", "Parquet file from `consolidate`.")
   setting("--kind", "KIND", "motif, discord or both; calls: what looks most like calls (see `score`); or all.")
      :default(kind)
   setting("--top", "K", "Motifs and discords a recording.")
   setting("--calls", "N", "Likely calls of a recording at most.")
   c:option("--scores", "What `score` wrote, for calls (default: they are found below --dataset-root)."):argname("FILE")
   c:option("--species", "Only this species."):argname("S")
   return setting
end

local ROOT = "Folder that holds the source names (the one above train_audio)"

local function track(parser)
   local c = parser:command("motif-track", "All motifs, discords or likely calls as one sound file, with labels.")
   local setting = marks(c, require("bclua.workflow.listen").track_options, "motif")
   c:option("--dataset-root", ROOT .. "."):argname("DIR"):count(1)
   c:option("--output", "Sound file: .flac, .ogg or .wav; beside it, as .txt, an Audacity label track.")
      :argname("FILE"):count(1):convert(cli.sound_file("--output"))
   setting("--gap", "S", "Seconds of silence between windows.")
   cli.threads(c):flag("--strict", "Exit with an error if any recording failed.")
   return function(o)
      return require("bclua.workflow.listen").track({input = o.input, dataset_root = o.dataset_root, output = o.output,
         kind = o.kind, top = o.top, calls = o.calls, scores = o.scores, species = o.species, gap = o.gap})
   end
end

local function top_motif(parser)
   local c = parser:command("extract-top-motif", "Motifs, discords or likely calls of each recording as files.")
   local setting = marks(c, require("bclua.workflow.listen").top_options, "both")
   c:option("--dataset-root", ROOT .. "."):argname("DIR"):count(1)
   c:option("--output", "Folder: PATH_motif1a_START.FORMAT, ..._discord1_START."):argname("DIR"):count(1)
   setting("--format", "FORMAT", "flac, ogg or wav.")
   cli.threads(c):flag("--strict", "Exit with an error if any recording failed.")
   return function(o)
      return require("bclua.workflow.listen").top({input = o.input, dataset_root = o.dataset_root, output = o.output,
         kind = o.kind, top = o.top, calls = o.calls, scores = o.scores, species = o.species, format = o.format})
   end
end

local function labels(parser)
   local c = parser:command("labels", "Where motifs, discords and likely calls are: for Audacity, Raven, or as CSV.")
   local setting = marks(c, require("bclua.workflow.labels").options, "both")
   setting("--format", "FORMAT", "audacity: a label track a recording; raven: one selection table, the recordings " ..
      "as a sequence in order of their names; csv.")
   c:option("--output", "Folder for audacity: PATH.txt; file for the others."):argname("PATH"):count(1)
   c:option("--dataset-root", ROOT .. ": looks for the frequency band of each window (else: the full band).")
      :argname("DIR")
   c:option("--accepted", "accepted.csv of `browse`: the motifs accepted there."):argname("FILE")
   cli.threads(c):flag("--strict", "Exit with an error if any recording failed.")
   return function(o)
      return require("bclua.workflow.labels").run({input = o.input, kind = o.kind, top = o.top, calls = o.calls,
         scores = o.scores, species = o.species, format = o.format, output = o.output,
         dataset_root = o.dataset_root, accepted = o.accepted})
   end
end

local function import_labels(parser)
   local c = parser:command("import-labels", "Labels of Raven, Audacity, BirdNET, Kaleidoscope, any CSV as one table.")
   local setting = cli.settings(c, require("bclua.workflow.import_labels").options)
   c:argument("files", "Files of labels, and folders of them."):args("+")
   setting("--output", "FILE", "The labels, as a .parquet or .csv file."):count(1)
   c:option("--input", "Parquet file from `consolidate`: the recordings that have labels."):argname("FILE")
   c:option("--dataset-root", "The same, where there is none: " .. ROOT:gsub("^F", "f") .. ".")
      :argname("DIR")
   c:option("--column", "The column that is the label (default: Species, Annotation, Label, Common Name, ...).")
      :argname("NAME")
   cli.outcome(c)
   return function(o)
      return require("bclua.workflow.import_labels").run({files = o.files, output = o.output, input = o.input,
         dataset_root = o.dataset_root, column = o.column, force = o.force})
   end
end

local parser = cli.parser("scripts/motif.lua", "Find the repeated calls of recordings and sample triplets of them.", [[
Example, from recordings to tiles:
  bclua scripts/motif.lua extract --input birds/train_audio --output motif
  bclua scripts/motif.lua consolidate --input motif --output motif.parquet
  bclua scripts/motif.lua generate-triplets --input motif.parquet --output triplets.parquet --samples 1e5
  bclua scripts/motif.lua extract-triplets triplets.parquet --dataset-root birds --output tiles

Before training, what is the matter with the triplets:
  bclua scripts/motif.lua audit triplets.parquet --dataset-root birds

Of each recording the window that looks more like a call, motif or discord:
  bclua scripts/motif.lua score --input motif.parquet --dataset-root birds --output scores.parquet
  bclua scripts/motif.lua generate-triplets --input motif.parquet --output triplets.parquet \
    --pick best --scores scores.parquet

Which other recordings contain this call?
  bclua scripts/motif.lua search call.ogg --input motif.parquet
Which recordings share a call?
  bclua scripts/motif.lua search --all --input motif.parquet --top 20

Listen to all motifs, and label them in Audacity or Raven:
  bclua scripts/motif.lua motif-track motif.parquet --dataset-root birds --output motifs.flac
  bclua scripts/motif.lua labels motif.parquet --dataset-root birds --output labels
  bclua scripts/motif.lua labels motif.parquet --kind calls --scores scores.parquet --format raven \
    --output calls.txt

What others have labelled, as one table:
  bclua scripts/motif.lua import-labels raven/*.txt birdnet.csv --input motif.parquet --output labels.parquet
  bclua scripts/motif.lua generate-triplets --input motif.parquet --labels labels.parquet --output triplets.parquet]])
   :require_command(true):command_target("command")
local commands = {extract = extract(parser), consolidate = consolidate(parser),
   score = score(parser), audit = audit(parser),
   ["generate-triplets"] = generate(parser), ["extract-triplets"] = cut(parser),
   search = search(parser), ["motif-track"] = track(parser), ["extract-top-motif"] = top_motif(parser),
   labels = labels(parser), ["import-labels"] = import_labels(parser)}

local options = parser:parse()
local name = "motif " .. options.command
local _ <close> = cli.command(name)
local result, message = commands[options.command](options)
cli.finish(name, result, message, options)
