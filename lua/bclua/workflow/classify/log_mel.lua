--- Statistics of log-mel bands of windows, which a classifier may use beside the embedding.
-- @module bclua.workflow.classify.log_mel
local array = require "bclua.array"
local evaluation_set = require "bclua.workflow.evaluation_set"
local files = require "bclua.files"
local index = require "bclua.index"
local progress = require "bclua.progress"
local segments = require "bclua.workflow.segments"

local log_mel = {}

--- Mean and deviation over time of 128 log-mel bands, in decibels, of windows of the whole band.
-- @tparam array windows f32 (n, samples)
-- @tparam number sample_rate Hz
-- @treturn array f32 (n, 256)
function log_mel.statistics(windows, sample_rate)
   return evaluation_set.statistics(windows, {sample_rate = sample_rate, fmin = 0, fmax = 0})
end

--- The same of some windows of one recording; on a worker state.
-- @tparam table item `path`, `centres` (seconds)
-- @tparam table o `seconds` of a window, `sample_rate`, `channel`
-- @treturn[2] nil, message
function log_mel.one(item, o)
   collectgarbage() -- Lua does not see how large the windows before were
   local windows, message = segments.rows(item.path, item.centres, o)
   if not windows then return nil, message end
   return log_mel.statistics(windows, o.sample_rate)
end

--- These statistics behind the values of an embedding.
-- @tparam array x (n, z)
-- @tparam array plain (n, 256)
-- @treturn array f32 (n, z + 256)
function log_mel.append(x, plain)
   local z = x:shape(2)
   local both = array.zeros({x:shape(1), z + plain:shape(2)}, "f32")
   both:slice(2, 1, z):fill(x)
   both:slice(2, z + 1, both:shape(2)):fill(plain)
   return both
end

local PIECE = 64 -- windows at once

-- Windows of a recording in pieces that a worker takes.
local function pieces_of(set, window_s)
   local pieces, piece = {}, nil
   for i, path in ipairs(set.files) do
      if not piece or piece.path ~= path or #piece.centres == PIECE then
         piece = {path = path, centres = {}}
         pieces[#pieces + 1] = piece
      end
      piece.centres[#piece.centres + 1] = set.start_s[i] + window_s / 2
   end
   return pieces
end

--- The statistics of examples, out of their recordings.
-- @tparam table set from `bclua.workflow.classify.examples`
-- @tparam ?boolean quiet
-- @treturn[1] array f32 (windows, 256)
-- @treturn[2] nil
-- @treturn[2] string message: a recording cannot be read
function log_mel.of_windows(set, quiet)
   local made = set.made
   local pieces, parts = pieces_of(set, made.window_s), {}
   local bar = progress.new("log-mel", #pieces, {unit = "pieces", quiet = quiet})
   for i, result, why in require("bclua.parallel").map(pieces, "bclua.workflow.classify.log_mel", "one",
      {seconds = made.window_s, sample_rate = made.sample_rate, channel = made.channel}) do
      if not result then return nil, why end
      parts[i] = result
      bar:update(i)
   end
   bar:finish()
   return array.concat(parts)
end

--- The statistics of all windows of a table of embeddings: `FILE.parquet.log_mel.npy` beside it, which is made where it
-- is missing or the table has changed.
-- @tparam string path of the table
-- @tparam table set its windows in order, as for `of_windows`
-- @tparam ?boolean quiet
-- @treturn[1] array f32 (windows, 256), mapped
-- @treturn[2] nil
-- @treturn[2] string message
function log_mel.of_table(path, set, quiet)
   local names = {npy = path .. ".log_mel.npy", json = path .. ".log_mel.json"}
   if not index.is_current(names, path) then
      local state = index.state(path)
      local x, message = log_mel.of_windows(set, quiet)
      if not x then return nil, message end
      os.remove(names.json) -- it is of what is replaced now
      local ok
      ok, message = array.save(names.npy, x)
      if ok then ok, message = files.write_json(names.json, state) end
      if not ok then return nil, message end
   end
   return array.load(names.npy, {mmap = true})
end

return log_mel
