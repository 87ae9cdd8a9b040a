local array = require "bclua.array"
local audio = require "bclua.audio"
local classifier = require "bclua.classifier"
local command = require "support.command"
local detect = require "bclua.detect"
local examples = require "bclua.workflow.classify.examples"
local files = require "bclua.files"
local import_labels = require "bclua.workflow.import_labels"
local log_mel = require "bclua.workflow.classify.log_mel"
local predict = require "bclua.workflow.classify.predict"
local review = require "bclua.workflow.classify.review"
local provenance = require "bclua.data.provenance"
local sampling = require "bclua.sampling"
local sql = require "bclua.sql"
local system = require "bclua.system"
local tilenet = require "bclua.tilenet"
local train = require "bclua.workflow.classify.train"

local RATE, NAN = 8000, 0 / 0

local function rows_of(path) return assert(sql.query("from " .. sql.parquet(path))) end

-- Detections from their definition: windows in order, one after the other.
local function detections_of(windows, model, thresholds)
   local list = {}
   for k, class in ipairs(model.classes) do
      local last
      for _, w in ipairs(windows) do
         local s = w.score[k]
         local p = 1 / (1 + math.exp(-(model.calibration:at(k, 1) * s + model.calibration:at(k, 2))))
         if p >= thresholds[k] then
            if last and last.file == w.file and w.start_s <= last.end_s then
               last.end_s, last.windows = math.max(last.end_s, w.end_s), last.windows + 1
               last.score = math.max(last.score, s)
            else
               last = {file = w.file, start_s = w.start_s, end_s = w.end_s, label = class.name, score = s, windows = 1}
               list[#list + 1] = last
            end
         end
      end
   end
   table.sort(list, function(a, b)
      if a.file ~= b.file then return a.file < b.file end
      if a.start_s ~= b.start_s then return a.start_s < b.start_s end
      return a.label < b.label
   end)
   return list
end

-- A model of two classes of which only the calibration counts.
local function model_of(names)
   local g, set = sampling.generator(1), {x = array.zeros({40, 2}, "f64"), classes = names,
      truth = array.zeros({2, 40}, "f64"), groups = {}}
   for i = 1, 40 do
      local k = i % 2 + 1
      set.truth:set(k, i, 1)
      set.x:set(i, k, 1 + g:normal() * 0.8)
      set.groups[i] = "r" .. i // 8
   end
   return assert(classifier.train(set, {samples = 10}))
end

-- Scores of windows as `predict` writes them.
local function write(dir, windows)
   local columns = {file = {}, start_s = {}, end_s = {}, clock_time = {n = #windows}, site = {n = #windows},
      score = array.zeros({#windows, 2}, "f32")}
   for i, w in ipairs(windows) do
      columns.file[i], columns.start_s[i], columns.end_s[i] = w.file, w.start_s, w.end_s
      columns.clock_time[i], columns.site[i] = w.clock_time, w.site
      columns.score:set(i, 1, w.score[1])
      columns.score:set(i, 2, w.score[2])
      w.score = {columns.score:at(i, 1), columns.score:at(i, 2)}
   end
   local path = dir .. "/scores.parquet"
   assert(sql.write_parquet(path, columns, {types = {clock_time = "varchar", site = "varchar"}}))
   return path
end

describe("detect", function()
   local dir
   setup(function() dir = command.folder() end)
   teardown(function() command.remove(dir) end)

   it("joins windows that overlap or touch, and no others", function()
      local g, windows = sampling.generator(3), {}
      for _, file in ipairs{"a.wav", "b ' 2.wav"} do
         for _, hop in ipairs{2.5, 5, 6} do
            for i = 0, 29 do
               windows[#windows + 1] = {file = hop .. file, start_s = i * hop, end_s = i * hop + 5,
                  score = {3 * g:normal(), g:integer(9) == 1 and NAN or 3 * g:normal()}}
            end
         end
      end
      local model = model_of{"a", "b '\""}
      local found = assert(detect.find(write(dir, windows), model, {threshold = 0.7}))
      local expected = detections_of(windows, model, {0.7, 0.7})
      assert.is_true(#expected > 20)
      assert.equal(#expected, #found.rows)
      for i, e in ipairs(expected) do
         local d = found.rows[i]
         for key, value in pairs(e) do assert.equal(value, d[key]) end
         assert.is_true(d.probability >= 0.7)
      end
   end)

   it("takes the thresholds of a precision, and says which classes have none", function()
      local model = model_of{"a", "b"}
      for i = 1, 100 do
         model.points:set(1, i, 1, 1 - i / 200)
         model.points:set(1, i, 2, i <= 40 and 0.95 or 0.6)
         model.points:set(2, i, 2, 0.5)
      end
      local list = assert(detect.thresholds(model, {precision = 0.9}))
      assert.same({label = "a", threshold = 0.8, precision = 0.95, recall = model.points:at(1, 40, 3)}, list[1])
      assert.same({label = "b", best = 0.5}, list[2])
      local none, message = detect.thresholds(model, {precision = 0.99})
      assert.is_nil(none)
      assert.equal("no class was called with a precision of 0.99 (at best: a 0.95, b 0.50)", message)
      assert.matches("either a threshold or a precision",
         select(2, detect.thresholds(model, {precision = 0.9, threshold = 0.1})))
   end)

   it("sums up by day and site, also what was not found", function()
      local function window(file, site, clock_time, start_s, score)
         return {file = file, site = site, clock_time = clock_time, start_s = start_s, end_s = start_s + 5,
            score = {score, -9}}
      end
      local path = write(dir, {window("a", "s", "2023-05-14T23:59:57", 0, 9),
         window("a", "s", "2023-05-14T23:59:59.5", 2.5, 9),
         window("a", "s", "2023-05-15T00:00:02", 5, -9), window("b", nil, nil, 0, 9)})
      local model = model_of{"a", "b"}
      local out = dir .. "/d.parquet"
      local found = assert(detect.find(path, model, {output = out}))
      local summary = assert(detect.summary(path, out, found.thresholds))
      assert.equal(6, #summary)
      local function row(i) return {summary[i].day, summary[i].site, summary[i].label, summary[i].detections} end
      assert.same({"", "", "a", 1}, row(1))
      assert.same({"", "", "b", 0}, row(2))
      assert.same({"2023-05-14", "s", "a", 1}, row(3))
      assert.same({"2023-05-15", "s", "a", 0}, row(5))
      assert.near(5 / 3600, summary[3].hours, 1e-12)
      assert.same({7.5, 1}, {summary[3].seconds, summary[3].recordings})
   end)
end)

describe("review", function()
   local dir, model, windows, truth
   setup(function()
      dir = command.folder()
      model = model_of{"a", "b"}
      model.about.sample_rate = RATE
      for k = 1, 2 do
         model.calibration:set(k, 1, 1)
         model.calibration:set(k, 2, 0)
      end
      local g = sampling.generator(5)
      windows, truth = {}, {}
      for i = 1, 4000 do
         local w = {file = "r" .. i // 100, start_s = i % 100 * 5.0, end_s = i % 100 * 5 + 5.0,
            score = {3 * g:normal() - 3, i == 1 and NAN or -30}}
         windows[i] = w
         -- rarer than the model thinks
         truth[("%s %g"):format(w.file, w.start_s)] = g:uniform() < 1 / (1 + math.exp(-(1.5 * w.score[1] - 2)))
      end
      write(dir, windows)
   end)
   teardown(function() command.remove(dir) end)

   local function drawn() return assert(sql.query("from " .. sql.csv(dir .. "/review.csv", "header = true"))) end

   local function redraw(options)
      os.remove(dir .. "/review.csv")
      local n = assert(review.draw(dir, model, options))
      local rows = drawn()
      assert.equal(n, #rows)
      return rows
   end

   it("draws as many windows from each band, and more where some lack", function()
      local rows, count, there, seen = redraw{windows = 60, seed = 1}, {}, {}, {}
      for _, w in ipairs(windows) do
         local p = model:probabilities(array.from({w.score}, "f64")):at(1, 1)
         local band = 0
         for _, low in ipairs(review.bands) do band = p >= low and low or band end
         there[band] = (there[band] or 0) + 1
      end
      for _, row in ipairs(rows) do
         local key = ("%s %s %g"):format(row.label, row.source_name, row.start_s)
         assert.is_nil(seen[key])
         seen[key] = true
         if row.label == "a" then
            count[row.band] = (count[row.band] or 0) + 1
            assert.equal(there[row.band], row.band_windows)
            assert.is_true(row.probability >= row.band - 1e-6)
         end
      end
      for _, band in ipairs(review.bands) do assert.equal(10, count[band]) end
      assert.equal(120, #rows) -- of b, too, which has one band only
      assert.same(rows, redraw{windows = 60, seed = 1})
      assert.are_not.same(rows, redraw{windows = 60, seed = 2})
   end)

   it("leaves a table that is there", function()
      command.write(dir .. "/review.csv", "mine")
      assert.equal(0, review.draw(dir, model, {windows = 60, seed = 1}))
      assert.equal("mine", command.read(dir .. "/review.csv"))
   end)

   local function judge(rows, verdict)
      for _, row in ipairs(rows) do row.verdict = verdict(row) end
      command.write(dir .. "/review.csv", files.csv(sql.names(rows), rows))
      return review.update{model = dir .. "/m.safetensors", review = dir .. "/review.csv",
         output = dir .. "/new.safetensors"}
   end

   it("makes thresholds of verdicts that hold for all windows", function()
      assert(model:save(dir .. "/m.safetensors"))
      local result = assert(judge(redraw{windows = 400, seed = 3}, function(row)
         return row.label == "a" and truth[("%s %g"):format(row.source_name, row.start_s)] and "yes" or "no"
      end))
      assert.same({true, false}, {result.classes[1].used, result.classes[2].used})
      local new = assert(classifier.load(dir .. "/new.safetensors"))
      assert.equal(400, new.classes[1].reviewed.windows)
      assert.near(1.5, new.calibration:at(1, 1), 0.4)
      local function of_all(m, threshold)
         local found, called, own, expected = 0, 0, 0, 0
         for _, w in ipairs(windows) do
            local p = m:probabilities(array.from({{w.score[1], 0}}, "f64")):at(1, 1)
            local is = truth[("%s %g"):format(w.file, w.start_s)]
            own, expected = own + (is and 1 or 0), expected + p
            if p >= threshold then called, found = called + 1, found + (is and 1 or 0) end
         end
         return found / called, found / own, expected / own
      end
      for _, wanted in ipairs{0.6, 0.8} do
         local threshold, _, recall = new:threshold(1, wanted)
         local precision, of_truth, share = of_all(new, threshold)
         assert.near(wanted, precision, 0.08)
         assert.near(recall, of_truth, 0.12)
         assert.near(1, share, 0.15)
      end
      assert.is_true(select(3, of_all(model, 0.5)) > 1.5)
   end)

   it("needs verdicts of both kinds", function()
      local result, message = judge(redraw{windows = 20, seed = 1}, function() return "unsure" end)
      assert.is_nil(result)
      assert.equal(dir .. "/review.csv: no class has verdicts of both kinds, yes and no", message)
   end)
end)

describe("classify", function()
   local dir, embeddings, labels, checkpoint, net, paths, truth

   -- A tone of 3 s in some windows of each recording.
   local function make(path, seed, tones)
      local y = sampling.generator(seed):normal(20 * RATE):copy("f32") * 0.05
      for i, tone in pairs(tones) do
         local first = (i - 1) * 5 * RATE + RATE
         local t = array.arange(3 * RATE):copy("f64") * (2 * math.pi * tone / RATE)
         local wave = array.zeros(3 * RATE)
         for n = 1, 3 * RATE do wave[n] = 0.3 * math.sin(t[n]) end
         y:slice(1, first + 1, first + 3 * RATE):fill(y:slice(1, first + 1, first + 3 * RATE) + wave)
      end
      assert(audio.save(path, y, RATE))
   end

   setup(function()
      dir = command.folder()
      assert(system.mkdir(dir .. "/data"))
      net = tilenet.new{widths = {4, 8, 16, 32}, z = 32, seed = 3, sample_rate = RATE}
      checkpoint, paths, truth = dir .. "/net.safetensors", {}, {}
      assert(net:save(checkpoint))
      local lines = {"source_name,start_s,end_s,label"}
      for r = 1, 8 do
         local name = ("S%d_2023051%d_235950.wav"):format(r % 2 + 1, r)
         paths[r] = dir .. "/data/" .. name
         make(paths[r], r, {[r % 4 + 1] = 600, [(r + 1 + r // 5) % 4 + 1] = 2500})
         for i, label in pairs{[r % 4 + 1] = "low", [(r + 1 + r // 5) % 4 + 1] = 'high, "4 kHz"'} do
            lines[#lines + 1] = ('data/%s,%g,%g,"%s"'):format(name, i * 5 - 4, i * 5 - 1, label:gsub('"', '""'))
            truth[("%s %g %s"):format(paths[r], i * 5 - 5, label)] = true
         end
      end
      labels, embeddings = dir .. "/labels.csv", dir .. "/e.parquet"
      command.write(labels, table.concat(lines, "\n") .. "\n")
      assert(require("bclua.workflow.predict").run{checkpoint = checkpoint, inputs = {dir .. "/data"},
         output = embeddings, quiet = true})
   end)

   teardown(function()
      net:close()
      command.remove(dir)
   end)

   local function learn(options)
      local o = {labels = {labels}, embeddings = embeddings, output = dir .. "/model.safetensors", samples = 20,
         log_mel = "no", quiet = true}
      for k, v in pairs(options or {}) do o[k] = v end
      return train.run(o)
   end

   local function find(options)
      local o = {model = dir .. "/model.safetensors", inputs = {dir .. "/data"}, output = dir .. "/found", quiet = true}
      for k, v in pairs(options or {}) do o[k] = v end
      return predict.run(o)
   end

   local function found_keys(output)
      local keys = {}
      for _, d in ipairs(rows_of(output .. "/detections.parquet")) do
         keys[("%s %g %s"):format(d.file, d.start_s, d.label)] = true
      end
      return keys
   end

   it("finds in recordings what labels have taught it", function()
      local model = assert(learn())
      assert.same({'high, "4 kHz"', "low"}, {model.classes[1].name, model.classes[2].name})
      assert.same({8, 8, 32}, {model.classes[1].windows, model.classes[1].recordings, model.classes[1].examined})
      assert.is_true(model.classes[2].measures.average_precision.value > 0.9)
      local result = assert(find())
      assert.same({8, 0, 0, 32}, {result.done, result.skipped, #result.failures, result.windows})
      assert.same(truth, found_keys(dir .. "/found"))
      local d = rows_of(dir .. "/found/detections.parquet")
      assert.same(detect.columns, sql.names(d))
      assert.same({16, "S1", "2023-05-13T00:00:00"}, {#d, d[1].site, d[1].clock_time})
   end)

   it("makes the same of shards, once all are done", function()
      assert(learn())
      assert(find{output = dir .. "/plain"})
      for n = 1, 3, 2 do
         local out = dir .. "/shards" .. n
         for i = n, 1, -1 do
            local r = assert(find{output = out, shard = i .. "/" .. n})
            assert.equal(i == 1, r.detections ~= nil)
            assert.equal(i == 1, files.exists(out .. "/detections.parquet"))
         end
         assert.same(rows_of(dir .. "/plain/detections.parquet"), rows_of(out .. "/detections.parquet"))
         assert.equal(command.read(dir .. "/plain/summary.csv"), command.read(out .. "/summary.csv"))
      end
      assert.is_true(command.read(dir .. "/shards1/scores.parquet") == command.read(dir .. "/shards3/scores.parquet"))
   end)

   it("scores windows as the model scores their embeddings", function()
      local model = assert(learn())
      assert(find{output = dir .. "/scored", hop = 5})
      local rows, e = rows_of(dir .. "/scored/scores.parquet"), rows_of(embeddings)
      for i, row in ipairs(rows) do
         assert.equal(e[i].file, row.file)
         local s = model:scores(e[i].embedding:reshape{1, 32})[1]
         assert.is_true((s - row.score):abs():max() < 1e-4)
      end
   end)

   it("does nothing again for other thresholds, and adds what is new", function()
      assert(learn())
      local out = dir .. "/again"
      assert(find{output = out, inputs = {paths[1], paths[2]}})
      local result = assert(find{output = out, inputs = {paths[1], paths[2]}, threshold = 1})
      assert.same({0, 2, 0}, {result.done, result.skipped, result.detections})
      result = assert(find{output = out})
      assert.same({6, 2, 16}, {result.done, result.skipped, result.detections})
   end)

   it("uses log-mel statistics where told to", function()
      local model = assert(learn{log_mel = "yes", output = dir .. "/mel.safetensors"})
      assert.equal(train.with_log_mel, model.features)
      assert.equal(32 + 256, model.weight:shape(2))
      assert(find{model = dir .. "/mel.safetensors", output = dir .. "/mel"})
      local row = rows_of(dir .. "/mel/scores.parquet")[2]
      local y = assert(audio.load(row.file, {sample_rate = RATE, start_s = 5, seconds = 5})):reshape{1, 5 * RATE}
      local s = model:scores(log_mel.append(net:forward(y), log_mel.statistics(y, RATE)))[1]
      assert.is_true((s - row.score):abs():max() < 1e-4)
      local auto = assert(learn{log_mel = "auto"})
      assert.same({"embedding", "log-mel", "embedding and log-mel"}, {auto.tried[1].name, auto.tried[2].name,
         auto.tried[3].name})
      auto.features, auto.weight, auto.about = train.log_mel, model.weight:slice(2, 33, 288):copy(), model.about
      assert(auto:save(dir .. "/plain.safetensors"))
      assert(find{model = dir .. "/plain.safetensors", output = dir .. "/plain_mel"})
      row = rows_of(dir .. "/plain_mel/scores.parquet")[2]
      assert.is_true((auto:scores(log_mel.statistics(y, RATE))[1] - row.score):abs():max() < 1e-4)
   end)

   it("writes layouts that import-labels reads back", function()
      assert(learn())
      local expected = {}
      for _, d in ipairs(rows_of(dir .. "/found/detections.parquet")) do
         expected[("data/%s %.3f %.3f %s"):format(files.basename(d.file), d.start_s, d.end_s, d.label)] = true
      end
      for _, format in ipairs{"csv", "raven", "audacity", "birdnet", "kaleidoscope"} do
         assert(find{format = format})
         local path = dir .. "/found/" .. (require("bclua.detect.layouts").files[format] or "audacity")
         local result = assert(import_labels.run{files = {path}, dataset_root = dir,
            output = ("%s/%s.parquet"):format(dir, format), quiet = true})
         local got = {}
         for _, row in ipairs(result.rows) do
            got[("%s %.3f %.3f %s"):format(row.source_name, row.start_s, row.end_s, row.label)] = true
         end
         assert.same(expected, got, format)
         assert.same({0, 0}, {#result.unmatched, #result.failures}, format)
      end
      assert(find())
      assert.is_false(files.exists(dir .. "/found/detections.kaleidoscope.csv"))
   end)

   it("refuses another network, and a model whose network is gone", function()
      assert(learn())
      local other = tilenet.new{widths = {4, 8, 16, 32}, z = 32, seed = 4, sample_rate = RATE}
      assert(other:save(dir .. "/other.safetensors"))
      other:close()
      local result, message = find{checkpoint = dir .. "/other.safetensors", output = dir .. "/x"}
      assert.is_nil(result)
      assert.equal(("%s/model.safetensors: was trained on embeddings of another checkpoint than %s/other.safetensors")
         :format(dir, dir), message)
      result, message = find{checkpoint = dir .. "/gone", output = dir .. "/x"}
      assert.is_nil(result)
      assert.equal(("%s/model.safetensors: its checkpoint is not there: %s/gone (use --checkpoint)"):format(dir, dir),
         message)
      result, message = find{model = checkpoint, output = dir .. "/x"}
      assert.is_nil(result)
      assert.matches("net.safetensors: is no classifier", message)
      assert.same({nil, "/none: no such file or folder"}, {find{inputs = {"/none"}, output = dir .. "/x"}})
      assert.is_false(files.exists(dir .. "/x"))
   end)

   it("says what is wrong with embeddings and labels", function()
      local rows = rows_of(embeddings)
      local function rewrite(change, parameters)
         for _, row in ipairs(rows) do row.embedding = row.embedding:copy() end
         change()
         local path = dir .. "/wrong.parquet"
         assert(sql.write_parquet(path, rows, {metadata = parameters and provenance.for_parquet(parameters),
            types = {clock_time = "varchar", site = "varchar"}}))
         return path
      end
      local made = provenance.of_parquet(embeddings)
      assert.matches("does not say which network made it",
         select(2, learn{embeddings = rewrite(function() end)}))
      local path = rewrite(function() rows[3].embedding[1] = NAN end, made)
      local model, message = learn{embeddings = path}
      assert.is_nil(model)
      assert.matches("wrong.parquet: embedding of .*S1_20230512_235950.wav at 10 s: NaN or infinite values", message)
      command.write(dir .. "/else.csv", "source_name,start_s,end_s,label\nelsewhere.wav,0,1,low\n")
      assert.matches("none of its labels is of one of these recordings",
         select(2, learn{labels = {dir .. "/else.csv"}}))
      command.write(dir .. "/one.csv", "source_name,start_s,end_s,label\n" .. files.basename(paths[1]) .. ",1,4,low\n")
      assert.matches("one.csv: all windows are of one recording", select(2, learn{labels = {dir .. "/one.csv"}}))
   end)

   describe("examples", function()
      local function read(lines, options)
         local paths_of = {}
         for i, text in ipairs(lines) do
            paths_of[i] = ("%s/l%d.csv"):format(dir, i)
            command.write(paths_of[i], text)
         end
         local o = {labels = paths_of, embeddings = embeddings, group = "recording", background = "negative",
            none = {"nocall"}}
         for k, v in pairs(options or {}) do o[k] = v end
         local set = assert(examples.read(o))
         local by = {}
         for k, name in ipairs(set.classes) do
            local list = {}
            for i = 1, #set.files do
               local t = set.truth:at(k, i)
               list[i] = t ~= t and "?" or t == 1 and "1" or "0"
            end
            by[name] = table.concat(list)
         end
         return by, set
      end
      local HEAD = "source_name,start_s,end_s,label\n"
      local one, two

      setup(function() one, two = files.basename(paths[1]), files.basename(paths[2]) end)

      it("are of a class where half of a label, or of the window, is heard", function()
         local by, set = read{HEAD .. ("%s,4,6,a\n%s,7,10.1,b\n%s,15,15,c\n%s,21,22,a\n"):format(one, one, one, one)}
         assert.same({a = "1100", b = "0100", c = "0001"}, {a = by.a, b = by.b:gsub("%?", "0"), c = by.c})
         assert.equal("01?0", by.b)
         assert.equal(1, set.unused)
      end)

      it("are unknown where something is heard that has no name", function()
         assert.same({a = "100?"}, read{HEAD .. ("%s,0,5,a\n%s,16,17,\n"):format(one, one)})
      end)

      it("are of no class where a label says so", function()
         local text = HEAD .. ("%s,0,5,a\n%s,5,10,nocall\n"):format(one, one)
         assert.same({a = "1000"}, read{text})
         assert.same({a = "10??"}, read({text}, {background = "ignore"}))
      end)

      it("are what verdicts say, and nothing more", function()
         local verdicts = "source_name,start_s,end_s,label,verdict\n" ..
            ("%s,0,5,a,no\n%s,5,10,a,unsure\n%s,10,15,a,yes\n"):format(two, two, two)
         assert.same({a = "0?1?1000", b = "????0000"}, {a = read{HEAD .. one .. ",0,5,a\n", verdicts}.a,
            b = read{HEAD .. ("%s,0,5,a\n%s,20,20,b\n"):format(one, one), verdicts}.b})
         -- what was heard in a window may be in any part of it
         assert.same({a = "??1?"}, {a = read{"source_name,start_s,end_s,label,verdict\n" .. two .. ",10,15,a,yes\n" ..
            two .. ",3,8,a,no\n"}.a})
         -- of what labels call a, a verdict takes nothing, but nobody knows any more
         assert.same({a = "?00?"}, {a = read{HEAD .. ("%s,0,5,a\n%s,5,10,c\n%s,10,11,c\n"):format(two, two, two) ..
            two .. ",15,20,\n", "source_name,start_s,end_s,label,verdict\n" .. two .. ",0,5,a,no\n"}.a})
      end)

      it("are held back by site, where told to", function()
         local _, set = read({HEAD .. ("%s,0,5,a\n%s,0,5,a\n"):format(one, two)}, {group = "site"})
         assert.same({S2 = true, S1 = true}, {[set.groups[1]] = true, [set.groups[8]] = true})
      end)
   end)

   it("cuts what is to be judged, and learns from verdicts", function()
      assert(learn())
      local out = dir .. "/reviewed"
      local result = assert(find{output = out, review = 6})
      assert.equal(12, result.drawn)
      local rows = assert(sql.query("from " .. sql.csv(out .. "/review.csv", "header = true")))
      for _, row in ipairs(rows) do
         local y = assert(audio.load(out .. "/" .. row.clip))
         assert.near(5 * RATE, #y, 1)
         local p = dir:sub(2) .. "/data/" .. files.basename(row.source_name)
         assert.equal(p, row.source_name)
         row.verdict = truth[("/%s %g %s"):format(row.source_name, row.start_s, row.label)] and "yes" or "no"
      end
      command.write(out .. "/review.csv", files.csv(sql.names(rows), rows))
      local model = assert(learn{labels = {labels, out .. "/review.csv"}})
      assert.equal(8, model.classes[1].windows)
      model = assert(learn{labels = {out .. "/review.csv"}})
      assert.is_true(model.classes[1].examined < 20)
   end)

   it("is a command", function()
      local out = dir .. "/cli"
      local text = assert(command.bclua{"scripts/classify.lua", "train", "--labels", labels, "--embeddings", embeddings,
         "--output", out .. ".safetensors", "--samples", "20"})
      assert.matches("average precision", text)
      text = assert(command.bclua{"scripts/classify.lua", "predict", out .. ".safetensors", dir .. "/data", "--output",
         out, "--precision", "0.9", "--format", "csv"})
      assert.matches("detections", text)
      assert.is_true(files.exists(out .. "/detections.csv"))
   end)
end)
