--- The folder of a training's checkpoints: the newest, the best, and where the
-- training stands.
--
-- `round-N.safetensors` after round N; `last.safetensors` the newest state, be it
-- in the middle of a round; `best.safetensors` the best round's. The last two
-- share their bytes with a `round-N` file where the file system knows links. Earlier
-- versions called rounds epochs, here and in the metadata: their runs go on.
-- @module bclua.train.checkpoints
local files = require "bclua.files"
local json = require "bclua.json"
local lfs = require "lfs"
local safetensors = require "bclua.format.safetensors"
local system = require "bclua.system"
local tilenet = require "bclua.tilenet"

local checkpoints = {}

--- The state of a training as text for a checkpoint's metadata, and back.
checkpoints.encode = json.encode

--- @treturn ?table nil if the text is none
function checkpoints.decode(text)
   local state = json.decode(text or "")
   return type(state) == "table" and state or nil
end

-- Give a file a second name, replacing what had it; but a symbolic link stays one.
local function link(path, name)
   local temporary = name .. ".tmp"
   os.remove(temporary)
   if lfs.symlinkattributes(name, "mode") ~= "link" and lfs.link(path, temporary) then
      local ok, message = os.rename(temporary, name)
      os.remove(temporary) -- rename leaves it when both are the same file already
      if not ok then return nil, ("%s: %s"):format(name, message) end
      return true
   end
   local bytes, message = files.read(path)
   if not bytes then return nil, message end
   return system.write_file(name, bytes)
end

local function round_path(folder, round) return ("%s/round-%d.safetensors"):format(folder, round) end

-- The same of a round that is over, perhaps by an earlier version.
local function kept_path(folder, round)
   local path = round_path(folder, round)
   return files.exists(path) and path or ("%s/epoch-%d.safetensors"):format(folder, round)
end

-- Remove rounds before this one that are neither among the newest nor the best.
local function prune(folder, round, keep, best)
   local wanted = {}
   for n = round - keep + 1, round do wanted[n] = true end
   for _, b in ipairs(best) do wanted[b.round] = true end
   for name in lfs.dir(folder) do
      local word, digits = name:match("^(%l+)%-(%d+)%.safetensors$")
      local n = (word == "round" or word == "epoch") and math.tointeger(tonumber(digits))
      if n and n <= round and not wanted[n] then os.remove(folder .. "/" .. name) end
   end
end

--- Save in the middle of a round.
-- @treturn[1] string path of `last.safetensors`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function checkpoints.save_last(net, folder, metadata)
   local path = folder .. "/last.safetensors"
   local ok, message = net:save(path, {optimizer = true, metadata = metadata})
   return ok and path, message
end

--- Save at the end of a round, and tidy up.
-- @tparam network net
-- @tparam string folder
-- @tparam table metadata
-- @tparam integer round
-- @tparam integer keep how many of the newest rounds stay
-- @tparam {table,...} best `{round=, score=}`: rounds that stay, the best one first
-- @treturn[1] string path of `last.safetensors`
-- @treturn[1] ?string path of `best.safetensors`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function checkpoints.save_round(net, folder, metadata, round, keep, best)
   local path = round_path(folder, round)
   local ok, message = net:save(path, {optimizer = true, metadata = metadata})
   local last, first = folder .. "/last.safetensors", nil
   if ok then ok, message = link(path, last) end
   if ok and best[1] then
      first = folder .. "/best.safetensors"
      ok, message = link(kept_path(folder, best[1].round), first)
   end
   if not ok then return nil, message end
   prune(folder, round, keep, best)
   return last, first
end

--- Change tensors and metadata of the newest checkpoint, and of the best one where that is of the same round.
-- @tparam string folder
-- @tparam string prefix tensors whose names begin with it go
-- @tparam table tensors that come, by name
-- @tparam table metadata that are laid over its own
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function checkpoints.change_last(folder, prefix, tensors, metadata)
   local last, best = folder .. "/last.safetensors", folder .. "/best.safetensors"
   local old, about = safetensors.load(last)
   if not old then return nil, about end
   local all = {}
   for name, a in pairs(old) do
      if name:sub(1, #prefix) ~= prefix then all[name] = a end
   end
   for name, a in pairs(tensors) do all[name] = a end
   for name, text in pairs(metadata) do about[name] = text end
   local round = round_path(folder, about.round or about.epoch)
   local is_best = lfs.attributes(best, "ino") == lfs.attributes(round, "ino")
   local ok, message = safetensors.save(round, all, about)
   if ok then ok, message = link(round, last) end
   if ok and is_best then ok, message = link(round, best) end
   return ok, message
end

-- What earlier versions called `epoch`.
local function as_round(list)
   for _, item in ipairs(list or {}) do item.round = item.round or item.epoch end
end

--- Load weights, optimiser and loader as a checkpoint left them.
-- @treturn[1] table the state that was encoded into it
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function checkpoints.resume(net, loader, path)
   local metadata, message = net:load(path, {optimizer = true, ignore = {tilenet.readout}})
   if not metadata then return nil, message end
   local rounds = math.tointeger(tonumber(metadata.round or metadata.epoch))
   if not rounds then return nil, path .. ": no checkpoint of a training run (its metadata have no round)" end
   if loader.restore then
      if not metadata.loader then return nil, path .. ": holds no state of the loader" end
      local ok, why = loader:restore(metadata.loader)
      if not ok then return nil, ("%s: loader: %s"):format(path, why) end
   end
   local state = checkpoints.decode(metadata.training) or {}
   state.rounds, state.epochs = rounds, nil
   as_round(state.best)
   as_round(state.history)
   return state
end

return checkpoints
