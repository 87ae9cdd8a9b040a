local array = require "bclua.array"
local nn = require "bclua.nn"

local nan = 0 / 0
local KINDS = {"triplet", "triplet_cosine", "semi_hard", "batch_hard", "nt_xent", "supcon", "cross_entropy"}

local function noise(shape, seed, dtype)
   math.randomseed(seed)
   local a = array.zeros(shape, dtype or "f64")
   local flat = a:reshape(a:size())
   for i = 1, #flat do flat[i] = math.random() - 0.5 end
   return a
end

describe("a loss", function()
   for _, kind in ipairs(KINDS) do
      it(kind .. " has the gradient that central differences give", function()
         for place, margin in ipairs{0.02, 0.4} do
            local e, o = noise({12, 4}, 5), {loss = kind, margin = margin, l2 = 0.3, temperature = 0.4}
            if place == 2 or kind == "cross_entropy" then
               o.groups = array.from({1, 2, 1, -1, 1, 2, 1, -1, 2, 3, -1, 0}, "i32")
            end
            local _, de = nn.loss(e, o)
            local x, g, eps = e:reshape(48), de:reshape(48), 1e-6
            assert(g:abs():max() > 0.01)
            for i = 1, #x do
               local old = x[i]
               x[i] = old + eps
               local up = nn.loss(e, o).loss
               x[i] = old - eps
               local down = nn.loss(e, o).loss
               x[i] = old
               assert.near((up - down) / (2 * eps), g[i], 1e-7)
            end
         end
      end)

      it(kind .. " is finite for silent and for equal embeddings, NaN for NaN", function()
         local groups = array.from({0, 1, 2, 0, 1, -1}, "i32")
         for _, e in ipairs{array.zeros{6, 3}, array.full({6, 3}, 0.5)} do
            local info, de = nn.loss(e, {loss = kind, groups = kind == "cross_entropy" and groups or nil})
            assert(info.loss == info.loss and math.abs(info.loss) < math.huge)
            assert(info.cosine == info.cosine and info.spread == 0)
            assert(de:is_finite())
         end
         local e = noise({6, 3}, 1)
         e:set(2, 2, nan)
         local loss = nn.loss(e, {loss = kind, l2 = 0, groups = kind == "cross_entropy" and groups or nil}).loss
         assert(loss ~= loss)
      end)
   end

   it("scales its gradient, not itself", function()
      local e = noise({6, 3}, 2)
      local one, g = nn.loss(e)
      local two, h = nn.loss(e, {scale = 8})
      assert.equal(one.loss, two.loss)
      assert(array.allclose(g * 8, h, 1e-12, 0))
   end)

   it("of cosines is the hinge of 1 - cos", function()
      -- cos(p, n) = 0.6, cos(p, d) = 0
      local info = nn.loss(array.from({{2, 0}, {3, 4}, {0, 7}}, "f64"), {loss = "triplet_cosine", l2 = 0})
      assert.near(0.4, info.loss_n, 1e-12)
      assert.near(1, info.loss_d, 1e-12)
      assert.near(0, info.loss, 1e-12)
      assert.near(0.3, nn.loss(array.from({{2, 0}, {3, 4}, {0, 7}}, "f64"),
         {loss = "triplet_cosine", l2 = 0, margin = 0.9}).loss, 1e-12)
   end)

   it("mines distant ones of the whole batch", function()
      -- one axis: p 0, 100; n 3, 104; d 20, 109. Of the first p: candidates 104, 20, 109;
      -- of the second: 3 (97), 20 (80), 109 (9).
      local e = array.from({{0}, {100}, {3}, {104}, {20}, {109}}, "f64")
      local o = {l2 = 0, margin = 10}
      local function loss(kind)
         o.loss = kind
         return nn.loss(e, o).loss
      end
      assert.near((0 + 5) / 2, loss("batch_hard"), 1e-12) -- 3-20+10 < 0; 4-9+10 = 5
      assert.near((0 + 5) / 2, loss("semi_hard"), 1e-12)
      e[6][1] = 102 -- nearer than the neighbour: hard takes it, semi-hard looks behind it
      assert.near((0 + 4 - 2 + 10) / 2, loss("batch_hard"), 1e-12)
      assert.near((0 + 0) / 2, loss("semi_hard"), 1e-12)
      for i, v in ipairs{0, 0, 30, 30, 1, 2} do e[i][1] = v end
      -- nothing is farther than 30: the farthest, which is the other neighbour
      assert.near(10, loss("semi_hard"), 1e-12)
   end)

   it("NT-Xent is a softmax over cosines", function()
      local e = array.from({{1, 0}, {2, 0}, {0, 3}}, "f64") -- views equal, the distant one across
      local info = nn.loss(e, {loss = "nt_xent", temperature = 0.5, l2 = 0})
      assert.near(math.log((math.exp(2) + 1) / math.exp(2)), info.loss, 1e-12)
      assert.equal(0, info.active)
      assert.near(0, info.loss_n, 1e-12)
      assert.near(1, info.loss_d, 1e-12)
   end)

   -- As the papers have it, pair by pair.
   local function contrast(e, groups, is_supcon, temperature)
      local n, b, all, rows = #e, #e // 3, 0, 0
      local function cos(i, k)
         return (e[i] * e[k]):sum() / math.sqrt((e[i] * e[i]):sum() * (e[k] * e[k]):sum())
      end
      for i = 1, n do
         local other = i <= b and i + b or i <= 2 * b and i - b or 0
         local positives, sum, toward = 0, 0, 0
         for k = 1, n do
            local alike = groups[i] >= 0 and groups[i] == groups[k]
            local positive = k == other or is_supcon and alike
            if k ~= i and (positive or not alike) then
               sum = sum + math.exp(cos(i, k) / temperature)
               if positive then positives, toward = positives + 1, toward + cos(i, k) / temperature end
            end
         end
         if positives > 0 then all, rows = all + math.log(sum) - toward / positives, rows + 1 end
      end
      return all / rows
   end

   it("takes views of the same group for no negatives (NT-Xent) and for positives (SupCon)", function()
      local e = noise({15, 6}, 8)
      local groups = array.from({1, 2, 1, -1, 3, 1, 2, 1, -1, 3, 2, 4, -1, 1, 5}, "i32")
      for _, kind in ipairs{"nt_xent", "supcon"} do
         local o = {loss = kind, l2 = 0, temperature = 0.2, groups = groups}
         assert.near(contrast(e, groups, kind == "supcon", 0.2), nn.loss(e, o).loss, 1e-12)
         o.groups = groups:copy("i64")
         assert.near(contrast(e, groups, kind == "supcon", 0.2), nn.loss(e, o).loss, 1e-12)
      end
   end)

   it("is the same for NT-Xent and SupCon where nobody has a group", function()
      local e = noise({12, 5}, 9)
      local one, g = nn.loss(e, {loss = "nt_xent"})
      for _, groups in ipairs{array.full({12}, -1, "i32"), false} do
         local two, h = nn.loss(e, {loss = "supcon", groups = groups or nil})
         assert.same(one, two)
         assert(array.equal(g, h))
      end
   end)

   it("is finite where all are of one group", function()
      local e, groups = noise({6, 3}, 4), array.zeros(6, "i32")
      local info, g = nn.loss(e, {loss = "nt_xent", l2 = 0, groups = groups})
      assert.near(0, info.loss, 1e-12) -- nothing to tell apart
      assert.near(0, g:abs():max(), 1e-12)
      info, g = nn.loss(e, {loss = "supcon", groups = groups})
      assert(info.loss > 0 and info.loss < math.huge and g:is_finite())
   end)

   it("of groups is the cross-entropy of scores, a tenth of the target on all groups", function()
      local e, groups = noise({6, 4}, 3), {3, 0, -1, 2, -1, 3}
      local rows, expected, wrong = e:table(), 0, 0
      for i, own in ipairs(groups) do
         local sum, highest = 0, 1
         for k, x in ipairs(rows[i]) do
            sum = sum + math.exp(x)
            if x > rows[i][highest] then highest = k end
         end
         for k, x in ipairs(own >= 0 and rows[i] or {}) do
            expected = expected - (k == own + 1 and 0.925 or 0.025) * (x - math.log(sum)) / 4
         end
         if own >= 0 and highest ~= own + 1 then wrong = wrong + 1 / 4 end
      end
      local info, g = nn.loss(e, {loss = "cross_entropy", groups = array.from(groups, "i32"), l2 = 0})
      assert.near(expected, info.loss, 1e-12)
      assert.equal(wrong, info.active)
      assert.equal(0, g[3]:abs():max() + g[5]:abs():max()) -- of no group
   end)

   it("sees collapse onto a point and onto a line", function()
      local line = array.from({{1, 1}, {2, 2}, {3, 3}}, "f64")
      assert.near(1, nn.loss(line).cosine, 1e-12)
      assert.near(-1 / 3, nn.loss(array.from({{1, 0}, {-1, 0}, {1, 0}}, "f64")).cosine, 1e-12)
      assert(nn.loss(line).spread > 1)
   end)

   it("names what it cannot use", function()
      local e = array.zeros{6, 2}
      assert.error_matches(function() nn.loss(e, {loss = "quadruplet"}) end, "'loss'", 1, true)
      assert.error_matches(function() nn.loss(e, {loss = "nt_xent", temperature = 0}) end, "'temperature'", 1, true)
      assert.error_matches(function() nn.loss(e, {margn = 1}) end, "unknown option 'margn'", 1, true)
      for _, groups in ipairs{array.zeros(5, "i32"), array.zeros({6, 1}, "i32"), 7} do
         assert.error_matches(function() nn.loss(e, {groups = groups}) end,
            "option 'groups': an array of 6 numbers expected", 1, true)
      end
      assert.error_matches(function() nn.loss(e, {loss = "cross_entropy"}) end, "'groups' is missing", 1, true)
      assert.error_matches(function()
         nn.loss(e, {loss = "cross_entropy", groups = array.from({0, 1, 1, 0, 2, 1}, "i32")})
      end, "group 2, but there are scores of 2", 1, true)
      assert.error_matches(function() nn.loss(array.zeros{4, 2}) end, "(3 B, z) expected, got (4, 2)", 1, true)
   end)
end)

describe("a training step", function()
   local LAYERS = {
      {"conv2d", name = "c", out = 4, kernel = 3, padding = 1}, {"batch_norm", name = "bn"}, {"relu"},
      {"conv2d", name = "d", out = 6, kernel = 3, stride = 2}, {"average_pool", global = true},
   }
   local function network(options)
      local o = {input = {1, 9, 8}, seed = 4}
      for key, value in pairs(options or {}) do o[key] = value end
      return nn.network(LAYERS, o)
   end
   local function batch(seed, n)
      return {anchor = noise({n or 4, 1, 9, 8}, seed, "f32"), neighbor = noise({n or 4, 1, 9, 8}, seed + 1, "f32"),
              distant = noise({n or 4, 1, 9, 8}, seed + 2, "f32")}
   end
   local function copies(t)
      local out = {}
      for name, a in pairs(t) do out[name] = a:copy() end
      return out
   end

   it("goes down with every loss, roles apart or together", function()
      for _, kind in ipairs(KINDS) do
         for _, roles in ipairs{"separate", "joint"} do
            local net, o = network(), {loss = kind, roles = roles, margin = 1, lr = 1e-2}
            local examples = batch(1)
            examples.groups = kind == "cross_entropy" and array.from({0, 1, 2, 3, 0, 1, 2, 3, 1, 2, 3, 5}, "i32") or nil
            local first, last = assert(net:train_step(examples, o)).loss, nil
            for _ = 1, 20 do last = assert(net:train_step(examples, o)).loss end
            assert(last < first, ("%s %s: %g -> %g"):format(kind, roles, first, last))
         end
      end
   end)

   it("together makes the roles one batch for batch norm", function()
      local apart, together = network(), network()
      apart:train_step(batch(1))
      together:train_step(batch(1), {roles = "joint"})
      assert.equal(3, apart:state()["bn.num_batches_tracked"][1])
      assert.equal(1, together:state()["bn.num_batches_tracked"][1])
   end)

   it("clips the gradient to a norm", function()
      local o = {weight_decay = 0, betas = {0, 0}, eps = 1e6, lr = 1e6, margin = 1}
      local function change(clip)
         local net, sum = network(), 0
         local before = copies(net:parameters())
         o.clip_norm = clip
         local info = assert(net:train_step(batch(1), o))
         -- with such an eps, AdamW steps by lr / eps * gradient
         for name, a in pairs(net:parameters()) do sum = sum + ((a - before[name]):copy("f64") ^ 2):sum() end
         return math.sqrt(sum), info
      end
      local free, info = change()
      assert.near(info.gradient_norm, free, 1e-3 * free)
      assert.is_false(info.clipped)
      local clipped, info2 = change(info.gradient_norm / 4)
      assert.is_true(info2.clipped)
      assert.near(free / 4, clipped, 1e-3 * free)
      assert.equal(info.gradient_norm, info2.gradient_norm)
      assert.is_false(select(2, change(2 * info.gradient_norm)).clipped)
   end)

   it("accumulates: the mean of several gradients, in one step", function()
      local net, sum = network(), nil
      for _, seed in ipairs{1, 11} do
         net:measure(batch(seed), {margin = 1})
         local g = net:gradients()["c.weight"]
         sum = sum and sum + g or g:copy()
      end
      local o = {accumulate = 2, margin = 1, betas = {0, 0}, eps = 1e6, lr = 1e6, weight_decay = 0}
      local before = net:state()["c.weight"]:copy()
      local info = assert(net:train_step(batch(1), o))
      assert.is_false(info.stepped)
      assert.equal(1, net.pending)
      assert.equal(0, net.step)
      assert(array.equal(before, net:state()["c.weight"]))
      assert.is_true(assert(net:train_step(batch(11), o)).stepped)
      assert.equal(1, net.step)
      assert(array.allclose(before - net:state()["c.weight"], sum * 0.5, 1e-3, 1e-5))
   end)

   it("keeps what was accumulated when a batch is not finite, and says where", function()
      local function two(spoilt)
         local net, o = network(), {accumulate = 2, margin = 1}
         assert(net:train_step(batch(1), o))
         if spoilt then
            local bad = batch(5)
            bad.neighbor:set(3, 1, 2, 2, 1 / 0)
            local info, message = net:train_step(bad, o)
            assert.is_nil(info)
            assert.matches("neighbor, sample 3, holds NaN or infinite samples", message, 1, true)
         end
         assert(net:train_step(batch(11), o))
         return net:state()
      end
      local clean, spoilt = two(false), two(true)
      for name, a in pairs(clean) do assert(array.equal(a, spoilt[name]), name) end
   end)

   it("begins anew after a batch that was broken off on its way back", function()
      local o = {accumulate = 2, margin = 1}
      local clean, net = network(), network()
      for _, seed in ipairs{1, 11} do assert(clean:train_step(batch(seed), o)) end
      assert(net:train_step(batch(5), o))
      local core = net.core
      net.core = setmetatable({backward = function(_, g)
         core:backward(g)
         error("interrupted!")
      end}, {__index = function(_, name) return function(_, ...) return core[name](core, ...) end end})
      assert.error_matches(function() net:train_step(batch(7), o) end, "interrupted!")
      net.core = core
      for _, seed in ipairs{1, 11} do assert(net:train_step(batch(seed), o)) end
      for name, a in pairs(clean:parameters()) do assert(array.equal(a, net:parameters()[name]), name) end
   end)

   it("in f16 halves the scale of the loss on overflow and skips the step", function()
      local net = network{precision = "f16"}
      assert(net:train_step(batch(1)))
      net.scaling.scale = 2 ^ 40
      local before = copies(net:state())
      local info = assert(net:train_step(batch(1)))
      assert.is_true(info.skipped)
      assert.equal(2 ^ 39, net:loss_scale())
      for name, a in pairs(net:state()) do assert(array.equal(a, before[name]), name) end
      assert.equal(1, net.step)
      for _ = 1, 60 do
         info = assert(net:train_step(batch(1)))
         if info.stepped then break end
      end
      assert.is_true(info.stepped)
      net.scaling.good = 199
      local scale = net:loss_scale()
      assert(net:train_step(batch(1)))
      assert.equal(2 * scale, net:loss_scale())
   end)

   it("goes on from a checkpoint to the same weights, scale and dropout included", function()
      local command = require "support.command"
      local folder = command.folder()
      local layers = {{"conv2d", out = 4, kernel = 3}, {"dropout", rate = 0.3}, {"relu"}, {"linear", out = 5}}
      local function new() return nn.network(layers, {input = {1, 9, 8}, seed = 2, precision = "f16"}) end
      local one, two = new(), new()
      for k = 1, 2 do assert(one:train_step(batch(k))) end
      assert(one:save(folder .. "/a.safetensors", {optimizer = true}))
      assert(two:load(folder .. "/a.safetensors", {optimizer = true}))
      assert.same(one.scaling, two.scaling)
      for k = 3, 4 do
         one:train_step(batch(k))
         two:train_step(batch(k))
      end
      for name, a in pairs(one:state()) do assert(array.equal(a, two:state()[name]), name) end
      command.remove(folder)
   end)

   it("names the option it rejects", function()
      local net = network()
      for text, o in pairs{["'roles'"] = {roles = "mixed"}, ["'clip_norm'"] = {clip_norm = 0},
                           ["'accumulate'"] = {accumulate = 0.5}, ["'lrr'"] = {lrr = 1}, ["'loss'"] = {loss = "x"}} do
         assert.error_matches(function() net:train_step(batch(1), o) end, text, 1, true)
      end
   end)
end)
