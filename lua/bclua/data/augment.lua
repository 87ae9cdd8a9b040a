--- What may happen to crops: options of the loader's augmentation.
-- @module bclua.data.augment
local files = require "bclua.files"
local options_of = require "bclua.options"

local augment = {}

local ROLES = {"anchor", "neighbor", "distant"}
local MIX_SNR, LEAST_DB, MOST_DB = {0, 30}, -20, 100

-- Two numbers, or one that stands for both.
local function wrong_range(x)
   local low, high = x, x
   if type(x) == "table" then low, high = x[1], x[2] end
   if type(low) == "number" and type(high) == "number" and LEAST_DB <= low and low <= high and high <= MOST_DB then
      return nil
   end
   return ("two numbers expected, %d <= low <= high <= %d dB"):format(LEAST_DB, MOST_DB)
end

local function wrong_background(x)
   return type(x) ~= "string" and type(x) ~= "table" and "a folder, a file or a list of files expected" or nil
end

local EFFECTS = {
   shift = {"number", least = 0, most = 3600}, -- seconds
   gain = {"number", least = 0, most = 60}, -- dB
   pitch = {"number", least = 0, most = 12}, -- semitones
   noise = {"any", check = wrong_range},
   mix_snr = {"any", check = wrong_range},
   mix = {"any", check = wrong_background},
}
local AUGMENT = options_of.extend(EFFECTS)
for _, role in ipairs(ROLES) do AUGMENT[role] = {"table", of = EFFECTS} end

local function range(x) return type(x) == "table" and x or {x, x} end

-- The effects of one role as bclua.loading takes them, and `from`, the background; or nil and what is wrong.
local function of_role(t)
   if t.mix_snr and not t.mix then return nil, "'mix_snr' without 'mix'" end
   return {shift = t.shift, gain = t.gain, pitch = t.pitch, noise = t.noise and range(t.noise), from = t.mix,
      mix = t.mix and range(t.mix_snr or MIX_SNR)}
end

-- Effects by role; or nil and what is wrong.
local function effects_of(a)
   local given, message = options_of.try(a, AUGMENT)
   if not given then return nil, message end
   local all, effects = options_of.extend(given, {anchor = false, neighbor = false, distant = false}), {}
   for _, role in ipairs(ROLES) do
      effects[role], message = of_role(options_of.extend(all, given[role]))
      if not effects[role] then return nil, message end
   end
   return effects
end

--- Check an augmentation.
-- @tparam ?table|string a as `parse` returns or takes it; nil, "": none
-- @tparam integer level of the error, for the caller's place
-- @treturn ?table effects by role
function augment.check(a, level)
   if a == nil or a == "" then return nil end
   local effects, message
   if type(a) == "string" then a, message = augment.parse(a) end
   if a and type(a) ~= "table" then message = "a table or text expected, got " .. tostring(a) end
   if not message then effects, message = effects_of(a) end
   if message then error("augment: " .. message, level or 2) end
   return effects
end

local function parse_value(name, text)
   if name == "mix" then return text ~= "" and text or nil end
   local low, high = text:match("^([^:]+):([^:]+)$")
   if name == "noise" or name == "mix_snr" then
      low, high = tonumber(low or text), tonumber(high or text)
      return low and high and {low, high}
   end
   return tonumber(text)
end

--- An augmentation as a user writes it: effects, separated by commas, for all roles, or, with a role and a point
-- before it, for one: `noise=5:40,gain=20,anchor.pitch=4`.
--
-- - `shift=1`: the crop lies up to 1 s before or behind the middle of its tile
-- - `pitch=4`: up to 4 semitones higher or lower (SoundTouch)
-- - `mix=FOLDER`: with a background recording of a folder (or one file), `mix_snr=0:30` dB below the crop;
--   `mix=triplets`: with another window of the triplets themselves
-- - `noise=5:40` (or `snr=5:40`): white noise at a signal-to-noise ratio of 5 to 40 dB
-- - `gain=20`: up to 20 dB louder or softer; nothing is clipped
--
-- They happen in this order; each is drawn evenly from its range. A silent crop gets neither noise nor background.
-- @tparam string text
-- @treturn[1] table for the option `augment`
-- @treturn[2] nil
-- @treturn[2] string message
function augment.parse(text)
   local result = {}
   for part in (text .. ","):gmatch("%s*([^,]*),") do
      local name, value = part:match("^([%w_.]+)=(.*)$")
      if not name then return nil, ("'%s' is not of the form effect=value"):format(part) end
      local role, effect = name:match("^(%a+)%.([%w_]+)$")
      if role and not (AUGMENT[role] and AUGMENT[role].of) then
         return nil, ("'%s' is no role (anchor, neighbor, distant)"):format(role)
      end
      effect = effect or name
      if effect == "snr" then effect = "noise" end
      if not EFFECTS[effect] then
         return nil, ("unknown effect '%s' (known: gain, mix, mix_snr, noise, pitch, shift)"):format(effect)
      end
      local parsed = parse_value(effect, value)
      if not parsed then return nil, ("%s: '%s' is no value for it"):format(effect, value) end
      local t = result
      if role then
         result[role] = result[role] or {}
         t = result[role]
      end
      t[effect] = parsed
   end
   local effects, message = effects_of(result)
   return effects and result, message
end

--- Seconds by which a crop of any role may be shifted on request.
function augment.largest_shift(effects)
   local largest = 0
   for _, x in pairs(effects or {}) do largest = math.max(largest, x.shift or 0) end
   return largest
end

--- Does any of these effects change the pitch?
function augment.needs_pitch(effects)
   for _, x in pairs(effects or {}) do
      if (x.pitch or 0) > 0 then return true end
   end
   return false
end

local function list(from)
   if type(from) == "table" then return from end
   if not files.is_folder(from) then
      if not files.exists(from) then return nil, from .. ": no such file or folder (mix)" end
      return {from}
   end
   local found, message = require("bclua.data.recordings").list(from)
   if not found then return nil, message end
   local paths = {}
   for i, r in ipairs(found) do paths[i] = r.path end
   return paths
end

--- The background recordings that effects mix with.
-- @treturn[1] {string,...}|false paths; false: none is needed, as where windows of the triplets serve
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function augment.backgrounds(effects)
   local from
   for _, role in ipairs(ROLES) do
      local x = effects and effects[role].from
      if x and from and x ~= from then return nil, "mix: all roles must take the same background" end
      from = from or x
   end
   if not from or from == "triplets" then return false end
   local paths, message = list(from)
   if not paths then return nil, message end
   if #paths == 0 then return nil, "mix: no background recordings" end
   return paths
end

return augment
