/** How alerts are shown in lists, and their badges. */

import { h } from "./dom.js";
import { percent, quantity, span, time } from "./format.js";
import { lang, labelName, t } from "./i18n.js";

const GLYPHS = { critical: "\u25b2", warning: "\u25c6", info: "\u25cf" };

/** Return where an alert's page is. */
export const alertHref = (fingerprint) => `#/alerts/${fingerprint}`;

/** Return where an entity's page is. */
export const entityHref = (name) => `#/entity/${encodeURIComponent(name)}`;

/** Return what a group holds of each dimension of its monitor. */
export function groupParts(groupBy, group) {
  const dimensions = groupBy.split("|");
  if (dimensions.length === 1) return { [groupBy]: group };
  const free = dimensions[0] === "entity" || dimensions[0] === "source";
  const at = free ? group.lastIndexOf("|") : group.indexOf("|");
  return { [dimensions[0]]: group.slice(0, at), [dimensions[1]]: group.slice(at + 1) };
}

/** Return the name of the group that an alert is of. */
export function groupName(alert) {
  if (alert.group_by === "all") return t("group.all");
  const parts = Object.entries(groupParts(alert.group_by, alert.group));
  return parts
    .map(([kind, name]) => (kind === "topic" || kind === "intent" || kind === "lang" ? labelName(kind, name) : name))
    .join(" \u00b7 ");
}

/** Return the entity that an alert is of, if it is of one. */
export function entityOf(alert) {
  return groupParts(alert.group_by, alert.group).entity ?? null;
}

export function severityBadge(severity) {
  const kind = severity in GLYPHS ? severity : "info";
  return h(
    "span.badge",
    { class: `severity-${kind}` },
    h("span", { "aria-hidden": "true" }, `${GLYPHS[kind]} `),
    t(`severity.${severity}`),
  );
}

export function statusBadge(alert) {
  return h("span.badge", { class: `status-${alert.status}` }, t(`status.${alert.status}`));
}

export function corroborationBadge(alert) {
  const glyph = { corroborated: "\u2713", retracted: "\u2715", unconfirmed: "?" }[alert.corroboration];
  return h(
    "span.badge.outline",
    { title: t(`corroboration.${alert.corroboration}.why`) },
    `${glyph} ${t(`corroboration.${alert.corroboration}`)}`,
  );
}

/** Return how an alert stands at this desk: in whose hands, muted until when. */
export function deskBadges(alert) {
  const { acknowledged, muted_until: until } = alert.desk;
  return [
    acknowledged ? h("span.badge.outline", null, t("acked.by", { who: acknowledged.by })) : null,
    until && Date.parse(until) > Date.now() ? h("span.badge.outline", null, t("muted")) : null,
    alert.muted_by ? h("span.badge.outline", { title: alert.muted_by }, t("muted.rule")) : null,
  ];
}

/** Return an alert's brief in the page's language. */
export const brief = (alert) => alert.brief?.[lang()] || alert.annotations?.summary || "";

/** Return what was seen and what was to be expected. */
export function seenExpected(alert) {
  return [quantity(alert.measure, alert.seen), quantity(alert.measure, alert.expected)];
}

/** Return an alert as a row of a list, leading to its page. */
export function alertRow(alert) {
  const [seen, expected] = seenExpected(alert);
  const lasted = (alert.ended_at ? Date.parse(alert.ended_at) : Date.parse(alert.window_end)) - Date.parse(alert.onset);
  return h(
    "a.row.alert-row",
    {
      href: alertHref(alert.fingerprint),
      title: alert.rank?.reasons.join("; "),
      data: { item: "", key: alert.fingerprint, severity: alert.severity },
    },
    h(
      "span.alert-mark",
      { class: `severity-${alert.severity}`, "aria-hidden": "true" },
      GLYPHS[alert.severity] ?? GLYPHS.info,
    ),
    h(
      "span.alert-main",
      null,
      h("span.alert-title", null, h("strong", null, groupName(alert)), h("span.faint.mono", null, alert.monitor)),
      h("span.alert-sub", null, statusBadge(alert), corroborationBadge(alert), deskBadges(alert)),
      h("span.alert-brief", null, brief(alert)),
    ),
    h(
      "span.alert-figures.num",
      null,
      h("span", null, h("strong", null, seen), h("span.faint", null, ` ${t("against")} ${expected}`)),
      h("span.faint", null, time(alert.onset), ` \u00b7 ${span(lasted)}`),
    ),
  );
}

/** Return the share of an alert's posts that are negative. */
export const negativeShare = (alert) => (alert.count ? percent(alert.negative / alert.count) : "\u2013");
