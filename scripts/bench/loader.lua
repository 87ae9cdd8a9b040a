-- usage: bclua scripts/bench/loader.lua [FOLDER [RUNS]]
-- 5 s crops a second of processor time on one core, best and median of RUNS (5): from each store and from the
-- recordings themselves, each plain, with noise and gain, with pitch, and with everything.
-- FOLDER: a data set of recordings (default, and '': 48 synthetic ones of 14 to 44 s).
require("bclua.cli").help_by_comment()
local audio = require "bclua.audio"
local loader = require "bclua.data.loader"
local recordings = require "bclua.data.recordings"
local sampling = require "bclua.sampling"
local sql = require "bclua.sql"
local system = require "bclua.system"
local tiles = require "bclua.workflow.tiles"

local BATCH = 16
local data, runs = arg[1] ~= "" and arg[1] or nil, tonumber(arg[2]) or 5
local scratch = os.tmpname()
os.remove(scratch)
assert(system.mkdir(scratch))
if not data then
   data = scratch .. "/data"
   assert(require("bclua.data.dataset").make(data, {families = 4, species = 2, recordings = 6, short = 0}))
end

-- Windows at random places: 600 triplets.
local layout = assert(recordings.layout(data))
local list, g, hours = assert(recordings.list(layout.audio)), sampling.generator(1), 0
local columns = {a = {}, b = {}, c = {}, a_loc = {}, b_loc = {}, c_loc = {}}
for _, r in ipairs(list) do
   r.seconds = assert(audio.info(r.path)).seconds
   hours = hours + r.seconds / 3600
end
for _, role in ipairs({"a", "b", "c"}) do
   for i = 1, 600 do
      local r = list[g:integer(#list)]
      columns[role][i] = r.source_name
      columns[role .. "_loc"][i] = r.seconds > 5 and 2.5 + g:uniform() * (r.seconds - 5) or -1.0
   end
end
local triplets = scratch .. "/triplets.parquet"
assert(sql.write_parquet(triplets, columns))

-- Crops a second of processor time; the loader's one thread and the taker together.
local function rate(options, batches)
   options.triplets, options.batch_size, options.workers, options.prefetch = triplets, BATCH, 1, 1
   options.loc_unit = "seconds"
   local l <close> = assert(loader.new(options))
   assert(l:next())
   local rates = {}
   for k = 1, runs do
      local start = system.cpu_clock()
      for _ = 1, batches do assert(l:next()) end
      rates[k] = 3 * BATCH * batches / (system.cpu_clock() - start)
   end
   table.sort(rates)
   return rates[runs], rates[(runs + 1) // 2]
end

local augmentations = {"none", "noise=5:40,gain=20", "mix=" .. layout.audio}
if require("bclua.loading").pitch_library() then
   table.insert(augmentations, "pitch=4")
   table.insert(augmentations, "noise=5:40,gain=20,pitch=4,mix=" .. layout.audio)
end

print(("%d recordings, %.2f h; batches of %d; one thread, %d runs"):format(#list, hours, BATCH, runs))
local function measure(name, options)
   for _, text in ipairs(augmentations) do
      options.augment = text ~= "none" and text or nil
      local best, median = rate(options, text == "none" and name ~= "stream" and 8 or 2)
      print(("%-18s %-36s best %7.0f median %7.0f crops/s"):format(name, text:gsub("mix=.*", "mix"), best, median))
      io.stdout:flush()
   end
end
for _, store in ipairs({"packed", "npy", "flac"}) do
   local folder = scratch .. "/" .. store
   assert(tiles.run({input = triplets, dataset_root = layout.root, output = folder, store = store, quiet = true,
      loc_unit = "seconds"}))
   measure(store, {tiles = folder})
   os.execute("rm -r '" .. folder .. "'")
end
measure("stream", {dataset_root = layout.root, cache_mb = 0})
measure("stream, all cached", {dataset_root = layout.root, cache_mb = 8000})
os.execute("rm -r '" .. scratch .. "'")
