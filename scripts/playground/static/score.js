// Why this reward, and why the right mail was not found: draws the score of scoring.py.

import { button, day, el, plural } from "./dom.js";

export const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "±") + Math.abs(value).toFixed(2);
export const OUTCOMES = {
  right: "Right",
  wrong: "Wrong",
  gave_up: "Gave up",
  abstained: "Rightly: nobody could know",
  unscorable: "Cannot be scored",
  scored: "Scored",
};
const PARTS = {
  right: "a right answer",
  wrong: "a wrong answer",
  gave_up: "no answer, though there is one",
  abstained: "rightly no answer",
  cited: "cited what supports it",
  brevity: "few turns, few sources",
  process: "found and read the right mail",
  cut_short: "ended by a limit",
  invalid_calls: "calls that failed",
};

/** Return the score of an episode; `open(mail, quote)` opens a mail. */
export function score(data, open) {
  return el(
    "section",
    { class: `score ${data.outcome}`, "aria-label": "Score" },
    el("div", { class: "score-head" }, el("span", { class: "verdict", text: OUTCOMES[data.outcome] ?? data.outcome }), data.reward !== null && el("span", { class: "reward", text: signed(data.reward) })),
    ladder(data),
    data.verdict && el("p", { class: "facts", text: `Judge ${data.verdict}` }),
    data.gold ? gold(data, open) : known(data),
    data.searches.length > 0 && searches(data),
  );
}

function ladder(data) {
  const rows = Object.entries(data.parts);
  if (!rows.length) return el("p", { class: "facts", text: data.reason });
  return el(
    "table",
    { class: "ladder" },
    el("caption", { class: "hidden", text: "Reward, part by part" }),
    el("tbody", {}, rows.map(([name, value]) => el("tr", {}, el("th", { scope: "row", text: name.replace("_", " ") }), el("td", { class: "hint", text: PARTS[name] ?? "" }), el("td", { class: "value", text: signed(value) })))),
  );
}

/** Draw the label of an episode whose mail was not found. */
function known(data) {
  if (!data.has_label) return null;
  return el("div", { class: "gold" }, el("h4", { text: "Right answer" }), el("p", { class: "gold-answer", text: data.answer ?? "Nothing in this inbox answers it." }));
}

function gold(data, open) {
  const answer = data.answer === null ? "Nothing in this inbox answers it." : data.answer;
  const steps = [["listed", data.found], ["opened", data.read], ["cited", data.cited]];
  return el(
    "div",
    { class: "gold" },
    el("h4", { text: "Right answer" }),
    el("p", { class: "gold-answer", text: answer }),
    data.gold.map((mail) =>
      button([mail.quote && el("q", { text: mail.quote }), el("span", { class: "hint", text: `${mail.subject} · ${mail.from} · ${day(mail.date)}` })], () => open(mail, mail.quote), { class: "source" }),
    ),
    data.gold.length > 0 && el("p", { class: "steps" }, steps.map(([name, isDone]) => el("span", { class: isDone ? "step done" : "step", text: `${isDone ? "✓" : "✗"} ${name}` }))),
  );
}

function searches(data) {
  const several = data.gold.length > 1;
  return el(
    "details",
    { class: "why", open: !data.found },
    el("summary", { text: data.found ? "Where it stood in each search" : "Why it was not found" }),
    el("ol", {}, data.searches.map((search) => el("li", {}, verdict(search, several), words(search)))),
  );
}

function verdict(search, several) {
  if (search.num_found === null) return el("p", { text: `Turn ${search.turn}: the search took too long` });
  const places = search.ranks.map(({ number, rank }) => (several ? `no. ${number} ` : "") + (rank === null ? "not among them" : `at rank ${rank}`));
  const where = search.ranks.length ? `; the right mail ${places.join(", ")}` : "";
  return el("p", { text: `Turn ${search.turn}: ${plural(search.num_found, "mail")} found${where}` });
}

function words(search) {
  return el(
    "ul",
    { class: "words" },
    search.keywords.map(({ keyword, num_found, in_gold }) => {
      const missing = in_gold.length > 0 && !in_gold.some(Boolean);
      return el("li", { class: missing ? "missing" : "" }, el("span", { class: "chip", text: keyword }), ` ${plural(num_found, "mail")} alone`, in_gold.length > 0 && (missing ? ", not in the right mail" : ", in the right mail"));
    }),
  );
}
