local array = require "bclua.array"
local few_shot = require "bclua.evaluate.few_shot"

describe("few-shot classification", function()
   -- Classes at right angles, with noise; recordings of `windows` each.
   local function data(noise, recordings, windows)
      local x, labels, names = {}, {}, {}
      math.randomseed(3)
      for class = 1, 3 do
         for r = 1, recordings do
            for _ = 1, windows do
               local row = {}
               for k = 1, 3 do row[k] = (k == class and 2 or 0) + noise * (math.random() - 0.5) end
               x[#x + 1], labels[#labels + 1], names[#names + 1] = row, "c" .. class, ("r%d-%d"):format(class, r)
            end
         end
      end
      return array.from(x, "f64"), labels, names
   end

   it("names what is apart, whatever its length, and is at chance where nothing is", function()
      local x, labels, names = data(0.5, 4, 3)
      local shuffled = array.zeros(x:shape(), "f64")
      for i = 1, #x do shuffled[i]:fill(math.random() < 0.5 and x[i] or x[i] * 9) end
      local r = assert(few_shot.accuracy({{name = "a", x = x}, {name = "b", x = shuffled},
         {name = "none", x = array.full(x:shape(), 1)}}, labels, names, {examples = 2}))
      assert.same({"a", "b", "none"}, {r.rows[1].name, r.rows[2].name, r.rows[3].name})
      assert.near(1, r.rows[1].accuracy, 1e-9)
      assert.near(1, r.rows[2].accuracy, 1e-9)
      assert.near(1 / 3, r.rows[3].accuracy, 1e-9) -- all are called the first
      assert.near(1 / 3, r.chance, 1e-12)
      assert.equal(3, r.classes)
   end)

   it("is better with more examples where there is much noise", function()
      local x, labels, names = data(6, 20, 3)
      local function accuracy(n)
         local r = assert(few_shot.accuracy({{name = "a", x = x}}, labels, names, {examples = n, draws = 50}))
         return r.rows[1].accuracy
      end
      local one, five, ten = accuracy(1), accuracy(5), accuracy(10)
      assert.is_true(one + 0.05 < five and five < ten, ("%g %g %g"):format(one, five, ten))
      assert.equal(five, accuracy(5))
   end)

   it("never names a window of a recording that taught", function()
      -- Each recording is a point of its own, in any class: only its own windows would be named.
      local x, labels, names = {}, {}, {}
      for class = 1, 2 do
         for r = 1, 2 do
            for _ = 1, 5 do
               local row = {0, 0, 0, 0}
               row[(class - 1) * 2 + r] = 1
               x[#x + 1], labels[#labels + 1], names[#names + 1] = row, "c" .. class, class .. "-" .. r
            end
         end
      end
      local r = assert(few_shot.accuracy({{name = "a", x = array.from(x, "f64")}}, labels, names, {examples = 3}))
      assert.near(0.5, r.rows[1].accuracy, 1e-9) -- cosines of zero with both: the first class
   end)

   it("needs two classes with enough examples in half of their recordings", function()
      local x, labels, names = data(1, 2, 3)
      assert.is_truthy(few_shot.accuracy({{name = "a", x = x}}, labels, names, {examples = 3}))
      local r, message = few_shot.accuracy({{name = "a", x = x}}, labels, names, {examples = 4})
      assert.is_nil(r)
      assert.equal("4 examples: 0 of 3 classes have so many windows in half of their recordings, two are needed",
         message)
      r = few_shot.accuracy({{name = "a", x = x}}, labels, labels, {examples = 1}) -- a recording each
      assert.is_nil(r)
   end)
end)
