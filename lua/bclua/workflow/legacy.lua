-- The name that `bclua.legacy` had.
return setmetatable({}, {__index = require "bclua.legacy"})
