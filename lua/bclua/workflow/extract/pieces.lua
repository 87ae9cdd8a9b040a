--- `extract` by many processes: each does some pieces of a manifest, a Parquet part each, written whole or not at all.
--
-- A part has what the manifest says, in its order, so it is the same to the byte whoever writes it and however often:
-- shards of any number may fill one folder, in any order, and be killed at any time.
-- @module bclua.workflow.extract.pieces
local account = require "bclua.workflow.account"
local claims = require "bclua.data.claims"
local deadline = require "bclua.deadline"
local extracted = require "bclua.data.extracted"
local progress = require "bclua.progress"
local shards = require "bclua.data.shards"
local sounds = require "bclua.data.sounds"
local system = require "bclua.system"

local pieces = {}

local POLL_S = 5 -- until we look again whether others are done

local function set_folders(list)
   for _, item in ipairs(list) do item.folder = (item.species and item.species .. "/" or "") .. item.id end
   return list
end

-- Recordings that are to be done: those of pieces that are not there, or of which some failed.
local function find_todo(list, folder, p, result)
   local by_piece, todo = {}, {}
   for _, item in ipairs(set_folders(list)) do
      by_piece[item.piece] = by_piece[item.piece] or {}
      table.insert(by_piece[item.piece], item)
   end
   for number = list[1].piece, list[#list].piece do
      local found = extracted.piece(folder, number, by_piece[number], p)
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

local function keep(result, item, found, why, rows, reasons)
   if found then
      result.done, result.seconds = result.done + 1, result.seconds + found.seconds
      result.warnings[#result.warnings + 1] = found.warning
      rows[#rows + 1] = found.kept
   else
      result.failures[#result.failures + 1] = {path = item.path, step = "extract", reason = why}
      reasons[item.source_name] = why
   end
end

-- Do them, and write each piece when its last recording is done; `beat` is called after each recording.
local function do_all(todo, folder, p, result, bar, is_late, beat)
   local rows, reasons = {}, {}
   for i, found, why in require("bclua.parallel").map(todo, "bclua.workflow.extract", "one", p) do
      keep(result, todo[i], found, why, rows, reasons)
      local number = todo[i].piece
      if i == #todo or todo[i + 1].piece ~= number then
         local ok, message = extracted.write_piece(folder, number, rows, reasons)
         if not ok then return nil, message end
         rows, reasons = {}, {}
         collectgarbage() -- Lua does not see how large the arrays are
      end
      bar:update(result.done + #result.failures)
      if beat then beat() end
      result.stopped = i < #todo and is_late()
      if result.stopped then break end
   end
   return true
end

-- A piece that may be ours: true where it is done, by whomever; false where another worker is at it.
local function do_claimed(number, frozen, claimed, options, p, result, bar, is_late)
   local list, ok, message
   list, message = frozen:recordings(number, number)
   if not list then return nil, message end
   local function is_there() return extracted.piece(options.output, number, set_folders(list), p) ~= nil end
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
      if ok then
         ok, message = do_all(list, options.output, p, result, bar, is_late, function() claimed:beat() end)
      end
   end
   if taken then claimed:release() end
   return ok, message
end

-- Whatever no other worker is at, until all is done.
local function do_unclaimed(frozen, options, p, result, bar, is_late)
   local claimed <close>, message = claims.open(options.output .. "/claims", options.stale)
   if not claimed then return nil, message end
   local left = {}
   for i, sum in ipairs(frozen.sums) do left[i] = sum.piece end
   while true do
      local busy = {}
      for _, number in ipairs(left) do
         local done
         done, message = do_claimed(number, frozen, claimed, options, p, result, bar, is_late)
         if done == nil then return nil, message end
         if not done then busy[#busy + 1] = number end
         result.stopped = result.stopped or is_late()
         if result.stopped then return true end
      end
      if #busy == 0 then return true end
      left = busy
      system.sleep(math.min(POLL_S, options.stale / 4))
   end
end

local function by_claims(frozen, options, p, result)
   local all = 0
   for _, sum in ipairs(frozen.sums) do all = all + sum.n end
   local bar = progress.new("extract", all, {unit = "recordings", kept = "whole pieces are kept",
      quiet = options.quiet})
   local ok, message = do_unclaimed(frozen, options, p, result, bar, deadline.new(options.time_limit))
   return ok and bar, message
end

local function words(shard, numbers, of)
   return ("shard %d of %d: %s of %d"):format(shard.index, shard.count, #numbers == 0 and "no piece" or
      #numbers == 1 and "piece " .. numbers[1] or ("pieces %d to %d"):format(numbers[1], numbers[#numbers]), of)
end

local function by_shard(frozen, options, p, result)
   local shard = shards.parse(options.shard or "1/1")
   local numbers = frozen:pieces(shard)
   progress.note("extract: " .. words(shard, numbers, #frozen.sums), options.quiet)
   local list, ok, message = {}, true, nil
   if numbers[1] then list, message = frozen:recordings(numbers[1], numbers[#numbers]) end
   if list then ok, message = frozen:check(list) end
   if not list or not ok then return nil, message end
   local todo = list[1] and find_todo(list, options.output, p, result) or {}
   local bar = progress.new("extract", #list, {unit = "recordings", kept = "whole pieces are kept",
      done = result.skipped, quiet = options.quiet})
   ok, message = do_all(todo, options.output, p, result, bar, deadline.new(options.time_limit))
   return ok and bar, message
end

--- Do a shard, or what no other worker has claimed.
-- @tparam manifest frozen
-- @tparam table options of `extract.run`; without `shard` and `claim` all pieces
-- @tparam table p parameters for `extract.one`
-- @treturn[1] table as from `extract.run`
-- @treturn[2] nil
-- @treturn[2] string message
function pieces.run(frozen, options, p)
   local result = {done = 0, skipped = 0, seconds = 0, failures = {}, warnings = {}}
   local bar, message = (options.claim and by_claims or by_shard)(frozen, options, p, result)
   if not bar then return nil, message end
   result.counts = account.of(sounds.none(result.done + result.skipped + #result.failures), result)
   bar:finish(("%s; %s of sound in %s"):format(account.text(result.counts), progress.duration(result.seconds),
      progress.duration(bar:elapsed())))
   return result
end

return pieces
