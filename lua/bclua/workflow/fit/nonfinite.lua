--- A step whose loss or gradient is not finite: where it began, the sound of it, and
-- all that is needed to see it again.
-- @module bclua.workflow.fit.nonfinite
local files = require "bclua.files"
local is_finite = require("bclua.numbers").is_finite
local json = require "bclua.json"
local safetensors = require "bclua.format.safetensors"
local system = require "bclua.system"
local check_options = require("bclua.options").check

local nonfinite = {}

local ROLES = {"anchor", "neighbor", "distant"}

-- Index from 1 of the first value of a vector that is not finite; nil: all are.
local function first_bad(row)
   if row:is_finite() then return nil end
   for i = 1, #row do
      if not is_finite(row[i]) then return i end
   end
end

local LOSS = {"loss", "margin", "l2", "temperature", "roles"}

-- Where it began, as `net:diagnose` says.
local function locate(net, batch, options)
   local o = {}
   for _, key in ipairs(LOSS) do o[key] = options[key] end
   return net:diagnose(batch, o) or {message = "the step is finite when it is done again"}
end

-- Recording and second of a row of the batch, if the loader said so.
local function provenance(batch, role, sample)
   local of = batch.provenance and batch.provenance[role]
   if not of then return nil end
   local seconds = of.seconds[sample]
   return of.file[sample], is_finite(seconds) and seconds or nil
end

local function free_folder(run, step)
   local base = ("%s/nonfinite-%d"):format(run, step)
   local folder, n = base, 1
   while files.exists(folder) do
      n = n + 1
      folder = ("%s-%d"):format(base, n)
   end
   return folder
end

-- The sound of a sample; a WAV holds no NaN, so what is not finite becomes 0.
local function write_sound(path, row, sample_rate)
   local flat = row:reshape(row:size()):copy("f32")
   if not flat:is_finite() then
      for i = 1, #flat do
         if not is_finite(flat[i]) then flat[i] = 0 end
      end
   end
   return require("bclua.audio").save(path, flat, sample_rate, {subtype = "float"})
end

local function describe(r)
   if not r.recording then return r.message end
   return ("%s; %s%s"):format(r.message, r.recording, r.second and (" at %.3f s"):format(r.second) or "")
end

--- Write all of it below the run: `report.json`, `state.safetensors` (weights before the step),
-- `batch.safetensors`, `sample.wav` where a sample is known.
-- @tparam table o `run`, `net`, `batch`, `options` (of `train_step`), `script` (how to call the replay)
-- @treturn string what was found, the folder, and the command that shows it again
function nonfinite.report(o)
   local net, batch = o.net, o.batch
   local folder = free_folder(o.run, net.step + 1)
   local found = locate(net, batch, o.options)
   local rate = net.options.sample_rate and math.tointeger(net.options.sample_rate) or 32000
   local r = {step = net.step + 1, options = o.options, precision = net.precision, scaling = net.scaling}
   for _, key in ipairs{"layer", "pass", "role", "sample", "kind", "message"} do r[key] = found[key] end
   if r.sample then r.recording, r.second = provenance(batch, r.role, r.sample) end
   if r.sample then
      local bad = first_bad(batch[r.role][r.sample]:reshape(batch[r.role][r.sample]:size()))
      if bad then
         r.offset_s = (bad - 1) / rate
         r.second = r.second and r.second + r.offset_s
      end
   end
   local function write()
      local ok, message = system.mkdir(folder)
      local tensors = {}
      for _, role in ipairs(ROLES) do tensors[role] = batch[role] end
      if ok then ok, message = net:save(folder .. "/state.safetensors") end
      if ok then ok, message = safetensors.save(folder .. "/batch.safetensors", tensors) end
      if ok and r.sample and batch[r.role]:ndim() == 2 then
         ok, message = write_sound(folder .. "/sample.wav", batch[r.role][r.sample], rate)
      end
      if ok then ok, message = files.write_json(folder .. "/report.json", r) end
      return ok, message
   end
   local ok, message = write()
   local text = describe(r)
   if not ok then return text .. "\n" .. message end
   return ("%s\nkept in %s; to see it again: bclua embed replay %s"):format(text, folder, folder)
end

-- A network as it was kept, NaN and all: `net:load` would refuse it.
local function open(folder, r, threads)
   local tilenet = require "bclua.tilenet"
   local path = folder .. "/state.safetensors"
   local tensors, metadata = safetensors.load(path)
   if not tensors then return nil, metadata end
   local known = json.decode(metadata.tilenet or "")
   if type(known) ~= "table" then return nil, path .. ": no metadata of a tilenet" end
   known.precision, known.threads = r.precision, threads
   local ok, net = pcall(tilenet.new, known)
   if not ok then return nil, ("%s: %s"):format(path, net) end
   for name, own in pairs(net:state()) do
      if not tensors[name] or tensors[name]:size() ~= own:size() then
         return nil, ("%s: tensor '%s' is missing or of another shape"):format(path, name)
      end
      own:fill(tensors[name]:reshape(own:shape()))
   end
   net.step, net.scaling = r.step - 1, r.scaling
   return net
end

local REPLAY = {folder = {"string", needed = true}, threads = {"integer", least = 1, most = 1024}}

--- Do the step again.
-- @tparam table options `folder` (what `report` wrote), `threads`
-- @treturn[1] table `reproduced` (boolean), `message` (what the step says now), `text` (where it began)
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function nonfinite.replay(options)
   options = check_options(options, REPLAY)
   local folder = options.folder:gsub("(.)/+$", "%1")
   local r, message = files.read_json(folder .. "/report.json")
   if not r then return nil, message end
   if type(r) ~= "table" or not math.tointeger(r.step) then
      return nil, folder .. "/report.json: no report of a step"
   end
   local net
   net, message = open(folder, r, options.threads)
   if not net then return nil, message end
   local batch
   batch, message = safetensors.load(folder .. "/batch.safetensors")
   if not batch then return nil, message end
   for _, role in ipairs(ROLES) do
      if not batch[role] then return nil, ("%s/batch.safetensors: no tensor '%s'"):format(folder, role) end
   end
   local o = r.options or {}
   o.accumulate = nil
   local found = locate(net, batch, o)
   for _, key in ipairs{"layer", "pass", "role", "sample", "kind", "message"} do r[key] = found[key] end
   local info, why = net:train_step(batch, o)
   net:close()
   return {reproduced = info == nil or info.skipped == true, text = describe(r),
      message = why or info.skipped and "the gradient overflows" or ("the step is finite: loss %.6g"):format(info.loss)}
end

return nonfinite
