local advice = require "bclua.workflow.evaluate.advice"

describe("advice", function()
   local function evaluation(lead) return {classes = 4, comparisons = {{difference = lead, spread = 0.05}}} end
   local function rounds(validation)
      local list = {}
      for i, v in ipairs(validation) do list[i] = {round = i, loss = 10 - i, validation = v} end
      return {history = list}
   end
   local function of(run)
      run.evaluation = run.evaluation or evaluation(0.01)
      return table.concat(advice.of(run), "\n")
   end

   it("has nothing to say of an embedding that is ahead, or that was not judged", function()
      assert.same({}, advice.of{fit = rounds{3, 2, 1}})
      assert.equal("", of{evaluation = evaluation(0.06), fit = rounds{3, 2, 1}})
      local level = {name = "recording", rows = {{nearest = {cosine = 0.6}}, {nearest = {cosine = 0.5}}}}
      assert.equal("", of{evaluation = {retrieval = {level}}, triplets = {group = "recording", recordings = 9}})
      level.rows[2].nearest.cosine = 0.7
      assert.matches("^nothing is labelled", of{evaluation = {retrieval = {level}}, triplets = {group = "recording",
         recordings = 9}})
   end)

   it("reads the length of the training from its curve", function()
      assert.matches("^the loss of validation was still falling in the last of 4 rounds: train longer",
         of{fit = rounds{4, 3, 2, 1}})
      assert.matches("^the loss of validation was least after round 2 of 6 and has risen since",
         of{fit = rounds{4, 1, 2, 3, 4, 5}})
      assert.equal("", of{fit = rounds{4, 3, 1, 1.001}}) -- level
      assert.matches("^the loss was still falling in the last of 3 rounds", of{fit = {history = {{loss = 3},
         {loss = 2}, {loss = 1}}}})
      assert.matches("^2 rounds are a short training", of{fit = rounds{4, 3}})
   end)

   it("counts recordings, and repeats what the audit warns of", function()
      assert.matches("^19 recordings of at least 4 classes", of{triplets = {group = "species", recordings = 19}})
      assert.equal("", of{triplets = {group = "species", recordings = 20}})
      assert.equal("the audit warns: 40 % are silent", of{audit = {warnings = {"40 % are silent"}}})
   end)
end)
