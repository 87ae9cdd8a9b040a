-- usage: bclua classify train|predict|update ... [options]
-- Learns calls from labels, and finds them in any recordings.
local cli = require "bclua.cli"
local display = require "bclua.display"

local function train(parser)
   local workflow = require "bclua.workflow.classify.train"
   local c = parser:command("train", "Learn classes from labels and the embeddings of their recordings; say how well.")
   cli.options(c, workflow.options, "labels embeddings output group background none log_mel balance c folds " ..
      "samples seed")
   cli.threads(c)
   return cli.tells(workflow)
end

local function predict(parser)
   local workflow = require "bclua.workflow.classify.predict"
   local c, of = cli.step(parser, "predict", "Find the classes of a model in any recordings: detections, and a " ..
      "summary by day and site.", workflow.options, "model inputs output encoder precision threshold format " ..
      "review seed checkpoint hop partial deployments channel batch shard claim stale time_limit")
   return function(o)
      cli.instead(c, o, "encoder", "model", "inputs")
      local result, message = cli.shared("classify", of(o), workflow.run)
      if result and result.by_class then print(workflow.text(result) .. "\nwritten: " .. o.output) end
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
      for _, one in ipairs(result.classes) do
         print(("%s: %s judged, %d yes%s"):format(one.label, display.count(one.judged, "window"), one.yes,
            one.used and "" or "; as it was, as verdicts are all alike"))
      end
      print("written: " .. o.output)
      return result
   end
end

local parser = cli.parser("classify", "Learn calls from labels, and find them in any recordings.", [[
Example:
  bclua classify train --labels labels.parquet --embeddings calls.parquet \
    --output calls.safetensors
  bclua classify predict calls.safetensors summer --output found --precision 0.9 \
    --format raven]])
   :require_command(true):command_target("command")
local commands = {train = train(parser), predict = predict(parser), update = update(parser)}

local options = parser:parse()
local name = "classify " .. options.command
local _ <close> = cli.command(name)
local result, message = commands[options.command](options)
cli.finish(name, result, message, options)
