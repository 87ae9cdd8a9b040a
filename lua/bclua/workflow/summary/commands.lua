--- The command lines that repeat a run of the pipeline, step by step.
-- @module bclua.workflow.summary.commands
local display = require "bclua.display"
local hearing = require "bclua.data.hearing"
local json = require "bclua.json"

local commands = {}

local COLUMNS = 80 -- of a command

-- A word as a shell reads it.
local function quote(word)
   return display.shell(type(word) == "number" and json.encode(math.tointeger(word) or word) or tostring(word))
end

-- A command line; one that is long goes on, at an option, in a further line.
local function line(...)
   local words, length = {}, 0
   for i, word in ipairs({...}) do
      words[i] = quote(word)
      length = length + #words[i] + 1
      if words[i]:find("^%-%-") and length + #tostring(select(i + 1, ...) or "") > COLUMNS then
         words[i], length = "\\\n  " .. words[i], #words[i]
      end
   end
   return table.concat(words, " ")
end

-- Options out of a table, those that are not the default, in order of their names.
local function differing(values, defaults)
   local names, words = {}, {}
   for name, value in pairs(values) do
      if value ~= defaults[name] then names[#names + 1] = name end
   end
   table.sort(names)
   for _, name in ipairs(names) do
      words[#words + 1] = "--" .. name:gsub("_", "-")
      words[#words + 1] = values[name]
   end
   return words
end

local function extend(list, ...)
   for _, word in ipairs({...}) do list[#list + 1] = word end
   return list
end

-- What is heard of recordings, where it is not the default.
local function heard(e)
   local words = {}
   for _, name in ipairs{"sample_rate", "channel", "fmin", "fmax"} do
      if e[name] ~= hearing.settings[name].default then extend(words, "--" .. name:gsub("_", "-"), e[name]) end
   end
   return words
end

local function generate(run, c)
   local t = require("bclua.workflow.triplets").of_settings(c.triplets, c.data)
   local words = {"bclua", "motif", "generate-triplets", "--input", run.motif, "--output",
      run.triplets_path, "--samples", t.samples, "--seed", t.seed, "--holdout", t.holdout, "--shares", t.shares}
   if t.mixture then extend(words, "--mixture", table.concat(t.mixture, ",")) end
   for _, name in ipairs{"pick", "labels", "self", "motif"} do
      if t[name] then extend(words, "--" .. name, t[name]) end
   end
   if run.taxonomy then extend(words, "--taxonomy", run.taxonomy) end
   if t.metadata then extend(words, "--metadata", t.metadata) end
   if t.pick == "calls" then extend(words, "--calls", t.calls) end
   if require("bclua.workflow.triplets.windows").needs_scores(t) then extend(words, "--dataset-root", run.root) end
   if t.group ~= "" then extend(words, "--group", t.group) end
   if t.exclude_own then extend(words, "--no-self") end
   for _, name in ipairs({"self_distance", "clip_distance", "clips"}) do
      if (t[name] or 0) ~= 0 then extend(words, "--" .. name:gsub("_", "-"), t[name]) end
   end
   return words
end

local function fit(run, c)
   local settings = {}
   for name, value in pairs(c.fit) do settings[name] = name ~= "eps" and value or nil end
   local n = c.network
   local words = {"bclua", "embed", "fit", run.triplets_path}
   if c.tiles.store ~= "none" then extend(words, run.tiles) end
   extend(words, "--run", run.folder, "--motif", run.motif, "--dataset-root", run.root, "--dim", n.z, "--widths",
      table.concat(n.widths, ","), "--compression", n.compression, "--pooling", n.pooling, "--projection", n.projection)
   return extend(words, table.unpack(differing(settings, require("bclua.workflow.fit").defaults)))
end

--- The steps of a run and how to repeat them; run again in the same folder, they find that all is done.
-- @tparam table run what the pipeline knows
-- @treturn {string,...}
function commands.list(run)
   local c, list = run.config, {}
   local function add(...) list[#list + 1] = line(...) end
   if run.made then
      add("bclua", "make_dataset", "--output", run.data, "--recordings", run.made.recordings, "--most",
         run.made.most_s)
   end
   local extract = {"bclua", "motif", "extract", "--input", run.audio, "--output", run.folder .. "/motif",
      "--cens-sr", c.extract.cens_sample_rate, "--mp-window", c.extract.matrix_profile_window,
      table.unpack(heard(c.extract))}
   if c.extract.features ~= "cens" then extend(extract, "--features", c.extract.features) end
   if c.extract.layout ~= "parts" then extend(extract, "--layout", c.extract.layout) end
   if c.data.layout ~= "auto" then extend(extract, "--data-layout", c.data.layout) end
   if c.data.deployments ~= "" then extend(extract, "--deployments", c.data.deployments) end
   add(table.unpack(extract))
   add("bclua", "motif", "consolidate", "--input", run.folder .. "/motif", "--output", run.motif)
   add(table.unpack(generate(run, c)))
   if run.no_training then return list end
   local tiles = {"bclua", "motif", "extract-triplets", run.triplets_path, "--dataset-root", run.root,
      "--store", c.tiles.store, "--duration", c.tiles.duration}
   if c.tiles.store ~= "none" then extend(tiles, "--output", run.tiles) end
   add(table.unpack(tiles))
   add("bclua", "motif", "audit", run.triplets_path, "--dataset-root", run.root, "--limit", c.audit.limit,
      "--duration", c.tiles.duration)
   add(table.unpack(fit(run, c)))
   local evaluate = {"bclua", "embed", "evaluate", run.fit.checkpoint, run.motif, "--dataset-root",
      run.root}
   local e = require("bclua.workflow.evaluate").of_settings(c.evaluate)
   for _, name in ipairs{"windows", "motifs", "labels", "splits"} do
      if e[name] then extend(evaluate, "--" .. name, e[name]) end
   end
   add(table.unpack(evaluate))
   return list
end

--- What can be done with a finished run: command lines, each below a comment that says what for.
-- @tparam table run what the pipeline knows
-- @tparam ?table call one of `bclua.workflow.summary.calls`
-- @treturn {string,...} lines of shell
function commands.next(run, call)
   local list = {"# listen, accept or reject motifs, in a browser", line("bclua", "browse", run.folder),
      "# which calls are repeated, how often and where", line("bclua", "motif", "discover", "--input", run.motif)}
   if not run.fit then return list end
   local embeddings = run.folder .. "/embeddings.parquet"
   extend(list, "# embed all recordings, find what sounds alike (names: in the browser, again)",
      line("bclua", "embed", "predict", run.fit.checkpoint, run.audio, "--output", embeddings),
      line("bclua", "embed", "cluster", embeddings, "--output", run.folder .. "/clusters.parquet"))
   if not call then return list end
   return extend(list, ("# where else is the call of %s above?"):format((call.name:gsub("%c", " "))), line("bclua",
      "embed", "search", ("%s/%s@%.1f"):format(run.root, call.source_name, call.start_s), "--embeddings", embeddings))
end

return commands
