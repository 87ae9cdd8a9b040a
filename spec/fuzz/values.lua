-- values.lua: what calls.lua hands to C: plausible arguments and others. All of it
-- follows from math.random, so that a seed gives the same values again.
local array = require "bclua.array"

local values = {}
local random = math.random

local function pick(list) return list[random(#list)] end
values.pick = pick

-- The names in a table, always in one order.
function values.names(t)
   local names = {}
   for name in pairs(t) do if type(name) == "string" then names[#names + 1] = name end end
   table.sort(names)
   return names
end

-- Functions and lying tables have no text of their own: here it is.
local labels = setmetatable({}, {__mode = "k"})
local function label(value, text)
   labels[value] = text
   return value
end
values.label = label

-- Objects of C, by the name of their metatable, and the names by the function that made
-- them; calls.lua fills both.
values.pool, values.kinds = {}, {}

function values.made_by(name) return pick(values.pool[values.kinds[name]]) end

local extremes = {
   0, -1, 1, 2^31, 2^31 - 1, -2^31 - 1, 2^32, 2^53 + 1, 2^62, 1 << 31, 1 << 32, 1 << 40, (1 << 53) + 1, 1 << 62,
   math.maxinteger, math.mininteger, 0/0, math.huge, -math.huge, 0.5, -0.0, 1e-320, 1e9, 1e18, 1e300, -1e300, 65536,
}
function values.extreme() return pick(extremes) end

function values.integer()
   local r = random()
   if r < 0.75 then return random(0, 12) end
   if r < 0.9 then return random(0, 300) end
   return values.extreme()
end

function values.number()
   local r = random()
   if r < 0.5 then return random() end
   if r < 0.8 then return random(0, 100) / 4 end
   return values.extreme()
end

function values.boolean() return random() < 0.5 end

local dtypes = {"f32", "f64", "i64", "i32", "i16", "u8"}
function values.dtype() return pick(dtypes) end

local extents = {0, 1, 2, 3, 4, 5, 12, 12, 36, 60, 200}
function values.shape()
   if random() < 0.3 then return pick(extents) end
   local shape = {}
   for i = 1, random(3) do shape[i] = pick(extents) % (i == 1 and 1000 or 37) end
   return shape
end

local function fill(a)
   local generator = values.pool["bclua.sampling.generator"]
   local v = random() < 0.7 and generator[1]:normal(a:size()):reshape(a:shape()) or random(0, 5)
   a:fill(v)
   local n = a:size()
   if n > 0 and random() < 0.2 then a:reshape(n):set(random(n), values.extreme()) end
   return a
end

-- A view of some kind, or the array itself.
local function seen(a)
   local r = random()
   if r < 0.6 then return a end
   if r < 0.75 then return a:T() end
   if r < 0.9 then
      local axis = random(a:ndim())
      local n = a:shape(axis)
      local first = random(1, n + 1)
      return a:slice(axis, first, random(first - 1, n))
   end
   return a
end

-- An array of that many axes (nil: any), at times a view of one that there is.
function values.array(axes, dtype)
   local held = values.pool["bclua.array"]
   if axes == nil and random() < 0.3 then return seen(pick(held)) end
   local shape = {}
   for i = 1, axes or random(3) do shape[i] = pick(extents) % (i == 1 and 1000 or 37) end
   local ok, a = pcall(array.zeros, shape, dtype or values.dtype())
   return seen(fill(ok and a or array.zeros(1)))
end

function values.vector() return values.array(1) end
function values.matrix() return values.array(2, random() < 0.6 and "f32" or nil) end

function values.samples()
   local y = array.zeros(pick{0, 1, 60, 900, 2000, 4000, 9000}, random() < 0.8 and "f32" or nil)
   return seen(fill(y))
end

-- (12, frames), or one row of it
function values.series()
   local x = fill(array.zeros({pick{1, 2, 12}, pick{1, 8, 60, 130}}, pick{"f32", "f64"}))
   return random() < 0.3 and x[1] or seen(x)
end

-- A column of n values, and an array of a shape and dtype that is wanted.
function values.column(n, dtype, of)
   local a = array.zeros(n, dtype)
   for i = 1, n do a:set(i, of(i)) end
   return a
end

function values.full(shape, dtype) return fill(array.zeros(shape, dtype)) end

-- A list whose length is not what it holds, and that may run Lua code when it is read.
function values.liar(of)
   local n = values.extreme()
   local meta = {__len = function() return n end, __index = random() < 0.5 and values.callback() or nil}
   return label(setmetatable({of(), of()}, meta), ("liar #%s, %s"):format(n, labels[meta.__index] or "plain"))
end

function values.list(of, most)
   if random() < 0.05 then return values.liar(of) end
   local list = {}
   for i = 1, random(0, most or 4) do list[i] = of() end
   return list
end

-- Files are made by calls.lua in its folder, which is the current one.
local paths = {"a.wav", "b.flac", "c.ogg", "x.npy", "t.safetensors", "missing", "new/x.npy", "out.npy", "out.wav",
   "out.flac", "out.ogg", ".", "", "/dev/null", "/dev/full", "a\0b", ("long"):rep(1200), "\xff\xfe", "junk"}
function values.path() return pick(paths) end

function values.string()
   return random() < 0.4 and values.path() or pick{"", "f32", "wav", "best", "max", "a", "\0", "\xff", "%s%n", "1"}
end

-- Sources that end, that never do, that return nonsense or a message, that raise,
-- that let go of what is being used, or call again what called them.
function values.callback()
   local kind = pick{"ends", "endless", "endless empty", "nonsense", "message", "raises", "closes", "again"}
   local left, block, nonsense = random(0, 3), values.samples(), values.any
   local crumb = array.zeros(random(0, 60)) -- an endless source is to be stopped before it takes a gigabyte
   local calls = {
      ends = function() left = left - 1 return left >= 0 and block or nil end,
      endless = function() return crumb end,
      ["endless empty"] = function() return array.zeros(0) end,
      nonsense = function() return nonsense(), nonsense() end,
      message = function() return nil, "no more" end,
      raises = function() error(nonsense(), 0) end,
      closes = function() values.close() end,
      again = function() return values.again() end,
   }
   return label(calls[kind], kind)
end

-- An object with the methods of a reader.
function values.reader()
   return label({read = values.callback(), seek_s = values.callback(), info = values.callback()}, "reader")
end

function values.source()
   local r = random()
   if r < 0.5 then return values.samples() end
   if r < 0.8 then return values.callback() end
   return r < 0.9 and values.reader() or values.object()
end

-- Any object of C, closed or not.
function values.object()
   return pick(values.pool[pick(values.names(values.pool))])
end

local anything = {
   function() return nil end, values.boolean, values.integer, values.number, values.extreme, values.string,
   values.array, values.vector, values.samples, values.callback, values.object,
   function() return values.list(values.any, 3) end,
   function() return values.liar(values.array) end, function() return values.liar(values.integer) end,
   function() return io.stdout end, function() return coroutine.create(values.any) end, function() return {} end,
   function() return print end,
}
local depth = 0
function values.any()
   if depth > 2 then return values.extreme() end
   depth = depth + 1
   local value = pick(anything)()
   depth = depth - 1
   return value
end

local function text_of(value, level)
   local kind = math.type(value) or type(value)
   if labels[value] then return "<" .. labels[value] .. ">" end
   if kind == "float" then return ("%.17g"):format(value) end
   if kind == "string" then return ("%q"):format(value:sub(1, 40)):gsub("\n", "n") end
   if array.is_array(value) then return (tostring(value):match("^[^\n]*")) end
   if kind == "userdata" then return (debug.getmetatable(value).__name or "userdata") end
   if kind ~= "table" then return kind == "integer" and ("%d"):format(value) or tostring(value):match("^%a+") end
   if level > 3 then return "{...}" end
   local parts, named = {}, {}
   for i = 1, rawlen(value) do parts[i] = text_of(rawget(value, i), level + 1) end
   for key, x in next, value do
      if type(key) == "string" then named[#named + 1] = key .. " = " .. text_of(x, level + 1) end
   end
   table.sort(named)
   return "{" .. table.concat(parts, ", ") .. (parts[1] and named[1] and ", " or "") .. table.concat(named, ", ") .. "}"
end

-- Arguments as text, for people.
function values.text(args)
   local parts = {}
   for i = 1, args.n do parts[i] = text_of(args[i], 1) end
   return table.concat(parts, ", ")
end

return values
