// The browser's passkey dialogue. Without it, or without passkeys here, the password form is all there is.
"use strict";

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

async function ask(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRF": document.body.dataset.csrf },
    body: JSON.stringify(body),
  });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.problem);
  return found;
}

async function create(options) {
  options.challenge = bytes(options.challenge);
  options.user.id = bytes(options.user.id);
  for (const one of options.excludeCredentials || []) one.id = bytes(one.id);
  const made = await navigator.credentials.create({ publicKey: options });
  return {
    id: made.id,
    rawId: text(made.rawId),
    type: made.type,
    response: {
      clientDataJSON: text(made.response.clientDataJSON),
      attestationObject: text(made.response.attestationObject),
      transports: made.response.getTransports ? made.response.getTransports() : [],
    },
    clientExtensionResults: made.getClientExtensionResults(),
  };
}

async function get(options) {
  options.challenge = bytes(options.challenge);
  const found = await navigator.credentials.get({ publicKey: options });
  return {
    id: found.id,
    rawId: text(found.rawId),
    type: found.type,
    response: {
      clientDataJSON: text(found.response.clientDataJSON),
      authenticatorData: text(found.response.authenticatorData),
      signature: text(found.response.signature),
      userHandle: found.response.userHandle ? text(found.response.userHandle) : null,
    },
    clientExtensionResults: found.getClientExtensionResults(),
  };
}

for (const box of document.querySelectorAll("[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  const [button, line] = [box.querySelector("button"), box.querySelector("[role=alert]")];
  const problems = JSON.parse(box.dataset.problems);
  box.hidden = false;
  button.addEventListener("click", async () => {
    const field = document.getElementById(box.dataset.field);
    const name = field ? field.value : "";
    button.disabled = true;
    line.hidden = true;
    try {
      const { number, options } = await ask(`${box.dataset.path}/options`, { name });
      const credential = await (box.dataset.passkey === "create" ? create(options) : get(options));
      const { next } = await ask(box.dataset.path, { number, credential, name, next: box.dataset.next || null });
      location.assign(next);
    } catch (error) {
      line.textContent = problems[error.message] || problems.other;
      line.hidden = false;
      button.disabled = false;
    }
  });
}
