// The agent's pane: the composer, and what was asked so far; a reload of the tab brings it back.

import { Failure } from "./api.js";
import { button, day, el, icon } from "./dom.js";
import { EpisodeView } from "./episode.js";
import { HandForm } from "./hand.js";
import { Settings } from "./settings.js";

const HINT_MS = 8000;
const STORE = "mailsleuth.asked";
const MAX_STORED = 2_000_000;
const LOW_SCREEN = "(max-height: 34rem)"; // as in episode.css

export class Asking {
  constructor({ app, start, onMail, onRead, onInbox }) {
    Object.assign(this, { app, start, onMail, onRead, onInbox });
    this.records = [];
    this.place = -1;
    this.label = null;
    this.settings = new Settings(start, () => this.onInbox(this.inbox, this.settings.asOf.value || null));
    this.build();
  }

  build() {
    this.log = el("div", { class: "log", tabindex: "0", role: "log", "aria-label": "Questions and answers", "aria-live": "off" });
    this.text = el("textarea", { rows: 2, maxlength: 2000, placeholder: "Ask this inbox a question", "aria-label": "Question", on: { keydown: (event) => this.pressed(event), input: () => this.setLabel(null) } });
    this.ask = el("button", { type: "submit", class: "primary send", "aria-label": "Ask" }, icon("up"));
    this.stop = button(icon("stop"), () => this.aborter?.abort(), { class: "primary send", "aria-label": "Stop", hidden: true });
    this.notice = el("p", { class: "notice", role: "alert" });
    this.chip = el("p", { class: "label-chip", hidden: true });
    this.composer = el(
      "form",
      { class: "composer", on: { submit: (event) => (event.preventDefault(), this.submit()) } },
      this.chip,
      el("div", { class: "ask-row" }, this.text, this.ask, this.stop),
      this.notice,
      this.options(),
    );
    this.element = el("div", { class: "asking" }, this.log, this.composer);
  }

  /** Return all but the question: always there, but on a low screen behind one line, so that the answers have room. */
  options() {
    this.low = matchMedia(LOW_SCREEN);
    const options = el(
      "details",
      { class: "options" },
      el("summary", { text: "Settings" }),
      el("div", { class: "extras" }, button([icon("flag"), "Labelled question"], () => this.chooseQuestion(), { class: "quiet small" }), button([icon("hand"), "Take the seat"], () => this.takeSeat(), { class: "quiet small" })),
      this.settings.element,
    );
    this.makeRoom = () => (options.open = !this.low.matches);
    this.makeRoom();
    this.low.addEventListener("change", this.makeRoom);
    return options;
  }

  async begin() {
    this.restore();
    const known = this.start.inboxes.find((one) => one.name === this.records.at(-1)?.request.inbox);
    await this.choose((known ?? this.start.inboxes[0]).name);
    if (!this.records.length) this.welcome();
  }

  leave() {
    this.low.removeEventListener("change", this.makeRoom);
    this.aborter?.abort();
  }

  focus() {
    this.text.focus();
  }

  /** Ask another inbox from now on; what is under way goes on in the inbox where it began. */
  async choose(name) {
    this.inbox = name;
    this.inboxSelect.value = name;
    this.facts = this.start.inboxes.find((one) => one.name === name);
    this.settings.asOf.value = this.start.as_of ?? this.facts.last_day ?? "";
    this.setLabel(null);
    this.questions = [];
    const shown = this.onInbox(name, this.settings.asOf.value || null);
    const { questions } = await this.app.api.get("/api/ask/questions", { inbox: name });
    if (name === this.inbox) this.questions = questions;
    await shown;
  }

  welcome() {
    const examples = this.questions.filter((one) => one.kind === "single").slice(0, 3);
    this.log.replaceChildren(
      el(
        "div",
        { class: "welcome" },
        el("h2", { text: "Ask, and watch it look." }),
        el("p", { text: "Every search and every mail that the agent opens appears here as it happens. Nothing leaves this machine unless you choose a model elsewhere." }),
        examples.length > 0 && el("ul", { "aria-label": "Examples" }, examples.map((one) => el("li", {}, button(one.question, () => this.take(one), { class: "example" })))),
      ),
    );
  }

  chooseQuestion() {
    if (!this.questions.length) return this.say("There are no labelled questions about this inbox: start with --questions FILE.");
    const commands = this.questions.map((one) => ({ title: one.question, hint: `${one.id} ${one.kind}`, run: () => this.take(one) }));
    this.app.palette.open(commands, "Find a labelled question");
  }

  take(question) {
    this.text.value = question.question;
    this.setLabel(question);
    this.focus();
  }

  setLabel(question) {
    this.label = question;
    this.chip.hidden = question === null;
    if (question === null) return;
    const drop = button(icon("close"), () => this.setLabel(null), { class: "quiet tiny", "aria-label": "Ask it without its label" });
    this.chip.replaceChildren(icon("flag"), el("span", { text: `labelled, asked on ${day(question.asked_on)}: will be scored` }), drop);
  }

  /** Show a hint above the settings, for a while: it takes room from the conversation. */
  say(text) {
    clearTimeout(this.fading);
    this.notice.textContent = text;
    if (text) this.fading = setTimeout(() => this.say(""), HINT_MS);
  }

  pressed(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.submit();
    } else if (event.key === "Escape") this.text.blur();
  }

  request(policy = null) {
    const values = { ...this.settings.values(), inbox: this.inbox };
    if (policy) values.policy = policy;
    return this.label ? { ...values, question_id: this.label.id, as_of: null } : { ...values, question: this.text.value.trim() };
  }

  submit() {
    if (!this.text.value.trim()) return this.say("Type a question first.");
    if (!this.settings.spec) return this.say("Name a policy first.");
    if (this.settings.needsLabel && !this.label) return this.say(`${this.settings.spec} knows the right answers: choose a labelled question, or a model.`);
    return this.play(this.request());
  }

  takeSeat() {
    if (!this.text.value.trim()) return this.say("Type a question, or choose a labelled one; then look for its answer yourself.");
    return this.play(this.request("hand"));
  }

  async play(request) {
    if (this.aborter) return this.say("An answer is under way: wait for it, or stop it.");
    this.say("");
    const record = { request, events: [] };
    const view = this.show(record);
    this.records.push(record);
    this.text.value = "";
    this.setLabel(null);
    this.isBusy(true);
    this.makeRoom();
    this.aborter = new AbortController();
    const form = request.policy === "hand" ? new HandForm(this.start.tools, this.app.api) : null;
    const add = (name, data) => {
      record.events.push([name, data]);
      this.happened(view, form, name, data);
    };
    try {
      await this.app.api.stream("/api/ask/play", request, add, this.aborter.signal);
    } catch (error) {
      if (error.name === "AbortError") add("stopped", {});
      else if (error instanceof Failure) add("failed", { error: error.message });
      else throw error;
    } finally {
      this.aborter = null;
      form?.close();
      this.isBusy(false);
      this.keep();
    }
  }

  happened(view, form, name, data) {
    const isAtEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 80;
    view.add(name, data);
    if (name === "question" && form) view.element.append(form.open(data.episode));
    const isHere = view.inbox === this.inbox; // another inbox may be shown by now
    if (name === "question" && data.as_of && isHere) this.showDay(data);
    if (name === "turn") {
      this.place = view.cards.length - 1;
      const opened = data.calls.flatMap((call) => call.opened).at(-1);
      if (opened && isHere) this.onRead(opened, view.asOf, "", view.inbox);
      form?.ready(data);
    }
    if (name === "ending" && isHere) this.opened(view, data);
    if (isAtEnd || name === "question") this.log.scrollTop = this.log.scrollHeight;
  }

  /** The list and the field show one day: that of the question, which may be a labelled one's own. */
  showDay({ inbox, as_of: day }) {
    this.settings.asOf.value = day;
    this.onInbox(inbox, day);
  }

  opened(view, ending) {
    const first = ending.sources.find((source) => source.number);
    if (first && ending.stop_reason === "answered") this.onRead(first, view.asOf, first.quote, view.inbox);
  }

  show(record) {
    if (!this.records.length) this.log.replaceChildren();
    const view = new EpisodeView({ onMail: this.onMail, onRetry: () => this.play(record.request), announce: this.app.announce });
    this.view = view;
    this.log.append(view.element);
    return view;
  }

  isBusy(isBusy) {
    this.ask.hidden = isBusy;
    this.stop.hidden = !isBusy;
  }

  /** Go to the next (1) or previous (-1) turn of the last episode, and open the mail that it opened. */
  step(by) {
    const cards = this.view?.cards ?? [];
    if (!cards.length) return;
    this.place = Math.max(0, Math.min(this.place + by, cards.length - 1));
    const { node, mail } = cards[this.place];
    for (const card of cards) card.node.classList.toggle("current", card.node === node);
    node.scrollIntoView({ block: "nearest" });
    if (mail) this.onRead(mail, this.view.asOf, "", this.view.inbox);
  }

  keep() {
    const text = JSON.stringify(this.records.slice(-30));
    try {
      if (text.length < MAX_STORED) sessionStorage.setItem(STORE, text);
    } catch {
      // no room: the tab forgets
    }
  }

  restore() {
    let stored = [];
    try {
      stored = JSON.parse(sessionStorage.getItem(STORE) ?? "[]");
    } catch {
      // written by another version
    }
    const names = new Set(this.start.inboxes.map((one) => one.name));
    for (const record of stored.filter((one) => names.has(one.request.inbox))) {
      const view = this.show(record);
      for (const [name, data] of record.events) view.add(name, data);
      this.records.push(record);
    }
    this.log.scrollTop = this.log.scrollHeight;
  }

  forget() {
    this.records = [];
    sessionStorage.removeItem(STORE);
    this.welcome();
  }
}
