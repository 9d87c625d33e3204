/** A panel of a page: a title, what it loads, and how that is drawn; it shows when it waits, has nothing, or fails. */

import { fill, h, icon, withCode } from "./dom.js";
import { t } from "./i18n.js";
import { problemView } from "./problems.js";

let panels = 0;

/**
 * A panel.
 *
 * `load(signal)` returns what is to be drawn, or a list of such; `draw(data)` returns elements, or null where there is
 * nothing, and then `empty` is shown. What is the same object as before is not drawn again.
 */
export class Panel {
  constructor({ title, load, draw, empty, tools, lines = 4, className = "" }) {
    Object.assign(this, { load, draw, empty });
    const id = `panel-${(panels += 1)}`;
    this.body = h("div.panel-body", null, skeleton(lines));
    this.stale = h("span.stale", { hidden: true, role: "status" });
    const head = title
      ? h("header.panel-head", null, h("h2", { id }, title), this.stale, h("div.panel-tools", null, tools))
      : null;
    this.element = h(
      "section.panel",
      { class: className, "aria-labelledby": title ? id : null, "aria-busy": "true" },
      head,
      this.body,
    );
    this.last = undefined;
    this.turn = 0;
  }

  /** Load again, and draw if something changed. */
  async refresh() {
    const turn = (this.turn += 1);
    this.abort?.abort();
    this.abort = new AbortController();
    try {
      const data = await this.load(this.abort.signal);
      if (turn !== this.turn) return;
      this.setStale("");
      if (!same(data, this.last)) this.redraw(data);
    } catch (error) {
      if (error.name === "AbortError" || turn !== this.turn) return;
      this.fail(error);
    } finally {
      if (turn === this.turn) this.element.setAttribute("aria-busy", "false");
    }
  }

  /** Draw data, or what was drawn last. */
  redraw(data = this.last) {
    this.last = data;
    fill(this.body, this.draw(data) ?? emptyView(this.empty ?? t("empty.any")));
  }

  close() {
    this.turn += 1;
    this.abort?.abort();
  }

  fail(error) {
    if (this.last !== undefined) this.setStale(t("stale", { why: error.message }));
    else
      fill(
        this.body,
        problemView(error, () => this.refresh()),
      );
    if (!error.document) console.error(error);
  }

  setStale(text) {
    this.stale.hidden = !text;
    this.stale.textContent = text ? t("stale.short") : "";
    this.stale.title = text;
  }
}

/** Return a panel that waits for nothing. */
export function section(title, ...content) {
  return h(
    "section.panel",
    { "aria-label": title },
    h("header.panel-head", null, h("h2", null, title)),
    h("div.panel-body", null, content),
  );
}

/** What stands where there is nothing. */
export function emptyView(text) {
  return h("p.empty", null, withCode(text));
}

/** What stands where something is awaited. */
export function skeleton(lines) {
  return h(
    "div.skeleton",
    { "aria-label": t("loading"), role: "img" },
    Array.from({ length: lines }, () => h("span")),
  );
}

/** A link that gives a panel's figures as a file. */
export function csvLink(href) {
  return h("a.tool", { href, download: "", title: t("csv.title"), "aria-label": t("csv.title") }, icon("download"));
}

function same(data, last) {
  if (!Array.isArray(data) || !Array.isArray(last)) return data === last;
  return data.length === last.length && data.every((one, index) => one === last[index]);
}
