--- What the recordings of a species (or a site, a recorder) have in common: of each group the window that all of them
-- contain most nearly, and the one that they have and recordings of other groups have not (see `bclua.consensus`).
-- @module bclua.workflow.discover.groups
local clock = require "bclua.clock"
local consensus = require "bclua.consensus"
local display = require "bclua.display"
local extracted = require "bclua.data.extracted"
local options_of = require "bclua.options"
local parallel = require "bclua.parallel"
local sampling = require "bclua.sampling"
local schemas = require "bclua.data.schemas"
local search = require "bclua.workflow.search"
local tables = require "bclua.data.tables"
local windows = require "bclua.workflow.discover.windows"

local groups = {}

--- The columns of the table.
groups.columns = {"group", "kind", "source_name", "species", "start_s", "end_s", "clock_time", "distance", "outside"}

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

-- Where the recordings of a group are nearest to a window of one of them, which comes first, then the nearest.
local function in_order(m, which)
   table.sort(m.nearest, function(a, b)
      if (a.which == m.series) ~= (b.which == m.series) then return a.which == m.series end
      if a.distance ~= b.distance then return a.distance < b.distance end
      return a.which < b.which
   end)
   for _, near in ipairs(m.nearest) do near.which = which[near.which] end
   return {nearest = m.nearest, outside = m.outside}
end

--- One group, on a worker state.
-- @tparam table item `name`; `inside`, `outside`: lists of items from `extracted.locate`
-- @tparam table o `window` (frames)
-- @treturn[1] table `consensus` and `contrast` (nil where there is none, or nobody else): `outside`, and `nearest`,
-- `{at=, distance=, which=}` with the number of the item inside: the window's own first, then the nearest
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the name
function groups.one(item, o)
   local list, which = read(item.inside, o.window)
   if not list then return nil, which end
   if #list < 2 then
      return nil, ("%s: %s of at least a window; two are needed"):format(item.name, display.count(#list, "recording"))
   end
   local others, message = read(item.outside, o.window)
   if not others then return nil, message end
   local among = {}
   for i, x in ipairs(list) do among[i] = windows.with_sound(x, o.window) end
   local r = {consensus = consensus.motif(list, o.window, {among = among})}
   if #others > 0 then r.contrast = consensus.contrast(list, others, o.window, {among = among}) end
   if not r.consensus then return nil, item.name .. ": nothing stands out in its recordings" end
   for kind, m in pairs(r) do
      for j, near in ipairs(m.nearest) do near.which = j end
      r[kind] = in_order(m, which)
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

-- Add a row a recording.
local function add_rows(rows, found, name, members, c)
   for _, kind in ipairs{"consensus", "contrast"} do
      local m = found[kind]
      for _, near in ipairs(m and m.nearest or {}) do
         local row, start_s = members[near.which], near.at / c.rate
         rows[#rows + 1] = {group = name, kind = kind, source_name = row.source_name, species = row.species,
            start_s = start_s, end_s = start_s + c.window / c.rate, clock_time = clock.at(row.recorded_at, start_s),
            distance = near.distance, outside = m.outside, channel = row.channel, call = name .. " " .. kind}
      end
   end
end

local NEAR = {"table", of = {at = {"integer", needed = true, least = 0}, distance = {"number", needed = true},
   which = {"integer", needed = true, least = 1}}}
local KIND = {"table", of = {outside = {"number"}, nearest = {"list", needed = true, of = NEAR, items = "windows"}}}

--- The task of all groups, for `work.run`, a group a piece.
-- @tparam table c `rows`, `features`, `rate`, `window` (frames)
-- @tparam table options of `discover.run`
-- @treturn[1] table whose `sum_up` returns `rows` (see `columns`) and `groups`, how many were found
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function groups.task(c, options)
   local by, names = divide(c.rows, options.input, options.group)
   if not by then return nil, names end
   local items = {}
   for i, name in ipairs(names) do
      local item, seconds = {name = name, inside = {}, outside = {}}, 0
      for k, row in ipairs(by[name]) do
         item.inside[k], seconds = search.locate(row, c.features), seconds + row.duration_cens / c.rate
      end
      for k, row in ipairs(draw(by, names, name, options)) do item.outside[k] = search.locate(row, c.features) end
      items[i] = {name = name, item = item, seconds = seconds, piece = i}
   end
   local parameters = {seconds = options.seconds, group = options.group, others = options.others, seed = options.seed}
   local function sum_up(found)
      local r = {rows = {}, groups = 0}
      for i, name in ipairs(names) do
         if found[i] then
            r.groups = r.groups + 1
            add_rows(r.rows, found[i], name, by[name], c)
         end
      end
      return r
   end
   local function map(list) return parallel.map(list, "bclua.workflow.discover.groups", "one", {window = c.window}) end
   return {name = "discover", items = items, unit = "group", map = map, sample_rate = c.sample_rate,
      settings = options_of.extend(parameters, {window = c.window}), sum_up = sum_up, columns = groups.columns,
      rules = {"table", of = {consensus = KIND, contrast = KIND}}, parameters = parameters}
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
