local array = require "bclua.array"
local command = require "support.command"
local nn = require "bclua.nn"
local onnx = require "bclua.format.onnx"
local onnx_file = require "support.onnx_file"
local onnx_model = require "support.onnx_model"
local pb = require "bclua.format.protobuf"
local runtime = require "bclua.onnxruntime"
local tilenet = require "bclua.tilenet"

local function noise(shape, seed)
   math.randomseed(seed)
   local a = array.zeros(shape)
   local flat = a:reshape(a:size())
   for i = 1, #flat do flat[i] = math.random() - 0.5 end
   return a
end

local SMALL = {widths = {4, 6, 6, 8}, z = 8, seconds = 0.5, n_fft = 512}

-- A network whose running statistics are not those of the start.
local function small(compression, front_end, pooling)
   local o = {compression = compression, front_end = front_end, pooling = pooling}
   for k, v in pairs(SMALL) do o[k] = v end
   local net = tilenet.new(o)
   local x = noise({3, net.samples}, 5)
   assert(net:train_step({anchor = x, neighbor = x * 0.5, distant = x * 0.1}, {lr = 1e-2}))
   return net
end

-- Maps, a bias, a group norm, an even pool with another stride, two inputs added, a linear end.
local function maps()
   return nn.network({
      {"conv2d", name = "a", out = 5, kernel = {3, 2}, stride = {2, 1}, padding = {1, 0}, bias = true},
      {"batch_norm", eps = 1e-3}, {"relu", name = "b"},
      {"conv2d", out = 5, kernel = 3, padding = 1}, {"add", from = "b"}, {"center", over = "clip", scale = 2},
      {"group_norm", name = "g", groups = 1}, {"dropout", name = "d", rate = 0.5},
      {"max_pool", name = "most", kernel = {2, 3}, stride = {1, 2}},
      {"average_pool", from = "d", kernel = {2, 3}, stride = {1, 2}}, {"add", from = "most"},
      {"linear", out = 7}, {"relu"},
      {"linear", out = 3, bias = false},
   }, {input = {2, 9, 10}, seed = 4})
end

describe("protobuf", function()
   it("writes what its documentation shows", function()
      assert.equal("\x08\x96\x01", pb.integer(1, 150))
      assert.equal("\x12\x07testing", pb.bytes(2, "testing"))
      assert.equal("\x22\x06\x03\x8e\x02\x9e\xa7\x05", pb.integers(4, {3, 270, 86942}))
      assert.equal(("\xff"):rep(9) .. "\1", pb.varint(-1))
   end)

   it("reads it back", function()
      local fields = assert(pb.parse(pb.integer(1, -5) .. pb.bytes(2, "") .. pb.float(3, 0.5) .. pb.double(300, 0.1)))
      assert.same({{number = 1, value = -5}, {number = 2, value = ""}, {number = 3, value = 0.5},
         {number = 300, value = 0.1}}, fields)
   end)

   it("refuses what is no message", function()
      for _, s in ipairs{"\x08", "\x12\x07test", "\x0b", "\x0d\1\2\3", "\x09\1", "\x00\x01", ("\xff"):rep(11),
         "\x12" .. pb.varint(-1) .. "x"} do
         local fields, message = pb.parse(s)
         assert.is_nil(fields)
         assert.matches("^byte 1: ", message)
      end
   end)
end)

describe("onnx", function()
   local dir
   setup(function() dir = command.folder() end)
   teardown(function() command.remove(dir) end)

   it("gives a graph in which everything is defined before it is used", function()
      for _, op in ipairs{"Conv", "STFT"} do
         local net = small("log")
         local m = onnx_model.read(assert(onnx.model(net, {stft = op == "STFT"})))
         assert.equal(17, m.opset)
         assert.equal("bclua", m.producer)
         assert.equal(net.metadata.tilenet, m.metadata.tilenet)
         assert.same({{name = "audio", type = 1, extents = {"n", 16000}}}, m.inputs)
         assert.same({{name = "embedding", type = 1, extents = {"n", 8}}}, m.outputs)
         local known, ops = {audio = true}, {}
         for name, t in pairs(m.tensors) do
            local count = t.type == 1 and 4 or 8
            for _, n in ipairs(t.dims) do count = count * n end
            assert.equal(count, t.bytes, name)
            known[name] = true
         end
         for _, n in ipairs(m.nodes) do
            for _, name in ipairs(n.inputs) do assert.is_true(known[name], name) end
            for _, name in ipairs(n.outputs) do
               assert.is_nil(known[name], "defined twice: " .. name)
               known[name] = true
            end
            ops[n.op] = (ops[n.op] or 0) + 1
         end
         assert.is_true(known.embedding)
         assert.is_number(ops[op])
         for name, a in pairs(net:state()) do
            if not name:find("num_batches_tracked") then assert.same(a:shape(), m.tensors[name].dims) end
         end
      end
   end)

   it("computes in onnxruntime what the network computes", function()
      local why_not = onnx_file.no_runtime()
      if why_not then return pending(why_not) end
      local function add(name, net, x, options)
         local model = ("%s/%s.onnx"):format(dir, name)
         assert(onnx.export(net, model, options))
         local session <close> = assert(runtime.open(model))
         local e = net:forward(x)
         local got, shape = assert(session:run(session:inputs()[1].name, x, "embedding"))
         assert.same(e:shape(), shape)
         local off = array.max_difference(got:reshape(shape), e) / e:abs():max()
         assert(off < 1e-4, ("%s differs by %g of the largest value"):format(name, off))
      end
      local sound = noise({3, 16000}, 8)
      sound[2]:fill(0)
      for _, compression in ipairs{"log", "power", "pcen"} do add(compression, small(compression), sound) end
      add("bands", small("log", nil, "bands"), sound)
      add("kernels", tilenet.new{widths = SMALL.widths, z = 8, seconds = 0.5, n_fft = 512, pooling = "bands",
         readout = "kernels"}, sound)
      add("stft", small("log"), sound, {stft = true})
      add("mel_trained", small("log", "mel_trained"), sound)
      add("fourier_trained", small("power", "fourier_trained"), sound)
      add("bats", tilenet.new{widths = SMALL.widths, z = 8, seconds = 0.5, sample_rate = 64000, fmin = 20000,
         fmax = 30000}, noise({3, 32000}, 10), {stft = true})
      add("maps", maps(), noise({4, 2, 9, 10}, 9))
   end)

   it("says what it cannot translate, and where it cannot write", function()
      local net = maps()
      local layers = net.core:layers()
      layers[3].kind = "frobnicate"
      local bytes, message = onnx.model({core = {layers = function() return layers end}, state = net.state})
      assert.is_nil(bytes)
      assert.equal(("layer '%s': a frobnicate layer cannot be exported"):format(layers[3].name), message)
      local wide = tilenet.new{widths = {2, 2, 2, 2}, z = 4, sample_rate = 256000}
      assert.same({nil, "layer 'mel': Fourier kernels of n_fft 32768 take 4.3 GB, a file has 2 GB: use the operator " ..
         "(--stft)"}, {onnx.model(wide)})
      assert.is_true(#onnx.model(wide, {stft = true}) < 1e7)
      assert.equal("/nowhere/m.onnx: No such file or directory", select(2, onnx.export(net, "/nowhere/m.onnx")))
      assert.error_matches(function() onnx.model(net, {front_end = "fft"}) end, "unknown option 'front_end'")
   end)
end)
