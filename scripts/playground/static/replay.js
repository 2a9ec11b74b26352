// A recorded episode, step by step: the cards of a live one with a bar to move through them.
// Knows nothing of where the events come from or where a mail is shown.

import { button, el, icon } from "./dom.js";
import { EpisodeView } from "./episode.js";

const PLAY_MS = 1400;

export class Replay {
  /** `onMail(mail, asOf, quote)` opens a mail that was clicked; `onPlace(place)` hears where the replay stands. */
  constructor(events, { onMail, onPlace = () => {}, announce = () => {}, note = "" }) {
    this.onPlace = onPlace;
    this.announce = announce;
    this.view = new EpisodeView({ onMail });
    for (const [name, data] of events) this.view.add(name, data);
    this.places = placesOf(events, this.view);
    this.place = 0;
    this.build(note);
  }

  build(note) {
    this.range = el("input", { type: "range", min: 0, max: this.places.length - 1, step: 1, value: 0, "aria-label": "Place in the episode", on: { input: () => this.go(Number(this.range.value)) } });
    this.label = el("span", { class: "place", role: "status" });
    this.player = button(icon("play"), () => this.toggle(), { class: "quiet round", "aria-label": "Play" });
    this.bar = el(
      "div",
      { class: "scrub" },
      button(icon("left"), () => this.step(-1), { class: "quiet round", "aria-label": "Back" }),
      this.player,
      button(icon("right"), () => this.step(1), { class: "quiet round", "aria-label": "Forward" }),
      this.range,
      this.label,
    );
    this.start = el("p", { class: "start" }, el("kbd", { text: "→" }), " follows the agent, ", el("kbd", { text: "End" }), " shows all of it");
    this.log = el("div", { class: "log", tabindex: "0", role: "region", "aria-label": "Episode" }, note && el("p", { class: "note", text: note }), this.view.element, this.start);
    this.element = el("div", { class: "replay" }, this.log, this.bar);
  }

  step(by) {
    this.pause();
    this.go(this.place + by);
  }

  /** Go to a place: 0 is the question, then one for each turn, the last is the end. */
  go(place) {
    this.place = Math.max(0, Math.min(place, this.places.length - 1));
    const here = this.places[this.place];
    for (const { node } of this.places) if (node) node.hidden = true;
    for (const { node } of this.places.slice(0, this.place + 1)) if (node) node.hidden = false;
    for (const node of this.view.element.querySelectorAll(":scope > .ending, :scope > .score, :scope > .failed")) node.hidden = !here.isEnd;
    for (const { node } of this.places) node?.classList.toggle("current", node === here.node && !here.isEnd);
    this.start.hidden = this.place > 0;
    const shown = here.isEnd ? this.view.element.querySelector(":scope > .ending, :scope > .failed") : here.node;
    if (shown) this.bring(shown);
    else this.log.scrollTop = 0;
    this.range.value = String(this.place);
    this.range.setAttribute("aria-valuetext", here.title);
    this.label.textContent = `${this.place} / ${this.places.length - 1}`;
    this.announce(here.title);
    this.onPlace(here);
  }

  /** Bring a card into view inside of the log; nothing around it moves. */
  bring(node) {
    const [card, frame] = [node.getBoundingClientRect(), this.log.getBoundingClientRect()];
    if (card.bottom > frame.bottom) this.log.scrollTop += Math.min(card.bottom - frame.bottom, card.top - frame.top) + 14;
    else if (card.top < frame.top) this.log.scrollTop -= frame.top - card.top + 14;
  }

  toggle() {
    if (this.timer) return this.pause();
    if (this.place >= this.places.length - 1) this.go(0);
    this.timer = setInterval(() => {
      this.go(this.place + 1);
      if (this.place >= this.places.length - 1) this.pause();
    }, PLAY_MS);
    this.player.replaceChildren(icon("pause"));
    this.player.setAttribute("aria-label", "Pause");
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.player.replaceChildren(icon("play"));
    this.player.setAttribute("aria-label", "Play");
  }
}

/** Bind the keys of a replay. */
export function bindReplay(keys, replay) {
  keys.bind("ArrowRight", "Forward in the episode", () => replay.step(1));
  keys.bind("ArrowLeft", "Back in the episode", () => replay.step(-1));
  keys.bind("Home", "To its question", () => replay.go(0));
  keys.bind("End", "To its end", () => replay.go(replay.places.length - 1));
  keys.bind(" ", "Play or pause", () => replay.toggle());
}

// What the inbox and the mail pane show at a place is what was searched and opened last before it.
function placesOf(events, view) {
  const nodes = new Map([...view.turns.children].map((node) => [Number(node.dataset.turn), node]));
  const turns = events.filter(([name]) => name === "turn").map(([, card]) => card);
  const ending = events.find(([name]) => name === "ending")[1];
  const places = [{ node: null, title: "The question", typed: "", mail: null }];
  for (const card of turns) {
    if (!nodes.has(card.number)) continue; // the answer itself: it is the end
    const search = card.calls.find((call) => call.typed);
    places.push({
      node: nodes.get(card.number),
      title: `Turn ${card.number}: ${card.calls.map(spoken).join(", ") || "no call"}`,
      typed: search?.typed ?? places.at(-1).typed,
      mail: card.calls.flatMap((call) => call.opened).at(-1) ?? places.at(-1).mail,
      content: card.calls.map((call) => call.content).join("\n\n"),
    });
  }
  const source = ending.sources.find((one) => one.number);
  places.push({ node: null, isEnd: true, title: `The end: ${ending.line}`, typed: places.at(-1).typed, mail: source ?? places.at(-1).mail, quote: source?.quote ?? "", content: places.at(-1).content });
  return places;
}

function spoken(call) {
  if (call.is_error) return "a call that was refused";
  if (call.num_found !== null) return `searched, ${call.num_found} found`;
  return call.opened.length ? `opened ${call.opened[0].subject ?? "a mail"}` : call.name;
}
