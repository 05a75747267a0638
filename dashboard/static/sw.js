// Keeps the last version of a household's own pages, to be read without a connection.
//
// The server marks what may be kept with X-Offline, a tag of the account that asked. What another account asked for,
// or an answer after signing out, empties the cache first: nobody reads what somebody else has left on a device.
"use strict";

const PAGES = "pages-1";
const PARTS = "parts-1";
const MOST = 80;
const KEPT_AT = "X-Kept-At";

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(PARTS).then((parts) => parts.add("/offline")).then(() => self.skipWaiting()));
});
self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches.keys()
      .then((names) => Promise.all(names.filter((name) => ![PAGES, PARTS].includes(name)).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const request = event.request;
  const url = new URL(request.url);
  if (url.origin !== location.origin) return;
  if (request.method !== "GET") {
    // Signing in or out, or erasing the account: what was kept may be somebody else's now.
    if (/^\/(sign-|invitation\/|account\/(erase|sign-out))/.test(url.pathname)) event.waitUntil(caches.delete(PAGES));
    return;
  }
  if (url.pathname.endsWith("/events") || url.pathname === "/health") return;
  if (url.pathname.startsWith("/static/")) event.respondWith(part(request));
  else if (request.mode === "navigate" || url.pathname.startsWith("/household/")) event.respondWith(page(request));
});

async function part(request) {
  const parts = await caches.open(PARTS);
  try {
    const answer = await fetch(request);
    if (answer.ok) await parts.put(request, answer.clone());
    return answer;
  } catch (error) {
    const kept = await parts.match(request);
    if (kept) return kept;
    throw error;
  }
}

async function page(request) {
  let answer;
  try {
    answer = await fetch(request);
  } catch (error) {
    return offline(request, error);
  }
  const tag = answer.headers.get("X-Offline");
  const type = answer.headers.get("Content-Type") || "";
  // Whoever is signed in is led away from the sign-in page: who sees it has signed out, or was.
  if (answer.status === 401 || (answer.ok && new URL(request.url).pathname === "/sign-in")) await caches.delete(PAGES);
  else if (tag && answer.ok && /^(text\/html|application\/json)/.test(type)) await keep(request, answer.clone(), tag);
  return answer;
}

async function keep(request, answer, tag) {
  let pages = await caches.open(PAGES);
  const owner = await pages.match("/owner");
  if (!owner || (await owner.text()) !== tag) {
    await caches.delete(PAGES);
    pages = await caches.open(PAGES);
    await pages.put("/owner", new Response(tag));
  }
  const headers = new Headers(answer.headers);
  headers.set(KEPT_AT, new Date().toISOString());
  await pages.put(request.url, new Response(await answer.blob(), { status: 200, headers }));
  const kept = await pages.keys();
  // In the order in which they were put: /owner, then the page that was longest not seen.
  for (const old of kept.slice(1, Math.max(1, kept.length - MOST))) await pages.delete(old);
}

async function offline(request, error) {
  const pages = await caches.open(PAGES);
  const kept = await pages.match(request.url);
  if (kept && request.mode === "navigate") {
    // The page says itself how old it is; see site.js.
    const html = (await kept.text()).replace("<html ", `<html data-offline="${kept.headers.get(KEPT_AT)}" `);
    return new Response(html, { status: 200, headers: kept.headers });
  }
  if (kept) return kept;
  if (request.mode === "navigate") {
    const nothing = await (await caches.open(PARTS)).match("/offline");
    if (nothing) return nothing;
  }
  throw error;
}
