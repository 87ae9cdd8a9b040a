-- One training step of a network: loss, gradients, and what keeps it finite.
-- The methods are those of the networks of `bclua.nn`.
-- @module bclua.nn
local array = require "bclua.array"
local batch_shards = require "bclua.train.batch_shards"
local check_options = require("bclua.options").check
local core = require "bclua.nn.core"
local is_finite = require("bclua.numbers").is_finite
local training_options = require "bclua.train.options"

local network = {}

local ROLES = {"anchor", "neighbor", "distant"}

-- f16: gradients are small, so the loss is scaled; the scale falls by half when
-- a gradient overflows and doubles after so many steps without (as PyTorch's GradScaler).
local FIRST_SCALE, LARGEST_SCALE, GOOD_STEPS = 2 ^ 13, 2 ^ 24, 200

local function parts_of(batch, level)
   local parts = {}
   for i, role in ipairs(ROLES) do
      if not array.is_array(batch[role]) then
         error(("batch.%s: an array expected, got a %s"):format(role, type(batch[role])), level + 1)
      end
      parts[i] = batch[role]
   end
   return parts
end

-- "anchor, sample 3" for the first sample that holds a NaN or an infinity; nil: none does.
local function bad_sample(parts)
   for i, part in ipairs(parts) do
      if not part:is_finite() then
         for k = 1, #part do
            if not part[k]:is_finite() then return ROLES[i], k end
         end
      end
   end
end

-- The options of a step, with what the batch says of its groups.
local function options_for(batch, options, schema, level)
   local o = check_options(options, schema, level + 1)
   o.groups = batch.groups
   return o
end

-- The same of the batches of all ranks, for all of them.
local function bad_sample_of_all(parts, ranks)
   local role, sample = bad_sample(parts)
   if not ranks then return role, sample end
   for i, text in ipairs(ranks.all_gather(role and ("%s %d"):format(role, sample) or "")) do
      role, sample = text:match("^(%l+) (%d+)$")
      if role then return role, math.tointeger(tonumber(sample)) + (i - 1) * #parts[1] end
   end
end

-- In words; and is it a sample's fault?
local function not_finite(parts, what, value, ranks)
   local role, sample = bad_sample_of_all(parts, ranks)
   local message = ("the %s is %s"):format(what, value ~= value and "nan" or value)
   if role then message = ("%s: %s, sample %d, holds NaN or infinite samples"):format(message, role, sample) end
   return message, role ~= nil
end

-- Of what a pass wrote, in f16: did numbers leave its range? In words; nil: they did not.
local function overflow(self, seen)
   if self.precision ~= "f16" or not seen.bad or seen.over == 0 then return nil end
   local what = {value = "a value is", gradient = "a gradient is", weights = "a gradient of its weights is"}
   return ("%s '%s': %s beyond 65504, the largest number of f16"):format(seen.kind, seen.layer, what[seen.what])
end

-- What dropout draws from: another number for every batch, the same after a resume.
local function draw_of(self)
   return (self.options.seed or 1) * 0x9E3779B97F4A7C15 + self.step * 65536 + (self.pending or 0)
end

-- The embeddings of all roles, and a function that goes back with their gradient; `ready` as of `core:backward`.
-- Role by role, each role goes forward once for the loss and once more for the way back.
-- `shard` (from 0) is one of a batch in shards, `place` the network's memory for it.
local function embed(self, parts, o, shard, place)
   local net, seed = self.core, draw_of(self) + (shard or 0) * 0x2545F4914F6CDD1D
   if self.recompute ~= "role" or o.roles == "joint" then
      local e = net:forward(parts, {train = true, groups = o.roles == "joint" and 1 or 3, seed = seed, place = place})
      return e, function(gradient, ready) net:backward(gradient, place, ready) end
   end
   local e = {}
   for i, part in ipairs(parts) do
      e[i] = net:forward({part}, {train = true, backward = false, first_group = i - 1, seed = seed})
   end
   return array.concat(e), function(gradient, ready)
      local n = #parts[1]
      for i, part in ipairs(parts) do
         net:forward({part}, {train = true, first_group = i - 1, seed = seed})
         net:backward(gradient:slice(1, (i - 1) * n + 1, i * n), nil, i == #parts and ready or nil)
      end
   end
end

-- The same shard by shard. Gradients and the statistics of batch norm are those of all shards, of ranks elsewhere, too:
-- the sum, and the mean.
local function embed_shards(self, parts, o)
   local net, shards = self.core, batch_shards.new(parts, o.batch_shards, o.ranks)
   local e, back, levels, statistics = {}, {}, {}, nil
   for i = 0, shards.count - 1 do
      e[i + 1], back[i + 1] = embed(self, shards:cut(i), o, shards.first + i, i)
      statistics = net:statistics()
      shards:join(levels, i, statistics)
   end
   self.statistics = statistics / shards.all
   if o.groups then o.groups = shards:of_batch(o.groups) end
   return shards:gather(e), function(gradient)
      local sum = net:gradients()
      local waiting = self.pending > 0 and sum:copy()
      self.levels = self.levels or {}
      local last = shards.count - 1
      for i = 0, last - 1 do
         net:zero_gradients()
         back[i + 1](shards:rows(gradient, i))
         shards:join(self.levels, i, sum, o.gradients)
      end
      net:zero_gradients()
      local ready, finish = shards:join_last(self.levels, sum, o.gradients)
      back[last + 1](shards:rows(gradient, last), ready)
      finish()
      if waiting then sum:add(waiting) end
   end
end

local function embed_batch(self, parts, o)
   self.statistics = nil
   return (o.batch_shards and o.batch_shards > 1 and embed_shards or embed)(self, parts, o)
end

local function loss_of(self, e, o, scale)
   scale = scale or self:loss_scale()
   local info, gradient = core.loss(e, {loss = o.loss, margin = o.margin, l2 = o.l2, temperature = o.temperature,
                                        groups = o.groups, scale = scale})
   info.loss_scale = scale
   return info, gradient
end

-- A loss that is not finite, in words: in f16 with the layer whose values overflow.
local function loss_not_finite(self, parts, o, loss)
   local message, is_sample = not_finite(parts, "loss", loss, o.ranks)
   if self.precision ~= "f16" or is_sample or o.ranks then return message end
   for _, seen in ipairs(self.core:inspect(function() embed_batch(self, parts, o) end)) do
      local found = overflow(self, seen)
      if found then return message .. ": " .. found end
   end
   return message
end

local function gradient_not_finite(self, parts, info, ranks)
   local message = ("%s (loss %g"):format((not_finite(parts, "gradient's norm", info.gradient_norm, ranks)), info.loss)
   if self.precision ~= "f16" then return message .. ")" end
   return ("%s, scaled by %g: f16 holds numbers up to 65504)"):format(message, info.loss_scale)
end

-- Forward, loss and backward; adds to the gradients. The loss's info, or nil and a message.
local function pass(self, parts, o)
   local shards = (o.batch_shards or 1) // (o.ranks and o.ranks.size() or 1)
   local wrong = self:too_large(#parts[1], o.roles, math.max(1, shards))
   if wrong then return nil, wrong, "memory" end
   local e, back = embed_batch(self, parts, o)
   local info, gradient = loss_of(self, e, o)
   if not is_finite(info.loss) then return nil, loss_not_finite(self, parts, o, info.loss) end
   back(gradient)
   return info
end

local parts_of_a_step = {embed = embed, loss = loss_of, bad_sample = bad_sample, overflow = overflow, ROLES = ROLES}

--- For `bclua.train.diagnosis`: the parts of a step, its options and its arrays; gradients at zero.
function network:begin_measure(batch, options)
   local o, parts = options_for(batch, options, training_options.measure, 4), parts_of(batch, 3)
   self.pending = 0
   self.core:zero_gradients()
   return parts_of_a_step, o, parts
end

--- The factor on the loss in f16, 1 otherwise.
-- @treturn number
function network:loss_scale()
   if self.precision ~= "f16" then return 1 end
   self.scaling = self.scaling or {scale = FIRST_SCALE, good = 0}
   return self.scaling.scale
end

-- A gradient overflowed: true if a smaller scale may help.
local function lower_scale(self)
   if self.precision ~= "f16" or self.scaling.scale <= 1 then return false end
   self.scaling.scale, self.scaling.good = self.scaling.scale / 2, 0
   self.skipped = (self.skipped or 0) + 1
   return true
end

local function raise_scale(self)
   if self.precision ~= "f16" then return end
   local s = self.scaling
   s.good = s.good + 1
   if s.good >= GOOD_STEPS then s.scale, s.good = math.min(2 * s.scale, LARGEST_SCALE), 0 end
end

--- Loss and gradients of a batch of triplets, weights untouched.
-- @tparam table batch `anchor`, `neighbor`, `distant`: arrays (B, samples); `groups`: as of `nn.loss`, or nil
-- @tparam[opt] table options `loss`, `margin`, `l2`, `temperature`, `roles`, as for `train_step`
-- @treturn[1] table as `nn.loss`, and `gradient_norm`
-- @treturn[2] nil
-- @treturn[2] string message: the loss or the gradient is not finite, and the role and
--  sample if it is the batch that is not
function network:measure(batch, options)
   local o, parts = options_for(batch, options, training_options.measure, 3), parts_of(batch, 2)
   self.pending, self.unfinished = 0, false
   self.core:zero_gradients()
   local info, message = pass(self, parts, o)
   if not info then return nil, message end
   info.gradient_norm = self.core:gradient_norm() / info.loss_scale
   if not is_finite(info.gradient_norm) then
      return nil, gradient_not_finite(self, parts, info)
   end
   return info
end

-- AdamW with the mean of the gradients of `pending` batches.
local function apply(self, info, o)
   local factor = 1 / (self.pending * info.loss_scale)
   info.clipped = o.clip_norm and info.gradient_norm > o.clip_norm or false
   if info.clipped then factor = factor * o.clip_norm / (info.gradient_norm + 1e-6) end
   self.core:adamw{lr = o.lr, beta1 = o.betas[1], beta2 = o.betas[2], eps = o.eps, weight_decay = o.weight_decay,
                   step = self.step + 1, scale = factor}
   self.step, self.pending, info.stepped = self.step + 1, 0, true
   raise_scale(self)
end

--- One training step: forward, loss, backward, AdamW.
--
-- When the loss or the gradient is not finite, weights, running statistics and
-- optimiser state stay as they were. In f16 a gradient may overflow because the
-- scale of the loss is too large: then that scale is halved, the batch (with all
-- that were accumulated) is left out, and the table says `skipped`.
-- @tparam table batch `anchor`, `neighbor`, `distant`: arrays (B, samples); `groups`: as of `nn.loss`, or nil
-- @tparam[opt] table options
--
--  * `lr` (1e-3), `betas` ({0.5, 0.999}), `eps` (1e-8), `weight_decay` (0.01)
--  * `loss` ("triplet", "triplet_cosine", "semi_hard", "batch_hard", "nt_xent", "supcon",
--    "cross_entropy"), `margin` (50; 0.5 for cosines), `l2` (0.01), `temperature` (0.1): see `nn.loss`
--  * `roles` ("separate"): the three roles go through the network as three batches would,
--    each with batch statistics of its own; "joint": as one batch
--  * `clip_norm`: longer gradients are shortened to that norm
--  * `accumulate` (1): take a step only after this many batches, on the mean of their
--    gradients; `self.pending` of them are waiting
--  * `batch_shards` (1): the batch goes through the network in so many parts (a power of two), each with batch
--    statistics of its own; the loss is that of all embeddings, gradients are summed along a binary tree
--  * `gradients` ("full"): "bf16" rounds the shards' gradients, and each sum of two, to 16 bits, of which ranks send
--    half the bytes; not of networks in f64
--  * `ranks`: `bclua.mpi`, whose ranks share the shards; `batch` is then this rank's part of it. All must call this;
--    each gets the same to the bit, whatever their number
-- @treturn[1] table as `nn.loss`; `gradient_norm` (of the mean so far, before clipping),
--  `clipped`; `stepped`: was it a step; `skipped`; `loss_scale`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] ?string "memory" if it is the batch that is too large
function network:train_step(batch, options)
   local o, parts = options_for(batch, options, training_options.step, 3), parts_of(batch, 2)
   if (self.pending or 0) == 0 or self.unfinished then
      self.pending = 0
      self.core:zero_gradients()
   end
   self.unfinished = true -- what was accumulated is spoilt if the pass raises, as it does on Ctrl-C
   local info, message, kind = pass(self, parts, o)
   self.unfinished = false
   if not info then return nil, message, kind end
   info.gradient_norm = self.core:gradient_norm() / info.loss_scale / (self.pending + 1)
   if not is_finite(info.gradient_norm) then
      self.pending = 0
      if lower_scale(self) then
         info.skipped, info.stepped, info.clipped = true, false, false
         return info
      end
      return nil, gradient_not_finite(self, parts, info, o.ranks)
   end
   self.core:commit(self.statistics)
   self.pending, info.stepped, info.clipped, info.skipped = self.pending + 1, false, false, false
   if self.pending >= o.accumulate then apply(self, info, o) end
   return info
end

return network
