-- AVX-512 (with products of bf16, matrix registers or without), AVX2 and plain code give the same bits. What this
-- processor does not have is not compared.
local array = require "bclua.array"
local cens = require "bclua.cens"
local command = require "support.command"
local nn = require "bclua.nn"
local sampling = require "bclua.sampling"
local spectral = require "bclua.spectral"
local stomp = require "bclua.stomp"
local system = require "bclua.system"

local RATE = 32000

-- Loud and quiet noise, silence, a denormal and a huge sample.
local function signal(n)
   local y = (sampling.generator(3):uniform(n) - 0.5):copy("f32")
   local third = n // 3
   y:slice(1, third, 2 * third):fill(0)
   y:slice(1, 2 * third, n):fill(y:slice(1, 2 * third, n) * 1e-4)
   y[third + 5], y[10], y[n - 3] = 1e-40, 1e8, 0
   return y
end

local LEVELS = {}
for _, name in ipairs{"plain", "avx2", "avx512", "avx512_bf16", "amx"} do
   local before = system.instructions()
   if pcall(system.instructions, name) then LEVELS[#LEVELS + 1] = name end
   system.instructions(before)
end

local function each(f)
   local before = system.instructions()
   for _, name in ipairs(LEVELS) do
      assert.equal(name, system.instructions(name))
      local ok, message = pcall(f, name)
      system.instructions(before)
      if not ok then error(message, 0) end
   end
end

-- Are all results of f the same with all instructions?
local function check(what, f)
   local expected
   each(function(name)
      local got = table.pack(f())
      if not expected then expected = got end
      assert.equal(expected.n, got.n)
      for i = 1, got.n do
         local same
         if array.is_array(got[i]) then
            same = got[i]:string() == expected[i]:string()
         elseif type(got[i]) == "table" then
            assert.same(expected[i], got[i])
            same = true
         else
            same = got[i] == expected[i]
         end
         assert(same, what .. ": " .. name .. " differs from plain in result " .. i)
      end
   end)
end

describe("with all instructions", function()
   local y = signal(100000)

   it("cens, chroma, cqt and tuning are the same", function()
      for _, o in ipairs{{sample_rate = RATE}, {sample_rate = RATE, hop = 777, smoothing = 9},
         {sample_rate = 22050, n_octaves = 3, fmin = 200}} do
         check("cens", function() return cens.cens(y, o) end)
         check("cqt", function() o.smoothing = nil return cens.cqt(y, o) end)
         check("chroma", function() return cens.chroma(y, o) end)
         check("tuning", function() return cens.tuning(y, {sample_rate = o.sample_rate}) end)
      end
      for _, n in ipairs{0, 1, 2, 500, 5000, 27001} do
         local part = y:slice(1, 1, n)
         check("cens of " .. n, function() return cens.cens(part, {sample_rate = RATE}) end)
      end
   end)

   it("they are so block by block", function()
      check("cens", function()
         local at = 0
         return cens.cens(function()
            at = at + 1
            return at <= 10 and y:slice(1, (at - 1) * 10000 + 1, at * 10000) or nil
         end, {sample_rate = RATE, rewind = function() at = 0 end})
      end)
   end)

   it("mel, log_mel, spectrogram and stft are the same", function()
      for _, n_fft in ipairs{4, 8, 16, 32, 64, 128, 256, 300, 511, 512, 1024, 4096, 16384} do
         for _, pad in ipairs{"constant", "reflect", "none"} do
            local o = {sample_rate = RATE, n_fft = n_fft, hop = n_fft < 64 and 997 or nil, n_mels = 24, pad = pad}
            check("mel " .. n_fft, function() return spectral.mel(y, o) end)
         end
      end
      local s = spectral.mel(y, {sample_rate = RATE})
      check("log_mel", function() return spectral.log_mel(y, {sample_rate = RATE, ref = "max"}) end)
      check("pcen", function() return spectral.pcen(s) end)
      check("stft", function() return spectral.stft(y, {n_fft = 512}) end)
      check("spectrogram", function() return spectral.spectrogram(y, {n_fft = 300, power = 0.7}) end)
   end)

   it("NaN and infinity are found where they are", function()
      for _, at in ipairs{1, 2, 15, 16, 17, 65536, 65537, 99999, 100000} do
         for _, value in ipairs{0 / 0, math.huge, -math.huge} do
            local bad = y:copy()
            bad[at] = value
            each(function()
               assert.error_matches(function() cens.tuning(bad, {sample_rate = RATE}) end, "sample " .. at .. " is")
            end)
         end
      end
   end)

   it("matrix profiles are the same, too", function()
      local c = cens.cens(y, {sample_rate = RATE, hop = 320})
      local function arrays(p) return p.distance, p.index end
      check("self_join", function() return arrays(stomp.self_join(c, 20)) end)
      check("matches", function() return stomp.matches(c:slice(2, 1, 30), c, {k = 5}) end)
      check("z_self_join", function() return arrays(stomp.z_self_join(c[1], 20)) end)
   end)

   it("norms, activations, scales and the optimiser of a network are the same", function()
      local generator = sampling.generator(5)
      local batch = {}
      for _, role in ipairs{"anchor", "neighbor", "distant"} do
         batch[role] = (generator:uniform(4 * 2000) - 0.5):copy("f32"):reshape({4, 2000})
      end
      local function layers() -- products round differently: only those of the definition are the same
         return {{"mel", sample_rate = RATE, n_fft = 256, hop = 64, n_mels = 16}, {"decibel"}, {"center"},
            {"conv2d", out = 5, kernel = 3, padding = 1, algorithm = "plain"}, {"batch_norm"}, {"relu"},
            {"max_pool", kernel = 2}, {"dropout"},
            {"conv2d", out = 6, kernel = 3, stride = 2, algorithm = "plain"}, {"group_norm", groups = 2}, {"relu"},
            {"average_pool", global = true}}
      end
      for _, precision in ipairs{"f32", "bf16"} do
         check("training in " .. precision, function()
            local net = nn.network(layers(), {input = {2000}, precision = precision, seed = 1})
            for _ = 1, 3 do assert(net:train_step(batch, {lr = 0.01})) end
            local state, embedding = {}, net:forward(batch.anchor)
            for name, tensor in pairs(net:state()) do state[name] = tensor:string() end
            net:close()
            return embedding, state
         end)
      end
   end)

   it("array arithmetic is the same", function()
      local x = y:slice(1, 1, 1003)
      check("arithmetic", function() return x + x, x * x, x - 0.1, x / 3 end)
   end)
end)

describe("system.instructions", function()
   it("names the best at first, and is told others", function()
      local before = system.instructions()
      assert.equal(LEVELS[#LEVELS], system.instructions("best"))
      assert.equal("plain", system.instructions("plain"))
      assert.equal("plain", system.instructions())
      system.instructions(before)
      assert.error_matches(function() system.instructions("sse") end, "invalid option 'sse'")
   end)

   it("begins with what BCLUA_INSTRUCTIONS says, if that is there", function()
      local show = {"-e", "print(require('bclua.system').instructions())"}
      assert.equal("plain\n", (command.bclua(show, {env = "BCLUA_INSTRUCTIONS=plain"})))
      assert.equal(LEVELS[#LEVELS] .. "\n", (command.bclua(show, {env = "BCLUA_INSTRUCTIONS=mmx"})))
   end)
end)
