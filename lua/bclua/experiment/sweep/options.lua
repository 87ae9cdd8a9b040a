--- The options of `sweep.run`, checked.
-- @module bclua.experiment.sweep.options
local check_options = require("bclua.options").check
local files = require "bclua.files"
local points = require "bclua.experiment.sweep.points"
local shards = require "bclua.data.shards"
local worker = require "bclua.experiment.sweep.worker"

local options_of = {}

local RUN = {
   path = {"string", needed = true, check = function(path)
      return not path:match("%.parquet$") and ("'%s' does not end in .parquet"):format(path) or nil
   end},
   grid = "table",
   random = "table",
   trials = {"integer", least = 1, most = points.most},
   random_seed = {"integer", least = 0, most = 1 << 53, default = 1},
   halving = {"table", of = {
      parameter = {"string", needed = true},
      least = {"number", above = 0, needed = true},
      most = {"number", above = 0, needed = true},
      factor = {"number", above = 1, default = 3},
   }},
   seeds = {"list", of = {"integer", least = 0, most = 1 << 53}, items = "integers", shortest = 1, default = {1}},
   metric = "string",
   maximise = "boolean",
   workers = {"integer", least = 1, most = 1024, default = 1},
   f = "function",
   module = "string",
   name = "string",
   known = "table",
   fixed = {"table", default = {}},
   on_trial = "function",
   force = "boolean",
   retry = "boolean",
   shard = shards.rules.shard,
   keep = "boolean",
   quiet = "boolean",
}

local function fail(text, ...) error(text:format(...), 0) end

local function check_seeds(seeds)
   local seen = {}
   for _, seed in ipairs(seeds) do
      if seen[seed] then fail("seeds: %d comes twice", seed) end
      seen[seed] = true
   end
end

-- The function of a sweep, and a text that tells it from others.
local function check_function(o)
   if (o.f == nil) == (o.module == nil) then fail("f or module: one of them expected") end
   if o.module then
      if not o.name then fail("name: which function of '%s'? string expected, got nil", o.module) end
      worker.find(o.module, o.name)
      return o.module .. "." .. o.name
   end
   if o.workers > 1 then
      fail("workers: a Lua function cannot go to %d processes; give module and name, a function that they can load",
         o.workers)
   end
   if o.name then return o.name end
   local info = debug.getinfo(o.f, "S") -- its text: where it stands may change
   local source = info.source:sub(1, 1) == "@" and files.read(info.source:sub(2)) or info.source
   local lines, number = {}, 0
   for line in (source .. "\n"):gmatch("([^\n]*)\n") do
      number = number + 1
      if number >= info.linedefined and number <= info.lastlinedefined then
         lines[#lines + 1] = line:match("^%s*(.-)%s*$")
      end
   end
   return "function " .. points.hash(table.concat(lines, "\n")):sub(1, 8)
end

local function check_halving(o, check)
   local h = o.halving
   check(h.parameter, "halving", h.least)
   if (o.grid or o.random)[h.parameter] ~= nil or o.fixed[h.parameter] ~= nil then
      fail("halving: '%s' is in the grid, or fixed, already", h.parameter)
   end
   if h.most < h.least then fail("halving: most (%s) is below least (%s)", h.most, h.least) end
   if not o.metric then fail("metric: halving needs one") end
end

-- A metric must not be hidden by what the file has anyway.
local function check_metric(o)
   local metric = o.metric
   if points.reserved[metric] or (o.grid or o.random)[metric] ~= nil or o.halving and o.halving.parameter == metric then
      fail("metric: '%s' is a parameter, or a name of the sweep's own", metric)
   end
end

--- Check all options.
-- @tparam table given
-- @treturn table a copy with defaults, the `points`, and `identity`: what must be the same to go on
-- @raise naming the option
function options_of.check(given)
   local o = check_options(given, RUN, 0)
   check_seeds(o.seeds)
   if (o.grid == nil) == (o.random == nil) then fail("grid or random: one of them expected") end
   if o.trials and o.grid then fail("trials: is for random only") end
   local check = points.checker(o.known)
   for name, value in pairs(o.fixed) do
      check(name, "fixed", value)
      points.check_value(value, "fixed." .. name)
      if (o.grid or o.random)[name] ~= nil then fail("fixed: '%s' is in the grid already", name) end
   end
   o.points = o.grid and points.grid(o.grid, check) or
      points.random(o.random, o.trials, o.random_seed, check)
   if o.halving then check_halving(o, check) end
   if o.shard and o.halving then fail("shard: halving cannot be shared, as each rung waits for the one before") end
   if o.shard and o.force then fail("shard: force would remove what others did; remove %s by hand", o.path) end
   if o.metric then check_metric(o) end
   o.identity = {["function"] = check_function(o), fixed = o.fixed}
   return o
end

return options_of
