-- What is read block by block gives the very numbers of the whole in memory.
local analysis = require "bclua.workflow.analysis"
local array = require "bclua.array"
local audio = require "bclua.audio"
local cens = require "bclua.cens"
local command = require "support.command"
local extract = require "bclua.workflow.extract"
local files = require "bclua.files"
local sampling = require "bclua.sampling"
local stomp = require "bclua.stomp"

local RATE, HOP, WINDOW = 16000, 1600, 20
local P = {sample_rate = RATE, cens_sample_rate = 10, matrix_profile_window = WINDOW}

local function with(more)
   local p = {}
   for _, t in ipairs{P, more} do
      for k, v in pairs(t) do p[k] = v end
   end
   return p
end

-- Of all samples at once: frames that do not move, and CENS without the middle of their runs.
local function hide(c, y)
   local half, hidden, first = WINDOW // 2, c:copy(), nil
   for i = 0, #y // HOP do
      local frame = i < #y // HOP and y:slice(1, i * HOP + 1, (i + 1) * HOP)
      if frame and frame:max() - frame:min() < 1e-6 then
         first = first or i
      elseif first then
         local margin = math.min(half, (i - first - 1) // 2)
         if i - first > half then hidden:slice(2, first + margin + 1, i - margin):fill(0 / 0) end
         first = nil
      end
   end
   return hidden
end

-- The whole of a recording in memory.
local function whole(path)
   local y, _, warning = assert(audio.load(path, {sample_rate = RATE}))
   local c, info = cens.cens(y, {sample_rate = RATE, hop = HOP})
   return {samples = #y, cens = c, tuning = info.tuning, warning = warning,
      profile = #y >= WINDOW * HOP and stomp.self_join(hide(c, y), WINDOW)}
end

describe("a recording that is read block by block", function()
   local folder
   setup(function() folder = command.folder() end)
   teardown(function() command.remove(folder) end)

   local function noise(n, seed) return (sampling.generator(seed or 1):normal(n) * 0.1):copy("f32") end

   local function save(name, y, rate)
      assert(audio.save(folder .. "/" .. name, y, rate or RATE))
      return folder .. "/" .. name
   end

   -- Blocks of which at most 64 are kept: all of it, or it is decoded again.
   local function check(path, blocks)
      local expected = whole(path)
      for _, block in ipairs(blocks or {1, HOP, 3 * HOP, 1 << 20}) do
         local r = assert(analysis.analyse(path, with{block = block}))
         assert.equal(expected.samples, r.duration_samples)
         assert.equal(expected.tuning, r.tuning)
         assert.equal(expected.warning, r.warning)
         assert.is_true(array.equal(expected.cens, r.cens))
         if expected.profile then
            assert.equal(expected.profile.distance:string(), r.profile.distance:string())
            assert.equal(expected.profile.index:string(), r.profile.index:string())
         else
            assert.is_nil(r.profile)
         end
      end
      return expected
   end

   it("may end anywhere near the border of a block", function()
      for _, n in ipairs{2, HOP - 1, HOP, 70 * HOP - 1, 70 * HOP, 70 * HOP + 1, 72 * HOP, 193 * HOP + 1} do
         check(save("a.wav", noise(n)), {1, 3 * HOP})
      end
   end)

   it("may be stereo and of another sample rate", function()
      local a, b = noise(300000, 2), noise(300000, 3)
      for _, rate in ipairs{16000, 44100, 12000, 48000} do
         check(save("a.wav", array.concat{a:reshape{1, #a}, b:reshape{1, #b}}, rate))
      end
      check(save("a.ogg", a, 22050))
   end)

   it("is silent across the borders of blocks", function()
      local y = noise(150 * HOP, 4)
      y:slice(1, 29 * HOP + 5, 61 * HOP):fill(0)
      y:slice(1, 75 * HOP + 1, 88 * HOP):fill(0.25)
      y:slice(1, 140 * HOP + 1, 150 * HOP):fill(0)
      local expected = check(save("a.wav", y), {1, 2 * HOP, 5 * HOP, 30 * HOP, 61 * HOP, 1 << 20})
      local hidden = 0
      for i = 1, #expected.profile.index do hidden = hidden + (expected.profile.index[i] == -1 and 1 or 0) end
      assert.is_true(hidden > 20 and hidden < 90)
   end)

   it("ends where it is damaged, each time it is decoded", function()
      for name, at in pairs{["a.ogg"] = 0.6, ["a.flac"] = 0.6} do
         local path = save(name, noise(200 * HOP, 5))
         local bytes = command.read(path)
         local from = math.floor(at * #bytes)
         command.write(path, bytes:sub(1, from) .. ("\0"):rep(5000) .. bytes:sub(from + 5001))
         local expected = check(path)
         assert.matches("damaged", expected.warning)
         assert.is_true(expected.samples > 50 * HOP and expected.samples < 200 * HOP)
         local r, message = analysis.analyse(path, with{strict_audio = true, block = HOP})
         assert.is_nil(r)
         assert.matches("^" .. path:gsub("%p", "%%%0") .. ": .*damaged", message)
      end
      local path = save("b.wav", noise(200 * HOP, 6))
      command.write(path, command.read(path):sub(1, 44 + 2 * 150 * HOP + 500))
      assert.matches("its header says 20.000 s", check(path).warning)
   end)

   it("gives files that are the same to the byte", function()
      local path = save("a.wav", noise(150 * HOP, 7), 24000)
      local function bytes(name, block)
         local item = {path = path, source_name = "x/a.wav", species = "x", output = folder .. "/" .. name}
         assert(extract.one(item, with{block = block, layout = "files"}))
         local list = {}
         for _, file in ipairs{"cens.npy", "mp.npy", "pi.npy", "metadata.json"} do
            list[#list + 1] = assert(files.read(item.output .. "/" .. file))
         end
         return list
      end
      local one = bytes("1", 1 << 20)
      assert.same(one, bytes("2", 1))
      assert.same(one, bytes("3", 7 * HOP))
   end)

   it("tells how much is done", function()
      local path = save("a.wav", noise(200 * HOP, 10))
      local last, names = {}, {}
      assert(analysis.analyse(path, with{block = HOP}, function(name, share)
         assert.is_true(share >= (last[name] or 0) and share <= 1, name)
         if not last[name] then names[#names + 1] = name end
         last[name] = share
      end))
      assert.same({"reading, pass 1", "reading, pass 2", "matrix profile"}, names)
      assert.same({1, 1, 1}, {last[names[1]], last[names[2]], last[names[3]]})
   end)

   it("is refused without a sample, and where nothing can be heard, whatever the blocks", function()
      local function refuses(y, message)
         local path = save("a.wav", y)
         for _, block in ipairs{1, 1 << 20} do
            local r, why = analysis.analyse(path, with{block = block})
            assert.is_nil(r)
            assert.equal(path .. message, why:sub(1, #path + #message))
         end
      end
      local y = noise(80 * HOP, 8):reshape{1, 80 * HOP}
      refuses(array.zeros(0), ": no samples")
      refuses(array.zeros(80 * HOP), ": silent (every sample is the same)")
      refuses(array.full({80 * HOP}, 0.5), ": silent")
      refuses(array.concat{y, -y}, ": its channels cancel each other")
   end)

   it("may have most of its sound above what is looked at", function()
      local y = noise(4 * 70 * HOP, 9)
      for i = 1, #y do y[i] = (i % 2 == 0 and 0.3 or -0.3) + y[i] * 0.1 end -- 32 kHz and a little noise
      local path = save("a.wav", y, 64000)
      for _, block in ipairs{1, 1 << 20} do
         assert.matches("^%d+ %% of its sound lies above 8 kHz", (analysis.analyse(path, with{block = block})).warning)
      end
   end)
end)
