-- results.lua: what `extract` kept of recordings.
local command = require "support.command"
local extracted = require "bclua.data.extracted"
local extracted_files = require "bclua.data.extracted_files"

local results = {}

local ALL = table.move(extracted.keys, 1, #extracted.keys, 3, {"mp", "pi"})

--- All of it by source name, in either layout.
-- @tparam string folder
-- @treturn table metadata, `folder`, `part_file`, `mp` and `pi` by source name
-- @treturn integer how many
function results.of(folder)
   local rows, n = {}, 0
   assert(extracted.each(folder, ALL, function(m) rows[m.source_name], n = m, n + 1 end))
   return rows, n
end

--- The same results as files, a folder a recording, to be damaged.
-- @tparam string from a folder of parts
-- @tparam string to a new folder
function results.as_files(from, to)
   command.shell(("mkdir -p '%s' && cp '%s'/*.json '%s'"):format(to, from, to))
   for _, m in pairs((results.of(from))) do
      m.cens = assert(extracted.features(extracted.locate(from, m)))
      assert(extracted_files.write({output = to .. "/" .. m.folder}, m))
   end
end

return results
