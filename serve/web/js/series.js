/** Sentiment and volume over time: which windows, which panes, which marks. */

import { alertHref, groupName } from "./alerts.js";
import { get } from "./api.js";
import { range } from "./asof.js";
import { compact, count, signed } from "./format.js";
import { t } from "./i18n.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** The ranges that can be chosen: how long, and how long a window is. */
export const RANGES = {
  "6h": { ms: 6 * HOUR, window: "15m", step: 15 * MINUTE },
  "24h": { ms: 24 * HOUR, window: "30m", step: 30 * MINUTE },
  "3d": { ms: 72 * HOUR, window: "1h", step: HOUR },
  "7d": { ms: 168 * HOUR, window: "3h", step: 3 * HOUR },
  "30d": { ms: 720 * HOUR, window: "12h", step: 12 * HOUR },
};

/** Load net sentiment and volume by window: the API's answer. */
export function loadSeries({ at }, name, where, signal) {
  const { ms, window } = RANGES[name];
  return get(
    "/v1/aggregates",
    { measure: "net_sentiment", window, limit: 10_000, ...range(at - ms, at), ...where },
    { signal },
  );
}

/** Return the rows of a chart. */
export function chartRows(answer) {
  return answer.rows.map((row) => ({
    t: Date.parse(row.window_start),
    net: row.value,
    count: row.count,
    negative: row.negative,
    share: row.negative / row.count,
  }));
}

/** Return the panes of a chart of net sentiment over volume. */
export function sentimentPanes() {
  return [
    {
      weight: 2.4,
      zero: true,
      limits: [-1, 1],
      least: 0.4,
      format: (value) => signed(value, 1),
      exact: (value) => signed(value),
      series: [{ kind: "line", key: "net", colour: "ink", name: t("net"), split: true }],
    },
    {
      weight: 1,
      zero: true,
      least: 4,
      format: compact,
      exact: count,
      series: [
        { kind: "bars", key: "count", colour: "volume", name: t("posts") },
        { kind: "bars", key: "negative", colour: "negative", name: t("negative.posts") },
      ],
    },
  ];
}

/** Return the marks of alerts in a chart. */
export function alertMarks(alerts) {
  return alerts.map((alert) => ({
    from: Date.parse(alert.onset),
    to: Date.parse(alert.ended_at ?? alert.window_end),
    label: groupName(alert),
    href: alertHref(alert.fingerprint),
  }));
}
