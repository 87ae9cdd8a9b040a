--- A table of what a network says of windows: it grows recording by recording, in bounded memory, and becomes one
-- Parquet file.
--
-- Rows gather in `OUTPUT.parts/`, a Parquet file for some thousand of them; `journal.jsonl` there says which recordings
-- are complete and in which parts. A run that was killed goes on behind it; `commit` makes OUTPUT of what was in
-- it before and the parts, and removes these; OUTPUT says which journal it took in, for what was killed in between.
-- @module bclua.workflow.predict.partitioned_writer
local array = require "bclua.array"
local clock = require "bclua.clock"
local files = require "bclua.files"
local json = require "bclua.json"
local options = require "bclua.options"
local part_writer = require "bclua.data.part_writer"
local provenance = require "bclua.data.provenance"
local schemas = require "bclua.data.schemas"
local sql = require "bclua.sql"
local system = require "bclua.system"
local tables = require "bclua.data.tables"

local writer = {}

--- What such tables hold: `values`, the column of lists of floats; the `schema`, and which `command` writes them.
writer.kinds = {
   embeddings = {values = "embedding", schema = schemas.embeddings, command = "embed predict"},
   scores = {values = "score", schema = schemas.scored_windows, command = "classify predict"},
}

--- The columns of a table.
-- @tparam table kind of `kinds`
function writer.columns(kind) return {"file", "start_s", "end_s", "clock_time", "site", kind.values} end

-- The same as they are read: earlier versions wrote no clock time and no site.
local function columns_read(kind) return {"file", "start_s", "end_s", "clock_time?", "site?", kind.values} end

--- Rows of a part.
writer.rows = 2048

local ROW_GROUP = 4096 -- as DuckDB holds some of them in memory

local Writer = {}
Writer.__index = Writer

local function remove_folder(folder)
   for _, name in ipairs(files.find(folder) or {}) do os.remove(folder .. "/" .. name) end
   os.remove(folder)
end

-- What the output knows of its recordings, and the journal that it took in, as `fingerprint`.
local function read_output(path, kind)
   local relation, message = tables.open(path, kind.schema, columns_read(kind))
   if not relation then return nil, message end
   local metadata
   metadata, message = sql.parquet_metadata(path)
   if not metadata then return nil, message end
   local list, why = json.decode(metadata.bclua_files or "")
   local wrong = why or tables.fault({files = list}, schemas.journal)
   if wrong then return nil, ("%s: metadata bclua_files: %s (use --force to begin anew)"):format(path, wrong) end
   return list, metadata.bclua_journal
end

local function journal_of(folder) return files.read(folder .. "/journal.jsonl") or "" end

-- Of a journal, which only grows: the same only if it is the same.
local function fingerprint(folder)
   local text = journal_of(folder)
   return utf8.len(text) and sql.query(("select md5(%s) as hash"):format(sql.quote(text)))[1].hash or "damaged"
end

local LINE = options.extend(schemas.journal, {parts = {"list", of = {"string"}, needed = true},
   serial = {"integer", least = 0, needed = true}})

local function leave_out(self, list)
   for _, file in ipairs(list) do self.done[file] = nil end
   self.drops[#self.drops + 1] = {files = list, before = #self.list}
end

-- A line of the journal, if it is whole and so are its parts.
local function read_entry(self, line)
   local entry = json.decode(line)
   if not entry or tables.fault(entry, LINE) then return nil end
   for _, name in ipairs(entry.parts) do
      if not name:find("^part%-%d+%.parquet$") then return nil end
      local path = self.folder .. "/" .. name
      if not tables.open(path, self.kind.schema, columns_read(self.kind)) then return nil end
   end
   return entry
end

-- Complete recordings of a run that was broken off, and their parts. From a line on that was torn or damaged nothing
-- counts, and it goes: its recordings are done again.
local function read_journal(self)
   local known, text, good = {}, journal_of(self.folder), {}
   for line in text:gmatch("([^\n]*)\n") do
      local entry = read_entry(self, line)
      if not entry then break end
      good[#good + 1] = line .. "\n"
      for _, name in ipairs(entry.parts) do
         known[name] = true
         self.list[#self.list + 1] = self.folder .. "/" .. name
      end
      for _, item in ipairs(entry.files) do
         self.done[item.file] = item
         self.order[#self.order + 1] = item.file
      end
      if entry.replaced then leave_out(self, entry.replaced) end
      self.writer.last = math.max(self.writer.last, entry.serial)
      self.lines = self.lines + 1
   end
   for _, name in ipairs(files.find(self.folder, function(name) return name:find("%.parquet") end) or {}) do
      if not known[name] then os.remove(self.folder .. "/" .. name) end
   end
   good = table.concat(good)
   if good == text then return true end
   return system.write_file(self.folder .. "/journal.jsonl", good)
end

local EMPTY = "select ''::varchar as file, 0::double as start_s, 0::double as end_s, " ..
   "null::varchar as clock_time, null::varchar as site, []::float[] as %s, 0::ubigint as file_index where false"

-- No rows of a table.
local function none(kind) return "select * exclude (file_index) from (" .. EMPTY:format(kind.values) .. ")" end

--- Write rows as a part.
-- @tparam string path
-- @tparam {table,...} chunks as `Writer:add` takes them
-- @tparam table kind of `kinds`
-- @tparam[opt] table metadata
-- @treturn[2] nil, message
function writer.write_part(path, chunks, kind, metadata)
   if #chunks == 0 then return sql.write_parquet(path, none(kind), {metadata = metadata}) end
   local columns = {file = {}}
   for _, key in ipairs({"start_s", "end_s", kind.values}) do
      local list = {}
      for i, chunk in ipairs(chunks) do list[i] = chunk[key] end
      columns[key] = array.concat(list)
   end
   local rows = 0
   columns.clock_time, columns.site = {}, {}
   for _, chunk in ipairs(chunks) do
      for i = 1, #chunk.start_s do
         rows = rows + 1
         columns.file[rows], columns.clock_time[rows] = chunk.file, clock.at(chunk.recorded_at, chunk.start_s[i])
         columns.site[rows] = chunk.site
      end
   end
   columns.clock_time.n, columns.site.n = rows, rows
   return sql.write_parquet(path, columns, {order = writer.columns(kind), metadata = metadata,
      types = {clock_time = "varchar", site = "varchar"}})
end

--- Make an output of the parts of shards, whole or not at all.
-- @tparam string output
-- @tparam {string,...} paths of the parts
-- @tparam {table,...} list what `Writer:finish` takes, of all recordings in them
-- @tparam table parameters
-- @tparam table metadata
-- @tparam table kind of `kinds`
-- @treturn[2] nil, message
function writer.merge(output, paths, list, parameters, metadata, kind)
   local all = provenance.for_parquet(parameters)
   for key, value in pairs(metadata) do all[key] = value end
   all.bclua_files = files.json(list)
   return sql.write_parquet(output, ("select %s from %s"):format(table.concat(writer.columns(kind), ", "),
      sql.parquet(paths)), {metadata = all, row_group_size = ROW_GROUP})
end

--- Begin, or go on.
-- @tparam string output the Parquet file to make
-- @tparam table parameters as for `provenance.open_folder`; where others made the output or its parts, it is an error
-- @tparam ?boolean force then they are redone
-- @tparam[opt] table kind of `kinds`: embeddings
-- @treturn[1] Writer `done`: `{file=, bytes=, modified=, windows=}` by file
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function writer.open(output, parameters, force, kind)
   kind = kind or writer.kinds.embeddings
   local self = setmetatable({kind = kind, output = output, folder = output .. ".parts", parameters = parameters,
      list = {}, lines = 0, done = {}, order = {}, drops = {}, old = 0,
      own = {}, own_parts = {}, finished = {}, own_rows = 0},
      Writer)
   self.writer = part_writer.new(self.folder, 0, function(name, chunks)
      return writer.write_part(name, chunks, kind)
   end)
   local made = provenance.of_parquet(output)
   if files.exists(output) and not made and not force then
      return nil, ("%s: is there, and not of `%s`; use --force to replace it, or another output"):format(output,
         kind.command)
   end
   local ok, message = provenance.check(output, made, parameters, force)
   if not ok then return nil, message end
   local is_same = made and not provenance.difference(made, parameters)
   local before, damaged = provenance.of_folder(self.folder)
   local done, journal = {}, nil
   if is_same then done, journal = read_output(output, kind) end
   if not done and not force then return nil, journal end
   if force and (damaged or before and provenance.difference(before, parameters)) or
      before and done and journal == fingerprint(self.folder) then
      remove_folder(self.folder)
   end
   ok, message = provenance.open_folder(self.folder, parameters, force)
   if not ok then return nil, message end
   for _, item in ipairs(done or {}) do
      self.done[item.file] = item
      self.order[#self.order + 1] = item.file
      self.old = self.old + 1
   end
   ok, message = read_journal(self)
   return ok and self, message
end

local function append(self, entry)
   self.lines = self.lines + 1
   local f, message = io.open(self.folder .. "/journal.jsonl", "ab")
   if not f then return nil, message end
   local ok, why = f:write(files.json(entry), "\n")
   local closed, reason = f:close()
   if not (ok and closed) then return nil, ("%s/journal.jsonl: %s"):format(self.folder, why or reason) end
   return true
end

-- Recordings that are complete, and the parts that hold them, in the journal.
local function note(self, names, items)
   for _, name in ipairs(names) do self.list[#self.list + 1] = self.folder .. "/" .. name end
   return append(self, {parts = names, files = items, serial = self.writer.last})
end

--- These recordings are to be done again: what is there of them goes.
-- @tparam {string,...} list
-- @treturn[2] nil, message
function Writer:replace(list)
   if #list == 0 then return true end
   leave_out(self, list)
   return append(self, {parts = {}, files = {}, replaced = list, serial = self.writer.last})
end

--- Write what is complete.
-- @treturn[2] nil, message
function Writer:flush()
   local name, message = self.writer:flush()
   if message then return nil, message end
   if #self.finished == 0 then return true end
   local items = self.finished
   self.finished = {}
   return note(self, {name}, items)
end

--- Rows of the recording that is being done.
-- @tparam table chunk `file`; `recorded_at`, `site` or nil; `start_s`, `end_s`: f64 (n); the values, as `embedding`:
-- f32 (n, z)
-- @treturn[2] nil, message
function Writer:add(chunk)
   self.own[#self.own + 1], self.own_rows = chunk, self.own_rows + #chunk.start_s
   local ok, message = true, nil
   if self.own_rows >= writer.rows or self.writer:is_due(math.huge) then
      ok, message = self:flush() -- what is complete stays in front of it
   end
   if not ok then return nil, message end
   if self.own_rows < writer.rows then return true end
   ok, message = self.writer:write(self.own)
   if not ok then return nil, message end
   self.own_parts[#self.own_parts + 1] = ok
   self.own, self.own_rows = {}, 0
   return true
end

--- The recording that is being done is complete.
-- @tparam table item `{file=, bytes=, modified=, windows=}`
-- @treturn[2] nil, message
function Writer:finish(item)
   self.done[item.file] = item
   self.order[#self.order + 1] = item.file
   local names, ok, message = self.own_parts, true, nil
   if #names > 0 then
      if #self.own > 0 then
         names[#names + 1], message = self.writer:write(self.own)
         if message then return nil, message end
      end
      ok, message = note(self, names, {item})
   else
      for _, chunk in ipairs(self.own) do self.writer:add(chunk, #chunk.start_s) end
      self.finished[#self.finished + 1] = item
   end
   self.own, self.own_rows, self.own_parts = {}, 0, {}
   if not ok then return nil, message end
   if self.writer:is_due(writer.rows) then return self:flush() end
   return true
end

--- The recording that is being done failed: nothing of it stays.
-- @treturn boolean true
function Writer:discard()
   for _, name in ipairs(self.own_parts) do os.remove(self.folder .. "/" .. name) end
   self.own, self.own_rows, self.own_parts = {}, 0, {}
   return true
end

local function quoted(list)
   local words = {}
   for i, text in ipairs(list) do words[i] = sql.quote(text) end
   return table.concat(words, ", ")
end

-- All rows: of the output before, then of the parts in their order, but for what was replaced later.
local function source(self)
   local shift = self.old > 0 and 1 or 0
   local list = table.move(self.list, 1, #self.list, 1 + shift, shift == 1 and {self.output} or {})
   local select, unless = "select " .. table.concat(writer.columns(self.kind), ", ") .. " from ", {}
   local from = ("(%s union all by name select *, file_index from %s)"):format(EMPTY:format(self.kind.values),
      sql.parquet(list, "union_by_name = true"))
   for i, drop in ipairs(self.drops) do
      unless[i] = ("not (file_index < %d and file in (%s))"):format(drop.before + shift, quoted(drop.files))
   end
   return select .. from .. (unless[1] and " where " .. table.concat(unless, " and ") or "")
end

--- Make the output, whole or not at all, and remove the parts.
-- @tparam table metadata beside the parameters and `bclua_files`
-- @treturn[1] integer windows in it
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function Writer:commit(metadata)
   local ok, message = self:flush()
   if not ok then return nil, message end
   local list, seen, count = {}, {}, 0
   for i = #self.order, 1, -1 do -- the last word on each
      local item = self.done[self.order[i]]
      if item and not seen[item.file] then
         seen[item.file], count = true, count + item.windows
         table.insert(list, 1, item)
      end
   end
   local all = provenance.for_parquet(self.parameters)
   for key, value in pairs(metadata) do all[key] = value end
   all.bclua_files, all.bclua_journal = files.json(list), fingerprint(self.folder)
   if self.lines > 0 or self.old == 0 then
      local rows = (#self.list > 0 or self.old > 0) and source(self) or none(self.kind)
      ok, message = sql.write_parquet(self.output, rows, {metadata = all, row_group_size = ROW_GROUP})
      if not ok then return nil, message end
   end
   remove_folder(self.folder)
   return count
end

--- Where no table comes of it, now or at all: keep what is complete; no folder stays that holds nothing.
function Writer:close()
   pcall(system.uninterrupted, self.flush, self)
   if self.lines == 0 then remove_folder(self.folder) end
end

Writer.__close = Writer.close

return writer
