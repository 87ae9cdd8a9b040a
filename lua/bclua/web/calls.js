// The report's calls: small spectrograms that play, tables that sort, filter and play, a map. What is not in the page
// is played from the recordings, where the page finds them.
"use strict";
(() => {
  const bytesOf = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const make = (name, properties, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };
  const dataOf = element => {
    const data = JSON.parse(element.dataset.json);
    element.removeAttribute("data-json");
    return data;
  };
  const store = document.querySelector("[data-name=recordings]");
  const recordings = store && dataOf(store);

  // ---- Sound ----

  let playing = null; // {audio, done}: one sound at a time
  const stop = () => {
    if (!playing) return;
    const {audio, done} = playing;
    playing = null;
    audio.pause();
    done();
  };
  // Play an address; `end` in seconds; done() when it is over, fail(text) if it cannot be played.
  const start = (address, {from = 0, end = Infinity, rate = 1}, done, fail) => {
    stop();
    const audio = new Audio(address);
    audio.preservesPitch = false;
    audio.playbackRate = rate;
    const mine = {audio, done};
    playing = mine;
    const over = () => playing === mine && stop();
    const failed = () => {
      over();
      fail();
    };
    audio.addEventListener("timeupdate", () => audio.currentTime >= end && over());
    audio.addEventListener("ended", over);
    audio.addEventListener("error", failed);
    audio.addEventListener("loadedmetadata", () => {
      if (from > 0) audio.currentTime = from;
    });
    audio.play().catch(error => error.name !== "AbortError" && failed());
    return audio;
  };

  // A place in a recording: [number, start, seconds].
  const playPlace = ([number, from, seconds], done, say) => {
    const name = recordings.names[number];
    const path = `${recordings.root}/${name}`;
    const address = path.split("/").map(encodeURIComponent).join("/");
    const rate = 1 / recordings.slow[number];
    say("");
    start(address, {from, end: from + seconds, rate}, done, () =>
      say(`cannot play ${path}: the page looks for the recordings there, from its own folder`),
    );
  };

  // ---- Calls ----

  for (const button of document.querySelectorAll(".call button")) {
    const canvas = button.querySelector("canvas");
    const cursor = button.querySelector(".cursor");
    drawMel(canvas, bytesOf(canvas.dataset.mel).buffer);
    button.addEventListener("click", () => {
      const wasPlaying = button.classList.contains("playing");
      stop();
      if (wasPlaying) return;
      const end = () => {
        button.classList.remove("playing");
        cursor.hidden = true;
      };
      const audio = start(button.dataset.sound, {}, end, end);
      button.classList.add("playing");
      const tick = () => {
        if (!button.classList.contains("playing")) return;
        cursor.hidden = !(audio.duration > 0);
        cursor.style.left = (100 * audio.currentTime) / audio.duration + "%";
        requestAnimationFrame(tick);
      };
      tick();
    });
  }

  // ---- Tables ----

  const SHOWN = 25; // rows, and so many more at a time
  const isPlace = cell => Array.isArray(cell);
  const textOf = cell => {
    if (typeof cell !== "number") return cell ?? "";
    return Number.isInteger(cell) ? String(cell) : cell.toPrecision(4).replace(/\.?0+$/, "");
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), undefined, {numeric: true});
  };

  const showListing = box => {
    const {header, rows} = dataOf(box);
    const say = text => {
      status.textContent = text;
    };
    const status = make("p", {className: "status"});
    status.setAttribute("role", "status");
    const filter = make("input", {type: "search", placeholder: "filter"});
    filter.setAttribute("aria-label", "filter the rows");
    const count = make("span", {className: "note"});
    const body = make("tbody");
    const more = make("button", {type: "button", textContent: "more"});
    let by = -1;
    let way = 1;
    let shown = SHOWN;
    const isTime = header.map(name => name.endsWith("(s)"));
    const isNumber = header.map((_, i) => rows.every(row => typeof row[i] === "number" || /^\d+ (%|h)$/.test(row[i])));

    const cellOf = (cell, i) => {
      if (!isPlace(cell)) {
        const textContent = isTime[i] && typeof cell === "number" ? cell.toFixed(1) : textOf(cell);
        return make("td", {className: isNumber[i] ? "number" : "", textContent});
      }
      const button = make("button", {type: "button", className: "play", textContent: "\u25b6"});
      const reset = () => {
        button.textContent = "\u25b6";
      };
      button.setAttribute("aria-label", `play ${recordings.names[cell[0]]} at ${textOf(cell[1])} s`);
      button.addEventListener("click", () => {
        const wasPlaying = button.textContent === "\u25a0";
        stop();
        if (wasPlaying) return;
        button.textContent = "\u25a0";
        playPlace(cell, reset, say);
      });
      return make("td", {}, button);
    };
    const draw = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const has = row => {
        const text = row.filter(c => !isPlace(c)).map(textOf).join(" ").toLowerCase();
        return words.every(word => text.includes(word));
      };
      const found = rows.filter(has);
      if (by >= 0) {
        const isEmpty = row => row[by] === null || row[by] === "";
        found.sort((a, b) => isEmpty(a) - isEmpty(b) || way * compare(a[by], b[by]));
      }
      count.textContent = ` ${found.length} of ${rows.length}`;
      more.hidden = found.length <= shown;
      body.replaceChildren(...found.slice(0, shown).map(row => make("tr", {}, ...row.map(cellOf))));
    };
    const heads = header.map((name, i) => {
      const th = make("th", {className: isNumber[i] ? "number" : ""});
      if (name === "") return th;
      const button = make("button", {type: "button", textContent: name});
      button.addEventListener("click", () => {
        way = by === i ? -way : 1;
        by = i;
        heads.forEach(h => h.removeAttribute("aria-sort"));
        th.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
        draw();
      });
      th.append(button);
      return th;
    });
    filter.addEventListener("input", () => {
      shown = SHOWN;
      draw();
    });
    more.addEventListener("click", () => {
      shown *= 2;
      draw();
    });
    const table = make("table", {}, make("thead", {}, make("tr", {}, ...heads)), body);
    const scroller = make("div", {className: "table", tabIndex: 0}, table);
    box.append(...(rows.length > 5 ? [make("p", {}, filter, count)] : []), scroller, more, status);
    draw();
  };

  // ---- The map ----

  const showMap = box => {
    const points = dataOf(box);
    const canvas = make("canvas", {tabIndex: 0});
    canvas.setAttribute("aria-label", "map of the windows");
    const status = make("p", {className: "status"}, "click on a point, or go from one to the next with the arrow keys");
    status.setAttribute("role", "status");
    const legend = make("div", {className: "legend"});
    const clusters = Math.max(0, ...points.cluster);
    const ways = [];
    if (points.names.length > 0) {
      ways.push({title: box.dataset.what, kind: points.name, names: points.names});
    }
    if (clusters > 0) {
      const names = Array.from({length: clusters}, (_, c) => `cluster ${c + 1}`);
      ways.push({title: "cluster", kind: points.cluster, names});
    }
    const choice = make("div", {className: "choice"}, ways.length > 1 ? "colour by " : "");
    box.append(choice, canvas, status, legend);

    const play = i => {
      const place = [points.recording[i], points.start[i], points.seconds];
      const name = recordings.names[place[0]].replace(/^.*\//, "");
      const kinds = ways.map(w => (w.kind[i] > 0 ? w.names[w.kind[i] - 1] : "in no cluster"));
      const about = [name, `${textOf(place[1])} s`, ...kinds].join(", ");
      status.textContent = about;
      playPlace(place, () => {}, text => {
        if (text) status.textContent = `${about}; ${text}`;
      });
    };
    const map = pointMap(canvas, {x: points.x, y: points.y, kind: ways[0]?.kind ?? points.cluster}, play);
    canvas.addEventListener("keydown", event => {
      const act = event.key === " " ? () => map.at >= 0 && play(map.at) : map.keys[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    });
    const colour = way => {
      map.kind = way.kind;
      map.hidden.clear();
      for (const button of choice.children) button.setAttribute("aria-pressed", button.textContent === way.title);
      const entries = way.names.map((name, i) => {
        const sample = make("canvas", {width: 32, height: 32});
        const context = sample.getContext("2d");
        context.scale(2.6, 2.6);
        drawPoint(context, i + 1, 6, 6);
        const button = make("button", {type: "button"}, sample, " ", name);
        button.setAttribute("aria-pressed", "true");
        button.addEventListener("click", () => {
          const isHidden = !map.hidden.delete(i + 1);
          if (isHidden) map.hidden.add(i + 1);
          button.setAttribute("aria-pressed", String(!isHidden));
          map.draw();
        });
        return button;
      });
      legend.replaceChildren(...entries);
      map.draw();
    };
    for (const way of ways.length > 1 ? ways : []) {
      const button = make("button", {type: "button", textContent: way.title});
      button.addEventListener("click", () => colour(way));
      choice.append(button);
    }
    if (ways.length > 0) colour(ways[0]);
  };

  for (const box of document.querySelectorAll(".listing")) showListing(box);
  for (const box of document.querySelectorAll(".map")) showMap(box);
})();
