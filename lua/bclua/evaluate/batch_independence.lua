--- Does the output for one sample depend on the other samples of its batch? Gradients
-- answer: d output(i) / d input(j) is zero for all j but i, or the network mixes samples.
--
-- Zero means zero: where samples do not meet, the engine multiplies by 0 and adds nothing.
-- The own gradient is looked at as well, for a network that is dead passes every test
-- that only asks for zeros.
--
-- A test works on a copy of the network in double precision; the network stays as it is. What
-- is in front of the first layer that hands a gradient to its input (the mel spectrogram
-- of audio) is tested by other means: a sample is replaced, and the others must not change by a bit.
-- @module bclua.evaluate.batch_independence
-- @usage print(batch_independence.test(net, batch, {mode = "train"}))
local array = require "bclua.array"
local check_options = require("bclua.options").check
local nn = require "bclua.nn"

local batch_independence = {}

local NO_INPUT_GRADIENT = {mel = true, spectrum = true, fourier = true}

local OPTIONS = {
   mode = {"choice", {"train", "eval"}, default = "train"},
   groups = {"integer", least = 1, default = 1},
   seed = {"integer", default = 1},
}

local function check(net, batch, options)
   local o = check_options(options, OPTIONS, 4)
   if type(net) ~= "table" or not net.core then error("net: a network of bclua.nn expected", 3) end
   if not array.is_array(batch) or batch:ndim() < 2 or #batch < 2 then
      error("batch: an array of at least two samples expected, as there is nothing to mix in one", 3)
   end
   if #batch % o.groups ~= 0 or #batch // o.groups < 2 then
      error(("batch: %d samples are not %d equal groups of two or more"):format(#batch, o.groups), 3)
   end
   if not batch:is_finite() then error("batch: it holds NaN or infinities", 3) end
   return o
end

-- --- copies of parts of the network --------------------------------------------------

local function description(layer, from)
   local d = {layer.kind, name = layer.name, from = from}
   for key, value in pairs(layer.options) do d[key] = value end
   return d
end

local function shape_of(layer) return {layer.c, layer.h, layer.w} end

-- Layers first .. last, with the network's tensors; they read layer first - 1.
local function part(net, layers, first, last, precision)
   local list, inside = {}, {[layers[first - 1].name] = "input"}
   for i = first, last do
      local from = {}
      for k, name in ipairs(layers[i].from) do
         if not inside[name] then
            error(("layer '%s' reads '%s', which is in front of the first layer with a gradient"):format(
               layers[i].name, name), 0)
         end
         from[k] = inside[name]
      end
      inside[layers[i].name] = layers[i].name
      list[#list + 1] = description(layers[i], #from > 1 and from or from[1])
   end
   local copy = nn.network(list, {input = shape_of(layers[first - 1]), precision = precision, recompute = "none",
      input_gradient = precision == "f64"})
   local state = net:state()
   for name, a in pairs(copy:state()) do a:fill(state[name]:copy(a:dtype())) end
   return copy
end

-- The last layer that hands no gradient to what is before it; 1, the input, if all do.
local function front_end(layers)
   local last = 1
   for i, layer in ipairs(layers) do
      if NO_INPUT_GRADIENT[layer.kind] then last = i end
   end
   return last
end

local function as_doubles(batch, layer)
   return batch:copy("f64"):reshape{#batch, layer.c, layer.h, layer.w}
end

-- --- gradients ----------------------------------------------------------------------------

-- No output is weighed with the same number as another: the sum of what batch norm gives
-- a channel is the same for every input, and has no gradient at all.
local function direction(size, seed)
   local random, w = require("bclua.sampling").generator(seed), array.zeros(size, "f64")
   for i = 1, size do w[i] = random:normal() end
   return w
end

local function norm(a) return math.sqrt((a * a):sum()) end

-- One row of d output(i) · w / d input: (n, c, h, w).
local function gradient_of(net, x, i, w, forward)
   local out = net.core:forward({x}, forward)
   local wanted = array.zeros(out:shape(), "f64")
   wanted[i]:fill(w)
   net.core:zero_gradients()
   net.core:backward(wanted)
   return net.core:input_gradient()
end

-- Norms of d output(i) · w / d input(j): (n, n).
local function norms_of(net, x, forward, seed)
   local n, last = #x, net.core:layers()
   last = last[#last]
   local w, m = direction(last.c * last.h * last.w, seed), array.zeros({#x, #x}, "f64")
   for i = 1, n do
      local g = gradient_of(net, x, i, w, forward)
      for j = 1, n do m:set(i, j, norm(g[j])) end
   end
   return m
end

-- The same where there is no gradient: how the outputs change when the next sample takes
-- the place of sample j.
local function changes_of(net, x, forward)
   local n = #x
   local before, m = net.core:forward({x}, forward), array.zeros({n, n}, "f64")
   for j = 1, n do
      local other = x:copy()
      other[j]:fill(x[j % n + 1])
      local after = net.core:forward({other}, forward)
      for i = 1, n do m:set(i, j, norm((after[i] - before[i]):copy("f64"))) end
   end
   return m
end

local function judge(row, m)
   row.own, row.others, row.dead_samples = math.huge, 0, {}
   for i = 1, #m do
      for j = 1, #m do
         if i ~= j then row.others = math.max(row.others, m[i][j]) end
      end
      local own = m[i][i]
      row.own = math.min(row.own, own)
      if own == 0 then row.dead_samples[#row.dead_samples + 1] = i end
   end
   row.mixes, row.dead = row.others > 0, #row.dead_samples > 0
   return row
end

-- What a test needs: the front end's copy and output, the copy behind it, how to pass.
local function prepare(net, batch, o)
   local p = {layers = net.core:layers()}
   p.cut = front_end(p.layers)
   p.forward = {train = o.mode == "train", backward = true, groups = o.groups, seed = o.seed}
   p.forth = {train = o.mode == "train", backward = false, groups = o.groups, seed = o.seed}
   p.input, p.x = batch, batch
   if p.cut > 1 then
      p.front = part(net, p.layers, 2, p.cut, net.precision == "f64" and "f64" or "f32")
      p.x = p.front.core:forward({batch}, p.forth)
   end
   p.x = as_doubles(p.x, p.layers[p.cut])
   if p.cut == #p.layers then error("net: no layer hands a gradient to its input", 0) end
   p.rest = part(net, p.layers, p.cut + 1, #p.layers, "f64")
   return p
end

local function close(p)
   if p.front then p.front:close() end
   if p.rest then p.rest:close() end
end

-- Every layer by itself, between the values that reach it in the network.
local function layer_rows(net, p, seed)
   local names, rows = {"input"}, {}
   for i = p.cut + 1, #p.layers do names[#names + 1] = p.layers[i].name end
   local values = {input = p.x}
   local keep = table.move(names, 2, #names, 1, {})
   p.rest.core:forward({p.x}, {train = p.forth.train, groups = p.forth.groups, seed = p.forth.seed, backward = false,
      keep = keep})
   for _, name in ipairs(keep) do values[name] = p.rest.core:value(name) end
   values[p.layers[p.cut].name] = p.x
   for i = p.cut + 1, #p.layers do
      local layer = p.layers[i]
      local before
      for _, other in ipairs(p.layers) do
         if other.name == layer.from[1] then before = other end
      end
      local from = {}
      for k in ipairs(layer.from) do from[k] = before.name end
      local alone = part(net, {before, {kind = layer.kind, name = layer.name, options = layer.options, from = from}},
         2, 2, "f64")
      rows[#rows + 1] = judge({layer = layer.name, kind = layer.kind, by = "gradient"},
         norms_of(alone, values[before.name], p.forward, seed))
      alone:close()
   end
   return rows
end

local function names_where(rows, field)
   local names = {}
   for _, row in ipairs(rows) do
      if row[field] then names[#names + 1] = row.layer end
   end
   return names
end

-- --- in plain words --------------------------------------------------------------------------

local function listed(names, most)
   if #names <= most then return table.concat(names, ", ") end
   return ("%s and %d more"):format(table.concat(names, ", ", 1, most), #names - most)
end

local function kinds_of(rows)
   local seen, kinds = {}, {}
   for _, row in ipairs(rows) do
      if row.mixes and not seen[row.kind] then
         seen[row.kind] = true
         kinds[#kinds + 1] = row.kind
      end
   end
   return table.concat(kinds, ", ")
end

local MODE = {train = "training", eval = "eval mode"}

local function mixing_text(r)
   if r.isolated then
      return ("In %s the output for a sample does not depend on the others of its batch: their gradients are "
         .. "zero, to the last bit."):format(MODE[r.mode])
   end
   return ("In %s the output for a sample depends on the others of its batch, by up to %.2g of its own "
      .. "gradient. What mixes them (%s): %s."):format(MODE[r.mode], r.ratio, kinds_of(r.layers), listed(r.mixing, 30))
end

local ADVICE = "Batch norm in training takes mean and deviation over all samples of the batch, so that each sample is "
   .. "in every other's output. That is its definition and no mistake in the network: a test that asks for zeros there "
   .. "fails for every network with batch norm. Ask in eval mode, where the statistics are fixed, or use group norm, "
   .. "which takes those of one sample."

local function dead_text(r)
   if r.alive then return nil end
   local samples = {}
   for i, k in ipairs(r.dead_samples) do samples[i] = tostring(k) end
   local text = ("The own gradient of sample %s is zero as well, so that nothing is learnt from it; a test that only "
      .. "looks at the others would not have noticed."):format(listed(samples, 6))
   if #r.dead == 0 then return text .. " No single layer is to blame: it vanishes between them." end
   return ("%s It ends at %s: whatever goes in, the output there stays the same."):format(text, listed(r.dead, 4))
end

local function result_text(r)
   local lines = {("%-28s %-13s %12s %12s"):format("layer", "kind", "own", "others")}
   for _, row in ipairs(r.layers) do
      local remark = row.mixes and "  mixes" or row.dead and "  dead" or ""
      lines[#lines + 1] = ("%-28s %-13s %12.4g %12.4g%s"):format(row.layer, row.kind, row.own, row.others, remark)
   end
   lines[#lines + 1] = ("%-28s %-13s %12.4g %12.4g"):format("all", "", r.own, r.others)
   lines[#lines + 1] = r.explanation
   lines[#lines + 1] = r.advice
   return table.concat(lines, "\n")
end

--- Test a network on a batch.
-- @tparam network net of `bclua.nn`; it is not changed
-- @tparam array batch (n, ...) two or more samples
-- @tparam[opt] table options `mode` ("train": batch statistics; "eval"), `groups` (1: so many
--  equal parts of the batch, each with batch statistics of its own, as the three roles in training),
--  `seed` (1) of the direction in which the output is looked at, and of dropout
-- @treturn table
--
--  * `isolated`: no sample's output depends on another sample; `alive`: each depends on itself; `passed`: both
--  * `matrix` (n, n) f64: norm of the gradient of output i with respect to input j; `own` the smallest on its
--    diagonal, `others` the largest beside it, `ratio` the largest others' / own of one row
--  * `layers`: each by itself on the values that reach it: `layer`, `kind`, `own`, `others`, `mixes`, `dead`,
--    and `by` ("gradient", or "change" for those in front of the first with a gradient)
--  * `mixing`, `dead`: names of layers; `dead_samples` from 1
--  * `explanation` in plain words; `advice` where batch norm is all that mixes; `tostring` prints all
-- @raise if an argument is wrong, or a layer reads past the layers that have no gradient
function batch_independence.test(net, batch, options)
   local o = check(net, batch, options)
   local p = prepare(net, batch, o)
   local m = norms_of(p.rest, p.x, p.forward, o.seed)
   local r = judge({mode = o.mode, matrix = m, layers = layer_rows(net, p, o.seed), ratio = 0}, m)
   if p.front then
      local last = p.layers[p.cut]
      table.insert(r.layers, 1, judge({layer = last.name, kind = last.kind, by = "change"},
         changes_of(p.front, p.input, p.forth)))
   end
   close(p)
   for i = 1, #m do
      for j = 1, #m do
         local own = m[i][i]
         if i ~= j and own > 0 then r.ratio = math.max(r.ratio, m[i][j] / own) end
      end
   end
   r.mixing = names_where(r.layers, "mixes")
   r.isolated, r.alive = not r.mixes and #r.mixing == 0, not r.dead
   r.dead, r.mixes = names_where(r.layers, "dead"), nil
   r.passed = r.isolated and r.alive
   r.explanation = table.concat({mixing_text(r), dead_text(r)}, " ")
   r.advice = not r.isolated and kinds_of(r.layers) == "batch_norm" and ADVICE or nil
   return setmetatable(r, {__tostring = result_text})
end

--- What a test says of the layers of each kind.
-- @tparam table result of `test`
-- @treturn {table,...} in the order in which the kinds come: `kind`, `layers`, `mixing` and `dead` (how many), `own`
--  (the smallest), `others` (the largest)
function batch_independence.by_kind(result)
   local rows, at = {}, {}
   for _, l in ipairs(result.layers) do
      local row = at[l.kind]
      if not row then
         row = {kind = l.kind, layers = 0, mixing = 0, dead = 0, own = math.huge, others = 0}
         rows[#rows + 1], at[l.kind] = row, row
      end
      row.layers, row.own, row.others = row.layers + 1, math.min(row.own, l.own), math.max(row.others, l.others)
      row.mixing, row.dead = row.mixing + (l.mixes and 1 or 0), row.dead + (l.dead and 1 or 0)
   end
   return rows
end

--- The gradient of one sample's output, in one direction, with respect to the whole batch.
-- @tparam network net
-- @tparam array batch as for `test`
-- @tparam integer i the sample
-- @tparam[opt] table options as for `test`
-- @treturn array f64 (n, c, h, w) of what goes into the first layer with a gradient
-- @treturn array f64 (values): the direction
-- @treturn function f(x): the same number, output(i) · direction, for other values x in that place, f64 (n, c, h, w)
-- @treturn array f64 (n, c, h, w): what goes in there
function batch_independence.gradient(net, batch, i, options)
   local o = check(net, batch, options)
   if not math.tointeger(i) or i < 1 or i > #batch then
      error(("sample: 1 to %d expected, got %s"):format(#batch, tostring(i)), 2)
   end
   local p, last = prepare(net, batch, o), net.core:layers()
   last = last[#last]
   local w = direction(last.c * last.h * last.w, o.seed)
   local g = gradient_of(p.rest, p.x, i, w, p.forward)
   return g, w, function(x) return (p.rest.core:forward({x}, p.forth)[i] * w):sum() end, p.x
end

--- A list of layers with group norm in place of every batch norm.
-- @tparam {table,...} layers as for `nn.network`; it stays as it is
-- @tparam integer groups of each norm; it must divide the channels
-- @treturn {table,...}
function batch_independence.with_group_norm(layers, groups)
   local list = {}
   for k, layer in ipairs(layers) do
      if type(layer) == "table" and type(layer[1]) == "table" then
         list[k] = batch_independence.with_group_norm(layer, groups)
      elseif type(layer) == "table" and layer[1] == "batch_norm" then
         list[k] = {"group_norm", name = layer.name, from = layer.from, groups = groups, eps = layer.eps}
      else
         list[k] = layer
      end
   end
   return list
end

return batch_independence
