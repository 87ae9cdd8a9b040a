--- Step 4: the windows of all triplets as tiles on disk.
-- @module bclua.workflow.tiles
local array = require "bclua.array"
local files = require "bclua.files"
local record = require "bclua.workflow.record"
local system = require "bclua.system"

local tiles = {}

tiles.sample_rate = 32000

--- The name of a tile below the output folder.
-- @tparam string source_name
-- @tparam number loc centre in seconds, -1: the whole recording
-- @tparam number seconds
-- @tparam[opt] string id of the recording (default: its name without extension)
function tiles.name(source_name, loc, seconds, id)
   local folder = source_name:match("^[^/]*/(.+)/[^/]*$") or source_name:match("^(.+)/[^/]*$") or "."
   local start = loc < 0 and "whole" or ("%.3f"):format(loc - seconds / 2)
   return ("%s/%s_%s_%g.npy"):format(folder, id or files.stem(source_name), start, seconds)
end

local function is_done(path, modified)
   local size, made = files.stamp(path)
   return size ~= nil and made >= modified
end

--- Cut all tiles of one recording, on a worker state. It is decoded once.
-- @tparam table item `{source=, locs={...}, id=}`
-- @tparam table o root, output, seconds
-- @treturn[1] table `{made=, skipped=}`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function tiles.one(item, o)
   local audio, sampling = require "bclua.audio", require "bclua.sampling"
   local path = o.root .. "/" .. item.source
   local _, modified = files.stamp(path)
   if not modified then return nil, path .. ": No such file or directory" end
   local todo, skipped = {}, 0
   for _, loc in ipairs(item.locs) do
      local file = o.output .. "/" .. tiles.name(item.source, loc, o.seconds, item.id)
      if is_done(file, modified) then
         skipped = skipped + 1
      else
         todo[#todo + 1] = {loc = loc, file = file}
      end
   end
   if #todo == 0 then return {made = 0, skipped = skipped} end
   local y, message = audio.load(path, {sample_rate = tiles.sample_rate})
   if not y then return nil, message end
   local duration = #y / tiles.sample_rate
   local ok
   ok, message = system.mkdir(files.dirname(todo[1].file))
   if not ok then return nil, message end
   for _, t in ipairs(todo) do
      if t.loc >= duration then
         return nil, ("%s: a window at %.3f s, but it ends at %.3f s (changed since `extract`?)"):format(path,
            t.loc, duration)
      end
      local tile = sampling.cut(y, tiles.sample_rate, t.loc, o.seconds)
      ok, message = array.save(t.file, tile)
      if not ok then return nil, message end
   end
   return {made = #todo, skipped = skipped}
end

local REQUIRED = {"a", "a_loc", "b", "b_loc", "c", "c_loc"}

-- Distinct (source, loc), by source.
local function plan(path)
   local sql = require "bclua.sql"
   local ok, message = sql.require_columns(path, REQUIRED)
   if not ok then return nil, message end
   local rows
   local t = sql.quote(path)
   rows, message = sql.query(([[
      with w as (select a as src, a_loc as loc from read_parquet(%s) union
                 select b, b_loc from read_parquet(%s) union select c, c_loc from read_parquet(%s))
      select src as "source", list(loc order by loc) as locs from w group by src order by src]]):format(t, t, t))
   if not rows then return nil, message end
   if #rows == 0 then return nil, path .. ": no triplets" end
   return rows
end

-- The ids that `extract` gives: they tell 1.ogg from 1.wav beside it.
local function set_ids(sources, root)
   local recordings = require "bclua.recordings"
   local ids, listed = {}, {}
   for _, s in ipairs(sources) do
      local base = s.source:match("^([^/]+)/") or "."
      if not listed[base] then
         listed[base] = true
         for _, r in ipairs(recordings.list(root .. "/" .. base) or {}) do ids[r.source_name] = r.id end
      end
      s.id = ids[s.source]
   end
end

local function write_index(options, sources, failed, seconds)
   local sql = require "bclua.sql"
   local columns = {source = {n = 0}, loc = {n = 0}, tile = {n = 0}}
   local n = 0
   for i, s in ipairs(sources) do
      if not failed[i] then
         for _, loc in ipairs(s.locs) do
            n = n + 1
            columns.source[n], columns.loc[n] = s.source, loc
            columns.tile[n] = tiles.name(s.source, loc, seconds, s.id)
         end
      end
   end
   for _, c in pairs(columns) do c.n = n end
   columns.loc = array.from(columns.loc, "f64")
   return sql.write_parquet(options.output .. "/index.parquet", columns, {order = {"source", "loc", "tile"},
      metadata = record.for_parquet({duration = seconds, sample_rate = tiles.sample_rate})})
end

--- Is there room for the tiles? Said before hours of work, not after.
-- @tparam {table,...} sources with `locs` and, for their names, `source` and `id`
-- @tparam string output folder
-- @tparam number seconds of a tile
-- @tparam integer free bytes
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message with both numbers
function tiles.check_room(sources, output, seconds, free)
   local size, missing = seconds * tiles.sample_rate * 4 + 128, 0
   for _, s in ipairs(sources) do
      for _, loc in ipairs(s.locs) do
         if not files.exists(output .. "/" .. tiles.name(s.source, loc, seconds, s.id)) then missing = missing + 1 end
      end
   end
   if missing * size <= free then return true end
   return nil, ("%s: no room for %d tiles of %g s: they take %.1f GB, %.1f GB are free (draw fewer triplets, " ..
      "or choose another --output)"):format(output, missing, seconds, missing * size / 1e9, free / 1e9)
end

--- Cut the tiles of all triplets.
-- @tparam table options `input` (Parquet of triplets), `dataset_root` (the folder in
-- which source names begin), `output` (folder), `duration` (7 s), `force`, `quiet`
-- @treturn[1] table `{made=, skipped=, failures=}` numbers of tiles
-- @treturn[2] nil
-- @treturn[2] string message
function tiles.run(options)
   local parallel, progress = require "bclua.parallel", require "bclua.progress"
   local seconds = options.duration or 7
   if not files.is_folder(options.dataset_root) then
      return nil, options.dataset_root .. ": no such folder (--dataset-root)"
   end
   local sources, message = plan(options.input)
   if not sources then return nil, message end
   local ok
   ok, message = record.open_folder(options.output, {duration = seconds, sample_rate = tiles.sample_rate},
      options.force)
   if not ok then return nil, message end
   set_ids(sources, options.dataset_root)
   for _, s in ipairs(sources) do
      if array.is_array(s.locs) then s.locs = s.locs:table() end
   end
   local free
   free, message = system.disk_free(options.output)
   if not free then return nil, message end
   ok, message = tiles.check_room(sources, options.output, seconds, free)
   if not ok then return nil, message end
   local bar = progress.new("extract-triplets", #sources, {unit = "recordings", quiet = options.quiet})
   local failures, failed, made, skipped = {}, {}, 0, 0
   local o = {root = options.dataset_root, output = options.output, seconds = seconds}
   for i, result, why in parallel.map(sources, "bclua.workflow.tiles", "one", o) do
      if result then
         made, skipped = made + result.made, skipped + result.skipped
      else
         failed[i] = true
         failures[#failures + 1] = {path = options.dataset_root .. "/" .. sources[i].source,
            step = "extract-triplets", reason = why}
      end
      bar:update(i, made .. " tiles")
   end
   bar:finish(("%d tiles made, %d there before, %d recordings failed, in %s"):format(made, skipped, #failures,
      progress.duration(bar:elapsed())))
   ok, message = record.write_failures(options.output .. "/failures.csv", failures)
   if not ok then return nil, message end
   if made + skipped == 0 then
      return nil, ("%s: all %d recordings failed, the first: %s"):format(options.input, #failures,
         failures[1].reason)
   end
   ok, message = write_index(options, sources, failed, seconds)
   if not ok then return nil, message end
   return {made = made, skipped = skipped, failures = failures}
end

return tiles
