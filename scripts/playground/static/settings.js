// How a question is played: policy, day, limits, and the consent to send mail away.

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
      el("details", {}, el("summary", { text: "Limits" }), el("div", { class: "limits" }, field("Turns", this.turns), field("Seconds", this.seconds), field("Judged by", this.mode))),
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
    const isRemote = this.policies.has(spec) ? this.policies.get(spec).sends_to !== "" : spec.startsWith("api:");
    this.consent.hidden = !isRemote;
    this.agreed.checked = false;
    const where = this.policies.get(spec)?.sends_to || spec.replace("api:", "").split("/")[0];
    this.agreedText.textContent = `I agree that the question and the mails that the model opens are sent to ${where || "its provider"}.`;
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
