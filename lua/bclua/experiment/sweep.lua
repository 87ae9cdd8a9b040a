--- Sweeps: one function, many parameters; every trial a row of one Parquet file.
--
-- A trial is a point (a table of parameters) and a seed. The file is written anew after each trial, so
-- that a sweep that was stopped or killed goes on with what is missing; a trial that fails is a row with its error.
--
-- Columns of the file: `id`; `rung` (of halving); the parameters; `seed`; the metric, then whatever else the
-- function returned (a name that is taken gets `result.` before it); `wall_s`, `cpu_s`, `peak_bytes` (most memory
-- of the process meanwhile), `error`, `point` (the parameters as JSON: all seeds of a point have the same).
--
-- The function is either a Lua function, called here, one trial after the other; or one of a module, called in
-- processes of their own, several at a time: there the trial that runs out of memory or crashes is a row, too.
-- @module bclua.experiment.sweep
-- @usage
-- local sweep = require "bclua.experiment.sweep"
-- local r = assert(sweep.run{path = "runs/lr.parquet", grid = {lr = {1e-3, 1e-2}, z = {32, 64}}, seeds = {1, 2, 3},
--    metric = "loss", f = function(p) return {loss = train(p.lr, p.z, p.seed)} end})
-- print(sweep.table(r))
-- sweep.plot(r, "lr", "lr.svg")
local display = require "bclua.display"
local files = require "bclua.files"
local is_finite = require("bclua.numbers").is_finite
local options_of = require "bclua.experiment.sweep.options"
local points = require "bclua.experiment.sweep.points"
local pool = require "bclua.experiment.sweep.pool"
local progress = require "bclua.progress"
local shards = require "bclua.data.shards"
local store = require "bclua.experiment.sweep.store"
local system = require "bclua.system"
local view = require "bclua.experiment.sweep.view"
local worker = require "bclua.experiment.sweep.worker"

local sweep = {}

--- Draw evenly from least..most. Six digits.
-- @function uniform
-- @tparam number least
-- @tparam number most
sweep.uniform = points.uniform
--- Draw so that each factor is as likely, as for learning rates. Six digits.
-- @function log_uniform
-- @tparam number least more than 0
-- @tparam number most
sweep.log_uniform = points.log_uniform
--- Draw a whole number of least..most.
-- @function integer
-- @tparam integer least
-- @tparam integer most
sweep.integer = points.integer
--- Draw from a list; a plain list means the same.
-- @function choice
-- @tparam {any,...} list
sweep.choice = points.choice

-- ---- trials ----

local function with(...)
   local all = {}
   for _, t in ipairs({...}) do
      for k, v in pairs(t) do all[k] = v end
   end
   return all
end

-- A trial of each point and seed.
local function plan(s, list, rung)
   local trials = {}
   for _, point in ipairs(list) do
      local text = points.text(point)
      for _, seed in ipairs(s.o.seeds) do
         local id = points.hash(("%s seed %d"):format(text, seed))
         local parameters = with(s.o.fixed, point, {seed = seed})
         local folder = s.folder .. "/" .. id
         trials[#trials + 1] = {id = id, rung = rung, point = point, text = text, seed = seed, folder = folder,
            parameters = parameters, context = {id = id, seed = seed, folder = folder},
            key = points.hash(points.text(s.o.identity) .. points.text(parameters))}
         s.store:plan(id)
      end
   end
   return trials
end

local function describe(trial)
   local words = {}
   for i, name in ipairs(points.sorted(trial.point)) do words[i] = name .. "=" .. points.text(trial.point[name]) end
   words[#words + 1] = "seed=" .. trial.seed
   return table.concat(words, " ")
end

local function make_row(s, trial, outcome)
   local row = with(trial.point, {id = trial.id, rung = trial.rung, seed = trial.seed, point = trial.text,
      wall_s = outcome.wall_s, cpu_s = outcome.cpu_s, peak_bytes = outcome.peak_bytes, error = outcome.error})
   for name, value in pairs(outcome.metrics or {}) do
      local taken = points.reserved[name] or name == "seed" or s.names[name]
      row[taken and "result." .. name or name] = value
   end
   local metric = s.o.metric
   if metric and not row.error and type(row[metric]) ~= "number" then
      row.error = ("returned no number '%s'"):format(metric)
   end
   return row
end

-- Keep what came of a trial: the row in the file, then the folder may go.
local function finish(s, trial, outcome)
   local row = make_row(s, trial, outcome)
   s.store:put(row, true)
   local ok, message = s.store:write()
   if not ok then error({message = message}, 0) end
   if not row.error and not s.o.keep then files.remove(trial.folder) end
   s.ran, s.done = s.ran + 1, s.done + 1
   if row.error then
      s.failed = s.failed + 1
      progress.note(("sweep: %s: %s"):format(describe(trial), row.error), s.o.quiet)
   end
   s.bar:update(s.ran)
   if s.o.on_trial then
      progress.clear() -- it may print
      s.o.on_trial(row)
   end
end

-- One after the other, here.
local function run_here(s, trials)
   for _, trial in ipairs(trials) do
      local ok, message = system.mkdir(trial.folder)
      if not ok then error({message = message}, 0) end
      local outcome = worker.call(s.o.f, with(trial.parameters), with(trial.context))
      if outcome.interrupted then error("interrupted!", 0) end
      finish(s, trial, outcome)
   end
end

local function run_there(s, trials)
   local threads = math.max(1, system.threads() // s.o.workers)
   pool.run(trials, {module = s.o.module, name = s.o.name, workers = s.o.workers, threads = threads},
      function(trial, outcome) finish(s, trial, outcome) end)
end

-- Every Nth of the trials, where others do the rest.
local function ours(s, trials)
   local shard = s.o.shard and shards.parse(s.o.shard)
   if not shard then return trials end
   local list = {}
   for i = shard.index, #trials, shard.count do list[#list + 1] = trials[i] end
   return list
end

-- Do what is missing of some trials.
local function execute(s, trials)
   local missing = {}
   for _, trial in ipairs(trials) do
      local row = s.store:find(trial.id)
      if row and (row.error == nil or not s.o.retry) then
         if row.rung == nil and trial.rung then row.rung = trial.rung end
         if row.error then s.failed, s.failed_before = s.failed + 1, s.failed_before + 1 end
         s.done, s.bar.before = s.done + 1, s.bar.before + 1
      else
         if row then files.remove(trial.folder .. "/result.lua") end
         missing[#missing + 1] = trial
      end
   end
   if #missing > 0 then (s.o.module and run_there or run_here)(s, missing) end
end

-- ---- successive halving ----

-- How much of the resource each rung gets: least, times factor, ..., most.
local function resources(h)
   local list, whole = {}, math.tointeger(h.least) and math.tointeger(h.most)
   local r = h.least
   while r < h.most do
      local amount = whole and math.floor(r + 0.5) or r
      if amount ~= list[#list] and amount < h.most then list[#list + 1] = amount end
      r = r * h.factor
   end
   list[#list + 1] = whole or h.most
   return list
end

-- The best of a rung's points, by the mean of the metric over seeds. A point of which a seed failed, or whose
-- metric is not finite, does not go on; of equal ones the first does.
local function survivors(s, list, trials)
   local ranked, n = {}, #s.o.seeds
   for i, point in ipairs(list) do
      local sum = 0
      for k = (i - 1) * n + 1, i * n do
         local row = s.store:find(trials[k].id)
         sum = sum + (row.error == nil and row[s.o.metric] or 0 / 0)
      end
      local score = s.o.maximise and -sum / n or sum / n
      if is_finite(score) then ranked[#ranked + 1] = {point = point, place = i, score = score} end
   end
   table.sort(ranked, function(a, b)
      if a.score ~= b.score then return a.score < b.score end
      return a.place < b.place
   end)
   local kept = {}
   for i = 1, math.min(#ranked, math.max(1, math.floor(#list / s.o.halving.factor))) do kept[i] = ranked[i] end
   table.sort(kept, function(a, b) return a.place < b.place end)
   for i, one in ipairs(kept) do kept[i] = one.point end
   return kept
end

local function halve(s)
   local h, list = s.o.halving, s.o.points
   local rungs = resources(h)
   for rung, resource in ipairs(rungs) do
      local here = {}
      for i, point in ipairs(list) do here[i] = with(point, {[h.parameter] = resource}) end
      local trials = plan(s, here, rung)
      execute(s, trials)
      if rung < #rungs then list = survivors(s, list, trials) end
      if #list == 0 then
         progress.note(("sweep: no point of rung %d has a finite '%s'"):format(rung, s.o.metric), s.o.quiet)
         return
      end
   end
end

-- How many trials halving has at most.
local function count(o)
   local n, shard = #o.points, o.shard and shards.parse(o.shard) or {index = 1, count = 1}
   if not o.halving then return (n * #o.seeds - shard.index) // shard.count + 1 end
   local sum = 0
   for _ in ipairs(resources(o.halving)) do
      sum, n = sum + n, math.max(1, math.floor(n / o.halving.factor))
   end
   return sum * #o.seeds
end

local function all(s)
   if s.o.halving then
      halve(s)
   else
      execute(s, ours(s, plan(s, s.o.points)))
   end
   local ok, message = s.store:write() -- the order and the metric may be new
   if not ok then error({message = message}, 0) end
end

local function open(o)
   local resource = o.halving and o.halving.parameter
   local about = {identity = o.identity, metric = o.metric, maximise = o.maximise or false, resource = resource,
      parameters = points.sorted(with(o.grid or o.random, resource and {[resource] = true} or {}))}
   local file, message = store.open(o.path, about, o.force, o.shard ~= nil)
   if not file then return nil, message end
   local s = {o = o, store = file, names = {}, ran = 0, done = 0, failed = 0, failed_before = 0,
      folder = o.path:gsub("%.parquet$", "") .. ".trials"}
   for _, name in ipairs(about.parameters) do s.names[name] = true end
   return s
end

--- Run a sweep, or what is missing of it.
-- @tparam table options
--
--  * `path`: the file, whose name ends in .parquet. A second run with the same function and `fixed` goes on; one with
--    more points or seeds adds to it
--  * `grid`: lists of values by name, all combinations; or `random`: what to draw from by name (`sweep.uniform`, ...,
--    or lists), with `trials`: how many points, and `random_seed` (1)
--  * `seeds`: ({1}) every point is tried with each
--  * `halving`: `{parameter=, least=, most=, factor=3}`: successive halving. All points are tried with the parameter
--    (steps, rounds, ...) at `least`; the best, one in `factor`, with `factor` times as much, and so on, until `most`
--    (Jamieson and Talwalkar 2016, Non-stochastic best arm identification and hyperparameter optimization). Every trial
--    begins from the start; the order of points decides between equal ones
--  * `metric`: the name of the number that counts; `maximise`: more is better (default: less)
--  * `f`: a function of (parameters, context) that returns a table of metrics (numbers, texts and booleans are kept; a
--    number alone is the metric `value`), or nil and a message. The parameters
--    have those of the point, `fixed` and `seed`; context has `id` and `folder`, which has what an interrupted attempt
--    left. It is called here. It is known again by its text; or by `name`, where that is given
--  * `module` and `name`: a function of a module, or of a Lua file (`x.lua`) that returns a table, instead of `f`. Each
--    trial has a process of its own, `workers` (1) at a time, which share the threads
--  * `fixed`: parameters that are the same for all trials; numbers, texts, tables
--  * `known`: names of parameters that there are, as a list, or a table of defaults, nested (`fit.lr`) or not
--  * `shard`: `3/64`: only every 64th trial, from the third on, while other processes do the others; all add their rows
--    to the file. `require("bclua.data.shards").of_environment()` says it of a job array; not with `halving`
--  * `force`: begin anew; `retry`: failed trials of an earlier run once more; `keep` the folders of trials, which are
--    beside the file in `NAME.trials/` and are removed otherwise, but those of failed ones
--  * `on_trial`: called with each new row; `quiet`
-- @treturn[1] table `path`, `rows` (of the trials asked for), `ran`, `failed`, `about`; `missing`: how many trials have
-- no row yet, as other shards have them
-- @treturn[2] nil
-- @treturn[2] string message: the file cannot be used, or is that of another sweep
-- @raise wrong options; "interrupted!" after Ctrl-C, the file has what is finished
function sweep.run(options)
   local ok, o = pcall(options_of.check, options)
   if not ok then error("sweep.run: " .. tostring(o), 2) end
   local s, message = open(o)
   if not s then return nil, message end
   if o.force then files.remove(s.folder) end
   s.bar = progress.new("sweep", count(o), {unit = "trials", kept = true, quiet = o.quiet})
   local problem
   ok, problem = xpcall(all, function(e) return e end, s)
   s.store:close()
   if not ok then
      if type(problem) == "table" and problem.message then return nil, problem.message end
      error(problem, 0)
   end
   os.remove(s.folder) -- if nothing is in it
   s.bar:finish(("%s, %d of them new, %d failed"):format(display.count(s.done, "trial"), s.ran, s.failed))
   if s.failed_before > 0 then
      progress.note(("sweep: %d failed before; retry does them again"):format(s.failed_before), o.quiet)
   end
   local rows = {}
   for _, row in ipairs(s.store.rows) do
      if s.store.place[row.id] then rows[#rows + 1] = row end
   end
   table.sort(rows, function(a, b) return s.store.place[a.id] < s.store.place[b.id] end)
   return {path = o.path, rows = rows, ran = s.ran, failed = s.failed, about = s.store.about,
      missing = s.store.places - #rows}
end

--- One group for each point of a sweep, in order.
-- @function groups
-- @tparam string|table source the path of the file, or what `sweep.run` returned
-- @tparam[opt] table options `metrics`: names (default: the sweep's own); `metric`, `maximise`
-- @treturn[1] {table,...} `parameters`, `rows` (one a seed), `failed`, and by metric `values` (the finite ones, over
-- seeds), `mean`, `deviation` (sample standard deviation; nil of one)
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
sweep.groups = view.groups

--- The best point: by the mean of the metric over seeds. Points of which a seed failed or is not finite are never
-- best; after halving only those that got most of the resource count.
-- @function best
-- @tparam string|table source the path of the file, or what `sweep.run` returned
-- @tparam[opt] table options `metric`, `maximise` (default: the sweep's own)
-- @treturn[1] table `parameters`, `mean`, `deviation`, `values`, `rows`
-- @treturn[2] nil
-- @treturn[2] string message: there is none
sweep.best = view.best

--- A table with a row for each point.
-- @function table
-- @tparam string|table source the path of the file, or what `sweep.run` returned
-- @tparam[opt] table options `metrics`: names (default: the sweep's own); `best_first`: sorted by the metric, else as
-- the sweep had them; `metric`, `maximise`
-- @treturn[1] {table,...} rows: the parameters that vary, the mean of each metric and, if there are several seeds,
-- the deviation of the first, `<name>_deviation`; `trials`, `failed`, `wall_s` (mean), `peak_mb` (most). Printed, they
-- are an aligned table; their `columns` are the names in order
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
sweep.table = view.table

--- Draw the metric against a parameter: a line with mean and standard deviation over seeds, and a line for each
-- value of the other parameters; points where these are too many for lines, as after random draws; bars where
-- the parameter is no number.
-- @function plot
-- @tparam string|table source the path of the file, or what `sweep.run` returned
-- @tparam string parameter
-- @tparam[opt] string path of the picture (.svg, .png); without it, it is drawn on the terminal
-- @tparam[opt] table options `metric`; `spread`: the name of a metric for the error bars, rather than the deviation
-- over seeds; `logx` (default: if it spans more than a factor of 30), `logy`; those of `plot.line`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
sweep.plot = view.plot

return sweep
