--- Windows of a `review.csv` of `classify predict --review` to look at, hear and judge: is this the class that it was
-- drawn for? What is said is in the file at once. For pages it is like `bclua.workflow.browse.windows`.
-- @module bclua.workflow.browse.judged
local answers = require "bclua.workflow.classify.answers"
local files = require "bclua.files"
local lock = require "bclua.lock"
local options_of = require "bclua.options"
local review = require "bclua.workflow.classify.review"
local sql = require "bclua.sql"
local system = require "bclua.system"
local windows = require "bclua.workflow.browse.windows"

local judged = {}

local PATIENCE_S = 2 -- with another program that writes the file

--- The name of the table in a folder.
judged.file = "review.csv"

local Judged = setmetatable({}, {__index = windows.methods})
Judged.__index = Judged

-- All cells of the file as text, and the names of its columns: those that people have added stay.
local function read(path)
   local ok, message = review.check(path)
   if not ok then return nil, message end
   local rows
   rows, message = sql.query("from " .. sql.csv(path, "header = true, all_varchar = true"))
   if not rows then return nil, message end
   local list, names = {}, sql.names(rows)
   for i, row in ipairs(rows) do
      list[i] = {}
      for _, name in ipairs(names) do list[i][name] = row[name] and files.unguard(row[name]) end
   end
   return list, names
end

local function key_of(row) return ("%s\0%s\0%.4f"):format(row.source_name, row.label, tonumber(row.start_s) or 0) end

local function fill(self, rows)
   self.rows, self.n, self.answered, self.known = rows, #rows, 0, {}
   for i, row in ipairs(rows) do
      if not self.known[row.label] then
         self.classes[#self.classes + 1], self.known[row.label] = row.label, {}
      end
      local verdict = answers.kinds[row.verdict] and row.verdict or nil
      self.answered = self.answered + (verdict and 1 or 0)
      self.known[row.label][i] = verdict
      self.file[i], self.start_s[i], self.end_s[i] = row.source_name, tonumber(row.start_s), tonumber(row.end_s)
   end
end

--- Open a table.
-- @tparam string path
-- @treturn[1] windows as from `bclua.workflow.browse.windows`
-- @treturn[2] nil
-- @treturn[2] string message, beginning with the path
function judged.open(path)
   local rows, message = read(path)
   if not rows then return nil, message end
   local w = setmetatable({path = path, verdict_path = path, classes = {}, file = {}, start_s = {}, end_s = {},
      clock_time = {}, site = {}, learnt = {}, handed = {}, sections = {"classes", "review"}}, Judged)
   fill(w, rows)
   return w
end

--- Say what a window is; it is in the file when this returns.
-- @tparam integer row
-- @tparam string class the one that it was drawn for
-- @tparam ?string verdict `yes`, `no`, `unsure`; nil takes it back
-- @tparam ?string expected what has been said of it so far
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message; "changed" where somebody has said something else
function Judged:answer(row, class, verdict, expected)
   local own = self.rows[row]
   if own.label ~= class then return nil, ("it was drawn for %s: yes, no or unsure?"):format(own.label) end
   local locked <close>, busy = lock.take(self.path, PATIENCE_S)
   if not locked then return nil, busy end
   local rows, names = read(self.path) -- another program may have written it
   if not rows then return nil, names end
   local found
   for _, other in ipairs(rows) do
      if key_of(other) == key_of(own) then found = other end
   end
   if not found then return nil, self.path .. ": has other windows now: open it again" end
   local had = answers.kinds[found.verdict] and found.verdict or "none"
   if expected and expected ~= had then return nil, "changed" end
   found.verdict = verdict
   local ok, message = system.write_file(self.path, files.csv(names, rows)) -- whole or not at all
   if not ok then return nil, message end
   self.known[class][row] = verdict
   self.answered = self.answered + (verdict and 1 or 0) - (had ~= "none" and 1 or 0)
   return true
end

--- How many windows of a class were judged, and how many are left.
function Judged:progress(class)
   local p = {yes = 0, no = 0, unsure = 0, left = 0}
   for i, row in ipairs(self.rows) do
      if row.label == class then
         local verdict = self.known[class][i] or "left"
         p[verdict] = p[verdict] + 1
      end
   end
   return p
end

local function fits(self, i, o)
   local row = self.rows[i]
   return (not o.class or row.label == o.class) and (self.known[row.label][i] or "undecided") == o.show

end

--- Windows to look at next, in the order of the table, which has nothing to do with how probable they are.
-- @tparam table options as for `bclua.workflow.browse.windows`, of which `class`, `show`, `after` and `most` count
-- @treturn {integer,...} rows
function Judged:next(options)
   local o = options_of.check(options, windows.choice)
   local function choose()
      local list = {}
      for i = o.after + 1, self.n do
         if #list < o.most and not (o.show == "undecided" and self.handed[i]) and fits(self, i, o) then
            list[#list + 1] = i
         end
      end
      return list
   end
   local list = choose()
   if #list == 0 then -- what was given out and not answered
      self.handed = {}
      list = choose()
   end
   for _, row in ipairs(list) do self.handed[row] = true end
   return list
end

--- What is known of a window; how probable it is is not told to who judges it.
function Judged:about(row)
   local own = self.rows[row]
   local verdict = self.known[own.label][row]
   return {row = row, file = own.source_name, start_s = self.start_s[row], end_s = self.end_s[row],
      said = {[own.label] = verdict}, probability = verdict and tonumber(own.probability)}
end

--- Samples of a window, out of its clip.
function Judged:load(row)
   local clip = self.rows[row].clip
   if not clip or not files.is_inside(clip) then
      return nil, ("%s: row %d has no clip: its recording could not be read"):format(self.path, row)
   end
   return require("bclua.audio").load(files.dirname(self.path) .. "/" .. clip)
end

--- It has none.
function Judged:like() return nil, self.path .. ": only windows of a table of embeddings have others like them" end

--- Neither sites nor days are in the table.
function Judged:filters() return self.site, self.clock_time end

return judged
