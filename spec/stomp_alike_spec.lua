local array = require "bclua.array"
local command = require "support.command"
local learn = require "bclua.learn"
local sampling = require "bclua.sampling"
local stomp = require "bclua.stomp"
local system = require "bclua.system"

local function noise(dims, frames, seed) return sampling.generator(seed):normal(dims * frames):reshape{dims, frames} end

-- The definition: Pearson's correlation of windows of two series.
local function correlation(x, i, y, j, window)
   local a, b, dims = {}, {}, x:shape(1)
   for d = 1, dims do
      for k = 1, window do
         a[#a + 1], b[#b + 1] = x[d][i + k], y[d][j + k]
      end
   end
   local ma, mb, ab, aa, bb = 0, 0, 0, 0, 0
   for c = 1, #a do ma, mb = ma + a[c] / #a, mb + b[c] / #b end
   for c = 1, #a do
      ab, aa, bb = ab + (a[c] - ma) * (b[c] - mb), aa + (a[c] - ma) ^ 2, bb + (b[c] - mb) ^ 2
   end
   return ab / math.sqrt(aa * bb)
end

describe("stomp.unit_windows", function()
   it("has rows whose products are correlations", function()
      local x, y = noise(3, 12, 1):copy("f32"), noise(3, 9, 2):copy("f32") * 50 + 7
      local r = array.matmul(stomp.unit_windows(x, 5), stomp.unit_windows(y, 5):T():copy())
      assert.same({8, 5}, {r:shape(1), r:shape(2)})
      for i = 0, 7 do
         for j = 0, 4 do assert.near(correlation(x, i, y, j, 5), r[i + 1][j + 1], 1e-6) end
      end
   end)

   it("has rows of zeros of what is constant or not finite", function()
      local x = array.full({2, 6}, 0.3, "f32")
      assert.equal(0, stomp.unit_windows(x, 3):abs():max())
      x:set(1, 1, 0 / 0)
      x:set(1, 6, 1)
      local rows = stomp.unit_windows(x, 3)
      assert.same({0, 0}, {rows[1]:abs():max(), rows[3]:abs():max()})
      assert.near(1, (rows[4] * rows[4]):sum(), 1e-6)
   end)

   it("names the argument it rejects", function()
      assert.error_matches(function() stomp.unit_windows(noise(2, 6, 1), 7) end, "window 7 outside 1..6", 1, true)
      assert.error_matches(function() stomp.unit_windows(array.zeros{2, 2, 2}, 1) end, "expected (dims, frames), got 3",
         1, true)
   end)
end)

describe("stomp.alike", function()
   -- Many windows of few shapes, some louder, some varied: correlations of all sizes.
   local function family(seed)
      local g, list = sampling.generator(seed), {}
      local shapes = noise(7, 60, seed + 100)
      for i = 1, 700 do
         local w = shapes[1 + (i - 1) % 7]:reshape{6, 10} + noise(6, 10, 1000 * seed + i) * (1.2 * g:uniform())
         list[i] = stomp.unit_windows(w:copy("f32"), 10)
      end
      return array.concat(list, 1)
   end

   -- All products in place of those that sketches leave.
   local function plain(rows, t, least, counts)
      local r, found, first = array.matmul(rows:copy("f64"), t:copy("f64"):T():copy()), {}, 0
      for g, n in ipairs(counts) do
         found[g] = {}
         for i = first + 1, first + n do
            for j, value in ipairs(r[i]:table()) do
               if value >= least then found[g][j] = math.max(found[g][j] or 0, value) end
            end
         end
         first = first + n
      end
      return found
   end

   local rows, t = family(1):slice(1, 1, 300):copy(), family(1)
   local counts = {}
   for g = 1, 100 do counts[g] = g % 2 == 0 and 4 or 2 end

   it("finds all that all products find, by any directions", function()
      local bases = {learn.pca(t:copy("f64"), {components = 4}).components,
         learn.pca(t:copy("f64"), {components = 60}).components, array.zeros{1, 60}, array.zeros{60, 60}}
      for i = 1, 60 do bases[4]:set(i, i, 1) end
      for _, least in ipairs{0.8, 0.5, 0.95} do
         local wanted, all = plain(rows, t, least, counts), 0
         for _, basis in ipairs(bases) do
            local found = stomp.alike(rows, t, {basis = basis, least = least, counts = counts})
            assert.equal(#counts, #found)
            local worst, other = 0, 0
            for g = 1, #counts do
               for j, r in pairs(wanted[g]) do
                  worst, all = math.max(worst, math.abs(r - (found[g][j] or 0))), all + 1
               end
               for j in pairs(found[g]) do other = other + (wanted[g][j] and 0 or 1) end
            end
            assert.near(0, worst, 1e-6)
            assert.equal(0, other)
         end
         assert.is_true(all > 1000)
      end
   end)

   it("is the same for any number of threads and instructions, and with sketches that are there", function()
      local basis, usual, before = learn.pca(t:copy("f64"), {components = 8}).components, system.threads(), nil
      local sketches = stomp.sketch(t, basis)
      for _, threads in ipairs{1, 3} do
         system.threads(threads)
         local found = stomp.alike(rows, t, {basis = basis, sketches = sketches})
         assert.equal(300, #found) -- each row by itself
         assert.same(before or found, found)
         before = found
      end
      system.threads(usual)
      assert.same(before, stomp.alike(rows, t, {basis = basis}))
   end)

   it("sketches what lies along directions, and how much does not", function()
      local s = stomp.sketch(array.from({{0.6, 0.8, 0}, {0, 0, 1}}, "f32"), array.from({{1, 0, 0}, {0, 0, 1}}, "f64"))
      for i, row in ipairs{{0.6, 0, 0.8}, {0, 1, 0}} do
         for c, value in ipairs(row) do assert.near(value, s[i][c], 1e-7) end
      end
   end)

   it("stops at Ctrl-C", function()
      local out, status = command.shell(("timeout -s INT 1 %s -e %s"):format(command.quote(command.program),
         command.quote([[local array = require "bclua.array"
            local x = require("bclua.sampling").generator(1):normal(60 * 40000):copy("f32"):reshape{40000, 60}
            require("bclua.stomp").alike(x, x, {basis = array.zeros{1, 60}, counts = {40000}})]])))
      assert.is_true(status ~= 0, out)
      assert.matches("interrupted", out)
   end)

   it("names the argument it rejects", function()
      local basis = array.full({1, 60}, 0)
      local function fails(message, ...)
         local arguments = table.pack(...)
         assert.error_matches(function() stomp.alike(table.unpack(arguments, 1, arguments.n)) end, message, 1, true)
      end
      fails("expected an option 'basis'", rows, t)
      fails("rows of 60 values expected, got 59", rows, t:slice(2, 1, 59), {basis = basis})
      fails("directions of 60 values expected, got 3", rows, t, {basis = array.zeros{2, 3}})
      fails("option 'least' must be 0.001 to 1.0, got 0.0", rows, t, {basis = basis, least = 0})
      fails("option 'counts': together they must be 300 rows, got 5", rows, t, {basis = basis, counts = {2, 3}})
      fails("together they must be 300 rows, each at least 1", rows, t, {basis = basis, counts = {301}})
      fails("option 'sketches' must be (700, 2)", rows, t, {basis = basis, sketches = rows})
   end)
end)
