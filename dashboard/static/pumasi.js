// What a page does beyond HTML: follow changes, and draw the day.
// Everything shown is also in the page without it.
"use strict";

// -- following changes ----------------------------------------------------------------------

const follow = document.getElementById("follow");
const link = document.getElementById("link");
// An accelerated clock settles faster than anybody reads.
const SHORTEST_MS = 600;
let stream = null;
let timer = null;
let refreshed = 0;

function shownCounter() {
  return document.getElementById("sentence").dataset.counter;
}

function listen() {
  if (stream || document.hidden) return;
  stream = new EventSource(follow.dataset.events);
  stream.addEventListener("change", (event) => {
    link.dataset.state = "live";
    if (event.data !== shownCounter()) refreshSoon();
  });
  stream.onopen = () => { link.dataset.state = "live"; };
  stream.onerror = () => {
    link.dataset.state = "lost";
    // The browser tries again by itself unless the server's answer was no stream.
    if (stream && stream.readyState === EventSource.CLOSED) {
      stream = null;
      setTimeout(listen, 3000);
    }
  };
}

function pause() {
  if (stream) stream.close();
  stream = null;
}

function refreshSoon() {
  if (timer === null) timer = setTimeout(refresh, Math.max(0, refreshed + SHORTEST_MS - Date.now()));
}

function refresh() {
  timer = null;
  refreshed = Date.now();
  htmx.trigger(follow, "changed");
  load();
}

// A page nobody looks at holds no connection; it catches up when it is seen again.
document.addEventListener("visibilitychange", () => (document.hidden ? pause() : listen()));
window.addEventListener("pagehide", pause);
window.addEventListener("pageshow", listen);

// Choosing with a pointer needs no button; with the keyboard each arrow key would already leave the page.
const chooser = document.querySelector(".chooser select");
let pointed = false;
chooser.addEventListener("pointerdown", () => { pointed = true; });
chooser.addEventListener("keydown", () => { pointed = false; });
chooser.addEventListener("change", () => { if (pointed) chooser.form.submit(); });

// -- the day's chart ------------------------------------------------------------------------

const box = document.getElementById("chart");
const columns = ["generation_w", "use_w", "sold_w", "bought_w"];
let chart = null;
let day = null;
let loading = false;
let again = false;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// A small tile drawn in device pixels, so that areas differ without their colours.
function pattern(context, base, draw) {
  const scale = window.devicePixelRatio || 1;
  const tile = document.createElement("canvas");
  tile.width = tile.height = Math.round(8 * scale);
  const pen = tile.getContext("2d");
  pen.scale(tile.width / 8, tile.width / 8);
  pen.fillStyle = colour(base);
  pen.fillRect(0, 0, 8, 8);
  pen.fillStyle = pen.strokeStyle = colour("--pattern");
  draw(pen);
  return context.createPattern(tile, "repeat");
}

function stripes(pen) {
  pen.lineWidth = 2.2;
  pen.beginPath();
  for (const x of [-8, 0, 8]) {
    pen.moveTo(x - 1, 9);
    pen.lineTo(x + 9, -1);
  }
  pen.stroke();
}

function dots(pen) {
  pen.beginPath();
  pen.arc(4, 4, 1.6, 0, 2 * Math.PI);
  pen.fill();
}

function watts(value) {
  if (value === null || value === undefined) return "";
  return value < 1000 ? `${value}\u00a0W` : `${(value / 1000).toFixed(1)}\u00a0kW`;
}

function readout(u) {
  const index = u.cursor.left >= 0 ? u.cursor.idx : null;
  const known = index !== null && index !== undefined && day.use_w[index] !== null;
  document.getElementById("chart-when").textContent = known ? day.labels[index] : "";
  for (const name of columns) {
    // A home without a roof has no generation to read.
    const value = document.querySelector(`[data-column="${name}"]`);
    if (value) value.textContent = known ? watts(day[name][index]) : "";
  }
}

function options() {
  const font = `13px ${getComputedStyle(document.body).fontFamily}`;
  const step = uPlot.paths.stepped({ align: 1 });
  const axis = { font, stroke: colour("--quiet"), ticks: { show: false } };
  return {
    width: box.clientWidth,
    height: box.clientHeight,
    padding: [12, 22, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: {
      x: { time: false, range: () => [day.start, day.end] },
      y: { range: (_u, _low, high) => [0, Math.max(500, (high || 0) * 1.08)] },
    },
    axes: [
      {
        ...axis,
        splits: () => day.tick_times,
        values: () => day.tick_labels,
        grid: { stroke: colour("--line"), width: 1 },
        size: 30,
      },
      {
        ...axis,
        values: (_u, ticks) => ticks.map((w) => `${w / 1000}`),
        grid: { stroke: colour("--line"), width: 1 },
        size: 44,
        space: 44,
        label: "kW",
        labelFont: font,
        labelSize: 18,
        labelGap: 0,
      },
    ],
    series: [
      {},
      { stroke: colour("--roof"), width: 2, fill: colour("--roof-soft"), paths: step, points: { show: false } },
      { width: 0, fill: (u) => pattern(u.ctx, "--sold", stripes), paths: step, points: { show: false } },
      { width: 0, fill: (u) => pattern(u.ctx, "--bought", dots), paths: step, points: { show: false } },
      { stroke: colour("--ink"), width: 2.25, paths: step, points: { show: false } },
    ],
    hooks: { setCursor: [readout] },
  };
}

// A step reaches to the next moment: the last known value is repeated where figures end.
function extended(column) {
  return column.map((value, i) => (value === null && i > 0 ? column[i - 1] : value));
}

// What never happened on a day draws no line along zero.
function some(column) {
  return column.some((value) => value) ? column : column.map(() => null);
}

function data() {
  return [day.times, ...[day.generation_w, day.sold_w, day.bought_w, day.use_w].map(extended).map(some)];
}

function draw() {
  if (chart) chart.destroy();
  box.textContent = "";
  chart = new uPlot(options(), data(), box);
}

// One request at a time; changes during it lead to one more.
async function load() {
  if (loading) {
    again = true;
    return;
  }
  loading = true;
  try {
    const answer = await fetch(box.dataset.source);
    if (answer.ok) {
      const moved = day;
      day = await answer.json();
      if (chart && moved.day === day.day) chart.setData(data());
      else draw();
      box.dataset.drawn = day.counter;
    }
  } catch {
    // The stream tells when the server is back, and asks again.
  } finally {
    loading = false;
    if (again) {
      again = false;
      load();
    }
  }
}

new ResizeObserver(() => {
  if (chart) chart.setSize({ width: box.clientWidth, height: box.clientHeight });
}).observe(box);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (day) draw(); });

load();
listen();
