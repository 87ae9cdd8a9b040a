local schedule = require "bclua.train.schedule"

-- Rates of the first `n` batches of `total`; rounds of `per_round`.
local function rates(o, n, total, per_round)
   local list = {}
   for step = 0, n - 1 do
      list[step + 1] = schedule.rate(o, {step = step, total = total or math.huge,
         round = step // (per_round or 10) + 1})
   end
   return list
end

local function near(expected, got, within)
   assert.equal(#expected, #got)
   for i, x in ipairs(expected) do assert.near(x, got[i], within or 1e-12, "batch " .. i) end
end

describe("schedule", function()
   it("constant stays, after a linear warm-up", function()
      near({2, 2, 2}, rates({schedule = "constant", lr = 2}, 3))
      near({0.5, 1, 1.5, 2, 2, 2}, rates({schedule = "constant", lr = 2, warmup = 4}, 6))
   end)

   it("step falls after so many rounds", function()
      near({1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01},
         rates({schedule = "step", lr = 1, lr_step = 2, lr_gamma = 0.1}, 9, 10, 2))
   end)

   it("cosine falls along half a cosine", function()
      near({4, 2 + math.sqrt(2), 2, 2 - math.sqrt(2)}, rates({schedule = "cosine", lr = 4}, 4, 4))
      near({4, 3 + math.sqrt(0.5), 3, 3 - math.sqrt(0.5)}, rates({schedule = "cosine", lr = 4, lr_final = 2}, 4, 4))
      near({2, 4, 4, 2 + math.sqrt(2), 2, 2 - math.sqrt(2)}, rates({schedule = "cosine", lr = 4, warmup = 2}, 6, 6))
   end)

   it("one_cycle gives the numbers of PyTorch's OneCycleLR(max_lr = 1, total_steps = 10)", function()
      near({0.04, 0.52, 1.0, 0.9504846320134737, 0.8117456539497631, 0.6112620219362893, 0.38874197806371056,
         0.18825834605023698, 0.04951936798652649, 4e-06}, rates({schedule = "one_cycle", lr = 1}, 10, 10), 1e-7)
      local rise = rates({schedule = "one_cycle", lr = 1, warmup = 5}, 10, 10)
      near({0.04, 1, 4e-6}, {rise[1], rise[5], rise[10]}, 1e-12)
   end)

   it("begins where the end is not known yet, and stays at the end behind it", function()
      near({4}, rates({schedule = "cosine", lr = 4}, 1))
      near({0.04}, rates({schedule = "one_cycle", lr = 1}, 1))
      assert.near(0, schedule.rate({schedule = "cosine", lr = 4}, {step = 12, total = 10, round = 3}), 1e-15)
      assert.near(4e-6, schedule.rate({schedule = "one_cycle", lr = 1}, {step = 12, total = 10, round = 3}), 1e-15)
      assert.near(1, schedule.rate({schedule = "one_cycle", lr = 1}, {step = 0, total = 1, round = 1}), 1)
   end)
end)
