local array = require "bclua.array"
local audio = require "bclua.audio"
local cells = require "bclua.plot.cells"
local colours = require "bclua.plot.colours"
local command = require "support.command"
local data = require "bclua.plot.data"
local plot = require "bclua.plot"
local screen = require "bclua.plot.screen"

local NAN, INF = 0 / 0, 1 / 0

-- The bytes that a function writes to `out`.
local function written(draw)
   local f = assert(io.tmpfile())
   local ok, message = draw(f)
   assert.is_true(ok, message)
   f:seek("set")
   local text = f:read("a")
   f:close()
   return text
end

-- A picture of characters without colour, as lines.
local function blocks(draw, options)
   options = options or {}
   options.terminal, options.columns, options.rows = "blocks", options.columns or 40, options.rows or 12
   options.colours = options.colours or "none"
   local text = written(function(f)
      options.out = f
      return draw(options)
   end)
   local lines = {}
   for line in text:gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
   return text, lines
end

describe("plot", function()
   local dir
   setup(function() dir = command.folder() end)
   teardown(function() command.remove(dir) end)

   local function png_size(path)
      local width, height = string.unpack(">I4I4", command.read(path), 17)
      return {width, height}
   end

   local tone = array.zeros(16000)
   for i = 1, #tone do tone[i] = math.sin(i * 2 * math.pi * 2000 / 16000) end

   local kinds = {
      line = function(...) return plot.line({{y = {1, 3, 2}, title = "a"}, {y = {2, 2, 1}, title = "b"}}, ...) end,
      scatter = function(...) return plot.scatter({1, 2, 3}, {3, 1, 2}, ...) end,
      hist = function(...) return plot.hist({1, 2, 2, 3}, ...) end,
      bar = function(...) return plot.bar({"robin", "wren"}, {3, 5}, ...) end,
      heat = function(...) return plot.heat(array.from({{1, 2}, {3, 4}}), ...) end,
      curve = function(...) return plot.curve({{step = 1, loss = 3}, {step = 2, loss = 2}}, ...) end,
      chroma = function(...) return plot.chroma(array.full({12, 30}, 0.5), ...) end,
      spectrogram = function(...) return plot.spectrogram(tone, 16000, ...) end,
      diel = function(...) return plot.diel({"2023-05-14T04:30:00+02:00"}, ...) end,
      profile = function(...) return plot.profile(tone, 16000, array.arange(6), ...) end,
   }

   it("draws every kind as PNG and SVG of the size asked for, and on terminals", function()
      for name, draw in pairs(kinds) do
         local png, svg = ("%s/%s.png"):format(dir, name), ("%s/%s.svg"):format(dir, name)
         assert.is_true(draw(png, {size = {320, 240}, title = "a_b^c 'd'"}))
         assert.same({320, 240}, png_size(png), name)
         assert.is_true(draw(svg, {size = {320, 240}, title = "a_b^c 'd'"}))
         local text = command.read(svg)
         assert.matches('width="320" height="240"', text)
         assert.matches("a_b^c 'd'", (text:gsub("&apos;", "'"):gsub("&#39;", "'")), name)
         assert.matches("a_b%^c", (blocks(draw, {title = "a_b^c"})), name)
      end
      assert.equal("", (command.shell("ls " .. dir .. " | grep tmp")))
   end)

   it("takes no markup out of the names beside the bars", function()
      assert.is_true(plot.bar({"train_audio", "a^b"}, {1, 2}, dir .. "/bar.svg"))
      assert.matches("train_audio.*a%^b", command.read(dir .. "/bar.svg"))
   end)

   it("takes options alone, and checks them", function()
      assert.matches("time %(s%)", (blocks(function(o) return plot.line({1, 2}, o) end, {xlabel = "time (s)"})))
      local function fails(pattern, ...)
         local arguments = table.pack(...)
         assert.error_matches(function() plot.line({1, 2}, table.unpack(arguments, 1, arguments.n)) end, pattern)
      end
      fails("unknown option 'sise' %(did you mean 'size'%? known: colours, .*size", "x.png", {sise = {1, 2}})
      fails("option 'size%[1%]' must be an integer from 50 to 20000, got 10", "x.png", {size = {10, 10}})
      fails("option 'terminal' must be one of kitty, sixel, blocks, got 'tek'", {terminal = "tek"})
      fails("path of the picture: string expected, got number", 5)
      fails("picture name must end with %.png or %.svg: x%.gif", "x.gif")
      assert.error_matches(function() plot.heat({{1}}, {map = "jet"}) end,
         "option 'map' must be one of cividis, viridis, got 'jet'")
      assert.error_matches(function() plot.line({{x = {1}, y = {1, 2}}}, {}) end, "vectors of one length")
      assert.error_matches(function() plot.bar({"a"}, {1, 2}, {}) end, "1 names for 2 values")
      assert.error_matches(function() plot.scatter({1}, {1}, {groups = {}}) end, "0 names for 1 points")
      assert.error_matches(function() plot.chroma(array.zeros({3, 4}), {}) end, "12 rows expected, got 3")
      assert.error_matches(function() plot.spectrogram(array.zeros({2, 4}), 1, {}) end, "one axis expected")
      assert.error_matches(function() plot.spectrogram(tone, 0, {}) end, "Hz above 0 expected")
      assert.error_matches(function() plot.hist({1}, {bins = 0}) end,
         "option 'bins' must be an integer from 1 to 10000, got 0")
   end)

   it("writes the file that a link leads to, whatever the length of its name", function()
      for _, name in ipairs({"p.svg", ("n"):rep(250) .. ".png"}) do
         require("lfs").link("drawn", dir .. "/" .. name, true)
         assert(plot.line({1, 2}, dir .. "/" .. name))
         assert.equal("link", require("lfs").symlinkattributes(dir .. "/" .. name, "mode"))
         assert.matches(name == "p.svg" and "^<%?xml" or "^\x89PNG", command.read(dir .. "/drawn"))
         os.remove(dir .. "/drawn")
      end
   end)

   it("leaves nothing behind when it fails", function()
      local ok, message = plot.line({1, 2}, "/nowhere/x.png")
      assert.is_nil(ok)
      assert.equal("/nowhere/x.png: No such file or directory", message)
      local names, tmpname = {}, os.tmpname
      os.tmpname = function() -- luacheck: ignore
         names[#names + 1] = tmpname()
         return names[#names]
      end
      plot.heat(array.zeros({2, 2}), "/nowhere/x.svg")
      plot.heat(array.zeros({2, 2}), dir .. "/left.svg")
      os.tmpname = tmpname -- luacheck: ignore
      assert.is_true(#names >= 4)
      for _, name in ipairs(names) do assert.is_nil(io.open(name), name) end
   end)

   it("says no data where there is none to draw", function()
      local empty = {
         line = function(...) return plot.line({}, ...) end,
         nan = function(...) return plot.line({NAN, INF}, ...) end,
         log = function(...) return plot.line({0, -1}, ...) end,
         scatter = function(...) return plot.scatter({1}, {INF}, ...) end,
         hist = function(...) return plot.hist({}, ...) end,
         bar = function(...) return plot.bar({}, {}, ...) end,
         heat = function(...) return plot.heat(array.full({2, 2}, NAN), ...) end,
         none = function(...) return plot.heat(array.zeros({0, 0}), ...) end,
         chroma = function(...) return plot.chroma(array.zeros({12, 0}), ...) end,
         spectrogram = function(...) return plot.spectrogram(array.zeros({0}), 16000, ...) end,
         bad = function(...) return plot.spectrogram(array.full({2000}, NAN), 16000, ...) end,
         profile = function(...) return plot.profile(array.zeros({0}), 16000, array.zeros({0}), ...) end,
         curve = function(...) return plot.curve({}, ...) end,
      }
      for name, draw in pairs(empty) do
         local options = name == "log" and {logy = true} or {}
         assert.matches("no data", (blocks(draw, options)), name)
         local path = ("%s/empty-%s.svg"):format(dir, name)
         assert.is_true(draw(path, name == "log" and {logy = true} or {}))
         assert.matches("no data", command.read(path), name)
      end
   end)

   it("draws silence, one value and constants", function()
      for _, draw in ipairs({
         function(...) return plot.line({5}, ...) end,
         function(...) return plot.scatter({0}, {0}, ...) end,
         function(...) return plot.hist({3, 3}, ...) end,
         function(...) return plot.bar({"zero"}, {0}, ...) end,
         function(...) return plot.bar({"less"}, {-2}, ...) end,
         function(...) return plot.heat(array.full({1, 1}, 7), ...) end,
         function(...) return plot.spectrogram(array.zeros({8000}), 16000, ...) end,
         function(...) return plot.spectrogram(array.zeros({1}), 16000, ...) end}) do
         assert.is_nil((blocks(draw)):find("no data"))
         assert.is_true(draw(dir .. "/one.png"))
      end
   end)

   it("writes numbers into the cells of an image, light and dark, but no 0", function()
      assert.is_true(plot.heat({{0, 0.25}, {1, NAN}}, dir .. "/cells.svg", {numbers = "%.2f"}))
      local text = command.read(dir .. "/cells.svg")
      assert.is_truthy(text:find('fill="rgb%(255,255,255%)"[^>]*>%s*<text><tspan[^>]*>0%.25<'))
      assert.is_truthy(text:find('fill="black"[^>]*>%s*<text><tspan[^>]*>1%.00<') or
         text:find('fill="rgb%(0,0,0%)"[^>]*>%s*<text><tspan[^>]*>1%.00<'))
      assert.is_nil(text:find(">0%.00<") or text:lower():find(">nan<"))
   end)

   it("leaves gaps in lines for what is missing, and draws a lonely point", function()
      local _, lines = blocks(function(o) return plot.line({1, 1, NAN, NAN, 1, 1}, o) end)
      local drawn = 0
      for _, code in utf8.codes(table.concat(lines)) do
         if code > 0x2800 and code <= 0x28ff then drawn = drawn + 1 end
      end
      assert.is_true(drawn > 8 and drawn < 24, tostring(drawn))
      assert.is_true(plot.line({5}, dir .. "/point.svg"))
      assert.matches("<use xlink:href='#gpPt6' transform", command.read(dir .. "/point.svg"))
      assert.is_true(plot.line({1, 2, INF, 2, 1, NAN, 3, 1}, dir .. "/gaps.svg"))
      local path = command.read(dir .. "/gaps.svg"):match("<path stroke='rgb%(  0, 114, 178%)'  d='([^']*)'")
      assert.equal(3, select(2, path:gsub("M", "")))
   end)

   it("draws a recording that is read block by block as one in memory", function()
      local y = require("bclua.sampling").generator(1):normal(30 * 16000):copy("f32") * 0.1
      assert(audio.save(dir .. "/y.wav", y, 16000))
      y = audio.load(dir .. "/y.wav")
      local function pictures(sound, name)
         local profile, image = dir .. "/" .. name .. "-p.png", dir .. "/" .. name .. "-s.png"
         assert.is_true(plot.profile(sound, 16000, array.arange(200), profile, {motif = {5, 80}, discord = 120}))
         assert.is_true(plot.spectrogram(sound, 16000, image))
         return command.read(profile), command.read(image)
      end
      local reader <close> = audio.open(dir .. "/y.wav")
      assert.same({pictures(y, "memory")}, {pictures(reader, "reader")})
      command.write(dir .. "/nan.wav", "RIFF" .. string.pack("<I4", 40) .. "WAVEfmt " ..
         string.pack("<I4I2I2I4I4I2I2", 16, 3, 1, 16000, 64000, 4, 32) .. "data" .. string.pack("<I4ff", 8, 0, 0 / 0))
      local bad <close> = audio.open(dir .. "/nan.wav", {strict = true})
      local ok, message = plot.spectrogram(bad, 16000, dir .. "/bad.png")
      assert.is_nil(ok)
      assert.matches("nan.wav: sample 1 .* not finite", message)
   end)

   it("aligns the time axes of spectrogram and profile", function()
      assert.is_true(plot.profile(tone, 16000, array.arange(6), dir .. "/p.svg",
         {motif = {0, 3}, discord = 5, window = 2}))
      local text = command.read(dir .. "/p.svg")
      assert.matches("frequency %(kHz%)", text)
      assert.matches("power %(dB%)", text)
      assert.matches("time %(s%)", text)
      assert.is_true(select(2, text:gsub(">motif<", "")) > select(2, text:gsub(">discord<", "")))
      assert.matches(">discord<", text)
      local _, lines = blocks(function(o) return plot.profile(tone, 16000, array.arange(6), o) end,
         {motif = {1, 5}, discord = false, window = 2, rows = 20, columns = 60})
      local first
      for _, line in ipairs(lines) do
         local at = line:find("▏", 1, true)
         if at then
            at = utf8.len(line:sub(1, at - 1))
            first = first or at
            assert.equal(first, at)
         end
      end
      assert.equal(7 + math.floor(0.1 * 53), first)
   end)

   it("marks a profile's own motif and discord", function()
      local stomp = require "bclua.stomp"
      local x = require("bclua.sampling").generator(3):normal(60)
      for i = 0, 9 do x[45 + i] = x[10 + i] end
      local p = stomp.self_join(x, 8)
      local text = blocks(function(o) return plot.profile(array.full({16000 * 6}, 0.1), 16000, p, o) end,
         {columns = 80, rows = 20})
      assert.matches("motif", text)
      assert.matches("discord", text)
      text = blocks(function(o) return plot.profile(array.full({16000 * 6}, 0.1), 16000, p.distance, o) end)
      assert.is_nil(text:find("motif"))
   end)

   it("finds where a learning-rate test falls fastest", function()
      local rows = {}
      for i = 1, 60 do
         local rate = 10 ^ (-6 + i * 0.1)
         rows[i] = {learning_rate = rate, loss = 10 - 8 / (1 + math.exp(-4 * (math.log(rate, 10) + 3)))}
      end
      local text = blocks(function(o) return plot.curve(rows, o) end, {x = "learning_rate", test = true, columns = 70})
      assert.matches("falls fastest at 0%.001\n", text)
      assert.matches("learning rate", text)
   end)

   it("smooths a curve without shifting it, over what is there", function()
      local rows = {}
      for i = 1, 99 do rows[i] = {step = i, loss = i + (i % 2 == 0 and 8 or -8), other = i == 50 and 1 or nil} end
      local _, lines = blocks(function(o) return plot.curve(rows, o) end, {rows = 30, columns = 80})
      assert.matches("step", lines[#lines])
      assert.is_true(plot.curve(rows, dir .. "/c.svg", {y = {"loss", "other"}, smooth = 1}))
      assert.matches(">other<", command.read(dir .. "/c.svg"))
      assert.is_true(plot.curve({step = array.arange(5), loss = array.arange(5)}, dir .. "/c.png"))
   end)
end)

describe("plot on the terminal", function()
   it("speaks kitty's protocol", function()
      local text = written(function(f)
         return plot.line({1, 2}, {terminal = "kitty", out = f, size = {400, 300}})
      end)
      local first = text:match("^\27_Ga=T,f=100,m=1;([^\27]*)\27\\")
      assert.equal(4096, #first)
      assert.matches("^iVBORw0KGgo", first)
      assert.matches("\27_Gm=0;[^\27]+\27\\\n$", text)
      local whole = {}
      for part in text:gmatch("\27_G[^;]*;([^\27]*)\27\\") do whole[#whole + 1] = part end
      assert.equal(0, #table.concat(whole) % 4)
      assert.is_true(#whole > 1)
      assert.matches("^\27_Ga=T,f=100,m=0;QQ==\27\\$", screen.kitty("A"))
   end)

   it("speaks sixel", function()
      local text = written(function(f)
         return plot.line({1, 2}, {terminal = "sixel", out = f, size = {120, 90}})
      end)
      assert.matches('^\27Pq"1;1;120;90\n?#', text)
      assert.matches("\27\\\n$", text)
   end)

   it("understands what terminals say of themselves", function()
      assert.equal("kitty", screen.understand("\27_Gi=31;OK\27\\\27[?62;c"))
      assert.equal("sixel", screen.understand("\27[?62;4;6c"))
      assert.equal("sixel", screen.understand("\27[?4c"))
      assert.equal("blocks", screen.understand("\27[?62;14;44c"))
      assert.equal("blocks", screen.understand("\27_Gi=31;ENOTSUPPORTED\27\\\27[?1;2c"))
   end)

   local code = "print(require('bclua.plot.screen').kind(), require('bclua.plot.screen').colours())"

   it("takes characters without colour where there is no terminal", function()
      local clean = "BCLUA_GRAPHICS= KITTY_WINDOW_ID=1 TERM=xterm-kitty COLORTERM= NO_COLOR="
      assert.matches("^blocks\t", (command.bclua({"-e", code}, {env = clean})))
      assert.matches("^sixel\t", (command.bclua({"-e", code}, {env = "BCLUA_GRAPHICS=sixel"})))
      local out = command.bclua({"-e", "require('bclua.plot').heat({{1, 2}})"}, {env = clean})
      assert.is_nil(out:find("\27"))
      assert.matches("█", out)
   end)

   it("asks the terminal, and waits for no answer", function()
      local terminal = require "support.terminal"
      if not terminal.available() then return pending("no pseudo-terminal can be had") end
      local function asked(env, answer)
         local t = terminal.start({env = "BCLUA_GRAPHICS= TMUX= KITTY_WINDOW_ID= COLORTERM=truecolor " .. env})
         t:wait("explains\n> ")
         t:send("io.write('asked') print() " .. code .. "\n")
         t:wait("asked")
         if answer then t:wait("\27%[c") t:send(answer) end
         t:wait("%a+\ttrue\n")
         local text = t:text()
         t:send("\4")
         t:finish()
         return text:gsub("\27%[c", "\n"):match("\n(%a+)\ttrue\n")
      end
      assert.equal("sixel", asked("", "\27[?62;4c"))
      assert.equal("kitty", asked("KITTY_WINDOW_ID=3", nil))
      assert.equal("blocks", asked("TMUX=x", nil))
      assert.equal("blocks", asked("", nil))
   end)
end)

describe("pictures of characters", function()
   it("draw two pixels a cell in colour", function()
      local striped = array.from({{0}, {1}, {0}, {1}, {0}, {1}, {0}, {1}})
      local text = blocks(function(o) return plot.heat(striped, o) end,
         {colours = "true", columns = 30, rows = 6})
      assert.matches("\27%[38;2;253;231;37m\27%[48;2;68;1;84m▀", text)
      text = blocks(function(o) return plot.heat(array.from({{0, 1}, {1, 0}}), o) end,
         {colours = "256", columns = 30, rows = 6})
      assert.matches("\27%[38;5;%d+m\27%[48;5;%d+m▀", text)
      assert.is_nil(text:find("38;2;", 1, true))
   end)

   it("draw the first row of a matrix at the bottom, NaN blank", function()
      local _, lines = blocks(function(o) return plot.heat(array.from({{0, NAN}, {1, 1}}), o) end,
         {columns = 31, rows = 7})
      assert.matches("█+$", lines[2])
      assert.is_nil(lines[5]:find("█"))
   end)

   it("draw bars in eighths", function()
      local _, lines = blocks(function(o) return plot.bar({"a", "b"}, {10, 5}, o) end, {columns = 50, rows = 8})
      local widths = {}
      for _, line in ipairs(lines) do
         local name = line:match("([ab])┤")
         if name then widths[name] = select(2, line:gsub("█", "")) end
      end
      assert.is_true(math.abs(widths.a - 2 * widths.b) <= 1)
   end)

   it("keep within the columns they are given", function()
      for _, columns in ipairs({30, 57, 100}) do
         local _, lines = blocks(function(o) return plot.bar({("long "):rep(10), "ü"}, {1e6, 2}, o) end,
            {columns = columns, xlabel = ("x"):rep(60)})
         for _, line in ipairs(lines) do assert.is_true(utf8.len(line) <= columns, line) end
      end
   end)

   it("put a title, labels and round ticks", function()
      local text, lines = blocks(function(o) return plot.line({0, 10}, o) end,
         {title = "Title", xlabel = "time (s)", ylabel = "level (dB)"})
      assert.equal("  Title", lines[1])
      assert.equal("  level (dB)", lines[2])
      assert.matches("10┤", text)
      assert.matches(" 0┤", text)
      assert.matches("time %(s%)$", lines[#lines])
   end)

   it("draw what a figure says", function()
      local text = cells.draw({panels = {{layers = {}, xrange = {0, 1}, yrange = {0, 1}}}},
         {columns = 30, rows = 8, colours = "none"})
      assert.matches("no data", text)
   end)
end)

describe("the numbers of pictures", function()
   it("find limits of what is finite", function()
      assert.same({-1, 3}, {data.limits({array.from({NAN, 3, INF}, "f64"), array.from({-1}, "f64")})})
      assert.same({2, 2}, {data.limits({array.from({-1, 0, 2}, "f64")}, true)})
      assert.is_nil(data.limits({array.from({NAN}, "f64"), array.zeros({0}, "f64")}))
   end)

   it("give axes that are never empty", function()
      assert.same({0, 1}, data.range(nil, nil, 0.1))
      assert.same({1, 10}, data.range(nil, nil, 0.1, true))
      assert.same({4.5, 5.5}, data.range(5, 5, 0.1))
      assert.same({-1, 1}, data.range(0, 0, 0.1))
      assert.same({-1, 11}, data.range(0, 10, 0.1))
   end)

   it("keep the extremes of a line that is thinned", function()
      local y = array.zeros({100000}, "f64")
      y[54321], y[12345] = 7, -3
      local x, thin = data.thin(array.arange(100000, "f64"), y, 1000)
      assert.is_true(#thin <= 1100)
      assert.equal(7, thin:max())
      assert.equal(-3, thin:min())
      assert.equal(54320, x[thin:argmax()])
      assert.equal(y, (select(2, data.thin(y, y, 100000))))
   end)

   it("pool columns, and what is left in the last one", function()
      local m = array.from({{1, 3, 5, 7, 9}, {0, 0, 0, 0, 4}})
      local pooled, k = data.pool(m, 3)
      assert.equal(2, k)
      assert.same({{2, 6, 9}, {0, 0, 4}}, pooled:table())
      assert.equal(m, (data.pool(m, 5)))
      for _, widths in ipairs{{5}, {1, 1, 1, 1, 1}, {2, 3}, {4, 1}} do
         local parts = data.pool_parts(function(take)
            local at = 1
            for _, width in ipairs(widths) do
               take(m:slice(2, at, at + width - 1))
               at = at + width
            end
            return true
         end, 2)
         assert.same({{2, 6, 9}, {0, 0, 4}}, parts:table())
      end
      assert.same({nil, "damaged"}, {data.pool_parts(function() return nil, "damaged" end, 2)})
   end)

   it("choose round ticks", function()
      assert.same({0, 5, 10}, (data.ticks(0, 10, 3)))
      assert.same({0.2, 0.4}, (data.ticks(0.1, 0.5, 2)))
      assert.same({}, (data.ticks(1, 1, 3)))
   end)
end)

describe("colour maps", function()
   -- CIE 1976 lightness of an sRGB colour.
   local function lightness(r, g, b)
      local function linear(x)
         x = x / 255
         return x <= 0.04045 and x / 12.92 or ((x + 0.055) / 1.055) ^ 2.4
      end
      local y = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
      return y > 0.008856 and 116 * y ^ (1 / 3) - 16 or 903.3 * y
   end

   it("grow lighter in even steps", function()
      for map in pairs(colours.maps) do
         local steps = {}
         for i = 1, 15 do
            steps[i] = lightness(colours.at(map, i / 15)) - lightness(colours.at(map, (i - 1) / 15))
            assert.is_true(steps[i] > 4 and steps[i] < 6.5, ("%s %d: %.2f"):format(map, i, steps[i]))
         end
      end
   end)

   it("stay within themselves", function()
      assert.same({68, 1, 84}, {colours.at("viridis", -1)})
      assert.same({253, 231, 37}, {colours.at("viridis", 2)})
      assert.same({0, 114, 178}, {colours.rgb("#0072b2")})
      assert.same({64, 64, 64}, {colours.rgb("#80000000")})
   end)
end)
