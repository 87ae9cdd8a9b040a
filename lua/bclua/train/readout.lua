--- What is read from a network once it is trained: its head, and the maps of all its stages.
--
-- The head knows what the loss asked for; the maps before it know more of sounds that training never met (Yosinski et
-- al., 2014, How transferable are features in deep neural networks?). So the embedding is made of both: the values of
-- the head, and of each band of the maps of each stage the mean and the maximum over time. Each value is divided by its
-- deviation, the head has the same weight as all maps together. Then they are whitened within the training's recordings
-- (`bclua.whiten`), which it takes no label for, and turned at random: who brings columns to one scale afterwards
-- changes nothing then. All of it is one linear map, the last layers of the network that `tilenet.open` makes.
-- @module bclua.train.readout
local array = require "bclua.array"
local checkpoints = require "bclua.train.checkpoints"
local json = require "bclua.json"
local learn = require "bclua.learn"
local sampling = require "bclua.sampling"
local tilenet = require "bclua.tilenet"
local whiten = require "bclua.whiten"

local readout = {}

local STAGES = 5
local AT_ONCE = 16 -- maps are larger than windows

--- A schema: the setting.
readout.rule = {"choice", {"stages", "head"}, default = "stages", record = "never",
   text = "What the embedding of the finished network is made of: stages (its head and the maps of every stage, " ..
      "whitened within recordings) or head (what the loss saw, before the projection)."}

-- How many windows are enough for so many values: 512 for 256 values do .01 worse (doc/experiments.md).
local function enough(z) return math.min(math.max(128, 4 * z), 4096) end

-- Values of a network for windows, and their shape: of maps, of each band the mean and the maximum over time.
local function values(net, last, windows)
   local part, shape = tilenet.part(net, last)
   local pools = last == "head" and {"all"} or {"mean", "max"}
   local found, width = {}, last == "head" and shape.w or 1
   for _, pool in ipairs(pools) do found[pool] = {} end
   for first = 1, #windows, AT_ONCE do
      local y = part:forward(windows:slice(1, first, math.min(first + AT_ONCE - 1, #windows)))
      local n, maps = #y, y:reshape{#y, shape.c, shape.h, shape.w}
      for _, pool in ipairs(pools) do
         table.insert(found[pool], (pool == "all" and y or maps[pool](maps, 4)):reshape{n, shape.c * shape.h * width})
      end
   end
   part:close()
   for i, pool in ipairs(pools) do
      found[i] = {name = tilenet.readout .. (pool == "all" and last or pool .. last),
         x = array.concat(found[pool]):copy("f64"), shape = {shape.c, shape.h, width}}
   end
   return found
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
-- @tparam array windows f32 (n, samples), two at least; where n is less than the values of the embedding, the last are
-- zero
-- @tparam ?{string,...} recordings of the windows; nil: each another
-- @treturn table the tensors of the last layers of the same network with `readout` "stages", by name
function readout.fit(net, windows, recordings)
   local parts, columns = values(net, "head", windows), 0
   for stage = 1, STAGES do table.move(values(net, stage, windows), 1, 2, #parts + 1, parts) end
   for i, p in ipairs(parts) do
      p.mean, p.scale = scaling(p.x, i == 1 and 1 or 1 / (#parts - 1))
      p.first, p.last, columns = columns + 1, columns + #p.scale, columns + #p.scale
   end
   local all = array.zeros({#windows, columns}, "f64")
   for _, p in ipairs(parts) do
      all:slice(2, p.first, p.last):fill((p.x - p.mean) * p.scale)
      p.x = nil
   end
   local z = net.options.z
   local matrix = whitened(all, recordings, z).matrix
   local k = matrix:shape(2)
   matrix = array.matmul(matrix, rotation(k))
   local tensors, bias, constant = {}, array.zeros(z, "f32"), array.zeros(k, "f64")
   for _, p in ipairs(parts) do
      local map, weight = matrix:slice(1, p.first, p.last) * p.scale:reshape{#p.scale, 1}, array.zeros({z, #p.scale})
      weight:slice(1, 1, k):fill(map:T())
      tensors[p.name .. ".weight"] = weight:reshape{z, table.unpack(p.shape)}
      constant = constant - array.matmul(p.mean:reshape{1, #p.mean}, map)[1]
   end
   bias:slice(1, 1, k):fill(constant)
   tensors[parts[1].name .. ".bias"] = bias
   return tensors
end

--- Has a checkpoint what a setting asks for?
-- @tparam string path
-- @tparam string kind "stages" or "head"
-- @treturn[1] boolean
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function readout.is_in(path, kind)
   local tensors, metadata = require("bclua.format.safetensors").load(path)
   if not tensors then return nil, metadata end
   return (json.decode(metadata.tilenet or "{}").readout == "stages") == (kind == "stages")
end

-- The first windows of a loader, and their recordings.
local function heard(loader, count)
   local parts, recordings, n = {}, {}, 0
   while n < count do
      local batch, message = loader:next()
      if not batch then return nil, message end
      for _, role in ipairs{"anchor", "neighbor", "distant"} do
         parts[#parts + 1], n = batch[role]:copy(), n + #batch[role]
         table.move(batch.provenance[role].file, 1, #batch[role], #recordings + 1, recordings)
      end
   end
   return array.concat(parts):slice(1, 1, count), table.move(recordings, 1, count, 1, {})
end

--- Write it into the newest checkpoint of a training, or take it out.
-- @tparam network net as trained
-- @tparam string folder of the checkpoints
-- @tparam ?table loader of the training, at its beginning; nil: take it out
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function readout.write(net, folder, loader)
   local known, tensors = {}, {}
   for name, value in pairs(net.options) do known[name] = value end
   if loader then
      local windows, recordings = heard(loader, enough(known.z))
      if not windows then return nil, recordings end
      known.readout, tensors = "stages", readout.fit(net, windows, recordings)
   end
   return checkpoints.change_last(folder, tilenet.readout, tensors, {tilenet = json.encode(known)})
end

return readout
