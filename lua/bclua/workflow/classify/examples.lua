--- Labels and embeddings as examples: what each window of the labelled recordings is, what it is not, and what nobody
-- knows.
-- @module bclua.workflow.classify.examples
local array = require "bclua.array"
local labelled = require "bclua.workflow.labelled"
local provenance = require "bclua.data.provenance"
local schemas = require "bclua.data.schemas"
local sql = require "bclua.sql"
local tables = require "bclua.data.tables"

local examples = {}

local NAN = 0 / 0
local ENOUGH = 0.5 -- of the label, or of the window, whichever is shorter
local EDGE_S = 1e-9 -- times are sums

local COLUMNS = {"file", "start_s", "end_s", "site?", "embedding"}

-- ---- Files ----

--- A table of embeddings as a relation, and what it was made with.
-- @tparam string path Parquet from `embed predict`
-- @treturn[1] string for `select ... from <relation>`
-- @treturn[1] table `weights` (a hash of the network's), `checkpoint` (path), `sample_rate`, `window_s`, ...
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function examples.open(path)
   local relation, message = tables.open(path, schemas.embeddings, COLUMNS)
   if not relation then return nil, message end
   local made = provenance.of_parquet(path)
   if not (made and type(made.weights) == "string") then
      return nil, path .. ": does not say which network made it: labels need a table of `embed predict`"
   end
   made.checkpoint = sql.parquet_metadata(path).bclua_checkpoint
   return relation, made
end

-- The files of a table that labels may be of.
local function files_of(relation)
   local rows, message = sql.columns(("select distinct file from %s order by file"):format(relation))
   return rows and rows.file, message
end

-- The labels of some tables by file; `is_whole`: some table that is no list of verdicts has labels of the file.
local function read_labels(paths, names)
   local of, about = {}, {labels = 0, others = 0}
   for _, path in ipairs(paths) do
      local found, read = labelled.read(path, names, {verdicts = true})
      if not found then return nil, read end
      about.labels, about.others = about.labels + read.labels, about.others + read.others
      for name, list in pairs(found) do
         of[name] = of[name] or {}
         of[name].is_whole = of[name].is_whole or not read.has_verdicts
         for _, label in ipairs(list) do label.is_verdict = read.has_verdicts end
         table.move(list, 1, #list, #of[name] + 1, of[name])
      end
   end
   return of, about
end

-- ---- Windows ----

-- How much of a label lies in a window: 1 enough of it, 0 nothing, between them a part that may be heard or not. What
-- was heard in a window that was judged may be in any part of it: enough is all of it.
local function share_in(label, start_s, end_s)
   local length = label.end_s - label.start_s
   if length == 0 then return label.start_s >= start_s and label.start_s < end_s and 1 or 0 end
   local both = math.min(label.end_s, end_s) - math.max(label.start_s, start_s)
   if both <= EDGE_S then return 0 end
   local window = end_s - start_s
   if label.is_verdict and length >= window - EDGE_S then return both >= window - EDGE_S and 1 or 0.5 end
   return both >= ENOUGH * math.min(length, window) - EDGE_S and 1 or 0.5
end

-- What the labels of a recording say of a window: a function from a class to 1 (it is), 0 (it is not) or NaN (who
-- knows), and which labels are in it.
local function read_window(list, start_s, end_s, o)
   local yes, no, perhaps, unnamed = {}, {}, {}, false
   local rest = list.is_whole and o.background == "negative" and 0 or NAN
   for _, label in ipairs(list) do
      local share, name = share_in(label, start_s, end_s), label.label
      if share > 0 and not name then
         unnamed = true -- something is heard
      elseif share > 0 and label.verdict == "no" then
         no[name] = share == 1 or no[name]
      elseif share > 0 and (share < 1 or label.verdict == "unsure") then
         perhaps[name] = true
      elseif share > 0 then
         yes[name], label.is_used = true, true
         if not label.is_verdict then rest = 0 end
      end
   end
   return function(name)
      if yes[name] and not no[name] then return 1 end
      if yes[name] or perhaps[name] then return NAN end
      return no[name] and 0 or unnamed and NAN or rest
   end
end

-- The classes that some label says are heard, in order.
local function classes_of(of, none)
   local left_out, seen, list = {}, {}, {}
   for _, name in ipairs(none) do left_out[name] = true end
   for _, labels in pairs(of) do
      for _, label in ipairs(labels) do
         local name = label.label
         if name and label.verdict == "yes" and not seen[name] and not left_out[name] then
            seen[name], list[#list + 1] = true, name
         end
      end
   end
   table.sort(list)
   return list
end

-- The windows of the labelled recordings, in order: lists by column.
local function windows_of(relation, of)
   local names = {}
   for name in pairs(of) do names[#names + 1] = sql.quote(name) end
   table.sort(names)
   return sql.columns(("from %s where file in (%s) order by file, start_s"):format(relation,
      table.concat(names, ", ")))
end

-- The embeddings as a matrix.
local function matrix_of(path, rows)
   local z = #rows.embedding[1]
   for i, x in ipairs(rows.embedding) do
      local where = ("%s: embedding of %s at %g s: "):format(path, rows.file[i], rows.start_s[i])
      if #x ~= z then return nil, ("%s%d values, others have %d"):format(where, #x, z) end
      if not x:is_finite() then return nil, where .. "NaN or infinite values" end
   end
   return array.concat(rows.embedding):reshape{#rows.file, z}
end

-- Truth (classes, rows).
local function truth_of(rows, of, classes, o)
   local truth = array.zeros({#classes, #rows.file}, "f64")
   for i, file in ipairs(rows.file) do
      local says = read_window(of[file], rows.start_s[i], rows.end_s[i], o)
      for k, name in ipairs(classes) do truth:set(k, i, says(name)) end
   end
   return truth
end

-- Labels that no window holds enough of.
local function count_unused(of)
   local n = 0
   for _, list in pairs(of) do
      for _, label in ipairs(list) do
         if label.label and label.verdict == "yes" and not label.is_used then n = n + 1 end
      end
   end
   return n
end

local function groups_of(rows, by)
   if by == "recording" then return rows.file end
   local groups = {}
   for i, file in ipairs(rows.file) do groups[i] = rows.site[i] or file end
   return groups
end

--- Examples for `bclua.classifier.train`. A window is of a class where at least half of one of its labels, or of the
-- window where that is shorter, lies in it; where less does, nobody knows, nor of any class where a label without a
-- text does. Of all else a window of a labelled recording is not (`background`). A verdict says something of its own
-- class only, and of windows that lie wholly in its time, or that it lies in: `yes`, `no`, or `unsure`, that nobody
-- knows. Recordings that have verdicts only say nothing of other windows.
-- @tparam table options `labels` (paths of tables of `import-labels`, or with a column `verdict`), `embeddings`
-- (Parquet from `embed predict`), `group` (`recording` or `site`; a recording without a site is a site of its own),
-- `background` (`negative`: windows of labelled recordings without a label are of no class; `ignore`: nobody knows),
-- `none` (texts of labels that say that nothing is heard)
-- @treturn[1] table `features`, `classes`, `truth`, `groups`, `unit` as for `classifier.train`; `files`, `start_s`,
-- `end_s` of the windows; `made`: what the embeddings were made with; `labels`, `others` (of recordings that are not
-- in the table), `unused` (that no window holds enough of)
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function examples.read(options)
   local relation, made = examples.open(options.embeddings)
   if not relation then return nil, made end
   local names, message = files_of(relation)
   if not names then return nil, message end
   local of, about = read_labels(options.labels, names)
   if not of then return nil, about end
   local classes = classes_of(of, options.none)
   if #classes == 0 then return nil, options.labels[1] .. ": no label says that something is heard" end
   local rows
   rows, message = windows_of(relation, of)
   if not rows then return nil, message end
   local x
   x, message = matrix_of(options.embeddings, rows)
   if not x then return nil, message end
   local truth = truth_of(rows, of, classes, options)
   return {features = {{name = "embedding", x = x}}, classes = classes, truth = truth,
      groups = groups_of(rows, options.group), unit = options.group, files = rows.file, start_s = rows.start_s,
      end_s = rows.end_s, made = made, labels = about.labels, others = about.others, unused = count_unused(of)}
end

return examples
