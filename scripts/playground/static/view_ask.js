// Asking an inbox: the list, the mail, and the agent at work. Puts the parts together and keeps what was asked.

import { Asking } from "./asking.js";
import { el, plural } from "./dom.js";
import { MailList } from "./mail_list.js";
import { MailPane } from "./mail_pane.js";
import { pane, paneTabs } from "./panes.js";

const PANES = [
  ["inbox", "Inbox", "list"],
  ["mail", "Mail", "read"],
  ["agent", "Agent", "search"],
];

export async function mount(root, app) {
  const start = await app.api.get("/api/ask/start");
  const desk = el("div", { class: "desk", data: { pane: "agent" } });
  const { nav, goTo } = paneTabs(desk, PANES);
  const mail = new MailPane({ onBack: () => goTo(desk.dataset.from ?? "inbox") });
  const open = (from) => (one, asOf, quote, inbox) => {
    const isHere = inbox === list.inbox;
    mail.show({ inbox, ref: one.number ?? one.message_id, asOf, quote, elsewhere: isHere ? "" : ownerOf(start, inbox) });
    list.mark(isHere ? one : null);
    if (from === null) return;
    desk.dataset.from = from;
    goTo("mail");
  };
  const list = new MailList({ onOpen: (hit) => open("inbox")(hit, list.asOf, list.input.value.trim().split(/\s+/)[0] ?? "", list.inbox), announce: app.announce });
  const asking = new Asking({
    app,
    start,
    onMail: open("agent"),
    onRead: open(null),
    onInbox: (inbox, asOf) => {
      if (inbox !== list.inbox) mail.clear();
      return list.show(inbox, asOf);
    },
  });
  desk.append(
    pane("inbox", "Inbox", picker(start, asking), list.element),
    pane("mail", "Mail", mail.element),
    pane("agent", "Agent", asking.element),
    nav,
  );
  root.replaceChildren(desk);
  goTo("agent");
  bindKeys(app, { list, asking, desk, goTo });
  addCommands(app, { start, asking, list });
  await asking.begin();
  return () => asking.leave();
}

function picker(start, asking) {
  const names = start.inboxes.map((one) => el("option", { value: one.name, text: `${one.owner || one.name} (${plural(one.num_emails, "mail")})` }));
  const select = el("select", { "aria-label": "Inbox", on: { change: () => asking.choose(select.value) } }, names);
  asking.inboxSelect = select;
  return el("div", { class: "pane-head" }, select);
}

function ownerOf(start, inbox) {
  return start.inboxes.find((one) => one.name === inbox)?.owner || inbox;
}

function bindKeys(app, { list, asking, desk, goTo }) {
  app.keys.bind("/", "Search the inbox", () => (goTo("inbox"), list.focusSearch()));
  app.keys.bind("j", "Next mail", () => list.move(1));
  app.keys.bind("k", "Previous mail", () => list.move(-1));
  app.keys.bind("o", "Open the mail", () => list.openCurrent());
  app.keys.bind("Enter", "Open the mail", () => list.openCurrent());
  app.keys.bind("u", "Back to the list", () => (goTo("inbox"), list.scroller.focus()));
  app.keys.bind("[", "Previous turn of the agent", () => asking.step(-1));
  app.keys.bind("]", "Next turn of the agent", () => asking.step(1));
  app.keys.bind("a", "Ask a question", () => (goTo("agent"), asking.focus()));
}

function addCommands(app, { start, asking, list }) {
  app.commands.add(() => [
    { title: "Ask a question", hint: "a", run: () => asking.focus() },
    { title: "Search the inbox", hint: "/", run: () => list.focusSearch() },
    { title: "Choose a labelled question", run: () => asking.chooseQuestion() },
    { title: "Take the agent's seat", hint: "play by hand", run: () => asking.takeSeat() },
    { title: "Forget what was asked here", run: () => asking.forget() },
    ...start.policies.map((one) => ({ title: `Policy ${one.spec}`, hint: one.about, run: () => asking.settings.choosePolicy(one.spec) })),
    ...(start.inboxes.length > 1 ? start.inboxes.map((one) => ({ title: `Inbox ${one.owner || one.name}`, run: () => asking.choose(one.name) })) : []),
  ]);
}
