-- usage: bclua rocks/reference.lua HELP FOLDER
-- Write what the build found in the doc comments (build/help.lua, which :help shows)
-- as one Lua file a module, for LDoc: it knows neither a module in several files of C
-- nor methods named without one. `make doc` runs it.
local system = require "bclua.system"

local items = assert(loadfile(arg[1], "t", {}))().items
local folder = arg[2]

-- A comment, every line of which begins as LDoc wants it.
local function comment(lines)
   local text = table.concat(lines, "\n")
   return (("--- " .. text:gsub("\n", "\n-- ") .. "\n"):gsub("[ \t]+\n", "\n"))
end

local function modifier(p)
   local words = {}
   if p.alternative then words[1] = tostring(p.alternative) end
   if p.optional then words[#words + 1] = p.default and "opt=" .. p.default or "opt" end
   return #words > 0 and "[" .. table.concat(words, ",") .. "]" or ""
end

local function function_lines(item, name)
   local lines = {item.text, (item.is_value and "@field " or "@function ") .. name}
   for _, p in ipairs(item.params or {}) do
      lines[#lines + 1] = ("@%s%s %s%s %s"):format(p.type and "tparam" or "param", modifier(p),
         p.type and p.type .. " " or "", p.name, p.text or "")
   end
   for _, r in ipairs(item.returns or {}) do
      lines[#lines + 1] = ("@%s%s %s%s"):format(r.type and "treturn" or "return", modifier(r),
         r.type and r.type .. " " or "", r.text or "")
   end
   for _, text in ipairs(item.raises or {}) do lines[#lines + 1] = "@raise " .. text end
   for _, text in ipairs(item.usage or {}) do lines[#lines + 1] = "@usage " .. text end
   return lines
end

local modules, order = {}, {}
for _, item in ipairs(items) do
   local m = modules[item.module]
   if not m then
      m = {text = "", functions = {}, classes = {}, methods = {}}
      modules[item.module], order[#order + 1] = m, item.module
   end
   local class, name = (item.name or ""):match("^([%w_]+)[:.]([%w_]+)$")
   if not item.name then
      m.text, m.usage = item.text, item.usage
   elseif class then
      if not m.methods[class] then m.methods[class], m.classes[#m.classes + 1] = {}, class end
      table.insert(m.methods[class], comment(function_lines(item, name)))
   else
      table.insert(m.functions, comment(function_lines(item, item.name)))
   end
end

assert(system.mkdir(folder))
for _, name in ipairs(order) do
   local m = modules[name]
   local head = {m.text ~= "" and m.text or name .. ".", "@module " .. name}
   for _, text in ipairs(m.usage or {}) do head[#head + 1] = "@usage " .. text end
   local parts = {comment(head), table.concat(m.functions, "\n")}
   for _, class in ipairs(m.classes) do
      parts[#parts + 1] = comment{"@type " .. class}
      parts[#parts + 1] = table.concat(m.methods[class], "\n")
   end
   assert(system.write_file(("%s/%s.lua"):format(folder, name), table.concat(parts, "\n")))
end
