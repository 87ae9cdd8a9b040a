--- What `extract` keeps of a recording beside its features and its profile: the keys of metadata.json, or columns.
-- @module bclua.data.extracted_metadata
local files = require "bclua.files"
local system = require "bclua.system"

local metadata = {}

local OF_SOUND = {"cens_sample_rate", "matrix_profile_window", "sample_rate", "duration_cens", "duration_samples",
   "duration_seconds", "motif_0", "motif_1", "discord_0", "discord_1", "tuning",
   "warning", "claimed_seconds", "source_sample_rate", "silence", "channel", "is_best_channel",
   "fmin", "fmax", "features", "clock_warning",
   table.unpack(require("bclua.data.recorded").fields)}

--- Its keys, in their order.
metadata.keys = {"source_name", "species", "exclusion", "version", "source_bytes", "source_modified",
   table.unpack(OF_SOUND)}

--- The frames of motif and discord.
metadata.places = {"motif_0", "motif_1", "discord_0", "discord_1"}

--- Where a recording's results are below that folder: its column `folder`; tables of earlier versions lack it.
-- @tparam table row `source_name`, `species`, `folder`
-- @treturn string
function metadata.folder_of(row)
   return row.folder or ("%s/%s"):format(row.species or files.basename(files.dirname(row.source_name)),
      files.stem(row.source_name))
end

--- Put it together.
-- @tparam table item from `recordings.list`
-- @tparam table r from `analysis.analyse`, and what the file says
-- @tparam table p parameters
-- @treturn table by key; nil: nothing is known, or it does not apply
function metadata.of(item, r, p)
   local m = {source_name = item.source_name, species = item.species, exclusion = p.exclusion,
      version = system.version()}
   for _, key in ipairs(OF_SOUND) do m[key] = r[key] end
   m.source_bytes, m.source_modified = files.stamp(item.path)
   return m
end

--- What there is to say about a recording that was read all the same: a row of warnings.csv.
-- @tparam table m
-- @tparam string path
-- @treturn ?table
function metadata.warning_of(m, path)
   local what = m.warning and m.clock_warning and m.warning .. "; " .. m.clock_warning or m.warning or m.clock_warning
   return what and {path = path, step = "extract", what = what, seconds = m.duration_seconds,
      claimed_s = m.claimed_seconds}
end

--- Was it made with these parameters, of this very file?
-- @tparam table m
-- @tparam table item
-- @tparam table p parameters
-- @treturn boolean
function metadata.is_current(m, item, p)
   local size, modified = files.stamp(item.path)
   if m.source_bytes ~= size or m.source_modified ~= modified or m.source_name ~= item.source_name then
      return false
   end
   for _, key in ipairs({"cens_sample_rate", "matrix_profile_window", "sample_rate", "exclusion", "fmin", "fmax",
      "features"}) do
      if m[key] ~= p[key] then return false end
   end
   if m.is_best_channel ~= (p.channel == "best" or nil) or p.channel ~= "best" and m.channel ~= p.channel then
      return false
   end
   return not (p.strict_audio and m.warning)
end

return metadata
