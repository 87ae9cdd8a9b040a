-- usage: bclua browse RUN [--port N] [--labels FILE] [--embeddings FILE [--clusters FILE] | --review FILE]
-- Look through a run in a browser: listen, accept, reject, name.
local cli = require "bclua.cli"
local count = require("bclua.display").count
local options_of = require "bclua.options"
local server = require "bclua.workflow.browse.server"

local parser = cli.parser("browse", "Look through a run and listen to it, in a browser on this machine.", [[
Ctrl-C ends it. Verdicts are in RUN/accepted.csv; what can be done with them:
  bclua motif labels RUN/motif.parquet --accepted RUN/accepted.csv --format csv \
    --output labels.csv
  bclua motif generate-triplets --input RUN/motif.parquet --accepted-only \
    --output triplets.parquet
Examples:
  bclua browse runs/demo
  bclua browse runs/birds --port 8123 --dataset-root birds
  bclua browse runs/birds --labels labels.parquet
  bclua browse runs/birds --embeddings summer.parquet --clusters clusters.parquet
  bclua browse found
With embeddings, windows can be named; what is said is in RUN/verdicts.csv:
  bclua classify train --labels RUN/verdicts.csv --embeddings summer.parquet \
    --output calls.safetensors]])
local schema = options_of.extend(server.options, {port = options_of.extend(server.options.port, {default = 8080})})
cli.options(parser, schema, "run port dataset_root embeddings clusters labels log_mel review")
cli.threads(parser)
local o = parser:parse()
local _ <close> = cli.command("browse")
local options = options_of.subset(o, schema)
function options.ready(address, b)
   local windows = b.windows and count(b.windows.n, "window") .. ", " or ""
   print(("%s%s of %s: %s (Ctrl-C ends it)"):format(windows, count(#b.recordings, "recording"), b.run,
      address))
   io.stdout:flush()
end
local result, message = server.run(options)
cli.finish("browse", result, message)
