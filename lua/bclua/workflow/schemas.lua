-- The name that `bclua.schemas` had.
return setmetatable({}, {__index = require "bclua.schemas"})
