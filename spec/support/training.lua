-- training.lua: a tiny network and a loader that depends on the number of the
-- batch alone, for specs of the trainer; run as a script it trains in a process of
-- its own: bclua spec/support/training.lua RUN OPTIONS, a Lua table as text.
local array = require "bclua.array"
local nn = require "bclua.nn"
local system = require "bclua.system"

local training = {}

function training.network(precision)
   return nn.network({
      {"conv2d", name = "conv1", out = 6, kernel = 3, padding = 1}, {"batch_norm", name = "bn1"}, {"relu"},
      {"average_pool", global = true}, {"linear", name = "head", out = 4},
   }, {input = {1, 6, 6}, precision = precision})
end

--- `spoil` is the number of a batch with a NaN in it; of each batch part `part` (from 0) of `parts`.
function training.loader(spoil, part, parts)
   local loader, n = {at = 0}, 4 // (parts or 1)
   local first = (part or 0) * n
   function loader:next()
      self.at = self.at + 1
      math.randomseed(self.at)
      local batch = {}
      for r, role in ipairs{"anchor", "neighbor", "distant"} do
         local a = array.zeros{4, 1, 6, 6}
         local flat = a:reshape(a:size())
         for i = 1, #flat do flat[i] = math.random() + (r == 3 and i % 2 or 0) end
         batch[role] = a
      end
      if self.at == spoil then batch.distant:set(2, 1, 3, 3, 0 / 0) end
      if parts then
         for role, a in pairs(batch) do batch[role] = a:slice(1, first + 1, first + n) end
      end
      return batch
   end
   function loader:state() return tostring(self.at) end
   function loader:restore(text)
      self.at = tonumber(text)
      if self.at then return true end
      return nil, "not a number"
   end
   return loader
end

--- Validation on a batch that is never trained on.
function training.validate(net)
   local batch = training.loader().next({at = 1000})
   local e = net:forward(array.concat{batch.anchor, batch.neighbor, batch.distant})
   local info = nn.loss(e, {margin = 1})
   return {loss = info.loss, ordered = info.loss_n < info.loss_d and 1 or 0}
end

local function own_pid()
   local f <close> = assert(io.open("/proc/self/stat"))
   return f:read("n")
end

if arg and arg[0] and arg[0]:find("training%.lua$") then
   local o = assert(load("return " .. arg[2]))()
   local kill, slow, precision, kill_rank, spoil = o.kill, o.slow, o.precision, o.kill_rank, o.spoil
   o.kill, o.slow, o.precision, o.kill_rank, o.spoil, o.run = nil, nil, nil, nil, nil, arg[1]
   local loader = training.loader(spoil)
   if o.ranks then
      o.ranks = require "bclua.mpi"
      local rank = o.ranks.rank()
      loader = training.loader(spoil, rank, o.ranks.size())
      local next_batch, last = loader.next, kill
      function loader:next()
         if rank == kill_rank and self.at == last then os.execute("kill -9 " .. own_pid()) end
         return next_batch(self)
      end
      if kill_rank then kill = nil end
   end
   if o.validate then o.validate = training.validate end
   function o.on_batch(info)
      if info.step == kill then os.execute("kill -9 " .. own_pid()) end
      if slow then
         if info.step == 2 then io.open(arg[1] .. "/started", "w"):close() end
         system.sleep(0.02)
      end
   end
   local net = training.network(precision)
   local result = assert(require("bclua.train.trainer").fit(net, loader, o))
   if not o.ranks or o.ranks.rank() == 0 then print(result.step) end
end

return training
