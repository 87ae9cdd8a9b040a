--- Neural networks: layers described in Lua, compiled into a plan with all
-- memory laid out beforehand, and run in C on a pool of threads.
--
-- A network is a list of layers. Each is a table: its kind, a name if others
-- (or a checkpoint) refer to it, and options. It reads the layer before it, or
-- the one named by `from`. A list within the list is just a part of it, so
-- that blocks can be made by functions.
--
--     local net = nn.network({
--        {"conv2d", name = "conv1", out = 8, kernel = 3, padding = 1},
--        {"batch_norm", name = "bn1"},
--        {"relu", name = "stem"},
--        {"conv2d", name = "conv2", out = 8, kernel = 3, padding = 1},
--        {"add", from = "stem"},
--        {"average_pool", global = true},
--     }, {input = {1, 32, 32}, seed = 1})
--
-- Kinds and options (a pair is a number or `{vertical, horizontal}`):
--
--  * `mel`: `sample_rate`, `n_fft`, `hop`, `n_mels` (128), `fmin` (0), `fmax`
--    (half the sample rate), `pad` ("reflect", "constant"). Audio to power.
--  * `decibel`: 10 log10(max(x, least)), `least` (1e-10).
--  * `center`: (x - mean) * `scale` (1), `over` "clip" or "band".
--  * `pcen`: `frame_rate`, `scale` (2^31), `time_constant` (0.4), `gain` (0.98),
--    `bias` (2), `power` (0.5), `eps` (1e-6).
--  * `conv2d`: `out`, `kernel` (pair), `stride` (1), `padding` (0), `bias`
--    (false), `algorithm` ("auto", "winograd", "direct", "planar", "bf16": as auto, with products in
--    bf16 where values are stored so, "im2col", "plain"; in double precision all but plain are im2col).
--  * `linear`: `out`, `bias` (true). Over all values of a sample.
--  * `batch_norm`: `eps` (1e-5), `momentum` (0.1).
--  * `group_norm`: `groups`, `eps` (1e-5). Of each sample by itself: the batch's size does
--    not matter.
--  * `dropout`: `rate` (0.5). In training only; what is dropped follows from the network's
--    seed, the step, the sample and the position.
--  * `spectrum`: `n_fft`, `hop`. Audio to |FFT|^2 of windowed, centred frames, (1, frames, bins).
--  * `fourier`: `n_fft`, `hop`. The same by dense kernels that are trained, as matrix products;
--    they start as the windowed cosines and sines.
--  * `filterbank`: `sample_rate`, `n_mels` (128), `fmin` (0), `fmax`. A spectrum to bands,
--    max(0, matrix * spectrum); the matrix is trained and starts as that of `mel`.
--  * `relu`; `add` (the layer before and `from`, or `from = {"a", "b"}`);
--    `average_pool`, `max_pool`: `kernel` (pair), `stride` (as kernel), or `global = true`.
-- @module bclua.nn
local array = require "bclua.array"
local core = require "bclua.nn.core"
local options_of = require "bclua.options"
local safetensors = require "bclua.format.safetensors"
local training_options = require "bclua.train.options"

local check_options = options_of.check

local nn = {}

--- A loss over the embeddings of a batch of triplets, and its gradient. With p, n, d the
-- anchor's, the neighbour's and the distant one's embedding:
--
--  * `triplet`: relu(|p-n| - |p-d| + margin)
--  * `triplet_cosine`: the same with 1 - cos for the distance
--  * `semi_hard`: as `triplet`, with d mined: of all distant ones of the batch and the other
--    triplets' neighbours the nearest that is farther away than n; if none is, the farthest
--  * `batch_hard`: as before, the nearest of them
--  * `nt_xent`: p and n are two views of one thing; for each view, -log softmax of
--    cos / temperature to its other view, among all other views and all distant ones; those of
--    its own group, by `groups`, are left out (Chen et al., 2020)
--  * `cross_entropy`: the z values are scores of the groups 0 to z - 1: for each embedding of a
--    group -log softmax of its own's, a tenth of the target spread over all groups (label smoothing,
--    Szegedy et al., 2016)
--  * `supcon`: all of one group are views of one thing: for each embedding that has positives
--    (its other view, all others of its group) the mean over them of -log softmax of
--    cos / temperature among all others (Khosla et al., 2020, the sum outside of the logarithm);
--    without groups the same as `nt_xent`
--
-- Of that the mean, and `l2` times the mean of |p| + |n| + |d|. The gradient of a norm
-- is 0 at 0, and so is the cosine with a vector of norm 0.
-- @function loss
-- @tparam array e (3B, z): anchors, neighbours, distant ones
-- @tparam[opt] table options `loss` ("triplet"), `margin` (50; 0.5 for cosines), `l2` (0.01),
--  `temperature` (0.1), `scale` (1) of the gradient; `groups`, integers (3B): the group of each
--  embedding, below 0 of none (default: nobody has one; `cross_entropy` needs them, below z)
-- @treturn table `loss`; `loss_n`, `loss_d`: mean distance (1 - cos for the losses of cosines) to
--  the neighbour and to the triplet's own distant one; `active`: share of triplets that still give
--  a gradient (`nt_xent`, `supcon`: of embeddings whose nearest is no positive; `cross_entropy`: of
--  those whose own group has not the highest score); `spread`: root mean square distance of the
--  embeddings from their mean; `cosine`: mean cosine of two of them
-- @treturn array gradient (3B, z)
nn.loss = core.loss

local OF_COSINES = {triplet_cosine = true, nt_xent = true, supcon = true, cross_entropy = true}

--- Does a loss see directions, so that 1 - cos is the distance that it learns?
-- @tparam string loss
-- @treturn boolean
function nn.of_cosines(loss) return OF_COSINES[loss] or false end

--- The triplet loss: `loss` with the options as arguments.
-- @tparam array e (3B, z)
-- @tparam[opt=50] number margin
-- @tparam[opt=0.01] number l2
-- @treturn table as `loss`
-- @treturn array gradient (3B, z)
function nn.triplet_loss(e, margin, l2) return core.loss(e, {margin = margin, l2 = l2}) end

--- The kinds of layers: kind -> list of its options' names.
-- @function kinds
nn.kinds = core.kinds

--- The library that multiplies matrices, and how it was built.
-- @function version
-- @treturn string
nn.version = core.version

local function flatten(layers, out, depth)
   if depth > 16 then error("layers nested deeper than 16 lists", 3) end
   for _, layer in ipairs(layers) do
      if type(layer) == "table" and type(layer[1]) == "table" then
         flatten(layer, out, depth + 1)
      elseif not (type(layer) == "table" and next(layer) == nil) then
         out[#out + 1] = layer
      end
   end
   return out
end

local network = {}
network.__index = network
for _, part in ipairs{"bclua.train.diagnosis", "bclua.train.memory_estimate", "bclua.train.step"} do
   for name, method in pairs(require(part)) do network[name] = method end
end

local RENAMED = {recompute = training_options.recompute}

--- Build a network.
-- @tparam {table,...} layers see above
-- @tparam table options `input`: shape of one sample, `{samples}` or `{c, h, w}`;
--  `seed` (1) of the first weights, which are drawn as PyTorch draws them;
--  `precision` "f32", "f64", "bf16" or "f16": in the last two values and gradients of layers
--  are stored in 16 bits, while weights, sums, the front end and the loss stay in f32;
--  `threads` (the one setting for all);
--  `recompute`: what training keeps for the backward pass: "none" (all values), "cheap" (all
--  but what is quickly made again), "auto" (all while they take at most 1 GiB, else as "cheap"),
--  "stage" (the joints of the network that make memory smallest; the rest is computed again, a
--  third more work), "role" (as cheap, for one role at a time, each
--  of which goes forward twice). Results do not depend on it, but for the order of sums in "role";
--  `input_gradient` (false)
-- @treturn network
-- @raise if a layer is unknown, badly described, or does not fit its input
function nn.network(layers, options)
   if type(layers) ~= "table" then error("layers: a list expected, got a " .. type(layers), 2) end
   if type(options) == "table" then options = options_of.renamed(options, RENAMED) end
   local ok, net = pcall(core.network, flatten(layers, {}, 1), options)
   if not ok then error((tostring(net):gsub("'bclua%.nn%.core%.network'", "'network'")), 2) end
   local self = {core = net, names = {}, position = {}, role = {}, step = 0, pending = 0, metadata = {},
                 options = options, precision = options.precision or "f32",
                 recompute = options.recompute or "auto"}
   for i, tensor in ipairs(net:tensors()) do
      self.names[i] = tensor.name
      self.position[tensor.name] = i
      self.role[tensor.name] = tensor.role
   end
   return setmetatable(self, network)
end

local function by_name(self, what, roles)
   local out = {}
   for i, name in ipairs(self.names) do
      if roles[self.role[name]] then out[name] = self.core:tensor(i, what) end
   end
   return out
end

--- All tensors by their PyTorch names, running statistics included. They are
-- the network's own memory: what is written there, the network uses.
-- @treturn table name -> array
function network:state() return by_name(self, "value", {trained = true, running = true, counter = true}) end

--- The trained tensors.
-- @treturn table name -> array
function network:parameters() return by_name(self, "value", {trained = true}) end

--- The gradients of the last training step: of all batches that were
-- accumulated, before clipping; in f16 times `loss_scale()`.
-- @treturn table name -> array
function network:gradients() return by_name(self, "gradient", {trained = true}) end

local FORWARD = {batch_size = {"integer", least = 1, default = 16}}

--- Encode windows (eval mode: running statistics, no memory of the pass).
-- @tparam array batch (n, samples) f32; (n, c, h, w) for maps; one window may
--  come as a vector
-- @tparam[opt] table options `batch_size` (16) windows at once: memory only
-- @treturn array (n, z)
function network:forward(batch, options)
   local size = check_options(options, FORWARD).batch_size
   if array.is_array(batch) and batch:ndim() == 1 then batch = batch:reshape{1, batch:size()} end
   if not array.is_array(batch) or #batch <= size then return self.core:forward({batch}) end
   local parts = {}
   for first = 1, #batch, size do
      parts[#parts + 1] = self.core:forward({batch:slice(1, first, math.min(first + size - 1, #batch))})
   end
   return array.concat(parts)
end

local ACTIVATIONS = {train = {"boolean", default = false}, groups = {"integer", least = 1, default = 1}}

--- The outputs of chosen layers for a batch.
-- @tparam {array,...} parts the batch, in one or more arrays of equal length
-- @tparam {string,...} names of layers
-- @tparam[opt] table options `train` (false): batch statistics; `groups` (1) of them
-- @treturn table name -> array (n, c, h, w)
-- @treturn array the last layer's, (n, z)
function network:activations(parts, names, options)
   local o = check_options(options, ACTIVATIONS)
   local out = self.core:forward(parts, {keep = names, train = o.train, backward = false, groups = o.groups})
   local found = {}
   for _, name in ipairs(names) do found[name] = self.core:value(name) end
   return found, out
end

-- --- checkpoints -----------------------------------------------------------------

local MOMENT = {["optimizer.exp_avg."] = "moment1", ["optimizer.exp_avg_sq."] = "moment2"}

local function shape_text(a) return "(" .. table.concat(a:shape(), ", ") .. ")" end

local function same_shape(a, b)
   if a:ndim() ~= b:ndim() then return false end
   for i, extent in ipairs(a:shape()) do
      if extent ~= b:shape(i) then return false end
   end
   return true
end

-- Pairs (array of the network, array of the file) for all wanted tensors, or
-- nil and what does not match.
local function match(self, tensors, optimizer, ignore)
   local pairs_found, used = {}, {}
   local function take(own, name)
      local found = tensors[name]
      if not found then return ("tensor '%s' is missing"):format(name) end
      if not same_shape(own, found) then
         return ("tensor '%s' is %s, the network's is %s"):format(name, shape_text(found), shape_text(own))
      end
      if not found:is_finite() then return ("tensor '%s' holds NaN or infinities"):format(name) end
      pairs_found[#pairs_found + 1] = {own, found}
      used[name] = true
   end
   for i, name in ipairs(self.names) do
      local wrong = take(self.core:tensor(i), name)
      if wrong then return nil, wrong end
      for prefix, what in pairs(MOMENT) do
         if optimizer and self.role[name] == "trained" then
            wrong = take(self.core:tensor(i, what), prefix .. name)
            if wrong then return nil, wrong end
         end
      end
   end
   for name in pairs(tensors) do
      local is_ignored = name:find("^optimizer%.") ~= nil
      for _, prefix in ipairs(ignore) do is_ignored = is_ignored or name:sub(1, #prefix) == prefix end
      if not used[name] and not is_ignored then
         return nil, ("tensor '%s' is not one of the network's"):format(name)
      end
   end
   return pairs_found
end

local LOAD = {optimizer = {"boolean", default = false},
   ignore = {"list", of = {"string"}, items = "strings", default = {}}}

--- Load weights, from our own checkpoints or from a PyTorch `state_dict` of the
-- same network. All tensors must be there and fit, else nothing is changed.
-- @tparam string path of a safetensors file
-- @tparam[opt] table options `optimizer` (false): its state too, to go on training; `ignore` (list): tensors whose
-- names begin with one of these may be in the file though the network has none of them
-- @treturn[1] table the file's metadata
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function network:load(path, options)
   local o = check_options(options, LOAD)
   local optimizer = o.optimizer
   local tensors, metadata = safetensors.load(path)
   if not tensors then return nil, metadata end
   local found, wrong = match(self, tensors, optimizer, o.ignore)
   local step = tensors["optimizer.step"]
   if found and optimizer and not (step and step:size() == 1) then
      found, wrong = nil, "tensor 'optimizer.step' is missing"
   end
   if not found then return nil, path .. ": " .. wrong end
   for _, pair in ipairs(found) do pair[1]:fill(pair[2]) end
   if optimizer then
      self.step, self.pending = math.tointeger(step[1]) or 0, 0
      local scaling = tensors["optimizer.loss_scale"]
      if scaling and scaling:size() == 2 then self.scaling = {scale = scaling[1], good = math.tointeger(scaling[2])} end
   end
   return metadata
end

local SAVE = {optimizer = {"boolean", default = false}, metadata = {"table", default = {}}}

--- Save a checkpoint, whole or not at all; `state_dict` names, so that PyTorch
-- loads the weights.
-- @tparam string path
-- @tparam[opt] table options `optimizer` (false): its state too, as
--  `optimizer.exp_avg.<name>`, `optimizer.exp_avg_sq.<name>`, `optimizer.step` (in f16 also
--  `optimizer.loss_scale`);
--  `metadata`: string -> string, beside the network's own
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function network:save(path, options)
   local o = check_options(options, SAVE)
   local tensors, metadata = self:state(), {}
   for key, value in pairs(self.metadata) do metadata[key] = value end
   for key, value in pairs(o.metadata) do metadata[key] = value end
   if o.optimizer then
      for prefix, what in pairs(MOMENT) do
         for name, a in pairs(by_name(self, what, {trained = true})) do tensors[prefix .. name] = a end
      end
      tensors["optimizer.step"] = array.from({self.step}, "i64")
      local s = self.scaling
      if s then tensors["optimizer.loss_scale"] = array.from({s.scale, s.good}, "f64") end
   end
   return safetensors.save(path, tensors, metadata)
end

-- --- looking at it ------------------------------------------------------------------

local function megabytes(bytes) return ("%.1f MB"):format(bytes / 1e6) end

local function summary_text(s)
   local lines = {("%-28s %-13s %-16s %12s %15s"):format("layer", "kind", "c x h x w", "parameters",
      "multiply-adds")}
   for _, l in ipairs(s.layers) do
      lines[#lines + 1] = ("%-28s %-13s %-16s %12d %15.0f"):format(l.name, l.kind,
         ("%d x %d x %d"):format(l.c, l.h, l.w), l.parameters, l.multiply_adds)
   end
   lines[#lines + 1] = ("%-28s %-13s %-16s %12d %15.0f"):format("all", "", "", s.parameters, s.multiply_adds)
   local m = s.memory
   if m then
      lines[#lines + 1] = ("training, %d triplets: %s"):format(s.batch_size, megabytes(m.total))
      for _, part in ipairs{"weights", "gradients", "moments", "arena", "scratch", "batch", "process"} do
         lines[#lines + 1] = ("  %-10s %12s"):format(part, megabytes(m[part]))
      end
      lines[#lines + 1] = ("  (of the arena, %s is kept from forward to backward)"):format(megabytes(m.kept))
   end
   return table.concat(lines, "\n")
end

local SUMMARY = options_of.extend(training_options.memory, {batch_size = {"integer", least = 1}})

--- Layers, shapes, parameters and multiply-adds; with a batch size also the
-- memory that a training step on that many triplets takes.
-- @tparam[opt] table options `batch_size`, `precision`, `recompute`, `roles`: see `memory`
-- @treturn table `layers` (as listed by the network), `parameters`,
--  `multiply_adds` (one sample, forward), `memory` (see there); `tostring` prints it
function network:summary(options)
   local o = check_options(options, SUMMARY)
   local s = {layers = self.core:layers(), parameters = 0, multiply_adds = 0, batch_size = o.batch_size}
   for _, layer in ipairs(s.layers) do
      s.parameters = s.parameters + layer.parameters
      s.multiply_adds = s.multiply_adds + layer.multiply_adds
   end
   if o.batch_size then s.memory = self:memory(o) end
   return setmetatable(s, {__tostring = summary_text})
end

--- Seconds spent since the last call, by kind of layer.
-- @treturn table kind -> `{forward=, backward=}`
function network:profile()
   local kinds = {}
   for _, layer in ipairs(self.core:layers()) do
      local k = kinds[layer.kind] or {forward = 0, backward = 0}
      k.forward, k.backward = k.forward + layer.forward_s, k.backward + layer.backward_s
      kinds[layer.kind] = k
   end
   self.core:reset_times()
   return kinds
end

--- Free the network's memory and threads now, not when the collector comes by.
function network:close() self.core:close() end
network.__close = network.close

return nn
