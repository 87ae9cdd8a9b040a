-- browse: the windows of a review.csv of `classify predict`, judged in the browser.
local audio = require "bclua.audio"
local browse = require "bclua.workflow.browse"
local browse_server = require "bclua.workflow.browse.server"
local browser = require "support.browser"
local cjson = require "cjson"
local command = require "support.command"
local files = require "bclua.files"
local review = require "bclua.workflow.classify.review"
local sampling = require "bclua.sampling"
local sql = require "bclua.sql"
local system = require "bclua.system"

local RATE, N = 8000, 12
local NASTY = "=crow, \"<b>&amp;'"
local COLUMNS = {"source_name", "start_s", "end_s", "label", "verdict", "clip", "score", "probability", "band",
   "band_windows", "remark"}
local dir, path

-- Twelve windows, six of each class, half of them probable; a column that somebody has added.
local function write()
   local rows = {}
   for i = 1, N do
      local probable = i % 4 < 2
      rows[i] = {source_name = ("a/r%d.wav"):format(i % 3), start_s = i, end_s = i + 3, label = i % 2 == 0 and NASTY or
         "tone", verdict = "", clip = ("review/%04d.flac"):format(i), score = probable and 2 or "-2",
         probability = probable and 0.88 or 0.12, band = probable and 0.7 or 0.1, band_windows = probable and 10 or 90,
         remark = i == 3 and "=ask Anna" or ""}
   end
   rows[N].clip = ""
   assert(system.write_file(path, files.csv(COLUMNS, rows)))
end

setup(function()
   dir = command.folder()
   path = dir .. "/review.csv"
   assert(system.mkdir(dir .. "/review"))
   local y = sampling.generator(1):normal(3 * RATE):copy("f32") * 0.1
   for i = 1, N - 1 do assert(audio.save(("%s/review/%04d.flac"):format(dir, i), y, RATE)) end
end)
teardown(function() command.remove(dir) end)
before_each(write)

local function rows_of()
   return assert(sql.query("from " .. sql.csv(path, "header = true, all_varchar = true")))
end

local function serve(b)
   local s = browse_server.new(b, 8080)
   return function(where, value)
      local status, headers, body = s:handle{method = value and "POST" or "GET", path = where, query = {},
         headers = {host = "127.0.0.1:8080", ["x-token"] = s.token}, body = value and cjson.encode(value) or ""}
      return status, body, headers
   end
end

describe("a review", function()
   it("is the windows of the table in its order, with their clips", function()
      local w = assert(browse.open{run = dir}).windows
      assert.same({N, {"tone", NASTY}}, {w.n, w.classes})
      assert.same({1, 3}, w:next{class = "tone", most = 2})
      assert.same({5, 7, 9, 11}, w:next{class = "tone", most = 50})
      assert.same({1, 3, 5, 7, 9, 11}, w:next{class = "tone", most = 50}) -- nobody has answered
      assert.equal(44 + 2 * 3 * RATE, #w:sound(1))
      assert.is_true(#w:picture(2) > 1000)
      assert.matches("row 12 has no clip", select(2, w:sound(N)))
      assert.same({yes = 0, no = 0, unsure = 0, left = 6}, w:progress("tone"))
      assert.is_nil(w:about(1).probability) -- not before it is judged
   end)

   it("has every verdict in the table at once, and all else as it was", function()
      local before = rows_of()
      local w = assert(browse.open{run = dir, review = path}).windows
      assert(w:answer(1, "tone", "yes", "none"))
      assert(w:answer(2, NASTY, "no"))
      local rows = rows_of()
      assert.same({"yes", "no", nil}, {rows[1].verdict, rows[2].verdict, rows[3].verdict})
      for i, row in ipairs(rows) do
         row.verdict = nil
         for _, name in ipairs(COLUMNS) do assert.equal(name ~= "verdict" and before[i][name] or nil, row[name]) end
      end
      assert.same({0.88, {tone = "yes"}}, {w:about(1).probability, w:about(1).said})
      local other = assert(browse.open{run = dir}).windows
      assert.equal(2, other.answered)
      assert(other:answer(1, "tone", "unsure", "yes"))
      assert.same({nil, "changed"}, {w:answer(1, "tone", "no", "yes")})
      assert(w:answer(2, NASTY, nil))
      assert.is_nil(rows_of()[2].verdict)
      assert.same({nil, "it was drawn for tone: yes, no or unsure?"}, {w:answer(1, "owl", "yes")})
   end)

   it("says what precision and recall are in these recordings", function()
      local w = assert(browse.open{run = dir}).windows
      for row in ipairs(w.rows) do -- of tones: probable 1, 5, 9; 3, 7, 11 are not
         if row % 2 == 1 then assert(w:answer(row, "tone", (row == 1 or row == 5 or row == 3) and "yes" or "no")) end
      end
      local m = assert(review.measures(path))
      assert.equal(3, #m)
      assert.same({"tone", 0.5, 6}, {m[1].label, m[1].threshold, m[1].judged})
      assert.near(2 / 3, m[1].precision, 1e-9) -- two of three stand for 10 windows, one of three for 90
      assert.near(20 / 3 / (20 / 3 + 30), m[1].recall, 1e-9)
      assert.is_nil(m[3].precision) -- nothing is so probable
      local get = serve(assert(browse.open{run = dir}))
      local status, body = get("/classes")
      assert.equal(200, status)
      assert.matches("0.67 / 0.18", body, 1, true)
      assert.matches("bclua classify update MODEL " .. path, body, 1, true)
      assert.is_nil(body:find("<b>", 1, true))
   end)

   it("needs a table that says what it has to", function()
      command.write(path, "source_name,start_s,end_s,label\na.wav,1,2,x\n")
      assert.matches("review.csv: ", select(2, browse.open{run = dir}))
      command.write(path, "my notes\n")
      assert.matches("review.csv: ", select(2, browse.open{run = dir, review = path}))
      assert.matches("either windows of embeddings or of a review", select(2, browse.open{run = dir, review = path,
         embeddings = "x.parquet"}))
      write()
      local b = assert(browse.open{run = dir})
      os.remove(path)
      assert.matches("review.csv", select(2, b.windows:answer(1, "tone", "yes")))
   end)

   it("is judged by keys in a browser", function()
      if not browser.program() then return pending("no chromium") end
      local b = assert(browse.open{run = dir})
      local found, console = browser.visit(function(port)
         local s = browse_server.new(b, port)
         return function(request) return s:handle(request) end
      end, "/", {360}, browser.help .. [[
         const strip = d.getElementById("strip"), at = () => strip.dataset.window;
         const changed = async f => { const from = at(); f(); await until(() => at() !== from); };
         await until(() => at() !== undefined);
         const first = at();
         for (const k of ["y", "n", "u"]) await changed(() => key(k));
         await changed(() => key("z"));
         return {first, wide, progress: d.getElementById("progress").textContent,
            hidden: d.getElementById("by").parentElement.hidden};]])
      assert.equal("", console)
      local f = found[1]
      assert.same({"1", false, true}, {f.first, f.wide, f.hidden})
      assert.equal("tone: 1 yes, 1 no, 0 unsure, 4 left; 2 answers of 12 windows", f.progress)
      local rows = rows_of()
      assert.same({"yes", "no"}, {rows[1].verdict, rows[3].verdict})
      assert.is_nil(rows[5].verdict)
   end)
end)
