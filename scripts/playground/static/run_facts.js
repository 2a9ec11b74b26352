// What a run says of itself beside its curves: the doctor's findings, and policies before and after.

import { button, el, icon } from "./dom.js";

const percent = (share) => `${Math.round(100 * share)} %`;

/** Return both; `onSet(name)` shows the episodes of a policy whose file is among `sets`. */
export function runFacts({ policies, findings, sets }, onSet) {
  const known = new Set(sets.map((one) => one.name));
  return el(
    "div",
    { class: "run-facts" },
    findings.length > 0 && el("section", { class: "findings", "aria-label": "What the doctor found" }, el("h2", { text: "What the doctor found" }), el("ul", {}, findings.map(finding))),
    policies.length > 0 && el("section", { "aria-label": "Policies" }, el("h2", { text: "Held-out questions" }), el("div", { class: "wide-table", tabindex: "0", role: "region", "aria-label": "Policies, a table" }, table(policies, known, onSet))),
  );
}

function finding(one) {
  return el("li", { class: `finding ${one.severity}` }, icon("warn"), el("div", {}, el("p", {}, el("strong", { text: one.name }), one.step ? ` at step ${one.step}` : ""), el("p", { class: "facts", text: one.evidence }), el("p", { class: "facts", text: one.advice })));
}

function table(policies, known, onSet) {
  const head = ["Policy", "Right", "95 %", "Turns", "Split"].map((text) => el("th", { scope: "col", text }));
  return el("table", { class: "policies" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, policies.map((one) => row(one, known, onSet))));
}

function row(one, known, onSet) {
  const name = known.has(one.name) ? button(one.name, () => onSet(one.name), { class: "link", title: "Show its episodes" }) : one.name;
  const meter = el("span", { class: "meter", "aria-hidden": "true" }, el("span", { class: "filled" }));
  meter.firstChild.style.width = `${100 * one.accuracy}%`;
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, name, one.role !== one.name && el("span", { class: "hint", text: ` ${one.role}` })),
    el("td", {}, meter, ` ${percent(one.accuracy)}`),
    el("td", { text: one.ci95.map((bound) => Math.round(100 * bound)).join(" to ") }),
    el("td", { text: one.mean_turns.toFixed(1) }),
    el("td", { text: `${one.split}, ${one.num_questions}` }),
  );
}
