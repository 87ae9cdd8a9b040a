--- Train a classifier on labels and the embeddings of their recordings.
-- @module bclua.workflow.classify.train
local classifier = require "bclua.classifier"
local examples = require "bclua.workflow.classify.examples"
local files = require "bclua.files"
local log_mel = require "bclua.workflow.classify.log_mel"
local progress = require "bclua.progress"
local options_of = require "bclua.options"

local train = {}

--- What the statistics of log-mel bands are called as features,
train.log_mel = "log-mel"
--- and these behind the embedding.
train.with_log_mel = "embedding and log-mel"

--- What `run` takes.
train.options = options_of.extend(classifier.options, {
   labels = {"list", of = "string", items = "paths", shortest = 1, needed = true, repeated = true, arg = "FILE",
      text = "Table from `motif import-labels`, or one with a column `verdict`; may be given several times."},
   embeddings = {"string", needed = true, arg = "FILE.parquet", text = "Table from `embed predict`."},
   output = {"string", needed = true, arg = "MODEL.safetensors", text = "File to write."},
   group = {"choice", {"recording", "site"}, default = "recording",
      text = "What is wholly in training or wholly held back: recording or site."},
   background = {"choice", {"negative", "ignore"}, default = "negative", text = "Windows of labelled recordings " ..
      "without a label: of no class (negative), or unknown (ignore), if not every call has a label."},
   none = {"list", of = "string", items = "texts", default = {"nocall"},
      text = "Texts of labels that say that nothing is heard, with commas between them."},
   log_mel = {"choice", {"auto", "yes", "no"}, default = "auto",
      text = "Statistics of log-mel bands beside the embedding: yes, no, or auto (if they help)."},
   quiet = "boolean"})

-- What may be used beside the embedding: with `auto` what cannot be computed is only said.
local function add_log_mel(set, options)
   if options.log_mel == "no" then return true end
   local plain, message = log_mel.of_windows(set, options.quiet)
   if not plain and options.log_mel == "yes" then return nil, message end
   if not plain then
      progress.note("classify train: without log-mel statistics: " .. message, options.quiet)
      return true
   end
   local both = {name = train.with_log_mel, x = log_mel.append(set.features[1].x, plain)}
   if options.log_mel == "yes" then
      set.features = {both}
   else
      set.features[2], set.features[3] = {name = train.log_mel, x = plain}, both
   end
   return true
end

-- What there is to say of labels and classes that are not used.
local function remarks(set, model)
   local list = {}
   if set.others > 0 then list[1] = "labels of recordings without embeddings: " .. set.others end
   if set.unused > 0 then list[#list + 1] = "labels in no window: " .. set.unused end
   for _, d in ipairs(model.dropped) do list[#list + 1] = ("left out: %s (%s)"):format(d.name, d.reason) end
   return list
end

--- Train, and save the model.
-- @tparam table options `labels`, `embeddings`, `group`, `background`, `none` as for
-- `bclua.workflow.classify.examples`; `output` (.safetensors); `log_mel` (`auto`: the embedding, statistics of log-mel
-- bands or both, whatever is best in cross-validation, where the recordings are there; `yes`: both; `no`); `c`,
-- `folds`, `balance`, `seed`, `samples` as for `bclua.classifier`; `quiet`
-- @treturn[1] model as from `classifier.train`, and `remarks` (what was not used, in sentences)
-- @treturn[2] nil
-- @treturn[2] string message
function train.run(options)
   options = options_of.check(options, train.options)
   local folder = files.dirname(options.output)
   if not files.is_folder(folder) then return nil, ("%s: no such folder: %s"):format(options.output, folder) end
   local set, message = examples.read(options)
   if not set then return nil, message end
   local ok
   ok, message = add_log_mel(set, options)
   if not ok then return nil, message end
   local model
   model, message = classifier.train(set, options_of.subset(options, classifier.options))
   if not model then return nil, options.labels[1] .. ": " .. message end
   local made = set.made
   model.about = {weights = made.weights, checkpoint = made.checkpoint, sample_rate = made.sample_rate,
      window_s = made.window_s, hop_s = made.hop_s, channel = made.channel, group = options.group, labels = set.labels,
      background = options.background, precision = made.precision}
   ok, message = model:save(options.output)
   if not ok then return nil, message end
   model.remarks = remarks(set, model)
   return model
end

-- How much each of several features won by.
local function tried(model)
   local words = {}
   for i, t in ipairs(model.tried) do words[i] = ("%s %.3f"):format(t.name, t.average_precision) end
   return table.concat(words, ", ")
end

--- What was learnt, as text.
-- @tparam model model from `run`
-- @treturn string
function train.text(model)
   local lines = {model:text(), ("features: %s, strength %g (mean average precision of %d folds by %s: %s)"):format(
      model.features, model.c, model.folds, model.about.group, tried(model))}
   lines[#lines + 1] = "in brackets: 95 % of samples of the recordings; precision and recall at a probability of 0.5"
   table.move(model.remarks, 1, #model.remarks, #lines + 1, lines)
   return table.concat(lines, "\n")
end

return train
