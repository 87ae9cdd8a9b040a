-- mined.lua: one small data set, taken through all steps up to the tiles, for
-- specs that only read it.
local command = require "support.command"
local files = require "bclua.files"
local system = require "bclua.system"

local mined = {}
local made

-- The recordings take longer than all steps together. They are made once for a build, whichever spec needs them first,
-- and copied; `make clean` removes them.
local function copy_recordings(folder)
   local build = command.program:match("^(.*)/[^/]*$") or "build"
   local shelf, name = build .. "/spec", "recordings"
   for _, path in ipairs{build .. "/bclua.so", "lua/bclua/data/dataset.lua"} do
      name = ("%s-%d-%d"):format(name, files.stamp(path))
   end
   local kept = shelf .. "/" .. name
   if not files.exists(kept) then
      local new = shelf .. "/new-" .. files.basename(os.tmpname())
      command.shell(("rm -rf %s/recordings-*"):format(command.quote(shelf))) -- those of former builds
      assert(system.mkdir(shelf))
      assert(require("bclua.data.dataset").make(new, {families = 2, species = 2, recordings = 4, short = 1,
         least_s = 12, most_s = 15}))
      if not os.rename(new, kept) then command.remove(new) end -- another process was faster
   end
   assert(command.shell(("cp -r %s %s"):format(command.quote(kept), command.quote(folder))) == "")
end

--- Folder and results: dir, data, motif, triplets, tiles (paths); extracted,
-- consolidated, drawn, cut (what the steps returned).
function mined.get()
   if made then return made end
   local dir = command.folder()
   made = {dir = dir, data = dir .. "/data", motif = dir .. "/motif.parquet", triplets = dir .. "/triplets.parquet",
      tiles = dir .. "/tiles"}
   copy_recordings(made.data)
   local function step(name, options)
      options.quiet = true
      return assert(require("bclua.workflow." .. name).run(options))
   end
   made.extracted = step("extract", {input = made.data .. "/train_audio", output = dir .. "/motif"})
   made.consolidated = step("consolidate", {input = dir .. "/motif", output = made.motif})
   made.drawn = step("triplets", {input = made.motif, output = made.triplets, samples = 40,
      taxonomy = made.data .. "/taxonomy.csv"})
   made.cut = step("tiles", {input = made.triplets, dataset_root = made.data, output = made.tiles})
   return made
end

--- The same folder as that of a run of the pipeline, small enough for a training of seconds.
function mined.run()
   local m = mined.get()
   local config = {triplets = {samples = 40}, network = {widths = {2, 2, 2, 2}, z = 4},
      fit = {batch_size = 2, batches_per_round = 2, max_rounds = 1, validation_triplets = 4},
      evaluate = {windows = "motif", splits = 2}}
   assert(require("bclua.files").write_json(m.dir .. "/config.json", {config = config, data = m.data}))
   return m.dir
end

function mined.remove()
   if made then command.remove(made.dir) end
   made = nil
end

return mined
