// Asking an inbox: the list, the mail, and the agent at work. Puts the parts together and keeps what was asked.

import { Asking } from "./asking.js";
import { button, el, icon, plural } from "./dom.js";
import { MailList } from "./mail_list.js";
import { MailPane } from "./mail_pane.js";

const PANES = [
  ["inbox", "Inbox", "read"],
  ["mail", "Mail", "search"],
  ["agent", "Agent", "answer"],
];

export async function mount(root, app) {
  const start = await app.api.get("/api/ask/start");
  const desk = el("div", { class: "desk", data: { pane: "agent" } });
  const goTo = (pane) => {
    desk.dataset.pane = pane;
    for (const tab of tabs.children) tab.setAttribute("aria-pressed", String(tab.dataset.pane === pane));
  };
  const mail = new MailPane({ onBack: () => goTo(desk.dataset.from ?? "inbox") });
  const open = (pane) => (one, asOf, quote) => {
    mail.show({ inbox: asking.inbox, ref: one.number ?? one.message_id, asOf, quote });
    if (pane === null) return;
    desk.dataset.from = pane;
    goTo("mail");
  };
  const list = new MailList({ onOpen: (hit) => open("inbox")(hit, list.asOf, list.input.value.trim().split(/\s+/)[0] ?? ""), announce: app.announce });
  const asking = new Asking({
    app,
    start,
    onMail: open("agent"),
    onRead: open(null),
    onInbox: (inbox, asOf) => list.show(inbox, asOf),
  });
  const tabs = el("nav", { class: "pane-tabs", "aria-label": "Panes" }, PANES.map(([name, label, image]) => button([icon(image), label], () => goTo(name), { data: { pane: name }, "aria-pressed": "false" })));
  desk.append(
    pane("inbox", "Inbox", picker(start, asking, mail), list.element),
    pane("mail", "Mail", mail.element),
    pane("agent", "Agent", asking.element),
    tabs,
  );
  root.replaceChildren(desk);
  goTo("agent");
  bindKeys(app, { list, asking, desk, goTo });
  addCommands(app, { start, asking, list });
  await asking.begin();
  return () => asking.leave();
}

function pane(name, label, ...content) {
  return el("section", { class: `pane ${name}`, "aria-label": label }, content);
}

function picker(start, asking, mail) {
  const names = start.inboxes.map((one) => el("option", { value: one.name, text: `${one.owner || one.name} (${plural(one.num_emails, "mail")})` }));
  const select = el("select", { "aria-label": "Inbox", on: { change: () => (mail.clear(), asking.choose(select.value)) } }, names);
  asking.inboxSelect = select;
  return el("div", { class: "pane-head" }, select);
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
