// Panes beside each other, of which a small screen shows one at a time.

import { button, el, icon } from "./dom.js";

/** Return a pane of a desk. */
export function pane(name, label, ...content) {
  return el("section", { class: `pane ${name}`, "aria-label": label }, content);
}

/** Return the tabs of a desk and what goes to a pane; `panes` are [name, label, icon]. */
export function paneTabs(desk, panes) {
  const nav = el("nav", { class: "pane-tabs", "aria-label": "Panes" }, panes.map(([name, label, image]) => button([icon(image), label], () => goTo(name), { data: { pane: name }, "aria-pressed": "false" })));
  const goTo = (name) => {
    desk.dataset.pane = name;
    for (const tab of nav.children) tab.setAttribute("aria-pressed", String(tab.dataset.pane === name));
  };
  return { nav, goTo };
}
