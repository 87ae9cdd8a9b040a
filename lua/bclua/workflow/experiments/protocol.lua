--- The ruler of all trainings: the same choices of recordings and seeds for each, rivals beside it, and differences
-- with an interval.
--
-- Two questions are asked. *held-out recordings*: a quarter of the recordings is kept away, another one in each split,
-- and their windows are named. *unseen species*: a third of the species is kept away, and windows of these are named;
-- that is how an embedding is used on other people's recordings. What is named is judged by logistic regression and
-- nearest neighbours on splits by recording, and with 1, 5 and 10 examples of each class; held-out recordings also by a
-- regression that the training's recordings teach, as who has labels of some would do.
-- @module bclua.workflow.experiments.protocol
local array = require "bclua.array"
local files = require "bclua.files"
local json = require "bclua.json"
local pipeline = require "bclua.workflow.pipeline"
local sampling = require "bclua.sampling"
local sql = require "bclua.sql"
local system = require "bclua.system"
local trial = require "bclua.workflow.experiments.trial"
local trials = require "bclua.workflow.experiments.trials"
local check_options = require("bclua.options").check

local protocol = {}

--- What is asked.
protocol.questions = {"held-out recordings", "unseen species"}

--- What is judged: a name in columns, and in words; the first is what is asked about.
protocol.subjects = {
   {"embedding", "embedding"},
   {"embedding_whitened", "embedding, whitened within recordings"},
   {"both", "embedding beside log-mel"},
   {"untrained", "untrained network"},
   {"mel", "log-mel mean and deviation"},
   {"whitened", "log-mel, whitened within recordings"},
}

--- How: a name in columns, and in words.
protocol.measures = {
   {"regression", "logistic regression"}, {"nearest", "5 nearest neighbours"}, {"shots_1", "1 example"},
   {"shots_5", "5 examples"}, {"shots_10", "10 examples"},
   {"taught", "a logistic regression taught by the training's recordings"},
}

local EXAMPLES = {1, 5, 10}
local UNSEEN = 3 -- one species of so many

-- ---- The question of unseen species ----

-- The species of a table, those of a split kept away.
local function split_species(motif, split)
   local rows, message = sql.query(("select distinct species from %s where species is not null order by species")
      :format(sql.parquet(motif)))
   if not rows then return nil, message end
   local order, seen, unseen = sampling.generator(split):shuffle(#rows), {}, {}
   for i, at in ipairs(order) do
      local list = i <= #rows // UNSEEN and unseen or seen
      list[#list + 1] = rows[at].species
   end
   if #unseen < 2 then
      return nil, ("%s: %d species, %d are needed to keep two away"):format(motif, #rows, 2 * UNSEEN)
   end
   return seen, unseen
end

local function quoted(list)
   local words = {}
   for i, name in ipairs(list) do words[i] = sql.quote(name) end
   return table.concat(words, ", ")
end

-- A run's folder with the recordings of some species, as far as a trial looks at it.
local function restrict(run, about, species, folder)
   local ok, message = system.mkdir(folder)
   local config
   if ok then config, message = files.read(run .. "/config.json") end
   if config then ok, message = system.write_file(folder .. "/config.json", config) end
   if not (ok and config) then return nil, message end
   local metadata
   metadata, message = sql.parquet_metadata(about.motif)
   if not metadata then return nil, message end
   local db <close> = assert(sql.open())
   return db:write_parquet(folder .. "/motif.parquet", ("select * from %s where species in (%s)"):format(
      sql.parquet(about.motif), quoted(species)), {metadata = metadata})
end

local function names_of(motif, where)
   local rows, message = sql.query(("select source_name from %s where %s order by source_name"):format(
      sql.parquet(motif), where))
   if not rows then return nil, message end
   local list = {}
   for i, row in ipairs(rows) do list[i] = row.source_name end
   return list
end

-- ---- Judging ----

-- Features of one scale beside each other, both of the same weight.
local function beside(a, b)
   local standardise = require("bclua.evaluate").standardise
   local x, y = standardise(a), standardise(b)
   local out = array.zeros({#x, x:shape(2) + y:shape(2)}, "f64")
   out:slice(2, 1, x:shape(2)):fill(x / math.sqrt(x:shape(2)))
   out:slice(2, x:shape(2) + 1, out:shape(2)):fill(y / math.sqrt(y:shape(2)))
   return out
end

-- Features of all subjects, in their order.
local function features_of(detail)
   local e, untrained, mel = detail.features[1].x, detail.features[2].x, detail.features[3].x
   local whiten = require "bclua.whiten"
   local x = {embedding = e, embedding_whitened = whiten.within(e, detail.recordings), both = beside(e, mel),
      untrained = untrained, mel = require("bclua.evaluate").standardise(mel),
      whitened = whiten.within(mel, detail.recordings)}
   local list = {}
   for i, subject in ipairs(protocol.subjects) do list[i] = {name = subject[1], x = x[subject[1]]} end
   return list
end

-- All measures of all subjects as one row of numbers: `embedding_regression`, ...; few-shot ones where there is enough.
local function measure(detail, splits)
   local features, row = features_of(detail), {}
   local result, message = require("bclua.evaluate").measures(features, detail.species, detail.recordings,
      {splits = splits})
   if not result then return nil, message end
   for _, r in ipairs(result.rows) do
      row[r.name .. "_regression"], row[r.name .. "_nearest"] = r.accuracy, r.knn.cosine
   end
   for _, n in ipairs(EXAMPLES) do
      local shots = require("bclua.evaluate.few_shot").accuracy(features, detail.species, detail.recordings,
         {examples = n})
      for _, r in ipairs(shots and shots.rows or {}) do row[("%s_shots_%d"):format(r.name, n)] = r.accuracy end
   end
   row.windows, row.classes, row.recordings, row.chance = result.windows, result.classes, 0, result.chance
   local counted = {}
   for _, name in ipairs(detail.recordings) do
      if not counted[name] then counted[name], row.recordings = true, row.recordings + 1 end
   end
   return row
end

-- What windows of the training's recordings teach of others, where they are enough.
local function add_taught(row, known, detail)
   for i, f in ipairs(known.features) do
      row[f.name .. "_taught"] = require("bclua.evaluate").taught({x = f.x, labels = known.species,
         recordings = known.recordings}, {x = detail.features[i].x, labels = detail.species})
   end
end

-- A checkpoint on some recordings of a table; `known`: those of the training, if they are to teach.
local function judge(checkpoint, about, recordings, known, o)
   local evaluate, tilenet = require "bclua.workflow.evaluate", require "bclua.tilenet"
   local net, message = tilenet.open(checkpoint)
   if not net then return nil, message end
   local fresh = evaluate.untrained(net, o.seed)
   local function look(names)
      local set, why = evaluate.collect{motif = about.motif, dataset_root = about.root, recordings = names,
         windows = o.windows, quiet = true, sample_rate = math.tointeger(net.options.sample_rate),
         fmin = net.options.fmin, fmax = net.options.fmax}
      if not set then return nil, why end
      local result, detail = evaluate.judge(set, {{name = "embedding", net = net}, {name = "untrained", net = fresh},
         {name = "mel", x = set.plain}}, {splits = 1})
      return result and detail, detail
   end
   local detail, row
   detail, message = look(recordings)
   if detail then row, message = measure(detail, o.splits) end
   if row and known then
      known, message = look(known)
      if known then add_taught(row, known, detail) else row = nil end
   end
   net:close()
   fresh:close()
   return row, message
end

local POINT = {run = {"string", needed = true}, folder = {"string", needed = true},
   question = {"choice", protocol.questions, needed = true}, split = {"integer", least = 1, needed = true},
   seed = {"integer", least = 0, default = 1}, settings = {"table", default = {}},
   windows = {"choice", require("bclua.workflow.evaluation_set").kinds, default = "best"},
   splits = {"integer", least = 1, default = 10}}

--- One training and its judgement.
-- @tparam table options `run`: folder of a pipeline's run, whose recordings have species; `folder`: for checkpoints;
-- `question`: one of `protocol.questions`; `split` (from 1): which recordings, or species, are kept away; `seed` of the
-- training; `settings`: what differs from the run's own, as of `trial.run`; `windows` that are judged ("best");
-- `splits` (10) of each judgement
-- @treturn[1] table by subject and measure, as `embedding_regression`, a number from 0 to 1; `chance`, `windows`,
-- `recordings`, `classes` that were judged; `seconds` of training
-- @treturn[2] nil
-- @treturn[2] string message
function protocol.run(options)
   local o = check_options(options, POINT)
   local about, message = trial.open(o.run)
   if not about then return nil, message end
   local run, settings, unseen = o.run, {evaluate = {splits = 1}}, nil -- judged is below
   for step, values in pairs(o.settings) do settings[step] = values end
   if o.question == "unseen species" then
      local seen
      seen, unseen = split_species(about.motif, o.split)
      if not seen then return nil, unseen end
      run = o.folder .. "/run"
      local ok
      ok, message = restrict(o.run, about, seen, run)
      if not ok then return nil, message end
   else
      settings.triplets = {seed = o.split}
      for name, value in pairs(o.settings.triplets or {}) do settings.triplets[name] = value end
   end
   local made
   made, message = trial.run{run = run, folder = o.folder, settings = settings, seed = o.seed, quiet = true}
   if not made then return nil, message end
   local recordings, known
   if unseen then
      recordings, message = names_of(about.motif, ("species in (%s)"):format(quoted(unseen)))
   else
      local drawn = require("bclua.data.provenance").of_parquet(o.folder .. "/triplets.parquet") or {}
      recordings = drawn.holdout_recordings
      if not recordings then return nil, "no recordings were kept away (triplets.holdout)" end
      known, message = names_of(about.motif, ("species is not null and source_name not in (%s)"):format(
         quoted(recordings)))
      if not known then return nil, message end
   end
   if not recordings then return nil, message end
   local row
   row, message = judge(made.fit.checkpoint, about, recordings, known, o)
   if not row then return nil, message end
   row.seconds, row.loss = made.seconds, made.loss
   return row
end

--- A setting as a user writes it: `fit.loss=supcon`, `network.z=128`.
-- @tparam string text
-- @treturn[1] table `name`, `value`: JSON, or else the text itself
-- @treturn[2] nil
-- @treturn[2] string message
function protocol.setting(text)
   local name, value = text:match("^([%w_.]+)=(.*)$")
   if not name then return nil, ("'%s' is not of the form NAME=VALUE"):format(text) end
   local parsed = json.decode(value)
   if parsed == nil or parsed == json.null then parsed = value end
   return {name = name, value = parsed}
end

local RUN = {run = {"string", needed = true}, path = {"string", needed = true}, set = {"table", default = {}},
   splits = {"integer", least = 1, default = 5}, seeds = {"table", default = {1, 2}}, windows = POINT.windows,
   options = {"table", default = {}}, quiet = "boolean"}

--- All trainings of a protocol, or what is missing of them.
-- @tparam table options `run`; `path` (Parquet) of the trials; `set`: settings by names with dots that differ from the
-- run's; `splits` (5), `seeds` ({1, 2}), `windows`; `options` as of `bclua.workflow.experiments.trials`: `rounds`,
-- `batches`, `force`, `retry`, `shard`; `quiet`
-- @treturn[1] table as from `sweep.run`
-- @treturn[2] nil
-- @treturn[2] string message: the run or a setting cannot be used, or all trials failed
function protocol.trials(options)
   local o = check_options(options, RUN)
   local about, message = trial.open(o.run)
   if not about then return nil, message end
   local changes = trials.over(trial.nested(o.set), trials.shortened(o.options))
   local settings
   settings, message = pipeline.change(about.settings, changes)
   message = not settings and message or pipeline.wrong(settings)
   if message then return nil, message end
   local list = {}
   for i = 1, o.splits do list[i] = i end
   local r
   r, message = require("bclua.experiment.sweep").run{path = o.path, name = "protocol", metric = "embedding_regression",
      maximise = true, grid = {question = protocol.questions, split = list}, seeds = o.seeds, force = o.options.force,
      retry = o.options.retry, shard = o.options.shard, quiet = o.quiet,
      fixed = {config = settings, windows = o.windows},
      f = function(p, context)
         return protocol.run{run = o.run, folder = context.folder, question = p.question, split = p.split,
            seed = p.seed, windows = o.windows, settings = changes}
      end}
   if not r then return nil, message end
   return trials.unless_all_failed(r)
end

return protocol
