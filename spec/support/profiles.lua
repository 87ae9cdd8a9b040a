-- profiles.lua: what the specs of matrix profiles have in common.
local array = require "bclua.array"
local assert = require "luassert"
local stomp = require "bclua.stomp"

local profiles = {}

-- The definition of one distance.
function profiles.distance(a, i, b, j, w)
   local sum = 0
   for d = 1, a:shape(1) do
      for k = 1, w do sum = sum + (a:at(d, i + k) - b:at(d, j + k)) ^ 2 end
   end
   return sum
end

function profiles.assert_near(expected, got, relative)
   assert.equal(#expected, #got)
   for i = 1, #expected do
      local e, g = expected[i], got[i]
      if not (e == g or math.abs(e - g) <= relative * math.abs(e)) then
         error(("element %d: expected %.17g, got %.17g"):format(i, e, g), 2)
      end
   end
end

function profiles.assert_same_profile(expected, got)
   assert.is_true(array.equal(expected.distance, got.distance))
   assert.is_true(array.equal(expected.index, got.index))
end

-- Every way through the cells that this machine has.
function profiles.ways()
   local list = {}
   for _, instructions in ipairs(stomp.instructions()) do
      for _, method in ipairs{"filter", "sweep"} do
         list[#list + 1] = {instructions = instructions, method = method}
      end
   end
   return list
end

-- A smoothed random walk a row: neighbours are alike, as in music.
function profiles.walk(dims, frames, seed)
   math.randomseed(seed)
   local x = array.zeros({dims, frames}, "f64")
   for d = 1, dims do
      local v = 0
      for t = 1, frames do
         v = 0.9 * v + math.random() - 0.5
         x:set(d, t, v)
      end
   end
   return x
end

return profiles
