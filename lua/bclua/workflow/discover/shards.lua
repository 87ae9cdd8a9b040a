--- `workflow.discover` by many processes: a piece is the sets of some recordings, as JSON; whoever finds all of them
-- there joins them.
-- @module bclua.workflow.discover.shards
local array = require "bclua.array"
local files = require "bclua.files"
local pieces = require "bclua.workflow.pieces"
local tables = require "bclua.data.tables"

local shards = {}

local NUMBERS = {"list", needed = true, of = {"number"}, items = "numbers"}
local FRAMES = {"list", needed = true, of = {"integer", least = 0}, items = "integers"}
local SET = {"table", of = {number = {"integer", needed = true, least = 1}, usual = {"number", needed = true},
   offset = {"integer", needed = true, least = 0}, dims = {"integer", needed = true, least = 1}, at = FRAMES,
   distance = NUMBERS, around = NUMBERS}}
local RECORDING = {"table", of = {source_name = {"string", needed = true}, failure = {"string"},
   sets = {"list", of = SET, items = "sets"}}}
local PIECE = {recordings = {"list", needed = true, of = RECORDING, items = "recordings"}}

-- A set as JSON has it, and back.
local function packed(set)
   return {number = set.number, usual = set.usual, offset = set.offset, dims = set.around:shape(1), at = set.at,
      distance = set.distance, around = set.around:reshape{set.around:size()}:table()}
end

local function unpacked(set, row)
   return {row = row, number = set.number, usual = set.usual, offset = set.offset, at = set.at,
      distance = set.distance, around = array.from(set.around, "f32"):reshape{set.dims, #set.around // set.dims}}
end

-- The pieces of a manifest, for `bclua.workflow.pieces`.
local function step_of(by_name, frozen, o, options, finish)
   local folder = pieces.folder(options.output)
   local step = {name = "discover", folder = folder, output = options.output}
   function step.path(number) return ("%s/piece-%06d.json"):format(folder, number) end
   function step.look(number, list)
      local found, became = tables.read_json(step.path(number), PIECE), {}
      for _, one in ipairs(found and found.recordings or {}) do became[one.source_name] = one.failure or true end
      for _, item in ipairs(list) do
         if not became[item.source_name] then return nil end
      end
      return became
   end
   function step.run(list, keep)
      local items = {}
      for i, one in ipairs(list) do items[i] = by_name[one.source_name].item end
      for i, sets, why in require("bclua.parallel").map(items, "bclua.workflow.discover", "one", o) do
         local kept = {source_name = list[i].source_name, sets = {}}
         for k, set in ipairs(sets or {}) do kept.sets[k] = packed(set) end
         local goes_on, message = keep(list[i], sets and {seconds = list[i].seconds, kept = kept}, why)
         if not goes_on then return goes_on, message end
      end
      return true
   end
   function step.write(number, kept, reasons)
      local list = table.move(kept, 1, #kept, 1, {})
      for name, why in pairs(reasons) do list[#list + 1] = {source_name = name, failure = why} end
      table.sort(list, function(a, b) return a.source_name < b.source_name end)
      return files.write_json(step.path(number), {recordings = list})
   end
   function step.merge(paths)
      local sets, failures, count = {}, {}, 0
      for _, path in ipairs(paths) do
         local found, message = tables.read_json(path, PIECE)
         if not found then return nil, message end
         for _, one in ipairs(found.recordings) do
            local known = by_name[one.source_name]
            count = count + 1
            if one.failure then
               failures[#failures + 1] = {path = known.item.name, step = "discover", reason = one.failure}
            end
            for _, set in ipairs(one.sets or {}) do sets[#sets + 1] = unpacked(set, known.row) end
         end
      end
      if #failures == count then
         return nil, ("%s: all %d recordings failed, the first: %s"):format(frozen.path, count, failures[1].reason)
      end
      return finish(sets, failures)
   end
   return step
end

--- Do a shard.
-- @tparam {table,...} items from `extracted.locate`
-- @tparam {table,...} rows of the same recordings
-- @tparam number rate frames a second
-- @tparam table o as for `discover.one`
-- @tparam table options of `discover.run`
-- @tparam function finish called with all sets and failures: writes the output
-- @treturn as from `pieces.run`
function shards.run(items, rows, rate, o, options, finish)
   if not options.output then return nil, "--shard: needs --output" end
   local by_name, bytes, modified = {}, files.stamp(options.input)
   for i, row in ipairs(rows) do by_name[row.source_name] = {item = items[i], row = row} end
   local settings = {pieces = "discover", window = o.window, share = o.share, fewest = o.fewest,
      input = {bytes = bytes, modified = modified}}
   local frozen, message = pieces.open(options.output, nil, settings, function()
      local list = {}
      for i, row in ipairs(rows) do
         list[i] = {source_name = row.source_name, path = options.input, seconds = row.duration_cens / rate}
      end
      return list
   end)
   if not frozen then return nil, message end
   return pieces.run(frozen, step_of(by_name, frozen, o, options, finish), options)
end

return shards
