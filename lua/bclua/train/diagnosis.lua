-- Where a network's values stop being finite, and which would leave the range of
-- f16. The methods are those of the networks of `bclua.nn`.
-- @module bclua.nn
local is_finite = require("bclua.numbers").is_finite

local network = {}

local function describe(found)
   local where = {input = "a sample of the batch is", weights = "the tensor is", forward = "the value is",
                  loss = "the loss is", backward = "the gradient is", update = "the gradient of its weights is"}
   local text = found.overflow or ("%s not finite"):format(where[found.pass])
   if found.layer and not found.overflow then
      text = ("%s '%s': %s"):format(found.kind or "layer", found.layer, text)
   end
   if found.role then text = ("%s (%s, sample %d)"):format(text, found.role, found.sample) end
   return text
end

local function report(found)
   found.message = describe(found)
   return found
end

local function first_bad(self, seen, steps, size)
   for _, s in ipairs(seen) do
      if s.bad then
         local found = {layer = s.layer, kind = s.kind, most = s.most, overflow = steps.overflow(self, s),
                        pass = s.what == "value" and "forward" or s.what == "gradient" and "backward" or "update"}
         if s.what ~= "weights" then
            found.role, found.sample = steps.ROLES[(s.bad - 1) // size + 1], (s.bad - 1) % size + 1
         end
         return found
      end
   end
end

local function bad_tensor(self)
   for i, name in ipairs(self.names) do
      if self.role[name] ~= "counter" and not self.core:tensor(i):is_finite() then return name end
   end
end

--- Replay a training step and find the first value that is not finite. Weights,
-- running statistics and the optimiser stay as they are; gradients that were
-- accumulated are lost.
-- @tparam table batch as for `train_step`
-- @tparam[opt] table options `loss`, `margin`, `l2`, `temperature`, `roles`
-- @treturn[1] table `pass`: "input", "weights", "forward", "loss", "backward" or "update" (gradients
--  of weights); `layer` and its `kind` (the tensor's name for "weights"), `role` and `sample` (from 1)
--  where it is a sample's value, `most` (the largest finite magnitude there), `overflow` (in f16, where
--  numbers left its range: that in words), `message`
-- @treturn[2] nil everything is finite
function network:diagnose(batch, options)
   local steps, o, parts = self:begin_measure(batch, options)
   local role, sample = steps.bad_sample(parts)
   if role then return report{pass = "input", role = role, sample = sample} end
   local tensor = bad_tensor(self)
   if tensor then return report{pass = "weights", layer = tensor, kind = "tensor"} end
   local e, back, gradient, info
   local seen = self.core:inspect(function() e, back = steps.embed(self, parts, o) end)
   local found = first_bad(self, seen, steps, #parts[1])
   if found then return report(found) end
   info, gradient = steps.loss(self, e, o)
   if not is_finite(info.loss) then return report{pass = "loss"} end
   seen = self.core:inspect(function() back(gradient) end)
   self.core:zero_gradients()
   found = first_bad(self, seen, steps, #parts[1])
   return found and report(found)
end

local function ranges_text(rows)
   local lines = {("%-24s %-14s %10s %9s %9s %10s %9s %9s"):format("layer", "kind", "value", "over", "under",
      "gradient", "over", "under")}
   local function part(p)
      if not p then return ("%10s %9s %9s"):format("-", "-", "-") end
      return ("%10.3g %8.3g%% %8.3g%%"):format(p.most, 100 * p.over, 100 * p.under)
   end
   for _, r in ipairs(rows) do
      lines[#lines + 1] = ("%-24s %-14s %s %s"):format(r.layer, r.kind, part(r.value), part(r.gradient))
   end
   return table.concat(lines, "\n")
end

-- What was seen role by role, as one.
local function together(passes)
   local most, over, under, count = 0, 0, 0, 0
   for _, s in pairs(passes) do
      most, over, under, count = math.max(most, s.most), over + s.over, under + s.under, count + s.count
   end
   return count > 0 and {most = most, over = over / count, under = under / count} or nil
end

--- The range of each layer's values and gradients over a batch: what f16 would lose.
-- Weights stay as they are. In 16-bit precision this is what was stored, already rounded.
-- Layers that are done in one pass with the one behind them (a norm before a relu) are not
-- stored, and not listed.
-- @tparam table batch as for `train_step`
-- @tparam[opt] table options `loss`, `margin`, `l2`, `temperature`, `roles`
-- @treturn {table,...} in the order of the layers: `layer`, `kind`, and `value` and `gradient`, each
--  `{most=, over=, under=}`: the largest finite magnitude, and the shares of elements that would
--  overflow f16 (beyond 65504) or vanish (below 2^-25); `gradient` nil where there is none. The
--  gradient is that of the loss without a scale. `tostring` prints the table
function network:ranges(batch, options)
   local steps, o, parts = self:begin_measure(batch, options)
   local e, back
   local seen = self.core:inspect(function() e, back = steps.embed(self, parts, o) end)
   local _, gradient = steps.loss(self, e, o, 1)
   for _, s in ipairs(self.core:inspect(function() back(gradient) end)) do seen[#seen + 1] = s end
   self.core:zero_gradients()
   local rows, by_name = {}, {}
   for _, s in ipairs(seen) do
      local row = by_name[s.layer]
      if s.what == "value" and not row then
         row = {layer = s.layer, kind = s.kind, passes = {value = {}, gradient = {}}}
         rows[#rows + 1], by_name[s.layer] = row, row
      end
      if s.what ~= "weights" and row then row.passes[s.what][s.first] = s end -- the last written is the whole sum
   end
   for _, row in ipairs(rows) do
      row.value, row.gradient, row.passes = together(row.passes.value), together(row.passes.gradient), nil
   end
   return setmetatable(rows, {__tostring = ranges_text})
end

return network
