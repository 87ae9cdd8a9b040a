--- What the trainings of a protocol say: means, differences with an interval, sentences.
-- @module bclua.workflow.experiments.protocol_verdicts
local array = require "bclua.array"
local protocol = require "bclua.workflow.experiments.protocol"
local sql = require "bclua.sql"

local verdicts = {}

-- Student's t for 95 % of both sides, by degrees of freedom.
local T = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
   2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042}

--- The mean of some numbers, and the half of its 95 % interval by Student's t.
-- @tparam {number,...} list
-- @treturn number NaN of none
-- @treturn number infinite of a single one
function verdicts.interval(list)
   local n = #list
   if n == 0 then return 0 / 0, math.huge end
   local a = array.from(list, "f64")
   if n == 1 then return a:mean(), math.huge end
   return a:mean(), (T[n - 1] or 1.96 + 2.5 / n) * a:std() / math.sqrt(n - 1)
end

--- One column of some rows less another: of trials that have both.
-- @tparam {table,...} rows
-- @tparam string a
-- @tparam string b
-- @tparam[opt] {table,...} others the rows of b, where they are not the same, in the same order
-- @treturn table `difference`, `within` (half of the 95 % interval), `trials`, `verdict`: "better", "worse" or
-- "not told apart"
function verdicts.difference(rows, a, b, others)
   local list = {}
   for i, row in ipairs(rows) do
      local other = (others or rows)[i]
      if row[a] and other[b] then list[#list + 1] = row[a] - other[b] end
   end
   local mean, within = verdicts.interval(list)
   return {difference = mean, within = within, trials = #list,
      verdict = mean - within > 0 and "better" or mean + within < 0 and "worse" or "not told apart"}
end

--- A table of means by subject: a column for each measure.
-- @tparam {table,...} rows of one question
-- @treturn {table,...} `subject`, and by measure the mean over trials (nil: none has it)
function verdicts.table(rows)
   local list = {}
   for i, subject in ipairs(protocol.subjects) do
      list[i] = {subject = subject[2]}
      for _, how in ipairs(protocol.measures) do
         local values = {}
         for _, row in ipairs(rows) do values[#values + 1] = row[subject[1] .. "_" .. how[1]] end
         if #values > 0 then list[i][how[1]] = (verdicts.interval(values)) end
      end
   end
   return list
end

local VERDICTS = {{"better", "better than"}, {"worse", "worse than"}, {"not told apart", "not told apart from"}}

-- Names and differences by verdict, as words.
local function in_words(list)
   local parts = {}
   for _, verdict in ipairs(VERDICTS) do
      local words = {}
      for _, d in ipairs(list) do
         if d.verdict == verdict[1] then
            words[#words + 1] = ("%s (%+.3f ± %.3f)"):format(d.name, d.difference, d.within)
         end
      end
      if #words > 0 then parts[#parts + 1] = verdict[2] .. " " .. table.concat(words, ", ") end
   end
   return table.concat(parts, "; ")
end

--- What the rows of one question say of the embedding and its rivals, in sentences.
-- @tparam {table,...} rows
-- @treturn {string,...} a sentence for each measure that the rows have
function verdicts.sentences(rows)
   local list = {}
   for _, how in ipairs(protocol.measures) do
      local differences = {}
      for i = 2, #protocol.subjects do
         local rival = protocol.subjects[i]
         local d = verdicts.difference(rows, "embedding_" .. how[1], rival[1] .. "_" .. how[1])
         d.name = rival[2]
         if d.trials > 0 then differences[#differences + 1] = d end
      end
      if #differences > 0 then
         list[#list + 1] = ("By %s the embedding is %s."):format(how[2], in_words(differences))
      end
   end
   return list
end

--- The embedding of some trials against that of others, on the same splits and seeds, in sentences.
-- @tparam {table,...} rows of one question
-- @tparam {table,...} others of any question
-- @tparam string name of the others
-- @treturn {string,...} a sentence for each measure
function verdicts.against(rows, others, name)
   local function key(row) return ("%s %d %d"):format(row.question, row.split, row.seed) end
   local of, paired, list = {}, {}, {}
   for _, row in ipairs(others) do of[key(row)] = row end
   for i, row in ipairs(rows) do paired[i] = of[key(row)] or {} end
   for _, how in ipairs(protocol.measures) do
      local column = "embedding_" .. how[1]
      local d = verdicts.difference(rows, column, column, paired)
      d.name = name
      if d.trials > 0 then
         list[#list + 1] = ("By %s this embedding is %s, in %d trials."):format(how[2], in_words{d}, d.trials)
      end
   end
   return list
end

-- The rows of a question, without those that failed.
local function rows_of(rows, question)
   local list = {}
   for _, row in ipairs(rows) do
      if row.question == question and not row.error then list[#list + 1] = row end
   end
   return list
end

local COLUMNS = {"subject"}
for i, how in ipairs(protocol.measures) do COLUMNS[i + 1] = how[1] end

--- Say and keep what came of a protocol.
-- @tparam table e from `experiment.open`
-- @tparam {table,...} rows of the trials
-- @tparam[opt] string against name of an experiment of the same run, to compare with
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message: that one cannot be read
function verdicts.tell(e, rows, against)
   local others = {}
   if against then
      local message
      others, message = sql.query("from " .. sql.parquet(("%s/experiments/%s/trials.parquet"):format(e.run, against)))
      if not others then return nil, message end
   end
   for _, row in ipairs(rows) do
      if row.error then e:warn(("%s, split %d, seed %d: %s"):format(row.question, row.split, row.seed, row.error)) end
   end
   for _, question in ipairs(protocol.questions) do
      local list = rows_of(rows, question)
      if #list > 0 then
         e:say(("Of %s, mean of %d trainings (chance %.3f):"):format(question, #list, list[1].chance))
         e:table(verdicts.table(list), COLUMNS, {name = question:gsub(" ", "_")})
         for _, sentence in ipairs(verdicts.sentences(list)) do e:say(sentence) end
         for _, sentence in ipairs(verdicts.against(list, others, against)) do e:say(sentence) end
      end
   end
   e:say("Behind each difference is half of its 95 % interval over trainings, by Student's t. Splits share " ..
      "recordings, so that it is somewhat too narrow.")
   return true
end

return verdicts
