--- The pages of `browse` for windows of a table of embeddings: clusters, map, classes, and the one where windows are
-- named. Their script, `web/windows.js`, asks for all that changes.
-- @module bclua.workflow.browse.window_pages
local classifier = require "bclua.classifier"
local display = require "bclua.display"
local examples = require "bclua.workflow.classify.examples"
local report = require "bclua.report"
local review = require "bclua.workflow.classify.review"

local pages = {}

local escape = report.escape
local SAMPLES = 100 -- of recordings, for the intervals

local function options_of(values, first)
   local out = {first and ('<option value="">%s</option>'):format(first)}
   for _, value in ipairs(values) do out[#out + 1] = ("<option>%s</option>"):format(escape(value)) end
   return table.concat(out)
end

local function choice(id, text, options, hidden)
   return ('<label%s>%s <select id="%s">%s</select></label>'):format(hidden and " hidden" or "", text, id, options)
end

local KEYS_OF_ROWS = '<p class="note"><span class="key"><kbd>j k</kbd> next, previous row</span> <span class="key">' ..
   '<kbd>enter</kbd> open it</span> <span class="key"><kbd>p</kbd> play its example</span></p>'

-- Columns of words, and of numbers, as a table; columns in which nothing is are left out.
local function rows_of(header, rows)
   local out = {'<div class="table" tabindex="0"><table><thead><tr>'}
   local kept, kinds = {}, {}
   for i in ipairs(header) do
      local has, numbers = false, true
      for _, row in ipairs(rows) do has, numbers = has or row[i] ~= "", numbers and not row[i]:find("[^%d.%% ]") end
      if has then kept[#kept + 1], kinds[i] = i, numbers and ' class="number"' or "" end
   end
   for _, i in ipairs(kept) do out[#out + 1] = ("<th%s>%s</th>"):format(kinds[i], header[i]) end
   out[#out + 1] = "</tr></thead><tbody>"
   for _, row in ipairs(rows) do
      out[#out + 1] = "<tr>"
      for _, i in ipairs(kept) do out[#out + 1] = ("<td%s>%s</td>"):format(kinds[i], row[i]) end
      out[#out + 1] = "</tr>\n"
   end
   out[#out + 1] = "</tbody></table></div>" .. KEYS_OF_ROWS
   return table.concat(out)
end

local function sound_link(row, text)
   return ('<button data-play="%d">play</button> <a href="/review#%d">%s</a>'):format(row, row, text)
end

local function place(file, start_s)
   return ("%s, %.1f s"):format(escape(display.line(file:match("[^/]*$"))), start_s)
end

local KEYS = {{"y", "yes"}, {"n", "no"}, {"u", "unsure"}, {"1 ... 9", "name it"}, {"/", "another name"},
   {"space", "play"}, {"→ ←", "next, back"}, {"z", "undo"}, {"m", "more like this"}, {"M", "by profile, too"},
   {"c", "next class"}, {"b", "next order"}, {"f", "next filter"}, {"[ ]", "band"}, {"a", "name the whole cluster"}}

--- The page where windows are named.
-- @tparam windows w
-- @treturn string HTML
function pages.review(w)
   local sites, days = w:filters()
   local out = {'<header><h1>Review</h1><span class="note" id="progress" role="status"></span></header>',
      '<div class="row" id="choice">',
      choice("class", "class", options_of(w.classes, not w.sections and "none" or nil)),
      choice("by", "next", options_of{"uncertain", "likely", "unlikely", "band", "random"}, w.sections),
      choice("band", "band", options_of{"0.9 to 1", "0.7 to 0.9", "0.5 to 0.7", "0.3 to 0.5", "0.1 to 0.3",
         "0 to 0.1"}, true),
      choice("show", "show", options_of{"undecided", "yes", "no", "unsure"}),
      choice("site", "site", options_of(sites, "all"), #sites == 0),
      choice("day", "day", options_of(days, "all"), #days == 0),
      '<span hidden id="cluster">cluster <output></output> <button id="all">all</button> <label>name all of it ' ..
      '<input id="name-all" list="known" autocomplete="off" maxlength="200"></label></span></div>',
      '<div id="strip"><canvas height="96" aria-label="spectrogram"></canvas><div id="cursor" hidden></div></div>',
      '<p id="about"></p><p id="said" class="row"></p>',
      '<div class="row"><button data-key="y" class="yes">yes</button><button data-key="n" class="no">no</button>' ..
      '<button data-key="u">unsure</button><button data-key=" ">play</button><button data-key="ArrowRight">skip' ..
      '</button><button data-key="z">undo</button><button data-key="m">more like this</button></div>',
      '<div class="row" id="names"></div><div class="row"><label>name it <input id="name" list="known" ' ..
      'autocomplete="off" maxlength="200"></label><datalist id="known"></datalist></div>',
      '<p id="status" role="status"></p><ul class="plain" id="like"></ul><p class="note">'}
   for _, k in ipairs(KEYS) do
      out[#out + 1] = ('<span class="key"><kbd>%s</kbd> %s</span> '):format(k[1], k[2])
   end
   out[#out + 1] = "</p>"
   return table.concat(out)
end

local function busiest(hours)
   local best
   for h = 1, hours and #hours or 0 do
      if not best or hours[h] > hours[best] then best = h end
   end
   return best and ("%02d h"):format(best - 1) or ""
end

-- By cluster, what most of its windows were said to be.
local function names_of(w)
   local best = {}
   for _, class in ipairs(w.classes) do
      local count = {}
      for row, verdict in pairs(w.known[class]) do
         local c = verdict == "yes" and w.cluster[row] and w.cluster[row].cluster
         if c then count[c] = (count[c] or 0) + 1 end
      end
      for c, n in pairs(count) do
         if n > (best[c] and best[c].n or 0) then best[c] = {n = n, class = class} end
      end
   end
   for c, one in pairs(best) do best[c] = ("%s (%d)"):format(display.line(one.class), one.n) end
   return best
end

--- The clusters, each with its example.
function pages.clusters(w)
   if not w.clusters then
      return "<h1>Clusters</h1><p>None: <code>bclua embed cluster</code> finds them, <code>--clusters</code> shows " ..
         "them.</p>"
   end
   local rows, names = {}, names_of(w)
   for i, c in ipairs(w.clusters) do
      rows[i] = {('<a href="/review?cluster=%d">%d%s</a>'):format(c.cluster, c.cluster,
         c.name and " " .. escape(c.name) or ""), tostring(c.windows), tostring(c.recordings), busiest(c.hours),
         c.row and sound_link(c.row, place(c.medoid_file, c.medoid_start_s)) or "", c.label and escape(c.label) or "",
         c.purity and ("%.0f %%"):format(100 * c.purity) or "",
         escape(names[c.cluster] or "")}
   end
   return "<h1>Clusters</h1>" .. rows_of({"cluster", "windows", "recordings", "most at", "example", "label", "purity",
      "named"}, rows) .. '<p id="status" role="status"></p>'
end

--- The map.
function pages.map(w)
   if not w.map or #w.map == 0 then
      return "<h1>Map</h1><p>None: <code>bclua embed cluster --map</code> makes one, <code>--clusters</code> shows " ..
         "it.</p>"
   end
   return '<header><h1>Map</h1><span class="note">windows that are near each other sound alike</span></header>' ..
      '<div id="map"><canvas tabindex="0" aria-label="map of the windows"></canvas></div>' ..
      '<p id="status" role="status">click on a window, or go from one to the next with the arrow keys</p>' ..
      '<p class="note"><span class="key"><kbd>arrows</kbd> next window there</span> ' ..
      '<span class="key"><kbd>space</kbd> play</span> <span class="key"><kbd>enter</kbd> name it</span></p>'
end

-- What a classifier trained on the verdicts alone would be worth, by recordings held back; or why there is none.
local function judge(w)
   if not w.judged or w.judged.of ~= w.answered then
      w.judged = {of = w.answered, measures = {}}
      local set = w.answered > 0 and examples.read{labels = {w.verdict_path}, embeddings = w.path, group = "recording",
         background = "negative", none = {}}
      local model, message
      if set then model, message = classifier.train(set, {samples = SAMPLES}) end
      for _, c in ipairs(model and model.classes or {}) do w.judged.measures[c.name] = c.measures.average_precision end
      for _, d in ipairs(model and model.dropped or {}) do w.judged.measures[d.name] = d.reason end
      w.judged.message = message
   end
   return w.judged
end

local function class_link(name)
   return ('<a class="class" data-class="%s" href="/review">%s</a>'):format(escape(name), escape(display.line(name)))
end

-- Precision and recall as text, by class.
local function measured(path)
   local text = {}
   for _, m in ipairs(review.measures(path) or {}) do
      text[m.label] = text[m.label] or {}
      table.insert(text[m.label], m.precision and ("%.2f / %.2f"):format(m.precision, m.recall or 0) or "")
   end
   return text
end

-- The classes of a table that is reviewed.
local function reviewed_classes(w)
   local rows, measures = {}, measured(w.path)
   for i, name in ipairs(w.classes) do
      local p, m = w:progress(name), measures[name] or {}
      rows[i] = {class_link(name), tostring(p.yes), tostring(p.no), tostring(p.unsure), tostring(p.left), m[1] or "",
         m[2] or "", m[3] or ""}
   end
   return "<h1>Classes</h1>" .. rows_of({"class", "yes", "no", "unsure", "left", "from 0.5 up", "from 0.7", "from 0.9"},
      rows) .. ('<p class="note">Precision / recall of the windows of these recordings that are called from a ' ..
      "probability up, as the verdicts have it: each stands for the windows that it was drawn from.</p><p>Take them " ..
      "over:</p><pre>bclua classify update MODEL %s --output JUDGED.safetensors</pre>"):format(escape(w.path))
end

--- The classes: what was said, and how well a classifier does by it.
function pages.classes(w)
   if w.rows and w.sections then return reviewed_classes(w) end
   local judged, rows = judge(w), {}
   for i, name in ipairs(w.classes) do
      local p, m = w:progress(name), judged.measures[name]
      rows[i] = {class_link(name), tostring(p.yes), tostring(p.no), tostring(p.unsure), tostring(p.left or ""),
         type(m) == "table" and ("%.2f (%.2f to %.2f)"):format(m.value, m.low, m.high) or escape(m or "")}
   end
   local out = {"<h1>Classes</h1>"}
   out[#out + 1] = #rows == 0 and '<p>None yet: name a window in <a href="/review">review</a>.</p>' or
      rows_of({"class", "yes", "no", "unsure", "left", "average precision"}, rows)
   if judged.message then out[#out + 1] = ("<p>%s</p>"):format(escape(judged.message)) end
   out[#out + 1] = ('<p class="note">left: windows that are more likely of the class than not, about which nothing ' ..
      "was said. Average precision: of the windows in which something was said, by recordings held back.</p>" ..
      "<p>Train:</p><pre>bclua classify train --labels %s --embeddings %s --output MODEL.safetensors</pre>"):format(
      escape(w.verdict_path), escape(w.path))
   return table.concat(out)
end

return pages
