// What every page does: register the service worker, and say how old a page is that came without a connection.
"use strict";

if ("serviceWorker" in navigator) navigator.serviceWorker.register("/sw.js");

const since = document.documentElement.dataset.offline;
const banner = document.getElementById("offline");
if (since && banner) {
  // Times of 24 hours, as on every page.
  const language = { en: "en-GB" }[document.documentElement.lang] || document.documentElement.lang;
  const show = () => {
    const minutes = Math.max(0, Math.round((Date.now() - Date.parse(since)) / 60000));
    const [count, unit] = minutes < 60 ? [minutes, "minute"]
      : minutes < 2880 ? [Math.round(minutes / 60), "hour"] : [Math.round(minutes / 1440), "day"];
    const at = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(since));
    const age = new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(-count, unit);
    banner.textContent = banner.dataset.text.replace("{at}", `${at} (${age})`);
  };
  show();
  setInterval(show, 60000);
  banner.hidden = false;
  // Back as soon as there is a connection again.
  window.addEventListener("online", () => location.reload());
}
