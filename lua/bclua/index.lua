--- Nearest windows in a table of embeddings, however many there are.
--
-- Beside the table `FILE.parquet` lies `FILE.parquet.index.npy` with its embeddings, row after row, which is mapped and
-- looked through in order, in memory that does not grow with it; `FILE.parquet.index.json` says of which state of the
-- table that is. Both are made when the table is opened first, and again when it has changed. Whitened embeddings have
-- files of their own, `FILE.parquet.whitened.npy`, `.whitened.json` and, with the map, `.whitened.safetensors`.
-- @module bclua.index
-- @usage
-- local index = assert(require("bclua.index").open("calls.parquet"))
-- for _, hit in ipairs(index:search(query, {top = 20})) do print(hit.file, hit.start_s, hit.distance) end
local array = require "bclua.array"
local files = require "bclua.files"
local learn = require "bclua.learn"
local safetensors = require "bclua.format.safetensors"
local whiten = require "bclua.whiten"
local progress = require "bclua.progress"
local schemas = require "bclua.data.schemas"
local sql = require "bclua.sql"
local tables = require "bclua.data.tables"
local check_options = require("bclua.options").check

local index = {}

local COLUMNS = {"file", "start_s", "end_s", "clock_time?", "site?", "embedding"}
local AT_ONCE = 65536 -- rows that are copied at once
local TO_FIT = 50000 -- rows, evenly spread, that whitening is learnt from

local Index = {}
Index.__index = Index

--- The state of a table, for what is made of it and lies beside it.
-- @tparam string path
-- @treturn table as it is written as JSON
function index.state(path)
   local bytes, modified = files.stamp(path)
   return {bytes = bytes, modified = modified}
end

--- Is what lies beside a table of its present state?
-- @tparam table names `npy`, and `json`, which has the state
-- @tparam string path of the table
-- @treturn boolean
function index.is_current(names, path)
   local made = tables.read_json(names.json, schemas.index)
   local now = index.state(path)
   return made ~= nil and files.is_file(names.npy) and made.bytes == now.bytes and made.modified == now.modified
end

-- How many values an embedding has, and how many rows there are.
local function measure(path)
   local found, message = sql.query(("select count(*) as rows, min(len(embedding)) as least, " ..
      "max(len(embedding)) as most from %s"):format(sql.parquet(path)))
   if not found then return nil, message end
   local f = found[1]
   if f.rows == 0 then return nil, path .. ": no rows" end
   if f.least ~= f.most or f.least == 0 then
      return nil, ("%s: embeddings of %d to %d values; all must have as many"):format(path, f.least, f.most)
   end
   return f.rows, f.most
end

-- The map that whitens the embeddings of a table within its recordings.
local function fit(path, rows, z)
   local step = (rows - 1) // TO_FIT + 1
   local found, message = sql.columns(("select file, embedding from %s where file_row_number %% %d = 0 " ..
      "and not list_contains(list_transform(embedding, x -> isfinite(x)), false) order by file_row_number"):format(
      sql.parquet(path, "file_row_number = true"), step))
   if not found then return nil, message end
   if #found.file == 0 then return nil, path .. ": no embedding is finite" end
   local map = whiten.fit(array.concat(found.embedding):reshape{#found.file, z}, found.file)
   return whiten.map(map.mean:copy("f32"), map.matrix:copy("f32"))
end

local function copy_rows(out, path, rows, z, map, quiet)
   local bar = progress.new("index", rows, {unit = "windows", quiet = quiet})
   local from = sql.parquet(path, "file_row_number = true")
   for first = 0, rows - 1, AT_ONCE do
      local last = math.min(first + AT_ONCE, rows)
      local part, message = sql.columns(("select unnest(embedding)::float as v from (select embedding from %s " ..
         "where file_row_number >= %d and file_row_number < %d order by file_row_number)"):format(from, first, last))
      if not part then return nil, message end
      local ok
      local block = part.v:copy("f32"):reshape{last - first, z}
      ok, message = out:append(map and map:apply(block) or block)
      if not ok then return nil, message end
      part, block = nil, nil -- luacheck: ignore
      collectgarbage() -- Lua does not see how large the rows were
      bar:update(last)
   end
   bar:finish()
   return true
end

local function make(names, path, quiet)
   local relation, message = tables.open(path, schemas.embeddings, COLUMNS)
   if not relation then return nil, message end
   local state, rows, z = index.state(path), measure(path)
   if not rows then return nil, z end
   os.remove(names.json) -- it is of what is replaced now
   local ok, map
   if names.map then
      map, message = fit(path, rows, z)
      if map then ok, message = safetensors.save(names.map, {mean = map.mean, matrix = map.matrix}) end
      if not ok then return nil, message end
   end
   local out <close>, why = array.create(names.npy, "f32", map and map.matrix:shape(2) or z)
   if not out then return nil, why end
   ok, message = copy_rows(out, path, rows, z, map, quiet)
   if not ok then return nil, message end
   ok, message = out:commit()
   if not ok then return nil, message end
   return files.write_json(names.json, state)
end

local OPEN = {whiten = "boolean", quiet = "boolean"}

local function files_of(path, whitened)
   local name = path .. (whitened and ".whitened" or ".index")
   return {npy = name .. ".npy", json = name .. ".json", map = whitened and name .. ".safetensors" or nil}
end

--- Open the index of a table, which is made where it is missing or the table has changed since.
-- @tparam string path Parquet with the columns `file`, `start_s`, `end_s`, `embedding`, as `embed predict` writes it
-- @tparam[opt] table options `whiten`: embeddings, and queries, are whitened within recordings (see `bclua.whiten`);
-- `quiet`: no progress
-- @treturn[1] index `#index`: its rows; `columns`: values of an embedding
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function index.open(path, options)
   options = check_options(options, OPEN)
   local names = files_of(path, options.whiten)
   if not files.is_file(path) then return nil, path .. ": no such file" end
   local message
   if not index.is_current(names, path) then
      local ok
      ok, message = make(names, path, options.quiet)
      if not ok then return nil, message end
   end
   local x
   x, message = array.load(names.npy, {mmap = true})
   if not x then return nil, message end
   local self = setmetatable({path = path, x = x, columns = x:shape(2)}, Index)
   if names.map then
      local t
      t, message = safetensors.load(names.map)
      if not t then return nil, message end
      self.map, self.columns = whiten.map(t.mean, t.matrix), t.matrix:shape(1)
   end
   return self
end

function Index:__len() return self.x:shape(1) end

-- The rows of the windows of a file that lie in part between two seconds, as a set; and how many these are.
local function rows_within(self, without)
   local found, message = sql.query(("select file_row_number as row from %s where file = %s and start_s < %.17g and " ..
      "end_s > %.17g"):format(sql.parquet(self.path, "file_row_number = true"), sql.quote(without.file),
      without.to_s or 1e300, without.from_s or -1))
   if not found then return nil, message end
   local set = {}
   for _, r in ipairs(found) do set[r.row + 1] = true end
   return set, #found
end

-- What the table says of some rows, by row.
local function describe(self, rows)
   local list = {}
   for i, row in ipairs(rows) do list[i] = ("%d"):format(row - 1) end
   local has = {}
   for _, c in ipairs(sql.query("describe from " .. sql.parquet(self.path)) or {}) do has[c.column_name] = true end
   local function optional(name) return has[name] and name or "null::varchar as " .. name end
   local found, message = sql.query(("select file_row_number as row, file, start_s::double as start_s, " ..
      "end_s::double as end_s, %s, %s from %s where file_row_number in (%s)"):format(optional "clock_time",
      optional "site", sql.parquet(self.path, "file_row_number = true"), table.concat(list, ", ")))
   if not found then return nil, message end
   local of = {}
   for _, r in ipairs(found) do
      r.row = r.row + 1
      of[r.row] = r
   end
   return of
end

local SEARCH = {top = {"integer", default = 50, least = 1, most = 1000000},
   metric = {"choice", {"cosine", "euclidean"}, default = "cosine"},
   without = {"table", of = {file = {"string", needed = true}, from_s = "number", to_s = "number"}}}

--- The nearest windows: every one of the table is compared.
-- @tparam array queries (columns), or several (n, columns): near is what is near to any of them; finite
-- @tparam[opt] table options `top` (50), `metric` ("cosine": 1 - cos, or "euclidean"); `without`: `{file=, from_s=,
-- to_s=}`, windows of this file that share sound with this part of it (default: all of it) are left out
-- @treturn[1] {table,...} nearest first, of equally near ones the earlier in the table: `row` (from 1), `distance`,
-- `query` (which of them), `file`, `start_s`, `end_s`, and where these are known `clock_time` and `site`. Embeddings
-- with a NaN or an infinity are near to nothing
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path: the table is no longer what it was
-- @raise if the queries do not have as many columns as the table
function Index:search(queries, options)
   options = check_options(options, SEARCH)
   if queries:ndim() == 1 then queries = queries:reshape{1, #queries} end
   if self.map then queries = self.map:apply(queries:copy("f32")) end
   local left_out, more = {}, 0
   if options.without then
      left_out, more = rows_within(self, options.without)
      if not left_out then return nil, more end
   end
   local rows, distances, which = learn.scan(self.x, queries, {k = options.top + more, metric = options.metric})
   local hits, kept = {}, {}
   for i = 1, #rows do
      if not left_out[rows[i]] and #hits < options.top then
         kept[#kept + 1] = rows[i]
         hits[#hits + 1] = {row = rows[i], distance = distances[i], query = which[i]}
      end
   end
   if #hits == 0 then return hits end
   local of, message = describe(self, kept)
   if not of then return nil, message end
   for _, hit in ipairs(hits) do
      local about = of[hit.row]
      if not about then return nil, self.path .. ": has changed; open it again" end
      for k, v in pairs(about) do hit[k] = v end
   end
   return hits
end

return index
