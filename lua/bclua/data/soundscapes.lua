--- Made-up soundscapes, to find sets of repeated calls in: each has the songs of several species, each a known number
-- of times, in any order, with pauses, in noise of a known level.
--
--     DIR/train_audio/soundscape/<id>.flac
--     DIR/calls.csv    file,species,start_s,end_s,song
--
-- Songs and species are those of `bclua.data.dataset`. The same settings give the same sound.
-- @module bclua.data.soundscapes
local array = require "bclua.array"
local audio = require "bclua.audio"
local dataset = require "bclua.data.dataset"
local files = require "bclua.files"
local options_of = require "bclua.options"
local sampling = require "bclua.sampling"
local system = require "bclua.system"

local soundscapes = {}

local STREAM = 3 << 21 -- of the seed, a recording each
local LEVEL = 0.1 -- of a syllable
local PAUSE_S = 4 -- between two songs, at most

--- A schema.
soundscapes.options = {
   soundscapes = {"integer", least = 1, most = 900, text = "Make so many soundscapes instead, each " ..
      "of several species with pauses between songs."},
   kinds = {"integer", least = 1, most = 8, default = 3, text = "Species in a soundscape."},
   least_calls = {"integer", least = 1, most = 1000, default = 3, text = "Songs of one species in it, at least."},
   most_calls = {"integer", least = 1, most = 1000, default = 40, text = "Songs of one species in it, at most."},
   song = {"number", least = 0.3, most = 60, default = 2.4, unit = "s", text = "Length of a song, about."},
   snr = {"number", least = -40, most = 80, default = 20, unit = "dB", text = "Power of a song over that of the " ..
      "noise of a soundscape, white and wind in equal parts."},
   sample_rate = dataset.options.sample_rate, seed = dataset.options.seed}

--- Everything that is random in a soundscape, without its sound.
-- @tparam integer number
-- @tparam table p settings
-- @treturn table `id`, `seconds`, `events` in order of time: `species`, `song`, `start_s`, `end_s`, and how it
-- is varied
function soundscapes.plan(number, p)
   local g = sampling.generator(p.seed, STREAM + number)
   local all = dataset.species{families = 8, species = 2, seed = p.seed, song = p.song}
   local order, due = g:shuffle(#all):table(), {}
   for k = 1, p.kinds do
      local species = all[order[k]]
      local spread = p.most_calls / p.least_calls
      for _ = 1, math.floor(p.least_calls * spread ^ g:uniform() + 0.5) do
         due[#due + 1] = {species = species, song = species.songs[1]}
      end
   end
   local events, t = {}, 1 + g:uniform()
   for i, j in ipairs(g:shuffle(#due):table()) do
      local e = due[j]
      e.tempo, e.pitch = 1 + 0.01 * (g:uniform() - 0.5), 2 ^ (0.2 * (g:uniform() - 0.5) / 12)
      e.level, e.start_s = 10 ^ (4 * (g:uniform() - 0.5) / 20), t
      e.end_s = t + e.song.seconds * e.tempo
      t = e.end_s + 0.3 + PAUSE_S * g:uniform()
      events[i] = e
   end
   return {id = ("SCAPE%03d"):format(number), number = number, seconds = math.ceil(t), events = events}
end

--- Its sound.
-- @tparam table r from `plan`
-- @tparam table p settings
-- @treturn bclua.array f32 (samples)
function soundscapes.render(r, p)
   local rate, g = p.sample_rate, sampling.generator(p.seed, 2 * STREAM + r.number)
   local y, song_s = array.zeros(r.seconds * rate), 0
   for _, e in ipairs(r.events) do dataset.sing(y, {species = e.species, level = LEVEL}, e, rate, g) end
   local power = (y * y):sum()
   for _, e in ipairs(r.events) do song_s = song_s + e.end_s - e.start_s end
   local wanted = power / (song_s * rate) / 10 ^ (p.snr / 10) -- of the noise
   local wind = array.zeros(#y)
   sampling.add_noise(wind, rate, "wind", g, {level = 1})
   y = y + wind * math.sqrt(wanted / 2 / (wind * wind):mean()) + g:normal(#y):copy("f32") * math.sqrt(wanted / 2)
   local peak = y:abs():max()
   return peak > 0.95 and y * (0.95 / peak) or y
end

local function source_name(r) return ("train_audio/soundscape/%s.flac"):format(r.id) end

--- Make one, on a worker.
-- @tparam integer number
-- @tparam table o `{dir=, parameters=}`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function soundscapes.one(number, o)
   local r = soundscapes.plan(number, o.parameters)
   local path = o.dir .. "/" .. source_name(r)
   return audio.save(path, soundscapes.render(r, o.parameters), o.parameters.sample_rate)
end

--- Make them in a new folder.
-- @tparam string dir
-- @tparam table options `soundscapes` (how many), `kinds` (3), `least_calls`, `most_calls` (3, 40), `song` (2.4 s),
-- `snr` (20 dB), `sample_rate` (32000), `seed` (1)
-- @treturn[1] table `{species=, recordings=, calls=, seconds=}` numbers
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function soundscapes.make(dir, options)
   local p = options_of.check(options, soundscapes.options)
   if not p.soundscapes then return nil, "--soundscapes: how many?" end
   if p.most_calls < p.least_calls then return nil, "--most-calls is below --least-calls" end
   if files.exists(dir) then return nil, dir .. ": is there already" end
   local ok, message = system.mkdir(dir .. "/train_audio/soundscape")
   if not ok then return nil, message end
   local rows, numbers, seconds = {}, {}, 0
   for i = 1, p.soundscapes do
      local r = soundscapes.plan(i, p)
      numbers[i], seconds = i, seconds + r.seconds
      for _, e in ipairs(r.events) do
         rows[#rows + 1] = {file = source_name(r), species = e.species.code, song = e.song.name,
            start_s = ("%.3f"):format(e.start_s), end_s = ("%.3f"):format(e.end_s)}
      end
   end
   for _, done, why in require("bclua.parallel").map(numbers, "bclua.data.soundscapes", "one",
      {dir = dir, parameters = p}) do
      if not done then return nil, why end
   end
   ok, message = system.write_file(dir .. "/calls.csv",
      files.csv({"file", "species", "start_s", "end_s", "song"}, rows))
   if not ok then return nil, message end
   return {species = p.kinds, recordings = p.soundscapes, calls = #rows, seconds = seconds}
end

return soundscapes
