-- Evaluations: what is judged, said and written.
local array = require "bclua.array"
local command = require "support.command"
local evaluate = require "bclua.workflow.evaluate"
local evaluate_tables = require "bclua.workflow.evaluate.tables"
local files = require "bclua.files"
local evaluations = require "support.evaluations"
local sql = require "bclua.sql"
local tilenet = require "bclua.tilenet"

local judge, network, set_of = evaluations.judge, evaluations.network, evaluations.set_of
local m, dir, holdout, checkpoint
setup(function() m, dir, holdout, checkpoint = evaluations.open() end)
teardown(evaluations.close)

-- The source names of the small data set.
local function all_names()
   local list = {}
   for i, row in ipairs(sql.query("select source_name from " .. sql.quote(m.motif))) do list[i] = row.source_name end
   return list
end

-- The windows of all recordings, by what `windows` says, if anything: collected once, and only read.
local sets = {}
local function shared(windows)
   local name = windows or "plain"
   sets[name] = sets[name] or assert(set_of{windows = windows})
   return sets[name]
end

-- The plain judgement, with its files: made once.
local out, once
local function judged_once()
   if not once then
      out = dir .. "/out"
      once = {judge{output = out}}
   end
   return assert(table.unpack(once))
end

-- A copy of the recordings without some.
local function without(name, names)
   local copy = dir .. "/" .. name
   command.shell(("cp -r %s %s"):format(command.quote(m.data), command.quote(copy)))
   for _, gone in ipairs(names) do os.remove(copy .. "/" .. gone) end
   return copy
end

describe("judging", function()
   it("compares embedding, untrained network and plain features on recordings held out", function()
      local result, judged = judged_once()
      assert.same({"embedding", "untrained network", "log-mel mean and deviation"},
         {result.rows[1].name, result.rows[2].name, result.rows[3].name})
      assert.equal(4, result.classes)
      assert.equal(2, result.group.classes)
      assert.equal(#holdout, result.recordings)
      for _, part in ipairs{result, result.group} do
         for _, row in ipairs(part.rows) do
            assert.equal(3, #row.splits)
            for _, v in ipairs{row.accuracy, row.knn.cosine, row.knn.euclidean, row.precision.cosine} do
               assert.is_true(v >= 0 and v <= 1)
            end
            assert.is_true(row.silhouette >= -1 and row.silhouette <= 1)
         end
         assert.equal(2, #part.comparisons)
      end
      assert.same({#judged.starts, 4}, judged.features[1].x:shape())
      assert.equal(#judged.starts, #judged.groups)
      assert.same(result.rows, judge().rows) -- again
   end)

   it("of several networks takes windows that were collected once", function()
      local set, nets = shared(), {}
      for i = 1, 2 do nets[i] = {name = "net " .. i, net = tilenet.new{widths = {2, 2, 2, 2}, z = 4, seed = 6 + i}} end
      local result, judged = assert(evaluate.judge(set, {nets[1], nets[2], {name = "plain", x = set.plain}},
         {splits = 2}))
      assert.same(assert(judge{splits = 2}).rows[1].splits, result.rows[1].splits) -- the same seed as the checkpoint's
      assert.equal("net 2", result.comparisons[1].name)
      assert.is_false(array.equal(judged.features[1].x, judged.features[2].x))
      assert.is_nil(result.group)
      assert.error_matches(function() evaluate.judge(set, nets, {split = 2}) end, "unknown option 'split'")
   end)

   it("leaves windows with NaN out for all, and says so", function()
      local set = shared()
      local x = set.plain:copy()
      x:set(3, 1, 0 / 0)
      local result, judged = assert(evaluate.judge(set, {{name = "mine", x = x}, {name = "plain", x = set.plain}},
         {splits = 2}))
      assert.same({{name = "mine", windows = 1}}, result.nonfinite)
      assert.equal(#set.labels - 1, #judged.starts)
      assert.equal(set.starts[4], judged.starts[3])
      assert.is_true(array.equal(set.plain[4], judged.features[2].x[3]))
      assert.matches("NaN or infinite in 'mine': 1 window", evaluate.text(result), 1, true)
      local _, message = evaluate.judge(set, {{name = "plain", x = set.plain}, {name = "bad", x = x / 0 * 0}})
      assert.equal(("bad: NaN or infinite in all %d windows"):format(#set.labels), message)
   end)

   it("judges no groups where each has one species", function()
      local set = shared()
      local result = assert(evaluate.judge(set, {{name = "plain", x = set.plain}}, {splits = 1,
         groups = {synfin1 = "A", synfin2 = "B", synwre1 = "C", synwre2 = "D"}}))
      assert.is_nil(result.group)
   end)

   it("goes on past a recording that is gone", function()
      local result = assert(judge{dataset_root = without("one", {holdout[1]})})
      assert.equal(1, #result.failures)
      assert.equal(#holdout - 1, result.recordings)
   end)

   it("needs two species", function()
      local one = {}
      for _, name in ipairs(holdout) do
         if name:find("synfin1", 1, true) then one[#one + 1] = name end
      end
      local set = assert(set_of{recordings = one})
      local _, message = evaluate.judge(set, {{name = "plain", x = set.plain}})
      assert.matches("needs two classes with two recordings each, got 1", message)
   end)

   it("names a file that is no checkpoint, and one that held nothing back", function()
      local _, message = judge({checkpoint = m.motif})
      assert.equal(m.motif, message:sub(1, #m.motif))
      assert.matches("all.safetensors: training used all recordings of this table", select(2, judge({
         checkpoint = network("all", {training_recordings = files.json(all_names())})})), 1, true)
      assert.matches("/nope: no such folder", select(2, judge({dataset_root = "/nope"})))
   end)

   it("of a table with none of the recordings that were held out is on all that training did not use", function()
      local used = {holdout[1], "train_audio/x/elsewhere.ogg"}
      local result, judged = assert(judge({checkpoint = network("others", {training_recordings = files.json(used),
         holdout_recordings = files.json{"train_audio/x/kept.ogg"}})}))
      assert.equal("others", result.unseen)
      assert.equal(#holdout - 1, result.recordings)
      for _, name in ipairs(judged.recordings) do assert.not_equal(holdout[1], name) end
      assert.matches("of 15 recordings of a data set that training does not know", evaluate.text(result), 1, true)
      result = assert(judge({checkpoint = network("bare", {})})) -- of an earlier version, without any kept away
      assert.equal("unknown", result.unseen)
      assert.equal(#holdout, result.recordings)
      assert.matches("of which the checkpoint does not say whether training used them", evaluate.text(result), 1,
         true)
      assert.equal("held out", (judged_once()).unseen)
   end)

   it("begins with how much is named, beside plain features and chance, and what may help", function()
      local function text(accuracy, spread, plain, difference, of_difference)
         return evaluate_tables.verdict({kind = "best", chance = 0.05, rows = {{name = "embedding", accuracy = accuracy,
            spread = spread}, {name = "log-mel", accuracy = plain}}, comparisons = {{difference = difference,
            spread = of_difference}}})
      end
      local head = "The embedding names 52 % of the windows with the best call score of recordings that training " ..
         "did not see (log-mel 26 %, chance 5 %)."
      assert.equal(head, text(0.52, 0.03, 0.26, 0.26, 0.04))
      assert.equal(head .. " Its lead over log-mel is within the spread of the splits.", text(0.52, 0.03, 0.26, 0.03,
         0.04))
      assert.matches("It is below log-mel: train longer", text(0.3, 0.03, 0.4, -0.1, 0.04), 1, true)
      assert.matches("That is no better than chance: train longer", text(0.07, 0.03, 0.01, 0.06, 0.01), 1, true)
      assert.equal(1, (evaluate.text((judged_once())):find("The embedding names ", 1, true)))
   end)

   it("says everything as text, classes if asked", function()
      local result = judged_once()
      local text = evaluate.text(result)
      assert.matches("embedding .*untrained network .*log%-mel.*chance", text)
      assert.matches("embedding minus .*won  lost", text)
      assert.matches("neighbours: cosine  Euclidean  precision: cosine", text, 1, true)
      assert.is_nil(text:find("synfin1", 1, true))
      assert.matches("synfin1 ", evaluate.text(result, {classes = true}), 1, true)
   end)
end)

describe("judging without labels", function()
   -- The same recordings without species, whose folders are sites.
   local bare
   setup(function()
      bare = dir .. "/bare.parquet"
      assert(sql.write_parquet(bare, ("select * replace (null::varchar as species, species as site) from %s"):format(
         sql.quote(m.motif))))
   end)

   local function bare_judge(options)
      local o = {motif = bare}
      for k, v in pairs(options or {}) do o[k] = v end
      return judge(o)
   end

   -- The plain one, with its files: made once.
   local folder, bare_result
   local function bare_once()
      if not bare_result then
         folder = dir .. "/bare-out"
         bare_result = {bare_judge{output = folder}}
      end
      return assert(table.unpack(bare_result))
   end

   it("is retrieval by recording and by site, beside the untrained network and plain features", function()
      local result, judged = bare_once()
      assert.same({"recording", "site"}, {result.retrieval[1].name, result.retrieval[2].name})
      assert.same({14, 4}, {result.retrieval[1].classes, result.retrieval[2].classes}) -- two have a single window
      for _, part in ipairs(result.retrieval) do
         assert.same({"embedding", "untrained network", "log-mel mean and deviation"},
            {part.rows[1].name, part.rows[2].name, part.rows[3].name})
      end
      local by_site = assert(require("bclua.evaluate.retrieval").measure(judged.features, judged.recordings,
         judged.sites))
      assert.same(by_site.rows, result.retrieval[2].rows)
      local text = evaluate.text(result)
      assert.equal(1, (text:find("By the embedding the nearest window is of the same recording for ", 1, true)))
      assert.matches("of 16 recordings that were not used in training; there were no labels", text, 1, true)
      assert.matches("by recording %(14%) +nearest: cosine", text)
      assert.matches("by site %(4%) .*chance", text)
      assert.is_nil(text:find("accuracy", 1, true))
   end)

   it("looks at the groups that the triplets were drawn by, too", function()
      local groups, path = {}, dir .. "/hours.safetensors"
      for i = 1, #holdout do groups[i] = i % 2 == 0 and "04" or "05" end
      local net = tilenet.new{widths = {2, 2, 2, 2}, z = 4, seed = 7}
      assert(net:save(path, {metadata = {holdout_recordings = files.json(holdout), group = "hour",
         holdout_groups = files.json(groups)}}))
      net:close()
      local result, judged = assert(bare_judge{checkpoint = path})
      assert.same({"hour", 2}, {result.retrieval[3].name, result.retrieval[3].classes})
      for i, name in ipairs(judged.recordings) do
         for k, held in ipairs(holdout) do
            if held == name then assert.equal(groups[k], judged.groups[i]) end
         end
      end
   end)

   it("writes retrieval, embeddings and pictures", function()
      local result, judged = bare_once()
      local rows = sql.query(("select * from '%s/retrieval.parquet' where level = 'site' and metric = 'cosine' and " ..
         "features = 'embedding'"):format(folder))
      assert.equal(1, #rows)
      local site = result.retrieval[2]
      assert.same({site.rows[1].nearest.cosine, site.rows[1].precision.cosine, site.chance, 4},
         {rows[1].nearest, rows[1].precision, rows[1].chance, rows[1].classes})
      rows = sql.query(("select species, site from '%s/embeddings.parquet'"):format(folder))
      assert.same({nil, judged.sites[1]}, {rows[1].species, rows[1].site})
      assert.equal("recording", files.read_json(folder .. "/evaluation.json").retrieval[1].name)
      assert.matches("<svg", command.read(folder .. "/pca-embedding-site.svg"), 1, true)
      assert.is_false(files.exists(folder .. "/confusion.parquet"))
   end)

   it("finds nearest windows to listen to, one of each site", function()
      local _, judged = bare_once()
      local list = require("bclua.workflow.summary.neighbors").run{judged = judged}
      local seen = {}
      for _, found in ipairs(list) do
         local site = found.query.source_name:match("/([^/]+)/")
         assert.is_nil(seen[site])
         seen[site] = true
      end
      assert.equal(3, #list)
   end)

   it("leaves windows without a species out where others have one", function()
      assert(sql.write_parquet(dir .. "/some.parquet", ("select * replace (nullif(species, 'synwre2') as species) " ..
         "from %s"):format(sql.quote(m.motif))))
      local result, judged = assert(judge{motif = dir .. "/some.parquet"})
      assert.equal(3, result.classes)
      assert.is_true(result.unlabelled > 3)
      assert.equal(result.windows, #judged.starts)
      assert.matches(("left out, of recordings without a species: %d windows"):format(result.unlabelled),
         evaluate.text(result), 1, true)
   end)

   it("needs two recordings with two windows", function()
      local set = assert(set_of{motif = bare, recordings = {holdout[1]}})
      assert.equal("no labels, and retrieval needs two recordings with two windows each, got 1 (more recordings, or " ..
         "keep more for evaluation: --holdout)", select(2, evaluate.judge(set, {{name = "plain", x = set.plain}})))
   end)
end)

describe("the folder of an evaluation", function()
   it("has embeddings with file, time and species, confusion, splits, classes, JSON and pictures", function()
      local result, judged = judged_once()
      local windows = sql.query(("select * from %s"):format(sql.quote(out .. "/embeddings.parquet")))
      assert.equal(#judged.starts, #windows)
      assert.same({judged.recordings[2], judged.starts[2], judged.starts[2] + 5, judged.species[2], judged.groups[2]},
         {windows[2].file, windows[2].start_s, windows[2].end_s, windows[2].species, windows[2].group})
      assert.same(judged.features[1].x[2]:table(), windows[2].embedding:table())
      assert.equal(256, #windows[2].log_mel_mean_and_deviation)
      local counts = sql.query(([[select features, sum(windows)::bigint n, sum(windows) filter (class = called)::bigint hits
         from %s where level = 'species' group by 1 order by 1]]):format(sql.quote(out .. "/confusion.parquet")))
      assert.equal("embedding", counts[1].features)
      local n, hits = 0, 0
      for i, row in ipairs(result.rows[1].confusion) do
         for _, c in ipairs(row) do n = n + c end
         hits = hits + row[i]
      end
      assert.same({n, hits}, {counts[1].n, counts[1].hits})
      assert.equal(3 * (4 + 2), sql.query(("select count(*)::bigint n from %s"):format(
         sql.quote(out .. "/classes.parquet")))[1].n)
      local splits = sql.query(([[select accuracy from %s where level = 'group' and features = 'embedding'
         order by split]]):format(sql.quote(out .. "/splits.parquet")))
      for s, row in ipairs(splits) do assert.near(result.group.rows[1].splits[s], row.accuracy, 1e-12) end
      local json = assert(files.read_json(out .. "/evaluation.json"))
      assert.near(result.rows[1].accuracy, json.rows[1].accuracy, 1e-12)
      assert.equal("best", json.parameters.windows)
      for _, name in ipairs{"pca-embedding-species", "pca-embedding-group", "confusion-species", "confusion-group"} do
         assert.matches("<svg", command.read(("%s/%s.svg"):format(out, name)), 1, true)
      end
   end)

   it("is not overwritten with other parameters unless forced", function()
      judged_once()
      local _, message = judge{output = out, splits = 2}
      assert.equal(out .. ": was made with other parameters (splits = 3, now 2); use --force to redo it, or another " ..
         "output", message)
      assert(judge{output = out, splits = 2, force = true})
   end)

   it("that cannot be made is named before anything is done", function()
      command.write(dir .. "/file", "x")
      local _, message = judge{output = dir .. "/file", checkpoint = "/nope"}
      assert.matches("^" .. dir .. "/file", message)
   end)
end)

describe("nearest windows to listen to", function()
   it("are of other recordings, nearest first", function()
      local neighbors = require "bclua.workflow.summary.neighbors"
      local _, judged = judged_once()
      local lists = {(assert(neighbors.run{judged = judged})),
         (assert(neighbors.run{checkpoint = checkpoint, motif = m.motif, dataset_root = m.data}))}
      for _, list in ipairs(lists) do
         assert.equal(3, #list)
         for _, found in ipairs(list) do
            assert.equal(3, #found.hits)
            local before = 0
            for _, hit in ipairs(found.hits) do
               assert.is_true(hit.source_name ~= found.query.source_name and hit.distance >= before)
               before = hit.distance
            end
         end
      end
   end)
end)
