// What several pages have: numbers in words, small spectrograms, and maps of points.
"use strict";

// A number and what there are so many of: "1 window", "12 windows".
const count = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;

// A spectrogram of `bclua.plot.thumbnail` onto a canvas.
const drawMel = (canvas, buffer) => {
  const [bands, frames] = new Uint16Array(buffer, 0, 2);
  const values = new Uint8Array(buffer, 4);
  const image = new ImageData(frames, bands);
  for (let band = 0; band < bands; band++) {
    for (let t = 0; t < frames; t++) {
      const v = values[band * frames + t] / 255;
      const i = 4 * ((bands - 1 - band) * frames + t);
      image.data[i] = 255 * Math.min(1, 1.6 * v * v);
      image.data[i + 1] = 255 * Math.max(0, 1.3 * v * v - 0.15);
      image.data[i + 2] = 255 * Math.min(1, 0.25 + 0.9 * v * (1 - v) + Math.max(0, v - 0.8) * 3);
      image.data[i + 3] = 255;
    }
  }
  canvas.width = frames;
  canvas.height = bands;
  canvas.getContext("2d").putImageData(image, 0, 0);
};

// Colours of kinds of points, safe for the colour-blind; after them circles, squares and triangles.
const COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#8a6d3b"];
const TRIANGLE = [
  [0, -4.5],
  [4.5, 4],
  [-4.5, 4],
];
const drawPoint = (context, kind, x, y) => {
  context.fillStyle = kind > 0 ? COLOURS[(kind - 1) % COLOURS.length] : "#8886";
  const shape = Math.floor((kind - 1) / COLOURS.length) % 3;
  context.beginPath();
  if (kind === 0) context.arc(x, y, 2.5, 0, 7);
  else if (shape === 0) context.arc(x, y, 4, 0, 7);
  else if (shape === 1) context.rect(x - 3.5, y - 3.5, 7, 7);
  else for (const [dx, dy] of TRIANGLE) context.lineTo(x + dx, y + dy);
  context.fill();
};

// Points, `kind` from 1, 0 in grey and behind. A click chooses the nearest one, the functions `keys` the next one in
// a direction; `at` is the one chosen, -1 none.
const pointMap = (canvas, points, choose) => {
  const {x, y} = points;
  const context = canvas.getContext("2d");
  const [left, right] = [Math.min(...x), Math.max(...x)];
  const [top, bottom] = [Math.min(...y), Math.max(...y)];
  const MARGIN = 12;
  const map = {at: -1, kind: points.kind, hidden: new Set()};
  const scale = () => {
    const [w, h] = [canvas.clientWidth - 2 * MARGIN, canvas.clientHeight - 2 * MARGIN];
    return i => [
      MARGIN + (w * (x[i] - left)) / (right - left || 1),
      MARGIN + (h * (y[i] - top)) / (bottom - top || 1),
    ];
  };
  map.draw = () => {
    const ratio = devicePixelRatio;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    context.scale(ratio, ratio);
    const place = scale();
    for (const isInFront of [false, true]) {
      for (let i = 0; i < x.length; i++) {
        const kind = map.hidden.has(map.kind[i]) ? 0 : map.kind[i];
        if (kind > 0 === isInFront) drawPoint(context, kind, ...place(i));
      }
    }
    if (map.at < 0) return;
    context.strokeStyle = getComputedStyle(canvas).color;
    context.lineWidth = 2;
    context.beginPath();
    context.arc(...place(map.at), 8, 0, 7);
    context.stroke();
  };
  const go = i => {
    if (i < 0) return;
    map.at = i;
    map.draw();
    choose(i);
  };
  // The nearest point to a place of which something is true.
  const nearest = (px, py, is) => {
    const place = scale();
    let best = -1;
    let least = Infinity;
    for (let i = 0; i < x.length; i++) {
      const [qx, qy] = place(i);
      const d = (qx - px) ** 2 + (qy - py) ** 2;
      if (d < least && is(qx - px, qy - py, i)) [best, least] = [i, d];
    }
    return best;
  };
  canvas.addEventListener("click", event => {
    const rectangle = canvas.getBoundingClientRect();
    go(nearest(event.clientX - rectangle.left, event.clientY - rectangle.top, () => true));
  });
  const towards = is => () => {
    if (map.at < 0) go(0);
    else go(nearest(...scale()(map.at), (dx, dy, i) => i !== map.at && is(dx, dy)));
  };
  map.keys = {
    ArrowLeft: towards((dx, dy) => dx < -Math.abs(dy)),
    ArrowRight: towards((dx, dy) => dx > Math.abs(dy)),
    ArrowUp: towards((dx, dy) => dy < -Math.abs(dx)),
    ArrowDown: towards((dx, dy) => dy > Math.abs(dx)),
  };
  addEventListener("resize", map.draw);
  map.draw();
  return map;
};
