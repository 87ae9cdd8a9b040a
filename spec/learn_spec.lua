local array = require "bclua.array"
local learn = require "bclua.learn"

describe("learn", function()
   -- three clouds on a line; a little noise from a fixed sequence
   local function clouds()
      local x, labels = {}, {}
      local seed = 1
      local function noise()
         seed = (seed * 1103515245 + 12345) % 2147483648
         return seed / 2147483648 - 0.5
      end
      for i = 1, 90 do
         local class = (i - 1) % 3 + 1
         x[i], labels[i] = {class * 2 + noise(), noise()}, class
      end
      return array.from(x, "f64"), array.from(labels, "i64")
   end

   it("separates what can be separated", function()
      local x, labels = clouds()
      local w = learn.logistic_fit(x, labels)
      assert.same({3, 3}, w:shape())
      assert.is_true(array.equal(labels, learn.logistic_predict(w, x)))
   end)

   it("reaches the minimum: the gradient by differences is zero", function()
      local x, labels = clouds()
      local c = 0.7
      local w = learn.logistic_fit(x, labels, {c = c, tolerance = 1e-10, iterations = 1000})
      local function objective(v)
         local sum = 0
         for i = 1, 90 do
            local z, total = {}, 0
            for k = 1, 3 do
               z[k] = v:at(k, 1) * x:at(i, 1) + v:at(k, 2) * x:at(i, 2) + v:at(k, 3)
               total = total + math.exp(z[k])
            end
            sum = sum + math.log(total) - z[labels[i]]
         end
         local squares = 0
         for k = 1, 3 do squares = squares + v:at(k, 1) ^ 2 + v:at(k, 2) ^ 2 end
         return c * sum + squares / 2
      end
      for k = 1, 3 do
         for j = 1, 3 do
            local up, down = w:copy(), w:copy()
            up:set(k, j, w:at(k, j) + 1e-4)
            down:set(k, j, w:at(k, j) - 1e-4)
            assert.near(0, (objective(up) - objective(down)) / 2e-4, 1e-5)
         end
      end
   end)

   it("gives zero weights for one class, and for constant columns", function()
      local w = learn.logistic_fit(array.full({4, 2}, 3), array.full(4, 1, "i64"))
      assert.same({{0, 0, 0}}, w:table())
      w = learn.logistic_fit(array.zeros({4, 1}), array.from({1, 2, 1, 2}, "i64"))
      assert.near(0, w:abs():max(), 1e-9)
   end)

   it("names what it rejects", function()
      local x = array.zeros({2, 2})
      assert.error_matches(function() learn.logistic_fit(x, array.from({1}, "i64")) end, "1 labels for 2 rows")
      assert.error_matches(function() learn.logistic_fit(x, array.from({0, 1}, "i64")) end, "label 0 outside")
      assert.error_matches(function() learn.logistic_fit(x / 0, array.from({1, 1}, "i64")) end, "not finite")
      assert.error_matches(function() learn.logistic_fit(array.zeros({0, 2}), array.zeros(0, "i64")) end, "no rows")
      assert.error_matches(function() learn.logistic_predict(array.zeros({2, 4}), x) end, "2 columns, the model has 3")
   end)
end)
