// The pages of `browse` for windows of a table of embeddings: name them, hear the examples of clusters, the map.
"use strict";
(() => {
  const $ = id => document.getElementById(id);
  const token = document.querySelector("meta[name=token]").content;
  const say = text => {
    $("status").textContent = text;
  };

  const ask = async (url, body) => {
    const response = await fetch(
      url,
      body && {
        method: "POST",
        headers: {"Content-Type": "application/json", "X-Token": token},
        body: JSON.stringify(body),
      },
    );
    const text = await response.text();
    if (!response.ok) throw Object.assign(new Error(text.trim()), {status: response.status});
    return JSON.parse(text);
  };

  // Sounds and pictures of windows, some of them ahead of their time.
  const KEPT = 24;
  const kept = new Map();
  const load = id => {
    const had = kept.get(id);
    if (had) return had;
    const sound = new Audio(`/window/${id}.wav`);
    sound.preload = "auto";
    const picture = fetch(`/window/${id}.mel`).then(async response => {
      if (!response.ok) throw new Error((await response.text()).trim());
      return response.arrayBuffer();
    });
    picture.catch(() => {}); // whoever shows it says so
    kept.set(id, {sound, picture});
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    return kept.get(id);
  };

  let playing = null;
  const play = id => {
    if (playing) playing.pause();
    playing = load(id).sound;
    playing.currentTime = 0;
    playing.play().catch(error => {
      if (error.name === "NotAllowedError") say("space plays it"); // the browser waits for a first key or click
      else if (error.name !== "AbortError") say("cannot play: " + error.message);
    });
  };

  // What is said of the page's class is kept between pages of this browser.
  for (const a of document.querySelectorAll("a.class")) {
    a.addEventListener("click", () => sessionStorage.setItem("class", a.dataset.class));
  }
  for (const button of document.querySelectorAll("[data-play]")) {
    button.addEventListener("click", () => play(+button.dataset.play));
  }

  const isTyping = event =>
    event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  const onKeys = keys =>
    document.addEventListener("keydown", event => {
      if (isTyping(event) || !Object.hasOwn(keys, event.key)) return;
      if (event.key === " " && /^(BUTTON|A|SUMMARY)$/.test(event.target.tagName)) return;
      event.preventDefault();
      keys[event.key]();
    });

  // ---- Tables: from row to row, hear the example ----

  const rows = [...document.querySelectorAll("tbody tr")];
  const here = () => rows.findIndex(row => row.contains(document.activeElement));
  const goTo = by => {
    const n = rows.length;
    rows[(Math.max(here(), by > 0 ? -1 : 0) + by + n) % n].querySelector("a").focus();
  };
  if (rows.length > 0) {
    onKeys({
      j: () => goTo(1),
      k: () => goTo(-1),
      p: () => rows[here()]?.querySelector("[data-play]")?.click(),
    });
  }

  // ---- The map ----

  const showMap = async box => {
    const {row, x, y, cluster} = await ask("/map.json");
    const choose = async i => {
      play(row[i]);
      const about = await ask(`/window/${row[i]}.json`);
      if (map.at !== i) return;
      const a = document.createElement("a");
      a.href = `/review#${row[i]}`;
      a.textContent = nameOf(about);
      $("status").replaceChildren(cluster[i] > 0 ? `cluster ${cluster[i]}: ` : "in no cluster: ", a);
    };
    const map = pointMap(box.firstElementChild, {x, y, kind: cluster}, choose);
    onKeys({
      ...map.keys,
      " ": () => map.at >= 0 && play(row[map.at]),
      Enter: () => map.at >= 0 && location.assign(`/review#${row[map.at]}`),
    });
  };

  const clock = seconds => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
  const nameOf = about => `${about.file.replace(/^.*\//, "")}, ${clock(about.start_s)}`;

  if ($("map")) showMap($("map")).catch(error => say(error.message));

  // ---- Names for windows ----

  const strip = $("strip");
  if (!strip) return;
  const canvas = strip.querySelector("canvas");
  const AHEAD = 3; // windows that are loaded before they are shown
  const TRIES = 3; // to get one that was not given before
  const query = new URLSearchParams(location.search);
  let cluster = query.get("cluster");
  let shown = null; // what is known of the window that is shown
  let ahead = []; // windows that come next
  let given = new Set(); // windows that came: the server may ask again what is not answered yet
  const behind = []; // windows that were shown
  const undone = []; // what can be taken back
  let asked = 0; // the answer to an older question is dropped
  let names = [...$("class").options].map(o => o.value).filter(v => v !== "");

  const chosenClass = () => $("class").value;

  const drawNames = () => {
    const buttons = names.slice(0, 9).map((name, i) => {
      const button = document.createElement("button");
      const key = document.createElement("kbd");
      key.textContent = i + 1;
      button.append(key, " ", name);
      button.addEventListener("click", () => giveName(name));
      return button;
    });
    $("names").replaceChildren(...buttons);
    const options = names.map(name => Object.assign(document.createElement("option"), {value: name}));
    $("known").replaceChildren(...options);
  };
  const learnNames = list => {
    for (const name of list) {
      if (names.includes(name)) continue;
      names.push(name);
      $("class").append(new Option(name));
    }
    drawNames();
  };

  const drawSaid = () => {
    const chips = Object.entries(shown.said).map(([name, verdict]) => {
      const chip = document.createElement("span");
      chip.className = `chip ${verdict}`;
      chip.textContent = `${name}: ${verdict}`;
      return chip;
    });
    $("said").replaceChildren(...chips);
  };

  const drawProgress = p => {
    const left = p.left === undefined ? "" : `, ${p.left} left`;
    const by = p.features ? `, by ${p.features}` : "";
    const one = p.class ? `${p.class}: ${p.yes} yes, ${p.no} no, ${p.unsure} unsure${left}${by}; ` : "";
    $("progress").textContent = `${one}${count(p.answered, "answer")} of ${count(p.windows, "window")}`;
  };

  const show = async (id, sound) => {
    const mine = ++asked;
    const {picture} = load(id);
    $("like").replaceChildren();
    if (sound) play(id);
    try {
      const known = ask(`/window/${id}.json?` + new URLSearchParams({class: chosenClass()}));
      known.catch(() => {}); // it is waited for below
      const buffer = await picture;
      if (mine !== asked) return;
      drawMel(canvas, buffer);
      strip.dataset.window = id;
      const about = await known;
      if (mine !== asked) return;
      shown = about;
      const name = document.createElement(about.recording ? "a" : "span");
      name.textContent = nameOf(about);
      if (about.recording) name.href = `/recording/${about.recording}`;
      const more = [about.clock_time && about.clock_time.replace("T", " "), about.site];
      if (about.cluster > 0) more.push(`cluster ${about.cluster}`);
      if (about.probability !== undefined) more.push(`probability ${about.probability.toFixed(2)}`);
      $("about").replaceChildren(name, ...more.filter(Boolean).map(text => ", " + text));
      drawSaid();
      drawProgress(about.progress);
    } catch (error) {
      if (mine === asked) {
        shown = {row: id, said: {}};
        say(error.message);
      }
    }
  };

  const choice = () => {
    const words = {by: $("by").value, show: $("show").value};
    if (chosenClass()) words.class = chosenClass();
    if (cluster) words.cluster = cluster;
    for (const name of ["site", "day"]) if ($(name).value) words[name] = $(name).value;
    if (words.by === "band") [words.low, words.high] = $("band").value.split(" to ");
    return words;
  };

  let filling = null;
  const fill = () => {
    filling ??= (async () => {
      const words = choice();
      if (words.show !== "undecided") words.after = ahead.at(-1) ?? shown?.row ?? 0;
      const {rows, classes} = await ask("/next?" + new URLSearchParams({...words, most: AHEAD - ahead.length}));
      learnNames(classes);
      for (const id of rows) {
        if (given.has(id)) continue;
        given.add(id);
        ahead.push(id);
        load(id);
      }
    })().finally(() => {
      filling = null;
    });
    return filling;
  };

  const next = async () => {
    try {
      for (let i = 0; i < TRIES && ahead.length === 0; i++) await fill();
      if (shown) behind.push(shown.row);
      const id = ahead.shift();
      if (id === undefined) {
        say("nothing is left here: choose another class, order or filter");
        return;
      }
      await show(id, true);
      if (ahead.length < AHEAD) fill().catch(error => say(error.message));
    } catch (error) {
      say(error.message);
    }
  };
  const back = async () => {
    const id = behind.pop();
    if (id === undefined) return;
    if (shown) ahead.unshift(shown.row);
    await show(id, true);
  };

  // Say what a window is. One after the other, so that none overtakes another.
  let line = Promise.resolve();
  const inTurn = f => {
    line = line.then(f).catch(error => say(error.message));
    return line;
  };
  const put = async (row, label, verdict, expected) => {
    const answer = await ask("/label", {window: row, label, verdict, expected});
    learnNames([label]);
    drawProgress(answer.progress);
    if (shown && shown.row === row) {
      shown.said = answer.said;
      drawSaid();
    }
    return answer;
  };
  // An answer is to what was shown when it was given, not to what has come up since.
  const judge = (label, verdict, isDone) => {
    const seen = strip.dataset.window;
    return inTurn(async () => {
      if (!shown || String(shown.row) !== seen) return;
      const {row, said} = shown;
      const before = said[label] ?? "none";
      await put(row, label, verdict, before);
      undone.push({row, label, before, after: verdict});
      say(`${label}: ${verdict}`);
      if (isDone) await next();
    });
  };
  const answer = verdict => {
    if (chosenClass()) judge(chosenClass(), verdict, true);
    else say("yes to what? give it a name: 1 to 9, or /");
  };
  // A name is an answer to what the window is, unless it is another class that is asked about.
  const giveName = name => {
    const isFirst = chosenClass() === "";
    judge(name, "yes", isFirst || name === chosenClass());
  };
  // The whole cluster at once: what was said of its windows before stays.
  const putCluster = async (label, verdict) => {
    const {windows, progress} = await ask("/cluster", {cluster: +cluster, label, verdict});
    learnNames([label]);
    drawProgress(progress);
    return windows;
  };
  const nameCluster = label =>
    inTurn(async () => {
      const windows = await putCluster(label, "yes");
      undone.push({cluster, label});
      say(`${label}: ${count(windows, "window")} of cluster ${cluster}; z takes it back`);
      if (shown) await show(shown.row, false);
    });
  const undo = () =>
    inTurn(async () => {
      const last = undone.pop();
      if (!last) return say("nothing to take back");
      if (last.cluster) {
        const windows = await putCluster(last.label, "none");
        say(`taken back: ${last.label}: ${count(windows, "window")} of cluster ${last.cluster}`);
        if (shown) await show(shown.row, false);
        return;
      }
      await put(last.row, last.label, last.before, last.after);
      say(`taken back: ${last.label}: ${last.after}`);
      if (shown && shown.row !== last.row) {
        ahead.unshift(shown.row);
        if (behind.at(-1) === last.row) behind.pop();
        await show(last.row, true);
      }
    });

  const likeItem = hit => {
    const li = document.createElement("li");
    const [sound, see, same] = ["play", "show", chosenClass() ? `is ${chosenClass()}, too` : null].map(text => {
      const button = document.createElement("button");
      button.textContent = text;
      return button;
    });
    sound.addEventListener("click", () => play(hit.row));
    see.addEventListener("click", () =>
      inTurn(async () => {
        if (shown) behind.push(shown.row);
        await show(hit.row, true);
      }),
    );
    same.addEventListener("click", () =>
      inTurn(async () => {
        const label = chosenClass();
        await put(hit.row, label, "yes", hit.said[label] ?? "none");
        undone.push({row: hit.row, label, before: hit.said[label] ?? "none", after: "yes"});
        hit.said[label] = "yes";
        same.disabled = true;
        say(`${nameOf(hit)}: ${label}`);
      }),
    );
    const said = Object.entries(hit.said).map(([name, verdict]) => `, ${name}: ${verdict}`);
    const profile = hit.profile_distance === undefined ? "" : `, by profile ${hit.profile_distance.toPrecision(3)}`;
    li.append(sound, " ", see, " ", ...(chosenClass() ? [same, " "] : []));
    li.append(`${nameOf(hit)}, distance ${hit.distance.toPrecision(3)}${profile}`, ...said);
    return li;
  };
  const like = async profile => {
    if (!shown) return;
    const mine = asked;
    const list = $("like");
    list.textContent = "searching ...";
    try {
      const hits = await ask(`/like/${shown.row}${profile ? "?profile=1" : ""}`);
      if (mine !== asked) return;
      list.replaceChildren(...hits.map(likeItem));
      if (hits.length === 0) list.textContent = "nothing is like it";
    } catch (error) {
      if (mine === asked) list.textContent = error.message;
    }
  };

  const restart = () => {
    sessionStorage.setItem("class", chosenClass());
    $("band").parentElement.hidden = $("by").value !== "band";
    ahead = [];
    given = new Set(shown ? [shown.row] : []);
    if (shown && $("show").value !== "undecided") shown.row = 0; // from the first one on
    return inTurn(next);
  };
  for (const id of ["class", "by", "band", "show", "site", "day"]) {
    $(id).addEventListener("change", () => {
      $(id).blur();
      restart();
    });
  }
  const turn = (id, by) => {
    const select = $(id);
    select.selectedIndex = (select.selectedIndex + by + select.options.length) % select.options.length;
    say(`${id}: ${select.value || "all"}`);
    restart();
  };
  const showCluster = () => {
    $("cluster").hidden = !cluster;
    $("cluster").querySelector("output").textContent = cluster ?? "";
  };
  $("all").addEventListener("click", () => {
    cluster = null;
    showCluster();
    restart();
  });

  const keys = {
    y: () => answer("yes"),
    n: () => answer("no"),
    u: () => answer("unsure"),
    z: undo,
    m: () => like(false),
    M: () => like(true),
    c: () => turn("class", 1),
    b: () => turn("by", 1),
    f: () => turn("show", 1),
    "[": () => turn("band", -1),
    "]": () => turn("band", 1),
    " ": () => shown && play(shown.row),
    "/": () => $("name").focus(),
    a: () => cluster && $("name-all").focus(),
    ArrowRight: () => inTurn(next),
    ArrowLeft: () => inTurn(back),
  };
  for (let i = 1; i <= 9; i++) keys[i] = () => names[i - 1] !== undefined && giveName(names[i - 1]);
  onKeys(keys);
  for (const button of document.querySelectorAll("[data-key]")) {
    button.addEventListener("click", keys[button.dataset.key]);
  }
  for (const [id, use] of Object.entries({name: giveName, "name-all": nameCluster})) {
    $(id).addEventListener("keydown", event => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      const name = $(id).value.trim();
      $(id).value = "";
      $(id).blur();
      if (event.key === "Enter" && name !== "") use(name);
    });
  }

  const tick = () => {
    const cursor = $("cursor");
    const isHere = shown && playing && playing === kept.get(shown.row)?.sound && playing.duration > 0;
    cursor.hidden = !isHere;
    if (isHere) cursor.style.left = (100 * playing.currentTime) / playing.duration + "%";
    requestAnimationFrame(tick);
  };
  tick();

  const wanted = query.get("class") ?? sessionStorage.getItem("class");
  if (names.includes(wanted)) $("class").value = wanted;
  else if (names.length > 0 && !cluster) $("class").value = names[0];
  drawNames();
  showCluster();
  const start = parseInt(location.hash.slice(1), 10);
  inTurn(Number.isInteger(start) ? () => show(start, false).then(fill) : next);
})();
