--- What may help an embedding that is not ahead, as far as the run itself shows it: the curves of its training, what it
-- was drawn from, and the audit of its triplets.
-- @module bclua.workflow.evaluate.advice
local count = require("bclua.display").count

local advice = {}

local FEW = 5 -- recordings of a group, on average
local EARLY, RISEN = 2 / 3, 1.02 -- when the best round was, and what has come of its loss since

-- Is an embedding ahead of the last of the features it was judged beside, by more than the spread of the splits?
local function is_ahead(evaluation)
   if evaluation.retrieval then
      local rows = evaluation.retrieval[1].rows
      return rows[1].nearest.cosine > rows[#rows].nearest.cosine
   end
   local lead = evaluation.comparisons[#evaluation.comparisons]
   return lead == nil or lead.difference > lead.spread
end

-- The losses of the rounds by validation, where all have it, else those of training.
local function curve(history)
   local validation, training = {}, {}
   for i, round in ipairs(history) do validation[i], training[i] = round.validation, round.loss end
   local is_validation = #validation == #history
   return is_validation and validation or training, is_validation and "the loss of validation" or "the loss"
end

-- What the curve of a training says of its length; nil: nothing.
local function of_length(history)
   local losses, name = curve(history)
   local n, best = #losses, 1
   if n < 3 then return count(n, "round is", "rounds are") .. " a short training: train longer (fit.max_rounds)" end
   for i = 2, n do
      if losses[i] < losses[best] then best = i end
   end
   if best == n then
      return ("%s was still falling in the last of %d rounds: train longer (fit.max_rounds)"):format(name, n)
   elseif best <= EARLY * n and losses[n] > RISEN * losses[best] then
      return ("%s was least after round %d of %d and has risen since: the network learns its recordings by heart; more "
         .. "recordings will help, a longer training will not"):format(name, best, n)
   end
end

--- What may help.
-- @tparam table run `evaluation` (from `evaluate.run`); where there are any `fit` (with `history`, from `fit.run`),
-- `triplets` (from `triplets.run`) and `audit` (from `audit.run`)
-- @treturn {string,...} sentences without full stops; none where the embedding is ahead of plain features
function advice.of(run)
   local list = {}
   if not run.evaluation or is_ahead(run.evaluation) then return list end
   local t = run.triplets
   if run.fit and run.fit.history and #run.fit.history > 0 then list[1] = of_length(run.fit.history) end
   if t and t.group == "recording" then
      list[#list + 1] = "nothing is labelled: species in folders or a table (--metadata), or labels (bclua motif " ..
         "import-labels, setting triplets.labels), say what belongs together"
   elseif t and run.evaluation.classes and t.recordings < FEW * run.evaluation.classes then
      list[#list + 1] = ("%d recordings of at least %d classes were learnt from: below %d of each are few"):format(
         t.recordings, run.evaluation.classes, FEW)
   end
   for _, warning in ipairs(run.audit and run.audit.warnings or {}) do
      list[#list + 1] = "the audit warns: " .. warning
   end
   return list
end

return advice
