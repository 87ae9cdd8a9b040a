local agreement = require "bclua.evaluate.agreement"

local ami = agreement.adjusted_mutual_information

-- The mean of a function over all orders of a list.
local function mean_over_orders(list, f)
   local sum, n = 0, 0
   local function permute(k)
      if k == 0 then
         sum, n = sum + f(list), n + 1
         return
      end
      for i = 1, k do
         list[i], list[k] = list[k], list[i]
         permute(k - 1)
         list[i], list[k] = list[k], list[i]
      end
   end
   permute(#list)
   return sum / n
end

local function information(a, b)
   local p, of_a, of_b, sum = {}, {}, {}, 0
   for i, x in ipairs(a) do
      local key = x .. " " .. b[i]
      p[key], of_a[x], of_b[b[i]] = (p[key] or 0) + 1 / #a, (of_a[x] or 0) + 1 / #a, (of_b[b[i]] or 0) + 1 / #a
   end
   for key, v in pairs(p) do
      local x, y = key:match("(%d+) (%d+)")
      sum = sum + v * math.log(v / (of_a[tonumber(x)] * of_b[tonumber(y)]))
   end
   return sum
end

describe("adjusted mutual information", function()
   it("is that of scikit-learn's own tests", function()
      local a = {1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3}
      local b = {1, 1, 1, 1, 2, 1, 2, 2, 2, 2, 3, 1, 3, 3, 3, 2, 2}
      assert.near(0.27821, ami(a, b), 5e-6)
      assert.near(ami(a, b), ami(b, a), 1e-12)
      assert.equal(1, ami({0, 0, 1, 1}, {"x", "x", "y", "y"}))
      assert.near(0, ami({0, 0, 0, 0}, {0, 1, 2, 3}), 1e-12)
   end)

   it("is what its definition says, over all orders", function()
      local a, b = {1, 1, 1, 2, 2, 3, 3}, {1, 1, 2, 2, 2, 2, 1}
      local expected = mean_over_orders({table.unpack(b)}, function(order) return information(a, order) end)
      local most = (information(a, a) + information(b, b)) / 2
      assert.near((information(a, b) - expected) / (most - expected), ami(a, b), 1e-9)
   end)

   it("is 1 for one class twice, and for one class a window twice", function()
      assert.equal(1, ami({1, 1, 1}, {2, 2, 2}))
      assert.equal(1, ami({1, 2, 3}, {3, 1, 2}))
      assert.equal(1, ami({1}, {1}))
   end)

   it("names what it rejects", function()
      assert.error_matches(function() ami({1}, {1, 2}) end, "1 labels and 2 labels")
      assert.error_matches(function() ami({}, {}) end, "no labels")
   end)
end)
