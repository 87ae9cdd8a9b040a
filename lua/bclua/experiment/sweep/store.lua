--- The file of a sweep: a row a trial, written anew, whole, after each.
-- @module bclua.experiment.sweep.store
local files = require "bclua.files"
local lock = require "bclua.lock"
local points = require "bclua.experiment.sweep.points"
local provenance = require "bclua.data.provenance"
local schemas = require "bclua.data.schemas"
local sql = require "bclua.sql"
local system = require "bclua.system"
local tables = require "bclua.data.tables"

local store = {}

local LONG = 300 -- bytes of a difference that a message shows
local PATIENCE_S = 600 -- for another shard that writes

-- Columns before and after those of parameters and metrics.
local FIRST, LAST = {"id", "rung"}, {"wall_s", "cpu_s", "peak_bytes", "error", "point"}
local COLUMNS = {"id", "rung", "seed", "wall_s", "cpu_s", "peak_bytes", "error", "point", "*"}
local TYPES = {id = "varchar", rung = "bigint", seed = "bigint", wall_s = "double", cpu_s = "double",
   peak_bytes = "bigint", error = "varchar", point = "varchar"}

--- What a file says of its sweep, and its rows.
-- @tparam string path
-- @treturn[1] table `rows`, and `about`: `metric`, `maximise`, `parameters` (names), `resource`, `identity`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function store.read(path)
   if not files.exists(path) then return nil, path .. ": no such file" end
   local metadata, message = sql.parquet_metadata(path)
   if not metadata then return nil, message end
   local made = provenance.of_parquet(path)
   if not (made and made.sweep) then return nil, path .. ": not the file of a sweep" end
   local relation, rows
   relation, message = tables.open(path, schemas.sweep, COLUMNS)
   if not relation then return nil, message end
   local wrong = tables.fault(made.sweep, schemas.about_sweep)
   if wrong then return nil, ("%s: metadata: %s"):format(path, wrong) end
   rows, message = sql.query("from " .. relation)
   if not rows then return nil, message end
   return {rows = rows, about = made.sweep}
end

local Store = {}
Store.__index = Store

-- The rows of an earlier run, if it was the same sweep.
local function earlier(path, about, force)
   if force or not files.is_file(path) then return {rows = {}, about = {parameters = {}}} end
   local old, message = store.read(path)
   if not old then return nil, message .. " (force begins anew)" end
   local difference = provenance.difference(old.about.identity, about.identity)
   if difference then
      if #difference > LONG then difference = difference:sub(1, utf8.offset(difference, 0, LONG) - 1) .. "..." end
      return nil, ("%s: was made by another sweep (%s); force begins it anew, another path keeps both"):format(
         path, difference)
   end
   return old
end

--- Open the file of a sweep, or begin one.
-- @tparam string path
-- @tparam table about `identity` (a table: all that must be the same to go on), `metric`, `maximise`, `parameters`,
-- `resource`
-- @tparam ?boolean force begin anew, whatever is there
-- @tparam ?boolean is_shared other processes add rows meanwhile
-- @treturn[1] table with the methods below; to be closed
-- @treturn[2] nil
-- @treturn[2] string message
function store.open(path, about, force, is_shared)
   local ok, message = system.mkdir(files.dirname(path))
   if not ok then return nil, message end
   local locked
   locked, message = lock.take(path, is_shared and PATIENCE_S or 0)
   if not locked then return nil, message end
   local old
   old, message = earlier(path, about, force)
   if not old then
      locked:close()
      return nil, message
   end
   if is_shared then locked:close() end
   local self = setmetatable({path = path, about = about, locked = locked, is_shared = is_shared, rows = {}, by_id = {},
      own = {}, place = {}, places = 0}, Store)
   local names = {}
   for _, list in ipairs({old.about.parameters, about.parameters}) do
      for _, name in ipairs(list) do names[name] = true end
   end
   about.parameters = points.sorted(names)
   for _, row in ipairs(old.rows) do self:put(row) end
   return self
end

--- The row of a trial; nil if it is missing.
function Store:find(id) return self.by_id[id] end

--- Give a trial its place: rows are in the order in which trials were planned.
function Store:plan(id)
   if self.place[id] then return end
   self.places = self.places + 1
   self.place[id] = self.places
end

--- Take a row in, instead of one with its id.
-- @tparam table row
-- @tparam ?boolean is_own of a trial that was done here
function Store:put(row, is_own)
   self.own[row.id] = is_own or self.own[row.id]
   local at = #self.rows + 1
   if self.by_id[row.id] then
      for i, old in ipairs(self.rows) do
         if old.id == row.id then at = i end
      end
   end
   self.rows[at], self.by_id[row.id] = row, row
end

-- Rows as planned, after them those of earlier plans.
local function in_order(self)
   local list, came = {}, {}
   for i, row in ipairs(self.rows) do
      list[i], came[row] = row, i
   end
   table.sort(list, function(a, b)
      local p, q = self.place[a.id] or math.huge, self.place[b.id] or math.huge
      if p ~= q then return p < q end
      return came[a] < came[b]
   end)
   return list
end

-- All columns: our own, parameters, the seed, the metric, other metrics.
local function columns(self, rows)
   local order, seen, metrics = {}, {}, {}
   local function add(list)
      for _, name in ipairs(list) do
         if not seen[name] then order[#order + 1] = name end
         seen[name] = true
      end
   end
   for _, name in ipairs(LAST) do seen[name] = true end
   add(FIRST)
   add(self.about.parameters)
   add({"seed", self.about.metric})
   for _, row in ipairs(rows) do
      for name in pairs(row) do metrics[name] = true end
   end
   add(points.sorted(metrics))
   table.move(LAST, 1, #LAST, #order + 1, order)
   return order
end

-- Take in what others have written; the file is ours until what is returned is closed.
local function take_in(self)
   if not self.is_shared then return lock.take(nil) end
   local locked, message = lock.take(self.path, PATIENCE_S)
   if not locked then return nil, message end
   local old
   old, message = earlier(self.path, self.about)
   if not old then
      locked:close()
      return nil, message
   end
   for _, row in ipairs(old.rows) do
      if not self.own[row.id] then self:put(row) end
   end
   return locked
end

--- Write the file.
-- @treturn[2] nil, message
function Store:write()
   local locked <close>, message = take_in(self)
   if not locked then return nil, message end
   local rows = in_order(self)
   local order = columns(self, rows)
   local metadata = provenance.for_parquet({sweep = self.about})
   local types = {}
   for name, kind in pairs(TYPES) do types[name] = kind end
   return sql.write_parquet(self.path, provenance.columns(rows, order),
      {order = order, types = types, metadata = metadata})
end

--- Let others write to it.
function Store:close() self.locked:close() end

return store
