// One click: the household's own browser fetches its proof and checks it with the verifier (/verifier.js, `pumasi`).
// What this browser noted of the chain the last time stays in it, and is held against what it is shown today.
"use strict";
(() => {
  const place = document.getElementById("verify");
  const words = {};
  for (const term of document.querySelectorAll("#verify-words dt")) words[term.textContent] = term.nextElementSibling.textContent;
  const pinName = `pumasi-pin:${place.dataset.community}`;
  const field = (id) => document.getElementById(id);
  const HEADS_BACK = 500;
  pumasi.speak(document.documentElement.lang);

  function readPin() {
    try {
      const pin = JSON.parse(localStorage.getItem(pinName));
      return pin && Number.isSafeInteger(pin.number) && /^[0-9a-f]{64}$/.test(pin.head) ? pin : null;
    } catch {
      return null;
    }
  }

  async function load(path) {
    const answer = await fetch(path, { credentials: "same-origin", headers: { Accept: "application/json" } });
    const text = await answer.text();
    if (!answer.ok) {
      let said = answer.status;
      try { said = JSON.parse(text).detail || said; } catch { /* the number will do */ }
      throw new Error(`${words["cannot-load"]} ${said}`);
    }
    return text;
  }

  // The head that this browser noted must be among those that the newest one covers.
  async function checkPin(pin, proof) {
    const check = (holds, text) => ({ name: "pinned", holds, text });
    const newest = proof.newest;
    if (pin.key !== proof.public_key) return check(false, words["pinned-key"]);
    if (pin.number > newest.number) return check(false, words["pinned-shorter"]);
    const way = JSON.parse(await load(`${place.dataset.way}?newest=${newest.number}&number=${pin.number}`));
    let number = newest.number, head = newest.head;
    for (const link of way.links) {
      if (link.number !== number || pumasi.headOf(number, link.previous, link.skip, pumasi.bytes(link.entry)) !== head)
        return check(false, words["pinned-changed"]);
      const skip = pumasi.skip(number);
      [number, head] = skip >= pin.number ? [skip, link.skip] : [number - 1, link.previous];
    }
    return check(number === pin.number && head === pin.head, number === pin.number && head === pin.head ? words["pinned-holds"] : words["pinned-changed"]);
  }

  async function verify() {
    const text = await load(place.dataset.proof);
    const proof = JSON.parse(text), pin = readPin();
    const after = Math.max(0, proof.newest.number - HEADS_BACK);
    const heads = pumasi.headsOf(await load(`${place.dataset.heads}?after=${after}&most=1000`));
    const noted = pumasi.headsOf(field("verify-heads").value);
    const checks = pumasi.check(text, { heads: [...heads, ...noted], reading: field("verify-reading").value.trim() || null });
    if (pin && checks.every((one) => one.holds)) checks.push(await checkPin(pin, proof));
    return { proof, checks, pin };
  }

  function item(one) {
    const row = document.createElement("li"), mark = document.createElement("strong"), said = document.createElement("span");
    row.className = one.holds ? "good" : "bad";
    mark.textContent = one.holds ? `✓ ${words.holds}` : `✗ ${words.fails}`;
    said.textContent = words[`check.${one.name}`] || pumasi.say(one.name);
    const more = document.createElement("small");
    more.textContent = one.text;
    row.append(mark, said, more);
    return row;
  }

  function showPin(pin, first) {
    field("pinned").textContent = pin ? `${words[first ? "pinned-first" : "pinned-at"]} ${pin.number} · ${pin.head.slice(0, 16)}…` : "";
    field("forget").hidden = !pin;
  }

  async function run() {
    const verdict = field("verdict"), list = field("checks"), button = field("verify-now");
    button.disabled = true;
    list.replaceChildren();
    verdict.className = "";
    verdict.textContent = words.working;
    let holds = false;
    try {
      const { proof, checks, pin } = await verify();
      holds = checks.every((one) => one.holds);
      list.append(...checks.map(item));
      verdict.textContent = holds ? words.good : words.bad;
      if (holds) {
        const now = { number: proof.newest.number, head: proof.newest.head, key: proof.public_key };
        try { localStorage.setItem(pinName, JSON.stringify(now)); } catch { /* private windows keep nothing */ }
        showPin(now, !pin);
      }
    } catch (error) {
      list.append(item({ name: "input", holds: false, text: error.message }));
      verdict.textContent = words.bad;
    }
    verdict.className = holds ? "good" : "bad";
    button.disabled = false;
  }

  place.hidden = false;
  showPin(readPin(), false);
  field("verify-now").addEventListener("click", run);
  field("forget").addEventListener("click", () => {
    localStorage.removeItem(pinName);
    showPin(null, false);
  });
})();
