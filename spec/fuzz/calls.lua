-- usage: bclua spec/fuzz/calls.lua SEED CALLS FOLDER
-- Calls functions and methods of all C modules with plausible and with wrong arguments.
-- FOLDER/calls tells every call before it is made, so that its last line is the one that
-- ended the process, or hangs. spec/fuzz/seams.lua starts this and watches it.
local here = arg[0]:match("^(.*)/[^/]*$")
package.path = here .. "/?.lua;" .. package.path

local array = require "bclua.array"
local audio = require "bclua.audio"
local lfs = require "lfs"
local sampling = require "bclua.sampling"
local system = require "bclua.system"
local recipes = require "recipes"
local values = require "values"

local MOST_BYTES = 1 << 30
local MOST_HELD = 6 -- objects of a kind

local random = math.random
local pool = values.pool
local targets = {} -- {name=, f=, method=, rarely=}
local known = {} -- functions in targets
local documents = {} -- {params=, text=} by module and name

-- ---- What there is to call ----

-- The C modules: luaopen_bclua_nn_core opens bclua.nn.core.
local modules = {}
local function find_modules()
   local csrc = here .. "/../../csrc"
   for part in lfs.dir(csrc) do
      local folder = csrc .. "/" .. part
      for name in lfs.dir(part ~= "host" and lfs.attributes(folder, "mode") == "directory" and folder or here) do
         local f <close> = name:find("^lua_.*%.c$") and io.open(folder .. "/" .. name)
         local of = f and f:read("a"):match("BC_EXPORT int luaopen_bclua_([%w_]+)")
         if of then modules[#modules + 1] = of:gsub("_", ".") end
      end
   end
   table.sort(modules)
end

local function read_documents()
   local path = package.searchpath("bclua", package.cpath):gsub("[^/]*$", "help.lua")
   local text_of = {}
   for _, item in ipairs(assert(loadfile(path, "t", {}))().items) do
      if not item.name then text_of[item.module] = item.text end
      if item.name then documents[item.module .. "." .. item.name:match("[%w_]+$")] = item end
   end
   for _, item in pairs(documents) do item.about = (item.text or "") .. (text_of[item.module] or "") end
end

local function add_target(name, f, owner)
   if type(f) ~= "function" or known[f] or name == "bclua.array:__gc" then return end -- that one is out of reach
   known[f] = true
   -- what documents a method is its type's module, or the one before
   local module, method = name:match("^(bclua%.[%w_.]+)[.:]([%w_]+)$")
   local document = documents[module .. "." .. method] or documents[module:gsub("%.%a+$", "") .. "." .. method]
   targets[#targets + 1] = {name = name, f = f, owner = owner, rarely = recipes.rarely[name] or 1, document = document}
end

local function add_all(prefix, t, owner)
   for _, name in ipairs(values.names(t)) do add_target(prefix .. name, t[name], owner) end
end

-- The methods of an object, and its metamethods: those, too, can be called.
local function add_object(object)
   local meta = debug.getmetatable(object)
   local owner = meta.__name
   local methods = meta.__index
   if type(methods) == "function" then methods = select(2, debug.getupvalue(methods, 1)) end
   if type(methods) == "table" then add_all(owner .. ":", methods, owner) end
   add_all(owner .. ":", meta, owner)
end

local function hold(object)
   local meta = type(object) == "userdata" and debug.getmetatable(object)
   local owner = meta and meta.__name
   if type(owner) ~= "string" or not owner:find("^bclua%.") then return end
   if owner == "bclua.array" and object:bytes() > 1 << 17 then return end
   local held = pool[owner]
   if not held then
      held = {}
      pool[owner] = held
      add_object(object)
   end
   held[#held < MOST_HELD and #held + 1 or random(MOST_HELD)] = object
end

local function function_of(name)
   for _, module in ipairs(modules) do
      local of = name:match("^bclua%." .. module:gsub("%.", "%%.") .. "%.([%w_]+)$")
      if of then return require("bclua." .. module)[of] end
   end
end

local makers = {} -- by kind

-- Make an object, and remember of which kind it is.
local function make(maker)
   local name, arguments = table.unpack(maker)
   for _ = 1, 20 do
      local results = table.pack(pcall(function_of(name), table.unpack(arguments())))
      for i = 2, results.n do
         if type(results[i]) == "userdata" then
            hold(results[i])
            local kind = debug.getmetatable(results[i]).__name
            values.kinds[name], makers[kind] = kind, maker
            return
         end
      end
   end
   assert(values.kinds[name], name) -- later its files may have been written over
end

local function prepare(folder)
   assert(system.mkdir(folder))
   assert(lfs.chdir(folder))
   local y = array.full(4000, 0.1)
   for i = 1, 4000 do y[i] = 0.5 * math.sin(i / 3) end
   assert(audio.save("a.wav", y, 8000))
   assert(audio.save("b.flac", y, 16000))
   assert(audio.save("c.ogg", y:reshape{2, 2000}, 8000))
   assert(array.save("x.npy", y))
   assert(system.write_file("junk", ("\1\2junk"):rep(900)))
   assert(require("bclua.format.safetensors").save("t.safetensors", {x = y}))
   for _, seed in ipairs{1, 2} do hold(sampling.generator(seed)) end
   hold(array.zeros{3, 4})
end

-- ---- Arguments ----

local function of_type(text)
   for _, typed in ipairs(recipes.typed) do
      if text:find(typed[1], 1, true) then return typed[2]() end
   end
end

-- A few of the options that the documentation names in backticks.
local function options(target, param)
   local names = {}
   for name in ((param.text or "") .. target.document.about):gmatch("`([%l_%d]+)`") do
      if not (target.unknown and target.unknown[name]) then names[#names + 1] = name end
   end
   local t = {}
   local about = target.document.about
   if about:find("`sample_rate`", 1, true) and not (target.unknown or t).sample_rate then t.sample_rate = 9000 end
   for _ = 1, math.min(#names, random(0, 4)) do
      local name = values.pick(names)
      t[name] = (recipes.named[name] or values.number)()
   end
   return t
end

local function plausible(target)
   local recipe = recipes.calls[target.name]
   local self = target.owner and values.pick(pool[target.owner])
   if recipe then
      local args = recipe(self)
      args.n = 0
      for i in pairs(args) do if math.type(i) == "integer" and i > args.n then args.n = i end end
      return args
   end
   local args = {self, n = self and 1 or 0}
   for _, param in ipairs(target.document and target.document.params or {}) do
      args.n = args.n + 1
      if param.name == "options" or param.name == "settings" then
         args[args.n] = options(target, param)
      else
         args[args.n] = (recipes.named[param.name] or function() return of_type(param.type or "") end)()
      end
      if param.optional and random() < 0.4 then return args end
   end
   if not target.document then
      for _ = 1, random(0, 3) do args.n = args.n + 1 args[args.n] = values.any() end
   end
   return args
end

-- One place in the arguments or, as often, inside of one of them.
local function place(args, owner)
   local t, key = args, random(math.max(args.n, 1))
   if owner and random() < 0.9 then key = math.min(args.n, key + 1) end -- most objects stay what they are
   while type(t[key]) == "table" and getmetatable(t[key]) == nil and next(t[key]) ~= nil and random() < 0.7 do
      t = t[key]
      local keys = {}
      for name in pairs(t) do keys[#keys + 1] = name end
      table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
      key = values.pick(keys)
   end
   return t, key
end

local changes = {
   function(_, t, key) t[key] = values.any() end,
   function(_, t, key) t[key] = values.extreme() end,
   function(args, t, key) t[key] = args[random(math.max(args.n, 1))] end, -- the same twice, or a cycle
   function(_, t, key) t[key] = values.array() end,
   function(args) args.n = random(0, args.n) end,
   function(args) args.n = args.n + 1 args[args.n] = values.any() end,
   function(_, t, key) if type(t[key]) == "table" then t[key] = values.liar(values.any) end end,
   function(_, t, key) t[key] = nil end,
}

local function change(args, owner)
   for _ = 1, random() < 0.5 and 0 or random(2) do
      local t, key = place(args, owner)
      values.pick(changes)(args, t, key)
   end
   return args
end

-- ---- Calls ----

local log, made = nil, 0

local function learn_option(target, message)
   local name = type(message) == "string" and message:match("unknown option '([^']*)'")
   if not name then return end
   target.unknown = target.unknown or {}
   target.unknown[name] = true
end

-- What calls leave behind: a process-wide setting, an iterator that wants to be called.
local function settle(target, results)
   if target.name == "bclua.system.threads" then system.threads(2) end
   if target.name == "bclua.system.hold_interrupts" then system.hold_interrupts(false) end
   if target.name == "bclua.parallel.map" and results[1] then
      for _ = 1, 3 do pcall(results[2], results[3]) end
   end
   for i = 2, results.n do hold(results[i]) end
   -- A closed object stays for a while: but most are to be open.
   local method = target.owner and target.name:match(":_*(%a+)$")
   if makers[target.owner] and (method == "close" or method == "commit" or method == "gc") and random() < 0.8 then
      pool[target.owner] = {}
      make(makers[target.owner])
   end
end

local level = 0
local function call()
   local target = values.pick(targets)
   if random() > target.rarely then return end
   local args = change(plausible(target), target.owner)
   level = level + 1
   local twice = 0
   values.close = function()
      local name = target.owner and target.owner .. ":" or ""
      for _, other in ipairs(targets) do
         if other.name == name .. "close" then return other.f(args[1]) end
      end
   end
   values.again = function()
      twice = twice + 1
      if level < 3 and twice < 3 then return pcall(target.f, table.unpack(args, 1, args.n)) end
   end
   made = made + 1
   log:write(made, " ", target.name, "(", values.text(args), ")\n")
   local _, before = system.memory()
   local results = table.pack(pcall(target.f, table.unpack(args, 1, args.n)))
   if not results[1] then learn_option(target, results[2]) end
   local _, after = system.memory()
   level = level - 1
   if system.interrupted() then error("stopped", 0) end
   if after - before > MOST_BYTES then
      io.stderr:write(("seams: %.1f GB were taken\n"):format((after - before) / 1e9))
      os.exit(3)
   end
   settle(target, results)
end

-- What was renamed would be called with less plausible arguments, and nobody would know.
local function check_recipes()
   local names = {}
   for _, target in ipairs(targets) do names[target.name] = true end
   for _, by_name in ipairs{recipes.calls, recipes.rarely} do
      for name in pairs(by_name) do assert(names[name], name) end
   end
end

local function run(calls)
   for _, module in ipairs(modules) do add_all("bclua." .. module .. ".", (require("bclua." .. module))) end
   for _, maker in ipairs(recipes.makers) do make(maker) end
   check_recipes()
   while made < calls do
      local maker = values.pick(recipes.makers)
      if random() < 0.08 * (recipes.rarely[maker[1]] or 1) then make(maker) end
      call()
   end
end

local seed, calls, folder = math.tointeger(arg[1]), math.tointeger(arg[2]), arg[3]
math.randomseed(seed)
find_modules()
read_documents()
prepare(folder)
log = assert(io.open("calls", "w"))
log:setvbuf("no")
local ok, message = xpcall(run, debug.traceback, calls)
log:write(ok and "done\n" or system.interrupted() and "stopped\n" or "failed\n")
if not ok and not system.interrupted() then
   io.stderr:write(message, "\n")
   os.exit(2)
end
os.exit(true, true) -- with all memory given back: the leak checker looks
