--- Which window to ask about next, and how all windows score by what was answered so far: the loop of labelling
-- (active learning; Settles 2009) for one class at a time.
--
-- A logistic regression on the answers and on some windows about which nobody was asked, taken for windows that are not
-- of the class: most are not, as long as the call is rare. That makes three examples enough to begin with. Answers
-- count more than what is only taken to be so.
-- @module bclua.classifier.active
-- @usage
-- local loop = active.new(x)
-- local scores = loop:scores{yes = {3, 70, 512}, no = {}}
-- local ask = active.queue(scores, {by = "uncertain"})[1]
local array = require "bclua.array"
local classifier = require "bclua.classifier"
local evaluate = require "bclua.evaluate"
local learn = require "bclua.learn"
local sampling = require "bclua.sampling"
local check_options = require("bclua.options").check

local active = {}

local AT_ONCE = 65536 -- rows that are scored at once
local MEASURED = 20000 -- rows of which the scale of columns is taken
local MOST = 1000000 -- rows that are put in order
local FAR = 1e6 -- a score that is beyond all

--- What `new` takes.
active.options = {
   background = {"integer", default = 500, least = 0, most = 100000,
      text = "Windows that are taken for not of the class, beside the answers."},
   c = {"number", default = 0.1, above = 0, most = 1e6, text = "Inverse strength of regularisation."},
   share = {"number", default = 0.5, above = 0, most = 1, text = "Weight of all these windows: that of one answer."},
   seed = {"integer", default = 1, least = 0, text = "Seed of their choice."}}

local Active = {}
Active.__index = Active

-- Numbers of rows, in order, that were drawn evenly from n.
local function draw(n, most, seed)
   if n <= most then
      local all = {}
      for i = 1, n do all[i] = i end
      return all
   end
   local g, seen, list = sampling.generator(seed), {}, {}
   while #list < most do
      local row = g:integer(n)
      if not seen[row] then seen[row], list[#list + 1] = true, row end
   end
   table.sort(list)
   return list
end

local function finite_rows(x, rows)
   local kept = {}
   for _, row in ipairs(rows) do
      if x[row]:is_finite() then kept[#kept + 1] = row end
   end
   return kept
end

--- The loop over some windows.
-- @tparam array x (windows, dimensions), f32 or f64, may be mapped; rows that are not finite score NaN
-- @tparam[opt] table options see `active.options`
-- @treturn loop
function active.new(x, options)
   local o = check_options(options, active.options)
   local n = x:shape(1)
   local some = finite_rows(x, draw(n, MEASURED, o.seed))
   local loop = setmetatable({x = x, n = n, o = o}, Active)
   if #some > 0 then loop.mean, loop.scale = evaluate.scaling(evaluate.take(x, some)) end
   loop.background = finite_rows(x, draw(n, o.background, o.seed + 1))
   return loop
end

-- Rows that train, and of each whether it is of the class and how much it counts: of the class half of all.
local function examples(self, answers)
   local rows, taken = {}, {}
   local function add(list)
      local from = #rows + 1
      for _, row in ipairs(list) do
         if not taken[row] then rows[#rows + 1], taken[row] = row, true end
      end
      return from, #rows
   end
   for _, row in ipairs(answers.unsure or {}) do taken[row] = true end
   local _, yes = add(answers.yes)
   local _, no = add(answers.no)
   add(self.background)
   local target, weight = array.zeros({1, #rows}, "f64"), array.zeros({1, #rows}, "f64")
   local others = #rows - no
   local share = others > 0 and self.o.share or 0
   local all, rest = no + share, no - yes + share
   for i = 1, #rows do
      if i <= yes then
         target:set(1, i, 1)
         weight:set(1, i, all / 2 / yes)
      else
         weight:set(1, i, all / 2 / rest * (i <= no and 1 or share / others))
      end
   end
   return evaluate.take(self.x, rows), target, weight
end

--- Scores of all windows: the logarithm of the odds, as the answers were weighed.
-- @tparam table answers lists of rows, from 1: `yes` (at least one), `no`, and `unsure`, which are left out
-- @treturn array f64 (windows)
function Active:scores(answers)
   local x, target, weight = examples(self, answers)
   local w = learn.binary_fit((x - self.mean) * self.scale, target, weight, {c = self.o.c})
   local d = self.x:shape(2)
   local slope = w:slice(2, 1, d):copy() * self.scale
   w:slice(2, 1, d):fill(slope)
   w:set(1, d + 1, w:at(1, d + 1) - (slope * self.mean):sum())
   local scores = array.zeros(self.n, "f64")
   for first = 1, self.n, AT_ONCE do
      local last = math.min(first + AT_ONCE - 1, self.n)
      scores:slice(1, first, last):fill(learn.binary_scores(w, self.x:slice(1, first, last)):reshape{last - first + 1})
   end
   return scores
end

local MOST_BACKGROUND = 200 -- windows that `prefer` takes for not of the class

--- Which of several features of the windows cross-validation over recordings prefers, by what was answered and by some
-- windows that are taken for not of the class.
-- @tparam {table,...} features `{name=, x=array (windows, dimensions)}`
-- @tparam table answers as for `scores`
-- @tparam {string,...} groups of each window its recording
-- @treturn integer of which features; the first where there is no saying yet
function active.prefer(features, answers, groups)
   if #features == 1 then return 1 end
   local x, rows, taken = features[1].x, {}, {}
   local function add(list)
      for _, row in ipairs(list or {}) do
         if not taken[row] and x[row]:is_finite() then rows[#rows + 1], taken[row] = row, true end
      end
      return #rows
   end
   for _, row in ipairs(answers.unsure or {}) do taken[row] = true end
   local yes = add(answers.yes)
   add(answers.no)
   add(draw(x:shape(1), MOST_BACKGROUND, 1))
   local truth, own, list = array.zeros({1, #rows}, "f64"), {}, {}
   truth:slice(2, 1, yes):fill(1)
   for i, row in ipairs(rows) do own[i] = groups[row] end
   for i, f in ipairs(features) do list[i] = {name = f.name, x = evaluate.take(f.x, rows)} end
   local model = classifier.train({features = list, classes = {"class"}, truth = truth, groups = own},
      {c = active.options.c.default, samples = 10})
   for i, f in ipairs(features) do
      if model and model.features == f.name then return i end
   end
   return 1
end

local QUEUE = {by = {"choice", {"uncertain", "likely", "unlikely", "band"}, default = "uncertain"},
   most = {"integer", default = 1, least = 1}, low = {"number", default = 0, least = 0, most = 1},
   high = {"number", default = 1, least = 0, most = 1}, skip = "function"}

local function logit(p) return math.log(p / (1 - p)) end

-- The score that is asked for, and the bounds between which it has to be.
local function target_of(o)
   if o.by == "likely" then return FAR, -math.huge, math.huge end
   if o.by == "unlikely" then return -FAR, -math.huge, math.huge end
   if o.by == "uncertain" then return 0, -math.huge, math.huge end
   local low, high = logit(o.low), logit(o.high)
   if low > high then error("option 'low' must not be above 'high'", 3) end
   return high == math.huge and FAR or low == -math.huge and -FAR or (low + high) / 2, low, high
end

--- Windows to ask about, the one that is to be asked about first in front.
-- @tparam array scores from `scores`
-- @tparam[opt] table options `by`: `uncertain` (the nearest to even odds: Lewis and Gale 1994), `likely`, `unlikely`,
-- or `band`, those with odds of a probability of `low` to `high`, from its middle outwards, or from 0 or 1 where it
-- reaches that; `most` (1); `skip`, a function that says of a row whether it is not to be asked about
-- @treturn {integer,...} rows
function active.queue(scores, options)
   local o = check_options(options, QUEUE)
   local target, low, high = target_of(o)
   local column, k, list = scores:copy("f32"):reshape{#scores, 1}, math.max(64, 4 * o.most), {}
   local queries, looked = array.full({1, 1}, target, "f64"), 0
   while true do
      local rows = learn.scan(column, queries, {k = math.min(k, MOST), metric = "euclidean"})
      for i = looked + 1, #rows do
         local row, s = rows[i], scores[rows[i]]
         if s < low or s > high then
            if o.by == "band" then return list end -- all others are farther away
         elseif not (o.skip and o.skip(row)) then
            list[#list + 1] = row
            if #list == o.most then return list end
         end
      end
      if #rows < k or k >= MOST then return list end
      looked, k = #rows, k * 4
   end
end

-- ---- How far does it come? ----

local REPLAY = {examples = {"integer", default = 3, least = 1}, questions = {"integer", default = 50, least = 0},
   at_once = {"integer", default = 5, least = 1}, seed = {"integer", default = 1, least = 0}, skip = "function"}

-- Average precision of the windows of which it is known, but for those that were asked about.
local function precision(scores, truth, asked)
   local s, t = {}, {}
   for i = 1, #scores do
      if not asked[i] and truth[i] ~= "unsure" and scores[i] == scores[i] then
         s[#s + 1], t[#t + 1] = scores[i], truth[i] == "yes" and 1 or 0
      end
   end
   return learn.ranking(array.from(s, "f64"), array.from(t, "i64")).average_precision
end

-- Windows of the class, drawn at random.
local function first_examples(truth, most, seed, answer)
   local own, g = {}, sampling.generator(seed)
   for i = 1, #truth do
      if truth[i] == "yes" then own[#own + 1] = i end
   end
   if #own <= most then error(("%d windows of the class: more than %d needed"):format(#own, most), 3) end
   local order = g:shuffle(#own)
   for i = 1, most do answer(own[order[i]]) end
end

--- The loop on windows of which everything is known: examples drawn at random, then questions that the truth answers.
-- @tparam array x (windows, dimensions)
-- @tparam {string,...} truth of each window `yes`, `no` or `unsure`
-- @tparam[opt] table options `examples` (3), `questions` (50), `at_once` (5: after so many it is learnt anew), `seed`
-- (1, of the examples), `skip`, a function of a row and of the set of rows asked about so far that says that it is not
-- to be asked about
-- @treturn {table,...} before the first question and after each few of them: `asked` (questions), `yes`, `no`, `unsure`
-- (answers, with the examples), `precision` (average precision of all windows that were not asked about)
function active.replay(x, truth, options)
   local o = check_options(options, REPLAY)
   local loop, answers, asked, steps = active.new(x), {yes = {}, no = {}, unsure = {}}, {}, {}
   local function answer(row)
      asked[row] = true
      table.insert(answers[truth[row]], row)
   end
   local function skip(row) return asked[row] or o.skip and o.skip(row, asked) end
   first_examples(truth, o.examples, o.seed, answer)
   local n = 0
   while true do
      local scores = loop:scores(answers)
      steps[#steps + 1] = {asked = n, yes = #answers.yes, no = #answers.no, unsure = #answers.unsure,
         precision = precision(scores, truth, asked)}
      local most = math.min(o.at_once, o.questions - n)
      local rows = most > 0 and active.queue(scores, {most = most, skip = skip}) or {}
      if #rows == 0 then return steps end
      for _, row in ipairs(rows) do answer(row) end
      n = n + #rows
   end
end

return active
