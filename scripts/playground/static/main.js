// The page's frame: header, views by address, keyboard, palette, help. Knows nothing of what a view shows.

import * as api from "./api.js";
import { button, el, mark } from "./dom.js";
import { keyName, Keys, Palette } from "./keys.js";

const top = document.getElementById("top");
const root = document.getElementById("view");
const announcer = document.getElementById("announcer");

const keys = new Keys();
const palette = new Palette();
const help = el("dialog", { class: "help", "aria-labelledby": "help-title" });
document.body.append(help);

let views = [];
let visit = null;

// One view for as long as it is looked at: what it binds goes with it, and what comes too late is not shown any more.
class Visit {
  constructor() {
    this.undo = [];
    this.leave = null;
    this.isOver = false;
    this.place = el("div", { class: "visit" });
    const kept = (back) => (this.isOver ? back() : this.undo.push(back));
    this.app = {
      api,
      palette,
      keys: { bind: (...binding) => this.isOver || kept(keys.bind(...binding)) },
      commands: { add: (source) => kept(palette.add(source)) },
      announce: (text) => this.isOver || (announcer.textContent = text),
      go: (name, ...rest) => this.isOver || (location.hash = "#/" + [name, ...rest].map(encodeURIComponent).join("/")),
    };
  }

  async mount(name, rest) {
    const module = await import(`./view_${name}.js`);
    const leave = (await module.mount(this.place, this.app, rest)) ?? null;
    this.isOver ? leave?.() : (this.leave = leave);
  }

  end() {
    this.isOver = true;
    this.leave?.();
    for (const back of this.undo.splice(0)) back();
  }
}

function showHelp() {
  const rows = [...keys.bound].map(([key, { help: text }]) =>
    el("div", {}, el("dt", {}, el("kbd", { text: keyName(key) })), el("dd", { text })),
  );
  rows.push(el("div", {}, el("dt", {}, el("kbd", { text: "Ctrl K" })), el("dd", { text: "All commands" })));
  const close = button("Close", () => help.close(), { class: "plain" });
  help.replaceChildren(el("h2", { id: "help-title", text: "Keyboard", tabindex: "-1", autofocus: true }), el("dl", {}, rows), close);
  help.showModal();
}

function drawTop(current) {
  const tabs = views.map((view) =>
    el("a", {
      href: `#/${view.name}`,
      text: view.title,
      "aria-current": view.name === current ? "page" : null,
    }),
  );
  top.replaceChildren(
    el("a", { class: "brand", href: `#/${views[0].name}` }, mark(), el("span", { text: "mailsleuth" })),
    views.length > 1 ? el("nav", { "aria-label": "Views" }, tabs) : el("span", { class: "space" }),
    button([el("span", { text: "Commands" }), el("kbd", { text: "Ctrl K" })], () => palette.open(), { class: "quiet wide", "aria-label": "Commands" }),
    button("?", showHelp, { class: "quiet round", "aria-label": "Keyboard help" }),
  );
}

async function show() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decoded);
  const view = views.find((one) => one.name === name) ?? views[0];
  visit?.end();
  const here = (visit = new Visit());
  here.app.keys.bind("?", "This help", showHelp);
  here.app.commands.add(() => views.map((one) => ({ title: `Go to ${one.title}`, run: () => here.app.go(one.name) })));
  here.app.commands.add(() => [{ title: "Keyboard help", hint: "?", run: showHelp }]);
  drawTop(view.name);
  document.title = `${view.title} · mailsleuth`;
  root.replaceChildren(here.place);
  await here.mount(view.name, rest).catch((error) => here.isOver || fail(error));
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function fail(error) {
  root.replaceChildren(
    el(
      "div",
      { class: "failed page", role: "alert" },
      el("h1", { text: "The page could not start" }),
      el("p", { text: error.message }),
      button("Try again", () => location.reload(), { class: "primary" }),
    ),
  );
}

try {
  views = (await api.get("/api/views")).views;
  addEventListener("hashchange", show);
  await show();
} catch (error) {
  fail(error);
}
