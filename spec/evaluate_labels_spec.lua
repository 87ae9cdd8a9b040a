-- Evaluations by labels in place of species.
local array = require "bclua.array"
local command = require "support.command"
local evaluate = require "bclua.workflow.evaluate"
local files = require "bclua.files"
local evaluations = require "support.evaluations"
local sql = require "bclua.sql"

local judge, set_of = evaluations.judge, evaluations.set_of
local m, dir, holdout
setup(function() m, dir, holdout = evaluations.open() end)
teardown(evaluations.close)

describe("judging by labels", function()
   -- The true calls, each song a label; the recordings themselves know no species.
   local bare, truth, rows
   setup(function()
      bare, truth = dir .. "/unnamed.parquet", dir .. "/labels.parquet"
      assert(sql.write_parquet(bare, ("select * replace (null::varchar as species) from %s"):format(
         sql.quote(m.motif))))
      rows = sql.query(("select file as source_name, start_s::double as start_s, end_s::double as end_s, " ..
         "split_part(file, '/', 2) as label from %s order by all"):format(sql.csv(m.data .. "/calls.csv")))
      assert(sql.write_parquet(truth, rows))
   end)

   local function write(list)
      assert(sql.write_parquet(dir .. "/some.parquet", list))
      return dir .. "/some.parquet"
   end

   it("takes the window around each label, and its text for the truth", function()
      local folder = dir .. "/by-label"
      local result, judged = assert(judge{motif = bare, labels = truth, output = folder})
      local about = result.labelled
      assert.same({"label", 4, 16}, {result.truth, result.classes, result.recordings})
      assert.equal(#rows, about.labels + about.others + about.away)
      for i, name in ipairs(judged.recordings) do
         local near = false
         for _, row in ipairs(rows) do
            near = near or row.source_name == name and row.label == judged.species[i] and
               row.start_s < judged.starts[i] + 5 and row.end_s > judged.starts[i]
         end
         assert.is_true(near)
      end
      local text = evaluate.text(result)
      assert.matches(("%d windows around labels of 16 recordings that were not used in training; the truth is what " ..
         "%d labels of %s say: 4 names, 4 of them in several recordings in 2 groups; accuracy"):format(result.windows,
         result.labelled.labels, truth), text, 1, true)
      assert.matches("label: accuracy", text, 1, true)
      assert.is_nil(text:find("species", 1, true))
      local written = sql.query(("select * from '%s/embeddings.parquet'"):format(folder))
      assert.equal(judged.species[2], written[2].label)
      assert.equal("label", sql.query(("select level from '%s/confusion.parquet'"):format(folder))[1].level)
      assert.matches("<svg", command.read(folder .. "/confusion-label.svg"), 1, true)
      assert.equal(truth, files.read_json(folder .. "/evaluation.json").labelled.path)
   end)

   it("hears what is there, also where it is decoded again", function()
      local kept = assert(set_of{labels = truth})
      local again, n = assert(set_of{labels = truth, memory_mb = 1}), 0
      assert.is_nil(again.sound)
      local sound = {}
      kept:each(function(windows, at) for i = 1, #windows do sound[at + i - 1] = windows[i] end end)
      again:each(function(windows, at)
         for i = 1, #windows do
            n = n + 1
            assert.is_true(array.equal(sound[at + i - 1], windows[i]))
         end
      end)
      assert.equal(#kept.starts, n)
      for _, i in ipairs{1, n // 2, n} do
         local y = assert(require("bclua.audio").load(m.data .. "/" .. kept.recordings[i], {sample_rate = 32000}))
         local window = require("bclua.sampling").cut(y, 32000, array.from({kept.starts[i] + 2.5}, "f64"), 5)
         assert.is_true(array.equal(window[1], sound[i]))
      end
   end)

   it("takes labels far apart out of a long recording", function()
      local audio, root = require "bclua.audio", dir .. "/long"
      local y = assert(audio.load(m.data .. "/" .. holdout[1], {sample_rate = 32000}))
      local night = array.zeros(400 * 32000)
      for _, s in ipairs{100, 150, 390} do
         night:slice(1, s * 32000 + 1, s * 32000 + 320000):fill(y:slice(1, 1, 320000))
      end
      command.shell("mkdir -p " .. command.quote(files.dirname(root .. "/" .. holdout[1])))
      assert(audio.save(root .. "/" .. holdout[1], night, 32000, {format = "flac"}))
      night = audio.load(root .. "/" .. holdout[1])
      assert(sql.write_parquet(dir .. "/long.parquet", ("select * replace (400.0 as duration_seconds) from %s " ..
         "where source_name = %s"):format(sql.quote(m.motif), sql.quote(holdout[1]))))
      local list = {}
      for i, s in ipairs{10, 102.25, 153, 394} do
         list[i] = {source_name = holdout[1], start_s = s, end_s = s + 1.0, label = "call " .. i}
      end
      local set = assert(set_of{motif = dir .. "/long.parquet", dataset_root = root, labels = write(list)})
      assert.same({"call 2", "call 3", "call 4"}, set.labels)
      assert.same({100.25, 151, 392}, set.starts)
      assert.equal(1, set.silent)
      assert.same({"call 1"}, set.missing)
      set:each(function(windows, at)
         for i = 1, #windows do
            local from = set.starts[at + i - 1] * 32000 // 1
            assert.is_true(array.equal(night:slice(1, from + 1, from + 160000), windows[i]))
         end
      end)
   end)

   it("says what of the labels is not judged", function()
      local list = table.move(rows, 1, #rows, 1, {})
      for i, row in ipairs(rows) do
         if row.source_name == holdout[2] then
            list[i] = {source_name = row.source_name, start_s = row.start_s, end_s = row.end_s, label = "once"}
         end
      end
      list[#list + 1] = {source_name = "elsewhere.wav", start_s = 9.0, end_s = 9.5, label = "synfin1"}
      local held = {table.unpack(holdout, 2)}
      local set = assert(set_of{motif = bare, labels = write(list), recordings = held})
      local result = evaluate.judge(set, {{name = "x", x = set.plain}}, {splits = 1})
      local text = evaluate.text(result)
      assert.matches("of recordings that are not in the table (1): 1 label", text, 1, true)
      assert.matches("of recordings that are not kept for evaluation: %d+ labels", text)
      result = assert(judge{motif = bare, labels = write(list)})
      assert.same({"once"}, result.dropped)
      assert.matches("5 names, 4 of them in several recordings", evaluate.text(result), 1, true)
      assert.matches("left out, for want of a second recording: once", evaluate.text(result), 1, true)
   end)

   it("refuses other windows, labels of nothing, and one name", function()
      assert.matches("labels are the windows %(%-%-labels%): use it without %-%-windows", select(2, judge{
         labels = truth, windows = "all"}))
      assert.matches("nix.parquet: no such file", select(2, judge{labels = dir .. "/nix.parquet"}))
      local list = {}
      for i, row in ipairs(rows) do
         list[i] = {source_name = row.source_name, start_s = row.start_s, end_s = row.end_s, label = "bird"}
      end
      local _, message = judge{labels = write(list)}
      assert.matches("^" .. dir .. "/some.parquet: evaluation needs two classes with two recordings each, got 1 " ..
         "%(%d+ labels of 1 names can be judged", message)
      list = {{source_name = holdout[1], start_s = 1.0, end_s = 2.0, label = "a"},
         {source_name = holdout[2], start_s = 1.0, end_s = 2.0, label = "b"}}
      assert.matches("got 0 %(with one recording: a, b%) %(2 labels of 2 names", select(2, judge{labels = write(list)}))
   end)
end)
