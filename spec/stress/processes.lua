-- usage: bclua spec/stress/processes.lua [TRIALS [SEED]]
-- What the processes of others and the end of our own may do to results, which is nothing: two pipelines in one
-- folder; a pipeline, and each command, that is told to end or killed at random moments and begun again until it is
-- done. Each must leave what an undisturbed run leaves. Prints a line for each that does not; status 1.
package.path = "spec/?.lua;" .. package.path
local command = require "support.command"
local files = require "bclua.files"
local process = require "bclua.process"
local sql = require "bclua.sql"
local system = require "bclua.system"

local trials, seed = tonumber(arg[1] or 10), tonumber(arg[2] or 1)
math.randomseed(seed)
local dir = command.folder()
local failed = 0

local CONFIG = [[return {triplets = {samples = 200, calls = 3}, network = {widths = {4, 8, 8, 8}, z = 8},
   audit = {limit = 4}, evaluate = {splits = 2},
   fit = {batch_size = 4, batches_per_round = 4, max_rounds = 2, validation_triplets = 8}}]]

local function complain(...)
   failed = failed + 1
   print(("FAILED " .. ...):format(select(2, ...)))
end

-- Begin a program; `words` with DIR for our folder.
local function start(words, log)
   local list = {arg[-1]}
   for word in words:gmatch("%S+") do list[#list + 1] = (word:gsub("DIR", dir)) end
   return assert(process.start(list, {log = dir .. "/" .. log}))
end

-- Wait for its end; "exit" or "signal", and the number.
local function wait(p, seconds)
   local till = system.clock() + (seconds or 600)
   repeat
      local how, code = p:ended()
      if how then return how, code end
      system.sleep(0.002)
   until system.clock() > till
   return nil
end

local function said(log) return files.read(dir .. "/" .. log) or "" end

-- ---- what a run has made ----

local function hash(query)
   return tostring(assert(sql.query("select md5(string_agg(t::varchar, '|' order by t::varchar)) h from (" .. query ..
      ") t"))[1].h)
end

local function table_of(path, columns)
   return files.exists(path) and hash(("select %s from read_parquet(%s)"):format(columns or "*", sql.quote(path)))
end

local function bytes_of(folder, pattern)
   local parts = {}
   for _, path in ipairs(files.find(folder, function(name) return name:find(pattern) end) or {}) do
      parts[#parts + 1] = path .. "=" .. files.read(folder .. "/" .. path)
   end
   local text = table.concat(parts):gsub("[^%w]", function(c) return ("%%%02x"):format(c:byte()) end)
   return hash("select " .. sql.quote(text))
end

local function leftovers(run)
   local found = {}
   for _, path in ipairs(files.find(run) or {}) do
      if path:find("%.tmp") or path:find("unfinished") or path:find("%.parts/") then found[#found + 1] = path end
   end
   return table.concat(found, " ")
end

-- By name what must be the same.
local function results(run)
   return {
      motif = table_of(run .. "/motif.parquet", "* exclude folder"), profiles = bytes_of(run .. "/motif", "%.npy$"),
      triplets = table_of(run .. "/triplets.parquet"),
      index = table_of(run .. "/tiles/index.parquet", "source, loc, tile, first, scale"),
      tiles = bytes_of(run .. "/tiles", "%.npy$"), weights = bytes_of(run .. "/checkpoints", "^last.*%.safetensors$"),
      embeddings = table_of(run .. "/calls.parquet"),
   }
end

local function compare(name, run, whole)
   local now = results(run)
   for what, value in pairs(whole) do
      if now[what] ~= value then complain("%s: %s is not that of an undisturbed run", name, what) end
   end
   if leftovers(run) ~= "" then complain("%s: left %s", name, leftovers(run)) end
end

-- ---- the trials ----

local function pipeline(run)
   return ("scripts/pipeline.lua --data DIR/data --run DIR/%s --config DIR/config.lua"):format(run)
end

local function steps(run)
   local r = "DIR/" .. run
   return {
      "scripts/motif.lua extract --input DIR/data/train_audio --output " .. r .. "/motif",
      ("scripts/motif.lua consolidate --input %s/motif --output %s/motif.parquet"):format(r, r),
      ("scripts/motif.lua generate-triplets --input %s/motif.parquet --output %s/triplets.parquet --samples 200 " ..
         "--seed 1 --taxonomy DIR/data/taxonomy.csv --pick calls --calls 3 --group species " ..
         "--dataset-root DIR/data"):format(r, r),
      ("scripts/motif.lua extract-triplets %s/triplets.parquet --dataset-root DIR/data --output %s/tiles"):format(r, r),
      ("scripts/embed.lua fit %s/triplets.parquet %s/tiles --run %s --dim 8 --widths 4,8,8,8 --batch-size 4 " ..
         "--batches-per-round 4 --max-rounds 2"):format(r, r, r),
      ("scripts/embed.lua predict DIR/net.safetensors DIR/data/train_audio --output %s/calls.parquet"):format(r),
   }
end

-- Two pipelines in one folder, one a little later.
local function two(whole)
   for i = 1, trials do
      local run = "two" .. i
      local first = start(pipeline(run), "first")
      system.sleep(0.01 + 0.09 * math.random())
      local second = start(pipeline(run), "second")
      local _, a = wait(first)
      local _, b = wait(second)
      if a + b ~= 1 then complain("two pipelines end with %d and %d", a, b) end
      if not (said("first") .. said("second")):find("is at work on it", 1, true) then
         complain("neither of two pipelines names the other")
      end
      compare("two pipelines", dir .. "/" .. run, whole)
      command.remove(dir .. "/" .. run)
   end
end

local SIGNALS = {HUP = 129, INT = 130, TERM = 143}
local NAMES = {"HUP", "INT", "TERM"}

-- Begin it again and again until it comes to its end, broken off at random before.
local function until_done(words, signal, most_s)
   local interrupted = 0
   for attempt = 1, 400 do
      local p = start(words, "log")
      local how, code = wait(p, most_s * math.random() * (1 + attempt / 3))
      if how then
         if code ~= 0 then complain("%s: %s %d: %s", words, how, code, said("log")) end
         p = nil
      else
         local name = signal or NAMES[math.random(3)]
         os.execute(("kill -%s %d"):format(name, p:pid()))
         how, code = wait(p)
         local text = said("log")
         if name == "KILL" then
            interrupted = interrupted + 1
         elseif not (how == "exit" and (code == SIGNALS[name] or code == 0)) then
            complain("%s: SIG%s: %s %s: %s", words, name, how, code, text)
         elseif code ~= 0 then
            interrupted = interrupted + 1
            local _, lines = text:gsub("bclua: [^\n]*interrupted[^\n]*\n", "")
            if text:find("traceback", 1, true) or lines ~= 1 then
               complain("%s: SIG%s: it said: %s", words, name, text)
            end
         end
      end
      if not p then
         if said("log"):find("traceback", 1, true) then complain("%s: %s", words, said("log")) end
         return interrupted
      end
   end
   complain("%s: never done", words)
   return interrupted
end

local function broken_off(what, list_of, whole, signal, most_s)
   local n = 0
   for i = 1, trials do
      local run = "run" .. i
      for _, words in ipairs(list_of(run)) do
         n = n + until_done(words, signal, most_s)
         if signal ~= "KILL" and leftovers(dir .. "/" .. run):find("%.tmp") then
            complain("%s: left %s", words, leftovers(dir .. "/" .. run))
         end
      end
      compare(what, dir .. "/" .. run, whole)
      command.remove(dir .. "/" .. run)
   end
   print(("%s: broken off %d times"):format(what, n))
end

command.write(dir .. "/config.lua", CONFIG)
assert(require("bclua.data.dataset").make(dir .. "/data", {families = 2, species = 2, recordings = 4, short = 0,
   most_s = 16}))
local net = require("bclua.tilenet").new{widths = {4, 8, 8, 8}, z = 8}
assert(net:save(dir .. "/net.safetensors"))
assert(wait(start(pipeline("whole"), "log")) == "exit")
local whole = results(dir .. "/whole")
two(whole)
broken_off("pipelines told to end", function(run) return {pipeline(run)} end, whole, nil, 2)
broken_off("pipelines killed", function(run) return {pipeline(run)} end, whole, "KILL", 2)
for _, words in ipairs(steps("steps")) do assert(wait(start(words, "log")) == "exit", said("log")) end
whole = results(dir .. "/steps")
broken_off("commands told to end", steps, whole, nil, 0.5)
broken_off("commands killed", steps, whole, "KILL", 0.5)
command.remove(dir)
print(("%d trials of each, seed %d: %d failed"):format(trials, seed, failed))
os.exit(failed == 0 and 0 or 1, true)
