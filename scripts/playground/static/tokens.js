// A rollout token by token: which were sampled, how surprised the policy was, and what each was worth.
// Knows nothing of episodes or servers.

import { el } from "./dom.js";

const SURPRISE = [0.1, 0.7, 2, 4]; // nats: where the shades change
const number = (value, digits = 3) => (value < 0 ? "−" : "") + Math.abs(value).toFixed(digits);

export class Tokens {
  constructor(record) {
    this.facts = factsOf(record);
    this.detail = el("dl");
    this.text = el(
      "div",
      {
        class: "token-text",
        tabindex: "0",
        role: "group",
        "aria-label": "Tokens; the arrow keys go from one sampled token to the next",
        on: {
          pointerover: (event) => this.over(event),
          keydown: (event) => this.moved(event),
          focus: () => this.mark(this.current ?? this.facts.findIndex((one) => one.mask)),
        },
      },
      this.facts.map((one, place) => el("span", { class: one.mask ? `token sampled s${shade(one)}` : "token", data: { place } }, shown(one.token))),
    );
    this.element = el("section", { class: "tokens", "aria-label": "Tokens" }, this.legend(), this.text, el("div", { class: "token-facts", role: "status" }, this.detail));
    this.mark(this.facts.findIndex((one) => one.mask));
  }

  legend() {
    const sampled = this.facts.filter((one) => one.mask);
    const mean = sampled.reduce((sum, one) => sum + one.logprob, 0) / Math.max(1, sampled.length);
    const ratios = sampled.map((one) => one.ratio);
    const told = `${this.facts.length.toLocaleString("en")} tokens, ${sampled.length} sampled and trained on; mean logprob ${number(mean)}; ratio ${number(Math.min(...ratios))} to ${number(Math.max(...ratios))}`;
    const scale = ["as expected", "", "", "", "a surprise"].map((text, level) => el("span", { class: `token sampled s${level}`, text: text || " " }));
    return el("div", { class: "token-legend" }, el("p", { class: "facts", text: told }), el("p", { class: "facts", "aria-hidden": "true" }, scale, el("span", { class: "token", text: "read, not trained on" })));
  }

  over(event) {
    const place = event.target.closest(".token")?.dataset.place;
    if (place !== undefined) this.mark(Number(place));
  }

  mark(place) {
    if (place < 0 || place >= this.facts.length) return;
    this.text.children[this.current]?.classList.remove("current");
    this.current = place;
    this.text.children[place].classList.add("current");
    this.detail.replaceChildren(...details(this.facts[place]).map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", { text: value }))));
  }

  moved(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 8, ArrowUp: -8 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const sampled = this.facts.map((one, place) => (one.mask ? place : -1)).filter((place) => place >= 0);
    const at = sampled.findIndex((place) => place >= this.current);
    const next = sampled[Math.max(0, Math.min((at < 0 ? sampled.length - 1 : at) + by, sampled.length - 1))];
    this.mark(next);
    this.text.children[next].scrollIntoView({ block: "nearest" });
  }
}

function factsOf(record) {
  let at = -1;
  return record.tokens.map((token, place) => {
    if (!record.mask[place]) return { token, mask: 0 };
    at += 1;
    const [logprob, old] = [record.logprobs[at], record.old_logprobs[at]];
    return { token, mask: 1, logprob, sampler: record.sampled[at], ratio: Math.exp(logprob - old), advantage: record.advantages[at], weight: record.weights?.[at] ?? 1 };
  });
}

function details(one) {
  const token = ["token", JSON.stringify(one.token)];
  if (!one.mask) return [token, ["mask", "0: read, not trained on"]];
  return [
    token,
    ["mask", "1: sampled and trained on"],
    ["logprob", `${number(one.logprob)} (${(100 * Math.exp(one.logprob)).toFixed(1)} %)`],
    ["sampler's", number(one.sampler)],
    ["ratio", number(one.ratio)],
    ["advantage", number(one.advantage)],
    ["weight", number(one.weight, 2)],
  ];
}

function shade(one) {
  return SURPRISE.filter((bound) => -one.logprob > bound).length;
}

function shown(token) {
  return token.replaceAll("\n", "⏎\n") || "∅";
}
