local command = require "support.command"
local experiment = require "bclua.experiment"
local files = require "bclua.files"
local plot = require "bclua.plot"
local report = require "bclua.report"
local sql = require "bclua.sql"
local system = require "bclua.system"

describe("an experiment", function()
   local dir, out

   before_each(function()
      dir = command.folder()
      out = io.open(dir .. "/out", "w")
   end)
   after_each(function()
      out:close()
      command.remove(dir)
   end)

   local function open(name, settings, title)
      return assert(experiment.open{run = dir .. "/run", name = name, title = title, settings = settings, out = out})
   end

   local function page() return command.read(dir .. "/run/report.html") end

   it("prints its title and settings before anything else, and writes nothing yet", function()
      open("noise", {levels = {0, 1}}, "Noise on the input")
      assert.equal('Noise on the input\n{"levels":[0,1]}\n', command.read(dir .. "/out"))
      assert.is_false(files.exists(dir .. "/run"))
   end)

   it("shortens long tables of settings where it prints them, not in the section", function()
      local long = {}
      for i = 1, 100 do long[i] = i end
      local e = open("noise", {fixed = {config = {fit = long}, seed = 1}})
      assert.equal('noise\n{"fixed":{"config":"...","seed":1}}\n', command.read(dir .. "/out"))
      assert.equal(100, #e:close().settings.fixed.config.fit)
   end)

   it("keeps a table as Parquet with the settings, whatever is in a column", function()
      local e = open("noise", {seed = 3})
      local path = e:table({{level = 0, loss = 50.5, note = "a"}, {level = 0.5, loss = 0 / 0, note = 7}, {note = true}},
         {"level", "loss", "note"})
      assert.equal(dir .. "/run/experiments/noise/noise.parquet", path)
      local rows = sql.query("from " .. sql.quote(path))
      assert.same({"level", "loss", "note"}, sql.names(rows))
      assert.same({0, 0.5}, {rows[1].level, rows[2].level})
      assert.is_true(rows[2].loss ~= rows[2].loss)
      assert.same({"a", "7", "true"}, {rows[1].note, rows[2].note, rows[3].note})
      assert.matches('"seed":3', sql.parquet_metadata(path).bclua, 1, true)
      assert.matches("  0%.5   nan  7\n", command.read(dir .. "/out"))
   end)

   it("shows the ends of a long table, and writes all of it", function()
      local e, rows = open("noise"), {}
      for i = 1, 50 do rows[i] = {n = 1000 + i} end
      local path = assert(e:table(rows, {"n"}, {limit = 5}))
      assert.equal(50, #sql.query("from " .. sql.quote(path)))
      e:close()
      for _, text in ipairs{command.read(dir .. "/out"), page()} do
         assert.matches("1003", text)
         assert.matches("1050", text)
         assert.is_nil(text:find("1004", 1, true))
      end
      assert.matches("first and last of 50 rows; all are in noise.parquet", page())
   end)

   it("takes a table without rows, and several tables", function()
      local e = open("noise")
      assert(e:table({}, {"a"}))
      local path = assert(e:table({{b = 1}}, nil, {name = "second"}))
      assert.equal(dir .. "/run/experiments/noise/second.parquet", path)
      assert.equal(0, #sql.query("from " .. sql.quote(dir .. "/run/experiments/noise/noise.parquet")))
   end)

   it("makes a report of its own where there is none", function()
      local e = open("noise", {seed = 3}, "Noise on the <input>")
      e:say("One step at each level.")
      e:table({{level = 0.25, loss = 1}}, {"level", "loss"})
      assert.is_true(e:picture("loss.svg", "loss over noise", function(path) return plot.line({1, 2}, path) end))
      assert(e:sounds({{bytes = "OggS", type = "audio/ogg", caption = "a call"}}))
      local section = assert(e:close())
      assert.equal(dir .. "/run/report.html", section.report)
      local text = page()
      for _, what in ipairs({"Noise on the &lt;input&gt;</h2>", 'href="#e1"', 'id="e1"', "One step at each level.",
         '<td class="number">0.25</td>', "data:image/svg+xml;base64,", "data:audio/ogg;base64,T2dnUw==", "seed"}) do
         assert.matches(what, text, 1, true)
      end
   end)

   it("goes into the report that is there, between its sections, and is replaced there", function()
      local function pipeline_report()
         local r = report.new("bclua: demo")
         r:section("Recordings")
         experiment.place(r, dir .. "/run")
         r:section("Time")
         assert(r:write(dir .. "/run/report.html"))
      end
      local first = open("noise")
      first:say("the first result")
      first:close()
      os.remove(dir .. "/run/report.html")
      pipeline_report()
      assert.matches("the first result", page(), 1, true) -- written again, it takes them in
      local again, other = open("noise"), open("a-second")
      again:say("the next result, 100 % of it")
      again:close()
      other:close()
      local text = page()
      assert.is_nil(text:find("the first result", 1, true))
      assert.matches("Recordings</h2>.*: a%-second</h2>.*: noise</h2>.*100 %% of it.*Time</h2>", text)
      assert.matches('<a href="#s1">Rec.*<a href="#e1">Experiment: a%-second</a><a href="#e2">.*"#s3">Time', text)
      pipeline_report()
      assert.equal(text, page())
   end)

   it("leaves a page alone that has no place for it", function()
      system.mkdir(dir .. "/run")
      command.write(dir .. "/run/report.html", "<html>mine</html>")
      assert.same({nil, dir .. "/run/report.html: has no place for experiments (made by another version; " ..
         "bclua pipeline renews it)"}, {experiment.refresh(dir .. "/run")})
      assert.equal("<html>mine</html>", page())
   end)

   it("names what is broken of another experiment, and keeps the rest", function()
      open("good"):close()
      local e = open("pictures")
      e:picture("x.svg", "x", function(path) return plot.line({1, 2}, path) end)
      e:close()
      os.remove(dir .. "/run/experiments/pictures/x.svg")
      system.mkdir(dir .. "/run/experiments/torn")
      command.write(dir .. "/run/experiments/torn/section.json", '{"title": "to')
      system.mkdir(dir .. "/run/experiments/strange")
      command.write(dir .. "/run/experiments/strange/section.json", '{"title": "x", "parts": [{"kind": "smell"}]}')
      assert(experiment.refresh(dir .. "/run"))
      local text = page()
      assert.matches("Experiment: good</h2>", text, 1, true)
      assert.matches('class="warning">[^<]*torn/section.json: not JSON', text)
      assert.matches('class="warning">[^<]*strange/section.json: not a section', text)
      assert.matches('class="warning">no picture: [^<]*x.svg: No such file', text)
   end)

   it("takes a picture that cannot be drawn as a warning", function()
      local e, stderr = open("noise"), io.stderr
      rawset(io, "stderr", out)
      assert.is_false(e:picture("a.svg", "a", function() return nil, "gnuplot: not found" end))
      assert.is_false(e:picture("b.png", "b", function() error("no data", 0) end))
      assert(e:close())
      rawset(io, "stderr", stderr)
      assert.matches("noise: no picture: gnuplot: not found\n", command.read(dir .. "/out"), 1, true)
      assert.matches('class="warning">no picture: gnuplot: not found', page(), 1, true)
      assert.matches('class="warning">no picture: no data', page(), 1, true)
   end)

   it("names a file of the run that is missing", function()
      assert.same({nil, "nowhere/motif.parquet: no such file (bclua pipeline --run nowhere makes it)"},
         {experiment.open{run = "nowhere/", name = "x", needs = {"motif.parquet"}}})
   end)

   it("rejects wrong options and settings that no file can hold", function()
      local function rejects(what, f) assert.error_matches(f, what, 1, true) end
      local function try(changes)
         local options = {run = "r", name = "x"}
         for k, v in pairs(changes) do options[k] = v end
         return function() experiment.open(options) end
      end
      rejects("unknown option 'setings'", try{setings = {}})
      rejects("option 'name': '../x' is no name (letters, digits, _, - and . expected)", try{name = "../x"})
      rejects("option 'settings' must be a table, got 1", try{settings = 1})
      rejects("option 'run' is missing", function() experiment.open{name = "x"} end)
      rejects("bad value of 'settings.f' (number, text, boolean or table expected, got function)",
         try{settings = {f = print}})
      rejects("bad name of a picture 'x.pdf'", function() open("x"):picture("x.pdf", "", print) end)
      rejects("unknown option 'nam'", function() open("x"):table({}, {}, {nam = "y"}) end)
   end)

   it("counts seeds from the first", function()
      local o = experiment.parser("scripts/x.lua", "x"):parse({"--seed", "5", "--seeds", "2"})
      assert.same({5, 6}, experiment.seeds(o))
      assert.equal("runs/demo", o.run)
   end)
end)
