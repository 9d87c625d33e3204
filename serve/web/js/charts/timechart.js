/** A chart over time that is read as a price chart is: cross-hair, zoom, pan, marks; by pointer, touch and keyboard. */

import { h } from "../dom.js";
import { dayTime, utc } from "../format.js";
import { t } from "../i18n.js";
import { AXIS_WIDTH, layout, paintCross, paintMarks, paintPanes } from "./paint.js";

const COLOURS = ["ink", "faint", "grid", "rule", "panel", "negative", "positive", "neutral", "accent"];
const MIXED = {
  negativeSoft: ["negative", 0.2],
  positiveSoft: ["positive", 0.2],
  mark: ["negative", 0.09],
  markLine: ["negative", 0.55],
  volume: ["neutral", 0.45],
};
const LEAST_STEPS = 6;
const ZOOM = 1.25;

/**
 * A chart of rows `{ t, ... }`, `t` being the begin of a window in milliseconds.
 *
 * Panes are `{ weight, format, zero, limits, least, series: [{ kind, key, colour, name, dash, split }] }`; marks are
 * `{ from, to, label, href }`.
 */
export class TimeChart {
  constructor({ label, panes, step, tall }) {
    this.panes = panes;
    this.step = step;
    this.rows = [];
    this.marks = [];
    this.cross = null;
    this.pointers = new Map();
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.legend = h("div.chart-legend.num", { "aria-live": "polite" });
    this.plot = h(
      "div.chart-plot",
      { tabindex: 0, role: "application", "aria-label": label, "aria-roledescription": t("chart.role") },
      this.canvas,
    );
    this.element = h(
      "div.chart",
      { class: tall ? "tall" : "" },
      h("div.chart-head", null, this.legend, this.tools()),
      this.plot,
    );
    this.listen();
    this.observer = new ResizeObserver(() => this.paint());
    this.observer.observe(this.plot);
    this.repaint = () => this.paint();
    addEventListener("themechange", this.repaint);
  }

  /** Show rows and marks; what is zoomed into stays. */
  show(rows, marks = [], step = this.step) {
    const wasWhole = !this.rows.length || this.isWhole();
    Object.assign(this, { rows, marks, step });
    if (wasWhole || !rows.length) this.reset();
    else this.paint();
  }

  /** Stop watching the window. */
  close() {
    this.observer.disconnect();
    removeEventListener("themechange", this.repaint);
  }

  extent() {
    return this.rows.length ? [this.rows[0].t, this.rows.at(-1).t + this.step] : [0, 1];
  }

  isWhole() {
    const [first, last] = this.extent();
    return this.from <= first && this.to >= last;
  }

  reset() {
    [this.from, this.to] = this.extent();
    this.paint();
  }

  zoom(factor, at = (this.from + this.to) / 2) {
    const [first, last] = this.extent();
    const span = Math.min(Math.max((this.to - this.from) * factor, this.step * LEAST_STEPS), last - first);
    const share = (at - this.from) / (this.to - this.from);
    this.move(at - share * span, span);
  }

  move(from, span = this.to - this.from) {
    const [first, last] = this.extent();
    this.from = Math.max(first, Math.min(from, last - span));
    this.to = Math.min(last, this.from + span);
    this.paint();
  }

  tools() {
    const tool = (text, label, act) =>
      h("button.tool", { type: "button", "aria-label": label, title: label, onclick: act }, text);
    return h(
      "div.chart-tools",
      null,
      tool("+", t("chart.in"), () => this.zoom(1 / ZOOM)),
      tool("\u2212", t("chart.out"), () => this.zoom(ZOOM)),
      tool("\u21ba", t("chart.reset"), () => this.reset()),
    );
  }

  listen() {
    const plot = this.plot;
    plot.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    plot.addEventListener("pointerdown", (event) => this.onDown(event));
    plot.addEventListener("pointermove", (event) => this.onMove(event));
    plot.addEventListener("pointerup", (event) => this.onUp(event));
    plot.addEventListener("pointercancel", (event) => this.pointers.delete(event.pointerId));
    plot.addEventListener("pointerleave", () => this.setCross(null));
    plot.addEventListener("dblclick", () => this.reset());
    plot.addEventListener("keydown", (event) => this.onKey(event));
    plot.addEventListener("blur", () => this.setCross(null));
  }

  onWheel(event) {
    const across = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (!this.rows.length || (this.isWhole() && (across || event.deltaY > 0))) return;
    event.preventDefault();
    if (across) this.move(this.from + (event.deltaX / this.width()) * (this.to - this.from));
    else this.zoom(event.deltaY > 0 ? ZOOM : 1 / ZOOM, this.timeAt(event));
  }

  onDown(event) {
    this.plot.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event.offsetX);
    this.grip = { x: event.offsetX, from: this.from, span: this.to - this.from, spread: this.spread(), moved: false };
  }

  onMove(event) {
    if (!this.rows.length) return;
    if (!this.pointers.has(event.pointerId)) {
      this.plot.classList.toggle("on-mark", Boolean(this.markAt(event)));
      this.setCross(this.rowAt(this.timeAt(event)));
      return;
    }
    this.pointers.set(event.pointerId, event.offsetX);
    if (this.pointers.size === 2 && this.grip.spread) {
      const span = (this.grip.span * this.grip.spread) / Math.max(8, this.spread());
      this.zoom(span / (this.to - this.from));
    } else if (Math.abs(event.offsetX - this.grip.x) > 3 || this.grip.moved) {
      this.grip.moved = true;
      this.move(this.grip.from - ((event.offsetX - this.grip.x) / this.width()) * this.grip.span, this.grip.span);
    }
  }

  onUp(event) {
    this.pointers.delete(event.pointerId);
    const mark = this.grip?.moved ? null : this.markAt(event);
    if (mark?.href) location.hash = mark.href;
  }

  onKey(event) {
    const index = this.cross ? this.rows.indexOf(this.cross) : this.rows.length;
    const acts = {
      ArrowLeft: () => (event.shiftKey ? this.move(this.from - (this.to - this.from) / 8) : this.step_to(index - 1)),
      ArrowRight: () => (event.shiftKey ? this.move(this.from + (this.to - this.from) / 8) : this.step_to(index + 1)),
      "+": () => this.zoom(1 / ZOOM),
      "=": () => this.zoom(1 / ZOOM),
      "-": () => this.zoom(ZOOM),
      0: () => this.reset(),
      Escape: () => this.setCross(null),
    };
    if (!acts[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    acts[event.key]();
  }

  step_to(index) {
    const row = this.rows[Math.max(0, Math.min(index, this.rows.length - 1))];
    if (!row) return;
    if (row.t < this.from) this.move(row.t);
    if (row.t + this.step > this.to) this.move(row.t + this.step - (this.to - this.from));
    this.setCross(row);
  }

  spread() {
    const [first, second] = [...this.pointers.values()];
    return second === undefined ? 0 : Math.abs(first - second);
  }

  width() {
    return Math.max(1, this.plot.clientWidth - AXIS_WIDTH);
  }

  timeAt(event) {
    return this.from + (event.offsetX / this.width()) * (this.to - this.from);
  }

  rowAt(at) {
    let best = null;
    for (const row of this.rows) {
      if (!best || Math.abs(row.t + this.step / 2 - at) < Math.abs(best.t + this.step / 2 - at)) best = row;
    }
    return best;
  }

  markAt(event) {
    const reach = (8 / this.width()) * (this.to - this.from);
    const at = this.timeAt(event);
    return this.marks.find(
      (mark) => at >= mark.from - reach && at <= Math.max(mark.to, mark.from + reach) && event.offsetY < 40,
    );
  }

  setCross(row) {
    this.cross = row;
    this.paint();
  }

  paint() {
    const { clientWidth: width, clientHeight: height } = this.plot;
    if (!width || !height || !this.panes.length) return;
    const ratio = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const ctx = this.canvas.getContext("2d");
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, height);
    const rows = this.rows.filter((row) => row.t + this.step >= this.from && row.t <= this.to);
    this.writeLegend(
      this.cross ?? rows.findLast((row) => this.panes[0].series.some((series) => Number.isFinite(row[series.key]))),
    );
    if (!rows.length) return;
    const x = (at) => ((at - this.from) / (this.to - this.from)) * (width - AXIS_WIDTH);
    const view = {
      rows,
      x,
      width,
      height,
      from: this.from,
      to: this.to,
      step: this.step,
      colours: colours(this.element),
    };
    view.places = layout(this.panes, rows, height);
    paintPanes(ctx, view);
    paintMarks(ctx, view, this.marks);
    if (this.cross) paintCross(ctx, view, this.cross);
  }

  writeLegend(row) {
    if (!row) return this.legend.replaceChildren();
    const at = new Date(row.t);
    const series = this.panes.flatMap((pane) =>
      pane.series.map((one) => ({ ...one, format: pane.exact ?? pane.format })),
    );
    const values = series.map((one) =>
      h(
        "span.key",
        { class: `of-${one.colour}` },
        h("span.swatch", { class: one.dash ? "dash" : "" }),
        `${one.name} `,
        h("b", null, one.format(row[one.key])),
      ),
    );
    return this.legend.replaceChildren(h("span", { title: utc(at) }, dayTime(at)), ...values);
  }
}

function colours(element) {
  const style = getComputedStyle(element);
  const found = Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  for (const [name, [of, share]] of Object.entries(MIXED)) found[name] = withAlpha(found[of], share);
  return found;
}

function withAlpha(hex, share) {
  const channel = (at) => parseInt(hex.slice(at, at + 2), 16);
  return `rgb(${channel(1)} ${channel(3)} ${channel(5)} / ${share})`;
}
