-- usage: bclua scripts/bench/tiles.lua [FOLDER [RUNS]]
-- What tiles cost: the windows of 1e5 and 5e5 triplets over 15 000 made-up recordings
-- (190 h, lengths log-normal with median 24 s, 152 species of very different size, a
-- quarter kept for evaluation), the effort of FLAC, `extract-triplets` in each store
-- (best and median of RUNS, 3), and the estimate that follows.
-- FOLDER: a data set of recordings (default, and '': a synthetic one).
require("bclua.cli").help_by_comment()
local array = require "bclua.array"
local audio = require "bclua.audio"
local bench = require "bclua.experiment.bench"
local files = require "bclua.files"
local recordings = require "bclua.data.recordings"
local sampling = require "bclua.sampling"
local segments = require "bclua.workflow.segments"
local sql = require "bclua.sql"
local system = require "bclua.system"
local tiles = require "bclua.workflow.tiles"

local RATE, HOURS, COUNT = 32000, 190, 15000
local data, runs = arg[1] ~= "" and arg[1] or nil, tonumber(arg[2]) or 3
local scratch = os.tmpname()
os.remove(scratch)
assert(system.mkdir(scratch))

-- ---- how many windows? ----

local function made_up()
   local g, seconds, species, kept = sampling.generator(7), {}, {}, {}
   local weight, total, sum = {}, 0, 0
   for s = 1, 152 do
      weight[s] = 1 / (3 + s)
      total = total + weight[s]
   end
   for s = 1, 152 do
      for _ = 1, math.max(2, math.floor(COUNT * weight[s] / total + 0.5)) do
         local i = #seconds + 1
         seconds[i], species[i] = math.exp(math.log(24) + 1.13 * g:normal()), s
         sum = sum + seconds[i]
      end
   end
   for i = 1, #seconds do
      seconds[i] = seconds[i] * HOURS * 3600 / sum
      if g:uniform() >= 0.25 then kept[#kept + 1] = i end
   end
   local r = {window_s = 5}
   for _, name in ipairs({"group", "species"}) do r[name] = array.zeros(#kept, "i64") end
   for _, name in ipairs({"motif_0_s", "motif_1_s", "duration_s"}) do r[name] = array.zeros(#kept, "f64") end
   for k, i in ipairs(kept) do
      r.species[k], r.group[k], r.duration_s[k] = species[i], species[i] * 7 % 45, seconds[i]
      for _, name in ipairs({"motif_0_s", "motif_1_s"}) do
         r[name][k] = seconds[i] < 5 and -1 or 2.5 + math.floor(g:uniform() * (seconds[i] - 5) * 10) / 10
      end
   end
   r.anchor_s, r.neighbor_s, r.distant_s, r.avoid_0_s = r.motif_0_s, r.motif_0_s, r.motif_0_s, r.motif_0_s
   r.self_s, r.avoid_1_s = r.motif_1_s, r.motif_1_s
   return r
end

local function count(r, samples, clips)
   local t = assert(sampling.triplets(r, {samples = samples, seed = 1, clips = clips}))
   local by_recording, windows, samples_stored, used = {}, 0, 0, 0
   for _, role in ipairs({"a", "b", "c"}) do
      local source, loc = t[role], t[role .. "_loc"]
      for i = 1, samples do
         local s = by_recording[source[i]]
         if not s then
            s = {}
            by_recording[source[i]] = s
         end
         s[loc[i]] = true
      end
   end
   for _, locs in pairs(by_recording) do
      local firsts = {}
      for loc in pairs(locs) do firsts[#firsts + 1] = segments.first(loc, 7, RATE, 4 * RATE) end
      windows, used = windows + #firsts, used + 1
      for _, segment in ipairs(segments.merge(firsts, 7 * RATE, 120 * RATE)) do
         samples_stored = samples_stored + segment.last - segment.first
      end
   end
   local gb = 7 * RATE * windows / 1e9
   print(("%d triplets%s: %d distinct windows of %d recordings; npy %.1f GB; in 16 bits a window each %.1f GB, as " ..
      "segments %.1f GB (%.1f h)"):format(samples, clips > 0 and ", --clips " .. clips or "", windows, used, gb * 4,
      gb * 2, samples_stored * 2 / 1e9, samples_stored / RATE / 3600))
   return {windows = windows, span_s = samples_stored / RATE}
end

-- ---- what does a store cost? ----

local function find_data()
   if not data then
      data = scratch .. "/data"
      assert(require("bclua.data.dataset").make(data, {families = 3, species = 2, recordings = 6, short = 1,
         least_s = 14, most_s = 60}))
   end
   return assert(recordings.layout(data))
end

-- Triplets whose windows are as dense as those of 1e5 triplets over the real thing.
local function windows_of(list, seconds, share)
   local g, w, n = sampling.generator(1), {}, 0
   for i, r in ipairs(list) do
      for _ = 1, math.max(1, math.floor(seconds[i] * share + g:uniform())) do
         n = n + 1
         w[n] = {r.source_name, seconds[i] <= 5 and -1 or 2.5 + g:uniform() * (seconds[i] - 5)}
      end
   end
   local columns = {}
   for k, role in ipairs({"a", "b", "c"}) do
      local source, loc = {n = (n + 2) // 3}, array.zeros((n + 2) // 3, "f64")
      for i = 1, #loc do
         local x = w[(i - 1) * 3 + k] or w[1]
         source[i], loc[i] = x[1], x[2]
      end
      columns[role], columns[role .. "_loc"] = source, loc
   end
   local path = scratch .. "/triplets.parquet"
   assert(sql.write_parquet(path, columns, {order = {"a", "a_loc", "b", "b_loc", "c", "c_loc"}}))
   return path, n
end

local function bytes_of(folder)
   local sum = 0
   for _, path in ipairs(assert(files.find(folder))) do sum = sum + files.stamp(folder .. "/" .. path) end
   return sum
end

local function flac_efforts(list, root)
   local pieces = {}
   for i = 1, math.min(24, #list) do
      local item = list[(i - 1) * #list // math.min(24, #list) + 1]
      pieces[#pieces + 1] = assert(audio.load(root .. "/" .. item.source_name, {sample_rate = RATE, seconds = 30}))
   end
   local y = array.concat(pieces)
   for level = 0, 8 do
      local bytes
      local best = bench.time(runs, function()
         bytes = #assert(audio.encode(y, RATE, {format = "flac", quality = level / 8}))
      end)
      print(("flac level %d: %4.1f %% of 16 bits, %5.0f x real time"):format(level, 100 * bytes / (2 * #y),
         #y / RATE / best))
   end
end

local function measure(store, path, root)
   local best, cpu, bytes = math.huge, math.huge, nil
   local times = {}
   for k = 1, runs do
      local folder = scratch .. "/" .. store
      os.execute("rm -rf '" .. folder .. "'")
      local start, used = system.clock(), system.cpu_clock()
      assert(tiles.run({input = path, dataset_root = root, output = folder, store = store, loc_unit = "seconds",
         quiet = true}))
      times[k] = system.clock() - start
      best, cpu = math.min(best, times[k]), math.min(cpu, system.cpu_clock() - used)
      bytes = bytes_of(folder)
   end
   table.sort(times)
   return {best = best, median = times[(runs + 1) // 2], cpu = cpu, bytes = bytes}
end

local r = made_up()
local real = count(r, 100000, 0)
count(r, 500000, 0)
count(r, 500000, 4)
local layout = find_data()
local root = layout.root
local list, seconds, total = assert(recordings.list(layout.audio)), {}, 0
for i, item in ipairs(list) do
   seconds[i] = audio.info(item.path).seconds or 0
   total = total + seconds[i]
end
local packed
local path, windows = windows_of(list, seconds, real.windows / (HOURS * 3600 * 0.75))
print(("%s: %d recordings, %.1f min, %d windows; %d threads; best and median of %d runs"):format(data, #list,
   total / 60, windows, system.threads(), runs))
local scale = HOURS * 0.75 * 3600 / total -- a quarter is not read
for _, store in ipairs({"packed", "flac", "npy"}) do
   local m = measure(store, path, root)
   local _, peak = system.memory()
   print(("%-6s best %.2f s median %.2f s, processor %.2f s: %.0f x real time a core; %6.1f MB; memory %.0f MB at most")
      :format(store, m.best, m.median, m.cpu, total / m.cpu, m.bytes / 1e6, peak / 1e6))
   local bytes = store == "npy" and real.windows * 7 * RATE * 4 or real.span_s * RATE * 2
   if store == "flac" then bytes = bytes * m.bytes / packed end
   if store == "packed" then packed = m.bytes end
   print(("       1e5 triplets over 15 000 recordings: %.0f min of one core, %.1f GB"):format(m.cpu * scale / 60,
      bytes / 1e9))
end
flac_efforts(list, root)
os.execute("rm -rf '" .. scratch .. "'")
