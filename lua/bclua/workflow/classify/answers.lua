--- What people say of windows, one row a window and class: `verdicts.csv`, which `browse` writes and `classify train
-- --labels` reads.
-- @module bclua.workflow.classify.answers
local files = require "bclua.files"
local lock = require "bclua.lock"
local schemas = require "bclua.data.schemas"
local system = require "bclua.system"
local tables = require "bclua.data.tables"

local answers = {}

--- The name of the file in a run.
answers.file = "verdicts.csv"

--- What may be said.
answers.kinds = {yes = true, no = true, unsure = true}

local COLUMNS = {"source_name", "start_s", "end_s", "label", "verdict"}
local PATIENCE_S = 2 -- with another program that writes

--- What a recording is called in tables of labels: its path without what leads to where one stands.
-- @tparam string file
-- @treturn string
function answers.name(file) return (("/" .. file):gsub("^.*/%.%.?/", "/"):gsub("^/+", "")) end

--- All rows of a file; none where there is no file.
-- @tparam string path
-- @treturn[1] {table,...} `source_name`, `start_s`, `end_s`, `label`, `verdict`, in the file's order
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function answers.read(path)
   if not files.exists(path) then return {} end
   local relation, message = tables.open(path, schemas.labels, COLUMNS)
   if not relation then return nil, message end
   local rows
   rows, message = require("bclua.sql").query(("from %s where verdict is not null"):format(relation))
   if not rows then return nil, message end
   local list = {}
   for i, row in ipairs(rows) do
      row.source_name, row.label = files.unguard(row.source_name), row.label and files.unguard(row.label) or ""
      list[i] = row
   end
   return list
end

local function before(a, b)
   if a.source_name ~= b.source_name then return a.source_name < b.source_name end
   if a.start_s ~= b.start_s then return a.start_s < b.start_s end
   return a.label < b.label
end

local function write(path, rows)
   table.sort(rows, before)
   local cells = {}
   for i, row in ipairs(rows) do
      cells[i] = {source_name = row.source_name, label = row.label, verdict = row.verdict,
         start_s = ("%.12g"):format(row.start_s), end_s = ("%.12g"):format(row.end_s)}
   end
   return system.write_file(path, files.csv(COLUMNS, cells))
end

-- Rows that speak of the same window and class have the same text.
local function key_of(row) return ("%s\0%s\0%.4f"):format(row.source_name, row.label, row.start_s) end

--- Say something of windows; it is in the file when this returns, beside all that others wrote meanwhile.
-- @tparam string path
-- @tparam {table,...} list of each window and class `source_name`, `start_s`, `end_s`, `label`; `verdict` (`yes`, `no`,
-- `unsure`; nil takes it back); `expected` (what has been said so far, "none": nothing; where it is something else,
-- that stays), `base` (what is said where the file says nothing)
-- @treturn[1] {table,...} all rows of the file, as from `read`
-- @treturn[1] {integer,...} which of the list were said
-- @treturn[2] nil
-- @treturn[2] string message
function answers.put(path, list)
   local locked <close>, busy = lock.take(path, PATIENCE_S)
   if not locked then return nil, busy end
   local rows, message = answers.read(path) -- another program may have written it
   if not rows then return nil, message end
   local of, kept, put = {}, {}, {}
   for _, row in ipairs(rows) do of[key_of(row)] = row end
   for i, row in ipairs(list) do
      local key = key_of(row)
      local had = of[key] and of[key].verdict or row.base or "none"
      if not row.expected or row.expected == had then
         of[key], put[#put + 1] = row.verdict and row or nil, i
      end
   end
   for _, row in pairs(of) do kept[#kept + 1] = row end
   local ok
   ok, message = write(path, kept)
   return ok and kept, ok and put or message
end

return answers
