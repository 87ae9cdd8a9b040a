local array = require "bclua.array"
local audio = require "bclua.audio"
local dataset = require "bclua.data.dataset"
local files = require "bclua.files"

describe("dataset", function()
   local small = {families = 2, species = 1, recordings = 1, short = 1, least_s = 12, most_s = 13,
      sample_rate = 16000, seed = 3}
   local root, dir

   local function make(name, changes)
      local options = {}
      for k, v in pairs(small) do options[k] = v end
      for k, v in pairs(changes or {}) do options[k] = v end
      return dataset.make(root .. "/" .. name, options)
   end

   local function complete(p)
      local all = {}
      for k, v in pairs(dataset.defaults) do all[k] = v end
      for k, v in pairs(p or {}) do all[k] = v end
      return all
   end

   setup(function()
      root = os.tmpname()
      os.remove(root)
      dir = root .. "/set"
      assert(make("set"))
   end)

   teardown(function() os.execute("rm -r '" .. root .. "'") end)

   it("has the BirdCLEF layout, with a taxonomy and the true times", function()
      assert.same({"calls.csv", "dataset.json", "taxonomy.csv", "train_audio/synfin1/SYN1001.ogg",
         "train_audio/synfin1/SYN1002.ogg", "train_audio/synwre1/SYN2001.ogg"}, files.find(dir))
      assert.equal([[
SPECIES_CODE,PRIMARY_COM_NAME,SCI_NAME,FAMILY
synfin1,Synthetic Finch 1,Fictifringilla prima,Fictifringillidae (Synthetic Finches)
synwre1,Synthetic Wren 1,Fictitroglodytes prima,Fictitroglodytidae (Synthetic Wrens)
]], files.read(dir .. "/taxonomy.csv"))
   end)

   it("writes mono Ogg of the rate and length asked for, and short ones below 5 s", function()
      for _, case in ipairs({{"synfin1/SYN1001", 12, 13}, {"synfin1/SYN1002", 4, 5}, {"synwre1/SYN2001", 12, 13}}) do
         local info = assert(audio.info(dir .. "/train_audio/" .. case[1] .. ".ogg"))
         assert.equal("ogg vorbis 1 16000", ("%s %s %d %d"):format(info.format, info.subtype, info.channels,
            info.sample_rate))
         assert.is_true(info.seconds >= case[2] and info.seconds < case[3])
      end
   end)

   it("has soundscapes: the same birds, and others for a while, some over each other", function()
      local p, alone = complete({families = 4, species = 1, recordings = 4, short = 0, least_s = 20, most_s = 25,
         others = 2}), complete({families = 4, species = 1, recordings = 4, short = 0, least_s = 20, most_s = 25})
      local _, before = dataset.plan(alone)
      local _, recordings = dataset.plan(p)
      local over = 0
      for i, r in ipairs(recordings) do
         local heard, species = {}, 0
         for k, event in ipairs(r.performances) do
            if k <= #before[i].performances then
               assert.same(before[i].performances[k], event)
            else
               assert.is_true(event.species ~= r.species and event.start_s >= 0 and event.end_s <= r.seconds)
               if not heard[event.species] then heard[event.species], species = true, species + 1 end
               for j = 1, #before[i].performances do
                  local main = r.performances[j]
                  if main.start_s < event.end_s and event.start_s < main.end_s then over = over + 1 end
               end
            end
         end
         assert.equal(2, species)
      end
      assert.is_true(over > 0)
      local last = recordings[1].performances[#recordings[1].performances]
      local function power(r, from, to)
         local y = dataset.render(r, p):slice(1, from * p.sample_rate // 1 + 1, to * p.sample_rate // 1)
         return (y * y):mean()
      end
      assert.is_true(power(recordings[1], last.start_s, last.end_s) > power(before[1], last.start_s, last.end_s))
   end)

   it("sings at the times it says, and nowhere else", function()
      local calls, by_file = dataset.calls(dir)
      local n = 0
      for file, list in pairs(by_file) do
         local y, sample_rate = audio.load(dir .. "/" .. file)
         -- wind stays below 200 Hz: the difference of neighbouring samples leaves the songs
         local high = y:slice(1, 2, #y) - y:slice(1, 1, #y - 1)
         local function power(start_s, end_s)
            local part = high:slice(1, math.floor(start_s * sample_rate) + 1, math.floor(end_s * sample_rate))
            return (part * part):mean()
         end
         for i, call in ipairs(list) do
            assert.equal(file:match("train_audio/(%w+)/"), call.species)
            assert.is_true(call.end_s <= #y / sample_rate)
            assert.is_true(call.end_s - call.start_s > 1.5 and call.end_s - call.start_s < 5)
            local before = i > 1 and list[i - 1].end_s or 0
            assert.is_true(call.start_s > before)
            if call.start_s - before > 0.1 then
               assert.is_true(power(call.start_s, call.end_s) > 5 * power(before + 0.02, call.start_s - 0.02))
            end
            n = n + 1
         end
      end
      assert.equal(#calls, n)
   end)

   it("repeats a song in every recording that is not short", function()
      for seed = 1, 20 do
         local _, recordings = dataset.plan(complete({seed = seed, least_s = 12}))
         for _, r in ipairs(recordings) do
            local list = r.performances
            assert.is_true(#list >= (r.seconds < 5 and 1 or 2))
            assert.is_true(#list < 2 or list[1].song == list[2].song)
         end
      end
   end)

   it("leaves background without song", function()
      local p = complete()
      local _, recordings = dataset.plan(p)
      local sung, all = 0, 0
      for _, r in ipairs(recordings) do
         sung, all = sung + dataset.covered_s(r.performances, 0, r.seconds), all + r.seconds
      end
      assert.is_true(sung / all > 0.3 and sung / all < 0.65)
   end)

   it("gives the same bytes for the same parameters, on any number of threads", function()
      assert(make("again", {threads = 1}))
      for _, path in ipairs(files.find(dir)) do
         assert.is_true(files.read(dir .. "/" .. path) == files.read(root .. "/again/" .. path), path)
      end
   end)

   it("gives other birds for another seed, and the same for more recordings", function()
      local function songs_of(p)
         local _, recordings = dataset.plan(complete(p))
         local by_id = {}
         for _, r in ipairs(recordings) do by_id[r.species.code .. r.id] = r.performances[1].start_s end
         return by_id
      end
      local one, other, more = songs_of({seed = 1}), songs_of({seed = 2}), songs_of({seed = 1, recordings = 9})
      assert.not_equal(one.synfin1SYN1001, other.synfin1SYN1001)
      assert.equal(one.synfin1SYN1001, more.synfin1SYN1001)
      assert.equal(one.syndov2SYN6003, more.syndov2SYN6003)
   end)

   it("tells species of a family apart by pitch or syllables", function()
      local species = dataset.species(complete({families = 8, species = 9}))
      assert.equal(72, #species)
      local codes = {}
      for _, s in ipairs(species) do
         assert.is_nil(codes[s.code])
         codes[s.code] = true
         for _, song in ipairs(s.songs) do
            for _, note in ipairs(song.notes) do assert.is_true(note.syllable.hz < 4000) end
         end
      end
      assert.not_equal(species[1].songs[1].notes[1].syllable.hz, species[2].songs[1].notes[1].syllable.hz)
   end)

   it("goes on where it was broken off, and refuses other folders", function()
      local file = dir .. "/train_audio/synfin1/SYN1002.ogg"
      local bytes = files.read(file)
      os.remove(file)
      os.remove(dir .. "/calls.csv")
      assert.same({species = 2, recordings = 3, calls = #dataset.calls(root .. "/again"), seconds =
         make("again").seconds}, make("set"))
      assert.is_true(bytes == files.read(file))
      local none, message = make("set", {seed = 4})
      assert.is_nil(none)
      assert.equal(dir .. ": a data set with seed 3, not 4: remove it or take another folder", message)
      none, message = dataset.make(root)
      assert.is_nil(none)
      assert.equal(root .. ": not empty, and no data set that was made here", message)
      none, message = dataset.make("/dev/null/x")
      assert.is_nil(none)
      assert.matches("^/dev/null/x", message)
   end)

   it("names the option it rejects", function()
      local function rejects(pattern, options)
         assert.error_matches(function() dataset.make(root .. "/no", options) end, pattern)
      end
      rejects("unknown option 'specis'", {specis = 1})
      rejects("option 'species' must be an integer from 1 to 9, got 1.5", {species = 1.5})
      rejects("option 'least_s' must be a number from 12 to 3600, got 1", {least_s = 1})
      rejects("'most_s' must not be below least_s", {least_s = 30, most_s = 20})
      assert.is_false(files.exists(root .. "/no"))
   end)

   it("says which calls file it cannot read", function()
      local none, message = dataset.calls(root .. "/nothing")
      assert.is_nil(none)
      assert.matches("nothing/calls.csv: No such file", message)
      require("bclua.system").mkdir(root .. "/bad")
      require("bclua.system").write_file(root .. "/bad/calls.csv", "file,species,start_s,end_s,song\na,b,c\n")
      none, message = dataset.calls(root .. "/bad")
      assert.is_nil(none)
      assert.matches("bad/calls.csv: line 2 is not", message)
   end)

   it("adds up what calls cover of a window", function()
      local calls = {{start_s = 1, end_s = 3}, {start_s = 4, end_s = 6}}
      assert.equal(3, dataset.covered_s(calls, 2, 8))
      assert.equal(0, dataset.covered_s(calls, 3, 4))
      assert.equal(0, dataset.covered_s(nil, 0, 5))
   end)

   it("renders without clipping and without what is not finite", function()
      local p = complete({sample_rate = 16000})
      local _, recordings = dataset.plan(p)
      for i = 1, #recordings, 17 do
         local y = dataset.render(recordings[i], p)
         assert.is_true(y:is_finite() and y:abs():max() <= 0.96)
         assert.is_true(array.equal(y, dataset.render(recordings[i], p)))
      end
   end)
end)
