/** A line of a few values, as large as a word. */

import { svg } from "../dom.js";

const WIDTH = 72;
const HEIGHT = 20;

/** Return a spark line of values, null where there is none; `limits` are the ends of the scale. */
export function spark(values, { limits, zero = false } = {}) {
  const known = values.filter(Number.isFinite);
  const [low, high] = limits ?? [Math.min(0, ...known), Math.max(1e-9, ...known)];
  const x = (index) => (index / Math.max(1, values.length - 1)) * (WIDTH - 4) + 2;
  const y = (value) => HEIGHT - 2 - ((value - low) / (high - low || 1)) * (HEIGHT - 4);
  const points = values.map((value, index) =>
    Number.isFinite(value) ? `${x(index).toFixed(1)},${y(value).toFixed(1)}` : null,
  );
  const last = points.findLastIndex(Boolean);
  return svg(
    "svg.spark",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" },
    zero ? svg("line.spark-zero", { x1: 0, x2: WIDTH, y1: y(0), y2: y(0) }) : null,
    runs(points).map((run) => svg("polyline", { points: run.join(" ") })),
    last >= 0 ? svg("circle", { cx: points[last].split(",")[0], cy: points[last].split(",")[1], r: 2 }) : null,
  );
}

/** Return the stretches without a gap; a missing value alone is none. */
function runs(points) {
  const found = [[]];
  points.forEach((point, index) => {
    if (point) found.at(-1).push(point);
    else if (!points[index + 1] && found.at(-1).length) found.push([]);
  });
  return found.filter((run) => run.length > 1);
}
