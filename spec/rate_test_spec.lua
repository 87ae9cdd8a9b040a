local array = require "bclua.array"
local curves = require "bclua.curves"
local gradient = require "support.gradient"
local nn = require "bclua.nn"
local rate_test = require "bclua.experiment.rate_test"
local sampling = require "bclua.sampling"

local noise = gradient.noise

-- A network whose loss is margin - |w|, w = 0.5: its gradient is always that of |w|, so that Adam moves w by the
-- very rate in each step, and the sum of the rates says when the loss gets to zero.
local MARGIN = 2
local function line(precision)
   local net = nn.network({{"linear", name = "l", out = 1, bias = false}}, {input = {1, 1, 1}, precision = precision})
   net:state()["l.weight"]:fill(0.5)
   local zero, one = array.zeros{2, 1, 1, 1}, array.full({2, 1, 1, 1}, 1)
   return net, function() return {next = function() return {anchor = zero, neighbor = zero, distant = one} end} end
end
local LINE = {least = 1e-4, most = 10, steps = 101, diverge = 0, smooth = 1,
   step = {margin = MARGIN, l2 = 0, weight_decay = 0}}
local RATIO = 1e5 ^ (1 / 100)

-- A network with all that has a state, in the middle of its training.
local function layers()
   return {{"conv2d", out = 4, kernel = 3}, {"batch_norm", name = "bn"}, {"relu"}, {"dropout", rate = 0.2},
      {"conv2d", out = 3, kernel = 3}}
end

local function batch(seed)
   local b = {}
   for i, role in ipairs{"anchor", "neighbor", "distant"} do b[role] = noise({4, 1, 6, 6}, 10 * seed + i, "f32") end
   return b
end

local function trained(precision)
   local net = nn.network(layers(), {input = {1, 6, 6}, precision = precision})
   for k = 1, 3 do assert(net:train_step(batch(k), {margin = 1})) end
   return net
end

-- Batches by seed; `spoil` says whether the k-th holds a NaN.
local function batches(spoil)
   return function(seed)
      local k = 0
      return {next = function()
         k = k + 1
         local b = batch(100 * seed + k)
         if spoil and spoil(k) then b.distant[2]:fill(0 / 0) end
         return b
      end}
   end
end

local function everything(net)
   local all = {}
   for i, name in ipairs(net.names) do
      all[name] = net.core:tensor(i):copy()
      if net.role[name] == "trained" then
         for _, what in ipairs{"moment1", "moment2", "gradient"} do
            all[name .. what] = net.core:tensor(i, what):copy()
         end
      end
   end
   return all
end

local function same(a, b, but)
   for name, values in pairs(a) do
      if not (but and name:find(but)) then assert(array.equal(values, b[name]), name) end
   end
end

describe("rate_test.sweep", function()
   it("takes even steps of the logarithm, from the first rate to the last", function()
      local rates = {}
      local rows, ended = rate_test.sweep(function(rate, k)
         rates[k] = rate
         return 1
      end, {least = 1e-3, most = 10, steps = 5})
      assert.is_nil(ended)
      for i, rate in ipairs{1e-3, 1e-2, 1e-1, 1, 10} do
         assert.near(rate, rates[i], 1e-12 * rate)
         assert.equal(rates[i], rows[i].learning_rate)
      end
   end)

   it("ends where the loss is not finite or runs away, and keeps what was before", function()
      for _, bad in ipairs{0 / 0, math.huge, false} do
         local rows, ended = rate_test.sweep(function(_, k) return k < 7 and 1 / k or bad or nil, "no" end,
            {steps = 20})
         assert.equal(6, #rows)
         assert.equal(7, ended.step)
         for k = 1, 6 do assert.equal(1 / k, rows[k].loss) end
      end
      local rows, ended = rate_test.sweep(function(_, k) return k < 7 and 1 or 5 end, {steps = 20})
      assert.equal(7, #rows)
      assert.matches("5 times the least", ended.message)
      assert.equal(20, #rate_test.sweep(function(_, k) return k < 7 and 1 or 5 end, {steps = 20, diverge = 0}))
   end)

   it("finds the rate at which gradient descent on a noisy quadratic becomes unstable, 2 / curvature", function()
      local curvature, random, w = 4, sampling.generator(1), 1
      local rows, ended = rate_test.sweep(function(rate)
         local loss = curvature * w * w / 2
         w = w - rate * (curvature * w + 0.05 * random:normal())
         return loss + 1e-3
      end, {least = 1e-4, most = 10, steps = 300, diverge = 1000})
      local r = rate_test.judge({rows})
      assert.is_true(r.falls)
      assert(ended.learning_rate > 2 / curvature and ended.learning_rate < 4 * 2 / curvature)
      assert(r.minimum < 2 / curvature and r.minimum > 0.02 / curvature)
      assert(r.steepest < r.minimum)
   end)
end)

describe("rate_test.judge", function()
   local function rows(f, n)
      local list = {}
      for k = 1, n or 101 do
         local x = -6 + 6 * (k - 1) / 100
         list[k] = {step = k, learning_rate = 10 ^ x, loss = f(x)}
      end
      return list
   end
   local function valley(x) return 5 - 2 / (1 + math.exp(-6 * (x + 3))) + math.exp(8 * (x + 1)) end

   it("knows where a curve falls fastest and where it is least", function()
      local r = rate_test.judge({rows(valley)})
      assert.near(-3, math.log(r.steepest, 10), 0.1)
      local least, at = math.huge, nil
      for x = -3, 0, 0.001 do
         if valley(x) < least then least, at = valley(x), x end
      end
      assert.near(at, math.log(r.minimum, 10), 0.13)
      assert.near(r.minimum / 10, r.tenth, 1e-12)
      assert.equal(11, r.smooth)
   end)

   it("is not led astray by noise, which several seeds average out", function()
      local random, sweeps = sampling.generator(7), {}
      for i = 1, 4 do sweeps[i] = rows(function(x) return valley(x) + 0.2 * random:normal() end) end
      local r = rate_test.judge(sweeps)
      assert.near(-3, math.log(r.steepest, 10), 0.5)
      assert.near(sweeps[1][5].loss / 4 + sweeps[2][5].loss / 4 + sweeps[3][5].loss / 4 + sweeps[4][5].loss / 4,
         r.loss[5], 1e-12)
   end)

   it("has no suggestion where nothing falls, where all is noise, and without rows", function()
      local random = sampling.generator(7)
      for _, f in ipairs{function() return 3 end, function(x) return x + 10 end,
         function() return random:normal() + 9 end} do
         local r = rate_test.judge({rows(f)})
         assert.is_false(r.falls)
         assert.is_nil(r.steepest)
         assert.is_nil(r.tenth)
      end
      assert.equal(0, #rate_test.judge({}).loss)
      assert.is_false(rate_test.judge({rows(valley), {}}).falls)
   end)

   it("uses the rates that all sweeps reached", function()
      assert.equal(40, #rate_test.judge({rows(valley), rows(valley, 40)}).loss)
   end)
end)

describe("rate_test.run", function()
   for _, precision in ipairs{"f32", "f64", "bf16", "f16"} do
      it("finds where the sum of Adam's steps reaches the margin, " .. precision, function()
         local net, source = line(precision)
         local r = assert(rate_test.run(net, source, LINE))
         local reached = (MARGIN - 0.5) * (1 - 1 / RATIO) -- the sum of a geometric series
         assert(r.minimum > reached / RATIO and r.minimum < reached * RATIO ^ 3)
         assert(r.steepest > reached / RATIO ^ 3 and r.steepest < reached * RATIO ^ 2)
         for i = 1, 40 do
            assert.near(MARGIN - 0.5 - 1e-4 * (RATIO ^ (i - 1) - 1) / (RATIO - 1), r.loss[i], 0.01)
         end
      end)

      it("leaves weights, statistics, optimiser and step as they were, to the bit, " .. precision, function()
         local net = trained(precision)
         net:train_step(batch(9), {margin = 1, accumulate = 2}) -- a batch that waits for its step
         local before, scale = everything(net), net:loss_scale()
         local r = assert(rate_test.run(net, batches(), {least = 1e-4, most = 100, steps = 20, seeds = {1, 2},
            step = {margin = 1}}))
         assert(#r.loss > 3)
         same(before, everything(net))
         assert.equal(3, net.step)
         assert.equal(1, net.pending)
         assert.equal(scale, net:loss_scale())
      end)
   end

   it("begins every sweep from the same place", function()
      local r = assert(rate_test.run(trained(), batches(), {steps = 6, seeds = {1, 2, 1}, step = {margin = 1}}))
      for k, row in ipairs(r.sweeps[1].rows) do assert.equal(row.loss, r.sweeps[3].rows[k].loss) end
      assert.not_equal(r.sweeps[1].rows[1].loss, r.sweeps[2].rows[1].loss)
   end)

   for _, precision in ipairs{"f32", "bf16", "f16"} do
      it("a loss that is not finite ends the sweep and spoils nothing before it, " .. precision, function()
         local o = {steps = 12, seeds = {1, 2}, step = {margin = 1}}
         local net = trained(precision)
         local before = everything(net)
         local whole = assert(rate_test.run(net, batches(), o))
         local r = assert(rate_test.run(net, batches(function(k) return k == 8 end), o))
         for i = 1, 2 do
            assert.equal(8, r.sweeps[i].ended.step)
            assert.matches("loss is .*nan: distant, sample 2, holds NaN", r.sweeps[i].ended.message)
            assert.equal(7, #r.sweeps[i].rows)
            for k = 1, 7 do assert.equal(whole.sweeps[i].rows[k].loss, r.sweeps[i].rows[k].loss) end
         end
         same(before, everything(net), "gradient")
      end)
   end

   it("puts the scale of the loss back that f16 has had to change", function()
      local net = nn.network({{"conv2d", out = 4, kernel = 3}, {"relu"}, {"conv2d", out = 4, kernel = 3}, {"relu"},
         {"conv2d", name = "last", out = 3, kernel = 1}}, {input = {1, 6, 6}, precision = "f16"})
      net:state()["last.weight"]:fill(net:state()["last.weight"] * 1000)
      net.scaling = {scale = 2 ^ 13, good = 7}
      local r = assert(rate_test.run(net, batches(), {steps = 5, step = {margin = 1}}))
      assert(r.sweeps[1].skipped > 0)
      assert.equal(5, #r.sweeps[1].rows)
      assert.same({scale = 2 ^ 13, good = 7}, net.scaling)
   end)

   it("survives rates at which nothing stays finite", function()
      local net = trained("f16")
      local before = everything(net)
      local r = assert(rate_test.run(net, batches(), {least = 1e-3, most = 1e30, steps = 30, diverge = 0,
         step = {margin = 1}}))
      assert(r.sweeps[1].ended)
      for _, row in ipairs(r.sweeps[1].rows) do assert(row.loss < math.huge) end
      same(before, everything(net), "gradient")
   end)

   it("puts the network back when it is interrupted, and passes the error on", function()
      local net = trained()
      local before, closed = everything(net), false
      assert.error_matches(function()
         rate_test.run(net, function(seed)
            local source = batches()(seed)
            function source.close() closed = true end
            return source
         end, {steps = 9, on_step = function(row) if row.step == 4 then error("interrupted", 0) end end})
      end, "interrupted")
      same(before, everything(net), "gradient")
      assert.equal(3, net.step)
      assert.is_true(closed)
   end)

   it("says why there are no batches", function()
      local r, message = rate_test.run(trained(), function() return nil, "x.parquet: no such file" end)
      assert.is_nil(r)
      assert.equal("x.parquet: no such file", message)
      r, message = rate_test.run(trained(), function() return {next = function() return nil, "a.ogg: broken" end} end)
      assert.is_nil(r)
      assert.equal("a.ogg: broken", message)
   end)

   it("names what it cannot use", function()
      local function raises(text, options)
         assert.error_matches(function() rate_test.run(trained(), batches(), options) end, text)
      end
      raises("unknown option 'rate'", {rate = 1})
      raises("rates from 1 to 1: 'most' must be above 'least'", {least = 1, most = 1})
      raises("option 'least' must be a number above 0, got 0", {least = 0})
      raises("option 'steps' must be an integer of at least 3, got 2", {steps = 2})
      raises("option 'diverge': must be above 1, or 0 for never, got 0.5", {diverge = 0.5})
      raises("option 'smooth' must be an integer of at least 0, got 1.5", {smooth = 1.5})
      raises("option 'seeds' must be a list of integers, 1 or more", {seeds = {}})
      raises("option 'steps' must be an integer of at least 3, got 'x'", {steps = "x"})
   end)
end)

describe("curves", function()
   it("smooth keeps a line, and leaves out what is not finite", function()
      local s = curves.smooth({1, 2, 3, 0 / 0, 5, 6}, 3)
      assert.equal(2, s[2])
      assert(s[4] ~= s[4])
      assert.near((3 + 5 + 6) / 3, s[5], 1e-12)
   end)
   it("steepest is nil where nothing falls", function()
      assert.is_nil(curves.steepest({1, 2, 3}, {1, 2, 3}))
      assert.is_nil(curves.steepest({}, {}))
      assert.equal(3, curves.steepest({1, 10, 100, 1000, 1e4}, {5, 5, 3, 1, 1}))
   end)
end)
