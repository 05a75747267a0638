// A page that shows the newest interval follows it; long work is asked for again until it is done. Without this
// script the pages are the same, and are loaded again by hand.
"use strict";

const SHORTEST_MS = 2000;
const AGAIN_MS = 2000;

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".operator");
  const shown = document.querySelector(".operator");
  // Nothing moves under the hands of somebody who types or chooses.
  if (!fresh || shown.contains(document.activeElement)) return;
  const places = [...shown.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  shown.replaceWith(document.adoptNode(fresh));
  [...fresh.querySelectorAll(".scroll")].forEach((box, i) => { box.scrollLeft = places[i] ?? 0; });
  again();
}

function again() {
  if (document.querySelector("[data-again]")) setTimeout(refresh, AGAIN_MS);
}

function follow(address) {
  let stream = null;
  let first = true;
  let timer = null;
  let refreshed = 0;
  const changed = () => {
    // The stream begins with what the page already shows.
    if (first) { first = false; return; }
    timer ??= setTimeout(() => { timer = null; refreshed = Date.now(); refresh(); },
      Math.max(0, refreshed + SHORTEST_MS - Date.now()));
  };
  const listen = () => {
    if (stream || document.hidden) return;
    stream = new EventSource(address);
    stream.addEventListener("change", changed);
  };
  // A page nobody looks at holds no connection; it catches up when it is seen again.
  const pause = () => { if (stream) stream.close(); stream = null; };
  document.addEventListener("visibilitychange", () => (document.hidden ? pause() : listen()));
  window.addEventListener("pagehide", pause);
  window.addEventListener("pageshow", listen);
  listen();
}

const followed = document.querySelector("[data-follow]");
if (followed) follow(followed.dataset.follow);
again();
