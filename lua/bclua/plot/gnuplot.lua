--- Figures drawn by gnuplot: PNG, SVG and sixels.
--
-- A figure is `{title=, size=, panels=}`, panels one above the other on one x
-- axis; a panel `{layers=, xrange=, yrange=, ...}`; a layer an image, a line,
-- points, boxes or a marked window. `bclua.plot` makes them.
-- @module bclua.plot.gnuplot
local array = require "bclua.array"
local colours = require "bclua.plot.colours"
local data = require "bclua.plot.data"
local files = require "bclua.files"
local is_finite = require("bclua.numbers").is_finite
local system = require "bclua.system"

local gnuplot = {}

local GREY = "#808080" -- axes and text on no background: readable on light and on dark pages
local DARK = "#303030" -- on white
local GRID = "#c0808080" -- grey, three quarters transparent

local function quote(text) return "'" .. tostring(text):gsub("[%c]", " "):gsub("'", "''") .. "'" end
-- for titles: gnuplot would read markup in them
local function label(text) return quote(text) .. " noenhanced" end

-- Numbers that gnuplot reads from a file; removed by `clean`.
local function data_file(a, dtype, kept)
   local path = os.tmpname()
   kept[#kept + 1] = path
   assert(system.write_file(path, a:copy(dtype):string()))
   return quote(path)
end

local MOST_POINTS = 8000 -- of a line
local FEW = 6 -- whole numbers on the scale of colours, which would get fractions

local function pairs_file(layer, kept)
   local x, y = layer.x, layer.y
   if layer.kind == "line" then x, y = data.thin(x, y, MOST_POINTS) end
   return data_file(array.concat({x:reshape({#x, 1}), y:reshape({#y, 1})}, 2), "f64", kept) ..
      " binary format='%float64%float64' using 1:2"
end

local draw = {}

-- gnuplot draws no image of a single row or column: it becomes two of half the size.
local function at_least_two(layer)
   local m, l = layer.data, layer
   if m:shape(2) == 1 then
      m = array.concat({m, m}, 2)
      l = {x0 = l.x0 - l.dx / 4, dx = l.dx / 2, y0 = l.y0, dy = l.dy}
   end
   if m:shape(1) == 1 then
      m = array.concat({m, m}, 1)
      l = {x0 = l.x0, dx = l.dx, y0 = l.y0 - l.dy / 4, dy = l.dy / 2}
   end
   return m, l
end

function draw.image(layer, kept)
   local m, l = at_least_two(layer) -- gnuplot reads it row by row
   return ("%s binary array=(%d,%d) format='%%float32' origin=(%.9g,%.9g) dx=%.9g dy=%.9g with image notitle"):format(
      data_file(m, "f32", kept), m:shape(2), m:shape(1), l.x0, l.y0, l.dx, l.dy)
end

local function title_of(layer) return layer.title and "title " .. label(layer.title) or "notitle" end

function draw.points(layer, kept)
   return ("%s with points pt %d ps %g lc rgb '%s' %s"):format(pairs_file(layer, kept), layer.shape or 7,
      layer.size or 0.7, layer.colour, title_of(layer))
end

-- Is there nowhere a second point to draw a line to?
local function is_lonely(layer)
   local before = false
   for i = 1, math.min(#layer.y, MOST_POINTS) do
      local here = is_finite(layer.x[i]) and is_finite(layer.y[i])
      if here and before then return false end
      before = here
   end
   return #layer.y <= MOST_POINTS
end

function draw.line(layer, kept)
   if is_lonely(layer) then return draw.points(layer, kept) end
   return ("%s with lines lw %g lc rgb '%s' %s"):format(pairs_file(layer, kept), layer.width or 2, layer.colour,
      title_of(layer))
end

function draw.boxes(layer, kept)
   local rows = {}
   for i, b in ipairs(layer.boxes) do
      rows[i] = {(b[1] + b[2]) / 2, (b[3] + b[4]) / 2, b[1], b[2], b[3], b[4]}
   end
   return ("%s binary format='%%6float64' using 1:2:3:4:5:6 with boxxyerror fs solid noborder lc rgb '%s' %s"):format(
      data_file(array.from(rows, "f64"), "f64", kept), layer.colour, title_of(layer))
end

-- Numbers in the cells of an image, but 0: light on the dark half of the colours, dark on the other.
local function write_cells(add, layer, range)
   local m, middle, tag = layer.cells, (range[1] + range[2]) / 2, 1000
   for i = 1, m:shape(1) do
      for j = 1, m:shape(2) do
         local v = m:at(i, j)
         if v == v and v ~= 0 then
            tag = tag + 1
            add(("set label %d '%s' at first %.9g, first %.9g center front textcolor rgb '%s'"):format(tag,
               layer.format:format(v), layer.x0 + (j - 1) * layer.dx, layer.y0 + (i - 1) * layer.dy,
               v < middle and "#ffffff" or "#000000"))
         end
      end
   end
end

-- Windows and marks are objects and labels, not curves.
local function mark(add, layer, tag, has_name)
   if layer.kind == "window" then
      add(("set object %d rectangle from first %.9g, graph 0 to first %.9g, graph 1 front fillstyle empty " ..
         "border lc rgb '%s' lw 2"):format(tag, layer.from, layer.to, layer.colour))
   else
      add(("set arrow %d from first %.9g, graph 0 to first %.9g, graph 1 nohead front dashtype 2 lw 1.5 lc rgb '%s'")
         :format(tag, layer.at, layer.at, layer.colour))
   end
   if has_name and layer.name then
      local at, side = layer.from or layer.at, layer.right and "right offset -0.6,0" or "left offset 0.6,0"
      add(("set label %d %s at first %.9g, graph %.4g %s front textcolor rgb '%s'%s"):format(
         tag, label(layer.name), at, layer.height or 0.93, side, layer.colour,
         layer.boxed and " boxed" or ""))
   end
end

local function tics(axis, list)
   if not list then return ("set %stics autofreq enhanced"):format(axis) end
   local parts = {}
   for i, t in ipairs(list) do parts[i] = ("%s %.9g"):format(quote(t[2]), t[1]) end
   return ("set %stics (%s) noenhanced"):format(axis, table.concat(parts, ", "))
end

local function draw_axes(add, panel, last)
   add(("set xrange [%.9g:%.9g]\nset yrange [%.9g:%.9g]"):format(panel.xrange[1], panel.xrange[2], panel.yrange[1],
      panel.yrange[2]))
   add(panel.logx and "set logscale x" or "unset logscale x")
   add(panel.logy and "set logscale y" or "unset logscale y")
   add(tics("x", panel.xtics) .. (panel.xturned and " rotate by 90 right" or " norotate"))
   add(tics("y", panel.ytics))
   -- far apart, the ticks of a logarithmic axis are powers of ten
   local function format(range, logarithmic) return logarithmic and range[2] / range[1] > 1000 and "10^{%T}" or "%g" end
   add(("set format x '%s'"):format(last and format(panel.xrange, panel.logx) or ""))
   add(("set format y '%s'"):format(format(panel.yrange, panel.logy)))
   add(("set xlabel %s offset 0,0.2"):format(label(last and panel.xlabel or "")))
   add(("set ylabel %s"):format(label(panel.ylabel or "")))
   add("unset grid")
   for axis in (panel.grid or ""):gmatch(".") do
      add(("set grid %stics back lt 1 lc rgb '%s' lw 0.7"):format(axis, GRID))
   end
end

local function draw_panel(add, panel, last, place, kept)
   add("unset label\nunset object\nunset arrow\nunset colorbox")
   if place.title then
      add(("set label 1 %s at screen %.5g, screen %.5g left front"):format(
         label(place.title), place.left, place.title_y))
   end
   for side, at in pairs({t = place.top, b = place.bottom, l = place.left, r = place.right}) do
      add(("set %smargin at screen %.5g"):format(side, at))
   end
   draw_axes(add, panel, last)
   if panel.colour then
      add(colours.gnuplot(panel.map))
      add(("set cbrange [%.9g:%.9g]"):format(panel.colour[1], panel.colour[2]))
      add(("set colorbox user origin screen %.5g, screen %.5g size screen %.5g, screen %.5g"):format(
         place.right + place.px, place.bottom, place.px, place.top - place.bottom))
      add("set cblabel " .. label(panel.clabel or "") .. " offset 1.5,0") -- tics of three letters run into it without
      add(panel.whole and panel.colour[2] <= FEW and "set cbtics 1" or "set cbtics autofreq")
   end
   local curves = {}
   for i, layer in ipairs(panel.layers) do
      if draw[layer.kind] then
         curves[#curves + 1] = draw[layer.kind](layer, kept)
         if layer.cells then write_cells(add, layer, panel.colour) end
      else
         mark(add, layer, i + 1, panel.names ~= false)
      end
   end
   if #curves == 0 then
      add("set label 999 'no data' at graph 0.5, graph 0.5 center front")
      curves[1] = "NaN notitle"
   end
   add("plot " .. table.concat(curves, ", "))
end

local function has_key(panel)
   for _, layer in ipairs(panel.layers) do
      if layer.title then return true end
   end
   return false
end

local function letters(text) return utf8.len(text) or #text end

local function widest_of(list)
   local most = 0
   for _, t in ipairs(list or {}) do most = math.max(most, letters(t[2])) end
   return most
end

-- Names below a picture that would run into each other are turned; the letters that they then need.
local function turn_names(panel, width, letter)
   local widest = widest_of(panel.xtics)
   panel.xturned = widest > 0 and #panel.xtics * (widest + 1) * letter > width
   return panel.xturned and widest or 0
end

-- Pixels that a key beside the picture needs.
local function beside_width(figure, letter)
   local widest = 0
   for _, p in ipairs(figure.panels) do
      for _, layer in ipairs(p.key == "beside" and p.layers or {}) do
         widest = math.max(widest, layer.title and letters(layer.title) or 0)
      end
   end
   return widest > 0 and (widest + 5) * letter or 0
end

-- Margins in pixels, so that nothing is cut whatever the size.
local function layout(figure, width, height, letter)
   local widest, colourbar, clabel, share, key = 0, false, false, 0, false
   local beside = math.min(width * 0.5, beside_width(figure, letter))
   for _, p in ipairs(figure.panels) do
      widest = math.max(widest, widest_of(p.ytics))
      colourbar, clabel = colourbar or p.colour ~= nil, clabel or p.clabel ~= nil
      share = share + (p.share or 1)
      key = key or has_key(p)
   end
   local has_line = key and beside == 0 -- a key above
   local last = figure.panels[#figure.panels]
   local left = math.max(6, 1.15 * widest + 2.5) * letter + (figure.panels[1].ylabel and 3.4 * letter or 0)
   left = math.min(width * 0.5, left)
   local right = (colourbar and (clabel and 14 or 9) or 3.2) * letter + beside
   local top = 1.4 * letter + (figure.title and 2.8 * letter or 0) + (has_line and 2.6 * letter or 0)
   local bottom = (last.xlabel and 7.6 or 4.8) * letter
   bottom = bottom + math.min(height * 0.4, 1.15 * letter * turn_names(last, width - left - right, letter))
   local gap = 2 * letter
   local free = height - top - bottom - gap * (#figure.panels - 1)
   local places, y = {}, height - top
   for i, p in ipairs(figure.panels) do
      local h = free * (p.share or 1) / share
      places[i] = {left = left / width, right = 1 - right / width, top = y / height, bottom = (y - h) / height,
         px = 1.8 * letter / width}
      y = y - h - gap
   end
   places[1].title, places[1].title_y = figure.title, 1 - (2.2 * letter) / height
   if not key then return places end
   if beside > 0 then return places, {beside = true, x = 1 - (right - 1.5 * letter) / width, y = places[1].top} end
   return places, {x = 1 - right / width, y = (height - top + 1.4 * letter) / height}
end

--- The commands that draw a figure.
-- @tparam table figure
-- @tparam {integer,integer} size in pixels
-- @tparam number letter pixels that a letter is wide, about
-- @tparam boolean opaque is there a background?
-- @tparam {string,...} kept gets the names of files to remove
-- @treturn string
-- @treturn table where the axes of the first panel lie: `left`, `right`, `top`, `bottom`, shares of the picture from
-- its left and lower edge
function gnuplot.commands(figure, size, letter, opaque, kept)
   local ink = opaque and DARK or GREY
   local lines = {}
   local function add(text) lines[#lines + 1] = text end
   add("set encoding utf8")
   add(("set border lc rgb '%s'\nset tics out nomirror textcolor rgb '%s'"):format(ink, ink))
   for _, name in ipairs({"xlabel", "ylabel", "cblabel", "label", "key"}) do
      if name ~= "label" then add(("set %s textcolor rgb '%s'"):format(name, ink)) end
   end
   add("set style textbox opaque noborder")
   local places, key = layout(figure, size[1], size[2], letter)
   if key and key.beside then
      add(("set key at screen %.5g, screen %.5g left top vertical Left reverse maxrows 1000 samplen 0.6 spacing 0.95")
         :format(key.x, key.y))
   elseif key then
      add(("set key at screen %.5g, screen %.5g right center horizontal maxrows 1 samplen 1.5"):format(key.x, key.y))
   else
      add("unset key")
   end
   add("set multiplot")
   for i, panel in ipairs(figure.panels) do
      if i == 2 then add("unset key") end
      draw_panel(add, panel, i == #figure.panels, places[i], kept)
   end
   add("unset multiplot")
   local text = table.concat(lines, "\n"):gsub("(set label 1 [^\n]*)", "%1 textcolor rgb '" .. ink .. "'")
   return text, places[1]
end

local terminals = {
   png = "set terminal pngcairo size %d,%d font 'Sans,10' %s",
   svg = "set terminal svg size %d,%d dynamic font 'sans-serif,12' %s",
   sixel = "set terminal sixelgd size %d,%d truecolor font 'DejaVuSans,10' %s",
}

local function run(text)
   local scratch <close> = files.scratch()
   scratch[1] = os.tmpname()
   local complaints = scratch[1]
   local pipe <close>, message = io.popen("gnuplot >/dev/null 2>" .. complaints, "w")
   if not pipe then return nil, "gnuplot: " .. message end
   pipe:write(text)
   local ok = pipe:close()
   local f = io.open(complaints)
   local said = f and f:read("a") or ""
   if f then f:close() end
   if ok then return true end
   if said:find("not found", 1, true) then said = "gnuplot is not installed (Debian package gnuplot-nox)" end
   return nil, "gnuplot: " .. (said:match("%S.*%S") or "failed")
end

--- Draw a figure into a file, whole or not at all.
-- @tparam table figure
-- @tparam string path
-- @tparam string kind "png", "svg" or "sixel"
-- @tparam {integer,integer} size pixels
-- @tparam[opt] boolean transparent no background (default: of SVG)
-- @treturn[1] boolean true
-- @treturn[1] table where the axes lie, see `commands`
-- @treturn[2] nil
-- @treturn[2] string message: what gnuplot said
function gnuplot.draw(figure, path, kind, size, transparent)
   if transparent == nil then transparent = kind == "svg" end
   local background = transparent and (kind == "png" and "transparent" or "") or "background '#ffffff'"
   local kept <close> = files.scratch()
   local drawing = os.tmpname()
   kept[1] = drawing
   local letter = kind == "svg" and 7.6 or 7
   local drawn, commands, place = pcall(gnuplot.commands, figure, size, letter, not transparent, kept)
   local ok, message = nil, commands
   if drawn then
      ok, message = run(terminals[kind]:format(size[1], size[2], background) .. "\nset output " .. quote(drawing) ..
         "\n" .. commands .. "\nunset output\n")
   end
   local bytes
   if ok then bytes, message = files.read(drawing) end
   if not bytes then return nil, message end
   -- A browser would blur the cells of an image into each other.
   if kind == "svg" then bytes = bytes:gsub("<image ", "<image style='image-rendering:pixelated' ") end
   ok, message = system.write_file(path, bytes)
   if not ok then return nil, message end
   return true, place
end

return gnuplot
