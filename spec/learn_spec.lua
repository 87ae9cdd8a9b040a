local array = require "bclua.array"
local learn = require "bclua.learn"
local sampling = require "bclua.sampling"

describe("learn", function()
   -- three clouds on a line; a little noise from a fixed sequence
   local function clouds()
      local x, labels = {}, {}
      local seed = 1
      local function noise()
         seed = (seed * 1103515245 + 12345) % 2147483648
         return seed / 2147483648 - 0.5
      end
      for i = 1, 90 do
         local class = (i - 1) % 3 + 1
         x[i], labels[i] = {class * 2 + noise(), noise()}, class
      end
      return array.from(x, "f64"), array.from(labels, "i64")
   end

   it("separates what can be separated", function()
      local x, labels = clouds()
      local w = learn.logistic_fit(x, labels)
      assert.same({3, 3}, w:shape())
      assert.is_true(array.equal(labels, learn.logistic_predict(w, x)))
   end)

   it("reaches the minimum: the gradient by differences is zero", function()
      local x, labels = clouds()
      local c = 0.7
      local w = learn.logistic_fit(x, labels, {c = c, tolerance = 1e-10, iterations = 1000})
      local function objective(v)
         local sum = 0
         for i = 1, 90 do
            local z, total = {}, 0
            for k = 1, 3 do
               z[k] = v:at(k, 1) * x:at(i, 1) + v:at(k, 2) * x:at(i, 2) + v:at(k, 3)
               total = total + math.exp(z[k])
            end
            sum = sum + math.log(total) - z[labels[i]]
         end
         local squares = 0
         for k = 1, 3 do squares = squares + v:at(k, 1) ^ 2 + v:at(k, 2) ^ 2 end
         return c * sum + squares / 2
      end
      for k = 1, 3 do
         for j = 1, 3 do
            local up, down = w:copy(), w:copy()
            up:set(k, j, w:at(k, j) + 1e-4)
            down:set(k, j, w:at(k, j) - 1e-4)
            assert.near(0, (objective(up) - objective(down)) / 2e-4, 1e-5)
         end
      end
   end)

   it("gives zero weights for one class, and for constant columns", function()
      local w = learn.logistic_fit(array.full({4, 2}, 3), array.full(4, 1, "i64"))
      assert.same({{0, 0, 0}}, w:table())
      w = learn.logistic_fit(array.zeros({4, 1}), array.from({1, 2, 1, 2}, "i64"))
      assert.near(0, w:abs():max(), 1e-9)
   end)

   it("names what it rejects", function()
      local x = array.zeros({2, 2})
      assert.error_matches(function() learn.logistic_fit(x, array.from({1}, "i64")) end, "1 labels for 2 rows")
      assert.error_matches(function() learn.logistic_fit(x, array.from({0, 1}, "i64")) end, "label 0 outside")
      assert.error_matches(function() learn.logistic_fit(x / 0, array.from({1, 1}, "i64")) end, "not finite")
      assert.error_matches(function() learn.logistic_fit(array.zeros({0, 2}), array.zeros(0, "i64")) end, "no rows")
      assert.error_matches(function() learn.logistic_predict(array.zeros({2, 4}), x) end, "2 columns, the model has 3")
   end)

   it("fits values of any size, or says that it cannot", function()
      local g, truth = sampling.generator(5), array.zeros(60, "i64")
      local x = g:normal(120):copy("f64"):reshape{60, 2}
      for i = 1, 60 do
         truth[i] = i % 3 + 1
         x:set(i, 1, x:at(i, 1) + 8 * truth[i])
      end
      for _, factor in ipairs{1, 1e4, 1e6, 1e12, 1e30, 1e200, 1e300} do
         local w = learn.logistic_fit(x * factor, truth)
         assert(array.equal(truth, learn.logistic_predict(w, x * factor)), factor)
      end
      assert.error_matches(function() learn.logistic_fit(x, truth, {c = 1e300}) end, "the objective overflows")
   end)

   it("does not depend on where blocks of rows end", function()
      -- 300 rows are two blocks; each row twice is the same problem with half the weight
      local g = require("bclua.sampling").generator(1)
      local x, labels = g:normal(600):reshape{300, 2}, array.zeros(300, "i64")
      for i = 1, 300 do labels[i] = x:at(i, 1) + x:at(i, 2) ^ 2 > 0.8 and 2 or 1 end
      local twice = array.concat({labels, labels})
      local options = {tolerance = 1e-10, iterations = 1000}
      local once = learn.logistic_fit(x, labels, options)
      local guess, right = learn.logistic_predict(once, x), 0
      for i = 1, 300 do right = right + (guess[i] == labels[i] and 1 or 0) end
      assert.is_true(right > 200, right .. " of 300")
      options.c = 0.5
      assert.is_true(array.allclose(once, learn.logistic_fit(array.concat({x, x}), twice, options), 1e-5, 1e-6))
   end)
end)

describe("nearest rows", function()
   -- the plain yardstick: all distances, sorted
   local function yardstick(x, groups, k, metric)
      local n, index, distance = #x, {}, {}
      local function between(a, b)
         if metric == "euclidean" then
            local d = x[a] - x[b]
            return math.sqrt((d * d):sum())
         end
         local length = math.sqrt((x[a] * x[a]):sum() * (x[b] * x[b]):sum())
         return length > 0 and 1 - (x[a] * x[b]):sum() / length or 1
      end
      for i = 1, n do
         local list = {}
         for j = 1, n do
            if groups[j] ~= groups[i] then list[#list + 1] = {j, between(i, j)} end
         end
         table.sort(list, function(a, b) return a[2] < b[2] end)
         index[i], distance[i] = {}, {}
         for r = 1, k do
            index[i][r], distance[i][r] = list[r] and list[r][1] or 0, list[r] and list[r][2] or math.huge
         end
      end
      return index, distance
   end

   local function cloud(n, d, per_group)
      local x, groups = require("bclua.sampling").generator(7):normal(n * d):reshape{n, d} + 5, array.zeros(n, "i64")
      for i = 1, n do groups[i] = (i - 1) // per_group end
      return x, groups
   end

   for _, metric in ipairs{"euclidean", "cosine"} do
      it("are those of the plain yardstick: " .. metric, function()
         local x, groups = cloud(150, 7, 4) -- two blocks of rows
         local index, distance = learn.nearest(x, groups, {k = 6, metric = metric})
         local want_index, want_distance = yardstick(x, groups, 6, metric)
         assert.same(want_index, index:table())
         assert.is_true(array.allclose(distance, array.from(want_distance, "f64"), 1e-9, 1e-12))
      end)
   end

   it("sum up to the distances to each class", function()
      local x, groups = cloud(150, 7, 4)
      local labels = array.zeros(150, "i64")
      for i = 1, 150 do labels[i] = 1 + i % 3 end
      local sums = learn.class_distances(x, groups, labels)
      for _, i in ipairs{1, 77, 150} do
         local want = {0, 0, 0}
         for j = 1, 150 do
            local d = x[i] - x[j]
            if groups[i] ~= groups[j] then want[labels[j]] = want[labels[j]] + math.sqrt((d * d):sum()) end
         end
         assert.is_true(array.allclose(sums[i], array.from(want, "f64"), 1e-9))
      end
   end)

   it("cross tiles: more rows than one holds", function()
      local x, groups = cloud(1100, 2, 1)
      local index = learn.nearest(x, groups, {k = 1})
      for _, i in ipairs{1, 128, 129, 513, 1100} do
         local d = (x - x[i])
         local squares = (d * d):sum(2)
         squares[i] = math.huge
         assert.equal(squares:argmin(), index:at(i, 1))
      end
   end)

   it("are of other groups, and none where these have too few", function()
      local x = array.from({{0}, {1}, {5}}, "f64")
      local index, distance = learn.nearest(x, array.from({1, 1, 2}, "i64"), {k = 2})
      assert.same({{3, 0}, {3, 0}, {2, 1}}, index:table())
      assert.same({{5, math.huge}, {4, math.huge}, {4, 5}}, distance:table())
   end)

   it("of equal distance come in order, exactly equal rows at 0", function()
      local x = array.full({5, 3}, 0.1, "f64")
      local index, distance = learn.nearest(x, array.arange(5, "i64"), {k = 4})
      assert.same({{2, 3, 4, 5}, {1, 3, 4, 5}, {1, 2, 4, 5}, {1, 2, 3, 5}, {1, 2, 3, 4}}, index:table())
      assert.equal(0, distance:max())
      assert.equal(0, learn.class_distances(x, array.arange(5, "i64"), array.full(5, 1, "i64")):max())
   end)

   it("of equal rows are 0 away in sums too, though products of blocks round", function()
      local row = require("bclua.sampling").generator(5):normal(61) * 1e3
      local x = array.zeros({3, 61}, "f64")
      for i = 1, 2 do x[i]:fill(row) end
      local sums = learn.class_distances(x, array.arange(3, "i64"), array.from({1, 1, 2}, "i64"))
      assert.equal(0, sums:at(1, 1))
      assert.is_true(sums:at(1, 2) > 0)
   end)

   it("find a small distance far from zero", function()
      local x = array.from({{1e6, 0}, {1e6 + 1e-3, 0}, {1e6, 1}}, "f64")
      local index, distance = learn.nearest(x, array.arange(3, "i64"))
      assert.same({{2}, {1}, {1}}, index:table())
      assert.near(1e-3, distance:at(1, 1), 1e-9)
   end)

   it("by cosine: of a row of zeros everything is 1 away, length does not count", function()
      local x = array.from({{0, 0}, {1e-200, 0}, {1e150, 0}, {0, 2}, {-1, 0}}, "f64")
      local index, distance = learn.nearest(x, array.arange(5, "i64"), {k = 4, metric = "cosine"})
      assert.same({1, 1, 1, 1}, distance[1]:table())
      assert.same({3, 1, 4, 5}, index[2]:table())
      assert.same({0, 1, 1, 2}, distance[2]:table())
   end)

   it("are as many as there are, however many were asked for", function()
      local x, groups = cloud(40, 3, 5)
      local index, distance = learn.nearest(x, groups, {k = 40})
      local more, further = learn.nearest(x, groups, {k = 10000})
      assert(array.equal(index, more:slice(2, 1, 40)) and array.equal(distance, further:slice(2, 1, 40)))
      assert.same({0, math.huge}, {more:slice(2, 41, 10000):max(), further:slice(2, 41, 10000):min()})
   end)

   it("do not depend on the number of threads", function()
      local system = require "bclua.system"
      local x, groups = cloud(700, 9, 3)
      local results = {}
      for i, n in ipairs{1, 3} do
         system.threads(n)
         local index, distance = learn.nearest(x, groups, {k = 5})
         results[i] = {index, distance, learn.class_distances(x, groups, array.full(700, 1, "i64"))}
      end
      system.threads(0)
      for i = 1, 3 do assert.is_true(array.equal(results[1][i], results[2][i])) end
   end)

   it("take nothing, and name what they reject", function()
      local index, distance = learn.nearest(array.zeros({0, 3}), array.zeros(0, "i64"), {k = 2})
      assert.same({0, 2}, index:shape())
      assert.same({0, 2}, distance:shape())
      local x, groups = array.zeros({2, 2}), array.zeros(2, "i64")
      assert.error_matches(function() learn.nearest(x, array.zeros(3, "i64")) end, "3 groups for 2 rows")
      assert.error_matches(function() learn.nearest(x / 0, groups) end, "not finite")
      local huge = array.full({2, 2}, -1e200, "f64")
      assert.error_matches(function() learn.nearest(huge, groups) end, "-1e+200, whose square overflows", 1, true)
      assert.near(0, select(2, learn.nearest(huge, array.from({1, 2}, "i64"), {metric = "cosine"})):at(1, 1), 1e-15)
      assert.error_matches(function() learn.nearest(x, groups, {k = 0}) end, "option 'k': 0 outside")
      assert.error_matches(function() learn.nearest(x, groups, {metric = "taxicab"}) end, "taxicab")
      assert.error_matches(function() learn.nearest(array.zeros({2, 0}), groups) end, "no columns")
      assert.error_matches(function() learn.class_distances(x, groups, array.zeros(2, "i64")) end, "label 0 outside")
   end)
end)

describe("principal components", function()
   it("are those worked out by hand", function()
      -- along (1, 1): -2, 0, 2 times sqrt(2)/2... along (1, -1): 1, -2, 1 times sqrt(2)/4
      local s = math.sqrt(0.5)
      local x = array.from({{-3 * s + s, -3 * s - s}, {-2 * s, 2 * s}, {3 * s + s, 3 * s - s}}, "f64") + 10
      local p = learn.pca(x)
      assert.is_true(array.allclose(p.components, array.from({{s, s}, {s, -s}}, "f64"), 1e-12))
      assert.is_true(array.allclose(p.scores, array.from({{-3, 1}, {0, -2}, {3, 1}}, "f64"), 0, 1e-12))
      assert.is_true(array.allclose(p.variance, array.from({9, 3}, "f64"), 1e-12))
      assert.near(12, p.total, 1e-12)
      assert.is_true(array.allclose(p.mean, array.full(2, 10, "f64"), 1e-12))
   end)

   it("are the same out of the products of rows, where these are fewer than columns", function()
      local x = require("bclua.sampling").generator(3):normal(60):reshape{12, 5}
      local wide = array.zeros({12, 40}, "f64") -- the same and zeros
      wide:slice(2, 1, 5):fill(x)
      local a, b = learn.pca(x, {components = 3}), learn.pca(wide, {components = 3})
      assert.is_true(array.allclose(a.scores, b.scores, 0, 1e-9))
      assert.is_true(array.allclose(a.components, b.components:slice(2, 1, 5), 0, 1e-9))
      assert.is_true(array.allclose(a.variance, b.variance, 1e-9))
   end)

   it("have their largest entry positive, whatever the order of rows", function()
      local x = require("bclua.sampling").generator(4):normal(200):reshape{50, 4}
      local p = learn.pca(x, {components = 4})
      for i = 1, 4 do assert.equal(p.components[i]:abs():max(), p.components[i]:max()) end
      local turned = learn.pca(-x, {components = 4})
      assert.is_true(array.allclose(p.components, turned.components, 0, 1e-9))
   end)

   it("are zeros where nothing varies", function()
      local p = learn.pca(array.full({4, 3}, 0.1, "f64"))
      assert.same({0, 0}, p.variance:table())
      assert.equal(0, p.total)
      assert.equal(0, p.scores:abs():max())
      p = learn.pca(array.from({{1, 2, 3}}, "f64"))
      assert.same({{0, 0, 0}}, p.components:table())
      p = learn.pca(array.from({{0, 1}, {0, 2}, {0, 3}}, "f64"))
      assert.same({1, 0}, p.variance:table())
      assert.same({{0, 1}, {0, 0}}, p.components:table())
   end)

   it("name what they reject", function()
      assert.error_matches(function() learn.pca(array.zeros({0, 2})) end, "no rows or no columns")
      assert.error_matches(function() learn.pca(array.zeros({3, 2}), {components = 3}) end, "3 outside 1..2")
      assert.error_matches(function() learn.pca(array.zeros({3, 2}) / 0) end, "not finite")
      assert.error_matches(function() learn.pca(array.full({3, 2}, 1e200, "f64")) end, "1e+200, whose square", 1, true)
   end)
end)
