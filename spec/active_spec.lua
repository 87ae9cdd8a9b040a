local active = require "bclua.classifier.active"
local array = require "bclua.array"
local dataset = require "bclua.data.dataset"
local learn = require "bclua.learn"
local log_mel = require "bclua.workflow.classify.log_mel"
local sampling = require "bclua.sampling"

local NAN, HOP_S, WINDOW_S = 0 / 0, 2.5, 5

-- Windows in two heaps, the first rows of the class.
local function heaps(n, own)
   local g = sampling.generator(1)
   local x = g:normal(n * 8):copy("f32"):reshape{n, 8}
   for i = 1, own do x:set(i, 3, x:at(i, 3) + 6) end
   return x
end

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
   -- Soundscapes of four species, two or three in each, as windows: their log-mel statistics, and truth by species.
   local function soundscapes()
      local p = {}
      for k, v in pairs(dataset.defaults) do p[k] = v end
      for k, v in pairs{families = 4, species = 1, recordings = 12, short = 0, least_s = 20, most_s = 20, others = 2,
         sample_rate = 16000} do p[k] = v end
      local species, recordings = dataset.plan(p)
      local per, rows, truth = math.floor((20 - WINDOW_S) / HOP_S) + 1, {}, {}
      for i, r in ipairs(recordings) do
         local y = dataset.render(r, p)
         local cut = array.zeros{per, WINDOW_S * p.sample_rate}
         for k = 1, per do
            local from = (k - 1) * HOP_S
            cut[k]:fill(y:slice(1, from * p.sample_rate // 1 + 1, (from + WINDOW_S) * p.sample_rate // 1))
            for s, one in ipairs(species) do
               truth[s] = truth[s] or {}
               local at, known = (i - 1) * per + k, "no"
               for _, e in ipairs(r.performances) do
                  local both = math.min(from + WINDOW_S, e.end_s) - math.max(from, e.start_s)
                  if (e.species or r.species) == one and both > 0 then
                     known = both >= math.min(e.end_s - e.start_s, WINDOW_S) / 2 and "yes" or
                        known == "no" and "unsure" or known
                  end
               end
               truth[s][at] = known
            end
         end
         rows[i] = log_mel.statistics(cut, p.sample_rate)
      end
      return array.concat(rows):reshape{#recordings * per, 256}, truth
   end

   -- Average precision of the windows that were not asked about.
   local function precision(scores, truth, asked)
      local s, t = {}, {}
      for i = 1, #scores do
         if not asked[i] and truth[i] ~= "unsure" then
            s[#s + 1], t[#t + 1] = scores[i], truth[i] == "yes" and 1 or 0
         end
      end
      return learn.ranking(array.from(s, "f64"), array.from(t, "i64")).average_precision
   end

   it("finds each species from three examples and fifty answers at most", function()
      local x, all = soundscapes()
      local loop = active.new(x)
      for s, truth in ipairs(all) do
         local answers, asked, g = {yes = {}, no = {}, unsure = {}}, {}, sampling.generator(s)
         local function answer(row)
            asked[row] = true
            table.insert(answers[truth[row]], row)
         end
         while #answers.yes < 3 do
            local row = g:integer(#truth)
            if truth[row] == "yes" and not asked[row] then answer(row) end
         end
         local before = precision(loop:scores(answers), truth, asked)
         for _ = 1, 10 do -- five, then learn
            local skip = {most = 5, skip = function(row) return asked[row] end}
            for _, row in ipairs(active.queue(loop:scores(answers), skip)) do answer(row) end
         end
         local after = precision(loop:scores(answers), truth, asked)
         assert.is_true(after >= 0.9, ("species %d: %.3f, before %.3f"):format(s, after, before))
      end
   end)
end)
