local array = require "bclua.array"
local classifier = require "bclua.classifier"
local command = require "support.command"
local folds = require "bclua.classifier.folds"
local judge = require "bclua.classifier.judge"
local learn = require "bclua.learn"
local safetensors = require "bclua.format.safetensors"
local sampling = require "bclua.sampling"
local system = require "bclua.system"

local NAN = 0 / 0

-- Scores with ties, truth and groups from a fixed sequence.
local function ranked(n)
   local g = sampling.generator(4)
   local scores, truth, groups = array.zeros(n, "f64"), array.zeros(n, "i64"), array.zeros(n, "i64")
   for i = 1, n do
      truth[i], groups[i] = g:integer(3) == 1 and 1 or 0, g:integer(7)
      scores[i] = g:integer(12) + 2 * truth[i]
   end
   return scores, truth, groups
end

-- Weighted precision and recall at a threshold, from their definition.
local function at_threshold(scores, truth, threshold, weight)
   local found, called, own = 0, 0, 0
   for i = 1, #scores do
      local w = weight and weight[i] or 1
      own = own + w * truth[i]
      if scores[i] >= threshold then called, found = called + w, found + w * truth[i] end
   end
   return found / called, found / own
end

-- Average precision and area under the ROC curve, from their definitions.
local function areas(scores, truth, weight)
   local distinct, list = {}, {}
   for i = 1, #scores do
      if not distinct[scores[i]] then distinct[scores[i]], list[#list + 1] = true, scores[i] end
   end
   table.sort(list, function(a, b) return a > b end)
   local sum, before = 0, 0
   for _, threshold in ipairs(list) do
      local precision, recall = at_threshold(scores, truth, threshold, weight)
      if recall > before then sum = sum + precision * (recall - before) end
      before = recall
   end
   local right, pairs_of = 0, 0
   for i = 1, #scores do
      for k = 1, #scores do
         if truth[i] == 1 and truth[k] == 0 then
            local w = weight and weight[i] * weight[k] or 1
            pairs_of = pairs_of + w
            right = right + w * (scores[i] > scores[k] and 1 or scores[i] == scores[k] and 0.5 or 0)
         end
      end
   end
   return sum, right / pairs_of
end

describe("learn.ranking", function()
   it("measures as the definitions do", function()
      local scores, truth = ranked(200)
      local r = learn.ranking(scores, truth, {threshold = 9})
      local precision, recall = at_threshold(scores, truth, 9)
      local area, pairs_right = areas(scores, truth)
      assert.near(precision, r.precision, 1e-12)
      assert.near(recall, r.recall, 1e-12)
      assert.near(area, r.average_precision, 1e-12)
      assert.near(pairs_right, r.roc_auc, 1e-12)
   end)

   it("has no measures where there is nothing to divide by", function()
      local r = learn.ranking(array.from({1, 2}, "f64"), array.from({0, 0}, "i64"), {threshold = 3})
      for _, value in pairs(r) do assert.is_true(value ~= value) end
      assert.error_matches(function() learn.ranking(array.from({NAN}, "f64"), array.from({0}, "i64")) end, "not finite")
   end)

   it("draws whole recordings, the same on any number of threads", function()
      local scores, truth, groups = ranked(60)
      local o = {times = 40, seed = 3, threshold = 9}
      local samples = learn.ranking_bootstrap(scores, truth, groups, o)
      local before = system.threads()
      system.threads(3)
      assert.is_true(array.equal(samples, learn.ranking_bootstrap(scores, truth, groups, o)))
      system.threads(before)
      -- a sample is a multiset of the seven groups: the first one is among all these
      local function find(drawn, group, left)
         if group == 7 then
            drawn[7] = left
            local weight = {}
            for i = 1, #scores do weight[i] = drawn[groups[i]] end
            local precision, recall = at_threshold(scores, truth, 9, weight)
            return math.abs(precision - samples:at(1, 1)) < 1e-12 and math.abs(recall - samples:at(1, 2)) < 1e-12
               and {areas(scores, truth, weight)}
         end
         for n = 0, left do
            drawn[group] = n
            local found = find(drawn, group + 1, left - n)
            if found then return found end
         end
         return nil
      end
      local found = assert(find({}, 1, 7))
      assert.near(found[1], samples:at(1, 3), 1e-9)
      assert.near(found[2], samples:at(1, 4), 1e-9)
   end)
end)

describe("learn.binary_fit", function()
   local function data()
      local g = sampling.generator(2)
      local x, t, w = g:normal(120):copy("f64"):reshape{40, 3}, array.zeros({2, 40}, "f64"), array.zeros({2, 40}, "f64")
      for i = 1, 40 do
         t:set(1, i, x:at(i, 1) > 0.3 and 1 or 0)
         t:set(2, i, 0.5 + 0.4 * (x:at(i, 2) > 0 and 1 or -1)) -- soft
         w:set(1, i, 1)
         w:set(2, i, i % 4)
      end
      return x, t, w
   end

   it("reaches the minimum of each class: the gradient by differences is zero", function()
      local x, t, w = data()
      local c = 0.6
      local fitted = learn.binary_fit(x, t, w, {c = c, tolerance = 1e-10, iterations = 1000})
      local function objective(v, k)
         local sum = 0
         for i = 1, 40 do
            local s = v:at(k, 4)
            for j = 1, 3 do s = s + v:at(k, j) * x:at(i, j) end
            sum = sum + w:at(k, i) * (math.log(1 + math.exp(s)) - t:at(k, i) * s)
         end
         return c * sum + (v:at(k, 1) ^ 2 + v:at(k, 2) ^ 2 + v:at(k, 3) ^ 2) / 2
      end
      for k = 1, 2 do
         for j = 1, 4 do
            local up, down = fitted:copy(), fitted:copy()
            up:set(k, j, fitted:at(k, j) + 1e-4)
            down:set(k, j, fitted:at(k, j) - 1e-4)
            assert.near(0, (objective(up, k) - objective(down, k)) / 2e-4, 1e-5)
         end
      end
      local again, iterations = learn.binary_fit(x, t, w, {c = c, tolerance = 1e-6, from = fitted})
      assert.equal(0, iterations)
      assert.is_true(array.equal(fitted, again))
      local s = learn.binary_scores(fitted, x)
      assert.near(x:at(5, 1) * fitted:at(2, 1) + x:at(5, 2) * fitted:at(2, 2) + x:at(5, 3) * fitted:at(2, 3)
         + fitted:at(2, 4), s:at(5, 2), 1e-12)
   end)

   it("names what it rejects", function()
      local x, t, w = data()
      assert.error_matches(function() learn.binary_fit(x / 0, t, w) end, "not finite")
      assert.error_matches(function() learn.binary_fit(x, t * 2, w) end, "outside 0..1")
      assert.error_matches(function() learn.binary_fit(x, t, -w) end, "outside 0")
      assert.error_matches(function() learn.binary_fit(x, t, w:slice(1, 1, 1)) end, "expected 2 classes by 40 rows")
      assert.error_matches(function() learn.binary_fit(x, t, w, {from = array.zeros({1, 4})}) end, "another shape")
      assert.error_matches(function() learn.binary_scores(array.zeros({1, 3}), x) end, "3 columns, the model has 2")
   end)
end)

-- Twelve recordings of ten windows. Column 1 tells class a and 2 class b, some of whose windows are of both; 3 and 4
-- are the recording's own and would tell everything if windows of one were on both sides.
local function make(noise)
   local g, n = sampling.generator(9), 120
   local set = {x = array.zeros({n, 4}, "f64"), classes = {"a", 'b "\n'}, truth = array.zeros({2, n}, "f64"),
      groups = {}}
   for i = 1, n do
      local r = (i - 1) // 10
      set.groups[i] = "r" .. r
      local a, b = i % 3 == 0 and 1 or 0, r % 2 == 0 and i % 4 == 0 and 1 or 0
      set.truth:set(1, i, a)
      set.truth:set(2, i, b)
      local e = g:normal(2)
      set.x:set(i, 1, 2 * a + noise * e[1])
      set.x:set(i, 2, 100 + 50 * b + 25 * noise * e[2])
      set.x:set(i, 3, r)
      set.x:set(i, 4, r * r % 7)
   end
   return set
end

describe("classifier", function()
   it("learns classes that go together, and says how well", function()
      local model = assert(classifier.train(make(0.3), {samples = 100}))
      assert.same({"a", 'b "\n'}, {model.classes[1].name, model.classes[2].name})
      assert.same({40, 12, 120}, {model.classes[1].windows, model.classes[1].recordings, model.classes[1].examined})
      for k = 1, 2 do
         local m = model.classes[k].measures
         assert.is_true(m.average_precision.value > 0.95)
         for _, one in pairs(m) do assert.is_true(one.low <= one.value and one.value <= one.high) end
      end
      local set = make(0.3)
      local p = model:probabilities(model:scores(set.x))
      assert.same({120, 2}, p:shape())
      local sum = 0
      for i = 1, 120 do sum = sum + math.abs(p:at(i, 1) - set.truth:at(1, i)) end
      assert.is_true(sum / 120 < 0.1)
   end)

   it("never judges a recording by itself", function()
      local set = make(0.3)
      -- a class that is a property of the recording alone, and of no use for another one
      for i = 1, 120 do set.truth:set(1, i, ("r0 r3 r5 r9 "):find(set.groups[i] .. " ", 1, true) and 1 or 0) end
      set.x = set.x:slice(2, 3, 4):copy()
      local fold_of = folds.assign(set.truth, array.from({1, 2, 3}, "i64"), 3, 5, 1)
      assert.equal(3, #fold_of)
      local one = {x = array.zeros({120, 12}, "f64"), classes = {"a"}, truth = set.truth:slice(1, 1, 1):copy(),
         groups = set.groups}
      for i = 1, 120 do one.x:set(i, (i - 1) // 10 + 1, 1) end
      local m = assert(classifier.train(one, {samples = 10})).classes[1].measures
      assert.is_true(m.roc_auc.value < 0.6)
   end)

   it("is the same each time, on any number of threads", function()
      local before, bytes = system.threads(), {}
      local dir <close> = setmetatable({path = command.folder()}, {__close = function(d) command.remove(d.path) end})
      for threads = 1, 2 do
         system.threads(threads)
         local path = dir.path .. "/model.safetensors"
         assert(assert(classifier.train(make(1), {samples = 20})):save(path))
         bytes[threads] = assert(require("bclua.files").read(path))
      end
      system.threads(before)
      assert.equal(bytes[1], bytes[2])
   end)

   it("does not care for the unit and the origin of columns", function()
      local set, other = make(1), make(1)
      other.x = other.x * 1000 - 5
      local p = assert(classifier.train(set, {samples = 10})):scores(set.x)
      local q = assert(classifier.train(other, {samples = 10})):scores(other.x)
      assert.is_true((p - q):abs():max() < 1e-4)
   end)

   it("takes further features where they win, and only there", function()
      local set = make(0.3)
      local useless = set.x:slice(2, 3, 4):copy()
      local pick = function(a, b)
         return assert(classifier.train({features = {{name = "a", x = a}, {name = "b", x = b}}, classes = set.classes,
            truth = set.truth, groups = set.groups}, {samples = 10})).features
      end
      assert.equal("b", pick(useless, set.x))
      assert.equal("a", pick(set.x, useless))
      assert.equal("a", pick(set.x, set.x))
   end)

   it("gives probabilities that are shares, on rows that training has not seen", function()
      local g, scores, truth = sampling.generator(1), array.zeros(4000, "f64"), array.zeros(4000, "i64")
      for i = 1, 4000 do
         scores[i] = 6 * (g:uniform() - 0.5)
         truth[i] = g:uniform() < 1 / (1 + math.exp(-(2 * scores[i] - 1))) and 1 or 0
      end
      local slope, offset = judge.calibrate(scores, truth)
      assert.near(2, slope, 0.2)
      assert.near(-1, offset, 0.2)
      slope, offset = judge.calibrate(-scores, truth) -- worse than none
      assert.equal(0, slope)
      assert.near(truth:copy("f64"):mean(), 1 / (1 + math.exp(-offset)), 1e-3)
   end)

   it("knows what a threshold gives", function()
      local scores, truth = ranked(200)
      local points = judge.operating_points(scores, truth)
      local before = 0
      for i = 1, judge.points do
         local precision, recall = at_threshold(scores, truth, points:at(i, 1))
         assert.near(precision, points:at(i, 2), 1e-12)
         assert.near(recall, points:at(i, 3), 1e-12)
         assert.is_true(recall >= i / judge.points - 1e-12 and recall >= before)
         before = recall
      end
   end)

   it("picks the threshold of a precision, if there is one", function()
      local model = assert(classifier.train(make(1), {samples = 10}))
      local threshold, precision, recall = model:threshold(1, 0.8)
      assert.is_true(threshold > 0 and precision >= 0.8 and recall > 0)
      for i = 1, judge.points do model.points:set(1, i, 2, 0.4) end
      local none, best = model:threshold(1, 0.8)
      assert.same({nil, 0.4}, {none, best})
   end)

   it("leaves out rows of which nobody knows", function()
      local set = make(0.3)
      local whole = assert(classifier.train(set, {samples = 10, c = 0.1}))
      local extended = make(0.3)
      local x, truth = array.zeros({140, 4}, "f64"), array.full({2, 140}, NAN)
      x:slice(1, 1, 120):fill(set.x)
      x:slice(1, 121, 140):fill(7)
      truth:slice(2, 1, 120):fill(set.truth)
      for i = 121, 140 do extended.groups[i] = "r1" end
      extended.x, extended.truth = x, truth
      local model = assert(classifier.train(extended, {samples = 10, c = 0.1}))
      assert.same({40, 120}, {model.classes[1].windows, model.classes[1].examined})
      assert.equal(12, model.classes[1].recordings)
      assert.near(whole.classes[1].measures.roc_auc.value, model.classes[1].measures.roc_auc.value, 0.05)
   end)

   describe("file", function()
      local dir
      setup(function() dir = command.folder() end)
      teardown(function() command.remove(dir) end)

      it("comes back as it was", function()
         local model = assert(classifier.train(make(1), {samples = 20}))
         model.about = {weights = "abc"}
         model.classes[2].measures.precision = {value = NAN, low = NAN, high = NAN}
         local path, x = dir .. "/m.safetensors", make(1).x
         assert(model:save(path))
         local again = assert(classifier.load(path))
         assert.is_true(array.equal(model:scores(x), again:scores(x)))
         assert.equal(model:text(), again:text())
         assert.same(model.about, again.about)
         assert.is_truthy(again:text():find("none", 1, true))
      end)

      it("that is none is refused by name", function()
         local path = dir .. "/x.safetensors"
         assert(safetensors.save(path, {weight = array.zeros(3)}))
         local model, message = classifier.load(path)
         assert.is_nil(model)
         assert.equal(path .. ": is no classifier (of `classify train`)", message)
         model = assert(classifier.train(make(1), {samples = 10}))
         model.bias = array.zeros(3, "f64")
         assert(model:save(path))
         assert.equal(path .. ": tensor 'bias' must be f64 (2)", select(2, classifier.load(path)))
      end)
   end)

   describe("says what cannot be learnt:", function()
      local function refused(change)
         local set = make(0.3)
         change(set)
         local model, message = classifier.train(set, {samples = 10})
         assert.is_nil(model)
         return message
      end

      it("one recording", function()
         assert.matches("all windows are of one recording", refused(function(set)
            for i = 1, 120 do set.groups[i] = "r" end
         end))
      end)

      it("one class only, without anything else", function()
         assert.matches("no window is known not to be of it", refused(function(set) set.truth:fill(1) end))
      end)

      it("no window, or one recording, of a class", function()
         local set = make(0.3)
         set.truth[1]:fill(0)
         local model = assert(classifier.train(set, {samples = 10}))
         assert.same({{name = "a", reason = "no window is of it"}}, model.dropped)
         assert.equal(1, #model.classes)
         for i = 1, 120 do set.truth:set(1, i, i <= 5 and 1 or 0) end
         model = assert(classifier.train(set, {samples = 10}))
         assert.same({{name = "a", reason = "all its windows are of one recording"}}, model.dropped)
      end)

      it("values that are not finite", function()
         assert.equal("embedding: NaN or infinite values", refused(function(set) set.x:set(3, 2, NAN) end))
      end)
   end)
end)
