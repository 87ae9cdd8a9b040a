--- A partitioned writer: what gathers in memory becomes Parquet files of a folder, `part-000001.parquet` and on, each
-- written whole or not at all.
-- @module bclua.data.part_writer
local files = require "bclua.files"
local system = require "bclua.system"

local part_writer = {}

--- Seconds after which what is complete becomes a part, however little it is.
part_writer.every_s = 20

local Writer = {}
Writer.__index = Writer

--- The parts of a folder.
-- @tparam string folder
-- @treturn {string,...} names, sorted by number
-- @treturn integer the highest number that any file there has, be it a part or what became of one
function part_writer.list(folder)
   local names, last, numbers = {}, 0, {}
   for _, name in ipairs(system.list(folder) or {}) do
      local digits, rest = name:match("^part%-(%d+)%.parquet(.*)$")
      if digits and #digits < 16 then
         local number = math.tointeger(tonumber(digits))
         last = math.max(last, number)
         if rest == "" then names[#names + 1], numbers[name] = name, number end
      end
   end
   table.sort(names, function(a, b) return numbers[a] < numbers[b] end)
   return names, last
end

--- The path of a part.
-- @tparam string folder
-- @tparam integer number
-- @treturn string
function part_writer.path(folder, number) return ("%s/part-%06d.parquet"):format(folder, number) end

--- Begin.
-- @tparam string folder
-- @tparam integer last the number of the last part that is there; 0: none
-- @tparam function write called with a path and a list of items: true, or nil and a message
function part_writer.new(folder, last, write)
   return setmetatable({folder = folder, last = last, write_part = write, items = {}, size = 0,
      flushed = system.clock()}, Writer)
end

--- Gather an item.
-- @param item
-- @tparam number size
function Writer:add(item, size)
   self.items[#self.items + 1], self.size = item, self.size + size
end

--- Is it time to flush?
-- @tparam number most size
function Writer:is_due(most)
   return self.size >= most or system.clock() - self.flushed > part_writer.every_s
end

--- A part of these items.
-- @tparam {any,...} items
-- @treturn[1] string its name
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function Writer:write(items)
   self.last = self.last + 1
   local path = part_writer.path(self.folder, self.last)
   local ok, message = self.write_part(path, items)
   return ok and files.basename(path), message
end

--- A part of what has gathered, if anything has.
-- @treturn[1] ?string its name
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function Writer:flush()
   self.flushed = system.clock()
   if #self.items == 0 then return nil end
   local name, message = self:write(self.items)
   if name then self.items, self.size = {}, 0 end
   return name or nil, message
end

return part_writer
