--- What of a recording is heard: its channel, its sample rate, and the band of frequencies that is looked at.
--
-- `extract` is told; where that differs from the defaults, it is in the metadata of all that is made of its results,
-- and the later steps find it there.
-- @module bclua.data.hearing
local options_of = require "bclua.options"
local provenance = require "bclua.data.provenance"
local tables = require "bclua.data.tables"

local hearing = {}

local WORDS = {mix = false, left = 1, right = 2, best = "best"}
local MOST_CHANNELS = 1024

-- false: the mean of all; a number from 1; "best".
local function channel_of(value)
   local n = math.tointeger(tonumber(value))
   if n then return n >= 1 and n <= MOST_CHANNELS and n or nil end
   return WORDS[value]
end

local function wrong_channel(value)
   if channel_of(value) ~= nil then return nil end
   return ("'%s' is not one of mix, left, right, best, or a number from 1"):format(tostring(value))
end

--- A schema of `bclua.options`. `channel`: "mix" (the mean of all), "left", "right", "best", or a number from 1; `fmin`
-- and `fmax` in Hz: what lies outside is not looked at (0: as far as each step looks).
hearing.settings = {
   sample_rate = {"integer", default = 32000, least = 1000, most = 768000, unit = "Hz",
      text = "Sample rate at which recordings are analysed, here and in all later steps."},
   channel = {"any", default = "mix", check = wrong_channel, arg = "C",
      text = "mix (the mean of all channels), left, right, best (the one in which most stands out), or a number."},
   fmin = {"number", default = 0, least = 0, most = 384000, unit = "Hz",
      text = "Ignore what lies below, wind for example (0: no limit)."},
   fmax = {"number", default = 0, least = 0, most = 384000, unit = "Hz", text = "Ignore what lies above (0: no " ..
      "limit)."},
}

--- The same without defaults, for steps whose input says it: false is "as there".
hearing.given = {}
for name, rule in pairs(hearing.settings) do hearing.given[name] = options_of.extend(rule, {default = false}) end

--- The same, as metadata have it.
hearing.schema = {sample_rate = {"integer", least = 1, most = 10000000}, channel = {"any", holds = function(value)
      return value == "best" or math.type(value) == "integer" and value >= 1
   end, words = "must be 'best' or a number from 1"}, fmin = {"number", least = 0}, fmax = {"number", least = 0}}

--- What is wrong with a band.
-- @tparam table o `sample_rate`, `fmin`, `fmax`
-- @treturn ?string nil: nothing
function hearing.wrong(o)
   local top = o.sample_rate / 2
   if o.fmax > top then return ("--fmax %g: above half the sample rate, %g Hz (--sample-rate)"):format(o.fmax, top) end
   local fmax = o.fmax > 0 and o.fmax or top
   if o.fmin >= fmax then
      return ("--fmin %g: not below %s"):format(o.fmin, o.fmax > 0 and ("--fmax %g"):format(fmax)
         or ("half the sample rate, %g Hz"):format(fmax))
   end
end

--- What differs from the defaults, for parameters and metadata.
-- @tparam table o settings
-- @treturn table some of `sample_rate`, `channel` (a number, or "best"), `fmin`, `fmax`
function hearing.changed(o)
   local changed = {channel = o.channel and channel_of(o.channel) or nil}
   for _, name in ipairs{"sample_rate", "fmin", "fmax"} do
      if o[name] and o[name] ~= hearing.settings[name].default then changed[name] = o[name] end
   end
   return changed
end

--- All of it, where metadata say what differs.
-- @tparam ?table made metadata; nil: they say nothing
-- @treturn[1] table `sample_rate`, `channel` (nil: the mean), `fmin`, `fmax`
-- @treturn[2] nil
-- @treturn[2] string message: what is wrong with them
function hearing.of(made)
   made = made or {}
   local wrong = tables.fault(made, hearing.schema)
   if wrong then return nil, wrong end
   local o = {channel = made.channel}
   for _, name in ipairs{"sample_rate", "fmin", "fmax"} do
      o[name] = made[name] or hearing.settings[name].default
   end
   return o
end

--- The same, of a Parquet file of ours.
-- @tparam string path
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function hearing.of_parquet(path)
   local o, message = hearing.of(provenance.of_parquet(path))
   if not o then return nil, ("%s: metadata: %s"):format(path, message) end
   return o
end

--- What there is to say of a file whose own rate is far below the one it is looked at with.
-- @tparam integer own Hz
-- @tparam integer sample_rate Hz
-- @treturn ?string
function hearing.about_rate(own, sample_rate)
   if 2 * own > sample_rate then return nil end
   return ("its own sample rate is %g kHz: there is nothing above %g kHz"):format(own / 1000, own / 2000)
end

return hearing
