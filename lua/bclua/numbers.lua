--- Numbers, one at a time.
-- @module bclua.numbers
local numbers = {}

--- Is it a number, and neither NaN nor infinite?
-- @param x any value
-- @treturn boolean
function numbers.is_finite(x) return type(x) == "number" and x - x == 0 end

return numbers
