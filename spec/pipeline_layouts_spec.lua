-- The pipeline over recordings without species.
local command = require "support.command"
local files = require "bclua.files"
local pipeline = require "bclua.workflow.pipeline"
local sql = require "bclua.sql"

describe("pipeline", function()
   local dir, sounds
   setup(function()
      dir = command.folder()
      assert(require("bclua.data.dataset").make(dir .. "/made", {families = 2, species = 1, recordings = 4, short = 0,
         least_s = 12, most_s = 12.5}))
      sounds = assert(files.find(dir .. "/made/train_audio"))
   end)
   teardown(function() command.remove(dir) end)

   -- A run over the recordings under other names, quietly; its page as text.
   local function run(folder, names, data)
      for i, name in ipairs(names) do
         local path = ("%s/%s/%s"):format(dir, folder, name)
         assert(require("bclua.system").mkdir(files.dirname(path)))
         command.write(path, command.read(("%s/made/train_audio/%s"):format(dir, sounds[i])))
      end
      command.write(dir .. "/config.lua", ([[return {data = {%s}, triplets = {samples = 12, holdout = 0.5},
         network = {widths = {2, 2, 2, 2}, z = 4}, evaluate = {motifs = 1, splits = 1}, audit = {limit = 2},
         fit = {batch_size = 2, batches_per_round = 2, max_rounds = 1, validation_triplets = 2}}]]):format(data or ""))
      local getenv = os.getenv
      rawset(os, "getenv", function(name) return name == "BCLUA_QUIET" and "1" or getenv(name) end)
      local result, message = pipeline.run({data = dir .. "/" .. folder, run = dir .. "/run-" .. folder,
         config = dir .. "/config.lua"})
      rawset(os, "getenv", getenv)
      assert(result, message)
      return result, (command.read(result.report):gsub("<style.-</style>", ""):gsub("<script.-</script>", "")
         :gsub("<svg.-</svg>", ""):gsub("<details.-</details>", ""):gsub("<[^>]*>", " "):gsub("%s+", " "))
   end

   it("takes a card without folders: groups are recordings", function()
      local names = {}
      for i = 1, 8 do names[i] = ("20230514_%02d3000.ogg"):format(i) end
      local result, page = run("card", names)
      assert.matches("8 recordings without species, ", page, 1, true)
      assert.matches("from 4 recordings; kept for evaluation: 4 recordings. Groups are recordings:", page, 1, true)
      assert.matches("triplets per recording of the anchor", page, 1, true)
      assert.matches("there were no labels, as no recording has a species: what is judged is retrieval", page, 1, true)
      assert.matches("by recording %(%d%) nearest: cosine", page)
      assert.matches("that training did not see. card/20230514_0%d3000.ogg the window, at", page)
      for _, wrong in ipairs{"per species", "of 0 species", "Which species", "nil", "no picture", "no evaluation"} do
         assert.is_nil(page:find(wrong, 1, true), wrong)
      end
      assert.same({"recording"}, {result.evaluation.retrieval[1].name})
      assert.is_true(files.exists(dir .. "/run-card/checkpoints/last.safetensors"))
   end)

   it("takes sites and dates, and groups by a column of a CSV; its commands say so and find all done", function()
      local names, lines = {}, {"path,habitat"}
      for i = 1, 8 do
         names[i] = ("%s/2023-05-%02d/0430.ogg"):format(i % 2 == 0 and "north" or "south", 10 + i)
         lines[i + 1] = ("net/%s,%s"):format(names[i], i < 5 and "fen" or "wood")
      end
      command.write(dir .. "/habitats.csv", table.concat(lines, "\n") .. "\n")
      local result, page = run("net", names, ([[layout = "site", metadata = "%s/habitats.csv", group = "habitat"]])
         :format(dir))
      assert.matches("8 recordings from 2 sites, without species", page, 1, true)
      assert.matches("recordings per site", page, 1, true)
      assert.matches("Groups are by habitat.", page, 1, true)
      local rows = sql.query("select site, species from '" .. result.motif .. "' order by source_name")
      assert.same({"north", nil, "south", nil}, {rows[1].site, rows[1].species, rows[8].site, rows[8].species})
      local list = require("bclua.workflow.summary.commands").list(result)
      assert.matches(" %-%-data%-layout site$", list[1])
      assert.matches((" --metadata %s/habitats.csv"):format(dir), list[3], 1, true)
      assert.matches(" %-%-group habitat$", list[3])
      local made = require("bclua.data.provenance").of_parquet(result.triplets_path)
      assert.equal("habitat", made.group)
      assert.equal(4, #made.holdout_groups)
      local levels = {}
      for i, part in ipairs(result.evaluation.retrieval) do levels[i] = part.name end
      assert.equal("recording site", table.concat(levels, " "):match("^recording site"))
      local out, status = command.shell(list[3]:gsub("^bclua", command.quote(command.program)))
      assert.equal(0, status, out) -- the same parameters
   end)
end)
