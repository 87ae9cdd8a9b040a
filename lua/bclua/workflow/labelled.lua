--- Labels at work: the table of `import-labels` as windows of recordings, for triplets, for evaluation, and to look at.
-- @module bclua.workflow.labelled
local match = require "bclua.annotations.match"
local schemas = require "bclua.workflow.schemas"
local tables = require "bclua.tables"

local labelled = {}

local COLUMNS = {"source_name", "start_s", "end_s", "low_hz?", "high_hz?", "label?", "score?"}

-- The recording of each name that labels have, by its own name.
local function finder(names)
   local matcher, known = match.new(names), {}
   return function(name)
      if known[name] == nil then
         local i = matcher:find(name)
         known[name] = i and names[i] or false
      end
      return known[name]
   end
end

--- The labels of some recordings.
-- @tparam string path Parquet or CSV from `import-labels`
-- @tparam {string,...} names source names; labels with others are matched as `bclua.annotations.match` does
-- @treturn[1] table lists of labels by source name, in order of time: `start_s`, `end_s`, and, where it is known,
-- `low_hz`, `high_hz`, `label`, `score`
-- @treturn[1] table `labels`: how many, `others`: how many are of no such recording, `recordings`: how many have those
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function labelled.read(path, names)
   local relation, message = tables.open(path, schemas.labels, COLUMNS)
   if not relation then return nil, message end
   local rows
   rows, message = require("bclua.sql").query(("from %s order by start_s, end_s, label"):format(relation))
   if not rows then return nil, message end
   local find, of, about, missing = finder(names), {}, {labels = 0, others = 0, recordings = 0}, {}
   for _, row in ipairs(rows) do
      local name = find(row.source_name)
      if name then
         of[name] = of[name] or {}
         table.insert(of[name], row)
         about.labels = about.labels + 1
      else
         about.others = about.others + 1
         if not missing[row.source_name] then
            missing[row.source_name], about.recordings = true, about.recordings + 1
         end
      end
   end
   if about.labels == 0 then
      return nil, ("%s: none of its %d labels is of one of these recordings"):format(path, #rows)
   end
   return of, about
end

--- The centre of a window around a label, moved to where the window lies within the recording.
-- @tparam table label `start_s`, `end_s`
-- @tparam number seconds of the window
-- @tparam number duration_s of the recording; where it is shorter than the window its middle is taken
-- @treturn number
function labelled.centre(label, seconds, duration_s)
   if duration_s <= seconds then return duration_s / 2 end
   local centre = (label.start_s + label.end_s) / 2
   return math.max(seconds / 2, math.min(centre, duration_s - seconds / 2))
end

-- Centres of the windows of a recording by label, each once, in order of time.
local function places_of(list, seconds, duration_s)
   local places, names, without = {}, {}, 0
   for _, label in ipairs(list) do
      local name = label.label
      if name then
         if not places[name] then places[name], names[#names + 1] = {}, name end
         table.insert(places[name], labelled.centre(label, seconds, duration_s))
      else
         without = without + 1
      end
   end
   table.sort(names)
   for _, name in ipairs(names) do
      local all, kept = places[name], {}
      table.sort(all)
      for _, x in ipairs(all) do
         if x ~= kept[#kept] then kept[#kept + 1] = x end
      end
      places[name] = kept
   end
   return places, names, without
end

--- What is to be said of labels of other recordings.
-- @tparam string path
-- @tparam table about from `read`
-- @treturn ?string nil: there are none
function labelled.others(path, about)
   if about.others == 0 then return nil end
   return ("%d labels of %s are of %d recordings that are not in the table"):format(about.others, path,
      about.recordings)
end

-- What is to be said of labels that are not used.
local function warnings_of(path, about, without)
   local list = {labelled.others(path, about)}
   if without > 0 then list[#list + 1] = ("%d labels of %s have no text"):format(without, path) end
   return list
end

--- Rows of recordings as rows of recordings and labels: one for each label that is heard in a recording. The label is
-- in place of the species.
-- @tparam {table,...} rows `source_name`, `duration_seconds`, `matrix_profile_window`, `cens_sample_rate`, ...
-- @tparam string path as for `read`
-- @treturn[1] {table,...} copies of rows with `species` (the label), `places` (centres of its windows, in order), and
-- the first two of these as `anchor_s`, `twin_s`, `self_s`, `neighbor_s`
-- @treturn[1] {string,...} warnings
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function labelled.entries(rows, path)
   local names, entries, without = {}, {}, 0
   for i, row in ipairs(rows) do names[i] = row.source_name end
   local of, about = labelled.read(path, names)
   if not of then return nil, about end
   for _, row in ipairs(rows) do
      local places, labels, unnamed = places_of(of[row.source_name] or {},
         row.matrix_profile_window / row.cens_sample_rate, row.duration_seconds)
      without = without + unnamed
      for _, label in ipairs(labels) do
         local entry = {}
         for k, v in pairs(row) do entry[k] = v end
         entry.species, entry.places = label, places[label]
         entry.anchor_s, entry.twin_s = entry.places[1], entry.places[2]
         entry.self_s, entry.neighbor_s = entry.twin_s, entry.anchor_s
         entries[#entries + 1] = entry
      end
   end
   if #entries == 0 then return nil, path .. ": no label of these recordings has a text" end
   return entries, warnings_of(path, about, without)
end

--- The recordings of such rows, each once, its species being the rarest of its labels: that recordings are kept for
-- evaluation of all labels.
-- @tparam {table,...} entries
-- @treturn {table,...} `source_name`, `species`
function labelled.recordings(entries)
   local count, list, of = {}, {}, {}
   for _, e in ipairs(entries) do count[e.species] = (count[e.species] or 0) + 1 end
   for _, e in ipairs(entries) do
      local r = of[e.source_name]
      if not r then
         r = {source_name = e.source_name, species = e.species}
         of[e.source_name], list[#list + 1] = r, r
      end
      local a, b = count[e.species], count[r.species]
      if a < b or a == b and e.species < r.species then r.species = e.species end
   end
   return list
end

return labelled
