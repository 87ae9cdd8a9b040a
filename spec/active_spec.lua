local active = require "bclua.classifier.active"
local array = require "bclua.array"
local learn = require "bclua.learn"
local sampling = require "bclua.sampling"
local soundscapes = require "bclua.workflow.experiments.soundscapes"

local NAN = 0 / 0

-- Windows in two heaps, the first rows of the class.
local function heaps(n, own)
   local g = sampling.generator(1)
   local x = g:normal(n * 8):copy("f32"):reshape{n, 8}
   for i = 1, own do x:set(i, 3, x:at(i, 3) + 6) end
   return x
end

describe("active.prefer", function()
   local groups, yes, no = {}, {1, 30, 60, 90}, {100, 200, 300}
   for i = 1, 400 do groups[i] = "r" .. i // 20 end
   local noise = sampling.generator(2):normal(400 * 8):copy("f32"):reshape{400, 8}
   local function features(...)
      local list = {}
      for i, x in ipairs{...} do list[i] = {name = "f" .. i, x = x} end
      return list
   end

   it("is what tells the class in recordings that did not train", function()
      local x = heaps(400, 100)
      assert.equal(2, active.prefer(features(noise, x), {yes = yes, no = no, unsure = {2}}, groups))
      assert.equal(1, active.prefer(features(x, noise), {yes = yes, no = no}, groups))
   end)

   it("is the first where there is no saying: one recording, or nothing else to take", function()
      local x = heaps(400, 100)
      assert.equal(1, active.prefer(features(noise, x), {yes = {1, 2, 3}}, groups))
      assert.equal(1, active.prefer(features(noise), {yes = yes}, groups))
      for i = 1, 400 do x:set(i, 1, NAN) end
      assert.equal(1, active.prefer(features(noise, x), {yes = yes, no = no}, groups))
   end)
end)

describe("active.scores", function()
   it("are higher for what is like the examples, without any that is not", function()
      local loop = active.new(heaps(400, 20))
      local scores = loop:scores{yes = {1, 2, 3}, no = {}}
      assert.is_true(scores:slice(1, 1, 20):min() > scores:slice(1, 21, 400):max())
   end)

   it("are those of the regression that its weights describe", function()
      local x = heaps(60, 20)
      local loop = active.new(x, {background = 0, c = 0.7})
      local mean, scale = x:copy("f64"):mean(1), 1 / x:copy("f64"):std(1)
      local z = (x:copy("f64") - mean) * scale
      local target, weight = array.zeros({1, 60}, "f64"), array.zeros({1, 60}, "f64")
      for i = 1, 2 do target:set(1, i, 1); weight:set(1, i, 5 / 2 / 2) end
      for i = 41, 43 do weight:set(1, i, 5 / 2 / 3) end
      local w = learn.binary_fit(z, target, weight, {c = 0.7, tolerance = 1e-8})
      local expected = learn.binary_scores(w, z):reshape{60}
      assert.is_true(array.allclose(expected, loop:scores{yes = {1, 2}, no = {41, 42, 43}}, 0, 0.01))
   end)

   it("learn from what is not of the class, and leave out what nobody knows", function()
      local x = heaps(400, 40)
      for i = 1, 20 do x:set(i, 5, x:at(i, 5) + 6) end -- half of the heap is something else
      local loop = active.new(x, {background = 100})
      local before = loop:scores{yes = {21, 22, 23}, no = {}}
      local after = loop:scores{yes = {21, 22, 23}, no = {1, 2, 3}, unsure = {4}}
      local function gap(s) return s:slice(1, 24, 40):mean() - s:slice(1, 5, 20):mean() end
      assert.is_true(gap(after) > gap(before))
      assert.is_true(after:slice(1, 24, 40):mean() > 0 and after:slice(1, 5, 20):mean() < 0)
   end)

   it("are NaN where an embedding is not finite, the same for any number of them at once", function()
      local x = heaps(400, 20)
      x:set(7, 2, NAN)
      local scores = active.new(x):scores{yes = {1, 2}, no = {300}}
      assert.is_true(scores[7] ~= scores[7])
      scores[7] = 0
      assert.is_true(scores:is_finite())
   end)
end)

describe("active.queue", function()
   local scores = array.from({-3, 2, 0.1, NAN, 5, -0.2, 0.7, -6}, "f64")

   it("asks about what is uncertain, likely, unlikely", function()
      assert.same({3, 6, 7, 2, 1, 5, 8}, active.queue(scores, {most = 8}))
      assert.same({5, 2}, active.queue(scores, {by = "likely", most = 2}))
      assert.same({8}, active.queue(scores, {by = "unlikely"}))
      assert.same({7, 3}, active.queue(scores, {by = "likely", most = 2, skip = function(i) return scores[i] > 1 end}))
   end)

   it("asks within a band of probability, and finds nothing where nothing is", function()
      assert.same({6, 3}, active.queue(scores, {by = "band", low = 0.3, high = 0.6, most = 9}))
      assert.same({5, 2}, active.queue(scores, {by = "band", low = 0.8, high = 1, most = 9}))
      assert.same({8, 1}, active.queue(scores, {by = "band", low = 0, high = 0.1, most = 9}))
      assert.same({}, active.queue(scores, {by = "band", low = 0.9, high = 0.95, most = 9}))
      assert.has_error(function() active.queue(scores, {by = "band", low = 0.5, high = 0.2}) end)
   end)

   it("looks past as many as are to be skipped", function()
      local many = array.arange(5000):copy("f64")
      assert.same({1000}, active.queue(many, {skip = function(i) return i < 1000 end}))
   end)
end)

describe("the loop", function()
   it("finds each species of soundscapes from three examples and fifty answers at most", function()
      local x, species, of = soundscapes.make{families = 4, species = 1, recordings = 12, short = 0, least_s = 20,
         most_s = 20, others = 2, sample_rate = 16000}
      assert.equal(4 * 12 * 7, #of)
      for s, one in ipairs(species) do
         local steps = active.replay(x, one.truth, {seed = s, skip = soundscapes.neighbours(of)})
         local last = steps[#steps]
         assert.is_true(last.asked <= 50 and last.yes + last.no + last.unsure == last.asked + 3)
         assert.is_true(last.precision >= 0.9, ("%s: %.3f, before %.3f"):format(one.name, last.precision,
            steps[1].precision))
      end
   end)

   it("needs more windows of the class than examples", function()
      assert.error_matches(function() active.replay(heaps(4, 1), {"yes", "no", "no", "unsure"}) end,
         "1 windows of the class: more than 3 needed", 1, true)
   end)
end)
