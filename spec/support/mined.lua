-- mined.lua: one small data set, taken through all steps up to the tiles, for
-- specs that only read it.
local command = require "support.command"

local mined = {}
local made

--- Folder and results: dir, data, motif, triplets, tiles (paths); extracted,
-- consolidated, drawn, cut (what the steps returned).
function mined.get()
   if made then return made end
   local dir = command.folder()
   made = {dir = dir, data = dir .. "/data", motif = dir .. "/motif.parquet", triplets = dir .. "/triplets.parquet",
      tiles = dir .. "/tiles"}
   assert(require("bclua.dataset").make(made.data, {families = 2, species = 2, recordings = 4, short = 1,
      least_s = 12, most_s = 15}))
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

function mined.remove()
   if made then command.remove(made.dir) end
   made = nil
end

return mined
