--- What may happen to crops: options of the loader's augmentation.
-- @module bclua.loader.augment
local files = require "bclua.files"

local augment = {}

local ROLES = {"anchor", "neighbor", "distant"}
local IS_ROLE = {anchor = true, neighbor = true, distant = true}
local NUMBERS = {shift = {0, 3600}, gain = {0, 60}, pitch = {0, 12}} -- seconds, dB, semitones
local RANGES = {noise = {-20, 100}, mix_snr = {-20, 100}}           -- dB
local MIX_SNR = {0, 30}

local function fail(level, ...) error(("augment: " .. select(1, ...)):format(select(2, ...)), level + 1) end

local function check_number(name, x, level)
   local limits = NUMBERS[name]
   if type(x) ~= "number" or not (x >= limits[1] and x <= limits[2]) then
      fail(level + 1, "'%s' must be %g to %g, got %s", name, limits[1], limits[2], tostring(x))
   end
   return x
end

local function check_range(name, x, level)
   local limits = RANGES[name]
   local low, high = x, x
   if type(x) == "table" then low, high = x[1], x[2] end
   if type(low) ~= "number" or type(high) ~= "number" or not (low >= limits[1] and low <= high and high <= limits[2])
   then
      fail(level + 1, "'%s' must be two numbers, %g <= low <= high <= %g dB", name, limits[1], limits[2])
   end
   return {low, high}
end

-- The effects of one role, checked: as bclua.loading takes them, and `folder`.
local function check_role(t, level)
   local x = {}
   if type(t) ~= "table" then fail(level + 1, "table expected, got %s", tostring(t)) end
   for name, value in pairs(t) do
      if NUMBERS[name] then
         x[name] = check_number(name, value, level + 1)
      elseif RANGES[name] then
         x[name] = check_range(name, value, level + 1)
      elseif name == "mix" then
         if type(value) ~= "string" and type(value) ~= "table" then
            fail(level + 1, "'mix' must be a folder, a file or a list of files, got %s", tostring(value))
         end
         x.from = value
      else
         fail(level + 1, "unknown effect '%s' (known: gain, mix, mix_snr, noise, pitch, shift)", tostring(name))
      end
   end
   if x.mix_snr and not x.from then fail(level + 1, "'mix_snr' without 'mix'") end
   x.mix, x.mix_snr = x.from and (x.mix_snr or MIX_SNR), nil
   return x
end

--- Check an augmentation.
-- @tparam ?table|string a as `parse` returns or takes it; nil: none
-- @tparam integer level of the error, for the caller's place
-- @treturn ?table effects by role
function augment.check(a, level)
   level = level or 2
   if a == nil then return nil end
   if type(a) == "string" then
      local t, message = augment.parse(a)
      if not t then error("augment: " .. message, level) end
      a = t
   end
   if type(a) ~= "table" then fail(level, "table or text expected, got %s", tostring(a)) end
   local all, by_role = {}, {}
   for name, value in pairs(a) do
      if IS_ROLE[name] then by_role[name] = value else all[name] = value end
   end
   local effects = {}
   for _, role in ipairs(ROLES) do
      local t = {}
      for name, value in pairs(all) do t[name] = value end
      if by_role[role] ~= nil and type(by_role[role]) ~= "table" then
         fail(level, "'%s' must be a table, got %s", role, tostring(by_role[role]))
      end
      for name, value in pairs(by_role[role] or {}) do t[name] = value end
      effects[role] = check_role(t, level)
   end
   return effects
end

local function parse_value(name, text)
   if name == "mix" then return text ~= "" and text or nil end
   local low, high = text:match("^([^:]+):([^:]+)$")
   if RANGES[name] then
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
      if role and not IS_ROLE[role] then return nil, ("'%s' is no role (anchor, neighbor, distant)"):format(role) end
      effect = effect or name
      if effect == "snr" then effect = "noise" end
      if not (NUMBERS[effect] or RANGES[effect] or effect == "mix") then
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
   local ok, message = pcall(augment.check, result, 0)
   if not ok then return nil, (message:gsub("^augment: ", "")) end
   return result
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
   local found, message = require("bclua.recordings").list(from)
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
