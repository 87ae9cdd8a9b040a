--- The network that embeds five seconds of sound: a residual network of the
-- tile2vec kind (Jean et al., 2019) on a mel spectrogram.
--
-- mel, compression, 3x3 convolution of stride 2 to `widths[1]`, five stages of
-- two residual blocks (`widths[1..4]`, `z`; stride 1, 2, 2, 2, 2), 4x4 average
-- pool (or another `pooling`), z values. In training a `projection` may follow, which sees the loss
-- in place of the embedding and is dropped afterwards. Layers are called as in the PyTorch original, so that their
-- tensors are `conv1.weight`, `bn1.running_mean`, `layer3.0.shortcut.0.weight`...
-- @module bclua.tilenet
local json = require "bclua.json"
local nn = require "bclua.nn"
local options_of = require "bclua.options"
local safetensors = require "bclua.format.safetensors"
local training_options = require "bclua.train.options"

local tilenet = {}

-- Strides halve bands and frames five times, and the pool at the end takes 4 x 4.
local LEAST = 3 * 2 ^ 5 + 1 | 0

--- A schema of `bclua.options`: what makes the network, and what its metadata keep.
tilenet.network_options = {
   widths = training_options.widths,
   z = {"integer", least = 1, most = 65536, default = 512, record = "always", option = "dim",
      text = "Number of values in the embedding."},
   compression = {"choice", {"log", "power", "pcen"}, default = "log", record = "always",
      text = "What the network sees of mel power: log, power or pcen."},
   sample_rate = {"number", least = 1, most = 1e6, default = 32000},
   seconds = {"number", above = 0, most = 3600, default = 5},
   n_fft = {"integer", least = 2, default = false},
   hop = {"integer", least = 1, default = false},
   n_mels = {"integer", least = LEAST, default = 128},
   fmin = {"number", least = 0, default = 0},
   fmax = {"number", least = 0, default = 0},
   front_end = {"choice", {"fft", "mel_trained", "fourier_trained"}, default = "fft",
      text = "What is trained before the first layer: fft (nothing), mel_trained (the mel matrix) or " ..
         "fourier_trained (dense Fourier kernels, too: 16.8 million weights, slow)."},
   pooling = {"choice", {"mean", "bands"}, default = "mean",
      text = "From maps to the embedding: mean (over frequency and time) or bands (mean and maximum over " ..
         "time, then a linear map of all bands)."},
   readout = {"choice", {"head", "stages", "kernels"}, default = "head", record = "never"},
   projection = {"integer", default = 0, least = 0, most = 65536,
      text = "Values of a linear map of the embedding that only the loss sees (0: none; with cross_entropy: groups)."},
}
-- Of the object, not of the network.
local OBJECT = {seed = "integer", precision = training_options.precision, threads = {"integer", least = 0, most = 1024},
   recompute = training_options.recompute}
--- The same, and what makes the object.
tilenet.options = options_of.extend(tilenet.network_options, OBJECT)

local LEAST_POWER, PER_DECIBEL = 1e-10, 1 / 20

-- What a mel band's power becomes before it meets the first weights.
--
-- `log`: decibels with a floor of -100 (some 20 dB below the rounding noise of
-- 16 bits), so that silence is finite; then each band's mean over the clip is
-- taken away and 20 dB become 1. The gain, the microphone's colour and steady
-- noise of a recording all add a constant to a band: they tell which clips come
-- from one recording, and a triplet network learns just that (doc/performance.md
-- has the figures). Without the means they are gone, and silence is zero.
--
-- `pcen`: as librosa.pcen with its defaults and the advised scale of 2^31;
-- gain is divided out band by band by a running mean.
--
-- `power`: as it is; loud clips dominate. The original's choice.
local function compression_layers(kind, frame_rate)
   if kind == "power" then return {} end
   if kind == "pcen" then return {{"pcen", frame_rate = frame_rate}} end
   return {{"decibel", least = LEAST_POWER}, {"center", over = "band", scale = PER_DECIBEL}}
end

-- From samples to mel power. `fft` is fixed. The others train the mel matrix
-- (0.26 million weights), `fourier_trained` the Fourier kernels too, as dense
-- matrices (16.8 million, at a hundred times the work): the original's choice.
local function front_end(o)
   if o.front_end == "fft" then
      return {{"mel", name = "mel", sample_rate = o.sample_rate, n_fft = o.n_fft, hop = o.hop, n_mels = o.n_mels,
               fmin = o.fmin, fmax = o.fmax}}
   end
   return {{o.front_end == "mel_trained" and "spectrum" or "fourier", name = "stft", n_fft = o.n_fft, hop = o.hop},
           {"filterbank", name = "mel", sample_rate = o.sample_rate, n_mels = o.n_mels, fmin = o.fmin,
            fmax = o.fmax}}
end

-- conv-bn-relu-conv-bn, plus the input (or its projection, where the shape
-- changes), relu. The block's name is that of its last layer.
local function block(name, from, width, stride, project)
   local shortcut = from
   local layers = {
      {"conv2d", name = name .. ".conv1", from = from, out = width, kernel = 3, stride = stride, padding = 1},
      {"batch_norm", name = name .. ".bn1"},
      {"relu", name = name .. ".relu1"},
      {"conv2d", name = name .. ".conv2", out = width, kernel = 3, padding = 1},
      {"batch_norm", name = name .. ".bn2"},
   }
   if project then
      shortcut = name .. ".shortcut.1"
      layers[#layers + 1] = {
         {"conv2d", name = name .. ".shortcut.0", from = from, out = width, kernel = 1, stride = stride},
         {"batch_norm", name = shortcut},
      }
   end
   layers[#layers + 1] = {"add", name = name .. ".add", from = {name .. ".bn2", shortcut}}
   layers[#layers + 1] = {"relu", name = name}
   return layers
end

local FRAME_S = 4096 / 32000 -- of the original

-- The power of two that is nearest to so many seconds.
local function frame_of(seconds, sample_rate)
   return math.tointeger(2 ^ math.max(1, math.floor(math.log(seconds * sample_rate, 2) + 0.5)))
end

--- Frames as `new` has them unless told otherwise: the power of two that is nearest to an eighth of a second, and the
-- hop that gives 128 of them without padding, 131 with.
-- @tparam number sample_rate Hz
-- @tparam integer samples of a window
-- @tparam[opt] integer n_fft in place of that power of two
-- @treturn integer n_fft
-- @treturn integer hop
function tilenet.frames(sample_rate, samples, n_fft)
   n_fft = n_fft or frame_of(FRAME_S, sample_rate)
   return n_fft, math.max(1, (samples - n_fft) // 127)
end

-- All options, with what follows from them.
local function settle(options)
   local o = options_of.check(options, tilenet.options, 4)
   o.samples = math.floor(o.seconds * o.sample_rate + 0.5)
   local hop
   o.n_fft, hop = tilenet.frames(o.sample_rate, o.samples, o.n_fft or nil)
   if o.samples <= o.n_fft then
      error(("%g s at %g Hz are %d samples: the front end needs more than n_fft = %d"):format(o.seconds,
         o.sample_rate, o.samples, o.n_fft), 3)
   end
   o.hop = o.hop or hop
   local frames = o.samples // o.hop + 1
   if frames < LEAST then
      error(("%d samples at a hop of %d are %d frames, %d are needed: more 'seconds', or a smaller 'hop'"):format(
         o.samples, o.hop, frames, LEAST), 3)
   end
   return o
end

-- What is left of bands or frames after some strides of 2.
local function halved(n, times)
   for _ = 1, times do n = (n - 1) // 2 + 1 end
   return n
end

-- Of each band of some maps the mean and the maximum over time (a call may be short), then a linear map of each, called
-- `head.mean` and so on: its values have signs.
local function band_layers(maps, size, z, head, ending)
   local layers = {}
   for _, pool in ipairs{{"mean", "average_pool"}, {"max", "max_pool"}} do
      local name = pool[1] .. ending
      layers[#layers + 1] = {pool[2], name = name, from = maps, kernel = {1, size.frames}}
      layers[#layers + 1] = {"conv2d", name = head .. name, out = z, kernel = {size.bands, 1}}
   end
   return layers
end

-- The maps of a stage: bands and frames.
local function size_of_stage(o, stage)
   return {bands = halved(o.n_mels, stage), frames = halved(o.samples // o.hop + 1, stage)}
end

-- From the last maps to the embedding. `mean`: over 4 x 4 of them, the original's choice: how high a
-- call is counts no longer.
local function pooling_layers(o)
   if o.pooling == "mean" then return {{"average_pool", name = "pool", kernel = 4}} end
   return {band_layers("layer5.1", size_of_stage(o, 5), o.z, "head.", ""),
           {"add", name = "head", from = {"head.max", "head.mean"}}}
end

-- The beginning of the names of tensors that are no part of the network that was trained.
local READOUT = "readout."

-- Convolution kernels that nobody trains, of so many bands and frames, on a spectrogram whose frames are a quarter as
-- long as the network's: see `bclua.train.readout`.
local KERNELS = {{name = "wide", bands = 5, frames = 9}, {name = "tall", bands = 9, frames = 5}}
local KERNELS_OF_A_KIND = 32
local FINE = {frame_s = 0.032, hop_s = 0.01, n_mels = 64}

local function fine_hop(o) return math.max(1, math.floor(FINE.hop_s * o.sample_rate)) end

local function fine_layers(o)
   local name = READOUT .. "fine"
   return {{"mel", name = name .. ".mel", from = "input", sample_rate = o.sample_rate,
            n_fft = frame_of(FINE.frame_s, o.sample_rate), hop = fine_hop(o), n_mels = FINE.n_mels, fmin = o.fmin,
            fmax = o.fmax},
           {"decibel", name = name .. ".decibel", least = LEAST_POWER},
           {"center", name = name, over = "band", scale = PER_DECIBEL}}
end

-- Kernels of a kind on that spectrogram, and the size of their maps.
local function kernel_layers(o, kind)
   local name = READOUT .. kind.name
   return {{"conv2d", name = name, from = READOUT .. "fine", out = KERNELS_OF_A_KIND,
            kernel = {kind.bands, kind.frames}, stride = 2, padding = {kind.bands // 2, kind.frames // 2}},
           {"relu", name = name .. ".relu"}},
      {bands = halved(FINE.n_mels, 1), frames = halved(o.samples // fine_hop(o) + 1, 1)}
end

-- In place of that a linear map of it and of the maps of every stage, and of kernels: see `bclua.train.readout`.
local function readout_layers(o)
   if o.readout == "head" then return {} end
   local size = o.pooling == "mean" and {halved(o.n_mels, 5) // 4, halved(o.samples // o.hop + 1, 5) // 4} or 1
   local sum = READOUT .. "head"
   local layers = {{"conv2d", name = sum, from = o.pooling == "mean" and "pool" or "head", out = o.z,
                    kernel = size, bias = true}}
   local function add(maps, size_of_maps, ending)
      layers[#layers + 1] = band_layers(maps, size_of_maps, o.z, READOUT, ending)
      for _, pool in ipairs{"mean", "max"} do
         local map = READOUT .. pool .. ending
         layers[#layers + 1] = {"add", name = map .. ".sum", from = {map, sum}}
         sum = map .. ".sum"
      end
   end
   for stage = 1, 5 do add(("layer%d.1"):format(stage), size_of_stage(o, stage), tostring(stage)) end
   if o.readout ~= "kernels" then return layers end
   layers[#layers + 1] = fine_layers(o)
   for _, kind in ipairs(KERNELS) do
      local kernels, size_of_maps = kernel_layers(o, kind)
      layers[#layers + 1] = kernels
      add(READOUT .. kind.name .. ".relu", size_of_maps, kind.name)
   end
   return layers
end

-- What a loss asks for is not all that an embedding should know: so the loss sees a projection of it, which is not part
-- of what is used later (Chen et al., 2020, A simple framework for contrastive learning of visual representations).
local PROJECTION = "projection."
local function projection_layers(o)
   if o.projection == 0 then return {} end
   return {{"relu", name = PROJECTION .. "relu"}, {"linear", name = PROJECTION .. "linear", out = o.projection}}
end

-- Channels of a stage: the last has as many as there are values of the embedding, unless a linear map makes these.
local function channels(o, stage) return o.widths[stage] or o.pooling == "mean" and o.z or o.widths[4] end

-- All layers, or those as far as the maps of a stage (1 to 5), of kernels of a kind, or as "head".
local function build(o, last)
   for _, kind in ipairs(KERNELS) do
      if kind.name == last then return {fine_layers(o), (kernel_layers(o, kind))}, {input = {o.samples}} end
   end
   local layers = {
      front_end(o),
      compression_layers(o.compression, o.sample_rate / o.hop),
      {"conv2d", name = "conv1", out = o.widths[1], kernel = 3, stride = 2, padding = 1},
      {"batch_norm", name = "bn1"},
      {"relu", name = "stem"},
   }
   local from, width = "stem", o.widths[1]
   for stage = 1, tonumber(last) or 5 do
      local out = channels(o, stage)
      for i = 0, 1 do
         local name, stride = ("layer%d.%d"):format(stage, i), (stage > 1 and i == 0) and 2 or 1
         layers[#layers + 1] = block(name, from, out, stride, stride ~= 1 or out ~= width)
         from, width = name, out
      end
   end
   if not tonumber(last) then layers[#layers + 1] = pooling_layers(o) end
   if not last then
      layers[#layers + 1] = readout_layers(o)
      layers[#layers + 1] = projection_layers(o)
   end
   return layers, {input = {o.samples}}
end

--- The list of layers that `new` builds, to be changed and given to `nn.network`.
-- @tparam[opt] table options as for `new`
-- @treturn {table,...}
-- @treturn table `{input=}` for `nn.network`
-- @usage local layers, o = tilenet.layers{z = 64}
-- layers[#layers] = {"average_pool", global = true}
-- local net = nn.network(layers, o)
function tilenet.layers(options) return build(settle(options)) end

--- A new network.
-- @tparam[opt] table options `widths` ({64, 128, 256, 512}), `z` (512), `compression`
--  ("log", "power", "pcen"), `seed` (1), `sample_rate` (32000), `seconds` (5),
--  `n_fft` and `hop` (see `frames`; 4096 and 1227 at 32 kHz), `n_mels` (128), `fmin` (0),
--  `fmax` (half the sample rate),
--  `front_end` ("fft", "mel_trained", "fourier_trained"), `pooling` ("mean": over frequency and time; "bands":
--  mean and maximum over time, then a linear map of all bands), `readout` ("head": that; "stages": a linear map of it
--  and of the maps of every stage; "kernels": and of convolution kernels on a finer spectrogram), `projection` (0:
--  none; values that the loss sees in place of the embedding), `precision`, `recompute`, `threads`: see `nn.network`
-- @treturn network see `bclua.nn`; `net.samples` is the length of a window
function tilenet.new(options)
   local o = settle(options)
   local layers, about = build(o)
   about.seed, about.precision, about.threads, about.recompute = o.seed, o.precision, o.threads, o.recompute
   local ok, net = pcall(nn.network, layers, about)
   if not ok then error(net, 2) end
   local known = {}
   for key in pairs(tilenet.network_options) do known[key] = o[key] end
   net.options, net.samples = known, o.samples
   net.metadata = {tilenet = json.encode(known)}
   return net
end

--- A copy of the first layers of a network.
-- @tparam network net of this module
-- @tparam integer|string last 1 to 5: as far as the maps of that stage; "head": as far as the embedding of a network
-- without `readout` and `projection`; "wide", "tall": as far as the maps of kernels of this kind
-- @treturn network whose output is (n, c * h * w)
-- @treturn table `c`, `h`, `w`: channels, bands, frames
function tilenet.part(net, last)
   local layers, about = build(settle(net.options), last)
   about.precision = net.precision
   local part, weights = nn.network(layers, about), net:state()
   for name, a in pairs(part:state()) do
      if weights[name] then a:fill(weights[name]) end
   end
   local kinds = part:summary().layers
   return part, kinds[#kinds]
end

local OPEN = {threads = OBJECT.threads, precision = OBJECT.precision}
local UNUSED = {PROJECTION, READOUT} -- tensors that a checkpoint may have beside those of the embedding

--- The beginning of the names of tensors that are no part of the network that was trained.
tilenet.readout = READOUT

--- The kernels of `readout` "kernels", by kind.
-- @treturn {table,...} `name` ("wide" or "tall"), `bands`, `frames`
tilenet.kernels = KERNELS

--- The network of a checkpoint: built from its metadata, with its weights, without the `projection` of its training.
-- @tparam string path
-- @tparam[opt] table options `threads`, `precision`: see `new`
-- @treturn[1] network
-- @treturn[1] table metadata
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function tilenet.open(path, options)
   local o = options_of.check(options, OPEN)
   local tensors, metadata = safetensors.load(path)
   if not tensors then return nil, metadata end
   local known = json.decode(metadata.tilenet or "")
   if type(known) ~= "table" then return nil, path .. ": no metadata of a tilenet" end
   known.threads, known.precision, known.projection = o.threads, o.precision, 0
   local ok, net = pcall(tilenet.new, known)
   if not ok then return nil, ("%s: %s"):format(path, net) end
   local loaded, message = net:load(path, {ignore = UNUSED})
   if not loaded then
      net:close()
      return nil, message
   end
   return net, loaded
end

return tilenet
