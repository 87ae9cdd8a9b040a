--- The results of `extract`. What reads them does so here: what is kept of each recording (the keys of
-- `bclua.workflow.extracted_metadata`), its profile and its features.
-- @module bclua.workflow.extracted
local extracted_files = require "bclua.workflow.extracted_files"
local files = require "bclua.files"
local lfs = require "lfs"
local metadata = require "bclua.workflow.extracted_metadata"
local system = require "bclua.system"

local extracted = {}

--- The keys of what is kept of a recording, see `bclua.workflow.extracted_metadata`.
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

--- How results are kept in a folder.
-- @tparam string folder
-- @treturn ?string `files`; nil: there are none in it
function extracted.layout_of(folder) return is_below(folder, "metadata.json", {}) and "files" or nil end

--- A recording is done again, on a worker: what was there of it no longer counts.
-- @tparam table item from `recordings.list`, and `output`, its folder
function extracted.forget(item) extracted_files.forget(item) end

--- Keep what was found, on a worker.
-- @tparam table item
-- @tparam table r from `analysis.analyse`, and what the file says
-- @tparam table p parameters
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function extracted.keep(item, r, p)
   local row = metadata.of(item, r, p)
   row.cens, row.mp, row.pi = r.cens, r.profile and r.profile.distance, r.profile and r.profile.index
   return extracted_files.write(item, row)
end

--- Was this recording done before, with these parameters, from this very file?
-- @tparam table item
-- @tparam table p parameters
-- @treturn[1] boolean
-- @treturn[1] ?table its warning
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function extracted.look_up(item, p) return extracted_files.look_up(item, p) end

--- Read all results of a folder.
-- @tparam string folder
-- @tparam {string,...} names what is read: of `keys`, and `mp` (f64), `pi` (i64)
-- @tparam function f called with each recording, a table by name; `folder`: its place below the folder of results
-- @treturn[1] {table,...} what cannot be read: `{path=, reason=}`, the reason beginning with a path
-- @treturn[1] {table,...} what was left out, see `files.find`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function extracted.each(folder, names, f) return extracted_files.each(folder, names, f) end

--- Where the features of a recording are.
-- @tparam string root the folder that `extract` wrote
-- @tparam table row of a table from `consolidate`: `source_name`, `species`, `folder`, `duration_cens`, `channel`
-- @treturn table for `features` and `has_features`; `name`: what stands for it in a list of failures
function extracted.locate(root, row)
   local folder = root .. "/" .. metadata.folder_of(row)
   return {folder = folder, name = folder, frames = row.duration_cens, channel = row.channel}
end

--- Are the features of a recording kept?
-- @tparam table item from `locate`
-- @treturn boolean
function extracted.has_features(item) return extracted_files.has_features(item) end

--- The features of a recording, as long as the table says they are.
-- @tparam table item from `locate`
-- @treturn[1] array f32 (12, frames)
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function extracted.features(item)
   local c, path = extracted_files.features(item)
   if not c then return nil, path end
   if c:ndim() ~= 2 or c:shape(1) ~= 12 then return nil, path .. ": expected the shape (12, frames)" end
   if c:shape(2) ~= item.frames then
      return nil, ("%s: has %d frames, the table says %d (run `motif consolidate` again)"):format(path, c:shape(2),
         item.frames)
   end
   return c
end

return extracted
