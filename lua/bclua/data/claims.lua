--- Claims: workers that come and go share pieces of work, each of which one of them does at a time.
--
-- A claim is a hard link, made exclusively, to a file of the worker that it touches now and then; so all that a worker
-- has claimed is as old as its last sign of life. A claim that has grown too old is taken over. Ages are differences
-- of times that the file server gave: the clocks of the machines do not matter, unless it takes times from them. Two
-- workers may still come to do the same piece (one was only slow, say), which must be harmless.
-- @module bclua.data.claims
local lfs = require "lfs"
local process = require "bclua.process"
local system = require "bclua.system"
local workers = require "bclua.data.workers"

local claims = {}

local EXISTS = 17 -- EEXIST

--- The rules of the options of a step whose pieces may be claimed.
claims.rules = {
   claim = {"boolean", text = "Do whatever piece no other process is at, until all are done: processes may come and " ..
      "go (in place of --shard)."},
   stale = {"number", default = 600, least = 1, unit = "s", text = "With --claim: take over what a process has that " ..
      "was not heard of for S seconds; more than the longest recording takes."}}

local Claims = {}
Claims.__index = Claims

local function path_of(self, number) return ("%s/piece-%06d"):format(self.folder, number) end

--- Begin to take part.
-- @tparam string folder of the claims; it is made
-- @tparam number stale_s seconds after which a claim is too old
-- @treturn[1] claims to be closed, which lets go
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function claims.open(folder, stale_s)
   local ok, message = system.mkdir(folder)
   if not ok then return nil, message end
   local own = ("%s/worker-%s-%d-%08x"):format(folder, workers.host(), process.number(), math.random(0, 0xFFFFFFFF))
   ok, message = system.write_file(own, "")
   if not ok then return nil, message end
   return setmetatable({folder = folder, own = own, stale_s = stale_s}, Claims)
end

--- Give a sign of life.
function Claims:beat() lfs.touch(self.own) end

-- Has it not been heard of for too long, by the file server's clock? Nor is somebody there who is far in the future:
-- that clock was put back since, or it is the clocks of the machines.
local function is_stale(self, path)
   self:beat()
   local claimed, now = lfs.attributes(path, "modification"), lfs.attributes(self.own, "modification")
   return claimed and now and math.abs(now - claimed) > self.stale_s
end

local function is_ours(self, path) return lfs.attributes(path, "ino") == lfs.attributes(self.own, "ino") end

--- Claim a piece.
-- @tparam integer number
-- @treturn[1] boolean whether it is ours now; else another worker is at it
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function Claims:take(number)
   local path = path_of(self, number)
   if is_stale(self, path) then
      local gone = self.own .. ".gone" -- of those who see that, the rename lets one through
      if os.rename(path, gone) then os.remove(gone) end
   end
   local ok, why, code = lfs.link(self.own, path)
   if not ok and code ~= EXISTS then
      return nil, ("%s: %s (--claim needs hard links; --shard does without)"):format(path, why)
   end
   local taken = ok or is_ours(self, path) -- NFS says EEXIST of a link of ours whose answer was lost
   self.number = taken and number or nil
   return taken and true or false
end

--- Let go of the piece that was claimed, if it is still ours.
function Claims:release()
   local path = self.number and path_of(self, self.number)
   self.number = nil
   if path and is_ours(self, path) then os.remove(path) end
end

--- Take part no longer.
function Claims:close()
   self:release()
   os.remove(self.own)
end

Claims.__close = Claims.close

return claims
