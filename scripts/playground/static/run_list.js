// The episodes of a run, filtered, as episodes, groups or steps. Knows nothing of what opening one means.

import { get } from "./api.js";
import { button, el, icon, plural } from "./dom.js";
import { signed } from "./score.js";
import { VirtualList } from "./virtual_list.js";

const DEBOUNCE_MS = 70;
export const OUTCOME_WORDS = { right: "right", wrong: "wrong", gave_up: "gave up", abstained: "rightly unknown", unscorable: "not scored" };
const LEVELS = [["episodes", "Episodes"], ["groups", "Groups"], ["steps", "Steps"]];
const FACETS = [["set", "Played in"], ["outcome", "Outcome"], ["kind", "Kind"], ["stop", "Ended by"]];
const ORDERS = [["played", "As played"], ["best", "Best first"], ["worst", "Worst first"]];
const EMPTY = { level: "episodes", q: "", set: "", outcome: "", kind: "", stop: "", step: null, jump: false, order: "played" };

export class RunList extends VirtualList {
  /** `filter` is what was chosen before; `onOpen(item, index)` is called when an item is chosen. */
  constructor({ at, filter, onOpen, onFilter, announce }) {
    super({ name: "run", label: "Episodes", announce });
    this.at = at;
    this.onOpen = onOpen;
    this.onFilter = onFilter;
    this.filter = { ...EMPTY, ...filter };
    this.selects = {};
    this.build();
  }

  build() {
    this.input = el("input", { type: "search", value: this.filter.q, placeholder: "Search the questions", "aria-label": "Search the questions", autocomplete: "off", spellcheck: "false", on: { input: () => this.typed(), keydown: (event) => this.pressed(event) } });
    this.levels = el("div", { class: "levels", role: "group", "aria-label": "Shown as" }, LEVELS.map(([level, label]) => button(label, () => this.changed({ level }), { "aria-pressed": String(this.filter.level === level), data: { level } })));
    for (const [name, label] of [...FACETS, ["order", "Order"]]) this.selects[name] = el("select", { "aria-label": label, on: { change: () => this.changed({ [name]: this.selects[name].value }) } });
    this.selects.order.append(...ORDERS.map(([value, text]) => el("option", { value, text })));
    this.selects.order.value = this.filter.order;
    this.jump = button([icon("up"), "Reward jump"], () => this.changed({ jump: !this.filter.jump }), { class: "chip-button" });
    this.step = button("", () => this.changed({ step: null }), { class: "chip-button" });
    this.clear = button("Clear", () => this.changed({ ...EMPTY, level: this.filter.level }), { class: "quiet small" });
    this.notes = el("ul", { class: "notes", "aria-label": "Notes" });
    this.element = el(
      "div",
      { class: "run-list" },
      el("div", { class: "search-row" }, this.input),
      this.levels,
      el("div", { class: "facets" }, Object.values(this.selects)),
      el("div", { class: "chip-row" }, this.jump, this.step, this.clear),
      this.status,
      this.notes,
      this.scroller,
    );
  }

  /** Change the filter and show what is left. */
  changed(change) {
    Object.assign(this.filter, change);
    if ("q" in change) this.input.value = change.q;
    this.onFilter(this.filter);
    return this.restart();
  }

  typed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.changed({ q: this.input.value.trim() }), DEBOUNCE_MS);
  }

  pressed(event) {
    if (event.key !== "ArrowDown" && event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    this.scroller.focus();
    if (event.key !== "Escape") this.choose(0);
  }

  focusSearch() {
    this.input.focus();
    this.input.select();
  }

  async fetchPage(page, signal) {
    const found = await get(`${this.at}/rows`, { ...filterParams(this.filter), page }, signal);
    if (page === 1) this.said(found);
    return { total: found.num_matches, pageSize: found.page_size, items: found.items };
  }

  said(found) {
    const { level } = this.filter;
    const of = found.num_episodes === found.num_all ? "" : ` of ${found.num_all.toLocaleString("en")}`;
    const whole = `${found.num_episodes.toLocaleString("en")}${of} ${found.num_all === 1 ? "episode" : "episodes"}`;
    this.status.textContent = level === "episodes" ? whole : `${plural(found.num_matches, level.slice(0, -1))}, ${whole}`;
    for (const [name, label] of FACETS) this.options(name, label, found.facets[name]);
    for (const tab of this.levels.children) tab.setAttribute("aria-pressed", String(tab.dataset.level === level));
    this.selects.order.value = this.filter.order;
    this.jump.hidden = !found.num_jumps && !this.filter.jump;
    this.jump.setAttribute("aria-pressed", String(this.filter.jump));
    this.step.hidden = this.filter.step === null;
    this.step.replaceChildren(`Step ${this.filter.step}`, icon("close"));
    this.step.setAttribute("aria-label", `Step ${this.filter.step}: show all steps`);
    this.clear.hidden = Object.keys(EMPTY).every((name) => name === "level" || this.filter[name] === EMPTY[name]);
    this.notes.replaceChildren(...found.notes.map((text) => el("li", { text })));
  }

  options(name, label, counts) {
    const values = Object.keys(counts).filter(Boolean).sort();
    const chosen = this.filter[name];
    if (chosen && !values.includes(chosen)) values.push(chosen);
    const select = this.selects[name];
    const text = (value) => (name === "outcome" ? OUTCOME_WORDS[value] ?? value : value.replaceAll("_", " "));
    select.replaceChildren(el("option", { value: "", text: label }), ...values.map((value) => el("option", { value, text: `${text(value)} (${(counts[value] ?? 0).toLocaleString("en")})` })));
    select.value = chosen;
    select.hidden = values.length === 0;
    select.classList.toggle("chosen", chosen !== "");
  }

  cells(item) {
    return { episodes: episodeCells, groups: groupCells, steps: stepCells }[this.filter.level](item);
  }

  opened(item, index) {
    this.onOpen(item, index);
  }
}

/** Return a filter as the server takes it. */
export function filterParams(filter) {
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== "" && value !== null && value !== false));
}

/** Return what a row says of an episode. */
export function episodeCells(item) {
  const where = item.step === null ? item.set : `step ${item.step}`;
  return [
    el("span", { class: "subject", text: item.question }),
    el("span", { class: "row-facts" }, outcomeTag(item), el("span", { class: "hint", text: `${where} · ${plural(item.num_turns, "turn")}${item.stop_reason === "answered" ? "" : ` · ${item.stop_reason.replaceAll("_", " ")}`}` }), reward(item)),
  ];
}

/** Return an outcome as a word with its colour. */
export function outcomeTag(item) {
  return item.outcome ? el("span", { class: `outcome ${item.outcome}`, text: OUTCOME_WORDS[item.outcome] ?? item.outcome }) : el("span", { class: "outcome", text: item.stop_reason.replaceAll("_", " ") });
}

function reward(item) {
  return item.reward === null ? null : el("span", { class: "reward-tag", text: signed(item.reward) });
}

function groupCells(item) {
  const spread = item.has_spread ? `${item.num_right} of ${item.size} right` : `${item.num_right} of ${item.size} right, nothing to learn`;
  return [
    el("span", { class: "subject", text: item.question }),
    el("span", { class: "row-facts" }, bars(item.rewards), el("span", { class: "hint", text: `${item.step === null ? item.set : `step ${item.step}`} · ${spread}` })),
  ];
}

/** Return rewards as small bars above and below a line. */
export function bars(rewards) {
  const most = Math.max(...rewards.map((one) => Math.abs(one ?? 0)), 0.01);
  return el("span", { class: "bars", "aria-hidden": "true" }, rewards.map((one) => {
    const bar = el("span", { class: one === null ? "bar none" : one >= 0 ? "bar up" : "bar down" });
    bar.style.height = `${Math.max(6, (Math.abs(one ?? 0) / most) * 50)}%`;
    return bar;
  }));
}

function stepCells(item) {
  const share = item.num_episodes ? item.num_right / item.num_episodes : 0;
  const meter = el("span", { class: "meter" }, el("span", { class: "filled" }));
  meter.firstChild.style.width = `${100 * share}%`;
  return [
    el("span", { class: "subject" }, `Step ${item.step}`, item.is_jump && el("span", { class: "outcome jump", text: "reward jump" })),
    el("span", { class: "row-facts" }, meter, el("span", { class: "hint", text: `${Math.round(100 * share)} % right · ${plural(item.num_groups, "group")} · ${plural(item.num_episodes, "episode")}` }), item.reward_mean !== null && el("span", { class: "reward-tag", text: signed(item.reward_mean) })),
  ];
}
