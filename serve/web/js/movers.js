/** Lists of entities by how they stand or move, each with its last day as a line. */

import { entityHref } from "./alerts.js";
import { spark } from "./charts/spark.js";
import { h } from "./dom.js";
import { count, signed } from "./format.js";
import { t } from "./i18n.js";

/** Return a table of entities; `rows` as the aggregates give them, `lines` their windows by entity. */
export function entityTable(rows, lines, { compared, label }) {
  const head = [t("entity"), t("posts"), t("net"), compared ? t("change") : t("negative.share.short"), t("last.day")];
  return h(
    "table.entities",
    { "aria-label": label },
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        head.map((text, index) => h("th", { scope: "col", class: index ? "right" : "" }, text)),
      ),
    ),
    h(
      "tbody",
      null,
      rows.map((row) => entityRow(row, lines.get(row.entity) ?? [], compared)),
    ),
  );
}

function entityRow(row, values, compared) {
  const last = compared
    ? signedCell(row.change)
    : h("td.right.num", null, `${Math.round((100 * row.negative) / row.count)}%`);
  return h(
    "tr",
    { data: { item: "", entity: row.entity, value: row.value, count: row.count } },
    h(
      "th",
      { scope: "row" },
      h("a", { href: entityHref(row.entity), data: { key: `${compared}-${row.entity}` } }, row.entity),
    ),
    h("td.right.num", null, count(row.count)),
    signedCell(row.value),
    last,
    h("td.right", null, spark(values, { limits: [-1, 1], zero: true })),
  );
}

function signedCell(value) {
  const kind = value < 0 ? "negative" : value > 0 ? "positive" : "neutral";
  return h("td.right.num", null, h("span", { class: `tone-${kind}` }, signed(value)));
}
