--- A sweep whose trials are trainings: a run's own settings, changed point by point.
-- @module bclua.workflow.trials
-- @usage
-- local r = assert(trials.run{run = "runs/birds", path = "lr.parquet", grid = {lr = {1e-4, 1e-3}}, seeds = {1, 2},
--    name = "rates", changes = function(p) return {fit = {lr = p.lr}} end})
-- print(require("bclua.sweep").table(r, {metrics = trials.metrics}))
local cli = require "bclua.cli"
local files = require "bclua.files"
local sweep = require "bclua.sweep"
local trial = require "bclua.workflow.trial"

local trials = {}

--- What is usually shown of a trial; a run without groups has no `group`.
trials.metrics = {"species", "group", "ordered", "validation", "loss"}

--- Options that shorten all trainings alike: `--rounds`, `--batches`.
-- @param parser from `experiment.parser`
function trials.options(parser)
   parser:option("--rounds", "Rounds of each training (default: as the run's)."):argname("N")
      :convert(cli.integer("--rounds", 1))
   parser:option("--batches", "Batches a round (default: as the run's)."):argname("N")
      :convert(cli.integer("--batches", 1))
   return parser
end

-- Settings with others over them, step by step.
local function over(changes, common)
   local result = {}
   for _, settings in ipairs({common, changes}) do
      for step, values in pairs(settings) do
         result[step] = result[step] or {}
         for name, value in pairs(values) do result[step][name] = value end
      end
   end
   return result
end

-- The numbers of a trial.
local function flat(r)
   local row = {ordered = type(r.fit.validation) == "table" and r.fit.validation.ordered or nil}
   for name, value in pairs(r) do
      if type(value) == "number" then row[name] = value end
   end
   return row
end

--- Train and evaluate at each point and with each seed.
-- @tparam table options `run` (folder of a pipeline's run); `path`, `grid`, `seeds`, `quiet` as of `sweep.run`;
-- `name` of what is tried; `changes`: a function of a point that gives settings, as of `trial.run`; `rounds`,
-- `batches`: instead of the run's
-- @treturn[1] table as from `sweep.run`; the metric is `species`
-- @treturn[2] nil
-- @treturn[2] string message: the run or the file cannot be used, or all trials failed
function trials.run(options)
   local about, message = trial.open(options.run)
   if not about then return nil, message end
   local common = {fit = {max_epochs = options.rounds, batches_per_epoch = options.batches}}
   local r
   r, message = sweep.run{path = options.path, grid = options.grid, seeds = options.seeds, metric = "species",
      maximise = true, name = options.name, quiet = options.quiet,
      fixed = {config = files.json(about.settings), common = files.json(common)},
      f = function(p, context)
         local result, why = trial.run{run = options.run, folder = context.folder, seed = p.seed, quiet = true,
            settings = over(options.changes(p), common)}
         if not result then return nil, why end
         if not result.evaluation then return nil, result.evaluation_message end
         return flat(result)
      end}
   if not r then return nil, message end
   if r.failed == #r.rows then return nil, ("all %d trials failed, the first: %s"):format(#r.rows, r.rows[1].error) end
   return r
end

--- The metrics that a sweep's rows have.
-- @tparam table r from `run`
-- @treturn {string,...}
function trials.found(r)
   local list = {}
   for _, name in ipairs(trials.metrics) do
      for _, row in ipairs(r.rows) do
         if type(row[name]) == "number" and list[#list] ~= name then list[#list + 1] = name end
      end
   end
   return list
end

return trials
