// Two episodes side by side, moved together: two policies, or two checkpoints, on the same question.

import { button, el, icon } from "./dom.js";
import { MailPane } from "./mail_pane.js";
import { Replay } from "./replay.js";
import { outcomeTag } from "./run_list.js";
import { signed } from "./score.js";

export class Pair {
  /** `sides` are two of [where the server has its routes, episode]. */
  constructor({ app, sides }) {
    this.app = app;
    this.replays = sides.map(([at, episode]) => new Replay(episode.events, { note: episode.note, onMail: (mail, asOf, quote) => this.open(at, episode, mail, asOf, quote) }));
    const columns = sides.map(([, episode], place) => el("section", { class: "pane side", "aria-label": `Episode ${place + 1}` }, head(episode), this.replays[place].element));
    this.element = el("div", { class: "pair" }, columns);
  }

  begin() {
    const { keys } = this.app;
    keys.bind("ArrowRight", "Forward in both", () => this.step(1));
    keys.bind("ArrowLeft", "Back in both", () => this.step(-1));
    keys.bind("Home", "To the question", () => this.replays.forEach((one) => one.go(0)));
    keys.bind("End", "To both ends", () => this.toEnd());
    this.toEnd();
  }

  leave() {
    for (const one of this.replays) one.pause();
  }

  step(by) {
    for (const one of this.replays) one.step(by);
  }

  toEnd() {
    for (const one of this.replays) one.go(one.places.length - 1);
  }

  open(at, episode, mail, asOf, quote) {
    if (!episode.inbox) return;
    const pane = new MailPane({ at });
    const dialog = el("dialog", { class: "mail-dialog", "aria-label": "Mail" }, button(icon("close"), () => dialog.close(), { class: "quiet round", "aria-label": "Close" }), pane.element);
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
    pane.show({ inbox: episode.inbox, ref: mail.number ?? mail.message_id, asOf, quote });
  }
}

function head(episode) {
  const { item } = episode;
  return el(
    "header",
    { class: "side-head" },
    el("h2", { text: item.policy }),
    el("p", { class: "facts", text: [episode.source, item.step === null ? item.set : `step ${item.step}`].join(" · ") }),
    el("p", { class: "side-outcome" }, outcomeTag(item), item.reward !== null && el("span", { class: "reward-tag", text: signed(item.reward) })),
  );
}
