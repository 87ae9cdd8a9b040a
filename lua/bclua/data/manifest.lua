--- The manifest of work that many processes share: `manifest.parquet`, the recordings as they were when the first of
-- them began, with sizes, times of change and seconds, cut into pieces.
--
-- Pieces follow from the recordings alone: about a thousand of equal seconds, though none shorter than a minute or
-- longer than four hours. So they are the same whichever process froze the manifest and however many there are; a
-- shard is some pieces in a row.
-- @module bclua.data.manifest
local audio = require "bclua.audio"
local extracted = require "bclua.data.extracted"
local files = require "bclua.files"
local json = require "bclua.json"
local lock = require "bclua.lock"
local provenance = require "bclua.data.provenance"
local schemas = require "bclua.data.schemas"
local sql = require "bclua.sql"
local tables = require "bclua.data.tables"

local manifest = {}

local PIECES, SHORTEST_S, LONGEST_S = 1024, 60, 4 * 3600
local LEAST_S = 0.1 -- of a recording: it is opened, whatever is in it

--- Seconds to wait while another process lists the recordings, or makes an output of all pieces.
manifest.patience_s = 3600

local COLUMNS = {"piece", "source_name", "below", "species", "site", "id", "bytes", "modified", "seconds"}
local TYPES = {}
for _, name in ipairs(COLUMNS) do TYPES[name] = tables.sql_type(schemas.manifest[name]) end

local function path_of(folder) return folder .. "/manifest.parquet" end

--- Does a folder have one?
-- @tparam string folder
function manifest.is_in(folder) return files.exists(path_of(folder)) end

--- Number the pieces of recordings in a row.
-- @tparam {number,...} seconds of each
-- @treturn {integer,...} the piece of each, from 1
function manifest.cut(seconds)
   local total = 0
   for _, s in ipairs(seconds) do total = total + math.max(s, LEAST_S) end
   local length = math.min(math.max(total / PIECES, SHORTEST_S), LONGEST_S)
   local pieces, at, last, number = {}, 0, nil, 0
   for i, s in ipairs(seconds) do
      local slot = at // length
      if slot ~= last then number, last = number + 1, slot end
      pieces[i], at = number, at + math.max(s, LEAST_S)
   end
   return pieces
end

-- Size and time of a file; zeros: there is none.
local function stamp(path)
   local size, modified = files.stamp(path)
   return size or 0, modified or 0
end

local function seconds_of(path)
   local info = audio.info(path)
   return info and info.seconds or 0.0
end

-- Recordings as columns.
local function columns_of(list, root)
   local columns = {}
   for _, name in ipairs(COLUMNS) do columns[name] = {n = #list} end
   for i, item in ipairs(list) do
      columns.below[i] = root and item.path:sub(#root + 2) or item.path
      columns.bytes[i], columns.modified[i] = stamp(item.path)
      columns.seconds[i] = item.seconds or seconds_of(item.path)
      for _, name in ipairs{"source_name", "species", "site", "id", "piece"} do columns[name][i] = item[name] end
   end
   if not list[1].piece then
      columns.piece = manifest.cut(columns.seconds)
      columns.piece.n = #list
   end
   return columns
end

local Manifest = {}
Manifest.__index = Manifest

-- What is there; nil and a message where it was frozen with other settings than those that are given.
local function read(folder, root, settings)
   local path = path_of(folder)
   local relation, message = tables.open(path, schemas.manifest, COLUMNS)
   if not relation then return nil, message end
   local made = provenance.of_parquet(path) or {}
   local difference = settings and provenance.difference(made, settings)
   if difference then
      return nil, ("%s: was frozen with other settings (%s); take those, or another output"):format(path, difference)
   end
   local sums
   sums, message = sql.query(("select piece, sum(greatest(seconds, %g))::double as seconds, count(*) as n from %s " ..
      "group by piece order by piece"):format(LEAST_S, relation))
   if not sums then return nil, message end
   local total, metadata = 0, sql.parquet_metadata(path)
   for _, sum in ipairs(sums) do total = total + sum.seconds end
   return setmetatable({path = path, relation = relation, root = root, sums = sums, total = total, settings = made,
      left_out = json.decode(metadata and metadata.bclua_left_out or "[]") or {}}, Manifest)
end

--- Read the manifest that a folder has, to look at it.
-- @tparam string folder
-- @treturn[1] manifest as from `open`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function manifest.read(folder) return read(folder) end

--- Read the manifest of a folder of results; where there is none, freeze one. Any number of processes may do so at
-- once.
-- @tparam string folder
-- @tparam ?string root folder of the recordings; nil: their paths say it
-- @tparam table settings that say which recordings there are, which all processes must share
-- @tparam function list called where there is none, by one process at a time: the recordings, at least one, as from
-- `recordings.list`, below `root`, with `seconds` and `piece` where these are known; and what was left out, `{path=,
-- reason=}`, or nil; or nil and a message
-- @treturn[1] manifest `sums`: of each `piece` its `seconds` and how many recordings (`n`); `total` seconds;
-- `left_out`; `settings`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function manifest.open(folder, root, settings, list)
   root = root and root:gsub("(.)/+$", "%1")
   if manifest.is_in(folder) then return read(folder, root, settings) end
   local locked <close>, busy = lock.take(folder, manifest.patience_s)
   if not locked then return nil, busy end
   if manifest.is_in(folder) then return read(folder, root, settings) end -- while we waited
   if extracted.layout_of(folder) then
      return nil, folder .. ": has results of a run without shards; take another output"
   end
   local found, left_out = list()
   if not found then return nil, left_out end
   local metadata = provenance.for_parquet(settings)
   metadata.bclua_left_out = left_out and left_out[1] and files.json(left_out) or nil
   local ok, message = sql.write_parquet(path_of(folder), columns_of(found, root), {order = COLUMNS, types = TYPES,
      metadata = metadata})
   if not ok then return nil, message end
   return read(folder, root, settings)
end

--- The pieces of a shard: those whose middle is in its part of all seconds.
-- @tparam table shard `index`, `count`
-- @treturn {integer,...}
function Manifest:pieces(shard)
   local list, at = {}, 0
   for _, sum in ipairs(self.sums) do
      if (at + sum.seconds / 2) / self.total * shard.count // 1 + 1 == shard.index then list[#list + 1] = sum.piece end
      at = at + sum.seconds
   end
   return list
end

--- The path of a recording.
-- @tparam string below
-- @treturn string
function Manifest:path_of(below) return self.root and self.root .. "/" .. below or below end

--- The recordings of some pieces in a row.
-- @tparam integer first
-- @tparam integer last
-- @treturn[1] {table,...} `{piece=, path=, source_name=, species=, site=, id=, bytes=, modified=, seconds=}`, by piece
-- and name
-- @treturn[2] nil
-- @treturn[2] string message
function Manifest:recordings(first, last)
   local rows, message = sql.query(("from %s where piece between %d and %d order by piece, source_name"):format(
      self.relation, first, last))
   if not rows then return nil, message end
   local list = {}
   for i, row in ipairs(rows) do
      row.path = self:path_of(row.below)
      list[i] = row
   end
   return list
end

--- Are these recordings what they were?
-- @tparam {table,...} list from `recordings`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path of the first that is not
function Manifest:check(list)
   for _, item in ipairs(list) do
      local size, modified = stamp(item.path)
      if size ~= item.bytes or modified ~= item.modified then
         return nil, ("%s: %s since %s was frozen; restore it, or take another output"):format(item.path,
            files.exists(item.path) and "was changed" or "is gone", self.path)
      end
   end
   return true
end

--- The recordings of a folder's manifest that a consolidation lacks.
-- @tparam string folder
-- @tparam table there true by source name: those that it has
-- @treturn[1] {table,...} `{path=, reason=}`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function manifest.missing(folder, there)
   local relation, message = tables.open(path_of(folder), schemas.manifest, {"source_name", "piece"})
   if not relation then return nil, message end
   local rows
   rows, message = sql.query("select source_name, piece from " .. relation .. " order by piece, source_name")
   if not rows then return nil, message end
   local list, reasons = {}, extracted.reasons(folder)
   for _, row in ipairs(rows) do
      if not there[row.source_name] then
         list[#list + 1] = {path = row.source_name, reason = reasons[row.source_name] or
            ("%s: is not extracted yet (piece %d)"):format(row.source_name, row.piece)}
      end
   end
   return list
end

return manifest
