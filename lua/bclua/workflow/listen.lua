--- Motifs and discords to listen to: all of a set as one track, or a file each.
-- @module bclua.workflow.listen
local account = require "bclua.workflow.account"
local display = require "bclua.display"
local rules = require "bclua.data.rules"
local array = require "bclua.array"
local files = require "bclua.files"
local labels = require "bclua.workflow.labels"
local options_of = require "bclua.options"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local system = require "bclua.system"

local listen = {}

local FADE_S = 0.01 -- at both ends, against clicks

local function fade(y, sample_rate)
   local n = math.min(#y // 2, math.floor(FADE_S * sample_rate))
   for i = 1, n do
      y[i], y[#y - i + 1] = y[i] * (i - 1) / n, y[#y - i + 1] * (i - 1) / n
   end
   return y
end

-- The windows of a recording, which is decoded once.
local function windows_of(item, root)
   local path, sounds, locs = root .. "/" .. item.source, {}, {}
   for i, mark in ipairs(item.marks) do locs[i] = mark.start_s + item.window_s / 2 end
   local length = math.floor(item.window_s * item.sample_rate + 0.5)
   local past, message = require("bclua.workflow.segments").read(path, locs, {seconds = item.window_s,
      sample_rate = item.sample_rate, channel = item.channel}, function(samples, windows)
      for _, w in ipairs(windows) do
         sounds[w.index] = fade(samples:slice(1, w.offset + 1, w.offset + length):copy(), item.sample_rate)
      end
      return true
   end)
   if not past then return nil, message end
   if #past > 0 then
      return nil, ("%s: a window at %.3f s is past its end (changed since `extract`?)"):format(path,
         item.marks[past[1]].start_s)
   end
   return sounds
end

--- The windows of one recording, on a worker.
-- @tparam table item from `labels.read`
-- @tparam table o `root`
-- @treturn[1] {array,...} f32, one for each mark, faded at the ends
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function listen.one(item, o) return windows_of(item, o.root) end

--- Write the windows of one recording as files, on a worker.
-- @tparam table item from `labels.read`
-- @tparam table o `root`, `output`, `format`
-- @treturn[1] integer files
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function listen.save(item, o)
   local sounds, message = windows_of(item, o.root)
   if not sounds then return nil, message end
   for i, mark in ipairs(item.marks) do
      local path = files.fit(o.output .. "/" .. item.folder,
         ("_%s_%.1f.%s"):format(labels.name(mark):gsub(" ", ""), mark.start_s, o.format))
      local ok
      ok, message = system.mkdir(files.dirname(path))
      if ok then ok, message = require("bclua.audio").save(path, sounds[i], item.sample_rate) end
      if not ok then return nil, message end
   end
   return #sounds
end

-- Recordings that have something to hear; all at one sample rate.
local function read(options)
   if not files.is_folder(options.dataset_root) then
      return nil, options.dataset_root .. ": no such folder (--dataset-root)"
   end
   local all, message = labels.read(options_of.subset(options, labels.marks))
   if not all then return nil, message end
   local list = {}
   for _, item in ipairs(all) do
      if #item.marks > 0 then list[#list + 1] = item end
      if item.sample_rate ~= all[1].sample_rate then
         return nil, options.input .. ": recordings were extracted with different parameters"
      end
   end
   if #list == 0 then return nil, options.input .. ": " .. require("bclua.workflow.consolidate").no_motif end
   return list
end

-- Append the windows of a recording to the track; adds to the labels.
local function append(writer, item, sounds, gap, lines)
   local rate = item.sample_rate
   for i, mark in ipairs(item.marks) do
      local name = mark.name or labels.name(mark)
      local ok, message = true, nil
      if #lines > 0 and #gap > 0 then ok, message = writer:write(gap) end
      local start_s = ok and writer:tell() / rate
      if ok then ok, message = writer:write(sounds[i]) end
      if not ok then return nil, message end
      lines[#lines + 1] = {start_s = start_s, end_s = writer:tell() / rate,
         text = ("%s %s %.1f s"):format(item.folder, name, mark.start_s)}
   end
   return true
end

-- What is wrong with the name of a sound file that is to be written.
local function wrong_sound_file(path)
   local extension = (path:match("%.(%w+)$") or ""):lower()
   if extension == "flac" or extension == "ogg" or extension == "wav" then return nil end
   return ("'%s' does not end in .flac, .ogg or .wav"):format(path)
end

-- The windows of a list as one sound file, with labels beside it.
local function write_track(list, options, step)
   local rate, failures, lines = list[1].sample_rate, {}, {}
   local writer, message = require("bclua.audio").create(options.output, rate)
   if not writer then return nil, message end
   local _ <close> = writer
   local gap = array.zeros(math.floor(options.gap * rate))
   local bar = progress.new(step, #list, {unit = "recordings", quiet = options.quiet})
   for i, sounds, why in require("bclua.parallel").map(list, "bclua.workflow.listen", "one",
      {root = options.dataset_root}) do
      if sounds then
         local ok
         ok, message = append(writer, list[i], sounds, gap, lines)
         if not ok then return nil, message end
      else
         failures[#failures + 1] = {path = options.dataset_root .. "/" .. list[i].source, step = step,
            reason = why}
      end
      bar:update(i)
   end
   if #lines == 0 then
      return nil, options.input .. ": " .. account.all_failed(#list, failures)
   end
   local seconds = writer:tell() / rate
   local text = options.output:gsub("%.%w+$", "") .. ".txt"
   local ok
   ok, message = system.write_file(text, labels.audacity(lines))
   if ok then ok, message = writer:commit() end
   if not ok then return nil, message end
   ok, message = provenance.write_failures(provenance.failures_of(options.output), failures)
   if not ok then return nil, message end
   bar:finish(("%s of %s, %s of sound, %d failed; labels in %s%s"):format(display.count(#lines, "window"),
      display.count(#list - #failures, "recording"), progress.duration(seconds), #failures, text,
      provenance.listed(failures, "failed", provenance.failures_of(options.output))))
   return {windows = #lines, seconds = seconds, failures = failures}
end

--- What `track` takes.
listen.track_options = options_of.extend(labels.marks, {
   dataset_root = rules.needed_root,
   output = {"string", needed = true, check = wrong_sound_file,
      text = "Sound file: .flac, .ogg or .wav; beside it, as .txt, an Audacity label track."},
   gap = {"number", default = 0.5, least = 0, most = 60, unit = "s", text = "Silence between windows."}})

--- All motifs, or discords, of a set as one sound file, in order of recordings and ranks, and
-- beside it, as `.txt`, a label track for Audacity that says which is which.
-- @tparam table options `input` (Parquet from `consolidate`), `dataset_root`, `output` (`.flac`, `.ogg` or
-- `.wav`), `kind`, `top`, `calls`, `scores`, `species` as for `labels.read`, `gap` (0.5 s of silence between
-- windows), `quiet`
-- @treturn[1] table `{windows=, seconds=, failures=}`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function listen.track(options)
   options = options_of.check(options, listen.track_options)
   local list, message = read(options)
   if not list then return nil, message end
   return write_track(list, options, "motif-track")
end

--- Examples of what was discovered as one sound file, call by call, those of the larger sets first.
-- @tparam {table,...} rows as from `discover.run`; a `call` that is text is the name of its label
-- @tparam table options `output` (as for `track`), `dataset_root`, `examples` (of a call, at most), `seconds` of a
-- window, `sample_rate`, `quiet`
-- @treturn as from `track`
function listen.examples(rows, options)
   local message = wrong_sound_file(options.output)
   if message then return nil, "--track: " .. message end
   local list, count = {}, {}
   for _, row in ipairs(rows) do
      local n = (count[row.call] or 0) + 1
      count[row.call] = n
      if n <= options.examples then
         if not list[1] or list[#list].source ~= row.source_name then
            list[#list + 1] = {source = row.source_name, folder = row.source_name, channel = row.channel,
               window_s = options.seconds, sample_rate = options.sample_rate, marks = {}}
         end
         table.insert(list[#list].marks, {start_s = row.start_s,
            name = math.type(row.call) and ("call %d"):format(row.call) or row.call})
      end
   end
   if #list == 0 then return nil, "--track: nothing was found" end
   return write_track(list, {output = options.output, dataset_root = options.dataset_root, input = options.output,
      gap = 0.3, quiet = options.quiet}, "discover")
end

--- What `top` takes.
listen.top_options = options_of.extend(listen.track_options, {gap = false,
   output = {"string", needed = true, arg = "DIR", text = "Folder: PATH_motif1a_START.FORMAT, ..._discord1_START."},
   format = {"choice", {"flac", "ogg", "wav"}, default = "flac", text = "flac, ogg or wav."}})

--- The top motifs and discords of each recording as short sound files:
-- `<output>/<path>_motif1a_<start>.<format>`.
-- @tparam table options `input`, `dataset_root`, `kind`, `top`, `calls`, `scores`, `species` as for `track`; `output`
-- (folder), `format` (`flac`, `ogg` or `wav`), `quiet`
-- @treturn[1] table `{files=, failures=}`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function listen.top(options)
   options = options_of.check(options, listen.top_options)
   local list, message = read(options)
   if not list then return nil, message end
   local ok
   ok, message = system.mkdir(options.output)
   if not ok then return nil, message end
   local bar = progress.new("extract-top-motif", #list, {unit = "recordings", quiet = options.quiet})
   local failures, written = {}, 0
   for i, n, why in require("bclua.parallel").map(list, "bclua.workflow.listen", "save",
      {root = options.dataset_root, output = options.output, format = options.format}) do
      if n then
         written = written + n
      else
         failures[#failures + 1] = {path = options.dataset_root .. "/" .. list[i].source, step = "extract-top-motif",
            reason = why}
      end
      bar:update(i)
   end
   ok, message = provenance.write_failures(options.output .. "/failures.csv", failures)
   if not ok then return nil, message end
   if written == 0 then
      return nil, options.input .. ": " .. account.all_failed(#list, failures)
   end
   bar:finish(("%s of %s, %d failed, in %s%s"):format(display.count(written, "file"),
      display.count(#list - #failures, "recording"), #failures, progress.duration(bar:elapsed()),
      provenance.listed(failures, "failed", options.output .. "/failures.csv")))
   return {files = written, failures = failures}
end

return listen
