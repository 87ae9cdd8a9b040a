local array = require "bclua.array"
local audio = require "bclua.audio"
local cens = require "bclua.cens"
local command = require "support.command"
local spectral = require "bclua.spectral"

local nan = 0 / 0
local RATE = 32000

local function noise(n, seed)
   math.randomseed(seed)
   local t = {}
   for i = 1, n do t[i] = math.random() - 0.5 end
   return array.from(t, "f32")
end

-- A function that gives y in blocks of `size` samples, and one that makes it
-- start again.
local function blocks(y, size)
   local at, n = 0, y:size()
   return function()
      if at >= n then return nil end
      local first = at + 1
      at = math.min(at + size, n)
      return y:slice(1, first, at)
   end, function() at = 0 end
end

local function with(options, more)
   local o = {sample_rate = RATE}
   for k, v in pairs(options or {}) do o[k] = v end
   for k, v in pairs(more or {}) do o[k] = v end
   return o
end

-- Is the result in blocks that of the whole, to the bit?
local function check(f, y, size, options)
   local source, rewind = blocks(y, size)
   local expected, info = f(y, with(options))
   local got, got_info = f(source, with(options, {rewind = rewind}))
   assert.same(expected:shape(), got:shape())
   assert.is_true(array.equal(expected, got))
   assert.same(info, got_info)
end

local folder
setup(function() folder = command.folder() end)
teardown(function() command.remove(folder) end)

local function write(y)
   local path = folder .. "/y.wav"
   assert(audio.save(path, y, RATE, {subtype = "float"}))
   return path
end

describe("a source", function()
   -- A loud and a quiet part, and silence between: longer than the filters.
   local y = noise(90000, 1)
   y:slice(1, 30001, 50000):fill(0)
   y:slice(1, 70001, 90000):fill(y:slice(1, 70001, 90000) * 0.01)

   it("gives the CENS of the whole, whatever the blocks", function()
      for _, size in ipairs{777, 4096, 65536, 90000} do check(cens.cens, y, size) end
   end)

   it("gives the whole's chroma, magnitudes and tuning", function()
      check(cens.chroma, y, 1000)
      check(cens.cqt, y, 12345)
      local source, rewind = blocks(y, 999)
      assert.equal(cens.tuning(y, {sample_rate = RATE}),
         cens.tuning(source, {sample_rate = RATE, rewind = rewind}))
   end)

   it("may come sample by sample", function()
      check(cens.cens, y:slice(1, 1, 8000), 1)
      check(cens.chroma, y:slice(1, 1, 5000), 1, {hop = 320})
   end)

   it("may have any length", function()
      for _, n in ipairs{0, 1, 2, 193, 194, 389, 511, 512, 513, 827, 1656, 1657, 3199, 3200, 3201, 26496, 26497} do
         check(cens.chroma, y:slice(1, 1, n), 500)
      end
   end)

   it("works with every hop and range", function()
      check(cens.chroma, y, 5000, {hop = 3201})
      check(cens.chroma, y, 5000, {hop = 100})
      check(cens.cqt, y:slice(1, 1, 3000), 500, {hop = 1, n_octaves = 1, tuning = 0.1, fmin = 500})
      check(cens.chroma, y, 5000, {hop = 30000})
      check(cens.chroma, y, 5000, {hop = 1 << 20})
      check(cens.chroma, y, 5000, {hop = 65536, n_octaves = 3})
      check(cens.chroma, y, 5000, {hop = 1600, n_octaves = 2, fmin = 65})
      check(cens.cens, y, 5000, {frames_per_second = 20, smoothing = 5, norm = 1})
   end)

   it("keeps silence silent", function()
      local still = array.zeros(60000)
      check(cens.cens, still, 1000)
      still[30000] = 1
      for _, size in ipairs{777, 29999, 30000} do check(cens.cqt, still, size, {tuning = 0}) end
   end)

   it("may give blocks of any dtype, and empty ones", function()
      local expected = cens.cens(y, {sample_rate = RATE, tuning = 0.1})
      local at = 0
      local c = cens.cens(function()
         at = at + 1
         if at % 2 == 0 then return array.zeros(0) end
         local first = (at - 1) // 2 * 9000 + 1
         return first <= 90000 and y:slice(1, first, first + 8999):copy("f64") or nil
      end, {sample_rate = RATE, tuning = 0.1})
      assert.is_true(array.equal(expected, c))
   end)

   it("may be an open file, wherever it stands", function()
      local path = write(y)
      local reader <close> = assert(audio.open(path))
      reader:read(1234)
      assert.is_true(array.equal(cens.cens(y, {sample_rate = RATE}), (cens.cens(reader, {sample_rate = RATE}))))
      assert.is_true(array.equal(cens.cqt(y, {sample_rate = RATE}), (cens.cqt(reader, {sample_rate = RATE}))))
      assert.equal(cens.tuning(y, {sample_rate = RATE}), cens.tuning(reader, {sample_rate = RATE}))
      assert.error_matches(function() cens.cens(reader, {sample_rate = 22050}) end,
         "reader of 22050.0 Hz expected, got 32000")
   end)

   it("may be an open file at another rate", function()
      local path = write(y)
      local reader <close> = assert(audio.open(path, {sample_rate = 16000}))
      local whole = assert(audio.load(path, {sample_rate = 16000}))
      assert.is_true(array.equal(cens.cens(whole, {sample_rate = 16000}),
         (cens.cens(reader, {sample_rate = 16000}))))
   end)

   it("may be any object that reads and seeks", function()
      local next_block, rewind = blocks(y, 10000)
      local object = {read = function() return next_block() end, seek_s = function(_, s)
         assert.equal(0, s)
         rewind()
         return 0
      end}
      assert.is_true(array.equal(cens.cens(y, {sample_rate = RATE}), (cens.cens(object, {sample_rate = RATE}))))
   end)

   it("passes on what it says went wrong", function()
      local function broken() return nil, "night.ogg: damaged" end
      local function rewind() end
      assert.same({nil, "night.ogg: damaged"}, {cens.cens(broken, {sample_rate = RATE, tuning = 0})})
      assert.same({nil, "night.ogg: damaged"}, {cens.chroma(broken, {sample_rate = RATE, rewind = rewind})})
      assert.same({nil, "night.ogg: damaged"}, {cens.tuning(broken, {sample_rate = RATE, rewind = rewind})})
      local source = blocks(y, 10000)
      assert.same({nil, "gone"}, {cens.cens(source, {sample_rate = RATE, rewind = function()
         return nil, "gone"
      end})})
   end)

   it("passes on an error", function()
      assert.error_matches(function()
         cens.cens(function() error("no microphone") end, {sample_rate = RATE, tuning = 0})
      end, "no microphone")
   end)

   it("stops on Ctrl-C", function()
      local dir = command.folder()
      local script = command.write(dir .. "/endless.lua", ([[
         local block = require("bclua.array").zeros(1 << 20)
         io.open("%s/started", "w"):close()
         require("bclua.cens").cens(function() return block end, {sample_rate = 32000, tuning = 0})]]):format(dir))
      local out, status = command.shell(("%s %s & pid=$!; while [ ! -e %s/started ]; do sleep 0.01; done; " ..
         "sleep 0.1; kill -INT $pid; wait $pid"):format(command.program, script, dir))
      assert.matches("interrupted!", out)
      assert.equal(130, status)
      command.remove(dir)
   end)

   it("is told what it may not give", function()
      local function fails(value, message)
         assert.error_matches(function()
            cens.cens(function() return value end, {sample_rate = RATE, tuning = 0})
         end, message)
      end
      fails(1, "source: array or nil expected, got number")
      fails(array.zeros({2, 9}), "source: array with 1 axis expected, got 2")
      local bad = blocks(array.from{0, 0, 0, 0, nan}, 2)
      assert.error_matches(function() cens.cens(bad, {sample_rate = RATE, tuning = 0}) end, "source: sample 5 is NaN")
   end)

   it("needs what it takes to estimate the tuning", function()
      local source, rewind = blocks(y, 1000)
      assert.error_matches(function() cens.cens(source, {sample_rate = RATE}) end, "option 'rewind' expected")
      assert.error_matches(function() cens.tuning(source, {sample_rate = RATE}) end, "option 'rewind' expected")
      assert.error_matches(function() cens.cens(source, {sample_rate = RATE, rewind = 1}) end,
         "'rewind' must be a function, got number")
      assert.error_matches(function() cens.cens(y, {sample_rate = RATE, rewind = rewind}) end,
         "'rewind' is for samples from a function")
      assert.error_matches(function() cens.cens("y.wav", {sample_rate = RATE}) end, "array expected, got string")
   end)
end)

describe("the tuning of a long source", function()
   -- Pieces with gaps of silence between, so that peaks are the same wherever a
   -- piece is; over 100 000 peaks a piece (most at this rate), two million are kept.
   local RUN, LOW = 512 * 400, 8000
   local function piece(seed, gain)
      local p = array.zeros(RUN)
      p:slice(1, 2049, RUN - 4096):fill(noise(RUN - 6144, seed) * gain)
      return p
   end

   local function repeated(list, times)
      local at = 0
      return function()
         at = at + 1
         return list[(at - 1) // times + 1]
      end, function() at = 0 end
   end

   local function check_long(list, times)
      local all = array.zeros(#list * RUN)
      for i, p in ipairs(list) do all:slice(1, (i - 1) * RUN + 1, i * RUN):fill(p) end
      local expected = cens.tuning(all, {sample_rate = LOW})
      local source, rewind = repeated(list, times)
      local passes = 1
      assert.equal(expected, cens.tuning(source, {sample_rate = LOW, rewind = function()
         passes = passes + 1
         rewind()
      end}))
      return passes
   end

   it("is that of its parts, in one pass", function()
      assert.equal(1, check_long({piece(2, 1), piece(3, 0.9)}, 15))
   end)

   it("is exact in two passes, where loudness changes for good", function()
      assert.equal(2, check_long({piece(2, 1), piece(3, 1e-3), piece(4, 1e-3)}, 20))
   end)
end)

describe("the mel spectrogram of a source", function()
   local y = noise(20000, 5)

   local function both(f, size, options, whole)
      options = with({n_mels = 8, n_fft = 512}, options)
      local expected = f(whole or y, options)
      local got = f(blocks(whole or y, size), options)
      assert.same(expected:shape(), got:shape())
      assert.is_true(array.equal(expected, got))
   end

   it("is that of the whole, whatever the blocks and the padding", function()
      for _, pad in ipairs{"constant", "reflect", "none"} do
         for _, size in ipairs{1, 100, 4567, 20000} do
            both(spectral.mel, size, {pad = pad})
            both(spectral.mel, size, {pad = pad, hop = 700})
         end
         both(spectral.log_mel, 999, {pad = pad, n_fft = 300, hop = 77})
         both(spectral.log_mel, 999, {pad = pad, n_fft = 301, ref = "max"})
         both(spectral.mel, 999, {pad = pad, hop = 100000})
         both(spectral.mel, 999, {pad = pad, hop = 9000})
         for _, n in ipairs{0, 1, 2, 255, 256, 257, 511, 512, 513, 700, 1024, 1025, 2600} do
            both(spectral.mel, 200, {pad = pad}, y:slice(1, 1, n))
         end
      end
   end)

   it("keeps NaN to its frames", function()
      local bad = y:copy()
      bad[9000] = nan
      local source = blocks(bad, 500)
      local m = spectral.mel(source, {sample_rate = RATE, n_fft = 512, hop = 512})
      local whole = spectral.mel(bad, {sample_rate = RATE, n_fft = 512, hop = 512})
      for t = 1, m:shape(2) do assert.equal(whole:T()[t]:is_finite(), m:T()[t]:is_finite()) end
   end)

   it("is handed over block by block", function()
      local options = with({n_mels = 8, n_fft = 256, hop = 16})
      local expected = spectral.mel(y, options)
      local joined, calls = array.zeros(expected:shape()), 0
      options.each = function(part, first)
         calls = calls + 1
         joined:slice(2, first + 1, first + part:shape(2)):fill(part)
      end
      assert.equal(expected:shape(2), spectral.mel(blocks(y, 3000), options))
      assert.is_true(array.equal(expected, joined))
      assert.is_true(calls > 2)
      options.top_db = math.huge
      assert.equal(expected:shape(2), spectral.log_mel(blocks(y, 3000), options))
      options.each = nil
      assert.is_true(array.equal(spectral.log_mel(y, options), joined))
   end)

   it("says what went wrong", function()
      local options = {sample_rate = RATE}
      assert.same({nil, "damaged"}, {spectral.mel(function() return nil, "damaged" end, options)})
      assert.error_matches(function() spectral.mel(function() return 1 end, options) end, "array or nil expected")
      local function fails(f, o, message)
         assert.error_matches(function() f(blocks(y, 9), with(o)) end, message)
      end
      fails(spectral.mel, {each = 1}, "'each' must be a function")
      fails(spectral.log_mel, {each = print}, "expected with 'each'")
      fails(spectral.mel, {each = function() error "full" end, hop = 1}, "full")
      assert.error_matches(function() spectral.mel(y, with{each = print}) end, "for samples from a source")
   end)
end)

describe("the Fourier transform of a source", function()
   local y = noise(20000, 7)

   local function both(options, size, whole)
      whole = whole or y
      local re, im = spectral.stft(whole, options)
      local got_re, got_im = spectral.stft(blocks(whole, size), options)
      assert.same(re:shape(), got_re:shape())
      assert.is_true(array.equal(re, got_re) and array.equal(im, got_im))
      for _, power in ipairs{2, 1, 0.3} do
         local o = with(options, {power = power})
         o.sample_rate = nil
         assert.is_true(array.equal(spectral.spectrogram(whole, o), (spectral.spectrogram(blocks(whole, size), o))))
      end
   end

   it("is that of the whole, whatever the blocks, the window and the padding", function()
      for _, pad in ipairs{"constant", "reflect", "none"} do
         both({n_fft = 512, pad = pad}, 777)
         both({n_fft = 300, hop = 301, pad = pad, window = "ones"}, 20000)
         both({n_fft = 1, hop = 9, pad = pad}, 4096)
         both({n_fft = 129, hop = 64, pad = pad}, 1, y:slice(1, 1, 2000))
         both({n_fft = 64, hop = 9000, pad = pad}, 100)
         both({n_fft = 65536, hop = 3000, pad = pad}, 5000)
         for _, n in ipairs{0, 1, 2, 255, 256, 257, 511, 512, 513, 1025} do
            both({n_fft = 512, hop = 100, pad = pad}, 200, y:slice(1, 1, n))
         end
      end
   end)

   it("needs no options, and takes a file at any rate", function()
      local source = blocks(y, 999)
      assert.is_true(array.equal(spectral.stft(y), (spectral.stft(source))))
      local path = write(y)
      local reader <close> = assert(audio.open(path, {sample_rate = 16000}))
      local half = assert(audio.load(path, {sample_rate = 16000}))
      assert.is_true(array.equal(spectral.spectrogram(half), (spectral.spectrogram(reader))))
   end)

   it("keeps NaN to its frames", function()
      local bad = y:copy()
      bad[9000] = nan
      local o = {n_fft = 512, hop = 512}
      local s, whole = spectral.spectrogram(blocks(bad, 500), o), spectral.spectrogram(bad, o)
      for t = 1, s:shape(2) do assert.equal(whole:T()[t]:is_finite(), s:T()[t]:is_finite()) end
   end)

   it("is handed over part by part, each of them small", function()
      local o = {n_fft = 256, hop = 16}
      local re, im = spectral.stft(y, o)
      local joined_re, joined_im, calls, next_frame = array.zeros(re:shape()), array.zeros(re:shape()), 0, 0
      o.each = function(part_re, part_im, first)
         assert.equal(next_frame, first)
         next_frame, calls = first + part_re:shape(2), calls + 1
         joined_re:slice(2, first + 1, next_frame):fill(part_re)
         joined_im:slice(2, first + 1, next_frame):fill(part_im)
      end
      assert.same({re:shape(2), n = 1}, table.pack(spectral.stft(blocks(y, 3000), o)))
      assert.is_true(array.equal(re, joined_re) and array.equal(im, joined_im))
      assert.is_true(calls > 2)

      local most, long = 0, array.zeros(400000)
      o = {n_fft = 64, hop = 16, each = function(part) most = math.max(most, part:shape(2)) end}
      assert.equal(25001, spectral.spectrogram(blocks(long, 400000), o))
      assert.is_true(most > 0 and most < 8192)
   end)

   it("gives pcen and decibels of parts what the whole gives", function()
      local o = {n_fft = 256, hop = 64}
      local whole = spectral.spectrogram(y, o)
      local expected = spectral.pcen(whole)
      local decibels = spectral.power_to_db(whole, {top_db = math.huge})
      local state
      o.each = function(part, first)
         local got
         got, state = spectral.pcen(part, {state = state})
         local last = first + part:shape(2)
         assert.is_true(array.equal(expected:slice(2, first + 1, last):copy(), got))
         assert.is_true(array.equal(decibels:slice(2, first + 1, last):copy(),
            spectral.power_to_db(part, {top_db = math.huge})))
      end
      assert.equal(whole:shape(2), spectral.spectrogram(blocks(y, 6000), o))
   end)

   it("says what went wrong", function()
      assert.same({nil, "damaged"}, {spectral.stft(function() return nil, "damaged" end)})
      assert.error_matches(function() spectral.stft(function() return 1 end) end, "array or nil expected")
      assert.error_matches(function() spectral.stft(blocks(y, 9), {each = 1}) end, "'each' must be a function")
      assert.error_matches(function() spectral.spectrogram(y, {each = print}) end, "for samples from a source")
      assert.error_matches(function() spectral.stft(blocks(y, 9), {each = function() error "full" end}) end, "full")
      assert.error_matches(function() spectral.stft(blocks(y, 9), {sample_rate = 8000}) end, "unknown option")
   end)
end)

describe("pcen in parts", function()
   local bands = noise(3 * 100, 6):reshape({3, 100}):abs()

   it("continues from its state", function()
      local whole, last = spectral.pcen(bands)
      local first, state = spectral.pcen(bands:slice(2, 1, 37))
      local second, final = spectral.pcen(bands:slice(2, 38, 100), {state = state})
      assert.is_true(array.equal(whole:slice(2, 1, 37):copy(), first))
      assert.is_true(array.equal(whole:slice(2, 38, 100):copy(), second))
      assert.is_true(array.equal(last, final))
      assert.same({"f64", 3}, {state:dtype(), state:size()})
      assert.is_false(array.equal(state, final)) -- not changed in place
   end)

   it("begins with 1, and keeps the state over no frames", function()
      local _, state = spectral.pcen(array.zeros({2, 0}))
      assert.same({1, 1}, state:table())
   end)

   it("names what it rejects", function()
      assert.error_matches(function() spectral.pcen(bands, {state = 1}) end, "must be an array of 3 bands, got 1")
      assert.error_matches(function() spectral.pcen(bands, {state = array.zeros(2)}) end, "an array of 3 bands")
   end)
end)
