// The list of an inbox; typing searches as the agent does. Knows nothing of what opening a mail means.

import { get } from "./api.js";
import { button, day, el, plural } from "./dom.js";
import { VirtualList } from "./virtual_list.js";

const DEBOUNCE_MS = 70;

export class MailList extends VirtualList {
  /** `onOpen(hit)` is called when a mail is chosen; `at` is where the server has its routes for mail. */
  constructor({ onOpen, announce, at = "/api" }) {
    super({ name: "mail", label: "Mails", announce });
    this.onOpen = onOpen;
    this.at = at;
    this.order = "newest";
    this.inbox = null;
    this.asOf = null;
    this.build();
  }

  build() {
    this.input = el("input", {
      type: "search",
      placeholder: "Search as the agent does",
      "aria-label": "Search this inbox as the agent does",
      "aria-describedby": "mail-status",
      autocomplete: "off",
      spellcheck: "false",
      enterkeyhint: "search",
      on: { input: () => this.typed(), keydown: (event) => this.pressed(event) },
    });
    this.sort = button("Newest", () => this.toggleOrder(), { class: "quiet small", "aria-label": "Order: newest first" });
    this.element = el("div", { class: "mail-list" }, el("div", { class: "search-row" }, this.input, this.sort), this.status, this.scroller);
  }

  /** Show an inbox as it was on a day (null: all of it). */
  async show(inbox, asOf) {
    if (inbox === this.inbox && asOf === this.asOf) return;
    [this.inbox, this.asOf, this.marked] = [inbox, asOf, null];
    await this.restart();
  }

  /** Mark the row of the mail that is shown beside the list (null: none), now and in what is searched next. */
  mark(mail) {
    this.marked = mail;
    const at = mail ? this.placeOf((hit) => hit.number === mail.number || hit.message_id === mail.message_id) : -1;
    if (at === this.current) return;
    this.current = at;
    this.draw();
  }

  async restart() {
    await super.restart();
    if (this.marked) this.mark(this.marked);
  }

  focusSearch() {
    this.input.focus();
    this.input.select();
  }

  search(text) {
    this.input.value = text;
    return this.restart();
  }

  typed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.restart(), DEBOUNCE_MS);
  }

  toggleOrder() {
    this.order = this.order === "newest" ? "relevance" : "newest";
    const isNewest = this.order === "newest";
    this.sort.textContent = isNewest ? "Newest" : "Best match";
    this.sort.setAttribute("aria-label", isNewest ? "Order: newest first" : "Order: best match first");
    this.restart();
  }

  async fetchPage(page, signal) {
    if (!this.inbox) return { total: 0, pageSize: 50, items: [] };
    const params = { inbox: this.inbox, as_of: this.asOf, q: this.input.value, order: this.order, page };
    const found = await get(`${this.at}/mails`, params, signal);
    if (page === 1) this.status.textContent = this.summary(found);
    return { total: found.num_matches, pageSize: found.page_size, items: found.hits };
  }

  summary(found) {
    if (found.num_matches) return plural(found.num_matches, "mail") + (this.input.value.trim() ? " found" : "");
    const alone = Object.entries(found.keyword_counts).map(([word, count]) => `${word} ${count.toLocaleString("en")}`);
    return "Nothing found" + (alone.length ? `. Each word alone: ${alone.join(", ")}` : "");
  }

  cells(hit) {
    return [
      el("span", { class: "who", text: hit.from || "unknown sender" }),
      el("span", { class: "when", text: day(hit.date) }),
      el("span", { class: "subject", text: hit.subject || "no subject" }),
      el("span", { class: "snippet", text: hit.snippet }),
    ];
  }

  opened(hit) {
    this.onOpen(hit);
  }

  pressed(event) {
    if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      this.scroller.focus();
      this.choose(0);
      if (event.key === "Enter") this.openCurrent();
    } else if (event.key === "Escape") {
      this.input.value ? this.search("") : this.scroller.focus();
    }
  }
}
