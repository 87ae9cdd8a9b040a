--- What an evaluation found, as tables and text.
-- @module bclua.workflow.evaluate.tables
local evaluation_set = require "bclua.workflow.evaluation_set"
local display = require "bclua.display"
local labelled = require "bclua.workflow.labelled"
local progress = require "bclua.progress"
local check_options = require("bclua.options").check

local tables = {}

local function number(v) return v and (v == v and ("%.3f"):format(v) or "none") or "" end
local function percent(v) return ("%.0f %%"):format(100 * v) end

-- Header and rows of measures by species and, where there are any, by group: `names` are the columns of each, `of`
-- gives their values.
local function by_level(result, first, names, count, row_name, of)
   local header, rows = {first}, {}
   for _, level in ipairs({result.truth, result.group and "group" or nil}) do
      for i, name in ipairs(names) do header[#header + 1] = i == 1 and level .. ": " .. name or name end
   end
   for i = 1, count do
      local row = {row_name(i)}
      for _, part in ipairs{result, result.group} do
         for _, v in ipairs(of(part, i)) do row[#row + 1] = v end
      end
      rows[i] = row
   end
   return header, rows
end

--- Accuracy of the logistic regression: header and rows.
function tables.accuracy(result)
   local header, rows = by_level(result, "features", {"accuracy", "spread"}, #result.rows + 1,
      function(i) return result.rows[i] and result.rows[i].name or "chance" end,
      function(part, i)
         local r = part.rows[i]
         return r and {number(r.accuracy), number(r.spread)} or {number(part.chance), ""}
      end)
   return header, rows
end

--- The first features minus each of the others, over the same splits.
function tables.paired(result)
   return by_level(result, result.rows[1].name .. " minus", {"difference", "spread", "won", "lost"},
      #result.comparisons, function(i) return result.comparisons[i].name end,
      function(part, i)
         local c = part.comparisons[i]
         return {("%+.3f"):format(c.difference), number(c.spread), percent(c.won), percent(c.lost)}
      end)
end

--- What distances say, of species (labels) or (level "group") of groups.
function tables.distances(result, level)
   local part, rows = level == "group" and result.group or result, {}
   for i, r in ipairs(part.rows) do
      rows[i] = {r.name, number(r.knn.cosine), number(r.knn.euclidean), number(r.precision.cosine),
         number(r.precision.euclidean), number(r.silhouette)}
   end
   rows[#rows + 1] = {"chance", number(part.knn_chance), number(part.knn_chance), number(part.precision_chance),
      number(part.precision_chance), ""}
   return {level, "neighbours: cosine", "Euclidean", "precision: cosine", "Euclidean", "silhouette"}, rows
end

--- The share of each class's windows that the regression classified correctly.
function tables.classes(part)
   local header, rows = {"class", "recordings", "windows"}, {}
   for _, r in ipairs(part.rows) do header[#header + 1] = r.name end
   for i, c in ipairs(part.counts) do
      rows[i] = {c.name, tostring(c.recordings), tostring(c.windows)}
      for _, r in ipairs(part.rows) do table.insert(rows[i], number(r.by_class[i])) end
   end
   return header, rows
end

--- What retrieval found at a level, see `bclua.evaluate.retrieval`: header and rows.
function tables.retrieval(part)
   local rows = {}
   for i, r in ipairs(part.rows) do
      rows[i] = {r.name, number(r.nearest.cosine), number(r.nearest.euclidean), number(r.precision.cosine),
         number(r.precision.euclidean)}
   end
   local by_chance = number(part.chance)
   rows[#rows + 1] = {"chance", by_chance, by_chance, by_chance, by_chance}
   return {("by %s (%d)"):format(part.name, part.classes), "nearest: cosine", "Euclidean", "precision: cosine",
      "Euclidean"}, rows
end

local HELP = "train longer (fit.max_rounds), with more recordings, or with labels"

-- What the last of the others is compared with: none where the embedding is alone.
local function verdict_of_classes(result)
   local embedding, lead = result.rows[1], result.comparisons[#result.comparisons]
   local plain = lead and result.rows[#result.rows]
   local text = ("The embedding names %s of the %s of recordings that training did not see (%schance %s)."):format(
      percent(embedding.accuracy), evaluation_set.words[result.kind],
      lead and ("%s %s, "):format(plain.name, percent(plain.accuracy)) or "", percent(result.chance))
   if embedding.accuracy - embedding.spread <= result.chance then
      return ("%s That is no better than chance: %s."):format(text, HELP)
   elseif lead and lead.difference < 0 then
      return ("%s It is below %s: %s."):format(text, plain.name, HELP)
   elseif lead and lead.difference <= lead.spread then
      return ("%s Its lead over %s is within the spread of the splits."):format(text, plain.name)
   end
   return text
end

local function verdict_of_retrieval(result)
   local part = result.retrieval[1]
   local plain = part.rows[#part.rows]
   local text = ("By the embedding the nearest window is of the same %s for %s of the windows (%s %s, chance %s).")
      :format(part.name, percent(part.rows[1].nearest.cosine), plain.name, percent(plain.nearest.cosine),
      percent(part.chance))
   if part.rows[1].nearest.cosine > plain.nearest.cosine then return text end
   return ("%s It is no better than %s: train longer (fit.max_rounds), or with more recordings."):format(text,
      plain.name)
end

--- What it comes to, in a sentence or two: how much the embedding names, beside plain features and chance, and what may
-- help where that is little.
-- @treturn string
function tables.verdict(result)
   return (result.retrieval and verdict_of_retrieval or verdict_of_classes)(result)
end

local UNSEEN = {["held out"] = "that were not used in training", others = "of a data set that training does not know",
   unknown = "of which the checkpoint does not say whether training used them"}

--- What was evaluated, in a sentence.
function tables.sentence(result)
   local of = ("%d %s of %s %s"):format(result.windows, evaluation_set.words[result.kind],
      display.count(result.recordings, "recording"), UNSEEN[result.unseen or "held out"])
   if result.retrieval then
      return of .. "; there were no labels, as no recording has a species: what is judged is retrieval"
   end
   local about = result.labelled
   local truth = about and ("the truth is what %s of %s say: %s, %d of them in several recordings"):format(
      display.count(about.labels, "label"), about.path, display.count(about.names, "name"), result.classes) or
      ("%d species"):format(result.classes)
   return ("%s; %s%s; accuracy is the mean over classes, mean and standard deviation over %d splits by " ..
      "recording"):format(of, truth, result.group and (" in %d groups"):format(result.group.classes) or "",
      result.splits)
end

--- What the measures by distance are, in a sentence.
function tables.distances_sentence(result)
   if result.retrieval then
      return ("Nearest: share of the windows whose nearest window is of the same recording (site, ...); precision: " ..
         "the share of the %d nearest that is, of at most as many as there are. By recording all other windows are " ..
         "looked at, else those of other recordings only. Windows of a recording share its place, noise and " ..
         "microphone, too: what counts is the difference to the network that was not trained and to log-mel " ..
         "statistics, not the value"):format(result.k)
   end
   return ("By the nearest windows of other recordings: share classified correctly by the %d nearest; precision, " ..
      "the share of the %d nearest that is of the same class; silhouette, from -1 to 1 (Euclidean)"):format(result.k,
      result.k)
end

--- What was left out, a sentence each.
-- @treturn {string,...}
function tables.left_out(result)
   local list = {}
   local function add(names, words)
      if #names > 0 then list[#list + 1] = words .. ": " .. table.concat(names, ", ") end
   end
   add(result.dropped, "left out, for want of a second recording")
   if result.group then add(result.group.dropped, "groups left out, for want of a second recording") end
   if (result.unlabelled or 0) > 0 then
      list[#list + 1] = ("left out, of recordings without a species: %s"):format(display.count(result.unlabelled,
         "window"))
   end
   add(result.missing, "left out, none of their recordings could be read")
   if result.labelled then
      for _, line in ipairs(labelled.warnings(result.labelled)) do list[#list + 1] = line end
   end
   if (result.silent or 0) > 0 then
      list[#list + 1] = "left out, silent or constant: " .. display.count(result.silent, "window")
   end
   for _, f in ipairs(result.nonfinite) do
      list[#list + 1] = ("left out, NaN or infinite in '%s': %s"):format(f.name, display.count(f.windows, "window"))
   end
   return list
end

local function align(header, rows)
   local right = {}
   for i = 2, #header do right[i] = true end
   return table.concat(display.lines({header, table.unpack(rows)}, right, progress.columns()), "\n")
end

local function by_species(result, with_classes)
   local parts = {tables.sentence(result), align(tables.accuracy(result)), "",
      align(tables.paired(result)), "",
      tables.distances_sentence(result), align(tables.distances(result, result.truth))}
   if result.group then parts[#parts + 1] = align(tables.distances(result, "group")) end
   for _, part in ipairs(with_classes and {result, result.group} or {}) do
      parts[#parts + 1] = ""
      parts[#parts + 1] = align(tables.classes(part))
   end
   return parts
end

local function by_retrieval(result)
   local parts = {tables.sentence(result)}
   for i, part in ipairs(result.retrieval) do
      parts[#parts + 1] = align(tables.retrieval(part))
      parts[#parts + 1] = i < #result.retrieval and "" or tables.distances_sentence(result)
   end
   return parts
end

local TEXT = {classes = "boolean"}

--- The result as text, the verdict first; on a terminal no wider than that.
-- @tparam table result from `bclua.workflow.evaluate.judge`
-- @tparam[opt] table options `classes`: also a line for each class, where there are labels
function tables.text(result, options)
   options = check_options(options, TEXT)
   local parts = result.retrieval and by_retrieval(result) or by_species(result, options.classes)
   for _, line in ipairs(tables.left_out(result)) do parts[#parts + 1] = display.line(line) end
   table.insert(parts, 1, tables.verdict(result))
   local columns = progress.columns()
   for i, part in ipairs(columns and parts or {}) do
      if not part:find("\n") then parts[i] = display.wrap(part, columns) end
   end
   return table.concat(parts, "\n")
end

return tables
