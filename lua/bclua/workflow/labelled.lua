--- Labels at work: the table of `import-labels` as windows of recordings, for triplets, for evaluation, and to look at.
-- @module bclua.workflow.labelled
local display = require "bclua.display"
local files = require "bclua.files"
local match = require "bclua.data.annotation_match"
local schemas = require "bclua.data.schemas"
local tables = require "bclua.data.tables"

local labelled = {}

local COLUMNS = {"source_name", "start_s", "end_s", "low_hz?", "high_hz?", "label?", "score?", "verdict?"}

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

--- Is this a table of labels?
-- @tparam string path Parquet or CSV from `import-labels`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function labelled.check(path)
   local relation, message = tables.open(path, schemas.labels, COLUMNS)
   if not relation then return nil, message end
   return true
end

--- The labels of some recordings.
-- @tparam string path Parquet or CSV from `import-labels`
-- @tparam {string,...} names source names; labels with others are matched as `bclua.data.annotation_match` does
-- @tparam[opt] table options `verdicts`: also the labels that somebody has not confirmed (verdict `no` or `unsure`);
-- where the table has verdicts, a label without one is none
-- @treturn[1] table lists of labels by source name, in order of time: `start_s`, `end_s`, `verdict` (`yes` where the
-- table has none), and, where it is known, `low_hz`, `high_hz`, `label`, `score`
-- @treturn[1] table `labels`: how many, `others`: how many are of no such recording, `recordings`: how many have those;
-- `has_verdicts`: it is a table of verdicts
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function labelled.read(path, names, options)
   local relation, kinds = tables.open(path, schemas.labels, COLUMNS)
   if not relation then return nil, kinds end
   local verdict = kinds.verdict and "verdict" or "'yes'"
   local rows, message = require("bclua.sql").query(([[select * replace (%s as verdict) from %s where %s in (%s)
      order by start_s, end_s, label]]):format(verdict, relation, verdict,
      options and options.verdicts and "'yes', 'no', 'unsure'" or "'yes'"))
   if not rows then return nil, message end
   local find, of, missing = finder(names), {}, {}
   local about = {labels = 0, others = 0, recordings = 0, has_verdicts = kinds.verdict and true}
   local is_csv = path:lower():find("%.csv$")
   for _, row in ipairs(rows) do
      if is_csv then
         row.source_name, row.label = files.unguard(row.source_name), row.label and files.unguard(row.label)
      end
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
      return nil, ("%s: none of its labels is of one of these recordings"):format(path)
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
   return ("%s: %s of %s"):format(path, display.count(about.others, "label"), display.count(about.recordings,
      "recording that is not in the table", "recordings that are not in the table"))
end

-- What is to be said of labels that are not used.
local function warnings_of(path, about, without)
   local list = {labelled.others(path, about)}
   if without > 0 then list[#list + 1] = ("%s: %s without text"):format(path, display.count(without, "label")) end
   return list
end

-- Labels of a recording, in order of time, that are the truth of what is heard: those without a text, behind its end,
-- or with another name in their time are counted in `about`.
local function clear_labels(list, duration_s, about)
   local named, unclear, clear = {}, {}, {}
   for _, label in ipairs(list) do
      local why = not label.label and "unnamed" or label.start_s >= duration_s and "past" or nil
      if why then about[why] = about[why] + 1 else named[#named + 1] = label end
   end
   for i, a in ipairs(named) do
      for k = i + 1, #named do
         local b = named[k]
         if b.start_s >= a.end_s then break end
         if a.label ~= b.label and a.start_s < b.end_s then unclear[a], unclear[b] = true, true end
      end
   end
   for _, label in ipairs(named) do
      if unclear[label] then about.overlapping = about.overlapping + 1 else clear[#clear + 1] = label end
   end
   return clear
end

-- Windows around labels of a recording, each once, in order of time: `centres` and `names`.
local function truth_of(list, seconds, duration_s, about)
   local at, order, found = {}, {}, {centres = {}, names = {}}
   local function is_long(label) return label.end_s - label.start_s > seconds end
   for _, label in ipairs(clear_labels(list, duration_s, about)) do
      local c = labelled.centre(label, seconds, duration_s)
      if not at[c] then at[c], order[#order + 1] = {name = label.label}, c end
      at[c].several = at[c].several or at[c].name ~= label.label
      table.insert(at[c], label)
   end
   table.sort(order)
   for _, c in ipairs(order) do
      if at[c].several then
         about.overlapping = about.overlapping + #at[c]
      else
         found.centres[#found.centres + 1], found.names[#found.names + 1] = c, at[c].name
         about.labels = about.labels + #at[c]
         for _, label in ipairs(at[c]) do
            if is_long(label) then about.longer = about.longer + 1 end
         end
      end
   end
   return found
end

--- Windows of labels as truth: one around each label, in its middle, called by its text. Labels that overlap one
-- of another text are left out, as such a window is of both.
-- @tparam {table,...} rows recordings: `source_name`, `duration_seconds`
-- @tparam string path as for `read`
-- @tparam number seconds of a window
-- @tparam table kept set of the source names that count
-- @treturn[1] table by source name `centres` (seconds) and `names`, in order of time
-- @treturn[1] table how many there are: `labels` that are used, `names`, `longer` (of these longer than a window);
-- left out: `others`, of `unknown` recordings, `away` (of recordings that are not kept), `unnamed`, `overlapping`,
-- `past` (behind the end of the recording); `path`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function labelled.truth(rows, path, seconds, kept)
   local names = {}
   for i, row in ipairs(rows) do names[i] = row.source_name end
   local of, read = labelled.read(path, names)
   if not of then return nil, read end
   local about = {path = path, others = read.others, unknown = read.recordings, labels = 0, names = 0, longer = 0,
      away = 0, unnamed = 0, overlapping = 0, past = 0}
   local truth, seen = {}, {}
   for _, row in ipairs(rows) do
      local list = of[row.source_name] or {}
      if kept[row.source_name] then
         local found = truth_of(list, seconds, row.duration_seconds, about)
         if #found.centres > 0 then truth[row.source_name] = found end
         for _, name in ipairs(found.names) do
            if not seen[name] then seen[name], about.names = true, about.names + 1 end
         end
      else
         about.away = about.away + #list
      end
   end
   if about.labels == 0 then
      return nil, ("%s: no label can be judged (%s)"):format(path, table.concat(labelled.warnings(about), "; "))
   end
   return truth, about
end

--- What is to be said of labels that are no truth, or only in part: a sentence each.
-- @tparam table about from `truth`
-- @treturn {string,...}
function labelled.warnings(about)
   local list = {}
   local function add(n, words)
      if n > 0 then list[#list + 1] = words .. ": " .. display.count(n, "label") end
   end
   add(about.others, ("left out, of recordings that are not in the table (%d)"):format(about.unknown))
   add(about.away, "left out, of recordings that are not kept for evaluation", about.away)
   add(about.unnamed, "left out, without a text", about.unnamed)
   add(about.overlapping, "left out, in one window with the time of another text", about.overlapping)
   add(about.past, "left out, behind the end of their recording", about.past)
   add(about.longer, "longer than a window, judged by their middle", about.longer)
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
