--- Which recording a file of labels means: by the path or name that it has for it, which is rarely the whole source
-- name, or by its own name.
-- @module bclua.data.annotation_match
local files = require "bclua.files"

local match = {}

local Matcher = {}
Matcher.__index = Matcher

local SHOWN = 3 -- recordings of one name in a message

local function add(by, key, i)
   by[key] = by[key] or {}
   table.insert(by[key], i)
end

--- A matcher of recordings.
-- @tparam {string,...} names source names
-- @treturn matcher
function match.new(names)
   local m = setmetatable({names = names, exact = {}, by = {}}, Matcher)
   for i, name in ipairs(names) do
      m.exact[name] = i
      local base = files.basename(name):lower()
      add(m.by, base, i)
      if files.stem(base) ~= base then add(m.by, files.stem(base), i) end
   end
   return m
end

-- How many folders, from the last one, two paths share, and how many of them in the same letters.
local function shared_folders(a, b)
   local n, exact = 0, 0
   local p, q = files.dirname(a), files.dirname(b)
   while p ~= "." and q ~= "." and p ~= "/" and q ~= "/" do
      local x, y = files.basename(p), files.basename(q)
      if x:lower() ~= y:lower() then break end
      n, exact = n + 1, exact + (x == y and 1 or 0)
      p, q = files.dirname(p), files.dirname(q)
   end
   return n, exact
end

-- How alike two file names are: 0 for those that differ in case and extension.
local function likeness(a, b)
   if a == b then return 3 end
   if a:lower() == b:lower() then return 2 end
   return files.stem(a) == files.stem(b) and 1 or 0
end

-- The candidate that shares most of the path; nil and a message where that are several.
local function best_of(self, path, candidates)
   local best, score, equal = nil, -1, {}
   for _, i in ipairs(candidates) do
      local folders, exact = shared_folders(path, self.names[i])
      local s = (folders * 4 + likeness(files.basename(path), files.basename(self.names[i]))) * 1000 + exact
      if s > score then best, score, equal = i, s, {} end
      if s == score then equal[#equal + 1] = self.names[i] end
   end
   if #equal > 1 then
      return nil, ("several recordings are called so: %s%s"):format(table.concat(equal, ", ", 1,
         math.min(#equal, SHOWN)), #equal > SHOWN and ", ..." or "")
   end
   return best, score // 4000
end

--- The recording of a path that a file of labels has. It is the source name; else that recording of this file name
-- which shares most folders, from the last one; of several the one with the same letters and extension (recordings may
-- have been coded anew since).
-- @tparam string path with slashes
-- @treturn[1] integer number of the recording
-- @treturn[1] integer how many folders were the same; none: by the name of the file alone
-- @treturn[2] nil
-- @treturn[2] string why: there is none, or several
function Matcher:find(path)
   path = path:gsub("^/+", "")
   if self.exact[path] then return self.exact[path], select(2, path:gsub("/", "")) end
   local base, candidates, seen = files.basename(path):lower(), {}, {}
   for _, key in ipairs{base, files.stem(base)} do
      for _, i in ipairs(self.by[key] or {}) do
         if not seen[i] then candidates[#candidates + 1], seen[i] = i, true end
      end
   end
   if #candidates == 0 then return nil, "no recording is called so" end
   return best_of(self, path, candidates)
end

--- What a file of labels may call its recording by its own name: `NAME.Table.1.selections.txt`,
-- `NAME.BirdNET.results.csv`, `NAME_labels.txt`, `NAME.wav.txt` and the like; the longest first.
-- @tparam string path of the file of labels
-- @treturn {string,...} paths, the last with all endings off
function match.names_of_table(path)
   local folder, name, list = path:match("^(.*/)") or "", files.basename(path), {}
   repeat
      name = name:match("^(.+)[ _-][lL]abels?$") or name:match("^(.+)[ _-][aA]nnotations?$")
         or name:match("^(.+)[ _-][sS]elections?$") or name:match("^(.+)%.[^.]*$")
      list[#list + 1] = name and folder .. name
   until not name
   return list
end

--- The recording of a file of labels that names none, by its own name and folders.
-- @tparam string path of the file of labels
-- @treturn[1] integer number of the recording
-- @treturn[1] integer how many folders were the same
-- @treturn[2] nil
-- @treturn[2] string why: there is none, or several
function Matcher:of_table(path)
   for _, name in ipairs(match.names_of_table(path)) do
      local candidates = self.by[files.basename(name):lower()]
      if candidates then return best_of(self, name, candidates) end
   end
   return nil, "no recording has the name of this file"
end

return match
