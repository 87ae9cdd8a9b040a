-- usage: bclua scripts/browse.lua RUN [--port N] [--labels FILE]
-- Look through a run and listen to it, in a browser on this machine; accept and reject motifs.
local cli = require "bclua.cli"

local parser = cli.parser("scripts/browse.lua", "Look through a run and listen to it, in a browser on this machine.", [[
Ctrl-C ends it. Verdicts are in RUN/accepted.csv; what can be done with them:
  bclua scripts/motif.lua labels RUN/motif.parquet --accepted RUN/accepted.csv --format csv --output labels.csv
  bclua scripts/motif.lua generate-triplets --input RUN/motif.parquet --accepted-only --output triplets.parquet
Examples:
  bclua scripts/browse.lua runs/demo
  bclua scripts/browse.lua runs/birds --port 8123 --dataset-root birds
  bclua scripts/browse.lua runs/birds --labels labels.parquet]])
parser:argument("run", "Folder that `pipeline` wrote, or another that has a motif.parquet from `motif consolidate`.")
parser:option("--port", "Of 127.0.0.1 (0: any that is free)."):argname("N"):default("8080")
   :convert(cli.integer("--port", 0, 65535))
parser:option("--dataset-root", "Folder that holds the source names (default: what the run's config.json says).")
   :argname("DIR")
parser:option("--labels", "What `import-labels` wrote: labels are marks on the pictures, and a list to listen to.")
   :argname("FILE")
cli.threads(parser)
local o = parser:parse()
local _ <close> = cli.command("browse")
local result, message = require("bclua.workflow.browse.server").run({run = o.run, dataset_root = o.dataset_root,
   labels = o.labels, port = o.port, ready = function(address, b)
      print(("%d recordings of %s: %s (Ctrl-C ends it)"):format(#b.recordings, b.run, address))
      io.stdout:flush()
   end})
cli.finish("browse", result, message)
