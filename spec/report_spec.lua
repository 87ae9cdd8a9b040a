local command = require "support.command"
local plot = require "bclua.plot"
local report = require "bclua.report"
local array = require "bclua.array"

describe("report", function()
   it("encodes base64 as RFC 4648 has it", function()
      for text, expected in pairs({[""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==",
         fooba = "Zm9vYmE=", foobar = "Zm9vYmFy", ["\255\254\0"] = "//4A"}) do
         assert.equal(expected, report.base64(text))
      end
   end)

   it("lets no name become markup", function()
      local r = report.new("<b>")
      r:section("a & b")
      r:table({"<i>"}, {{"<script>alert(1)</script>"}})
      local text = r:text()
      assert.is_nil(text:find("<script>", 1, true))
      assert.is_nil(text:find("<b>", 1, true))
      assert.matches("a &amp; b", text, 1, true)
   end)

   it("is one page: links to its sections, pictures and sounds inside", function()
      local path = os.tmpname() .. ".svg"
      assert(plot.bar({"a"}, {1}, path))
      local r = report.new("t")
      r:section("first")
      assert.is_true(r:picture(path, "a picture"))
      r:players({{bytes = "OggS", type = "audio/ogg", caption = "a call"}})
      local text = r:text()
      assert.matches('href="#s1"', text, 1, true)
      assert.matches('id="s1"', text, 1, true)
      assert.matches("data:image/svg+xml;base64,", text, 1, true)
      assert.matches("data:audio/ogg;base64,T2dnUw==", text, 1, true)
      assert.is_nil(text:match('src="http'))
      os.remove(path)
   end)

   it("puts numbers to the right and leaves nil empty", function()
      local r = report.new("t")
      r:table({"a", "b", "c"}, {{1, nil, "x"}, {"12.5 %", 0.123456, "1x"}})
      local text = r:text()
      assert.matches('<td class="number">1</td><td></td><td>x</td>', text, 1, true)
      assert.matches('<td class="number">12.5 %</td><td class="number">0.1235</td><td>1x</td>', text, 1, true)
   end)

   it("names a picture that is missing", function()
      local ok, message = report.new("t"):picture("/nowhere/x.png", "")
      assert.is_nil(ok)
      assert.matches("^/nowhere/x.png", message)
   end)
end)

describe("plot", function()
   local dir
   setup(function() dir = command.folder() end)
   teardown(function() command.remove(dir) end)

   local function png_size(path)
      local width, height = string.unpack(">I4I4", command.read(path), 17)
      return {width, height}
   end

   local noise = array.zeros(32000 * 6)
   for i = 1, #noise, 7 do noise[i] = math.sin(i) end

   it("draws every kind of picture, PNG in the size asked for and SVG", function()
      local mp = array.arange(11, "f64")
      assert.is_true(plot.spectrogram(noise, 32000, dir .. "/s.png", {size = {300, 200}}))
      assert.same({300, 200}, png_size(dir .. "/s.png"))
      assert.is_true(plot.profile(noise, 32000, mp, dir .. "/p.png",
         {motif = {0, 5}, discord = 7, title = "a_b^c 'd'"}))
      assert.same({1000, 520}, png_size(dir .. "/p.png"))
      assert.is_true(plot.line({{x = {1, 2}, y = {2, 1}, title = "x_1"}}, dir .. "/l.svg", {xlabel = "step"}))
      assert.is_true(plot.bar({'a "b"', "c\\d"}, {1, 2}, dir .. "/b.svg", {title = "it's"}))
      assert.is_true(plot.hist({1, 1, 2}, dir .. "/h.svg"))
      assert.is_true(plot.hist({3, 3}, dir .. "/h1.svg"))
      assert.matches("x_1", command.read(dir .. "/l.svg"))
   end)

   it("reports a folder that is not there and a wrong ending", function()
      local ok, message = plot.bar({"a"}, {1}, "/nowhere/b.png")
      assert.is_nil(ok)
      assert.matches("gnuplot: ", message)
      assert.error_matches(function() plot.bar({"a"}, {1}, dir .. "/b.gif") end, "must end with .png or .svg")
   end)

   it("says what to install where gnuplot is missing", function()
      local out = command.bclua({"-e", "print(require'bclua.plot'.bar({'a'}, {1}, '" .. dir .. "/x.png'))"},
         {env = "PATH=" .. dir})
      assert.matches("gnuplot%-nox", out)
   end)
end)
