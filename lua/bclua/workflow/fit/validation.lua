--- Triplets of the recordings that training never sees, to judge it by as it goes.
-- The split is by recording: `generate-triplets` notes which ones it left out.
-- @module bclua.workflow.fit.validation
local array = require "bclua.array"
local files = require "bclua.files"
local system = require "bclua.system"
local check_options = require("bclua.options").check

local validation = {}

local SECONDS = 5
local ROLES = {"a", "b", "c"}

--- Cut the windows of one recording into a file; on a worker state.
-- @tparam table item `{path=, channel=, centres={seconds,...}, file=}`: f32 (windows, samples)
-- @tparam table o `sample_rate`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function validation.one(item, o)
   local windows, message = require("bclua.workflow.segments").rows(item.path, item.centres,
      {seconds = SECONDS, sample_rate = o.sample_rate, channel = item.channel})
   if not windows then return nil, message end
   return array.save(item.file, windows)
end

-- The distinct windows of the triplets by recording, and where those of each triplet
-- are: {role, triplet, recording, number of the window in it, number of the group}.
local function plan(names, drawn, n, groups)
   local items, of, keys = {}, {}, {}
   local group = require("bclua.workflow.triplets.table").number_names(groups)
   for _, role in ipairs(ROLES) do
      for i = 1, n do
         local name, loc = names[drawn[role][i]], drawn[role .. "_loc"][i]
         local item = of[name]
         if not item then
            item = {name = name, centres = {}, number = {}}
            of[name], items[#items + 1] = item, item
         end
         if not item.number[loc] then
            item.centres[#item.centres + 1] = loc
            item.number[loc] = #item.centres
         end
         keys[#keys + 1] = {role, i, item, item.number[loc], group[groups[drawn[role][i]]]}
      end
   end
   table.sort(items, function(a, b) return a.name < b.name end)
   return items, keys
end

-- Is what lies there cut from these files, as they are now?
local function stamp(items, options)
   local list = {}
   for i, item in ipairs(items) do
      local size, modified = files.stamp(item.path)
      list[i] = {item.name, size or 0, modified or 0, item.channel or 0, table.unpack(item.centres)}
   end
   return files.json{dataset_root = options.dataset_root, seconds = SECONDS, sample_rate = options.sample_rate,
                     recordings = list}
end

local function cut(items, options, folder)
   local parallel, progress = require "bclua.parallel", require "bclua.progress"
   for i, item in ipairs(items) do
      item.path, item.file = options.dataset_root .. "/" .. item.name, ("%s/%d.npy"):format(folder, i)
   end
   local wanted, path = stamp(items, options), folder .. "/parameters.json"
   if files.read(path) == wanted then return {} end
   os.remove(path)
   local bar = progress.new("validation", #items, {unit = "recordings", quiet = options.quiet})
   local work, failures = {}, {}
   for i, item in ipairs(items) do
      work[i] = {path = item.path, channel = item.channel, centres = item.centres, file = item.file}
   end
   for i, ok, why in parallel.map(work, "bclua.workflow.fit.validation", "one", {sample_rate = options.sample_rate}) do
      if not ok then
         os.remove(items[i].file)
         failures[#failures + 1] = {path = items[i].path, step = "validation", reason = why}
      end
      bar:update(i)
   end
   bar:finish()
   if #failures == 0 then
      local ok, message = system.write_file(path, wanted)
      if not ok then return nil, message end
   end
   return failures
end

-- Memory maps of the windows; for each role the numbers of its windows, and of their groups, of
-- the triplets all of whose recordings could be read.
local function assemble(items, keys)
   local blocks, first, total = {}, {}, 0
   for _, item in ipairs(items) do
      local block = array.load(item.file, {mmap = true})
      if block then
         first[item] = total
         total = total + #block
         blocks[#blocks + 1] = block
      end
   end
   local whole, at, group = {}, {a = {}, b = {}, c = {}}, {a = {}, b = {}, c = {}}
   for _, key in ipairs(keys) do
      local i, item = key[2], key[3]
      if whole[i] == nil then whole[i] = true end
      whole[i] = whole[i] and first[item] ~= nil
   end
   for _, key in ipairs(keys) do
      local role, i, item, number, of = table.unpack(key)
      if whole[i] then
         table.insert(at[role], first[item] + number)
         table.insert(group[role], of)
      end
   end
   return blocks, at, group
end

local Validation = {}
Validation.__index = Validation

local OPTIONS = {triplets = {"string", needed = true}, motif = {"string", needed = true},
   dataset_root = {"string", needed = true}, folder = {"string", needed = true},
   count = {"integer", default = 256, least = 1}, seed = {"integer", default = 1, least = 0},
   sample_rate = {"integer", default = 32000, least = 1, most = 1000000},
   quiet = "boolean"}

--- Draw the triplets and cut their windows.
-- @tparam table options `triplets` (Parquet: what training uses), `motif` (Parquet from
-- `consolidate`), `dataset_root`, `folder` (for the windows; what lies there is used again),
-- `count` (256), `seed` (1), `sample_rate` (32000), `quiet`
-- @treturn[1] Validation with fields `triplets`, `recordings`, `failures`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] boolean true if it is the recordings that allow no triplets
function validation.new(options)
   options = check_options(options, OPTIONS)
   if not files.is_folder(options.dataset_root) then
      return nil, options.dataset_root .. ": no such folder (--dataset-root)"
   end
   local count = options.count
   local drawn, names, more, groups = require("bclua.workflow.triplets").held_out({triplets = options.triplets,
      input = options.motif, samples = count, seed = options.seed, dataset_root = options.dataset_root,
      quiet = options.quiet})
   if not drawn then return nil, names, more end
   local ok, message = system.mkdir(options.folder)
   if not ok then return nil, message end
   local items, keys = plan(names, drawn, count, groups)
   for _, item in ipairs(items) do item.channel = more[item.name] end
   local failures
   failures, message = cut(items, options, options.folder)
   if not failures then return nil, message end
   local blocks, at, group = assemble(items, keys)
   if #at.a == 0 then
      return nil, failures[1] and failures[1].reason or options.folder .. ": no windows for validation"
   end
   return setmetatable({blocks = blocks, at = at, group = group, triplets = #at.a, recordings = #blocks,
      failures = failures}, Validation)
end

local function norm(a) return math.sqrt((a * a):sum()) end

local function distance(p, q, is_cosine)
   if not is_cosine then return norm(p - q) end
   local n = norm(p) * norm(q)
   return n > 0 and 1 - (p * q):sum() / n or 1
end

local MEASURE = {loss = {"string", needed = true}, margin = "number", l2 = "number", temperature = "number",
   batch_size = {"integer", least = 1, needed = true}}

--- Judge a network, in eval mode.
-- @tparam network net
-- @tparam table options of the loss: `loss`, `margin`, `l2`, `temperature`; and `batch_size`:
-- losses that look at other triplets of a batch see so many; in place of `cross_entropy` it is `supcon`
-- @treturn table `loss`, `loss_n`, `loss_d`, `active`, `spread` as in training; `ordered`: share of
-- triplets whose neighbour is nearer than the distant one, as the loss has distances; `triplets`
function Validation:measure(net, options)
   options = check_options(options, MEASURE)
   local nn = require "bclua.nn"
   local parts, is_cosine = {}, nn.of_cosines(options.loss)
   -- There may be groups that training has no score for: how near those of one group are can be told of all.
   local loss = options.loss == "cross_entropy" and "supcon" or options.loss
   for i, block in ipairs(self.blocks) do parts[i] = net:forward(block) end
   local e = array.concat(parts)
   local z, n, size = e:shape(2), self.triplets, options.batch_size
   local sum, right = {}, 0
   for first = 1, n, size do
      local last = math.min(first + size - 1, n)
      local b = last - first + 1
      local rows, groups = array.zeros({3 * b, z}, e:dtype()), array.zeros(3 * b, "i32")
      for i = 1, b do
         local k = first + i - 1
         local p, q, r = e[self.at.a[k]], e[self.at.b[k]], e[self.at.c[k]]
         rows[i]:fill(p)
         rows[b + i]:fill(q)
         rows[2 * b + i]:fill(r)
         groups[i], groups[b + i], groups[2 * b + i] = self.group.a[k], self.group.b[k], self.group.c[k]
         if distance(p, q, is_cosine) < distance(p, r, is_cosine) then right = right + 1 end
      end
      local info = nn.loss(rows, {loss = loss, margin = options.margin, l2 = options.l2,
         temperature = options.temperature, groups = groups})
      for _, key in ipairs{"loss", "loss_n", "loss_d", "active", "spread"} do
         sum[key] = (sum[key] or 0) + info[key] * b / n
      end
   end
   sum.ordered, sum.triplets = right / n, n
   return sum
end

return validation
