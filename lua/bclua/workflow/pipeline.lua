--- The whole job: from a folder of recordings to a trained embedding and a report.
-- @module bclua.workflow.pipeline
local count = require("bclua.display").count
local files = require "bclua.files"
local fit = require "bclua.workflow.fit"
local hearing = require "bclua.data.hearing"
local lock = require "bclua.lock"
local options_of = require "bclua.options"
local provenance = require "bclua.data.provenance"
local system = require "bclua.system"

local pipeline = {}

--- Every setting, by step; a configuration file returns a table like this one with
-- what is to differ.
pipeline.defaults = {
   data = {layout = "auto", metadata = "", group = "species", deployments = ""},
   extract = {cens_sample_rate = 10, matrix_profile_window = 50, features = "mel", sample_rate = 32000,
      channel = "mix", fmin = 0, fmax = 0, layout = "parts"},
   triplets = require("bclua.workflow.triplets").settings,
   audit = {limit = 100},
   tiles = {duration = 7, store = "packed"},
   network = options_of.subset(options_of.defaults(fit.network), {widths = true, z = true, compression = true,
      pooling = true, projection = true}),
   fit = options_of.extend(fit.defaults, {batch_size = 16,
      batches_per_round = 100, max_rounds = 14, schedule = "cosine", warmup = 20, augment = "mix=triplets,shift=1",
      validation_triplets = 64}),
   evaluate = {windows = "best", motifs = 3, splits = 10, labels = ""},
}

--- What the demonstration uses: small enough for a few minutes on two cores.
pipeline.demo = {
   triplets = {samples = 2000},
   -- its few species are all known to the training, which the head tells apart best (doc/experiments.md)
   fit = {batches_per_round = 25, max_rounds = 8, readout = "head"},
}

--- The synthetic recordings of the demonstration: see `bclua.data.dataset`.
pipeline.demo_data = {recordings = 10, most_s = 30}

-- Whole numbers as integers where the default is one: 1e3 is a float in Lua.
local function as_default(default, value)
   if type(value) == "table" then
      local list = {}
      for i, x in next, value do list[i] = as_default(default[1], x) end
      return list
   end
   return math.type(default) == "integer" and math.tointeger(value) or value
end

--- Defaults with changes laid over them; a key that no default has is an error. What values may be says `wrong`.
-- @treturn[2] nil, message naming the key
function pipeline.merge(defaults, changes, where)
   local result = {}
   for k, v in pairs(defaults) do result[k] = v end
   for k, v in next, changes or {} do
      local name = (where and where .. "." or "") .. tostring(k)
      if defaults[k] == nil then return nil, "no setting named '" .. name .. "'" end
      if (type(v) == "table") ~= (type(defaults[k]) == "table") then
         return nil, ("setting '%s' must be a %s, got %s"):format(name, type(defaults[k]), tostring(v))
      end
      if type(v) == "table" and #defaults[k] == 0 and next(defaults[k]) ~= nil then
         local merged, message = pipeline.merge(defaults[k], v, name)
         if not merged then return nil, message end
         result[k] = merged
      else
         result[k] = as_default(defaults[k], v)
      end
   end
   return result
end

--- The rules of each setting, those of the steps: a schema of `bclua.options`.
-- @treturn table
function pipeline.schema()
   local function of(options, values) return {"table", of = options_of.subset(options, values)} end
   local function step_options(name) return require("bclua.workflow." .. name).options end
   local d = pipeline.defaults
   local e, t = step_options("extract"), step_options("triplets")
   local all = {data = {"table", of = {deployments = e.deployments, layout = e.data_layout, metadata = t.metadata,
      group = t.group}},
      network = of(fit.network, d.network)}
   for _, name in ipairs{"extract", "triplets", "audit", "tiles", "fit", "evaluate"} do
      all[name] = of(step_options(name), d[name])
   end
   return all
end

--- Settings with changes laid over them, also those of earlier versions: `triplets.group` is `data.group` now, and
-- rules say what else was called otherwise.
-- @tparam table settings
-- @tparam table changes
-- @tparam[opt] function say called with the old and the new name of a setting; default: a line on stderr
-- @treturn[2] nil, message naming the key
function pipeline.change(settings, changes, say)
   local new, rules = {}, pipeline.schema()
   for step, values in next, changes do
      local rule = rules[step]
      new[step] = rule and type(values) == "table" and options_of.renamed(values, rule.of, say) or values
   end
   local t, data = new.triplets, new.data or {}
   if type(t) == "table" and t.group ~= nil and type(data) == "table" and data.group == nil then
      new.data, new.triplets = options_of.extend(data, {group = t.group}), options_of.extend(t, {group = false})
   end
   return pipeline.merge(settings, new)
end

-- What is wrong with the settings of labels: they are the windows, and there is no other choice of these.
local function wrong_labels(config, t)
   if t.labels and t.pick then return "setting 'triplets.pick': not with 'triplets.labels', which are the windows" end
   local e = config.evaluate
   if e.labels ~= "" and e.windows ~= pipeline.defaults.evaluate.windows then
      return "setting 'evaluate.windows': not with 'evaluate.labels', which are the windows"
   end
   for name, path in pairs{["triplets.labels"] = t.labels, ["evaluate.labels"] = e.labels} do
      if path ~= "" then
         local ok, message = require("bclua.workflow.labelled").check(path)
         if not ok then return ("setting '%s': %s"):format(name, message) end
      end
   end
end

--- What is wrong with settings that were merged; nil: nothing.
-- @tparam table config
-- @treturn ?string message naming the setting
function pipeline.wrong(config)
   local c = {}
   for name, values in pairs(config) do c[name] = values end
   c.triplets = require("bclua.workflow.triplets").of_settings(c.triplets)
   local ok, message = options_of.try(c, pipeline.schema())
   if not ok then return (message:gsub("^option", "setting")) end
   if c.data.metadata ~= "" then
      ok, message = require("bclua.workflow.triplets.groups").check(c.data.metadata)
      if not ok then return "setting 'data.metadata': " .. message end
   end
   if c.data.deployments ~= "" then
      ok, message = require("bclua.data.deployments").read(c.data.deployments)
      if not ok then return "setting 'data.deployments': " .. message end
   end
   message = wrong_labels(config, c.triplets)
   if message then return message end
   local e, mixture = c.extract, c.triplets.mixture
   if e.sample_rate % e.cens_sample_rate ~= 0 then
      return ("setting 'extract.cens_sample_rate': %d does not divide %d"):format(e.cens_sample_rate, e.sample_rate)
   end
   message = require("bclua.workflow.extract").wrong(e)
   if message then return "settings 'extract': " .. message end
   if mixture and math.max(table.unpack(mixture)) == 0 then
      return "setting 'triplets.mixture': at least one weight must be more than 0"
   end
end

-- What a configuration file may use: it says settings, and ends or writes nothing.
local function plain_environment()
   local env = {os = {getenv = os.getenv}}
   for _, name in ipairs{"assert", "error", "ipairs", "next", "pairs", "select", "tonumber", "tostring", "type"} do
      env[name] = _G[name]
   end
   for _, name in ipairs{"math", "string", "table"} do
      env[name] = {}
      for k, v in pairs(_G[name]) do env[name][k] = v end
   end
   return env
end

local LONGEST = 1 << 20 -- bytes of a configuration: /dev/zero has no end

local function read_config(path)
   local f <close>, message = io.open(path, "rb")
   if not f then return nil, message end
   local text, why = f:read(LONGEST + 1)
   if why then return nil, path .. ": " .. why end
   text = text or ""
   if #text > LONGEST then return nil, path .. ": longer than 1 MiB: no configuration" end
   return text
end

local function load_config(path)
   local text, message = read_config(path)
   if not text then return nil, message end
   local chunk
   chunk, message = load(text, "@" .. path, "t", plain_environment())
   if not chunk then return nil, message end
   local ok, config = pcall(chunk)
   if system.interrupted() then error("interrupted!", 0) end
   if not ok then return nil, type(config) == "string" and config or path .. ": raised a " .. type(config) end
   if type(config) ~= "table" then return nil, path .. ": must return a table of settings" end
   return config
end

local function machine()
   local text = files.read("/proc/cpuinfo") or ""
   return ("%s, %s"):format(text:match("model name%s*:%s*([^\n]+)") or "unknown",
      count(system.processors(), "processor"))
end

local function versions()
   local list = {{"Lua", _VERSION}}
   for _, name in ipairs({"audio", "spectral", "nn", "sql"}) do
      local module = require("bclua." .. name)
      local text = type(module.version) == "function" and module.version()
      if text then list[#list + 1] = {name, text} end
   end
   return list
end

-- Run one step; its time and its failures go into the run.
local function step(run, name, f)
   local started = system.clock()
   require("bclua.progress").begin_part(name)
   local result, message, detail = f()
   run.times[#run.times + 1] = {step = name, seconds = system.clock() - started, note = not result and message or ""}
   if type(result) == "table" and result.failures then
      for _, failure in ipairs(result.failures) do run.failures[#run.failures + 1] = failure end
   end
   return result, message, detail
end

local function prepare(options)
   local changes = {}
   if options.config then
      local message
      changes, message = load_config(options.config)
      if not changes then return nil, message end
   end
   local defaults, message = pipeline.merge(pipeline.defaults, options.data and {} or pipeline.demo)
   local config
   config, message = pipeline.change(assert(defaults, message), changes)
   if not config then return nil, options.config .. ": " .. message end
   for name in pairs(hearing.given) do
      if options[name] then config.extract[name] = options[name] end
   end
   message = pipeline.wrong(config)
   if message then return nil, (options.config and options.config .. ": " or "") .. message end
   local data = options.data and options.data:gsub("(.)/+$", "%1")
   if data then -- before anything is made
      local recordings = require "bclua.data.recordings"
      local layout, list
      layout, message = recordings.layout(data)
      if layout then list, message = recordings.list(layout.audio, config.data.layout) end
      if not list then return nil, message end
   end
   local name = data and files.basename(data) or "demo"
   if name == "" or name == "." or name == ".." then name = "run" end
   local folder = options.run or "runs/" .. name
   return {name = files.basename(folder), folder = folder, data = data, config = config, times = {}, failures = {},
      command = options.command, machine = machine(), versions = versions(), date = os.date("%Y-%m-%d %H:%M")}
end

-- The steps that find the motifs.
local function mine(run, force)
   local c, f = run.config, run.folder
   local placed = c.data.deployments ~= "" and c.data.deployments or nil
   if not placed then os.remove(f .. "/motif/" .. require("bclua.data.deployments").file) end -- of an earlier run
   run.motif, run.triplets_path, run.tiles = f .. "/motif.parquet", f .. "/triplets.parquet", f .. "/tiles"
   local result, message = step(run, "extract", function()
      local options = {input = run.audio, output = f .. "/motif", force = force, deployments = placed,
         data_layout = c.data.layout}
      for k, v in pairs(c.extract) do options[k] = v end
      return require("bclua.workflow.extract").run(options)
   end)
   if not result then return nil, message end
   run.counts = result.counts
   result, message = step(run, "consolidate", function()
      return require("bclua.workflow.consolidate").run({input = f .. "/motif", output = run.motif, force = force})
   end)
   run.unplaced = result and #result.warnings
   return result, message
end

-- Triplets and their tiles. Recordings of one group give none: there is nothing to
-- learn, but what was found is worth a report.
local function sample(run, force)
   local c = run.config
   local message, no_groups
   local t = require("bclua.workflow.triplets").of_settings(c.triplets, c.data)
   run.triplets, message, no_groups = step(run, "generate-triplets", function()
      local options = {input = run.motif, output = run.triplets_path, taxonomy = run.taxonomy,
         dataset_root = run.root, force = force, keep_scores = run.folder .. "/scores.parquet"}
      for k, v in pairs(t) do options[k] = v end
      return require("bclua.workflow.triplets").run(options)
   end)
   if no_groups then
      run.no_training = message
      return true
   end
   if not run.triplets then return nil, message end
   if require("bclua.workflow.triplets.windows").needs_scores(t) then
      run.scores = run.folder .. "/scores.parquet"
   end
   local cut
   cut, message = step(run, "extract-triplets", function()
      return require("bclua.workflow.tiles").run({input = run.triplets_path, dataset_root = run.root,
         output = run.tiles, duration = c.tiles.duration, store = c.tiles.store, force = force})
   end)
   if not cut then return nil, message end
   run.audit, run.audit_message = step(run, "audit", function() -- what it cannot tell stops nothing
      return require("bclua.workflow.audit").run({input = run.triplets_path, dataset_root = run.root,
         duration = c.tiles.duration, limit = c.audit.limit})
   end)
   for _, warning in ipairs(run.audit and run.audit.warnings or {}) do
      require("bclua.progress").note("audit warns: " .. warning)
   end
   return true
end

local function learn(run, force)
   local c, f = run.config, run.folder
   if run.no_training then
      run.evaluation_message = run.no_training
      return true
   end
   local message
   run.fit, message = step(run, "fit", function()
      local options = {triplets = run.triplets_path, run = f, network = c.network, motif = run.motif,
         tiles = c.tiles.store ~= "none" and run.tiles or nil, dataset_root = run.root, force = force,
         follow_data = true}
      for k, v in pairs(c.fit) do options[k] = v end
      return require("bclua.workflow.fit").run(options)
   end)
   if not run.fit then return nil, message end
   run.metrics = f .. "/metrics.jsonl"
   local judged
   run.evaluation, judged = step(run, "evaluate", function()
      local evaluate = require "bclua.workflow.evaluate"
      local options = evaluate.of_settings(c.evaluate)
      options.checkpoint, options.motif, options.dataset_root = run.fit.checkpoint, run.motif, run.root
      return evaluate.run(options)
   end)
   run[run.evaluation and "judged" or "evaluation_message"] = judged
   return true -- a data set too small to evaluate still gets its report
end

local function get_data(run)
   local recordings = require "bclua.data.recordings"
   if not run.data then
      run.data, run.made = run.folder .. "/data", pipeline.demo_data
      local ok, message = step(run, "make data set", function()
         if files.exists(run.data .. "/taxonomy.csv") then return {} end
         return require("bclua.data.dataset").make(run.data, pipeline.demo_data)
      end)
      if not ok then return nil, message end
   end
   local layout, message = recordings.layout(run.data)
   if not layout then return nil, message end
   run.audio, run.root, run.taxonomy = layout.audio, layout.root, layout.taxonomy
   return true
end

-- Before the first run in a folder: about how long it will take.
local function say_how_long(run)
   if files.exists(run.folder .. "/motif.parquet") then return end
   local estimate = require "bclua.workflow.pipeline.estimate"
   local list = require("bclua.data.recordings").list(run.audio, run.config.data.layout)
   local e = list and #list > 0 and estimate.of(list, run.config)
   if e then require("bclua.progress").note("pipeline: " .. estimate.text(e, #list)) end
end

local OPTIONS = options_of.extend(hearing.given, {data = "string", run = "string", config = "string", force = "boolean",
   command = {"string", default = ""}})
--- What `run` takes of `bclua.data.hearing`, in place of what the configuration has in `extract`.
pipeline.hearing = hearing.given

--- Run everything that is not done yet.
-- @tparam table options `data` (folder of recordings; none: synthetic ones), `run`
-- (folder for the results, default `runs/<name of the data>`), `config` (Lua file that
-- returns settings), `sample_rate`, `channel`, `fmin`, `fmax` (in place of its settings `extract`), `force`, `command`
-- (for the report)
-- @treturn[1] table `report` (path), `failures`, `times`, `evaluation`
-- @treturn[2] nil
-- @treturn[2] string message
function pipeline.run(options)
   options = options_of.check(options, OPTIONS)
   local run, message = prepare(options)
   if not run then return nil, message end
   local locked <close>, busy = lock.folder(run.folder)
   if not locked then return nil, busy end
   local ok
   ok, message = get_data(run)
   if ok then say_how_long(run) end
   if ok then ok, message = mine(run, options.force) end
   if ok then ok, message = sample(run, options.force) end
   if ok then ok, message = learn(run, options.force) end
   provenance.write_failures(run.folder .. "/failures.csv", run.failures)
   if not ok then return nil, message end
   ok, message = files.write_json(run.folder .. "/config.json", {config = run.config, version = system.version(),
      data = run.data, command = run.command, taxonomy = run.taxonomy})
   if not ok then return nil, message end
   run.report = run.folder .. "/report.html"
   ok, message = step(run, "report", function()
      return require("bclua.workflow.summary").write(run, run.report)
   end)
   if not ok then return nil, message end
   return run
end

return pipeline
