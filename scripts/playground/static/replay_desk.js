// A replay with the inbox beside it: the list shows what each search found, the mail pane what was opened.

import { get } from "./api.js";
import { button, el, icon } from "./dom.js";
import { MailList } from "./mail_list.js";
import { MailPane } from "./mail_pane.js";
import { Replay, bindReplay } from "./replay.js";
import { Tokens } from "./tokens.js";

const PANES = [
  ["inbox", "Inbox", "read"],
  ["mail", "Mail", "search"],
  ["agent", "Episode", "answer"],
];

export class ReplayDesk {
  constructor({ app, at, episode }) {
    Object.assign(this, { app, at, episode });
    this.asOf = episode.events[0][1].as_of;
    this.desk = el("div", { class: "desk", data: { pane: "agent" } });
    this.element = this.desk;
    this.mail = new MailPane({ onBack: () => this.goTo("agent"), hint: "The mails that the agent opened open here, as the replay comes to them.", load: (params, signal) => get(`${at}/mail`, params, signal) });
    this.list = new MailList({ onOpen: (hit) => this.open(hit, this.asOf, ""), announce: () => {}, at });
    this.replay = new Replay(episode.events, { onMail: (mail, asOf, quote) => this.open(mail, asOf, quote), onPlace: (place) => this.follow(place), announce: app.announce, note: episode.note });
    this.middle = el("section", { class: "pane mail", "aria-label": "Mail" }, this.mail.element);
    this.tabs = el("nav", { class: "pane-tabs", "aria-label": "Panes" }, PANES.map(([name, label, image]) => button([icon(image), label], () => this.goTo(name), { data: { pane: name } })));
    const inbox = episode.inbox ? this.list.element : el("div", { class: "empty" }, icon("read"), el("p", { text: "The mail of this episode was not found. Start with --mailbox FILE to see its inbox here." }));
    this.desk.append(el("section", { class: "pane inbox", "aria-label": "Inbox" }, inbox), this.middle, el("section", { class: "pane agent", "aria-label": "Episode" }, this.replay.element), this.tabs);
    this.goTo("agent");
  }

  async begin() {
    bindReplay(this.app.keys, this.replay);
    this.replay.go(0);
    if (this.episode.inbox) await this.list.show(this.episode.inbox, this.asOf);
  }

  leave() {
    this.replay.pause();
  }

  goTo(pane) {
    this.desk.dataset.pane = pane;
    for (const tab of this.tabs.children) tab.setAttribute("aria-pressed", String(tab.dataset.pane === pane));
  }

  open(mail, asOf, quote) {
    this.show(mail, asOf, quote);
    this.goTo("mail");
  }

  show(mail, asOf, quote) {
    if (!this.episode.inbox || this.tokens) return;
    this.mail.show({ inbox: this.episode.inbox, ref: mail.number ?? mail.message_id, asOf, quote });
  }

  /** Show beside a place of the replay what the agent saw there. */
  follow(place) {
    if (!this.episode.inbox) return this.recorded(place);
    if (place.typed !== null && place.typed !== undefined) this.list.search(place.typed);
    if (place.mail) this.show(place.mail, this.asOf, place.quote ?? "");
  }

  recorded(place) {
    if (this.tokens || !place.content) return;
    this.mail.element.replaceChildren(el("h2", { text: "What the agent saw" }), el("div", { class: "body", text: place.content }));
  }

  /** Show the tokens in the place of the mail, or the mail again. */
  async toggleTokens() {
    if (this.tokens) {
      this.tokens = null;
      this.middle.replaceChildren(this.mail.element);
      this.replay.go(this.replay.place);
      return;
    }
    const { file, line } = this.episode.item;
    this.tokens = new Tokens(await get(`${this.at}/tokens`, { file, line }));
    this.middle.replaceChildren(this.tokens.element);
    this.goTo("mail");
    this.tokens.text.focus();
  }
}
