--- The report of a run: what went in, what was found, what was learnt.
-- @module bclua.workflow.summary
local account = require "bclua.workflow.account"
local audio = require "bclua.audio"
local audit = require "bclua.workflow.audit"
local clock = require "bclua.clock"
local commands = require "bclua.workflow.summary.commands"
local daily = require "bclua.workflow.summary.daily"
local display = require "bclua.display"
local experiment = require "bclua.experiment"
local files = require "bclua.files"
local findings = require "bclua.workflow.summary.findings"
local json = require "bclua.json"
local neighbors = require "bclua.workflow.summary.neighbors"
local plot = require "bclua.plot"
local progress = require "bclua.progress"
local repeated = require "bclua.workflow.summary.repeated"
local report = require "bclua.report"
local sounds = require "bclua.workflow.summary.sounds"
local sql = require "bclua.sql"
local system = require "bclua.system"
local tables = require "bclua.workflow.evaluate.tables"

local summary = {}

local MOST_BARS = 40 -- species in the chart
local MOST_LISTED = 100 -- recordings, where there are no species
local MOST_ROUNDS = 20 -- in the table of validation
local SMOOTH_STEPS = 20
local FEW_NAMED = 8 -- classes that a phone has room for
local MOST_POINTS = 500 -- of a picture that knows each of them
local WIDE, NARROW = 900, 420 -- pixels of charts on a desktop and on a phone
local PALE = "#b0" -- in front of a colour: mostly transparent, on light and dark pages
local LONGEST_S, AROUND_S = 60, 60 -- of a recording that can be heard as a whole, and what is heard of a longer one

-- Draw with f(path, width) and put the picture into the report, with a narrow one for phones unless it is as `wide` as
-- it is; what goes wrong becomes a line of the report, not the end of it.
local function picture(r, folder, name, caption, f, wide)
   local path, narrow = folder .. "/" .. name, not wide and ("%s/narrow-%s"):format(folder, name) or nil
   local ok, message = f(path, WIDE)
   if ok and narrow then ok, message = f(narrow, NARROW) end
   if ok then ok, message = r:picture(path, caption, narrow) end
   if not ok then r:warning("no picture: " .. message) end
end

local function settings(r, run)
   r:section("Settings")
   local rows = {{"bclua", system.version()}, {"data", run.data}, {"command", run.command},
      {"threads", system.threads()}, {"machine", run.machine}, {"date", run.date}}
   for _, v in ipairs(run.versions) do rows[#rows + 1] = v end
   r:table({"what", "value"}, rows, {sort = false})
   r:code(files.json(run.config, true), "All settings")
   r:paragraph("The steps, one by one; where they were run they find that all is done:")
   for _, line in ipairs(commands.list(run)) do r:code(line) end
   if run.config.fit.eps ~= require("bclua.workflow.fit").defaults.eps then
      r:warning("fit.eps is not the default, and only a configuration file can say so")
   end
end

-- How many recordings there are of each species, or site.
local function counted(r, run, folder, what)
   local rows = sql.query(([[select coalesce(%s, 'unknown') as name, count(*)::bigint n, sum(duration_seconds) d,
      min(duration_seconds) low, max(duration_seconds) high, count(motif_0)::bigint m from %s group by 1
      order by n desc, 1]]):format(what, sql.parquet(run.motif)))
   local cells, names, counts = {}, {}, {}
   for i, row in ipairs(rows) do
      cells[i] = {row.name, row.n, ("%.0f"):format(row.d), ("%.1f"):format(row.low), ("%.1f"):format(row.high), row.m}
      if i <= MOST_BARS then names[i], counts[i] = row.name, row.n end
   end
   local caption = #rows > MOST_BARS and ("recordings of the %d most frequent %s"):format(MOST_BARS,
      what == "site" and "sites" or what) or "recordings per " .. what
   picture(r, folder, what .. ".svg", caption, function(path, width)
      return plot.bar(names, counts, path, {xlabel = "recordings", size = {width, 60 + 22 * #names}})
   end)
   r:table({what, "recordings", "seconds", "shortest (s)", "longest (s)", "with motif"}, cells)
end

-- Each of the recordings, where there are no groups to count.
local function listed(r, run, n)
   local rows = sql.query(([[select source_name, duration_seconds d, motif_0, cens_sample_rate rate from %s
      order by source_name limit %d]]):format(sql.parquet(run.motif), MOST_LISTED))
   for i, row in ipairs(rows) do
      rows[i] = {row.source_name, ("%.1f"):format(row.d), row.motif_0 and ("%.1f"):format(row.motif_0 / row.rate)}
   end
   r:fold(n > #rows and ("The first %d recordings"):format(#rows) or "The recordings", function()
      r:table({"recording", "seconds", "motif at (s)"}, rows)
   end)
end

local function recordings(r, run, folder)
   r:section("Recordings")
   local total = sql.query(("select count(*)::bigint n, count(distinct species)::bigint species, " ..
      "count(distinct site)::bigint sites, sum(duration_seconds) d, count(motif_0)::bigint m from %s"):format(
      sql.parquet(run.motif)))[1]
   local of = total.species > 0 and ("of %d species"):format(total.species) or total.sites > 0 and
      "from " .. display.count(total.sites, "site") .. ", without species" or "without species"
   r:paragraph(("%s %s, %s in all; with a motif: %d, too short for one: %d."):format(
      display.count(total.n, "recording"), of, progress.duration(total.d), total.m, total.n - total.m))
   r:paragraph(("Files and what became of them: %s."):format(account.text(run.counts)))
   if (run.unplaced or 0) > 0 then
      r:warning(("%d are in no deployment, or in several, or say that they were elsewhere: see %s.warnings.csv.")
         :format(run.unplaced, run.motif))
   end
   if #run.failures > 0 then
      r:warning(("%d failed; they are listed at the end and in failures.csv."):format(#run.failures))
   end
   local what = total.species > 0 and "species" or total.sites > 0 and "site"
   if what then counted(r, run, folder, what) else listed(r, run, total.n) end
   local durations = sql.columns(("select duration_seconds d from %s"):format(sql.parquet(run.motif))).d
   picture(r, folder, "durations.svg", "durations of the recordings", function(path, width)
      return plot.hist(durations, path, {xlabel = "duration (s)", ylabel = "recordings", size = {width, 320}})
   end)
end

-- Of recordings whose clocks are known: when do likely calls happen?
local function by_day(r, run, folder)
   local known = daily.known(run.motif)
   if known == 0 then return end
   local scores = run.scores
   if not scores then
      scores = run.folder .. "/scores.parquet"
      local done, message = require("bclua.workflow.score").run({input = run.motif, dataset_root = run.root,
         output = scores, calls = run.config.triplets.calls})
      if not done then
         r:section("Time of day")
         r:warning(message)
         return
      end
   end
   local total = sql.query("select count(*)::bigint n from " .. sql.parquet(run.motif))[1].n
   daily.chapter(r, daily.sites(run.motif, scores), total, function(name, caption, draw)
      picture(r, folder, name, caption, draw, true)
   end)
end

-- Recordings whose motif stands out most from the rest of their profile, one a species, or site.
local function choose_examples(run, n)
   return sql.query(([[
      with p as (select *, list_median(mp::double[]) - list_min(mp::double[]) as depth
                 from %s where motif_0 is not null),
           best as (select *, row_number() over (partition by coalesce(species, site, source_name)
              order by depth desc, source_name) as place from p)
      select * from best where place = 1 order by depth desc, source_name limit %d]]):format(sql.parquet(run.motif), n))
end

-- A recording and its species, if that is known.
local function named(name, species) return species and ("%s (%s)"):format(name, species) or name end

-- A second of a recording and, where it is known, the time of day.
local function place(start_s, clock_time)
   return ("%.1f\u{A0}s%s"):format(start_s, clock_time and " (" .. clock_time:gsub("T", " ") .. ")" or "")
end

local function example(r, run, row, folder, number)
   r:html("<h3>" .. report.escape(named(row.source_name, row.species)) .. "</h3>")
   local path = run.root .. "/" .. row.source_name
   local reader <close>, message = audio.open(path, {sample_rate = row.sample_rate, channel = row.channel})
   if not reader then
      r:warning(message)
      return
   end
   local rate, window, seconds = row.cens_sample_rate, row.matrix_profile_window, row.duration_seconds
   picture(r, folder, ("example-%d.png"):format(number),
      ("%s: spectrogram and matrix profile; both windows of the motif, and the discord, are marked"):format(
         row.source_name), function(to)
         return plot.profile(reader, row.sample_rate, row.mp, to, {cens_sample_rate = rate, window = window,
            motif = {row.motif_0, row.motif_1}, discord = row.discord_0, transparent = true, size = {720, 400}})
      end, true)
   local players = {}
   local function add(start_s, length_s, caption)
      local sound, why = sounds.part(path, row, start_s, length_s, caption)
      if sound then players[#players + 1] = sound else r:warning(why) end
   end
   if seconds <= LONGEST_S then
      add(0, seconds, "whole recording")
   else
      local start_s = math.max(0, math.floor(row.motif_0 / rate - AROUND_S / 2))
      add(start_s, AROUND_S, ("a minute around the motif, from %s"):format(place(start_s, clock.at(row.recorded_at,
         start_s))))
   end
   for _, w in ipairs({{"motif, first window", row.motif_0}, {"motif, second window", row.motif_1},
      {"discord", row.discord_0}}) do
      local start_s = w[2] / rate
      add(start_s, window / rate, ("%s, at %s"):format(w[1], place(start_s, clock.at(row.recorded_at, start_s))))
   end
   r:players(players)
end

local function examples(r, run, folder)
   r:section("Examples")
   local chosen = choose_examples(run, 3)
   if #chosen == 0 then r:paragraph("No recording is long enough for a motif.") end
   for i, row in ipairs(chosen) do example(r, run, row, folder, i) end
end

-- What is heard of each recording, by source name.
local function heard_of(path)
   local heard = {}
   for _, row in ipairs(sql.query("select source_name, sample_rate, channel from " .. sql.parquet(path))) do
      heard[row.source_name] = row
   end
   return heard
end

local function nearest(r, run)
   r:section("Nearest neighbours")
   local heard = heard_of(run.motif)
   local list, message = neighbors.run({judged = run.judged, checkpoint = run.fit and run.fit.checkpoint,
      motif = run.motif, dataset_root = run.root})
   if not list or #list == 0 then
      r:warning(message and "none: " .. message or "There is no motif to look for.")
      return
   end
   r:paragraph("What is nearest to some windows in other recordings: " .. message .. ".")
   for _, found in ipairs(list) do
      local q, players = found.query, {}
      r:html("<h3>" .. report.escape(named(q.source_name, q.species)) .. "</h3>")
      local function add(w, what)
         local sound, why = sounds.part(run.root .. "/" .. w.source_name, heard[w.source_name], w.start_s, w.seconds,
            what)
         if sound then players[#players + 1] = sound else r:warning(why) end
      end
      add(q, "the window, at " .. place(q.start_s, q.clock_time))
      for rank, h in ipairs(found.hits) do
         local name = h.species and files.basename(h.source_name) or h.source_name
         add(h, ("%d: %s, at %s, distance %.3g"):format(rank, named(name, h.species), place(h.start_s, h.clock_time),
            h.distance))
      end
      r:players(players)
   end
end

local function triplets(r, run)
   r:section("Triplets")
   local group = run.triplets.group
   r:paragraph(("%s from %s; kept for evaluation: %s. %s"):format(display.count(run.triplets.samples, "triplet"),
      display.count(run.triplets.recordings, "recording"), display.count(#run.triplets.holdout, "recording"),
      group == "recording" and
      "Groups are recordings: neighbours are other windows of the same one, distant ones those of others." or
      ("Groups are by %s."):format(group)))
   local rows = {}
   for i, p in ipairs(run.triplets.partitions) do
      rows[i] = {p.neighbor, p.distant, p.n, ("%.1f %%"):format(100 * p.n / run.triplets.samples)}
   end
   r:table({"neighbour", "distant", "triplets", "share"}, rows)
   for _, w in ipairs(run.triplets.warnings) do r:warning(w) end
end

local function audited(r, run, folder)
   r:section("Audit of the triplets")
   local a = run.audit
   if not a then
      r:warning("no audit: " .. tostring(run.audit_message))
      return
   end
   r:paragraph(audit.sentence(a) .. ".")
   local names, shares = {}, {}
   for i, c in ipairs(a.checks) do names[i], shares[i] = audit.words[c.name], 100 * c.share end
   names[#names + 1], shares[#shares + 1] = "overlapping windows", 100 * a.overlap.share
   if math.max(table.unpack(shares)) > 0 then
      picture(r, folder, "audit.svg",
         "share of tiles that are silent, clipped, ...; of triplets with overlapping windows", function(path, width)
            return plot.bar(names, shares, path, {xlabel = "share (%)", size = {width, 60 + 26 * #names}})
         end)
   end
   r:table(audit.rows(a))
   for _, w in ipairs(a.warnings) do r:warning(w) end
   names, shares = {}, {}
   for i = 1, math.min(#a.classes, MOST_BARS) do
      names[i], shares[i] = a.classes[i].class, a.classes[i].triplets
   end
   picture(r, folder, "classes.svg", ("triplets per %s of the anchor"):format(a.class_is), function(path, width)
      return plot.bar(names, shares, path, {xlabel = "triplets", size = {width, 60 + 22 * #names}})
   end)
end

-- What was noted of batches, and of rounds that were judged on recordings kept away.
local function read_metrics(path)
   local metrics, judged = {}, {}
   local text = files.read(path) or ""
   for line in text:gmatch("[^\n]+") do
      local m = json.decode(line)
      local kind = type(m) == "table" and m.kind
      if kind == "batch" and type(m.loss) == "number" then metrics[#metrics + 1] = m end
      if (kind == "round" or kind == "epoch") and type(m.validation) == "table" then -- epoch: of earlier versions
         judged[#judged + 1], m.round = m, m.round or m.epoch
      end
   end
   return metrics, judged
end

local function validation(r, judged)
   local rows = {}
   for i = math.max(1, #judged - MOST_ROUNDS + 1), #judged do
      local m = judged[i]
      rows[#rows + 1] = {("%d"):format(m.round), ("%.3f"):format(m.loss or 0 / 0), ("%.3f"):format(m.validation.loss),
         ("%.1f %%"):format(100 * m.validation.ordered)}
   end
   r:table({"round", "loss", "loss of validation", "correctly ordered"}, rows)
   r:paragraph(("Validation: %d triplets of recordings that training does not see; correctly ordered are those " ..
      "whose neighbour is nearer than the distant window."):format(judged[#judged].validation.triplets))
end

local function training(r, run, folder)
   r:section("Training")
   local metrics, judged = read_metrics(run.metrics)
   if #metrics == 0 then
      r:warning("no metrics in " .. run.metrics)
      return
   end
   r:paragraph(("%d parameters, %d batches of %d triplets."):format(run.fit.parameters, #metrics, run.fit.batch_size))
   -- every step in pale, and over it the mean of the last steps
   local function series(keys)
      local pale, smooth = {}, {}
      for i, k in ipairs(keys) do
         local x, y, mean = {}, {}, {}
         for _, m in ipairs(metrics) do
            if type(m[k.key]) == "number" then
               local n = #y + 1
               x[n], y[n] = m.step, m[k.key]
               mean[n] = n == 1 and y[1] or mean[n - 1] + (y[n] - mean[n - 1]) / math.min(n, SMOOTH_STEPS)
            end
         end
         pale[i] = {x = x, y = y, colour = plot.colours[i]:gsub("#", PALE), width = 1}
         smooth[i] = {x = x, y = mean, title = k.title, colour = plot.colours[i]}
      end
      return table.move(smooth, 1, #smooth, #pale + 1, pale)
   end
   picture(r, folder, "loss.svg", "loss over the steps", function(path, width)
      local lines, x, y = series({{key = "loss", title = "loss"}}), {}, {}
      for i, m in ipairs(judged) do x[i], y[i] = m.step, m.validation.loss end
      if #judged > 0 then lines[#lines + 1] = {x = x, y = y, title = "validation", colour = plot.colours[2]} end
      return plot.line(lines, path,
         {xlabel = "step", ylabel = "loss", size = {width, 340}})
   end)
   local caption = "distance of the anchor to the neighbour and to the distant window"
   picture(r, folder, "distances.svg", caption, function(path, width)
      local is_cosine = require("bclua.nn").of_cosines(run.config.fit.loss)
      return plot.line(series({{key = "loss_n", title = "neighbour"},
         {key = "loss_d", title = "distant"}}), path,
         {xlabel = "step", ylabel = is_cosine and "1 - cosine" or "Euclidean distance", size = {width, 340}})
   end)
   if #judged > 0 then validation(r, judged) end
end

-- What is said and shown by species, or labels.
local function labelled(r, e)
   r:paragraph(("Which %s is this window? Logistic regression on %s."):format(e.truth, tables.sentence(e)))
   r:table(tables.accuracy(e))
   r:paragraph("The embedding against the others on the same splits: mean and standard deviation of the difference, " ..
      "and the shares of the splits that it won and lost.")
   r:table(tables.paired(e))
   r:paragraph(tables.distances_sentence(e) .. ".")
   r:table(tables.distances(e, e.truth))
   if e.group then r:table(tables.distances(e, "group")) end
end

local function evaluation(r, run, folder)
   r:section("Evaluation")
   local e = run.evaluation
   if not e then
      r:warning("no evaluation: " .. tostring(run.evaluation_message))
      return
   end
   if e.retrieval then
      r:paragraph("Are the windows nearest to a window of the same recording, or site? " .. tables.sentence(e) .. ".")
      for _, part in ipairs(e.retrieval) do r:table(tables.retrieval(part)) end
      r:paragraph(tables.distances_sentence(e) .. ".")
   else
      labelled(r, e)
   end
   for _, line in ipairs(tables.left_out(e)) do r:warning(line) end
   for _, p in ipairs(require("bclua.workflow.evaluate.files").pictures(e, run.judged)) do
      local many = #run.judged.recordings > MOST_POINTS and p.name:find("^pca")
      picture(r, folder, p.name .. (many and ".png" or ".svg"), p.caption, function(path, width)
         return p.draw(path, {transparent = true, size = width == NARROW and {NARROW, NARROW} or nil})
      end, not e.names or #e.names > FEW_NAMED)
   end
   for _, part in ipairs(e.retrieval and {} or {e, e.group}) do
      local title = "Share of the windows of each %s that was classified correctly"
      r:fold(title:format(part == e and e.truth or "group"), function() r:table(tables.classes(part)) end)
   end
end

local function times(r, run)
   r:section("Time")
   local rows, total = {}, 0
   for i, t in ipairs(run.times) do
      rows[i] = {t.step, ("%.2f"):format(t.seconds), t.note or ""}
      total = total + t.seconds
   end
   r:paragraph(("%.2f seconds in all."):format(total))
   r:table({"step", "seconds", "note"}, rows)
end

local function failures(r, run)
   if #run.failures == 0 then return end
   r:section("Failures")
   local rows = {}
   for i, f in ipairs(run.failures) do rows[i] = {f.path, f.step, f.reason} end
   r:table({"path", "step", "reason"}, rows)
end

--- Write the report of a run.
-- @tparam table run what the pipeline knows: see `bclua.workflow.pipeline`
-- @tparam string path of the HTML file
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
function summary.write(run, path)
   local folder = files.dirname(path) .. "/pictures"
   local ok, message = system.mkdir(folder)
   if not ok then return nil, message end
   local r, front, found = report.new("bclua: " .. run.name), report.new("", "f"), findings.of(run)
   findings.chapters(r, found, run, files.dirname(path))
   recordings(r, run, folder)
   repeated.chapter(r, run, heard_of(run.motif), found.total.n)
   examples(r, run, folder)
   by_day(r, run, folder)
   if run.no_training then
      r:section("Training")
      r:warning("nothing to learn from: " .. run.no_training)
   else
      triplets(r, run)
      audited(r, run, folder)
      training(r, run, folder)
      evaluation(r, run, folder)
   end
   nearest(r, run)
   experiment.place(r, files.dirname(path))
   times(r, run)
   settings(r, run)
   failures(r, run)
   findings.open(front, found, run, r)
   r:begin_with(front)
   return r:write(path)
end

return summary
