-- usage: bclua scripts/bench/stomp.lua [RUNS]
-- Matrix profiles on one core: seconds and rate, best and median of RUNS (5).
-- A self-join counts frames^2 / 2 cells.
require("bclua.cli").help_by_comment()
local array = require "bclua.array"
local bench = require "bclua.experiment.bench"
local sampling = require "bclua.sampling"
local stomp = require "bclua.stomp"

local runs = tonumber(arg[1]) or 5

-- A smoothed random walk a row, as CENS is smooth.
local function series(dims, frames)
   local noise = sampling.generator(1)
   local rows = {}
   for d = 1, dims do
      local row, v = noise:uniform(frames):table(), 0
      for t = 1, frames do
         v = 0.9 * v + row[t] - 0.5
         row[t] = v
      end
      rows[d] = row
   end
   return array.from(rows, "f32")
end

local function measure(name, cells, run)
   local best, median = bench.time(runs, run)
   print(("%-44s best %8.2f ms %7.1f Mcell/s   median %8.2f ms %7.1f Mcell/s"):format(
      name, 1e3 * best, 1e-6 * cells / best, 1e3 * median, 1e-6 * cells / median))
end

print(("instructions: %s; one thread; %d runs"):format(table.concat(stomp.instructions(), " "), runs))
for _, case in ipairs{{12, 36000, 50}, {16, 7900, 400}, {12, 900, 50}} do
   local dims, frames, window = table.unpack(case)
   local x = series(dims, frames)
   local function self_join(what, options)
      measure(("self_join %s %d x %d, w %d"):format(what, dims, frames, window), frames ^ 2 / 2,
         function() stomp.self_join(x, window, options) end)
   end
   self_join("", nil)
   if frames < 10000 then
      for _, instructions in ipairs(stomp.instructions()) do
         for _, method in ipairs{"filter", "sweep"} do
            self_join(instructions .. " " .. method, {instructions = instructions, method = method})
         end
      end
   end
end
do
   local frames, windows = 12000, {20, 30, 40, 50, 60, 80, 100, 120}
   local x = series(12, frames)
   measure("self_join 12 x 12000, w 50", frames ^ 2 / 2, function() stomp.self_join(x, 50) end)
   measure("the same, left_right", frames ^ 2 / 2, function() stomp.self_join(x, 50, {left_right = true}) end)
   measure("the same, k 5 (cells: frames^2)", frames ^ 2, function() stomp.self_join(x, 50, {k = 5}) end)
   measure("pan 12 x 12000, 8 windows of 20 to 120", #windows * frames ^ 2 / 2, function() stomp.pan(x, windows) end)
   measure("the same, one by one", #windows * frames ^ 2 / 2, function()
      for _, w in ipairs(windows) do stomp.self_join(x, w) end
   end)
   local query = x:slice(2, 101, 150):copy()
   measure("matches of 12 x 50 in 12 x 12000", frames, function() stomp.matches(query, x, {k = 10}) end)
end
local silent = series(12, 12000)
silent:slice(2, 3001, 9000):fill(0) -- so many ties that the filter gives up
measure("self_join 12 x 12000, half silent, w 50", 12000 ^ 2 / 2,
   function() stomp.self_join(silent, 50) end)
local a, b = series(12, 4000), series(12, 9000)
measure("join 12 x 4000 with 12 x 9000, w 50", 4000 * 9000, function() stomp.join(a, b, 50) end)
local x = series(1, 131072)
measure("z_self_join 131072, w 256", 131072 ^ 2 / 2, function() stomp.z_self_join(x, 256) end)
