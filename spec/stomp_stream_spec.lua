local array = require "bclua.array"
local command = require "support.command"
local profiles = require "support.profiles"
local sampling = require "bclua.sampling"
local stomp = require "bclua.stomp"

-- All of x by pieces of these lengths, again and again.
local function feed(s, x, lengths)
   local at, k, distance, index, expected = 0, 0, {}, {}, 0
   while at < x:shape(2) do
      k = k % #lengths + 1
      local to = math.min(at + lengths[k], x:shape(2))
      local d, i, first = s:append(x:slice(2, at + 1, to))
      assert.equal(expected, first)
      assert.equal(#d, #i)
      expected, at = first + #d, to
      table.move(d:table(), 1, #d, #distance + 1, distance)
      table.move(i:table(), 1, #i, #index + 1, index)
   end
   return distance, index
end

-- By the definition, with the last `keep` frames at each window's end.
local function plain(x, window, zone, keep)
   local distance, index = {}, {}
   for i = 0, x:shape(2) - window do
      local best, at = math.huge, -1
      for j = math.max(0, keep and i + window - keep or 0), i - zone - 1 do
         local d = profiles.distance(x, i, x, j, window)
         if d < best then best, at = d, j end
      end
      distance[i + 1], index[i + 1] = best, at
   end
   return distance, index
end

describe("stomp.incremental", function()
   it("is the left profile of the whole, to the bit, whatever the pieces", function()
      for _, case in ipairs{{1, 200, 7}, {3, 150, 1}, {12, 300, 50}, {2, 90, 44}} do
         local x = profiles.walk(case[1], case[2], 1)
         local p = stomp.self_join(x, case[3], {left_right = true})
         for _, lengths in ipairs{{1}, {1, 40, 7}, {1000}} do
            local s <close> = stomp.incremental(case[1], case[3])
            local distance, index = feed(s, x, lengths)
            assert.same(p.left_distance:table(), distance)
            assert.same(p.left_index:table(), index)
            assert.equal(case[2], s:frames())
         end
      end
   end)

   it("forgets what it is not to keep", function()
      local x = profiles.walk(2, 160, 3)
      for _, lengths in ipairs{{1}, {13, 50}, {160}} do
         local s = stomp.incremental(2, 6, {keep = 30, exclusion = 2})
         local distance, index = feed(s, x, lengths)
         local want, at = plain(x, 6, 2, 30)
         assert.same(at, index)
         for i, d in ipairs(want) do
            if d < math.huge then assert.near(d, distance[i], 1e-9) else assert.equal(d, distance[i]) end
         end
      end
   end)

   it("is exact where nothing before is near enough", function()
      local x = sampling.generator(2):normal(2 * 200):reshape{2, 200}
      local exact, index = feed(stomp.incremental(2, 8), x, {50})
      local limit, news = 12, 0
      local quick, at = feed(stomp.incremental(2, 8, {enough = limit}), x, {50})
      for i, d in ipairs(exact) do
         if d >= limit then
            news = news + 1
            assert.same({d, index[i]}, {quick[i], at[i]})
         else
            assert.is_true(quick[i] < limit and quick[i] >= d and at[i] >= index[i] or at[i] >= 0)
         end
      end
      assert.is_true(news > 5 and news < #exact - 5)
   end)

   it("leaves out what is not finite", function()
      local x = profiles.walk(2, 120, 5)
      x:set(1, 60, 0 / 0)
      x:set(2, 20, math.huge)
      local p = stomp.self_join(x, 9, {left_right = true})
      local distance, index = feed(stomp.incremental(2, 9), x, {11})
      assert.same(p.left_distance:table(), distance)
      assert.same(p.left_index:table(), index)
   end)

   it("names what it rejects, and is closed", function()
      local s = stomp.incremental(2, 5)
      assert.error_matches(function() s:append(array.zeros{3, 4}) end, "expected 2 dimensions, got 3")
      assert.error_matches(function() stomp.incremental(0, 5) end, "0 dimensions, outside 1..")
      assert.error_matches(function() stomp.incremental(1, 0) end, "window 0 outside 1..")
      assert.error_matches(function() stomp.incremental(1, 5, {keep = 9}) end, "at least two windows, 10, got 9")
      assert.error_matches(function() stomp.incremental(1, 5, {enough = -1}) end, "'enough' must be at least 0")
      s:close()
      s:close()
      assert.error_matches(function() s:append(array.zeros{2, 4}) end, "the stream is closed")
   end)

   it("stops at Ctrl-C", function()
      local out, status = command.shell(("timeout -s INT 1 %s -e %s"):format(command.quote(command.program),
         command.quote([[local s = require("bclua.stomp").incremental(1, 500)
            s:append(require("bclua.sampling").generator(1):normal(80000))]])))
      assert.is_true(status ~= 0, out)
      assert.matches("interrupted", out)
   end)
end)
