/** A heat map: rows of labels, columns of time, colour for net sentiment and depth for how many posts say so. */

import { h } from "./dom.js";
import { clockTime, count, day, signed, utc } from "./format.js";
import { t } from "./i18n.js";

/**
 * Return a heat map.
 *
 * `rows` are `{ name, href(column), cells }`, a cell being `{ value, count }` or nothing; `columns` are begins in
 * milliseconds, `step` apart. Arrows move from cell to cell, Enter opens its posts.
 */
export function heatMap({ rows, columns, step, label }) {
  const most = Math.max(1, ...rows.flatMap((row) => row.cells.map((cell) => cell?.count ?? 0)));
  const told = h("p.heat-told.num", { "aria-hidden": "true" }, t("heat.hint"));
  const say = (text) => (told.textContent = text);
  const head = h(
    "tr",
    null,
    h("td"),
    columnTexts(columns).map((text, index) => h("th", { scope: "col", title: utc(new Date(columns[index])) }, text)),
    h("td"),
  );
  const body = rows.map((row, index) => bodyRow(row, index, { columns, step, most, say }));
  const table = h("table.heat", { role: "grid", "aria-label": label }, h("thead", null, head), h("tbody", null, body));
  table.addEventListener("keydown", (event) => onKey(event, table));
  table.addEventListener("mouseleave", () => say(t("heat.hint")));
  return h("div.heat-box", null, h("div.scroll-x", null, table), told);
}

/** Return what stands above the columns: every few hours the time, and where a day begins its date. */
function columnTexts(columns) {
  const every = Math.ceil(columns.length / 8);
  const midnight = columns.findIndex((at, index) => index && day(new Date(at)) !== day(new Date(columns[index - 1])));
  const anchor = Math.max(0, midnight);
  return columns.map((at, index) => {
    if (index === midnight) return day(new Date(at));
    return (index - anchor) % every === 0 ? clockTime(new Date(at)) : "";
  });
}

function bodyRow(row, index, { columns, step, most, say }) {
  const total = row.cells.reduce((sum, cell) => sum + (cell?.count ?? 0), 0);
  const cells = row.cells.map((cell, column) => {
    const span = `${clockTime(new Date(columns[column]))}\u2013${clockTime(new Date(columns[column] + step))}`;
    const text = cell
      ? t("heat.cell", { name: row.name, span, net: signed(cell.value), n: count(cell.count) })
      : t("heat.none", { name: row.name, span });
    const element = h("td", {
      role: "gridcell",
      tabindex: index === 0 && column === 0 ? 0 : -1,
      "aria-label": text,
      onmouseenter: () => say(text),
      onfocus: () => say(text),
    });
    if (!cell) return element;
    element.classList.add(cell.value < 0 ? "neg" : cell.value > 0 ? "pos" : "flat", "full");
    element.style.setProperty("--depth", depth(cell, most));
    element.addEventListener("click", () => (location.hash = row.href(columns[column])));
    return element;
  });
  return h(
    "tr",
    null,
    h("th", { scope: "row" }, h("a", { href: row.href(null) }, row.name)),
    cells,
    h("td.num.heat-total", null, count(total)),
  );
}

/** Return how deep a cell's colour is, in percent: by its sentiment, paler where few posts say so. */
function depth(cell, most) {
  const weight = 0.35 + 0.65 * Math.sqrt(cell.count / most);
  return `${Math.round(14 + 78 * Math.min(1, Math.abs(cell.value)) * weight)}%`;
}

function onKey(event, table) {
  const cell = event.target.closest("[role=gridcell]");
  if (!cell) return;
  const row = cell.parentElement;
  const at = [...row.children].indexOf(cell);
  const next = {
    ArrowRight: () => cell.nextElementSibling,
    ArrowLeft: () => cell.previousElementSibling,
    ArrowDown: () => row.nextElementSibling?.children[at],
    ArrowUp: () => row.previousElementSibling?.children[at],
    Home: () => row.children[1],
    End: () => row.children[row.children.length - 2],
  }[event.key]?.();
  if (event.key === "Enter") cell.click();
  else if (next?.matches("[role=gridcell]")) {
    event.preventDefault();
    table.querySelector("[role=gridcell][tabindex='0']").tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}
