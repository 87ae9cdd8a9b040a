--- The slices of all recordings and where their profiles point: what a walk goes over.
-- @module bclua.data.walk
local array = require "bclua.array"
local extracted = require "bclua.data.extracted"
local files = require "bclua.files"
local hearing = require "bclua.data.hearing"
local provenance = require "bclua.data.provenance"
local schemas = require "bclua.data.schemas"
local tables = require "bclua.data.tables"

local walk = {}

-- Slices whose own window is their nearest have no neighbour.
local function of_parquet(path, seconds)
   local sql = require "bclua.sql"
   local relation, message = tables.open(path, schemas.motif, {"source_name", "cens_sample_rate", "pi", "channel?"})
   if not relation then return nil, message end
   local with = ([[
      with r as (select source_name, channel, cens_sample_rate as rate, pi::bigint[] as pi, (%.17g * cens_sample_rate)::bigint as step
            from %s where len(pi::bigint[]) > 0),
         u as (select source_name, channel, rate, unnest(range(0, len(pi), step)) as frame,
               unnest(pi[1:len(pi):step]) as nearest from r),
         s as (select * from u where nearest <> frame and nearest >= 0)]]):format(seconds, relation)
   local names, slices
   names, message = sql.columns(with ..
      "select source_name as name, coalesce(min(channel), 0)::integer as channel, count(*)::bigint as n from s " ..
      "group by source_name order by source_name")
   if not names then return nil, message end
   slices, message = sql.columns(with .. [[
      select (dense_rank() over (order by source_name) - 1)::integer as "source", frame / rate::double as anchor_s,
         nearest / rate::double as neighbor_s from s order by "source", frame]])
   if not slices then return nil, message end
   if names.n:sum() ~= #slices.source then return nil, path .. ": changed while it was read" end
   local heard
   heard, message = hearing.of_parquet(path)
   if not heard then return nil, message end
   return {sources = names.name, channels = names.channel, rate = heard.sample_rate, counts = names.n,
      source = slices.source, anchor_s = slices.anchor_s, neighbor_s = slices.neighbor_s}
end

-- The slices of a recording, if it has any.
local function add_recording(to, m, seconds)
   local step, before = math.floor(seconds * m.cens_sample_rate + 0.5), #to.anchor_s
   for frame = 0, #m.pi - 1, math.max(1, step) do
      local other = m.pi[frame + 1]
      if other ~= frame and other >= 0 then
         local n = #to.anchor_s + 1
         to.source[n] = #to.sources
         to.anchor_s[n], to.neighbor_s[n] = frame / m.cens_sample_rate, other / m.cens_sample_rate
      end
   end
   if #to.anchor_s > before then
      to.sources[#to.sources + 1], to.channels[#to.sources + 1] = m.source_name, m.channel or 0
      to.counts[#to.sources] = #to.anchor_s - before
   end
end

local function of_folder(folder, seconds)
   local list = {}
   local failures, message = extracted.each(folder, {"source_name", "cens_sample_rate", "motif_0", "channel", "pi"},
      function(m)
         m.place = m.folder .. "/"
         if m.pi then list[#list + 1] = m end -- else shorter than a window
      end)
   if not failures then return nil, message end
   if failures[1] then return nil, failures[1].reason end
   table.sort(list, function(a, b) return a.place < b.place end)
   local to = {sources = {}, channels = {}, counts = {}, source = {}, anchor_s = {}, neighbor_s = {}}
   for _, m in ipairs(list) do add_recording(to, m, seconds) end
   local heard, why = hearing.of(provenance.of_folder(folder))
   if not heard then return nil, ("%s/parameters.json: %s"):format(folder, why) end
   to.rate, to.channels = heard.sample_rate, array.from(to.channels, "i32")
   to.source, to.anchor_s = array.from(to.source, "i32"), array.from(to.anchor_s, "f64")
   to.neighbor_s = array.from(to.neighbor_s, "f64")
   return to
end

--- What a loader needs for a walk.
-- @tparam string input Parquet of `consolidate`, or the folder that `extract` wrote
-- @tparam string root the folder in which source names begin
-- @tparam number seconds of a slice
-- @treturn[1] table `paths`, `channels`, `sources`, `windows`, `first`, for `bclua.loading`; `drawn_rate` (Hz)
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function walk.read(input, root, seconds)
   local t, message = (files.is_folder(input) and of_folder or of_parquet)(input, seconds)
   if not t then return nil, message end
   local n = #t.sources
   if n < 2 then
      return nil, ("%s: a walk needs 2 recordings with a matrix profile, got %d"):format(input, n)
   end
   local first, paths = array.zeros({n + 1}, "i64"), {}
   for i, name in ipairs(t.sources) do
      first[i + 1] = first[i] + t.counts[i]
      paths[i] = root .. "/" .. name
   end
   local half = seconds / 2
   return {store = "none", paths = paths, channels = t.channels, drawn_rate = t.rate, sources = t.sources,
      first = first,
      windows = {anchor = {source = t.source, loc = t.anchor_s + half},
         neighbor = {source = t.source, loc = t.neighbor_s + half}}}
end

return walk
