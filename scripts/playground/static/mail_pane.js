// One mail as text, opened at a quote. Knows nothing of lists or episodes.

import { Failure, get } from "./api.js";
import { button, day, el, icon, plural } from "./dom.js";
import { withLinks } from "./links.js";

export class MailPane {
  /** `onBack` is called by the button that small screens show; `at` is where the server has its routes for mail,
   *  `load(params, signal)` returns a mail. */
  constructor({ onBack = null, hint = "Open a mail from the list, or ask: the mails that the agent reads open here.", at = "/api", load = (params, signal) => get(`${at}/mail`, params, signal) } = {}) {
    this.onBack = onBack;
    this.at = at;
    this.load = load;
    this.hint = hint;
    this.element = el("article", { class: "mail", tabindex: "0", "aria-label": "Mail" });
    this.clear();
  }

  clear() {
    this.aborter?.abort();
    this.element.replaceChildren(
      el("div", { class: "empty" }, icon("read"), el("p", { text: this.hint })),
    );
  }

  /** Show the mail `ref` (number or Message-ID) of an inbox as of a day, scrolled to `quote`; `elsewhere` names the
   *  inbox where it is not the one that is looked at. */
  async show({ inbox, ref, asOf = null, quote = "", elsewhere = "" }) {
    this.aborter?.abort();
    this.aborter = new AbortController();
    this.shown = { inbox, ref, asOf, elsewhere };
    try {
      this.draw(await this.load({ inbox, ref, as_of: asOf, quote }, this.aborter.signal));
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof Failure)) throw error;
      this.element.replaceChildren(el("div", { class: "empty", role: "alert" }, icon("warn"), el("p", { text: error.message })));
    }
  }

  draw(mail) {
    const people = (label, who) => who.length > 0 && el("div", {}, el("dt", { text: label }), el("dd", {}, folded(who)));
    const body = el("div", { class: "body" });
    const quoted = append(body, mail, mail.body, 0);
    const page = el("div", { class: "shown" }, body);
    if (mail.end < mail.body_chars) page.append(this.more(body, mail));
    this.element.replaceChildren(
      el(
        "header",
        {},
        this.onBack && button([icon("left"), "Back"], this.onBack, { class: "quiet back" }),
        el("h2", { text: mail.subject || "no subject" }),
        el(
          "dl",
          { class: "envelope" },
          this.shown.elsewhere && el("div", {}, el("dt", { text: "Inbox" }), el("dd", { text: this.shown.elsewhere })),
          people("From", [mail.from]),
          people("To", mail.to),
          people("Cc", mail.cc),
          el("div", {}, el("dt", { text: "Date" }), el("dd", {}, day(mail.date, true), el("span", { class: "number", text: `no. ${mail.number}` }))),
        ),
        mail.attachments.length > 0 && el("ul", { class: "attachments", "aria-label": "Attachments" }, mail.attachments.map(attachment)),
        mail.has_html && this.asHtml(page, mail),
      ),
      page,
    );
    this.element.scrollTop = 0;
    if (quoted && !this.isSeen(quoted)) quoted.scrollIntoView({ block: "center" }); // else subject and sender stay
  }

  isSeen(node) {
    return node.getBoundingClientRect().bottom <= this.element.getBoundingClientRect().bottom;
  }

  /** Return the switch between the text and the HTML as it was sent, which is loaded when it is wanted. */
  asHtml(page, mail) {
    const { inbox, ref, asOf } = this.shown;
    const text = [...page.childNodes];
    const address = `${this.at}/mail/html?${new URLSearchParams({ inbox, ref, ...(asOf && { as_of: asOf }) })}`;
    const show = button("Show as HTML", () => {
      const isHtml = page.contains(text[0]);
      show.textContent = isHtml ? "Show as text" : "Show as HTML";
      page.replaceChildren(
        ...(isHtml ? [el("iframe", { class: "html", sandbox: true, src: address, title: `HTML of ${mail.subject || "the mail"}`, referrerpolicy: "no-referrer" })] : text),
      );
    }, { class: "plain as-html" });
    return show;
  }

  more(body, mail) {
    const left = (end) => `Show more (${(mail.body_chars - end).toLocaleString("en")} characters left)`;
    let end = mail.end;
    let shown = mail.body.length; // the server counts characters, the places are in UTF-16 units
    const show = button(left(end), async () => {
      const { inbox, ref, asOf } = this.shown;
      show.disabled = true;
      const next = await this.load({ inbox, ref, as_of: asOf, start: end });
      end = next.end;
      append(body, mail, next.body, shown);
      shown += next.body.length;
      show.disabled = false;
      show.textContent = left(end);
      if (end >= mail.body_chars) show.remove();
    }, { class: "plain more" });
    return show;
  }
}

/** Append text that stands at `at` in the mail, each forwarded mail in a part of its own; return the marked quote. */
function append(body, mail, text, at) {
  const [start, end] = mail.quote ?? [0, 0];
  let quoted = null;
  for (const [from, to, forward] of pieces(mail.forwards ?? [], at, at + text.length)) {
    const place = forward ? part(body, forward) : body;
    const cut = (a, b) => withLinks(text.slice(Math.max(a, from) - at, Math.max(Math.min(b, to), from) - at));
    place.append(...cut(from, Math.min(start, to)));
    if (end > from && start < to) {
      const marked = el("mark", { class: "quote" }, cut(start, end));
      quoted ??= marked;
      place.append(marked);
    }
    place.append(...cut(Math.min(Math.max(start, end), to), to));
  }
  return quoted;
}

/** Cut a range at the bounds of the forwarded mails: [start, end, the forwarded mail or undefined] of each piece. */
function pieces(forwards, from, to) {
  const cuts = [from, ...forwards.flat().filter((place) => place > from && place < to), to];
  const bounds = cuts.filter((place, number) => number === 0 || place > cuts[number - 1]);
  return bounds.slice(1).map((end, number) => [bounds[number], end, forwards.find(([a, b]) => a <= bounds[number] && bounds[number] < b)]);
}

/** Return the element of a forwarded mail, made when its first text comes. */
function part(body, forward) {
  const known = [...body.children].find((one) => one.dataset.start === String(forward[0]));
  if (known) return known;
  const made = el("section", { class: "forwarded", "aria-label": "Forwarded mail", "data-start": String(forward[0]) });
  body.append(made);
  return made;
}

function folded(who) {
  const shown = who.slice(0, 6).join(", ");
  if (who.length <= 6) return shown;
  return el("details", {}, el("summary", { text: `${shown} and ${plural(who.length - 6, "more", "more")}` }), who.slice(6).join(", "));
}

function attachment(one) {
  const size = one.size < 1e6 ? `${Math.ceil(one.size / 1e3)} kB` : `${(one.size / 1e6).toFixed(1)} MB`;
  return el("li", {}, icon("clip"), el("span", { text: one.name || "unnamed" }), el("span", { class: "hint", text: size }));
}
