--- The results of `extract`. What reads them does so here: what is kept of each recording (the keys of
-- `bclua.data.extracted_metadata`), its profile and its features.
-- @module bclua.data.extracted
local extracted_files = require "bclua.data.extracted_files"
local extracted_parts = require "bclua.data.extracted_parts"
local files = require "bclua.files"
local lfs = require "lfs"
local metadata = require "bclua.data.extracted_metadata"
local system = require "bclua.system"

local extracted = {}

--- The keys of what is kept of a recording, see `bclua.data.extracted_metadata`.
extracted.keys = metadata.keys

--- What there is to say about a recording that was read all the same: a row of warnings.csv.
-- @tparam table m its metadata
-- @tparam string path
-- @treturn ?table
function extracted.warning_of(m, path) return metadata.warning_of(m, path) end

-- Is there a file of this name anywhere below?
local function is_below(folder, name, seen)
   local a = lfs.attributes(folder)
   local key = a and a.mode == "directory" and a.dev .. ":" .. a.ino
   if not key or seen[key] then return false end
   seen[key] = true
   if files.is_file(folder .. "/" .. name) then return true end
   for _, inner in ipairs(system.list(folder) or {}) do
      if is_below(folder .. "/" .. inner, name, seen) then return true end
   end
   return false
end

--- How they may be kept in a folder: as Parquet files of many recordings each, or as a folder a recording.
extracted.layouts = {"parts", "files"}

local MODULES = {parts = extracted_parts, files = extracted_files}

--- How results are kept in a folder.
-- @tparam string folder
-- @treturn ?string one of `layouts`; nil: there are none in it
function extracted.layout_of(folder)
   local _, last = extracted_parts.list(folder)
   if last > 0 then return "parts" end
   return is_below(folder, "metadata.json", {}) and "files" or nil
end

--- A recording is done again, on a worker: what is no longer so must not be read meanwhile.
-- @tparam table item from `recordings.list`, and `folder`, the place of its results, and `output`, the same as a path
-- @tparam table p parameters, and `layout`
function extracted.forget(item, p)
   if p.layout == "files" then extracted_files.forget(item) end
end

--- Keep what was found, on a worker.
-- @tparam table item
-- @tparam table r from `analysis.analyse`, and what the file says
-- @tparam table p parameters, and `layout`
-- @treturn[1] table|boolean what the results' `add` takes
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function extracted.keep(item, r, p)
   local row = metadata.of(item, r, p)
   row.cens, row.mp, row.pi = r.cens, r.profile and r.profile.distance, r.profile and r.profile.index
   if p.layout == "files" then return extracted_files.write(item, row) end
   row.folder = item.folder
   return row
end

--- Begin, or go on, in a folder that is locked.
-- @tparam string folder
-- @tparam string layout of the folder, or the one that it is to have
-- @tparam {table,...} list from `recordings.list`: those that may be done
-- @tparam table p parameters
-- @treturn results to be closed, which keeps what is done; `look_up(item)`: was it done before, with these parameters,
-- from this very file, and with which warning? (nil and a message, where that cannot be found out); `add(kept)`: what
-- `keep` gave; `fail(item)`: it could not be done; `flush()`: write what is done. `add` and `flush` return true, or nil
-- and a message that begins with a path
function extracted.open(folder, layout, list, p) return MODULES[layout].open(folder, list, p) end

--- Write a piece of many processes' work, see `extracted_parts.write_piece`.
extracted.write_piece = extracted_parts.write_piece

--- What became of a piece, see `extracted_parts.piece`.
extracted.piece = extracted_parts.piece

--- Why recordings of pieces failed, see `extracted_parts.reasons`.
extracted.reasons = extracted_parts.reasons

--- Read all results of a folder.
-- @tparam string folder
-- @tparam {string,...} names what is read: of `keys`, and `mp` (f64), `pi` (i64)
-- @tparam function f called with each recording, a table by name, in no order; `folder`: its place below the folder of
-- results, `part_file`: the file there that has it (nil: files of its own)
-- @tparam[opt] {string,...} checked what of parts is checked, but not read
-- @treturn[1] {table,...} what cannot be read: `{path=, reason=}`, the reason beginning with a path
-- @treturn[1] {table,...} what was left out, see `files.find`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function extracted.each(folder, names, f, checked)
   return MODULES[extracted.layout_of(folder) or "files"].each(folder, names, f, checked)
end

--- Where the features of a recording are.
-- @tparam string root the folder that `extract` wrote
-- @tparam table row of a table from `consolidate`: `source_name`, `species`, `folder`, `part_file`, `duration_cens`,
-- `channel`, `dims` (of its features, if that is known)
-- @treturn table for `features` and `has_features`; `name`: what stands for it in a list of failures
function extracted.locate(root, row)
   local folder = root .. "/" .. metadata.folder_of(row)
   return {folder = folder, part = row.part_file and root .. "/" .. row.part_file, source_name = row.source_name,
      name = row.part_file and row.source_name or folder, frames = row.duration_cens, channel = row.channel,
      dims = row.dims}
end

local function module_of(item) return item.part and extracted_parts or extracted_files end

--- Are the features of a recording kept?
-- @tparam table item from `locate`
-- @treturn boolean
function extracted.has_features(item) return module_of(item).has_features(item) end

--- The features of a recording, as long as the table says they are.
-- @tparam table item from `locate`
-- @treturn[1] array f32 (dimensions, frames): 12 of CENS
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function extracted.features(item)
   local c, path = module_of(item).features(item)
   if not c then return nil, path end
   if c:ndim() ~= 2 or item.dims and c:shape(1) ~= item.dims then
      return nil, ("%s: expected the shape (%s, frames)"):format(path, item.dims or "dimensions")
   end
   if c:shape(2) ~= item.frames then
      return nil, ("%s: has %d frames, the table says %d (run `motif consolidate` again)"):format(path, c:shape(2),
         item.frames)
   end
   return c
end

return extracted
