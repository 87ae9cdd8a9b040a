--- Windows of a recording, and the segments of sound that hold them.
--
-- Windows that overlap or touch are one segment, which is read, quantised and stored once. A
-- segment has a limit, so that memory has one: windows past it begin another.
-- @module bclua.workflow.segments
local array = require "bclua.array"

local segments = {}

--- The longest segment in seconds. Where it cuts, at most one window's length is held twice.
segments.longest_s = 120

local BLOCK = 1 << 18

--- Samples of a window.
function segments.length(seconds, sample_rate) return math.floor(seconds * sample_rate + 0.5) end

--- The first sample of a window, as `sampling.cut` places it; it may be negative.
-- @tparam number loc centre in seconds, -1: the whole recording
-- @tparam number seconds
-- @tparam number sample_rate
-- @tparam[opt] integer total samples of the recording, needed where loc is -1
function segments.first(loc, seconds, sample_rate, total)
   if loc >= 0 then return math.floor((loc - seconds / 2) * sample_rate + 0.5) end
   local length = segments.length(seconds, sample_rate)
   return length > total and -((length - total) // 2) or (total - length) // 2
end

--- The segments of some windows.
-- @tparam {integer,...} firsts first sample of each, in any order
-- @tparam integer length of each
-- @tparam integer longest samples of a segment, at least length
-- @treturn {table,...} `{first=, last=, windows={index into firsts,...}}` in order of first;
-- last is the sample behind it
function segments.merge(firsts, length, longest)
   local order, list = {}, {}
   for i = 1, #firsts do order[i] = i end
   table.sort(order, function(a, b) return firsts[a] < firsts[b] or (firsts[a] == firsts[b] and a < b) end)
   for _, i in ipairs(order) do
      local first, segment = firsts[i], list[#list]
      if not segment or first > segment.last or first + length - segment.first > longest then
         segment = {first = first, last = first, windows = {}}
         list[#list + 1] = segment
      end
      segment.last = math.max(segment.last, first + length)
      table.insert(segment.windows, i)
   end
   return list
end

--- The windows of triplets, each once, by recording.
-- @tparam string relation SQL, from `legacy.relation`
-- @tparam string path for the message
-- @treturn[1] {table,...} `source`, `channel` (nil: the mean of all), `locs` (seconds, in order); in order of source
-- @treturn[2] nil
-- @treturn[2] string message
function segments.of_triplets(relation, path)
   local rows, message = require("bclua.sql").query(([[
      with w as (select a as src, a_channel as channel, a_loc::double as loc from %s
                 union select b, b_channel, b_loc::double from %s union select c, c_channel, c_loc::double from %s)
      select src as "source", min(channel) as channel, list(loc order by loc) as locs
      from w group by src order by src]]):format(relation, relation, relation))
   if not rows then return nil, message end
   if #rows == 0 then return nil, path .. ": no triplets" end
   for _, row in ipairs(rows) do
      if array.is_array(row.locs) then row.locs = row.locs:table() end
   end
   return rows
end

-- A recording from left to right: it is decoded once, and what was taken last is kept.
local Cursor = {}
Cursor.__index = Cursor

--- A recording from left to right, mono: `cursor:take(first, last)` gives the samples first .. last - 1,
-- silent outside the recording, of which `first` never falls, or nil and a message; `cursor.ended` is the
-- number of samples once the end was seen, `cursor.reader` to be closed.
-- @tparam string path
-- @tparam integer sample_rate
-- @tparam[opt] integer channel none: the mean of all
-- @treturn[1] cursor
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function segments.open(path, sample_rate, channel)
   local reader, message = require("bclua.audio").open(path, {sample_rate = sample_rate, channel = channel})
   if not reader then return nil, message end
   return setmetatable({reader = reader, at = 0, ended = nil, held = array.zeros(0), held_first = 0}, Cursor)
end

-- The next samples, at most n; none at the end.
function Cursor:read(n)
   if self.ended then return nil end
   local piece, message = self.reader:read(n)
   if message then return nil, message end
   if piece then self.at = self.at + #piece end
   if not piece or #piece < n then self.ended = self.at end
   return piece
end

-- Put samples, the first of them number `at`, where they belong in out, which begins at `first`.
local function lay(out, first, samples, at)
   local from, to = math.max(first, at), math.min(first + #out, at + #samples)
   if from >= to then return end
   out:slice(1, from - first + 1, to - first):fill(samples:slice(1, from - at + 1, to - at))
end

-- Samples first .. last - 1, silent outside the recording. first never falls.
function Cursor:take(first, last)
   local out = array.zeros(last - first)
   lay(out, first, self.held, self.held_first)
   while self.at < last do
      local before = self.at
      local n = before < first and math.min(BLOCK, first - before) or last - before
      local piece, message = self:read(n)
      if message then return nil, message end
      if not piece then break end
      lay(out, first, piece, before)
   end
   self.held, self.held_first = out, first
   return out
end

local function samples_of(path, cursor, sample_rate)
   local total = cursor.reader:info().read_length
   if total then return total end
   local y, message = require("bclua.audio").load(path, {sample_rate = sample_rate})
   if not y then return nil, message end
   return #y
end

-- First samples of the windows; those that are certainly past the end are left to `past`.
local function place(path, cursor, locs, o)
   local firsts, which = {}, {}
   for i, loc in ipairs(locs) do
      local total, message
      if loc < 0 then
         total, message = samples_of(path, cursor, o.sample_rate)
         if not total then return nil, message end
      end
      local known = cursor.reader:info().read_length
      if not known or loc < known / o.sample_rate then
         firsts[#firsts + 1] = segments.first(loc, o.seconds, o.sample_rate, total)
         which[#which + 1] = i
      end
   end
   return firsts, which
end

--- Read windows out of a recording, which is decoded once, as far as the last window.
-- @tparam string path
-- @tparam {number,...} locs centres in seconds, -1: the whole recording
-- @tparam table o `seconds`, `sample_rate`, `channel` (nil: the mean of all)
-- @tparam function put called for each segment, from left to right: `put(samples, windows)` with
-- f32 samples and a list of `{index=, offset=}`: which of locs, and where in the segment it
-- begins; what it returns, if it is not true, ends the reading: `nil, message`
-- @treturn[1] {integer,...} the locs (by index) that are past the end: nothing is put for them
-- @treturn[1] ?number seconds of the recording, where its end was seen or is known
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function segments.read(path, locs, o, put)
   local cursor, message = segments.open(path, o.sample_rate, o.channel)
   if not cursor then return nil, message end
   local reader <close> = cursor.reader
   local known = reader:info().read_length
   local firsts, which = place(path, cursor, locs, o)
   if not firsts then return nil, which end
   local length, there = segments.length(o.seconds, o.sample_rate), {}
   local longest = math.max(length, math.floor(segments.longest_s * o.sample_rate))
   for _, segment in ipairs(segments.merge(firsts, length, longest)) do
      local samples
      samples, message = cursor:take(segment.first, segment.last)
      if not samples then return nil, message end
      local windows = {}
      for _, k in ipairs(segment.windows) do
         local i = which[k]
         if not cursor.ended or locs[i] < cursor.ended / o.sample_rate then
            windows[#windows + 1] = {index = i, offset = firsts[k] - segment.first}
            there[i] = true
         end
      end
      if #windows > 0 then
         local ok, why = put(samples, windows)
         if ok ~= true then return nil, why end
      end
   end
   local past = {}
   for i in ipairs(locs) do
      if not there[i] then past[#past + 1] = i end
   end
   local total = cursor.ended or known
   return past, total and total / o.sample_rate
end

--- All windows of a recording as rows.
-- @tparam string path
-- @tparam {number,...} locs
-- @tparam table o as for `read`
-- @treturn[1] array f32 (windows, samples), in the order of locs; silent where there is no recording
-- @treturn[1] {integer,...} those that are past the end, as from `read`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function segments.rows(path, locs, o)
   local length = segments.length(o.seconds, o.sample_rate)
   local rows = array.zeros({#locs, length})
   local past, message = segments.read(path, locs, o, function(samples, windows)
      for _, w in ipairs(windows) do rows[w.index]:fill(samples:slice(1, w.offset + 1, w.offset + length)) end
      return true
   end)
   if not past then return nil, message end
   return rows, past
end

return segments
