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
      assert.is_nil(text:find("<script>alert", 1, true))
      assert.is_nil(text:find("<b>", 1, true))
      assert.matches("a &amp; b", text, 1, true)
   end)

   it("is one page: links to its sections, pictures and sounds inside", function()
      local folder = command.folder()
      local path = folder .. "/x.svg"
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
      command.remove(folder)
   end)

   it("puts numbers to the right and leaves nil empty", function()
      local r = report.new("t")
      r:table({"a", "b", "c"}, {{1, nil, "x"}, {"12.5 %", 1.23456e-7, "2"}})
      local text = r:text()
      local n = '<td class="number">'
      assert.matches(n .. "1</td>" .. n .. "</td><td>x</td>", text, 1, true)
      assert.matches(n .. "12.5 %</td>" .. n .. "1.235e-07</td><td>2</td>", text, 1, true)
   end)

   it("names a picture that is missing", function()
      local ok, message = report.new("t"):picture("/nowhere/x.png", "")
      assert.is_nil(ok)
      assert.matches("^/nowhere/x.png", message)
   end)
end)

describe("the report of a run", function()
   local browser = require "support.browser"
   local pipeline = require "bclua.workflow.pipeline"
   local dir, run, page

   -- One with a wide table, done before the report.
   local function experiment(folder)
      local out <close> = io.open("/dev/null", "w")
      local e = require("bclua.experiment").open{run = folder, name = "first", title = "Which came first?", out = out}
      local row, names = {}, {}
      for i = 1, 20 do
         names[i] = "column_" .. i
         row[names[i]] = i / 7
      end
      e:say("the experiment")
      e:table({row, row}, names)
      e:picture("line.svg", "a line", function(path) return plot.line({1, 2}, path) end)
      e:close()
   end

   setup(function()
      dir = command.folder()
      assert(require("bclua.data.dataset").make(dir .. "/data", {families = 2, species = 1, recordings = 8, short = 1,
         least_s = 12, most_s = 12.5}))
      command.write(dir .. "/small.lua", [[return {triplets = {samples = 12, shares = "sqrt", clip_distance = 1.5},
         network = {widths = {4, 4, 4, 4}, z = 8}, evaluate = {motifs = 3, splits = 2}, audit = {limit = 0},
         fit = {batch_size = 4, batches_per_round = 2, max_rounds = 1, validation_triplets = 4, lr = 3e-4}}]])
      experiment(dir .. "/a run")
      local getenv = os.getenv
      rawset(os, "getenv", function(name) return name == "BCLUA_QUIET" and "1" or getenv(name) end)
      local message
      run, message = pipeline.run({data = dir .. "/data", run = dir .. "/a run", config = dir .. "/small.lua",
         command = "bclua pipeline <&>"})
      rawset(os, "getenv", getenv)
      assert(run, message)
      page = command.read(run.report)
   end)

   teardown(function() command.remove(dir) end)

   it("takes in the experiments that were there before", function()
      assert.matches(">Nearest neighbours</h2>.*>Experiment: Which came first%?</h2>.*>Time</h2>", page)
      assert.matches("the experiment", page, 1, true)
   end)

   it("has every section and nothing from elsewhere", function()
      for _, name in ipairs({"Findings", "Map", "Motifs", "Recordings", "Examples", "Triplets",
         "Audit of the triplets", "Training", "Evaluation", "Nearest neighbours", "Time", "Settings"}) do
         assert.matches(">" .. name .. "</h2>", page, 1, true)
      end
      for address in page:gmatch('%f[%w]src="([^"]*)"') do assert.matches("^data:", address) end
      for address in page:gmatch('%f[%w]href="([^"]*)"') do
         assert.is_truthy(address:find("^#[sef]%d+$") or address == "data:,")
      end
      assert.is_nil(page:find("@import", 1, true) or page:find("url(", 1, true))
      assert.matches("that training did not see", page)
      assert.is_nil(page:find("no picture", 1, true))
   end)

   it("begins with what was recorded and found, and ends its first screen with command lines that work", function()
      local front = page:match('<h2 id="f1">Findings</h2>(.-)<h2 id="s1">')
      assert.is_truthy(front:find("<p>17 recordings of 2 species, %d min %d+ s of sound.</p>"))
      local _, cards = front:gsub('class="call"', "")
      assert.equal(2, cards)
      assert.is_truthy(front:find("<b>synfin1</b> %d+ likely calls? in %d+ recordings?"))
      assert.is_truthy(front:find("<p>The embedding names %d+ %%"))
      assert.is_truthy(front:find('<a href="#s1">Map</a>', 1, true))
      assert.equal(page:find(">Repeated calls</h2>", 1, true) ~= nil, front:find(">Repeated calls</a>", 1, true) ~= nil)
      local text = front:match("What to do next</h3>\n<pre>(.-)</pre>")
      assert.matches("\nbclua browse '" .. dir .. "/a run'\n", text:gsub("&#39;", "'"), 1, true)
      assert.matches("\nbclua embed predict [^\n]+ \\\n  %-%-output [^\n]+\n", text)
      local here = text:gsub("&#39;", "'"):gsub("\nbclua", "\n" .. command.quote(command.program))
      local out, status = command.shell("set -e\n" .. here:gsub("\n[^\n]* browse [^\n]*", ""))
      assert.equal(0, status, out)
      assert.matches("SYN%d+%.ogg", out)
   end)

   it("has the commands that repeat its steps, which find that all is done", function()
      local commands = require("bclua.workflow.summary.commands").list(run)
      assert.equal(7, #commands)
      for _, line in ipairs(commands) do
         assert.matches(report.escape(line), page, 1, true)
         local words = line:gsub("^bclua", command.quote(command.program))
         local out, status = command.shell("timeout 100 " .. words .. " </dev/null")
         assert.equal(0, status, line .. "\n" .. out)
      end
      local out = command.shell(commands[6]:gsub("^bclua", command.quote(command.program)))
      assert.matches("nothing left to do", out)
      assert.is_nil(commands[1]:find("--layout", 1, true))
      run.config.extract.layout = "files"
      local other = require("bclua.workflow.summary.commands").list(run)[1]
      run.config.extract.layout = "parts"
      assert.matches(" --layout files", other, 1, true)
   end)

   it("has a minute of a recording that is too long to be heard as a whole", function()
      local y = require("bclua.sampling").generator(1):normal(150 * 16000):copy("f32") * 0.01
      for _, at_s in ipairs{100, 120} do
         local call = y:slice(1, at_s * 16000 + 1, (at_s + 4) * 16000)
         for k = 1, #call do call[k] = call[k] + 0.3 * math.sin(k ^ 1.2 / 8) end
      end
      assert(require("bclua.system").mkdir(dir .. "/night/a"))
      assert(require("bclua.audio").save(dir .. "/night/a/1.flac", y, 16000))
      local getenv = os.getenv
      rawset(os, "getenv", function(name) return name == "BCLUA_QUIET" and "1" or getenv(name) end)
      local long = pipeline.run({data = dir .. "/night", run = dir .. "/night run"})
      rawset(os, "getenv", getenv)
      local text = command.read(long.report)
      assert.matches("a minute around the motif, from %d+%.0\u{A0}s", (text:gsub("<[^>]*>", " ")))
      assert.is_nil(text:find("whole recording", 1, true))
      assert.matches("whole recording", page, 1, true)
      assert.is_true(#text < 2e6)
   end)

   if not browser.program() then return pending("chromium is missing") end

   it("is whole in a browser: pictures, players, tables that sort; no wider than a phone", function()
      local found, said = browser.look(page, {360, 1000}, [[
         const d = page.page;
         const played = a => new Promise(done => {
            a.addEventListener("loadedmetadata", () => done(a.duration));
            a.addEventListener("error", () => done(a.error.message));
            a.load();
         });
         const table = d.querySelector("table.sorts"), button = table.querySelectorAll("th button")[2];
         const column = () => [...table.tBodies[0].rows].map(r => parseFloat(r.cells[2].textContent));
         button.focus();
         const focused = d.activeElement === button;
         button.click();
         const up = column(), ascending = button.parentNode.getAttribute("aria-sort");
         button.click();
         return {wide: page.wide, width: page.view.innerWidth, images: [...d.images].map(i => i.naturalWidth),
            players: await Promise.all([...d.querySelectorAll("audio")].map(played)),
            focused, up, ascending, down: column(), descending: button.parentNode.getAttribute("aria-sort"),
            unsorted: d.querySelectorAll("div:not(.listing) > .table > table:not(.sorts) th button").length};]])
      assert.equal("", said)
      assert.equal(360, found[1].width)
      for _, f in ipairs(found) do
         assert.is_false(f.wide)
         assert.is_true(#f.images >= 8)
         for _, width in ipairs(f.images) do assert.is_true(width > 0) end
         assert.is_true(#f.players >= 2 * 4 + 2 * 4)
         for _, seconds in ipairs(f.players) do assert.is_true(type(seconds) == "number" and seconds > 4, seconds) end
         assert.is_true(f.focused)
         assert.same({"ascending", "descending", 0}, {f.ascending, f.descending, f.unsorted})
         assert.equal(2, #f.up)
         assert.is_true(f.up[1] < f.up[2])
         assert.same({f.up[2], f.up[1]}, f.down)
      end
   end)

   it("plays calls; its tables filter and sort, its map is gone through by keys; all of it on a phone", function()
      local found, said = browser.look(page, {360, 1000}, [[
         const d = page.page, view = page.view, wait = ms => new Promise(done => setTimeout(done, ms));
         const played = [];
         view.Audio = class extends view.EventTarget {
            constructor(src) { super(); played.push(src); }
            play() { return Promise.resolve(); }
            pause() {}
         };
         const picture = d.querySelector(".call canvas"), button = d.querySelector(".call button");
         button.click();
         const on = button.className;
         button.click();
         const off = button.className;
         const listings = [...d.querySelectorAll(".listing")], motifs = listings.at(-1);
         const rows = () => motifs.querySelectorAll("tbody tr");
         const all = rows().length;
         const filter = motifs.querySelector("input");
         filter.value = "synfin1 ogg";
         filter.dispatchEvent(new view.Event("input"));
         const some = rows().length, heads = [...motifs.querySelectorAll("th")].map(h => h.textContent);
         const column = () => [...rows()].map(r => parseFloat(r.cells[heads.length - 1].textContent));
         motifs.querySelector("th:last-child button").click();
         const up = column();
         motifs.querySelector("th:last-child button").click();
         const down = column();
         motifs.querySelector(".play").click();
         const canvas = d.querySelector(".map canvas"), status = d.querySelector(".map .status");
         canvas.dispatchEvent(new view.KeyboardEvent("keydown", {key: "ArrowRight"}));
         await wait(50);
         const first = status.textContent;
         const choices = [...d.querySelectorAll(".choice button")].map(b => b.textContent);
         return {picture: picture.width, on, off, all, some, heads, up, down, first, choices, played,
            tables: listings.length, wide: page.wide};]])
      assert.equal("", said)
      for _, f in ipairs(found) do
         assert.is_true(f.picture > 50 and f.tables >= 1)
         assert.same({"playing", ""}, {f.on, f.off})
         assert.same({16, 8, false}, {f.all, f.some, f.wide})
         assert.equal("species recording motif (s)  twin (s)  distance", table.concat(f.heads, " "))
         assert.equal(8, #f.up)
         for i = 1, 8 do
            assert.is_true(i == 1 or f.up[i] >= f.up[i - 1])
            assert.is_true(i == 1 or f.down[i] <= f.down[i - 1])
         end
         assert.matches("^SYN%d+.ogg, [%d.]+ s, syn", f.first)
         assert.equal("species", f.choices[1] or "species")
         assert.matches("^data:audio/ogg", f.played[1])
         assert.matches("^%.%./data/train_audio/synfin1/SYN%d+%.ogg$", f.played[2])
         assert.matches("^%.%./data/train_audio/syn.*%.ogg$", f.played[3])
      end
   end)

   it("would be seen to be broken", function()
      local found, said = browser.look('<img src="data:image/png;base64,AA"><script>throw "oh"</script>' ..
         '<div style="width:2000px">x</div>', {360},
         "return {wide: page.wide, width: page.page.images[0].naturalWidth};")
      assert.same({{wide = true, width = 0}}, found)
      assert.matches("oh", said)
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
      assert.equal("/nowhere/b.png: No such file or directory", message)
      assert.error_matches(function() plot.bar({"a"}, {1}, dir .. "/b.gif") end, "must end with .png or .svg")
   end)

   it("says what to install where gnuplot is missing", function()
      local out = command.bclua({"-e", "print(require'bclua.plot'.bar({'a'}, {1}, '" .. dir .. "/x.png'))"},
         {env = "PATH=" .. dir})
      assert.matches("gnuplot%-nox", out)
   end)
end)
