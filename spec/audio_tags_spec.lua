-- What sound files say of themselves, beside their sound.
local audio = require "bclua.audio"
local command = require "support.command"
local sampling = require "bclua.sampling"

local RATE, N = 8000, 8000

describe("the tags of a sound file", function()
   local folder, y
   setup(function()
      folder = command.folder()
      y = (sampling.generator(1):normal(N) * 0.1):copy("f32")
   end)
   teardown(function() command.remove(folder) end)

   local function tags_of(name, bytes)
      local path = command.write(folder .. "/" .. name, bytes)
      local info = assert(audio.info(path))
      assert.near(N / RATE, info.seconds, 0.2)
      return info.tags
   end

   local function chunk(id, text, order)
      return id .. (order or "<"):gsub("$", "s4"):pack(text) .. (#text % 2 == 1 and "\0" or "")
   end

   -- WAV of y with chunks in front of the sound and behind it.
   local function wav(front, behind, size, order)
      order = order or "<"
      local samples = audio.encode(y, RATE, {format = "wav"}):sub(-2 * N)
      if order == ">" then samples = samples:gsub("(.)(.)", "%2%1") end
      local format = chunk("fmt ", (order .. "I2I2I4I4I2I2"):pack(1, 1, RATE, 2 * RATE, 2, 16), order)
      local body = "WAVE" .. format .. front .. "data" .. (order .. "I4"):pack(size or 2 * N) .. samples .. behind
      return (order == "<" and "RIFF" or "RIFX") .. (order .. "s4"):pack(body)
   end

   local function list(comment, artist, order)
      return chunk("LIST", "INFO" .. chunk("ICMT", comment .. "\0", order) .. chunk("IART", artist, order), order)
   end

   local COMMENT = "Recorded at 04:30:00 14/05/2023 (UTC)"
   local BEXT = ("c256c32c32c10c8c8"):pack("a song", "ZOOM F3", "ref", "2023-05-14", "04:30:00", "") .. ("\0"):rep(300)

   describe("in WAV", function()
      it("are INFO, bext, GUANO and wamd, in front of the sound and behind it", function()
         local expected = {comment = COMMENT, artist = "AudioMoth 1", bext_description = "a song",
            bext_originator = "ZOOM F3", bext_originator_reference = "ref", bext_date = "2023-05-14",
            bext_time = "04:30:00", guano = "GUANO|Version:1.0\n", wamd = "\0\1\0"}
         local first, second = list(COMMENT, "AudioMoth 1") .. chunk("bext", BEXT),
            chunk("guan", "GUANO|Version:1.0\n") .. chunk("junk", "abc") .. chunk("wamd", "\0\1\0")
         assert.same(expected, tags_of("a.wav", wav(first .. second, "")))
         assert.same(expected, tags_of("b.wav", wav("", first .. second)))
         assert.same(expected, tags_of("c.wav", wav(second, first)))
         assert.same({}, tags_of("d.wav", wav("", "")))
      end)

      it("are there whatever the header says of the sound", function()
         local behind = chunk("guan", "Timestamp:2023-05-14T04:30:00")
         for _, size in ipairs{0, 0xffffffff, 0x7ffff000, 44, N} do
            assert.same({comment = COMMENT, artist = "x", guano = "Timestamp:2023-05-14T04:30:00"},
               tags_of("a.wav", wav(list(COMMENT, "x"), behind, size)))
         end
         assert.same({comment = COMMENT, artist = "x"}, tags_of("b.wav", wav(list(COMMENT, "x", ">"), "", nil, ">")))
      end)

      it("are cut off where they are too long, and the first of a kind", function()
         local tags = tags_of("a.wav", wav("", chunk("guan", ("x"):rep(100000))))
         assert.equal(65536, #tags.guano)
         tags = tags_of("b.wav", wav(chunk("LIST", "INFO" .. chunk("IART", "") .. chunk("ICMT", "hi")) ..
            chunk("LIST", "adtl") .. chunk("bext", ("x"):rep(325)), ""))
         assert.same({comment = "hi", bext_description = ("x"):rep(256), bext_originator = ("x"):rep(32),
            bext_originator_reference = ("x"):rep(32)}, tags)
         assert.same({guano = "first"}, tags_of("c.wav", wav(chunk("guan", "first") .. chunk("guan", "second"), "")))
      end)
   end)

   -- Comments of Vorbis: a vendor, a number, then each behind its length.
   local function comments(list_of)
      local parts = {("<s4I4"):pack("bclua", #list_of)}
      for _, text in ipairs(list_of) do parts[#parts + 1] = ("<s4"):pack(text) end
      return table.concat(parts)
   end

   local TEXTS = {"DATE=2023-05-14T04:30:00", "Description=" .. COMMENT, "EMPTY=", "no name", ("N"):rep(40) .. "=x",
      "date=another"}

   it("are the Vorbis comments of FLAC, by their own names", function()
      local bytes = audio.encode(y, RATE, {format = "flac"})
      local at, last = 5, false
      local blocks = {}
      while not last do -- all but the comments that are there
         local kind, length = (">I1I3"):unpack(bytes, at)
         last = kind >= 128
         if kind & 127 ~= 4 then blocks[#blocks + 1] = {kind & 127, bytes:sub(at + 4, at + 3 + length)} end
         at = at + 4 + length
      end
      local function flac(block)
         table.insert(blocks, {4, block})
         local parts = {"fLaC"}
         for i, b in ipairs(blocks) do
            parts[#parts + 1] = (">I1I3"):pack(b[1] + (i == #blocks and 128 or 0), #b[2]) .. b[2]
         end
         table.remove(blocks)
         return table.concat(parts) .. bytes:sub(at)
      end
      assert.same({date = "2023-05-14T04:30:00", description = COMMENT}, tags_of("a.flac", flac(comments(TEXTS))))
      assert.same({date = "2023-05-14T04:30:00"}, tags_of("b.flac", flac(comments(TEXTS):sub(1, 60)))) -- torn
      assert.same({}, tags_of("c.flac", flac("")))
      assert.same({}, tags_of("d.flac", flac("\xff\xff\xff\xff")))
      local many = {}
      for i = 1, 100 do many[i] = ("name%d=%d"):format(i, i) end
      local tags = tags_of("e.flac", flac(comments(many)))
      assert.same({"64", nil}, {tags.name64, tags.name65})
   end)

   -- The second packet of an Ogg stream in a page of its own, and the page's checksum.
   local function crc(page)
      local sum = 0
      for i = 1, #page do
         sum = sum ~ page:byte(i) << 24
         for _ = 1, 8 do sum = sum << 1 ~ (sum & 0x80000000 ~= 0 and 0x104C11DB7 or 0) end
      end
      return sum
   end

   it("are the Vorbis comments of Ogg", function()
      local bytes = audio.encode(y, RATE, {format = "ogg"})
      local second = bytes:find("OggS", 5, true)
      local segments = bytes:byte(second + 26)
      local third = bytes:find("OggS", second + 4, true)
      local lengths, first = {bytes:byte(second + 27, second + 26 + segments)}, 0
      local packets, size = {}, 0
      for _, length in ipairs(lengths) do
         size = size + length
         if length < 255 then packets[#packets + 1], first, size = {first, size}, first + size, 0 end
      end
      assert.equal(2, #packets) -- comments and codebooks
      local body = bytes:sub(second + 27 + segments, third - 1)
      local function lacing(n) return ("\xff"):rep(n // 255) .. string.char(n % 255) end
      local packet = "\3vorbis" .. comments(TEXTS) .. "\1"
      local books = body:sub(packets[2][1] + 1)
      local laced = lacing(#packet) .. lacing(#books)
      local page = bytes:sub(second, second + 21) .. "\0\0\0\0" .. string.char(#laced) .. laced .. packet .. books
      page = page:sub(1, 22) .. ("<I4"):pack(crc(page)) .. page:sub(27)
      assert.same({date = "2023-05-14T04:30:00", description = COMMENT},
         tags_of("a.ogg", bytes:sub(1, second - 1) .. page .. bytes:sub(third)))
   end)

   it("are the ID3 of MP3, in UTF-8", function()
      local frame = "\xff\xfb\x90\x00" .. ("\0"):rep(413) -- 128 kbit/s, 44.1 kHz, silent
      local function field(id, text) return id .. (">I4I2"):pack(#text, 0) .. text end
      local function id3(fields) -- its size: four times seven bits
         local n = #fields
         return "ID3\3\0\0" .. string.char(n >> 21 & 127, n >> 14 & 127, n >> 7 & 127, n & 127) .. fields
      end
      local sound = frame:rep(38)
      local tags = tags_of("a.mp3", id3(field("TYER", "\0002023") .. field("TDAT", "\0001405") ..
         field("TIME", "\0000430") .. field("COMM", "\0eng\0a song") .. field("TPE1", "\1\xff\xfeZ\0\xe4\0") ..
         field("TXXX", "\0CREATION_TIME\0002023-05-14") .. field("TCON", "\0noise")) .. sound)
      assert.same({year = "2023", day_month = "1405", time = "0430", comment = "a song", artist = "Zä",
         creation_time = "2023-05-14"}, tags)
      tags = tags_of("b.mp3", sound .. "TAG" .. ("c30c30c30c4c30B"):pack("t", "me", "", "2023", "old", 0))
      assert.same({year = "2023", artist = "me", comment = "old"}, tags)
   end)

   it("are texts that libsndfile knows of other formats", function()
      local samples = audio.encode(y, RATE, {format = "wav"}):sub(-2 * N):gsub("(.)(.)", "%2%1")
      local function big(id, text) return chunk(id, text, ">") end
      local body = "AIFF" .. big("COMM", (">I2I4I2I2"):pack(1, N, 16, 16383 + 12) .. "\xfa\0\0\0\0\0\0\0") ..
         big("ANNO", COMMENT .. "\0") .. big("SSND", ("\0"):rep(8) .. samples)
      assert.equal(COMMENT, tags_of("a.aiff", "FORM" .. (">s4"):pack(body)).comment)
   end)
end)
