--- A run to look through and listen to: recordings, their motifs, nearest windows, and
-- what one thinks of the motifs. The pages are in `bclua.workflow.browse.pages`, who may see
-- them in `bclua.workflow.browse.server`.
-- @module bclua.workflow.browse
local verdicts = require "bclua.workflow.verdicts"
local array = require "bclua.array"
local clock = require "bclua.clock"
local display = require "bclua.display"
local extracted = require "bclua.data.extracted"
local files = require "bclua.files"
local labelled = require "bclua.workflow.labelled"
local lock = require "bclua.lock"
local provenance = require "bclua.data.provenance"
local schemas = require "bclua.data.schemas"
local tables = require "bclua.data.tables"
local check_options = require("bclua.options").check

local browse = {}

local MOTIFS, OTHERS = 5, 8
local PATIENCE_S = 2 -- with another program that writes a verdict
local MOST_PROFILES, MOST_PICTURES, MOST_NEAREST = 16, 64, 256 -- kept in memory

-- What was made last, at most so many.
local function cache(most)
   local values, order = {}, {}
   return function(key, make, ...)
      if values[key] ~= nil then return values[key] end
      local value, message = make(...)
      if value == nil then return nil, message end
      if #order == most then values[table.remove(order, 1)] = nil end
      values[key], order[#order + 1] = value, key
      return value
   end
end

local Browser = {}
Browser.__index = Browser

local COLUMNS = {"source_name", "species", "cens_sample_rate", "matrix_profile_window", "sample_rate",
   "duration_seconds", "duration_cens", "motif_0", "discord_0", "folder?", "part_file?", "recorded_at?",
   "site?", "channel?"}

-- A source name comes out of a file that others may have made: it must stay below the data folder.
-- The folder in which the source names begin.
local function find_root(options)
   if options.dataset_root then
      if files.is_folder(options.dataset_root) then return options.dataset_root end
      return nil, options.dataset_root .. ": no such folder (--dataset-root)"
   end
   local path = options.run .. "/config.json"
   local config, message = tables.read_json(path, {data = schemas.config.data})
   if not config then return nil, message .. " (or give --dataset-root)" end
   local layout
   layout, message = require("bclua.data.recordings").layout(config.data)
   if not layout then return nil, message .. " (the run's data; say where it is with --dataset-root)" end
   return layout.root
end

-- The labels of each recording go into its row; what is to be said of them all.
local function add_labels(rows, path)
   local names, recordings = {}, 0
   for i, row in ipairs(rows) do names[i] = row.source_name end
   local of, about = labelled.read(path, names)
   if not of then return nil, about end
   for _, row in ipairs(rows) do
      row.labels = of[row.source_name]
      recordings = recordings + (row.labels and 1 or 0)
   end
   return {("%s: %s of %s"):format(path, display.count(about.labels, "label"), display.count(recordings, "recording")),
      labelled.others(path, about)}
end

--- What `open` takes.
browse.options = {
   run = {"string", needed = true, argument = "run", text = "Folder that `pipeline` wrote, or another that has a " ..
      "motif.parquet from `motif consolidate`."},
   dataset_root = {"string", arg = "DIR",
      text = "Folder in which the source names begin (default: what the run's config.json says)."},
   labels = {"string", text = "What `import-labels` wrote: labels are marks on the pictures, and a list to listen " ..
      "to; of windows they are what is known of them."},
   embeddings = {"string", arg = "FILE.parquet", text = "Table from `embed predict`: its windows can be named, in " ..
      "verdicts.csv of the run (default: embeddings.parquet of the run, if there is one)."},
   clusters = {"string", arg = "FILE.parquet", text = "Clusters of these windows, from `embed cluster` (default: " ..
      "clusters.parquet of the run, if there is one)."},
   log_mel = {"boolean", text = "Learn classes also by statistics of log-mel bands, where cross-validation prefers " ..
      "these: all windows are read once, FILE.parquet.log_mel.npy keeps what comes of it."},
   review = {"string", arg = "FILE.csv", text = "In place of embeddings, review.csv of `classify predict --review`: " ..
      "its windows are judged (default: review.csv of the run, if it has no embeddings)."},
}

-- The recordings of the run, what was thought of their motifs, and their labels.
local function add_recordings(b, options)
   local input = options.run .. "/motif.parquet"
   local relation, message = tables.open(input, schemas.motif, {"mp", "pi", table.unpack(COLUMNS)})
   if not relation then return nil, message end
   b.input, b.relation = input, relation
   b.root, message = find_root(options)
   if not b.root then return nil, message end
   b.recordings, message = require("bclua.sql").query("select * exclude (mp, pi) from " .. relation ..
      " order by species, site, source_name")
   if not b.recordings then return nil, message end
   b.exclusion = math.tointeger((provenance.of_parquet(input) or {}).exclusion)
   for id, row in ipairs(b.recordings) do
      row.id, row.heading = id, row.species or row.site or "recordings"
      row.name = row.source_name:match(row.species and "[^/]*$" or "^[^/]*/(.+)$") or row.source_name
   end
   b.verdicts, message = verdicts.read(b.verdict_path)
   if not b.verdicts then return nil, message end
   if options.labels then b.notes, message = add_labels(b.recordings, options.labels) end
   if not b.notes then return nil, message end
   b.features = require("bclua.workflow.search").find_features({input = input}, b.recordings) or nil
   return true
end

-- The windows of the run's table of embeddings, or of one to be reviewed; false: it has none.
local function open_windows(options)
   local function default(name)
      local path = options.run .. "/" .. name
      return files.exists(path) and path or nil
   end
   local embeddings = options.embeddings or not options.review and default "embeddings.parquet"
   local judged = require "bclua.workflow.browse.judged"
   local review = options.review or not embeddings and default(judged.file)
   if options.review and options.embeddings then
      return nil, "either windows of embeddings or of a review (--embeddings, --review)"
   end
   if review and not options.clusters then return judged.open(review) end
   if not embeddings then
      if options.clusters then return nil, options.clusters .. ": clusters of which windows? (--embeddings)" end
      return false
   end
   return require("bclua.workflow.browse.windows").open{embeddings = embeddings, labels = options.labels,
      clusters = options.clusters or default "clusters.parquet", log_mel = options.log_mel,
      verdicts = options.run .. "/" .. require("bclua.workflow.classify.answers").file}
end

--- Open a run.
-- @tparam table options `run` (folder of `pipeline`, or one that has a motif.parquet),
-- `dataset_root` (folder that holds the source names; default: what config.json of the run says), `labels` (from
-- `import-labels`: marks of the recordings), `embeddings` (windows to be named; a run that has them needs no
-- motif.parquet), `clusters`, `log_mel`, `review` (a review.csv, in place of
-- embeddings)
-- @treturn[1] browser `notes`: what is to be said of the labels; `windows`, see `bclua.workflow.browse.windows`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function browse.open(options)
   options = check_options(options, browse.options)
   if not files.is_folder(options.run) then return nil, options.run .. ": no such folder" end
   local b = setmetatable({run = options.run, name = files.basename(options.run), recordings = {}, notes = {},
      verdict_path = options.run .. "/" .. verdicts.file, verdicts = {}, profiles = cache(MOST_PROFILES),
      pictures = cache(MOST_PICTURES), searches = cache(MOST_NEAREST)}, Browser)
   local w, message = open_windows(options)
   if w == nil then return nil, message end
   b.windows = w or nil
   local ok = true
   if not w or files.exists(options.run .. "/motif.parquet") then ok, message = add_recordings(b, options) end
   return ok and b, message
end

--- The recording of a number, or nil.
function Browser:recording(id) return self.recordings[id] end

--- The number of the recording that a table of embeddings has as a file, or nil.
function Browser:recording_of(file)
   if not self.matcher then
      local names = {}
      for id, row in ipairs(self.recordings) do names[id] = row.source_name end
      self.matcher = require("bclua.data.annotation_match").new(names)
   end
   return (self.matcher:find(file))
end

--- Its profile, as arrays; nil where it is shorter than the window.
function Browser:profile(row)
   if not row.motif_0 then return nil, row.source_name .. ": shorter than the window" end
   return self.profiles(row.id, function()
      local sql = require "bclua.sql"
      local found, message = sql.query(("select mp, pi from %s where source_name = %s"):format(self.relation,
         sql.quote(row.source_name)))
      if not found then return nil, message end
      local mp, pi = found[1] and found[1].mp, found[1] and found[1].pi
      if not mp or not pi or #mp == 0 or #mp ~= #pi then return nil, self.input .. ": changed" end
      if not array.is_array(mp) then mp = array.from(mp, "f64") end
      if not array.is_array(pi) then pi = array.from(pi, "i64") end
      local p = {distance = mp:copy("f64"), index = pi:copy("i64")}
      p.motifs = require("bclua.stomp").motifs(p, MOTIFS, {exclusion = self.exclusion or
         (row.matrix_profile_window + 1) // 2})
      return p
   end)
end

local function same_motif(verdict, row, at, twin)
   local rate = row.cens_sample_rate
   return verdict.source_name == row.source_name and math.abs(verdict.start_s * rate - at) < 0.5
      and math.abs(verdict.twin_start_s * rate - twin) < 0.5
end

--- The best motifs of a recording.
-- @tparam table row of `recordings`
-- @treturn {table,...} `{rank=, at=, twin=, distance=, verdict=}` in frames; none where it is too short
function Browser:best_motifs(row)
   local p, list = self:profile(row), {}
   for rank, m in ipairs(p and p.motifs or list) do
      list[rank] = {rank = rank, at = m.at, twin = m.twin, distance = m.distance}
      for _, v in ipairs(self.verdicts) do
         if same_motif(v, row, m.at, m.twin) then list[rank].verdict = v.verdict end
      end
   end
   return list
end

--- Say what one thinks of a motif; it is in the file when this returns.
-- @tparam table row
-- @tparam integer at frame of the motif, `twin` that of its other window
-- @tparam integer twin
-- @tparam ?string verdict `accepted` or `rejected`; nil takes it back
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
function Browser:judge(row, at, twin, verdict)
   local motif
   for _, m in ipairs(self:best_motifs(row)) do
      if m.at == at and m.twin == twin then motif = m end
   end
   if not motif then return nil, "no such motif" end
   local locked <close>, busy = lock.take(self.verdict_path, PATIENCE_S)
   if not locked then return nil, busy end
   local rate, rows = row.cens_sample_rate, {}
   local now, why = verdicts.read(self.verdict_path) -- another program may have written it
   if not now then return nil, why end
   for _, v in ipairs(now) do
      if not same_motif(v, row, at, twin) then rows[#rows + 1] = v end
   end
   if verdict then
      rows[#rows + 1] = {source_name = row.source_name, species = row.species, start_s = at / rate,
         clock_time = clock.at(row.recorded_at, at / rate), twin_start_s = twin / rate,
         seconds = row.matrix_profile_window / rate, distance = motif.distance,
         verdict = verdict}
   end
   local ok, message = verdicts.write(self.verdict_path, rows)
   if not ok then return nil, message end
   self.verdicts = rows
   return true
end

--- How many motifs of each recording are accepted and rejected, by source name.
function Browser:counts()
   local counts = {}
   for _, v in ipairs(self.verdicts) do
      local c = counts[v.source_name] or {accepted = 0, rejected = 0}
      c[v.verdict] = c[v.verdict] + 1
      counts[v.source_name] = c
   end
   return counts
end

local function path_of(self, row)
   if not files.is_inside(row.source_name) then return nil, "a source name that leaves the data folder" end
   return self.root .. "/" .. row.source_name
end

--- A window, or a piece, as the bytes of a WAV file.
-- @tparam table row
-- @tparam integer frame
-- @tparam[opt] number seconds of the piece (default: the window's)
-- @treturn[2] nil, message
function Browser:sound(row, frame, seconds)
   local path, message = path_of(self, row)
   if not path then return nil, message end
   local audio = require "bclua.audio"
   local y
   y, message = audio.load(path, {sample_rate = row.sample_rate, channel = row.channel,
      start_s = frame / row.cens_sample_rate,
      seconds = math.min(row.duration_seconds, seconds or row.matrix_profile_window / row.cens_sample_rate)})
   if not y then return nil, message end
   if #y > 0 and y:max() == y:min() then
      return nil, path .. ": " .. require("bclua.workflow.silence").about(path, 1, 1, row.channel)
   end
   return audio.encode(y, row.sample_rate, {format = "wav"})
end

-- The part of a profile that frames `from` to `to` are of, with the windows that are marked in it.
local function part_of(row, p, from, to)
   local best = p.motifs[1]
   local function inside(frame) return frame and frame >= from and frame < to and frame - from or nil end
   local at, twin = inside(best and best.at), inside(best and best.twin)
   local last = math.min(to, #p.distance)
   return from < last and p.distance:slice(1, from + 1, last) or array.zeros({0}, "f64"), {at or twin, at and twin},
      inside(row.discord_0)
end

-- The sound of frames `from` to `to`; the whole recording as a reader, so that it may be long.
local function samples_of(row, path, from, to)
   local o, rate = {sample_rate = row.sample_rate, channel = row.channel}, row.cens_sample_rate
   local audio = require "bclua.audio"
   if not from then return audio.open(path, o) end
   o.start_s, o.seconds = from / rate, (to - from) / rate
   return audio.load(path, o)
end

--- Spectrogram and profile; the spectrogram alone of a recording that is shorter than the window.
-- @tparam table row
-- @tparam[opt] integer from frame (default: the whole recording)
-- @tparam[opt] integer to the frame behind the last
-- @treturn[1] table `bytes` of a PNG file; where the spectrogram lies, shares from its left and lower edge: `left`,
-- `right`, `top`, `bottom`
-- @treturn[2] nil
-- @treturn[2] string message
function Browser:picture(row, from, to)
   return self.pictures(("%d %s %s"):format(row.id, from, to), function()
      local plot = require "bclua.plot"
      local sound, message = path_of(self, row)
      if not sound then return nil, message end
      local samples, why = samples_of(row, sound, from, to)
      if not samples then return nil, why end
      local reader <close> = not from and samples or nil -- luacheck: ignore
      local p = self:profile(row)
      local scratch <close> = files.scratch()
      scratch[1] = os.tmpname()
      local path = scratch[1] .. ".png"
      scratch[2] = path
      local ok, place
      local o = {start_s = (from or 0) / row.cens_sample_rate, transparent = true}
      if p then
         local distance
         distance, o.motif, o.discord = part_of(row, p, from or 0, to or math.maxinteger)
         o.cens_sample_rate, o.window = row.cens_sample_rate, row.matrix_profile_window
         o.discord = o.discord or false
         ok, place = plot.profile(samples, row.sample_rate, distance, path, o)
      else
         o.size = {1000, 320}
         ok, place = plot.spectrogram(samples, row.sample_rate, path, o)
      end
      local bytes
      if ok then bytes, message = files.read(path) else message = place end
      if not bytes then return nil, message end
      return {bytes = bytes, left = place.left, right = place.right, top = place.top, bottom = place.bottom}
   end)
end

--- The window of the same recording that is nearest to a window.
-- @tparam table row
-- @tparam integer frame
-- @treturn[1] table `{at=, distance=}`
-- @treturn[2] nil
-- @treturn[2] string message
function Browser:twin(row, frame)
   local p, message = self:profile(row)
   if not p then return nil, message end
   if frame < 0 or frame >= #p.distance then return nil, "no such window" end
   local at, distance = p.index[frame + 1], p.distance[frame + 1]
   if at < 0 or distance ~= distance or distance == math.huge then return nil, "no window is near it" end
   return {at = at, distance = distance}
end

--- The nearest windows of other recordings, one each.
-- @treturn[1] {table,...} `{row=, at=, distance=}`, nearest first
-- @treturn[2] nil
-- @treturn[2] string message
function Browser:others(row, frame)
   return self.searches(row.id .. ":" .. frame, function() return self:search(row, frame) end)
end

-- Are its features in their folder, whatever the table says?
local function is_inside(row) return files.is_inside(row.folder or "") and files.is_inside(row.part_file or "") end

--- The window's features against those of all other recordings.
function Browser:search(row, frame)
   if not self.features then return nil, "the features of `motif extract` are not there" end
   local window = row.matrix_profile_window
   if not is_inside(row) then return nil, "a folder that leaves that of the features" end
   local c, message = extracted.features(extracted.locate(self.features, row))
   if not c then return nil, message end
   if frame < 0 or frame + window > c:shape(2) then return nil, "no such window" end
   local query = c:slice(2, frame + 1, frame + window):copy()
   local items, rows = {}, {}
   for _, other in ipairs(self.recordings) do
      if other.id ~= row.id and other.duration_cens >= window and is_inside(other) then
         rows[#rows + 1] = other
         items[#items + 1] = extracted.locate(self.features, other)
      end
   end
   local hits = {}
   for i, found in require("bclua.parallel").map(items, "bclua.workflow.search", "one", {query = query,
      per_recording = 1, cens_sample_rate = row.cens_sample_rate, sample_rate = row.sample_rate}) do
      for _, hit in ipairs(found or {}) do
         hits[#hits + 1] = {row = rows[i], at = hit.at, distance = hit.distance}
      end
   end
   table.sort(hits, function(a, b)
      if a.distance ~= b.distance then return a.distance < b.distance end
      return a.row.id < b.row.id
   end)
   for i = OTHERS + 1, #hits do hits[i] = nil end
   return hits
end

--- The accepted motifs as labels: `csv` or `raven`, see `bclua.workflow.labels`.
-- @treturn[2] nil, message
function Browser:labels(format)
   local labels = require "bclua.workflow.labels"
   local list, message = {}, nil
   if files.exists(self.verdict_path) then
      list, message = verdicts.marks({accepted = self.verdict_path, input = self.input})
   end
   if not list then return nil, message end
   local heard
   heard, message = require("bclua.data.hearing").of_parquet(self.input)
   if not heard then return nil, message end
   labels.set_full_bands(list, heard)
   return format == "raven" and labels.raven(list) or labels.csv(list)
end

return browse
