local numbers = require "bclua.numbers"

describe("numbers.is_finite", function()
   it("is true of numbers that are neither NaN nor infinite, and of nothing else", function()
      for _, x in ipairs{0, -0.0, 1, math.mininteger, math.maxinteger, 5e-324, -1.7976931348623157e308} do
         assert.is_true(numbers.is_finite(x))
      end
      for _, x in ipairs{0 / 0, math.huge, -math.huge, "1", true, {}} do assert.is_false(numbers.is_finite(x)) end
      assert.is_false(numbers.is_finite(nil))
   end)
end)
