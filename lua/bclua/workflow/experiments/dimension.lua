--- How large must an embedding be? Networks of several sizes, judged on few species.
--
-- The table of the paper: logistic regression on the motifs of three species, mean and spread of ten runs.
-- Here a run is a split by recording, and only recordings that the training did not see are used.
-- @module bclua.workflow.experiments.dimension
local json = require "bclua.json"
local sql = require "bclua.sql"
local trial = require "bclua.workflow.experiments.trial"

local dimension = {}

local OWN = {species = true, motifs = true, splits = true, config = true} -- parameters that are no settings

--- The species that can give most motifs: those with most recordings that have one.
-- @tparam string motif Parquet from `consolidate`
-- @tparam integer count
-- @treturn[1] {string,...} names, sorted
-- @treturn[2] nil
-- @treturn[2] string message
function dimension.species(motif, count)
   local text = [[select species from (select species, count(*) n from %s where motif_0 is not null
      and species is not null group by 1 order by n desc, species limit %d) order by 1]]
   local rows, message = sql.query(text:format(sql.parquet(motif), count))
   if not rows then return nil, message end
   if #rows < count then
      return nil, ("%s: %d species with motifs, %d are needed"):format(motif, #rows, count)
   end
   local list = {}
   for i, row in ipairs(rows) do list[i] = row.species end
   return list
end

-- Of the recordings that were kept away from a training, those of some species.
local function recordings_of(metadata, motif, species)
   local quoted = {}
   for i, name in ipairs(species) do quoted[i] = sql.quote(name) end
   local rows, message = sql.query(("select source_name from %s where species in (%s) and " ..
      "motif_0 is not null"):format(sql.parquet(motif), table.concat(quoted, ", ")))
   if not rows then return nil, message end
   local held, list = {}, {}
   for _, name in ipairs(json.decode(metadata.holdout_recordings or "[]") or {}) do held[name] = true end
   for _, row in ipairs(rows) do
      if held[row.source_name] then list[#list + 1] = row.source_name end
   end
   if #list == 0 then return nil, "no recording of these species was kept away from training" end
   return list
end

-- Accuracy on about k motif windows of some species.
local function judge(checkpoint, about, p)
   local evaluate, tilenet = require "bclua.workflow.evaluate", require "bclua.tilenet"
   local net, metadata = tilenet.open(checkpoint)
   if not net then return nil, metadata end
   local recordings, set, message, result
   recordings, message = recordings_of(metadata, about.motif, p.species)
   if recordings then
      set, message = evaluate.collect{motif = about.motif, dataset_root = about.root, recordings = recordings,
         motifs = math.ceil(p.motifs / (2 * #recordings)), quiet = true}
   end
   if set then
      local fresh = evaluate.untrained(net, 1) -- its weights are no part of what varies
      result, message = evaluate.judge(set, {{name = "embedding", net = net}, {name = "untrained", net = fresh},
         {name = "mel", x = set.plain}}, {splits = p.splits})
      fresh:close()
   end
   net:close()
   return result, message
end

--- One trial of `bclua.experiment.sweep`: train, and judge on few species.
-- @tparam table p `run`: a pipeline's folder; `species`: their names; `motifs`: about so many windows; `splits`;
-- `seed`; settings by names with dots, as for `trial.point`: `["network.z"]`; `config`: the run's own settings, which
-- are here only to tell one sweep from another
-- @tparam table context
-- @treturn[1] table `accuracy` and `accuracy_spread` (over splits) of the embedding, `untrained`, `mel`, `chance`,
-- `windows`, `recordings`, and what `trial.run` returns
-- @treturn[2] nil
-- @treturn[2] string message
function dimension.run(p, context)
   local about, message = trial.open(p.run)
   if not about then return nil, message end
   local parameters = {}
   for k, v in pairs(p) do
      if not OWN[k] then parameters[k] = v end
   end
   local result, judged
   result, message = trial.point(parameters, context)
   if not result then return nil, message end
   judged, message = judge(result.fit.checkpoint, about, p)
   if not judged then return nil, message end
   if judged.classes < #p.species then
      return nil, ("too few recordings kept away from training: only %d of %d species have two"):format(judged.classes,
         #p.species)
   end
   local rows = judged.rows
   result.accuracy, result.accuracy_spread = rows[1].accuracy, rows[1].spread
   result.untrained, result.mel, result.chance = rows[2].accuracy, rows[3].accuracy, judged.chance
   result.windows, result.recordings = judged.windows, judged.recordings
   return result
end

return dimension
