--- About how long a run of the pipeline will take and how much disk it needs, said before it begins.
-- @module bclua.workflow.pipeline.estimate
local audio = require "bclua.audio"
local count = require("bclua.display").count
local fit = require "bclua.workflow.fit"
local json = require "bclua.json"
local progress = require "bclua.progress"
local system = require "bclua.system"

local estimate = {}

local LOOKED_AT = 50 -- recordings whose length is read
-- Measured (doc/performance.md): processor time of a core of 2023 a second of sound to find motifs, likely calls, tiles
-- and what is wrong with these; of a step of the default network with 16 triplets on two cores.
local MOTIF_S, STEP_S, STEP_TRIPLETS = 0.006, 0.15, 16
local FEATURE_BYTES, SAMPLE_BYTES, CHECKPOINT_BYTES = 800, 2, 17e6 -- a second of sound; a sample of a tile; in all
local STEP_CORES = 2

-- About how many seconds of sound some recordings have; of so many as can be opened of a few, evenly.
local function length_of(list)
   local seconds, read = 0, 0
   for i = 1, #list, math.max(1, #list // LOOKED_AT) do
      local reader <close> = audio.open(list[i].path)
      local info = reader and reader:info()
      if info and info.sample_rate and (info.length or info.read_length) then
         seconds, read = seconds + (info.length or info.read_length) / info.sample_rate, read + 1
      end
   end
   return read > 0 and seconds / read * #list or nil
end

--- About how long, and how much.
-- @tparam {table,...} list from `recordings.list`
-- @tparam table config of the pipeline
-- @treturn ?table `sound_s`, `motif_s`, `training_s` (nil: another network than the default, so nobody knows), `bytes`;
-- nil: no recording says how long it is
function estimate.of(list, config)
   local sound_s = length_of(list)
   if not sound_s then return nil end
   local f, t, cores = config.fit, config.tiles, system.threads()
   local is_default = json.encode(config.network.widths) == json.encode(fit.network.widths.default)
   local training_s
   if is_default and (f.round_minutes or 0) == 0 then
      training_s = f.max_rounds * f.batches_per_round * STEP_S * f.batch_size / STEP_TRIPLETS
         * STEP_CORES / math.min(cores, STEP_CORES)
   elseif (f.round_minutes or 0) > 0 then
      training_s = f.max_rounds * f.round_minutes * 60
   end
   local tiles_s = t.store == "none" and 0 or math.min(sound_s, 3 * (config.triplets.samples or 0) * t.duration) +
      3 * f.validation_triplets * t.duration
   return {sound_s = sound_s, motif_s = sound_s * MOTIF_S / cores, training_s = training_s,
      bytes = sound_s * FEATURE_BYTES + tiles_s * SAMPLE_BYTES * config.extract.sample_rate + CHECKPOINT_BYTES}
end

--- The same in words.
-- @tparam table e from `of`
-- @tparam integer n recordings
-- @treturn string
function estimate.text(e, n)
   local disk = e.bytes < 1e9 and ("%.0f MB"):format(e.bytes / 1e6) or ("%.1f GB"):format(e.bytes / 1e9)
   local training = e.training_s and (", training %s"):format(progress.duration(e.training_s)) or
      "; how long this network trains is known after its first batches"
   return ("%s, about %s of sound: motifs and tiles about %s%s; up to %s of disk"):format(count(n, "recording"),
      progress.duration(e.sound_s), progress.duration(e.motif_s), training, disk)
end

return estimate
