// The pages of `browse`: filter the recordings of a run; look at one, listen, judge its motifs.
"use strict";
(() => {
  const $ = id => document.getElementById(id);

  // The list of recordings: those whose name has a text, and which are what each choice says.
  const filter = $("filter");
  const choices = [...document.querySelectorAll("[data-filter]")];
  const fits = (li, text) =>
    li.dataset.name.includes(text) &&
    choices.every(select => select.value === "" || li.dataset[select.dataset.filter].split("\n").includes(select.value));
  const allRecordings = $("count")?.textContent;
  const filterRecordings = () => {
    const text = filter.value.toLowerCase();
    let count = 0;
    for (const group of document.querySelectorAll("details")) {
      const items = [...group.querySelectorAll("li")];
      for (const li of items) li.hidden = !fits(li, text);
      const some = items.filter(li => !li.hidden).length;
      count += some;
      group.hidden = some === 0;
      if (text !== "" || choices.some(select => select.value !== "")) group.open = true;
    }
    const isAll = count === document.querySelectorAll("details li").length;
    $("count").textContent = isAll ? allRecordings : `${count} of ${allRecordings}`;
  };
  // j and k go from link to link, / to the filter; Enter opens.
  const goThrough = by => {
    const links = [...document.querySelectorAll("ul.recordings li:not([hidden]) a")];
    const i = links.indexOf(document.activeElement);
    links[(Math.max(i, by > 0 ? i : 0) + by + links.length) % links.length]?.focus();
  };
  if (filter) {
    for (const input of [filter, ...choices]) input.addEventListener("input", filterRecordings);
    const keys = {"/": () => filter.focus(), j: () => goThrough(1), k: () => goThrough(-1)};
    document.addEventListener("keydown", event => {
      if (event.key === "Escape") event.target.blur();
      if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
      if (!Object.hasOwn(keys, event.key)) return;
      event.preventDefault();
      keys[event.key]();
    });
    filterRecordings(); // a page that one comes back to keeps its choices
  }

  // What follows is for the page of a recording. Places are frames of CENS, as in its profile.
  const stage = $("stage");
  if (!stage) return;
  const id = stage.dataset.recording;
  const hasProfile = stage.dataset.profile !== "";
  const [rate, span, last, seconds] = ["rate", "window", "last", "seconds"].map(name => +stage.dataset[name]);
  let [left, right] = [+stage.dataset.left, +stage.dataset.right]; // of the time axis, shares of the width
  const image = stage.querySelector("img");
  const LENGTHS = [seconds, 600, 120, 30, 10].filter((length, i) => i === 0 || length < seconds); // of pages
  let level = 0; // of LENGTHS: how far it is zoomed
  let view = {start: 0, length: seconds}; // what the picture shows
  const player = $("player");
  const motifs = [...document.querySelectorAll("#motifs li")];

  let at = null; // the window that is shown
  let twin = null; // its nearest one, once that is known
  let asked = 0; // questions to the server: the answer to an older one is dropped
  let lately = -1; // index of the motif shown last

  const index = () => motifs.findIndex(li => +li.dataset.at === at); // of the motif that is shown; -1: none is
  const inSeconds = frame => (frame / rate).toFixed(1) + " s";
  const say = text => {
    $("status").textContent = text;
  };

  const ask = async (url, options) => {
    const response = await fetch(url, options);
    const text = await response.text();
    if (!response.ok) throw new Error(text || "status " + response.status);
    return JSON.parse(text);
  };

  const PIECE = 10; // seconds: a recording is played piece by piece, however long it is
  let sounding = null; // what plays of this recording: where it starts, and whether it goes on behind its end
  const playFrom = url => {
    player.src = url;
    player.play().catch(error => {
      if (error.name !== "AbortError") say("cannot play: " + error.message);
    });
  };
  const playOf = (recording, frame) => {
    sounding = recording === id ? {start: frame / rate, goesOn: false} : null;
    playFrom(`/sound/${recording}/${frame}.wav`);
  };
  const play = frame => playOf(id, frame);
  const playOn = frame => {
    sounding = {start: frame / rate, goesOn: true};
    playFrom(`/sound/${id}/${frame}.wav?seconds=${PIECE}`);
  };
  player.addEventListener("ended", () => {
    const next = sounding && sounding.goesOn ? sounding.start + PIECE : seconds;
    if (next < seconds) playOn(Math.round(next * rate));
  });

  const place = (mark, start, length) => {
    const [from, to] = [start, start + length].map(s => (s - view.start) / view.length);
    const [a, b] = [from, to].map(share => Math.max(0, Math.min(1, share)));
    mark.style.visibility = to < 0 || from > 1 ? "hidden" : "";
    mark.style.left = 100 * (left + (right - left) * a) + "%";
    mark.style.width = 100 * (right - left) * (b - a) + "%";
  };
  const placeWindow = (mark, frame) => {
    mark.hidden = frame === null;
    if (frame !== null) place(mark, frame / rate, Math.min(span / rate, seconds));
  };

  // Pages of a recording that is zoomed. The one that contains a second is shown when the server has drawn it.
  const clock = s => new Date(1000 * Math.round(s)).toISOString().slice(11, 19);
  const isOn = s => s >= view.start && s < view.start + view.length;
  let turning = 0; // how many pages are on their way: only the last one is shown
  let turns = 0;
  const turn = async (n, second) => {
    const start = n === 0 ? 0 : Math.floor(Math.min(second, seconds - 0.1) / LENGTHS[n]) * LENGTHS[n];
    const end = Math.min(start + LENGTHS[n], seconds);
    const frames = `?from=${Math.round(start * rate)}&to=${Math.round(end * rate)}`;
    const query = n === 0 ? "" : frames;
    const mine = ++turns;
    level = n;
    turning++;
    $("page").textContent = "drawing ...";
    try {
      const axis = await ask(`/picture/${id}.json${query}`);
      if (mine !== turns) return;
      [left, right] = [axis.left, axis.right];
      view = {start, length: end - start};
      image.src = `/picture/${id}.png${query}`;
      placeAll();
      await image.decode();
    } catch (error) {
      if (mine === turns) say(error.message);
    } finally {
      turning--;
      const part = level === 0 ? "all" : `${clock(view.start)} to ${clock(view.start + view.length)}`;
      if (mine === turns) $("page").textContent = `${part} of ${clock(seconds)}`;
    }
  };
  const position = () => (sounding ? sounding.start + player.currentTime : 0);
  const zoom = by => {
    const n = Math.max(0, Math.min(LENGTHS.length - 1, level + by));
    const isPlaying = sounding && !player.paused && isOn(position());
    const here = at !== null && isOn(at / rate) ? at / rate : view.start + view.length / 2;
    if (n !== level && image) turn(n, isPlaying ? position() : here);
  };
  const page = by => {
    const start = view.start + by * LENGTHS[level];
    if (level === 0) say("zoom in first: +");
    else if (start >= 0 && start < seconds) turn(level, start);
  };
  const follows = second => {
    if (level > 0 && turning === 0 && !isOn(second) && second < seconds) turn(level, second);
  };

  const moveCursor = () => {
    const isHere = sounding !== null && !player.paused;
    $("now").hidden = !isHere;
    if (isHere) {
      place($("now"), position(), 0);
      if (sounding.goesOn) follows(position());
    }
    requestAnimationFrame(moveCursor);
  };

  const show = async (frame, sound) => {
    at = Math.max(0, Math.min(last, frame));
    twin = null;
    placeWindow($("here"), at);
    placeWindow($("there"), null);
    follows(at / rate);
    $("others").replaceChildren();
    const shown = index();
    motifs.forEach((li, n) => li.setAttribute("aria-current", n === shown));
    if (shown >= 0) lately = shown;
    if (sound) play(at);
    const mine = ++asked;
    const here = "the window at " + inSeconds(at);
    if (!hasProfile) {
      say(here);
      return;
    }
    try {
      const near = await ask(`/near/${id}/${at}`);
      if (mine !== asked) return;
      twin = near.at;
      placeWindow($("there"), twin);
      const distance = near.distance.toPrecision(4);
      say(`${here}; nearest in this recording: at ${inSeconds(twin)}, distance ${distance}`);
    } catch (error) {
      if (mine === asked) say(error.message);
    }
  };

  const hitItem = hit => {
    const li = document.createElement("li");
    const button = document.createElement("button");
    const a = document.createElement("a");
    button.textContent = "play";
    button.addEventListener("click", () => playOf(hit.id, hit.at));
    a.href = `/recording/${hit.id}#${hit.at}`;
    a.textContent = hit.name;
    const species = hit.species ? ` (${hit.species})` : "";
    const clock = hit.clock ? ", " + hit.clock.replace("T", " ") : "";
    const start = hit.start_s.toFixed(1);
    li.append(button, " ", a, `${species}, at ${start} s${clock}, distance ${hit.distance.toPrecision(4)}`);
    return li;
  };

  const searchOthers = async () => {
    if (at === null) {
      say("choose a window first: click on the picture");
      return;
    }
    const list = $("others");
    const mine = asked;
    list.textContent = "searching ...";
    try {
      const hits = await ask(`/near/${id}/${at}?others=1`);
      if (mine !== asked) return;
      list.replaceChildren(...hits.map(hitItem));
      if (hits.length === 0) list.textContent = "no other recording is as long as the window";
    } catch (error) {
      if (mine === asked) list.textContent = error.message;
    }
  };

  const choose = (n, sound) => {
    if (motifs.length > 0) show(+motifs[(n + motifs.length) % motifs.length].dataset.at, sound);
  };

  const judge = async verdict => {
    const li = motifs[index()];
    if (!li) {
      say("this window is none of the motifs: choose one first, with j or k");
      return;
    }
    const token = document.querySelector("meta[name=token]").content;
    try {
      await ask("/verdict", {
        method: "POST",
        headers: {"Content-Type": "application/json", "X-Token": token},
        body: JSON.stringify({recording: +id, at: +li.dataset.at, twin: +li.dataset.twin, verdict: verdict}),
      });
      li.dataset.verdict = verdict;
      li.querySelector(".verdict").textContent = verdict === "none" ? "" : verdict;
      say(`motif ${li.dataset.rank}: ${verdict === "none" ? "taken back" : verdict}`);
    } catch (error) {
      say(error.message);
    }
  };

  // Labels: a mark on the spectrogram for each of the list, over its band or the whole height.
  const list = $("labels");
  const labels = list ? [...list.children].filter(li => +li.dataset.start < seconds) : [];
  let label = -1; // index of the one chosen last

  const height = hz => {
    const {top, bottom, nyquist} = list.dataset;
    return +bottom + ((top - bottom) * Math.min(hz, nyquist)) / nyquist;
  };
  const markOf = li => {
    const {start, end, low, high} = li.dataset;
    const mark = document.createElement("div");
    const name = document.createElement("span");
    const until = Math.min(end, seconds);
    mark.className = low || high ? "label" : "label whole";
    mark.classList.toggle("ends", +start + until > seconds); // its name would leave the picture
    mark.title = [".name", "button", ".note"].map(part => li.querySelector(part).textContent).join("\n");
    mark.style.bottom = 100 * height(low ?? 0) + "%";
    mark.style.top = 100 * (1 - height(high ?? Infinity)) + "%";
    name.textContent = li.querySelector(".name").textContent;
    mark.append(name);
    return mark;
  };
  const marks = list && list.dataset.top ? labels.map(markOf) : [];
  stage.append(...marks);
  const placeLabels = () =>
    marks.forEach((mark, i) => {
      const {start, end} = labels[i].dataset;
      place(mark, +start, Math.min(end, seconds) - start);
    });
  placeLabels();

  // Names that would cover others are left to the list, and to the pointer.
  const thinNames = () => {
    const names = marks.filter(mark => mark.style.visibility === "").map(mark => mark.firstChild);
    for (const name of names) name.hidden = false;
    const boxes = names.map(name => name.getBoundingClientRect());
    const shown = [];
    names.forEach((name, i) => {
      const a = boxes[i];
      const isFree = shown.every(
        b => a.left >= b.right || b.left >= a.right || a.top >= b.bottom || b.top >= a.bottom,
      );
      if (isFree) shown.push(a);
      name.hidden = !isFree;
    });
  };
  if (marks.length > 0) {
    thinNames();
    addEventListener("resize", thinNames);
  }
  const placeAll = () => {
    placeWindow($("here"), at);
    placeWindow($("there"), twin);
    placeLabels();
    thinNames();
  };
  moveCursor();

  const chooseLabel = n => {
    if (labels.length === 0) return;
    label = (n + labels.length) % labels.length;
    labels.forEach((li, i) => li.setAttribute("aria-current", i === label));
    marks.forEach((mark, i) => mark.classList.toggle("chosen", i === label));
    const li = labels[label];
    list.scrollTop = li.offsetTop - (list.clientHeight - li.offsetHeight) / 2; // the page stays where it is
    const frame = Math.floor(li.dataset.start * rate);
    show(frame, false); // near the end the window is the last one; the sound begins with the label
    play(frame);
  };
  labels.forEach((li, n) => li.querySelector("button").addEventListener("click", () => chooseLabel(n)));

  stage.addEventListener("click", event => {
    const box = stage.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width;
    const s = view.start + ((x - left) / (right - left)) * view.length;
    if (s >= view.start && s <= view.start + view.length) show(Math.round(s * rate), true);
  });

  motifs.forEach((li, n) => {
    li.addEventListener("click", event => {
      const act = event.target.dataset.act;
      if (!act) return;
      if (act === "a") {
        choose(n, true);
      } else if (act === "b") {
        choose(n, false);
        play(+li.dataset.twin);
      } else {
        if (index() !== n) choose(n, false);
        judge(act);
      }
    });
  });

  const follow = link => {
    if ($(link)) location.href = $(link).href;
  };
  const step = frames => {
    if (at !== null) show(at + frames, true);
  };
  const keys = {
    n: () => follow("next"),
    p: () => follow("previous"),
    j: () => choose(lately + 1, true),
    k: () => choose(Math.max(lately, 0) - 1, true),
    l: () => chooseLabel(label + 1),
    h: () => chooseLabel(Math.max(label, 0) - 1),
    " ": () => (at === null ? choose(0, true) : play(at)),
    t: () => twin !== null && play(twin),
    w: () => (sounding && sounding.goesOn && !player.paused ? player.pause() : playOn(at ?? 0)),
    f: () => twin !== null && show(twin, true),
    o: searchOthers,
    a: () => judge("accepted"),
    r: () => judge("rejected"),
    u: () => judge("none"),
    "+": () => zoom(1),
    "=": () => zoom(1),
    "-": () => zoom(-1),
    PageDown: () => page(1),
    PageUp: () => page(-1),
    ArrowRight: () => step(Math.round(rate)),
    ArrowLeft: () => step(-Math.round(rate)),
  };
  document.addEventListener("keydown", event => {
    const on = event.target.tagName;
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|AUDIO)$/.test(on)) return;
    if (event.key === " " && /^(BUTTON|A|SUMMARY)$/.test(on)) return;
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });
  $("pages").hidden = !image || LENGTHS.length === 1;
  $("page").textContent = `all of ${clock(seconds)}`;
  const buttons = {
    play: " ",
    "play-on": "w",
    "play-twin": "t",
    jump: "f",
    search: "o",
    closer: "+",
    wider: "-",
    "page-on": "PageDown",
    "page-back": "PageUp",
  };
  for (const [button, key] of Object.entries(buttons)) $(button).addEventListener("click", keys[key]);
  player.addEventListener("error", () => {
    if (player.src) say("the sound cannot be had");
  });

  const start = parseInt(location.hash.slice(1), 10);
  if (Number.isInteger(start)) show(start, false);
  else choose(0, false);
})();
