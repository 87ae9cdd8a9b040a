--- What the recordings of a species (or a site, a recorder) have in common: of each group the window that all of them
-- contain most nearly, and the one that they have and recordings of other groups have not (see `bclua.consensus`).
-- @module bclua.workflow.discover.groups
local clock = require "bclua.clock"
local consensus = require "bclua.consensus"
local display = require "bclua.display"
local extracted = require "bclua.data.extracted"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local sampling = require "bclua.sampling"
local schemas = require "bclua.data.schemas"
local search = require "bclua.workflow.search"
local tables = require "bclua.data.tables"
local windows = require "bclua.workflow.discover.windows"

local groups = {}

--- The columns of the table.
groups.columns = {"group", "kind", "source_name", "species", "start_s", "end_s", "clock_time", "distance", "outside"}

local TYPES = {group = "varchar", kind = "varchar", source_name = "varchar", species = "varchar", start_s = "double",
   end_s = "double", clock_time = "varchar", distance = "double", outside = "double"}

-- The features of those that are long enough, and which these are.
local function read(items, window)
   local list, which = {}, {}
   for i, item in ipairs(items) do
      local x, message = extracted.features(item)
      if not x then return nil, message end
      if x:shape(2) >= window then list[#list + 1], which[#which + 1] = x:copy("f64"), i end
   end
   return list, which
end

--- One group, on a worker state.
-- @tparam table item `inside`, `outside`: lists of items from `extracted.locate`
-- @tparam table o `window` (frames)
-- @treturn[1] table `consensus` and `contrast` (nil where there is none, or nobody else): `series`, `at`, `outside`,
-- and `nearest` with `which` of the inside it is, nearest first
-- @treturn[2] nil
-- @treturn[2] string message
function groups.one(item, o)
   local list, which = read(item.inside, o.window)
   if not list then return nil, which end
   if #list < 2 then return nil, ("%d recording of at least a window; two are needed"):format(#list) end
   local others, message = read(item.outside, o.window)
   if not others then return nil, message end
   local among = {}
   for i, x in ipairs(list) do among[i] = windows.with_sound(x, o.window) end
   local r = {consensus = consensus.motif(list, o.window, {among = among})}
   if #others > 0 then r.contrast = consensus.contrast(list, others, o.window, {among = among}) end
   if not r.consensus then return nil, "nothing stands out in its recordings" end
   for _, m in pairs(r) do
      for j, near in ipairs(m.nearest) do near.which, near.first = which[j], j == m.series and 0 or 1 end
      table.sort(m.nearest, function(a, b)
         if a.first ~= b.first then return a.first < b.first end
         if a.distance ~= b.distance then return a.distance < b.distance end
         return a.which < b.which
      end)
   end
   return r
end

-- By group the rows that are in it, and the names of groups in order.
local function divide(rows, input, group)
   local relation, message = tables.open(input, schemas.motif, {"source_name", group .. "?"})
   if not relation then return nil, message end
   local of, by, names = {}, {}, {}
   for _, row in ipairs(require("bclua.sql").query("from " .. relation)) do of[row.source_name] = row[group] end
   for _, row in ipairs(rows) do
      local name = of[row.source_name]
      if name and not by[name] then by[name], names[#names + 1] = {}, name end
      if name then table.insert(by[name], row) end
   end
   if #names == 0 then return nil, ("%s: no recording has a %s (--group)"):format(input, group) end
   table.sort(names)
   return by, names
end

-- At most `others` rows that are not of this group.
local function draw(by, names, name, o)
   local all, chosen = {}, {}
   for _, other in ipairs(names) do
      if other ~= name then table.move(by[other], 1, #by[other], #all + 1, all) end
   end
   local order = #all > 0 and sampling.generator(o.seed):shuffle(#all):table() or {}
   for k = 1, math.min(o.others, #all) do chosen[k] = all[order[k]] end
   return chosen
end

local function rows_of(found, item, name, rate, o)
   local rows = {}
   for _, kind in ipairs{"consensus", "contrast"} do
      local m = found[kind]
      for _, near in ipairs(m and m.nearest or {}) do
         local row, start_s = item.rows[near.which], near.at / rate
         rows[#rows + 1] = {group = name, kind = kind, source_name = row.source_name, species = row.species,
            start_s = start_s, end_s = start_s + o.window / rate, clock_time = clock.at(row.recorded_at, start_s),
            distance = near.distance, outside = m.outside, channel = row.channel, call = name .. " " .. kind}
      end
   end
   return rows
end

local function write(path, rows, parameters)
   local sql, columns = require "bclua.sql", provenance.columns(rows, groups.columns)
   if path:lower():find("%.csv$") then
      return sql.write_csv(path, columns, {order = groups.columns, guard = true})
   end
   return sql.write_parquet(path, columns, {order = groups.columns, types = TYPES,
      metadata = provenance.for_parquet(parameters)})
end

local function compare(by, names, features, rate, o, options)
   local r, items = {rows = {}, failures = {}, groups = 0}, {}
   for i, name in ipairs(names) do
      items[i] = {rows = by[name], inside = {}, outside = {}}
      for k, row in ipairs(by[name]) do items[i].inside[k] = search.locate(row, features) end
      for k, row in ipairs(draw(by, names, name, options)) do items[i].outside[k] = search.locate(row, features) end
   end
   local bar = progress.new("discover", #items, {unit = "groups", quiet = options.quiet})
   for i, found, why in require("bclua.parallel").map(items, "bclua.workflow.discover.groups", "one", o) do
      if found then
         r.groups = r.groups + 1
         local rows = rows_of(found, items[i], names[i], rate, o)
         table.move(rows, 1, #rows, #r.rows + 1, r.rows)
      else
         r.failures[#r.failures + 1] = {path = names[i], step = "discover", reason = why}
      end
      bar:update(i)
   end
   bar:finish(("%d groups, %d failed, in %s"):format(r.groups, #r.failures, progress.duration(bar:elapsed())))
   return r
end

--- Find what the recordings of each group have in common.
-- @tparam table options as for `discover.run`: `input`, `group` (`species`, `site`, `recorder`), `seconds`, `others`
-- (100: recordings of other groups, at most), `seed`, `output`, `features`, `track`, `dataset_root`, `examples`,
-- `force`, `quiet`
-- @treturn[1] table `rows` (see `columns`), `groups`, `failures`
-- @treturn[2] nil
-- @treturn[2] string message
function groups.run(options)
   local rows, p = search.read_corpus(options.input)
   if not rows then return nil, p end
   local rate = p.cens_sample_rate
   local o = {window = math.floor(options.seconds * rate + 0.5)}
   if o.window < 2 then return nil, ("--seconds %g is less than two frames"):format(options.seconds) end
   local by, names = divide(rows, options.input, options.group)
   if not by then return nil, names end
   local features, message = search.find_features({input = options.input, features = options.features}, rows)
   if not features then return nil, message end
   local parameters = {seconds = options.seconds, group = options.group, others = options.others, seed = options.seed}
   local ok
   ok, message = search.check_output(options, parameters)
   if not ok then return nil, message end
   local r = compare(by, names, features, rate, o, options)
   if r.groups == 0 then
      return nil, ("%s: all %d groups failed, the first, %s: %s"):format(options.input, #names, r.failures[1].path,
         r.failures[1].reason)
   end
   if options.output then
      ok, message = write(options.output, r.rows, parameters)
      if ok then ok, message = provenance.write_failures(options.output .. ".failures.csv", r.failures) end
      if not ok then return nil, message end
   end
   if options.track then
      r.track, message = require("bclua.workflow.listen").examples(r.rows, {dataset_root = options.dataset_root,
         output = options.track, examples = options.examples, sample_rate = p.sample_rate, seconds = options.seconds,
         quiet = options.quiet})
      if not r.track then return nil, message end
   end
   return r
end

--- The window of each group as text.
-- @tparam table r from `run`
-- @treturn string
function groups.text(r)
   local lines, last = {{"group", "kind", "recordings", "farthest", "outside", "example", "start_s"}}, nil
   for _, row in ipairs(r.rows) do
      if row.call ~= last then
         last = row.call
         lines[#lines + 1] = {row.group, row.kind, 0, 0, row.outside and ("%.3g"):format(row.outside) or "",
            row.source_name, ("%.1f"):format(row.start_s)}
      end
      local line = lines[#lines]
      line[3], line[4] = line[3] + 1, row.distance -- the farthest comes last
   end
   for i = 2, #lines do
      lines[i][3], lines[i][4] = ("%d"):format(lines[i][3]), ("%.3g"):format(lines[i][4])
   end
   return table.concat(display.lines(lines, {false, false, true, true, true, false, true}), "\n") .. "\n"
end

return groups
