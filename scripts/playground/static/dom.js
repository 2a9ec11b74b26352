// Builds elements. Data only ever becomes text: nothing here parses HTML, and the page's policy forbids it.

/** Return an element: `props` are attributes, but `class`, `text`, `on` (handlers) and `data` (data-attributes). */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else if (name === "data") Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5 20 20",
  list: "M5 6.5h14M5 12h14M5 17.5h14",
  read: "M3 8.5 12 14l9-5.5M3 8.5V19h18V8.5M3 8.5 12 3l9 5.5",
  answer: "M5 12.5 10 17.5 19.5 7",
  unknown: "M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 17.6v.1",
  warn: "M12 4 2.8 20h18.4zM12 10v4.5M12 17.2v.1",
  hand: "M7 12V6.5a1.5 1.5 0 0 1 3 0V11m0-.5v-6a1.5 1.5 0 0 1 3 0V11m0-5a1.5 1.5 0 0 1 3 0v6m0-3a1.5 1.5 0 0 1 3 0v5.5a6.5 6.5 0 0 1-12 3.5l-3.6-5.4a1.5 1.5 0 0 1 2.4-1.7L8.5 16",
  up: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7z",
  left: "M14.5 6 8.5 12l6 6",
  right: "M9.5 6l6 6-6 6",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  flag: "M6 21V4h11l-2 4 2 4H6",
  clip: "M8 12.5 14 6.6a3 3 0 0 1 4.2 4.2l-7.6 7.5a5 5 0 0 1-7-7L11 4",
  close: "M6 6l12 12M18 6 6 18",
  play: "M8 5.5v13l10.5-6.5z",
  pause: "M8.5 5.5v13M15.5 5.5v13",
  save: "M12 4v11M7.5 10.5 12 15l4.5-4.5M5 19.5h14",
  pair: "M4 5h6.5v14H4zM13.5 5H20v14h-6.5z",
};

/** Return a line icon, hidden from screen readers: the text beside it says the same. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Return the mark: a lens that looks at an envelope. */
export function mark() {
  const image = el("img", { src: "/static/icon.svg", alt: "", width: 26, height: 26 });
  return image;
}

/** Return a button; `label` names it for screen readers where its text does not. */
export function button(text, onClick, props = {}) {
  return el("button", { type: "button", ...props, on: { click: onClick } }, text);
}

/** Return "1 mail", "2,000 mails". */
export function plural(count, noun, many = noun + "s") {
  return `${count.toLocaleString("en")} ${count === 1 ? noun : many}`;
}

/** Return a UTC day as a person reads it, shorter within lists. */
export function day(iso, long = false) {
  if (!iso) return "undated";
  const options = long
    ? { weekday: "short", day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit" }
    : { day: "numeric", month: "short", year: "numeric" };
  return new Intl.DateTimeFormat("en-GB", { ...options, timeZone: "UTC" }).format(new Date(iso));
}
