--- Names that modules had before they were put into folders: `require` still finds each under its old name, and with
-- warnings on (`bclua -W`, or `warn "@on"`) says the new one. The program loads this module before anything else; a
-- script that runs in another Lua, and uses old names, requires it.
-- @module bclua.moved
local moved = {}

-- New folder (or the old one, "") of modules as they were called below `bclua.`; OLD=NEW where the last name changed.
local FOLDERS = {
   data = [[tables zones schemas provenance hearing legacy recorded deployments recordings dataset loader
      recordings.layouts=layouts recordings.sounds=sounds annotations.match=annotation_match
      loader.augment=augment loader.walk=walk workflow.extracted=extracted workflow.part_writer=part_writer
      workflow.extracted_files=extracted_files workflow.extracted_metadata=extracted_metadata
      workflow.extracted_parts=extracted_parts workflow.hearing=hearing workflow.legacy=legacy
      workflow.schemas=schemas workflow.record=provenance]],
   format = "annotations annotations.columns=annotation_columns tensorboard onnx protobuf safetensors",
   train = [[training_options=options memory_estimate snapshot diagnosis step schedule metrics checkpoints collapse
      trainer]],
   evaluate = "batch_independence isolation=batch_independence",
   experiment = [[sweep sweep.options sweep.points sweep.pool sweep.store sweep.view sweep.worker batch_search
      batch_search.trial=batch_trial rate_test precision_test bench]],
   repl = "helpdoc helplive show",
   workflow = "workflow.accepted=verdicts workflow.collect=evaluation_set workflow.spans=segments",
   ["workflow.browse"] = "workflow.browse_pages=pages workflow.browse_server=server",
   ["workflow.evaluate"] = "workflow.evaluate_files=files workflow.evaluate_tables=tables",
   ["workflow.experiments"] = [[workflow.trial=trial workflow.trials=trials workflow.batches=batches
      workflow.dimension=dimension workflow.noise=noise workflow.protocol=protocol
      workflow.protocol_verdicts=protocol_verdicts workflow.motif_sweep=motif_sweep]],
   ["workflow.fit"] = "workflow.validation=validation workflow.nonfinite=nonfinite",
   ["workflow.predict"] = "workflow.parts=partitioned_writer workflow.windows=windows",
   ["workflow.search"] = "workflow.pairs=pairs",
   ["workflow.summary"] = "workflow.commands=commands workflow.daily=daily workflow.neighbors=neighbors",
   ["workflow.tiles"] = "workflow.tile_index=index workflow.stores=stores",
   ["workflow.triplets"] = [[workflow.groups=groups workflow.triplet_remarks=warnings workflow.triplet_table=table
      workflow.triplet_windows=windows]],
}

--- Old name -> new name, both as `require` takes them.
moved.names = {}
for folder, list in pairs(FOLDERS) do
   for old, new in list:gmatch("([%w_.]+)=?([%w_]*)") do
      moved.names["bclua." .. old] = ("bclua.%s.%s"):format(folder, new ~= "" and new or old)
   end
end

table.insert(package.searchers, function(old)
   local new = moved.names[old]
   if not new then return nil end
   return function()
      warn(("%s is now %s"):format(old, new))
      return require(new)
   end, new
end)

return moved
