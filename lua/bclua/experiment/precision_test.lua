--- The same training in several precisions, side by side: time, memory, loss, steps left out, and the
-- range of the values of each layer.
-- @module bclua.experiment.precision_test
-- @usage
-- local r = assert(precision_test.run(function(precision)
--    return tilenet.new{widths = {16, 32, 64, 128}, z = 128, precision = precision}
-- end, batches, {steps = 50}))
-- for _, s in ipairs(r.summary) do print(s.precision, s.step_ms, s.held_mb, s.loss_end, s.skipped) end
local options_of = require "bclua.options"
local system = require "bclua.system"
local training_options = require "bclua.train.options"

local precision_test = {}

local END = 4 -- the last of so many parts of the steps is the end

-- One step; a row, or nil where the training has ended.
local function take(one, batch, o, k)
   local settings = {lr = o.lr}
   for key, value in pairs(o.step) do settings[key] = value end
   local start, cpu = system.clock(), system.cpu_clock()
   local info, message, kind = one.net:train_step(batch, settings)
   if not info then
      one.ended = {step = k, message = message}
      return nil, kind == "memory" and message or nil
   end
   local row = {precision = one.precision, step = k, loss = info.loss, skipped = info.skipped,
      loss_scale = info.loss_scale, seconds = system.clock() - start, cpu_seconds = system.cpu_clock() - cpu}
   one.rows[#one.rows + 1] = row
   return row
end

local function sorted(rows, field)
   local list = {}
   for i, row in ipairs(rows) do list[i] = row[field] end
   table.sort(list)
   return list
end

local function mean(rows, first, last)
   local sum = 0
   for i = first, last do sum = sum + rows[i].loss end
   return last >= first and sum / (last - first + 1) or nil
end

local function summary_of(one, batch_size, o)
   local rows, n, skipped = one.rows, #one.rows, 0
   for _, row in ipairs(rows) do skipped = skipped + (row.skipped and 1 or 0) end
   local wall, cpu = sorted(rows, "seconds"), sorted(rows, "cpu_seconds")
   local part = math.max(1, n // END)
   local m = one.net:memory{batch_size = batch_size, roles = o.step.roles}
   return {precision = one.precision, steps = n, step_ms = n > 0 and 1e3 * wall[1] or nil,
      median_ms = n > 0 and 1e3 * wall[(n + 1) // 2] or nil, cpu_ms = n > 0 and 1e3 * cpu[1] or nil,
      held_mb = one.net.core:held() / 1e6, arena_mb = m.arena / 1e6, loss_start = mean(rows, 1, math.min(part, n)),
      loss_end = mean(rows, n - part + 1, n), skipped = n > 0 and skipped / n or 0,
      loss_scale = n > 0 and rows[n].loss_scale or nil, ended = one.ended and one.ended.message}
end

-- The layers' ranges as flat rows.
local function range_rows(one, batch, o)
   local settings, rows = {}, {}
   for key in pairs(training_options.measure) do settings[key] = o.step[key] end
   for i, l in ipairs(one.net:ranges(batch, settings)) do
      local row = {precision = one.precision, position = i, layer = l.layer, kind = l.kind}
      for _, what in ipairs{"value", "gradient"} do
         for key, x in pairs(l[what] or {}) do row[what .. "_" .. key] = x end
      end
      rows[i] = row
   end
   return rows
end

local function train(list, batches, o)
   local batch, message
   for k = 1, o.steps do
      batch, message = batches:next()
      if not batch then return nil, message or "there are no more batches" end
      for i = 1, #list do
         local one = list[(i + k) % #list + 1] -- each is the first in turn
         if not one.ended then
            local row, why = take(one, batch, o, k)
            if why then return nil, why end
            if row and o.on_step then o.on_step(row) end
         end
      end
   end
   return batch
end

local function close(list)
   for _, one in ipairs(list) do one.net:close() end
end

local function run(list, network, batches, o)
   for i, precision in ipairs(o.precisions) do
      list[i] = {precision = precision, net = network(precision), rows = {}}
   end
   local batch, message = train(list, batches, o)
   if not batch then return nil, message end
   local r = {summary = {}, rows = {}, ranges = {}}
   for i, one in ipairs(list) do
      r.summary[i] = summary_of(one, #batch.anchor, o)
      table.move(one.rows, 1, #one.rows, #r.rows + 1, r.rows)
      local ranges = range_rows(one, batch, o)
      table.move(ranges, 1, #ranges, #r.ranges + 1, r.ranges)
   end
   return r
end

local OPTIONS = {
   precisions = {"list", of = training_options.precision, items = "precisions", shortest = 1,
      default = {"f32", "bf16", "f16"}},
   steps = {"integer", least = 1, default = 30},
   lr = {"number", least = 0, default = 1e-3},
   step = {"table", of = options_of.extend(training_options.step, {lr = false}), default = {}},
   on_step = "function",
}

--- Train in each precision on the same batches, step by step in turn, so that what else the machine does
-- meets all of them.
-- @tparam function network f(precision) returns a network of `bclua.nn`, which is closed afterwards
-- @tparam table batches what has a method `next` that returns batches, as `bclua.data.loader` has
-- @tparam[opt] table options `precisions` ({"f32", "bf16", "f16"}), `steps` (30), `lr` (1e-3), `step`: options of
--  `net:train_step` beside the rate; `on_step` f(row)
-- @treturn[1] table
--
--  * `summary`: for each precision `steps`, `step_ms` (the fastest), `median_ms`, `cpu_ms` (the least time of all
--    processors together), `held_mb` (weights, optimiser and values, as taken), `arena_mb` of it for values,
--    `loss_start` and `loss_end` (means over the first and last quarter), `skipped`: the share of steps that f16 left
--    out because a gradient overflowed; `loss_scale` at the end; `ended`: why the training ended early
--  * `rows`: every step: `precision`, `step`, `loss`, `skipped`, `loss_scale`, `seconds`, `cpu_seconds`
--  * `ranges` on the last batch: `precision`, `position`, `layer`, `kind`, and of values and gradients the largest
--    magnitude and the shares that f16 would lose: `value_most`, `value_over`, `value_under`, `gradient_most`...
--    (see `network:ranges`)
-- @treturn[2] nil
-- @treturn[2] string message: there are no batches, or not the memory for one; "interrupted" after Ctrl-C
function precision_test.run(network, batches, options)
   local o, list = options_of.check(options, OPTIONS), {}
   local ok, r, message = pcall(run, list, network, batches, o)
   close(list)
   if not ok and system.interrupted() then return nil, "interrupted" end
   if not ok then error(r, 0) end
   return r, message
end

--- The layers at which f16 would lose most, by the values of one precision.
-- @tparam {table,...} ranges of `run`
-- @tparam string precision
-- @tparam integer count
-- @treturn {table,...} at most so many rows, the greatest share first; those that lose nothing are left out
function precision_test.losing(ranges, precision, count)
   local list = {}
   for _, row in ipairs(ranges) do
      local lost = math.max(row.value_over or 0, row.value_under or 0, row.gradient_over or 0, row.gradient_under or 0)
      if row.precision == precision and lost > 0 then list[#list + 1] = {row = row, lost = lost} end
   end
   table.sort(list, function(a, b)
      if a.lost ~= b.lost then return a.lost > b.lost end
      return a.row.position < b.row.position
   end)
   local rows = {}
   for i = 1, math.min(count, #list) do rows[i] = list[i].row end
   return rows
end

--- The columns of `ranges`, in order.
precision_test.columns = {"precision", "layer", "kind", "value_most", "value_over", "value_under", "gradient_most",
   "gradient_over", "gradient_under"}

--- The loss of each step, mean of all trainings of a precision.
-- @tparam {table,...} rows of `run`, of several runs too
-- @tparam string precision
-- @tparam integer steps
-- @treturn {number,...} NaN where there is none
function precision_test.losses(rows, precision, steps)
   local sum, count, list = {}, {}, {}
   for _, row in ipairs(rows) do
      if row.precision == precision then
         sum[row.step], count[row.step] = (sum[row.step] or 0) + row.loss, (count[row.step] or 0) + 1
      end
   end
   for k = 1, steps do list[k] = count[k] and sum[k] / count[k] or 0 / 0 end
   return list
end

--- The largest gradient of each layer, and the smallest number that f16 holds, as series for `plot.line`.
-- @tparam {table,...} ranges of `run`
-- @treturn {table,...} `{title=, x=, y=}`
function precision_test.range_lines(ranges)
   local lines, at, last = {}, {}, 1
   for _, row in ipairs(ranges) do
      local line = at[row.precision]
      if not line then
         line = {title = row.precision, x = {}, y = {}}
         lines[#lines + 1], at[row.precision] = line, line
      end
      line.x[#line.x + 1], line.y[#line.y + 1] = row.position, row.gradient_most or 0 / 0
      last = math.max(last, row.position)
   end
   lines[#lines + 1] = {title = "least of f16", x = {1, last}, y = {2 ^ -24, 2 ^ -24}}
   return lines
end

return precision_test
