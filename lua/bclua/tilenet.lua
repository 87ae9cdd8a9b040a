--- The network that embeds five seconds of sound: a residual network of the
-- tile2vec kind (Jean et al., 2019) on a mel spectrogram.
--
-- mel, compression, 3x3 convolution of stride 2 to `widths[1]`, five stages of
-- two residual blocks (`widths[1..4]`, `z`; stride 1, 2, 2, 2, 2), 4x4 average
-- pool, z values. Layers are called as in the PyTorch original, so that their
-- tensors are `conv1.weight`, `bn1.running_mean`, `layer3.0.shortcut.0.weight`...
-- @module bclua.tilenet
local files = require "bclua.files"
local cjson = require "cjson.safe"
local nn = require "bclua.nn"
local safetensors = require "bclua.safetensors"

local tilenet = {}

local DEFAULT = {widths = {64, 128, 256, 512}, z = 512, compression = "log", sample_rate = 32000, seconds = 5,
                 n_fft = 4096, hop = false, n_mels = 128, fmin = 0, fmax = 0, front_end = "fft"}
local OUTSIDE = {seed = true, precision = true, threads = true, checkpoint = true} -- of the object, not of the network

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
   return {{"decibel", least = 1e-10}, {"center", over = "band", scale = 1 / 20}}
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

local FRONT_ENDS = {fft = true, mel_trained = true, fourier_trained = true}

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

-- Strides halve bands and frames five times, and the pool at the end takes 4 x 4.
local LEAST = 3 * 2 ^ 5 + 1 | 0

local function check_size(o, level)
   if math.type(o.hop) ~= "integer" or math.type(o.n_mels) ~= "integer" then return end -- the layers say so
   local frames = o.samples // o.hop + 1
   if o.n_mels < LEAST then
      error(("option 'n_mels' must be at least %d, got %d: the network halves the bands five times, and pools four")
         :format(LEAST, o.n_mels), level + 1)
   end
   if frames < LEAST then
      error(("%d samples at a hop of %d are %d frames, %d are needed: more 'seconds', or a smaller 'hop'"):format(
         o.samples, o.hop, frames, LEAST), level + 1)
   end
end

local function merge(options, level)
   local o = {}
   for key, value in pairs(DEFAULT) do o[key] = value end
   for key, value in pairs(options or {}) do
      if DEFAULT[key] == nil and not OUTSIDE[key] then
         error(("unknown option '%s' (known: checkpoint, compression, fmax, fmin, front_end, hop, n_fft, "
            .. "n_mels, precision, sample_rate, seconds, seed, threads, widths, z)"):format(tostring(key)), level + 1)
      end
      o[key] = value
   end
   if type(o.widths) ~= "table" or #o.widths ~= 4 then error("option 'widths' must be four numbers", level + 1) end
   if o.compression ~= "log" and o.compression ~= "power" and o.compression ~= "pcen" then
      error(("option 'compression' must be one of log, power, pcen, got '%s'"):format(tostring(o.compression)),
         level + 1)
   end
   if not FRONT_ENDS[o.front_end] then
      error(("option 'front_end' must be one of fft, fourier_trained, mel_trained, got '%s'"):format(
         tostring(o.front_end)), level + 1)
   end
   if type(o.seconds) ~= "number" or type(o.sample_rate) ~= "number" then
      error("options 'seconds' and 'sample_rate' must be numbers", level + 1)
   end
   o.samples = math.floor(o.seconds * o.sample_rate + 0.5)
   if o.samples <= o.n_fft then
      error(("%g s at %g Hz are %d samples: the front end needs more than n_fft = %d"):format(o.seconds,
         o.sample_rate, o.samples, o.n_fft), level + 1)
   end
   -- the hop of the original: 128 frames without padding, 131 with
   o.hop = o.hop or math.max(1, (o.samples - o.n_fft) // 127)
   check_size(o, level + 1)
   return o
end

--- The list of layers that `new` builds, to be changed and given to `nn.network`.
-- @tparam[opt] table options as for `new`
-- @treturn {table,...}
-- @treturn table `{input=}` for `nn.network`
-- @usage local layers, o = tilenet.layers{z = 64}
-- layers[#layers] = {"average_pool", global = true}
-- local net = nn.network(layers, o)
function tilenet.layers(options)
   local o = merge(options, 2)
   local layers = {
      front_end(o),
      compression_layers(o.compression, o.sample_rate / o.hop),
      {"conv2d", name = "conv1", out = o.widths[1], kernel = 3, stride = 2, padding = 1},
      {"batch_norm", name = "bn1"},
      {"relu", name = "stem"},
   }
   local from, width = "stem", o.widths[1]
   for stage = 1, 5 do
      local out = o.widths[stage] or o.z
      for i = 0, 1 do
         local name, stride = ("layer%d.%d"):format(stage, i), (stage > 1 and i == 0) and 2 or 1
         layers[#layers + 1] = block(name, from, out, stride, stride ~= 1 or out ~= width)
         from, width = name, out
      end
   end
   layers[#layers + 1] = {"average_pool", name = "pool", kernel = 4}
   return layers, {input = {o.samples}}
end

--- A new network.
-- @tparam[opt] table options `widths` ({64, 128, 256, 512}), `z` (512), `compression`
--  ("log", "power", "pcen"), `seed` (1), `sample_rate` (32000), `seconds` (5),
--  `n_fft` (4096), `hop` ((samples - n_fft) // 127), `n_mels` (128), `fmin` (0),
--  `fmax` (half the sample rate),
--  `front_end` ("fft", "mel_trained", "fourier_trained"), `precision`, `checkpoint`, `threads`: see `nn.network`
-- @treturn network see `bclua.nn`; `net.samples` is the length of a window
function tilenet.new(options)
   local o = merge(options, 2)
   local ok, layers, about = pcall(tilenet.layers, options)
   if not ok then error(layers, 2) end
   about.seed, about.precision, about.threads, about.checkpoint = o.seed, o.precision, o.threads, o.checkpoint
   ok, layers = pcall(nn.network, layers, about)
   if not ok then error(layers, 2) end
   local net, known = layers, {}
   for key in pairs(DEFAULT) do known[key] = o[key] end
   net.options, net.samples = known, o.samples
   net.metadata = {tilenet = files.json(known)}
   return net
end

--- The network of a checkpoint: built from its metadata, with its weights.
-- @tparam string path
-- @tparam[opt] table options `threads`, `precision`: see `new`
-- @treturn[1] network
-- @treturn[1] table metadata
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function tilenet.open(path, options)
   local tensors, metadata = safetensors.load(path)
   if not tensors then return nil, metadata end
   local known = cjson.decode(metadata.tilenet or "")
   if type(known) ~= "table" then return nil, path .. ": no metadata of a tilenet" end
   known.threads, known.precision = options and options.threads, options and options.precision
   local ok, net = pcall(tilenet.new, known)
   if not ok then return nil, ("%s: %s"):format(path, net) end
   local loaded, message = net:load(path)
   if not loaded then
      net:close()
      return nil, message
   end
   return net, loaded
end

return tilenet
