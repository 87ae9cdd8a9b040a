-- usage: bclua scripts/bench/extract.lua [FOLDER [RUNS [HOURS [LAYOUT]]]]
-- `motif extract` over many files: recordings a second on one thread and on two,
-- best and median of RUNS (3), the share of twice the one-thread rate that two reach,
-- processor time (which tells what two threads cost when the machine has other
-- work), and memory at a quarter, half and the end of a run.
-- FOLDER: recordings (default, and '': 48 synthetic ones of 14 to 44 s).
-- HOURS: then one recording so long (FLAC at 48 kHz: noise, and a passage of the others every half a minute), in a
-- process of its own: time, and the most memory that it had.
-- LAYOUT: of the results, parts (default) or files.
require("bclua.cli").help_by_comment()
local extracted = require "bclua.data.extracted"
local parallel = require "bclua.parallel"
local recordings = require "bclua.data.recordings"
local system = require "bclua.system"

local input, runs = arg[1] ~= "" and arg[1] or nil, tonumber(arg[2]) or 3
local scratch = os.tmpname()
os.remove(scratch)
assert(system.mkdir(scratch))

if not input then
   assert(require("bclua.data.dataset").make(scratch .. "/data", {families = 4, species = 2, recordings = 6,
      short = 0}))
   input = scratch .. "/data/train_audio"
end
local list = assert(recordings.list(input))
local layout = arg[4] or "parts"
local p = {cens_sample_rate = 10, matrix_profile_window = 50, sample_rate = 32000, layout = layout}

-- The step without its bookkeeping. Returns seconds, processor seconds, seconds of
-- sound, and megabytes in use at a quarter, half and the end.
local function run(threads, output)
   assert(system.mkdir(output))
   for _, item in ipairs(list) do
      item.folder = item.species .. "/" .. item.id
      item.output = output .. "/" .. item.folder
   end
   local results <close> = extracted.open(output, layout, list, p)
   local start, cpu, sound, memory = system.clock(), system.cpu_clock(), 0, {}
   for i, result, why in parallel.map(list, "bclua.workflow.extract", "one", p, {threads = threads}) do
      if result then
         sound = sound + result.seconds
         assert(results:add(result.kept))
      else
         io.stderr:write(why, "\n")
      end
      for k, share in ipairs({0.25, 0.5, 1}) do
         if i == math.max(1, math.floor(#list * share)) then memory[k] = system.memory() / 1e6 end
      end
   end
   assert(results:flush())
   return system.clock() - start, system.cpu_clock() - cpu, sound, memory
end

local function measure(threads)
   local times, cpu, sound, memory = {}, {}, nil, nil
   for k = 1, runs do
      times[k], cpu[k], sound, memory = run(threads, ("%s/%d"):format(scratch, threads))
   end
   table.sort(times)
   table.sort(cpu)
   local best, median = times[1], times[(#times + 1) // 2]
   print(("%d thread%s best %7.2f s %7.1f recordings/s %7.0f x real time   median %7.2f s"):format(threads,
      threads == 1 and " " or "s", best, #list / best, sound / best, median))
   print(("          processor time %.2f s   memory %.0f, %.0f, %.0f MB"):format(cpu[1], table.unpack(memory)))
   return best, median, cpu[1]
end

print(("%s: %d recordings; %d runs; memory at a quarter, half and the end of the last"):format(input,
   #list, runs))
run(1, scratch .. "/1") -- files in the cache, filters made
local one, one_median, one_cpu = measure(1)
local two, two_median, two_cpu = measure(2)
print(("two threads reach %.1f %% of twice the rate of one (medians: %.1f %%, by processor time %.1f %%)"):format(
   100 * one / (2 * two), 100 * one_median / (2 * two_median), 100 * one_cpu / two_cpu))

-- One long recording, written block by block.
local function write_long(path, hours)
   local audio, g, songs = require "bclua.audio", require("bclua.sampling").generator(1), {}
   local rate, length = 48000, 3 * 48000
   for i = 1, math.min(6, #list) do songs[i] = assert(audio.load(list[i].path, {sample_rate = rate})) end
   local w, total = assert(audio.create(path, rate)), math.floor(hours * 3600 * rate)
   while w:tell() < total do
      local n = math.min(30 * rate, total - w:tell())
      local y, song = g:normal(n):copy("f32") * 2e-4, songs[g:integer(#songs)]
      if n > length and #song > length then
         local from, call = g:integer(#song - length), g:integer(n - length)
         local part = y:slice(1, call, call + length - 1)
         part:fill(part + song:slice(1, from, from + length - 1) * 0.3)
      end
      assert(w:write(y))
   end
   assert(w:commit())
end

if tonumber(arg[3]) then
   assert(system.mkdir(scratch .. "/long"))
   write_long(scratch .. "/long/night.flac", tonumber(arg[3]))
   local child = assert(io.popen(([[build/bclua -e '
      package.path = "lua/?.lua;" .. package.path
      local s = require "bclua.system"
      local start = s.clock()
      assert(require "bclua.workflow.extract".run{input = "%s/long", output = "%s/out", layout = "%s"})
      print(s.clock() - start, s.cpu_clock(), (select(2, s.memory())))']]):format(scratch, scratch, layout)))
   local took, cpu, most = child:read("n", "n", "n")
   assert(child:close())
   print(("one recording of %s h: %.1f s, processor time %.1f s, process at most %.0f MB"):format(arg[3], took, cpu,
      most / 1e6))
end
os.execute("rm -rf '" .. scratch .. "'")
