--- The work of `workflow.discover`: item by item on workers, or by many processes, which leave what they found as JSON,
-- a piece each; whoever finds all pieces there sums up. Then the table, and the track.
--
-- A task is a table: `name`; `items`, each `{name=, item=, seconds=}` and, if pieces are not to be of equal seconds,
-- `piece`; their `unit`, of one; `map(list)` of items, which iterates over number, what was found, or nil and a
-- message that begins with a path; `settings`, which all processes must share; `rules` of what was found, as JSON has
-- it. What was found by number of the item, nil where that failed, goes to `next(found)`, which returns the task that
-- comes after, or to `sum_up(found)`, which returns a table with `rows`; either returns nil and a message where it
-- fails. The last task has the `columns` of the rows, `parameters`, and `sample_rate`, of the track.
-- @module bclua.workflow.discover.work
local account = require "bclua.workflow.account"
local display = require "bclua.display"
local files = require "bclua.files"
local options_of = require "bclua.options"
local pieces = require "bclua.workflow.pieces"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local tables = require "bclua.data.tables"

local work = {}

local TYPES = {group = "varchar", kind = "varchar", source_name = "varchar", species = "varchar",
   clock_time = "varchar", call = "bigint", set = "bigint", member = "bigint", members = "bigint", start_s = "double",
   end_s = "double", distance = "double", outside = "double", correlation = "double", usual = "double"}

local function write(path, rows, task)
   local sql, columns = require "bclua.sql", provenance.columns(rows, task.columns)
   if path:lower():find("%.csv$") then return sql.write_csv(path, columns, {order = task.columns, guard = true}) end
   local types = {}
   for _, name in ipairs(task.columns) do types[name] = TYPES[name] end
   return sql.write_parquet(path, columns, {order = task.columns, types = types,
      metadata = provenance.for_parquet(task.parameters)})
end

-- From what was found to what was asked for.
local function finish(task, found, failures, options)
   local r, message = task.sum_up(found)
   if not r then return nil, message end
   r.failures = failures
   local ok = true
   if options.output then
      ok, message = write(options.output, r.rows, task)
      if ok then ok, message = provenance.write_failures(provenance.failures_of(options.output), failures) end
   end
   if ok and options.track then
      r.track, message = require("bclua.workflow.listen").examples(r.rows, {dataset_root = options.dataset_root,
         output = options.track, examples = options.examples, sample_rate = task.sample_rate,
         seconds = options.seconds, quiet = options.quiet})
      ok = r.track
   end
   if not ok then return nil, message end
   return r
end

local function failure(name, why) return {path = name, step = "discover", reason = why} end

local function all_failed(task, failures, options)
   if #failures < math.max(1, #task.items) then return nil end
   return options.input .. ": " .. account.all_failed(#failures, failures, task.unit)
end

local function in_one(task, options)
   local all = {}
   while true do
      local items, found, failures = {}, {}, {}
      for i, one in ipairs(task.items) do items[i] = one.item end
      local bar = progress.new(task.name, #items, {unit = task.unit .. "s", quiet = options.quiet})
      for i, one, why in task.map(items) do
         found[i] = one
         if not one then failures[#failures + 1] = failure(task.items[i].name, why) end
         bar:update(i)
      end
      bar:finish(("%s, %d failed, in %s%s"):format(display.count(#items, task.unit), #failures,
         progress.duration(bar:elapsed()),
         provenance.listed(failures, "failed", provenance.failures_of(options.output))))
      local message = all_failed(task, failures, options)
      if message then return nil, message end
      table.move(failures, 1, #failures, #all + 1, all)
      if not task.next then return finish(task, found, all, options) end
      task, message = task.next(found)
      if not task then return nil, message end
   end
end

local function rules_of(task)
   return {items = {"list", needed = true, items = "items", of = {"table", of = {
      name = {"string", needed = true}, failure = {"string"}, found = task.rules}}}}
end

local function numbers_by_name(task)
   local number_of = {}
   for i, one in ipairs(task.items) do number_of[one.name] = i end
   return number_of
end

-- What pieces have: found by number of the item, and failures.
local function gather(task, paths)
   local found, failures, number_of = {}, {}, numbers_by_name(task)
   for _, path in ipairs(paths) do
      local kept, message = tables.read_json(path, rules_of(task))
      if not kept then return nil, message end
      for _, one in ipairs(kept.items) do
         found[number_of[one.name]] = one.found
         if one.failure then failures[#failures + 1] = failure(one.name, one.failure) end
      end
   end
   return found, failures
end

-- The pieces of a manifest in a folder, for `bclua.workflow.pieces`.
local function step_of(task, folder)
   local number_of, rules = numbers_by_name(task), rules_of(task)
   local step = {name = task.name, unit = task.unit .. "s", folder = folder}
   function step.path(number) return ("%s/piece-%06d.json"):format(folder, number) end
   function step.look(number, list)
      local kept, became = tables.read_json(step.path(number), rules), {}
      for _, one in ipairs(kept and kept.items or {}) do became[one.name] = one.failure or true end
      for _, item in ipairs(list) do
         if not became[item.source_name] then return nil end
      end
      return became
   end
   function step.run(list, keep)
      local items = {}
      for i, one in ipairs(list) do items[i] = task.items[number_of[one.source_name]].item end
      for i, found, why in task.map(items) do
         local kept = found and {name = list[i].source_name, found = found}
         local goes_on, message = keep(list[i], kept and {seconds = list[i].seconds, kept = kept}, why)
         if not goes_on then return goes_on, message end
      end
      return true
   end
   function step.write(number, kept, reasons)
      local list = table.move(kept, 1, #kept, 1, {})
      for name, why in pairs(reasons) do list[#list + 1] = {name = name, failure = why} end
      table.sort(list, function(a, b) return a.name < b.name end)
      return files.write_json(step.path(number), {items = list})
   end
   return step
end

local function open_pieces(task, path, options)
   local bytes, modified = files.stamp(options.input)
   local settings = options_of.extend(task.settings, {pieces = "discover", input = {bytes = bytes,
      modified = modified}})
   return pieces.open(path, nil, settings, function()
      local list = {}
      for i, one in ipairs(task.items) do
         list[i] = {source_name = one.name, path = options.input, seconds = one.seconds, piece = one.piece}
      end
      return list
   end)
end

-- The paths of all pieces; nil: one is missing.
local function all_there(frozen, step)
   local paths = {}
   for i, sum in ipairs(frozen.sums) do
      paths[i] = step.path(sum.piece)
      if not files.exists(paths[i]) then return nil end
   end
   return paths
end

-- A task by the pieces beside `path`, and what comes after it. `before`: failures of what came before. The first task
-- is divided by shards; whoever finds that done takes of the next whatever no other process is at.
local function by_pieces(task, path, options, before)
   if #task.items == 0 then return finish(task, {}, before, options) end
   local frozen, message = open_pieces(task, path, options)
   if not frozen then return nil, message end
   local step = step_of(task, pieces.folder(path))
   local function end_with(paths, go_on)
      local found, failures = gather(task, paths)
      if not found then return nil, failures end
      message = all_failed(task, failures, options)
      if message then return nil, message end
      return go_on(found, table.move(failures, 1, #failures, #before + 1, table.move(before, 1, #before, 1, {})))
   end
   if not task.next then
      step.output = options.output
      function step.merge(paths)
         return end_with(paths, function(found, failures) return finish(task, found, failures, options) end)
      end
      return pieces.run(frozen, step, options)
   end
   local result
   result, message = pieces.run(frozen, step, options)
   if not result or result.stopped then return result, message end
   local paths = all_there(frozen, step)
   if not paths then
      progress.note(("%s: waits for other shards"):format(task.name), options.quiet)
      return result
   end
   return end_with(paths, function(found, failures)
      local second, why = task.next(found)
      if not second then return nil, why end
      local rest = options_of.extend(options, {claim = options.shard ~= nil, stale = pieces.rules.stale.default})
      rest.shard = nil
      return by_pieces(second, ("%s/%s"):format(pieces.folder(path), second.key), rest, failures)
   end)
end

--- Do a task.
-- @tparam table task see above
-- @tparam table options of `discover.run`
-- @treturn[1] table from `sum_up`, with `failures` and `track`; with a shard or a time limit as from `pieces.run`
-- @treturn[2] nil
-- @treturn[2] string message
function work.run(task, options)
   local shared = options.output and pieces.is_shared(options, pieces.folder(options.output))
   if not (options.shard or options.time_limit or shared) then return in_one(task, options) end
   if not options.output then return nil, "--shard, --time-limit: needs --output" end
   return by_pieces(task, options.output, options, {})
end

return work
