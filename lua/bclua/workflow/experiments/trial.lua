--- One training with changed settings, and its evaluation: what an experiment repeats.
-- It stands on the folder of a pipeline's run, whose motifs and recordings it uses; nothing
-- of the run is changed (call scores are kept in its folder `experiments`).
-- @module bclua.workflow.experiments.trial
-- @usage
-- local r = assert(trial.run{run = "runs/birds", folder = "runs/birds/experiments/wide/1",
--    settings = {network = {z = 256}, fit = {max_rounds = 2}}})
-- print(r.species, r.seconds)
local files = require "bclua.files"
local pipeline = require "bclua.workflow.pipeline"
local schemas = require "bclua.data.schemas"
local system = require "bclua.system"
local tables = require "bclua.data.tables"
local check_options = require("bclua.options").check

local trial = {}

-- What `trial.run` needs and takes.
local OPTIONS = {run = {"string", needed = true}, folder = {"string", needed = true},
   settings = {"table", default = {}}, seed = {"integer", least = 0}, quiet = "boolean"}

--- What a run of the pipeline was made with and from.
-- @tparam string run its folder
-- @treturn[1] table `settings` (all of `pipeline.defaults`, the run's own laid over), `motif` (path), `root`
-- (the folder in which source names begin), `data` (the folder of recordings), `taxonomy` (path or nil)
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function trial.open(run)
   local path = run .. "/config.json"
   if not files.exists(path) then
      return nil, path .. ": no such file (a folder that `bclua pipeline --run` has made is needed)"
   end
   local about, message = tables.read_json(path, schemas.config)
   if not about then return nil, message end
   local network = about.config.network
   if type(network) == "table" then -- of a run before there were others
      network.pooling, network.projection = network.pooling or "mean", network.projection or 0
   end
   local settings
   settings, message = pipeline.change(pipeline.defaults, about.config, function() end) -- nobody has typed them
   message = not settings and message or pipeline.wrong(settings)
   if message then return nil, path .. ": " .. message end
   local layout
   layout, message = require("bclua.data.recordings").layout(about.data)
   if not layout then return nil, message end
   local motif = run .. "/motif.parquet"
   if not files.exists(motif) then return nil, motif .. ": no such file (the run is not finished)" end
   return {settings = settings, motif = motif, root = layout.root, data = about.data,
      taxonomy = layout.taxonomy}
end

local function with(common, more)
   for k, v in pairs(more) do common[k] = v end
   return common
end

-- The numbers of an evaluation, flat: `species` is the embedding's accuracy, `species_mel`
-- that of the plain features.
local function flat(row, evaluation)
   for _, part in ipairs(evaluation.retrieval or {}) do
      for i, ending in ipairs{"", "_untrained", "_mel"} do
         row[part.name .. ending] = part.rows[i].precision.cosine
      end
   end
   if evaluation.retrieval then return end
   for name, part in pairs{species = evaluation, group = evaluation.group} do
      row[name], row[name .. "_spread"] = part.rows[1].accuracy, part.rows[1].spread
      row[name .. "_untrained"], row[name .. "_mel"] = part.rows[2].accuracy, part.rows[3].accuracy
      local over = part.comparisons[2] -- plain features on the same splits
      row[name .. "_over_mel"], row[name .. "_over_mel_spread"] = over.difference, over.spread
      row[name .. "_over_mel_won"] = over.won
   end
end

-- Megabytes for decoded sound: all of it, where a quarter of what is free holds that, for a trial is
-- short, and decoding would be most of it.
local function cache_for(motif, least)
   local sql = require "bclua.sql"
   local row = sql.query(("select sum(duration_seconds * sample_rate)::double n from %s"):format(sql.parquet(motif)))[1]
   local all, free = (row.n or 0) * 4 * 1.1 / 1e6, (system.memory_free() or 0) / 4 / 1e6
   return math.max(least, math.floor(math.min(all, free)))
end

-- The call scores of a run's recordings, measured once for all trials.
local function scores_of(run, about, calls, quiet)
   local path = ("%s/experiments/scores-%d.parquet"):format(run, calls)
   local _, made = files.stamp(path)
   local _, changed = files.stamp(about.motif)
   if made and made >= changed then return path end
   local ok, message = system.mkdir(run .. "/experiments")
   if not ok then return nil, message end
   local scored
   scored, message = require("bclua.workflow.score").run({input = about.motif, dataset_root = about.root, output = path,
      calls = calls, quiet = quiet})
   if not scored then return nil, message end
   return path
end

--- Draw triplets, train on windows cut from the recordings as they are needed, evaluate.
-- @tparam table options
--
--  * `run`: folder of a pipeline's run
--  * `folder`: for triplets and checkpoints; a second call with the same settings goes on there
--  * `settings`: what differs from the run's own, as in `pipeline.defaults`
--  * `seed`: of the first weights and the order of triplets; which triplets there are, and which
--    recordings are kept for evaluation, follows from `settings.triplets.seed`
--  * `quiet`
-- @treturn[1] table numbers: `loss` (of the last round), `validation`, `species`, `species_spread`,
-- `species_untrained`, `species_mel` (accuracies), `species_over_mel` (with `_spread`, `_won`: the paired comparison
-- over splits), `group`... (the same by group, where triplets are
-- grouped by more than species; where there are no species, precision by `recording`, `recording_untrained`,
-- `recording_mel`, and the same by `site`), `seconds` (of training), `parameters`; and tables: `fit`, `evaluation` in
-- full, or why there is none (`evaluation_message`)
-- @treturn[2] nil
-- @treturn[2] string message: a setting that does not exist, a run that cannot be used, what went wrong
function trial.run(options)
   options = check_options(options, OPTIONS)
   local about, message = trial.open(options.run)
   if not about then return nil, message end
   local c
   c, message = pipeline.change(about.settings, options.settings)
   message = not c and message or pipeline.wrong(c)
   if message then return nil, message end
   local ok
   ok, message = system.mkdir(options.folder)
   if not ok then return nil, message end
   local triplets, scores = options.folder .. "/triplets.parquet", nil
   local draw = require "bclua.workflow.triplets"
   if require("bclua.workflow.triplets.windows").needs_scores(draw.of_settings(c.triplets)) then
      scores, message = scores_of(options.run, about, c.triplets.calls, options.quiet)
      if not scores then return nil, message end
   end
   ok, message = draw.run(with({input = about.motif, output = triplets,
      taxonomy = about.taxonomy, dataset_root = about.root, scores = scores, quiet = options.quiet},
      draw.of_settings(c.triplets, c.data)))
   if not ok then return nil, message end
   local start = system.clock()
   local learnt
   learnt, message = require("bclua.workflow.fit").run(with(with({triplets = triplets, run = options.folder,
      network = c.network, motif = about.motif, dataset_root = about.root, quiet = options.quiet}, c.fit),
      {seed = options.seed or c.fit.seed, cache_mb = cache_for(about.motif, c.fit.cache_mb)}))
   if not learnt then return nil, message end
   local result = {loss = learnt.loss, validation = learnt.validation and learnt.validation.loss,
      parameters = learnt.parameters, seconds = system.clock() - start, fit = learnt}
   local evaluate = require "bclua.workflow.evaluate"
   result.evaluation, message = evaluate.run(with({checkpoint = learnt.checkpoint, motif = about.motif,
      dataset_root = about.root, quiet = options.quiet}, evaluate.of_settings(c.evaluate)))
   if result.evaluation then flat(result, result.evaluation) else result.evaluation_message = message end
   return result
end

--- The parameters that `trial.point` takes, with their defaults: for `known` of `bclua.experiment.sweep`.
-- @treturn table
function trial.parameters()
   local known = with({run = ""}, pipeline.defaults)
   known.fit = with({}, known.fit)
   for name, rule in pairs(require("bclua.workflow.fit").settings) do -- what was called otherwise, too
      if rule.was then known.fit[rule.was] = known.fit[name] end
   end
   return known
end

--- Settings by names with dots as nested tables: `["network.z"] = 64` becomes `{network = {z = 64}}`.
-- @tparam table values
-- @treturn table
function trial.nested(values)
   local settings = {}
   for name, value in pairs(values) do
      local at, last = settings, nil
      for part in name:gmatch("[^.]+") do
         if last then
            at[last] = at[last] or {}
            at = at[last]
         end
         last = part
      end
      at[last] = value
   end
   return settings
end

--- `trial.run` for `bclua.experiment.sweep`: `{module = "bclua.workflow.experiments.trial", name = "point"}`.
-- @tparam table parameters `run`, `seed`, and settings by names with dots: `["network.z"] = 64`
-- @tparam table context of the sweep: its `folder` is used
-- @treturn[1] table as `trial.run`
-- @treturn[2] nil
-- @treturn[2] string message
function trial.point(parameters, context)
   local settings = trial.nested(parameters)
   settings.run, settings.seed = nil, nil
   return trial.run{run = parameters.run, folder = context.folder, settings = settings, seed = parameters.seed,
      quiet = true}
end

return trial
