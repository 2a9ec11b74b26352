// The numbers of a run, a small chart each: they grow while the run trains.
// Knows nothing of where the rows come from.

import { button, el } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [100, 40];
const WINDOW_SHARE = 20; // the strong line is the mean of this part of all steps

export class Curves {
  /** `metrics` are names with meanings; `onStep(step)` is called when a step is chosen in a chart. */
  constructor({ metrics, numSteps, onStep }) {
    this.metrics = metrics;
    this.numSteps = numSteps;
    this.onStep = onStep;
    this.rows = [];
    this.jumps = new Set();
    this.showsAll = false;
    this.head = el("p", { class: "run-state", role: "status" });
    this.grid = el("div", { class: "charts" });
    this.more = button("", () => this.toggle(), { class: "quiet small" });
    this.element = el("div", { class: "curves" }, this.head, this.grid, this.more);
  }

  /** Take rows from a place on: earlier ones stay. */
  take({ from, rows, jumps }) {
    this.rows = [...this.rows.slice(0, from), ...rows];
    this.jumps = new Set(jumps);
    this.draw();
  }

  toggle() {
    this.showsAll = !this.showsAll;
    this.draw();
  }

  draw() {
    const last = this.rows.at(-1);
    const of = this.numSteps ? ` of ${this.numSteps}` : "";
    this.head.textContent = last ? `Step ${last.step}${of}` : "No step yet: curves appear as the run writes them.";
    const known = this.metrics.filter(({ name }) => this.rows.some((row) => typeof row[name] === "number"));
    const shown = this.showsAll ? known : known.filter((one) => one.is_first);
    this.grid.replaceChildren(...shown.map((one) => this.chart(one)));
    this.more.hidden = known.length <= shown.length && !this.showsAll;
    this.more.textContent = this.showsAll ? "The first ones only" : `All ${known.length} numbers`;
  }

  chart({ name, meaning }) {
    const points = this.rows.filter((row) => typeof row[name] === "number").map((row) => [row.step, row[name]]);
    const frame = frameOf(points);
    const value = el("span", { class: "chart-value" });
    const say = (place) => (value.textContent = `${place < points.length - 1 ? `step ${points[place][0]}: ` : ""}${short(points[place][1])}`);
    const rule = shape("path", { class: "rule", d: "" });
    const image = shape(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": spoken(name, points) },
      points.length > 30 && shape("path", { class: "line faint", d: line(points, frame) }),
      shape("path", { class: "line", d: line(points.length > 30 ? smoothed(points) : points, frame) }),
      points.length === 1 && shape("path", { class: "dot", d: dot(points[0], frame) }),
      ...(name === "reward_mean" ? points.filter(([step]) => this.jumps.has(step)).map((point) => shape("path", { class: "dot jump", d: dot(point, frame) })) : []),
      rule,
    );
    const near = (event) => {
      const box = image.getBoundingClientRect();
      const step = frame.left + ((event.clientX - box.left) / box.width) * (frame.right - frame.left);
      return points.reduce((best, [at], place) => (Math.abs(at - step) < Math.abs(points[best][0] - step) ? place : best), 0);
    };
    image.addEventListener("pointermove", (event) => {
      const place = near(event);
      say(place);
      rule.setAttribute("d", `M${frame.x(points[place][0])} 0V${HEIGHT}`);
    });
    image.addEventListener("pointerleave", () => (say(points.length - 1), rule.setAttribute("d", "")));
    image.addEventListener("click", (event) => this.onStep(points[near(event)][0]));
    say(points.length - 1);
    return el(
      "figure",
      { class: "chart", data: { metric: name } },
      el("figcaption", { title: meaning }, el("span", { class: "chart-name", text: name.replaceAll("_", " ") }), value),
      el("div", { class: "plot" }, image, el("span", { class: "top", text: short(frame.high) }), el("span", { class: "bottom", text: short(frame.low) })),
      el("p", { class: "axis" }, el("span", { text: `step ${frame.left}` }), el("span", { text: String(frame.right) })),
    );
  }
}

function frameOf(points) {
  const [steps, values] = [points.map(([step]) => step), points.map(([, value]) => value)];
  const [left, right] = [steps[0], steps.at(-1)];
  const [low, high] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  const spread = high - low || Math.abs(high) || 1;
  return {
    left,
    right,
    low,
    high,
    x: (step) => (right === left ? WIDTH / 2 : ((step - left) / (right - left)) * WIDTH),
    y: (value) => (high === low ? HEIGHT / 2 : HEIGHT - 2 - ((value - low) / spread) * (HEIGHT - 4)),
  };
}

function line(points, frame) {
  return points.map(([step, value], place) => `${place ? "L" : "M"}${frame.x(step).toFixed(2)} ${frame.y(value).toFixed(2)}`).join("");
}

function dot([step, value], frame) {
  return `M${frame.x(step)} ${frame.y(value)}h0`; // of no length: its round ends are the dot, whatever the chart's shape
}

function smoothed(points) {
  const size = Math.max(3, Math.round(points.length / WINDOW_SHARE));
  return points.map(([step], place) => {
    const near = points.slice(Math.max(0, place - size + 1), place + 1);
    return [step, near.reduce((sum, [, value]) => sum + value, 0) / near.length];
  });
}

function shape(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter(Boolean));
  return node;
}

function short(value) {
  const size = Math.abs(value);
  if (size && (size < 0.001 || size >= 1e6)) return value.toExponential(1);
  return value.toLocaleString("en", { maximumFractionDigits: size < 1 ? 3 : size < 100 ? 2 : 0 });
}

function spoken(name, points) {
  const [first, last] = [points[0], points.at(-1)];
  return `${name.replaceAll("_", " ")}: ${short(first[1])} at step ${first[0]}, ${short(last[1])} at step ${last[0]}`;
}
