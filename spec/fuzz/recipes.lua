-- recipes.lua: plausible arguments for calls.lua: by the name of a parameter, by its
-- documented type, and, where that is not enough to get past the first check, by function.
local values = require "values"

local pick, list, integer, number = values.pick, values.list, values.integer, values.number
local random = math.random
local recipes = {}

local function any_of(...)
   local choices = {...}
   return function() return pick(choices) end
end

local rate = any_of(8000, 8000, 16000, 32000, 44100, 1000, 1)

-- Of a parameter or an option
recipes.named = {
   path = values.path, dtype = values.dtype, shape = values.shape, axis = function() return random(3) end,
   y = values.source, x = values.series, a = values.series, b = values.series, query = values.series,
   s = values.matrix, mel = values.matrix, chroma = function() return values.full({12, random(0, 9)}, "f32") end,
   tile = function() return {random(1, 3), random(1, 4)} end, tiles = values.matrix, i = integer,
   sample_rate = rate, from = rate, to = rate, read_rate = rate,
   n_fft = any_of(16, 64, 512, 1024, 2048, 3), hop = any_of(1, 16, 100, 800, 3200), n_mels = any_of(1, 8, 40, 128),
   fmin = any_of(0, 32.7, 100), fmax = any_of(1000, 4000, 16000), window = any_of(4, 8, 20, "hann", "ones"),
   windows = function()
      if random() < 0.5 then return list(function() return random(2, 40) end) end
      return {first = random(2, 20), last = random(20, 50), step = random(1, 9)}
   end,
   pad = any_of("constant", "reflect", "none"), power = any_of(1, 2, 0.5),
   norm = any_of(1, 2, math.huge, false, "slaney"),
   seconds = any_of(0, 0.01, 0.1, 0.2), centre_s = any_of(-1, 0, 0.1, 1e6), start_s = any_of(0, 0.1, 1e6),
   method = any_of("auto", "filter", "sweep", "brute"), instructions = any_of("best", "plain", "avx2", "avx512"),
   progress = values.callback, each = values.callback, rewind = values.callback, handler = values.callback,
   run = values.callback, k = function() return random(1, 6) end, exclusion = integer,
   groups = function() return values.array(1, "i64") end, labels = function() return values.array(1, "i64") end,
   metric = any_of("euclidean", "cosine"), kind = any_of("wind", "rain", "insects"), seed = integer,
   generator = function() return pick(values.pool["bclua.sampling.generator"]) end,
   format = any_of("wav", "flac", "ogg"), subtype = any_of("pcm16", "pcm24", "float"), quality = number,
   threads = any_of(1, 2), tuning = number, n_octaves = any_of(1, 3, 7), layer = any_of("a", "b", "relu_2"),
   quant_steps = function() return list(number) end, quant_weights = function() return list(number) end,
   text = any_of("select 42 as x", "select ? as x", "select $a as x", "select [1, 2, null] x, 'a' y, {'b': 1} z",
      "select * from 'junk'", "select range r, range * 1.5 d, r % 2 = 0 e from range(5000) t(range)",
      "create temp table q(x int)",
      "insert into q values (1)", "select cast(null as int[]) x", "select 1; select 2", "selec", "", "pragma version",
      "select map{'a': 1} m, uuid() u, now() t, 1::hugeint h, 'x'::blob b"),
   params = function() return random() < 0.5 and list(values.any, 2) or {a = values.any()} end,
}

-- Of a documented type
recipes.typed = {
   {"array", values.array}, {"table", function() return {} end}, {"{", function() return list(values.any) end},
   {"function", values.callback}, {"integer", integer}, {"number", number}, {"string", values.string},
   {"boolean", values.boolean}, {"generator", recipes.named.generator}, {"", values.any},
}

local layers = {
   function() return {"conv2d", out = random(4), kernel = random(3), padding = random(0, 1)} end,
   function() return {"batch_norm"} end, function() return {"relu", name = pick{"a", "b"}} end,
   function() return {"group_norm", groups = random(2)} end, function() return {"dropout", rate = random()} end,
   function() return {"average_pool", kernel = random(2)} end, function() return {"average_pool", global = true} end,
   function() return {"max_pool", kernel = random(2)} end,
   function() return {"linear", out = random(5)} end, function() return {"add", from = pick{"a", "b"}} end,
   function() return {"mel", sample_rate = 8000, n_fft = 64, hop = 32, n_mels = 8} end,
   function() return {"decibel"} end, function() return {"pcen"} end, function() return {"center"} end,
}

local function network()
   local input = pick{{600}, {1, 8, 6}, {2, 5, 4}, {3}}
   local chain = {#input == 1 and input[1] == 600 and layers[11]() or {"batch_norm"}, {"relu", name = "a"}}
   for _ = 1, random(0, 4) do chain[#chain + 1] = pick(layers)() end
   return {chain, {input = input, precision = pick{"f32", "f64", "bf16", "f16"}, seed = integer(), threads = random(2),
      input_gradient = values.boolean() and not chain[1][1] == "mel", recompute = pick{"auto", "none", "stage"}}}
end

-- A batch that the network of recipes.self takes.
local function parts(self)
   local ok, layer = pcall(self.layers, self)
   local c, h, w = 1, 1, 600
   if ok and layer[1] then c, h, w = layer[1].c, layer[1].h, layer[1].w end
   local n, dtype = random(1, 3), pick{"f32", "f64"}
   return list(function() return values.full({n, c, h, w}, dtype) end, 3)
end

local function columns(names, n, of)
   local t = {}
   for _, name in ipairs(values.names(names)) do t[name] = values.column(n, names[name], of) end
   return t
end

local function triplets()
   local n = random(1, 8)
   local t = columns({group = "i64", species = "i64"}, n, function() return random(0, 2) end)
   for _, name in ipairs{"anchor_s", "self_s", "duration_s"} do
      t[name] = values.column(n, "f64", function() return random(1, 20) end)
   end
   t.window_s = 5
   if random() < 0.3 then
      t.places_s, t.places_end = values.column(n, "f64", number), values.column(n, "i64", function(i) return i end)
   end
   return {t, {samples = random(0, 50), seed = integer(), shares = pick{"equal", "natural", "sqrt"}, clips = integer(),
      exclude_own = values.boolean(), clip_distance_s = number(), self_distance_s = number(),
      mixture = random() < 0.5 and {1, 1, 1, random(0, 1)} or nil}}
end

local function windows(n, sources)
   return {source = values.column(n, "i32", function() return random(0, sources - 1) end),
      loc = values.column(n, "f64", function(i) return random() < 0.2 and -1 or i / 10 end),
      first = random() < 0.3 and values.column(n, "i64", integer) or nil}
end

local function loading()
   local walk, n, store = values.boolean(), random(1, 9), pick{"none", "none", "flac", "npy", "packed"}
   local files = {none = {"a.wav", "b.flac", "c.ogg"}, flac = {"b.flac"}, npy = {"x.npy"}, packed = {"junk"}}
   local paths = files[store]
   local o = {store = store, paths = paths, sources = {"a", "b", "c", table.unpack({}, 1, #paths - 3)}, duration = 0.2,
      sample_rate = 8000, samples = pick{100, 1600}, batch_size = random(1, 4), seed = integer(), workers = random(2),
      prefetch = random(2), cache_bytes = 1 << 20, open = 4, limit = integer(), windows = {}}
   for _, role in ipairs{"anchor", "neighbor", "distant"} do o.windows[role] = windows(n, #paths) end
   if walk then
      local ends = {0, n // 2, n}
      o.first, o.walkers = values.column(3, "i64", function(i) return ends[i] end), random(3)
   end
   if random() < 0.4 then
      o.effects = {anchor = {gain = number(), pitch = number(), noise = {number(), number()}, mix = {0, number()}}}
   end
   if random() < 0.2 then o.backgrounds = {"c.ogg", "missing"} end
   return {o}
end

local function profile()
   local n = pick{0, 1, 5, 40}
   local p = {distance = values.column(n, "f64", number), window = random(1, 12), kind = pick{"self", "join"},
      index = values.column(n, "i64", function() return random(0, n) end)}
   if random() < 0.5 then p.exclusion = integer() end
   return p
end

local function table_of_columns()
   local n, t, names = random(0, 5), {}, {}
   for i = 1, random(3) do
      names[i] = "c" .. i
      t[names[i]] = pick{function() return values.column(n, values.dtype(), integer) end,
         function() return values.list(values.any, 4) end, function() return values.array(2) end,
         function() return {n = values.integer(), "a"} end,
         function() return {{1, 2}, {3}, values.vector(), n = 3} end}()
   end
   return t, names
end

-- A labelled matrix: rows, their groups, their classes.
local function rows(of)
   local n = random(1, 12)
   local x = values.full({n, random(1, 5)}, pick{"f32", "f64"})
   local groups, labels = values.column(n, "i64", integer), values.column(n, "i64", function() return random(1, 4) end)
   return of(x, groups, labels)
end

local function series(dims, frames) return values.full(dims == 1 and frames or {dims, frames}, pick{"f32", "f64"}) end

local function join_options()
   local o = {method = pick{"auto", "filter", "sweep", "brute"}, instructions = pick{"best", "plain", "avx2", "avx512"}}
   if random() < 0.3 then o.k, o.method = random(1, 5), nil end
   if random() < 0.3 then o.progress = values.callback() end
   if random() < 0.2 then o.tile, o.method = {random(1, 3), 3}, nil end
   return o
end

local function join(dims, both)
   return function()
      local d = dims or random(1, 12)
      local args = {series(d, random(12, 120)), random(2, 12), join_options()}
      if both then table.insert(args, 2, series(d, random(12, 120))) end
      return args
   end
end

local function matches(dims)
   return function()
      local d = dims or random(1, 12)
      local radius = random() < 0.5 and number() or nil
      return {series(d, random(2, 12)), series(d, random(12, 90)), {k = random(1, 5), radius = radius}}
   end
end

local function sets(option, dims)
   return function()
      local d = dims or random(1, 12)
      local frames, window = random(12, 90), random(1, 12)
      return {series(d, frames), window, {[option] = option == "radius" and number() or random(2, 6),
         among = random() < 0.3 and values.full({frames - window + 1}, "f64") or nil}}
   end
end

local function pan(dims)
   return function() return {series(dims or random(1, 12), random(40, 90)), recipes.named.windows(), {}} end
end

local function indices(self, ...)
   local ok, shape = pcall(self.shape, self)
   local args = {self}
   for i, n in ipairs(ok and shape or {}) do args[i + 1] = random(0, n) end
   for i = 1, select("#", ...) do args[#args + 1] = select(i, ...) end
   return args
end

local function operands(self) return {self, random() < 0.5 and number() or self} end

local function statement(self)
   return {self, recipes.named.text(), random() < 0.5 and recipes.named.params() or nil}
end

local function query() return statement(values.made_by("bclua.sql.core.open")) end

-- A sound, and some of the options whose values these functions give.
local function sound(more)
   return function()
      local o = {sample_rate = 9000}
      for _, name in ipairs(values.names(more)) do if random() < 0.3 then o[name] = more[name]() end end
      return {values.source(), o}
   end
end

local cens_options = {hop = any_of(100, 900), n_octaves = any_of(1, 2, 7), tuning = any_of(0, 0.3),
   rewind = values.callback, fmin = any_of(32.7, 100)}
local mel_options = {n_fft = any_of(16, 64, 512, 3), hop = any_of(1, 16, 100), n_mels = any_of(1, 8, 40),
   each = values.callback, pad = any_of("constant", "reflect", "none")}

-- Of a function: the list of its arguments, the object first for a method.
recipes.calls = {
   ["bclua.nn.core.network"] = network,
   ["bclua.nn.core.loss"] = function()
      local e = values.full({3 * random(1, 3), random(1, 4)}, pick{"f32", "f64"})
      return {e, {loss = pick{"triplet",
         "triplet_cosine", "semi_hard", "batch_hard", "nt_xent", "supcon"},
         margin = number(), l2 = number(), temperature = number()}}
   end,
   ["bclua.nn.network:forward"] = function(self)
      return {self, parts(self), {train = values.boolean(), backward = values.boolean(), groups = random(3),
         first_group = integer(), seed = integer(), keep = list(recipes.named.layer)}}
   end,
   ["bclua.nn.network:backward"] = function(self)
      local ok, layer = pcall(self.layers, self)
      local last = ok and layer[#layer] or {c = 1, h = 1, w = 1}
      pcall(self.forward, self, parts(self), {train = true})
      return {self, values.full({random(1, 3), last.c * last.h * last.w}, "f32")}
   end,
   ["bclua.nn.network:memory_estimate"] = function(self)
      return {self, integer(), {groups = integer(), train = values.boolean(), recompute = pick{"auto", "none"}}}
   end,
   ["bclua.learn.nearest"] = function()
      return rows(function(x, groups) return {x, groups, {k = random(1, 4), metric = pick{"euclidean", "cosine"}}} end)
   end,
   ["bclua.learn.class_distances"] = function() return rows(function(...) return {...} end) end,
   ["bclua.learn.logistic_fit"] = function()
      return rows(function(x, _, labels) return {x, labels, {iterations = random(0, 20)}} end)
   end,
   ["bclua.learn.logistic_predict"] = function()
      return rows(function(x) return {values.full({3, x:shape(2) + 1}, "f64"), x} end)
   end,
   ["bclua.learn.pca"] = function() return rows(function(x) return {x, {components = 1}} end) end,
   ["bclua.learn.scan"] = function()
      return rows(function(x) return {x:copy("f32"), x, {k = random(1, 4), metric = pick{"euclidean", "cosine"}}} end)
   end,
   ["bclua.cluster.hdbscan"] = function()
      return rows(function(x) return {x, {least = random(2, 4), metric = pick{"euclidean", "cosine"}}} end)
   end,
   ["bclua.cluster.tsne"] = function()
      return rows(function(x) return {x, {perplexity = random(1, 9), metric = pick{"euclidean", "cosine"}}} end)
   end,
   ["bclua.stomp.self_join"] = join(), ["bclua.stomp.join"] = join(nil, true),
   ["bclua.stomp.z_self_join"] = join(1), ["bclua.stomp.z_join"] = join(1, true),
   ["bclua.stomp.matches"] = matches(), ["bclua.stomp.z_matches"] = matches(1),
   ["bclua.stomp.correct"] = function()
      local n = random(1, 20)
      return {{distance = values.full({n}, "f64"), window = 4}, values.full({n}, "f64"), pick{"motifs", "discords"}}
   end,
   ["bclua.stomp.motiflets"] = sets("k_max"), ["bclua.stomp.z_motiflets"] = sets("k_max", 1),
   ["bclua.stomp.motif_sets"] = sets("radius"), ["bclua.stomp.z_motif_sets"] = sets("radius", 1),
   ["bclua.stomp.pan"] = pan(), ["bclua.stomp.z_pan"] = pan(1),
   ["bclua.array:at"] = indices, ["bclua.array:set"] = function(self) return indices(self, number()) end,
   ["bclua.array:slice"] = function(self) return {self, random(2), random(1, 3), random(0, 3)} end,
   ["bclua.array:__newindex"] = function(self) return {self, random(3), number()} end,
   ["bclua.array:__index"] = function(self) return {self, pick{1, 2, 3, "size"}} end,
   ["bclua.array:__add"] = operands, ["bclua.array:__sub"] = operands, ["bclua.array:__mul"] = operands,
   ["bclua.array:__div"] = operands, ["bclua.array:__pow"] = operands,
   ["bclua.array:maximum"] = operands, ["bclua.array:minimum"] = operands,
   ["bclua.array.equal"] = function() local a = values.array() return {a, a:copy()} end,
   ["bclua.array.allclose"] = function() local a = values.array() return {a, a:copy("f32"), number(), number()} end,
   ["bclua.array.max_difference"] = function() local a = values.array() return {a, a:copy("i64")} end,
   ["bclua.cens.cens"] = sound(cens_options), ["bclua.cens.chroma"] = sound(cens_options),
   ["bclua.cens.cqt"] = sound(cens_options),
   ["bclua.spectral.mel"] = sound(mel_options), ["bclua.spectral.log_mel"] = sound(mel_options),
   ["bclua.sql.core.query"] = query, ["bclua.sql.core.columns"] = query, ["bclua.sql.core.exec"] = query,
   ["bclua.audio.save"] = function() return {pick{"s.wav", "s.flac", "s.ogg"}, values.samples() * 0.1, rate()} end,
   ["bclua.audio.encode"] = function()
      return {values.samples() * 0.1, rate(), {format = pick{"wav", "flac", "ogg"}}}
   end,
   ["bclua.audio.create"] = function() return {pick{"s.wav", "s.flac", "s.ogg"}, rate(), {channels = random(2)}} end,
   ["bclua.audio.resample"] = function() return {values.samples(), rate(), rate()} end,
   ["bclua.nn.network:value"] = function(self) return {self, recipes.named.layer()} end,
   ["bclua.nn.network:tensor"] = function(self)
      return {self, random(4), pick{"value", "gradient", "moment1", "moment2"}}
   end,
   ["bclua.nn.network:inspect"] = function(self)
      return {self, random() < 0.5 and values.callback() or function() self:forward(parts(self)) end}
   end,
   ["bclua.nn.network:adamw"] = function(self) return {self, {lr = number(), step = integer(), scale = number()}} end,
   ["bclua.loading.new"] = loading,
   ["bclua.loading.match"] = function()
      local n, w = random(1, 9), windows(random(1, 9), 3)
      local t = {}
      for _, role in ipairs{"a", "b", "c"} do
         local places = windows(n, 3)
         t[role], t[role .. "_loc"] = places.source, places.loc
      end
      return {w, t, random(1, 4)}
   end,
   ["bclua.sampling.triplets"] = triplets,
   ["bclua.sampling.cut"] = function()
      return {values.samples(), rate(), random() < 0.5 and number() or values.vector(), pick{0.1, 0.01, 1}}
   end,
   ["bclua.parallel.map"] = function()
      local job = pick{{"math", "sqrt"}, {"string", "rep"}, {"table", "unpack"}, {"bclua.array", "from"}, {"a", "b"}}
      return {list(values.any), job[1], job[2], values.any(), {threads = random(2), ahead = random(1, 4)}}
   end,
   ["bclua.process.start"] = function()
      return {pick{{"true"}, {"false"}, {"sleep", "0.01"}, {"no such program"}}, {log = "log", env = {A = "b"}}}
   end,
   ["bclua.http.open"] = function() return {values.callback(), {port = pick{0, 0, 0, 1, 65536}}} end,
   ["bclua.http.server:step"] = function(self) return {self, pick{0, 0.001, 0.01}} end,
   ["bclua.system.sleep"] = function() return {pick{0, 0.001, 0.01, -1}} end,
   ["bclua.system.threads"] = function() return {pick{0, 1, 2}} end,
   ["bclua.system.mkdir"] = function() return {pick{"made", "made/deep/er", "a.wav/x", ""}} end,
   ["bclua.format.safetensors.core.write"] = function() return {"out.safetensors", "{}", list(values.array)} end,
   ["bclua.format.safetensors.core.take"] = function()
      return {values.array(1, "u8"), integer(), values.dtype(), {integer(), random(3)}}
   end,
   ["bclua.stomp.motifs"] = function() return {profile(), integer(), {exclusion = integer()}} end,
   ["bclua.stomp.discords"] = function() return {profile(), integer(), {exclusion = integer()}} end,
   ["bclua.stomp.merge"] = function() return {list(profile)} end,
   ["bclua.sql.core.declare"] = function() return {table_of_columns()} end,
   ["bclua.sql.core.fill"] = function()
      return {values.made_by("bclua.sql.core.open"), pick{"q", "temp.q", "missing"}, table_of_columns()}
   end,
   ["bclua.sql.core.drop"] = function() return {values.made_by("bclua.sql.core.open"), pick{"q", "missing"}} end,
   ["bclua.sql.core.copy"] = function()
      return {values.made_by("bclua.sql.core.open"), recipes.named.text(), values.path(),
         pick{"format csv", "format parquet", "x"}}
   end,
   ["bclua.array.from"] = function() return {list(function() return list(number) end), values.dtype()} end,
   ["bclua.array.concat"] = function() return {list(values.array), random(3)} end,
   ["bclua.array:fill"] = function(self) return {self, random() < 0.5 and self:T() or number()} end,
}

-- Functions that make objects of C, and their arguments.
recipes.makers = {
   {"bclua.array.zeros", function() return {{random(5), random(5)}, values.dtype()} end},
   {"bclua.sampling.generator", function() return {integer()} end},
   {"bclua.array.create", function() return {"out.npy", values.dtype(), random(4)} end},
   {"bclua.audio.open", function() return {pick{"a.wav", "b.flac", "c.ogg"}} end},
   {"bclua.audio.create", function() return {"out." .. pick{"wav", "flac", "ogg"}, 8000} end},
   {"bclua.http.open", function() return {values.callback()} end},
   {"bclua.loading.new", loading},
   {"bclua.nn.core.network", network},
   {"bclua.process.start", function() return {{"sleep", "0.05"}, {log = "log"}} end},
   {"bclua.sql.core.open", function() return {} end},
   {"bclua.parallel.map", function() return {{1, 2, 3}, "math", "sqrt", nil, {threads = 1}} end},
}

-- How often a function is called, where once in a round takes too long.
recipes.rarely = {
   ["bclua.parallel.map"] = 0.1, ["bclua.process.start"] = 0.1, ["bclua.http.open"] = 0.1,
   ["bclua.sql.core.open"] = 0.05, ["bclua.system.sleep"] = 0.05, ["bclua.http.server:step"] = 0.2,
   ["bclua.loading.new"] = 0.3, ["bclua.loading:next"] = 0.3,
   ["bclua.process:close"] = 0.3, ["bclua.audio.play"] = 0.02,
}

return recipes
