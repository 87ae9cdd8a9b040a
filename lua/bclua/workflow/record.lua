--- What every step records beside its output: parameters and failures. All of `bclua.data.provenance` is here, too.
-- @module bclua.workflow.record
local files = require "bclua.files"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local system = require "bclua.system"

local record = setmetatable({}, {__index = provenance})

--- May output with these parameters be written where this was made before?
-- @tparam string path for the message
-- @tparam ?table made the parameters of the output that is there
-- @tparam table wanted
-- @tparam ?boolean force
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
function record.check(path, made, wanted, force)
   local difference = made and not force and record.difference(made, wanted)
   if difference then
      return nil, ("%s: was made with other parameters (%s); use --force to redo it, or another output")
         :format(path, difference)
   end
   return true
end

--- Check and then write the parameters of an output folder.
-- @treturn[2] nil, message
function record.open_folder(folder, wanted, force)
   local ok, message = system.mkdir(folder)
   if not ok then return nil, message end
   local made
   made, message = record.of_folder(folder)
   if message and not force then return nil, message .. " (use --force to redo everything)" end
   ok, message = record.check(folder, made, wanted, force)
   if not ok then return nil, message end
   local written = {version = system.version()}
   for k, v in pairs(wanted) do written[k] = v end
   return files.write_json(folder .. "/parameters.json", written)
end

local MOST_NAMED = 3

--- What was left out of a folder, as failures; some are named on the screen.
-- @tparam {table,...} left_out from `files.find`
-- @tparam string step
-- @tparam ?boolean quiet
-- @treturn {table,...} `{path=, step=, reason=}`
function record.left_out(left_out, step, quiet)
   local failures = {}
   for i, item in ipairs(left_out) do
      failures[i] = {path = item.path, step = step, reason = item.reason}
      if i <= MOST_NAMED then progress.note(("%s: left out: %s"):format(step, item.reason), quiet) end
   end
   if #left_out > MOST_NAMED then
      progress.note(("%s: and %d more"):format(step, #left_out - MOST_NAMED), quiet)
   end
   return failures
end

--- Write a CSV beside an output, of what there is to say of it, or remove it where there is nothing.
-- @tparam string path
-- @tparam {string,...} columns
-- @tparam {table,...} rows by column name
-- @treturn[2] nil, message beginning with the path
function record.write_rows(path, columns, rows)
   if #rows > 0 then return system.write_file(path, files.csv(columns, rows)) end
   os.remove(path)
   return true
end

--- Write failures.csv, or remove it when there are none.
-- @tparam string path
-- @tparam {table,...} failures `{path=, step=, reason=}`
function record.write_failures(path, failures)
   return record.write_rows(path, {"path", "step", "reason"}, failures)
end

--- Write warnings.csv, of what was used all the same, or remove it when there are none.
-- @tparam string path
-- @tparam {table,...} warnings `{path=, step=, what=, seconds=, claimed_s=}`: what was used, and what the header says
function record.write_warnings(path, warnings)
   return record.write_rows(path, {"path", "step", "what", "seconds", "claimed_s"}, warnings)
end

return record
