--- Labels that people and programs have put on recordings: Raven's selection tables, Audacity's label tracks, results
-- of BirdNET and Kaleidoscope, and other tables that say from when to when there is what.
--
-- A text becomes rows; which recordings they are of, and whether these are so long, is for others to find out
-- (`bclua.data.annotation_match`, `bclua.workflow.import_labels`).
-- @module bclua.format.annotations
local columns = require "bclua.format.annotation_columns"
local files = require "bclua.files"
local text = require "bclua.text"

local annotations = {}

local DELIMITERS = {"\t", ";", ",", "|"}
local IDENTIFIED = {"manualid", "autoid", "top1match"} -- of Kaleidoscope: who knows best comes first
local NO_CALL = "nocall" -- BirdNET's line of a recording in which it found nothing
local BIRDNET_S = 3 -- its windows; the last one may stick out

-- Differences of times leave digits that nobody wrote.
local function rounded(x) return math.floor(x * 1e9 + 0.5) / 1e9 end

local function seconds(s)
   local x = text.number(s)
   return x and rounded(x)
end

-- ---- Audacity ----

local function is_track(line)
   local head = line and line:match("^([^\t]*)\t")
   return head ~= nil and (head == "\\" or text.number(head) ~= nil)
end

-- A line of a track; a fourth cell is BirdNET's confidence, its label both names of a species.
local function track_row(number, line, wanted)
   local cells = text.split(line, "\t")
   local row = {line = number, start_s = seconds(cells[1])}
   if not row.start_s or #cells < 2 then
      row.wrong = "no label: expected start, end and text with tabs between"
      return row
   end
   row.end_s = seconds(cells[2])
   row.label = text.cell(row.end_s and cells[3] or not row.end_s and cells[2] or "")
   row.end_s = row.end_s or row.start_s -- of Audacity 1.2: start and text
   row.score = cells[4] and text.number(cells[4])
   local scientific, common = (row.score and row.label or ""):match("^(%u%a+ %l[%a-]+), (.+)$")
   if common then row.label = (wanted or ""):lower() == "scientific name" and scientific or common end
   return row
end

local function frequency(cell, scale)
   local hz = cell and text.number(cell)
   return hz and hz >= 0 and hz * (scale or 1) or nil
end

local function read_track(lines, o)
   local t = {kind = "audacity", rows = {}, views = 0, names = {}}
   for number, line in ipairs(lines) do
      local last = t.rows[#t.rows]
      if line:find("^\\") and last and not last.wrong then
         local cells = text.split(line, "\t")
         last.low_hz, last.high_hz = frequency(cells[2]), frequency(cells[3])
      elseif line:find("%S") then
         t.rows[#t.rows + 1] = track_row(number, line, o.column)
         if t.rows[#t.rows].score then t.overhang_s = BIRDNET_S end
      end
   end
   return t
end

-- ---- Tables ----

local function count(t)
   local n = #t.labels
   for _ in pairs(t.at) do n = n + 1 end
   return n
end

-- The header of a table, with the delimiter that finds most columns that are known.
local function read_header(line, delimiters)
   local best, most = nil, 0
   for _, delimiter in ipairs(delimiters) do
      local _, names = text.rows({line}, 1, delimiter, 0)()
      local t = columns.read(names)
      if t and count(t) > most then
         best, most, t.delimiter = t, count(t), delimiter
      end
   end
   return best
end

-- What a cell of a role holds; nil: nothing.
local function cell(t, cells, role)
   local s = cells[t.at[role]]
   return s and s:find("%S") and s or nil
end

local function is_absent(s) return s:upper() == "NA" or s:upper() == "NAN" end

-- Start and end in the recording; nil and what is wrong with them.
local function times(t, cells)
   local x = {}
   for _, role in ipairs{"start", "stop", "length", "offset"} do
      local s = cell(t, cells, role)
      x[role] = s and text.number(s)
      if s and not x[role] and not is_absent(s) then
         return nil, ("no number: '%s' (%s)"):format(text.cell(s), t.names[t.at[role]])
      end
      x[role] = x[role] and x[role] * t.scale[role]
      if not x[role] and t.at[role] and (role == "start" or role == "offset") then
         return nil, ("no '%s'"):format(t.names[t.at[role]])
      end
   end
   local stop = x.stop or x.length and x.start + x.length or x.start
   local start = x.offset or x.start
   return rounded(start), rounded(start + stop - x.start)
end

-- A path with slashes, without drive.
local function clean(path)
   path = files.unguard(path):match("^%s*(.-)%s*$"):gsub("\\", "/"):gsub("^%a:", "")
   return (path:gsub("/%./", "/"):gsub("^%./", ""):gsub("//+", "/"):gsub("(.)/$", "%1"))
end

local function whole_path(path, file, root, folder)
   path, file = path and clean(path), file and clean(file)
   if not path and root and file then path = clean(root .. "/" .. (folder or "")) end
   if path and file and files.basename(path) ~= files.basename(file) then return path .. "/" .. file end
   return path or file
end

-- The sound file that a row names; rows of one are many.
local function path_of(t, cells)
   local path, file, root = cell(t, cells, "path"), cell(t, cells, "file"), cell(t, cells, "root")
   local key = ("%s\0%s\0%s\0%s"):format(path, file, root, t.at.folder and cells[t.at.folder])
   if t.paths[key] == nil then
      t.paths[key] = whole_path(path, file, root, t.at.folder and cells[t.at.folder]) or false
   end
   return t.paths[key] or nil
end

local function label_of(cells, of)
   for _, i in ipairs(of) do
      local label = cells[i] and text.cell(cells[i])
      if label then return files.unguard(label) end
   end
   return nil
end

local function has_extra(cells, width)
   for i = width + 1, #cells do
      if cells[i]:find("%S") then return true end
   end
   return false
end

local function table_row(t, number, cells)
   local row = {line = number, path = path_of(t, cells), label = label_of(cells, t.of)}
   row.start_s, row.end_s = times(t, cells)
   if not row.start_s then row.wrong, row.end_s = row.end_s, nil end
   if has_extra(cells, #t.names) then
      row.wrong = ("more cells than the header has: %d, not %d"):format(#cells, #t.names)
   elseif t.has_path and not row.path then
      row.wrong = row.wrong or "names no sound file"
   elseif t.kind == "birdnet" and row.label == NO_CALL then
      row.wrong = "says that there is no call"
   end
   row.low_hz = frequency(cell(t, cells, "low"), t.scale.low)
   row.high_hz = frequency(cell(t, cells, "high"), t.scale.high)
   row.score = text.number(cell(t, cells, "score") or "")
   row.view, row.selection = cell(t, cells, "view"), cell(t, cells, "selection")
   return row
end

-- Which columns are the label, the first that is not empty in a row counting: the one that is asked for; those of
-- Kaleidoscope; else the first of those that are known which is not empty in all rows.
local function choose_label(t, records, wanted)
   if wanted then
      local i = columns.find(t.names, wanted)
      return i and {i}
   end
   if t.kind == "kaleidoscope" and t.identified[1] then return t.identified end
   for _, i in ipairs(t.labels) do
      for _, r in ipairs(records) do
         if r.cells[i] and r.cells[i]:find("%S") then return {i} end
      end
   end
   return {}
end

-- Raven has a row of a selection for each view. They are one label, with what any of them says.
local function merge_views(t)
   local seen, rows = {}, {}
   for _, row in ipairs(t.rows) do
      local key = ("%s\0%s\0%s\0%s"):format(row.selection, row.path, row.start_s, row.end_s)
      local first = row.view and not row.wrong and seen[key]
      if first and not first.views[row.view] and (not row.label or not first.label or row.label == first.label) then
         first.views[row.view] = true
         first.label, first.score = first.label or row.label, first.score or row.score
         if row.view:find("^Spectrogram") or not first.low_hz then
            first.low_hz, first.high_hz = row.low_hz or first.low_hz, row.high_hz or first.high_hz
         end
         t.views = t.views + 1
      else
         rows[#rows + 1] = row
         if row.view and not row.wrong then row.views, seen[key] = {[row.view] = true}, row end
      end
   end
   t.rows = rows
end

-- Times of a Raven table of several files without 'File Offset (s)': where those of two files overlap, each counts from
-- the start of its own file; else nobody knows, and those of the first one alone are sure.
local function check_sequence(t)
   if t.kind ~= "raven" or t.at.offset then return end
   local spans, order = {}, {}
   for _, row in ipairs(t.rows) do
      if row.path and row.start_s then
         local span = spans[row.path] or {path = row.path, from = math.huge, to = -math.huge}
         if not spans[row.path] then spans[row.path], order[#order + 1] = span, span end
         span.from, span.to = math.min(span.from, row.start_s), math.max(span.to, row.end_s)
      end
   end
   table.sort(order, function(a, b) return a.from < b.from end)
   for i = 2, #order do
      if order[i].from < order[i - 1].to then return end
   end
   for _, row in ipairs(t.rows) do
      if order[2] and row.path ~= order[1].path then
         row.wrong = row.wrong or "of a table of several files without 'File Offset (s)': where do its times begin?"
      end
   end
end

local function read_table(lines, first, delimiters, o)
   local t = read_header(lines[first], delimiters)
   if not t then
      return nil, "no table of labels: no column says where a label starts (as 'Begin Time (s)' or 'start_s' do)"
   end
   t.identified, t.views, t.rows, t.paths = {}, 0, {}, {}
   for _, key in ipairs(IDENTIFIED) do t.identified[#t.identified + 1] = t.by_key[key] end
   local records = {}
   for number, cells in text.rows(lines, first + 1, t.delimiter, #t.names) do
      records[#records + 1] = {number = number, cells = cells}
   end
   t.of = choose_label(t, records, o.column)
   if not t.of then
      return nil, ("no column '%s' (has: %s)"):format(o.column, table.concat(t.names, ", "))
   end
   t.label = t.of[1] and t.names[t.of[1]]
   t.has_path = (t.at.path or t.at.file) ~= nil
   if t.kind == "birdnet" then t.overhang_s = BIRDNET_S end
   for i, r in ipairs(records) do t.rows[i] = table_row(t, r.number, r.cells) end
   merge_views(t)
   check_sequence(t)
   return t
end

local function check_times(t)
   for _, row in ipairs(t.rows) do
      if not row.wrong and row.start_s < 0 then
         row.wrong = "starts before the recording"
      elseif not row.wrong and row.end_s < row.start_s then
         row.wrong = "ends before it starts"
      end
   end
end

--- The labels of a file.
-- @tparam string bytes all of the file
-- @tparam[opt] table options `column`: the name of the column that is the label (default: the first that is known, as
-- Species, Annotation, Label, Common Name, and not empty)
-- @treturn[1] table `kind` (`audacity`, `raven`, `birdnet`, `kaleidoscope`, `csv`), `rows`, `views`: lines of further
-- views of the same selections, `label`: the column that is the label, `overhang_s`: so far may labels end past the end
-- of a recording. A row has `line`, and, where the file says so, `path` (of the sound file, with slashes), `start_s`,
-- `end_s` (in it), `low_hz`, `high_hz`, `label`, `score`; or `wrong`: why it is no label
-- @treturn[2] nil
-- @treturn[2] string why it is no file of labels
function annotations.read(bytes, options)
   local lines, first, delimiters = text.lines(text.decode(bytes)), 1, DELIMITERS
   while lines[first] and not lines[first]:find("%S") do first = first + 1 end
   if not lines[first] then return {kind = "empty", rows = {}, views = 0} end
   local told = lines[first]:match("^sep=(.)$") -- how Excel wants to be told
   if told then first, delimiters = first + 1, {told} end
   local t, message
   if is_track(lines[first]) then
      t = read_track(lines, options or {})
   else
      t, message = read_table(lines, first, delimiters, options or {})
   end
   if not t then return nil, message end
   check_times(t)
   return t
end

return annotations
