local batch_search = require "bclua.experiment.batch_search"
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
      assert(assert(run{recompute = "stage", most_seconds = 0}).largest > plain)
   end)

   it("leaves out what would take too long, and says so", function()
      local start = system.clock()
      local r = assert(run{network = {widths = {16, 16, 16, 16}, z = 16}, memory = 1e9, most_seconds = 0.5})
      assert.is_false(r.confirmed)
      assert.matches("not tried: a step on %d+ would take", r.remark)
      assert(r.largest > 50)
      if not sanitized() then assert(r.bytes <= 1e9 and r.above > 1e9) end -- a sanitizer's own memory differs
      assert(system.clock() - start < 30)
   end)

   it("says that a budget is less than one triplet takes", function()
      local r, message = run{memory = 1e6}
      assert.is_nil(r)
      assert.matches("^a budget of 1 MB is less than a single triplet takes: %d+ MB %(f32, recomputation 'none'%)",
         message)
   end)

   -- A machine of a pattern: `f` does a job in place of a process; "signal" or "exit", a number, and what it wrote.
   local function on_machine(f, options)
      local child, process = require "bclua.child", require "bclua.process"
      local start = process.start
      process.start = function(words)
         local folder = words[#words]:match('main%("(.-)",')
         local how, code, result = f(assert(child.read(folder .. "/job.lua")), words[1] == "sh" and words)
         if result then assert(child.write(folder .. "/result.lua", result)) end
         return setmetatable({ended = function() return how, code end}, {__close = function() end})
      end
      local ok, r, message = pcall(run, options)
      process.start = start
      assert(ok, r)
      return r, message
   end

   -- A triplet is said to take 10 MB, and takes `real`; more than `most` of them kill the process.
   local function machine(real, most)
      local tried = {}
      return function(job, limited)
         if job.kind == "plan" then
            return "exit", 0, {largest = job.memory // 10e6, bytes = job.memory // 10e6 * 10e6, one = 10e6,
               above = (job.memory // 10e6 + 1) * 10e6, gap = 5e6}
         end
         if job.kind == "refuse" then return "exit", 0, {refusal = "no"} end
         assert(limited, "a step without a limit")
         local sizes = {}
         for i, n in ipairs(job.sizes) do
            tried[#tried + 1] = n
            if n > most then return "signal", 9, {sizes = sizes} end
            sizes[i] = {batch_size = n, seconds = 0.1 * n, cpu_seconds = 0.1 * n, steps = 1, planned = n * 10e6,
               peak = n * real}
         end
         return "exit", 0, {sizes = sizes}
      end, tried
   end

   it("goes down where the plan promised too much, until a step fits", function()
      local r = assert(on_machine(machine(11e6, 1e9), {memory = 2e8}))
      assert.equal(20, r.planned_largest)
      assert.equal(18, r.largest)
      assert.is_true(r.confirmed)
      assert.equal(18 * 11e6, r.peak)
      assert.equal(20, r.above_size)
      assert.equal(20 * 11e6, r.above)
      assert.equal(1, r.levels_off)
      assert.near(10, r.triplets_per_second, 1e-9)
   end)

   it("says what limits a batch that memory does not", function()
      local r = {largest = 7, memory = 2e9, bytes = 1e9, peak = 1.01e9, confirmed = true, above_size = 8,
         refusal = "a batch of 24 is too large for layer 'conv1'"}
      assert.equal("7 triplets fit into 2000 MB: a step took 1010 MB (planned: 1000 MB); " .. r.refusal,
         batch_search.text(r))
   end)

   it("outlives a process that is killed, and tries a smaller batch", function()
      local f, tried = machine(9e6, 18)
      local r = assert(on_machine(f, {memory = 2e8}))
      assert.equal(17, r.largest)
      assert.is_true(r.confirmed)
      assert.same({1, 2, 4, 8, 16, 20, 17}, tried)
      r = assert(on_machine(machine(9e6, 0), {memory = 2e8}))
      assert.is_false(r.confirmed)
      assert.matches("a step on %d+ failed: the process was killed by signal 9", r.remark)
   end)

   it("outlives what goes wrong in its process, and passes on what that said", function()
      local r, message = run{network = {seconds = 0.1}}
      assert.is_nil(r)
      assert.matches("3200 samples: the front end needs more than n_fft = 4096", message)
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
      raises("option 'precision' must be one of f32, bf16, f16, got 'f64'", {precision = "f64"})
      raises("option 'recompute' must be one of auto, cheap, none, stage, role, got 'some'", {recompute = "some"})
      raises("option 'memory' must be a number from 1 to 9007199254740992, got 0", {memory = 0})
      raises("option 'steps' must be an integer of at least 1, got 0", {steps = 0})
      raises("option 'most_seconds' must be a number of at least 0, got -1", {most_seconds = -1})
      raises("option 'memory' must be a number from 1 to 9007199254740992, got 'much'", {memory = "much"})
      raises("unknown option 'network.width' (did you mean 'widths'?", {network = {width = 3}})
   end)
end)
