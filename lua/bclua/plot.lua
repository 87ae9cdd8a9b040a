--- Pictures: PNG and SVG files, drawn by gnuplot, and on the terminal.
--
-- Every function takes its data, then the path of the picture, which ends with
-- .png or .svg, and a table of options. Without a path the picture appears on the
-- terminal: by kitty's or sixel graphics where it has them, else by Unicode
-- characters. All options may be left out; those of every function are
--
--  * `title`, `xlabel`, `ylabel`: texts, with units
--  * `size`: {width, height} in pixels
--  * `transparent`: no background (true for SVG, false for PNG)
--  * `terminal`: "kitty", "sixel" or "blocks": show it so, rather than as the
--    terminal can (the variable `BCLUA_GRAPHICS` does the same)
--  * of "blocks": `columns`, `rows`; `colours`: "true", "256" or "none"
--  * `out`: a file that is written instead of stdout
--
-- and the result is true, or nil and a message. Of every function: values that are
-- NaN or infinite (on a logarithmic axis also those below 0 and 0) are left out, lines
-- have gaps there; a single value gets limits around it; without anything to draw
-- the picture has axes and says "no data".
--
-- Colour maps and colours are those of `bclua.plot.colours`: even steps to the eye,
-- safe for the colour-blind.
-- @module bclua.plot
-- @usage
-- plot.spectrogram(y, sample_rate)                -- on the terminal
-- plot.spectrogram(y, sample_rate, "call.png", {title = "XC1", size = {800, 300}})
local array = require "bclua.array"
local colours = require "bclua.plot.colours"
local curves = require "bclua.curves"
local data = require "bclua.plot.data"
local is_finite = require("bclua.numbers").is_finite
local options_of = require "bclua.options"

local plot = {}

--- The colours of lines, in order.
plot.colours = colours.lines

local COMMON = {
   title = "string",
   xlabel = "string",
   ylabel = "string",
   size = {"list", of = {"integer", least = 50, most = 20000}, items = "pixels", shortest = 2, longest = 2},
   transparent = "boolean",
   terminal = {"choice", {"kitty", "sixel", "blocks"}},
   columns = {"integer", least = 1},
   rows = {"integer", least = 1},
   colours = {"choice", {"true", "256", "none"}},
   out = "output",
}
local LOG = {"boolean", default = false}
local MAP = {"choice", {"cividis", "viridis"}, default = "viridis"}
local FRAMES_A_SECOND = {"number", above = 0, default = 10}

local function bad(message) error(message, 4) end

-- Path and options; both may be left out, so that a table can come first.
local function arguments(path, options, schema)
   if type(path) == "table" and options == nil then path, options = nil, path end
   if path ~= nil and type(path) ~= "string" then
      bad(("path of the picture: string expected, got %s"):format(type(path)))
   end
   options = options_of.check(options, schema, 4)
   if path and not (path:find("%.png$") or path:find("%.svg$")) then
      bad("picture name must end with .png or .svg: " .. path)
   end
   return path, options
end

local function draw(figure, path, options)
   figure.title, figure.size = options.title, options.size or figure.size or {900, 450}
   if path then
      return require("bclua.plot.gnuplot").draw(figure, path, path:match("%a+$"), figure.size, options.transparent)
   end
   return require("bclua.plot.screen").show(figure, options)
end

local function positive(a)
   a = a:copy()
   for i = 1, #a do
      if a[i] <= 0 then a[i] = 0 / 0 end
   end
   return a
end

-- One panel with the limits of its layers' x and y.
local function xy_panel(layers, options, share)
   local xs, ys, shown = {}, {}, {}
   for _, layer in ipairs(layers) do
      if options.logx then layer.x = positive(layer.x) end
      if options.logy then layer.y = positive(layer.y) end
      xs[#xs + 1], ys[#ys + 1] = layer.x, layer.y
      if data.limits({layer.x}) and data.limits({layer.y}) then shown[#shown + 1] = layer end
   end
   local x0, x1 = data.limits(xs, options.logx)
   local y0, y1 = data.limits(ys, options.logy)
   return {layers = shown, logx = options.logx, logy = options.logy, xlabel = options.xlabel, ylabel = options.ylabel,
      xrange = data.range(x0, x1, share, options.logx), yrange = data.range(y0, y1, 0.05, options.logy), grid = "xy"}
end

local function check_pair(x, y, name)
   if x:ndim() ~= 1 or y:ndim() ~= 1 or #x ~= #y then
      bad(("%s: x and y must be vectors of one length, got (%s) and (%s)"):format(name, table.concat(x:shape(), ", "),
         table.concat(y:shape(), ", ")))
   end
end

--- A schema of `bclua.options`: those of `line`.
plot.line_options = options_of.extend(COMMON, {logx = LOG, logy = LOG})

--- Lines over a common x axis.
-- @tparam array|{table,...} series an array of y values, or a list of `{y=, x=, title=,
-- colour=, width=}`, arrays or lists; without `x` the positions from 0
-- @tparam[opt] string path
-- @tparam[opt] table options also `logx`, `logy`
function plot.line(series, path, options)
   path, options = arguments(path, options, plot.line_options)
   if array.is_array(series) or type(series) == "table" and type(series[1]) == "number" then series = {{y = series}} end
   local layers, titled = {}, 0
   for i, s in ipairs(series) do
      local y = data.array(s.y, "y", 2)
      local x = s.x and data.array(s.x, "x", 2) or array.arange(#y, "f64")
      check_pair(x, y, "series " .. i)
      if not s.colour then titled = titled + 1 end
      layers[i] = {kind = "line", x = x, y = y, title = s.title, width = s.width,
         colour = s.colour or plot.colours[(titled - 1) % #plot.colours + 1]}
   end
   return draw({panels = {xy_panel(layers, options, 0)}}, path, options)
end

-- Colours and, when these are used up, shapes of groups of points: full, then empty circles, squares, triangles ...
-- No black, which cannot be seen on a dark page.
local GROUP_COLOURS = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6d3b", "#f0e442"}
local GROUP_SHAPES = {7, 5, 9, 13, 11, 6, 4, 8, 12, 10}
local REST = "#a0a0a0"
local MOST_ABOVE, MOST_LETTERS = 4, 40 -- names in a line above; more stand beside the picture

-- One layer a group, in order of their names, `rest` first and grey.
local function group_layers(members, names, options)
   local layers, i = {}, 0
   for _, name in ipairs(names) do
      local m = members[name]
      local layer = {kind = "points", x = array.from(m.x, "f64"), y = array.from(m.y, "f64"),
         title = options.groups and name or nil, size = options.point_size}
      if name == options.rest then
         layer.colour = REST
         table.insert(layers, 1, layer)
      else
         layer.colour = GROUP_COLOURS[i % #GROUP_COLOURS + 1]
         layer.shape = GROUP_SHAPES[i // #GROUP_COLOURS % #GROUP_SHAPES + 1]
         layers[#layers + 1], i = layer, i + 1
      end
   end
   return layers
end

local SCATTER = options_of.extend(plot.line_options, {groups = "table", rest = "string",
   point_size = {"number", above = 0}})

--- Points.
-- @tparam array|{number,...} x
-- @tparam array|{number,...} y
-- @tparam[opt] string path
-- @tparam[opt] table options also `groups`: a list with a name for each point, which
-- gives each group a colour, and where there are more than eight a shape; `rest`: the group that is grey;
-- `point_size` (0.7); `logx`, `logy`
function plot.scatter(x, y, path, options)
   path, options = arguments(path, options, SCATTER)
   x, y = data.array(x, "x", 2), data.array(y, "y", 2)
   check_pair(x, y, "points")
   local groups = options.groups
   if groups and #groups ~= #x then error(("option 'groups': %d names for %d points"):format(#groups, #x), 2) end
   local members, names = {}, {}
   for i = 1, #x do
      local name = groups and tostring(groups[i]) or ""
      if not members[name] then
         members[name] = {x = {}, y = {}}
         names[#names + 1] = name
      end
      local m = members[name]
      m.x[#m.x + 1], m.y[#m.y + 1] = x[i], y[i]
   end
   table.sort(names)
   local panel, size = xy_panel(group_layers(members, names, options), options, 0.04), {640, 520}
   local text = table.concat(names)
   local is_long = #names > MOST_ABOVE or (utf8.len(text) or #text) > MOST_LETTERS
   if groups and is_long then panel.key, size = "beside", {900, math.max(520, 90 + 18 * #names)} end
   return draw({panels = {panel}, size = size}, path, options)
end

--- Horizontal bars, the first on top.
-- @tparam {string,...} names
-- @tparam {number,...} values
-- @tparam[opt] string path
-- @tparam[opt] table options
function plot.bar(names, values, path, options)
   path, options = arguments(path, options, COMMON)
   values = data.array(values, "values", 2)
   if #names ~= #values then error(("%d names for %d values"):format(#names, #values), 2) end
   local boxes, tics, low, high = {}, {}, 0, 0
   for i = 1, #values do
      local v = values[i]
      tics[i] = {i - 1, tostring(names[i])}
      if is_finite(v) then
         boxes[#boxes + 1] = {math.min(0, v), math.max(0, v), i - 1.35, i - 0.65}
         low, high = math.min(low, v), math.max(high, v)
      end
   end
   local layers = #boxes > 0 and {{kind = "boxes", boxes = boxes, direction = "x", colour = plot.colours[1]}} or {}
   local room = high == low and 1 or (high - low) * 0.03
   return draw({size = {900, math.max(120, 80 + 22 * #values)}, panels = {{layers = layers, grid = "x", ytics = tics,
      xrange = {low < 0 and low - room or 0, high > 0 and high + room or low == 0 and 1 or 0},
      yrange = {#values - 0.4, -0.6}, xlabel = options.xlabel, ylabel = options.ylabel}}}, path, options)
end

local HIST = options_of.extend(COMMON, {bins = {"integer", least = 1, most = 10000, default = 30}})

--- A histogram of the finite values.
-- @tparam array|{number,...} values
-- @tparam[opt] string path
-- @tparam[opt] table options also `bins` (30)
function plot.hist(values, path, options)
   path, options = arguments(path, options, HIST)
   local bins = options.bins
   local a = data.array(values, "values", 2)
   a = a:reshape({a:size()})
   local low, high = data.limits({a})
   local layers, most = {}, 0
   if low then
      if low == high then low, high = low - 0.5, low + 0.5 end
      local counts, width, boxes = {}, (high - low) / bins, {}
      for i = 1, #a do
         local x = a[i]
         if is_finite(x) then
            local bin = math.max(1, math.min(bins, math.floor((x - low) / width) + 1))
            counts[bin] = (counts[bin] or 0) + 1
         end
      end
      for bin = 1, bins do
         local left = low + (bin - 1) * width
         if counts[bin] then
            boxes[#boxes + 1] = {left + width * 0.03, left + width * 0.97, 0, counts[bin]}
            most = math.max(most, counts[bin])
         end
      end
      layers[1] = {kind = "boxes", boxes = boxes, direction = "y", colour = plot.colours[1]}
   end
   return draw({panels = {{layers = layers, grid = "y", xrange = data.range(low, high, 0.02),
      yrange = {0, math.max(1, most * 1.05)}, xlabel = options.xlabel, ylabel = options.ylabel or "count"}}},
      path, options)
end

-- ---- Images ----

local function extent(start, step, n) return {start - step / 2, start + (math.max(1, n) - 0.5) * step} end

local function image_panel(m, o)
   local empty = m:size() == 0
   local limits, low, high = o.range, nil, nil
   if not empty then low, high = data.limits({m}) end
   if not limits then
      limits = {low or 0, high or 1}
      if limits[1] == limits[2] then limits = {limits[1] - 0.5, limits[1] + 0.5} end
   end
   local layers = {}
   if low then
      layers[1] = {kind = "image", data = m, x0 = o.x0, y0 = o.y0, dx = o.dx, dy = o.dy}
   end
   return {layers = layers, map = o.map, colour = limits, whole = o.whole, clabel = o.clabel, xlabel = o.xlabel,
      ylabel = o.ylabel, ytics = o.ytics, xtics = o.xtics, xrange = o.xrange or extent(o.x0, o.dx, m:shape(2)),
      yrange = o.yrange or extent(o.y0, o.dy, m:shape(1))}
end

local function names_as_tics(names, start, step)
   if not names then return nil end
   local tics = {}
   for i, name in ipairs(names) do tics[i] = {start + (i - 1) * step, tostring(name)} end
   return tics
end

local function check_matrix(m, name)
   if not array.is_array(m) then
      if type(m) ~= "table" then bad(("%s: an array or a list of lists expected, got %s"):format(name, type(m))) end
      m = array.from(m, "f32")
   end
   if m:ndim() ~= 2 then bad(("%s: two axes expected, got %d"):format(name, m:ndim())) end
   return m
end

local HEAT = options_of.extend(COMMON, {
   x0 = {"number", default = 0},
   y0 = {"number", default = 0},
   dx = {"number", default = 1},
   dy = {"number", default = 1},
   range = {"list", of = "number", items = "numbers", shortest = 2, longest = 2},
   label = "string",
   xnames = "table",
   ynames = "table",
   numbers = "string",
   map = MAP,
})

local MOST_COLUMNS = 2000 -- of an image: about one a pixel

--- A matrix as colours, the first row at the bottom.
-- @tparam array matrix (rows, columns); at most 2000 columns are drawn: of more,
--  neighbours become their mean
-- @tparam[opt] string path
-- @tparam[opt] table options also `x0`, `y0` (0): where the middle of the first column
--  and row is; `dx`, `dy` (1): their distance; `range`: {least, greatest} of the
--  colours; `label` of the colours, with its unit; `xnames`, `ynames` of columns and
--  rows; `numbers`: a format ("%.2f") in which values other than 0 stand in their cells; `map`: "viridis" or "cividis"
function plot.heat(matrix, path, options)
   path, options = arguments(path, options, HEAT)
   local m, k = check_matrix(matrix, "matrix"), 1
   local x0, y0, dx, dy = options.x0, options.y0, options.dx, options.dy
   local xrange = extent(x0, dx, m:shape(2))
   if m:size() > 0 then m, k = data.pool(m, MOST_COLUMNS) end
   local panel = image_panel(m, {x0 = x0 + (k - 1) / 2 * dx, y0 = y0, dx = dx * k, dy = dy, xrange = xrange,
      range = options.range, map = options.map, clabel = options.label,
      xlabel = options.xlabel, ylabel = options.ylabel,
      xtics = names_as_tics(options.xnames, x0, dx), ytics = names_as_tics(options.ynames, y0, dy)})
   if options.numbers and panel.layers[1] and k == 1 then
      panel.layers[1].cells, panel.layers[1].format = m, options.numbers
   end
   return draw({panels = {panel}, size = {760, 520}}, path, options)
end

local DIEL = options_of.extend(COMMON, {
   minutes = {"integer", default = 60, least = 1, most = 720,
      check = function(x) return 1440 % x ~= 0 and ("%d does not divide a day"):format(x) or nil end},
   recordings = {"list", of = "table"},
   latitude = {"number", least = -90, most = 90},
   longitude = {"number", least = -180, most = 180},
   timezone = {"string", check = function(zone) return select(2, require("bclua.data.zones").check(zone)) end},
   label = {"string", default = "count"},
   map = MAP,
})

local MOST_DATES = 7 -- that have room below a picture
local SUNRISE, SUNSET = "#e69f00", "#cc79a7"

--- When in the day, on which day: how many times fall into each hour, as colour, hours of the local clock from
-- midnight below to midnight above. With a place, lines of sunrise and sunset, where the time zone is known: as
-- `timezone` or from the times. Of very many days some share a column.
-- @tparam {string,...} times ISO 8601, as `clock_time` of our tables; those without a time of day do not count
-- @tparam[opt] string path
-- @tparam[opt] table options also `minutes` (60: of a row); `recordings`: `{recorded_at=, seconds=}`, hours in which
--  nothing was recorded stay empty; `latitude`, `longitude` (degrees); `timezone` ("Europe/Berlin"); `label` of the
--  colours ("count"); `map`
-- @usage plot.diel(sql.columns("select clock_time t from 'scores.parquet' where kind = 'call'").t, "calls.png")
function plot.diel(times, path, options)
   path, options = arguments(path, options, DIEL)
   if (options.latitude == nil) ~= (options.longitude == nil) then
      error("options 'latitude' and 'longitude' belong together", 2)
   end
   local diel = require "bclua.plot.diel"
   local t = diel.table(times, options)
   local step, hours = t.step, options.minutes / 60
   local _, most = nil, nil
   if t.n > 0 then _, most = data.limits({t.counts}) end
   local days, tics = math.max(1, t.columns * step), {}
   for hour = 0, 24, 3 do tics[#tics + 1] = {hour, ("%02d:00"):format(hour)} end
   local panel = image_panel(t.counts:copy("f32"), {x0 = (step - 1) / 2, dx = step, y0 = hours / 2, dy = hours,
      range = {0, math.max(1, most or 1)}, whole = true, map = options.map, clabel = options.label,
      xlabel = options.xlabel or "day", ylabel = options.ylabel or "hour of the day",
      xtics = diel.tics(t, MOST_DATES), ytics = tics, xrange = {-0.5, days - 0.5}, yrange = {0, 24}})
   if t.sun then
      for _, line in ipairs{{"sunset", t.sun.set, SUNSET}, {"sunrise", t.sun.rise, SUNRISE}} do
         panel.layers[#panel.layers + 1] = {kind = "line", x = t.sun.x, y = line[2], title = line[1], colour = line[3]}
      end
   end
   return draw({panels = {panel}, size = {900, 420}}, path, options)
end

local N_FFT, LEAST_HOP = 1024, 256

-- Power over time in at most so many columns, as decibels below the loudest cell; part by part, for a night of it
-- would take gigabytes.
local function decibels(y, n, sample_rate, most)
   local spectral = require "bclua.spectral"
   local hop = math.max(LEAST_HOP, math.min(N_FFT, n // most))
   local k = math.ceil((1 + n // hop) / most)
   local power, message = data.pool_parts(function(take)
      local block, source = y, y
      if array.is_array(y) then
         function source()
            local next_block = block
            block = nil
            return next_block
         end
      end
      return spectral.spectrogram(source, {n_fft = N_FFT, hop = hop, each = take})
   end, k)
   if not power then return nil, message end
   return spectral.power_to_db(power, {ref = "max", top_db = 70}), sample_rate / N_FFT / 1000, hop * k / sample_rate, k
end

-- Samples, or a reader of them, and how many there are.
local function check_samples(y, sample_rate)
   if type(sample_rate) ~= "number" or sample_rate ~= sample_rate or sample_rate <= 0 then
      bad(("sample rate: Hz above 0 expected, got %s"):format(tostring(sample_rate)))
   end
   if type(y) == "userdata" and not array.is_array(y) then
      local n = y:info().read_length
      if n then return y, n end
      n = 0
      for block in y.read, y, 1 << 16 do n = n + #block end
      return y, n
   end
   y = array.is_array(y) and y or data.array(y, "samples", 3)
   if y:ndim() ~= 1 then bad(("samples: one axis expected (mono), got %d"):format(y:ndim())) end
   return y:dtype() == "f32" and y or y:copy("f32"), #y
end

local function spectrogram_panel(y, n, sample_rate, options)
   local seconds = n / sample_rate
   local o = {range = {-65, -5}, clabel = "power (dB)", map = options.map, x0 = 0, dx = 1, y0 = 0, dy = 1,
      xlabel = options.xlabel or "time (s)", ylabel = options.ylabel or "frequency (kHz)",
      xrange = {options.start_s, options.start_s + (seconds > 0 and seconds or 1)}, yrange = {0, sample_rate / 2000}}
   local has_sound = n > 0 and (not array.is_array(y) or y:is_finite())
   if not has_sound then return image_panel(array.zeros({0, 0}), o) end
   local db, dy, dx, k = decibels(y, n, sample_rate, MOST_COLUMNS // 2)
   if not db then return nil, dy end
   o.dy, o.dx, o.x0 = dy, dx, options.start_s + dx / k * (k - 1) / 2
   local panel = image_panel(db, o)
   for _, layer in ipairs(panel.layers) do layer.peaks = true end
   return panel
end

local START = {"number", default = 0, least = 0}
local SPECTROGRAM = options_of.extend(COMMON, {map = MAP, start_s = START})

--- Spectrogram: time in seconds, frequency in kHz, as colour the power in decibels
-- below the loudest cell. Without samples, or with one that is not finite, it says
-- "no data". A reader is read block by block, in little memory.
-- @tparam array|reader y mono samples, or a reader from `audio.open`
-- @tparam number sample_rate Hz
-- @tparam[opt] string path
-- @tparam[opt] table options also `map`: "viridis" or "cividis"; `start_s` (0): time of the first sample
function plot.spectrogram(y, sample_rate, path, options)
   path, options = arguments(path, options, SPECTROGRAM)
   local samples, n = check_samples(y, sample_rate)
   local panel, message = spectrogram_panel(samples, n, sample_rate, options)
   if not panel then return nil, message end
   return draw({panels = {panel}, size = {900, 380}}, path, options)
end

local PITCHES = {"C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"}

local CHROMA = options_of.extend(COMMON, {cens_sample_rate = FRAMES_A_SECOND, map = MAP})

--- Chroma or CENS: pitch classes over time.
-- @tparam array c (12, frames)
-- @tparam[opt] string path
-- @tparam[opt] table options also `cens_sample_rate` (10 frames a second), `map`
function plot.chroma(c, path, options)
   path, options = arguments(path, options, CHROMA)
   c = check_matrix(c, "chroma")
   if c:shape(1) ~= 12 then error(("chroma: 12 rows expected, got %d"):format(c:shape(1)), 2) end
   local step, frames, k = 1 / options.cens_sample_rate, c:shape(2), 1
   if c:size() > 0 then c, k = data.pool(c, MOST_COLUMNS) end
   local _, high = nil, nil
   if c:size() > 0 then _, high = data.limits({c}) end
   local panel = image_panel(c, {x0 = step * k / 2, dx = step * k, y0 = 0, dy = 1, map = options.map,
      xrange = {0, math.max(1, frames) * step}, range = {0, high and high > 0 and high or 1}, clabel = "intensity",
      xlabel = options.xlabel or "time (s)", ylabel = options.ylabel or "pitch class",
      ytics = names_as_tics(PITCHES, 0, 1)})
   return draw({panels = {panel}, size = {900, 320}}, path, options)
end

local MOTIF, DISCORD = "#d55e00", "#cc79a7"

-- The windows to mark: those asked for, else the profile's own best.
local function marked(profile, options, rate, window)
   local motif, discord = options.motif, options.discord
   if profile and motif == nil and discord == nil then
      local stomp = require "bclua.stomp"
      local best, rare = stomp.motifs(profile, 1)[1], stomp.discords(profile, 1)[1]
      motif, discord = best and {best.at, best.twin}, rare and rare.at
   end
   local list, s = {}, options.start_s
   local function add(frame, name, colour)
      if frame then
         list[#list + 1] = {kind = "window", from = s + frame / rate, to = s + (frame + window) / rate, name = name,
            colour = colour}
      end
   end
   add(motif and motif[1], "motif", MOTIF)
   add(motif and motif[2], "motif", MOTIF)
   add(discord, "discord", DISCORD)
   return list
end

-- Names of windows that begin close to each other stand below one another.
local function stagger(list, start_s, seconds)
   local order = table.move(list, 1, #list, 1, {})
   table.sort(order, function(a, b) return a.from < b.from end)
   local free = {}
   for _, w in ipairs(order) do
      local level = 1
      while free[level] and w.from < free[level] do level = level + 1 end
      w.height = 0.94 - 0.1 * (level - 1)
      w.right = w.from > start_s + seconds * 0.92
      w.boxed = true
      free[level] = w.from + seconds * 0.1
   end
end

-- nil: the best; false: none.
local PROFILE = options_of.extend(CHROMA, {
   window = {"integer", least = 1}, start_s = START,
   motif = {"any", check = function(x) return x and type(x) ~= "table" and "{frame, frame} or false expected" end},
   discord = {"any", check = function(x) return x and type(x) ~= "number" and "a frame or false expected" end},
})

--- Spectrogram above, matrix profile below, on one time axis, with the windows of
-- motif and discord marked.
-- @tparam array|reader y mono samples, or a reader from `audio.open`
-- @tparam number sample_rate Hz
-- @tparam table|array profile from a join, or its distances (squared)
-- @tparam[opt] string path
-- @tparam[opt] table options also `cens_sample_rate` (10 frames a second), `window`
--  (the profile's, else 50 frames), `motif` {frame, frame}, `discord` frame (of a
--  profile, default: its best ones; false: none), `map`, `start_s` (0): time of the first sample and frame
function plot.profile(y, sample_rate, profile, path, options)
   path, options = arguments(path, options, PROFILE)
   local samples, n = check_samples(y, sample_rate)
   local whole = type(profile) == "table" and profile.distance and profile or nil
   local distance = data.array(whole and whole.distance or profile, "profile", 2)
   local rate, window = options.cens_sample_rate, options.window or whole and whole.window or 50
   local windows = marked(whole, options, rate, window)
   stagger(windows, options.start_s, n / sample_rate)
   local above, message = spectrogram_panel(samples, n, sample_rate, options)
   if not above then return nil, message end
   local below = xy_panel({{kind = "line", x = array.arange(#distance, "f64") / rate + options.start_s, y = distance,
      width = 1.5, colour = plot.colours[1]}}, {}, 0)
   below.xrange, below.yrange = above.xrange, {0, math.max(below.yrange[2], 1e-9)}
   above.share, above.names, below.names = 1.7, true, false
   below.xlabel, below.ylabel, above.xlabel = options.xlabel or "time (s)", "distance²", nil
   for _, panel in ipairs({above, below}) do
      local has_data = #panel.layers > 0
      for _, w in ipairs(has_data and windows or {}) do panel.layers[#panel.layers + 1] = w end
   end
   return draw({panels = {above, below}, size = {1000, 520}}, path, options)
end

-- ---- Curves of training ----

local function column(rows, name)
   local list = {}
   if type(rows[1]) == "table" then
      for i, row in ipairs(rows) do list[i] = type(row[name]) == "number" and row[name] or 0 / 0 end
   elseif rows[name] ~= nil then
      return data.array(rows[name], name, 3)
   end
   return data.array(list, name, 3)
end

local CURVE = options_of.extend(plot.line_options, {
   x = {"string", default = "step"},
   y = {"any", default = "loss", check = function(x)
      return type(x) ~= "string" and type(x) ~= "table" and "a name or a list of names expected" or nil
   end},
   smooth = {"integer", least = 1},
   test = {"boolean", default = false},
})

--- How a training went: each value in pale, over it the mean of those around it.
--
-- `{x = "learning_rate", test = true}` draws a learning-rate test: a logarithmic
-- axis, and the rate at which the loss falls fastest is marked.
-- @tparam {table,...} rows `{step=, loss=, ...}` as in metrics.jsonl, or a table of columns
-- @tparam[opt] string path
-- @tparam[opt] table options also `x` ("step"), `y` ("loss", or a list of names),
--  `smooth` (25 values; 1: none), `logx`, `logy`, `test`
-- @usage plot.curve(files.json_lines "runs/fit/metrics.jsonl", {y = {"loss_n", "loss_d"}})
function plot.curve(rows, path, options)
   path, options = arguments(path, options, CURVE)
   local names, x_name = options.y, options.x
   if type(names) == "string" then names = {names} end
   local steps = options.smooth or options.test and 5 or 25
   local x, pale, layers = column(rows, x_name), {}, {}
   for i, name in ipairs(names) do
      local y, c = column(rows, name), (i - 1) % #plot.colours + 1
      check_pair(x, y, name)
      if steps > 1 then
         pale[i] = {kind = "line", x = x, y = y, colour = plot.colours[c]:gsub("#", "#98"), width = 1}
      end
      layers[i] = {kind = "line", x = x, y = curves.smooth(y, steps), colour = plot.colours[c],
         title = #names > 1 and name:gsub("_", " ") or nil}
   end
   local fastest = options.test and layers[1] and curves.steepest(x, layers[1].y, steps // 2)
   local panel = xy_panel(table.move(layers, 1, #layers, #pale + 1, pale), {logx = options.logx or options.test,
      logy = options.logy, xlabel = options.xlabel or x_name:gsub("_", " "),
      ylabel = options.ylabel or #names == 1 and names[1]:gsub("_", " ") or nil}, 0)
   if fastest and #panel.layers > 0 then
      panel.layers[#panel.layers + 1] = {kind = "mark", at = x[fastest], colour = MOTIF, boxed = true,
         name = ("falls fastest at %.2g"):format(x[fastest])}
   end
   return draw({panels = {panel}, size = {900, 340}}, path, options)
end

return plot
