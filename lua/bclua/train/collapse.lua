--- Does the network give everything the same embedding? A triplet loss has that
-- way out: with all distances 0 it is the margin, and stays there.
-- @module bclua.train.collapse
local check_options = require("bclua.options").check

local collapse = {}

local NEAR = 0.02     -- of the margin: both distances and the loss are this close
local SPREAD = 1e-3   -- of what it was at the first batch

local Meter = {}
Meter.__index = Meter

local OPTIONS = {margin = {"number", least = 0, needed = true}, patience = {"integer", least = 1, default = 50}}

--- A meter of one training.
-- @tparam table options `margin`; `patience` (50): batches in a row before it is said
-- @tparam[opt] table state of an earlier meter: `first`, `stuck`, `flat`
function collapse.new(options, state)
   local o = check_options(options, OPTIONS)
   state = state or {}
   return setmetatable({margin = o.margin, patience = o.patience, first = state.first,
      stuck = state.stuck or 0, flat = state.flat or 0}, Meter)
end

--- What a later meter needs to go on.
function Meter:state() return {first = self.first, stuck = self.stuck, flat = self.flat} end

local ADVICE = "try a lower --lr, a --warmup, a smaller --margin or larger batches; "
   .. "see that the tiles of anchors and neighbours are alike and no silence"

--- Look at a batch.
-- @tparam table info as `train_step` gives it
-- @treturn ?string a warning, once for every `patience` batches in a row
function Meter:update(info)
   if not info.spread then return nil end
   self.first = self.first or info.spread
   local function count(name, yes)
      self[name] = yes and self[name] + 1 or 0
      return yes and self[name] % self.patience == 0
   end
   local stuck, flat = false, count("flat", info.spread <= SPREAD * self.first)
   if info.loss_n and info.loss_d and info.active and self.margin > 0 then
      stuck = count("stuck", info.active > 0.99 and math.abs(info.loss - self.margin) <= NEAR * self.margin
         and math.abs(info.loss_d - info.loss_n) <= NEAR * self.margin)
   end
   if flat then
      return ("the embeddings collapse: their spread is %.3g, it was %.3g at first; %s"):format(info.spread,
         self.first, ADVICE)
   end
   if stuck then
      return ("the loss sits at the margin (%.4g) for %d batches: neighbours are as far (%.3g) as others (%.3g); %s")
         :format(self.margin, self.stuck, info.loss_n, info.loss_d, ADVICE)
   end
   return nil
end

return collapse
