local array = require "bclua.array"
local checkpoints = require "bclua.train.checkpoints"
local command = require "support.command"
local readout = require "bclua.train.readout"
local safetensors = require "bclua.format.safetensors"
local sampling = require "bclua.sampling"
local tilenet = require "bclua.tilenet"
local trainer = require "bclua.train.trainer"

local SMALL = {widths = {4, 4, 8, 8}, z = 6, pooling = "bands", projection = 4, seconds = 1, sample_rate = 8000,
   n_mels = 97, seed = 3}

-- Tones in noise.
local function sounds(n, net, seed)
   local g, rows = sampling.generator(seed), {}
   for i = 1, n do
      local step, row = (200 + 3000 * g:uniform()) / 8000, {}
      for k = 1, net.samples do row[k] = 0.3 * math.sin(step * k) + 0.1 * (g:uniform() - 0.5) end
      rows[i] = array.from(row, "f32")
   end
   return array.concat(rows):reshape{n, net.samples}
end

-- A name of a recording for each of n windows: two windows each.
local function recordings(n)
   local list = {}
   for i = 1, n do list[i] = ("r%d"):format((i + 1) // 2) end
   return list
end

-- Windows and their recordings, for `readout.fit`.
local function once(x, from)
   local given
   return function()
      if given then return nil end
      given = true
      return x, from
   end
end

-- A loader that gives the same batch again and again.
local function batches(net)
   local batch, from = {provenance = {}}, recordings(8)
   for i, role in ipairs{"anchor", "neighbor", "distant"} do
      batch[role], batch.provenance[role] = sounds(8, net, 3 + i), {file = from}
   end
   return {next = function() return batch end}
end

describe("what is read from a trained network", function()
   local dir, folder
   before_each(function()
      dir = command.folder()
      folder = dir .. "/checkpoints"
   end)
   after_each(function() command.remove(dir) end)

   -- The head, and of each band of the maps of every stage and of each kernel mean and maximum, computed one after the
   -- other; each brought to mean 0 and one deviation, squares to a sum of 2 for the head, 1 for all stages, 4 for all
   -- kernels: (n, values).
   local function plain(net, x, tensors)
      local blocks, sums = {}, {2, [12] = 1, [13] = 1, [14] = 1, [15] = 1}
      local head = tilenet.part(net, "head")
      blocks[1] = head:forward(x):copy("f64")
      head:close()
      for _, last in ipairs{1, 2, 3, 4, 5, tensors["readout.wide.weight"] and "wide", "tall"} do
         local part, shape = tilenet.part(net, last)
         local kernels = ("readout.%s.weight"):format(last)
         if tensors[kernels] then part:state()[kernels]:fill(tensors[kernels]) end
         local maps, mean, max = part:forward(x):reshape{#x, shape.c * shape.h, shape.w}, {}, {}
         for i = 1, #x do
            mean[i], max[i] = {}, {}
            for k = 1, shape.c * shape.h do
               mean[i][k], max[i][k] = 0, -math.huge
               for t = 1, shape.w do
                  local value = maps[i][k][t]
                  mean[i][k], max[i][k] = mean[i][k] + value / shape.w, math.max(max[i][k], value)
               end
            end
         end
         blocks[#blocks + 1], blocks[#blocks + 2] = array.from(mean, "f64"), array.from(max, "f64")
         part:close()
      end
      local columns = {}
      for b, block in ipairs(blocks) do
         for k = 1, block:shape(2) do
            local column = block:slice(2, k, k):reshape(#x)
            local deviation = column:std()
            local weight = math.sqrt((sums[b] or 0.1) / block:shape(2))
            columns[#columns + 1] = deviation > 1e-9 and (column - column:mean()) * (weight / deviation) or column * 0
         end
      end
      return array.concat(columns):reshape{#columns, #x}:T():copy()
   end

   for kind, squares in pairs{stages = 3, kernels = 7} do
      it("is a linear map of the head and all maps of " .. kind .. ": whitened within recordings, turned", function()
         local net = tilenet.new(SMALL)
         local x, from = sounds(24, net, 1), recordings(24)
         local tensors = readout.fit(net, once(x, from), kind)
         local options = {}
         for name, value in pairs(SMALL) do options[name] = value end
         options.readout, options.projection = kind, 0
         local used = tilenet.new(options)
         local weights = net:state()
         for name, a in pairs(used:state()) do a:fill(tensors[name] or weights[name]) end
         local e = used:forward(x):copy("f64")
         local values = plain(net, x, tensors)
         assert.near(squares, (values * values):sum() / #x, 1e-6)
         local y = require("bclua.whiten").fit(values, from, {components = 6}):apply(values)
         local found, wanted = array.matmul(e, e:T():copy()), array.matmul(y, y:T():copy()) -- no rotation changes them
         assert((found - wanted):abs():max() < 1e-3 * wanted:abs():max(), (found - wanted):abs():max())
         -- turned: values differ less in their variance than components do
         local spread, first = (e * e):mean(1), (y * y):mean(1)
         assert(spread:max() / spread:mean() < 0.95 * first:max() / first:mean())
         net:close()
         used:close()
      end)
   end

   it("has kernels of mean 0 and length 1, always the same, on frames of a hundredth of a second", function()
      local net = tilenet.new(SMALL)
      local tensors = readout.fit(net, once(sounds(4, net, 1), {"r", "r", "s", "s"}), "kernels")
      local again = readout.fit(net, once(sounds(6, net, 2), {"r", "r", "s", "s", "t", "t"}), "kernels")
      for name, shape in pairs{wide = {32, 1, 5, 9}, tall = {32, 1, 9, 5}} do
         local kernels = tensors[("readout.%s.weight"):format(name)]
         assert.same(shape, kernels:shape())
         assert(array.equal(kernels, again[("readout.%s.weight"):format(name)]))
         for i = 1, 32 do
            assert.near(0, kernels[i]:sum(), 1e-5)
            assert.near(1, (kernels[i] * kernels[i]):sum(), 1e-5)
         end
         assert((kernels[1] - kernels[2]):abs():max() > 0.1)
         local part, maps = tilenet.part(net, name)
         assert.same({32, 32, 51}, {maps.c, maps.h, maps.w}) -- 101 frames of a second, every other one
         part:close()
      end
      net:close()
   end)

   it("is that of all windows where no recording has two", function()
      local net = tilenet.new(SMALL)
      local x, each, same = sounds(8, net, 1), {}, {}
      for i = 1, 8 do each[i], same[i] = ("r%d"):format(i), "r" end
      local alone, all = readout.fit(net, once(x, each), "stages"), readout.fit(net, once(x, same), "stages")
      for name, a in pairs(alone) do assert((a - all[name]):abs():max() < 1e-4 * a:abs():max() + 1e-9, name) end
      assert(alone["readout.max5.weight"][6]:abs():max() > 0)
      net:close()
   end)

   it("has zeros for values that windows are too few for", function()
      local net = tilenet.new(SMALL)
      local tensors = readout.fit(net, once(sounds(4, net, 1), {"r", "r", "r", "r"}), "stages")
      local w = tensors["readout.max5.weight"]
      assert(w[3]:abs():max() > 0) -- four windows have three directions
      assert.equal(0, w[4]:abs():max())
      net:close()
   end)

   it("lies in the newest checkpoint, from which training goes on as if it were not there", function()
      local function train(resume)
         local net = tilenet.new(SMALL)
         assert(trainer.fit(net, batches(net), {run = dir, max_rounds = 1, batches_per_round = 2, loss = "nt_xent",
            resume = resume}))
         return net
      end
      local net = train()
      local last = folder .. "/last.safetensors"
      assert.is_true(readout.is_in(last, "head"))
      assert(readout.write(net, folder, "kernels", batches(net)))
      assert.same({false, true}, {readout.is_in(last, "stages"), readout.is_in(last, "kernels")})
      assert.equal(command.read(last), command.read(folder .. "/round-1.safetensors"))
      local bytes = command.read(last)
      assert(readout.write(net, folder, "kernels", batches(net)))
      assert.equal(bytes, command.read(last))

      local opened, metadata = assert(tilenet.open(last))
      assert.equal("kernels", opened.options.readout)
      assert.equal("1", metadata.round)
      assert.same({2, 6}, opened:forward(sounds(2, net, 9)):shape())
      opened:close()

      local again = train(last) -- nothing to do
      local tensors = safetensors.load(last)
      for name, a in pairs(again:state()) do assert(array.equal(tensors[name], a), name) end
      assert(readout.write(again, folder, "head"))
      assert.is_true(readout.is_in(last, "head"))
      tensors = safetensors.load(last)
      for name in pairs(tensors) do assert.is_nil(name:match("^readout%.")) end
      assert(tensors["optimizer.step"])
      opened = assert(tilenet.open(last))
      assert.equal("head", opened.options.readout)
      opened:close()
      again:close()
      net:close()
   end)

   it("says what the loader says", function()
      local net = tilenet.new(SMALL)
      assert.same({nil, "gone"}, {readout.fit(net, function() return nil, "gone" end, "kernels")})
      net:close()
   end)

   it("names the checkpoint that is none", function()
      local ok, message = readout.is_in(dir .. "/none.safetensors", "stages")
      assert.is_nil(ok)
      assert.match("none%.safetensors", message)
      ok, message = checkpoints.change_last(dir, "readout.", {}, {})
      assert.is_nil(ok)
      assert.match("last%.safetensors", message)
   end)

   it("goes to ONNX as other networks do", function()
      local net = tilenet.new{widths = {4, 4, 8, 8}, z = 6, readout = "kernels", seconds = 1, sample_rate = 8000,
         n_mels = 97}
      local path = dir .. "/kernels.onnx"
      assert(require("bclua.format.onnx").export(net, path))
      assert.match("readout%.maxtall", command.read(path))
      net:close()
   end)
end)
