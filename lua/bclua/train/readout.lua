--- What is read from a network once it is trained: its head, the maps of all stages, and kernels that nobody trains.
--
-- The head knows what the loss asked for; the maps before it know more of sounds that training never met (Yosinski et
-- al., 2014, How transferable are features in deep neural networks?), and so do random convolution kernels on a finer
-- spectrogram (Dempster et al., 2020, ROCKET). So the embedding is made of all: the values of the head, and of each
-- band of the maps of each stage and of each kernel the mean and the maximum over time. Each value is divided by its
-- deviation; head, all stages together and all kernels weigh 2 : 1 : 4. Then they are whitened within the training's
-- recordings (`bclua.whiten`), which it takes no label for, and turned at random: who brings columns to one scale
-- afterwards changes nothing then. All of it is one linear map, the last layers of the network that `tilenet.open`
-- makes.
-- @module bclua.train.readout
local array = require "bclua.array"
local checkpoints = require "bclua.train.checkpoints"
local json = require "bclua.json"
local learn = require "bclua.learn"
local sampling = require "bclua.sampling"
local tilenet = require "bclua.tilenet"
local whiten = require "bclua.whiten"

local readout = {}

local ROLES = {"anchor", "neighbor", "distant"}
local AT_ONCE = 16 -- maps are larger than windows
local HEAD_WEIGHT, STAGES_WEIGHT, KERNELS_WEIGHT = 2, 1, 4 -- sums of squares

--- A schema: the setting.
readout.rule = {"choice", {"kernels", "stages", "head"}, default = "kernels", record = "never",
   text = "What the embedding of the finished network is made of: kernels (its head, the maps of every stage and " ..
      "random convolution kernels, whitened within recordings), stages (the same without kernels) or head (what the " ..
      "loss saw, before the projection)."}

-- How many windows are enough for so many values: 512 for 256 values do .01 worse (doc/experiments.md).
local function enough(z) return math.min(math.max(128, 4 * z), 4096) end

-- Fill kernels (count, 1, bands, frames) at random, always alike: each of mean 0 and length 1.
local function fill_at_random(kernels)
   local count, bands, frames = kernels:shape(1), kernels:shape(3), kernels:shape(4)
   local rows = sampling.generator(1, bands):normal(kernels:size()):reshape{count, bands * frames}
   for i, row in ipairs(rows) do
      row = row - row:mean()
      rows[i]:fill(row / math.sqrt((row * row):sum()))
   end
   kernels:fill(rows:reshape(kernels:shape()))
end

-- Copies of the network as far as the head and as each stage, kernels, the shape of their maps, and what the embedding
-- is made of: of the head all values, of the others mean and maximum of the maps over time, with room for them in `x`.
local function parts_of(net, kind)
   local parts, blocks, tensors = {}, {}, {}
   local function add(last, weight)
      local part, maps = tilenet.part(net, last)
      local pools = last == "head" and {""} or {"mean", "max"}
      local p = {net = part, maps = maps, blocks = {}}
      for k, pool in ipairs(pools) do
         local block = {name = tilenet.readout .. pool .. last, pool = pool, x = {}, weight = weight / #pools,
            shape = {maps.c, maps.h, pool == "" and maps.w or 1}}
         p.blocks[k], blocks[#blocks + 1] = block, block
      end
      parts[#parts + 1] = p
      return part
   end
   add("head", HEAD_WEIGHT)
   for stage = 1, 5 do add(stage, STAGES_WEIGHT / 5) end
   for _, kernels in ipairs(kind == "kernels" and tilenet.kernels or {}) do
      local name = tilenet.readout .. kernels.name .. ".weight"
      tensors[name] = add(kernels.name, KERNELS_WEIGHT / #tilenet.kernels):state()[name]
      fill_at_random(tensors[name])
   end
   return parts, blocks, tensors
end

-- Append the values of some windows.
local function append(parts, windows)
   for first = 1, #windows, AT_ONCE do
      local x = windows:slice(1, first, math.min(first + AT_ONCE - 1, #windows))
      for _, p in ipairs(parts) do
         local y = p.net:forward(x):reshape{#x, p.maps.c, p.maps.h, p.maps.w}
         for _, b in ipairs(p.blocks) do
            b.x[#b.x + 1] = (b.pool == "" and y or y[b.pool](y, 4)):reshape{#x, b.shape[1] * b.shape[2] * b.shape[3]}
         end
      end
   end
end

-- What takes columns to mean 0 and the same deviation, their squares to a sum; columns that do not vary to 0.
local function scaling(x, sum)
   local deviation, scale = x:std(1), array.zeros(x:shape(2), "f64")
   for i = 1, #scale do scale[i] = deviation[i] > 1e-9 and math.sqrt(sum / #scale) / deviation[i] or 0 end
   return x:mean(1), scale
end

-- A rotation at random, always the same: f64 (k, k).
local function rotation(k)
   local generator, rows = sampling.generator(1), {}
   for i = 1, 2 * k do
      local row = {}
      for j = 1, k do row[j] = generator:normal() end
      rows[i] = row
   end
   return learn.pca(array.from(rows, "f64"), {components = k}).components
end

-- Whitened within recordings; where none has two windows that differ, by how any two of them do.
local function whitened(x, recordings, z)
   local o = {components = math.min(z, #x - 1)}
   local map = whiten.fit(x, recordings, o)
   return map.matrix:abs():max() > 0 and map or whiten.fit(x, nil, o)
end

--- Find the map.
-- @tparam network net of `bclua.tilenet`, trained
-- @tparam function batches called again and again: f32 (n, samples) and a list of the recordings of these n windows;
-- nil at the end, or nil and a message. Where there are fewer windows than values of the embedding, the last are zero
-- @tparam string kind "kernels" or "stages"
-- @treturn[1] table the tensors of the last layers of the same network with that `readout`, by name
-- @treturn[2] nil
-- @treturn[2] string message
function readout.fit(net, batches, kind)
   local parts, blocks, tensors = parts_of(net, kind)
   local columns, recordings = 0, {}
   local windows, of = batches()
   while windows do
      append(parts, windows)
      table.move(of, 1, #windows, #recordings + 1, recordings)
      windows, of = batches()
      collectgarbage() -- Lua does not see how large the windows before were
   end
   for _, p in ipairs(parts) do p.net:close() end
   if of then return nil, of end
   for _, b in ipairs(blocks) do
      b.x = array.concat(b.x):copy("f64")
      b.mean, b.scale = scaling(b.x, b.weight)
      b.first, b.last, columns = columns + 1, columns + #b.scale, columns + #b.scale
   end
   local all = array.zeros({#recordings, columns}, "f64")
   for _, b in ipairs(blocks) do
      all:slice(2, b.first, b.last):fill((b.x - b.mean) * b.scale)
      b.x = nil
   end
   local z = net.options.z
   local matrix = whitened(all, recordings, z).matrix
   local k = matrix:shape(2)
   matrix = array.matmul(matrix, rotation(k))
   local bias, constant = array.zeros(z, "f32"), array.zeros(k, "f64")
   for _, b in ipairs(blocks) do
      local map, weight = matrix:slice(1, b.first, b.last) * b.scale:reshape{#b.scale, 1}, array.zeros({z, #b.scale})
      weight:slice(1, 1, k):fill(map:T())
      tensors[b.name .. ".weight"] = weight:reshape{z, table.unpack(b.shape)}
      constant = constant - array.matmul(b.mean:reshape{1, #b.mean}, map)[1]
   end
   bias:slice(1, 1, k):fill(constant)
   tensors[blocks[1].name .. ".bias"] = bias
   return tensors
end

--- Has a checkpoint what a setting asks for?
-- @tparam string path
-- @tparam string kind "kernels", "stages" or "head"
-- @treturn[1] boolean
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function readout.is_in(path, kind)
   local tensors, metadata = require("bclua.format.safetensors").load(path)
   if not tensors then return nil, metadata end
   return (json.decode(metadata.tilenet or "{}").readout or "head") == kind
end

-- The first windows of a loader, at least so many, for `readout.fit`: they are not held, as each takes a megabyte.
local function heard(loader, count)
   local at, batch, message = 0, nil, nil
   return function()
      if count <= 0 then return nil end
      at = at % #ROLES + 1
      if at == 1 then batch, message = loader:next() end
      if not batch then return nil, message end
      count = count - #batch[ROLES[at]]
      return batch[ROLES[at]], batch.provenance[ROLES[at]].file
   end
end

--- Write it into the newest checkpoint of a training, or take it out.
-- @tparam network net as trained
-- @tparam string folder of the checkpoints
-- @tparam string kind "kernels", "stages", or "head": take it out
-- @tparam ?table loader of the training, at its beginning; not for "head"
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function readout.write(net, folder, kind, loader)
   local known, tensors = {}, {}
   for name, value in pairs(net.options) do known[name] = value end
   known.readout = kind
   if kind ~= "head" then
      local message
      tensors, message = readout.fit(net, heard(loader, enough(known.z)), kind)
      if not tensors then return nil, message end
   end
   return checkpoints.change_last(folder, tilenet.readout, tensors, {tilenet = json.encode(known)})
end

return readout
