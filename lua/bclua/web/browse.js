// The pages of `browse`: filter the recordings of a run; look at one, listen, judge its motifs.
"use strict";
(() => {
  const $ = id => document.getElementById(id);

  const filterByName = input => {
    const text = input.value.toLowerCase();
    for (const group of document.querySelectorAll("details")) {
      const items = [...group.querySelectorAll("li")];
      for (const li of items) li.hidden = !li.dataset.name.includes(text);
      group.hidden = items.every(li => li.hidden);
      if (text !== "") group.open = true;
    }
  };
  const filter = $("filter");
  if (filter) filter.addEventListener("input", () => filterByName(filter));

  // What follows is for the page of a recording. Places are frames of CENS, as in its profile.
  const stage = $("stage");
  if (!stage) return;
  const id = stage.dataset.recording;
  const hasProfile = stage.dataset.profile !== "";
  const [rate, span, last, seconds] = ["rate", "window", "last", "seconds"].map(name => +stage.dataset[name]);
  const [left, right] = [+stage.dataset.left, +stage.dataset.right]; // of the time axis, shares of the width
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
    mark.style.left = 100 * (left + ((right - left) * start) / seconds) + "%";
    mark.style.width = (100 * (right - left) * length) / seconds + "%";
  };
  const placeWindow = (mark, frame) => {
    mark.hidden = frame === null;
    if (frame !== null) place(mark, frame / rate, Math.min(span / rate, seconds));
  };

  const moveCursor = () => {
    const isHere = sounding !== null && !player.paused;
    $("now").hidden = !isHere;
    if (isHere) place($("now"), sounding.start + player.currentTime, 0);
    requestAnimationFrame(moveCursor);
  };
  moveCursor();

  const show = async (frame, sound) => {
    at = Math.max(0, Math.min(last, frame));
    twin = null;
    placeWindow($("here"), at);
    placeWindow($("there"), null);
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
    place(mark, +start, until - start);
    mark.style.bottom = 100 * height(low ?? 0) + "%";
    mark.style.top = 100 * (1 - height(high ?? Infinity)) + "%";
    name.textContent = li.querySelector(".name").textContent;
    mark.append(name);
    return mark;
  };
  const marks = list && list.dataset.top ? labels.map(markOf) : [];
  stage.append(...marks);

  // Names that would cover others are left to the list, and to the pointer.
  const thinNames = () => {
    const names = marks.map(mark => mark.firstChild);
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
    const s = ((x - left) / (right - left)) * seconds;
    if (s >= 0 && s <= seconds) show(Math.round(s * rate), true);
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
  const buttons = {play: " ", "play-on": "w", "play-twin": "t", jump: "f", search: "o"};
  for (const [button, key] of Object.entries(buttons)) $(button).addEventListener("click", keys[key]);
  player.addEventListener("error", () => {
    if (player.src) say("the sound cannot be had");
  });

  const start = parseInt(location.hash.slice(1), 10);
  if (Number.isInteger(start)) show(start, false);
  else choose(0, false);
})();
