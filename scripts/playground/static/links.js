// Addresses in mails and answers: shown as text, followed only after a click that shows where they lead.

import { button, el } from "./dom.js";

const ADDRESS = /\bhttps?:\/\/[^\s<>"'`\\{}|^\]]+[^\s<>"'`\\{}|^\].,;:!?)]/gi;
const MAX_LINKS = 2000; // of one text: more are left as text

/** Return `text` as nodes, its web addresses as buttons. */
export function withLinks(text) {
  const nodes = [];
  let at = 0;
  for (const found of text.matchAll(ADDRESS)) {
    if (nodes.length > MAX_LINKS) break;
    nodes.push(text.slice(at, found.index), link(found[0]));
    at = found.index + found[0].length;
  }
  nodes.push(text.slice(at));
  return nodes.filter((node) => node !== "");
}

function link(address) {
  return button(address, () => ask(address), { class: "link", title: "Show where this leads" });
}

function ask(address) {
  const dialog = el("dialog", { class: "leaving", "aria-labelledby": "leaving-title" });
  const close = () => dialog.close();
  let host = "";
  try {
    host = new URL(address).host;
  } catch {
    // shown in full below
  }
  dialog.append(
    el("h2", { id: "leaving-title", text: "Open this address?" }),
    el("p", {}, "It comes from a mail or a model, and leads to ", el("strong", { text: host || "nowhere" }), "."),
    el("code", { class: "address", text: address, tabindex: "0" }),
    el(
      "div",
      { class: "actions" },
      button("Stay here", close, { class: "primary", autofocus: true }),
      host &&
        el("a", { class: "plain button", href: address, target: "_blank", rel: "noopener noreferrer nofollow", on: { click: close } }, "Open in a new tab"),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
