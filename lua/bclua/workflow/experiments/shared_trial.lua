--- Does what the recordings of a species have in common find others of it? A half of each species' recordings is
-- searched for it, and the other half, of all species, is put in order by how near their nearest window is.
-- @module bclua.workflow.experiments.shared_trial
local consensus = require "bclua.consensus"
local extracted = require "bclua.data.extracted"
local options_of = require "bclua.options"
local progress = require "bclua.progress"
local search = require "bclua.workflow.search"
local stomp = require "bclua.stomp"
local windows = require "bclua.workflow.discover.windows"

local shared_trial = {}

--- What is compared: the motifs of single recordings (the mean over them), the consensus motif, the window of the
-- largest contrast.
shared_trial.kinds = {"motif", "consensus", "contrast"}

-- The share of pairs of a recording of the species and another one in which the first is nearer (ROC-AUC).
local function judge(query, judged, species)
   local near, far, sum = {}, {}, 0
   for _, r in ipairs(judged) do
      table.insert(r.species == species and near or far, stomp.matches(query, r.x, {k = 1})[1].distance)
   end
   for _, a in ipairs(near) do
      for _, b in ipairs(far) do sum = sum + (a < b and 1 or a == b and 0.5 or 0) end
   end
   return sum / (#near * #far)
end

local function cut(x, at, window) return x:slice(2, at + 1, at + window):copy("f64") end

-- One species, learnt from one half and judged by the other.
local function trial(species, known, judged, window)
   local inside, outside, among = {}, {}, {}
   for _, r in ipairs(known) do
      if r.species == species then
         inside[#inside + 1], among[#among + 1] = r.x, windows.with_sound(r.x, window)
      else
         outside[#outside + 1] = r.x
      end
   end
   local row = {motif = 0}
   for _, x in ipairs(inside) do
      local m = stomp.motifs(stomp.self_join(x, window))[1]
      row.motif = row.motif + judge(cut(x, m.at, window), judged, species) / #inside
   end
   local found = {consensus = consensus.motif(inside, window, {among = among}),
      contrast = consensus.contrast(inside, outside, window, {among = among})}
   for kind, m in pairs(found) do row[kind] = judge(cut(inside[m.series], m.at, window), judged, species) end
   return row
end

-- The recordings of species that have enough of them, in two halves.
local function halves_of(rows, features, o)
   local by, halves = {}, {{}, {}}
   for _, row in ipairs(rows) do
      local x, message = extracted.features(search.locate(row, features))
      if not x then return nil, message end
      if row.species and x:shape(2) >= 3 * o.window then
         by[row.species] = by[row.species] or {}
         table.insert(by[row.species], {species = row.species, x = x:copy("f64")})
      end
   end
   local names = {}
   for name, list in pairs(by) do
      if #list >= o.least then names[#names + 1] = name end
      for i, r in ipairs(list) do table.insert(halves[i % 2 + 1], r) end
   end
   table.sort(names)
   return halves, names
end

local OPTIONS = {input = {"string", needed = true}, seconds = {"number", default = 2, least = 0.1},
   least = {"integer", default = 6, least = 4}, quiet = "boolean"}

--- Try it on all species of a table.
-- @tparam table options `input` (Parquet from `consolidate`), `seconds` (2, of a window), `least` (6 recordings of a
-- species), `quiet`
-- @treturn[1] table means over species and halves by kind (`kinds`), and `trials`, `species`
-- @treturn[2] nil
-- @treturn[2] string message
function shared_trial.run(options)
   options = options_of.check(options, OPTIONS)
   local rows, p = search.read_corpus(options.input)
   if not rows then return nil, p end
   local features, message = search.find_features({input = options.input}, rows)
   if not features then return nil, message end
   local window = math.floor(options.seconds * p.cens_sample_rate + 0.5)
   local halves, names = halves_of(rows, features, {window = window, least = options.least})
   if not halves then return nil, names end
   if #names < 2 then
      return nil, ("%s: two species of at least %d recordings are needed"):format(options.input, options.least)
   end
   local r, bar = {trials = 0, species = #names, motif = 0, consensus = 0, contrast = 0},
      progress.new("shared", #names, {unit = "species", quiet = options.quiet})
   for i, name in ipairs(names) do
      for half = 1, 2 do
         local row = trial(name, halves[half], halves[3 - half], window)
         r.trials = r.trials + 1
         for _, kind in ipairs(shared_trial.kinds) do r[kind] = r[kind] + row[kind] end
      end
      bar:update(i)
   end
   bar:finish()
   for _, kind in ipairs(shared_trial.kinds) do r[kind] = r[kind] / r.trials end
   return r
end

return shared_trial
