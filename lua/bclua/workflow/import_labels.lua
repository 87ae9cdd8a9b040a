--- Labels that people and other programs have put on recordings, as one table; `bclua.format.annotations` has what
-- is read.
-- Nothing is lost on the way: each line of a label is in the table, or in the list of those that were not taken.
-- @module bclua.workflow.import_labels
local display = require "bclua.display"
local rules = require "bclua.data.rules"
local annotations = require "bclua.format.annotations"
local files = require "bclua.files"
local lock = require "bclua.lock"
local match = require "bclua.data.annotation_match"
local options_of = require "bclua.options"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local schemas = require "bclua.data.schemas"
local tables = require "bclua.data.tables"

local import_labels = {}

--- The columns of the table.
import_labels.columns = {"source_name", "start_s", "end_s", "low_hz", "high_hz", "label", "score", "origin", "line"}

local TYPES = {source_name = "varchar", start_s = "double", end_s = "double", low_hz = "double", high_hz = "double",
   label = "varchar", score = "double", origin = "varchar", line = "bigint"}
local UNMATCHED = {"origin", "line", "file", "start_s", "end_s", "label", "reason"}
local ROUNDING_S = 0.05 -- what other programs make of the end of a recording
local NAMED = 3 -- lines on the screen
local BLOCK = 1 << 18

-- ---- What there is ----

-- Is it, by its name, a table or track?
local function is_table(name) return name:lower():find("%.txt$") or name:lower():find("%.[ct]sv$") end

-- The files of labels: those that are named, and those below folders that are.
local function list_files(given)
   local list, failures = {}, {}
   for _, path in ipairs(given) do
      if files.is_folder(path) then
         local found, left_out = files.find(path, is_table)
         if not found then return nil, left_out end
         for _, name in ipairs(found) do list[#list + 1] = path:gsub("(.)/+$", "%1") .. "/" .. name end
         table.move(provenance.left_out(left_out, "import-labels", true), 1, #left_out, #failures + 1, failures)
      else
         list[#list + 1] = path
      end
   end
   return list, failures
end

local function recordings_of_table(path)
   local relation, message = tables.open(path, schemas.motif, {"source_name", "duration_seconds"})
   if not relation then return nil, message end
   local rows
   rows, message = require("bclua.sql").query(("from %s order by source_name"):format(relation))
   if not rows then return nil, message end
   local names, lengths = {}, {}
   for i, row in ipairs(rows) do names[i], lengths[i] = row.source_name, row.duration_seconds end
   return {matcher = match.new(names), names = names, duration = function(i) return lengths[i] end}
end

-- The length of a recording in seconds, decoded where that alone can tell.
local function length_of(path)
   local audio = require "bclua.audio"
   local info, message = audio.info(path)
   if not info or info.seconds then return info and info.seconds, message end
   local reader <close>, why = audio.open(path)
   if not reader then return nil, why end
   local n = 0
   repeat
      local piece
      piece, why = reader:read(BLOCK)
      n = n + (piece and #piece or 0)
   until not piece
   if why then return nil, why end
   return n / info.sample_rate
end

-- Those below a folder; how long they are is asked of those alone that have labels.
local function recordings_of_folder(root)
   local found, message = require("bclua.data.recordings").list(root)
   if not found then return nil, message end
   local names, lengths = {}, {}
   for i, r in ipairs(found) do names[i] = r.source_name:match("^[^/]*/(.+)$") end
   local function duration(i)
      if lengths[i] == nil then
         local seconds, why = length_of(found[i].path)
         lengths[i] = seconds or why
      end
      if type(lengths[i]) == "number" then return lengths[i] end
      return nil, lengths[i]
   end
   return {matcher = match.new(names), names = names, duration = duration}
end

-- The recordings that labels can be of; none where nobody says which there are: then each is as its labels have it.
local function read_recordings(options)
   if options.input then return recordings_of_table(options.input) end
   if options.dataset_root then return recordings_of_folder(options.dataset_root) end
   return {names = {}}
end

-- ---- One file ----

local function read_file(path, column)
   local bytes, message = files.read(path)
   if not bytes then return nil, message end
   local t
   t, message = annotations.read(bytes, {column = column})
   return t, message and path .. ": " .. message
end

-- A path as a source name, below some folder.
local function inside(path)
   path = "/" .. path:gsub("%z", "")
   repeat
      local n
      path, n = path:gsub("/%.%.?/", "/")
   until n == 0
   return (path:gsub("^/+", ""))
end

-- By path of a sound file, or none, which recording it is, for all rows of a file of labels: `i`, `folders` that agree,
-- or `wrong`.
local function finder(recordings, origin)
   local known, matcher = {}, recordings.matcher
   return function(path)
      local key = path or ""
      if known[key] then return known[key] end
      local found, name = {path = path}, path
      if matcher then
         found.i, found.folders = (path and matcher.find or matcher.of_table)(matcher, path or origin)
         if not found.i then found.wrong, found.folders = found.folders, nil end
      elseif not path then
         local names = match.names_of_table(origin)
         name = names[#names] or origin
      end
      found.name = found.i and recordings.names[found.i] or inside(name or "")
      known[key] = found
      return found
   end, known
end

local function folder_of(found) return found.path and files.dirname(found.path) or "." end

-- Of paths in different folders those that agree best with the recording are it, if these are one folder.
local function check_twins(twins, name)
   local most, best = -1, {}
   for _, found in ipairs(twins) do
      local folder = folder_of(found)
      if folder ~= "." and found.folders > most then most, best = found.folders, {} end
      if folder ~= "." and found.folders == most then best[folder] = true end
   end
   local is_whole = most == select(2, name:gsub("/", ""))
   local several = not is_whole and next(best) and next(best, (next(best)))
   for _, found in ipairs(twins) do
      if folder_of(found) ~= "." and (found.folders < most or several) then
         found.i, found.wrong = nil, "no recording is called so in this folder"
      end
   end
end

-- The same file name in several folders of one file of labels: these are different recordings.
local function check_paths(known, recordings)
   local of = {}
   for _, found in pairs(known) do
      if found.i then
         of[found.i] = of[found.i] or {}
         table.insert(of[found.i], found)
      end
   end
   for i, twins in pairs(of) do
      if #twins > 1 then check_twins(twins, recordings.names[i]) end
   end
end

-- What is wrong with the times of a label in a recording of that length; they are brought within it.
local function fit(row, seconds, overhang_s)
   if row.start_s > seconds + ROUNDING_S or row.end_s > seconds + (overhang_s or ROUNDING_S)
      or overhang_s and row.start_s >= seconds then
      return ("past the end: the recording has %.3f s"):format(seconds)
   end
   row.start_s, row.end_s = math.min(row.start_s, seconds), math.min(row.end_s, seconds)
   return nil
end

local function check_row(row, found, recordings, overhang_s)
   if row.wrong or found.wrong then return row.wrong or found.wrong end
   if not found.i then return nil end
   local seconds, message = recordings.duration(found.i)
   if not seconds then return "cannot be read: " .. message end
   return fit(row, seconds, overhang_s)
end

-- What those who read the table would not take.
local function unfit(row)
   local wrong = tables.fault(row, schemas.labels)
   return wrong and wrong:gsub("^key", "column") or nil
end

-- Takes the rows of a file, into `result.rows` or `result.unmatched`.
local function add_rows(result, t, origin, recordings)
   local find, known = finder(recordings, origin)
   for _, row in ipairs(t.rows) do row.found = find(row.path) end
   check_paths(known, recordings)
   for _, row in ipairs(t.rows) do
      local wrong, found = check_row(row, row.found, recordings, t.overhang_s), row.found
      row.origin, row.found, row.source_name = origin, nil, found.name
      wrong = wrong or unfit(row)
      if wrong then
         row.file, row.reason = row.path, wrong
         result.unmatched[#result.unmatched + 1] = row
      else
         result.rows[#result.rows + 1] = row
         result.unlabelled = result.unlabelled + (row.label and 0 or 1)
         result.recordings = result.recordings + (result.seen[found.name] and 0 or 1)
         result.seen[found.name] = true
      end
   end
   for path, found in pairs(known) do
      if found.folders == 0 and path:find("/", 1, true) then result.by_name = result.by_name + 1 end
   end
   result.views, result.files = result.views + t.views, result.files + 1
end

-- ---- Out ----

local function sort(rows)
   table.sort(rows, function(a, b)
      if a.source_name ~= b.source_name then return a.source_name < b.source_name end
      if a.start_s ~= b.start_s then return a.start_s < b.start_s end
      if a.end_s ~= b.end_s then return a.end_s < b.end_s end
      if a.origin ~= b.origin then return a.origin < b.origin end
      return a.line < b.line
   end)
end

--- Write a table of labels.
-- @tparam string path .parquet or .csv
-- @tparam {table,...} rows by `import_labels.columns`
-- @tparam table parameters for the metadata
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function import_labels.write_table(path, rows, parameters)
   local sql = require "bclua.sql"
   local how = {order = import_labels.columns, types = TYPES}
   if path:lower():find("%.csv$") then
      how.guard = true
      return sql.write_csv(path, rows, how)
   end
   how.metadata = provenance.for_parquet(parameters)
   return sql.write_parquet(path, rows, how)
end

local function write(options, result, parameters)
   local ok, message = provenance.write_rows(options.output .. ".unmatched.csv", UNMATCHED, result.unmatched)
   if ok then ok, message = provenance.write_failures(provenance.failures_of(options.output), result.failures) end
   if not ok then return nil, message end
   if #result.rows == 0 then return true end
   return import_labels.write_table(options.output, result.rows, parameters)
end

-- Reasons without what differs from line to line, the most frequent first.
local function reasons(unmatched)
   local counts, list = {}, {}
   for _, row in ipairs(unmatched) do
      local reason = row.reason:match("^[^:]*")
      if not counts[reason] then list[#list + 1] = reason end
      counts[reason] = (counts[reason] or 0) + 1
   end
   table.sort(list, function(a, b)
      if counts[a] ~= counts[b] then return counts[a] > counts[b] end
      return a < b
   end)
   for i, reason in ipairs(list) do list[i] = ("%d: %s"):format(counts[reason], reason) end
   return table.concat(list, "; ")
end

local function tell(options, result)
   local function note(form, ...) progress.note("import-labels: " .. form:format(...), options.quiet) end
   for i, f in ipairs(result.failures) do
      if i <= NAMED then note("not read: %s", f.reason) end
   end
   if #result.unmatched > 0 then
      note("%s not taken (%s), all in %s", display.count(#result.unmatched, "line"), reasons(result.unmatched),
         options.output .. ".unmatched.csv")
      for i = 1, math.min(NAMED, #result.unmatched) do
         local row = result.unmatched[i]
         note("%s, line %d%s: %s", row.origin, row.line, row.file and " (" .. row.file .. ")" or "", row.reason)
      end
   end
   if result.by_name > 0 then
      note("recordings found in another folder, by the name of the file alone: %d", result.by_name)
   end
   if result.unlabelled > 0 then note("labels without text: %d (--column says where it is)", result.unlabelled) end
   local count = display.count
   note("%s of %s: %s of %s, %d not taken%s; %s not read", count(#result.rows + #result.unmatched, "line"),
      count(result.files, "file"), count(#result.rows, "label"), count(result.recordings, "recording"),
      #result.unmatched, result.views > 0 and (" (and %s of further views)"):format(count(result.views, "line")) or "",
      count(#result.failures, "file"))
end

local function check_output(path)
   local is_known = path:lower():find("%.csv$") or path:lower():find("%.parquet$")
   return not is_known and ("'%s' does not end in .parquet or .csv"):format(path) or nil
end

--- What `run` takes.
import_labels.options = {
   files = {"list", of = "string", needed = true, shortest = 1, argument = "files",
      text = "Files of labels, and folders of them."},
   output = {"string", needed = true, check = check_output, text = "The labels, as a .parquet or .csv file."},
   input = options_of.extend(rules.motif, {needed = false,
      text = "Parquet file from `motif consolidate`: the recordings that have labels."}),
   dataset_root = options_of.extend(rules.dataset_root, {text = rules.dataset_root.text .. " In place of --input."}),
   column = {"string", arg = "NAME", text = "Column that is the label (default: Species, Annotation, Label, Common " ..
      "Name, ...)."},
   force = "boolean", quiet = "boolean"}

--- Read files of labels, find their recordings, and write one table.
-- @tparam table options `files` (and folders, for all .txt, .csv and .tsv files in them), `output` (.parquet or .csv),
-- `input` (Parquet from `consolidate`) or `dataset_root` (folder in which the source names begin): the recordings that
-- labels may be of, without either each is called as its labels have it; `column`: the one that is the label (default:
-- see `bclua.format.annotations.read`), `force`, `quiet`
-- @treturn[1] table `rows` (as in the table), `unmatched` (`origin`, `line`, `file`, `start_s`, `end_s`, `label`,
-- `reason`), `recordings` (how many have labels), `files` that were read, `views` (lines of further views of the same
-- selections), `unlabelled`, `failures`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function import_labels.run(options)
   options = options_of.check(options, import_labels.options)
   local list, failures = list_files(options.files)
   if not list then return nil, failures end
   if #list == 0 then return nil, options.files[1] .. ": no .txt, .csv or .tsv file in it" end
   local recordings, message = read_recordings(options)
   if not recordings then return nil, message end
   local locked <close>, busy = lock.file(options.output)
   if not locked then return nil, busy end
   local parameters = {files = options.files, column = options.column, input = options.input,
      dataset_root = options.dataset_root}
   local ok
   ok, message = provenance.check(options.output, provenance.of_parquet(options.output), parameters, options.force)
   if not ok then return nil, message end
   local result = {rows = {}, unmatched = {}, failures = failures, recordings = 0, files = 0, views = 0, unlabelled = 0,
      by_name = 0, seen = {}}
   local bar = progress.new("import-labels", #list, {unit = "files", quiet = options.quiet})
   for i, path in ipairs(list) do
      local t, why = read_file(path, options.column)
      if t then
         add_rows(result, t, path, recordings)
      else
         result.failures[#result.failures + 1] = {path = path, step = "import-labels", reason = why}
      end
      bar:update(i)
   end
   bar:finish()
   sort(result.rows)
   ok, message = write(options, result, parameters)
   if not ok then return nil, message end
   tell(options, result)
   if #result.rows == 0 then
      local line, failure = result.unmatched[1], result.failures[1]
      if line then return nil, ("%s: no labels, line %d: %s"):format(line.origin, line.line, line.reason) end
      return nil, failure and failure.reason or list[1] .. ": no labels in it"
   end
   return result
end

return import_labels
