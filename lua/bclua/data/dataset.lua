--- A data set of synthetic bird songs, for demonstrations and specs.
--
-- Families have a style (whistles, trills, harmonic stacks, buzzes), species
-- of a family share it but have their own syllables, pitch and rhythm. A song
-- is a sequence of syllables; each recording repeats the songs of its species,
-- slightly varied, at known times over wind, rain and insects; other species may sing in between
-- and at the same time.
--
--     DIR/train_audio/<species>/<id>.ogg
--     DIR/taxonomy.csv    SPECIES_CODE,PRIMARY_COM_NAME,SCI_NAME,FAMILY
--     DIR/calls.csv       file,species,start_s,end_s,song
--     DIR/dataset.json    the parameters
--
-- The same parameters give the same bytes.
-- @module bclua.data.dataset
local array = require "bclua.array"
local audio = require "bclua.audio"
local files = require "bclua.files"
local options_of = require "bclua.options"
local sampling = require "bclua.sampling"
local system = require "bclua.system"

local dataset = {}

local FAMILIES = {
   {code = "fin", name = "Finch", genus = "Fictifringilla", style = "whistle"},
   {code = "wre", name = "Wren", genus = "Fictitroglodytes", style = "trill"},
   {code = "dov", name = "Dove", genus = "Ficticolumba", style = "stack"},
   {code = "war", name = "Warbler", genus = "Fictisylvia", style = "buzz"},
   {code = "thr", name = "Thrush", genus = "Fictiturdus", style = "whistle"},
   {code = "cic", name = "Cicadabird", genus = "Ficticicada", style = "trill"},
   {code = "cro", name = "Crow", genus = "Ficticorvus", style = "stack"},
   {code = "bun", name = "Bunting", genus = "Fictemberiza", style = "buzz"},
}

local EPITHETS = {"prima", "secunda", "tertia", "quarta", "quinta", "sexta", "septima", "octava", "nona"}

-- Ranges {from, to}. Chroma features must be able to tell songs from noise: pitches
-- stay below 4 kHz, where chroma ends, and a syllable stays on one pitch class.
local STYLES = {
   whistle = {hz = {1500, 2100}, syllable_s = {0.30, 0.60}, gap_s = {0.02, 0.05}, sweep = {-0.8, 0.8},
      harmonics = 2, rolloff = 0.1},
   trill = {hz = {1550, 2050}, syllable_s = {0.45, 0.90}, gap_s = {0.02, 0.05}, sweep = {-0.5, 0.5},
      pulse_hz = {16, 30}, pulse_depth = 0.8, harmonics = 2, rolloff = 0.15},
   stack = {hz = {330, 480}, syllable_s = {0.30, 0.60}, gap_s = {0.05, 0.12}, sweep = {-0.8, 0},
      harmonics = 6, rolloff = 0.55, vibrato_hz = {4, 8}, vibrato_semitones = 0.25},
   buzz = {hz = {1600, 2000}, syllable_s = {0.25, 0.50}, gap_s = {0.02, 0.06}, sweep = {0, 0.8},
      pulse_hz = {60, 110}, pulse_depth = 0.8, harmonics = 3, rolloff = 0.3},
}

local SYLLABLES = 5 -- of a species
local SONG_PARTS, PART_S = 3, 0.8 -- a part repeats one syllable for about so long
local BOUT = 4 -- songs; CENS is smoothed over 4 s, so that one alone would be half background

-- Streams of the seed: one per species, one per recording, and one for what else sings in it.
local SPECIES_STREAM, RECORDING_STREAM, OTHERS_STREAM = 1 << 20, 1 << 21, 1 << 23
local VISIT_S = {8, 16} -- how long another species is heard

local function between(g, range) return range[1] + (range[2] - range[1]) * g:uniform() end

-- A normal number, cut off where it would sound odd.
local function wobble(g, deviation)
   return math.max(-2, math.min(2, g:normal())) * deviation
end

local function decibels(db) return 10 ^ (db / 20) end
local function semitones(n) return 2 ^ (n / 12) end

-- Syllables of one species, each on its own step of an octave.
local function repertoire(style, hz, g)
   local steps, list = g:shuffle(12):table(), {}
   for i = 1, SYLLABLES do
      list[i] = {hz = hz * semitones(steps[i] - 1), seconds = between(g, style.syllable_s),
         gap_s = between(g, style.gap_s), sweep = between(g, style.sweep), bend = 0.6 + 1.2 * g:uniform(),
         pulse_hz = style.pulse_hz and between(g, style.pulse_hz) or 0,
         vibrato_hz = style.vibrato_hz and between(g, style.vibrato_hz) or 0}
   end
   return list
end

-- Two songs of different syllables.
local function songs(list, g, part_s)
   local order, result = g:shuffle(SYLLABLES):table(), {}
   for k, name in ipairs({"a", "b"}) do
      local notes, t = {}, 0
      for part = 1, SONG_PARTS do
         local syllable = list[order[(k * 2 + part) % SYLLABLES + 1]]
         for _ = 1, math.max(1, math.floor(part_s / (syllable.seconds + syllable.gap_s) + 0.5)) do
            notes[#notes + 1] = {syllable = syllable, at_s = t}
            t = t + syllable.seconds + syllable.gap_s
         end
      end
      result[k] = {name = name, notes = notes, seconds = t - notes[#notes].syllable.gap_s}
   end
   return result
end

--- The species of a data set.
-- @tparam table p families, species, seed; song (seconds of one, about 2.4)
-- @treturn {table,...} code, common_name, scientific_name, family, style, songs
function dataset.species(p)
   local list = {}
   for f = 1, p.families do
      local family = FAMILIES[f]
      local style = STYLES[family.style]
      for k = 1, p.species do
         local g = sampling.generator(p.seed, SPECIES_STREAM + 16 * f + k)
         -- species of a family are spread over the range of its style
         local share = p.species > 1 and (k - 1) / (p.species - 1) or 0.5
         local hz = style.hz[1] * (style.hz[2] / style.hz[1]) ^ share
         hz = 440 * semitones(math.floor(12 * math.log(hz / 440, 2) + 0.5)) -- amid a chroma bin
         list[#list + 1] = {
            code = "syn" .. family.code .. k,
            common_name = ("Synthetic %s %d"):format(family.name, k),
            scientific_name = family.genus .. " " .. EPITHETS[k],
            family = ("%sidae (Synthetic %ss)"):format(family.genus:gsub("[aeu]s?$", ""),
               (family.name:gsub("[cs]h$", "%0e"))),
            style = family.style,
            songs = songs(repertoire(style, hz, g), g, p.song and p.song / SONG_PARTS or PART_S),
         }
      end
   end
   return list
end

-- When a recording of some length has which song, and how it is varied. Songs
-- come in bouts, as birds sing, with background between them.
local function performances(species, seconds, g)
   local main, list = g:integer(2), {}
   local t, song = (0.3 + 1.2 * g:uniform()) * math.min(1, seconds / 20), species.songs[main]
   while true do
      if #list > 0 and #list % BOUT == 0 then
         t = t + 5 + 7 * g:uniform()
         song = species.songs[g:uniform() < 0.7 and main or 3 - main]
      end
      local tempo = 1 + wobble(g, 0.007)
      if t + song.seconds * tempo > seconds - 0.2 then break end
      list[#list + 1] = {song = song, start_s = t, end_s = t + song.seconds * tempo, tempo = tempo,
         pitch = semitones(wobble(g, 0.12)), level = decibels(wobble(g, 1.5))}
      t = t + song.seconds * tempo + 0.1 + 0.3 * g:uniform()
   end
   return list
end

-- Other species, each for a while of its own, nearer or farther, whoever sings meanwhile.
local function visits(r, all, p)
   local g, list, n = sampling.generator(p.seed, OTHERS_STREAM + r.number), {}, 0
   local order = g:shuffle(#all)
   for i = 1, #all do
      local species = all[order[i]]
      if species ~= r.species and n < p.others then
         n = n + 1
         local seconds = math.min(r.seconds, between(g, VISIT_S))
         local from, level = (r.seconds - seconds) * g:uniform(), decibels(-9 + 12 * g:uniform())
         for _, event in ipairs(performances(species, seconds, g)) do
            event.species, event.level = species, event.level * level
            event.start_s, event.end_s = event.start_s + from, event.end_s + from
            list[#list + 1] = event
         end
      end
   end
   return list
end

--- Everything that is random in a recording, without its sound.
-- @tparam table species one of `dataset.species`
-- @tparam integer number of the recording in the data set
-- @tparam table p parameters
-- @tparam boolean short shorter than five seconds
-- @treturn table species, id, seconds, performances, levels of the noises
function dataset.recording(species, number, p, short)
   local g = sampling.generator(p.seed, RECORDING_STREAM + number)
   local seconds = short and 4.1 + 0.8 * g:uniform() or p.least_s + (p.most_s - p.least_s) * g:uniform()
   seconds = math.floor(seconds * 100) / 100
   local list = performances(species, seconds, g)
   local level = decibels(-24 + 14 * g:uniform())
   return {species = species, id = ("SYN%d"):format(number), number = number, seconds = seconds,
      performances = list, level = level,
      wind = level * decibels(-38 + 14 * g:uniform()),
      rain = g:uniform() < 0.4 and level * decibels(-30 + 8 * g:uniform()) or 0,
      insects = g:uniform() < 0.5 and level * decibels(-30 + 14 * g:uniform()) or 0,
      insects_hz = 6000 + 2500 * g:uniform()}
end

--- Add a song to sound.
-- @tparam bclua.array y f32 (samples)
-- @tparam table r `species`, `level` (of its syllables)
-- @tparam table event `song`, `start_s`, `tempo`, `pitch`, `level`: how it is varied
-- @tparam integer sample_rate Hz
-- @tparam generator g
function dataset.sing(y, r, event, sample_rate, g)
   local style = STYLES[(event.species or r.species).style]
   for _, note in ipairs(event.song.notes) do
      local s = note.syllable
      local hz = s.hz * event.pitch * semitones(wobble(g, 0.05) - s.sweep / 2)
      sampling.add_syllable(y, sample_rate, {
         start_s = event.start_s + note.at_s * event.tempo,
         seconds = s.seconds * event.tempo, bend = s.bend,
         level = r.level * event.level * decibels(wobble(g, 1)),
         start_hz = hz, end_hz = hz * semitones(s.sweep),
         pulse_hz = s.pulse_hz, pulse_depth = s.pulse_hz > 0 and style.pulse_depth or 0,
         vibrato_hz = s.vibrato_hz, vibrato_semitones = style.vibrato_semitones or 0,
         harmonics = style.harmonics, rolloff = style.rolloff,
      })
   end
end

--- The sound of a recording.
-- @tparam table r from `dataset.recording`
-- @tparam table p parameters
-- @treturn bclua.array f32 (samples)
function dataset.render(r, p)
   local rate = p.sample_rate
   local g = sampling.generator(p.seed, RECORDING_STREAM * 2 + r.number)
   local y = array.zeros(math.floor(r.seconds * rate + 0.5))
   sampling.add_noise(y, rate, "wind", g, {level = r.wind})
   if r.rain > 0 then sampling.add_noise(y, rate, "rain", g, {level = r.rain, rate = 40}) end
   if r.insects > 0 and r.insects_hz < rate / 2 then
      sampling.add_noise(y, rate, "insects", g, {level = r.insects, hz = r.insects_hz, chirp_hz = 23})
   end
   for _, event in ipairs(r.performances) do dataset.sing(y, r, event, rate, g) end
   local peak = #y > 0 and y:abs():max() or 0
   return peak > 0.95 and y * (0.95 / peak) or y
end

--- All species and recordings of a data set, without their sound.
-- @tparam table p parameters, complete
-- @treturn {table,...} species
-- @treturn {table,...} recordings
function dataset.plan(p)
   local species, recordings = dataset.species(p), {}
   for k, s in ipairs(species) do
      for i = 1, p.recordings + (k <= p.short and 1 or 0) do
         -- a number per species and recording: more of one moves no other
         local r = dataset.recording(s, k * 1000 + i, p, i > p.recordings)
         for _, event in ipairs(visits(r, species, p)) do table.insert(r.performances, event) end
         recordings[#recordings + 1] = r
      end
   end
   return species, recordings
end

local function source_name(r) return ("train_audio/%s/%s.ogg"):format(r.species.code, r.id) end

--- Make one recording, on a worker.
-- @tparam integer index in the plan
-- @tparam table o `{dir=, parameters=}`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function dataset.one(index, o)
   local _, recordings = dataset.plan(o.parameters)
   local r = recordings[index]
   local path = o.dir .. "/" .. source_name(r)
   if files.exists(path) then return true end -- written whole by an earlier run
   local ok, message = system.mkdir(files.dirname(path))
   if not ok then return nil, message end
   return audio.save(path, dataset.render(r, o.parameters), o.parameters.sample_rate)
end

--- A schema: what decides what is in a data set.
dataset.options = {
   families = {"integer", least = 1, most = #FAMILIES, default = 3, text = "Families, each with its style of song."},
   species = {"integer", least = 1, most = #EPITHETS, default = 2, text = "Species per family."},
   recordings = {"integer", least = 1, most = 900, default = 6, text = "Recordings per species."},
   short = {"integer", least = 0, most = 1000, default = 2,
      text = "Species with one more recording, shorter than 5 s."},
   least_s = {"number", least = 12, most = 3600, default = 14, unit = "s", option = "least",
      text = "Length of the shortest of the others."},
   most_s = {"number", least = 12, most = 3600, default = 44, unit = "s", option = "most",
      text = "Length of the longest."},
   others = {"integer", least = 0, most = 16, default = 0, text = "Other species that are heard for a while in each " ..
      "recording, also over each other: soundscapes."},
   sample_rate = {"integer", least = 16000, most = 192000, default = 32000, unit = "Hz", text = "Sample rate."},
   seed = {"integer", least = 0, most = 1 << 31, default = 1, text = "Another seed gives other birds."},
}
local MAKE = options_of.extend(dataset.options, {threads = {"integer", least = 1, most = 1024}, progress = "function"})

--- What `make` does unless told otherwise.
dataset.defaults = options_of.check(nil, dataset.options)

-- A folder is new, or holds (part of) the very same data set.
local function open_folder(dir, p)
   local path = dir .. "/dataset.json"
   if files.exists(path) then
      local old, message = files.read_json(path)
      if not old then return nil, message end
      for name, value in pairs(p) do
         local had = old[name] or dataset.defaults[name] -- one that an earlier version did not have
         if had ~= value then
            return nil, ("%s: a data set with %s %.14g, not %.14g: remove it or take another folder"):format(
               dir, name, tonumber(had) or 0 / 0, value)
         end
      end
      return true
   end
   if files.exists(dir) then
      local found, message = files.find(dir)
      if not found then return nil, message end
      if #found > 0 then return nil, dir .. ": not empty, and no data set that was made here" end
   end
   local ok, message = system.mkdir(dir)
   if not ok then return nil, message end
   return files.write_json(path, p)
end

local function write_tables(dir, species, recordings)
   local taxonomy, calls = {}, {}
   for i, s in ipairs(species) do
      taxonomy[i] = {SPECIES_CODE = s.code, PRIMARY_COM_NAME = s.common_name, SCI_NAME = s.scientific_name,
         FAMILY = s.family}
   end
   for _, r in ipairs(recordings) do
      for _, event in ipairs(r.performances) do
         calls[#calls + 1] = {file = source_name(r), species = (event.species or r.species).code,
            song = event.song.name, start_s = ("%.3f"):format(event.start_s), end_s = ("%.3f"):format(event.end_s)}
      end
   end
   local ok, message = system.write_file(dir .. "/taxonomy.csv",
      files.csv({"SPECIES_CODE", "PRIMARY_COM_NAME", "SCI_NAME", "FAMILY"}, taxonomy))
   if not ok then return nil, message end
   ok, message = system.write_file(dir .. "/calls.csv",
      files.csv({"file", "species", "start_s", "end_s", "song"}, calls))
   if not ok then return nil, message end
   return #calls
end

--- Make a data set.
-- A run that was broken off goes on where it stopped. A folder with other
-- files, or with a data set of other parameters, is refused.
-- @tparam string dir the folder
-- @tparam[opt] table options `families` (3, up to 8), `species` per family (2, up to 9),
-- `recordings` per species (6), `short` (2: species that have one more recording,
-- shorter than 5 s), `least_s`, `most_s` (14, 44: length of the others), `others` (0: of
-- other species how many sing in each recording), `sample_rate` (32000), `seed` (1); `threads`;
-- `progress` (called with how many of how many recordings are done)
-- @treturn[1] table `{species=, recordings=, calls=, seconds=}` numbers
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
-- @raise if an option is unknown or outside its limits
function dataset.make(dir, options)
   local o, p = options_of.check(options, MAKE), {}
   if o.most_s < o.least_s then error("option 'most_s' must not be below least_s", 2) end
   for name in pairs(dataset.options) do p[name] = o[name] end
   p.least_s, p.most_s = p.least_s + 0.0, p.most_s + 0.0 -- as `dataset.json` has them
   local locked <close>, busy = require("bclua.lock").folder(dir)
   if not locked then return nil, busy end
   local ok, message = open_folder(dir, p)
   if not ok then return nil, message end
   local species, recordings = dataset.plan(p)
   local numbers, seconds = {}, 0
   for i, r in ipairs(recordings) do
      numbers[i] = i
      seconds = seconds + r.seconds
   end
   local settings = o.threads and {threads = o.threads}
   for i, done, why in require("bclua.parallel").map(numbers, "bclua.data.dataset", "one",
      {dir = dir, parameters = p}, settings) do
      if not done then return nil, why end
      if o.progress then o.progress(i, #recordings) end
   end
   local calls
   calls, message = write_tables(dir, species, recordings)
   if not calls then return nil, message end
   return {species = #species, recordings = #recordings, calls = calls, seconds = seconds}
end

--- Read the true times of the songs of a data set.
-- @tparam string dir
-- @treturn[1] {table,...} `{file=, species=, start_s=, end_s=, song=}` in order of file
-- and time; file is relative to dir, as `source_name` in the outputs
-- @treturn[1] table the same by file: file → list
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function dataset.calls(dir)
   local path = dir .. "/calls.csv"
   local text, message = files.read(path)
   if not text then return nil, message end
   local list, by_file, line = {}, {}, 0
   for row in text:gmatch("[^\n]+") do
      line = line + 1
      if line > 1 then
         local file, species, start_s, end_s, song = row:match("^([^,]+),([^,]+),([%d.]+),([%d.]+),([^,]+)$")
         if not song then
            return nil, ("%s: line %d is not file,species,start_s,end_s,song"):format(path, line)
         end
         local call = {file = file, species = species, start_s = tonumber(start_s), end_s = tonumber(end_s),
            song = song}
         list[#list + 1] = call
         by_file[file] = by_file[file] or {}
         table.insert(by_file[file], call)
      end
   end
   return list, by_file
end

--- Seconds of a window that songs cover.
-- @tparam {table,...}|nil calls of one file, from `dataset.calls`
-- @tparam number start_s
-- @tparam number end_s
-- @treturn number 0 .. end_s - start_s
function dataset.covered_s(calls, start_s, end_s)
   local sum = 0
   for _, call in ipairs(calls or {}) do
      sum = sum + math.max(0, math.min(end_s, call.end_s) - math.max(start_s, call.start_s))
   end
   return sum
end

return dataset
