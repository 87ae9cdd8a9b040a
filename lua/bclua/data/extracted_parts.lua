--- The results of `extract` as Parquet files of some hundred recordings each, `part-000001.parquet` and on: a row a
-- recording, with its metadata, `folder`, `mp`, `pi` and `cens` as columns.
--
-- Of a recording that is in several parts the last one counts. The metadata `bclua_failed` of a part names recordings
-- that failed when they were to be done again: what earlier parts have of them no longer counts. The features of a
-- recording of some ten hours or more are an npy file beside its part, `cens_file`: to write them into Parquet would
-- take ten times their size in memory.
-- @module bclua.data.extracted_parts
local array = require "bclua.array"
local display = require "bclua.display"
local files = require "bclua.files"
local json = require "bclua.json"
local metadata = require "bclua.data.extracted_metadata"
local part_writer = require "bclua.data.part_writer"
local progress = require "bclua.progress"
local schemas = require "bclua.data.schemas"
local sql = require "bclua.sql"
local system = require "bclua.system"
local tables = require "bclua.data.tables"

local extracted_parts = {}

--- Bytes of features and profiles in a part, about.
extracted_parts.bytes = 1 << 24

--- Bytes of features that are a file of their own.
extracted_parts.long = 1 << 24

local ROW_BYTES = 1000 -- of the metadata, about

local COLUMNS = {table.unpack(metadata.keys)}
table.move({"folder", "mp", "pi", "cens", "cens_file"}, 1, 5, #COLUMNS + 1, COLUMNS)

-- Of columns that may hold nothing.
local TYPES = {cens = "float[][]"}
for _, name in ipairs(COLUMNS) do
   TYPES[name] = TYPES[name] or tables.sql_type(schemas.extracted[name])
end

-- What says whether a recording is done, and with which warning.
local STATE = {"source_name", "source_bytes", "source_modified", "cens_sample_rate", "matrix_profile_window",
   "sample_rate", "exclusion", "fmin", "fmax", "channel", "is_best_channel", "warning", "clock_warning",
   "duration_seconds", "claimed_seconds", "cens_file", "features?"}

--- The parts of a folder.
-- @tparam string folder
-- @treturn {string,...} names
-- @treturn integer see `part_writer.list`
extracted_parts.list = part_writer.list

-- ---- Reading ----

local function read_failed(path)
   local m, message = sql.parquet_metadata(path)
   if not m then return nil, message end
   local list = m.bclua_failed and json.decode(m.bclua_failed) or {}
   if tables.fault({list = list}, {list = {"list", of = {"string"}}}) then
      return nil, path .. ": metadata bclua_failed: no list of names"
   end
   return list
end

-- The rows of a part, and the recordings that it says failed. Columns of `checked` are not read, only checked.
local function read_part(path, names, checked)
   local all, select = table.move(checked or {}, 1, #(checked or {}), #names + 1, {table.unpack(names)}), {}
   local relation, message = tables.open(path, schemas.extracted, all)
   if not relation then return nil, message end
   local failed
   failed, message = read_failed(path)
   if not failed then return nil, message end
   local rows
   for i, name in ipairs(names) do select[i] = sql.identifier((name:gsub("%?$", ""))) end
   rows, message = sql.query(("select %s from %s"):format(table.concat(select, ", "), relation))
   return rows, message or failed
end

-- Calls `f` with each part, from the last one to the first: its name, the rows that count, whether anything of it does,
-- and all rows; or its name, nil and what is wrong with it.
local function each_part(folder, list, names, f, checked)
   local seen = {}
   for i = #list, 1, -1 do
      local rows, failed = read_part(folder .. "/" .. list[i], names, checked)
      if rows then
         local current, counts, all = {}, false, rows
         for _, row in ipairs(rows) do
            if not seen[row.source_name] then current[#current + 1] = row end
            seen[row.source_name] = true
         end
         for _, name in ipairs(failed) do
            counts = counts or not seen[name]
            seen[name] = true
         end
         f(list[i], current, counts or #current > 0, all)
      else
         f(list[i], nil, failed)
      end
   end
end

--- Calls `f` with each recording, as `extracted.each` does.
function extracted_parts.each(folder, names, f, checked)
   local failures, wanted, also = {}, {"folder"}, {}
   for i, name in ipairs(checked or {}) do also[i] = name .. "?" end
   for i, name in ipairs(names) do wanted[i + 1] = name .. "?" end
   each_part(folder, (extracted_parts.list(folder)), wanted, function(name, rows, message)
      if not rows then failures[#failures + 1] = {path = folder .. "/" .. name, reason = message} end
      for _, m in ipairs(rows or {}) do
         m.part_file = name
         f(m)
      end
   end, also)
   return failures, {}
end

--- Is the part of a recording there?
function extracted_parts.has_features(item) return files.exists(item.part) end

-- The features of a whole part, in one array, and where each recording's are.
local function load_features(path)
   local relation, kinds = tables.open(path, schemas.extracted, {"source_name", "cens_file"})
   if not relation then return nil, kinds end
   if kinds.cens ~= TYPES.cens:upper() then
      return nil, ("%s: column 'cens' must be %s, got %s"):format(path, TYPES.cens:upper(), kinds.cens or "none")
   end
   local rows, message = sql.query("select source_name, len(cens) as dims, flatten(cens) as cens, cens_file from " ..
      sql.parquet(path))
   if not rows then return nil, message end
   local by_name = {}
   for _, row in ipairs(rows) do
      local c, dims = row.cens, row.dims
      if c and dims > 0 and #c % dims == 0 then c = c:reshape{dims, #c // dims} end
      by_name[row.source_name] = row.cens_file or c
   end
   return by_name
end

local held = {} -- the part that was read last, for the next recording is likely to be in it, too

--- The features of a recording.
-- @tparam table item `part`, `source_name`
-- @treturn[1] array
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path of the part
-- @treturn[1] string that path and the name
function extracted_parts.features(item)
   local path, size, modified = item.part, files.stamp(item.part)
   if not size then
      return nil, path .. ": No such file or directory (run `motif extract` and `motif consolidate` again, or give " ..
         "--dataset-root)"
   end
   if held.path ~= path or held.size ~= size or held.modified ~= modified then
      held = {path = path, size = size, modified = modified}
      held.features, held.message = load_features(path)
   end
   if not held.features then return nil, held.message end
   local c = held.features[item.source_name]
   local about = ("%s: %s"):format(path, item.source_name)
   if not c then return nil, about .. ": is not in it (run `motif consolidate` again)" end
   if type(c) == "string" then
      about = files.dirname(path) .. "/" .. c
      local message
      c, message = array.load(about, {mmap = true})
      return c, message or about
   end
   return c, about
end

-- ---- Writing ----

local Parts = {}
Parts.__index = Parts

-- What was done of the recordings of a list; what is damaged is set aside, and what no longer counts goes.
local function look(self, list, p)
   local by_name = {}
   for _, item in ipairs(list) do by_name[item.source_name] = item end
   local names, last = extracted_parts.list(self.folder)
   each_part(self.folder, names, STATE, function(name, rows, about, all)
      local path = self.folder .. "/" .. name
      if not rows then
         progress.note(("extract: %s (kept as %s.damaged; its recordings are done again)"):format(about, name), p.quiet)
         os.rename(path, path .. ".damaged")
      elseif not about then
         os.remove(path)
         for _, m in ipairs(all) do
            if m.cens_file then os.remove(self.folder .. "/" .. m.cens_file) end
         end
      end
      for _, m in ipairs(rows or {}) do
         local item = by_name[m.source_name]
         self.known[m.source_name] = true
         local has_features = not m.cens_file or files.exists(self.folder .. "/" .. m.cens_file)
         if item and has_features and metadata.is_current(m, item, p) then
            self.done[m.source_name] = metadata.warning_of(m, item.path) or true
         end
      end
   end)
   return last
end

local function size_of(row)
   return ROW_BYTES + row.cens:bytes() + (row.mp and row.mp:bytes() + row.pi:bytes() or 0)
end

-- A text that is not UTF-8 has no place in Parquet.
local function as_column(value) return type(value) == "string" and display.utf8(value) or value end

-- Long features become files, which a part names once they are there.
local function write_long(path, columns)
   for i = 1, columns.cens.n do
      local c = columns.cens[i]
      if c:bytes() >= extracted_parts.long then
         local long = path:gsub("%.parquet$", ("-%d.npy"):format(i))
         local ok, message = array.save(long, c)
         if not ok then return nil, message end
         columns.cens[i], columns.cens_file[i] = nil, files.basename(long)
      end
   end
   return true
end

local function write(path, rows, failed, reasons)
   local columns = {}
   for _, name in ipairs(COLUMNS) do
      local column = {n = #rows}
      for i, row in ipairs(rows) do column[i] = as_column(row[name]) end
      columns[name] = column
   end
   local ok, message = write_long(path, columns)
   if not ok then return nil, message end
   return sql.write_parquet(path, columns, {order = COLUMNS, types = TYPES,
      metadata = {bclua_failed = #failed > 0 and files.json(failed) or nil,
         bclua_reasons = reasons and next(reasons) and files.json(reasons) or nil}})
end

-- ---- Pieces: parts whose recordings a manifest says ----

--- Write a piece: the same bytes, whoever does so and however often.
-- @tparam string folder
-- @tparam integer number
-- @tparam {table,...} rows as `Parts:add` takes them, in order of their names
-- @tparam table reasons why the others failed, by source name
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function extracted_parts.write_piece(folder, number, rows, reasons)
   local failed = {}
   for name in pairs(reasons) do failed[#failed + 1] = name end
   table.sort(failed)
   return write(part_writer.path(folder, number), rows, failed, reasons)
end

local function read_reasons(path)
   local m = sql.parquet_metadata(path)
   local reasons = m and m.bclua_reasons and json.decode(m.bclua_reasons)
   return type(reasons) == "table" and reasons or {}
end

--- What became of a piece.
-- @tparam string folder
-- @tparam integer number
-- @tparam {table,...} list the recordings that are to be in it
-- @tparam table p parameters
-- @treturn ?table by source name `true`, or why it failed; nil: it is not there, not readable, or of other parameters,
-- files or recordings
function extracted_parts.piece(folder, number, list, p)
   local path = part_writer.path(folder, number)
   if not files.is_file(path) then return nil end
   local rows = read_part(path, STATE)
   if not rows then return nil end
   local found, by_name = read_reasons(path), {}
   for _, row in ipairs(rows) do by_name[row.source_name] = row end
   for _, item in ipairs(list) do
      local m = by_name[item.source_name]
      local is_there = m and metadata.is_current(m, item, p) and
         (not m.cens_file or files.exists(folder .. "/" .. m.cens_file))
      if m and not is_there or not m and type(found[item.source_name]) ~= "string" then return nil end
      found[item.source_name] = found[item.source_name] or true
   end
   return found
end

--- Why recordings of pieces failed.
-- @tparam string folder
-- @treturn table by source name
function extracted_parts.reasons(folder)
   local all = {}
   for _, name in ipairs((extracted_parts.list(folder))) do
      for source, reason in pairs(read_reasons(folder .. "/" .. name)) do all[source] = reason end
   end
   return all
end

-- ---- Parts one after the other ----

--- Begin, or go on.
-- @tparam string folder
-- @tparam {table,...} list from `recordings.list`: those that may be done
-- @tparam table p parameters
-- @treturn parts to be closed
function extracted_parts.open(folder, list, p)
   local self = setmetatable({folder = folder, known = {}, done = {}, failed = {}}, Parts)
   self.writer = part_writer.new(folder, look(self, list, p),
      function(path, rows) return write(path, rows, self.failed) end)
   return self
end

--- Was this recording done before, with these parameters, from this very file?
-- @tparam table item
-- @treturn boolean
-- @treturn ?table its warning
function Parts:look_up(item)
   local done = self.done[item.source_name]
   return done ~= nil, done ~= true and done or nil
end

--- A recording is done.
-- @tparam table row metadata, `folder`, and arrays: `cens`, `mp` and `pi`
-- @treturn[2] nil, message beginning with a path
function Parts:add(row)
   self.writer:add(row, size_of(row))
   if self.writer:is_due(extracted_parts.bytes) then return self:flush() end
   return true
end

--- A recording failed: what earlier parts have of it no longer counts.
-- @tparam table item
function Parts:fail(item)
   if self.known[item.source_name] then self.failed[#self.failed + 1] = item.source_name end
end

--- Write what is done.
-- @treturn[2] nil, message beginning with a path
function Parts:flush()
   local name, message = self.writer:flush()
   if not name and not message and #self.failed > 0 then name, message = self.writer:write({}) end
   if message then return nil, message end
   if name then self.failed = {} end
   collectgarbage() -- Lua does not see how large the arrays are
   return true
end

--- Keep what is done, also where the run is broken off.
function Parts:close() pcall(system.uninterrupted, self.flush, self) end

Parts.__close = Parts.close

return extracted_parts
