-- Sound that only ffmpeg decodes: with ffmpeg, where there is one, and with programs of that name that misbehave.
local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local sampling = require "bclua.sampling"
local system = require "bclua.system"

local RATE = 16000
local BEGIN = "\0\0\0\28ftypM4A \0\0\0\0M4A mp42isom\0\0\0\0" -- of an .m4a

local dir
before_each(function() dir = command.folder() end)
after_each(function() command.remove(dir) end)

local function noise(seconds, seed)
   return (sampling.generator(seed or 1):normal(seconds * RATE) * 0.1):copy("f32")
end

local function equal(a, b) return a:string() == b:string() end

describe("a kind of file", function()
   it("shows in its first bytes, whatever it is called", function()
      local function kind(bytes)
         return {audio.kind(command.write(dir .. "/x", bytes .. ("\0"):rep(80)))}
      end
      assert.same({"ffmpeg", "mp4"}, kind(BEGIN))
      assert.same({"ffmpeg", "asf"}, kind("\x30\x26\xb2\x75\x8e\x66\xcf\x11"))
      assert.same({"ffmpeg", "matroska"}, kind("\x1a\x45\xdf\xa3"))
      assert.same({"ffmpeg", "wavpack"}, kind("wvpk"))
      assert.same({"ffmpeg", "aac"}, kind("\xff\xf1\x50\x40"))
      assert.same({"ffmpeg", "ac3"}, kind("\x0b\x77\x8e\x73\x4c\x40"))
      assert.same({"ffmpeg", "eac3"}, kind("\x0b\x77\x00\xcf\x72\x87"))
      assert.same({"ffmpeg", "ogg"}, kind("OggS" .. ("\0"):rep(24) .. "Speex   "))
      assert.same({"ffmpeg", "aac"}, kind("ID3\4\0\0\0\0\0\5-----\xff\xf1\x50\x40"))
      assert.same({"own", "mp3"}, kind("ID3\4\0\0\0\0\0\5-----\xff\xfb\x90\x40"))
      assert.same({"own", "ogg"}, kind("OggS" .. ("\0"):rep(24) .. "\1vorbis"))
      assert.same({"own", "wav"}, kind("RIFF----WAVE"))
      assert.same({"own", "flac"}, kind("fLaC"))
      for _, bytes in ipairs({"", "RIFF----AVI ", "\xff\xd8\xff\xe0", "plain text", "\x89PNG"}) do
         assert.same({}, kind(bytes), bytes)
      end
      assert.is_nil(audio.kind(dir))
      assert.is_nil(audio.kind(dir .. "/missing"))
      assert.is_nil(audio.kind("/dev/null"))
   end)
end)

describe("ffmpeg", function()
   local whole
   local function has() return audio.ffmpeg() or pending("ffmpeg is not installed") and false end

   -- The noise as ffmpeg encodes it.
   local function encode(name, options)
      local out, status = command.shell(("ffmpeg -v error -nostdin -y -i %s %s %s"):format(command.quote(whole),
         options or "", command.quote("file:" .. dir .. "/" .. name)))
      assert.equal(0, status, out)
      return dir .. "/" .. name
   end

   before_each(function()
      whole = dir .. "/whole.wav"
      assert(audio.save(whole, noise(9), RATE))
   end)

   -- Parts, by every way of reading them, are parts of the whole.
   local function check_parts(path, y)
      local reader <close> = assert(audio.open(path))
      for _, at_s in ipairs({2.5, 7.31, 0, 8.9, 4.0001, 12}) do
         local first = math.min(#y, math.floor(at_s * RATE + 0.5))
         local n = math.min(RATE, #y - first)
         local want = y:slice(1, first + 1, first + n)
         local part = assert(audio.load(path, {start_s = at_s, seconds = 1}))
         assert.equal(n, #part, path)
         assert.is_true(equal(want, part), path)
         assert(reader:seek_s(at_s))
         local read = reader:read(RATE)
         assert.is_true(n == 0 and read == nil or equal(want, read), path)
      end
   end

   it("gives every sample of formats without loss, and parts as in the whole", function()
      if not has() then return end
      local y = audio.load(whole)
      for name, options in pairs({["a.wv"] = "", ["alac.m4a"] = "-c:a alac"}) do
         local path = encode(name, options)
         local before = audio.info(path)
         assert.near(9, before.seconds, 0.01)
         assert.same({RATE, 1, true}, {before.sample_rate, before.channels, before.complete})
         local x, rate, warning = audio.load(path, {strict = true})
         assert.equal(RATE, rate)
         assert.is_nil(warning)
         assert.is_true(equal(y, x), name)
         assert.equal(9 * RATE, audio.info(path).frames)
         check_parts(path, y)
      end
   end)

   it("reads formats with loss, whatever they are called", function()
      if not has() then return end
      for name, options in pairs({["a.3gp"] = "-c:a aac", ["a.wma"] = "", ["a.aac"] = "", ["a.ac3"] = "-ar 32000"}) do
         local path = encode(name, options)
         assert(os.rename(path, path .. ".wav"))
         local x, rate, warning = audio.load(path .. ".wav")
         assert.is_truthy(x, rate)
         assert.near(9, #x / rate, 0.15, name)
         assert.is_nil(warning)
      end
      local path = encode("a.m4a")
      check_parts(path, (assert(audio.load(path))))
   end)

   it("takes any name for a file's name", function()
      if not has() then return end
      local bytes = command.read(encode("a.wv"))
      local list = {}
      for i, name in ipairs({"-i.wv", "concat:a.wv|b.wv", "new\nline\t.wv", "%03d '\".wv"}) do
         command.write(dir .. "/" .. name, bytes)
         list[i] = ("%q"):format(name)
      end
      local out = command.bclua({"-e", ([[for _, name in ipairs{%s} do
         local y, why = require("bclua.audio").load(name)
         print(y and #y or why)
      end]]):format(table.concat(list, ","))}, {dir = dir})
      assert.equal(("144000\n"):rep(4), out)
   end)

   it("keeps channels and rate, mixes and converts as of any file", function()
      if not has() then return end
      local stereo = array.concat({noise(3, 2), noise(3, 3)}):reshape({2, 3 * RATE})
      assert(audio.save(whole, stereo, RATE))
      stereo = audio.load(whole, {mono = false})
      local path = encode("stereo.wv")
      assert.is_true(equal(stereo, (audio.load(path, {mono = false}))))
      for _, o in ipairs({{}, {sample_rate = 32000}, {sample_rate = 8000, start_s = 1.5, seconds = 1}}) do
         assert.is_true(equal(audio.load(whole, o), (audio.load(path, o))))
      end
   end)

   it("gives a loader what another decoder would", function()
      if not has() then return end
      local loading = require "bclua.loading"
      local function batches(path)
         local list = {}
         local w = {source = array.from({0, 0, 0, 0}, "i32"), loc = array.from({1.5, 7.25, 3.125, 0.5}, "f64")}
         local l <close> = loading.new{store = "none", paths = {path}, sources = {"a"}, sample_rate = 8000,
            samples = 800, duration = 0.2, batch_size = 2, open = 2, workers = 2, seed = 1,
            windows = {anchor = w, neighbor = w, distant = w}}
         for i = 1, 6 do list[i] = assert(l:next()).anchor:string() end
         return table.concat(list)
      end
      assert.is_true(batches(whole) == batches(encode("a.wv")))
   end)

   it("says where a file is truncated or damaged, and strict refuses it", function()
      if not has() then return end
      local path = encode("a.mka", "-c:a aac")
      local bytes = command.read(path)
      command.write(path, bytes:sub(1, #bytes // 2))
      local x, rate, warning = audio.load(path)
      assert.is_true(#x > 4 * rate and #x < 5 * rate)
      assert.matches("^its header says 9%.0%d%d s, 4%.%d%d%d s are there$", warning)
      assert.same({false, #x}, {audio.info(path).complete, audio.info(path).frames})
      assert.near(9, audio.info(path).claimed_s, 0.1)
      assert.equal(warning, select(3, audio.load(path))) -- now that it is known
      local strict, why = audio.load(path, {strict = true})
      assert.is_nil(strict)
      assert.equal(path .. ": " .. warning, why)
      path = encode("b.m4a")
      bytes = command.read(path)
      local half = #bytes // 2
      command.write(path, bytes:sub(1, half) .. ("\0"):rep(3000) .. bytes:sub(half + 3001))
      x, rate, warning = audio.load(path)
      assert.is_true(#x > 3 * rate and #x < 6 * rate)
      assert.matches("^damaged after [345]%.%d+ s: %g+", warning)
      strict, why = audio.load(path, {strict = true})
      assert.is_nil(strict)
      assert.matches("damaged after", why)
   end)

   it("names a file without sound, and one that is none", function()
      if not has() then return end
      local picture = encode("a.mp4", "-f lavfi -i color=s=16x16:d=0.2 -map 1:v -c:v mpeg4")
      assert.same({nil, picture .. ": no sound in it"}, {audio.load(picture)})
      local path = command.write(dir .. "/a.m4a", BEGIN)
      local y, why = audio.load(path)
      assert.is_nil(y)
      assert.matches(path .. ": not a readable sound file (ffmpeg: ", why, 1, true)
      assert.is_nil(why:find("[", 1, true), why)
   end)

   it("is asked for what libsndfile does not know in a file of its own kinds", function()
      if not has() then return end
      local y, _, warning = audio.load(encode("adpcm.wav", "-c:a adpcm_yamaha"))
      assert.near(9, #y / RATE, 0.1)
      assert.is_nil(warning)
      local bad = command.write(dir .. "/text.wav", "RIFF\0\0\0\0WAVEno such thing")
      assert.matches("text.wav: not a readable sound file %([^f]", select(2, audio.load(bad)))
   end)
end)

describe("a program for ffmpeg", function()
   local sound
   before_each(function()
      assert(system.mkdir(dir .. "/bin"))
      assert(audio.save(dir .. "/sound.wav", noise(2), RATE, {subtype = "float"}))
      sound = audio.load(dir .. "/sound.wav")
      command.write(dir .. "/x.m4a", BEGIN)
      command.write(dir .. "/-x.m4a", BEGIN)
   end)

   local SAYS = [[
printf '[info] Input #0, mov, from x:\n[info]   Duration: 00:00:0%s, start: 0\n' "$1" >&2
echo '[info]   Stream #0:0(und): Audio: aac (LC) (mp4a), 16000 Hz, mono' >&2
echo '[info] Stream mapping:' >&2
]]

   local function program(text)
      local path = command.write(dir .. "/bin/ffmpeg", "#!/bin/sh\n" .. text)
      command.shell("chmod +x " .. path)
   end

   local function says(seconds) return "set -- " .. seconds .. "\n" .. SAYS end

   -- Run Lua in the folder, with that program; what it printed.
   local function run(text, env)
      local out, status = command.bclua({"-e", [[
         local audio, lfs = require "bclua.audio", require "lfs"
         local function children() -- zombies, too
            local n = 0
            for pid in lfs.dir("/proc") do
               local f = pid:find("^%d+$") and io.open("/proc/" .. pid .. "/stat")
               local parent = f and (f:read("a") or ""):match("^.*%) %u (%d+)")
               if f then f:close() end
               if parent and tonumber(parent) == require("bclua.process").number() then n = n + 1 end
            end
            return n
         end
         local function descriptors()
            local n = 0
            for _ in lfs.dir("/proc/self/fd") do n = n + 1 end
            return n
         end
         ]] .. text}, {dir = dir, env = ("PATH=%s/bin:$PATH %s"):format(dir, env or "")})
      return out, status
   end

   it("is given the file's name as one, no input, and its samples come out as they are", function()
      program(says("2.00") .. ("cat >%s/stdin; cat %s/sound.wav"):format(dir, dir))
      local before = "for a do printf '%s\\n' \"$a\"; done >" .. dir .. "/words\n"
      program(before .. says("2.00") .. ("cat >%s/stdin; cat %s/sound.wav"):format(dir, dir))
      local out = run [[
         local y = assert(audio.load("-x.m4a"))
         io.write(y:string())
      ]]
      assert.is_true(out == sound:string())
      assert.equal("", command.read(dir .. "/stdin"))
      local words = command.read(dir .. "/words")
      assert.matches("\n%-f\nmov\n%-i\nfile:%-x.m4a\n%-map\n0:a:0\n", words)
      assert.matches("\n%-protocol_whitelist\nfile,pipe\n", words)
   end)

   it("runs once for a whole, and once more for many parts; none is left, nor an open file", function()
      program(says("2.00") .. ("echo x >>%s/runs; cat %s/sound.wav"):format(dir, dir))
      local out, status = run [[
         local y, before = assert(audio.load("sound.wav")), descriptors()
         assert(audio.load("x.m4a"):string() == y:string())
         local i = audio.info("x.m4a")
         assert(i.frames == #y and i.format == "mp4" and i.subtype == "aac")
         for k = 1, 40 do
            local first = (k * 7919) % 30000
            local part = assert(audio.load("x.m4a", {start_s = first / 16000, seconds = 0.1}))
            assert(part:string() == y:slice(1, first + 1, first + 1600):string())
         end
         assert(children() == 0)
         print(descriptors() - before) -- all of the samples
      ]]
      assert.same({"1\n", 0}, {out, status})
      assert.equal(4, select(2, command.read(dir .. "/runs"):gsub("x", "x")))
      assert.equal("", (command.shell("ls /tmp | grep bclua-sound")))
   end)

   it("runs for each part where there is no room for all of it", function()
      program(says("2.00") .. ("echo x >>%s/runs; cat %s/sound.wav"):format(dir, dir))
      local out, status = run([[
         local y, before = assert(audio.load("sound.wav")), descriptors()
         for k = 1, 6 do
            local part = assert(audio.load("x.m4a", {start_s = 1.9 - 0.3 * k, seconds = 0.1}))
            local first = math.floor((1.9 - 0.3 * k) * 16000 + 0.5)
            assert(part:string() == y:slice(1, first + 1, first + 1600):string())
         end
         assert(children() == 0)
         print(descriptors() - before)]], "TMPDIR=" .. dir .. "/none")
      assert.same({"0\n", 0}, {out, status})
      assert.equal(6, select(2, command.read(dir .. "/runs"):gsub("x", "x")))
   end)

   it("that fails is the file's fault, in its words", function()
      program("echo '[mov @ 0x1] [error] moov atom not found' >&2; exit 1")
      assert.equal("x.m4a: not a readable sound file (ffmpeg: moov atom not found)\n", (run [[
         local y, why = audio.load "x.m4a"
         assert(not y and children() == 0)
         print(why)]]))
      program("kill -9 $$")
      assert.equal("x.m4a: not a readable sound file (ffmpeg: ffmpeg was ended by signal 9)\n", (run [[
         print(select(2, audio.load "x.m4a"))]]))
   end)

   it("that writes half and fails gives the half and a warning", function()
      program(says("2.00") .. ("head -c 64080 %s/sound.wav; printf '[aac @ 0x1] [error] boom\\033[2J\\n' >&2; exit 1")
         :format(dir))
      local out = run [[
         local y, _, warning = audio.load "x.m4a"
         local whole = assert(audio.load "sound.wav")
         assert(y:string() == whole:slice(1, 1, #y):string())
         print(#y > 15900 and #y <= 16000, warning)
         print(select(2, audio.load("x.m4a", {strict = true})))]]
      assert.matches("^true\tdamaged after %d%.%d+ s: boom %[2J\nx.m4a: damaged after %d%.%d+ s: boom %[2J\n$", out)
      program(says("2.00") .. ("head -c 64080 %s/sound.wav"):format(dir))
      assert.matches("^its header says 2.000 s, [01]%.%d+ s are there\n$", (run [[
         print(select(3, audio.load "x.m4a"))]]))
   end)

   it("that hangs, before its first sample or later, is ended", function()
      for _, text in ipairs({"sleep 100", says("2.00") .. ("head -c 8000 %s/sound.wav; sleep 100"):format(dir)}) do
         program(text)
         local out = run([[
            local y, why = audio.load "x.m4a"
            assert(not y and children() == 0)
            print(why)]], "BCLUA_FFMPEG_TIMEOUT=0.3")
         assert.equal("x.m4a: ffmpeg gives nothing any more\n", out)
         assert.is_false(command.is_running(dir .. "/bin/ffmpeg"))
      end
   end)

   it("is ended with its reader, and on Ctrl-C", function()
      program(says("2.00") .. ("echo $$ >%s/pid; head -c 8000 %s/sound.wav; exec sleep 100"):format(dir, dir))
      assert.equal("1 0\n", (run [[
         local reader = assert(audio.open "x.m4a")
         assert(reader:read(100))
         local n = children()
         reader:close()
         print(n .. " " .. children())]]))
      for _, signal in ipairs({"INT", "TERM"}) do
         local out, status = command.shell(([[
            cd %s && rm -f pid
            PATH=%s/bin:$PATH %s -e 'require("bclua.audio").load "x.m4a"' 2>err &
            job=$!
            i=0
            until [ -s pid ] || [ $i = 500 ]; do i=$((i + 1)); sleep 0.01; done
            sleep 0.1
            kill -%s $job
            i=0
            while kill -0 $job 2>/dev/null && [ $i -lt 300 ]; do i=$((i + 1)); sleep 0.01; done
            wait $job
            echo $?; cat err; kill -0 $(cat pid) 2>/dev/null && echo it runs]]):format(dir, dir,
            command.quote(command.program:sub(1, 1) == "/" and command.program or
               require("lfs").currentdir() .. "/" .. command.program), signal))
         assert.is_nil(out:find("it runs"), out)
         assert.matches(signal == "INT" and "^130\n" or "^143\n", out, status)
      end
   end)

   -- The command, over a folder with one recording by its name; what it said.
   local function extract()
      assert(system.mkdir(dir .. "/card"))
      command.write(dir .. "/card/x.m4a", BEGIN)
      command.write(dir .. "/card/y.WMA", "no sound")
      command.shell(("cp %s/sound.wav %s/card"):format(dir, dir))
      return (command.bclua({"scripts/motif.lua", "extract", "--input", dir .. "/card", "--output", dir .. "/motif"},
         {env = ("PATH=%s/bin"):format(dir)}))
   end

   it("gives extract a recording as any other, with its warning", function()
      program("PATH=/usr/bin:/bin\n" .. says("3.00") .. "head -c 64080 " .. dir .. "/sound.wav")
      assert.matches("extract: 3 found: 2 done, 0 finished before, 1 failed, 0 not read, 0 ignored; ", extract())
      assert.matches('x.m4a,extract,"its header says 3.000 s, %d%.%d+ s are there",%d%.%d+,3.0\n',
         command.read(dir .. "/motif/warnings.csv"))
      assert.matches("y.WMA: not a readable sound file", command.read(dir .. "/motif/failures.csv"))
   end)

   it("that is missing is named, and what it would read counted by kind", function()
      os.remove(dir .. "/bin/ffmpeg")
      assert.matches("extract: 3 found: 1 done, 0 finished before, 0 failed, 2 not read, 0 ignored; .*\n" ..
         "extract: 2 files not read: 1 .m4a, 1 .wma; install ffmpeg\n", extract())
      assert.equal("false x.m4a: needs ffmpeg to be read, which is not installed\n", (run([[
         print(tostring(audio.ffmpeg()) .. " " .. select(2, audio.load "x.m4a"))]], "PATH=" .. dir .. "/bin")))
   end)
end)
