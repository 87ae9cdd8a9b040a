--- The whole state of a network in training, to go back to: to the bit.
-- @module bclua.train.snapshot
local snapshot = {}

local FIELDS = {"step", "pending", "skipped", "unfinished"}

local function copies(core, names, role, what, wanted)
   local list = {}
   for i, name in ipairs(names) do
      if wanted[role[name]] then list[#list + 1] = {core:tensor(i, what), core:tensor(i, what):copy()} end
   end
   return list
end

--- Note weights, running statistics, the optimiser's state, the step, the scale of the loss (f16) and,
-- where batches wait for their step, the gradients.
-- @tparam network net of `bclua.nn`
-- @treturn function puts all of it back; it can be called again and again
-- @usage local restore = snapshot.take(net)
-- net:train_step(batch)
-- restore()
function snapshot.take(net)
   local all, trained = {trained = true, running = true, counter = true}, {trained = true}
   local lists = {copies(net.core, net.names, net.role, "value", all),
      copies(net.core, net.names, net.role, "moment1", trained),
      copies(net.core, net.names, net.role, "moment2", trained)}
   if (net.pending or 0) > 0 then lists[4] = copies(net.core, net.names, net.role, "gradient", trained) end
   local fields, scaling = {}, net.scaling and {scale = net.scaling.scale, good = net.scaling.good}
   for _, name in ipairs(FIELDS) do fields[name] = net[name] end
   return function()
      for _, list in ipairs(lists) do
         for _, pair in ipairs(list) do pair[1]:fill(pair[2]) end
      end
      for _, name in ipairs(FIELDS) do net[name] = fields[name] end
      net.scaling = scaling and {scale = scaling.scale, good = scaling.good}
   end
end

return snapshot
