--- Windows of a table of embeddings to look at, hear and name: what was said of each, what is like it, and which comes
-- next. What is said goes to `verdicts.csv` of the run at once (`bclua.workflow.classify.answers`).
-- @module bclua.workflow.browse.windows
local active = require "bclua.classifier.active"
local answers = require "bclua.workflow.classify.answers"
local index = require "bclua.index"
local labelled = require "bclua.workflow.labelled"
local log_mel = require "bclua.workflow.classify.log_mel"
local options_of = require "bclua.options"
local sampling = require "bclua.sampling"
local schemas = require "bclua.data.schemas"
local similar = require "bclua.workflow.similar"
local sql = require "bclua.sql"
local tables = require "bclua.data.tables"
local train = require "bclua.workflow.classify.train"

local windows = {}

local RETRAIN = 5 -- answers after which the class is learnt again
local TRIES = 50 -- draws for a window before all are gone through
local LIKELY = 0 -- the score of even odds
local EDGE_S = 1e-6 -- times in tables of text are rounded

local Windows = {}
Windows.__index = Windows

--- For others that pages show (`bclua.workflow.browse.judged`).
windows.methods = Windows

-- ---- Open ----

local COLUMNS = {"file", "start_s", "end_s", "clock_time?", "site?"}

-- Rows of each file, in order of time.
local function by_file(w)
   local of = {}
   for row, file in ipairs(w.file) do
      of[file] = of[file] or {}
      table.insert(of[file], row)
   end
   local function before(a, b) return w.start_s[a] < w.start_s[b] or w.start_s[a] == w.start_s[b] and a < b end
   for _, rows in pairs(of) do table.sort(rows, before) end
   return of
end

-- The first of some rows in order of time that starts at a second or later.
local function first_from(w, rows, start_s)
   local low, high = 1, #rows + 1
   while low < high do
      local middle = (low + high) // 2
      if w.start_s[rows[middle]] < start_s then low = middle + 1 else high = middle end
   end
   return low
end

-- The clusters, and of each window its cluster and its place on the map, where it has one.
local function read_clusters(w, path)
   local stem = path:gsub("%.[pP][aA][rR][qQ][uU][eE][tT]$", "")
   local relation, message = tables.open(stem .. ".windows.parquet", schemas.clustered,
      {"file", "start_s", "cluster", "probability", "x", "y"})
   if not relation then return nil, message end
   local found
   found, message = sql.query(("select file_row_number + 1 as row, cluster, probability, c.x, c.y from " ..
      "%s e join %s c on e.file = c.file and e.start_s = c.start_s"):format(
      sql.parquet(w.path, "file_row_number = true"), relation))
   if not found then return nil, message end
   if #found == 0 then return nil, path .. ": no window of it is in " .. w.path end
   w.cluster, w.map = {}, {}
   for _, one in ipairs(found) do
      w.cluster[one.row] = one
      if one.x and one.y then w.map[#w.map + 1] = one end
   end
   table.sort(w.map, function(a, b) return a.row < b.row end)
   relation, message = tables.open(path, schemas.clusters, {"cluster", "name", "windows", "recordings", "medoid_file",
      "medoid_start_s", "hours?", "label?", "purity?"})
   if not relation then return nil, message end
   w.clusters, message = sql.query("from " .. relation .. " order by cluster")
   if not w.clusters then return nil, message end
   for _, c in ipairs(w.clusters) do c.row = w:row_of(c.medoid_file, c.medoid_start_s) end
   return true
end

-- The window in which most of a label lies, of several the one in whose middle it lies.
local function window_of(w, rows, label)
   local best, most, nearest
   for i = first_from(w, rows, label.start_s - w.longest), #rows do
      local row = rows[i]
      if w.start_s[row] > label.end_s then break end
      local both = math.min(w.end_s[row], label.end_s) - math.max(w.start_s[row], label.start_s)
      local off = math.abs(w.start_s[row] + w.end_s[row] - label.start_s - label.end_s)
      if both >= 0 and (not best or both > most + 1e-9 or both > most - 1e-9 and off < nearest) then
         best, most, nearest = row, both, off
      end
   end
   return best
end

-- What labels say of windows, until somebody says otherwise: of each the window that has most of it.
local function add_labels(w, path)
   local of, message = labelled.read(path, w.files, {verdicts = true})
   if not of then return nil, message end
   for _, file in ipairs(w.files) do
      for _, label in ipairs(of[file] or {}) do
         local row = label.label and window_of(w, w.rows[file], label)
         if row then w:know(label.label, row, label.verdict) end
      end
   end
   return true
end

-- Statistics of log-mel bands, alone and behind the embedding, as further features.
local function add_log_mel(w, quiet)
   local plain, message = log_mel.of_table(w.path, {files = w.file, start_s = w.start_s, made = w.made}, quiet)
   if not plain then return nil, message end
   w.features[2] = {name = train.log_mel, x = plain}
   w.features[3] = {name = train.with_log_mel, x = log_mel.append(w.index.x, plain)}
   return true
end

--- Open a table.
-- @tparam table options `embeddings` (from `embed predict`), `clusters` (from `embed cluster`), `labels` (a table whose
-- labels are taken for answers), `verdicts` (the file to write), `log_mel` (classes are also learnt by statistics of
-- log-mel bands, where cross-validation prefers these), `quiet`
-- @treturn[1] windows `n`, how many; `classes`, names in the order in which they became known
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function windows.open(options)
   local path = options.embeddings
   local made, message = similar.made(path)
   if not made then return nil, message end
   local relation
   relation, message = tables.open(path, schemas.embeddings, COLUMNS)
   if not relation then return nil, message end
   local table_
   table_, message = index.open(path)
   if not table_ then return nil, message end
   local w
   w, message = sql.columns("from " .. relation)
   if not w then return nil, message end
   if #w.start_s ~= #table_ then return nil, path .. ": has changed; open it again" end
   w.path, w.made, w.index, w.n, w.verdict_path = path, made, table_, #table_, options.verdicts
   w.rows, w.files, w.classes, w.known, w.base, w.learnt = by_file(w), {}, {}, {}, {}, {}
   w.features, w.loops = {{name = "embedding", x = table_.x}}, {}
   if options.log_mel then
      local ok
      ok, message = add_log_mel(w, options.quiet)
      if not ok then return nil, message end
   end
   w.named = {} -- rows of clusters, by cluster and class
   w.names = {} -- files by what they are called in tables of labels
   for file in pairs(w.rows) do
      w.files[#w.files + 1], w.names[answers.name(file)] = file, file
   end
   table.sort(w.files)
   w.longest = 0
   for row = 1, w.n do w.longest = math.max(w.longest, w.end_s[row] - w.start_s[row]) end
   setmetatable(w, Windows)
   if options.labels then
      local ok
      ok, message = add_labels(w, options.labels)
      if not ok then return nil, message end
   end
   w.base, w.known = w.known, {}
   local said
   said, message = answers.read(options.verdicts)
   if not said then return nil, message end
   w:take(said)
   local ok = true
   if options.clusters then ok, message = read_clusters(w, options.clusters) end
   return ok and w, message
end

-- ---- What is known ----

--- The row of a window; nil where there is none.
function Windows:row_of(file, start_s)
   local rows = self.rows[file] or {}
   local row = rows[first_from(self, rows, start_s - EDGE_S)]
   return row and self.start_s[row] < start_s + EDGE_S and row or nil
end

--- Remember what was said of a window; the class is known from then on.
function Windows:know(class, row, verdict)
   if not self.known[class] then
      self.known[class] = {}
      if not self.learnt[class] then self.classes[#self.classes + 1], self.learnt[class] = class, {handed = {}} end
   end
   self.known[class][row] = verdict
end

--- What is said now: labels, and verdicts over them.
-- @tparam {table,...} said from `answers`
function Windows:take(said)
   self.known, self.answered = {}, #said
   for _, class in ipairs(self.classes) do self.known[class] = {} end
   for class, of in pairs(self.base) do
      for row, verdict in pairs(of) do self:know(class, row, verdict) end
   end
   for _, one in ipairs(said) do
      local file = self.names[one.source_name]
      local row = file and self:row_of(file, one.start_s)
      if row then self:know(one.label, row, one.verdict) end
   end
end

--- Say what a window is; it is in the file when this returns.
-- @tparam integer row
-- @tparam string class
-- @tparam ?string verdict `yes`, `no`, `unsure`; nil takes it back
-- @tparam ?string expected what has been said of it so far, see `answers.put`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message; "changed" where somebody has said something else
function Windows:answer(row, class, verdict, expected)
   local put, message = self:answer_all({row}, class, verdict, expected)
   if put and #put == 0 then return nil, "changed" end
   return put and true, message
end

--- Say what several windows are, at once; of those of which something else has been said than was expected, that stays.
-- @tparam {integer,...} rows
-- @tparam string class
-- @tparam ?string verdict `yes`, `no`, `unsure`; nil takes it back
-- @tparam ?string expected
-- @treturn[1] {integer,...} rows of which it was said
-- @treturn[2] nil
-- @treturn[2] string message
function Windows:answer_all(rows, class, verdict, expected)
   local list = {}
   for i, row in ipairs(rows) do
      list[i] = {source_name = answers.name(self.file[row]), start_s = self.start_s[row], end_s = self.end_s[row],
         label = class, verdict = verdict, expected = expected, base = self.base[class] and self.base[class][row]}
   end
   local said, put = answers.put(self.verdict_path, list)
   if not said then return nil, put end
   self:take(said)
   for i, k in ipairs(put) do put[i] = rows[k] end
   return put
end

--- Name all windows of a cluster of which nothing was said for that class; or take back those names of this server that
-- nobody has changed since.
-- @tparam integer cluster from 1
-- @tparam string class
-- @tparam boolean back
-- @treturn[1] integer how many windows
-- @treturn[2] nil
-- @treturn[2] string message
function Windows:name_cluster(cluster, class, back)
   local key, rows = cluster .. "\0" .. class, {}
   if back then
      rows = self.named[key] or {}
   else
      for row, c in pairs(self.cluster) do
         if c.cluster == cluster then rows[#rows + 1] = row end
      end
      table.sort(rows)
   end
   local put, message = self:answer_all(rows, class, not back and "yes" or nil, back and "yes" or "none")
   if not put then return nil, message end
   self.named[key] = not back and put or nil
   return #put
end

--- How many windows of a class there are by what is said, and how many more are likely to be of it.
-- @tparam string class
-- @treturn table `yes`, `no`, `unsure`; `left`, nil where the class is not learnt yet; `features` that it was learnt
-- by, where there are several
function Windows:progress(class)
   local p = {yes = 0, no = 0, unsure = 0}
   local known = self.known[class] or {}
   for _, verdict in pairs(known) do p[verdict] = p[verdict] + 1 end
   local scores = self.learnt[class] and self.learnt[class].scores
   if scores then
      p.left, p.features = self.learnt[class].likely, #self.features > 1 and self.learnt[class].features or nil
      for row in pairs(known) do p.left = p.left - (scores[row] > LIKELY and 1 or 0) end
   end
   return p
end

-- ---- What comes next ----

-- Rows that overlap one of which something is said, in its recording.
local function overlaps(self, known, row)
   local rows, from, to = self.rows[self.file[row]], self.start_s[row], self.end_s[row]
   local i = first_from(self, rows, from - self.longest)
   while rows[i] and self.start_s[rows[i]] < to do
      if known[rows[i]] and self.end_s[rows[i]] > from then return true end
      i = i + 1
   end
   return false
end

-- Is a window one of those that are looked at?
local function fits(self, row, o)
   return (not o.site or self.site[row] == o.site)
      and (not o.day or (self.clock_time[row] or ""):sub(1, 10) == o.day)
      and (not o.cluster or self.cluster and self.cluster[row] and self.cluster[row].cluster == o.cluster)
end

-- Learn a class anew where there are enough new answers; its scores, or nil where there is no example yet.
local function learn_class(self, class)
   local known, learnt = self.known[class], self.learnt[class]
   local said = {yes = {}, no = {}, unsure = {}}
   for row, verdict in pairs(known) do
      if self.index.x[row]:is_finite() then table.insert(said[verdict], row) end
   end
   if #said.yes == 0 then
      learnt.scores = nil
      return nil
   end
   local count = #said.yes + #said.no + #said.unsure
   if learnt.scores and math.abs(count - learnt.count) < RETRAIN then return learnt.scores end
   for _, list in pairs(said) do table.sort(list) end
   local f = active.prefer(self.features, said, self.file)
   self.loops[f] = self.loops[f] or active.new(self.features[f].x)
   learnt.scores, learnt.count, learnt.handed, learnt.likely = self.loops[f]:scores(said), count, {}, 0
   learnt.features = self.features[f].name
   for i = 1, self.n do learnt.likely = learnt.likely + (learnt.scores[i] > LIKELY and 1 or 0) end
   return learnt.scores
end

-- Windows at random, or those of a cluster, the deepest first.
local function sample(self, o, skip)
   local list, taken = {}, {}
   local function add(row)
      if taken[row] or skip(row) then return false end
      list[#list + 1], taken[row] = row, true
      return #list == o.most
   end
   if o.cluster and self.cluster then
      local rows = {}
      for row, c in pairs(self.cluster) do
         if c.cluster == o.cluster then rows[#rows + 1] = row end
      end
      table.sort(rows, function(a, b)
         local p, q = self.cluster[a].probability, self.cluster[b].probability
         return p > q or p == q and a < b
      end)
      for _, row in ipairs(rows) do
         if add(row) then return list end
      end
      return list
   end
   self.generator = self.generator or sampling.generator(1)
   for _ = 1, TRIES do
      if add(self.generator:integer(self.n)) then return list end
   end
   for row = 1, self.n do
      if add(row) then break end
   end
   return list
end

-- Windows of which something is said already, in order, behind one.
local function decided(self, o)
   local list = {}
   for row, verdict in pairs(self.known[o.class] or {}) do
      if verdict == o.show and row > o.after and fits(self, row, o) then list[#list + 1] = row end
   end
   table.sort(list)
   return table.move(list, 1, math.min(#list, o.most), 1, {})
end

--- What `next` takes.
windows.choice = {class = {"string"}, by = {"choice", {"uncertain", "likely", "unlikely", "band", "random"},
      default = "uncertain"}, low = {"number", default = 0, least = 0, most = 1},
   high = {"number", default = 1, least = 0, most = 1}, show = {"choice", {"undecided", "yes", "no", "unsure"},
      default = "undecided"}, site = {"string"}, day = {"string"}, cluster = {"integer", least = 0},
   most = {"integer", default = 1, least = 1, most = 50}, after = {"integer", default = 0, least = 0}}

--- Windows to look at next. Those that were given out are not given out again until the class is learnt anew, nor are
-- those that share sound with one of which something is said, so that two people do not get the same.
-- @tparam table options `class` (without one: any window), `by` (`uncertain`, `likely`, `unlikely`, `band` from `low`
-- to `high`, see `active.queue`, or `random`), `show` (`undecided`, or those of which `yes`, `no` or `unsure` was said,
-- in order, behind row `after`), `site`, `day` (as in 2023-05-14), `cluster`, `most` (1)
-- @treturn {integer,...} rows
function Windows:next(options)
   local o = options_of.check(options, windows.choice)
   if o.show ~= "undecided" then return decided(self, o) end
   local class = o.class
   local known, learnt = class and self.known[class] or {}, class and self.learnt[class]
   if not learnt then -- of no class yet: what nothing is said of
      self.unnamed = self.unnamed or {}
      learnt, known = {handed = self.unnamed}, {}
      for _, of in pairs(self.known) do
         for row in pairs(of) do known[row] = true end
      end
   end
   local scores = self.known[class] and learn_class(self, class)
   local function skip(row)
      return known[row] or learnt.handed[row] or not fits(self, row, o) or overlaps(self, known, row)
   end
   local function choose()
      if not scores or o.by == "random" then return sample(self, o, skip) end
      return active.queue(scores, {by = o.by, low = o.low, high = o.high, most = o.most, skip = skip})
   end
   local list = choose()
   if #list == 0 and next(learnt.handed) then
      for row in pairs(learnt.handed) do learnt.handed[row] = nil end
      list = choose()
   end
   for _, row in ipairs(list) do learnt.handed[row] = true end
   return list
end

-- ---- One window ----

--- What is known of a window.
-- @tparam integer row
-- @tparam ?string class whose score is asked for
-- @treturn table `row`, `file`, `start_s`, `end_s`, `clock_time`, `site`, `cluster`, `said` (verdicts by class),
-- `probability` (as the answers were weighed)
function Windows:about(row, class)
   local said = {}
   for name, of in pairs(self.known) do said[name] = of[row] end
   local learnt = class and self.learnt[class]
   local score = learnt and learnt.scores and learnt.scores[row]
   return {row = row, file = self.file[row], start_s = self.start_s[row], end_s = self.end_s[row],
      clock_time = self.clock_time[row], site = self.site[row], said = said,
      cluster = self.cluster and self.cluster[row] and self.cluster[row].cluster or nil,
      probability = score and score == score and 1 / (1 + math.exp(-score)) or nil}
end

--- The windows most like one, by embedding, or of these by the distance of CENS.
-- @tparam integer row
-- @tparam boolean verify
-- @treturn[1] {table,...} as `similar.like`
-- @treturn[2] nil
-- @treturn[2] string message
function Windows:like(row, verify)
   return similar.like(self.index, {row = row, file = self.file[row], start_s = self.start_s[row],
      window_s = self.end_s[row] - self.start_s[row], hop_s = self.made.hop_s, sample_rate = self.made.sample_rate,
      channel = math.tointeger(self.made.channel)}, {verify = verify})
end

--- The samples of a window, as the network heard it.
-- @tparam integer row
-- @treturn[1] array f32
-- @treturn[1] integer sample rate
-- @treturn[2] nil
-- @treturn[2] string message, beginning with a path
function Windows:load(row)
   local y, rate = require("bclua.audio").load(self.file[row], {sample_rate = self.made.sample_rate,
      channel = math.tointeger(self.made.channel), start_s = self.start_s[row],
      seconds = self.end_s[row] - self.start_s[row]})
   if y and #y == 0 then return nil, self.file[row] .. ": nothing there (changed since `embed predict`?)" end
   return y, rate
end

--- A window as the bytes of a WAV file.
-- @treturn[2] nil, message
function Windows:sound(row)
   local y, rate = self:load(row)
   if not y then return nil, rate end
   return require("bclua.audio").encode(y, rate, {format = "wav"})
end

--- The spectrogram of a window, as `bclua.plot.thumbnail` has it.
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message
function Windows:picture(row)
   local y, rate = self:load(row)
   if not y then return nil, rate end
   return require("bclua.plot.thumbnail").mel(y, rate)
end

--- The sites and days that there are, in order; at most some hundred days.
-- @treturn {string,...} sites
-- @treturn {string,...} days
function Windows:filters()
   if not self.sites then
      local function kinds(list, n, cut)
         local seen, values = {}, {}
         for i = 1, n do
            local value = list[i] and list[i]:sub(1, cut)
            if value and not seen[value] then seen[value], values[#values + 1] = true, value end
         end
         table.sort(values)
         return values
      end
      self.sites, self.days = kinds(self.site, self.n, -1), kinds(self.clock_time, self.n, 10)
   end
   return self.sites, self.days
end

return windows
