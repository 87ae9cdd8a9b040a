--- Figures drawn with characters: two pixels of an image a cell (upper half block,
-- with colour before and behind), eight dots of a line or of points (Braille),
-- eighths of a bar.
-- @module bclua.plot.cells
local colours = require "bclua.plot.colours"
local data = require "bclua.plot.data"
local is_finite = require("bclua.numbers").is_finite

local cells = {}

local SHADES = {" ", "░", "▒", "▓", "█"} -- images without colour
local DOTS = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}} -- [row][column] of Braille
local RISING = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}
local GROWING = {"▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"}

-- ---- A canvas of cells: `{char=, fg=, bg=}`, colours as "r;g;b" ----

local function new_canvas(columns, rows)
   local c = {columns = columns, rows = rows}
   for i = 1, rows do c[i] = {} end
   return c
end

local function put(canvas, column, row, char, fg, bg)
   if column < 1 or column > canvas.columns or row < 1 or row > canvas.rows then return end
   local cell = canvas[row][column] or {}
   cell.char, cell.fg, cell.bg, cell.dots = char, fg or cell.fg, bg or cell.bg, nil
   canvas[row][column] = cell
end

local function write(canvas, column, row, text, fg)
   for _, code in utf8.codes(text, true) do
      put(canvas, column, row, utf8.char(code), fg)
      column = column + 1
   end
end

local function key_of(hex)
   local r, g, b = colours.rgb(hex)
   return ("%d;%d;%d"):format(r, g, b)
end

-- The nearest of the 6x6x6 colours that nearly every terminal has.
local function of_256(rgb)
   local r, g, b = rgb:match("(%d+);(%d+);(%d+)")
   local function step(x) return math.max(0, math.min(5, math.floor((tonumber(x) - 35) / 40 + 0.5))) end
   return 16 + 36 * step(r) + 6 * step(g) + step(b)
end

local function code(rgb, behind, depth)
   if depth == "256" then return (behind and "48;5;" or "38;5;") .. of_256(rgb) end
   return (behind and "48;2;" or "38;2;") .. rgb
end

local function render(canvas, depth)
   local lines = {}
   for row = 1, canvas.rows do
      local out, fg, bg = {}, nil, nil
      local last = canvas.columns
      while last > 0 and not canvas[row][last] do last = last - 1 end
      for column = 1, last do
         local cell = canvas[row][column] or {}
         local char = cell.dots and utf8.char(0x2800 + cell.dots) or cell.char or " "
         if depth ~= "none" and (cell.fg ~= fg or cell.bg ~= bg) then
            out[#out + 1] = "\27[0m"
            if cell.fg then out[#out + 1] = "\27[" .. code(cell.fg, false, depth) .. "m" end
            if cell.bg then out[#out + 1] = "\27[" .. code(cell.bg, true, depth) .. "m" end
            fg, bg = cell.fg, cell.bg
         end
         out[#out + 1] = char
      end
      if fg or bg then out[#out + 1] = "\27[0m" end
      lines[row] = table.concat(out)
   end
   return table.concat(lines, "\n")
end

-- ---- Layers ----

local function scale(range, logarithmic)
   local low, high = range[1], range[2]
   if logarithmic then
      low, high = math.log(low), math.log(high)
      return function(x) return x > 0 and (math.log(x) - low) / (high - low) or -1 end
   end
   return function(x) return (x - low) / (high - low) end
end

local draw = {}

-- The mean of the cells of m that a pixel covers, at least one; nil for none but NaN.
-- `peaks`: half-way to the greatest, so that a thin line does not drown.
local function sample(m, r0, r1, c0, c1, peaks)
   local sum, n, most = 0, 0, -math.huge
   for r = r0, r1 do
      for c = c0, c1 do
         local x = m:at(r, c)
         if x == x then sum, n, most = sum + x, n + 1, math.max(most, x) end
      end
   end
   if n > 0 then return peaks and (sum / n + most) / 2 or sum / n end
end

-- Which cells of an axis lie under a pixel between two values.
local function covered(from, to, start, step, n)
   local first = math.floor((from - start) / step + 0.5) + 1
   local last = math.ceil((to - start) / step + 0.5)
   if last < 1 or first > n then return nil end
   first, last = math.max(1, first), math.min(n, last)
   return first, math.max(first, math.min(last, first + 63))
end

function draw.image(canvas, panel, area, layer, depth)
   local m, limits = layer.data, panel.colour
   local x, y = panel.xrange, panel.yrange
   local width, height = area.columns, area.rows * 2
   local span = limits[2] > limits[1] and limits[2] - limits[1] or 1
   -- many columns under one cell are made one first: this runs cell by cell
   local k
   m, k = data.pool(m, width * 3)
   local x0, dx = layer.x0 + (k - 1) / 2 * layer.dx, layer.dx * k
   for j = 1, width do
      local from = x[1] + (j - 1) * (x[2] - x[1]) / width
      local c0, c1 = covered(from, from + (x[2] - x[1]) / width, x0, dx, m:shape(2))
      for i = 1, area.rows do
         local pixel = {}
         for half = 1, 2 do
            local p = height - ((i - 1) * 2 + half)
            local low, high = y[1] + p * (y[2] - y[1]) / height, y[1] + (p + 1) * (y[2] - y[1]) / height
            local r0, r1 = covered(low, high, layer.y0, layer.dy, m:shape(1))
            local v = c0 and r0 and sample(m, r0, r1, c0, c1, layer.peaks)
            pixel[half] = v and (v - limits[1]) / span
         end
         local column, row = area.left + j - 1, area.top + i - 1
         if depth == "none" then
            local v = pixel[1] and pixel[2] and (pixel[1] + pixel[2]) / 2 or pixel[1] or pixel[2]
            if v then put(canvas, column, row, SHADES[math.max(1, math.min(5, math.floor(v * 4.999) + 1))]) end
         else
            local function colour(v) return v and ("%d;%d;%d"):format(colours.at(panel.map, v)) end
            if pixel[1] then
               put(canvas, column, row, "▀", colour(pixel[1]), colour(pixel[2]))
            elseif pixel[2] then
               put(canvas, column, row, "▄", colour(pixel[2]))
            end
         end
      end
   end
end

local function dot(canvas, area, u, v, colour)
   if u < 0 or u >= area.columns * 2 or v < 0 or v >= area.rows * 4 then return end
   u, v = math.floor(u), area.rows * 4 - 1 - math.floor(v)
   local column, row = area.left + u // 2, area.top + v // 4
   local cell = canvas[row][column] or {}
   if not cell.dots then cell = {dots = 0} end
   cell.dots, cell.fg = cell.dots | DOTS[v % 4 + 1][u % 2 + 1], colour
   canvas[row][column] = cell
end

local function to_dots(panel, area, layer)
   local fx, fy = scale(panel.xrange, panel.logx), scale(panel.yrange, panel.logy)
   return function(i)
      local x, y = layer.x[i], layer.y[i]
      if not (is_finite(x) and is_finite(y)) then return nil end
      return fx(x) * (area.columns * 2 - 1), fy(y) * (area.rows * 4 - 1)
   end
end

function draw.points(canvas, panel, area, layer)
   local at, colour = to_dots(panel, area, layer), key_of(layer.colour)
   for i = 1, #layer.y do
      local u, v = at(i)
      if u then dot(canvas, area, u + 0.5, v + 0.5, colour) end
   end
end

function draw.line(canvas, panel, area, layer)
   local x, y = data.thin(layer.x, layer.y, area.columns * 8)
   local at, colour = to_dots(panel, area, {x = x, y = y}), key_of(layer.colour)
   local u0, v0
   for i = 1, #y do
      local u, v = at(i)
      if u and u0 then
         local steps = math.min(4000, math.max(1, math.ceil(math.max(math.abs(u - u0), math.abs(v - v0)))))
         for s = 0, steps do
            dot(canvas, area, u0 + (u - u0) * s / steps + 0.5, v0 + (v - v0) * s / steps + 0.5, colour)
         end
      elseif u then
         dot(canvas, area, u + 0.5, v + 0.5, colour)
      end
      u0, v0 = u, v
   end
end

function draw.boxes(canvas, panel, area, layer)
   local fx, fy = scale(panel.xrange), scale(panel.yrange)
   local colour = key_of(layer.colour)
   for _, b in ipairs(layer.boxes) do
      local x0, x1 = fx(b[1]) * area.columns, fx(b[2]) * area.columns
      local y0, y1 = fy(b[3]) * area.rows, fy(b[4]) * area.rows
      if x0 > x1 then x0, x1 = x1, x0 end
      if y0 > y1 then y0, y1 = y1, y0 end
      local flat = layer.direction == "x"
      local c0, c1 = math.floor(x0 + (flat and 0 or 0.5)), math.ceil(x1 - (flat and 0 or 0.5)) - 1
      local r0, r1 = math.floor(y0 + (flat and 0.5 or 0)), math.ceil(y1 - (flat and 0.5 or 0)) - 1
      if flat and r1 < r0 then r1 = r0 end
      if not flat and c1 < c0 then c1 = c0 end
      for c = math.max(0, c0), math.min(area.columns - 1, c1) do
         for r = math.max(0, r0), math.min(area.rows - 1, r1) do
            local part = flat and math.min(1, x1 - c) or not flat and math.min(1, y1 - r)
            local eighths = math.floor(part * 8 + 0.5)
            if eighths > 0 then
               put(canvas, area.left + c, area.top + area.rows - 1 - r, (flat and GROWING or RISING)[eighths], colour)
            end
         end
      end
   end
end

-- Both sides of a marked window, and its name.
function draw.window(canvas, panel, area, layer)
   local fx, colour = scale(panel.xrange), key_of(layer.colour)
   local first = area.left + math.floor(fx(layer.from) * area.columns)
   local last = area.left + math.min(area.columns - 1, math.floor(fx(layer.to) * area.columns))
   for row = area.top, area.top + area.rows - 1 do
      put(canvas, first, row, "▏", colour)
      put(canvas, last, row, "▕", colour)
   end
   if panel.names ~= false then write(canvas, first + 1, area.top, layer.name or "", colour) end
end

function draw.mark(canvas, panel, area, layer)
   local column = area.left + math.floor(scale(panel.xrange, panel.logx)(layer.at) * (area.columns - 1) + 0.5)
   for row = area.top, area.top + area.rows - 1 do put(canvas, column, row, "┊", key_of(layer.colour)) end
   local name = layer.name or ""
   local length = utf8.len(name) or #name
   write(canvas, column + 1 + length > area.left + area.columns and column - length or column + 1, area.top, name,
      key_of(layer.colour))
end

-- ---- Axes ----

local function number(x)
   local text = ("%.4g"):format(x):gsub("e([+-])0*(%d)", "e%1%2"):gsub("e%+", "e")
   return text == "-0" and "0" or text
end

local function ticks(range, logarithmic, count)
   local list = {}
   if logarithmic then
      for e = math.ceil(math.log(range[1], 10) - 1e-9), math.floor(math.log(range[2], 10) + 1e-9) do
         list[#list + 1] = {10.0 ^ e, number(10.0 ^ e)}
      end
      if #list > 1 then return list end
      list = {}
   end
   for _, x in ipairs((data.ticks(range[1], range[2], count))) do list[#list + 1] = {x, number(x)} end
   return list
end

local function draw_y(canvas, panel, area)
   local f = scale(panel.yrange, panel.logy)
   local taken = {}
   for _, t in ipairs(panel.ytics or ticks(panel.yrange, panel.logy, math.max(2, area.rows // 3))) do
      local place = f(t[1])
      local row = area.top + area.rows - 1 - math.floor(math.min(place, 0.99999) * area.rows)
      if place >= 0 and place <= 1 and not taken[row] then
         taken[row] = true
         local text = t[2]
         local length = utf8.len(text) or #text
         if length > area.left - 2 then
            text = text:sub(1, (utf8.offset(text, area.left - 2) or #text) - 1) .. "…"
            length = utf8.len(text)
         end
         write(canvas, area.left - 1 - length, row, text)
         put(canvas, area.left - 1, row, "┤")
      end
   end
   for row = area.top, area.top + area.rows - 1 do
      if not taken[row] then put(canvas, area.left - 1, row, "│") end
   end
end

local function draw_x(canvas, panel, area)
   local row, f, free = area.top + area.rows, scale(panel.xrange, panel.logx), 1
   put(canvas, area.left - 1, row, "└")
   for column = area.left, area.left + area.columns - 1 do put(canvas, column, row, "─") end
   for _, t in ipairs(panel.xtics or ticks(panel.xrange, panel.logx, math.max(2, area.columns // 12))) do
      local place = f(t[1])
      if place >= 0 and place <= 1 then
         local column = area.left + math.floor(math.min(place, 0.99999) * area.columns)
         local length = utf8.len(t[2]) or #t[2]
         local start = math.min(column - length // 2, canvas.columns - length + 1)
         if start >= free then
            put(canvas, column, row, "┬")
            write(canvas, start, row + 1, t[2])
            free = start + length + 1
         end
      end
   end
   if panel.xlabel then
      local length = utf8.len(panel.xlabel) or #panel.xlabel
      write(canvas, math.max(1, area.left + (area.columns - length) // 2), row + 2, panel.xlabel)
   end
end

-- Names of lines with their colours, and what the colours of an image mean.
local function legend(canvas, panel, row, depth)
   local column = 3
   for _, layer in ipairs(panel.layers) do
      if layer.title then
         write(canvas, column, row, "━━ ", key_of(layer.colour))
         write(canvas, column + 3, row, layer.title)
         column = column + 5 + (utf8.len(layer.title) or #layer.title)
      end
   end
   if panel.colour then
      local low = number(panel.colour[1]) .. " "
      write(canvas, column, row, low)
      column = column + #low
      for i = 0, 15 do
         if depth == "none" then
            put(canvas, column + i, row, SHADES[math.floor(i / 15 * 4 + 1)])
         else
            put(canvas, column + i, row, "█", ("%d;%d;%d"):format(colours.at(panel.map, i / 15)))
         end
      end
      write(canvas, column + 17, row, number(panel.colour[2]) .. " " .. (panel.clabel or ""))
      column = column + 20
   end
   return column > 3
end

local function has_legend(panel)
   for _, layer in ipairs(panel.layers) do
      if layer.title then return true end
   end
   return panel.colour ~= nil
end

local function gutter(figure)
   local widest = 5
   for _, panel in ipairs(figure.panels) do
      for _, t in ipairs(panel.ytics or ticks(panel.yrange, panel.logy, 6)) do
         widest = math.max(widest, utf8.len(t[2]) or #t[2])
      end
   end
   return math.min(widest, 24) + 2
end

--- A figure as text.
-- @tparam table figure
-- @tparam table options `columns`, `rows`, `colours` ("true", "256" or "none")
-- @treturn string lines, without a new line at the end
function cells.draw(figure, options)
   local columns, depth = math.max(30, options.columns), options.colours
   local last = figure.panels[#figure.panels]
   local left = gutter(figure)
   local above, share = figure.title and 1 or 0, 0
   for _, panel in ipairs(figure.panels) do
      share = share + (panel.share or 1)
      above = above + ((panel.ylabel or has_legend(panel)) and 1 or 0)
   end
   local free = math.max(4 * #figure.panels, options.rows - above - (last.xlabel and 3 or 2))
   local heights, total = {}, 0
   for i, panel in ipairs(figure.panels) do
      heights[i] = math.max(3, math.floor(free * (panel.share or 1) / share))
      total = total + heights[i]
   end
   local canvas = new_canvas(columns, total + above + (last.xlabel and 3 or 2))
   local row = 1
   if figure.title then
      write(canvas, 3, row, figure.title)
      row = row + 1
   end
   for i, panel in ipairs(figure.panels) do
      if panel.ylabel or has_legend(panel) then
         if panel.ylabel then write(canvas, 3, row, panel.ylabel) end
         local shifted = new_canvas(columns, 1)
         if legend(shifted, panel, 1, depth) then
            local by = panel.ylabel and (utf8.len(panel.ylabel) or #panel.ylabel) + 3 or 0
            for column, cell in pairs(shifted[1]) do
               if column + by <= columns then canvas[row][column + by] = cell end
            end
         end
         row = row + 1
      end
      local area = {left = left + 1, top = row, columns = columns - left, rows = heights[i]}
      for _, layer in ipairs(panel.layers) do draw[layer.kind](canvas, panel, area, layer, depth) end
      if #panel.layers == 0 then
         write(canvas, area.left + (area.columns - 7) // 2, area.top + area.rows // 2, "no data")
      end
      draw_y(canvas, panel, area)
      row = row + heights[i]
      if i == #figure.panels then draw_x(canvas, panel, area) end
   end
   return render(canvas, depth)
end

return cells
