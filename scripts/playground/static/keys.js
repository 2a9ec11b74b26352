// The keyboard, and the palette of commands. Views add their own and take them away again.

import { el } from "./dom.js";

const isTyping = (target) => target.closest("input:not([type=range]), textarea, select, [contenteditable]") !== null;

const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space" };

/** Return a key as it is written. */
export function keyName(key) {
  return NAMES[key] ?? key;
}

/** Keys without modifiers, as in mail programs; they rest while somebody types or a dialog is open. */
export class Keys {
  constructor() {
    this.bound = new Map();
    document.addEventListener("keydown", (event) => this.press(event));
  }

  /** Bind a key; returns what unbinds it. */
  bind(key, help, run) {
    this.bound.set(key, { help, run });
    return () => this.bound.delete(key);
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const isPressable = "Enter ".includes(event.key) && event.target.closest("button, a, summary") !== null;
    const found = isPressable ? null : this.bound.get(event.key);
    if (!found) return;
    event.preventDefault();
    found.run();
  }
}

/** All that can be done, found by typing; Ctrl-K opens it. */
export class Palette {
  constructor() {
    this.sources = new Set();
    this.input = el("input", {
      type: "text",
      role: "combobox",
      "aria-expanded": "true",
      "aria-controls": "palette-list",
      "aria-label": "What do you want to do?",
      placeholder: "What do you want to do?",
      autocomplete: "off",
      spellcheck: "false",
    });
    this.list = el("ul", { id: "palette-list", role: "listbox", "aria-label": "Commands" });
    this.dialog = el("dialog", { class: "palette", "aria-label": "Commands" }, this.input, this.list);
    document.body.append(this.dialog);
    this.input.addEventListener("input", () => this.draw());
    this.dialog.addEventListener("keydown", (event) => this.press(event));
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    document.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        this.dialog.open ? this.dialog.close() : this.open();
      }
    });
  }

  /** Add a function that returns commands `{title, hint, run}`; returns what removes it. */
  add(source) {
    this.sources.add(source);
    return () => this.sources.delete(source);
  }

  /** Open with all commands, or with these only. */
  open(only = null, label = "What do you want to do?") {
    this.commands = only ?? [...this.sources].flatMap((source) => source());
    this.input.value = "";
    this.input.placeholder = label;
    this.draw();
    this.dialog.showModal();
    this.input.focus();
  }

  draw() {
    const wanted = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = (command) => `${command.title} ${command.hint ?? ""}`.toLowerCase();
    this.shown = this.commands.filter((command) => wanted.every((word) => text(command).includes(word))).slice(0, 60);
    this.list.replaceChildren(
      ...this.shown.map((command, place) =>
        el(
          "li",
          { role: "option", id: `palette-${place}`, on: { click: () => this.run(place) } },
          el("span", { text: command.title }),
          command.hint && el("span", { class: "hint", text: command.hint }),
        ),
      ),
    );
    if (!this.shown.length) this.list.append(el("li", { class: "none", role: "option", "aria-disabled": "true", text: "Nothing like that" }));
    this.mark(0);
  }

  mark(place) {
    this.place = Math.max(0, Math.min(place, this.shown.length - 1));
    [...this.list.children].forEach((row, at) => row.setAttribute("aria-selected", String(at === this.place)));
    const row = this.list.children[this.place];
    if (row?.id) this.input.setAttribute("aria-activedescendant", row.id);
    row?.scrollIntoView({ block: "nearest" });
  }

  press(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) this.mark(this.place + step);
    else if (event.key === "Enter") this.run(this.place);
    else return;
    event.preventDefault();
  }

  run(place) {
    const command = this.shown[place];
    if (!command) return;
    this.dialog.close();
    command.run();
  }
}
