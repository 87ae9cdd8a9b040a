--- The first screen of the report: what was recorded, what was found, how good the embedding is, what to look at and
-- what to do next; and what belongs to it further down: the map, the clusters, all motifs.
-- @module bclua.workflow.summary.findings
local advice = require "bclua.workflow.evaluate.advice"
local calls = require "bclua.workflow.summary.calls"
local clock = require "bclua.clock"
local commands = require "bclua.workflow.summary.commands"
local display = require "bclua.display"
local files = require "bclua.files"
local map = require "bclua.workflow.summary.map"
local progress = require "bclua.progress"
local sounds = require "bclua.workflow.summary.sounds"
local sql = require "bclua.sql"
local tables = require "bclua.workflow.evaluate.tables"
local thumbnail = require "bclua.plot.thumbnail"

local findings = {}

local MOST_CARDS, FIRST_CARDS = 18, 12 -- calls in the page, and on its first screen
local MOST_MOTIFS = 5000 -- in the table
local PICTURE = {bands = 48, hop_s = 0.04}
local WINDOW_S = 5 -- of an embedding

local function day(text) return text and text:sub(1, 10) end

--- All that the first screen and its chapters show.
-- @tparam table run what the pipeline knows
-- @treturn table `total` (of the recordings), `rows` (of the motif table by source name), `map` (or nil), `by` (what
-- calls are sorted by: `species`, `cluster`, `site` or `recording`), `calls` (see `bclua.workflow.summary.calls`)
function findings.of(run)
   local from = sql.parquet(run.motif)
   local f = {rows = {}}
   f.total = sql.query(([[select count(*)::bigint n, count(distinct species)::bigint species,
      count(distinct site)::bigint sites, sum(duration_seconds) as "seconds", count(motif_0)::bigint motifs,
      min(recorded_at) as "first", max(recorded_at) as "last" from %s]]):format(from))[1]
   for _, row in ipairs(sql.query(([[select source_name, species, site, recorded_at, sample_rate, channel, motif_0,
      motif_1, cens_sample_rate as rate, matrix_profile_window / cens_sample_rate as "seconds",
      list_min(mp::double[]) as distance, source_sample_rate from %s order by source_name]]):format(from))) do
      f.rows[row.source_name], f.rows[#f.rows + 1] = row, row
   end
   f.map = run.judged and map.of(run.judged)
   local by = f.total.species > 0 and "species" or f.total.sites > 1 and "site" or "source_name"
   if by ~= "species" and f.map and #f.map.list > 1 then
      f.by, f.calls = "cluster", calls.of_clusters(f.map, f.rows)
   else
      f.by = by == "source_name" and "recording" or by
      f.calls = calls.best(run.motif, files.exists(run.scores or "") and run.scores or nil, by)
   end
   return f
end

--- What was recorded, in a sentence.
function findings.recorded(f, run)
   local t, of = f.total, {}
   if t.species > 0 then of[1] = " of " .. t.species .. " species" end
   if t.sites > 0 then of[#of + 1] = " at " .. display.count(t.sites, "site") end
   local first, last = day(t.first), day(t.last)
   local when = first and (first == last and (" of %s"):format(first) or (" from %s to %s"):format(first, last)) or ""
   local lost = #run.failures > 0 and ("; %d could not be read"):format(#run.failures) or ""
   return ("%s%s, %s of sound%s%s."):format(display.count(t.n, "recording"), table.concat(of),
      progress.duration(t.seconds), when, lost)
end

local function hours(text)
   local hour = tonumber(text)
   return hour and (", mostly from %d to %d h"):format(hour, hour + 1) or ""
end

-- How often, where, when: the words below a call.
local function about(c, by, scored)
   local what = by == "cluster" and "window" or scored and "likely call" or "motif"
   local often = ("%s in %s%s"):format(display.count(c.calls, what), display.count(c.recordings, "recording"),
      c.of and c.of ~= c.recordings and " of " .. c.of or "")
   local where = c.sites > 1 and (", %d sites"):format(c.sites) or c.sites == 1 and by ~= "site" and ", at " .. c.a_site
      or ""
   return often .. where .. hours(c.busiest)
end

local function place(start_s, time)
   return ("%.1f\u{A0}s%s"):format(start_s, time and " (" .. time:sub(1, 16):gsub("T", " ") .. ")" or "")
end

local function card(c, run, by)
   local sound, y = sounds.part(run.root .. "/" .. c.source_name, c, c.start_s, c.seconds, c.name)
   if not sound then return nil, y end
   return {title = sound.caption, sound = sound, picture = thumbnail.mel(y, c.sample_rate, PICTURE),
      text = about(c, by, run.scores), from = ("%s, at %s"):format(files.basename(c.source_name),
         place(c.start_s, clock.at(c.recorded_at, c.start_s)))}
end

local function gallery(r, f, run)
   local cards, more = {}, {}
   for i = 1, math.min(#f.calls, MOST_CARDS) do
      local made, message = card(f.calls[i], run, f.by)
      if not made then r:warning(message) end
      local list = i <= FIRST_CARDS and cards or more
      list[#list + 1] = made
   end
   if #cards == 0 then
      r:paragraph("No call stands out: no recording is long enough for a motif.")
      return
   end
   r:calls(cards)
   if #more > 0 then r:fold(("%d more"):format(#more), function() r:calls(more) end) end
   if #f.calls > MOST_CARDS then
      r:paragraph(("Those of which most was heard; there are %d in all."):format(#f.calls))
   end
end

-- What deserves a look, and in which section it is.
local function to_look_at(f, run, details)
   local list, has = {}, {}
   for _, section in ipairs(details.sections) do has[section.title or ""] = true end
   local function add(title, text) list[#list + 1] = {title = title, text = text} end
   if f.map then add("Map", "windows that sound alike lie together; a click plays one") end
   if f.map and #f.map.list > 0 then add("Clusters", "groups of windows, an example of each") end
   if has["Repeated calls"] then add("Repeated calls", "the same call in one recording and in others, to listen to") end
   add("Motifs", "of every recording the passage that it repeats: sort, filter, play")
   if #run.failures > 0 then add("Failures", display.count(#run.failures, "file") .. " could not be used, and why") end
   if run.audit and #run.audit.warnings > 0 then
      add("Audit of the triplets", "it warns: " .. run.audit.warnings[1])
   end
   return list
end

--- The first screen.
-- @tparam Report r
-- @tparam table f from `of`
-- @tparam table run what the pipeline knows
-- @tparam Report details the rest of the page, to whose sections it has links
function findings.open(r, f, run, details)
   r:section("Findings")
   r:paragraph(findings.recorded(f, run))
   r:html("<h3>What was found</h3>")
   gallery(r, f, run)
   r:html("<h3>How good the embedding is</h3>")
   r:paragraph(run.evaluation and tables.verdict(run.evaluation) or run.no_training and
      "None was trained: " .. run.no_training .. "." or
      "Nobody knows: " .. tostring(run.evaluation_message) .. ".")
   local help = advice.of(run)
   if #help > 0 then r:warning("What may help: " .. table.concat(help, "; ") .. ".") end
   r:html("<h3>What to look at</h3>")
   r:links(to_look_at(f, run, details), details)
   r:html("<h3>What to do next</h3>")
   r:code(table.concat(commands.next(run, f.calls[1]), "\n"))
end

-- ---- Further down ----

-- A place in a recording, as the page's script plays it: number of the recording from 0, seconds.
local function numbers_of(f)
   local number = {}
   for i, row in ipairs(f.rows) do number[row.source_name] = i - 1 end
   return number
end

-- The class of a recording: species, else site.
local function class(row) return row.species or row.site or "" end

local function motif_table(r, f)
   local number, rows, header = numbers_of(f), {}, {f.total.species > 0 and "species" or "site", "recording",
      "recorded", "motif (s)", "", "twin (s)", "", "distance"}
   for _, row in ipairs(f.rows) do
      if row.motif_0 and #rows < MOST_MOTIFS then
         local n, at, twin = number[row.source_name], row.motif_0 / row.rate, row.motif_1 / row.rate
         local time = (row.recorded_at or ""):gsub("T", " ")
         rows[#rows + 1] = {class(row), files.basename(row.source_name), time, at, {n, at, row.seconds}, twin,
            {n, twin, row.seconds}, tonumber(("%.4g"):format(row.distance))}
      end
   end
   r:section("Motifs")
   if #rows == 0 then
      r:paragraph("There are none.")
      return
   end
   r:paragraph("The passage that a recording repeats most exactly, and its repetition; a small distance is an exact " ..
      "one." .. (f.total.motifs > #rows and (" The first %d of %d."):format(#rows, f.total.motifs) or ""))
   r:listing(header, rows)
end

local function cluster_table(r, f)
   if #f.map.list == 0 then return end
   local number, rows = numbers_of(f), {}
   for c, found in ipairs(f.map.list) do
      local i = found.example
      rows[c] = {c, found.windows, found.recordings, found.name or "",
         found.purity and ("%.0f %%"):format(100 * found.purity) or "", found.busiest and found.busiest .. " h" or "",
         files.basename(f.map.recording[i]), {number[f.map.recording[i]], f.map.start_s[i], WINDOW_S}}
   end
   local in_clusters = 0
   for k = 1, f.map.n do in_clusters = in_clusters + (f.map.cluster[k] > 0 and 1 or 0) end
   r:section("Clusters")
   r:paragraph(("Windows that lie densely together (HDBSCAN): %d of %d are in a cluster."):format(in_clusters, f.map.n))
   r:listing({"cluster", "windows", "recordings", f.total.species > 0 and "mostly" or "mostly at", "share", "most from",
      "example", ""}, rows)
end

local function points(f)
   local m, number = f.map, numbers_of(f)
   local p = {recording = {}, start = {}, x = {}, y = {}, cluster = {}, name = {}, names = {}, seconds = WINDOW_S}
   local at = {}
   for k = 1, m.n do
      p.recording[k], p.start[k], p.cluster[k] = number[m.recording[k]], m.start_s[k], m.cluster[k]
      p.x[k], p.y[k] = tonumber(("%.4g"):format(m.x[k])), tonumber(("%.4g"):format(m.y[k]))
      at[m.name[k] or ""] = true
   end
   for name in pairs(at) do
      if name ~= "" then p.names[#p.names + 1] = name end
   end
   table.sort(p.names)
   for i, name in ipairs(p.names) do at[name] = i end
   for k = 1, m.n do p.name[k] = m.name[k] and at[m.name[k]] or 0 end
   return p
end

--- The chapters: the map and its clusters, where an embedding was judged, and all motifs.
-- @tparam Report r
-- @tparam table f from `of`
-- @tparam table run what the pipeline knows
-- @tparam string folder of the page
function findings.chapters(r, f, run, folder)
   local names, slow = {}, {}
   for i, row in ipairs(f.rows) do
      names[i], slow[i] = row.source_name, (row.source_sample_rate or 0) > sounds.ultrasound and sounds.slower or 1
   end
   r:data("recordings", {root = sounds.relative(folder, run.root), names = names, slow = slow})
   if f.map then
      r:section("Map")
      r:paragraph(("%d windows of recordings that training did not see, by t-SNE of their embeddings: what lies " ..
         "together sounds alike to the network. Only neighbourhood counts, not direction or distance."):format(f.map.n))
      r:map(points(f), f.total.species > 0 and "species" or "site")
      cluster_table(r, f)
   end
   motif_table(r, f)
end

return findings
