--- The pages of `browse`. Everything that comes out of a run is escaped; addresses have numbers
-- of recordings and frames, never names. Style and script are files of their own, so that the
-- browser can be told to run nothing that is written into a page.
-- @module bclua.workflow.browse.pages
local clock = require "bclua.clock"
local display = require "bclua.display"
local progress = require "bclua.progress"
local report = require "bclua.report"
local web = require "bclua.web"
local window_pages = require "bclua.workflow.browse.window_pages"

local pages = {}

local escape = report.escape

--- The style of all pages, CSS.
pages.style = web.read("page.css") .. web.read("browse.css")

--- The script of the pages of recordings, JavaScript,
pages.script = web.read("browse.js")
--- and that of those of windows.
pages.windows_script = web.read("parts.js") .. web.read("windows.js")

local function page(title, token, body, script)
   return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">' ..
      '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="token" content="%s">' ..
      '<title>%s</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css">' ..
      '<script src="/%s.js" defer></script></head>\n<body>%s</body></html>\n'):format(escape(token), escape(title),
      script or "script", body)
end

local function count_text(c, labels)
   local parts = {}
   if labels then parts[1] = display.count(#labels, "label") end
   if c and c.accepted > 0 then parts[#parts + 1] = c.accepted .. " accepted" end
   if c and c.rejected > 0 then parts[#parts + 1] = c.rejected .. " rejected" end
   return #parts > 0 and ", " .. table.concat(parts, ", ") or ""
end

local SECTIONS = {"clusters", "map", "classes", "review"}

-- Links to the pages of windows, where there are any.
local function sections(b, here)
   if not b.windows then return "" end
   local out = {}
   for i, name in ipairs(b.windows.sections or SECTIONS) do
      out[i] = ('<a href="/%s"%s>%s</a>'):format(name, name == here and ' aria-current="page"' or "", name)
   end
   return table.concat(out)
end

--- A page of windows.
-- @tparam browser b
-- @tparam string name `clusters`, `map`, `classes` or `review`
-- @tparam string token
-- @treturn string
function pages.windows(b, name, token)
   local home = #b.recordings > 0 and '<a href="/">recordings</a>' or ""
   return page(("%s: %s"):format(b.name, name), token, ("<nav>%s%s</nav>%s"):format(home, sections(b, name),
      window_pages[name](b.windows)), "windows")
end

-- What recordings can be chosen by: the values that one has.
local FILTERS = {
   {name = "verdict", of = function(row, counts)
      local c, list = counts[row.source_name] or {accepted = 0, rejected = 0}, {}
      if c.accepted > 0 then list[1] = "accepted" end
      if c.rejected > 0 then list[#list + 1] = "rejected" end
      return #list > 0 and list or {"undecided"}
   end},
   {name = "class", of = function(row)
      local list, seen = {row.species}, {[row.species or ""] = true}
      for _, label in ipairs(row.labels or {}) do
         local name = label.label and display.line(label.label)
         if name and not seen[name] then list[#list + 1], seen[name] = name, true end
      end
      return list
   end},
   {name = "site", of = function(row) return {row.site} end},
   {name = "date", of = function(row) return {row.recorded_at and row.recorded_at:sub(1, 10)} end}}

-- A search by name, and a choice of each kind of which there are two values or more.
local function filters(recordings, counts)
   local out = {'<div class="row"><input type="search" id="filter" placeholder="filter by name" ' ..
      'aria-label="filter by name">'}
   for _, f in ipairs(FILTERS) do
      local seen, values = {}, {}
      for _, row in ipairs(recordings) do
         for _, value in ipairs(f.of(row, counts)) do
            if not seen[value] then seen[value], values[#values + 1] = true, value end
         end
      end
      table.sort(values)
      if f.name == "verdict" then values = {"undecided", "accepted", "rejected"} end
      if #values > 1 then
         local options = {}
         for i, value in ipairs(values) do
            options[i] = ('<option value="%s">%s</option>'):format(escape(value), escape(value))
         end
         out[#out + 1] = ('<label>%s <select data-filter="%s"><option value="">all</option>%s</select></label>'):format(
            f.name, f.name, table.concat(options))
      end
   end
   out[#out + 1] = "</div>"
   return table.concat(out)
end

--- All recordings, by species or site.
-- @tparam browser b
-- @tparam string token
-- @treturn string
function pages.index(b, token)
   local out, counts, seen = {}, b:counts(), {}
   local function add(form, ...) out[#out + 1] = form:format(...) end
   for _, row in ipairs(b.recordings) do seen[row.heading] = (seen[row.heading] or 0) + 1 end
   add("<header><h1>%s</h1><span class=\"note\" id=\"count\">%s</span></header>", escape(b.name),
      display.count(#b.recordings, "recording"))
   add('<nav>%s%s<a href="/accepted.csv">verdicts</a><a href="/labels.csv">labels (CSV)</a>' ..
      '<a href="/labels.txt">labels (Raven)</a></nav>', sections(b), b.report and '<a href="/report">report</a>' or "")
   out[#out + 1] = filters(b.recordings, counts)
   local heading
   for _, row in ipairs(b.recordings) do
      if row.heading ~= heading then
         if heading then add("</ul></details>") end
         heading = row.heading
         add('<details open><summary>%s <span class="note">(%d)</span></summary><ul class="plain recordings">',
            escape(heading), seen[heading])
      end
      local kinds = {}
      for i, f in ipairs(FILTERS) do
         kinds[i] = (' data-%s="%s"'):format(f.name, escape(table.concat(f.of(row, counts), "\n")))
      end
      add('<li data-name="%s"%s><a href="/recording/%d">%s</a> <span class="note">%s%s</span></li>\n',
         escape((row.heading .. " " .. row.source_name):lower()), table.concat(kinds), row.id, escape(row.name),
         row.motif_0 and progress.duration(row.duration_seconds) or "too short for a motif",
         count_text(counts[row.source_name], row.labels))
   end
   if heading then add("</ul></details>") end
   add('<p class="note"><span class="key"><kbd>j k</kbd> next, previous recording</span> ' ..
      '<span class="key"><kbd>enter</kbd> open it</span> <span class="key"><kbd>/</kbd> filter</span></p>')
   return page(b.name, token, table.concat(out))
end

local KEYS = {{"j k", "next, previous motif"}, {"space", "play"}, {"w", "play on, stop"}, {"t", "play its twin"},
   {"f", "jump to the twin"}, {"o", "search other recordings"}, {"a", "accept"}, {"r", "reject"}, {"u", "take back"},
   {"n p", "next, previous recording"}, {"← →", "a second on, back"}, {"+ -", "zoom"},
   {"page up, page down", "page"}}
local KEY = '<span class="key"><kbd>%s</kbd> %s</span> '
local MOST_LABELS, LONGEST_LABEL = 2000, 60 -- of a page; letters of one

-- As people write it: a space between day and time.
local function spoken(time) return time and (time:gsub("T", " ")) end

local function motif_item(m, row)
   local verdict, rate = m.verdict or "none", row.cens_sample_rate
   local time = spoken(clock.at(row.recorded_at, m.at / rate))
   return ('<li data-rank="%d" data-at="%d" data-twin="%d" data-verdict="%s"><strong>motif %d</strong>' ..
      '<button data-act="a">%.1f s</button><button data-act="b">%.1f s</button>' ..
      '<span class="note">%sdistance %.4g</span><button data-act="accepted">accept</button>' ..
      '<button data-act="rejected">reject</button><button data-act="none">undo</button>' ..
      '<span class="verdict">%s</span></li>'):format(m.rank, m.at, m.twin, verdict, m.rank, m.at / rate,
      m.twin / rate, time and escape(time) .. ", " or "", m.distance, m.verdict or "")
end

local function short(text)
   local line = display.line(text)
   local cut = display.cut(line, LONGEST_LABEL)
   return #cut < #line and cut .. "…" or line
end

-- What else is known of a label, each part ended by a comma but the last.
local function about_label(label, row)
   local parts = {spoken(clock.at(row.recorded_at, label.start_s))}
   if label.low_hz or label.high_hz then
      parts[#parts + 1] = ("%.0f to %.0f Hz"):format(label.low_hz or 0, label.high_hz or row.sample_rate / 2)
   end
   if label.score then parts[#parts + 1] = ("score %.3g"):format(label.score) end
   if label.start_s >= row.duration_seconds then parts[#parts + 1] = "past the end of the recording" end
   return table.concat(parts, ", ")
end

local function label_item(label, row)
   local from, to = label.start_s, label.end_s
   local times = to > from and ("%.1f to %.1f s"):format(from, to) or ("%.1f s"):format(from)
   local band = (label.low_hz and (' data-low="%.9g"'):format(label.low_hz) or "") ..
      (label.high_hz and (' data-high="%.9g"'):format(label.high_hz) or "")
   return ('<li data-start="%.9g" data-end="%.9g"%s><button%s>%s</button><strong class="name">%s</strong>' ..
      '<span class="note">%s</span></li>\n'):format(from, to, band, from < row.duration_seconds and "" or " disabled",
      times, escape(label.label and short(label.label) or "no text"), escape(about_label(label, row)))
end

-- The list of the labels, of which the script makes the marks on the picture.
local function label_list(row, picture)
   local labels = row.labels
   local shown = math.min(#labels, MOST_LABELS)
   local out = {('<h2>Labels</h2>%s<ul class="plain" id="labels" data-nyquist="%.9g"%s>'):format(
      shown < #labels and ('<p class="warning">The first %d of %d labels</p>'):format(shown, #labels) or "",
      row.sample_rate / 2, picture and (' data-top="%.5g" data-bottom="%.5g"'):format(picture.top, picture.bottom) or
      "")}
   for i = 1, shown do out[i + 1] = label_item(labels[i], row) end
   out[#out + 1] = "</ul>"
   return table.concat(out)
end

--- One recording.
-- @tparam browser b
-- @tparam table row
-- @tparam string token
-- @treturn string
function pages.recording(b, row, token)
   local out, rate = {}, row.cens_sample_rate
   local function add(form, ...) out[#out + 1] = form:format(...) end
   local name = row.name
   add('<nav><a href="/">%s</a>', escape(b.name))
   if row.id > 1 then add('<a id="previous" href="/recording/%d">previous</a>', row.id - 1) end
   if row.id < #b.recordings then add('<a id="next" href="/recording/%d">next</a>', row.id + 1) end
   local about = {progress.duration(row.duration_seconds)}
   if row.species then table.insert(about, 1, escape(row.species)) end
   for _, text in ipairs{row.site or false, spoken(row.recorded_at) or false} do
      about[#about + 1] = text and escape(text) or nil
   end
   add('</nav><header><h1>%s</h1><span class="note">%s</span></header>', escape(name), table.concat(about, ", "))
   local profile = row.motif_0 ~= nil
   local last = profile and row.duration_cens - row.matrix_profile_window or 0
   local picture, message = b:picture(row)
   if not picture then add('<p class="warning">%s</p>', escape(message)) end
   add('<div class="wide"%s><div id="stage" tabindex="0" data-recording="%d" data-rate="%.9g" data-window="%d" ' ..
      'data-last="%d" data-seconds="%.9g" data-left="%.5g" data-right="%.5g" data-profile="%s">', picture and "" or
      " hidden", row.id, rate, row.matrix_profile_window, last, row.duration_seconds, picture and picture.left or 0,
      picture and picture.right or 1, profile and "yes" or "")
   if picture then
      add('<img src="/picture/%d.png" width="1000" height="%d" alt="spectrogram%s of %s">', row.id,
         profile and 520 or 320, profile and " and matrix profile" or "", escape(name))
   end
   add('<div class="mark" id="there" hidden></div><div class="mark" id="here" hidden></div>' ..
      '<div id="now" hidden></div></div></div>')
   add('<div class="row" id="pages" hidden><button id="closer">+</button><button id="wider">−</button>' ..
      '<button id="page-back">previous page</button><button id="page-on">next page</button>' ..
      '<output id="page"></output></div><p id="status" role="status"></p><audio id="player" controls></audio>' ..
      '<div class="row"><button id="play">play</button><button id="play-on">play on</button>' ..
      '<button id="play-twin">play twin</button><button id="jump">jump to twin</button>' ..
      '<button id="search">search other recordings</button></div><ul class="plain" id="others"></ul>')
   if profile then
      add('<h2>Motifs</h2><ul class="plain" id="motifs">')
      for _, m in ipairs(b:best_motifs(row)) do out[#out + 1] = motif_item(m, row) end
      add("</ul>")
   else
      add("<p>It is shorter than the window: there is no motif.</p>")
   end
   if row.labels then out[#out + 1] = label_list(row, picture) end
   add('<p class="note">')
   for _, k in ipairs(KEYS) do add(KEY, k[1], k[2]) end
   if row.labels then add(KEY, "h l", "previous, next label") end
   add("</p>")
   return page(name, token, table.concat(out))
end

return pages
