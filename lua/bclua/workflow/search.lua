--- Which recordings contain this call? One window of a query against every
-- window of every recording: squared distances of features, as in the profiles.
-- @module bclua.workflow.search
local account = require "bclua.workflow.account"
local rules = require "bclua.data.rules"
local array = require "bclua.array"
local clock = require "bclua.clock"
local display = require "bclua.display"
local analysis = require "bclua.workflow.analysis"
local extracted = require "bclua.data.extracted"
local features_of = require "bclua.workflow.features"
local files = require "bclua.files"
local hearing = require "bclua.data.hearing"
local provenance = require "bclua.data.provenance"
local schemas = require "bclua.data.schemas"
local tables = require "bclua.data.tables"
local options_of = require "bclua.options"

local search = {}

--- The columns of the table of hits, in their order.
search.columns = {"rank", "source_name", "species", "start_s", "clock_time", "distance"}

local COLUMNS = {"source_name", "species", "cens_sample_rate", "matrix_profile_window", "sample_rate", "duration_cens",
   "folder?", "part_file?", "recorded_at?", "channel?"}

--- The places of one recording that are nearest to the query, on a worker state.
-- @tparam table item from `extracted.locate`, or `path` and `channel` of the recording without features
-- @tparam table o `query` (dimensions, window), `per_recording`, `cens_sample_rate`, `sample_rate`, `fmin`, `fmax`,
-- `features` (their name)
-- @treturn[1] {table,...} `{at=, distance=}` frames, nearest first, not overlapping;
-- none when the recording turns out to be shorter than the query
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function search.one(item, o)
   local stomp = require "bclua.stomp"
   local window = o.query:shape(2)
   local c, message
   if item.path then
      c, message = analysis.features(item.path, {cens_sample_rate = o.cens_sample_rate, sample_rate = o.sample_rate,
         channel = item.channel, fmin = o.fmin, fmax = o.fmax, features = o.features})
   else
      c, message = extracted.features(item)
   end
   if not c then return nil, message end
   if c:shape(2) < window then return {} end
   return stomp.matches(o.query, c, {k = o.per_recording, exclusion = window - 1})
end

-- The frames first..first+window-1 that the options choose out of the query's.
local function choose_window(path, r, p, options)
   local rate, frames, window = p.cens_sample_rate, r.cens:shape(2), p.matrix_profile_window
   if not options.start and not options.seconds then
      -- A file of just the window's length has a frame more: the last one is centred on its end.
      if r.duration_samples * rate <= window * p.sample_rate then return 0, math.min(frames, window) end
      if r.motif_0 then return r.motif_0, window end
      return nil, path .. ": has no motif to search for; give --start and --seconds"
   end
   local first = math.floor((options.start or 0) * rate + 0.5)
   if first >= frames then
      return nil, ("%s: --start %g is past its end at %.1f s"):format(path, options.start, r.duration_seconds)
   end
   if not options.seconds then return first, math.min(window, frames - first) end
   window = math.floor(options.seconds * rate + 0.5)
   if window < 1 then
      return nil, ("%s: --seconds %g is less than a frame (%g s)"):format(path, options.seconds, 1 / rate)
   end
   if first + window > frames then
      return nil, ("%s: the window of %g s from %g s on ends after the recording (%.1f s)"):format(path,
         options.seconds, options.start or 0, r.duration_seconds)
   end
   return first, window
end

local QUERY = {
   start = {"number", least = 0, most = 1e6, unit = "s", text = "Search for the window that starts here (default: " ..
      "all of a short file, else its best motif)."},
   seconds = {"number", least = 0.001, most = 3600, unit = "s",
      text = "Length of the window (default: the matrix profile's window)."}}

--- The query: features of the file, then one window of it. All of a file that is no
-- longer than the matrix profile's window, else its best motif window, unless
-- `start` or `seconds` (matrix profile's window, or up to the end) are given.
-- @tparam string path
-- @tparam table p parameters of the corpus, as for `analysis.analyse`
-- @tparam[opt] table options `start`, `seconds`
-- @treturn[1] table `{cens=, first=, window=, start_s=, seconds=}`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function search.query(path, p, options)
   options = options_of.check(options, QUERY)
   local r, message = analysis.analyse(path, p)
   if not r then return nil, message end
   local first, window = choose_window(path, r, p, options)
   if not first then return nil, window end
   local rate = p.cens_sample_rate
   local c = r.cens:slice(2, first + 1, first + window):copy()
   if c:max() == 0 then
      return nil, ("%s: silent in the %g s from %g s on"):format(path, window / rate, first / rate)
   end
   return {cens = c, first = first, window = window, start_s = first / rate, seconds = window / rate}
end

--- The rows of a table from `consolidate` and the parameters that all of them share.
-- @tparam string path
-- @treturn[1] {table,...} `source_name`, `species`, `duration_cens`, `folder`, `recorded_at`, `dims`, by source name
-- @treturn[1] table `cens_sample_rate`, `matrix_profile_window`, `sample_rate`, `exclusion`, `channel`, `fmin`, `fmax`,
-- `features`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function search.read_corpus(path)
   local sql = require "bclua.sql"
   local relation, message = tables.open(path, schemas.motif, COLUMNS)
   if not relation then return nil, message end
   local rows
   rows, message = sql.query(("select source_name, species, duration_cens, folder, part_file, recorded_at, channel " ..
      "from %s order by source_name"):format(relation))
   if not rows then return nil, message end
   if #rows == 0 then return nil, path .. ": no recordings" end
   local made
   made, message = sql.query(("select distinct cens_sample_rate, matrix_profile_window, sample_rate " ..
      "from %s"):format(relation))
   if not made then return nil, message end
   if #made > 1 then return nil, path .. ": recordings were extracted with different parameters" end
   local parameters = provenance.of_parquet(path) or {}
   local heard, wrong = hearing.of(parameters)
   if not heard then return nil, ("%s: metadata: %s"):format(path, wrong) end
   local dims = features_of.dims{features = parameters.features, sample_rate = made[1].sample_rate, fmin = heard.fmin,
      fmax = heard.fmax}
   for _, row in ipairs(rows) do row.dims = dims end
   return rows, {cens_sample_rate = made[1].cens_sample_rate, matrix_profile_window = made[1].matrix_profile_window,
      sample_rate = made[1].sample_rate, exclusion = math.tointeger(parameters.exclusion), channel = heard.channel,
      fmin = heard.fmin, fmax = heard.fmax, features = parameters.features}
end

--- The folder of the features; false: they are to be computed (`dataset_root`).
-- @tparam table options `input`, `features`, `dataset_root`
-- @tparam {table,...} rows
-- @treturn[1] string|boolean
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function search.find_features(options, rows)
   if options.features then
      if files.is_folder(options.features) then return options.features end
      return nil, options.features .. ": no such folder (--features)"
   end
   local folder, message = require("bclua.workflow.consolidate").source(options.input)
   if folder and not rows[1].folder then folder, message = nil, options.input .. ": no column 'folder'" end
   if folder and files.is_folder(folder) then return folder end
   if options.dataset_root then return false end
   message = message or folder .. ": no such folder, and that is where its features were"
   return nil, message .. "; run `motif consolidate` again, or give --features or --dataset-root"
end

--- What a worker gets for a row: kept features, or the recording where there are none.
function search.locate(row, features, root)
   local item = extracted.locate(features or "", row)
   if root and not (features and extracted.has_features(item)) then item.path = root .. "/" .. row.source_name end
   return item
end

-- Is the query this recording? Its path ends in the source name.
local function is_query(path, source_name)
   if path:sub(1, 1) ~= "/" then path = require("lfs").currentdir() .. "/" .. path:gsub("^%./", "") end
   return path:sub(-#source_name - 1) == "/" .. source_name
end

--- May this output be written, and where others made it, with these parameters?
-- @tparam table options `output` (nil: none), `force`
-- @tparam table parameters
function search.check_output(options, parameters)
   local path = options.output
   if not path then return true end
   local kind = path:lower():match("%.(%w+)$")
   if kind ~= "parquet" and kind ~= "csv" then return nil, path .. ": must end in .parquet or .csv (--output)" end
   if kind == "csv" then return true end
   return provenance.check(path, provenance.of_parquet(path), parameters, options.force)
end

--- Write hits as .parquet or .csv.
-- @tparam ?string path nothing to do without
-- @tparam {table,...} hits
-- @tparam {string,...} order the columns
-- @tparam table parameters for the metadata
function search.write(path, hits, order, parameters)
   local sql = require "bclua.sql"
   if not path then return true end
   local columns, types = {}, {rank = "bigint"}
   for _, name in ipairs(order) do
      local column = {n = #hits}
      for i, hit in ipairs(hits) do column[i] = hit[name] end
      local is_number = name == "distance" or name:find("start_s$")
      columns[name] = is_number and array.from(column, "f64") or column
      if not is_number and name ~= "rank" then types[name] = "varchar" end
   end
   if path:lower():find("%.csv$") then return sql.write_csv(path, columns, {order = order, guard = true}) end
   return sql.write_parquet(path, columns, {order = order, metadata = provenance.for_parquet(parameters),
      types = types})
end

local function rank(hits, top)
   table.sort(hits, function(a, b)
      if a.distance ~= b.distance then return a.distance < b.distance end
      if a.source_name ~= b.source_name then return a.source_name < b.source_name end
      return a.start_s < b.start_s
   end)
   for i = top + 1, #hits do hits[i] = nil end
   for i, hit in ipairs(hits) do hit.rank = i end
   return hits
end

-- All recordings that can contain the query but its own.
local function choose(rows, query, features, options, r)
   local items, chosen = {}, {}
   for _, row in ipairs(rows) do
      if not options.with_query and is_query(options.query, row.source_name) then
         r.left_out = r.left_out + 1
      elseif row.duration_cens < query.window then
         r.short = r.short + 1
      else
         chosen[#chosen + 1] = row
         items[#items + 1] = search.locate(row, features, options.dataset_root)
      end
   end
   return items, chosen
end

local function compare(rows, query, p, features, options)
   local parallel, progress = require "bclua.parallel", require "bclua.progress"
   local r = {hits = {}, failures = {}, searched = 0, short = 0, left_out = 0}
   local items, chosen = choose(rows, query, features, options, r)
   local o = {query = query.cens, per_recording = options.per_recording or 1,
      cens_sample_rate = p.cens_sample_rate, sample_rate = p.sample_rate, fmin = p.fmin, fmax = p.fmax,
      features = p.features}
   local bar = progress.new("search", #items, {unit = "recordings", quiet = options.quiet})
   for i, found, why in parallel.map(items, "bclua.workflow.search", "one", o) do
      if not found then
         r.failures[#r.failures + 1] = {path = items[i].path or items[i].name, step = "search", reason = why}
      else
         r.searched = r.searched + 1
         for _, hit in ipairs(found) do
            r.hits[#r.hits + 1] = {source_name = chosen[i].source_name, species = chosen[i].species,
               start_s = hit.at / p.cens_sample_rate, distance = hit.distance,
               clock_time = clock.at(chosen[i].recorded_at, hit.at / p.cens_sample_rate)}
         end
      end
      bar:update(i)
   end
   bar:finish(("%s%s, %d shorter than the query, %d failed, in %s"):format(display.count(r.searched,
      "recording"), r.left_out > 0 and " (without the query itself)" or "", r.short, #r.failures,
      progress.duration(bar:elapsed())))
   return r
end

--- What `run` takes.
search.options = options_of.extend(QUERY, {
   query = {"string", needed = true, argument = "query",
      text = "Sound file; if it is one of the recordings, that one is left out."},
   input = rules.motif,
   channel = options_of.extend(hearing.given.channel, {text = "Channel of the query: mix, left, right, best or a " ..
      "number (default: as --input was made)."}),
   top = {"integer", default = 20, least = 1, most = 1000000, arg = "K", text = "Number of hits."},
   per_recording = {"integer", default = 1, least = 1, most = 1000000,
      text = "Hits per recording (--all: per two recordings), at most."},
   features = {"string", arg = "DIR", text = "Folder that `extract` wrote (default: the one that was consolidated)."},
   dataset_root = options_of.extend(rules.dataset_root, {text = rules.dataset_root.text .. " Computes features that " ..
      "were not kept."}),
   with_query = {"boolean", default = false, text = "Do not leave out the recording that is the query."},
   output = {"string", text = "The hits as a .parquet or .csv file, too."},
   force = "boolean", quiet = "boolean"})

--- Search a corpus.
-- @tparam table options `query` (sound file), `input` (Parquet from `consolidate`); `start`,
-- `seconds` (which window, see `query`), `channel` (of the query; default: as the table was made), `top` (20),
-- `per_recording` (1: hits of one
-- recording at most, not overlapping), `features` (the folder that `extract` wrote;
-- default: the one that was consolidated), `dataset_root` (where source names begin, to
-- compute features that were not kept), `with_query` (do not leave out the recording
-- that is the query), `output` (.parquet or .csv), `force`, `quiet`
-- @treturn[1] table `{hits={{rank=,source_name=,species=,start_s=,clock_time=,distance=},...}, query=,
-- searched=, short=, left_out=, failures=}`
-- @treturn[2] nil
-- @treturn[2] string message
function search.run(options)
   options = options_of.check(options, search.options)
   local rows, p = search.read_corpus(options.input)
   if not rows then return nil, p end
   if options.channel then p.channel = hearing.changed(options).channel end
   if options.dataset_root and not files.is_folder(options.dataset_root) then
      return nil, options.dataset_root .. ": no such folder (--dataset-root)"
   end
   local features, message = search.find_features(options, rows)
   if features == nil then return nil, message end
   local query
   query, message = search.query(options.query, p, options_of.subset(options, QUERY))
   if not query then return nil, message end
   local parameters = {query = options.query, start_s = query.start_s, seconds = query.seconds, top = options.top,
      per_recording = options.per_recording, with_query = options.with_query, channel = options.channel or nil}
   local ok
   ok, message = search.check_output(options, parameters)
   if not ok then return nil, message end

   local r = compare(rows, query, p, features, options)
   if r.searched == 0 then
      if r.short > 0 and #r.failures == 0 then
         return nil, ("%s: no recording is as long as the query"):format(options.input)
      end
      if #r.failures == 0 then return nil, options.input .. ": has no recording but the query" end
      return nil, options.input .. ": " .. account.all_failed(#r.failures, r.failures)
   end
   r.hits, r.query = rank(r.hits, options.top), query
   ok, message = search.write(options.output, r.hits, search.columns, parameters)
   if not ok then return nil, message end
   return r
end

local FORMS = {rank = "%d", distance = "%.4f"}

--- Hits as a table on the screen; columns of clock times are there if any hit has one.
-- @tparam {table,...} hits
-- @tparam {string,...} columns
-- @treturn string
function search.lines(hits, columns)
   local shown, right, rows = {}, {}, {{}}
   for _, name in ipairs(columns) do
      local is_known = not name:find("clock_time$")
      for _, h in ipairs(hits) do is_known = is_known or h[name] ~= nil end
      if is_known then shown[#shown + 1] = name end
   end
   for i, name in ipairs(shown) do
      rows[1][i] = name
      local form = FORMS[name] or name:find("start_s$") and "%.1f"
      right[i] = form and true or nil
      for k, h in ipairs(hits) do
         rows[k + 1] = rows[k + 1] or {}
         rows[k + 1][i] = form and form:format(h[name]) or h[name] or ""
      end
   end
   return table.concat(display.lines(rows, right, require("bclua.progress").columns()), "\n")
end

--- The hits as text: which window was searched for, then a line a hit.
-- @tparam table r from `run`
-- @tparam string path of the query
-- @treturn string
function search.text(r, path)
   return ("%s, %.1f s to %.1f s\n%s\n"):format(display.line(path), r.query.start_s, r.query.start_s + r.query.seconds,
      search.lines(r.hits, search.columns))
end

return search
