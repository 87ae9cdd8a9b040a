--- Documentation of functions and modules, as `:help` shows it. It comes out of the
-- doc comments: the build writes them into help.lua, beside bclua.so.
-- @module bclua.help
local help = {}

local data

local function data_path()
   local so = package.searchpath("bclua", package.cpath)
   return so and (so:gsub("[^/]*$", "help.lua"))
end

-- Load what the build made; without it (a bare rock) there is nothing to tell.
local function load_data()
   if data then return data end
   data = {items = {}}
   local path = data_path()
   local chunk = path and loadfile(path, "t", {})
   if chunk then data = chunk() end
   data.topics, data.modules = {}, {}
   for _, item in ipairs(data.items) do
      local short = item.module:gsub("^bclua%.", "")
      if item.name then
         item.topic = item.name:find(":", 1, true) and item.name or short .. "." .. item.name
         data.topics[item.topic] = item -- what is in Lua comes last: it is what users call
      elseif not data.modules[short] then
         item.topic = short
         data.modules[short] = item
      end
   end
   for _, item in ipairs(data.items) do
      local short = item.module:gsub("^bclua%.", "")
      data.modules[short] = data.modules[short] or {module = item.module, topic = short, text = ""}
   end
   return data
end

local function sorted(t)
   local list = {}
   for key in pairs(t) do list[#list + 1] = key end
   table.sort(list)
   return list
end

--- Versions of the libraries that this build found: name -> version. They stand in
-- the first lines: a prompt that is to appear at once cannot wait for all the rest.
function help.versions()
   local path = data_path()
   local f = path and io.open(path, "r")
   local text = f and f:read(2000) or ""
   if f then f:close() end
   local chunk = load("return " .. (text:match("versions=(%b{})") or "{}"), "=versions", "t", {})
   return chunk and chunk() or {}
end

--- Names of all documented modules, as `require` takes them; sorted.
-- @treturn {string,...}
function help.modules()
   local list = {}
   for _, item in pairs(load_data().modules) do list[#list + 1] = item.module end
   table.sort(list)
   return list
end

--- Everything that has documentation: `stomp`, `stomp.motifs`, `array:reshape`; sorted.
-- @treturn {string,...}
function help.topics()
   local all = {}
   for topic in pairs(load_data().topics) do all[topic] = true end
   for topic in pairs(load_data().modules) do all[topic] = true end
   return sorted(all)
end

-- Has a module this name, with or without its folders?
local function is_called(module, name) return ("." .. module):sub(-#name - 1) == "." .. name end

--- What is documented under a name: a module (its folders may be left out), `module.function`, `type:method`, or a
-- function's bare name, which several modules may have.
-- @tparam string name
-- @treturn {table,...} items; empty if there is none
function help.find(name)
   local d = load_data()
   name = name:gsub("^bclua%.", ""):gsub("%(%)$", "")
   if d.topics[name] then return {d.topics[name]} end
   if d.modules[name] then return {d.modules[name]} end
   for _, short in ipairs(sorted(d.modules)) do
      if is_called(short, name) then return {d.modules[short]} end
   end
   -- a method that can be called as a function of its module, and bare names
   local holder, last = name:match("^([%w_%.]-)%.?([%w_]+)$")
   local list = {}
   for _, topic in ipairs(last and sorted(d.topics) or {}) do
      local item = d.topics[topic]
      if topic:match("[^%.:]+$") == last and (holder == "" or is_called(item.module, holder)) then
         list[#list + 1] = item
      end
   end
   return list
end

--- The topic of a function of a module that is loaded.
-- @tparam function f
-- @treturn ?string
function help.topic_of(f)
   for _, short in ipairs(sorted(load_data().modules)) do
      local module = package.loaded[data.modules[short].module]
      if type(module) == "table" then
         for name, value in next, module do
            if rawequal(value, f) and data.topics[short .. "." .. tostring(name)] then
               return short .. "." .. name
            end
         end
      end
   end
end

local REFERENCES = {["see `"] = "", ["for `"] = "", ["of `"] = "", ["with `"] = ""} -- to other things than options

--- The names of the options of a function: what stands in backquotes in the text of its argument `options`.
-- @tparam string topic
-- @treturn table set of names
function help.options(topic)
   local item, found = load_data().topics[topic], {}
   for _, p in ipairs(item and item.params or {}) do
      if p.name == "options" then
         local text = (p.text:find("above") and item.text or p.text):gsub("%f[%a]%a+ `", REFERENCES)
         for name in text:gmatch("`([%a_][%w_]*)`") do found[name] = true end
      end
   end
   return found
end

--- The first sentence.
-- @tparam table item
-- @treturn string
function help.summary(item)
   local first = (item.text:match("^(.-)\n%s*\n") or item.text):gsub("%s+", " ")
   return first:match("^(.-%.)%s") or first:match("^(.-);? ?@") or first:gsub(":$", "")
end

local function call_of(item)
   if item.is_value then return item.topic end
   local words, open = {}, 0
   for i, p in ipairs(item.params or {}) do
      local text = p.name
      if p.default then text = text .. " = " .. p.default end
      if p.optional then
         text = "[" .. (i > 1 and ", " or "") .. text
         open = open + 1
      elseif i > 1 then
         text = ", " .. text
      end
      words[#words + 1] = text
   end
   return item.topic .. "(" .. table.concat(words) .. ("]"):rep(open) .. ")"
end

-- A text without the ends of lines that its source has within a paragraph or an item of a list: who shows it breaks it
-- anew. What is indented keeps them.
local function unbroken(text)
   text = text:gsub("([^\n])\n%f[^%s%-]", "%1 ")
   local n
   repeat text, n = text:gsub("(%f[^\n%z] *%- [^\n]*)\n +%f[^%s%-]", "%1 ") until n == 0
   return text
end

local function add_list(out, title, list, left)
   if not list then return end
   out[#out + 1] = "\n" .. title
   for _, entry in ipairs(list) do
      local head = left(entry)
      local text = head ~= "" and entry.text ~= "" and head .. "  " .. entry.text or head .. entry.text
      out[#out + 1] = "   " .. unbroken(text:gsub("\n[ \t]*", "\n")):gsub("\n", "\n      ")
   end
end

local function function_text(item)
   local out = {call_of(item)}
   if item.text ~= "" then out[#out + 1] = "   " .. unbroken(item.text):gsub("\n", "\n   "):gsub("\n +\n", "\n\n") end
   add_list(out, "arguments", item.params, function(p)
      return p.name .. (p.type and " (" .. p.type .. ")" or "")
   end)
   local values, failure = nil, nil
   for _, r in ipairs(item.returns or {}) do
      if r.alternative == 2 then
         failure = failure or {}
         failure[#failure + 1] = r
      else
         values = values or {}
         values[#values + 1] = r
      end
   end
   local function kind(r) return r.type or "" end
   add_list(out, "returns", values, kind)
   add_list(out, "or, where that cannot be", failure, kind)
   for _, text in ipairs(item.raises or {}) do
      out[#out + 1] = "\nraises an error\n   " .. unbroken(text:gsub("\n[ \t]*", "\n"))
   end
   for _, text in ipairs(item.usage or {}) do out[#out + 1] = "\nexample\n   " .. text:gsub("\n", "\n   ") end
   return table.concat(out, "\n")
end

local function module_text(item)
   local out = {item.module}
   if item.text ~= "" then out[#out + 1] = unbroken(item.text) end
   local list, width = {}, 0
   for _, topic in ipairs(sorted(load_data().topics)) do
      if data.topics[topic].module == item.module then
         list[#list + 1] = data.topics[topic]
         width = math.max(width, #topic)
      end
   end
   out[#out + 1] = ""
   for _, entry in ipairs(list) do
      out[#out + 1] = ("   %-" .. width .. "s  %s"):format(entry.topic, help.summary(entry))
   end
   return table.concat(out, "\n")
end

--- The documentation of an item as text.
-- @tparam table item from `find`
-- @treturn string
function help.text(item) return item.name and function_text(item) or module_text(item) end

return help
