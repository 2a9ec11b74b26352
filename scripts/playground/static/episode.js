// An episode as it happens, or as it was recorded: draws the events of cards.py and scoring.py.
// Knows nothing of where the events come from.

import { button, day, el, icon, plural } from "./dom.js";
import { withLinks } from "./links.js";
import { score } from "./score.js";

const FEW_HITS = 4;
const TITLES = { search_emails: "Searched", read_email: "Opened", return_final_answer: "Answered" };
const ICONS = { search_emails: "search", read_email: "read", return_final_answer: "answer" };

export class EpisodeView {
  /** `onMail(mail, asOf, quote, inbox)` opens a mail; `onRetry`, if any, plays the question again. */
  constructor({ onMail, onRetry = null, announce = () => {} }) {
    this.onMail = onMail;
    this.onRetry = onRetry;
    this.announce = announce;
    this.asOf = null;
    this.inbox = null;
    this.cards = [];
    this.turns = el("ol", { class: "turns" });
    this.waiting = el("p", { class: "waiting-line" }, el("span", { class: "dots", "aria-hidden": "true" }), el("span", { text: "Thinking" }));
    this.element = el("section", { class: "episode" });
  }

  /** Draw one event. */
  add(name, data) {
    this[`draw_${name}`]?.(data);
  }

  open(mail, quote = "") {
    this.onMail(mail, this.asOf, quote, this.inbox);
  }

  draw_question(data) {
    this.asOf = data.as_of;
    this.inbox = data.inbox;
    this.isByHand = data.is_by_hand;
    const facts = [data.is_by_hand ? "you, by hand" : data.policy, data.as_of && `as of ${day(data.as_of)}`, data.is_labelled && "labelled"];
    this.element.setAttribute("aria-label", `Question: ${data.question}`);
    this.element.append(
      el("h3", { class: "asked", text: data.question }),
      el("p", { class: "facts", text: facts.filter(Boolean).join(" · ") }),
      this.turns,
    );
    if (!this.isByHand) this.element.append(this.waiting);
  }

  draw_loading() {
    this.waiting.lastChild.textContent = "Loading the model";
  }

  draw_turn(card) {
    this.waiting.lastChild.textContent = "Thinking";
    const calls = card.calls.filter((call) => call.name !== "return_final_answer" || call.is_error);
    const node = el("li", { class: "turn", data: { turn: card.number } });
    if (card.text.trim() && card.calls.every((call) => !call.is_error)) node.append(el("p", { class: "said", text: card.text }));
    node.append(...calls.map((call, place) => this.call(call, place === 0 ? card : null)));
    if (!card.calls.length) node.append(el("p", { class: "said", text: card.text }));
    if (!node.childNodes.length) return;
    this.turns.append(node);
    this.cards.push({ node, mail: card.calls.flatMap((call) => call.opened)[0] ?? null });
    this.announce(calls.map((call) => spoken(call)).join(". "));
  }

  call(call, card) {
    const kind = call.is_error ? "warn" : ICONS[call.name] ?? "warn";
    const cost = card && [`${card.seconds.toFixed(2)} s`, card.num_tokens && plural(card.num_tokens, "token")].filter(Boolean).join(", ");
    return el(
      "div",
      { class: `card ${kind}` },
      el(
        "div",
        { class: "card-head" },
        icon(kind),
        el("span", { class: "card-title", text: call.is_error ? "Refused" : TITLES[call.name] ?? call.name }),
        ...summary(call),
        el("span", { class: "cost", text: cost ?? "" }),
      ),
      call.is_error && el("p", { class: "refusal", text: call.content }),
      this.hits(call),
      call.opened.map((mail) => this.mail(mail)),
      raw(call),
    );
  }

  hits(call) {
    if (call.num_found === null) return null;
    if (!call.hits.length) return el("pre", { class: "nothing", text: call.content.split("\n").slice(1).map((line) => line.trim()).join("\n").trim() || "Nothing holds all of these words." });
    const rows = call.hits.map((mail) => el("li", {}, this.mail(mail)));
    const list = el("ul", { class: "hits" }, rows.slice(0, FEW_HITS));
    if (rows.length <= FEW_HITS) return list;
    const more = button(`${rows.length - FEW_HITS} more`, () => {
      more.parentElement.remove();
      list.append(...rows.slice(FEW_HITS));
    }, { class: "quiet small" });
    list.append(el("li", {}, more));
    return list;
  }

  mail(mail, quote = "") {
    if (!mail.number) return el("span", { class: "mail-line gone", text: mail.message_id });
    return button(
      [el("span", { class: "subject", text: mail.subject || "no subject" }), el("span", { class: "hint", text: `${mail.from} · ${day(mail.date)}` })],
      () => this.open(mail, quote),
      { class: "mail-line" },
    );
  }

  draw_ending(data) {
    this.waiting.remove();
    if (data.stop_reason === "error") return this.draw_failed({ error: data.error });
    const isAnswer = data.stop_reason === "answered";
    const cost = [plural(data.num_turns, "turn"), data.num_tokens && plural(data.num_tokens, "token"), `${data.seconds.toFixed(1)} s`];
    this.element.append(
      el(
        "div",
        { class: isAnswer ? "ending" : "ending none" },
        icon(isAnswer ? "answer" : "unknown"),
        el("p", { class: "answer" }, isAnswer ? withLinks(data.answer) : data.line[0].toUpperCase() + data.line.slice(1)),
        el("ul", { class: "sources", "aria-label": "Sources" }, data.sources.map((source) => el("li", {}, this.source(source)))),
        data.unknown_sources.map((one) => el("p", { class: "refusal", text: `Cites ${one}, which is no mail of this inbox.` })),
        el("p", { class: "facts", text: cost.filter(Boolean).join(" · ") }),
      ),
    );
    this.announce(isAnswer ? `Answer: ${data.answer}` : data.line);
  }

  source(source) {
    if (!source.number) return el("span", { class: "mail-line gone", text: source.message_id });
    return button(
      [source.quote && el("q", { text: source.quote }), el("span", { class: "hint", text: `${source.subject || "no subject"} · ${source.from} · ${day(source.date)}` })],
      () => this.open(source, source.quote),
      { class: "source" },
    );
  }

  draw_score(data) {
    this.element.append(score(data, (mail, quote) => this.open(mail, quote)));
  }

  draw_saved(data) {
    this.element.append(el("p", { class: "facts", text: `Saved to ${data.path}` }));
  }

  /** Draw a failure; what was played before stays. */
  draw_failed(data) {
    this.waiting.remove();
    this.element.append(
      el(
        "div",
        { class: "failed", role: "alert" },
        icon("warn"),
        el("p", {}, el("strong", { text: "This episode failed. " }), data.error),
        this.onRetry && button("Try again", () => this.onRetry(), { class: "plain" }),
      ),
    );
  }

  draw_stopped() {
    this.waiting.remove();
    this.element.append(el("p", { class: "facts", text: "Stopped." }));
  }
}

function summary(call) {
  const given = call.arguments ?? {};
  if (call.name === "search_emails") {
    const words = Array.isArray(given.keywords) ? given.keywords : [];
    const bounds = Object.entries(given).filter(([name, value]) => name !== "keywords" && value !== null);
    return [
      el("span", { class: "chips" }, words.map((word) => el("span", { class: "chip", text: String(word) })), bounds.map(([name, value]) => el("span", { class: "chip bound", text: `${name.replace("_addr", "").replace("sent_", "")} ${value}` }))),
      call.num_found !== null && el("span", { class: "count", text: `${call.num_found.toLocaleString("en")} found` }),
    ].filter(Boolean);
  }
  if (call.name === "read_email") return [el("span", { class: "chips" }, el("span", { class: "chip", text: typeof given.id === "number" ? `no. ${given.id}` : String(given.id) }), given.page > 1 && el("span", { class: "chip bound", text: `page ${given.page}` }))];
  return [];
}

function spoken(call) {
  if (call.is_error) return `Refused: ${call.content}`;
  if (call.name === "search_emails") return `Searched ${(call.arguments?.keywords ?? []).join(", ")}: ${call.num_found} found`;
  return call.opened.length ? `Opened ${call.opened[0].subject ?? "a mail"}` : call.name;
}

function raw(call) {
  const written = `${call.name}(${JSON.stringify(call.arguments)})`;
  return el("details", { class: "raw" }, el("summary", { text: "What the agent saw" }), el("pre", { text: `${written}\n\n${call.content}` }));
}
