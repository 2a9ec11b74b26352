// The rollouts of one question side by side: what each did, earned, and was worth against its siblings.

import { button, el, plural } from "./dom.js";
import { OUTCOME_WORDS, outcomeTag } from "./run_list.js";
import { signed } from "./score.js";

/** Return the group; `onOpen(member)` opens one of them, `onTokens(member)` its tokens. */
export function group(data, { onOpen, onTokens }) {
  const most = Math.max(...data.members.map((one) => Math.abs(one.advantage ?? 0)), 0.01);
  return el(
    "section",
    { class: "group", "aria-label": "Group" },
    el("h2", { class: "asked", text: data.question }),
    data.answer !== null && el("p", { class: "facts", text: data.answer ? `Right answer: ${data.answer}` : "Nothing in this inbox answers it." }),
    el("p", { class: "facts", text: summary(data.members) }),
    el("ol", { class: "members", tabindex: "0", "aria-label": "Rollouts" }, data.members.map((one, place) => member(one, place, most, onOpen, onTokens))),
  );
}

function member(one, place, most, onOpen, onTokens) {
  return el(
    "li",
    { class: `member ${one.outcome}` },
    el("div", { class: "member-head" }, el("span", { class: "member-number", text: `Rollout ${place + 1}` }), outcomeTag(one)),
    el("p", { class: "reward", text: one.reward === null ? "no reward" : signed(one.reward) }),
    advantage(one, most),
    el("ol", { class: "calls" }, one.calls.map((call) => el("li", { class: call.is_error ? "refusal" : "", text: call.text }))),
    el("p", { class: "answer", text: one.line_text }),
    parts(one.parts),
    el("div", { class: "actions" }, one.has_tokens && button("Tokens", () => onTokens(one), { class: "quiet small", "aria-label": `Tokens of rollout ${place + 1}` }), button("Replay", () => onOpen(one), { class: "plain", "aria-label": `Replay rollout ${place + 1}` })),
  );
}

function advantage(one, most) {
  if (one.advantage === null) return el("p", { class: "advantage facts", text: "not compared" });
  const fill = el("span", { class: one.advantage >= 0 ? "fill up" : "fill down" });
  fill.style.width = `${(Math.abs(one.advantage) / most) * 50}%`;
  return el("p", { class: "advantage" }, el("span", { class: "facts", text: `advantage ${signed(one.advantage)}` }), el("span", { class: "gauge", "aria-hidden": "true" }, fill));
}

function parts(given) {
  const rows = Object.entries(given).filter(([, value]) => value !== 0);
  return rows.length > 0 && el("p", { class: "facts", text: rows.map(([name, value]) => `${name.replaceAll("_", " ")} ${signed(value)}`).join(", ") });
}

function summary(members) {
  const counts = new Map();
  for (const one of members) counts.set(one.outcome, (counts.get(one.outcome) ?? 0) + 1);
  const told = [...counts].map(([name, count]) => `${count} ${OUTCOME_WORDS[name] ?? (name || "not labelled")}`);
  return `${plural(members.length, "rollout")}: ${told.join(", ")}`;
}
