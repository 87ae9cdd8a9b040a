--- The index of a folder of tiles: what is where, of which recording.
-- @module bclua.workflow.tiles.index
local array = require "bclua.array"
local files = require "bclua.files"
local provenance = require "bclua.data.provenance"
local schemas = require "bclua.data.schemas"
local segments = require "bclua.workflow.segments"
local stores = require "bclua.workflow.tiles.stores"
local tables = require "bclua.data.tables"

local tile_index = {}

--- The folder, below that of the tiles, in which a run says what it has done.
tile_index.unfinished = "unfinished"

local COLUMNS = {"source", "channel", "loc", "tile", "first", "scale", "source_bytes", "source_modified"}
local READ = {"source", "loc", "tile", "first?", "scale?", "source_bytes?", "source_modified?",
   "channel?"} -- older ones lack some

--- Rows of the index whose tiles are whole.
-- @tparam table o `output`, `seconds`, `sample_rate`
-- @tparam table parameters an index of others counts as none
-- @treturn[1] table by source: `{bytes=, modified=, channel=, rows={{loc=, tile=, first=, scale=},...}}`
-- @treturn[1] table bytes of the shards, by name
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function tile_index.read(o, parameters)
   local path = o.output .. "/index.parquet"
   if not files.exists(path) then return {}, {} end
   local relation, has = tables.open(path, schemas.tiles, READ)
   if not relation then return nil, has end
   local made = provenance.of_parquet(path)
   if not (made and has.first and has.scale and has.source_bytes and has.source_modified) then return {}, {} end
   local wrong = tables.fault(made, schemas.tiles_made)
   if wrong then return nil, ("%s: metadata: %s"):format(path, wrong) end
   local sizes = made.sizes or {}
   made.sizes = nil
   if provenance.difference(made, parameters) then return {}, {} end
   local columns, message = require("bclua.sql").columns("select * replace (coalesce(channel, 0) as channel) from " ..
      relation)
   if not columns then return nil, message end
   local by_source, whole = {}, {}
   local tile_bytes = 128 + 4 * segments.length(o.seconds, o.sample_rate)
   for i = 1, #columns.source do
      local name, tile = columns.source[i], columns.tile[i]
      if whole[tile] == nil then whole[tile] = files.stamp(o.output .. "/" .. tile) == (sizes[tile] or tile_bytes) end
      if whole[tile] then
         local s = by_source[name]
         if not s then
            s = {bytes = columns.source_bytes[i], modified = columns.source_modified[i], rows = {},
               channel = columns.channel[i] > 0 and columns.channel[i] or nil}
            by_source[name] = s
         end
         table.insert(s.rows, {loc = columns.loc[i], tile = tile, first = columns.first[i], scale = columns.scale[i]})
      end
   end
   return by_source, sizes
end

--- Write the index.
-- @tparam table there as from `read`
-- @tparam table sizes bytes of the shards, by name
-- @tparam table parameters
-- @tparam table o `output`
-- @treturn[1] table those of the sizes that a row names
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function tile_index.write(there, sizes, parameters, o)
   local names, columns, n = {}, {}, 0
   for name in pairs(there) do names[#names + 1] = name end
   table.sort(names)
   for _, c in ipairs(COLUMNS) do columns[c] = {} end
   local used = {}
   for _, name in ipairs(names) do
      local s = there[name]
      table.sort(s.rows, function(a, b) return a.loc < b.loc end)
      for _, row in ipairs(s.rows) do
         n = n + 1
         columns.source[n], columns.channel[n], columns.loc[n], columns.tile[n] = name, s.channel, row.loc, row.tile
         columns.first[n], columns.scale[n] = row.first, row.scale
         columns.source_bytes[n], columns.source_modified[n] = s.bytes, s.modified
         used[row.tile] = sizes[row.tile]
      end
   end
   columns.source.n, columns.tile.n, columns.channel.n = n, n, n
   for _, c in ipairs({"first", "source_bytes", "source_modified"}) do columns[c] = array.from(columns[c], "i64") end
   for _, c in ipairs({"loc", "scale"}) do columns[c] = array.from(columns[c], "f64") end
   local metadata = {sizes = used}
   for k, v in pairs(parameters) do metadata[k] = v end
   local ok, message = require("bclua.sql").write_parquet(o.output .. "/index.parquet", columns,
      {order = COLUMNS, types = {channel = "bigint"}, metadata = provenance.for_parquet(metadata)})
   if not ok then return nil, message end
   return used
end

--- Remove index and tiles, which other parameters made.
function tile_index.remove_all(output)
   local path = output .. "/index.parquet"
   local relation = tables.open(path, schemas.tiles, {"tile"})
   local rows = relation and require("bclua.sql").query("select distinct tile from " .. relation) or {}
   os.remove(path)
   for _, row in ipairs(rows) do os.remove(output .. "/" .. row.tile) end
end

--- Remove shards that are not in `sizes`, and the notes and the manifest of the run.
function tile_index.remove_unused(output, sizes)
   local lfs = require "lfs"
   for name in lfs.dir(output) do
      if stores.parse(name) and not sizes[name] then os.remove(output .. "/" .. name) end
   end
   files.remove(output .. "/" .. tile_index.unfinished)
end

return tile_index
