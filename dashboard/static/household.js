// A household's pages beyond HTML: they follow the record, and draw the tables beside the charts.
// Everything shown is also in the page without it.
"use strict";

// -- following the record -------------------------------------------------------------------

const follow = document.getElementById("follow");
// An accelerated clock settles faster than anybody reads.
const SHORTEST_MS = 600;
let stream = null;
let timer = null;
let refreshed = 0;

function shownCounter() {
  return document.querySelector("[data-counter]").dataset.counter;
}

function say(state) {
  const shown = document.getElementById("link");
  if (shown) shown.dataset.state = state;
}

function listen() {
  if (!follow || stream || document.hidden) return;
  stream = new EventSource(follow.dataset.events);
  stream.addEventListener("change", (event) => {
    say("live");
    if (event.data !== shownCounter()) refreshSoon();
  });
  stream.onopen = () => say("live");
  stream.onerror = () => {
    say("lost");
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
}

// A page nobody looks at holds no connection; it catches up when it is seen again.
document.addEventListener("visibilitychange", () => (document.hidden ? pause() : listen()));
window.addEventListener("pagehide", pause);
window.addEventListener("pageshow", listen);

// How old the figures are goes on while the page stands open.
const began = performance.now();
function grow() {
  const shown = document.querySelector("time[data-age]");
  if (!shown) return;
  const born = shown.born ?? (shown.born = performance.now());
  const age = Number(shown.dataset.age) + (performance.now() - born) / 1000;
  if (age < 120 || performance.now() - began < 60_000) return;
  const words = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" });
  shown.textContent = age < 7200 ? words.format(-Math.floor(age / 60), "minute") : words.format(-Math.floor(age / 3600), "hour");
}
setInterval(grow, 20_000);
grow();

// -- tables as charts -----------------------------------------------------------------------

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

function rows(pen) {
  pen.fillRect(0, 1, 8, 1.6);
  pen.fillRect(0, 5, 8, 1.6);
}

const FILLS = {
  own: (c) => pattern(c, "--roof", () => {}),
  bought: (c) => pattern(c, "--bought", dots),
  sold: (c) => pattern(c, "--sold", stripes),
  "from-grid": (c) => pattern(c, "--grid", rows),
  "to-grid": (c) => pattern(c, "--grid", rows),
};

// What a table holds: its rows' beginnings, ends and names, and the columns it names.
function read(table) {
  const heads = [...table.tHead.rows[0].cells].map((cell) => cell.dataset.s);
  const lines = [...table.tBodies[0].rows].filter((row) => row.cells.length > 1);
  const columns = {};
  heads.forEach((name, i) => {
    if (name) columns[name] = lines.map((row) => (row.cells[i] && row.cells[i].dataset.v !== undefined ? Number(row.cells[i].dataset.v) : null));
  });
  return {
    columns,
    names: lines.map((row) => row.cells[0].textContent.trim()),
    starts: lines.map((row, i) => Number(row.dataset.start ?? i)),
    ends: lines.map((row, i) => Number(row.dataset.end ?? i + 1)),
    begin: Number(table.dataset.begin),
    finish: Number(table.dataset.finish),
  };
}

function amount(value, unit) {
  if (value === null || value === undefined) return "";
  if (unit === "W" && value < 1000) return `${value}\u00a0W`;
  return `${(value / 1000).toLocaleString(document.documentElement.lang, { maximumFractionDigits: unit === "W" ? 1 : 2 })}\u00a0k${unit}`;
}

function axes(x, y) {
  const font = `13px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { font, stroke: colour("--quiet"), ticks: { show: false }, grid: { stroke: colour("--line"), width: 1 } };
  return [
    { ...axis, size: 30, ...x },
    { ...axis, size: 44, space: 40, labelFont: font, labelSize: 18, labelGap: 0, ...y },
  ];
}

const PLAIN = { legend: { show: false }, padding: [12, 20, 0, 0] };
const CURSOR = { y: false, points: { show: false }, drag: { x: false, y: false } };

// Hours of a local day at which the axis is marked.
function hours(found) {
  const zone = document.querySelector("[data-timezone]").dataset.timezone;
  const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: zone });
  const step = (found.finish - found.begin) / 3600 > 14 ? 6 : 3;
  const times = [];
  const labels = [];
  for (let at = Math.ceil(found.begin / 3600) * 3600; at < found.finish; at += 3600) {
    const text = clock.format(new Date(at * 1000));
    if (Number(text.slice(0, 2)) % step === 0 && text.endsWith("00") && labels.at(-1) !== text) {
      times.push(at);
      labels.push(text);
    }
  }
  return { splits: () => times, values: () => labels };
}

function readout(box, found, convert, unit) {
  const show = (index) => {
    const card = box.closest("section");
    const known = index !== null && index !== undefined && index < found.starts.length;
    const when = card.querySelector("[data-read-when]");
    if (when) when.textContent = known ? found.names[index] : "";
    for (const cell of card.querySelectorAll("[data-read]")) {
      const column = found.columns[cell.dataset.read];
      cell.textContent = known && column ? amount(convert(column[index], index), unit) : "";
    }
  };
  return (u) => show(u.cursor.left >= 0 ? u.posToIdx(u.cursor.left) : null);
}

// A day: mean power by interval.
function power(found, box) {
  const mean = (wh, i) => (wh === null ? null : Math.round((wh * 3600) / (found.ends[i] - found.starts[i])));
  const step = uPlot.paths.stepped({ align: 1 });
  const column = (name) => (found.columns[name] ?? found.starts.map(() => null)).map(mean);
  // A step reaches to the next moment: the last known value is repeated where figures end.
  const times = [...found.starts, found.ends.at(-1) ?? found.finish];
  const drawn = (name) => {
    const values = column(name);
    // What never happened on a day draws no line along zero.
    return values.some((value) => value) ? [...values, values.at(-1)] : times.map(() => null);
  };
  const area = (name) => ({ width: 0, fill: (u) => FILLS[name](u.ctx), paths: step, points: { show: false } });
  return {
    data: [times, drawn("generation"), drawn("sold"), drawn("bought"), drawn("use")],
    options: {
      ...PLAIN,
      cursor: CURSOR,
      scales: {
        x: { time: false, range: () => [found.begin, found.finish] },
        y: { range: (_u, _low, high) => [0, Math.max(500, (high || 0) * 1.08)] },
      },
      axes: axes(hours(found), { label: "kW", values: (_u, ticks) => ticks.map((w) => `${w / 1000}`) }),
      series: [
        {},
        { stroke: colour("--roof"), width: 2, fill: colour("--roof-soft"), paths: step, points: { show: false } },
        area("sold"),
        area("bought"),
        { stroke: colour("--ink"), width: 2.25, paths: step, points: { show: false } },
      ],
      hooks: { setCursor: [readout(box, found, mean, "W")] },
    },
  };
}

// Bars of parts: what a use came from upwards, what left the home downwards.
function stacked(found, box) {
  const value = (name, i) => (found.columns[name] ? (found.columns[name][i] ?? 0) : 0);
  const up = ["own", "bought", "from-grid"];
  const down = ["sold", "to-grid"];
  const sum = (names, i) => names.reduce((total, name) => total + value(name, i), 0);
  const places = found.starts.map((_, i) => i);
  const most = Math.max(100, ...places.map((i) => sum(up, i)));
  const least = Math.max(0, ...places.map((i) => sum(down, i)));
  const bars = (u) => {
    const pen = u.ctx;
    const wide = (u.valToPos(1, "x", true) - u.valToPos(0, "x", true)) * 0.72;
    pen.save();
    for (const [names, sign] of [[up, 1], [down, -1]]) {
      for (const name of names) pen[name] = FILLS[name](pen);
      for (const i of places) {
        let at = 0;
        for (const name of names) {
          const wh = value(name, i) * sign;
          if (!wh) continue;
          const [from, to] = [u.valToPos(at, "y", true), u.valToPos(at + wh, "y", true)];
          pen.fillStyle = pen[name];
          pen.fillRect(u.valToPos(i, "x", true) - wide / 2, Math.min(from, to), wide, Math.abs(from - to));
          at += wh;
        }
      }
    }
    pen.strokeStyle = colour("--quiet");
    pen.lineWidth = window.devicePixelRatio || 1;
    pen.beginPath();
    pen.moveTo(u.bbox.left, u.valToPos(0, "y", true));
    pen.lineTo(u.bbox.left + u.bbox.width, u.valToPos(0, "y", true));
    pen.stroke();
    pen.restore();
  };
  return barChart(found, box, bars, -least, most);
}

// Bars beside each other: as it was, as an outline, and as it would have been.
function pairs(found, box) {
  const kinds = [["sold-was", "sold"], ["bought-was", "bought"]];
  const all = kinds.flat().flatMap((name) => found.columns[name]);
  const bars = (u) => {
    const pen = u.ctx;
    const slot = (u.valToPos(1, "x", true) - u.valToPos(0, "x", true)) * 0.8;
    const wide = slot / 4;
    const zero = u.valToPos(0, "y", true);
    pen.save();
    pen.strokeStyle = colour("--ink");
    pen.lineWidth = 1.5 * (window.devicePixelRatio || 1);
    kinds.flat().forEach((name, place) => {
      pen.fillStyle = place % 2 ? FILLS[name](pen) : "transparent";
      found.columns[name].forEach((wh, i) => {
        if (!wh) return;
        const left = u.valToPos(i, "x", true) - slot / 2 + place * wide + (place % 2 ? 0 : wide * 0.12);
        const top = u.valToPos(wh, "y", true);
        if (place % 2) pen.fillRect(left, top, wide * 0.88, zero - top);
        else pen.strokeRect(left, top, wide * 0.82, zero - top);
      });
    });
    pen.restore();
  };
  return barChart(found, box, bars, 0, Math.max(100, ...all));
}

function barChart(found, box, bars, low, high) {
  const places = found.starts.map((_, i) => i);
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `13px ${getComputedStyle(document.body).fontFamily}`;
  const widest = Math.max(...found.names.map((name) => pen.measureText(name).width)) + 14;
  const every = Math.ceil((places.length * widest) / Math.max(1, box.clientWidth - 70));
  return {
    data: [places, places.map(() => null)],
    options: {
      ...PLAIN,
      cursor: { ...CURSOR, x: false },
      scales: { x: { time: false, range: () => [-0.6, places.length - 0.4] }, y: { range: () => [low * 1.06, high * 1.06] } },
      axes: axes(
        { grid: { show: false }, splits: () => places, values: () => found.names.map((name, i) => (i % every ? "" : name)) },
        { label: "kWh", values: (_u, ticks) => ticks.map((wh) => `${Math.abs(wh) / 1000}`) },
      ),
      series: [{}, { points: { show: false } }],
      hooks: { draw: [bars], setCursor: [readout(box, found, (wh) => wh, "Wh")] },
    },
  };
}

// Prices of the coming hours; beside them the limits that a form holds.
function prices(found, box) {
  const step = uPlot.paths.stepped({ align: 1 });
  const times = [...found.starts, found.ends.at(-1)];
  const last = (name) => [...found.columns[name], found.columns[name].at(-1)];
  const form = document.getElementById(box.dataset.limits ?? "");
  const { scale: perUnit, unit } = document.getElementById(box.dataset.table).dataset;
  const scale = Number(perUnit);
  const limit = (name) => {
    if (!form || !form.elements[`${name}_on`].checked) return times.map(() => null);
    const ticks = Math.round(Number(form.elements[name].value.replace(",", ".")) * scale);
    return times.map(() => (Number.isFinite(ticks) ? ticks : null));
  };
  const line = (name, width, dash) => ({ stroke: colour(name), width, dash, paths: step, points: { show: false } });
  const data = [times, last("charges"), last("neighbours"), last("pays")];
  const series = [{}, line("--ink", 2, [8, 5]), line("--sold", 4), line("--grid", 2.5, [2, 4])];
  if (form) {
    data.push(limit("min_sell"), limit("max_buy"));
    series.push(line("--bought", 2, [14, 3]), line("--bought", 2, [14, 3]));
  }
  const frame = { ...found, begin: found.starts[0], finish: found.ends.at(-1) };
  return {
    data,
    options: {
      ...PLAIN,
      cursor: { show: false },
      scales: {
        x: { time: false, range: () => [frame.begin, frame.finish] },
        y: { range: (_u, low, high) => [Math.min(0, low), Math.max(high * 1.12, 1000)] },
      },
      axes: axes(hours(frame), { size: 52, label: unit, values: (_u, ticks) => ticks.map((t) => (t / scale).toLocaleString(document.documentElement.lang)) }),
      series,
    },
  };
}

const KINDS = { power, bars: stacked, pairs, prices };

function draw(box) {
  const table = document.getElementById(box.dataset.table);
  if (!table || !box.clientWidth) return;
  const found = read(table);
  if (box.chart) box.chart.destroy();
  box.textContent = "";
  box.dataset.drawn = "";
  if (!found.starts.length) return;
  const { data, options } = KINDS[box.dataset.chart](found, box);
  box.chart = new uPlot({ width: box.clientWidth, height: box.clientHeight, ...options }, data, box);
}

function drawAll() {
  for (const box of document.querySelectorAll("[data-chart]")) draw(box);
}

let width = 0;
new ResizeObserver(() => {
  const wide = document.documentElement.clientWidth;
  if (wide !== width) {
    width = wide;
    drawAll();
  }
}).observe(document.documentElement);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
document.addEventListener("htmx:afterSettle", drawAll);
// What a reader opened stays open when newer figures take its place.
const opened = new Set();
document.addEventListener("toggle", (event) => {
  const key = event.target.dataset.key;
  if (key && event.target.isConnected) event.target.open ? opened.add(key) : opened.delete(key);
}, true);
document.addEventListener("htmx:oobAfterSwap", (event) => {
  for (const details of document.querySelectorAll("details[data-key]")) details.open = opened.has(details.dataset.key);
  for (const box of document.querySelectorAll("[data-chart]")) {
    if (event.target.id === box.dataset.table) draw(box);
  }
});
const offer = document.getElementById("offer");
if (offer) {
  offer.addEventListener("input", () => draw(document.querySelector("[data-limits]")));
  offer.addEventListener("input", takenOnce);
  takenOnce();
  // The button that saves sends the form itself. A preview that is still due then would be sent as that button says.
  offer.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.requestConfig.verb !== "get") event.preventDefault();
  });
  // A refused offer says why where its week would stand.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target.id === "what-if" && event.detail.xhr.status === 422) event.detail.shouldSwap = true;
  });
}

// A home stands once in each list: what another field of it holds cannot be chosen.
function takenOnce() {
  for (const list of offer.querySelectorAll(".homes")) {
    const fields = [...list.querySelectorAll("select")];
    for (const field of fields) {
      const taken = new Set(fields.filter((other) => other !== field).map((other) => other.value));
      for (const option of field.options) option.disabled = option.value !== "" && taken.has(option.value);
    }
  }
}
listen();
