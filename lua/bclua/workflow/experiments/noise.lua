--- What becomes of an embedding when its input is noisy: Gaussian noise is added to the samples that the
-- spectrogram layer gets, in evaluation; for training with noise see the loader's augmentation.
-- @module bclua.workflow.experiments.noise
local array = require "bclua.array"
local json = require "bclua.json"
local files = require "bclua.files"
local progress = require "bclua.progress"
local check_options = require("bclua.options").check

local noise = {}

--- How much noise a level means: `snr` in decibels below each window's own power, silent windows getting none;
-- `sigma`, the deviation itself (full scale is 1).
noise.kinds = {"snr", "sigma"}

-- The deviation for a window; 0: none.
local function deviation(window, kind, level)
   if level == nil then return 0 end
   if kind == "sigma" then return level end
   local power = (window * window):mean()
   return math.sqrt(power) * 10 ^ (-level / 20)
end

--- A network behind noise: with a method `forward`, as far as evaluation needs it.
-- The noise of a window follows from the seed and the number of windows before it: at all levels it is the same
-- but for its size.
-- @tparam network net
-- @tparam string kind see `kinds`
-- @tparam ?number level nil: no noise
-- @tparam integer seed
-- @treturn table `forward`; `windows` and `finite`: how many it has embedded, and to finite values
function noise.wrap(net, kind, level, seed)
   local generator = require("bclua.sampling").generator(seed)
   local wrapped = {windows = 0, finite = 0}
   function wrapped:forward(batch)
      local noisy = batch
      if level then
         noisy = batch:copy("f32")
         for i = 1, #batch do
            local s = deviation(batch[i], kind, level)
            local n = generator:normal(batch:shape(2))
            if s > 0 then noisy[i]:fill(batch[i] + (n * s):copy("f32")) end
         end
      end
      local e = net:forward(noisy)
      for i = 1, #e do self.finite = self.finite + (e[i]:is_finite() and 1 or 0) end
      self.windows = self.windows + #e
      return e
   end
   return wrapped
end

local function features_of(set, wrapped)
   local parts = {}
   local ok, message = set:each(function(windows) parts[#parts + 1] = wrapped:forward(windows) end)
   if not ok then return nil, message end
   return array.concat(parts):copy("f64")
end

-- How far the embeddings went from those without noise, as a part of these' own spread.
local function drift(x, clean)
   local from_mean, moved = clean - clean:mean(1), x - clean
   return math.sqrt((moved * moved):sum() / (from_mean * from_mean):sum())
end

local function decode(text, default)
   local value = json.decode(text or "")
   return type(value) == "table" and value or default
end

local function judge(s, level, seed, clean)
   local behind = noise.wrap(s.net, s.kind, level, seed)
   local x, message = features_of(s.set, behind)
   if not x then return nil, message end
   local result
   result, message = require("bclua.workflow.evaluate").judge(s.set, {{name = "embedding", x = x}},
      {splits = s.splits, seed = s.seed, groups = s.groups})
   local row = {level = level, seed = seed, message = not result and message or nil}
   if result and result.retrieval then
      row.message = "there are no labels"
   elseif result then
      row.species, row.species_spread = result.rows[1].accuracy, result.rows[1].spread
      if result.group then row.group, row.group_spread = result.group.rows[1].accuracy, result.group.rows[1].spread end
   end
   if s.validation then
      local v = s.validation:measure(behind, s.loss)
      row.loss, row.ordered = v.loss, v.ordered
   end
   row.drift = clean and drift(x, clean) or 0.0
   row.finite = behind.finite / behind.windows
   return row, x
end

local function open(options)
   local net, metadata = require("bclua.tilenet").open(options.checkpoint, {precision = options.precision})
   if not net then return nil, metadata end
   local held = decode(metadata.holdout_recordings, {})
   local set, message
   if #held == 0 then
      message = options.checkpoint .. ": says of no recordings that they were kept away from training"
   else
      set, message = require("bclua.workflow.evaluation_set").run{motif = options.motif,
         dataset_root = options.dataset_root, recordings = held, windows = options.windows, motifs = options.motifs,
         quiet = options.quiet}
   end
   if not set then
      net:close()
      return nil, message
   end
   return {net = net, set = set, kind = options.kind, splits = options.splits, seed = 1, loss = options.loss,
      groups = decode(metadata.groups, {})}
end

-- A row without noise, and one for each level and seed.
local function levels_of(s, options)
   local bar = progress.new("noise", 1 + #options.levels * #options.seeds, {unit = "levels", quiet = options.quiet})
   local first, clean = judge(s, nil, options.seeds[1])
   if not first then return nil, clean end
   local rows = {first}
   for _, level in ipairs(options.levels) do
      for _, seed in ipairs(options.seeds) do
         bar:update(#rows)
         local row, message = judge(s, level, seed, clean)
         if not row then return nil, message end
         rows[#rows + 1] = row
      end
   end
   bar:finish()
   return rows
end

local OPTIONS = {checkpoint = {"string", needed = true}, motif = {"string", needed = true},
   dataset_root = {"string", needed = true}, kind = {"choice", noise.kinds, needed = true},
   levels = {"list", of = "number", items = "numbers", needed = true},
   seeds = {"list", of = "integer", items = "integers", needed = true}, windows = "string", motifs = "integer",
   splits = "integer", precision = "string", triplets = "string", folder = "string", validation_triplets = "integer",
   loss = "table", quiet = "boolean"}

--- Judge a checkpoint on the recordings that its training did not see, at several levels of noise.
-- @tparam table options `checkpoint`, `motif`, `dataset_root`; `kind` (see `kinds`), `levels`, `seeds` (of the
-- noise); `windows`, `motifs`, `splits` as for `evaluate.run`; `precision` of the values; `quiet`. With `triplets`
-- (Parquet), `folder` (for windows), `validation_triplets` and `loss` (`loss`, `margin`, `l2`, `temperature`,
-- `batch_size`) also the loss of triplets of those recordings
-- @treturn[1] {table,...} rows, the first without noise: `level` (nil: no noise), `seed`, `loss`, `ordered`, `species`,
-- `species_spread`, `group`, `group_spread` (accuracies), `drift` (root mean square way of the embeddings, as a part of
-- their spread), `finite` (share of embeddings), `message` (why there is no accuracy)
-- @treturn[1] string|nil why there is no loss
-- @treturn[2] nil
-- @treturn[2] string message
function noise.run(options)
   options = check_options(options, OPTIONS)
   local s, message = open(options)
   if not s then return nil, message end
   local why
   if options.triplets then
      s.validation, why = require("bclua.workflow.fit.validation").new{triplets = options.triplets,
         motif = options.motif, dataset_root = options.dataset_root, folder = options.folder,
         count = options.validation_triplets, quiet = options.quiet}
   end
   local rows
   rows, message = levels_of(s, options)
   s.net:close()
   if not rows then return nil, message end
   return rows, why
end

--- The last checkpoint of a run: the best one by validation, where there is one.
-- @treturn[2] nil
-- @treturn[2] string message
function noise.checkpoint(run)
   for _, name in ipairs{"best", "last"} do
      local path = ("%s/checkpoints/%s.safetensors"):format(run, name)
      if files.exists(path) then return path end
   end
   return nil, run .. "/checkpoints: no checkpoint (a run that was trained is needed, or --checkpoint)"
end

--- Means over seeds.
-- @tparam {table,...} rows as from `run`
-- @treturn {table,...} a row a level, in order: the numbers' means over seeds, `species_deviation` and `seeds`
function noise.summarise(rows)
   local list, of = {}, {}
   for _, row in ipairs(rows) do
      local key = row.level == nil and "none" or row.level
      if not of[key] then
         of[key] = {level = row.level, noise = key == "none" and "none" or ("%g"):format(key), all = {}}
         list[#list + 1] = of[key]
      end
      table.insert(of[key].all, row)
   end
   for _, s in ipairs(list) do
      s.seeds = #s.all
      for _, name in ipairs{"loss", "ordered", "species", "group", "drift", "finite"} do
         local sum, squares, n = 0, 0, 0
         for _, row in ipairs(s.all) do
            if row[name] then sum, squares, n = sum + row[name], squares + row[name] ^ 2, n + 1 end
         end
         if n > 0 then s[name] = sum / n end
         if name == "species" and n > 1 then
            s.species_deviation = math.sqrt(math.max(0, (squares - sum ^ 2 / n) / (n - 1)))
         end
      end
      s.all = nil
   end
   return list
end

return noise
