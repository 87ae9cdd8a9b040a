--- Where every file of a folder went: the numbers that a step over recordings ends with.
--
-- `found` = `done` + `finished_before` + `failed` + `not_read` + `ignored` + `not_selected`. What could not be read of
-- the folder (links that lead nowhere, folders without permission) has failed, and is named in failures.csv.
-- @module bclua.workflow.account
local files = require "bclua.files"

local account = {}

local TERMS = {"done", "finished_before", "failed", "not_read", "ignored", "not_selected"}

--- Put the numbers together.
-- @tparam table others from `recordings.list`
-- @tparam table r of the step: `done`, `skipped` (finished before), `failures`
-- @tparam[opt=0] integer not_selected recordings that were not asked for
-- @treturn table the numbers by name, and `not_read_by_extension`
function account.of(others, r, not_selected)
   return {found = others.found, done = r.done, finished_before = r.skipped, failed = #r.failures,
      not_read = others.not_read, ignored = others.ignored, not_selected = not_selected or 0,
      not_read_by_extension = others.extensions}
end

--- In words, in one line.
-- @tparam table a from `of`
-- @treturn string `12 found: 7 done, 1 finished before, 1 failed, 2 not read, 1 ignored`
function account.text(a)
   local parts = {}
   for _, term in ipairs(TERMS) do
      if term ~= "not_selected" or a[term] > 0 then
         parts[#parts + 1] = ("%d %s"):format(a[term], (term:gsub("_", " ")))
      end
   end
   return ("%d found: %s"):format(a.found, table.concat(parts, ", "))
end

--- What a step says that could do nothing.
-- @tparam integer n recordings, all of which failed
-- @tparam {table,...} failures with `reason`
-- @tparam[opt="recording"] string unit what they are, if no recordings
-- @treturn string
function account.all_failed(n, failures, unit)
   unit = unit or "recording"
   local text = n == 1 and ("its only %s failed"):format(unit) or ("all %d %ss failed, the first"):format(n, unit)
   return text .. ": " .. failures[1].reason
end

--- Keep it as JSON.
-- @treturn[2] nil, message beginning with the path
function account.write(path, a) return files.write_json(path, a) end

return account
