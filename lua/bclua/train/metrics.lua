--- What a training run notes of itself: a JSON object a line, and TensorBoard's
-- event files.
-- @module bclua.train.metrics
local files = require "bclua.files"
local json = require "bclua.json"
local system = require "bclua.system"
local tensorboard = require "bclua.format.tensorboard"

local metrics = {}

local Metrics = {}
Metrics.__index = Metrics

-- Lines behind the checkpoint that we go on from were written by a run that was
-- cut off; they will be made again.
local function drop_later(path, at)
   if not files.exists(path) then return true end
   local text, message = files.read(path)
   if not text then return nil, message end
   local kept = {}
   for line in text:gmatch("[^\n]+") do
      local entry = json.decode(line)
      local round = type(entry) == "table" and tonumber(entry.round or entry.epoch) -- as earlier versions
      if at and round and (round <= at.rounds
         or round == at.rounds + 1 and entry.kind ~= "round" and entry.kind ~= "epoch"
         and (tonumber(entry.batch) or math.huge) <= at.batch) then
         kept[#kept + 1] = line .. "\n"
      end
   end
   return system.write_file(path, table.concat(kept))
end

--- Open `<run>/metrics.jsonl` and a new event file in `<run>/tensorboard`.
-- @tparam ?string run false: of a process that has nothing to note
-- @tparam[opt] table at what is noted behind this is dropped: `rounds` that are complete,
--  `batch` of the next one, `step`; none: all
-- @treturn[1] Metrics
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function metrics.open(run, at)
   if not run then return setmetatable({}, Metrics) end
   local path = run .. "/metrics.jsonl"
   local ok, message = drop_later(path, at)
   if not ok then return nil, message end
   ok, message = system.mkdir(run .. "/tensorboard")
   if not ok then return nil, message end
   local board
   board, message = tensorboard.open(run .. "/tensorboard", at and at.step or 0)
   if not board then return nil, message end
   local file
   file, message = io.open(path, "a")
   if not file then
      board:close()
      return nil, message
   end
   return setmetatable({path = path, file = file, board = board}, Metrics)
end

local TAG = {batch = "batch/", round = "round/"}

-- Tag -> number; what lies in a table within gets its name as a prefix.
local function scalars(entry, prefix, out)
   for key, value in pairs(entry) do
      if type(value) == "table" then
         scalars(value, key .. "/", out)
      elseif type(value) == "number" and key ~= "step" then
         out[prefix .. key] = value
      end
   end
   return out
end

--- Add a line.
-- @tparam table entry `kind`, `step` and what else is known
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function Metrics:write(entry)
   if not self.file then return true end
   local ok, message = self.file:write(files.json(entry), "\n")
   if ok then ok, message = self.file:flush() end
   if not ok then return nil, self.path .. ": " .. message end
   if TAG[entry.kind] then return self.board:scalars(entry.step, scalars(entry, TAG[entry.kind], {})) end
   return true
end

--- Close both files.
function Metrics:close()
   if not self.file then return end
   self.file:close()
   self.board:close()
end
Metrics.__close = Metrics.close

return metrics
