local array = require "bclua.array"
local command = require "support.command"
local distances = require "bclua.evaluate.distances"
local evaluate = require "bclua.evaluate"
local pictures = require "bclua.evaluate.pictures"

describe("accuracy by logistic regression", function()
   -- 3 classes of 4 recordings of 2 windows; one feature tells the classes, one only the recordings
   local function data()
      local labels, recordings, good, leaking = {}, {}, {}, {}
      for class = 1, 3 do
         for r = 1, 4 do
            for w = 1, 2 do
               labels[#labels + 1] = "class" .. class
               recordings[#recordings + 1] = class .. "/" .. r
               good[#good + 1] = {class + 0.1 * w, 0.1 * r - class}
               leaking[#leaking + 1] = {math.sin(100 * class + 10 * r), math.cos(77 * class + 13 * r)}
            end
         end
      end
      return labels, recordings, array.from(good), array.from(leaking)
   end

   it("tells a feature that knows the class from one that knows the recording", function()
      local labels, recordings, good, leaking = data()
      local result = evaluate.accuracy({{name = "good", x = good}, {name = "leaking", x = leaking}}, labels, recordings,
         {c = 100})
      assert.equal(1, result.rows[1].accuracy)
      assert.equal(0, result.rows[1].spread)
      assert.is_true(result.rows[2].accuracy < 0.7)
      assert.equal(10, #result.rows[2].splits)
      assert.near(1 / 3, result.chance, 1e-12)
   end)

   it("leaves out classes with one recording, and needs two others", function()
      local x = array.from({{1}, {2}, {3}, {4}, {5}})
      local result = evaluate.accuracy({{name = "x", x = x}}, {"a", "a", "b", "b", "c"}, {"1", "2", "3", "4", "5"})
      assert.same({"c"}, result.dropped)
      assert.equal(4, result.windows)
      local none, message = evaluate.accuracy({{name = "x", x = x}}, {"a", "a", "a", "b", "c"},
         {"1", "2", "2", "4", "5"})
      assert.is_nil(none)
      assert.matches("two classes with two recordings each, got 1", message)
   end)

   it("has all windows of a recording on one side where they are of several classes", function()
      local labels, recordings, x = {}, {}, {} -- what tells is the recording, of which nothing is known in a test
      for r = 1, 4 do
         for _, class in ipairs{"a", "b"} do
            local row = {0, 0, 0, 0}
            row[r] = 1
            labels[#labels + 1], recordings[#recordings + 1], x[#x + 1] = class, "r" .. r, row
         end
      end
      local result = evaluate.accuracy({{name = "x", x = array.from(x)}}, labels, recordings)
      for _, accuracy in ipairs(result.rows[1].splits) do assert.equal(0.5, accuracy) end
   end)

   it("tests no class that a split cannot teach", function()
      -- whatever recordings of a and b teach, both of c do, or none
      local labels = {"a", "a", "b", "b", "c", "c"}
      local recordings = {"1", "2", "2", "3", "1", "3"}
      local x = array.from({{1, 0}, {1, 0}, {0, 1}, {0, 1}, {-1, -1}, {-1, -1}})
      local row = evaluate.accuracy({{name = "x", x = x}}, labels, recordings, {c = 100}).rows[1]
      assert.equal(1, row.accuracy)
      assert.same({{10, 0, 0}, {0, 10, 0}, {0, 0, 0}}, row.confusion)
      assert.is_true(row.by_class[3] ~= row.by_class[3])
   end)

   it("weighs classes equally", function()
      local function vector(t) return array.from(t, "i64") end
      assert.near(0.75, evaluate.balanced(vector({1, 1, 1, 1, 2, 1}), vector({1, 1, 1, 1, 2, 2}), 2), 1e-12)
   end)

   it("counts who is taken for whom", function()
      -- a and b are the same to x, c is not
      local labels, recordings, x = {}, {}, {}
      for k, name in ipairs{"a", "b", "c"} do
         for r = 1, 4 do
            labels[#labels + 1], recordings[#recordings + 1], x[#x + 1] = name, name .. r, {k == 3 and 1 or 0}
         end
      end
      local result = evaluate.accuracy({{name = "x", x = array.from(x)}}, labels, recordings, {splits = 6})
      local confusion = result.rows[1].confusion
      assert.same({0, 0, 6}, confusion[3]) -- one recording of four a split
      assert.same({"a", "b", "c"}, result.names)
      for k = 1, 2 do
         assert.equal(6, confusion[k][1] + confusion[k][2])
         assert.equal(0, confusion[k][3])
         assert.near(confusion[k][k] / 6, result.rows[1].by_class[k], 1e-12)
      end
      assert.equal(1, result.rows[1].by_class[3])
      assert.same({name = "c", recordings = 4, windows = 4}, result.counts[3])
   end)

   it("is that of chance where features are constant", function()
      local labels, recordings = data()
      local result = evaluate.accuracy({{name = "x", x = array.full({24, 3}, 0.1)}}, labels, recordings)
      assert.near(1 / 3, result.rows[1].accuracy, 1e-12)
   end)

   it("names classes without a second recording where nothing is left", function()
      local _, message = evaluate.accuracy({{name = "x", x = array.zeros{3, 1}}}, {"a", "a", "b"}, {"1", "2", "3"})
      assert.matches("got 1 (with one recording: b)", message, 1, true)
      _, message = evaluate.accuracy({{name = "x", x = array.zeros{2, 1}}}, {"a", "a"}, {"1", "2"})
      assert.matches("two classes with two recordings each, got 1$", message)
   end)

   it("rejects features of other windows, and what is not finite", function()
      local function try(x) evaluate.accuracy({{name = "mine", x = x}}, {"a", "b"}, {"1", "2"}) end
      assert.error_matches(function() try(array.zeros{3, 1}) end, "features 'mine': an array of 2 rows")
      assert.error_matches(function() try(array.zeros{2, 1} / 0) end, "features 'mine': a value is not finite")
      assert.error_matches(function() evaluate.accuracy({}, {"a"}, {}) end, "1 labels and 0 recordings")
   end)
end)

describe("a regression that other recordings teach", function()
   -- Two windows of each of two recordings of each of three classes, which the first two axes tell.
   local x, labels, recordings = {}, {}, {}
   for i = 0, 11 do
      local class = i // 4
      x[i + 1], labels[i + 1], recordings[i + 1] = {class, class * class, i % 4}, "c" .. class, ("r%d"):format(i // 2)
   end
   local taught = {x = array.from(x, "f64"), labels = labels, recordings = recordings}

   it("names windows of the classes that it knows, and is asked for no others", function()
      local asked = {x = array.from({{0, 0, 9}, {1, 1, -3}, {2, 4, 0}, {0, 0, 1}, {7, 7, 7}}, "f64"),
         labels = {"c0", "c1", "c2", "c1", "c9"}}
      assert.near((1 + 0.5 + 1) / 3, evaluate.taught(taught, asked), 1e-12)
   end)

   it("needs two classes with two recordings, and something to ask", function()
      local one = {x = taught.x:slice(1, 1, 4), labels = {"a", "a", "a", "a"}, recordings = {"r", "r", "s", "s"}}
      local _, message = evaluate.taught(one, one)
      assert.matches("evaluation needs two classes with two recordings each, got 1", message, 1, true)
      assert.same({nil, "no window is of a class that is taught"}, {evaluate.taught(taught, one)})
   end)
end)

describe("a paired comparison", function()
   it("is that of the splits, one by one", function()
      local list = evaluate.compare{{name = "mine", splits = {0.5, 0.6, 0.7, 0.8}},
         {name = "theirs", splits = {0.4, 0.6, 0.9, 0.6}}}
      assert.equal(1, #list)
      local c = list[1]
      assert.equal("theirs", c.name)
      assert.near(0.025, c.difference, 1e-12)
      assert.near(math.sqrt((0.075 ^ 2 + 0.025 ^ 2 + 0.225 ^ 2 + 0.175 ^ 2) / 3), c.spread, 1e-12)
      assert.equal(0.5, c.won)
      assert.equal(0.25, c.lost)
   end)

   it("has no spread with one split, and nothing without rivals", function()
      assert.equal(0, evaluate.compare{{name = "a", splits = {1}}, {name = "b", splits = {0.5}}}[1].spread)
      assert.same({}, evaluate.compare{{name = "a", splits = {1}}})
   end)
end)

-- Six windows on a line; what is nearest is worked out by hand.
local LINE = array.from({{0}, {0.2}, {1}, {3}, {3.2}, {1.2}}, "f64")
local LABELS = {"a", "a", "a", "b", "b", "b"}
local RECORDINGS = {"r1", "r1", "r2", "r3", "r4", "r4"}

describe("nearest neighbours", function()
   it("vote, and those of the own recording have no vote", function()
      -- wrong are the third (next to the sixth) and the sixth (next to the third)
      assert.near(2 / 3, evaluate.knn(LINE, LABELS, RECORDINGS, {k = 1}), 1e-12)
      -- were each window a recording, the first two would have each other
      assert.near(2 / 3, evaluate.knn(LINE, LABELS, {"1", "2", "3", "4", "5", "6"}, {k = 1}), 1e-12)
      assert.equal(0, evaluate.knn(array.from({{0}, {0.1}, {5}, {5.1}}, "f64"), {"a", "a", "b", "b"},
         {"1", "1", "2", "2"}, {k = 1}))
   end)

   it("of equally many of two classes the nearer one wins", function()
      local x, labels = array.from({{0}, {1}, {2}}, "f64"), {"a", "b", "a"}
      -- the first: b at 1, a at 2; the third: b at 1, a at 2; the second has only a
      assert.equal(0, evaluate.knn(x, labels, {"1", "2", "3"}, {k = 2}))
   end)

   it("of three, two that are farther outvote one", function()
      -- the first has b at 1, but a at 2 and 2.5; the second, the only b, sees nothing but a
      local x = array.from({{0}, {1}, {2}, {2.5}}, "f64")
      assert.near(0.5, evaluate.knn(x, {"a", "b", "a", "a"}, {"1", "2", "3", "4"}, {k = 3}), 1e-12)
   end)

   it("are all there are, where k is more", function()
      local all = evaluate.knn(LINE, LABELS, RECORDINGS, {k = 50})
      assert.equal(all, evaluate.knn(LINE, LABELS, RECORDINGS, {k = 5}))
   end)

   it("vote by chance below one in the classes, as the own recording has no vote", function()
      local classes, groups = distances.numbers(LABELS), distances.numbers(RECORDINGS)
      -- one vote drawn is right as often as a hit
      assert.near(0.3, distances.vote_chance(classes, groups, 1), 0.01)
      -- all there are: a sees one a and three b, or two and three; b likewise
      local all = distances.vote_chance(classes, groups, 50)
      assert.equal(all, distances.vote_chance(classes, groups, 5))
      assert.equal(0, all)
      local alone = distances.vote_chance(classes, array.zeros(6, "i64"), 3)
      assert.is_true(alone ~= alone)
   end)

   it("by cosine look at directions", function()
      local x = array.from({{1, 0}, {100, 1}, {0, 1}, {1, 100}}, "f64")
      local labels, recordings = {"a", "a", "b", "b"}, {"1", "2", "3", "4"}
      assert.equal(1, evaluate.knn(x, labels, recordings, {k = 1, metric = "cosine"}))
      assert.equal(0.5, evaluate.knn(x, labels, recordings, {k = 1}))
   end)

   it("of one recording only: not a number", function()
      local v = evaluate.knn(LINE, LABELS, {"r", "r", "r", "r", "r", "r"})
      assert.is_true(v ~= v)
   end)
end)

describe("precision at k", function()
   it("is the share of hits among the nearest of other recordings", function()
      local precision, chance = evaluate.precision(LINE, LABELS, RECORDINGS, {k = 2})
      assert.near(0.5, precision, 1e-12) -- a: three halves; b: 1, 1/2 and 0
      assert.near(0.3, chance, 1e-12)    -- a: 1/4, 1/4, 2/5; b: 2/5, 1/4, 1/4
   end)

   it("with k above what there is is chance itself", function()
      local precision, chance = evaluate.precision(LINE, LABELS, RECORDINGS, {k = 10})
      assert.near(chance, precision, 1e-12)
   end)

   it("counts classes, not windows", function()
      local x = array.from({{0}, {0}, {0}, {0}, {9}, {0}}, "f64")
      local precision = evaluate.precision(x, {"a", "a", "a", "a", "b", "b"}, {"1", "2", "3", "4", "5", "6"}, {k = 1})
      assert.near(0.5, precision, 1e-12) -- all of a, none of b
   end)
end)

describe("silhouette", function()
   it("is the textbook's, and scikit-learn's", function()
      local mean, each = evaluate.silhouette(array.from({{0}, {1}, {5}, {6}}, "f64"), {"a", "a", "b", "b"})
      assert.near(4.5 / 5.5, each[1], 1e-12)
      assert.near(3.5 / 4.5, each[2], 1e-12)
      assert.near((4.5 / 5.5 + 3.5 / 4.5) / 2, mean, 1e-12)
   end)

   it("leaves the own recording out", function()
      local _, each = evaluate.silhouette(array.from({{0}, {1}, {3}, {5}, {6}}, "f64"), {"a", "a", "a", "b", "b"},
         {"1", "1", "2", "3", "4"})
      assert.near((5.5 - 3) / 5.5, each[1], 1e-12) -- a: 3 to the third only
      assert.near((2.5 - 2.5) / 2.5, each[3], 1e-12)
   end)

   it("is 0 for what is alone, and where all is equal; none for one class", function()
      local _, each = evaluate.silhouette(array.from({{0}, {1}, {5}}, "f64"), {"a", "a", "b"})
      assert.equal(0, each[3])
      assert.equal(0, (evaluate.silhouette(array.full({4, 2}, 0.1, "f64"), {"a", "a", "b", "b"})))
      local one = evaluate.silhouette(array.from({{0}, {1}}, "f64"), {"a", "a"})
      assert.is_true(one ~= one)
   end)
end)

describe("all measures", function()
   it("agree with each alone, on the windows of classes that have two recordings", function()
      local x = array.concat({LINE, array.from({{2.9}, {1.1}}, "f64")})
      local labels = {"a", "a", "a", "b", "b", "b", "c", "c"}
      local recordings = {"r1", "r1", "r2", "r3", "r4", "r4", "r5", "r5"}
      local result = assert(evaluate.measures({{name = "x", x = x}, {name = "y", x = x * 2}}, labels, recordings,
         {k = 2, splits = 2}))
      assert.same({"c"}, result.dropped)
      assert.equal(6, result.windows)
      local row = result.rows[1]
      assert.near(evaluate.knn(LINE, LABELS, RECORDINGS, {k = 2}), row.knn.euclidean, 1e-12)
      assert.near(0.5, row.precision.euclidean, 1e-12)
      assert.near(0.3, result.precision_chance, 1e-12)
      assert.near((evaluate.silhouette(LINE, LABELS, RECORDINGS)), row.silhouette, 1e-12)
      assert.equal(2, #row.splits)
      assert.equal(0, result.comparisons[1].difference) -- twice x is as good as x
   end)

   it("find for other labels what they find anew", function()
      local features, memo = {{name = "x", x = LINE}}, {}
      local other = {"a", "b", "a", "b", "a", "b"}
      local first = {"1", "2", "3", "4", "5", "6"}
      assert(evaluate.measures(features, LABELS, first, {memo = memo, splits = 1}))
      assert.same(evaluate.measures(features, other, first, {splits = 1}),
         evaluate.measures(features, other, first, {memo = memo, splits = 1}))
   end)

   it("bring columns to one scale where that is asked for", function()
      -- the second column tells, the first is noise a thousand times as loud
      local x, labels, recordings = {}, {}, {}
      for i = 1, 12 do x[i], labels[i], recordings[i] = {1000 * math.sin(7 * i), i % 2}, "l" .. i % 2, "r" .. i end
      x = array.from(x, "f64")
      local result = evaluate.measures({{name = "raw", x = x}, {name = "scaled", x = x, standardise = true}}, labels,
         recordings, {k = 1, splits = 1})
      assert.is_true(result.rows[1].knn.euclidean < 0.8)
      assert.equal(1, result.rows[2].knn.euclidean)
      assert.same({0, 0}, evaluate.standardise(array.full({2, 1}, 0.1)):reshape{2}:table())
   end)
end)

describe("evaluation helpers", function()
   it("number names in their order", function()
      local numbers, names = distances.numbers{"b", "a", "b"}
      assert.same({2, 1, 2}, numbers:table())
      assert.same({"a", "b"}, names)
   end)

   it("give the shares of variance", function()
      local p = evaluate.pca(array.from({{0, 0, 0}, {4, 0, 0}, {2, 1, 0}, {2, -1, 0}}, "f64"))
      assert.near(0.8, p.shares[1], 1e-12)
      assert.near(0.2, p.shares[2], 1e-12)
      assert.same({0, 0}, evaluate.pca(array.full({3, 2}, 1)).shares)
      assert.equal(1, #evaluate.pca(array.zeros{1, 4}).shares)
   end)
end)

describe("pictures of an evaluation", function()
   local dir
   setup(function() dir = command.folder() end)
   teardown(function() command.remove(dir) end)

   local function many(classes)
      local x, labels = {}, {}
      for i = 1, 3 * classes do
         x[i], labels[i] = {math.sin(i), math.cos(2 * i), i % 5}, ("species %02d"):format((i - 1) % classes + 1)
      end
      return array.from(x), labels
   end

   it("colour the components, name all classes, and are the same twice", function()
      local x, labels = many(20)
      assert(pictures.pca(x, labels, dir .. "/a.svg"))
      assert(pictures.pca(x, labels, dir .. "/b.svg"))
      local text = command.read(dir .. "/a.svg")
      assert.equal(text, command.read(dir .. "/b.svg"))
      for k = 1, 20 do assert.matches(("species %02d"):format(k), text, 1, true) end
      assert.matches("component 2 (", text, 1, true)
   end)

   it("name the most frequent of very many", function()
      local x, labels = many(40)
      for i = 1, 30 do labels[i] = "species 40" end
      assert(pictures.pca(x, labels, dir .. "/c.svg"))
      local text = command.read(dir .. "/c.svg")
      assert.matches("species 40", text, 1, true)
      assert.matches("8 others", text, 1, true)
   end)

   it("draw one window, and features of one column", function()
      assert(pictures.pca(array.zeros{1, 3}, {"a"}, dir .. "/d.svg"))
      assert(pictures.pca(array.from{{1}, {2}}, {"a", "b"}, dir .. "/d.svg"))
   end)

   it("name the classes of a confusion table on both sides", function()
      assert(pictures.confusion({{3, 1}, {0, 0}}, {"crow", "jay"}, dir .. "/e.svg"))
      local _, crows = command.read(dir .. "/e.svg"):gsub("crow", "")
      assert.equal(2, crows)
   end)

   it("leave out what stands in brackets, unless names need it", function()
      local function text_of(names)
         assert(pictures.confusion({{1, 0}, {0, 1}}, names, dir .. "/f.svg"))
         return command.read(dir .. "/f.svg")
      end
      local text = text_of{"Corvidae (Crows, Jays)", "Paridae (Tits)"}
      assert.matches("Corvidae<", text, 1, true)
      assert.is_nil(text:find("Crows", 1, true))
      text = text_of{"Owls (barn)", "Owls (other)"}
      assert.matches("Owls (barn)", text, 1, true)
   end)
end)
