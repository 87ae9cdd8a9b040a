--- What files say of how they were made: the parameters in a folder's `parameters.json` and in the metadata of a
-- Parquet file; and the tables of failures and warnings beside them.
-- @module bclua.data.provenance
local files = require "bclua.files"
local json = require "bclua.json"
local options_of = require "bclua.options"
local progress = require "bclua.progress"
local system = require "bclua.system"
local tables = require "bclua.data.tables"

local provenance = {}

-- 50 and 50.0 are the same parameter.
local function text(v)
   if v == nil then return "none" end
   if type(v) == "number" then return json.encode(math.tointeger(v) or v) end
   if type(v) ~= "table" then return tostring(v) end
   local keys, parts = {}, {}
   for k in pairs(v) do keys[#keys + 1] = k end
   table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
   for i, k in ipairs(keys) do
      parts[i] = type(k) == "number" and text(v[k]) or k .. " = " .. text(v[k])
   end
   return "{" .. table.concat(parts, ", ") .. "}"
end

local function is_map(v) return type(v) == "table" and #v == 0 and next(v) ~= nil end

local function first_difference(made, wanted, prefix)
   local names = {}
   for k in pairs(made) do names[#names + 1] = k end
   for k in pairs(wanted) do
      if made[k] == nil then names[#names + 1] = k end
   end
   table.sort(names)
   for _, k in ipairs(names) do
      local a, b = made[k], wanted[k]
      if is_map(a) and is_map(b) then
         local found = first_difference(a, b, prefix .. k .. ".")
         if found then return found end
      elseif text(a) ~= text(b) and prefix .. k ~= "version" then
         return ("%s%s = %s, now %s"):format(prefix, k, text(a), text(b))
      end
   end
   return nil
end

--- In words, the first difference between two tables of parameters; nil if
-- there is none. `version` never counts.
function provenance.difference(made, wanted) return first_difference(made, wanted, "") end

--- The parameters of an output folder.
-- @tparam string folder
-- @tparam[opt] table schema as for `open_folder`
-- @treturn[1] ?table nil if it has none
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path: they cannot be read
function provenance.of_folder(folder, schema)
   local path = folder .. "/parameters.json"
   if not files.exists(path) then return nil end
   local made, message = tables.read_json(path, {})
   if not made or not schema then return made, message end
   return options_of.renamed(made, schema, function() end)
end

--- The parameters of a Parquet file that a step wrote; nil if it has none.
function provenance.of_parquet(path)
   local sql = require "bclua.sql"
   if not files.is_file(path) then return nil end
   local metadata = sql.parquet_metadata(path)
   local made = json.decode(metadata and metadata.bclua or "")
   return type(made) == "table" and #made == 0 and made or nil
end

--- The metadata for `sql.write_parquet` that `of_parquet` reads back.
function provenance.for_parquet(parameters)
   local t = {version = system.version()}
   for k, v in pairs(parameters) do t[k] = v end
   return {bclua = files.json(t)}
end

--- Rows as columns for `sql.write_parquet`, whatever is in them: a column of text and numbers becomes
-- text, tables become JSON.
-- @tparam {table,...} rows by column name
-- @tparam {string,...} names which columns
-- @treturn table lists by name, each with its length in `n`
function provenance.columns(rows, names)
   local result = {}
   for _, name in ipairs(names) do
      local kinds, count, list = {}, 0, {n = #rows}
      for i, row in ipairs(rows) do
         local v = row[name]
         if type(v) == "table" then v = files.json(v) end
         list[i] = v
         if v ~= nil and not kinds[type(v)] then kinds[type(v)], count = true, count + 1 end
      end
      if count > 1 then
         for i = 1, #rows do list[i] = list[i] ~= nil and tostring(list[i]) or nil end
      end
      result[name] = list
   end
   return result
end

--- May output with these parameters be written where this was made before?
-- @tparam string path for the message
-- @tparam ?table made the parameters of the output that is there
-- @tparam table wanted
-- @tparam ?boolean force
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
function provenance.check(path, made, wanted, force)
   local difference = made and not force and provenance.difference(made, wanted)
   if difference then
      return nil, ("%s: was made with other parameters (%s); use --force to redo it, or another output")
         :format(path, difference)
   end
   return true
end

--- Check and then write the parameters of an output folder.
-- @tparam string folder
-- @tparam table wanted
-- @tparam ?boolean force
-- @tparam[opt] table schema of the parameters, for those that earlier versions called otherwise
-- @treturn[2] nil, message
function provenance.open_folder(folder, wanted, force, schema)
   local ok, message = system.mkdir(folder)
   if not ok then return nil, message end
   local made
   made, message = provenance.of_folder(folder, schema)
   if message and not force then return nil, message .. " (use --force to redo everything)" end
   ok, message = provenance.check(folder, made, wanted, force)
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
function provenance.left_out(left_out, step, quiet)
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
function provenance.write_rows(path, columns, rows)
   if #rows > 0 then return system.write_file(path, files.csv(columns, rows)) end
   os.remove(path)
   return true
end

--- The file that lists the failures of what is written into one file.
-- @tparam ?string output nil: nothing is written
-- @treturn ?string path
function provenance.failures_of(output) return output and output .. ".failures.csv" end

--- Write failures.csv, or remove it when there are none.
-- @tparam string path
-- @tparam {table,...} failures `{path=, step=, reason=}`
function provenance.write_failures(path, failures)
   return provenance.write_rows(path, {"path", "step", "reason"}, failures)
end

--- Where what failed, or has a warning, is listed: the end of the line with which a step ends.
-- @tparam {table,...} rows
-- @tparam string words "failed"
-- @tparam ?string path nil: they are listed nowhere
-- @treturn string `; 3 failed: motif/failures.csv`; empty where there are none
function provenance.listed(rows, words, path)
   return path and #rows > 0 and ("; %d %s: %s"):format(#rows, words, path) or ""
end

--- Write warnings.csv, of what was used all the same, or remove it when there are none.
-- @tparam string path
-- @tparam {table,...} warnings `{path=, step=, what=, seconds=, claimed_s=}`: what was used, and what the header says
function provenance.write_warnings(path, warnings)
   return provenance.write_rows(path, {"path", "step", "what", "seconds", "claimed_s"}, warnings)
end

return provenance
