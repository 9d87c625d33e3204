/** The last span of time against what is usual. */

import { h } from "./dom.js";
import { change, count, number, percent, signed } from "./format.js";
import { t } from "./i18n.js";

const HOUR = 3_600_000;

/** The spans that can be chosen, in milliseconds. */
export const SPANS = { "15m": HOUR / 4, "1h": HOUR, "4h": 4 * HOUR, "24h": 24 * HOUR };

/** Return over how long before a span it is counted what is usual. */
export const usualSpan = (ms) => (ms < 4 * HOUR ? 24 * HOUR : 168 * HOUR);

/**
 * Return the figures of now beside the usual ones.
 *
 * `first` is the aggregate of everything (it says when the posts begin), `now` that of the last span, and `usual`
 * that of the time before. Posts before the first one are none that were missed: the usual volume is of known time.
 */
export function nowFigures([first, now, usual, at, name]) {
  const ms = SPANS[name];
  const here = now.rows[0] ?? { count: 0, negative: 0, value: null };
  const before = usual.rows[0];
  const begin = Math.max(Date.parse(first.from ?? usual.from), at - ms - usualSpan(ms));
  const spans = (at - ms - begin) / ms;
  const usualCount = before && spans > 0 ? before.count / spans : null;
  const share = here.count ? here.negative / here.count : null;
  const usualShare = before ? before.negative / before.count : null;
  return [
    figure(
      "net_sentiment",
      t("net"),
      here.value,
      signed(here.value),
      before ? signed(before.value) : null,
      delta(here.value, before?.value, (value) => signed(value), true),
    ),
    figure(
      "count",
      t("posts"),
      here.count,
      count(here.count),
      usualCount === null ? null : number(usualCount, usualCount < 10 ? 1 : 0),
      ratio(here.count, usualCount),
    ),
    figure(
      "negative_share",
      t("negative.share"),
      share,
      percent(share),
      usualShare === null ? null : percent(usualShare),
      delta(share, usualShare, (value) => t("points", { n: signed(100 * value, 0) }), false),
    ),
  ];
}

/** Return one figure: its name, its value, the usual one, and how far they are apart. */
export function figure(key, name, value, text, usual, apart) {
  return h(
    "dl.figure",
    { data: { figure: key, value: value ?? "" } },
    h("dt", null, name),
    h("dd.figure-value.num", null, text),
    h("dd.figure-usual.num", null, usual === null ? t("usual.none") : [t("usual", { usual }), apart]),
  );
}

function delta(value, usual, format, higherIsBetter) {
  if (!Number.isFinite(value) || !Number.isFinite(usual)) return null;
  const apart = value - usual;
  const good = higherIsBetter ? apart > 0 : apart < 0;
  const tone = Math.abs(apart) < 0.005 ? "neutral" : good ? "positive" : "negative";
  return h("span", { class: `tone-${tone}` }, ` ${format(apart)}`);
}

function ratio(value, usual) {
  if (!usual) return null;
  return h("span.strong", null, ` ${change(value / usual - 1)}`);
}
