// An exported file: the episodes that it holds, replayed without a server.

import { Failure } from "./api.js";
import { button, el } from "./dom.js";
import { Keys } from "./keys.js";
import { MailPane } from "./mail_pane.js";
import { pane, paneTabs } from "./panes.js";
import { Replay, bindReplay } from "./replay.js";
import { outcomeTag } from "./run_list.js";
import { signed } from "./score.js";

const data = JSON.parse(document.getElementById("episodes").textContent);
const root = document.getElementById("view");
const announcer = document.getElementById("announcer");
const keys = new Keys();
const PANES = [["inbox", "Episodes", "list"], ["mail", "Mail", "read"], ["agent", "Episode", "play"]];
let replay = null;

const list = el("ol", { class: "exported", "aria-label": "Episodes" }, data.episodes.map(({ item }, place) => el("li", {}, button([el("span", { class: "subject", text: item.question }), el("span", { class: "row-facts" }, outcomeTag(item), el("span", { class: "hint", text: `${item.step === null ? item.set : `step ${item.step}`} · ${item.policy}` }), item.reward !== null && el("span", { class: "reward-tag", text: signed(item.reward) }))], () => show(place), { "aria-pressed": "false" }))));

function mailOf(mails, { ref, quote }) {
  const mail = mails[ref];
  if (!mail) return Promise.reject(new Failure("This mail is not in the file: only those that were opened or cited are."));
  const start = quote ? mail.body.indexOf(quote) : -1;
  return Promise.resolve({ ...mail, has_html: false, body_chars: mail.end, quote: start < 0 ? null : [start, start + quote.length] });
}

function show(place) {
  replay?.pause();
  const { events, mails } = data.episodes[place];
  const desk = el("div", { class: "desk" });
  const { nav, goTo } = paneTabs(desk, PANES);
  const hasMail = Object.keys(mails).length > 0;
  const mail = new MailPane({ onBack: () => goTo("agent"), hint: "The mails that the agent opened open here, as the replay comes to them.", load: (params) => mailOf(mails, params) });
  const asOf = events[0][1].as_of;
  const open = (one, quote) => mail.show({ inbox: "", ref: one.number ?? one.message_id, asOf, quote });
  const follow = (here) => {
    if (hasMail && here.mail) open(here.mail, here.quote ?? "");
    else if (!hasMail && here.content) mail.element.replaceChildren(el("h2", { text: "What the agent saw" }), el("div", { class: "body", text: here.content }));
    else mail.clear();
  };
  const told = (text) => (announcer.textContent = text);
  replay = new Replay(events, { onMail: (one, _, quote) => (open(one, quote), goTo("mail")), onPlace: follow, announce: told });
  desk.append(pane("inbox", "Episodes", list), pane("mail", "Mail", mail.element), pane("agent", "Episode", replay.element), nav);
  [...list.querySelectorAll("button")].forEach((row, at) => row.setAttribute("aria-pressed", String(at === place)));
  root.replaceChildren(desk);
  goTo("agent");
  bindReplay(keys, replay);
  keys.bind("j", "Next episode", () => place + 1 < data.episodes.length && show(place + 1));
  keys.bind("k", "Previous episode", () => place > 0 && show(place - 1));
  replay.go(0);
}

const shown = data.episodes.length;
const told = shown < data.num_all ? `${shown} of ${data.num_all.toLocaleString("en")} episodes` : shown === 1 ? "1 episode" : `${shown} episodes`;
document.getElementById("top").append(el("strong", { class: "brand", text: "mailsleuth" }), el("span", { class: "facts", text: `${data.source} · ${told}` }), el("span", { class: "space" }), el("span", { class: "facts" }, el("kbd", { text: "←" }), " ", el("kbd", { text: "→" }), " replay", shown > 1 && [" · ", el("kbd", { text: "j" }), " ", el("kbd", { text: "k" }), " episodes"]));
show(0);
