-- Lengths are what decodes, not what a header claims.
local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local sampling = require "bclua.sampling"

local RATE, N = 8000, 8000 -- a second

describe("the length of a sound file", function()
   local folder, y
   setup(function()
      folder = command.folder()
      y = (sampling.generator(1):normal(N) * 0.1):copy("f32")
   end)
   teardown(function() command.remove(folder) end)

   local function bytes_of(format) return assert(audio.encode(y, RATE, {format = format})) end

   local function write(name, bytes) return command.write(folder .. "/" .. name, bytes) end

   -- What there is of y, from its first sample on, and what is said about it.
   local function check(path, samples, warning)
      local x, rate, said = audio.load(path)
      assert.is_truthy(x, rate)
      assert.equal(samples, #x)
      assert.is_true(array.equal(audio.load(write("whole.flac", bytes_of("flac"))):slice(1, 1, samples), x))
      assert.equal(warning, said)
      local info = audio.info(path)
      assert.equal(samples, info.frames)
      assert.equal(samples / RATE, info.seconds)
      local late = audio.load(path, {start_s = (samples - 100) / RATE})
      assert.is_true(array.equal(x:slice(1, samples - 99, samples), late))
      local strict, why = audio.load(path, {strict = true})
      if warning then
         assert.is_nil(strict)
         local claimed = tonumber(warning:match("says ([%d.]+)"))
         assert.equal(claimed < samples / RATE, info.complete)
         assert.near(claimed, info.claimed_s, 1e-3)
         assert.matches(info.complete and warning or "truncated after", why, 1, true)
      else
         assert.is_truthy(strict)
         assert.is_true(info.complete)
         assert.is_nil(info.claimed_s)
      end
   end

   -- WAV of y with any number as the size of its data, and what is behind it.
   local function wav(size, behind, chunks, order)
      order = order or "<"
      local samples = bytes_of("wav"):sub(-2 * N)
      if order == ">" then samples = samples:gsub("(.)(.)", "%2%1") end
      return (order == "<" and "RIFF" or "RIFX") .. (order .. "I4"):pack(36 + 2 * N) .. "WAVE" .. (chunks or "") ..
         "fmt " .. (order .. "I4I2I2I4I4I2I2"):pack(16, 1, 1, RATE, 2 * RATE, 2, 16) ..
         "data" .. (order .. "I4"):pack(size) .. samples .. (behind or "")
   end

   describe("in WAV", function()
      it("is right where the header is, with chunks around the sound, and with padding behind it", function()
         local note = "LIST" .. ("<I4"):pack(6) .. "nothin"
         check(write("a.wav", wav(2 * N)), N)
         check(write("b.wav", wav(2 * N, note, note)), N)
         check(write("c.wav", wav(2 * N, ("\0"):rep(4096))), N)
         check(write("d.wav", wav(2 * N, nil, nil, ">")), N)
         check(write("e.wav", wav(2 * N, "abcd" .. ("<I4"):pack(3) .. "odd")), N)
      end)

      it("is that of the file where the header says nothing", function()
         check(write("a.wav", wav(0)), N)
         check(write("b.wav", wav(0xffffffff)), N)
         check(write("c.wav", wav(0, "LIST" .. ("<I4"):pack(26) .. ("notes"):rep(5) .. "!")), N)
         check(write("d.wav", wav(0, "guan" .. ("<I4"):pack(4) .. "note", "LIST" .. ("<I4"):pack(2) .. "ab")), N)
         check(write("e.wav", wav(0, nil, nil, ">")), N)
      end)

      it("is that of the file where the header says too much or too little", function()
         for size, seconds in pairs{[0x7ffff000] = "134217.472", [0x80000000] = "134217.728", [44] = "0.003",
            [N] = "0.500", [4 * N] = "2.000"} do
            check(write("x.wav", wav(size)), N, ("its header says %s s, 1.000 s are there"):format(seconds))
            check(write("y.wav", wav(size, "id3 " .. ("<I4"):pack(4) .. "note")), N,
               ("its header says %s s, 1.000 s are there"):format(seconds))
         end
         check(write("z.wav", wav(N, nil, nil, ">")), N, "its header says 0.500 s, 1.000 s are there")
      end)

      it("is what is there of a truncated one", function()
         check(write("a.wav", wav(2 * N):sub(1, -N - 1)), N // 2, "its header says 1.000 s, 0.500 s are there")
      end)

      it("goes past 4 GB, where the size of the data has wrapped", function()
         local bytes = 5 << 30
         local path = write("large.wav", wav(bytes & 0xffffffff):sub(1, 44))
         assert.equal("", (command.shell("truncate -s " .. 44 + bytes .. " " .. command.quote(path))))
         local info = assert(audio.info(path))
         assert.equal(bytes // 2, info.frames)
         assert.near((bytes & 0xffffffff) / 2 / RATE, info.claimed_s, 1e-3)
         assert.equal("wav", info.format)
         local f <close> = assert(io.open(path, "r+b"))
         f:seek("set", 44 + bytes - 2)
         f:write("\0\64")
         f:flush()
         local last = assert(audio.load(path, {start_s = bytes / 2 / RATE - 1}))
         assert.same({RATE, 0.5, 0.0}, {#last, last[RATE], last[RATE - 1]})
         os.remove(path)
      end)

      it("is found in files that are laid out oddly", function()
         local odd = wav(2 * N, nil, "LIST" .. ("<I4"):pack(5) .. "INFOx") -- without its padding
         check(write("a.wav", odd), N)
         local bytes = wav(2 * N)
         check(write("b.wav", bytes:sub(1, 12) .. bytes:sub(37) .. bytes:sub(13, 36)), N)
      end)

      it("is none where the data is empty", function()
         assert.equal(0, #audio.load(write("a.wav", wav(0):sub(1, 44))))
         local list = "LIST" .. ("<I4"):pack(4) .. "INFO"
         assert.equal(0, #audio.load(write("b.wav", wav(0):sub(1, 44) .. list)))
      end)
   end)

   local function samples_of(order)
      local samples = bytes_of("wav"):sub(-2 * N)
      return order == ">" and samples:gsub("(.)(.)", "%2%1") or samples
   end

   it("is right in RF64 and Wave64", function()
      local function rf64(size)
         return "RF64\xff\xff\xff\xffWAVEds64" .. ("<I4I8I8I8I4"):pack(28, 72 + size, size, N, 0) .. "fmt " ..
            ("<I4I2I2I4I4I2I2"):pack(16, 1, 1, RATE, 2 * RATE, 2, 16) .. "data\xff\xff\xff\xff" .. samples_of("<")
      end
      local guid = "\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
      local function w64(size)
         return "riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00" .. ("<I8"):pack(104 + size) .. "wave" .. guid ..
            "fmt " .. guid .. ("<I8I2I2I4I4I2I2"):pack(40, 1, 1, RATE, 2 * RATE, 2, 16) .. "data" .. guid ..
            ("<I8"):pack(24 + size) .. samples_of("<")
      end
      for name, make in pairs{["a.rf64"] = rf64, ["a.w64"] = w64} do
         check(write(name, make(2 * N)), N)
         check(write(name, make(6 * N)), N, "its header says 3.000 s, 1.000 s are there")
         check(write(name, make(2 * N):sub(1, -N - 1)), N // 2, "its header says 1.000 s, 0.500 s are there")
      end
      for name, make in pairs{rf64 = rf64, w64 = w64} do
         check(write("b." .. name, make(N)), N, "its header says 0.500 s, 1.000 s are there")
         assert.equal(name, audio.info(folder .. "/b." .. name).format)
      end
   end)

   it("is right in AU and AIFF", function()
      local function au(size) return ".snd" .. (">I4I4I4I4I4"):pack(24, size, 3, RATE, 1) .. samples_of(">") end
      check(write("a.au", au(2 * N)), N)
      check(write("a.au", au(0xffffffff)), N)
      check(write("a.au", au(N)), N, "its header says 0.500 s, 1.000 s are there")
      check(write("a.au", au(2 * N):sub(1, -N - 1)), N // 2, "its header says 1.000 s, 0.500 s are there")
      local function aiff(frames, size, behind)
         return "FORM" .. (">I4"):pack(46 + 2 * N) .. "AIFFCOMM" .. (">I4I2I4I2"):pack(18, 1, frames, 16) ..
            "\x40\x0b\xfa\0\0\0\0\0\0\0" .. "SSND" .. (">I4I4I4"):pack(8 + size, 0, 0) .. samples_of(">") ..
            (behind or "")
      end
      check(write("a.aiff", aiff(N, 2 * N, "NAME" .. (">I4"):pack(4) .. "lark")), N)
      check(write("a.aiff", aiff(N // 2, N)), N, "its header says 0.500 s, 1.000 s are there")
      check(write("a.aiff", aiff(2 * N, 4 * N)), N, "its header says 2.000 s, 1.000 s are there")
      check(write("a.aiff", aiff(0, 0)), N)
   end)

   it("is right in FLAC, whatever its first block says", function()
      local whole = bytes_of("flac")
      local function says(samples)
         local low = ("<I1"):pack(whole:byte(22) & 0xf0 | samples >> 32) .. (">I4"):pack(samples & 0xffffffff)
         return whole:sub(1, 21) .. low .. whole:sub(27)
      end
      check(write("a.flac", whole), N)
      check(write("b.flac", says(0)), N)
      check(write("c.flac", says(2 * N)), N, "its header says 2.000 s, 1.000 s are there")
      check(write("d.flac", says(N // 2)), N, "its header says 0.500 s, 1.000 s are there")
      check(write("e.flac", says(2 * N) .. "TAG" .. ("x"):rep(125)), N, "its header says 2.000 s, 1.000 s are there")
      local _, _, said = audio.load(write("f.flac", whole:sub(1, -100)))
      local there = audio.info(folder .. "/f.flac").frames
      assert.is_true(there > 0 and there < N)
      check(folder .. "/f.flac", there, said)
   end)

   describe("in MP3", function()
      -- Silent frames of MPEG 1 layer III, 32 kHz, mono; a number from 1 to 14 is a bit rate.
      local KBPS = {32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}
      local function frame(rate, tag)
         local head = "\xff\xfb" .. string.char(rate << 4 | 8) .. "\xc0" .. ("\0"):rep(17) .. (tag or "")
         return head .. ("\0"):rep(144 * KBPS[rate] * 1000 // 32000 - #head)
      end
      local function frames(first, last)
         return frame(first):rep(50) .. frame(last):rep(50)
      end
      local ALL = 100 * 1152

      local function is(seconds, bytes, warning)
         local path = write("x.mp3", bytes)
         local x, rate, said = audio.load(path)
         assert.is_truthy(x, rate)
         assert.near(seconds, #x / 32000, 0.1)
         assert.near(#x, audio.info(path).frames, 1152)
         assert.equal("mp3 layer3", audio.info(path).format .. " " .. audio.info(path).subtype)
         assert.near(500, #audio.load(path, {start_s = (#x - 500) / 32000}), 1152)
         assert.equal(warning, said)
      end

      it("is counted where no header says it", function()
         for _, pair in ipairs{{4, 4}, {1, 14}, {14, 1}} do is(ALL / 32000, frames(pair[1], pair[2])) end
         local art = 300000
         local size = string.char(art >> 21 & 127, art >> 14 & 127, art >> 7 & 127, art & 127)
         is(ALL / 32000, "ID3\3\0\0" .. size .. ("x"):rep(art) .. frames(4, 4))
      end)

      it("is counted where a header is of the first part only, or of more", function()
         local function xing(n) return frame(4, "Xing\0\0\0\1" .. (">I4"):pack(n)) end
         is(ALL / 32000, xing(100) .. frames(4, 9))
         is(2 * ALL / 32000, (xing(100) .. frames(4, 9)):rep(2), "its header says 3.600 s, 7.236 s are there")
         is(ALL / 32000, xing(300) .. frames(4, 9), "its header says 10.800 s, 3.600 s are there")
      end)

      it("ends where sound of another format begins, with a warning", function()
         local stereo = frame(4):gsub("^(...).", "%1\0")
         local x, _, said = audio.load(write("x.mp3", frames(4, 4) .. stereo:rep(100)))
         assert.near(ALL / 32000, #x / 32000, 0.1)
         assert.matches("^truncated or damaged: gives 3.6%d+ s of 7.2%d+ s", said)
      end)

      it("is counted inside of WAV", function()
         local sound = frames(4, 4)
         is(ALL / 32000, "RIFF" .. ("<I4"):pack(50 + #sound) .. "WAVEfmt " ..
            ("<I4I2I2I4I4I2I2I2I2I4I2I2I2"):pack(30, 0x55, 1, 32000, 7000, 1, 0, 12, 1, 2, 252, 1, 1393) .. "data" ..
            ("<I4"):pack(#sound) .. sound)
      end)
   end)
end)
