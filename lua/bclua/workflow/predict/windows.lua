--- The windows of recordings one after the other, in memory that does not grow with the recordings.
--
-- Window k (from 0) starts at sample round(k * hop_s * sample_rate). It exists if it starts before the end and
-- the one before it has not reached the end, so that all sound is in some window and at most one, the last,
-- sticks out: it is filled up with silence, or left out (`drop`).
-- @module bclua.workflow.predict.windows
local array = require "bclua.array"
local best_channel = require "bclua.workflow.best_channel"
local hearing = require "bclua.data.hearing"
local silence = require "bclua.workflow.silence"
local segments = require "bclua.workflow.segments"

local windows = {}

local function start_of(k, o) return math.floor(k * o.hop_s * o.sample_rate + 0.5) end

--- How many windows a recording has.
-- @tparam integer total samples
-- @tparam table o `sample_rate`, `length` (samples of a window), `hop_s`, `drop`
function windows.count(total, o)
   if o.drop and total < o.length or total == 0 then return 0 end
   local n = math.max(0, math.floor((total - o.length) / (o.hop_s * o.sample_rate)))
   while start_of(n, o) + o.length <= total do n = n + 1 end
   while n > 0 and start_of(n - 1, o) + o.length > total do n = n - 1 end -- n: those that are whole
   local sticks_out = start_of(n, o) < total and (n == 0 or start_of(n - 1, o) + o.length < total)
   return n + (sticks_out and not o.drop and 1 or 0)
end

--- Seconds in which a window starts and its sound ends.
function windows.times(k, total, o)
   local first = start_of(k, o)
   return first / o.sample_rate, math.min(first + o.length, total) / o.sample_rate
end

-- Windows at.. of a cursor as rows, n of them, silent past the end.
local function read(cursor, at, n, o)
   local first, length = start_of(at, o), o.length
   local function samples_from(k, last) return cursor:take(start_of(k, o), last) end
   if start_of(at + n - 1, o) == first + (n - 1) * length then
      local samples, message = samples_from(at, first + n * length)
      return samples and samples:reshape({n, length}), message
   end
   local out, is_sparse = array.zeros({n, length}), o.hop_s * o.sample_rate > length
   local all, message
   if not is_sparse then
      all, message = samples_from(at, start_of(at + n - 1, o) + length)
      if not all then return nil, message end
   end
   for i = 1, n do
      local offset = start_of(at + i - 1, o) - first
      local samples = all and all:slice(1, offset + 1, offset + length)
      if is_sparse then samples, message = samples_from(at + i - 1, first + offset + length) end
      if not samples then return nil, message end
      out[i]:fill(samples)
   end
   return out
end

local Stream = {}
Stream.__index = Stream

--- Begin with the first of some recordings.
-- @tparam {string,...} paths
-- @tparam table o `sample_rate`, `channel` (see `bclua.data.hearing`), `length` (samples of a window), `hop_s`,
-- `drop`, `block` (windows at most at once)
-- @treturn stream `stream:next()`
function windows.open(paths, o)
   return setmetatable({paths = paths, o = o, file = 1, silent = 0}, Stream)
end

local function turn(self)
   if self.cursor then self.cursor.reader:close() end
   self.cursor, self.at, self.file, self.silent = nil, nil, self.file + 1, 0
end

-- How many of the first n windows from `at` on have no sound in most of what is recorded of them.
local function count_silent(samples, n, at, total, o)
   local silent = 0
   for i = 1, n do
      local recorded = math.min(o.length, total and total - start_of(at + i - 1, o) or o.length)
      if silence.covers(samples[i]:slice(1, 1, recorded), o.sample_rate) then silent = silent + 1 end
   end
   return silent
end

-- What there is to say of a recording that was read to its end, in words.
local function warning_of(self, all)
   local reader = self.cursor.reader
   local texts = {reader:warning() or hearing.about_rate(reader:info().sample_rate, self.o.sample_rate)}
   texts[#texts + 1] = silence.about(self.paths[self.file], self.silent, all, self.channel)
   return texts[1] and table.concat(texts, "; ")
end

local function take(self)
   local o = self.o
   if not self.cursor then
      local channel, message = best_channel.choose(self.paths[self.file], o.channel, o.sample_rate)
      if channel == nil then return nil, message end
      local cursor
      cursor, message = segments.open(self.paths[self.file], o.sample_rate, channel or nil)
      if not cursor then return nil, message end
      self.cursor, self.at, self.channel = cursor, 0, channel or nil
   end
   local cursor = self.cursor
   local samples, message = read(cursor, self.at, o.block, o)
   if not samples then return nil, message end
   local total = cursor.ended or cursor.reader:info().read_length
   if total == 0 then return nil, self.paths[self.file] .. ": no samples" end
   local known = total and windows.count(total, o)
   local n = known and math.max(0, math.min(o.block, known - self.at)) or o.block
   self.silent = self.silent + count_silent(samples, n, self.at, total, o)
   local block = {file = self.file, first = self.at, count = n, windows = n > 0 and samples:slice(1, 1, n) or nil}
   self.at = self.at + n
   if known and self.at >= known then
      block.done, block.samples, block.channel = true, total, self.channel
      block.warning = warning_of(self, known)
   end
   return block
end

--- The next windows.
-- @treturn[1] table `file` (number of the path), `first` (number of its first window, from 0), `count`, `windows` (f32
-- (count, length), nil if none), `done` (with the recording) and then `samples`, `channel` and `warning` (as from
-- `audio.load`; how many windows are silent); or `message`: the recording failed, beginning with its path, and is
-- done. Until `done`, no window sticks out.
-- @treturn[2] nil after the last recording
function Stream:next()
   if self.file > #self.paths then return nil end
   local block, message = take(self)
   block = block or {file = self.file, first = 0, count = 0, done = true, message = message}
   if block.done then turn(self) end
   return block
end

local own -- of a worker state, whose items are the blocks of one stream

--- `next` on a worker state.
function windows.next(_, o)
   own = own or windows.open(o.paths, o)
   collectgarbage() -- Lua does not see how large the blocks before were
   return own:next()
end

-- A stream that is read on a thread of its own, some blocks ahead of who takes them.
local function ahead(paths, o)
   local options = {paths = paths}
   for k, v in pairs(o) do options[k] = v end
   local endless = setmetatable({}, {__len = function() return math.maxinteger end, __index = function() return 1 end})
   local step, map, _, closing = require("bclua.parallel").map(endless, "bclua.workflow.predict.windows", "next",
      options, {threads = 1, ahead = 3})
   return {close = closing, next = function()
      local _, block, failure, trace = step(map)
      if failure then error(trace or failure, 0) end
      return block
   end}
end

--- The blocks of all recordings in order: `for block in windows.blocks(paths, o, threads)`, as from
-- `stream:next`, `file` being the number of the path. With more than one thread half as many recordings are
-- decoded at once, each by one, while the caller works on the blocks. Blocks are the same on any number of threads.
-- @tparam {string,...} paths
-- @tparam table o as for `open`
-- @tparam integer threads
function windows.blocks(paths, o, threads)
   local lanes, dealt, lane_count = {}, {}, math.min(math.max(1, threads // 2), #paths)
   for i = 1, lane_count do dealt[i] = {} end
   for i, path in ipairs(paths) do table.insert(dealt[(i - 1) % lane_count + 1], path) end
   for i = 1, lane_count do
      local stream = windows.open(dealt[i], o)
      lanes[i] = threads > 1 and ahead(dealt[i], o) or {next = function() return stream:next() end}
   end
   local file = 1
   local function step()
      if file > #paths then return nil end
      local block = lanes[(file - 1) % lane_count + 1].next()
      block.file = file
      if block.done then file = file + 1 end
      return block
   end
   local guard = setmetatable({}, {__close = function()
      for _, lane in ipairs(lanes) do
         if lane.close then getmetatable(lane.close).__close(lane.close) end
      end
   end})
   return step, nil, nil, guard
end

return windows
