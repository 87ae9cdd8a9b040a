--- Step 3: triplets of windows (anchor, neighbour, distant) as a Parquet table.
-- @module bclua.workflow.triplets
local display = require "bclua.display"
local verdicts = require "bclua.workflow.verdicts"
local files = require "bclua.files"
local groups = require "bclua.workflow.triplets.groups"
local hearing = require "bclua.data.hearing"
local labelled = require "bclua.workflow.labelled"
local lock = require "bclua.lock"
local options_of = require "bclua.options"
local progress = require "bclua.progress"
local provenance = require "bclua.data.provenance"
local triplet_warnings = require "bclua.workflow.triplets.warnings"
local rules = require "bclua.data.rules"
local schemas = require "bclua.data.schemas"
local tables = require "bclua.data.tables"
local triplet_table = require "bclua.workflow.triplets.table"
local windows = require "bclua.workflow.triplets.windows"

local triplets = {}

local KINDS = {"motif", "discord", "best"}

--- What `run` takes.
triplets.options = {
   samples = {"integer", default = 500000, least = 1, most = 1000000000, text = "Number of triplets."},
   seed = {"integer", default = 1, least = 0, text = "Same seed, same triplets."},
   holdout = {"number", default = 0.25, least = 0, most = 0.5,
      text = "Share of each species', or site's, recordings to keep away for evaluation."},
   shares = {"choice", {"equal", "natural", "sqrt"}, default = "equal",
      text = "How often each group or species is drawn: equal, natural (by its recordings) or sqrt."},
   self = {"number", least = 0, most = 1,
      text = "Share of neighbours from the anchor's own recording (default: 0.5; with --labels 0)."},
   motif = {"number", least = 0, most = 1, text = "Share of distant windows that are motifs; the others are random " ..
      "clips (default: 0.5; with --labels 1)."},
   mixture = {"list", of = {"number", least = 0}, items = "numbers", shortest = 4, longest = 4, arg = "A,B,C,D",
      text = "Weights of self and motif, self and clip, group and motif, group and clip."},
   pick = {"choice", {"motif", "discord", "best", "calls"}, text = "Which window of a recording to take: motif, " ..
      "discord, best (of the two, see `score`), or calls (any of those that look most like calls)."},
   anchor = {"choice", KINDS, text = "Like --pick, for anchors and distant windows only."},
   neighbor = {"choice", KINDS, text = "Like --pick, for neighbours only."},
   calls = {"integer", default = 6, least = 1, most = 10000, text = "Likely calls per recording, at most."},
   exclude_own = {"boolean", default = false, option = "no-self",
      text = "Never take a neighbour from the anchor's own recording."},
   self_distance = {"number", least = 0, most = 1e6, unit = "s", text = "Least distance between the centres of " ..
      "anchor and neighbour in one recording; if there is none, the group gives another (default: 0; with --labels " ..
      "a window)."},
   clip_distance = {"number", default = 0, least = 0, most = 1e6, unit = "s",
      text = "Least distance between the centres of a clip and the windows of its recording."},
   clips = {"integer", default = 0, least = 0, most = 1000000, arg = "K", text = "Different clips per recording (0: " ..
      "no limit); a limit bounds the tiles to store."},
   group = {"string", arg = "COLUMN", text = "What makes a group: species (default; where there are none, " ..
      "recording), recording, family, site, hour, date, or a column of --metadata or --input."},
   labels = {"string", text = "What `import-labels` wrote: windows are around labels, groups are labels, neighbours " ..
      "of other recordings, distant windows of other labels."},
   input = rules.motif,
   output = {"string", needed = true, text = "Parquet file to write."},
   metadata = {"string", arg = "CSV", text = "CSV of recordings (column source_name, filename, ...) or of species " ..
      "(SPECIES_CODE, primary_label, ...)."},
   taxonomy = {"string", arg = "CSV", text = "CSV with SPECIES_CODE and FAMILY: groups are families (else species)."},
   scores = {"string", text = "What `score` wrote, for --pick best and calls."},
   keep_scores = "string",
   accepted = {"string", text = "Only motifs that this file from `browse` has as accepted."},
   accepted_only = {"boolean", text = "Only motifs that were accepted in `browse`: by accepted.csv beside the input."},
   dataset_root = options_of.extend(rules.dataset_root, {text = rules.dataset_root.text .. " Needed for --pick best " ..
      "and calls without --scores."}),
   force = "boolean", quiet = "boolean"}

local ENOUGH = 4 -- held-out recordings for a triplet

-- The parameters of a table, as it says them itself, where it says nothing else.
local DEFAULTS = {mixture = {0.25, 0.25, 0.25, 0.25}, anchor = "motif", neighbor = "motif", self_distance = 0}
for _, name in ipairs{"samples", "seed", "holdout", "shares", "calls", "exclude_own", "clip_distance", "clips"} do
   DEFAULTS[name] = triplets.options[name].default
end

local COLUMNS = {"source_name", "species", "cens_sample_rate", "matrix_profile_window", "duration_seconds",
   "motif_0", "motif_1", "silence?", "site?", "channel?"}
local DISCORDS = {"discord_0", "discord_1"}

-- A number that depends on the text alone, well mixed (FNV-1a, then a finaliser).
local function hash(text)
   local h = -3750763034362895579 -- 0xcbf29ce484222325
   for i = 1, #text do h = (h ~ text:byte(i)) * 1099511628211 end
   h = (h ~ (h >> 33)) * -49064778989728563
   return h ~ (h >> 29)
end

--- Which recordings are kept away from training, for evaluation.
-- Of every species, where there are none of every site, the same share, at least two if there are four or more; which
-- ones depends on the names and the seed alone.
-- @tparam {table,...} rows with source_name, species, site
-- @tparam number share 0..0.5
-- @tparam integer seed
-- @treturn table set of source names
function triplets.holdout(rows, share, seed)
   local strata, set = {}, {}
   for _, row in ipairs(rows) do
      local of = row.species or row.site or "" -- a site that is called like a species is no matter
      strata[of] = strata[of] or {}
      table.insert(strata[of], row.source_name)
   end
   if share <= 0 then return set end
   for _, names in pairs(strata) do
      local keys = {}
      for _, name in ipairs(names) do keys[name] = hash(seed .. "/" .. name) end
      table.sort(names, function(a, b) return keys[a] < keys[b] or (keys[a] == keys[b] and a < b) end)
      local n = math.floor(#names * share + 0.5)
      if n < 2 and #names >= 4 then n = 2 end
      for i = 1, n do set[names[i]] = true end
   end
   return set
end

--- The weights of the four partitions, from shares that are drawn independently.
-- @tparam number self share of neighbours from the anchor's own recording, 0..1
-- @tparam number motif share of distant windows that are motifs, 0..1
-- @treturn {number,...} self and motif, self and clip, group and motif, group and clip
function triplets.mixture(self, motif)
   return {self * motif, self * (1 - motif), (1 - self) * motif, (1 - self) * (1 - motif)}
end

local function read(options, names)
   local relation, message = tables.open(options.input, schemas.motif, names)
   if not relation then return nil, message end
   local rows
   rows, message = require("bclua.sql").query(("from %s order by source_name"):format(relation))
   if not rows then return nil, message end
   if #rows == 0 then return nil, options.input .. ": no recordings" end
   return rows
end

-- Families by species, for evaluation, also where groups are something else.
local function families_of(rows, options)
   if not options.taxonomy or not options.group or options.group:lower() == "family" then return nil end
   local found = groups.set(rows, {taxonomy = options.taxonomy, group = "family"})
   return found and found.species or nil -- a taxonomy without families
end

-- ---- The step ----

-- Windows are of labels: neighbours, as far as there are some, in other recordings, distant ones of other labels.
local function set_labels(p, options)
   for _, name in ipairs{"pick", "anchor", "neighbor", "scores", "accepted", "accepted_only"} do
      if options[name] then
         return nil, ("labels are the windows (--labels): use it without --%s"):format((name:gsub("_", "-")))
      end
   end
   p.labels, p.anchor, p.neighbor = options.labels, "label", "label"
   if not options.mixture then
      options.self, options.motif = options.self or 0, options.motif or 1
   end
   return true
end

local function parameters(options)
   local p = {}
   for key, value in pairs(DEFAULTS) do
      p[key] = options[key]
      if p[key] == nil then p[key] = value end
   end
   if options.labels then
      local ok, message = set_labels(p, options)
      if not ok then return nil, message end
   end
   if options.pick then
      p.anchor, p.neighbor = options.anchor or options.pick, options.neighbor or options.pick
   end
   if (p.anchor == "calls") ~= (p.neighbor == "calls") then
      return nil, "calls are of anchors and neighbours alike: --pick calls, without --anchor and --neighbor"
   end
   if p.anchor ~= "calls" then p.calls = nil end
   if options.self or options.motif then
      if options.mixture then return nil, "--mixture says it all: use it without --self and --motif" end
      p.mixture = triplets.mixture(options.self or 0.5, options.motif or 0.5)
   end
   local left = p.mixture[3] + p.mixture[4]
   if not p.exclude_own then left = left + p.mixture[1] + p.mixture[2] end
   if left <= 0 then
      return nil, p.exclude_own and "--no-self: the mixture has no neighbours of the group" or
         "--mixture: at least one weight must be more than 0"
   end
   return p
end

--- What the metadata of a table says beside its parameters.
triplets.findings = {"recordings", "holdout_recordings", "holdout_groups", "groups", "families", "discords"}

local function check(options, p)
   local made = provenance.of_parquet(options.output)
   if made then
      for _, name in ipairs(triplets.findings) do made[name] = nil end
   end
   return provenance.check(options.output, made, p, options.force)
end

local function needed_columns(p)
   local names = table.move(COLUMNS, 1, #COLUMNS, 1, {})
   if p.anchor ~= "motif" or p.neighbor ~= "motif" then table.move(DISCORDS, 1, 2, #names + 1, names) end
   return names
end

local function count(picks)
   local n = 0
   for _, pick in pairs(picks) do
      if pick == "discord" then n = n + 1 end
   end
   return n
end

-- Only recordings with an accepted motif, where that is asked for; those kept for evaluation stay.
local function keep_accepted(rows, options, p)
   if not (options.accepted or options.accepted_only) then return rows end
   if p.anchor ~= "motif" or p.neighbor ~= "motif" then
      return nil, "accepted motifs (--accepted-only) are not picked: use them without --pick, --anchor, --neighbor"
   end
   local path = options.accepted or files.dirname(options.input) .. "/" .. verdicts.file
   local chosen, message = verdicts.choose(rows, path)
   if not chosen then return nil, message end
   local parts = {}
   for i, row in ipairs(chosen) do parts[i] = ("%s %d %d"):format(row.source_name, row.motif_0, row.motif_1) end
   p.accepted = ("%016x"):format(hash(table.concat(parts, "\n")))
   return chosen
end

local function split(all, held)
   local rows, away = {}, {}
   for _, row in ipairs(all) do table.insert(held[row.source_name] and away or rows, row) end
   return rows, away
end

-- Names of recordings kept away, and their groups where these do not follow from the species.
local function describe_held(away, grouping)
   local names, of, follow = {}, {}, true
   for _, row in ipairs(away) do
      if names[#names] ~= row.source_name then -- it may have several rows
         names[#names + 1], of[#of + 1] = row.source_name, row.group
      end
      follow = follow and row.group == (row.species and grouping.species[row.species])
   end
   return names, not follow and of or nil
end

-- How many recordings some rows are of, those of each together.
local function count_recordings(rows)
   local n = 0
   for i, row in ipairs(rows) do
      if i == 1 or row.source_name ~= rows[i - 1].source_name then n = n + 1 end
   end
   return n
end

-- Rows to draw from: recordings, or with labels one for each label of a recording; and what is to be said of them.
local function read_rows(options, p)
   local all, message = read(options, needed_columns(p))
   if not all then return nil, message end
   p.window_s = all[1].matrix_profile_window / all[1].cens_sample_rate
   if not p.labels then return all, {} end
   if not options.self_distance then p.self_distance = p.window_s end
   local entries, warnings = labelled.entries(all, p.labels)
   if not entries then return nil, warnings end
   local parts = {}
   for i, e in ipairs(entries) do
      parts[i] = ("%s\t%s\t%s"):format(e.source_name, e.species, table.concat(e.places, " "))
   end
   p.labelled = ("%016x"):format(hash(table.concat(parts, "\n")))
   return entries, warnings
end

-- Every row gets its group; the parameters say by what, and what of recordings is heard.
local function set_groups(rows, options, p)
   local grouping, message = groups.set(rows, {group = options.group, metadata = options.metadata,
      taxonomy = options.taxonomy, motif = options.input})
   if not grouping then return nil, message end
   local heard
   heard, message = hearing.of_parquet(options.input)
   if not heard then return nil, message end
   for name, value in pairs(hearing.changed(heard)) do p[name] = value end
   p.group = p.labels and grouping.name == "species" and "label" or grouping.name
   if p.group == "recording" and p.exclude_own then
      return nil, options.input .. ": --no-self: groups are recordings, whose neighbours are their own windows; use " ..
         "another --group with it"
   end
   return grouping
end

-- What is said of a table that was written.
local function tell(result, options)
   if files.is_file(options.output) then -- no pipe
      local sql = require "bclua.sql"
      local relation = sql.parquet(options.output)
      result.warnings[#result.warnings + 1] = triplet_warnings.same(relation)
      result.partitions = sql.query(("select neighbor, distant, count(*)::bigint n from %s group by all order by all")
         :format(relation))
   end
   for _, w in ipairs(result.warnings) do progress.note("generate-triplets: " .. w, options.quiet) end
   progress.note(("generate-triplets: %s from %s, %d kept for evaluation"):format(
      display.count(result.samples, "triplet"), display.count(result.recordings, "recording"), #result.holdout),
      options.quiet)
end

--- The settings `triplets` of the pipeline, with their defaults there.
triplets.settings = {samples = 20000, seed = 1, holdout = 0.25, shares = "equal", self = 0.5, motif = 0.5, mixture = {},
   pick = "calls", calls = 6, exclude_own = false, self_distance = 0, clip_distance = 0, clips = 0, labels = ""}

--- The settings `triplets` of the pipeline as the step takes them: `mixture`, where it has weights, in place of `self`
-- and `motif`; where there are labels, not those that are as without.
-- @tparam table t
-- @tparam[opt] table data the settings `data`, of which the step takes `group` and `metadata`
function triplets.of_settings(t, data)
   local options = {}
   for k, v in pairs(t) do options[k] = v end
   if next(t.mixture) then options.self, options.motif = nil, nil else options.mixture = nil end
   if t.labels == "" then options.labels = nil end
   for _, name in ipairs(options.labels and {"pick", "calls", "self", "motif", "self_distance"} or {}) do
      if t[name] == triplets.settings[name] then options[name] = nil end
   end
   if data then options.group, options.metadata = data.group, data.metadata ~= "" and data.metadata or nil end
   return options
end

--- Draw triplets.
-- @tparam table options `input` (Parquet from `consolidate`), `output` (Parquet),
-- `samples` (500 000), `seed` (1), `holdout` (0.25: share of each species, or site, that is kept for evaluation);
-- `group`, `metadata`, `taxonomy`: see `bclua.workflow.triplets.groups`; `shares`, `mixture` (or `self` and `motif`, as
-- for `triplets.mixture`), `exclude_own`,
-- `self_distance`, `clip_distance` (seconds), `clips`: see `bclua.sampling.triplets`;
-- `anchor`, `neighbor` (`motif`, `discord` or `best`; the distant window is of the anchor's kind), `pick`: both, or
-- `calls`: one of the recording's `calls` (6) windows that look most like calls, a self neighbour another one of them;
-- `accepted_only` (only motifs that were accepted: see `bclua.workflow.verdicts`), `accepted` (in this file;
-- default: accepted.csv beside the input);
-- `labels` (what `import-labels` wrote): windows are those of labels, which are in place of species; by default
-- neighbours are of other recordings, distant windows of other labels, and `self_distance` is the length of a window;
-- `scores` (what `score` wrote, for `best` and `calls`; without, computed from the recordings below `dataset_root`
-- and, with `keep_scores`, kept in this file);
-- `force`, `quiet`
-- @treturn[1] table `{samples=, group=, recordings=, holdout=, warnings=, partitions=, failures=}`; `group`: by what
-- recordings are grouped; `partitions` is empty where `output` is no regular file
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] boolean true if it is the recordings that allow no triplets
function triplets.run(options)
   options = options_of.check(options, triplets.options)
   local p, message = parameters(options)
   if not p then return nil, message end
   local all, warnings = read_rows(options, p)
   if not all then return nil, warnings end
   local families = families_of(all, options)
   local grouping
   grouping, message = set_groups(all, options, p)
   if not grouping then return nil, message end
   table.move(grouping.warnings, 1, #grouping.warnings, #warnings + 1, warnings)
   local rows, away = split(all, triplets.holdout(p.labels and labelled.recordings(all) or all, p.holdout, p.seed))
   local held, held_groups = describe_held(away, grouping)
   rows, message = keep_accepted(rows, options, p)
   if not rows then return nil, message end
   message = triplet_warnings.no_groups(options, rows, #held, p.group)
   if message then return nil, message, true end
   local locked <close>, busy = lock.file(options.output)
   if not locked then return nil, busy end
   local ok
   ok, message = check(options, p)
   if not ok then return nil, message end
   local picks, failures = windows.picks(options, p)
   if not picks then return nil, failures end
   local unscored = p.labels and 0 or windows.place(rows, p, picks)
   if unscored > 0 and windows.needs_scores(p) then
      warnings[#warnings + 1] = ("no score%s: %s; their motif is taken"):format(options.scores and
         " in " .. options.scores or "", display.count(unscored, "recording"))
   end

   local metadata = {recordings = count_recordings(all), holdout_recordings = held, holdout_groups = held_groups,
      groups = grouping.species, families = families, discords = p.anchor ~= "calls" and count(picks) or nil}
   for k, v in pairs(p) do metadata[k] = v end
   p.metadata = metadata
   local no_triplets
   ok, message, no_triplets = triplet_table.write(rows, p, options)
   if not ok then return nil, no_triplets and options.input .. ": " .. message or message, no_triplets end
   triplet_warnings.add(rows, p, warnings)
   local result = {samples = p.samples, group = p.group, recordings = count_recordings(rows), holdout = held,
      warnings = warnings, partitions = {}, failures = failures or {}}
   tell(result, options)
   return result
end

--- Draw triplets among the recordings that a table of triplets left out (of many among some, evenly spread over their
-- list), as that table was drawn (where it chose between motif and discord, of motifs).
-- @tparam table options `triplets` (Parquet), `input` (Parquet from `consolidate`), `samples`, `seed`, `dataset_root`
-- (for the likely calls of these recordings, if the table is of calls; without, motifs are taken), `quiet`
-- @treturn[1] table as `bclua.sampling.triplets`
-- @treturn[1] {string,...} source names, which its positions count
-- @treturn[1] table channels by source name, where it is not the mean of all that is heard
-- @treturn[1] {string,...} groups, as the source names
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] boolean true if it is the recordings that allow no triplets
function triplets.held_out(options)
   local made = provenance.of_parquet(options.triplets)
   if not made or not made.holdout_recordings then
      return nil, options.triplets .. ": does not say which recordings were kept away from it"
   end
   local wrong = tables.fault(made, schemas.drawn)
   if wrong then return nil, ("%s: metadata: %s"):format(options.triplets, wrong) end
   local p, held = {}, {}
   for key, value in pairs(DEFAULTS) do
      p[key] = made[key]
      if p[key] == nil then p[key] = value end
      if p[key] == "best" then p[key] = "motif" end
   end
   local list, groups_of = made.holdout_recordings, made.holdout_groups or {}
   -- a few triplets are of few recordings: likely calls of thousands would be looked for in vain
   for i = 1, #list, math.max(1, #list // (ENOUGH * options.samples)) do held[list[i]] = groups_of[i] or true end
   local all, message = read(options, needed_columns(p))
   if all and made.labels then
      all, message = labelled.entries(all, files.exists(made.labels) and made.labels or
         files.dirname(options.triplets) .. "/" .. files.basename(made.labels))
   end
   if not all then return nil, message end
   local rows, names = {}, {}
   for _, row in ipairs(all) do
      if held[row.source_name] then
         rows[#rows + 1], names[#names + 1] = row, row.source_name
         local of = held[row.source_name]
         row.group = of ~= true and of or made.groups and made.groups[row.species or ""] or row.species
            or row.source_name
      end
   end
   if not made.labels then windows.place(rows, p, windows.held_out_calls(names, p, options)) end
   local drawn
   if #rows > 0 then
      drawn, message = require("bclua.sampling").triplets(triplet_table.columns_for(rows, made.window_s or
         rows[1].matrix_profile_window / rows[1].cens_sample_rate, made.labels), {samples = options.samples,
         seed = options.seed, shares = p.shares, mixture = p.mixture, exclude_own = p.exclude_own,
         self_distance_s = p.self_distance, clip_distance_s = p.clip_distance, clips = p.clips})
   end
   if not drawn then
      return nil, ("%s: no triplets of the recordings kept away (%d)%s"):format(options.triplets, #rows,
         message and ": " .. message or ""), true
   end
   local channels, group = {}, {}
   for i, row in ipairs(rows) do channels[row.source_name], group[i] = row.channel, row.group end
   return drawn, names, channels, group
end

return triplets
