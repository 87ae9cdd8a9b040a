--- The results of `extract` as files: a folder a recording, under its path, with metadata.json, cens.npy, and the
-- profile in mp.npy and pi.npy.
-- @module bclua.data.extracted_files
local array = require "bclua.array"
local files = require "bclua.files"
local json = require "bclua.json"
local metadata = require "bclua.data.extracted_metadata"
local options = require "bclua.options"
local schemas = require "bclua.data.schemas"
local system = require "bclua.system"
local tables = require "bclua.data.tables"

local extracted_files = {}

-- ---- Writing ----

--- A recording is done again: what its metadata say is no longer so.
function extracted_files.forget(item) os.remove(item.output .. "/metadata.json") end

--- Keep what was found.
-- @tparam table item from `recordings.list`, and `output`, its folder
-- @tparam table row metadata, and arrays: `cens`; `mp` and `pi`, or neither
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function extracted_files.write(item, row)
   local folder = item.output
   local ok, message = system.mkdir(folder)
   if not ok then return nil, message end
   for _, name in ipairs{"mp", "pi", "cens"} do
      local path = ("%s/%s.npy"):format(folder, name)
      if row[name] then ok, message = array.save(path, row[name]) else os.remove(path) end
      if not ok then return nil, message end
   end
   local kept = {}
   for _, key in ipairs(metadata.keys) do kept[key] = row[key] == nil and json.null or row[key] end
   -- last, for it says that the rest is there
   return files.write_json(folder .. "/metadata.json", kept)
end

local function is_done(item, p)
   local m = files.read_json(item.output .. "/metadata.json")
   if type(m) ~= "table" or not metadata.is_current(m, item, p) then return false end
   if not files.exists(item.output .. "/cens.npy") then return false end
   if m.motif_0 and not (files.exists(item.output .. "/mp.npy") and files.exists(item.output .. "/pi.npy")) then
      return false
   end
   return true, metadata.warning_of(m, item.path)
end

-- What was made of a recording under another id, by an earlier version or before it had a namesake, moves to its own.
local function carry_over(item)
   if files.exists(item.output .. "/metadata.json") then return true end
   local above, name = item.output:sub(1, -#item.id - 2), files.basename(item.source_name)
   local extension, base = name:match("%.[^.]*$") or "", item.source_name:match("^[^/]+/")
   for _, id in ipairs{item.id:match("^(.*)%.[^./]*$") or item.id, item.id .. extension, files.stem(name),
      (item.id:gsub("/", "_")), ((item.id .. extension):gsub("/", "_")),
      base .. item.id, base .. item.id .. extension} do -- where the data folder was taken for a species
      local folder = above .. "/" .. id
      local m = files.read_json(folder .. "/metadata.json")
      if type(m) == "table" and m.source_name == item.source_name then
         local ok, message = system.mkdir(item.output)
         for _, file in ipairs{"cens.npy", "mp.npy", "pi.npy", "metadata.json"} do -- which says that the rest is there
            local from = folder .. "/" .. file
            if ok and files.exists(from) then ok, message = os.rename(from, item.output .. "/" .. file) end
         end
         os.remove(folder) -- if nothing else is in it
         os.remove(files.dirname(folder))
         return ok, message
      end
   end
   return true
end

local Files = {}
Files.__index = Files

--- Begin, or go on; the methods are those of `extracted.open`.
-- @tparam string _ the folder
-- @tparam {table,...} _ recordings
-- @tparam table p parameters
function extracted_files.open(_, _, p) return setmetatable({parameters = p}, Files) end

function Files:look_up(item)
   local ok, message = carry_over(item)
   if not ok then return nil, message end
   return is_done(item, self.parameters)
end

-- Workers have written, and forgotten, everything.
function Files.add() return true end
function Files.fail() end
function Files.flush() return true end
function Files.close() end

Files.__close = Files.close

-- ---- Reading ----

-- The profile, with which the places of motif and discord must agree.
local function read_profile(m, folder, wanted)
   local list = {}
   for _, name in ipairs{"mp", "pi"} do
      if wanted[name] then
         local path = ("%s/%s.npy"):format(folder, name)
         local x, message = array.load(path)
         if not x then return nil, message end
         if x:ndim() ~= 1 then return nil, path .. ": one axis expected" end
         m[name] = x:copy(name == "mp" and "f64" or "i64")
         list[#list + 1] = m[name]
      end
   end
   local frames = #list[1]
   if list[2] and #list[2] ~= frames then return nil, folder .. "/pi.npy: not as long as mp.npy" end
   if m.pi and #m.pi > 0 and not (m.pi:min() >= -1 and m.pi:max() < frames) then
      return nil, folder .. "/pi.npy: frames that mp.npy has not"
   end
   for _, key in ipairs(metadata.places) do
      if wanted[key] and (not m[key] or m[key] >= frames) then
         return nil, ("%s/metadata.json: key '%s' must be a frame of mp.npy, got %s"):format(folder, key,
            tostring(m[key]))
      end
   end
   return m
end

local function read_one(folder, wanted)
   local m, message = tables.read_json(folder .. "/metadata.json", options.subset(schemas.metadata, wanted))
   if not m then return nil, message end
   if m.motif_0 and (wanted.mp or wanted.pi) then return read_profile(m, folder, wanted) end
   if m.motif_0 then return m end
   for _, key in ipairs(metadata.places) do m[key] = nil end
   return m
end

--- Calls `f` with each recording, as `extracted.each` does.
function extracted_files.each(folder, names, f)
   local found, left_out = files.find(folder, function(name) return name == "metadata.json" end)
   if not found then return nil, left_out end
   local wanted, failures = {}, {}
   for _, name in ipairs(names) do wanted[name] = true end
   for _, path in ipairs(found) do
      local m, why = read_one(folder .. "/" .. files.dirname(path), wanted)
      if m then
         m.folder = files.dirname(path)
         f(m)
      else
         failures[#failures + 1] = {path = folder .. "/" .. path, reason = why}
      end
   end
   return failures, left_out
end

--- Are the features of a recording kept?
function extracted_files.has_features(item) return files.exists(item.folder .. "/cens.npy") end

--- The features of a recording, mapped.
-- @tparam table item `folder`
-- @treturn[1] array
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
-- @treturn[1] string the path
function extracted_files.features(item)
   local path = item.folder .. "/cens.npy"
   if not files.exists(path) then
      return nil, path .. ": No such file or directory (run `motif extract` again, or give --dataset-root)"
   end
   local c, message = array.load(path, {mmap = true})
   return c, message or path
end

return extracted_files
