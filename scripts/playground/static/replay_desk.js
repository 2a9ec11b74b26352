// A replay with the inbox beside it: the list shows what each search found, the mail pane what was opened.

import { get } from "./api.js";
import { el, icon } from "./dom.js";
import { MailList } from "./mail_list.js";
import { MailPane } from "./mail_pane.js";
import { pane, paneTabs } from "./panes.js";
import { Replay, bindReplay } from "./replay.js";
import { Tokens } from "./tokens.js";

const PANES = [
  ["inbox", "Inbox", "list"],
  ["mail", "Mail", "read"],
  ["agent", "Episode", "play"],
];

export class ReplayDesk {
  constructor({ app, at, episode }) {
    Object.assign(this, { app, at, episode });
    this.asOf = episode.events[0][1].as_of;
    this.element = el("div", { class: "desk" });
    const { nav, goTo } = paneTabs(this.element, PANES);
    this.goTo = goTo;
    this.mail = new MailPane({ onBack: () => this.goTo("agent"), hint: "The mails that the agent opened open here, as the replay comes to them.", at });
    this.list = new MailList({ onOpen: (hit) => this.open(hit, this.asOf, ""), announce: () => {}, at });
    this.replay = new Replay(episode.events, { onMail: (mail, asOf, quote) => this.open(mail, asOf, quote), onPlace: (place) => this.follow(place), announce: app.announce, note: episode.note });
    this.middle = pane("mail", "Mail", this.mail.element);
    const inbox = episode.inbox ? this.list.element : el("div", { class: "empty" }, icon("read"), el("p", { text: "The mail of this episode was not found. Start with --mailbox FILE to see its inbox here." }));
    this.element.append(pane("inbox", "Inbox", inbox), this.middle, pane("agent", "Episode", this.replay.element), nav);
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

  open(mail, asOf, quote) {
    this.show(mail, asOf, quote);
    this.goTo("mail");
  }

  show(mail, asOf, quote) {
    if (!this.episode.inbox || this.tokens) return;
    this.mail.show({ inbox: this.episode.inbox, ref: mail.number ?? mail.message_id, asOf, quote });
    this.list.mark(mail);
  }

  /** Show beside a place of the replay what the agent saw there. */
  follow(place) {
    if (!this.episode.inbox) return this.recorded(place);
    if (place.typed !== this.list.input.value) this.list.search(place.typed);
    if (place.mail) this.show(place.mail, this.asOf, place.quote ?? "");
    else {
      this.mail.clear();
      this.list.mark(null);
    }
  }

  recorded(place) {
    if (this.tokens) return;
    if (!place.content) return this.mail.clear();
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
