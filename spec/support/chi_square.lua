-- chi_square.lua: does a sample have the distribution that it should have?
local chi_square = {}

--- What is refused: a true distribution fails once in 10 000 seeds, and seeds are fixed.
chi_square.least_p = 1e-4

--- The p-values of all tests so far, by what they were of.
chi_square.log = {}

-- log gamma (Lanczos, g = 7, n = 9)
local LANCZOS = {0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313,
   -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7}

local function log_gamma(x)
   x = x - 1
   local sum = LANCZOS[1]
   for i = 1, 8 do sum = sum + LANCZOS[i + 1] / (x + i) end
   local t = x + 7.5
   return 0.5 * math.log(2 * math.pi) + (x + 0.5) * math.log(t) - t + math.log(sum)
end

--- The share of chi-square variables of df degrees that are larger than x: the regularised
-- upper incomplete gamma function Q(df/2, x/2), by its series or continued fraction
-- (Press et al., Numerical Recipes, 6.2).
function chi_square.p(x, df)
   local a = df / 2
   x = x / 2
   if x <= 0 then return 1 end
   local front = math.exp(a * math.log(x) - x - log_gamma(a))
   if x < a + 1 then
      local sum, term, n = 1 / a, 1 / a, a
      repeat
         n = n + 1
         term = term * x / n
         sum = sum + term
      until term < sum * 1e-15
      return 1 - sum * front
   end
   local b, c, h = x + 1 - a, 1e300, 1 / (x + 1 - a)
   local d = h
   for i = 1, 10000 do
      local an = -i * (i - a)
      b = b + 2
      d = 1 / (an * d + b)
      c = b + an / c
      h = h * d * c
      if math.abs(d * c - 1) < 1e-15 then break end
   end
   return front * h
end

--- How often each value occurs; key(value, i) names it (nil: left out).
function chi_square.tally(values, key)
   local counts = {}
   for i = 1, #values do
      local k = values[i]
      if key then k = key(k, i) end
      if k ~= nil then counts[k] = (counts[k] or 0) + 1 end
   end
   return counts
end

--- Fail unless counts have these shares (weights: they need not sum to 1); returns the p-value.
function chi_square.check(counts, shares, what)
   local n, sum, x, df = 0, 0, 0, -1
   for key, count in pairs(counts) do
      assert(shares[key] and shares[key] > 0, "unexpected " .. tostring(key))
      n = n + count
   end
   for _, share in pairs(shares) do sum = sum + share end
   for key, share in pairs(shares) do
      if share > 0 then
         local expected = n * share / sum
         assert(expected >= 5, "too few samples for a test")
         x, df = x + ((counts[key] or 0) - expected) ^ 2 / expected, df + 1
      end
   end
   local p = chi_square.p(x, df)
   chi_square.log[#chi_square.log + 1] = {what = what, p = p, df = df, n = n}
   assert(p > chi_square.least_p, ("%s: chi-square %.1f of %d degrees, p = %.2g, %d samples"):format(what or "shares",
      x, df, p, n))
   return p
end

return chi_square
