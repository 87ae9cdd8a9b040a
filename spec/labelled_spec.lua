local command = require "support.command"
local files = require "bclua.files"
local labelled = require "bclua.workflow.labelled"
local mined = require "support.mined"
local sql = require "bclua.sql"
local triplets = require "bclua.workflow.triplets"

local m, dir, truth, all
-- The true calls of the synthetic set: each song of a species is a label.
setup(function()
   m = mined.get()
   truth = m.dir .. "/truth.parquet"
   local rows = sql.query(("select file as source_name, start_s::double as start_s, end_s::double as end_s, " ..
      "split_part(file, '/', 2) || ' ' || song as label from %s"):format(sql.csv(m.data .. "/calls.csv")))
   for i, row in ipairs(rows) do row.origin, row.line = "calls.csv", i + 1 end
   assert(sql.write_parquet(truth, rows))
   all = rows
end)
teardown(mined.remove)
before_each(function() dir = command.folder() end)
after_each(function() command.remove(dir) end)

local function run(options)
   local o = {input = m.motif, output = dir .. "/t.parquet", samples = 3000, labels = truth, quiet = true}
   for k, v in pairs(options or {}) do o[k] = v end
   local result, message = triplets.run(o)
   return result, message, result and sql.query("from " .. sql.parquet(o.output))
end

local function write(rows)
   assert(sql.write_parquet(dir .. "/l.parquet", rows, {types = {label = "varchar", start_s = "double",
      end_s = "double", low_hz = "double", high_hz = "double", score = "double"}, order = {"source_name", "start_s",
      "end_s", "label", "low_hz", "high_hz", "score"}}))
   return dir .. "/l.parquet"
end

describe("a window of a label", function()
   it("has it in its middle, as far as the recording reaches", function()
      assert.equal(10, labelled.centre({start_s = 8, end_s = 12}, 5, 20))
      assert.equal(2.5, labelled.centre({start_s = 0, end_s = 1}, 5, 20))
      assert.equal(17.5, labelled.centre({start_s = 19, end_s = 20}, 5, 20))
      assert.equal(2, labelled.centre({start_s = 3, end_s = 3.5}, 5, 4))
   end)
end)

describe("labels", function()
   it("are found by source name, or by the end of it", function()
      local of, about = labelled.read(write{{source_name = "x/b.wav", start_s = 3, end_s = 4, label = "late"},
         {source_name = "x/b.wav", start_s = 1, end_s = 2, label = "early"},
         {source_name = "a", start_s = 1, end_s = 1}, {source_name = "c.wav", start_s = 1, end_s = 1}},
         {"x/a.wav", "x/b.wav"})
      assert.same({"early", "late"}, {of["x/b.wav"][1].label, of["x/b.wav"][2].label})
      assert.equal(1, #of["x/a.wav"])
      assert.same({labels = 3, others = 1, recordings = 1}, about)
      assert.matches("none of its labels is of one of these recordings", select(2, labelled.read(dir .. "/l.parquet",
         {"q.wav"})))
   end)

   it("are checked", function()
      assert.matches("column 'end_s', row 1: must not be before 'start_s'", select(2, labelled.read(write{
         {source_name = "a", start_s = 3, end_s = 2}}, {"a"})))
   end)

   it("become rows of a recording and a label", function()
      local rows = {{source_name = "a", duration_seconds = 30, matrix_profile_window = 50, cens_sample_rate = 10},
         {source_name = "b", duration_seconds = 30, matrix_profile_window = 50, cens_sample_rate = 10}}
      local entries, warnings = labelled.entries(rows, write{{source_name = "a", start_s = 10, end_s = 12, label = "y"},
         {source_name = "a", start_s = 5, end_s = 5, label = "x"},
         {source_name = "a", start_s = 4, end_s = 6, label = "x"},
         {source_name = "b", start_s = 20, end_s = 20, label = "y"}, {source_name = "b", start_s = 1, end_s = 2},
         {source_name = "c", start_s = 1, end_s = 2, label = "x"}})
      local got = {}
      for i, e in ipairs(entries) do got[i] = {e.source_name, e.species, table.unpack(e.places)} end
      assert.same({{"a", "x", 5}, {"a", "y", 11}, {"b", "y", 20}}, got)
      assert.equal(2, #warnings)
      assert.matches(": 1 label of 1 recording that is not in the table$", warnings[1])
      assert.matches(": 1 label without text$", warnings[2])
      assert.same({{source_name = "a", species = "x"}, {source_name = "b", species = "y"}},
         labelled.recordings(entries))
   end)
end)

describe("truth of labels", function()
   local rows = {{source_name = "a", duration_seconds = 30}, {source_name = "b", duration_seconds = 30},
      {source_name = "c", duration_seconds = 30}}
   local kept = {a = true, b = true}
   local function label(name, from, to, text)
      return {source_name = name, start_s = from, end_s = to, label = text}
   end

   it("has a window in the middle of each label, called by its text", function()
      local found, about = labelled.truth(rows, write{label("a", 20, 28, "long"), label("a", 10, 12, "x"),
         label("a", 12, 13, "y"), label("b", 4, 6, "x"), label("b", 5, 5, "x"), label("b", 5.5, 6, "x")}, 5, kept)
      assert.same({centres = {11, 12.5, 24}, names = {"x", "y", "long"}}, found.a)
      assert.same({centres = {5, 5.75}, names = {"x", "x"}}, found.b)
      assert.same({6, 3, 1, 0}, {about.labels, about.names, about.longer, about.overlapping})
      assert.same({"longer than a window, judged by their middle: 1 label"}, labelled.warnings(about))
   end)

   it("leaves out what is not clear, and counts it", function()
      local found, about = labelled.truth(rows, write{label("a", 1, 9, "x"), label("a", 2, 3, "x"),
         label("a", 8, 10, "y"), label("a", 9, 12, "z"), label("a", 20, 21, "x"), label("a", 25, 26),
         label("a", 30, 31, "x"), label("b", 0, 0.5, "x"), label("b", 1, 2, "y"), label("c", 1, 2, "x"),
         label("q", 1, 2, "x"), label("q", 3, 4, "x"), label("r", 3, 4, "x")}, 5, kept)
      assert.same({a = {centres = {2.5, 20.5}, names = {"x", "x"}}}, found)
      assert.same({"left out, of recordings that are not in the table (2): 3 labels",
         "left out, of recordings that are not kept for evaluation: 1 label", "left out, without a text: 1 label",
         "left out, in one window with the time of another text: 5 labels",
         "left out, behind the end of their recording: 1 label"}, labelled.warnings(about))
      assert.equal(2, about.labels)
   end)

   it("names the file where there is none", function()
      assert.equal(dir .. "/l.parquet: no label can be judged (left out, of recordings that are not kept for " ..
         "evaluation: 1 label; left out, without a text: 1 label)",
         select(2, labelled.truth(rows, write{label("c", 1, 2, "x"), label("a", 3, 4)}, 5, kept)))
      assert.matches("none of its labels is of one of these recordings",
         select(2, labelled.truth(rows, write{label("q", 1, 2, "x")}, 5, kept)))
   end)
end)

describe("triplets of labels", function()
   -- Is a window around a label of that text?
   local function is_at(source, label, loc, seconds)
      for _, row in ipairs(all) do
         if row.source_name == source and row.label == label and loc > row.start_s - seconds and
            loc < row.end_s + seconds then return true end
      end
      return false
   end

   it("have anchor and neighbour around one label, and another far away", function()
      local result, message, rows = run()
      assert(result, message)
      assert.equal(3000, #rows)
      local alone, recordings = {}, {} -- labels by their only recording
      for _, r in ipairs(rows) do
         local known = recordings[r.a_species]
         alone[r.a_species] = known == nil or known == r.a and alone[r.a_species]
         recordings[r.a_species] = known or r.a
      end
      for _, r in ipairs(rows) do
         assert.equal(r.a_species, r.b_species)
         assert.not_equal(r.a_species, r.c_species)
         assert.is_true(is_at(r.a, r.a_species, r.a_loc, 2.5) and is_at(r.b, r.b_species, r.b_loc, 2.5))
         assert.is_true(is_at(r.c, r.c_species, r.c_loc, 2.5))
         assert.is_false(r.a == r.b and r.a_loc == r.b_loc)
         assert.equal(alone[r.a_species], r.a == r.b)
      end
      local made = require("bclua.data.provenance").of_parquet(dir .. "/t.parquet")
      assert.same({"label", truth, 5.0}, {made.group, made.labels, made.self_distance})
      assert.equal(#made.holdout_recordings, #result.holdout)
      local seen = {}
      for _, name in ipairs(made.holdout_recordings) do
         assert.is_nil(seen[name])
         seen[name] = true
      end
      for _, r in ipairs(rows) do assert.is_false(seen[r.a] or seen[r.b] or seen[r.c] or false) end
   end)

   it("never have the anchor's label in the distant window of a recording with both", function()
      local names = sql.query("select source_name from " .. sql.parquet(m.motif) ..
         " where duration_seconds > 11.5 order by 1 limit 3")
      local rows, at = {}, {x = {2.5, 8.9}, y = {3, 9}, z = {8.9}}
      for i, n in ipairs(names) do
         for label, list in pairs(at) do
            for _, s in ipairs(i == 3 and {3.5} or list) do
               rows[#rows + 1] = {source_name = n.source_name, start_s = s, end_s = s,
                  label = label .. (i == 3 and "3" or "")}
            end
         end
      end
      local result, message, drawn = run{labels = write(rows), holdout = 0, samples = 2000}
      assert(result, message)
      local same = 0
      for _, r in ipairs(drawn) do
         for _, row in ipairs(rows) do
            if row.source_name == r.c and row.label == r.a_species then
               same = same + 1
               assert.is_true(math.abs(row.start_s - r.c_loc) >= 5)
            end
         end
      end
      assert.is_true(same > 100)
   end)

   it("of recordings kept away are drawn alike", function()
      assert(run())
      local t, names = triplets.held_out{triplets = dir .. "/t.parquet", input = m.motif, samples = 500, seed = 1}
      assert(t, names)
      local held = {}
      for _, name in ipairs(require("bclua.data.provenance").of_parquet(dir .. "/t.parquet").holdout_recordings) do
         held[name] = true
      end
      for i = 1, 500 do
         assert.is_true(held[names[t.a[i]]] and held[names[t.c[i]]])
         local ok = false
         for _, row in ipairs(all) do ok = ok or row.source_name == names[t.a[i]] and is_at(names[t.a[i]], row.label,
            t.a_loc[i], 2.5) end
         assert.is_true(ok)
      end
   end)

   it("are refused with other windows, and where labels have changed", function()
      assert.matches("labels are the windows %(%-%-labels%): use it without %-%-pick", select(2, run{pick = "calls"}))
      assert.matches("without %-%-accepted%-only", select(2, run{accepted_only = true}))
      local rows = {}
      for i, row in ipairs(all) do rows[i] = {source_name = row.source_name, start_s = row.start_s, end_s = row.end_s,
         label = row.label} end
      local path = write(rows)
      assert(run{labels = path})
      assert(run{labels = path})
      rows[1].start_s, rows[1].end_s = 4.5, 5
      write(rows)
      assert.matches("other parameters %(labelled = ", select(2, run{labels = path}))
      for _, row in ipairs(rows) do row.label = "all" end
      write(rows)
      assert.matches("triplets need two groups or more, got 1: the label 'all'", select(2, run{labels = path}))
      assert.matches("nix.parquet: no such file", select(2, run{labels = dir .. "/nix.parquet"}))
      assert.is_true(files.exists(dir .. "/t.parquet"))
   end)
end)
