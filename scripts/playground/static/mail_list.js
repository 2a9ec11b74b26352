// The list of an inbox: only the rows that are seen exist, their mails come from the server page by page.
// Typing searches as the agent does. Knows nothing of what opening a mail means.

import { Failure, get } from "./api.js";
import { button, day, el, plural } from "./dom.js";

const DEBOUNCE_MS = 70;
const MAX_HEIGHT = 8_000_000; // of the scrolled area; browsers lose precision beyond 16 million pixels
const SPARE_ROWS = 6;

export class MailList {
  /** `onOpen(hit)` is called when a mail is chosen. */
  constructor({ onOpen, announce }) {
    this.onOpen = onOpen;
    this.announce = announce;
    this.order = "newest";
    this.inbox = null;
    this.asOf = null;
    this.build();
    this.reset();
  }

  build() {
    this.input = el("input", {
      type: "search",
      placeholder: "Search as the agent does",
      "aria-label": "Search this inbox as the agent does",
      "aria-describedby": "list-status",
      autocomplete: "off",
      spellcheck: "false",
      enterkeyhint: "search",
      on: { input: () => this.typed(), keydown: (event) => this.pressed(event) },
    });
    this.sort = button("Newest", () => this.toggleOrder(), { class: "quiet small", "aria-label": "Order: newest first" });
    this.status = el("p", { class: "list-status", id: "list-status" });
    this.area = el("div", { class: "rows" });
    this.scroller = el(
      "div",
      {
        class: "scroller",
        role: "listbox",
        tabindex: "0",
        "aria-label": "Mails",
        on: { scroll: () => this.schedule(), keydown: (event) => this.moved(event), click: (event) => this.clicked(event) },
      },
      this.area,
    );
    this.element = el("div", { class: "mail-list" }, el("div", { class: "search-row" }, this.input, this.sort), this.status, this.scroller);
    this.sizes = new ResizeObserver(() => this.schedule());
    this.sizes.observe(this.scroller);
  }

  /** Show an inbox as it was on a day (null: all of it). */
  async show(inbox, asOf) {
    if (inbox === this.inbox && asOf === this.asOf) return;
    [this.inbox, this.asOf] = [inbox, asOf];
    await this.restart();
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

  reset() {
    this.aborter?.abort();
    this.aborter = new AbortController();
    this.pages = new Map();
    this.total = 0;
    this.pageSize = 50;
    this.current = -1;
  }

  async restart() {
    this.reset();
    const { signal } = this.aborter;
    try {
      await this.load(1);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof Failure)) throw error;
      this.area.replaceChildren();
      this.status.textContent = error.message;
      return;
    }
    if (signal.aborted) return;
    this.scroller.scrollTop = 0;
    this.draw();
    this.announce(this.status.textContent);
  }

  async load(page) {
    if (!this.inbox || this.pages.has(page)) return;
    this.pages.set(page, null);
    const params = { inbox: this.inbox, as_of: this.asOf, q: this.input.value, order: this.order, page };
    const found = await get("/api/mails", params, this.aborter.signal);
    this.pages.set(page, found.hits);
    if (page !== 1) return;
    this.total = found.num_matches;
    this.pageSize = found.page_size;
    this.status.textContent = this.summary(found);
  }

  summary(found) {
    if (found.num_matches) return plural(found.num_matches, "mail") + (this.input.value.trim() ? " found" : "");
    const alone = Object.entries(found.keyword_counts).map(([word, count]) => `${word} ${count.toLocaleString("en")}`);
    return "Nothing found" + (alone.length ? `. Each word alone: ${alone.join(", ")}` : "");
  }

  hit(index) {
    return this.pages.get(Math.floor(index / this.pageSize) + 1)?.[index % this.pageSize] ?? null;
  }

  schedule() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  // The area is as high as all rows; beyond MAX_HEIGHT it is compressed, and a scrolled pixel means several.
  geometry() {
    const probe = this.area.firstElementChild;
    this.rowHeight = (probe?.offsetHeight || this.rowHeight) ?? 76;
    const full = this.total * this.rowHeight;
    const height = Math.min(full, MAX_HEIGHT);
    const view = this.scroller.clientHeight;
    const share = height > view ? this.scroller.scrollTop / (height - view) : 0;
    return { height, view, offset: share * Math.max(0, full - view), top: this.scroller.scrollTop };
  }

  draw() {
    const { height, view, offset, top } = this.geometry();
    const first = Math.max(0, Math.floor(offset / this.rowHeight) - SPARE_ROWS);
    const last = Math.min(this.total, Math.ceil((offset + view) / this.rowHeight) + SPARE_ROWS);
    this.area.style.height = `${height}px`;
    const rows = [];
    for (let index = first; index < last; index += 1) rows.push(this.row(index, top - offset + index * this.rowHeight));
    this.area.replaceChildren(...rows);
    this.fetchMissing(first, last);
  }

  fetchMissing(first, last) {
    clearTimeout(this.fetching);
    this.fetching = setTimeout(async () => {
      const from = Math.floor(first / this.pageSize) + 1;
      const to = Math.floor(Math.max(first, last - 1) / this.pageSize) + 1;
      const missing = [];
      for (let page = from; page <= to; page += 1) if (!this.pages.has(page)) missing.push(page);
      if (!missing.length) return;
      try {
        await Promise.all(missing.map((page) => this.load(page)));
        this.draw();
      } catch (error) {
        missing.forEach((page) => this.pages.get(page) ?? this.pages.delete(page));
        if (error instanceof Failure) this.status.textContent = error.message;
      }
    }, 30);
  }

  row(index, top) {
    const hit = this.hit(index);
    const row = el("div", {
      class: hit ? "row" : "row waiting",
      role: "option",
      id: `mail-row-${index}`,
      "aria-selected": String(index === this.current),
      "aria-setsize": this.total,
      "aria-posinset": index + 1,
      data: { index },
    });
    row.style.transform = `translateY(${top}px)`;
    if (!hit) row.setAttribute("aria-label", "loading");
    else
      row.append(
        el("span", { class: "who", text: hit.from || "unknown sender" }),
        el("span", { class: "when", text: day(hit.date) }),
        el("span", { class: "subject", text: hit.subject || "no subject" }),
        el("span", { class: "snippet", text: hit.snippet }),
      );
    return row;
  }

  /** Choose the next (1) or previous (-1) mail and bring it into view. */
  move(step) {
    this.choose(Math.max(0, Math.min(this.current + step, this.total - 1)));
  }

  choose(index) {
    if (!this.total) return;
    this.current = index;
    const { height, view } = this.geometry();
    const full = this.total * this.rowHeight;
    const scale = full > view ? (height - view) / (full - view) : 1;
    const [above, below] = [index * this.rowHeight, (index + 1) * this.rowHeight - view];
    const offset = this.scroller.scrollTop / (scale || 1);
    if (offset > above) this.scroller.scrollTop = above * scale;
    else if (offset < below) this.scroller.scrollTop = below * scale;
    this.scroller.setAttribute("aria-activedescendant", `mail-row-${index}`);
    this.draw();
  }

  async openCurrent() {
    if (this.current < 0) this.choose(0);
    await this.load(Math.floor(this.current / this.pageSize) + 1);
    const hit = this.hit(this.current);
    if (hit) this.onOpen(hit);
  }

  moved(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8, Home: -this.total, End: this.total };
    if (event.key in steps) this.move(steps[event.key]);
    else if (event.key === "Enter") this.openCurrent();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  clicked(event) {
    const row = event.target.closest(".row");
    if (!row) return;
    this.choose(Number(row.dataset.index));
    this.openCurrent();
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
