--- Batches of triplets, cut at random out of tiles on disk.
-- @module bclua.loader
local array = require "bclua.array"
local files = require "bclua.files"

local loader = {}

local ROLES = {"anchor", "neighbor", "distant"}
local CROPS = 1 << 32 -- streams of the generator: below it orders, above it crops

local Loader = {}
Loader.__index = Loader

local function read(triplets, tiles)
   local sql = require "bclua.sql"
   local index = tiles .. "/index.parquet"
   local ok, message = sql.require_columns(triplets, {"a", "a_loc", "b", "b_loc", "c", "c_loc"})
   if not ok then return nil, message end
   if not files.exists(index) then
      return nil, index .. ": no such file (run `motif extract-triplets` first)"
   end
   ok, message = sql.require_columns(index, {"source", "loc", "tile"})
   if not ok then return nil, message end
   ok, message = sql.require_columns(index, {"first", "scale"})
   if not ok then return nil, message end
   local t, i = sql.quote(triplets), sql.quote(index)
   local columns
   columns, message = sql.columns(([[
      with i as (select "source", loc, tile, "first", scale from read_parquet(%s))
      select p.tile as anchor, q.tile as neighbor, r.tile as distant, p.first as anchor_first,
         q.first as neighbor_first, r.first as distant_first, p.scale as anchor_scale, q.scale as neighbor_scale,
         r.scale as distant_scale
      from (select *, row_number() over () as place from read_parquet(%s)) t
      join i p on p."source" = t.a and p.loc = t.a_loc
      join i q on q."source" = t.b and q.loc = t.b_loc
      join i r on r."source" = t.c and r.loc = t.c_loc
      order by place]]):format(i, t))
   if not columns then return nil, message end
   local total = sql.query(("select count(*)::bigint n from read_parquet(%s)"):format(t))[1].n
   if #columns.anchor == 0 then
      return nil, ("%s: none of its %d triplets has its tiles in %s"):format(triplets, total, tiles)
   end
   return columns, total
end

--- A loader.
-- @tparam table options `triplets` (Parquet), `tiles` (folder from
-- `extract-triplets`), `batch_size` (64), `seconds` (5: a random crop of the tile),
-- `sample_rate` (32000), `seed` (1)
-- @treturn[1] Loader with fields `triplets` (usable), `dropped` (a tile is missing)
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function loader.new(options)
   local columns, total = read(options.triplets, options.tiles)
   if not columns then return nil, total end
   local self = setmetatable({
      duration = (require("bclua.workflow.record").of_parquet(options.tiles .. "/index.parquet") or {}).duration or 7,
      columns = columns, folder = options.tiles, triplets = #columns.anchor,
      dropped = total - #columns.anchor, batch_size = options.batch_size or 64,
      seed = options.seed or 1, pass = -1, position = 0, batches = 0,
      samples = math.floor((options.seconds or 5) * (options.sample_rate or 32000) + 0.5),
   }, Loader)
   return self
end

-- The next triplet in the order of this pass; a pass takes every triplet once.
function Loader:take()
   local n = self.triplets
   local pass = self.position // n
   if pass ~= self.pass then
      self.pass = pass
      self.order = require("bclua.sampling").generator(self.seed, pass):shuffle(n)
   end
   local at = self.order[self.position % n + 1]
   self.position = self.position + 1
   return at
end

-- Copy a random crop of a tile into a row.
function Loader:crop(row, role, at, generator)
   local path, place = self.folder .. "/" .. self.columns[role][at], self.columns[role .. "_first"][at]
   local t, message
   if path:find("%.flac$") then
      t, message = require("bclua.audio").load(path, {start_s = place / 32000, seconds = self.duration})
      if t then t = t * (32768 * self.columns[role .. "_scale"][at]) end
   else
      t, message = array.load(path, {mmap = true})
      if t and t:dtype() == "i16" then
         local last = place + math.floor(self.duration * 32000 + 0.5)
         if t:ndim() ~= 1 or last > #t then return nil, ("%s: truncated or foreign"):format(path) end
         t = t:slice(1, place + 1, last):copy("f32") * self.columns[role .. "_scale"][at]
      end
   end
   if not t then return nil, message end
   if t:ndim() ~= 1 or #t < self.samples then
      return nil, ("%s: a tile of %d samples, %d needed"):format(path, t:size(), self.samples)
   end
   local first = generator:integer(#t - self.samples + 1)
   row:fill(t:slice(1, first, first + self.samples - 1))
   return true
end

--- The next batch.
-- @treturn[1] table `anchor`, `neighbor`, `distant`: f32 (batch_size, samples);
-- `rows`: which triplets
-- @treturn[2] nil
-- @treturn[2] string message: a tile cannot be read
function Loader:next()
   local sampling = require "bclua.sampling"
   local generator = sampling.generator(self.seed, CROPS + self.batches)
   local batch = {rows = {}}
   for _, role in ipairs(ROLES) do batch[role] = array.zeros({self.batch_size, self.samples}) end
   for i = 1, self.batch_size do
      local at = self:take()
      batch.rows[i] = at
      for _, role in ipairs(ROLES) do
         local ok, message = self:crop(batch[role][i], role, at, generator)
         if not ok then return nil, message end
      end
   end
   self.batches = self.batches + 1
   return batch
end

--- Where the loader is, as a line of text: a few numbers.
-- @treturn string
function Loader:state()
   return files.json({seed = self.seed, position = self.position, batches = self.batches})
end

--- Go on exactly where `state` was taken.
-- @tparam string state
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message: not a state
function Loader:restore(state)
   local ok, t = pcall(require("cjson").decode, state)
   if not ok or type(t) ~= "table" then return nil, "not the state of a loader" end
   local seed, position, batches = math.tointeger(t.seed), math.tointeger(t.position), math.tointeger(t.batches)
   if not (seed and position and batches) or position < 0 or batches < 0 then
      return nil, "not the state of a loader"
   end
   self.seed, self.position, self.batches, self.pass = seed, position, batches, -1
   return true
end

return loader
