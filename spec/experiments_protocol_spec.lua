local command = require "support.command"
local files = require "bclua.files"
local protocol = require "bclua.workflow.experiments.protocol"
local sql = require "bclua.sql"
local verdicts = require "bclua.workflow.experiments.protocol_verdicts"

describe("scripts/experiments/protocol.lua", function()
   local dir
   setup(function()
      dir = command.folder()
      local function step(name, options)
         options.quiet = true
         return assert(require("bclua.workflow." .. name).run(options))
      end
      assert(require("bclua.data.dataset").make(dir .. "/data", {families = 3, species = 2, recordings = 4,
         least_s = 12, most_s = 13}))
      step("extract", {input = dir .. "/data/train_audio", output = dir .. "/motif", matrix_profile_window = 20})
      step("consolidate", {input = dir .. "/motif", output = dir .. "/motif.parquet"})
      assert(files.write_json(dir .. "/config.json", {data = dir .. "/data", config = {
         extract = {matrix_profile_window = 20}, triplets = {samples = 40}, network = {widths = {2, 2, 2, 2}, z = 4},
         fit = {batch_size = 4, batches_per_round = 2, max_rounds = 1, validation_triplets = 0}}}))
   end)
   teardown(function() command.remove(dir) end)

   local function run(...) return command.bclua{"scripts/experiments/protocol.lua", "--run", dir, ...} end

   it("answers both questions, goes on, and compares two trainings", function()
      local out, status = run("--splits", "1", "--seeds", "2")
      assert.equal(0, status, out)
      assert.matches("Of held-out recordings, mean of 2 trainings", out, 1, true)
      assert.matches("Of unseen species, mean of 2 trainings", out, 1, true)
      assert.matches("By logistic regression the embedding is ", out, 1, true)
      assert.matches("By 1 example the embedding is ", out, 1, true)
      local place = dir .. "/experiments/protocol/"
      local rows = sql.query(("from '%strials.parquet' order by question, seed"):format(place))
      assert.equal(4, #rows)
      for _, row in ipairs(rows) do
         for _, subject in ipairs(protocol.subjects) do
            for _, how in ipairs{"regression", "nearest", "shots_1"} do
               local share = row[subject[1] .. "_" .. how]
               assert(share and share >= 0 and share <= 1, subject[1] .. "_" .. how)
            end
         end
      end
      assert.equal(rows[1].mel_regression, rows[2].mel_regression) -- the same recordings, another seed
      assert.not_equal(rows[1].embedding_nearest, rows[3].embedding_nearest)
      for _, subject in ipairs{"embedding", "untrained", "mel"} do
         local share = rows[1][subject .. "_taught"]
         assert(share >= 0 and share <= 1, subject)
         assert.is_nil(rows[3][subject .. "_taught"]) -- nobody teaches species that are unseen
      end
      assert.equal(2, rows[3].classes) -- a third of six species
      local table = sql.query(("from '%sunseen_species.parquet'"):format(place))
      assert.equal("embedding", table[1].subject)
      assert.near((rows[3].embedding_regression + rows[4].embedding_regression) / 2, table[1].regression, 1e-9)

      out, status = run("--splits", "1", "--seeds", "2")
      assert.equal(0, status, out)
      assert.matches("4 trials, 0 of them new", out, 1, true)

      out, status = run("--splits", "1", "--seeds", "2", "--set", "fit.loss=supcon", "--set", "network.z=3", "--name",
         "supcon", "--against", "protocol")
      assert.equal(0, status, out)
      assert.matches("By logistic regression this embedding is [^\n]+ protocol %([^\n]+%), in 2 trials%.", out)
      assert.matches("How good the training is: supcon", command.read(dir .. "/report.html"), 1, true)
   end)

   it("keeps the species of a split away from training, others in another", function()
      local folder = dir .. "/one"
      local seen = {}
      for split = 1, 2 do
         assert(protocol.run{run = dir, folder = folder .. split, question = "unseen species", split = split})
         local rows = sql.query(("select distinct a_species s from '%s%d/triplets.parquet' union " ..
            "select c_species from '%s%d/triplets.parquet' order by 1"):format(folder, split, folder, split))
         assert.is_true(#rows <= 4)
         seen[split] = {}
         for i, row in ipairs(rows) do seen[split][i] = row.s end
      end
      assert.not_same(seen[1], seen[2])
   end)

   it("names what is wrong before anything is trained", function()
      local out, status = run("--set", "fit.loss")
      assert.equal(1, status)
      assert.matches("'fit.loss' is not of the form NAME=VALUE", out, 1, true)
      out, status = run("--set", "fit.los=supcon", "--name", "x")
      assert.equal(1, status)
      assert.matches("no setting named 'fit.los'", out, 1, true)
      out, status = run("--set", "fit.loss=hinge", "--name", "x")
      assert.equal(1, status)
      assert.matches("setting 'fit.loss' must be one of ", out, 1, true)
      assert.is_false(files.exists(dir .. "/experiments/x/trials.parquet"))
      out, status = run("--splits", "1", "--seeds", "2", "--against", "nobody")
      assert.equal(1, status)
      assert.matches("experiments/nobody/trials.parquet", out, 1, true)
   end)
end)

describe("a difference of a protocol", function()
   local function rows(list)
      local t = {}
      for i, pair in ipairs(list) do t[i] = {a = pair[1], b = pair[2], question = "q", split = i, seed = 1} end
      return t
   end

   it("has the interval of Student's t", function()
      local mean, within = verdicts.interval({1, 2, 3, 4})
      assert.near(2.5, mean, 1e-12)
      assert.near(3.182 * math.sqrt(5 / 3) / 2, within, 1e-9)
      mean, within = verdicts.interval({7})
      assert.equal(7, mean)
      assert.equal(math.huge, within)
   end)

   it("is told apart where its interval leaves zero out", function()
      local function verdict(list) return verdicts.difference(rows(list), "a", "b").verdict end
      assert.equal("better", verdict{{3, 2}, {4, 3.1}, {5, 3.9}})
      assert.equal("worse", verdict{{2, 3}, {3.1, 4}, {3.9, 5}})
      assert.equal("not told apart", verdict{{3, 2}, {4, 5.1}, {5, 4.5}})
      assert.equal("not told apart", verdict{{3, 2}})
      local d = verdicts.difference({{a = 1, b = 0}, {a = 1}, {b = 2}}, "a", "b")
      assert.equal(1, d.trials)
   end)
end)
