/** What posts are about, or do, as bars: how many, and how many of them are negative. */

import { h } from "./dom.js";
import { count, percent } from "./format.js";
import { labelName, t } from "./i18n.js";

/** Return bars of a dimension's values; `rows` as the aggregates give them. */
export function breakdown(rows, dimension, href) {
  const most = Math.max(1, ...rows.map((row) => row.count));
  return h(
    "table.bars",
    { "aria-label": t(`task.${dimension}`) },
    h(
      "thead.sr",
      null,
      h(
        "tr",
        null,
        [t(`task.${dimension}`), t("posts"), t("negative.share")].map((text) => h("th", { scope: "col" }, text)),
      ),
    ),
    h(
      "tbody",
      null,
      rows.map((row) => bar(row, dimension, most, href)),
    ),
  );
}

function bar(row, dimension, most, href) {
  const name = labelName(dimension, row[dimension]);
  const whole = h("span.bar", null, h("span.bar-negative"));
  whole.style.width = `${(100 * row.count) / most}%`;
  whole.firstChild.style.width = `${(100 * row.negative) / row.count}%`;
  return h(
    "tr",
    null,
    h("th", { scope: "row" }, href ? h("a", { href: href(row[dimension]) }, name) : name),
    h("td.num.right", null, count(row.count)),
    h("td.bar-cell", { title: t("bar.title", { n: row.count, negative: row.negative }) }, whole),
    h("td.num.right.faint", null, percent(row.negative / row.count)),
  );
}
