--- A step by many processes: each does some pieces of a manifest, a file each, written whole or not at all.
--
-- A piece has what the manifest says, in its order, so it is the same to the byte whoever does it and however often:
-- shards of any number may fill one folder, in any order, and be killed at any time. Of a step that makes one file of
-- the pieces, whoever finds all of them there makes it.
--
-- A step is a table: `name`; `folder` of the manifest; `path(number)` of the file that a piece becomes;
-- `look(number, list)` what became of a piece: by source name `true`, or why the recording failed, nil: it is to be
-- done; `run(list, keep, beat)`, which does recordings in order and calls `keep(item, found, why)` after each, as long
-- as that returns true (false: time is up; nil and a message), and `beat()` in between, where one takes long, and
-- returns what `keep` did; `write(number, rows, reasons)` of the `kept` of what was found, and why others failed, by
-- source name; `unit`, if these are no recordings; and, where one output is made of all, `output` and `merge(paths)`.
-- @module bclua.workflow.pieces
local account = require "bclua.workflow.account"
local claims = require "bclua.data.claims"
local deadline = require "bclua.deadline"
local display = require "bclua.display"
local files = require "bclua.files"
local json = require "bclua.json"
local lock = require "bclua.lock"
local manifest = require "bclua.data.manifest"
local options_of = require "bclua.options"
local part_writer = require "bclua.data.part_writer"
local progress = require "bclua.progress"
local schemas = require "bclua.data.schemas"
local shards = require "bclua.data.shards"
local sounds = require "bclua.data.sounds"
local sql = require "bclua.sql"
local system = require "bclua.system"
local tables = require "bclua.data.tables"
local workers = require "bclua.data.workers"

local pieces = {}

local POLL_S = 5 -- until we look again whether others are done

-- ---- Pieces that are Parquet files of a folder beside the output ----

--- The rules of the options of a step whose output is made of pieces.
pieces.rules = {
   shard = options_of.extend(shards.rules.shard, {text = shards.rules.shard.text .. " Pieces are kept beside the " ..
      "output, in OUTPUT.shards; whoever does the last one makes the output."}),
   claim = claims.rules.claim, stale = claims.rules.stale, time_limit = shards.rules.time_limit}

--- Where the pieces of an output file are.
-- @tparam string output
-- @treturn string
function pieces.folder(output) return output .. ".shards" end

--- Is a step to be done by pieces: is a shard asked for, or has one begun?
-- @tparam table options `shard`, `claim`
-- @tparam string folder
-- @treturn boolean
function pieces.is_shared(options, folder)
   return options.shard ~= nil or options.claim or manifest.is_in(folder)
end

--- The manifest of an output file, see `manifest.open`; its folder is made. An output that a run without shards made
-- is left alone.
-- @tparam string output
-- @tparam ?string root
-- @tparam table settings
-- @tparam function list
-- @treturn[1] manifest
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function pieces.open(output, root, settings, list)
   local folder = pieces.folder(output)
   if files.exists(output) and not manifest.is_in(folder) then
      return nil, output .. ": was made without shards; go on without --shard, --claim and --time-limit, or take " ..
         "another output"
   end
   local ok, message = system.mkdir(folder)
   if not ok then return nil, message end
   return manifest.open(folder, root, settings, list)
end

--- The metadata of a part: which recordings are in it, and why others are not.
-- @tparam {table,...} done `{file=, bytes=, modified=, ...}`: source names, sizes and times
-- @tparam table reasons by source name
-- @treturn table for `sql.write_parquet`
function pieces.metadata(done, reasons)
   return {bclua_files = files.json(done), bclua_reasons = next(reasons) and files.json(reasons) or nil}
end

--- The same of a part that is there.
-- @tparam string path
-- @treturn[1] {table,...}
-- @treturn[1] table
-- @treturn[2] nil it is not there, not readable or not of a shard
function pieces.about(path)
   local m = files.is_file(path) and sql.parquet_metadata(path)
   if not m then return nil end
   local done, reasons = json.decode(m.bclua_files or ""), m.bclua_reasons and json.decode(m.bclua_reasons) or {}
   if tables.fault({files = done}, schemas.piece) or type(reasons) ~= "table" then return nil end
   return done, reasons
end

--- What became of a piece, by its part's metadata: `look` of a step.
-- @tparam string path
-- @tparam {table,...} list of the manifest
-- @treturn ?table
function pieces.look(path, list)
   local done, found = pieces.about(path)
   if not done then return nil end
   local by_name = {}
   for _, one in ipairs(done) do by_name[one.file] = one end
   for _, item in ipairs(list) do
      local one, name = by_name[item.source_name], item.source_name
      if one and (one.bytes ~= item.bytes or one.modified ~= item.modified) then return nil end
      if not one and type(found[name]) ~= "string" then return nil end
      found[name] = found[name] or true
   end
   return found
end

--- The recordings of all parts, and the failures, in order.
-- @tparam manifest frozen
-- @tparam {string,...} paths of the parts
-- @tparam string step
-- @treturn[1] {table,...} as for `metadata`
-- @treturn[1] {table,...} `{path=, step=, reason=}`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function pieces.gather(frozen, paths, step)
   local all, failures = {}, {}
   for _, path in ipairs(paths) do
      local done, reasons = pieces.about(path)
      if not done then return nil, path .. ": is damaged; run its shard again" end
      table.move(done, 1, #done, #all + 1, all)
      local names = {}
      for name in pairs(reasons) do names[#names + 1] = name end
      table.sort(names)
      for _, name in ipairs(names) do
         failures[#failures + 1] = {path = frozen:path_of(name), step = step, reason = reasons[name]}
      end
   end
   for _, one in ipairs(frozen.left_out) do
      failures[#failures + 1] = {path = one.path, step = step, reason = one.reason}
   end
   if #all == 0 then
      return nil, frozen.path .. ": " .. account.all_failed(#failures, failures)
   end
   return all, failures
end

-- ---- The work ----

-- Recordings that are to be done: those of pieces that are not there, or of which some failed.
local function find_todo(list, step, result)
   local by_piece, todo = {}, {}
   for _, item in ipairs(list) do
      by_piece[item.piece] = by_piece[item.piece] or {}
      table.insert(by_piece[item.piece], item)
   end
   for number = list[1].piece, list[#list].piece do
      local found = step.look(number, by_piece[number])
      local is_whole = found ~= nil
      for _, became in pairs(found or {}) do is_whole = is_whole and became == true end
      if is_whole then
         result.skipped = result.skipped + #by_piece[number]
      else
         table.move(by_piece[number], 1, #by_piece[number], #todo + 1, todo)
      end
   end
   return todo
end

local function keep(result, step, item, found, why, rows, reasons)
   if found then
      result.done, result.seconds = result.done + 1, result.seconds + found.seconds
      result.warnings[#result.warnings + 1] = found.warning
      rows[#rows + 1] = found.kept
   else
      result.failures[#result.failures + 1] = {path = item.path, step = step.name, reason = why}
      reasons[item.source_name] = why
   end
end

-- Do them, and write each piece when its last recording is done; `beat` of those who are told is called after each
-- recording.
local function do_all(todo, step, result, bar, is_late, ...)
   local told = {...}
   local rows, reasons, i = {}, {}, 0
   if #todo == 0 then return true end
   local function beat()
      for _, one in ipairs(told) do one:beat() end
   end
   return step.run(todo, function(item, found, why)
      i = i + 1
      keep(result, step, item, found, why, rows, reasons)
      if i == #todo or todo[i + 1].piece ~= item.piece then
         local ok, message = step.write(item.piece, rows, reasons)
         if not ok then return nil, message end
         rows, reasons = {}, {}
         collectgarbage() -- Lua does not see how large the arrays are
      end
      bar:update(result.done + #result.failures)
      beat()
      result.stopped = i < #todo and is_late()
      return not result.stopped
   end, beat)
end

-- A piece that may be ours: true where it is done, by whomever; false where another worker is at it.
local function do_claimed(number, frozen, step, claimed, result, bar, is_late, worker)
   local list, ok, message
   list, message = frozen:recordings(number, number)
   if not list then return nil, message end
   local function is_there() return step.look(number, list) ~= nil end
   local was_there, taken = is_there(), false
   if not was_there then
      taken, message = claimed:take(number)
      if not taken then return taken, message end
      was_there = is_there() -- another one finished it before we had it
   end
   if was_there then
      result.skipped, ok = result.skipped + #list, true
   else
      ok, message = frozen:check(list)
      if ok then ok, message = do_all(list, step, result, bar, is_late, claimed, worker) end
   end
   if taken then claimed:release() end
   if ok == nil then return nil, message end
   return true
end

-- Whatever no other worker is at, until all is done.
local function do_unclaimed(frozen, step, options, result, bar, is_late, worker)
   local claimed <close>, message = claims.open(step.folder .. "/claims", options.stale)
   if not claimed then return nil, message end
   local left = {}
   for i, sum in ipairs(frozen.sums) do left[i] = sum.piece end
   while true do
      local busy = {}
      for _, number in ipairs(left) do
         local done
         done, message = do_claimed(number, frozen, step, claimed, result, bar, is_late, worker)
         if done == nil then return nil, message end
         if not done then busy[#busy + 1] = number end
         result.stopped = result.stopped or is_late()
         if result.stopped then return true end
      end
      if #busy == 0 then return true end
      left = busy
      worker:beat()
      system.sleep(math.min(POLL_S, options.stale / 4))
   end
end

local function new_bar(step, count, done, quiet)
   return progress.new(step.name, count, {unit = step.unit or "recordings", kept = "whole pieces are kept", done = done,
      quiet = quiet})
end

local function by_claims(frozen, step, options, result, worker)
   local all = 0
   for _, sum in ipairs(frozen.sums) do all = all + sum.n end
   local bar = new_bar(step, all, 0, options.quiet)
   local ok, message = do_unclaimed(frozen, step, options, result, bar, deadline.new(options.time_limit), worker)
   return ok and bar, message
end

local function words(shard, numbers, of)
   return ("shard %d of %d: %s of %d"):format(shard.index, shard.count, #numbers == 0 and "no piece" or
      #numbers == 1 and "piece " .. numbers[1] or ("pieces %d to %d"):format(numbers[1], numbers[#numbers]), of)
end

local function by_shard(frozen, step, options, result, worker)
   local shard = shards.parse(options.shard or "1/1")
   local numbers = frozen:pieces(shard)
   progress.note(("%s: %s"):format(step.name, words(shard, numbers, #frozen.sums)), options.quiet)
   local list, ok, message = {}, true, nil
   if numbers[1] then list, message = frozen:recordings(numbers[1], numbers[#numbers]) end
   if list then ok, message = frozen:check(list) end
   if not list or not ok then return nil, message end
   local todo = list[1] and find_todo(list, step, result) or {}
   local bar = new_bar(step, #list, result.skipped, options.quiet)
   ok, message = do_all(todo, step, result, bar, deadline.new(options.time_limit), worker)
   return ok ~= nil and bar, message
end

-- ---- One output of all pieces ----

-- The files of all pieces and their state in words; nil where one is not there yet.
local function all_parts(frozen, step)
   local paths, states = {}, {}
   for i, sum in ipairs(frozen.sums) do
      paths[i] = step.path(sum.piece)
      local size, modified = files.stamp(paths[i])
      if not size then return nil end
      states[i] = ("%d %d"):format(size, modified)
   end
   return paths, table.concat(states, "\n")
end

-- Make the output where all pieces are there, unless it is of these already.
local function merge(frozen, step, result, quiet)
   if not all_parts(frozen, step) then
      progress.note(("%s: %s: waits for other shards"):format(step.name, step.output), quiet)
      return true
   end
   local locked <close>, busy = lock.take(step.output, manifest.patience_s)
   if not locked then return nil, busy end
   local paths, state = all_parts(frozen, step)
   if not paths then return true end -- another shard was faster, and took them away
   local kept = step.folder .. "/merged.json"
   local before = files.exists(step.output) and files.read_json(kept)
   if not (type(before) == "table" and before.state == state) then
      local ok, message = step.merge(paths)
      if ok and files.is_folder(step.folder) then ok, message = files.write_json(kept, {state = state}) end
      if not ok then return nil, message end
   end
   progress.note(("%s: %s: made of %s"):format(step.name, step.output, display.count(#paths, "piece")), quiet)
   result.merged = true
   return true
end

--- Do a shard, or what no other worker has claimed.
-- @tparam manifest frozen
-- @tparam table step see above
-- @tparam table options `shard` and `claim`: without them all pieces; `stale`, `time_limit`, `quiet`
-- @treturn[1] table `{done=, skipped=, failures=, warnings=, seconds=, counts=, stopped=, merged=}`, of this process;
-- merged: the output is there
-- @treturn[2] nil
-- @treturn[2] string message
function pieces.run(frozen, step, options)
   if options.shard and options.claim then return nil, "--shard and --claim exclude each other" end
   local result = {done = 0, skipped = 0, seconds = 0, failures = {}, warnings = {}}
   local worker <close> = workers.open(step.folder, not options.claim and (options.shard or "1/1") or nil)
   local bar, message = (options.claim and by_claims or by_shard)(frozen, step, options, result, worker)
   if not bar then return nil, message end
   result.counts = account.of(sounds.none(result.done + result.skipped + #result.failures), result)
   bar:finish(("%s; %s in %s"):format(account.text(result.counts), step.unit or
      progress.duration(result.seconds) .. " of sound", progress.duration(bar:elapsed())))
   if step.merge and not result.stopped then
      local ok
      ok, message = merge(frozen, step, result, options.quiet)
      if not ok then return nil, message end
   end
   return result
end

--- The path of a part below a folder, see `part_writer.path`.
function pieces.path(folder, number) return part_writer.path(folder, number) end

return pieces
