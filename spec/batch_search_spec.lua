local batch_search = require "bclua.batch_search"
local files = require "bclua.files"
local system = require "bclua.system"

local NARROW = {widths = {4, 4, 4, 4}, z = 4}

local function run(options)
   local o = {network = NARROW, memory = 8e7, steps = 1, most_seconds = 60}
   for key, value in pairs(options or {}) do o[key] = value end
   return batch_search.run(o)
end

-- The sanitizer's own memory comes on top, and differs from process to process.
local function sanitized() return os.getenv("BCLUA_SANITIZED") end

describe("batch_search", function()
   it("finds the largest batch that fits, takes a step of that size, and knows that one more does not fit", function()
      if sanitized() then return pending("not for a sanitized build") end
      local r = assert(run())
      assert(r.largest >= 4 and r.largest < 40, "not the size of any data set")
      assert(r.bytes <= 8e7 and r.above > 8e7)
      assert(r.above_size > r.largest and r.above_size <= r.planned_largest + 1)
      assert.is_true(r.confirmed, r.remark)
      assert(r.peak <= 8e7 and r.peak > 0.8 * r.bytes)
      assert.matches(("a batch of %d triplets needs"):format(r.planned_largest + 1), r.refusal)
   end)

   it("measures the speed of smaller batches on the way, and where it levels off", function()
      local r = assert(run())
      local sizes = {}
      for i, s in ipairs(r.speeds) do
         sizes[i] = s.batch_size
         assert.near(s.batch_size / s.seconds, s.triplets_per_second, 1e-6)
         assert(r.triplets_per_second >= s.triplets_per_second)
         if s.batch_size < r.levels_off then assert(s.triplets_per_second < 0.95 * r.triplets_per_second) end
      end
      assert.same({1, 2, 4}, {sizes[1], sizes[2], sizes[3]})
      assert.equal(r.largest, sizes[#sizes])
   end)

   it("fits more in 16 bits and with recomputation", function()
      if sanitized() then return pending("not for a sanitized build") end
      local plain = assert(run{most_seconds = 0}).largest
      assert(assert(run{precision = "bf16", most_seconds = 0}).largest > plain)
      assert(assert(run{checkpoint = "stage", most_seconds = 0}).largest > plain)
   end)

   it("leaves out what would take too long, and says so", function()
      local start = system.clock()
      local r = assert(run{network = {widths = {16, 16, 16, 16}, z = 16}, memory = 1e9, most_seconds = 0.5})
      assert.is_false(r.confirmed)
      assert.matches("not tried: a step on %d+ would take", r.remark)
      assert(r.largest > 50)
      assert(r.bytes <= 1e9 and r.above > 1e9)
      assert(system.clock() - start < 30)
   end)

   it("says that a budget is less than one triplet takes", function()
      local r, message = run{memory = 1e6}
      assert.is_nil(r)
      assert.matches("^a budget of 1 MB is less than a single triplet takes: %d+ MB %(f32, recomputation 'none'%)",
         message)
   end)

   it("outlives what goes wrong in its process, and passes on what that said", function()
      local r, message = run{network = {widths = {4, 4}}}
      assert.is_nil(r)
      assert.matches("'widths' must be four numbers", message)
   end)

   it("leaves nothing behind in the folder for temporary files", function()
      local name, names = os.tmpname, {}
      os.tmpname = function() -- luacheck: ignore 122
         names[#names + 1] = name()
         return names[#names]
      end
      local ok, r = pcall(run, {most_seconds = 0})
      os.tmpname = name -- luacheck: ignore 122
      assert(ok and r, r)
      assert(#names > 1)
      for _, path in ipairs(names) do assert.is_false(files.exists(path), path) end
   end)

   it("has a budget of nine tenths of what is free", function()
      local budget, free = batch_search.budget(), system.memory_free()
      assert.near(0.9, budget / free, 0.1)
   end)

   it("names what it cannot use", function()
      local function raises(text, options) assert.error_matches(function() run(options) end, text, 1, true) end
      raises("unknown option 'size'", {size = 1})
      raises("option 'precision' cannot be 'f64'", {precision = "f64"})
      raises("option 'checkpoint' cannot be 'some'", {checkpoint = "some"})
      raises("option 'memory' must be above 0", {memory = 0})
      raises("option 'steps' must be a whole number", {steps = 0})
      raises("option 'most_seconds' must be at least 0", {most_seconds = -1})
      raises("option 'memory' must be a number, got much", {memory = "much"})
   end)
end)
