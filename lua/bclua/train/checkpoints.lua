--- The folder of a training's checkpoints: the newest, the best, and where the
-- training stands.
--
-- `epoch-N.safetensors` after round N; `last.safetensors` the newest state, be it
-- in the middle of a round; `best.safetensors` the best round's. The last two
-- share their bytes with an `epoch-N` file where the file system knows links.
-- @module bclua.train.checkpoints
local files = require "bclua.files"
local json = require "bclua.json"
local lfs = require "lfs"
local system = require "bclua.system"

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

local function epoch_path(folder, epoch) return ("%s/epoch-%d.safetensors"):format(folder, epoch) end

-- Remove rounds before this one that are neither among the newest nor the best.
local function prune(folder, epoch, keep, best)
   local wanted = {}
   for n = epoch - keep + 1, epoch do wanted[n] = true end
   for _, b in ipairs(best) do wanted[b.epoch] = true end
   for name in lfs.dir(folder) do
      local n = math.tointeger(tonumber(name:match("^epoch%-(%d+)%.safetensors$") or ""))
      if n and n <= epoch and not wanted[n] then os.remove(folder .. "/" .. name) end
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
-- @tparam integer epoch
-- @tparam integer keep how many of the newest rounds stay
-- @tparam {table,...} best `{epoch=, score=}`: rounds that stay, the best one first
-- @treturn[1] string path of `last.safetensors`
-- @treturn[1] ?string path of `best.safetensors`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function checkpoints.save_epoch(net, folder, metadata, epoch, keep, best)
   local path = epoch_path(folder, epoch)
   local ok, message = net:save(path, {optimizer = true, metadata = metadata})
   local last, first = folder .. "/last.safetensors", nil
   if ok then ok, message = link(path, last) end
   if ok and best[1] then
      first = folder .. "/best.safetensors"
      ok, message = link(epoch_path(folder, best[1].epoch), first)
   end
   if not ok then return nil, message end
   prune(folder, epoch, keep, best)
   return last, first
end

--- Load weights, optimiser and loader as a checkpoint left them.
-- @treturn[1] table the state that was encoded into it
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function checkpoints.resume(net, loader, path)
   local metadata, message = net:load(path, {optimizer = true})
   if not metadata then return nil, message end
   local epochs = math.tointeger(tonumber(metadata.epoch))
   if not epochs then return nil, path .. ": no checkpoint of a training run (its metadata have no epoch)" end
   if loader.restore then
      if not metadata.loader then return nil, path .. ": holds no state of the loader" end
      local ok, why = loader:restore(metadata.loader)
      if not ok then return nil, ("%s: loader: %s"):format(path, why) end
   end
   local state = checkpoints.decode(metadata.training) or {}
   state.epochs = epochs
   return state
end

return checkpoints
