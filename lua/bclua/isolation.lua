-- The name that `bclua.batch_independence` had.
return setmetatable({}, {__index = require "bclua.batch_independence"})
