-- evaluations.lua: what specs of evaluations have in common: the small data set, all of it held out, by a network that
-- has learnt nothing.
local command = require "support.command"
local evaluate = require "bclua.workflow.evaluate"
local evaluation_set = require "bclua.workflow.evaluation_set"
local files = require "bclua.files"
local mined = require "support.mined"
local sql = require "bclua.sql"
local tilenet = require "bclua.tilenet"

local common = {}

--- A network that has learnt nothing, with what it says of its training; its path.
function common.network(name, metadata)
   local path = ("%s/%s.safetensors"):format(common.dir, name)
   local net = tilenet.new{widths = {2, 2, 2, 2}, z = 4, seed = 7}
   assert(net:save(path, {metadata = metadata}))
   net:close()
   return path
end

--- In `setup`: the data set `m`, a folder, the names that are held out, and the network's checkpoint.
function common.open()
   local m, dir = mined.get(), command.folder()
   common.m, common.dir = m, dir
   local holdout, groups = {}, {}
   for _, row in ipairs(sql.query(("select source_name, species from %s where motif_0 is not null order by 1"):format(
      sql.quote(m.motif)))) do
      holdout[#holdout + 1], groups[row.species] = row.source_name, row.species:sub(1, -2)
   end
   common.checkpoint = common.network("net", {holdout_recordings = files.json(holdout), groups = files.json(groups)})
   common.holdout = holdout
   return m, dir, holdout, common.checkpoint
end

--- In `teardown`.
function common.close()
   command.remove(common.dir)
   mined.remove()
end

--- The windows of all recordings.
function common.set_of(options)
   local o = {motif = common.m.motif, dataset_root = common.m.data, recordings = common.holdout, quiet = true}
   for k, v in pairs(options or {}) do o[k] = v end
   return evaluation_set.run(o)
end

--- The evaluation of the network, on three splits.
function common.judge(options)
   local o = {checkpoint = common.checkpoint, motif = common.m.motif, dataset_root = common.m.data, splits = 3,
      quiet = true}
   for k, v in pairs(options or {}) do o[k] = v end
   return evaluate.run(o)
end

return common
