-- The memory that training takes, known before it is taken. The methods are
-- those of the networks of `bclua.nn`.
-- @module bclua.nn
local check_options = require("bclua.options").check
local system = require "bclua.system"
local training_options = require "bclua.train.options"

local network = {}

-- What core says of a step on `size` triplets. Role by role, it is the larger of
-- the pass for the embeddings and the pass with a way back. Shards all keep what they need for
-- the way back, or none does, and their gradients wait in the tree of the sum.
local function of_step(self, size, o)
   local recompute = o.recompute or self.recompute
   if recompute ~= "role" or o.roles == "joint" then
      local m = self.core:memory_estimate(3 * size, {groups = o.roles == "joint" and 1 or 3, train = true,
         precision = o.precision, recompute = recompute})
      m.arena, m.kept = m.arena * o.shards, m.kept * o.shards
      return m
   end
   local back = self.core:memory_estimate(size, {train = true, precision = o.precision, recompute = recompute})
   local forth = self.core:memory_estimate(size, {train = true, backward = false, precision = o.precision})
   back.arena, back.scratch = math.max(back.arena, forth.arena), math.max(back.scratch, forth.scratch)
   return back
end

local function samples(self)
   local input = self.core:layers()[1]
   return input.c * input.h * input.w
end

--- Bytes that a training step takes.
-- @tparam table options `batch_size`: triplets; `precision`, `recompute` (the network's),
--  `roles` ("separate"); `shards` (1) in which the batch goes through the network
-- @treturn table `weights`, `gradients`, `moments` (of the optimiser), `arena` (values and
--  gradients of layers), of it `kept` from forward to backward, `scratch`, `batch` (the samples
--  themselves), `process` (what it holds beside), `total`; and `again`, the number of passes
--  that are run again for backward
function network:memory(options)
   local o = check_options(options, training_options.memory)
   if o.batch_size % o.shards ~= 0 then error(("%d triplets in %d shards"):format(o.batch_size, o.shards), 2) end
   local m = of_step(self, o.batch_size // o.shards, o)
   local levels = 0
   while 1 << levels < o.shards do levels = levels + 1 end
   m.gradients = m.gradients * (1 + levels)
   m.batch = 3 * o.batch_size * samples(self) * (self.precision == "f64" and 8 or 4)
   m.process = math.max(0, (system.memory()) - self.core:held())
   m.total = m.weights + m.gradients + m.moments + m.arena + m.scratch + m.batch + m.process
   return m
end

local LARGEST = {memory = {"number", least = 0, most = math.huge}, precision = training_options.precision,
   recompute = training_options.recompute, roles = training_options.roles, shards = training_options.memory.shards}

--- The largest batch whose training step fits into memory.
-- @tparam[opt] table options `memory`: bytes for the whole process (what it has, and what is
--  free); `precision`, `recompute`, `roles`, `shards`
-- @treturn integer triplets; 0: not even one
function network:largest_batch(options)
   local o = check_options(options, LARGEST)
   local free = system.memory_free()
   local limit = o.memory or (free and free + (system.memory())) or math.huge
   local function fits(n)
      local ok, m = pcall(self.memory, self, {batch_size = n * o.shards, precision = o.precision,
         recompute = o.recompute, roles = o.roles, shards = o.shards})
      return ok and m.total <= limit
   end
   local least = 1
   if not fits(1) then -- batch norm may need more than one
      if not fits(2) then return 0 end
      least = 2
   end
   local most = 2 * least
   while most < 2 ^ 20 and fits(most) do least, most = most, 2 * most end
   while most - least > 1 do
      local middle = (least + most) // 2
      if fits(middle) then least = middle else most = middle end
   end
   return least * o.shards
end

local function gigabytes(bytes) return ("%.2f GB"):format(bytes / 1e9) end

--- nil, or why a step on so many triplets cannot be: asked once for each size.
function network:too_large(size, roles, shards)
   shards = shards or 1
   if size % shards ~= 0 then error(("%d triplets in %d virtual shards"):format(size, shards), 0) end
   local key = size .. roles .. shards
   if self.fitting == key then return nil end
   local free = system.memory_free()
   if free then
      local m = self:memory{batch_size = size, roles = roles, shards = shards}
      local more = m.total - m.process - m.batch - self.core:held() -- the batch is there already
      if more > free then
         local fitting = self:largest_batch{roles = roles, shards = shards}
         local advice = fitting > 0 and ("%d would fit"):format(fitting) or "not even 1 would fit"
         if self.recompute ~= "role" and self.recompute ~= "stage" then
            advice = ("%s, with recompute = \"stage\" %d"):format(advice,
               self:largest_batch{roles = roles, recompute = "stage", shards = shards})
         end
         return ("a batch of %d triplets needs %s more than the process has, and %s are free: %s"):format(size,
            gigabytes(more), gigabytes(free), advice)
      end
   end
   self.fitting = key
end

return network
