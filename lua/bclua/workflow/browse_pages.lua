--- The pages of `browse`. Everything that comes out of a run is escaped; addresses have numbers
-- of recordings and frames, never names. Style and script are files of their own, so that the
-- browser can be told to run nothing that is written into a page.
-- @module bclua.workflow.browse_pages
local clock = require "bclua.clock"
local progress = require "bclua.progress"
local report = require "bclua.report"

local pages = {}

local escape = report.escape

--- The style of all pages, CSS.
pages.style = report.style .. [[
header{display:flex;flex-wrap:wrap;gap:.3em 1em;align-items:baseline}
ul.plain{list-style:none;padding:0;margin:.5em 0}
ul.recordings{columns:14rem}
ul.recordings li{break-inside:avoid;padding:.15em 0;overflow-wrap:anywhere}
.note{opacity:.75}
input[type=search]{font:inherit;width:100%;max-width:26rem;padding:.3em .5em;box-sizing:border-box}
summary{cursor:pointer;padding:.3em 0;font-weight:600}
.wide{overflow-x:auto}
#stage{position:relative;min-width:40rem;cursor:crosshair;line-height:0}
#stage img{width:100%;max-width:none}
.mark{position:absolute;top:2%;bottom:10%;border:2px solid;border-radius:3px;pointer-events:none;box-sizing:border-box}
#here{color:#e69f00;background:#e69f0033}#there{color:#009e73;background:#009e7333}
button,.button{font:inherit;padding:.3em .8em;border:1px solid var(--line);border-radius:6px;background:var(--soft);
 color:inherit;cursor:pointer;text-decoration:none;display:inline-block}
button:hover,.button:hover{border-color:var(--accent)}
button:focus-visible,a:focus-visible,summary:focus-visible,#stage:focus-visible{outline:2px solid var(--accent);
 outline-offset:2px}
.row{display:flex;flex-wrap:wrap;gap:.4em;align-items:center;margin:.5em 0}
#motifs li{padding:.4em .5em;border-left:4px solid transparent;display:flex;flex-wrap:wrap;gap:.4em;align-items:center}
#motifs li[aria-current=true]{background:var(--soft)}
#motifs li[data-verdict=accepted]{border-color:#009e73}#motifs li[data-verdict=rejected]{border-color:#d55e00}
.key{white-space:nowrap;display:inline-block;margin-right:.8em}
#status{min-height:1.5em}
kbd{border:1px solid var(--line);border-radius:3px;padding:0 .35em;font-size:.85em}
]]

--- The script of all pages.
pages.script = [[
"use strict";
(() => {
const $ = id => document.getElementById(id);
const filter = $("filter");
if (filter) {
  filter.addEventListener("input", () => {
    const text = filter.value.toLowerCase();
    for (const group of document.querySelectorAll("details")) {
      let shown = 0;
      for (const li of group.querySelectorAll("li")) {
        li.hidden = !li.dataset.name.includes(text);
        if (!li.hidden) shown++;
      }
      group.hidden = shown === 0;
      if (text !== "") group.open = true;
    }
  });
}
const stage = $("stage");
if (!stage) return;
const d = stage.dataset, id = d.recording, rate = +d.rate, w = +d.window, last = +d.last, seconds = +d.seconds;
const left = +d.left, right = +d.right, player = $("player");
let at = null, twin = null, wanted = 0, lately = -1; // the motif shown last
const motifs = [...document.querySelectorAll("#motifs li")];
const index = () => motifs.findIndex(li => +li.dataset.at === at); // of the motif that is shown; -1: none is
const say = text => { $("status").textContent = text; };

const place = (mark, frame) => {
  mark.hidden = frame === null;
  if (frame === null) return;
  const x = left + (right - left) * frame / rate / seconds;
  mark.style.left = 100 * x + "%";
  mark.style.width = 100 * (right - left) * Math.min(w / rate, seconds) / seconds + "%";
};
const play = frame => {
  player.src = "/sound/" + id + "/" + frame + ".wav";
  player.play().catch(error => { if (error.name !== "AbortError") say("cannot play: " + error.message); });
};
const answer = async (url, options) => {
  const r = await fetch(url, options), text = await r.text();
  if (!r.ok) throw new Error(text || "status " + r.status);
  return JSON.parse(text);
};
const show = async (frame, sound) => {
  at = Math.max(0, Math.min(last, frame));
  twin = null;
  place($("here"), at);
  place($("there"), null);
  $("others").replaceChildren();
  const shown = index();
  motifs.forEach((li, n) => li.setAttribute("aria-current", n === shown));
  if (shown >= 0) lately = shown;
  if (sound) play(at);
  const mine = ++wanted;
  if (!d.profile) { say("the window at " + (at / rate).toFixed(1) + " s"); return; }
  try {
    const near = await answer("/near/" + id + "/" + at);
    if (mine !== wanted) return;
    twin = near.at;
    place($("there"), twin);
    say("the window at " + (at / rate).toFixed(1) + " s; nearest in this recording: at " +
      (twin / rate).toFixed(1) + " s, distance " + near.distance.toPrecision(4));
  } catch (error) { if (mine === wanted) say(error.message); }
};
const others = async () => {
  if (at === null) { say("choose a window first: click on the picture"); return; }
  const list = $("others"), mine = wanted;
  list.textContent = "searching ...";
  try {
    const hits = await answer("/near/" + id + "/" + at + "?others=1");
    if (mine !== wanted) return;
    list.replaceChildren(...hits.map(h => {
      const li = document.createElement("li"), button = document.createElement("button"),
        a = document.createElement("a");
      button.textContent = "play";
      button.addEventListener("click", () => { player.src = "/sound/" + h.id + "/" + h.at + ".wav"; player.play(); });
      a.href = "/recording/" + h.id + "#" + h.at;
      a.textContent = h.name;
      li.append(button, " ", a, (h.species ? " (" + h.species + ")" : "") + ", at " + h.start_s.toFixed(1) + " s" +
        (h.clock ? ", " + h.clock.replace("T", " ") : "") + ", distance " + h.distance.toPrecision(4));
      return li;
    }));
    if (hits.length === 0) list.textContent = "no other recording is as long as the window";
  } catch (error) { if (mine === wanted) list.textContent = error.message; }
};
const choose = (n, sound) => {
  if (motifs.length > 0) show(+motifs[(n + motifs.length) % motifs.length].dataset.at, sound);
};
const judge = async verdict => {
  const li = motifs[index()];
  if (!li) { say("this window is none of the motifs: choose one first, with j or k"); return; }
  const token = document.querySelector("meta[name=token]").content;
  try {
    await answer("/verdict", {method: "POST", headers: {"Content-Type": "application/json", "X-Token": token},
      body: JSON.stringify({recording: +id, at: +li.dataset.at, twin: +li.dataset.twin, verdict: verdict})});
    li.dataset.verdict = verdict;
    li.querySelector(".verdict").textContent = verdict === "none" ? "" : verdict;
    say("motif " + li.dataset.rank + ": " + (verdict === "none" ? "taken back" : verdict));
  } catch (error) { say(error.message); }
};
stage.addEventListener("click", event => {
  const box = stage.getBoundingClientRect(), x = (event.clientX - box.left) / box.width;
  const s = (x - left) / (right - left) * seconds;
  if (s < 0 || s > seconds) return;
  show(Math.round(s * rate), true);
});
motifs.forEach((li, n) => li.addEventListener("click", event => {
  const act = event.target.dataset.act;
  if (!act) return;
  if (act === "b") { choose(n, false); play(+li.dataset.twin); return; }
  if (act === "a") { choose(n, true); return; }
  if (index() !== n) choose(n, false);
  judge(act);
}));
const go = way => { const a = $(way); if (a) location.href = a.href; };
const keys = {
  n: () => go("next"), p: () => go("previous"),
  j: () => choose(lately + 1, true), k: () => choose(Math.max(lately, 0) - 1, true),
  " ": () => { if (at === null) choose(0, true); else play(at); },
  t: () => { if (twin !== null) play(twin); },
  f: () => { if (twin !== null) show(twin, true); },
  o: others, a: () => judge("accepted"), r: () => judge("rejected"), u: () => judge("none"),
  ArrowRight: () => { if (at !== null) show(at + Math.round(rate), true); },
  ArrowLeft: () => { if (at !== null) show(at - Math.round(rate), true); },
};
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|AUDIO)$/.test(event.target.tagName)) return;
  if (event.key === " " && /^(BUTTON|A|SUMMARY)$/.test(event.target.tagName)) return;
  const act = keys[event.key];
  if (act) { event.preventDefault(); act(); }
});
for (const [button, key] of Object.entries({play: " ", "play-twin": "t", jump: "f", search: "o"}))
  $(button).addEventListener("click", keys[key]);
player.addEventListener("error", () => { if (player.src) say("the sound cannot be had"); });
const start = parseInt(location.hash.slice(1), 10);
if (Number.isInteger(start)) show(start, false); else choose(0, false);
})();
]]

local function page(title, token, body)
   return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">' ..
      '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="token" content="%s">' ..
      '<title>%s</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css">' ..
      '<script src="/script.js" defer></script></head>\n<body>%s</body></html>\n'):format(escape(token), escape(title),
      body)
end

local function count_text(c)
   local parts = {}
   if c and c.accepted > 0 then parts[#parts + 1] = c.accepted .. " accepted" end
   if c and c.rejected > 0 then parts[#parts + 1] = c.rejected .. " rejected" end
   return #parts > 0 and ", " .. table.concat(parts, ", ") or ""
end

--- All recordings, by species or site.
-- @tparam browser b
-- @tparam string token
-- @treturn string
function pages.index(b, token)
   local out, counts, seen = {}, b:counts(), {}
   local function add(form, ...) out[#out + 1] = form:format(...) end
   for _, row in ipairs(b.recordings) do seen[row.heading] = (seen[row.heading] or 0) + 1 end
   add("<header><h1>%s</h1><span class=\"note\">%d recordings</span></header>", escape(b.name), #b.recordings)
   add('<nav>%s<a href="/accepted.csv">verdicts</a><a href="/labels.csv">labels (CSV)</a>' ..
      '<a href="/labels.txt">labels (Raven)</a></nav>', b.report and '<a href="/report">report</a>' or "")
   add('<p><input type="search" id="filter" placeholder="filter by name" aria-label="filter by name"></p>')
   local heading
   for _, row in ipairs(b.recordings) do
      if row.heading ~= heading then
         if heading then add("</ul></details>") end
         heading = row.heading
         add('<details open><summary>%s <span class="note">(%d)</span></summary><ul class="plain recordings">',
            escape(heading), seen[heading])
      end
      add('<li data-name="%s"><a href="/recording/%d">%s</a> <span class="note">%s%s</span></li>\n',
         escape((row.heading .. " " .. row.source_name):lower()), row.id, escape(row.name),
         row.motif_0 and progress.duration(row.duration_seconds) or "too short for a motif",
         count_text(counts[row.source_name]))
   end
   if heading then add("</ul></details>") end
   return page(b.name, token, table.concat(out))
end

local KEYS = {{"j k", "next, previous motif"}, {"space", "play"}, {"t", "play its twin"}, {"f", "jump to the twin"},
   {"o", "search other recordings"}, {"a", "accept"}, {"r", "reject"}, {"u", "take back"}, {"n p", "next, previous " ..
   "recording"}, {"← →", "a second on, back"}}

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
   add('<div class="mark" id="there" hidden></div><div class="mark" id="here" hidden></div></div></div>')
   add('<p id="status" role="status"></p><audio id="player" controls></audio><div class="row">' ..
      '<button id="play">play</button><button id="play-twin">play twin</button>' ..
      '<button id="jump">jump to twin</button>' ..
      '<button id="search">search other recordings</button></div><ul class="plain" id="others"></ul>')
   if profile then
      add('<h2>Motifs</h2><ul class="plain" id="motifs">')
      for _, m in ipairs(b:best_motifs(row)) do out[#out + 1] = motif_item(m, row) end
      add("</ul>")
   else
      add("<p>It is shorter than the window: there is no motif.</p>")
   end
   add('<p class="note">')
   for _, k in ipairs(KEYS) do add('<span class="key"><kbd>%s</kbd> %s</span> ', k[1], k[2]) end
   add("</p>")
   return page(name, token, table.concat(out))
end

return pages
