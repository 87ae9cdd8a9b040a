local gradient = require "support.gradient"
local nn = require "bclua.nn"
local precision_test = require "bclua.experiment.precision_test"

local noise = gradient.noise

local function batch(k, size)
   local b = {}
   for i, role in ipairs{"anchor", "neighbor", "distant"} do b[role] = noise({size, 1, 6, 6}, 10 * k + i, "f32") end
   return b
end

-- Batches; `change` may spoil the k-th.
local function source(change)
   local k = 0
   return {next = function()
      k = k + 1
      local b = batch(k, 4)
      if change then change(b, k) end
      return b
   end}
end

-- `gain`: weights of the last layer, and with them the gradients of those before it.
local function network(gain, nets)
   return function(precision)
      local net = nn.network({{"conv2d", name = "a", out = 8, kernel = 3, padding = 1}, {"batch_norm", name = "bn"},
         {"relu", name = "r"}, {"conv2d", name = "b", out = 8, kernel = 3, padding = 1},
         {"relu", name = "s"}, {"conv2d", name = "c", out = 3, kernel = 1}, {"average_pool", global = true}},
         {input = {1, 6, 6}, precision = precision, seed = 2})
      if gain then net:state()["c.weight"]:fill(net:state()["c.weight"] * gain) end
      if nets then nets[#nets + 1] = net end
      return net
   end
end

local O = {steps = 8, step = {margin = 1}}

describe("precision_test", function()
   it("trains in each precision on the same batches, and says what it took", function()
      local r = assert(precision_test.run(network(), source(), O))
      local names = {}
      for i, s in ipairs(r.summary) do
         names[i] = s.precision
         assert.equal(8, s.steps)
         assert.equal(0, s.skipped)
         assert.is_nil(s.ended)
         assert(s.step_ms > 0 and s.median_ms >= s.step_ms and s.cpu_ms > 0)
         assert.near(r.summary[1].loss_end, s.loss_end, 0.05)
      end
      assert.same({"f32", "bf16", "f16"}, names)
      assert(r.summary[2].arena_mb < r.summary[1].arena_mb)
      assert(r.summary[2].held_mb < r.summary[1].held_mb)
      assert.equal(r.summary[2].held_mb, r.summary[3].held_mb)
      assert.equal(24, #r.rows)
   end)

   it("has the losses of a training by itself", function()
      local r = assert(precision_test.run(network(), source(), {steps = 3, lr = 0.01, step = {margin = 1}}))
      local net, b = network()("bf16"), source()
      for _, row in ipairs(r.rows) do
         if row.precision == "bf16" then
            assert.equal(net:train_step(b.next(), {lr = 0.01, margin = 1}).loss, row.loss)
         end
      end
   end)

   it("counts the steps that f16 leaves out, until its scale fits", function()
      local r = assert(precision_test.run(network(1000), source(), O))
      assert.equal(0, r.summary[1].skipped)
      local f16, skipped = r.summary[3], 0
      for _, row in ipairs(r.rows) do
         if row.precision == "f16" and row.skipped then skipped = skipped + 1 end
      end
      assert(skipped > 0 and skipped < 8)
      assert.equal(skipped / 8, f16.skipped)
      assert(f16.loss_scale < 2 ^ 13)
   end)

   it("goes on with the others where one ends", function()
      local r = assert(precision_test.run(network(), source(function(b, k)
         if k == 3 then b.anchor[1]:fill(0 / 0) end
      end), {precisions = {"f32", "f16"}, steps = 5, step = {margin = 1}}))
      for _, s in ipairs(r.summary) do
         assert.equal(2, s.steps)
         assert.matches("anchor, sample 1, holds NaN", s.ended)
      end
      r = assert(precision_test.run(network(), source(function(b, k)
         if k == 3 then b.anchor:fill(1e38) end -- the variance of this is beyond f16 and f32, not beyond f64
      end), {precisions = {"f64", "f16"}, steps = 5, step = {margin = 1}}))
      assert.equal(5, r.summary[1].steps)
      assert.is_nil(r.summary[1].ended)
      assert(r.summary[2].steps < 5 or r.summary[2].skipped > 0)
   end)

   it("lists the range of each layer, in order, and those that f16 would lose", function()
      local r = assert(precision_test.run(network(), source(function(b) b.anchor:fill(b.anchor * 1e-6) end), O))
      local positions, before = {}, 0
      for _, row in ipairs(r.ranges) do
         if row.precision == "f32" then
            assert(row.position > before)
            before = row.position
            positions[row.layer] = row.position
            assert(row.value_most >= 0)
         end
      end
      assert(positions.a and positions.b > positions.a and positions.c > positions.b)
      local losing = precision_test.losing({{precision = "f32", position = 1, gradient_under = 0.1},
         {precision = "f32", position = 2, value_over = 0.5}, {precision = "f32", position = 3, value_over = 0},
         {precision = "f16", position = 4, value_over = 1}, {precision = "f32", position = 5, value_under = 0.1}},
         "f32", 10)
      assert.same({2, 1, 5}, {losing[1].position, losing[2].position, losing[3].position})
      assert.equal(3, #losing)
   end)

   it("draws losses and ranges as series", function()
      local rows = {{precision = "f32", step = 1, loss = 2}, {precision = "f32", step = 1, loss = 4},
         {precision = "f16", step = 2, loss = 9}}
      local losses = precision_test.losses(rows, "f32", 2)
      assert.equal(3, losses[1])
      assert(losses[2] ~= losses[2])
      local lines = precision_test.range_lines{{precision = "f32", position = 1, gradient_most = 5},
         {precision = "f32", position = 2}}
      assert.equal(2, #lines)
      assert.equal(5, lines[1].y[1])
      assert(lines[1].y[2] ~= lines[1].y[2])
      assert.equal(2 ^ -24, lines[2].y[1])
   end)

   it("closes its networks, also when something goes wrong", function()
      local nets = {}
      assert.error_matches(function()
         precision_test.run(network(nil, nets), source(), {steps = 3, on_step = function() error("stop", 0) end})
      end, "stop")
      assert.equal(3, #nets)
      for _, net in ipairs(nets) do
         assert.error_matches(function() net:forward(batch(1, 1).anchor) end, "network is closed")
      end
      assert.same({nil, "a.ogg: broken"}, {precision_test.run(network(),
         {next = function() return nil, "a.ogg: broken" end})})
   end)

   it("names what it cannot use", function()
      local function raises(text, options)
         assert.error_matches(function() precision_test.run(network(), source(), options) end, text)
      end
      raises("unknown option 'size'", {size = 1})
      raises("option 'steps' must be an integer of at least 1, got 0", {steps = 0})
      raises("option 'precisions' must be a list of precisions, 1 or more", {precisions = {}})
      raises("option 'precisions%[1%]' must be one of f32, bf16, f16, f64, got 'f8'", {precisions = {"f8"}})
      raises("option 'lr' must be a number of at least 0, got %-1", {lr = -1})
      raises("option 'step' must be a table, got 3", {step = 3})
      raises("unknown option 'step.lr'", {step = {lr = 1}})
   end)
end)
