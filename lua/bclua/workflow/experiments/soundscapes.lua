--- Made-up soundscapes as windows of which everything is known, for the loop of labelling.
-- @module bclua.workflow.experiments.soundscapes
local array = require "bclua.array"
local dataset = require "bclua.data.dataset"
local log_mel = require "bclua.workflow.classify.log_mel"
local options_of = require "bclua.options"
local parallel = require "bclua.parallel"

local soundscapes = {}

local WINDOW_S, HOP_S = 5, 2.5
local ENOUGH = 0.5 -- of a song, or of the window, whichever is shorter

local function windows_of(seconds) return math.floor((seconds - WINDOW_S) / HOP_S + 1e-9) + 1 end

--- Statistics of log-mel bands of the windows of one recording; on a worker state.
-- @tparam table r from `dataset.plan`
-- @tparam table p parameters of the data set
-- @treturn array f32 (windows, 256)
function soundscapes.one(r, p)
   local y, rate = dataset.render(r, p), p.sample_rate
   local rows = array.zeros{windows_of(r.seconds), WINDOW_S * rate}
   for i = 1, rows:shape(1) do
      local first = math.floor((i - 1) * HOP_S * rate)
      rows[i]:fill(y:slice(1, first + 1, first + WINDOW_S * rate))
   end
   return log_mel.statistics(rows, rate)
end

-- Is a species heard in a window?
local function truth_of(r, species, start_s)
   local known = "no"
   for _, e in ipairs(r.performances) do
      local both = math.min(start_s + WINDOW_S, e.end_s) - math.max(start_s, e.start_s)
      if (e.species or r.species).code == species.code and both > 0 then
         if both >= ENOUGH * math.min(e.end_s - e.start_s, WINDOW_S) then return "yes" end
         known = "unsure"
      end
   end
   return known
end

--- Make some.
-- @tparam table options those of `bclua.data.dataset` that differ from its defaults
-- @treturn array f32 (windows, 256): mean and deviation of log-mel bands of windows of 5 s, every 2.5 s
-- @treturn {table,...} of each species `name` and `truth`, by window `yes`, `no` or `unsure` (less than half of a song)
-- @treturn {integer,...} the recording of each window
function soundscapes.make(options)
   local p = options_of.check(options, dataset.options)
   local species, recordings = dataset.plan(p)
   local parts, list, of, n = {}, {}, {}, 0
   for _, rows in parallel.map(recordings, "bclua.workflow.experiments.soundscapes", "one", p) do
      parts[#parts + 1] = rows
   end
   for s, one in ipairs(species) do list[s] = {name = one.code, truth = {}} end
   for i, r in ipairs(recordings) do
      for k = 1, parts[i]:shape(1) do
         n = n + 1
         of[n] = i
         for s, one in ipairs(species) do list[s].truth[n] = truth_of(r, one, (k - 1) * HOP_S) end
      end
   end
   return array.concat(parts):reshape{n, 256}, list, of
end

--- For `active.replay`: a window shares sound with the one before and the one behind it in its recording.
-- @tparam {integer,...} of from `make`
-- @treturn function
function soundscapes.neighbours(of)
   return function(row, asked)
      return asked[row - 1] and of[row - 1] == of[row] or asked[row + 1] and of[row + 1] == of[row] or false
   end
end

return soundscapes
