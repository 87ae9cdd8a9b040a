local array = require "bclua.array"
local stomp = require "bclua.stomp"

-- Steps along a diagonal; the sanitizers are slow.
local steps = os.getenv("BCLUA_SANITIZED") and 100000 or 1000000
local window, zone = 60, 30

-- Loud at first, then quiet: what is added and taken away while it is loud must
-- leave nothing behind. A stretch of 250 frames is repeated 70 frames later.
local function series()
   local row, v = {}, 0
   math.randomseed(1)
   for t = 1, steps + window do
      v = 0.9 * v + math.random() - 0.5
      row[t] = (t < steps // 2 and 1 or 1e-2) * v
   end
   for _, start in ipairs{steps // 4, steps - 1000} do
      for t = start, start + 250 do row[t + 70] = row[t] end
   end
   return array.from({row}, "f64")
end

local function near(expected, got)
   return expected == got or math.abs(expected - got) <= 1e-9 * math.abs(expected)
end

describe("stomp after a million steps", function()
   local x, made
   setup(function() x, made = series(), {} end)
   teardown(function() x, made = nil, nil end)

   -- The first tile has the smallest lags, and so the longest diagonals.
   local function profile(z, method)
      local options = {left_right = true, exclusion = zone, tile = {1, steps // 100}, method = method}
      local key = method .. tostring(z)
      made[key] = made[key] or (z and stomp.z_self_join(x[1], window, options)) or stomp.self_join(x, window, options)
      return made[key]
   end

   for _, case in ipairs{{false, "filter"}, {false, "sweep"}, {true, "filter"}, {true, "sweep"}} do
      local z, method = case[1], case[2]
      it(("has no drift: %s, %s"):format(z and "z-normalised" or "SiMPle", method), function()
         local p = profile(z, method)
         for i = 0, steps - 200, steps // 200 do
            local lag = p.right_index[i + 1] - i
            assert.is_true(lag > zone and lag < 300)
            -- the definition, for the lags that were looked at for certain
            local one, others = x:slice(2, i + 1, i + window), x:slice(2, i + zone + 2, i + zone + 50 + window)
            local brute
            if z then brute = stomp.z_join(one[1], others[1], window, {method = "brute"})
            else brute = stomp.join(one, others, window, {method = "brute"}) end
            if lag <= zone + 50 then
               assert.equal(brute.index[1], lag - zone - 1)
               assert.is_true(near(brute.distance[1], p.right_distance[i + 1]))
            else
               assert.is_true(p.right_distance[i + 1] < brute.distance[1])
            end
         end
      end)

      it(("gives identical windows exactly 0: %s, %s"):format(z and "z-normalised" or "SiMPle", method), function()
         local p = profile(z, method)
         for _, start in ipairs{steps // 4, steps - 1000} do
            for i = start - 1, start + 150, 10 do
               assert.equal(0, p.right_distance[i + 1])
               assert.equal(i + 70, p.right_index[i + 1])
            end
         end
      end)
   end

   it("has no negative distance", function()
      for _, z in ipairs{false, true} do
         assert.is_true(profile(z, "filter").distance:min() >= 0)
      end
   end)
end)
