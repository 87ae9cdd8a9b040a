-- onnx_file.lua: small ONNX files, made by hand.
local pb = require "bclua.format.protobuf"
local command = require "support.command"

local onnx_file = {}

-- Field numbers are those of onnx.proto.
local function value_info(name, extents)
   local dims = {}
   for i, n in ipairs(extents) do
      dims[i] = pb.bytes(1, type(n) == "string" and pb.bytes(2, n) or pb.integer(1, n))
   end
   return pb.bytes(1, name) .. pb.bytes(2, pb.bytes(1, pb.integer(1, 1) .. pb.bytes(2, table.concat(dims))))
end

local function attribute(name, value)
   if type(value) == "number" then return pb.bytes(1, name) .. pb.integer(3, value) .. pb.integer(20, 2) end
   local parts = {pb.bytes(1, name)}
   for i, n in ipairs(value) do parts[i + 1] = pb.integer(8, n) end
   return table.concat(parts) .. pb.integer(20, 7)
end

local function node(n)
   local parts = {}
   for _, name in ipairs(n.from) do parts[#parts + 1] = pb.bytes(1, name) end
   parts[#parts + 1] = pb.bytes(2, n.to) .. pb.bytes(4, n[1])
   for name, value in pairs(n.with or {}) do parts[#parts + 1] = pb.bytes(5, attribute(name, value)) end
   return table.concat(parts)
end

local function tensor(name, t)
   local parts = {}
   for i, n in ipairs(t.dims) do parts[i] = pb.integer(1, n) end
   return table.concat(parts) .. pb.integer(2, 1) .. pb.bytes(8, name) .. pb.bytes(9, string.pack(
      "<" .. ("f"):rep(#t), table.unpack(t)))
end

local function sorted(of)
   local names = {}
   for name in pairs(of) do names[#names + 1] = name end
   table.sort(names)
   return names
end

-- g: `inputs`, `outputs`: extents by name (numbers, or words where they are free); `nodes`: {op, from = {...},
-- to = name, with = {name = 1 or {...}}}; `tensors`: {value, ..., dims = {...}} by name.
function onnx_file.write(path, g)
   local parts = {}
   for i, n in ipairs(g.nodes) do parts[i] = pb.bytes(1, node(n)) end
   parts[#parts + 1] = pb.bytes(2, "made by hand")
   for name, t in pairs(g.tensors or {}) do parts[#parts + 1] = pb.bytes(5, tensor(name, t)) end
   for _, name in ipairs(sorted(g.inputs)) do parts[#parts + 1] = pb.bytes(11, value_info(name, g.inputs[name])) end
   for _, name in ipairs(sorted(g.outputs)) do parts[#parts + 1] = pb.bytes(12, value_info(name, g.outputs[name])) end
   return command.write(path, pb.integer(1, 8) .. pb.bytes(7, table.concat(parts)) ..
      pb.bytes(8, pb.bytes(1, "") .. pb.integer(2, 17)))
end

-- Says why there is no onnxruntime; nil: there is one, beside the program.
function onnx_file.no_runtime()
   local build = command.program:match("^(.*)/[^/]*$") or "build"
   local out, status = command.shell("timeout 300 sh rocks/onnxruntime.sh " .. command.quote(build))
   return status ~= 0 and "no onnxruntime: " .. out or nil
end

return onnx_file
