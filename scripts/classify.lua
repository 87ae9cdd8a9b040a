-- usage: bclua scripts/classify.lua train|predict|update ... [options]
-- Learns calls from labels, and finds them in any recordings.
local cli = require "bclua.cli"

local function train(parser)
   local c = parser:command("train", "Learn classes from labels and the embeddings of their recordings; say how well.")
   c:option("--labels", "Table from `motif import-labels`, or one with a column `verdict`; may be given several times.")
      :argname("FILE"):count("+")
   c:option("--embeddings", "Table from `embed predict`."):argname("FILE.parquet"):count(1)
   c:option("--output", "File to write."):argname("MODEL.safetensors"):count(1)
   local setting = cli.settings(c, require("bclua.workflow.classify.train").options)
   setting("--group", "KIND", "What is wholly in training or wholly held back: recording or site.")
   setting("--background", "KIND", "Windows of labelled recordings without a label: of no class (negative), or " ..
      "nobody knows (ignore), where not every call has a label.")
   c:option("--none", "Texts of labels that say that nothing is heard, with commas between them."):argname("LIST")
      :default("nocall")
   setting("--log-mel", "KIND", "Statistics of log-mel bands beside the embedding: yes, no, or auto (what is best " ..
      "of the embedding, these and both).")
   setting("--balance", "KIND", "equal: windows that are of a class weigh as much as all others; none.")
   setting("--c", "X", "Strength: weight of the data against that of small weights (default: by cross-validation).")
   setting("--folds", "N", "Of cross-validation.")
   setting("--samples", "N", "Of recordings, for the intervals.")
   setting("--seed", "N", "Of folds and samples.")
   cli.threads(c)
   return function(o)
      local workflow = require "bclua.workflow.classify.train"
      local none = {}
      for word in o.none:gmatch("[^,]+") do none[#none + 1] = word end
      local result, message = workflow.run({labels = o.labels, embeddings = o.embeddings, output = o.output,
         group = o.group, background = o.background, none = none, log_mel = o.log_mel, balance = o.balance, c = o.c,
         folds = o.folds, samples = o.samples, seed = o.seed})
      if result then print(workflow.text(result) .. "\nwritten: " .. o.output) end
      return result, message
   end
end

local function predict(parser)
   local c = parser:command("predict", "Find the classes of a model in any recordings: detections, and a summary by " ..
      "day and site.")
   c:argument("model", "A file from `classify train`.")
   c:argument("inputs", "Recordings, and folders of them."):args("+")
   c:option("--output", "Folder to write; what is scored in it already is not done again."):argname("DIR"):count(1)
   local setting = cli.settings(c, require("bclua.workflow.classify.predict").options)
   setting("--precision", "P", "Call each class from the probability on at which this share of its windows, on " ..
      "recordings held back in training, was right.")
   setting("--threshold", "P", "Call all classes from this probability on (without --precision: 0.5).")
   setting("--format", "KIND", "Also csv, raven, audacity (a folder of tracks), birdnet or kaleidoscope.")
   setting("--review", "N", "Draw N windows of each class, from all probabilities, to be judged by ear: review.csv.")
   setting("--seed", "N", "Of these.")
   c:option("--checkpoint", "The network of the model's embeddings, where it is no longer where it was.")
      :argname("FILE")
   setting("--hop", "S", "Seconds from window to window (default: the length of a window, 5).")
   setting("--partial", "KIND", "A last window that the recording does not fill: pad it with silence, or drop it.")
   setting("--deployments", "CSV", "Where each recorder was and when (see `motif extract`): for clock times and sites.")
   setting("--channel", "C", "mix (the mean of all), left, right, best or a number (default: as in training).")
   setting("--batch", "N", "Windows at once: memory only.")
   cli.outcome(cli.threads(c))
   return function(o)
      local workflow = require "bclua.workflow.classify.predict"
      local result, message = workflow.run({model = o.model, inputs = o.inputs, output = o.output,
         precision = o.precision, threshold = o.threshold, format = o.format, review = o.review, seed = o.seed,
         checkpoint = o.checkpoint, hop = o.hop, partial = o.partial, deployments = o.deployments,
         channel = o.channel, batch = o.batch, force = o.force})
      if result then print(workflow.text(result) .. "\nwritten: " .. o.output) end
      return result, message
   end
end

local function update(parser)
   local c = parser:command("update", "Probabilities and thresholds of a model by verdicts on windows of other " ..
      "recordings.")
   c:argument("model", "A file from `classify train`.")
   c:argument("review", "review.csv from `classify predict --review`, with verdicts.")
   c:option("--output", "File to write."):argname("MODEL.safetensors"):count(1)
   return function(o)
      local result, message = require("bclua.workflow.classify.review").update{model = o.model, review = o.review,
         output = o.output}
      if not result then return nil, message end
      for _, c_ in ipairs(result.classes) do
         print(("%s: %d windows judged, %d yes%s"):format(c_.label, c_.judged, c_.yes,
            c_.used and "" or "; as it was, as verdicts are all alike"))
      end
      print("written: " .. o.output)
      return result
   end
end

local parser = cli.parser("scripts/classify.lua", "Learn calls from labels, and find them in any recordings.", [[
Example:
  bclua scripts/classify.lua train --labels labels.parquet --embeddings calls.parquet
    --output calls.safetensors
  bclua scripts/classify.lua predict calls.safetensors summer --output found --precision 0.9
    --format raven]])
   :require_command(true):command_target("command")
local commands = {train = train(parser), predict = predict(parser), update = update(parser)}

local options = parser:parse()
local name = "classify " .. options.command
local _ <close> = cli.command(name)
local result, message = commands[options.command](options)
cli.finish(name, result, message, options)
