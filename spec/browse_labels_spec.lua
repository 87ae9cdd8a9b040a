-- browse with labels: marks on the pictures of recordings, and a list that plays them.
local browse = require "bclua.workflow.browse"
local browse_server = require "bclua.workflow.browse.server"
local browser = require "support.browser"
local command = require "support.command"
local mined = require "support.mined"
local sql = require "bclua.sql"

local NASTY = "<img src=x onerror=alert(1)>'\"&;\n\t\u{202E}"
local m, dir, long, short, bare
local TYPES = {source_name = "varchar", start_s = "double", end_s = "double", low_hz = "double", high_hz = "double",
   label = "varchar", score = "double"}
local COLUMNS = {"source_name", "start_s", "end_s", "low_hz", "high_hz", "label", "score"}

-- One recording with a motif and one without have labels, another with a motif has none.
setup(function()
   m = mined.get()
   assert(require("bclua.files").write_json(m.dir .. "/config.json", {data = m.data}))
   for _, row in ipairs(browse.open({run = m.dir}).recordings) do
      if not row.motif_0 then short = short or row elseif not long then long = row else bare = bare or row end
   end
end)
teardown(mined.remove)
before_each(function() dir = command.folder() end)
after_each(function() command.remove(dir) end)

local function write(rows)
   local path = dir .. "/labels.parquet"
   assert(sql.write_parquet(path, rows, {types = TYPES, order = COLUMNS}))
   return path
end

local function label(row, start_s, end_s, name, more)
   local t = {source_name = row.source_name, start_s = start_s, end_s = end_s, label = name}
   for k, v in pairs(more or {}) do t[k] = v end
   return t
end

-- A page of the run with these labels, the token taken out.
local function page(path, rows)
   local b = assert(browse.open({run = m.dir, labels = rows and write(rows)}))
   local s = browse_server.new(b, 8080)
   local status, _, body = s:handle({method = "GET", path = path, query = {}, headers = {host = "127.0.0.1:8080"},
      body = ""})
   assert.equal(200, status)
   return (body:gsub(s.token, "TOKEN"))
end

local function items(body)
   local list = {}
   for item in body:match('id="labels".->(.*)</ul>'):gmatch("<li.-</li>") do list[#list + 1] = item end
   return list
end

describe("labels of a run", function()
   it("are those of its recordings; the others are counted", function()
      local path = write{label(long, 1, 2, "a"), label(short, 0, 1, "b"), label({source_name = "x/gone.wav"}, 1, 2),
         label({source_name = "x/gone.wav"}, 3, 4), label({source_name = "y/lost.wav"}, 3, 4)}
      local out, status = command.shell(("%s -e %s 2>&1"):format(command.quote(command.program), command.quote(
         ("require('bclua.workflow.browse.server').run{run = %q, labels = %q, ready = function() os.exit(0) end}")
         :format(m.dir, path))))
      assert.same({("browse: %s: 2 labels of 2 recordings\nbrowse: %s: 3 labels of 2 recordings that are not " ..
         "in the table\n"):format(path, path), 0}, {out, status})
   end)

   it("have to be there, a table, and some of them of these recordings", function()
      for text, path in pairs({["no such file"] = dir .. "/none.parquet",
         ["column 'end_s'"] = command.write(dir .. "/a.csv", "source_name,start_s\nx,1\n"),
         ["none of its labels"] = write{label({source_name = "x/gone.wav"}, 1, 2)}}) do
         local b, message = browse.open({run = m.dir, labels = path})
         assert.is_nil(b)
         assert.matches(path, message, 1, true)
         assert.matches(text, message:lower(), 1, true)
      end
      local out, status = command.shell(("%s scripts/browse.lua %s --labels %s/none.parquet 2>&1"):format(
         command.quote(command.program), m.dir, dir))
      assert.matches("^browse: .*none%.parquet: ", out)
      assert.equal(1, status)
   end)

   it("are a list: when, what, which band, how sure", function()
      local list = items(page("/recording/" .. long.id, {label(long, 3.25, 3.25, "point"), label(long, 1.25, 2.5,
         "call", {low_hz = 2000, high_hz = 4500.5, score = 0.875}), label(long, 2, 3, nil, {low_hz = 500})}))
      assert.same({'<li data-start="1.25" data-end="2.5" data-low="2000" data-high="4500.5"><button>1.2 to 2.5 s' ..
         '</button><strong class="name">call</strong><span class="note">2000 to 4500 Hz, score 0.875</span></li>',
         '<li data-start="2" data-end="3" data-low="500"><button>2.0 to 3.0 s</button><strong class="name">no text' ..
         '</strong><span class="note">500 to 16000 Hz</span></li>',
         '<li data-start="3.25" data-end="3.25"><button>3.2 s</button><strong class="name">point</strong>' ..
         '<span class="note"></span></li>'}, list)
   end)

   it("are no markup and not long, whatever they say", function()
      local list = items(page("/recording/" .. long.id, {label(long, 1, 2, NASTY), label(long, 2, 3,
         ("é"):rep(2000))}))
      assert.matches("&lt;img src=x onerror=alert(1)&gt;&#39;&quot;&amp;;\\n\\t\\u{202e}</strong>", list[1],
         1, true)
      assert.matches(">" .. ("é"):rep(60) .. "…<", list[2], 1, true)
   end)

   it("that begin past the end are said to, and cannot be played", function()
      local list = items(page("/recording/" .. short.id, {label(short, 1, 2, "in"), label(short, 400, 401, "out")}))
      assert.is_nil(list[1]:find("disabled", 1, true))
      assert.matches("<button disabled>400.0 to 401.0 s</button>.*past the end of the recording", list[2])
   end)

   it("are no more on a page than it bears, and it says so", function()
      local rows = {}
      for i = 1, 2003 do rows[i] = label(long, i / 1000, i / 1000 + 0.1, "x") end
      local body = page("/recording/" .. long.id, rows)
      assert.equal(2000, #items(body))
      assert.matches("The first 2000 of 2003 labels", body, 1, true)
   end)

   it("are counted in the list of recordings; pages without are as without any", function()
      local rows = {label(long, 1, 2, "a"), label(long, 2, 3, "b"), label(short, 0, 1, "c")}
      assert.equal(page("/recording/" .. bare.id), page("/recording/" .. bare.id, rows))
      local counts = {}
      for id, n in page("/", rows):gmatch('href="/recording/(%d+)">[^\n]*, (%d+) labels?[^\n]*\n') do
         counts[tonumber(id)] = tonumber(n)
      end
      assert.same({[long.id] = 2, [short.id] = 1}, counts)
      assert.is_nil(page("/"):find("label</span>", 1, true))
      assert.is_nil(page("/recording/" .. long.id):find('id="labels"', 1, true))
   end)
end)

describe("labels in a browser", function()
   if not browser.program() then return pending("chromium is missing") end

   local HELP = browser.help .. [[
      const marks = [...d.querySelectorAll(".label")], names = marks.map(mark => mark.firstChild);
      const stage = d.getElementById("stage").getBoundingClientRect();
      const box = mark => {
         const b = mark.getBoundingClientRect();
         return {left: (b.left - stage.left) / stage.width, right: (b.right - stage.left) / stage.width,
            top: (b.top - stage.top) / stage.height, bottom: (b.bottom - stage.top) / stage.height};
      };
      const playing = () => new URL(d.getElementById("player").src || "http://x/").pathname;
   ]]

   local function look(row, rows, script)
      local b = assert(browse.open({run = m.dir, labels = write(rows)}))
      local found, said = browser.visit(function(port)
         local s = browse_server.new(b, port)
         return function(request) return s:handle(request) end
      end, "/recording/" .. row.id, {360}, HELP .. script)
      assert.equal("", said)
      return found[1]
   end

   it("lie where the picture has their time and band", function()
      local seconds = long.duration_seconds
      local f = look(long, {label(long, 0, seconds, "all"), label(long, seconds / 4, seconds / 2, "quarter",
         {low_hz = 4000, high_hz = 8000}), label(long, seconds / 2, seconds + 3, "end", {low_hz = 12000,
         high_hz = 99999})}, [[
         const image = d.images[0], canvas = d.createElement("canvas");
         await until(() => image.complete);
         canvas.width = image.naturalWidth;
         canvas.height = image.naturalHeight;
         const context = canvas.getContext("2d", {willReadFrequently: true});
         context.drawImage(image, 0, 0);
         // The spectrogram is what is filled; around it the picture is transparent.
         const filled = (x, y) => context.getImageData(x, y, 1, 1).data[3] === 255;
         const run = (length, is) => {
            let from = 0;
            while (!is(from)) from++;
            let to = from;
            while (to < length && is(to)) to++;
            return [from / length, to / length];
         };
         const [w, h] = [canvas.width, canvas.height];
         return {boxes: marks.map(box), titles: marks.map(mark => mark.title), wide,
            x: run(w, x => filled(x, Math.round(h * 0.3)) && filled(x, Math.round(h * 0.25))),
            y: run(h, y => filled(Math.round(w * 0.37), y) && filled(Math.round(w * 0.41), y))};]])
      assert.is_false(f.wide)
      local left, right, top, bottom = f.x[1], f.x[2], f.y[1], f.y[2]
      local function check(box, from, to, low, high)
         for side, at in pairs({left = left + (right - left) * from, right = left + (right - left) * to,
            bottom = bottom + (top - bottom) * low, top = bottom + (top - bottom) * high}) do
            assert.near(at, box[side], 0.005, side)
         end
      end
      check(f.boxes[1], 0, 1, 0, 1)
      check(f.boxes[2], 0.25, 0.5, 0.25, 0.5)
      check(f.boxes[3], 0.5, 1, 0.75, 1)
      assert.matches("^quarter\n%d+%.%d to %d+%.%d s\n4000 to 8000 Hz$", f.titles[2])
   end)

   it("play from where they begin, by a click or a key, also behind the last window", function()
      local at = long.duration_seconds - 1.05
      local f = look(long, {label(long, 2.37, 3, "first"), label(long, at, at + 0.5, "last")}, [[
         const told = [], chosen = () => [...d.querySelectorAll("#labels li")].findIndex(
            li => li.getAttribute("aria-current") === "true");
         const tell = () => told.push([playing(), chosen(), marks.findIndex(m => m.classList.contains("chosen"))]);
         d.querySelectorAll("#labels button")[0].click(); tell();
         key("l"); tell();
         key("l"); tell();
         key("h"); tell();
         const player = d.getElementById("player");
         await until(() => player.duration > 0);
         return {told, seconds: player.duration, scrolled: view.scrollY};]])
      local first, last = ("/sound/%d/23.wav"):format(long.id), ("/sound/%d/%d.wav"):format(long.id, at * 10 // 1)
      assert.same({{first, 0, 0}, {last, 1, 1}, {first, 0, 0}, {last, 1, 1}}, f.told)
      assert.near(1.1, f.seconds, 0.06)
      assert.equal(0, f.scrolled)
   end)

   it("have names that do not cover each other, run nothing, and stay within the picture", function()
      local rows = {label(long, 5, 6, NASTY), label(long, long.duration_seconds - 0.1, long.duration_seconds,
         ("W"):rep(300), {low_hz = 8000})}
      for i = 1, 30 do rows[i + 2] = label(long, 1 + i / 100, 1.5 + i / 100, "crowd " .. i) end
      local f = look(long, rows, [[
         const boxes = names.filter(name => !name.hidden).map(box), covers = (a, b) => a !== b &&
            a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
         return {marks: marks.length, shown: boxes.length, covered: boxes.some(a => boxes.some(b => covers(a, b))),
            right: Math.max(...boxes.map(b => b.right)), images: d.images.length, wide, texts: names.map(
            name => name.textContent).filter(text => text.startsWith("<img"))};]])
      assert.same({32, false, 1, false}, {f.marks, f.covered, f.images, f.wide})
      assert.is_true(f.shown >= 3 and f.shown < 32)
      assert.is_true(f.right < 1)
      assert.same({"<img src=x onerror=alert(1)>'\"&;\\n\\t\\u{202e}"}, f.texts)
   end)

   it("are marks of a recording without a motif, too", function()
      local f = look(short, {label(short, 1, 2, "a"), label(short, 400, 401, "past the end")}, [[
         key("l");
         return {marks: marks.length, buttons: d.querySelectorAll("#labels button").length, at: playing()};]])
      assert.same({marks = 1, buttons = 2, at = ("/sound/%d/10.wav"):format(short.id)}, f)
   end)
end)
