--- What motifs become of other parameters: features and their rate, length of the window, exclusion zone.
--
-- Two yardsticks. Where the true times of the calls are known (`calls.csv` of a synthetic data set): what part
-- of the two windows of a motif is call, and in what part both have the same song at the same place. And on any
-- recording the call score (`bclua.workflow.score`): where the motif's windows stand among all windows of their length.
-- @module bclua.workflow.experiments.motif_sweep
local dataset = require "bclua.data.dataset"
local files = require "bclua.files"
local features_of = require "bclua.workflow.features"
local hearing = require "bclua.data.hearing"
local schemas = require "bclua.data.schemas"
local tables = require "bclua.data.tables"
local check_options = require("bclua.options").check

local motif_sweep = {}

local GRID_S = 0.5 -- between windows that a motif's score is compared with

--- What is measured of a motif, by recording; those of calls only where calls are known.
--
-- * `calls`: share of its two windows that is call; `same`: in which both have the same song; `both`: 1 if half
--   of either window is call; `discord`: share of the discord's window that is call; `chance`: of the whole recording
-- * `score`: mean of the two windows' call scores, decibels; `rank`: share of all windows of the recording with a
--   lower score (0.5: no better than any); `wins`: 1 if that of the first is not below the discord's
motif_sweep.measures = {"calls", "same", "both", "discord", "chance", "score", "rank", "wins"}

--- Of two windows, the seconds in which both have the same song.
-- @tparam {table,...} calls `{start_s=, end_s=, song=}`
-- @tparam number a start of a window
-- @tparam number b of the other
-- @tparam number seconds of both
function motif_sweep.same_song(calls, a, b, seconds)
   local sum = 0
   for _, c in ipairs(calls) do
      for _, d in ipairs(calls) do
         if c.song == d.song then
            local from, to = math.max(c.start_s - a, d.start_s - b, 0), math.min(c.end_s - a, d.end_s - b, seconds)
            sum = sum + math.max(0, to - from)
         end
      end
   end
   return sum
end

local function judge_calls(row, calls, w, duration)
   local a, b = dataset.covered_s(calls, row.a, row.a + w) / w, dataset.covered_s(calls, row.b, row.b + w) / w
   row.calls, row.both = (a + b) / 2, a >= 0.5 and b >= 0.5 and 1 or 0
   row.same = motif_sweep.same_song(calls, row.a, row.b, w) / w
   row.discord = dataset.covered_s(calls, row.d, row.d + w) / w
   row.chance = dataset.covered_s(calls, 0, duration) / duration
end

--- The share of a list that is below x; what is equal counts half.
function motif_sweep.rank_in(sorted, x)
   local below, equal = 0, 0
   for _, v in ipairs(sorted) do
      if v < x then below = below + 1 elseif v == x then equal = equal + 1 end
   end
   return (below + equal / 2) / #sorted
end

local function judge_scores(rows, y, w, sample_rate)
   local starts = {}
   for _, row in ipairs(rows) do
      starts[#starts + 1], starts[#starts + 2], starts[#starts + 3] = row.a, row.b, row.d
   end
   local grid = {}
   for k = 0, math.max(0, math.floor((#y / sample_rate - w) / GRID_S)) do starts[#starts + 1] = k * GRID_S end
   local measured = require("bclua.workflow.score").measure(y, starts, w, nil,
      {sample_rate = sample_rate, fmin = 0, fmax = 0})
   for i = 3 * #rows + 1, #starts do grid[#grid + 1] = measured[i].score end
   for i, row in ipairs(rows) do
      local a, b, d = measured[3 * i - 2].score, measured[3 * i - 1].score, measured[3 * i].score
      row.rank = (motif_sweep.rank_in(grid, a) + motif_sweep.rank_in(grid, b)) / 2
      row.score, row.wins = (a + b) / 2, a >= d and 1 or 0
   end
end

-- Motif and discord of one setting; nil where the recording is too short for it.
local function find(c, name, rate, window_s, exclusion)
   local stomp = require "bclua.stomp"
   local window = math.floor(rate * window_s + 0.5)
   if c:shape(2) < window then return nil end
   local profile = stomp.self_join(c, window, {exclusion = math.floor(exclusion * window + 0.5)})
   local motif, discord = stomp.motifs(profile, 1)[1], stomp.discords(profile, 1)[1]
   if not (motif and discord) then return nil end
   return {features = name, rate = rate, window_s = window_s, exclusion = exclusion, a = motif.at / rate,
      b = motif.twin / rate, d = discord.at / rate}
end

--- All settings on one recording; on a worker state.
-- @tparam table item `{path=, calls=}`; calls: `{s=, e=, song=}` in seconds, nil if not known
-- @tparam table o `sample_rate`, `features` (names), `rates` (frames a second), `windows_s`, `exclusions` (parts of a
-- window)
-- @treturn[1] {table,...} a row a setting: `features`, `rate`, `window_s`, `exclusion`, `a`, `b`, `d` (starts of the
-- motif's windows and the discord's, seconds) and the `measures`; none where one setting is too long for the recording
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function motif_sweep.one(item, o)
   local y, message = require("bclua.audio").load(item.path, {sample_rate = o.sample_rate})
   if not y then return nil, message end
   if #y == 0 or y:max() == y:min() then return nil, item.path .. ": no sound in it" end
   local list, found = {}, {}
   for _, name in ipairs(o.features) do
      for _, rate in ipairs(o.rates) do
         found[#found + 1] = {name = name, rate = rate, x = features_of.compute(y, {features = name,
            sample_rate = o.sample_rate, cens_sample_rate = rate})}
      end
   end
   for _, w in ipairs(o.windows_s) do
      local rows = {}
      for _, f in ipairs(found) do
         for _, exclusion in ipairs(o.exclusions) do
            local row = find(f.x, f.name, f.rate, w, exclusion)
            if not row then return {} end
            if item.calls then judge_calls(row, item.calls, w, #y / o.sample_rate) end
            rows[#rows + 1] = row
         end
      end
      judge_scores(rows, y, w, o.sample_rate)
      table.move(rows, 1, #rows, #list + 1, list)
   end
   return list
end

-- calls by source name; nil without a calls.csv.
local function read_calls(data)
   local path = data .. "/calls.csv"
   if not files.exists(path) then return nil end
   local relation, message = tables.open(path, schemas.calls, {"file", "start_s", "end_s", "song"})
   if not relation then return nil, message end
   local rows
   rows, message = require("bclua.sql").query(("select file, start_s, end_s, song from %s"):format(relation))
   if not rows then return nil, message end
   local calls = {}
   for _, row in ipairs(rows) do
      calls[row.file] = calls[row.file] or {}
      table.insert(calls[row.file], row)
   end
   return calls
end

-- The recordings of one random sample a seed, each once.
local function sample(list, count, seeds)
   local taken, chosen = {}, {}
   for _, seed in ipairs(seeds) do
      local order = require("bclua.sampling").generator(seed):shuffle(#list)
      for i = 1, math.min(count, #list) do taken[order[i]] = true end
   end
   for i, item in ipairs(list) do
      if taken[i] then chosen[#chosen + 1] = item end
   end
   return chosen
end

local function rounded(x) return math.floor(x * 1e4 + 0.5) / 1e4 end

--- Means over recordings, and the standard errors of these means.
-- @tparam {table,...} rows as from `one`, of all recordings
-- @treturn {table,...} a row a setting, in order of features, window, rate, exclusion: `recordings`, the `measures` and
-- `NAME_error`, to four digits
function motif_sweep.summarise(rows)
   local of, list = {}, {}
   for _, row in ipairs(rows) do
      local key = ("%s %.17g %.17g %.17g"):format(row.features, row.rate, row.window_s, row.exclusion)
      if not of[key] then
         of[key] = {features = row.features, rate = row.rate, window_s = row.window_s, exclusion = row.exclusion,
            recordings = 0, all = {}}
         list[#list + 1] = of[key]
      end
      of[key].recordings = of[key].recordings + 1
      table.insert(of[key].all, row)
   end
   for _, s in ipairs(list) do
      for _, name in ipairs(motif_sweep.measures) do
         if s.all[1][name] then
            local sum, squares, n = 0, 0, #s.all
            for _, row in ipairs(s.all) do sum = sum + row[name] end
            for _, row in ipairs(s.all) do squares = squares + (row[name] - sum / n) ^ 2 end
            s[name], s[name .. "_error"] = rounded(sum / n), rounded(n > 1 and math.sqrt(squares / (n - 1) / n) or 0)
         end
      end
      s.all = nil
   end
   table.sort(list, function(a, b)
      if a.features ~= b.features then return a.features < b.features end
      if a.window_s ~= b.window_s then return a.window_s < b.window_s end
      if a.rate ~= b.rate then return a.rate < b.rate end
      return a.exclusion < b.exclusion
   end)
   return list
end

local function check(o)
   for _, rate in ipairs(o.rates) do
      if not (rate > 0 and o.sample_rate % rate == 0) then
         return nil, ("frame rate %g: does not divide the sample rate %d"):format(rate, o.sample_rate)
      end
      for _, w in ipairs(o.windows_s) do
         if rate * w < 2 then return nil, ("a window of %g s has less than 2 frames at %g a second"):format(w, rate) end
      end
   end
   return true
end

local POSITIVE = {"list", of = {"number", above = 0}, items = "numbers", shortest = 1, needed = true}
local OPTIONS = {data = {"string", needed = true}, sample_rate = hearing.settings.sample_rate,
   features = {"list", of = {"choice", features_of.names}, items = "names", shortest = 1, default = {"cens"}},
   rates = POSITIVE, windows_s = POSITIVE,
   exclusions = {"list", of = {"number", least = 0}, items = "numbers", shortest = 1, needed = true},
   recordings = {"integer", least = 0, needed = true},
   seeds = {"list", of = {"integer", least = 0}, items = "integers", shortest = 1, needed = true}, quiet = "boolean"}

--- Try all settings on a sample of recordings, in parallel.
-- @tparam table options `data` (folder, see `recordings.layout`), `features` ({"cens"}), `rates`, `windows_s`,
-- `exclusions`, `recordings` (of a sample), `seeds` (of samples), `sample_rate` (32000), `quiet`
-- @treturn[1] table `rows` (see `summarise`), `recordings`, `short` (too short for a setting: left out),
-- `has_calls`, `failures`
-- @treturn[2] nil
-- @treturn[2] string message
function motif_sweep.run(options)
   options = check_options(options, OPTIONS)
   local parallel, progress = require "bclua.parallel", require "bclua.progress"
   local recordings = require "bclua.data.recordings"
   local o = {sample_rate = options.sample_rate, features = options.features, rates = options.rates,
      windows_s = options.windows_s, exclusions = options.exclusions}
   local ok, message = check(o)
   if not ok then return nil, message end
   local layout, list, calls
   layout, message = recordings.layout(options.data)
   if layout then list, message = recordings.list(layout.audio) end
   if list then calls, message = read_calls(options.data) end
   if message then return nil, message end
   local items, r, all = {}, {failures = {}, recordings = 0, short = 0, has_calls = calls ~= nil}, {}
   for i, item in ipairs(sample(list, options.recordings, options.seeds)) do
      items[i] = {path = item.path, calls = calls and (calls[item.source_name] or {})}
   end
   local bar = progress.new("motifs", #items, {unit = "recordings", quiet = options.quiet})
   for i, rows, why in parallel.map(items, "bclua.workflow.experiments.motif_sweep", "one", o) do
      if not rows then
         r.failures[#r.failures + 1] = {path = items[i].path, step = "motifs", reason = why}
      elseif #rows == 0 then
         r.short = r.short + 1
      else
         r.recordings = r.recordings + 1
         table.move(rows, 1, #rows, #all + 1, all)
      end
      bar:update(i)
   end
   bar:finish()
   if r.recordings == 0 then
      return nil, ("%s: none of %d recordings can be used: %d are too short for the longest window, %d failed%s")
         :format(options.data, #items, r.short, #r.failures,
         r.failures[1] and ", the first: " .. r.failures[1].reason or "")
   end
   r.rows = motif_sweep.summarise(all)
   return r
end

return motif_sweep
