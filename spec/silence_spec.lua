-- What recorders leave where there is no sound, and that none of it becomes an example of anything.
local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local files = require "bclua.files"
local sampling = require "bclua.sampling"
local silence = require "bclua.workflow.silence"
local sql = require "bclua.sql"
local system = require "bclua.system"

local RATE = 32000
local dir
setup(function() dir = command.folder() end)
teardown(function() command.remove(dir) end)

local function noise(seconds, seed, level)
   return (sampling.generator(seed):normal(math.floor(seconds * RATE)) * (level or 0.02)):copy("f32")
end

describe("silence", function()
   it("covers a window most of which is constant", function()
      local y = noise(5, 1)
      assert.is_false(silence.covers(y, RATE))
      y:slice(1, 1, 2.4 * RATE):fill(0)
      assert.is_false(silence.covers(y, RATE))
      y:slice(1, 3 * RATE + 1, 3.4 * RATE):fill(-0.5)
      assert.is_true(silence.covers(y, RATE))
      assert.is_false(silence.covers(y, RATE, 0.9))
      assert.is_true(silence.covers(array.zeros(5 * RATE), RATE, 0.95))
      assert.is_true(silence.covers(array.full(7, 0.25), RATE)) -- less than a tenth of a second
      assert.is_false(silence.covers(noise(0.05, 2), RATE))
      assert.is_false(silence.covers(noise(1, 3, 1e-5), RATE)) -- a third of a step of 16 bits is sound all the same
   end)

   it("has a reason", function()
      local y = noise(2, 1)
      local function save(name, samples)
         assert(audio.save(dir .. "/" .. name, samples, RATE))
         return dir .. "/" .. name
      end
      local opposite = save("o.wav", array.concat{y, y * -1}:reshape{2, #y})
      assert.matches("its channels cancel each other", silence.why(opposite))
      assert.equal("silent (every sample is the same)", silence.why(save("s.wav", array.zeros(RATE))))
      local half = save("h.wav", array.concat{y, array.zeros(#y)}:reshape{2, #y})
      assert.equal("channel 2 is silent (every sample is the same)", silence.why(half, 2))
      assert.is_nil(silence.about(half, 0, 3))
      assert.equal("silent or constant: 2 of its 3 windows", silence.about(half, 2, 3))
      assert.equal("channel 2 is silent (every sample is the same)", silence.about(half, 3, 3, 2))
      assert.equal("silent or constant wherever it was looked at", silence.about(half, 3, 3))
   end)
end)

-- Background with the same call twice, and then what a recorder does to it.
local function recording(species, seed, spoil)
   local y = noise(44, seed)
   for _, at in ipairs{4, 27} do
      for i = 0, 2 * RATE - 1 do
         local s = i / RATE
         local hz = species == "x" and 3000 + 800 * math.sin(14 * s) or 1400 - 300 * s
         local k = at * RATE + i + 1
         y[k] = y[k] + 0.2 * math.sin(2 * math.pi * hz * s) * (s % 0.5 < 0.3 and 1 or 0)
      end
   end
   spoil(y)
   return y
end

local function fill(value, ...)
   local runs = {...}
   return function(y)
      for _, run in ipairs(runs) do y:slice(1, run[1] * RATE + 1, run[2] * RATE):fill(value) end
   end
end

describe("a recorder that pauses, pads, or drops out", function()
   local spoilt = {
      gated = fill(0, {0, 3.5}, {7, 26}, {30, 44}), padded = fill(0, {0, 3}, {33, 44}),
      dropped = fill(0.125, {8, 14}, {14.2, 24}, {31, 42.5}), whole = fill(0),
   }
   local motif, found

   setup(function()
      local seed = 0
      for name, spoil in pairs(spoilt) do
         for _, species in ipairs{"x", "y"} do
            seed = seed + 1
            local path = ("%s/data/train_audio/%s/%s.flac"):format(dir, species, name)
            assert(system.mkdir(files.dirname(path)))
            assert(audio.save(path, recording(species, seed, spoil), RATE))
         end
      end
      motif = dir .. "/motif.parquet"
      assert(require("bclua.workflow.extract").run{input = dir .. "/data/train_audio", output = dir .. "/motif",
         quiet = true})
      assert(require("bclua.workflow.consolidate").run{input = dir .. "/motif", output = motif, quiet = true})
      found = {}
      for _, row in ipairs(sql.query("from '" .. motif .. "'")) do found[row.source_name] = row end
   end)

   local function row(name) return found["train_audio/" .. name .. ".flac"] end

   it("has silences longer than half a window in its table", function()
      assert.same({0, 3.5, 7, 26, 30, 44}, row "x/gated".silence:table())
      assert.same({0, 3, 33, 44}, row "y/padded".silence:table())
      assert.same({8, 14, 14.2, 24, 31, 42.5}, row "x/dropped".silence:table())
      assert.is_nil(row "x/whole".silence)
   end)

   it("gives its calls as motifs, and no silence as motif or discord", function()
      for _, name in ipairs{"x/gated", "y/gated"} do
         local r = row(name)
         local at = {r.motif_0 / 10, r.motif_1 / 10}
         table.sort(at)
         for i, call in ipairs{4, 27} do assert.is_true(math.abs(at[i] + 2.5 - call - 1) < 3, name) end
      end
      for _, r in pairs(found) do
         for _, key in ipairs{"motif_0", "motif_1", "discord_0", "discord_1"} do
            local centre = r[key] / 10 + 2.5
            for k = 1, r.silence and #r.silence or 0, 2 do
               assert(centre <= r.silence[k] + 0.1 or centre >= r.silence[k + 1] - 0.1, r.source_name .. key)
            end
         end
      end
   end)

   it("gives no silent tile, whatever is drawn", function()
      local drawn = require "bclua.workflow.triplets"
      for i, options in ipairs{{pick = "calls"}, {clips = 3}, {pick = "discord", clip_distance = 6}} do
         local o = {input = motif, output = ("%s/t%d.parquet"):format(dir, i), samples = 500, holdout = 0,
            mixture = {1, 3, 1, 3}, dataset_root = dir .. "/data", quiet = true}
         for k, v in pairs(options) do o[k] = v end
         assert(drawn.run(o))
         local seen = require("bclua.workflow.audit").run{input = o.output, dataset_root = dir .. "/data", limit = 0,
            duration = 5, quiet = true}
         assert.same({"silent", 0}, {seen.checks[1].name, seen.checks[1].tiles})
         local clips = sql.query(("select c, c_loc from '%s' where distant = 'clip'"):format(o.output))
         assert.is_true(#clips > 200)
         for _, clip in ipairs(clips) do
            local silent = found[clip.c].silence
            for k = 1, silent and #silent or 0, 2 do
               assert(not (clip.c_loc > silent[k] and clip.c_loc < silent[k + 1]), clip.c .. clip.c_loc)
            end
         end
      end
   end)

   it("is read from tables that do not say where it is silent", function()
      local old = dir .. "/old.parquet"
      assert(sql.write_parquet(old, ("select * exclude (silence) from '%s'"):format(motif)))
      assert(require("bclua.workflow.triplets").run{input = old, output = dir .. "/t.parquet", samples = 50,
         holdout = 0, quiet = true})
      assert(sql.write_parquet(old, ("select * replace ([3.0, 1.0] as silence) from '%s'"):format(motif)))
      local _, message = require("bclua.workflow.triplets").run{input = old, output = dir .. "/u.parquet", quiet = true}
      assert.matches("old.parquet: column 'silence', row 1: must be seconds in order", message)
   end)
end)
