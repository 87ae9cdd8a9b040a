-- Gradients of networks, held against central differences.
local array = require "bclua.array"
local nn = require "bclua.nn"

local gradient = {}

function gradient.noise(shape, seed, dtype)
   math.randomseed(seed)
   local a = array.zeros(shape, dtype or "f64")
   local flat = a:reshape(a:size())
   for i = 1, #flat do flat[i] = math.random() - 0.5 end
   return a
end

local noise = gradient.noise

-- The layers of a residual block.
function gradient.residual_block(name, from, width, stride)
   return {
      {"conv2d", name = name .. ".conv1", from = from, out = width, kernel = 3, stride = stride, padding = 1},
      {"batch_norm"}, {"relu"},
      {"conv2d", out = width, kernel = 3, padding = 1}, {"batch_norm", name = name .. ".bn2"},
      {"conv2d", from = from, out = width, kernel = 1, stride = stride}, {"batch_norm", name = name .. ".short"},
      {"add", from = {name .. ".bn2", name .. ".short"}}, {"relu", name = name},
   }
end

local function flat(a) return a:reshape(a:size()) end

local function dot(a, b) return (flat(a) * flat(b)):sum() end

-- The network in double precision, its input's gradient wanted.
function gradient.double(layers, input, options)
   local o = {input = input, precision = "f64", input_gradient = true, seed = 3}
   for key, value in pairs(options or {}) do o[key] = value end
   return nn.network(layers, o)
end

-- Hold every gradient of sum(out * w) against central differences: of each
-- tensor and of the input, all elements or some thirty of them; with `eval` in eval
-- mode. Returns the largest error, relative to the largest gradient of its tensor.
function gradient.worst(net, x, options)
   local o = options or {}
   local forward = {train = not o.eval, backward = true, groups = o.groups}
   local out = net.core:forward({x}, forward)
   local w = noise(out:shape(), 99)
   net.core:zero_gradients()
   net.core:backward(w)
   local checks = {}
   if net.options.input_gradient then checks.input = {x, net.core:input_gradient()} end
   for name, g in pairs(net:gradients()) do checks[name] = {net:parameters()[name], g:copy()} end
   local eps, worst, count = 1e-5, 0, 0
   for name, pair in pairs(checks) do
      local value, g = flat(pair[1]), flat(pair[2])
      local scale = math.max(g:abs():max(), 1e-6)
      for i = 1, #value, math.max(1, #value // 30) do
         local old = value[i]
         value[i] = old + eps
         local up = dot(net.core:forward({x}, forward), w)
         value[i] = old - eps
         local down = dot(net.core:forward({x}, forward), w)
         value[i] = old
         local wrong = math.abs((up - down) / (2 * eps) - g[i]) / scale
         if wrong ~= wrong then error(name .. ": not a number") end
         worst, count = math.max(worst, wrong), count + 1
      end
   end
   assert(count > 5)
   return worst
end

return gradient
