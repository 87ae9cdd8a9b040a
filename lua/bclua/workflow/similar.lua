--- Search by example: the windows of a table of embeddings that sound most like a call.
--
-- The embedding proposes; with `verify` CENS and SiMPle decide: of what is proposed that is nearest in which the same
-- pitches follow each other.
-- @module bclua.workflow.similar
local analysis = require "bclua.workflow.analysis"
local array = require "bclua.array"
local best_channel = require "bclua.workflow.best_channel"
local display = require "bclua.display"
local encoder = require "bclua.encoder"
local files = require "bclua.files"
local hearing = require "bclua.data.hearing"
local index = require "bclua.index"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local search = require "bclua.workflow.search"
local segments = require "bclua.workflow.segments"
local silence = require "bclua.workflow.silence"
local sql = require "bclua.sql"
local system = require "bclua.system"
local windows = require "bclua.workflow.predict.windows"
local check_options = require("bclua.options").check

local similar = {}

local RATE = 10 -- CENS frames a second
local BATCH = 16

--- The columns of the table of hits.
similar.columns = {"rank", "file", "start_s", "end_s", "clock_time", "site", "distance", "profile_distance",
   "profile_start_s", "query_start_s"}

local TYPES = {rank = "bigint", file = "varchar", start_s = "double", end_s = "double", clock_time = "varchar",
   site = "varchar", distance = "double", profile_distance = "double", profile_start_s = "double",
   query_start_s = "double"}

--- What `run` takes.
similar.options = {
   query = {"string", needed = true, argument = "query",
      text = "Sound file, all of whose windows are looked for, or FILE@SECONDS: the window that starts there."},
   embeddings = {"string", needed = true, arg = "FILE.parquet", text = "Table from `embed predict`."},
   checkpoint = {"string", arg = "FILE", text = "The network that made the table (default: where it was then)."},
   top = {"integer", default = 50, least = 1, most = 100000, arg = "N", text = "Windows to find; none overlap."},
   metric = {"choice", {"cosine", "euclidean"}, default = "cosine", arg = "KIND",
      text = "How far windows are apart: by the angle between embeddings, or by their distance."},
   whiten = {"boolean", text = "Compare embeddings whitened within recordings: what differs between windows of one " ..
      "recording weighs less. For recordings that are mostly of one species each."},
   verify = {"boolean", text = "Order what the embedding proposes by the distance of CENS (SiMPle)."},
   candidates = {"integer", default = 200, least = 1, most = 100000, arg = "N",
      text = "Windows that the embedding proposes, of which --verify takes the best (at least --top)."},
   channel = hearing.given.channel,
   with_query = {"boolean", text = "Do not leave out windows that share sound with the query."},
   output = {"string", arg = "FILE", text = "Also write the windows, as .parquet or .csv."},
   force = {"boolean", text = "Replace an output of another search."}, quiet = "boolean"}

-- ---- The query ----

-- A path, and the second where FILE@SECONDS names one.
local function parse(query)
   local path, seconds = query:match("^(.+)@(%d+%.?%d*)$")
   if not path or files.exists(query) then path, seconds = query, nil end
   if not files.is_file(path) then return nil, path .. ": no such file" end
   return path, tonumber(seconds)
end

-- The window that starts at a second; and where it starts.
local function window_at(path, seconds, o)
   local channel, message = best_channel.choose(path, o.channel, o.sample_rate)
   if channel == nil then return nil, message end
   local rows, past = segments.rows(path, {seconds + o.window_s / 2}, {seconds = o.window_s,
      sample_rate = o.sample_rate, channel = channel or nil})
   if not rows then return nil, past end
   local info = require("bclua.audio").info(path)
   if #past > 0 or info and info.seconds and seconds >= info.seconds then
      return nil, ("%s: %g s is past its end"):format(path, seconds)
   end
   return rows, {seconds}
end

-- All windows of a file, as `predict` cuts them.
local function windows_of(path, o)
   local list, starts = {}, {}
   for block in windows.blocks({path}, o, 1) do
      if block.message then return nil, block.message end
      for i = 1, block.count do
         list[#list + 1] = block.windows[i]
         starts[#starts + 1] = (windows.times(block.first + i - 1, math.huge, o))
      end
   end
   return array.concat(list):reshape{#starts, o.length}, starts
end

-- Those in which there is sound.
local function with_sound(rows, starts, path, sample_rate)
   local kept, heard = {}, {}
   for i, s in ipairs(starts) do
      if not silence.covers(rows[i], sample_rate) then kept[#kept + 1], heard[#heard + 1] = rows[i], s end
   end
   if #kept == 0 then return nil, path .. ": silent where it is to be looked for" end
   return array.concat(kept):reshape{#kept, rows:shape(2)}, heard
end

-- The network of the table; an error where it is another one.
local function open_network(options, made)
   local path = options.checkpoint or made.checkpoint
   if not path or not files.is_file(path) then
      return nil, ("%s: its network, %s, is not there; give --checkpoint"):format(options.embeddings, path or "unnamed")
   end
   local net, message = encoder.open(path, {precision = made.precision})
   if not net then return nil, message end
   if encoder.identity(net) ~= made.weights then
      net:close()
      return nil, ("%s: was made with another network than %s"):format(options.embeddings, path)
   end
   return net
end

-- Embeddings of the query's windows, where these start, and its path.
local function embed_query(options, made)
   local path, seconds = parse(options.query)
   if not path then return nil, seconds end
   local net, message = open_network(options, made)
   if not net then return nil, message end
   local o = {sample_rate = net.options.sample_rate, length = net.samples, window_s = net.options.seconds,
      hop_s = made.hop_s, block = BATCH, channel = hearing.changed{channel = options.channel or made.channel}.channel}
   local rows, starts
   if seconds then rows, starts = window_at(path, seconds, o) else rows, starts = windows_of(path, o) end
   if rows then rows, starts = with_sound(rows, starts, path, o.sample_rate) end
   local x = rows and net:forward(rows, {batch_size = BATCH}):copy("f64")
   net:close()
   if not x then return nil, starts end
   if not x:is_finite() then return nil, path .. ": its embedding is not finite" end
   return {x = x, starts = starts, path = path, window_s = o.window_s, channel = o.channel,
      sample_rate = o.sample_rate}
end

-- ---- What the embedding proposes ----

local function absolute(path)
   return path:sub(1, 1) == "/" and path or require("lfs").currentdir() .. "/" .. path:gsub("^%./", "")
end

-- What the table calls the query's file; nil: it is not in it.
local function name_in(path, query)
   local rows = sql.columns("select distinct file from " .. sql.parquet(path)) or {file = {}}
   for _, file in ipairs(rows.file) do
      if absolute(file) == absolute(query) then return file end
   end
   return nil
end

local function overlaps(taken, hit)
   for _, other in ipairs(taken or {}) do
      if hit.start_s < other.end_s and other.start_s < hit.end_s then return true end
   end
   return false
end

-- The nearest windows, none overlapping: a window overlaps those that start less than its length before or behind it.
local function propose(table_, query, hop_s, count, metric)
   local near = 2 * math.ceil(query.window_s / hop_s - 1e-9) - 1
   local without = query.name and {file = query.name, from_s = query.starts[1],
      to_s = query.starts[#query.starts] + query.window_s}
   local hits, message = table_:search(query.x, {top = math.min(count * near, 1000000), metric = metric,
      without = without or nil})
   if not hits then return nil, message end
   local list, taken = {}, {}
   for _, hit in ipairs(hits) do
      if #list < count and not overlaps(taken[hit.file], hit) then
         taken[hit.file] = taken[hit.file] or {}
         table.insert(taken[hit.file], hit)
         hit.query_start_s = query.starts[hit.query]
         list[#list + 1] = hit
      end
   end
   return list
end

-- ---- What the profile decides ----

--- The nearest place for the query in and around some windows of a recording; on a worker state.
-- @tparam table item `path`, `hits`: `{start_s=, end_s=, query=}`
-- @tparam table o `queries` (CENS of each window of the query), `sample_rate`, `channel`
-- @treturn[1] {table,...} for each hit `{distance=, start_s=}`; false where the recording is too short for it
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function similar.one(item, o)
   local stomp = require "bclua.stomp"
   local c, message = analysis.features(item.path, {cens_sample_rate = RATE, sample_rate = o.sample_rate,
      channel = o.channel})
   if not c then return nil, message end
   local list, frames = {}, c:shape(2)
   for i, hit in ipairs(item.hits) do
      local query = o.queries[hit.query]
      local slack = query:shape(2) // 2
      local first = math.max(0, math.floor(hit.start_s * RATE + 0.5) - slack)
      local last = math.min(frames, math.floor(hit.end_s * RATE + 0.5) + slack)
      first = math.max(0, math.min(first, last - query:shape(2)))
      local found = last - first >= query:shape(2) and stomp.matches(query, c:slice(2, first + 1, last):copy(), {k = 1})
      list[i] = found and found[1] and {distance = found[1].distance, start_s = (first + found[1].at) / RATE} or false
   end
   return list
end

-- CENS of each window of the query.
local function query_features(query)
   local c, message = analysis.features(query.path, {cens_sample_rate = RATE, sample_rate = query.sample_rate,
      channel = query.channel})
   if not c then return nil, message end
   local list, frames, length = {}, c:shape(2), math.floor(query.window_s * RATE + 0.5)
   for i, s in ipairs(query.starts) do
      local first = math.min(math.floor(s * RATE + 0.5), frames - 1)
      list[i] = c:slice(2, first + 1, math.min(first + length, frames)):copy()
   end
   return list
end

-- The hits by recording, in the order in which these come first.
local function by_file(hits)
   local items, of = {}, {}
   for _, hit in ipairs(hits) do
      if not of[hit.file] then
         of[hit.file] = {path = hit.file, hits = {}}
         items[#items + 1] = of[hit.file]
      end
      table.insert(of[hit.file].hits, hit)
   end
   return items
end

-- Those that were measured first, nearest first; then the others as the embedding had them.
local function before(a, b)
   local p, q = a.profile_distance or math.huge, b.profile_distance or math.huge
   if p ~= q then return p < q end
   if a.distance ~= b.distance then return a.distance < b.distance end
   return a.row < b.row
end

local function verify(hits, query, quiet)
   local queries, message = query_features(query)
   if not queries then return nil, message end
   local items, failures = by_file(hits), {}
   local bar = progress.new("verify", #items, {unit = "recordings", quiet = quiet})
   for i, found, why in require("bclua.parallel").map(items, "bclua.workflow.similar", "one", {queries = queries,
      sample_rate = query.sample_rate, channel = query.channel}) do
      if not found then failures[#failures + 1] = {path = items[i].path, step = "search", reason = why} end
      for k, place in ipairs(found or {}) do
         local hit = items[i].hits[k]
         if place then hit.profile_distance, hit.profile_start_s = place.distance, place.start_s end
      end
      bar:update(i)
   end
   bar:finish()
   table.sort(hits, before)
   return hits, failures
end

-- ---- All together ----

--- The windows of a table that are most like one of its own.
-- @tparam index table_ from `bclua.index`
-- @tparam table window `row` (of the table), `file`, `start_s`, `window_s`, and how its sound was read: `sample_rate`,
-- `channel`; `hop_s` of the table
-- @tparam[opt] table options `top` (12), `verify` (order as many, and some more, by the distance of CENS)
-- @treturn[1] {table,...} as `run`'s `hits`, none overlapping
-- @treturn[2] nil
-- @treturn[2] string message
function similar.like(table_, window, options)
   local o = check_options(options, {top = {"integer", default = 12, least = 1, most = 1000}, verify = "boolean"})
   local query = {x = table_.x[window.row]:copy("f64"):reshape{1, table_.columns}, starts = {window.start_s},
      path = window.file, name = window.file, window_s = window.window_s, sample_rate = window.sample_rate,
      channel = window.channel}
   if not query.x:is_finite() then return nil, "the embedding of this window is not finite" end
   local hits, message = propose(table_, query, window.hop_s, o.verify and 3 * o.top or o.top, "cosine")
   if hits and o.verify then hits, message = verify(hits, query, true) end
   if not hits then return nil, message end
   for i = o.top + 1, #hits do hits[i] = nil end
   return hits
end


--- What made a table of embeddings.
-- @tparam string path
-- @treturn[1] table `weights`, `checkpoint`, `hop_s`, `window_s`, `sample_rate`, `channel`, ...
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function similar.made(path)
   if not files.is_file(path) then return nil, path .. ": no such file" end
   local made = provenance.of_parquet(path)
   if not (made and type(made.weights) == "string" and tonumber(made.hop_s) and made.hop_s > 0) then
      return nil, path .. ": does not say which network made it: a table of `embed predict` is needed"
   end
   made.checkpoint = sql.parquet_metadata(path).bclua_checkpoint
   return made
end

local function write(options, hits, parameters)
   local path = options.output
   if not path then return true end
   local columns = provenance.columns(hits, similar.columns)
   if path:lower():find("%.csv$") then
      return sql.write_csv(path, columns, {order = similar.columns, types = TYPES, guard = true})
   end
   return sql.write_parquet(path, columns, {order = similar.columns, types = TYPES,
      metadata = provenance.for_parquet(parameters)})
end

--- Find the windows most like an example.
-- @tparam table options see `similar.options`
-- @treturn[1] table `hits` (by `similar.columns`; `distance` of embeddings; with `verify` `profile_distance`, as of
-- `motif search`, and `profile_start_s`, where in or around the window the query fits best), `query` (path), `windows`
-- (of the query), `rows` (of the table), `seconds` (that the search took), `failures`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function similar.run(options)
   options = check_options(options, similar.options)
   local made, message = similar.made(options.embeddings)
   if not made then return nil, message end
   local parameters = {query = options.query, embeddings = options.embeddings, weights = made.weights,
      top = options.top, metric = options.metric, whiten = options.whiten or nil, verify = options.verify or false,
      candidates = options.verify and options.candidates or nil, with_query = options.with_query or false,
      channel = options.channel}
   local ok
   ok, message = search.check_output(options, parameters)
   if not ok then return nil, message end
   local table_
   table_, message = index.open(options.embeddings, {whiten = options.whiten, quiet = options.quiet})
   if not table_ then return nil, message end
   local query
   query, message = embed_query(options, made)
   if not query then return nil, message end
   query.name = not options.with_query and name_in(options.embeddings, query.path) or nil
   local start = system.clock()
   local hits
   hits, message = propose(table_, query, made.hop_s, options.verify and math.max(options.candidates, options.top) or
      options.top, options.metric)
   if not hits then return nil, message end
   local seconds, failures = system.clock() - start, {}
   if options.verify then
      hits, failures = verify(hits, query, options.quiet)
      if not hits then return nil, failures end
   end
   for i = options.top + 1, #hits do hits[i] = nil end
   for i, hit in ipairs(hits) do hit.rank = i end
   ok, message = write(options, hits, parameters)
   if not ok then return nil, message end
   return {hits = hits, query = query.path, windows = #query.starts, rows = #table_, seconds = seconds,
      failures = failures}
end

local FORMS = {rank = "%d", start_s = "%.1f", distance = "%.4f", profile_distance = "%.2f", profile_start_s = "%.1f",
   query_start_s = "%.1f"}

-- The columns that some hit has a value in.
local function known_columns(r)
   local list = {}
   for _, name in ipairs(similar.columns) do
      local is_known = false
      for _, hit in ipairs(r.hits) do is_known = is_known or hit[name] ~= nil end
      if is_known and name ~= "end_s" and (name ~= "query_start_s" or r.windows > 1) then list[#list + 1] = name end
   end
   return list
end

--- The hits as text.
-- @tparam table r from `run`
-- @treturn string
function similar.text(r)
   local columns, rows, right = known_columns(r), {{}}, {}
   for i, name in ipairs(columns) do rows[1][i], right[i] = name, FORMS[name] and true or nil end
   for _, hit in ipairs(r.hits) do
      local row = {}
      for i, name in ipairs(columns) do
         local v = hit[name]
         row[i] = v == nil and "" or FORMS[name] and FORMS[name]:format(v) or display.line(v)
      end
      rows[#rows + 1] = row
   end
   local head = ("%s of %s among %d, in %.0f ms"):format(display.count(r.windows, "window"), display.line(r.query),
      r.rows, 1e3 * r.seconds)
   if #r.hits == 0 then return head .. "\nnothing found" end
   return head .. "\n" .. table.concat(display.lines(rows, right, progress.columns()), "\n")
end

return similar
