--- safetensors files: named arrays and a few words of metadata, the format in
-- which PyTorch checkpoints are exchanged.
-- @module bclua.format.safetensors
local core = require "bclua.format.safetensors.core"
local json = require "bclua.json"

local safetensors = {}

local known = {}
for name in pairs(core.dtypes) do known[#known + 1] = name end
table.sort(known)
local KNOWN = table.concat(known, " ")

-- A count in a header that anyone may have written: an integer of 0 or more
-- that a float holds exactly, else nil.
local function count(x)
   if type(x) ~= "number" or x < 0 or x > 2 ^ 53 then return nil end
   return math.tointeger(x)
end

-- Extents and their product; nil and what is wrong.
local function read_shape(shape)
   if type(shape) ~= "table" then return nil, "has no shape" end
   if #shape > 4 then return nil, ("has %d axes (at most 4)"):format(#shape) end
   local extents, elements = {}, 1.0 -- a float: products of integers wrap around
   for i, extent in ipairs(shape) do
      extents[i] = count(extent)
      if not extents[i] then return nil, "has an extent that is no count" end
      elements = elements * extents[i]
      if extents[i] > 2 ^ 40 or elements > 2 ^ 48 then return nil, "has an impossible shape" end
   end
   if #extents == 0 then extents[1] = 1 end -- a scalar
   return extents, elements
end

-- Hold one entry against the data; returns {name, dtype, shape, first, last}.
local function read_entry(name, entry, bytes)
   if type(entry) ~= "table" then return nil, "is no object" end
   local size = core.dtypes[entry.dtype]
   if not entry.dtype then return nil, "has no dtype" end
   if not size then return nil, ("has dtype '%s' (one of %s)"):format(tostring(entry.dtype), KNOWN) end
   local shape, elements = read_shape(entry.shape)
   if not shape then return nil, elements end
   local offsets = entry.data_offsets
   local first = type(offsets) == "table" and count(offsets[1])
   local last = type(offsets) == "table" and count(offsets[2])
   if not (first and last) or first > last then return nil, "has no data_offsets" end
   if last > bytes then
      return nil, ("ends at byte %d of %d: truncated file?"):format(last, bytes)
   end
   if last - first ~= elements * size then
      return nil, ("has %d bytes, its shape asks for %d"):format(last - first, elements * size)
   end
   return {name = name, dtype = entry.dtype, shape = shape, first = first, last = last}
end

-- The format allows neither overlaps nor gaps.
local function check_cover(entries, bytes)
   table.sort(entries, function(a, b)
      if a.first ~= b.first then return a.first < b.first end
      if a.last ~= b.last then return a.last < b.last end
      return a.name < b.name
   end)
   local at = 0
   for _, entry in ipairs(entries) do
      if entry.first < at then return ("tensor '%s' overlaps another"):format(entry.name) end
      if entry.first > at then return ("%d unused bytes before '%s'"):format(entry.first - at, entry.name) end
      at = entry.last
   end
   if at < bytes then return ("%d unused bytes at the end"):format(bytes - at) end
end

--- Read all tensors of a file. Nothing the header says is believed: lengths are
-- held against the file's size, and overlaps, gaps and unknown types refused.
-- F16 and BF16 are read as f32, I8 as i16, U16 as i32, U32 and U64 (up to 2^63 - 1) as i64,
-- BOOL as u8 (0 and 1).
-- @tparam string path
-- @treturn[1] table name -> array; a scalar becomes a vector of one
-- @treturn[1] table metadata: string -> string
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function safetensors.load(path)
   local text, data = core.read(path)
   if not text then return nil, data end
   local header, err = json.decode(text)
   if type(header) ~= "table" then return nil, ("%s: header is %s"):format(path, err or "not JSON: no object") end
   local entries, metadata, bytes = {}, {}, data:bytes()
   for name, entry in pairs(header) do
      if name == "__metadata__" then
         if type(entry) ~= "table" then return nil, path .. ": __metadata__ is no object" end
         for key, value in pairs(entry) do metadata[key] = tostring(value) end
      elseif type(name) ~= "string" then
         return nil, path .. ": header is a list"
      else
         local found, wrong = read_entry(name, entry, bytes)
         if not found then return nil, ("%s: tensor '%s' %s"):format(path, name, wrong) end
         entries[#entries + 1] = found
      end
   end
   local wrong = check_cover(entries, bytes)
   if wrong then return nil, path .. ": " .. wrong end
   local tensors = {}
   for _, e in ipairs(entries) do
      tensors[e.name], wrong = core.take(data, e.first, e.dtype, e.shape)
      if wrong then return nil, ("%s: tensor '%s' %s"):format(path, e.name, wrong) end
   end
   return tensors, metadata
end

local function sorted_keys(t)
   local keys = {}
   for key in pairs(t) do
      if type(key) ~= "string" then error("names must be strings, got a " .. type(key), 3) end
      keys[#keys + 1] = key
   end
   table.sort(keys)
   return keys
end

--- Write tensors and metadata, whole or not at all. The same input gives the
-- same bytes: tensors lie in the order of their names.
-- @tparam string path
-- @tparam table tensors name -> array
-- @tparam[opt] table metadata string -> string
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function safetensors.save(path, tensors, metadata)
   local parts, arrays, at = {}, {}, 0
   if metadata and next(metadata) then
      local words = {}
      for _, key in ipairs(sorted_keys(metadata)) do
         if type(metadata[key]) ~= "string" then
            error(("metadata '%s' must be a string, got a %s"):format(key, type(metadata[key])), 2)
         end
         words[#words + 1] = json.encode(key) .. ":" .. json.encode(metadata[key])
      end
      parts[1] = '"__metadata__":{' .. table.concat(words, ",") .. "}"
   end
   for _, name in ipairs(sorted_keys(tensors)) do
      if name == "__metadata__" then error("no tensor may be called __metadata__", 2) end
      local a = tensors[name]
      parts[#parts + 1] = ('%s:{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}'):format(
         json.encode(name), a:dtype():upper(), table.concat(a:shape(), ","), at, at + a:bytes())
      at = at + a:bytes()
      arrays[#arrays + 1] = a
   end
   local header = "{" .. table.concat(parts, ",") .. "}"
   -- spaces, so that the elements begin on 8 bytes and can be mapped
   header = header .. (" "):rep(-#header % 8)
   return core.write(path, header, arrays)
end

return safetensors
