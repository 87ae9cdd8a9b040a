-- browse: windows of a table of embeddings, that are looked at, heard and named.
local answers = require "bclua.workflow.classify.answers"
local audio = require "bclua.audio"
local browse = require "bclua.workflow.browse"
local browse_server = require "bclua.workflow.browse.server"
local browser = require "support.browser"
local cjson = require "cjson"
local cluster = require "bclua.workflow.cluster"
local command = require "support.command"
local examples = require "bclua.workflow.classify.examples"
local files = require "bclua.files"
local provenance = require "bclua.data.provenance"
local sampling = require "bclua.sampling"
local sql = require "bclua.sql"
local system = require "bclua.system"

local RATE, RECORDINGS, PER, HOP_S = 8000, 8, 15, 2.5
local NASTY = "=crow, \"<b>&amp;'"
local dir, run, path, x
local is_call = {} -- by row: a tone is heard

-- Eight recordings of 40 s, a tone in one window of five; embeddings in which that shows.
setup(function()
   dir = command.folder()
   run = dir .. "/run"
   assert(system.mkdir(run))
   local g, n = sampling.generator(1), RECORDINGS * PER
   x = g:normal(n * 6):copy("f32"):reshape{n, 6}
   local columns = {file = {}, start_s = {}, end_s = {}, clock_time = {}, site = {}, embedding = x}
   for r = 1, RECORDINGS do
      local y = g:normal(40 * RATE):copy("f32") * 0.05
      for k = 1, PER do
         local row = (r - 1) * PER + k
         columns.file[row], columns.start_s[row] = ("%s/S%d/r%d.wav"):format(dir, r % 2, r), (k - 1) * HOP_S
         columns.end_s[row], columns.site[row] = columns.start_s[row] + 5, "S" .. r % 2
         columns.clock_time[row] = ("2023-05-%02dT04:00:%02d"):format(10 + r % 3, columns.start_s[row] // 1)
         is_call[row] = (r + k) % 5 == 0
         if is_call[row] then x:set(row, 2, x:at(row, 2) + 6) end
      end
      assert(system.mkdir(("%s/S%d"):format(dir, r % 2)))
      assert(audio.save(columns.file[r * PER], y, RATE))
   end
   path = run .. "/embeddings.parquet"
   assert(sql.write_parquet(path, columns, {order = {"file", "start_s", "end_s", "clock_time", "site", "embedding"},
      metadata = provenance.for_parquet{weights = "w", hop_s = HOP_S, window_s = 5, sample_rate = RATE}}))
   assert(require("bclua.index").open(path, {quiet = true}))
   assert(cluster.run{embeddings = path, output = run .. "/clusters.parquet", least = 5, quiet = true})
end)
teardown(function() command.remove(dir) end)

local said = function() return run .. "/" .. answers.file end
after_each(function() os.remove(said()) end)

local function open(options)
   local o = {run = run}
   for k, v in pairs(options or {}) do o[k] = v end
   local b = assert(browse.open(o))
   return b, b.windows
end

-- A server and a function that asks it.
local function serve(b)
   local s = browse_server.new(b or open(), 8080)
   return s, function(where, changes)
      local request = {method = "GET", path = where, query = {}, headers = {host = "127.0.0.1:8080"}, body = ""}
      for k, v in pairs(changes or {}) do request[k] = v end
      local status, headers, body = s:handle(request)
      return status, body, headers
   end
end

local function post(s, get, value, headers, path_)
   local all = {host = "127.0.0.1:8080", ["x-token"] = s.token}
   for k, v in pairs(headers or {}) do all[k] = v or nil end
   local body = type(value) == "table" and cjson.encode(value) or value
   return get(path_ or "/label", {method = "POST", headers = all, body = body})
end

describe("windows", function()
   it("are those of the table, with what is known of them; the run needs nothing else", function()
      local b, w = open()
      assert.same({RECORDINGS * PER, 0}, {w.n, #b.recordings})
      local about = w:about(17)
      assert.same({17, dir .. "/S0/r2.wav", 2.5, 7.5, "S0", "2023-05-12T04:00:02"}, {about.row, about.file,
         about.start_s, about.end_s, about.site, about.clock_time})
      assert.is_true(#w.clusters >= 1 and #w.map == w.n)
      assert.equal(w.clusters[1].row, w:row_of(w.clusters[1].medoid_file, w.clusters[1].medoid_start_s))
   end)

   it("need a table of `embed predict`, and clusters of the same windows", function()
      local other = dir .. "/other.parquet"
      assert(sql.write_parquet(other, "select 'a' as file, 0.0::double as start_s, 5.0::double as end_s, " ..
         "[1.0::float] as embedding"))
      local _, message = browse.open{run = run, embeddings = other}
      assert.matches(other .. ": does not say which network made it", message, 1, true)
      assert(sql.write_parquet(other, "select 'a' as file, 0.0::double as start_s, 5.0::double as end_s, " ..
         "[1.0::float] as embedding", {metadata = provenance.for_parquet{weights = "w", hop_s = 5}}))
      assert(require("bclua.index").open(other, {quiet = true}))
      _, message = browse.open{run = run, embeddings = other}
      assert.equal(("%s/clusters.parquet: no window of it is in %s"):format(run, other), message)
      _, message = browse.open{run = run, embeddings = dir .. "/none.parquet"}
      assert.equal(dir .. "/none.parquet: no such file", message)
      _, message = browse.open{run = dir, clusters = run .. "/clusters.parquet"}
      assert.equal(run .. "/clusters.parquet: clusters of which windows? (--embeddings)", message)
   end)

   it("have a sound and a picture", function()
      local _, w = open()
      assert.equal(2 * 5 * RATE, (string.unpack("<I4", w:sound(20), 41)))
      local picture = w:picture(20)
      local bands, frames = string.unpack("<I2I2", picture)
      assert.equal(4 + bands * frames, #picture)
      local least, most = 255, 0
      for i = 5, #picture do least, most = math.min(least, picture:byte(i)), math.max(most, picture:byte(i)) end
      assert.same({0, 255}, {least, most})
   end)

   it("are like others by embedding, none of which overlap", function()
      local _, w = open()
      local row = 4
      assert.is_true(is_call[row])
      local hits = assert(w:like(row))
      for i = 1, 5 do assert.is_true(is_call[hits[i].row] and hits[i].row ~= row) end
      assert(w:answer(row, "a", "yes"))
      assert.same({a = "yes"}, w:about(row).said)
   end)
end)

describe("what is said of windows", function()
   it("is on disk at once, is taken back, and is what `classify train` reads", function()
      local _, w = open()
      assert(w:answer(4, NASTY, "yes"))
      assert.same({{source_name = answers.name(w.file[4]), start_s = 7.5, end_s = 12.5, label = NASTY,
         verdict = "yes"}}, answers.read(said()))
      for _, row in ipairs{20, 100} do assert(w:answer(row, NASTY, "no")) end
      assert(w:answer(24, NASTY, "yes"))
      local set = assert(examples.read{labels = {said()}, embeddings = path, group = "recording",
         background = "negative", none = {}})
      assert.same({NASTY}, set.classes)
      local known = {}
      for i, file in ipairs(set.files) do
         local t = set.truth:at(1, i)
         if t == t then known[w:row_of(file, set.start_s[i])] = t end
      end
      assert.same({[4] = 1, [20] = 0, [24] = 1, [100] = 0}, known)
      assert(w:answer(4, NASTY, nil))
      assert.equal(3, #answers.read(said()))
      assert.same({yes = 1, no = 2, unsure = 0}, w:progress(NASTY))
      assert.same({[20] = "no", [100] = "no", [24] = "yes"}, select(2, open()).known[NASTY])
   end)

   it("is lost neither to another server nor to an undo that comes late", function()
      local _, v = open()
      local _, w = open()
      assert(v:answer(1, "a", "yes"))
      assert(w:answer(2, "a", "no", "none"))
      assert(w:answer(1, "a", "no", "yes"))
      assert.same({nil, "changed"}, {v:answer(1, "a", nil, "yes")})
      assert(v:answer(3, "b", "unsure"))
      assert.same({[1] = "no", [2] = "no"}, v.known.a)
      local rows = answers.read(said())
      assert.equal(3, #rows)
      command.write(said(), "my notes\n")
      local ok, message = v:answer(5, "a", "yes")
      assert.is_nil(ok)
      assert.matches(said(), message, 1, true)
      assert.equal("my notes\n", command.read(said()))
   end)

   it("is what labels say, until somebody says otherwise", function()
      local labels = command.write(dir .. "/labels.csv", "source_name,start_s,end_s,label\n" ..
         "S1/r1.wav,8,9,tone\nS0/r2.wav,2.6,7.6,tone\n")
      local _, w = open{labels = labels}
      assert.same({[17] = "yes"}, {[17] = w.known.tone[17]})
      local own
      for row in pairs(w.known.tone) do own = row ~= 17 and row or own end
      assert.is_true(w.start_s[own] <= 8 and w.end_s[own] >= 9 and w.file[own]:find("r1", 1, true) ~= nil)
      assert(w:answer(17, "tone", "no"))
      assert.equal("no", w.known.tone[17])
      assert(w:answer(17, "tone", nil))
      assert.equal("yes", w.known.tone[17])
      assert(w:answer(17, "tone", "unsure", "yes"))
      assert.same({nil, "changed"}, {w:answer(17, "tone", "no", "yes")})
   end)

   it("is of all windows of a cluster at once, but of those of which something was said; and taken back", function()
      local b, w = open{clusters = run .. "/clusters.parquet"}
      local s, get = serve(b)
      local own = {}
      for row, c in pairs(w.cluster) do
         if c.cluster == 1 then own[#own + 1] = row end
      end
      table.sort(own)
      assert(w:answer(own[1], "tone", "no"))
      local function ask(value) return post(s, get, value, nil, "/cluster") end
      local status, body = ask{cluster = 1, label = "tone", verdict = "yes"}
      assert.equal(200, status, body)
      assert.equal(#own - 1, cjson.decode(body).windows)
      assert.equal(#own, #assert(answers.read(said())))
      assert.same({"no", "yes"}, {w.known.tone[own[1]], w.known.tone[own[2]]})
      assert.matches(("tone %%(%d%%)"):format(#own - 1), select(2, get("/clusters")))
      assert(w:answer(own[2], "tone", "unsure")) -- somebody thinks better of it
      status, body = ask{cluster = 1, label = "tone", verdict = "none"}
      assert.equal(200, status, body)
      assert.equal(#own - 2, cjson.decode(body).windows)
      assert.equal(2, #assert(answers.read(said())))
      assert.equal(404, (ask{cluster = #w.clusters + 1, label = "tone", verdict = "yes"}))
      assert.equal(404, (ask{cluster = 0, label = "tone", verdict = "yes"}))
      assert.equal(400, (ask{cluster = 1, label = "tone", verdict = "no"}))
      assert.equal(400, (ask{cluster = 1, label = "", verdict = "yes"}))
   end)

   it("names recordings so that labels find them", function()
      for file, name in pairs{["/a/b.wav"] = "a/b.wav", ["../x/b.wav"] = "x/b.wav", ["./b.wav"] = "b.wav",
         ["a/../b.wav"] = "b.wav", ["a..b/c..wav"] = "a..b/c..wav", ["//a//b.wav"] = "a//b.wav"} do
         assert.equal(name, answers.name(file))
      end
   end)
end)

describe("the next window", function()
   it("is one of the class, or not known; never one that was asked about, or shares sound with one", function()
      local _, w = open()
      local asked = {}
      for row = 1, w.n do
         if is_call[row] and #asked < 3 then
            asked[#asked + 1] = row
            assert(w:answer(row, "a", "yes"))
         end
      end
      local likely = w:next{class = "a", by = "likely", most = 5}
      for _, row in ipairs(likely) do
         assert.is_true(is_call[row])
         for _, other in ipairs(asked) do
            assert.is_true(w.file[row] ~= w.file[other] or math.abs(w.start_s[row] - w.start_s[other]) >= 5)
         end
      end
      local more = w:next{class = "a", by = "likely", most = 5}
      local given = {}
      for _, row in ipairs(likely) do given[row] = true end
      for _, row in ipairs(more) do assert.is_nil(given[row]) end
      assert.is_false(is_call[w:next{class = "a", by = "unlikely"}[1]])
      assert.is_true(w:progress("a").left > 5)
   end)

   it("is learnt also by log-mel statistics, where these tell more; they are read once", function()
      -- a tone where the class is, of which the embedding knows nothing
      local own = dir .. "/other"
      assert(system.mkdir(own))
      local columns = {file = {}, start_s = {}, end_s = {}, embedding = sampling.generator(5):normal(80 * 6):copy("f32")
         :reshape{80, 6}}
      for r = 1, 8 do
         local name = ("%s/t%d.wav"):format(own, r)
         local sound = sampling.generator(r):normal(50 * RATE):copy("f32") * 0.05
         for k = 0, 9 do
            local row = (r - 1) * 10 + k + 1
            columns.file[row], columns.start_s[row], columns.end_s[row] = name, k * 5, k * 5 + 5
            if k == r then -- one of ten
               for i = 1, 5 * RATE do
                  sound[k * 5 * RATE + i] = sound[k * 5 * RATE + i] + 0.1 * math.sin(2 * math.pi * 1500 * i / RATE)
               end
            end
         end
         assert(audio.save(name, sound, RATE))
      end
      local table_ = own .. "/e.parquet"
      assert(sql.write_parquet(table_, columns, {metadata = provenance.for_parquet{weights = "w", hop_s = 5,
         window_s = 5, sample_rate = RATE}}))
      local function loop()
         local b = assert(browse.open{run = own, embeddings = table_, log_mel = true})
         return b.windows
      end
      local w = loop()
      for r = 1, 4 do assert(w:answer((r - 1) * 10 + r + 1, "tone", "yes")) end
      for r = 5, 7 do assert(w:answer((r - 1) * 10 + 1, "tone", "no")) end
      w:next{class = "tone"}
      local p = w:progress("tone")
      assert.equal("log-mel", p.features)
      local scores = w.learnt.tone.scores
      local least, most = math.huge, -math.huge
      for row = 1, 80 do
         local s = scores[row]
         if (row - 1) % 10 == (row - 1) // 10 + 1 then least = math.min(least, s) else most = math.max(most, s) end
      end
      assert.is_true(least > most)
      local kept = assert(files.stamp(table_ .. ".log_mel.npy"))
      os.remove(own .. "/t1.wav") -- what was read is not read again
      assert.equal(80, loop().features[2].x:shape(1))
      assert.equal(kept, (files.stamp(table_ .. ".log_mel.npy")))
      assert.is_nil(open().windows.features[2])
   end)

   it("is learnt anew after some answers", function()
      local _, w = open()
      for row = 1, 30 do
         if is_call[row] then assert(w:answer(row, "a", "yes")) end
      end
      w:next{class = "a"}
      local scores = w.learnt.a.scores
      for i = 1, 5 do
         w:next{class = "a"}
         assert.equal(scores, w.learnt.a.scores)
         assert(w:answer(60 + i, "a", is_call[60 + i] and "yes" or "no"))
      end
      w:next{class = "a"}
      assert.not_equal(scores, w.learnt.a.scores)
   end)

   it("is of a site, a day, a cluster, a band, or of what was said", function()
      local _, w = open()
      for row = 1, 30 do assert(w:answer(row, "a", is_call[row] and "yes" or "no")) end
      for _, by in ipairs{"uncertain", "random"} do
         for _ = 1, 3 do
            assert.equal("S1", w.site[w:next{class = "a", by = by, site = "S1"}[1]])
            assert.equal("2023-05-11", w.clock_time[w:next{class = "a", by = by, day = "2023-05-11"}[1]]:sub(1, 10))
         end
      end
      assert.same({}, w:next{class = "a", site = "nowhere"})
      local row = w:next{cluster = 1}[1]
      assert.equal(1, w:about(row).cluster)
      for _, one in ipairs(w:next{class = "a", by = "band", low = 0.9, most = 3}) do
         assert.is_true(w:about(one, "a").probability >= 0.9)
      end
      local yes = {}
      for i = 1, 30 do yes[#yes + 1] = is_call[i] and i or nil end
      assert.same({yes[1], yes[2]}, w:next{class = "a", show = "yes", most = 2})
      assert.same({yes[3]}, w:next{class = "a", show = "yes", most = 1, after = yes[2]})
      assert.same({}, w:next{class = "a", show = "unsure"})
   end)

   it("is found alike in whatever order a table has its windows", function()
      local mixed = dir .. "/mixed.parquet"
      assert(sql.write_parquet(mixed, "from " .. sql.parquet(path) .. " order by hash(file || start_s)",
         {metadata = provenance.for_parquet{weights = "w", hop_s = HOP_S, window_s = 5, sample_rate = RATE}}))
      assert(require("bclua.index").open(mixed, {quiet = true}))
      assert(os.rename(run .. "/clusters.parquet", run .. "/away.parquet"))
      local _, w = open{embeddings = mixed}
      assert(os.rename(run .. "/away.parquet", run .. "/clusters.parquet"))
      for row = 1, w.n do assert.equal(row, w:row_of(w.file[row], w.start_s[row])) end
      assert.is_nil(w:row_of(w.file[1], 1.25))
      assert.is_nil(w:row_of(w.file[1], 1e5))
      local middle = w:row_of(w.file[1], 17.5)
      assert(w:answer(middle, "a", "no"))
      local seen, near = {}, 0
      for _, row in ipairs(w:next{class = "a", most = 50}) do seen[row] = true end
      for _, row in ipairs(w:next{class = "a", most = 50}) do seen[row] = true end
      for row = 1, w.n do
         local overlaps = w.file[row] == w.file[middle] and math.abs(w.start_s[row] - 17.5) < 5
         near = near + (overlaps and 1 or 0)
         if overlaps then assert.is_nil(seen[row]) end
      end
      assert.equal(3, near)
   end)

   it("is any, as long as there is no example", function()
      local _, w = open()
      local list = w:next{most = 50}
      assert.equal(50, #list)
      local seen = {}
      for _, row in ipairs(list) do
         assert.is_nil(seen[row])
         seen[row] = true
      end
      assert(w:answer(list[1], "a", "no"))
      assert.equal(1, #w:next{class = "a"})
   end)
end)

describe("pages of windows", function()
   it("are there, without letting a name become markup", function()
      local b, w = open()
      local s, get = serve(b)
      assert.equal(200, (post(s, get, {window = 4, label = NASTY, verdict = "yes"})))
      for _, page in ipairs{"/", "/review", "/clusters", "/map", "/classes"} do
         local status, body, headers = get(page)
         assert.equal(200, status, page)
         assert.is_nil(body:find("<b>", 1, true))
         assert.matches("default-src 'none'", headers["Content-Security-Policy"], 1, true)
      end
      assert.matches("=crow, &quot;&lt;b&gt;&amp;amp;&#39;", select(2, get "/classes"), 1, true)
      local _, body = get("/window/4.json", {query = {class = NASTY}})
      local about = cjson.decode(body)
      assert.same({4, "yes", 1}, {about.row, about.said[NASTY], about.progress.yes})
      assert.same({200, "RIFF"}, {200, select(2, get "/window/4.wav"):sub(1, 4)})
      assert.equal(w:picture(4), select(2, get "/window/4.mel"))
      local function decoded(...) return cjson.decode((select(2, get(...)))) end
      assert.equal(w.n, #decoded("/map.json").row)
      assert.is_true(#decoded("/like/4") > 3)
      assert.equal(2, #decoded("/next", {query = {class = NASTY, most = "2"}}).rows)
   end)

   it("are nowhere else, nor where there are no windows", function()
      local _, get = serve()
      for _, page in ipairs{"/window/0.wav", "/window/121.wav", "/window/1.mp3", "/window/x.json", "/like/121",
         "/window/1/../2.wav", "/window/99999999999.json"} do
         assert.equal(404, (get(page)), page)
      end
      for _, query in ipairs{{by = "luck"}, {most = "0"}, {most = "x"}, {low = "2"}, {low = "0.9", high = "0.1"},
         {cluster = "-1"}} do
         assert.equal(400, (get("/next", {query = query})))
      end
      local b = open()
      b.windows = nil
      local s
      s, get = serve(b)
      assert.equal(404, (get "/review"))
      assert.equal(404, (post(s, get, {window = 1, label = "a", verdict = "yes"})))
   end)

   it("change something only by POST, with the page's token, and what is a label of a window", function()
      local b = open()
      local s, get = serve(b)
      local value = {window = 4, label = "a", verdict = "yes"}
      for _, headers in ipairs{{["x-token"] = ("0"):rep(32)}, {["x-token"] = false}, {host = "evil.example"},
         {origin = "http://evil.example"}} do
         assert.equal(403, (post(s, get, value, headers)))
      end
      assert.equal(404, (get("/label", {query = value})))
      for _, bad in ipairs{"", "[", "3", {window = 4, label = "", verdict = "yes"}, {window = 4, verdict = "yes"},
         {window = 4, label = "a", verdict = "maybe"}, {window = 4, label = "a\nb", verdict = "yes"},
         {window = 4, label = ("a"):rep(201), verdict = "yes"}, {window = 4, label = "a\255", verdict = "yes"},
         {window = 4, label = "a", verdict = "yes", expected = 3}} do
         assert.equal(400, (post(s, get, bad)))
      end
      for _, row in ipairs{0, -1, 121, 1.5, "x"} do
         assert.equal(404, (post(s, get, {window = row, label = "a", verdict = "yes"})))
      end
      assert.is_false(files.exists(said()))
      assert.equal(200, (post(s, get, value)))
      assert.equal(409, (post(s, get, {window = 4, label = "a", verdict = "no", expected = "none"})))
   end)
end)

describe("windows in a browser", function()
   if not browser.program() then return pending("chromium is missing") end

   it("are named, judged and taken back by keys; what is said is on disk before the next is shown", function()
      local b = open()
      local found, console = browser.visit(function(port)
         local s = browse_server.new(b, port)
         return function(request)
            local status, headers, body = s:handle(request)
            if request.path:find("^/window/%d+%.json") then
               headers["X-Rows"] = tostring(#answers.read(said()))
            end
            return status, headers, body
         end
      end, "/review", {360}, browser.help .. [[
         const rows = [], real = view.fetch;
         view.fetch = async (...all) => {
            const answer = await real(...all);
            if (answer.headers.has("X-Rows")) rows.push(+answer.headers.get("X-Rows"));
            return answer;
         };
         const strip = d.getElementById("strip"), at = () => strip.dataset.window;
         const changed = async f => { const from = at(); f(); await until(() => at() !== from); };
         await until(() => at() !== undefined);
         const first = at();
         d.getElementById("name").value = " tone ";
         await changed(() => d.getElementById("name").dispatchEvent(new view.KeyboardEvent("keydown",
            {key: "Enter", bubbles: true})));
         d.getElementById("class").value = "tone";
         await changed(() => d.getElementById("class").dispatchEvent(new view.Event("change")));
         for (const k of ["y", "n", "1", "u", "n", "n"]) await changed(() => key(k));
         await changed(() => { key("y"); key("y"); key("n"); }); // what is not shown yet cannot be meant
         const before = at();
         await changed(() => key("z"));
         const undone = at();
         key("m");
         await until(() => d.querySelectorAll("#like li").length > 0);
         const like = d.querySelectorAll("#like li").length;
         const sound = new Promise(done => {
            const play = view.Audio.prototype.play;
            view.Audio.prototype.play = function() { done(this.src); return play.call(this); };
         });
         key(" ");
         const canvas = strip.querySelector("canvas");
         return {first, rows, before, undone, like, wide, sound: await sound, width: canvas.width,
            progress: d.getElementById("progress").textContent,
            names: [...d.querySelectorAll("#names button")].map(x => x.textContent)};]])
      assert.equal("", console)
      local f = found[1]
      local rows = answers.read(said())
      local count = {}
      for _, row in ipairs(rows) do
         assert.equal("tone", row.label)
         count[row.verdict] = (count[row.verdict] or 0) + 1
      end
      assert.same({yes = 3, no = 3, unsure = 1}, count)
      assert.matches("^tone: 3 yes, 3 no, 1 unsure, .*; 7 answers of 120 windows$", f.progress)
      assert.same({0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 7}, f.rows)
      assert.not_equal(f.before, f.undone)
      assert.same({{"1 tone"}, false}, {f.names, f.wide})
      assert.matches("/window/" .. f.undone .. "%.wav$", f.sound)
      assert.is_true(f.like > 3 and f.width > 100)
      assert.equal("yes", b.windows.known.tone[tonumber(f.first)])
   end)

   it("are named by the cluster, and that is taken back", function()
      local b = open{clusters = run .. "/clusters.parquet"}
      local found, console = browser.visit(function(port)
         local s = browse_server.new(b, port)
         return function(request) return s:handle(request) end
      end, "/review?cluster=1", {360}, browser.help .. [=[
         const said = () => d.getElementById("status").textContent, box = d.getElementById("name-all");
         await until(() => d.getElementById("strip").dataset.window !== undefined);
         key("a");
         const isThere = d.activeElement === box;
         box.value = "owl";
         box.dispatchEvent(new view.KeyboardEvent("keydown", {key: "Enter", bubbles: true}));
         await until(() => said().startsWith("owl: "));
         await until(() => d.querySelector("#said .chip.yes"));
         const named = said();
         key("z");
         await until(() => said().startsWith("taken back"));
         await until(() => !d.querySelector("#said .chip"));
         return {isThere, named, back: said(), wide};]=])
      assert.equal("", console)
      local n = b.windows.clusters[1].windows
      assert.same({true, ("owl: %d windows of cluster 1; z takes it back"):format(n),
         ("taken back: owl: %d windows of cluster 1"):format(n), false},
         {found[1].isThere, found[1].named, found[1].back, found[1].wide})
      assert.equal(0, #answers.read(said()))
   end)

   it("are points of a map, gone through by keys", function()
      local b, w = open()
      local found, console = browser.visit(function(port)
         local s = browse_server.new(b, port)
         return function(request) return s:handle(request) end
      end, "/map", {360}, browser.help .. [[
         const link = () => d.querySelector("#status a"), canvas = d.querySelector("#map canvas");
         await until(() => canvas.width > 300);
         key("ArrowRight");
         await until(link);
         const first = link().getAttribute("href");
         key("ArrowRight");
         if (!await until(() => link().getAttribute("href") !== first)) key("ArrowLeft");
         await until(() => link().getAttribute("href") !== first);
         return {first, second: link().getAttribute("href"), wide};]])
      assert.equal("", console)
      assert.equal("/review#" .. w.map[1].row, found[1].first)
      assert.not_equal(found[1].first, found[1].second)
      assert.is_false(found[1].wide)
   end)
end)
