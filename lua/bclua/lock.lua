--- One program at a time in a folder, or at a file.
--
-- A lock is a file: `.lock` in the folder, or `NAME.lock` beside the file, which says who holds it. It goes with the
-- process, however that ends: what a killed one leaves holds nobody up. It keeps nobody from reading. A process
-- may take what it holds once more, as the pipeline's steps do.
-- @module bclua.lock
-- @usage
-- local locked <close>, busy = lock.folder("runs/birds")
-- if not locked then return nil, busy end
local core = require "bclua.lock_core"
local files = require "bclua.files"
local lfs = require "lfs"
local process = require "bclua.process"
local system = require "bclua.system"

local lock = {}

local PAUSE_S = 0.02

local held = {} -- by device and inode of the file: how often this process has it, and the lock

local function name_of(path)
   if files.is_folder(path) then return (path:gsub("(.)/+$", "%1")) .. "/.lock" end
   return path .. ".lock"
end

local function key_of(name)
   local a = lfs.attributes(name)
   return a and a.dev .. ":" .. a.ino
end

-- Who we are, for others.
local function note()
   local words = {"bclua"}
   for i = 0, 1 do
      local word = arg and arg[i] or ""
      if word:find(i == 0 and "%.lua$" or "^%l[%l-]*$") then words[#words + 1] = word end
   end
   local host = (files.read("/proc/sys/kernel/hostname") or "this machine"):gsub("%s+$", "")
   return ("%s, process %d on %s since %s"):format(table.concat(words, " "), process.number(), host,
      os.date("%Y-%m-%d %H:%M"))
end

local function busy(path, name)
   local who = files.read(name)
   return ("%s: %s, is at work on it"):format(path, who and who ~= "" and who or "another program")
end

local Lock = {}
Lock.__index = Lock

--- Let go; twice is fine.
function Lock:close()
   local own = self.own
   self.own = nil
   if not own then return end
   own.times = own.times - 1
   if own.times > 0 then return end
   held[own.key] = nil
   core.drop(own.lock)
end

Lock.__close, Lock.__gc = Lock.close, Lock.close

local function handle(own)
   own.times = own.times + 1
   return setmetatable({own = own}, Lock)
end

--- Take the lock of a folder or file; to be closed.
-- @tparam ?string path the folder, which is there, or the file, which need not be; nil and what is neither (a device,
-- a pipe) need no lock
-- @tparam[opt=0] number wait_s how long to wait for another who has it
-- @treturn[1] lock with `close()`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path: who has it
function lock.take(path, wait_s)
   if not path then return setmetatable({}, Lock) end
   local mode, name = lfs.attributes(path, "mode"), name_of(path)
   if mode and mode ~= "directory" and mode ~= "file" then return setmetatable({}, Lock) end
   local own = held[key_of(name)]
   if own then return handle(own) end
   local till = system.clock() + (wait_s or 0)
   while true do
      local taken, message = core.take(name, note())
      if taken then
         own = {lock = taken, key = key_of(name), times = 0}
         held[own.key] = own
         return handle(own)
      end
      if message then return nil, path .. message:sub(#name + 1) end
      if system.clock() >= till then return nil, busy(path, name) end
      system.sleep(PAUSE_S)
   end
end

-- Does another program hold a folder above? Then nil, message: its steps count on what is there.
local function check_above(path)
   local above = path
   repeat
      above = files.dirname(above)
      local name = above .. "/.lock"
      if files.exists(name) and not held[key_of(name)] then
         local free, message = core.take(name, note())
         if not free and not message then return nil, busy(above, name) end
         if free then core.drop(free) end
      end
   until above == "." or above == "/"
   return true
end

--- The lock of a step of the pipeline for the file that it writes; it is not to be had below a folder that another
-- program holds.
-- @tparam string path
-- @treturn[1] lock
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function lock.file(path)
   local ok, message = check_above(path)
   if not ok then return nil, message end
   return lock.take(path)
end

--- The same for the folder that a step writes; it is made where it is missing.
-- @tparam string path
-- @treturn[1] lock
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function lock.folder(path)
   local ok, message = system.mkdir(path)
   if not ok then return nil, message end
   return lock.file(path)
end

return lock
