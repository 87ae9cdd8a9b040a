--- Pictures, drawn by gnuplot: PNG and SVG files.
-- Every function takes the path of the picture last but one and an options table
-- last (`size = {width, height}` in pixels, `title`, labels), and returns true, or
-- nil and a message.
-- @module bclua.plot
local array = require "bclua.array"
local system = require "bclua.system"

local plot = {}

-- viridis (van der Walt & Smith, 2015): even steps to the eye, safe for the colour-blind
local PALETTE = "set palette defined (0 '#440154', 1 '#482878', 2 '#3e4989', 3 '#31688e', 4 '#26828e', " ..
   "5 '#1f9e89', 6 '#35b779', 7 '#6ece58', 8 '#b5de2b', 9 '#fde725')"
-- Okabe & Ito (2008)
plot.colours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}
local GREY = "#808080" -- axes and text: readable on light and on dark pages

local function quote(text) return "'" .. tostring(text):gsub("'", "''") .. "'" end
-- for titles: gnuplot would read markup in them
local function label(text) return quote(text) .. " noenhanced" end

--- Run gnuplot commands that draw into one picture.
-- @tparam {string,...} commands
-- @tparam string path ends with .png or .svg
-- @tparam[opt] table options `size`, `transparent` (default: true for SVG)
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message: what gnuplot said
function plot.render(commands, path, options)
   options = options or {}
   local kind = path:match("%.(%a+)$")
   local size = options.size or {900, 450}
   local terminals = {
      png = ("set terminal pngcairo size %d,%d font 'Sans,10' %s"):format(size[1], size[2],
         options.transparent and "transparent" or "background '#ffffff'"),
      svg = ("set terminal svg size %d,%d dynamic font 'sans-serif,12' %s"):format(size[1], size[2],
         options.transparent == false and "background '#ffffff'" or ""),
   }
   if not terminals[kind] then error("picture name must end with .png or .svg: " .. path, 2) end
   local temporary, complaints = path .. ".tmp." .. kind, os.tmpname()
   local pipe, message = io.popen("gnuplot >/dev/null 2>" .. complaints, "w")
   if not pipe then return nil, "gnuplot: " .. message end
   pipe:write(terminals[kind], "\nset output ", quote(temporary), "\n", "set encoding utf8\n",
      ("set border lc rgb '%s'\nset tics textcolor rgb '%s'\n"):format(GREY, GREY),
      ("set xlabel textcolor rgb '%s'\nset ylabel textcolor rgb '%s'\n"):format(GREY, GREY),
      ("set title textcolor rgb '%s'\nset key textcolor rgb '%s'\n"):format(GREY, GREY),
      table.concat(commands, "\n"), "\nunset output\n")
   local ok = pipe:close()
   local f = io.open(complaints)
   local said = f and f:read("a") or ""
   if f then f:close() end
   os.remove(complaints)
   if not ok then
      os.remove(temporary)
      if said:find("not found", 1, true) then said = "gnuplot is not installed (Debian package gnuplot-nox)" end
      return nil, "gnuplot: " .. (said:match("%S.*%S") or "failed")
   end
   ok, message = os.rename(temporary, path)
   if not ok then return nil, message end
   return true
end

-- Numbers that gnuplot reads from a file of raw float32; removed by `clean`.
local function data_file(a, kept)
   local path = os.tmpname()
   assert(system.write_file(path, a:copy("f32"):string()))
   kept[#kept + 1] = path
   return path
end

local function clean(kept) for _, path in ipairs(kept) do os.remove(path) end end

local function as_array(values)
   return array.is_array(values) and values or array.from(values, "f64")
end

--- Lines over a common x axis.
-- @tparam {table,...} series each `{x=, y=, title=}`, arrays or lists; `colour`, `width`
-- @tparam string path
-- @tparam[opt] table options `title`, `xlabel`, `ylabel`, `logx`, `logy`, `size`
function plot.line(series, path, options)
   options = options or {}
   local kept, curves = {}, {}
   for i, s in ipairs(series) do
      local x, y = as_array(s.x), as_array(s.y)
      local pairs_ = array.concat({x:reshape({#x, 1}):copy("f32"), y:reshape({#y, 1}):copy("f32")}, 2)
      curves[i] = ("%s binary format='%%float32%%float32' using 1:2 with lines lw %g lc rgb '%s' %s"):format(
         quote(data_file(pairs_, kept)), s.width or 2, s.colour or plot.colours[(i - 1) % #plot.colours + 1],
         s.title and "title " .. label(s.title) or "notitle")
   end
   local commands = {"set grid lc rgb '#b0b0b0' lw 0.5"}
   local function add(text) commands[#commands + 1] = text end
   if options.title then add("set title " .. label(options.title)) end
   if options.xlabel then add("set xlabel " .. quote(options.xlabel)) end
   if options.ylabel then add("set ylabel " .. quote(options.ylabel)) end
   if options.logx then add("set logscale x") end
   if options.logy then add("set logscale y") end
   add("plot " .. table.concat(curves, ", "))
   local ok, message = plot.render(commands, path, options)
   clean(kept)
   return ok, message
end

--- Horizontal bars, the first on top.
-- @tparam {string,...} names
-- @tparam {number,...} values
-- @tparam string path
-- @tparam[opt] table options `title`, `xlabel`, `size`
function plot.bar(names, values, path, options)
   options = options or {}
   local n = #names
   local commands = {"set style fill solid noborder", "set yrange [" .. n - 0.4 .. ":-0.6]",
      "set xrange [0:*]", "unset key", "set grid x lc rgb '#b0b0b0' lw 0.5", "$d << EOD"}
   for i = 1, n do
      commands[#commands + 1] = ('%d %.9g "%s"'):format(i - 1, values[i],
         tostring(names[i]):gsub('[\\"]', "\\%0"))
   end
   commands[#commands + 1] = "EOD"
   if options.title then commands[#commands + 1] = "set title " .. label(options.title) end
   if options.xlabel then commands[#commands + 1] = "set xlabel " .. quote(options.xlabel) end
   commands[#commands + 1] = ("plot $d using ($2*0.5):1:($2*0.5):(0.35):ytic(3) with boxxyerror lc rgb '%s'"):format(
      plot.colours[1])
   return plot.render(commands, path, options)
end

--- A histogram.
-- @tparam array|{number,...} values
-- @tparam string path
-- @tparam[opt] table options `bins` (30), `title`, `xlabel`, `ylabel`, `size`
function plot.hist(values, path, options)
   options = options or {}
   local a, bins = as_array(values), options.bins or 30
   local low, high = a:min(), a:max()
   if low == high then low, high = low - 0.5, low + 0.5 end
   local counts, width = {}, (high - low) / bins
   for i = 1, bins do counts[i] = 0 end
   for i = 1, #a do
      local bin = math.min(bins, math.floor((a[i] - low) / width) + 1)
      counts[bin] = counts[bin] + 1
   end
   local commands = {"set style fill solid 0.9 noborder", "set yrange [0:*]", "unset key",
      "set grid y lc rgb '#b0b0b0' lw 0.5", ("set boxwidth %.9g"):format(width * 0.94), "$d << EOD"}
   for i = 1, bins do commands[#commands + 1] = ("%.9g %d"):format(low + (i - 0.5) * width, counts[i]) end
   commands[#commands + 1] = "EOD"
   if options.title then commands[#commands + 1] = "set title " .. label(options.title) end
   if options.xlabel then commands[#commands + 1] = "set xlabel " .. quote(options.xlabel) end
   commands[#commands + 1] = "set ylabel " .. quote(options.ylabel or "count")
   commands[#commands + 1] = ("plot $d using 1:2 with boxes lc rgb '%s'"):format(plot.colours[1])
   return plot.render(commands, path, options)
end

local MOST_COLUMNS = 900 -- of a spectrogram: about one a pixel

-- Decibels below the loudest cell, (frequencies, frames), and their steps.
local function decibels(y, sample_rate)
   local spectral = require "bclua.spectral"
   local n_fft = 1024
   local hop = math.max(256, #y // MOST_COLUMNS)
   local power = spectral.spectrogram(y, {n_fft = n_fft, hop = hop})
   local db = spectral.power_to_db(power, {ref = "max", top_db = 70})
   return db, sample_rate / n_fft / 1000, hop / sample_rate
end

local function image(db, khz_step, s_step, kept)
   -- gnuplot reads the array row by row: one row a frequency
   return ("%s binary array=(%d,%d) format='%%float32' dx=%.9g dy=%.9g with image notitle"):format(
      quote(data_file(db, kept)), db:shape(2), db:shape(1), s_step, khz_step)
end

local function common_picture(add, options)
   add(PALETTE)
   add("unset colorbox\nset cbrange [-65:-5]")
   add("unset key")
   add("set tics out nomirror")
   if options.title then add("set title " .. label(options.title)) end
end

--- Spectrogram: time in seconds, frequency in kHz, decibels as colour.
-- @tparam array y mono samples
-- @tparam number sample_rate Hz
-- @tparam string path
-- @tparam[opt] table options `title`, `size`
function plot.spectrogram(y, sample_rate, path, options)
   options = options or {}
   local kept, commands = {}, {}
   local function add(text) commands[#commands + 1] = text end
   local db, khz, s = decibels(y, sample_rate)
   common_picture(add, options)
   add(("set xrange [0:%.6g]\nset yrange [0:%.6g]"):format(#y / sample_rate, sample_rate / 2000))
   add("set xlabel 'time (s)'\nset ylabel 'frequency (kHz)'")
   add("plot " .. image(db, khz, s, kept))
   local ok, message = plot.render(commands, path, options)
   clean(kept)
   return ok, message
end

-- Rectangles for windows that begin at these seconds.
local function mark(add, marks, first_tag)
   for i, m in ipairs(marks) do
      add(("set object %d rectangle from first %.6g, graph 0 to first %.6g, graph 1 front fillstyle empty " ..
         "border lc rgb '%s' lw 2"):format(first_tag + i, m.start_s, m.start_s + m.seconds, m.colour))
      add(("set label %d %s at first %.6g, graph 0.94 left offset 0.4,0 front textcolor rgb '%s'"):format(
         first_tag + i, quote(m.name), m.start_s, m.colour))
   end
end

--- Spectrogram above, matrix profile below, on one time axis, with the windows of
-- motif and discord marked.
-- @tparam array y mono samples
-- @tparam number sample_rate Hz
-- @tparam array distance matrix profile (squared distances)
-- @tparam string path
-- @tparam[opt] table options `cens_sample_rate` (10 frames a second), `window` (50
-- frames), `motif` {frame, frame}, `discord` frame, `title`, `size`
function plot.profile(y, sample_rate, distance, path, options)
   options = options or {}
   local rate, window = options.cens_sample_rate or 10, options.window or 50
   local marks = {}
   local function window_at(frame, name, colour)
      if frame then
         marks[#marks + 1] = {start_s = frame / rate, seconds = window / rate, name = name, colour = colour}
      end
   end
   window_at(options.motif and options.motif[1], "motif", "#d55e00")
   window_at(options.motif and options.motif[2], "motif", "#d55e00")
   window_at(options.discord, "discord", "#56b4e9")

   local kept, commands = {}, {}
   local function add(text) commands[#commands + 1] = text end
   local db, khz, s = decibels(y, sample_rate)
   common_picture(add, options)
   add(("set xrange [0:%.6g]\nset lmargin at screen 0.08\nset rmargin at screen 0.985"):format(#y / sample_rate))
   add("set multiplot")
   add("set tmargin at screen 0.92\nset bmargin at screen 0.42\nset format x ''")
   add(("set yrange [0:%.6g]\nset ylabel 'frequency (kHz)'"):format(sample_rate / 2000))
   mark(add, marks, 0)
   add("plot " .. image(db, khz, s, kept))
   add("unset title\nset tmargin at screen 0.38\nset bmargin at screen 0.12\nset format x '%g'")
   add("set xlabel 'time (s)'\nset ylabel 'distance²'\nset yrange [0:*]\nset grid y lc rgb '#b0b0b0' lw 0.5")
   for i = 1, #marks do add("unset label " .. i) end
   add(("plot %s binary array=(%d) dx=%.9g format='%%float32' using 1 with lines lw 1.5 lc rgb '%s' notitle"):format(
      quote(data_file(distance, kept)), #distance, 1 / rate, plot.colours[1]))
   add("unset multiplot")
   local ok, message = plot.render(commands, path, {size = options.size or {1000, 520},
      transparent = options.transparent})
   clean(kept)
   return ok, message
end

return plot
