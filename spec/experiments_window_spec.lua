local command = require "support.command"
local dataset = require "bclua.data.dataset"
local files = require "bclua.files"
local motif_sweep = require "bclua.workflow.experiments.motif_sweep"
local sql = require "bclua.sql"

describe("experiment: window", function()
   local dir
   setup(function()
      dir = command.folder()
      assert(dataset.make(dir .. "/data", {families = 2, species = 1, recordings = 3, short = 1,
         least_s = 20, most_s = 30}))
   end)
   teardown(function() command.remove(dir) end)

   local function sweep(changes)
      local o = {data = dir .. "/data", rates = {10}, windows_s = {5}, exclusions = {0.5}, recordings = 10,
         seeds = {1}, quiet = true}
      for k, v in pairs(changes or {}) do o[k] = v end
      return motif_sweep.run(o)
   end

   describe("motif_sweep", function()
      it("measures in what part two windows have the same song at the same place", function()
         local calls = {}
         for i, c in ipairs{{0, 2, "a"}, {3, 5, "b"}, {10, 12, "a"}, {20, 22, "b"}} do
            calls[i] = {start_s = c[1], end_s = c[2], song = c[3]}
         end
         assert.near(2, motif_sweep.same_song(calls, 0, 10, 5), 1e-9)
         assert.near(1, motif_sweep.same_song(calls, 0, 9, 5), 1e-9)
         assert.near(1.5, motif_sweep.same_song(calls, 0, 10, 1.5), 1e-9)
         assert.equal(0, motif_sweep.same_song(calls, 0, 20, 2.5))
         assert.near(2, motif_sweep.same_song(calls, 0, 17, 5), 1e-9)
         assert.equal(0, motif_sweep.same_song({}, 0, 17, 5))
      end)

      it("has a row a setting, with the motif where `extract` finds it", function()
         local item = {path = dir .. "/data/train_audio/synfin1/SYN1001.ogg"}
         local rows = motif_sweep.one(item, {sample_rate = 32000, features = {"cens"}, rates = {10, 20},
            windows_s = {3.5, 5}, exclusions = {0.5, 1}})
         assert.equal(8, #rows)
         local analysis = require "bclua.workflow.analysis"
         local r = analysis.analyse(item.path,
            {cens_sample_rate = 10, matrix_profile_window = 50, sample_rate = 32000})
         for _, row in ipairs(rows) do
            if row.rate == 10 and row.window_s == 5 and row.exclusion == 0.5 then
               assert.near(r.motif_0 / 10, row.a, 1e-9)
               assert.near(r.motif_1 / 10, row.b, 1e-9)
               assert.near(r.discord_0 / 10, row.d, 1e-9)
            end
            assert.is_true(row.rank >= 0 and row.rank <= 1)
            assert.is_nil(row.calls)
         end
      end)

      it("hears at the sample rate that `extract` has", function()
         local path, rate = dir .. "/fast.wav", 48000
         local y = assert(require("bclua.audio").load(dir .. "/data/train_audio/synfin1/SYN1001.ogg",
            {sample_rate = rate}))
         assert(require("bclua.audio").save(path, y, rate, {format = "wav"}))
         local row = motif_sweep.one({path = path}, {sample_rate = rate, features = {"cens"}, rates = {10},
            windows_s = {5}, exclusions = {0.5}})[1]
         local r = require("bclua.workflow.analysis").analyse(path,
            {cens_sample_rate = 10, matrix_profile_window = 50, sample_rate = rate})
         assert.same({r.motif_0 / 10, r.motif_1 / 10, r.discord_0 / 10}, {row.a, row.b, row.d})
         local measured = require("bclua.workflow.score").measure(assert(require("bclua.audio").load(path)),
            {row.a, row.b}, 5, nil, {sample_rate = rate, fmin = 0, fmax = 0})
         assert.near((measured[1].score + measured[2].score) / 2, row.score, 1e-9)
         assert.matches("frame rate 7: does not divide the sample rate 48000", select(2, sweep{sample_rate = rate,
            rates = {7}}))
         assert.equal(6, assert(sweep{sample_rate = 16000}).recordings)
      end)

      it("finds more call than a random window has, and less in discords", function()
         local r = assert(sweep())
         assert.same({6, 1, 0}, {r.recordings, r.short, #r.failures})
         local row = r.rows[1]
         assert.is_true(row.calls > row.chance + 0.1)
         assert.is_true(row.calls > row.discord)
         assert.is_true(row.rank > 0.5)
      end)

      it("judges all settings on the same recordings", function()
         local r = assert(sweep{windows_s = {2, 10}})
         assert.equal(r.rows[1].recordings, r.rows[2].recordings)
         local _, message = sweep{windows_s = {2, 500}}
         assert.matches("7 are too short for the longest window", message, 1, true)
      end)

      it("gives means and their standard errors", function()
         local rows = motif_sweep.summarise{{features = "cens", rate = 10, window_s = 5, exclusion = 1, rank = 0.2},
            {features = "cens", rate = 10, window_s = 5, exclusion = 1, rank = 0.6},
            {features = "cens", rate = 5, window_s = 5, exclusion = 1, rank = 1}}
         assert.same({5, 1, 1.0, 0}, {rows[1].rate, rows[1].recordings, rows[1].rank, rows[1].rank_error})
         assert.same({2, 0.4, 0.2}, {rows[2].recordings, rows[2].rank, rows[2].rank_error})
         assert.is_nil(rows[1].calls)
      end)

      it("names what it cannot use", function()
         assert.matches("frame rate 7: does not divide", select(2, sweep{rates = {7}}), 1, true)
         assert.matches("less than 2 frames", select(2, sweep{windows_s = {0.1}}), 1, true)
         assert.matches("/none: no such folder", select(2, sweep{data = dir .. "/none"}), 1, true)
      end)
   end)

   describe("scripts/experiments/window.lua", function()
      local function run(...)
         return command.bclua{"scripts/experiments/window.lua", "--run", dir .. "/run", ...}
      end

      it("makes a table, three pictures and a section of the report", function()
         local out, status = run("--data", dir .. "/data", "--rates", "10", "--windows", "2,5", "--exclusions", "0.5")
         assert.equal(0, status, out)
         assert.matches("Longest the same song in both: ", out, 1, true)
         local place = dir .. "/run/experiments/window/"
         local rows = sql.query("from " .. sql.quote(place .. "window.parquet"))
         assert.same({2, 5}, {rows[1].window_s, rows[2].window_s})
         for _, name in ipairs{"calls", "same", "rank"} do assert.is_true(files.exists(place .. name .. ".svg")) end
         assert.matches("Which windows find calls?", command.read(dir .. "/run/report.html"), 1, true)
      end)

      it("does without known calls", function()
         os.remove(dir .. "/data/calls.csv")
         local out, status = run("--data", dir .. "/data", "--rates", "10", "--windows", "5", "--exclusions", "0.5")
         assert.equal(0, status, out)
         assert.is_nil(out:find("same song", 1, true))
      end)

      it("names a wrong option, and a run that is none", function()
         assert.matches("--windows: 'x' is not a number", run("--windows", "2,x"), 1, true)
         local out, status = run()
         assert.equal(1, status)
         assert.matches("window: .-/run/config.json: no such file", out)
      end)
   end)
end)
