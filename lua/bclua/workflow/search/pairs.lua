--- Which recordings share a call? The best pairs of windows of different
-- recordings, over a whole corpus: squared distances of CENS, as in the profiles.
-- @module bclua.workflow.search.pairs
local account = require "bclua.workflow.account"
local array = require "bclua.array"
local clock = require "bclua.clock"
local count = require("bclua.display").count
local extracted = require "bclua.data.extracted"
local files = require "bclua.files"
local pieces = require "bclua.workflow.pieces"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local search = require "bclua.workflow.search"
local system = require "bclua.system"
local tables = require "bclua.data.tables"
local options_of = require "bclua.options"

local pairs_of = {}

--- The columns of the table of hits, in their order.
pairs_of.columns = {"rank", "source_name", "species", "start_s", "clock_time", "other_source_name", "other_species",
   "other_start_s", "other_clock_time", "distance"}

-- Frames of a group of recordings at most (a pair of groups takes about a second),
-- groups of a small corpus at least, and frames that are compared in one go.
local GROUP, GROUPS, BATCH = 32768, 8, 8192

-- Pairs of frames that a core compares in a second, about: doc/performance.md.
local RATE = 4e8

-- Seconds of work of one core in a piece that shards share: a part of all, within limits.
local PIECES, SHORTEST_S, LONGEST_S = 1024, 10, 600

-- A bound is of many recordings at once, and may differ from the distance in its last bits.
local ROUNDING = 1e-6

local function before(a, b)
   if a.distance ~= b.distance then return a.distance < b.distance end
   if a.a ~= b.a then return a.a < b.a end
   if a.b ~= b.b then return a.b < b.b end
   return a.at < b.at
end

-- The best `top` of what is added, in no more than twice the room, and up to `limit`.
local function best_of(top, limit)
   local hits = {}
   limit = limit or math.huge
   local best = {}
   local function cut()
      table.sort(hits, before)
      for i = top + 1, #hits do hits[i] = nil end
      if #hits == top then limit = math.min(limit, hits[top].distance) end
   end
   function best.limit() return limit end -- what is above is not among them
   function best.add(hit)
      if hit.distance > limit then return end
      hits[#hits + 1] = hit
      if #hits >= 2 * top then cut() end
   end
   function best.list()
      cut()
      return hits
   end
   return best
end

-- The features of a group in f64, and where each recording is if all are in a row. Frames of
-- digital silence (all zero) become NaN: no window that has one takes part, as
-- all silences are alike.
local function load_group(group, failures)
   local kept, frames = {}, 0
   for _, item in ipairs(group) do
      local c, message = extracted.features(item)
      if c then
         c = c:copy("f64")
         local most = c:max(1):table()
         for t = 1, #most do
            if most[t] == 0 then c:slice(2, t, t):fill(0 / 0) end
         end
         kept[#kept + 1] = {number = item.number, x = c, first = frames + 1, till = frames + #most}
         frames = frames + #most
      else
         failures[#failures + 1] = {path = item.name, step = "search", reason = message}
      end
   end
   return kept
end

-- The windows of a that are like one of b, best first, not overlapping on either side.
local function compare(best, a, b, o)
   local stomp = require "bclua.stomp"
   local profile = stomp.join(a.x, b.x, o.window)
   if profile.distance:min() > best.limit() then return end
   for _, m in ipairs(stomp.motifs(profile, o.per_pair, {exclusion = o.window - 1})) do
      if m.distance > best.limit() then break end
      best.add({a = a.number, at = m.at, b = b.number, twin = m.twin, distance = m.distance})
   end
end

local function concat(recordings)
   local parts = {}
   for i, r in ipairs(recordings) do parts[i] = r.x end
   return #parts > 0 and array.concat(parts, 2) or nil
end

-- Compare every recording of rows with several of others at once: how near is the
-- nearest window of them? Windows that reach over the end of one are no harm, for
-- it is only a bound. Within a group (rows = others) each pair once.
local function bounds_of(rows, others, window)
   local stomp = require "bclua.stomp"
   local all, list = concat(others), {}
   for i, a in ipairs(rows) do
      local first = rows == others and i + 1 or 1
      while first <= #others do
         local from, last = others[first].first, first
         while last < #others and others[last].till - from < BATCH do last = last + 1 end
         local profile = stomp.join(a.x, all:slice(2, from, others[last].till), window)
         list[#list + 1] = {distance = profile.distance:min(), a = a, first = first, last = last}
         first = last + 1
      end
   end
   return list
end

--- The best pairs between two groups of recordings, or within one, on a worker state.
-- Recordings are compared with several at once, then with each of them where there
-- is something near enough, nearest first.
-- @tparam table item `{g, h, limit}` numbers of groups; what is further is of no account
-- @tparam table o `groups` (lists of what `extracted.locate` gives, with `number`), `window`, `top`, `per_pair`
-- @treturn table `hits` `{a=, at=, b=, twin=, distance=}`: recordings a < b, frames; `failures`
function pairs_of.one(item, o)
   local failures, best = {}, best_of(o.top, item[3])
   local rows = load_group(o.groups[item[1]], failures)
   local others = item[1] == item[2] and rows or load_group(o.groups[item[2]], failures)
   local bounds = bounds_of(rows, others, o.window)
   table.sort(bounds, function(a, b) return a.distance < b.distance end)
   for _, bound in ipairs(bounds) do
      if bound.distance - ROUNDING > best.limit() then break end
      for k = bound.first, bound.last do compare(best, bound.a, others[k], o) end
   end
   return {hits = best.list(), failures = failures}
end

-- Recordings in groups of about as many frames.
local function divide(rows, features, window, r)
   local groups, items, total = {}, {}, 0
   for number, row in ipairs(rows) do
      if row.duration_cens < window then
         r.short = r.short + 1
      else
         local item = search.locate(row, features)
         item.number = number
         items[#items + 1] = item
         total = total + item.frames
      end
   end
   local room, held = math.min(GROUP, total / GROUPS), math.huge
   for _, item in ipairs(items) do
      if held >= room then groups[#groups + 1], held = {}, 0 end
      table.insert(groups[#groups], item)
      held = held + item.frames
   end
   return groups, #items
end

-- All pairs of n groups, row by row, are tiles with numbers from 1: those from first to last as {g, h}.
local function tiles_of(n, first, last)
   local list, g, before_row = {}, 1, 0
   while before_row + n - g + 1 < first do before_row, g = before_row + n - g + 1, g + 1 end
   local h = g + first - before_row - 1
   for i = 1, last - first + 1 do
      list[i], h = {g, h}, h + 1
      if h > n then g, h = g + 1, g + 1 end
   end
   return list
end

local function count_tiles(groups) return #groups * (#groups + 1) // 2 end

-- All tiles, and how many pairs of recordings are done after each.
local function make_tiles(groups)
   local tiles, done, sum = tiles_of(#groups, 1, count_tiles(groups)), {}, 0
   for i, tile in ipairs(tiles) do
      local n = #groups[tile[1]]
      sum = sum + (tile[1] == tile[2] and n * (n - 1) // 2 or n * #groups[tile[2]])
      done[i] = sum
   end
   return tiles, done, sum
end

local COUNT, TEXT = {"integer", least = 0, needed = true}, {"string", needed = true}
local FOUND = {hits = {"list", needed = true, of = {"table", of = {a = COUNT, at = COUNT, b = COUNT, twin = COUNT,
      distance = {"number", needed = true}}}},
   failures = {"list", needed = true, of = {"table", of = {path = TEXT, step = TEXT, reason = TEXT}}}}
local PARTIAL = options_of.extend(FOUND, {parameters = {"table", needed = true}, done = COUNT})

-- What an interrupted run left: tiles that are done, their hits and failures.
local function resume(path, parameters)
   local kept = path and files.exists(path) and tables.read_json(path, PARTIAL)
   if not kept or provenance.difference(kept.parameters, parameters) then return 0, {}, {} end
   return kept.done, kept.hits, kept.failures
end

local function save(path, parameters, done, hits, failures)
   return files.write_json(path, {parameters = parameters, done = done, hits = hits, failures = failures})
end

local function add_failures(failures, seen, more)
   for _, f in ipairs(more) do
      if not seen[f.path] then
         seen[f.path] = true
         failures[#failures + 1] = f
      end
   end
end

-- Tiles for workers, to whom the best so far are known when they are free.
local function with_limit(tiles, skipped, best)
   return setmetatable({}, {__len = function() return #tiles - skipped end, __index = function(_, i)
      local tile = tiles[skipped + i]
      return {tile[1], tile[2], best.limit()}
   end})
end

-- The best pairs of all tiles.
local function run_tiles(groups, o, partial, parameters, options, r)
   local parallel = require "bclua.parallel"
   local tiles, done_after, total = make_tiles(groups)
   local skipped, hits, failures = resume(partial, parameters)
   local best, seen, saved = best_of(o.top), {}, system.clock()
   for _, hit in ipairs(hits) do best.add(hit) end
   add_failures(r.failures, seen, failures)
   local todo = with_limit(tiles, skipped, best)
   local before_s = skipped > 0 and done_after[skipped] or 0
   local bar = progress.new("search", total, {unit = "pairs of recordings", kept = partial ~= nil, done = before_s,
      quiet = options.quiet})
   for i, result, why in parallel.map(todo, "bclua.workflow.search.pairs", "one", o) do
      if not result then return nil, why end
      for _, hit in ipairs(result.hits) do best.add(hit) end
      add_failures(r.failures, seen, result.failures)
      bar:update(done_after[skipped + i] - before_s)
      if partial and system.clock() - saved >= options.save_every then
         local ok, message = save(partial, parameters, skipped + i, best.list(), r.failures)
         if not ok then return nil, message end
         saved = system.clock()
      end
   end
   r.compared, r.resumed = total - before_s, skipped
   bar:finish(("%d recordings, %d shorter than the window, %d failed; %d pairs of recordings in %s%s"):format(
      r.searched - #r.failures, r.short, #r.failures, total - before_s, progress.duration(bar:elapsed()),
      provenance.listed(r.failures, "failed", provenance.failures_of(options.output))))
   return best.list()
end

local function describe(hits, rows, rate)
   for i, hit in ipairs(hits) do
      local a, b = rows[hit.a], rows[hit.b]
      hits[i] = {rank = i, source_name = a.source_name, species = a.species, start_s = hit.at / rate,
         clock_time = clock.at(a.recorded_at, hit.at / rate), other_source_name = b.source_name,
         other_species = b.species, other_start_s = hit.twin / rate,
         other_clock_time = clock.at(b.recorded_at, hit.twin / rate), distance = hit.distance}
   end
   return hits
end

-- ---- By many processes ----

--- Seconds of work of one core, about, as SQL.
-- @tparam string frames of all recordings, in SQL
-- @treturn string
function pairs_of.work_s(frames) return ("%s ** 2 / %.17g"):format(frames, 2 * RATE) end

-- The same.
local function work_of(groups)
   local frames = 0
   for _, group in ipairs(groups) do
      for _, item in ipairs(group) do frames = frames + item.frames end
   end
   return frames ^ 2 / (2 * RATE)
end

-- The pieces for a manifest: some tiles in a row each.
local function items_of(groups, options)
   local work_s, all, items = work_of(groups), count_tiles(groups), {}
   local length = options.piece_s or math.min(math.max(work_s / PIECES, SHORTEST_S), LONGEST_S)
   local each = math.max(1, math.floor(length / work_s * all + 0.5))
   for first = 1, all, each do
      local last = math.min(first + each - 1, all)
      items[#items + 1] = {piece = #items + 1, source_name = ("tiles %d to %d"):format(first, last),
         path = options.input, seconds = work_s * (last - first + 1) / all}
   end
   return items
end

-- The best pairs of a piece, of those that may be among the best of all: none above the limit.
local function do_piece(item, groups, o, limit, beat)
   local first, last = item.source_name:match("^tiles (%d+) to (%d+)$")
   local tiles = tiles_of(#groups, math.tointeger(first), math.tointeger(last))
   local best, failures, seen = best_of(o.top, limit), {}, {}
   for _, result, why in require("bclua.parallel").map(with_limit(tiles, 0, best), "bclua.workflow.search.pairs", "one",
      o) do
      if not result then return nil, why end
      for _, hit in ipairs(result.hits) do best.add(hit) end
      add_failures(failures, seen, result.failures)
      beat()
   end
   return {hits = best.list(), failures = failures}, best.limit()
end

-- The pieces of a manifest, for `bclua.workflow.pieces`; `finish(hits, failures)` writes the output.
local function step_of(groups, o, options, finish)
   local folder = pieces.folder(options.output)
   local step = {name = "search", folder = folder, output = options.output, unit = "pieces"}
   local limit -- of all pieces that we have done
   function step.path(number) return ("%s/piece-%06d.json"):format(folder, number) end
   function step.look(number, list)
      return tables.read_json(step.path(number), FOUND) and {[list[1].source_name] = true} or nil
   end
   function step.run(list, keep, beat)
      for _, item in ipairs(list) do
         local found, reached = do_piece(item, groups, o, limit, beat)
         if not found then return nil, reached end
         limit = reached
         local goes_on, message = keep(item, {seconds = item.seconds, kept = found})
         if not goes_on then return goes_on, message end
      end
      return true
   end
   function step.write(number, kept) return files.write_json(step.path(number), kept[1]) end
   function step.merge(paths)
      local best, failures, seen = best_of(o.top), {}, {}
      for _, path in ipairs(paths) do
         local found, message = tables.read_json(path, FOUND)
         if not found then return nil, message end
         for _, hit in ipairs(found.hits) do best.add(hit) end
         add_failures(failures, seen, found.failures)
      end
      return finish(best.list(), failures)
   end
   return step
end

local function run_shard(groups, o, made, options, finish)
   if not options.output then return nil, "--shard, --claim and --time-limit: need --output" end
   made.pieces = "search"
   local frozen, message = pieces.open(options.output, nil, made, function() return items_of(groups, options) end)
   if not frozen then return nil, message end
   return pieces.run(frozen, step_of(groups, o, options, finish), options)
end

--- What `run` takes.
pairs_of.options = options_of.extend(require("bclua.workflow.search").options, {query = false, start = false,
   channel = false, dataset_root = false, with_query = false, save_every = {"number", default = 5, least = 0},
   piece_s = {"number", above = 0}, shard = pieces.rules.shard, claim = pieces.rules.claim, stale = pieces.rules.stale,
   time_limit = pieces.rules.time_limit})

local function say_estimate(groups, searched, quiet)
   local work_s, threads = work_of(groups), system.threads()
   progress.note(("search: %s, all against all: about %s of one core, %s on %d"):format(count(searched, "recording"),
      progress.duration(work_s), progress.duration(work_s / threads), threads), quiet)
end

--- Compare all recordings of a corpus with all others.
-- @tparam table options `input` (Parquet from `consolidate`), `top` (20), `per_recording`
-- (1: pairs of windows of the same two recordings at most, not overlapping on either
-- side), `seconds` (length of the windows; default that of the matrix profiles),
-- `features` (the folder that `extract` wrote), `output` (.parquet or .csv; beside
-- it `.partial` keeps what is done, for a second run to go on, written every
-- `save_every` seconds, 5), `shard` (`3/64`: only this part of the work, see `bclua.workflow.pieces`; pieces are
-- `piece_s` seconds of work of one core, by default a 1024th of all, 10 to 600), or `claim` and `stale` as for
-- `bclua.workflow.extract`, `time_limit` (minutes, after which it stops and keeps what is done), `force`, `quiet`
-- @treturn[1] table `{hits={{rank=,source_name=,species=,start_s=,clock_time=,other_source_name=,
-- other_species=,other_start_s=,other_clock_time=,distance=},...}, seconds=, searched=, short=, failures=}`; with a
-- shard or a time limit as from `pieces.run`
-- @treturn[2] nil
-- @treturn[2] string message
function pairs_of.run(options)
   options = options_of.check(options, pairs_of.options)
   local rows, p = search.read_corpus(options.input)
   if not rows then return nil, p end
   local features, message = search.find_features({input = options.input, features = options.features}, rows)
   if not features then return nil, message end
   local window = p.matrix_profile_window
   if options.seconds then window = math.floor(options.seconds * p.cens_sample_rate + 0.5) end
   if window < 1 then
      return nil, ("--seconds %g is less than a frame (%g s)"):format(options.seconds, 1 / p.cens_sample_rate)
   end
   local top, per_pair = options.top, options.per_recording
   local parameters = {all = true, seconds = window / p.cens_sample_rate, top = top, per_recording = per_pair}
   local ok
   ok, message = search.check_output(options, parameters)
   if not ok then return nil, message end

   local r = {failures = {}, short = 0, seconds = parameters.seconds}
   local groups
   groups, r.searched = divide(rows, features, window, r)
   if r.searched < 2 then
      return nil, ("%s: fewer than two recordings are as long as the window (%g s)"):format(options.input, r.seconds)
   end
   local function finish(hits, failures)
      if #failures >= r.searched then
         return nil, options.input .. ": " .. account.all_failed(#failures, failures)
      end
      r.hits = describe(hits, rows, p.cens_sample_rate)
      local written, why = search.write(options.output, r.hits, pairs_of.columns, parameters)
      if not written or not options.output then return written, why end
      return provenance.write_failures(provenance.failures_of(options.output), failures)
   end
   say_estimate(groups, r.searched, options.quiet)
   local o = {groups = groups, window = window, top = top, per_pair = per_pair}
   local made = {features = features, groups = #groups}
   for k, v in pairs(parameters) do made[k] = v end
   made.bytes, made.modified = files.stamp(options.input)
   if options.time_limit or options.shard or options.claim or
      options.output and pieces.is_shared(options, pieces.folder(options.output)) then
      return run_shard(groups, o, made, options, finish)
   end
   local locked <close>, busy = require("bclua.lock").take(options.output)
   if not locked then return nil, busy end
   local partial = options.output and options.output .. ".partial"
   local hits
   hits, message = run_tiles(groups, o, partial, made, options, r)
   if not hits then return nil, message end
   ok, message = finish(hits, r.failures)
   if not ok then return nil, message end
   if partial then os.remove(partial) end
   return r
end

--- The hits as text: a line a pair.
-- @tparam table r from `run`
-- @treturn string
function pairs_of.text(r)
   return ("windows of %.1f s\n%s\n"):format(r.seconds, search.lines(r.hits, {"rank", "source_name", "start_s",
      "clock_time", "other_source_name", "other_start_s", "other_clock_time", "distance"}))
end

return pairs_of
