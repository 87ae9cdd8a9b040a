--- Learning rates over a training, a value for every batch.
--
--  * `constant`: `lr`.
--  * `step`: `lr`, times `lr_gamma` after every `lr_step` rounds.
--  * `cosine`: from `lr` down to `lr_final` along half a cosine (Loshchilov and
--    Hutter, 2017, without restarts).
--  * `one_cycle`: from `lr` / 25 up to `lr` and down to `lr` / 250 000, both along
--    half a cosine (Smith and Topin, 2018; the same numbers as PyTorch's
--    OneCycleLR without its change of momentum).
--
-- `warmup` batches at the beginning rise linearly to the schedule; in `one_cycle`
-- they are the length of the rise, 30 % of all batches when it is 0.
-- @module bclua.train.schedule
local schedule = {}

--- The schedules.
schedule.names = {"constant", "step", "cosine", "one_cycle"}

local RISE, START, FINAL = 0.3, 25, 1e4 -- of one_cycle

-- From a to b as x goes from 0 to 1.
local function half_cosine(a, b, x) return b + (a - b) * (1 + math.cos(math.pi * x)) / 2 end

local function share(part, whole)
   if whole <= 0 then return 1 end
   return math.max(0, math.min(1, part / whole))
end

local function one_cycle(o, at)
   local low, top = o.lr / START, (o.warmup or 0) > 0 and o.warmup - 1 or RISE * at.total - 1
   if at.step <= top then return half_cosine(low, o.lr, share(at.step, top)) end
   return half_cosine(o.lr, low / FINAL, share(at.step - top, at.total - 1 - top))
end

local RATE = {
   constant = function(o) return o.lr end,
   step = function(o, at) return o.lr * o.lr_gamma ^ ((at.round - 1) // o.lr_step) end,
   cosine = function(o, at)
      local warmup = o.warmup or 0
      return half_cosine(o.lr, o.lr_final or 0, share(at.step - warmup, at.total - warmup))
   end,
   one_cycle = one_cycle,
}

--- The learning rate of a batch.
-- @tparam table o `schedule` (one of `names`), `lr`; `warmup` (0 batches);
--  `lr_step` (rounds) and `lr_gamma` of "step"; `lr_final` (0) of "cosine"
-- @tparam table at `step`: batches before this one; `total`: batches of the whole
--  training, perhaps infinite; `round`: from 1
-- @treturn number
function schedule.rate(o, at)
   local rate = RATE[o.schedule](o, at)
   local warmup = o.warmup or 0
   if o.schedule ~= "one_cycle" and at.step < warmup then rate = rate * (at.step + 1) / warmup end
   return rate
end

--- Does this schedule depend on the length of the training?
function schedule.needs_total(name) return name == "cosine" or name == "one_cycle" end

return schedule
