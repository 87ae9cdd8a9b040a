--- Few-shot classification: what a few examples of a class are enough for.
--
-- A class is the mean of its examples, and a row is of the class whose mean is nearest by cosine (Snell, Swersky and
-- Zemel 2017, Prototypical networks for few-shot learning). Rows are windows; a recording whose windows are examples
-- has none that are named.
-- @module bclua.evaluate.few_shot
local array = require "bclua.array"
local sampling = require "bclua.sampling"
local check_options = require("bclua.options").check

local few_shot = {}

-- By class its recordings, each a list of rows; classes and recordings in order of their names.
local function group(labels, recordings)
   local classes, names = {}, {}
   for row, label in ipairs(labels) do
      local class = classes[label]
      if not class then
         class = {at = {}, names = {}}
         classes[label], names[#names + 1] = class, label
      end
      local name = recordings[row]
      if not class.at[name] then
         class.at[name] = {}
         table.insert(class.names, name)
      end
      table.insert(class.at[name], row)
   end
   table.sort(names)
   local list = {}
   for i, label in ipairs(names) do
      table.sort(classes[label].names)
      list[i] = {}
      for k, name in ipairs(classes[label].names) do list[i][k] = classes[label].at[name] end
   end
   return list
end

-- Examples and rows to name, of a class: from shuffled recordings, one window of each in turn, of half of them at most,
-- so that something is left to name. nil: that is too few.
local function draw(class, n, generator)
   local order, taught, asked = generator:shuffle(#class), {}, {}
   local teachers = math.min(n, #class // 2)
   for turn = 1, n do
      for t = 1, teachers do
         local row = class[order[t]][turn]
         if row and #taught < n then taught[#taught + 1] = row end
      end
   end
   if #taught < n then return nil end
   for t = teachers + 1, #class do
      for _, row in ipairs(class[order[t]]) do asked[#asked + 1] = row end
   end
   return taught, asked
end

local function unit(row)
   local norm = math.sqrt((row * row):sum())
   return norm > 0 and row / norm or row
end

local function units(x)
   local out = array.zeros(x:shape(), "f64")
   for i = 1, #x do out[i]:fill(unit(x[i]:copy("f64"))) end
   return out
end

-- Means of the examples, as rows of one matrix.
local function prototypes(x, episode)
   local means = array.zeros({#episode, x:shape(2)}, "f64")
   for k, class in ipairs(episode) do
      local sum = array.zeros(x:shape(2), "f64")
      for _, row in ipairs(class.taught) do sum = sum + x[row] end
      means[k]:fill(unit(sum))
   end
   return means
end

-- Mean over classes of the share of right answers.
local function judge(x, episode)
   local means, total = prototypes(x, episode), 0
   for k, class in ipairs(episode) do
      local right = 0
      for _, row in ipairs(class.asked) do
         local near, best = (means * x[row]):sum(2), 1
         for c = 2, #near do
            if near[c] > near[best] then best = c end
         end
         right = right + (best == k and 1 or 0)
      end
      total = total + right / #class.asked
   end
   return total / #episode
end

local OPTIONS = {examples = {"integer", default = 5, least = 1, most = 1000},
   draws = {"integer", default = 20, least = 1, most = 10000}, seed = {"integer", default = 1, least = 0}}

--- Accuracy with so many examples of each class, all features on the same draws.
-- @tparam {table,...} features `{name=, x=array (windows, dimensions), finite}`
-- @tparam {string,...} labels of the windows
-- @tparam {string,...} recordings of the windows
-- @tparam[opt] table options `examples` (5) of each class, from as many recordings as can be, but half of them;
-- `draws` (20), `seed` (1)
-- @treturn[1] table `rows` (of each features `name`, `accuracy`: mean over draws of the mean over classes), `classes`
-- (those with enough examples), `chance`
-- @treturn[2] nil
-- @treturn[2] string message: fewer than two classes have enough examples in half of their recordings
function few_shot.accuracy(features, labels, recordings, options)
   local o = check_options(options, OPTIONS)
   local classes, kept = group(labels, recordings), {}
   for _, class in ipairs(classes) do
      local most, halves = 0, {}
      for i, rows in ipairs(class) do halves[i] = #rows end
      table.sort(halves)
      for i = 1, #class // 2 do most = most + halves[i] end -- whichever recordings are drawn
      if most >= o.examples then kept[#kept + 1] = class end
   end
   if #kept < 2 then
      return nil, ("%d examples: %d of %d classes have so many windows in half of their recordings, two are needed")
         :format(o.examples, #kept, #classes)
   end
   local rows, x = {}, {}
   for i, f in ipairs(features) do rows[i], x[i] = {name = f.name, accuracy = 0}, units(f.x) end
   for d = 1, o.draws do
      local generator, episode = sampling.generator(o.seed, d), {}
      for k, class in ipairs(kept) do
         local taught, asked = draw(class, o.examples, generator)
         episode[k] = {taught = taught, asked = asked}
      end
      for i, row in ipairs(rows) do row.accuracy = row.accuracy + judge(x[i], episode) / o.draws end
   end
   return {rows = rows, classes = #kept, chance = 1 / #kept}
end

return few_shot
