-- browse: the pages of a run, who gets them, and the motifs that are accepted there.
local verdicts = require "bclua.workflow.verdicts"
local browse = require "bclua.workflow.browse"
local browse_server = require "bclua.workflow.browse.server"
local cjson = require "cjson"
local command = require "support.command"
local files = require "bclua.files"
local labels = require "bclua.workflow.labels"
local provenance = require "bclua.data.provenance"
local sql = require "bclua.sql"
local system = require "bclua.system"
local triplets = require "bclua.workflow.triplets"

local NASTY = "<img src=x onerror=alert(1)>'\"&;"
local dir, run, data

-- Twelve recordings of three species, one of which, and a recording of it, has a crafted name.
setup(function()
   dir = command.folder()
   run, data = dir .. "/run", dir .. "/data"
   assert(require("bclua.data.dataset").make(data, {families = 3, species = 1, recordings = 4, short = 1, least_s = 12,
      most_s = 12.5}))
   local birds = data .. "/train_audio/"
   local species = files.find(birds)[1]:match("^[^/]+")
   assert(os.rename(birds .. species, birds .. NASTY))
   assert(os.rename(birds .. files.find(birds)[1], birds .. NASTY .. "/" .. NASTY .. ".ogg"))
   assert(system.mkdir(run))
   assert(require("bclua.workflow.extract").run({input = birds, output = run .. "/motif", quiet = true}))
   assert(require("bclua.workflow.consolidate").run({input = run .. "/motif", output = run .. "/motif.parquet",
      quiet = true}))
   assert(files.write_json(run .. "/config.json", {data = data}))
   command.write(run .. "/report.html", "<p>the report")
end)

teardown(function() command.remove(dir) end)
after_each(function() os.remove(run .. "/accepted.csv") end)

local function open() return assert(browse.open({run = run})) end

-- A server and a function that asks it: `get(path)`, or with `changes` of the request.
local function serve(b)
   local s = browse_server.new(b or open(), 8080)
   return s, function(path, changes)
      local request = {method = "GET", path = path, query = {}, headers = {host = "127.0.0.1:8080"}, body = ""}
      for k, v in pairs(changes or {}) do request[k] = v end
      local status, headers, body = s:handle(request)
      return status, body, headers
   end
end

-- The first recording that has a motif.
local function with_motif(b)
   for _, row in ipairs(b.recordings) do
      if row.motif_0 then return row end
   end
end

local function post(s, get, value, headers)
   local all = {host = "127.0.0.1:8080", ["x-token"] = s.token}
   for k, v in pairs(headers or {}) do all[k] = v or nil end
   local body = type(value) == "table" and cjson.encode(value) or value
   return get("/verdict", {method = "POST", headers = all, body = body})
end

describe("a run to browse", function()
   it("needs the run, its table and its data", function()
      assert.same({nil, "/nowhere: no such folder"}, {browse.open({run = "/nowhere"})})
      local _, message = browse.open({run = dir})
      assert.matches(dir .. "/motif.parquet", message, 1, true)
      _, message = browse.open({run = run, dataset_root = "/nowhere"})
      assert.equal("/nowhere: no such folder (--dataset-root)", message)
   end)

   it("numbers recordings by species", function()
      local b, last = open(), ""
      assert.equal(13, #b.recordings)
      for id, row in ipairs(b.recordings) do
         assert.equal(id, row.id)
         assert.is_true(row.species >= last)
         last = row.species
      end
   end)

   it("has of a window the nearest one of its recording, as the profile has it", function()
      local b = open()
      local row = with_motif(b)
      local stored = sql.query(("select mp, pi from read_parquet(%s) where source_name = %s"):format(
         sql.quote(b.input), sql.quote(row.source_name)))[1]
      assert.same({at = stored.pi[4], distance = stored.mp[4]}, b:twin(row, 3))
      assert.is_nil((b:twin(row, #stored.mp)))
      assert.is_nil((b:twin(row, -1)))
   end)

   it("searches a window in all other recordings, nearest first", function()
      local b = open()
      local row = with_motif(b)
      local hits = assert(b:others(row, row.motif_0))
      assert.equal(8, #hits)
      for i, hit in ipairs(hits) do
         assert.is_true(hit.row ~= row and (i == 1 or hit.distance >= hits[i - 1].distance))
      end
      local found = assert(require("bclua.workflow.search").run({query = data .. "/" .. row.source_name,
         input = b.input, start = row.motif_0 / 10, quiet = true}))
      assert.equal(found.hits[1].source_name, hits[1].row.source_name)
      assert.near(found.hits[1].distance, hits[1].distance, 1e-6)
   end)

   it("reads nothing outside its data folder, whatever a source name says", function()
      local b = open()
      local row = with_motif(b)
      for _, name in ipairs({"../data/" .. row.source_name, "/etc/passwd", "train_audio/../../x.ogg", "..", "a\0b"}) do
         local crafted = setmetatable({source_name = name, id = 99}, {__index = row})
         for _, what in ipairs({"sound", "picture"}) do
            assert.same({nil, "a source name that leaves the data folder"}, {b[what](b, crafted, 0)})
         end
      end
   end)
end)

describe("pages of a run", function()
   it("list recordings without letting a name become markup", function()
      local b = open()
      local _, get = serve(b)
      local status, body, headers = get("/")
      assert.equal(200, status)
      assert.is_nil(body:find("<img", 1, true))
      assert.matches("&lt;img src=x onerror=alert(1)&gt;&#39;&quot;&amp;;.ogg", body, 1, true)
      assert.matches("default-src 'none'", headers["Content-Security-Policy"], 1, true)
      assert.is_nil(headers["Content-Security-Policy"]:find("unsafe", 1, true))
      local seen = 0
      for _, row in ipairs(b.recordings) do
         if row.source_name:find(NASTY .. "/" .. NASTY, 1, true) or not row.motif_0 then
            status, body = get("/recording/" .. row.id)
            assert.equal(200, status)
            assert.is_nil(body:find("<img src=x", 1, true))
            assert.equal(row.motif_0 ~= nil, body:find('id="motifs"', 1, true) ~= nil)
            assert.matches('data%-left="0%.0', body)
            seen = seen + 1
         end
      end
      assert.equal(2, seen)
   end)

   it("have pictures, windows to hear and what is near", function()
      local b = open()
      local _, get = serve(b)
      local row = with_motif(b)
      local status, body, headers = get(("/picture/%d.png"):format(row.id))
      assert.same({200, "image/png", "\137PNG"}, {status, headers["Content-Type"], body:sub(1, 4)})
      status, body = get(("/sound/%d/%d.wav"):format(row.id, row.motif_0))
      assert.same({200, "RIFF"}, {status, body:sub(1, 4)})
      assert.equal(2 * 5 * 32000, string.unpack("<I4", body, 41))
      status, body = get(("/near/%d/%d"):format(row.id, row.motif_0))
      assert.equal(200, status)
      assert.equal(b:twin(row, row.motif_0).at, cjson.decode(body).at)
      status, body = get(("/near/%d/%d"):format(row.id, row.motif_0), {query = {others = "1"}})
      assert.equal(200, status)
      assert.equal(8, #cjson.decode(body))
      status, body, headers = get("/report")
      assert.same({200, "<p>the report"}, {status, body})
      assert.matches("sandbox", headers["Content-Security-Policy"])
   end)

   it("say so where there is nothing to hear", function()
      local b = open()
      local row, array = with_motif(b), require "bclua.array"
      local copy = command.folder()
      assert(require("bclua.system").mkdir(files.dirname(copy .. "/" .. row.source_name)))
      assert(require("bclua.audio").save(copy .. "/" .. row.source_name, array.concat{array.full(32000 * 12, 0.5),
         array.full(32000 * 12, -0.5)}:reshape{2, 32000 * 12}, 32000, {format = "flac"}))
      b.root = copy
      local _, get = serve(b)
      local status, body = get(("/sound/%d/%d.wav"):format(row.id, row.motif_0))
      assert.equal(500, status)
      assert.matches("channels cancel each other", body)
      command.remove(copy)
   end)

   it("draw and play recordings that are shorter than the window", function()
      local b = open()
      local _, get = serve(b)
      for _, row in ipairs(b.recordings) do
         if not row.motif_0 then
            assert.equal(200, (get(("/picture/%d.png"):format(row.id))))
            assert.equal(200, (get(("/sound/%d/0.wav"):format(row.id))))
            return
         end
      end
      error("no short recording")
   end)

   it("are nowhere else: no path, no other number", function()
      local _, get = serve()
      for _, path in ipairs({"/../../../../etc/passwd", "/recording/../../x", "/recording/0", "/recording/16",
         "/recording/1/../../etc/passwd", "/recording/99999999999999999999", "/recording/1e0", "/recording/-1",
         "/picture/../run/config.json", "/sound/1/9999999.wav", "/sound/1/x.wav", "/sound/1/99999999999999.wav",
         "/near/1/999999", "/config.json", "/motif.parquet", "", "/style.css/", "//etc/passwd", "/report/../x"}) do
         assert.equal(404, (get(path)), path)
      end
   end)

   it("are for this machine's browser and its own pages alone", function()
      local _, get = serve()
      assert.equal(200, (get("/", {headers = {host = "localhost:8080"}})))
      for _, host in ipairs({"evil.example:8080", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:8080, evil.example",
         "127.0.0.1:8080.evil.example", ""}) do
         assert.equal(403, (get("/", {headers = {host = host}})), host)
      end
      assert.equal(403, (get("/", {headers = {}})))
      assert.equal(403, (get("/", {headers = {host = "127.0.0.1:8080", origin = "http://evil.example"}})))
      assert.equal(403, (get("/", {headers = {host = "127.0.0.1:8080", origin = "null"}})))
      assert.equal(405, (get("/", {method = "PUT"})))
   end)

   it("turn what fails into status 500 and a line on the terminal", function()
      local b = open()
      local row = with_motif(b)
      local _, get = serve(b)
      local moved = data .. "/" .. row.source_name
      assert(os.rename(moved, moved .. ".away"))
      local status, body = get(("/sound/%d/0.wav"):format(row.id))
      assert(os.rename(moved .. ".away", moved))
      assert.equal(500, status)
      assert.matches(row.source_name, body, 1, true)
   end)
end)

describe("verdicts", function()
   it("are kept in the run at once, changed and taken back", function()
      local b = open()
      local s, get = serve(b)
      local row = with_motif(b)
      local m = b:best_motifs(row)[1]
      local function say(verdict)
         return post(s, get, {recording = row.id, at = m.at, twin = m.twin, verdict = verdict})
      end
      assert.equal(200, (say("accepted")))
      local expected = {{source_name = row.source_name, species = row.species, start_s = m.at / 10,
         twin_start_s = m.twin / 10, seconds = 5.0, distance = tonumber(("%.9g"):format(m.distance)),
         verdict = "accepted"}}
      assert.same(expected, verdicts.read(run .. "/accepted.csv"))
      assert.equal("accepted", open():best_motifs(row)[1].verdict)
      assert.matches('data-verdict="accepted"', select(2, get("/recording/" .. row.id)), 1, true)
      assert.equal(200, (say("rejected")))
      expected[1].verdict = "rejected"
      assert.same(expected, verdicts.read(run .. "/accepted.csv"))
      assert.equal(200, (say("none")))
      assert.same({}, verdicts.read(run .. "/accepted.csv"))
   end)

   it("lose none that another program has written meanwhile, nor a file that it spoilt", function()
      local b, c = open(), open()
      local first, second
      for _, row in ipairs(b.recordings) do
         if row.motif_0 then first, second = second or row, row end
      end
      for browser, row in pairs({[b] = first, [c] = second}) do
         local m = browser:best_motifs(row)[1]
         assert(browser:judge(row, m.at, m.twin, "accepted"))
      end
      assert.equal(2, #verdicts.read(run .. "/accepted.csv"))
      command.write(run .. "/accepted.csv", "my notes\n")
      local m = b:best_motifs(first)[1]
      local ok, message = b:judge(first, m.at, m.twin, "rejected")
      assert.is_nil(ok)
      assert.matches(run .. "/accepted.csv", message, 1, true)
      assert.equal("my notes\n", command.read(run .. "/accepted.csv"))
   end)

   it("come only by POST and with the page's token", function()
      local b = open()
      local s, get = serve(b)
      local row = with_motif(b)
      local m = b:best_motifs(row)[1]
      local value = {recording = row.id, at = m.at, twin = m.twin, verdict = "accepted"}
      assert.equal(403, (post(s, get, value, {["x-token"] = ("0"):rep(32)})))
      assert.equal(403, (post(s, get, value, {["x-token"] = false})))
      assert.equal(403, (post(s, get, value, {["x-token"] = ""})))
      assert.equal(403, (post(s, get, value, {host = "evil.example"})))
      assert.equal(403, (post(s, get, value, {origin = "http://evil.example"})))
      assert.equal(404, (get("/verdict", {query = value})))
      assert.is_false(files.exists(run .. "/accepted.csv"))
      assert.not_equal(s.token, (serve()).token)
      assert.equal(200, (post(s, get, value, {origin = "http://127.0.0.1:8080"})))
   end)

   it("are of motifs that there are", function()
      local b = open()
      local s, get = serve(b)
      local row = with_motif(b)
      local m = b:best_motifs(row)[1]
      for _, bad in ipairs({{recording = 99, at = m.at, twin = m.twin, verdict = "accepted"},
         {recording = row.id, at = m.at + 1, twin = m.twin, verdict = "accepted"},
         {recording = row.id, at = 1.5, twin = m.twin, verdict = "accepted"},
         {recording = row.id, twin = m.twin, verdict = "accepted"}}) do
         assert.equal(404, (post(s, get, bad)))
      end
      for _, bad in ipairs({"", "[", "null", "3", '{"verdict": "perhaps"}', '{"verdict": {}}'}) do
         assert.equal(400, (post(s, get, bad)))
      end
      assert.is_false(files.exists(run .. "/accepted.csv"))
   end)

   it("survive names with commas, quotes and line breaks", function()
      local path = dir .. "/a.csv"
      local row = {source_name = 'x/"a",\n' .. NASTY, species = "a,b", start_s = 1.5, twin_start_s = 0.25,
         seconds = 5.0, distance = 0.125, verdict = "rejected"}
      assert(verdicts.write(path, {row}))
      assert.same({row}, verdicts.read(path))
   end)

   it("name the row that is wrong", function()
      local path = command.write(dir .. "/b.csv",
         "source_name,species,start_s,twin_start_s,seconds,distance,verdict\na,b,1,2,5,0,maybe\n")
      local rows, message = verdicts.read(path)
      assert.is_nil(rows)
      assert.equal(path .. ": column 'verdict', row 1: must be one of accepted, rejected, got 'maybe'", message)
      command.write(path, "a,b\n1,2\n")
      rows, message = verdicts.read(path)
      assert.is_nil(rows)
      assert.matches(path, message, 1, true)
   end)
end)

describe("accepted motifs", function()
   -- Accept the second motif, where there is one, of the first n recordings of each species that have motifs.
   local function accept(n)
      local b, count, chosen = open(), {}, {}
      for _, row in ipairs(b.recordings) do
         local motifs = b:best_motifs(row)
         local m = motifs[2] or motifs[1]
         count[row.species] = count[row.species] or 0
         if m and count[row.species] < n then
            count[row.species] = count[row.species] + 1
            assert(b:judge(row, m.at, m.twin, "accepted"))
            chosen[row.source_name] = {(m.at + 25) / 10, (m.twin + 25) / 10}
         end
      end
      return chosen
   end

   local function draw(options)
      local o = {input = run .. "/motif.parquet", output = dir .. "/t.parquet", samples = 200, quiet = true,
         force = true, accepted_only = true}
      for k, v in pairs(options or {}) do o[k] = v end
      return triplets.run(o)
   end

   it("are all that triplets are drawn from, at their own places", function()
      local chosen = accept(4)
      assert(draw())
      local n = 0
      for _, t in ipairs(sql.query("select * from read_parquet(" .. sql.quote(dir .. "/t.parquet") .. ")")) do
         assert.equal(chosen[t.a][1], t.a_loc)
         assert.equal(chosen[t.b][t.neighbor == "self" and 2 or 1], t.b_loc)
         if t.distant == "motif" then assert.equal(chosen[t.c][1], t.c_loc) end
         n = n + 1
      end
      assert.equal(200, n)
   end)

   it("are a parameter of the table: other verdicts are refused", function()
      accept(4)
      assert(draw())
      assert(draw({force = false}))
      assert.is_string(provenance.of_parquet(dir .. "/t.parquet").accepted)
      local b = open()
      for _, v in ipairs(b.verdicts) do v.verdict = v == b.verdicts[1] and "rejected" or v.verdict end
      local chosen = b.verdicts
      chosen[2].verdict, chosen[3].verdict = "rejected", "rejected"
      assert(verdicts.write(run .. "/accepted.csv", chosen))
      local _, message = draw({force = false})
      assert.matches("made with other parameters (accepted = ", message, 1, true)
   end)

   it("must be there, and motifs", function()
      local _, message = draw()
      assert.equal(run .. "/accepted.csv: no such file; accept motifs with `bclua browse RUN`", message)
      assert(verdicts.write(run .. "/accepted.csv", {}))
      _, message = draw()
      assert.equal(run .. "/accepted.csv: no motif of these recordings is accepted", message)
      _, message = draw({pick = "discord"})
      assert.matches("are not picked", message)
   end)

   it("become labels", function()
      local chosen = accept(1)
      local path = dir .. "/labels.csv"
      assert(labels.run({input = run .. "/motif.parquet", accepted = run .. "/accepted.csv", format = "csv",
         output = path, quiet = true}))
      local rows, n = sql.query("select * from read_csv(" .. sql.quote(path) .. ", header = true)"), 0
      for _ in pairs(chosen) do n = n + 1 end
      assert.equal(2 * n, #rows)
      for _, row in ipairs(rows) do
         assert.near(chosen[row.source_name][row.part == "a" and 1 or 2] - 2.5, row.start_s, 1e-6)
      end
      local _, get = serve()
      local status, body, headers = get("/labels.csv")
      assert.same({200, command.read(path)}, {status, body})
      assert.matches("attachment", headers["Content-Disposition"])
      assert.matches("Begin Time", select(2, get("/labels.txt")), 1, true)
   end)
end)

describe("the pages in a browser", function()
   local browser = require "support.browser"
   if not browser.program() then return pending("chromium is missing") end

   local HELP = browser.help .. [[
      const text = id => d.getElementById(id).textContent;
   ]]

   it("play, search and judge by keys, and where one clicks; no wider than a phone", function()
      local b = open()
      local row = with_motif(b)
      local m = b:best_motifs(row)[1]
      local found, said = browser.visit(function(port)
         local s = browse_server.new(b, port)
         return function(request) return s:handle(request) end
      end, "/recording/" .. row.id, {360}, HELP .. [[
         const player = d.getElementById("player"), stage = d.getElementById("stage");
         const first = await until(() => text("status").includes("nearest")) && text("status");
         const mark = d.getElementById("here").style.left, width = d.images[0].naturalWidth;
         let seconds = new Promise(done => player.addEventListener("loadedmetadata", () => done(player.duration)));
         key(" ");
         seconds = await seconds;
         key("a");
         const verdict = await until(() => d.querySelector("#motifs .verdict").textContent !== "") &&
            d.querySelector("#motifs .verdict").textContent;
         key("o");
         await until(() => d.querySelectorAll("#others li").length > 0);
         const others = d.querySelectorAll("#others li").length;
         const box = stage.getBoundingClientRect();
         stage.dispatchEvent(new view.MouseEvent("click", {bubbles: true, clientX: box.left + box.width * 0.5}));
         await until(() => text("status") !== "" && !text("status").startsWith("motif") && text("status") !== first);
         return {first, mark, width, seconds, verdict, others, wide, at: new URL(player.src).pathname,
            left: stage.dataset.left, right: stage.dataset.right};]])
      assert.equal("", said)
      local f = found[1]
      assert.matches(("at %.1f s; nearest in this recording: at %.1f s"):format(m.at / 10, m.twin / 10), f.first, 1,
         true)
      local left, right = tonumber(f.left), tonumber(f.right)
      assert.near(100 * (left + (right - left) * m.at / 10 / row.duration_seconds), tonumber(f.mark:match("[%d.]+")),
         0.01)
      assert.same({1000, 5, "accepted", 8, false}, {f.width, math.floor(f.seconds), f.verdict, f.others, f.wide})
      local at = (0.5 - left) / (right - left) * row.duration_seconds * 10
      local last = row.duration_cens - row.matrix_profile_window
      assert.near(math.min(at, last), tonumber(f.at:match("/(%d+)%.wav$")), 1)
      local kept = verdicts.read(run .. "/accepted.csv")
      assert.same({1, m.at / 10, "accepted"}, {#kept, kept[1].start_s, kept[1].verdict})
   end)

   it("play a recording piece by piece, and show where", function()
      local b = open()
      local row = with_motif(b)
      local found, said = browser.visit(function(port)
         local s = browse_server.new(b, port)
         return function(request) return s:handle(request) end
      end, "/recording/" .. row.id .. "#5", {360}, HELP .. [[
         const player = d.getElementById("player"), now = d.getElementById("now");
         await until(() => text("status") !== "");
         const hidden = now.hidden, src = () => new URL(player.src).pathname + new URL(player.src).search;
         key("w");
         await until(() => !now.hidden && player.currentTime > 0.2);
         const first = src(), left = parseFloat(now.style.left), seconds = player.duration;
         player.dispatchEvent(new view.Event("ended"));
         const second = src();
         await until(() => !player.paused);
         key("w");
         await until(() => now.hidden);
         return {hidden, first, left, seconds, second, paused: player.paused,
            from: d.getElementById("stage").dataset.left};]])
      assert.equal("", said)
      local f = found[1]
      assert.same({true, true, ("/sound/%d/5.wav?seconds=10"):format(row.id),
         ("/sound/%d/105.wav?seconds=10"):format(row.id)}, {f.hidden, f.paused, f.first, f.second})
      assert.is_true(f.left > 100 * tonumber(f.from) and f.left < 50)
      assert.near(10, f.seconds, 0.05)
      local _, get = serve(b)
      for _, seconds in ipairs{"0", "61", "x", "1e9"} do
         assert.equal(404, (get(("/sound/%d/5.wav"):format(row.id), {query = {seconds = seconds}})))
      end
   end)

   it("judge the motif that is shown, and where none is, none", function()
      local b = open()
      b.exclusion = 5 -- the recordings are short: several motifs
      local row = with_motif(b)
      local motifs, elsewhere, taken = b:best_motifs(row), 0, {}
      assert.is_true(#motifs > 1)
      for _, m in ipairs(motifs) do taken[m.at], taken[m.twin] = true, true end
      while taken[elsewhere] do elsewhere = elsewhere + 1 end -- neither motif nor twin
      local found, said = browser.visit(function(port)
         local s = browse_server.new(b, port)
         return function(request) return s:handle(request) end
      end, ("/recording/%d#%d"):format(row.id, elsewhere), {360}, HELP .. [[
         const refused = () => text("status").includes("none of the motifs");
         const judged = () => [...d.querySelectorAll("#motifs li")].map(li => li.dataset.verdict).join(" ");
         const told = [];
         const tell = async () => { key("a"); await until(refused); told.push([refused(), judged()].join(": ")); };
         await until(() => text("status") !== "");
         await tell();
         key("k"); // of none: the last
         await until(() => text("status").includes("nearest"));
         key("f");
         await tell();
         key("j"); key("j");
         await until(() => text("status").includes("nearest"));
         key("ArrowRight");
         await tell();
         d.getElementById("stage").dispatchEvent(new view.MouseEvent("click", {bubbles: true,
            clientX: d.getElementById("here").getBoundingClientRect().right + 2}));
         await tell();
         key("k"); key("j");
         key("r");
         await until(() => judged().includes("rejected"));
         return {told, judged: judged(), shown: [...d.querySelectorAll("#motifs li")].findIndex(
            li => li.getAttribute("aria-current") === "true")};]])
      assert.equal("", said)
      local none, second = {}, {}
      for i = 1, #motifs do none[i], second[i] = "none", i == 2 and "rejected" or "none" end
      local refused = "true: " .. table.concat(none, " ")
      assert.same({{told = {refused, refused, refused, refused}, judged = table.concat(second, " "), shown = 1}}, found)
      local kept = verdicts.read(run .. "/accepted.csv")
      assert.same({1, motifs[2].at / 10, "rejected"}, {#kept, kept[1].start_s, kept[1].verdict})
   end)

   it("zoom and turn pages, with all marks where the picture has their time", function()
      local b = open()
      local row = with_motif(b)
      local long = row.duration_seconds
      local motif = b:best_motifs(row)[1]
      local found, said = browser.visit(function(port)
         local s = browse_server.new(b, port)
         return function(request) return s:handle(request) end
      end, "/recording/" .. row.id, {360}, HELP .. [=[
         const where = () => text("page"), stage = d.getElementById("stage"), image = stage.querySelector("img");
         const turned = async f => {
            const before = image.getAttribute("src");
            f();
            await until(() => image.getAttribute("src") !== before && !where().startsWith("drawing"));
            return where();
         };
         await until(() => text("status").includes("nearest"));
         const all = where(), pages = [];
         key("PageDown");
         const refused = text("status");
         pages.push(await turned(() => key("+")));
         const src = image.getAttribute("src"), here = d.getElementById("here");
         const shown = [here.style.left, here.style.width, here.style.visibility];
         pages.push(await turned(() => key("PageDown")));
         await image.decode();
         const hidden = here.style.visibility;
         pages.push(await turned(() => d.getElementById("page-back").click()));
         const box = stage.getBoundingClientRect();
         stage.dispatchEvent(new view.MouseEvent("click", {bubbles: true, clientX: box.left + box.width * 0.5}));
         await until(() => text("status").startsWith("the window"));
         const clicked = here.style.left;
         pages.push(await turned(() => key("-")));
         return {all, pages, refused, src, shown, hidden, clicked, wide, width: image.naturalWidth};]=])
      assert.equal("", said)
      local f = found[1]
      local function clock(s) return ("00:00:%02d"):format(math.floor(s + 0.5)) end
      local wide = clock(long) -- of 12 s and a half; pages have 10
      assert.same({"all of " .. wide, "zoom in first: +", 1000, false}, {f.all, f.refused, f.width, f.wide})
      assert.same({"00:00:00 to 00:00:10 of " .. wide, ("00:00:10 to %s of %s"):format(wide, wide),
         "00:00:00 to 00:00:10 of " .. wide, "all of " .. wide}, f.pages)
      assert.equal(("/picture/%d.png?from=0&to=100"):format(row.id), f.src)
      local axis = assert(b:picture(row, 0, 100))
      local function share(s) return 100 * (axis.left + (axis.right - axis.left) * s / 10) end
      local function number(text) return tonumber(text:match("[%d.]+")) end
      assert.near(share(motif.at / 10), number(f.shown[1]), 0.01)
      assert.near(math.min(share(motif.at / 10 + 5), share(10)) - share(motif.at / 10), number(f.shown[2]), 0.01)
      assert.same({"", "hidden"}, {f.shown[3], f.hidden})
      assert.near((50 - share(0)) / (share(10) - share(0)) * 10, (number(f.clicked) - share(0)) /
         (share(10) - share(0)) * 10, 0.1)
      local _, get = serve(b)
      for _, query in ipairs{{from = "0"}, {from = "10", to = "10"}, {from = "200", to = "210"}, {from = "x", to = "9"},
         {from = "0", to = "9999"}} do
         assert.equal(404, (get(("/picture/%d.png"):format(row.id), {query = query})))
      end
   end)

   it("run nothing that a name says, and filter recordings by name and by what is said of them", function()
      local b = open()
      local accepted = with_motif(b)
      local m = b:best_motifs(accepted)[1]
      assert(b:judge(accepted, m.at, m.twin, "accepted"))
      local found, said = browser.visit(function(port)
         local s = browse_server.new(b, port)
         return function(request) return s:handle(request) end
      end, "/", {360}, HELP .. [[
         const filter = d.getElementById("filter"), all = d.querySelectorAll("li").length;
         const visible = () => [...d.querySelectorAll("li")].filter(li => li.offsetParent !== null);
         const set = (input, value) => {
            input.value = value;
            input.dispatchEvent(new view.Event("input"));
            return visible().length;
         };
         const shown = set(filter, "onerror");
         set(filter, "");
         const verdict = d.querySelector("[data-filter=verdict]");
         const [accepted, undecided] = [set(verdict, "accepted"), set(verdict, "undecided")];
         set(verdict, "accepted");
         key("j");
         return {all, shown, accepted, undecided, count: d.getElementById("count").textContent,
            focus: d.activeElement.getAttribute("href"), images: d.images.length, wide};]])
      assert.equal("", said)
      local nasty = 0
      for _, row in ipairs(b.recordings) do nasty = nasty + (row.source_name:find(NASTY, 1, true) and 1 or 0) end
      assert.same({{all = 13, shown = nasty, accepted = 1, undecided = 12, count = "1 of 13 recordings", images = 0,
         wide = false, focus = "/recording/" .. accepted.id}}, found)
   end)
end)

describe("the script", function()
   local curl = select(2, command.shell("command -v curl")) == 0

   if not curl then return pending("curl is missing") end

   it("serves a run to a browser, until Ctrl-C", function()
      local log = dir .. "/log"
      os.execute(("(timeout -k 5 60 %s scripts/browse.lua %s --port 0 >%s 2>&1 </dev/null & echo $! >%s.pid; " ..
         "wait $!; echo status $? >>%s) &"):format(command.quote(command.program), run, log, log, log))
      local deadline, address = system.clock() + 30, nil
      while not address and system.clock() < deadline do
         system.sleep(0.05)
         address = (files.read(log) or ""):match("http://127%.0%.0%.1:%d+")
      end
      assert(address, files.read(log))
      local page = command.shell("timeout 20 curl -sS " .. address .. "/recording/1")
      local token = page:match('name="token" content="(%x+)"')
      assert.equal(32, #token)
      local function status(words)
         return (command.shell("timeout 20 curl -sS -o /dev/null -w '%{http_code}' " .. words))
      end
      assert.equal("403", status("-H 'Host: evil.example' " .. address .. "/"))
      assert.equal("404", status("--path-as-is " .. address .. "/../../../etc/passwd"))
      assert.equal("404", status("--path-as-is " .. address .. "/%2e%2e%2f%2e%2e%2fetc%2fpasswd"))
      local b = open()
      local row = with_motif(b)
      local m = b:best_motifs(row)[1]
      local body = ("--data '{\"recording\":%d,\"at\":%d,\"twin\":%d,\"verdict\":\"accepted\"}' %s/verdict"):format(
         row.id, m.at, m.twin, address)
      assert.equal("403", status(body))
      assert.equal("200", status("-H 'X-Token: " .. token .. "' " .. body))
      assert.equal(1, #verdicts.read(run .. "/accepted.csv"))
      command.shell(("kill -INT $(cat %s.pid)"):format(log)) -- timeout hands it on
      while not files.read(log):find("status") and system.clock() < deadline do system.sleep(0.05) end
      local said = files.read(log)
      assert.matches("status 0\n$", said)
      assert.is_nil(said:find("traceback", 1, true))
   end)
end)
