/** What a monitor saw of an alert's group beside what it expected: from before the onset until after the end. */

import { get } from "./api.js";
import { range } from "./asof.js";

const HOUR = 3_600_000;
const NO_WINDOWS = { rows: [] };

/** A post or a window may be gone from the store: the alert tells enough. */
export function onlyAbort(error) {
  if (error.name === "AbortError") throw error;
  return null;
}

/** Load what the monitor saw from well before the onset until after the end. */
export async function loadWindows(alert, signal) {
  const end = Date.parse(alert.ended_at ?? alert.window_end);
  const lead = Math.max(6 * HOUR, 2 * (end - Date.parse(alert.onset)));
  const asked = {
    monitor: alert.monitor,
    group: alert.group,
    ...range(Date.parse(alert.onset) - lead, end + 2 * HOUR),
  };
  return (await get("/v1/windows", asked, { signal }).catch(onlyAbort)) ?? NO_WINDOWS;
}

/** Return the points of the curve: the stored windows, or the last ones, which the alert has itself. */
export function curveOf(alert, { rows }) {
  const stored = rows.map((row) => ({
    window_end: row.window_end,
    seen: row.measure,
    expected: row.expected,
    surprise: row.surprise,
  }));
  return stored.length >= alert.curve.length ? stored : alert.curve;
}

/** Return the point of the curve that stands out most while the alert was open. */
export function worst(alert, points) {
  const [from, to] = [Date.parse(alert.onset), Date.parse(alert.ended_at ?? alert.window_end)];
  const at = (point) => Date.parse(point.window_end);
  const known = points.filter((point) => point.expected !== null && at(point) >= from && at(point) <= to);
  const apart = (point) =>
    alert.measure === "net_sentiment" ? point.expected - point.seen : point.seen - point.expected;
  return known.reduce((best, point) => (!best || apart(point) > apart(best) ? point : best), null);
}

/** Return how far apart its points are, in milliseconds. */
export function curveStep(curve) {
  const gaps = curve.slice(1).map((point, index) => Date.parse(point.window_end) - Date.parse(curve[index].window_end));
  return Math.max(60_000, Math.min(...(gaps.length ? gaps : [300_000])));
}
