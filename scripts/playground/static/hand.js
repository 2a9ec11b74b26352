// The agent's seat: a form for each of the agent's tools, made from their schemas.

import { Failure } from "./api.js";
import { button, el } from "./dom.js";

const LABELS = { search_emails: "Search", read_email: "Open", return_final_answer: "Answer" };

export class HandForm {
  constructor(tools, api) {
    this.api = api;
    this.tools = tools.map((tool) => tool.function);
    this.fields = new Map();
    this.problem = el("p", { class: "notice", role: "alert" });
    this.body = el("div", { class: "hand-body" });
    this.tabs = el("div", { class: "hand-tabs", role: "group", "aria-label": "Tool" }, this.tools.map((tool) => button(LABELS[tool.name] ?? tool.name, () => this.choose(tool), { data: { tool: tool.name }, "aria-pressed": "false" })));
    this.element = el("form", { class: "hand", "aria-label": "Your call", on: { submit: (event) => (event.preventDefault(), this.send()) } }, this.tabs, this.body, this.problem);
  }

  /** Return the form, ready for the episode of this name. */
  open(episode) {
    this.episode = episode;
    this.choose(this.tools[0]);
    return this.element;
  }

  choose(tool) {
    this.tool = tool;
    for (const tab of this.tabs.children) tab.setAttribute("aria-pressed", String(tab.dataset.tool === tool.name));
    const required = new Set(tool.parameters.required ?? []);
    this.fields = new Map();
    const rows = Object.entries(tool.parameters.properties).map(([name, form]) => [required.has(name), this.field(name, form)]);
    const optional = rows.filter(([isRequired]) => !isRequired).map(([, row]) => row);
    this.body.replaceChildren(
      el("p", { class: "hint", text: tool.description }),
      ...rows.filter(([isRequired]) => isRequired).map(([, row]) => row),
      ...(optional.length ? [el("details", {}, el("summary", { text: "More" }), optional)] : []),
      el("div", { class: "actions" }, tool.name === "return_final_answer" && button("I don't know", () => this.giveUp(), { class: "plain" }), el("button", { type: "submit", class: "primary", text: LABELS[tool.name] ?? tool.name })),
    );
    this.fields.values().next().value?.input.focus({ preventScroll: true });
  }

  field(name, form) {
    const isList = form.type === "array";
    const choices = form.enum;
    const input = choices ? el("select", {}, el("option", { value: "", text: "" }), choices.map((one) => el("option", { value: one, text: one }))) : el("input", { type: "text", spellcheck: "false", autocomplete: "off" });
    this.fields.set(name, { input, isList });
    const hint = isList ? `${form.description}; parted by commas` : form.description;
    return el("label", { class: "field" }, el("span", { text: name.replaceAll("_", " ") }), input, el("span", { class: "hint", text: hint }));
  }

  arguments() {
    const given = {};
    for (const [name, { input, isList }] of this.fields) {
      const text = input.value.trim();
      if (isList) given[name] = text.split(",").map((part) => part.trim()).filter(Boolean).map(number);
      else if (text) given[name] = number(text);
    }
    return given;
  }

  giveUp() {
    this.post({ answer: null, sources: [] });
  }

  send() {
    const given = this.arguments();
    if (this.tool.name === "return_final_answer" && given.answer !== undefined) given.answer = String(given.answer);
    if (this.tool.name === "search_emails") given.keywords = given.keywords.map(String);
    this.post(given);
  }

  async post(given) {
    this.problem.textContent = "";
    this.element.setAttribute("aria-busy", "true");
    try {
      await this.api.post("/api/ask/call", { episode: this.episode, name: this.tool.name, arguments: given });
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.problem.textContent = error.message;
    }
  }

  /** A turn is over: after a search, opening is what mostly comes next. */
  ready(card) {
    this.element.removeAttribute("aria-busy");
    this.element.parentElement?.append(this.element);
    const hit = card.calls[0]?.hits[0];
    const opened = card.calls[0]?.opened[0];
    if (hit) {
      this.choose(this.tools.find((tool) => tool.name === "read_email"));
      this.fields.get("id").input.value = hit.number;
      this.fields.get("id").input.select();
    } else if (opened) {
      this.choose(this.tools.find((tool) => tool.name === "return_final_answer"));
      this.fields.get("sources").input.value = opened.number;
    }
  }

  close() {
    this.element.remove();
  }
}

function number(text) {
  return /^\d{1,9}$/.test(text) ? Number(text) : text;
}
