--- The learning-rate range test (Smith, 2017): a few steps of training while the rate grows
-- from step to step. Where the loss falls fastest, and a tenth of where it is least, are rates
-- to begin with.
--
-- What is trained is put back afterwards, to the bit. A loss that is not finite ends a sweep, and
-- what was before it stays.
-- @module bclua.experiment.rate_test
-- @usage
-- local r = assert(rate_test.run(net, function(seed)
--    return loader.new{triplets = "triplets.parquet", tiles = "tiles", seed = seed}
-- end, {seeds = {1, 2, 3}}))
-- print(r.steepest, r.tenth)
local array = require "bclua.array"
local curves = require "bclua.curves"
local is_finite = require("bclua.numbers").is_finite
local options_of = require "bclua.options"
local snapshot = require "bclua.train.snapshot"
local system = require "bclua.system"
local training_options = require "bclua.train.options"

local rate_test = {}

local MOST_SKIPPED = 40 -- steps in a row that f16 leaves out while it looks for its scale: 2^13 to 1, and some

local SWEEP = {
   least = {"number", above = 0, default = 1e-6},
   most = {"number", above = 0, default = 1},
   steps = {"integer", least = 3, default = 100},
   diverge = {"number", least = 0, default = 4, check = function(x)
      return x > 0 and x <= 1 and ("must be above 1, or 0 for never, got %g"):format(x) or nil
   end},
   on_step = "function",
}
local JUDGE = {smooth = {"integer", least = 0, default = 0}}
local RUN = options_of.extend(SWEEP, JUDGE, {
   seeds = {"list", of = "integer", items = "integers", shortest = 1, default = {1}},
   step = {"table", of = options_of.extend(training_options.step, {lr = false}), default = {}},
})

local function settle(options, schema)
   local o = options_of.check(options, schema, 4)
   if o.most <= o.least then
      error(("rates from %g to %g: 'most' must be above 'least'"):format(o.least, o.most), 3)
   end
   return o
end

-- Values of the mean around each: told, or a tenth of the steps.
local function width(o, steps)
   local n = o.smooth > 0 and o.smooth or math.max(5, steps // 10)
   return n + (n + 1) % 2
end

--- One sweep over anything that learns: call a function with growing rates.
-- @tparam function step f(rate, k) takes the k-th step, and returns the loss before it; or nil and a message
-- @tparam[opt] table options `least` (1e-6), `most` (1): rates of the first and the last step, the ratio of one to the
--  next always the same; `steps` (100); `diverge` (4): it ends where the loss is so many times the least so far
--  (0: never); `on_step` f(row)
-- @treturn {table,...} `{step=, learning_rate=, loss=}`; all finite
-- @treturn ?table where it ended before the last rate: `{step=, learning_rate=, message=}`
function rate_test.sweep(step, options)
   local o = settle(options, SWEEP)
   local rows, least = {}, math.huge
   for k = 1, o.steps do
      local rate = o.least * (o.most / o.least) ^ ((k - 1) / (o.steps - 1))
      local loss, message = step(rate, k)
      if not is_finite(loss) then
         return rows, {step = k, learning_rate = rate, message = message or ("the loss is %s"):format(loss)}
      end
      rows[k] = {step = k, learning_rate = rate, loss = loss}
      if o.on_step then o.on_step(rows[k]) end
      least = math.min(least, loss)
      if o.diverge > 0 and least > 0 and loss > o.diverge * least then
         return rows, {step = k, learning_rate = rate,
            message = ("the loss is %.3g times the least so far"):format(loss / least)}
      end
   end
   return rows
end

local SURE = 3 -- standard errors of a fall

-- How far single values lie from the smoothed curve on the way down: deviation of one value.
local function scatter(losses, smoothed, first, last)
   local sum = 0
   for i = first, last do sum = sum + (losses[i] - smoothed[i]) ^ 2 end
   return math.sqrt(sum / (last - first + 1))
end

--- What sweeps over the same rates say together: the mean of their losses at each rate that
-- all of them reached, smoothed over the logarithm of the rate.
-- @tparam {table,...} sweeps lists of rows as `sweep` returns them
-- @tparam[opt] table options `smooth` (0: a tenth of the steps, at least 5): values that the mean around each is over
-- @treturn table
--
--  * `learning_rate`, `loss`, `smoothed`: arrays f64 (n)
--  * `falls`: does the loss fall, by more than three standard errors?
--  * if so: `steepest`, the rate at which the smoothed loss falls fastest; `minimum`, at which it is least;
--    `tenth` of that
function rate_test.judge(sweeps, options)
   local o, n = options_of.check(options, JUDGE), math.huge
   for _, rows in ipairs(sweeps) do n = math.min(n, #rows) end
   if #sweeps == 0 then n = 0 end
   local steps = 0
   for _, rows in ipairs(sweeps) do steps = math.max(steps, #rows) end
   local count = width(o, steps)
   local r = {learning_rate = array.zeros(n, "f64"), loss = array.zeros(n, "f64"), smooth = count, falls = false}
   for i = 1, n do
      r.learning_rate[i] = sweeps[1][i].learning_rate
      for _, rows in ipairs(sweeps) do r.loss[i] = r.loss[i] + rows[i].loss / #sweeps end
   end
   r.smoothed = curves.smooth(r.loss, count)
   local half = count // 2
   local first, at = 1 + half, nil -- at both ends means are over few values
   for i = first, n - half do
      if not at or r.smoothed[i] < r.smoothed[at] then at = i end
   end
   local where = curves.steepest(r.learning_rate, r.smoothed, half)
   if where and at > first then
      local error_of_fall = math.sqrt(2 / count) * scatter(r.loss, r.smoothed, first, at) -- of two means
      r.falls = r.smoothed[first] - r.smoothed[at] > SURE * error_of_fall
   end
   if r.falls then
      r.steepest, r.minimum = r.learning_rate[where], r.learning_rate[at]
      r.tenth = r.minimum / 10
   end
   return r
end

-- A step of training at a rate; f16 may first need a smaller scale of the loss.
local function network_step(net, batches, o, sweep)
   return function(rate)
      for _ = 1, MOST_SKIPPED do
         local batch, message = batches:next()
         if not batch then
            sweep.failed = message or "there are no more batches"
            return nil, sweep.failed
         end
         local settings = {}
         for key, value in pairs(o.step) do settings[key] = value end
         settings.lr = rate
         local info, why, kind = net:train_step(batch, settings)
         if kind == "memory" then sweep.failed = why end
         if not info then return nil, why end
         if not info.skipped then return info.loss end
         sweep.skipped = sweep.skipped + 1
      end
      return nil, "the gradient overflows at every scale of the loss"
   end
end

local function one_seed(net, batches, seed, o)
   local source, message = batches(seed)
   if not source then return nil, message end
   local sweep = {seed = seed, skipped = 0}
   local options = {least = o.least, most = o.most, steps = o.steps, diverge = o.diverge}
   if o.on_step then
      function options.on_step(row) o.on_step(row, seed) end
   end
   local ok, rows, ended = pcall(rate_test.sweep, network_step(net, source, o, sweep), options)
   if source.close then source:close() end
   if not ok then error(rows, 0) end
   if sweep.failed then return nil, sweep.failed end
   sweep.rows, sweep.ended = rows, ended
   return sweep
end

--- The test of a network. Every sweep begins with the network as it is; afterwards it is that again.
-- @tparam network net of `bclua.nn`
-- @tparam function batches f(seed) returns what has a method `next` that returns batches, as `bclua.data.loader`
--  has; or nil and a message. It is closed afterwards
-- @tparam[opt] table options `least`, `most`, `steps`, `diverge`, as for `sweep`; `smooth`, as for `judge`;
--  `seeds` ({1}): a sweep each; `step`: options of `net:train_step` beside the rate; `on_step` f(row, seed)
-- @treturn[1] table as `judge`; and `sweeps`: for each seed `{seed=, rows=, skipped=, ended=}`, where `skipped` counts
--  the steps that f16 left out because its gradients overflowed, `ended` is as of `sweep`
-- @treturn[2] nil
-- @treturn[2] string message: there are no batches, or not the memory for one; "interrupted" after Ctrl-C
function rate_test.run(net, batches, options)
   local o = settle(options, RUN)
   local restore, sweeps, rows = snapshot.take(net), {}, {}
   for i, seed in ipairs(o.seeds) do
      net.pending = 0 -- what waits for its step comes back with `restore`
      local ok, sweep, message = pcall(one_seed, net, batches, seed, o)
      restore()
      if not ok and system.interrupted() then return nil, "interrupted" end
      if not ok then error(sweep, 0) end
      if not sweep then return nil, message end
      sweeps[i], rows[i] = sweep, sweep.rows
   end
   local r = rate_test.judge(rows, {smooth = o.smooth})
   r.sweeps = sweeps
   return r
end

--- The result of `run` in a sentence.
-- @tparam table r
-- @treturn string
function rate_test.text(r)
   if not r.falls then return "the loss does not fall by more than it scatters: more steps, seeds or a larger batch" end
   local n = #r.learning_rate
   return ("the loss falls fastest at %.2g, and is least at %.2g, a tenth of which is %.2g%s"):format(r.steepest,
      r.minimum, r.tenth, r.minimum == r.learning_rate[n - r.smooth // 2] and "; it still falls at the end" or "")
end

--- Every step of all sweeps of `run`.
-- @tparam table r
-- @treturn {table,...} `{seed=, step=, learning_rate=, loss=}`
function rate_test.rows(r)
   local rows = {}
   for _, sweep in ipairs(r.sweeps) do
      for _, row in ipairs(sweep.rows) do
         rows[#rows + 1] = {seed = sweep.seed, step = row.step, learning_rate = row.learning_rate, loss = row.loss}
      end
   end
   return rows
end

--- Several results over the same rates as columns for `plot.curve`.
-- @tparam table results name -> result of `run` or `judge`
-- @treturn table `learning_rate` and name -> losses: arrays f64 of one length, NaN where a test had ended
function rate_test.columns(results)
   local columns, n = {learning_rate = array.zeros(0, "f64")}, 0
   for _, r in pairs(results) do
      if #r.loss > n then columns.learning_rate, n = r.learning_rate, #r.loss end
   end
   for name, r in pairs(results) do
      columns[name] = array.full({n}, 0 / 0, "f64")
      for i = 1, #r.loss do columns[name][i] = r.loss[i] end
   end
   return columns
end

return rate_test
