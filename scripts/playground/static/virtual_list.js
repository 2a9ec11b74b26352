// A list of any length: only the rows that are seen exist, their items come page by page.
// Knows nothing of what an item is: whoever extends it says how a page is fetched and a row is drawn.

import { Failure } from "./api.js";
import { el } from "./dom.js";

const MAX_HEIGHT = 8_000_000; // of the scrolled area; browsers lose precision beyond 16 million pixels
const SPARE_ROWS = 6;

export class VirtualList {
  /** `name` begins the ids of rows, `label` is what screen readers hear. */
  constructor({ name, label, announce }) {
    this.name = name;
    this.announce = announce;
    this.status = el("p", { class: "list-status", id: `${name}-status` });
    this.area = el("div", { class: "rows" });
    this.scroller = el(
      "div",
      {
        class: "scroller",
        role: "listbox",
        tabindex: "0",
        "aria-label": label,
        on: { scroll: () => this.schedule(), keydown: (event) => this.moved(event), click: (event) => this.clicked(event) },
      },
      this.area,
    );
    this.sizes = new ResizeObserver(() => this.schedule());
    this.sizes.observe(this.scroller);
    this.reset();
  }

  // For whoever extends this:

  /** Return a page: `{total, pageSize, items}`; called with its number, from 1. */
  async fetchPage(page, signal) {
    throw new Error(`no page ${page} ${signal}`);
  }

  /** Return the nodes of a row. */
  cells(item) {
    return [String(item)];
  }

  /** An item was chosen. */
  opened() {}

  reset() {
    this.aborter?.abort();
    this.aborter = new AbortController();
    this.pages = new Map();
    this.total = 0;
    this.pageSize = 50;
    this.current = -1;
  }

  /** Begin anew, at the top. */
  async restart() {
    this.reset();
    const { signal } = this.aborter;
    if (!(await this.tried(() => this.load(1))) || signal.aborted) return;
    this.scroller.scrollTop = 0;
    this.draw();
    this.announce(this.status.textContent);
  }

  /** Fetch again what is seen, and stay where one is. */
  async refresh() {
    this.pages = new Map();
    if (await this.tried(() => this.load(1))) this.draw();
  }

  async tried(work) {
    try {
      await work();
      return true;
    } catch (error) {
      if (error.name === "AbortError") return false;
      if (!(error instanceof Failure)) throw error;
      this.area.replaceChildren();
      this.status.textContent = error.message;
      return false;
    }
  }

  async load(page) {
    if (this.pages.has(page)) return;
    const pages = this.pages;
    pages.set(page, null);
    const found = await this.fetchPage(page, this.aborter.signal);
    pages.set(page, found.items);
    if (page !== 1) return;
    this.total = found.total;
    this.pageSize = found.pageSize;
  }

  item(index) {
    return this.pages.get(Math.floor(index / this.pageSize) + 1)?.[index % this.pageSize] ?? null;
  }

  /** Return the place of the first loaded item that `isWanted` holds for, or -1. */
  placeOf(isWanted) {
    for (const [page, items] of this.pages) {
      const at = items?.findIndex(isWanted) ?? -1;
      if (at >= 0) return (page - 1) * this.pageSize + at;
    }
    return -1;
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
    if (rows.length && rows[0].offsetHeight && rows[0].offsetHeight !== this.rowHeight) this.schedule(); // the first rows: their height was a guess
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
    const item = this.item(index);
    const row = el("div", {
      class: item ? "row" : "row waiting",
      role: "option",
      id: `${this.name}-row-${index}`,
      "aria-selected": String(index === this.current),
      "aria-setsize": this.total,
      "aria-posinset": index + 1,
      data: { index },
    });
    row.style.transform = `translateY(${top}px)`;
    if (item) row.append(...this.cells(item));
    else row.setAttribute("aria-label", "loading");
    return row;
  }

  /** Choose the next (1) or previous (-1) row and bring it into view. */
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
    this.scroller.setAttribute("aria-activedescendant", `${this.name}-row-${index}`);
    this.draw();
  }

  async openCurrent() {
    if (this.current < 0) this.choose(0);
    await this.load(Math.floor(this.current / this.pageSize) + 1);
    const item = this.item(this.current);
    if (item) this.opened(item, this.current);
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
}
