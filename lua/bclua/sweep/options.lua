--- The options of `sweep.run`, checked.
-- @module bclua.sweep.options
local files = require "bclua.files"
local points = require "bclua.sweep.points"
local worker = require "bclua.sweep.worker"

local options_of = {}

local KNOWN = {path = "string", grid = "table", random = "table", trials = "number", random_seed = "number",
   halving = "table", seeds = "table", metric = "string", maximise = "boolean", workers = "number", f = "function",
   module = "string", name = "string", known = "table", fixed = "table", on_trial = "function", force = "boolean",
   retry = "boolean", keep = "boolean", quiet = "boolean"}

local function fail(text, ...) error(text:format(...), 0) end

local function check_whole(value, name, least, most)
   if math.tointeger(value) and value >= least and value <= most then return math.tointeger(value) end
   fail("%s: a whole number of %d..%d expected, got %s", name, least, most, tostring(value))
end

local function check_seeds(seeds)
   local seen = {}
   if #seeds == 0 then fail("seeds: a list of one or more expected, got none") end
   for i, seed in ipairs(seeds) do
      seeds[i] = check_whole(seed, "seeds", 0, 2 ^ 53)
      if seen[seeds[i]] then fail("seeds: %d comes twice", seed) end
      seen[seeds[i]] = true
   end
   return seeds
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

local HALVING = {parameter = true, least = true, most = true, factor = true}

local function check_halving(o, check)
   local h = o.halving
   for k in pairs(h) do
      if not HALVING[k] then
         fail("halving: unknown option '%s' (known: factor, least, most, parameter)", tostring(k))
      end
   end
   check(h.parameter, "halving", h.least)
   if (o.grid or o.random)[h.parameter] ~= nil or o.fixed[h.parameter] ~= nil then
      fail("halving: '%s' is in the grid, or fixed, already", h.parameter)
   end
   for _, name in ipairs({"least", "most"}) do
      if type(h[name]) ~= "number" or not (h[name] > 0 and h[name] < math.huge) then
         fail("halving.%s: a number above 0 expected, got %s", name, tostring(h[name]))
      end
   end
   if h.most < h.least then fail("halving: most (%s) is below least (%s)", h.most, h.least) end
   local factor = h.factor or 3
   if type(factor) ~= "number" or not (factor > 1 and factor < math.huge) then
      fail("halving.factor: a number above 1 expected, got %s", tostring(factor))
   end
   if not o.metric then fail("metric: halving needs one") end
   return {parameter = h.parameter, least = h.least, most = h.most, factor = factor}
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
   if type(given) ~= "table" then fail("bad argument #1 to 'run' (table expected, got %s)", type(given)) end
   local o = {workers = 1, seeds = {1}, fixed = {}, random_seed = 1}
   for k, v in pairs(given) do
      if not KNOWN[k] then
         fail("unknown option '%s' (known: %s)", tostring(k), table.concat(points.sorted(KNOWN), ", "))
      end
      if type(v) ~= KNOWN[k] then fail("%s: %s expected, got %s", k, KNOWN[k], type(v)) end
      o[k] = v
   end
   if not (o.path and o.path:match("%.parquet$")) then
      fail("path: the name of a file that ends in .parquet expected, got %s", tostring(o.path))
   end
   o.workers = check_whole(o.workers, "workers", 1, 1024)
   o.random_seed = check_whole(o.random_seed, "random_seed", 0, 2 ^ 53)
   o.seeds = check_seeds(table.move(o.seeds, 1, #o.seeds, 1, {}))
   if (o.grid == nil) == (o.random == nil) then fail("grid or random: one of them expected") end
   if o.trials and o.grid then fail("trials: is for random only") end
   local check = points.checker(o.known)
   for name, value in pairs(o.fixed) do
      check(name, "fixed", value)
      points.check_value(value, "fixed." .. name)
      if (o.grid or o.random)[name] ~= nil then fail("fixed: '%s' is in the grid already", name) end
   end
   o.points = o.grid and points.grid(o.grid, check) or
      points.random(o.random, math.tointeger(o.trials) or o.trials, o.random_seed, check)
   if o.halving then o.halving = check_halving(o, check) end
   if o.metric then check_metric(o) end
   o.identity = {["function"] = check_function(o), fixed = o.fixed}
   return o
end

return options_of
