// How a question is played: policy, day, limits, and the consent to send mail away.

import { Failure, get } from "./api.js";
import { el } from "./dom.js";

const OTHER = "other";

export class Settings {
  constructor(start, onChange) {
    this.start = start;
    this.onChange = onChange;
    this.policies = new Map(start.policies.map((one) => [one.spec, one]));
    this.policy = el("select", { on: { change: () => this.changed() } }, this.options());
    this.other = el("input", { type: "text", placeholder: "local:FOLDER or api:PROVIDER/MODEL", "aria-label": "Another policy", spellcheck: "false", on: { input: () => this.changed() } });
    this.agreed = el("input", { type: "checkbox" });
    this.agreedText = el("span");
    this.consent = el("label", { class: "consent", hidden: true }, this.agreed, this.agreedText);
    this.asOf = el("input", { type: "date", on: { change: () => this.onChange() } });
    this.turns = el("input", { type: "number", min: 1, max: 100, placeholder: String(start.max_turns) });
    this.seconds = el("input", { type: "number", min: 1, max: 3600, value: start.deadline_seconds });
    this.mode = el("select", {}, el("option", { value: "answer", text: "the answer text" }), el("option", { value: "find", text: "the cited mail" }));
    this.mode.value = start.mode;
    this.element = el(
      "div",
      { class: "settings" },
      field("Policy", this.policy),
      field("As of", this.asOf),
      this.other,
      this.consent,
      el("details", { on: { toggle: (event) => event.target.open && event.target.scrollIntoView({ block: "nearest" }) } }, el("summary", { text: "Limits" }), el("div", { class: "limits" }, field("Turns", this.turns), field("Seconds", this.seconds), field("Judged by", this.mode))),
    );
    this.other.hidden = true;
    if (start.policies.length) this.policy.value = start.policies[0].spec;
    this.changed();
  }

  options() {
    const option = (one) => el("option", { value: one.spec, text: one.spec });
    const all = [...this.policies.values()];
    const groups = [["Models", all.filter((one) => !one.needs_label)], ["Scripts, for labelled questions", all.filter((one) => one.needs_label)]];
    const shown = groups.filter(([, members]) => members.length).map(([label, members]) => el("optgroup", { label }, members.map(option)));
    return [...shown, el("option", { value: OTHER, text: "Another one …" })];
  }

  get spec() {
    return this.policy.value === OTHER ? this.other.value.trim() : this.policy.value;
  }

  get needsLabel() {
    return this.policies.get(this.spec)?.needs_label ?? false;
  }

  choosePolicy(spec) {
    this.policy.value = spec;
    this.changed();
  }

  changed() {
    this.other.hidden = this.policy.value !== OTHER;
    const spec = this.spec;
    this.agreed.checked = false;
    this.askConsent(this.policies.get(spec)?.sends_to ?? "");
    if (!this.policies.has(spec) && spec.includes(":")) this.learnDestination(spec);
  }

  askConsent(host) {
    this.consent.hidden = host === "";
    if (host) this.element.closest("details")?.setAttribute("open", "");
    this.agreedText.textContent = `I agree that the question and the mails that the model opens are sent to ${host}.`;
  }

  /** Ask the server, which knows its environment; it refuses what was not agreed to, whatever is shown here. */
  async learnDestination(spec) {
    try {
      const { sends_to: host } = await get("/api/ask/destination", { policy: spec });
      if (spec === this.spec) this.askConsent(host);
    } catch (error) {
      if (!(error instanceof Failure)) throw error; // half a name: asking with it says what is wrong
    }
  }

  /** Return the fields of a request. */
  values() {
    const turns = this.turns.valueAsNumber;
    return {
      policy: this.spec,
      is_sending_agreed: this.agreed.checked,
      mode: this.mode.value,
      as_of: this.asOf.value || null,
      max_turns: Number.isFinite(turns) ? turns : null,
      deadline_seconds: this.seconds.valueAsNumber || this.start.deadline_seconds,
    };
  }
}

function field(label, control) {
  return el("label", { class: "field" }, el("span", { text: label }), control);
}
