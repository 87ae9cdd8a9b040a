--- The three ways to keep tiles: what a worker writes.
-- `packed` and `flac` hold segments, `npy` a file a window; doc/formats.md describes them.
-- @module bclua.workflow.tiles.stores
local array = require "bclua.array"
local files = require "bclua.files"
local system = require "bclua.system"

local stores = {}

--- The kinds of stores.
stores.names = {"packed", "flac", "npy", "none"}

-- Effort of the FLAC encoder, 0..1, and what becomes of 16-bit samples: see scripts/bench/tiles.lua.
local FLAC_EFFORT, FLAC_RATIO = 0.375, 0.6

--- The name of a tile of the store `npy`, below the output folder.
-- @tparam string source_name
-- @tparam number loc centre in seconds, -1: the whole recording
-- @tparam number seconds
-- @tparam[opt] string id of the recording (default: its name without extension)
function stores.tile_name(source_name, loc, seconds, id)
   local folder = source_name:match("^[^/]*/(.+)/[^/]*$") or source_name:match("^(.+)/[^/]*$") or "."
   local start = loc < 0 and "whole" or ("%.3f"):format(loc - seconds / 2)
   return folder .. "/" .. files.fit(id or files.stem(source_name), ("_%s_%g.npy"):format(start, seconds))
end

--- The name of a shard of the others; nil for `npy`.
function stores.shard_name(store, number)
   if store == "npy" then return nil end
   return ("%s-%05d.%s"):format(store, number, store == "flac" and "flac" or "npy")
end

--- Is this the name of a shard? Its store and number, else nil.
function stores.parse(name)
   local store, number, extension = name:match("^(%l+)%-(%d%d%d%d%d+)%.(%l+)$")
   if (store == "packed" and extension == "npy") or (store == "flac" and extension == "flac") then
      return store, math.tointeger(tonumber(number))
   end
   return nil
end

--- Bytes that so many samples take, about.
-- @tparam string store
-- @tparam integer samples of segments; of windows for `npy`
-- @tparam integer windows
function stores.estimate(store, samples, windows)
   if store == "npy" then return samples * 4 + windows * 128 end
   return store == "flac" and samples * 2 * FLAC_RATIO or samples * 2
end

local Npy, Shard = {}, {}
Npy.__index, Shard.__index = Npy, Shard

-- A sink puts the windows of a segment, and says in each where its samples are.
function Npy:put(source, samples, windows)
   local length = self.length
   for _, w in ipairs(windows) do
      local path = ("%s/%s"):format(self.output, stores.tile_name(source.source, source.locs[w.index], self.seconds,
         source.id))
      local ok, message = system.mkdir(files.dirname(path))
      if ok then ok, message = array.save(path, samples:slice(1, w.offset + 1, w.offset + length)) end
      if not ok then return nil, message end
      w.first, w.scale = 0, 1
   end
   return true
end

function Npy.commit() return true end
function Npy.close() end

local function open_file(self)
   if self.store == "flac" then
      return require("bclua.audio").create(self.path, self.sample_rate, {quality = FLAC_EFFORT})
   end
   return array.create(self.path, "i16")
end

function Shard:put(_, samples, windows)
   local ok, message
   if not self.file then
      self.file, message = open_file(self)
      if not self.file then return nil, message end
   end
   local steps, scale = require("bclua.sampling").quantise(samples)
   if self.store == "flac" then
      ok, message = self.file:write(steps)
   else
      ok, message = self.file:append(steps)
   end
   if not ok then return nil, message end
   for _, w in ipairs(windows) do w.first, w.scale = self.samples + w.offset, scale end
   self.samples = self.samples + #steps
   return true
end

function Shard:commit()
   if not self.file then return true end -- of no tile
   local ok, message = self.file:commit()
   if not ok then return nil, message end
   return true
end

function Shard:close()
   if self.file then self.file:close() end
end

--- Where a worker puts the windows of a shard. Nothing stays without `commit`, but for `npy`.
-- @tparam table o `store`, `output`, `seconds`, `sample_rate`
-- @tparam integer number of the shard
-- @treturn table with `put(source, samples, windows)`, which sets `first` and `scale` of each
-- window, `commit()`, `close()`; put and commit return true or `nil, message`
function stores.open(o, number)
   local length = require("bclua.workflow.segments").length(o.seconds, o.sample_rate)
   if o.store == "npy" then
      return setmetatable({output = o.output, seconds = o.seconds, length = length}, Npy)
   end
   return setmetatable({store = o.store, path = o.output .. "/" .. stores.shard_name(o.store, number), samples = 0,
      sample_rate = o.sample_rate}, Shard)
end

return stores
