--- The windows that are clustered: out of a table of embeddings, with what is known of each.
-- @module bclua.workflow.cluster.windows
local array = require "bclua.array"
local match = require "bclua.data.annotation_match"
local labelled = require "bclua.workflow.labelled"
local options_of = require "bclua.options"
local schemas = require "bclua.data.schemas"
local sql = require "bclua.sql"
local tables = require "bclua.data.tables"

local windows = {}

local CALL_S = 5 -- a window of `motif score`

-- The recordings of a table, by name.
local function names_of(rows)
   local names, seen = {}, {}
   for _, file in ipairs(rows.file) do
      if not seen[file] then names[#names + 1], seen[file] = file, true end
   end
   return names
end

-- Is at least half of the shorter of two stretches in the other?
local function share(a_start, a_end, b_start, b_end)
   local both = math.min(a_end, b_end) - math.max(a_start, b_start)
   return both > 0 and both >= math.min(a_end - a_start, b_end - b_start) / 2 - 1e-9 and both or nil
end

-- Which rows hold half of a likely call of `motif score`, or more.
local function with_calls(rows, path)
   local relation, message = tables.open(path, schemas.scores, {"source_name", "kind", "start_s"})
   if not relation then return nil, message end
   local calls
   calls, message = sql.query(("from %s where kind = 'call'"):format(relation))
   if not calls then return nil, message end
   local names, of = names_of(rows), {}
   local matcher, known = match.new(names), {}
   for _, call in ipairs(calls) do
      local name = call.source_name
      if known[name] == nil then known[name] = names[matcher:find(name) or 0] or false end
      if known[name] then
         of[known[name]] = of[known[name]] or {}
         table.insert(of[known[name]], call.start_s)
      end
   end
   if next(of) == nil then
      return nil, ("%s: none of its %d likely calls is of these recordings"):format(path, #calls)
   end
   return function(i)
      for _, s in ipairs(of[rows.file[i]] or {}) do
         if share(rows.start_s[i], rows.end_s[i], s, s + CALL_S) then return true end
      end
      return false
   end
end

-- Of each row the label that it shares most with, if that is half of either.
local function with_labels(rows, path)
   local of, message = labelled.read(path, names_of(rows))
   if not of then return nil, message end
   local labels = {}
   for i, file in ipairs(rows.file) do
      local most = 0
      for _, label in ipairs(of[file] or {}) do
         local both = label.label and share(rows.start_s[i], rows.end_s[i], label.start_s, label.end_s)
         if both and both > most then most, labels[i] = both, label.label end
      end
   end
   return labels
end

-- Rows whose embedding is finite, and as many values as the first one has.
local function matrix_of(path, rows, column)
   local list, kept = rows[column], {}
   local z = list[1] and #list[1] or 0
   local parts = {}
   for i, x in ipairs(list) do
      if #x ~= z or z == 0 then
         return nil, ("%s: column '%s': row %d has %d values, the first has %d"):format(path, column, i, #x, z)
      end
      if x:is_finite() then
         kept[#kept + 1] = i
         parts[#parts + 1] = x
      end
   end
   if #kept == 0 then return array.zeros({0, math.max(z, 1)}, "f64"), kept end
   return array.concat(parts):reshape{#kept, z}:copy("f64"), kept
end

--- Read them.
-- @tparam table options `embeddings`, `column` (of the embeddings), `scores` (of `motif score`) and `labels` (of
-- `import-labels`), see `bclua.workflow.cluster`
-- @treturn[1] table lists by row, with holes where nothing is known: `file`, `start_s`, `end_s`, `clock_time`, `site`,
-- `label`; `n`, how many; `x` f64 (n, columns); `nonfinite` and `others`: how many the table has that are left out, as
-- their embedding is not finite, or no likely call is in them
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function windows.read(options)
   local path, column = options.embeddings, options.column
   local schema = options_of.extend(schemas.embeddings, {[column] = schemas.embeddings.embedding, species = "string",
      label = "string"})
   local relation, message = tables.open(path, schema, {"file", "start_s", "end_s", "clock_time?", "site?", "species?",
      "label?", column})
   if not relation then return nil, message end
   local rows
   rows, message = sql.columns("from " .. relation)
   if not rows then return nil, message end
   if #rows.start_s == 0 then return nil, path .. ": no rows" end
   local x, kept = matrix_of(path, rows, column)
   if not x then return nil, kept end
   local is_call, labels
   if options.scores then
      is_call, message = with_calls(rows, options.scores)
      if not is_call then return nil, message end
   end
   if options.labels then
      labels, message = with_labels(rows, options.labels)
      if not labels then return nil, message end
   end
   local set = {file = {}, start_s = {}, end_s = {}, clock_time = {}, site = {}, label = {}, n = 0, others = 0,
      nonfinite = #rows.start_s - #kept}
   local taken = {}
   for k, i in ipairs(kept) do
      if is_call and not is_call(i) then
         set.others = set.others + 1
      else
         set.n = set.n + 1
         taken[set.n] = x:slice(1, k, k)
         for _, name in ipairs{"file", "start_s", "end_s", "clock_time", "site"} do set[name][set.n] = rows[name][i] end
         set.label[set.n] = (labels or rows.species)[i] or not labels and rows.label[i] or nil
      end
   end
   if set.n == 0 then return nil, path .. ": no window left to cluster" end
   set.x = set.n == #kept and x or array.concat(taken):reshape{set.n, x:shape(2)}
   return set
end

return windows
