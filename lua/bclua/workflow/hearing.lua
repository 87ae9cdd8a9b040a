-- The name that `bclua.hearing` had.
return setmetatable({}, {__index = require "bclua.hearing"})
