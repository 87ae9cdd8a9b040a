-- jobs.lua: functions that specs run on worker states.
local jobs = {}

function jobs.square(x, options) return x * x + options.add end

function jobs.touch(item)
   item.values:fill(7)
   return item
end

function jobs.fail_on_two(x)
   if x == 2 then error("two is bad") end
   return x
end

function jobs.world_failure(path) return nil, path .. ": no such file" end

function jobs.required(name) return type(require(name)) end

function jobs.returns_function() return print end

return jobs
