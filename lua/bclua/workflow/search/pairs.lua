--- Which recordings share a call? The best pairs of windows of different
-- recordings, over a whole corpus: squared distances of CENS, as in the profiles.
-- @module bclua.workflow.search.pairs
local array = require "bclua.array"
local clock = require "bclua.clock"
local extracted = require "bclua.data.extracted"
local files = require "bclua.files"
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
      if bound.distance > best.limit() then break end
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

-- All pairs of groups, and how many pairs of recordings are done after each.
local function make_tiles(groups)
   local tiles, done, sum = {}, {}, 0
   for g = 1, #groups do
      for h = g, #groups do
         local n = #groups[g]
         sum = sum + (g == h and n * (n - 1) // 2 or n * #groups[h])
         tiles[#tiles + 1], done[#done + 1] = {g, h}, sum
      end
   end
   return tiles, done, sum
end

local COUNT, TEXT = {"integer", least = 0, needed = true}, {"string", needed = true}
local PARTIAL = {parameters = {"table", needed = true}, done = COUNT,
   hits = {"list", needed = true, of = {"table", of = {a = COUNT, at = COUNT, b = COUNT, twin = COUNT,
      distance = {"number", needed = true}}}},
   failures = {"list", needed = true, of = {"table", of = {path = TEXT, step = TEXT, reason = TEXT}}}}

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

-- The best pairs of all tiles.
local function run_tiles(groups, o, partial, parameters, options, r)
   local parallel, progress = require "bclua.parallel", require "bclua.progress"
   local tiles, done_after, total = make_tiles(groups)
   local skipped, hits, failures = resume(partial, parameters)
   local best, seen, saved = best_of(o.top), {}, system.clock()
   for _, hit in ipairs(hits) do best.add(hit) end
   add_failures(r.failures, seen, failures)
   local todo = setmetatable({}, {__len = function() return #tiles - skipped end, __index = function(_, i)
      local tile = tiles[skipped + i] -- asked for when a worker is free: the best so far are known
      return {tile[1], tile[2], best.limit()}
   end})
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
   bar:finish(("%d recordings, %d shorter than the window, %d failed; %d pairs of recordings in %s"):format(
      r.searched - #r.failures, r.short, #r.failures, total - before_s, progress.duration(bar:elapsed())))
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

--- What `run` takes.
pairs_of.options = options_of.extend(require("bclua.workflow.search").options, {query = false, start = false,
   channel = false, dataset_root = false, with_query = false, save_every = {"number", default = 5, least = 0}})

--- Compare all recordings of a corpus with all others.
-- @tparam table options `input` (Parquet from `consolidate`), `top` (20), `per_recording`
-- (1: pairs of windows of the same two recordings at most, not overlapping on either
-- side), `seconds` (length of the windows; default that of the matrix profiles),
-- `features` (the folder that `extract` wrote), `output` (.parquet or .csv; beside
-- it `.partial` keeps what is done, for a second run to go on, written every
-- `save_every` seconds, 5), `force`, `quiet`
-- @treturn[1] table `{hits={{rank=,source_name=,species=,start_s=,clock_time=,other_source_name=,
-- other_species=,other_start_s=,other_clock_time=,distance=},...}, seconds=, searched=, short=, failures=}`
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

   local locked <close>, busy = require("bclua.lock").take(options.output)
   if not locked then return nil, busy end
   local r = {failures = {}, short = 0, seconds = parameters.seconds}
   local groups
   groups, r.searched = divide(rows, features, window, r)
   if r.searched < 2 then
      return nil, ("%s: fewer than two recordings are as long as the window (%g s)"):format(options.input, r.seconds)
   end
   local o = {groups = groups, window = window, top = top, per_pair = per_pair}
   local partial = options.output and options.output .. ".partial"
   local made = {features = features, groups = #groups}
   for k, v in pairs(parameters) do made[k] = v end
   made.bytes, made.modified = files.stamp(options.input)
   r.hits, message = run_tiles(groups, o, partial, made, options, r)
   if not r.hits then return nil, message end
   if #r.failures >= r.searched then
      return nil, ("%s: all %d recordings failed, the first: %s"):format(options.input, #r.failures,
         r.failures[1].reason)
   end
   describe(r.hits, rows, p.cens_sample_rate)
   ok, message = search.write(options.output, r.hits, pairs_of.columns, parameters)
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
