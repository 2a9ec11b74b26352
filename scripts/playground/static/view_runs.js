// Looking into runs: puts the list, the curves, the replay, groups, tokens and comparisons together.
// The address says what is shown: #/runs/SOURCE, then nothing, `episode`, `tokens`, `group` or `pair` with FILE and LINE.

import { Failure } from "./api.js";
import { Curves } from "./curves.js";
import { button, el, icon } from "./dom.js";
import { group } from "./group.js";
import { Pair } from "./pair.js";
import { pane, paneTabs } from "./panes.js";
import { ReplayDesk } from "./replay_desk.js";
import { filterParams, outcomeTag, RunList } from "./run_list.js";
import { runFacts } from "./run_facts.js";
import { signed } from "./score.js";

const PANES = [["inbox", "Episodes", "list"], ["agent", "Curves", "up"]];
const memory = { filters: new Map(), places: new Map() }; // of this tab: coming back shows what was left

export async function mount(root, app, rest) {
  const start = await app.api.get("/api/runs/start");
  const number = Math.min(Number(rest[0]) || 0, start.sources.length - 1);
  const run = new Run(root, app, start, number);
  const [what, file, line, ...more] = rest.slice(1);
  if (what === "group") return run.showGroup({ file, line });
  if (what === "pair") return run.showPair({ file, line }, more);
  if (what === "episode" || what === "tokens") return run.showEpisode({ file, line }, what);
  return run.browse();
}

class Run {
  constructor(root, app, start, number) {
    Object.assign(this, { root, app, start, number });
    this.source = start.sources[number];
    this.at = `/api/runs/${number}`;
    this.filter = memory.filters.get(number) ?? {};
    app.commands.add(() => start.sources.map((one, place) => ({ title: `Run ${one.name}`, hint: one.path, run: () => app.go("runs", place) })));
  }

  go(what, item) {
    this.app.go("runs", this.number, what, item.file, item.line);
  }

  back() {
    this.app.go("runs", this.number);
  }

  // the list and the curves

  async browse() {
    const { app } = this;
    const list = new RunList({ at: this.at, filter: this.filter, announce: app.announce, onFilter: (filter) => memory.filters.set(this.number, filter), onOpen: (item, index) => this.opened(list, item, index) });
    const curves = new Curves({ metrics: this.start.metrics, numSteps: this.source.num_steps, onStep: (step) => list.changed({ step, level: "groups" }) });
    const facts = el("div");
    const hasMore = this.source.has_curves || this.source.has_facts;
    const desk = el("div", { class: "desk two", data: { pane: "inbox" } }, pane("inbox", "Episodes", this.picker(), list.element), hasMore && pane("agent", "Curves", el("div", { class: "log", tabindex: "0", role: "region", "aria-label": "Curves" }, this.source.has_curves && curves.element, facts)));
    if (hasMore) {
      const { nav, goTo } = paneTabs(desk, PANES);
      desk.append(nav);
      goTo("inbox");
    } else desk.classList.add("one");
    this.root.replaceChildren(desk);
    this.bindList(list);
    app.commands.add(() => [
      { title: "Export these episodes", hint: "one HTML file", run: () => this.save(list.filter) },
      { title: "Show episodes", run: () => list.changed({ level: "episodes" }) },
      { title: "Show groups", run: () => list.changed({ level: "groups" }) },
      { title: "Show steps", run: () => list.changed({ level: "steps" }) },
    ]);
    await list.restart();
    const place = memory.places.get(this.number);
    if (place !== undefined && place < list.total) list.choose(place);
    if (hasMore) facts.replaceWith(runFacts(await app.api.get(`${this.at}/facts`), (set) => list.changed({ set, step: null, level: "episodes" })));
    return this.watch(list, curves);
  }

  picker() {
    const { sources } = this.start;
    const save = button([icon("save"), "Export"], () => this.save(memory.filters.get(this.number) ?? {}), { class: "quiet small", title: "The episodes below as one HTML file" });
    if (sources.length === 1) return el("div", { class: "pane-head run-head" }, el("h1", { text: this.source.name }), save);
    const select = el("select", { "aria-label": "Run", on: { change: () => this.app.go("runs", select.value) } }, sources.map((one, place) => el("option", { value: place, text: one.name })));
    select.value = String(this.number);
    return el("div", { class: "pane-head run-head" }, select, save);
  }

  opened(list, item, index) {
    memory.places.set(this.number, index);
    if (list.filter.level === "steps") return list.changed({ step: item.step, level: "groups" });
    this.go(list.filter.level === "groups" ? "group" : "episode", item);
  }

  bindList(list) {
    const { keys } = this.app;
    keys.bind("/", "Search the questions", () => list.focusSearch());
    keys.bind("j", "Next", () => list.move(1));
    keys.bind("k", "Previous", () => list.move(-1));
    keys.bind("o", "Open", () => list.openCurrent());
    keys.bind("Enter", "Open", () => list.openCurrent());
    keys.bind("[", "Previous step of the run", () => this.toStep(list, -1));
    keys.bind("]", "Next step of the run", () => this.toStep(list, 1));
    keys.bind("x", "Export these episodes", () => this.save(list.filter));
  }

  async toStep(list, by) {
    const steps = await this.steps();
    const here = list.filter.step;
    const next = here === null ? (by > 0 ? steps[0] : steps.at(-1)) : by > 0 ? steps.find((step) => step > here) : steps.findLast((step) => step < here);
    if (next !== undefined) list.changed({ step: next });
  }

  async steps() {
    const found = [];
    for (let page = 1; ; page += 1) {
      const { items, num_matches } = await this.app.api.get(`${this.at}/rows`, { level: "steps", page });
      found.push(...items.map((item) => item.step));
      if (!items.length || found.length >= num_matches) return found;
    }
  }

  watch(list, curves) {
    const aborter = new AbortController();
    let isFirst = true;
    const hear = (name, data) => {
      curves.take(data);
      if (!isFirst) list.refresh();
      isFirst = false;
    };
    if (this.source.has_curves)
      this.app.api.stream(`${this.at}/watch`, {}, hear, aborter.signal).catch((error) => {
        if (error.name !== "AbortError" && !(error instanceof Failure)) throw error;
        if (error instanceof Failure) curves.head.textContent = error.message;
      });
    return () => aborter.abort();
  }

  save(params) {
    const { level, ...wanted } = filterParams(params);
    const query = new URLSearchParams(wanted);
    const link = el("a", { href: `${this.at}/export?${query}`, download: "mailsleuth-episodes.html" });
    link.click();
  }

  // one episode

  async showEpisode(where, what) {
    const { app } = this;
    const episode = await app.api.get(`${this.at}/episode`, where);
    const desk = new ReplayDesk({ app, at: this.at, episode });
    const { item } = episode;
    const actions = [
      item.group !== null && button("Group", () => this.go("group", item), { class: "quiet small" }),
      button("Compare", () => this.choosePair(item), { class: "quiet small" }),
      episode.has_tokens && button("Tokens", () => desk.toggleTokens(), { class: "quiet small" }),
      button([icon("save"), "Export"], () => this.save({ file: item.file, line: item.line }), { class: "quiet small" }),
    ];
    this.root.replaceChildren(el("div", { class: "framed" }, this.crumbs(item, episode.group, actions), desk.element));
    this.bindEpisode(item, episode.group, desk);
    await desk.begin();
    if (what === "tokens") await desk.toggleTokens();
    return () => desk.leave();
  }

  crumbs(item, siblings, actions) {
    const where = item.step === null ? item.set : `step ${item.step}`;
    const place = siblings.findIndex((one) => one.file === item.file && one.line === item.line);
    const told = [where, siblings.length > 1 && `rollout ${place + 1} of ${siblings.length}`, item.policy].filter(Boolean);
    return el("div", { class: "crumbs" }, button([icon("left"), this.source.name], () => this.back(), { class: "quiet small" }), el("span", { class: "facts", text: told.join(" · ") }), actions.length > 0 && [el("span", { class: "crumb-outcome" }, outcomeTag(item), item.reward !== null && el("strong", { class: "reward-tag plain-tag", text: signed(item.reward) })), item.advantage !== null && el("span", { class: "facts", text: `advantage ${signed(item.advantage)}` })], el("span", { class: "crumb-actions" }, actions));
  }

  bindEpisode(item, siblings, desk) {
    const { keys, commands } = this.app;
    keys.bind("j", "Next episode", () => this.neighbour(item, 1));
    keys.bind("k", "Previous episode", () => this.neighbour(item, -1));
    keys.bind("[", "Previous step of the run", () => this.otherStep(item, -1));
    keys.bind("]", "Next step of the run", () => this.otherStep(item, 1));
    keys.bind("u", "Back to the list", () => this.back());
    keys.bind("c", "Compare with another episode", () => this.choosePair(item));
    keys.bind("x", "Export this episode", () => this.save({ file: item.file, line: item.line }));
    if (item.group !== null) keys.bind("g", "Its group", () => this.go("group", item));
    if (desk?.episode.has_tokens) keys.bind("t", "Its tokens", () => desk.toggleTokens());
    commands.add(() => [
      { title: "Back to the list", hint: "u", run: () => this.back() },
      { title: "Compare with another episode of this question", hint: "c", run: () => this.choosePair(item) },
      { title: "Export this episode", hint: "x", run: () => this.save({ file: item.file, line: item.line }) },
      ...siblings.map((one, place) => ({ title: `Rollout ${place + 1} of the group`, hint: one.outcome, run: () => this.go("episode", one) })),
    ]);
  }

  /** Go to the next (1) or previous (-1) episode of what the list showed. */
  async neighbour(item, by) {
    const { level, ...wanted } = filterParams(this.filter);
    const found = await this.app.api.get(`${this.at}/next`, { ...wanted, file: item.file, line: item.line, by });
    if (!found.item) return;
    if (level === "episodes") memory.places.set(this.number, found.index);
    this.go("episode", found.item);
  }

  async otherStep(item, by) {
    const steps = await this.steps();
    const next = by > 0 ? steps.find((step) => step > (item.step ?? 0)) : steps.findLast((step) => step < (item.step ?? 0));
    if (next === undefined) return;
    const { items } = await this.app.api.get(`${this.at}/rows`, { step: next });
    if (items.length) this.go("episode", items[0]);
  }

  async choosePair(item) {
    const { episodes } = await this.app.api.get("/api/runs/same", { question: item.question_id });
    const others = episodes.filter((one) => !(one.source === this.number && one.file === item.file && one.line === item.line));
    const words = (one) => [one.outcome.replaceAll("_", " "), one.reward !== null && one.reward.toFixed(2)].filter(Boolean).join(" ");
    const commands = others.map((one) => ({
      title: [this.start.sources.length > 1 && one.source_name, one.step === null ? one.set : `step ${one.step}, line ${one.line}`, one.policy].filter(Boolean).join(" · "),
      hint: words(one),
      run: () => this.app.go("runs", this.number, "pair", item.file, item.line, one.source, one.file, one.line),
    }));
    this.app.palette.open(commands, others.length ? "Compare with" : "No other episode of this question");
  }

  // several episodes

  async showGroup(where) {
    const data = await this.app.api.get(`${this.at}/group`, where);
    const first = data.members[0];
    const shown = group(data, { onOpen: (one) => this.go("episode", one), onTokens: (one) => this.go("tokens", one) });
    this.root.replaceChildren(el("div", { class: "framed" }, this.crumbs(first, [], []), el("div", { class: "sheet" }, shown)));
    const { keys } = this.app;
    const members = [...shown.querySelectorAll(".member")];
    let at = -1;
    const move = (by) => {
      members[at]?.classList.remove("current");
      at = Math.max(0, Math.min(at + by, members.length - 1));
      members[at].classList.add("current");
      members[at].scrollIntoView({ block: "nearest", inline: "nearest" });
      this.app.announce(members[at].innerText);
    };
    keys.bind("ArrowRight", "Next rollout", () => move(1));
    keys.bind("ArrowLeft", "Previous rollout", () => move(-1));
    keys.bind("Enter", "Replay the rollout", () => this.go("episode", data.members[Math.max(0, at)]));
    keys.bind("[", "Previous step of the run", () => this.otherStep(first, -1));
    keys.bind("]", "Next step of the run", () => this.otherStep(first, 1));
    keys.bind("u", "Back to the list", () => this.back());
    this.app.commands.add(() => [{ title: "Back to the list", hint: "u", run: () => this.back() }]);
  }

  async showPair(where, [number, file, line]) {
    const [one, other] = await Promise.all([this.app.api.get(`${this.at}/episode`, where), this.app.api.get(`/api/runs/${number}/episode`, { file, line })]);
    const pair = new Pair({ app: this.app, sides: [[this.at, one], [`/api/runs/${number}`, other]] });
    this.root.replaceChildren(el("div", { class: "framed" }, this.crumbs(one.item, [], []), pair.element));
    this.bindEpisode(one.item, one.group, null);
    pair.begin();
    return () => pair.leave();
  }
}
