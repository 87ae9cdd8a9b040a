--- What is in some recordings: their windows in clusters by density, each with an example, and on a map.
-- @module bclua.workflow.cluster
local agreement = require "bclua.evaluate.agreement"
local array = require "bclua.array"
local cluster = require "bclua.cluster"
local display = require "bclua.display"
local files = require "bclua.files"
local import_labels = require "bclua.workflow.import_labels"
local learn = require "bclua.learn"
local lock = require "bclua.lock"
local plot = require "bclua.plot"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local sql = require "bclua.sql"
local tables = require "bclua.data.tables"
local whiten = require "bclua.whiten"
local windows = require "bclua.workflow.cluster.windows"
local check_options = require("bclua.options").check

local clusters = {}

--- The columns of the table of clusters.
clusters.columns = {"cluster", "name", "windows", "recordings", "sites", "hours", "medoid_file", "medoid_start_s",
   "medoid_end_s", "stability", "probability", "label", "purity"}

local TYPES = {cluster = "bigint", name = "varchar", windows = "bigint", recordings = "bigint", sites = "bigint",
   hours = "bigint[]", medoid_file = "varchar", medoid_start_s = "double", medoid_end_s = "double",
   stability = "double", probability = "double", label = "varchar", purity = "double"}

local WINDOW_COLUMNS = {"file", "start_s", "end_s", "clock_time", "site", "label", "cluster", "probability", "x", "y"}
local WINDOW_TYPES = {clock_time = "varchar", site = "varchar", label = "varchar", x = "double", y = "double"}

local MOST_COLOURS = 24 -- clusters with a colour of their own on the map

--- What `run` takes.
clusters.options = {
   embeddings = {"string", needed = true, argument = "embeddings",
      text = "Table of embeddings, from `embed predict` or in a folder of `embed evaluate`."},
   output = {"string", needed = true, arg = "FILE.parquet",
      text = "Table of clusters to write; beside it FILE.windows.parquet and the map, FILE.svg."},
   least = {"integer", default = 10, least = 2, most = 1000000, arg = "N",
      text = "Fewest windows of a cluster: the one setting of the method."},
   metric = {"choice", {"cosine", "euclidean"}, default = "cosine", arg = "KIND",
      text = "How far windows are apart: by the angle between embeddings, or by their distance."},
   column = {"string", default = "embedding", shortest = 1, arg = "NAME", text = "Column with the embeddings."},
   scores = {"string", arg = "FILE", text = "Table from `motif score`: only windows with half of a likely call in " ..
      "them."},
   labels = {"string", arg = "FILE", text = "Table from `motif import-labels`, for labels and purity (default: the " ..
      "column species or label, if there is one)."},
   names = {"string", arg = "FILE.csv", text = "Names for clusters (columns cluster, name): their windows become " ..
      "labels, in FILE.labels.parquet."},
   map = {"integer", default = 4000, least = 0, most = 20000, arg = "N", text = "Most windows on the map (0: no map)."},
   whiten = {"boolean", text = "Whiten the embeddings within recordings first: what differs between windows of one " ..
      "recording weighs less. For recordings of a species each, not for soundscapes."},
   force = {"boolean", text = "Replace clusters that were made with other parameters."},
   quiet = "boolean"}

-- ---- What a cluster is like ----

--- The row of each cluster with the least sum of distances to its others, of equal ones the first.
-- @tparam array x (rows, columns)
-- @tparam table found as from `bclua.cluster.hdbscan`
-- @tparam string metric "cosine" or "euclidean"
-- @treturn {integer,...}
function clusters.medoids(x, found, metric)
   local rows, medoid = {}, {}
   for i = 1, #found.labels do
      if found.labels[i] > 0 then rows[#rows + 1] = i end
   end
   if #rows == 0 then return medoid end
   local some, groups, labels = array.zeros({#rows, x:shape(2)}, "f64"), array.zeros(#rows, "i64"),
      array.zeros(#rows, "i64")
   for k, i in ipairs(rows) do
      some[k]:fill(x[i])
      groups[k], labels[k] = k, found.labels[i]
   end
   local sums, least = learn.class_distances(some, groups, labels, {metric = metric}), {}
   for k, i in ipairs(rows) do
      local c = labels[k]
      local sum = sums:at(k, c)
      if not least[c] or sum < least[c] then least[c], medoid[c] = sum, i end
   end
   return medoid
end

-- The most frequent of some values, of equally frequent ones the first by name, its count and how many there are.
local function commonest(counts)
   local best, most, all, kinds = nil, 0, 0, 0
   for value, n in pairs(counts) do
      if n > most or n == most and value < best then best, most = value, n end
      all, kinds = all + n, kinds + 1
   end
   return best, most, all, kinds
end

local function new_counts()
   local hours = {}
   for h = 1, 24 do hours[h] = 0 end
   return {windows = 0, probability = 0, files = {}, sites = {}, labels = {}, hours = hours, timed = 0}
end

local function add(counts, value)
   if value ~= nil then counts[value] = (counts[value] or 0) + 1 end
end

local function count(set, found)
   local of = {}
   for c = 1, #found.sizes do of[c] = new_counts() end
   for i = 1, set.n do
      local c = of[found.labels[i]]
      if c then
         c.windows, c.probability = c.windows + 1, c.probability + found.probability[i]
         add(c.files, set.file[i])
         add(c.sites, set.site[i])
         add(c.labels, set.label[i])
         local hour = set.clock_time[i] and tonumber(set.clock_time[i]:match("T(%d%d)"))
         if hour then c.hours[hour + 1], c.timed = c.hours[hour + 1] + 1, c.timed + 1 end
      end
   end
   return of
end

-- A row for each cluster.
local function describe(set, found, metric, names)
   local medoid, list = clusters.medoids(set.x, found, metric), {}
   for c, counts in ipairs(count(set, found)) do
      local label, most, labelled = commonest(counts.labels)
      local _, _, _, recordings = commonest(counts.files)
      local _, _, _, sites = commonest(counts.sites)
      local m = medoid[c]
      list[c] = {cluster = c, name = names[c], windows = counts.windows, recordings = recordings,
         sites = sites > 0 and sites or nil, hours = counts.timed > 0 and counts.hours or nil,
         medoid_file = set.file[m], medoid_start_s = set.start_s[m], medoid_end_s = set.end_s[m],
         stability = found.stability[c], probability = counts.probability / counts.windows, label = label,
         purity = labelled > 0 and most / labelled or nil}
   end
   return list
end

-- Agreement with the labels, of the windows that have one: what is in no cluster counts as one more.
local function agree(set, found)
   local numbers, labels = {}, {}
   for i = 1, set.n do
      if set.label[i] then numbers[#numbers + 1], labels[#labels + 1] = found.labels[i], set.label[i] end
   end
   if #labels == 0 then return nil end
   return agreement.adjusted_mutual_information(numbers, labels), #labels
end

-- ---- The map ----

-- Places of the windows in the plane, with holes: of more than `most` every so many is on the map.
local function map_of(set, metric, most)
   local x, y = {n = set.n}, {n = set.n}
   if most == 0 then return x, y end
   local rows, some = {}, set.x
   for k = 1, math.min(most, set.n) do rows[k] = (k - 1) * set.n // math.min(most, set.n) + 1 end
   if #rows < set.n then
      some = array.zeros({#rows, set.x:shape(2)}, "f64")
      for k, i in ipairs(rows) do some[k]:fill(set.x[i]) end
   end
   local place = cluster.tsne(some, {metric = metric})
   for k, i in ipairs(rows) do x[i], y[i] = place:at(k, 1), place:at(k, 2) end
   return x, y
end

local REST = "in no cluster"

local function draw(path, result)
   local x, y, groups = {}, {}, {}
   for i = 1, result.set.n do
      if result.x[i] then
         local c = result.found.labels[i]
         local row = result.clusters[c]
         x[#x + 1], y[#y + 1] = result.x[i], result.y[i]
         groups[#groups + 1] = c == 0 and REST or c > MOST_COLOURS and "smaller clusters" or
            ("%2d %s"):format(c, row.name or "")
      end
   end
   if #x == 0 then return true end
   return plot.scatter(x, y, path, {groups = groups, rest = REST, point_size = #x > 400 and 0.5 or 0.8,
      title = "windows by t-SNE, coloured by cluster"})
end

-- ---- Files ----

local NAMES = {cluster = {"integer", needed = true, least = 1}, name = {"string", needed = true, shortest = 1,
   longest = 4096}}

-- Names by cluster, and the line of each in its file.
local function read_names(path, most)
   local names, lines = {}, {}
   if not path then return names, lines end
   local relation, message = tables.open(path, NAMES, {"cluster", "name"})
   if not relation then return nil, message end
   local rows
   rows, message = sql.query("from " .. relation)
   if not rows then return nil, message end
   for i, row in ipairs(rows) do
      if row.cluster > most then
         return nil, ("%s: row %d: there is no cluster %d, only %d"):format(path, i, row.cluster, most)
      elseif names[row.cluster] then
         return nil, ("%s: row %d: cluster %d has a name already"):format(path, i, row.cluster)
      end
      names[row.cluster], lines[row.cluster] = row.name, i + 1
   end
   if #rows == 0 then return nil, path .. ": no names" end
   return names, lines
end

local function window_columns(result)
   local set, n = result.set, result.set.n
   local columns = {cluster = result.found.labels, probability = result.found.probability, x = result.x, y = result.y}
   for _, name in ipairs{"file", "start_s", "end_s", "clock_time", "site", "label"} do
      columns[name] = table.move(set[name], 1, n, 1, {n = n})
   end
   return columns
end

-- The windows of clusters that have a name, as `motif import-labels` writes labels.
local function label_rows(result, path, lines)
   local rows = {}
   for i = 1, result.set.n do
      local row = result.clusters[result.found.labels[i]]
      if row and row.name then
         rows[#rows + 1] = {source_name = result.set.file[i], start_s = result.set.start_s[i] + 0.0,
            end_s = result.set.end_s[i] + 0.0, label = row.name, score = result.found.probability[i], origin = path,
            line = lines[row.cluster]}
      end
   end
   return rows
end

local function write(options, result, parameters, lines)
   local stem = options.output:gsub("%.[pP][aA][rR][qQ][uU][eE][tT]$", "")
   local metadata = provenance.for_parquet(parameters)
   local ok, message = sql.write_parquet(stem .. ".windows.parquet", window_columns(result),
      {order = WINDOW_COLUMNS, types = WINDOW_TYPES, metadata = metadata})
   if ok and options.names then
      ok, message = import_labels.write_table(stem .. ".labels.parquet", label_rows(result, options.names, lines),
         {names = options.names, clusters = options.output})
   end
   if ok and options.map > 0 then ok, message = draw(stem .. ".svg", result) end
   if not ok then return nil, message end
   return sql.write_parquet(options.output, provenance.columns(result.clusters, clusters.columns),
      {order = clusters.columns, types = TYPES, metadata = metadata})
end

local function check(options)
   if not options.output:lower():find("%.parquet$") then
      return nil, options.output .. ": must end in .parquet (--output)"
   end
   local folder = files.dirname(options.output)
   if not files.is_folder(folder) then return nil, ("%s: no such folder: %s"):format(options.output, folder) end
   if not files.is_file(options.embeddings) then return nil, options.embeddings .. ": no such file" end
   return true
end

-- What clusters follow from: names are given to these.
local function parameters_of(options)
   local bytes, modified = files.stamp(options.embeddings)
   return {embeddings = options.embeddings, embeddings_bytes = bytes, embeddings_modified = modified,
      least = options.least, metric = options.metric, column = options.column, scores = options.scores,
      whiten = options.whiten or nil}
end

--- Find the clusters of a table of embeddings.
--
-- Windows whose embedding is NaN or infinite are left out and counted. The same table and options give the same
-- clusters, so that names can be given to them later.
-- @tparam table options see `clusters.options`
-- @treturn[1] table `clusters` (rows by `clusters.columns`), `windows`, `clustered`, `recordings`, `nonfinite`,
-- `others` (without a likely call), `agreement` (adjusted mutual information with the labels, of `labelled` windows;
-- nil without labels), `labels` (windows that were given a name)
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function clusters.run(options)
   options = check_options(options, clusters.options)
   local ok, message = check(options)
   if not ok then return nil, message end
   local locked <close>, busy = lock.take(options.output)
   if not locked then return nil, busy end
   local parameters = parameters_of(options)
   ok, message = provenance.check(options.output, provenance.of_parquet(options.output), parameters, options.force)
   if not ok then return nil, message end
   local set
   set, message = windows.read(options)
   if not set then return nil, message end
   progress.note("cluster: " .. display.count(set.n, "window"), options.quiet)
   if options.whiten then set.x = whiten.within(set.x, set.file):copy("f32") end
   local found = cluster.hdbscan(set.x, {least = options.least, metric = options.metric})
   local names, lines = read_names(options.names, #found.sizes)
   if not names then return nil, lines end
   local result = {set = set, found = found, clusters = describe(set, found, options.metric, names)}
   result.agreement, result.labelled = agree(set, found)
   result.x, result.y = map_of(set, options.metric, options.map)
   ok, message = write(options, result, parameters, lines)
   if not ok then return nil, message end
   return clusters.summary(result, names)
end

--- What `run` returns, of all that is known.
function clusters.summary(result, names)
   local set, clustered, named, seen, recordings = result.set, 0, 0, {}, 0
   for i = 1, set.n do
      local c = result.found.labels[i]
      if c > 0 then clustered = clustered + 1 end
      if names[c] then named = named + 1 end
      if not seen[set.file[i]] then seen[set.file[i]], recordings = true, recordings + 1 end
   end
   return {clusters = result.clusters, windows = set.n, clustered = clustered, recordings = recordings,
      nonfinite = set.nonfinite, others = set.others, agreement = result.agreement, labelled = result.labelled,
      labels = named}
end

-- ---- Text ----

-- The hour in which most of a cluster is heard.
local function busiest(hours)
   local best = 1
   for h = 2, 24 do
      if hours[h] > hours[best] then best = h end
   end
   return ("%02d h"):format(best - 1)
end

local function clock_of(s) return ("%d:%04.1f"):format(s // 60, s % 60) end

local function lines_of(list)
   local header = {"cluster", "windows", "recordings", "sites", "most at", "example", "label", "purity"}
   local rows, right = {header}, {true, true, true, true, true, nil, nil, true}
   for _, c in ipairs(list) do
      rows[#rows + 1] = {c.name and ("%d %s"):format(c.cluster, c.name) or tostring(c.cluster), tostring(c.windows),
         tostring(c.recordings), c.sites and tostring(c.sites) or "", c.hours and busiest(c.hours) or "",
         ("%s@%s"):format(display.line(c.medoid_file), clock_of(c.medoid_start_s)), c.label or "",
         c.purity and ("%.0f %%"):format(100 * c.purity) or ""}
   end
   return table.concat(display.lines(rows, right, progress.columns()), "\n")
end

--- The result as text.
-- @tparam table r from `run`
-- @treturn string
function clusters.text(r)
   local function in_words(n) return display.count(n, "window") end
   local list = {("%s of %s: %s with %s, %d in none"):format(in_words(r.windows),
      display.count(r.recordings, "recording"), display.count(#r.clusters, "cluster"), in_words(r.clustered),
      r.windows - r.clustered)}
   local function say(n, words)
      if n > 0 then list[#list + 1] = words .. ": " .. in_words(n) end
   end
   say(r.nonfinite, "left out, embedding NaN or infinite")
   say(r.others, "left out, no likely call")
   if r.agreement then
      list[#list + 1] = ("adjusted mutual information with the labels of %s: %.3f (0: by chance, 1: the same)")
         :format(in_words(r.labelled), r.agreement)
   end
   list[#list + 1] = #r.clusters > 0 and lines_of(r.clusters) or
      "no part of them is denser than the rest: try fewer windows a cluster (--least), or more windows"
   say(r.labels, "labels")
   return table.concat(list, "\n")
end

return clusters
