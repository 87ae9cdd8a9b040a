--- The embedding of every window of any recordings, as a table.
-- @module bclua.workflow.predict
local rules = require "bclua.data.rules"
local account = require "bclua.workflow.account"
local count = require("bclua.display").count
local array = require "bclua.array"
local deadline = require "bclua.deadline"
local deployments = require "bclua.data.deployments"
local encoder = require "bclua.encoder"
local files = require "bclua.files"
local hearing = require "bclua.data.hearing"
local lock = require "bclua.lock"
local partitioned_writer = require "bclua.workflow.predict.partitioned_writer"
local pieces = require "bclua.workflow.pieces"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local recorded = require "bclua.data.recorded"
local recordings = require "bclua.data.recordings"
local sounds = require "bclua.data.sounds"
local system = require "bclua.system"
local windows = require "bclua.workflow.predict.windows"
local training_options = require "bclua.train.options"
local check_options, extend = require("bclua.options").check, require("bclua.options").extend

local predict = {}

--- What `run` takes.
predict.options = {
   checkpoint = {"string", argument = "checkpoint", text = "A .safetensors file from `embed fit`; " ..
      "none with --encoder."},
   encoder = extend(encoder.rule, {text = "In place of the checkpoint: anybody's network, which FILE.json beside it " ..
      "describes (doc/detect.md)."}),
   inputs = {"list", of = "string", items = "paths", shortest = 1, argument = "inputs",
      text = "Recordings, and folders of them."},
   output = {"string", needed = true, arg = "FILE.parquet",
      text = "File to write; what is in it already is not done again."},
   hop = {"number", least = 0.01, unit = "s",
      text = "Seconds from window to window (default: the length of a window; of our networks 5)."},
   partial = {"choice", {"pad", "drop"}, default = "pad",
      text = "A last window that the recording does not fill: pad it with silence, or drop it."},
   precision = extend(training_options.precision, {default = "f32"}),
   channel = extend(hearing.given.channel,
      {text = "mix (the mean of all channels), left, right, best or a number (default: as in training)."}),
   deployments = rules.deployments,
   batch = {"integer", default = 16, least = 1, most = 4096, text = "Windows at once: affects memory only."},
   shard = pieces.rules.shard, claim = pieces.rules.claim, stale = pieces.rules.stale,
   time_limit = pieces.rules.time_limit,
   force = "boolean", quiet = "boolean"}

local function md5(text)
   local sql = require "bclua.sql"
   return assert(sql.query(("select md5(%s) as hash"):format(sql.quote(text))))[1].hash
end

-- What a table of deployments says, as one word; nil without one.
local function hash_of(path)
   local function hex(byte) return ("%02x"):format(byte:byte()) end
   return path and md5((files.read(path):gsub(".", hex))) or nil -- it may be no UTF-8
end

-- Files and folders as a list of files, each once, in the order of the inputs; what was left out; and what else
-- there was, as `recordings.list` has it.
local function list_files(inputs)
   local list, seen, left_out, all = {}, {}, {}, sounds.none()
   for _, input in ipairs(inputs) do
      local found, message, others = {{path = input}}, {}, sounds.none(1)
      if files.is_folder(input) then
         found, message, others = recordings.list(input)
      elseif not files.exists(input) and #inputs == 1 then
         return nil, input .. ": no such file or folder"
      end
      if not found then return nil, message end
      table.move(message, 1, #message, #left_out + 1, left_out)
      sounds.add(all, others)
      for _, item in ipairs(found) do
         if seen[item.path] then all.found = all.found - 1 else list[#list + 1] = item.path end
         seen[item.path] = true
      end
   end
   return list, left_out, all
end

-- What is to be done of a list, and how much was done before.
local function choose(list, store, step)
   local todo, again, failures = {}, {}, {}
   for _, path in ipairs(list) do
      local size, modified = files.stamp(path)
      local done = store.done[path]
      if not utf8.len(path) then
         failures[#failures + 1] = {path = path, step = step, reason = path .. ": a name that is not UTF-8"}
      elseif not (done and done.bytes == size and done.modified == modified) then
         if done then again[#again + 1] = path end
         todo[#todo + 1] = path
      end
   end
   return todo, again, failures
end

local FFMPEG_BYTES = 16000 -- a second: to ask ffmpeg would take it longer than a short recording does

-- How many windows these recordings have by their headers.
local function estimate(paths, o)
   local audio, sum = require "bclua.audio", 0
   for _, path in ipairs(paths) do
      local by_ffmpeg = audio.kind(path) == "ffmpeg"
      local info = not by_ffmpeg and audio.info(path)
      local seconds = by_ffmpeg and files.stamp(path) / FFMPEG_BYTES or info and info.seconds
      sum = sum + (seconds and windows.count(math.floor(seconds * o.sample_rate), o) or 1)
   end
   return sum
end

local function chunk_of(net, block, path, o, total, placed, job)
   local n = block.count
   local chunk = {file = path, recorded_at = placed.recorded_at, site = placed.site, start_s = array.zeros(n, "f64"),
      end_s = array.zeros(n, "f64")}
   for i = 1, n do
      chunk.start_s[i], chunk.end_s[i] = windows.times(block.first + i - 1, total, o)
   end
   local z = net:forward(block.windows, {batch_size = o.block})
   chunk[job.kind.values] = (job.of and job.of(z, block.windows) or z):copy("f32")
   return chunk
end

-- When and where a recording was made, and what is to be said of that.
local function place(path, list)
   if not list then return recorded.of_file(path) end
   local info = require("bclua.audio").info(path)
   local fields = recorded.of(path, info and info.tags)
   return fields, deployments.place(fields, list, path)
end

-- All windows of all recordings through the network into a store: `add(chunk)`, `finish(item, seconds)`,
-- `discard(why)`, which return true to go on, false where time is up, or nil and a message. `on_windows` is called with
-- how many there are and the path.
local function embed(net, todo, store, o, job, on_windows)
   local r = {done = 0, windows = 0, seconds = 0, failures = {}}
   local placed, said
   for block in windows.blocks(todo, o, system.threads()) do
      local path, ok, message = todo[block.file], true, nil
      if block.first == 0 then placed, said = place(path, o.deployments) end
      if block.message then
         r.failures[#r.failures + 1] = {path = path, step = job.step, reason = block.message}
         ok, message = store:discard(block.message)
      else
         if block.count > 0 then
            ok, message = store:add(chunk_of(net, block, path, o, block.samples or math.huge, placed, job))
         end
         r.windows = r.windows + block.count
         on_windows(r.windows, path)
         block.windows = nil
         collectgarbage() -- Lua does not see how large windows are
         if ok and block.done then
            local size, modified = files.stamp(path)
            local warning = block.warning and said and block.warning .. "; " .. said or block.warning or said
            local seconds = block.samples / o.sample_rate
            r.done, r.seconds = r.done + 1, r.seconds + seconds
            ok, message = store:finish({file = path, bytes = size, modified = modified,
               windows = block.first + block.count, channel = block.channel, warning = warning,
               seconds = warning and seconds}, seconds)
         end
      end
      if ok == nil then return nil, message end
      r.stopped = not ok
      if r.stopped then break end
   end
   return r
end

local function check(options)
   if (options.checkpoint == nil) == (options.encoder == nil) then
      return nil, "one network is needed: a checkpoint, or --encoder"
   end
   if not options.inputs then return nil, "nothing to read: recordings, or folders of them, are needed" end
   if not options.output:lower():find("%.parquet$") then
      return nil, options.output .. ": must end in .parquet (--output)"
   end
   local folder = files.dirname(options.output)
   if not files.is_folder(folder) then return nil, ("%s: no such folder: %s"):format(options.output, folder) end
   return true
end

local function summary(r)
   local text = account.text(r.counts)
   if r.done == 0 then return text .. "; nothing to do" end
   return ("%s; %s of %s of sound; %.1f windows/s, %.0f x real time"):format(text, count(r.windows, "window"),
      progress.duration(r.seconds), r.windows / r.elapsed_s, r.seconds / r.elapsed_s)
end

-- What there is to say about recordings that were read all the same, in this run or before.
local function warnings_of(list, done, step)
   local warnings = {}
   for _, path in ipairs(list) do
      local item = done[path]
      if item and item.warning then
         local info = require("bclua.audio").info(path)
         warnings[#warnings + 1] = {path = path, step = step, what = item.warning, seconds = item.seconds,
            claimed_s = info and info.claimed_s}
      end
   end
   return warnings
end

-- A writer that says after a recording whether time is up.
local function on_time(store, minutes)
   local is_late = deadline.new(minutes)
   return {add = function(_, chunk) return store:add(chunk) end, discard = function() return store:discard() end,
      finish = function(_, item)
         local ok, message = store:finish(item)
         if not ok then return nil, message end
         return not is_late()
      end}
end

local EMBED = {step = "predict", kind = partitioned_writer.kinds.embeddings}

local WITH_NETWORK = extend(predict.options, {checkpoint = "string", inputs = {"list", of = "string"}})

-- What there is to write, and with what: `o` for `embed`, `parameters` of the output.
local function settings_of(net, options, job)
   local o = {sample_rate = net.options.sample_rate, length = net.samples, hop_s = options.hop or net.options.seconds,
      drop = options.partial == "drop", block = options.batch,
      channel = hearing.changed{channel = options.channel}.channel}
   local message
   if options.deployments then
      o.deployments, message = deployments.read(options.deployments)
      if not o.deployments then return nil, message end
   end
   return o, extend({weights = encoder.identity(net), window_s = net.options.seconds, hop_s = o.hop_s,
      sample_rate = o.sample_rate, channel = o.channel, partial = options.partial,
      deployments = hash_of(options.deployments), precision = options.precision}, job.parameters or {})
end

--- The same with a network that is there, by one process.
-- @tparam network net from `bclua.encoder`
-- @tparam {string,...} list files
-- @tparam table options as for `run`; `checkpoint` is only the name in the metadata
-- @tparam[opt] {table,...} left_out what else there was and counts as failed, from `files.find`
-- @tparam[opt] table others what else there was, from `recordings.list`
-- @tparam[opt] table job what is written in place of embeddings, as from `job_of` of `run`
function predict.with_network(net, list, options, left_out, others, job)
   job = job or EMBED
   options = check_options(options, WITH_NETWORK)
   local o, parameters = settings_of(net, options, job)
   if not o then return nil, parameters end
   local locked <close>, busy = lock.take(options.output)
   if not locked then return nil, busy end
   local store <close>, why = partitioned_writer.open(options.output, parameters, options.force, job.kind)
   if not store then return nil, why end
   local todo, again, failures = choose(list, store, job.step)
   local bar = progress.new(job.step, estimate(todo, o), {unit = "windows", kept = true, quiet = options.quiet})
   local r
   local ok, message = store:replace(again)
   if ok then
      r, message = embed(net, todo, on_time(store, options.time_limit), o, job, function(...) bar:update(...) end)
   end
   if not r then return nil, message end
   table.move(r.failures, 1, #r.failures, #failures + 1, failures)
   r.failures, r.elapsed_s = failures, bar:elapsed()
   if r.stopped then return r end
   r.skipped = #list - r.done - #failures
   for _, failure in ipairs(provenance.left_out(left_out or {}, job.step, options.quiet)) do
      failures[#failures + 1] = failure
   end
   r.counts = account.of(others or sounds.none(#list), r)
   if r.done + r.skipped > 0 then
      r.rows, message = store:commit({bclua_checkpoint = options.checkpoint or ""})
      if not r.rows then return nil, message end
   end
   bar:finish(summary(r) .. provenance.listed(failures, "failed", provenance.failures_of(options.output)))
   local about = others and sounds.about(others)
   if about then progress.note(job.step .. ": " .. about, options.quiet) end
   r.warnings = warnings_of(list, store.done, job.step)
   ok, message = provenance.write_failures(provenance.failures_of(options.output), failures)
   if ok then ok, message = provenance.write_warnings(options.output .. ".warnings.csv", r.warnings) end
   if ok and not r.rows then
      return nil, account.all_failed(#list, failures)
   end
   return ok and r, message
end

-- ---- By many processes ----

-- A store that gathers the recording that is being done, and hands it on: the piece is written when it is complete.
local Gather = {}
Gather.__index = Gather

local function hand_on(self, found, why)
   self.at, self.chunks = self.at + 1, {}
   return self.keep(self.list[self.at], found, why)
end

function Gather:add(chunk)
   self.chunks[#self.chunks + 1] = chunk
   return true
end

function Gather:finish(item, seconds)
   return hand_on(self, {seconds = seconds, kept = {file = item, chunks = self.chunks}})
end

function Gather:discard(why) return hand_on(self, nil, why) end

-- What was written, from the metadata of the parts: failures and warnings beside the output.
local function write_remarks(output, list, failures, step)
   local paths, done = {}, {}
   for i, item in ipairs(list) do paths[i], done[item.file] = item.file, item end
   local ok, message = provenance.write_failures(provenance.failures_of(output), failures)
   if not ok then return nil, message end
   return provenance.write_warnings(output .. ".warnings.csv", warnings_of(paths, done, step))
end

-- The pieces of a manifest, for `bclua.workflow.pieces`.
local function step_of(net, frozen, options, o, parameters, job)
   local folder = pieces.folder(options.output)
   local step = {name = job.step, folder = folder, output = options.output}
   function step.path(number) return pieces.path(folder, number) end
   function step.look(number, list) return pieces.look(step.path(number), list) end
   function step.run(list, keep, beat)
      local paths = {}
      for i, item in ipairs(list) do paths[i] = item.path end
      local store = setmetatable({list = list, keep = keep, at = 0, chunks = {}}, Gather)
      local r, message = embed(net, paths, store, o, job, beat)
      if not r then return nil, message end
      return not r.stopped
   end
   function step.write(number, kept, reasons)
      local chunks, done = {}, {}
      for i, one in ipairs(kept) do
         table.move(one.chunks, 1, #one.chunks, #chunks + 1, chunks)
         done[i] = one.file
      end
      return partitioned_writer.write_part(step.path(number), chunks, job.kind, pieces.metadata(done, reasons))
   end
   function step.merge(paths)
      local list, failures = pieces.gather(frozen, paths, job.step)
      if not list then return nil, failures end
      local ok, message = partitioned_writer.merge(options.output, paths, list, parameters,
         {bclua_checkpoint = options.checkpoint}, job.kind)
      if not ok then return nil, message end
      return write_remarks(options.output, list, failures, job.step)
   end
   return step
end

-- The recordings for the manifest, and what was left out.
local function list_for_shards(options, step)
   local list, left_out, others = list_files(options.inputs)
   if not list then return nil, left_out end
   local items = {}
   for _, path in ipairs(list) do
      if utf8.len(path) then
         items[#items + 1] = {source_name = path, path = path}
      else
         left_out[#left_out + 1] = {path = path, reason = path .. ": a name that is not UTF-8"}
      end
   end
   if #items == 0 then return nil, left_out[1].reason end
   provenance.left_out(left_out, step, options.quiet)
   local about = sounds.about(others)
   if about then progress.note(step .. ": " .. about, options.quiet) end
   return items, left_out
end

local function run_shard(net, options, job)
   local o, parameters = settings_of(net, options, job)
   if not o then return nil, parameters end
   local settings = extend({inputs = table.concat(options.inputs, "\n")}, parameters)
   local frozen, message = pieces.open(options.output, nil, settings, function()
      return list_for_shards(options, job.step)
   end)
   if not frozen then return nil, message end
   return pieces.run(frozen, step_of(net, frozen, options, o, parameters, job), options)
end

--- Write the embeddings of all windows of some recordings.
--
-- Output: `file` (the path as given, or as found below a folder), `start_s`, `clock_time` and `site`
-- (where these are known), `end_s` (of the sound in the
-- window: less than a window's length where the recording ends in it), `embedding` (list of floats). A second
-- run adds what is not there or has changed; one that was killed goes on. Embeddings of a recording do not
-- depend on the others, nor on the number of threads.
-- @tparam table options `checkpoint`, or `encoder` (an ONNX file, see `bclua.encoder`), `inputs` (files and folders),
-- `output` (.parquet), `hop` (seconds from
-- window to window), `partial` (`pad`: the last window is filled up with silence, `drop`: left out), `channel` (see
-- `bclua.data.hearing`; default: that of the training), `precision`,
-- `batch` (windows at once), `deployments` (a CSV, see `bclua.data.deployments`: clock times and sites), `shard`
-- (`3/64`: only this part of the work, see `bclua.workflow.pieces`), or `claim` and `stale` as for
-- `bclua.workflow.extract`, `time_limit` (minutes, after which it stops and
-- keeps what is done), `force`, `quiet`
-- @tparam[opt] function job_of `job_of(net)` says what is written in place of embeddings, or nil and a message: `step`
-- (what messages call it), `kind` (see `predict.partitioned_writer`), `of`: function of embeddings and their windows,
-- f32 (n, samples), that returns the values (n, k); `parameters` beside those of `predict`
-- @tparam[opt] string output what the network gives: `embedding`, or `logits` (see `bclua.encoder`)
-- @treturn[1] table `done`, `skipped`, `windows` (of this run), `rows` (of the table), `seconds` (of sound),
-- `elapsed_s`, `failures`, `counts` (see `account.of`), `stopped` (time was up); with a shard as from `pieces.run`
-- @treturn[2] nil
-- @treturn[2] string message
function predict.run(options, job_of, output)
   options = check_options(options, predict.options)
   local ok, message = check(options)
   if not ok then return nil, message end
   local is_shared, list, left_out, others = pieces.is_shared(options, pieces.folder(options.output)), nil, nil, nil
   if not is_shared then
      list, left_out, others = list_files(options.inputs)
      if not list then return nil, left_out end
   end
   options.checkpoint = options.encoder or options.checkpoint
   local net, metadata = encoder.open(options.checkpoint, {precision = options.precision, output = output})
   if not net then return nil, metadata end
   options.channel = options.channel or metadata.channel
   local result, job = nil, EMBED
   if job_of then job, message = job_of(net) end
   if job and is_shared then
      result, message = run_shard(net, options, job)
   elseif job then
      result, message = predict.with_network(net, list, options, left_out, others, job)
   end
   net:close()
   return result, message
end

return predict
