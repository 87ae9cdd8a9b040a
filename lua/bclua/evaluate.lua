--- How much of the species is in an embedding.
-- @module bclua.evaluate
local array = require "bclua.array"
local learn = require "bclua.learn"
local sampling = require "bclua.sampling"

local evaluate = {}

-- Of every class a third of the recordings, at least one, to test, the rest to train.
local function split(by_class, generator)
   local train, test = {}, {}
   for _, recordings in ipairs(by_class) do
      local n = #recordings
      local order = generator:shuffle(n)
      for i = 1, n do
         local side = i <= math.max(1, n // 3) and test or train
         for _, row in ipairs(recordings[order[i]]) do side[#side + 1] = row end
      end
   end
   return train, test
end

local function take(x, rows)
   local out = array.zeros({#rows, x:shape(2)}, "f64")
   for i, row in ipairs(rows) do out[i]:fill(x[row]) end
   return out
end

-- Both sides to mean 0 and deviation 1 of the training side, by column.
local function standardise(train, test)
   local mean, deviation = train:mean(1), train:std(1)
   local scale = array.zeros(#deviation, "f64")
   for i = 1, #deviation do scale[i] = deviation[i] > 1e-12 and 1 / deviation[i] or 0 end
   return (train - mean) * scale, (test - mean) * scale
end

local function pick(values, rows)
   local out = array.zeros(#rows, "i64")
   for i, row in ipairs(rows) do out[i] = values[row] end
   return out
end

local function mean_and_spread(values)
   local a = array.from(values, "f64")
   return a:mean(), #values > 1 and a:std() * math.sqrt(#values / (#values - 1)) or 0
end

-- The rows of each recording of each class; classes with one recording are dropped.
local function group(labels, recordings)
   local classes, order, dropped = {}, {}, {}
   for row, label in ipairs(labels) do
      if not classes[label] then
         classes[label] = {at = {}}
         order[#order + 1] = label
      end
      local class, name = classes[label], recordings[row]
      if not class.at[name] then
         class.at[name] = {}
         class[#class + 1] = class.at[name]
      end
      table.insert(class.at[name], row)
   end
   table.sort(order)
   local kept, ids = {}, {}
   for _, label in ipairs(order) do
      if #classes[label] >= 2 then
         kept[#kept + 1] = classes[label]
         ids[label] = #kept
      else
         dropped[#dropped + 1] = label
      end
   end
   return kept, ids, dropped
end

--- Accuracy of a logistic regression on features, over random splits by recording:
-- windows of one recording are never on both sides. A third of each class's recordings
-- (at least one) tests, the rest trains. Accuracy is the mean over classes of the share of
-- their test windows that are named rightly, so that common classes do not count more.
-- @tparam {table,...} features `{name=, x=array (windows, dimensions)}`: all are judged
-- on the same splits
-- @tparam {string,...} labels of the windows
-- @tparam {string,...} recordings of the windows
-- @tparam[opt] table options `splits` (10), `seed` (1), `c` (1)
-- @treturn[1] table `rows` {`name`, `accuracy`, `spread`, `splits`}, `classes`, `chance`,
-- `windows`, `dropped` (classes with one recording)
-- @treturn[2] nil
-- @treturn[2] string message: fewer than two classes with two recordings
function evaluate.accuracy(features, labels, recordings, options)
   options = options or {}
   local classes, ids, dropped = group(labels, recordings)
   if #classes < 2 then
      return nil, ("evaluation needs two classes with two recordings each, got %d"):format(#classes)
   end
   local numbers, windows = {}, 0
   for row, label in ipairs(labels) do
      numbers[row] = ids[label]
      if ids[label] then windows = windows + 1 end
   end
   local rows = {}
   for i, f in ipairs(features) do rows[i] = {name = f.name, splits = {}} end
   for s = 1, options.splits or 10 do
      local train, test = split(classes, sampling.generator(options.seed or 1, s))
      local truth = pick(numbers, test)
      for i, f in ipairs(features) do
         local x, y = standardise(take(f.x, train), take(f.x, test))
         local w = learn.logistic_fit(x, pick(numbers, train), {c = options.c or 1})
         rows[i].splits[s] = evaluate.balanced(learn.logistic_predict(w, y), truth, #classes)
      end
   end
   for _, row in ipairs(rows) do row.accuracy, row.spread = mean_and_spread(row.splits) end
   return {rows = rows, classes = #classes, chance = 1 / #classes, windows = windows, dropped = dropped}
end

--- Mean over classes of the share of right answers.
function evaluate.balanced(guess, truth, classes)
   local right, all = {}, {}
   for k = 1, classes do right[k], all[k] = 0, 0 end
   for i = 1, #truth do
      local k = truth[i]
      all[k] = all[k] + 1
      if guess[i] == k then right[k] = right[k] + 1 end
   end
   local sum, n = 0, 0
   for k = 1, classes do
      if all[k] > 0 then sum, n = sum + right[k] / all[k], n + 1 end
   end
   return sum / n
end

return evaluate
