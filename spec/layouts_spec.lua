local command = require "support.command"
local files = require "bclua.files"
local layouts = require "bclua.data.layouts"
local recordings = require "bclua.data.recordings"
local system = require "bclua.system"

describe("the layout of recordings", function()
   local function guess(paths, base, has_taxonomy) return (layouts.guess(base or "data", paths, has_taxonomy)) end

   it("is species in folders that are called like nothing else", function()
      for _, path in ipairs{"adewar1/XC1.ogg", "banana/old/XC2.ogg", "north/a.wav", "1139490/CSA1.ogg",
         "Turdus merula/1.mp3", "siteno1/XC1.ogg", "barowl/b.ogg",
         "adewar1/0.912_soundscape_20230514_043000_12.0_15.0s.wav"} do
         assert.equal("species", guess{path}, path)
      end
   end)

   it("is species in the folder of a competition and beside a taxonomy, whatever folders are called", function()
      local paths = {"20230514/20230514_043000.wav", "a.wav"}
      assert.equal("flat", guess(paths))
      assert.equal("species", guess(paths, "train_audio"))
      assert.equal("species", guess(paths, "data", true))
   end)

   it("is flat where half of the recordings or more lie directly in the folder", function()
      assert.equal("flat", guess{"20230514_043000.WAV"})
      assert.equal("flat", guess{"a.wav", "x/b.wav"})
      assert.equal("species", guess{"a.wav", "x/b.wav", "x/c.wav"})
   end)

   it("is sites in folders with dates, of recorders, or of files named by date and time", function()
      for _, path in ipairs{"north/2023-05-14/0430.wav", "north/20230514/x.wav", "a/14.05.2023/x.wav",
         "2023/05/14/x.wav", "2023-05/x.wav", "deployment_20230514/x.wav", "north/20230514_043000.WAV",
         "x/NORTH_20230514_043000.wav",
         "x/S4A01234_20230514_043000.wav", "x/SM304472_0+1_20230514$043000.wav", "x/2023-05-14_04-30-00.wav",
         "x/20230514_043000_UTC.wav", "x/20230514T043000Z.wav", "x/20230514_043000+0200.wav", "x/20230514_0430.wav",
         "site 3/x.wav", "Plot_b/x.wav", "point12/x.wav", "SMM01234/x.wav", "24F319046453AABC/x.wav", "rec-1/x.wav"} do
         assert.equal("site", guess{path}, path)
      end
      assert.equal("species", guess{"x/20231514_043000.wav"}) -- no month has the number 15
      assert.equal("species", guess{"x/20230514_993000.wav"})
   end)

   it("goes by most recordings", function()
      assert.equal("species", guess{"a/1.ogg", "a/2.ogg", "b/20230514_043000.wav"})
      assert.equal("site", guess{"a/1.ogg", "b/20230514_043000.wav"})
   end)

   it("says species or site of a recording", function()
      local function of(...) return table.pack(layouts.of(...)) end
      assert.same({"a", nil, n = 2}, of("a/b/1.ogg", "species"))
      assert.same({nil, nil, n = 2}, of("1.ogg", "species"))
      for path, site in pairs{["north/2023-05-14/1.wav"] = "north", ["2023-05-14/north/1.wav"] = "north",
         ["2023/05/14/1.wav"] = false, ["DATA/20230514_043000.wav"] = false, ["Data/north/1.wav"] = "north",
         ["14.05.2023/1.wav"] = false, ["1.wav"] = false, ["7/1.wav"] = "7"} do
         assert.same({nil, site or nil, n = 2}, of(path, "site"), path)
      end
      assert.same({nil, nil, n = 2}, of("north/1.wav", "flat"))
   end)
end)

describe("a folder of recordings", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   local function list(paths, layout)
      for _, path in ipairs(paths) do
         assert(system.mkdir(files.dirname(dir .. "/data/" .. path)))
         command.write(dir .. "/data/" .. path, "")
      end
      local found, _, _, taken = recordings.list(dir .. "/data", layout)
      local places = {}
      for i, r in ipairs(found) do places[i] = ("%s|%s|%s"):format(r.species or "", r.site or "", r.id) end
      return places, layouts.words(found, taken)
   end

   it("is listed with its sites, each recording under its path, and says so", function()
      local paths = {"north/2023-05-14/0430.wav", "north/2023-05-15/0430.wav", "south/2023-05-14/0430.wav"}
      local places, words = list(paths)
      assert.same({"|north|north/2023-05-14/0430", "|north|north/2023-05-15/0430", "|south|south/2023-05-14/0430"},
         places)
      assert.equal("2 sites, no species: groups are recordings; if the folders are species: --data-layout species " ..
         "(data.layout of the pipeline)", words)
      places, words = list(paths, "species")
      assert.equal("north||2023-05-14/0430", places[1])
      assert.equal("2 species", words)
      places, words = list(paths, "flat")
      assert.equal("||north/2023-05-14/0430", places[1])
      assert.equal("no species: groups are recordings", words)
   end)

   it("without folders has neither", function()
      local places, words = list{"20230514_043000.WAV", "20230514_044000.WAV", "CONFIG.TXT"}
      assert.same({"||20230514_043000", "||20230514_044000"}, places)
      assert.equal("no species: groups are recordings", words)
   end)

   it("of species says how many, and how many recordings have none", function()
      local _, words = list{"a/1.ogg", "b/2.ogg", "b/3.ogg", "stray.ogg"}
      assert.equal("2 species, 1 recording without; if the folders are sites: --data-layout site (data.layout of " ..
         "the pipeline)", words)
      command.write(dir .. "/data/eBird_taxonomy.csv", "SPECIES_CODE\n")
      _, words = list{}
      assert.equal("2 species, 1 recording without", words)
   end)

   it("is the one that is called train_audio, also from within", function()
      assert(system.mkdir(dir .. "/train_audio/20230514"))
      command.write(dir .. "/train_audio/20230514/1.wav", "")
      local program = require("lfs").currentdir() .. "/" .. command.program
      local out = command.shell(("cd %s/train_audio && %s -e %s"):format(dir, command.quote(program),
         command.quote('print(require("bclua.data.recordings").list(".")[1].species)')))
      assert.equal("20230514\n", out)
   end)
end)
