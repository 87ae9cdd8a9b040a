--- Step 4: the windows of all triplets as tiles on disk.
--
-- Recordings are dealt out to shards, in order of their names; a worker reads the
-- recordings of a shard, each once, writes their windows and then, in `unfinished/`, what is
-- where. When all are done, `index.parquet` is written, and only then is `unfinished/`
-- removed: a run that was broken off is dealt out like the first time and takes over the
-- shards that are there. A later run adds shards for what the index does not have.
-- @module bclua.workflow.tiles
local account = require "bclua.workflow.account"
local count = require("bclua.display").count
local rules = require "bclua.data.rules"
local files = require "bclua.files"
local legacy = require "bclua.data.legacy"
local hearing = require "bclua.data.hearing"
local deadline = require "bclua.deadline"
local lock = require "bclua.lock"
local manifest = require "bclua.data.manifest"
local pieces = require "bclua.workflow.pieces"
local provenance = require "bclua.data.provenance"
local shards_of = require "bclua.data.shards"
local silence = require "bclua.workflow.silence"
local segments = require "bclua.workflow.segments"
local stores = require "bclua.workflow.tiles.stores"
local system = require "bclua.system"
local tile_index = require "bclua.workflow.tiles.index"
local options_of = require "bclua.options"
local check_options = options_of.check

local tiles = {}

-- Windows of a shard: at most MOST (about 100 MB), but so few that threads have work.
local MOST, LEAST, SHARDS = 512, 16, 32

-- ---- on a worker ----

-- What a shard is made of, as text: if it is the same, so is the shard.
local function key_of(shard)
   local lines = {}
   for _, s in ipairs(shard.sources) do
      local locs = {}
      for i, loc in ipairs(s.locs) do locs[i] = ("%.17g"):format(loc) end
      lines[#lines + 1] = ("%s %s %s %s %s %s"):format(s.source, s.channel or "mix", s.id or "", s.bytes or "none",
         s.modified or "none", table.concat(locs, ","))
   end
   return table.concat(lines, "\n")
end

local function note_path(output, number) return ("%s/%s/%05d.json"):format(output, tile_index.unfinished, number) end

-- What an earlier run, or another process, wrote about this shard; nil if that was another one, or none.
local function read_note(shard, o)
   local path = note_path(o.output, shard.number)
   if not files.exists(path) then return nil end
   local note = files.read_json(path)
   if type(note) ~= "table" or note.key ~= key_of(shard) or type(note.result) ~= "table" then return nil end
   local name = stores.shard_name(o.store, shard.number)
   local bytes = name and files.stamp(o.output .. "/" .. name)
   if bytes ~= note.result.bytes or type(note.result.sources) ~= "table" then return nil end
   for _, source in ipairs(note.result.sources) do
      if #source.failures > 0 and not o.keep_failures then return nil end -- it may be readable now
   end
   note.result.before = true
   return note.result
end

local ALL = 0.95 -- of a tile: what it is where nothing is to be heard but a click or two

-- Is there no sound in a window of a segment? Of a recording that is shorter than the window there is.
local function is_silent(samples, w, loc, o)
   return loc >= 0 and silence.covers(samples:slice(1, w.offset + 1, w.offset + segments.length(o.seconds,
      o.sample_rate)), o.sample_rate, ALL)
end

-- Cut one recording into the sink; the trouble is its own (`failures`) or the sink's (second value).
local function cut(source, sink, o)
   local path = o.root .. "/" .. source.source
   local result, trouble, silent, all = {first = {}, scale = {}, failures = {}}, nil, 0, 0
   local function fail(reason) table.insert(result.failures, reason) end
   for i = 1, #source.locs do result.first[i], result.scale[i] = -1, 0 end
   if not source.bytes then
      fail(path .. ": No such file or directory")
      return result
   end
   local past, seconds = segments.read(path, source.locs, {seconds = o.seconds, sample_rate = o.sample_rate,
      channel = source.channel}, function(samples, windows)
      local ok, message = sink:put(source, samples, windows)
      if not ok then
         trouble = message
         return nil, message
      end
      for _, w in ipairs(windows) do
         result.first[w.index], result.scale[w.index], all = w.first, w.scale, all + 1
         if is_silent(samples, w, source.locs[w.index], o) then silent = silent + 1 end
      end
      return true
   end)
   if trouble then return nil, trouble end
   if not past then -- none of it: what came before may be no better
      for i = 1, #source.locs do result.first[i] = -1 end
      fail(seconds)
      return result
   end
   result.warning = silence.about(path, silent, all, source.channel)
   for _, i in ipairs(past) do
      fail(("%s: a window at %.3f s, but it ends at %.3f s (changed since `extract`?)"):format(path, source.locs[i],
         seconds))
   end
   return result
end

--- Write one shard, on a worker state, or take over what an earlier run wrote.
-- @tparam table shard `{number=, sources={{source=, channel=, locs={...}, id=, bytes=, modified=},...}}`
-- @tparam table o `store`, `root`, `output`, `seconds`, `sample_rate`, `keep_failures` (a shard of which recordings
-- failed is not done again)
-- @treturn[1] table `{sources={{first=, scale=, failures=, warning=},...}, bytes=, before=}`: for each source
-- lists as long as its locs: the first sample in the shard (-1: not there), the scale
-- @treturn[2] nil
-- @treturn[2] string message: the shard cannot be written
function tiles.one(shard, o)
   local result = read_note(shard, o)
   if result then return result end
   os.remove(note_path(o.output, shard.number))
   local sink <close> = setmetatable({sink = stores.open(o, shard.number)}, {__close = function(t) t.sink:close() end})
   result = {sources = {}}
   local ok, message
   for i, source in ipairs(shard.sources) do
      result.sources[i], message = cut(source, sink.sink, o)
      if not result.sources[i] then return nil, message end
   end
   ok, message = sink.sink:commit()
   if not ok then return nil, message end
   local name = stores.shard_name(o.store, shard.number)
   if name then result.bytes = files.stamp(o.output .. "/" .. name) end
   ok, message = files.write_json(note_path(o.output, shard.number), {key = key_of(shard), result = result})
   if not ok then return nil, message end
   return result
end

-- ---- what is wanted ----

-- Distinct (source, loc), by source.
local function read_wanted(path, loc_unit)
   local relation, message = legacy.relation(path, loc_unit)
   if not relation then return nil, message end
   return segments.of_triplets(relation, path)
end

-- Size and time of the recordings, and the ids that `extract` gives: they tell 1.ogg from
-- 1.wav beside it.
local function describe(sources, root)
   local recordings = require "bclua.data.recordings"
   local ids, listed = {}, {}
   for _, s in ipairs(sources) do
      local base = s.source:match("^([^/]+)/") or "."
      if not listed[base] then
         listed[base] = true
         for _, r in ipairs(recordings.list(root .. "/" .. base) or {}) do ids[r.source_name] = files.basename(r.id) end
      end
      s.id = ids[s.source]
      s.bytes, s.modified = files.stamp(root .. "/" .. s.source)
   end
end

-- What is left to do. A recording that changed is done anew; of one that is gone, what was
-- cut is kept. Returns the sources to cut and the number of windows that are there.
local function missing(wanted, there)
   local todo, skipped = {}, 0
   for _, s in ipairs(wanted) do
      local known, has = there[s.source], {}
      if known and s.bytes and (known.bytes ~= s.bytes or known.modified ~= s.modified
         or known.channel ~= s.channel) then
         there[s.source], known = nil, nil
      end
      for _, row in ipairs(known and known.rows or {}) do has[row.loc] = true end
      local locs = {}
      for _, loc in ipairs(s.locs) do
         if has[loc] then skipped = skipped + 1 else locs[#locs + 1] = loc end
      end
      if #locs > 0 then
         todo[#todo + 1] = {source = s.source, channel = s.channel, locs = locs, id = s.id, bytes = s.bytes,
            modified = s.modified}
      end
   end
   return todo, skipped
end

--- Deal recordings out to shards: in their order, none divided. It depends on the windows alone.
-- @tparam {table,...} sources with `locs`
-- @tparam integer number of the first shard
-- @treturn {table,...} `{number=, sources=}`
function tiles.shards(sources, number)
   local total = 0
   for _, s in ipairs(sources) do total = total + #s.locs end
   local size = math.max(LEAST, math.min(MOST, (total + SHARDS - 1) // SHARDS))
   local list, n = {}, size
   for _, s in ipairs(sources) do
      if n >= size then
         list[#list + 1] = {number = number + #list, sources = {}}
         n = 0
      end
      table.insert(list[#list].sources, s)
      n = n + #s.locs
   end
   return list
end

--- Is there room for the tiles? Said before hours of work, not after.
-- @tparam {table,...} sources with `locs` that are not there yet
-- @tparam table o `store`, `output`, `seconds`, `sample_rate`
-- @tparam integer free bytes
-- @treturn[1] number bytes that they take, about
-- @treturn[2] nil
-- @treturn[2] string message with both numbers
function tiles.check_room(sources, o, free)
   local length = segments.length(o.seconds, o.sample_rate)
   local longest, samples, windows = math.max(length, math.floor(segments.longest_s * o.sample_rate)), 0, 0
   for _, s in ipairs(sources) do
      local firsts = {}
      for i, loc in ipairs(s.locs) do firsts[i] = segments.first(loc, o.seconds, o.sample_rate, length) end
      windows = windows + #firsts
      if o.store == "npy" then
         samples = samples + #firsts * length
      else
         for _, segment in ipairs(segments.merge(firsts, length, longest)) do
            samples = samples + segment.last - segment.first
         end
      end
   end
   local bytes = stores.estimate(o.store, samples, windows)
   if bytes <= free then return bytes end
   return nil, ("%s: no room for %d tiles of %g s: they take %s%.1f GB, %.1f GB are free (draw fewer triplets, " ..
      "choose another --output, or --store none)"):format(o.output, windows, o.seconds,
      o.store == "flac" and "about " or "", bytes / 1e9, free / 1e9)
end

-- ---- the run ----

-- Bytes of the windows to cut that a run which was broken off has written.
local function written(shards, o)
   local bytes = 0
   if not files.is_folder(o.output .. "/" .. tile_index.unfinished) then return 0 end
   for _, shard in ipairs(shards) do
      local name = stores.shard_name(o.store, shard.number)
      if name then
         bytes = bytes + (files.stamp(o.output .. "/" .. name) or 0)
      else
         for _, s in ipairs(shard.sources) do
            for _, loc in ipairs(s.locs) do
               local tile = stores.tile_name(s.source, loc, o.seconds, s.id)
               bytes = bytes + (files.stamp(o.output .. "/" .. tile) or 0)
            end
         end
      end
   end
   return bytes
end

-- Add what a shard gave to `there`; returns how many windows, the failures, and the warnings.
local function take_over(shard, result, there, sizes, o)
   local n, failures, warnings = 0, {}, {}
   local name = stores.shard_name(o.store, shard.number)
   for i, s in ipairs(shard.sources) do
      local got = result.sources[i]
      local known = there[s.source] or {rows = {}}
      for k, loc in ipairs(s.locs) do
         local first = got.first[k]
         if first >= 0 then
            n = n + 1
            there[s.source], known.bytes, known.modified, known.channel = known, s.bytes, s.modified, s.channel
            table.insert(known.rows, {loc = loc, tile = name or stores.tile_name(s.source, loc, o.seconds, s.id),
               first = first, scale = got.scale[k]})
         end
      end
      for _, reason in ipairs(got.failures) do
         failures[#failures + 1] = {path = o.root .. "/" .. s.source, step = "extract-triplets", reason = reason}
      end
      if got.warning then
         warnings[#warnings + 1] = {path = o.root .. "/" .. s.source, step = "extract-triplets", what = got.warning}
      end
   end
   if name and n > 0 then sizes[name] = result.bytes end
   return n, failures, warnings
end

-- Cut what is missing; the windows go into `there`. Returns their number, how many of them an
-- earlier run had cut, the failures and the warnings.
local function cut_all(shards, there, sizes, o, options)
   local parallel, progress = require "bclua.parallel", require "bclua.progress"
   local total, done, cut_now, before, failures, warnings, stopped = 0, 0, 0, 0, {}, {}, false
   local is_late = deadline.new(options.time_limit)
   for _, shard in ipairs(shards) do total = total + #shard.sources end
   local bar = progress.new("extract-triplets", total, {unit = "recordings", kept = true, quiet = options.quiet})
   for i, result, why in parallel.map(shards, "bclua.workflow.tiles", "one", o) do
      if not result then return nil, why end
      local n, failed, warned = take_over(shards[i], result, there, sizes, o)
      if result.before then before = before + n else cut_now = cut_now + n end
      table.move(failed, 1, #failed, #failures + 1, failures)
      table.move(warned, 1, #warned, #warnings + 1, warnings)
      done = done + #shards[i].sources
      bar:update(done, cut_now .. " tiles")
      stopped = i < #shards and is_late()
      if stopped then break end
   end
   return {made = cut_now, before = before, failures = failures, warnings = warnings, bar = bar, stopped = stopped}
end

-- The folder, and what of it can stay.
local function open_output(options, parameters, o)
   local made = options.force and provenance.of_folder(o.output)
   if made and provenance.difference(made, parameters) then tile_index.remove_all(o.output) end
   local ok, message = provenance.open_folder(o.output, parameters, options.force)
   if not ok then return nil, message end
   local there, sizes = tile_index.read(o, parameters)
   if not there and options.force then return {}, {} end -- a damaged index
   return there, there and sizes or sizes .. " (use --force to cut everything anew)"
end

local function next_number(sizes)
   local number = 0
   for name in pairs(sizes) do
      local _, n = stores.parse(name)
      number = math.max(number, (n or -1) + 1)
   end
   return number
end

local function finish(wanted, got, there, sizes, parameters, o)
   local progress = require "bclua.progress"
   local made, skipped = got.made, got.skipped + got.before
   local ok, message = provenance.write_failures(o.output .. "/failures.csv", got.failures)
   if ok then ok, message = provenance.write_warnings(o.output .. "/warnings.csv", got.warnings) end
   if not ok then return nil, message end
   if made + skipped == 0 then
      return nil, wanted.path .. ": " .. account.all_failed(#wanted, got.failures)
   end
   local used
   used, message = tile_index.write(there, sizes, parameters, o)
   if not used then return nil, message end
   tile_index.remove_unused(o.output, used)
   if got.bar then
      got.bar:finish(("%s made, %d there before, %d failed, in %s%s%s"):format(count(made, "tile"), skipped,
         #got.failures, progress.duration(got.bar:elapsed()),
         provenance.listed(got.failures, "failed", o.output .. "/failures.csv"),
         provenance.listed(got.warnings, "with a warning", o.output .. "/warnings.csv")))
   end
   return {made = made, skipped = skipped, failures = got.failures, warnings = got.warnings}
end

-- Store `none`: nothing is cut, but what the triplets need is looked for.
local function check_only(wanted, options)
   local failures, windows = {}, 0
   for _, s in ipairs(wanted) do
      windows = windows + #s.locs
      if not s.bytes then
         local path = options.dataset_root .. "/" .. s.source
         failures[#failures + 1] = {path = path, step = "extract-triplets",
            reason = path .. ": No such file or directory"}
      end
   end
   local progress = require "bclua.progress"
   progress.note(("extract-triplets: nothing to cut: %d windows of %d recordings (%d are missing)"):format(windows,
      #wanted, #failures), options.quiet)
   progress.note(("train from the recordings: bclua embed fit %s --dataset-root %s"):format(options.input,
      options.dataset_root), options.quiet)
   return {made = 0, skipped = 0, failures = failures}
end

--- What `run` takes.
tiles.options = {
   input = rules.triplets,
   dataset_root = rules.needed_root,
   output = {"string", default = false, arg = "DIR", text = "Folder for the tiles (not with --store none)."},
   store = {"choice", stores.names, default = "packed", text = "packed (16 bits in a few files), flac (the same, " ..
      "compressed), npy (a file per tile) or none (nothing: train from the recordings)."},
   duration = rules.duration, loc_unit = legacy.loc_unit,
   shard = shards_of.rules.shard, time_limit = shards_of.rules.time_limit, force = "boolean", quiet = "boolean"}

-- What there is to do, and what is there: the same for all processes as long as nobody has finished.
local function plan(wanted, options, parameters, o)
   local there, sizes = open_output(options, parameters, o)
   if not there then return nil, sizes end
   local todo, skipped = missing(wanted, there)
   local shards = tiles.shards(todo, next_number(sizes))
   local free, message = system.disk_free(o.output)
   if not free then return nil, message end
   local room
   room, message = tiles.check_room(todo, o, free + written(shards, o))
   if not room then return nil, message end
   local ok
   ok, message = system.mkdir(o.output .. "/" .. tile_index.unfinished)
   if not ok then return nil, message end
   return {shards = shards, there = there, sizes = sizes, skipped = skipped}
end

-- Cut, and make the index.
local function cut_and_finish(work, wanted, options, parameters, o)
   local got, message = cut_all(work.shards, work.there, work.sizes, o, options)
   if not got then return nil, message end
   if got.stopped then return got end
   got.skipped = work.skipped
   return finish(wanted, got, work.there, work.sizes, parameters, o)
end

-- The pieces of a manifest, for `bclua.workflow.pieces`: shards, of which each keeps a note.
local function step_of(work, wanted, parameters, o)
   local step = {name = "extract-triplets", folder = o.output .. "/" .. tile_index.unfinished,
      output = o.output .. "/index.parquet"}
   o.keep_failures = true
   function step.path(number) return note_path(o.output, work.shards[number].number) end
   function step.look(number, list)
      local note, found = read_note(work.shards[number], o), {}
      for i, item in ipairs(note and list or {}) do found[item.source_name] = note.sources[i].failures[1] or true end
      return note and found
   end
   function step.run(list, keep)
      local todo = {}
      for i, item in ipairs(list) do
         if i == 1 or list[i - 1].piece ~= item.piece then todo[#todo + 1] = work.shards[item.piece] end
      end
      local again, at = options_of.extend(o, {keep_failures = false}), 0
      for _, result, why in require("bclua.parallel").map(todo, "bclua.workflow.tiles", "one", again) do
         if not result then return nil, why end
         for _, source in ipairs(result.sources) do
            at = at + 1
            local failure = source.failures[1]
            local goes_on, message = keep(list[at], not failure and {seconds = list[at].seconds} or nil, failure)
            if not goes_on then return goes_on, message end
         end
      end
      return true
   end
   function step.write() return true end -- its worker did
   function step.merge()
      local locked <close>, busy = lock.take(o.output, manifest.patience_s)
      if not locked then return nil, busy end
      return cut_and_finish(work, wanted, {quiet = true}, parameters, o)
   end
   return step
end

-- The shards of the work as recordings for a manifest.
local function items_of(shards, o)
   local list = {}
   for number, shard in ipairs(shards) do
      for _, s in ipairs(shard.sources) do
         list[#list + 1] = {piece = number, source_name = s.source, path = o.root .. "/" .. s.source,
            seconds = #s.locs * o.seconds}
      end
   end
   return list
end

-- Begin with the others: what there is to do, and its manifest; nil where there is nothing. Locked, as who finishes
-- takes notes and manifest away.
local function begin_shards(wanted, options, parameters, o)
   local locked <close>, busy = lock.take(o.output, manifest.patience_s)
   if not locked then return nil, busy end
   local work, message = plan(wanted, options, parameters, o)
   if not work then return nil, message end
   local bytes, modified = files.stamp(options.input)
   local settings = options_of.extend(parameters, {input = {bytes = bytes, modified = modified},
      shards = #work.shards, first = work.shards[1] and work.shards[1].number})
   if #work.shards == 0 then
      local result
      result, message = cut_and_finish(work, wanted, options, parameters, o)
      if result then result.merged = true end
      return work, nil, result, message
   end
   local frozen
   frozen, message = manifest.open(o.output .. "/" .. tile_index.unfinished, o.root, settings, function()
      return items_of(work.shards, o)
   end)
   return frozen and work, frozen or message
end

-- Only a shard of the work, beside other processes.
local function run_shard(wanted, options, parameters, o)
   local work, frozen, result, message = begin_shards(wanted, options, parameters, o)
   if not work then return nil, frozen end
   if not frozen then return result, message end
   return pieces.run(frozen, step_of(work, wanted, parameters, o), options)
end

--- Cut the tiles of all triplets.
--
-- Tiles have the sample rate and the channels of the triplets. A second run cuts what is missing: windows of triplets
-- that were not there, recordings that failed or changed since (by size and time). Tiles of a recording that is
-- gone stay.
-- @tparam table options `input` (Parquet of triplets), `dataset_root` (the folder in
-- which source names begin), `output` (folder), `store` (`packed`, `flac`, `npy`, or `none`:
-- only looks whether the recordings are there), `duration` (7 s), `loc_unit` (for tables of
-- the original system: see `bclua.data.legacy`), `shard` (`3/64`: only this part of the work, see
-- `bclua.workflow.pieces`; whoever does the last one makes the index), `time_limit` (minutes, after which it stops and
-- keeps what is done), `force`, `quiet`
-- @treturn[1] table `{made=, skipped=, failures=, warnings={{path=, step=, what=},...}, stopped=}` numbers of tiles;
-- warnings of silent ones; stopped: time was up; with a shard as from `pieces.run`
-- @treturn[2] nil
-- @treturn[2] string message
function tiles.run(options)
   options = check_options(options, tiles.options)
   local root = options.dataset_root
   if not options.output and options.store ~= "none" then error("option 'output' is missing", 2) end
   if not files.is_folder(root) then return nil, root .. ": no such folder (--dataset-root)" end
   local wanted, message = read_wanted(options.input, options.loc_unit)
   if not wanted then return nil, message end
   wanted.path = options.input
   describe(wanted, root)
   if options.store == "none" then return check_only(wanted, options) end
   local heard
   heard, message = hearing.of_parquet(options.input)
   if not heard then return nil, message end
   local parameters = {duration = options.duration, sample_rate = heard.sample_rate, store = options.store}
   local o = {root = root, output = options.output, store = parameters.store, seconds = parameters.duration,
      sample_rate = parameters.sample_rate}
   if pieces.is_shared(options, o.output .. "/" .. tile_index.unfinished) then
      local ok
      ok, message = system.mkdir(o.output)
      if not ok then return nil, message end
      return run_shard(wanted, options, parameters, o)
   end
   local locked <close>, busy = lock.folder(o.output)
   if not locked then return nil, busy end
   local work
   work, message = plan(wanted, options, parameters, o)
   if not work then return nil, message end
   return cut_and_finish(work, wanted, options, parameters, o)
end

return tiles
