local array = require "bclua.array"
local command = require "support.command"
local gradient = require "support.gradient"
local nn = require "bclua.nn"
local system = require "bclua.system"
local tilenet = require "bclua.tilenet"

local noise = gradient.noise

-- Two residual blocks with all that can be fused, run again or widened.
local function layers()
   local block = gradient.residual_block
   return {
      {"conv2d", name = "conv1", out = 16, kernel = 3, padding = 1}, {"batch_norm", name = "bn1"},
      {"relu", name = "stem"}, block("one", "stem", 16, 1),
      {"conv2d", out = 16, kernel = 3, padding = 1}, {"group_norm", groups = 4}, {"relu"},
      {"dropout", rate = 0.1}, {"add", from = "one"}, {"relu", name = "middle"},
      block("two", "middle", 20, 2), {"average_pool", global = true, name = "pool"},
   }
end

local function network(options)
   local o = {input = {1, 24, 20}, seed = 3}
   for key, value in pairs(options or {}) do o[key] = value end
   return nn.network(layers(), o)
end

local function batch(seed, n)
   local b = {}
   for i, role in ipairs{"anchor", "neighbor", "distant"} do b[role] = noise({n or 4, 1, 24, 20}, seed + i, "f32") end
   return b
end

local function two_steps(options, step)
   local net = network(options)
   for k = 1, 2 do assert(net:train_step(batch(k), step or {margin = 1})) end
   return net:state(), net
end

describe("a network trained with less memory", function()
   for _, precision in ipairs{"f32", "f64", "bf16"} do
      it("has the same weights to the bit, values kept or made again, " .. precision, function()
         local all = two_steps{recompute = "none", precision = precision}
         for _, recompute in ipairs{"cheap", "stage"} do
            for name, a in pairs(two_steps{recompute = recompute, precision = precision}) do
               assert(array.equal(a, all[name]), recompute .. " " .. name)
            end
         end
      end)
   end

   it("role by role has the same gradients and running statistics, but for the order of sums", function()
      local all, one = network{precision = "f64"}, network{precision = "f64", recompute = "role"}
      local a, b = assert(all:measure(batch(1), {margin = 1})), assert(one:measure(batch(1), {margin = 1}))
      assert.near(a.loss, b.loss, 1e-12)
      for name, g in pairs(all:gradients()) do
         assert(array.max_difference(g, one:gradients()[name]) < 1e-10, name)
      end
      all:train_step(batch(1))
      one:train_step(batch(1))
      for _, name in ipairs{"bn1.running_mean", "bn1.running_var", "bn1.num_batches_tracked"} do
         assert(array.allclose(all:state()[name]:copy("f64"), one:state()[name]:copy("f64"), 1e-12, 1e-12), name)
      end
      assert.equal(3, one:state()["bn1.num_batches_tracked"][1])
   end)

   it("needs less of it, the more is made again", function()
      local net = network()
      local function arena(recompute) return net:memory{batch_size = 16, recompute = recompute}.arena end
      assert(arena("cheap") < 0.75 * arena("none"))
      assert(arena("stage") < arena("cheap"))
      assert(arena("role") < 0.5 * arena("cheap"))
      assert.equal(arena("none"), arena("auto"))
      assert.equal(net:memory{batch_size = 2000, recompute = "cheap"}.arena, net:memory{batch_size = 2000}.arena)
      local m = net:memory{batch_size = 16, recompute = "stage"}
      assert(m.again > 0 and m.kept < m.arena)
      assert.equal(0, net:memory{batch_size = 16, recompute = "none"}.again)
   end)

   it("fuses norm, sum and relu without a change of the values", function()
      local names = {}
      for i, layer in ipairs(network().core:layers()) do names[i] = layer.name end
      local net, x = network{precision = "f64"}, noise({4, 1, 24, 20}, 1)
      local fused = net.core:forward({x}, {train = true, seed = 1})
      assert(array.equal(fused, net.core:forward({x}, {train = true, seed = 1, keep = names})))
   end)
end)

describe("in 16 bits", function()
   for precision, tolerance in pairs{bf16 = 0.03, f16 = 0.004} do
      it("training follows f32, " .. precision, function()
         local exact, net = network(), network{precision = precision}
         local e, x = exact:forward(batch(1).anchor), net:forward(batch(1).anchor)
         assert(array.max_difference(e, x) < tolerance * e:abs():max())
         local a, b = exact:measure(batch(1), {margin = 1}), net:measure(batch(1), {margin = 1})
         assert.near(a.loss, b.loss, tolerance * a.loss)
         local w = "one.conv1.weight"
         local g, h = exact:gradients()[w], net:gradients()[w] * (1 / net:loss_scale())
         assert(array.max_difference(g, h) < 24 * tolerance * g:abs():max())
         for k = 1, 10 do
            assert(exact:train_step(batch(k), {margin = 1}))
            local info = assert(net:train_step(batch(k), {margin = 1}))
            assert.is_true(info.stepped)
         end
         assert.near(exact:measure(batch(1), {margin = 1}).loss, net:measure(batch(1), {margin = 1}).loss,
            3 * tolerance * a.loss)
      end)

      it("is the same on any number of threads, " .. precision, function()
         local one = two_steps{precision = precision, threads = 1}
         for name, a in pairs(two_steps{precision = precision, threads = 3}) do
            assert(array.equal(a, one[name]), name)
         end
      end)

      it("keeps weights, gradients and statistics in f32, " .. precision, function()
         local state = network{precision = precision}:state()
         for _, name in ipairs{"conv1.weight", "bn1.running_var"} do assert.equal("f32", state[name]:dtype()) end
      end)

      it("takes silent, constant and repeated input, " .. precision, function()
         for _, x in ipairs{array.zeros{3, 1, 24, 20}, array.full({3, 1, 24, 20}, 0.7),
                            noise({1, 1, 24, 20}, 1, "f32")} do
            if #x == 1 then x = array.concat{x, x, x} end
            local net = network{precision = precision}
            assert(net:train_step{anchor = x, neighbor = x, distant = x})
            for name, a in pairs(net:state()) do assert(a:is_finite(), name) end
         end
      end)
   end

   it("rounds to the nearest, ties to even, NaN and infinities as they are", function()
      -- the input and the last layer stay in f32: what is between is rounded
      local net = nn.network({{"add", name = "twice", from = {"input", "input"}}, {"add", from = {"twice", "twice"}}},
         {input = {1, 1, 8}, precision = "bf16"})
      local x = array.from({{1, 1 + 2 ^ -8, 1 + 3 * 2 ^ -8, 1 + 2 ^ -8 + 2 ^ -12, -1 - 2 ^ -7, 1 / 0, -1 / 0,
                             0 / 0}}, "f32")
      local y = net:forward(x:reshape{1, 1, 1, 8})[1]:table()
      assert.same({4, 4, 4 * (1 + 2 ^ -6), 4 * (1 + 2 ^ -7), -4 * (1 + 2 ^ -7), 1 / 0, -1 / 0},
         {table.unpack(y, 1, 7)})
      assert(y[8] ~= y[8])
      local half = nn.network({{"add", name = "twice", from = {"input", "input"}}, {"add", from = {"twice", "twice"}}},
         {input = {1, 1, 9}, precision = "f16"})
      x = array.from({{1 + 2 ^ -11, 1 + 3 * 2 ^ -11, 32752, 32759, 32760, 2 ^ -26, 1.5 * 2 ^ -25, 2 ^ -25,
                       -2 ^ -15}}, "f32")
      assert.same({4, 4 * (1 + 2 ^ -9), 131008, 131008, 1 / 0, 0, 4 * 2 ^ -24, 2 * 2 ^ -24, -4 * 2 ^ -15},
         half:forward(x:reshape{1, 1, 1, 9})[1]:table())
   end)

   it("takes little more than half of the memory for values", function()
      local net = network()
      for _, recompute in ipairs{"none", "cheap"} do
         local full = net:memory{batch_size = 16, recompute = recompute}
         local half = net:memory{batch_size = 16, recompute = recompute, precision = "bf16"}
         assert(half.kept < 0.6 * full.kept)
         assert.equal(full.weights + full.moments, half.weights + half.moments)
      end
   end)
end)

describe("the plan of memory", function()
   local function sanitized() return os.getenv("BCLUA_SANITIZED") end -- its own memory comes on top

   it("says what a process takes, to 3 %", function()
      if sanitized() then return pending("not for a sanitized build") end
      for _, recompute in ipairs{"cheap", "role"} do
         local output, status = command.bclua{"scripts/bench/memory.lua", "--batch", "12", "--widths", "16,16,16,16",
                                              "--recompute", recompute}
         assert.equal(0, status)
         local percent = tonumber(output:match("%(([+-][%d.]+) %%%)"))
         assert(percent and math.abs(percent) < 3, output)
      end
   end)

   it("finds the largest batch for a given memory", function()
      if sanitized() then return pending("not for a sanitized build") end
      local net = network()
      for _, recompute in ipairs{"cheap", "stage", "role"} do
         local m = net:memory{batch_size = 200, recompute = recompute}
         local found = net:largest_batch{memory = m.total, recompute = recompute}
         local grown = math.max(0, system.memory() - m.process) -- what the search itself took is no longer free
         local least = 195 - grown / ((m.total - m.process) / 200)
         assert(found <= 200 and found >= least, ("%d, at least %.1f"):format(found, least))
      end
      assert.equal(0, net:largest_batch{memory = 1000})
      assert(net:largest_batch() > 100)
   end)

   it("refuses a batch that cannot fit before taking memory, and proposes one that does", function()
      local net = tilenet.new{widths = {8, 8, 8, 8}, z = 8}
      local free = system.memory_free
      system.memory_free = function() return 2e7 end
      local before = net.core:held()
      local b = {}
      for _, role in ipairs{"anchor", "neighbor", "distant"} do b[role] = array.zeros{24, net.samples} end
      local ok, info, message = pcall(net.train_step, net, b)
      system.memory_free = free
      assert(ok and not info, info)
      assert.matches("^a batch of 24 triplets needs 0.%d+ GB more than the process has, and 0.02 GB are free", message)
      local fitting = tonumber(message:match("free: (%d+) would fit"))
      assert(fitting and fitting < 24, message)
      assert.equal(before, net.core:held())
      assert.equal(0, net.step)
   end)

   it("is refused by the executor too, under a limit on the process", function()
      if sanitized() then return pending("not for a sanitized build") end
      local script = [[
         local net = require("bclua.tilenet").new{widths = {8, 8, 8, 8}, z = 8, threads = 1}
         local ok, message = pcall(net.forward, net, require("bclua.array").zeros{900, net.samples}, {batch_size = 900})
         print(ok, message)]]
      local output = command.shell(("ulimit -v 700000; %s -e %s"):format(command.quote(command.program),
         command.quote(script)))
      assert.matches("a batch of 900 samples needs %d+.%d+ GB, and %d+.%d+ GB are free", output)
   end)

   it("names what it cannot use", function()
      local net = network()
      assert.error_matches(function() net:memory{} end, "'batch_size' is missing", 1, true)
      assert.error_matches(function() net:memory{batch_size = 0} end, "'batch_size' must be", 1, true)
      assert.error_matches(function() net:memory{batch_size = 1, recompute = "some"} end, "'recompute' must be", 1,
         true)
      assert.error_matches(function() net:memory{batch_size = 1, size = 2} end, "unknown option 'size'", 1, true)
      assert.error_matches(function() network{recompute = "all"} end, "'recompute'", 1, true)
   end)
end)

describe("a diagnosis", function()
   it("of a finite step is none, and leaves weights and statistics alone", function()
      local net = network()
      local before = {}
      for name, a in pairs(net:state()) do before[name] = a:copy() end
      assert.is_nil(net:diagnose(batch(1)))
      for name, a in pairs(net:state()) do assert(array.equal(a, before[name]), name) end
   end)

   for _, recompute in ipairs{"cheap", "role"} do
      it("names input, weights, layer, role and sample, recompute " .. recompute, function()
         local net, b = network{recompute = recompute}, batch(1)
         b.distant:set(3, 1, 2, 2, 0 / 0)
         local d = net:diagnose(b)
         assert.same({"input", "distant", 3}, {d.pass, d.role, d.sample})
         b = batch(1)
         net:state()["two.conv1.weight"]:set(1, 1, 1, 1, 1 / 0)
         d = net:diagnose(b)
         assert.same({"weights", "two.conv1.weight"}, {d.pass, d.layer})
         assert.matches("two.conv1.weight", d.message, 1, true)
         net = network{recompute = recompute}
         b.neighbor:set(2, 1, 5, 5, 3e38) -- finite, but not in a convolution's sum
         net:state()["conv1.weight"]:fill(2)
         d = net:diagnose(b)
         assert.same({"forward", "conv1", "conv2d", "neighbor", 2}, {d.pass, d.layer, d.kind, d.role, d.sample})
         assert.matches("conv2d 'conv1': the value is not finite (neighbor, sample 2)", d.message, 1, true)
      end)
   end

   it("finds a gradient that overflows on the way back", function()
      local net = network{precision = "f16"}
      assert(net:measure(batch(1)))
      net.scaling.scale = 2 ^ 60
      local d = net:diagnose(batch(1))
      assert.equal("backward", d.pass)
      assert(d.role and d.sample and d.layer)
      assert.matches("': a gradient is beyond 65504, the largest number of f16 (", d.message, 1, true)
      assert.matches("f16 holds numbers up to 65504", select(2, net:measure(batch(1))), 1, true)
   end)

   it("says which layer's values f16 cannot hold, and so does the step that fails", function()
      for _, recompute in ipairs{"cheap", "role"} do
         local net, b = network{precision = "f16", recompute = recompute}, batch(1)
         b.neighbor = b.neighbor * 1e6
         local said = "conv2d 'conv1': a value is beyond 65504, the largest number of f16"
         assert.equal(said .. " (neighbor, sample 1)", net:diagnose(b).message)
         for _, step in ipairs{"train_step", "measure"} do
            assert.equal("the loss is nan: " .. said, select(2, net[step](net, b)))
         end
         b = batch(1)
         b.neighbor:set(2, 1, 5, 5, 0 / 0) -- not f16's fault
         assert.equal("the loss is nan: neighbor, sample 2, holds NaN or infinite samples",
            select(2, net:train_step(b)))
      end
   end)

   it("lists what f16 would lose", function()
      local net, b = network(), batch(1)
      b.anchor:set(2, 1, 5, 5, 1e5)
      local rows = net:ranges(b)
      assert.equal("conv1", rows[1].layer)
      assert(rows[1].value.most > 1e3 and rows[1].value.over >= 0)
      assert(rows[1].gradient.most > 0 and rows[1].gradient.under >= 0)
      net:state()["conv1.weight"]:fill(1)
      assert(net:ranges(b)[1].value.over > 0)
      assert.matches("conv1 +conv2d", tostring(rows))
      local by_role = network{recompute = "role"}:ranges(b)
      assert.equal(#rows, #by_role)
      assert.near(rows[1].value.most, by_role[1].value.most, 1e-3 * rows[1].value.most)
      assert.near(rows[2].gradient.most, by_role[2].gradient.most, 1e-3 * rows[2].gradient.most)
   end)
end)
