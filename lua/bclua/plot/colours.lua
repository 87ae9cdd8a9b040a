--- Colours that look evenly spaced and that the colour-blind can tell apart.
-- @module bclua.plot.colours
local colours = {}

--- For lines and points: Okabe & Ito (2008), the darker ones first.
colours.lines = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442"}

--- Colour maps whose lightness rises in even steps: viridis (van der Walt & Smith
-- 2015), cividis (Nuñez, Anderton & Renslow 2018: nearly the same to those who see
-- no red or no green), at sixteen places between which
-- colours are mixed.
colours.maps = {
   viridis = {"#440154", "#481a6c", "#472f7d", "#414487", "#39568c", "#31688e", "#2a788e", "#23888e", "#1f988b",
      "#22a884", "#35b779", "#54c568", "#7ad151", "#a5db36", "#d2e21b", "#fde725"},
   cividis = {"#00224e", "#022c64", "#1b386d", "#34446c", "#46516c", "#575d6e", "#676a72", "#767777", "#858577",
      "#959376", "#a6a072", "#b7ae6c", "#c9bd63", "#dacb58", "#ecda4a", "#fee838"},
}

--- Red, green and blue, 0 to 255, of "#rrggbb"; of what is transparent ("#aarrggbb",
-- as gnuplot has it: ff cannot be seen) as it looks on grey.
function colours.rgb(hex)
   local a, r, g, b = hex:match("^#(%x?%x?)(%x%x)(%x%x)(%x%x)$")
   local clear = a == "" and 0 or tonumber(a, 16) / 255
   local function part(x) return math.floor(tonumber(x, 16) * (1 - clear) + 128 * clear + 0.5) end
   return part(r), part(g), part(b)
end

--- The colour of a map at a place from 0 to 1, as red, green and blue.
function colours.at(map, place)
   local stops = colours.maps[map]
   local x = math.max(0, math.min(1, place)) * (#stops - 1)
   local i = math.min(math.floor(x), #stops - 2)
   local r0, g0, b0 = colours.rgb(stops[i + 1])
   local r1, g1, b1 = colours.rgb(stops[i + 2])
   local t = x - i
   local function mix(a, b) return math.floor(a + (b - a) * t + 0.5) end
   return mix(r0, r1), mix(g0, g1), mix(b0, b1)
end

--- A map as gnuplot's `set palette` takes it.
function colours.gnuplot(map)
   local parts = {}
   for i, hex in ipairs(colours.maps[map]) do parts[i] = ("%d '%s'"):format(i - 1, hex) end
   return "set palette defined (" .. table.concat(parts, ", ") .. ")"
end

return colours
