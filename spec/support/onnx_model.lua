-- onnx_model.lua: an ONNX file taken apart, by another reading of onnx.proto than
-- the writer's: only what its parser gives.
local pb = require "bclua.format.protobuf"

local onnx_model = {}

local function by_number(bytes)
   local found = {}
   for _, field in ipairs(assert(pb.parse(bytes))) do
      found[field.number] = found[field.number] or {}
      table.insert(found[field.number], field.value)
   end
   return found
end

local function node(bytes)
   local n = by_number(bytes)
   return {op = n[4][1], inputs = n[1] or {}, outputs = n[2], attributes = n[5] or {}}
end

local function value(bytes)
   local v = by_number(bytes)
   local tensor = by_number(by_number(v[2][1])[1][1])
   local extents = {}
   for i, dim in ipairs(by_number(tensor[2][1])[1]) do
      local d = by_number(dim)
      extents[i] = d[1] and d[1][1] or d[2][1]
   end
   return {name = v[1][1], type = tensor[1][1], extents = extents}
end

--- nodes, tensors (name -> {dims=, bytes=, type=}), inputs, outputs, opset, metadata.
function onnx_model.read(bytes)
   local model = by_number(bytes)
   local graph = by_number(model[7][1])
   local m = {nodes = {}, tensors = {}, inputs = {}, outputs = {}, metadata = {}, ir = model[1][1],
      opset = by_number(model[8][1])[2][1], producer = model[2][1]}
   for i, b in ipairs(graph[1]) do m.nodes[i] = node(b) end
   for _, b in ipairs(graph[5]) do
      local t = by_number(b)
      assert(not m.tensors[t[8][1]], "two tensors of one name")
      m.tensors[t[8][1]] = {dims = t[1] or {}, type = t[2][1], bytes = #t[9][1]}
   end
   for i, b in ipairs(graph[11]) do m.inputs[i] = value(b) end
   for i, b in ipairs(graph[12]) do m.outputs[i] = value(b) end
   for _, b in ipairs(model[14] or {}) do
      local pair = by_number(b)
      m.metadata[pair[1][1]] = pair[2][1]
   end
   return m
end

return onnx_model
