--- A sweep whose trials are trainings: a run's own settings, changed point by point.
-- @module bclua.workflow.experiments.trials
-- @usage
-- local r = assert(trials.run{run = "runs/birds", path = "lr.parquet", grid = {lr = {1e-4, 1e-3}}, seeds = {1, 2},
--    name = "rates", changes = function(p) return {fit = {lr = p.lr}} end, options = {rounds = 2}})
-- print(require("bclua.experiment.sweep").table(r, {metrics = trials.metrics}))
local account = require "bclua.workflow.account"
local cli = require "bclua.cli"
local progress = require "bclua.progress"
local shards = require "bclua.data.shards"
local sql = require "bclua.sql"
local sweep = require "bclua.experiment.sweep"
local trial = require "bclua.workflow.experiments.trial"
local check_options = require("bclua.options").check

local trials = {}

--- What is usually shown of a trial; a run without groups has no `group`.
trials.metrics = {"species", "group", "ordered", "validation", "loss"}

--- Options of all scripts that train so: `--rounds` and `--batches`, which shorten, `--force` and `--retry`.
-- @param parser from `experiment.parser`
function trials.options(parser)
   parser:option("--rounds", "Rounds of each training (default: as the run's)."):argname("N")
      :convert(cli.integer("--rounds", 1))
   parser:option("--batches", "Batches a round (default: as the run's)."):argname("N")
      :convert(cli.integer("--batches", 1))
   parser:flag("--force", "Forget what earlier calls with other settings did.")
   parser:flag("--retry", "Try again what failed.")
   return parser
end

--- The option `--shard`, of scripts that do nothing but trials.
-- @param parser
function trials.shard(parser)
   parser:option("--shard", "Only every Nth trial, from trial I on; whoever finds all of them done goes on to what " ..
      "they say."):argname("I/N"):convert(function(text)
      local shard, message = shards.parse(text)
      return shard and text, message and "--shard: " .. message
   end)
   return parser
end

--- Where other shards have trials that are not done yet, the script ends here.
-- @tparam string name of the command, for the message
-- @tparam table r from `run`
function trials.leave_to_others(name, r)
   if r.missing == 0 then return end
   progress.note(("%s: left to other shards: %d of %d trials"):format(name, r.missing, r.missing + #r.rows))
   os.exit(0, true)
end

--- What `--rounds` and `--batches` change of the settings.
-- @tparam table o `rounds`, `batches`, or nil
-- @treturn table
function trials.shortened(o) return {fit = {max_rounds = o.rounds, batches_per_round = o.batches}} end

--- Settings with others over them, step by step.
-- @tparam table changes by step, tables of values by name
-- @tparam table common what `changes` is laid over
-- @treturn table
function trials.over(changes, common)
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

--- A sweep of which something came.
-- @tparam table r from `sweep.run`
-- @treturn[1] table the same
-- @treturn[2] nil
-- @treturn[2] string message: all trials failed, and why the first did
function trials.unless_all_failed(r)
   if r.failed < #r.rows or r.missing > 0 then return r end
   return nil, account.all_failed(#r.rows, {{reason = r.rows[1].error}}, "trial")
end

local OPTIONS = {run = {"string", needed = true}, path = {"string", needed = true}, grid = "table", seeds = "table",
   quiet = "boolean", name = "string", changes = {"function", needed = true}, options = {"table", default = {}}}

--- Train and evaluate at each point and with each seed.
-- @tparam table options `run` (folder of a pipeline's run); `path`, `grid`, `seeds`, `quiet` as of `sweep.run`;
-- `name` of what is tried; `changes`: a function of a point that gives settings, as of `trial.run`; `options`: what a
-- parser with `trials.options` gave: `rounds` and `batches` instead of the run's, `force`, `retry`, `shard`
-- @treturn[1] table as from `sweep.run`; the metric is `species`
-- @treturn[2] nil
-- @treturn[2] string message: the run or the file cannot be used, or all trials failed
function trials.run(options)
   options = check_options(options, OPTIONS)
   local about, message = trial.open(options.run)
   if not about then return nil, message end
   local labelled = sql.query(("select count(species)::bigint n from %s"):format(sql.parquet(about.motif)))
   if labelled and labelled[1].n == 0 then
      return nil, about.motif .. ": no recording has a species, by which trials are compared"
   end
   local o = options.options
   local common = trials.shortened(o)
   local r
   r, message = sweep.run{path = options.path, grid = options.grid, seeds = options.seeds, metric = "species",
      maximise = true, name = options.name, quiet = options.quiet,
      force = o.force, retry = o.retry, shard = o.shard, fixed = {config = about.settings, common = common},
      f = function(p, context)
         local result, why = trial.run{run = options.run, folder = context.folder, seed = p.seed, quiet = true,
            settings = trials.over(options.changes(p), common)}
         if not result then return nil, why end
         if not result.evaluation then return nil, result.evaluation_message end
         return flat(result)
      end}
   if not r then return nil, message end
   return trials.unless_all_failed(r)
end

--- The table of a sweep, with those metrics that its rows have; an experiment is told which trials failed.
-- @tparam table r from `run`
-- @tparam table e from `experiment.open`
-- @treturn {table,...} rows, as from `sweep.table`
function trials.table(r, e)
   for _, row in ipairs(r.rows) do
      if row.error then e:warn(("%s, seed %d: %s"):format(row.point, row.seed, row.error)) end
   end
   local list = {}
   for _, name in ipairs(trials.metrics) do
      for _, row in ipairs(r.rows) do
         if type(row[name]) == "number" and list[#list] ~= name then list[#list + 1] = name end
      end
   end
   return sweep.table(r, {metrics = list})
end

return trials
