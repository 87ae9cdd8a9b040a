--- A batch in virtual shards, which go through the network as batches of their own (ghost batches: Hoffer, Hubara and
-- Soudry 2017), here or in several processes, the ranks of `bclua.mpi`. What they give is put together in an order that
-- knows shards only, so that the bits do not depend on the number of ranks.
-- @module bclua.train.batch_shards
local array = require "bclua.array"

local batch_shards = {}

local Shards = {}
Shards.__index = Shards

--- @tparam {array,...} parts anchors, neighbours and distant ones of this process, equally many
-- @tparam integer count shards of the whole batch, a power of two
-- @tparam ?table ranks `bclua.mpi`; nil: this process has all
-- @treturn Shards `count` and `size` (triplets) of those here, `first`: the number of the first one, from 0
-- @raise the ranks cannot share the shards equally, or shards the triplets
function batch_shards.new(parts, count, ranks)
   local n, rank = ranks and ranks.size() or 1, ranks and ranks.rank() or 0
   if count % n ~= 0 then error(("%d virtual shards for %d ranks"):format(count, n), 3) end
   local here = count // n
   if #parts[1] % here ~= 0 then error(("%d triplets in %d virtual shards"):format(#parts[1], here), 3) end
   return setmetatable({parts = parts, all = count, ranks = n > 1 and ranks or nil, count = here, first = rank * here,
      size = #parts[1] // here}, Shards)
end

--- The three arrays of a shard.
-- @tparam integer i from 0, of those here
function Shards:cut(i)
   local cut = {}
   for r, part in ipairs(self.parts) do cut[r] = part:slice(1, i * self.size + 1, (i + 1) * self.size) end
   return cut
end

-- Of arrays (3 n, ...) that each have their roles one after the other, one that has.
local function by_role(list)
   local slices = {}
   for role = 1, 3 do
      for _, a in ipairs(list) do
         local n = #a // 3
         slices[#slices + 1] = a:slice(1, (role - 1) * n + 1, role * n)
      end
   end
   return array.concat(slices)
end

local function all_gather(self, a) return self.ranks and self.ranks.all_gather(a) or {a} end

--- Something of all triplets of this process, (3 n), for all of the batch.
function Shards:of_batch(a) return by_role(all_gather(self, a)) end

--- The embeddings of the batch, (3 B, z), of those of the shards here.
function Shards:gather(list)
   local shards, rows = {}, 3 * self.size
   for _, a in ipairs(all_gather(self, array.concat(list))) do
      for i = 1, self.count do shards[#shards + 1] = a:slice(1, (i - 1) * rows + 1, i * rows) end
   end
   return by_role(shards)
end

--- The rows of (3 B, z) that are shard i's, (3 n, z).
function Shards:rows(a, i)
   local slices, first = {}, (self.first + i) * self.size
   for role = 0, 2 do
      local at = role * #a // 3 + first
      slices[role + 1] = a:slice(1, at + 1, at + self.size)
   end
   return array.concat(slices)
end

-- The part of x from element `from` to element `to`, of shard i, with all that waits for it.
local function gather_levels(levels, i, x, from, to, number)
   local piece, k = x:slice(1, from, to), 0
   if number == "bf16" then piece:round_bf16() end
   while i >> k & 1 == 1 do
      piece:add(levels[k]:slice(1, from, to))
      if number == "bf16" then piece:round_bf16() end
      k = k + 1
   end
   return piece, k
end

--- The last shard joins a sum, piece by piece from the end of x; other ranks get what is there while the rest is made.
-- @tparam table levels as of `join`
-- @tparam array x (n) what it gives; at the end the sum over the batch
-- @tparam[opt="full"] string number as of `join`
-- @treturn function to be called with the first element from which on x is there: less from call to call, 1 at last
-- @treturn function to be called then, which waits for the sum
function Shards:join_last(levels, x, number)
   local sum, to = self.ranks and self.ranks.begin_sum(x, number), #x
   local function ready(from)
      if from <= to then gather_levels(levels, self.count - 1, x, from, to, number) end
      to = from - 1
      if sum then sum:ready(from) end
   end
   return ready, function()
      if sum then sum:finish() end
   end
end

--- Shard i, after all before it, joins a sum along a binary tree: ((0 + 1) + (2 + 3)) + ...; after the last one `x` is
-- the sum over the batch.
-- @tparam table levels empty at first, kept between shards; its arrays serve the next sum
-- @tparam integer i from 0, of those here
-- @tparam array x (n) what shard i gives; is changed
-- @tparam[opt="full"] string number "bf16": what joins, and each sum, is rounded to 16 bits
function Shards:join(levels, i, x, number)
   if i == self.count - 1 then
      local ready, finish = self:join_last(levels, x, number)
      ready(1)
      return finish()
   end
   local _, k = gather_levels(levels, i, x, 1, #x, number)
   levels[k] = levels[k] or array.zeros(x:shape(), x:dtype())
   levels[k]:fill(x)
end

return batch_shards
