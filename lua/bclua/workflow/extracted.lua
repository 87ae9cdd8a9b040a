--- What `extract` keeps of a recording, and finds again: `<species>/<id>/`, or `<id>/`, with metadata.json, cens.npy,
-- and the profile in mp.npy and pi.npy.
-- @module bclua.workflow.extracted
local array = require "bclua.array"
local files = require "bclua.files"
local json = require "bclua.json"
local system = require "bclua.system"

local extracted = {}

--- What there is to say about a recording that was read all the same: a row of warnings.csv.
-- @tparam table m its metadata
-- @tparam string path
-- @treturn ?table
function extracted.warning_of(m, path)
   local what = m.warning and m.clock_warning and m.warning .. "; " .. m.clock_warning or m.warning or m.clock_warning
   return what and {path = path, step = "extract", what = what, seconds = m.duration_seconds,
      claimed_s = m.claimed_seconds}
end

local KEYS = {"cens_sample_rate", "matrix_profile_window", "sample_rate", "duration_cens", "duration_samples",
   "duration_seconds", "motif_0", "motif_1", "discord_0", "discord_1", "tuning",
   "warning", "claimed_seconds", "source_sample_rate", "silence", "channel", "is_best_channel",
   "fmin", "fmax", "clock_warning",
   table.unpack(require("bclua.recorded").fields)}

--- Keep what was found.
-- @tparam table item from `recordings.list`, and `output`, its folder
-- @tparam table r from `analysis.analyse`
-- @tparam table p parameters
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function extracted.write(item, r, p)
   local folder = item.output
   local ok, message = system.mkdir(folder)
   if not ok then return nil, message end
   if r.profile then
      ok, message = array.save(folder .. "/mp.npy", r.profile.distance)
      if ok then ok, message = array.save(folder .. "/pi.npy", r.profile.index) end
      if not ok then return nil, message end
   else
      os.remove(folder .. "/mp.npy")
      os.remove(folder .. "/pi.npy")
   end
   ok, message = array.save(folder .. "/cens.npy", r.cens)
   if not ok then return nil, message end
   local metadata = {source_name = item.source_name, species = item.species or json.null, version = system.version(),
      exclusion = p.exclusion or json.null}
   for _, key in ipairs(KEYS) do metadata[key] = r[key] == nil and json.null or r[key] end
   metadata.source_bytes, metadata.source_modified = files.stamp(item.path)
   -- last, for it says that the rest is there
   return files.write_json(folder .. "/metadata.json", metadata)
end

--- Was this recording done before, with these parameters, from this very file?
-- @treturn boolean
-- @treturn ?table its warning
function extracted.is_done(item, p)
   local m = files.read_json(item.output .. "/metadata.json")
   if type(m) ~= "table" then return false end
   local size, modified = files.stamp(item.path)
   if m.source_bytes ~= size or m.source_modified ~= modified or m.source_name ~= item.source_name then
      return false
   end
   for _, key in ipairs({"cens_sample_rate", "matrix_profile_window", "sample_rate", "exclusion", "fmin", "fmax"}) do
      if m[key] ~= p[key] then return false end
   end
   if m.is_best_channel ~= (p.channel == "best" or nil) or p.channel ~= "best" and m.channel ~= p.channel then
      return false
   end
   if p.strict_audio and m.warning or not files.exists(item.output .. "/cens.npy") then return false end
   if m.motif_0 and not (files.exists(item.output .. "/mp.npy") and files.exists(item.output .. "/pi.npy")) then
      return false
   end
   return true, extracted.warning_of(m, item.path)
end

--- What was made of a recording under another id, by an earlier version or before it had a namesake, moves to its own.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function extracted.carry_over(item)
   if files.exists(item.output .. "/metadata.json") then return true end
   local above, name = item.output:sub(1, -#item.id - 2), files.basename(item.source_name)
   local extension, base = name:match("%.[^.]*$") or "", item.source_name:match("^[^/]+/")
   for _, id in ipairs{item.id:match("^(.*)%.[^./]*$") or item.id, item.id .. extension, files.stem(name),
      (item.id:gsub("/", "_")), ((item.id .. extension):gsub("/", "_")),
      base .. item.id, base .. item.id .. extension} do -- where the data folder was taken for a species
      local folder = above .. "/" .. id
      local m = files.read_json(folder .. "/metadata.json")
      if type(m) == "table" and m.source_name == item.source_name then
         local ok, message = system.mkdir(item.output)
         for _, file in ipairs{"cens.npy", "mp.npy", "pi.npy", "metadata.json"} do -- which says that the rest is there
            local from = folder .. "/" .. file
            if ok and files.exists(from) then ok, message = os.rename(from, item.output .. "/" .. file) end
         end
         os.remove(folder) -- if nothing else is in it
         os.remove(files.dirname(folder))
         return ok, message
      end
   end
   return true
end

return extracted
