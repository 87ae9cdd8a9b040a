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

local ROLES = {"anchor", "neighbor", "distant"}
local AT_ONCE = 16 -- maps are larger than windows

--- A schema: the setting.
readout.rule = {"choice", {"stages", "head"}, default = "stages", record = "never",
   text = "What the embedding of the finished network is made of: stages (its head and the maps of every stage, " ..
      "whitened within recordings) or head (what the loss saw, before the projection)."}

-- How many windows are enough for so many values: 512 for 256 values do .01 worse (doc/experiments.md).
local function enough(z) return math.min(math.max(128, 4 * z), 4096) end

-- What the embedding is made of: the head, and of the maps of each stage mean and maximum, each with the copy of the
-- network that computes it (`part`), the shape of its maps, and room for its values `x`.
local function blocks_of(net)
   local blocks = {}
   for _, last in ipairs{"head", 1, 2, 3, 4, 5} do
      local part, maps = tilenet.part(net, last)
      for _, pool in ipairs(last == "head" and {""} or {"mean", "max"}) do
         blocks[#blocks + 1] = {name = tilenet.readout .. pool .. last, part = part, maps = maps, pool = pool, x = {},
            shape = {maps.c, maps.h, pool == "" and maps.w or 1}}
      end
   end
   return blocks
end

-- Each part, once.
local function close(blocks)
   for i, b in ipairs(blocks) do
      if b.part ~= (blocks[i + 1] or {}).part then b.part:close() end
   end
end

-- Append the values of some windows: of maps, of each band the mean and the maximum over time.
local function append(blocks, windows)
   for first = 1, #windows, AT_ONCE do
      local x, y = windows:slice(1, first, math.min(first + AT_ONCE - 1, #windows)), nil
      for i, b in ipairs(blocks) do
         if i == 1 or b.part ~= blocks[i - 1].part then
            y = b.part:forward(x):reshape{#x, b.maps.c, b.maps.h, b.maps.w}
         end
         b.x[#b.x + 1] = (b.pool == "" and y or y[b.pool](y, 4)):reshape{#x, b.shape[1] * b.shape[2] * b.shape[3]}
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
-- nil at the end, or nil and a message. Where there are less windows than values of the embedding, the last are zero
-- @treturn[1] table the tensors of the last layers of the same network with `readout` "stages", by name
-- @treturn[2] nil
-- @treturn[2] string message
function readout.fit(net, batches)
   local parts, columns, recordings = blocks_of(net), 0, {}
   local windows, of = batches()
   while windows do
      append(parts, windows)
      table.move(of, 1, #windows, #recordings + 1, recordings)
      windows, of = batches()
      collectgarbage() -- Lua does not see how large the windows before were
   end
   close(parts)
   if of then return nil, of end
   for i, p in ipairs(parts) do
      p.x = array.concat(p.x):copy("f64")
      p.mean, p.scale = scaling(p.x, i == 1 and 1 or 1 / (#parts - 1))
      p.first, p.last, columns = columns + 1, columns + #p.scale, columns + #p.scale
   end
   local all = array.zeros({#recordings, columns}, "f64")
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
-- @tparam ?table loader of the training, at its beginning; nil: take it out
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function readout.write(net, folder, loader)
   local known, tensors = {}, {}
   for name, value in pairs(net.options) do known[name] = value end
   if loader then
      local message
      known.readout = "stages"
      tensors, message = readout.fit(net, heard(loader, enough(known.z)))
      if not tensors then return nil, message end
   end
   return checkpoints.change_last(folder, tilenet.readout, tensors, {tilenet = json.encode(known)})
end

return readout
