local array = require "bclua.array"
local stomp = require "bclua.stomp"

local nan = 0 / 0

local walk = require("support.profiles").walk

local function assert_same_profile(expected, got)
   assert.is_true(array.equal(expected.distance, got.distance))
   assert.is_true(array.equal(expected.index, got.index))
   assert.same({expected.window, expected.exclusion, expected.kind}, {got.window, got.exclusion, got.kind})
end

describe("stomp.pan", function()
   local function check(x, windows, options)
      local pan = stomp.pan(x, windows, options)
      assert.equal(#windows, #pan)
      for k, w in ipairs(windows) do
         assert_same_profile(stomp.self_join(x, w, {exclusion = options and options.exclusion}), pan[k])
      end
   end

   it("gives the profile of each window, bit for bit", function()
      check(walk(3, 500, 1), {20, 7, 64, 33, 150, 20})
      check(walk(12, 300, 2), {50})
      check(walk(1, 120, 3), {1, 2, 119, 120})
      check(walk(2, 400, 4), {10, 25, 90}, {exclusion = 0})
      check(walk(2, 400, 4), {10, 25, 90}, {exclusion = 77})
      check(walk(2, 100, 5), {10, 99}, {exclusion = 1000})
   end)

   it("does so with every way through the cells", function()
      local x = walk(4, 900, 6)
      for d = 1, 4 do
         for t = 1, 70 do x:set(d, 600 + t, x:at(d, 40 + t)) end
         for t = 300, 360 do x:set(d, t, 0) end
      end
      for _, instructions in ipairs(stomp.instructions()) do
         for _, method in ipairs{"auto", "filter", "sweep"} do
            check(x, {16, 30, 31, 70}, {instructions = instructions, method = method})
         end
      end
   end)

   it("does so over several bands of rows", function()
      check(walk(200, 800, 7), {6, 12})
   end)

   it("does so with silence, NaN and huge values", function()
      local x = walk(2, 1500, 8)
      for d = 1, 2 do for t = 200, 1100 do x:set(d, t, 0) end end -- the filter gives up
      check(x, {20, 60, 300})
      x:set(1, 1300, 1e160)
      check(x, {20, 60})
      x:set(1, 1300, nan)
      check(x, {20, 60})
      x = walk(3, 1500, 9)
      x:slice(2, 700, 800):fill(nan)
      check(x, {5, 40, 300})
      check(array.zeros({3, 90}, "f32"), {5, 10})
   end)

   it("proposes the length of a planted motif", function()
      for _, length in ipairs{30, 60, 90} do
         local x = walk(3, 2000, 9 + length)
         math.randomseed(5)
         for d = 1, 3 do -- not quite the same
            for t = 1, length do x:set(d, 1400 + t, x:at(d, 300 + t) + 0.02 * (math.random() - 0.5)) end
         end
         local pan = stomp.pan(x, {first = 10, last = 150, step = 10})
         assert.equal(15, #pan)
         assert.equal(length, pan.best.window)
         assert.same({300, 1400}, {stomp.motifs(pan.best)[1].at, stomp.motifs(pan.best)[1].twin})
         local again = stomp.z_pan(x[1], {first = 10, last = 150, step = 10})
         assert.near(length, again.best.window, 10)
      end
   end)

   it("scores by the contrast of the nearest pair and the median", function()
      local p = stomp.pan(walk(2, 201, 10), {21})[1]
      local d = p.distance:table()
      table.sort(d)
      assert.near(1 - math.sqrt(d[1] / d[#d // 2 + 1]), p.score, 1e-15)
      assert.equal(0, stomp.pan(array.zeros({2, 50}, "f32"), {5}).best.score)
      local none = stomp.pan(array.full({2, 50}, nan, "f32"), {5, 9, 7})
      assert.equal(0, none[1].score)
      assert.equal(9, none.best.window) -- the longest of equals
   end)

   it("z-normalises in z_pan", function()
      local x = walk(1, 300, 11)
      for k, p in ipairs(stomp.z_pan(x, {first = 10, last = 30, step = 10})) do
         assert_same_profile(stomp.z_self_join(x, 10 * k), p)
      end
   end)

   it("tells its progress and stops with an error in it", function()
      local calls = {}
      stomp.pan(walk(2, 400, 12), {20, 30}, {progress = function(done, total) calls[#calls + 1] = {done, total} end})
      assert.equal(0, calls[1][1])
      assert.same({1, 1}, calls[#calls])
      assert.error_matches(function()
         stomp.pan(walk(2, 400, 12), {20, 30}, {progress = function() error("enough") end})
      end, "enough")
   end)

   it("names what it rejects", function()
      local x = walk(2, 40, 13)
      local function rejects(text, ...)
         local arguments = table.pack(...)
         assert.error_matches(function() stomp.pan(table.unpack(arguments, 1, arguments.n)) end, text, 1, true)
      end
      rejects("bad argument #2 to 'pan' (window 41 outside 1..40)", x, {3, 41})
      rejects("window 0 outside 1..40", x, {0})
      rejects("window 2 is no integer but a number", x, {3, 4.5})
      rejects("expected 1 to 4096 windows, got 0", x, {})
      rejects("expected 1 <= first <= last and step >= 1, got 5, 4 and 1", x, {first = 5, last = 4})
      rejects("expected 1 <= first <= last and step >= 1, got 5, 9 and 0", x, {first = 5, last = 9, step = 0})
      rejects("unknown option 'end'", x, {first = 5, ["end"] = 9})
      rejects("bad argument #2 to 'pan'", x, 5)
      rejects("option 'method' must be one of auto, filter, sweep", x, {5}, {method = "brute"})
      rejects("option 'exclusion' must be at least 0, got -1", x, {5}, {exclusion = -1})
   end)
end)
