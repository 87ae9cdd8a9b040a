--- What sets of repeated calls become of other features, lengths of the window and shares (see `workflow.discover`):
-- against the true ones, where these are known, and by the call score of their windows.
-- @module bclua.workflow.experiments.set_sweep
local account = require "bclua.workflow.account"
local dataset = require "bclua.data.dataset"
local discover = require "bclua.workflow.discover"
local features_of = require "bclua.workflow.features"
local files = require "bclua.files"
local hearing = require "bclua.data.hearing"
local motif_sweep = require "bclua.workflow.experiments.motif_sweep"
local options_of = require "bclua.options"
local prom = require "bclua.evaluate.prom"
local windows = require "bclua.workflow.discover.windows"

local set_sweep = {}

local GRID_S = 0.5 -- between windows that those of sets are compared with

-- The true sets of a recording: windows by species and song.
local function truth_of(calls)
   local of, truth = {}, {}
   for _, c in ipairs(calls) do
      local key = ("%s %s"):format(c.species, c.song)
      if not of[key] then
         of[key] = {}
         truth[#truth + 1] = of[key]
      end
      table.insert(of[key], {c.start_s, c.end_s})
   end
   return truth
end

-- The sum of the ranks by call score of the windows that begin at `starts`, among all of the recording.
local function rank_sum(starts, y, w, sample_rate)
   local all, sum = table.move(starts, 1, #starts, 1, {}), 0
   for k = 0, math.max(0, math.floor((#y / sample_rate - w) / GRID_S)) do all[#all + 1] = k * GRID_S end
   local measured = require("bclua.workflow.score").measure(y, all, w, nil, {sample_rate = sample_rate})
   local grid = {}
   for i = #starts + 1, #all do grid[#grid + 1] = measured[i].score end
   for i = 1, #starts do sum = sum + motif_sweep.rank_in(grid, measured[i].score) end
   return sum
end

--- All settings on one recording; on a worker state.
-- @tparam table item `{path=, calls=}`, calls as in calls.csv; nil: they are not known
-- @tparam table o `sample_rate`, `features` (names), `windows_s`, `shares`, `fewest`
-- @treturn[1] {table,...} a row a setting: `features`, `window_s`, `share`, `sets`, `found` (windows), `covered` (by
-- them) of `seconds`, `rank` (the sum of their ranks), and with calls `agreeing`, `true`, see `prom.judge`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function set_sweep.one(item, o)
   local y, message = require("bclua.audio").load(item.path, {sample_rate = o.sample_rate})
   if not y then return nil, message end
   if #y == 0 or y:max() == y:min() then return nil, item.path .. ": no sound in it" end
   local list, truth = {}, item.calls and truth_of(item.calls)
   for _, name in ipairs(o.features) do
      local x = features_of.compute(y, {features = name, sample_rate = o.sample_rate, cens_sample_rate = o.rate})
      for _, w in ipairs(o.windows_s) do
         for _, share in ipairs(o.shares) do
            local sets = windows.sets(x, {window = math.floor(w * o.rate + 0.5), share = share, fewest = o.fewest})
            local found, starts = {}, {}
            for i, set in ipairs(sets) do
               found[i] = {}
               for m, at in ipairs(set.at) do
                  found[i][m], starts[#starts + 1] = {at / o.rate, at / o.rate + w}, at / o.rate
               end
            end
            local row = prom.judge(truth or {}, found)
            row.features, row.window_s, row.share, row.sets = name, w, share, #sets
            row.seconds, row.covered = #y / o.sample_rate, #starts * w -- no two windows overlap
            row.rank = #starts > 0 and rank_sum(starts, y, w, o.sample_rate) or 0
            list[#list + 1] = row
         end
      end
   end
   return list
end

local NUMBERS = {"list", of = {"number", above = 0}, items = "numbers", shortest = 1, needed = true}
local OPTIONS = {data = {"string", needed = true}, sample_rate = hearing.settings.sample_rate,
   features = {"list", of = {"choice", features_of.names}, items = "names", shortest = 1, default = {"mel"}},
   rate = {"integer", least = 1, default = 10}, windows_s = NUMBERS, shares = NUMBERS,
   fewest = discover.rules.fewest, quiet = "boolean"}

--- Try all settings on all recordings of a folder, in parallel.
-- @tparam table options `data` (folder, see `recordings.layout`), `features` ({"mel"}), `rate` (10 frames a second),
-- `windows_s`, `shares`, `fewest` (3), `sample_rate` (32000), `quiet`
-- @treturn[1] table `rows`: a setting each, summed over recordings: `features`, `window_s`, `share`, `recordings` (that
-- have sets), `sets`, `found` (windows), `cover` (by them, of the sound), `rank` (their mean), and where calls are
-- known `precision`, `recall`, `f1`; `has_calls`, `recordings`, `failures`
-- @treturn[2] nil
-- @treturn[2] string message
function set_sweep.run(options)
   options = options_of.check(options, OPTIONS)
   local progress, recordings = require "bclua.progress", require "bclua.data.recordings"
   local layout, list, all, calls
   local message
   layout, message = recordings.layout(options.data)
   if not layout then return nil, message end
   list, message = recordings.list(layout.audio)
   if not list then return nil, message end
   if files.exists(options.data .. "/calls.csv") then
      all, calls = dataset.calls(options.data)
      if not all then return nil, calls end
   end
   local items, by_key, r = {}, {}, {rows = {}, failures = {}, recordings = 0, has_calls = calls ~= nil}
   for i, item in ipairs(list) do
      items[i] = {path = item.path, calls = calls and (calls[item.source_name] or {})}
   end
   local bar = progress.new("sets", #items, {unit = "recordings", quiet = options.quiet})
   for i, rows, why in require("bclua.parallel").map(items, "bclua.workflow.experiments.set_sweep", "one", options) do
      r.recordings = r.recordings + (rows and 1 or 0)
      if not rows then r.failures[#r.failures + 1] = {path = items[i].path, step = "sets", reason = why} end
      for k, row in ipairs(rows or {}) do
         local sum = by_key[k] or {features = row.features, window_s = row.window_s, share = row.share, recordings = 0,
            sets = 0, found = 0, covered = 0, seconds = 0, rank = 0, agreeing = 0,
            ["true"] = 0}
         by_key[k], r.rows[k] = sum, sum
         sum.recordings = sum.recordings + (row.sets > 0 and 1 or 0)
         for _, name in ipairs{"sets", "found", "covered", "seconds", "rank", "agreeing", "true"} do
            sum[name] = sum[name] + row[name]
         end
      end
      bar:update(i)
   end
   bar:finish()
   if r.recordings == 0 then
      return nil, options.data .. ": " .. account.all_failed(#items, r.failures)
   end
   for _, row in ipairs(r.rows) do
      row.rank = row.found > 0 and row.rank / row.found or 0
      row.cover = row.covered / row.seconds
      prom.of(row)
   end
   return r
end

return set_sweep
