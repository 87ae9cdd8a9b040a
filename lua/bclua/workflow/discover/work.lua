--- The work of `workflow.discover`: item by item on workers, or by many processes, which leave what they found as JSON,
-- a piece each; whoever finds all pieces there sums up. Then the table, and the track.
--
-- A task is a table: `items`, each `{name=, item=, seconds=}` and, if pieces are not to be of equal seconds, `piece`;
-- their `unit`; `module`, whose `one(item, o)` returns what it found, or nil and a message that begins with a path;
-- `o`; `settings`, which all processes must share; `rules` of what was found, as JSON has it; `sum_up(found)`, of what
-- was found by number of the item, nil where that failed: a table with `rows`, or nil and a message; `columns` of
-- these; `parameters`; `sample_rate`, of the track.
-- @module bclua.workflow.discover.work
local files = require "bclua.files"
local parallel = require "bclua.parallel"
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
   if #failures == #task.items then
      return nil, ("%s: all %d %s failed, the first: %s"):format(options.input, #failures, task.unit,
         failures[1].reason)
   end
   local r, message = task.sum_up(found)
   if not r then return nil, message end
   r.failures = failures
   local ok = true
   if options.output then
      ok, message = write(options.output, r.rows, task)
      if ok then ok, message = provenance.write_failures(options.output .. ".failures.csv", failures) end
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

local function failure(one, why) return {path = one.name, step = "discover", reason = why} end

local function in_one(task, options)
   local items, found, failures = {}, {}, {}
   for i, one in ipairs(task.items) do items[i] = one.item end
   local bar = progress.new("discover", #items, {unit = task.unit, quiet = options.quiet})
   for i, one, why in parallel.map(items, task.module, "one", task.o) do
      found[i] = one
      if not one then failures[#failures + 1] = failure(task.items[i], why) end
      bar:update(i)
   end
   bar:finish(("%d %s, %d failed, in %s"):format(#items, task.unit, #failures, progress.duration(bar:elapsed())))
   return finish(task, found, failures, options)
end

-- The pieces of a manifest, for `bclua.workflow.pieces`.
local function step_of(task, options)
   local folder, number_of = pieces.folder(options.output), {}
   for i, one in ipairs(task.items) do number_of[one.name] = i end
   local rules = {items = {"list", needed = true, items = "items", of = {"table", of = {
      name = {"string", needed = true}, failure = {"string"}, found = task.rules}}}}
   local step = {name = "discover", unit = task.unit, folder = folder, output = options.output}
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
      for i, found, why in parallel.map(items, task.module, "one", task.o) do
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
   function step.merge(paths)
      local found, failures = {}, {}
      for _, path in ipairs(paths) do
         local kept, message = tables.read_json(path, rules)
         if not kept then return nil, message end
         for _, one in ipairs(kept.items) do
            found[number_of[one.name]] = one.found
            if one.failure then failures[#failures + 1] = failure(one, one.failure) end
         end
      end
      return finish(task, found, failures, options)
   end
   return step
end

local function by_pieces(task, options)
   if not options.output then return nil, "--shard, --time-limit: needs --output" end
   local bytes, modified = files.stamp(options.input)
   task.settings.pieces, task.settings.input = "discover", {bytes = bytes, modified = modified}
   local frozen, message = pieces.open(options.output, nil, task.settings, function()
      local list = {}
      for i, one in ipairs(task.items) do
         list[i] = {source_name = one.name, path = options.input, seconds = one.seconds, piece = one.piece}
      end
      return list
   end)
   if not frozen then return nil, message end
   return pieces.run(frozen, step_of(task, options), options)
end

--- Do a task.
-- @tparam table task see above
-- @tparam table options of `discover.run`
-- @treturn[1] table from `sum_up`, with `failures` and `track`; with a shard or a time limit as from `pieces.run`
-- @treturn[2] nil
-- @treturn[2] string message
function work.run(task, options)
   local shared = options.output and pieces.is_shared(options, pieces.folder(options.output))
   local way = (options.shard or options.time_limit or shared) and by_pieces or in_one
   return way(task, options)
end

return work
