--- What a sweep found: the best point, a table, a picture.
-- @module bclua.experiment.sweep.view
local json = require "bclua.json"
local core = require "bclua.sql.core"
local is_finite = require("bclua.numbers").is_finite
local options_of = require "bclua.options"
local plot = require "bclua.plot"
local points = require "bclua.experiment.sweep.points"
local store = require "bclua.experiment.sweep.store"

local view = {}

local MOST_SERIES = 8

local BEST = {metric = "string", maximise = "boolean"}
local GROUPS = options_of.extend(BEST, {metrics = {"list", of = "string", items = "names", shortest = 1}})
local TABLE = options_of.extend(GROUPS, {best_first = "boolean"})
local PLOT = options_of.extend(plot.line_options, {metric = "string", spread = "string", logx = "boolean"})

local function mean_of(list)
   local sum = 0
   for _, x in ipairs(list) do sum = sum + x end
   return sum / #list
end

-- Mean and sample standard deviation (nil of one).
local function moments(list)
   if #list == 0 then return nil end
   local mean, sum = mean_of(list), 0
   for _, x in ipairs(list) do sum = sum + (x - mean) ^ 2 end
   return mean, #list > 1 and math.sqrt(sum / (#list - 1)) or nil
end

-- Rows and what is known of them, of a file or of what `sweep.run` returned.
local function open(source, o)
   if type(source) == "string" then
      local message
      source, message = store.read(source)
      if not source then return nil, message end
   elseif type(source) ~= "table" or type(source.rows) ~= "table" or type(source.about) ~= "table" then
      error("a sweep expected: the path of its file, or what sweep.run returned", 3)
   end
   local about = source.about
   local metric, maximise = o.metric or about.metric, o.maximise
   if not metric then error("metric: which? the sweep has none", 3) end
   if maximise == nil then maximise = metric == about.metric and about.maximise or false end
   return source, metric, maximise
end

-- One group a point, in the order of the rows.
local function group(source, metrics)
   local list, by_point = {}, {}
   for _, row in ipairs(source.rows) do
      local g = by_point[row.point]
      if not g then
         g = {parameters = json.decode(row.point), rows = {}, failed = 0, values = {}, mean = {},
            deviation = {}}
         for _, name in ipairs(metrics) do g.values[name] = {} end
         by_point[row.point], list[#list + 1] = g, g
      end
      g.rows[#g.rows + 1] = row
      if row.error ~= nil then g.failed = g.failed + 1 end
      for _, name in ipairs(metrics) do
         if row.error == nil and is_finite(row[name]) then g.values[name][#g.values[name] + 1] = row[name] end
      end
   end
   for _, g in ipairs(list) do
      for _, name in ipairs(metrics) do g.mean[name], g.deviation[name] = moments(g.values[name]) end
   end
   return list
end

-- Is every seed of a point finite in this metric? Only such points can be best.
local function is_whole(g, metric) return #g.values[metric] == #g.rows end

--- See `bclua.experiment.sweep.groups`.
function view.groups(source, options)
   local o = options_of.check(options, GROUPS)
   local data, metric = open(source, o)
   if not data then return nil, metric end
   return group(data, o.metrics or {metric})
end

-- The better of two groups first; those that cannot be best last.
local function better(metric, maximise)
   return function(a, b)
      local p, q = is_whole(a, metric), is_whole(b, metric)
      if p ~= q then return p end
      local x, y = a.mean[metric], b.mean[metric]
      if p and x ~= y then
         if maximise then return x > y end
         return x < y
      end
      return a.place < b.place
   end
end

local function ranked(list, metric, maximise)
   local copy = {}
   for i, g in ipairs(list) do
      g.place, copy[i] = i, g
   end
   table.sort(copy, better(metric, maximise))
   return copy
end

--- See `bclua.experiment.sweep.best`.
function view.best(source, options)
   local data, metric, maximise = open(source, options_of.check(options, BEST))
   if not data then return nil, metric end
   local list, resource, most = group(data, {metric}), data.about.resource, nil
   if resource then
      for _, g in ipairs(list) do
         local r = is_whole(g, metric) and g.parameters[resource]
         if type(r) == "number" and (not most or r > most) then most = r end
      end
   end
   for _, g in ipairs(ranked(list, metric, maximise)) do
      if is_whole(g, metric) and (not most or g.parameters[resource] == most) then
         return {parameters = g.parameters, mean = g.mean[metric], deviation = g.deviation[metric],
            values = g.values[metric], rows = g.rows}
      end
   end
   return nil, ("%s: no point has a finite '%s' for all seeds"):format(data.path or "sweep", metric)
end

-- The parameters that are not the same everywhere; all of them if there is one point.
local function varying(list)
   local first, names = {}, {}
   for _, g in ipairs(list) do
      for name, value in pairs(g.parameters) do
         local text = points.text(value)
         if first[name] == nil then first[name] = text elseif first[name] ~= text then names[name] = true end
      end
   end
   for _, g in ipairs(list) do
      for name in pairs(first) do
         if g.parameters[name] == nil or #list == 1 then names[name] = true end
      end
   end
   return points.sorted(names)
end

--- See `bclua.experiment.sweep.table`.
function view.table(source, options)
   local o = options_of.check(options, TABLE)
   local data, metric, maximise = open(source, o)
   if not data then return nil, metric end
   local metrics = o.metrics or {metric}
   local list = group(data, metrics)
   if o.best_first then list = ranked(list, metrics[1], maximise) end
   local columns = varying(list)
   for i, name in ipairs(metrics) do
      local several = false
      for _, g in ipairs(list) do several = several or i == 1 and g.deviation[name] ~= nil end
      columns[#columns + 1] = name
      if several then columns[#columns + 1] = name .. "_deviation" end
   end
   table.move({"trials", "failed", "wall_s", "peak_mb"}, 1, 4, #columns + 1, columns)
   local rows = {}
   for i, g in ipairs(list) do
      local row, wall, peak = {trials = #g.rows, failed = g.failed}, {}, 0
      for name, value in pairs(g.parameters) do row[name] = type(value) == "table" and points.text(value) or value end
      for _, name in ipairs(metrics) do row[name], row[name .. "_deviation"] = g.mean[name], g.deviation[name] end
      for _, r in ipairs(g.rows) do
         wall[#wall + 1], peak = r.wall_s, math.max(peak, r.peak_bytes or 0)
      end
      row.wall_s, row.peak_mb = #wall > 0 and mean_of(wall) or nil, peak > 0 and peak / 1e6 or nil
      rows[i] = row
   end
   rows.columns = columns
   return setmetatable(rows, core.rows)
end

-- ---- pictures ----

-- The groups by the values of all other parameters that vary: a series each.
local function series_of(list, parameter, names)
   local series, by_text = {}, {}
   for _, g in ipairs(list) do
      local words = {}
      for _, name in ipairs(names) do
         if name ~= parameter and g.parameters[name] ~= nil then
            words[#words + 1] = name .. " " .. points.text(g.parameters[name]):gsub('"', "")
         end
      end
      local text = table.concat(words, ", ")
      local s = by_text[text]
      if not s then
         s = {title = text ~= "" and text or nil, groups = {}}
         by_text[text], series[#series + 1] = s, s
      end
      s.groups[#s.groups + 1] = g
   end
   return series
end

-- Half the length of an error bar: over seeds, or what a metric says.
local function spread_of(g, metric, spread)
   if spread then return g.mean[spread] end
   return g.deviation[metric]
end

local function lines(series, parameter, metric, spread)
   local layers = {}
   for i, s in ipairs(series) do
      table.sort(s.groups, function(a, b) return a.parameters[parameter] < b.parameters[parameter] end)
      local colour, x, y, bx, by = plot.colours[(i - 1) % #plot.colours + 1], {}, {}, {}, {}
      for k, g in ipairs(s.groups) do
         local at, mean, d = g.parameters[parameter], g.mean[metric] or 0 / 0, spread_of(g, metric, spread)
         x[k], y[k] = at, mean
         if d then
            local n = #bx
            bx[n + 1], bx[n + 2], bx[n + 3] = at, at, at
            by[n + 1], by[n + 2], by[n + 3] = mean - d, mean + d, 0 / 0
         end
      end
      if #bx > 0 then layers[#layers + 1] = {x = bx, y = by, colour = colour, width = 1} end
      local title = s.title or #bx > 0 and "mean ± " .. (spread or "deviation") or nil
      layers[#layers + 1] = {x = x, y = y, colour = colour, title = title}
   end
   return layers
end

-- A line of nothing, so that there is room beside the first and the last error bar.
local function room(values, log)
   local least, most = math.huge, -math.huge
   for _, v in ipairs(values) do least, most = math.min(least, v), math.max(most, v) end
   if log then
      local factor = (most / least) ^ 0.03
      return {x = {least / factor, most * factor}, y = {0 / 0, 0 / 0}, colour = plot.colours[1]}
   end
   local more = (most - least) * 0.03
   return {x = {least - more, most + more}, y = {0 / 0, 0 / 0}, colour = plot.colours[1]}
end

-- A logarithmic axis where values span more than a factor of 30.
local function wants_log(values)
   local least, most = math.huge, -math.huge
   for _, v in ipairs(values) do least, most = math.min(least, v), math.max(most, v) end
   return least > 0 and most > 30 * least
end

local function bars(list, names, metric, spread, path, options)
   local texts, means = {}, {}
   for i, g in ipairs(list) do
      local words, d = {}, spread_of(g, metric, spread)
      for k, name in ipairs(names) do words[k] = points.text(g.parameters[name] or "-"):gsub('"', "") end
      texts[i] = table.concat(words, ", ") .. (d and (" (± %.3g)"):format(d) or "")
      means[i] = g.mean[metric] or 0 / 0
   end
   options.xlabel, options.ylabel, options.logx, options.logy = options.ylabel, options.xlabel, nil, nil
   return plot.bar(texts, means, path, options)
end

--- See `bclua.experiment.sweep.plot`.
function view.plot(source, parameter, path, options)
   local drawing = options_of.check(options, PLOT)
   local data, metric = open(source, {metric = drawing.metric})
   if not data then return nil, metric end
   local spread = drawing.spread
   drawing.metric, drawing.spread = nil, nil
   local list, values, numbers = {}, {}, true
   for _, g in ipairs(group(data, {metric, spread})) do
      local v = g.parameters[parameter]
      if v ~= nil then
         list[#list + 1], values[#values + 1] = g, v
         numbers = numbers and type(v) == "number"
      end
   end
   if #list == 0 then error(("bad argument #2 to 'plot' (no parameter '%s')"):format(tostring(parameter)), 2) end
   local names = varying(list)
   drawing.ylabel = drawing.ylabel or metric
   if not numbers then
      drawing.xlabel = drawing.xlabel or table.concat(names, ", ")
      return bars(list, names, metric, spread, path, drawing)
   end
   drawing.xlabel = drawing.xlabel or parameter
   if drawing.logx == nil then drawing.logx = wants_log(values) end
   local series = series_of(list, parameter, names)
   if #series <= MOST_SERIES and #series * 2 <= math.max(2, #list) then
      local layers = lines(series, parameter, metric, spread)
      layers[#layers + 1] = room(values, drawing.logx)
      return plot.line(layers, path, drawing)
   end
   local x, y = {}, {}
   for _, g in ipairs(list) do
      for _, v in ipairs(g.values[metric]) do x[#x + 1], y[#y + 1] = g.parameters[parameter], v end
   end
   return plot.scatter(x, y, path, drawing)
end

return view
