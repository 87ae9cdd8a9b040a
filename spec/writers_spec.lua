local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local sampling = require "bclua.sampling"

local dir
before_each(function() dir = command.folder() end)
after_each(function() command.remove(dir) end)

local function listing() return (command.shell("ls -A " .. command.quote(dir))) end

describe("array.create", function()
   it("writes what array.save writes, up to the padding of the header", function()
      local all = array.arange(12):reshape({3, 2, 2}):copy("i16")
      local w = assert(array.create(dir .. "/a.npy", "i16", {2, 2}))
      for i = 1, 3 do assert.is_true(w:append(all[i])) end
      assert.equal(3, #w)
      assert.equal(3, w:commit())
      local got = assert(array.load(dir .. "/a.npy", {mmap = true}))
      assert.is_true(array.equal(all, got))
      assert.same({3, 2, 2}, got:shape())
      assert(array.save(dir .. "/b.npy", all))
      local function head(name) return command.read(dir .. "/" .. name):match("{.-}") end
      assert.equal(head("b.npy"), head("a.npy"))
   end)

   it("writes rows of one axis, and files of no row", function()
      local w = assert(array.create(dir .. "/a.npy", "f32", 5))
      assert.is_true(w:append(array.full({2, 5}, 7)[2])) -- a view
      w:commit()
      assert.same({{7, 7, 7, 7, 7}}, array.load(dir .. "/a.npy"):table())
      assert.equal(0, array.create(dir .. "/b.npy", "f64", 5):commit())
      assert.same({0, 5}, array.load(dir .. "/b.npy"):shape())
   end)

   it("takes several rows at once, and single elements", function()
      local w = assert(array.create(dir .. "/a.npy", "f32", 2))
      w:append(array.arange(4):reshape({2, 2}):copy("f32"))
      w:append(array.full(2, 9))
      w:commit()
      assert.same({{0, 1}, {2, 3}, {9, 9}}, array.load(dir .. "/a.npy"):table())
      w = assert(array.create(dir .. "/b.npy", "i16"))
      w:append(array.full(3, 1, "i16"))
      w:append(array.full(2, 2, "i16"))
      assert.equal(5, w:commit())
      assert.same({1, 1, 1, 2, 2}, array.load(dir .. "/b.npy"):table())
   end)

   it("leaves nothing behind without commit", function()
      do
         local w <close> = assert(array.create(dir .. "/a.npy", "f32", 5))
         w:append(array.zeros(5))
      end
      assert.equal("", listing())
   end)

   it("refuses another shape or dtype, and a closed file", function()
      local w <close> = assert(array.create(dir .. "/a.npy", "i16", 5))
      assert.error_matches(function() w:append(array.zeros(5)) end, "i16 expected, got f32")
      assert.error_matches(function() w:append(array.zeros(4, "i16")) end, "rows of 1 axes")
      assert.error_matches(function() w:append(array.zeros({1, 4}, "i16")) end, "rows of 1 axes")
      w:close()
      w:close()
      assert.error_matches(function() w:append(array.zeros(5, "i16")) end, "closed npy file")
      assert.error_matches(function() array.create("x", "i8", 5) end, "dtype 'i8' is not one of")
      assert.error_matches(function() array.create("x", "i16", {1, 2, 3, 4}) end, "1 to 3 axes")
   end)

   it("names a path where nothing can be written, and a disk that is full", function()
      assert.same({nil, "/nowhere/a.npy: No such file or directory"}, {array.create("/nowhere/a.npy", "i16", 5)})
      local out = command.shell(("ulimit -f 100; trap '' XFSZ; %s -e %s"):format(command.program, command.quote(([[
         local array = require "bclua.array"
         local w, row, ok, message = array.create(%q, "f32", 30000), array.zeros(30000), true, nil
         while ok do ok, message = w:append(row) end
         print(message)]]):format(dir .. "/a.npy"))))
      assert.equal(dir .. "/a.npy: File too large\n", out)
      assert.equal("", listing())
   end)
end)

describe("audio.create", function()
   local y = (sampling.generator(3):normal(50000) * 0.2):copy("f32")

   for _, how in ipairs({{"wav"}, {"wav", "float"}, {"flac"}, {"flac", "pcm24"}, {"ogg"}}) do
      it(("writes the very bytes of audio.save, whatever the blocks: %s"):format(table.concat(how, " ")), function()
         local options = {subtype = how[2]}
         assert(audio.save(dir .. "/a." .. how[1], y, 32000, options))
         for _, block in ipairs({1000, 4096, 50000}) do
            local w = assert(audio.create(dir .. "/b." .. how[1], 32000, options))
            for first = 1, #y, block do
               assert.is_true(w:write(y:slice(1, first, math.min(#y, first + block - 1))))
            end
            assert.equal(#y, w:tell())
            assert.is_true(w:commit())
            assert.is_true(command.read(dir .. "/a." .. how[1]) == command.read(dir .. "/b." .. how[1]))
         end
      end)
   end

   it("writes several channels", function()
      local stereo = array.concat({y:reshape({1, #y}), (y * 0.5):reshape({1, #y})})
      assert(audio.save(dir .. "/a.flac", stereo, 44100))
      local w = assert(audio.create(dir .. "/b.flac", 44100, {channels = 2}))
      assert.is_true(w:write(stereo))
      w:commit()
      assert.equal(command.read(dir .. "/a.flac"), command.read(dir .. "/b.flac"))
      assert.error_matches(function() audio.create(dir .. "/c.wav", 8000, {channels = 2}):write(y) end, "2 channels")
   end)

   it("takes 16-bit samples as they are", function()
      local steps = array.from({-32768, -1, 0, 1, 32767}, "i16")
      for _, name in ipairs({"/a.flac", "/a.wav"}) do
         local w = assert(audio.create(dir .. name, 32000))
         assert.is_true(w:write(steps))
         w:commit()
         assert.same({-32768, -1, 0, 1, 32767}, (audio.load(dir .. name) * 32768):table())
      end
   end)

   it("leaves nothing behind without commit", function()
      do
         local w <close> = assert(audio.create(dir .. "/a.flac", 32000))
         w:write(y)
      end
      assert.equal("", listing())
   end)

   it("names what it cannot write", function()
      assert.same({nil, "/nowhere/a.wav: No such file or directory"}, {audio.create("/nowhere/a.wav", 32000)})
      assert.same({nil, dir .. "/a.flac: the format does not hold 9 channels at 32000 Hz"},
         {audio.create(dir .. "/a.flac", 32000, {channels = 9})})
      assert.same({nil, dir .. "/a.flac: flac holds one sample or more"},
         {audio.create(dir .. "/a.flac", 32000):commit()})
      local w = assert(audio.create(dir .. "/a.wav", 32000))
      assert.error_matches(function() w:write(array.full(3, 0 / 0)) end, "sample 0 is not finite")
      assert.error_matches(function() audio.create("a.mp3", 32000) end, "ends in .wav, .flac or .ogg")
      w:close()
      assert.error_matches(function() w:write(y) end, "closed recording")
      assert.equal("", listing())
   end)

   it("says when the disk is full", function()
      for _, name in ipairs({"a.wav", "a.flac", "a.ogg"}) do
         local out = command.shell(("ulimit -f 100; trap '' XFSZ; %s -e %s"):format(command.program, command.quote(([[
            local audio, sampling = require "bclua.audio", require "bclua.sampling"
            local w, y = audio.create(%q, 32000), (sampling.generator(1):uniform(100000) - 0.5):copy("f32")
            local ok, message = true, nil
            for _ = 1, 10 do if ok then ok, message = w:write(y) end end
            if ok then ok, message = w:commit() end
            print(message)]]):format(dir .. "/" .. name))))
         assert.equal(dir .. "/" .. name .. ": File too large\n", out)
      end
      assert.equal("", listing())
   end)
end)

describe("sampling.quantise", function()
   it("is within half a step, and full scale is full scale", function()
      local y = array.from({0, 1, -1, 0.25, -0.3333, 1e-5}, "f32")
      local q, scale = sampling.quantise(y)
      assert.equal("i16", q:dtype())
      assert.equal(1 / 32767, scale)
      assert.same({0, 32767, -32767}, {q[1], q[2], q[3]})
      for i = 1, #y do assert.is_true(math.abs(q[i] * scale - y[i]) <= scale / 2 * (1 + 1e-12)) end
   end)

   it("keeps what is louder than 1", function()
      local q, scale = sampling.quantise(array.from({2.5, -1}, "f32"))
      assert.equal(2.5 / 32767, scale)
      assert.same({32767, -13107}, q:table())
   end)

   it("gives silence for silence and nothing for nothing, and refuses what is not finite", function()
      assert.same({0, 0}, sampling.quantise(array.zeros(2)):table())
      assert.equal(0, #sampling.quantise(array.zeros(0)))
      assert.error_matches(function() sampling.quantise(array.from({0, 1 / 0}, "f32")) end, "sample 1 is not finite")
   end)
end)
