--- A trained network as an ONNX model, from samples to embedding, for programs
-- that know nothing of us (onnxruntime, browsers, phones).
--
-- Opset 17. One input, `audio` (n, samples) f32, or `input` (n, c, h, w) for a
-- network of maps; one output, `embedding` (n, values). n is free. Batch norm
-- uses its running statistics, as `net:forward` does.
--
-- The spectrum becomes a convolution with windowed Fourier kernels (4 bytes * n_fft *
-- (n_fft + 2) in the file), or, with `stft = true`, the STFT operator: a smaller file
-- for runtimes that have it.
-- @module bclua.format.onnx
local array = require "bclua.array"
local check_options = require("bclua.options").check
local pb = require "bclua.format.protobuf"
local spectral = require "bclua.spectral"
local system = require "bclua.system"

local onnx = {}

local OPSET, IR_VERSION = 17, 8
local FLOAT, INT64 = 1, 7 -- TensorProto.DataType

-- Field numbers are those of onnx.proto.
local MODEL = {ir_version = 1, producer_name = 2, producer_version = 3, graph = 7,
   opset_import = 8, metadata_props = 14}
local GRAPH = {node = 1, name = 2, initializer = 5, doc_string = 10, input = 11, output = 12}
local NODE = {input = 1, output = 2, name = 3, op_type = 4, attribute = 5}
local ATTRIBUTE = {name = 1, f = 2, i = 3, s = 4, ints = 8, type = 20}
local TENSOR = {dims = 1, data_type = 2, name = 8, raw_data = 9}

local Graph = {}
Graph.__index = Graph

local function attribute(name, value)
   local head = pb.bytes(ATTRIBUTE.name, name)
   if type(value) == "table" then
      local parts = {}
      for i, n in ipairs(value) do parts[i] = pb.integer(ATTRIBUTE.ints, n) end
      return head .. table.concat(parts) .. pb.integer(ATTRIBUTE.type, 7)
   end
   if math.type(value) == "integer" then
      return head .. pb.integer(ATTRIBUTE.i, value) .. pb.integer(ATTRIBUTE.type, 2)
   end
   if type(value) == "string" then
      return head .. pb.bytes(ATTRIBUTE.s, value) .. pb.integer(ATTRIBUTE.type, 3)
   end
   return head .. pb.float(ATTRIBUTE.f, value) .. pb.integer(ATTRIBUTE.type, 1)
end

-- A node; returns the name of its output.
function Graph:node(op, inputs, output, attributes)
   local parts = {}
   for i, name in ipairs(inputs) do parts[i] = pb.bytes(NODE.input, name) end
   parts[#parts + 1] = pb.bytes(NODE.output, output) .. pb.bytes(NODE.name, output) .. pb.bytes(NODE.op_type, op)
   local names = {}
   for name in pairs(attributes or {}) do names[#names + 1] = name end
   table.sort(names)
   for _, name in ipairs(names) do parts[#parts + 1] = pb.bytes(NODE.attribute, attribute(name, attributes[name])) end
   self.parts[#self.parts + 1] = pb.bytes(GRAPH.node, table.concat(parts))
   return output
end

function Graph:initializer(name, dims, kind, bytes)
   local parts = {}
   for i, n in ipairs(dims) do parts[i] = pb.integer(TENSOR.dims, n) end
   parts[#parts + 1] = pb.integer(TENSOR.data_type, kind) .. pb.bytes(TENSOR.name, name)
   parts[#parts + 1] = pb.bytes(TENSOR.raw_data, bytes)
   self.parts[#self.parts + 1] = pb.bytes(GRAPH.initializer, table.concat(parts))
   return name
end

function Graph:tensor(name, a) return self:initializer(name, a:shape(), FLOAT, a:copy("f32"):string()) end

function Graph:number(name, x) return self:initializer(name, {}, FLOAT, string.pack("<f", x)) end

function Graph:integers(name, list)
   return self:initializer(name, {#list}, INT64, string.pack("<" .. ("i8"):rep(#list), table.unpack(list)))
end

function Graph:reshape(x, shape, output)
   return self:node("Reshape", {x, self:integers(output .. ".shape", shape)}, output)
end

-- --- the front end -----------------------------------------------------------------

-- (n_fft): periodic Hann, as the engine's.
local function hann(n)
   local w = {}
   for i = 1, n do w[i] = 0.5 - 0.5 * math.cos(2 * math.pi * (i - 1) / n) end
   return w
end

-- (n_fft + 2, 1, n_fft): windowed cosines of every bin, then sines.
local function fourier_kernels(n)
   local bins, window = n // 2 + 1, hann(n)
   local cosine, sine = {}, {}
   for i = 0, n - 1 do
      cosine[i], sine[i] = math.cos(2 * math.pi * i / n), math.sin(2 * math.pi * i / n)
   end
   local kernels = array.zeros{2 * bins, 1, n}
   local c, s = {}, {}
   for k = 0, bins - 1 do
      for i = 0, n - 1 do
         local at = k * i % n
         c[i + 1], s[i + 1] = window[i + 1] * cosine[at], window[i + 1] * sine[at]
      end
      kernels[k + 1]:fill(array.from({c}, "f32"))
      kernels[bins + k + 1]:fill(array.from({s}, "f32"))
   end
   return kernels
end

-- Samples (n, 1, 1, samples) -> (n, 1, samples + 2 half), as a centred frame sees them.
local function pad(g, name, from, half, mode)
   local audio = g:reshape(from, {-1, 1, g.layers[from].w}, name .. ".audio")
   return g:node("Pad", {audio, g:integers(name .. ".pads", {0, 0, half, 0, 0, half})}, name .. ".padded",
      {mode = mode})
end

-- Padded samples -> (n, bins, frames) of power.
local function power_by_conv(g, name, padded, o)
   local bins = o.n_fft // 2 + 1
   local kernels = g:tensor(name .. ".kernels", fourier_kernels(o.n_fft))
   local both = g:node("Conv", {padded, kernels}, name .. ".spectrum", {strides = {o.hop}})
   local square = g:node("Mul", {both, both}, name .. ".square")
   local zero, middle, last, axis = g:integers(name .. ".0", {0}), g:integers(name .. ".bins", {bins}),
      g:integers(name .. ".2bins", {2 * bins}), g:integers(name .. ".axis", {1})
   local real = g:node("Slice", {square, zero, middle, axis}, name .. ".real")
   local imaginary = g:node("Slice", {square, middle, last, axis}, name .. ".imaginary")
   return g:node("Add", {real, imaginary}, name .. ".power")
end

local function power_by_stft(g, name, padded, o, samples)
   local flat = g:reshape(padded, {-1, samples + o.n_fft // 2 * 2}, name .. ".flat")
   local hop = g:initializer(name .. ".hop", {}, INT64, string.pack("<i8", o.hop))
   local window = g:tensor(name .. ".window", array.from(hann(o.n_fft), "f32"))
   local spectrum = g:node("STFT", {flat, hop, window}, name .. ".spectrum", {onesided = 1}) -- (n, frames, bins, 2)
   local square = g:node("Mul", {spectrum, spectrum}, name .. ".square")
   local power = g:node("ReduceSum", {square, g:integers(name .. ".axis", {3})}, name .. ".by_frame", {keepdims = 0})
   return g:node("Transpose", {power}, name .. ".power", {perm = {0, 2, 1}})
end

local function power(g, l, from, mode)
   local o = l.options
   local padded = pad(g, l.name, from, o.n_fft // 2, mode)
   if g.stft then return power_by_stft(g, l.name, padded, o, g.layers[from].w) end
   return power_by_conv(g, l.name, padded, o)
end

local function mel(g, l, from)
   local o, name = l.options, l.name
   local filters = spectral.mel_filterbank{sample_rate = o.sample_rate, n_fft = o.n_fft, n_mels = o.n_mels,
      fmin = o.fmin, fmax = o.fmax > 0 and o.fmax or nil}
   local bands = g:node("MatMul", {g:tensor(name .. ".filters", filters), power(g, l, from[1], o.pad)},
      name .. ".bands")
   return g:reshape(bands, {-1, 1, l.h, l.w}, name)
end

-- (n, bins, frames) -> (n, 1, frames, bins)
local function by_frame(g, l, x)
   local turned = g:node("Transpose", {x}, l.name .. ".turned", {perm = {0, 2, 1}})
   return g:reshape(turned, {-1, 1, l.h, l.w}, l.name)
end

local function spectrum(g, l, from) return by_frame(g, l, power(g, l, from[1], "reflect")) end

-- Fourier kernels that were trained.
local function fourier(g, l, from)
   local padded, squares = pad(g, l.name, from[1], l.options.n_fft // 2, "reflect"), {}
   for i, part in ipairs{"wcos", "wsin"} do
      local name = ("%s.%s"):format(l.name, part)
      local x = g:node("Conv", {padded, g:tensor(name, g.state[name])}, name .. ".product", {strides = {l.options.hop}})
      squares[i] = g:node("Mul", {x, x}, name .. ".square")
   end
   return by_frame(g, l, g:node("Add", squares, l.name .. ".power"))
end

local function filterbank(g, l, from)
   local before, name = g.layers[from[1]], l.name
   local flat = g:reshape(from[1], {-1, before.h, before.w}, name .. ".frames")
   local turned = g:node("Transpose", {flat}, name .. ".turned", {perm = {0, 2, 1}})
   local bands = g:node("MatMul", {g:tensor(name .. ".weight", g.state[name .. ".weight"]), turned}, name .. ".bands")
   return g:reshape(g:node("Relu", {bands}, name .. ".floored"), {-1, 1, l.h, l.w}, name)
end

local function decibel(g, l, from)
   local floored = g:node("Max", {from[1], g:number(l.name .. ".least", l.options.least)}, l.name .. ".floored")
   local log = g:node("Log", {floored}, l.name .. ".log")
   return g:node("Mul", {log, g:number(l.name .. ".factor", 10 / math.log(10))}, l.name)
end

local function center(g, l, from)
   local axes = l.options.over == "band" and {3} or {2, 3}
   local mean = g:node("ReduceMean", {from[1]}, l.name .. ".mean", {axes = axes, keepdims = 1})
   local rest = g:node("Sub", {from[1], mean}, l.name .. ".rest")
   return g:node("Mul", {rest, g:number(l.name .. ".scale", l.options.scale)}, l.name)
end

-- The running mean M(t) = b x(t) + (1 - b) M(t-1), M(-1) = 1, of all frames at
-- once: x times a triangular matrix, plus what is left of the 1.
local function pcen(g, l, from)
   local o, name, frames = l.options, l.name, l.w
   local t = o.time_constant * o.frame_rate
   local b = (math.sqrt(1 + 4 * t * t) - 1) / (2 * t * t)
   local triangle, rest = array.zeros{frames, frames}, {}
   for i = 1, frames do
      rest[i] = (1 - b) ^ i
      for j = i, frames do triangle:set(i, j, b * (1 - b) ^ (j - i)) end
   end
   local x = g:node("Mul", {from[1], g:number(name .. ".scale", o.scale)}, name .. ".x")
   local mean = g:node("MatMul", {x, g:tensor(name .. ".triangle", triangle)}, name .. ".moving")
   mean = g:node("Add", {mean, g:tensor(name .. ".rest", array.from(rest, "f32"))}, name .. ".mean")
   local base = g:node("Add", {mean, g:number(name .. ".eps", o.eps)}, name .. ".base")
   local divisor = g:node("Pow", {base, g:number(name .. ".gain", o.gain)}, name .. ".divisor")
   local u = g:node("Div", {x, divisor}, name .. ".divided")
   u = g:node("Add", {u, g:number(name .. ".bias", o.bias)}, name .. ".biased")
   u = g:node("Pow", {u, g:number(name .. ".power", o.power)}, name .. ".raised")
   return g:node("Sub", {u, g:number(name .. ".floor", o.bias ^ o.power)}, name)
end

-- --- the other layers ----------------------------------------------------------------

local function weights(g, l, names)
   local list = {}
   for _, suffix in ipairs(names) do
      local name = l.name .. "." .. suffix
      if g.state[name] then list[#list + 1] = g:tensor(name, g.state[name]) end
   end
   return table.unpack(list)
end

local function conv2d(g, l, from)
   local o = l.options
   return g:node("Conv", {from[1], weights(g, l, {"weight", "bias"})}, l.name,
      {kernel_shape = o.kernel, strides = o.stride, pads = {o.padding[1], o.padding[2], o.padding[1], o.padding[2]}})
end

local function linear(g, l, from)
   local flat = g:node("Flatten", {from[1]}, l.name .. ".flat", {axis = 1})
   local out = g:node("Gemm", {flat, weights(g, l, {"weight", "bias"})}, l.name .. ".product", {transB = 1})
   return g:reshape(out, {-1, l.c, l.h, l.w}, l.name)
end

local function batch_norm(g, l, from)
   return g:node("BatchNormalization", {from[1], weights(g, l, {"weight", "bias", "running_mean", "running_var"})},
      l.name, {epsilon = l.options.eps})
end

-- Instance norm over the values of a group, as if it were a channel.
local function group_norm(g, l, from)
   local n, name = l.options.groups, l.name
   local grouped = g:reshape(from[1], {0, n, -1}, name .. ".grouped")
   local one, zero = g:tensor(name .. ".one", array.full({n}, 1)), g:tensor(name .. ".zero", array.zeros{n})
   local normal = g:node("InstanceNormalization", {grouped, one, zero}, name .. ".normal", {epsilon = l.options.eps})
   local x = g:reshape(normal, {-1, l.c, l.h, l.w}, name .. ".maps")
   local function column(suffix)
      local key = name .. "." .. suffix
      return g:tensor(key, g.state[key]:reshape{l.c, 1, 1})
   end
   local scaled = g:node("Mul", {x, column "weight"}, name .. ".scaled")
   return g:node("Add", {scaled, column "bias"}, name)
end

-- A pool of some kind, "Average" or "Max".
local function pool(kind)
   return function(g, l, from)
      local o = l.options
      if o.global then return g:node("Global" .. kind .. "Pool", from, l.name) end
      local stride = {o.stride[1] > 0 and o.stride[1] or o.kernel[1], o.stride[2] > 0 and o.stride[2] or o.kernel[2]}
      return g:node(kind .. "Pool", from, l.name, {kernel_shape = o.kernel, strides = stride})
   end
end

local KINDS = {
   mel = mel, spectrum = spectrum, fourier = fourier, filterbank = filterbank, decibel = decibel, center = center,
   pcen = pcen, conv2d = conv2d, linear = linear, batch_norm = batch_norm, group_norm = group_norm,
   average_pool = pool "Average", max_pool = pool "Max",
   relu = function(g, l, from) return g:node("Relu", from, l.name) end,
   add = function(g, l, from) return g:node("Add", from, l.name) end,
   dropout = function(g, l, from) return g:node("Identity", from, l.name) end, -- eval mode
}

-- --- the model -------------------------------------------------------------------------

-- ValueInfoProto of an f32 tensor; extents are numbers, or a word where they are free.
local function value_info(name, extents)
   local dims = {}
   for i, n in ipairs(extents) do
      dims[i] = pb.bytes(1, type(n) == "string" and pb.bytes(2, n) or pb.integer(1, n))
   end
   local tensor = pb.integer(1, FLOAT) .. pb.bytes(2, table.concat(dims))
   return pb.bytes(1, name) .. pb.bytes(2, pb.bytes(1, tensor))
end

local function graph_of(g, layers)
   local first, last = layers[1], layers[#layers]
   local is_audio = first.c == 1 and first.h == 1
   local input = is_audio and "audio" or "input"
   local extents = is_audio and {"n", first.w} or {"n", first.c, first.h, first.w}
   g:reshape(input, {-1, first.c, first.h, first.w}, first.name .. ".maps")
   local outputs = {[first.name] = first.name .. ".maps"}
   g.layers[first.name .. ".maps"] = first
   for i = 2, #layers do
      local l = layers[i]
      local from = {}
      for k, name in ipairs(l.from) do from[k] = outputs[name] end
      outputs[l.name], g.layers[l.name] = KINDS[l.kind](g, l, from), l
   end
   g:node("Flatten", {outputs[last.name]}, "embedding", {axis = 1})
   return table.concat(g.parts) .. pb.bytes(GRAPH.name, "bclua") ..
      pb.bytes(GRAPH.input, value_info(input, extents)) ..
      pb.bytes(GRAPH.output, value_info("embedding", {"n", last.c * last.h * last.w}))
end

local LARGEST = 1 << 31 -- bytes of a file of protobuf

-- Why a layer has no translation.
local function wrong(l, o)
   if not KINDS[l.kind] then return ("layer '%s': a %s layer cannot be exported"):format(l.name, l.kind) end
   if (l.kind == "mel" or l.kind == "spectrum") and not o.stft then
      local bytes = 4 * l.options.n_fft * (l.options.n_fft + 2)
      if bytes >= LARGEST then
         return ("layer '%s': Fourier kernels of n_fft %d take %.1f GB, a file has 2 GB: use the operator (--stft)")
            :format(l.name, l.options.n_fft, bytes / 1e9)
      end
   end
end

local function model(net, o)
   local layers = net.core:layers()
   for i = 2, #layers do
      local message = wrong(layers[i], o)
      if message then return nil, message end
   end
   local g = setmetatable({parts = {}, layers = {}, state = net:state(), stft = o.stft}, Graph)
   local parts = {pb.integer(MODEL.ir_version, IR_VERSION), pb.bytes(MODEL.producer_name, "bclua"),
      pb.bytes(MODEL.producer_version, system.version()), pb.bytes(MODEL.graph, graph_of(g, layers)),
      pb.bytes(MODEL.opset_import, pb.bytes(1, "") .. pb.integer(2, OPSET))}
   local names = {}
   for name in pairs(net.metadata) do names[#names + 1] = name end
   table.sort(names)
   for _, name in ipairs(names) do
      parts[#parts + 1] = pb.bytes(MODEL.metadata_props, pb.bytes(1, name) .. pb.bytes(2, net.metadata[name]))
   end
   return table.concat(parts)
end

local OPTIONS = {stft = {"boolean", default = false}}

--- The bytes of a network's ONNX model.
-- @tparam network net of `bclua.nn` or `bclua.tilenet`
-- @tparam[opt] table options `stft` (false): the operator, not a convolution
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message: a layer of a kind that has no translation, or one that is too large
function onnx.model(net, options) return model(net, check_options(options, OPTIONS)) end

--- Write a network's ONNX model, whole or not at all.
-- @tparam network net
-- @tparam string path
-- @tparam[opt] table options as for `model`
-- @treturn[1] integer bytes written
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function onnx.export(net, path, options)
   local bytes, message = model(net, check_options(options, OPTIONS))
   if not bytes then return nil, path .. ": " .. message end
   local ok
   ok, message = system.write_file(path, bytes)
   if not ok then return nil, message end
   return #bytes
end

return onnx
