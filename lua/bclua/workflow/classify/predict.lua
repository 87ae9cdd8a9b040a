--- Find the classes of a model in any recordings: decoded, embedded and classified in one pass.
-- @module bclua.workflow.classify.predict
local array = require "bclua.array"
local classifier = require "bclua.classifier"
local detect = require "bclua.detect"
local display = require "bclua.display"
local encoder = require "bclua.encoder"
local exports = require "bclua.workflow.classify.exports"
local files = require "bclua.files"
local lock = require "bclua.lock"
local log_mel = require "bclua.workflow.classify.log_mel"
local manifest = require "bclua.data.manifest"
local partitioned_writer = require "bclua.workflow.predict.partitioned_writer"
local pieces = require "bclua.workflow.pieces"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local review = require "bclua.workflow.classify.review"
local sql = require "bclua.sql"
local stream = require "bclua.workflow.predict"
local system = require "bclua.system"
local train = require "bclua.workflow.classify.train"
local options_of = require "bclua.options"

local predict = {}

-- What the recordings are read and embedded with; their precision is that of the embeddings that trained.
local STREAM = options_of.extend(stream.options, {output = false, precision = false,
   checkpoint = {"string", arg = "FILE",
      text = "The network of the model's embeddings, where it is no longer where it was."}})

--- What `run` takes.
predict.options = options_of.extend(STREAM, detect.options, {
   model = {"string", argument = "model", text = "A file from `classify train`; none with --encoder."},
   encoder = options_of.extend(encoder.rule, {text = "In place of the model: anybody's network that has classes of " ..
      "its own, which FILE.json beside it names (doc/detect.md)."}),
   output = {"string", needed = true, arg = "DIR",
      text = "Folder to write; what is scored in it already is not done again."},
   format = {"choice", exports.formats, text = "Also csv, raven, audacity (a folder of tracks), birdnet or " ..
      "kaleidoscope."},
   review = {"integer", least = 1, most = 100000,
      text = "Draw N windows of each class, from all probabilities, to be judged by ear: review.csv."},
   seed = {"integer", default = 1, least = 0, text = "Seed of --review."}})

-- The checkpoint that a model's embeddings are of: the one that is given, else where it was at the training.
local function checkpoint_of(model, options)
   local path = options.checkpoint or model.about.checkpoint
   if type(path) == "string" and files.is_file(path) then return path end
   return nil, ("%s: its checkpoint is not there: %s (use --checkpoint)"):format(options.model, tostring(path))
end

-- A network's own classes as a model whose probabilities are what the network takes for them.
local function own_classes(path)
   local d, message = encoder.description(path)
   if not d then return nil, message end
   if not d.logits then
      return nil, path .. ": its description names no logits; for its embeddings there is `classify train`"
   end
   local model = {classes = {}, calibration = array.zeros({#d.labels, 2}, "f64"), about = {sample_rate = d.sample_rate}}
   for k, name in ipairs(d.labels) do model.classes[k] = {name = name} end
   model.calibration:slice(2, 1, 1):fill(1)
   return model
end

-- The model, and the network's path goes into the options.
local function open(options)
   if (options.model == nil) == (options.encoder == nil) then return nil, "one is needed: a model, or --encoder" end
   if options.encoder then
      if options.checkpoint then return nil, "--encoder has no further network (--checkpoint)" end
      if options.precision then
         return nil, options.encoder .. ": its probabilities were never held against labels: choose a --threshold"
      end
      return own_classes(options.encoder)
   end
   if encoder.is_onnx(options.model) then return nil, options.model .. ": a network, no model: say --encoder" end
   local model, message = classifier.load(options.model)
   if not model then return nil, message end
   options.checkpoint, message = checkpoint_of(model, options)
   if not options.checkpoint then return nil, message end
   return model
end

-- From embeddings and their windows to scores.
local function scorer(model, sample_rate)
   local name = model.features
   if name ~= train.log_mel and name ~= train.with_log_mel then return function(z) return model:scores(z) end end
   return function(z, windows)
      local plain = log_mel.statistics(windows, sample_rate)
      return model:scores(name == train.log_mel and plain or log_mel.append(z, plain))
   end
end

-- What `predict` writes in place of embeddings; refused where the network is another one.
local function job_of(model, options)
   return function(net)
      if options.encoder then return {step = "classify", kind = partitioned_writer.kinds.scores} end
      if encoder.identity(net) ~= model.about.weights then
         return nil, ("%s: was trained on embeddings of another checkpoint than %s"):format(options.model,
            options.checkpoint)
      end
      return {step = "classify", kind = partitioned_writer.kinds.scores, parameters = {classifier = model:identity()},
         of = scorer(model, net.options.sample_rate)}
   end
end

-- The scores of all windows into the folder.
local function score(model, options)
   local o = options_of.subset(options, STREAM)
   o.output, o.precision = options.output .. "/scores.parquet", model.about.precision
   o.channel = options.channel or model.about.channel
   return stream.run(o, job_of(model, options), options.encoder and "logits")
end

-- The folder to ourselves, unless shards are at work in it together.
local function lock_unless(is_shared, folder)
   if is_shared then return lock.take(nil) end
   return lock.folder(folder)
end

-- Classes that no threshold makes precise enough.
local function remarks(thresholds, precision)
   local list = {}
   for _, t in ipairs(thresholds) do
      if not t.threshold then
         list[#list + 1] = ("left out: %s, which was never called with a precision of %g (at best %.2f)"):format(
            t.label, precision, t.best)
      end
   end
   return list
end

-- A network may know thousands of classes: those that were found.
local function only_found(thresholds, detections)
   local rows, message = sql.query("select distinct label from " .. sql.parquet(detections))
   if not rows then return nil, message end
   local is_found, list = {}, {}
   for _, row in ipairs(rows) do is_found[row.label] = true end
   for _, t in ipairs(thresholds) do
      if is_found[t.label] then list[#list + 1] = t end
   end
   return list
end

--- Find the classes, and write what was found into a folder: `scores.parquet` (all windows; what is there already is
-- not done again, so that other thresholds cost nothing), `detections.parquet`, `summary.csv` (by day, site and class)
-- and what `format` asks for.
-- @tparam table options `model` (of `classify train`), or `encoder` (an ONNX file with classes of its own, see
-- `bclua.encoder`), `inputs` (recordings and folders), `output` (a folder);
-- `threshold` or `precision` as for `bclua.detect`; `format` (see `exports.formats`); `checkpoint` (default: where it
-- was at the training), `review` (so many windows of each class are drawn, see `bclua.workflow.classify.review`, with
-- `seed`), `hop`, `partial`, `channel`, `deployments`, `batch`, `shard`, `claim`, `stale`, `time_limit`, `force`,
-- `quiet` as for `bclua.workflow.predict`
-- @treturn[1] table as from `bclua.workflow.predict`, and `detections` (how many), `thresholds` (as from
-- `detect.find`), `by_class` (of each `label`, `threshold`, `detections`, `seconds`, `recordings`), `remarks`, `drawn`
-- @treturn[2] nil
-- @treturn[2] string message
function predict.run(options)
   options = options_of.check(options, predict.options)
   local model, message = open(options)
   if not model then return nil, message end
   local thresholds = options_of.subset(options, detect.options)
   local ok
   ok, message = detect.thresholds(model, thresholds)
   if not ok then return nil, message end
   local is_new = not files.exists(options.output)
   ok, message = system.mkdir(options.output)
   if not ok then return nil, message end
   local is_shared = pieces.is_shared(options, pieces.folder(options.output .. "/scores.parquet"))
   local alone <close>, busy = lock_unless(is_shared, options.output)
   if not alone then return nil, busy end
   local result
   result, message = score(model, options)
   if not result and is_new then
      alone:close()
      os.remove(options.output) -- where nothing is in it
   end
   if not result or result.stopped or is_shared and not result.merged then return result, message end
   local locked <close>, other = lock.take(options.output, manifest.patience_s) -- as several shards may come to the end
   if not locked then return nil, other end
   local made = provenance.of_parquet(options.output .. "/scores.parquet")
   made.threshold, made.wanted_precision = options.threshold, options.precision
   thresholds.output, thresholds.metadata = options.output .. "/detections.parquet", provenance.for_parquet(made)
   local found
   found, message = detect.find(options.output .. "/scores.parquet", model, thresholds)
   if not found then return nil, message end
   result.remarks = remarks(found.thresholds, options.precision)
   if options.encoder then
      found.thresholds, message = only_found(found.thresholds, thresholds.output)
      if not found.thresholds then return nil, message end
      result.remarks[1] = ("found: %d of the %d classes; probabilities are the network's own, not held against labels")
         :format(#found.thresholds, #model.classes)
   end
   result.thresholds = found.thresholds
   ok, message = exports.write(options.output, found.thresholds, {format = options.format,
      sample_rate = made.sample_rate})
   if not ok then return nil, message end
   result.by_class, result.detections = ok.by_class, ok.detections
   if options.review then
      result.drawn, message = review.draw(options.output, model, {windows = options.review, seed = options.seed})
      if not result.drawn then return nil, message end
   end
   progress.note("classify: " .. display.count(ok.detections, "detection"), options.quiet)
   return result
end

--- What was found, as text.
-- @tparam table result from `run`
-- @treturn string
function predict.text(result)
   local rows = {{"class", "threshold", "detections", "recordings", "minutes", "precision", "recall"}}
   for _, c in ipairs(result.by_class) do
      rows[#rows + 1] = {c.label, ("%.3f"):format(c.threshold), tostring(c.detections), tostring(c.recordings),
         ("%.1f"):format(c.seconds / 60), c.precision and ("%.3f"):format(c.precision) or "",
         c.recall and ("%.3f"):format(c.recall) or ""}
   end
   local lines = display.lines(rows, {false, true, true, true, true, true, true}, progress.columns())
   if result.drawn then
      lines[#lines + 1] = result.drawn == 0 and "review.csv is there already, and stays" or
         ("to be judged: %s in review.csv (verdict: yes, no or unsure), their sound in review/"):format(
         display.count(result.drawn, "window"))
   end
   table.move(result.remarks, 1, #result.remarks, #lines + 1, lines)
   return table.concat(lines, "\n")
end

return predict
